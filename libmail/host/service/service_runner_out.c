/* service_runner_out.c - one connection that we made, and the SMTP or LMTP session on it.
 *
 * It is made for one sending, and may serve the next ones to the same destination. The session's
 * callbacks write down what they hear; the delivery machine is told from the loop, since what it
 * does then may touch this session again. */
#include "host/service/service_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define PIECE 131072u

/* Octets that the session has, or waits for. */
typedef struct lmi_piece {
    struct lmi_piece *next;
    lmi_out *out;
    lmail_ticket ticket;
    uint64_t id, offset;
    size_t want, got;
    lmail_status status;
    unsigned home; /* the worker is done with it */
    char octets[];
} piece;

typedef struct lmi_auth_job {
    lmi_out *out;
    lmail_ticket ticket;
    lmail_str challenge, response;
    unsigned first, has_response;
    lmail_status status;
    char room[12288];
} auth_job;

static lmail_msec now(const lmi_out *o)
{
    return lmail_loop_now(o->runner->loop);
}

/* ---- What follows, from the loop ------------------------------------------------------------- */

static void fill_facts(lmi_out *o)
{
    lmail_smtp_capabilities can;
    const lmail_tls_facts *tls = lmail_smtp_client_tls(o->client);
    lmail_tls_peer peer = LMAIL_TLS_PEER_INIT;
    lmail_delivery_connection *f = &o->facts;
    const lmail_delivery_address address = f->address;
    lmail_smtp_client_capabilities(o->client, &can);
    lmail_delivery_connection_init(f);
    f->address = address;
    f->id = o->id;
    snprintf(o->name, sizeof o->name, "%.*s", TEXT(can.name));
    f->server_name = lmail_str_from(o->name);
    f->host = lmail_str_from(o->host);
    f->port = o->port;
    f->max_recipients = can.rcpt_max;
    if (!tls)
        return;
    f->cipher_bits = tls->bits;
    f->certificate = LMAIL_POLICY_CERTIFICATE_FAILED;
    if (lmail_conn_tls_peer(o->conn, &peer))
        return;
    f->certificate = !peer.shown    ? LMAIL_POLICY_CERTIFICATE_MISSING
                     : peer.trusted ? LMAIL_POLICY_CERTIFICATE_VERIFIED
                                    : LMAIL_POLICY_CERTIFICATE_FAILED;
    f->certificate_name = peer.common_name;
    f->certificate_subject = peer.subject;
    f->certificate_issuer = peer.issuer;
}

static void answer_connect(lmi_out *o)
{
    lmi_sending *s = o->sending;
    lmail_delivery_connection a = LMAIL_DELIVERY_CONNECTION_INIT;
    lmail_ticket t = o->ticket;
    o->ticket = 0;
    o->credentials = NULL;
    if (o->ended || o->closed) {
        a.word = o->word;
        o->sending = NULL;
        s->out = NULL;
    } else {
        fill_facts(o);
        a = o->facts;
    }
    (void)lmail_delivery_answer_connect(s->machine, t, &a, now(o));
}

static void answer_transaction(lmi_out *o)
{
    lmi_sending *s = o->sending;
    lmail_delivery_transaction a = LMAIL_DELIVERY_TRANSACTION_INIT;
    lmail_smtp_capabilities can;
    lmail_ticket t = o->ticket;
    o->ticket = 0;
    o->mail_ended = 0;
    a.word = o->word;
    a.ready = !o->ended && !o->closed && lmail_smtp_client_mails_left(o->client) > 0;
    if (!o->closed) {
        lmail_smtp_client_capabilities(o->client, &can);
        a.dsn = (can.can & LMAIL_SMTP_CAN_DSN) != 0;
    }
    (void)lmail_delivery_answer_transaction(s->machine, t, &a, now(o));
}

/* ORCPT as the queue has it, "type;address". */
static void split_orcpt(lmail_smtp_client_rcpt *to, const lmail_queue_recipient *r)
{
    const char *colon =
        r->has_orcpt && r->orcpt.len ? memchr(r->orcpt.ptr, ';', r->orcpt.len) : NULL;
    if (!colon)
        return;
    size_t n = (size_t)(colon - r->orcpt.ptr);
    to->orcpt_type = (lmail_str){r->orcpt.ptr, n};
    to->orcpt = (lmail_str){colon + 1, r->orcpt.len - n - 1};
}

