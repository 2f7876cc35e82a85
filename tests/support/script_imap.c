/* script_imap.c - the scripted host of the IMAP server (tests/support/script.h).
 *
 * Settings
 *   flags +a -b                     LMAIL_IMAP_A on, LMAIL_IMAP_B off (script.h); starttls,
 *                                   cleartext and create_special_use are on
 *   host_name, greeting, separator, max_line, max_literal, max_append, max_name, command_memory, out_mark,
 *   view_memory, max_bad_commands, max_auth_failures, login_timeout, idle_timeout, keepalive, trace
 *   id name=value,name=value        what ID answers
 *   mechs, mechs_tls                support/auth_script.h
 *   without list,poll,...           callbacks that are NULL
 *   mailboxes INBOX foo=noselect+haschildren ...    in order; escapes, e.g. \x20 for a space
 *   messages 1:10000                UIDs of the mailbox (odd ones \Seen)
 *   message.N UID FLAGS [OCTETS]    S A F D T, R recent, 0..9 keyword of that number, - none; if
 *                                   the first has octets, support/imap_box_script.h answers fetch
 *                                   and store
 *   keywords a,b                    names of the keywords
 *   permanent SAFDT01               flags that can be changed for good
 *   new_keywords, uidvalidity, uidnext, unseen UID, read_only, unsticky
 *
 * Questions and answers; any but login and auth may also say "no [CODE] [text]", and behind " | "
 * what changed: new SET [SET of recent ones], flags SET, vanished SET, keywords a,b, gone
 *   connect tls=0                   ok [text] | cleartext
 *   login, auth                     support/auth_script.h
 *   namespace                       ok PREFIX:SEP,... PREFIX:SEP,... ...   (three kinds; "-": none)
 *   list|lsub [options] PATTERN...  ok | take N (rows a slice)
 *   status NAME ITEMS               ok MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN
 *   create NAME [holder] [use N]    ok
 *   delete NAME                     ok
 *   rename NAME NAME                ok
 *   subscribe|unsubscribe NAME      ok
 *   select|examine NAME             ok
 *   close [expunge]                 ok
 *   poll noop|check                 ok
 *   fetch SET FLAGS                 ok | take N | no ...
 *   store SET [+-]BITS [KEYWORDS]   ok
 *   copy|move SET NAME              ok [UIDVALIDITY SOURCE TARGET]
 *   expunge all|SET                 ok | ok SET            (what has \Deleted)
 *   append begin NAME N             ok
 *   append message BITS KEYWORDS DATE ZONE N
 *                                   ok
 *   append octets N                 ok
 *   append commit NAME N TEXT       ok [UIDVALIDITY SET]
 *   octets, search                  support/imap_box_script.h
 *
 * Actions: notify CHANGE, gone UID. */
#include "support/auth_script.h"
#include "support/imap_answers.h"

#include <libmail/imap.h>

#include <stdlib.h>
#include <string.h>

extern const script_adaptor script_imap;

enum {
    CONNECT,
    AUTH,
    NAMESPACE,
    LIST,
    STATUS,
    SELECT,
    FETCH,
    STORE,
    APPEND,
    COPY,
    EXPUNGE,
    PLAIN,
    OCTETS_IN
};

