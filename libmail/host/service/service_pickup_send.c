/* service_pickup_send.c - one drop, on a worker: a client session that speaks to the service's own
 * door over a socket, and waits for it.
 *
 * The passes are told of in service_pickup.h. */
#include "host/service/service_pickup.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define PIECE 262144u
#define SLICE 500 /* milliseconds: a stop is noticed */

/* One pass. */
typedef struct pass {
    lmi_local *local;
    lmail_smtp_client *client;
    char *piece;
    unsigned mail_ended, unreadable, halted;
    unsigned accepted, deferred, refused, refused_all, progress;
    lmi_refusal late; /* of what was deferred */
    char why[400];    /* the same, for the log */
} pass;

static lmail_msec now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (lmail_msec)t.tv_sec * 1000 + (lmail_msec)t.tv_nsec / 1000000;
}

/* ---- What the session asks and says ---------------------------------------------------------- */

static int some_refused(const lmi_local *l)
{
    for (size_t i = 0; i < l->facts.message.recipient_count; i++)
        if (l->refusals[i].known)
            return 1;
    return 0;
}

static lmail_status on_octets(lmail_smtp_client *c, void *user, lmail_ticket t,
                              const lmail_smtp_client_octets_event *ev,
                              lmail_smtp_client_octets_answer *a)
{
    pass *p = user;
    size_t got = 0, want = ev->want < PIECE ? ev->want : PIECE;
    (void)c;
    (void)t;
    /* Somebody was refused just now, or is to wait: nobody gets it before all do, in one
     * transaction. */
    a->failed = p->progress || p->deferred;
    if (!a->failed && lmail_drop_read(p->local->file, ev->offset, p->piece, want, &got))
        a->failed = p->unreadable = 1;
    a->octets = (lmail_str){p->piece, got};
    a->end = got < want || ev->offset + got == p->local->facts.octets;
    return LMAIL_OK;
}

static void on_released(lmail_smtp_client *c, void *user, lmail_ticket t)
{
    (void)c;
    (void)user;
    (void)t;
}

static void note(lmi_refusal *r, const lmail_smtp_peer_reply *reply)
{
    r->known = 1;
    r->code = reply->code / 100 == 5 ? reply->code : 550;
    snprintf(r->enhanced, sizeof r->enhanced, "%.*s",
             reply->enhanced.len ? (int)reply->enhanced.len : 5,
             reply->enhanced.len ? reply->enhanced.ptr : "5.0.0");
    snprintf(r->text, sizeof r->text, "%.*s", TEXT(reply->text));
    for (char *c = r->text; *c; c++)
        if (*c == '\n')
            *c = ' ';
}

static void on_recipient(lmail_smtp_client *c, void *user, const lmail_smtp_recipient_event *ev)
{
    pass *p = user;
    (void)c;
    if (ev->outcome == LMAIL_SMTP_ACCEPTED) {
        p->accepted++;
        return;
    }
    if (ev->outcome != LMAIL_SMTP_FAILED) {
        p->deferred++;
        note(&p->late, &ev->reply);
        if (!p->why[0])
            snprintf(p->why, sizeof p->why, "%u %.*s", ev->reply.code, TEXT(ev->reply.text));
        return;
    }
    p->refused++;
    if (ev->phase == LMAIL_SMTP_PHASE_RCPT || ev->cause == LMAIL_SMTP_CAUSE_HERE) {
        lmi_refusal *r = &p->local->refusals[ev->recipient];
        p->progress |= !r->known;
        note(r, &ev->reply);
    } else {
        p->refused_all = 1;
        note(&p->local->all, &ev->reply);
    }
}

static void on_mail_end(lmail_smtp_client *c, void *user, const lmail_smtp_mail_end_event *ev)
{
    (void)c;
    (void)ev;
    ((pass *)user)->mail_ended = 1;
}

static void on_end(lmail_smtp_client *c, void *user, const lmail_smtp_client_end_event *ev)
{
    pass *p = user;
    (void)c;
    if (!p->why[0] && ev->reply.text.len)
        snprintf(p->why, sizeof p->why, "%u %.*s", ev->reply.code, TEXT(ev->reply.text));
}

const lmail_smtp_client_handler lmi_pickup_handler = {
    .size = sizeof(lmail_smtp_client_handler),
    .on_octets = on_octets,
    .on_released = on_released,
    .on_recipient = on_recipient,
    .on_mail_end = on_mail_end,
    .on_end = on_end,
};

/* ---- The socket ------------------------------------------------------------------------------ */

