/* milter_client.c - the session with a filter: its life, the pump's class, its states and timers, and
 * how it ends.
 *
 * The filter has a send timeout while output waits, a read timeout for each answer, and for the end
 * of a message one of its own. While a change is at the host its clock stands still. */
#include "milter/milter_internal.h"

static lmail_milter_client *of(lmail_session *base)
{
    return (lmail_milter_client *)base;
}

LMI_PUMP(lmail_milter_client);

/* ---- States and timers ----------------------------------------------------------------------- */

void lmi_milter_enter(lmail_milter_client *s, lmi_milter_state state)
{
    static const char *const names[] = {"START",   "NEGOTIATING", "IDLE",
                                        "WRITING", "WAITING",     "OVER"};
    if (s->state == state || s->state == LMI_MILTER_OVER)
        return;
    s->state = state;
    lmi_trace(&s->base, LMAIL_TRACE_STATE, 0, 0, lmail_str_from(names[state]));
}

void lmi_milter_wait(lmail_milter_client *s)
{
    const lmail_milter_client_config *c = &s->setup->config;
    lmail_session *base = &s->base;
    base->due = LMAIL_NEVER;
    if (base->closing || base->holding)
        return;
    if (base->out.size)
        base->due = lmi_later(base->now, c->send_timeout);
    else if (s->state == LMI_MILTER_NEGOTIATING)
        base->due = lmi_later(base->now, c->read_timeout);
    else if (s->state == LMI_MILTER_WAITING)
        base->due =
            s->ask == LMAIL_MILTER_ASK_END ? s->end_due : lmi_later(base->now, c->read_timeout);
}

void lmi_milter_verdict(lmail_milter_client *s, lmail_milter_verdict_event *ev)
{
    ev->ask = s->ask;
    if (s->ask == LMAIL_MILTER_ASK_END)
        s->skipped = 0;
    s->ask = LMAIL_MILTER_ASK_NONE;
    lmi_milter_enter(s, LMI_MILTER_IDLE);
    lmi_milter_wait(s);
    lmi_callback_begin(&s->base);
    s->setup->on.on_verdict(s, s->base.user, ev);
    lmi_callback_end(&s->base);
}

void lmi_milter_ready(lmail_milter_client *s)
{
    lmail_milter_ready_event ev = {s->facts};
    lmi_milter_enter(s, LMI_MILTER_IDLE);
    lmi_milter_wait(s);
    if (!s->setup->on.on_ready)
        return;
    lmi_callback_begin(&s->base);
    s->setup->on.on_ready(s, s->base.user, &ev);
    lmi_callback_end(&s->base);
}

lmail_status lmi_milter_fail(lmail_milter_client *s, lmail_milter_cause cause, const char *text)
{
    if (s->ended)
        return LMAIL_OK;
    s->ended = 1;
    if (cause == LMAIL_MILTER_CAUSE_PROTOCOL || cause == LMAIL_MILTER_CAUSE_VERSION)
        lmi_trace(&s->base, LMAIL_TRACE_VIOLATION, 0, 0, lmail_str_from(text));
    lmi_milter_enter(s, LMI_MILTER_OVER);
    lmi_close(&s->base);
    if (s->ask) {
        lmail_milter_verdict_event ev = {
            .says = LMAIL_MILTER_SAYS_FAILED, .cause = cause, .text = lmail_str_from(text)};
        lmi_milter_verdict(s, &ev);
    }
    if (s->setup->on.on_end) {
        lmail_milter_end_event ev = {cause, lmail_str_from(text)};
        lmi_callback_begin(&s->base);
        s->setup->on.on_end(s, s->base.user, &ev);
        lmi_callback_end(&s->base);
    }
    return LMAIL_OK;
}

/* ---- The class ------------------------------------------------------------------------------- */

static lmail_status start(lmail_session *base)
{
    lmail_milter_client *s = of(base);
    lmi_milter_enter(s, LMI_MILTER_NEGOTIATING);
    lmail_status st = lmi_milter_offer(s);
    lmi_milter_wait(s);
    return st;
}

static lmail_status input(lmail_session *base, lmail_str in, size_t *used)
{
    return lmi_milter_input(of(base), in, used);
}

static lmail_status eof(lmail_session *base)
{
    return lmi_milter_fail(of(base), LMAIL_MILTER_CAUSE_LOST, "it closed the connection");
}