static imap_box_script *box_of(script *h)
{
    return &imap_host_of(h)->box;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static const char *set_text(script *h, lmail_uid_set set)
{
    script_buffer b = {0};
    for (size_t i = 0; i < set.count; i++) {
        char part[32];
        int n = snprintf(part, sizeof part,
                         set.ranges[i].first == set.ranges[i].last ? "%s%u" : "%s%u:%u",
                         i ? "," : "", set.ranges[i].first, set.ranges[i].last);
        script_buffer_add(&b, part, (size_t)n);
    }
    script_buffer_add(&b, "", 1);
    const char *kept = script_keep(h, b.ptr);
    free(b.ptr);
    return kept;
}

static const char *keyword_text(script *h, lmail_keywords k)
{
    script_buffer b = {0};
    for (size_t i = 0; i < k.count; i++) {
        script_buffer_add(&b, " ", 1);
        script_buffer_add(&b, k.names[i].ptr, k.names[i].len);
    }
    script_buffer_add(&b, "", 1);
    const char *kept = script_keep(h, b.ptr);
    free(b.ptr);
    return kept;
}

/* Keeps the event for a late answer. */
static lmail_status waits(script *h, int st, const void *ev)
{
    if (st == LMAIL_PENDING)
        h->pending->data = (void *)(uintptr_t)ev;
    return (lmail_status)st;
}

/* ---- The connection -------------------------------------------------------------------------- */

/* ok [text] | cleartext | no [CODE] [text] */
static void read_connect(script *h, const char *text, lmail_imap_connect_answer *a)
{
    lmail_imap_answer plain = LMAIL_IMAP_ANSWER_INIT;
    const char *rest;
    lmail_imap_connect_answer_init(a);
    if (script_says(text, "cleartext", &rest)) {
        a->flags_on = LMAIL_IMAP_CLEARTEXT;
        return;
    }
    imap_read_plain(h, text, &plain);
    a->result = plain.result;
    if (script_says(text, "ok", &rest))
        a->result.text = script_octets(h, rest);
}

static lmail_status on_connect(lmail_imap_server *s, void *user, lmail_ticket t,
                               const lmail_imap_connect_event *ev, lmail_imap_connect_answer *a)
{
    (void)s;
    int st;
    const char *text = script_ask(user, t, CONNECT, "ok", &st, "connect tls=%u", ev->tls);
    if (!st)
        read_connect(user, text, a);
    return st;
}

/* ---- Login ----------------------------------------------------------------------------------- */

static lmail_str auth_mechanisms(const lmail_imap_server *s, void *user)
{
    return auth_script_mechanisms(user, lmail_imap_server_tls(s) != NULL);
}

static lmail_status on_auth(lmail_imap_server *s, void *user, lmail_ticket t,
                            const lmail_auth_event *ev, lmail_auth_answer *out)
{
    (void)s;
    return auth_script_step(user, t, AUTH, ev, out);
}

static void on_auth_end(lmail_imap_server *s, void *user, const lmail_auth_end_event *ev)
{
    (void)s;
    auth_script_end(user, ev->how);
}

static lmail_status on_login(lmail_imap_server *s, void *user, lmail_ticket t,
                             const lmail_imap_login_event *ev, lmail_auth_answer *out)
{
    (void)s;
    return auth_script_login(user, t, AUTH, ev->user, ev->password, out);
}

/* ---- Names ----------------------------------------------------------------------------------- */

static lmail_status on_namespace(lmail_imap_server *s, void *user, lmail_ticket t,
                                 const lmail_imap_namespace_event *ev,
                                 lmail_imap_namespace_answer *a)
{
    (void)s;
    if (!lmail_str_equal(ev->identity, lmail_imap_server_identity(s)))
        script_fail(user, "namespace of another");
    int st;
    const char *text = script_ask(user, t, NAMESPACE, "ok :/", &st, "namespace");
    if (!st)
        imap_read_namespace(user, text, a);
    return st;
}

static lmail_status on_list(lmail_imap_server *s, void *user, lmail_ticket t,
                            const lmail_imap_list_event *ev, lmail_imap_list_answer *a)
{
    (void)s;
    int st;
    char patterns[1024] = "";
    for (size_t i = 0; i < ev->pattern_count; i++)
        snprintf(patterns + strlen(patterns), sizeof patterns - strlen(patterns), " %s",
                 script_text(user, ev->patterns[i]));
    const char *text = script_ask(user, t, LIST, "ok", &st, "%s %u%s", ev->lsub ? "lsub" : "list",
                                  ev->options, patterns);
    if (!st)
        imap_read_list(user, text, ev, a);
    return waits(user, st, ev);
}

static lmail_status on_status(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_status_event *ev, lmail_imap_status_answer *a)
{
    (void)s;
    int st;
    const char *text = script_ask(user, t, STATUS, "ok 3 1 4 5 2", &st, "status %s %u",
                                  script_text(user, ev->mailbox), ev->items);
    if (!st)
        imap_read_status(user, text, a);
    return st;
}

#define PLAIN_QUESTION(name, event, ...)                                                           \
    static lmail_status on_##name(lmail_imap_server *s, void *user, lmail_ticket t,                \
                                  const event *ev, lmail_imap_answer *a)                           \
    {                                                                                              \
        (void)s;                                                                                   \
        int st;                                                                                    \
        const char *text = script_ask(user, t, PLAIN, "ok", &st, __VA_ARGS__);                     \
        if (!st)                                                                                   \
            imap_read_plain(user, text, a);                                                        \
        return waits(user, st, ev);                                                                \
    }
