/* service_runner.c - the queue's runner: its life, who is due, whose turn it is.
 *
 * Once a second a worker looks at the queue: what came due, what another process wrote, what has
 * become too old; that costs some steps of an index. Mail that this process queues is heard of at
 * once. The dispatcher says whose turn it is; a turn is service_runner_turn.c's. */
#include "host/service/service_runner.h"
#include "host/service/service_smtp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define CLOCK 1000u       /* milliseconds between two looks */
#define MOST_OFFERS 5000u /* destinations of one look */
#define REPORTS 256u
#define LOOKS_OF_REPORTS 5u

int64_t lmi_runner_clock(const lmi_runner *r)
{
    struct timespec t;
    (void)r;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint32_t lmi_runner_random(const lmi_runner *r)
{
    uint32_t n = 0;
    (void)r->service->env.random(r->service->env.ctx, &n, sizeof n);
    return n;
}

/* ---- A little later -------------------------------------------------------------------------- */

void lmi_runner_later(lmi_runner *r, lmi_later *l)
{
    if (l->asked)
        return;
    l->asked = 1;
    l->next = NULL;
    *r->later_end = l;
    r->later_end = &l->next;
    if (r->later_timer)
        lmail_timer_set(r->later_timer, 0);
}

void lmi_runner_not_later(lmi_runner *r, lmi_later *l)
{
    lmi_later **at = &r->later;
    while (l->asked && *at && *at != l)
        at = &(*at)->next;
    if (!l->asked || !*at)
        return;
    *at = l->next;
    if (r->later_end == &l->next)
        r->later_end = at;
    l->asked = 0;
}

static void do_later(void *arg)
{
    lmi_runner *r = arg;
    while (r->later) {
        lmi_later *l = r->later;
        r->later = l->next;
        if (!r->later)
            r->later_end = &r->later;
        l->asked = 0;
        l->fn(l->arg);
    }
}

void lmi_runner_job(lmi_runner *r, lmail_call_fn *work, lmail_call_fn *done, void *arg)
{
    if (!lmail_pool_submit(r->pool, r->loop, work, done, arg, 0))
        return;
    work(arg);
    done(arg);
}

/* ---- Whose turn ------------------------------------------------------------------------------ */

void lmi_runner_pump(lmi_runner *r)
{
    lmail_dispatch_turn turn;
    uint64_t most = r->ways->rules->settings->queue.max_run_size;
    while (!r->stopping && !r->paused && (!most || r->messages < most) &&
           lmail_dispatch_next(r->dispatch, lmail_loop_now(r->loop), &turn) == LMAIL_OK) {
        if (most && turn.batch > most - r->messages)
            turn.batch = (size_t)most - r->messages;
        lmi_turn_begin(r, &turn);
    }
}

/* ---- Looking --------------------------------------------------------------------------------- */

typedef struct lmi_look {
    lmi_runner *runner;
    lmi_ways *ways;
    lmail_queue_cursor cursor;
    char after[LMAIL_QUEUE_DESTINATION]; /* of a look at all, that goes on */
    unsigned all, going_on, leads, looks;
    lmi_offer *offers, *runs;
    size_t count;
} look;

static lmi_offer *new_offer(lmi_offer *next, lmail_str name, int priority)
{
    lmi_offer *o = malloc(sizeof *o + name.len + 1);
    if (!o)
        return next;
    o->next = next;
    o->priority = priority;
    if (name.len)
        memcpy(o->name, name.ptr, name.len);
    o->name[name.len] = '\0';
    return o;
}

static int keep_offer(void *user, const lmail_queue_due *due)
{
    look *l = user;
    l->offers = new_offer(l->offers, due->destination, due->priority);
    return ++l->count >= MOST_OFFERS;
}

static int keep_run(void *user, const lmail_queue_due *due)
{
    look *l = user;
    l->runs = new_offer(l->runs, due->destination, 0);
    return 0;
}

static void look_at_all(look *l, int64_t now)
{
    char next[LMAIL_QUEUE_DESTINATION];
    do {
        if (lmail_queue_destinations(l->runner->queue, now, lmail_str_from(l->after), 0, keep_offer,
                                     l, next))
            next[0] = '\0';
        strcpy(l->after, next);
    } while (l->after[0] && l->count < MOST_OFFERS);
    l->going_on = l->after[0] != '\0';
}

/* Ends that a stop left unreported, or that had to wait for others of their message. */
static void report_all(look *l)
{
    uint64_t ids[REPORTS], after = 0;
    size_t n = REPORTS;
    while (n == REPORTS && !lmail_queue_unreported(l->runner->queue, after, ids, REPORTS, &n)) {
        for (size_t i = 0; i < n; i++)
            lmi_age_report(l->runner, l->ways, ids[i]);
        after = n ? ids[n - 1] : after;
    }
}

static void look_work(void *arg)
{
    look *l = arg;
    lmail_queue *q = l->runner->queue;
    int64_t now = lmi_runner_clock(l->runner);
    if (lmail_queue_lead(q)) /* another process sends; it may end */
        return;
    if (!l->leads)
        l->all = 1;
    l->leads = 1;
    if (l->looks++ % LOOKS_OF_REPORTS == 0)
        report_all(l);
    if (lmail_queue_changed(q))
        l->all = 1;
    (void)lmail_queue_take_runs(q, keep_run, l);
    if (l->runs)
        l->all = 1;
    if (l->all || l->going_on)
        look_at_all(l, now);
    l->all = 0;
    while (l->count < MOST_OFFERS && !lmail_queue_due_since(q, now, &l->cursor, 0, keep_offer, l))
        ;
    lmi_age_look(l->runner, l->ways);
}

static void offer_all(lmi_runner *r, lmi_offer *list)
{
    while (list) {
        lmi_offer *next = list->next;
        if (!r->stopping)
            (void)lmail_dispatch_offer(r->dispatch, lmail_str_from(list->name), list->priority,
                                       lmail_loop_now(r->loop));
        free(list);
        list = next;
    }
}

static void start_look(lmi_runner *r);

static void looked(void *arg)
{
    look *l = arg;
    lmi_runner *r = l->runner;
    r->looking = 0;
    lmi_ways_release(l->ways);
    l->ways = NULL;
    lmi_waits_allow(r, l->leads && !r->paused && !r->stopping);
    offer_all(r, l->offers);
    l->offers = NULL;
    while (l->runs) {
        lmi_offer *next = l->runs->next;
        (void)lmail_dispatch_run(r->dispatch, lmail_str_from(l->runs->name),
                                 lmail_loop_now(r->loop));
        lmail_delivery_status_forget(r->status);
        free(l->runs);
        l->runs = next;
    }
    lmi_runner_pump(r);
    if (!r->stopping && (r->look_again || l->going_on))
        start_look(r);
}

static void start_look(lmi_runner *r)
{
    look *l = r->look;
    if (r->stopping)
        return;
    r->look_again = r->looking;
    if (r->looking)
        return;
    r->looking = 1;
    l->ways = lmi_ways_hold(r->ways);
    l->all |= r->look_all;
    r->look_all = 0;
    l->count = 0;
    lmi_runner_job(r, look_work, looked, l);
}

static void clock_struck(void *arg)
{
    lmi_runner *r = arg;
    if (r->stopping)
        return;
    lmi_out_tidy(r, 0);
    start_look(r);
    lmi_runner_pump(r);
    lmail_timer_set(r->clock, lmail_loop_now(r->loop) + CLOCK);
}

/* ---- What other threads hand in -------------------------------------------------------------- */

static void heard(void *arg)
{
    lmi_runner *r = arg;
    pthread_mutex_lock(&r->lock);
    lmi_offer *list = r->heard;
    unsigned all = r->heard_all;
    r->heard = NULL;
    r->heard_all = r->posted = 0;
    pthread_mutex_unlock(&r->lock);
    offer_all(r, list);
    if (all) {
        r->look_all = 1;
        start_look(r);
    }
    lmi_runner_pump(r);
}

/* In whatever thread has queued something. A new row may be for later: its turn finds nothing. */
static void hear(void *user, lmail_str destination, int priority)
{
    lmi_runner *r = user;
    pthread_mutex_lock(&r->lock);
    if (destination.len)
        r->heard = new_offer(r->heard, destination, priority);
    else
        r->heard_all = 1;
    if (!r->posted)
        r->posted = lmail_loop_post(r->loop, heard, r) == LMAIL_OK;
    pthread_mutex_unlock(&r->lock);
}

/* ---- ETRN ------------------------------------------------------------------------------------ */

typedef struct etrn_job {
    lmi_job base;
    char domain[256];
    size_t changed;
} etrn_job;

static void etrn_work(lmi_job *base)
{
    etrn_job *job = (etrn_job *)base;
    base->status = lmail_queue_retry_destination(base->peer->door->service->queue,
                                                 lmail_str_from(job->domain), &job->changed);
}

static void etrn_done(lmi_job *base)
{
    const etrn_job *job = (const etrn_job *)base;
    lmail_smtp_reply reply = LMAIL_SMTP_REPLY_INIT;
    char text[400];
    snprintf(text, sizeof text,
             job->changed ? "Queuing for node %s started" : "No messages waiting for node %s",
             job->domain);
    if (base->status)
        lmi_reply_fill(&reply, 458, "4.3.0", "Unable to queue messages now; try again later");
    else
        lmi_reply_fill(&reply, job->changed ? 250 : 251, "2.0.0", text);
    lmi_reply_give((smtp_peer *)base->peer, base->ticket, &reply);
}

lmail_status lmi_etrn_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_argument_event *ev, lmail_smtp_reply *reply)
{
    smtp_peer *p = user;
    lmail_str node = ev->argument;
    (void)s;
    if (node.len && (node.ptr[0] == '@' || node.ptr[0] == '#'))
        node = (lmail_str){node.ptr + 1, node.len - 1};
    if (!node.len || node.len >= 256) {
        lmi_reply_fill(reply, 501, "5.5.4", "Not a domain");
        return LMAIL_OK;
    }
    etrn_job *job = lmi_job_new(sizeof *job, &p->base, t, etrn_work, etrn_done);
    if (!job)
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < node.len; i++)
        job->domain[i] =
            node.ptr[i] >= 'A' && node.ptr[i] <= 'Z' ? (char)(node.ptr[i] | 0x20) : node.ptr[i];
    return lmi_peer_submit(&p->base, &job->base);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void figures(const lmi_runner *r, const lmail_settings *v, lmail_dispatch_config *d,
                    lmail_delivery_status_config *h)
{
    lmail_dispatch_config_init(d);
    lmail_delivery_status_config_init(h);
    d->env = h->env = &r->service->env;
    d->max_turns = (size_t)v->queue.max_deliveries;
    d->max_per = (size_t)v->queue.runners;
    h->most = v->client.host_status_timeout;
    if (h->most && h->most < 60000)
        h->first = h->most;
    /* A destination that does not answer is left alone no longer than its rows are. */
    d->back_off_first = v->queue.retry_first < 60000 ? v->queue.retry_first : 60000;
    d->back_off_most = v->queue.retry_most < 1800000 ? v->queue.retry_most : 1800000;
}

