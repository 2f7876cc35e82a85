/* service_smtp_rcpt.c - recipients: is this domain ours, and is there such an account.
 *
 * An account in memory is found on the loop; any other name is looked for on a worker. */
#include "host/service/service_smtp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

typedef struct rcpt_job {
    lmi_job base;
    char name[LMAIL_MAX_ACCOUNT_NAME + 2]; /* an account to be found; then the one found */
    char address[400];                     /* as the client said it */
} rcpt_job;

typedef lmail_status find_fn(lmail_accounts *, lmail_str, lmail_account *);

/* The name of an account of ours as it was addressed becomes the one it has here. */
static lmail_status find_account(const lmi_rules *rules, find_fn *find, char *name, size_t cap)
{
    lmail_account account;
    memset(&account, 0, sizeof account);
    account.size = sizeof account;
    lmail_status st = find(rules->accounts, lmail_str_from(name), &account);
    if (st == LMAIL_ERR_NOTFOUND && rules->settings->postmaster.len &&
        lmail_str_equal_nocase((lmail_str){name, strcspn(name, "@")}, LMAIL_STR("postmaster")))
        st = find(rules->accounts, rules->settings->postmaster, &account);
    if (st)
        return st;
    snprintf(name, cap, "%.*s", TEXT(account.name));
    lmail_accounts_release(rules->accounts, &account);
    return LMAIL_OK;
}

/* What came of it, as a reply. text: 500 octets that live as long as the reply; unused for OK. */
static void take_recipient(smtp_peer *p, lmail_status st, const char *name, const char *address,
                           char *text, lmail_smtp_reply *reply)
{
    if (!st && p->mail)
        st = lmi_mail_add_recipient(p->mail, lmail_str_from(name), lmail_str_from(address));
    if (st == LMAIL_ERR_NOTFOUND) {
        snprintf(text, 500, "<%s>: no such user here", address);
        lmi_reply_fill(reply, 550, "5.1.1", text);
    } else if (st) {
        lmi_reply_fill(reply, 451, "4.3.0", "Accounts cannot be read now; try again later");
    }
    if (reply->code)
        lmi_reply_log(p, "rcpt", lmail_str_from(address), reply);
}

static void work_find(lmi_job *base)
{
    rcpt_job *job = (rcpt_job *)base;
    job->base.status =
        find_account(base->peer->door->rules, lmail_accounts_find, job->name, sizeof job->name);
}

static void account_found(lmi_job *base)
{
    rcpt_job *job = (rcpt_job *)base;
    smtp_peer *p = (smtp_peer *)base->peer;
    lmail_smtp_reply reply = LMAIL_SMTP_REPLY_INIT;
    char text[500];
    take_recipient(p, job->base.status, job->name, job->address, text, &reply);
    lmi_reply_give(p, base->ticket, &reply);
}

/* What to look for. 0: no account can have such an address. */
static int fill_names(rcpt_job *job, const lmail_smtp_address *to)
{
    char local[512];
    if (to->local.len > sizeof local || to->text.len >= sizeof job->address)
        return 0;
    size_t n = lmail_smtp_local_unquote(to->local, local);
    int len = snprintf(job->name, sizeof job->name, to->domain.len ? "%.*s@%.*s" : "%.*s", (int)n,
                       local, TEXT(to->domain));
    snprintf(job->address, sizeof job->address, "%.*s", TEXT(to->text));
    return len >= 0 && (size_t)len < sizeof job->name && !memchr(local, '\0', n);
}

lmail_status lmi_rcpt_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_rcpt_event *ev, lmail_smtp_reply *reply)
{
    smtp_peer *p = user;
    const lmi_rules *rules = p->base.door->rules;
    rcpt_job now;
    (void)s;
    /* <postmaster> alone is ours too (RFC 5321 §4.5.1). */
    if (ev->to.domain.len && !lmi_rules_local_domain(rules, ev->to.domain)) {
        lmi_reply_fill(reply, 550, "5.7.1", "Relaying denied");
        lmi_reply_log(p, "rcpt", ev->to.text, reply);
        return LMAIL_OK;
    }
    if (!fill_names(&now, &ev->to)) {
        lmi_reply_fill(reply, 550, "5.1.1", "No such user here");
        lmi_reply_log(p, "rcpt", ev->to.text, reply);
        return LMAIL_OK;
    }
    /* An account in memory costs no worker. One that is not there may be new: it is looked for. */
    now.base.status = find_account(rules, lmail_accounts_find_now, now.name, sizeof now.name);
    if (now.base.status == LMAIL_OK) {
        take_recipient(p, now.base.status, now.name, now.address, NULL, reply);
        return LMAIL_OK;
    }
    rcpt_job *job = lmi_job_new(sizeof *job, &p->base, t, work_find, account_found);
    if (!job)
        return LMAIL_ERR_NOMEM;
    memcpy(job->name, now.name, sizeof job->name);
    memcpy(job->address, now.address, sizeof job->address);
    return lmi_peer_submit(&p->base, &job->base);
}
