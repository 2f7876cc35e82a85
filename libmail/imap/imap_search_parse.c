/* imap_search_parse.c - search keys.
 *
 * RFC 3501 §6.4.4 and §9, search-key. One table: word, reader of its arguments, and what it makes.
 * Sequence sets become UID sets, RECENT becomes the UIDs the session knows to be recent, NEW, OLD
 * and the UN-forms become combinations, so that a host has few operators to know. Depth and number
 * of keys are limited. Called by imap_cmd_search.c. */
#include "imap/imap_search.h"

#include <string.h>

typedef struct word word;
struct word {
    lmail_str name;
    lmail_status (*read)(lmi_search_reader *r, const word *w, lmail_search **out);
    lmail_search_op op;
    unsigned negated;
    lmail_flags flags;
    lmail_str field;
};

static lmail_status read_key(lmi_search_reader *r, lmail_search **out);

/* ---- Readers of arguments -------------------------------------------------------------------- */

static lmail_status negate(lmi_search_reader *r, const word *w, lmail_search **key)
{
    lmail_status st = LMAIL_OK;
    if (w->negated)
        *key = lmi_search_not(r, *key, &st);
    return st;
}

static lmail_status read_flag(lmi_search_reader *r, const word *w, lmail_search **out)
{
    lmail_status st = LMAIL_OK;
    lmail_search *n = *out = lmi_search_node(r, w->op, &st);
    if (!n)
        return st;
    n->flags = w->flags;
    return negate(r, w, out);
}

static lmail_status read_text(lmi_search_reader *r, const word *w, lmail_search **out)
{
    lmail_str text;
    lmail_status st = lmi_imap_sp(r->args);
    if (!st)
        st = lmi_imap_astring(r->args, &text);
    lmail_search *n = st ? NULL : lmi_search_node(r, w->op, &st);
    if (!n)
        return st;
    n->field = w->field;
    *out = n;
    return lmi_search_text(r, text, &n->text);
}

static lmail_status read_header(lmi_search_reader *r, const word *w, lmail_search **out)
{
    lmail_str field;
    lmail_status st = lmi_imap_sp(r->args);
    if (!st)
        st = lmi_imap_astring(r->args, &field);
    if (st)
        return st;
    if (field.len == 0)
        return lmi_imap_expected(r->args, "the name of a header field");
    st = read_text(r, w, out);
    if (!st)
        (*out)->field = field;
    return st;
}

static lmail_status read_date(lmi_search_reader *r, const word *w, lmail_search **out)
{
    int32_t day;
    lmail_status st = lmi_imap_sp(r->args);
    if (!st)
        st = lmi_imap_date(r->args, &day);
    lmail_search *n = st ? NULL : lmi_search_node(r, w->op, &st);
    if (!n)
        return st;
    n->day = day;
    *out = n;
    return LMAIL_OK;
}

static lmail_status read_number(lmi_search_reader *r, const word *w, lmail_search **out)
{
    uint64_t number;
    lmail_status st = lmi_imap_sp(r->args);
    if (!st)
        st = lmi_imap_number64(r->args, &number);
    lmail_search *n = st ? NULL : lmi_search_node(r, w->op, &st);
    if (!n)
        return st;
    n->number = number;
    *out = n;
    return LMAIL_OK;
}

static lmail_status read_keyword(lmi_search_reader *r, const word *w, lmail_search **out)
{
    lmail_str name;
    lmail_status st = lmi_imap_sp(r->args);
    if (!st)
        st = lmi_imap_atom(r->args, &name);
    lmail_search *n = *out = st ? NULL : lmi_search_node(r, LMAIL_SEARCH_KEYWORD, &st);
    if (!n)
        return st;
    n->text = name;
    return negate(r, w, out);
}

static lmail_status read_not(lmi_search_reader *r, const word *w, lmail_search **out)
{
    (void)w;
    lmail_status st = lmi_imap_sp(r->args);
    if (!st)
        st = read_key(r, out);
    if (!st)
        *out = lmi_search_not(r, *out, &st);
    return st;
}

