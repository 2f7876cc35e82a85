/* smtp_auth.c - AUTH and STARTTLS.
 *
 * RFC 4954 §4 and §5, RFC 3207. The exchange is framed by libmail/sasl; this file gives it SMTP's
 * words. No octet of an exchange reaches the trace unless the config says so, and lines are
 * wiped. */
#include "smtp/smtp_internal.h"

lmail_str lmi_smtp_mechanisms(lmail_smtp_server *s)
{
    const lmail_smtp_server_handler *h = &s->setup->handler;
    lmail_str none = {NULL, 0};
    if (!h->auth_mechanisms || !h->on_auth)
        return none;
    lmi_callback_begin(&s->base);
    lmail_str list = h->auth_mechanisms(s, s->base.user);
    lmi_callback_end(&s->base);
    return list;
}

/* ---- The exchange ---------------------------------------------------------------------------- */

static void tell_end(lmail_smtp_server *s, lmail_auth_end how)
{
    if (!lmi_sasl_end(&s->sasl) || !s->setup->handler.on_auth_end)
        return;
    lmi_callback_begin(&s->base);
    s->setup->handler.on_auth_end(s, s->base.user, &(lmail_auth_end_event){how});
    lmi_callback_end(&s->base);
}

void lmi_smtp_auth_gone(lmail_smtp_server *s)
{
    tell_end(s, LMAIL_AUTH_END_GONE);
}

static lmail_status end_badly(lmail_smtp_server *s, lmail_smtp_reply_id id, lmail_auth_end how)
{
    lmail_str none = {NULL, 0};
    tell_end(s, how);
    lmi_smtp_enter_idle(s);
    return lmi_smtp_refuse(s, id, none, NULL);
}

lmail_status lmi_smtp_auth_broken(lmail_smtp_server *s, lmail_smtp_reply_id id)
{
    return end_badly(s, id, LMAIL_AUTH_END_BROKEN);
}

static lmail_status end_well(lmail_smtp_server *s)
{
    tell_end(s, LMAIL_AUTH_END_OK);
    lmi_smtp_enter_idle(s);
    return lmi_smtp_say(s, LMAIL_SMTP_SAY_AUTH_OK, 0);
}

static lmail_smtp_reply_id failure_reply(lmail_auth_failure f)
{
    static const lmail_smtp_reply_id replies[] = {
        [LMAIL_AUTH_CREDENTIALS] = LMAIL_SMTP_SAY_AUTH_CREDENTIALS,
        [LMAIL_AUTH_TEMPORARY] = LMAIL_SMTP_SAY_AUTH_TEMPORARY,
        [LMAIL_AUTH_PERMANENT] = LMAIL_SMTP_SAY_AUTH_PERMANENT,
        [LMAIL_AUTH_AUTHORIZATION] = LMAIL_SMTP_SAY_AUTH_AUTHORIZATION,
        [LMAIL_AUTH_EXPIRED] = LMAIL_SMTP_SAY_AUTH_EXPIRED,
        [LMAIL_AUTH_ENCRYPTION] = LMAIL_SMTP_SAY_AUTH_ENCRYPTION,
        [LMAIL_AUTH_WEAK] = LMAIL_SMTP_SAY_AUTH_WEAK,
        [LMAIL_AUTH_TRANSITION] = LMAIL_SMTP_SAY_AUTH_TRANSITION,
        [LMAIL_AUTH_PROTOCOL] = LMAIL_SMTP_SAY_AUTH_PROTOCOL};
    return replies[f];
}

static lmail_status end_failed(lmail_smtp_server *s, const lmail_auth_answer *a)
{
    uint32_t limit = s->setup->config.max_auth_failures;
    lmail_smtp_reply_id id = failure_reply(a->failure);
    tell_end(s, LMAIL_AUTH_END_FAILED);
    lmi_smtp_enter_idle(s);
    s->counters.auth_failures++;
    if (s->counters.auth_failures >= limit) {
        lmi_trace(&s->base, LMAIL_TRACE_LIMIT, 0, 0, LMAIL_STR("max_auth_failures"));
        return lmi_smtp_farewell(s, LMAIL_SMTP_SAY_AUTH_TOO_MANY);
    }
    lmail_smtp_reply r = LMAIL_SMTP_REPLY_INIT;
    if (a->text.len) {
        r.code = s->setup->texts[id].code;
        r.text = a->text;
    }
    return lmi_smtp_say_host(s, &r, id, 0);
}

