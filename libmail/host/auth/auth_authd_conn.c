/* A connection of the server: its request, its turn, its check, its answer. One request each.
 *
 *     READING -> WAITING -> CHECKING -> HOLDING -> WRITING -> closed
 *
 * Every state but WAITING and CHECKING has the peer's own deadline; CHECKING has that of the check.
 * Called from the loop alone. Passwords are wiped as soon as the check has begun. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth_authd.h"

/* ---- Coming and going ------------------------------------------------------------------------ */

/* `in` holds the octets that `request` points to: the login stays for the log. */
static void forget_password(lmi_authd_conn *c)
{
    if (c->request.password.len > 0) {
        explicit_bzero((char *)c->request.password.ptr, c->request.password.len);
        c->request.password.len = 0;
    }
}

void lmi_authd_close(lmail_authd *a, lmi_authd_conn *c)
{
    if (c->state == LMI_AUTHD_CHECKING) {
        lmi_child_end(&c->child);
        a->running--;
    }
    for (unsigned i = 0; i < a->max_connections; i++) {
        if (a->conns[i] == c) {
            a->conns[i] = NULL;
            a->conn_count--;
        }
    }
    close(c->fd);
    explicit_bzero(c, sizeof *c);
    free(c);
}

static unsigned count_of(const lmail_authd *a, uint32_t uid, lmi_authd_state state)
{
    unsigned count = 0;
    for (unsigned i = 0; i < a->max_connections; i++) {
        count += a->conns[i] && a->conns[i]->uid == uid &&
                 (state == LMI_AUTHD_FREE || a->conns[i]->state == state);
    }
    return count;
}

static void log_line(const lmail_authd *a, const lmi_authd_conn *c, const char *result,
                     const char *reason, const char *check)
{
    lmail_log_line l;
    int ok = strcmp(result, "ok") == 0;
    lmail_log_begin(&l, a->log, ok ? LMAIL_LOG_INFO : LMAIL_LOG_WARN,
                    ok ? "password_ok" : "password_refused");
    lmail_log_text(&l, "user", c->request.login);
    lmail_log_text(&l, "realm", c->request.realm);
    lmail_log_text(&l, "service", c->request.service);
    lmail_log_number(&l, "peer_uid", c->uid);
    lmail_log_number(&l, "peer_pid", (uint64_t)c->pid);
    if (check) {
        lmail_log_text(&l, "check", lmail_str_from(check));
    }
    if (reason) {
        lmail_log_text(&l, "reason", lmail_str_from(reason));
    }
    lmail_log_end(&l);
}

void lmi_authd_accept(lmail_authd *a, int fd, lmail_msec now)
{
    struct ucred who = {0, (uid_t)-1, (gid_t)-1};
    socklen_t len = sizeof who;
    lmi_authd_conn *c = NULL;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
        count_of(a, who.uid, LMI_AUTHD_FREE) < a->max_connections / 2) {
        c = calloc(1, sizeof *c);
    }
    if (!c) {
        close(fd);
        return;
    }
    c->state = LMI_AUTHD_READING;
    c->fd = fd;
    c->uid = who.uid;
    c->pid = who.pid;
    c->number = a->arrivals++;
    c->asked = now;
    c->deadline = now + a->read_timeout;
    for (unsigned i = 0; i < a->max_connections; i++) {
        if (!a->conns[i]) {
            a->conns[i] = c;
            a->conn_count++;
            return;
        }
    }
}

/* ---- The answer ------------------------------------------------------------------------------ */

static int delays_itself(const lmail_authd *a, const lmi_authd_conn *c)
{
    for (size_t i = 0; i < a->uid_count; i++) {
        if (a->uids[i] == c->uid) {
            return 1;
        }
    }
    return 0;
}

static void answer(lmail_authd *a, lmi_authd_conn *c, int ok, lmail_msec now)
{
    char octets[LMI_MUX_ANSWER];
    lmail_str text = ok ? LMAIL_STR("OK") : LMAIL_STR("NO authentication failed");
    forget_password(c);
    c->out_len = lmi_mux_write_answer(text, octets);
    memcpy(c->out, octets, c->out_len);
    lmail_msec due = c->asked + (ok || delays_itself(a, c) ? 0 : a->failure_delay);
    if (due > now) {
        c->state = LMI_AUTHD_HOLDING;
        c->deadline = due;
        return;
    }
    c->state = LMI_AUTHD_WRITING;
    c->deadline = now + a->read_timeout;
}

static void checked(lmail_authd *a, lmi_authd_conn *c, int in_time, lmail_msec now)
{
    lmi_verdict v = lmi_child_end(&c->child);
    c->state = LMI_AUTHD_WAITING;
    a->running--;
    lmail_status status = v.answered ? (lmail_status)v.status : LMAIL_ERR_IO;
    int unknown = status == LMAIL_ERR_NOTFOUND, refused = status == LMAIL_ERR_DENIED || unknown;
    /* Only what was wrong counts: not what was right, nor what nobody could tell. */
    if (!refused && (c->counted & LMI_COUNTED_USER)) {
        lmi_failures_undo(a->failures, c->uid, c->request.login, a->user_failures);
    }
    if (!refused && (c->counted & LMI_COUNTED_PEER)) {
        lmi_failures_undo(a->failures, c->uid, (lmail_str){"", 0}, a->peer_failures);
    }
    if (status == LMAIL_OK || refused) {
        log_line(a, c, refused ? "no" : "ok",
                 unknown   ? "no check knows the user"
                 : refused ? "credentials"
                           : NULL,
                 !unknown && v.check < a->check_count ? a->checks[v.check].name : NULL);
        answer(a, c, !refused, now);
        return;
    }
    /* No answer at all: a NO would tell a mail server that the password is wrong. */
    log_line(a, c, "none",
             v.answered ? lmail_status_text(status)
             : in_time  ? "the check ended without a result"
                        : "the check took too long",
             NULL);
    lmi_authd_close(a, c);
}

