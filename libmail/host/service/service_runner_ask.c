/* service_runner_ask.c - what the delivery machine asks of us: the MX hosts of a name, the addresses
 * of a host, a connection, a transaction. Each question is a sending's; one is out at a time. */
#include "host/service/service_runner.h"

#include <string.h>

static lmail_dns *dns_of(const lmi_sending *s)
{
    return s->turn->runner->service->loops[0].dns;
}

static lmail_msec now(const lmi_sending *s)
{
    return lmail_loop_now(s->turn->runner->loop);
}

/* ---- Names ----------------------------------------------------------------------------------- */

/* A name in other scripts as the DNS has it (RFC 5890). */
static lmail_str dns_name(const lmi_sending *s, lmail_str name, char *room, size_t cap)
{
    const lmail_env *env = &s->turn->runner->service->env;
    size_t n = 0;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] > 127 && env->idna &&
            env->idna(env->ctx, name, room, cap, &n) == LMAIL_OK)
            return (lmail_str){room, n};
    return name;
}

static lmail_delivery_lookup lookup_of(lmail_dns_result result)
{
    return result == LMAIL_DNS_FOUND  ? LMAIL_DELIVERY_FOUND
           : result == LMAIL_DNS_NONE ? LMAIL_DELIVERY_NONE
                                      : LMAIL_DELIVERY_TEMP;
}

static void mx_found(void *user, lmail_ticket ticket, const lmail_dns_mx *found)
{
    lmi_sending *s = user;
    lmail_delivery_mx_host hosts[64];
    lmail_delivery_mx a = LMAIL_DELIVERY_MX_INIT;
    lmail_ticket t = s->ticket;
    (void)ticket;
    s->ticket = s->dns_ticket = 0;
    a.result = lookup_of(found->result);
    a.null_mx = found->null_mx;
    for (size_t i = 0; i < found->count && i < 64 && !found->implicit; i++)
        hosts[a.count++] =
            (lmail_delivery_mx_host){found->hosts[i].name, found->hosts[i].preference};
    a.hosts = hosts;
    (void)lmail_delivery_answer_mx(s->machine, t, &a, now(s));
}

static lmail_status on_mx(lmail_delivery *d, void *user, lmail_ticket t,
                          const lmail_delivery_name_event *ev, lmail_delivery_mx *answer)
{
    lmi_sending *s = user;
    char room[512];
    (void)d;
    answer->result = LMAIL_DELIVERY_TEMP;
    s->ticket = t;
    if (dns_of(s) && !lmail_dns_ask_mx(dns_of(s), dns_name(s, ev->name, room, sizeof room),
                                       mx_found, s, &s->dns_ticket))
        return LMAIL_PENDING;
    s->ticket = 0;
    return LMAIL_OK;
}

static void addresses_found(void *user, lmail_ticket ticket, const lmail_dns_addresses *found)
{
    lmi_sending *s = user;
    lmail_delivery_address list[64];
    lmail_delivery_addresses a = LMAIL_DELIVERY_ADDRESSES_INIT;
    lmail_ticket t = s->ticket;
    (void)ticket;
    s->ticket = s->dns_ticket = 0;
    a.result = lookup_of(found->result);
    for (size_t i = 0; i < found->count && i < 64; i++) {
        list[a.count].version = found->list[i].version;
        memcpy(list[a.count++].octets, found->list[i].octets, sizeof list[0].octets);
    }
    a.list = list;
    (void)lmail_delivery_answer_addresses(s->machine, t, &a, now(s));
}

static lmail_status on_addresses(lmail_delivery *d, void *user, lmail_ticket t,
                                 const lmail_delivery_name_event *ev,
                                 lmail_delivery_addresses *answer)
{
    lmi_sending *s = user;
    char room[512];
    (void)d;
    answer->result = LMAIL_DELIVERY_TEMP;
    s->ticket = t;
    if (dns_of(s) && !lmail_dns_ask_addresses(dns_of(s), dns_name(s, ev->name, room, sizeof room),
                                              addresses_found, s, &s->dns_ticket))
        return LMAIL_PENDING;
    s->ticket = 0;
    return LMAIL_OK;
}

