/* imap_parse.c - reading a command's arguments: atoms, strings, numbers, lists, sets.
 *
 * RFC 3501 §9 and RFC 9051 §9. The text is one command with its literals in place ("{n}" CRLF and n
 * octets), so a literal is read like any other string and nothing here waits for input. Stops at
 * the first octet that does not fit and says what should stand there. */
#include "imap/imap_internal.h"

#include <libmail/codec.h>

#include <string.h>

void lmi_imap_args_init(lmi_imap_args *a, lmail_str text, lmi_arena *arena,
                        const lmail_imap_server_config *config)
{
    *a = (lmi_imap_args){text.ptr, text.len, 0, arena, NULL, config};
}

lmail_status lmi_imap_expected(lmi_imap_args *a, const char *what)
{
    a->expected = what;
    return LMAIL_ERR_SYNTAX;
}

int lmi_imap_at_end(const lmi_imap_args *a)
{
    return a->at == a->len;
}

int lmi_imap_peek(const lmi_imap_args *a)
{
    return a->at < a->len ? (unsigned char)a->ptr[a->at] : -1;
}

int lmi_imap_skip(lmi_imap_args *a, char c)
{
    if (a->at == a->len || a->ptr[a->at] != c)
        return 0;
    a->at++;
    return 1;
}

int lmi_imap_is_atom_char(char c)
{
    unsigned char u = (unsigned char)c;
    return u > 0x20 && u < 0x7f && !strchr("(){%*\"\\]", c);
}

int lmi_imap_is_astring_char(char c)
{
    return lmi_imap_is_atom_char(c) || c == ']';
}

int lmi_imap_is_tag_char(char c)
{
    return lmi_imap_is_astring_char(c) && c != '+';
}

int lmi_imap_skip_word(lmi_imap_args *a, lmail_str word)
{
    lmail_str rest = {a->ptr + a->at, a->len - a->at};
    if (!lmi_str_has_prefix_nocase(rest, word))
        return 0;
    if (rest.len > word.len && lmi_imap_is_atom_char(rest.ptr[word.len]) &&
        lmi_imap_is_atom_char(word.ptr[word.len - 1]))
        return 0;
    a->at += word.len;
    return 1;
}

lmail_status lmi_imap_char(lmi_imap_args *a, char c)
{
    static const char *const names[] = {"(", ")", "[", "]"};
    if (lmi_imap_skip(a, c))
        return LMAIL_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i][0] == c)
            return lmi_imap_expected(a, names[i]);
    return lmi_imap_expected(a, "another character");
}

lmail_status lmi_imap_sp(lmi_imap_args *a)
{
    return lmi_imap_skip(a, ' ') ? LMAIL_OK : lmi_imap_expected(a, "a space");
}

lmail_status lmi_imap_end(lmi_imap_args *a)
{
    return lmi_imap_at_end(a) ? LMAIL_OK : lmi_imap_expected(a, "the end of the command");
}

static lmail_status take(lmi_imap_args *a, int (*fits)(char), const char *what, lmail_str *out)
{
    size_t from = a->at;
    while (a->at < a->len && fits(a->ptr[a->at]))
        a->at++;
    *out = (lmail_str){a->ptr + from, a->at - from};
    return out->len ? LMAIL_OK : lmi_imap_expected(a, what);
}

lmail_status lmi_imap_atom(lmi_imap_args *a, lmail_str *out)
{
    return take(a, lmi_imap_is_atom_char, "an atom", out);
}

/* ---- Strings --------------------------------------------------------------------------------- */

/* RFC 9051 §9: quoted = DQUOTE *QUOTED-CHAR DQUOTE; a backslash stands before `"` and `\` alone. */
static lmail_status quoted(lmi_imap_args *a, lmail_str *out)
{
    size_t from = ++a->at;
    int escapes = 0;
    for (;;) {
        if (a->at == a->len)
            return lmi_imap_expected(a, "a closing quote");
        char c = a->ptr[a->at];
        if (c == '"')
            break;
        if (c == '\\') {
            char next = a->at + 1 < a->len ? a->ptr[a->at + 1] : 0;
            if (next != '"' && next != '\\')
                return lmi_imap_expected(a, "a quote or backslash behind a backslash");
            escapes = 1;
            a->at += 2;
        } else if ((unsigned char)c < 0x80) {
            if (c == 0 || c == '\r' || c == '\n')
                return lmi_imap_expected(a, "a character that may be quoted");
            a->at++;
        } else {
            uint32_t point;
            int good = 0;
            size_t n = lmail_utf8_get((lmail_str){a->ptr + a->at, a->len - a->at}, &point, &good);
            if (!n || !good)
                return lmi_imap_expected(a, "UTF-8 in a quoted string");
            a->at += n;
        }
    }
    *out = (lmail_str){a->ptr + from, a->at++ - from};
    if (!escapes)
        return LMAIL_OK;
    char *copy = lmi_arena_get(a->arena, out->len);
    if (!copy)
        return lmi_arena_full(a->arena, out->len) ? LMAIL_ERR_LIMIT : LMAIL_ERR_NOMEM;
    size_t n = 0;
    for (size_t i = 0; i < out->len; i++) {
        if (out->ptr[i] == '\\')
            i++;
        copy[n++] = out->ptr[i];
    }
    *out = (lmail_str){copy, n};
    return LMAIL_OK;
}

