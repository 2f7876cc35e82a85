/* script_imap.c - the scripted host of the IMAP server (tests/support/script.h).
 *
 * Settings
 *   flags +a -b                     LMAIL_IMAP_A on, LMAIL_IMAP_B off (script.h); starttls,
 *                                   cleartext and create_special_use are on
 *   greeting, separator, max_line, max_literal, max_append, max_name, command_memory, out_mark,
 *   view_memory, max_bad_commands, max_auth_failures, login_timeout, idle_timeout, keepalive, trace
 *   id name=value,name=value        what ID answers
 *   mechs, mechs_tls                SASL mechanisms without and with TLS
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
 *   login USER PASSWORD             ok NAME | fail REASON [text]     (password "secret" is right)
 *   auth MECH STEP RESPONSE         continue OCTETS | ok NAME [OCTETS] | fail REASON [text]
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
#include "support/imap_box_script.h"

#include <libmail/imap.h>

#include <stdlib.h>
#include <string.h>

extern const script_adaptor script_imap;

enum {
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

typedef struct message {
    lmail_uid uid;
    lmail_flags flags;
} message;

typedef struct host {
    imap_box_script box;
    lmail_imap_server_setup *setup;
    lmail_imap_server *session;
    const char *mechs, *mechs_tls;
    message *messages;
    size_t count;
    lmail_imap_list_row *rows;
    size_t row_count;
    lmail_uid_list recent, all, sets[4];
    size_t sets_used;
    lmail_str keywords[LMAIL_MAX_KEYWORDS];
    size_t keyword_count;
    lmail_imap_change changes[8];
    lmail_imap_fetch_row fetched[512];
} host;

static host *of(script *h)
{
    return h->data;
}

static imap_box_script *box_of(script *h)
{
    return &of(h)->box;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static int says(const char *answer, const char *word, const char **rest)
{
    size_t n = strlen(word);
    if (strncmp(answer, word, n) != 0 || (answer[n] && answer[n] != ' '))
        return 0;
    *rest = answer[n] ? answer + n + 1 : answer + n;
    return 1;
}

/* The next word of a text, or NULL. */
static const char *next_word(script *h, const char **text)
{
    while (**text == ' ')
        ++*text;
    size_t n = strcspn(*text, " ");
    if (!n)
        return NULL;
    char *copy = strndup(*text, n);
    const char *kept = script_keep(h, copy);
    free(copy);
    *text += n;
    return kept;
}

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

static void read_set(script *h, const char *text, lmail_uid_list *to)
{
    while (text && *text) {
        char *end;
        unsigned long first = strtoul(text, &end, 10), last = first;
        if (*end == ':')
            last = strtoul(end + 1, &end, 10);
        if (end == text || lmail_uid_list_add(to, (lmail_uid)first, (lmail_uid)last)) {
            script_fail(h, "not a set: %s", text);
            return;
        }
        text = *end == ',' ? end + 1 : end;
    }
}

/* A set that stands until the next answer is read. */
static lmail_uid_set some_set(script *h, const char *text)
{
    lmail_uid_list *l = &of(h)->sets[of(h)->sets_used++ % 4];
    l->count = 0;
    read_set(h, text, l);
    return lmail_uid_list_set(l);
}

static size_t read_keywords(script *h, const char *text)
{
    host *o = of(h);
    o->keyword_count = 0;
    while (text && *text && o->keyword_count < LMAIL_MAX_KEYWORDS) {
        size_t n = strcspn(text, ",");
        char *copy = strndup(text, n);
        o->keywords[o->keyword_count++] = script_octets(h, copy);
        free(copy);
        text += text[n] ? n + 1 : n;
    }
    return o->keyword_count;
}

static lmail_flags read_flags(const char *text, int *recent)
{
    static const char letters[] = "SAFDT";
    lmail_flags flags = 0;
    for (; text && *text && *text != ' '; text++) {
        const char *at = strchr(letters, *text);
        if (at)
            flags |= (lmail_flags)1 << (at - letters);
        if (*text >= '0' && *text <= '9')
            flags |= (lmail_flags)1 << (LMAIL_FLAG_KEYWORD_SHIFT + (*text - '0'));
        if (*text == 'R' && recent)
            *recent = 1;
    }
    return flags;
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

/* ---- Messages -------------------------------------------------------------------------------- */

static message *find(host *o, lmail_uid uid)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->messages[i].uid == uid)
            return &o->messages[i];
    return NULL;
}

