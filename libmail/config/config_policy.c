/* config_policy.c - the administrator's files read, and the policy made of them and the settings.
 *
 * Called once, when the settings stand. Names of files are relative to the file that names them; one
 * that begins with "-" may be missing; one that ends in .db means the text it was made from. Never
 * opens a file itself: lmail_config_io.open does. */
#include "config/config_internal.h"

#include <string.h>

/* Octets that `open` lent, to be given back when the policy has its copies. */
typedef struct lent {
    struct lent *next;
    lmail_str octets;
} lent;

typedef struct making {
    lmi_reader *r;
    lent *files;
} making;

/* ---- Files ----------------------------------------------------------------------------------- */

static void say_missing(making *m, lmi_origin at, lmail_str path, lmail_status st, int database)
{
    LMI_SAY(m->r, LMAIL_ERROR, at, LMAIL_STR("cannot read "), path, LMAIL_STR(": "),
            lmail_str_from(lmail_status_text(st)),
            database ? LMAIL_STR("; the text that the .db was made from is needed")
                     : LMAIL_STR(""));
}

/* Empty: there is none, or it was complained of. */
static lmail_policy_file take_file(making *m, lmail_str name, lmi_origin at)
{
    lmail_policy_file none = {{NULL, 0}, {NULL, 0}}, f = none;
    int may_lack = name.len && name.ptr[0] == '-';
    if (may_lack)
        name = lmi_str_skip(name, 1);
    if (!name.len || m->r->failed)
        return none;
    int database =
        name.len > 3 && lmail_str_equal(lmi_str_skip(name, name.len - 3), LMAIL_STR(".db"));
    if (database)
        name.len -= 3;
    lent *l = lmi_arena_get(&m->r->config->arena, sizeof *l);
    if (!l || lmi_config_beside(m->r, at.file, name, &f.name)) {
        m->r->failed = LMAIL_ERR_NOMEM;
        return none;
    }
    const lmail_config_io *io = m->r->io;
    lmail_status st = io->open ? io->open(io->ctx, f.name, &f.octets) : LMAIL_ERR_NOTFOUND;
    if (st) {
        if (!may_lack || st != LMAIL_ERR_NOTFOUND)
            say_missing(m, at, f.name, st, database);
        return none;
    }
    *l = (lent){m->files, f.octets};
    m->files = l;
    return f;
}

static lmail_policy_file named_file(making *m, const char *setting, lmail_str name)
{
    return take_file(m, name, lmi_config_origin(m->r->config, setting));
}

static void give_back(making *m)
{
    for (lent *l = m->files; l; l = l->next)
        if (m->r->io->close)
            m->r->io->close(m->r->io->ctx, l->octets);
    m->files = NULL;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

/* One list of two; the second may be of a file's first words. */
typedef struct names {
    lmail_str *items;
    size_t count, cap;
} names;

static void add_name(making *m, names *n, lmail_str name)
{
    if (n->count == n->cap) {
        size_t cap = n->cap ? n->cap * 2 : 16;
        lmail_str *grown = lmi_arena_get(&m->r->config->arena, cap * sizeof *grown);
        if (!grown) {
            m->r->failed = LMAIL_ERR_NOMEM;
            return;
        }
        if (n->count)
            memcpy(grown, n->items, n->count * sizeof *grown);
        n->items = grown;
        n->cap = cap;
    }
    n->items[n->count++] = name;
}

static void add_list(making *m, names *n, const lmail_str_list *list)
{
    for (size_t i = 0; i < list->count && !m->r->failed; i++)
        add_name(m, n, list->items[i]);
}

/* The first word of each line, as in a class's file. */
static void add_file(making *m, names *n, lmail_str text)
{
    while (text.len && !m->r->failed) {
        lmail_str line = lmi_str_sub(text, 0, lmi_str_find(text, '\n')), kept;
        text = lmi_str_skip(text, line.len < text.len ? line.len + 1 : line.len);
        if (line.len && line.ptr[0] == '#')
            continue;
        while (line.len && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))
            line = lmi_str_skip(line, 1);
        size_t len = 0;
        while (len < line.len && !strchr(" \t\r", line.ptr[len]))
            len++;
        if (!len)
            continue;
        if (lmi_arena_copy(&m->r->config->arena, lmi_str_sub(line, 0, len), &kept))
            m->r->failed = LMAIL_ERR_NOMEM;
        else
            add_name(m, n, kept);
    }
}

