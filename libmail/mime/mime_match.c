/* mime_match.c - HEADER, BODY and TEXT keys of a search, against messages that stream by (RFC 9051
 * §6.4.4).
 *
 * Stores call it for messages that no index answers for. All keys are looked for in one pass. Text
 * is decoded, folded, and run through one automaton a key (Knuth, Morris, Pratt), so that a match
 * across pieces is found and no pattern makes the search slow. */
#include "mime_internal.h"

#include <string.h>

typedef struct needle {
    const lmail_search *key;
    char *text; /* folded */
    size_t size, len;
    uint32_t *fall; /* how many octets still match when the next one does not */
    size_t state;
    unsigned found;
} needle;

struct lmail_mime_matcher {
    lmail_alloc alloc;
    const lmail_env *env;
    lmail_mime_parser *parser;
    needle *needles;
    size_t count, room;
    unsigned needs;
    unsigned header_done;
    lmail_status st;
    unsigned decoding;
    lmi_decoder decoder;
    lmi_mime_out scratch; /* a header value, decoded */
    size_t kept;          /* decoded octets in `piece` that are not folded yet */
    char piece[4096];     /* decoded */
    char folded[4 * 4096 + 32];
};

/* ---- Needles --------------------------------------------------------------------------------- */

static void fold(const lmail_env *env, lmail_str in, char *out, size_t cap, size_t *made)
{
    if (env && env->fold && env->fold(env->ctx, in, out, cap, made) == LMAIL_OK)
        return;
    for (size_t i = 0; i < in.len; i++)
        out[i] = lmi_ascii_lower(in.ptr[i]);
    *made = in.len;
}

static int is_ours(const lmail_search *key)
{
    return key->op == LMAIL_SEARCH_HEADER || key->op == LMAIL_SEARCH_BODY ||
           key->op == LMAIL_SEARCH_TEXT;
}

static size_t count_keys(const lmail_search *key)
{
    size_t n = 0;
    for (; key; key = key->next)
        n += (size_t)is_ours(key) + (key->child ? count_keys(key->child) : 0);
    return n;
}

static lmail_status make_needle(lmail_mime_matcher *m, const lmail_search *key)
{
    needle *n = &m->needles[m->count++];
    n->key = key;
    n->size = 4 * key->text.len + 32;
    n->text = lmi_malloc(&m->alloc, n->size);
    if (!n->text)
        return LMAIL_ERR_NOMEM;
    fold(m->env, key->text, n->text, n->size - 1, &n->len);
    n->fall = lmi_malloc(&m->alloc, n->size * sizeof *n->fall);
    if (!n->fall)
        return LMAIL_ERR_NOMEM;
    uint32_t match = 0;
    n->fall[0] = 0;
    for (size_t i = 1; i < n->len; i++) {
        n->fall[i] = match; /* in state i, the longest shorter state */
        while (match && n->text[i] != n->text[match])
            match = n->fall[match];
        if (n->text[i] == n->text[match])
            match++;
    }
    n->fall[n->len] = match;
    if (key->op != LMAIL_SEARCH_HEADER)
        m->needs = LMAIL_MIME_MATCH_ALL;
    else if (!m->needs)
        m->needs = LMAIL_MIME_MATCH_HEADER;
    return LMAIL_OK;
}

static lmail_status make_needles(lmail_mime_matcher *m, const lmail_search *key)
{
    lmail_status st = LMAIL_OK;
    for (; key && !st; key = key->next) {
        if (is_ours(key))
            st = make_needle(m, key);
        if (!st && key->child)
            st = make_needles(m, key->child);
    }
    return st;
}

static void scan(needle *n, lmail_str text)
{
    size_t state = n->state;
    const char *at = text.ptr, *end = text.ptr + text.len;
    while (at < end) {
        if (!state) {
            at = memchr(at, n->text[0], (size_t)(end - at));
            if (!at)
                break;
        }
        while (state && *at != n->text[state])
            state = n->fall[state];
        if (*at == n->text[state] && ++state == n->len) {
            n->found = 1;
            return;
        }
        at++;
    }
    n->state = state;
}

/* ---- Text ------------------------------------------------------------------------------------ */

/* Where text goes: to TEXT keys, and to BODY or to HEADER keys with that field name. */
typedef struct target {
    unsigned body;
    unsigned main_header;
    lmail_str field; /* ptr NULL: none */
} target;

static int wants(const needle *n, const target *t)
{
    if (n->found)
        return 0;
    switch (n->key->op) {
    case LMAIL_SEARCH_TEXT:
        return 1;
    case LMAIL_SEARCH_BODY:
        return t->body != 0;
    default:
        return t->main_header && lmail_str_equal_nocase(t->field, n->key->field);
    }
}

