/* service_milter_conn.c - one connection to one mail filter: its address, the session over it, what is
 * heard, and its end. */
#include "host/service/service_dns.h"
#include "host/service/service_metrics.h"
#include "host/service/service_milter.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

void lmi_filter_fail(lmi_filter *x, const char *why)
{
    lmi_filters *f = x->set;
    lmail_log_line l;
    x->state = LMI_FILTER_FAILED;
    x->waits = 0;
    if (f->peer) {
        static const char *const actions[] = {"accept", "reject", "tempfail", "shutdown"};
        lmi_peer_log(&f->peer->base, &l, LMAIL_LOG_ERR, "filter_failed");
        lmail_log_text(&l, "filter", x->milter->settings->name);
        lmail_log_text(&l, "socket", x->milter->settings->socket);
        if (f->stage)
            lmail_log_text(&l, "stage", lmail_str_from(lmail_milter_ask_name(f->stage)));
        lmail_log_text(&l, "reason", lmail_str_from(why));
        lmail_log_text(&l, "action", lmail_str_from(actions[x->milter->settings->on_failure & 3]));
        lmail_log_end(&l);
    }
    lmi_filters_soon(f);
}

/* ---- The session ----------------------------------------------------------------------------- */

static void on_ready(lmail_milter_client *s, void *user, const lmail_milter_ready_event *ev)
{
    lmi_filter *x = user;
    (void)s;
    (void)ev;
    x->state = LMI_FILTER_OPEN;
    lmi_filters_soon(x->set);
}

static void keep_reply(lmi_filter *x, const lmail_milter_verdict_event *ev)
{
    size_t n = 0;
    lmi_reply_keep(&x->reply, ev->code, ev->enhanced, (lmail_str){NULL, 0});
    for (size_t i = 0; i < ev->line_count && n + 1 < sizeof x->reply.text; i++)
        n += (size_t)snprintf(x->reply.text + n, sizeof x->reply.text - n, i ? "\n%.*s" : "%.*s",
                              TEXT(ev->lines[i]));
}

static void on_verdict(lmail_milter_client *s, void *user, const lmail_milter_verdict_event *ev)
{
    lmi_filter *x = user;
    (void)s;
    if (ev->says == LMAIL_MILTER_SAYS_FAILED)
        return; /* on_end follows */
    x->says = ev->says;
    x->heard = 1;
    x->waits = 0;
    if (ev->says == LMAIL_MILTER_SAYS_REPLY)
        keep_reply(x, ev);
    lmi_filters_soon(x->set);
}

static void on_end(lmail_milter_client *s, void *user, const lmail_milter_end_event *ev)
{
    lmi_filter *x = user;
    (void)s;
    x->ended = 1;
    x->in_message = x->waits = 0;
    if (x->leaving || x->state == LMI_FILTER_DONE || x->state == LMI_FILTER_FAILED)
        return;
    x->stopped = ev->cause == LMAIL_MILTER_CAUSE_STOPPED;
    if (x->state == LMI_FILTER_OPEN || ev->cause != LMAIL_MILTER_CAUSE_LOST) {
        snprintf(x->fault, sizeof x->fault, "%.*s", TEXT(ev->text));
        lmi_filter_fail(x, x->fault);
    } else {
        snprintf(x->fault, sizeof x->fault, "it closed the connection before it was asked");
        lmi_filters_soon(x->set);
    }
}

const lmail_milter_client_handler lmi_filter_handler = {
    sizeof(lmail_milter_client_handler),
    on_ready,
    on_verdict,
    lmi_filter_changed,
    lmi_filter_macro,
    on_end,
    NULL,
    NULL,
};

lmail_status lmi_filter_ask(lmi_filter *x, const lmail_milter_ask *ask)
{
    x->heard = 0;
    x->waits = 1;
    x->asked_at = lmail_loop_now(x->set->loop);
    lmail_status st = lmail_milter_client_submit(x->client, ask, x->asked_at);
    lmail_conn_wake(x->conn);
    if (st && x->state == LMI_FILTER_OPEN)
        lmi_filter_fail(x, lmail_status_text(st));
    return x->heard || x->state == LMI_FILTER_FAILED ? LMAIL_OK : LMAIL_PENDING;
}

void lmi_filter_close(lmi_filter *x)
{
    if (!x->conn || x->leaving)
        return;
    x->leaving = 1;
    if (x->client && !x->ended) {
        (void)lmail_milter_client_stop(x->client, lmail_loop_now(x->set->loop));
        lmail_conn_wake(x->conn);
    } else {
        lmail_conn_close(x->conn);
    }
}