static void add_message(host *o, lmail_uid uid, lmail_flags flags)
{
    if (find(o, uid))
        return;
    o->messages = realloc(o->messages, (o->count + 1) * sizeof *o->messages);
    if (!o->messages)
        abort();
    o->messages[o->count++] = (message){uid, flags};
}

static void drop_messages(host *o, lmail_uid_set gone)
{
    size_t kept = 0;
    for (size_t i = 0; i < o->count; i++)
        if (!lmail_uid_set_has(gone, o->messages[i].uid))
            o->messages[kept++] = o->messages[i];
    o->count = kept;
}

static void load_messages(script *h)
{
    host *o = of(h);
    for (unsigned i = 1;; i++) {
        char key[32];
        snprintf(key, sizeof key, "message.%u", i);
        const char *text = script_get(h, key);
        if (!text)
            break;
        char *end;
        int recent = 0;
        lmail_uid uid = (lmail_uid)strtoul(text, &end, 10);
        add_message(o, uid, read_flags(end + (*end == ' '), &recent));
        if (recent && lmail_uid_list_add(&o->recent, uid, uid))
            abort();
    }
    lmail_uid_list range = {.count = 0};
    read_set(h, script_get(h, "messages"), &range);
    for (size_t i = 0; i < range.count; i++)
        for (lmail_uid uid = range.ranges[i].first; uid <= range.ranges[i].last; uid++)
            add_message(o, uid, uid % 2 ? LMAIL_FLAG_SEEN : 0);
    lmail_uid_list_free(&range);
}

/* ---- Results --------------------------------------------------------------------------------- */

static void read_change(script *h, const char *text, lmail_imap_change *c)
{
    const char *rest;
    memset(c, 0, sizeof *c);
    c->size = sizeof *c;
    if (says(text, "new", &rest)) {
        c->kind = LMAIL_IMAP_CHANGE_NEW;
        c->uids = some_set(h, next_word(h, &rest));
        const char *recent = next_word(h, &rest);
        c->recent = some_set(h, recent ? recent : "");
        for (size_t i = 0; i < c->uids.count; i++)
            for (lmail_uid u = c->uids.ranges[i].first; u <= c->uids.ranges[i].last; u++)
                add_message(of(h), u, 0);
    } else if (says(text, "flags", &rest)) {
        c->kind = LMAIL_IMAP_CHANGE_FLAGS;
        c->uids = some_set(h, next_word(h, &rest));
        const char *flags = next_word(h, &rest);
        for (size_t i = 0; flags && i < of(h)->count; i++)
            if (lmail_uid_set_has(c->uids, of(h)->messages[i].uid))
                of(h)->messages[i].flags = read_flags(flags, NULL);
    } else if (says(text, "vanished", &rest)) {
        c->kind = LMAIL_IMAP_CHANGE_VANISHED;
        c->uids = some_set(h, next_word(h, &rest));
        drop_messages(of(h), c->uids);
    } else if (says(text, "keywords", &rest)) {
        c->kind = LMAIL_IMAP_CHANGE_KEYWORDS;
        read_keywords(h, next_word(h, &rest));
        c->keywords = (lmail_keywords){of(h)->keywords, of(h)->keyword_count};
        c->permanent = ~(lmail_flags)0;
        c->new_keywords = 1;
    } else if (says(text, "gone", &rest)) {
        c->kind = LMAIL_IMAP_CHANGE_GONE;
    } else {
        script_fail(h, "not a change: %s", text);
    }
}

static lmail_imap_code code_of(const char **text)
{
    static const struct {
        const char *word;
        lmail_imap_code code;
    } codes[] = {
#define XX(name, value, word) {word, LMAIL_IMAP_CODE_##name},
        LMAIL_IMAP_CODE_MAP(XX)
#undef XX
    };
    for (size_t i = 1; i < sizeof codes / sizeof *codes; i++)
        if (says(*text, codes[i].word, text))
            return codes[i].code;
    return LMAIL_IMAP_CODE_NONE;
}

