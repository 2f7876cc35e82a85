/* net_facts.c - who a connection is between: from its socket, from a trusted proxy's header, or as the
 * host says. */
#include "net_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

typedef union any_address {
    struct sockaddr sa;
    struct sockaddr_storage all;
} any_address;

static lmail_str put(char **at, const char *text, size_t len)
{
    lmail_str out = {*at, len};
    if (len)
        memcpy(*at, text, len);
    *at += len;
    return out;
}

/* The strings of the facts, in one block. */
static lmail_status keep(lmail_conn *c, const lmi_address *peer, const lmi_address *local,
                         lmail_str proxy, lmail_str server_name)
{
    char peer_text[LMI_ADDRESS_TEXT], local_text[LMI_ADDRESS_TEXT];
    size_t peer_len = lmi_address_write(peer, peer_text);
    size_t local_len = lmi_address_write(local, local_text);
    char *text = malloc(peer_len + local_len + proxy.len + server_name.len + 1);
    if (!text)
        return LMAIL_ERR_NOMEM;
    char *at = text;
    c->facts.peer_address = put(&at, peer_text, peer_len);
    c->facts.local_address = put(&at, local_text, local_len);
    c->facts.proxy_address = put(&at, proxy.ptr, proxy.len);
    c->facts.proxy_server_name = put(&at, server_name.ptr, server_name.len);
    c->facts.peer_port = peer->port;
    c->facts.local_port = local->port;
    free(c->text); /* only now: proxy may lie in it */
    c->text = text;
    return LMAIL_OK;
}

lmail_status lmi_conn_target(lmail_conn *c, const lmi_address *to)
{
    lmi_address none = {0};
    c->facts.unix_socket = c->is_unix;
    c->key = lmi_address_key(to);
    return keep(c, to, &none, (lmail_str){NULL, 0}, (lmail_str){NULL, 0});
}

lmail_status lmi_conn_addresses(lmail_conn *c)
{
    any_address peer = {0}, local = {0};
    socklen_t len = sizeof(peer);
    lmi_address from = {0}, to = {0};
    if (!getpeername(c->fd, &peer.sa, &len))
        lmi_address_from(&from, &peer.sa);
    len = sizeof(local);
    if (!getsockname(c->fd, &local.sa, &len))
        lmi_address_from(&to, &local.sa);
    if (c->is_unix) {
        struct ucred who;
        len = sizeof(who);
        c->facts.unix_socket = 1;
        if (!getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &who, &len)) {
            c->facts.peer_pid = (unsigned)who.pid;
            c->facts.peer_uid = who.uid;
            c->facts.peer_gid = who.gid;
        }
    }
    return keep(c, &from, &to, (lmail_str){NULL, 0}, (lmail_str){NULL, 0});
}

lmail_status lmi_conn_proxied(lmail_conn *c, const lmi_proxy *proxy)
{
    c->facts.proxy_tls = (unsigned)proxy->tls;
    if (proxy->local)
        return LMAIL_OK; /* a health check of the proxy itself */
    c->key = lmi_address_key(&proxy->source);
    c->facts.unix_socket = 0;
    lmail_str by = c->is_unix ? LMAIL_STR("unix") : c->facts.peer_address;
    return keep(c, &proxy->source, &proxy->destination, by, proxy->server_name);
}

/* It counts among the connections of another address, or stays where it is. */
static lmail_status move(lmail_conn *c, uint64_t key)
{
    lmail_net *net = c->loop->net;
    if (key == c->key)
        return LMAIL_OK;
    lmail_status st = key ? lmi_net_take_key(net, key) : LMAIL_OK;
    if (st == LMAIL_ERR_BUSY)
        return st;
    if (c->counted)
        lmi_net_give_key(net, c->key);
    c->counted = key && st == LMAIL_OK;
    c->key = key;
    return LMAIL_OK;
}

