/* service_pop3.c - POP3 sessions over the store: the maildrop is the account's INBOX.
 *
 * The maildrop is the snapshot at login; messages are named by UID underneath, so what others do to
 * the mailbox meanwhile changes no number. QUIT removes what was deleted and marks what was
 * read. */
#include "host/service/service_internal.h"
#include "host/service/service_lock.h"

#include <libmail/pop3.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 1000u /* of one slice of the listing */

/* Octets answered and not yet released. */
typedef struct pop3_octets {
    struct pop3_octets *next;
    lmail_ticket ticket;
    char data[];
} pop3_octets;

typedef struct pop3_peer {
    lmi_peer base;
    lmail_pop3_server *server;
    unsigned locked;
    lmail_store_mailbox *mailbox;
    lmail_uid *uids; /* of message 1, 2, ... */
    uint32_t count;
    lmail_uid_list read; /* RETR sent them */
    pop3_octets *lent;
} pop3_peer;

typedef struct pop3_job {
    lmi_job base;
    lmail_status status;
    uint32_t first, max;
    /* maildrop */
    uint64_t *sizes;
    uint32_t count;
    /* uidl */
    lmail_str *ids;
    /* octets */
    pop3_octets *octets;
    uint64_t offset;
    size_t want, got;
    /* update */
    lmail_uid_list deleted;
    unsigned failed;
} pop3_job;

static lmail_pop3_failure failure_of(lmail_status st)
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

/* ---- The maildrop ---------------------------------------------------------------------------- */

/* The UIDs of the mailbox as it is now become message 1, 2, ... */
static lmail_status number_messages(pop3_peer *p, const lmail_snapshot *s)
{
    uint32_t count = lmail_snapshot_facts(s)->messages;
    p->uids = malloc((count ? count : 1) * sizeof *p->uids);
    if (!p->uids)
        return LMAIL_ERR_NOMEM;
    lmail_snapshot_rows rows;
    for (size_t leaf = 0; lmail_snapshot_leaf(s, leaf, &rows) == LMAIL_OK; leaf++)
        for (size_t i = 0; i < rows.count && p->count < count; i++)
            p->uids[p->count++] = rows.uids[i];
    return LMAIL_OK;
}

static lmail_status open_maildrop(pop3_peer *p)
{
    const lmail_store *store = lmi_peer_store(&p->base);
    lmail_mailbox_view view;
    lmail_status st = lmi_peer_open_account(&p->base);
    if (!st)
        st = store->mailbox_open(p->base.account, LMAIL_STR("INBOX"), LMAIL_OPEN_NO_RECENT,
                                 &p->mailbox);
    if (!st)
        st = store->refresh(p->mailbox, 0, &view);
    if (st)
        return st;
    st = number_messages(p, view.snapshot);
    lmail_snapshot_unref(view.snapshot);
    return st;
}

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
            job->status = LMAIL_ERR_NOMEM;
            return 1;
        }
        memcpy(copy, row->uidl.ptr, row->uidl.len);
        job->ids[i] = (lmail_str){copy, row->uidl.len};
    }
    return 0;
}

/* Rows of messages first .. first + count - 1. */
static void fetch_rows(pop3_job *job, unsigned items)
{
    pop3_peer *p = (pop3_peer *)job->base.peer;
    const lmail_store *store = lmi_peer_store(&p->base);
    lmail_uid_list uids = {0};
    row_reader r = {p, job, job->first};
    for (uint32_t i = 0; i < job->count && !job->status; i++) {
        lmail_uid uid = p->uids[job->first - 1 + i];
        job->status = lmail_uid_list_add(&uids, uid, uid);
    }
    lmail_fetch_args args = LMAIL_FETCH_ARGS_INIT;
    args.uids = lmail_uid_list_set(&uids);
    args.items = items;
    lmail_uid next;
    if (!job->status && job->count) {
        lmail_status st = store->fetch(p->mailbox, &args, take_row, &r, &next);
        if (st)
            job->status = st;
    }
    lmail_uid_list_free(&uids);
}

static void read_maildrop(lmi_job *base)
{
    pop3_job *job = (pop3_job *)base;
    pop3_peer *p = (pop3_peer *)base->peer;
    job->status = p->mailbox ? LMAIL_OK : open_maildrop(p);
    if (job->status)
        return;
    uint32_t left = job->first <= p->count ? p->count - (job->first - 1) : 0;
    job->count = left < job->max ? left : job->max;
    if (job->count > ROWS)
        job->count = ROWS;
    job->sizes = calloc(job->count ? job->count : 1, sizeof *job->sizes);
    if (!job->sizes)
        job->status = LMAIL_ERR_NOMEM;
    else
        fetch_rows(job, LMAIL_ROW_SIZE);
}

