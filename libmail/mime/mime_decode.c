/* mime_decode.c - bodies: transfer encoding (RFC 2045 §6) off, charset to UTF-8, in pieces.
 *
 * Called by the preview and the matcher while a message streams, and by hosts for BINARY and their
 * own text indexes. Memory is one fixed block. */
#include "mime_internal.h"

#include <string.h>

struct lmail_mime_decoder {
    lmail_alloc alloc;
    lmi_decoder d;
};

void lmi_decoder_init(lmi_decoder *d, const lmail_env *env, lmail_mime_encoding encoding,
                      lmail_str charset, unsigned flags)
{
    memset(d, 0, sizeof *d);
    d->encoding = encoding;
    d->octets_only = (flags & LMAIL_MIME_DECODE_OCTETS) != 0;
    if (!d->octets_only)
        lmi_charset_open(&d->charset, env, charset);
}

void lmi_decoder_done(lmi_decoder *d)
{
    if (!d->octets_only)
        lmi_charset_close(&d->charset);
}

static int is_identity(const lmi_decoder *d)
{
    return d->encoding != LMAIL_MIME_BASE64 && d->encoding != LMAIL_MIME_QUOTED_PRINTABLE;
}

static lmail_status undo_encoding(lmi_decoder *d, lmail_str in, int end, size_t *used, char *out,
                                  size_t cap, size_t *made)
{
    if (d->encoding == LMAIL_MIME_BASE64)
        return lmail_base64_decode_some(&d->base64, in, end, used, out, cap, made);
    if (d->encoding == LMAIL_MIME_QUOTED_PRINTABLE)
        return lmail_qp_decode_some(&d->qp, in, end, used, out, cap, made);
    size_t n = in.len < cap ? in.len : cap;
    if (n)
        memcpy(out, in.ptr, n);
    *used = *made = n;
    return n < in.len ? LMAIL_MORE : LMAIL_OK;
}

/* The decoded octets that wait in `mid`, as far as the output takes them. */
static void drain(lmi_decoder *d, int end, char *out, size_t cap, size_t *made)
{
    lmail_str mid = {d->mid + d->mid_at, d->mid_len - d->mid_at};
    size_t used;
    if (d->octets_only) {
        used = mid.len < cap ? mid.len : cap;
        memcpy(out, mid.ptr, used);
        *made = used;
    } else {
        lmi_charset_convert(&d->charset, mid, end, &used, out, cap, made);
    }
    d->mid_at += used;
    if (d->mid_at == d->mid_len)
        d->mid_at = d->mid_len = 0;
}

lmail_status lmi_decoder_feed(lmi_decoder *d, lmail_str in, int end, size_t *used, char *out,
                              size_t cap, size_t *made)
{
    if (is_identity(d)) {
        if (d->octets_only)
            return undo_encoding(d, in, end, used, out, cap, made);
        return lmi_charset_convert(&d->charset, in, end, used, out, cap, made);
    }
    size_t n = 0;
    *used = 0;
    for (;;) {
        if (d->mid_len) {
            size_t gave;
            drain(d, 0, out + n, cap - n, &gave);
            n += gave;
            if (d->mid_len) {
                *made = n;
                return LMAIL_MORE;
            }
        }
        if (!in.len && (!end || d->flushed))
            break;
        size_t took;
        lmail_status st = undo_encoding(d, in, end, &took, d->mid, sizeof d->mid, &d->mid_len);
        *used += took;
        in = lmi_str_skip(in, took);
        if (end && st == LMAIL_OK)
            d->flushed = 1;
    }
    lmail_status st = LMAIL_OK;
    if (end && !d->octets_only) {
        size_t took, gave;
        st = lmi_charset_convert(&d->charset, in, 1, &took, out + n, cap - n, &gave);
        n += gave;
    }
    *made = n;
    return st;
}

lmail_status lmail_mime_decoder_new(lmail_mime_decoder **out, const lmail_alloc *alloc,
                                    const lmail_env *env, lmail_mime_encoding encoding,
                                    lmail_str charset, unsigned flags)
{
    lmail_alloc a = lmi_alloc_resolve(alloc);
    *out = NULL;
    if (encoding >= LMAIL_MIME_ENCODING_UNKNOWN)
        return LMAIL_ERR_UNSUPPORTED;
    lmail_mime_decoder *d = lmi_malloc(&a, sizeof *d);
    if (!d)
        return LMAIL_ERR_NOMEM;
    d->alloc = a;
    lmi_decoder_init(&d->d, env, encoding, charset, flags);
    *out = d;
    return LMAIL_OK;
}

void lmail_mime_decoder_free(lmail_mime_decoder *d)
{
    if (!d)
        return;
    lmail_alloc a = d->alloc;
    lmi_decoder_done(&d->d);
    lmi_free(&a, d, sizeof *d);
}

lmail_status lmail_mime_decoder_feed(lmail_mime_decoder *d, lmail_str in, int end, size_t *used,
                                     char *out, size_t cap, size_t *made)
{
    return lmi_decoder_feed(&d->d, in, end, used, out, cap, made);
}
