/* service_peer.c - what a connection has whatever it speaks: its account, its jobs, its log line.
 *
 * Jobs of one peer run one at a time on the store pool, in order. A peer outlives its connection
 * for as long as a job runs; then its mailboxes and its account are closed by a last job, since
 * closing may touch the disk. Nothing of this needs memory that might not be there: what cannot go
 * to a worker is done on the loop, from the list `later` when the caller must have returned. */
#include "host/service/service_crowd.h"
#include "host/service/service_internal.h"
#include "host/service/service_location.h"
#include "host/service/service_metrics.h"
#include "host/service/service_secure.h"

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
    job->status = LMAIL_ERR_NOMEM;
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

lmi_loop_state *lmi_loop_of(const lmi_peer *peer)
{
    lmi_loop_state *state = peer->door->service->loops;
    while (state->loop != peer->loop)
        state++;
    return state;
}

static void look_after(lmi_peer *peer)
{
    lmi_loop_state *state = lmi_loop_of(peer);
    if (peer->in_later)
        return;
    peer->in_later = 1;
    peer->later_next = state->later;
    state->later = peer;
    lmail_timer_set(state->timer, 0);
}

static void start_first(lmi_peer *peer)
{
    lmi_job *job = peer->jobs;
    if (!lmail_pool_submit(peer->door->service->store_pool, peer->loop, work_first, finished, job,
                           0))
        return;
    if (job->ticket) {
        /* Not from here: the caller may stand in the callback that asked the question. */
        peer->refused = 1;
        look_after(peer);
    } else {
        job->work(job);
        finished(job);
    }
}

static void end_first(lmi_peer *peer)
{
    lmi_job *job = peer->jobs;
    lmi_count_job(job);
    job->finish(job);
    peer->jobs = job->next;
    free(job);
}

static void finished(void *arg)
{
    lmi_peer *peer = ((lmi_job *)arg)->peer;
    end_first(peer);
    while (peer->jobs && peer->jobs->now && peer->jobs->now(peer->jobs))
        end_first(peer);
    if (peer->session) {
        lmi_count_traffic(peer);
        lmail_conn_wake(peer->conn);
    }
    if (peer->jobs)
        start_first(peer);
    else if (peer->over)
        peer_end(peer);
}

lmail_status lmi_peer_submit(lmi_peer *peer, lmi_job *job)
{
    job->next = NULL;
    job->began = lmi_clock();
    if (peer->jobs) {
        peer->jobs_tail->next = job;
        peer->jobs_tail = job;
    } else {
        peer->jobs = peer->jobs_tail = job;
        start_first(peer);
    }
    return LMAIL_PENDING;
}