static void scan_all(lmail_mime_matcher *m, const target *t, lmail_str decoded)
{
    size_t made;
    if (!decoded.len)
        return;
    fold(m->env, decoded, m->folded, sizeof m->folded, &made);
    for (size_t i = 0; i < m->count; i++) {
        if (m->needles[i].len && wants(&m->needles[i], t))
            scan(&m->needles[i], (lmail_str){m->folded, made});
    }
}

/* A new text begins: no match reaches over from the one before. */
static void begin_text(lmail_mime_matcher *m)
{
    for (size_t i = 0; i < m->count; i++)
        m->needles[i].state = 0;
    m->kept = 0;
}

/* Fold what is complete: up to the last ASCII octet, which no later combining character changes
 * when it waits for it; in text without any, up to the last code point. */
static void flush(lmail_mime_matcher *m, const target *t, int end)
{
    size_t n = m->kept;
    if (!end) {
        while (n > 0 && (unsigned char)m->piece[n - 1] >= 0x80)
            n--;
        n -= n > 0;
        if (n == 0 && m->kept > sizeof m->piece / 2) {
            n = m->kept;
            while (n > 0 && ((unsigned char)m->piece[n - 1] & 0xc0) == 0x80)
                n--;
            n -= n > 0;
        }
    }
    scan_all(m, t, (lmail_str){m->piece, n});
    memmove(m->piece, m->piece + n, m->kept - n);
    m->kept -= n;
}

static void put_text(lmail_mime_matcher *m, const target *t, lmail_str text)
{
    while (text.len) {
        size_t n = sizeof m->piece - m->kept;
        if (n > text.len)
            n = text.len;
        memcpy(m->piece + m->kept, text.ptr, n);
        m->kept += n;
        text = lmi_str_skip(text, n);
        if (m->kept == sizeof m->piece)
            flush(m, t, 0);
    }
}

/* ---- Listening to the parser ----------------------------------------------------------------- */

static int any_wants(const lmail_mime_matcher *m, const target *t)
{
    for (size_t i = 0; i < m->count; i++) {
        if (wants(&m->needles[i], t))
            return 1;
    }
    return 0;
}

static void match_field(lmail_mime_matcher *m, const lmail_mime_field *f, int main_header)
{
    target t = {0, main_header != 0, f->name};
    if (!any_wants(m, &t))
        return;
    size_t room = 3 * f->value.len + 16, made;
    m->scratch.len = 0;
    char *space = lmi_mime_room(&m->scratch, room);
    if (!space) {
        m->st = LMAIL_ERR_NOMEM;
        return;
    }
    lmail_mime_words_decode(m->env, f->value, space, room, &made);
    begin_text(m);
    /* HEADER keys compare the value; TEXT keys see the whole field, as a reader would. */
    if (main_header) {
        target header = {0, 1, f->name};
        for (size_t i = 0; i < m->count; i++) {
            if (m->needles[i].key->op == LMAIL_SEARCH_HEADER && !m->needles[i].len &&
                wants(&m->needles[i], &header))
                m->needles[i].found = 1;
        }
    }
    target name = {0, 0, {NULL, 0}};
    put_text(m, &name, f->name);
    put_text(m, &name, LMAIL_STR(": "));
    flush(m, &name, 1);
    put_text(m, &t, (lmail_str){space, made});
    flush(m, &t, 1);
}

static int on_header(void *ctx, uint32_t part, lmail_str block, const lmi_mime_header *h)
{
    lmail_mime_matcher *m = ctx;
    lmail_mime_field f;
    while (lmail_mime_field_next(&block, &f))
        match_field(m, &f, part == 0);
    if (part == 0)
        m->header_done = 1;
    target body = {1, 0, {NULL, 0}};
    if (h->kind != LMAIL_MIME_LEAF || !h->is_text || !any_wants(m, &body) ||
        h->encoding == LMAIL_MIME_ENCODING_UNKNOWN)
        return 0;
    lmi_decoder_init(&m->decoder, m->env, h->encoding, h->charset, 0);
    m->decoding = 1;
    begin_text(m);
    return 1;
}

static void decode(lmail_mime_matcher *m, lmail_str octets, int end)
{
    target body = {1, 0, {NULL, 0}};
    lmail_status st = LMAIL_MORE;
    while (st == LMAIL_MORE) {
        size_t used, made;
        if (sizeof m->piece - m->kept < 64)
            flush(m, &body, 0);
        st = lmi_decoder_feed(&m->decoder, octets, end, &used, m->piece + m->kept,
                              sizeof m->piece - m->kept, &made);
        m->kept += made;
        octets = lmi_str_skip(octets, used);
    }
    if (end)
        flush(m, &body, 1);
}

