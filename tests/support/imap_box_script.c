/* imap_box_script.c - describes questions about messages, and answers them as the script says. */
#include "support/imap_box_script.h"

#include <stdlib.h>
#include <string.h>

struct imap_box_lent {
    imap_box_lent *next;
    lmail_ticket ticket;
    char *octets;
};

/* ---- Messages -------------------------------------------------------------------------------- */

static const char nested[] =
    "From: a@example\r\nSubject: complex\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\n"
    "--A\r\nContent-Type: text/plain\r\n\r\nfirst\r\n"
    "--A\r\nContent-Type: application/octet-stream\r\n\r\nsecond\r\n"
    "--A\r\nContent-Type: message/rfc822\r\n\r\n"
    "From: inner3@example\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"
    "--B\r\n\r\nthree one\r\n"
    "--B\r\nContent-Type: application/octet-stream\r\n\r\nthree two\r\n"
    "--B--\r\n\r\n"
    "--A\r\nContent-Type: multipart/mixed; boundary=C\r\n\r\n"
    "--C\r\nContent-Type: image/gif\r\n\r\nfour one\r\n"
    "--C\r\nContent-Type: message/rfc822\r\n\r\n"
    "From: inner42@example\r\nTo: b@example\r\nContent-Type: multipart/mixed; boundary=D\r\n\r\n"
    "--D\r\nContent-Type: text/plain\r\n\r\nfour two one\r\n"
    "--D\r\nContent-Type: multipart/alternative; boundary=E\r\n\r\n"
    "--E\r\nContent-Type: text/plain\r\n\r\nfour two two one\r\n"
    "--E\r\nContent-Type: text/richtext\r\n\r\nfour two two two\r\n"
    "--E--\r\n"
    "--D--\r\n"
    "--C--\r\n"
    "--A--\r\n";

static lmail_str octets_of(script *h, const char *text)
{
    if (strcmp(text, "@nested") == 0)
        return lmail_str_from(nested);
    if (strncmp(text, "@body ", 6) == 0) {
        static const char header[] = "From: a@example\r\nSubject: long\r\n\r\n";
        size_t n = strtoul(text + 6, NULL, 10);
        script_buffer b = {0};
        script_buffer_add(&b, header, sizeof header - 1);
        for (size_t i = 0; i < n; i++)
            script_buffer_add(&b, "x", 1);
        return (lmail_str){b.ptr, b.len}; /* the caller frees it */
    }
    return script_octets(h, text);
}

static lmail_flags flags_of(const char *letters, int *recent)
{
    lmail_flags flags = 0;
    *recent = 0;
    for (; *letters && *letters != ' '; letters++) {
        static const char names[] = "SAFDT";
        const char *at = strchr(names, *letters);
        if (at)
            flags |= (lmail_flags)1 << (at - names);
        *recent |= *letters == 'R';
    }
    return flags;
}

static void add_message(script *h, imap_box_script *b, const char *text)
{
    char *end;
    int recent;
    lmail_uid uid = (lmail_uid)strtoul(text, &end, 10);
    lmail_flags flags = flags_of(++end, &recent);
    const char *octets = strchr(end, ' ');
    octets = octets ? octets + 1 : "";
    lmail_str made = octets_of(h, octets);
    imap_box_add(&b->box, uid, flags, made);
    if (strncmp(octets, "@body ", 6) == 0)
        free((void *)(uintptr_t)made.ptr);
    if (recent && lmail_uid_list_add(&b->recent, uid, uid))
        abort();
}

void imap_box_script_open(script *h, imap_box_script *b)
{
    char key[32];
    for (unsigned i = 1;; i++) {
        snprintf(key, sizeof key, "message.%u", i);
        const char *text = script_get(h, key);
        if (!text)
            break;
        add_message(h, b, text);
    }
    const char *range = script_get(h, "messages");
    if (!range)
        return;
    char *end;
    unsigned long first = strtoul(range, &end, 10), last = strtoul(end + (*end == ':'), NULL, 10);
    for (unsigned long uid = first; uid <= last; uid++)
        imap_box_add(&b->box, (lmail_uid)uid, uid % 2 ? LMAIL_FLAG_SEEN : 0,
                     LMAIL_STR("From: a@example\r\n\r\nplain\r\n"));
}