#define TEXT(slice) script_text(user, slice)

PLAIN_QUESTION(create, lmail_imap_create_event, "create %s%s use %u", TEXT(ev->mailbox),
               ev->holder ? " holder" : "", ev->special_use >> 16)
PLAIN_QUESTION(delete, lmail_imap_delete_event, "delete %s", TEXT(ev->mailbox))
PLAIN_QUESTION(rename, lmail_imap_rename_event, "rename %s %s", TEXT(ev->from), TEXT(ev->to))
PLAIN_QUESTION(subscribe, lmail_imap_subscribe_event, "%s %s", ev->on ? "subscribe" : "unsubscribe",
               TEXT(ev->mailbox))
PLAIN_QUESTION(close, lmail_imap_close_event, "close%s", ev->expunge ? " expunge" : "")
PLAIN_QUESTION(poll, lmail_imap_poll_event, "poll %s", ev->check ? "check" : "noop")
PLAIN_QUESTION(append_begin, lmail_imap_append_begin_event, "append begin %s %llu",
               TEXT(ev->mailbox), (unsigned long long)ev->octets)
PLAIN_QUESTION(append_message, lmail_imap_append_message_event,
               "append message %llu%s date %lld %d octets %llu", (unsigned long long)ev->flags,
               keyword_text(user, ev->keywords), ev->has_date ? (long long)ev->date : 0,
               ev->date_zone, (unsigned long long)ev->octets)

/* ---- The selected mailbox -------------------------------------------------------------------- */

static lmail_status on_select(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_select_event *ev, lmail_imap_select_answer *a)
{
    (void)s;
    int st;
    const char *text =
        script_ask(user, t, SELECT, "ok", &st, "%s %s", ev->read_only ? "examine" : "select",
                   script_text(user, ev->mailbox));
    if (!st)
        imap_read_select(user, text, a);
    return st;
}

static lmail_status on_fetch(lmail_imap_server *s, void *user, lmail_ticket t,
                             const lmail_imap_fetch_event *ev, lmail_imap_fetch_answer *a)
{
    (void)s;
    int st;
    const char *text =
        script_ask(user, t, FETCH, "ok", &st, "fetch %s FLAGS", set_text(user, ev->uids));
    if (!st)
        imap_read_fetch(user, text, ev, a);
    return waits(user, st, ev);
}

static lmail_status on_store(lmail_imap_server *s, void *user, lmail_ticket t,
                             const lmail_imap_store_event *ev, lmail_imap_store_answer *a)
{
    static const char *const modes[] = {"", "", "+", "-"};
    (void)s;
    int st;
    const char *text = script_ask(user, t, STORE, "ok", &st, "store %s %s%llu%s",
                                  set_text(user, ev->uids), modes[ev->mode],
                                  (unsigned long long)ev->flags, keyword_text(user, ev->keywords));
    if (!st)
        imap_read_store(user, text, ev, a);
    return waits(user, st, ev);
}

static lmail_status on_copy(lmail_imap_server *s, void *user, lmail_ticket t,
                            const lmail_imap_copy_event *ev, lmail_imap_copy_answer *a)
{
    (void)s;
    int st;
    const char *text = script_ask(user, t, COPY, "ok", &st, "%s %s %s", ev->move ? "move" : "copy",
                                  set_text(user, ev->uids), script_text(user, ev->target));
    if (!st)
        imap_read_copy(user, text, ev, a);
    return waits(user, st, ev);
}

