/* service_smtp_rcpt.c - recipients: may the client send there, where does the mail go, and is there
 * such a mailbox.
 *
 * The policy decides first. Then the tables take the recipient to its destinations: mailboxes of
 * this host, and addresses elsewhere, which the queue gets. A mailbox in memory is found on the
 * loop; any other name is looked for on a worker. */
#include "host/service/service_forward.h"
#include "host/service/service_pickup.h"
#include "host/service/service_quota.h"
#include "host/service/service_smtp.h"
#include "host/service/service_smtp_limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

/* ---- Mailboxes of this host ------------------------------------------------------------------ */

typedef struct finding {
    const lmi_rules *rules;
    lmi_find_fn *find;
    char *name; /* LMI_ACCOUNT_NAME octets: what is looked for, then the one found */
} finding;

/* whole: only an account that is spelled without a domain. */
static lmail_status try_name(const finding *f, lmail_str local, lmail_str domain, int whole)
{
    lmail_account account;
    memset(&account, 0, sizeof account);
    account.size = sizeof account;
    int len = snprintf(f->name, LMI_ACCOUNT_NAME, domain.len ? "%.*s@%.*s" : "%.*s", TEXT(local),
                       TEXT(domain));
    if (len <= 0 || len >= (int)LMI_ACCOUNT_NAME || memchr(local.ptr, '\0', local.len))
        return LMAIL_ERR_NOTFOUND;
    lmail_status st = f->find(f->rules->accounts, lmail_str_from(f->name), &account);
    if (st)
        return st;
    if (whole && memchr(account.name.ptr, '@', account.name.len))
        st = LMAIL_ERR_NOTFOUND;
    else
        snprintf(f->name, LMI_ACCOUNT_NAME, "%.*s", TEXT(account.name));
    lmail_accounts_release(f->rules->accounts, &account);
    return st;
}

/* user+detail, then user (RFC 5233 §1). */
static lmail_status try_user(const finding *f, lmail_str local, lmail_str domain, int whole)
{
    const char *plus = memchr(local.ptr, '+', local.len);
    lmail_status st = try_name(f, local, domain, whole);
    if (st != LMAIL_ERR_NOTFOUND || !plus || plus == local.ptr)
        return st;
    return try_name(f, (lmail_str){local.ptr, (size_t)(plus - local.ptr)}, domain, whole);
}

/* Somebody reads it (RFC 5321 §4.5.1): the account that is configured, or else root. */
static lmail_status try_postmaster(const finding *f)
{
    const lmail_str none = {NULL, 0};
    lmail_status st = LMAIL_ERR_NOTFOUND;
    if (f->rules->settings->postmaster.len)
        st = try_name(f, f->rules->settings->postmaster, none, 0);
    return st == LMAIL_ERR_NOTFOUND ? try_name(f, LMAIL_STR("root"), none, 0) : st;
}

lmail_status lmi_find_user(const lmi_rules *rules, lmi_find_fn *find, lmail_str local,
                           lmail_str domain, char name[LMI_ACCOUNT_NAME])
{
    const finding f = {rules, find, name};
    const lmail_str none = {NULL, 0};
    if (!local.len)
        return LMAIL_ERR_NOTFOUND;
    lmail_status st = try_user(&f, local, domain, 0);
    /* Who has no domain has a mailbox in each of ours. */
    if (st == LMAIL_ERR_NOTFOUND && domain.len)
        st = try_user(&f, local, none, 1);
    if (st == LMAIL_ERR_NOTFOUND && lmail_str_equal_nocase(local, LMAIL_STR("postmaster")))
        st = try_postmaster(&f);
    return st;
}

/* ---- Destinations ---------------------------------------------------------------------------- */

typedef struct user {
    lmail_status status;
    char name[LMI_ACCOUNT_NAME];
    lmi_forward *forward; /* what his own file says; NULL: nothing */
} user;

typedef struct rcpt_job {
    lmi_job base;
    const lmail_smtp_rcpt_event *ev;
    const lmail_policy_routes *routes; /* NULL: the recipient is its one destination */
    int local;                         /* the recipient is of this host */
    char local_part[LMAIL_POLICY_MAX_ADDRESS], domain[LMAIL_POLICY_MAX_ADDRESS];
    uint64_t declared; /* SIZE= of MAIL */
    size_t count;
    user users[1]; /* one for each destination */
} rcpt_job;

