/* net_pump.c - octets between a socket, the TLS filter and a session (the loop in
 * libmail/session.h, once for every session type).
 *
 * Reading: each read has a buffer of its own. What the session does not take stays there, unmoved,
 * in c->cur; one buffer more is read into c->extra, so that a peer that left is noticed, then
 * reading rests. Under TLS both hold plaintext; ciphertext is never kept. Writing: what the socket
 * takes at once is written from the session's own segments; libuv writes the rest from there too,
 * since peeked octets stay until sent() covers them. Under TLS the records are what is written. A
 * batch of pipelined commands gives one write. */
#include "net_internal.h"

#include <string.h>

#define SLICES 64
#define TURN (1024u * 1024)  /* octets out before other connections get their turn */
#define RECORDS (64u * 1024) /* ciphertext made before it is written */
#define LINGER_MAX (256u * 1024)

/* ---- Reading --------------------------------------------------------------------------------- */

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    lmail_conn *c = handle->data;
    (void)suggested;
    int large = c->large && c->state == LMI_CONN_OPEN;
    lmi_buf *b = lmi_buf_get(&c->loop->bufs, large);
    *out = uv_buf_init(b ? b->data : NULL, !b ? 0 : large ? LMI_READ_LARGE : LMI_READ_SMALL);
}

static lmi_buf *buffer_of(const uv_buf_t *buf)
{
    return buf->base ? (lmi_buf *)(buf->base - offsetof(lmi_buf, data)) : NULL;
}

static void peer_ended(lmail_conn *c, ssize_t why)
{
    if (why == UV_ENOBUFS) {
        lmi_conn_abort(c, LMAIL_CLOSE_MEMORY);
    } else if (c->state == LMI_CONN_SHAKING) {
        lmi_conn_shake_failed(c);
        c->fault = "connection closed during the TLS handshake";
        lmi_conn_abort(c, !c->from        ? LMAIL_CLOSE_TLS
                          : why == UV_EOF ? LMAIL_CLOSE_PEER
                                          : LMAIL_CLOSE_ERROR);
    } else if (why != UV_EOF) {
        c->error = (int)why;
        lmi_conn_abort(c, LMAIL_CLOSE_ERROR);
    } else if (c->state == LMI_CONN_OPEN) {
        c->eof = 1; /* told to the session when it has taken what came before */
        lmi_conn_read(c, 0);
        lmi_conn_pump(c);
    } else {
        lmi_conn_abort(c, LMAIL_CLOSE_PEER);
    }
}

void lmi_conn_take_plain(lmail_conn *c, lmi_buf *b)
{
    if (!c->cur)
        c->cur = b;
    else
        c->extra = b; /* reading has rested since it was filled before */
}

static void octets_came(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    lmail_conn *c = stream->data;
    lmi_buf *b = buffer_of(buf);
    if (n <= 0 || c->state >= LMI_CONN_LINGER) {
        lmi_buf_put(&c->loop->bufs, b);
        if (n < 0)
            peer_ended(c, n);
        else if (c->state == LMI_CONN_LINGER && (c->lingered += (size_t)n) > LINGER_MAX)
            lmi_conn_abort(c, c->reason);
        return;
    }
    b->to = (size_t)n;
    c->octets_in += (uint64_t)n;
    c->active = uv_now(c->loop->uv);
    c->rested = 0;
    if (c->state == LMI_CONN_PROXY) {
        lmi_conn_proxy_input(c, b);
    } else if (c->state == LMI_CONN_SHAKING) {
        lmi_conn_shake_input(c, b);
    } else {
        size_t got = b->to;
        int filled = got == (b->large ? LMI_READ_LARGE : LMI_READ_SMALL);
        if (c->secured)
            lmi_conn_decrypt(c, b);
        else
            lmi_conn_take_plain(c, b);
        lmi_conn_pump(c);
        /* A body that the session takes as it comes is worth larger pieces. */
        c->large = filled ? !c->cur || c->large : c->large && got > LMI_READ_SMALL;
    }
}

void lmi_conn_read(lmail_conn *c, int on)
{
    if (c->state >= LMI_CONN_CLOSING || on == c->reading)
        return;
    c->reading = (uint8_t)on;
    if (on)
        uv_read_start(&c->uv.stream, give_buffer, octets_came);
    else
        uv_read_stop(&c->uv.stream);
}

