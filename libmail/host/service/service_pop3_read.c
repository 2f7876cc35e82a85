/* service_pop3_read.c - POP3: rows and octets of messages, and what QUIT does.
 *
 * What the page cache has of a message is read on the loop; everything else is a job. Octets stay
 * lent until the session has sent them. */
#include "host/service/service_metrics.h"
#include "host/service/service_pop3.h"

#include <stdlib.h>
#include <string.h>

lmail_pop3_failure lmi_pop3_failure_of(lmail_status st)
{
    switch (st) {
    case LMAIL_OK:
        return LMAIL_POP3_DONE;
    case LMAIL_ERR_BUSY:
        return LMAIL_POP3_IN_USE;
    case LMAIL_ERR_LIMIT:
        return LMAIL_POP3_TOO_SOON;
    case LMAIL_ERR_NOTFOUND:
    case LMAIL_ERR_STALE:
        return LMAIL_POP3_GONE;
    case LMAIL_ERR_CORRUPT:
        return LMAIL_POP3_PERMANENT;
    default:
        return LMAIL_POP3_TEMPORARY;
    }
}

/* ---- Rows ---------------------------------------------------------------------------------- */

typedef struct row_reader {
    const pop3_peer *peer;
    pop3_job *job;
    uint32_t at; /* next message number that a row may be for */
} row_reader;

static int take_row(void *user, const lmail_mailbox_row *row)
{
    row_reader *r = user;
    pop3_job *job = r->job;
    while (r->at < job->first + job->count && r->peer->uids[r->at - 1] < row->uid)
        r->at++;
    if (r->at >= job->first + job->count || r->peer->uids[r->at - 1] != row->uid)
        return 0;
    uint32_t i = r->at - job->first;
    if (job->sizes)
        job->sizes[i] = row->size;
    if (job->ids) {
        char *copy = malloc(row->uidl.len + 1);
        if (!copy) {
            job->base.status = LMAIL_ERR_NOMEM;
            return 1;
        }
        memcpy(copy, row->uidl.ptr, row->uidl.len);
        job->ids[i] = (lmail_str){copy, row->uidl.len};
    }
    return 0;
}

/* Rows of messages first .. first + count - 1. */
void lmi_pop3_rows(pop3_job *job, unsigned items)
{
    pop3_peer *p = (pop3_peer *)job->base.peer;
    const lmail_store *store = lmi_peer_store(&p->base);
    lmail_uid_list uids = {0};
    row_reader r = {p, job, job->first};
    for (uint32_t i = 0; i < job->count && !job->base.status; i++) {
        lmail_uid uid = p->uids[job->first - 1 + i];
        job->base.status = lmail_uid_list_add(&uids, uid, uid);
    }
    lmail_fetch_args args = LMAIL_FETCH_ARGS_INIT;
    args.uids = lmail_uid_list_set(&uids);
    args.items = items;
    lmail_uid next;
    if (!job->base.status && job->count) {
        lmail_status st = store->fetch(p->mailbox, &args, take_row, &r, &next);
        if (st)
            job->base.status = st;
    }
    lmail_uid_list_free(&uids);
}

/* ---- UIDL ------------------------------------------------------------------------------------ */

static void read_ids(lmi_job *base)
{
    pop3_job *job = (pop3_job *)base;
    job->base.status = LMAIL_OK;
    job->ids = calloc(job->count, sizeof *job->ids);
    if (!job->ids)
        job->base.status = LMAIL_ERR_NOMEM;
    else
        lmi_pop3_rows(job, LMAIL_ROW_UIDL);
}

static void ids_read(lmi_job *base)
{
    pop3_job *job = (pop3_job *)base;
    pop3_peer *p = (pop3_peer *)base->peer;
    lmail_pop3_uidl_answer a = {.size = sizeof a};
    a.failure = lmi_pop3_failure_of(job->base.status);
    a.ids = job->ids;
    a.count = job->base.status ? 0 : job->count;
    lmail_pop3_server_answer_uidl(p->server, base->ticket, &a, lmi_peer_now(&p->base));
    for (uint32_t i = 0; job->ids && i < job->count; i++)
        free((char *)job->ids[i].ptr);
    free(job->ids);
}

static lmail_status on_uidl(lmail_pop3_server *s, void *user, lmail_ticket t,
                            const lmail_pop3_uidl_event *ev, lmail_pop3_uidl_answer *a)
{
    pop3_peer *p = user;
    (void)s;
    (void)a;
    pop3_job *job = lmi_job_new(sizeof *job, &p->base, t, read_ids, ids_read);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->first = ev->first;
    job->count = ev->count < LMI_POP3_ROWS ? ev->count : LMI_POP3_ROWS;
    return lmi_peer_submit(&p->base, &job->base);
}

/* ---- Octets ---------------------------------------------------------------------------------- */

static void read_octets(lmi_job *base)
{
    pop3_job *job = (pop3_job *)base;
    pop3_peer *p = (pop3_peer *)base->peer;
    job->base.status =
        lmi_peer_store(&p->base)->read(p->mailbox, p->uids[job->first - 1], job->offset,
                                       job->octets->data, job->want, 0, &job->got);
}

static void on_released(lmail_pop3_server *s, void *user, lmail_ticket t)
{
    (void)s;
    lmi_lent_release(&((pop3_peer *)user)->lent, t);
}

static void fill_octets(const pop3_job *job, lmail_pop3_octets_answer *a)
{
    a->failure = lmi_pop3_failure_of(job->base.status);
    if (job->base.status)
        return;
    a->octets = (lmail_str){job->octets->data, job->got};
    a->end = job->got < job->want;
}

