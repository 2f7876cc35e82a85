/* policy_alias.c - reads aliases, and the files that they include.
 *
 * aliases(5) of the classic installation: `name: target, target`; a line that begins with a blank,
 * or follows a backslash, goes on; the end of a line divides targets too. The last line for a name
 * counts, with a warning. Includes are read once, after all alias files, until none is new: they may
 * include one another in circles. Called while the tables are made. */
#include "policy/policy_tables_internal.h"

#include <string.h>

#include "mime/mime_internal.h"

/* The text of one line in `lines`, with controls made harmless. A backslash at its end is taken off:
 * *goes_on. */
static int next_line(lmi_map_lines *lines, lmi_map_text_line *line, int *goes_on)
{
    if (!lmi_map_line(lines, line))
        return 0;
    for (size_t i = 0; i < line->len; i++)
        if ((unsigned char)line->ptr[i] < ' ' || line->ptr[i] == 0x7f)
            line->ptr[i] = line->ptr[i] == '\t' ? ' ' : '?';
    *goes_on = line->ptr[line->len - 1] == '\\';
    line->len -= *goes_on ? 1 : 0;
    return 1;
}

/* Room for n of the given size in an array that doubles. */
static lmail_status grow(const lmail_alloc *alloc, void **array, size_t *room, size_t n,
                         size_t size)
{
    if (n <= *room)
        return LMAIL_OK;
    size_t want = *room ? *room : 16, had;
    while (want < n)
        want *= 2;
    size_t octets;
    if (lmail_size_mul(want, size, &octets) || lmail_size_mul(*room, size, &had))
        return LMAIL_ERR_LIMIT;
    void *p = lmi_realloc(alloc, *array, had, octets);
    if (!p)
        return LMAIL_ERR_NOMEM;
    *array = p;
    *room = want;
    return LMAIL_OK;
}

/* ---- Targets --------------------------------------------------------------------------------- */

static lmail_status note_include(lmi_aliases *a, lmail_str name)
{
    uint8_t kind = 0;
    lmi_map_entry e = {name.ptr, "", 0, 0, 0, (uint16_t)name.len, UINT8_MAX, kind};
    if (name.len > LMI_MAP_MAX_KEY)
        return LMAIL_OK; /* found by nobody: refused for now */
    lmail_status st = lmi_map_add(&a->includes, &e, NULL);
    if (st == LMAIL_ERR_EXISTS)
        return LMAIL_OK;
    if (!st)
        st = grow(a->includes.alloc, (void **)&a->include_lists, &a->include_room,
                  a->includes.count, sizeof *a->include_lists);
    if (!st)
        a->include_lists[a->includes.count - 1] = (lmi_target_list){0, 0};
    return st;
}

static lmail_status add_targets(lmi_tables_reader *r, char *ptr, size_t len, uint32_t line,
                                lmi_target_list *list)
{
    lmi_aliases *a = &r->t->aliases;
    lmail_str rest = {ptr, len}, one;
    lmail_status st = LMAIL_OK;
    while (!st && lmi_target_next(&rest, &one)) {
        st = grow(a->names.alloc, (void **)&a->targets, &a->target_room, a->target_count + 1,
                  sizeof *a->targets);
        if (st)
            break;
        if (a->target_count >= UINT32_MAX - 1)
            return LMAIL_ERR_LIMIT;
        lmi_target *t = &a->targets[a->target_count++];
        lmi_target_parse(r, ptr + (one.ptr - ptr), one.len, line, t);
        list->count++;
        if (t->kind == LMI_TARGET_INCLUDE)
            st = note_include(a, t->text);
    }
    return st;
}

/* ---- Alias files ----------------------------------------------------------------------------- */

/* Offset of the colon behind a name, or len. */
static size_t colon_at(lmail_str s)
{
    size_t at = 0;
    while (at < s.len && s.ptr[at] != ':')
        at = lmi_mime_skip_token(s, at);
    return at < s.len ? at : s.len;
}

/* The name as it is looked up, in place; len 0: it has been complained about. */
static lmail_str read_name(lmi_tables_reader *r, char *ptr, size_t len, uint32_t line)
{
    lmail_str local, domain;
    int has_domain;
    while (len && lmi_is_blank(ptr[len - 1]))
        len--;
    lmi_map_fold(ptr, len);
    lmi_address_split((lmail_str){ptr, len}, &local, &domain, &has_domain);
    if (has_domain && !lmi_tables_local(r->t, domain)) {
        LMI_TABLES_SAY(r, LMAIL_WARNING, line, (lmail_str){ptr, len},
                       LMAIL_STR(" is no name of this host: the line is ignored"));
        return (lmail_str){NULL, 0};
    }
    size_t n = lmi_local_unquote(local, ptr);
    if (!n || n > LMI_MAP_MAX_KEY) {
        LMI_TABLES_SAY(r, LMAIL_WARNING, line,
                       LMAIL_STR("the name before the colon is missing: the line is ignored"));
        return (lmail_str){NULL, 0};
    }
    return (lmail_str){ptr, n};
}

static void say_twice(lmi_tables_reader *r, uint32_t line, lmail_str name, uint32_t before)
{
    char number[20];
    LMI_TABLES_SAY(r, LMAIL_WARNING, line, name, LMAIL_STR(" stands in line "),
                   (lmail_str){number, lmi_write_u64(number, before)},
                   LMAIL_STR(" already: this line counts"));
}

