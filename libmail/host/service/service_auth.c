/* service_auth.c - logging in, once for the three protocols.
 *
 * A step runs on the password pool, counted by client address so that one client cannot keep the
 * others waiting. A failure is answered when the delay that the auth room names has passed, counted
 * from the question, so that nothing is learnt from the time it took. */
#include "host/auth/auth_mechanisms.h"
#include "host/service/service_crowd.h"
#include "host/service/service_internal.h"
#include "host/service/service_metrics.h"

#include <stdlib.h>
#include <string.h>

/* One step at a worker, or waiting for its delay. */
typedef struct auth_job {
    lmi_peer *peer;
    lmail_ticket ticket;
    lmail_msec asked;
    uint64_t began, work_from, work_to; /* lmi_clock */
    lmail_timer *delay;
    lmail_auth_facts facts;
    unsigned char exporter[32];
    char digest[32];
    lmail_str user, secret, timestamp; /* the event's, alive until the answer */
    const lmail_auth_event *event;
    const char *mechanism;
    lmail_auth_login login;
} auth_job;

static lmail_auth *auth_of(const lmi_peer *peer)
{
    return peer->door->rules->auth[peer->door->protocol->auth];
}

static lmi_login_settings login_of(const lmi_peer *peer)
{
    return lmi_login_of(peer->door->rules->settings, peer->door->protocol->auth);
}

static void fill_facts(const lmi_peer *peer, const lmail_tls_facts *tls, unsigned char exporter[32],
                       lmail_auth_facts *f)
{
    lmail_auth_facts_init(f);
    f->secure = tls || peer->secure;
    f->address = lmail_conn_get_facts(peer->conn)->peer_address;
    if (!tls)
        return;
    if (lmail_conn_channel_binding(peer->conn, exporter) == LMAIL_OK)
        f->exporter = (lmail_str){(const char *)exporter, 32};
    f->peer_verified = tls->peer_verified;
    f->peer_name = tls->peer_name;
}

lmail_str lmi_auth_mechanisms(lmi_peer *peer, const lmail_tls_facts *tls)
{
    unsigned char exporter[32];
    lmail_auth_facts f;
    lmail_str offer[16];
    size_t len = 0, cap = 256;
    char *list = lmi_scratch(peer, cap);
    if (!list)
        return (lmail_str){NULL, 0};
    fill_facts(peer, tls, exporter, &f);
    if (login_of(peer).require_tls && !f.secure)
        return (lmail_str){NULL, 0};
    size_t count = lmail_auth_offer(auth_of(peer), &f, offer, sizeof offer / sizeof *offer);
    for (size_t i = 0; i < count; i++) {
        if (len + offer[i].len + 1 > cap)
            break;
        if (len)
            list[len++] = ' ';
        memcpy(list + len, offer[i].ptr, offer[i].len);
        len += offer[i].len;
    }
    return (lmail_str){list, len};
}

int lmi_auth_cleartext(lmi_peer *peer, const lmail_tls_facts *tls)
{
    unsigned char exporter[32];
    lmail_auth_facts f;
    fill_facts(peer, tls, exporter, &f);
    return lmail_auth_cleartext(auth_of(peer), &f);
}

/* ---- The answer ------------------------------------------------------------------------------ */

static void log_login(const auth_job *job, const lmail_auth_result *r)
{
    lmail_log_line l;
    int ok = r->answer.kind == LMAIL_AUTH_OK;
    lmi_peer_log(job->peer, &l, ok ? LMAIL_LOG_INFO : LMAIL_LOG_WARN,
                 ok ? "login" : "login_failed");
    lmail_log_text(&l, "user", ok ? r->answer.identity : r->tried);
    lmail_log_text(&l, "mechanism", lmail_str_from(job->mechanism));
    lmail_log_text(&l, "secure", job->facts.secure ? LMAIL_STR("yes") : LMAIL_STR("no"));
    if (!ok)
        lmail_log_text(&l, "reason", lmail_str_from(lmail_auth_reason_name(r->reason)));
    lmail_log_end(&l);
}

/* The account becomes the peer's; returns 0 when there is no memory. */
static int keep_identity(lmi_peer *peer, lmail_str identity)
{
    free(peer->identity);
    peer->identity = strndup(identity.ptr, identity.len);
    if (!peer->identity)
        return 0;
    peer->slot = lmail_notice_slot(identity);
    return 1;
}