static lmail_status make_parts(lmi_runner *r, const lmail_settings *v)
{
    lmail_dispatch_config d;
    lmail_delivery_status_config h;
    lmail_pool_config p = LMAIL_POOL_CONFIG_INIT;
    figures(r, v, &d, &h);
    p.name = "queue";
    p.threads = 16; /* most of them wait for the disk, in one commit */
    lmail_status st = lmail_dispatch_new(&r->dispatch, &d);
    if (!st)
        st = lmail_delivery_status_new(&r->status, &h);
    if (!st)
        st = lmail_pool_new(&r->pool, r->service->net, &p);
    if (!st)
        st = lmail_timer_new(&r->later_timer, r->loop, do_later, r);
    return st ? st : lmail_timer_new(&r->clock, r->loop, clock_struck, r);
}

lmail_status lmi_runner_new(lmail_service *s, char *error, size_t cap)
{
    const lmail_settings *v = s->rules->settings;
    if (!s->queue || !v->queue.max_deliveries)
        return LMAIL_OK;
    lmi_runner *r = calloc(1, sizeof *r);
    look *l = calloc(1, sizeof *l);
    if (!r || !l) {
        free(r);
        free(l);
        return LMAIL_ERR_NOMEM;
    }
    pthread_mutex_init(&r->lock, NULL);
    r->service = s;
    r->loop = lmail_net_loop(s->net, 0);
    r->queue = s->queue;
    r->later_end = &r->later;
    r->look = l;
    l->runner = r;
    s->runner = r;
    lmail_status st = lmi_ways_new(&r->ways, s->rules, error, cap);
    if (!st)
        st = make_parts(r, v);
    if (st)
        return st;
    lmail_queue_watch(r->queue, hear, r);
    lmail_timer_set(r->clock, 0);
    return LMAIL_OK;
}

