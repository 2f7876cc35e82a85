/* mime_address.c - address lists (RFC 5322 §3.4, §4.4; groups RFC 6854).
 *
 * Called for ENVELOPE and for the fields a store keeps. An element of the list is first measured -
 * where it ends, whether it has an angle address or is a group - and then written to the caller's
 * scratch. Each octet is looked at a bounded number of times, whatever stands there. */
#include "mime_internal.h"

#include <string.h>

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Behind a comment that begins at `at`; an open one takes all. */
static size_t skip_comment(lmail_str s, size_t at)
{
    size_t depth = 0;
    for (; at < s.len; at++) {
        if (s.ptr[at] == '\\')
            at++;
        else if (s.ptr[at] == '(')
            depth++;
        else if (s.ptr[at] == ')' && --depth == 0)
            return at + 1;
    }
    return s.len;
}

/* Behind a quoted string or domain literal that begins at `at`; one that is never closed is its
 * first octet alone, so that a stray quote does not swallow the list. */
static size_t skip_quoted(lmail_str s, size_t at, char close)
{
    for (size_t i = at + 1; i < s.len; i++) {
        if (s.ptr[i] == '\\')
            i++;
        else if (s.ptr[i] == close)
            return i + 1;
        else if (close == ']' &&
                 (s.ptr[i] == '[' || s.ptr[i] == ',' || s.ptr[i] == '<' || s.ptr[i] == '>'))
            break;
    }
    return at + 1;
}

static size_t skip_token(lmail_str s, size_t at)
{
    switch (s.ptr[at]) {
    case '(':
        return skip_comment(s, at);
    case '"':
        return skip_quoted(s, at, '"');
    case '[':
        return skip_quoted(s, at, ']');
    case '\\':
        return at + 2 < s.len ? at + 2 : s.len;
    default:
        return at + 1;
    }
}

/* Where things are in one element; SIZE_MAX: not there. */
typedef struct element {
    size_t end, colon, open, close;
} element;

/* The ">" for the "<" at `at`; or where the element ends without one. */
static size_t find_close(lmail_str s, size_t at, int *found)
{
    size_t comma = s.len;
    *found = 0;
    for (size_t i = at + 1; i < s.len; i = skip_token(s, i)) {
        if (s.ptr[i] == '>') {
            *found = 1;
            return i;
        }
        if (s.ptr[i] == '<')
            return comma < s.len ? comma : i;
        if (s.ptr[i] == ',' && comma == s.len)
            comma = i;
    }
    return comma;
}

static element measure(lmail_str s, int in_group)
{
    element e = {0, SIZE_MAX, SIZE_MAX, SIZE_MAX};
    size_t at = 0;
    int seen_at = 0;
    while (at < s.len && s.ptr[at] != ',' && s.ptr[at] != ';') {
        char c = s.ptr[at];
        if (c == '@')
            seen_at = 1;
        if (c == ':' && !in_group && !seen_at) {
            e.colon = at;
            break;
        }
        if (c == '<' && e.open == SIZE_MAX) {
            int found;
            e.open = at;
            e.close = find_close(s, at, &found);
            at = e.close + (found ? 1 : 0);
            continue;
        }
        at = skip_token(s, at);
    }
    e.end = at;
    return e;
}

typedef struct writer {
    char *ptr;
    size_t cap, len;
} writer;

static void put(writer *w, char c)
{
    if (w->len < w->cap)
        w->ptr[w->len++] = c;
}

static lmail_str since(const writer *w, size_t from)
{
    return (lmail_str){w->ptr ? w->ptr + from : NULL, w->len - from};
}

/* A quoted string's content, or a comment's, in which nested ones keep their parentheses. */
static void put_content(writer *w, lmail_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\\' && i + 1 < s.len)
            i++;
        if (s.ptr[i] != '\r' && s.ptr[i] != '\n')
            put(w, s.ptr[i]);
    }
}

enum { PHRASE, LOCAL };

/* Words without quotes and comments. White space between words becomes one space, in a local part
 * not around dots (RFC 5322 §4.4 obs-local-part). *quoted: there was a quoted string. */
static lmail_str put_words(writer *w, lmail_str s, int kind, unsigned *quoted)
{
    size_t from = w->len;
    int space = 0;
    for (size_t at = 0; at < s.len;) {
        char c = s.ptr[at];
        size_t next = skip_token(s, at);
        if (is_space(c) || c == '(') {
            space = w->len > from;
            at = next;
            continue;
        }
        if (space && !(kind == LOCAL && (c == '.' || w->ptr[w->len - 1] == '.')))
            put(w, ' ');
        space = 0;
        if (c == '"' && next > at + 1) {
            *quoted = 1;
            put_content(w, lmi_str_sub(s, at + 1, next - at - 2));
        } else if (c == '\\' && next - at == 2) {
            put(w, s.ptr[at + 1]);
        } else {
            for (size_t i = at; i < next; i++)
                if (s.ptr[i] != '\r' && s.ptr[i] != '\n')
                    put(w, s.ptr[i]);
        }
        at = next;
    }
    return since(w, from);
}

/* From the first token that is neither white space nor comment to the last. `stop`: a word that no
 * dot joins ends it ("b" of "b and more"). */
static lmail_str core(lmail_str s, int stop)
{
    size_t begin = s.len, end = s.len;
    int gap = 0;
    for (size_t at = 0; at < s.len;) {
        char c = s.ptr[at];
        size_t next = skip_token(s, at);
        if (is_space(c) || c == '(') {
            gap = 1;
        } else {
            if (begin == s.len)
                begin = at;
            else if (stop && gap && c != '.' && s.ptr[end - 1] != '.')
                break;
            gap = 0;
            end = next;
        }
        at = next;
    }
    return lmi_str_sub(s, begin, end - begin);
}