static void submit(lmi_out *o)
{
    const lmi_sending *s = o->sending;
    const lmail_queue_message *m = s->message;
    lmail_smtp_client_mail mail = LMAIL_SMTP_CLIENT_MAIL_INIT;
    lmail_smtp_client_rcpt *to = calloc(o->count, sizeof *to);
    lmail_status st = to ? LMAIL_OK : LMAIL_ERR_NOMEM;
    o->submit = 0;
    o->accepted_any = 0;
    memset(&o->word, 0, sizeof o->word);
    for (size_t i = 0; i < o->count && to; i++) {
        const lmail_queue_recipient *r = s->rows[o->recipients[i]];
        to[i].to = r->address;
        to[i].notify = r->notify;
        split_orcpt(&to[i], r);
    }
    mail.from = m->sender;
    mail.recipients = to;
    mail.recipient_count = (uint32_t)o->count;
    mail.octets = m->octets > m->header ? m->octets - m->header : 0;
    mail.body = (lmail_smtp_body_type)m->body;
    mail.smtputf8 = (m->flags & LMAIL_QUEUE_SMTPUTF8) != 0;
    mail.ret = (lmail_smtp_ret)m->ret;
    mail.has_envid = m->has_envid;
    mail.envid = m->envid;
    mail.has_auth = m->has_auth;
    mail.auth = m->auth;
    if (!st)
        st = o->ended || o->closed
                 ? LMAIL_ERR_CLOSED
                 : lmail_smtp_client_submit_mail(o->client, &mail, &o->mail, now(o));
    free(to);
    if (!st) {
        lmail_conn_wake(o->conn);
        return;
    }
    o->word.fault = st == LMAIL_ERR_CLOSED ? LMAIL_DELIVERY_LOST : LMAIL_DELIVERY_OURS;
    o->word.phase = LMAIL_DELIVERY_AT_MAIL;
    o->mail_ended = 1;
}

static void step(void *arg)
{
    lmi_out *o = arg;
    if (o->sending && o->ticket && !o->submit && !o->count && (o->ready || o->ended || o->closed))
        answer_connect(o);
    if (o->sending && o->submit)
        submit(o);
    if (o->sending && o->ticket && o->count && o->mail_ended)
        answer_transaction(o);
    if (o->quit && !o->closed && o->client) {
        o->quit = 0;
        (void)lmail_smtp_client_stop(o->client, now(o));
        lmail_conn_wake(o->conn);
    }
    if (o->closed && !o->sending && !o->pieces && !o->auth_job)
        lmi_out_free(o);
}

static void soon(lmi_out *o)
{
    lmi_runner_later(o->runner, &o->later);
}

/* ---- Octets of the message ------------------------------------------------------------------- */

static void drop_piece(lmi_out *o, piece *p)
{
    piece **at = &o->pieces;
    while (*at && *at != p)
        at = &(*at)->next;
    if (*at)
        *at = p->next;
    free(p);
    if (o->closed)
        soon(o);
}

static void read_piece(void *arg)
{
    piece *p = arg;
    p->status =
        lmail_queue_read(p->out->runner->queue, p->id, p->offset, p->octets, p->want, &p->got);
}

static void piece_read(void *arg)
{
    piece *p = arg;
    lmi_out *o = p->out;
    lmail_smtp_client_octets_answer a = LMAIL_SMTP_CLIENT_OCTETS_ANSWER_INIT;
    p->home = 1;
    a.failed = p->status != LMAIL_OK;
    a.octets = (lmail_str){p->octets, p->status ? 0 : p->got};
    a.end = p->got < p->want;
    size_t given = a.octets.len; /* p may be released within the answer */
    lmail_status st = o->closed ? LMAIL_ERR_STALE
                                : lmail_smtp_client_answer_octets(o->client, p->ticket, &a, now(o));
    if (st || !given)
        drop_piece(o, p);
    if (!o->closed)
        lmail_conn_wake(o->conn);
}

