/* service_imap_select.c - opening and closing a mailbox, and catching up with it.
 *
 * A box remembers the snapshot that its session has been told of. Catching up takes the newest one
 * and compares: new, changed and vanished messages become changes that the session tells when it
 * may. */
#include "host/service/service_imap.h"

#include <stdlib.h>
#include <string.h>

#define ALL_KEYWORDS(count)                                                                        \
    ((count) ? (~(lmail_flags)0 >> (64 - (count))) << LMAIL_FLAG_KEYWORD_SHIFT : 0)

static lmail_flags permanent_flags(const lmail_keywords *k)
{
    return LMAIL_FLAGS_SYSTEM | ALL_KEYWORDS(k->count);
}

/* ---- Catching up ----------------------------------------------------------------------------- */

lmail_status lmi_box_catch_up(lmi_imap_peer *p, unsigned flags, lmi_news *news)
{
    lmi_box *box = p->box;
    lmail_mailbox_view view;
    uint32_t seen = lmi_watch_value(p->base.door->service->watch, p->base.slot);
    lmail_status st = lmi_peer_store(&p->base)->refresh(box->mailbox, flags, &view);
    if (st == LMAIL_ERR_STALE || st == LMAIL_ERR_NOTFOUND) {
        news->gone = news->read = 1;
        news->seen = seen;
        return LMAIL_OK;
    }
    if (st)
        return st;
    st = lmail_snapshot_diff(box->shown, view.snapshot, &news->changes);
    if (st == LMAIL_ERR_STATE) {
        news->gone = 1;
        st = LMAIL_OK;
    }
    news->read = !st;
    news->seen = seen;
    if (st || news->gone) {
        lmail_snapshot_unref(view.snapshot);
        return st;
    }
    const lmail_keywords *now = &lmail_snapshot_facts(view.snapshot)->keywords;
    if (now->count > lmail_snapshot_facts(box->shown)->keywords.count)
        news->keywords = *now;
    news->recent = (lmail_uid_range){view.recent_first, view.recent_last};
    lmail_snapshot_unref(box->shown);
    box->shown = view.snapshot;
    return LMAIL_OK;
}

static lmail_imap_change *add(lmi_news *news, size_t *count, lmail_imap_change_kind kind)
{
    lmail_imap_change *c = &news->list[(*count)++];
    *c = (lmail_imap_change)LMAIL_IMAP_CHANGE_INIT;
    c->kind = kind;
    return c;
}

static size_t list_news(lmi_news *news, const lmi_box *box)
{
    size_t count = 0;
    if (news->gone) {
        add(news, &count, LMAIL_IMAP_CHANGE_GONE);
        return count;
    }
    if (news->keywords.count) {
        const lmail_keywords *k = &lmail_snapshot_facts(box->shown)->keywords;
        lmail_imap_change *c = add(news, &count, LMAIL_IMAP_CHANGE_KEYWORDS);
        c->keywords = *k;
        c->permanent = permanent_flags(k);
        c->new_keywords = k->count < LMAIL_MAX_KEYWORDS;
    }
    if (news->changes.vanished.count)
        add(news, &count, LMAIL_IMAP_CHANGE_VANISHED)->uids =
            lmail_uid_list_set(&news->changes.vanished);
    if (news->changes.changed.count)
        add(news, &count, LMAIL_IMAP_CHANGE_FLAGS)->uids =
            lmail_uid_list_set(&news->changes.changed);
    if (news->changes.added.count) {
        lmail_imap_change *c = add(news, &count, LMAIL_IMAP_CHANGE_NEW);
        c->uids = lmail_uid_list_set(&news->changes.added);
        if (news->recent.first)
            c->recent = (lmail_uid_set){&news->recent, 1};
    }
    return count;
}

void lmi_news_tell(lmi_imap_peer *p, lmi_news *news, lmail_imap_result *r)
{
    if (news->read)
        p->base.seen = news->seen;
    if (!p->box)
        return;
    r->change_count = list_news(news, p->box);
    r->changes = news->list;
}

