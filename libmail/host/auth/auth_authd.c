/* The server of saslauthd's protocol: its sockets, its signals, its loop.
 *
 * One thread in poll(2), because it forks for each check and because so little happens that nothing
 * more is needed: an answer a check, and checks are slow. authd(8) runs it as root, so it does as
 * little as it can: it reads counted strings and starts children. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "auth_authd.h"
#include "auth_internal.h"

#define OTHERS (LMI_AUTHD_SOCKETS + 2u) /* descriptors that are no connections */

void lmail_authd_config_init(lmail_authd_config *config)
{
    *config = (lmail_authd_config)LMAIL_AUTHD_CONFIG_INIT;
}

static uint32_t or_default(uint32_t value, uint32_t standard)
{
    return value > 0 ? value : standard;
}

/* ---- Sockets --------------------------------------------------------------------------------- */

/* 1 when the path is free now. */
static int make_room(const char *path, const char **why)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        *why = strerror(errno);
        return errno == ENOENT;
    }
    *why = S_ISSOCK(st.st_mode) ? "somebody answers there already" : "it is there and is no socket";
    return lmi_socket_is_stale(path) && unlink(path) == 0;
}

static lmail_status listen_at(lmail_authd *a, lmail_str path, unsigned mode, uint32_t group,
                              const char **why)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    *why = "the path is too long";
    if (path.len == 0 || path.len >= sizeof at.sun_path || memchr(path.ptr, '\0', path.len)) {
        return LMAIL_ERR_ARG;
    }
    memcpy(at.sun_path, path.ptr, path.len);
    if (!make_room(at.sun_path, why)) {
        return LMAIL_ERR_BUSY;
    }
    char *kept = lmi_auth_copy(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0177); /* nobody else, until mode and group are right */
    int bound = kept && fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
    int error = errno;
    umask(before);
    if (bound && (chown(kept, (uid_t)-1, group == UINT32_MAX ? (gid_t)-1 : group) != 0 ||
                  chmod(kept, mode > 0 ? mode & 0777 : 0600) != 0 || listen(fd, 128) != 0)) {
        error = errno;
        unlink(kept);
        bound = 0;
    }
    if (!bound) {
        *why = strerror(error);
        if (fd >= 0) {
            close(fd);
        }
        free(kept);
        return kept ? LMAIL_ERR_IO : LMAIL_ERR_NOMEM;
    }
    a->paths[a->listener_count] = kept;
    a->listeners[a->listener_count++] = fd;
    return LMAIL_OK;
}

/* ---- Making and changing --------------------------------------------------------------------- */

lmail_status lmail_authd_change(lmail_authd *a, const lmail_authd_config *given)
{
    lmail_authd_config c = LMAIL_AUTHD_CONFIG_INIT;
    if (given->size > sizeof c) {
        return LMAIL_ERR_SIZE;
    }
    memcpy(&c, given, given->size);
    if (c.check_count == 0) {
        return LMAIL_ERR_ARG;
    }
    lmail_authd_check *checks = malloc(c.check_count * sizeof *checks);
    uint32_t *uids = malloc((c.uid_count + 1) * sizeof *uids);
    if (!checks || !uids) {
        free(checks);
        free(uids);
        return LMAIL_ERR_NOMEM;
    }
    memcpy(checks, c.checks, c.check_count * sizeof *checks);
    if (c.uid_count > 0) {
        memcpy(uids, c.uids, c.uid_count * sizeof *uids);
    }
    free(a->checks);
    free(a->uids);
    a->checks = checks;
    a->check_count = c.check_count;
    a->uids = uids;
    a->uid_count = c.uid_count;
    a->read_timeout = or_default(c.read_timeout, 5000);
    a->check_timeout = or_default(c.check_timeout, 30000);
    a->failure_delay = c.failure_delay;
    a->user_failures = c.user_failures;
    a->peer_failures = c.peer_failures;
    return LMAIL_OK;
}

static lmail_status build(lmail_authd *a, const lmail_authd_config *c, char *error, size_t cap)
{
    lmail_status status = lmail_authd_change(a, c);
    if (status != LMAIL_OK) {
        return status;
    }
    a->workers = or_default(c->workers, 5);
    a->max_connections = or_default(c->max_connections, 256);
    a->max_connections += a->max_connections < 2;
    a->log = c->log;
    a->failures = lmi_failures_new();
    a->conns = calloc(a->max_connections, sizeof(lmi_authd_conn *));
    a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!a->failures || !a->conns || a->wake < 0) {
        return a->wake < 0 ? LMAIL_ERR_IO : LMAIL_ERR_NOMEM;
    }
    if (c->socket_count == 0 || c->socket_count > LMI_AUTHD_SOCKETS) {
        snprintf(error, cap, "sockets: one at least, %u at most", LMI_AUTHD_SOCKETS);
        return LMAIL_ERR_ARG;
    }
    for (size_t i = 0; i < c->socket_count; i++) {
        const char *why;
        status = listen_at(a, c->sockets[i], c->mode, c->group, &why);
        if (status != LMAIL_OK) {
            snprintf(error, cap, "socket %.*s: %s", (int)c->sockets[i].len, c->sockets[i].ptr, why);
            return status;
        }
    }
    return LMAIL_OK;
}

