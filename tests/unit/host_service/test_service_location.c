/* Where mail lies, by store.location and store.home; and which connections need no TLS. */
#include "host/service/service_location.h"
#include "host/service/service_secure.h"

#include <check.h>
#include <string.h>

Suite *service_location_suite(void);

static const char account_text[] = "ana@example.org::5000:5000::/home/ana::\n"
                                   "bob@example.org::5000:5000::::\n";

START_TEST(a_location_has_the_name_in_it)
{
    static const struct row {
        const char *location, *home, *name, *want; /* want NULL: see status */
        lmail_status status;
    } rows[] = {{"", "", "ana@example.org", "", LMAIL_OK},
                {"/v/%u", "", "ana@example.org", "/v/ana@example.org", LMAIL_OK},
                {"/v/%d/%n/%%x", "", "ana@example.org", "/v/example.org/ana/%x", LMAIL_OK},
                {"/v/%d/%n", "", "ana", "/v//ana", LMAIL_OK},
                {"~/Maildir", "", "ana@example.org", "/home/ana/Maildir", LMAIL_OK},
                {"%h/Maildir", "/h/%n", "ana@example.org", "/h/ana/Maildir", LMAIL_OK},
                {"~/Maildir", "", "bob@example.org", NULL, LMAIL_ERR_NOTFOUND},
                {"~/Maildir", "", "eve@example.org", NULL, LMAIL_ERR_NOTFOUND},
                {"/v/%n", "", "../x@example.org", NULL, LMAIL_ERR_ARG},
                {"/v/%d/%n", "", "ana@..", NULL, LMAIL_ERR_ARG},
                {"/v/%d/%n", "", "ana@a/b", NULL, LMAIL_ERR_ARG},
                {"/v/%n", "", "@example.org", NULL, LMAIL_ERR_ARG}};
    lmail_settings settings;
    lmi_rules rules;
    char out[LMI_LOCATION_MAX];
    memset(&settings, 0, sizeof settings);
    memset(&rules, 0, sizeof rules);
    rules.settings = &settings;
    lmail_accounts_config c = LMAIL_ACCOUNTS_CONFIG_INIT;
    ck_assert_int_eq(lmail_accounts_from_text(&rules.accounts, lmail_str_from(account_text), &c),
                     LMAIL_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lmail_str got;
        settings.store.location = lmail_str_from(rows[i].location);
        settings.store.home = lmail_str_from(rows[i].home);
        lmail_status st = lmi_location(&rules, lmail_str_from(rows[i].name), out, &got);
        ck_assert_msg(st == rows[i].status, "row %zu: %s", i, lmail_status_name(st));
        if (!st)
            ck_assert_msg(lmail_str_equal(got, lmail_str_from(rows[i].want)), "row %zu: %.*s", i,
                          (int)got.len, got.ptr);
    }
    lmail_accounts_free(rules.accounts);
}
END_TEST

START_TEST(a_location_that_is_too_long_is_refused)
{
    static char form[LMI_LOCATION_MAX + 2];
    char out[LMI_LOCATION_MAX];
    lmail_settings settings;
    lmi_rules rules;
    lmail_str got;
    memset(&settings, 0, sizeof settings);
    memset(&rules, 0, sizeof rules);
    rules.settings = &settings;
    memset(form, '/', sizeof form - 1);
    settings.store.location = lmail_str_from(form);
    ck_assert_int_eq(lmi_location(&rules, LMAIL_STR("ana"), out, &got), LMAIL_ERR_LIMIT);
}
END_TEST

