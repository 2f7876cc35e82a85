/* script_smtp_client.c - the scripted host's adaptor for SMTP and LMTP client sessions.
 *
 * Actions:    mail from=A to=B[,notify+notify][,TYPE;ORCPT] ... [size=N] [body=7bit|8bit|binary]
 *                 [utf8] [requiretls] [ret=full|hdrs] [envid=X] [auth=X] [text=KEY]
 *             tls verified     the handshake, with a verified peer
 *             left             a note: mails_left and queued
 * Questions:  octets MAIL OFFSET              all | take N | fail | empty | over
 *             login choose "MECHS"[ refused N CODE]
 *                                             go_on | send MECH [OCTETS, "" for none] | fail
 *             login challenge STEP "OCTETS"   respond OCTETS | cancel | fail
 *             login finished                  go_on | fail
 * Notes:      ready WHAT..., rcpt MAIL.INDEX OUTCOME CAUSE PHASE CODE ENHANCED "TEXT",
 *             done MAIL accepted deferred failed unsent unsure octets=N, end PHASE CAUSE CODE "TEXT",
 *             auth end HOW CODE, submit STATUS
 * Settings:   flags (+name -name), ignore (names), tls, helo, target_tls, target_helo, login, trace,
 *             big N (the text is N octets of lines), text and KEYs of texts, and the numbers of the
 *             config by their names.
 *
 * Each recipient must get one result, each message one end, the session one on_end: else the script
 * fails. */
#include "support/auth_script.h"

#include <libmail/smtp_client.h>

#include <stdlib.h>
#include <string.h>

extern const script_adaptor script_smtp_client;

enum { OCTETS = 1, LOGIN };
#define MAILS 64u
#define RCPTS 2048u

typedef struct lent {
    struct lent *next;
    lmail_ticket ticket;
    char data[];
} lent;

typedef struct mail {
    unsigned number;
    lmail_str text;
    uint32_t count, told;
    unsigned ended;
    unsigned char results[RCPTS];
} mail;

typedef struct host {
    lmail_smtp_client_setup *setup;
    lmail_smtp_client *s;
    mail *mails[MAILS];
    unsigned count;
    unsigned ends, exchanges;
    size_t big;
    lent *lent;
} host;

static host *of(script *h)
{
    return h->data;
}

/* ---- Octets ---------------------------------------------------------------------------------- */

typedef struct asked {
    mail *m;
    uint64_t offset;
    size_t want;
} asked;

static char big_octet(uint64_t at, uint64_t size)
{
    uint64_t column = at % 72;
    if (at + 1 == size || column == 71)
        return '\n';
    if (at + 2 == size || column == 70)
        return '\r';
    return column == 0 && at / 72 % 3 == 0 ? '.' : (char)('a' + at / 72 % 26);
}

/* Memory that the session may look at until it releases it, and not beyond its end. */
static lent *lend(script *h, lmail_ticket t, const asked *a, size_t n)
{
    host *o = of(h);
    lent *l = malloc(sizeof *l + n);
    l->ticket = t;
    for (size_t i = 0; i < n; i++)
        l->data[i] = o->big ? big_octet(a->offset + i, o->big) : a->m->text.ptr[a->offset + i];
    l->next = o->lent;
    o->lent = l;
    return l;
}

static void give_back(script *h, lmail_ticket t)
{
    for (lent **at = &of(h)->lent; *at; at = &(*at)->next)
        if ((*at)->ticket == t) {
            lent *l = *at;
            *at = l->next;
            free(l);
            return;
        }
    script_fail(h, "octets were released that are not lent");
}

static void read_octets(script *h, const char *text, const asked *a, lmail_ticket t,
                        lmail_smtp_client_octets_answer *out)
{
    const char *rest;
    size_t size = of(h)->big ? of(h)->big : a->m->text.len;
    size_t n = size - (size_t)a->offset, most = a->want;
    lmail_smtp_client_octets_answer_init(out);
    if (strcmp(text, "fail") == 0) {
        out->failed = 1;
        return;
    }
    if (strcmp(text, "empty") == 0)
        return;
    if (script_says(text, "take", &rest) && strtoul(rest, NULL, 10) < most)
        most = strtoul(rest, NULL, 10);
    if (n > most)
        n = most;
    out->end = a->offset + n == size;
    if (n)
        out->octets = (lmail_str){lend(h, t, a, n)->data, n};
}

