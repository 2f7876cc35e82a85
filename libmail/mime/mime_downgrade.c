/* mime_downgrade.c - the first pass of a downgrade to 7 bits: which bodies are to be encoded.
 *
 * The parser walks through the message and hands each leaf's octets here; one octet of plan a part is
 * all that is kept. RFC 6152 §3, RFC 2045 §6.4. Called by who sends to a server without 8BITMIME. */
#include "mime_downgrade_internal.h"

#include <string.h>

LMI_STRUCT_INIT(lmail_mime_downgrade_config, LMAIL_MIME_DOWNGRADE_CONFIG_INIT);

/* ---- What the parser tells ------------------------------------------------------------------- */

static int add_plan(lmail_mime_downgrade *d, uint32_t part)
{
    if (part < d->plan_count)
        return 1;
    if (part >= d->plan_cap) {
        uint32_t cap = d->plan_cap ? d->plan_cap : 16;
        while (cap <= part)
            cap *= 2;
        uint8_t *p = lmi_realloc(&d->config.alloc, d->plans, d->plan_cap, cap);
        if (!p) {
            d->st = LMAIL_ERR_NOMEM;
            return 0;
        }
        d->plans = p;
        d->plan_cap = cap;
    }
    memset(d->plans + d->plan_count, 0, part + 1 - d->plan_count);
    d->plan_count = part + 1;
    return 1;
}

/* RFC 2045 §6.4: no encoding for a composite type; RFC 2046 §5.2.2.1, §5.2.3. */
static int may_be_encoded(const lmi_mime_header *h)
{
    if (h->encoding == LMAIL_MIME_ENCODING_UNKNOWN || lmi_mime_is(h->type.type, "multipart"))
        return 0;
    return !lmi_mime_is(h->type.type, "message") ||
           !(lmi_mime_is(h->type.subtype, "rfc822") || lmi_mime_is(h->type.subtype, "global") ||
             lmi_mime_is(h->type.subtype, "partial") ||
             lmi_mime_is(h->type.subtype, "external-body"));
}

static int on_header(void *ctx, uint32_t part, lmail_str block, const lmi_mime_header *h)
{
    lmail_mime_downgrade *d = ctx;
    uint32_t parent = d->parser->part[part].parent;
    unsigned plan = 0;
    if (!add_plan(d, part))
        return 0;
    if (parent != LMAIL_MIME_NONE && d->plans[parent] & LMI_DOWN_SIGNED)
        plan = LMI_DOWN_SIGNED;
    else if (h->encoding == LMAIL_MIME_8BIT || h->encoding == LMAIL_MIME_BINARY)
        plan = LMI_DOWN_RELABEL;
    if (h->kind == LMAIL_MIME_MULTIPART && lmi_mime_is(h->type.subtype, "signed"))
        plan |= LMI_DOWN_SIGNED;
    if (!block.len || !may_be_encoded(h))
        plan |= LMI_DOWN_CANNOT;
    d->plans[part] = (uint8_t)plan;
    d->leaf = part;
    memset(&d->body, 0, sizeof d->body);
    return 1;
}

static int on_body(void *ctx, lmail_str octets)
{
    lmail_mime_downgrade *d = ctx;
    lmail_mime_scan_feed(&d->body, octets);
    return 1;
}

/* A body without these is as it has to be. */
static lmail_mime_encoding encoding_for(const lmail_mime_scan *s)
{
    if (s->has_nul || s->cr)
        return LMAIL_MIME_BASE64;
    return lmail_mime_scan_encoding(s, 0);
}

static void on_body_end(void *ctx)
{
    lmail_mime_downgrade *d = ctx;
    lmail_mime_encoding e = encoding_for(&d->body);
    unsigned plan = d->plans[d->leaf];
    if (e == LMAIL_MIME_7BIT)
        return;
    plan |= LMI_DOWN_ENCODE | (e == LMAIL_MIME_BASE64 ? LMI_DOWN_BASE64 : 0u);
    d->plans[d->leaf] = (uint8_t)plan;
}

/* ---- Deciding -------------------------------------------------------------------------------- */

static int is_message(const lmail_mime_downgrade *d, uint32_t part)
{
    uint32_t parent = d->parts.part[part].parent;
    return parent == LMAIL_MIME_NONE || d->parts.part[parent].kind == LMAIL_MIME_MESSAGE;
}

