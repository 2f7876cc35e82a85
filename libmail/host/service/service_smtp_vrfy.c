/* service_smtp_vrfy.c - VRFY and EXPN: is there such a user, and whom does an alias mean; VERB, which
 * nobody has.
 *
 * RFC 5321 §3.5. Privacy flags go first; then the policy, where the check of the connection waits
 * for a recipient (delay_checks). Names are looked for on a worker. */
#include "host/service/service_smtp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define MAX_LINES 64u /* of an EXPN */

typedef struct answer_line {
    char text[700];
} answer_line;

typedef struct vrfy_job {
    lmi_job base;
    const lmail_smtp_argument_event *ev;
    unsigned expand;
    unsigned code;
    size_t count;
    answer_line lines[MAX_LINES];
    lmail_str slices[MAX_LINES];
} vrfy_job;

static void add_line(vrfy_job *job, lmail_str address, lmail_str domain)
{
    if (job->count == MAX_LINES)
        return;
    answer_line *l = &job->lines[job->count];
    int n = snprintf(l->text, sizeof l->text, domain.len ? "<%.*s@%.*s>" : "<%.*s>", TEXT(address),
                     TEXT(domain));
    if (n < 0 || (size_t)n >= sizeof l->text)
        return;
    job->slices[job->count++] = (lmail_str){l->text, (size_t)n};
}

static void no_such_user(vrfy_job *job)
{
    answer_line *l = &job->lines[0];
    snprintf(l->text, sizeof l->text, "%.*s... User unknown",
             (int)(job->ev->argument.len < 600 ? job->ev->argument.len : 600),
             job->ev->argument.ptr);
    job->code = 550;
    job->slices[0] = lmail_str_from(l->text);
    job->count = 1;
}

/* One mailbox of this host. */
static lmail_status add_user(vrfy_job *job, lmail_str local, lmail_str domain)
{
    char name[LMI_ACCOUNT_NAME];
    const lmi_rules *rules = job->base.peer->door->rules;
    lmail_status st = lmi_find_user(rules, lmail_accounts_find, local, domain, name);
    if (!st)
        add_line(job, local, domain.len ? domain : lmail_str_from(rules->hostname));
    return st;
}

static lmail_status add_destinations(vrfy_job *job, const lmail_policy_verdict *v)
{
    const lmi_rules *rules = job->base.peer->door->rules;
    const lmail_policy_routes *routes = NULL;
    lmail_status st = lmi_find_routes(rules, v->local_part, v->domain, &routes);
    if (!st && !routes)
        return add_user(job, v->local_part, v->domain);
    for (size_t i = 0; !st && i < routes->count; i++) {
        const lmail_policy_destination *d = &routes->items[i];
        if (d->kind == LMAIL_POLICY_TO_USER)
            st = add_user(job, d->user, routes->count == 1 ? v->domain : (lmail_str){NULL, 0});
        else if (d->kind == LMAIL_POLICY_TO_HOST)
            add_line(job, d->address, (lmail_str){NULL, 0});
        if (st == LMAIL_ERR_NOTFOUND && routes->count > 1)
            st = LMAIL_OK;
    }
    lmail_policy_routes_free(routes);
    return st;
}

/* "user", "user@domain", "<user@domain>"; a recipient as the policy understands it. */
static lmail_status work(vrfy_job *job)
{
    lmail_policy_verdict v;
    lmail_policy_peer peer;
    lmail_policy_question q;
    lmail_str who = job->ev->argument;
    if (who.len > 1 && who.ptr[0] == '<' && who.ptr[who.len - 1] == '>')
        who = (lmail_str){who.ptr + 1, who.len - 2};
    lmail_policy_peer_init(&peer); /* nobody sends: only its parts matter */
    lmail_policy_question_init(&q);
    q.peer = &peer;
    q.recipient = who;
    q.tables = job->base.peer->door->rules->tables;
    lmail_status st = lmail_policy_rcpt(job->base.peer->door->rules->policy, &q, &v);
    if (st || v.kind == LMAIL_POLICY_DENY || v.kind == LMAIL_POLICY_NEED)
        return st ? st : LMAIL_ERR_NOTFOUND;
    if (v.local)
        return add_destinations(job, &v);
    if (job->expand)
        return LMAIL_ERR_NOTFOUND;
    job->code = 252; /* not ours to know */
    add_line(job, v.local_part, v.domain);
    return LMAIL_OK;
}

static void work_look(lmi_job *base)
{
    vrfy_job *job = (vrfy_job *)base;
    job->code = 250;
    base->status = work(job);
    if (base->status == LMAIL_ERR_NOTFOUND || (!base->status && !job->count)) {
        no_such_user(job);
        base->status = LMAIL_OK;
    }
}

