/* policy_tables.c - the host's configuration made into one immutable object.
 *
 * Copies what is given one by one, has the files read, and judges the smart host and the masquerade
 * name, which are settings and no lines of a table. Called when a daemon loads or reloads. */
#include "policy/policy_tables_internal.h"

#include <string.h>

#define MAX_DEPTH 10u /* confMAX_ALIAS_RECURSION of the classic installation */
#define DEEPEST 50u   /* the stack bears it */
#define MAX_DESTINATIONS 10000u

void lmail_policy_tables_config_init(lmail_policy_tables_config *config)
{
    memset(config, 0, sizeof *config);
    config->size = sizeof *config;
}

static lmi_map *maps_of(lmail_policy_tables *t, size_t i)
{
    lmi_map *all[] = {&t->virtusers,          &t->mailers,
                      &t->generics,           &t->domains,
                      &t->aliases.names,      &t->aliases.includes,
                      &t->virtual_domains,    &t->generics_domains,
                      &t->masquerade_domains, &t->masquerade_exceptions,
                      &t->exposed_users,      &t->words};
    return i < sizeof all / sizeof *all ? all[i] : NULL;
}

/* ---- Settings -------------------------------------------------------------------------------- */

static lmail_status keep_list(lmail_policy_tables *t, const lmail_str *items, size_t count,
                              lmail_str **out, size_t *out_count)
{
    size_t size;
    if (!count)
        return LMAIL_OK;
    if (lmail_size_mul(count, sizeof **out, &size))
        return LMAIL_ERR_LIMIT;
    *out = lmi_arena_get(&t->words.more, size);
    if (!*out)
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        lmail_status st = lmi_map_keep(&t->words, items[i], &(*out)[i]);
        if (st)
            return st;
    }
    *out_count = count;
    return LMAIL_OK;
}

/* SMART_HOST; one that names this host is none (the old program deletes it). */
static lmail_status keep_smart_host(lmi_tables_reader *r)
{
    lmail_policy_tables *t = r->t;
    lmail_str text;
    char folded[256];
    if (!r->config->smart_host.len)
        return LMAIL_OK;
    lmail_status st = lmi_map_keep(&t->words, r->config->smart_host, &text);
    if (st)
        return st;
    lmi_triple_parse(text, 1, &t->smart_host);
    if (t->smart_host.kind == LMI_TRIPLE_BAD) {
        r->file = (lmail_str){NULL, 0};
        LMI_TABLES_SAY(r, LMAIL_ERROR, 0, LMAIL_STR("the smart host is not understood: "), text);
        return LMAIL_OK;
    }
    if (t->smart_host.kind == LMI_TRIPLE_HOSTS && text.len <= sizeof folded &&
        t->smart_host.hosts.ptr == text.ptr) {
        memcpy(folded, text.ptr, text.len);
        lmi_map_fold(folded, text.len);
        if (lmi_tables_local(t, (lmail_str){folded, text.len}))
            t->smart_host.kind = LMI_TRIPLE_BAD;
    }
    return LMAIL_OK;
}

static int is_domain(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if ((unsigned char)c <= ' ' || c == 0x7f || memchr("()<>:;@\\,\"", c, 10))
            return 0;
    }
    return s.len <= 255;
}

static lmail_status keep_settings(lmi_tables_reader *r)
{
    lmail_policy_tables *t = r->t;
    const lmail_policy_tables_config *c = r->config;
    t->max_depth = c->max_depth ? c->max_depth : MAX_DEPTH;
    if (t->max_depth > DEEPEST)
        t->max_depth = DEEPEST;
    t->max_destinations = c->max_destinations ? c->max_destinations : MAX_DESTINATIONS;
    t->virtuser_entire_domain = c->virtuser_entire_domain;
    t->generics_entire_domain = c->generics_entire_domain;
    t->redirect = c->redirect;
    t->masquerade_envelope = c->masquerade_envelope;
    t->masquerade_entire_domain = c->masquerade_entire_domain;
    t->allmasquerade = c->allmasquerade;
    t->limited_masquerade = c->limited_masquerade;
    t->local_no_masquerade = c->local_no_masquerade;
    if (!is_domain(c->masquerade_as)) {
        LMI_TABLES_SAY(r, LMAIL_ERROR, 0, LMAIL_STR("the masquerade name is no domain: "),
                       c->masquerade_as);
        return LMAIL_OK;
    }
    lmail_status st = lmi_map_keep(&t->words, c->masquerade_as, &t->masquerade_as);
    if (!st)
        st = keep_list(t, c->programs, c->program_count, &t->programs, &t->program_count);
    if (!st)
        st = keep_list(t, c->file_directories, c->file_directory_count, &t->file_directories,
                       &t->file_directory_count);
    return st ? st : keep_smart_host(r);
}

