/* net_counts.c - how many connections each address has: an open-addressing table.
 *
 * Keys are spread with a seed of this process, so that nobody can choose addresses that fall into
 * one place. Called with the net's lock held. */
#include "net_internal.h"

#include <stdlib.h>

static size_t home(const lmi_counts *t, uint64_t key)
{
    uint64_t h = (key ^ t->seed) * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ (h >> 32)) * (t->seed | 1);
    return (size_t)(h >> 32) & (t->cap - 1);
}

static size_t find(const lmi_counts *t, uint64_t key)
{
    size_t at = home(t, key);
    while (t->slots[at].n && t->slots[at].key != key)
        at = (at + 1) & (t->cap - 1);
    return at;
}

static lmail_status grow(lmi_counts *t)
{
    lmi_counts next = {NULL, t->cap ? t->cap * 2 : 64, t->used, t->seed};
    next.slots = calloc(next.cap, sizeof(*next.slots));
    if (!next.slots)
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < t->cap; i++)
        if (t->slots[i].n)
            next.slots[find(&next, t->slots[i].key)] = t->slots[i];
    free(t->slots);
    *t = next;
    return LMAIL_OK;
}

lmail_status lmi_counts_take(lmi_counts *t, uint64_t key, uint32_t max)
{
    if ((t->used + 1) * 2 > t->cap && grow(t))
        return LMAIL_ERR_NOMEM;
    size_t at = find(t, key);
    if (t->slots[at].n >= max)
        return LMAIL_ERR_BUSY;
    if (t->slots[at].n++ == 0) {
        t->slots[at].key = key;
        t->used++;
    }
    return LMAIL_OK;
}

void lmi_counts_give(lmi_counts *t, uint64_t key)
{
    size_t hole = find(t, key);
    if (!t->slots[hole].n || --t->slots[hole].n)
        return;
    t->used--;
    /* Close the gap: whoever was pushed past the hole moves back into it. */
    for (size_t at = (hole + 1) & (t->cap - 1); t->slots[at].n; at = (at + 1) & (t->cap - 1)) {
        size_t from_home = (at - home(t, t->slots[at].key)) & (t->cap - 1);
        size_t from_hole = (at - hole) & (t->cap - 1);
        if (from_home >= from_hole) {
            t->slots[hole] = t->slots[at];
            t->slots[at].n = 0;
            hole = at;
        }
    }
}

void lmi_counts_done(lmi_counts *t)
{
    free(t->slots);
    *t = (lmi_counts){0};
}
