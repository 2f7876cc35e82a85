/* net_connect.c - connections that we make: to an address and port or a unix socket, from an address
 * of ours.
 *
 * Called by whoever delivers mail, on the loop that shall drive the connection. Once it is made it
 * is one like all others (net_conn.c, net_pump.c); here ends what differs. No name is looked up. */
#include "net_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECT_TIMEOUT 30000u

/* Where to, and where from. */
typedef struct target {
    lmi_address to, from; /* from.family 0: the system chooses */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
} target;

void lmail_connect_config_init(lmail_connect_config *config)
{
    *config = (lmail_connect_config)LMAIL_CONNECT_CONFIG_INIT;
}

/* ---- Configuration --------------------------------------------------------------------------- */

static lmail_status read_target(const lmail_connect_config *config, target *t, char *error,
                                size_t cap)
{
    static const char unix_mark[] = "unix:";
    size_t mark = sizeof(unix_mark) - 1;
    lmail_str a = config->address;
    memset(t, 0, sizeof(*t));
    if (a.len > mark && !memcmp(a.ptr, unix_mark, mark)) {
        if (a.len - mark >= sizeof(t->path) || memchr(a.ptr, 0, a.len))
            return lmi_net_fail(LMAIL_ERR_ARG, error, cap, "the path of the socket is too long");
        memcpy(t->path, a.ptr + mark, a.len - mark);
        t->to.family = AF_UNIX;
        return LMAIL_OK;
    }
    if (lmi_address_parse(a, &t->to))
        return lmi_net_fail(LMAIL_ERR_ARG, error, cap,
                            "\"%.*s\" is no address (192.0.2.1, 2001:db8::1, unix:/path)",
                            (int)a.len, a.ptr);
    if (!config->port || config->port > 65535)
        return lmi_net_fail(LMAIL_ERR_ARG, error, cap, "%u is no port", config->port);
    t->to.port = config->port;
    if (config->source.len &&
        (lmi_address_parse(config->source, &t->from) || t->from.family != t->to.family))
        return lmi_net_fail(LMAIL_ERR_ARG, error, cap, "\"%.*s\" is no address to reach %.*s from",
                            (int)config->source.len, config->source.ptr, (int)a.len, a.ptr);
    return LMAIL_OK;
}

static lmi_setup *setup_of(const lmail_connect_config *config)
{
    lmi_setup *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->refs = 1;
    s->implicit_tls = config->implicit_tls != 0;
    s->tls_verify = config->tls_verify != 0;
    lmi_setup_times(s, config->handshake_timeout, config->write_timeout, config->min_rate,
                    config->linger_timeout, config->rest_after);
    s->on_open = config->on_open;
    s->on_closed = config->on_closed;
    s->user = config->user;
    if (config->tls_name.len &&
        !(s->tls_name = strndup(config->tls_name.ptr, config->tls_name.len))) {
        free(s);
        return NULL;
    }
    if (config->tls)
        s->tls = lmail_tls_hold(config->tls);
    return s;
}

static lmail_status check(const lmail_connect_config *config, char *error, size_t cap)
{
    if (config->size > sizeof(*config))
        return lmi_net_fail(LMAIL_ERR_SIZE, error, cap, "configuration of a newer library");
    if (!config->on_open)
        return lmi_net_fail(LMAIL_ERR_ARG, error, cap, "no on_open");
    if (config->tls ? !config->tls->client : config->implicit_tls != 0)
        return lmi_net_fail(LMAIL_ERR_ARG, error, cap, "TLS needs lmail_tls_new_client");
    if (config->tls_name.len > 255 ||
        (config->tls_name.len && memchr(config->tls_name.ptr, 0, config->tls_name.len)))
        return lmi_net_fail(LMAIL_ERR_ARG, error, cap, "tls_name is no host name");
    return LMAIL_OK;
}

/* ---- The socket ------------------------------------------------------------------------------ */

static void failed(lmail_conn *c, int why)
{
    c->error = why;
    switch (why) {
    case UV_ECONNREFUSED:
    case UV_ENOENT: /* of a unix socket */
    case UV_EAGAIN: /* its queue is full */
        lmi_conn_abort(c, LMAIL_CLOSE_REFUSED);
        break;
    case UV_ETIMEDOUT:
        lmi_conn_abort(c, LMAIL_CLOSE_NO_ANSWER);
        break;
    case UV_ENETUNREACH:
    case UV_EHOSTUNREACH:
    case UV_EADDRNOTAVAIL:
    case UV_EAFNOSUPPORT:
    case UV_ENETDOWN:
    case UV_EHOSTDOWN:
    case UV_EACCES:
    case UV_EPERM: /* a packet filter */
    case UV_EINVAL:
        lmi_conn_abort(c, LMAIL_CLOSE_UNREACHABLE);
        break;
    default:
        lmi_conn_abort(c, LMAIL_CLOSE_ERROR);
    }
}

