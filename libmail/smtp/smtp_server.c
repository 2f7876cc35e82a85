/* smtp_server.c - the session: its life, its pump, its timers, and answers that come home.
 *
 * RFC 5321 §3.1, §4.5.3.2 (timeouts). The commands are run by smtp_machine.c; the pump itself is
 * base_session.c. */
#include "smtp/smtp_internal.h"

#include <string.h>

static lmail_smtp_server *of(lmail_session *base)
{
    return (lmail_smtp_server *)base;
}

LMI_PUMP(lmail_smtp_server);

/* ---- Ends ------------------------------------------------------------------------------------ */

void lmi_smtp_end_transaction(lmail_smtp_server *s)
{
    s->transaction = 0;
    s->started_body = 0;
    s->rcpt_tried = 0;
    s->recipients = s->recipients_bad = 0;
    s->ends_done = s->ends_total = 0;
    s->body_bad = 0;
    s->smtputf8 = 0;
    lmi_smtp_refusal_done(s, &s->body_refusal);
}

void lmi_smtp_abandon(lmail_smtp_server *s, lmail_smtp_abandon why)
{
    int told = s->transaction;
    lmi_smtp_end_transaction(s);
    if (told && s->setup->handler.on_abandon) {
        lmi_callback_begin(&s->base);
        s->setup->handler.on_abandon(s, s->base.user, &(lmail_smtp_abandon_event){why});
        lmi_callback_end(&s->base);
    }
}

void lmi_smtp_close(lmail_smtp_server *s, lmail_smtp_abandon why)
{
    lmi_close(&s->base); /* cancels first */
    lmi_smtp_auth_gone(s);
    lmi_smtp_abandon(s, why);
    lmi_smtp_enter(s, LMI_SMTP_OVER);
}

lmail_status lmi_smtp_farewell(lmail_smtp_server *s, lmail_smtp_reply_id id)
{
    lmail_status st = lmi_smtp_say(s, id, 0);
    lmi_smtp_close(s, LMAIL_SMTP_ABANDON_GONE);
    return st;
}

/* ---- The greeting ---------------------------------------------------------------------------- */

lmail_status lmi_smtp_apply_connect(lmail_smtp_server *s, const lmail_smtp_connect_answer *a)
{
    lmail_status st;
    s->flags = (s->flags & ~a->flags_off) | a->flags_on;
    if (a->kind == LMAIL_SMTP_CONNECT_CLOSE) {
        st = a->reply.code ? lmi_smtp_say_host(s, &a->reply, LMAIL_SMTP_SAY_REFUSED, 0)
                           : lmi_smtp_say(s, LMAIL_SMTP_SAY_REFUSED, 0);
        lmi_smtp_close(s, LMAIL_SMTP_ABANDON_GONE);
        return st;
    }
    if (a->kind == LMAIL_SMTP_CONNECT_REFUSE) {
        st = lmi_smtp_keep_reply(s, &s->connect_refusal, &a->reply, LMAIL_SMTP_SAY_REFUSED);
        if (st)
            return st;
    }
    return lmi_smtp_greet(s, a);
}

static lmail_status check_connect(const lmail_smtp_connect_answer *a)
{
    if (a->size > sizeof *a || a->size < sizeof a->size)
        return LMAIL_ERR_SIZE;
    if ((unsigned)a->kind > LMAIL_SMTP_CONNECT_CLOSE)
        return LMAIL_ERR_ARG;
    lmail_status st = lmi_smtp_check_reply(&a->banner);
    if (!st)
        st = lmi_smtp_check_reply(&a->reply);
    if (!st && a->kind != LMAIL_SMTP_CONNECT_ACCEPT && a->reply.code && a->reply.code < 400)
        st = LMAIL_ERR_ARG;
    return st;
}

static lmail_status after(lmail_smtp_server *s, lmail_status st);

