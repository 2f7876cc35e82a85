/* service_runner_age.c - what age alone decides, and ends that somebody is to be told of.
 *
 * Rows behind a host that does not answer are not tried one by one, so their times are looked at
 * here. All of it runs on a worker. */
#include "host/service/service_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define SLICE 64u

/* ---- Ends that are to be told ---------------------------------------------------------------- */

static void log_message(const lmi_runner *r, lmail_log_level level, const char *event,
                        const lmail_queue_message *m, const char *reason)
{
    char id[LMAIL_QUEUE_ID_TEXT];
    lmail_log_line l;
    lmail_queue_id_write(m->id, id);
    lmail_log_begin(&l, r->service->log, level, event);
    lmail_log_text(&l, "queue", lmail_str_from(id));
    lmail_log_text(&l, "from", m->sender);
    lmail_log_text(&l, "reason", lmail_str_from(reason));
    lmail_log_end(&l);
}

/* Why, in one line: of the first recipient that failed. */
static void write_reason(const lmail_queue_message *m, char *out, size_t cap)
{
    out[0] = '\0';
    for (size_t i = 0; i < m->recipient_count; i++) {
        const lmail_queue_recipient *r = &m->recipients[i];
        if (!r->report)
            continue;
        snprintf(out, cap, "could not be delivered to %.*s: %.*s %.*s",
                 (int)(r->address.len < 200 ? r->address.len : 200), r->address.ptr,
                 TEXT(r->enhanced), (int)(r->reply.len < 400 ? r->reply.len : 400), r->reply.ptr);
        return;
    }
}

/* What can be told to nobody is kept, for the administrator to look at. */
void lmi_age_report(lmi_runner *r, const lmi_ways *w, uint64_t id)
{
    const lmail_queue_batch *b;
    char reason[800];
    if (lmail_queue_claim_message(r->queue, id, &b))
        return; /* others of it are on their way */
    const lmail_queue_message *m = &b->messages[0];
    write_reason(m, reason, sizeof reason);
    lmail_status st =
        reason[0] && m->held == LMAIL_QUEUE_FREE ? lmi_report_write(r, w, m, 0) : LMAIL_OK;
    if (st && st != LMAIL_ERR_FULL && st != LMAIL_ERR_BUSY && !b->rows &&
        !lmail_queue_quarantine(r->queue, id, lmail_str_from(reason)))
        log_message(r, LMAIL_LOG_WARN, "undeliverable", m, reason);
    lmail_queue_batch_free(r->queue, b);
}

/* ---- Returns --------------------------------------------------------------------------------- */

static void expire(lmi_runner *r, const lmi_ways *w, uint64_t id, int64_t now)
{
    const lmail_queue_batch *b;
    if (lmail_queue_claim_message(r->queue, id, &b))
        return;
    const lmail_queue_message *m = &b->messages[0];
    lmail_queue_result *results = calloc(m->recipient_count + 1, sizeof *results);
    size_t n = 0;
    for (size_t i = 0; i < m->recipient_count && results; i++) {
        const lmail_queue_recipient *to = &m->recipients[i];
        if (to->state != LMAIL_QUEUE_WAITING)
            continue;
        lmail_queue_result *q = &results[n++];
        *q = (lmail_queue_result){.id = id, .number = to->number, .state = LMAIL_QUEUE_FAILED};
        q->report = lmi_report_due(w->rules, LMAIL_DSN_FAILED, m, to) != 0;
        q->attempts = to->attempts;
        q->last = to->last;
        q->code = to->code;
        q->enhanced = LMAIL_STR("4.4.7");
        q->reply = to->reply.len ? to->reply : LMAIL_STR("no attempt was made in time");
        q->host = to->host;
    }
    lmail_status st = results ? lmail_queue_results(r->queue, results, n) : LMAIL_ERR_NOMEM;
    for (size_t i = 0, k = 0; i < m->recipient_count && !st && k < n; i++)
        if (m->recipients[i].state == LMAIL_QUEUE_WAITING) {
            results[k].last = now;
            lmi_runner_log(r, m, &m->recipients[i], &results[k++], (lmail_str){NULL, 0});
        }
    free(results);
    lmail_queue_batch_free(r->queue, b);
    if (!st)
        lmi_age_report(r, w, id);
}

static void return_old(lmi_runner *r, const lmi_ways *w, int64_t before, int64_t now)
{
    for (unsigned warned = 0; warned < 2; warned++) {
        lmail_queue_age after = {0, 0};
        uint64_t ids[SLICE];
        size_t n = SLICE;
        while (n == SLICE && !lmail_queue_aged(r->queue, before, warned, &after, ids, SLICE, &n))
            for (size_t i = 0; i < n; i++)
                expire(r, w, ids[i], now);
    }
}

/* ---- Delays ---------------------------------------------------------------------------------- */

static void tell_delay(lmi_runner *r, const lmi_ways *w, uint64_t id, int64_t now)
{
    const lmail_queue_batch *b;
    if (lmail_queue_claim_message(r->queue, id, &b))
        return; /* it is being tried: a second later */
    log_message(r, LMAIL_LOG_INFO, "delayed", &b->messages[0],
                "it waits for longer than queue.warn_after");
    if (lmi_report_write(r, w, &b->messages[0], 1))
        (void)lmail_queue_warned(r->queue, id, now, NULL);
    lmail_queue_batch_free(r->queue, b);
}

static void warn(lmi_runner *r, const lmi_ways *w, int64_t before, int64_t now)
{
    lmail_queue_age after = {0, 0};
    uint64_t ids[SLICE];
    size_t n = SLICE;
    while (n == SLICE && !lmail_queue_aged(r->queue, before, 0, &after, ids, SLICE, &n))
        for (size_t i = 0; i < n; i++)
            tell_delay(r, w, ids[i], now);
}

void lmi_age_look(lmi_runner *r, const lmi_ways *w)
{
    int64_t now = lmi_runner_clock(r);
    const lmail_schedule *s = &w->schedule;
    return_old(r, w, now - (lmail_schedule_return_at(s, now) - now), now);
    if (s->warn_after)
        warn(r, w, now - (int64_t)s->warn_after, now);
}
