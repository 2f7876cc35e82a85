/* net_heap.c - the binary heap of a loop's timers.
 *
 * Room is promised when a timer is made, so that setting one never fails. A timer that moves later,
 * as idle timeouts do with every command, is left where it is by the connections (net_conn.c) and
 * set again when it fires. */
#include "net_internal.h"

#include <stdlib.h>

lmail_status lmi_heap_promise(lmi_heap *h)
{
    if (h->promised + 1 >= h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 64;
        lmi_timer **slots = realloc(h->slots, cap * sizeof(*slots));
        if (!slots)
            return LMAIL_ERR_NOMEM;
        h->slots = slots;
        h->cap = cap;
    }
    h->promised++;
    return LMAIL_OK;
}

void lmi_heap_unpromise(lmi_heap *h)
{
    h->promised--;
}

static void place(lmi_heap *h, size_t at, lmi_timer *t)
{
    h->slots[at] = t;
    t->at = at;
}

static void sift_up(lmi_heap *h, size_t at, lmi_timer *t)
{
    while (at > 1 && h->slots[at / 2]->when > t->when) {
        place(h, at, h->slots[at / 2]);
        at /= 2;
    }
    place(h, at, t);
}

static void sift_down(lmi_heap *h, size_t at, lmi_timer *t)
{
    for (;;) {
        size_t child = at * 2;
        if (child > h->n)
            break;
        if (child < h->n && h->slots[child + 1]->when < h->slots[child]->when)
            child++;
        if (h->slots[child]->when >= t->when)
            break;
        place(h, at, h->slots[child]);
        at = child;
    }
    place(h, at, t);
}

static void resettle(lmi_heap *h, size_t at, lmi_timer *t)
{
    if (at > 1 && h->slots[at / 2]->when > t->when)
        sift_up(h, at, t);
    else
        sift_down(h, at, t);
}

static void take_out(lmi_heap *h, lmi_timer *t)
{
    size_t at = t->at;
    lmi_timer *last = h->slots[h->n--];
    t->at = 0;
    if (last != t)
        resettle(h, at, last);
}

void lmi_heap_set(lmi_heap *h, lmi_timer *t, lmail_msec when)
{
    if (when == LMAIL_NEVER) {
        if (t->at)
            take_out(h, t);
        t->when = when;
        return;
    }
    t->when = when;
    if (t->at)
        resettle(h, t->at, t);
    else
        sift_up(h, ++h->n, t);
}

lmi_timer *lmi_heap_first(const lmi_heap *h)
{
    return h->n ? h->slots[1] : NULL;
}

void lmi_heap_done(lmi_heap *h)
{
    free(h->slots);
    *h = (lmi_heap){0};
}