static lmail_status start(lmail_session *base)
{
    lmail_smtp_server *s = of(base);
    lmail_smtp_connect_answer a = LMAIL_SMTP_CONNECT_ANSWER_INIT;
    lmi_question *q;
    if (!s->setup->handler.on_connect)
        return after(s, lmi_smtp_apply_connect(s, &a));
    lmail_status st = lmi_ask(base, LMI_SMTP_KIND_CONNECT, &q);
    if (st == LMAIL_ERR_LIMIT) /* behind XCLIENT: tickets of before are out still */
        return after(s, lmi_smtp_farewell(s, LMAIL_SMTP_SAY_STOPPING));
    if (st)
        return st;
    lmail_smtp_connect_event *ev = lmi_arena_zget(&q->arena, sizeof *ev);
    if (!ev)
        return lmi_smtp_drop(s, q);
    ev->tls = base->tls_active;
    lmi_callback_begin(base);
    st = s->setup->handler.on_connect(s, base->user, q->ticket, ev, &a);
    lmi_callback_end(base);
    if (st == LMAIL_PENDING) {
        s->asked = LMI_SMTP_ASKED_CONNECT;
        lmi_question_wait(base, q, 1, 0);
        return LMAIL_OK;
    }
    if (st || check_connect(&a)) {
        lmail_smtp_connect_answer refuse = LMAIL_SMTP_CONNECT_ANSWER_INIT;
        a = refuse;
        a.kind = LMAIL_SMTP_CONNECT_CLOSE;
        a.reply.code = 421; /* RFC 5321 §3.8: the service is not available */
        a.reply.enhanced = LMAIL_STR("4.3.0");
        a.reply.text = s->setup->config.host_name;
    }
    st = lmi_smtp_apply_connect(s, &a);
    lmi_question_done(base, q);
    return after(s, st);
}

/* ---- Input ----------------------------------------------------------------------------------- */

static int in_body(const lmail_smtp_server *s)
{
    return s->state == LMI_SMTP_DATA || s->state == LMI_SMTP_BDAT;
}

/* What follows any step: the last reply closes, a stop is obeyed, the clock is set. */
static lmail_status after(lmail_smtp_server *s, lmail_status st)
{
    const lmail_smtp_server_config *c = &s->setup->config;
    if (st < 0 || s->base.closing)
        return st;
    if (s->anew) {
        s->anew = 0;
        return start(&s->base);
    }
    if (s->base.holding || s->base.lending) {
        s->base.due = LMAIL_NEVER;
        return LMAIL_OK;
    }
    if (s->close_after) {
        lmi_smtp_close(s, LMAIL_SMTP_ABANDON_RESET);
        return LMAIL_OK;
    }
    if (s->base.stopping && !in_body(s))
        return lmi_smtp_farewell(s, LMAIL_SMTP_SAY_STOPPING);
    if (s->base.pausing || s->banner_waits)
        return LMAIL_OK; /* due is its end */
    if (in_body(s))
        s->base.due = lmi_later(s->base.now, c->data_timeout);
    else if (s->base.due == LMAIL_NEVER)
        s->base.due = lmi_later(s->base.now, c->command_timeout);
    return LMAIL_OK;
}

/* RFC 4954 §4: an AUTH line may be longer than others. */
static size_t line_limit(const lmail_smtp_server *s, lmail_str in)
{
    static const char auth[5] = "AUTH ";
    if (s->state == LMI_SMTP_AUTH)
        return LMI_SASL_LINE;
    for (size_t i = 0; i < sizeof auth; i++) {
        char c = 0;
        if (i < s->line.len)
            c = s->line.buf[i];
        else if (i - s->line.len < in.len)
            c = in.ptr[i - s->line.len];
        if (lmi_ascii_upper(c) != auth[i])
            return s->setup->config.max_line;
    }
    return LMI_SASL_LINE;
}

static lmail_status run_line(lmail_smtp_server *s, lmail_str line)
{
    lmail_status st;
    int secret = s->state == LMI_SMTP_AUTH || lmi_str_has_prefix_nocase(line, LMAIL_STR("AUTH "));
    s->base.due = LMAIL_NEVER; /* set anew in after() */
    if (s->state == LMI_SMTP_AUTH)
        st = lmi_smtp_auth_line(s, line);
    else
        st = lmi_smtp_command_line(s, line);
    if (secret)
        lmi_line_wipe(&s->line);
    return st;
}

static lmail_status take_line(lmail_smtp_server *s, lmail_str in, size_t *used)
{
    lmail_str line, none = {NULL, 0};
    lmail_smtp_reply_id id = LMAIL_SMTP_SAY_LINE_TOO_LONG;
    switch (lmi_line_read(&s->line, &s->base.alloc, in, line_limit(s, in), used, &line)) {
    case LMI_LINE_MORE:
        return LMAIL_OK;
    case LMI_LINE_NOMEM:
        return LMAIL_ERR_NOMEM;
    case LMI_LINE_READY:
        return lmi_smtp_must_wait(s, line) ? lmi_smtp_wait(s, line) : run_line(s, line);
    case LMI_LINE_BARE:
        id = LMAIL_SMTP_SAY_BARE_LINE_END;
        break;
    case LMI_LINE_LONG:
        lmi_trace(&s->base, LMAIL_TRACE_LIMIT, 0, 0, LMAIL_STR("max_line"));
        break;
    }
    s->base.due = LMAIL_NEVER;
    if (s->state == LMI_SMTP_AUTH) {
        lmi_line_wipe(&s->line);
        return lmi_smtp_auth_broken(s, id == LMAIL_SMTP_SAY_LINE_TOO_LONG ? LMAIL_SMTP_SAY_AUTH_LONG
                                                                          : id);
    }
    s->counters.commands++;
    return lmi_smtp_refuse(s, id, none, NULL);
}

