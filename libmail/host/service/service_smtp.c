/* service_smtp.c - SMTP, submission and LMTP sessions: the message's way.
 *
 * Who may send, and to whom, is decided in service_smtp_policy.c and service_smtp_rcpt.c. The 250
 * (in LMTP each one) is written when the message is safe in every mailbox and in the queue. */
#include "host/service/service_smtp.h"
#include "host/service/service_limits.h"
#include "host/service/service_metrics.h"
#include "host/service/service_milter.h"
#include "host/service/service_milter_gate.h"
#include "host/service/service_pickup.h"
#include "host/service/service_runner.h"
#include "host/service/service_smtp_limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

typedef struct smtp_job {
    lmi_job base;
    lmi_mail *mail;
    lmail_str octets;
    lmi_wait *wait; /* for the first attempts; NULL: nobody will */
} smtp_job;

static const lmail_settings *settings_of(const smtp_peer *p)
{
    return p->base.door->rules->settings;
}

static unsigned kind_of(const smtp_peer *p)
{
    return p->base.door->settings->protocol;
}

/* ---- Replies --------------------------------------------------------------------------------- */

void lmi_reply_fill(lmail_smtp_reply *reply, unsigned code, const char *enhanced, const char *text)
{
    reply->code = code;
    reply->enhanced = lmail_str_from(enhanced);
    reply->text = lmail_str_from(text);
}

/* What a failure of the store means to the sender. */
static void say_store(const smtp_peer *p, lmail_smtp_reply *reply, lmail_status st)
{
    switch (st) {
    case LMAIL_ERR_FULL:
        lmi_reply_fill(reply, 452, "4.3.1", "Insufficient system storage; try again later");
        break;
    case LMAIL_ERR_QUOTA:
        if (settings_of(p)->store.quota_refusal == LMAIL_QUOTA_REJECT)
            lmi_reply_fill(reply, 552, "5.2.2", "Mailbox is full");
        else
            lmi_reply_fill(reply, 452, "4.2.2", "Mailbox is full; try again later");
        break;
    default:
        lmi_reply_fill(reply, 451, "4.3.0", "Mailbox cannot be written now; try again later");
    }
}

void lmi_reply_log(const smtp_peer *p, const char *stage, lmail_str to,
                   const lmail_smtp_reply *reply)
{
    lmail_log_line l;
    lmi_count_refused(&p->base, stage);
    lmi_peer_log(&p->base, &l, LMAIL_LOG_INFO, "refused");
    lmail_log_text(&l, "stage", lmail_str_from(stage));
    if (p->mail)
        lmail_log_text(&l, "from", lmail_str_from(p->mail->from));
    if (to.len)
        lmail_log_text(&l, "to", to);
    lmi_xforward_log(p, &l);
    lmail_log_number(&l, "code", reply->code);
    lmail_log_text(&l, "reason", reply->text);
    lmail_log_end(&l);
}

void lmi_reply_give(smtp_peer *p, lmail_ticket t, const lmail_smtp_reply *reply)
{
    if (lmi_gate_take(p, t, reply))
        return;
    lmail_smtp_server_answer(p->server, t, reply, lmi_peer_now(&p->base));
}

/* ---- Transactions ---------------------------------------------------------------------------- */

static void free_dropped(smtp_peer *p)
{
    while (p->dropped) {
        lmi_mail *next = p->dropped->next;
        lmi_mail_free(p->dropped);
        p->dropped = next;
    }
}

static void free_mail(lmi_job *job)
{
    lmi_mail_free(((smtp_job *)job)->mail);
}

static void nothing_more(lmi_job *job)
{
    (void)job;
}

/* The spool file goes on a worker, behind whatever is running for this message now. */
void lmi_drop_mail(smtp_peer *p)
{
    lmi_mail *mail = p->mail;
    p->mail = NULL;
    if (!mail)
        return;
    lmi_xforward_done(p);
    if (!mail->delivery && !p->base.jobs) {
        lmi_mail_free(mail);
        return;
    }
    smtp_job *job = lmi_job_new(sizeof *job, &p->base, 0, free_mail, nothing_more);
    if (job) {
        job->mail = mail;
        lmi_peer_submit(&p->base, &job->base);
    } else { /* no memory: with the connection, then */
        mail->next = p->dropped;
        p->dropped = mail;
    }
}

unsigned lmi_delivery_mode(const smtp_peer *p)
{
    const lmail_listener_settings *l = p->base.door->settings;
    return l->delivery ? l->delivery - 1 : settings_of(p)->queue.delivery;
}

