/* service_imap_append.c - APPEND: messages from the client into a mailbox, all or none.
 *
 * As in delivery, a message up to LMI_KEEP_MAX waits in memory and is written with the commit; a larger
 * one streams into the spool while it arrives. */
#include "host/service/service_imap.h"
#include "host/service/service_keep.h"
#include "host/service/service_metrics.h"
#include "host/service/service_quota.h"

#include <stdlib.h>
#include <string.h>

#define MAX_MESSAGES 1000u /* of one APPEND: what is remembered of each lies in memory */

typedef struct append_message {
    lmail_flags flags;
    lmail_str *keywords; /* each malloc'ed */
    size_t keyword_count;
    lmail_delivery_message args;
} append_message;

struct lmi_append {
    char *mailbox;
    append_message *messages;
    size_t count, capacity;
    size_t started; /* messages that the delivery knows of */
    size_t ended;
    lmail_delivery *delivery;
    lmi_keep kept; /* octets of the last message that no worker has taken yet */
};

typedef struct append_job {
    lmi_job base;
    lmi_append *append;
    lmail_str octets; /* lent by the session until the answer */
    uint32_t uidvalidity;
    lmail_uid_list uids;
    lmi_news news;
} append_job;

static void append_free(const lmail_store *store, lmi_append *a)
{
    if (!a)
        return;
    if (a->delivery)
        store->delivery_free(a->delivery);
    for (size_t i = 0; i < a->count; i++) {
        for (size_t k = 0; k < a->messages[i].keyword_count; k++)
            free((char *)a->messages[i].keywords[k].ptr);
        free(a->messages[i].keywords);
    }
    free(a->messages);
    free(a->mailbox);
    lmi_keep_free(&a->kept);
    free(a);
}

static void work_free(lmi_job *base)
{
    append_free(lmi_peer_store(base->peer), ((append_job *)base)->append);
}

static void free_done(lmi_job *base)
{
    (void)base;
}

void lmi_append_drop(lmi_imap_peer *p)
{
    lmi_append *a = p->append;
    if (a && !a->delivery && !p->base.jobs) {
        append_free(lmi_peer_store(&p->base), a);
        p->append = NULL;
        return;
    }
    append_job *job = a ? lmi_job_new(sizeof *job, &p->base, 0, work_free, free_done) : NULL;
    if (!job)
        return; /* without memory it stays until there is some, or until the end */
    job->append = a;
    p->append = NULL;
    lmi_peer_submit(&p->base, &job->base);
}

void lmi_append_shut(lmi_imap_peer *p)
{
    append_free(lmi_peer_store(&p->base), p->append);
    p->append = NULL;
}

static append_job *submit(lmi_imap_peer *p, lmail_ticket t, void (*work)(lmi_job *),
                          void (*finish)(lmi_job *))
{
    append_job *job = lmi_job_new(sizeof *job, &p->base, t, work, finish);
    if (!job)
        return NULL;
    job->append = p->append;
    lmi_peer_submit(&p->base, &job->base);
    return job;
}

