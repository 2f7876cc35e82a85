/* config_load.c - makes a configuration: defaults, the file's assignments, what only the whole
 * shows.
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

static const char *row_name(const void *ctx, size_t i)
{
    const lmi_setting *rows = ctx;
    return rows[i].name;
}

static void say_unknown(lmi_reader *r, const lmi_setting *rows, lmail_str name, lmi_origin where)
{
    const char *near = lmi_suggest(name, row_name, rows);
    if (near)
        LMI_SAY(r, LMAIL_ERROR, where, LMAIL_STR("unknown setting \""), name,
                LMAIL_STR("\"; did you mean "), lmail_str_from(near), LMAIL_STR("?"));
    else
        LMI_SAY(r, LMAIL_ERROR, where, LMAIL_STR("unknown setting \""), name, LMAIL_STR("\""));
}

static void say_value(lmi_reader *r, const lmi_setting *row, lmail_str value, const char *why,
                      lmi_origin where)
{
    lmail_str choices = {NULL, 0}, lead = {NULL, 0};
    if (row->kind == LMI_KIND_CHOICE) {
        lead = LMAIL_STR(": ");
        choices = lmail_str_from(row->choices);
    }
    LMI_SAY(r, LMAIL_ERROR, where, lmail_str_from(row->name), LMAIL_STR(" = \""), value,
            LMAIL_STR("\": "), lmail_str_from(why), lead, choices);
}

static void say_twice(lmi_reader *r, const char *name, lmi_origin first, lmi_origin where)
{
    char line[20];
    lmail_str number = {line, lmi_write_u64(line, first.line)};
    LMI_SAY(r, LMAIL_ERROR, where, lmail_str_from(name), LMAIL_STR(" is set already at "),
            first.file, LMAIL_STR(":"), number);
}

void lmi_config_assign(lmi_reader *r, lmi_listener *section, lmail_str name, lmail_str value,
                       lmi_origin where)
{
    const lmi_setting *rows = section ? lmi_listener_settings : lmi_settings;
    lmi_origin *origins = section ? section->origins : r->config->origins;
    char *base = section ? (char *)&section->values : (char *)&r->config->values;
    size_t i = 0;
    while (rows[i].name && !lmail_str_equal(name, lmail_str_from(rows[i].name)))
        i++;
    const lmi_setting *row = &rows[i];
    if (!row->name) {
        say_unknown(r, rows, name, where);
        return;
    }
    if (origins[i].line) {
        say_twice(r, row->name, origins[i], where);
        return;
    }
    lmail_status st;
    const char *why = lmi_value_parse(row, value, &r->config->arena, base + row->offset, &st);
    if (why)
        say_value(r, row, value, why, where);
    else if (st)
        r->failed = st;
    else
        origins[i] = where;
}

lmi_listener *lmi_config_listener(lmi_reader *r, lmail_str name, lmi_origin where)
{
    lmail_config *c = r->config;
    for (size_t i = 0; i < c->section_count; i++)
        if (lmail_str_equal(c->sections[i]->values.name, name)) {
            say_twice(r, "this listener", c->sections[i]->origin, where);
            return NULL;
        }
    if (c->section_count == LMI_MAX_LISTENERS) {
        LMI_SAY(r, LMAIL_ERROR, where, LMAIL_STR("too many listeners"));
        return NULL;
    }
    lmi_listener *l = lmi_arena_zget(&c->arena, sizeof *l);
    if (!l || lmi_arena_copy(&c->arena, name, &l->values.name)) {
        r->failed = LMAIL_ERR_NOMEM;
        return NULL;
    }
    l->origin = where;
    for (const lmi_setting *row = lmi_listener_settings; row->name; row++) {
        lmail_status st;
        lmi_value_parse(row, lmail_str_from(row->standard), &c->arena,
                        (char *)&l->values + row->offset, &st);
        if (st) {
            r->failed = st;
            return NULL;
        }
    }
    c->sections[c->section_count++] = l;
    return l;
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

/* ---- The whole ------------------------------------------------------------------------------- */

typedef struct standard_listener {
    const char *name;
    lmail_listener_protocol protocol;
    lmail_listener_tls tls;
} standard_listener;