lmail_status lmi_begin_mail(smtp_peer *p, const lmail_smtp_mail_event *ev)
{
    const lmail_conn_facts *facts = lmail_conn_get_facts(p->base.conn);
    const lmail_listener_settings *l = p->base.door->settings;
    unsigned flags = (l->same_address ? LMAIL_QUEUE_SAME_ADDRESS : 0u) |
                     (l->interface_name ? LMAIL_QUEUE_INTERFACE_NAME : 0u);
    if (lmi_delivery_mode(p) >= LMAIL_MODE_QUEUE || lmi_limits_queues(p->base.door))
        flags |= LMAIL_QUEUE_RUN_ONLY;
    lmi_drop_mail(p);
    p->mail = lmi_mail_new(p->base.door->service, ev->from.text);
    if (!p->mail)
        return LMAIL_ERR_NOMEM;
    p->mail->rules = p->base.door->rules;
    p->mail->local = p->local;
    p->mail->utf8 = ev->smtputf8;
    p->mail->atomic = kind_of(p) != LMAIL_LISTENER_LMTP;
    if (lmi_mail_set_envelope(p->mail, ev) ||
        lmi_mail_set_origin(p->mail, lmail_smtp_server_identity(p->server), facts->peer_address,
                            facts->local_address, flags))
        return LMAIL_ERR_NOMEM;
    return LMAIL_OK;
}

static void on_cancel(lmail_smtp_server *s, void *user, lmail_ticket t)
{
    (void)s;
    lmi_auth_cancel(user);
    lmi_facts_cancel(user, t);
    lmi_gate_cancel(user, t);
    const smtp_peer *p = user;
    if (p->wait && p->waiting == t)
        lmi_wait_hurry(p->wait); /* it is handed back, from the loop */
}

static void on_abandon(lmail_smtp_server *s, void *user, const lmail_smtp_abandon_event *ev)
{
    (void)s;
    (void)ev;
    lmi_gate_abandon(user);
    lmi_drop_mail(user);
}

/* ---- The message ----------------------------------------------------------------------------- */

/* RFC 3848, RFC 6531 §4.3. */
static lmail_str protocol_name(const smtp_peer *p, char out[16])
{
    const lmail_smtp_server *s = p->server;
    int tls = lmail_smtp_server_tls(s) != NULL, auth = lmail_smtp_server_identity(s).len != 0;
    if (lmail_smtp_server_hello(s) < LMAIL_SMTP_SAID_EHLO)
        return LMAIL_STR("SMTP");
    int lmtp = lmail_smtp_server_hello(s) == LMAIL_SMTP_SAID_LHLO;
    int n = snprintf(out, 16, "%s%s%s",
                     p->mail->utf8 ? (lmtp ? "UTF8LMTP" : "UTF8SMTP")
                     : lmtp        ? "LMTP"
                                   : "ESMTP",
                     tls ? "S" : "", auth ? "A" : "");
    return (lmail_str){out, (size_t)n};
}

/* Is it mail of this host's own users and machines (RFC 6409 §3.1), or other people's? A name that
 * is not known yet is nobody's. */
static unsigned is_own(const smtp_peer *p)
{
    lmail_policy_verdict v;
    lmail_policy_peer peer;
    lmail_policy_question q;
    if (kind_of(p) == LMAIL_LISTENER_LMTP)
        return 0;
    if (kind_of(p) == LMAIL_LISTENER_SUBMISSION || lmail_smtp_server_identity(p->server).len)
        return 1;
    lmi_facts_peer(p, &peer);
    lmail_policy_question_init(&q);
    q.peer = &peer;
    q.sender = lmail_str_from(p->mail->from);
    lmail_status st = lmail_policy_client(p->base.door->rules->policy, &q, &v);
    return !st && v.kind == LMAIL_POLICY_ACCEPT ? 1u : 0u;
}

