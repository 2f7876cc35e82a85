/* mime_write_body.c - what a multipart is made of besides fields: boundaries that do not occur in what
 * they enclose (RFC 2046 §5.1.1), the encoding a body needs, its encoding (RFC 2045 §6).
 *
 * Who writes a part scans its octets first, as they will be written before any encoding: an encoded
 * body holds no line that begins like one of our boundaries, because "=_" occurs in none. */
#include "mime_write_internal.h"

#include <string.h>

static const char suffixes[65] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";

/* An octet of a line, its end not among them. */
static void scan_octet(lmail_mime_scan *s, unsigned char c)
{
    size_t at = s->column++;
    if (c > 127)
        s->high++;
    else if ((c < 32 && c != '\t') || c == 127)
        s->control++;
    if (!c)
        s->has_nul = 1;
    if (!s->prefix.len || s->matched != at)
        return;
    /* "--", prefix, and the octet that tells. */
    if (at < 2 ? c == '-' : at - 2 < s->prefix.len && (char)c == s->prefix.ptr[at - 2])
        s->matched++;
    else if (at == s->prefix.len + 2 && c && memchr(suffixes, c, 64))
        s->taken[0] |= UINT64_C(1) << ((const char *)memchr(suffixes, c, 64) - suffixes);
}

static void scan_line_end(lmail_mime_scan *s)
{
    if (s->column > s->longest)
        s->longest = s->column;
    if (!s->column && !s->header)
        s->header = s->octets;
    s->column = s->matched = 0;
}

void lmail_mime_scan_feed(lmail_mime_scan *s, lmail_str in)
{
    for (size_t i = 0; i < in.len; i++) {
        unsigned char c = (unsigned char)in.ptr[i];
        s->octets++;
        /* A bare one counts as a line end too: some reader will take it for one. */
        if (c == '\n') {
            s->has_nul |= !s->cr;
            scan_line_end(s);
            s->cr = 0;
            continue;
        }
        if (s->cr) {
            s->has_nul = 1;
            s->column = s->matched = 0;
        }
        s->cr = c == '\r';
        if (!s->cr)
            scan_octet(s, c);
    }
    if (s->column > s->longest)
        s->longest = s->column;
}

lmail_mime_encoding lmail_mime_scan_encoding(const lmail_mime_scan *s, unsigned allow_8bit)
{
    if (s->longest <= 998 && !s->has_nul && !s->cr) {
        if (!s->high)
            return LMAIL_MIME_7BIT;
        if (allow_8bit)
            return LMAIL_MIME_8BIT;
    }
    /* Quoted-printable takes three octets for such a one, base64 four for any three. */
    return s->high + s->control > s->octets / 6 ? LMAIL_MIME_BASE64 : LMAIL_MIME_QUOTED_PRINTABLE;
}

void lmail_mime_boundary_prefix(lmail_str seed, char *out)
{
    uint64_t hash = LMI_MIME_HASH_START;
    for (size_t i = 0; i < seed.len; i++)
        hash = lmi_mime_hash(hash, seed.ptr[i]);
    out[0] = '=';
    out[1] = '_';
    for (size_t i = 2; i < LMAIL_MIME_BOUNDARY_PREFIX; i++) {
        /* Each octet of the seed again, so that all of it counts in every place. */
        hash = lmi_mime_hash(hash, seed.len ? seed.ptr[i % seed.len] : '\0');
        out[i] = suffixes[(hash ^ hash >> 29) % 62];
    }
}

lmail_status lmail_mime_boundary_write(lmail_str prefix, uint64_t taken, char *out)
{
    for (unsigned i = 0; i < 64; i++) {
        if (taken >> i & 1)
            continue;
        if (prefix.len)
            memcpy(out, prefix.ptr, prefix.len);
        out[prefix.len] = suffixes[i];
        return LMAIL_OK;
    }
    return LMAIL_ERR_EXISTS;
}

lmail_status lmail_mime_delimiter_write(lmail_mime_writer *w, lmail_str boundary, unsigned last)
{
    if (!boundary.len || boundary.len > 70 || !lmi_mime_is_line(boundary, 0) ||
        boundary.ptr[boundary.len - 1] == ' ')
        return LMAIL_ERR_ARG;
    lmi_mime_w_put(w, LMAIL_STR("\r\n--"));
    lmi_mime_w_put(w, boundary);
    if (last)
        lmi_mime_w_put(w, LMAIL_STR("--"));
    return lmi_mime_w_end(w);
}

lmail_status lmail_mime_blank_write(lmail_mime_writer *w)
{
    return lmi_mime_w_end(w);
}

lmail_status lmail_mime_encode_some(lmail_mime_encoder *e, lmail_str in, int end, size_t *used,
                                    char *out, size_t cap, size_t *made)
{
    e->qp.text = e->text;
    if (e->encoding == LMAIL_MIME_QUOTED_PRINTABLE)
        return lmail_qp_encode_some(&e->qp, in, end, used, out, cap, made);
    if (e->encoding == LMAIL_MIME_BASE64)
        return lmail_base64_encode_some(&e->base64, in, end, used, out, cap, made);
    *used = *made = in.len < cap ? in.len : cap;
    if (*made)
        memcpy(out, in.ptr, *made);
    return *used < in.len ? LMAIL_MORE : LMAIL_OK;
}
