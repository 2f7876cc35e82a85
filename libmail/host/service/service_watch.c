/* service_watch.c - who wants to hear of changes to which account.
 *
 * Each loop has its own table of watching peers by the account's slot, touched by its thread alone.
 * A change by this process is posted to every loop; one by another process arrives as a datagram on
 * loop 0. A datagram may be lost, so each loop also compares its peers' counters once a second.
 *
 * Programs that know nothing of counters change mailboxes too. The store has a descriptor that tells
 * so; loop 0 polls it. What it tells of is left to gather for a moment and looked at by a worker, one
 * look at a time, however many sessions wait; the loop never reads it. What a look finds raises the
 * counter, and goes its way from there like any change. */
#include "host/service/service_internal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

#define BUCKETS 1024u /* a power of two */
#define SWEEP 1000u   /* milliseconds */
#define GATHER 100u   /* from a report to the look at it, so that many make one look */
#define SLOW 10000u   /* between looks at mailboxes that nothing reports */

typedef struct loop_watch {
    lmi_watch *watch;
    lmail_loop *loop;
    lmi_peer *buckets[BUCKETS];
    atomic_size_t count; /* others read it, to spare a loop where nobody watches */
    lmail_timer *sweep;
} loop_watch;

struct lmi_watch {
    lmail_net *net;
    lmail_notice *notice;
    uv_poll_t poll;
    unsigned polling;
    int raises;
    unsigned loops;
    loop_watch *at;

    /* Other programs; loop 0's, but for what `look` reads. */
    const lmail_store *store; /* NULL: there are none */
    lmail_pool *pool;
    uv_poll_t reports;
    unsigned hearing;       /* `reports` is open */
    lmail_timer *gathered;  /* to look at what was reported */
    lmail_timer *slow;      /* to look at all */
    unsigned looking;       /* a worker does */
    unsigned all, look_all; /* the next look is at all; so is the one under way */
    unsigned stopped;
    lmail_status found;
};

static loop_watch *watch_of(lmi_watch *w, const lmail_loop *loop)
{
    for (unsigned i = 0; i < w->loops; i++)
        if (w->at[i].loop == loop)
            return &w->at[i];
    return NULL;
}

uint32_t lmi_watch_value(const lmi_watch *w, unsigned slot)
{
    return lmail_notice_value(w->notice, slot);
}

void lmi_watch_add(lmi_watch *w, lmi_peer *peer)
{
    if (peer->watch_at)
        return;
    loop_watch *l = watch_of(w, peer->loop);
    lmi_peer **head = &l->buckets[peer->slot % BUCKETS];
    peer->watch_next = *head;
    if (*head)
        (*head)->watch_at = &peer->watch_next;
    peer->watch_at = head;
    *head = peer;
    if (atomic_fetch_add(&l->count, 1) == 0)
        lmail_timer_set(l->sweep, lmail_loop_now(l->loop) + SWEEP);
}

void lmi_watch_remove(lmi_peer *peer)
{
    if (!peer->watch_at)
        return;
    *peer->watch_at = peer->watch_next;
    if (peer->watch_next)
        peer->watch_next->watch_at = peer->watch_at;
    peer->watch_at = NULL;
    atomic_fetch_sub(&watch_of(peer->door->service->watch, peer->loop)->count, 1);
}

/* changed() may take its own peer out of the list, never another. */
static void tell_bucket(loop_watch *l, unsigned bucket)
{
    for (lmi_peer *p = l->buckets[bucket], *next; p; p = next) {
        next = p->watch_next;
        if (lmi_watch_value(l->watch, p->slot) != p->seen)
            p->door->protocol->changed(p);
    }
}

static void sweep(void *arg)
{
    loop_watch *l = arg;
    if (!atomic_load(&l->count))
        return;
    for (unsigned b = 0; b < BUCKETS; b++)
        if (l->buckets[b])
            tell_bucket(l, b);
    if (atomic_load(&l->count))
        lmail_timer_set(l->sweep, lmail_loop_now(l->loop) + SWEEP);
}

typedef struct telling {
    loop_watch *at;
    unsigned bucket;
} telling;

static void tell_posted(void *arg)
{
    telling *t = arg;
    tell_bucket(t->at, t->bucket);
    free(t);
}

static void tell(lmi_watch *w, unsigned slot)
{
    /* The counter was raised before this looks for watchers, and who begins to watch compares the
     * counter afterwards: one of the two sees the other. */
    for (unsigned i = 0; i < w->loops; i++) {
        if (!atomic_load(&w->at[i].count))
            continue;
        telling *t = malloc(sizeof *t);
        if (!t)
            return; /* the sweep finds it */
        *t = (telling){&w->at[i], slot % BUCKETS};
        if (lmail_loop_post(w->at[i].loop, tell_posted, t))
            free(t);
    }
}

void lmi_watch_tell(lmi_watch *w, unsigned slot)
{
    if (w->raises)
        lmail_notice_raise(w->notice, slot);
    tell(w, slot);
}

static void woken(uv_poll_t *poll, int status, int events)
{
    lmi_watch *w = poll->data;
    unsigned slot;
    (void)events;
    if (status < 0)
        return;
    while (lmail_notice_take(w->notice, &slot) == LMAIL_OK)
        tell(w, slot);
}

/* ---- Other programs -------------------------------------------------------------------------- */

static void found_change(void *arg, lmail_str account)
{
    lmi_watch_tell(arg, lmail_notice_slot(account));
}