static lmail_status on_octets(lmail_smtp_client *c, void *user, lmail_ticket t,
                              const lmail_smtp_client_octets_event *ev,
                              lmail_smtp_client_octets_answer *answer)
{
    lmi_out *o = user;
    (void)c;
    (void)answer;
    if (!o->sending)
        return LMAIL_ERR_STATE;
    size_t want = ev->want < PIECE ? ev->want : PIECE;
    piece *p = malloc(sizeof *p + want);
    if (!p)
        return LMAIL_ERR_NOMEM;
    const lmail_queue_message *m = o->sending->message;
    *p = (piece){.next = o->pieces,
                 .out = o,
                 .ticket = t,
                 .id = m->id,
                 .offset = m->header + ev->offset,
                 .want = want};
    o->pieces = p;
    if (lmail_pool_submit(o->runner->pool, o->runner->loop, read_piece, piece_read, p, 0)) {
        drop_piece(o, p);
        return LMAIL_ERR_BUSY;
    }
    return LMAIL_PENDING;
}

static void on_released(lmail_smtp_client *c, void *user, lmail_ticket t)
{
    lmi_out *o = user;
    (void)c;
    for (piece *p = o->pieces; p; p = p->next)
        if (p->ticket == t && p->home) {
            drop_piece(o, p);
            return;
        }
}

/* ---- Logging in ------------------------------------------------------------------------------ */

static void step_auth(void *arg)
{
    auth_job *j = arg;
    j->status = lmail_auth_client_step(j->out->auth, j->first ? NULL : &j->challenge, &j->response,
                                       &j->has_response);
}

static void auth_stepped(void *arg)
{
    auth_job *j = arg;
    lmi_out *o = j->out;
    lmail_smtp_client_auth_answer a = LMAIL_SMTP_CLIENT_AUTH_ANSWER_INIT;
    a.kind = j->status ? LMAIL_SMTP_AUTH_CANCEL : LMAIL_SMTP_AUTH_SEND;
    a.mechanism = j->first ? j->response : (lmail_str){NULL, 0};
    a.response = j->response;
    if (j->first) {
        a.mechanism = lmail_str_from(j->room);
        a.has_response = j->has_response;
    }
    if (!o->closed) {
        if (lmail_smtp_client_answer_auth(o->client, j->ticket, &a, now(o)) == LMAIL_ERR_ARG) {
            a = (lmail_smtp_client_auth_answer)LMAIL_SMTP_CLIENT_AUTH_ANSWER_INIT;
            a.kind = LMAIL_SMTP_AUTH_FAIL;
            (void)lmail_smtp_client_answer_auth(o->client, j->ticket, &a, now(o));
        }
        lmail_conn_wake(o->conn);
    }
    explicit_bzero(j->room, sizeof j->room);
    free(j);
    o->auth_job = NULL;
    if (o->closed)
        soon(o);
}

static lmail_status new_auth(lmi_out *o)
{
    const lmail_policy_credentials *c = o->credentials;
    const lmail_tls_facts *tls = lmail_smtp_client_tls(o->client);
    lmail_auth_credentials who = LMAIL_AUTH_CREDENTIALS_INIT;
    lmail_auth_server server = LMAIL_AUTH_SERVER_INIT;
    unsigned char binding[32];
    who.user = c->authid.len ? c->authid : c->authzid;
    who.authzid = c->authzid;
    who.password = c->password;
    who.realm = c->realm;
    who.mechanisms = c->mechanisms;
    server.service = LMAIL_STR("smtp");
    server.hostname = lmail_str_from(o->host);
    server.port = o->port;
    server.secure = tls != NULL || o->address[0] == '/';
    server.allow_cleartext = 1; /* AuthInfo says so: TLS is TLS_Srv's to demand */
    if (tls && !lmail_conn_channel_binding(o->conn, binding))
        server.exporter = (lmail_str){(const char *)binding, sizeof binding};
    return lmail_auth_client_new(&o->auth, &who, &server);
}