static void connected(uv_connect_t *connect, int status)
{
    lmail_conn *c = connect->data;
    uv_os_fd_t fd;
    if (c->state != LMI_CONN_CONNECTING)
        return;
    if (!status)
        status = uv_fileno(&c->uv.handle, &fd);
    if (status) {
        failed(c, status);
        return;
    }
    c->fd = fd;
    c->active = uv_now(c->loop->uv);
    if (lmi_conn_addresses(c))
        lmi_conn_abort(c, LMAIL_CLOSE_MEMORY);
    else
        lmi_conn_begin(c);
}

static socklen_t sockaddr_of(const lmi_address *a, struct sockaddr_storage *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)a->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)a->port)};
    memset(out, 0, sizeof(*out));
    if (a->family == AF_INET) {
        memcpy(&v4.sin_addr, a->octets, 4);
        memcpy(out, &v4, sizeof(v4));
        return sizeof(v4);
    }
    memcpy(&v6.sin6_addr, a->octets, 16);
    memcpy(out, &v6, sizeof(v6));
    return sizeof(v6);
}

/* Only the address is chosen now; the port comes with connect(), so that one address may have as
 * many connections as there are ports for each peer (ip(7), IP_BIND_ADDRESS_NO_PORT). */
static int bind_source(int fd, const lmi_address *from)
{
    struct sockaddr_storage sa;
    int on = 1;
    if (!from->family)
        return 0;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    socklen_t len = sockaddr_of(from, &sa);
    return bind(fd, (struct sockaddr *)&sa, len) ? -errno : 0;
}

/* 0, or an error of libuv: the handle is made in any case. */
static int start(lmail_conn *c, const target *t)
{
    struct sockaddr_storage sa;
    if (c->is_unix) {
        int rc = uv_pipe_init(c->loop->uv, &c->uv.pipe, 0);
        if (!rc)
            uv_pipe_connect(&c->connect, &c->uv.pipe, t->path, connected);
        return rc;
    }
    uv_tcp_init(c->loop->uv, &c->uv.tcp);
    sockaddr_of(&t->to, &sa);
    int fd = c->fd;
    int rc = fd < 0 ? UV_EAFNOSUPPORT : bind_source(fd, &t->from);
    if (!rc)
        rc = uv_tcp_open(&c->uv.tcp, fd);
    if (rc) {
        if (fd >= 0)
            close(fd);
        return rc;
    }
    uv_tcp_nodelay(&c->uv.tcp, 1);
    uv_tcp_keepalive(&c->uv.tcp, 1, LMI_KEEPALIVE);
    return uv_tcp_connect(&c->connect, &c->uv.tcp, (struct sockaddr *)&sa, connected);
}

static void begin(lmail_conn *c, const target *t, lmail_msec timeout)
{
    c->connect.data = c; /* before anything can call back */
    lmi_conn_state_set(c, LMI_CONN_CONNECTING);
    int rc = start(c, t);
    c->uv.handle.data = c;
    c->connect.data = c;
    if (rc) {
        failed(c, rc);
        return;
    }
    c->phase_due = c->active + (timeout ? timeout : CONNECT_TIMEOUT);
    lmi_conn_arm(c);
}

/* ---- For the host ---------------------------------------------------------------------------- */

/* A descriptor is asked for here, where the caller can be told that there is none. */
static lmail_status take_descriptor(lmail_conn *c, const target *t)
{
    c->is_unix = t->to.family == AF_UNIX;
    if (c->is_unix)
        return LMAIL_OK;
    c->fd = socket(t->to.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return c->fd >= 0 || errno == EAFNOSUPPORT ? LMAIL_OK : LMAIL_ERR_IO;
}

lmail_status lmail_conn_connect(lmail_conn **out, lmail_loop *loop,
                                const lmail_connect_config *config, char *error, size_t cap)
{
    target t;
    lmail_status st = check(config, error, cap);
    if (!st)
        st = read_target(config, &t, error, cap);
    if (st)
        return st;
    if (!loop->net->started || loop->stopping)
        return lmi_net_fail(LMAIL_ERR_STATE, error, cap, "the net does not run");
    lmi_setup *setup = setup_of(config);
    lmail_conn *c = setup ? lmi_conn_new(loop->net, NULL, setup, -1) : NULL;
    if (!c) {
        lmi_setup_release(setup);
        return lmi_net_fail(LMAIL_ERR_NOMEM, error, cap, "out of memory");
    }
    c->loop = loop;
    st = take_descriptor(c, &t);
    if (!st)
        st = lmi_conn_target(c, &t.to);
    if (!st)
        st = lmi_conn_join(c);
    if (st) {
        lmi_conn_drop(c);
        return lmi_net_fail(st, error, cap, "%s", lmail_status_text(st));
    }
    atomic_fetch_add(&loop->load, 1);
    begin(c, &t, config->connect_timeout);
    if (out)
        *out = c;
    return LMAIL_OK;
}
