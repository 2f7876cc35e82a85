/* Every FEATURE and directive of a sendmail.mc that is one setting; those that are refused, since
 * ignoring them would weaken the policy; those without effect. */
#include <check.h>
#include <libmail/config.h>
#include <stdio.h>
#include <string.h>

#include "mc_world.h"

Suite *config_mc_feature_suite(void);

static const struct row {
    const char *mc, *key, *value, *said;
} rows[] = {
    {"FEATURE(`use_ct_file')", "policy.trusted_users", "\"-/etc/mail/trusted-users\"", ""},
    {"define(`confCT_FILE', `/t')FEATURE(`use_ct_file')", "policy.trusted_users", "\"-/t\"", ""},
    {"define(`confCT_FILE', `/t')", "policy.trusted_users", "\"\"", ""},
    {"define(`confCW_FILE', `/w')", "policy.local_host_names", "\"\"", ""},
    {"FEATURE(`blocklist_recipients')", "policy.blocklist_recipients", "yes", ""},
    {"", "policy.blocklist_recipients", "no", ""},
    {"FEATURE(`accept_unresolvable_domains')", "policy.accept_unresolvable_domains", "yes", ""},
    {"", "policy.accept_unresolvable_domains", "no", ""},
    {"FEATURE(`accept_unqualified_senders')", "policy.accept_unqualified_senders", "yes", ""},
    {"FEATURE(`relay_entire_domain')", "policy.relay_entire_domain", "yes", ""},
    {"FEATURE(`relay_hosts_only')", "policy.relay_hosts_only", "yes", ""},
    {"FEATURE(`relay_local_from')", "policy.relay_local_from", "yes",
     "x.mc:1: W: open relay: relay_local_from believes the sender address, which anybody can "
     "forge\n"},
    {"FEATURE(`relay_mail_from', `domain')", "policy.relay_mail_from", "domain",
     "x.mc:1: W: open relay: relay_mail_from believes the sender address, which anybody can "
     "forge\n"},
    {"FEATURE(`loose_relay_check')", "policy.loose_relay_check", "yes", ""},
    {"FEATURE(`lookupdotdomain')", "policy.lookup_dot_domain", "yes", ""},
    {"FEATURE(`access_db', `hash /a', `relaytofulladdress')", "policy.relay_to_full_address", "yes",
     NULL},
    {"FEATURE(`access_db', `hash -o /a')", "policy.access", "\"-/a\"", NULL},
    {"FEATURE(`delay_checks')", "policy.delay_checks", "yes", ""},
    {"FEATURE(`delay_checks', `hater')", "policy.delay_checks", "hater", ""},
    {"FEATURE(`conncontrol', `nodelay')", "policy.connection_control", "\"on, nodelay\"", ""},
    {"FEATURE(`conncontrol')", "policy.connection_control", "\"on\"", ""},
    {"FEATURE(`dnsbl', `b.example', `quarantine')", "action", "quarantine", ""},
    {"FEATURE(`dnsbl', `b.example')", "zone", "\"b.example\"", ""},
    {"FEATURE(`genericstable')", "routing.genericstable", "\"/etc/mail/genericstable\"", NULL},
    {"FEATURE(`domaintable', `hash -o /d')", "routing.domaintable", "\"-/d\"", NULL},
    {"FEATURE(`virtuser_entire_domain')", "routing.virtuser_entire_domain", "yes", ""},
    {"FEATURE(`generics_entire_domain')", "routing.generics_entire_domain", "yes", ""},
    {"VIRTUSER_DOMAIN(`v.example')VIRTUSER_DOMAIN(`w.example')", "routing.virtuser_domains",
     "\"v.example, w.example\"", ""},
    {"VIRTUSER_DOMAIN_FILE(`-o /v')", "routing.virtuser_domain_files", "\"-/v\"", ""},
    {"GENERICS_DOMAIN_FILE(`-o /g')", "routing.generics_domain_files", "\"-/g\"", ""},
    {"LOCAL_DOMAIN(`l.example')", "policy.local_domains", "\"l.example\"", ""},
    {"RELAY_DOMAIN(`r.example')", "policy.relay_domains", "\"r.example\"", ""},
    {"RELAY_DOMAIN_FILE(`/r')", "policy.relay_domain_files", "\"/r, -/etc/mail/relay-domains\"",
     NULL},
    {"FEATURE(`redirect')", "routing.redirect", "yes", ""},
    {"FEATURE(`nouucp', `nospecial')", "policy.bang_path", "plain", ""},
    {"FEATURE(`nopercenthack', `reject')", "policy.percent_hack", "reject", ""},
    {"FEATURE(`masquerade_envelope')", "masquerade.envelope", "yes", ""},
    {"FEATURE(`limited_masquerade')", "masquerade.limited", "yes", ""},
    {"FEATURE(`local_no_masquerade')", "masquerade.not_local", "yes", ""},
    {"define(`confRELAY_MSG', `551 5.7.1 No')", "policy.relay_reply", "\"551 5.7.1 No\"", ""},
    {"FEATURE(`always_add_domain')FEATURE(`nocanonify')FEATURE(`notsticky')", "smtp.max_hops", "25",
     ""},
    {"FEATURE(`local_lmtp')", "smtp.max_hops", "25",
     "x.mc:1: N: FEATURE(local_lmtp): mail is delivered by libmail itself, no program is run\n"},
    {"MAILER(`cyrusv2')", "smtp.max_hops", "25",
     "x.mc:1: N: MAILER(cyrusv2): mail is delivered by libmail itself, no program is run\n"},
};

