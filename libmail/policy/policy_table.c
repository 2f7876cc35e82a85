/* policy_table.c - reads the two-column tables and the classes.
 *
 * A line is a key, blanks, a value. What is written badly is told with its line and reading goes on;
 * an entry whose value means nothing stays, marked, so that its mail waits instead of falling to a
 * wider entry. Called while the tables are made. */
#include "policy/policy_tables_internal.h"

#include <string.h>

void lmi_tables_say(lmi_tables_reader *r, lmail_severity severity, size_t line,
                    const lmail_str *pieces, size_t count)
{
    if (severity == LMAIL_ERROR)
        r->errors++;
    lmi_diagnose(r->config->diagnostic, r->config->diagnostic_ctx, severity, r->file, line, pieces,
                 count);
}

/* ---- What a value has to be ------------------------------------------------------------------ */

static int has_blank(lmail_str s)
{
    int quoted = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\\')
            i++;
        else if (s.ptr[i] == '"')
            quoted = !quoted;
        else if (!quoted && lmi_is_blank(s.ptr[i]))
            return 1;
    }
    return 0;
}

static int is_error(lmail_str value)
{
    return lmi_str_has_prefix_nocase(value, LMAIL_STR("error:"));
}

static const char *check_address(lmail_str value)
{
    lmail_str local, domain;
    int has_domain;
    if (has_blank(value) || lmi_str_find(value, ',') < value.len)
        return "the value is not one name or address; for several use an alias";
    if (value.ptr[0] == '|' || value.ptr[0] == '/' || value.ptr[0] == ':')
        return "only aliases deliver to files and programs";
    lmi_address_split(value, &local, &domain, &has_domain);
    if (!local.len || (has_domain && !domain.len))
        return "the value is not an address";
    return NULL;
}

const char *lmi_check_virtuser(lmi_tables_reader *r, lmail_str key, lmail_str value, uint8_t *kind)
{
    lmail_str local, domain;
    lmi_reply_parts refusal;
    int has_domain;
    const char *wrong = NULL;
    if (!is_error(value))
        wrong = check_address(value);
    else if (!lmi_refusal_parse(lmi_str_skip(value, 6), &refusal))
        wrong = "the reply is not understood: write error:D.S.N:NNN text, NNN 4xx or 5xx";
    *kind = wrong != NULL;
    lmi_address_split(key, &local, &domain, &has_domain);
    if (!has_domain)
        return "the line never matches: a key is user@domain or @domain";
    if (!lmi_tables_local(r->t, domain) &&
        !lmi_names_cover(&r->t->virtual_domains, domain, r->t->virtuser_entire_domain))
        return "the line never matches: the domain is not local";
    return wrong;
}

const char *lmi_check_mailer(lmi_tables_reader *r, lmail_str key, lmail_str value, uint8_t *kind)
{
    lmi_triple triple;
    lmi_triple_parse(value, 0, &triple);
    *kind = triple.kind == LMI_TRIPLE_BAD;
    if (*kind)
        return is_error(value)
                   ? "the reply is not understood: write error:D.S.N:NNN text, NNN 4xx or 5xx"
                   : "the value is not understood: write esmtp:host, lmtp:unix:/path or local:user";
    if (key.len > 1 && lmi_str_find(key, '@') < key.len)
        return "the line never matches: a key is a domain";
    if (lmi_tables_local(r->t, key))
        return "the line never matches: the domain is local";
    return NULL;
}

const char *lmi_check_generic(lmi_tables_reader *r, lmail_str key, lmail_str value, uint8_t *kind)
{
    (void)r;
    (void)key;
    const char *wrong = check_address(value);
    *kind = wrong != NULL;
    return wrong;
}

const char *lmi_check_domain(lmi_tables_reader *r, lmail_str key, lmail_str value, uint8_t *kind)
{
    (void)r;
    (void)key;
    *kind = has_blank(value) || lmi_str_find(value, '@') < value.len || value.len > 255;
    return *kind ? "the value is not a domain" : NULL;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* Key and value of a line; the value may be empty. */
static void divide(const lmi_map_text_line *line, lmail_str *key, lmail_str *value)
{
    size_t end = 0;
    int quoted = 0;
    for (; end < line->len && (quoted || !lmi_is_blank(line->ptr[end])); end++)
        if (line->ptr[end] == '"')
            quoted = !quoted;
    size_t at = end;
    while (at < line->len && lmi_is_blank(line->ptr[at]))
        at++;
    *key = (lmail_str){line->ptr, end};
    *value = (lmail_str){line->ptr + at, line->len - at};
}

/* " # why" behind a value of one word. */
static size_t comment_at(lmail_str value)
{
    for (size_t i = 1; i < value.len; i++)
        if (value.ptr[i] == '#' && lmi_is_blank(value.ptr[i - 1]))
            return i;
    return value.len;
}

/* Control octets cannot go into a reply or an address. */
static void tame(char *ptr, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)ptr[i] < ' ' || ptr[i] == 0x7f)
            ptr[i] = ptr[i] == '\t' ? ' ' : '?';
}

