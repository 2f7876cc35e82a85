/* service_runner_turn.c - one turn of a destination: rows are claimed, their messages sent one after
 * another over one connection where that can be, and what became of them is written down at once,
 * while the next message goes: after a crash only what had no result on the disk goes again. */
#include "host/service/service_mail.h"
#include "host/service/service_metrics.h"
#include "host/service/service_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define HOSTS 16u
#define ROW 3u

static void go_on(lmi_turn *t);

/* ---- Results --------------------------------------------------------------------------------- */

static lmail_str copy(char **keep, lmail_str from)
{
    *keep = malloc(from.len + 1);
    if (!*keep)
        return LMAIL_STR("");
    if (from.len)
        memcpy(*keep, from.ptr, from.len);
    return (lmail_str){*keep, from.len};
}

/* told: the server sends the reports that were asked for. */
static void set_state(const lmi_sending *s, size_t row, lmail_delivery_state state, unsigned told)
{
    const lmi_turn *t = s->turn;
    const lmail_queue_recipient *to = s->rows[row];
    lmail_queue_result *q = &s->results[row];
    q->attempts = to->attempts + 1;
    q->last = lmi_runner_clock(t->runner);
    q->next = q->last;
    if (state == LMAIL_DELIVERY_SENT) {
        int final = s->lmtp || !s->machine;
        q->state = final ? LMAIL_QUEUE_DELIVERED : LMAIL_QUEUE_RELAYED;
        q->report =
            !told && lmi_report_due(t->ways->rules, final ? LMAIL_DSN_DELIVERED : LMAIL_DSN_RELAYED,
                                    s->message, to);
    } else if (state == LMAIL_DELIVERY_FAILED ||
               q->last >= lmail_schedule_return_at(&t->ways->schedule, s->message->arrived)) {
        q->state = LMAIL_QUEUE_FAILED;
        q->report = lmi_report_due(t->ways->rules, LMAIL_DSN_FAILED, s->message, to) != 0;
        if (state != LMAIL_DELIVERY_FAILED)
            q->enhanced = LMAIL_STR("4.4.7"); /* RFC 3463 §3.5: the time is over */
    } else {
        q->state = LMAIL_QUEUE_WAITING;
        q->next = lmail_schedule_next(&t->ways->schedule, s->message->arrived, q->attempts,
                                      s->random, q->last);
    }
}

void lmi_sending_result(lmi_sending *s, size_t row, const lmail_delivery_result *result)
{
    const lmi_runner *r = s->turn->runner;
    lmail_queue_result *q = &s->results[row];
    char relay[600];
    if (r->stopping && result->state == LMAIL_DELIVERY_DEFERRED && !result->doubtful)
        return; /* put back: due as it was */
    q->id = s->message->id;
    q->number = s->rows[row]->number;
    q->code = result->code;
    q->enhanced = copy(&s->texts[row * 3], result->enhanced);
    q->reply = copy(&s->texts[row * 3 + 1], result->text);
    q->host = copy(&s->texts[row * 3 + 2], result->host);
    set_state(s, row, result->state, result->dsn);
    if (s->port)
        snprintf(relay, sizeof relay, "%.*s[%.*s]:%u", TEXT(result->host), TEXT(result->address),
                 s->port);
    else
        snprintf(relay, sizeof relay, "%.*s", TEXT(result->host));
    lmi_runner_log(r, s->message, s->rows[row], q,
                   result->host.len ? lmail_str_from(relay) : (lmail_str){NULL, 0});
}

void lmi_runner_log(const lmi_runner *r, const lmail_queue_message *m,
                    const lmail_queue_recipient *to, const lmail_queue_result *result,
                    lmail_str relay)
{
    static const char *const events[] = {"deferred", "sent", "sent", "sent", "bounced"};
    char id[LMAIL_QUEUE_ID_TEXT], delay[32];
    lmail_log_line l;
    int64_t age = result->last - m->arrived;
    lmail_queue_id_write(m->id, id);
    snprintf(delay, sizeof delay, "%lld.%lld", (long long)(age / 1000),
             (long long)(age > 0 ? age % 1000 / 100 : 0));
    lmail_log_begin(&l, r->service->log, LMAIL_LOG_INFO, events[result->state]);
    lmail_log_text(&l, "queue", lmail_str_from(id));
    lmail_log_text(&l, "to", to->address);
    if (relay.len)
        lmail_log_text(&l, "relay", relay);
    lmail_log_text(&l, "dsn", result->enhanced);
    lmail_log_text(&l, "delay", lmail_str_from(delay));
    if (result->code)
        lmail_log_number(&l, "code", result->code);
    if (result->reply.len)
        lmail_log_text(&l, "reply", result->reply);
    lmail_log_end(&l);
}