static void look(void *arg)
{
    lmi_watch *w = arg;
    w->found =
        w->store->watch_look(w->store->ctx, w->look_all ? LMAIL_LOOK_ALL : 0, found_change, w);
}

static void reported(uv_poll_t *poll, int status, int events)
{
    lmi_watch *w = poll->data;
    (void)status;
    (void)events;
    uv_poll_stop(poll); /* until a worker has read it */
    lmail_timer_set(w->gathered, lmail_loop_now(w->at[0].loop) + GATHER);
}

static void looked(void *arg);

static void begin_look(lmi_watch *w)
{
    if (w->looking || w->stopped)
        return;
    w->looking = 1;
    w->look_all = w->all;
    w->all = 0;
    if (lmail_pool_submit(w->pool, w->at[0].loop, look, looked, w, 0)) {
        w->looking = 0;
        w->all |= w->look_all;
        lmail_timer_set(w->gathered, lmail_loop_now(w->at[0].loop) + SWEEP);
    }
}

static void looked(void *arg)
{
    lmi_watch *w = arg;
    w->looking = 0;
    if (w->stopped)
        return;
    if (w->found == LMAIL_MORE || w->all)
        begin_look(w);
    else if (w->found == LMAIL_PENDING)
        lmail_timer_set(w->gathered, lmail_loop_now(w->at[0].loop) + GATHER);
    else if (w->hearing)
        uv_poll_start(&w->reports, UV_READABLE, reported);
}

static void time_to_look(void *arg)
{
    begin_look(arg);
}

static void time_for_all(void *arg)
{
    lmi_watch *w = arg;
    unsigned watchers = 0;
    for (unsigned i = 0; i < w->loops; i++)
        watchers |= atomic_load(&w->at[i].count) != 0;
    if (watchers) {
        w->all = 1;
        begin_look(w);
    }
    lmail_timer_set(w->slow, lmail_loop_now(w->at[0].loop) + SLOW);
}

lmail_status lmi_watch_foreign(lmi_watch *w, const lmail_store *store, lmail_pool *pool)
{
    if (!store->watch_look)
        return LMAIL_OK;
    lmail_loop *loop = w->at[0].loop;
    lmail_status st = lmail_timer_new(&w->gathered, loop, time_to_look, w);
    if (!st)
        st = lmail_timer_new(&w->slow, loop, time_for_all, w);
    if (st)
        return st;
    w->store = store;
    w->pool = pool;
    lmail_timer_set(w->slow, lmail_loop_now(loop) + SLOW);
    int fd = store->watch_fd ? store->watch_fd(store->ctx) : -1;
    if (fd >= 0) {
        if (uv_poll_init(lmail_loop_uv(loop), &w->reports, fd))
            return LMAIL_ERR_IO;
        w->reports.data = w;
        w->hearing = 1;
        uv_poll_start(&w->reports, UV_READABLE, reported);
        uv_unref((uv_handle_t *)&w->reports);
    }
    return LMAIL_OK;
}

/* ---- Life ------------------------------------------------------------------------------------ */

lmail_status lmi_watch_new(lmi_watch **out, lmail_net *net, lmail_notice *notice, int raises)
{
    lmi_watch *w = calloc(1, sizeof *w);
    if (!w)
        return LMAIL_ERR_NOMEM;
    w->net = net;
    w->notice = notice;
    w->raises = raises;
    w->at = calloc(lmail_net_loops(net), sizeof *w->at);
    if (!w->at) {
        free(w);
        return LMAIL_ERR_NOMEM;
    }
    for (unsigned i = 0; i < lmail_net_loops(net); i++) {
        loop_watch *l = &w->at[i];
        l->watch = w;
        l->loop = lmail_net_loop(net, i);
        lmail_status st = lmail_timer_new(&l->sweep, l->loop, sweep, l);
        if (st) {
            lmi_watch_end(w);
            lmi_watch_free(w);
            return st;
        }
        w->loops++;
    }
    *out = w;
    return LMAIL_OK;
}

lmail_status lmi_watch_start(lmi_watch *w)
{
    int fd = lmail_notice_fd(w->notice);
    if (fd < 0)
        return LMAIL_OK;
    if (uv_poll_init(lmail_loop_uv(w->at[0].loop), &w->poll, fd))
        return LMAIL_ERR_IO;
    w->poll.data = w;
    w->polling = 1;
    uv_poll_start(&w->poll, UV_READABLE, woken);
    uv_unref((uv_handle_t *)&w->poll);
    return LMAIL_OK;
}

void lmi_watch_stop(lmi_watch *w)
{
    if (!w)
        return;
    if (w->polling)
        uv_close((uv_handle_t *)&w->poll, NULL);
    if (w->hearing)
        uv_close((uv_handle_t *)&w->reports, NULL);
    w->polling = w->hearing = 0;
    w->stopped = 1;
    if (w->store) {
        lmail_timer_set(w->gathered, LMAIL_NEVER);
        lmail_timer_set(w->slow, LMAIL_NEVER);
    }
}

void lmi_watch_end(lmi_watch *w)
{
    lmi_watch_stop(w);
    for (unsigned i = 0; w && i < w->loops; i++) {
        lmail_timer_free(w->at[i].sweep);
        w->at[i].sweep = NULL;
    }
    if (w) {
        lmail_timer_free(w->gathered);
        lmail_timer_free(w->slow);
        w->gathered = w->slow = NULL;
    }
}

void lmi_watch_free(lmi_watch *w)
{
    if (!w)
        return;
    free(w->at);
    free(w);
}
