/* host_caller.c - see host_caller.h. */
#include "host_caller.h"

#include "base/base_internal.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct calling {
    lmail_session base;
    caller *c;
    lmi_line line;
} calling;

static void keep(char *out, size_t cap, lmail_str text)
{
    snprintf(out, cap, "%.*s", (int)text.len, text.ptr ? text.ptr : "");
}

static lmail_status flood(lmail_session *s)
{
    static const char piece[16384];
    lmail_status st = LMAIL_OK;
    while (!st && s->out.size < 65536)
        st = lmi_out_write(s, piece, sizeof(piece));
    lmi_want_room(s);
    return st;
}

static lmail_status step(calling *k)
{
    caller *c = k->c;
    if (c->at >= sizeof(c->says) / sizeof(*c->says) || !c->says[c->at])
        return LMAIL_OK;
    const char *next = c->says[c->at++];
    if (!strcmp(next, "!close"))
        lmi_close(&k->base);
    else if (!strcmp(next, "!tls"))
        lmi_want_tls(&k->base);
    else if (!strcmp(next, "!flood"))
        return flood(&k->base);
    else if (strcmp(next, "!wait") != 0) {
        lmail_status st = lmi_out_str(&k->base, lmail_str_from(next));
        return st ? st : lmi_out_str(&k->base, LMAIL_STR("\r\n"));
    }
    return LMAIL_OK;
}

static lmail_status input(lmail_session *s, lmail_str in, size_t *used)
{
    calling *k = (calling *)s;
    lmail_str line;
    size_t had = strlen(k->c->heard);
    switch (lmi_line_read(&k->line, &s->alloc, in, 1024, used, &line)) {
    case LMI_LINE_READY:
        snprintf(k->c->heard + had, sizeof(k->c->heard) - had, "%.*s\n", (int)line.len, line.ptr);
        return step(k);
    case LMI_LINE_MORE:
        return LMAIL_OK;
    default:
        return LMAIL_ERR_NOMEM;
    }
}

static void keep_facts(caller *c, const lmail_tls_facts *f)
{
    keep(c->version, sizeof(c->version), f->version);
    keep(c->peer_name, sizeof(c->peer_name), f->peer_name);
    c->verified = f->peer_verified;
    c->rejected = f->peer_rejected;
}

/* Implicit TLS comes before it. */
static lmail_status start(lmail_session *s)
{
    if (s->tls_active)
        keep_facts(((calling *)s)->c, &s->tls);
    return LMAIL_OK;
}

static lmail_status tls_done(lmail_session *s)
{
    keep_facts(((calling *)s)->c, &s->tls);
    return step((calling *)s);
}

static lmail_status stop(lmail_session *s)
{
    lmail_status st = lmi_out_str(s, LMAIL_STR("quit\r\n"));
    lmi_close(s);
    return st;
}

static void destroy(lmail_session *s)
{
    lmi_line_done(&((calling *)s)->line, &s->alloc);
    lmi_session_done(s);
    free(s);
}

static const lmi_class calling_class = {.name = "calling",
                                        .start = start,
                                        .input = input,
                                        .room = flood,
                                        .tls_done = tls_done,
                                        .stop = stop,
                                        .destroy = destroy};

static lmail_session *on_open(void *user, lmail_conn *conn, const lmail_conn_facts *facts,
                              lmail_msec now)
{
    caller *c = user;
    calling *k = calloc(1, sizeof(*k));
    ck_assert_ptr_eq(conn, c->conn);
    keep(c->local, sizeof(c->local), facts->local_address);
    keep(c->peer, sizeof(c->peer), facts->peer_address);
    lmi_session_init(&k->base, &calling_class, NULL, c, now);
    k->c = c;
    atomic_fetch_add(&c->connected, 1);
    return &k->base;
}

static void on_closed(void *user, lmail_conn *conn, lmail_session *session,
                      lmail_close_reason reason)
{
    caller *c = user;
    c->reason = reason;
    c->had_session = session != NULL;
    snprintf(c->fault, sizeof(c->fault), "%s", lmail_conn_fault(conn));
    lmail_tls_peer_init(&c->tls);
    c->peer_status = lmail_conn_tls_peer(conn, &c->tls);
    keep(c->subject, sizeof(c->subject), c->tls.subject);
    atomic_fetch_add(&c->closed, 1);
}

void caller_init(caller *c, server *sv, const char *address, unsigned port)
{
    memset(c, 0, sizeof(*c));
    lmail_connect_config_init(&c->config);
    snprintf(c->address, sizeof(c->address), "%s", address);
    c->config.port = port;
    c->config.on_open = on_open;
    c->config.on_closed = on_closed;
    c->config.user = c;
    c->config.linger_timeout = 500;
    c->net = sv->net;
}

static void call(void *arg)
{
    caller *c = arg;
    char error[256] = "";
    c->config.address = lmail_str_from(c->address);
    c->config.source = lmail_str_from(c->source);
    c->status =
        lmail_conn_connect(&c->conn, lmail_net_loop(c->net, 0), &c->config, error, sizeof(error));
    if (c->status) {
        snprintf(c->fault, sizeof(c->fault), "%s", error);
        atomic_fetch_add(&c->closed, 1);
    }
}

void caller_call(caller *c)
{
    ck_assert_int_eq(lmail_loop_post(lmail_net_loop(c->net, 0), call, c), LMAIL_OK);
}

static void cancel(void *arg)
{
    lmail_conn_close(((caller *)arg)->conn);
}

void caller_close(caller *c)
{
    ck_assert_int_eq(lmail_loop_post(lmail_net_loop(c->net, 0), cancel, c), LMAIL_OK);
}

void caller_await(caller *c)
{
    await(&c->closed, 1);
}
