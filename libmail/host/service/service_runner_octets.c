/* service_runner_octets.c - octets of a message on their way to the SMTP session that sends it: read
 * by a worker, a piece at a time, and kept until the session lets them go. */
#include "host/service/service_runner.h"

#include <stdlib.h>

#define PIECE 131072u

typedef struct lmi_piece {
    struct lmi_piece *next;
    lmi_out *out;
    lmi_copy *copy; /* NULL: the data file */
    lmail_ticket ticket;
    uint64_t id, offset;
    size_t want, got;
    lmail_status status;
    unsigned home; /* the worker is done with it */
    char octets[];
} piece;

static void drop_piece(lmi_out *o, piece *p)
{
    piece **at = &o->pieces;
    while (*at && *at != p)
        at = &(*at)->next;
    if (*at)
        *at = p->next;
    lmi_copy_release(p->copy);
    free(p);
    if (o->closed)
        lmi_out_soon(o);
}

static void read_piece(void *arg)
{
    piece *p = arg;
    p->status = p->copy ? lmi_copy_read(p->copy, p->offset, p->octets, p->want, &p->got)
                        : lmail_queue_read(p->out->runner->queue, p->id, p->offset, p->octets,
                                           p->want, &p->got);
}

static void piece_read(void *arg)
{
    piece *p = arg;
    lmi_out *o = p->out;
    lmail_smtp_client_octets_answer a = LMAIL_SMTP_CLIENT_OCTETS_ANSWER_INIT;
    p->home = 1;
    a.failed = p->status != LMAIL_OK;
    a.octets = (lmail_str){p->octets, p->status ? 0 : p->got};
    a.end = p->got < p->want;
    size_t given = a.octets.len; /* p may be released within the answer */
    lmail_status st =
        o->closed ? LMAIL_ERR_STALE
                  : lmail_smtp_client_answer_octets(o->client, p->ticket, &a, lmi_out_now(o));
    if (st || !given)
        drop_piece(o, p);
    if (!o->closed)
        lmail_conn_wake(o->conn);
}

lmail_status lmi_out_octets(lmail_smtp_client *c, void *user, lmail_ticket t,
                            const lmail_smtp_client_octets_event *ev,
                            lmail_smtp_client_octets_answer *answer)
{
    lmi_out *o = user;
    (void)c;
    (void)answer;
    if (!o->sending)
        return LMAIL_ERR_STATE;
    size_t want = ev->want < PIECE ? ev->want : PIECE;
    piece *p = malloc(sizeof *p + want);
    if (!p)
        return LMAIL_ERR_NOMEM;
    const lmail_queue_message *m = o->sending->message;
    *p = (piece){.next = o->pieces,
                 .out = o,
                 .copy = lmi_copy_hold(o->copy),
                 .ticket = t,
                 .id = m->id,
                 .offset = (o->copy ? 0 : m->header) + ev->offset,
                 .want = want};
    o->pieces = p;
    if (lmail_pool_submit(o->runner->pool, o->runner->loop, read_piece, piece_read, p, 0)) {
        drop_piece(o, p);
        return LMAIL_ERR_BUSY;
    }
    return LMAIL_PENDING;
}

void lmi_out_released(lmail_smtp_client *c, void *user, lmail_ticket t)
{
    lmi_out *o = user;
    (void)c;
    for (piece *p = o->pieces; p; p = p->next)
        if (p->ticket == t && p->home) {
            drop_piece(o, p);
            return;
        }
}