/* The common part of an answer. Returns what stands behind "ok", or NULL for a NO. */
static const char *read_result(script *h, const char *answer, lmail_imap_result *r)
{
    const char *bar = strstr(answer, " | ");
    const char *rest;
    size_t n = 0;
    for (const char *at = bar; at && n < 8; at = strstr(at + 3, " | ")) {
        const char *end = strstr(at + 3, " | ");
        char *text = end ? strndup(at + 3, (size_t)(end - at - 3)) : strdup(at + 3);
        read_change(h, text, &of(h)->changes[n++]);
        free(text);
    }
    r->changes = of(h)->changes;
    r->change_count = n;
    char *copy = bar ? strndup(answer, (size_t)(bar - answer)) : strdup(answer);
    answer = script_keep(h, copy);
    free(copy);
    if (says(answer, "no", &rest)) {
        r->no = 1;
        r->code = code_of(&rest);
        r->text = script_octets(h, rest);
        return NULL;
    }
    if (says(answer, "ok", &rest))
        return rest;
    return answer;
}

static lmail_auth_failure auth_failure_of(const char **rest)
{
    static const char *const names[] = {"credentials",   "temporary",  "permanent",
                                        "authorization", "expired",    "encryption",
                                        "weak",          "transition", "protocol"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (says(*rest, names[i], rest))
            return (lmail_auth_failure)i;
    return (lmail_auth_failure)99;
}

static void read_auth(script *h, const char *answer, lmail_auth_answer *a)
{
    const char *rest;
    lmail_auth_answer_init(a);
    if (says(answer, "continue", &rest)) {
        a->kind = LMAIL_AUTH_CONTINUE;
        a->data = script_octets(h, rest);
    } else if (says(answer, "ok", &rest)) {
        a->kind = LMAIL_AUTH_OK;
        size_t n = strcspn(rest, " ");
        a->identity = (lmail_str){rest, n};
        if (rest[n])
            a->data = script_octets(h, rest + n + 1);
    } else if (says(answer, "fail", &rest)) {
        a->failure = auth_failure_of(&rest);
        a->text = script_octets(h, rest);
    }
}

/* Keeps the event for a late answer. */
static lmail_status waits(script *h, int st, const void *ev)
{
    if (st == LMAIL_PENDING)
        h->pending->data = (void *)(uintptr_t)ev;
    return (lmail_status)st;
}

/* ---- Login ----------------------------------------------------------------------------------- */

static lmail_str auth_mechanisms(const lmail_imap_server *s, void *user)
{
    const host *o = of(user);
    return lmail_str_from(lmail_imap_server_tls(s) && o->mechs_tls ? o->mechs_tls : o->mechs);
}

static lmail_status on_auth(lmail_imap_server *s, void *user, lmail_ticket t,
                            const lmail_auth_event *ev, lmail_auth_answer *out)
{
    (void)s;
    int st;
    const char *a = script_ask(user, t, AUTH, ev->has_response ? "ok alice" : "continue ", &st,
                               "auth %s %u %s", script_text(user, ev->mechanism), ev->step,
                               ev->has_response ? script_text(user, ev->response) : "-");
    if (!st)
        read_auth(user, a, out);
    return st;
}

static void on_auth_end(lmail_imap_server *s, void *user, lmail_auth_end how)
{
    static const char *const names[] = {"", "ok", "failed", "cancelled", "broken", "gone"};
    (void)s;
    script_note(user, "auth end %s", names[how]);
}

static lmail_status on_login(lmail_imap_server *s, void *user, lmail_ticket t,
                             const lmail_imap_login_event *ev, lmail_auth_answer *out)
{
    (void)s;
    int st;
    char usual[64] = "fail credentials";
    const char *name = script_text(user, ev->user);
    if (lmail_str_equal(ev->password, LMAIL_STR("secret")))
        snprintf(usual, sizeof usual, "ok %.50s", name);
    const char *a = script_ask(user, t, AUTH, script_keep(user, usual), &st, "login %s %s", name,
                               script_text(user, ev->password));
    if (!st)
        read_auth(user, a, out);
    return st;
}

/* ---- Names ----------------------------------------------------------------------------------- */

static size_t read_namespaces(script *h, const char *text, lmail_imap_namespace *to, size_t max)
{
    size_t n = 0;
    if (!text || strcmp(text, "-") == 0)
        return 0;
    while (*text && n < max) {
        size_t colon = strcspn(text, ":");
        char *copy = strndup(text, colon);
        to[n].prefix = script_octets(h, copy);
        free(copy);
        text += colon + (text[colon] == ':');
        to[n++].separator = *text == '-' ? 0 : *text;
        text += *text != 0;
        text += *text == ',';
    }
    return n;
}

static void read_namespace(script *h, const char *text, lmail_imap_namespace_answer *a)
{
    lmail_imap_namespace *n = (void *)(uintptr_t)script_octets(h, "\\*512;x").ptr;
    const char *rest = read_result(h, text, &a->result);
    if (!rest)
        return;
    a->personal = n;
    a->personal_count = read_namespaces(h, next_word(h, &rest), n, 4);
    a->other = n + 4;
    a->other_count = read_namespaces(h, next_word(h, &rest), n + 4, 4);
    a->shared = n + 8;
    a->shared_count = read_namespaces(h, next_word(h, &rest), n + 8, 4);
}

static void read_list(script *h, const char *text, const lmail_imap_list_event *ev,
                      lmail_imap_list_answer *a)
{
    host *o = of(h);
    const char *rest = read_result(h, text, &a->result);
    if (!rest)
        return;
    size_t from = (size_t)ev->resume, max = ev->max;
    if (says(rest, "take", &rest))
        max = strtoul(rest, NULL, 10);
    a->rows = o->rows + from;
    a->count = o->row_count - from < max ? o->row_count - from : max;
    if (from + a->count < o->row_count)
        a->resume = from + a->count;
}

static void load_rows(script *h)
{
    static const struct {
        const char *name;
        unsigned bit;
    } names[] = {{"noselect", LMAIL_IMAP_ATTR_NOSELECT},
                 {"noinferiors", LMAIL_IMAP_ATTR_NOINFERIORS},
                 {"marked", LMAIL_IMAP_ATTR_MARKED},
                 {"unmarked", LMAIL_IMAP_ATTR_UNMARKED},
                 {"nonexistent", LMAIL_IMAP_ATTR_NONEXISTENT},
                 {"subscribed", LMAIL_IMAP_ATTR_SUBSCRIBED},
                 {"haschildren", LMAIL_IMAP_ATTR_HASCHILDREN},
                 {"hasnochildren", LMAIL_IMAP_ATTR_HASNOCHILDREN},
                 {"sent", LMAIL_IMAP_ATTR_SENT},
                 {"drafts", LMAIL_IMAP_ATTR_DRAFTS},
                 {"trash", LMAIL_IMAP_ATTR_TRASH},
                 {"junk", LMAIL_IMAP_ATTR_JUNK},
                 {"archive", LMAIL_IMAP_ATTR_ARCHIVE}};
    host *o = of(h);
    const char *text = script_get(h, "mailboxes"), *word;
    if (!text)
        text = "INBOX";
    while ((word = next_word(h, &text)) != NULL) {
        o->rows = realloc(o->rows, (o->row_count + 1) * sizeof *o->rows);
        if (!o->rows)
            abort();
        lmail_imap_list_row *r = &o->rows[o->row_count++];
        size_t n = strcspn(word, "=");
        char *name = strndup(word, n);
        *r = (lmail_imap_list_row){script_octets(h, name), 0};
        free(name);
        for (const char *at = word + n; *at;) {
            size_t len = strcspn(++at, "+");
            size_t i = 0;
            while (i < sizeof names / sizeof *names &&
                   (strncmp(names[i].name, at, len) != 0 || names[i].name[len]))
                i++;
            if (i == sizeof names / sizeof *names)
                script_fail(h, "not an attribute: %s", at);
            else
                r->attributes |= names[i].bit;
            at += len;
        }
    }
}

static lmail_status on_namespace(lmail_imap_server *s, void *user, lmail_ticket t,
                                 lmail_imap_namespace_answer *a)
{
    (void)s;
    int st;
    const char *text = script_ask(user, t, NAMESPACE, "ok :/", &st, "namespace");
    if (!st)
        read_namespace(user, text, a);
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
        read_list(user, text, ev, a);
    return waits(user, st, ev);
}

static void read_status(script *h, const char *text, lmail_imap_status_answer *a)
{
    const char *rest = read_result(h, text, &a->result);
    if (rest)
        sscanf(rest, "%u %u %u %u %u", &a->messages, &a->recent, &a->uidnext, &a->uidvalidity,
               &a->unseen);
}

static lmail_status on_status(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_status_event *ev, lmail_imap_status_answer *a)
{
    (void)s;
    int st;
    const char *text = script_ask(user, t, STATUS, "ok 3 1 4 5 2", &st, "status %s %u",
                                  script_text(user, ev->mailbox), ev->items);
    if (!st)
        read_status(user, text, a);
    return st;
}

static void read_plain(script *h, const char *text, lmail_imap_answer *a)
{
    read_result(h, text, &a->result);
}

#define PLAIN_QUESTION(name, event, ...)                                                           \
    static lmail_status on_##name(lmail_imap_server *s, void *user, lmail_ticket t,                \
                                  const event *ev, lmail_imap_answer *a)                           \
    {                                                                                              \
        (void)s;                                                                                   \
        int st;                                                                                    \
        const char *text = script_ask(user, t, PLAIN, "ok", &st, __VA_ARGS__);                     \
        if (!st)                                                                                   \
            read_plain(user, text, a);                                                             \
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

static void read_select(script *h, const char *text, lmail_imap_select_answer *a)
{
    host *o = of(h);
    const char *rest = read_result(h, text, &a->result);
    if (!rest)
        return;
    o->all.count = 0;
    for (size_t i = 0; i < o->count; i++)
        if (lmail_uid_list_add(&o->all, o->messages[i].uid, o->messages[i].uid))
            abort();
    read_keywords(h, script_get(h, "keywords"));
    const char *permanent = script_get(h, "permanent");
    a->mailbox = o;
    a->uids = lmail_uid_list_set(&o->all);
    a->recent = lmail_uid_list_set(&o->recent);
    a->uidvalidity = (uint32_t)script_get_number(h, "uidvalidity", 1);
    a->uidnext = (lmail_uid)script_get_number(h, "uidnext",
                                              o->count ? o->messages[o->count - 1].uid + 1 : 1);
    a->first_unseen = (lmail_uid)script_get_number(h, "unseen", 0);
    a->keywords = (lmail_keywords){o->keywords, o->keyword_count};
    a->permanent = permanent ? read_flags(permanent, NULL) : ~(lmail_flags)0;
    a->new_keywords = (unsigned)script_get_number(h, "new_keywords", 1);
    a->read_only = (unsigned)script_get_number(h, "read_only", 0);
    a->uid_not_sticky = (unsigned)script_get_number(h, "unsticky", 0);
}

static lmail_status on_select(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_select_event *ev, lmail_imap_select_answer *a)
{
    (void)s;
    int st;
    const char *text =
        script_ask(user, t, SELECT, "ok", &st, "%s %s", ev->read_only ? "examine" : "select",
                   script_text(user, ev->mailbox));
    if (!st)
        read_select(user, text, a);
    return st;
}

static void read_fetch(script *h, const char *text, const lmail_imap_fetch_event *ev,
                       lmail_imap_fetch_answer *a)
{
    host *o = of(h);
    const char *rest = read_result(h, text, &a->result);
    if (!rest)
        return;
    size_t max = says(rest, "take", &rest) ? strtoul(rest, NULL, 10) : 512;
    for (size_t i = 0; i < o->count; i++) {
        if (!lmail_uid_set_has(ev->uids, o->messages[i].uid))
            continue;
        if (a->count == max) {
            a->more = 1;
            break;
        }
        o->fetched[a->count++] =
            (lmail_imap_fetch_row){.uid = o->messages[i].uid, .flags = o->messages[i].flags};
    }
    a->rows = o->fetched;
}

static lmail_status on_fetch(lmail_imap_server *s, void *user, lmail_ticket t,
                             const lmail_imap_fetch_event *ev, lmail_imap_fetch_answer *a)
{
    (void)s;
    int st;
    const char *text =
        script_ask(user, t, FETCH, "ok", &st, "fetch %s FLAGS", set_text(user, ev->uids));
    if (!st)
        read_fetch(user, text, ev, a);
    return waits(user, st, ev);
}

static void read_store(script *h, const char *text, const lmail_imap_store_event *ev,
                       lmail_imap_store_answer *a)
{
    host *o = of(h);
    if (!read_result(h, text, &a->result))
        return;
    lmail_flags flags = ev->flags;
    for (size_t i = 0; i < ev->keywords.count; i++)
        for (size_t k = 0; k < o->keyword_count; k++)
            if (lmail_str_equal_nocase(o->keywords[k], ev->keywords.names[i]))
                flags |= (lmail_flags)1 << (LMAIL_FLAG_KEYWORD_SHIFT + k);
    lmail_uid_list *missing = &o->sets[o->sets_used++ % 4];
    missing->count = 0;
    for (size_t i = 0; i < ev->uids.count; i++)
        for (lmail_uid u = ev->uids.ranges[i].first; u <= ev->uids.ranges[i].last; u++) {
            message *m = find(o, u);
            if (!m && lmail_uid_list_add(missing, u, u))
                abort();
            if (m && ev->mode == LMAIL_IMAP_STORE_REPLACE)
                m->flags = flags;
            else if (m && ev->mode == LMAIL_IMAP_STORE_ADD)
                m->flags |= flags;
            else if (m)
                m->flags &= ~flags;
        }
    a->missing = lmail_uid_list_set(missing);
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
        read_store(user, text, ev, a);
    return waits(user, st, ev);
}

static void read_copy(script *h, const char *text, const lmail_imap_copy_event *ev,
                      lmail_imap_copy_answer *a)
{
    const char *rest = read_result(h, text, &a->result);
    if (!rest)
        return;
    const char *validity = next_word(h, &rest);
    a->source = ev->move && !validity ? ev->uids : (lmail_uid_set){NULL, 0};
    if (validity) {
        a->uidvalidity = (uint32_t)strtoul(validity, NULL, 10);
        a->source = some_set(h, next_word(h, &rest));
        a->target = some_set(h, next_word(h, &rest));
    }
    if (ev->move)
        drop_messages(of(h), a->source);
}

static lmail_status on_copy(lmail_imap_server *s, void *user, lmail_ticket t,
                            const lmail_imap_copy_event *ev, lmail_imap_copy_answer *a)
{
    (void)s;
    int st;
    const char *text = script_ask(user, t, COPY, "ok", &st, "%s %s %s", ev->move ? "move" : "copy",
                                  set_text(user, ev->uids), script_text(user, ev->target));
    if (!st)
        read_copy(user, text, ev, a);
    return waits(user, st, ev);
}

static void read_expunge(script *h, const char *text, const lmail_imap_expunge_event *ev,
                         lmail_imap_expunge_answer *a)
{
    host *o = of(h);
    const char *rest = read_result(h, text, &a->result);
    if (!rest)
        return;
    if (*rest) {
        a->vanished = some_set(h, rest);
    } else {
        lmail_uid_list *gone = &o->sets[o->sets_used++ % 4];
        gone->count = 0;
        for (size_t i = 0; i < o->count; i++) {
            lmail_uid u = o->messages[i].uid;
            if (o->messages[i].flags & LMAIL_FLAG_DELETED &&
                (ev->all || lmail_uid_set_has(ev->uids, u)) && lmail_uid_list_add(gone, u, u))
                abort();
        }
        a->vanished = lmail_uid_list_set(gone);
    }
    drop_messages(o, a->vanished);
}

static lmail_status on_expunge(lmail_imap_server *s, void *user, lmail_ticket t,
                               const lmail_imap_expunge_event *ev, lmail_imap_expunge_answer *a)
{
    (void)s;
    int st;
    const char *text = script_ask(user, t, EXPUNGE, "ok", &st, "expunge %s",
                                  ev->all ? "all" : set_text(user, ev->uids));
    if (!st)
        read_expunge(user, text, ev, a);
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
        read_plain(user, text, a);
    }
    return waits(user, st, ev);
}

