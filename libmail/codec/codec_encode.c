/* codec_encode.c - quoted-printable and base64 in pieces (RFC 2045 §6.7, §6.8).
 *
 * Called by who writes message bodies, and by lmail_qp_encode for a whole text. What decides about an
 * octet may stand behind it - white space in front of a line end, a CR without LF -, so the encoder
 * keeps one octet, and a CR, back. */
#include <libmail/codec.h>
#include <libmail/codec_encode.h>

#include <string.h>

/* No step makes more: two octets in hex, each behind a soft line break, and a line end. */
#define STEP 16u

typedef struct writer {
    char *out;
    size_t made;
} writer;

static void put(writer *w, const char *ptr, size_t len)
{
    memcpy(w->out + w->made, ptr, len);
    w->made += len;
}

/* The octet that was kept back. last: a line end or the end of all follows. */
static void put_held(lmail_qp_encoder *e, writer *w, int last)
{
    static const char digits[] = "0123456789ABCDEF";
    if (!e->has_held)
        return;
    unsigned char c = e->held;
    e->has_held = 0;
    /* Rule 3: white space that ends a line is encoded. */
    int self = (c > 32 && c < 127 && c != '=') || ((c == ' ' || c == '\t') && !last);
    unsigned width = self ? 1 : 3;
    /* Rule 5: 76 octets with the "=" of a soft break. */
    if (e->column + width > (last ? 76u : 75u)) {
        put(w, "=\r\n", 3);
        e->column = 0;
    }
    char octet[3] = {'=', digits[c >> 4], digits[c & 15]};
    if (self)
        octet[0] = (char)c;
    put(w, octet, width);
    e->column += width;
}

static void hold(lmail_qp_encoder *e, writer *w, char c)
{
    put_held(e, w, 0);
    e->held = (unsigned char)c;
    e->has_held = 1;
}

static void qp_step(lmail_qp_encoder *e, writer *w, char c)
{
    if (e->cr) {
        e->cr = 0;
        if (c == '\n') {
            put_held(e, w, 1);
            put(w, "\r\n", 2);
            e->column = 0;
            return;
        }
        hold(e, w, '\r');
    }
    if (e->text && c == '\r')
        e->cr = 1;
    else
        hold(e, w, c);
}

lmail_status lmail_qp_encode_some(lmail_qp_encoder *e, lmail_str in, int end, size_t *used,
                                  char *out, size_t cap, size_t *made)
{
    writer w = {out, 0};
    size_t at = 0;
    while (at < in.len && cap - w.made >= STEP)
        qp_step(e, &w, in.ptr[at++]);
    lmail_status st = at < in.len ? LMAIL_MORE : LMAIL_OK;
    if (st == LMAIL_OK && end && (e->cr || e->has_held)) {
        if (cap - w.made >= STEP) {
            if (e->cr)
                hold(e, &w, '\r');
            e->cr = 0;
            put_held(e, &w, 1);
        } else {
            st = LMAIL_MORE;
        }
    }
    *used = at;
    *made = w.made;
    return st;
}

static void put_group(lmail_base64_encoder *e, writer *w)
{
    size_t made;
    if (e->column == 76) {
        put(w, "\r\n", 2);
        e->column = 0;
    }
    lmail_base64_encode((lmail_str){e->group, e->count}, w->out + w->made, 4, &made);
    w->made += made;
    e->column += 4;
    e->count = 0;
}

lmail_status lmail_base64_encode_some(lmail_base64_encoder *e, lmail_str in, int end, size_t *used,
                                      char *out, size_t cap, size_t *made)
{
    writer w = {out, 0};
    size_t at = 0;
    while (at < in.len && cap - w.made >= STEP) {
        e->group[e->count++] = in.ptr[at++];
        if (e->count == 3)
            put_group(e, &w);
    }
    lmail_status st = at < in.len ? LMAIL_MORE : LMAIL_OK;
    if (st == LMAIL_OK && end && e->count) {
        if (cap - w.made >= STEP)
            put_group(e, &w);
        else
            st = LMAIL_MORE;
    }
    *used = at;
    *made = w.made;
    return st;
}