static void answer(auth_job *job)
{
    lmi_peer *peer = job->peer;
    lmail_auth_result *r = &job->login.result;
    lmail_auth_answer a = r->answer;
    if (a.kind == LMAIL_AUTH_OK && !keep_identity(peer, a.identity)) {
        lmail_auth_answer_init(&a);
        a.failure = LMAIL_AUTH_TEMPORARY;
    }
    /* The session drops the exchange inside this call, and a's slices may lie in it. */
    peer->delayed = NULL;
    peer->answering = 1;
    peer->door->protocol->answer_auth(peer, job->ticket, &a);
    peer->answering = 0;
    lmail_conn_wake(peer->conn);
    if (peer->exchange_over && !peer->stepping) {
        lmail_auth_exchange_free(peer->exchange);
        peer->exchange = NULL;
        peer->exchange_over = 0;
    }
    lmail_timer_free(job->delay);
    explicit_bzero(job, sizeof *job);
    free(job);
}

static void answer_late(void *arg)
{
    answer(arg);
}

/* Mail can be sent by somebody without an account; a mailbox cannot be read by nobody. */
static void refuse_anonymous(const lmi_peer *peer, lmail_auth_result *r)
{
    if (r->answer.kind != LMAIL_AUTH_OK || !r->anonymous ||
        peer->door->protocol->auth == LMI_AUTH_SMTP)
        return;
    lmail_auth_answer_init(&r->answer);
    r->answer.failure = LMAIL_AUTH_AUTHORIZATION;
    r->reason = LMAIL_AUTH_REASON_AUTHZID;
}

/* A user may have so many connections from one address. */
static void refuse_crowd(lmi_peer *peer, lmail_auth_result *r)
{
    uint64_t most = login_of(peer).max_user_connections;
    lmi_crowd *crowd = peer->door->service->crowd;
    if (r->answer.kind != LMAIL_AUTH_OK || !most)
        return;
    lmi_crowd_give(crowd, peer->counted); /* of a login whose maildrop could not be had */
    peer->counted = NULL;
    lmail_status st =
        lmi_crowd_take(crowd, peer->door->protocol->auth, r->answer.identity,
                       lmail_conn_get_facts(peer->conn)->peer_address, most, &peer->counted);
    if (!st)
        return;
    lmail_auth_answer_init(&r->answer);
    r->answer.failure = LMAIL_AUTH_TEMPORARY;
    r->reason = LMAIL_AUTH_REASON_TEMPORARY;
    if (st == LMAIL_ERR_LIMIT)
        r->answer.text = LMAIL_STR("Maximum number of connections from user+IP exceeded");
}

/* What the classic server says to a wrong password. */
static void word_failure(const lmi_peer *peer, lmail_auth_result *r)
{
    if (r->answer.kind == LMAIL_AUTH_FAIL && r->answer.failure == LMAIL_AUTH_CREDENTIALS &&
        !r->answer.text.len && peer->door->protocol->auth != LMI_AUTH_SMTP)
        r->answer.text = LMAIL_STR("Authentication failed.");
}

static void checked(void *arg)
{
    auth_job *job = arg;
    lmi_peer *peer = job->peer;
    lmail_auth_result *r = &job->login.result;
    peer->stepping = 0;
    refuse_anonymous(peer, r);
    refuse_crowd(peer, r);
    word_failure(peer, r);
    lmi_count_check(peer, job->work_from, job->work_to);
    if (r->answer.kind != LMAIL_AUTH_CONTINUE) {
        lmi_count_login(peer, job->mechanism, r, job->began);
        log_login(job, r);
    }
    lmail_msec due = job->asked + r->delay;
    if (r->answer.kind == LMAIL_AUTH_FAIL && r->delay && due > lmi_peer_now(peer) &&
        !peer->auth_cancelled &&
        lmail_timer_new(&job->delay, peer->loop, answer_late, job) == LMAIL_OK) {
        peer->delayed = job->delay;
        lmail_timer_set(job->delay, due);
        return;
    }
    answer(job);
}

/* ---- The questions --------------------------------------------------------------------------- */

static lmail_status submit(auth_job *job, void (*work)(void *), lmail_auth_answer *answer_now)
{
    lmi_peer *peer = job->peer;
    job->asked = lmi_peer_now(peer);
    lmail_auth_answer_init(&job->login.result.answer);
    job->login.result.answer.failure = LMAIL_AUTH_TEMPORARY;
    job->login.result.reason = LMAIL_AUTH_REASON_TEMPORARY;
    peer->stepping = 1;
    peer->auth_cancelled = 0;
    lmail_status st = lmail_pool_submit(peer->door->service->password_pool, peer->loop, work,
                                        checked, job, lmail_conn_key(peer->conn));
    if (!st)
        return LMAIL_PENDING;
    peer->stepping = 0;
    lmi_count_login(peer, job->mechanism, &job->login.result, job->began);
    free(job);
    answer_now->failure = LMAIL_AUTH_TEMPORARY;
    return LMAIL_OK;
}