static void read_append(script *h, const char *text, lmail_imap_append_answer *a)
{
    const char *rest = read_result(h, text, &a->result);
    const char *validity = rest ? next_word(h, &rest) : NULL;
    if (!validity)
        return;
    a->uidvalidity = (uint32_t)strtoul(validity, NULL, 10);
    a->uids = some_set(h, next_word(h, &rest));
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
        read_append(user, text, a);
    return st;
}

static void on_append_abort(lmail_imap_server *s, void *user)
{
    (void)s;
    (void)script_collected(user); /* how much came before a refusal depends on the split */
    script_note(user, "append abort");
}

/* ---- Hints ----------------------------------------------------------------------------------- */

static void on_cancel(lmail_imap_server *s, void *user, lmail_ticket t)
{
    (void)s;
    script_cancelled(user, t);
}

static void on_idle(lmail_imap_server *s, void *user, unsigned on)
{
    (void)s;
    script_note(user, "idle %u", on);
}

static void on_logout(lmail_imap_server *s, void *user)
{
    (void)s;
    script_note(user, "logout");
}

static void on_id(lmail_imap_server *s, void *user, const lmail_imap_id_field *fields, size_t count)
{
    (void)s;
    for (size_t i = 0; i < count; i++)
        script_note(user, "id %s %s", script_text(user, fields[i].name),
                    fields[i].value.ptr ? script_text(user, fields[i].value) : "NIL");
    if (!count)
        script_note(user, "id NIL");
}