static void looked(lmi_job *base)
{
    vrfy_job *job = (vrfy_job *)base;
    smtp_peer *p = (smtp_peer *)base->peer;
    lmail_smtp_reply reply = LMAIL_SMTP_REPLY_INIT;
    if (base->status) {
        lmi_reply_fill(&reply, 451, "4.3.0", "Accounts cannot be read now; try again later");
    } else {
        reply.code = job->code;
        reply.enhanced = lmail_str_from(job->code == 550 ? "5.1.1" : "2.1.5");
        reply.text = job->slices[0];
        reply.lines = job->slices + 1;
        reply.line_count = job->count - 1;
    }
    lmi_reply_give(p, base->ticket, &reply);
}

/* ---- The questions --------------------------------------------------------------------------- */

static lmail_status look(smtp_peer *p, lmail_ticket t, const lmail_smtp_argument_event *ev,
                         unsigned expand)
{
    vrfy_job *job = lmi_job_new(sizeof *job, &p->base, t, work_look, looked);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->ev = ev;
    job->expand = expand;
    return lmi_peer_submit(&p->base, &job->base);
}

/* The connection's own check, which delay_checks has put off. OK: *refused says. */
static lmail_status check_connection(smtp_peer *p, const lmi_waiting *w, lmail_smtp_reply *reply,
                                     int *refused)
{
    lmail_policy_verdict v;
    lmail_policy_peer peer;
    lmail_policy_question q;
    const lmail_str none = {NULL, 0};
    *refused = 0;
    if (!p->base.door->rules->settings->policy.delay_checks)
        return LMAIL_OK;
    for (;;) {
        lmi_facts_peer(p, &peer);
        lmail_policy_question_init(&q);
        q.peer = &peer;
        lmail_status st = lmail_policy_connect_now(p->base.door->rules->policy, &q, &v);
        if (st)
            return st;
        unsigned need = v.kind == LMAIL_POLICY_NEED ? v.need : 0;
        if (v.kind == LMAIL_POLICY_ACCEPT && !v.listed && lmi_lists_verdict(p, &v) == LMAIL_PENDING)
            need = LMI_NEED_LISTS;
        if (!need)
            break;
        st = lmi_facts_look_up(p, need, none, w);
        if (st)
            return st;
    }
    *refused = v.kind == LMAIL_POLICY_DENY;
    if (!*refused)
        return LMAIL_OK;
    lmi_verdict_log(p, "vrfy", none, &v);
    lmi_reply_refusal(p, reply, &v);
    return LMAIL_OK;
}

static void vrfy_known(smtp_peer *p, lmail_ticket t, const void *event);
static void expn_known(smtp_peer *p, lmail_ticket t, const void *event);

static lmail_status decide(smtp_peer *p, lmail_ticket t, const lmail_smtp_argument_event *ev,
                           unsigned expand, lmail_smtp_reply *reply)
{
    const lmi_waiting w = {t, expand ? expn_known : vrfy_known, ev, 0};
    int refused;
    lmail_status st = check_connection(p, &w, reply, &refused);
    return st || refused ? st : look(p, t, ev, expand);
}

static void vrfy_known(smtp_peer *p, lmail_ticket t, const void *event)
{
    lmail_smtp_reply reply = LMAIL_SMTP_REPLY_INIT;
    lmail_status st = decide(p, t, event, 0, &reply);
    if (st != LMAIL_PENDING)
        lmi_reply_late(p, t, st, &reply);
}

static void expn_known(smtp_peer *p, lmail_ticket t, const void *event)
{
    lmail_smtp_reply reply = LMAIL_SMTP_REPLY_INIT;
    lmail_status st = decide(p, t, event, 1, &reply);
    if (st != LMAIL_PENDING)
        lmi_reply_late(p, t, st, &reply);
}

lmail_status lmi_vrfy_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_argument_event *ev, lmail_smtp_reply *reply)
{
    smtp_peer *p = user;
    (void)s;
    if (p->base.door->rules->settings->smtp.privacy & LMAIL_PRIVACY_NO_VRFY)
        return LMAIL_OK; /* VRFY_UNSURE */
    return decide(p, t, ev, 0, reply);
}

lmail_status lmi_expn_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_argument_event *ev, lmail_smtp_reply *reply)
{
    smtp_peer *p = user;
    (void)s;
    int offers = !(p->base.door->rules->settings->smtp.privacy & LMAIL_PRIVACY_NO_EXPN) ||
                 p->features_on & LMAIL_POLICY_FEATURE_EXPN;
    if (!offers || p->features_off & LMAIL_POLICY_FEATURE_EXPN)
        return LMAIL_OK; /* EXPN_OFF */
    return decide(p, t, ev, 1, reply);
}

lmail_status lmi_unknown_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                               const lmail_smtp_argument_event *ev, lmail_smtp_reply *reply)
{
    (void)s;
    (void)user;
    (void)t;
    if (lmail_str_equal(ev->verb, LMAIL_STR("VERB")))
        lmi_reply_fill(reply, 502, "5.7.0", "Verbose unavailable");
    return LMAIL_OK; /* UNKNOWN_COMMAND */
}
