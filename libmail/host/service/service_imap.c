/* service_imap.c - IMAP sessions: the protocol's row, logging in, news from other sessions. */
#include "host/service/service_imap.h"
#include "host/service/service_metrics.h"

#include <stdlib.h>
#include <string.h>

#define TIDY_FILES 256u /* renames and unlinks of one job */

int lmi_imap_stale(const lmi_imap_peer *p)
{
    return lmi_watch_value(p->base.door->service->watch, p->base.slot) != p->base.seen;
}

void lmi_imap_fail(lmail_imap_result *r, lmail_status st, lmail_imap_code missing)
{
    static const struct row {
        lmail_status st;
        lmail_imap_code code;
        const char *text;
    } rows[] = {
        {LMAIL_ERR_EXISTS, LMAIL_IMAP_CODE_ALREADYEXISTS, "Mailbox exists already"},
        {LMAIL_ERR_ARG, LMAIL_IMAP_CODE_CANNOT, "That name or value is not allowed"},
        {LMAIL_ERR_LIMIT, LMAIL_IMAP_CODE_LIMIT, "A limit of this server is reached"},
        {LMAIL_ERR_DENIED, LMAIL_IMAP_CODE_CANNOT, "That is not permitted"},
        {LMAIL_ERR_FULL, LMAIL_IMAP_CODE_OVERQUOTA, "No space is left on this server"},
        {LMAIL_ERR_QUOTA, LMAIL_IMAP_CODE_OVERQUOTA, "The account is over its quota"},
        {LMAIL_ERR_BUSY, LMAIL_IMAP_CODE_INUSE, "The mailbox is busy, try again"},
        {LMAIL_ERR_STALE, LMAIL_IMAP_CODE_NONEXISTENT, "The mailbox is gone"},
        {LMAIL_ERR_CORRUPT, LMAIL_IMAP_CODE_CORRUPTION, "Stored data is damaged"},
        {LMAIL_ERR_UNSUPPORTED, LMAIL_IMAP_CODE_CANNOT, "Not supported here"},
    };
    if (!st)
        return;
    r->no = 1;
    if (st == LMAIL_ERR_NOTFOUND) {
        r->code = missing;
        r->text = LMAIL_STR("No such mailbox");
        return;
    }
    r->code = LMAIL_IMAP_CODE_UNAVAILABLE;
    r->text = LMAIL_STR("Temporary failure, try again later");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].st == st) {
            r->code = rows[i].code;
            r->text = lmail_str_from(rows[i].text);
        }
}

/* Two characters change places, so that a '/' inside a name survives where '.' separates. */
void lmi_imap_swap(const lmi_imap_peer *p, lmail_str name, char *out)
{
    char separator = p->base.door->rules->settings->imap.separator.ptr[0];
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        out[i] = c == separator ? '/' : c == '/' ? separator : c;
    }
}

char *lmi_imap_name(const lmi_imap_peer *p, lmail_str name)
{
    char *copy = malloc(name.len + 1);
    if (!copy)
        return NULL;
    lmi_imap_swap(p, name, copy);
    copy[name.len] = '\0';
    return copy;
}

/* ---- News that nobody asked for -------------------------------------------------------------- */

typedef struct catch_job {
    lmi_job base;
    lmi_news news;
} catch_job;

/* The session waits: the mailbox is watched from here on, and the store's handle gives back what
 * waiting does not need. */
