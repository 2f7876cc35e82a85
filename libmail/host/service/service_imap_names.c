/* service_imap_names.c - mailboxes by name: LIST, STATUS, CREATE, DELETE, RENAME, SUBSCRIBE. */
#include "host/service/service_imap.h"

#include <stdlib.h>
#include <string.h>

/* ---- LIST ------------------------------------------------------------------------------------ */

/* Every name of the account, in the order that the session wants, until all slices are given. */
struct lmi_listing {
    lmail_imap_list_row *rows; /* names are malloc'ed */
    size_t count, capacity;
    lmail_status status;
    const lmi_imap_peer *peer;
    unsigned options;
};

void lmi_listing_free(lmi_imap_peer *p)
{
    struct lmi_listing *l = p->listing;
    p->listing = NULL;
    if (!l)
        return;
    for (size_t i = 0; i < l->count; i++)
        free((char *)l->rows[i].name.ptr);
    free(l->rows);
    free(l);
}

static unsigned special_attribute(lmail_special_use use)
{
    static const unsigned attributes[] = {0,
                                          LMAIL_IMAP_ATTR_ALL,
                                          LMAIL_IMAP_ATTR_ARCHIVE,
                                          LMAIL_IMAP_ATTR_DRAFTS,
                                          LMAIL_IMAP_ATTR_FLAGGED,
                                          LMAIL_IMAP_ATTR_IMPORTANT,
                                          LMAIL_IMAP_ATTR_JUNK,
                                          LMAIL_IMAP_ATTR_SENT,
                                          LMAIL_IMAP_ATTR_TRASH};
    return attributes[use];
}

static lmail_special_use special_use(unsigned attribute)
{
    for (int use = LMAIL_USE_ALL; use <= LMAIL_USE_TRASH; use++)
        if (attribute == special_attribute((lmail_special_use)use))
            return (lmail_special_use)use;
    return LMAIL_USE_NONE;
}

static unsigned attributes_of(const lmail_list_row *row)
{
    unsigned a = row->has_children ? LMAIL_IMAP_ATTR_HASCHILDREN : LMAIL_IMAP_ATTR_HASNOCHILDREN;
    if (!row->exists)
        a |= LMAIL_IMAP_ATTR_NONEXISTENT | LMAIL_IMAP_ATTR_NOSELECT;
    if (row->subscribed)
        a |= LMAIL_IMAP_ATTR_SUBSCRIBED;
    return a | special_attribute(row->special_use);
}

static int wanted(const struct lmi_listing *l, const lmail_list_row *row)
{
    if (l->options & LMAIL_IMAP_LIST_SUBSCRIBED)
        return row->subscribed || (l->options & LMAIL_IMAP_LIST_RECURSIVEMATCH);
    if (l->options & LMAIL_IMAP_LIST_SPECIAL_USE)
        return row->special_use != LMAIL_USE_NONE;
    return row->exists || row->has_children;
}

static int take_name(void *user, const lmail_list_row *row)
{
    struct lmi_listing *l = user;
    if (!wanted(l, row))
        return 0;
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? l->capacity * 2 : 32;
        lmail_imap_list_row *rows = realloc(l->rows, capacity * sizeof *rows);
        if (!rows) {
            l->status = LMAIL_ERR_NOMEM;
            return 1;
        }
        l->rows = rows;
        l->capacity = capacity;
    }
    char *name = malloc(row->name.len + 1);
    if (!name) {
        l->status = LMAIL_ERR_NOMEM;
        return 1;
    }
    memcpy(name, row->name.ptr, row->name.len);
    l->rows[l->count++] = (lmail_imap_list_row){{name, row->name.len}, attributes_of(row)};
    return 0;
}

/* By octets, '/' lower than any other: what lies under a mailbox follows it. */
static int by_level(const void *a, const void *b)
{
    lmail_str x = ((const lmail_imap_list_row *)a)->name,
              y = ((const lmail_imap_list_row *)b)->name;
    for (size_t i = 0; i < x.len && i < y.len; i++) {
        int c = x.ptr[i] == '/' ? 0 : (unsigned char)x.ptr[i];
        int d = y.ptr[i] == '/' ? 0 : (unsigned char)y.ptr[i];
        if (c != d)
            return c - d;
    }
    return (x.len > y.len) - (x.len < y.len);
}

typedef struct list_job {
    lmi_job base;
    struct lmi_listing *listing;
    uint64_t from;
    size_t max;
} list_job;

static void list_names(lmi_job *base)
{
    struct lmi_listing *l = ((list_job *)base)->listing;
    l->status = lmi_peer_open_account(base->peer);
    if (l->status)
        return;
    lmail_status st = lmi_peer_store(base->peer)->list(base->peer->account, take_name, l);
    if (st)
        l->status = st;
    if (l->count)
        qsort(l->rows, l->count, sizeof *l->rows, by_level);
    for (size_t i = 0; i < l->count; i++)
        lmi_imap_swap(l->peer, l->rows[i].name, (char *)l->rows[i].name.ptr);
}