static void octets_read(lmi_job *base)
{
    pop3_job *job = (pop3_job *)base;
    pop3_peer *p = (pop3_peer *)base->peer;
    lmail_pop3_octets_answer a = {.size = sizeof a};
    fill_octets(job, &a);
    lmail_ticket t = base->ticket;
    lmi_lent_add(&p->lent, job->octets, t);
    lmail_status st = lmail_pop3_server_answer_octets(p->server, t, &a, lmi_peer_now(&p->base));
    if (st || job->base.status || job->got == 0)
        lmi_lent_release(&p->lent, t);
}

static lmail_status on_octets(lmail_pop3_server *s, void *user, lmail_ticket t,
                              const lmail_pop3_octets_event *ev, lmail_pop3_octets_answer *a)
{
    pop3_peer *p = user;
    const lmail_store *store = lmi_peer_store(&p->base);
    (void)s;
    if (ev->offset == 0 && !ev->top) {
        lmail_uid uid = p->uids[ev->number - 1];
        lmail_uid_list_add(&p->read, uid, uid); /* without memory one message stays unread */
    }
    lmi_lent *o = lmi_lent_new(ev->want);
    if (!o)
        return LMAIL_ERR_NOMEM;
    pop3_job now = {.octets = o, .want = ev->want};
    /* What the page cache has is read here: a worker's round trip costs more than the read. */
    if (!p->base.jobs)
        now.base.status = store->read(p->mailbox, p->uids[ev->number - 1], ev->offset, o->data,
                                      ev->want, LMAIL_READ_NOWAIT, &now.got);
    if (!p->base.jobs && now.base.status != LMAIL_PENDING && (now.base.status || now.got)) {
        fill_octets(&now, a);
        a->end = 0; /* the page cache had less: no sign that the message ends */
        if (a->failure)
            free(o);
        else
            lmi_lent_add(&p->lent, o, t);
        return LMAIL_OK;
    }
    pop3_job *job = lmi_job_new(sizeof *job, &p->base, t, read_octets, octets_read);
    if (!job) {
        free(o);
        return LMAIL_ERR_NOMEM;
    }
    job->octets = o;
    job->first = ev->number;
    job->offset = ev->offset;
    job->want = ev->want;
    return lmi_peer_submit(&p->base, &job->base);
}

/* ---- QUIT ------------------------------------------------------------------------------------ */

static void update(lmi_job *base)
{
    pop3_job *job = (pop3_job *)base;
    pop3_peer *p = (pop3_peer *)base->peer;
    const lmail_store *store = lmi_peer_store(&p->base);
    lmail_uid_list vanished = {0};
    lmail_uid_set set = lmail_uid_list_set(&job->deleted);
    job->base.status = LMAIL_OK;
    if (p->read.count) {
        lmail_set_flags_args args = LMAIL_SET_FLAGS_ARGS_INIT;
        lmail_set_flags_result result;
        memset(&result, 0, sizeof result);
        args.uids = lmail_uid_list_set(&p->read);
        args.flags = LMAIL_FLAG_SEEN;
        store->set_flags(p->mailbox, &args, &result); /* a courtesy: QUIT does not depend on it */
        lmail_uid_list_free(&result.changed);
        lmail_uid_list_free(&result.failed);
    }
    if (set.count) {
        job->base.status = store->expunge(p->mailbox, &set, LMAIL_EXPUNGE_ALL, &vanished, NULL);
        lmail_uid_list_free(&vanished);
    }
    lmi_pop3_leave(p); /* a client that reads the reply may log in again at once (RFC 1939 §6) */
}

static void updated(lmi_job *base)
{
    pop3_job *job = (pop3_job *)base;
    pop3_peer *p = (pop3_peer *)base->peer;
    lmail_pop3_update_answer a = {.size = sizeof a};
    a.failure = lmi_pop3_failure_of(job->base.status);
    lmail_pop3_counters totals;
    lmail_pop3_server_counters(p->server, &totals);
    lmail_log_line l;
    lmi_peer_log(&p->base, &l, LMAIL_LOG_INFO, "update");
    lmail_log_text(&l, "user", lmail_str_from(p->base.identity));
    lmail_log_number(&l, "messages", totals.messages);
    lmail_log_number(&l, "retrieved", totals.retrieved);
    lmail_log_number(&l, "deleted", totals.deleted);
    lmail_log_end(&l);
    lmi_count_commit(&p->base, job->base.status);
    lmi_count_deleted(&p->base, job->base.status ? 0 : totals.deleted);
    lmi_watch_tell(p->base.door->service->watch, p->base.slot);
    lmi_pop3_unlock(p);
    lmail_pop3_server_answer_update(p->server, base->ticket, &a, lmi_peer_now(&p->base));
    lmail_uid_list_free(&job->deleted);
}

static lmail_status on_update(lmail_pop3_server *s, void *user, lmail_ticket t,
                              const lmail_pop3_update_event *ev, lmail_pop3_update_answer *a)
{
    pop3_peer *p = user;
    (void)s;
    (void)a;
    pop3_job *job = lmi_job_new(sizeof *job, &p->base, t, update, updated);
    if (!job)
        return LMAIL_ERR_NOMEM;
    for (size_t r = 0; r < ev->range_count; r++)
        for (uint32_t n = ev->deleted[r].first; n <= ev->deleted[r].last && n <= p->count; n++)
            if (lmail_uid_list_add(&job->deleted, p->uids[n - 1], p->uids[n - 1])) {
                lmail_uid_list_free(&job->deleted);
                free(job);
                return LMAIL_ERR_NOMEM;
            }
    return lmi_peer_submit(&p->base, &job->base);
}

void lmi_pop3_handle_read(lmail_pop3_server_handler *h)
{
    h->on_uidl = on_uidl;
    h->on_octets = on_octets;
    h->on_released = on_released;
    h->on_update = on_update;
}