/* ---- The policy ------------------------------------------------------------------------------ */

/* "*": every mechanism that proves who somebody is. */
static void trust(making *m, names *n, const lmail_str_list *list)
{
    static const char *const all[] = {"PLAIN",         "LOGIN",
                                      "CRAM-MD5",      "DIGEST-MD5",
                                      "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
                                      "SCRAM-SHA-1",   "SCRAM-SHA-1-PLUS",
                                      "EXTERNAL",      "OAUTHBEARER",
                                      "XOAUTH2",       "GSSAPI"};
    for (size_t i = 0; i < list->count; i++) {
        if (!lmail_str_equal(list->items[i], LMAIL_STR("*"))) {
            add_name(m, n, list->items[i]);
            continue;
        }
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            add_name(m, n, lmail_str_from(all[k]));
    }
}

static void fill_classes(making *m, lmail_policy_config *c)
{
    const lmail_settings *v = &m->r->config->values;
    const lmail_config_io *io = m->r->io;
    names w = {0}, relay = {0};
    add_list(m, &w, &v->domains);
    add_list(m, &w, &v->policy.local_domains);
    c->local_domains = w.items;
    c->local_domain_count = w.count;
    c->use_cw_file = 1; /* a file that is not to be read is not named */
    c->local_domains_file = named_file(m, "policy.local_host_names", v->policy.local_host_names);
    if (v->policy.address_literals) {
        c->host_addresses = io->machine_addresses;
        c->host_address_count = io->machine_address_count;
    }
    add_list(m, &relay, &v->policy.relay_domains);
    const lmail_str_list *files = &v->policy.relay_domain_files;
    for (size_t i = 0; i < files->count; i++) {
        lmail_policy_file f = named_file(m, "policy.relay_domain_files", files->items[i]);
        if (!c->relay_domains_file.name.len)
            c->relay_domains_file = f; /* with its lines in what is told */
        else
            add_file(m, &relay, f.octets);
    }
    c->relay_domains = relay.items;
    c->relay_domain_count = relay.count;
}

static void fill_access(making *m, lmail_policy_config *c)
{
    const lmail_settings *v = &m->r->config->values;
    const lmail_config_io *io = m->r->io;
    c->access = named_file(m, "policy.access", v->policy.access);
    c->access_is_public =
        c->access.name.len && io->is_public && io->is_public(io->ctx, c->access.name);
}

static void fill_switches(lmail_policy_config *c, const lmail_settings *v)
{
    c->relay_entire_domain = v->policy.relay_entire_domain;
    c->relay_hosts_only = v->policy.relay_hosts_only;
    c->relay_based_on_mx = v->policy.relay_based_on_mx;
    c->relay_local_from = v->policy.relay_local_from;
    c->relay_mail_from = v->policy.relay_mail_from;
    c->promiscuous_relay = v->policy.promiscuous_relay;
    c->loose_relay_check = v->policy.loose_relay_check;
    c->blocklist_recipients = v->policy.blocklist_recipients;
    c->relay_to_full_address = v->policy.relay_to_full_address;
    c->lookupdotdomain = v->policy.lookup_dot_domain;
    c->accept_unresolvable_domains = v->policy.accept_unresolvable_domains;
    c->accept_unqualified_senders = v->policy.accept_unqualified_senders;
    c->delay_checks = v->policy.delay_checks;
    static const lmail_policy_route routes[] = {
        [LMAIL_ROUTE_MARK_ROUTE] = LMAIL_POLICY_ROUTE_STRIP,
        [LMAIL_ROUTE_MARK_PLAIN] = LMAIL_POLICY_ROUTE_ORDINARY,
        [LMAIL_ROUTE_MARK_REJECT] = LMAIL_POLICY_ROUTE_REJECT};
    c->nopercenthack = routes[v->policy.percent_hack];
    c->nouucp = routes[v->policy.bang_path];
    c->rate_control = (v->policy.rate_control & LMAIL_CONTROL_ON) != 0;
    c->rate_control_terminate = (v->policy.rate_control & LMAIL_CONTROL_TERMINATE) != 0;
    c->conn_control = (v->policy.connection_control & LMAIL_CONTROL_ON) != 0;
    c->conn_control_terminate = (v->policy.connection_control & LMAIL_CONTROL_TERMINATE) != 0;
    c->greet_pause = v->policy.greet_pause > 0 || v->policy.greet_pause_access;
    c->greet_pause_ms = v->policy.greet_pause;
}

