/* base_question.c - tickets: what a session has asked its host and not heard back.
 *
 * A ticket is a number that never repeats. Each question has an arena of its own that lives until
 * the ticket comes home, cancelled or not, so that a worker may read the event however late it is.
 * One settled question is kept with its first chunk for the next, so that asking allocates
 * nothing. */
#include "base/base_question.h"
#include "base/base_internal.h"

lmail_status lmi_ask(lmail_session *s, unsigned kind, lmi_question **out)
{
    if (s->max_tickets && s->tickets >= s->max_tickets)
        return LMAIL_ERR_LIMIT;
    lmi_question *q = s->spare;
    if (q) {
        s->spare = NULL;
    } else {
        q = lmi_malloc(&s->alloc, sizeof *q);
        if (!q)
            return LMAIL_ERR_NOMEM;
        lmi_arena_init(&q->arena, &s->alloc, s->question_ceiling);
    }
    q->ticket = ++s->last_ticket;
    q->kind = kind;
    q->out = q->holds = q->cancelled = q->lends = q->secret = 0;
    q->data = NULL;
    q->next = s->asked;
    s->asked = q;
    s->tickets++;
    lmi_trace(s, LMAIL_TRACE_QUESTION, q->ticket, 0, (lmail_str){NULL, 0});
    *out = q;
    return LMAIL_OK;
}

static void let_go(lmail_session *s, lmi_question *q)
{
    if (q->holds) {
        q->holds = 0;
        s->holding--;
    }
    if (q->lends) {
        q->lends = 0;
        s->lending--;
    }
}

void lmi_question_wait(lmail_session *s, lmi_question *q, int holds, int lends)
{
    q->out = 1;
    if (holds) {
        q->holds = 1;
        s->holding++;
    }
    if (lends) {
        q->lends = 1;
        s->lending++;
    }
}

void lmi_question_done(lmail_session *s, lmi_question *q)
{
    lmi_question **at = &s->asked;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    s->tickets--;
    let_go(s, q);
    if (q->secret)
        lmi_arena_wipe(&q->arena);
    if (s->spare || s->dead) {
        lmi_arena_done(&q->arena);
        lmi_free(&s->alloc, q, sizeof *q);
    } else {
        lmi_arena_reset(&q->arena);
        s->spare = q;
    }
}

lmail_status lmi_take(lmail_session *s, lmail_ticket t, unsigned kind, lmi_question **out)
{
    lmi_question *q = s->asked;
    while (q && q->ticket != t)
        q = q->next;
    if (!q)
        return LMAIL_ERR_STALE;
    if (q->kind != kind)
        return LMAIL_ERR_ARG;
    lmi_trace(s, LMAIL_TRACE_ANSWER, t, 0, (lmail_str){NULL, 0});
    if (q->cancelled) {
        lmi_question_done(s, q);
        return LMAIL_ERR_STALE;
    }
    let_go(s, q);
    q->out = 0;
    *out = q;
    return LMAIL_OK;
}

lmail_status lmi_answer_enter(lmail_session *s, lmail_ticket t, unsigned kind, lmail_msec now,
                              lmi_question **out)
{
    if (s->in_callback)
        return LMAIL_ERR_REENTRANT;
    if (now > s->now)
        s->now = now;
    lmail_status st = lmi_take(s, t, kind, out);
    if (st && s->free_asked) /* from the trace callback */
        s->cls->destroy(s);
    return st;
}

void lmi_cancel(lmail_session *s, lmi_question *q)
{
    if (q->cancelled || !q->out)
        return;
    q->cancelled = 1;
    /* Octets that are lent stay lent until the ticket is home: a worker may be reading them. */
    if (q->holds) {
        q->holds = 0;
        s->holding--;
    }
    if (s->cls->cancelled)
        s->cls->cancelled(s, q);
}

void lmi_cancel_all(lmail_session *s)
{
    for (lmi_question *q = s->asked; q; q = q->next)
        lmi_cancel(s, q);
}

void lmi_questions_rest(lmail_session *s)
{
    if (s->spare) {
        lmi_arena_done(&s->spare->arena);
        lmi_free(&s->alloc, s->spare, sizeof *s->spare);
        s->spare = NULL;
    }
}

void lmi_questions_end(lmail_session *s)
{
    while (s->asked)
        lmi_question_done(s, s->asked);
    lmi_questions_rest(s);
}