/* An alias is complete. */
static lmail_status add_alias(lmi_tables_reader *r, lmail_str name, uint32_t line, uint8_t source,
                              lmi_target_list list)
{
    lmi_aliases *a = &r->t->aliases;
    const lmi_map_entry *old;
    lmi_map_entry e = {name.ptr, "", 0, line, 0, (uint16_t)name.len, source, 0};
    if (!name.len)
        return LMAIL_OK;
    if (!list.count) {
        LMI_TABLES_SAY(r, LMAIL_WARNING, line, name,
                       LMAIL_STR(" has no targets: the line is ignored"));
        return LMAIL_OK;
    }
    lmail_status st = lmi_map_add(&a->names, &e, &old);
    if (st == LMAIL_ERR_EXISTS) {
        if (old->source != source)
            return LMAIL_OK; /* an earlier file decides */
        size_t number = (size_t)(old - a->names.entries);
        say_twice(r, line, name, old->line);
        a->names.entries[number].line = line;
        a->name_lists[number] = list;
        return LMAIL_OK;
    }
    if (!st)
        st = grow(a->names.alloc, (void **)&a->name_lists, &a->name_room, a->names.count,
                  sizeof *a->name_lists);
    if (!st)
        a->name_lists[a->names.count - 1] = list;
    return st;
}

static lmail_status read_aliases(lmi_tables_reader *r, lmi_map_lines *lines, uint8_t source)
{
    lmi_aliases *a = &r->t->aliases;
    lmi_map_text_line line;
    lmail_str name = {NULL, 0};
    uint32_t name_line = 0;
    lmi_target_list list = {0, 0};
    lmail_status st = LMAIL_OK;
    int open = 0, goes_on = 0, more = 0;
    while (!st && next_line(lines, &line, &more)) {
        char *ptr = line.ptr;
        size_t len = line.len;
        if (!goes_on && !line.indented) {
            if (open)
                st = add_alias(r, name, name_line, source, list);
            size_t colon = colon_at((lmail_str){ptr, len});
            open = colon < len;
            name = (lmail_str){NULL, 0};
            list = (lmi_target_list){(uint32_t)a->target_count, 0};
            name_line = line.number;
            if (open) {
                name = read_name(r, ptr, colon, line.number);
                ptr += colon + 1;
                len -= colon + 1;
            } else {
                LMI_TABLES_SAY(r, LMAIL_WARNING, line.number,
                               LMAIL_STR("a colon is missing behind the name: the line is "
                                         "ignored"));
            }
        } else if (!open && line.indented && !goes_on && !name_line) {
            LMI_TABLES_SAY(r, LMAIL_WARNING, line.number,
                           LMAIL_STR("a line that goes on, and none is before it"));
        }
        goes_on = more;
        if (!st && open && name.len)
            st = add_targets(r, ptr, len, line.number, &list);
    }
    return !st && open ? add_alias(r, name, name_line, source, list) : st;
}

/* ---- Included files -------------------------------------------------------------------------- */

static lmail_status read_include(lmi_tables_reader *r, size_t number)
{
    lmi_aliases *a = &r->t->aliases;
    lmi_map_entry *e = &a->includes.entries[number];
    lmail_str name = lmi_map_key(e), octets = {NULL, 0};
    lmi_map_lines lines;
    lmi_map_text_line line;
    int goes_on;
    r->file = name;
    lmail_status st = LMAIL_ERR_NOTFOUND;
    if (r->config->include)
        st = r->config->include(r->config->include_ctx, name, &octets);
    if (st == LMAIL_ERR_NOMEM)
        return st;
    if (st) {
        LMI_TABLES_SAY(r, LMAIL_WARNING, 0, LMAIL_STR("the included file cannot be read: "),
                       lmail_str_from(lmail_status_text(st)));
        e->kind = 1;
        return LMAIL_OK;
    }
    st = lmi_map_copy(&a->names, octets, &lines);
    if (r->config->include_done)
        r->config->include_done(r->config->include_ctx, octets);
    lmi_target_list list = {(uint32_t)a->target_count, 0};
    while (!st && next_line(&lines, &line, &goes_on))
        if (line.len && line.ptr[0] != '#')
            st = add_targets(r, line.ptr, line.len, line.number, &list);
    if (!st)
        a->include_lists[number] = list;
    return st;
}

lmail_status lmi_aliases_read(lmi_tables_reader *r)
{
    lmi_aliases *a = &r->t->aliases;
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; !st && i < r->config->alias_count; i++) {
        const lmail_policy_file *file = &r->config->aliases[i];
        lmi_map_lines lines;
        uint8_t source;
        if (!file->name.len)
            continue;
        r->file = file->name;
        st = lmi_map_source(&a->names, file->name, &source);
        if (!st)
            st = lmi_map_copy(&a->names, file->octets, &lines);
        if (!st)
            st = read_aliases(r, &lines, source);
    }
    for (size_t i = 0; !st && i < a->includes.count; i++)
        st = read_include(r, i);
    return st;
}

void lmi_aliases_done(lmi_aliases *a, const lmail_alloc *alloc)
{
    lmi_free(alloc, a->targets, a->target_room * sizeof *a->targets);
    lmi_free(alloc, a->name_lists, a->name_room * sizeof *a->name_lists);
    lmi_free(alloc, a->include_lists, a->include_room * sizeof *a->include_lists);
}