static void simple_done(lmi_job *base)
{
    append_job *job = (append_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_imap_answer a = LMAIL_IMAP_ANSWER_INIT;
    lmi_imap_fail(&a.result, job->base.status, LMAIL_IMAP_CODE_TRYCREATE);
    lmail_imap_server_answer(p->server, base->ticket, &a, lmi_peer_now(&p->base));
}

/* ---- Begin ----------------------------------------------------------------------------------- */

static void work_begin(lmi_job *base)
{
    append_job *job = (append_job *)base;
    lmail_mailbox_status found;
    job->base.status = lmi_peer_open_account(base->peer);
    if (!job->base.status)
        job->base.status =
            lmi_peer_store(base->peer)
                ->status(base->peer->account, lmail_str_from(job->append->mailbox), 0, &found);
}

static lmail_status on_begin(lmail_imap_server *s, void *user, lmail_ticket t,
                             const lmail_imap_append_begin_event *ev, lmail_imap_answer *a)
{
    lmi_imap_peer *p = user;
    (void)s;
    (void)a;
    lmi_append_drop(p);
    if (p->append)
        return LMAIL_ERR_NOMEM;
    p->append = calloc(1, sizeof *p->append);
    if (!p->append)
        return LMAIL_ERR_NOMEM;
    p->append->mailbox = lmi_imap_name(p, ev->mailbox);
    if (!p->append->mailbox || !submit(p, t, work_begin, simple_done)) {
        lmi_append_drop(p);
        return LMAIL_ERR_NOMEM;
    }
    return LMAIL_PENDING;
}

/* ---- Messages -------------------------------------------------------------------------------- */

/* On a worker: everything that is kept goes to the delivery; with `end` the message is complete. */
static lmail_status flush(const lmail_store *store, lmi_append *a, lmail_str octets, int end)
{
    lmail_status st = LMAIL_OK;
    if (!a->delivery) {
        lmail_delivery_args args = LMAIL_DELIVERY_ARGS_INIT;
        args.atomic = 1; /* RFC 3502 §6.3.11 */
        st = store->delivery_begin(store->ctx, &args, &a->delivery);
    }
    if (!st && a->started < a->count)
        st = store->delivery_message(a->delivery, &a->messages[a->started++].args);
    if (!st && a->kept.len)
        st = store->delivery_write(a->delivery, lmi_keep_all(&a->kept));
    a->kept.len = 0;
    if (!st && octets.len)
        st = store->delivery_write(a->delivery, octets);
    if (!st && end && a->ended < a->started) {
        st = store->delivery_end(a->delivery, NULL);
        a->ended++;
    }
    return st;
}

static void work_octets(lmi_job *base)
{
    append_job *job = (append_job *)base;
    job->base.status = flush(lmi_peer_store(base->peer), job->append, job->octets, 0);
}

/* The message before this one, if there is one, is complete. */
static void work_next(lmi_job *base)
{
    append_job *job = (append_job *)base;
    lmi_append *a = job->append;
    /* The new message stands in the list already: hide it while its predecessor is written. */
    a->count--;
    job->base.status = flush(lmi_peer_store(base->peer), a, (lmail_str){NULL, 0}, 1);
    a->count++;
}

static lmail_status copy_keywords(append_message *m, const lmail_keywords *k)
{
    m->keywords = calloc(k->count ? k->count : 1, sizeof *m->keywords);
    if (!m->keywords)
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < k->count; i++) {
        char *copy = strndup(k->names[i].ptr, k->names[i].len);
        if (!copy)
            return LMAIL_ERR_NOMEM;
        m->keywords[m->keyword_count++] = (lmail_str){copy, k->names[i].len};
    }
    return LMAIL_OK;
}

static lmail_status on_message(lmail_imap_server *s, void *user, lmail_ticket t,
                               const lmail_imap_append_message_event *ev, lmail_imap_answer *answer)
{
    lmi_imap_peer *p = user;
    lmi_append *a = p->append;
    (void)s;
    if (a->count == MAX_MESSAGES) {
        lmi_imap_fail(&answer->result, LMAIL_ERR_LIMIT, LMAIL_IMAP_CODE_NONE);
        return LMAIL_OK;
    }
    if (a->count == a->capacity) {
        size_t capacity = a->capacity ? a->capacity * 2 : 1;
        append_message *more = realloc(a->messages, capacity * sizeof *more);
        if (!more)
            return LMAIL_ERR_NOMEM;
        a->messages = more;
        a->capacity = capacity;
    }
    append_message *m = &a->messages[a->count++];
    *m = (append_message){ev->flags & LMAIL_FLAGS_SYSTEM, NULL, 0, LMAIL_DELIVERY_MESSAGE_INIT};
    m->args.size_hint = ev->octets;
    m->args.has_date = ev->has_date;
    m->args.date = ev->date;
    m->args.date_zone = ev->date_zone;
    m->args.exact = ev->binary;
    lmail_status st = copy_keywords(m, &ev->keywords);
    if (st || a->count == 1)
        return st;
    return submit(p, t, work_next, simple_done) ? LMAIL_PENDING : LMAIL_ERR_NOMEM;
}

