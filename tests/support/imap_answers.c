/* imap_answers.c - the scripted IMAP host's mailboxes, and its answers read out of texts.
 *
 * Reading an answer also does what it says: what a store or an expunge changes here, a later fetch
 * shows. */
#include "support/imap_answers.h"

#include "support/auth_script.h"

#include <stdlib.h>
#include <string.h>

imap_host *imap_host_of(script *h)
{
    return h->data;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

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
    lmail_uid_list *l = &imap_host_of(h)->sets[imap_host_of(h)->sets_used++ % 4];
    l->count = 0;
    read_set(h, text, l);
    return lmail_uid_list_set(l);
}

static size_t read_keywords(script *h, const char *text)
{
    imap_host *o = imap_host_of(h);
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

/* ---- Messages -------------------------------------------------------------------------------- */

static imap_message *find(imap_host *o, lmail_uid uid)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->messages[i].uid == uid)
            return &o->messages[i];
    return NULL;
}

static void add_message(imap_host *o, lmail_uid uid, lmail_flags flags)
{
    if (find(o, uid))
        return;
    o->messages = realloc(o->messages, (o->count + 1) * sizeof *o->messages);
    if (!o->messages)
        abort();
    o->messages[o->count++] = (imap_message){uid, flags};
}

static void drop_messages(imap_host *o, lmail_uid_set gone)
{
    size_t kept = 0;
    for (size_t i = 0; i < o->count; i++)
        if (!lmail_uid_set_has(gone, o->messages[i].uid))
            o->messages[kept++] = o->messages[i];
    o->count = kept;
}

void imap_load_messages(script *h)
{
    imap_host *o = imap_host_of(h);
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

void imap_read_change(script *h, const char *text, lmail_imap_change *c)
{
    const char *rest;
    memset(c, 0, sizeof *c);
    c->size = sizeof *c;
    if (script_says(text, "new", &rest)) {
        c->kind = LMAIL_IMAP_CHANGE_NEW;
        c->uids = some_set(h, next_word(h, &rest));
        const char *recent = next_word(h, &rest);
        c->recent = some_set(h, recent ? recent : "");
        for (size_t i = 0; i < c->uids.count; i++)
            for (lmail_uid u = c->uids.ranges[i].first; u <= c->uids.ranges[i].last; u++)
                add_message(imap_host_of(h), u, 0);
    } else if (script_says(text, "flags", &rest)) {
        c->kind = LMAIL_IMAP_CHANGE_FLAGS;
        c->uids = some_set(h, next_word(h, &rest));
        const char *flags = next_word(h, &rest);
        for (size_t i = 0; flags && i < imap_host_of(h)->count; i++)
            if (lmail_uid_set_has(c->uids, imap_host_of(h)->messages[i].uid))
                imap_host_of(h)->messages[i].flags = read_flags(flags, NULL);
    } else if (script_says(text, "vanished", &rest)) {
        c->kind = LMAIL_IMAP_CHANGE_VANISHED;
        c->uids = some_set(h, next_word(h, &rest));
        drop_messages(imap_host_of(h), c->uids);
    } else if (script_says(text, "keywords", &rest)) {
        c->kind = LMAIL_IMAP_CHANGE_KEYWORDS;
        read_keywords(h, next_word(h, &rest));
        c->keywords = (lmail_keywords){imap_host_of(h)->keywords, imap_host_of(h)->keyword_count};
        c->permanent = ~(lmail_flags)0;
        c->new_keywords = 1;
    } else if (script_says(text, "gone", &rest)) {
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
        if (script_says(*text, codes[i].word, text))
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
        imap_read_change(h, text, &imap_host_of(h)->changes[n++]);
        free(text);
    }
    r->changes = imap_host_of(h)->changes;
    r->change_count = n;
    char *copy = bar ? strndup(answer, (size_t)(bar - answer)) : strdup(answer);
    answer = script_keep(h, copy);
    free(copy);
    if (script_says(answer, "no", &rest)) {
        r->no = 1;
        r->code = code_of(&rest);
        r->text = script_octets(h, rest);
        return NULL;
    }
    if (script_says(answer, "ok", &rest))
        return rest;
    return answer;
}

void imap_read_plain(script *h, const char *text, lmail_imap_answer *a)
{
    read_result(h, text, &a->result);
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

void imap_read_namespace(script *h, const char *text, lmail_imap_namespace_answer *a)
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

void imap_load_rows(script *h)
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
    imap_host *o = imap_host_of(h);
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

void imap_read_list(script *h, const char *text, const lmail_imap_list_event *ev,
                    lmail_imap_list_answer *a)
{
    imap_host *o = imap_host_of(h);
    const char *rest = read_result(h, text, &a->result);
    if (!rest)
        return;
    size_t from = (size_t)ev->resume, max = ev->max;
    if (script_says(rest, "take", &rest))
        max = strtoul(rest, NULL, 10);
    a->rows = o->rows + from;
    a->count = o->row_count - from < max ? o->row_count - from : max;
    if (from + a->count < o->row_count)
        a->resume = from + a->count;
}

void imap_read_status(script *h, const char *text, lmail_imap_status_answer *a)
{
    const char *rest = read_result(h, text, &a->result);
    if (rest)
        sscanf(rest, "%u %u %u %u %u", &a->messages, &a->recent, &a->uidnext, &a->uidvalidity,
               &a->unseen);
}

/* ---- The selected mailbox -------------------------------------------------------------------- */

void imap_read_select(script *h, const char *text, lmail_imap_select_answer *a)
{
    imap_host *o = imap_host_of(h);
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

void imap_read_fetch(script *h, const char *text, const lmail_imap_fetch_event *ev,
                     lmail_imap_fetch_answer *a)
{
    imap_host *o = imap_host_of(h);
    const char *rest = read_result(h, text, &a->result);
    if (!rest)
        return;
    size_t max = script_says(rest, "take", &rest) ? strtoul(rest, NULL, 10) : 512;
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

void imap_read_store(script *h, const char *text, const lmail_imap_store_event *ev,
                     lmail_imap_store_answer *a)
{
    imap_host *o = imap_host_of(h);
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
            imap_message *m = find(o, u);
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

void imap_read_copy(script *h, const char *text, const lmail_imap_copy_event *ev,
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
        drop_messages(imap_host_of(h), a->source);
}

void imap_read_expunge(script *h, const char *text, const lmail_imap_expunge_event *ev,
                       lmail_imap_expunge_answer *a)
{
    imap_host *o = imap_host_of(h);
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

void imap_read_append(script *h, const char *text, lmail_imap_append_answer *a)
{
    const char *rest = read_result(h, text, &a->result);
    const char *validity = rest ? next_word(h, &rest) : NULL;
    if (!validity)
        return;
    a->uidvalidity = (uint32_t)strtoul(validity, NULL, 10);
    a->uids = some_set(h, next_word(h, &rest));
}
