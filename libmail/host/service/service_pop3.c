/* service_pop3.c - POP3 sessions over the store: the maildrop is the account's INBOX.
 *
 * The maildrop is the snapshot at login; messages are named by UID underneath, so what others do to
 * the mailbox meanwhile changes no number. QUIT removes what was deleted and marks what was
 * read. */
#include "host/service/service_pop3.h"
#include "host/service/service_lock.h"
#include "host/service/service_metrics.h"

#include <stdlib.h>
#include <string.h>

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

void lmi_pop3_leave(pop3_peer *p)
{
    const lmail_store *store = lmi_peer_store(&p->base);
    if (p->mailbox)
        store->mailbox_close(p->mailbox);
    if (p->base.account)
        store->account_close(p->base.account);
    p->mailbox = NULL;
    p->base.account = NULL;
    free(p->uids);
    p->uids = NULL;
    p->count = 0;
    lmail_uid_list_free(&p->read);
}

void lmi_pop3_unlock(pop3_peer *p)
{
    if (p->locked)
        lmi_locks_give(p->base.door->service->locks, lmail_str_from(p->locked));
    free(p->locked);
    p->locked = NULL;
}

static lmail_status open_maildrop(pop3_peer *p)
{
    const lmail_store *store = lmi_peer_store(&p->base);
    lmail_mailbox_view view;
    lmail_status st = lmi_peer_open_account(&p->base);
    /* In this process lmi_locks knows; this is for the others (RFC 1939 §4). */
    if (!st && store->account_lock)
        st = store->account_lock(p->base.account);
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

static void read_maildrop(lmi_job *base)
{
    pop3_job *job = (pop3_job *)base;
    pop3_peer *p = (pop3_peer *)base->peer;
    if (job->first == 1)
        lmi_pop3_leave(p); /* of a login before, whose maildrop the session did not want */
    job->base.status = p->mailbox ? LMAIL_OK : open_maildrop(p);
    if (job->base.status) {
        lmi_pop3_leave(p);
        return;
    }
    uint32_t left = job->first <= p->count ? p->count - (job->first - 1) : 0;
    job->count = left < job->max ? left : job->max;
    if (job->count > LMI_POP3_ROWS)
        job->count = LMI_POP3_ROWS;
    job->sizes = calloc(job->count ? job->count : 1, sizeof *job->sizes);
    if (!job->sizes)
        job->base.status = LMAIL_ERR_NOMEM;
    else
        lmi_pop3_rows(job, LMAIL_ROW_SIZE);
    if (job->base.status)
        lmi_pop3_leave(p);
}

static void maildrop_read(lmi_job *base)
{
    pop3_job *job = (pop3_job *)base;
    pop3_peer *p = (pop3_peer *)base->peer;
    lmail_pop3_maildrop_answer a = {.size = sizeof a};
    a.failure = lmi_pop3_failure_of(job->base.status);
    a.sizes = job->sizes;
    a.count = job->base.status ? 0 : job->count;
    a.more = !job->base.status && job->first - 1 + job->count < p->count;
    if (job->base.status) { /* the client is back where it logs in (RFC 1939 §4) */
        lmi_pop3_leave(p);
        lmi_pop3_unlock(p);
    }
    lmail_pop3_server_answer_maildrop(p->server, base->ticket, &a, lmi_peer_now(&p->base));
    free(job->sizes);
}

static lmail_status lock(pop3_peer *p)
{
    const lmi_door *door = p->base.door;
    lmi_pop3_unlock(p); /* of a login before */
    char *name = strdup(p->base.identity);
    if (!name)
        return LMAIL_ERR_NOMEM;
    lmail_status st =
        lmi_locks_take(door->service->locks, lmail_str_from(name),
                       door->rules->settings->pop3.login_delay, lmi_peer_now(&p->base));
    if (st)
        free(name);
    else
        p->locked = name;
    return st;
}

static lmail_status on_maildrop(lmail_pop3_server *s, void *user, lmail_ticket t,
                                const lmail_pop3_maildrop_event *ev, lmail_pop3_maildrop_answer *a)
{
    pop3_peer *p = user;
    (void)s;
    if (ev->first == 1) {
        lmail_status st = lock(p);
        a->failure = lmi_pop3_failure_of(st);
        if (st)
            return LMAIL_OK;
    }
    pop3_job *job = lmi_job_new(sizeof *job, &p->base, t, read_maildrop, maildrop_read);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->first = ev->first;
    job->max = ev->max;
    return lmi_peer_submit(&p->base, &job->base);
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

static void on_auth_end(lmail_pop3_server *s, void *user, const lmail_auth_end_event *ev)
{
    (void)s;
    lmi_auth_end(user, ev->how);
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
    a->flags_on = p->base.secure ? LMAIL_POP3_CLEARTEXT : 0;
    return LMAIL_OK;
}

/* ---- The protocol's row ---------------------------------------------------------------------- */

static lmail_status setup_new(const lmi_door *door, void **setup)
{
    const lmail_settings *v = door->rules->settings;
    lmail_pop3_server_config c = LMAIL_POP3_SERVER_CONFIG_INIT;
    lmail_pop3_server_handler h = LMAIL_POP3_SERVER_HANDLER_INIT;
    c.env = &door->service->env;
    c.host_name = lmail_str_from(door->rules->hostname);
    c.implementation = LMAIL_STR("libmail");
    c.flags_on = LMAIL_POP3_UTF8_USER;
    if (door->settings->tls == LMAIL_LISTENER_STARTTLS)
        c.flags_on |= LMAIL_POP3_STLS;
    if (lmi_login_of(v, LMI_AUTH_POP3).allow_cleartext)
        c.flags_on |= LMAIL_POP3_CLEARTEXT;
    c.expire = LMAIL_POP3_EXPIRE_NEVER;
    c.login_delay = (uint32_t)(v->pop3.login_delay / 1000);
    c.max_bad_commands = (uint32_t)v->pop3.max_bad_commands;
    c.idle_timeout = v->pop3.idle_timeout;
    h.on_connect = on_connect;
    h.auth_mechanisms = mechanisms;
    h.on_auth = on_auth;
    h.on_auth_end = on_auth_end;
    h.on_login = on_login;
    h.on_apop = v->pop3.apop ? on_apop : NULL;
    h.on_maildrop = on_maildrop;
    lmi_pop3_handle_read(&h);
    h.on_cancel = on_cancel;
    h.on_trace = lmi_count_trace;
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

static void closed(lmi_peer *peer)
{
    lmail_pop3_counters totals;
    lmail_pop3_server_counters(((pop3_peer *)peer)->server, &totals);
    lmi_count_retrieved(peer, totals.retrieved);
    lmi_pop3_unlock((pop3_peer *)peer);
}

static int holds(const lmi_peer *peer)
{
    return ((const pop3_peer *)peer)->mailbox != NULL;
}

static void shut(lmi_peer *peer)
{
    lmi_pop3_leave((pop3_peer *)peer);
}

static void destroy(lmi_peer *peer)
{
    pop3_peer *p = (pop3_peer *)peer;
    free(p->uids);
    lmail_uid_list_free(&p->read);
    lmi_lent_free(&p->lent);
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
    .holds = holds,
    .shut = shut,
    .destroy = destroy,
    .answer_auth = answer_auth,
};
