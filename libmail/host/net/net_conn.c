/* net_conn.c - the life of a connection, from the accepted socket to the freed session.
 *
 *     accepted (loop 0) -> PROXY -> SHAKING -> OPEN -> LINGER -> CLOSING -> GONE -> freed
 *     made by us   -> CONNECTING -> SHAKING -> OPEN -> ...
 *
 * PROXY and SHAKING are skipped when nobody asks for them; STARTTLS goes from OPEN to SHAKING and
 * back. Any state may go to CLOSING. All writes to c->state are in this file. */
#include "net_internal.h"

#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void arrive(lmi_task *task);
static void fire(lmi_timer *timer);

void lmi_conn_state_set(lmail_conn *c, lmi_conn_state state)
{
    c->state = (uint8_t)state;
}

/* ---- Beginning ------------------------------------------------------------------------------- */

lmail_conn *lmi_conn_new(lmail_net *net, lmail_listener *from, lmi_setup *setup, int fd)
{
    lmail_conn *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->from = from;
    c->setup = setup;
    c->fd = fd;
    c->is_unix = from && from->is_unix;
    c->task.fn = arrive;
    c->timer.fn = fire;
    c->phase_due = LMAIL_NEVER;
    c->facts.id = atomic_fetch_add(&net->last_id, 1) + 1;
    c->facts.tls = (unsigned)setup->implicit_tls;
    c->loop = &net->loops[0];
    if (!from)
        atomic_fetch_add(&net->outgoing, 1);
    return c;
}

static void free_conn(lmail_conn *c)
{
    lmail_net *net = c->loop->net;
    if (c->counted)
        lmi_net_give_key(net, c->key);
    if (c->from)
        lmi_net_give(c->from);
    else
        atomic_fetch_sub(&net->outgoing, 1);
    lmi_tls_free(c->tls);
    lmail_tls_release(c->own_tls);
    lmi_setup_release(c->setup);
    free(c->shake);
    free(c->text);
    free(c);
}

void lmi_conn_drop(lmail_conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free_conn(c);
}

void lmi_conn_send_off(lmail_conn *c, lmail_loop *loop)
{
    c->loop = loop;
    atomic_fetch_add(&loop->load, 1);
    if (loop->index == 0) {
        arrive(&c->task);
    } else if (!lmi_loop_post_task(loop, &c->task)) {
        atomic_fetch_sub(&loop->load, 1);
        lmi_conn_drop(c);
    }
}

static int take_socket(lmail_conn *c)
{
    if (c->is_unix) {
        uv_pipe_init(c->loop->uv, &c->uv.pipe, 0);
        return uv_pipe_open(&c->uv.pipe, c->fd);
    }
    uv_tcp_init(c->loop->uv, &c->uv.tcp);
    int failed = uv_tcp_open(&c->uv.tcp, c->fd);
    if (!failed) {
        uv_tcp_nodelay(&c->uv.tcp, 1);
        uv_tcp_keepalive(&c->uv.tcp, 1, LMI_KEEPALIVE);
    }
    return failed;
}

static void link_conn(lmail_conn *c)
{
    lmail_loop *loop = c->loop;
    c->next = loop->conns;
    if (c->next)
        c->next->prev = c;
    loop->conns = c;
    loop->conns_n++;
}

static void unlink_conn(lmail_conn *c)
{
    lmail_loop *loop = c->loop;
    if (c->prev)
        c->prev->next = c->next;
    else
        loop->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    loop->conns_n--;
    atomic_fetch_sub(&loop->load, 1);
}

lmail_status lmi_conn_join(lmail_conn *c)
{
    if (lmi_heap_promise(&c->loop->timers))
        return LMAIL_ERR_NOMEM;
    c->active = uv_now(c->loop->uv);
    link_conn(c);
    return LMAIL_OK;
}