/* Add what of first..last is not in the set. */
static lmail_status add_others(lmail_uid_list *to, lmail_uid_range r, lmail_uid_set known)
{
    lmail_status st = LMAIL_OK;
    uint64_t next = r.first;
    for (size_t i = 0; i < known.count && !st && next <= r.last; i++) {
        const lmail_uid_range *k = &known.ranges[i];
        if (k->last < next)
            continue;
        if (k->first > r.last)
            break;
        if (k->first > next)
            st = lmail_uid_list_add(to, (lmail_uid)next, k->first - 1);
        next = (uint64_t)k->last + 1;
    }
    return st || next > r.last ? st : lmail_uid_list_add(to, (lmail_uid)next, r.last);
}

lmail_status lmi_news_known(lmi_news *news, lmail_uid_set uids)
{
    lmail_uid_list others = {0};
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < news->changes.changed.count && !st; i++)
        st = add_others(&others, news->changes.changed.ranges[i], uids);
    if (st) {
        lmail_uid_list_free(&others);
        return st;
    }
    lmail_uid_list_free(&news->changes.changed);
    news->changes.changed = others;
    return LMAIL_OK;
}

void lmi_news_free(lmi_news *news)
{
    lmail_snapshot_changes_free(&news->changes);
}

/* ---- SELECT, EXAMINE ------------------------------------------------------------------------- */

typedef struct select_job {
    lmi_job base;
    char *name;
    lmi_box *box;
    lmail_uid_range recent;
    uint32_t seen;
} select_job;

static void close_box(const lmi_peer *peer, lmi_box *box)
{
    if (box->mailbox)
        lmi_peer_store(peer)->mailbox_close(box->mailbox);
    lmail_snapshot_unref(box->shown);
    free(box);
}

static void open_box(lmi_job *base)
{
    select_job *job = (select_job *)base;
    lmi_peer *peer = base->peer;
    const lmail_store *store = lmi_peer_store(peer);
    lmail_mailbox_view view;
    job->base.status = lmi_peer_open_account(peer);
    job->seen = lmi_watch_value(peer->door->service->watch, peer->slot);
    if (!job->base.status)
        job->base.status =
            store->mailbox_open(peer->account, lmail_str_from(job->name),
                                job->box->read_only ? LMAIL_OPEN_READ_ONLY : 0, &job->box->mailbox);
    if (!job->base.status)
        job->base.status = store->refresh(job->box->mailbox, 0, &view);
    if (!job->base.status) {
        job->box->shown = view.snapshot;
        job->recent = (lmail_uid_range){view.recent_first, view.recent_last};
    } else {
        close_box(peer, job->box);
        job->box = NULL;
    }
}

static void fill_select(const select_job *job, lmail_imap_select_answer *a)
{
    const lmail_mailbox_facts *f = lmail_snapshot_facts(job->box->shown);
    a->mailbox = job->box;
    a->uids = lmail_snapshot_uids(job->box->shown);
    if (job->recent.first)
        a->recent = (lmail_uid_set){&job->recent, 1};
    a->uidvalidity = f->uidvalidity;
    a->uidnext = f->uidnext;
    a->highestmodseq = f->highest_modseq;
    a->first_unseen = f->first_unseen;
    a->keywords = f->keywords;
    a->permanent = permanent_flags(&f->keywords);
    a->new_keywords = f->keywords.count < LMAIL_MAX_KEYWORDS;
}

