/* delivery_dsn_read.c - a report's octets (RFC 3464 §2, RFC 6522 §3, RFC 6533 §4).
 *
 * Two passes over the same steps. The first looks at the message and at our own two parts: which
 * encodings they need, whether the whole message can be returned, which boundary occurs in none of
 * them. The second writes. Called by the host, which pulls. */
#include "delivery_dsn_internal.h"

#include <string.h>

/* ---- Where octets go -------------------------------------------------------------------------- */

static void encode(lmail_dsn *d, lmail_str octets, int end)
{
    char some[512];
    lmail_status st = LMAIL_MORE;
    while (st == LMAIL_MORE) {
        size_t used, made;
        st = lmail_mime_encode_some(&d->encoder, octets, end, &used, some, sizeof some, &made);
        lmi_mime_put(&d->chunk, (lmail_str){some, made});
        octets = lmi_str_skip(octets, used);
    }
}

void lmi_dsn_put(lmail_dsn *d, lmail_str octets)
{
    if (!octets.len)
        return;
    if (d->scanning && d->scan)
        lmail_mime_scan_feed(d->scan, octets);
    else if (!d->scanning)
        encode(d, octets, 0);
}

static lmail_status sink(void *ctx, lmail_str octets)
{
    lmi_dsn_put(ctx, octets);
    return LMAIL_OK;
}

/* A part's body begins: octets go to its scan, or through its encoding. */
static void begin_body(lmail_dsn *d, lmail_mime_scan *scan, lmail_mime_encoding encoding)
{
    d->scan = scan;
    d->encoder = (lmail_mime_encoder){.encoding = encoding, .text = 1};
}

static void end_body(lmail_dsn *d)
{
    if (!d->scanning)
        encode(d, (lmail_str){NULL, 0}, 1);
    begin_body(d, NULL, LMAIL_MIME_7BIT);
}

/* ---- The passes ------------------------------------------------------------------------------- */

static int wants_full(const lmail_dsn *d)
{
    const lmail_dsn_report *r = &d->report;
    /* RFC 3461 §4.3: RET is for failures; of others the header is enough. */
    return r->kind == LMAIL_DSN_REPORT && d->counts[LMAIL_DSN_FAILED] &&
           r->ret != LMAIL_SMTP_RET_HDRS && !d->config.no_body_return &&
           r->octets <= d->config.max_body;
}

void lmi_dsn_start(lmail_dsn *d)
{
    char seed[3 * LMI_DSN_BOUNDARY + LMI_DSN_VALUE];
    lmi_mime_out o;
    const lmail_env *env = d->config.env;
    unsigned char random[16] = {0};
    if (env && env->random && env->random(env->ctx, random, sizeof random))
        memset(random, 0, sizeof random);
    lmi_mime_out_fixed(&o, seed, sizeof seed);
    lmi_mime_put(&o, (lmail_str){(const char *)random, sizeof random});
    lmi_mime_put_u64(&o, d->tries);
    lmi_mime_put(&o, d->report.id);
    lmail_mime_boundary_prefix((lmail_str){seed, o.len}, d->prefix);
    const lmail_mime_scan fresh = {.prefix = {d->prefix, sizeof d->prefix}};
    d->human = d->status = d->whole = d->head = fresh;
    d->scan = NULL;
    d->scanning = 1;
    d->held_cr = 0;
    d->full = (unsigned)wants_full(d);
    d->offset = d->head_end = d->send_end = d->seen = 0;
    d->step = LMI_DSN_OCTETS;
    lmail_mime_writer_init_sink(&d->w, sink, d);
}

/* Can it travel inside a message: no NUL, no bare CR or LF, no line over the limit. */
static int is_fit(const lmail_mime_scan *s)
{
    return lmail_mime_scan_encoding(s, 1) <= LMAIL_MIME_8BIT;
}

