/* net_net.c - a net: its loops, their threads, and how all of it stops.
 *
 * Stopping runs on loop 0 in four steps: listeners close and every loop asks its sessions to end;
 * all loops are empty (no connection, no ticket out); all pools have finished their queues; all
 * loops but loop 0 have closed, then loop 0 closes. Each step is a countdown told by tasks, so that
 * no thread waits for another. */
#include "net_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_MAX 10000u
#define DEFAULT_PER_KEY 100u

typedef struct lmi_signal {
    struct lmi_signal *next;
    uv_signal_t handle;
    lmail_call_fn *fn;
    void *arg;
} lmi_signal;

static void stop_asked(lmi_task *task);
static void loop_stop(lmi_task *task);
static void loop_empty(lmi_task *task);
static void loop_close(lmi_task *task);
static void loop_closed(lmi_task *task);
static void cut_off(lmi_timer *timer);
static void signal_closed(uv_handle_t *handle);

lmail_status lmi_net_fail(lmail_status st, char *error, size_t cap, const char *format, ...)
{
    if (error && cap) {
        va_list args;
        va_start(args, format);
        vsnprintf(error, cap, format, args);
        va_end(args);
    }
    return st;
}

void lmail_net_config_init(lmail_net_config *config)
{
    *config = (lmail_net_config)LMAIL_NET_CONFIG_INIT;
}

/* ---- Making and freeing ---------------------------------------------------------------------- */

static lmail_status make_loops(lmail_net *net, uv_loop_t *uv)
{
    for (unsigned i = 0; i < net->loops_n; i++) {
        lmail_loop *loop = &net->loops[i];
        loop->stop_task.fn = loop_stop;
        loop->empty_task.fn = loop_empty;
        loop->close_task.fn = loop_close;
        loop->closed_task.fn = loop_closed;
        loop->stop_timer.fn = cut_off;
        lmail_status st = lmi_loop_init(loop, net, i, i ? NULL : uv);
        if (st)
            return st;
    }
    return LMAIL_OK;
}

static lmail_status fill(lmail_net *net, const lmail_net_config *config)
{
    unsigned cores = uv_available_parallelism();
    net->loops_n = config->loops ? config->loops : config->uv ? 1 : cores;
    net->embedded = config->uv != NULL;
    net->max = config->max_connections ? config->max_connections : DEFAULT_MAX;
    net->max_per_key = config->max_per_address ? config->max_per_address : DEFAULT_PER_KEY;
    net->grace = LMAIL_NEVER;
    net->stop_task.fn = stop_asked;
    net->room_task.fn = lmi_net_room_again;
    pthread_mutex_init(&net->lock, NULL);
    net->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (net->reserve < 0 || lmi_random(&net->counts.seed, sizeof(net->counts.seed)))
        return LMAIL_ERR_IO;
    net->loops = calloc(net->loops_n, sizeof(*net->loops));
    if (!net->loops)
        return LMAIL_ERR_NOMEM;
    lmail_status st = make_loops(net, config->uv);
    lmail_pool_config pool = LMAIL_POOL_CONFIG_INIT;
    pool.name = "tls";
    pool.threads = config->handshake_threads;
    return st ? st : lmail_pool_new(&net->handshakes, net, &pool);
}

lmail_status lmail_net_new(lmail_net **out, const lmail_net_config *config, char *error, size_t cap)
{
    if (config->size > sizeof(*config))
        return lmi_net_fail(LMAIL_ERR_SIZE, error, cap, "configuration of a newer library");
    if (config->loops > 1024)
        return lmi_net_fail(LMAIL_ERR_ARG, error, cap, "more than 1024 loops");
    lmail_net *net = calloc(1, sizeof(*net));
    lmail_status st = net ? fill(net, config) : LMAIL_ERR_NOMEM;
    if (st) {
        lmail_net_free(net);
        return lmi_net_fail(st, error, cap, "cannot make the event loops: %s",
                            lmail_status_text(st));
    }
    *out = net;
    return LMAIL_OK;
}

