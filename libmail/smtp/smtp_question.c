/* smtp_question.c - questions whose answer is an lmail_smtp_reply: asked, settled, applied.
 *
 * The event is copied into the question's arena, since it lives until the ticket is home. An answer
 * given at once and one that comes late take the same road, lmi_smtp_apply. Late ones come through
 * smtp_server.c. */
#include "smtp/smtp_internal.h"

#include <string.h>

const lmail_smtp_reply lmi_smtp_default = LMAIL_SMTP_REPLY_INIT;
const lmail_smtp_reply lmi_smtp_host_error = {
    sizeof(lmail_smtp_reply), 451, {NULL, 0}, {NULL, 0}, NULL, 0};

lmail_status lmi_smtp_question(lmail_smtp_server *s, const void *event, size_t size,
                               lmi_question **q)
{
    lmail_status st = lmi_ask(&s->base, LMI_SMTP_KIND_REPLY, q);
    if (st)
        return st;
    (*q)->data = lmi_arena_get(&(*q)->arena, size);
    if (!(*q)->data)
        return lmi_smtp_drop(s, *q);
    memcpy((*q)->data, event, size);
    return LMAIL_OK;
}

lmail_status lmi_smtp_ask(lmail_smtp_server *s, const void *event, size_t size, lmi_question **q)
{
    lmail_status st = lmi_smtp_question(s, event, size, q);
    if (st != LMAIL_ERR_LIMIT)
        return st;
    *q = NULL;
    lmi_trace(&s->base, LMAIL_TRACE_LIMIT, 0, 0, LMAIL_STR("max_pending"));
    return lmi_smtp_say(s, LMAIL_SMTP_SAY_NO_MEMORY, 0);
}

lmail_status lmi_smtp_drop(lmail_smtp_server *s, lmi_question *q)
{
    lmi_question_done(&s->base, q);
    return LMAIL_ERR_NOMEM;
}

lmail_status lmi_smtp_apply(lmail_smtp_server *s, lmi_smtp_asked what, const lmi_question *q,
                            const lmail_smtp_reply *r)
{
    static lmi_smtp_apply_fn *const apply[LMI_SMTP_ASKED_COUNT] = {
        [LMI_SMTP_ASKED_HELO] = lmi_smtp_apply_helo,
        [LMI_SMTP_ASKED_MAIL] = lmi_smtp_apply_mail,
        [LMI_SMTP_ASKED_RCPT] = lmi_smtp_apply_rcpt,
        [LMI_SMTP_ASKED_START] = lmi_smtp_apply_start,
        [LMI_SMTP_ASKED_BODY] = lmi_smtp_apply_body,
        [LMI_SMTP_ASKED_END] = lmi_smtp_apply_end,
        [LMI_SMTP_ASKED_VRFY] = lmi_smtp_apply_vrfy,
        [LMI_SMTP_ASKED_EXPN] = lmi_smtp_apply_expn,
        [LMI_SMTP_ASKED_ETRN] = lmi_smtp_apply_etrn,
        [LMI_SMTP_ASKED_RESET] = lmi_smtp_apply_reset,
        [LMI_SMTP_ASKED_QUIT] = lmi_smtp_apply_quit,
        [LMI_SMTP_ASKED_UNKNOWN] = lmi_smtp_apply_unknown,
        [LMI_SMTP_ASKED_XCLIENT] = lmi_smtp_apply_xclient,
        [LMI_SMTP_ASKED_XFORWARD] = lmi_smtp_apply_xforward};
    return apply[what](s, q, r);
}

lmail_status lmi_smtp_settle(lmail_smtp_server *s, lmi_question *q, lmi_smtp_asked what,
                             lmail_status st, const lmail_smtp_reply *r)
{
    if (st == LMAIL_PENDING) {
        s->asked = (uint8_t)what;
        lmi_question_wait(&s->base, q, 1, what == LMI_SMTP_ASKED_BODY);
        return LMAIL_OK;
    }
    if (st || lmi_smtp_check_reply(r)) {
        lmi_trace(&s->base, LMAIL_TRACE_VIOLATION, q->ticket, 0, LMAIL_STR("the host's answer"));
        r = &lmi_smtp_host_error;
    }
    st = lmi_smtp_apply(s, what, q, r);
    lmi_question_done(&s->base, q);
    return st;
}

void lmi_smtp_rebase(lmail_str *slice, lmail_str from, const char *copy)
{
    if (slice->ptr)
        slice->ptr = copy + (slice->ptr - from.ptr);
}