lmail_status lmi_body_start(smtp_peer *p, const lmail_smtp_body_start_event *ev)
{
    char protocol[16], client[600];
    const lmail_env *env = &p->base.door->service->env;
    lmi_mail_trace trace = {lmail_smtp_server_helo_name(p->server),
                            {client, lmi_facts_write(p, client, sizeof client)},
                            lmail_str_from(p->base.door->rules->hostname),
                            protocol_name(p, protocol),
                            lmail_smtp_server_tls(p->server),
                            0,
                            0,
                            is_own(p),
                            settings_of(p)->smtp.privacy & LMAIL_PRIVACY_AUTH_WARNINGS &&
                                lmail_smtp_server_hello(p->server) < LMAIL_SMTP_SAID_HELO,
                            {NULL, 0},
                            {NULL, 0}};
    p->mail->exact = !ev->chunked; /* DATA has CRLF alone; BDAT may bring a bare LF */
    trace.seconds = env->wall_clock(env->ctx, &trace.zone);
    if (p->local) {
        trace.local = (lmail_str){client, lmi_local_write(p->local, client, sizeof client)};
        if (settings_of(p)->smtp.privacy & LMAIL_PRIVACY_AUTH_WARNINGS &&
            lmi_local_is_doubtful(p->local, p->base.door->rules))
            trace.set_by = lmail_str_from(p->local->user);
    }
    return lmi_mail_begin(p->mail, &trace);
}

static void write_piece(lmi_job *base)
{
    smtp_job *job = (smtp_job *)base;
    job->base.status = lmi_mail_write(job->mail, job->octets);
}

static void piece_written(lmi_job *base)
{
    smtp_job *job = (smtp_job *)base;
    lmail_smtp_reply reply = LMAIL_SMTP_REPLY_INIT;
    if (job->base.status)
        say_store((smtp_peer *)base->peer, &reply, job->base.status);
    lmi_reply_give((smtp_peer *)base->peer, base->ticket, &reply);
}

static lmail_status on_body(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_body_event *ev, lmail_smtp_reply *reply)
{
    smtp_peer *p = user;
    (void)s;
    lmi_mail_look(p->mail, ev->octets);
    if (p->mail->head.hops > settings_of(p)->smtp.max_hops && !(p->local && p->local->returning)) {
        lmi_reply_fill(reply, 554, "5.4.6", "Too many hops");
        lmi_reply_log(p, "data", (lmail_str){NULL, 0}, reply);
        return LMAIL_OK;
    }
    lmail_str octets = ev->octets;
    lmail_status st = lmi_mail_rewrite(p->mail, &octets);
    if (!st)
        st = lmi_mail_keep(p->mail, octets);
    if (st != LMAIL_END)
        return st;
    smtp_job *job = lmi_job_new(sizeof *job, &p->base, t, write_piece, piece_written);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->mail = p->mail;
    job->octets = octets;
    return lmi_peer_submit(&p->base, &job->base);
}

static lmi_verdict verdict_of(lmail_status st, int queued, int held)
{
    return st       ? LMI_VERDICT_FAILED
           : held   ? LMI_VERDICT_QUARANTINED
           : queued ? LMI_VERDICT_QUEUED
                    : LMI_VERDICT_DELIVERED;
}

/* What one recipient got. */
static void log_recipient(const smtp_peer *p, const lmi_mail *m, const lmi_recipient *r)
{
    lmail_log_line l;
    const char *event = r->status              ? "delivery_failed"
                        : r->queued && m->held ? "quarantined"
                        : r->queued            ? "queued"
                                               : "delivered";
    lmi_count_recipient(&p->base, verdict_of(r->status, r->queued != 0, r->queued && m->held));
    lmi_peer_log(&p->base, &l, r->status ? LMAIL_LOG_ERR : LMAIL_LOG_INFO, event);
    lmail_log_text(&l, "queue", lmail_str_from(m->id));
    lmail_log_text(&l, "to", lmail_str_from(r->address));
    if (r->account[0])
        lmail_log_text(&l, "user", lmail_str_from(r->account));
    if (r->status)
        lmail_log_text(&l, "reason", lmail_str_from(lmail_status_text(r->status)));
    else if (r->queued && m->held)
        lmail_log_text(&l, "reason", m->reason);
    else if (!r->queued)
        lmail_log_number(&l, "uid", r->uid);
    lmail_log_end(&l);
}

