/* config_policy.c - the policy made of the settings and of the files that they name.
 *
 * Called once, when the settings stand; the tables follow. */
#include "config/config_files.h"

#include <string.h>

/* "*": every mechanism that proves who somebody is. */
static void trust(lmi_making *m, lmi_names *n, const lmail_str_list *list)
{
    static const char *const all[] = {"PLAIN",         "LOGIN",
                                      "CRAM-MD5",      "DIGEST-MD5",
                                      "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
                                      "SCRAM-SHA-1",   "SCRAM-SHA-1-PLUS",
                                      "EXTERNAL",      "OAUTHBEARER",
                                      "XOAUTH2",       "GSSAPI",
                                      "XCLIENT"};
    for (size_t i = 0; i < list->count; i++) {
        if (!lmail_str_equal(list->items[i], LMAIL_STR("*"))) {
            lmi_names_add(m, n, list->items[i]);
            continue;
        }
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            lmi_names_add(m, n, lmail_str_from(all[k]));
    }
}

static void fill_classes(lmi_making *m, lmail_policy_config *c)
{
    const lmail_settings *v = &m->r->config->values;
    const lmail_config_io *io = m->r->io;
    lmi_names w = {0}, relay = {0};
    lmi_names_add_list(m, &w, &v->domains);
    lmi_names_add_list(m, &w, &v->policy.local_domains);
    c->local_domains = w.items;
    c->local_domain_count = w.count;
    c->use_cw_file = 1; /* a file that is not to be read is not named */
    c->local_domains_file =
        lmi_files_named(m, "policy.local_host_names", v->policy.local_host_names);
    if (v->policy.address_literals) {
        c->host_addresses = io->machine_addresses;
        c->host_address_count = io->machine_address_count;
    }
    lmi_names_add_list(m, &relay, &v->policy.relay_domains);
    lmi_names_add_files(m, &relay, "policy.relay_domain_files", &v->policy.relay_domain_files,
                        &c->relay_domains_file);
    /* virtual domains belong to class R: mail for them is taken from everybody */
    lmi_names_add_list(m, &relay, &v->routing.virtuser_domains);
    lmi_names_add_files(m, &relay, "routing.virtuser_domain_files",
                        &v->routing.virtuser_domain_files, NULL);
    c->relay_domains = relay.items;
    c->relay_domain_count = relay.count;
}

static void fill_access(lmi_making *m, lmail_policy_config *c)
{
    const lmail_settings *v = &m->r->config->values;
    const lmail_config_io *io = m->r->io;
    c->access = lmi_files_named(m, "policy.access", v->policy.access);
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

/* The policy is faulty, and that was told: enough of one to look at the tables with. */
static lmail_status make_bare(lmail_config *config, lmail_str host_name)
{
    lmail_policy_config c;
    lmail_policy_config_init(&c);
    c.alloc = config->alloc;
    c.host_name = host_name;
    return lmail_policy_new(&config->policy, &c);
}

void lmi_config_make_policy(lmi_reader *r)
{
    lmail_config *config = r->config;
    const lmail_settings *v = &config->values;
    lmi_making m = {r, NULL};
    if (v->hostname.len > 255) {
        LMI_SAY(r, LMAIL_ERROR, lmi_config_origin(config, "hostname"),
                LMAIL_STR("hostname is longer than 255 octets"));
        return;
    }
    lmi_names trusted = {0};
    lmail_policy_config c;
    lmail_policy_config_init(&c);
    c.alloc = config->alloc;
    c.diagnostic = lmi_files_diagnose;
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
    if (st == LMAIL_ERR_SYNTAX)
        st = make_bare(config, c.host_name);
    if (st)
        r->failed = st;
    else
        lmi_config_make_tables(&m);
    lmi_files_give_back(&m);
}

const lmail_policy *lmail_config_policy(const lmail_config *config)
{
    return config->policy;
}