static lmail_status on_auth(lmail_smtp_client *c, void *user, lmail_ticket t,
                            const lmail_smtp_client_auth_event *ev,
                            lmail_smtp_client_auth_answer *answer)
{
    lmi_out *o = user;
    lmail_str mechanism = {NULL, 0};
    (void)c;
    if (ev->finished) {
        answer->kind =
            lmail_auth_client_proven(o->auth) ? LMAIL_SMTP_AUTH_FAIL : LMAIL_SMTP_AUTH_GO_ON;
        return LMAIL_OK;
    }
    if (ev->step == 0) {
        if (!o->auth && (!o->credentials || !ev->mechanisms.len))
            return LMAIL_OK; /* GO_ON */
        lmail_status st = o->auth ? LMAIL_OK : new_auth(o);
        if (!st)
            st = lmail_auth_client_choose(o->auth, ev->mechanisms, &mechanism);
        if (st) { /* refused, the reply tells; or nothing that we can do */
            answer->kind = ev->refused ? LMAIL_SMTP_AUTH_FAIL : LMAIL_SMTP_AUTH_GO_ON;
            return LMAIL_OK;
        }
    }
    auth_job *j = calloc(1, sizeof *j);
    if (!j)
        return LMAIL_ERR_NOMEM;
    j->out = o;
    j->ticket = t;
    j->first = ev->step == 0;
    if (j->first) {
        snprintf(j->room, sizeof j->room, "%.*s", TEXT(mechanism));
    } else if (ev->challenge.len <= sizeof j->room) {
        memcpy(j->room, ev->challenge.ptr ? ev->challenge.ptr : "", ev->challenge.len);
        j->challenge = (lmail_str){j->room, ev->challenge.len};
    }
    o->auth_job = j;
    if (lmail_pool_submit(o->runner->pool, o->runner->loop, step_auth, auth_stepped, j, 0)) {
        o->auth_job = NULL;
        free(j);
        return LMAIL_ERR_BUSY;
    }
    return LMAIL_PENDING;
}

/* ---- What the session says ------------------------------------------------------------------- */

static void on_ready(lmail_smtp_client *c, void *user, const lmail_smtp_capabilities *can)
{
    lmi_out *o = user;
    (void)c;
    (void)can;
    o->ready = 1;
    soon(o);
}

static void tell(lmi_out *o, uint32_t recipient, const lmail_delivery_word *w)
{
    (void)lmail_delivery_told(o->sending->machine, o->ticket, o->recipients[recipient], w, now(o));
}

static void on_recipient(lmail_smtp_client *c, void *user, const lmail_smtp_recipient_event *ev)
{
    lmi_out *o = user;
    (void)c;
    if (!o->sending || !o->ticket || ev->recipient >= o->count)
        return;
    lmi_out_word(o, ev->cause, ev->phase, &ev->reply);
    if (ev->phase == LMAIL_SMTP_PHASE_RCPT &&
        (o->word.fault == LMAIL_DELIVERY_REPLY || o->word.fault == LMAIL_DELIVERY_UNSUPPORTED)) {
        if (o->word.fault == LMAIL_DELIVERY_UNSUPPORTED)
            o->word.fault = LMAIL_DELIVERY_REPLY;
        tell(o, ev->recipient, &o->word);
        memset(&o->word, 0, sizeof o->word); /* the transaction itself is fine */
        return;
    }
    if (ev->phase >= LMAIL_SMTP_PHASE_DATA && ev->phase <= LMAIL_SMTP_PHASE_END) {
        const lmail_delivery_word yes = {LMAIL_DELIVERY_REPLY, LMAIL_DELIVERY_AT_RCPT, 250,
                                         LMAIL_STR("2.1.5"), LMAIL_STR("OK")};
        tell(o, ev->recipient, &yes);
        if (o->sending->lmtp && ev->phase == LMAIL_SMTP_PHASE_END)
            tell(o, ev->recipient, &o->word);
        o->accepted_any = 1;
    }
}

static void on_mail_end(lmail_smtp_client *c, void *user, const lmail_smtp_mail_end_event *ev)
{
    lmi_out *o = user;
    (void)c;
    (void)ev;
    o->mail_ended = 1;
    /* The server's yes to the data, or there was nobody to send it to. */
    if (o->word.fault == LMAIL_DELIVERY_REPLY && o->word.phase == LMAIL_DELIVERY_AT_END &&
        (o->word.code / 100 == 2 || (o->sending && o->sending->lmtp)))
        o->word.fault = LMAIL_DELIVERY_FINE;
    soon(o);
}