/* ---- Connections ----------------------------------------------------------------------------- */

/* The address to come from: that where the message came in, or the configured one of the family. */
static lmail_str source_of(const lmi_sending *s, unsigned version)
{
    const lmail_settings *v = s->turn->ways->rules->settings;
    const lmail_queue_message *m = s->message;
    const lmail_str none = {NULL, 0};
    if (m->flags & LMAIL_QUEUE_SAME_ADDRESS && m->local_address.len &&
        (memchr(m->local_address.ptr, ':', m->local_address.len) != NULL) == (version == 6))
        return m->local_address;
    for (size_t i = 0; i < v->client.address.count; i++) {
        lmail_str one = v->client.address.items[i];
        if (one.len && (memchr(one.ptr, ':', one.len) != NULL) == (version == 6))
            return one;
    }
    return none;
}

static lmail_status on_reuse(lmail_delivery *d, void *user, lmail_ticket t,
                             const lmail_delivery_name_event *ev, lmail_delivery_connection *answer)
{
    lmi_sending *s = user;
    (void)d;
    (void)t;
    lmi_out *o = lmi_out_idle(s, ev->tls, source_of(s, 4));
    if (!o)
        o = lmi_out_idle(s, ev->tls, source_of(s, 6));
    if (!o)
        return LMAIL_OK;
    *answer = o->facts;
    o->idle_until = 0;
    o->sending = s;
    s->out = o;
    s->port = o->port;
    return LMAIL_OK;
}

static lmail_status on_connect(lmail_delivery *d, void *user, lmail_ticket t,
                               const lmail_delivery_connect_event *ev,
                               lmail_delivery_connection *answer)
{
    lmi_sending *s = user;
    (void)d;
    s->port = ev->port;
    lmail_status st = s->turn->runner->stopping
                          ? LMAIL_ERR_STATE
                          : lmi_out_connect(s, t, ev, source_of(s, ev->address.version));
    if (!st)
        return LMAIL_PENDING;
    answer->word.fault = LMAIL_DELIVERY_OURS;
    answer->word.phase = LMAIL_DELIVERY_AT_CONNECT;
    answer->word.text = lmail_str_from(lmail_status_text(st));
    return LMAIL_OK;
}

static lmail_status on_transaction(lmail_delivery *d, void *user, lmail_ticket t,
                                   const lmail_delivery_transaction_event *ev,
                                   lmail_delivery_transaction *answer)
{
    lmi_sending *s = user;
    lmi_out *o = lmi_out_find(s->turn->runner, ev->connection);
    (void)d;
    if (!o)
        return LMAIL_ERR_STATE;
    s->out = o;
    return lmi_out_submit(o, s, t, ev, answer);
}

static void on_cancel(lmail_delivery *d, void *user, lmail_ticket t)
{
    lmi_sending *s = user;
    (void)d;
    if (s->dns_ticket && s->ticket == t) {
        if (dns_of(s))
            (void)lmail_dns_cancel(dns_of(s), s->dns_ticket);
        s->dns_ticket = s->ticket = 0;
    } else if (s->out) {
        lmi_out_release(s->out, 0);
    }
}

static void on_release(lmail_delivery *d, void *user, uint64_t connection, unsigned keep)
{
    lmi_sending *s = user;
    lmi_out *o = lmi_out_find(s->turn->runner, connection);
    (void)d;
    if (o)
        lmi_out_release(o, keep);
}

/* ---- Results --------------------------------------------------------------------------------- */

static void on_result(lmail_delivery *d, void *user, const lmail_delivery_result *result)
{
    (void)d;
    lmi_sending_result(user, result->recipient, result);
}

static void on_end(lmail_delivery *d, void *user, const lmail_delivery_end_event *ev)
{
    lmi_sending *s = user;
    (void)d;
    s->health = ev->health;
    s->ended = 1;
    lmi_runner_later(s->turn->runner, &s->later);
}

const lmail_delivery_handler lmi_delivery_handler = {
    sizeof(lmail_delivery_handler),
    on_reuse,
    on_mx,
    on_addresses,
    on_connect,
    on_transaction,
    on_cancel,
    on_release,
    on_result,
    on_end,
};