static lmail_status on_octets(lmail_smtp_client *s, void *user, lmail_ticket t,
                              const lmail_smtp_client_octets_event *ev,
                              lmail_smtp_client_octets_answer *out)
{
    (void)s;
    int st;
    asked q = {ev->data, ev->offset, ev->want};
    const char *a = script_ask(user, t, OCTETS, "all", &st, "octets %u %llu", q.m->number,
                               (unsigned long long)ev->offset);
    if (st) {
        for (script_question *p = ((script *)user)->pending; p; p = p->next)
            if (p->ticket == t) {
                char *kept = (char *)(uintptr_t)script_octets(user, "\\*64;x").ptr;
                memcpy(kept, &q, sizeof q);
                p->data = kept;
            }
        return st;
    }
    read_octets(user, a, &q, t, out);
    return LMAIL_OK;
}

static void on_released(lmail_smtp_client *s, void *user, lmail_ticket t)
{
    (void)s;
    give_back(user, t);
}

/* ---- Login ----------------------------------------------------------------------------------- */

static void read_login(script *h, const char *text, lmail_smtp_client_auth_answer *a)
{
    const char *rest;
    lmail_smtp_client_auth_answer_init(a);
    if (script_says(text, "send", &rest)) {
        const char *blank = strchr(rest, ' ');
        a->kind = LMAIL_SMTP_AUTH_SEND;
        a->mechanism = (lmail_str){rest, blank ? (size_t)(blank - rest) : strlen(rest)};
        a->has_response = blank != NULL;
        if (blank)
            a->response = script_octets(h, strcmp(blank + 1, "\"\"") == 0 ? "" : blank + 1);
    } else if (script_says(text, "respond", &rest)) {
        a->kind = LMAIL_SMTP_AUTH_SEND;
        a->response = script_octets(h, rest);
    } else if (strcmp(text, "cancel") == 0) {
        a->kind = LMAIL_SMTP_AUTH_CANCEL;
    } else if (strcmp(text, "fail") == 0) {
        a->kind = LMAIL_SMTP_AUTH_FAIL;
    }
}

static lmail_status on_auth(lmail_smtp_client *s, void *user, lmail_ticket t,
                            const lmail_smtp_client_auth_event *ev,
                            lmail_smtp_client_auth_answer *out)
{
    (void)s;
    int st;
    const char *a;
    if (ev->finished)
        a = script_ask(user, t, LOGIN, "go_on", &st, "login finished");
    else if (ev->step)
        a = script_ask(user, t, LOGIN, "cancel", &st, "login challenge %u \"%s\"", ev->step,
                       script_text(user, ev->challenge));
    else if (ev->refused)
        a = script_ask(user, t, LOGIN, "go_on", &st, "login choose \"%s\" refused %u %u",
                       script_text(user, ev->mechanisms), ev->refused, ev->reply.code);
    else
        a = script_ask(user, t, LOGIN, "go_on", &st, "login choose \"%s\"",
                       script_text(user, ev->mechanisms));
    if (!st)
        read_login(user, a, out);
    return st;
}

static void on_auth_end(lmail_smtp_client *s, void *user, lmail_auth_end how,
                        const lmail_smtp_peer_reply *reply)
{
    static const char *const names[] = {"", "ok", "failed", "cancelled", "broken", "gone"};
    (void)s;
    script_note(user, "auth end %s %u", names[how], reply->code);
}

/* ---- Results --------------------------------------------------------------------------------- */

static const char *reply_text(script *h, const lmail_smtp_peer_reply *r)
{
    char text[8192];
    snprintf(text, sizeof text, "%u %s \"%s\"", r->code,
             r->enhanced.len ? script_text(h, r->enhanced) : "-", script_text(h, r->text));
    return script_keep(h, text);
}

static void on_ready(lmail_smtp_client *s, void *user, const lmail_smtp_capabilities *can)
{
    static const char *const hello[] = {"?", "helo", "ehlo", "lhlo"};
    static const char *const names[] = {
        "pipelining", "size",     "8bitmime", "enhanced",   "chunking", "binary", "smtputf8",
        "dsn",        "starttls", "auth",     "requiretls", "limits",   "etrn"};
    char list[512] = "";
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (can->can & 1u << i) {
            strcat(list, " ");
            strcat(list, names[i]);
        }
    script_note(user, "ready %s %s%s max=%llu auth=\"%s\" limits=%u,%u,%u", hello[can->hello],
                script_text(user, can->name), list, (unsigned long long)can->max_message,
                script_text(user, can->mechanisms), can->mail_max, can->rcpt_max,
                can->rcpt_domain_max);
    (void)s;
}

