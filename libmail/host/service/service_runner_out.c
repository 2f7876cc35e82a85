/* service_runner_out.c - a connection that we made. It is made for one sending, and may serve the next
 * ones to the same destination. */
#include "host/service/service_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

lmail_msec lmi_out_now(const lmi_out *o)
{
    return lmail_loop_now(o->runner->loop);
}

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
    target.helo_name = lmail_str_from(o->helo);
    lmail_status st = lmail_smtp_client_new(&o->client, o->ways->client, &target, o, when);
    if (st == LMAIL_ERR_ARG) { /* what the DNS says need not be a name */
        target.helo_name = (lmail_str){NULL, 0};
        st = lmail_smtp_client_new(&o->client, o->ways->client, &target, o, when);
    }
    if (st)
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
    o->conn = NULL;
    o->client = NULL; /* freed by the connection */
    o->redial = reason == LMAIL_CLOSE_TLS && !o->is_old && o->ways->old_tls && o->sending &&
                o->ticket && !o->count && !o->ready;
    if (o->redial)
        o->is_old = 1;
    o->closed = !o->redial;
    o->ended = o->ended && !o->redial;
    lmi_out_soon(o);
}

/* EHLO with the name of the address that we come from? */
static int is_named(const lmi_sending *s)
{
    return s->turn->ways->rules->settings->client.interface_name != 0 ||
           (s->message->flags & LMAIL_QUEUE_INTERFACE_NAME) != 0;
}

static void set_address(lmi_out *o, const lmail_delivery_connect_event *ev)
{
    o->facts.address = ev->address;
    if (ev->path.len)
        snprintf(o->address, sizeof o->address, "%.*s", TEXT(ev->path));
    else
        snprintf(o->address, sizeof o->address, "%.*s", TEXT(ev->address_text));
}

static lmail_status dial(lmi_out *o, char *why, size_t cap)
{
    const lmail_settings *v = o->ways->rules->settings;
    lmail_connect_config c = LMAIL_CONNECT_CONFIG_INIT;
    int path = o->address[0] == '/';
    lmail_msec when = lmi_out_now(o);
    char address[300];
    snprintf(address, sizeof address, "%s%s", path ? "unix:" : "", o->address);
    c.address = lmail_str_from(address);
    c.port = o->port;
    c.source = path ? (lmail_str){NULL, 0} : lmail_str_from(o->source);
    c.tls = o->is_old ? o->ways->old_tls : o->ways->tls;
    c.tls_name = lmail_str_from(o->host);
    c.tls_verify = o->tls == LMAIL_DELIVERY_TLS_VERIFY;
    c.connect_timeout = o->is_first && v->client.first_connect_timeout
                            ? v->client.first_connect_timeout
                            : v->client.connect_timeout;
    if (o->give_up != LMAIL_NEVER) {
        lmail_msec left = o->give_up > when ? o->give_up - when : 1;
        if (left < (c.connect_timeout ? c.connect_timeout : 30000))
            c.connect_timeout = left;
    }
    c.handshake_timeout = v->client.starttls_timeout;
    c.on_open = on_open;
    c.on_closed = on_closed;
    c.user = o;
    return lmail_conn_connect(&o->conn, o->runner->loop, &c, why, cap);
}

/* Perhaps nobody waits for it any more. */
void lmi_out_redial(lmi_out *o)
{
    char why[200];
    o->redial = 0;
    if (o->sending && !o->runner->stopping && !dial(o, why, sizeof why))
        return;
    o->word.fault = o->is_old ? LMAIL_DELIVERY_NO_TLS : LMAIL_DELIVERY_OURS;
    o->word.phase = o->is_old ? LMAIL_DELIVERY_AT_TLS : LMAIL_DELIVERY_AT_CONNECT;
    o->closed = 1;
}

static int is_first(const lmi_sending *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->rows[i]->attempts)
            return 0;
    return 1;
}