/* "{n}", "{n+}" with CRLF and n octets behind it. */
static lmail_status literal(lmi_imap_args *a, lmail_str *out)
{
    size_t close = a->at + lmi_str_find((lmail_str){a->ptr + a->at, a->len - a->at}, '}');
    lmail_str head = {a->ptr + a->at, close < a->len ? close + 1 - a->at : 0};
    lmi_imap_literal l;
    if (!lmi_imap_literal_at_end(head, &l) || l.at != 0 || l.binary || a->len - close < 3 ||
        a->ptr[close + 1] != '\r' || a->ptr[close + 2] != '\n' || a->len - close - 3 < l.octets)
        return lmi_imap_expected(a, "a literal");
    *out = (lmail_str){a->ptr + close + 3, (size_t)l.octets};
    /* RFC 9051 §9: CHAR8 has no NUL. */
    size_t nul = lmi_str_find(*out, 0);
    if (nul < out->len) {
        a->at = close + 3 + nul;
        return lmi_imap_expected(a, "a literal without NUL");
    }
    a->at = close + 3 + (size_t)l.octets;
    return LMAIL_OK;
}

lmail_status lmi_imap_string(lmi_imap_args *a, lmail_str *out)
{
    int c = lmi_imap_peek(a);
    if (c == '"')
        return quoted(a, out);
    if (c == '{')
        return literal(a, out);
    return lmi_imap_expected(a, "a string");
}

lmail_status lmi_imap_astring(lmi_imap_args *a, lmail_str *out)
{
    int c = lmi_imap_peek(a);
    if (c == '"' || c == '{')
        return lmi_imap_string(a, out);
    return take(a, lmi_imap_is_astring_char, "an atom or a string", out);
}

lmail_status lmi_imap_nstring(lmi_imap_args *a, lmail_str *out)
{
    if (lmi_imap_skip_word(a, LMAIL_STR("NIL"))) {
        *out = (lmail_str){NULL, 0};
        return LMAIL_OK;
    }
    lmail_status st = lmi_imap_string(a, out);
    if (!st && !out->ptr)
        out->ptr = "";
    return st;
}

/* Digits, an optional "+", nothing else between the braces; from the end, so that the time it takes
 * does not depend on the line. RFC 7888 §8, RFC 3516 §8 ("~"). */
int lmi_imap_literal_at_end(lmail_str line, lmi_imap_literal *out)
{
    size_t i = line.len;
    if (!i || line.ptr[--i] != '}')
        return 0;
    size_t end = i;
    int plus = i && line.ptr[i - 1] == '+';
    if (plus)
        end = --i;
    while (i && line.ptr[i - 1] >= '0' && line.ptr[i - 1] <= '9')
        i--;
    if (i == end || !i || line.ptr[i - 1] != '{')
        return 0;
    /* A number too large to count is as good as the largest: it is refused either way. */
    if (lmi_parse_u64((lmail_str){line.ptr + i, end - i}, &out->octets))
        out->octets = UINT64_MAX;
    i--;
    out->sync = !plus;
    out->binary = i && line.ptr[i - 1] == '~';
    out->at = out->binary ? i - 1 : i;
    return 1;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

lmail_status lmi_imap_number64(lmi_imap_args *a, uint64_t *out)
{
    lmail_str digits;
    size_t from = a->at;
    lmail_status st = take(a, is_digit, "a number", &digits);
    /* RFC 9051 §9: number64 goes up to 2^63-1. */
    if (!st && (lmi_parse_u64(digits, out) || *out > INT64_MAX)) {
        a->at = from;
        return lmi_imap_expected(a, "a smaller number");
    }
    return st;
}

lmail_status lmi_imap_number(lmi_imap_args *a, uint32_t *out)
{
    uint64_t n;
    size_t from = a->at;
    lmail_status st = lmi_imap_number64(a, &n);
    if (!st && n > UINT32_MAX) {
        a->at = from;
        return lmi_imap_expected(a, "a smaller number");
    }
    if (!st)
        *out = (uint32_t)n;
    return st;
}

static lmail_status seq_number(lmi_imap_args *a, uint32_t *out)
{
    if (lmi_imap_skip(a, '*')) {
        *out = 0;
        return LMAIL_OK;
    }
    size_t from = a->at;
    lmail_status st = lmi_imap_number(a, out);
    /* RFC 9051 §9: nz-number, so no leading zero either. */
    if (st || a->ptr[from] == '0') {
        a->at = from;
        return lmi_imap_expected(a, "a message number or *");
    }
    return LMAIL_OK;
}

lmail_status lmi_imap_sequence_set(lmi_imap_args *a, lmi_imap_set *out)
{
    /* One part for each comma at most, counted first, so that the memory is got at once. */
    size_t parts = 1;
    for (size_t i = a->at; i < a->len && strchr("0123456789*:,", a->ptr[i]) && a->ptr[i]; i++)
        parts += a->ptr[i] == ',';
    out->parts = lmi_arena_get(a->arena, parts * sizeof *out->parts);
    out->count = 0;
    if (!out->parts)
        return lmi_arena_full(a->arena, parts * sizeof *out->parts) ? LMAIL_ERR_LIMIT
                                                                    : LMAIL_ERR_NOMEM;
    do {
        lmi_imap_seq *p = &out->parts[out->count++];
        lmail_status st = seq_number(a, &p->first);
        p->last = p->first;
        if (!st && lmi_imap_skip(a, ':'))
            st = seq_number(a, &p->last);
        if (st)
            return st;
    } while (lmi_imap_skip(a, ','));
    return LMAIL_OK;
}

lmail_status lmi_imap_set_between(lmi_imap_args *a, lmi_imap_set *out)
{
    lmail_status st = lmi_imap_sp(a);
    if (!st)
        st = lmi_imap_sequence_set(a, out);
    return st ? st : lmi_imap_sp(a);
}
