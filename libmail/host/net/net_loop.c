/* net_loop.c - one event loop: posts from other threads, timers, and the list of connections to be
 * pumped before it next waits.
 *
 * Four handles of libuv carry all of it: one async (posts; woken once for a batch), one timer (the
 * heap's first), one prepare (pumps whom answers have woken, once a turn), one idle (keeps the loop
 * from waiting while that list is not empty). */
#include "net_internal.h"

#include <stdlib.h>
#include <string.h>

lmail_msec lmi_min(lmail_msec a, lmail_msec b)
{
    return a < b ? a : b;
}

lmail_msec lmail_loop_now(const lmail_loop *loop)
{
    return uv_now(loop->uv);
}

struct uv_loop_s *lmail_loop_uv(lmail_loop *loop)
{
    return loop->uv;
}

/* ---- Posts ----------------------------------------------------------------------------------- */

int lmi_loop_post_task(lmail_loop *loop, lmi_task *task)
{
    pthread_mutex_lock(&loop->lock);
    int open = !loop->closed;
    if (open && !atomic_exchange(&task->queued, 1)) {
        int first = !loop->posted;
        task->next = NULL;
        *loop->posted_end = task;
        loop->posted_end = &task->next;
        if (first) /* under the lock, so that the handle is not closed meanwhile */
            uv_async_send(&loop->async);
    }
    pthread_mutex_unlock(&loop->lock);
    return open;
}

void lmi_loop_run_posts(lmail_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    lmi_task *task = loop->posted;
    loop->posted = NULL;
    loop->posted_end = &loop->posted;
    pthread_mutex_unlock(&loop->lock);
    while (task) {
        lmi_task *next = task->next;
        atomic_store(&task->queued, 0);
        task->fn(task); /* may free the task */
        task = next;
    }
}

static void posts_came(uv_async_t *async)
{
    lmi_loop_run_posts(async->data);
}

typedef struct post {
    lmi_task task;
    lmail_call_fn *fn;
    void *arg;
} post;

static void run_call(lmi_task *task)
{
    post p = *(post *)task;
    free(task);
    p.fn(p.arg);
}

lmail_status lmail_loop_post(lmail_loop *loop, lmail_call_fn *fn, void *arg)
{
    post *p = malloc(sizeof(*p));
    if (!p)
        return LMAIL_ERR_NOMEM;
    *p = (post){{NULL, run_call, 0}, fn, arg};
    if (lmi_loop_post_task(loop, &p->task))
        return LMAIL_OK;
    free(p);
    return LMAIL_ERR_CLOSED;
}

/* ---- Timers ---------------------------------------------------------------------------------- */

static void run_timers(uv_timer_t *timer);

static void rearm(lmail_loop *loop)
{
    lmi_timer *first = lmi_heap_first(&loop->timers);
    if (!first || loop->handles < 4 || first->when >= loop->armed)
        return; /* an early wake is cheaper than keeping up with timers that move later */
    lmail_msec now = uv_now(loop->uv);
    loop->armed = first->when;
    uv_timer_start(&loop->timer, run_timers, first->when > now ? first->when - now : 0, 0);
}

void lmi_loop_timer_set(lmail_loop *loop, lmi_timer *t, lmail_msec when)
{
    lmi_heap_set(&loop->timers, t, when);
    rearm(loop);
}

static void run_timers(uv_timer_t *timer)
{
    lmail_loop *loop = timer->data;
    lmail_msec now = uv_now(loop->uv);
    loop->armed = 0; /* no re-arming from the functions below */
    for (lmi_timer *t; (t = lmi_heap_first(&loop->timers)) && t->when <= now;) {
        lmi_heap_set(&loop->timers, t, LMAIL_NEVER);
        t->fn(t);
    }
    loop->armed = LMAIL_NEVER;
    rearm(loop);
}

struct lmail_timer {
    lmi_timer timer;
    lmail_loop *loop;
    lmail_call_fn *fn;
    void *arg;
};

static void run_user_timer(lmi_timer *timer)
{
    lmail_timer *t = (lmail_timer *)timer;
    t->fn(t->arg);
}

lmail_status lmail_timer_new(lmail_timer **out, lmail_loop *loop, lmail_call_fn *fn, void *arg)
{
    lmail_timer *t = malloc(sizeof(*t));
    if (!t || lmi_heap_promise(&loop->timers)) {
        free(t);
        return LMAIL_ERR_NOMEM;
    }
    *t = (lmail_timer){{LMAIL_NEVER, 0, run_user_timer}, loop, fn, arg};
    *out = t;
    return LMAIL_OK;
}