lmail_status lmi_smtp_apply_auth(lmail_smtp_server *s, const lmail_auth_answer *a)
{
    lmi_sasl_next next = LMI_SASL_FAILED;
    lmail_status st = lmi_sasl_answer(&s->sasl, &s->base, a, LMAIL_STR("334 "), &next);
    if (st)
        return st;
    if (next == LMI_SASL_CHALLENGE) {
        lmi_trace(&s->base, LMAIL_TRACE_OUT, 0, 0, LMAIL_STR("334 <secret>"));
        lmi_smtp_enter(s, LMI_SMTP_AUTH);
        return LMAIL_OK;
    }
    return next == LMI_SASL_OK ? end_well(s) : end_failed(s, a);
}

static lmail_status ask(lmail_smtp_server *s)
{
    lmail_auth_answer a = LMAIL_AUTH_ANSWER_INIT;
    const lmail_auth_event *ev;
    lmi_question *q;
    lmail_status st = lmi_ask(&s->base, LMI_SMTP_KIND_AUTH, &q);
    if (st == LMAIL_ERR_LIMIT)
        return end_badly(s, LMAIL_SMTP_SAY_NO_MEMORY, LMAIL_AUTH_END_BROKEN);
    if (st)
        return st;
    st = lmi_sasl_event(&s->sasl, q, &ev);
    if (st)
        return lmi_smtp_drop(s, q);
    lmi_callback_begin(&s->base);
    st = s->setup->handler.on_auth(s, s->base.user, q->ticket, ev, &a);
    lmi_callback_end(&s->base);
    if (st == LMAIL_PENDING) {
        s->asked = LMI_SMTP_ASKED_AUTH;
        lmi_question_wait(&s->base, q, 1, 0);
        return LMAIL_OK;
    }
    if (st || lmi_sasl_check(&a)) {
        lmail_auth_answer later = LMAIL_AUTH_ANSWER_INIT;
        a = later;
        a.failure = LMAIL_AUTH_TEMPORARY;
    }
    st = lmi_smtp_apply_auth(s, &a);
    lmi_question_done(&s->base, q);
    return st;
}

lmail_status lmi_smtp_do_auth(lmail_smtp_server *s, lmail_str verb, lmail_str args)
{
    lmail_str offered = lmi_smtp_mechanisms(s);
    if (!args.len)
        return lmi_smtp_refuse(s, LMAIL_SMTP_SAY_ARGUMENT_MISSING, verb, NULL);
    lmail_str mechanism = lmi_str_sub(args, 0, lmi_str_find(args, ' '));
    if (!offered.len)
        return lmi_smtp_refuse(s, LMAIL_SMTP_SAY_AUTH_OFF, mechanism, mechanism.ptr);
    lmail_str initial = lmi_smtp_trim(lmi_str_skip(args, mechanism.len));
    switch (
        lmi_sasl_start(&s->sasl, mechanism, mechanism.len < args.len ? &initial : NULL, offered)) {
    case LMI_SASL_RESPONSE:
        return ask(s);
    case LMI_SASL_UNKNOWN:
        return lmi_smtp_refuse(s, LMAIL_SMTP_SAY_AUTH_MECHANISM, mechanism, mechanism.ptr);
    default:
        return lmi_smtp_refuse(s, LMAIL_SMTP_SAY_AUTH_BASE64, mechanism, initial.ptr);
    }
}

lmail_status lmi_smtp_auth_line(lmail_smtp_server *s, lmail_str line)
{
    int shown = (s->flags & LMAIL_SMTP_TRACE_SECRETS) || lmail_str_equal(line, LMAIL_STR("*"));
    lmi_trace(&s->base, LMAIL_TRACE_IN, 0, 0, shown ? line : LMAIL_STR("<secret>"));
    switch (lmi_sasl_line(&s->sasl, line)) {
    case LMI_SASL_RESPONSE:
        return ask(s);
    case LMI_SASL_OK:
        return end_well(s);
    case LMI_SASL_CANCELLED:
        return end_badly(s, LMAIL_SMTP_SAY_AUTH_ABORTED, LMAIL_AUTH_END_CANCELLED);
    default:
        return lmi_smtp_auth_broken(s, LMAIL_SMTP_SAY_AUTH_BASE64);
    }
}

/* ---- STARTTLS -------------------------------------------------------------------------------- */

lmail_status lmi_smtp_do_starttls(lmail_smtp_server *s, lmail_str verb, lmail_str args)
{
    if (args.len) /* RFC 3207 §4 */
        return lmi_smtp_refuse(s, LMAIL_SMTP_SAY_NO_ARGUMENT, verb, args.ptr);
    lmail_status st = lmi_smtp_say(s, LMAIL_SMTP_SAY_STARTTLS_GO, 0);
    if (!st)
        lmi_want_tls(&s->base);
    return st;
}
