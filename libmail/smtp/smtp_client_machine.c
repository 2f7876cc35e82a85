/* smtp_client_machine.c - the states of a client session, which reply goes where, what comes next,
 * and how it ends.
 *
 * RFC 5321 §3.8, §4.2.1 (what a code's first digit means), §4.3.2 (the sequence). All writes to
 * s->state stand here. A reply that fits nowhere ends the session, since replies are told apart by
 * their order alone (RFC 2920 §3.1); 421 ends it at any moment. */
#include "smtp/smtp_client_internal.h"

static lmi_smtpc_reply_fn on_idle, on_quit;

typedef lmail_msec patience_fn(const lmail_smtp_client *s);

typedef struct row {
    const char *name;
    lmail_smtp_phase phase;
    lmi_smtpc_reply_fn *on_reply; /* NULL: nothing can come */
    size_t timeout;               /* offset in the config; 0: none */
} row;

#define AT(member) offsetof(lmail_smtp_client_config, member)

/* clang-format off */
static const row rows[] = {
    [LMI_SMTPC_START] = {"START", LMAIL_SMTP_PHASE_GREETING, NULL, 0},
    [LMI_SMTPC_GREETING] = {"GREETING", LMAIL_SMTP_PHASE_GREETING, lmi_smtpc_on_greeting, AT(greeting_timeout)},
    [LMI_SMTPC_EHLO] = {"EHLO", LMAIL_SMTP_PHASE_HELO, lmi_smtpc_on_ehlo, AT(helo_timeout)},
    [LMI_SMTPC_HELO] = {"HELO", LMAIL_SMTP_PHASE_HELO, lmi_smtpc_on_helo, AT(helo_timeout)},
    [LMI_SMTPC_STARTTLS] = {"STARTTLS", LMAIL_SMTP_PHASE_STARTTLS, lmi_smtpc_on_starttls, AT(starttls_timeout)},
    [LMI_SMTPC_SHAKING] = {"SHAKING", LMAIL_SMTP_PHASE_TLS, NULL, AT(starttls_timeout)},
    [LMI_SMTPC_ASKING] = {"ASKING", LMAIL_SMTP_PHASE_AUTH, NULL, 0},
    [LMI_SMTPC_AUTH] = {"AUTH", LMAIL_SMTP_PHASE_AUTH, lmi_smtpc_on_auth, AT(auth_timeout)},
    [LMI_SMTPC_READY] = {"READY", LMAIL_SMTP_PHASE_IDLE, on_idle, 0},
    [LMI_SMTPC_ENVELOPE] = {"ENVELOPE", LMAIL_SMTP_PHASE_NONE, lmi_smtpc_on_envelope, 0},
    [LMI_SMTPC_BODY] = {"BODY", LMAIL_SMTP_PHASE_BODY, lmi_smtpc_on_body, AT(data_block_timeout)},
    [LMI_SMTPC_END] = {"END", LMAIL_SMTP_PHASE_END, lmi_smtpc_on_body, AT(data_end_timeout)},
    [LMI_SMTPC_QUIT] = {"QUIT", LMAIL_SMTP_PHASE_QUIT, on_quit, AT(quit_timeout)},
    [LMI_SMTPC_OVER] = {"OVER", LMAIL_SMTP_PHASE_QUIT, NULL, 0},
};
/* clang-format on */

void lmi_smtpc_enter(lmail_smtp_client *s, lmi_smtpc_state state)
{
    if (s->state == state || s->state == LMI_SMTPC_OVER)
        return;
    s->state = state;
    lmi_trace(&s->base, LMAIL_TRACE_STATE, 0, 0, lmail_str_from(rows[state].name));
}

lmail_smtp_phase lmi_smtpc_phase(const lmail_smtp_client *s)
{
    return s->state == LMI_SMTPC_ENVELOPE ? lmi_smtpc_envelope_phase(s) : rows[s->state].phase;
}

static size_t envelope_timeout(const lmail_smtp_client *s)
{
    switch (lmi_smtpc_envelope_phase(s)) {
    case LMAIL_SMTP_PHASE_RSET:
        return AT(rset_timeout);
    case LMAIL_SMTP_PHASE_RCPT:
        return AT(rcpt_timeout);
    case LMAIL_SMTP_PHASE_DATA:
        return AT(data_start_timeout);
    default:
        return AT(mail_timeout);
    }
}

lmail_msec lmi_smtpc_patience(const lmail_smtp_client *s)
{
    size_t at = rows[s->state].timeout;
    if (s->state == LMI_SMTPC_ENVELOPE)
        at = envelope_timeout(s);
    if (s->state == LMI_SMTPC_EHLO && s->flags & LMAIL_SMTP_CLIENT_LMTP)
        at = AT(lhlo_timeout);
    if (!at || s->base.holding)
        return LMAIL_NEVER;
    return *(const lmail_msec *)(const void *)((const char *)&s->setup->config + at);
}