/* ---- Writing them down ----------------------------------------------------------------------- */

static void free_sending(lmi_sending *s)
{
    for (size_t i = 0; i < s->count * 3 && s->texts; i++)
        free(s->texts[i]);
    free(s->texts);
    free(s->rows);
    free(s->results);
    free(s->here);
    free(s);
}

/* Those that have one stand in front. */
static size_t gather(const lmi_sending *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->results[i].id)
            s->results[n++] = s->results[i];
    return n;
}

/* What was sent must not be sent again: without its result on the disk the claim stays. */
static void write_results(void *arg)
{
    lmi_sending *s = arg;
    lmi_runner *r = s->turn->runner;
    lmail_status st = LMAIL_ERR_IO;
    int report = 0;
    size_t n = gather(s);
    for (int tries = 0; st && tries < 5; tries++) {
        if (tries)
            usleep(200000);
        st = lmail_queue_results(r->queue, s->results, n);
    }
    for (size_t i = 0; i < n; i++)
        report |= s->results[i].report != 0;
    s->ended = st == LMAIL_OK;
    if (!st && report)
        lmi_age_report(r, s->turn->ways, s->message->id);
}

/* Who waits for the first attempt has waited for these rows. */
static void tell_waiting(const lmi_sending *s)
{
    size_t first = 0;
    for (size_t i = 0; i < s->count; i++)
        first += s->rows[i]->attempts == 0;
    if (first)
        lmi_waits_attempted(s->turn->runner, s->message->id, first);
}

static void results_written(void *arg)
{
    lmi_sending *s = arg;
    lmi_turn *t = s->turn;
    lmi_runner *r = t->runner;
    if (!s->ended) {
        char id[LMAIL_QUEUE_ID_TEXT];
        lmail_log_line l;
        lmail_queue_id_write(s->message->id, id);
        lmail_log_begin(&l, r->service->log, LMAIL_LOG_ERR, "queue_not_written");
        lmail_log_text(&l, "queue", lmail_str_from(id));
        lmail_log_end(&l);
        if (!r->stopping &&
            !lmail_pool_submit(r->pool, r->loop, write_results, results_written, s, 0))
            return;
    }
    t->writing--;
    tell_waiting(s);
    free_sending(s);
    go_on(t);
}

/* ---- One message ----------------------------------------------------------------------------- */

static int same_route(const lmail_queue_recipient *a, const lmail_queue_recipient *b)
{
    return lmail_str_equal(a->route, b->route);
}

static int is_local(const lmail_queue_recipient *r)
{
    return r->route.len > 6 && memcmp(r->route.ptr, "local:", 6) == 0;
}

static int is_refused(const lmail_queue_recipient *r)
{
    size_t n = sizeof LMI_ROUTE_ERROR - 1;
    return r->route.len > n && memcmp(r->route.ptr, LMI_ROUTE_ERROR, n) == 0;
}

static lmi_sending *new_sending(lmi_turn *t, const lmail_queue_message *m)
{
    size_t n = m->recipient_count;
    lmi_sending *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->turn = t;
    s->message = m;
    s->random = lmi_runner_random(t->runner);
    s->rows = calloc(n, sizeof *s->rows);
    s->results = calloc(n, sizeof *s->results);
    s->texts = calloc(n * 3, sizeof *s->texts);
    s->here = calloc(n, sizeof *s->here);
    if (s->rows && s->results && s->texts && s->here)
        return s;
    free_sending(s);
    return NULL;
}

/* What it says of the destination. Where three in a row found a full house the rest need not come. */
static void judge(lmi_turn *t, const lmi_sending *s)
{
    if (s->health > t->health)
        t->health = s->health;
    if (s->health == LMAIL_DELIVERY_ALIVE) {
        t->good++;
        t->in_row = 0;
    } else if (s->health != LMAIL_DELIVERY_NOT_MET) {
        t->bad++;
        t->in_row++;
    }
    if (s->health == LMAIL_DELIVERY_BUSY && t->in_row >= ROW)
        t->message = t->batch->count; /* the rest stays due */
}

/* The sending is over: its results go to the disk, the next message goes. */
static void sending_ended(void *arg)
{
    lmi_sending *s = arg;
    lmi_turn *t = s->turn;
    lmail_delivery_free(s->machine);
    t->sending = NULL;
    judge(t, s);
    for (size_t i = 0; i < s->count; i++)
        if (s->results[i].id)
            lmi_count_sent(t->runner->service, s->results[i].state);
    t->writing++;
    go_on(t);
    /* Last: when the pool takes no more it is done here and now, and the turn may be gone. */
    lmi_runner_job(t->runner, write_results, results_written, s);
}

static void deliver_here(void *arg)
{
    lmi_local_deliver(arg);
}

