/* mime_entity.c - entities begin, get their header, and end (RFC 2046 §5.1, §5.2.1).
 *
 * Called by the scanner of mime_parser.c, which knows lines and offsets; here the tree of parts
 * grows, what a header decides is written down, and boundaries to look for are kept. Broken nesting
 * is mended here: a multipart always gets a part, a message inside always exists. */
#include "mime_internal.h"

#include <string.h>

static lmi_mime_open *top(lmail_mime_parser *p)
{
    return &p->open[p->depth - 1];
}

static int grow(lmail_mime_parser *p)
{
    if (p->count == p->cap) {
        uint32_t cap = p->cap ? p->cap * 2 : 8;
        lmail_mime_part *part =
            lmi_realloc(&p->alloc, p->part, p->cap * sizeof *part, cap * sizeof *part);
        if (!part)
            return 0;
        p->part = part;
        p->cap = cap;
    }
    if (p->count == p->texts_cap) {
        uint32_t cap = p->cap;
        lmi_mime_texts *texts =
            lmi_realloc(&p->alloc, p->texts, p->texts_cap * sizeof *texts, cap * sizeof *texts);
        if (!texts)
            return 0;
        p->texts = texts;
        p->texts_cap = cap;
    }
    return 1;
}

void lmi_mime_entity_begin(lmail_mime_parser *p)
{
    if (!grow(p)) {
        p->st = LMAIL_ERR_NOMEM;
        return;
    }
    uint32_t index = p->count++;
    lmail_mime_part *part = &p->part[index];
    memset(part, 0, sizeof *part);
    memset(&p->texts[index], 0, sizeof p->texts[index]);
    part->parent = part->first_child = part->next_sibling = LMAIL_MIME_NONE;
    part->header_begin = p->at;
    part->depth = (uint8_t)p->depth;
    if (p->depth) {
        lmi_mime_open *parent = top(p);
        part->parent = parent->part;
        if (parent->last_child == LMAIL_MIME_NONE)
            p->part[parent->part].first_child = index;
        else
            p->part[parent->last_child].next_sibling = index;
        parent->last_child = index;
    }
    lmi_mime_open *open = &p->open[p->depth++];
    memset(open, 0, sizeof *open);
    open->part = index;
    open->last_child = LMAIL_MIME_NONE;
    open->same_len = -1;
    p->header.len = 0;
    p->header.failed = 0;
    p->line_len = 0;
    p->mode = LMI_MIME_IN_HEADER;
}

/* ---- Boundaries ------------------------------------------------------------------------------ */

static void find_longest(lmail_mime_parser *p)
{
    p->longest = 0;
    for (unsigned i = 0; i < p->depth; i++) {
        if (p->open[i].boundary_len > p->longest)
            p->longest = p->open[i].boundary_len;
    }
}

static void boundary_add(lmail_mime_parser *p, lmail_str boundary)
{
    lmi_mime_open *open = top(p);
    open->boundary_at = (uint32_t)p->boundaries.len;
    lmi_mime_put(&p->boundaries, boundary);
    if (p->boundaries.failed) {
        p->st = LMAIL_ERR_NOMEM;
        return;
    }
    open->boundary_len = (uint16_t)boundary.len;
    open->hash = LMI_MIME_HASH_START;
    for (size_t i = 0; i < boundary.len; i++)
        open->hash = lmi_mime_hash(open->hash, boundary.ptr[i]);
    open->same_len = p->by_len[boundary.len];
    p->by_len[boundary.len] = (int16_t)(p->depth - 1);
    find_longest(p);
}

/* Boundaries leave in the order opposite to their coming, so this one is the first of its
 * length. */
void lmi_mime_boundary_drop(lmail_mime_parser *p, unsigned depth)
{
    lmi_mime_open *open = &p->open[depth];
    if (!open->boundary_len)
        return;
    p->by_len[open->boundary_len] = open->same_len;
    p->boundaries.len = open->boundary_at;
    open->boundary_len = 0;
    find_longest(p);
}

/* ---- Header ---------------------------------------------------------------------------------- */

/* One text of a part; without room for it the default stands. */
static void keep_text(lmail_mime_parser *p, size_t from, size_t *at, size_t *len)
{
    if (p->text.failed) {
        if (p->text.nomem)
            p->st = LMAIL_ERR_NOMEM;
        p->text.failed = 0;
        p->text.len = from;
    }
    *at = from;
    *len = p->text.len - from;
}

static void write_texts(lmail_mime_parser *p, uint32_t index, lmail_str block)
{
    lmi_mime_texts *t = &p->texts[index];
    uint32_t parent = p->part[index].parent;
    size_t from = p->text.len;
    lmi_mime_structure_front(&p->text, &p->h, &p->scratch);
    keep_text(p, from, &t->front, &t->front_len);
    from = p->text.len;
    lmi_mime_structure_back(&p->text, &p->h, &p->scratch);
    keep_text(p, from, &t->back, &t->back_len);
    if (parent == LMAIL_MIME_NONE || p->part[parent].kind == LMAIL_MIME_MESSAGE) {
        from = p->text.len;
        lmi_mime_envelope(&p->text, block, &p->scratch);
        keep_text(p, from, &t->envelope, &t->envelope_len);
    }
    if (parent == LMAIL_MIME_NONE) {
        lmail_status st = lmi_mime_gather_header(&p->fields, p->env, block, &p->scratch);
        if (st)
            p->st = st;
    }
    if (p->h.is_attachment)
        p->fields.summary.has_attachment = 1;
    if (p->scratch.failed)
        p->st = LMAIL_ERR_NOMEM;
}