lmail_status lmail_conn_set_addresses(lmail_conn *c, lmail_str peer, unsigned peer_port,
                                      lmail_str local, unsigned local_port)
{
    lmi_address from, to;
    char by[LMI_ADDRESS_TEXT + 8];
    lmail_str old = c->facts.proxy_address.len  ? c->facts.proxy_address
                    : c->facts.peer_address.len ? c->facts.peer_address
                                                : LMAIL_STR("unix");
    uint64_t key = c->key;
    if (old.len > sizeof by)
        return LMAIL_ERR_SYNTAX;
    memcpy(by, old.ptr, old.len);
    if (lmi_address_parse(peer.len ? peer : c->facts.peer_address, &from))
        from = (lmi_address){0};
    if (lmi_address_parse(local.len ? local : c->facts.local_address, &to))
        to = (lmi_address){0};
    if ((peer.len && !from.family) || (local.len && !to.family))
        return LMAIL_ERR_SYNTAX;
    lmi_address_unmap(&from);
    lmi_address_unmap(&to);
    from.port = peer_port || peer.len ? peer_port : c->facts.peer_port;
    to.port = local_port || local.len ? local_port : c->facts.local_port;
    lmail_status st = peer.len ? move(c, lmi_address_key(&from)) : LMAIL_OK;
    if (st)
        return st;
    st = keep(c, &from, &to, (lmail_str){by, old.len}, c->facts.proxy_server_name);
    if (st && peer.len)
        move(c, key); /* where that has no place left, it stays counted there */
    if (!st && peer.len)
        c->facts.unix_socket = 0;
    return st;
}

/* ---- The header's arrival -------------------------------------------------------------------- */

static void refuse(lmail_conn *c, lmail_close_reason reason)
{
    if (reason == LMAIL_CLOSE_ERROR)
        lmi_setup_refused(c->setup, c->loop, LMAIL_REFUSED_PROXY);
    lmi_conn_abort(c, reason);
}

static lmail_status count(lmail_conn *c)
{
    if (!c->key)
        return LMAIL_OK;
    lmail_status st = lmi_net_take_key(c->loop->net, c->key);
    c->counted = st == LMAIL_OK;
    if (st == LMAIL_ERR_BUSY)
        lmi_setup_refused(c->setup, c->loop, LMAIL_REFUSED_ADDRESS);
    if (st == LMAIL_ERR_BUSY && c->setup->refusal_len && !c->setup->implicit_tls) {
        uv_buf_t text = uv_buf_init(c->setup->refusal, (unsigned)c->setup->refusal_len);
        uv_try_write(&c->uv.stream, &text, 1);
    }
    return st;
}

/* Put b behind what has come of the header. */
static lmi_buf *gather(lmail_conn *c, lmi_buf *b)
{
    if (!c->cur)
        return b;
    size_t n = b->to - b->from;
    lmi_buf *all = c->cur;
    if (n > all->cap - all->to) /* a header is shorter than that */
        n = all->cap - all->to;
    memcpy(all->data + all->to, b->data + b->from, n);
    all->to += n;
    lmi_buf_put(&c->loop->bufs, b);
    return all;
}

void lmi_conn_proxy_input(lmail_conn *c, lmi_buf *b)
{
    lmi_proxy proxy;
    size_t used;
    c->cur = b = gather(c, b);
    lmail_status st =
        lmi_proxy_parse((lmail_str){b->data + b->from, b->to - b->from}, &proxy, &used);
    if (st == LMAIL_MORE)
        return;
    if (st) {
        refuse(c, LMAIL_CLOSE_ERROR);
        return;
    }
    if (lmi_conn_proxied(c, &proxy)) {
        refuse(c, LMAIL_CLOSE_MEMORY);
        return;
    }
    b->from += used;
    if (b->from == b->to) {
        lmi_buf_put(&c->loop->bufs, b);
        c->cur = NULL;
    }
    if (count(c))
        refuse(c, LMAIL_CLOSE_HOST);
    else
        lmi_conn_begin(c);
}