/* ---- The adaptor ----------------------------------------------------------------------------- */

static lmail_status answer(script *h, const script_question *q, const char *text, lmail_msec now)
{
    lmail_imap_server *s = of(h)->session;
    const char *event = q->data;
    union {
        lmail_imap_answer plain;
        lmail_auth_answer auth;
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
        read_auth(h, text, &a.auth);
        return lmail_imap_server_answer_auth(s, q->ticket, &a.auth, now);
#define CASE(kind, member, call, ...)                                                              \
    case kind:                                                                                     \
        a.member.size = sizeof a.member;                                                           \
        __VA_ARGS__;                                                                               \
        return lmail_imap_server_##call(s, q->ticket, &a.member, now);
        CASE(NAMESPACE, namespaces, answer_namespace, read_namespace(h, text, &a.namespaces))
        CASE(LIST, list, answer_list, read_list(h, text, (const void *)event, &a.list))
        CASE(STATUS, status, answer_status, read_status(h, text, &a.status))
        CASE(SELECT, select, answer_select, read_select(h, text, &a.select))
        CASE(FETCH, fetch, answer_fetch, read_fetch(h, text, (const void *)event, &a.fetch))
        CASE(STORE, store, answer_store, read_store(h, text, (const void *)event, &a.store))
        CASE(APPEND, append, answer_append, read_append(h, text, &a.append))
        CASE(COPY, copy, answer_copy, read_copy(h, text, (const void *)event, &a.copy))
        CASE(EXPUNGE, expunge, answer_expunge,
             read_expunge(h, text, (const void *)event, &a.expunge))
        CASE(PLAIN, plain, answer, read_plain(h, text, &a.plain))
        CASE(OCTETS_IN, plain, answer,
             script_collect(h,
                            ((const lmail_imap_append_octets_event *)(const void *)event)->octets);
             read_plain(h, text, &a.plain))
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
    if (of(h)->mechs || of(h)->mechs_tls) {
        on->auth_mechanisms = auth_mechanisms;
        on->on_auth = on_auth;
        on->on_auth_end = on_auth_end;
    }
#define SET(name) on->on_##name = without(h, #name) ? NULL : on_##name
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
    host *o = calloc(1, sizeof *o);
    lmail_imap_server_config config;
    lmail_imap_server_handler handler;
    lmail_imap_id_field id[8];
    if (!o)
        abort();
    h->data = o;
    o->mechs = script_get(h, "mechs");
    o->mechs_tls = script_get(h, "mechs_tls");
    load_rows(h);
    load_messages(h);
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
    host *o = of(h);
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
    if (!says(words, "notify", &rest))
        return -1;
    lmail_imap_change c;
    read_change(h, rest, &c);
    lmail_status st = lmail_imap_server_notify(of(h)->session, &c, now);
    if (st < 0 && st != LMAIL_ERR_CLOSED)
        h->status = st;
    return 0;
}

const script_adaptor script_imap = {.protocol = "imap",
                                    .open = open_session,
                                    .close = close_session,
                                    .answer = answer,
                                    .action = action};
