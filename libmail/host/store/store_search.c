/* store_search.c - SEARCH over any store (RFC 9051 §6.4.4).
 *
 * A tree is judged in three values: yes, no, not known yet. Every message is judged first by what
 * the snapshot says; those left open by their row (dates, size, common header fields); those still
 * open by their octets, read once for all text keys together. Works through the table's own fetch
 * and read, so every backend gives the same results. */
#include "host/store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#define DAY 86400
#define READ_PIECE 65536u

typedef enum verdict { NO = 0, YES = 1, OPEN = 2 } verdict;

/* A field key that a row can answer: its pattern folded once. */
typedef struct pattern {
    const lmail_search *key;
    char *text;
    size_t len;
    int ascii;
} pattern;

typedef struct search {
    const lmail_store *store;
    lmail_store_mailbox *m;
    const lmail_env *env;
    const lmail_snapshot *snapshot;
    lmail_uid_set recent;
    const lmail_search *tree;
    lmail_mime_matcher *matcher; /* made when the first message needs it */
    pattern *patterns;
    size_t pattern_count;
    unsigned items; /* what the rows must carry */
    char *scratch;  /* folded text of one field */
    size_t scratch_size;
    lmail_uid_list open; /* left open by the stage that runs */
    lmail_uid_list *out;
    char *piece;
    lmail_status failed;
} search;

/* One message as far as it is known. */
typedef struct message {
    lmail_uid uid;
    lmail_flags flags;
    lmail_modseq modseq;
    const lmail_mailbox_row *row;     /* or NULL */
    const lmail_mime_summary *fields; /* or NULL: then the octets decide */
    int matched;                      /* the matcher has read it */
} message;

/* ---- Keys that a row answers ----------------------------------------------------------------- */

static const lmail_str *field_of(lmail_str name, const lmail_mime_summary *s)
{
    const struct {
        const char *name;
        const lmail_str *value;
    } known[] = {{"From", &s->from},
                 {"To", &s->to},
                 {"Cc", &s->cc},
                 {"Bcc", &s->bcc},
                 {"Subject", &s->subject}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (lmail_str_equal_nocase(name, lmail_str_from(known[i].name)))
            return known[i].value;
    }
    return NULL;
}

/* "a field that is there": rows cannot tell an empty field from a missing one. */
static int row_answers(const lmail_search *k)
{
    lmail_mime_summary none = {0};
    return k->op == LMAIL_SEARCH_HEADER && k->text.len > 0 && field_of(k->field, &none);
}

static int is_ascii(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)p[i] >= 0x80)
            return 0;
    }
    return 1;
}

static void lower(char *out, const char *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(in[i] >= 'A' && in[i] <= 'Z' ? in[i] + 32 : in[i]);
}

static int contains(const char *text, size_t n, const char *what, size_t len)
{
    const char *p = text, *end = text + n;
    if (len == 0)
        return 1;
    while ((size_t)(end - p) >= len && (p = memchr(p, what[0], (size_t)(end - p) - len + 1))) {
        if (memcmp(p, what, len) == 0)
            return 1;
        p++;
    }
    return 0;
}

static const pattern *pattern_of(const search *s, const lmail_search *key)
{
    for (size_t i = 0; i < s->pattern_count; i++) {
        if (s->patterns[i].key == key)
            return &s->patterns[i];
    }
    return NULL;
}

static int scratch_for(search *s, size_t n)
{
    if (n <= s->scratch_size)
        return 1;
    char *p = realloc(s->scratch, n);
    if (!p) {
        s->failed = LMAIL_ERR_NOMEM;
        return 0;
    }
    s->scratch = p;
    s->scratch_size = n;
    return 1;
}

static verdict field_matches(search *s, const lmail_search *key, const lmail_mime_summary *fields)
{
    const pattern *p = pattern_of(s, key);
    const lmail_str *value = field_of(key->field, fields);
    if (!p || !value)
        return OPEN;
    int ascii = is_ascii(value->ptr, value->len);
    if (!scratch_for(s, value->len * 4 + 32))
        return NO;
    size_t n = value->len;
    if (ascii && p->ascii)
        lower(s->scratch, value->ptr, n);
    else if (s->env && s->env->fold) {
        if (s->env->fold(s->env->ctx, *value, s->scratch, s->scratch_size, &n))
            return OPEN;
        if (p->ascii) /* folding may give upper case (RFC 5051 does), the pattern is lower */
            lower(s->scratch, s->scratch, n);
    } else
        lower(s->scratch, value->ptr, n);
    return contains(s->scratch, n, p->text, p->len) ? YES : NO;
}