static lmail_status read_or(lmi_search_reader *r, const word *w, lmail_search **out)
{
    (void)w;
    lmail_search *a, *b;
    lmail_status st = lmi_imap_sp(r->args);
    if (!st)
        st = read_key(r, &a);
    if (!st)
        st = lmi_imap_sp(r->args);
    if (!st)
        st = read_key(r, &b);
    if (st)
        return st;
    a->next = b;
    *out = lmi_search_join(r, LMAIL_SEARCH_OR, a, &st);
    return st;
}

/* ---- Sets ------------------------------------------------------------------------------------ */

/* Ranges with the smaller end first, in any order, to a UID set, in place: sorted by `first`,
 * joined. */
static size_t tidy(lmail_uid_range *p, size_t count)
{
    /* Shell sort: no recursion, no memory; sets come sorted from most clients. */
    for (size_t gap = count / 2; gap; gap = gap == 2 ? 1 : gap * 5 / 11)
        for (size_t i = gap; i < count; i++) {
            lmail_uid_range x = p[i];
            size_t k = i;
            for (; k >= gap && p[k - gap].first > x.first; k -= gap)
                p[k] = p[k - gap];
            p[k] = x;
        }
    size_t made = 0;
    for (size_t i = 0; i < count; i++) {
        if (made && p[i].first <= (uint64_t)p[made - 1].last + 1) {
            if (p[i].last > p[made - 1].last)
                p[made - 1].last = p[i].last;
        } else {
            p[made++] = p[i];
        }
    }
    return made;
}

/* The UIDs of a range of numbers. 0: there is no such message. The range of UIDs between two
 * messages of the view stands for those of the view between them, for nothing else is searched. */
static int span(const lmi_search_reader *r, int uid, lmi_imap_seq seq, lmail_uid_range *out)
{
    const lmi_imap_view *v = &r->mbox->view;
    uint32_t star = uid ? lmi_imap_view_last(v) : v->total;
    uint32_t a = seq.first ? seq.first : star, b = seq.last ? seq.last : star;
    if (a > b) {
        uint32_t swap = a;
        a = b;
        b = swap;
    }
    if (!uid) {
        if (a == 0 || b > v->total)
            return 0;
        a = lmi_imap_view_uid(v, a);
        b = lmi_imap_view_uid(v, b);
    }
    *out = (lmail_uid_range){a ? a : 1, b ? b : 1};
    return 1;
}

static lmail_status read_set(lmi_search_reader *r, int uid, lmail_search **out)
{
    lmi_imap_set set;
    size_t from = r->args->at;
    lmail_status st = lmi_imap_sequence_set(r->args, &set);
    lmail_search *n = st ? NULL : lmi_search_node(r, LMAIL_SEARCH_UIDS, &st);
    if (!n)
        return st;
    *out = n;
    /* RFC 3501 §9 would have BAD for any number in an empty mailbox, but clients search 1:* without
     * looking; nothing can be found, and nothing is what they are told. */
    if (r->mbox->view.total == 0)
        return LMAIL_OK;
    lmail_uid_range *ranges = lmi_arena_get(r->args->arena, set.count * sizeof *ranges);
    if (!ranges)
        return lmi_arena_full(r->args->arena, set.count * sizeof *ranges) ? LMAIL_ERR_LIMIT
                                                                          : LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < set.count; i++)
        if (!span(r, uid, set.parts[i], &ranges[i])) {
            r->args->at = from;
            return lmi_imap_expected(r->args, "numbers of messages that are there");
        }
    n->set = (lmail_uid_set){ranges, tidy(ranges, set.count)};
    return LMAIL_OK;
}

static lmail_status read_uid(lmi_search_reader *r, const word *w, lmail_search **out)
{
    (void)w;
    lmail_status st = lmi_imap_sp(r->args);
    return st ? st : read_set(r, 1, out);
}

/* \Recent is this session's own affair (RFC 3501 §2.3.2). The set is copied: it may grow while the
 * host searches. */
