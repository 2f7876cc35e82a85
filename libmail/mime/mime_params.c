/* mime_params.c - "type/subtype; name=value" (RFC 2045 §5.1, RFC 2183) and RFC 2231's long forms.
 *
 * Called for Content-Type and Content-Disposition. Everything is written into the caller's scratch:
 * first the raw segments, then the values joined from them. */
#include "mime_internal.h"

#include <string.h>

typedef struct segment {
    lmail_str name, value;
    uint32_t index;    /* of a continuation; 0 for the first or only one */
    unsigned numbered; /* name*0 */
    unsigned encoded;  /* name*0* or name* */
    unsigned done;
} segment;

typedef struct reader {
    lmail_str in;
    size_t at;
    char *scratch;
    size_t cap, len;
} reader;

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void put(reader *r, char c)
{
    if (r->len < r->cap)
        r->scratch[r->len++] = c;
}

static lmail_str since(const reader *r, size_t from)
{
    return (lmail_str){r->scratch + from, r->len - from};
}

static int peek(const reader *r)
{
    return r->at < r->in.len ? (unsigned char)r->in.ptr[r->at] : -1;
}

/* White space and comments (RFC 2045 §5.1: allowed between all tokens). */
static void skip_cfws(reader *r)
{
    while (r->at < r->in.len) {
        if (is_space(r->in.ptr[r->at])) {
            r->at++;
            continue;
        }
        if (r->in.ptr[r->at] != '(')
            return;
        size_t depth = 0;
        for (; r->at < r->in.len; r->at++) {
            char c = r->in.ptr[r->at];
            if (c == '\\')
                r->at++;
            else if (c == '(')
                depth++;
            else if (c == ')' && --depth == 0)
                break;
        }
        r->at = r->at < r->in.len ? r->at + 1 : r->in.len;
    }
}

/* A token; octets that no token may hold are let through where they cannot be meant otherwise. */
static lmail_str read_token(reader *r, int stop)
{
    size_t from = r->len;
    while (r->at < r->in.len) {
        char c = r->in.ptr[r->at];
        if (is_space(c) || c == ';' || c == '(' || c == '"' || c == stop)
            break;
        put(r, c);
        r->at++;
    }
    return since(r, from);
}

static lmail_str read_quoted(reader *r)
{
    size_t from = r->len;
    for (r->at++; r->at < r->in.len && r->in.ptr[r->at] != '"'; r->at++) {
        if (r->in.ptr[r->at] == '\\' && r->at + 1 < r->in.len)
            r->at++;
        if (r->in.ptr[r->at] != '\r' && r->in.ptr[r->at] != '\n')
            put(r, r->in.ptr[r->at]);
    }
    if (r->at < r->in.len)
        r->at++;
    return since(r, from);
}

/* Does "name=" begin here? Some programs forget the ";". */
static int at_next_param(const reader *r)
{
    size_t at = r->at;
    while (at < r->in.len && at - r->at < 40) {
        char c = r->in.ptr[at];
        if (c == '=')
            return at > r->at;
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '*'))
            return 0;
        at++;
    }
    return 0;
}

/* A value: quoted, or all up to ";" - file names with bare spaces are common. */
static lmail_str read_value(reader *r)
{
    skip_cfws(r);
    if (peek(r) == '"')
        return read_quoted(r);
    size_t from = r->len;
    while (r->at < r->in.len && r->in.ptr[r->at] != ';') {
        char c = r->in.ptr[r->at];
        if (!is_space(c) && c != '(') {
            put(r, c);
            r->at++;
            continue;
        }
        skip_cfws(r);
        if (r->at == r->in.len || r->in.ptr[r->at] == ';' || at_next_param(r))
            break;
        put(r, ' ');
    }
    return since(r, from);
}

/* "name", "name*", "name*3", "name*3*": RFC 2231 §3, §4. */
static void split_name(segment *s)
{
    if (s->name.len > 1 && s->name.ptr[s->name.len - 1] == '*') {
        s->encoded = 1;
        s->name.len--;
    }
    size_t star = lmi_str_find(s->name, '*');
    uint32_t index;
    if (star > 0 && star < s->name.len &&
        lmi_parse_u32(lmi_str_skip(s->name, star + 1), &index) == LMAIL_OK) {
        s->numbered = 1;
        s->index = index;
        s->name.len = star;
    }
}

static size_t read_segments(reader *r, segment *seg, size_t max)
{
    size_t count = 0;
    while (r->at < r->in.len && count < max) {
        skip_cfws(r);
        int c = peek(r);
        if (c == ';') {
            r->at++;
            continue;
        }
        if (c < 0)
            break;
        size_t before = r->at;
        segment s = {{NULL, 0}, {NULL, 0}, 0, 0, 0, 0};
        s.name = read_token(r, '=');
        skip_cfws(r);
        if (s.name.len && peek(r) == '=') {
            r->at++;
            s.value = read_value(r);
            split_name(&s);
            seg[count++] = s;
        } else if (r->at == before || peek(r) == '"') {
            r->at++; /* a quote or an "=" that belongs to nothing */
        }
    }
    return count;
}

