/* service_milter.c - the mail filters of a configuration and of one SMTP session, and whose turn it is.
 *
 * A step asks one filter after the other. It waits in lmi_filters_start, or goes on from the timer of
 * the session's filters, never from inside a callback of a session. The first filter that does not say
 * CONTINUE or ACCEPT decides; one that has failed decides by its default action. */
#include "host/service/service_milter.h"
#include "host/service/service_metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

/* ---- Of a configuration ---------------------------------------------------------------------- */

static lmail_status make(struct lmi_milter *x, const lmail_milter_settings *v, char *error,
                         size_t cap)
{
    lmail_milter_client_config c = LMAIL_MILTER_CLIENT_CONFIG_INIT;
    x->settings = v;
    if (lmail_milter_socket_parse(v->socket, &x->socket)) {
        snprintf(
            error, cap,
            "milter %.*s: socket is inet:PORT@HOST, inet6:PORT@HOST or unix:PATH, not \"%.*s\"",
            TEXT(v->name), TEXT(v->socket));
        return LMAIL_ERR_ARG;
    }
    c.max_data = 1048575;
    c.send_timeout = v->send_timeout;
    c.read_timeout = v->read_timeout;
    c.end_timeout = v->end_timeout;
    lmail_status st = lmail_milter_client_setup_new(&x->setup, &c, &lmi_filter_handler);
    if (st)
        snprintf(error, cap, "milter %.*s: %s", TEXT(v->name), lmail_status_text(st));
    return st;
}

lmail_status lmi_milters_new(lmi_rules *r, char *error, size_t cap)
{
    const lmail_settings *v = r->settings;
    if (!v->milter_count || !(r->service->protocols & LMAIL_SERVICE_SMTP))
        return LMAIL_OK;
    r->milters = calloc(v->milter_count, sizeof *r->milters);
    if (!r->milters)
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < v->milter_count; i++) {
        lmail_status st = make(&r->milters[i], &v->milters[i], error, cap);
        if (st)
            return st;
    }
    return LMAIL_OK;
}

void lmi_milters_free(lmi_rules *r)
{
    for (size_t i = 0; r->milters && i < r->settings->milter_count; i++)
        lmail_milter_client_setup_free(r->milters[i].setup);
    free(r->milters);
}

static const lmail_str_list *names_of(const lmi_door *door)
{
    return door->settings->milters.count ? &door->settings->milters
                                         : &door->rules->settings->smtp.milters;
}

static const struct lmi_milter *find(const lmi_rules *r, lmail_str name)
{
    for (size_t i = 0; r->milters && i < r->settings->milter_count; i++)
        if (lmail_str_equal(r->settings->milters[i].name, name))
            return &r->milters[i];
    return NULL;
}

size_t lmi_filters_of(const lmi_door *door)
{
    const lmail_str_list *names = names_of(door);
    size_t n = 0;
    for (size_t i = 0; i < names->count; i++)
        n += find(door->rules, names->items[i]) != NULL;
    return n;
}

/* ---- Of a session ---------------------------------------------------------------------------- */

static void go_on(void *arg);

lmi_filters *lmi_filters_new(smtp_peer *p)
{
    const lmail_str_list *names = names_of(p->base.door);
    size_t count = lmi_filters_of(p->base.door);
    lmi_filters *f = calloc(1, sizeof *f + count * sizeof f->items[0]);
    if (!f || lmail_timer_new(&f->timer, p->base.loop, go_on, f)) {
        free(f);
        return NULL;
    }
    f->peer = p;
    f->door = lmi_door_hold(p->base.door);
    f->loop = p->base.loop;
    f->changes_end = &f->changes;
    for (size_t i = 0; i < names->count; i++) {
        const struct lmi_milter *m = find(f->door->rules, names->items[i]);
        if (m && f->count < count) {
            f->items[f->count].set = f;
            f->items[f->count++].milter = m;
        }
    }
    return f;
}

static void forget_told(lmi_filters *f)
{
    for (size_t i = 0; i < f->told_count; i++)
        free(f->told[i].address);
    free(f->told);
    f->told = NULL;
    f->told_count = 0;
}

static void end(lmi_filters *f)
{
    lmi_filters_message_reset(f);
    forget_told(f);
    lmail_timer_free(f->timer);
    lmi_door_release(f->door);
    free(f->piece);
    free(f);
}

void lmi_filters_let_go(lmi_filters *f)
{
    f->open--;
    lmi_filters_soon(f);
}

void lmi_filters_soon(lmi_filters *f)
{
    lmail_timer_set(f->timer, 0);
}

/* ---- A step ---------------------------------------------------------------------------------- */

void lmi_reply_keep(lmi_kept_reply *to, unsigned code, lmail_str enhanced, lmail_str text)
{
    to->code = code;
    snprintf(to->enhanced, sizeof to->enhanced, "%.*s", TEXT(enhanced));
    snprintf(to->text, sizeof to->text, "%.*s", TEXT(text));
}