static void on_end(lmail_smtp_client *c, void *user, const lmail_smtp_client_end_event *ev)
{
    lmi_out *o = user;
    (void)c;
    o->ended = 1;
    if (o->sending && o->ticket && !o->count)
        lmi_out_word(o, ev->cause, ev->phase, &ev->reply);
    /* A handshake's fault is known when the connection is closed. */
    if (ev->phase != LMAIL_SMTP_PHASE_TLS || o->count)
        soon(o);
}

const lmail_smtp_client_handler lmi_client_handler = {
    sizeof(lmail_smtp_client_handler),
    on_ready,
    on_auth,
    NULL,
    on_octets,
    on_released,
    on_recipient,
    on_mail_end,
    on_end,
    NULL,
    NULL,
};

/* ---- The connection -------------------------------------------------------------------------- */

static lmail_session *on_open(void *user, lmail_conn *conn, const lmail_conn_facts *facts,
                              lmail_msec when)
{
    static const lmail_smtp_tls_policy tls[] = {LMAIL_SMTP_TLS_OPPORTUNISTIC, LMAIL_SMTP_TLS_NONE,
                                                LMAIL_SMTP_TLS_REQUIRED, LMAIL_SMTP_TLS_VERIFIED};
    lmi_out *o = user;
    lmail_smtp_client_target target = LMAIL_SMTP_CLIENT_TARGET_INIT;
    (void)conn;
    (void)facts;
    target.tls = tls[o->tls];
    if (o->mailer == LMAIL_DELIVERY_LMTP)
        target.flags_on = LMAIL_SMTP_CLIENT_LMTP;
    if (o->mailer == LMAIL_DELIVERY_SMTP)
        target.ignore = UINT32_MAX & ~(uint32_t)LMAIL_SMTP_CAN_STARTTLS;
    if (lmail_smtp_client_new(&o->client, o->ways->client, &target, o, when))
        return NULL;
    return lmail_smtp_client_session(o->client);
}

static void on_closed(void *user, lmail_conn *conn, lmail_session *session,
                      lmail_close_reason reason)
{
    lmi_out *o = user;
    const char *fault = lmail_conn_fault(conn);
    (void)session;
    if (o->sending && o->ticket && !o->count && !o->ready &&
        (!o->ended || o->word.phase == LMAIL_DELIVERY_AT_TLS) &&
        (!o->ended || reason == LMAIL_CLOSE_TLS))
        lmi_out_reason(o, reason, fault);
    o->closed = 1;
    o->conn = NULL;
    o->client = NULL; /* freed by the connection */
    soon(o);
}

static void set_address(lmi_out *o, const lmail_delivery_connect_event *ev)
{
    o->facts.address = ev->address;
    if (ev->path.len)
        snprintf(o->address, sizeof o->address, "%.*s", TEXT(ev->path));
    else
        snprintf(o->address, sizeof o->address, "%.*s", TEXT(ev->address_text));
}

lmail_status lmi_out_connect(lmi_sending *s, lmail_ticket t, const lmail_delivery_connect_event *ev,
                             lmail_str source)
{
    lmi_runner *r = s->turn->runner;
    const lmail_settings *v = s->turn->ways->rules->settings;
    lmail_connect_config c = LMAIL_CONNECT_CONFIG_INIT;
    char address[300], why[200] = "";
    lmi_out *o = calloc(1, sizeof *o);
    if (!o)
        return LMAIL_ERR_NOMEM;
    o->runner = r;
    o->ways = lmi_ways_hold(s->turn->ways);
    o->id = ++r->last_out;
    o->later = (lmi_later){NULL, step, o, 0};
    o->mailer = ev->mailer;
    o->tls = ev->tls;
    o->port = ev->port;
    o->credentials = ev->credentials;
    snprintf(o->destination, sizeof o->destination, "%s", s->turn->destination);
    snprintf(o->source, sizeof o->source, "%.*s", TEXT(source));
    snprintf(o->host, sizeof o->host, "%.*s", TEXT(ev->host));
    set_address(o, ev);
    snprintf(address, sizeof address, "%s%s", ev->path.len ? "unix:" : "", o->address);
    c.address = lmail_str_from(address);
    c.port = ev->port;
    c.source = ev->path.len ? (lmail_str){NULL, 0} : source;
    c.tls = o->ways->tls;
    c.tls_name = ev->host;
    c.tls_verify = ev->tls == LMAIL_DELIVERY_TLS_VERIFY;
    c.connect_timeout = v->client.connect_timeout;
    if (ev->time_left < (c.connect_timeout ? c.connect_timeout : 30000))
        c.connect_timeout = ev->time_left ? ev->time_left : 1;
    c.handshake_timeout = v->client.starttls_timeout;
    c.on_open = on_open;
    c.on_closed = on_closed;
    c.user = o;
    lmail_status st = lmail_conn_connect(&o->conn, r->loop, &c, why, sizeof why);
    if (st) {
        lmi_ways_release(o->ways);
        free(o);
        return st;
    }
    o->sending = s;
    o->ticket = t;
    s->out = o;
    o->at = &r->outs;
    o->next = r->outs;
    if (o->next)
        o->next->at = &o->next;
    r->outs = o;
    return LMAIL_OK;
}

