/* imap_fetch_parse.c - what a client wants of messages: items, macros, sections, partial ranges.
 *
 * RFC 3501 §6.4.5 and §9. One table of words; what an item needs of the host's rows, and whether
 * its octets stream, is decided here, once a command. Called by imap_cmd_fetch.c. Writes nothing,
 * asks nothing. */
#include "imap/imap_fetch.h"

#include <string.h>

static const lmi_fetch_word words[] = {
    {{"FLAGS", 5}, {"", 0}, 0, LMAIL_IMAP_ITEM_FLAGS, 0, lmi_fetch_write_flags},
    {{"UID", 3}, {"", 0}, 0, 0, 0, lmi_fetch_write_uid},
    {{"INTERNALDATE", 12}, {"", 0}, 0, LMAIL_IMAP_ITEM_INTERNALDATE, 0, lmi_fetch_write_date},
    {{"RFC822.SIZE", 11}, {"", 0}, 0, LMAIL_IMAP_ITEM_SIZE, 0, lmi_fetch_write_size},
    {{"ENVELOPE", 8}, {"", 0}, 0, LMAIL_IMAP_ITEM_ENVELOPE, 0, lmi_fetch_write_envelope},
    {{"BODYSTRUCTURE", 13},
     {"", 0},
     0,
     LMAIL_IMAP_ITEM_BODYSTRUCTURE,
     0,
     lmi_fetch_write_structure},
    {{"BODY", 4}, {"", 0}, 0, LMAIL_IMAP_ITEM_BODYSTRUCTURE, 0, lmi_fetch_write_body},
    {{"RFC822", 6}, {"", 0}, LMI_FETCH_STREAM | LMI_FETCH_SEES, 0, LMAIL_MIME_WHOLE, NULL},
    {{"RFC822.HEADER", 13}, {"", 0}, LMI_FETCH_STREAM, 0, LMAIL_MIME_HEADER, NULL},
    {{"RFC822.TEXT", 11}, {"", 0}, LMI_FETCH_STREAM | LMI_FETCH_SEES, 0, LMAIL_MIME_TEXT, NULL},
    {{"BODY", 4}, {"", 0}, LMI_FETCH_SECTION | LMI_FETCH_STREAM | LMI_FETCH_SEES, 0, 0, NULL},
    {{"BODY.PEEK", 9}, {"BODY", 4}, LMI_FETCH_SECTION | LMI_FETCH_STREAM, 0, 0, NULL},
};