void lmail_net_free(lmail_net *net)
{
    if (!net)
        return;
    while (net->pools) {
        lmail_pool *pool = net->pools;
        net->pools = lmi_pool_next(pool);
        lmi_pool_free(pool);
    }
    while (net->listeners) {
        lmail_listener *l = net->listeners;
        net->listeners = l->next;
        lmi_listener_free(l);
    }
    for (lmi_signal *s = net->started ? NULL : net->signals; s; s = s->next)
        uv_close((uv_handle_t *)&s->handle, signal_closed);
    for (unsigned i = 0; net->loops && i < net->loops_n; i++) {
        if (!net->loops[i].net)
            break;
        lmi_loop_run_posts(&net->loops[i]);
        if (!net->started)
            lmi_loop_close(&net->loops[i]);
    }
    for (unsigned i = net->loops ? net->loops_n : 0; i > 0; i--)
        lmi_loop_done(&net->loops[i - 1]);
    while (net->signals) {
        lmi_signal *s = net->signals;
        net->signals = s->next;
        free(s);
    }
    free(net->loops);
    lmi_counts_done(&net->counts);
    pthread_mutex_destroy(&net->lock);
    if (net->reserve >= 0)
        close(net->reserve);
    free(net);
}

unsigned lmail_net_loops(const lmail_net *net)
{
    return net->loops_n;
}

lmail_loop *lmail_net_loop(lmail_net *net, unsigned index)
{
    return index < net->loops_n ? &net->loops[index] : NULL;
}

/* ---- Running --------------------------------------------------------------------------------- */

static void *run_loop(void *arg)
{
    lmail_loop *loop = arg;
    uv_run(loop->uv, UV_RUN_DEFAULT);
    return NULL;
}