/* Read the header of the innermost entity, whose body begins at `at`. */
static void read_header(lmail_mime_parser *p, lmail_str block, uint64_t at, uint64_t lines)
{
    lmi_mime_open *open = top(p);
    lmail_mime_part *part = &p->part[open->part];
    unsigned in_digest = p->depth > 1 && p->open[p->depth - 2].digest && block.len > 0;
    part->body_begin = at;
    open->lines_before = lines;
    if (lmi_mime_header_read(&p->h, block, in_digest, &p->content)) {
        p->st = LMAIL_ERR_NOMEM;
        return;
    }
    if (p->h.kind != LMAIL_MIME_LEAF && (part->depth >= p->max_depth || p->count >= p->max_parts)) {
        p->h.kind = LMAIL_MIME_LEAF;
        p->h.is_text = 0;
    }
    part->kind = (uint8_t)p->h.kind;
    part->encoding = (uint8_t)p->h.encoding;
    part->is_text = p->h.is_text != 0;
    open->digest = p->h.is_digest;
    if (p->gather)
        write_texts(p, open->part, block);
    p->mode = LMI_MIME_IN_BODY;
    p->listening = 0;
    if (p->st)
        return;
    if (p->listener.header && p->listener.header(p->listener.ctx, open->part, block, &p->h) == 1 &&
        p->h.kind == LMAIL_MIME_LEAF)
        p->listening = 1;
}

/* An entity without a header, as wide as what holds it. */
static void begin_bare(lmail_mime_parser *p)
{
    lmi_mime_entity_begin(p);
    if (!p->st)
        read_header(p, (lmail_str){"", 0}, p->at, p->lines);
}

void lmi_mime_entity_header_end(lmail_mime_parser *p)
{
    read_header(p, (lmail_str){p->header.ptr, p->header.len}, p->at, p->lines);
    if (p->st)
        return;
    if (p->h.kind == LMAIL_MIME_MULTIPART) {
        /* without a boundary nothing can be told apart: one text part */
        if (p->h.boundary.len)
            boundary_add(p, p->h.boundary);
        else
            begin_bare(p);
    } else if (p->h.kind == LMAIL_MIME_MESSAGE) {
        /* RFC 2046 §5.2.1 forbids it, and octets of base64 are no header */
        if (p->h.encoding == LMAIL_MIME_BASE64)
            begin_bare(p);
        else
            lmi_mime_entity_begin(p);
    }
}

/* ---- End ------------------------------------------------------------------------------------- */

/* What a part promised and did not bring. */
static void add_missing_child(lmail_mime_parser *p, uint64_t end, uint64_t lines)
{
    lmi_mime_open *open = top(p);
    uint32_t index = open->part;
    uint64_t begin = p->part[index].body_begin;
    uint64_t lines_before = open->lines_before;
    unsigned is_message = p->part[index].kind == LMAIL_MIME_MESSAGE;
    uint64_t at = p->at;
    p->at = is_message ? end : begin;
    begin_bare(p);
    p->at = at;
    if (p->st)
        return;
    open = top(p);
    open->lines_before = is_message ? lines : lines_before;
    lmi_mime_entity_close(p, p->depth - 1, end, lines);
}

void lmi_mime_entity_close(lmail_mime_parser *p, unsigned depth, uint64_t end, uint64_t lines)
{
    if (p->depth > depth && p->mode == LMI_MIME_IN_HEADER) {
        int empty = p->part[top(p)->part].header_begin > end;
        read_header(p, (lmail_str){p->header.ptr, p->header.len}, empty ? p->at : end,
                    empty ? p->lines : lines);
    }
    if (p->listening && p->listener.body_end)
        p->listener.body_end(p->listener.ctx);
    p->listening = 0;
    while (p->depth > depth && !p->st) {
        lmi_mime_open *open = top(p);
        lmail_mime_part *part = &p->part[open->part];
        /* An entity that began on the very line that ends it has the line end in front of that line
         * before it, not behind; so have those around it. */
        if (part->body_begin > end)
            end = part->body_begin;
        if (open->lines_before > lines)
            lines = open->lines_before;
        part->body_end = end;
        part->body_lines = lines - open->lines_before;
        if (part->kind != LMAIL_MIME_LEAF && part->first_child == LMAIL_MIME_NONE) {
            add_missing_child(p, end, lines);
            if (p->st)
                return;
        }
        lmi_mime_boundary_drop(p, p->depth - 1);
        p->depth--;
    }
    p->mode = LMI_MIME_IN_BODY;
}