/* ---- Replies --------------------------------------------------------------------------------- */

lmail_status lmi_smtpc_take_reply(lmail_smtp_client *s)
{
    lmi_smtpc_reply_fn *on_reply = rows[s->state].on_reply;
    if (!on_reply)
        return lmi_smtpc_violation(s, LMAIL_STR("a reply that nothing asked for"));
    if (s->code == 421 && s->state != LMI_SMTPC_QUIT) { /* RFC 5321 §3.8 */
        if (s->running) {
            lmi_smtpc_verdict v = lmi_smtpc_by_reply(s, lmi_smtpc_phase(s));
            lmi_smtpc_give_rest(s, &v);
        }
        return lmi_smtpc_cut(s, LMAIL_SMTP_CAUSE_REPLY);
    }
    return on_reply(s);
}

static lmail_status on_idle(lmail_smtp_client *s)
{
    return lmi_smtpc_violation(s, LMAIL_STR("a reply that nothing asked for"));
}

static lmail_status on_quit(lmail_smtp_client *s)
{
    lmi_close(&s->base);
    lmi_smtpc_enter(s, LMI_SMTPC_OVER);
    return LMAIL_OK;
}

/* ---- Ends ------------------------------------------------------------------------------------ */

/* Results of all that have none, and on_end. */
static void end(lmail_smtp_client *s, lmail_smtp_cause cause)
{
    lmail_smtp_phase phase = lmi_smtpc_phase(s);
    if (s->ended)
        return;
    s->ended = 1;
    lmi_smtpc_auth_gone(s);
    lmi_smtpc_verdict v = lmi_smtpc_by_cause(cause, phase);
    if (cause == LMAIL_SMTP_CAUSE_REPLY)
        v.reply = lmi_smtpc_reply(s);
    lmail_smtp_client_end_event ev = {phase, cause, v.reply};
    if (s->running) {
        lmi_smtpc_verdict mine = v;
        if (lmi_smtpc_all_written(s))
            mine.outcome = LMAIL_SMTP_UNSURE;
        lmi_smtpc_give_rest(s, &mine);
        lmi_smtpc_mail_end(s);
    }
    lmi_smtpc_drop_waiting(s, &v);
    if (s->setup->on.on_end) {
        lmi_callback_begin(&s->base);
        s->setup->on.on_end(s, s->base.user, &ev);
        lmi_callback_end(&s->base);
    }
}

lmail_status lmi_smtpc_cut(lmail_smtp_client *s, lmail_smtp_cause cause)
{
    lmi_close(&s->base); /* cancels first */
    end(s, cause);
    lmi_smtpc_enter(s, LMI_SMTPC_OVER);
    return LMAIL_OK;
}

lmail_status lmi_smtpc_quit(lmail_smtp_client *s, lmail_smtp_cause cause)
{
    end(s, cause);
    lmi_smtpc_enter(s, LMI_SMTPC_QUIT);
    return LMI_SMTPC_SAY(s, LMAIL_STR("QUIT"));
}

lmail_status lmi_smtpc_violation(lmail_smtp_client *s, lmail_str what)
{
    lmi_trace(&s->base, LMAIL_TRACE_VIOLATION, 0, 0, what);
    return lmi_smtpc_cut(s, LMAIL_SMTP_CAUSE_PROTOCOL);
}

/* ---- What comes next ------------------------------------------------------------------------- */

static lmail_status step(lmail_smtp_client *s)
{
    switch (s->state) {
    case LMI_SMTPC_READY:
        if (s->base.stopping)
            return lmi_smtpc_quit(s, LMAIL_SMTP_CAUSE_STOPPED);
        return s->first ? lmi_smtpc_begin(s) : LMAIL_OK;
    case LMI_SMTPC_ENVELOPE:
        return lmi_smtpc_write_envelope(s);
    case LMI_SMTPC_BODY:
        return lmi_smtpc_pull(s);
    default:
        return LMAIL_OK;
    }
}

lmail_status lmi_smtpc_go_on(lmail_smtp_client *s, lmail_status st)
{
    lmi_smtpc_state before;
    const lmi_smtpc_job *job;
    do { /* a message that is refused here makes place for the next at once */
        before = s->state;
        job = s->first;
        if (st < 0 || s->base.closing)
            return st;
        st = step(s);
    } while (s->state != before || s->first != job);
    if (st >= 0 && !s->base.closing)
        s->base.due = lmi_later(s->base.now, lmi_smtpc_patience(s));
    return st;
}
