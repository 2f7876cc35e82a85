/* service_pickup_ask.c - questions of programs here, through a socket in the drop directory: what the
 * queue holds, a queue run, where an address leads.
 *
 * Who asks is what the system says of the socket's peer; smtp.privacy says who may. A question is one
 * line, the answer comes as text and ends with the connection:
 *
 *     list                      "ok COUNT", then a line a message and a recipient, fields behind tabs:
 *                               "M ID OCTETS ARRIVED HELD SENDER REASON", "R ADDRESS REPLY"
 *     run KIND TEXT             KIND all, id, sender, recipient: TEXT is looked for; "ok COUNT"
 *     expand ADDRESS            "ok", then a line for each place; or "no TEXT"
 *
 * Otherwise "denied", "bad" or "failed TEXT". Called by service_pickup.c; a question is answered on a worker,
 * which a slow asker holds for some seconds at most. */
#include "host/service/service_pickup.h"
#include "host/service/service_smtp.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define MOST 16u     /* askers at a time */
#define PATIENCE 10u /* seconds for one */

struct lmi_asking {
    lmi_pickup *pickup;
    lmail_pool *pool;
    int fd;
    uv_poll_t poll;
    unsigned polls, askers;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

typedef struct asker {
    struct lmi_asking *asking;
    lmi_rules *rules;
    int fd;
    uid_t uid;
    time_t until;
    unsigned failed;
    size_t used;
    char room[16384];
} asker;

/* ---- Octets ---------------------------------------------------------------------------------- */

static void put_out(asker *a)
{
    for (size_t at = 0; at < a->used && !a->failed;) {
        ssize_t n = send(a->fd, a->room + at, a->used - at, MSG_NOSIGNAL);
        if (n > 0)
            at += (size_t)n;
        else if (n < 0 && errno == EINTR)
            continue;
        else
            a->failed = 1;
        a->failed |= time(NULL) > a->until;
    }
    a->used = 0;
}

/* Control octets could be taken for what stands between fields. */
static void put(asker *a, lmail_str text)
{
    for (size_t i = 0; i < text.len && !a->failed; i++) {
        if (a->used == sizeof a->room)
            put_out(a);
        unsigned char c = (unsigned char)text.ptr[i];
        a->room[a->used++] = c < ' ' || c == 127 ? '?' : (char)c;
    }
}

static void put_mark(asker *a, char mark)
{
    if (a->used == sizeof a->room)
        put_out(a);
    a->room[a->used++] = mark;
}

static void put_field(asker *a, lmail_str text)
{
    put_mark(a, '\t');
    put(a, text);
}

static void put_number(asker *a, const char *word, uint64_t n)
{
    char text[64];
    snprintf(text, sizeof text, "%s%llu", word, (unsigned long long)n);
    put(a, lmail_str_from(text));
}

static void put_line(asker *a, const char *word, lmail_str text)
{
    put(a, lmail_str_from(word));
    put(a, text);
    put_mark(a, '\n');
}

static void put_place(asker *a, const char *kind, lmail_str text)
{
    put(a, lmail_str_from(kind));
    put_field(a, text);
    put_mark(a, '\n');
}

/* ---- Who may --------------------------------------------------------------------------------- */

static int may(const asker *a, unsigned restriction)
{
    return a->uid == 0 || a->uid == geteuid() || !(a->rules->settings->smtp.privacy & restriction);
}

/* ---- list ------------------------------------------------------------------------------------ */

static int put_message(void *user, const lmail_queue_message *m)
{
    asker *a = user;
    char id[LMAIL_QUEUE_ID_TEXT];
    lmail_queue_id_write(m->id, id);
    put(a, LMAIL_STR("M"));
    put_field(a, lmail_str_from(id));
    put_mark(a, '\t');
    put_number(a, "", m->octets);
    put_mark(a, '\t');
    put_number(a, "", (uint64_t)(m->arrived / 1000));
    put_mark(a, '\t');
    put_number(a, "", m->held);
    put_field(a, m->sender);
    put_field(a, m->reason);
    put_mark(a, '\n');
    for (size_t i = 0; i < m->recipient_count; i++) {
        const lmail_queue_recipient *r = &m->recipients[i];
        if (r->state != LMAIL_QUEUE_WAITING)
            continue;
        put(a, LMAIL_STR("R"));
        put_field(a, r->address);
        put_field(a, r->attempts ? r->reply : (lmail_str){NULL, 0});
        put_mark(a, '\n');
    }
    return a->failed != 0;
}

static lmail_status list(asker *a)
{
    lmail_queue *q = a->asking->pickup->service->queue;
    lmail_queue_counts counts;
    uint64_t next = 0;
    lmail_status st = lmail_queue_count(q, &counts);
    if (st)
        return st;
    put_number(a, "ok ", counts.messages);
    put_mark(a, '\n');
    do
        st = lmail_queue_list(q, NULL, next, 0, put_message, a, &next);
    while (!st && next && !a->failed);
    return LMAIL_OK; /* what was said stands */
}

/* ---- run ------------------------------------------------------------------------------------- */

typedef struct running {
    lmail_queue *queue;
    lmail_str id; /* a part of it; empty: all */
    size_t count;
} running;

static int run_one(void *user, const lmail_queue_message *m)
{
    running *r = user;
    char id[LMAIL_QUEUE_ID_TEXT], want[LMAIL_QUEUE_ID_TEXT];
    size_t changed;
    lmail_queue_id_write(m->id, id);
    snprintf(want, sizeof want, "%.*s", TEXT(r->id));
    if (r->id.len < sizeof want && strstr(id, want) &&
        !lmail_queue_retry(r->queue, m->id, &changed))
        r->count += changed;
    return 0;
}

static lmail_status run(asker *a, lmail_str kind, lmail_str text)
{
    running r = {a->asking->pickup->service->queue, {NULL, 0}, 0};
    lmail_queue_filter f = LMAIL_QUEUE_FILTER_INIT;
    char pattern[600];
    uint64_t next = 0;
    lmail_status st = LMAIL_OK;
    snprintf(pattern, sizeof pattern, "*%.*s*", TEXT(text));
    if (lmail_str_equal(kind, LMAIL_STR("sender")))
        f.sender = lmail_str_from(pattern);
    else if (lmail_str_equal(kind, LMAIL_STR("recipient")))
        f.recipient = lmail_str_from(pattern);
    else if (lmail_str_equal(kind, LMAIL_STR("id")))
        r.id = text;
    else if (lmail_str_equal(kind, LMAIL_STR("all")))
        st = lmail_queue_retry_all(r.queue, &r.count);
    else
        return LMAIL_ERR_SYNTAX;
    if (!lmail_str_equal(kind, LMAIL_STR("all")))
        do
            st = lmail_queue_list(r.queue, &f, next, 0, run_one, &r, &next);
        while (!st && next);
    if (st)
        return st;
    put_number(a, "ok ", r.count);
    put_mark(a, '\n');
    return LMAIL_OK;
}

/* ---- expand ---------------------------------------------------------------------------------- */

static void put_user(asker *a, lmail_str local, lmail_str domain)
{
    char name[LMI_ACCOUNT_NAME];
    lmail_status st = lmi_find_user(a->rules, lmail_accounts_find, local, domain, name);
    if (st == LMAIL_ERR_NOTFOUND)
        put_place(a, "unknown", local);
    else if (st)
        put_place(a, "failed", local);
    else
        put_place(a, "mailbox", lmail_str_from(name));
}

static void put_destination(asker *a, const lmail_policy_destination *d, lmail_str domain)
{
    char route[1024];
    if (d->kind == LMAIL_POLICY_TO_USER) {
        put_user(a, d->user, domain);
    } else if (d->kind == LMAIL_POLICY_TO_NOBODY) {
        put_place(a, "unknown", d->text);
    } else {
        lmi_route_write(d, route, sizeof route);
        put(a, LMAIL_STR("host"));
        put_field(a, d->address);
        put_field(a, lmail_str_from(route));
        put_mark(a, '\n');
    }
}

static lmail_status expand(asker *a, lmail_str address)
{
    lmail_policy_peer peer;
    lmail_policy_question q;
    lmail_policy_verdict *v = calloc(1, sizeof *v);
    const lmail_policy_routes *routes = NULL;
    if (!v)
        return LMAIL_ERR_NOMEM;
    lmail_policy_peer_init(&peer); /* this machine */
    lmail_policy_question_init(&q);
    q.peer = &peer;
    q.recipient = address;
    q.sender_domain = LMAIL_POLICY_YES;
    q.recipient_mx = LMAIL_POLICY_NO;
    q.tables = a->rules->tables;
    lmail_status st = lmail_policy_rcpt(a->rules->policy, &q, v);
    if (!st && v->kind == LMAIL_POLICY_DENY) {
        put_line(a, "no ", v->text);
        free(v);
        return LMAIL_OK;
    }
    if (!st)
        st = lmi_find_routes(a->rules, v->local_part, v->domain, &routes);
    if (!st)
        put_line(a, "ok", (lmail_str){NULL, 0});
    for (size_t i = 0; !st && routes && i < routes->count; i++)
        put_destination(a, &routes->items[i], v->domain);
    if (!st && !routes && v->local)
        put_user(a, v->local_part, v->domain);
    else if (!st && !routes)
        put_place(a, "host", address);
    lmail_policy_routes_free(routes);
    free(v);
    return st;
}

/* ---- One question ---------------------------------------------------------------------------- */

static lmail_str word(lmail_str *line)
{
    lmail_str w = {line->ptr, 0};
    while (w.len < line->len && w.ptr[w.len] != ' ')
        w.len++;
    size_t skip = w.len + (w.len < line->len);
    line->ptr += skip;
    line->len -= skip;
    return w;
}

static void answer(asker *a, lmail_str line)
{
    lmail_str verb = word(&line);
    lmail_status st = LMAIL_OK;
    int known = 1, allowed = 1;
    if (lmail_str_equal(verb, LMAIL_STR("list"))) {
        if ((allowed = may(a, LMAIL_PRIVACY_RESTRICT_MAILQ)))
            st = list(a);
    } else if (lmail_str_equal(verb, LMAIL_STR("run"))) {
        lmail_str kind = word(&line);
        if ((allowed = may(a, LMAIL_PRIVACY_RESTRICT_QRUN)))
            st = run(a, kind, line);
    } else if (lmail_str_equal(verb, LMAIL_STR("expand"))) {
        if ((allowed = may(a, LMAIL_PRIVACY_RESTRICT_EXPAND)))
            st = expand(a, line);
    } else {
        known = 0;
    }
    if (!allowed)
        put_line(a, "denied", (lmail_str){NULL, 0});
    else if (!known || st == LMAIL_ERR_SYNTAX)
        put_line(a, "bad", (lmail_str){NULL, 0});
    else if (st)
        put_line(a, "failed ", lmail_str_from(lmail_status_text(st)));
    put_out(a);
}

static void work(void *arg)
{
    asker *a = arg;
    char line[1100];
    size_t have = 0;
    const char *end = NULL;
    a->until = time(NULL) + PATIENCE;
    while (!end && have < sizeof line && time(NULL) <= a->until) {
        ssize_t n = recv(a->fd, line + have, sizeof line - have, 0);
        if (n <= 0)
            return;
        have += (size_t)n;
        end = memchr(line, '\n', have);
    }
    if (end)
        answer(a, (lmail_str){line, (size_t)(end - line)});
}

static void answered(void *arg)
{
    asker *a = arg;
    close(a->fd);
    a->asking->askers--;
    lmi_rules_release(a->rules);
    free(a);
}

static void knocked(uv_poll_t *handle, int status, int events)
{
    struct lmi_asking *s = handle->data;
    const struct timeval patience = {PATIENCE / 2, 0};
    struct ucred who;
    socklen_t len = sizeof who;
    (void)events;
    int fd = status ? -1 : accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    asker *a = s->askers < MOST ? malloc(sizeof *a) : NULL;
    if (!a || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0) {
        free(a);
        close(fd);
        return;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    a->asking = s;
    a->rules = lmi_rules_hold(s->pickup->service->rules);
    a->fd = fd;
    a->uid = who.uid;
    a->failed = 0;
    a->used = 0;
    s->askers++;
    if (lmail_pool_submit(s->pool, s->pickup->loop, work, answered, a, 0))
        answered(a);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static int make_socket(struct lmi_asking *s)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, s->path, sizeof s->path);
    unlink(s->path); /* of the one before us */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    /* Who may come into the directory may ask; the directory is its owner's and its group's. */
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) == 0 && chmod(s->path, 0666) == 0 &&
        listen(fd, 64) == 0)
        return fd;
    close(fd);
    return -1;
}

