/* script_pop3.c - the scripted host of the POP3 server (tests/support/script.h).
 *
 * Settings
 *   flags +a -b         LMAIL_POP3_A on, LMAIL_POP3_B off (script.h)
 *   trace               the log gets trace events
 *   host, implementation, login_delay, expire (never, days), differs (login_delay and expire)
 *   max_line, max_auth_line, max_bad_commands, max_auth_failures, max_messages, out_mark, max_want,
 *   idle_timeout, login_timeout
 *   msgs N              so many messages; msgK (escaped) is number K, uidK its unique-id
 *   big N               each message is N octets of lines instead
 *   mechs, mechs_tls    support/auth_script.h; none: no AUTH
 *   apop                random octets are there, and on_apop
 *   without login,uidl,update,connect
 *   text_NAME           a text of the first language
 *   langK tag|name      language K, from 2; langK_NAME a text of it
 * Questions and answers
 *   connect tls=0                     ok [greeting] | cleartext | fail NAME [text]
 *   login, auth                       support/auth_script.h
 *   apop USER TIMESTAMP DIGEST        as login                          (right)
 *   maildrop NAME FIRST MAX           ok | more N | fail NAME [text] | odd
 *   uidl FIRST COUNT                  ok | take N | fail NAME [text] | odd
 *   octets N retr|top OFFSET WANT     ok | take N | end N | fail NAME [text] | odd
 *   update 1,3:4                      ok [text] | fail NAME [text] */
#include "support/auth_script.h"

#include <libmail/pop3.h>

#include <stdlib.h>
#include <string.h>

extern const script_adaptor script_pop3;

enum { CONNECT, AUTH, MAILDROP, UIDL, OCTETS, UPDATE };
#define MESSAGES_MAX 2000000u

typedef struct lent {
    struct lent *next;
    lmail_ticket ticket;
    char data[];
} lent;

typedef struct host {
    lmail_pop3_server_setup *setup;
    lmail_pop3_server *session;
    uint32_t count;
    size_t big;
    lent *lent;    /* answered octets that were not released */
    void *scratch; /* what the last answer points to */
} host;

/* What a late answer needs of its question. */
typedef struct asked {
    uint32_t first, max;
    uint64_t offset;
    size_t want;
} asked;

static host *of(script *h)
{
    return h->data;
}

static void remember(script *h, lmail_ticket t, asked a)
{
    for (script_question *q = h->pending; q; q = q->next)
        if (q->ticket == t) {
            char *kept = (char *)(uintptr_t)script_octets(h, "\\*64;x").ptr;
            memcpy(kept, &a, sizeof a);
            q->data = kept;
        }
}

static asked recall(const script_question *q)
{
    asked a = {0, 0, 0, 0};
    if (q->data)
        memcpy(&a, q->data, sizeof a);
    return a;
}

static void *scratch(script *h, size_t size)
{
    free(of(h)->scratch);
    of(h)->scratch = malloc(size ? size : 1);
    return of(h)->scratch;
}

/* ---- Messages -------------------------------------------------------------------------------- */

static lmail_str message(script *h, uint32_t number)
{
    char key[32];
    snprintf(key, sizeof key, "msg%u", number);
    const char *text = number < 100 ? script_get(h, key) : NULL;
    if (text)
        return script_octets(h, text);
    snprintf(key, sizeof key, "Subject: %u\\r\\n\\r\\nbody\\r\\n", number);
    return script_octets(h, key);
}

static uint64_t message_size(script *h, uint32_t number)
{
    return of(h)->big ? of(h)->big : message(h, number).len;
}

/* Octet `at` of a big message: lines of 70 with a leading dot now and then. */
static char big_octet(uint64_t at, uint64_t size)
{
    uint64_t column = at % 72;
    if (at + 1 == size || column == 71)
        return '\n';
    if (at + 2 == size || column == 70)
        return '\r';
    return column == 0 && at / 72 % 3 == 0 ? '.' : (char)('a' + at / 72 % 26);
}

static size_t message_octets(script *h, const asked *a, char *out)
{
    uint64_t size = message_size(h, a->first);
    size_t n = size - a->offset < a->want ? (size_t)(size - a->offset) : a->want;
    if (of(h)->big) {
        for (size_t i = 0; i < n; i++)
            out[i] = big_octet(a->offset + i, size);
    } else if (n) {
        memcpy(out, message(h, a->first).ptr + a->offset, n);
    }
    return n;
}

/* ---- Reading answers ------------------------------------------------------------------------- */