static int write_some(int fd, lmail_smtp_client *c)
{
    lmail_str out[1];
    while (lmail_smtp_client_peek(c, out, 1)) {
        ssize_t n = send(fd, out[0].ptr, out[0].len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        lmail_smtp_client_sent(c, (size_t)n, now());
    }
    return 0;
}

/* What the session has not taken stays at the front of buf. */
static int read_some(int fd, lmail_smtp_client *c, char *buf, size_t cap, size_t *have)
{
    size_t used = 0;
    if (*have < cap) {
        ssize_t n = recv(fd, buf + *have, cap - *have, MSG_DONTWAIT);
        if (n == 0)
            return -1;
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        *have += (size_t)n;
    }
    lmail_smtp_client_feed(c, (lmail_str){buf, *have}, &used, now());
    memmove(buf, buf + used, *have - used);
    *have -= used;
    return 0;
}

/* The pump, until the session is over. */
static void converse(pass *p, int fd)
{
    lmail_smtp_client *c = p->client;
    char buf[8192];
    size_t have = 0;
    int stopped = 0;
    for (;;) {
        lmail_str out;
        if (p->mail_ended && !stopped++)
            lmail_smtp_client_stop(c, now());
        if (write_some(fd, c) < 0)
            break;
        int unsent = lmail_smtp_client_peek(c, &out, 1) > 0;
        unsigned wants = lmail_smtp_client_wants(c);
        if (wants & LMAIL_WANT_CLOSE && !unsent)
            break;
        lmail_msec when = lmail_smtp_client_deadline(c), t = now();
        int wait = when == LMAIL_NEVER || when > t + SLICE ? SLICE : when > t ? (int)(when - t) : 0;
        struct pollfd pfd = {fd, (short)(POLLIN | (unsent ? POLLOUT : 0)), 0};
        if (poll(&pfd, 1, wait) > 0 && pfd.revents & (POLLIN | POLLHUP | POLLERR) &&
            read_some(fd, c, buf, sizeof buf, &have) < 0)
            break;
        lmail_smtp_client_tick(c, now());
        if (atomic_load(&p->local->pickup->stopping) && !p->halted++)
            lmail_smtp_client_stop(c, now()); /* a message on its way may end */
    }
    lmail_smtp_client_eof(c, now());
}

static int dial(const lmi_pickup *p)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&p->at, p->at_len) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static lmail_status submit(pass *p)
{
    const lmail_drop_message *m = &p->local->facts.message;
    lmail_smtp_client_rcpt *list = calloc(m->recipient_count, sizeof *list);
    lmail_smtp_client_mail mail = LMAIL_SMTP_CLIENT_MAIL_INIT;
    lmail_ticket ticket;
    if (!list)
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < m->recipient_count; i++)
        list[i] = (lmail_smtp_client_rcpt){.to = m->recipients[i], .notify = m->notify};
    mail.from = m->sender;
    mail.recipients = list;
    mail.recipient_count = (uint32_t)m->recipient_count;
    mail.octets = p->local->facts.octets;
    mail.body = (lmail_smtp_body_type)m->body;
    mail.ret = (lmail_smtp_ret)m->ret;
    mail.has_envid = m->has_envid;
    mail.envid = m->envid;
    lmail_status st = lmail_smtp_client_submit_mail(p->client, &mail, &ticket, now());
    free(list);
    return st;
}

/* OK: there was a conversation. */
static lmail_status make_pass(pass *p, lmi_local *l)
{
    lmail_smtp_client_target target = LMAIL_SMTP_CLIENT_TARGET_INIT;
    char name[40];
    memset(p, 0, sizeof *p);
    p->local = l;
    p->piece = malloc(PIECE);
    snprintf(name, sizeof name, "drop-%llu", (unsigned long long)l->number);
    target.helo_name = lmail_str_from(name);
    lmail_status st = p->piece ? LMAIL_OK : LMAIL_ERR_NOMEM;
    if (!st)
        st = lmail_smtp_client_new(&p->client, l->pickup->client, &target, p, now());
    if (!st)
        st = submit(p);
    int fd = st ? -1 : dial(l->pickup);
    if (fd >= 0)
        converse(p, fd);
    else if (!st)
        st = LMAIL_ERR_BUSY;
    lmail_smtp_client_free(p->client); /* may still tell of recipients */
    if (fd >= 0)
        close(fd);
    free(p->piece);
    return st;
}

/* ---- One drop -------------------------------------------------------------------------------- */

static void log_drop(const lmi_pickup *p, lmail_log_level level, const char *event,
                     const char *name, const lmi_local *l, const char *reason)
{
    lmail_log_line line;
    lmail_log_begin(&line, p->service->log, level, event);
    lmail_log_text(&line, "file", lmail_str_from(name));
    if (l) {
        lmail_log_number(&line, "uid", l->facts.uid);
        lmail_log_text(&line, "from", l->facts.message.sender);
    }
    lmail_log_text(&line, "reason", lmail_str_from(reason));
    lmail_log_end(&line);
}

