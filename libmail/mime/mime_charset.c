/* mime_charset.c - charsets to UTF-8 in pieces.
 *
 * UTF-8, ASCII and Latin-1 here; all others through lmail_env. Called by the decoders of header
 * words and bodies. Never fails: what cannot be read becomes U+FFFD. */
#include "mime_internal.h"

#include <string.h>

void lmi_charset_open(lmi_charset *c, const lmail_env *env, lmail_str name)
{
    c->env = env;
    c->converter = NULL;
    c->latin1 = 0;
    c->carried = 0;
    if (!name.len || lmail_str_equal_nocase(name, LMAIL_STR("utf-8")) ||
        lmail_str_equal_nocase(name, LMAIL_STR("us-ascii")) ||
        lmail_str_equal_nocase(name, LMAIL_STR("utf8")))
        return;
    if (lmail_str_equal_nocase(name, LMAIL_STR("iso-8859-1")) ||
        lmail_str_equal_nocase(name, LMAIL_STR("latin1"))) {
        c->latin1 = 1;
        return;
    }
    if (env && env->charset_open)
        c->converter = env->charset_open(env->ctx, name);
}

void lmi_charset_close(lmi_charset *c)
{
    if (c->converter && c->env->charset_close)
        c->env->charset_close(c->env->ctx, c->converter);
    c->converter = NULL;
}

static lmail_status from_latin1(lmail_str in, size_t *used, char *out, size_t cap, size_t *made)
{
    size_t at = 0, n = 0;
    while (at < in.len && cap - n >= 2)
        n += lmail_utf8_write((unsigned char)in.ptr[at++], out + n);
    *used = at;
    *made = n;
    return at < in.len ? LMAIL_MORE : LMAIL_OK;
}

/* ASCII octets at the start of `s`. */
static size_t ascii_run(lmail_str s)
{
    size_t at = 0;
    uint64_t word;
    while (s.len - at >= sizeof word) {
        memcpy(&word, s.ptr + at, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
        at += sizeof word;
    }
    while (at < s.len && (unsigned char)s.ptr[at] < 0x80)
        at++;
    return at;
}

static lmail_status from_utf8(lmail_str in, int end, size_t *used, char *out, size_t cap,
                              size_t *made)
{
    size_t at = 0, n = 0;
    while (at < in.len && cap - n >= 4) {
        lmail_str rest = lmi_str_skip(in, at);
        size_t run = ascii_run(lmi_str_sub(rest, 0, cap - n));
        if (run) {
            memcpy(out + n, rest.ptr, run);
            at += run;
            n += run;
            continue;
        }
        uint32_t point;
        int good;
        size_t len = lmail_utf8_get(rest, &point, &good);
        if (!len) {
            if (!end)
                break;
            len = rest.len;
        }
        n += lmail_utf8_write(point, out + n);
        at += len;
    }
    *used = at;
    *made = n;
    return at < in.len && cap - n < 4 ? LMAIL_MORE : LMAIL_OK;
}

/* OK: all is taken but the start of a sequence. */
static lmail_status convert(lmi_charset *c, lmail_str in, int end, size_t *used, char *out,
                            size_t cap, size_t *made)
{
    if (c->latin1)
        return from_latin1(in, used, out, cap, made);
    if (!c->converter || !c->env->charset_convert)
        return from_utf8(in, end, used, out, cap, made);
    lmail_status st =
        c->env->charset_convert(c->env->ctx, c->converter, in, end, used, out, cap, made);
    if (*used > in.len)
        *used = in.len;
    if (st == LMAIL_MORE && !*used && !*made && in.len) {
        /* a converter that makes nothing of this room never will */
        *made = lmail_utf8_write(LMAIL_UTF8_BAD, out);
        *used = 1;
    }
    return st == LMAIL_MORE ? LMAIL_MORE : LMAIL_OK;
}

/* Octets carried over go first, completed by some of `in`; *used is of `in`. */
static lmail_status convert_carried(lmi_charset *c, lmail_str in, int end, size_t *used, char *out,
                                    size_t cap, size_t *made)
{
    size_t old = c->carried;
    size_t fill = sizeof c->carry - old;
    if (fill > in.len)
        fill = in.len;
    if (fill)
        memcpy(c->carry + old, in.ptr, fill);
    size_t taken;
    int last = end && fill == in.len;
    lmail_status st = convert(c, (lmail_str){c->carry, old + fill}, last, &taken, out, cap, made);
    if (taken >= old) {
        /* the rest of what was filled in is still in `in` */
        c->carried = 0;
        *used = taken - old;
        return st;
    }
    if (!taken && !*made && st == LMAIL_OK && old + fill == sizeof c->carry) {
        /* no sequence is that long */
        *made = lmail_utf8_write(LMAIL_UTF8_BAD, out);
        c->carried = 0;
        *used = fill;
        return LMAIL_OK;
    }
    c->carried = old + fill - taken;
    memmove(c->carry, c->carry + taken, c->carried);
    *used = fill;
    return st;
}

lmail_status lmi_charset_convert(lmi_charset *c, lmail_str in, int end, size_t *used, char *out,
                                 size_t cap, size_t *made)
{
    size_t at = 0, n = 0;
    lmail_status st = LMAIL_OK;
    *used = *made = 0;
    while (at < in.len || (c->carried && end)) {
        lmail_str rest = lmi_str_skip(in, at);
        size_t took, gave;
        if (cap - n < 8) {
            st = LMAIL_MORE;
            break;
        }
        if (c->carried) {
            st = convert_carried(c, rest, end, &took, out + n, cap - n, &gave);
        } else {
            st = convert(c, rest, end, &took, out + n, cap - n, &gave);
            size_t left = rest.len - took;
            if (st == LMAIL_OK && left) {
                if (left > sizeof c->carry - 1) /* a converter that stops early */
                    left = sizeof c->carry - 1;
                memcpy(c->carry, rest.ptr + took, left);
                c->carried = left;
                took += left;
            }
        }
        at += took;
        n += gave;
        if (st == LMAIL_MORE)
            break;
        if (!took && !gave)
            break; /* the carried start needs more input */
    }
    /* A stateful charset may have something to say at the end. */
    if (st == LMAIL_OK && end && c->converter && !in.len && cap - n >= 8) {
        size_t took, gave;
        st = convert(c, (lmail_str){NULL, 0}, 1, &took, out + n, cap - n, &gave);
        n += gave;
    }
    *used = at;
    *made = n;
    return st;
}