lmail_status lmi_peer_open_account(lmi_peer *peer)
{
    if (peer->account)
        return LMAIL_OK;
    const lmail_store *store = lmi_peer_store(peer);
    lmail_store_account_args args = LMAIL_STORE_ACCOUNT_ARGS_INIT;
    char room[LMI_LOCATION_MAX];
    args.name = lmail_str_from(peer->identity);
    lmail_status st = lmi_location(peer->door->rules, args.name, room, &args.location);
    if (st)
        return st == LMAIL_ERR_NOTFOUND ? LMAIL_ERR_IO : st; /* an account without a home */
    return store->account_open(store->ctx, &args, &peer->account);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void free_peer(lmi_peer *peer)
{
    if (peer->door->protocol->destroy)
        peer->door->protocol->destroy(peer);
    lmi_door *door = peer->door;
    free(peer->identity);
    free(peer);
    lmi_door_release(door);
}

/* Mailboxes first, then the account they lie in. */
static void close_all(lmi_peer *peer)
{
    if (peer->door->protocol->shut)
        peer->door->protocol->shut(peer);
    if (peer->account)
        lmi_peer_store(peer)->account_close(peer->account);
    peer->account = NULL;
}

static void work_close(lmi_job *job)
{
    close_all(job->peer);
}

static void all_closed(lmi_job *job)
{
    (void)job; /* finished() comes to peer_end again */
}

static void peer_end(lmi_peer *peer)
{
    const lmi_protocol *protocol = peer->door->protocol;
    if (peer->account || (protocol->holds && protocol->holds(peer))) {
        lmi_job *job = lmi_job_new(sizeof *job, peer, 0, work_close, all_closed);
        if (job) {
            lmi_peer_submit(peer, job);
            return;
        }
        close_all(peer);
    }
    free_peer(peer);
}

/* Its session is freed now and calls nobody any more, or its job has found no worker. */
static void attend(lmi_peer *peer)
{
    peer->in_later = 0;
    if (peer->refused) {
        peer->refused = 0;
        finished(peer->jobs);
    } else if (!peer->session) {
        peer->over = 1;
        if (!peer->jobs)
            peer_end(peer);
    }
}

static void attend_all(void *arg)
{
    lmi_loop_state *state = arg;
    while (state->later) {
        lmi_peer *peer = state->later;
        state->later = peer->later_next;
        attend(peer);
    }
}

/* ---- What stands ready on each loop ---------------------------------------------------------- */

lmail_status lmi_loops_new(lmail_service *service)
{
    unsigned count = lmail_net_loops(service->net);
    service->loops = calloc(count, sizeof *service->loops);
    if (!service->loops)
        return LMAIL_ERR_NOMEM;
    for (unsigned i = 0; i < count; i++) {
        lmi_loop_state *state = &service->loops[i];
        state->loop = lmail_net_loop(service->net, i);
        lmail_status st = lmail_timer_new(&state->timer, state->loop, attend_all, state);
        if (st)
            return st;
    }
    return LMAIL_OK;
}

void lmi_loops_free(lmail_service *service)
{
    if (!service->loops)
        return;
    for (unsigned i = 0; i < lmail_net_loops(service->net); i++) {
        lmi_loop_state *state = &service->loops[i];
        attend_all(state);
        lmail_timer_free(state->timer);
        free(state->scratch);
    }
    free(service->loops);
}

void *lmi_scratch(const lmi_peer *peer, size_t size)
{
    lmi_loop_state *state = lmi_loop_of(peer);
    if (size > state->scratch_size) {
        void *ptr = realloc(state->scratch, size);
        if (!ptr)
            return NULL;
        state->scratch = ptr;
        state->scratch_size = size;
    }
    return state->scratch;
}

/* ---- The net's callbacks --------------------------------------------------------------------- */

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
    peer->secure = (unsigned)lmi_secure_is(door->rules->secure, door->rules->settings,
                                           door->protocol->auth, facts);
    peer->session = door->protocol->open(peer, now);
    if (!peer->session) {
        free(peer);
        return NULL;
    }
    atomic_fetch_add_explicit(&door->refs, 1, memory_order_relaxed);
    lmail_conn_set_user(conn, peer);
    lmi_count_opened(peer);
    lmail_log_line l;
    lmi_peer_log(peer, &l, LMAIL_LOG_INFO, "connect");
    lmail_log_text(&l, "listener", door->settings->name);
    if (facts->proxy_address.len)
        lmail_log_text(&l, "proxy", facts->proxy_address);
    lmail_log_end(&l);
    return peer->session;
}

void lmi_peer_closed(void *arg, lmail_conn *conn, lmail_session *session, lmail_close_reason reason)
{
    lmi_peer *peer = lmail_conn_user(conn);
    uint64_t in, out;
    (void)arg;
    (void)session;
    lmail_conn_traffic(conn, &in, &out);
    lmi_count_closed(peer, reason);
    lmail_log_line l;
    lmi_peer_log(peer, &l, LMAIL_LOG_INFO, "disconnect");
    lmail_log_text(&l, "reason", lmail_str_from(lmail_close_reason_name(reason)));
    if (peer->identity)
        lmail_log_text(&l, "user", lmail_str_from(peer->identity));
    lmail_log_number(&l, "in", in);
    lmail_log_number(&l, "out", out);
    lmail_log_end(&l);

    lmi_watch_remove(peer);
    lmi_crowd_give(peer->door->service->crowd, peer->counted);
    peer->counted = NULL;
    if (peer->door->protocol->closed)
        peer->door->protocol->closed(peer);
    peer->session = NULL;
    /* The session is freed when this returns, and says goodbye to the peer in that. */
    look_after(peer);
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