static lmail_str user_of(const rcpt_job *job, size_t i)
{
    return job->routes ? job->routes->items[i].user : lmail_str_from(job->local_part);
}

static int is_user(const rcpt_job *job, size_t i)
{
    return job->routes ? job->routes->items[i].kind == LMAIL_POLICY_TO_USER : job->local;
}

/* Where the name stands: a table may have led to another domain of ours. */
static lmail_str domain_of(const rcpt_job *job, size_t i)
{
    if (job->routes && job->routes->items[i].domain.len)
        return job->routes->items[i].domain;
    return lmail_str_from(job->domain);
}

/* 1: it is known of every one that is a mailbox here. */
static int find_users(const lmi_rules *rules, rcpt_job *job, lmi_find_fn *find)
{
    int known = 1;
    for (size_t i = 0; i < job->count; i++) {
        user *u = &job->users[i];
        if (!is_user(job, i))
            continue;
        u->status = lmi_find_user(rules, find, user_of(job, i), domain_of(job, i), u->name);
        known = known && u->status == LMAIL_OK;
    }
    return known;
}

lmail_status lmi_find_routes(const lmi_rules *rules, lmail_str local, lmail_str domain,
                             const lmail_policy_routes **routes)
{
    lmail_policy_route_question q;
    *routes = NULL;
    if (!rules->tables)
        return LMAIL_OK;
    lmail_policy_route_question_init(&q);
    q.local_part = local;
    q.domain = domain;
    return lmail_policy_tables_route(rules->tables, &q, routes);
}

/* "mailer:host:host" where a table decided; empty: where the address leads. */
void lmi_route_write(const lmail_policy_destination *d, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = '\0';
    if (!d->rule.len)
        return;
    n = (size_t)snprintf(out, cap, "%.*s", TEXT(d->mailer));
    for (size_t i = 0; i < d->host_count && n < cap; i++) {
        lmail_str host = d->hosts[i].name;
        int brackets = d->hosts[i].no_mx && host.len && host.ptr[0] != '[';
        n += (size_t)snprintf(out + n, cap - n, brackets ? ":[%.*s]" : ":%.*s", TEXT(host));
        if (d->hosts[i].port && n < cap)
            n += (size_t)snprintf(out + n, cap - n, "@%u", d->hosts[i].port);
    }
    if (n >= cap)
        out[0] = '\0';
}

static lmail_status add_remote(smtp_peer *p, const rcpt_job *job, size_t i)
{
    char route[1024];
    if (!job->routes)
        return lmi_mail_add_remote(p->mail, job->ev->to.text, (lmail_str){NULL, 0});
    lmi_route_write(&job->routes->items[i], route, sizeof route);
    return lmi_mail_add_remote(p->mail, job->routes->items[i].address, lmail_str_from(route));
}

/* What of a list is left out is told to who reads the log. */
static void log_left_out(const smtp_peer *p, const rcpt_job *job, size_t i)
{
    lmail_log_line l;
    const lmail_policy_destination *d = job->routes ? &job->routes->items[i] : NULL;
    lmi_peer_log(&p->base, &l, LMAIL_LOG_WARN, "destination_left_out");
    lmail_log_text(&l, "to", job->ev->to.text);
    lmail_log_text(&l, "destination", d && d->address.len ? d->address : user_of(job, i));
    lmail_log_text(&l, "reason",
                   d && d->kind == LMAIL_POLICY_TO_NOBODY ? d->text : LMAIL_STR("User unknown"));
    if (d && d->file.len) {
        lmail_log_text(&l, "file", d->file);
        lmail_log_number(&l, "line", d->line);
    }
    lmail_log_end(&l);
}

/* What stands behind the plus, unless the whole is an account's name. */
static lmail_str detail_of(const rcpt_job *job, size_t i)
{
    const char *plus = strchr(job->local_part, '+');
    if (job->routes)
        return job->routes->items[i].detail;
    if (!plus || strchr(job->users[i].name, '+'))
        return (lmail_str){NULL, 0};
    return lmail_str_from(plus + 1);
}

static void log_forward(const smtp_peer *p, const rcpt_job *job, const lmi_forward *f)
{
    lmail_log_line l;
    for (size_t i = 0; i < f->note_count; i++) {
        lmi_peer_log(&p->base, &l, LMAIL_LOG_WARN, "forward_problem");
        lmail_log_text(&l, "to", job->ev->to.text);
        lmail_log_text(&l, "user", lmail_str_from(f->notes[i].user));
        if (f->notes[i].line)
            lmail_log_number(&l, "line", f->notes[i].line);
        lmail_log_text(&l, "reason", lmail_str_from(f->notes[i].reason));
        lmail_log_end(&l);
    }
}