static int32_t day_of(const lmail_mailbox_row *row)
{
    int64_t local = row->date + (int64_t)row->date_zone * 60;
    int64_t day = local / DAY;
    return (int32_t)(local % DAY < 0 ? day - 1 : day);
}

static verdict compare_day(lmail_search_op op, int32_t day, int32_t wanted)
{
    switch (op) {
    case LMAIL_SEARCH_BEFORE:
    case LMAIL_SEARCH_SENTBEFORE:
        return day < wanted;
    case LMAIL_SEARCH_ON:
    case LMAIL_SEARCH_SENTON:
        return day == wanted;
    default:
        return day >= wanted;
    }
}

/* ---- Judging --------------------------------------------------------------------------------- */

static verdict judge(search *s, const lmail_search *k, const message *m);

static verdict judge_list(search *s, const lmail_search *k, const message *m, verdict ends)
{
    verdict v = ends == NO ? YES : NO;
    for (k = k->child; k; k = k->next) {
        verdict one = judge(s, k, m);
        if (one == ends)
            return ends;
        if (one == OPEN)
            v = OPEN;
    }
    return v;
}

static verdict judge_keyword(const search *s, const lmail_search *k, const message *m)
{
    const lmail_keywords words = lmail_snapshot_facts(s->snapshot)->keywords;
    size_t i = lmi_keyword_find(words, k->text);
    return i < words.count && (m->flags >> (LMAIL_FLAG_KEYWORD_SHIFT + i) & 1) ? YES : NO;
}

static verdict judge_text(search *s, const lmail_search *k, const message *m)
{
    if (m->matched)
        return lmail_mime_matcher_result(s->matcher, k) ? YES : NO;
    return m->fields && row_answers(k) ? field_matches(s, k, m->fields) : OPEN;
}

static verdict judge(search *s, const lmail_search *k, const message *m)
{
    verdict v;
    switch (k->op) {
    case LMAIL_SEARCH_ALL:
        return YES;
    case LMAIL_SEARCH_AND:
        return judge_list(s, k, m, NO);
    case LMAIL_SEARCH_OR:
        return judge_list(s, k, m, YES);
    case LMAIL_SEARCH_NOT:
        v = judge_list(s, k, m, NO);
        return v == OPEN ? OPEN : v == YES ? NO : YES;
    case LMAIL_SEARCH_UIDS:
        return lmail_uid_set_has(k->set, m->uid) ? YES : NO;
    case LMAIL_SEARCH_FLAG:
        return (m->flags & k->flags) == k->flags ? YES : NO;
    case LMAIL_SEARCH_KEYWORD:
        return judge_keyword(s, k, m);
    case LMAIL_SEARCH_MODSEQ:
        return m->modseq >= k->number ? YES : NO;
    case LMAIL_SEARCH_HEADER:
    case LMAIL_SEARCH_BODY:
    case LMAIL_SEARCH_TEXT:
        return judge_text(s, k, m);
    case LMAIL_SEARCH_LARGER:
        return !m->row ? OPEN : m->row->size > k->number ? YES : NO;
    case LMAIL_SEARCH_SMALLER:
        return !m->row ? OPEN : m->row->size < k->number ? YES : NO;
    case LMAIL_SEARCH_BEFORE:
    case LMAIL_SEARCH_ON:
    case LMAIL_SEARCH_SINCE:
        return !m->row ? OPEN : compare_day(k->op, day_of(m->row), k->day);
    case LMAIL_SEARCH_SENTBEFORE:
    case LMAIL_SEARCH_SENTON:
    case LMAIL_SEARCH_SENTSINCE:
        if (!m->row)
            return OPEN;
        /* RFC 9051 §6.4.4: the Date: field; without one nothing matches */
        return m->fields && m->fields->has_date ? compare_day(k->op, m->fields->date_day, k->day)
                                                : NO;
    default:
        return NO;
    }
}

