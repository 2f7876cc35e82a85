/* config_load.c - makes a configuration: defaults, then the files' assignments. What only the whole
 * shows stands in config_whole.c.
 *
 * Every reader of a file format ends here, in lmi_config_assign: a name, a value, a place. */
#include "config/config_internal.h"

#include <string.h>

#define CONFIG_CEILING (16u << 20) /* octets of all values together */

void lmail_config_io_init(lmail_config_io *io)
{
    memset(io, 0, sizeof *io);
    io->size = sizeof *io;
}

void lmi_config_say(lmi_reader *r, lmail_severity severity, lmi_origin where,
                    const lmail_str *pieces, size_t count)
{
    if (severity == LMAIL_ERROR)
        r->errors++;
    lmi_diagnose(r->io->diagnostic, r->io->ctx, severity, where.file, where.line, pieces, count);
}

/* ---- Assigning ------------------------------------------------------------------------------- */

/* The settings that a name may mean, and how much of their names is the section's. */
typedef struct table {
    const lmi_setting *rows;
    size_t prefix;
} table;

static const char *row_name(const void *ctx, size_t i)
{
    const table *t = ctx;
    return t->rows[i].name ? t->rows[i].name + t->prefix : NULL;
}

static void say_unknown(lmi_reader *r, table t, lmail_str name, lmi_origin where)
{
    const char *near = lmi_suggest(name, row_name, &t);
    if (near)
        LMI_SAY(r, LMAIL_ERROR, where, LMAIL_STR("unknown setting \""), name,
                LMAIL_STR("\"; did you mean "), lmail_str_from(near), LMAIL_STR("?"));
    else
        LMI_SAY(r, LMAIL_ERROR, where, LMAIL_STR("unknown setting \""), name, LMAIL_STR("\""));
}

static void say_value(lmi_reader *r, const lmi_setting *row, const char *name, lmail_str value,
                      const char *why, lmi_origin where)
{
    lmail_str choices = {NULL, 0}, lead = {NULL, 0};
    if (row->choices) {
        lead = LMAIL_STR(": ");
        choices = lmail_str_from(row->choices);
    }
    LMI_SAY(r, LMAIL_ERROR, where, lmail_str_from(name), LMAIL_STR(" = \""), value,
            LMAIL_STR("\": "), lmail_str_from(why), lead, choices);
}

static void say_twice(lmi_reader *r, const char *name, lmi_origin first, lmi_origin where)
{
    char line[20];
    lmail_str number = {line, lmi_write_u64(line, first.line)};
    LMI_SAY(r, LMAIL_ERROR, where, lmail_str_from(name), LMAIL_STR(" is set already at "),
            first.file, LMAIL_STR(":"), number);
}

void lmi_config_assign(lmi_reader *r, lmi_section *section, lmail_str name, lmail_str value,
                       lmi_origin where)
{
    table t = {lmi_settings, 0};
    if (section)
        t = (table){section->kind->rows, strlen(section->kind->word) + 1};
    lmi_origin *origins = section ? section->origins : r->config->origins;
    char *base = section ? (char *)&section->values : (char *)&r->config->values;
    size_t i = 0;
    while (t.rows[i].name && !lmail_str_equal(name, lmail_str_from(t.rows[i].name + t.prefix)))
        i++;
    const lmi_setting *row = &t.rows[i];
    if (!row->name) {
        say_unknown(r, t, name, where);
        return;
    }
    if (origins[i].rank == LMI_RANK_NATIVE && where.rank == LMI_RANK_NATIVE) {
        say_twice(r, row->name + t.prefix, origins[i], where);
        return;
    }
    if (origins[i].rank > where.rank)
        return;
    lmail_status st;
    const char *why = lmi_value_parse(row, value, &r->config->arena, base + row->offset, &st);
    if (why)
        say_value(r, row, row->name + t.prefix, value, why, where);
    else if (st)
        r->failed = st;
    else
        origins[i] = where;
}

static lmi_section *find_section(lmi_reader *r, const lmi_sections *all, lmail_str name,
                                 lmi_origin where, int *taken)
{
    *taken = 1;
    for (size_t i = 0; i < all->count; i++) {
        lmi_section *s = all->items[i];
        if (!lmail_str_equal(s->values.name, name))
            continue;
        if (s->origin.rank == where.rank && where.rank == LMI_RANK_NATIVE)
            say_twice(r, s->kind->this_one, s->origin, where);
        return s->origin.rank == where.rank && where.rank != LMI_RANK_NATIVE ? s : NULL;
    }
    *taken = 0;
    return NULL;
}