/* The message has been looked through: what of it is returned, and how. */
static void decide_original(lmail_dsn *d)
{
    int seven = (d->report.flags & LMAIL_DSN_7BIT) != 0;
    int global = (d->report.flags & LMAIL_DSN_SMTPUTF8) != 0;
    /* RFC 2046 §5.2.1: message/rfc822 is never encoded; RFC 6532 §3.7: message/global may be. */
    if (d->full &&
        (d->offset < d->report.octets || !is_fit(&d->whole) || (seven && !global && d->whole.high)))
        d->full = 0;
    const lmail_mime_scan *s = d->full ? &d->whole : &d->head;
    d->send_end = d->full ? d->offset : d->head_end;
    d->original_encoding = lmail_mime_scan_encoding(s, !seven);
    d->seen = d->send_end;
    begin_body(d, &d->human, LMAIL_MIME_7BIT);
    d->step = LMI_DSN_HUMAN;
}

/* Does anything else in the report need 8BITMIME? Then the human part may as well. */
static int other_8bit(const lmail_dsn *d)
{
    return d->global || (d->send_end && d->original_encoding == LMAIL_MIME_8BIT);
}

static void end_scan(lmail_dsn *d)
{
    uint64_t taken = d->human.taken[0] | d->status.taken[0] | d->whole.taken[0];
    d->human_encoding = lmail_mime_scan_encoding(&d->human, (unsigned)other_8bit(d));
    if (lmail_mime_boundary_write((lmail_str){d->prefix, sizeof d->prefix}, taken, d->boundary)) {
        if (++d->tries == LMI_DSN_TRIES)
            d->st = LMAIL_ERR_LIMIT;
        else
            lmi_dsn_start(d);
        return;
    }
    d->scanning = 0;
    d->offset = 0;
    begin_body(d, NULL, LMAIL_MIME_7BIT);
    d->step = LMI_DSN_HEADER;
}

/* ---- The header ------------------------------------------------------------------------------- */

static lmail_str subject(const lmail_dsn *d)
{
    if (d->report.kind == LMAIL_DSN_NOTICE)
        return d->text[LMAIL_DSN_TEXT_SUBJECT_NOTICE];
    if (d->report.kind == LMAIL_DSN_COPY)
        return d->text[LMAIL_DSN_TEXT_SUBJECT_COPY];
    if (d->counts[LMAIL_DSN_FAILED])
        return d->text[LMAIL_DSN_TEXT_SUBJECT_FAILED];
    if (d->counts[LMAIL_DSN_DELAYED])
        return d->text[LMAIL_DSN_TEXT_SUBJECT_DELAYED];
    return d->text[LMAIL_DSN_TEXT_SUBJECT_SUCCESS];
}

/* A text as a header may hold it: one line. */
static void put_text(lmail_dsn *d, lmail_str name, lmail_str text)
{
    char flat[LMI_DSN_TEXT];
    for (size_t i = 0; i < text.len; i++)
        flat[i] = text.ptr[i] == '\n' ? ' ' : text.ptr[i];
    lmail_mime_text_write(&d->w, name, (lmail_str){flat, text.len});
}

static void put_from(lmail_dsn *d)
{
    char flat[LMI_DSN_TEXT];
    lmail_str name = d->text[LMAIL_DSN_TEXT_FROM];
    for (size_t i = 0; i < name.len; i++)
        flat[i] = name.ptr[i] == '\n' ? ' ' : name.ptr[i];
    const lmail_mime_mailbox from = {{flat, name.len}, d->config.from_local, d->config.from_domain};
    lmail_mime_addresses_write(&d->w, LMAIL_STR("From"), &from, 1);
}