static void on_recipient(lmail_smtp_client *s, void *user, const lmail_smtp_recipient_event *ev)
{
    mail *m = ev->data;
    (void)s;
    if (ev->recipient >= m->count || m->results[ev->recipient]++ || m->ended)
        script_fail(user, "a second result for recipient %u.%u", m->number, ev->recipient);
    m->told++;
    script_note(user, "rcpt %u.%u %s %s %s %s", m->number, ev->recipient,
                lmail_smtp_outcome_name(ev->outcome), lmail_smtp_cause_name(ev->cause),
                lmail_smtp_phase_name(ev->phase), reply_text(user, &ev->reply));
}

static void on_mail_end(lmail_smtp_client *s, void *user, const lmail_smtp_mail_end_event *ev)
{
    mail *m = ev->data;
    (void)s;
    if (m->ended++ || m->told != m->count ||
        ev->accepted + ev->deferred + ev->failed + ev->unsent + ev->unsure != m->count)
        script_fail(user, "mail %u ended with %u results of %u", m->number, m->told, m->count);
    script_note(user, "done %u %u %u %u %u %u octets=%llu", m->number, ev->accepted, ev->deferred,
                ev->failed, ev->unsent, ev->unsure, (unsigned long long)ev->octets);
}

static void on_end(lmail_smtp_client *s, void *user, const lmail_smtp_client_end_event *ev)
{
    (void)s;
    of(user)->ends++;
    script_note(user, "end %s %s %s", lmail_smtp_phase_name(ev->phase),
                lmail_smtp_cause_name(ev->cause), reply_text(user, &ev->reply));
}

static void on_cancel(lmail_smtp_client *s, void *user, lmail_ticket t)
{
    (void)s;
    script_cancelled(user, t);
}

/* ---- Submitting ------------------------------------------------------------------------------ */

static unsigned notify_of(const char *text)
{
    unsigned bits = 0;
    bits |= strstr(text, "never") ? LMAIL_SMTP_NOTIFY_NEVER : 0;
    bits |= strstr(text, "success") ? LMAIL_SMTP_NOTIFY_SUCCESS : 0;
    bits |= strstr(text, "failure") ? LMAIL_SMTP_NOTIFY_FAILURE : 0;
    bits |= strstr(text, "delay") ? LMAIL_SMTP_NOTIFY_DELAY : 0;
    return bits;
}

static void read_rcpt(script *h, char *text, lmail_smtp_client_rcpt *r)
{
    char *comma = strchr(text, ',');
    memset(r, 0, sizeof *r);
    while (comma) {
        *comma = 0;
        char *part = comma + 1;
        comma = strchr(part, ',');
        if (comma)
            *comma = 0;
        char *semicolon = strchr(part, ';');
        if (semicolon) {
            *semicolon = 0;
            r->orcpt_type = lmail_str_from(script_keep(h, part));
            r->orcpt = script_octets(h, semicolon + 1);
            continue;
        }
        r->notify = notify_of(part);
    }
    r->to = script_octets(h, text);
}

static void read_word(script *h, char *w, lmail_smtp_client_mail *m, lmail_smtp_client_rcpt *to)
{
    const char *rest = strchr(w, '=') ? strchr(w, '=') + 1 : "";
    if (strncmp(w, "from=", 5) == 0)
        m->from = script_octets(h, rest);
    else if (strncmp(w, "to=", 3) == 0)
        read_rcpt(h, w + 3, &to[m->recipient_count++]);
    else if (strncmp(w, "size=", 5) == 0)
        m->octets = strtoull(rest, NULL, 10);
    else if (strncmp(w, "body=", 5) == 0)
        m->body = strcmp(rest, "binary") == 0 ? LMAIL_SMTP_BODY_BINARYMIME
                  : strcmp(rest, "8bit") == 0 ? LMAIL_SMTP_BODY_8BITMIME
                                              : LMAIL_SMTP_BODY_7BIT;
    else if (strcmp(w, "utf8") == 0)
        m->smtputf8 = 1;
    else if (strcmp(w, "requiretls") == 0)
        m->require_tls = 1;
    else if (strncmp(w, "ret=", 4) == 0)
        m->ret = strcmp(rest, "full") == 0 ? LMAIL_SMTP_RET_FULL : LMAIL_SMTP_RET_HDRS;
    else if (strncmp(w, "envid=", 6) == 0) {
        m->has_envid = 1;
        m->envid = script_octets(h, rest);
    } else if (strncmp(w, "auth=", 5) == 0) {
        m->has_auth = 1;
        m->auth = script_octets(h, rest);
    } else if (strncmp(w, "text=", 5) == 0) {
        const char *text = script_get(h, rest);
        ((mail *)m->data)->text = script_octets(h, text ? text : "");
    } else
        script_fail(h, "mail: unknown word %s", w);
}