/* 1: the session took something. */
static int feed(lmail_conn *c, lmail_msec now)
{
    int moved = 0;
    while (c->cur && c->state == LMI_CONN_OPEN) {
        lmi_buf *b = c->cur;
        size_t len = b->to - b->from, used = 0;
        unsigned wants = lmail_session_wants(c->session);
        if (len && (wants & LMAIL_WANT_READ)) {
            lmail_session_feed(c->session, (lmail_str){b->data + b->from, len}, &used, now);
            b->from += used;
            moved |= used > 0;
            wants = lmail_session_wants(c->session);
        }
        if (b->from < b->to || (wants & LMAIL_WANT_HOLD))
            break;
        lmi_buf_put(&c->loop->bufs, b);
        c->cur = c->extra;
        c->extra = NULL;
    }
    return moved;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void written(uv_write_t *write, int status)
{
    lmail_conn *c = write->data;
    size_t n = c->writing;
    c->writing = 0;
    if (c->tls)
        c->tls->pinned = 0;
    if (c->state >= LMI_CONN_CLOSING)
        return;
    if (status < 0) {
        c->error = status;
        lmi_conn_abort(c, LMAIL_CLOSE_ERROR);
        return;
    }
    c->octets_out += n;
    c->active = uv_now(c->loop->uv);
    if (c->tls)
        lmi_tls_sent(c->tls, n);
    else
        lmail_session_sent(c->session, n, c->active);
    lmi_conn_pump(c);
}

/* Write: at once what the socket takes, libuv the rest. *done: octets written now. 0: failed. */
static int write_out(lmail_conn *c, uv_buf_t *bufs, unsigned n, size_t *done)
{
    size_t total = 0;
    *done = 0;
    for (unsigned i = 0; i < n; i++)
        total += bufs[i].len;
    int took = uv_try_write(&c->uv.stream, bufs, n);
    if (took == UV_EAGAIN)
        took = 0;
    if (took < 0) {
        c->error = took;
        lmi_conn_abort(c, LMAIL_CLOSE_ERROR);
        return 0;
    }
    *done = (size_t)took;
    c->octets_out += *done;
    c->active = uv_now(c->loop->uv);
    c->rested = 0;
    if (*done == total)
        return 1;
    size_t skip = *done;
    while (skip >= bufs->len) {
        skip -= bufs->len;
        bufs++;
        n--;
    }
    bufs->base += skip;
    bufs->len -= skip;
    if (uv_write(&c->write, &c->uv.stream, bufs, n, written)) {
        lmi_conn_abort(c, LMAIL_CLOSE_MEMORY);
        return 0;
    }
    c->writing = total - *done;
    lmi_conn_watch_write(c);
    return 1;
}

static size_t flush_plain(lmail_conn *c, lmail_msec now)
{
    lmail_str slices[SLICES];
    uv_buf_t bufs[SLICES];
    size_t n = lmail_session_peek(c->session, slices, SLICES), done;
    for (size_t i = 0; i < n; i++)
        bufs[i] = uv_buf_init((char *)slices[i].ptr, (unsigned)slices[i].len);
    if (n == 0 || !write_out(c, bufs, (unsigned)n, &done))
        return 0;
    if (done)
        lmail_session_sent(c->session, done, now);
    return done;
}

void lmi_conn_flush_tls(lmail_conn *c)
{
    lmail_str waits = lmi_tls_peek(c->tls);
    size_t done;
    if (c->writing || !waits.len || c->state >= LMI_CONN_CLOSING)
        return;
    uv_buf_t buf = uv_buf_init((char *)waits.ptr, (unsigned)waits.len);
    if (!write_out(c, &buf, 1, &done))
        return;
    if (done)
        lmi_tls_sent(c->tls, done);
    c->tls->pinned = c->writing > 0;
}

/* The next octets for one record: the first slice, or several small ones gathered. */
static lmail_str next_record(lmail_conn *c)
{
    lmail_str slices[SLICES];
    size_t n = lmail_session_peek(c->session, slices, SLICES), len = 0;
    if (n == 0)
        return (lmail_str){NULL, 0};
    if (n == 1 || slices[0].len >= LMI_TLS_RECORD)
        return slices[0];
    for (size_t i = 0; i < n && len < LMI_TLS_RECORD; i++) {
        size_t part = LMI_TLS_RECORD - len;
        if (part > slices[i].len)
            part = slices[i].len;
        memcpy(c->loop->record + len, slices[i].ptr, part);
        len += part;
    }
    return (lmail_str){c->loop->record, len};
}

static size_t flush_secured(lmail_conn *c, lmail_msec now)
{
    size_t total = 0;
    while (!c->writing && c->state == LMI_CONN_OPEN && total < RECORDS) {
        lmail_str record = next_record(c);
        size_t used = 0;
        if (!record.len)
            break;
        if (lmi_tls_write(c->tls, record.ptr, record.len, &used) != LMI_TLS_OK) {
            lmi_conn_flush_tls(c);
            lmi_conn_abort(c, LMAIL_CLOSE_TLS);
            return total;
        }
        lmail_session_sent(c->session, used, now);
        total += used;
    }
    lmi_conn_flush_tls(c);
    return total;
}

static size_t flush(lmail_conn *c, lmail_msec now)
{
    if (c->writing || c->state != LMI_CONN_OPEN)
        return 0;
    return c->secured ? flush_secured(c, now) : flush_plain(c, now);
}

/* ---- The pump -------------------------------------------------------------------------------- */

static size_t unread(const lmail_conn *c)
{
    return (c->cur ? c->cur->to - c->cur->from : 0) +
           (c->extra ? c->extra->to - c->extra->from : 0);
}

/* All output has left us. Under TLS the peer is told that it is whole (RFC 8446 §6.1). */
static void part(lmail_conn *c)
{
    if (c->secured && !c->farewell) {
        c->farewell = 1;
        lmi_tls_close_notify(c->tls);
        lmi_conn_flush_tls(c);
    }
    if (!c->writing && c->state == LMI_CONN_OPEN)
        lmi_conn_linger(c);
}

static void start_tls(lmail_conn *c, lmail_msec now)
{
    if (!c->setup->tls || c->secured) {
        c->fault = "no TLS is set up for it";
        lmi_conn_abort(c, LMAIL_CLOSE_TLS);
        return;
    }
    if (lmail_session_tls_begin(c->session, unread(c), now) == LMAIL_OK)
        lmi_conn_shake_begin(c);
}

/* One round. 1: there may be more to do at once. */
static int turn(lmail_conn *c, lmail_msec now, size_t *budget)
{
    int moved = feed(c, now);
    size_t sent = flush(c, now);
    *budget -= sent < *budget ? sent : *budget;
    if (c->state != LMI_CONN_OPEN)
        return 0;
    unsigned wants = lmail_session_wants(c->session);
    if (c->writing)
        return moved && (wants & LMAIL_WANT_READ) && unread(c);
    if (wants & LMAIL_WANT_CLOSE) {
        part(c);
        return 0;
    }
    if (wants & LMAIL_WANT_TLS) {
        start_tls(c, now);
        return c->state == LMI_CONN_OPEN;
    }
    if (wants & (LMAIL_WANT_DEFLATE_ON | LMAIL_WANT_DEFLATE_OFF)) {
        lmi_conn_abort(c, LMAIL_CLOSE_HOST); /* no such filter here: it must not be offered */
        return 0;
    }
    /* A client may end its side behind its last command: what is being worked on is answered
     * still. */
    if (c->eof && !unread(c) && !c->eof_told && !lmail_session_tickets(c->session)) {
        c->eof_told = 1;
        c->reason = LMAIL_CLOSE_PEER;
        lmail_session_eof(c->session, now);
        return 1;
    }
    return (moved || sent) &&
           ((wants & LMAIL_WANT_WRITE) || ((wants & LMAIL_WANT_READ) && unread(c)));
}

void lmi_conn_pump(lmail_conn *c)
{
    lmail_msec now = uv_now(c->loop->uv);
    size_t budget = TURN;
    if (c->pumping) { /* a callback of the session came here: once more when it is through */
        lmi_loop_ready(c);
        return;
    }
    c->pumping = 1;
    if (c->state == LMI_CONN_SHAKING && !c->lent) {
        lmi_conn_flush_tls(c);
        lmi_conn_read(c, !c->writing); /* no step while a flight is on its way */
    }
    if (c->state == LMI_CONN_OPEN && lmail_session_deadline(c->session) <= now)
        lmail_session_tick(c->session, now);
    while (c->state == LMI_CONN_OPEN && turn(c, now, &budget))
        if (!budget) {
            lmi_loop_ready(c);
            break;
        }
    c->pumping = 0;
    if (c->state == LMI_CONN_OPEN)
        lmi_conn_read(c, !c->extra && !c->eof);
    lmi_conn_arm(c);
}
