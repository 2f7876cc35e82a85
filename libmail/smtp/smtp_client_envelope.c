/* smtp_client_envelope.c - RSET, MAIL, RCPT and DATA: written in one batch or one by one, and
 * answered in their order.
 *
 * RFC 5321 §3.3, §4.1.1; RFC 2920 §3.1 (what may be batched; every status is looked at; 354 without
 * a recipient gets a lone dot); RFC 2033 §4.2. With CHUNKING the message follows when all
 * recipients are answered, so that nothing is sent for nobody. */
#include "smtp/smtp_client_internal.h"

static int pipelining(const lmail_smtp_client *s)
{
    return (s->can.can & LMAIL_SMTP_CAN_PIPELINING) != 0;
}

static int chunking(const lmail_smtp_client *s)
{
    return (s->can.can & LMAIL_SMTP_CAN_CHUNKING) != 0;
}

static int waiting(const lmail_smtp_client *s)
{
    const lmi_smtpc_transaction *t = &s->t;
    return t->rset_wait || t->mail_wait || t->waiting || t->data_wait;
}

/* The command whose reply is due; else the one that comes next. */
lmail_smtp_phase lmi_smtpc_envelope_phase(const lmail_smtp_client *s)
{
    const lmi_smtpc_transaction *t = &s->t;
    if (t->rset_wait || t->rset_due)
        return LMAIL_SMTP_PHASE_RSET;
    if (t->mail_wait || !t->mail_done)
        return LMAIL_SMTP_PHASE_MAIL;
    if (t->waiting || (s->first && t->written < s->first->count))
        return LMAIL_SMTP_PHASE_RCPT;
    return LMAIL_SMTP_PHASE_DATA;
}

static void transaction_over(lmail_smtp_client *s)
{
    lmi_smtpc_enter(s, LMI_SMTPC_READY);
    lmi_smtpc_mail_end(s);
}

lmail_status lmi_smtpc_begin(lmail_smtp_client *s)
{
    uint32_t left;
    s->running = 1;
    lmail_status st = lmi_smtpc_check(s, &left);
    if (st)
        return st;
    if (!left) {
        lmi_smtpc_mail_end(s);
        return LMAIL_OK;
    }
    s->t = (lmi_smtpc_transaction){0};
    s->t.rset_due = s->open;
    s->mails_begun++;
    lmi_smtpc_enter(s, LMI_SMTPC_ENVELOPE);
    return LMAIL_OK;
}

/* ---- Commands -------------------------------------------------------------------------------- */

/* The next recipient that has no result; the count when there is none. */
static uint32_t next_rcpt(const lmi_smtpc_job *j, uint32_t i)
{
    while (i < j->count && j->rcpt[i].fate == LMI_SMTPC_TOLD)
        i++;
    return i;
}

static lmail_status write_rset(lmail_smtp_client *s)
{
    s->t.rset_due = 0;
    s->t.rset_wait = 1;
    return LMI_SMTPC_SAY(s, LMAIL_STR("RSET"));
}

static lmail_status write_mail(lmail_smtp_client *s)
{
    s->t.mail_done = s->t.mail_wait = 1;
    s->t.written = next_rcpt(s->first, 0);
    return lmi_smtpc_say_mail(s, s->first);
}

static lmail_status write_rcpt(lmail_smtp_client *s)
{
    lmi_smtpc_job *j = s->first;
    uint32_t i = s->t.written;
    j->rcpt[i].sent = 1;
    s->t.waiting++;
    s->t.written = next_rcpt(j, i + 1);
    return lmi_smtpc_say_rcpt(s, j, &j->rcpt[i]);
}

static lmail_status write_data(lmail_smtp_client *s)
{
    s->t.data_done = s->t.data_wait = 1;
    return LMI_SMTPC_SAY(s, LMAIL_STR("DATA"));
}

