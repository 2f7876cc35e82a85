/* service_alter.c - a message that lies in the spool, written again with changes.
 *
 * The store's delivery is read back piece by piece into a second delivery, which takes the first
 * one's place (DESIGN 5: altered headers make a second file). Called by who changes whole messages;
 * fields that are changed while a message comes need no second file (service_mail.c). */
#include "host/service/service_alter.h"

#include <stdlib.h>

#define PIECE 65536u

typedef struct copying {
    const lmail_store *store;
    lmail_delivery *to;
} copying;

static lmail_status put(void *ctx, lmail_str octets)
{
    const copying *c = ctx;
    return octets.len ? c->store->delivery_write(c->to, octets) : LMAIL_OK;
}

static lmail_status copy(const lmi_mail *m, const lmi_alteration *a, copying *c, char *piece)
{
    size_t got = PIECE;
    lmail_status st = LMAIL_OK;
    for (uint64_t at = 0; !st && got == PIECE; at += got) {
        st = m->store->delivery_read(m->delivery, 0, at, piece, PIECE, &got);
        size_t front = at < m->header ? (size_t)(m->header - at) : 0; /* Return-Path */
        if (front > got)
            front = got;
        if (!st)
            st = put(c, (lmail_str){piece, front});
        if (!st && got > front)
            st = a->feed(a->ctx, (lmail_str){piece + front, got - front}, put, c);
    }
    return st || !a->end ? st : a->end(a->ctx, put, c);
}

lmail_status lmi_mail_alter(lmi_mail *m, const lmi_alteration *a)
{
    copying c = {m->store, NULL};
    uint64_t size = 0;
    if (m->discard)
        return LMAIL_OK;
    char *piece = malloc(PIECE);
    lmail_status st = piece ? lmi_mail_end(m) : LMAIL_ERR_NOMEM;
    if (!st)
        st = lmi_mail_new_delivery(m, &c.to);
    if (!st)
        st = copy(m, a, &c, piece);
    if (!st)
        st = m->store->delivery_end(c.to, &size);
    free(piece);
    if (st) {
        if (c.to)
            m->store->delivery_free(c.to);
        return st;
    }
    m->store->delivery_free(m->delivery);
    m->delivery = c.to;
    m->size = size;
    return LMAIL_OK;
}