static void arrive(lmi_task *task)
{
    lmail_conn *c = LMI_OF(task, lmail_conn, task);
    lmail_loop *loop = c->loop;
    if (lmi_conn_join(c)) {
        atomic_fetch_sub(&loop->load, 1);
        lmi_conn_drop(c);
        return;
    }
    int failed = take_socket(c);
    c->uv.handle.data = c;
    c->write.data = c;
    lmi_conn_state_set(c, LMI_CONN_PROXY);
    if (failed) {
        close(c->fd);
        lmi_conn_abort(c, LMAIL_CLOSE_ERROR);
    } else if (lmi_conn_addresses(c)) {
        lmi_conn_abort(c, LMAIL_CLOSE_MEMORY);
    } else if (loop->stopping) {
        lmi_conn_abort(c, LMAIL_CLOSE_STOP);
    } else if (c->setup->proxy) {
        c->phase_due = c->active + c->setup->proxy_timeout;
        lmi_conn_read(c, 1);
        lmi_conn_arm(c);
    } else {
        lmi_conn_begin(c);
    }
}

void lmi_conn_begin(lmail_conn *c)
{
    lmi_setup *setup = c->setup;
    c->phase_due = LMAIL_NEVER;
    c->session = setup->on_open(setup->user, c, &c->facts, uv_now(c->loop->uv));
    if (c->state >= LMI_CONN_CLOSING)
        return; /* on_open has closed it */
    if (!c->session) {
        lmi_conn_abort(c, LMAIL_CLOSE_HOST);
        return;
    }
    lmi_conn_state_set(c, LMI_CONN_OPEN);
    if (setup->implicit_tls) {
        lmi_buf *rest = c->cur; /* what came behind a PROXY header is the ClientHello */
        c->cur = NULL;
        lmi_conn_shake_begin(c);
        if (rest && c->state == LMI_CONN_SHAKING)
            lmi_conn_shake_input(c, rest);
        else
            lmi_buf_put(&c->loop->bufs, rest);
        return;
    }
    lmi_conn_pump(c);
}

/* ---- Time ------------------------------------------------------------------------------------ */

void lmi_conn_arm(lmail_conn *c)
{
    lmail_msec due = c->phase_due;
    if (c->state >= LMI_CONN_CLOSING)
        return;
    if (c->state == LMI_CONN_OPEN) {
        due = lmi_min(due, lmail_session_deadline(c->session));
        if (!c->rested)
            due = lmi_min(due, c->active + c->setup->rest_after);
    }
    if (c->writing)
        due = lmi_min(due, c->write_due);
    /* One that fires too early is set again then: no work in the heap for each command. */
    if (due < LMAIL_NEVER && !(c->timer.at && c->timer.when <= due))
        lmi_loop_timer_set(c->loop, &c->timer, due);
}

/* Octets that the peer has not acknowledged: those that wait in libuv, and those in the kernel. The
 * kernel takes more only when a third of its buffer is free, which an honest peer on a slow line
 * may need minutes for; what it was asked to send and the peer has, it knows at any time (tcp(7)).
 * A local socket counts its buffers otherwise, and has small ones. */
static size_t untaken(lmail_conn *c)
{
    size_t left = uv_stream_get_write_queue_size(&c->uv.stream);
    int fd, held = 0;
    if (!c->is_unix && !uv_fileno(&c->uv.handle, &fd) && !ioctl(fd, SIOCOUTQ, &held) && held > 0)
        left += (size_t)held;
    return left;
}

void lmi_conn_watch_write(lmail_conn *c)
{
    c->write_left = untaken(c);
    c->write_due = uv_now(c->loop->uv) + c->setup->write_timeout;
}

static int peer_takes_too_little(lmail_conn *c, lmail_msec now)
{
    if (!c->writing || c->write_due > now)
        return 0;
    size_t before = c->write_left;
    lmi_conn_watch_write(c);
    return c->write_left + c->setup->write_least > before;
}

