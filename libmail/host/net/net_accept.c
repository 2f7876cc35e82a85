/* net_accept.c - binding sockets, and taking connections from them. */
#include "net_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BATCH 64      /* connections of one listener in one turn */
#define BACK_OFF 100u /* milliseconds without a descriptor */

/* ---- Binding --------------------------------------------------------------------------------- */

static lmail_status bind_failed(const char *address, char *error, size_t cap)
{
    int why = errno;
    lmail_status st = why == EADDRINUSE               ? LMAIL_ERR_BUSY
                      : why == EACCES || why == EPERM ? LMAIL_ERR_DENIED
                                                      : LMAIL_ERR_IO;
    return lmi_net_fail(st, error, cap, "cannot listen on %s: %s", address, strerror(why));
}

static unsigned bound_port(int fd)
{
    union {
        struct sockaddr sa;
        struct sockaddr_storage all;
    } bound;
    socklen_t len = sizeof(bound);
    lmi_address own = {0};
    if (!getsockname(fd, &bound.sa, &len))
        lmi_address_from(&own, &bound.sa);
    return own.port;
}

/* "*" is one socket for IPv6 and IPv4, or IPv4 alone where there is no IPv6. */
static int bind_to(const lmi_address *a, int any)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)a->port)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)a->port)};
    memcpy(&v6.sin6_addr, a->octets, 16);
    memcpy(&v4.sin_addr, a->octets, 4);
    int family = a->family, on = 1, v6_only = !any;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 && any && errno == EAFNOSUPPORT) {
        family = AF_INET;
        fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    }
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only));
    int failed = family == AF_INET6 ? bind(fd, (struct sockaddr *)&v6, sizeof(v6))
                                    : bind(fd, (struct sockaddr *)&v4, sizeof(v4));
    if (!failed)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

/* Port 0 is any free one. It is bound a second time by its number, because a port that the kernel
 * chose is lost when the listener is closed for a while. */
static int bind_ip(lmi_address a, int any)
{
    int fd = bind_to(&a, any);
    if (fd < 0 || a.port)
        return fd;
    a.port = bound_port(fd);
    int by_number = bind_to(&a, any);
    close(fd);
    return by_number;
}

