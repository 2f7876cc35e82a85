/* dns_name.c - names and addresses, between text, rdata and the reversed form.
 *
 * RFC 1035 §2.3.4 and §3.1 (labels and lengths), RFC 1123 §2.1 (host names), RFC 5782 §2.1 and §2.4
 * (reversed addresses). Called by the questions of this room; asks nobody anything. */
#include "dns_internal.h"

#include <arpa/inet.h>
#include <string.h>

#define LABEL_MAX 63u

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One label in lower case at out[*at..), with a dot before it unless it is the first. */
static lmail_status add_label(lmail_str label, char out[LMI_DNS_NAME], size_t *at)
{
    size_t n = *at;
    if (label.len == 0 || label.len > LABEL_MAX || n + label.len + 1 >= LMI_DNS_NAME)
        return LMAIL_ERR_SYNTAX;
    if (label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
        return LMAIL_ERR_SYNTAX;
    if (n)
        out[n++] = '.';
    for (size_t i = 0; i < label.len; i++) {
        char c = label.ptr[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        else if (!(c >= 'a' && c <= 'z') && !is_digit(c) && c != '-' && c != '_')
            return LMAIL_ERR_SYNTAX;
        out[n++] = c;
    }
    *at = n;
    return LMAIL_OK;
}

/* Terminate; a name whose last label is a number would read as an address (RFC 1123 §2.1). */
static lmail_status seal(char out[LMI_DNS_NAME], size_t n)
{
    size_t i = n;
    out[n] = 0;
    while (i > 0 && is_digit(out[i - 1]))
        i--;
    return n == 0 || i == 0 || (i < n && out[i - 1] == '.') ? LMAIL_ERR_SYNTAX : LMAIL_OK;
}

lmail_status lmi_dns_name(lmail_str in, char out[LMI_DNS_NAME])
{
    size_t n = 0;
    out[0] = 0;
    if (in.len && in.ptr[in.len - 1] == '.')
        in.len--;
    while (in.len) {
        const char *dot = memchr(in.ptr, '.', in.len);
        lmail_str label = {in.ptr, dot ? (size_t)(dot - in.ptr) : in.len};
        if (add_label(label, out, &n))
            return LMAIL_ERR_SYNTAX;
        size_t used = label.len + (dot != NULL);
        if (dot && used == in.len)
            return LMAIL_ERR_SYNTAX; /* "a.." */
        in.ptr += used;
        in.len -= used;
    }
    return seal(out, n);
}

lmail_status lmi_dns_wire_name(lmail_str in, char out[LMI_DNS_NAME], int *root)
{
    size_t n = 0, at = 0;
    out[0] = 0;
    *root = in.len == 1 && in.ptr[0] == 0;
    if (*root)
        return LMAIL_OK;
    while (at < in.len && in.ptr[at]) {
        size_t len = (unsigned char)in.ptr[at++];
        if (len > in.len - at || add_label((lmail_str){in.ptr + at, len}, out, &n))
            return LMAIL_ERR_SYNTAX;
        at += len;
    }
    return at + 1 == in.len ? seal(out, n) : LMAIL_ERR_SYNTAX;
}

lmail_status lmi_dns_address(lmail_str in, lmail_dns_address *out)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff}; /* RFC 4291 §2.5.5.2 */
    char text[INET6_ADDRSTRLEN];
    memset(out, 0, sizeof(*out));
    if (in.len == 0 || in.len >= sizeof(text) || memchr(in.ptr, 0, in.len))
        return LMAIL_ERR_SYNTAX;
    memcpy(text, in.ptr, in.len);
    text[in.len] = 0;
    if (inet_pton(AF_INET, text, out->octets) == 1) {
        out->version = 4;
        return LMAIL_OK;
    }
    if (inet_pton(AF_INET6, text, out->octets) != 1)
        return LMAIL_ERR_SYNTAX;
    out->version = 6;
    if (!memcmp(out->octets, mapped, sizeof(mapped))) {
        out->version = 4;
        memmove(out->octets, out->octets + 12, 4);
        memset(out->octets + 4, 0, 12);
    }
    return LMAIL_OK;
}

int lmi_dns_address_equal(const lmail_dns_address *a, const lmail_dns_address *b)
{
    return a->version == b->version && !memcmp(a->octets, b->octets, sizeof(a->octets));
}

lmail_status lmi_dns_reversed(const lmail_dns_address *a, const char *zone, char out[LMI_DNS_NAME])
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    if (a->version == 4) {
        for (int i = 3; i >= 0; i--) {
            unsigned octet = a->octets[i];
            if (octet >= 100)
                out[n++] = hex[octet / 100];
            if (octet >= 10)
                out[n++] = hex[octet / 10 % 10];
            out[n++] = hex[octet % 10];
            out[n++] = '.';
        }
    } else {
        for (int i = 15; i >= 0; i--) {
            out[n++] = hex[a->octets[i] & 15];
            out[n++] = '.';
            out[n++] = hex[a->octets[i] >> 4];
            out[n++] = '.';
        }
    }
    lmail_str tail = lmail_str_from(zone ? zone : a->version == 4 ? "in-addr.arpa" : "ip6.arpa");
    char name[LMI_DNS_NAME];
    if (lmi_dns_name(tail, name) || n + strlen(name) >= LMI_DNS_NAME)
        return LMAIL_ERR_SYNTAX;
    memcpy(out + n, name, strlen(name) + 1);
    return LMAIL_OK;
}
