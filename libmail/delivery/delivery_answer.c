/* delivery_answer.c - what it means that there is a connection, or that there is none.
 *
 * Before a message goes over a connection its TLS is judged (TLS_Srv), and a server that calls
 * itself by a name of ours is a loop. */
#include "delivery/delivery_internal.h"

#include <string.h>

void lmi_credentials_drop(lmail_delivery *d)
{
    if (!d->credentials)
        return;
    lmi_wipe(d->credentials, sizeof *d->credentials);
    lmi_free(&d->setup->alloc, d->credentials, sizeof *d->credentials);
    d->credentials = NULL;
    d->wanted.credentials = NULL;
}

void lmi_release(lmail_delivery *d, unsigned keep)
{
    const lmail_delivery_handler *h = &d->setup->handler;
    uint64_t id = d->connection;
    d->connection = 0;
    if (!id || !h->on_release)
        return;
    d->in_callback++;
    h->on_release(d, d->user, id, keep);
    d->in_callback--;
}

void lmi_next_server(lmail_delivery *d)
{
    d->visit++;
    d->plain = d->again = 0;
    d->reused = 0;
    /* Behind a connection that was open before stands the whole list of hosts. */
    d->step = d->host ? LMI_STEP_CONNECT : LMI_STEP_HOST;
    if (d->host)
        d->address_at++;
}

int lmi_is_busy(const lmail_delivery_word *w)
{
    if (w->fault != LMAIL_DELIVERY_REPLY)
        return 0;
    return w->code == 421 || (w->code / 100 == 4 && (w->phase == LMAIL_DELIVERY_AT_GREETING ||
                                                     w->phase == LMAIL_DELIVERY_AT_EHLO));
}

int lmi_denied(const lmail_delivery *d, lmi_policy_fn *ask, lmail_str recipient,
               lmail_policy_verdict *v, lmail_delivery_word *word)
{
    lmail_policy_question q = LMAIL_POLICY_QUESTION_INIT;
    const lmail_policy *policy = d->setup->config.policy;
    if (!policy)
        return 0;
    q.peer = &d->peer;
    q.recipient = recipient;
    if (ask(policy, &q, v) || v->kind != LMAIL_POLICY_DENY)
        return 0;
    *word = (lmail_delivery_word){LMAIL_DELIVERY_NO_TLS, LMAIL_DELIVERY_AT_TLS, v->code,
                                  v->enhanced, v->text};
    return 1;
}

/* What the connection's certificate says, for TLS_Srv and TLS_Rcpt. */
static lmail_status take_facts(lmail_delivery *d, const lmail_delivery_connection *a)
{
    lmi_arena *room = &d->peer_room;
    d->peer.certificate = a->certificate;
    d->peer.cipher_bits = a->cipher_bits;
    const size_t most = 4096; /* no name that an entry could match is longer */
    if (lmi_arena_copy(room, lmi_str_sub(a->certificate_name, 0, most),
                       &d->peer.certificate_name) ||
        lmi_arena_copy(room, lmi_str_sub(a->certificate_subject, 0, most),
                       &d->peer.certificate_subject) ||
        lmi_arena_copy(room, lmi_str_sub(a->certificate_issuer, 0, most),
                       &d->peer.certificate_issuer))
        return LMAIL_ERR_NOMEM;
    return LMAIL_OK;
}

static lmail_status begin(lmail_delivery *d, const lmail_delivery_connection *a)
{
    lmail_policy_verdict v;
    lmail_delivery_word w;
    d->connection = a->id;
    d->chunk = d->setup->config.max_recipients;
    if (a->max_recipients && a->max_recipients < d->chunk)
        d->chunk = a->max_recipients;
    if (take_facts(d, a))
        return LMAIL_ERR_NOMEM;
    d->step = LMI_STEP_TRANSACTION;
    if (!lmi_denied(d, lmail_policy_tls_server, (lmail_str){NULL, 0}, &v, &w))
        return LMAIL_OK;
    lmail_status st = lmi_delivery_keep_all(d, &w, w.code >= 500);
    lmi_release(d, 0);
    lmi_next_server(d);
    return st;
}

lmail_status lmi_on_reuse_answer(lmail_delivery *d, const lmail_delivery_connection *a)
{
    d->step = LMI_STEP_HOST;
    if (!a->id || a->word.fault)
        return LMAIL_OK;
    d->reused = 1;
    size_t len = a->host.len < sizeof d->server_room ? a->host.len : sizeof d->server_room;
    if (len)
        memcpy(d->server_room, a->host.ptr, len);
    d->server = (lmail_str){d->server_room, len};
    if (a->address.version)
        d->address = (lmail_str){d->address_text, lmi_address_show(&a->address, d->address_text)};
    lmail_policy_peer_init(&d->peer);
    d->peer.name = d->server;
    d->peer.name_state = len ? LMAIL_POLICY_NAME_VERIFIED : LMAIL_POLICY_NAME_NONE;
    d->peer.address = d->address;
    d->met = 1;
    return begin(d, a);
}

/* Nobody is there to talk to: the address is left alone for a while. */
static int is_dead(const lmail_delivery_word *w)
{
    return w->phase <= LMAIL_DELIVERY_AT_GREETING &&
           (w->fault == LMAIL_DELIVERY_REFUSED || w->fault == LMAIL_DELIVERY_UNREACHABLE ||
            w->fault == LMAIL_DELIVERY_TIMEOUT || w->fault == LMAIL_DELIVERY_LOST);
}

static lmail_status no_connection(lmail_delivery *d, const lmail_delivery_word *w,
                                  const lmail_delivery_address *to)
{
    int permanent = w->code >= 500;
    unsigned hard = w->fault == LMAIL_DELIVERY_UNSUPPORTED && permanent;
    if (w->fault == LMAIL_DELIVERY_REPLY && permanent)
        hard = w->phase == LMAIL_DELIVERY_AT_EHLO ||
               (w->phase == LMAIL_DELIVERY_AT_GREETING && w->code == 521);
    if (d->job.status && to->version && is_dead(w))
        lmail_delivery_status_tell(d->job.status, to, lmi_host_port(d), 0, d->now);
    if (lmi_is_busy(w))
        d->busy = 1;
    lmail_status st = lmi_delivery_keep_all(d, w, hard);
    lmi_next_server(d);
    return st;
}

lmail_status lmi_on_connect_answer(lmail_delivery *d, const lmail_delivery_connection *a)
{
    const lmail_delivery_address *to = &d->addresses[d->address_at];
    unsigned in_clear = !d->wanted.credentials;
    lmail_delivery_word w = a->word;
    lmi_credentials_drop(d);
    if (!w.fault && !a->id)
        w = lmi_word(LMAIL_DELIVERY_OURS, LMAIL_DELIVERY_AT_CONNECT, 0, "", "");
    /* RFC 7435 §3: encrypted where it can be, in clear where it may. */
    if (w.fault == LMAIL_DELIVERY_NO_TLS && d->wanted.tls == LMAIL_DELIVERY_TLS_MAY && in_clear) {
        d->plain = 1;
        return LMAIL_OK;
    }
    if (w.fault)
        return no_connection(d, &w, to);
    if (d->job.status && to->version)
        lmail_delivery_status_tell(d->job.status, to, lmi_host_port(d), 1, d->now);
    if (!d->again)
        d->sessions++;
    d->again = 0;
    if (d->job.mailer != LMAIL_DELIVERY_LMTP && lmi_is_own_name(d, a->server_name)) {
        d->connection = a->id;
        lmi_release(d, 0);
        d->plain = 0;
        return lmi_hosts_own(d);
    }
    return begin(d, a);
}
