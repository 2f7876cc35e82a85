/* codec_utf8.c - UTF-8 octets and code points (RFC 3629).
 *
 * Called by whoever must know that text is UTF-8 before it keeps or sends it. No allocation. */
#include <libmail/codec.h>

#include <string.h>

/* Octets of the sequence that `lead` begins, and the bounds of its second octet, which keep out
 * overlong forms, surrogates and what lies above U+10FFFF (RFC 3629 §4). 0: no lead octet. */
static size_t lead_bounds(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    if (lead < 0xe0)
        return 2;
    if (lead < 0xf0) {
        if (lead == 0xe0)
            *low = 0xa0;
        if (lead == 0xed)
            *high = 0x9f;
        return 3;
    }
    if (lead == 0xf0)
        *low = 0x90;
    if (lead == 0xf4)
        *high = 0x8f;
    return 4;
}

size_t lmail_utf8_get(lmail_str in, uint32_t *point, int *good)
{
    *point = LMAIL_UTF8_BAD;
    *good = 0;
    if (!in.len)
        return 0;
    const unsigned char *p = (const unsigned char *)in.ptr;
    unsigned char low, high;
    size_t need = lead_bounds(p[0], &low, &high);
    if (need <= 1) {
        if (need == 1) {
            *point = p[0];
            *good = 1;
        }
        return 1;
    }
    uint32_t value = p[0] & (0xffu >> (need + 1));
    for (size_t i = 1; i < need; i++) {
        if (i == in.len)
            return 0;
        if (p[i] < low || p[i] > high)
            return i;
        value = value << 6 | (p[i] & 0x3fu);
        low = 0x80;
        high = 0xbf;
    }
    *point = value;
    *good = 1;
    return need;
}

int lmail_utf8_valid(lmail_str in)
{
    while (in.len) {
        /* Eight ASCII octets at once: most text is nothing else. */
        uint64_t word;
        if (in.len >= sizeof word) {
            memcpy(&word, in.ptr, sizeof word);
            if (!(word & UINT64_C(0x8080808080808080))) {
                in.ptr += sizeof word;
                in.len -= sizeof word;
                continue;
            }
        }
        uint32_t point;
        int good;
        size_t n = lmail_utf8_get(in, &point, &good);
        if (!good)
            return 0;
        in.ptr += n;
        in.len -= n;
    }
    return 1;
}

size_t lmail_utf8_write(uint32_t point, char *out)
{
    unsigned char *p = (unsigned char *)out;
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        point = LMAIL_UTF8_BAD;
    if (point < 0x80) {
        p[0] = (unsigned char)point;
        return 1;
    }
    size_t len = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--) {
        p[i] = (unsigned char)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    p[0] = (unsigned char)(0xf00u >> len | point);
    return len;
}