static void put_header(lmail_dsn *d)
{
    char id[256];
    size_t made = 0;
    lmail_mime_writer *w = &d->w;
    const lmail_dsn_report *r = &d->report;
    const lmail_mime_mailbox to = {{NULL, 0}, d->to_local, d->to_domain};
    const lmail_mime_write_param params[] = {
        {LMAIL_STR("report-type"), LMAIL_STR("delivery-status")},
        {LMAIL_STR("boundary"), {d->boundary, sizeof d->boundary}}};
    w->utf8 = d->to_utf8;
    lmail_mime_date_write(w, LMAIL_STR("Date"), r->now / 1000, r->zone);
    put_from(d);
    lmail_mime_addresses_write(w, LMAIL_STR("To"), &to, 1);
    put_text(d, LMAIL_STR("Subject"), subject(d));
    lmail_mime_id_write(r->now / 1000, r->id, d->config.host, id, sizeof id, &made);
    const lmail_str ids[] = {{id, made}};
    lmail_mime_ids_write(w, LMAIL_STR("Message-ID"), ids, 1);
    /* RFC 3834 §3.1.5; an id that is none is left out. */
    if (r->message_id.len && !lmail_mime_ids_write(w, LMAIL_STR("In-Reply-To"), &r->message_id, 1))
        lmail_mime_ids_write(w, LMAIL_STR("References"), &r->message_id, 1);
    /* RFC 3834 §5: nobody's vacation program answers. */
    lmail_mime_value_write(w, LMAIL_STR("Auto-Submitted"), LMAIL_STR("auto-replied"));
    lmail_mime_value_write(w, LMAIL_STR("MIME-Version"), LMAIL_STR("1.0"));
    lmail_mime_content_write(w, LMAIL_STR("Content-Type"), LMAIL_STR("multipart/report"), params,
                             sizeof params / sizeof *params);
    lmail_dsn_facts facts;
    lmail_dsn_facts_get(d, &facts);
    if (facts.has_8bit)
        lmail_mime_encoding_write(w, LMAIL_MIME_8BIT);
    lmail_mime_blank_write(w);
    lmi_dsn_put(d, LMAIL_STR("This is a report in MIME format.\r\n"));
}

/* A delimiter and the header of the part behind it. */
static void put_part(lmail_dsn *d, lmail_str type, const lmail_mime_write_param *param,
                     lmail_mime_encoding encoding)
{
    if (d->scanning)
        return;
    d->w.utf8 = 0;
    lmail_mime_delimiter_write(&d->w, (lmail_str){d->boundary, sizeof d->boundary}, 0);
    lmail_mime_content_write(&d->w, LMAIL_STR("Content-Type"), type, param, param != NULL);
    if (encoding != LMAIL_MIME_7BIT)
        lmail_mime_encoding_write(&d->w, encoding);
    lmail_mime_blank_write(&d->w);
}

/* ---- The steps -------------------------------------------------------------------------------- */

static void begin_human(lmail_dsn *d)
{
    const lmail_mime_write_param charset = {
        LMAIL_STR("charset"), d->human.high ? LMAIL_STR("utf-8") : LMAIL_STR("us-ascii")};
    put_part(d, LMAIL_STR("text/plain"), &charset, d->human_encoding);
    begin_body(d, &d->human, d->human_encoding);
    lmi_dsn_human_begin(d);
    d->group = LMAIL_DSN_FAILED;
    d->at = 0;
    d->step = LMI_DSN_HUMAN_RECIPIENTS;
    if (d->counts[d->group])
        lmi_dsn_human_group(d, d->group);
}

/* One recipient at a time, so that what waits to be read stays small. */
static void go_human(lmail_dsn *d)
{
    if (d->at < d->report.recipient_count && d->counts[d->group]) {
        const lmail_dsn_recipient *r = &d->recipients[d->at++];
        if (r->action == d->group)
            lmi_dsn_human_recipient(d, r);
        return;
    }
    if (d->group == LMAIL_DSN_EXPANDED) {
        d->step = LMI_DSN_HUMAN_END;
        return;
    }
    d->group++;
    d->at = 0;
    if (d->counts[d->group])
        lmi_dsn_human_group(d, d->group);
}