void imap_box_script_close(imap_box_script *b)
{
    if (b->lent) {
        fprintf(stderr, "imap_box_script: octets of ticket %llu were never released\n",
                (unsigned long long)b->lent->ticket);
        abort();
    }
    lmail_uid_list_free(&b->recent);
    imap_box_done(&b->box);
}

int imap_box_script_action(imap_box_script *b, const char *words)
{
    if (strncmp(words, "gone ", 5) != 0)
        return 0;
    imap_box_message *m = imap_box_find(&b->box, (lmail_uid)strtoul(words + 5, NULL, 10));
    if (m)
        m->gone = 1;
    return m != NULL;
}

/* ---- Descriptions ---------------------------------------------------------------------------- */

static void say(script_buffer *b, const char *text)
{
    script_buffer_add(b, text, strlen(text));
}

static void say_u64(script_buffer *b, uint64_t n)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    say(b, text);
}

static void say_set(script_buffer *b, lmail_uid_set set)
{
    for (size_t i = 0; i < set.count; i++) {
        if (i)
            say(b, ",");
        say_u64(b, set.ranges[i].first);
        if (set.ranges[i].last == set.ranges[i].first)
            continue;
        say(b, ":");
        say_u64(b, set.ranges[i].last);
    }
}

/* Ends the text and keeps it as long as the script. */
static const char *said(script *h, script_buffer *b)
{
    script_buffer_add(b, "", 1);
    const char *kept = script_keep(h, b->ptr);
    free(b->ptr);
    return kept;
}

static const char *describe_fetch(script *h, const lmail_imap_fetch_event *ev)
{
    static const struct {
        unsigned bit;
        const char *name;
    } items[] = {{LMAIL_IMAP_ITEM_FLAGS, " FLAGS"},
                 {LMAIL_IMAP_ITEM_INTERNALDATE, " INTERNALDATE"},
                 {LMAIL_IMAP_ITEM_SIZE, " SIZE"},
                 {LMAIL_IMAP_ITEM_ENVELOPE, " ENVELOPE"},
                 {LMAIL_IMAP_ITEM_BODYSTRUCTURE, " BODYSTRUCTURE"},
                 {LMAIL_IMAP_ITEM_PARTS, " PARTS"}};
    script_buffer b = {0};
    say(&b, "fetch ");
    say_set(&b, ev->uids);
    for (size_t i = 0; i < sizeof items / sizeof *items; i++)
        if (ev->items & items[i].bit)
            say(&b, items[i].name);
    if (ev->items & LMAIL_IMAP_ITEM_FIELDS) {
        say(&b, " FIELDS(");
        for (size_t i = 0; i < ev->field_count; i++) {
            say(&b, i ? "," : "");
            say(&b, script_text(h, ev->fields[i]));
        }
        say(&b, ")");
    }
    return said(h, &b);
}

static void say_key(script *h, script_buffer *b, const lmail_search *k)
{
    static const char *const names[] = {"?",     "all",        "and",     "or",        "not",
                                        "uids",  "flag",       "keyword", "header",    "body",
                                        "text",  "larger",     "smaller", "before",    "on",
                                        "since", "sentbefore", "senton",  "sentsince", "modseq"};
    say(b, names[k->op]);
    if (k->op == LMAIL_SEARCH_ALL)
        return;
    say(b, "(");
    for (const lmail_search *c = k->child; c; c = c->next) {
        say_key(h, b, c);
        say(b, c->next ? " " : "");
    }
    say_set(b, k->set);
    if (k->flags)
        say_u64(b, k->flags);
    if (k->field.len) {
        say(b, script_text(h, k->field));
        say(b, "=");
    }
    if (k->text.len)
        say(b, script_text(h, k->text));
    if (k->op == LMAIL_SEARCH_LARGER || k->op == LMAIL_SEARCH_SMALLER)
        say_u64(b, k->number);
    if (k->op >= LMAIL_SEARCH_BEFORE && k->op <= LMAIL_SEARCH_SENTSINCE)
        say_u64(b, (uint64_t)k->day);
    say(b, ")");
}

static const char *describe_search(script *h, const lmail_imap_search_event *ev)
{
    script_buffer b = {0};
    say(&b, "search ");
    say_set(&b, ev->uids);
    say(&b, " ");
    say_key(h, &b, ev->criteria);
    return said(h, &b);
}