/* One that cannot be had is missed by mailq alone. */
lmail_status lmi_asking_new(lmi_pickup *p)
{
    struct lmi_asking *s = calloc(1, sizeof *s);
    lmail_pool_config c = LMAIL_POOL_CONFIG_INIT;
    if (!s)
        return LMAIL_ERR_NOMEM;
    p->asking = s;
    s->pickup = p;
    s->fd = -1;
    c.name = "ask";
    c.threads = 2;
    lmail_status st = lmail_pool_new(&s->pool, p->service->net, &c);
    if (st)
        return st;
    int n = snprintf(s->path, sizeof s->path, "%s/control", p->directory);
    s->fd = n > 0 && (size_t)n < sizeof s->path ? make_socket(s) : -1;
    if (s->fd < 0 || uv_poll_init(lmail_loop_uv(p->loop), &s->poll, s->fd)) {
        lmail_log_line l;
        lmail_log_begin(&l, p->service->log, LMAIL_LOG_WARN, "no_control_socket");
        lmail_log_text(&l, "directory", lmail_str_from(p->directory));
        lmail_log_text(&l, "reason",
                       lmail_str_from(s->fd < 0 && (size_t)n >= sizeof s->path ? "path too long"
                                                                               : strerror(errno)));
        lmail_log_end(&l);
        s->path[0] = '\0';
        return LMAIL_OK;
    }
    s->poll.data = s;
    s->polls = 1;
    uv_poll_start(&s->poll, UV_READABLE, knocked);
    uv_unref((uv_handle_t *)&s->poll);
    return LMAIL_OK;
}

void lmi_asking_stop(lmi_pickup *p)
{
    struct lmi_asking *s = p->asking;
    if (!s)
        return;
    if (s->polls)
        uv_close((uv_handle_t *)&s->poll, NULL);
    s->polls = 0;
    if (s->path[0])
        unlink(s->path);
}

void lmi_asking_free(lmi_pickup *p)
{
    struct lmi_asking *s = p->asking;
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}