static void maildrop_read(lmi_job *base)
{
    pop3_job *job = (pop3_job *)base;
    pop3_peer *p = (pop3_peer *)base->peer;
    lmail_pop3_maildrop_answer a = {.size = sizeof a};
    a.failure = failure_of(job->status);
    a.sizes = job->sizes;
    a.count = job->status ? 0 : job->count;
    a.more = !job->status && job->first - 1 + job->count < p->count;
    lmail_pop3_server_answer_maildrop(p->server, base->ticket, &a, lmi_peer_now(&p->base));
    free(job->sizes);
}

static lmail_status on_maildrop(lmail_pop3_server *s, void *user, lmail_ticket t,
                                const lmail_pop3_maildrop_event *ev, lmail_pop3_maildrop_answer *a)
{
    pop3_peer *p = user;
    (void)s;
    if (!p->locked) {
        const lmi_door *door = p->base.door;
        lmail_status st =
            lmi_locks_take(door->service->locks, lmail_str_from(p->base.identity),
                           door->rules->settings->pop3.login_delay, lmi_peer_now(&p->base));
        a->failure = failure_of(st);
        if (st)
            return LMAIL_OK;
        p->locked = 1;
    }
    pop3_job *job = lmi_job_new(sizeof *job, &p->base, t, read_maildrop, maildrop_read);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->status = LMAIL_ERR_IO;
    job->first = ev->first;
    job->max = ev->max;
    lmi_peer_submit(&p->base, &job->base);
    return LMAIL_PENDING;
}

/* ---- UIDL ------------------------------------------------------------------------------------ */

static void read_ids(lmi_job *base)
{
    pop3_job *job = (pop3_job *)base;
    job->status = LMAIL_OK;
    job->ids = calloc(job->count, sizeof *job->ids);
    if (!job->ids)
        job->status = LMAIL_ERR_NOMEM;
    else
        fetch_rows(job, LMAIL_ROW_UIDL);
}

static void ids_read(lmi_job *base)
{
    pop3_job *job = (pop3_job *)base;
    pop3_peer *p = (pop3_peer *)base->peer;
    lmail_pop3_uidl_answer a = {.size = sizeof a};
    a.failure = failure_of(job->status);
    a.ids = job->ids;
    a.count = job->status ? 0 : job->count;
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
    job->status = LMAIL_ERR_IO;
    job->first = ev->first;
    job->count = ev->count < ROWS ? ev->count : ROWS;
    lmi_peer_submit(&p->base, &job->base);
    return LMAIL_PENDING;
}

/* ---- Octets ---------------------------------------------------------------------------------- */

static void read_octets(lmi_job *base)
{
    pop3_job *job = (pop3_job *)base;
    pop3_peer *p = (pop3_peer *)base->peer;
    job->status = lmi_peer_store(&p->base)->read(p->mailbox, p->uids[job->first - 1], job->offset,
                                                 job->octets->data, job->want, 0, &job->got);
}

static void lend(pop3_peer *p, pop3_octets *o, lmail_ticket t)
{
    o->ticket = t;
    o->next = p->lent;
    p->lent = o;
}

static void on_release(lmail_pop3_server *s, void *user, lmail_ticket t)
{
    pop3_peer *p = user;
    (void)s;
    for (pop3_octets **at = &p->lent; *at; at = &(*at)->next)
        if ((*at)->ticket == t) {
            pop3_octets *o = *at;
            *at = o->next;
            free(o);
            return;
        }
}

static void fill_octets(const pop3_job *job, lmail_pop3_octets_answer *a)
{
    a->failure = failure_of(job->status);
    if (job->status)
        return;
    a->data = (lmail_str){job->octets->data, job->got};
    a->end = job->got < job->want;
}

