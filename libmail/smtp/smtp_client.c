/* smtp_client.c - the client session: its life, the pump's class, the one writer of commands, and
 * what it tells about itself.
 *
 * RFC 5321 §4.5.3.2 (timeouts). What a reply means and what comes next stands in
 * smtp_client_machine.c; the pump itself is base_session.c. */
#include "smtp/smtp_client_internal.h"

#include <string.h>

static lmail_smtp_client *of(lmail_session *base)
{
    return (lmail_smtp_client *)base;
}

LMI_PUMP(lmail_smtp_client);

lmail_status lmi_smtpc_say(lmail_smtp_client *s, const lmail_str *pieces, size_t count)
{
    lmail_status st = LMAIL_OK;
    char shown[256];
    size_t n = 0;
    for (size_t i = 0; i < count && !st; i++) {
        st = lmi_out_str(&s->base, pieces[i]);
        for (size_t k = 0; s->base.trace && k < pieces[i].len && n < sizeof shown; k++)
            shown[n++] = pieces[i].ptr[k];
    }
    if (!st)
        st = lmi_out_str(&s->base, LMAIL_STR("\r\n"));
    lmi_trace(&s->base, LMAIL_TRACE_OUT, 0, 0, (lmail_str){shown, n});
    return st;
}

/* ---- The class ------------------------------------------------------------------------------- */

/* Verified TLS is demanded, and it is not. */
static int unverified(const lmail_smtp_client *s)
{
    return s->tls == LMAIL_SMTP_TLS_VERIFIED && s->base.tls_active && !s->base.tls.peer_verified;
}

static lmail_status start(lmail_session *base)
{
    lmail_smtp_client *s = of(base);
    if (unverified(s)) {
        lmi_smtpc_enter(s, LMI_SMTPC_SHAKING);
        return lmi_smtpc_cut(s, LMAIL_SMTP_CAUSE_POLICY);
    }
    lmi_smtpc_enter(s, LMI_SMTPC_GREETING);
    return lmi_smtpc_go_on(s, LMAIL_OK);
}

static lmail_status input(lmail_session *base, lmail_str in, size_t *used)
{
    lmail_smtp_client *s = of(base);
    uint32_t before = s->replies;
    lmail_msec due = base->due;
    lmail_status st = lmi_smtpc_go_on(s, lmi_smtpc_take_line(s, in, used));
    if (s->replies == before && due < base->due && !base->closing)
        base->due = due; /* a reply that comes in drops wins no time */
    return st;
}

static lmail_status eof(lmail_session *base)
{
    return lmi_smtpc_cut(of(base), LMAIL_SMTP_CAUSE_LOST);
}

static lmail_status timer(lmail_session *base)
{
    lmi_trace(base, LMAIL_TRACE_LIMIT, 0, 0,
              lmail_str_from(lmail_smtp_phase_name(lmi_smtpc_phase(of(base)))));
    return lmi_smtpc_cut(of(base), LMAIL_SMTP_CAUSE_TIMEOUT);
}

static lmail_status room(lmail_session *base)
{
    return lmi_smtpc_go_on(of(base), LMAIL_OK);
}

/* The server took something: its time begins anew. */
static void sent(lmail_session *base)
{
    if (!base->closing)
        base->due = lmi_later(base->now, lmi_smtpc_patience(of(base)));
}

static void injected(lmail_session *base)
{
    lmi_smtpc_cut(of(base), LMAIL_SMTP_CAUSE_PROTOCOL);
}

static lmail_status tls_done(lmail_session *base)
{
    lmail_smtp_client *s = of(base);
    if (unverified(s))
        return lmi_smtpc_go_on(s, lmi_smtpc_quit(s, LMAIL_SMTP_CAUSE_POLICY));
    return lmi_smtpc_go_on(s, lmi_smtpc_ehlo(s));
}

static lmail_status stop(lmail_session *base)
{
    lmail_smtp_client *s = of(base);
    lmi_smtpc_verdict v = lmi_smtpc_by_cause(LMAIL_SMTP_CAUSE_STOPPED, LMAIL_SMTP_PHASE_IDLE);
    if (s->ended)
        return LMAIL_OK;
    if (!s->running && s->state != LMI_SMTPC_READY)
        return lmi_smtpc_cut(s, LMAIL_SMTP_CAUSE_STOPPED);
    lmi_smtpc_drop_waiting(s, &v);
    return lmi_smtpc_go_on(s, LMAIL_OK);
}

static void cancelled(lmail_session *base, const lmi_question *q)
{
    lmail_smtp_client *s = of(base);
    if (!s->setup->on.on_cancel)
        return;
    lmi_callback_begin(base);
    s->setup->on.on_cancel(s, base->user, q->ticket);
    lmi_callback_end(base);
}