static lmail_status input(lmail_session *base, lmail_str in, size_t *used)
{
    lmail_smtp_server *s = of(base);
    lmail_status st = s->banner_waits ? lmi_smtp_greet_now(s, 1) : LMAIL_OK;
    if (!st)
        st = in_body(s) ? lmi_smtp_take_body(s, in, used) : take_line(s, in, used);
    return after(s, st);
}

/* ---- The rest of the class ------------------------------------------------------------------- */

static lmail_status eof(lmail_session *base)
{
    lmi_smtp_close(of(base), LMAIL_SMTP_ABANDON_GONE);
    return LMAIL_OK;
}

static lmail_status timer(lmail_session *base)
{
    lmail_smtp_server *s = of(base);
    lmail_str line;
    if (s->banner_waits)
        return after(s, lmi_smtp_greet_now(s, 0));
    if (lmi_smtp_slow_line(s, &line)) {
        lmail_status st = run_line(s, line);
        lmi_smtp_slow_done(s, line);
        return after(s, st);
    }
    if (base->tls_wanted || base->tls_shaking) { /* no word of ours may stand in a handshake */
        lmi_smtp_close(s, LMAIL_SMTP_ABANDON_GONE);
        return LMAIL_OK;
    }
    lmi_trace(base, LMAIL_TRACE_LIMIT, 0, 0,
              in_body(s) ? LMAIL_STR("data_timeout") : LMAIL_STR("command_timeout"));
    return lmi_smtp_farewell(s, in_body(s) ? LMAIL_SMTP_SAY_TIMEOUT_DATA
                                           : LMAIL_SMTP_SAY_TIMEOUT_COMMAND);
}

/* RFC 3207 §4.2: what was learnt in clear is forgotten. */
static lmail_status tls_done(lmail_session *base)
{
    lmail_smtp_server *s = of(base);
    s->hello = LMAIL_SMTP_NO_HELLO;
    s->helo_len = 0;
    lmi_sasl_done(&s->sasl, &base->alloc);
    lmi_smtp_enter_idle(s);
    base->due = LMAIL_NEVER;
    return after(s, LMAIL_OK);
}

static lmail_status stop(lmail_session *base)
{
    lmail_smtp_server *s = of(base);
    if (base->tls_wanted || base->tls_shaking) {
        lmi_smtp_close(s, LMAIL_SMTP_ABANDON_GONE);
        return LMAIL_OK;
    }
    return after(s, LMAIL_OK);
}

static void cancelled(lmail_session *base, const lmi_question *q)
{
    lmail_smtp_server *s = of(base);
    if (!s->setup->handler.on_cancel)
        return;
    lmi_callback_begin(base);
    s->setup->handler.on_cancel(s, base->user, q->ticket);
    lmi_callback_end(base);
}

static void rest(lmail_session *base)
{
    lmail_smtp_server *s = of(base);
    if (lmi_line_empty(&s->line))
        lmi_line_done(&s->line, &base->alloc);
}

static void destroy(lmail_session *base)
{
    lmail_smtp_server *s = of(base);
    lmi_smtp_auth_gone(s);
    lmi_smtp_abandon(s, LMAIL_SMTP_ABANDON_GONE);
    lmi_smtp_refusal_done(s, &s->connect_refusal);
    lmi_smtp_refusal_done(s, &s->banner);
    lmi_free(&base->alloc, s->slow, s->slow_len);
    lmi_line_wipe(&s->line);
    lmi_line_done(&s->line, &base->alloc);
    lmi_free(&base->alloc, s->helo_name, s->helo_cap);
    lmi_sasl_done(&s->sasl, &base->alloc);
    lmi_session_done(base);
    lmail_alloc a = base->alloc;
    lmi_free(&a, s, sizeof *s);
}

static const lmi_class smtp_server_class = {.name = "smtp_server",
                                            .start = start,
                                            .input = input,
                                            .eof = eof,
                                            .timer = timer,
                                            .tls_done = tls_done,
                                            .stop = stop,
                                            .cancelled = cancelled,
                                            .rest = rest,
                                            .destroy = destroy};