/* "many=N" stands for N recipients u1@example.org ... */
static void add_many(script *h, const char *w, lmail_smtp_client_mail *m,
                     lmail_smtp_client_rcpt *to)
{
    unsigned long n = strtoul(w + 5, NULL, 10);
    for (unsigned long i = 1; i <= n; i++) {
        char text[64];
        snprintf(text, sizeof text, "u%lu@example.org", i);
        read_rcpt(h, text, &to[m->recipient_count++]);
    }
}

static void submit(script *h, const char *words, lmail_msec now)
{
    host *o = of(h);
    lmail_smtp_client_mail m = LMAIL_SMTP_CLIENT_MAIL_INIT;
    lmail_smtp_client_rcpt *to = calloc(RCPTS, sizeof *to);
    mail *mine = calloc(1, sizeof *mine);
    const char *usual = script_get(h, "text");
    char *copy = strdup(words), *save = NULL;
    mine->text = script_octets(h, usual ? usual : "Subject: hello\\r\\n\\r\\nbody\\r\\n");
    m.data = mine;
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        if (strncmp(w, "many=", 5) == 0)
            add_many(h, w, &m, to);
        else
            read_word(h, w, &m, to);
    m.recipients = to;
    mine->number = o->count + 1;
    mine->count = m.recipient_count;
    o->mails[o->count++] = mine;
    lmail_ticket t;
    lmail_status st = lmail_smtp_client_submit_mail(o->s, &m, &t, now);
    if (st && !t) {
        free(mine);
        o->count--;
        script_note(h, "submit %s", lmail_status_name(st));
    }
    free(to);
    free(copy);
}

static int action(script *h, const char *words, lmail_msec now)
{
    static const lmail_tls_facts verified = {.size = sizeof(lmail_tls_facts),
                                             .version = {"TLSv1.3", 7},
                                             .peer_name = {"mx.example", 10},
                                             .peer_verified = 1};
    if (strncmp(words, "mail ", 5) == 0)
        submit(h, words + 5, now);
    else if (strcmp(words, "tls verified") == 0)
        script_tls(h, &verified);
    else if (strcmp(words, "left") == 0)
        script_note(h, "left %u queued %u", lmail_smtp_client_mails_left(of(h)->s),
                    lmail_smtp_client_queued(of(h)->s));
    else
        return -1;
    return 0;
}

static lmail_status answer(script *h, const script_question *q, const char *text, lmail_msec now)
{
    lmail_smtp_client *s = of(h)->s;
    if (q->kind == LOGIN) {
        lmail_smtp_client_auth_answer a;
        read_login(h, text, &a);
        return lmail_smtp_client_answer_auth(s, q->ticket, &a, now);
    }
    lmail_smtp_client_octets_answer a;
    asked k;
    memcpy(&k, q->data, sizeof k);
    read_octets(h, text, &k, q->ticket, &a);
    lmail_status st = lmail_smtp_client_answer_octets(s, q->ticket, &a, now);
    if (a.octets.len && (st == LMAIL_ERR_STALE || st == LMAIL_ERR_ARG)) /* not taken */
        give_back(h, q->ticket);
    return st;
}

/* ---- The session ----------------------------------------------------------------------------- */

static lmail_smtp_tls_policy policy(script *h, const char *key)
{
    static const char *const names[] = {"unset", "none", "opportunistic", "required", "verified"};
    const char *v = script_get(h, key);
    for (unsigned i = 0; v && i < sizeof names / sizeof *names; i++)
        if (strcmp(v, names[i]) == 0)
            return (lmail_smtp_tls_policy)i;
    return LMAIL_SMTP_TLS_UNSET;
}