static lmail_status timer(lmail_session *base)
{
    lmail_milter_client *s = of(base);
    const char *what = base->out.size                       ? "it takes nothing more"
                       : s->state == LMI_MILTER_NEGOTIATING ? "no answer to the negotiation"
                       : s->ask == LMAIL_MILTER_ASK_END     ? "no answer to the end of a message"
                                                            : "no answer";
    const char *limit = base->out.size                   ? "send_timeout"
                        : s->ask == LMAIL_MILTER_ASK_END ? "end_timeout"
                                                         : "read_timeout";
    lmi_trace(base, LMAIL_TRACE_LIMIT, 0, 0, lmail_str_from(limit));
    return lmi_milter_fail(s, LMAIL_MILTER_CAUSE_TIMEOUT, what);
}

static lmail_status room(lmail_session *base)
{
    lmail_milter_client *s = of(base);
    if (s->state == LMI_MILTER_WRITING) {
        lmail_milter_verdict_event ev = {.says = LMAIL_MILTER_SAYS_CONTINUE};
        lmi_milter_verdict(s, &ev);
    }
    return LMAIL_OK;
}

/* The filter took something: its time begins anew. */
static void sent(lmail_session *base)
{
    lmail_milter_client *s = of(base);
    if (!base->out.size && s->state == LMI_MILTER_WAITING && s->ask == LMAIL_MILTER_ASK_END)
        s->end_due = lmi_later(base->now, s->setup->config.end_timeout);
    lmi_milter_wait(s);
}

static lmail_status stop(lmail_session *base)
{
    lmail_milter_client *s = of(base);
    lmail_status st = LMAIL_OK;
    if (s->ended)
        return LMAIL_OK;
    if (s->state == LMI_MILTER_IDLE)
        st = lmi_milter_write(s, 'Q', NULL, 0);
    lmail_status failed = lmi_milter_fail(s, LMAIL_MILTER_CAUSE_STOPPED, "stopped");
    return st ? st : failed;
}

static void cancelled(lmail_session *base, const lmi_question *q)
{
    lmail_milter_client *s = of(base);
    if (!s->setup->on.on_cancel)
        return;
    lmi_callback_begin(base);
    s->setup->on.on_cancel(s, base->user, q->ticket);
    lmi_callback_end(base);
}

static void give_back(lmail_milter_client *s, char **ptr, size_t *cap)
{
    lmi_free(&s->base.alloc, *ptr, *cap);
    *ptr = NULL;
    *cap = 0;
}

static void rest(lmail_session *base)
{
    lmail_milter_client *s = of(base);
    if (s->head_len || base->tickets)
        return;
    give_back(s, &s->packet, &s->packet_cap);
    give_back(s, &s->value, &s->value_cap);
}

static void destroy(lmail_session *base)
{
    lmail_milter_client *s = of(base);
    base->free_asked = 0;
    lmi_milter_fail(s, LMAIL_MILTER_CAUSE_FREED, "the session was freed");
    lmi_session_done(base);
    give_back(s, &s->packet, &s->packet_cap);
    give_back(s, &s->value, &s->value_cap);
    give_back(s, &s->names, &s->names_size);
    lmail_alloc a = base->alloc;
    lmi_free(&a, s, sizeof *s);
}

static const lmi_class milter_client_class = {.name = "milter_client",
                                              .start = start,
                                              .input = input,
                                              .eof = eof,
                                              .timer = timer,
                                              .room = room,
                                              .sent = sent,
                                              .stop = stop,
                                              .cancelled = cancelled,
                                              .rest = rest,
                                              .destroy = destroy};

lmail_status lmail_milter_client_new(lmail_milter_client **out,
                                     const lmail_milter_client_setup *setup, void *user,
                                     lmail_msec now)
{
    *out = lmi_zalloc(&setup->config.alloc, sizeof **out);
    if (!*out)
        return LMAIL_ERR_NOMEM;
    lmail_milter_client *s = *out;
    lmi_session_init(&s->base, &milter_client_class, &setup->config.alloc, user, now);
    s->base.trace = setup->on.on_trace;
    s->base.reads_full = 1; /* it may answer a macro's question while a body waits to be sent */
    s->setup = setup;
    return LMAIL_OK;
}

/* ---- What it knows --------------------------------------------------------------------------- */

void *lmail_milter_client_user(const lmail_milter_client *s)
{
    return s->base.user;
}

void lmail_milter_client_get_facts(const lmail_milter_client *s, lmail_milter_facts *out)
{
    *out = s->facts;
}