static void catch_up(lmi_job *base)
{
    catch_job *job = (catch_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    const lmail_store *store = lmi_peer_store(base->peer);
    if (!p->box)
        return;
    if (store->watch)
        (void)store->watch(p->box->mailbox); /* unwatched, it learns with its next command */
    job->base.status = lmi_box_catch_up(p, 0, &job->news);
    if (store->rest)
        store->rest(p->box->mailbox);
}

static void changed(lmi_peer *peer);

static void caught_up(lmi_job *base)
{
    catch_job *job = (catch_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_imap_result news = LMAIL_IMAP_RESULT_INIT;
    p->catching_up = 0;
    if (p->base.session && !job->base.status) {
        lmi_news_tell(p, &job->news, &news);
        for (size_t i = 0; i < news.change_count; i++)
            lmail_imap_server_notify(p->server, &news.changes[i], lmi_peer_now(&p->base));
        /* A notice that came meanwhile found the job under way and was passed over. */
        if (p->base.watch_at && lmi_imap_stale(p))
            changed(&p->base);
    }
    lmi_news_free(&job->news);
}

static void changed(lmi_peer *peer)
{
    lmi_imap_peer *p = (lmi_imap_peer *)peer;
    if (!p->box)
        peer->seen = lmi_watch_value(peer->door->service->watch, peer->slot);
    if (!p->box || p->catching_up)
        return;
    catch_job *job = lmi_job_new(sizeof *job, peer, 0, catch_up, caught_up);
    if (!job)
        return; /* the next sweep tries again */
    p->catching_up = 1;
    lmi_peer_submit(peer, &job->base);
}

/* ---- Names follow flags ---------------------------------------------------------------------- */

typedef struct tidy_job {
    lmi_job base;
} tidy_job;

static void tidy(lmi_job *base)
{
    const lmail_store *store = lmi_peer_store(base->peer);
    if (store->tidy && base->peer->account)
        base->status = store->tidy(base->peer->account, TIDY_FILES);
}

static void tidied(lmi_job *base);

static void submit_tidy(lmi_imap_peer *p)
{
    tidy_job *job = lmi_job_new(sizeof *job, &p->base, 0, tidy, tidied);
    if (job)
        lmi_peer_submit(&p->base, &job->base);
}

static void tidied(lmi_job *base)
{
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    p->untidy = base->status == LMAIL_MORE;
    if (p->untidy && p->base.session)
        submit_tidy(p);
}

void lmi_imap_changed(lmi_imap_peer *p)
{
    lmi_count_commit(&p->base, LMAIL_OK);
    lmi_watch_tell(p->base.door->service->watch, p->base.slot);
    if (!p->untidy) {
        p->untidy = 1;
        submit_tidy(p);
    }
}

/* ---- Waiting for news ------------------------------------------------------------------------ */

static void on_idle(lmail_imap_server *s, void *user, const lmail_imap_idle_event *ev)
{
    lmi_imap_peer *p = user;
    const lmail_store *store = lmi_peer_store(&p->base);
    (void)s;
    if (!ev->on) {
        lmi_watch_remove(&p->base);
        return;
    }
    lmi_watch_add(p->base.door->service->watch, &p->base);
    if (p->box && (store->watch || store->rest || lmi_imap_stale(p)))
        changed(&p->base);
}

/* ---- The connection -------------------------------------------------------------------------- */

static lmail_status on_connect(lmail_imap_server *s, void *user, lmail_ticket t,
                               const lmail_imap_connect_event *ev, lmail_imap_connect_answer *a)
{
    const lmi_imap_peer *p = user;
    (void)s;
    (void)t;
    (void)ev;
    a->result.text = p->base.door->rules->settings->imap.greeting;
    a->flags_on = p->base.secure ? LMAIL_IMAP_CLEARTEXT : 0;
    return LMAIL_OK;
}

/* ---- Logging in ------------------------------------------------------------------------------ */

static lmail_str mechanisms(const lmail_imap_server *s, void *user)
{
    return lmi_auth_mechanisms(user, lmail_imap_server_tls(s));
}

static lmail_status on_auth(lmail_imap_server *s, void *user, lmail_ticket t,
                            const lmail_auth_event *ev, lmail_auth_answer *a)
{
    return lmi_auth_step(user, t, ev, lmail_imap_server_tls(s), a);
}

static void on_auth_end(lmail_imap_server *s, void *user, const lmail_auth_end_event *ev)
{
    (void)s;
    lmi_auth_end(user, ev->how);
}

static lmail_status on_login(lmail_imap_server *s, void *user, lmail_ticket t,
                             const lmail_imap_login_event *ev, lmail_auth_answer *a)
{
    return lmi_auth_password(user, t, ev->user, ev->password, lmail_imap_server_tls(s), a);
}

static void on_cancel(lmail_imap_server *s, void *user, lmail_ticket t)
{
    (void)s;
    (void)t;
    lmi_auth_cancel(user);
}

static lmail_status answer_auth(lmi_peer *peer, lmail_ticket t, const lmail_auth_answer *a)
{
    lmi_imap_peer *p = (lmi_imap_peer *)peer;
    return lmail_imap_server_answer_auth(p->server, t, a, lmi_peer_now(peer));
}

/* ---- The protocol's row ---------------------------------------------------------------------- */

static void setup_free(void *setup)
{
    lmail_imap_server_setup_free(setup);
}

static lmail_status setup_new(const lmi_door *door, void **setup)
{
    static const lmail_imap_id_field id[] = {
        {{"name", 4}, {"libmail", 7}}, {{"version", 7}, {LMAIL_VERSION, sizeof LMAIL_VERSION - 1}}};
    const lmail_settings *v = door->rules->settings;
    lmail_imap_server_config c = LMAIL_IMAP_SERVER_CONFIG_INIT;
    lmail_imap_server_handler h = LMAIL_IMAP_SERVER_HANDLER_INIT;
    c.env = &door->service->env;
    c.flags_on = LMAIL_IMAP_CREATE_SPECIAL_USE;
    if (door->settings->tls == LMAIL_LISTENER_STARTTLS)
        c.flags_on |= LMAIL_IMAP_STARTTLS;
    if (lmi_login_of(v, LMI_AUTH_IMAP).allow_cleartext)
        c.flags_on |= LMAIL_IMAP_CLEARTEXT;
    c.host_name = lmail_str_from(door->rules->hostname);
    c.separator = v->imap.separator.ptr[0];
    c.id = id;
    c.id_count = sizeof id / sizeof *id;
    c.max_line = v->imap.max_line;
    c.max_literal = v->imap.max_literal;
    c.max_append = v->imap.max_message_size;
    c.max_bad_commands = (uint32_t)v->imap.max_bad_commands;
    c.login_timeout = v->imap.login_timeout;
    c.idle_timeout = v->imap.idle_timeout;
    h.on_connect = on_connect;
    h.on_cancel = on_cancel;
    h.auth_mechanisms = mechanisms;
    h.on_auth = on_auth;
    h.on_auth_end = on_auth_end;
    h.on_login = on_login;
    h.on_idle = on_idle;
    h.on_trace = lmi_count_trace;
    lmi_imap_handle_names(&h);
    lmi_imap_handle_select(&h);
    lmi_imap_handle_fetch(&h);
    lmi_imap_handle_change(&h);
    lmi_imap_handle_append(&h);
    lmail_imap_server_setup *made;
    lmail_status st = lmail_imap_server_setup_new(&made, &c, &h);
    *setup = st ? NULL : made;
    return st;
}

static lmail_session *open_session(lmi_peer *peer, lmail_msec now)
{
    lmi_imap_peer *p = (lmi_imap_peer *)peer;
    if (lmail_imap_server_new(&p->server, peer->door->setup, p, now))
        return NULL;
    return lmail_imap_server_session(p->server);
}

static int holds(const lmi_peer *peer)
{
    const lmi_imap_peer *p = (const lmi_imap_peer *)peer;
    return p->box || p->append;
}

static void shut(lmi_peer *peer)
{
    lmi_imap_peer *p = (lmi_imap_peer *)peer;
    lmi_append_shut(p);
    lmi_box_shut(p);
}

static void destroy(lmi_peer *peer)
{
    lmi_imap_peer *p = (lmi_imap_peer *)peer;
    lmi_listing_free(p);
    lmi_lent_free(&p->lent);
}

const lmi_protocol lmi_imap_protocol = {
    .name = "imap",
    .service_bit = LMAIL_SERVICE_IMAP,
    .auth = LMI_AUTH_IMAP,
    .refusal = "* BYE [UNAVAILABLE] too many connections from your address\r\n",
    .peer_size = sizeof(lmi_imap_peer),
    .setup_new = setup_new,
    .setup_free = setup_free,
    .open = open_session,
    .holds = holds,
    .shut = shut,
    .destroy = destroy,
    .changed = changed,
    .answer_auth = answer_auth,
};