static lmail_status take_forward(smtp_peer *p, const rcpt_job *job, size_t i)
{
    const lmi_forward *f = job->users[i].forward;
    lmail_status st = LMAIL_OK;
    int details = p->base.door->rules->settings->routing.detail_folders != 0;
    log_forward(p, job, f);
    for (size_t k = 0; !st && k < f->count; k++) {
        const lmi_forward_item *item = &f->items[k];
        lmail_str detail = lmail_str_from(item->detail);
        if (item->account) {
            st = lmi_mail_add_recipient(p->mail, lmail_str_from(item->account), job->ev->to.text);
            if (!detail.len && strcmp(item->account, job->users[i].name) == 0)
                detail = detail_of(job, i);
            if (!st && details)
                st = lmi_mail_set_detail(p->mail, detail);
        } else {
            st = lmi_mail_add_remote(p->mail, lmail_str_from(item->address),
                                     lmail_str_from(item->route));
        }
        if (!st && k + 1 < f->count) /* of the last the caller does it */
            st = lmi_mail_set_notify(p->mail, job->ev);
    }
    return st;
}

/* NOTIFY=SUCCESS, of somebody who can be told. Who delivers writes the report (RFC 3461 §5.2.3), and
 * the queue's runner does that with what goes through its hands. */
static int wants_receipt(const smtp_peer *p, const rcpt_job *job)
{
    const lmail_settings *v = p->base.door->rules->settings;
    return job->ev->notify & LMAIL_SMTP_NOTIFY_SUCCESS && p->mail->from[0] && p->mail->queue &&
           v->queue.max_deliveries && !(v->smtp.privacy & LMAIL_PRIVACY_NO_RECEIPTS);
}

/* As a row of the queue, due at once. */
static lmail_status take_for_receipt(smtp_peer *p, const rcpt_job *job, size_t i)
{
    char route[LMAIL_MAX_ACCOUNT_NAME + LMI_DETAIL_MAX + 16];
    lmail_str detail = detail_of(job, i);
    if (!p->base.door->rules->settings->routing.detail_folders || detail.len > LMI_DETAIL_MAX)
        detail.len = 0;
    snprintf(route, sizeof route, "local:%s%s%.*s", job->users[i].name, detail.len ? " " : "",
             (int)detail.len, detail.len ? detail.ptr : "");
    return lmi_mail_add_remote(p->mail, job->ev->to.text, lmail_str_from(route));
}

static lmail_status take_user(smtp_peer *p, const rcpt_job *job, size_t i)
{
    lmail_status st = job->users[i].status;
    if (!st && job->users[i].forward)
        return take_forward(p, job, i);
    if (!st && wants_receipt(p, job))
        return take_for_receipt(p, job, i);
    if (!st)
        st = lmi_mail_add_recipient(p->mail, lmail_str_from(job->users[i].name), job->ev->to.text);
    if (!st && p->base.door->rules->settings->routing.detail_folders)
        st = lmi_mail_set_detail(p->mail, detail_of(job, i));
    return st;
}

static lmail_status take_one(smtp_peer *p, const rcpt_job *job, size_t i, int *taken)
{
    lmail_status st = LMAIL_ERR_NOTFOUND;
    if (is_user(job, i)) {
        st = take_user(p, job, i);
    } else if (!job->routes || job->routes->items[i].kind == LMAIL_POLICY_TO_HOST) {
        st = add_remote(p, job, i);
    }
    if (!st)
        st = lmi_mail_set_notify(p->mail, job->ev);
    *taken += st == LMAIL_OK;
    return st == LMAIL_ERR_NOTFOUND || st == LMAIL_ERR_QUOTA ? LMAIL_OK : st;
}

/* RFC 5321 §4.5.1: postmaster's mail is taken even where nobody is set to read it. The queue keeps it,
 * held, with all of its message; `mailctl queue` shows it. */
