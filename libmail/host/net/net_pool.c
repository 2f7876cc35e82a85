/* net_pool.c - bounded pools of threads for calls that block.
 *
 * Threads come as jobs come, up to the pool's number, and stay. A finished job goes home as a task
 * of its loop; the loop is woken once for all that are waiting there. Ending a pool lets it finish
 * its queue; the last thread to go tells loop 0. */
#include "net_internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STACK (1024u * 1024)

struct lmail_pool {
    lmail_pool *next;
    lmail_net *net;
    char name[12];
    unsigned threads_max, max_queue, max_per_key;
    lmi_task ended_task;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    lmi_job *first, **last; /* all below under lock */
    unsigned waiting, idle, running, started, exited;
    int ending;
    lmi_counts counts;
    pthread_t *threads;
};

lmail_pool *lmi_pool_next(const lmail_pool *pool)
{
    return pool->next;
}

void lmail_pool_config_init(lmail_pool_config *config)
{
    *config = (lmail_pool_config)LMAIL_POOL_CONFIG_INIT;
}

static void pool_ended(lmi_task *task)
{
    lmail_pool *pool = LMI_OF(task, lmail_pool, ended_task);
    for (unsigned i = 0; i < pool->started; i++)
        pthread_join(pool->threads[i], NULL);
    pool->started = 0;
    lmi_net_pool_ended(pool->net);
}

lmail_status lmail_pool_new(lmail_pool **out, lmail_net *net, const lmail_pool_config *config)
{
    if (config->size > sizeof(*config))
        return LMAIL_ERR_SIZE;
    unsigned threads = config->threads ? config->threads : uv_available_parallelism();
    if (threads > 1024)
        return LMAIL_ERR_ARG;
    lmail_pool *pool = calloc(1, sizeof(*pool));
    if (!pool || !(pool->threads = calloc(threads, sizeof(*pool->threads)))) {
        free(pool);
        return LMAIL_ERR_NOMEM;
    }
    pool->net = net;
    snprintf(pool->name, sizeof(pool->name), "%s", config->name ? config->name : "pool");
    pool->threads_max = threads;
    pool->max_queue = config->max_queue;
    pool->max_per_key = config->max_per_key;
    pool->ended_task.fn = pool_ended;
    pool->last = &pool->first;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_mutex_lock(&net->lock);
    pool->counts.seed = net->counts.seed;
    pool->next = net->pools;
    net->pools = pool;
    pthread_mutex_unlock(&net->lock);
    *out = pool;
    return LMAIL_OK;
}

/* ---- Workers --------------------------------------------------------------------------------- */

static void job_home(lmi_task *task)
{
    lmi_job *job = (lmi_job *)task;
    lmail_call_fn *done = job->done;
    void *arg = job->arg;
    if (job->owned)
        free(job);
    if (done)
        done(arg);
}

static lmi_job *take_job(lmail_pool *pool)
{
    while (!pool->first && !pool->ending) {
        pool->idle++;
        pthread_cond_wait(&pool->wake, &pool->lock);
        pool->idle--;
    }
    lmi_job *job = pool->first;
    if (job) {
        pool->first = job->next;
        if (!pool->first)
            pool->last = &pool->first;
        pool->waiting--;
        pool->running++;
    }
    return job;
}

static void *worker(void *arg)
{
    lmail_pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    for (lmi_job *job; (job = take_job(pool));) {
        pthread_mutex_unlock(&pool->lock);
        uint64_t key = job->key;
        job->work(job->arg);
        lmi_loop_post_task(job->loop, &job->task); /* from here on the job is the loop's */
        pthread_mutex_lock(&pool->lock);
        pool->running--;
        if (key && pool->max_per_key)
            lmi_counts_give(&pool->counts, key);
    }
    int last = ++pool->exited == pool->started;
    pthread_mutex_unlock(&pool->lock);
    if (last)
        lmi_loop_post_task(&pool->net->loops[0], &pool->ended_task);
    return NULL;
}

/* With the lock held. A thread that cannot be had is missed only if it would be the first. */
static int start_thread(lmail_pool *pool)
{
    sigset_t all, before;
    pthread_attr_t attr;
    char name[16];
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    sigfillset(&all); /* signals are the host's threads' business */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t *thread = &pool->threads[pool->started];
    int failed = pthread_create(thread, &attr, worker, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (failed)
        return pool->started > 0;
    snprintf(name, sizeof(name), "%s-%u", pool->name, pool->started % 100);
    pthread_setname_np(*thread, name);
    pool->started++;
    return 1;
}

/* ---- Jobs ------------------------------------------------------------------------------------ */

static lmail_status admit(lmail_pool *pool, lmi_job *job)
{
    if (pool->ending)
        return LMAIL_ERR_CLOSED;
    if (pool->max_queue && pool->waiting >= pool->max_queue)
        return LMAIL_ERR_BUSY;
    if (job->key && pool->max_per_key) {
        lmail_status st = lmi_counts_take(&pool->counts, job->key, pool->max_per_key);
        if (st)
            return st;
    }
    if (pool->waiting < pool->idle || pool->started == pool->threads_max || start_thread(pool))
        return LMAIL_OK;
    if (job->key && pool->max_per_key)
        lmi_counts_give(&pool->counts, job->key);
    return LMAIL_ERR_BUSY;
}

lmail_status lmi_pool_submit_job(lmail_pool *pool, lmi_job *job)
{
    job->task = (lmi_task){NULL, job_home, 0};
    job->pool = pool;
    job->next = NULL;
    pthread_mutex_lock(&pool->lock);
    lmail_status st = admit(pool, job);
    if (!st) {
        *pool->last = job;
        pool->last = &job->next;
        pool->waiting++;
    }
    pthread_mutex_unlock(&pool->lock);
    if (!st) /* not under the lock, which the woken would find taken */
        pthread_cond_signal(&pool->wake);
    return st;
}

lmail_status lmail_pool_submit(lmail_pool *pool, lmail_loop *loop, lmail_call_fn *work,
                               lmail_call_fn *done, void *arg, uint64_t key)
{
    lmi_job *job = malloc(sizeof(*job));
    if (!job)
        return LMAIL_ERR_NOMEM;
    *job = (lmi_job){.loop = loop, .work = work, .done = done, .arg = arg, .key = key, .owned = 1};
    lmail_status st = lmi_pool_submit_job(pool, job);
    if (st)
        free(job);
    return st;
}

size_t lmail_pool_load(lmail_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t n = (size_t)pool->waiting + pool->running;
    pthread_mutex_unlock(&pool->lock);
    return n;
}

/* ---- The end --------------------------------------------------------------------------------- */

void lmi_pool_end(lmail_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->ending = 1;
    int none = pool->started == 0;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    if (none)
        lmi_loop_post_task(&pool->net->loops[0], &pool->ended_task);
}

void lmi_pool_free(lmail_pool *pool)
{
    if (pool->started) { /* the net never ran: its jobs' results have nowhere to go */
        pthread_mutex_lock(&pool->lock);
        pool->ending = 1;
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
        for (unsigned i = 0; i < pool->started; i++)
            pthread_join(pool->threads[i], NULL);
    }
    lmi_counts_done(&pool->counts);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool->threads);
    free(pool);
}