static void log_verdict(const lmi_filters *f, const lmi_filter *x, const char *event,
                        const char *verdict)
{
    lmail_log_line l;
    const smtp_peer *p = f->peer;
    lmi_peer_log(&p->base, &l, LMAIL_LOG_INFO, event);
    if (p->mail)
        lmail_log_text(&l, "queue", lmail_str_from(p->mail->id));
    lmail_log_text(&l, "filter", x->milter->settings->name);
    lmail_log_text(&l, "stage", lmail_str_from(lmail_milter_ask_name(f->stage)));
    lmail_log_text(&l, "verdict", lmail_str_from(verdict));
    if (f->verdict == LMI_FILTERS_REFUSE) {
        lmail_log_number(&l, "code", f->refusal.code);
        lmail_log_text(&l, "reply", lmail_str_from(f->refusal.text));
    }
    if (x->asked_at)
        lmail_log_number(&l, "ms", lmail_loop_now(f->loop) - x->asked_at);
    lmail_log_end(&l);
}

static lmail_status refuse(lmi_filters *f, unsigned code, const char *enhanced, const char *text)
{
    f->verdict = LMI_FILTERS_REFUSE;
    lmi_reply_keep(&f->refusal, code, lmail_str_from(enhanced), lmail_str_from(text));
    return LMAIL_END;
}

/* It has failed: what its section says. */
static lmail_status by_default(lmi_filters *f, lmi_filter *x)
{
    lmail_status st = LMAIL_OK;
    x->asked_at = 0;
    if (f->rejected)
        return LMAIL_OK;
    lmi_count_filter(&f->peer->base, LMAIL_MILTER_SAYS_FAILED);
    if (x->stopped)
        st = refuse(f, 421, "4.3.2", "Service stops; try again later");
    else if (x->milter->settings->on_failure == LMAIL_MILTER_REJECT)
        st = refuse(f, 550, "5.7.1", "Command rejected");
    else if (x->milter->settings->on_failure == LMAIL_MILTER_TEMPFAIL)
        st = refuse(f, 451, "4.3.2", "Please try again later");
    else if (x->milter->settings->on_failure == LMAIL_MILTER_SHUTDOWN)
        st = refuse(f, 421, "4.3.0", "closing connection");
    if (st)
        log_verdict(f, x, "filter_refused", "failed");
    return st;
}

static int is_connection(lmail_milter_ask_kind stage)
{
    return stage == LMAIL_MILTER_ASK_CONNECT || stage == LMAIL_MILTER_ASK_HELO;
}

/* What a verdict does to the step. */
static lmail_status obey(lmi_filters *f, lmi_filter *x)
{
    int late = f->stage == LMAIL_MILTER_ASK_DATA || f->stage == LMAIL_MILTER_ASK_END;
    switch (x->says) {
    case LMAIL_MILTER_SAYS_ACCEPT:
        x->done = 1;
        if (is_connection(f->stage)) {
            x->state = LMI_FILTER_DONE;
            lmi_filter_close(x);
        }
        return LMAIL_OK;
    case LMAIL_MILTER_SAYS_REJECT:
        return refuse(f, late ? 554 : 550, "5.7.1", "Command rejected");
    case LMAIL_MILTER_SAYS_TEMPFAIL:
        return refuse(f, 451, "4.3.2", "Please try again later");
    case LMAIL_MILTER_SAYS_SHUTDOWN:
        return refuse(f, 421, "4.3.0", "closing connection");
    case LMAIL_MILTER_SAYS_REPLY:
        f->verdict = LMI_FILTERS_REFUSE;
        f->refusal = x->reply;
        return LMAIL_END;
    case LMAIL_MILTER_SAYS_DISCARD:
        f->verdict = LMI_FILTERS_DISCARD;
        return LMAIL_END;
    default:
        return LMAIL_OK;
    }
}

lmail_status lmi_filter_judge(lmi_filters *f, lmi_filter *x)
{
    x->heard = 0;
    if (x->state == LMI_FILTER_FAILED)
        return by_default(f, x);
    if (f->rejected)
        return LMAIL_OK; /* it was told, no more */
    lmail_status st = obey(f, x);
    if (x->says != LMAIL_MILTER_SAYS_CONTINUE || f->stage == LMAIL_MILTER_ASK_END)
        lmi_count_filter(&f->peer->base, x->says);
    if (x->says != LMAIL_MILTER_SAYS_CONTINUE)
        log_verdict(f, x,
                    st == LMAIL_OK                      ? "filter_accepted"
                    : f->verdict == LMI_FILTERS_DISCARD ? "filter_discarded"
                                                        : "filter_refused",
                    lmail_milter_says_name(x->says));
    return st;
}

static int is_told(const lmi_filters *f, const lmi_filter *x)
{
    lmail_milter_facts facts;
    if (x->done || !lmail_milter_client_asks(x->client, f->stage))
        return 0;
    lmail_milter_client_get_facts(x->client, &facts);
    return !f->rejected || facts.steps & LMAIL_MILTER_STEP_REJECTED_RCPT;
}

