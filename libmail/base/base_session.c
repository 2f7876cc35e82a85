/* base_session.c - the pump of libmail/session.h, once for every session type.
 *
 * Guards (reentrancy, death, delayed free), readiness, TLS and filter changes, timers, closing.
 * What a protocol does with its input stands in its lmi_class. This file knows no protocol. */
#include "base/base_internal.h"
#include "base/base_out.h"
#include "base/base_question.h"

#include <string.h>

#define DEFAULT_MARK 65536u
#define DEFAULT_QUESTION_CEILING 65536u

void lmi_session_init(lmail_session *s, const lmi_class *cls, const lmail_alloc *alloc, void *user,
                      lmail_msec now)
{
    s->cls = cls;
    s->alloc = lmi_alloc_resolve(alloc);
    s->user = user;
    s->now = now;
    s->due = LMAIL_NEVER;
    s->out_mark = DEFAULT_MARK;
    s->question_ceiling = DEFAULT_QUESTION_CEILING;
}

void lmi_session_done(lmail_session *s)
{
    s->dead = 1;
    lmi_questions_end(s);
    lmi_out_done(s);
    lmi_free(&s->alloc, s->tls_text, s->tls_text_size);
}

/* ---- Guards ---------------------------------------------------------------------------------- */

lmail_status lmi_enter(lmail_session *s, lmail_msec now)
{
    if (s->in_callback)
        return LMAIL_ERR_REENTRANT;
    if (s->dead)
        return LMAIL_ERR_CLOSED;
    if (now > s->now)
        s->now = now;
    s->resting = 0;
    return LMAIL_OK;
}

static lmail_status give_room(lmail_session *s)
{
    while (s->want_room && !s->dead && !s->closing && s->out.size < s->out_mark &&
           !s->in_callback) {
        s->want_room = 0;
        lmail_status st = s->cls->room(s);
        if (st < 0)
            return st;
    }
    return LMAIL_OK;
}

lmail_status lmi_leave(lmail_session *s, lmail_status st)
{
    if (st >= 0) {
        lmail_status room = give_room(s);
        if (room < 0)
            st = room;
    }
    if (st < 0 && !s->dead) {
        s->dead = 1;
        s->due = LMAIL_NEVER;
        lmi_cancel_all(s);
    }
    if (s->free_asked)
        s->cls->destroy(s);
    return st < 0 ? st : LMAIL_OK;
}

void lmi_callback_begin(lmail_session *s)
{
    s->in_callback++;
}

void lmi_callback_end(lmail_session *s)
{
    s->in_callback--;
}

int lmi_ready(const lmail_session *s)
{
    return !s->dead && !s->closing && !s->holding && !s->lending && !s->pausing && !s->tls_wanted &&
           !s->tls_shaking && !s->filter_wanted && (s->reads_full || s->out.size < s->out_mark);
}

static lmail_status start(lmail_session *s)
{
    if (s->started)
        return LMAIL_OK;
    s->started = 1;
    return s->cls->start ? s->cls->start(s) : LMAIL_OK;
}

/* ---- The pump -------------------------------------------------------------------------------- */

const char *lmail_session_name(const lmail_session *s)
{
    return s->cls->name;
}

lmail_status lmail_session_feed(lmail_session *s, lmail_str in, size_t *used, lmail_msec now)
{
    *used = 0;
    lmail_status st = lmi_enter(s, now);
    if (st)
        return st;
    st = start(s);
    while (st >= 0 && *used < in.len && lmi_ready(s)) {
        size_t n = 0;
        st = s->cls->input(s, lmi_str_skip(in, *used), &n);
        *used += n;
        if (n == 0)
            break;
    }
    return lmi_leave(s, st);
}

lmail_status lmail_session_eof(lmail_session *s, lmail_msec now)
{
    lmail_status st = lmi_enter(s, now);
    if (st)
        return st;
    s->started = 1;
    lmi_cancel_all(s);
    if (s->cls->eof && !s->closing)
        st = s->cls->eof(s);
    lmi_close(s);
    return lmi_leave(s, st);
}

size_t lmail_session_peek(const lmail_session *s, lmail_str *out, size_t max)
{
    return s->dead ? 0 : lmi_out_peek(&s->out, out, max);
}

size_t lmail_session_unsent(const lmail_session *s)
{
    return s->dead ? 0 : s->out.size;
}

lmail_status lmail_session_sent(lmail_session *s, size_t n, lmail_msec now)
{
    lmail_status st = lmi_enter(s, now);
    if (st)
        return st;
    if (n > s->out.size)
        return LMAIL_ERR_ARG;
    lmi_out_sent(s, n);
    if (n && s->cls->sent)
        s->cls->sent(s);
    return lmi_leave(s, LMAIL_OK);
}

unsigned lmail_session_wants(const lmail_session *s)
{
    unsigned wants = 0;
    if (s->lending)
        wants |= LMAIL_WANT_HOLD;
    if (s->dead)
        return wants | LMAIL_WANT_CLOSE;
    if (s->out.size)
        wants |= LMAIL_WANT_WRITE;
    else if (s->closing)
        wants |= LMAIL_WANT_CLOSE;
    else if (s->tls_wanted)
        wants |= LMAIL_WANT_TLS;
    else if (s->filter_wanted)
        wants |= s->filter_wanted;
    if (lmi_ready(s))
        wants |= LMAIL_WANT_READ;
    return wants;
}

lmail_msec lmail_session_deadline(const lmail_session *s)
{
    if (s->dead)
        return LMAIL_NEVER;
    return s->started ? s->due : s->now; /* not started: the greeting is due at once */
}

