/* mime_downgrade_write.c - the second pass of a downgrade to 7 bits: the message goes by again, between
 * the offsets that the parser found.
 *
 * Headers go through the filter, which changes what a plan says; bodies are encoded or pass; what is
 * between parts passes. RFC 2045 §5, §6; RFC 2046 §5.1.1; RFC 1428 §3; RFC 5322 §2.1.1. */
#include "mime_downgrade_internal.h"

#include <string.h>

#define LONGEST 998u
#define FOLD 900u /* a header line of so many octets is folded at the next blank */

/* All that goes out goes this way: what may not, never does. */
static void put(lmail_mime_downgrade *d, lmail_str octets)
{
    for (size_t i = 0; i < octets.len && !d->st; i++) {
        unsigned char c = (unsigned char)octets.ptr[i];
        if (c == '\n')
            d->out_column = 0;
        else if (c > 127 || !c || (++d->out_column > LONGEST && c != '\r'))
            d->st = LMAIL_ERR_UNSUPPORTED;
    }
    if (!octets.len || d->st)
        return;
    d->last = (unsigned char)octets.ptr[octets.len - 1];
    d->after_body = 0;
    d->st = d->config.sink(d->config.ctx, octets);
}

/* ---- Headers --------------------------------------------------------------------------------- */

/* Octets of a header: long lines are folded. */
static lmail_status put_header(void *ctx, lmail_str in)
{
    lmail_mime_downgrade *d = ctx;
    size_t from = 0;
    for (size_t i = 0; i < in.len && !d->st; i++) {
        char c = in.ptr[i];
        if (c == '\n') {
            d->column = 0;
        } else if ((c == ' ' || c == '\t') && d->column > FOLD) {
            put(d, lmi_str_sub(in, from, i - from));
            put(d, LMAIL_STR("\r\n"));
            from = i;
            d->column = 1;
        } else {
            d->column++;
        }
    }
    put(d, lmi_str_skip(in, from));
    return d->st;
}

static lmi_mime_filter_word on_name(void *ctx, lmail_str name)
{
    lmail_mime_downgrade *d = ctx;
    unsigned plan = d->plans[d->part];
    if (lmi_mime_is(name, "mime-version"))
        d->has_version = 1;
    if (lmi_mime_is(name, "content-type"))
        d->has_type = 1;
    return plan & (LMI_DOWN_ENCODE | LMI_DOWN_RELABEL) &&
                   lmi_mime_is(name, "content-transfer-encoding")
               ? LMI_MIME_DROP
               : LMI_MIME_PASS;
}

static void on_header_end(void *ctx, lmi_mime_filter *f)
{
    lmail_mime_downgrade *d = ctx;
    unsigned plan = d->plans[d->part];
    d->added = 1;
    if (plan & LMI_DOWN_VERSION && !d->has_version)
        lmi_mime_filter_put(f, LMAIL_STR("MIME-Version: 1.0\r\n"));
    if (plan & LMI_DOWN_ENCODE && !d->has_type)
        lmi_mime_filter_put(f, LMAIL_STR("Content-Type: text/plain; charset=unknown-8bit\r\n"));
    if (!(plan & (LMI_DOWN_ENCODE | LMI_DOWN_RELABEL)))
        return;
    lmi_mime_filter_put(f, LMAIL_STR("Content-Transfer-Encoding: "));
    lmi_mime_filter_put(f, !(plan & LMI_DOWN_ENCODE)  ? LMAIL_STR("7bit\r\n")
                           : (plan & LMI_DOWN_BASE64) ? LMAIL_STR("base64\r\n")
                                                      : LMAIL_STR("quoted-printable\r\n"));
}

static void begin_header(lmail_mime_downgrade *d)
{
    d->part = d->next++;
    d->where = LMI_DOWN_HEADER;
    d->column = 0;
    d->in_body = d->has_version = d->has_type = d->added = 0;
    lmi_mime_filter_reset(&d->filter);
}

static void write_header(lmail_mime_downgrade *d, lmail_str in)
{
    size_t used = 0;
    if (!d->in_body) {
        lmail_status st = lmi_mime_filter_feed(&d->filter, in, &used);
        if (st == LMAIL_END)
            d->in_body = 1; /* a header without fields */
        else if (st && !d->st)
            d->st = st;
    }
    (void)put_header(d, lmi_str_skip(in, used));
}

static void end_header(lmail_mime_downgrade *d)
{
    const lmail_mime_part *part = &d->parts.part[d->part];
    unsigned plan = d->plans[d->part];
    int bare = part->body_begin == part->header_begin;
    if (!bare && !d->in_body) { /* the message or the part ended within it */
        lmail_status st = lmi_mime_filter_end(&d->filter);
        if (st && !d->st)
            d->st = st;
    }
    if (!d->added && plan & (LMI_DOWN_ENCODE | LMI_DOWN_VERSION))
        d->st = d->st ? d->st : LMAIL_ERR_UNSUPPORTED; /* a header that nothing can be added to */
    d->column = 0;
    d->where = part->kind == LMAIL_MIME_LEAF ? LMI_DOWN_BODY : LMI_DOWN_GAP;
    if (part->kind != LMAIL_MIME_LEAF && plan & LMI_DOWN_SIGNED && d->at >= d->signed_until)
        d->signed_until = part->body_end;
    if (d->where != LMI_DOWN_BODY || !(plan & LMI_DOWN_ENCODE))
        return;
    memset(&d->encoder, 0, sizeof d->encoder);
    d->encoder.encoding = plan & LMI_DOWN_BASE64 ? LMAIL_MIME_BASE64 : LMAIL_MIME_QUOTED_PRINTABLE;
    d->encoder.text = 1;
    lmi_decoder_init(&d->decoder, NULL, (lmail_mime_encoding)part->encoding, (lmail_str){NULL, 0},
                     LMAIL_MIME_DECODE_OCTETS);
}