static int bind_unix(const char *path, unsigned mode)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(name.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(name.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (lmi_socket_is_stale(path))
        unlink(path);
    /* The mode is set before listen(): until then nobody can connect. */
    if (bind(fd, (struct sockaddr *)&name, sizeof(name)) || chmod(path, mode ? mode : 0666)) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

static const char UNIX[] = "unix:";

/* A socket of that address, not listening yet. */
static lmail_status bind_address(const char *address, unsigned mode, int *fd, char *error,
                                 size_t cap)
{
    lmi_address a;
    int any;
    if (!strncmp(address, UNIX, sizeof(UNIX) - 1)) {
        *fd = bind_unix(address + sizeof(UNIX) - 1, mode);
    } else if (lmi_net_address_parse(address, &a, &any)) {
        return lmi_net_fail(LMAIL_ERR_ARG, error, cap,
                            "\"%s\" is no address (192.0.2.1:25, [::1]:25, *:25, unix:/path)",
                            address);
    } else {
        *fd = bind_ip(a, any);
    }
    return *fd < 0 ? bind_failed(address, error, cap) : LMAIL_OK;
}

lmail_status lmail_listener_bind(const char *address, unsigned unix_mode, int *fd, char *error,
                                 size_t cap)
{
    lmail_status st = bind_address(address, unix_mode, fd, error, cap);
    /* Two sockets may be bound to one port, but not listen there: the fault shows now. */
    if (!st && listen(*fd, 1024)) {
        st = bind_failed(address, error, cap);
        close(*fd);
    }
    return st;
}

static lmail_status inherit(lmail_listener *l, int fd, char *error, size_t cap)
{
    int type = 0, flags = fcntl(fd, F_GETFL);
    socklen_t len = sizeof(type);
    if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_STREAM)
        return lmi_net_fail(LMAIL_ERR_ARG, error, cap, "descriptor %d is no stream socket", fd);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    l->fd = fd;
    return LMAIL_OK;
}

lmail_status lmi_listener_bind(lmail_listener *l, const lmail_listener_config *config, char *error,
                               size_t cap)
{
    const char *address = config->inherited ? "the inherited socket" : config->address;
    if (!address)
        return lmi_net_fail(LMAIL_ERR_ARG, error, cap, "no address");
    lmail_status st = config->inherited
                          ? inherit(l, config->fd, error, cap)
                          : bind_address(address, config->unix_mode, &l->fd, error, cap);
    if (st)
        return st;
    if (!config->inherited && !strncmp(address, UNIX, sizeof(UNIX) - 1))
        l->unlink_path = strdup(address + sizeof(UNIX) - 1);
    l->open = 1;
    if (listen(l->fd, (int)l->backlog))
        return bind_failed(address, error, cap);
    int domain = 0;
    socklen_t len = sizeof(domain);
    getsockopt(l->fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
    l->port = bound_port(l->fd);
    l->is_unix = domain == AF_UNIX;
    return LMAIL_OK;
}

/* ---- Accepting ------------------------------------------------------------------------------- */

static lmail_loop *least_loaded(lmail_net *net)
{
    lmail_loop *best = &net->loops[0];
    unsigned least = atomic_load_explicit(&best->load, memory_order_relaxed);
    for (unsigned i = 1; i < net->loops_n; i++) {
        unsigned load = atomic_load_explicit(&net->loops[i].load, memory_order_relaxed);
        if (load < least) {
            least = load;
            best = &net->loops[i];
        }
    }
    return best;
}

/* Held; NULL: the listener has ended. */
static lmi_setup *current_setup(lmail_listener *l)
{
    pthread_mutex_lock(&l->net->lock);
    lmi_setup *setup = l->setup ? lmi_setup_hold(l->setup) : NULL;
    pthread_mutex_unlock(&l->net->lock);
    return setup;
}

/* The reserve descriptor lets one client be told at once, by closing; then the listener rests a
 * little, because descriptors come back only as connections end. */
static void without_files(lmail_listener *l)
{
    lmail_net *net = l->net;
    if (net->reserve >= 0) {
        close(net->reserve);
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            close(fd);
            lmi_setup *setup = current_setup(l);
            if (setup)
                lmi_setup_refused(setup, &net->loops[0], LMAIL_REFUSED_FILES);
            lmi_setup_release(setup);
        }
        net->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    l->waiting = 1;
    lmi_loop_timer_set(&net->loops[0], &l->timer, uv_now(net->loops[0].uv) + BACK_OFF);
    lmi_listener_apply(l);
}

/* Counted under its address before a thread is troubled with it. Behind a proxy the address comes
 * later, in the header. */
static int admit(lmail_net *net, lmi_setup *setup, lmail_conn *c, const struct sockaddr *sa, int fd)
{
    lmi_address peer;
    lmi_address_from(&peer, sa);
    if (setup->proxy) {
        if (lmi_networks_hold(&setup->proxy_from, &peer))
            return 1;
        lmi_setup_refused(setup, &net->loops[0], LMAIL_REFUSED_PROXY);
        return 0;
    }
    c->key = lmi_address_key(&peer);
    if (!c->key)
        return 1; /* a process of this machine */
    lmail_status st = lmi_net_take_key(net, c->key);
    if (st == LMAIL_OK) {
        c->counted = 1;
        return 1;
    }
    if (st == LMAIL_ERR_BUSY)
        lmi_setup_refused(setup, &net->loops[0], LMAIL_REFUSED_ADDRESS);
    if (setup->refusal_len && !setup->implicit_tls)
        (void)!send(fd, setup->refusal, setup->refusal_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    return 0;
}

static void take(lmail_listener *l, int fd, const struct sockaddr *sa)
{
    lmail_net *net = l->net;
    /* None: that this connection took the last place has let the listener see that it is closed. */
    lmi_setup *setup = current_setup(l);
    lmail_conn *c = setup ? lmi_conn_new(net, l, setup, fd) : NULL;
    if (!c) {
        close(fd);
        lmi_setup_release(setup);
        lmi_net_give(l);
        return;
    }
    atomic_fetch_add(&net->accepted, 1);
    if (admit(net, setup, c, sa, fd))
        lmi_conn_send_off(c, least_loaded(net));
    else
        lmi_conn_drop(c);
}

/* max_rate: the rest of a second's clients wait in the backlog. 0: now they do. */
static int rate_allows(lmail_listener *l)
{
    lmail_loop *loop = &l->net->loops[0];
    lmail_msec now = uv_now(loop->uv);
    pthread_mutex_lock(&l->net->lock);
    unsigned max = l->setup->max_rate;
    pthread_mutex_unlock(&l->net->lock);
    if (now - l->second >= 1000) {
        l->second = now;
        l->accepted = 0;
    }
    if (max == 0 || l->accepted < max)
        return 1;
    l->waiting = 1;
    lmi_loop_timer_set(loop, &l->timer, l->second + 1000);
    lmi_listener_apply(l);
    return 0;
}

static void close_full(lmail_net *net)
{
    for (lmail_listener *each = net->listeners; each; each = each->next)
        lmi_listener_apply(each);
}

/* One connection. 0: no more now. */
static int accept_one(lmail_listener *l)
{
    union {
        struct sockaddr sa;
        struct sockaddr_storage all;
    } peer;
    socklen_t len = sizeof(peer);
    peer.sa.sa_family = AF_UNSPEC;
    if (!rate_allows(l))
        return 0;
    if (lmi_net_take(l)) {
        lmi_listener_apply(l);
        return 0;
    }
    int fd = accept4(l->fd, &peer.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        l->accepted++;
        if (lmi_net_full(l)) /* before its client can have a word from us, and the next one tries */
            close_full(l->net);
        take(l, fd, &peer.sa);
        return 1;
    }
    int why = errno;
    lmi_net_give(l);
    if (why == EMFILE || why == ENFILE || why == ENOMEM || why == ENOBUFS)
        without_files(l);
    /* accept(2): errors that a connection had before it was taken are its own affair */
    return why == ECONNABORTED || why == EINTR || why == EPROTO || why == ENETDOWN ||
           why == EHOSTDOWN || why == ENONET || why == EHOSTUNREACH || why == ENETUNREACH;
}

void lmi_listener_accept(uv_poll_t *poll, int status, int events)
{
    lmail_listener *l = poll->data;
    (void)status;
    (void)events;
    /* What closes it may be on its way while clients come. */
    for (int i = 0; i < BATCH && l->listening && l->open && !atomic_load(&l->closed); i++)
        if (!accept_one(l))
            break;
}

/* ---- Socket activation ----------------------------------------------------------------------- */

int lmail_listen_fds(int *first)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    int n = 0;
    if (pid && count && strtol(pid, NULL, 10) == (long)getpid()) {
        long given = strtol(count, NULL, 10);
        n = given > 0 && given < 1024 ? (int)given : 0;
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    *first = 3; /* SD_LISTEN_FDS_START */
    for (int fd = 3; fd < 3 + n; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return n;
}
