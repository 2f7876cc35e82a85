/* net_proxy.c - the PROXY header, versions 1 and 2 (proxy-protocol.txt §2.1, §2.2).
 *
 * Strict: a header that is not exactly one of these is ERR_SYNTAX, and the caller closes. Nothing
 * here knows who may send one; net_accept.c asks the list of trusted networks. */
#include "net_address.h"

#include <string.h>

#define V1_MAX 107u
#define V2_HEAD 16u

static const char SIGNATURE[12] = "\r\n\r\n\0\r\nQUIT\n";

/* ---- Version 1 ------------------------------------------------------------------------------- */

/* The next word of *line up to one space or the end. 0: there is none or it is empty. */
static int next_word(lmail_str *line, lmail_str *word)
{
    const char *space = line->len ? memchr(line->ptr, ' ', line->len) : NULL;
    size_t len = space ? (size_t)(space - line->ptr) : line->len;
    *word = (lmail_str){line->ptr, len};
    size_t step = space ? len + 1 : len;
    line->ptr += step;
    line->len -= step;
    /* A space at the very end begins a word that is not there. */
    return len > 0 && (!space || line->len > 0);
}

static lmail_status v1_address(lmail_str word, int family, lmi_address *out)
{
    lmail_status st = lmi_address_parse(word, out);
    return st ? st : out->family == family ? LMAIL_OK : LMAIL_ERR_SYNTAX;
}

/* Digits without a leading zero, 0..65535. */
static lmail_status v1_port(lmail_str word, unsigned *out)
{
    if (word.len > 1 && word.ptr[0] == '0')
        return LMAIL_ERR_SYNTAX;
    return lmi_number_parse(word, 65535, out);
}

static lmail_status v1_line(lmail_str line, lmi_proxy *out)
{
    lmail_str words[5];
    if (!next_word(&line, &words[0]))
        return LMAIL_ERR_SYNTAX;
    if (lmail_str_equal(words[0], LMAIL_STR("UNKNOWN"))) {
        out->local = 1; /* §2.1: the rest of the line is to be ignored */
        return LMAIL_OK;
    }
    int family = lmail_str_equal(words[0], LMAIL_STR("TCP4"))   ? AF_INET
                 : lmail_str_equal(words[0], LMAIL_STR("TCP6")) ? AF_INET6
                                                                : 0;
    if (!family)
        return LMAIL_ERR_SYNTAX;
    for (int i = 1; i < 5; i++)
        if (!next_word(&line, &words[i]))
            return LMAIL_ERR_SYNTAX;
    if (line.len || v1_address(words[1], family, &out->source) ||
        v1_address(words[2], family, &out->destination) || v1_port(words[3], &out->source.port) ||
        v1_port(words[4], &out->destination.port))
        return LMAIL_ERR_SYNTAX;
    return LMAIL_OK;
}

static lmail_status v1_parse(lmail_str in, lmi_proxy *out, size_t *used)
{
    size_t window = in.len < V1_MAX ? in.len : V1_MAX;
    const char *lf = memchr(in.ptr, '\n', window);
    if (!lf) {
        const char *cr = memchr(in.ptr, '\r', window);
        if (window == V1_MAX || (cr && cr != in.ptr + window - 1))
            return LMAIL_ERR_SYNTAX;
        return LMAIL_MORE;
    }
    size_t len = (size_t)(lf - in.ptr) + 1;
    lmail_str line = {in.ptr + 6, len - 8}; /* behind "PROXY ", before CRLF */
    if (len < 8 || lf[-1] != '\r' || memchr(line.ptr, '\r', line.len) || v1_line(line, out))
        return LMAIL_ERR_SYNTAX;
    lmi_address_unmap(&out->source);
    lmi_address_unmap(&out->destination);
    *used = len;
    return LMAIL_OK;
}

/* ---- Version 2 ------------------------------------------------------------------------------- */