/* "accepted" means that somebody has it: the client heard 250. */
static void log_outcome(const smtp_peer *p, const lmi_mail *m, const lmail_smtp_reply *reply)
{
    lmail_log_line l;
    size_t have = 0;
    for (size_t i = 0; i < m->count; i++)
        have += m->recipients[i].status == LMAIL_OK;
    if ((have > 0 || m->discard) && (reply->code == 250 || kind_of(p) == LMAIL_LISTENER_LMTP)) {
        lmi_count_message(&p->base,
                          m->discard ? LMI_VERDICT_DISCARDED
                                     : verdict_of(LMAIL_OK, m->remotes > 0, m->held > 0),
                          m->octets);
        lmi_peer_log(&p->base, &l, LMAIL_LOG_INFO, m->discard ? "discarded" : "accepted");
        lmail_log_text(&l, "queue", lmail_str_from(m->id));
        lmail_log_text(&l, "from", lmail_str_from(m->from));
        lmail_log_number(&l, "size", m->octets);
        lmail_log_number(&l, "recipients", m->count);
        lmi_xforward_log(p, &l);
        lmail_log_end(&l);
    } else {
        lmi_reply_log(p, "body", LMAIL_STR(""), reply);
    }
    for (size_t i = 0; i < m->count; i++)
        if (m->discard)
            lmi_count_recipient(&p->base, LMI_VERDICT_DISCARDED);
        else
            log_recipient(p, m, &m->recipients[i]);
}

static void commit(lmi_job *base)
{
    smtp_job *job = (smtp_job *)base;
    const lmi_mail *m = job->mail;
    if (lmi_delivery_mode((const smtp_peer *)base->peer) == LMAIL_MODE_INTERACTIVE && m->remotes &&
        !m->held && !m->discard && !(m->flags & LMAIL_QUEUE_RUN_ONLY))
        job->wait = lmi_wait_new(base->peer->door->service, m->number);
    job->base.status = lmi_mail_commit(job->mail);
    if (!job->base.status && job->mail->local)
        lmi_local_taken(job->mail->local);
}

/* The answer for one recipient (LMTP) or for all. */
static void fill_end(const smtp_peer *p, const lmi_mail *m, lmail_status st, uint32_t recipient,
                     char text[64], lmail_smtp_reply *reply)
{
    if (kind_of(p) == LMAIL_LISTENER_LMTP)
        st = lmi_mail_said_status(m, recipient);
    if (st) {
        say_store(p, reply, st);
        return;
    }
    snprintf(text, 64, "OK queued as %s", m->id);
    lmi_reply_fill(reply, 250, "2.0.0", text);
}

static void wait_over(void *arg)
{
    smtp_peer *p = arg;
    lmail_smtp_reply reply = LMAIL_SMTP_REPLY_INIT;
    p->wait = NULL;
    lmi_reply_fill(&reply, 250, "2.0.0", p->text);
    lmi_reply_give(p, p->waiting, &reply);
    if (!p->base.session)
        return;
    lmi_count_traffic(&p->base);
    lmail_conn_wake(p->base.conn);
}

/* queue.delivery = interactive: the 250 comes when somebody has tried. 1: it is to come. */
static int waits_for_attempt(smtp_job *job, const char *text, unsigned code)
{
    smtp_peer *p = (smtp_peer *)job->base.peer;
    lmi_wait *w = job->wait;
    size_t rows = 0;
    job->wait = NULL;
    for (size_t i = 0; i < job->mail->count; i++)
        rows += job->mail->recipients[i].queued != 0;
    if (!w)
        return 0;
    if (code != 250 || !rows || !p->base.session) {
        lmi_wait_drop(w);
        return 0;
    }
    p->waiting = job->base.ticket;
    snprintf(p->text, sizeof p->text, "%s", text);
    if (lmi_wait_begin(w, rows, p->base.loop, wait_over, p) != LMAIL_PENDING)
        return 0;
    p->wait = w;
    return 1;
}

static void committed(lmi_job *base)
{
    smtp_job *job = (smtp_job *)base;
    smtp_peer *p = (smtp_peer *)base->peer;
    lmi_mail *m = job->mail;
    lmail_service *service = base->peer->door->service;
    lmail_smtp_reply reply = LMAIL_SMTP_REPLY_INIT;
    char text[64];
    for (size_t i = 0; i < m->count; i++)
        if (!m->recipients[i].status && !m->recipients[i].queued && !m->discard)
            lmi_watch_tell(service->watch,
                           lmail_notice_slot(lmail_str_from(m->recipients[i].account)));
    lmi_count_delivery(base);
    fill_end(p, m, job->base.status, 0, text, &reply);
    log_outcome(p, m, &reply);
    if (!waits_for_attempt(job, text, reply.code))
        lmi_reply_give(p, base->ticket, &reply);
    /* SMTP: the transaction ends with this answer. LMTP: the other recipients' questions follow. */
    if (p->mail == m && (kind_of(p) != LMAIL_LISTENER_LMTP || m->said <= 1)) {
        if (m->delivery) { /* it never ran: the spool file is there still */
            lmi_drop_mail(p);
        } else {
            p->mail = NULL;
            lmi_xforward_done(p);
            lmi_mail_free(m);
        }
    }
}