/* Without memory for more turns it goes on with those that there are. 0 deliveries: none begins. */
static void change_figures(lmi_runner *r, const lmail_settings *v)
{
    lmail_dispatch_config d;
    lmail_delivery_status_config h;
    figures(r, v, &d, &h);
    (void)lmail_dispatch_change(r->dispatch, &d);
    lmail_delivery_status_change(r->status, &h);
    r->paused = !v->queue.max_deliveries;
    if (r->paused)
        lmi_waits_allow(r, 0); /* a look lets them wait again */
}

static void say_restart(const lmail_service *s)
{
    lmail_log_line l;
    lmail_log_begin(&l, s->log, LMAIL_LOG_WARN, "reload");
    lmail_log_text(&l, "reason",
                   LMAIL_STR("queue.max_deliveries was 0 at the start: "
                             "mail is sent after a restart"));
    lmail_log_end(&l);
}

void lmi_runner_reload(lmail_service *s)
{
    lmi_runner *r = s->runner;
    lmi_ways *w;
    char error[512] = "";
    if (!r && s->queue && s->rules->settings->queue.max_deliveries)
        say_restart(s);
    if (!r || r->stopping)
        return;
    lmail_status st = lmi_ways_new(&w, s->rules, error, sizeof error);
    if (st) {
        lmail_log_line l;
        lmail_log_begin(&l, s->log, LMAIL_LOG_ERR, "reload");
        lmail_log_text(&l, "reason", lmail_str_from(error[0] ? error : lmail_status_text(st)));
        lmail_log_end(&l);
        return;
    }
    lmi_ways_release(r->ways);
    r->ways = w;
    change_figures(r, w->rules->settings);
    lmi_out_tidy(r, 1);
    lmail_delivery_status_forget(r->status);
    (void)lmail_dispatch_run(r->dispatch, (lmail_str){NULL, 0}, lmail_loop_now(r->loop));
    r->look_all = 1;
    start_look(r);
}

void lmi_runner_stop(lmi_runner *r)
{
    if (!r || r->stopping)
        return;
    r->stopping = 1;
    lmi_waits_allow(r, 0);
    lmail_timer_set(r->clock, LMAIL_NEVER);
    for (lmi_turn *t = r->turns, *next; t; t = next) {
        next = t->next;
        lmi_turn_stop(t);
    }
    lmi_out_tidy(r, 1);
}

void lmi_runner_end(lmi_runner *r)
{
    if (!r)
        return;
    r->stopping = 1;
    lmail_queue_watch(r->queue, NULL, NULL);
    if (r->later_timer)
        do_later(r);
    lmail_timer_free(r->clock);
    lmail_timer_free(r->later_timer);
    r->clock = r->later_timer = NULL;
}

void lmi_runner_free(lmi_runner *r)
{
    if (!r)
        return;
    while (r->turns)
        lmi_turn_free(r->turns);
    while (r->outs)
        lmi_out_free(r->outs);
    offer_all(r, r->heard);
    lmi_waits_free(r);
    lmail_dispatch_free(r->dispatch);
    lmail_delivery_status_free(r->status);
    lmi_ways_release(r->ways);
    pthread_mutex_destroy(&r->lock);
    free(r->look);
    free(r);
}
