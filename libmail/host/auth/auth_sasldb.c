/* Cyrus SASL's sasldb2, out of the text that db_dump makes of it.
 *
 * A dump is header lines up to HEADER=END, then a line for each key and each value in turn, with a
 * blank in front, up to DATA=END: pairs of hexadecimal digits (format=bytevalue), or characters
 * with \\ and \hh for the others (format=print). A key is USER NUL REALM NUL PROPERTY. Nobody needs
 * Berkeley DB for that. Called by tools; no I/O here. */
#include <stdlib.h>
#include <string.h>

#include "auth_internal.h"

typedef struct dump {
    lmail_str rest;
    unsigned long line;
    unsigned print; /* the format */
    lmail_accounts_fault_fn *on_fault;
    void *user;
} dump;

static int next_line(dump *d, lmail_str *out)
{
    if (d->rest.len == 0) {
        return 0;
    }
    const char *lf = memchr(d->rest.ptr, '\n', d->rest.len);
    size_t n = lf ? (size_t)(lf - d->rest.ptr) : d->rest.len;
    *out = (lmail_str){d->rest.ptr, n};
    n += lf != NULL;
    d->rest.ptr += n;
    d->rest.len -= n;
    d->line++;
    if (out->len > 0 && out->ptr[out->len - 1] == '\r') {
        out->len--;
    }
    return 1;
}

static void tell(const dump *d, unsigned long line, const char *what)
{
    if (d->on_fault) {
        lmail_accounts_fault fault = {LMAIL_STR("-"), line, lmail_str_from(what)};
        d->on_fault(d->user, &fault);
    }
}

static int read_header(dump *d)
{
    lmail_str line;
    unsigned formats = 0;
    while (next_line(d, &line)) {
        if (lmail_str_equal(line, LMAIL_STR("HEADER=END"))) {
            return formats == 1;
        }
        if (lmail_str_equal(line, LMAIL_STR("format=print"))) {
            d->print = 1;
            formats++;
        } else if (lmail_str_equal(line, LMAIL_STR("format=bytevalue"))) {
            d->print = 0;
            formats++;
        }
    }
    return 0;
}

/* Two hexadecimal digits at this place, or -1. */
static int pair(lmail_str text, size_t at)
{
    if (at + 2 > text.len) {
        return -1;
    }
    int high = lmi_auth_hex_digit(text.ptr[at]), low = lmi_auth_hex_digit(text.ptr[at + 1]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* A data line into out (as long as the line at least); 0 when it is damaged. */
static int decode(const dump *d, lmail_str line, char *out, lmail_str *made)
{
    size_t len = 0;
    for (size_t at = 1; at < line.len;) {
        int value = (unsigned char)line.ptr[at];
        if (!d->print) {
            value = pair(line, at);
            at += 2;
        } else if (value != '\\') {
            at++;
        } else if (at + 1 < line.len && line.ptr[at + 1] == '\\') {
            at += 2;
        } else {
            value = pair(line, at + 1);
            at += 3;
        }
        if (value < 0) {
            return 0;
        }
        out[len++] = (char)value;
    }
    *made = (lmail_str){out, len};
    return 1;
}

static int split_key(lmail_str key, lmail_sasldb_record *r)
{
    lmail_str *const parts[] = {&r->user, &r->realm, &r->property};
    if (key.len > 0 && key.ptr[key.len - 1] == '\0') {
        key.len--; /* some writers count the terminator */
    }
    for (size_t i = 0; i < 3; i++) {
        const char *nul = key.len > 0 ? memchr(key.ptr, '\0', key.len) : NULL;
        if ((nul != NULL) != (i < 2)) {
            return 0;
        }
        *parts[i] = (lmail_str){key.ptr, nul ? (size_t)(nul - key.ptr) : key.len};
        key.ptr += parts[i]->len + (nul != NULL);
        key.len -= parts[i]->len + (nul != NULL);
    }
    return r->user.len > 0 && r->property.len > 0;
}

/* Records until DATA=END; space holds a key and a value. */
static lmail_status read_records(dump *d, char *space, size_t cap,
                                 int (*fn)(void *user, const lmail_sasldb_record *record))
{
    lmail_str key, value;
    while (next_line(d, &key)) {
        if (lmail_str_equal(key, LMAIL_STR("DATA=END"))) {
            return LMAIL_OK;
        }
        unsigned long line = d->line;
        lmail_sasldb_record r = {line, {"", 0}, {"", 0}, {"", 0}, {"", 0}};
        lmail_str octets;
        if (key.len == 0 || key.ptr[0] != ' ' || !next_line(d, &value) || value.len == 0 ||
            value.ptr[0] != ' ') {
            tell(d, d->line, "the dump breaks off here");
            return LMAIL_ERR_SYNTAX;
        }
        if (!decode(d, key, space, &octets) || !split_key(octets, &r)) {
            tell(d, line, "this is no key of a sasldb2");
        } else if (!decode(d, value, space + cap, &r.value)) {
            tell(d, line + 1, "this value is damaged");
        } else if (fn(d->user, &r) != 0) {
            return LMAIL_OK;
        }
    }
    tell(d, d->line, "the dump breaks off here");
    return LMAIL_ERR_SYNTAX;
}

lmail_status lmail_sasldb_read(lmail_str text,
                               int (*fn)(void *user, const lmail_sasldb_record *record),
                               lmail_accounts_fault_fn *on_fault, void *user)
{
    dump d = {text, 0, 0, on_fault, user};
    if (!read_header(&d)) {
        tell(&d, 0, "this is no text of db_dump: make it with db5.3_dump /etc/sasldb2");
        return LMAIL_ERR_SYNTAX;
    }
    size_t cap = d.rest.len + 1;
    char *space = malloc(2 * cap);
    if (!space) {
        return LMAIL_ERR_NOMEM;
    }
    lmail_status status = read_records(&d, space, cap, fn);
    lmi_auth_wipe_free(space, 2 * cap);
    return status;
}