/* Quiet: what comes again by itself is given back. */
static void rest(lmail_conn *c)
{
    c->rested = 1;
    lmail_session_rest(c->session);
    if (c->tls && !c->writing)
        lmi_tls_rest(c->tls);
    if (c->cur && !(lmail_session_wants(c->session) & LMAIL_WANT_HOLD))
        c->cur = lmi_buf_shrink(&c->loop->bufs, c->cur);
    if (c->extra)
        c->extra = lmi_buf_shrink(&c->loop->bufs, c->extra);
}

static void phase_over(lmail_conn *c)
{
    lmail_close_reason reason = LMAIL_CLOSE_TIMEOUT;
    if (c->state == LMI_CONN_CONNECTING) {
        reason = LMAIL_CLOSE_NO_ANSWER;
        c->fault = "no answer";
    } else if (c->state == LMI_CONN_PROXY) {
        lmi_setup_refused(c->setup, c->loop, LMAIL_REFUSED_PROXY);
    } else if (c->state == LMI_CONN_SHAKING) {
        lmi_conn_shake_failed(c);
        reason = LMAIL_CLOSE_TLS;
        c->fault = "TLS handshake not done in time";
    }
    lmi_conn_abort(c, reason);
}

static void fire(lmi_timer *timer)
{
    lmail_conn *c = LMI_OF(timer, lmail_conn, timer);
    lmail_msec now = uv_now(c->loop->uv);
    if (peer_takes_too_little(c, now)) {
        lmi_conn_abort(c, LMAIL_CLOSE_TIMEOUT);
    } else if (c->phase_due <= now) {
        phase_over(c);
    } else if (c->state == LMI_CONN_OPEN) {
        if (!c->rested && c->active + c->setup->rest_after <= now)
            rest(c);
        if (lmail_session_deadline(c->session) <= now)
            lmi_conn_pump(c);
    }
    lmi_conn_arm(c);
}

/* ---- Ending ---------------------------------------------------------------------------------- */

void lmi_conn_stop(lmail_conn *c)
{
    if (c->state == LMI_CONN_OPEN) {
        lmail_session_stop(c->session, uv_now(c->loop->uv));
        lmi_loop_ready(c);
    } else if (c->state < LMI_CONN_OPEN) {
        lmi_conn_abort(c, LMAIL_CLOSE_STOP);
    }
}

/* Closing while the peer's octets are unread would send a reset, and that can overtake our last
 * reply: half-close, then read on a little (RFC 9293 §3.10.4; RFC 5321 §4.1.1.10). */
void lmi_conn_linger(lmail_conn *c)
{
    int fd;
    if (c->eof || uv_fileno(&c->uv.handle, &fd) || shutdown(fd, SHUT_WR)) {
        lmi_conn_abort(c, LMAIL_CLOSE_SESSION);
        return;
    }
    if (!c->reason)
        c->reason = LMAIL_CLOSE_SESSION;
    lmi_conn_state_set(c, LMI_CONN_LINGER);
    c->phase_due = uv_now(c->loop->uv) + c->setup->linger_timeout;
    lmi_conn_read(c, 1);
}

static void tell_end(lmail_conn *c)
{
    /* From inside a callback of the session it is refused; then handle_closed comes back to it. */
    if (c->session && !c->eof_told)
        c->eof_told = lmail_session_eof(c->session, uv_now(c->loop->uv)) != LMAIL_ERR_REENTRANT;
}

static void handle_closed(uv_handle_t *handle)
{
    lmail_conn *c = handle->data;
    tell_end(c);
    lmi_conn_state_set(c, LMI_CONN_GONE);
    lmi_conn_finish(c);
}