/* Without white space and comments. */
static lmail_str put_domain(writer *w, lmail_str s)
{
    size_t from = w->len;
    for (size_t at = 0; at < s.len;) {
        size_t next = skip_token(s, at);
        if (s.ptr[at] != '(')
            for (size_t i = at; i < next; i++)
                if (!is_space(s.ptr[i]))
                    put(w, s.ptr[i]);
        at = next;
    }
    return since(w, from);
}

/* The last comment of `s`: where people put their name behind a bare address. */
static lmail_str put_comment(writer *w, lmail_str s, unsigned *found)
{
    lmail_str last = {NULL, 0};
    for (size_t at = 0; at < s.len;) {
        size_t next = skip_token(s, at);
        if (s.ptr[at] == '(')
            last = lmi_str_sub(s, at + 1, next - at - 1);
        at = next;
    }
    *found = last.ptr != NULL;
    if (last.len && last.ptr[last.len - 1] == ')')
        last.len--;
    while (last.len && is_space(*last.ptr))
        last = lmi_str_skip(last, 1);
    while (last.len && is_space(last.ptr[last.len - 1]))
        last.len--;
    size_t from = w->len;
    put_content(w, last);
    return since(w, from);
}

/* addr-spec: the last "@" divides it. */
static void put_spec(writer *w, lmail_str s, int bare, lmail_mime_address *out)
{
    size_t sign = s.len;
    unsigned quoted = 0;
    for (size_t at = 0; at < s.len; at = skip_token(s, at)) {
        if (s.ptr[at] == '@')
            sign = at;
    }
    out->raw_local = core(lmi_str_sub(s, 0, sign), 0);
    out->local = put_words(w, out->raw_local, LOCAL, &quoted);
    if (sign < s.len) {
        out->raw_domain = core(lmi_str_skip(s, sign + 1), bare);
        out->domain = put_domain(w, out->raw_domain);
    }
}

static void put_angle(writer *w, lmail_str s, lmail_mime_address *out)
{
    size_t at = 0;
    while (at < s.len && (is_space(s.ptr[at]) || s.ptr[at] == '('))
        at = skip_token(s, at);
    if (at < s.len && s.ptr[at] == '@') {
        /* obs-route = obs-domain-list ":" */
        for (size_t i = at; i < s.len; i = skip_token(s, i)) {
            if (s.ptr[i] == ':') {
                out->route = put_domain(w, lmi_str_sub(s, at, i - at));
                at = i + 1;
                break;
            }
        }
    }
    put_spec(w, lmi_str_skip(s, at), 0, out);
}

void lmail_mime_address_reader_init(lmail_mime_address_reader *r, lmail_str value, char *scratch,
                                    size_t cap)
{
    r->rest = value;
    r->scratch = scratch;
    r->cap = cap;
    r->in_group = 0;
}

/* To the next element. 0: the list or the group ends here. */
static int skip_between(lmail_mime_address_reader *r)
{
    while (r->rest.len) {
        char c = *r->rest.ptr;
        if (c == ';' && r->in_group)
            return 0;
        if (!is_space(c) && c != ',' && c != ';')
            return 1;
        r->rest = lmi_str_skip(r->rest, 1);
    }
    return 0;
}

int lmail_mime_address_next(lmail_mime_address_reader *r, lmail_mime_address *out)
{
    for (;;) {
        writer w = {r->scratch, r->cap, 0};
        memset(out, 0, sizeof *out);
        if (!skip_between(r)) {
            if (!r->in_group)
                return 0;
            r->in_group = 0;
            r->rest = lmi_str_skip(r->rest, 1);
            out->kind = LMAIL_MIME_GROUP_END;
            return 1;
        }
        element e = measure(r->rest, r->in_group != 0);
        lmail_str whole = lmi_str_sub(r->rest, 0, e.end);
        if (e.colon != SIZE_MAX) {
            r->rest = lmi_str_skip(r->rest, e.colon + 1);
            r->in_group = 1;
            out->kind = LMAIL_MIME_GROUP_BEGIN;
            out->has_name = 1;
            out->name = put_words(&w, whole, PHRASE, &out->has_name);
            return 1;
        }
        r->rest = lmi_str_skip(r->rest, e.end);
        out->kind = LMAIL_MIME_MAILBOX;
        if (e.open != SIZE_MAX) {
            out->name = put_words(&w, lmi_str_sub(whole, 0, e.open), PHRASE, &out->has_name);
            put_angle(&w, lmi_str_sub(whole, e.open + 1, e.close - e.open - 1), out);
        } else {
            put_spec(&w, whole, 1, out);
            if (!out->raw_local.len && !out->raw_domain.len)
                continue; /* comments, nothing else */
        }
        if (out->name.len)
            out->has_name = 1;
        else if (!out->has_name)
            out->name = put_comment(&w, whole, &out->has_name);
        return 1;
    }
}

/* ---- For who changes a value in place --------------------------------------------------------- */

size_t lmi_mime_skip_token(lmail_str s, size_t at)
{
    return skip_token(s, at);
}

lmail_str lmi_mime_local_text(lmail_str raw, char *out, size_t cap)
{
    writer w = {out, cap, 0};
    unsigned quoted = 0;
    return put_words(&w, raw, LOCAL, &quoted);
}

lmail_str lmi_mime_domain_text(lmail_str raw, char *out, size_t cap)
{
    writer w = {out, cap, 0};
    return put_domain(&w, raw);
}
