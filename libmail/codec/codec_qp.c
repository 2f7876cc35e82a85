/* codec_qp.c - quoted-printable both ways (RFC 2045 §6.7).
 *
 * The decoder serves message bodies in pieces and takes whatever it is given; the encoder of a
 * whole text writes the canonical form. No allocation. */
#include <libmail/codec.h>
#include <libmail/codec_encode.h>

#include <string.h>

/* What stands before the next octet. HELD: white space is in d->hold. SOFT: behind "=" comes white
 * space or CR, which is kept in d->hold in case no line end follows. */
enum { PLAIN, HELD, EQUAL, DIGIT, SOFT };

typedef struct writer {
    char *out;
    size_t made;
} writer;

static void put(writer *w, const char *ptr, size_t len)
{
    memcpy(w->out + w->made, ptr, len);
    w->made += len;
}

static void put_held(lmail_qp_decoder *d, writer *w)
{
    put(w, d->hold, d->held);
    d->held = 0;
}

/* Octets from `at` that stand for themselves and end nothing. */
static size_t plain_run(lmail_str in, size_t at, size_t room)
{
    size_t from = at;
    size_t stop = in.len - at < room ? in.len : at + room;
    while (at < stop) {
        char c = in.ptr[at];
        if (c == '=' || c == ' ' || c == '\t' || c == '\r')
            break;
        at++;
    }
    return at - from;
}

/* White space or CR joins the held octets; without room for it they were no trailing space. */
static void hold(lmail_qp_decoder *d, writer *w, char c)
{
    if (d->held == sizeof d->hold)
        put_held(d, w);
    d->hold[d->held++] = c;
}

/* An octet behind white space. Returns 1 when it was taken. */
static int after_space(lmail_qp_decoder *d, writer *w, char c)
{
    if (c == ' ' || c == '\t' || c == '\r') {
        /* "  \r " : the CR ended no line, so all of it is text */
        if (d->hold[d->held - 1] == '\r')
            put_held(d, w);
        hold(d, w, c);
        return 1;
    }
    d->state = PLAIN;
    if (c == '\n') {
        int cr = d->hold[d->held - 1] == '\r';
        d->held = 0;
        put(w, cr ? "\r\n" : "\n", cr ? 2 : 1);
        return 1;
    }
    put_held(d, w);
    return 0;
}

/* An octet behind "=" and perhaps white space. Returns 1 when it was taken. */
static int after_equal(lmail_qp_decoder *d, writer *w, char c)
{
    if (c == '\n') {
        d->held = 0;
        d->state = PLAIN;
        return 1;
    }
    if (d->state == EQUAL && lmail_hex_value(c) >= 0) {
        d->first = c;
        d->state = DIGIT;
        return 1;
    }
    int space = c == ' ' || c == '\t' || c == '\r';
    if (space && d->held < sizeof d->hold && (!d->held || d->hold[d->held - 1] != '\r')) {
        d->hold[d->held++] = c;
        d->state = SOFT;
        return 1;
    }
    put(w, "=", 1);
    put_held(d, w);
    d->state = PLAIN;
    return 0;
}

static int after_digit(lmail_qp_decoder *d, writer *w, char c)
{
    int low = lmail_hex_value(c);
    d->state = PLAIN;
    if (low < 0) {
        char both[2] = {'=', d->first};
        put(w, both, 2);
        return 0;
    }
    char octet = (char)(unsigned char)(lmail_hex_value(d->first) << 4 | low);
    put(w, &octet, 1);
    return 1;
}

/* One octet in state PLAIN. */
static void plain(lmail_qp_decoder *d, writer *w, char c)
{
    if (c == '=') {
        d->state = EQUAL;
    } else if (c == ' ' || c == '\t' || c == '\r') {
        d->hold[d->held++] = c;
        d->state = HELD;
    } else {
        put(w, &c, 1);
    }
}

static void finish(lmail_qp_decoder *d, writer *w)
{
    /* A "=" at the very end is a soft line break whose line end was cut off. */
    if (d->state == HELD && d->hold[d->held - 1] == '\r')
        put(w, "\r", 1);
    if (d->state == DIGIT) {
        char both[2] = {'=', d->first};
        put(w, both, 2);
    }
    d->held = 0;
    d->state = PLAIN;
}

lmail_status lmail_qp_decode_some(lmail_qp_decoder *d, lmail_str in, int end, size_t *used,
                                  char *out, size_t cap, size_t *made)
{
    /* No step makes more than the held octets and three. */
    const size_t step = sizeof d->hold + 4;
    writer w = {out, 0};
    size_t at = 0;
    while (at < in.len && cap - w.made >= step) {
        if (d->state == PLAIN) {
            size_t n = plain_run(in, at, cap - w.made);
            if (n) {
                put(&w, in.ptr + at, n);
                at += n;
                continue;
            }
        }
        char c = in.ptr[at];
        int taken = 1;
        if (d->state == PLAIN)
            plain(d, &w, c);
        else if (d->state == HELD)
            taken = after_space(d, &w, c);
        else if (d->state == DIGIT)
            taken = after_digit(d, &w, c);
        else
            taken = after_equal(d, &w, c);
        at += (size_t)taken;
    }
    lmail_status st = at < in.len ? LMAIL_MORE : LMAIL_OK;
    if (st == LMAIL_OK && end) {
        if (cap - w.made >= step)
            finish(d, &w);
        else if (d->state != PLAIN)
            st = LMAIL_MORE;
    }
    *used = at;
    *made = w.made;
    return st;
}

/* Counts what does not fit. */
lmail_status lmail_qp_encode(lmail_str in, int text, char *out, size_t cap, size_t *made)
{
    lmail_qp_encoder e = {.text = text != 0};
    char some[256];
    lmail_status st = LMAIL_MORE;
    *made = 0;
    while (st == LMAIL_MORE) {
        size_t used, n;
        st = lmail_qp_encode_some(&e, in, 1, &used, some, sizeof some, &n);
        in.ptr = in.len ? in.ptr + used : in.ptr;
        in.len -= used;
        if (*made <= cap && n <= cap - *made)
            memcpy(out + *made, some, n);
        *made += n;
    }
    return *made > cap ? LMAIL_ERR_LIMIT : LMAIL_OK;
}