static void fill_config(script *h, lmail_smtp_client_config *c)
{
    static const script_flag names[] = {{"lmtp", LMAIL_SMTP_CLIENT_LMTP},
                                        {"no_helo", LMAIL_SMTP_CLIENT_NO_HELO},
                                        {"refuse_bare", LMAIL_SMTP_CLIENT_REFUSE_BARE},
                                        {"auth_after_login", LMAIL_SMTP_CLIENT_AUTH_AFTER_LOGIN},
                                        {"trace_secrets", LMAIL_SMTP_CLIENT_TRACE_SECRETS},
                                        {NULL, 0}};
    uint64_t on, off;
    script_flags(h, names, &on, &off);
    const char *helo = script_get(h, "helo"), *ignore = script_get(h, "ignore");
    c->flags = (uint32_t)on;
    c->helo_name = lmail_str_from(helo ? helo : "c.example");
    c->tls = policy(h, "tls");
    if (ignore && strstr(ignore, "pipelining"))
        c->ignore |= LMAIL_SMTP_CAN_PIPELINING;
    if (ignore && strstr(ignore, "chunking"))
        c->ignore |= LMAIL_SMTP_CAN_CHUNKING;
    if (ignore && strstr(ignore, "auth"))
        c->ignore |= LMAIL_SMTP_CAN_AUTH;
#define NUMBER(name) c->name = (uint32_t)script_get_number(h, #name, 0)
    NUMBER(greeting_timeout);
    NUMBER(data_block_timeout);
    NUMBER(data_end_timeout);
    NUMBER(max_reply_line);
    NUMBER(max_reply_lines);
    NUMBER(max_reply_text);
    NUMBER(max_queued);
    NUMBER(max_logins);
    NUMBER(out_mark);
    NUMBER(max_want);
#undef NUMBER
}

static lmail_session *open_session(script *h, const lmail_alloc *alloc, lmail_msec now)
{
    host *o = calloc(1, sizeof *o);
    lmail_smtp_client_config c;
    lmail_smtp_client_handler on;
    lmail_smtp_client_target to;
    h->data = o;
    o->big = (size_t)script_get_number(h, "big", 0);
    lmail_smtp_client_config_init(&c);
    fill_config(h, &c);
    if (alloc)
        c.alloc = *alloc;
    lmail_smtp_client_handler_init(&on);
    on.on_ready = on_ready;
    if (script_get_number(h, "login", 0))
        on.on_auth = on_auth;
    on.on_auth_end = on_auth_end;
    on.on_octets = on_octets;
    on.on_released = on_released;
    on.on_recipient = on_recipient;
    on.on_mail_end = on_mail_end;
    on.on_end = on_end;
    on.on_cancel = on_cancel;
    on.on_trace = script_get_number(h, "trace", 0) ? script_trace : NULL;
    lmail_smtp_client_target_init(&to);
    to.tls = policy(h, "target_tls");
    to.helo_name = lmail_str_from(script_get(h, "target_helo"));
    lmail_status st = lmail_smtp_client_setup_new(&o->setup, &c, &on);
    if (st && st != LMAIL_ERR_NOMEM)
        script_fail(h, "setup: %s", lmail_status_name(st));
    if (st || lmail_smtp_client_new(&o->s, o->setup, &to, h, now))
        return NULL;
    return lmail_smtp_client_session(o->s);
}

static void close_session(script *h)
{
    host *o = of(h);
    if (!o)
        return;
    if (o->lent)
        script_fail(h, "octets were lent and never released");
    while (o->lent)
        give_back(h, o->lent->ticket);
    if (o->s && o->ends != 1)
        script_fail(h, "on_end came %u times", o->ends);
    for (unsigned i = 0; i < o->count; i++) {
        if (!o->mails[i]->ended || o->mails[i]->told != o->mails[i]->count)
            script_fail(h, "mail %u got %u results of %u", i + 1, o->mails[i]->told,
                        o->mails[i]->count);
        free(o->mails[i]);
    }
    lmail_smtp_client_setup_free(o->setup);
    free(o);
}

const script_adaptor script_smtp_client = {"smtp_client", open_session, close_session, answer,
                                           action};