/* The words that stand where nobody said anything are the policy's own, which know more. */
static lmail_str own_words(const lmail_config *c, const char *setting, lmail_str value)
{
    lmail_str none = {NULL, 0};
    return lmi_config_origin(c, setting).rank > LMI_RANK_STANDARD ? value : none;
}

/* What is said of a switch belongs to the line that turned it on. The reader of an imported file
 * has said it of that line already. Returns 0 to be silent. */
static int place_switch(const lmi_reader *r, lmail_diagnostic *d)
{
    static const char *const settings[] = {"policy.promiscuous_relay", "policy.relay_local_from",
                                           "policy.relay_mail_from"};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        lmail_str word = lmail_str_from(settings[i] + 7);
        lmi_origin at = lmi_config_origin(r->config, settings[i]);
        if (!lmi_str_has_prefix_nocase(d->text, LMAIL_STR("open relay: ")) ||
            !lmi_str_has_prefix_nocase(lmi_str_skip(d->text, 12), word))
            continue;
        d->file = at.file;
        d->line = at.line;
        return at.rank == LMI_RANK_NATIVE;
    }
    return 1;
}

static void diagnose(void *ctx, const lmail_diagnostic *given)
{
    lmi_reader *r = ctx;
    lmail_diagnostic d = *given;
    if (d.severity == LMAIL_ERROR)
        r->errors++;
    if (r->io->diagnostic && place_switch(r, &d))
        r->io->diagnostic(r->io->ctx, &d);
}

void lmi_config_make_policy(lmi_reader *r)
{
    lmail_config *config = r->config;
    const lmail_settings *v = &config->values;
    making m = {r, NULL};
    if (v->hostname.len > 255) {
        LMI_SAY(r, LMAIL_ERROR, lmi_config_origin(config, "hostname"),
                LMAIL_STR("hostname is longer than 255 octets"));
        return;
    }
    names trusted = {0};
    lmail_policy_config c;
    lmail_policy_config_init(&c);
    c.alloc = config->alloc;
    c.diagnostic = diagnose;
    c.diagnostic_ctx = r;
    c.host_name = v->hostname;
    if (!c.host_name.len && r->io->machine_name)
        c.host_name = r->io->machine_name(r->io->ctx);
    if (!c.host_name.len)
        c.host_name = LMAIL_STR("localhost");
    fill_classes(&m, &c);
    fill_access(&m, &c);
    fill_switches(&c, v);
    trust(&m, &trusted, &v->policy.trusted_mechanisms);
    c.trusted_mechanisms = trusted.items;
    c.trusted_mechanism_count = trusted.count;
    c.reject_message = own_words(config, "policy.reject_reply", v->policy.reject_reply);
    c.relay_message = own_words(config, "policy.relay_reply", v->policy.relay_reply);
    lmail_status st = r->failed ? r->failed : lmail_policy_new(&config->policy, &c);
    give_back(&m);
    if (st && st != LMAIL_ERR_SYNTAX)
        r->failed = st;
}

const lmail_policy *lmail_config_policy(const lmail_config *config)
{
    return config->policy;
}