static lmail_status take_postmaster(smtp_peer *p, const rcpt_job *job, int *taken)
{
    static const char reason[] =
        "no mailbox for postmaster: set postmaster or an alias of that name";
    const lmail_policy_destination *d = job->routes ? job->routes->items : NULL;
    int refused = d && d->kind == LMAIL_POLICY_TO_NOBODY; /* a table says so: an error: line */
    if (!p->mail || !p->mail->queue || !job->local || refused ||
        !lmail_str_equal_nocase(lmail_str_from(job->local_part), LMAIL_STR("postmaster")))
        return LMAIL_OK;
    lmail_status st = lmi_mail_add_remote(p->mail, job->ev->to.text, LMAIL_STR("local:postmaster"));
    if (!st)
        st = lmi_mail_set_notify(p->mail, job->ev);
    if (!st)
        st = lmi_mail_hold(p->mail, lmail_str_from(reason));
    *taken += st == LMAIL_OK;
    return st;
}

/* Why nobody gets it. */
static void refuse(smtp_peer *p, const rcpt_job *job, lmail_smtp_reply *reply)
{
    const lmail_policy_destination *d = job->routes ? job->routes->items : NULL;
    int reject = p->base.door->rules->settings->store.quota_refusal == LMAIL_QUOTA_REJECT;
    if (is_user(job, 0) && job->users[0].status == LMAIL_ERR_QUOTA)
        lmi_reply_about(p, reply, reject ? 552 : 452,
                        reject ? LMAIL_STR("5.2.2") : LMAIL_STR("4.2.2"), job->ev->to.text,
                        LMAIL_STR("Mailbox is full"));
    else if (d && d->kind == LMAIL_POLICY_TO_NOBODY)
        lmi_reply_about(p, reply, d->code, d->enhanced, job->ev->to.text, d->text);
    else
        lmi_reply_about(p, reply, 550, LMAIL_STR("5.1.1"), job->ev->to.text,
                        LMAIL_STR("User unknown"));
}

/* What came of it, as a reply. */
static void take(smtp_peer *p, const rcpt_job *job, lmail_smtp_reply *reply)
{
    int taken = 0;
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; !st && i < job->count && p->mail; i++)
        st = take_one(p, job, i, &taken);
    if (!st && !taken)
        st = take_postmaster(p, job, &taken);
    if (st)
        lmi_reply_about(p, reply, 451, LMAIL_STR("4.3.0"), job->ev->to.text,
                        LMAIL_STR("Accounts cannot be read now; try again later"));
    else if (!taken)
        refuse(p, job, reply);
    if (reply->code >= 400) {
        lmi_reply_log(p, "rcpt", job->ev->to.text, reply);
        return;
    }
    if (p->mail)
        p->mail->said++;
    for (size_t i = 0; i < job->count; i++)
        if ((is_user(job, i) && job->users[i].status) ||
            (job->routes && job->routes->items[i].kind == LMAIL_POLICY_TO_NOBODY))
            log_left_out(p, job, i);
    lmi_reply_about(p, reply, 250, LMAIL_STR("2.1.5"), job->ev->to.text, LMAIL_STR("Recipient ok"));
}

/* A recipient that is one mailbox hears at once that it is full; among several it is the queue's. */
static void check_quota(const lmi_rules *rules, rcpt_job *job)
{
    user *u = &job->users[0];
    lmail_str name = lmail_str_from(u->name);
    if (job->count != 1 || !is_user(job, 0) || u->status)
        return;
    if (u->forward && (u->forward->count != 1 || !u->forward->items[0].account))
        return;
    if (u->forward)
        name = lmail_str_from(u->forward->items[0].account);
    u->status = lmi_quota_check(rules, job->base.peer->door->service->store, name, job->declared);
}

static void work_find(lmi_job *base)
{
    rcpt_job *job = (rcpt_job *)base;
    const lmi_rules *rules = base->peer->door->rules;
    find_users(rules, job, lmail_accounts_find);
    for (size_t i = 0; rules->settings->routing.forward.count && i < job->count; i++)
        if (is_user(job, i) && !job->users[i].status)
            job->users[i].status = lmi_forward_look(rules, job->users[i].name, domain_of(job, i),
                                                    &job->users[i].forward);
    check_quota(rules, job);
    base->status = LMAIL_OK;
}

static void users_found(lmi_job *base)
{
    rcpt_job *job = (rcpt_job *)base;
    smtp_peer *p = (smtp_peer *)base->peer;
    lmail_smtp_reply reply = LMAIL_SMTP_REPLY_INIT;
    for (size_t i = 0; base->status && i < job->count; i++)
        job->users[i].status = base->status; /* no worker was to be had */
    take(p, job, &reply);
    lmi_reply_give(p, base->ticket, &reply);
    for (size_t i = 0; i < job->count; i++)
        lmi_forward_free(job->users[i].forward);
    lmail_policy_routes_free(job->routes);
}