static void settle(search *s, verdict v, lmail_uid uid)
{
    lmail_status st = LMAIL_OK;
    if (v == YES)
        st = lmail_uid_list_add(s->out, uid, uid);
    else if (v == OPEN)
        st = lmail_uid_list_add(&s->open, uid, uid);
    if (st)
        s->failed = st;
}

static void from_snapshot(const search *s, lmail_uid uid, message *m)
{
    *m = (message){.uid = uid};
    (void)lmail_snapshot_get(s->snapshot, uid, &m->flags, &m->modseq);
    if (lmail_uid_set_has(s->recent, uid))
        m->flags |= LMAIL_FLAG_RECENT;
}

/* ---- Stage 1: the snapshot ------------------------------------------------------------------- */

static lmail_status by_snapshot(search *s)
{
    lmail_snapshot_rows rows;
    for (size_t leaf = 0; !lmail_snapshot_leaf(s->snapshot, leaf, &rows); leaf++) {
        for (size_t i = 0; i < rows.count && !s->failed; i++) {
            message m = {.uid = rows.uids[i], .flags = rows.flags[i], .modseq = rows.modseqs[i]};
            if (s->recent.count && lmail_uid_set_has(s->recent, m.uid))
                m.flags |= LMAIL_FLAG_RECENT;
            settle(s, judge(s, s->tree, &m), m.uid);
        }
    }
    return s->failed;
}

/* ---- Stage 2: rows --------------------------------------------------------------------------- */

static int on_row(void *user, const lmail_mailbox_row *row)
{
    search *s = user;
    lmail_mime_summary fields;
    message m;
    from_snapshot(s, row->uid, &m);
    m.row = row;
    if ((s->items & LMAIL_ROW_FIELDS) && !lmail_fields_read(row->fields, &fields))
        m.fields = &fields;
    settle(s, judge(s, s->tree, &m), row->uid);
    return s->failed != 0;
}

static lmail_status by_rows(search *s, lmail_uid_set uids)
{
    lmail_fetch_args args = LMAIL_FETCH_ARGS_INIT;
    lmail_uid next = 0;
    args.uids = uids;
    args.items = s->items;
    lmail_status st = s->store->fetch(s->m, &args, on_row, s, &next);
    return s->failed ? s->failed : st;
}

/* ---- Stage 3: octets ------------------------------------------------------------------------- */

typedef struct keep {
    search *s;
    message m;
    lmail_mime_summary fields;
    lmail_mailbox_row row;
} keep;

/* The row again, without its slices: dates and size are all that judging needs beside the text. */
static int on_keep(void *user, const lmail_mailbox_row *row)
{
    keep *k = user;
    k->row = *row;
    k->m.row = &k->row;
    if ((k->s->items & LMAIL_ROW_FIELDS) && !lmail_fields_read(row->fields, &k->fields))
        k->m.fields = &k->fields;
    return 0;
}

static lmail_status match_octets(search *s, lmail_uid uid)
{
    lmail_status st = LMAIL_OK;
    lmail_mime_matcher_reset(s->matcher);
    for (uint64_t at = 0;;) {
        size_t got = 0;
        st = s->store->read(s->m, uid, at, s->piece, READ_PIECE, 0, &got);
        if (st || got == 0)
            break;
        st = lmail_mime_matcher_feed(s->matcher, lmi_str(s->piece, got));
        if (st || got < READ_PIECE)
            break;
        at += got;
    }
    if (st == LMAIL_END || !st)
        st = lmail_mime_matcher_end(s->matcher);
    return st;
}

static lmail_status by_octets(search *s, lmail_uid uid)
{
    keep k = {.s = s};
    lmail_status st = LMAIL_OK;
    from_snapshot(s, uid, &k.m);
    if (s->items) {
        lmail_uid_range one = {uid, uid};
        lmail_fetch_args args = LMAIL_FETCH_ARGS_INIT;
        lmail_uid next;
        args.uids = (lmail_uid_set){&one, 1};
        args.items = s->items;
        st = s->store->fetch(s->m, &args, on_keep, &k, &next);
    }
    if (!st)
        st = match_octets(s, uid);
    if (st == LMAIL_ERR_NOTFOUND)
        return LMAIL_OK; /* gone since the snapshot */
    if (st)
        return st;
    k.m.matched = 1;
    settle(s, judge(s, s->tree, &k.m) == YES ? YES : NO, uid);
    return s->failed;
}

