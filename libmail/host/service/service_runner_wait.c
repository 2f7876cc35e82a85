/* service_runner_wait.c - clients that wait until the first attempts of their message are over
 * (queue.delivery = interactive).
 *
 * A waiter is in the runner's table from before the message's rows are there, so that no attempt is
 * missed; workers, loop 0 and the client's loop meet there under the runner's lock, and nobody holds
 * that for longer than a look at one row of the table. It ends with the last first attempt, after
 * MOST, when the client has gone, or when this process sends nothing any more; then a call of its
 * own on the client's loop says so. Whether the mail is safe never depends on it. */
#include "host/service/service_runner.h"

#include <stdlib.h>

#define MOST 240000u /* RFC 5321 §4.5.3.2.6: the client waits for ten minutes at least */

struct lmi_wait {
    lmi_wait *next; /* in its row; to `over`, under the runner's lock */
    lmi_runner *runner;
    uint64_t id;
    size_t done, wanted; /* rows; wanted 0: nobody waits yet */
    unsigned over;       /* its loop has been told, or ends it itself */

    /* Its loop's. */
    lmail_loop *loop;
    lmail_timer *timer;
    lmail_call_fn *fn; /* NULL: nobody waits any more */
    void *arg;
};

static lmi_wait **row_of(lmi_runner *r, uint64_t id)
{
    return &r->waits[id % LMI_WAIT_ROWS];
}

/* Out of the table, and gone. Where its loop was told, that is still to come. */
static void forget(lmi_wait *w)
{
    lmi_wait **at = row_of(w->runner, w->id);
    while (*at && *at != w)
        at = &(*at)->next;
    if (*at)
        *at = w->next;
    free(w);
}

/* On its loop: the end, whoever brought it. */
static void end(lmi_wait *w)
{
    lmi_runner *r = w->runner;
    lmail_call_fn *fn = w->fn;
    void *arg = w->arg;
    lmail_timer_free(w->timer);
    pthread_mutex_lock(&r->lock);
    forget(w);
    pthread_mutex_unlock(&r->lock);
    if (fn)
        fn(arg);
}

static void told(void *arg)
{
    end(arg);
}

static void time_over(void *arg)
{
    lmi_wait *w = arg;
    pthread_mutex_lock(&w->runner->lock);
    unsigned over = w->over;
    w->over = 1;
    pthread_mutex_unlock(&w->runner->lock);
    if (!over) /* else that call comes at once */
        end(w);
}

/* Under the lock. Without memory for the call it ends with its time. */
static void tell(lmi_wait *w)
{
    if (w->wanted && !w->over)
        w->over = lmail_loop_post(w->loop, told, w) == LMAIL_OK;
}

lmi_wait *lmi_wait_new(lmail_service *s, uint64_t id)
{
    lmi_runner *r = s->runner;
    lmi_wait *w = r ? calloc(1, sizeof *w) : NULL;
    if (!w)
        return NULL;
    w->runner = r;
    w->id = id;
    pthread_mutex_lock(&r->lock);
    unsigned sends = r->waits_on;
    if (sends) {
        lmi_wait **row = row_of(r, id);
        w->next = *row;
        *row = w;
    }
    pthread_mutex_unlock(&r->lock);
    if (sends)
        return w;
    free(w);
    return NULL;
}

lmail_status lmi_wait_begin(lmi_wait *w, size_t rows, lmail_loop *loop, lmail_call_fn *fn,
                            void *arg)
{
    lmi_runner *r = w->runner;
    w->loop = loop;
    lmail_status st = lmail_timer_new(&w->timer, loop, time_over, w);
    pthread_mutex_lock(&r->lock);
    unsigned waits = !st && r->waits_on && w->done < rows;
    if (waits) {
        w->fn = fn;
        w->arg = arg;
        w->wanted = rows;
    }
    pthread_mutex_unlock(&r->lock);
    if (!waits) {
        lmi_wait_drop(w);
        return LMAIL_OK;
    }
    lmail_timer_set(w->timer, lmail_loop_now(loop) + MOST);
    return LMAIL_PENDING;
}

void lmi_wait_hurry(lmi_wait *w)
{
    lmail_timer_set(w->timer, 0);
}

void lmi_wait_drop(lmi_wait *w)
{
    if (!w)
        return;
    lmi_runner *r = w->runner;
    lmail_timer_free(w->timer);
    w->timer = NULL;
    w->fn = NULL;
    pthread_mutex_lock(&r->lock);
    if (!w->over)
        forget(w);
    pthread_mutex_unlock(&r->lock);
}

void lmi_waits_attempted(lmi_runner *r, uint64_t id, size_t rows)
{
    pthread_mutex_lock(&r->lock);
    lmi_wait *w = *row_of(r, id);
    while (w && w->id != id)
        w = w->next;
    if (w) {
        w->done += rows;
        if (w->done >= w->wanted)
            tell(w);
    }
    pthread_mutex_unlock(&r->lock);
}

void lmi_waits_allow(lmi_runner *r, unsigned on)
{
    pthread_mutex_lock(&r->lock);
    r->waits_on = on;
    for (size_t i = 0; i < LMI_WAIT_ROWS && !on; i++)
        for (lmi_wait *w = r->waits[i]; w; w = w->next)
            tell(w);
    pthread_mutex_unlock(&r->lock);
}

void lmi_waits_free(lmi_runner *r)
{
    for (size_t i = 0; i < LMI_WAIT_ROWS; i++)
        while (r->waits[i])
            forget(r->waits[i]);
}