static void delivered_here(void *arg)
{
    lmi_sending *s = arg;
    lmi_runner *r = s->turn->runner;
    for (size_t i = 0; i < s->count; i++) {
        lmail_status st = s->here[i];
        lmail_delivery_result one = {.recipient = i, .state = LMAIL_DELIVERY_SENT};
        one.enhanced = LMAIL_STR("2.0.0");
        one.text = LMAIL_STR("delivered to the mailbox");
        if (st) {
            one.state = st == LMAIL_ERR_NOTFOUND ? LMAIL_DELIVERY_FAILED : LMAIL_DELIVERY_DEFERRED;
            one.enhanced = st == LMAIL_ERR_NOTFOUND ? LMAIL_STR("5.1.1") : LMAIL_STR("4.2.0");
            one.text = lmail_str_from(lmail_status_text(st));
            if (st == LMAIL_ERR_QUOTA) {
                int reject = s->turn->ways->rules->settings->store.quota_refusal != 0;
                one.state = reject ? LMAIL_DELIVERY_FAILED : LMAIL_DELIVERY_DEFERRED;
                one.enhanced = reject ? LMAIL_STR("5.2.2") : LMAIL_STR("4.2.2");
                one.text = LMAIL_STR("the mailbox is full");
            }
        } else {
            lmail_str route = s->rows[i]->route;
            lmi_watch_tell(r->service->watch,
                           lmail_notice_slot((lmail_str){route.ptr + 6, route.len - 6}));
        }
        lmi_sending_result(s, i, &one);
    }
    s->health = LMAIL_DELIVERY_ALIVE;
    lmi_runner_later(r, &s->later);
}

/* "error:550 5.1.1 User unknown": what the server said when the mail was left here. */
static void refuse(lmi_sending *s)
{
    lmail_str text = s->rows[0]->route;
    lmail_delivery_result one = {.state = LMAIL_DELIVERY_FAILED};
    text.ptr += sizeof LMI_ROUTE_ERROR - 1;
    text.len -= sizeof LMI_ROUTE_ERROR - 1;
    for (; text.len && *text.ptr >= '0' && *text.ptr <= '9'; text.ptr++, text.len--)
        one.code = one.code * 10 + (unsigned)(*text.ptr - '0');
    const char *blank = text.len > 1 ? memchr(text.ptr + 1, ' ', text.len - 1) : NULL;
    if (blank) {
        one.enhanced = (lmail_str){text.ptr + 1, (size_t)(blank - text.ptr) - 1};
        one.text = (lmail_str){blank + 1, (size_t)(text.ptr + text.len - blank) - 1};
    }
    for (size_t i = 0; i < s->count; i++) {
        one.recipient = i;
        lmi_sending_result(s, i, &one);
    }
    lmi_runner_later(s->turn->runner, &s->later);
}

/* A route that says nothing is the administrator's to mend: mail waits. */
static void cannot_go(lmi_sending *s, lmail_status st)
{
    for (size_t i = 0; i < s->count; i++) {
        lmail_delivery_result one = {.recipient = i, .state = LMAIL_DELIVERY_DEFERRED};
        one.enhanced = LMAIL_STR("4.3.5");
        one.text = lmail_str_from(st == LMAIL_ERR_SYNTAX ? "its route cannot be understood"
                                                         : lmail_status_text(st));
        lmi_sending_result(s, i, &one);
    }
    lmi_runner_later(s->turn->runner, &s->later);
}

static void start_machine(lmi_sending *s)
{
    lmi_turn *t = s->turn;
    lmi_runner *r = t->runner;
    lmail_msec now = lmail_loop_now(r->loop);
    lmail_delivery_job job = LMAIL_DELIVERY_JOB_INIT;
    lmail_delivery_host hosts[HOSTS];
    lmail_str *to = calloc(s->count, sizeof *to);
    lmail_status st = to ? LMAIL_OK : LMAIL_ERR_NOMEM;
    if (!st)
        st = lmail_delivery_route(s->rows[0]->route, s->rows[0]->address, &job, hosts, HOSTS);
    for (size_t i = 0; i < s->count && !st; i++)
        to[i] = s->rows[i]->address;
    job.destination = lmail_str_from(t->destination);
    job.reuse = 1;
    job.recipients = to;
    job.recipient_count = s->count;
    job.status = r->status;
    job.tls = lmi_ways_tls(t->ways);
    s->lmtp = job.mailer == LMAIL_DELIVERY_LMTP;
    if (!st)
        st = lmail_delivery_new(&s->machine, t->ways->delivery, &job, s, now);
    free(to);
    if (!st)
        (void)lmail_delivery_start(s->machine, now); /* it ends in any case */
    else
        cannot_go(s, st);
}

