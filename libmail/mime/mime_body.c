/* mime_body.c - BODY is BODYSTRUCTURE without its extension data (RFC 9051 §7.5.2).
 *
 * A store keeps one text; this makes the other when a client asks. It reads the text as any client
 * would, so a damaged row is noticed, not sent. */
#include "mime_internal.h"

#define MAX_NESTING (3 * LMI_MIME_MAX_DEPTH) /* lists within lists */

typedef struct reader {
    lmail_str in;
    size_t at;
    lmi_mime_out out;
} reader;

static int peek(const reader *r)
{
    return r->at < r->in.len ? (unsigned char)r->in.ptr[r->at] : -1;
}

static int take(reader *r, char c)
{
    if (peek(r) != (unsigned char)c)
        return 0;
    r->at++;
    return 1;
}

static int skip_literal(reader *r)
{
    size_t close = r->at + lmi_str_find(lmi_str_skip(r->in, r->at), '}');
    uint64_t size;
    if (lmi_parse_u64(lmi_str_sub(r->in, r->at + 1, close - r->at - 1), &size))
        return 0;
    if (close + 3 > r->in.len || size > r->in.len - close - 3)
        return 0;
    r->at = close + 3 + (size_t)size;
    return 1;
}

/* A string, a literal, or an atom (NIL, a number). */
static int skip_scalar(reader *r)
{
    int c = peek(r);
    if (c == '{')
        return skip_literal(r);
    if (c == '"') {
        for (r->at++; r->at < r->in.len; r->at++) {
            if (r->in.ptr[r->at] == '\\')
                r->at++;
            else if (r->in.ptr[r->at] == '"')
                return take(r, '"');
        }
        return 0;
    }
    size_t from = r->at;
    while ((c = peek(r)) > 32 && c != '(' && c != ')' && c != '"' && c != '{')
        r->at++;
    return r->at > from;
}

/* Any one value, with the lists in it. */
static int skip_value(reader *r)
{
    unsigned depth = 0;
    do {
        if (take(r, '(')) {
            if (++depth > MAX_NESTING)
                return 0;
        } else if (take(r, ')')) {
            if (!depth--)
                return 0;
        } else if (!(depth && take(r, ' ')) && !skip_scalar(r)) {
            return 0;
        }
    } while (depth);
    return 1;
}

static void copy(reader *r, size_t from)
{
    lmi_mime_put(&r->out, lmi_str_sub(r->in, from, r->at - from));
}

/* A space and one value, both copied. */
static int copy_next(reader *r)
{
    size_t from = r->at;
    if (!take(r, ' ') || !skip_value(r))
        return 0;
    copy(r, from);
    return 1;
}

/* Extension data up to the ")" of this body. */
static int skip_rest(reader *r)
{
    while (take(r, ' ')) {
        if (!skip_value(r))
            return 0;
    }
    if (!take(r, ')'))
        return 0;
    lmi_mime_put_char(&r->out, ')');
    return 1;
}

static int put_body(reader *r, unsigned depth);

static int put_single(reader *r, unsigned depth)
{
    size_t type = r->at;
    if (!skip_value(r))
        return 0;
    lmail_str name = lmi_str_sub(r->in, type, r->at - type);
    copy(r, type);
    /* subtype, parameters, id, description, encoding, size */
    for (int i = 0; i < 6; i++) {
        if (!copy_next(r))
            return 0;
    }
    if (lmi_mime_is(name, "\"text\""))
        return copy_next(r) && skip_rest(r);
    /* of message types only those with an envelope are longer */
    if (lmi_mime_is(name, "\"message\"") &&
        lmi_str_has_prefix_nocase(lmi_str_skip(r->in, r->at), LMAIL_STR(" ("))) {
        if (!copy_next(r) || !take(r, ' '))
            return 0;
        lmi_mime_put_char(&r->out, ' ');
        return put_body(r, depth + 1) && copy_next(r) && skip_rest(r);
    }
    return skip_rest(r);
}

static int put_body(reader *r, unsigned depth)
{
    if (depth > LMI_MIME_MAX_DEPTH + 1 || !take(r, '('))
        return 0;
    lmi_mime_put_char(&r->out, '(');
    if (peek(r) != '(')
        return put_single(r, depth);
    while (peek(r) == '(') {
        if (!put_body(r, depth + 1))
            return 0;
    }
    return copy_next(r) && skip_rest(r);
}

lmail_status lmail_mime_body_from_bodystructure(lmail_str bodystructure, char *out, size_t cap,
                                                size_t *made)
{
    reader r = {bodystructure, 0, {0}};
    lmi_mime_out_fixed(&r.out, out, cap);
    *made = 0;
    if (!put_body(&r, 0) || r.at != r.in.len)
        return LMAIL_ERR_SYNTAX;
    *made = r.out.len;
    return r.out.len > cap ? LMAIL_ERR_LIMIT : LMAIL_OK;
}
