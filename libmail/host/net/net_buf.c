/* net_buf.c - read buffers, two sizes, with a short list of free ones a loop.
 *
 * A read always goes into a buffer of its own; when the session takes all of it the buffer is back
 * in the list at once, so that in the common case one buffer serves a whole loop. What the session
 * leaves stays where it is: octets that are lent to a question must not move. */
#include "net_internal.h"

#include <stdlib.h>
#include <string.h>

#define KEEP_SMALL 32u
#define KEEP_LARGE 4u
#define SHRINK_BELOW 4096u

lmi_buf *lmi_buf_get(lmi_buf_pool *p, int large)
{
    lmi_buf *b = p->free[large];
    if (b) {
        p->free[large] = b->next;
        p->count[large]--;
    } else {
        size_t cap = (large ? LMI_READ_LARGE : LMI_READ_SMALL) + LMI_RECORD_ROOM;
        b = malloc(sizeof(*b) + cap);
        if (!b)
            return NULL;
        b->cap = cap;
        b->large = large;
    }
    b->next = NULL;
    b->from = b->to = 0;
    return b;
}

void lmi_buf_put(lmi_buf_pool *p, lmi_buf *b)
{
    if (!b)
        return;
    int regular = b->cap >= LMI_READ_SMALL;
    if (regular && p->count[b->large] < (b->large ? KEEP_LARGE : KEEP_SMALL)) {
        b->next = p->free[b->large];
        p->free[b->large] = b;
        p->count[b->large]++;
    } else {
        free(b);
    }
}

/* A short rest of a long buffer moves into one of its own size. */
lmi_buf *lmi_buf_shrink(lmi_buf_pool *p, lmi_buf *b)
{
    size_t len = b->to - b->from;
    if (len > SHRINK_BELOW || b->cap <= SHRINK_BELOW)
        return b;
    lmi_buf *tight = malloc(sizeof(*tight) + len);
    if (!tight)
        return b;
    *tight = (lmi_buf){NULL, len, 0, len, 0};
    memcpy(tight->data, b->data + b->from, len);
    lmi_buf_put(p, b);
    return tight;
}

void lmi_buf_pool_done(lmi_buf_pool *p)
{
    for (int large = 0; large < 2; large++) {
        while (p->free[large]) {
            lmi_buf *b = p->free[large];
            p->free[large] = b->next;
            free(b);
        }
        p->count[large] = 0;
    }
}
