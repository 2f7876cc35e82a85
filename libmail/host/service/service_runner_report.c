/* service_runner_report.c - reports to senders: composed by lmail_dsn, and queued like any mail, in
 * the one transaction that says that they were made. RFC 3461, 3464.
 *
 * A report leaves with the empty reverse-path, so none is ever made of a report; a failure that
 * nobody else can be told of goes to the postmaster. All of it runs on a worker. */
#include "host/service/service_mail.h"
#include "host/service/service_runner.h"
#include "host/service/service_smtp.h"

#include <libmail/dsn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

/* Where a report goes. */
typedef struct target {
    char address[LMAIL_POLICY_MAX_ADDRESS], route[1024], destination[LMAIL_QUEUE_DESTINATION];
} target;

/* ---- Its octets ------------------------------------------------------------------------------ */

/* The octets come in order: a data file is written from its beginning to its end. */
typedef struct writing {
    lmi_runner *runner;
    const lmail_queue_message *about;
    lmail_dsn *dsn;
    uint64_t octets;
    unsigned ended;
} writing;

static const char return_path[] = "Return-Path: <>\r\n";

static lmail_status feed(writing *w, uint64_t offset, size_t want)
{
    char piece[16384];
    size_t got;
    lmail_status st = lmail_queue_read(w->runner->queue, w->about->id, w->about->header + offset,
                                       piece, want < sizeof piece ? want : sizeof piece, &got);
    return lmail_dsn_give(w->dsn, (lmail_str){piece, st ? 0 : got}, st);
}

static lmail_status read_report(void *ctx, uint64_t offset, char *buf, size_t cap, size_t *got)
{
    writing *w = ctx;
    lmail_status st = LMAIL_OK;
    size_t n = 0;
    if (!offset) {
        n = sizeof return_path - 1;
        memcpy(buf, return_path, n);
    }
    while (!st && n < cap && !w->ended) {
        size_t made = 0, want;
        uint64_t from;
        st = lmail_dsn_read(w->dsn, buf + n, cap - n, &made);
        n += made;
        if (st == LMAIL_PENDING)
            st = lmail_dsn_wants(w->dsn, &from, &want) ? feed(w, from, want) : LMAIL_ERR_STATE;
        w->ended = st == LMAIL_END;
        if (w->ended)
            st = LMAIL_OK;
    }
    w->octets += n;
    *got = n;
    return st;
}

/* ---- Where it goes --------------------------------------------------------------------------- */

static lmail_status to_host(target *t, lmail_str address, lmail_str route)
{
    const char *from, *at;
    if (address.len >= sizeof t->address || route.len >= sizeof t->route)
        return LMAIL_ERR_LIMIT;
    snprintf(t->address, sizeof t->address, "%.*s", TEXT(address));
    snprintf(t->route, sizeof t->route, "%.*s", TEXT(route));
    at = t->route[0] ? strchr(t->route, ':') : strrchr(t->address, '@');
    from = at ? at + 1 : t->route;
    size_t n = strlen(from);
    if (!n || n >= sizeof t->destination)
        return LMAIL_ERR_NOTFOUND;
    for (size_t i = 0; i <= n; i++)
        t->destination[i] = from[i] >= 'A' && from[i] <= 'Z' ? (char)(from[i] | 0x20) : from[i];
    return LMAIL_OK;
}

static lmail_status to_user(target *t, const lmi_rules *rules, lmail_str address, lmail_str local,
                            lmail_str domain)
{
    char account[LMI_ACCOUNT_NAME];
    lmail_status st = lmi_find_user(rules, lmail_accounts_find, local, domain, account);
    if (st)
        return st;
    snprintf(t->address, sizeof t->address, "%.*s", TEXT(address));
    snprintf(t->route, sizeof t->route, "local:%s", account);
    snprintf(t->destination, sizeof t->destination, "local");
    return LMAIL_OK;
}

/* The first of the tables' destinations: a report has one reader. */
static lmail_status by_tables(target *t, const lmi_rules *rules, lmail_str address,
                              const lmail_policy_verdict *v)
{
    const lmail_policy_routes *routes;
    char route[1024];
    lmail_status st = lmi_find_routes(rules, v->local_part, v->domain, &routes);
    if (st)
        return st;
    const lmail_policy_destination *d = &routes->items[0];
    if (d->kind == LMAIL_POLICY_TO_USER) {
        st = to_user(t, rules, address, d->user, v->domain);
    } else if (d->kind == LMAIL_POLICY_TO_HOST) {
        lmi_route_write(d, route, sizeof route);
        st = to_host(t, d->address, lmail_str_from(route));
    } else {
        st = LMAIL_ERR_NOTFOUND;
    }
    lmail_policy_routes_free(routes);
    return st;
}