static int on_body(void *ctx, lmail_str octets)
{
    lmail_mime_matcher *m = ctx;
    target body = {1, 0, {NULL, 0}};
    if (m->decoding)
        decode(m, octets, 0);
    return any_wants(m, &body);
}

static void stop_decoding(lmail_mime_matcher *m)
{
    if (m->decoding)
        lmi_decoder_done(&m->decoder);
    m->decoding = 0;
}

static void on_body_end(void *ctx)
{
    lmail_mime_matcher *m = ctx;
    if (m->decoding)
        decode(m, (lmail_str){NULL, 0}, 1);
    stop_decoding(m);
}

/* ---- Public ---------------------------------------------------------------------------------- */

lmail_status lmail_mime_matcher_new(lmail_mime_matcher **out, const lmail_mime_config *config,
                                    const lmail_search *search)
{
    static const lmi_mime_listener hooks = {NULL, on_header, on_body, on_body_end};
    lmail_mime_config plain;
    *out = NULL;
    if (lmi_struct_take(&plain, sizeof plain, config))
        return LMAIL_ERR_SIZE;
    lmail_alloc alloc = lmi_alloc_resolve(&plain.alloc);
    lmail_mime_matcher *m = lmi_zalloc(&alloc, sizeof *m);
    if (!m)
        return LMAIL_ERR_NOMEM;
    m->alloc = alloc;
    m->env = plain.env;
    lmi_mime_out_init(&m->scratch, &m->alloc, SIZE_MAX);
    plain.gather = 0;
    m->room = count_keys(search) + 1;
    lmail_status st = lmail_mime_parser_new(&m->parser, &plain);
    if (!st) {
        lmi_mime_listener listener = hooks;
        listener.ctx = m;
        lmi_mime_parser_listen(m->parser, &listener);
        m->needles = lmi_zalloc(&m->alloc, m->room * sizeof *m->needles);
        st = m->needles ? make_needles(m, search) : LMAIL_ERR_NOMEM;
    }
    if (st) {
        lmail_mime_matcher_free(m);
        return st;
    }
    lmail_mime_matcher_reset(m);
    *out = m;
    return LMAIL_OK;
}

void lmail_mime_matcher_free(lmail_mime_matcher *m)
{
    if (!m)
        return;
    lmail_alloc alloc = m->alloc;
    stop_decoding(m);
    for (size_t i = 0; i < m->count; i++) {
        lmi_free(&alloc, m->needles[i].text, m->needles[i].size);
        lmi_free(&alloc, m->needles[i].fall, m->needles[i].size * sizeof *m->needles[i].fall);
    }
    lmi_free(&alloc, m->needles, m->room * sizeof *m->needles);
    lmi_mime_out_done(&m->scratch);
    lmail_mime_parser_free(m->parser);
    lmi_free(&alloc, m, sizeof *m);
}

unsigned lmail_mime_matcher_needs(const lmail_mime_matcher *m)
{
    return m->needs;
}

void lmail_mime_matcher_reset(lmail_mime_matcher *m)
{
    stop_decoding(m);
    m->st = LMAIL_OK;
    m->header_done = 0;
    for (size_t i = 0; i < m->count; i++) {
        needle *n = &m->needles[i];
        n->state = 0;
        /* empty text is in every body */
        n->found = n->len == 0 && n->key->op != LMAIL_SEARCH_HEADER;
    }
    lmail_mime_parser_reset(m->parser, 0);
}

/* OK: a key may still match. END: none can. */
static lmail_status progress(const lmail_mime_matcher *m)
{
    if (m->st)
        return m->st;
    for (size_t i = 0; i < m->count; i++) {
        const needle *n = &m->needles[i];
        if (!n->found && !(m->header_done && n->key->op == LMAIL_SEARCH_HEADER))
            return LMAIL_OK;
    }
    return LMAIL_END;
}

lmail_status lmail_mime_matcher_feed(lmail_mime_matcher *m, lmail_str in)
{
    lmail_status st = progress(m);
    if (st)
        return st;
    st = lmail_mime_parser_feed(m->parser, in);
    return st ? st : progress(m);
}

lmail_status lmail_mime_matcher_end(lmail_mime_matcher *m)
{
    if (progress(m) == LMAIL_END)
        return LMAIL_OK;
    lmail_status st = lmail_mime_parser_end(m->parser);
    return st ? st : m->st;
}

int lmail_mime_matcher_result(const lmail_mime_matcher *m, const lmail_search *key)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->needles[i].key == key)
            return m->needles[i].found != 0;
    }
    return 0;
}