static void begin_status(lmail_dsn *d)
{
    lmail_mime_encoding encoding = d->global ? LMAIL_MIME_8BIT : LMAIL_MIME_7BIT;
    put_part(d,
             d->global ? LMAIL_STR("message/global-delivery-status")
                       : LMAIL_STR("message/delivery-status"),
             NULL, encoding);
    begin_body(d, &d->status, encoding);
    lmi_dsn_status_begin(d);
    d->at = 0;
    d->step = LMI_DSN_STATUS_RECIPIENTS;
}

static void go_status(lmail_dsn *d)
{
    if (d->at < d->report.recipient_count) {
        lmi_dsn_status_recipient(d, &d->recipients[d->at++]);
        return;
    }
    end_body(d);
    if (d->scanning)
        end_scan(d);
    else
        d->step = d->send_end ? LMI_DSN_ORIGINAL : LMI_DSN_TAIL;
}

static void begin_original(lmail_dsn *d)
{
    int global = (d->report.flags & LMAIL_DSN_SMTPUTF8) != 0;
    lmail_str type = d->full ? LMAIL_STR("message/rfc822") : LMAIL_STR("text/rfc822-headers");
    if (global)
        type = d->full ? LMAIL_STR("message/global") : LMAIL_STR("message/global-headers");
    put_part(d, type, NULL, d->original_encoding);
    begin_body(d, NULL, d->original_encoding);
    d->step = LMI_DSN_OCTETS;
}

/* Where reading of this pass ends. */
static uint64_t octets_end(const lmail_dsn *d)
{
    if (!d->scanning)
        return d->send_end;
    /* For the header alone, until it has ended or is long enough. */
    if (!d->full && (d->whole.header || d->offset > d->config.max_header))
        return d->offset;
    return d->report.octets;
}

static void end_octets(lmail_dsn *d)
{
    d->want = 0;
    if (d->scanning) {
        decide_original(d);
    } else {
        end_body(d);
        d->step = LMI_DSN_TAIL;
    }
}

static void step(lmail_dsn *d)
{
    switch (d->step) {
    case LMI_DSN_HEADER:
        put_header(d);
        d->step = LMI_DSN_HUMAN;
        break;
    case LMI_DSN_HUMAN:
        begin_human(d);
        break;
    case LMI_DSN_HUMAN_RECIPIENTS:
        go_human(d);
        break;
    case LMI_DSN_HUMAN_END:
        lmi_dsn_human_end(d);
        end_body(d);
        d->step = LMI_DSN_STATUS;
        break;
    case LMI_DSN_STATUS:
        begin_status(d);
        break;
    case LMI_DSN_STATUS_RECIPIENTS:
        go_status(d);
        break;
    case LMI_DSN_ORIGINAL:
        begin_original(d);
        break;
    case LMI_DSN_OCTETS:
        if (d->offset < octets_end(d))
            d->want = 1;
        else
            end_octets(d);
        break;
    case LMI_DSN_TAIL:
        lmail_mime_delimiter_write(&d->w, (lmail_str){d->boundary, sizeof d->boundary}, 1);
        d->step = LMI_DSN_DONE;
        break;
    case LMI_DSN_DONE:
        break;
    }
}

lmail_status lmail_dsn_read(lmail_dsn *d, char *out, size_t cap, size_t *made)
{
    *made = 0;
    while (!d->st && *made < cap) {
        size_t left = d->chunk.len - d->chunk_at, room = cap - *made;
        if (left) {
            size_t n = left < room ? left : room;
            memcpy(out + *made, d->chunk.ptr + d->chunk_at, n);
            d->chunk_at += n;
            *made += n;
            continue;
        }
        d->chunk.len = d->chunk_at = 0;
        if (d->want)
            return *made ? LMAIL_OK : LMAIL_PENDING;
        if (d->step == LMI_DSN_DONE)
            return *made ? LMAIL_OK : LMAIL_END;
        step(d);
        if (d->chunk.failed)
            d->st = LMAIL_ERR_NOMEM;
        else if (d->w.status)
            d->st = d->w.status;
    }
    return *made ? LMAIL_OK : d->st;
}