static lmail_pop3_failure failure_of(const char **rest)
{
    static const struct {
        const char *name;
        lmail_pop3_failure value;
    } names[] = {{"temporary", LMAIL_POP3_TEMPORARY},
                 {"permanent", LMAIL_POP3_PERMANENT},
                 {"denied", LMAIL_POP3_DENIED},
                 {"in-use", LMAIL_POP3_IN_USE},
                 {"too-soon", LMAIL_POP3_TOO_SOON},
                 {"utf8", LMAIL_POP3_NEEDS_UTF8},
                 {"gone", LMAIL_POP3_GONE}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (script_says(*rest, names[i].name, rest))
            return names[i].value;
    return (lmail_pop3_failure)99;
}

/* "fail NAME [text]" into a failure and a text: 1, or 0 when it is something else. */
static int fails(script *h, const char *answer, lmail_pop3_failure *failure, lmail_str *text)
{
    const char *rest;
    if (!script_says(answer, "fail", &rest))
        return 0;
    *failure = failure_of(&rest);
    *text = script_octets(h, rest);
    return 1;
}

static void read_connect(script *h, const char *answer, lmail_pop3_connect_answer *a)
{
    const char *rest;
    memset(a, 0, sizeof *a);
    a->size = sizeof *a;
    if (fails(h, answer, &a->failure, &a->text))
        return;
    if (script_says(answer, "ok", &rest))
        a->text = script_octets(h, rest);
    a->flags_on = script_says(answer, "cleartext", &rest) ? LMAIL_POP3_CLEARTEXT : 0;
}

static void read_maildrop(script *h, const char *answer, const asked *q,
                          lmail_pop3_maildrop_answer *a)
{
    const char *rest;
    memset(a, 0, sizeof *a);
    a->size = sizeof *a;
    if (fails(h, answer, &a->failure, &a->text))
        return;
    uint32_t left = of(h)->count - (q->first - 1);
    uint32_t n = left < q->max ? left : q->max;
    if (script_says(answer, "more", &rest) && strtoul(rest, NULL, 10) < n)
        n = (uint32_t)strtoul(rest, NULL, 10);
    uint64_t *sizes = scratch(h, n * sizeof *sizes);
    for (uint32_t i = 0; i < n; i++)
        sizes[i] = message_size(h, q->first + i);
    a->sizes = sizes;
    a->count = n;
    a->more = n < left;
    if (script_says(answer, "odd", &rest))
        a->count = q->max + 1;
    a->login_delay = 7;
    a->expire = LMAIL_POP3_EXPIRE_DAYS;
    a->expire_days = 3;
}

static void read_uidl(script *h, const char *answer, const asked *q, lmail_pop3_uidl_answer *a)
{
    const char *rest;
    memset(a, 0, sizeof *a);
    a->size = sizeof *a;
    if (fails(h, answer, &a->failure, &a->text))
        return;
    a->count = q->max;
    if (script_says(answer, "take", &rest))
        a->count = (uint32_t)strtoul(rest, NULL, 10);
    lmail_str *ids = scratch(h, (a->count + 1) * sizeof *ids);
    for (uint32_t i = 0; i < a->count; i++) {
        char key[32];
        snprintf(key, sizeof key, "uid%u", q->first + i);
        const char *id = q->first + i < 100 ? script_get(h, key) : NULL;
        snprintf(key, sizeof key, "u.%u", q->first + i);
        ids[i] = script_octets(h, id ? id : key);
    }
    if (script_says(answer, "odd", &rest))
        ids[0] = LMAIL_STR("not an id");
    a->ids = ids;
}

static lent *read_octets(script *h, const char *answer, asked q, lmail_ticket t,
                         lmail_pop3_octets_answer *a)
{
    const char *rest;
    memset(a, 0, sizeof *a);
    a->size = sizeof *a;
    if (fails(h, answer, &a->failure, &a->text))
        return NULL;
    a->end = script_says(answer, "end", &rest) ? 1 : 0;
    if (a->end || script_says(answer, "take", &rest)) {
        size_t n = strtoul(rest, NULL, 10);
        q.want = n < q.want ? n : q.want;
    }
    lent *l = malloc(sizeof *l + q.want);
    l->ticket = t;
    a->octets = (lmail_str){l->data, message_octets(h, &q, l->data)};
    if (script_says(answer, "odd", &rest))
        a->octets.len = q.want + 1;
    if (a->octets.len == 0) {
        free(l);
        a->octets.ptr = NULL;
        return NULL;
    }
    l->next = of(h)->lent;
    of(h)->lent = l;
    return l;
}

static void read_update(script *h, const char *answer, lmail_pop3_update_answer *a)
{
    const char *rest;
    memset(a, 0, sizeof *a);
    a->size = sizeof *a;
    if (!fails(h, answer, &a->failure, &a->text) && script_says(answer, "ok", &rest))
        a->text = script_octets(h, rest);
}

/* ---- Callbacks ------------------------------------------------------------------------------- */

static lmail_status on_connect(lmail_pop3_server *s, void *user, lmail_ticket t,
                               const lmail_pop3_connect_event *ev, lmail_pop3_connect_answer *out)
{
    (void)s;
    int st;
    const char *a = script_ask(user, t, CONNECT, "ok", &st, "connect tls=%u", ev->tls);
    if (!st)
        read_connect(user, a, out);
    return st;
}

static lmail_str auth_mechanisms(const lmail_pop3_server *s, void *user)
{
    return auth_script_mechanisms(user, lmail_pop3_server_tls(s) != NULL);
}

static lmail_status on_auth(lmail_pop3_server *s, void *user, lmail_ticket t,
                            const lmail_auth_event *ev, lmail_auth_answer *out)
{
    (void)s;
    return auth_script_step(user, t, AUTH, ev, out);
}

static void on_auth_end(lmail_pop3_server *s, void *user, const lmail_auth_end_event *ev)
{
    (void)s;
    auth_script_end(user, ev->how);
}

static lmail_status on_login(lmail_pop3_server *s, void *user, lmail_ticket t,
                             const lmail_pop3_login_event *ev, lmail_auth_answer *out)
{
    (void)s;
    return auth_script_login(user, t, AUTH, ev->user, ev->password, out);
}

static lmail_status on_apop(lmail_pop3_server *s, void *user, lmail_ticket t,
                            const lmail_pop3_apop_event *ev, lmail_auth_answer *out)
{
    (void)s;
    int st;
    char hex[33];
    char usual[64];
    const char *name = script_text(user, ev->user);
    for (size_t i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", ev->digest[i]);
    snprintf(usual, sizeof usual, "ok %.50s", name);
    const char *a = script_ask(user, t, AUTH, script_keep(user, usual), &st, "apop %s %s %s", name,
                               script_text(user, ev->timestamp), hex);
    if (!st)
        auth_script_read(user, a, out);
    return st;
}

static lmail_status on_maildrop(lmail_pop3_server *s, void *user, lmail_ticket t,
                                const lmail_pop3_maildrop_event *ev,
                                lmail_pop3_maildrop_answer *out)
{
    int st;
    asked q = {ev->first, ev->max, 0, 0};
    if (!lmail_str_equal(ev->identity, lmail_pop3_server_identity(s)))
        script_fail(user, "the maildrop of another identity");
    const char *a = script_ask(user, t, MAILDROP, "ok", &st, "maildrop %s %u %u",
                               script_text(user, ev->identity), ev->first, ev->max);
    if (st) {
        remember(user, t, q);
        return st;
    }
    read_maildrop(user, a, &q, out);
    return LMAIL_OK;
}

static lmail_status on_uidl(lmail_pop3_server *s, void *user, lmail_ticket t,
                            const lmail_pop3_uidl_event *ev, lmail_pop3_uidl_answer *out)
{
    (void)s;
    int st;
    asked q = {ev->first, ev->count, 0, 0};
    const char *a = script_ask(user, t, UIDL, "ok", &st, "uidl %u %u", ev->first, ev->count);
    if (st)
        remember(user, t, q);
    else
        read_uidl(user, a, &q, out);
    return st;
}

static lmail_status on_octets(lmail_pop3_server *s, void *user, lmail_ticket t,
                              const lmail_pop3_octets_event *ev, lmail_pop3_octets_answer *out)
{
    (void)s;
    int st;
    asked q = {ev->number, 0, ev->offset, ev->want};
    const char *a = script_ask(user, t, OCTETS, "ok", &st, "octets %u %s%s %llu %zu", ev->number,
                               ev->top ? "top" : "retr", ev->utf8 ? " utf8" : "",
                               (unsigned long long)ev->offset, ev->want);
    if (st)
        remember(user, t, q);
    else
        read_octets(user, a, q, t, out);
    return st;
}

/* What the session still points to is given back; a wrong or second release is a fault. */
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

static void on_released(lmail_pop3_server *s, void *user, lmail_ticket t)
{
    (void)s;
    give_back(user, t);
}

static lmail_status on_update(lmail_pop3_server *s, void *user, lmail_ticket t,
                              const lmail_pop3_update_event *ev, lmail_pop3_update_answer *out)
{
    (void)s;
    int st;
    char list[400] = "none";
    size_t n = 0;
    for (size_t i = 0; i < ev->range_count && n < sizeof list - 30; i++)
        n += (size_t)snprintf(list + n, sizeof list - n,
                              ev->deleted[i].first == ev->deleted[i].last ? "%s%u" : "%s%u:%u",
                              i ? "," : "", ev->deleted[i].first, ev->deleted[i].last);
    const char *a =
        script_ask(user, t, UPDATE, "ok", &st, "update %s (%u)", list, ev->message_count);
    if (!st)
        read_update(user, a, out);
    return st;
}

static void on_cancel(lmail_pop3_server *s, void *user, lmail_ticket t)
{
    (void)s;
    script_cancelled(user, t);
}

/* ---- The world ------------------------------------------------------------------------------- */

static lmail_status env_random(void *ctx, void *out, size_t n)
{
    (void)ctx;
    memset(out, 0x2f, n);
    return LMAIL_OK;
}

static int64_t env_clock(void *ctx, int *offset_minutes)
{
    (void)ctx;
    *offset_minutes = 0;
    return 697170952; /* RFC 1939 §7's */
}

static const script_flag flag_names[] = {{"top", LMAIL_POP3_TOP},
                                         {"uidl", LMAIL_POP3_UIDL},
                                         {"utf8", LMAIL_POP3_UTF8},
                                         {"lang", LMAIL_POP3_LANG},
                                         {"stls", LMAIL_POP3_STLS},
                                         {"cleartext", LMAIL_POP3_CLEARTEXT},
                                         {"utf8_user", LMAIL_POP3_UTF8_USER},
                                         {"delete_read", LMAIL_POP3_DELETE_READ},
                                         {"auth_list", LMAIL_POP3_AUTH_LIST},
                                         {"trace_secrets", LMAIL_POP3_TRACE_SECRETS},
                                         {NULL, 0}};

static void set_flags(script *h, lmail_pop3_server_config *c)
{
    uint64_t on, off;
    script_flags(h, flag_names, &on, &off);
    c->flags_on = (uint32_t)on;
    c->flags_off = (uint32_t)off;
}

static int without(script *h, const char *what)
{
    const char *list = script_get(h, "without");
    return list && strstr(list, what) != NULL;
}

#define LANGUAGES 4u

static void texts_of(script *h, const char *prefix, lmail_str texts[LMAIL_POP3_TEXT_COUNT])
{
    for (unsigned i = 0; i < LMAIL_POP3_TEXT_COUNT; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s_%s", prefix, lmail_pop3_text_name((lmail_pop3_text)i));
        const char *text = script_get(h, key);
        texts[i] = text ? script_octets(h, text) : (lmail_str){NULL, 0};
    }
}

static size_t languages_of(script *h, lmail_pop3_language *l,
                           lmail_str texts[LANGUAGES][LMAIL_POP3_TEXT_COUNT])
{
    size_t n = 1;
    texts_of(h, "text", texts[0]);
    l[0] = (lmail_pop3_language){LMAIL_STR("en"), LMAIL_STR("English"), texts[0],
                                 LMAIL_POP3_TEXT_COUNT};
    for (; n < LANGUAGES; n++) {
        char key[32];
        snprintf(key, sizeof key, "lang%zu", n + 1);
        const char *v = script_get(h, key);
        if (!v)
            break;
        size_t bar = strcspn(v, "|");
        texts_of(h, key, texts[n]);
        l[n] = (lmail_pop3_language){
            {v, bar}, script_octets(h, v[bar] ? v + bar + 1 : ""), texts[n], LMAIL_POP3_TEXT_COUNT};
    }
    return n;
}

static void fill_config(script *h, lmail_pop3_server_config *c)
{
    const char *expire = script_get(h, "expire");
    set_flags(h, c);
    c->host_name = lmail_str_from(script_get(h, "host"));
    c->implementation = lmail_str_from(script_get(h, "implementation"));
    c->login_delay = (uint32_t)script_get_number(h, "login_delay", 0);
    c->login_delay_differs = c->expire_differs = (unsigned)script_get_number(h, "differs", 0);
    if (expire) {
        int never = strcmp(expire, "never") == 0;
        c->expire = never ? LMAIL_POP3_EXPIRE_NEVER : LMAIL_POP3_EXPIRE_DAYS;
        c->expire_days = never ? 0 : (uint32_t)script_get_number(h, "expire", 0);
    }
    c->max_line = (size_t)script_get_number(h, "max_line", 0);
    c->max_auth_line = (size_t)script_get_number(h, "max_auth_line", 0);
    c->max_bad_commands = (uint32_t)script_get_number(h, "max_bad_commands", 0);
    c->max_auth_failures = (uint32_t)script_get_number(h, "max_auth_failures", 0);
    c->max_messages = (uint32_t)script_get_number(h, "max_messages", 0);
    c->out_mark = (size_t)script_get_number(h, "out_mark", 0);
    c->max_want = (size_t)script_get_number(h, "max_want", 0);
    c->idle_timeout = script_get_number(h, "idle_timeout", 0);
    c->login_timeout = script_get_number(h, "login_timeout", 0);
}

static void fill_handler(script *h, lmail_pop3_server_handler *on)
{
    on->on_connect = without(h, "connect") ? NULL : on_connect;
    if (auth_script_offered(h)) {
        on->auth_mechanisms = auth_mechanisms;
        on->on_auth = on_auth;
        on->on_auth_end = on_auth_end;
    }
    on->on_login = without(h, "login") ? NULL : on_login;
    on->on_apop = script_get_number(h, "apop", 0) ? on_apop : NULL;
    on->on_maildrop = on_maildrop;
    on->on_uidl = without(h, "uidl") ? NULL : on_uidl;
    on->on_octets = on_octets;
    on->on_released = on_released;
    on->on_update = without(h, "update") ? NULL : on_update;
    on->on_cancel = on_cancel;
    on->on_trace = script_get_number(h, "trace", 0) ? script_trace : NULL;
}

static lmail_session *open_session(script *h, const lmail_alloc *alloc, lmail_msec now)
{
    static const lmail_env env = {
        .size = sizeof(lmail_env), .random = env_random, .wall_clock = env_clock};
    host *o = calloc(1, sizeof *o);
    lmail_pop3_server_config config;
    lmail_pop3_server_handler handler;
    lmail_pop3_language languages[LANGUAGES];
    lmail_str texts[LANGUAGES][LMAIL_POP3_TEXT_COUNT];
    h->data = o;
    o->count = (uint32_t)script_get_number(h, "msgs", 2);
    o->big = (size_t)script_get_number(h, "big", 0);
    if (o->count > MESSAGES_MAX)
        script_fail(h, "config msgs: too many");
    lmail_pop3_server_config_init(&config);
    fill_config(h, &config);
    if (alloc)
        config.alloc = *alloc;
    config.env = &env;
    config.languages = languages;
    config.language_count = languages_of(h, languages, texts);
    lmail_pop3_server_handler_init(&handler);
    fill_handler(h, &handler);
    lmail_status st = lmail_pop3_server_setup_new(&o->setup, &config, &handler);
    if (st && st != LMAIL_ERR_NOMEM)
        script_fail(h, "setup: %s", lmail_status_name(st));
    if (st || lmail_pop3_server_new(&o->session, o->setup, h, now))
        return NULL;
    return lmail_pop3_server_session(o->session);
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
    lmail_pop3_server_setup_free(o->setup);
    free(o->scratch);
    free(o);
}

static lmail_status answer(script *h, const script_question *q, const char *text, lmail_msec now)
{
    lmail_pop3_server *s = of(h)->session;
    asked a = recall(q);
    switch (q->kind) {
    case CONNECT: {
        lmail_pop3_connect_answer r;
        read_connect(h, text, &r);
        return lmail_pop3_server_answer_connect(s, q->ticket, &r, now);
    }
    case AUTH: {
        lmail_auth_answer r;
        auth_script_read(h, text, &r);
        return lmail_pop3_server_answer_auth(s, q->ticket, &r, now);
    }
    case MAILDROP: {
        lmail_pop3_maildrop_answer r;
        read_maildrop(h, text, &a, &r);
        return lmail_pop3_server_answer_maildrop(s, q->ticket, &r, now);
    }
    case UIDL: {
        lmail_pop3_uidl_answer r;
        read_uidl(h, text, &a, &r);
        return lmail_pop3_server_answer_uidl(s, q->ticket, &r, now);
    }
    case OCTETS: {
        lmail_pop3_octets_answer r;
        lent *l = read_octets(h, text, a, q->ticket, &r);
        lmail_status st = lmail_pop3_server_answer_octets(s, q->ticket, &r, now);
        if (l && (st == LMAIL_ERR_STALE || st == LMAIL_ERR_ARG)) /* not taken */
            give_back(h, q->ticket);
        return st;
    }
    default: {
        lmail_pop3_update_answer r;
        read_update(h, text, &r);
        return lmail_pop3_server_answer_update(s, q->ticket, &r, now);
    }
    }
}

const script_adaptor script_pop3 = {"pop3", open_session, close_session, answer, NULL};
