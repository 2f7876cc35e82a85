/* smtp_slow.c - pauses: silence before the banner, and commands that wait before they are obeyed.
 *
 * While a command waits no input is taken, so what is pipelined behind it waits too. While the
 * banner waits input is taken only when a client that speaks first is to be turned away (RFC 5321
 * §3.1: the client waits for the greeting). */
#include "smtp/smtp_internal.h"

#include <string.h>

/* ---- Commands -------------------------------------------------------------------------------- */

int lmi_smtp_must_wait(lmail_smtp_server *s, lmail_str line)
{
    const lmail_smtp_server_config *c = &s->setup->config;
    lmail_str verb, args;
    if (s->state == LMI_SMTP_AUTH)
        return 0;
    switch (lmi_smtp_split(line, &verb, &args)) {
    case LMI_SMTP_NOOP:
    case LMI_SMTP_HELP:
    case LMI_SMTP_VRFY:
    case LMI_SMTP_EXPN:
    case LMI_SMTP_ETRN:
        if (s->noop_commands < c->max_noop_commands) {
            s->noop_commands++;
            return 0;
        }
        lmi_trace(&s->base, LMAIL_TRACE_LIMIT, 0, 0, LMAIL_STR("max_noop_commands"));
        return c->max_noop_commands < UINT32_MAX;
    case LMI_SMTP_CMD_RCPT:
        if (s->recipients_bad < c->bad_recipients_throttle)
            return 0;
        lmi_trace(&s->base, LMAIL_TRACE_LIMIT, 0, 0, LMAIL_STR("bad_recipients_throttle"));
        return 1;
    default:
        return 0;
    }
}

lmail_status lmi_smtp_wait(lmail_smtp_server *s, lmail_str line)
{
    s->slow = lmi_malloc(&s->base.alloc, line.len);
    if (!s->slow)
        return LMAIL_ERR_NOMEM;
    memcpy(s->slow, line.ptr, line.len);
    s->slow_len = line.len;
    s->base.pausing = 1;
    s->base.due = lmi_later(s->base.now, s->setup->config.slow_delay);
    return LMAIL_OK;
}

int lmi_smtp_slow_line(lmail_smtp_server *s, lmail_str *line)
{
    if (!s->slow)
        return 0;
    *line = (lmail_str){s->slow, s->slow_len};
    s->slow = NULL;
    s->slow_len = 0;
    s->base.pausing = 0;
    return 1;
}

void lmi_smtp_slow_done(lmail_smtp_server *s, lmail_str line)
{
    lmi_free(&s->base.alloc, (char *)line.ptr, line.len);
}

/* ---- The banner ------------------------------------------------------------------------------ */

static lmail_smtp_reply_id greeting_of(const lmail_smtp_server *s)
{
    return s->flags & LMAIL_SMTP_LMTP ? LMAIL_SMTP_SAY_GREETING_LMTP : LMAIL_SMTP_SAY_GREETING;
}

lmail_status lmi_smtp_greet(lmail_smtp_server *s, const lmail_smtp_connect_answer *a)
{
    lmail_smtp_reply banner = a->banner;
    if (a->pause) {
        if (!banner.code && banner.text.len)
            banner.code = s->setup->texts[greeting_of(s)].code;
        s->banner_waits = 1;
        s->base.pausing = !a->early_refused;
        s->base.due = lmi_later(s->base.now, a->pause);
        return lmi_smtp_keep_reply(s, &s->banner, &banner, greeting_of(s));
    }
    lmi_smtp_enter_idle(s);
    /* RFC 2034 §3: the greeting has no enhanced code. */
    uint64_t flags = s->flags;
    s->flags &= ~(uint64_t)LMAIL_SMTP_ENHANCED;
    lmail_status st = lmi_smtp_say_host(s, &banner, greeting_of(s), 0);
    s->flags = flags;
    return st;
}

lmail_status lmi_smtp_greet_now(lmail_smtp_server *s, int early)
{
    s->banner_waits = 0;
    s->base.pausing = 0;
    s->base.due = LMAIL_NEVER;
    if (early) {
        lmi_trace(&s->base, LMAIL_TRACE_VIOLATION, 0, 0, LMAIL_STR("spoke before the greeting"));
        lmi_smtp_refusal_done(s, &s->banner);
        lmi_smtp_refuse_later(&s->banner, LMAIL_SMTP_SAY_EARLY_TALKER);
        lmi_smtp_refusal_done(s, &s->connect_refusal);
        lmi_smtp_refuse_later(&s->connect_refusal, LMAIL_SMTP_SAY_EARLY_COMMAND);
    }
    lmi_smtp_enter_idle(s);
    uint64_t flags = s->flags;
    s->flags &= ~(uint64_t)LMAIL_SMTP_ENHANCED;
    lmail_status st = lmi_smtp_say_refusal(s, &s->banner);
    s->flags = flags;
    lmi_smtp_refusal_done(s, &s->banner);
    return st;
}