static lmail_status on_expunge(lmail_imap_server *s, void *user, lmail_ticket t,
                               const lmail_imap_expunge_event *ev, lmail_imap_expunge_answer *a)
{
    (void)s;
    int st;
    const char *text = script_ask(user, t, EXPUNGE, "ok", &st, "expunge %s",
                                  ev->all ? "all" : set_text(user, ev->uids));
    if (!st)
        imap_read_expunge(user, text, ev, a);
    return waits(user, st, ev);
}

/* ---- Appending ------------------------------------------------------------------------------- */

static lmail_status on_append_octets(lmail_imap_server *s, void *user, lmail_ticket t,
                                     const lmail_imap_append_octets_event *ev, lmail_imap_answer *a)
{
    (void)s;
    int st;
    const char *text = script_ask(user, t, OCTETS_IN, "ok", &st, "append octets %zu%s",
                                  ev->octets.len, ev->last ? " last" : "");
    if (!st) {
        script_collect(user, ev->octets);
        imap_read_plain(user, text, a);
    }
    return waits(user, st, ev);
}

static lmail_status on_append_commit(lmail_imap_server *s, void *user, lmail_ticket t,
                                     const lmail_imap_append_commit_event *ev,
                                     lmail_imap_append_answer *a)
{
    (void)s;
    int st;
    lmail_str all = script_collected(user);
    const char *shown = all.len > 200 ? "(long)" : script_text(user, all);
    const char *text = script_ask(user, t, APPEND, "ok", &st, "append commit %s %zu %zu %s",
                                  script_text(user, ev->mailbox), ev->messages, all.len, shown);
    if (!st)
        imap_read_append(user, text, a);
    return st;
}

static void on_append_abort(lmail_imap_server *s, void *user,
                            const lmail_imap_append_abort_event *ev)
{
    (void)s;
    (void)ev;
    (void)script_collected(user); /* how much came before a refusal depends on the split */
    script_note(user, "append abort");
}

/* ---- Hints ----------------------------------------------------------------------------------- */

static void on_cancel(lmail_imap_server *s, void *user, lmail_ticket t)
{
    (void)s;
    script_cancelled(user, t);
}

static void on_idle(lmail_imap_server *s, void *user, const lmail_imap_idle_event *ev)
{
    (void)s;
    script_note(user, "idle %u", ev->on);
}

static void on_logout(lmail_imap_server *s, void *user, const lmail_imap_logout_event *ev)
{
    if (ev->mailbox != lmail_imap_server_mailbox_handle(s))
        script_fail(user, "logout from another mailbox");
    script_note(user, "logout");
}

static void on_id(lmail_imap_server *s, void *user, const lmail_imap_id_event *ev)
{
    (void)s;
    for (size_t i = 0; i < ev->count; i++)
        script_note(user, "id %s %s", script_text(user, ev->fields[i].name),
                    ev->fields[i].value.ptr ? script_text(user, ev->fields[i].value) : "NIL");
    if (!ev->count)
        script_note(user, "id NIL");
}

/* ---- The adaptor ----------------------------------------------------------------------------- */