static void box_opened(lmi_job *base)
{
    select_job *job = (select_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_imap_select_answer a = LMAIL_IMAP_SELECT_ANSWER_INIT;
    lmi_imap_fail(&a.result, job->base.status, LMAIL_IMAP_CODE_NONEXISTENT);
    if (job->box)
        fill_select(job, &a);
    lmi_box_shut(p); /* one whose own question to close found no memory */
    p->box = job->box;
    p->base.seen = job->seen;
    lmail_imap_server_answer_select(p->server, base->ticket, &a, lmi_peer_now(&p->base));
    free(job->name);
}

static lmail_status on_select(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_select_event *ev, lmail_imap_select_answer *a)
{
    lmi_imap_peer *p = user;
    (void)s;
    (void)a;
    select_job *job = lmi_job_new(sizeof *job, &p->base, t, open_box, box_opened);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->name = lmi_imap_name(p, ev->mailbox);
    job->box = calloc(1, sizeof *job->box);
    if (!job->name || !job->box) {
        free(job->name);
        free(job->box);
        free(job);
        return LMAIL_ERR_NOMEM;
    }
    job->box->read_only = ev->read_only;
    return lmi_peer_submit(&p->base, &job->base);
}

/* ---- CLOSE, UNSELECT ------------------------------------------------------------------------- */

typedef struct close_job {
    lmi_job base;
    unsigned expunge, done;
} close_job;

static void work_close(lmi_job *base)
{
    close_job *job = (close_job *)base;
    lmi_box *box = ((lmi_imap_peer *)base->peer)->box;
    lmail_uid_list vanished = {0};
    job->base.status = LMAIL_OK;
    if (job->expunge && !box->read_only)
        job->base.status =
            lmi_peer_store(base->peer)
                ->expunge(box->mailbox, NULL, LMAIL_EXPUNGE_DELETED, &vanished, NULL);
    lmail_uid_list_free(&vanished);
    close_box(base->peer, box);
    job->done = 1;
}

static void close_done(lmi_job *base)
{
    close_job *job = (close_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_imap_answer a = LMAIL_IMAP_ANSWER_INIT;
    lmi_imap_fail(&a.result, job->base.status, LMAIL_IMAP_CODE_NONEXISTENT);
    if (!job->done) /* no worker; to the session it is closed all the same */
        close_box(base->peer, p->box);
    p->box = NULL;
    if (job->done && job->expunge)
        lmi_imap_changed(p);
    lmail_imap_server_answer(p->server, base->ticket, &a, lmi_peer_now(&p->base));
}

static lmail_status on_close(lmail_imap_server *s, void *user, lmail_ticket t,
                             const lmail_imap_close_event *ev, lmail_imap_answer *a)
{
    lmi_imap_peer *p = user;
    (void)s;
    (void)a;
    close_job *job = lmi_job_new(sizeof *job, &p->base, t, work_close, close_done);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->expunge = ev->expunge;
    return lmi_peer_submit(&p->base, &job->base);
}

void lmi_box_shut(lmi_imap_peer *p)
{
    if (p->box)
        close_box(&p->base, p->box);
    p->box = NULL;
}

/* ---- NOOP, CHECK ----------------------------------------------------------------------------- */

typedef struct poll_job {
    lmi_job base;
    unsigned flags;
    lmi_news news;
} poll_job;

static void work_poll(lmi_job *base)
{
    poll_job *job = (poll_job *)base;
    job->base.status = lmi_box_catch_up((lmi_imap_peer *)base->peer, job->flags, &job->news);
}

static void poll_done(lmi_job *base)
{
    poll_job *job = (poll_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_imap_answer a = LMAIL_IMAP_ANSWER_INIT;
    lmi_imap_fail(&a.result, job->base.status, LMAIL_IMAP_CODE_NONEXISTENT);
    lmi_news_tell(p, &job->news, &a.result);
    lmail_imap_server_answer(p->server, base->ticket, &a, lmi_peer_now(&p->base));
    lmi_news_free(&job->news);
}

static lmail_status on_poll(lmail_imap_server *s, void *user, lmail_ticket t,
                            const lmail_imap_poll_event *ev, lmail_imap_answer *a)
{
    lmi_imap_peer *p = user;
    (void)s;
    (void)a;
    poll_job *job = lmi_job_new(sizeof *job, &p->base, t, work_poll, poll_done);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->flags = ev->check ? LMAIL_REFRESH_SCAN : 0;
    return lmi_peer_submit(&p->base, &job->base);
}

void lmi_imap_handle_select(lmail_imap_server_handler *h)
{
    h->on_select = on_select;
    h->on_close = on_close;
    h->on_poll = on_poll;
}