lmail_status lmail_session_tick(lmail_session *s, lmail_msec now)
{
    lmail_status st = lmi_enter(s, now);
    if (st)
        return st;
    st = start(s);
    if (st >= 0 && s->due <= s->now && !s->closing) {
        s->due = LMAIL_NEVER;
        st = s->cls->timer ? s->cls->timer(s) : LMAIL_OK;
    }
    return lmi_leave(s, st);
}

lmail_status lmail_session_tls_begin(lmail_session *s, size_t unread, lmail_msec now)
{
    lmail_status st = lmi_enter(s, now);
    if (st)
        return st;
    if (!s->tls_wanted || s->out.size)
        return LMAIL_ERR_STATE;
    s->tls_wanted = 0;
    if (unread) {
        lmi_trace(s, LMAIL_TRACE_VIOLATION, 0, 0, LMAIL_STR("octets pipelined behind STARTTLS"));
        if (s->cls->injected)
            s->cls->injected(s);
        lmi_close(s);
        lmi_leave(s, LMAIL_OK);
        return LMAIL_ERR_CLOSED;
    }
    s->tls_shaking = 1;
    return lmi_leave(s, LMAIL_OK);
}

static lmail_str put(char **at, lmail_str text)
{
    lmail_str copy = {*at, text.len};
    if (text.len)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

static lmail_status forget_facts(lmail_session *s, lmail_status st)
{
    memset(&s->tls, 0, sizeof s->tls);
    return st;
}

static lmail_status keep_facts(lmail_session *s, const lmail_tls_facts *f)
{
    lmail_str *texts[] = {&s->tls.version,      &s->tls.cipher,     &s->tls.server_name,
                          &s->tls.alpn,         &s->tls.peer_name,  &s->tls.peer_common_name,
                          &s->tls.peer_subject, &s->tls.peer_issuer};
    size_t total = 1;
    lmi_struct_take(&s->tls, sizeof s->tls, f);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (lmail_size_add(total, texts[i]->len, &total))
            return forget_facts(s, LMAIL_ERR_ARG);
    char *at = lmi_malloc(&s->alloc, total);
    if (!at)
        return forget_facts(s, LMAIL_ERR_NOMEM);
    s->tls_text = at;
    s->tls_text_size = total;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = put(&at, *texts[i]);
    return LMAIL_OK;
}

lmail_status lmail_session_tls_done(lmail_session *s, const lmail_tls_facts *facts, lmail_msec now)
{
    lmail_status st = lmi_enter(s, now);
    if (st)
        return st;
    if (facts->size > sizeof *facts)
        return LMAIL_ERR_SIZE;
    if (s->tls_active || (s->started && !s->tls_shaking))
        return LMAIL_ERR_STATE;
    st = keep_facts(s, facts);
    s->tls_shaking = 0;
    if (st >= 0) {
        s->tls_active = 1;
        if (s->started)
            st = s->cls->tls_done ? s->cls->tls_done(s) : LMAIL_OK;
        else
            st = start(s); /* implicit TLS: the greeting already knows it */
    }
    return lmi_leave(s, st);
}

lmail_status lmail_session_filter_done(lmail_session *s, lmail_msec now)
{
    lmail_status st = lmi_enter(s, now);
    if (st)
        return st;
    if (!s->filter_wanted || s->out.size)
        return LMAIL_ERR_STATE;
    s->filter_wanted = 0;
    st = s->cls->filter_done ? s->cls->filter_done(s) : LMAIL_OK;
    return lmi_leave(s, st);
}

lmail_status lmail_session_stop(lmail_session *s, lmail_msec now)
{
    lmail_status st = lmi_enter(s, now);
    if (st)
        return st;
    if (!s->stopping && !s->closing) {
        s->stopping = 1;
        if (s->started)
            st = s->cls->stop(s);
        else
            lmi_close(s);
    }
    return lmi_leave(s, st);
}

void lmail_session_rest(lmail_session *s)
{
    if (s->in_callback || s->dead || s->resting)
        return;
    s->resting = 1;
    lmi_questions_rest(s);
    lmi_out_rest(s);
    if (s->cls->rest)
        s->cls->rest(s);
}

size_t lmail_session_tickets(const lmail_session *s)
{
    return s->tickets;
}

void lmail_session_free(lmail_session *s)
{
    if (!s)
        return;
    if (s->in_callback)
        s->free_asked = 1;
    else
        s->cls->destroy(s);
}

/* ---- What the protocols ask for -------------------------------------------------------------- */

void lmi_want_room(lmail_session *s)
{
    s->want_room = 1;
}

void lmi_want_tls(lmail_session *s)
{
    s->tls_wanted = 1;
}

void lmi_want_deflate(lmail_session *s, int on)
{
    s->filter_wanted = on ? LMAIL_WANT_DEFLATE_ON : LMAIL_WANT_DEFLATE_OFF;
}

void lmi_close(lmail_session *s)
{
    s->closing = 1;
    s->due = LMAIL_NEVER;
    s->want_room = 0;
    s->tls_wanted = 0;
    s->filter_wanted = 0;
    lmi_cancel_all(s);
}

void lmi_trace(lmail_session *s, lmail_trace_kind kind, lmail_ticket t, size_t offset,
               lmail_str text)
{
    if (!s->trace)
        return;
    lmail_trace ev = {kind, t, offset, text};
    lmi_callback_begin(s);
    s->trace(s->user, &ev);
    lmi_callback_end(s);
}
