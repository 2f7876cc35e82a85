/* service_pickup.c - the directory of drops: watched, looked through, and its names given to workers.
 *
 * The system tells of new names; a clock looks anyway, since what it tells can be lost, and tries again
 * what could not be taken. Drops go in the order of their names, some at a time; one that is stuck holds up
 * nobody but itself. */
#include "host/service/service_pickup.h"
#include "host/service/service_owner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define CLOCK 5000u      /* milliseconds between two looks */
#define WAIT_FIRST 5000u /* a drop that was not taken, doubled each time */
#define WAIT_MOST 300000u
#define AT_A_TIME 64u    /* names of one look */
#define MOST_ITEMS 4096u /* that run or wait; more are not looked at until one of them is gone */
#define WORKERS 4u

/* ---- One name -------------------------------------------------------------------------------- */

static void start_look(lmi_pickup *p);

static lmi_item *find(const lmi_pickup *p, const char *name)
{
    lmi_item *i = p->items;
    while (i && strcmp(i->name, name) != 0)
        i = i->next;
    return i;
}

static void forget(lmi_pickup *p, lmi_item *item)
{
    lmi_item **at = &p->items;
    while (*at && *at != item)
        at = &(*at)->next;
    if (*at)
        *at = item->next;
    p->item_count--;
    free(item);
}

static void send_work(void *arg)
{
    lmi_item *item = arg;
    item->over = lmi_pickup_send(item->pickup, item->name) == LMAIL_OK;
}

static void sent(void *arg)
{
    lmi_item *item = arg;
    lmi_pickup *p = item->pickup;
    pthread_mutex_lock(&p->lock);
    item->running = 0;
    p->running--;
    if (item->over) {
        forget(p, item);
    } else {
        lmail_msec wait = WAIT_FIRST << (item->attempts < 6 ? item->attempts : 6);
        item->attempts++;
        item->due = lmail_loop_now(p->loop) + (wait < WAIT_MOST ? wait : WAIT_MOST);
    }
    pthread_mutex_unlock(&p->lock);
    if (p->look_again)
        start_look(p);
}

/* ---- Looking --------------------------------------------------------------------------------- */

typedef struct look {
    lmi_pickup *pickup;
    lmail_msec now;
    lmi_item *found[AT_A_TIME];
    size_t count;
    unsigned more;
} look;

/* On a worker. */
static int keep(void *user, const char *name)
{
    look *l = user;
    lmi_pickup *p = l->pickup;
    size_t len = strlen(name);
    pthread_mutex_lock(&p->lock);
    lmi_item *item = find(p, name);
    int full = l->count == AT_A_TIME || (!item && p->item_count >= MOST_ITEMS);
    if (!full && !item && (item = calloc(1, sizeof *item + len + 1))) {
        memcpy(item->name, name, len);
        item->pickup = p;
        item->next = p->items;
        p->items = item;
        p->item_count++;
    }
    if (!full && item && !item->running && item->due <= l->now) {
        item->running = 1;
        l->found[l->count++] = item;
    }
    pthread_mutex_unlock(&p->lock);
    l->more |= (unsigned)full;
    return full || atomic_load(&p->stopping);
}

static void look_work(void *arg)
{
    look *l = arg;
    (void)lmail_drop_list(l->pickup->directory, SIZE_MAX, keep, l);
}

static void looked(void *arg)
{
    look *l = arg;
    lmi_pickup *p = l->pickup;
    p->looking = 0;
    p->look_again |= l->more;
    p->running += l->count;
    for (size_t i = 0; i < l->count; i++)
        if (lmail_pool_submit(p->pool, p->loop, send_work, sent, l->found[i], 0))
            sent(l->found[i]); /* the pool has ended */
    if (p->look_again && !l->count && !l->more)
        start_look(p);
    free(l);
}

static void start_look(lmi_pickup *p)
{
    if (atomic_load(&p->stopping))
        return;
    p->look_again |= p->looking || p->running >= AT_A_TIME;
    if (p->looking || p->running >= AT_A_TIME)
        return;
    look *l = calloc(1, sizeof *l);
    if (!l)
        return; /* the clock looks again */
    p->look_again = 0;
    p->looking = 1;
    l->pickup = p;
    l->now = lmail_loop_now(p->loop);
    if (lmail_pool_submit(p->pool, p->loop, look_work, looked, l, 0)) {
        p->looking = 0;
        free(l);
    }
}

static void clock_struck(void *arg)
{
    lmi_pickup *p = arg;
    start_look(p);
    lmail_timer_set(p->clock, lmail_loop_now(p->loop) + CLOCK);
}