lmi_section *lmi_config_section(lmi_reader *r, lmi_section_id id, lmail_str name, lmi_origin where)
{
    lmail_config *c = r->config;
    const lmi_section_kind *kind = &lmi_section_kinds[id];
    lmi_sections *all = &c->sections[id];
    int taken;
    lmi_section *s = find_section(r, all, name, where, &taken);
    if (taken)
        return s;
    if (all->count == LMI_MAX_SECTIONS) {
        LMI_SAY(r, LMAIL_ERROR, where, lmail_str_from(kind->too_many));
        return NULL;
    }
    s = lmi_arena_zget(&c->arena, sizeof *s);
    if (!s || lmi_arena_copy(&c->arena, name, &s->values.name)) {
        r->failed = LMAIL_ERR_NOMEM;
        return NULL;
    }
    s->kind = kind;
    s->origin = where;
    for (const lmi_setting *row = kind->rows; row->name; row++) {
        lmail_status st;
        lmi_value_parse(row, lmail_str_from(row->standard), &c->arena,
                        (char *)&s->values + row->offset, &st);
        if (st) {
            r->failed = st;
            return NULL;
        }
    }
    all->items[all->count++] = s;
    return s;
}

lmail_status lmi_config_defaults(lmail_config *c)
{
    for (const lmi_setting *row = lmi_settings; row->name; row++) {
        lmail_status st;
        lmi_value_parse(row, lmail_str_from(row->standard), &c->arena,
                        (char *)&c->values + row->offset, &st);
        if (st)
            return st;
    }
    return LMAIL_OK;
}

/* Files that libmail.conf names: their settings have a lower rank, so the order does not matter. */
static void read_imports(lmi_reader *r)
{
    static const struct import {
        const char *name;
        size_t offset;
        void (*read)(lmi_reader *r, lmail_str name, lmi_origin from);
    } imports[] = {
        {"sendmail_mc", offsetof(lmail_settings, sendmail_mc), lmi_config_read_mc},
        {"dovecot_conf", offsetof(lmail_settings, dovecot_conf), lmi_config_read_dovecot}};
    for (size_t i = 0; !r->failed && i < sizeof imports / sizeof *imports; i++) {
        lmi_origin from = lmi_config_origin(r->config, imports[i].name);
        const char *at = (const char *)&r->config->values + imports[i].offset;
        lmail_str path, given = *(const lmail_str *)at;
        if (!given.len)
            continue;
        if (lmi_config_beside(r, from.file, given, &path))
            r->failed = LMAIL_ERR_NOMEM;
        else
            imports[i].read(r, path, from);
    }
}

lmail_status lmail_config_load(lmail_config **out, lmail_str file, const lmail_config_io *given,
                               const lmail_alloc *alloc)
{
    lmail_config_io io;
    if (lmi_struct_take(&io, sizeof io, given))
        return LMAIL_ERR_SIZE;
    lmail_alloc a = lmi_alloc_resolve(alloc);
    lmail_config *c = lmi_zalloc(&a, sizeof *c);
    if (!c)
        return LMAIL_ERR_NOMEM;
    c->alloc = a;
    lmi_arena_init(&c->arena, &c->alloc, CONFIG_CEILING);
    lmi_reader r = {.config = c, .io = &io};
    r.failed = lmi_config_defaults(c);
    if (!r.failed && file.len)
        lmi_config_read_file(&r, file, (lmi_origin){{NULL, 0}, 0, LMI_RANK_DEFAULT});
    if (!r.failed)
        read_imports(&r);
    if (!r.failed)
        lmi_config_finish(&r);
    if (!r.failed)
        lmi_config_make_policy(&r);
    if (r.failed || r.errors) {
        lmail_config_free(c);
        return r.failed ? r.failed : LMAIL_ERR_SYNTAX;
    }
    *out = c;
    return LMAIL_OK;
}

void lmail_config_free(lmail_config *c)
{
    if (!c)
        return;
    lmail_alloc a = c->alloc;
    lmail_policy_tables_free(c->tables);
    lmail_policy_free(c->policy);
    lmi_arena_done(&c->arena);
    lmi_free(&a, c, sizeof *c);
}

const lmail_settings *lmail_config_settings(const lmail_config *c)
{
    return &c->values;
}
