/* config_value.c - text to typed values and back.
 *
 * Sizes are octets with K, M, G (powers of 1024); durations are seconds unless ms, s, m, h or d
 * says otherwise. What is shown reads back as the same value. */
#include "config/config_internal.h"

#include <string.h>

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit;

static const unit size_units[] = {
    {"", 1},           {"b", 1},           {"k", 1024},         {"kb", 1024},
    {"kib", 1024},     {"m", 1048576},     {"mb", 1048576},     {"mib", 1048576},
    {"g", 1073741824}, {"gb", 1073741824}, {"gib", 1073741824}, {NULL, 0}};
static const unit duration_units[] = {{"", 1000},     {"ms", 1},       {"s", 1000},
                                      {"sec", 1000},  {"m", 60000},    {"min", 60000},
                                      {"h", 3600000}, {"d", 86400000}, {NULL, 0}};

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

lmail_str lmi_choice_at(const char *choices, size_t i)
{
    lmail_str rest = lmail_str_from(choices);
    for (;;) {
        size_t end = lmi_str_find(rest, '|');
        if (i-- == 0)
            return lmi_str_sub(rest, 0, end);
        if (end == rest.len)
            return (lmail_str){NULL, 0};
        rest = lmi_str_skip(rest, end + 1);
    }
}

static const char *parse_counted(const lmi_setting *row, const unit *units, lmail_str text,
                                 uint64_t *out)
{
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    if (digits == 0)
        return "expected a number";
    size_t at = digits;
    while (at < text.len && is_blank(text.ptr[at]))
        at++;
    lmail_str name = lmi_str_skip(text, at);
    uint64_t factor = 0, value;
    for (; units->name; units++)
        if (lmail_str_equal_nocase(name, lmail_str_from(units->name)))
            factor = units->factor;
    if (factor == 0)
        return row->kind == LMI_KIND_SIZE       ? "unknown unit: use K, M or G"
               : row->kind == LMI_KIND_DURATION ? "unknown unit: use ms, s, m, h or d"
               : row->kind == LMI_KIND_LOAD     ? "expected a number, or N per processor"
                                                : "expected a whole number";
    if (lmi_parse_u64(lmi_str_sub(text, 0, digits), &value) || value > UINT64_MAX / factor)
        return "the number is too large";
    value *= factor;
    if (value < row->min)
        return "the value is below the least that is allowed";
    if (value > row->max)
        return "the value is above the most that is allowed";
    *out = value;
    return NULL;
}

static const char *parse_load(const lmi_setting *row, lmail_str text, uint64_t *out)
{
    static const unit none[] = {{"", 1}, {NULL, 0}}, each[] = {{"per processor", 1}, {NULL, 0}};
    if (!parse_counted(row, each, text, out)) {
        *out |= LMAIL_LOAD_PER_PROCESSOR;
        return NULL;
    }
    return parse_counted(row, none, text, out);
}

static const char *parse_bool(lmail_str text, unsigned *out)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (lmail_str_equal_nocase(text, lmail_str_from(words[i]))) {
            *out = i % 2;
            return NULL;
        }
    return "expected yes or no";
}

static const char *parse_choice(const lmi_setting *row, lmail_str text, unsigned *out)
{
    for (unsigned i = 0; lmi_choice_at(row->choices, i).len; i++)
        if (lmail_str_equal_nocase(text, lmi_choice_at(row->choices, i))) {
            *out = i;
            return NULL;
        }
    return "not one of the choices";
}

/* The next word of a list, behind blanks and commas; empty behind the last. */
static lmail_str list_word(lmail_str *text)
{
    size_t at = 0;
    while (at < text->len && (is_blank(text->ptr[at]) || text->ptr[at] == ','))
        at++;
    size_t end = at;
    while (end < text->len && !is_blank(text->ptr[end]) && text->ptr[end] != ',')
        end++;
    lmail_str word = lmi_str_sub(*text, at, end - at);
    *text = lmi_str_skip(*text, end);
    return word;
}

