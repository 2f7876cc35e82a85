/* codec_base64.c - base64 both ways (RFC 4648 §4, RFC 2045 §6.8).
 *
 * The strict decoder serves SASL exchanges in every protocol; the tolerant one serves message
 * bodies. No allocation; nothing here knows what the octets mean. */
#include <libmail/codec.h>

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Value + 1 of each character, 0 for what is not in the alphabet. */
#define ROW(c, v) [c] = (v) + 1
static const unsigned char values[256] = {
    ROW('A', 0),  ROW('B', 1),  ROW('C', 2),  ROW('D', 3),  ROW('E', 4),  ROW('F', 5),
    ROW('G', 6),  ROW('H', 7),  ROW('I', 8),  ROW('J', 9),  ROW('K', 10), ROW('L', 11),
    ROW('M', 12), ROW('N', 13), ROW('O', 14), ROW('P', 15), ROW('Q', 16), ROW('R', 17),
    ROW('S', 18), ROW('T', 19), ROW('U', 20), ROW('V', 21), ROW('W', 22), ROW('X', 23),
    ROW('Y', 24), ROW('Z', 25), ROW('a', 26), ROW('b', 27), ROW('c', 28), ROW('d', 29),
    ROW('e', 30), ROW('f', 31), ROW('g', 32), ROW('h', 33), ROW('i', 34), ROW('j', 35),
    ROW('k', 36), ROW('l', 37), ROW('m', 38), ROW('n', 39), ROW('o', 40), ROW('p', 41),
    ROW('q', 42), ROW('r', 43), ROW('s', 44), ROW('t', 45), ROW('u', 46), ROW('v', 47),
    ROW('w', 48), ROW('x', 49), ROW('y', 50), ROW('z', 51), ROW('0', 52), ROW('1', 53),
    ROW('2', 54), ROW('3', 55), ROW('4', 56), ROW('5', 57), ROW('6', 58), ROW('7', 59),
    ROW('8', 60), ROW('9', 61), ROW('+', 62), ROW('/', 63),
};
#undef ROW

size_t lmail_base64_size(size_t n)
{
    size_t groups = n / 3 + (n % 3 != 0);
    size_t size;
    return lmail_size_mul(groups, 4, &size) ? SIZE_MAX : size;
}

lmail_status lmail_base64_encode(lmail_str in, char *out, size_t cap, size_t *made)
{
    size_t need = lmail_base64_size(in.len);
    *made = 0;
    if (need == SIZE_MAX || need > cap)
        return LMAIL_ERR_LIMIT;
    for (size_t at = 0; at < in.len; at += 3) {
        size_t left = in.len - at;
        uint32_t group = (uint32_t)(unsigned char)in.ptr[at] << 16;
        if (left > 1)
            group |= (uint32_t)(unsigned char)in.ptr[at + 1] << 8;
        if (left > 2)
            group |= (uint32_t)(unsigned char)in.ptr[at + 2];
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = left > 1 ? alphabet[group >> 6 & 63] : '=';
        *out++ = left > 2 ? alphabet[group & 63] : '=';
    }
    *made = need;
    return LMAIL_OK;
}

/* The value of a character of the alphabet, or 64. */
static uint32_t value_of(char c)
{
    unsigned char v = values[(unsigned char)c];
    return v ? (uint32_t)v - 1 : 64;
}

/* Octets in the group at `in`, 1..3; or 0 and the offset of the octet that does not fit. */
static size_t read_group(const char *in, int last, char out[3], size_t *bad)
{
    uint32_t v[4];
    size_t chars = 0;
    while (chars < 4 && (v[chars] = value_of(in[chars])) < 64)
        chars++;
    if (chars < 4) {
        /* Padding stands only in the last group, as "xx==" or "xxx=", over zero bits. */
        *bad = chars;
        if (!last || chars < 2 || in[chars] != '=')
            return 0;
        if (chars == 2 && in[3] != '=') {
            *bad = 3;
            return 0;
        }
        *bad = chars - 1;
        if (chars == 2 ? (v[1] & 15) != 0 : (v[2] & 3) != 0)
            return 0;
        v[3] = 0;
        if (chars == 2)
            v[2] = 0;
    }
    uint32_t group = v[0] << 18 | v[1] << 12 | v[2] << 6 | v[3];
    out[0] = (char)(unsigned char)(group >> 16);
    out[1] = (char)(unsigned char)(group >> 8);
    out[2] = (char)(unsigned char)group;
    return chars - 1;
}

lmail_status lmail_base64_decode(lmail_str in, char *out, size_t cap, size_t *made)
{
    size_t written = 0;
    *made = 0;
    for (size_t at = 0; at + 4 <= in.len; at += 4) {
        char group[3];
        size_t bad = 0;
        size_t n = read_group(in.ptr + at, at + 4 == in.len, group, &bad);
        if (n == 0) {
            *made = at + bad;
            return LMAIL_ERR_SYNTAX;
        }
        if (out) {
            if (n > cap - written)
                return LMAIL_ERR_LIMIT;
            for (size_t i = 0; i < n; i++)
                out[written + i] = group[i];
        }
        written += n;
    }
    if (in.len % 4) {
        size_t at = in.len - in.len % 4;
        while (at < in.len && value_of(in.ptr[at]) < 64)
            at++;
        *made = at;
        return LMAIL_ERR_SYNTAX;
    }
    *made = written;
    return LMAIL_OK;
}

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Write the octets that `count` characters of an unfinished group hold: 2 give 1, 3 give 2. */
static size_t close_group(lmail_base64_decoder *d, char *out)
{
    size_t n = d->count > 1 ? d->count - 1 : 0;
    uint32_t group = d->bits << 6 * (4 - d->count);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(unsigned char)(group >> (16 - 8 * i));
    d->bits = 0;
    d->count = 0;
    return n;
}

lmail_status lmail_base64_decode_some(lmail_base64_decoder *d, lmail_str in, int end, size_t *used,
                                      char *out, size_t cap, size_t *made)
{
    size_t at = 0;
    size_t written = 0;
    lmail_status st = LMAIL_OK;
    for (; at < in.len; at++) {
        uint32_t v = value_of(in.ptr[at]);
        if (v == 64 && in.ptr[at] != '=') {
            d->skipped += !is_space(in.ptr[at]);
            continue;
        }
        if (cap - written < 3) {
            st = LMAIL_MORE;
            break;
        }
        if (v < 64) {
            d->bits = d->bits << 6 | v;
            d->count++;
        }
        if (d->count == 4 || (v == 64 && d->count))
            written += close_group(d, out + written);
    }
    if (st == LMAIL_OK && end && d->count) {
        if (cap - written < 3)
            st = LMAIL_MORE;
        else
            written += close_group(d, out + written);
    }
    *used = at;
    *made = written;
    return st;
}
