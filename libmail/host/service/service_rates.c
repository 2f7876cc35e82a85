/* service_rates.c - how many connections each client has open, and has begun in a while.
 *
 * The while is cut into slices, as the classic program does: the count of a client is that of its
 * last SLICES slices. A client without connections is forgotten when its slices have passed, at the
 * latest when the table would grow. Keys are spread with a seed of this process. */
#include "host/net/net_machine.h"
#include "host/service/service_limits.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLICES 6u
#define SMALL 64u /* slots of the first table, a power of two */

typedef struct client {
    uint64_t key;   /* 0: a free slot */
    uint64_t slice; /* the number of the newest slice */
    uint32_t recent[SLICES];
    uint32_t open;
} client;

struct lmi_rates {
    pthread_mutex_t lock;
    client *slots;
    size_t cap, used;
    uint64_t seed, slice; /* slice: the newest seen */
};

lmi_rates *lmi_rates_new(void)
{
    lmi_rates *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    if (lmi_random(&r->seed, sizeof r->seed))
        r->seed = (uint64_t)(uintptr_t)r;
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

void lmi_rates_free(lmi_rates *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r->slots);
    free(r);
}

/* The slot of a key, or the free one where it would stand. */
static client *find(client *slots, size_t cap, uint64_t seed, uint64_t key)
{
    uint64_t h = (key ^ seed) * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ (h >> 32)) * (seed | 1);
    size_t at = (size_t)(h >> 32) & (cap - 1);
    while (slots[at].key && slots[at].key != key)
        at = (at + 1) & (cap - 1);
    return &slots[at];
}

static int is_forgotten(const lmi_rates *r, const client *c)
{
    return !c->open && c->slice + SLICES <= r->slice;
}

/* A table with room, without those that are forgotten. 0: no memory. */
static int make_room(lmi_rates *r)
{
    size_t live = 0, cap = SMALL;
    if ((r->used + 1) * 2 <= r->cap)
        return 1;
    for (size_t i = 0; i < r->cap; i++)
        live += r->slots[i].key && !is_forgotten(r, &r->slots[i]);
    while (cap < (live + 1) * 4)
        cap *= 2;
    client *slots = calloc(cap, sizeof *slots);
    if (!slots)
        return 0;
    for (size_t i = 0; i < r->cap; i++)
        if (r->slots[i].key && !is_forgotten(r, &r->slots[i]))
            *find(slots, cap, r->seed, r->slots[i].key) = r->slots[i];
    free(r->slots);
    r->slots = slots;
    r->cap = cap;
    r->used = live;
    return 1;
}

static void count(lmi_rates *r, client *c, uint64_t *recent)
{
    if (c->slice + SLICES <= r->slice)
        memset(c->recent, 0, sizeof c->recent);
    else
        for (uint64_t s = c->slice + 1; s <= r->slice; s++)
            c->recent[s % SLICES] = 0;
    c->slice = r->slice;
    c->recent[r->slice % SLICES]++;
    *recent = 0;
    for (size_t i = 0; i < SLICES; i++)
        *recent += c->recent[i];
}

void lmi_rates_began(lmail_service *service, uint64_t key, lmail_msec window, lmail_msec now,
                     uint64_t *recent, uint64_t *open)
{
    lmi_rates *r = lmi_limits_rates(service->limits);
    lmail_msec slice = window / SLICES ? now / (window / SLICES) : now;
    *recent = *open = 0;
    if (!key)
        return;
    pthread_mutex_lock(&r->lock);
    if (slice > r->slice ||
        r->slice - slice > SLICES) /* else a loop whose clock is a little behind */
        r->slice = slice;
    if (make_room(r)) {
        client *c = find(r->slots, r->cap, r->seed, key);
        if (!c->key) {
            c->key = key;
            r->used++;
        }
        count(r, c, recent);
        *open = ++c->open;
    }
    pthread_mutex_unlock(&r->lock);
}

void lmi_rates_ended(lmail_service *service, uint64_t key)
{
    lmi_rates *r = lmi_limits_rates(service->limits);
    if (!key)
        return;
    pthread_mutex_lock(&r->lock);
    client *c = r->cap ? find(r->slots, r->cap, r->seed, key) : NULL;
    if (c && c->key && c->open)
        c->open--;
    pthread_mutex_unlock(&r->lock);
}