static const char *parse_flags(const lmi_setting *row, lmail_str text, unsigned *out)
{
    unsigned flags = 0;
    for (lmail_str word = list_word(&text); word.len; word = list_word(&text)) {
        unsigned i = 0;
        lmail_str choice = lmi_choice_at(row->choices, 0);
        while (choice.len && !lmail_str_equal_nocase(word, choice))
            choice = lmi_choice_at(row->choices, ++i);
        if (!choice.len)
            return "not all of them are among the choices";
        flags |= 1u << i;
    }
    *out = flags;
    return NULL;
}

static int is_choice(const char *choices, lmail_str word)
{
    for (size_t i = 0; lmi_choice_at(choices, i).len; i++)
        if (lmail_str_equal_nocase(word, lmi_choice_at(choices, i)))
            return 1;
    return 0;
}

/* A list of choices: each of them known, and as many as the row wants. */
static const char *check_list(const lmi_setting *row, const lmail_str_list *list)
{
    for (size_t i = 0; row->choices && i < list->count; i++)
        if (!is_choice(row->choices, list->items[i]))
            return "not one of the choices";
    return list->count < row->min ? "must not be empty" : NULL;
}

static lmail_status parse_list(lmail_str text, lmi_arena *arena, lmail_str_list *out)
{
    size_t most = text.len / 2 + 1;
    lmail_str *items = lmi_arena_get(arena, most * sizeof *items);
    if (!items)
        return LMAIL_ERR_NOMEM;
    size_t count = 0;
    for (lmail_str word = list_word(&text); word.len; word = list_word(&text))
        if (lmi_arena_copy(arena, word, &items[count++]))
            return LMAIL_ERR_NOMEM;
    *out = (lmail_str_list){items, count};
    return LMAIL_OK;
}

const char *lmi_value_parse(const lmi_setting *row, lmail_str text, lmi_arena *arena, void *at,
                            lmail_status *st)
{
    *st = LMAIL_OK;
    switch (row->kind) {
    case LMI_KIND_TEXT:
    case LMI_KIND_FILE:
    case LMI_KIND_DIRECTORY:
        if (text.len < row->min)
            return "must not be empty";
        *st = lmi_arena_copy(arena, text, at);
        return NULL;
    case LMI_KIND_LIST:
        *st = parse_list(text, arena, at);
        return *st ? NULL : check_list(row, at);
    case LMI_KIND_NUMBER: {
        static const unit none[] = {{"", 1}, {NULL, 0}};
        return parse_counted(row, none, text, at);
    }
    case LMI_KIND_SIZE:
        return parse_counted(row, size_units, text, at);
    case LMI_KIND_DURATION:
        return parse_counted(row, duration_units, text, at);
    case LMI_KIND_LOAD:
        return parse_load(row, text, at);
    case LMI_KIND_BOOL:
        return parse_bool(text, at);
    case LMI_KIND_CHOICE:
        return parse_choice(row, text, at);
    case LMI_KIND_FLAGS:
        return parse_flags(row, text, at);
    }
    return "unknown kind";
}

/* ---- Showing --------------------------------------------------------------------------------- */

typedef lmail_status write_fn(void *ctx, lmail_str text);

static lmail_status show_number(uint64_t value, const char *suffix, write_fn *write, void *ctx)
{
    char text[48];
    size_t n = lmi_write_u64(text, value);
    size_t m = strlen(suffix);
    memcpy(text + n, suffix, m);
    return write(ctx, (lmail_str){text, n + m});
}

/* The largest unit that divides the value. */
static lmail_status show_counted(uint64_t value, const unit *units, const char *const *suffixes,
                                 write_fn *write, void *ctx)
{
    if (value)
        for (size_t i = 0; units[i].name; i++)
            if (value % units[i].factor == 0)
                return show_number(value / units[i].factor, suffixes[i], write, ctx);
    return show_number(value, value ? suffixes[0] : "", write, ctx);
}