lmail_status lmail_authd_new(lmail_authd **out, const lmail_authd_config *given, char *error,
                             size_t cap)
{
    char nowhere[1];
    lmail_authd_config c = LMAIL_AUTHD_CONFIG_INIT;
    *out = NULL;
    if (!error || cap == 0) {
        error = nowhere;
        cap = sizeof nowhere;
    }
    error[0] = '\0';
    if (given->size > sizeof c) {
        return LMAIL_ERR_SIZE;
    }
    memcpy(&c, given, given->size);
    lmail_authd *a = calloc(1, sizeof *a);
    if (!a) {
        return LMAIL_ERR_NOMEM;
    }
    a->wake = a->signals = -1;
    lmail_status status = build(a, &c, error, cap);
    if (status != LMAIL_OK) {
        if (!error[0]) {
            snprintf(error, cap, "%s", lmail_status_text(status));
        }
        lmail_authd_free(a);
        return status;
    }
    *out = a;
    return LMAIL_OK;
}

void lmail_authd_free(lmail_authd *a)
{
    if (!a) {
        return;
    }
    for (unsigned i = 0; a->conns && i < a->max_connections; i++) {
        if (a->conns[i]) {
            lmi_authd_close(a, a->conns[i]);
        }
    }
    for (size_t i = 0; i < a->listener_count; i++) {
        unlink(a->paths[i]);
        close(a->listeners[i]);
        free(a->paths[i]);
    }
    if (a->wake >= 0) {
        close(a->wake);
    }
    if (a->signals >= 0) {
        close(a->signals);
    }
    lmi_failures_free(a->failures);
    free(a->conns);
    free(a->checks);
    free(a->uids);
    free(a);
}

/* ---- Signals --------------------------------------------------------------------------------- */

lmail_status lmail_authd_signals(lmail_authd *a, int stop_signal, int reload_signal,
                                 void (*on_reload)(void *user), void *user)
{
    sigset_t set;
    sigemptyset(&set);
    const int signals[] = {stop_signal, reload_signal};
    for (size_t i = 0; i < 2; i++) {
        if (signals[i] > 0) {
            sigaddset(&set, signals[i]);
        }
    }
    if (stop_signal == SIGTERM) {
        sigaddset(&set, SIGINT);
    }
    a->stop_signal = stop_signal;
    a->reload_signal = reload_signal;
    a->on_reload = on_reload;
    a->user = user;
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return LMAIL_ERR_IO;
    }
    a->signals = signalfd(a->signals, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return a->signals >= 0 ? LMAIL_OK : LMAIL_ERR_IO;
}

void lmail_authd_stop(lmail_authd *a)
{
    const uint64_t one = 1;
    ssize_t ignored = write(a->wake, &one, sizeof one);
    (void)ignored;
}

/* 1 when it is time to stop. */
static int take_signals(lmail_authd *a)
{
    struct signalfd_siginfo got;
    while (a->signals >= 0 && read(a->signals, &got, sizeof got) == (ssize_t)sizeof got) {
        if ((int)got.ssi_signo != a->reload_signal) {
            return 1;
        }
        if (a->on_reload) {
            a->on_reload(a->user);
        }
    }
    return 0;
}

/* ---- The loop -------------------------------------------------------------------------------- */

static void accept_all(lmail_authd *a, int listener, lmail_msec now)
{
    while (a->conn_count < a->max_connections) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) {
            continue;
        }
        if (fd < 0) {
            return;
        }
        lmi_authd_accept(a, fd, now);
    }
}

/* What to wait for; returns the milliseconds until the next deadline, -1 for none. */
static int gather(const lmail_authd *a, struct pollfd *fds, lmail_msec now)
{
    lmail_msec next = LMAIL_NEVER;
    for (size_t i = 0; i < LMI_AUTHD_SOCKETS; i++) {
        /* A full house leaves who comes in the queue of the socket. */
        int open = i < a->listener_count && a->conn_count < a->max_connections;
        fds[i] = (struct pollfd){open ? a->listeners[i] : -1, POLLIN, 0};
    }
    fds[LMI_AUTHD_SOCKETS] = (struct pollfd){a->wake, POLLIN, 0};
    fds[LMI_AUTHD_SOCKETS + 1] = (struct pollfd){a->signals, POLLIN, 0};
    for (unsigned i = 0; i < a->max_connections; i++) {
        struct pollfd *p = &fds[OTHERS + i];
        *p = (struct pollfd){-1, 0, 0};
        if (a->conns[i]) {
            p->fd = lmi_authd_watch(a->conns[i], &p->events);
            next = a->conns[i]->deadline < next ? a->conns[i]->deadline : next;
        }
    }
    return next == LMAIL_NEVER ? -1 : next <= now ? 0 : (int)(next - now);
}

lmail_status lmail_authd_run(lmail_authd *a)
{
    struct pollfd *fds = calloc(OTHERS + a->max_connections, sizeof *fds);
    lmail_status status = fds ? LMAIL_OK : LMAIL_ERR_NOMEM;
    for (int stop = 0; !status && !stop;) {
        int timeout = gather(a, fds, lmi_steady());
        int n = poll(fds, OTHERS + a->max_connections, timeout);
        if (n < 0 && errno != EINTR) {
            status = LMAIL_ERR_IO;
        }
        if (n < 0) {
            continue;
        }
        lmail_msec now = lmi_steady();
        stop = (fds[LMI_AUTHD_SOCKETS].revents & POLLIN) || take_signals(a);
        /* Connections before listeners: a place that a new one takes has no events of its own. */
        for (unsigned i = 0; i < a->max_connections; i++) {
            if (a->conns[i]) {
                lmi_authd_ready(a, a->conns[i], fds[OTHERS + i].revents, now);
            }
        }
        for (size_t i = 0; i < a->listener_count; i++) {
            if (fds[i].revents & POLLIN) {
                accept_all(a, a->listeners[i], now);
            }
        }
        lmi_authd_next(a, now);
    }
    free(fds);
    return status;
}