/* ---- Bodies ---------------------------------------------------------------------------------- */

static void encode(lmail_mime_downgrade *d, lmail_str in, int end)
{
    char out[4096];
    lmail_status st = LMAIL_MORE;
    while (st == LMAIL_MORE && !d->st) {
        size_t used, made;
        st = lmail_mime_encode_some(&d->encoder, in, end, &used, out, sizeof out, &made);
        in = lmi_str_skip(in, used);
        put(d, (lmail_str){out, made});
    }
}

static void encode_body(lmail_mime_downgrade *d, lmail_str in, int end)
{
    const lmail_mime_part *part = &d->parts.part[d->part];
    char plain[4096];
    lmail_status st = LMAIL_MORE;
    if (part->encoding != LMAIL_MIME_QUOTED_PRINTABLE && part->encoding != LMAIL_MIME_BASE64) {
        encode(d, in, end);
        return;
    }
    while (st == LMAIL_MORE && !d->st) {
        size_t used, made;
        st = lmi_decoder_feed(&d->decoder, in, end, &used, plain, sizeof plain, &made);
        in = lmi_str_skip(in, used);
        encode(d, (lmail_str){plain, made}, end && st != LMAIL_MORE);
    }
}

static void write_body(lmail_mime_downgrade *d, lmail_str in)
{
    if (d->plans[d->part] & LMI_DOWN_ENCODE)
        encode_body(d, in, 0);
    else
        put(d, in);
}

static void end_body(lmail_mime_downgrade *d)
{
    if (d->plans[d->part] & LMI_DOWN_ENCODE) {
        encode_body(d, (lmail_str){NULL, 0}, 1);
        lmi_decoder_done(&d->decoder);
        d->after_body = d->last != '\n';
    }
    d->where = LMI_DOWN_GAP;
    d->column = 0;
}

/* ---- Between parts --------------------------------------------------------------------------- */

/* Delimiters, and what stands around them: nobody's content. */
static void write_gap(lmail_mime_downgrade *d, lmail_str in)
{
    size_t from = 0;
    for (size_t i = 0; i < in.len; i++) {
        unsigned char c = (unsigned char)in.ptr[i];
        int bad = c > 127 || !c;
        if (c == '\n')
            d->column = 0;
        else
            d->column++;
        /* what goes on in a new line must not begin a delimiter: a blank in front */
        int full = d->column > LONGEST && c != '\r';
        if (!bad && !full)
            continue;
        put(d, lmi_str_sub(in, from, i - from));
        from = i;
        if (full) {
            put(d, LMAIL_STR("\r\n "));
            d->column = 2;
        }
        if (bad) {
            put(d, LMAIL_STR("?"));
            from = i + 1;
        }
    }
    put(d, lmi_str_skip(in, from));
}

/* ---- The walk -------------------------------------------------------------------------------- */

/* Where what we are in ends. */
static uint64_t end_of(const lmail_mime_downgrade *d)
{
    if (d->where == LMI_DOWN_HEADER)
        return d->parts.part[d->part].body_begin;
    if (d->where == LMI_DOWN_BODY)
        return d->parts.part[d->part].body_end;
    return d->next < d->parts.count ? d->parts.part[d->next].header_begin : UINT64_MAX;
}

static void step(lmail_mime_downgrade *d)
{
    if (d->where == LMI_DOWN_HEADER)
        end_header(d);
    else if (d->where == LMI_DOWN_BODY)
        end_body(d);
    else
        begin_header(d);
}

void lmi_down_write_begin(lmail_mime_downgrade *d)
{
    const lmi_mime_filter_user user = {d, on_name, NULL, on_header_end, put_header, d};
    lmi_mime_filter_init(&d->filter, &user, &d->config.alloc, 0);
    d->at = 0;
    d->part = d->next = 0;
    d->where = LMI_DOWN_GAP;
    while (end_of(d) <= d->at && !d->st)
        step(d);
}

void lmi_down_write(lmail_mime_downgrade *d, lmail_str in)
{
    while (in.len && !d->st) {
        uint64_t end = end_of(d);
        size_t n = end - d->at < in.len ? (size_t)(end - d->at) : in.len;
        lmail_str some = lmi_str_sub(in, 0, n);
        if (d->at < d->signed_until) { /* nothing in it changes */
            if (d->signed_until - d->at < n)
                some.len = n = (size_t)(d->signed_until - d->at);
            put(d, some);
        } else if (d->where == LMI_DOWN_HEADER) {
            write_header(d, some);
        } else if (d->where == LMI_DOWN_BODY) {
            write_body(d, some);
        } else {
            write_gap(d, some);
        }
        in = lmi_str_skip(in, n);
        d->at += n;
        while (end_of(d) <= d->at && !d->st)
            step(d);
    }
}

void lmi_down_write_end(lmail_mime_downgrade *d)
{
    if (d->next < d->parts.count || d->where != LMI_DOWN_GAP)
        d->st = LMAIL_ERR_CORRUPT;
    /* The message ended with a body that had no line end. base64 has none behind its last line;
     * quoted-printable has one that means nothing. */
    if (d->after_body)
        put(d, d->plans[d->part] & LMI_DOWN_BASE64 ? LMAIL_STR("\r\n") : LMAIL_STR("=\r\n"));
}