static auth_job *job_new(lmi_peer *peer, lmail_ticket t, const lmail_tls_facts *tls,
                         const char *mechanism)
{
    auth_job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->peer = peer;
    job->ticket = t;
    job->mechanism = mechanism;
    job->began = lmi_clock();
    fill_facts(peer, tls, job->exporter, &job->facts);
    return job;
}

static void step(void *arg)
{
    auth_job *job = arg;
    const lmail_auth_event *ev = job->event;
    job->work_from = lmi_clock();
    lmail_auth_exchange_step(job->peer->exchange, ev->has_response ? &ev->response : NULL,
                             job->asked, &job->login.result);
    job->work_to = lmi_clock();
}

#define NAME(id, name, traits, by_default) name,
/* The name of the mechanism as a constant of ours, for the log. */
static const char *mechanism_name(lmail_str mechanism)
{
    static const char *const names[] = {LMI_AUTH_MECHANISMS(NAME)};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (lmail_str_equal(mechanism, lmail_str_from(names[i])))
            return names[i];
    return "other";
}

lmail_status lmi_auth_step(lmi_peer *peer, lmail_ticket t, const lmail_auth_event *ev,
                           const lmail_tls_facts *tls, lmail_auth_answer *answer_now)
{
    auth_job *job = job_new(peer, t, tls, mechanism_name(ev->mechanism));
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->event = ev;
    if (ev->step == 0) {
        lmail_auth_exchange_free(peer->exchange); /* one that ended in the answer before this */
        peer->exchange = NULL;
        peer->exchange_over = 0;
        lmail_status st =
            lmail_auth_exchange_new(&peer->exchange, auth_of(peer), ev->mechanism, &job->facts);
        if (st) {
            free(job);
            return st;
        }
    }
    return submit(job, step, answer_now);
}

void lmi_auth_end(lmi_peer *peer, lmail_auth_end how)
{
    (void)how;
    if (peer->stepping || peer->delayed || peer->answering) {
        peer->exchange_over = peer->exchange != NULL;
        lmi_auth_cancel(peer);
        return;
    }
    lmail_auth_exchange_free(peer->exchange);
    peer->exchange = NULL;
}

void lmi_auth_cancel(lmi_peer *peer)
{
    peer->auth_cancelled = 1;
    if (peer->delayed)
        lmail_timer_set(peer->delayed, 0);
}

static void check_password(void *arg)
{
    auth_job *job = arg;
    job->work_from = lmi_clock();
    lmail_auth_password(auth_of(job->peer), &job->facts, job->user, job->secret, job->asked,
                        &job->login);
    job->work_to = lmi_clock();
}

lmail_status lmi_auth_password(lmi_peer *peer, lmail_ticket t, lmail_str user, lmail_str password,
                               const lmail_tls_facts *tls, lmail_auth_answer *answer_now)
{
    auth_job *job = job_new(peer, t, tls, "password");
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->user = user;
    job->secret = password;
    return submit(job, check_password, answer_now);
}

static void check_apop(void *arg)
{
    auth_job *job = arg;
    job->work_from = lmi_clock();
    lmail_auth_apop(auth_of(job->peer), &job->facts, job->user, job->timestamp, job->secret,
                    job->asked, &job->login);
    job->work_to = lmi_clock();
}

lmail_status lmi_auth_apop(lmi_peer *peer, lmail_ticket t, lmail_str user, lmail_str timestamp,
                           const unsigned char digest[16], const lmail_tls_facts *tls,
                           lmail_auth_answer *answer_now)
{
    static const char hex[] = "0123456789abcdef";
    auth_job *job = job_new(peer, t, tls, "APOP");
    if (!job)
        return LMAIL_ERR_NOMEM;
    for (int i = 0; i < 16; i++) {
        job->digest[2 * i] = hex[digest[i] >> 4];
        job->digest[2 * i + 1] = hex[digest[i] & 15];
    }
    job->user = user;
    job->timestamp = timestamp;
    job->secret = (lmail_str){job->digest, sizeof job->digest};
    return submit(job, check_apop, answer_now);
}