static const char *describe_store(script *h, const lmail_imap_store_event *ev)
{
    script_buffer b = {0};
    say(&b, "store ");
    say_set(&b, ev->uids);
    say(&b, ev->mode == LMAIL_IMAP_STORE_ADD      ? " +"
            : ev->mode == LMAIL_IMAP_STORE_REMOVE ? " -"
                                                  : " ");
    say_u64(&b, ev->flags);
    for (size_t i = 0; i < ev->keywords.count; i++) {
        say(&b, " ");
        say(&b, script_text(h, ev->keywords.names[i]));
    }
    return said(h, &b);
}

/* ---- Answers --------------------------------------------------------------------------------- */

static int says_no(script *h, const char *text, lmail_imap_result *r)
{
    static const struct {
        const char *word;
        lmail_imap_code code;
    } codes[] = {
#define XX(name, value, word) {word, LMAIL_IMAP_CODE_##name},
        LMAIL_IMAP_CODE_MAP(XX)
#undef XX
    };
    if (strncmp(text, "no", 2) != 0 || (text[2] && text[2] != ' '))
        return 0;
    r->no = 1;
    text += text[2] ? 3 : 2;
    for (size_t i = 1; i < sizeof codes / sizeof *codes; i++) {
        size_t n = strlen(codes[i].word);
        if (strncmp(text, codes[i].word, n) == 0 && (!text[n] || text[n] == ' ')) {
            r->code = codes[i].code;
            text += text[n] ? n + 1 : n;
            break;
        }
    }
    r->text = lmail_str_from(script_keep(h, text));
    return 1;
}

static void fill_fetch(script *h, imap_box_script *b, const lmail_imap_fetch_event *ev,
                       const char *text, lmail_imap_fetch_answer *a)
{
    if (!says_no(h, text, &a->result))
        imap_box_fetch(&b->box, ev, strncmp(text, "take ", 5) ? 0 : strtoul(text + 5, NULL, 10), a);
}

static void fill_octets(script *h, imap_box_script *b, lmail_ticket t,
                        const lmail_imap_octets_event *ev, const char *text,
                        lmail_imap_octets_answer *a)
{
    if (says_no(h, text, &a->result) || strcmp(text, "none") == 0)
        return;
    imap_box_octets(&b->box, ev, strncmp(text, "piece ", 6) ? 0 : strtoul(text + 6, NULL, 10), a);
    if (!a->octets.len)
        return;
    imap_box_lent *l = malloc(sizeof *l);
    if (!l || !(l->octets = malloc(a->octets.len)))
        abort();
    memcpy(l->octets, a->octets.ptr, a->octets.len);
    a->octets.ptr = l->octets;
    l->ticket = t;
    l->next = b->lent;
    b->lent = l;
}

static void released(script *h, imap_box_script *b, lmail_ticket t)
{
    for (imap_box_lent **at = &b->lent; *at; at = &(*at)->next)
        if ((*at)->ticket == t) {
            imap_box_lent *l = *at;
            *at = l->next;
            free(l->octets);
            free(l);
            return;
        }
    script_fail(h, "released what was not lent");
}

static void fill_search(script *h, imap_box_script *b, const lmail_imap_search_event *ev,
                        const char *text, lmail_imap_search_answer *a)
{
    if (says_no(h, text, &a->result))
        return;
    if (strcmp(text, "ok") == 0) {
        imap_box_search(&b->box, ev, a);
        return;
    }
    b->box.found.count = 0;
    while (*text) {
        char *end;
        unsigned long first = strtoul(text, &end, 10), last = first;
        if (*end == ':')
            last = strtoul(end + 1, &end, 10);
        if (lmail_uid_list_add(&b->box.found, (lmail_uid)first, (lmail_uid)last))
            script_fail(h, "not a set: %s", text);
        text = *end ? end + 1 : end;
    }
    a->uids = lmail_uid_list_set(&b->box.found);
}

static void fill_store(script *h, imap_box_script *b, const lmail_imap_store_event *ev,
                       const char *text, lmail_imap_store_answer *a)
{
    if (!says_no(h, text, &a->result))
        imap_box_store(&b->box, ev, a);
}

/* ---- Callbacks ------------------------------------------------------------------------------- */

static imap_box_script *(*box_of)(script *h);