static unsigned be16(const char *p)
{
    return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static uint32_t be32(const char *p)
{
    return (uint32_t)be16(p) << 16 | be16(p + 2);
}

/* CRC32c of the header with the checksum's own four octets taken as zero (§2.2.3). */
static uint32_t crc32c(lmail_str in, size_t hole)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < in.len; i++) {
        crc ^= i - hole < 4 ? 0 : (unsigned char)in.ptr[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~crc;
}

enum { TLV_AUTHORITY = 2, TLV_CRC32C = 3, TLV_SSL = 0x20, CLIENT_SSL = 1, SSL_HEAD = 5 };

static lmail_status v2_tlvs(lmail_str whole, size_t at, lmi_proxy *out)
{
    while (at < whole.len) {
        if (whole.len - at < 3)
            return LMAIL_ERR_SYNTAX;
        int type = (unsigned char)whole.ptr[at];
        lmail_str value = {whole.ptr + at + 3, be16(whole.ptr + at + 1)};
        if (value.len > whole.len - at - 3)
            return LMAIL_ERR_SYNTAX;
        if (type == TLV_AUTHORITY) {
            out->server_name = value;
        } else if (type == TLV_CRC32C) {
            if (value.len != 4 || be32(value.ptr) != crc32c(whole, at + 3))
                return LMAIL_ERR_SYNTAX;
        } else if (type == TLV_SSL) {
            if (value.len < SSL_HEAD)
                return LMAIL_ERR_SYNTAX;
            out->tls = (value.ptr[0] & CLIENT_SSL) != 0;
        }
        at += 3 + value.len;
    }
    return LMAIL_OK;
}

static void v2_ip(const char *p, int family, lmi_proxy *out)
{
    size_t width = family == AF_INET ? 4 : 16;
    out->source = (lmi_address){family, {0}, be16(p + 2 * width)};
    out->destination = (lmi_address){family, {0}, be16(p + 2 * width + 2)};
    memcpy(out->source.octets, p, width);
    memcpy(out->destination.octets, p + width, width);
    lmi_address_unmap(&out->source);
    lmi_address_unmap(&out->destination);
}

static lmail_status v2_parse(lmail_str in, lmi_proxy *out, size_t *used)
{
    if (in.len < V2_HEAD)
        return LMAIL_MORE;
    int command = (unsigned char)in.ptr[12], family = (unsigned char)in.ptr[13];
    size_t len = V2_HEAD + be16(in.ptr + 14);
    if ((command != 0x20 && command != 0x21) || (family & 0x0f) > 2 || family >> 4 > 3 ||
        len > LMI_PROXY_MAX)
        return LMAIL_ERR_SYNTAX;
    if (in.len < len)
        return LMAIL_MORE;
    /* §2.2: 0x11 TCP over IPv4, 0x21 TCP over IPv6; the lengths include addresses and ports */
    static const size_t sizes[4] = {0, 12, 36, 216};
    size_t need = sizes[family >> 4];
    if (len - V2_HEAD < need && command != 0x20)
        return LMAIL_ERR_SYNTAX;
    *used = len;
    if (command == 0x20) {
        out->local = 1; /* LOCAL: what follows is to be skipped */
        return LMAIL_OK;
    }
    if (family == 0x11 || family == 0x21)
        v2_ip(in.ptr + V2_HEAD, family == 0x11 ? AF_INET : AF_INET6, out);
    else if (family == 0x12 || family == 0x22)
        return LMAIL_ERR_SYNTAX; /* datagrams do not come over a stream */
    else
        out->local = 1;
    return v2_tlvs((lmail_str){in.ptr, len}, V2_HEAD + need, out);
}

lmail_status lmi_proxy_parse(lmail_str in, lmi_proxy *out, size_t *used)
{
    *out = (lmi_proxy){0};
    *used = 0;
    if (in.len == 0)
        return LMAIL_MORE;
    size_t n = in.len < sizeof(SIGNATURE) ? in.len : sizeof(SIGNATURE);
    if (!memcmp(in.ptr, SIGNATURE, n))
        return n < sizeof(SIGNATURE) ? LMAIL_MORE : v2_parse(in, out, used);
    n = in.len < 6 ? in.len : 6;
    if (!memcmp(in.ptr, "PROXY ", n))
        return n < 6 ? LMAIL_MORE : v1_parse(in, out, used);
    return LMAIL_ERR_SYNTAX;
}