/* ---- The request ----------------------------------------------------------------------------- */

/* It is whole. */
static void consider(lmail_authd *a, lmi_authd_conn *c, lmail_msec now)
{
    c->asked = now;
    if (c->request.login.len == 0 || c->request.password.len == 0) {
        answer(a, c, 0, now);
        return;
    }
    if (lmi_failures_begin(a->failures, c->uid, c->request.login, a->user_failures, now)) {
        c->counted |= LMI_COUNTED_USER;
    }
    if (!delays_itself(a, c) && (c->counted & LMI_COUNTED_USER) &&
        lmi_failures_begin(a->failures, c->uid, (lmail_str){"", 0}, a->peer_failures, now)) {
        c->counted |= LMI_COUNTED_PEER;
    }
    if (!(c->counted & LMI_COUNTED_USER) ||
        (!delays_itself(a, c) && !(c->counted & LMI_COUNTED_PEER))) {
        log_line(a, c, "no", "too many failures", NULL);
        answer(a, c, 0, now);
        return;
    }
    c->state = LMI_AUTHD_WAITING;
    c->deadline = now + a->check_timeout; /* who waits so long is not answered either */
}

static void read_more(lmail_authd *a, lmi_authd_conn *c, lmail_msec now)
{
    ssize_t n = recv(c->fd, c->in + c->in_len, sizeof c->in - c->in_len, 0);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return;
    }
    if (n <= 0) {
        lmi_authd_close(a, c);
        return;
    }
    c->in_len += (size_t)n;
    switch (lmi_mux_parse_request((lmail_str){c->in, c->in_len}, &c->request)) {
    case 1:
        consider(a, c, now);
        return;
    case 0:
        if (c->in_len < sizeof c->in) {
            return;
        }
        break;
    default:
        break;
    }
    lmi_authd_close(a, c);
}

static void write_more(lmail_authd *a, lmi_authd_conn *c)
{
    ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return;
    }
    c->out_at += n > 0 ? (size_t)n : 0;
    if (n <= 0 || c->out_at == c->out_len) {
        lmi_authd_close(a, c);
    }
}

/* ---- The loop's side ------------------------------------------------------------------------- */

int lmi_authd_watch(const lmi_authd_conn *c, short *events)
{
    *events = c->state == LMI_AUTHD_WRITING ? POLLOUT : POLLIN;
    switch (c->state) {
    case LMI_AUTHD_READING:
    case LMI_AUTHD_WRITING:
        return c->fd;
    case LMI_AUTHD_CHECKING:
        return c->child.fd;
    default:
        return -1;
    }
}

void lmi_authd_ready(lmail_authd *a, lmi_authd_conn *c, short events, lmail_msec now)
{
    int late = now >= c->deadline;
    switch (c->state) {
    case LMI_AUTHD_READING:
        if (late) { /* also one who sends an octet now and then */
            lmi_authd_close(a, c);
        } else if (events) {
            read_more(a, c, now);
        }
        break;
    case LMI_AUTHD_WAITING:
        if (late) {
            log_line(a, c, "none", "no worker was free in time", NULL);
            lmi_authd_close(a, c);
        }
        break;
    case LMI_AUTHD_CHECKING:
        if (events || late) {
            checked(a, c, events != 0, now);
        }
        break;
    case LMI_AUTHD_HOLDING:
        if (late) {
            c->state = LMI_AUTHD_WRITING;
            c->deadline = now + a->read_timeout;
        }
        break;
    case LMI_AUTHD_WRITING:
        if (late) {
            lmi_authd_close(a, c);
        } else if (events) {
            write_more(a, c);
        }
        break;
    case LMI_AUTHD_FREE:
        break;
    }
}

/* Among those who wait: of the peer that has the fewest checks running, the one that came first. */
static lmi_authd_conn *choose(const lmail_authd *a)
{
    lmi_authd_conn *best = NULL;
    unsigned least = 0;
    for (unsigned i = 0; i < a->max_connections; i++) {
        lmi_authd_conn *c = a->conns[i];
        if (!c || c->state != LMI_AUTHD_WAITING) {
            continue;
        }
        unsigned has = count_of(a, c->uid, LMI_AUTHD_CHECKING);
        if (!best || has < least || (has == least && c->number < best->number)) {
            best = c;
            least = has;
        }
    }
    return best;
}

void lmi_authd_next(lmail_authd *a, lmail_msec now)
{
    while (a->running < a->workers) {
        lmi_authd_conn *c = choose(a);
        if (!c) {
            return;
        }
        for (size_t i = 0; i < a->check_count; i++) {
            if (a->checks[i].prepare) {
                a->checks[i].prepare(a->checks[i].user, &c->request);
            }
        }
        if (lmi_child_start(&c->child, a->checks, a->check_count, &c->request) != 0) {
            log_line(a, c, "none", "no process can be started", NULL);
            lmi_authd_close(a, c);
            continue;
        }
        forget_password(c);
        c->state = LMI_AUTHD_CHECKING;
        c->deadline = now + a->check_timeout;
        a->running++;
    }
}