lmail_status lmi_commit_mail(smtp_peer *p, lmail_ticket t)
{
    smtp_job *job = lmi_job_new(sizeof *job, &p->base, t, commit, committed);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->mail = p->mail;
    return lmi_peer_submit(&p->base, &job->base);
}

static lmail_status on_body_end(lmail_smtp_server *s, void *user, lmail_ticket t,
                                const lmail_smtp_body_end_event *ev, lmail_smtp_reply *reply)
{
    smtp_peer *p = user;
    lmail_status st;
    (void)s;
    if (lmi_gate_body_end(p, t, ev, reply, &st))
        return st;
    if (ev->recipient > 0) {
        lmi_mail *m = p->mail;
        fill_end(p, m, LMAIL_OK, ev->recipient, p->text, reply);
        if (ev->recipient + 1 == m->said)
            lmi_drop_mail(p);
        return LMAIL_OK;
    }
    return lmi_commit_mail(p, t);
}

/* ---- Logging in ------------------------------------------------------------------------------ */

/* Srv_Features: of the access map: is this mechanism none for this client? */
static int is_barred(const smtp_peer *p, lmail_str mechanism, const lmail_tls_facts *tls)
{
    if (p->features_off & LMAIL_POLICY_FEATURE_CLIENT_CERTIFICATE &&
        lmail_str_equal(mechanism, LMAIL_STR("EXTERNAL")))
        return 1; /* with implicit TLS it was asked for one before it was known */
    return p->features_on & LMAIL_POLICY_FEATURE_PLAIN_NEEDS_TLS && !tls &&
           (lmail_str_equal(mechanism, LMAIL_STR("PLAIN")) ||
            lmail_str_equal(mechanism, LMAIL_STR("LOGIN")));
}

static lmail_str mechanisms(const lmail_smtp_server *s, void *user)
{
    const smtp_peer *p = user;
    const lmail_tls_facts *tls = lmail_smtp_server_tls(s);
    int offers = p->base.door->settings->offer_auth || p->features_on & LMAIL_POLICY_FEATURE_AUTH;
    if (!offers || p->features_off & LMAIL_POLICY_FEATURE_AUTH)
        return (lmail_str){NULL, 0};
    lmail_str all = lmi_auth_mechanisms(user, tls);
    char *list = (char *)all.ptr; /* in scratch memory: those that stay move to the front */
    size_t len = 0;
    for (size_t at = 0; at < all.len;) {
        size_t end = at;
        while (end < all.len && all.ptr[end] != ' ')
            end++;
        if (!is_barred(p, (lmail_str){all.ptr + at, end - at}, tls)) {
            if (len)
                list[len++] = ' ';
            memmove(list + len, all.ptr + at, end - at);
            len += end - at;
        }
        at = end + 1;
    }
    return (lmail_str){list, len};
}

static lmail_status on_auth(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_auth_event *ev, lmail_auth_answer *a)
{
    return lmi_auth_step(user, t, ev, lmail_smtp_server_tls(s), a);
}

static void on_auth_end(lmail_smtp_server *s, void *user, const lmail_auth_end_event *ev)
{
    (void)s;
    lmi_auth_end(user, ev->how);
}

static lmail_status answer_auth(lmi_peer *peer, lmail_ticket t, const lmail_auth_answer *a)
{
    return lmail_smtp_server_answer_auth(((smtp_peer *)peer)->server, t, a, lmi_peer_now(peer));
}

/* ---- The protocol's row ---------------------------------------------------------------------- */

/* The setting is plain text: a % in it is no placeholder. */
static void write_greeting(lmail_str text, char *out, size_t cap)
{
    size_t n = (size_t)snprintf(out, cap, "%%H ");
    for (size_t i = 0; i < text.len && n + 3 <= cap; i++) {
        if (text.ptr[i] == '%')
            out[n++] = '%';
        out[n++] = text.ptr[i];
    }
    out[n] = 0;
}

