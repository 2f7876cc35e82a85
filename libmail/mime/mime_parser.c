/* mime_parser.c - the scanner: one pass over a message's octets in any split (RFC 2046 §5.1.1).
 *
 * Bodies are only searched for line ends with memchr, and each line's first two octets are looked
 * at while boundaries are expected; a line that begins with "--" is hashed once, whatever the
 * number of boundaries. Headers are gathered up to a limit. Nothing of a body is kept. */
#include "mime_internal.h"

#include <string.h>

uint64_t lmi_mime_hash(uint64_t hash, char c)
{
    return (hash ^ (unsigned char)c) * UINT64_C(0x100000001b3);
}

/* ---- Making and resetting -------------------------------------------------------------------- */

LMI_STRUCT_INIT(lmail_mime_config, LMAIL_MIME_CONFIG_INIT);

static int preview_header(void *ctx, uint32_t part, lmail_str block, const lmi_mime_header *h)
{
    (void)part;
    (void)block;
    return lmi_mime_preview_begin(ctx, h);
}

static int preview_body(void *ctx, lmail_str octets)
{
    return lmi_mime_preview_body(ctx, octets);
}

static void preview_end(void *ctx)
{
    lmi_mime_preview_end(ctx);
}

lmail_status lmail_mime_parser_new(lmail_mime_parser **out, const lmail_mime_config *config)
{
    lmail_mime_config taken;
    *out = NULL;
    if (lmi_struct_take(&taken, sizeof taken, config))
        return LMAIL_ERR_SIZE;
    config = &taken;
    lmail_alloc alloc = lmi_alloc_resolve(&config->alloc);
    lmail_mime_parser *p = lmi_zalloc(&alloc, sizeof *p);
    if (!p)
        return LMAIL_ERR_NOMEM;
    p->alloc = alloc;
    p->env = config->env;
    p->gather = config->gather;
    p->max_depth = config->max_depth ? config->max_depth : 100;
    if (p->max_depth > LMI_MIME_MAX_DEPTH)
        p->max_depth = LMI_MIME_MAX_DEPTH;
    p->max_parts = config->max_parts ? config->max_parts : 10000;
    if (p->max_parts > UINT32_MAX / 4)
        p->max_parts = UINT32_MAX / 4;
    p->max_header = config->max_header ? config->max_header : 256 * 1024;
    size_t kept = config->max_memory ? config->max_memory : 4 * 1024 * 1024;
    lmi_mime_out_init(&p->boundaries, &p->alloc, SIZE_MAX);
    lmi_mime_out_init(&p->header, &p->alloc, SIZE_MAX);
    lmi_mime_out_init(&p->content, &p->alloc, SIZE_MAX);
    lmi_mime_out_init(&p->scratch, &p->alloc, SIZE_MAX);
    lmi_mime_out_init(&p->text, &p->alloc, kept);
    lmi_mime_out_init(&p->structure, &p->alloc, SIZE_MAX);
    lmi_mime_out_init(&p->blob, &p->alloc, SIZE_MAX);
    lmi_mime_gather_init(&p->fields, &p->alloc);
    if (p->gather) {
        p->listener.ctx = &p->preview;
        p->listener.header = preview_header;
        p->listener.body = preview_body;
        p->listener.body_end = preview_end;
        lmi_mime_preview_init(&p->preview, p->env);
    }
    *out = p;
    lmail_mime_parser_reset(p, config->lf_input);
    if (p->st) {
        lmail_mime_parser_free(p);
        *out = NULL;
        return LMAIL_ERR_NOMEM;
    }
    return LMAIL_OK;
}

void lmail_mime_parser_free(lmail_mime_parser *p)
{
    if (!p)
        return;
    lmail_alloc alloc = p->alloc;
    if (p->gather)
        lmi_mime_preview_end(&p->preview);
    lmi_free(&alloc, p->part, p->cap * sizeof *p->part);
    lmi_free(&alloc, p->texts, p->texts_cap * sizeof *p->texts);
    lmi_mime_out_done(&p->boundaries);
    lmi_mime_out_done(&p->header);
    lmi_mime_out_done(&p->content);
    lmi_mime_out_done(&p->scratch);
    lmi_mime_out_done(&p->text);
    lmi_mime_out_done(&p->structure);
    lmi_mime_out_done(&p->blob);
    lmi_mime_gather_done(&p->fields);
    lmi_free(&alloc, p, sizeof *p);
}