static lmail_status recent_set(lmi_search_reader *r, lmail_search **out)
{
    lmail_status st = LMAIL_OK;
    lmail_uid_set set = lmail_uid_list_set(&r->mbox->recent);
    lmail_search *n = *out = lmi_search_node(r, LMAIL_SEARCH_UIDS, &st);
    if (!n)
        return st;
    if (!r->has_recent && set.count) {
        lmail_str copy;
        st = lmi_arena_copy(r->args->arena,
                            (lmail_str){(const char *)set.ranges, set.count * sizeof *set.ranges},
                            &copy);
        if (st)
            return st;
        r->recent = (lmail_uid_set){(const lmail_uid_range *)(const void *)copy.ptr, set.count};
    }
    r->has_recent = 1;
    n->set = r->recent;
    return LMAIL_OK;
}

static lmail_status read_recent(lmi_search_reader *r, const word *w, lmail_search **out)
{
    lmail_status st = recent_set(r, out);
    return st ? st : negate(r, w, out);
}

/* RFC 3501 §6.4.4: NEW is (RECENT UNSEEN). */
static lmail_status read_new(lmi_search_reader *r, const word *w, lmail_search **out)
{
    lmail_search *recent, *seen;
    lmail_status st = recent_set(r, &recent);
    seen = st ? NULL : lmi_search_node(r, LMAIL_SEARCH_FLAG, &st);
    if (!seen)
        return st;
    seen->flags = w->flags;
    recent->next = lmi_search_not(r, seen, &st);
    if (!st)
        *out = lmi_search_join(r, LMAIL_SEARCH_AND, recent, &st);
    return st;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

#define NAME(text)                                                                                 \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }
#define NO_FIELD                                                                                   \
    {                                                                                              \
        "", 0                                                                                      \
    }

static const word words[] = {
    {NAME("ALL"), read_flag, LMAIL_SEARCH_ALL, 0, 0, NO_FIELD},
    {NAME("ANSWERED"), read_flag, LMAIL_SEARCH_FLAG, 0, LMAIL_FLAG_ANSWERED, NO_FIELD},
    {NAME("BCC"), read_text, LMAIL_SEARCH_HEADER, 0, 0, NAME("BCC")},
    {NAME("BEFORE"), read_date, LMAIL_SEARCH_BEFORE, 0, 0, NO_FIELD},
    {NAME("BODY"), read_text, LMAIL_SEARCH_BODY, 0, 0, NO_FIELD},
    {NAME("CC"), read_text, LMAIL_SEARCH_HEADER, 0, 0, NAME("CC")},
    {NAME("DELETED"), read_flag, LMAIL_SEARCH_FLAG, 0, LMAIL_FLAG_DELETED, NO_FIELD},
    {NAME("DRAFT"), read_flag, LMAIL_SEARCH_FLAG, 0, LMAIL_FLAG_DRAFT, NO_FIELD},
    {NAME("FLAGGED"), read_flag, LMAIL_SEARCH_FLAG, 0, LMAIL_FLAG_FLAGGED, NO_FIELD},
    {NAME("FROM"), read_text, LMAIL_SEARCH_HEADER, 0, 0, NAME("FROM")},
    {NAME("HEADER"), read_header, LMAIL_SEARCH_HEADER, 0, 0, NO_FIELD},
    {NAME("KEYWORD"), read_keyword, LMAIL_SEARCH_KEYWORD, 0, 0, NO_FIELD},
    {NAME("LARGER"), read_number, LMAIL_SEARCH_LARGER, 0, 0, NO_FIELD},
    {NAME("NEW"), read_new, LMAIL_SEARCH_AND, 0, LMAIL_FLAG_SEEN, NO_FIELD},
    {NAME("NOT"), read_not, LMAIL_SEARCH_NOT, 0, 0, NO_FIELD},
    {NAME("OLD"), read_recent, LMAIL_SEARCH_UIDS, 1, 0, NO_FIELD},
    {NAME("ON"), read_date, LMAIL_SEARCH_ON, 0, 0, NO_FIELD},
    {NAME("OR"), read_or, LMAIL_SEARCH_OR, 0, 0, NO_FIELD},
    {NAME("RECENT"), read_recent, LMAIL_SEARCH_UIDS, 0, 0, NO_FIELD},
    {NAME("SEEN"), read_flag, LMAIL_SEARCH_FLAG, 0, LMAIL_FLAG_SEEN, NO_FIELD},
    {NAME("SENTBEFORE"), read_date, LMAIL_SEARCH_SENTBEFORE, 0, 0, NO_FIELD},
    {NAME("SENTON"), read_date, LMAIL_SEARCH_SENTON, 0, 0, NO_FIELD},
    {NAME("SENTSINCE"), read_date, LMAIL_SEARCH_SENTSINCE, 0, 0, NO_FIELD},
    {NAME("SINCE"), read_date, LMAIL_SEARCH_SINCE, 0, 0, NO_FIELD},
    {NAME("SMALLER"), read_number, LMAIL_SEARCH_SMALLER, 0, 0, NO_FIELD},
    {NAME("SUBJECT"), read_text, LMAIL_SEARCH_HEADER, 0, 0, NAME("SUBJECT")},
    {NAME("TEXT"), read_text, LMAIL_SEARCH_TEXT, 0, 0, NO_FIELD},
    {NAME("TO"), read_text, LMAIL_SEARCH_HEADER, 0, 0, NAME("TO")},
    {NAME("UID"), read_uid, LMAIL_SEARCH_UIDS, 0, 0, NO_FIELD},
    {NAME("UNANSWERED"), read_flag, LMAIL_SEARCH_FLAG, 1, LMAIL_FLAG_ANSWERED, NO_FIELD},
    {NAME("UNDELETED"), read_flag, LMAIL_SEARCH_FLAG, 1, LMAIL_FLAG_DELETED, NO_FIELD},
    {NAME("UNDRAFT"), read_flag, LMAIL_SEARCH_FLAG, 1, LMAIL_FLAG_DRAFT, NO_FIELD},
    {NAME("UNFLAGGED"), read_flag, LMAIL_SEARCH_FLAG, 1, LMAIL_FLAG_FLAGGED, NO_FIELD},
    {NAME("UNKEYWORD"), read_keyword, LMAIL_SEARCH_KEYWORD, 1, 0, NO_FIELD},
    {NAME("UNSEEN"), read_flag, LMAIL_SEARCH_FLAG, 1, LMAIL_FLAG_SEEN, NO_FIELD},
};

static lmail_status read_word(lmi_search_reader *r, lmail_search **out)
{
    lmail_str name;
    size_t from = r->args->at;
    if (lmi_imap_atom(r->args, &name) == LMAIL_OK)
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (lmail_str_equal_nocase(words[i].name, name))
                return words[i].read(r, &words[i], out);
    r->args->at = from;
    return lmi_imap_expected(r->args, "a search key");
}

/* Keys separated by blanks, joined by AND. */
static lmail_status read_list(lmi_search_reader *r, lmail_search **out)
{
    lmail_search *first = NULL;
    lmail_search *last = NULL;
    lmail_status st;
    do {
        lmail_search *key;
        st = read_key(r, &key);
        if (st)
            return st;
        if (last)
            last->next = key;
        else
            first = key;
        last = key;
    } while (lmi_imap_skip(r->args, ' '));
    *out = lmi_search_join(r, LMAIL_SEARCH_AND, first, &st);
    return st;
}

static lmail_status read_group(lmi_search_reader *r, lmail_search **out)
{
    lmail_status st = read_list(r, out);
    return st ? st : lmi_imap_char(r->args, ')');
}

static lmail_status read_key(lmi_search_reader *r, lmail_search **out)
{
    int c = lmi_imap_peek(r->args);
    if (++r->keys > LMI_SEARCH_MAX_KEYS || r->depth == LMI_SEARCH_MAX_DEPTH)
        return LMAIL_ERR_LIMIT;
    r->depth++;
    lmail_status st;
    if (lmi_imap_skip(r->args, '('))
        st = read_group(r, out);
    else if (c == '*' || (c >= '0' && c <= '9'))
        st = read_set(r, 0, out);
    else
        st = read_word(r, out);
    r->depth--;
    return st;
}

lmail_status lmi_search_keys(lmi_search_reader *r, lmail_search **out)
{
    lmail_status st = read_list(r, out);
    return st ? st : lmi_imap_end(r->args);
}