/* Inside quotes, with their escapes. */
static lmail_status show_escaped(lmail_str text, write_fn *write, void *ctx)
{
    lmail_status st = LMAIL_OK;
    for (size_t at = 0; !st && at < text.len;) {
        size_t end = at;
        while (end < text.len && text.ptr[end] != '"' && text.ptr[end] != '\\')
            end++;
        if (end > at)
            st = write(ctx, lmi_str_sub(text, at, end - at));
        if (!st && end < text.len) {
            st = write(ctx, LMAIL_STR("\\"));
            if (!st)
                st = write(ctx, lmi_str_sub(text, end, 1));
            end++;
        }
        at = end;
    }
    return st;
}

static lmail_status show_list(const lmail_str *items, size_t count, write_fn *write, void *ctx)
{
    lmail_status st = write(ctx, LMAIL_STR("\""));
    for (size_t i = 0; !st && i < count; i++) {
        if (i)
            st = write(ctx, LMAIL_STR(", "));
        if (!st)
            st = show_escaped(items[i], write, ctx);
    }
    return st ? st : write(ctx, LMAIL_STR("\""));
}

static lmail_status show_flags(const lmi_setting *row, unsigned flags, write_fn *write, void *ctx)
{
    lmail_status st = write(ctx, LMAIL_STR("\""));
    int first = 1;
    for (unsigned i = 0; !st && lmi_choice_at(row->choices, i).len; i++) {
        if (!(flags >> i & 1))
            continue;
        if (!first)
            st = write(ctx, LMAIL_STR(", "));
        if (!st)
            st = write(ctx, lmi_choice_at(row->choices, i));
        first = 0;
    }
    return st ? st : write(ctx, LMAIL_STR("\""));
}

static lmail_status show_load(uint64_t load, write_fn *write, void *ctx)
{
    int each = (load & LMAIL_LOAD_PER_PROCESSOR) != 0;
    return show_number(load & ~LMAIL_LOAD_PER_PROCESSOR, each ? " per processor" : "", write, ctx);
}

lmail_status lmi_value_show(const lmi_setting *row, const void *at, write_fn *write, void *ctx)
{
    static const unit sizes[] = {
        {"G", 1073741824}, {"M", 1048576}, {"K", 1024}, {"", 1}, {NULL, 0}};
    static const char *const size_names[] = {"G", "M", "K", ""};
    static const unit times[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                 {"s", 1000},     {"ms", 1},      {NULL, 0}};
    static const char *const time_names[] = {" d", " h", " m", " s", " ms"};
    switch (row->kind) {
    case LMI_KIND_TEXT:
    case LMI_KIND_FILE:
    case LMI_KIND_DIRECTORY:
        return show_list(at, 1, write, ctx);
    case LMI_KIND_LIST: {
        const lmail_str_list *list = at;
        return show_list(list->items, list->count, write, ctx);
    }
    case LMI_KIND_NUMBER:
        return show_number(*(const uint64_t *)at, "", write, ctx);
    case LMI_KIND_SIZE:
        return show_counted(*(const uint64_t *)at, sizes, size_names, write, ctx);
    case LMI_KIND_DURATION:
        return show_counted(*(const lmail_msec *)at, times, time_names, write, ctx);
    case LMI_KIND_LOAD:
        return show_load(*(const uint64_t *)at, write, ctx);
    case LMI_KIND_FLAGS:
        return show_flags(row, *(const unsigned *)at, write, ctx);
    case LMI_KIND_BOOL:
        return write(ctx, *(const unsigned *)at ? LMAIL_STR("yes") : LMAIL_STR("no"));
    case LMI_KIND_CHOICE:
        return write(ctx, lmi_choice_at(row->choices, *(const unsigned *)at));
    }
    return LMAIL_ERR_ARG;
}