/* RFC 3501 §6.4.5: macros stand alone. */
static const struct {
    lmail_str name;
    const char *items[5];
} macros[] = {{{"ALL", 3}, {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", NULL}},
              {{"FAST", 4}, {"FLAGS", "INTERNALDATE", "RFC822.SIZE", NULL, NULL}},
              {{"FULL", 4}, {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"}}};

static void *get(lmi_imap_args *a, size_t size, lmail_status *st)
{
    void *p = lmi_arena_zget(a->arena, size);
    if (!p)
        *st = lmi_arena_full(a->arena, size) ? LMAIL_ERR_LIMIT : LMAIL_ERR_NOMEM;
    return p;
}

/* ---- The label ------------------------------------------------------------------------------- */

static size_t name_size(lmail_str name)
{
    return name.len * 2 + 2; /* quoted, each octet escaped */
}

static char *put(char *at, lmail_str text)
{
    if (text.len)
        memcpy(at, text.ptr, text.len);
    return at + text.len;
}

static char *put_name(char *at, lmail_str name)
{
    int atom = name.len > 0;
    for (size_t i = 0; i < name.len; i++)
        atom &= lmi_imap_is_astring_char(name.ptr[i]);
    if (atom)
        return put(at, name);
    *at++ = '"';
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"' || name.ptr[i] == '\\')
            *at++ = '\\';
        *at++ = name.ptr[i];
    }
    *at++ = '"';
    return at;
}

static const lmail_str section_names[] = {{"", 0}, {"HEADER", 6}, {"TEXT", 4}, {"MIME", 4}};

/* "BODY[1.HEADER.FIELDS (DATE FROM)]<0>", as the response has it. */
static lmail_status make_label(lmi_imap_args *a, lmi_fetch_item *item)
{
    const lmi_fetch_word *w = item->word;
    lmail_status st = LMAIL_OK;
    item->label = w->label.len ? w->label : w->name;
    if (!(w->flags & LMI_FETCH_SECTION))
        return LMAIL_OK;
    size_t size = item->label.len + 64 + item->number_count * 11;
    for (size_t i = 0; i < item->name_count; i++)
        size += name_size(item->names[i]) + 1;
    char *text = get(a, size, &st), *at = text;
    if (!text)
        return st;
    at = put(at, item->label);
    *at++ = '[';
    for (size_t i = 0; i < item->number_count; i++) {
        if (i)
            *at++ = '.';
        at += lmi_write_u64(at, item->numbers[i]);
    }
    if (item->number_count && item->what != LMAIL_MIME_WHOLE)
        *at++ = '.';
    at = put(at, section_names[item->what]);
    if (item->fields != LMI_FIELDS_ALL) {
        at = put(at, item->fields == LMI_FIELDS_ONLY ? LMAIL_STR(".FIELDS (")
                                                     : LMAIL_STR(".FIELDS.NOT ("));
        for (size_t i = 0; i < item->name_count; i++) {
            if (i)
                *at++ = ' ';
            at = put_name(at, item->names[i]);
        }
        *at++ = ')';
    }
    *at++ = ']';
    if (item->partial) {
        *at++ = '<';
        at += lmi_write_u64(at, item->begin);
        *at++ = '>';
    }
    item->label = (lmail_str){text, (size_t)(at - text)};
    return LMAIL_OK;
}

/* ---- Sections -------------------------------------------------------------------------------- */

static lmail_status field_name(lmi_imap_args *a, lmi_fetch_item *item)
{
    lmail_str name;
    size_t from = a->at;
    lmail_status st = lmi_imap_astring(a, &name);
    if (st)
        return st;
    char *upper = get(a, name.len, &st);
    if (!upper)
        return st;
    for (size_t i = 0; i < name.len; i++) {
        upper[i] = lmi_ascii_upper(name.ptr[i]);
        if (upper[i] < 0x20 || upper[i] >= 0x7f) {
            a->at = from;
            return lmi_imap_expected(a, "the name of a header field");
        }
    }
    /* A name that is there twice changes nothing. */
    lmail_str copy = {upper, name.len};
    for (size_t i = 0; i < item->name_count; i++)
        if (lmail_str_equal(item->names[i], copy))
            return LMAIL_OK;
    item->names[item->name_count++] = copy;
    return LMAIL_OK;
}

static lmail_status field_names(lmi_imap_args *a, lmi_fetch_item *item, size_t *left)
{
    lmail_status st = lmi_imap_sp(a);
    if (!st)
        st = lmi_imap_char(a, '(');
    if (st)
        return st;
    /* One name for each blank at most, counted first, so that the memory is got at once. */
    size_t cap = 1;
    for (size_t i = a->at; i < a->len && cap <= *left; i++)
        cap += a->ptr[i] == ' ';
    if (cap > *left)
        cap = *left;
    item->names = get(a, cap * sizeof *item->names, &st);
    if (!item->names)
        return st;
    do {
        if (item->name_count == cap)
            return LMAIL_ERR_LIMIT;
        st = field_name(a, item);
        if (st)
            return st;
    } while (lmi_imap_skip(a, ' '));
    *left -= item->name_count;
    return lmi_imap_char(a, ')');
}

/* section-text, or section-msgtext without MIME where no number stands before it. */
static lmail_status section_text(lmi_imap_args *a, lmi_fetch_item *item, size_t *names_left)
{
    static const char expected[] = "HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT or MIME";
    if (lmi_imap_skip_word(a, LMAIL_STR("HEADER.FIELDS.NOT")))
        item->fields = LMI_FIELDS_NOT;
    else if (lmi_imap_skip_word(a, LMAIL_STR("HEADER.FIELDS")))
        item->fields = LMI_FIELDS_ONLY;
    if (item->fields != LMI_FIELDS_ALL) {
        item->what = LMAIL_MIME_HEADER;
        return field_names(a, item, names_left);
    }
    if (lmi_imap_skip_word(a, LMAIL_STR("HEADER")))
        item->what = LMAIL_MIME_HEADER;
    else if (lmi_imap_skip_word(a, LMAIL_STR("TEXT")))
        item->what = LMAIL_MIME_TEXT;
    else if (item->number_count && lmi_imap_skip_word(a, LMAIL_STR("MIME")))
        item->what = LMAIL_MIME_MIME;
    else
        return lmi_imap_expected(a, expected);
    return LMAIL_OK;
}

/* section-part: nz-number *("." nz-number), and a "." if text follows. */
static lmail_status section_numbers(lmi_imap_args *a, lmi_fetch_item *item, int *text_follows)
{
    uint32_t numbers[LMI_FETCH_MAX_NUMBERS];
    size_t count = 0;
    lmail_status st = LMAIL_OK;
    *text_follows = 0;
    do {
        int c = lmi_imap_peek(a);
        if (count && (c < '0' || c > '9')) {
            *text_follows = 1;
            break;
        }
        if (c == '0')
            return lmi_imap_expected(a, "a part number");
        if (count == LMI_FETCH_MAX_NUMBERS)
            return LMAIL_ERR_LIMIT;
        st = lmi_imap_number(a, &numbers[count++]);
        if (st)
            return st;
    } while (lmi_imap_skip(a, '.'));
    item->numbers = get(a, count * sizeof *numbers, &st);
    if (!item->numbers)
        return st;
    memcpy(item->numbers, numbers, count * sizeof *numbers);
    item->number_count = count;
    return LMAIL_OK;
}

static lmail_status section(lmi_imap_args *a, lmi_fetch_item *item, size_t *names_left)
{
    lmail_status st = lmi_imap_char(a, '[');
    int c = lmi_imap_peek(a), text = c != ']';
    if (!st && c >= '0' && c <= '9')
        st = section_numbers(a, item, &text);
    if (!st && text)
        st = section_text(a, item, names_left);
    if (!st)
        st = lmi_imap_char(a, ']');
    if (st || !lmi_imap_skip(a, '<'))
        return st;
    /* RFC 3501 §9: "<" number "." nz-number ">"; RFC 9051 has number64. */
    item->partial = 1;
    st = lmi_imap_number64(a, &item->begin);
    if (!st && !lmi_imap_skip(a, '.'))
        return lmi_imap_expected(a, "a full stop and the number of octets");
    if (!st)
        st = lmi_imap_number64(a, &item->length);
    if (!st && item->length == 0)
        return lmi_imap_expected(a, "octets to fetch");
    return !st && !lmi_imap_skip(a, '>') ? lmi_imap_expected(a, ">") : st;
}

/* ---- Items ----------------------------------------------------------------------------------- */

static int is_word_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.';
}

static lmail_str read_word(lmi_imap_args *a)
{
    size_t from = a->at;
    while (a->at < a->len && is_word_char(a->ptr[a->at]))
        a->at++;
    return (lmail_str){a->ptr + from, a->at - from};
}

static const lmi_fetch_word *find_word(lmail_str name, int with_section)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (((words[i].flags & LMI_FETCH_SECTION) != 0) == with_section &&
            lmail_str_equal_nocase(words[i].name, name))
            return &words[i];
    return NULL;
}

/* What one item adds to what the rows must hold, and how it is written. */
static void settle(lmi_fetch_plan *plan, lmi_fetch_item *item)
{
    const lmi_fetch_word *w = item->word;
    plan->needs |= w->needs;
    plan->sees |= (w->flags & LMI_FETCH_SEES) != 0;
    plan->has_flags |= (w->needs & LMAIL_IMAP_ITEM_FLAGS) != 0;
    plan->has_uid |= w->write == lmi_fetch_write_uid;
    if (!(w->flags & LMI_FETCH_STREAM))
        return;
    /* Fields of the message's own header come with the row; a store has them at hand. */
    if (item->fields == LMI_FIELDS_ONLY && item->number_count == 0) {
        plan->needs |= LMAIL_IMAP_ITEM_FIELDS;
        return;
    }
    item->stream = 1;
    item->stream_index = (unsigned)plan->streams++;
    plan->needs |= item->what == LMAIL_MIME_WHOLE && item->number_count == 0
                       ? LMAIL_IMAP_ITEM_SIZE
                       : LMAIL_IMAP_ITEM_PARTS;
}

static lmail_status add_item(lmi_imap_args *a, lmi_fetch_plan *plan, lmi_fetch_item *item)
{
    for (size_t i = 0; i < plan->count; i++) /* once is enough */
        if (plan->items[i].word == item->word && !(item->word->flags & LMI_FETCH_SECTION))
            return LMAIL_OK;
    if (plan->count == LMI_FETCH_MAX_ITEMS)
        return LMAIL_ERR_LIMIT;
    lmail_status st = make_label(a, item);
    if (st)
        return st;
    settle(plan, item);
    plan->items[plan->count++] = *item;
    return LMAIL_OK;
}

static lmail_status read_item(lmi_imap_args *a, lmi_fetch_plan *plan, size_t *names_left)
{
    size_t from = a->at;
    lmail_str name = read_word(a);
    lmi_fetch_item item;
    memset(&item, 0, sizeof item);
    int with_section = lmi_imap_peek(a) == '[';
    item.word = find_word(name, with_section);
    if (!item.word) {
        a->at = from;
        return lmi_imap_expected(a, "a data item to fetch");
    }
    item.what = item.word->what;
    lmail_status st = with_section ? section(a, &item, names_left) : LMAIL_OK;
    return st ? st : add_item(a, plan, &item);
}

static int is_macro(lmi_imap_args *a, lmi_fetch_plan *plan, lmail_status *st)
{
    size_t from = a->at;
    lmail_str name = read_word(a);
    for (size_t i = 0; i < sizeof macros / sizeof *macros; i++) {
        if (!lmail_str_equal_nocase(macros[i].name, name))
            continue;
        for (size_t k = 0; k < 5 && macros[i].items[k] && !*st; k++) {
            lmi_fetch_item item;
            memset(&item, 0, sizeof item);
            item.word = find_word(lmail_str_from(macros[i].items[k]), 0);
            *st = add_item(a, plan, &item);
        }
        return 1;
    }
    a->at = from;
    return 0;
}

/* The union of all names that are wanted of the row, for the host. */
static lmail_status gather_fields(lmi_imap_args *a, lmi_fetch_plan *plan)
{
    size_t total = 0;
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < plan->count; i++)
        if (!plan->items[i].stream)
            total += plan->items[i].name_count;
    if (total == 0)
        return LMAIL_OK;
    plan->fields = get(a, total * sizeof *plan->fields, &st);
    for (size_t i = 0; !st && i < plan->count; i++)
        for (size_t k = 0; !plan->items[i].stream && k < plan->items[i].name_count; k++) {
            size_t n = 0;
            while (n < plan->field_count &&
                   !lmail_str_equal(plan->fields[n], plan->items[i].names[k]))
                n++;
            if (n == plan->field_count)
                plan->fields[plan->field_count++] = plan->items[i].names[k];
        }
    return st;
}

lmail_status lmi_fetch_parse(lmi_imap_args *a, lmi_fetch_plan *plan)
{
    lmail_status st = LMAIL_OK;
    size_t names_left = LMI_FETCH_MAX_FIELDS, items = 1;
    for (size_t i = a->at; i < a->len && items < LMI_FETCH_MAX_ITEMS; i++)
        items += a->ptr[i] == ' ';
    memset(plan, 0, sizeof *plan);
    if (items < 5)
        items = 5; /* a macro's */
    plan->items = get(a, items * sizeof *plan->items, &st);
    if (st || is_macro(a, plan, &st))
        return st;
    int list = lmi_imap_skip(a, '(');
    do {
        st = read_item(a, plan, &names_left);
    } while (!st && list && lmi_imap_skip(a, ' '));
    if (!st && list)
        st = lmi_imap_char(a, ')');
    return st ? st : gather_fields(a, plan);
}
