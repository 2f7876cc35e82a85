/* service_peer.c - what a connection has whatever it speaks: its account, its jobs, its log line.
 *
 * Jobs of one peer run one at a time on the store pool, in order. A peer outlives its connection
 * for as long as a job runs; then its mailboxes and its account are closed by a last job, since
 * closing may touch the disk. */
#include "host/service/service_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

lmail_msec lmi_peer_now(const lmi_peer *peer)
{
    return lmail_loop_now(peer->loop);
}

const lmail_store *lmi_peer_store(const lmi_peer *peer)
{
    return peer->door->service->store;
}

/* ---- Jobs ------------------------------------------------------------------------------------ */

void *lmi_job_new(size_t size, lmi_peer *peer, lmail_ticket t, void (*work)(lmi_job *),
                  void (*finish)(lmi_job *))
{
    lmi_job *job = calloc(1, size);
    if (!job)
        return NULL;
    job->peer = peer;
    job->ticket = t;
    job->work = work;
    job->finish = finish;
    return job;
}

static void work_first(void *arg)
{
    lmi_job *job = arg;
    job->work(job);
}

static void peer_end(lmi_peer *peer);

static void finished(void *arg);

static void start_first(lmi_peer *peer)
{
    lmi_job *job = peer->jobs;
    lmail_status st = lmail_pool_submit(peer->door->service->store_pool, peer->loop, work_first,
                                        finished, job, 0);
    /* No worker to be had: the job ends as it began, which says that it failed. Not from here: the
     * caller may stand in the callback that asked the question. */
    if (st && lmail_loop_post(peer->loop, finished, job))
        peer->jobs = NULL; /* the loop has ended; nothing is served any more */
}

static void finished(void *arg)
{
    lmi_job *job = arg;
    lmi_peer *peer = job->peer;
    job->finish(job);
    peer->jobs = job->next;
    free(job);
    if (peer->session)
        lmail_conn_wake(peer->conn);
    if (peer->jobs)
        start_first(peer);
    else if (peer->over)
        peer_end(peer);
}

void lmi_peer_submit(lmi_peer *peer, lmi_job *job)
{
    job->next = NULL;
    if (peer->jobs) {
        peer->jobs_tail->next = job;
        peer->jobs_tail = job;
        return;
    }
    peer->jobs = peer->jobs_tail = job;
    start_first(peer);
}

lmail_status lmi_peer_open_account(lmi_peer *peer)
{
    if (peer->account)
        return LMAIL_OK;
    const lmail_store *store = lmi_peer_store(peer);
    lmail_store_account_args args = LMAIL_STORE_ACCOUNT_ARGS_INIT;
    args.name = lmail_str_from(peer->identity);
    return store->account_open(store->ctx, &args, &peer->account);
}

/* ---- Life ------------------------------------------------------------------------------------ */

lmail_session *lmi_peer_open(void *arg, lmail_conn *conn, const lmail_conn_facts *facts,
                             lmail_msec now)
{
    lmi_door *door = arg;
    lmi_peer *peer = calloc(1, door->protocol->peer_size);
    if (!peer)
        return NULL;
    peer->door = door;
    peer->conn = conn;
    peer->loop = lmail_conn_loop(conn);
    peer->id = facts->id;
    peer->secure = facts->unix_socket;
    peer->session = door->protocol->open(peer, now);
    if (!peer->session) {
        free(peer);
        return NULL;
    }
    atomic_fetch_add_explicit(&door->refs, 1, memory_order_relaxed);
    lmail_conn_set_user(conn, peer);
    lmail_log_line l;
    lmi_peer_log(peer, &l, LMAIL_LOG_INFO, "connect");
    lmail_log_text(&l, "listener", door->settings->name);
    if (facts->proxy_address.len)
        lmail_log_text(&l, "proxy", facts->proxy_address);
    lmail_log_end(&l);
    return peer->session;
}

static void free_peer(lmi_peer *peer)
{
    if (peer->door->protocol->destroy)
        peer->door->protocol->destroy(peer);
    lmi_door *door = peer->door;
    free(peer->identity);
    free(peer);
    lmi_door_release(door);
}

static void close_account(lmi_job *job)
{
    lmi_peer_store(job->peer)->account_close(job->peer->account);
}

static void account_closed(lmi_job *job)
{
    job->peer->account = NULL;
}

static void peer_end(lmi_peer *peer)
{
    lmi_job *job = NULL;
    if (peer->account)
        job = lmi_job_new(sizeof *job, peer, 0, close_account, account_closed);
    if (job) {
        lmi_peer_submit(peer, job);
        return;
    }
    if (peer->account) /* no memory for a job: here, then */
        lmi_peer_store(peer)->account_close(peer->account);
    free_peer(peer);
}

/* The session is freed now and calls nobody any more. */
static void peer_over(void *arg)
{
    lmi_peer *peer = arg;
    peer->over = 1;
    if (!peer->jobs)
        peer_end(peer);
}

void lmi_peer_closed(void *arg, lmail_conn *conn, lmail_session *session, lmail_close_reason reason)
{
    lmi_peer *peer = lmail_conn_user(conn);
    uint64_t in, out;
    (void)arg;
    (void)session;
    lmail_conn_traffic(conn, &in, &out);
    lmail_log_line l;
    lmi_peer_log(peer, &l, LMAIL_LOG_INFO, "disconnect");
    lmail_log_text(&l, "reason", lmail_str_from(lmail_close_reason_name(reason)));
    if (peer->identity)
        lmail_log_text(&l, "user", lmail_str_from(peer->identity));
    lmail_log_number(&l, "in", in);
    lmail_log_number(&l, "out", out);
    lmail_log_end(&l);

    lmi_watch_remove(peer);
    if (peer->door->protocol->closed)
        peer->door->protocol->closed(peer);
    peer->session = NULL;
    /* The session is freed when this returns, and says goodbye to the peer in that. */
    lmail_loop_post(peer->loop, peer_over, peer);
}

void lmi_peer_log(const lmi_peer *peer, lmail_log_line *line, lmail_log_level level,
                  const char *event)
{
    const lmail_conn_facts *facts = lmail_conn_get_facts(peer->conn);
    lmail_log_begin(line, peer->door->service->log, level, event);
    lmail_log_text(line, "proto", lmail_str_from(peer->door->protocol->name));
    lmail_log_number(line, "conn", peer->id);
    lmail_log_text(line, "peer", facts->peer_address.len ? facts->peer_address : LMAIL_STR("unix"));
}
