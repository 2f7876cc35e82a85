/* imap_cmd_list.c - LIST, LSUB, NAMESPACE.
 *
 * RFC 3501 §6.3.8 and §6.3.9, RFC 2342, RFC 3348 (CHILDREN), RFC 6154 (SPECIAL-USE, with the part
 * of the syntax of RFC 5258 that it needs). The host tells rows in order; here they are matched,
 * and levels of hierarchy that are no mailboxes but match are added. */
#include "imap/imap_internal.h"

#include <string.h>

#define SLICE 256u
#define PATTERNS 64u

typedef struct list_data {
    lmail_str *patterns;
    size_t pattern_count;
    unsigned options;
    unsigned lsub;
    unsigned extended; /* the client wrote options */
    uint64_t resume;
    char *last; /* the last row's name */
    size_t last_len, last_cap;
} list_data;

/* ---- Rows ------------------------------------------------------------------------------------ */

static const struct {
    unsigned attribute;
    lmail_str name;
} attributes[] = {
    {LMAIL_IMAP_ATTR_NONEXISTENT, {"\\NonExistent", 12}},
    {LMAIL_IMAP_ATTR_NOSELECT, {"\\Noselect", 9}},
    {LMAIL_IMAP_ATTR_NOINFERIORS, {"\\Noinferiors", 12}},
    {LMAIL_IMAP_ATTR_MARKED, {"\\Marked", 7}},
    {LMAIL_IMAP_ATTR_UNMARKED, {"\\Unmarked", 9}},
    {LMAIL_IMAP_ATTR_SUBSCRIBED, {"\\Subscribed", 11}},
    {LMAIL_IMAP_ATTR_REMOTE, {"\\Remote", 7}},
    {LMAIL_IMAP_ATTR_HASCHILDREN, {"\\HasChildren", 12}},
    {LMAIL_IMAP_ATTR_HASNOCHILDREN, {"\\HasNoChildren", 14}},
    {LMAIL_IMAP_ATTR_ALL, {"\\All", 4}},
    {LMAIL_IMAP_ATTR_ARCHIVE, {"\\Archive", 8}},
    {LMAIL_IMAP_ATTR_DRAFTS, {"\\Drafts", 7}},
    {LMAIL_IMAP_ATTR_FLAGGED, {"\\Flagged", 8}},
    {LMAIL_IMAP_ATTR_JUNK, {"\\Junk", 5}},
    {LMAIL_IMAP_ATTR_SENT, {"\\Sent", 5}},
    {LMAIL_IMAP_ATTR_TRASH, {"\\Trash", 6}},
    {LMAIL_IMAP_ATTR_IMPORTANT, {"\\Important", 10}},
};

/* What of a row's attributes this command shows. */
static unsigned shown(const lmi_imap *s, const list_data *d, unsigned a)
{
    if (a & LMAIL_IMAP_ATTR_NONEXISTENT) {
        /* RFC 5258 §3: \NonExistent implies \Noselect; older clients know the latter alone. */
        if (d->extended || s->enabled & LMI_ENABLED_REV2)
            a &= ~(unsigned)LMAIL_IMAP_ATTR_NOSELECT;
        else
            a = (a & ~(unsigned)LMAIL_IMAP_ATTR_NONEXISTENT) | LMAIL_IMAP_ATTR_NOSELECT;
    }
    if (a & LMAIL_IMAP_ATTR_NOINFERIORS || d->lsub)
        a &= ~(unsigned)(LMAIL_IMAP_ATTR_HASCHILDREN | LMAIL_IMAP_ATTR_HASNOCHILDREN);
    if (!(d->options & LMAIL_IMAP_RETURN_CHILDREN))
        a &= ~(unsigned)(LMAIL_IMAP_ATTR_HASCHILDREN | LMAIL_IMAP_ATTR_HASNOCHILDREN);
    if (!(d->options & LMAIL_IMAP_RETURN_SPECIAL_USE))
        a &= ~LMAIL_IMAP_ATTRS_SPECIAL;
    if (!(d->options & (LMAIL_IMAP_RETURN_SUBSCRIBED | LMAIL_IMAP_LIST_SUBSCRIBED)) || d->lsub)
        a &= ~(unsigned)LMAIL_IMAP_ATTR_SUBSCRIBED;
    if (!d->extended)
        a &= ~(unsigned)LMAIL_IMAP_ATTR_REMOTE;
    return a;
}

