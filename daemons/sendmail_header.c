/* sendmail_header.c - the header of a message that a program of this machine sends.
 *
 * RFC 5322 §3.6, RFC 6409 §8. It is kept in memory, up to smtp.max_header_size: recipients (-t) stand in
 * front of the message in a drop. Date and Message-ID are smtpd's to add; From is ours, which knows
 * the user. */
#include "sendmail.h"

#include <libmail/mime.h>
#include <libmail/mime_write.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int is(lmail_str name, const char *word)
{
    return lmail_str_equal_nocase(name, lmail_str_from(word));
}

/* ---- Line by line ---------------------------------------------------------------------------- */

/* RFC 5322 §2.2: printable octets but the colon, perhaps blanks before it (§4.5). */
static int is_field(lmail_str line)
{
    size_t i = 0;
    while (i < line.len && line.ptr[i] > ' ' && line.ptr[i] < 127 && line.ptr[i] != ':')
        i++;
    size_t name = i;
    while (i < line.len && (line.ptr[i] == ' ' || line.ptr[i] == '\t'))
        i++;
    return name > 0 && i < line.len && line.ptr[i] == ':';
}

static int put(sendmail_header *h, lmail_str octets)
{
    if (h->len + octets.len > h->room) {
        size_t room = 2 * (h->len + octets.len) + 1024;
        char *more = realloc(h->octets, room);
        if (!more)
            return -1;
        h->octets = more;
        h->room = room;
    }
    if (octets.len)
        memcpy(h->octets + h->len, octets.ptr, octets.len);
    h->len += octets.len;
    return 0;
}

int sendmail_header_take(sendmail_header *h, lmail_str line, size_t most)
{
    int goes_on = h->len && line.len && (line.ptr[0] == ' ' || line.ptr[0] == '\t');
    /* A mailbox's separator in front is no part of the message. */
    if (!h->len && !h->is_header && line.len > 5 && memcmp(line.ptr, "From ", 5) == 0) {
        h->is_header = 1;
        return 1;
    }
    if (!goes_on && !is_field(line))
        return 0;
    h->is_header = 1;
    if (line.len > most || h->len + line.len + 2 > most)
        return -1;
    return put(h, line) || put(h, LMAIL_STR("\r\n")) ? -1 : 1;
}

void sendmail_header_free(sendmail_header *h)
{
    free(h->octets);
}

/* ---- What it says ---------------------------------------------------------------------------- */

static int is_recipients(lmail_str name, int resent)
{
    return resent ? is(name, "resent-to") || is(name, "resent-cc") || is(name, "resent-bcc")
                  : is(name, "to") || is(name, "cc") || is(name, "bcc");
}

static int is_resent(lmail_str name)
{
    return name.len > 7 && strncasecmp(name.ptr, "resent-", 7) == 0;
}

int sendmail_header_read(sendmail_header *h, sendmail_list *to)
{
    lmail_str block = {h->octets, h->len};
    lmail_mime_field f;
    char bad[512];
    while (lmail_mime_field_next(&block, &f)) {
        h->resent |= is_resent(f.name);
        h->has_from |= is(f.name, "from");
        h->has_resent_from |= is(f.name, "resent-from");
        h->has_to |= is(f.name, "to") || is(f.name, "cc") || is(f.name, "bcc");
    }
    block = (lmail_str){h->octets, h->len};
    while (to && lmail_mime_field_next(&block, &f))
        if (is_recipients(f.name, h->resent) && sendmail_list_add(to, f.value, bad, sizeof bad)) {
            sendmail_say("%.*s: \"%s\" is no address", (int)f.name.len, f.name.ptr, bad);
            return EX_DATAERR;
        }
    return EX_OK;
}

/* ---- Writing it ------------------------------------------------------------------------------ */

static lmail_status write_from(const sendmail_call *c, const char *field, lmail_drop *d)
{
    char out[2048];
    const char *address = c->sender[0] ? c->sender : NULL;
    char own[600];
    lmail_mime_writer w;
    if (!address) {
        snprintf(own, sizeof own, "%s@%s", c->user, c->host);
        address = own;
    }
    const char *at = strrchr(address, '@');
    lmail_mime_mailbox box = {lmail_str_from(c->options.name ? c->options.name : c->full_name),
                              {address, at ? (size_t)(at - address) : strlen(address)},
                              lmail_str_from(at ? at + 1 : c->host)};
    lmail_mime_writer_init(&w, out, sizeof out);
    lmail_status st = lmail_mime_addresses_write(&w, lmail_str_from(field), &box, 1);
    if (st || w.made > sizeof out) { /* nothing can be made of that in ASCII */
        box.name = (lmail_str){NULL, 0};
        lmail_mime_writer_init(&w, out, sizeof out);
        w.utf8 = 1;
        st = lmail_mime_addresses_write(&w, lmail_str_from(field), &box, 1);
    }
    if (!st && w.made <= sizeof out)
        return lmail_drop_write(d, (lmail_str){out, w.made});
    int n = snprintf(out, sizeof out, "%s: %s\r\n", field, address);
    return lmail_drop_write(d, (lmail_str){out, n > 0 ? (size_t)n : 0});
}

lmail_status sendmail_header_write(const sendmail_header *h, const sendmail_call *c, lmail_drop *d)
{
    lmail_str block = {h->octets, h->len};
    lmail_mime_field f;
    lmail_status st = LMAIL_OK;
    if (!h->has_from)
        st = write_from(c, "From", d);
    if (!st && h->resent && !h->has_resent_from)
        st = write_from(c, "Resent-From", d);
    while (!st && lmail_mime_field_next(&block, &f))
        if (!is(f.name, "bcc") && !is(f.name, "resent-bcc"))
            st = lmail_drop_write(d, f.whole);
    return st ? st : lmail_drop_write(d, LMAIL_STR("\r\n"));
}