static lmail_status answer(script *h, const script_question *q, const char *text, lmail_msec now)
{
    lmail_imap_server *s = imap_host_of(h)->session;
    const char *event = q->data;
    union {
        lmail_imap_answer plain;
        lmail_auth_answer auth;
        lmail_imap_connect_answer connect;
        lmail_imap_namespace_answer namespaces;
        lmail_imap_list_answer list;
        lmail_imap_status_answer status;
        lmail_imap_select_answer select;
        lmail_imap_fetch_answer fetch;
        lmail_imap_store_answer store;
        lmail_imap_append_answer append;
        lmail_imap_copy_answer copy;
        lmail_imap_expunge_answer expunge;
    } a;
    memset(&a, 0, sizeof a);
    switch (q->kind) {
    case AUTH:
        auth_script_read(h, text, &a.auth);
        return lmail_imap_server_answer_auth(s, q->ticket, &a.auth, now);
#define CASE(kind, member, call, ...)                                                              \
    case kind:                                                                                     \
        a.member.size = sizeof a.member;                                                           \
        __VA_ARGS__;                                                                               \
        return lmail_imap_server_##call(s, q->ticket, &a.member, now);
        CASE(CONNECT, connect, answer_connect, read_connect(h, text, &a.connect))
        CASE(NAMESPACE, namespaces, answer_namespace, imap_read_namespace(h, text, &a.namespaces))
        CASE(LIST, list, answer_list, imap_read_list(h, text, (const void *)event, &a.list))
        CASE(STATUS, status, answer_status, imap_read_status(h, text, &a.status))
        CASE(SELECT, select, answer_select, imap_read_select(h, text, &a.select))
        CASE(FETCH, fetch, answer_fetch, imap_read_fetch(h, text, (const void *)event, &a.fetch))
        CASE(STORE, store, answer_store, imap_read_store(h, text, (const void *)event, &a.store))
        CASE(APPEND, append, answer_append, imap_read_append(h, text, &a.append))
        CASE(COPY, copy, answer_copy, imap_read_copy(h, text, (const void *)event, &a.copy))
        CASE(EXPUNGE, expunge, answer_expunge,
             imap_read_expunge(h, text, (const void *)event, &a.expunge))
        CASE(PLAIN, plain, answer, imap_read_plain(h, text, &a.plain))
        CASE(OCTETS_IN, plain, answer,
             script_collect(h,
                            ((const lmail_imap_append_octets_event *)(const void *)event)->octets);
             imap_read_plain(h, text, &a.plain))
#undef CASE
    default: {
        lmail_status st = LMAIL_ERR_ARG;
        imap_box_script_answer(h, box_of(h), q, text, now, &st);
        return st;
    }
    }
}

static int without(script *h, const char *what)
{
    const char *list = script_get(h, "without");
    return list && strstr(list, what) != NULL;
}

static const script_flag flag_names[] = {{"literal_plus", LMAIL_IMAP_LITERAL_PLUS},
                                         {"sasl_ir", LMAIL_IMAP_SASL_IR},
                                         {"idle", LMAIL_IMAP_IDLE},
                                         {"uidplus", LMAIL_IMAP_UIDPLUS},
                                         {"namespace", LMAIL_IMAP_NAMESPACE},
                                         {"id", LMAIL_IMAP_ID},
                                         {"unselect", LMAIL_IMAP_UNSELECT},
                                         {"enable", LMAIL_IMAP_ENABLE},
                                         {"move", LMAIL_IMAP_MOVE},
                                         {"multiappend", LMAIL_IMAP_MULTIAPPEND},
                                         {"children", LMAIL_IMAP_CHILDREN},
                                         {"special_use", LMAIL_IMAP_SPECIAL_USE},
                                         {"starttls", LMAIL_IMAP_STARTTLS},
                                         {"create_special_use", LMAIL_IMAP_CREATE_SPECIAL_USE},
                                         {"cleartext", LMAIL_IMAP_CLEARTEXT},
                                         {"trace_secrets", LMAIL_IMAP_TRACE_SECRETS},
                                         {NULL, 0}};

static size_t id_of(script *h, lmail_imap_id_field *fields, size_t max)
{
    const char *list = script_get(h, "id");
    size_t count = 0;
    while (list && *list && count < max) {
        size_t eq = strcspn(list, "="), n = strcspn(list, ",");
        fields[count].name = (lmail_str){list, eq};
        fields[count++].value = (lmail_str){list + eq + 1, n - eq - 1};
        list += n + (list[n] == ',');
    }
    return count;
}

/* What most dialogues want beside the default. */
#define ALWAYS                                                                                     \
    ((uint64_t)(LMAIL_IMAP_STARTTLS | LMAIL_IMAP_CREATE_SPECIAL_USE | LMAIL_IMAP_CLEARTEXT))