/* The event lives until the answer: a late answer reads it then. */
static lmail_status waits(script *h, int st, const void *ev)
{
    if (st == LMAIL_PENDING)
        h->pending->data = (void *)(uintptr_t)ev;
    return (lmail_status)st;
}

static lmail_status on_fetch(lmail_imap_server *s, void *user, lmail_ticket t,
                             const lmail_imap_fetch_event *ev, lmail_imap_fetch_answer *a)
{
    (void)s;
    script *h = user;
    int st;
    const char *text = script_ask(h, t, IMAP_BOX_FETCH, "ok", &st, "%s", describe_fetch(h, ev));
    if (st == LMAIL_OK)
        fill_fetch(h, box_of(h), ev, text, a);
    return waits(h, st, ev);
}

static lmail_status on_octets(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_octets_event *ev, lmail_imap_octets_answer *a)
{
    (void)s;
    script *h = user;
    int st;
    const char *text = script_ask(h, t, IMAP_BOX_OCTETS, "ok", &st, "octets %u %llu+%llu", ev->uid,
                                  (unsigned long long)ev->offset, (unsigned long long)ev->want);
    if (st == LMAIL_OK)
        fill_octets(h, box_of(h), t, ev, text, a);
    return waits(h, st, ev);
}

static void on_released(lmail_imap_server *s, void *user, lmail_ticket t)
{
    (void)s;
    released(user, box_of(user), t);
}

static lmail_status on_store(lmail_imap_server *s, void *user, lmail_ticket t,
                             const lmail_imap_store_event *ev, lmail_imap_store_answer *a)
{
    (void)s;
    script *h = user;
    int st;
    const char *text = script_ask(h, t, IMAP_BOX_STORE, "ok", &st, "%s", describe_store(h, ev));
    if (st == LMAIL_OK)
        fill_store(h, box_of(h), ev, text, a);
    return waits(h, st, ev);
}

static lmail_status on_search(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_search_event *ev, lmail_imap_search_answer *a)
{
    (void)s;
    script *h = user;
    int st;
    const char *text = script_ask(h, t, IMAP_BOX_SEARCH, "ok", &st, "%s", describe_search(h, ev));
    if (st == LMAIL_OK)
        fill_search(h, box_of(h), ev, text, a);
    return waits(h, st, ev);
}

void imap_box_script_handler(script *h, lmail_imap_server_handler *to,
                             imap_box_script *(*find)(script *h))
{
    box_of = find;
    to->on_octets = on_octets;
    to->on_released = on_released;
    to->on_search = on_search;
    const char *first = script_get(h, "message.1");
    first = first ? strchr(first, ' ') : NULL;
    if (!first || !strchr(first + 1, ' '))
        return;
    to->on_fetch = on_fetch;
    to->on_store = on_store;
}

int imap_box_script_answer(script *h, imap_box_script *b, const script_question *q,
                           const char *text, lmail_msec now, lmail_status *st)
{
    lmail_imap_server *s = (lmail_imap_server *)(void *)h->session;
    lmail_imap_fetch_answer fetch = LMAIL_IMAP_FETCH_ANSWER_INIT;
    lmail_imap_octets_answer octets = LMAIL_IMAP_OCTETS_ANSWER_INIT;
    lmail_imap_store_answer store = LMAIL_IMAP_STORE_ANSWER_INIT;
    lmail_imap_search_answer search = LMAIL_IMAP_SEARCH_ANSWER_INIT;
    switch (q->kind) {
    case IMAP_BOX_FETCH:
        fill_fetch(h, b, q->data, text, &fetch);
        *st = lmail_imap_server_answer_fetch(s, q->ticket, &fetch, now);
        return 1;
    case IMAP_BOX_OCTETS:
        fill_octets(h, b, q->ticket, q->data, text, &octets);
        *st = lmail_imap_server_answer_octets(s, q->ticket, &octets, now);
        if (*st == LMAIL_ERR_STALE && octets.octets.len) /* never the session's */
            released(h, b, q->ticket);
        return 1;
    case IMAP_BOX_STORE:
        fill_store(h, b, q->data, text, &store);
        *st = lmail_imap_server_answer_store(s, q->ticket, &store, now);
        return 1;
    case IMAP_BOX_SEARCH:
        fill_search(h, b, q->data, text, &search);
        *st = lmail_imap_server_answer_search(s, q->ticket, &search, now);
        return 1;
    default:
        return 0;
    }
}
