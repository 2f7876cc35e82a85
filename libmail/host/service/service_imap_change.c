/* service_imap_change.c - what changes or looks through a mailbox: STORE, COPY, MOVE, EXPUNGE,
 * SEARCH.
 *
 * After a change the job catches up with the mailbox, so that the effect is in the answer. */
#include "host/service/service_imap.h"

#include <stdlib.h>
#include <string.h>

/* ---- STORE ----------------------------------------------------------------------------------- */

typedef struct store_job {
    lmi_job base;
    const lmail_imap_store_event *ev; /* lives until the answer */
    lmail_set_flags_result result;
    lmail_uid_list missing;
    lmi_news news;
} store_job;

/* Names of the keywords that the event means: bits of the table, and new names. */
static size_t keyword_names(const lmi_box *box, const lmail_imap_store_event *ev, lmail_str *out)
{
    const lmail_keywords *k = &lmail_snapshot_facts(box->shown)->keywords;
    size_t count = 0;
    for (size_t i = 0; i < k->count; i++)
        if (ev->flags & ((lmail_flags)1 << (LMAIL_FLAG_KEYWORD_SHIFT + i)))
            out[count++] = k->names[i];
    for (size_t i = 0; i < ev->keywords.count; i++)
        out[count++] = ev->keywords.names[i];
    return count;
}

/* UIDs of the event that exist no more. */
static lmail_status note_missing(store_job *job)
{
    for (size_t i = 0; i < job->news.changes.vanished.count; i++) {
        const lmail_uid_range *r = &job->news.changes.vanished.ranges[i];
        for (uint64_t uid = r->first; uid <= r->last; uid++)
            if (lmail_uid_set_has(job->ev->uids, (lmail_uid)uid) &&
                lmail_uid_list_add(&job->missing, (lmail_uid)uid, (lmail_uid)uid))
                return LMAIL_ERR_NOMEM;
    }
    return LMAIL_OK;
}