void lmail_timer_set(lmail_timer *timer, lmail_msec when)
{
    lmi_loop_timer_set(timer->loop, &timer->timer, when);
}

void lmail_timer_free(lmail_timer *timer)
{
    if (!timer)
        return;
    lmi_heap_set(&timer->loop->timers, &timer->timer, LMAIL_NEVER);
    lmi_heap_unpromise(&timer->loop->timers);
    free(timer);
}

/* ---- Connections to be pumped ---------------------------------------------------------------- */

static void stay_awake(uv_idle_t *idle)
{
    (void)idle;
}

void lmi_loop_ready(lmail_conn *c)
{
    lmail_loop *loop = c->loop;
    if (c->in_ready)
        return;
    c->in_ready = 1;
    c->ready_next = NULL;
    if (!loop->ready)
        uv_idle_start(&loop->idle, stay_awake);
    *loop->ready_end = c;
    loop->ready_end = &c->ready_next;
}

static void run_ready(uv_prepare_t *prepare)
{
    lmail_loop *loop = prepare->data;
    loop->shakes = 0;
    lmail_conn *c = loop->ready;
    loop->ready = NULL; /* whoever has more to do than one turn allows comes into the next list */
    loop->ready_end = &loop->ready;
    while (c) {
        lmail_conn *next = c->ready_next;
        c->in_ready = 0;
        if (c->state == LMI_CONN_GONE)
            lmi_conn_finish(c);
        else
            lmi_conn_pump(c);
        c = next;
    }
    if (!loop->ready)
        uv_idle_stop(&loop->idle);
}

/* ---- Life ------------------------------------------------------------------------------------ */

/* Close callbacks of a loop that never ran are still to come. */
static void run_out(lmail_loop *loop)
{
    while (loop->handles)
        uv_run(loop->uv, UV_RUN_NOWAIT);
    if (loop->uv == &loop->own) {
        uv_run(&loop->own, UV_RUN_NOWAIT); /* handles of listeners and the host */
        uv_loop_close(&loop->own);
    }
}

static void handle_closed(uv_handle_t *handle)
{
    lmail_loop *loop = handle->data;
    if (--loop->handles)
        return;
    if (loop->index)
        lmi_loop_post_task(&loop->net->loops[0], &loop->closed_task);
    else
        lmi_net_ended(loop->net); /* may free the net */
}

lmail_status lmi_loop_init(lmail_loop *loop, lmail_net *net, unsigned index, uv_loop_t *uv)
{
    loop->net = net;
    loop->index = index;
    loop->armed = LMAIL_NEVER;
    loop->posted_end = &loop->posted;
    loop->ready_end = &loop->ready;
    pthread_mutex_init(&loop->lock, NULL);
    loop->record = malloc(LMI_TLS_RECORD);
    if (!loop->record || lmi_heap_promise(&loop->timers))
        return LMAIL_ERR_NOMEM;
    if (!uv) {
        if (uv_loop_init(&loop->own))
            return LMAIL_ERR_IO;
        uv = &loop->own;
    }
    loop->uv = uv;
    if (uv_async_init(uv, &loop->async, posts_came))
        return LMAIL_ERR_IO;
    uv_prepare_init(uv, &loop->prepare);
    uv_idle_init(uv, &loop->idle);
    uv_timer_init(uv, &loop->timer);
    loop->async.data = loop->prepare.data = loop->idle.data = loop->timer.data = loop;
    loop->handles = 4;
    uv_prepare_start(&loop->prepare, run_ready);
    return LMAIL_OK;
}

void lmi_loop_close(lmail_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    int again = loop->closed;
    loop->closed = 1;
    pthread_mutex_unlock(&loop->lock);
    if (again || !loop->handles)
        return;
    uv_handle_t *handles[] = {(uv_handle_t *)&loop->async, (uv_handle_t *)&loop->prepare,
                              (uv_handle_t *)&loop->idle, (uv_handle_t *)&loop->timer};
    for (size_t i = 0; i < sizeof(handles) / sizeof(*handles); i++)
        uv_close(handles[i], handle_closed);
}

void lmi_loop_done(lmail_loop *loop)
{
    if (loop->uv)
        run_out(loop);
    lmi_buf_pool_done(&loop->bufs);
    lmi_heap_done(&loop->timers);
    free(loop->record);
    pthread_mutex_destroy(&loop->lock);
}