static void put_separator(lmi_imap *s)
{
    char sep = lmi_imap_config(s)->separator;
    if (sep)
        lmi_imap_put_string(s, (lmail_str){&sep, 1});
    else
        lmi_imap_put(s, LMAIL_STR("NIL"));
}

static void put_row(lmi_imap *s, const list_data *d, lmail_str name, unsigned row_attributes)
{
    unsigned a = shown(s, d, row_attributes);
    lmi_imap_put(s, d->lsub ? LMAIL_STR("* LSUB (") : LMAIL_STR("* LIST ("));
    int some = 0;
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        if (a & attributes[i].attribute) {
            if (some++)
                lmi_imap_put_char(s, ' ');
            lmi_imap_put(s, attributes[i].name);
        }
    lmi_imap_put(s, LMAIL_STR(") "));
    put_separator(s);
    lmi_imap_put_char(s, ' ');
    lmi_imap_put_mailbox(s, name);
    lmi_imap_put_crlf(s);
}

static unsigned match(const lmi_imap *s, const list_data *d, lmail_str name)
{
    unsigned found = 0;
    for (size_t i = 0; i < d->pattern_count; i++)
        found |= lmail_imap_list_match(d->patterns[i], name, lmi_imap_config(s)->separator);
    return found;
}

/* Was the last row this name, or below it? */
static int was_here(const list_data *d, lmail_str name, char separator)
{
    return d->last_len >= name.len && memcmp(d->last, name.ptr, name.len) == 0 &&
           (d->last_len == name.len || d->last[name.len] == separator);
}

/* RFC 3501 §6.3.8 and §6.3.9: "%" also gives levels that exist only because something is below. */
static void put_levels(lmi_imap *s, list_data *d, lmail_str name)
{
    char sep = lmi_imap_config(s)->separator;
    for (size_t i = 1; i < name.len; i++) {
        lmail_str level = lmi_str_sub(name, 0, i);
        if (name.ptr[i] != sep || was_here(d, level, sep))
            continue;
        if (match(s, d, level) & LMAIL_IMAP_MATCH_SELF)
            put_row(s, d, level, LMAIL_IMAP_ATTR_NONEXISTENT | LMAIL_IMAP_ATTR_HASCHILDREN);
    }
}

static void take_row(lmi_imap *s, list_data *d, const lmail_imap_list_row *row)
{
    unsigned found = match(s, d, row->name);
    unsigned special = d->options & LMAIL_IMAP_LIST_SPECIAL_USE;
    /* RFC 3501 §6.3.9: LSUB gives a level that is not subscribed only where "%" hides what is below. */
    unsigned seen = d->lsub && found & LMAIL_IMAP_MATCH_SELF;
    /* Levels made up here have no special use. */
    if (found & LMAIL_IMAP_MATCH_ABOVE && lmi_imap_config(s)->separator && !special && !seen)
        put_levels(s, d, row->name);
    if (found & LMAIL_IMAP_MATCH_SELF && (!special || row->attributes & LMAIL_IMAP_ATTRS_SPECIAL))
        put_row(s, d, row->name, row->attributes);
    d->last_len = row->name.len < d->last_cap ? row->name.len : d->last_cap;
    if (d->last_len)
        memcpy(d->last, row->name.ptr, d->last_len);
}

/* ---- The question ---------------------------------------------------------------------------- */

static lmail_status list_step(lmi_imap *s);

static lmail_status listed(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    const lmail_imap_list_answer *a = answer;
    list_data *d = s->cmd.data;
    if (r->no)
        return lmi_imap_finish_result(s, r, LMAIL_IMAP_CODE_NONE);
    for (size_t i = 0; i < a->count; i++)
        take_row(s, d, &a->rows[i]);
    d->resume = a->resume;
    if (!a->resume)
        return lmi_imap_finish_result(s, r, LMAIL_IMAP_CODE_NONE);
    s->step = list_step;
    return LMAIL_OK;
}

