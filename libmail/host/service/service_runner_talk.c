/* service_runner_talk.c - the SMTP or LMTP session on a connection that we made: what it says, and what
 * the delivery machine hears of it.
 *
 * The session's callbacks write down what they hear; the delivery machine is told from the loop,
 * since what it does then may touch this session again. */
#include "host/service/service_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

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
    o->domain_max = can.rcpt_domain_max;
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
    (void)lmail_delivery_answer_connect(s->machine, t, &a, lmi_out_now(o));
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
    a.ready = !o->ended && !o->closed && !o->limited && lmail_smtp_client_mails_left(o->client) > 0;
    if (!o->closed) {
        lmail_smtp_client_capabilities(o->client, &can);
        a.dsn = (can.can & LMAIL_SMTP_CAN_DSN) != 0;
    }
    (void)lmail_delivery_answer_transaction(s->machine, t, &a, lmi_out_now(o));
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
    char sender[LMAIL_POLICY_MAX_ADDRESS + 256];
    o->submit = 0;
    o->accepted_any = 0;
    if (o->no_copy && !st)
        st = LMAIL_ERR_FULL;
    memset(&o->word, 0, sizeof o->word);
    for (size_t i = 0; i < o->count && to; i++) {
        const lmail_queue_recipient *r = s->rows[o->recipients[i]];
        to[i].to = r->address;
        to[i].notify = r->notify;
        split_orcpt(&to[i], r);
    }
    mail.from = lmi_out_sender(o, sender, sizeof sender);
    mail.recipients = to;
    mail.recipient_count = (uint32_t)o->count;
    mail.octets = o->copy                 ? lmi_copy_octets(o->copy)
                  : m->octets > m->header ? m->octets - m->header
                                          : 0;
    mail.body = o->seven ? LMAIL_SMTP_BODY_NONE : (lmail_smtp_body_type)m->body;
    mail.smtputf8 = (m->flags & LMAIL_QUEUE_SMTPUTF8) != 0;
    mail.ret = (lmail_smtp_ret)m->ret;
    mail.has_envid = m->has_envid;
    mail.envid = m->envid;
    mail.has_auth = m->has_auth;
    mail.auth = m->auth;
    if (!st)
        st = o->ended || o->closed
                 ? LMAIL_ERR_CLOSED
                 : lmail_smtp_client_submit_mail(o->client, &mail, &o->mail, lmi_out_now(o));
    free(to);
    if (!st) {
        lmail_conn_wake(o->conn);
        return;
    }
    o->word.fault = st == LMAIL_ERR_CLOSED ? LMAIL_DELIVERY_LOST : LMAIL_DELIVERY_OURS;
    o->word.phase = LMAIL_DELIVERY_AT_MAIL;
    o->mail_ended = 1;
}

void lmi_out_step(void *arg)
{
    lmi_out *o = arg;
    if (o->redial)
        lmi_out_redial(o);
    if (o->sending && o->ticket && !o->submit && !o->count && (o->ready || o->ended || o->closed))
        answer_connect(o);
    if (o->sending && o->submit && lmi_out_prepare(o))
        submit(o);
    if (o->sending && o->ticket && o->count && o->mail_ended)
        answer_transaction(o);
    if (o->quit && !o->closed && o->client) {
        o->quit = 0;
        (void)lmail_smtp_client_stop(o->client, lmi_out_now(o));
        lmail_conn_wake(o->conn);
    }
    if (o->closed && !o->sending && !o->pieces && !o->auth_job && !o->copying)
        lmi_out_free(o);
}

void lmi_out_soon(lmi_out *o)
{
    lmi_runner_later(o->runner, &o->later);
}

/* ---- What the session says ------------------------------------------------------------------- */

static void on_ready(lmail_smtp_client *c, void *user, const lmail_smtp_capabilities *can)
{
    lmi_out *o = user;
    (void)c;
    (void)can;
    o->ready = 1;
    lmi_out_soon(o);
}

static void tell(lmi_out *o, uint32_t recipient, const lmail_delivery_word *w)
{
    (void)lmail_delivery_told(o->sending->machine, o->ticket, o->recipients[recipient], w,
                              lmi_out_now(o));
}

static void on_recipient(lmail_smtp_client *c, void *user, const lmail_smtp_recipient_event *ev)
{
    lmi_out *o = user;
    (void)c;
    if (!o->sending || !o->ticket || ev->recipient >= o->count)
        return;
    if (ev->cause == LMAIL_SMTP_CAUSE_LIMIT) { /* of domains: those of a session, RFC 9422 */
        o->limited = o->over[ev->recipient] = 1;
        return;
    }
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
    const lmail_delivery_word later = {LMAIL_DELIVERY_REPLY, LMAIL_DELIVERY_AT_RCPT, 452,
                                       LMAIL_STR("4.5.3"),
                                       LMAIL_STR("over a limit that the server announces")};
    lmi_out *o = user;
    (void)c;
    (void)ev;
    o->mail_ended = 1;
    /* Behind those that went, so that they are known to go by themselves. */
    for (size_t i = 0; i < o->count && o->sending && o->ticket; i++)
        if (o->over[i])
            tell(o, (uint32_t)i, &later);
    /* The server's yes to the data, or there was nobody to send it to. */
    if (o->word.fault == LMAIL_DELIVERY_REPLY && o->word.phase == LMAIL_DELIVERY_AT_END &&
        (o->word.code / 100 == 2 || (o->sending && o->sending->lmtp)))
        o->word.fault = LMAIL_DELIVERY_FINE;
    lmi_out_soon(o);
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
        lmi_out_soon(o);
}

const lmail_smtp_client_handler lmi_client_handler = {
    sizeof(lmail_smtp_client_handler),
    on_ready,
    lmi_out_auth,
    NULL,
    lmi_out_octets,
    lmi_out_released,
    on_recipient,
    on_mail_end,
    on_end,
    NULL,
    NULL,
};
