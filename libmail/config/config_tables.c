/* config_tables.c - routing and masquerading made of the settings and of the files that they name.
 *
 * Called once, when the policy is made. */
#include "config/config_files.h"

#include <string.h>

#define MAX_ALIAS_FILES 32u

static lmail_status include(void *ctx, lmail_str name, lmail_str *octets)
{
    const lmi_making *m = ctx;
    return m->r->io->open ? m->r->io->open(m->r->io->ctx, name, octets) : LMAIL_ERR_NOTFOUND;
}

static void include_done(void *ctx, lmail_str octets)
{
    const lmi_making *m = ctx;
    if (m->r->io->close)
        m->r->io->close(m->r->io->ctx, octets);
}

/* A class of the tables: names, and files of them. */
static void class_of(lmi_making *m, const lmail_str_list *list, const char *files_name,
                     const lmail_str_list *files, lmail_policy_names *out)
{
    lmi_names names = {NULL, 0, 0};
    lmail_policy_file first = {{NULL, 0}, {NULL, 0}};
    lmi_names_add_list(m, &names, list);
    lmi_names_add_files(m, &names, files_name, files, &first);
    *out = (lmail_policy_names){names.items, names.count, first};
}

static void routing_settings(lmi_making *m, lmail_policy_tables_config *c,
                             lmail_policy_file *aliases)
{
    const lmail_settings *v = &m->r->config->values;
    c->virtusertable = lmi_files_named(m, "routing.virtusertable", v->routing.virtusertable);
    c->mailertable = lmi_files_named(m, "routing.mailertable", v->routing.mailertable);
    c->genericstable = lmi_files_named(m, "routing.genericstable", v->routing.genericstable);
    c->domaintable = lmi_files_named(m, "routing.domaintable", v->routing.domaintable);
    for (size_t i = 0; i < v->routing.aliases.count && c->alias_count < MAX_ALIAS_FILES; i++) {
        lmail_policy_file *file = &aliases[c->alias_count];
        *file = lmi_files_named(m, "routing.aliases", v->routing.aliases.items[i]);
        c->alias_count += file->name.len > 0;
    }
    c->aliases = aliases;
    c->virtuser_entire_domain = v->routing.virtuser_entire_domain;
    c->generics_entire_domain = v->routing.generics_entire_domain;
    c->smart_host = v->routing.smart_host;
    c->redirect = v->routing.redirect;
    class_of(m, &v->routing.virtuser_domains, "routing.virtuser_domain_files",
             &v->routing.virtuser_domain_files, &c->virtual_domains);
    class_of(m, &v->routing.generics_domains, "routing.generics_domain_files",
             &v->routing.generics_domain_files, &c->generics_domains);
}

static void masquerade_settings(lmi_making *m, lmail_policy_tables_config *c)
{
    const lmail_settings *v = &m->r->config->values;
    c->masquerade_as = v->masquerade.as;
    c->masquerade_envelope = v->masquerade.envelope;
    c->masquerade_entire_domain = v->masquerade.entire_domain;
    c->allmasquerade = v->masquerade.recipients;
    c->limited_masquerade = v->masquerade.limited;
    c->local_no_masquerade = v->masquerade.not_local;
    class_of(m, &v->masquerade.domains, "masquerade.domain_files", &v->masquerade.domain_files,
             &c->masquerade_domains);
    class_of(m, &v->masquerade.exceptions, "masquerade.exception_files",
             &v->masquerade.exception_files, &c->masquerade_exceptions);
    class_of(m, &v->masquerade.exposed_users, "masquerade.exposed_user_files",
             &v->masquerade.exposed_user_files, &c->exposed_users);
}

void lmi_config_make_tables(lmi_making *m)
{
    lmail_config *config = m->r->config;
    lmail_policy_tables_config c;
    lmail_policy_file aliases[MAX_ALIAS_FILES];
    lmail_policy_tables_config_init(&c);
    c.alloc = config->alloc;
    c.diagnostic = lmi_files_diagnose;
    c.diagnostic_ctx = m->r;
    c.policy = config->policy;
    c.include = include;
    c.include_done = include_done;
    c.include_ctx = m;
    routing_settings(m, &c, aliases);
    masquerade_settings(m, &c);
    if (m->r->failed || !config->policy)
        return;
    lmail_status st = lmail_policy_tables_new(&config->tables, &c);
    if (st == LMAIL_ERR_NOMEM)
        m->r->failed = st;
    else if (st && st != LMAIL_ERR_SYNTAX)
        LMI_SAY(m->r, LMAIL_ERROR, lmi_config_origin(config, "hostname"),
                LMAIL_STR("the tables cannot be made: "), lmail_str_from(lmail_status_text(st)));
}

const lmail_policy_tables *lmail_config_tables(const lmail_config *c)
{
    return c->tables;
}
