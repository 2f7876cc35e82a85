/* sendmail_address.c - addresses: as people and headers write them, and as the envelope has them.
 *
 * RFC 5322 §3.4 in, RFC 5321 §4.1.2 out. */
#include "sendmail.h"

#include <libmail/mime.h>
#include <libmail/smtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS (LMAIL_SMTP_SMTPUTF8 | LMAIL_SMTP_ALLOW_UNQUALIFIED | LMAIL_SMTP_ALLOW_TRAILING_DOT)

static int is_atom(lmail_str local)
{
    for (size_t i = 0; i < local.len; i++) {
        char c = local.ptr[i];
        if ((unsigned char)c <= ' ' || c == 127 || strchr("()<>[]:;@\\,\"", c) ||
            (c == '.' && (i == 0 || i + 1 == local.len || local.ptr[i + 1] == '.')))
            return 0;
    }
    return local.len > 0;
}

/* local@domain into out, the local part quoted where it has to be. 0: it does not fit. */
static size_t join(lmail_str local, lmail_str domain, char *out, size_t cap)
{
    size_t n = 0, quotes = !is_atom(local);
    if (2 * local.len + domain.len + 4 > cap)
        return 0;
    if (quotes)
        out[n++] = '"';
    for (size_t i = 0; i < local.len; i++) {
        if (quotes && (local.ptr[i] == '"' || local.ptr[i] == '\\'))
            out[n++] = '\\';
        out[n++] = local.ptr[i];
    }
    if (quotes)
        out[n++] = '"';
    if (domain.len) {
        out[n++] = '@';
        memcpy(out + n, domain.ptr, domain.len);
        n += domain.len;
    }
    out[n] = '\0';
    return n;
}

static int is_address(const char *text, size_t n)
{
    lmail_smtp_address a;
    return n && lmail_smtp_address_parse((lmail_str){text, n}, FLAGS, 0, &a, NULL) == LMAIL_OK;
}

static int keep(sendmail_list *l, const char *text, size_t n)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->items[i].len == n && memcmp(l->items[i].ptr, text, n) == 0)
            return 0;
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 16;
        lmail_str *more = realloc(l->items, room * sizeof *more);
        if (!more)
            return -1;
        l->items = more;
        l->room = room;
    }
    char *copy = malloc(n + 1);
    if (!copy)
        return -1;
    memcpy(copy, text, n);
    copy[n] = '\0';
    l->items[l->count++] = (lmail_str){copy, n};
    return 0;
}

int sendmail_list_add(sendmail_list *l, lmail_str value, char *bad, size_t cap)
{
    lmail_mime_address_reader r;
    lmail_mime_address a;
    char text[1100];
    size_t room = 2 * value.len + 16;
    char *scratch = malloc(room);
    int code = scratch ? 0 : -1;
    bad[0] = '\0';
    if (!scratch)
        return -1;
    lmail_mime_address_reader_init(&r, value, scratch, room);
    while (!code && lmail_mime_address_next(&r, &a)) {
        if (a.kind != LMAIL_MIME_MAILBOX)
            continue;
        /* What is no atom was quoted, or is no address. */
        int quoted = a.raw_local.len && memchr(a.raw_local.ptr, '"', a.raw_local.len);
        size_t n = quoted || is_atom(a.local) ? join(a.local, a.domain, text, sizeof text) : 0;
        code = !is_address(text, n) || l->count >= LMAIL_DROP_RECIPIENTS ? -1 : keep(l, text, n);
        if (code)
            snprintf(bad, cap, "%.*s%s%.*s", (int)(a.local.len < 200 ? a.local.len : 200),
                     a.local.len ? a.local.ptr : "", a.domain.len ? "@" : "",
                     (int)(a.domain.len < 200 ? a.domain.len : 200),
                     a.domain.len ? a.domain.ptr : "");
    }
    free(scratch);
    for (char *c = bad; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = '?';
    return code;
}

void sendmail_list_free(sendmail_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free((char *)l->items[i].ptr);
    free(l->items);
}

int sendmail_address(const char *text, const char *host, char *out, size_t cap)
{
    sendmail_list l = {NULL, 0, 0};
    char bad[8];
    int code = -1;
    out[0] = '\0';
    if (!*text || strcmp(text, "<>") == 0)
        return 0;
    if (sendmail_list_add(&l, lmail_str_from(text), bad, sizeof bad) == 0 && l.count == 1) {
        int bare = !memchr(l.items[0].ptr, '@', l.items[0].len) ||
                   l.items[0].ptr[l.items[0].len - 1] == '"';
        int n = snprintf(out, cap, "%s%s%s", l.items[0].ptr, bare && host ? "@" : "",
                         bare && host ? host : "");
        code = n > 0 && (size_t)n < cap && is_address(out, (size_t)n) ? 0 : -1;
    }
    sendmail_list_free(&l);
    return code;
}