void lmi_conn_abort(lmail_conn *c, lmail_close_reason reason)
{
    if (c->state >= LMI_CONN_CLOSING)
        return;
    lmi_conn_state_set(c, LMI_CONN_CLOSING);
    if (!c->reason)
        c->reason = (uint8_t)reason;
    tell_end(c);
    lmi_heap_set(&c->loop->timers, &c->timer, LMAIL_NEVER);
    uv_close(&c->uv.handle, handle_closed);
}

void lmi_conn_finish(lmail_conn *c)
{
    lmail_loop *loop = c->loop;
    if (c->state != LMI_CONN_GONE || c->lent || c->in_ready ||
        (c->session && lmail_session_tickets(c->session)))
        return;      /* whoever holds it wakes it */
    c->in_ready = 1; /* a wake from on_closed is of no effect */
    if ((c->session || !c->from) && c->setup->on_closed)
        c->setup->on_closed(c->setup->user, c, c->session, c->reason);
    lmail_session_free(c->session);
    lmi_buf_put(&loop->bufs, c->cur);
    lmi_buf_put(&loop->bufs, c->extra);
    unlink_conn(c);
    lmi_heap_unpromise(&loop->timers);
    free_conn(c);
    lmi_loop_check_empty(loop);
}

/* ---- For the host ---------------------------------------------------------------------------- */

void lmail_conn_wake(lmail_conn *conn)
{
    lmi_loop_ready(conn);
}

void lmail_conn_close(lmail_conn *conn)
{
    lmi_conn_abort(conn, LMAIL_CLOSE_HOST);
}

lmail_loop *lmail_conn_loop(lmail_conn *conn)
{
    return conn->loop;
}

lmail_session *lmail_conn_session(lmail_conn *conn)
{
    return conn->session;
}

const lmail_conn_facts *lmail_conn_get_facts(const lmail_conn *conn)
{
    return &conn->facts;
}

uint64_t lmail_conn_key(const lmail_conn *conn)
{
    return conn->key ? conn->key : 1;
}

void lmail_conn_set_user(lmail_conn *conn, void *user)
{
    conn->user = user;
}

void *lmail_conn_user(const lmail_conn *conn)
{
    return conn->user;
}

void lmail_conn_traffic(const lmail_conn *conn, uint64_t *in, uint64_t *out)
{
    *in = conn->octets_in;
    *out = conn->octets_out;
}

void lmail_conn_set_tls(lmail_conn *conn, lmail_tls *tls)
{
    lmail_tls *before = conn->own_tls;
    conn->own_tls = tls ? lmail_tls_hold(tls) : NULL;
    lmail_tls_release(before);
}

lmail_status lmail_conn_channel_binding(lmail_conn *conn, unsigned char out[32])
{
    if (!conn->secured || conn->lent)
        return LMAIL_ERR_UNSUPPORTED;
    return lmi_tls_binding(conn->tls, out);
}

const char *lmail_conn_fault(const lmail_conn *conn)
{
    if (conn->fault)
        return conn->fault;
    if (conn->tls && conn->tls->fault && !conn->lent)
        return conn->tls->fault;
    return conn->error ? uv_strerror(conn->error) : "";
}

lmail_status lmail_conn_tls_peer(const lmail_conn *conn, lmail_tls_peer *peer)
{
    lmail_tls_peer found = LMAIL_TLS_PEER_INIT;
    if (peer->size > sizeof(found) || peer->size < sizeof(peer->size))
        return LMAIL_ERR_SIZE;
    if (conn->from || !conn->tls || conn->lent)
        return LMAIL_ERR_STATE;
    lmi_tls_peer(conn->tls, &found);
    found.size = peer->size;
    memcpy(peer, &found, peer->size);
    return LMAIL_OK;
}

const char *lmail_close_reason_name(lmail_close_reason reason)
{
    static const char *const names[] = {"?",      "session", "peer",        "error",
                                        "tls",    "timeout", "stop",        "host",
                                        "memory", "refused", "unreachable", "no answer"};
    return names[(unsigned)reason < sizeof(names) / sizeof(*names) ? reason : 0];
}