static lmail_status read_all(search *s, lmail_uid_set uids)
{
    lmail_mime_config config = LMAIL_MIME_CONFIG_INIT;
    config.env = s->env;
    lmail_status st = lmail_mime_matcher_new(&s->matcher, &config, s->tree);
    s->piece = st ? NULL : malloc(READ_PIECE);
    if (!st && !s->piece)
        st = LMAIL_ERR_NOMEM;
    for (size_t i = 0; !st && i < uids.count; i++) {
        for (uint64_t uid = uids.ranges[i].first; !st && uid <= uids.ranges[i].last; uid++)
            st = by_octets(s, (lmail_uid)uid);
    }
    return st;
}

/* ---- Preparation ----------------------------------------------------------------------------- */

static lmail_status add_pattern(search *s, const lmail_search *k)
{
    pattern *list = realloc(s->patterns, (s->pattern_count + 1) * sizeof *list);
    if (!list)
        return LMAIL_ERR_NOMEM;
    s->patterns = list;
    pattern *p = &list[s->pattern_count];
    size_t cap = k->text.len * 4 + 32;
    p->key = k;
    p->len = k->text.len;
    p->text = malloc(cap);
    if (!p->text)
        return LMAIL_ERR_NOMEM;
    s->pattern_count++;
    int folded =
        s->env && s->env->fold && !s->env->fold(s->env->ctx, k->text, p->text, cap, &p->len);
    if (!folded)
        p->len = k->text.len, lower(p->text, k->text.ptr, k->text.len);
    /* A pattern that folds to ASCII meets ASCII text on the short way; both are lower case then. */
    p->ascii = is_ascii(p->text, p->len);
    if (p->ascii)
        lower(p->text, p->text, p->len);
    return LMAIL_OK;
}

/* What do the rows have to carry, and are octets needed at all? */
static lmail_status prepare(search *s, const lmail_search *k)
{
    lmail_status st = LMAIL_OK;
    for (; k && !st; k = k->next) {
        if (k->op == LMAIL_SEARCH_LARGER || k->op == LMAIL_SEARCH_SMALLER)
            s->items |= LMAIL_ROW_SIZE;
        else if (k->op >= LMAIL_SEARCH_BEFORE && k->op <= LMAIL_SEARCH_SINCE)
            s->items |= LMAIL_ROW_DATE;
        else if (k->op >= LMAIL_SEARCH_SENTBEFORE && k->op <= LMAIL_SEARCH_SENTSINCE)
            s->items |= LMAIL_ROW_FIELDS;
        else if (row_answers(k) && (s->store->capabilities & LMAIL_STORE_KEEPS_FIELDS)) {
            s->items |= LMAIL_ROW_FIELDS;
            st = add_pattern(s, k);
        }
        if (!st && k->child)
            st = prepare(s, k->child);
        if (k == s->tree)
            break;
    }
    return st;
}

lmail_status lmi_store_search(const lmail_store *store, lmail_store_mailbox *m,
                              const lmail_env *env, const lmail_snapshot *snapshot,
                              const lmail_search *tree, lmail_uid_set recent, lmail_uid_list *out)
{
    search s = {.store = store,
                .m = m,
                .env = env,
                .snapshot = snapshot,
                .recent = recent,
                .tree = tree,
                .out = out};
    *out = (lmail_uid_list){0};
    lmail_status st = prepare(&s, tree);
    if (!st)
        st = by_snapshot(&s);
    lmail_uid_list open = s.open;
    if (!st && open.count && s.items) {
        s.open = (lmail_uid_list){0};
        st = by_rows(&s, lmail_uid_list_set(&open));
        lmail_uid_list_free(&open);
        open = s.open;
    }
    s.open = (lmail_uid_list){0};
    if (!st && open.count)
        st = read_all(&s, lmail_uid_list_set(&open));
    lmail_uid_list_free(&open);
    lmail_uid_list_free(&s.open);
    lmail_mime_matcher_free(s.matcher);
    for (size_t i = 0; i < s.pattern_count; i++)
        free(s.patterns[i].text);
    free(s.patterns);
    free(s.scratch);
    free(s.piece);
    return st;
}