static void start_sending(lmi_turn *t, const lmail_queue_message *m)
{
    lmi_sending *s = new_sending(t, m);
    if (!s) { /* the rest stays due */
        t->message = t->batch->count;
        return;
    }
    s->later = (lmi_later){NULL, sending_ended, s, 0};
    t->sending = s;
    for (size_t i = t->row; i < m->recipient_count; i++) {
        const lmail_queue_recipient *r = &m->recipients[i];
        if (t->taken[i] || (s->count && !same_route(s->rows[0], r)))
            continue;
        t->taken[i] = 1;
        s->rows[s->count++] = r;
    }
    if (is_refused(s->rows[0]))
        refuse(s);
    else if (is_local(s->rows[0]))
        lmi_runner_job(t->runner, deliver_here, delivered_here, s);
    else
        start_machine(s);
}

/* ---- The turn -------------------------------------------------------------------------------- */

/* The next message with rows that were not sent. NULL: that was all. */
static const lmail_queue_message *next_message(lmi_turn *t)
{
    for (; t->batch && t->message < t->batch->count; t->message++, t->row = 0) {
        const lmail_queue_message *m = &t->batch->messages[t->message];
        if (!t->row && !t->taken) {
            t->taken = calloc(m->recipient_count + 1, 1);
            if (!t->taken)
                return NULL;
        }
        while (t->row < m->recipient_count && t->taken[t->row])
            t->row++;
        if (t->row < m->recipient_count)
            return m;
        free(t->taken);
        t->taken = NULL;
    }
    return NULL;
}

static void unlink_turn(lmi_turn *t)
{
    *t->at = t->next;
    if (t->next)
        t->next->at = t->at;
}

void lmi_turn_free(lmi_turn *t)
{
    unlink_turn(t);
    lmi_ways_release(t->ways);
    free(t->taken);
    free(t);
}

static void give_back(void *arg)
{
    lmi_turn *t = arg;
    lmail_queue_batch_free(t->runner->queue, t->batch);
}

static void given_back(void *arg)
{
    lmi_turn *t = arg;
    lmi_runner *r = t->runner;
    lmail_dispatch_done done = {t->health, t->max != 0, t->good, t->bad};
    (void)lmail_dispatch_end_turn(r->dispatch, t->id, &done, lmail_loop_now(r->loop));
    lmi_turn_free(t);
    lmi_runner_pump(r);
}

static void finish(lmi_turn *t)
{
    /* From here on it says whether there is more. */
    t->max = t->batch && (t->batch->more || (t->health == LMAIL_DELIVERY_BUSY && t->in_row >= ROW));
    t->runner->messages -= t->batch ? t->batch->count : 0;
    lmi_runner_job(t->runner, give_back, given_back, t);
}

static void go_on(lmi_turn *t)
{
    const lmail_queue_message *m;
    if (t->sending)
        return;
    m = t->runner->stopping ? NULL : next_message(t);
    if (m)
        start_sending(t, m);
    if (!t->sending && !t->writing)
        finish(t);
}

static void claim(void *arg)
{
    lmi_turn *t = arg;
    (void)lmail_queue_claim(t->runner->queue, lmail_str_from(t->destination),
                            lmi_runner_clock(t->runner), t->max, &t->batch);
}

static void claimed(void *arg)
{
    lmi_turn *t = arg;
    t->runner->messages -= t->max; /* as many as were asked for; and those that came: */
    t->runner->messages += t->batch ? t->batch->count : 0;
    go_on(t);
}

void lmi_turn_begin(lmi_runner *r, const lmail_dispatch_turn *turn)
{
    lmi_turn *t = calloc(1, sizeof *t);
    if (!t || turn->destination.len >= sizeof t->destination) {
        lmail_dispatch_done done = {LMAIL_DELIVERY_NOT_MET, 0, 0, 0};
        free(t);
        (void)lmail_dispatch_end_turn(r->dispatch, turn->id, &done, lmail_loop_now(r->loop));
        return;
    }
    t->runner = r;
    t->ways = lmi_ways_hold(r->ways);
    t->id = turn->id;
    t->max = turn->batch;
    t->probe = turn->probe;
    memcpy(t->destination, turn->destination.ptr, turn->destination.len);
    t->at = &r->turns;
    t->next = r->turns;
    if (t->next)
        t->next->at = &t->next;
    r->turns = t;
    r->messages += t->max;
    lmi_runner_job(r, claim, claimed, t);
}

/* A transaction that has begun ends by itself, as long as the net lets it. */
void lmi_turn_stop(lmi_turn *t)
{
    lmi_sending *s = t->sending;
    if (!s || !s->machine || s->ended || (s->out && s->out->count && s->out->ticket))
        return;
    (void)lmail_delivery_stop(s->machine, NULL, lmail_loop_now(t->runner->loop));
}