/* What one message blew up is not kept for the next. */
#define MAX_KEPT (64 * 1024)

static void out_reset(lmi_mime_out *o)
{
    if (o->cap > MAX_KEPT)
        lmi_mime_out_done(o);
    o->len = 0;
    o->failed = o->nomem = 0;
}

void lmail_mime_parser_reset(lmail_mime_parser *p, unsigned lf_input)
{
    if (p->cap * sizeof *p->part > MAX_KEPT) {
        lmi_free(&p->alloc, p->part, p->cap * sizeof *p->part);
        lmi_free(&p->alloc, p->texts, p->texts_cap * sizeof *p->texts);
        p->part = NULL;
        p->texts = NULL;
        p->cap = p->texts_cap = 0;
    }
    p->lf_input = lf_input;
    p->st = LMAIL_OK;
    p->ended = p->listening = p->new_part = 0;
    p->count = 0;
    p->depth = 0;
    p->longest = 0;
    for (size_t i = 0; i < sizeof p->by_len / sizeof *p->by_len; i++)
        p->by_len[i] = -1;
    out_reset(&p->boundaries);
    out_reset(&p->header);
    out_reset(&p->content);
    out_reset(&p->scratch);
    out_reset(&p->text);
    out_reset(&p->structure);
    out_reset(&p->blob);
    lmi_mime_gather_reset(&p->fields);
    if (p->gather) {
        lmi_mime_preview_end(&p->preview);
        lmi_mime_preview_init(&p->preview, p->env);
    }
    p->line_start = 1;
    p->last_cr = p->prev_eol = 0;
    p->at = p->lines = 0;
    p->candidate_len = 0;
    lmi_mime_entity_begin(p);
}