static void fill_list(lmi_imap_peer *p, uint64_t from, size_t max, lmail_imap_list_answer *a)
{
    struct lmi_listing *l = p->listing;
    lmi_imap_fail(&a->result, l->status, LMAIL_IMAP_CODE_NONEXISTENT);
    if (l->status || from >= l->count)
        return;
    a->rows = l->rows + from;
    a->count = l->count - from < max ? (size_t)(l->count - from) : max;
    if (from + a->count < l->count)
        a->resume = from + a->count;
}

static void names_listed(lmi_job *base)
{
    list_job *job = (list_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_imap_list_answer a = LMAIL_IMAP_LIST_ANSWER_INIT;
    p->listing = job->listing;
    fill_list(p, 0, job->max, &a);
    int more = a.resume != 0;
    lmail_imap_server_answer_list(p->server, base->ticket, &a, lmi_peer_now(&p->base));
    if (!more)
        lmi_listing_free(p);
}

static lmail_status on_list(lmail_imap_server *s, void *user, lmail_ticket t,
                            const lmail_imap_list_event *ev, lmail_imap_list_answer *a)
{
    lmi_imap_peer *p = user;
    (void)s;
    if (ev->resume && p->listing) {
        /* The rows go on being used until the next question: they are freed then. */
        fill_list(p, ev->resume, ev->max, a);
        return LMAIL_OK;
    }
    lmi_listing_free(p);
    list_job *job = lmi_job_new(sizeof *job, &p->base, t, list_names, names_listed);
    struct lmi_listing *l = calloc(1, sizeof *l);
    if (!job || !l) {
        free(job);
        free(l);
        return LMAIL_ERR_NOMEM;
    }
    *l = (struct lmi_listing){.status = LMAIL_ERR_BUSY, .peer = p, .options = ev->options};
    job->listing = l;
    job->max = ev->max;
    return lmi_peer_submit(&p->base, &job->base);
}

/* ---- STATUS ---------------------------------------------------------------------------------- */

typedef struct status_job {
    lmi_job base;
    char *name;
    int octets;
    lmail_mailbox_status found;
} status_job;

static void read_status(lmi_job *base)
{
    status_job *job = (status_job *)base;
    job->base.status = lmi_peer_open_account(base->peer);
    if (!job->base.status)
        job->base.status =
            lmi_peer_store(base->peer)
                ->status(base->peer->account, lmail_str_from(job->name), job->octets, &job->found);
}

static void status_read(lmi_job *base)
{
    status_job *job = (status_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_imap_status_answer a = LMAIL_IMAP_STATUS_ANSWER_INIT;
    const lmail_mailbox_status *f = &job->found;
    lmi_imap_fail(&a.result, job->base.status, LMAIL_IMAP_CODE_NONEXISTENT);
    a.messages = f->messages;
    a.recent = f->recent;
    a.uidvalidity = f->uidvalidity;
    a.unseen = f->unseen;
    a.deleted = f->deleted;
    a.uidnext = f->uidnext;
    a.octets = f->octets;
    a.highestmodseq = f->highest_modseq;
    lmail_imap_server_answer_status(p->server, base->ticket, &a, lmi_peer_now(&p->base));
    free(job->name);
}

static lmail_status on_status(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_status_event *ev, lmail_imap_status_answer *a)
{
    lmi_imap_peer *p = user;
    (void)s;
    (void)a;
    status_job *job = lmi_job_new(sizeof *job, &p->base, t, read_status, status_read);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->octets = (ev->items & LMAIL_IMAP_STATUS_SIZE) != 0;
    job->name = lmi_imap_name(p, ev->mailbox);
    if (!job->name) {
        free(job);
        return LMAIL_ERR_NOMEM;
    }
    return lmi_peer_submit(&p->base, &job->base);
}

/* ---- CREATE, DELETE, RENAME, SUBSCRIBE ------------------------------------------------------- */

typedef enum name_verb { CREATE, REMOVE, RENAME, SUBSCRIBE, UNSUBSCRIBE } name_verb;

typedef struct name_job {
    lmi_job base;
    name_verb verb;
    char *name, *to;
    lmail_special_use use;
    lmi_news news;
} name_job;

static int count_name(void *user, const lmail_list_row *row)
{
    (void)row;
    ++*(uint64_t *)user;
    return 0;
}

/* May the account have one name more? Subscriptions count: they are names too. */
static lmail_status room_for_name(const lmi_peer *peer)
{
    uint64_t names = 0;
    lmail_status st = lmi_peer_store(peer)->list(peer->account, count_name, &names);
    if (!st && names >= peer->door->rules->settings->store.max_mailboxes)
        st = LMAIL_ERR_LIMIT;
    return st;
}

static lmail_status change_name(const name_job *job)
{
    const lmail_store *store = lmi_peer_store(job->base.peer);
    lmail_store_account *account = job->base.peer->account;
    lmail_str name = lmail_str_from(job->name);
    switch (job->verb) {
    case CREATE:
        return store->create(account, name, job->use);
    case REMOVE:
        return store->remove(account, name);
    case RENAME:
        return store->rename(account, name, lmail_str_from(job->to));
    case SUBSCRIBE:
        return store->subscribe(account, name, 1);
    case UNSUBSCRIBE:
        return store->subscribe(account, name, 0);
    }
    return LMAIL_ERR_UNSUPPORTED;
}

static void work_name(lmi_job *base)
{
    name_job *job = (name_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    job->base.status = lmi_peer_open_account(base->peer);
    if (!job->base.status && (job->verb == CREATE || job->verb == SUBSCRIBE))
        job->base.status = room_for_name(base->peer);
    if (!job->base.status)
        job->base.status = change_name(job);
    /* The selected mailbox may be the one that went, or INBOX that was emptied by RENAME. */
    if (!job->base.status && p->box && (job->verb == REMOVE || job->verb == RENAME))
        lmi_box_catch_up(p, 0, &job->news);
}

static void name_done(lmi_job *base)
{
    name_job *job = (name_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_imap_answer a = LMAIL_IMAP_ANSWER_INIT;
    lmi_imap_fail(&a.result, job->base.status, LMAIL_IMAP_CODE_NONEXISTENT);
    lmi_news_tell(p, &job->news, &a.result);
    if (!job->base.status)
        lmi_watch_tell(p->base.door->service->watch, p->base.slot);
    lmail_imap_server_answer(p->server, base->ticket, &a, lmi_peer_now(&p->base));
    lmi_news_free(&job->news);
    free(job->name);
    free(job->to);
}

static lmail_status submit_name(lmi_imap_peer *p, lmail_ticket t, name_verb verb, lmail_str name,
                                lmail_str to, lmail_special_use use)
{
    name_job *job = lmi_job_new(sizeof *job, &p->base, t, work_name, name_done);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->verb = verb;
    job->use = use;
    job->name = lmi_imap_name(p, name);
    job->to = lmi_imap_name(p, to);
    if (!job->name || !job->to) {
        free(job->name);
        free(job->to);
        free(job);
        return LMAIL_ERR_NOMEM;
    }
    return lmi_peer_submit(&p->base, &job->base);
}

/* The limit of the configuration; the store checks what a name may hold. */
static int name_fits(const lmi_imap_peer *p, lmail_str name, lmail_imap_answer *a)
{
    if (name.len <= p->base.door->rules->settings->store.max_mailbox_name)
        return 1;
    lmi_imap_fail(&a->result, LMAIL_ERR_LIMIT, LMAIL_IMAP_CODE_NONE);
    return 0;
}

static lmail_status on_create(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_create_event *ev, lmail_imap_answer *a)
{
    lmi_imap_peer *p = user;
    (void)s;
    lmail_special_use use = special_use(ev->special_use);
    if (ev->special_use && use == LMAIL_USE_NONE) {
        a->result.no = 1;
        a->result.code = LMAIL_IMAP_CODE_USEATTR;
        a->result.text = LMAIL_STR("A mailbox has one special use at most");
        return LMAIL_OK;
    }
    if (!name_fits(p, ev->mailbox, a))
        return LMAIL_OK;
    return submit_name(p, t, CREATE, ev->mailbox, (lmail_str){NULL, 0}, use);
}

static lmail_status on_delete(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_delete_event *ev, lmail_imap_answer *a)
{
    (void)s;
    (void)a;
    return submit_name(user, t, REMOVE, ev->mailbox, (lmail_str){NULL, 0}, LMAIL_USE_NONE);
}

static lmail_status on_rename(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_rename_event *ev, lmail_imap_answer *a)
{
    (void)s;
    if (!name_fits(user, ev->to, a))
        return LMAIL_OK;
    return submit_name(user, t, RENAME, ev->from, ev->to, LMAIL_USE_NONE);
}

static lmail_status on_subscribe(lmail_imap_server *s, void *user, lmail_ticket t,
                                 const lmail_imap_subscribe_event *ev, lmail_imap_answer *a)
{
    (void)s;
    if (ev->on && !name_fits(user, ev->mailbox, a))
        return LMAIL_OK;
    return submit_name(user, t, ev->on ? SUBSCRIBE : UNSUBSCRIBE, ev->mailbox, (lmail_str){NULL, 0},
                       LMAIL_USE_NONE);
}

void lmi_imap_handle_names(lmail_imap_server_handler *h)
{
    h->on_list = on_list;
    h->on_status = on_status;
    h->on_create = on_create;
    h->on_delete = on_delete;
    h->on_rename = on_rename;
    h->on_subscribe = on_subscribe;
}