static lmail_status setup_new(const lmi_door *door, void **setup)
{
    const lmail_settings *v = door->rules->settings;
    char greeting[600];
    lmail_smtp_server_config c = LMAIL_SMTP_SERVER_CONFIG_INIT;
    lmail_smtp_server_handler h = LMAIL_SMTP_SERVER_HANDLER_INIT;
    write_greeting(v->smtp.greeting, greeting, sizeof greeting);
    size_t count;
    lmail_smtp_reply_text words[LMAIL_SMTP_SAY_COUNT];
    const lmail_smtp_reply_text *classic = lmi_smtp_words(&count);
    memcpy(words, classic, count * sizeof *words);
    words[count++] =
        (lmail_smtp_reply_text){LMAIL_SMTP_SAY_GREETING, 220, {NULL, 0}, lmail_str_from(greeting)};
    c.host_name = lmail_str_from(door->rules->hostname);
    c.replies = words;
    c.reply_count = count;
    lmi_limits_setup(door, &c);
    if (lmi_filters_of(door)) {
        h.on_connect = lmi_gate_connect;
        h.on_helo = lmi_gate_helo;
    } else if (door->settings->protocol != LMAIL_LISTENER_LMTP) {
        h.on_connect = lmi_connect_asked;
    }
    h.on_mail = lmi_gate_mail;
    h.on_rcpt = lmi_gate_rcpt;
    h.on_etrn = door->service->queue ? lmi_etrn_asked : NULL;
    h.on_vrfy = v->smtp.privacy & LMAIL_PRIVACY_NO_VRFY ? NULL : lmi_vrfy_asked;
    h.on_expn = lmi_expn_asked; /* Srv_Features: may offer what the privacy flags do not */
    h.on_unknown = lmi_filters_of(door)                      ? lmi_gate_unknown
                   : v->smtp.privacy & LMAIL_PRIVACY_NO_VERB ? lmi_unknown_asked
                                                             : NULL;
    h.on_body_start = lmi_gate_body_start;
    h.on_body = on_body;
    h.on_body_end = on_body_end;
    h.on_abandon = on_abandon;
    h.on_cancel = on_cancel;
    h.on_trace = lmi_count_trace;
    if (door->settings->protocol != LMAIL_LISTENER_LMTP) {
        h.auth_mechanisms = mechanisms;
        h.on_auth = on_auth;
        h.on_auth_end = on_auth_end;
        h.on_xclient = lmi_xclient_asked;
        h.on_xforward = lmi_xforward_asked;
    }
    lmail_smtp_server_setup *made;
    lmail_status st = lmail_smtp_server_setup_new(&made, &c, &h);
    *setup = st ? NULL : made;
    return st;
}

static void setup_free(void *setup)
{
    lmail_smtp_server_setup_free(setup);
}

static lmail_session *open_session(lmi_peer *peer, lmail_msec now)
{
    smtp_peer *p = (smtp_peer *)peer;
    if (lmi_door_is_local(peer->door) && !lmi_pickup_admits(lmail_conn_get_facts(peer->conn)))
        return NULL;
    if (lmail_smtp_server_new(&p->server, peer->door->setup, p, now))
        return NULL;
    p->trusted = lmi_xclient_trusted(p);
    lmi_limits_began(p, now);
    return lmail_smtp_server_session(p->server);
}

static void closed(lmi_peer *peer)
{
    lmi_wait_drop(((smtp_peer *)peer)->wait);
    ((smtp_peer *)peer)->wait = NULL;
    lmi_gate_closed((smtp_peer *)peer);
    lmi_facts_closed((smtp_peer *)peer);
    lmi_limits_ended((smtp_peer *)peer);
}

static void destroy(lmi_peer *peer)
{
    smtp_peer *p = (smtp_peer *)peer;
    lmi_facts_free(p);
    lmi_xforward_done(p);
    free(p->hold);
    lmi_local_release(p->local);
}

static int holds(const lmi_peer *peer)
{
    const smtp_peer *p = (const smtp_peer *)peer;
    return p->mail || p->dropped;
}

static void shut(lmi_peer *peer)
{
    smtp_peer *p = (smtp_peer *)peer;
    lmi_mail_free(p->mail);
    p->mail = NULL;
    free_dropped(p);
}

const lmi_protocol lmi_smtp_protocol = {
    .name = "smtp",
    .service_bit = LMAIL_SERVICE_SMTP,
    .auth = LMI_AUTH_SMTP,
    .refusal = "421 4.7.0 Too many connections from your address\r\n",
    .peer_size = sizeof(smtp_peer),
    .setup_new = setup_new,
    .setup_free = setup_free,
    .open = open_session,
    .closed = closed,
    .holds = holds,
    .shut = shut,
    .destroy = destroy,
    .answer_auth = answer_auth,
};