static void octets_read(lmi_job *base)
{
    pop3_job *job = (pop3_job *)base;
    pop3_peer *p = (pop3_peer *)base->peer;
    lmail_pop3_octets_answer a = {.size = sizeof a};
    fill_octets(job, &a);
    lmail_ticket t = base->ticket;
    lend(p, job->octets, t);
    lmail_status st = lmail_pop3_server_answer_octets(p->server, t, &a, lmi_peer_now(&p->base));
    if (st || job->status || job->got == 0)
        on_release(p->server, p, t);
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
    pop3_octets *o = malloc(sizeof *o + (ev->want ? ev->want : 1));
    if (!o)
        return LMAIL_ERR_NOMEM;
    pop3_job now = {.octets = o, .want = ev->want};
    /* What the page cache has is read here: a worker's round trip costs more than the read. */
    if (!p->base.jobs)
        now.status = store->read(p->mailbox, p->uids[ev->number - 1], ev->offset, o->data, ev->want,
                                 LMAIL_READ_NOWAIT, &now.got);
    if (!p->base.jobs && now.status != LMAIL_PENDING && (now.status || now.got)) {
        fill_octets(&now, a);
        a->end = 0; /* the page cache had less: no sign that the message ends */
        if (a->failure)
            free(o);
        else
            lend(p, o, t);
        return LMAIL_OK;
    }
    pop3_job *job = lmi_job_new(sizeof *job, &p->base, t, read_octets, octets_read);
    if (!job) {
        free(o);
        return LMAIL_ERR_NOMEM;
    }
    job->status = LMAIL_ERR_IO;
    job->octets = o;
    job->first = ev->number;
    job->offset = ev->offset;
    job->want = ev->want;
    lmi_peer_submit(&p->base, &job->base);
    return LMAIL_PENDING;
}

/* ---- QUIT ------------------------------------------------------------------------------------ */

static void update(lmi_job *base)
{
    pop3_job *job = (pop3_job *)base;
    pop3_peer *p = (pop3_peer *)base->peer;
    const lmail_store *store = lmi_peer_store(&p->base);
    lmail_uid_list vanished = {0};
    lmail_uid_set set = lmail_uid_list_set(&job->deleted);
    job->status = LMAIL_OK;
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
        job->status = store->expunge(p->mailbox, &set, LMAIL_EXPUNGE_ALL, &vanished, NULL);
        lmail_uid_list_free(&vanished);
    }
}

static void updated(lmi_job *base)
{
    pop3_job *job = (pop3_job *)base;
    pop3_peer *p = (pop3_peer *)base->peer;
    lmail_pop3_update_answer a = {.size = sizeof a};
    a.failure = failure_of(job->status);
    lmail_pop3_totals totals;
    lmail_pop3_server_totals(p->server, &totals);
    lmail_log_line l;
    lmi_peer_log(&p->base, &l, LMAIL_LOG_INFO, "update");
    lmail_log_text(&l, "user", lmail_str_from(p->base.identity));
    lmail_log_number(&l, "messages", totals.messages);
    lmail_log_number(&l, "retrieved", totals.retrieved);
    lmail_log_number(&l, "deleted", totals.deleted);
    lmail_log_end(&l);
    lmi_watch_tell(p->base.door->service->watch, p->base.slot);
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
    job->status = LMAIL_ERR_IO;
    for (size_t r = 0; r < ev->range_count; r++)
        for (uint32_t n = ev->deleted[r].first; n <= ev->deleted[r].last && n <= p->count; n++)
            if (lmail_uid_list_add(&job->deleted, p->uids[n - 1], p->uids[n - 1])) {
                lmail_uid_list_free(&job->deleted);
                free(job);
                return LMAIL_ERR_NOMEM;
            }
    lmi_peer_submit(&p->base, &job->base);
    return LMAIL_PENDING;
}

/* ---- Logging in ------------------------------------------------------------------------------ */

static lmail_str mechanisms(const lmail_pop3_server *s, void *user)
{
    return lmi_auth_mechanisms(user, lmail_pop3_server_tls(s));
}

static lmail_status on_auth(lmail_pop3_server *s, void *user, lmail_ticket t,
                            const lmail_auth_event *ev, lmail_auth_answer *a)
{
    return lmi_auth_step(user, t, ev, lmail_pop3_server_tls(s), a);
}

static void on_auth_end(lmail_pop3_server *s, void *user, lmail_auth_end how)
{
    (void)s;
    lmi_auth_end(user, how);
}

static lmail_status on_login(lmail_pop3_server *s, void *user, lmail_ticket t,
                             const lmail_pop3_login_event *ev, lmail_auth_answer *a)
{
    return lmi_auth_password(user, t, ev->user, ev->password, lmail_pop3_server_tls(s), a);
}

static lmail_status on_apop(lmail_pop3_server *s, void *user, lmail_ticket t,
                            const lmail_pop3_apop_event *ev, lmail_auth_answer *a)
{
    return lmi_auth_apop(user, t, ev->user, ev->timestamp, ev->digest, lmail_pop3_server_tls(s), a);
}