static lmail_status find_target(target *t, const lmi_rules *rules, lmail_str address)
{
    lmail_policy_peer peer;
    lmail_policy_question q;
    lmail_policy_verdict v;
    lmail_policy_peer_init(&peer); /* this machine: it may send anywhere */
    lmail_policy_question_init(&q);
    q.peer = &peer;
    q.recipient = address;
    q.sender_domain = LMAIL_POLICY_YES;
    q.recipient_mx = LMAIL_POLICY_NO;
    lmail_status st = lmail_policy_rcpt(rules->policy, &q, &v);
    if (st)
        return st;
    if (v.kind == LMAIL_POLICY_DENY || v.kind == LMAIL_POLICY_NEED ||
        address.len >= sizeof t->address)
        return LMAIL_ERR_NOTFOUND;
    if (rules->tables)
        return by_tables(t, rules, address, &v);
    return v.local ? to_user(t, rules, address, v.local_part, v.domain)
                   : to_host(t, address, (lmail_str){NULL, 0});
}

/* ---- One report ------------------------------------------------------------------------------ */

static lmail_dsn_action action_of(const lmail_queue_recipient *r, int delay)
{
    if (delay)
        return r->state == LMAIL_QUEUE_WAITING ? LMAIL_DSN_DELAYED : LMAIL_DSN_NOTHING;
    switch (r->report ? r->state : LMAIL_QUEUE_WAITING) {
    case LMAIL_QUEUE_FAILED:
        return LMAIL_DSN_FAILED;
    case LMAIL_QUEUE_RELAYED:
        return LMAIL_DSN_RELAYED;
    case LMAIL_QUEUE_DELIVERED:
        return LMAIL_DSN_DELIVERED;
    default:
        return LMAIL_DSN_NOTHING;
    }
}

/* A setting's address: without a domain it is one of ours. */
static lmail_str address_of(const lmi_rules *rules, lmail_str setting, char room[600])
{
    if (!setting.len || setting.len > 300)
        return (lmail_str){NULL, 0};
    snprintf(room, 600, memchr(setting.ptr, '@', setting.len) ? "%.*s" : "%.*s@%s", TEXT(setting),
             rules->hostname);
    return lmail_str_from(room);
}

static void rules_of(const lmi_rules *rules, char room[2][600], lmail_dsn_rules *out)
{
    const lmail_settings *v = rules->settings;
    lmail_dsn_rules_init(out);
    out->no_receipts = (v->smtp.privacy & LMAIL_PRIVACY_NO_RECEIPTS) != 0;
    out->postmaster = address_of(rules, v->queue.double_bounce_to, room[0]);
    out->copies_to = address_of(rules, v->queue.copies_to, room[1]);
}

unsigned lmi_report_due(const lmi_rules *rules, lmail_dsn_action action,
                        const lmail_queue_message *m, const lmail_queue_recipient *r)
{
    lmail_dsn_rules due;
    char room[2][600];
    rules_of(rules, room, &due);
    return lmail_dsn_due(&due, action, r->notify, m->sender, r->address);
}

static size_t fill_recipients(const lmi_rules *rules, const lmail_schedule *schedule,
                              const lmail_queue_message *m, int delay, unsigned *to,
                              lmail_dsn_recipient *list)
{
    size_t n = 0;
    *to = 0;
    for (size_t i = 0; i < m->recipient_count; i++) {
        const lmail_queue_recipient *r = &m->recipients[i];
        lmail_dsn_action action = action_of(r, delay);
        unsigned due = action ? lmi_report_due(rules, action, m, r) : 0;
        if (!due)
            continue;
        *to |= due;
        list[n++] = (lmail_dsn_recipient){
            .action = action,
            .final = r->address,
            .orcpt = r->orcpt,
            .code = r->code,
            .enhanced = r->enhanced,
            .text = r->reply,
            .host = r->host,
            .last = r->last,
            .retry_until = delay ? lmail_schedule_return_at(schedule, m->arrived) : 0};
    }
    return n;
}

static lmail_status compose(writing *w, const lmi_rules *rules, const lmail_dsn_report *report)
{
    lmail_dsn_config c = LMAIL_DSN_CONFIG_INIT;
    unsigned privacy = rules->settings->smtp.privacy;
    c.env = &rules->service->env;
    c.host = rules->hostname[0] ? lmail_str_from(rules->hostname) : LMAIL_STR("localhost");
    c.no_body_return = (privacy & LMAIL_PRIVACY_NO_BODY_RETURN) != 0;
    c.no_actual_recipient = (privacy & LMAIL_PRIVACY_NO_ACTUAL_RECIPIENT) != 0;
    return lmail_dsn_new(&w->dsn, &c, report);
}

