/* service_runner_copy.c - a message as one server gets it, where that is not as it lies in the queue.
 *
 * Addresses of the header as others are to see them (SEED_SPEC 7), and 7 bits for a server that takes
 * no more (RFC 6152 §3): a worker writes what is sent into a draft, and the session's octets come from
 * there. The envelope's sender is masqueraded here as well. Messages that nothing is done to are never
 * read for it. */
#include "host/service/service_runner.h"

#include <libmail/delivery_header.h>
#include <libmail/mime_downgrade.h>

#include <stdlib.h>
#include <string.h>

#define PIECE 65536u

struct lmi_copy {
    unsigned refs; /* on loop 0 */
    lmail_queue_draft *draft;
    uint64_t octets;
};

/* What a worker works on, whatever becomes of the sending meanwhile. */
typedef struct lmi_copying {
    lmi_out *out;
    lmail_queue *queue;
    const lmail_policy_tables *tables;
    uint64_t transaction; /* of the out */
    uint64_t id, header;
    unsigned rewrite, seven;
    unsigned changed; /* the header */
    lmi_copy *copy;   /* NULL: it goes as it lies there */
    lmail_status status;
} copying;

lmi_copy *lmi_copy_hold(lmi_copy *c)
{
    if (c)
        c->refs++;
    return c;
}

void lmi_copy_release(lmi_copy *c)
{
    if (!c || --c->refs)
        return;
    lmail_queue_draft_free(c->draft);
    free(c);
}

lmail_status lmi_copy_read(const lmi_copy *c, uint64_t offset, char *buf, size_t cap, size_t *got)
{
    return lmail_queue_draft_read(c->draft, offset, buf, cap, got);
}

uint64_t lmi_copy_octets(const lmi_copy *c)
{
    return c->octets;
}

/* ---- On a worker ----------------------------------------------------------------------------- */

static lmail_status new_header(copying *j, lmail_mime_sink_fn *sink, void *ctx,
                               lmail_delivery_header **out)
{
    lmail_delivery_header_config c = LMAIL_DELIVERY_HEADER_CONFIG_INIT;
    *out = NULL;
    if (!j->rewrite)
        return LMAIL_OK;
    c.tables = j->tables;
    c.delivery = LMAIL_POLICY_DELIVERY_SMTP;
    c.sink = sink;
    c.ctx = ctx;
    return lmail_delivery_header_new(out, &c);
}

static lmail_status give(lmail_delivery_header *h, lmail_str octets, lmail_mime_sink_fn *sink,
                         void *ctx)
{
    lmail_status st = LMAIL_OK;
    size_t used = 0;
    if (h)
        st = lmail_delivery_header_feed(h, octets, &used);
    if ((h && st != LMAIL_END) || used == octets.len)
        return st == LMAIL_END ? LMAIL_OK : st;
    return sink(ctx, (lmail_str){octets.ptr + used, octets.len - used});
}

/* The message, its header rewritten if it is to be, into a sink. */
static lmail_status pour(copying *j, lmail_mime_sink_fn *sink, void *ctx)
{
    lmail_delivery_header *h;
    char *piece = malloc(PIECE);
    size_t got = PIECE;
    lmail_status st = piece ? new_header(j, sink, ctx, &h) : LMAIL_ERR_NOMEM;
    if (st) {
        free(piece);
        return st;
    }
    for (uint64_t at = j->header; !st && got == PIECE; at += got) {
        st = lmail_queue_read(j->queue, j->id, at, piece, PIECE, &got);
        if (!st && got)
            st = give(h, (lmail_str){piece, got}, sink, ctx);
    }
    if (!st && h)
        st = lmail_delivery_header_end(h);
    j->changed = h && lmail_delivery_header_changed(h);
    lmail_delivery_header_free(h);
    free(piece);
    return st;
}

static lmail_status into_draft(void *ctx, lmail_str octets)
{
    return lmail_queue_draft_write(ctx, octets);
}

static lmail_status look_at(void *ctx, lmail_str octets)
{
    return lmail_mime_downgrade_look(ctx, octets);
}

static lmail_status downgrade(void *ctx, lmail_str octets)
{
    return lmail_mime_downgrade_feed(ctx, octets);
}