static void say_twice(lmi_tables_reader *r, uint32_t line, lmail_str key, const lmi_map_entry *old)
{
    char number[20];
    LMI_TABLES_SAY(r, LMAIL_WARNING, line, key, LMAIL_STR(" stands in line "),
                   (lmail_str){number, lmi_write_u64(number, old->line)},
                   LMAIL_STR(" already, with another value: that one counts"));
}

static lmail_status read_line(lmi_tables_reader *r, lmi_map *map, const lmi_map_text_line *line,
                              uint8_t source, lmi_value_check *check)
{
    lmail_str key, value;
    tame(line->ptr, line->len);
    divide(line, &key, &value);
    if (line->indented)
        LMI_TABLES_SAY(r, LMAIL_WARNING, line->number,
                       LMAIL_STR("blanks before the key are ignored"));
    if (!value.len) {
        LMI_TABLES_SAY(r, LMAIL_WARNING, line->number, key,
                       LMAIL_STR(" has no value: the line is ignored"));
        return LMAIL_OK;
    }
    if (!is_error(value) && comment_at(value) < value.len) {
        LMI_TABLES_SAY(r, LMAIL_WARNING, line->number,
                       LMAIL_STR("text from \" #\" on is taken as a comment"));
        value.len = comment_at(value);
        while (lmi_is_blank(value.ptr[value.len - 1]))
            value.len--;
    }
    lmi_map_fold(line->ptr, key.len);
    if (key.len > 1 && key.ptr[key.len - 1] == '.')
        key.len--;
    if (key.len > LMI_MAP_MAX_KEY) {
        LMI_TABLES_SAY(r, LMAIL_WARNING, line->number, LMAIL_STR("the key is too long"));
        return LMAIL_OK;
    }
    lmi_map_entry e = {key.ptr,           value.ptr, 0, line->number, (uint32_t)value.len,
                       (uint16_t)key.len, source,    0};
    const char *wrong = check(r, key, value, &e.kind);
    if (wrong)
        LMI_TABLES_SAY(r, e.kind && is_error(value) ? LMAIL_ERROR : LMAIL_WARNING, line->number,
                       key, LMAIL_STR(": "), lmail_str_from(wrong));
    const lmi_map_entry *old;
    lmail_status st = lmi_map_add(map, &e, &old);
    if (st != LMAIL_ERR_EXISTS)
        return st;
    if (!lmail_str_equal(lmi_map_value(old), value))
        say_twice(r, line->number, key, old);
    return LMAIL_OK;
}

lmail_status lmi_table_read(lmi_tables_reader *r, lmi_map *map, const lmail_policy_file *file,
                            lmi_value_check *check)
{
    lmi_map_lines lines;
    lmi_map_text_line line;
    uint8_t source;
    if (!file->name.len)
        return LMAIL_OK;
    r->file = file->name;
    lmail_status st = lmi_map_source(map, file->name, &source);
    if (!st)
        st = lmi_map_copy(map, file->octets, &lines);
    while (!st && lmi_map_line(&lines, &line))
        st = read_line(r, map, &line, source, check);
    return st;
}

/* ---- Classes --------------------------------------------------------------------------------- */

static lmail_status add_name(lmi_map *map, lmail_str name, uint8_t source, uint32_t line)
{
    if (name.len > 1 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (!name.len || name.len > LMI_MAP_MAX_KEY)
        return LMAIL_OK;
    lmi_map_entry e = {name.ptr, "", 0, line, 0, (uint16_t)name.len, source, 0};
    lmail_status st = lmi_map_add(map, &e, NULL);
    return st == LMAIL_ERR_EXISTS ? LMAIL_OK : st;
}

lmail_status lmi_names_read(lmi_tables_reader *r, lmi_map *map, const lmail_policy_names *names)
{
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; !st && i < names->count; i++) {
        char *copy = lmi_arena_get(&map->more, names->items[i].len);
        if (!copy)
            return LMAIL_ERR_NOMEM;
        for (size_t k = 0; k < names->items[i].len; k++)
            copy[k] = lmi_ascii_lower(names->items[i].ptr[k]);
        st = add_name(map, (lmail_str){copy, names->items[i].len}, UINT8_MAX, 0);
    }
    if (st || !names->file.name.len)
        return st;
    lmi_map_lines lines;
    lmi_map_text_line line;
    uint8_t source;
    r->file = names->file.name;
    st = lmi_map_source(map, names->file.name, &source);
    if (!st)
        st = lmi_map_copy(map, names->file.octets, &lines);
    while (!st && lmi_map_line(&lines, &line)) {
        lmail_str name, more;
        divide(&line, &name, &more);
        if (more.len)
            LMI_TABLES_SAY(r, LMAIL_WARNING, line.number, LMAIL_STR("a second word is ignored: "),
                           more);
        lmi_map_fold(line.ptr, name.len);
        st = add_name(map, name, source, line.number);
    }
    return st;
}

int lmi_names_cover(const lmi_map *names, lmail_str domain, unsigned entire)
{
    if (!names->count)
        return 0;
    for (;;) {
        if (lmi_map_find(names, domain))
            return 1;
        size_t dot = lmi_str_find(domain, '.');
        if (!entire || dot == domain.len)
            return 0;
        domain = lmi_str_skip(domain, dot + 1);
    }
}