lmail_status lmi_out_connect(lmi_sending *s, lmail_ticket t, const lmail_delivery_connect_event *ev,
                             lmail_str source)
{
    lmi_runner *r = s->turn->runner;
    char why[200] = "";
    lmi_out *o = calloc(1, sizeof *o);
    if (!o)
        return LMAIL_ERR_NOMEM;
    o->runner = r;
    o->ways = lmi_ways_hold(s->turn->ways);
    o->id = ++r->last_out;
    o->later = (lmi_later){NULL, lmi_out_step, o, 0};
    o->mailer = ev->mailer;
    o->tls = ev->tls;
    o->port = ev->port;
    o->credentials = ev->credentials;
    o->give_up = ev->time_left == LMAIL_NEVER ? LMAIL_NEVER : lmi_out_now(o) + ev->time_left;
    snprintf(o->destination, sizeof o->destination, "%s", s->turn->destination);
    snprintf(o->source, sizeof o->source, "%.*s", TEXT(source));
    snprintf(o->host, sizeof o->host, "%.*s", TEXT(ev->host));
    set_address(o, ev);
    o->is_first = is_first(s) ? 1u : 0u;
    o->named = is_named(s) ? 1u : 0u;
    lmail_status st = o->named && !ev->path.len ? lmi_out_name(o) : LMAIL_ERR_STATE;
    if (st)
        st = dial(o, why, sizeof why);
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
    lmi_copy_release(o->copy);
    lmi_ways_release(o->ways);
    free(o->recipients);
    free(o->over);
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
            (o->mailer == LMAIL_DELIVERY_LMTP) == (s->lmtp != 0) &&
            is_named(s) == (o->named != 0) &&
            !(o->domain_max && s->rows[0]->route.len)) /* RFC 9422: it may be full of domains */
            return o;
    return NULL;
}

lmail_status lmi_out_submit(lmi_out *o, lmi_sending *s, lmail_ticket t,
                            const lmail_delivery_transaction_event *ev,
                            lmail_delivery_transaction *answer)
{
    size_t *list = malloc(ev->count * sizeof *list);
    unsigned char *over = calloc(ev->count, 1);
    if (!list || !over || o->ended || o->closed) {
        answer->word.fault = list && over ? LMAIL_DELIVERY_LOST : LMAIL_DELIVERY_OURS;
        free(list);
        free(over);
        answer->word.phase = LMAIL_DELIVERY_AT_MAIL;
        return LMAIL_OK;
    }
    memcpy(list, ev->recipients, ev->count * sizeof *list);
    free(o->recipients);
    free(o->over);
    o->recipients = list;
    o->over = over;
    o->count = ev->count;
    o->sending = s;
    o->ticket = t;
    o->submit = 1;
    lmi_out_unprepare(o);
    o->mail_ended = 0;
    o->idle_until = 0;
    lmi_out_soon(o);
    return LMAIL_PENDING;
}

void lmi_out_release(lmi_out *o, unsigned keep)
{
    if (o->sending && o->sending->out == o)
        o->sending->out = NULL;
    o->sending = NULL;
    o->ticket = 0;
    o->submit = 0;
    lmi_out_forget_name(o);
    keep = keep && o->ready && !o->ended && !o->closed && !o->runner->stopping;
    o->idle_until = keep ? lmi_out_now(o) + LMI_IDLE : 0;
    if (!keep && !o->closed && !o->client && o->conn)
        lmail_conn_close(o->conn); /* it was not there yet */
    o->quit = !keep;
    lmi_out_soon(o);
}

void lmi_out_tidy(lmi_runner *r, unsigned all)
{
    lmail_msec when = lmail_loop_now(r->loop);
    for (lmi_out *o = r->outs; o; o = o->next)
        if (o->idle_until && !o->sending && (all || o->idle_until <= when)) {
            o->idle_until = 0;
            o->quit = 1;
            lmi_out_soon(o);
        }
}