static lmail_status on_octets(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_append_octets_event *ev, lmail_imap_answer *answer)
{
    lmi_imap_peer *p = user;
    lmi_append *a = p->append;
    (void)s;
    (void)answer;
    if (a->started < a->count && lmi_keep_add(&a->kept, ev->octets) == LMAIL_OK)
        return LMAIL_OK;
    append_job *job = lmi_job_new(sizeof *job, &p->base, t, work_octets, simple_done);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->append = a;
    job->octets = ev->octets;
    return lmi_peer_submit(&p->base, &job->base);
}

/* ---- Commit ---------------------------------------------------------------------------------- */

static lmail_status commit(append_job *job, lmail_delivery_target *targets)
{
    const lmail_store *store = lmi_peer_store(job->base.peer);
    lmi_append *a = job->append;
    const lmi_quota q = lmi_quota_of(job->base.peer->door->rules, lmail_accounts_find,
                                     lmail_str_from(job->base.peer->identity));
    for (size_t i = 0; i < a->count; i++) {
        targets[i].message = i;
        targets[i].max_octets = q.octets;
        targets[i].max_messages = q.messages;
        targets[i].account = job->base.peer->account;
        targets[i].mailbox = lmail_str_from(a->mailbox);
        targets[i].flags = a->messages[i].flags;
        targets[i].keywords = a->messages[i].keywords;
        targets[i].keyword_count = a->messages[i].keyword_count;
    }
    lmail_status st = flush(store, a, (lmail_str){NULL, 0}, 1);
    if (!st)
        st = store->delivery_commit(a->delivery, targets, a->count);
    for (size_t i = 0; i < a->count && !st; i++) {
        job->uidvalidity = targets[i].uidvalidity;
        if (!targets[i].uid) {
            lmail_uid_list_free(&job->uids); /* a UID that is not known yet: none are told */
            break;
        }
        st = lmail_uid_list_add(&job->uids, targets[i].uid, targets[i].uid);
    }
    return st;
}

static void work_commit(lmi_job *base)
{
    append_job *job = (append_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_delivery_target *targets = calloc(job->append->count + 1, sizeof *targets);
    job->base.status = targets ? commit(job, targets) : LMAIL_ERR_NOMEM;
    free(targets);
    if (p->box)
        lmi_box_catch_up(p, 0, &job->news);
    append_free(lmi_peer_store(base->peer), job->append);
    job->append = NULL;
}

static void commit_done(lmi_job *base)
{
    append_job *job = (append_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_imap_append_answer a = LMAIL_IMAP_APPEND_ANSWER_INIT;
    lmi_count_commit(&p->base, job->base.status);
    lmi_imap_fail(&a.result, job->base.status, LMAIL_IMAP_CODE_TRYCREATE);
    if (!job->base.status) {
        a.uidvalidity = job->uidvalidity;
        a.uids = lmail_uid_list_set(&job->uids);
        lmi_watch_tell(p->base.door->service->watch, p->base.slot);
    }
    lmi_news_tell(p, &job->news, &a.result);
    if (job->append) { /* it never ran */
        p->append = job->append;
        lmi_append_drop(p);
    }
    lmail_imap_server_answer_append(p->server, base->ticket, &a, lmi_peer_now(&p->base));
    lmail_uid_list_free(&job->uids);
    lmi_news_free(&job->news);
}

static lmail_status on_commit(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_append_commit_event *ev,
                              lmail_imap_append_answer *answer)
{
    lmi_imap_peer *p = user;
    (void)s;
    (void)ev;
    (void)answer;
    append_job *job = lmi_job_new(sizeof *job, &p->base, t, work_commit, commit_done);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->append = p->append;
    p->append = NULL; /* the job's from here on */
    return lmi_peer_submit(&p->base, &job->base);
}

static void on_abort(lmail_imap_server *s, void *user, const lmail_imap_append_abort_event *ev)
{
    (void)s;
    (void)ev;
    lmi_append_drop(user);
}

void lmi_imap_handle_append(lmail_imap_server_handler *h)
{
    h->on_append_begin = on_begin;
    h->on_append_message = on_message;
    h->on_append_octets = on_octets;
    h->on_append_commit = on_commit;
    h->on_append_abort = on_abort;
}