void lmi_out_free(lmi_out *o)
{
    lmi_runner_not_later(o->runner, &o->later);
    *o->at = o->next;
    if (o->next)
        o->next->at = o->at;
    lmail_auth_client_free(o->auth);
    lmi_ways_release(o->ways);
    free(o->recipients);
    free(o);
}

/* ---- Who uses it ----------------------------------------------------------------------------- */

lmi_out *lmi_out_find(const lmi_runner *r, uint64_t id)
{
    lmi_out *o = r->outs;
    while (o && o->id != id)
        o = o->next;
    return o;
}

static int is_secure_enough(const lmi_out *o, lmail_delivery_tls tls)
{
    switch (tls) {
    case LMAIL_DELIVERY_TLS_MUST:
        return o->facts.cipher_bits > 0;
    case LMAIL_DELIVERY_TLS_VERIFY:
        return o->tls == LMAIL_DELIVERY_TLS_VERIFY;
    default:
        return 1;
    }
}

lmi_out *lmi_out_idle(const lmi_sending *s, lmail_delivery_tls tls, lmail_str source)
{
    const lmi_runner *r = s->turn->runner;
    for (lmi_out *o = r->outs; o; o = o->next)
        if (o->idle_until && !o->sending && !o->ended && !o->closed && !o->quit &&
            o->ways == s->turn->ways && strcmp(o->destination, s->turn->destination) == 0 &&
            lmail_str_equal(lmail_str_from(o->source), source) && is_secure_enough(o, tls) &&
            (o->mailer == LMAIL_DELIVERY_LMTP) == (s->lmtp != 0))
            return o;
    return NULL;
}

lmail_status lmi_out_submit(lmi_out *o, lmi_sending *s, lmail_ticket t,
                            const lmail_delivery_transaction_event *ev,
                            lmail_delivery_transaction *answer)
{
    size_t *list = malloc(ev->count * sizeof *list);
    if (!list || o->ended || o->closed) {
        free(list);
        answer->word.fault = list ? LMAIL_DELIVERY_LOST : LMAIL_DELIVERY_OURS;
        answer->word.phase = LMAIL_DELIVERY_AT_MAIL;
        return LMAIL_OK;
    }
    memcpy(list, ev->recipients, ev->count * sizeof *list);
    free(o->recipients);
    o->recipients = list;
    o->count = ev->count;
    o->sending = s;
    o->ticket = t;
    o->submit = 1;
    o->mail_ended = 0;
    o->idle_until = 0;
    soon(o);
    return LMAIL_PENDING;
}

void lmi_out_release(lmi_out *o, unsigned keep)
{
    if (o->sending && o->sending->out == o)
        o->sending->out = NULL;
    o->sending = NULL;
    o->ticket = 0;
    o->submit = 0;
    keep = keep && o->ready && !o->ended && !o->closed && !o->runner->stopping;
    o->idle_until = keep ? now(o) + LMI_IDLE : 0;
    if (!keep && !o->closed && !o->client && o->conn)
        lmail_conn_close(o->conn); /* it was not there yet */
    o->quit = !keep;
    soon(o);
}

void lmi_out_tidy(lmi_runner *r, unsigned all)
{
    lmail_msec when = lmail_loop_now(r->loop);
    for (lmi_out *o = r->outs; o; o = o->next)
        if (o->idle_until && !o->sending && (all || o->idle_until <= when)) {
            o->idle_until = 0;
            o->quit = 1;
            soon(o);
        }
}