/* ---- The connection -------------------------------------------------------------------------- */

static lmail_session *on_open(void *user, lmail_conn *conn, const lmail_conn_facts *facts,
                              lmail_msec now)
{
    lmi_filter *x = user;
    (void)conn;
    (void)facts;
    if (!x->set->peer || lmail_milter_client_new(&x->client, x->milter->setup, x, now))
        return NULL;
    return lmail_milter_client_session(x->client);
}

static void on_closed(void *user, lmail_conn *conn, lmail_session *session,
                      lmail_close_reason reason)
{
    lmi_filter *x = user;
    const char *fault = lmail_conn_fault(conn);
    (void)session;
    x->conn = NULL;
    x->client = NULL; /* freed by the connection */
    if (x->state == LMI_FILTER_COMING && !x->fault[0])
        snprintf(x->fault, sizeof x->fault, "%s",
                 fault[0] ? fault : lmail_close_reason_name(reason));
    lmi_filters_let_go(x->set);
}

static lmail_status connect_to(lmi_filter *x, lmail_str address, unsigned port)
{
    lmail_connect_config c = LMAIL_CONNECT_CONFIG_INIT;
    char why[sizeof x->fault] = "";
    c.address = address;
    c.port = port;
    c.connect_timeout = x->milter->settings->connect_timeout;
    c.on_open = on_open;
    c.on_closed = on_closed;
    c.user = x;
    x->ended = x->leaving = 0;
    lmail_status st = lmail_conn_connect(&x->conn, x->set->loop, &c, why, sizeof why);
    if (st)
        snprintf(x->fault, sizeof x->fault, "%s", why);
    else
        x->set->open++;
    return st;
}

void lmi_filter_connect_next(lmi_filter *x)
{
    while (x->address_next < x->address_count) {
        const char *address = x->addresses[x->address_next++];
        x->fault[0] = '\0';
        if (!connect_to(x, lmail_str_from(address), x->milter->socket.port))
            return;
    }
    lmi_filter_fail(x, x->fault[0] ? x->fault : "it cannot be reached");
}

static void add_address(lmi_filter *x, const lmail_dns_address *a)
{
    if (x->address_count < sizeof x->addresses / sizeof x->addresses[0] &&
        (a->version == 6) == (x->milter->socket.inet6 != 0) &&
        inet_ntop(a->version == 6 ? AF_INET6 : AF_INET, a->octets, x->addresses[x->address_count],
                  sizeof x->addresses[0]))
        x->address_count++;
}

static void addresses_found(void *user, lmail_ticket ticket, const lmail_dns_addresses *found)
{
    lmi_filter *x = user;
    (void)ticket;
    x->dns_ticket = 0;
    for (size_t i = 0; i < found->count; i++)
        add_address(x, &found->list[i]);
    if (!x->address_count)
        snprintf(x->fault, sizeof x->fault, "its host name leads to no address");
    lmi_filters_let_go(x->set);
}

static void look_up(lmi_filter *x, lmail_str host)
{
    x->dns = x->set->peer ? lmi_dns_of(&x->set->peer->base) : NULL;
    if (x->dns && !lmail_dns_ask_addresses(x->dns, host, addresses_found, x, &x->dns_ticket)) {
        x->set->open++;
        return;
    }
    x->dns_ticket = 0;
    lmi_filter_fail(x, "its host name cannot be looked up");
}

void lmi_filter_connect(lmi_filter *x)
{
    const lmail_milter_socket *s = &x->milter->socket;
    char text[300];
    unsigned char octets[16];
    x->address_count = x->address_next = 0;
    x->fault[0] = '\0';
    if (s->path.len) {
        snprintf(text, sizeof text, "unix:%.*s", TEXT(s->path));
        if (connect_to(x, lmail_str_from(text), 0))
            lmi_filter_fail(x, x->fault);
        return;
    }
    snprintf(text, sizeof text, "%.*s",
             TEXT(s->host.len ? s->host
                  : s->inet6  ? LMAIL_STR("::1")
                              : LMAIL_STR("127.0.0.1")));
    if (inet_pton(s->inet6 ? AF_INET6 : AF_INET, text, octets) == 1) {
        snprintf(x->addresses[x->address_count++], sizeof x->addresses[0], "%.47s", text);
        lmi_filter_connect_next(x);
        return;
    }
    look_up(x, s->host);
}