/* ---- From the policy's verdict to destinations ----------------------------------------------- */

static void fill_job(rcpt_job *job, const lmail_smtp_rcpt_event *ev, const lmail_policy_verdict *v,
                     const lmail_policy_routes *routes)
{
    job->ev = ev;
    job->routes = routes;
    job->local = v->local != 0;
    job->count = routes ? routes->count : 1;
    snprintf(job->local_part, sizeof job->local_part, "%.*s", TEXT(v->local_part));
    if (strlen(job->local_part) != v->local_part.len)
        job->local_part[0] = '\0'; /* a NUL is in it: no mailbox */
    snprintf(job->domain, sizeof job->domain, "%.*s", TEXT(v->domain));
}

/* Of an account in memory. */
static int has_quota(const lmi_rules *rules, const rcpt_job *job)
{
    lmi_quota q = {0, 0};
    if (is_user(job, 0))
        q = lmi_quota_of(rules, lmail_accounts_find_now, lmail_str_from(job->users[0].name));
    return q.octets || q.messages;
}

static lmail_status find_destinations(smtp_peer *p, lmail_ticket t, const lmail_smtp_rcpt_event *ev,
                                      const lmail_policy_verdict *v, lmail_smtp_reply *reply)
{
    const lmi_rules *rules = p->base.door->rules;
    const lmail_policy_routes *routes;
    rcpt_job now;
    lmail_status st = lmi_find_routes(rules, v->local_part, v->domain, &routes);
    if (st)
        return st;
    fill_job(&now, ev, v, routes);
    now.users[0].forward = NULL;
    /* Mailboxes in memory cost no worker. One that is not there may be new: it is looked for. */
    if (now.count == 1 && !rules->settings->routing.forward.count &&
        find_users(rules, &now, lmail_accounts_find_now) && !has_quota(rules, &now)) {
        take(p, &now, reply);
        lmail_policy_routes_free(routes);
        return LMAIL_OK;
    }
    rcpt_job *job = lmi_job_new(sizeof *job + (now.count - 1) * sizeof job->users[0], &p->base, t,
                                work_find, users_found);
    if (!job) {
        lmail_policy_routes_free(routes);
        return LMAIL_ERR_NOMEM;
    }
    fill_job(job, ev, v, routes);
    job->declared = p->mail ? p->mail->declared : 0;
    return lmi_peer_submit(&p->base, &job->base);
}

/* ---- The decision ---------------------------------------------------------------------------- */

static void rcpt_known(smtp_peer *p, lmail_ticket t, const void *event);

/* The domain of the transaction's sender. */
static lmail_str sender_domain(const smtp_peer *p)
{
    const char *at = p->mail ? strrchr(p->mail->from, '@') : NULL;
    return lmail_str_from(at ? at + 1 : "");
}

/* Ask until nothing is missing. OK, PENDING, or an error. */
static lmail_status ask_policy(smtp_peer *p, lmail_ticket t, const lmail_smtp_rcpt_event *ev,
                               lmail_policy_verdict *v)
{
    lmail_policy_peer peer;
    lmail_policy_question q;
    const lmi_waiting w = {t, rcpt_known, ev, 0};
    int lmtp = p->base.door->settings->protocol == LMAIL_LISTENER_LMTP;
    for (;;) {
        lmi_facts_peer(p, &peer);
        if (lmtp) /* the client is a server of ours */
            peer.address = (lmail_str){NULL, 0};
        lmail_policy_question_init(&q);
        q.peer = &peer;
        q.sender = lmail_str_from(p->mail ? p->mail->from : "");
        q.sender_domain = (lmail_policy_answer)p->sender_domain;
        q.unqualified_sender = p->base.door->settings->unqualified_senders;
        q.recipient = ev->to.text;
        q.tables = p->base.door->rules->tables;
        q.recipient_mx = (lmail_policy_answer)p->recipient_mx;
        lmail_status st = lmail_policy_rcpt(p->base.door->rules->policy, &q, v);
        if (st)
            return st;
        unsigned need = v->kind == LMAIL_POLICY_NEED ? v->need : 0;
        if (!need && v->kind < LMAIL_POLICY_DENY && v->connection && !v->listed) {
            st = lmi_lists_recipient(p, v);
            if (st && st != LMAIL_PENDING)
                return st;
            need = st ? LMI_NEED_LISTS : 0;
        }
        if (!need)
            return LMAIL_OK;
        st = lmi_facts_look_up(
            p, need, need & LMAIL_POLICY_NEED_RECIPIENT_MX ? v->domain : sender_domain(p), &w);
        if (st)
            return st;
    }
}