/* All that was written is answered, and nothing more is to be written but the message. */
static lmail_status all_answered(lmail_smtp_client *s)
{
    if (!s->t.taken || s->t.mail_failed) {
        transaction_over(s);
        return LMAIL_OK;
    }
    return chunking(s) ? lmi_smtpc_body_begin(s, 1) : write_data(s);
}

lmail_status lmi_smtpc_write_envelope(lmail_smtp_client *s)
{
    lmail_status st = LMAIL_OK;
    while (!st && s->state == LMI_SMTPC_ENVELOPE) {
        lmi_smtpc_transaction *t = &s->t;
        if (waiting(s) && !pipelining(s))
            break;
        if (s->base.out.size >= s->base.out_mark) {
            lmi_want_room(&s->base);
            break;
        }
        if (t->rset_due)
            st = write_rset(s);
        else if (!t->mail_done)
            st = write_mail(s);
        else if (!t->mail_failed && t->written < s->first->count)
            st = write_rcpt(s);
        else if (!t->data_done && !t->mail_failed && pipelining(s) && !chunking(s))
            st = write_data(s);
        else if (waiting(s))
            break;
        else
            st = all_answered(s);
    }
    return st;
}

/* ---- Replies --------------------------------------------------------------------------------- */

static lmail_status rset_answered(lmail_smtp_client *s)
{
    s->t.rset_wait = 0;
    if (lmi_smtpc_class(s) != 2) /* RFC 5321 §4.1.1.5: there is no other answer */
        return lmi_smtpc_violation(s, LMAIL_STR("RSET was refused"));
    s->open = 0;
    return LMAIL_OK;
}

static lmail_status mail_answered(lmail_smtp_client *s)
{
    s->t.mail_wait = 0;
    if (lmi_smtpc_class(s) == 2) {
        s->open = 1;
        return LMAIL_OK;
    }
    lmi_smtpc_verdict v = lmi_smtpc_by_reply(s, LMAIL_SMTP_PHASE_MAIL);
    s->t.mail_failed = 1;
    lmi_smtpc_give_rest(s, &v);
    s->t.written = s->first->count;
    return LMAIL_OK;
}

static lmail_status rcpt_answered(lmail_smtp_client *s)
{
    lmi_smtpc_job *j = s->first;
    uint32_t i = s->t.answered;
    while (!j->rcpt[i].sent)
        i++;
    s->t.answered = i + 1;
    s->t.waiting--;
    if (s->t.mail_failed)
        return LMAIL_OK;
    if (lmi_smtpc_class(s) == 2) {
        j->rcpt[i].fate = LMI_SMTPC_TAKEN;
        s->t.taken++;
        return LMAIL_OK;
    }
    lmi_smtpc_verdict v = lmi_smtpc_by_reply(s, LMAIL_SMTP_PHASE_RCPT);
    lmi_smtpc_give(s, j, i, &v);
    return LMAIL_OK;
}

static lmail_status data_answered(lmail_smtp_client *s)
{
    s->t.data_wait = 0;
    if (lmi_smtpc_class(s) == 3) {
        s->open = 1;
        return lmi_smtpc_body_begin(s, 0);
    }
    if (s->t.taken) {
        lmi_smtpc_verdict v = lmi_smtpc_by_reply(s, LMAIL_SMTP_PHASE_DATA);
        lmi_smtpc_give_rest(s, &v);
    }
    transaction_over(s);
    return LMAIL_OK;
}

lmail_status lmi_smtpc_on_envelope(lmail_smtp_client *s)
{
    unsigned class = lmi_smtpc_class(s);
    if (s->t.data_wait && !s->t.rset_wait && !s->t.mail_wait && !s->t.waiting)
        return class == 2 ? lmi_smtpc_violation(s, LMAIL_STR("2xx to DATA")) : data_answered(s);
    if (class == 3 || !waiting(s))
        return lmi_smtpc_violation(s, LMAIL_STR("a reply that does not fit"));
    if (s->t.rset_wait)
        return rset_answered(s);
    return s->t.mail_wait ? mail_answered(s) : rcpt_answered(s);
}