static void on_cancel(lmail_pop3_server *s, void *user, lmail_ticket t)
{
    (void)s;
    (void)t;
    lmi_auth_cancel(user);
}

static lmail_status answer_auth(lmi_peer *peer, lmail_ticket t, const lmail_auth_answer *a)
{
    return lmail_pop3_server_answer_auth(((pop3_peer *)peer)->server, t, a, lmi_peer_now(peer));
}

static lmail_status on_connect(lmail_pop3_server *s, void *user, lmail_ticket t,
                               const lmail_pop3_connect_event *ev, lmail_pop3_connect_answer *a)
{
    pop3_peer *p = user;
    (void)s;
    (void)t;
    (void)ev;
    a->text = p->base.door->rules->settings->pop3.greeting;
    a->cleartext = p->base.secure != 0;
    return LMAIL_OK;
}

/* ---- The protocol's row ---------------------------------------------------------------------- */

static lmail_status setup_new(const lmi_door *door, void **setup)
{
    const lmail_settings *v = door->rules->settings;
    lmail_pop3_server_config c;
    lmail_pop3_server_handler h;
    lmail_pop3_server_config_init(&c);
    lmail_pop3_server_handler_init(&h);
    c.env = &door->service->env;
    c.host_name = lmail_str_from(door->rules->hostname);
    c.implementation = LMAIL_STR("libmail");
    c.flags = LMAIL_POP3_UTF8_USER;
    if (door->settings->tls == LMAIL_LISTENER_STARTTLS)
        c.flags |= LMAIL_POP3_STLS;
    if (v->auth.allow_cleartext)
        c.flags |= LMAIL_POP3_CLEARTEXT;
    c.expire = LMAIL_POP3_EXPIRE_NEVER;
    c.login_delay = (uint32_t)(v->pop3.login_delay / 1000);
    c.max_errors = (unsigned)v->pop3.max_bad_commands;
    c.idle_timeout = v->pop3.idle_timeout;
    h.on_connect = on_connect;
    h.auth_mechanisms = mechanisms;
    h.on_auth = on_auth;
    h.on_auth_end = on_auth_end;
    h.on_login = on_login;
    h.on_apop = v->pop3.apop ? on_apop : NULL;
    h.on_maildrop = on_maildrop;
    h.on_uidl = on_uidl;
    h.on_octets = on_octets;
    h.on_release = on_release;
    h.on_update = on_update;
    h.on_cancel = on_cancel;
    lmail_pop3_server_setup *made;
    lmail_status st = lmail_pop3_server_setup_new(&made, &c, &h);
    *setup = st ? NULL : made;
    return st;
}

static void setup_free(void *setup)
{
    lmail_pop3_server_setup_free(setup);
}

static lmail_session *open_session(lmi_peer *peer, lmail_msec now)
{
    pop3_peer *p = (pop3_peer *)peer;
    if (lmail_pop3_server_new(&p->server, peer->door->setup, p, now))
        return NULL;
    return lmail_pop3_server_session(p->server);
}

static void close_mailbox(lmi_job *base)
{
    pop3_peer *p = (pop3_peer *)base->peer;
    if (p->mailbox)
        lmi_peer_store(&p->base)->mailbox_close(p->mailbox);
    p->mailbox = NULL;
}

static void mailbox_closed(lmi_job *base)
{
    (void)base;
}

static void closed(lmi_peer *peer)
{
    pop3_peer *p = (pop3_peer *)peer;
    if (p->locked)
        lmi_locks_give(peer->door->service->locks, lmail_str_from(peer->identity));
    p->locked = 0;
    if (!p->mailbox && !peer->jobs)
        return;
    lmi_job *job = lmi_job_new(sizeof *job, peer, 0, close_mailbox, mailbox_closed);
    if (job)
        lmi_peer_submit(peer, job);
}

static void destroy(lmi_peer *peer)
{
    pop3_peer *p = (pop3_peer *)peer;
    free(p->uids);
    lmail_uid_list_free(&p->read);
    while (p->lent)
        on_release(NULL, p, p->lent->ticket);
}

const lmi_protocol lmi_pop3_protocol = {
    .name = "pop3",
    .service_bit = LMAIL_SERVICE_POP3,
    .auth = LMI_AUTH_POP3,
    .refusal = "-ERR [SYS/TEMP] too many connections from your address\r\n",
    .peer_size = sizeof(pop3_peer),
    .setup_new = setup_new,
    .setup_free = setup_free,
    .open = open_session,
    .closed = closed,
    .destroy = destroy,
    .answer_auth = answer_auth,
};