START_TEST(a_connection_is_secure_where_the_settings_say_so)
{
    static const struct row {
        const char *peer, *local, *proxy;
        unsigned unix_socket, local_is_secure;
        int secure;
    } rows[] = {{"127.0.0.1", "127.0.0.1", "", 0, 1, 1},
                {"127.0.0.1", "127.0.0.1", "", 0, 0, 0},
                {"127.0.0.2", "127.0.0.1", "", 0, 1, 0},
                {"192.0.2.1", "192.0.2.1", "127.0.0.1", 0, 1, 0}, /* as the proxy says */
                {"198.51.100.7", "192.0.2.1", "", 0, 0, 1},
                {"198.51.101.7", "192.0.2.1", "", 0, 0, 0},
                {"2001:db8::7", "::1", "", 0, 0, 1},
                {"", "", "", 1, 0, 1},
                {"", "", "", 0, 1, 0}};
    static const lmail_str items[] = {{"198.51.100.0/24", 15}, {"2001:db8::/32", 13}};
    char error[200];
    lmail_settings settings;
    lmi_secure *s;
    memset(&settings, 0, sizeof settings);
    settings.imap.secure_networks = (lmail_str_list){items, 2};
    ck_assert_int_eq(lmi_secure_new(&s, &settings, error, sizeof error), LMAIL_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lmail_conn_facts f;
        memset(&f, 0, sizeof f);
        f.peer_address = lmail_str_from(rows[i].peer);
        f.local_address = lmail_str_from(rows[i].local);
        f.proxy_address = lmail_str_from(rows[i].proxy);
        f.unix_socket = rows[i].unix_socket;
        settings.imap.local_is_secure = rows[i].local_is_secure;
        ck_assert_msg(lmi_secure_is(s, &settings, LMI_AUTH_IMAP, &f) == rows[i].secure, "row %zu",
                      i);
        f.unix_socket = 0;
        ck_assert(!lmi_secure_is(s, &settings, LMI_AUTH_POP3, &f));
    }
    lmi_secure_free(s);
    static const lmail_str bad[] = {{"nonsense", 8}};
    settings.pop3.secure_networks = (lmail_str_list){bad, 1};
    ck_assert_int_eq(lmi_secure_new(&s, &settings, error, sizeof error), LMAIL_ERR_ARG);
    ck_assert_ptr_nonnull(strstr(error, "pop3.secure_networks"));
}
END_TEST

START_TEST(homes_of_many_users_are_refused)
{
    static const char many[] = "ana::1000:1000::/home/ana::\nbob::1001:1001::/home/bob::\n";
    char error[400] = "";
    lmail_settings settings;
    lmi_rules rules;
    memset(&settings, 0, sizeof settings);
    memset(&rules, 0, sizeof rules);
    rules.settings = &settings;
    settings.store.location = LMAIL_STR("~/Maildir");
    lmail_accounts_config c = LMAIL_ACCOUNTS_CONFIG_INIT;
    lmail_accounts_from_text(&rules.accounts, lmail_str_from(many), &c);
    ck_assert_int_eq(lmi_location_check(&rules, error, sizeof error), LMAIL_ERR_ARG);
    ck_assert_ptr_nonnull(strstr(error, "1000, 1001"));
    settings.store.home = LMAIL_STR("/h/%u");
    ck_assert_int_eq(lmi_location_check(&rules, error, sizeof error), LMAIL_OK);
    lmail_accounts_free(rules.accounts);
    lmail_accounts_from_text(&rules.accounts, lmail_str_from(account_text), &c);
    settings.store.home = LMAIL_STR("");
    ck_assert_int_eq(lmi_location_check(&rules, error, sizeof error), LMAIL_OK);
    lmail_accounts_free(rules.accounts);
}
END_TEST

Suite *service_location_suite(void)
{
    Suite *suite = suite_create("service_location");
    TCase *t = tcase_create("places");
    tcase_add_test(t, a_location_has_the_name_in_it);
    tcase_add_test(t, a_location_that_is_too_long_is_refused);
    tcase_add_test(t, a_connection_is_secure_where_the_settings_say_so);
    tcase_add_test(t, homes_of_many_users_are_refused);
    suite_add_tcase(suite, t);
    return suite;
}