/* The encoding that a part has keeps its name when its body is encoded anew. */
static void keep_name(lmail_mime_downgrade *d, uint32_t part)
{
    unsigned plan = d->plans[part];
    if (d->parts.part[part].encoding == LMAIL_MIME_BASE64)
        plan |= LMI_DOWN_BASE64;
    if (d->parts.part[part].encoding == LMAIL_MIME_QUOTED_PRINTABLE)
        plan &= ~(unsigned)LMI_DOWN_BASE64;
    d->plans[part] = (uint8_t)plan;
}

static lmail_status decide(lmail_mime_downgrade *d)
{
    for (uint32_t i = 0; i < d->plan_count; i++) {
        if (!(d->plans[i] & LMI_DOWN_ENCODE))
            continue;
        if (d->plans[i] & (LMI_DOWN_SIGNED | LMI_DOWN_CANNOT))
            return LMAIL_ERR_UNSUPPORTED;
        keep_name(d, i);
        for (uint32_t up = i; up != LMAIL_MIME_NONE; up = d->parts.part[up].parent)
            if (is_message(d, up))
                d->plans[up] |= LMI_DOWN_VERSION;
    }
    return LMAIL_OK;
}

lmail_status lmail_mime_downgrade_look(lmail_mime_downgrade *d, lmail_str in)
{
    if (d->looked)
        return LMAIL_ERR_STATE;
    if (d->st)
        return d->st;
    lmail_mime_scan_feed(&d->all, in);
    lmail_status st = lmail_mime_parser_feed(d->parser, in);
    if (st)
        d->st = st;
    return d->st;
}

lmail_status lmail_mime_downgrade_look_end(lmail_mime_downgrade *d)
{
    if (d->looked)
        return LMAIL_ERR_STATE;
    d->looked = 1;
    lmail_status st = lmail_mime_parser_end(d->parser);
    if (!d->st)
        d->st = st;
    if (d->st)
        return d->st;
    if (!d->all.high && !d->all.has_nul && !d->all.cr) {
        d->st = LMAIL_ERR_STATE; /* nothing is to be fed */
        return LMAIL_END;
    }
    d->parts = lmail_mime_parser_parts(d->parser);
    if (d->parts.count != d->plan_count) /* never: each has a header */
        d->st = LMAIL_ERR_CORRUPT;
    if (!d->st)
        d->st = decide(d);
    if (!d->st)
        lmi_down_write_begin(d);
    return d->st;
}

/* ---- The second pass ------------------------------------------------------------------------- */

lmail_status lmail_mime_downgrade_feed(lmail_mime_downgrade *d, lmail_str in)
{
    if (!d->looked)
        return LMAIL_ERR_STATE;
    if (!d->st)
        lmi_down_write(d, in);
    return d->st;
}

lmail_status lmail_mime_downgrade_end(lmail_mime_downgrade *d)
{
    if (!d->looked)
        return LMAIL_ERR_STATE;
    if (!d->st)
        lmi_down_write_end(d);
    return d->st;
}

/* ---- Life ------------------------------------------------------------------------------------ */

lmail_status lmail_mime_downgrade_new(lmail_mime_downgrade **out,
                                      const lmail_mime_downgrade_config *config)
{
    lmail_mime_downgrade_config c;
    lmail_mime_config parser = LMAIL_MIME_CONFIG_INIT;
    *out = NULL;
    if (lmi_struct_take(&c, sizeof c, config))
        return LMAIL_ERR_SIZE;
    if (!c.sink)
        return LMAIL_ERR_ARG;
    c.alloc = lmi_alloc_resolve(&c.alloc);
    lmail_mime_downgrade *d = lmi_zalloc(&c.alloc, sizeof *d);
    if (!d)
        return LMAIL_ERR_NOMEM;
    d->config = c;
    parser.alloc = c.alloc;
    parser.max_parts = c.max_parts;
    lmail_status st = lmail_mime_parser_new(&d->parser, &parser);
    if (st) {
        lmi_free(&c.alloc, d, sizeof *d);
        return st;
    }
    const lmi_mime_listener listener = {d, on_header, on_body, on_body_end};
    lmi_mime_parser_listen(d->parser, &listener);
    *out = d;
    return LMAIL_OK;
}

void lmail_mime_downgrade_free(lmail_mime_downgrade *d)
{
    if (!d)
        return;
    lmail_alloc alloc = d->config.alloc;
    lmi_mime_filter_done(&d->filter);
    lmail_mime_parser_free(d->parser);
    lmi_free(&alloc, d->plans, d->plan_cap);
    lmi_free(&alloc, d, sizeof *d);
}