static lmail_status write_seven(copying *j)
{
    lmail_mime_downgrade_config c = LMAIL_MIME_DOWNGRADE_CONFIG_INIT;
    lmail_mime_downgrade *d;
    c.sink = into_draft;
    c.ctx = j->copy->draft;
    lmail_status st = lmail_mime_downgrade_new(&d, &c);
    if (st)
        return st;
    st = pour(j, look_at, d);
    if (!st)
        st = lmail_mime_downgrade_look_end(d);
    if (!st)
        st = pour(j, downgrade, d);
    if (!st) {
        j->changed = 1;
        st = lmail_mime_downgrade_end(d);
    }
    lmail_mime_downgrade_free(d);
    return st;
}

static void make_copy(void *arg)
{
    copying *j = arg;
    lmail_status st = LMAIL_ERR_NOMEM;
    j->copy = calloc(1, sizeof *j->copy);
    if (j->copy) {
        j->copy->refs = 1;
        st = lmail_queue_draft_new(j->queue, &j->copy->draft);
    }
    if (!st)
        st = j->seven ? write_seven(j) : pour(j, into_draft, j->copy->draft);
    if (st == LMAIL_END) /* it has 7 bits already; what is left is its header */
        st = j->rewrite ? pour(j, into_draft, j->copy->draft) : LMAIL_OK;
    if (!st)
        st = lmail_queue_draft_end(j->copy->draft, &j->copy->octets);
    j->status = st;
}

/* ---- On the loop ----------------------------------------------------------------------------- */

static void copy_made(void *arg)
{
    copying *j = arg;
    lmi_out *o = j->out;
    int wanted = o->sending && o->submit && j->transaction == o->transactions;
    o->copying = NULL;
    if (wanted) {
        o->prepared = 1;
        /* What cannot be made 7-bit goes as it is: the session says why not (5.6.3). */
        o->seven = j->seven && !j->status;
        o->no_copy = j->status && j->status != LMAIL_ERR_UNSUPPORTED;
        if (!j->status && j->changed)
            o->copy = lmi_copy_hold(j->copy);
    }
    lmi_copy_release(j->copy);
    lmi_ways_release(o->copying_ways);
    o->copying_ways = NULL;
    free(j);
    lmi_out_soon(o);
}

static unsigned needs_seven(const lmi_out *o, const lmail_queue_message *m)
{
    lmail_smtp_capabilities can;
    lmail_smtp_client_capabilities(o->client, &can);
    if (m->flags & LMAIL_QUEUE_SMTPUTF8 && !(can.can & LMAIL_SMTP_CAN_SMTPUTF8))
        return 0; /* it cannot go there at all */
    return (m->body == LMAIL_SMTP_BODY_8BITMIME && !(can.can & LMAIL_SMTP_CAN_8BITMIME)) ||
           (m->body == LMAIL_SMTP_BODY_BINARYMIME && !(can.can & LMAIL_SMTP_CAN_BINARYMIME));
}

void lmi_out_unprepare(lmi_out *o)
{
    lmi_copy_release(o->copy);
    o->copy = NULL;
    o->prepared = o->seven = o->no_copy = 0;
    o->transactions++;
}

int lmi_out_prepare(lmi_out *o)
{
    const lmail_queue_message *m = o->sending->message;
    if (o->copying)
        return 0;
    if (o->prepared || o->ended || o->closed)
        return 1;
    unsigned rewrite = m->flags & LMAIL_QUEUE_REWRITE, seven = needs_seven(o, m);
    if (!rewrite && !seven)
        return 1;
    copying *j = calloc(1, sizeof *j);
    if (!j) {
        o->prepared = o->no_copy = 1;
        return 1;
    }
    *j = (copying){.out = o,
                   .queue = o->runner->queue,
                   .tables = o->ways->rules->rewriting,
                   .transaction = o->transactions,
                   .id = m->id,
                   .header = m->header,
                   .rewrite = rewrite,
                   .seven = seven};
    o->copying = j;
    o->copying_ways = lmi_ways_hold(o->ways);
    lmi_runner_job(o->runner, make_copy, copy_made, j);
    return 0;
}

lmail_str lmi_out_sender(const lmi_out *o, char *room, size_t cap)
{
    const lmail_queue_message *m = o->sending->message;
    const lmail_policy_tables *t = o->ways->rules->rewriting;
    size_t made;
    int qualified = m->sender.len && memchr(m->sender.ptr, '@', m->sender.len) != NULL;
    if (!m->sender.len || !t || (qualified && !(m->flags & LMAIL_QUEUE_OWN)) ||
        lmail_policy_tables_rewrite(t, LMAIL_POLICY_ENVELOPE_SENDER, LMAIL_POLICY_DELIVERY_SMTP,
                                    m->sender, room, cap, &made))
        return m->sender;
    return (lmail_str){room, made};
}