/* What listens when the file names no listener at all. */
static const standard_listener standard_listeners[] = {
    {"smtp", LMAIL_LISTENER_SMTP, LMAIL_LISTENER_STARTTLS},
    {"submission", LMAIL_LISTENER_SUBMISSION, LMAIL_LISTENER_STARTTLS},
    {"submissions", LMAIL_LISTENER_SUBMISSION, LMAIL_LISTENER_TLS},
    {"imap", LMAIL_LISTENER_IMAP, LMAIL_LISTENER_STARTTLS},
    {"imaps", LMAIL_LISTENER_IMAP, LMAIL_LISTENER_TLS},
    {"pop3", LMAIL_LISTENER_POP3, LMAIL_LISTENER_STARTTLS},
    {"pop3s", LMAIL_LISTENER_POP3, LMAIL_LISTENER_TLS}};

static uint64_t standard_port(const lmail_listener_settings *l)
{
    int tls = l->tls == LMAIL_LISTENER_TLS;
    switch (l->protocol) {
    case LMAIL_LISTENER_SUBMISSION:
        return tls ? 465 : 587;
    case LMAIL_LISTENER_LMTP:
        return 24;
    case LMAIL_LISTENER_IMAP:
        return tls ? 993 : 143;
    case LMAIL_LISTENER_POP3:
        return tls ? 995 : 110;
    default:
        return 25;
    }
}

static void add_standard_listeners(lmi_reader *r)
{
    const lmi_origin none = {{NULL, 0}, 0};
    for (size_t i = 0; i < sizeof standard_listeners / sizeof *standard_listeners; i++) {
        const standard_listener *s = &standard_listeners[i];
        lmi_listener *l = lmi_config_listener(r, lmail_str_from(s->name), none);
        if (!l)
            return;
        l->values.protocol = s->protocol;
        l->values.tls = s->tls;
    }
}

/* Where a setting was given, for complaints about how settings go together. */
static lmi_origin origin_of(const lmail_config *c, const char *name)
{
    size_t i = 0;
    while (lmi_settings[i].name && strcmp(lmi_settings[i].name, name) != 0)
        i++;
    return c->origins[i];
}

static void check_whole(lmi_reader *r)
{
    const lmail_settings *v = &r->config->values;
    if ((v->tls.certificate.len == 0) != (v->tls.key.len == 0)) {
        lmi_origin at = origin_of(r->config, v->tls.key.len ? "tls.key" : "tls.certificate");
        LMI_SAY(r, LMAIL_ERROR, at,
                LMAIL_STR("tls.certificate and tls.key are given together or not at all"));
    }
    if (v->imap.separator.len != 1 || (unsigned char)v->imap.separator.ptr[0] <= ' ' ||
        strchr("%*\"\\&~", v->imap.separator.ptr[0]) || (v->imap.separator.ptr[0] & 0x80))
        LMI_SAY(r, LMAIL_ERROR, origin_of(r->config, "imap.separator"),
                LMAIL_STR("imap.separator is one printable character, and none of % * \" \\ & ~"));
}

void lmi_config_finish(lmi_reader *r)
{
    lmail_config *c = r->config;
    if (c->section_count == 0)
        add_standard_listeners(r);
    check_whole(r);
    c->listeners = lmi_arena_get(&c->arena, (c->section_count + 1) * sizeof *c->listeners);
    if (!c->listeners) {
        r->failed = LMAIL_ERR_NOMEM;
        return;
    }
    for (size_t i = 0; i < c->section_count; i++) {
        lmail_listener_settings *l = &c->sections[i]->values;
        if (l->port == 0)
            l->port = standard_port(l);
        c->listeners[i] = *l;
    }
    c->values.listeners = c->listeners;
    c->values.listener_count = c->section_count;
}

lmail_status lmail_config_load(lmail_config **out, lmail_str file, const lmail_config_io *io,
                               const lmail_alloc *alloc)
{
    if (io->size > sizeof *io)
        return LMAIL_ERR_SIZE;
    lmail_alloc a = lmi_alloc_resolve(alloc);
    lmail_config *c = lmi_zalloc(&a, sizeof *c);
    if (!c)
        return LMAIL_ERR_NOMEM;
    c->alloc = a;
    lmi_arena_init(&c->arena, &c->alloc, CONFIG_CEILING);
    lmi_reader r = {c, io, 0, 0, LMAIL_OK};
    r.failed = lmi_config_defaults(c);
    if (!r.failed && file.len)
        lmi_config_read_file(&r, file, (lmi_origin){{NULL, 0}, 0});
    if (!r.failed)
        lmi_config_finish(&r);
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
    lmi_arena_done(&c->arena);
    lmi_free(&a, c, sizeof *c);
}

const lmail_settings *lmail_config_settings(const lmail_config *c)
{
    return &c->values;
}
