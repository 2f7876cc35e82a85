/* net_address.c - addresses as text and as keys for limits, and lists of networks.
 *
 * Only numeric addresses: a name would be a question to the resolver. */
#include "net_address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char MAPPED[12] = {[10] = 0xff, [11] = 0xff}; /* RFC 4291 §2.5.5.2 */

void lmi_address_unmap(lmi_address *a)
{
    if (a->family != AF_INET6 || memcmp(a->octets, MAPPED, sizeof(MAPPED)))
        return;
    a->family = AF_INET;
    memmove(a->octets, a->octets + 12, 4);
    memset(a->octets + 4, 0, 12);
}

void lmi_address_from(lmi_address *out, const struct sockaddr *sa)
{
    *out = (lmi_address){0};
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)sa;
        out->family = AF_INET;
        memcpy(out->octets, &v4->sin_addr, 4);
        out->port = ntohs(v4->sin_port);
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)sa;
        out->family = AF_INET6;
        out->port = ntohs(v6->sin6_port);
        memcpy(out->octets, &v6->sin6_addr, 16);
        lmi_address_unmap(out);
    } else if (sa->sa_family == AF_UNIX) {
        out->family = AF_UNIX;
    }
}

size_t lmi_address_write(const lmi_address *a, char out[LMI_ADDRESS_TEXT])
{
    out[0] = 0;
    if ((a->family == AF_INET || a->family == AF_INET6) &&
        inet_ntop(a->family, a->octets, out, LMI_ADDRESS_TEXT))
        return strlen(out);
    return 0;
}

uint64_t lmi_address_key(const lmi_address *a)
{
    uint64_t key = 0;
    if (a->family == AF_INET) {
        for (int i = 0; i < 4; i++)
            key = key << 8 | a->octets[i];
        return key | UINT64_C(1) << 32;
    }
    if (a->family == AF_INET6) {
        for (int i = 0; i < 8; i++)
            key = key << 8 | a->octets[i];
        return key ? key : UINT64_C(1) << 63; /* ::/64 has ::1 in it */
    }
    return 0;
}

lmail_status lmi_address_parse(lmail_str text, lmi_address *out)
{
    char copy[LMI_ADDRESS_TEXT];
    *out = (lmi_address){0};
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, 0, text.len))
        return LMAIL_ERR_SYNTAX;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    if (inet_pton(AF_INET, copy, out->octets) == 1)
        out->family = AF_INET;
    else if (inet_pton(AF_INET6, copy, out->octets) == 1)
        out->family = AF_INET6;
    else
        return LMAIL_ERR_SYNTAX;
    return LMAIL_OK;
}

lmail_status lmi_number_parse(lmail_str text, unsigned max, unsigned *out)
{
    unsigned value = 0;
    if (text.len == 0 || text.len > 5)
        return LMAIL_ERR_SYNTAX;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return LMAIL_ERR_SYNTAX;
        value = value * 10 + (unsigned)(text.ptr[i] - '0');
    }
    *out = value;
    return value <= max ? LMAIL_OK : LMAIL_ERR_SYNTAX;
}

lmail_status lmi_net_address_parse(const char *text, lmi_address *out, int *any)
{
    *any = 0;
    const char *colon = strrchr(text, ':');
    if (!colon)
        return LMAIL_ERR_SYNTAX;
    lmail_str host = {text, (size_t)(colon - text)};
    unsigned port;
    if (lmi_number_parse(lmail_str_from(colon + 1), 65535, &port))
        return LMAIL_ERR_SYNTAX;
    if (lmail_str_equal(host, LMAIL_STR("*"))) {
        *out = (lmi_address){AF_INET6, {0}, port};
        *any = 1;
        return LMAIL_OK;
    }
    int bracket = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (bracket)
        host = (lmail_str){host.ptr + 1, host.len - 2};
    if (lmi_address_parse(host, out) || (out->family == AF_INET6) != bracket)
        return LMAIL_ERR_SYNTAX;
    out->port = port;
    return LMAIL_OK;
}

/* ---- Networks -------------------------------------------------------------------------------- */

static int is_separator(char c)
{
    return c == ' ' || c == ',' || c == '\t';
}

static lmail_status parse_network(lmail_str word, lmi_network *out)
{
    const char *slash = memchr(word.ptr, '/', word.len);
    lmail_str host = {word.ptr, slash ? (size_t)(slash - word.ptr) : word.len};
    if (lmi_address_parse(host, &out->base))
        return LMAIL_ERR_SYNTAX;
    unsigned width = out->base.family == AF_INET ? 32 : 128;
    out->bits = width;
    if (!slash)
        return LMAIL_OK;
    return lmi_number_parse((lmail_str){slash + 1, word.len - host.len - 1}, width, &out->bits);
}

lmail_status lmi_networks_parse(lmi_networks *out, const char *text)
{
    *out = (lmi_networks){0};
    while (*text) {
        while (is_separator(*text))
            text++;
        size_t len = 0;
        while (text[len] && !is_separator(text[len]))
            len++;
        lmail_str word = {text, len};
        text += len;
        if (len == 0)
            continue;
        if (lmail_str_equal(word, LMAIL_STR("unix"))) {
            out->unix_too = 1;
            continue;
        }
        lmi_network *list = realloc(out->list, (out->n + 1) * sizeof(*list));
        if (list)
            out->list = list;
        lmail_status st = list ? parse_network(word, &list[out->n]) : LMAIL_ERR_NOMEM;
        if (st) {
            lmi_networks_done(out);
            return st;
        }
        out->n++;
    }
    return LMAIL_OK;
}

static int in_network(const lmi_network *n, const lmi_address *a)
{
    if (n->base.family != a->family)
        return 0;
    unsigned whole = n->bits / 8, part = n->bits % 8;
    if (memcmp(n->base.octets, a->octets, whole))
        return 0;
    return part == 0 || (n->base.octets[whole] ^ a->octets[whole]) >> (8 - part) == 0;
}

int lmi_networks_hold(const lmi_networks *n, const lmi_address *a)
{
    if (a->family == AF_UNIX)
        return n->unix_too;
    for (size_t i = 0; i < n->n; i++)
        if (in_network(&n->list[i], a))
            return 1;
    return 0;
}

void lmi_networks_done(lmi_networks *n)
{
    free(n->list);
    *n = (lmi_networks){0};
}
