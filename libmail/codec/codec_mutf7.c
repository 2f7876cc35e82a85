/* codec_mutf7.c - the modified UTF-7 of mailbox names (RFC 3501 §5.1.3).
 *
 * Strict both ways: decode refuses every text that encode would not write, because two texts for
 * one mailbox name are two mailboxes to somebody. No allocation. */
#include <libmail/codec.h>

#include <string.h>

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == ',' ? 63 : -1;
}

static int stands_for_itself(uint32_t point)
{
    return point >= 0x20 && point <= 0x7e;
}

typedef struct writer {
    char *out;
    size_t cap, made;
} writer;

static lmail_status put(writer *w, const char *ptr, size_t len)
{
    if (len > w->cap - w->made)
        return LMAIL_ERR_LIMIT;
    memcpy(w->out + w->made, ptr, len);
    w->made += len;
    return LMAIL_OK;
}

/* UTF-16 units out of a base64 run, surrogates joined. */
typedef struct shifted {
    uint32_t bits;
    unsigned count; /* bits not used yet */
    uint32_t high;  /* a high surrogate waits for its low one; 0: none */
    size_t points;
} shifted;

static lmail_status take_unit(shifted *s, uint32_t unit, writer *w)
{
    uint32_t point = unit;
    if (s->high) {
        if (unit < 0xdc00 || unit > 0xdfff)
            return LMAIL_ERR_SYNTAX;
        point = 0x10000 + ((s->high - 0xd800) << 10) + (unit - 0xdc00);
        s->high = 0;
    } else if (unit >= 0xd800 && unit <= 0xdbff) {
        s->high = unit;
        return LMAIL_OK;
    } else if (unit >= 0xdc00 && unit <= 0xdfff) {
        return LMAIL_ERR_SYNTAX;
    }
    /* "Modified BASE64 MUST NOT be used to represent any printing US-ASCII character" */
    if (stands_for_itself(point))
        return LMAIL_ERR_SYNTAX;
    s->points++;
    char text[4];
    return put(w, text, lmail_utf8_write(point, text));
}

/* The run behind "&"; *at stands behind its "-" afterwards. */
static lmail_status decode_run(lmail_str in, size_t *at, writer *w)
{
    shifted s = {0, 0, 0, 0};
    for (; *at < in.len && in.ptr[*at] != '-'; ++*at) {
        int value = value_of(in.ptr[*at]);
        if (value < 0)
            return LMAIL_ERR_SYNTAX;
        s.bits = s.bits << 6 | (uint32_t)value;
        s.count += 6;
        if (s.count < 16)
            continue;
        s.count -= 16;
        lmail_status st = take_unit(&s, s.bits >> s.count & 0xffff, w);
        if (st)
            return st;
        s.bits &= (1u << s.count) - 1;
    }
    /* "names MUST end in US-ASCII"; left over are only zero bits, fewer than a character's. */
    if (*at == in.len || s.high || s.count >= 6 || s.bits || !s.points)
        return LMAIL_ERR_SYNTAX;
    ++*at;
    return LMAIL_OK;
}

lmail_status lmail_mutf7_decode(lmail_str in, char *out, size_t cap, size_t *made)
{
    writer w = {out, cap, 0};
    lmail_status st = LMAIL_OK;
    size_t at = 0;
    size_t run_end = SIZE_MAX; /* where the last base64 run ended */
    while (at < in.len && !st) {
        char c = in.ptr[at++];
        if (!stands_for_itself((unsigned char)c)) {
            st = LMAIL_ERR_SYNTAX;
        } else if (c != '&') {
            st = put(&w, &c, 1);
        } else if (at < in.len && in.ptr[at] == '-') {
            st = put(&w, "&", 1);
            at++;
        } else if (run_end == at - 1) {
            st = LMAIL_ERR_SYNTAX; /* "superfluous shifts MUST NOT be used" */
        } else {
            st = decode_run(in, &at, &w);
            run_end = at;
        }
    }
    *made = w.made;
    return st;
}

static lmail_status encode_unit(shifted *s, uint32_t unit, writer *w)
{
    s->bits = s->bits << 16 | unit;
    s->count += 16;
    lmail_status st = LMAIL_OK;
    while (s->count >= 6 && !st) {
        s->count -= 6;
        st = put(w, &alphabet[s->bits >> s->count & 63], 1);
        s->bits &= (1u << s->count) - 1;
    }
    return st;
}

/* Characters from *at that need base64, with the "&" and "-" around them. */
static lmail_status encode_run(lmail_str in, size_t *at, writer *w)
{
    shifted s = {0, 0, 0, 0};
    lmail_status st = put(w, "&", 1);
    while (!st && *at < in.len) {
        uint32_t point;
        int good;
        size_t n = lmail_utf8_get((lmail_str){in.ptr + *at, in.len - *at}, &point, &good);
        if (!good)
            return LMAIL_ERR_SYNTAX;
        if (stands_for_itself(point))
            break;
        *at += n;
        if (point >= 0x10000) {
            st = encode_unit(&s, 0xd800 + ((point - 0x10000) >> 10), w);
            point = 0xdc00 + ((point - 0x10000) & 0x3ff);
        }
        if (!st)
            st = encode_unit(&s, point, w);
    }
    if (!st && s.count)
        st = put(w, &alphabet[s.bits << (6 - s.count) & 63], 1);
    return st ? st : put(w, "-", 1);
}

lmail_status lmail_mutf7_encode(lmail_str in, char *out, size_t cap, size_t *made)
{
    writer w = {out, cap, 0};
    lmail_status st = LMAIL_OK;
    size_t at = 0;
    while (at < in.len && !st) {
        char c = in.ptr[at];
        if (!stands_for_itself((unsigned char)c)) {
            st = encode_run(in, &at, &w);
            continue;
        }
        st = c == '&' ? put(&w, "&-", 2) : put(&w, &c, 1);
        at++;
    }
    *made = w.made;
    return st;
}