static void work_store(lmi_job *base)
{
    store_job *job = (store_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    const lmail_imap_store_event *ev = job->ev;
    lmail_str *names = calloc(LMAIL_MAX_KEYWORDS + ev->keywords.count, sizeof *names);
    lmail_set_flags_args args = LMAIL_SET_FLAGS_ARGS_INIT;
    if (!names)
        return;
    args.uids = ev->uids;
    args.mode = ev->mode == LMAIL_IMAP_STORE_ADD      ? LMAIL_STORE_ADD
                : ev->mode == LMAIL_IMAP_STORE_REMOVE ? LMAIL_STORE_REMOVE
                                                      : LMAIL_STORE_REPLACE;
    args.flags = ev->flags & LMAIL_FLAGS_SYSTEM;
    args.keywords = names;
    args.keyword_count = keyword_names(p->box, ev, names);
    if (ev->unchanged)
        args.unchanged_since = ev->unchanged;
    job->base.status = lmi_peer_store(base->peer)->set_flags(p->box->mailbox, &args, &job->result);
    free(names);
    lmail_status st = lmi_box_catch_up(p, 0, &job->news);
    if (!job->base.status)
        job->base.status = st;
    if (!job->base.status)
        job->base.status = lmi_news_known(&job->news, ev->uids);
    if (!job->base.status)
        job->base.status = note_missing(job);
}

static void store_done(lmi_job *base)
{
    store_job *job = (store_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_imap_store_answer a = LMAIL_IMAP_STORE_ANSWER_INIT;
    lmi_imap_fail(&a.result, job->base.status, LMAIL_IMAP_CODE_NONEXISTENT);
    a.failed = lmail_uid_list_set(&job->result.failed);
    a.missing = lmail_uid_list_set(&job->missing);
    lmi_news_tell(p, &job->news, &a.result);
    if (job->result.changed.count)
        lmi_imap_changed(p);
    lmail_imap_server_answer_store(p->server, base->ticket, &a, lmi_peer_now(&p->base));
    lmail_uid_list_free(&job->result.changed);
    lmail_uid_list_free(&job->result.failed);
    lmail_uid_list_free(&job->missing);
    lmi_news_free(&job->news);
}

static lmail_status on_store(lmail_imap_server *s, void *user, lmail_ticket t,
                             const lmail_imap_store_event *ev, lmail_imap_store_answer *a)
{
    lmi_imap_peer *p = user;
    (void)s;
    (void)a;
    store_job *job = lmi_job_new(sizeof *job, &p->base, t, work_store, store_done);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->ev = ev;
    return lmi_peer_submit(&p->base, &job->base);
}

/* ---- COPY, MOVE ------------------------------------------------------------------------------ */

typedef struct copy_job {
    lmi_job base;
    const lmail_imap_copy_event *ev;
    char *target;
    lmail_copy_result result;
    lmail_uid_list from, to;
    lmi_news news;
} copy_job;

/* The pairs as two sets. They tell the mapping only while the copies' UIDs rise with the
 * originals'; a store that gives others is not quoted. */
static lmail_status make_sets(copy_job *job)
{
    int rising = 1;
    for (size_t i = 0; i < job->result.count; i++) {
        const lmail_uid_pair *pair = &job->result.pairs[i];
        if (i && pair->to <= job->result.pairs[i - 1].to)
            rising = 0;
        if (lmail_uid_list_add(&job->from, pair->from, pair->from) ||
            lmail_uid_list_add(&job->to, pair->to, pair->to))
            return LMAIL_ERR_NOMEM;
    }
    if (!rising)
        lmail_uid_list_free(&job->to);
    return LMAIL_OK;
}

static void work_copy(lmi_job *base)
{
    copy_job *job = (copy_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    const lmail_store *store = lmi_peer_store(base->peer);
    job->base.status = (job->ev->move ? store->move : store->copy)(
        p->box->mailbox, job->ev->uids, base->peer->account, lmail_str_from(job->target),
        &job->result);
    lmi_box_catch_up(p, 0, &job->news);
    if (!job->base.status)
        job->base.status = make_sets(job);
}

static void copy_done(lmi_job *base)
{
    copy_job *job = (copy_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_imap_copy_answer a = LMAIL_IMAP_COPY_ANSWER_INIT;
    lmi_imap_fail(&a.result, job->base.status, LMAIL_IMAP_CODE_TRYCREATE);
    if (!job->base.status) {
        a.uidvalidity = job->result.uidvalidity;
        a.source = lmail_uid_list_set(&job->from);
        a.target = lmail_uid_list_set(&job->to);
    }
    lmi_news_tell(p, &job->news, &a.result);
    if (!job->base.status)
        lmi_imap_changed(p);
    lmail_imap_server_answer_copy(p->server, base->ticket, &a, lmi_peer_now(&p->base));
    lmail_copy_result_free(&job->result);
    lmail_uid_list_free(&job->from);
    lmail_uid_list_free(&job->to);
    lmi_news_free(&job->news);
    free(job->target);
}

static lmail_status on_copy(lmail_imap_server *s, void *user, lmail_ticket t,
                            const lmail_imap_copy_event *ev, lmail_imap_copy_answer *a)
{
    lmi_imap_peer *p = user;
    (void)s;
    (void)a;
    copy_job *job = lmi_job_new(sizeof *job, &p->base, t, work_copy, copy_done);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->ev = ev;
    job->target = lmi_imap_name(p, ev->target);
    if (!job->target) {
        free(job);
        return LMAIL_ERR_NOMEM;
    }
    return lmi_peer_submit(&p->base, &job->base);
}

/* ---- EXPUNGE --------------------------------------------------------------------------------- */

typedef struct expunge_job {
    lmi_job base;
    const lmail_imap_expunge_event *ev;
    lmail_uid_list vanished;
    lmi_news news;
} expunge_job;

static void work_expunge(lmi_job *base)
{
    expunge_job *job = (expunge_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    job->base.status = lmi_peer_store(base->peer)
                           ->expunge(p->box->mailbox, job->ev->all ? NULL : &job->ev->uids,
                                     LMAIL_EXPUNGE_DELETED, &job->vanished, NULL);
    lmi_box_catch_up(p, 0, &job->news);
}

static void expunge_done(lmi_job *base)
{
    expunge_job *job = (expunge_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_imap_expunge_answer a = {.size = sizeof a};
    lmi_imap_fail(&a.result, job->base.status, LMAIL_IMAP_CODE_NONEXISTENT);
    a.vanished = lmail_uid_list_set(&job->vanished);
    lmi_news_tell(p, &job->news, &a.result);
    if (job->vanished.count)
        lmi_imap_changed(p);
    lmail_imap_server_answer_expunge(p->server, base->ticket, &a, lmi_peer_now(&p->base));
    lmail_uid_list_free(&job->vanished);
    lmi_news_free(&job->news);
}

static lmail_status on_expunge(lmail_imap_server *s, void *user, lmail_ticket t,
                               const lmail_imap_expunge_event *ev, lmail_imap_expunge_answer *a)
{
    lmi_imap_peer *p = user;
    (void)s;
    (void)a;
    expunge_job *job = lmi_job_new(sizeof *job, &p->base, t, work_expunge, expunge_done);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->ev = ev;
    return lmi_peer_submit(&p->base, &job->base);
}

/* ---- SEARCH ---------------------------------------------------------------------------------- */

typedef struct search_job {
    lmi_job base;
    lmail_search tree[2]; /* AND over the event's UIDs and its criteria */
    lmail_search criteria;
    lmail_uid_list found;
} search_job;

static void work_search(lmi_job *base)
{
    search_job *job = (search_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    job->base.status = lmi_peer_store(base->peer)
                           ->search(p->box->mailbox, p->box->shown, &job->tree[0],
                                    (lmail_uid_set){NULL, 0}, &job->found);
}

static void search_done(lmi_job *base)
{
    search_job *job = (search_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_imap_search_answer a = LMAIL_IMAP_SEARCH_ANSWER_INIT;
    lmi_imap_fail(&a.result, job->base.status, LMAIL_IMAP_CODE_NONEXISTENT);
    if (!job->base.status)
        a.uids = lmail_uid_list_set(&job->found);
    lmail_imap_server_answer_search(p->server, base->ticket, &a, lmi_peer_now(&p->base));
    lmail_uid_list_free(&job->found);
}

static lmail_status on_search(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_search_event *ev, lmail_imap_search_answer *a)
{
    lmi_imap_peer *p = user;
    (void)s;
    (void)a;
    search_job *job = lmi_job_new(sizeof *job, &p->base, t, work_search, search_done);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->criteria = *ev->criteria;
    job->criteria.next = NULL;
    job->tree[1] = (lmail_search){.op = LMAIL_SEARCH_UIDS, .set = ev->uids, .next = &job->criteria};
    job->tree[0] = (lmail_search){.op = LMAIL_SEARCH_AND, .child = &job->tree[1]};
    return lmi_peer_submit(&p->base, &job->base);
}

void lmi_imap_handle_change(lmail_imap_server_handler *h)
{
    h->on_store = on_store;
    h->on_copy = on_copy;
    h->on_expunge = on_expunge;
    h->on_search = on_search;
}