static lmail_status list_step(lmi_imap *s)
{
    list_data *d = s->cmd.data;
    s->step = NULL;
    if (!lmi_imap_handler(s)->on_list) {
        lmail_imap_list_row inbox = {LMAIL_STR("INBOX"), LMAIL_IMAP_ATTR_HASNOCHILDREN};
        if (!d->lsub)
            take_row(s, d, &inbox);
        return lmi_imap_finish_ok(s);
    }
    lmail_imap_list_event ev = {.patterns = d->patterns,
                                .pattern_count = d->pattern_count,
                                .options = d->options,
                                .lsub = d->lsub,
                                .max = SLICE,
                                .resume = d->resume};
    return lmi_imap_ask_list(s, &ev, listed);
}

/* ---- Arguments ------------------------------------------------------------------------------- */

static const struct option {
    lmail_str name;
    unsigned option;
} choose[] = {{{"SUBSCRIBED", 10}, LMAIL_IMAP_LIST_SUBSCRIBED},
              {{"REMOTE", 6}, LMAIL_IMAP_LIST_REMOTE},
              {{"SPECIAL-USE", 11}, LMAIL_IMAP_LIST_SPECIAL_USE}},
  give[] = {{{"SUBSCRIBED", 10}, LMAIL_IMAP_RETURN_SUBSCRIBED},
            {{"CHILDREN", 8}, LMAIL_IMAP_RETURN_CHILDREN},
            {{"SPECIAL-USE", 11}, LMAIL_IMAP_RETURN_SPECIAL_USE}};

/* "(" [word *(SP word)] ")" */
static lmail_status options(lmi_imap_args *a, const struct option *table, size_t count,
                            unsigned *out)
{
    lmail_status st = lmi_imap_char(a, '(');
    if (st || lmi_imap_skip(a, ')'))
        return st;
    do {
        size_t i = 0;
        while (i < count && !lmi_imap_skip_word(a, table[i].name))
            i++;
        if (i == count)
            return lmi_imap_expected(a, "an option of LIST");
        *out |= table[i].option;
    } while (lmi_imap_skip(a, ' '));
    return lmi_imap_char(a, ')');
}

/* Reference and pattern make one pattern (RFC 3501 §6.3.8: as the server sees fit). */
static lmail_status join(lmi_imap_args *a, lmail_str reference, lmail_str pattern, lmail_str *out)
{
    char *p = lmi_arena_get(a->arena, reference.len + pattern.len);
    if (!p)
        return lmi_arena_full(a->arena, reference.len + pattern.len) ? LMAIL_ERR_LIMIT
                                                                     : LMAIL_ERR_NOMEM;
    memcpy(p, reference.ptr, reference.len);
    memcpy(p + reference.len, pattern.ptr, pattern.len);
    *out = (lmail_str){p, reference.len + pattern.len};
    return LMAIL_OK;
}

static lmail_status one_pattern(lmi_imap_args *a, list_data *d, lmail_str reference, int *empty)
{
    lmail_str pattern;
    lmail_status st = lmi_imap_pattern(a, &pattern);
    if (st)
        return st;
    if (d->pattern_count == PATTERNS)
        return LMAIL_ERR_LIMIT;
    *empty = pattern.len == 0;
    return join(a, reference, pattern, &d->patterns[d->pattern_count++]);
}

static lmail_status parse(lmi_imap *s, list_data *d, int *root)
{
    lmi_imap_args *a = &s->cmd.args;
    lmail_str reference;
    lmail_status st = lmi_imap_sp(a);
    if (!st && !d->lsub && lmi_imap_peek(a) == '(') {
        d->extended = 1;
        st = options(a, choose, sizeof choose / sizeof *choose, &d->options);
        if (!st)
            st = lmi_imap_sp(a);
    }
    if (!st)
        st = lmi_imap_mailbox(a, &reference);
    if (!st)
        st = lmi_imap_sp(a);
    if (st)
        return st;
    if (!d->lsub && lmi_imap_skip(a, '(')) {
        int empty;
        d->extended = 1;
        do
            st = one_pattern(a, d, reference, &empty);
        while (!st && lmi_imap_skip(a, ' '));
        if (!st)
            st = lmi_imap_char(a, ')');
    } else {
        st = one_pattern(a, d, reference, root);
    }
    if (!st && !d->lsub && lmi_imap_skip_word(a, LMAIL_STR(" RETURN "))) {
        d->extended = 1;
        st = options(a, give, sizeof give / sizeof *give, &d->options);
    }
    return st ? st : lmi_imap_end(a);
}