static void told(uv_poll_t *handle, int status, int events)
{
    lmi_pickup *p = handle->data;
    char room[4096];
    (void)status;
    (void)events;
    while (read(p->events_fd, room, sizeof room) > 0)
        ;
    start_look(p);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void warn(const lmail_service *s, const char *error)
{
    lmail_log_line l;
    lmail_log_begin(&l, s->log, LMAIL_LOG_WARN, "no_pickup");
    lmail_log_text(&l, "reason", lmail_str_from(error));
    lmail_log_end(&l);
}

/* The directory as it should be. Made while we may still be root. */
static lmail_status prepare(lmail_service *s, char path[LMAIL_DROP_PATH], char *error, size_t cap)
{
    const lmail_settings *v = lmail_config_settings(s->first_config);
    lmail_owner owner;
    uint32_t uid = (uint32_t)geteuid(), gid = UINT32_MAX;
    lmail_status st = lmail_service_drop_directory(v, path, LMAIL_DROP_PATH - 128);
    if (st == LMAIL_ERR_LIMIT)
        snprintf(error, cap, "queue.drop_directory: too long");
    if (st)
        return st;
    if (geteuid() == 0 && lmail_owner_find(&owner, v, NULL, 0) == LMAIL_OK)
        uid = owner.uid;
    if (v->queue.drop_group.len)
        (void)lmail_group_find(&gid, v->queue.drop_group);
    return lmail_drop_prepare(path, uid, gid, error, cap);
}

static void watch(lmi_pickup *p)
{
    p->events_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (p->events_fd < 0)
        return;
    if (inotify_add_watch(p->events_fd, p->directory, IN_MOVED_TO | IN_ONLYDIR) < 0 ||
        uv_poll_init(lmail_loop_uv(p->loop), &p->events, p->events_fd)) {
        close(p->events_fd);
        p->events_fd = -1;
        return;
    }
    p->events.data = p;
    p->hears = 1;
    uv_poll_start(&p->events, UV_READABLE, told);
    uv_unref((uv_handle_t *)&p->events);
}

static lmail_status make_parts(lmi_pickup *p, char *error, size_t cap)
{
    lmail_pool_config c = LMAIL_POOL_CONFIG_INIT;
    c.name = "pickup";
    c.threads = WORKERS;
    lmail_status st = lmail_pool_new(&p->pool, p->service->net, &c);
    if (!st)
        st = lmail_timer_new(&p->clock, p->loop, clock_struck, p);
    if (!st)
        st = lmi_pickup_open(p, error, cap);
    return st ? st : lmi_asking_new(p);
}

lmail_status lmi_pickup_new(lmail_service *s, char *error, size_t cap)
{
    char path[LMAIL_DROP_PATH];
    if (!s->queue)
        return LMAIL_OK;
    lmail_status st = prepare(s, path, error, cap);
    if (st) { /* mail from elsewhere is served all the same */
        if (st != LMAIL_END)
            warn(s, error[0] ? error : lmail_status_text(st));
        error[0] = '\0';
        return LMAIL_OK;
    }
    lmi_pickup *p = calloc(1, sizeof *p);
    if (!p)
        return LMAIL_ERR_NOMEM;
    pthread_mutex_init(&p->lock, NULL);
    s->pickup = p;
    p->service = s;
    p->loop = lmail_net_loop(s->net, 0);
    p->events_fd = -1;
    memcpy(p->directory, path, sizeof path);
    st = make_parts(p, error, cap);
    if (st)
        return st;
    watch(p);
    lmail_timer_set(p->clock, 0);
    return LMAIL_OK;
}

void lmi_pickup_stop(lmi_pickup *p)
{
    if (!p || atomic_exchange(&p->stopping, 1))
        return;
    lmail_timer_set(p->clock, LMAIL_NEVER);
    if (p->hears)
        uv_close((uv_handle_t *)&p->events, NULL);
    p->hears = 0;
    lmi_asking_stop(p);
}

void lmi_pickup_end(lmi_pickup *p)
{
    if (!p)
        return;
    lmi_pickup_stop(p);
    lmail_timer_free(p->clock);
    p->clock = NULL;
}

void lmi_pickup_free(lmi_pickup *p)
{
    if (!p)
        return;
    while (p->items)
        forget(p, p->items);
    lmi_asking_free(p);
    if (p->events_fd >= 0)
        close(p->events_fd);
    lmail_smtp_client_setup_free(p->client);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