static int start_loops(lmail_net *net)
{
    sigset_t all, before;
    int failed = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 1; i < net->loops_n && !failed; i++) {
        lmail_loop *loop = &net->loops[i];
        failed = pthread_create(&loop->thread, NULL, run_loop, loop);
        loop->has_thread = !failed;
        if (!failed)
            pthread_setname_np(loop->thread, "loop");
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

static lmail_status start(lmail_net *net)
{
    if (net->started)
        return LMAIL_ERR_STATE;
    net->started = 1;
    int failed = start_loops(net);
    if (failed) { /* loops without a thread are closed from here */
        for (unsigned i = 1; i < net->loops_n; i++)
            if (!net->loops[i].has_thread)
                lmi_loop_close(&net->loops[i]);
        lmail_net_stop(net, 0);
    }
    uv_update_time(net->loops[0].uv);
    for (lmail_listener *l = net->listeners; l; l = l->next)
        lmi_listener_start(l);
    return failed ? LMAIL_ERR_IO : LMAIL_OK;
}

lmail_status lmail_net_run(lmail_net *net)
{
    if (net->embedded)
        return LMAIL_ERR_STATE;
    lmail_status st = start(net);
    if (st == LMAIL_ERR_STATE)
        return st;
    uv_run(net->loops[0].uv, UV_RUN_DEFAULT);
    return st;
}

lmail_status lmail_net_start(lmail_net *net, lmail_call_fn *stopped, void *arg)
{
    if (!net->embedded)
        return LMAIL_ERR_STATE;
    net->stopped = stopped;
    net->stopped_arg = arg;
    return start(net);
}

/* ---- Stopping -------------------------------------------------------------------------------- */

void lmail_net_stop(lmail_net *net, lmail_msec grace)
{
    pthread_mutex_lock(&net->lock);
    net->grace = lmi_min(net->grace, grace);
    pthread_mutex_unlock(&net->lock);
    lmi_loop_post_task(&net->loops[0], &net->stop_task);
}

static void stop_asked(lmi_task *task)
{
    lmail_net *net = LMI_OF(task, lmail_net, stop_task);
    if (!net->stopping) {
        net->stopping = 1;
        net->empty_n = net->closed_n = net->loops_n;
        for (lmail_listener *l = net->listeners; l; l = l->next)
            lmi_listener_apply(l);
    }
    for (unsigned i = 0; i < net->loops_n; i++)
        if (!lmi_loop_post_task(&net->loops[i], &net->loops[i].stop_task))
            loop_empty(&net->loops[i].empty_task); /* a loop that never ran */
}

static void cut_off(lmi_timer *timer)
{
    lmail_loop *loop = LMI_OF(timer, lmail_loop, stop_timer);
    for (lmail_conn *c = loop->conns; c; c = c->next)
        lmi_conn_abort(c, LMAIL_CLOSE_STOP);
}

static void loop_stop(lmi_task *task)
{
    lmail_loop *loop = LMI_OF(task, lmail_loop, stop_task);
    pthread_mutex_lock(&loop->net->lock);
    lmail_msec grace = loop->net->grace;
    pthread_mutex_unlock(&loop->net->lock);
    int first = !loop->stopping;
    loop->stopping = 1;
    if (first)
        for (lmail_conn *c = loop->conns; c; c = c->next)
            lmi_conn_stop(c);
    lmail_msec due = uv_now(loop->uv) + grace;
    if (grace < LMAIL_NEVER - uv_now(loop->uv) && (first || due < loop->stop_timer.when))
        lmi_loop_timer_set(loop, &loop->stop_timer, due);
    lmi_loop_check_empty(loop);
}

void lmi_loop_check_empty(lmail_loop *loop)
{
    if (!loop->stopping || loop->conns || loop->empty_told)
        return;
    loop->empty_told = 1;
    lmi_loop_timer_set(loop, &loop->stop_timer, LMAIL_NEVER);
    lmi_loop_post_task(&loop->net->loops[0], &loop->empty_task);
}

static void close_loops(lmail_net *net)
{
    if (net->loops_n == 1)
        lmi_loop_post_task(&net->loops[0], &net->loops[0].close_task);
    for (unsigned i = 1; i < net->loops_n; i++)
        if (!lmi_loop_post_task(&net->loops[i], &net->loops[i].close_task))
            loop_closed(&net->loops[i].closed_task);
}

static void signal_closed(uv_handle_t *handle)
{
    (void)handle; /* its memory is freed with the net */
}

static void loop_empty(lmi_task *task)
{
    lmail_net *net = LMI_OF(task, lmail_loop, empty_task)->net;
    if (--net->empty_n)
        return;
    for (lmi_signal *s = net->signals; s; s = s->next)
        uv_close((uv_handle_t *)&s->handle, signal_closed);
    pthread_mutex_lock(&net->lock);
    lmail_pool *pools = net->pools;
    net->pools_n = 0;
    for (lmail_pool *p = pools; p; p = lmi_pool_next(p))
        net->pools_n++;
    pthread_mutex_unlock(&net->lock);
    for (lmail_pool *p = pools; p; p = lmi_pool_next(p))
        lmi_pool_end(p);
}

void lmi_net_pool_ended(lmail_net *net)
{
    if (--net->pools_n == 0)
        close_loops(net);
}

static void loop_close(lmi_task *task)
{
    lmail_loop *loop = LMI_OF(task, lmail_loop, close_task);
    lmi_loop_close(loop);
}

/* On loop 0, for every other loop; when they are through loop 0 goes too. */
static void loop_closed(lmi_task *task)
{
    lmail_loop *loop = LMI_OF(task, lmail_loop, closed_task);
    lmail_net *net = loop->net;
    if (loop->has_thread) {
        pthread_join(loop->thread, NULL);
        loop->has_thread = 0;
    }
    if (--net->closed_n == 1)
        loop_close(&net->loops[0].close_task);
}

/* Loop 0 has closed its own handles. */
void lmi_net_ended(lmail_net *net)
{
    if (net->stopped && net->started)
        net->stopped(net->stopped_arg);
}

/* ---- Signals --------------------------------------------------------------------------------- */

static void signal_came(uv_signal_t *handle, int signum)
{
    lmi_signal *s = handle->data;
    (void)signum;
    s->fn(s->arg);
}

lmail_status lmail_net_signal(lmail_net *net, int signum, lmail_call_fn *fn, void *arg)
{
    lmi_signal *s = calloc(1, sizeof(*s));
    if (!s)
        return LMAIL_ERR_NOMEM;
    s->fn = fn;
    s->arg = arg;
    s->handle.data = s;
    if (uv_signal_init(net->loops[0].uv, &s->handle)) {
        free(s);
        return LMAIL_ERR_IO;
    }
    s->next = net->signals;
    net->signals = s;
    return uv_signal_start(&s->handle, signal_came, signum) ? LMAIL_ERR_IO : LMAIL_OK;
}