START_TEST(a_feature_is_its_setting)
{
    const struct row *r = &rows[_i];
    mc_world w = {MC_WORLD_MAIN, r->mc, {NULL}, 1, "", "", 0};
    lmail_config *c;
    ck_assert_msg(mc_world_load(&w, &c) == LMAIL_OK, "%s: %s", r->mc, w.said);
    mc_world_show(&w, c);
    ck_assert_msg(strcmp(mc_world_shown(&w, r->key), r->value) == 0, "%s: %s = %s", r->mc, r->key,
                  mc_world_shown(&w, r->key));
    if (r->said)
        ck_assert_str_eq(w.said, r->said);
    lmail_config_free(c);
}
END_TEST

static const char *const refused[] = {
    "block_bad_helo", "require_rdns", "badmx",   "check_other",         "msp", "ldap_routing",
    "nullclient",     "rhsbl",        "mtamark", "check_cert_altnames", "sts", "compat_check"};

START_TEST(what_would_weaken_the_policy_is_refused)
{
    char mc[80], said[100];
    snprintf(mc, sizeof mc, "FEATURE(`%s')\n", refused[_i]);
    snprintf(said, sizeof said, "x.mc:1: E: FEATURE(%s) is not supported\n", refused[_i]);
    mc_world w = {MC_WORLD_MAIN, mc, {NULL}, 1, "", "", 0};
    lmail_config *c;
    ck_assert_int_eq(mc_world_load(&w, &c), LMAIL_ERR_SYNTAX);
    ck_assert_str_eq(w.said, said);
}
END_TEST

static const char *const idle[] = {"authinfo",       "bcc",          "bestmx_is_local",
                                   "bitdomain",      "domainmap",    "stickyhost",
                                   "prefixmod",      "queuegroup",   "preserve_luser_host",
                                   "use_client_ptr", "tls_failures", "tls_session_features",
                                   "vnet",           "uucpdomain",   "preserve_local_plus_detail"};

START_TEST(what_has_no_effect_is_told)
{
    char mc[80], said[100];
    snprintf(mc, sizeof mc, "FEATURE(`%s')\n", idle[_i]);
    snprintf(said, sizeof said, "x.mc:1: W: FEATURE(%s) has no effect here\n", idle[_i]);
    mc_world w = {MC_WORLD_MAIN, mc, {NULL}, 1, "", "", 0};
    lmail_config *c;
    ck_assert_msg(mc_world_load(&w, &c) == LMAIL_OK, "%s", w.said);
    ck_assert_str_eq(w.said, said);
    lmail_config_free(c);
}
END_TEST

static const struct mistake {
    const char *mc, *said;
} mistakes[] = {
    {"FEATURE(`delay_checks', `freind')",
     "x.mc:1: E: FEATURE(delay_checks): \"freind\" is none of friend, hater\n"},
    {"FEATURE(`relay_mail_from', `host')",
     "x.mc:1: E: FEATURE(relay_mail_from): \"host\" is none of domain\n"},
    {"FEATURE(`ratecontrol', `later')",
     "x.mc:1: E: FEATURE(ratecontrol): \"later\" is none of nodelay, terminate\n"},
    {"FEATURE(`nouucp', `maybe')",
     "x.mc:1: E: FEATURE(nouucp): \"maybe\" is none of reject, nospecial\n"},
    {"FEATURE(`dnsbl')", "x.mc:1: E: FEATURE(dnsbl) needs the zone of a list\n"},
    {"FEATURE(`dnsbl', `b.example', `', `x')", "x.mc:1: E: FEATURE(dnsbl): \"x\" is none of t\n"},
    {"FEATURE(`dnsbl', `b.example', `Go away')",
     "x.mc:1: E: FEATURE(dnsbl): \"Go away\" is none of \"NNN text\", quarantine, discard\n"},
    {"FEATURE(`greet_pause', `5s')",
     "x.mc:1: E: FEATURE(greet_pause): \"5s\" is no number; write plain digits\n"},
};

START_TEST(a_wrong_argument_is_an_error)
{
    mc_world w = {MC_WORLD_MAIN, mistakes[_i].mc, {NULL}, 1, "", "", 0};
    lmail_config *c;
    ck_assert_int_eq(mc_world_load(&w, &c), LMAIL_ERR_SYNTAX);
    ck_assert_str_eq(w.said, mistakes[_i].said);
}
END_TEST

Suite *config_mc_feature_suite(void)
{
    Suite *s = suite_create("config_mc_feature");
    TCase *t = tcase_create("features");
    tcase_add_loop_test(t, a_feature_is_its_setting, 0, sizeof rows / sizeof *rows);
    tcase_add_loop_test(t, what_would_weaken_the_policy_is_refused, 0,
                        sizeof refused / sizeof *refused);
    tcase_add_loop_test(t, what_has_no_effect_is_told, 0, sizeof idle / sizeof *idle);
    tcase_add_loop_test(t, a_wrong_argument_is_an_error, 0, sizeof mistakes / sizeof *mistakes);
    suite_add_tcase(s, t);
    return s;
}