lmail_status lmail_smtp_server_new(lmail_smtp_server **out, const lmail_smtp_server_setup *setup,
                                   void *user, lmail_msec now)
{
    const lmail_smtp_server_config *c = &setup->config;
    *out = NULL;
    lmail_smtp_server *s = lmi_zalloc(&c->alloc, sizeof *s);
    if (!s)
        return LMAIL_ERR_NOMEM;
    lmi_session_init(&s->base, &smtp_server_class, &c->alloc, user, now);
    s->base.trace = setup->handler.on_trace;
    s->base.max_tickets = c->max_pending;
    s->base.out_mark = c->out_mark;
    /* An event with the line it came from, or a response with its decoded form, always fits. */
    s->base.question_ceiling =
        (c->max_line > LMI_SASL_LINE ? c->max_line : (size_t)LMI_SASL_LINE) * 2 + 4096;
    s->setup = setup;
    s->flags = setup->flags;
    *out = s;
    return LMAIL_OK;
}

/* ---- Late answers ---------------------------------------------------------------------------- */

lmail_status lmail_smtp_server_answer(lmail_smtp_server *s, lmail_ticket t,
                                      const lmail_smtp_reply *reply, lmail_msec now)
{
    lmail_smtp_reply r = LMAIL_SMTP_REPLY_INIT;
    lmi_question *q;
    if (reply && lmi_struct_take(&r, sizeof r, reply))
        return LMAIL_ERR_SIZE;
    lmail_status st = lmi_smtp_check_reply(&r);
    if (st)
        return st;
    st = lmi_answer_enter(&s->base, t, LMI_SMTP_KIND_REPLY, now, &q);
    if (st)
        return st;
    st = lmi_smtp_apply(s, (lmi_smtp_asked)s->asked, q, &r);
    lmi_question_done(&s->base, q);
    if (!st)
        st = lmi_smtp_go_on(s);
    return lmi_leave(&s->base, after(s, st));
}

lmail_status lmail_smtp_server_answer_connect(lmail_smtp_server *s, lmail_ticket t,
                                              const lmail_smtp_connect_answer *answer,
                                              lmail_msec now)
{
    lmail_smtp_connect_answer a = LMAIL_SMTP_CONNECT_ANSWER_INIT;
    lmi_question *q;
    if (answer && lmi_struct_take(&a, sizeof a, answer))
        return LMAIL_ERR_SIZE;
    lmail_status st = check_connect(&a);
    if (st)
        return st;
    st = lmi_answer_enter(&s->base, t, LMI_SMTP_KIND_CONNECT, now, &q);
    if (st)
        return st;
    st = lmi_smtp_apply_connect(s, &a);
    lmi_question_done(&s->base, q);
    return lmi_leave(&s->base, after(s, st));
}

lmail_status lmail_smtp_server_answer_auth(lmail_smtp_server *s, lmail_ticket t,
                                           const lmail_auth_answer *answer, lmail_msec now)
{
    lmail_auth_answer a = LMAIL_AUTH_ANSWER_INIT;
    lmi_question *q;
    if (answer && lmi_struct_take(&a, sizeof a, answer))
        return LMAIL_ERR_SIZE;
    lmail_status st = lmi_sasl_check(&a);
    if (st)
        return st;
    st = lmi_answer_enter(&s->base, t, LMI_SMTP_KIND_AUTH, now, &q);
    if (st)
        return st;
    st = lmi_smtp_apply_auth(s, &a);
    lmi_question_done(&s->base, q);
    return lmi_leave(&s->base, after(s, st));
}

/* ---- What it knows --------------------------------------------------------------------------- */

void *lmail_smtp_server_user(const lmail_smtp_server *s)
{
    return s->base.user;
}

lmail_smtp_hello lmail_smtp_server_hello(const lmail_smtp_server *s)
{
    return (lmail_smtp_hello)s->hello;
}

lmail_str lmail_smtp_server_helo_name(const lmail_smtp_server *s)
{
    return (lmail_str){s->helo_name, s->helo_len};
}

const lmail_tls_facts *lmail_smtp_server_tls(const lmail_smtp_server *s)
{
    return s->base.tls_active ? &s->base.tls : NULL;
}

lmail_str lmail_smtp_server_identity(const lmail_smtp_server *s)
{
    return lmi_sasl_identity(&s->sasl);
}

lmail_str lmail_smtp_server_mechanism(const lmail_smtp_server *s)
{
    lmail_str none = {NULL, 0};
    return lmi_sasl_identity(&s->sasl).len ? (lmail_str){s->sasl.name, s->sasl.name_len} : none;
}

int lmail_smtp_server_in_transaction(const lmail_smtp_server *s)
{
    return s->transaction;
}

uint32_t lmail_smtp_server_recipients(const lmail_smtp_server *s)
{
    return s->recipients;
}

void lmail_smtp_server_counters(const lmail_smtp_server *s, lmail_smtp_counters *out)
{
    *out = s->counters;
}

lmail_smtp_error lmail_smtp_server_error(const lmail_smtp_server *s)
{
    return s->error;
}
