/* net_mbedtls_name.c - the names in a certificate as one line each: "/C=MX/O=Example/CN=mx+201".
 *
 * The access map's +CN:, +CS: and +CI: compare such texts, so they are spelled as the classic
 * installation spells them: attributes by their short names in the order of the certificate; what is
 * not printable, blanks and <>()"+\ as +HH; a '/' of a value behind a backslash. A name that does
 * not fit is none: a part of it could pass for another. */
#include "host/net/net_mbedtls.h"

#include <mbedtls/oid.h>

#include <string.h>

typedef struct line {
    char *out;
    size_t len, cap; /* len >= cap: it does not fit */
} line;

static void put(line *l, char c)
{
    if (l->len < l->cap)
        l->out[l->len++] = c;
}

static void put_text(line *l, const char *text)
{
    while (*text)
        put(l, *text++);
}

static void put_value(line *l, const mbedtls_asn1_buf *value, int in_path)
{
    static const char hex_digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < value->len; i++) {
        unsigned char c = value->p[i];
        if (c <= ' ' || c > '~' || strchr("<>()\"+\\", c)) {
            put(l, '+');
            put(l, hex_digits[c >> 4]);
            put(l, hex_digits[c & 15]);
            continue;
        }
        if (c == '/' && in_path) /* or a value could pass for two attributes */
            put(l, '\\');
        put(l, (char)c);
    }
}

static void end(line *l)
{
    l->out[l->len < l->cap ? l->len : 0] = 0;
}

void lmi_mbed_write_name(const mbedtls_x509_name *name, char *out, size_t cap)
{
    line l = {out, 0, cap};
    for (; name; name = name->next) {
        const char *kind;
        char number[64];
        if (!name->oid.p)
            continue;
        put(&l, '/');
        if (!mbedtls_oid_get_attr_short_name(&name->oid, &kind) && kind)
            put_text(&l, kind);
        else if (mbedtls_oid_get_numeric_string(number, sizeof number, &name->oid) > 0)
            put_text(&l, number);
        put(&l, '=');
        put_value(&l, &name->val, 1);
    }
    end(&l);
}

void lmi_mbed_write_common_name(const mbedtls_x509_name *name, char *out, size_t cap)
{
    line l = {out, 0, cap};
    for (; name; name = name->next)
        if (name->oid.p && !MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &name->oid)) {
            put_value(&l, &name->val, 0);
            break;
        }
    end(&l);
}
