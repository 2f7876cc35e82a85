/* base_out.c - a session's output: a list of segments that never move once shown.
 *
 * Writes append to the last segment's free room or to a new one; borrowed octets of the host stand
 * in the list without a copy. So writev, uv_write and completion-based loops need no copy
 * either. */
#include "base/base_out.h"
#include "base/base_internal.h"

#include <string.h>

#define SMALL 1024u  /* a whole small segment with its head: replies of a quiet session */
#define LARGE 16384u /* when much is written at once */
#define LENTS 8u     /* heads of borrowed octets that are kept */

struct lmi_seg {
    lmi_seg *next;
    const char *ptr; /* data, or the host's octets */
    size_t len, sent;
    size_t cap;          /* room in data; 0 for borrowed octets */
    lmail_ticket ticket; /* of borrowed octets */
    char data[];
};

static lmi_seg *seg_new(lmail_session *s, size_t cap)
{
    lmi_seg *g = s->out.spare;
    if (g && cap <= g->cap) {
        s->out.spare = NULL;
    } else {
        g = lmi_malloc(&s->alloc, sizeof *g + cap);
        if (!g)
            return NULL;
        g->cap = cap;
    }
    g->next = NULL;
    g->ptr = g->data;
    g->len = g->sent = 0;
    g->ticket = 0;
    return g;
}

static void seg_append(lmi_out *o, lmi_seg *g)
{
    if (o->tail)
        o->tail->next = g;
    else
        o->head = g;
    o->tail = g;
}

static void seg_drop(lmail_session *s, lmi_seg *g)
{
    lmail_ticket ticket = g->ticket;
    if (!s->out.spare && g->cap == SMALL - sizeof *g) {
        s->out.spare = g;
    } else if (g->cap == 0 && s->out.lents < LENTS && !s->dead) {
        g->next = s->out.lent;
        s->out.lent = g;
        s->out.lents++;
    } else {
        lmi_free(&s->alloc, g, sizeof *g + g->cap);
    }
    if (ticket && s->cls->released)
        s->cls->released(s, ticket);
}

lmail_status lmi_out_write(lmail_session *s, const char *ptr, size_t len)
{
    lmi_out *o = &s->out;
    while (len) {
        lmi_seg *g = o->tail;
        if (!g || g->len == g->cap || g->ticket) {
            /* A few words between lent octets need no large segment. */
            size_t cap = len > SMALL || (g && !g->ticket) ? LARGE : SMALL;
            g = seg_new(s, cap - sizeof *g);
            if (!g)
                return LMAIL_ERR_NOMEM;
            seg_append(o, g);
        }
        size_t n = g->cap - g->len < len ? g->cap - g->len : len;
        memcpy(g->data + g->len, ptr, n);
        g->len += n;
        o->size += n;
        ptr += n;
        len -= n;
    }
    return LMAIL_OK;
}

lmail_status lmi_out_str(lmail_session *s, lmail_str text)
{
    return lmi_out_write(s, text.ptr, text.len);
}

lmail_status lmi_out_u64(lmail_session *s, uint64_t value)
{
    char digits[20];
    return lmi_out_write(s, digits, lmi_write_u64(digits, value));
}

lmail_status lmi_out_borrow(lmail_session *s, lmail_str octets, lmail_ticket ticket)
{
    lmi_seg *g = s->out.lent;
    if (g) {
        s->out.lent = g->next;
        s->out.lents--;
    } else {
        g = lmi_malloc(&s->alloc, sizeof *g);
    }
    if (!g)
        return LMAIL_ERR_NOMEM;
    *g = (lmi_seg){NULL, octets.ptr, octets.len, 0, 0, ticket};
    seg_append(&s->out, g);
    s->out.size += octets.len;
    if (octets.len == 0)
        lmi_out_sent(s, 0); /* nothing to send: release it now if it is first */
    return LMAIL_OK;
}

size_t lmi_out_peek(const lmi_out *o, lmail_str *out, size_t max)
{
    size_t n = 0;
    for (const lmi_seg *g = o->head; g && n < max; g = g->next)
        if (g->len > g->sent)
            out[n++] = (lmail_str){g->ptr + g->sent, g->len - g->sent};
    return n;
}

void lmi_out_sent(lmail_session *s, size_t n)
{
    lmi_out *o = &s->out;
    o->size -= n;
    while (o->head) {
        lmi_seg *g = o->head;
        size_t part = g->len - g->sent < n ? g->len - g->sent : n;
        g->sent += part;
        n -= part;
        if (g->sent < g->len)
            return;
        o->head = g->next;
        if (!o->head)
            o->tail = NULL;
        seg_drop(s, g);
    }
}

void lmi_out_rest(lmail_session *s)
{
    if (s->out.spare) {
        lmi_free(&s->alloc, s->out.spare, sizeof(lmi_seg) + s->out.spare->cap);
        s->out.spare = NULL;
    }
    while (s->out.lent) {
        lmi_seg *g = s->out.lent;
        s->out.lent = g->next;
        lmi_free(&s->alloc, g, sizeof *g);
    }
    s->out.lents = 0;
}

void lmi_out_done(lmail_session *s)
{
    lmi_out_sent(s, s->out.size);
    lmi_out_rest(s);
}
