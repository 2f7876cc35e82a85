/* downgrade_check.c - a message made one of 7 bits, and what must be true of the two. */
#include "downgrade_check.h"

#include <libmail/mime.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lmail_status gather(void *ctx, lmail_str octets)
{
    downgrade_result *r = ctx;
    r->octets = realloc(r->octets, r->len + octets.len + 1);
    memcpy(r->octets + r->len, octets.ptr, octets.len);
    r->len += octets.len;
    r->octets[r->len] = 0;
    return LMAIL_OK;
}

downgrade_result downgrade_run(lmail_str message, size_t piece)
{
    downgrade_result r = {LMAIL_OK, NULL, 0};
    lmail_mime_downgrade_config c = LMAIL_MIME_DOWNGRADE_CONFIG_INIT;
    lmail_mime_downgrade *d;
    c.sink = gather;
    c.ctx = &r;
    r.status = lmail_mime_downgrade_new(&d, &c);
    for (int pass = 0; pass < 2 && !r.status; pass++) {
        for (size_t at = 0; at < message.len && !r.status;) {
            size_t n = piece && piece < message.len - at ? piece : message.len - at;
            const lmail_str some = {message.ptr + at, n};
            r.status =
                pass ? lmail_mime_downgrade_feed(d, some) : lmail_mime_downgrade_look(d, some);
            at += n;
        }
        if (!r.status)
            r.status = pass ? lmail_mime_downgrade_end(d) : lmail_mime_downgrade_look_end(d);
    }
    lmail_mime_downgrade_free(d);
    if (r.status) {
        free(r.octets);
        r.octets = NULL;
        r.len = 0;
    }
    return r;
}

static lmail_mime_parser *parse(lmail_str message)
{
    lmail_mime_config c = LMAIL_MIME_CONFIG_INIT;
    lmail_mime_parser *p;
    if (lmail_mime_parser_new(&p, &c) || lmail_mime_parser_feed(p, message) ||
        lmail_mime_parser_end(p))
        abort();
    return p;
}

/* The leaf's content, malloc'ed. */
static char *decode(lmail_str message, const lmail_mime_part *part, size_t *len)
{
    lmail_mime_decoder *d;
    lmail_mime_encoding e = (lmail_mime_encoding)part->encoding;
    lmail_str in = {message.ptr + part->body_begin, (size_t)(part->body_end - part->body_begin)};
    char *out = malloc(in.len + 64);
    lmail_status st = LMAIL_MORE;
    *len = 0;
    if (e == LMAIL_MIME_ENCODING_UNKNOWN)
        e = LMAIL_MIME_BINARY;
    if (lmail_mime_decoder_new(&d, NULL, NULL, e, (lmail_str){NULL, 0}, LMAIL_MIME_DECODE_OCTETS))
        abort();
    while (st == LMAIL_MORE) {
        size_t used, made;
        st = lmail_mime_decoder_feed(d, in, 1, &used, out + *len, in.len + 64 - *len, &made);
        in = (lmail_str){in.ptr + used, in.len - used};
        *len += made;
    }
    lmail_mime_decoder_free(d);
    return out;
}

static const char *compare(lmail_str before, lmail_mime_parts a, lmail_str after,
                           lmail_mime_parts b)
{
    static char text[200];
    if (a.count != b.count)
        return "other parts";
    for (size_t i = 0; i < a.count; i++) {
        size_t la, lb;
        if (a.part[i].kind != b.part[i].kind || a.part[i].parent != b.part[i].parent)
            return "another structure";
        if (a.part[i].kind != LMAIL_MIME_LEAF)
            continue;
        char *x = decode(before, &a.part[i], &la), *y = decode(after, &b.part[i], &lb);
        int same = la == lb && memcmp(x, y, la) == 0;
        free(x);
        free(y);
        if (!same) {
            snprintf(text, sizeof text, "part %zu: other content", i);
            return text;
        }
    }
    return NULL;
}

const char *downgrade_wrong(lmail_str before, lmail_str after)
{
    size_t line = 0;
    for (size_t i = 0; i < after.len; i++) {
        unsigned char c = (unsigned char)after.ptr[i];
        if (c > 127 || !c)
            return "not 7 bits";
        line = c == '\n' ? 0 : line + (c != '\r');
        if (line > 998)
            return "a long line";
    }
    lmail_mime_parser *a = parse(before), *b = parse(after);
    const char *wrong =
        compare(before, lmail_mime_parser_parts(a), after, lmail_mime_parser_parts(b));
    lmail_mime_parser_free(a);
    lmail_mime_parser_free(b);
    return wrong;
}