/* ---- The object ------------------------------------------------------------------------------ */

static lmail_status read_all(lmi_tables_reader *r)
{
    lmail_policy_tables *t = r->t;
    const lmail_policy_tables_config *c = r->config;
    const struct {
        lmi_map *map;
        const lmail_policy_names *names;
    } classes[] = {{&t->virtual_domains, &c->virtual_domains},
                   {&t->generics_domains, &c->generics_domains},
                   {&t->masquerade_domains, &c->masquerade_domains},
                   {&t->masquerade_exceptions, &c->masquerade_exceptions},
                   {&t->exposed_users, &c->exposed_users}};
    const struct {
        lmi_map *map;
        const lmail_policy_file *file;
        lmi_value_check *check;
    } tables[] = {{&t->domains, &c->domaintable, lmi_check_domain},
                  {&t->virtusers, &c->virtusertable, lmi_check_virtuser},
                  {&t->mailers, &c->mailertable, lmi_check_mailer},
                  {&t->generics, &c->genericstable, lmi_check_generic}};
    lmail_status st = keep_settings(r);
    for (size_t i = 0; !st && i < sizeof classes / sizeof *classes; i++)
        st = lmi_names_read(r, classes[i].map, classes[i].names);
    for (size_t i = 0; !st && i < sizeof tables / sizeof *tables; i++)
        st = lmi_table_read(r, tables[i].map, tables[i].file, tables[i].check);
    return st ? st : lmi_aliases_read(r);
}

lmail_status lmail_policy_tables_new(lmail_policy_tables **out,
                                     const lmail_policy_tables_config *config)
{
    lmail_policy_tables_config c;
    *out = NULL;
    if (lmi_struct_take(&c, sizeof c, config))
        return LMAIL_ERR_SIZE;
    if (!c.policy)
        return LMAIL_ERR_ARG;
    lmail_alloc alloc = lmi_alloc_resolve(&c.alloc);
    lmail_policy_tables *t = lmi_zalloc(&alloc, sizeof *t);
    if (!t)
        return LMAIL_ERR_NOMEM;
    t->alloc = alloc;
    t->policy = c.policy;
    for (size_t i = 0; maps_of(t, i); i++)
        lmi_map_init(maps_of(t, i), &t->alloc);
    lmi_tables_reader r = {t, &c, {NULL, 0}, 0};
    lmail_status st = read_all(&r);
    if (!st && r.errors)
        st = LMAIL_ERR_SYNTAX;
    if (st)
        lmail_policy_tables_free(t);
    else
        *out = t;
    return st;
}

void lmail_policy_tables_free(lmail_policy_tables *t)
{
    if (!t)
        return;
    lmail_alloc alloc = t->alloc;
    lmi_aliases_done(&t->aliases, &t->alloc);
    for (size_t i = 0; maps_of(t, i); i++)
        lmi_map_done(maps_of(t, i));
    lmi_free(&alloc, t, sizeof *t);
}

const lmi_map_entry *lmi_tables_local(const lmail_policy_tables *t, lmail_str domain)
{
    char room[LMI_MAX_KEY_TEXT];
    lmi_key_fault fault;
    if (domain.len && domain.ptr[0] == '[' && domain.len <= LMAIL_POLICY_MAX_ADDRESS)
        domain = lmi_key_spell(domain, room, &fault); /* an IPv6 literal has many spellings */
    return lmi_map_find(&t->policy->w, domain);
}

lmail_str lmi_tables_host_name(const lmail_policy_tables *t)
{
    return t->policy->config.host_name;
}

const lmi_map_entry *lmi_tables_domain(const lmail_policy_tables *t, lmail_str folded)
{
    const lmi_map_entry *e = lmi_map_find(&t->domains, folded);
    return e && !e->kind ? e : NULL;
}

lmail_str lmail_policy_tables_domain(const lmail_policy_tables *t, lmail_str domain)
{
    char folded[256];
    lmail_str key = domain;
    if (key.len > 1 && key.ptr[key.len - 1] == '.')
        key.len--;
    if (key.len > sizeof folded || !t->domains.count)
        return domain;
    if (key.len)
        memcpy(folded, key.ptr, key.len);
    lmi_map_fold(folded, key.len);
    const lmi_map_entry *e = lmi_tables_domain(t, (lmail_str){folded, key.len});
    return e ? lmi_map_value(e) : domain;
}