static void released(lmail_session *base, lmail_ticket t)
{
    lmail_smtp_client *s = of(base);
    if (t & LMI_SMTPC_NOT_LAST || lmi_smtpc_wipe_sent(s, t))
        return;
    lmi_callback_begin(base);
    s->setup->on.on_released(s, base->user, t);
    lmi_callback_end(base);
}

static void rest(lmail_session *base)
{
    lmail_smtp_client *s = of(base);
    if (lmi_line_empty(&s->line))
        lmi_line_done(&s->line, &base->alloc);
    if (s->spare)
        lmi_free(&base->alloc, s->spare, s->spare->size);
    s->spare = NULL;
}

static void destroy(lmail_session *base)
{
    lmail_smtp_client *s = of(base);
    base->free_asked = 0;
    lmi_smtpc_cut(s, LMAIL_SMTP_CAUSE_FREED);
    lmi_line_wipe(&s->line);
    lmi_line_done(&s->line, &base->alloc);
    lmi_session_done(base);
    lmi_smtpc_auth_done(s);
    lmi_smtpc_jobs_done(s);
    lmail_alloc a = base->alloc;
    lmi_free(&a, s, s->size);
}

static const lmi_class smtp_client_class = {.name = "smtp_client",
                                            .start = start,
                                            .input = input,
                                            .eof = eof,
                                            .timer = timer,
                                            .room = room,
                                            .sent = sent,
                                            .injected = injected,
                                            .tls_done = tls_done,
                                            .stop = stop,
                                            .cancelled = cancelled,
                                            .released = released,
                                            .rest = rest,
                                            .destroy = destroy};

lmail_status lmail_smtp_client_new(lmail_smtp_client **out, const lmail_smtp_client_setup *setup,
                                   const lmail_smtp_client_target *target, void *user,
                                   lmail_msec now)
{
    const lmail_smtp_client_config *c = &setup->config;
    lmail_smtp_client_target t = LMAIL_SMTP_CLIENT_TARGET_INIT;
    *out = NULL;
    if (target && lmi_struct_take(&t, sizeof t, target))
        return LMAIL_ERR_SIZE;
    if (!lmi_smtpc_helo_ok(t.helo_name) || (unsigned)t.tls > LMAIL_SMTP_TLS_VERIFIED)
        return LMAIL_ERR_ARG;
    lmail_str name = t.helo_name.len ? t.helo_name : c->helo_name;
    size_t size = sizeof(lmail_smtp_client) + c->max_reply_text + name.len;
    lmail_smtp_client *s = lmi_zalloc(&c->alloc, size);
    if (!s)
        return LMAIL_ERR_NOMEM;
    lmi_session_init(&s->base, &smtp_client_class, &c->alloc, user, now);
    s->base.trace = setup->on.on_trace;
    s->base.out_mark = c->out_mark;
    s->base.reads_full = 1;
    s->setup = setup;
    s->size = size;
    s->flags = (c->flags & ~t.flags_off) | t.flags_on;
    s->ignore = c->ignore | t.ignore;
    s->tls = t.tls ? t.tls : c->tls;
    s->text = (char *)(s + 1);
    memcpy(s->text + c->max_reply_text, name.ptr, name.len);
    s->helo_name = (lmail_str){s->text + c->max_reply_text, name.len};
    lmi_smtpc_forget(s);
    *out = s;
    return LMAIL_OK;
}

/* ---- What it knows --------------------------------------------------------------------------- */

void *lmail_smtp_client_user(const lmail_smtp_client *s)
{
    return s->base.user;
}

void lmail_smtp_client_capabilities(const lmail_smtp_client *s, lmail_smtp_capabilities *out)
{
    *out = s->can;
}

const lmail_tls_facts *lmail_smtp_client_tls(const lmail_smtp_client *s)
{
    return s->base.tls_active ? &s->base.tls : NULL;
}

lmail_str lmail_smtp_client_mechanism(const lmail_smtp_client *s)
{
    return (lmail_str){s->mechanism, s->logged_in ? s->mechanism_len : 0u};
}

lmail_smtp_phase lmail_smtp_client_phase(const lmail_smtp_client *s)
{
    return lmi_smtpc_phase(s);
}

uint32_t lmail_smtp_client_queued(const lmail_smtp_client *s)
{
    return s->queued;
}

uint32_t lmail_smtp_client_mails_left(const lmail_smtp_client *s)
{
    if (s->ended || s->base.stopping || s->base.closing)
        return 0;
    if (!s->can.mail_max)
        return UINT32_MAX;
    return s->can.mail_max > s->mails_begun ? s->can.mail_max - s->mails_begun : 0;
}