/* Its data file and its rows, which `tell` writes together with what they stand for. */
static lmail_status write_one(lmi_runner *r, const lmi_rules *rules, const lmail_queue_message *m,
                              lmail_dsn_report *report, const target *t, size_t count, int delay)
{
    char id[LMAIL_QUEUE_ID_TEXT];
    writing w = {.runner = r, .about = m};
    lmail_dsn_facts facts = {0};
    lmail_queue_recipient to[2];
    lmail_queue_message q = LMAIL_QUEUE_MESSAGE_INIT;
    q.id = lmi_mail_number(r->service);
    lmail_queue_id_write(q.id, id);
    report->id = lmail_str_from(id);
    lmail_status st = compose(&w, rules, report);
    if (!st)
        st = lmail_queue_copy(r->queue, q.id, read_report, &w);
    if (!st)
        st = lmail_dsn_facts_get(w.dsn, &facts);
    lmail_dsn_free(w.dsn);
    if (st)
        return st;
    for (size_t i = 0; i < count; i++)
        to[i] = (lmail_queue_recipient){.address = lmail_str_from(t[i].address),
                                        .route = lmail_str_from(t[i].route),
                                        .destination = lmail_str_from(t[i].destination),
                                        .notify = facts.notify,
                                        .next = report->now};
    q.flags = facts.smtputf8 ? LMAIL_QUEUE_SMTPUTF8 : 0u;
    q.body = facts.has_8bit ? LMAIL_SMTP_BODY_8BITMIME : LMAIL_SMTP_BODY_NONE;
    q.octets = w.octets;
    q.header = sizeof return_path - 1;
    q.arrived = report->now;
    q.recipients = to;
    q.recipient_count = count;
    st = delay ? lmail_queue_warned(r->queue, m->id, report->now, &q)
               : lmail_queue_reported(r->queue, m->id, &q);
    lmail_log_line l;
    char about[LMAIL_QUEUE_ID_TEXT];
    lmail_queue_id_write(m->id, about);
    lmail_log_begin(&l, r->service->log, st ? LMAIL_LOG_ERR : LMAIL_LOG_INFO,
                    st ? "report_failed" : "report");
    lmail_log_text(&l, "queue", lmail_str_from(about));
    lmail_log_text(&l, "report", lmail_str_from(id));
    lmail_log_text(&l, "to", to[0].address);
    if (count > 1)
        lmail_log_text(&l, "copy", to[1].address);
    lmail_log_text(&l, "kind", delay ? LMAIL_STR("delay") : LMAIL_STR("end"));
    lmail_log_end(&l);
    return st;
}

lmail_status lmi_report_write(lmi_runner *r, const lmi_ways *ways, const lmail_queue_message *m,
                              int delay)
{
    const lmi_rules *rules = ways->rules;
    lmail_dsn_report report = LMAIL_DSN_REPORT_INIT;
    target *t = calloc(2, sizeof *t);
    lmail_dsn_recipient *list = calloc(m->recipient_count + 1, sizeof *list);
    char room[2][600];
    lmail_dsn_rules who;
    size_t count = 1;
    unsigned to = 0;
    rules_of(rules, room, &who);
    lmail_status st = t && list ? LMAIL_OK : LMAIL_ERR_NOMEM;
    if (!st)
        report.recipient_count = fill_recipients(rules, &ways->schedule, m, delay, &to, list);
    int zone = 0;
    (void)r->service->env.wall_clock(r->service->env.ctx, &zone);
    report.zone = zone;
    report.now = lmi_runner_clock(r);
    report.kind = to & LMAIL_DSN_TO_SENDER ? LMAIL_DSN_REPORT : LMAIL_DSN_NOTICE;
    report.to = to & LMAIL_DSN_TO_SENDER ? m->sender : who.postmaster;
    report.arrived = m->arrived;
    report.envid = m->has_envid ? m->envid : (lmail_str){NULL, 0};
    report.client_address = m->client;
    report.ret = m->ret;
    report.flags = m->flags & LMAIL_QUEUE_SMTPUTF8 ? LMAIL_DSN_SMTPUTF8 : 0u;
    report.octets = m->octets > m->header ? m->octets - m->header : 0;
    report.recipients = list;
    if (!st && !report.recipient_count) /* nobody wants to hear of it */
        st = delay ? lmail_queue_warned(r->queue, m->id, report.now, NULL)
                   : lmail_queue_reported(r->queue, m->id, NULL);
    else if (!st)
        st = find_target(t, rules, report.to);
    /* A copy that can go nowhere keeps nobody else's report from going. */
    if (!st && to & LMAIL_DSN_TO_COPIES && !find_target(&t[1], rules, who.copies_to))
        count = 2;
    if (!st && report.recipient_count)
        st = write_one(r, rules, m, &report, t, count, delay);
    free(t);
    free(list);
    return st;
}