int lmail_dsn_wants(const lmail_dsn *d, uint64_t *offset, size_t *want)
{
    uint64_t left = d->want ? octets_end(d) - d->offset : 0;
    *offset = d->offset;
    *want = left < LMI_DSN_WANT ? (size_t)left : LMI_DSN_WANT;
    return d->want && !d->st;
}

/* First pass: octets of the message are looked at. The header's are looked at on their own too. */
static void look(lmail_dsn *d, lmail_str octets)
{
    uint64_t begin = d->offset, limit = d->config.max_header;
    unsigned in_header = !d->whole.header;
    if (!octets.len)
        return;
    lmail_mime_scan_feed(&d->whole, octets);
    d->offset += octets.len;
    if (!in_header)
        return;
    /* Without the empty line, whose CR may be all of it that has come; of a long one whole lines. */
    uint64_t header = d->whole.header;
    unsigned crlf = header >= begin + 2 ? octets.ptr[header - 2 - begin] == '\r' : d->held_cr;
    if (d->held_cr && header != begin + 1)
        lmail_mime_scan_feed(&d->head, LMAIL_STR("\r"));
    d->held_cr = !header && d->whole.cr && !d->whole.column;
    uint64_t end = header ? header - 1 - crlf : d->offset - d->held_cr;
    end = end < limit ? end : limit;
    size_t n = end > begin ? (size_t)(end - begin) : 0;
    lmail_mime_scan_feed(&d->head, lmi_str_sub(octets, 0, n));
    while (n && octets.ptr[n - 1] != '\n')
        n--;
    if (n)
        d->head_end = begin + n;
}

lmail_status lmail_dsn_give(lmail_dsn *d, lmail_str octets, lmail_status st)
{
    uint64_t offset;
    size_t want;
    if (!lmail_dsn_wants(d, &offset, &want))
        return LMAIL_ERR_STATE;
    if (octets.len > want)
        return LMAIL_ERR_ARG;
    d->want = 0;
    if (d->scanning) {
        if (st) {
            d->full = 0;
            d->head_end = 0;
        } else {
            look(d, octets);
        }
        if (st || !octets.len) {
            d->report.octets = d->offset;
            end_octets(d);
        }
        return LMAIL_OK;
    }
    if (st || !octets.len) {
        d->st = st ? st : LMAIL_ERR_CORRUPT;
        return LMAIL_OK;
    }
    lmi_dsn_put(d, octets);
    d->offset += octets.len;
    if (d->chunk.failed)
        d->st = LMAIL_ERR_NOMEM;
    return d->st;
}

lmail_status lmail_dsn_facts_get(const lmail_dsn *d, lmail_dsn_facts *out)
{
    memset(out, 0, sizeof *out);
    if (d->scanning)
        return LMAIL_ERR_STATE;
    int original = d->send_end && d->original_encoding == LMAIL_MIME_8BIT;
    out->has_8bit = d->human_encoding == LMAIL_MIME_8BIT || d->global || original;
    /* RFC 6532 §3.7: message/global as it is needs the extension. */
    out->smtputf8 = d->to_utf8 || d->global || (original && (d->report.flags & LMAIL_DSN_SMTPUTF8));
    out->notify = d->report.kind == LMAIL_DSN_REPORT ? 0 : LMAIL_SMTP_NOTIFY_NEVER;
    out->returned = !d->send_end ? LMAIL_SMTP_RET_NONE
                    : d->full    ? LMAIL_SMTP_RET_FULL
                                 : LMAIL_SMTP_RET_HDRS;
    return LMAIL_OK;
}