static lmail_status begin(lmi_imap *s, unsigned lsub)
{
    lmail_status st;
    int root = 0;
    list_data *d = lmi_imap_get(s, sizeof *d, &st);
    if (!st)
        d->patterns = lmi_imap_get(s, PATTERNS * sizeof *d->patterns, &st);
    if (!st) {
        d->last_cap = lmi_imap_config(s)->max_name;
        d->last = lmi_imap_get(s, d->last_cap, &st);
    }
    if (!st) {
        d->lsub = lsub;
        st = parse(s, d, &root);
    }
    if (st)
        return lmi_imap_finish_parse(s, st);
    s->cmd.data = d;
    if (lsub)
        d->options |= LMAIL_IMAP_LIST_SUBSCRIBED;
    else if (!d->extended)
        d->options |= LMAIL_IMAP_RETURN_CHILDREN | LMAIL_IMAP_RETURN_SPECIAL_USE;
    if (d->options & LMAIL_IMAP_LIST_SPECIAL_USE) /* RFC 6154 §2: implied */
        d->options |= LMAIL_IMAP_RETURN_SPECIAL_USE;
    if (!lmi_imap_has(s, LMAIL_IMAP_SPECIAL_USE))
        d->options &= ~(unsigned)LMAIL_IMAP_RETURN_SPECIAL_USE;
    if (root && !lsub) {
        /* RFC 3501 §6.3.8: an empty pattern asks for the separator and the root of the
         * reference. */
        put_row(s, d, LMAIL_STR(""), LMAIL_IMAP_ATTR_NOSELECT);
        return lmi_imap_finish_ok(s);
    }
    s->step = list_step;
    return LMAIL_OK;
}

lmail_status lmi_imap_cmd_list(lmi_imap *s)
{
    return begin(s, 0);
}

lmail_status lmi_imap_cmd_lsub(lmi_imap *s)
{
    return begin(s, 1);
}

/* ---- NAMESPACE ------------------------------------------------------------------------------- */

static void put_namespaces(lmi_imap *s, const lmail_imap_namespace *n, size_t count)
{
    lmi_imap_put_char(s, ' ');
    if (!count) {
        lmi_imap_put(s, LMAIL_STR("NIL"));
        return;
    }
    lmi_imap_put_char(s, '(');
    for (size_t i = 0; i < count; i++) {
        lmi_imap_put_char(s, '(');
        lmi_imap_put_prefix(s, n[i].prefix);
        lmi_imap_put_char(s, ' ');
        if (n[i].separator)
            lmi_imap_put_string(s, (lmail_str){&n[i].separator, 1});
        else
            lmi_imap_put(s, LMAIL_STR("NIL"));
        lmi_imap_put_char(s, ')');
    }
    lmi_imap_put_char(s, ')');
}

static lmail_status namespaces(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    const lmail_imap_namespace_answer *a = answer;
    if (!r->no) {
        lmi_imap_put(s, LMAIL_STR("* NAMESPACE"));
        put_namespaces(s, a->personal, a->personal_count);
        put_namespaces(s, a->other, a->other_count);
        put_namespaces(s, a->shared, a->shared_count);
        lmi_imap_put_crlf(s);
    }
    return lmi_imap_finish_result(s, r, LMAIL_IMAP_CODE_NONE);
}

lmail_status lmi_imap_cmd_namespace(lmi_imap *s)
{
    lmail_status st = lmi_imap_end(&s->cmd.args);
    if (st)
        return lmi_imap_finish_parse(s, st);
    lmail_imap_namespace_event ev = {lmi_sasl_identity(&s->sasl)};
    if (lmi_imap_handler(s)->on_namespace)
        return lmi_imap_ask_namespace(s, &ev, namespaces);
    lmail_imap_namespace personal = {{"", 0}, lmi_imap_config(s)->separator};
    lmail_imap_namespace_answer answer = LMAIL_IMAP_NAMESPACE_ANSWER_INIT;
    answer.personal = &personal;
    answer.personal_count = 1;
    return namespaces(s, &answer, &answer.result);
}