/* One segment's text behind the others; a plain one joins an encoded value escaped. */
static void join(reader *r, const segment *s, int extended)
{
    static const char digits[] = "0123456789ABCDEF";
    if (s->encoded && !extended) {
        for (size_t i = 0; i < s->value.len; i++)
            put(r, s->value.ptr[i]);
        return;
    }
    for (size_t i = 0; i < s->value.len; i++) {
        unsigned char c = (unsigned char)s->value.ptr[i];
        int safe = s->encoded || !extended || (c > 32 && c < 127 && c != '%' && c != '"');
        if (safe) {
            put(r, (char)c);
        } else {
            put(r, '%');
            put(r, digits[c >> 4]);
            put(r, digits[c & 15]);
        }
    }
}

static segment *find_segment(segment *seg, size_t count, const segment *like, uint32_t index)
{
    for (size_t i = 0; i < count; i++) {
        if (seg[i].numbered && !seg[i].done && seg[i].index == index &&
            lmail_str_equal_nocase(seg[i].name, like->name))
            return &seg[i];
    }
    return NULL;
}

/* The parameter that begins with segment `s`. */
static lmail_mime_param make_param(reader *r, segment *seg, size_t count, segment *s)
{
    lmail_mime_param p = {s->name, s->value, s->encoded};
    s->done = 1;
    if (!s->numbered)
        return p;
    size_t from = r->len;
    join(r, s, s->encoded != 0);
    for (uint32_t index = 1; index < LMI_MIME_MAX_PARAMS; index++) {
        segment *next = find_segment(seg, count, s, index);
        if (!next)
            break;
        next->done = 1;
        join(r, next, s->encoded != 0);
    }
    p.value = since(r, from);
    return p;
}

static int have_param(const lmail_mime_param *param, size_t count, const segment *s)
{
    for (size_t i = 0; i < count; i++) {
        if (param[i].extended == s->encoded && lmail_str_equal_nocase(param[i].name, s->name))
            return 1;
    }
    return 0;
}

void lmail_mime_content_parse(lmail_str value, lmail_mime_content *out, lmail_mime_param *param,
                              size_t max, char *scratch, size_t cap)
{
    reader r = {value, 0, scratch, cap, 0};
    segment seg[LMI_MIME_MAX_PARAMS];
    memset(out, 0, sizeof *out);
    skip_cfws(&r);
    out->type = read_token(&r, '/');
    skip_cfws(&r);
    if (peek(&r) == '/') {
        r.at++;
        skip_cfws(&r);
        out->subtype = read_token(&r, '/');
    }
    size_t count = read_segments(&r, seg, LMI_MIME_MAX_PARAMS);
    for (size_t i = 0; i < count && out->count < max; i++) {
        /* continuations wait for their first segment */
        if (seg[i].done || (seg[i].numbered && seg[i].index != 0) ||
            have_param(param, out->count, &seg[i]))
            continue;
        param[out->count++] = make_param(&r, seg, count, &seg[i]);
    }
}

/* charset'language'text; a value without its quotes is text alone. */
static lmail_str split_extended(lmail_str value, lmail_str *charset)
{
    *charset = (lmail_str){NULL, 0};
    size_t first = lmi_str_find(value, '\'');
    lmail_str rest = lmi_str_skip(value, first + 1);
    size_t second = lmi_str_find(rest, '\'');
    if (first == value.len || second == rest.len)
        return value;
    *charset = lmi_str_sub(value, 0, first);
    return lmi_str_skip(rest, second + 1);
}

lmail_status lmail_mime_param_decode(const lmail_env *env, const lmail_mime_param *param, char *out,
                                     size_t cap, size_t *made)
{
    if (!param->extended)
        return lmail_mime_words_decode(env, param->value, out, cap, made);
    lmail_str charset_name;
    lmail_str text = split_extended(param->value, &charset_name);
    lmi_charset charset;
    lmi_mime_sink sink = {out, cap, 0, 0};
    lmi_charset_open(&charset, env, charset_name);
    do {
        char octets[192];
        lmail_str piece = lmi_str_sub(text, 0, sizeof octets);
        if (piece.len < text.len) {
            /* never cut within a "%41" */
            if (piece.ptr[piece.len - 1] == '%')
                piece.len--;
            else if (piece.ptr[piece.len - 2] == '%')
                piece.len -= 2;
        }
        text = lmi_str_skip(text, piece.len);
        lmail_str decoded = {octets, lmail_percent_decode(piece, octets)};
        lmi_mime_sink_convert(&sink, &charset, decoded, text.len == 0);
    } while (text.len && !sink.cut);
    lmi_charset_close(&charset);
    *made = sink.made;
    return sink.cut ? LMAIL_ERR_LIMIT : LMAIL_OK;
}