/* One filter. OK: the next; PENDING; END: the verdict is final. */
static lmail_status turn(lmi_filters *f, lmi_filter *x)
{
    switch (x->state) {
    case LMI_FILTER_NEW:
        if (f->stage != LMAIL_MILTER_ASK_CONNECT)
            return LMAIL_OK;
        x->state = LMI_FILTER_COMING;
        lmi_filter_connect(x);
        return x->state == LMI_FILTER_FAILED ? by_default(f, x) : LMAIL_PENDING;
    case LMI_FILTER_COMING:
        return LMAIL_PENDING;
    case LMI_FILTER_FAILED:
        return f->stage == LMAIL_MILTER_ASK_UNKNOWN ? LMAIL_OK
               : f->stage == LMAIL_MILTER_ASK_END   ? lmi_filter_message(f, x)
                                                    : by_default(f, x);
    case LMI_FILTER_DONE:
        return LMAIL_OK;
    default:
        break;
    }
    if (x->waits)
        return LMAIL_PENDING;
    if (f->stage == LMAIL_MILTER_ASK_END)
        return x->done || !x->in_message ? LMAIL_OK : lmi_filter_message(f, x);
    if (f->stage == LMAIL_MILTER_ASK_MAIL)
        x->in_message = 1;
    if (!x->heard && !is_told(f, x))
        return LMAIL_OK;
    if (!x->heard && lmi_filter_ask(x, &f->ask) == LMAIL_PENDING)
        return LMAIL_PENDING;
    return lmi_filter_judge(f, x);
}

static lmail_status run(lmi_filters *f)
{
    lmail_status st = LMAIL_OK;
    f->running = 1;
    while (!st && f->at < f->count) {
        st = turn(f, &f->items[f->at]);
        if (!st)
            f->at++;
    }
    f->running = 0;
    return st == LMAIL_PENDING ? st : LMAIL_OK;
}

lmail_status lmi_filters_start(lmi_filters *f, lmail_milter_ask_kind stage, lmail_ticket t,
                               void (*then)(lmi_filters *))
{
    f->stage = stage;
    f->ask.size = sizeof f->ask;
    f->ask.kind = stage;
    f->ticket = t;
    f->then = then;
    f->at = 0;
    f->verdict = LMI_FILTERS_GO_ON;
    f->cancelled = 0;
    if (stage == LMAIL_MILTER_ASK_MAIL || stage == LMAIL_MILTER_ASK_CONNECT)
        for (size_t i = 0; i < f->count; i++)
            f->items[i].done = f->items[i].in_message = 0;
    if (stage == LMAIL_MILTER_ASK_MAIL)
        forget_told(f);
    lmail_status st = run(f);
    if (st != LMAIL_PENDING)
        f->stage = LMAIL_MILTER_ASK_NONE;
    return st;
}

int lmi_filters_asks(const lmi_filters *f, lmail_milter_ask_kind stage)
{
    for (size_t i = 0; i < f->count && !f->off; i++) {
        const lmi_filter *x = &f->items[i];
        if (x->state == LMI_FILTER_FAILED || x->state == LMI_FILTER_NEW)
            return 1;
        if (x->state == LMI_FILTER_OPEN && !x->done &&
            (stage == LMAIL_MILTER_ASK_END ? x->in_message != 0
                                           : lmail_milter_client_asks(x->client, stage)))
            return 1;
        if (x->state == LMI_FILTER_OPEN && stage == LMAIL_MILTER_ASK_MAIL)
            return 1;
    }
    return 0;
}

void lmi_filters_abort(lmi_filters *f)
{
    lmail_milter_ask a = LMAIL_MILTER_ASK_INIT;
    a.kind = LMAIL_MILTER_ASK_ABORT;
    for (size_t i = 0; i < f->count; i++) {
        lmi_filter *x = &f->items[i];
        if (x->in_message && x->state == LMI_FILTER_OPEN && !x->ended) {
            (void)lmail_milter_client_submit(x->client, &a, lmail_loop_now(f->loop));
            lmail_conn_wake(x->conn);
        }
        x->in_message = x->done = 0;
    }
}

/* ---- From the loop --------------------------------------------------------------------------- */

static void close_ended(lmi_filters *f)
{
    for (size_t i = 0; i < f->count; i++) {
        lmi_filter *x = &f->items[i];
        if (x->conn && (x->ended || !f->peer) && !x->leaving)
            lmail_conn_close(x->conn);
        if (x->state == LMI_FILTER_COMING && !x->conn && !x->dns_ticket && f->peer && !f->cancelled)
            lmi_filter_connect_next(x);
    }
}

static void go_on(void *arg)
{
    lmi_filters *f = arg;
    close_ended(f);
    int over = 0;
    if (f->stage && f->cancelled && !f->jobs) {
        /* Nobody waits for the answer; who was asked is in the middle of it. */
        if (f->at < f->count && f->items[f->at].conn)
            lmail_conn_close(f->items[f->at].conn);
        f->verdict = LMI_FILTERS_GO_ON;
        over = 1;
    } else if (f->stage && !f->cancelled && !f->jobs) {
        over = run(f) != LMAIL_PENDING;
    }
    if (over) {
        f->stage = LMAIL_MILTER_ASK_NONE;
        f->then(f);
    }
    if (!f->peer && !f->open)
        end(f);
}