/* Nobody gets the message: whether there is such a mailbox is not asked. */
static lmail_status take_discarded(smtp_peer *p, const lmail_smtp_rcpt_event *ev,
                                   lmail_smtp_reply *reply)
{
    lmail_status st = lmi_mail_add_remote(p->mail, ev->to.text, (lmail_str){NULL, 0});
    if (st)
        return st;
    p->mail->said++;
    lmi_reply_about(p, reply, 250, LMAIL_STR("2.1.5"), ev->to.text, LMAIL_STR("Recipient ok"));
    return LMAIL_OK;
}

static lmail_status decide_rcpt(smtp_peer *p, lmail_ticket t, const lmail_smtp_rcpt_event *ev,
                                lmail_smtp_reply *reply)
{
    lmail_policy_verdict v;
    lmail_status st = ask_policy(p, t, ev, &v);
    if (st)
        return st;
    int refused = v.kind == LMAIL_POLICY_DENY;
    if (!refused && !v.local && p->base.door->settings->protocol == LMAIL_LISTENER_LMTP) {
        lmi_reply_about(p, reply, 550, LMAIL_STR("5.7.1"), ev->to.text,
                        LMAIL_STR("Relaying denied"));
        lmi_reply_log(p, "rcpt", ev->to.text, reply);
        return LMAIL_OK;
    }
    if (refused || v.kind == LMAIL_POLICY_DISCARD || v.kind == LMAIL_POLICY_QUARANTINE)
        lmi_verdict_log(p, "rcpt", ev->to.text, &v);
    if (refused) {
        lmi_reply_verdict(p, reply, &v, ev->to.text);
        return LMAIL_OK;
    }
    if (v.connection && lmi_limits_delayed(p, ev->to.text, reply))
        return LMAIL_OK;
    if (v.kind == LMAIL_POLICY_DISCARD && p->mail)
        lmi_mail_discard(p->mail);
    if (p->mail && p->mail->discard)
        return take_discarded(p, ev, reply);
    if (v.kind == LMAIL_POLICY_QUARANTINE && p->mail)
        st = lmi_mail_hold(p->mail, v.reason);
    return st ? st : find_destinations(p, t, ev, &v, reply);
}

static void rcpt_known(smtp_peer *p, lmail_ticket t, const void *event)
{
    lmail_smtp_reply reply = LMAIL_SMTP_REPLY_INIT;
    lmail_status st = decide_rcpt(p, t, event, &reply);
    if (st != LMAIL_PENDING)
        lmi_reply_late(p, t, st, &reply);
}

/* A recipient that a program of this machine named, and that is not served: a row of the queue that
 * has failed. The runner tells the sender. */
static lmail_status take_refused(smtp_peer *p, const lmail_smtp_rcpt_event *ev,
                                 const lmi_refusal *refused)
{
    char route[LMI_ROUTE_ERROR_MAX];
    if (!p->mail)
        return LMAIL_OK;
    snprintf(route, sizeof route, LMI_ROUTE_ERROR "%u %s %s", refused->code, refused->enhanced,
             refused->text);
    lmail_status st = lmi_mail_add_remote(p->mail, ev->to.text, lmail_str_from(route));
    return st ? st : lmi_mail_set_notify(p->mail, ev);
}

lmail_status lmi_rcpt_asked(lmail_smtp_server *s, void *user_, lmail_ticket t,
                            const lmail_smtp_rcpt_event *ev, lmail_smtp_reply *reply)
{
    smtp_peer *p = user_;
    (void)s;
    p->recipient_mx = LMAIL_POLICY_UNKNOWN;
    if (p->local) {
        const lmi_refusal *refused = lmi_local_refusal(p->local, ev->to.text);
        return refused ? take_refused(p, ev, refused) : decide_rcpt(p, t, ev, reply);
    }
    if (lmi_limits_rcpt(p, ev, reply))
        return LMAIL_OK;
    return decide_rcpt(p, t, ev, reply);
}