static void fill_config(script *h, lmail_imap_server_config *c)
{
    lmail_imap_server_config_init(c);
    c->host_name = lmail_str_from(script_get(h, "host_name"));
    c->greeting = lmail_str_from(script_get(h, "greeting"));
    const char *sep = script_get(h, "separator");
    c->separator = sep ? sep[0] : 0;
    script_flags(h, flag_names, &c->flags_on, &c->flags_off);
    c->flags_on |= ALWAYS & ~c->flags_off;
    c->max_line = script_get_number(h, "max_line", 0);
    c->max_literal = script_get_number(h, "max_literal", 0);
    c->max_append = script_get_number(h, "max_append", 0);
    c->max_name = script_get_number(h, "max_name", 0);
    c->command_memory = script_get_number(h, "command_memory", 0);
    c->out_mark = script_get_number(h, "out_mark", 0);
    c->view_memory = script_get_number(h, "view_memory", 0);
    c->max_bad_commands = (uint32_t)script_get_number(h, "max_bad_commands", 0);
    c->max_auth_failures = (uint32_t)script_get_number(h, "max_auth_failures", 0);
    c->login_timeout = script_get_number(h, "login_timeout", 0);
    c->idle_timeout = script_get_number(h, "idle_timeout", 0);
    c->keepalive = script_get_number(h, "keepalive", 0);
}

static void fill_handler(script *h, lmail_imap_server_handler *on)
{
    lmail_imap_server_handler_init(on);
    on->on_cancel = on_cancel;
    on->on_trace = script_get_number(h, "trace", 0) ? script_trace : NULL;
    if (auth_script_offered(h)) {
        on->auth_mechanisms = auth_mechanisms;
        on->on_auth = on_auth;
        on->on_auth_end = on_auth_end;
    }
#define SET(name) on->on_##name = without(h, #name) ? NULL : on_##name
    SET(connect);
    SET(login);
    SET(namespace);
    SET(list);
    SET(status);
    SET(create);
    SET(delete);
    SET(rename);
    SET(subscribe);
    SET(select);
    SET(close);
    SET(fetch);
    SET(store);
    SET(append_begin);
    SET(append_message);
    SET(append_octets);
    SET(append_commit);
    SET(append_abort);
    SET(copy);
    SET(expunge);
    SET(poll);
    SET(idle);
    SET(id);
    SET(logout);
#undef SET
}

static lmail_session *open_session(script *h, const lmail_alloc *alloc, lmail_msec now)
{
    imap_host *o = calloc(1, sizeof *o);
    lmail_imap_server_config config;
    lmail_imap_server_handler handler;
    lmail_imap_id_field id[8];
    if (!o)
        abort();
    h->data = o;
    imap_load_rows(h);
    imap_load_messages(h);
    imap_box_script_open(h, box_of(h));
    fill_config(h, &config);
    fill_handler(h, &handler);
    imap_box_script_handler(h, &handler, box_of);
    config.alloc = *alloc;
    config.id_count = id_of(h, id, 8);
    config.id = id;
    /* Keys that only a selected mailbox asks for. */
    static const char *const later[] = {"keywords", "permanent",    "uidvalidity", "uidnext",
                                        "unseen",   "new_keywords", "read_only",   "unsticky"};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        script_get(h, later[i]);
    lmail_status st = lmail_imap_server_setup_new(&o->setup, &config, &handler);
    if (!st)
        st = lmail_imap_server_new(&o->session, o->setup, h, now);
    if (st && st != LMAIL_ERR_NOMEM)
        script_fail(h, "no session: %s", lmail_status_name(st));
    return st ? NULL : lmail_imap_server_session(o->session);
}

static void close_session(script *h)
{
    imap_host *o = imap_host_of(h);
    if (!o)
        return;
    lmail_imap_server_setup_free(o->setup);
    imap_box_script_close(box_of(h));
    lmail_uid_list_free(&o->recent);
    lmail_uid_list_free(&o->all);
    for (size_t i = 0; i < 4; i++)
        lmail_uid_list_free(&o->sets[i]);
    free(o->messages);
    free(o->rows);
    free(o);
    h->data = NULL;
}

static int action(script *h, const char *words, lmail_msec now)
{
    const char *rest;
    if (imap_box_script_action(box_of(h), words))
        return 0;
    if (!script_says(words, "notify", &rest))
        return -1;
    lmail_imap_change c;
    imap_read_change(h, rest, &c);
    lmail_status st = lmail_imap_server_notify(imap_host_of(h)->session, &c, now);
    if (st < 0 && st != LMAIL_ERR_CLOSED)
        h->status = st;
    return 0;
}

const script_adaptor script_imap = {.protocol = "imap",
                                    .open = open_session,
                                    .close = close_session,
                                    .answer = answer,
                                    .action = action};