static lmail_status put_aside(const lmi_pickup *p, const char *name, const lmi_local *l,
                              const char *reason)
{
    lmail_status st = lmail_drop_put_aside(p->directory, name);
    log_drop(p, LMAIL_LOG_ERR, st ? "drop_bad" : "drop_put_aside", name, l, reason);
    return st && st != LMAIL_ERR_NOTFOUND ? LMAIL_PENDING : LMAIL_OK;
}

/* It waited for as long as the queue would have kept it. */
static int is_old(const lmi_local *l)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    const lmail_settings *v = lmail_config_settings(l->pickup->service->first_config);
    return (int64_t)t.tv_sec * 1000 - l->facts.arrived > (int64_t)v->queue.return_after;
}

/* Through the passes until it is taken, or cannot be. */
static lmail_status send_it(lmi_local *l)
{
    const lmi_pickup *p = l->pickup;
    pass a;
    lmail_status st;
    for (unsigned passes = 0; passes < 4; passes++) {
        if (atomic_load(&p->stopping))
            return LMAIL_PENDING;
        st = make_pass(&a, l);
        if (atomic_load(&l->taken))
            return LMAIL_OK;
        if (st == LMAIL_ERR_ARG) /* no address that can be */
            return put_aside(p, l->name, l, "its envelope is malformed");
        if (!st && a.deferred && !a.progress && !a.refused_all && is_old(l)) {
            l->all = a.late;
            a.refused_all = 1;
        }
        if (st || a.unreadable || (a.deferred && !a.progress && !a.refused_all)) {
            log_drop(p, LMAIL_LOG_WARN, "drop_deferred", l->name, l,
                     a.why[0] ? a.why : lmail_status_text(st ? st : LMAIL_ERR_IO));
            return LMAIL_PENDING;
        }
        if (!a.progress && (l->returning || !a.refused_all))
            break;
        l->returning |= a.refused_all;
    }
    return put_aside(p, l->name, l,
                     l->all.known      ? l->all.text
                     : some_refused(l) ? "a recipient is refused that was told to be"
                                       : "it is refused");
}

static void find_name(lmi_local *l)
{
    char room[4096];
    struct passwd entry, *found = NULL;
    snprintf(l->user, sizeof l->user, "%u", (unsigned)l->facts.uid);
    if (getpwuid_r(l->facts.uid, &entry, room, sizeof room, &found) || !found)
        return;
    for (const char *c = found->pw_name; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c > 126 || strchr("()<>\\\"", *c))
            return;
    if (strlen(found->pw_name) < sizeof l->user)
        snprintf(l->user, sizeof l->user, "%s", found->pw_name);
}

static void show(lmi_pickup *p, lmi_local *l)
{
    pthread_mutex_lock(&p->lock);
    l->number = ++p->last_number;
    l->next = p->locals;
    p->locals = l;
    pthread_mutex_unlock(&p->lock);
}

static void hide(lmi_pickup *p, const lmi_local *l)
{
    pthread_mutex_lock(&p->lock);
    lmi_local **at = &p->locals;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    pthread_mutex_unlock(&p->lock);
}

lmail_status lmi_pickup_send(lmi_pickup *p, const char *name)
{
    if (atomic_load(&p->stopping))
        return LMAIL_PENDING;
    lmi_local *l = calloc(1, sizeof *l);
    if (!l)
        return LMAIL_PENDING;
    atomic_init(&l->refs, 1);
    l->pickup = p;
    l->name = strdup(name);
    lmail_status st =
        l->name ? lmail_drop_open(&l->file, p->directory, name, 0, &l->facts) : LMAIL_ERR_NOMEM;
    if (!st && !(l->refusals = calloc(l->facts.message.recipient_count, sizeof *l->refusals)))
        st = LMAIL_ERR_NOMEM;
    if (!st) {
        find_name(l);
        show(p, l);
        st = send_it(l);
        hide(p, l);
    } else if (st == LMAIL_ERR_CORRUPT || st == LMAIL_ERR_DENIED || st == LMAIL_ERR_LIMIT) {
        st = put_aside(p, name, NULL,
                       st == LMAIL_ERR_CORRUPT ? "no drop, or a damaged one"
                       : st == LMAIL_ERR_LIMIT ? "too long"
                                               : "no plain file of one name, or not to be read");
    } else {
        st = st == LMAIL_ERR_NOTFOUND ? LMAIL_OK : LMAIL_PENDING;
    }
    lmi_local_release(l);
    return st;
}