void lmi_mime_parser_listen(lmail_mime_parser *p, const lmi_mime_listener *listener)
{
    p->listener = *listener;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* in[from..] is scanned up to `n`, where a line end may have been passed last. Each bare LF counts
 * for two when the message came with LF. */
static void advance(lmail_mime_parser *p, lmail_str in, size_t n, size_t bare)
{
    p->at += n;
    if (p->lf_input)
        p->at += bare;
    if (!n)
        return;
    p->line_start = in.ptr[n - 1] == '\n';
    if (p->line_start) {
        unsigned cr = n > 1 ? in.ptr[n - 2] == '\r' : p->last_cr;
        p->prev_eol = cr || p->lf_input ? 2 : 1;
    }
    p->last_cr = in.ptr[n - 1] == '\r';
}

static int is_bare(const lmail_mime_parser *p, lmail_str in, const char *lf)
{
    return lf > in.ptr ? lf[-1] != '\r' : !p->last_cr;
}

/* May a boundary begin here? One octet that fits is enough when no other is there yet. */
static int may_begin(const lmail_mime_parser *p, const char *at, const char *end)
{
    return p->longest && at < end && *at == '-' && (at + 1 == end || at[1] == '-');
}

/* Body octets, up to a line that may be a boundary. */
static size_t take_body(lmail_mime_parser *p, lmail_str in)
{
    const char *at = in.ptr, *end = in.ptr + in.len, *lf;
    size_t bare = 0;
    uint64_t lines = 0;
    unsigned lf_input = p->lf_input, longest = p->longest;
    while ((lf = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        lines++;
        if (lf_input)
            bare += (size_t)is_bare(p, in, lf);
        at = lf + 1;
        if (at == end)
            break;
        if (longest && *at == '-' && may_begin(p, at, end))
            break;
    }
    if (!lf)
        at = end;
    size_t n = (size_t)(at - in.ptr);
    p->lines += lines;
    advance(p, in, n, bare);
    if (p->listening && !p->listener.body(p->listener.ctx, lmi_str_sub(in, 0, n)))
        p->listening = 0;
    return n;
}

/* Header octets, up to the end of a line. */
static size_t take_header(lmail_mime_parser *p, lmail_str in)
{
    const char *lf = memchr(in.ptr, '\n', in.len);
    size_t n = lf ? (size_t)(lf - in.ptr) + 1 : in.len;
    unsigned only_cr = p->line_len ? p->line_len == 1 && p->last_cr : n >= 2 && *in.ptr == '\r';
    int blank = lf && (p->line_len + n == 1 || (only_cr && p->line_len + n == 2));
    size_t room = p->max_header > p->header.len ? p->max_header - p->header.len : 0;
    lmi_mime_put(&p->header, lmi_str_sub(in, 0, n < room ? n : room));
    if (p->header.failed) {
        p->st = LMAIL_ERR_NOMEM;
        return n;
    }
    if (lf)
        p->lines++;
    p->line_len = lf ? 0 : p->line_len + n;
    advance(p, in, n, lf && is_bare(p, in, lf) ? 1 : 0);
    if (blank)
        lmi_mime_entity_header_end(p);
    return n;
}

/* What follows a boundary on its line has no meaning. */
static size_t take_delimiter(lmail_mime_parser *p, lmail_str in)
{
    const char *lf = memchr(in.ptr, '\n', in.len);
    size_t n = lf ? (size_t)(lf - in.ptr) + 1 : in.len;
    if (lf)
        p->lines++;
    advance(p, in, n, lf && is_bare(p, in, lf) ? 1 : 0);
    if (lf) {
        p->mode = LMI_MIME_IN_BODY;
        if (p->new_part)
            lmi_mime_entity_begin(p);
    }
    return n;
}

static size_t take(lmail_mime_parser *p, lmail_str in)
{
    if (p->mode == LMI_MIME_IN_BODY)
        return take_body(p, in);
    if (p->mode == LMI_MIME_IN_HEADER)
        return take_header(p, in);
    return take_delimiter(p, in);
}

/* ---- Boundaries ------------------------------------------------------------------------------ */

/* The open entity whose boundary begins `line` (behind its "--"); -1: none. RFC 2046 §5.1.1: it
 * suffices that the boundary appears in its entirety. Of several the longest, since one may begin
 * another. */
static int find_boundary(const lmail_mime_parser *p, lmail_str line)
{
    uint64_t hash = LMI_MIME_HASH_START;
    int best = -1;
    size_t max = line.len < p->longest ? line.len : p->longest;
    for (size_t len = 1; len <= max; len++) {
        hash = lmi_mime_hash(hash, line.ptr[len - 1]);
        for (int i = p->by_len[len]; i >= 0; i = p->open[i].same_len) {
            const lmi_mime_open *open = &p->open[i];
            if (open->hash == hash &&
                memcmp(p->boundaries.ptr + open->boundary_at, line.ptr, len) == 0) {
                best = i;
                break;
            }
        }
    }
    return best;
}

/* A line that begins with `view`, at p->at. When it is a boundary, entities end in front of it. */
static void judge(lmail_mime_parser *p, lmail_str view)
{
    int found = -1;
    if (view.len > 2 && view.ptr[0] == '-' && view.ptr[1] == '-')
        found = find_boundary(p, lmi_str_skip(view, 2));
    if (found < 0) {
        p->line_start = 0;
        return;
    }
    unsigned depth = (unsigned)found;
    lmail_str behind = lmi_str_skip(view, 2u + p->open[depth].boundary_len);
    uint64_t body = p->part[p->open[depth].part].body_begin;
    /* the line end in front belongs to the boundary */
    uint64_t end = p->at > body ? p->at - p->prev_eol : p->at;
    uint64_t lines = p->at > body && p->prev_eol ? p->lines - 1 : p->lines;
    lmi_mime_entity_close(p, depth + 1, end, lines);
    if (p->st)
        return;
    p->new_part = p->count < p->max_parts;
    if (behind.len >= 2 && behind.ptr[0] == '-' && behind.ptr[1] == '-') {
        lmi_mime_boundary_drop(p, depth);
        p->new_part = 0;
    }
    p->mode = LMI_MIME_IN_DELIMITER;
}

/* At a line that may be a boundary: look at it when enough is there, else keep its start. */
static size_t take_candidate(lmail_mime_parser *p, lmail_str in)
{
    size_t need = 2u + p->longest + 2u;
    size_t have = p->candidate_len;
    size_t n = need - have < in.len ? need - have : in.len;
    const char *lf = memchr(in.ptr, '\n', n);
    if (lf)
        n = (size_t)(lf - in.ptr) + 1;
    int decided = lf || have + n == need || (have == 1 && *in.ptr != '-') ||
                  (have == 0 && n > 1 && in.ptr[1] != '-');
    if (!have && decided) {
        judge(p, lmi_str_sub(in, 0, n));
        return 0;
    }
    memcpy(p->candidate + have, in.ptr, n);
    p->candidate_len += n;
    if (!decided)
        return n;
    lmail_str kept = {p->candidate, p->candidate_len};
    p->candidate_len = 0;
    judge(p, kept);
    while (kept.len && !p->st)
        kept = lmi_str_skip(kept, take(p, kept));
    return n;
}

/* ---- Public ---------------------------------------------------------------------------------- */

lmail_status lmail_mime_parser_feed(lmail_mime_parser *p, lmail_str in)
{
    if (p->ended)
        return LMAIL_ERR_STATE;
    while (in.len && !p->st) {
        size_t n;
        if (p->candidate_len ||
            (p->line_start && p->longest && *in.ptr == '-' && p->mode != LMI_MIME_IN_DELIMITER))
            n = take_candidate(p, in);
        else
            n = take(p, in);
        in = lmi_str_skip(in, n);
    }
    return p->st;
}

static lmail_status write_blob(lmail_mime_parser *p)
{
    lmail_mime_parts parts = {p->part, p->count};
    size_t made;
    lmail_mime_parts_write(&parts, NULL, 0, &made);
    char *space = lmi_mime_room(&p->blob, made);
    if (!space)
        return LMAIL_ERR_NOMEM;
    lmail_status st = lmail_mime_parts_write(&parts, space, made, &made);
    p->blob.len = made;
    return st;
}

static lmail_status finish_summary(lmail_mime_parser *p)
{
    lmail_mime_summary *s = &p->fields.summary;
    lmi_mime_preview_end(&p->preview);
    lmi_mime_structure(&p->structure, p->part, p->count, p->texts, p->text.ptr);
    if (p->structure.failed || write_blob(p))
        return LMAIL_ERR_NOMEM;
    lmi_mime_gather_finish(&p->fields);
    s->size = p->at;
    s->envelope = LMAIL_STR("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
    if (p->texts[0].envelope_len)
        s->envelope = (lmail_str){p->text.ptr + p->texts[0].envelope, p->texts[0].envelope_len};
    s->bodystructure = (lmail_str){p->structure.ptr, p->structure.len};
    s->parts = (lmail_str){p->blob.ptr, p->blob.len};
    s->preview = (lmail_str){p->preview.text, p->preview.len};
    s->part_count = p->count - 1;
    return LMAIL_OK;
}

lmail_status lmail_mime_parser_end(lmail_mime_parser *p)
{
    if (p->ended)
        return LMAIL_ERR_STATE;
    if (p->candidate_len && !p->st) {
        lmail_str kept = {p->candidate, p->candidate_len};
        p->candidate_len = 0;
        judge(p, kept);
        while (kept.len && !p->st)
            kept = lmi_str_skip(kept, take(p, kept));
    }
    if (!p->st)
        lmi_mime_entity_close(p, 0, p->at, p->lines);
    p->ended = 1;
    if (!p->st && p->gather)
        p->st = finish_summary(p);
    return p->st;
}

lmail_mime_parts lmail_mime_parser_parts(const lmail_mime_parser *p)
{
    if (!p->ended || p->st)
        return (lmail_mime_parts){NULL, 0};
    return (lmail_mime_parts){p->part, p->count};
}

const lmail_mime_summary *lmail_mime_parser_summary(const lmail_mime_parser *p)
{
    return p->gather && p->ended && !p->st ? &p->fields.summary : NULL;
}
