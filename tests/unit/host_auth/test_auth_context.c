/* What is offered, logins without SASL, and what failures cost. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libmail/host/auth.h>

#include "vectors.h"

static lmail_accounts *accounts;

static void set_up(void)
{
    /* mrose: RFC 1939 §7 */
    static const char text[] =
        "mrose:!::::::secret=dGFuc3RhYWY=\n"
        "juan:{CRYPT}$y$j75$saltsaltsaltsalt$hI02SdBpr3mSssvBRd05Dwe0nTFc/hsy01KTxh646J.::::::\n"
        "baja:{PLAIN}secreto::::::disabled=1\n"
        "fuera:{PLAIN}secreto::::::nologin\n"
        "red:{PLAIN}secreto::::::allow_nets=192.0.2.0/24,2001:db8::1\n"
        "aqui:{PLAIN}secreto::::::allow_nets=local\n";
    ck_assert_int_eq(lmail_accounts_from_text(&accounts, lmail_str_from(text), NULL), LMAIL_OK);
}

static void tear_down(void)
{
    lmail_accounts_free(accounts);
}

static lmail_status refuse_token(void *user, const lmail_auth_token_event *ev, char *name,
                                 size_t cap, size_t *made)
{
    (void)user;
    (void)ev;
    (void)name;
    (void)cap;
    (void)made;
    return LMAIL_ERR_DENIED;
}

static size_t split(char *text, lmail_str *out, size_t max)
{
    size_t count = 0;
    for (char *word = strtok(text, " "); word && count < max; word = strtok(NULL, " ")) {
        out[count++] = lmail_str_from(word);
    }
    return count;
}

/* The offer of this configuration as one text. */
static void offer(const lmail_auth_config *given, const char *mechanisms,
                  const lmail_auth_facts *facts, char out[512])
{
    char copy[512];
    lmail_str names[32], offered[16];
    lmail_auth_config cfg = *given;
    lmail_auth *auth;
    snprintf(copy, sizeof copy, "%s", mechanisms);
    cfg.accounts = accounts;
    cfg.mechanisms = names;
    cfg.mechanism_count = split(copy, names, 32);
    ck_assert_int_eq(lmail_auth_new(&auth, &cfg), LMAIL_OK);
    size_t count = lmail_auth_offer(auth, facts, offered, 16);
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        snprintf(out + strlen(out), 512 - strlen(out), "%s%.*s", i ? " " : "", (int)offered[i].len,
                 offered[i].ptr);
    }
    lmail_auth_free(auth);
}

#define DEFAULTS ""

static const struct {
    const char *mechanisms;
    unsigned secure, exporter, certificate, token, cleartext, need;
    const char *offered;
} offers[] = {
    {DEFAULTS, 0, 0, 0, 0, 0, 0, "SCRAM-SHA-256 SCRAM-SHA-1"},
    {DEFAULTS, 1, 0, 0, 0, 0, 0, "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN"},
    {DEFAULTS, 1, 1, 0, 0, 0, 0,
     "SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN"},
    {DEFAULTS, 1, 1, 1, 1, 0, 0,
     "SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 EXTERNAL OAUTHBEARER XOAUTH2 "
     "PLAIN LOGIN"},
    {DEFAULTS, 0, 0, 0, 1, 0, 0, "SCRAM-SHA-256 SCRAM-SHA-1"},
    {DEFAULTS, 0, 0, 0, 1, 1, 0, "SCRAM-SHA-256 SCRAM-SHA-1 OAUTHBEARER XOAUTH2 PLAIN LOGIN"},
    {"plain Login PLAIN", 1, 0, 0, 0, 0, 0, "PLAIN LOGIN"},
    {"GSSAPI NTLM PLAIN KERBEROS_V4", 1, 0, 0, 0, 0, 0, "PLAIN"},
    {"GSSAPI", 1, 1, 1, 1, 1, 0, ""},
    {"EXTERNAL CRAM-MD5", 1, 1, 0, 0, 0, 0, "CRAM-MD5"},
    {"EXTERNAL PLAIN SCRAM-SHA-1", 1, 1, 1, 0, 0, LMAIL_SASL_NO_DICTIONARY, "EXTERNAL"},
    {"EXTERNAL PLAIN SCRAM-SHA-1", 1, 1, 1, 0, 0, LMAIL_SASL_FORWARD_SECRECY, ""},
};

START_TEST(only_what_can_be_completed_is_offered)
{
    char got[512];
    lmail_auth_facts facts = LMAIL_AUTH_FACTS_INIT;
    lmail_auth_config cfg;
    lmail_auth_config_init(&cfg);
    facts.secure = offers[_i].secure;
    facts.exporter = offers[_i].exporter ? LMAIL_STR("0123456789abcdef") : LMAIL_STR("");
    facts.peer_verified = offers[_i].certificate;
    facts.peer_name = offers[_i].certificate ? LMAIL_STR("juan") : LMAIL_STR("");
    cfg.allow_cleartext = offers[_i].cleartext;
    cfg.need = offers[_i].need;
    cfg.on_token = offers[_i].token ? refuse_token : NULL;
    offer(&cfg, offers[_i].mechanisms, &facts, got);
    ck_assert_str_eq(got, offers[_i].offered);
}
END_TEST

/* confAUTH_OPTIONS letters as policy; "A" is the client side's. */
static void apply_letters(const char *letters, lmail_auth_config *cfg)
{
    cfg->allow_cleartext = strchr(letters, 'p') == NULL;
    cfg->need = (strchr(letters, 'a') ? LMAIL_SASL_NO_ACTIVE : 0) |
                (strchr(letters, 'm') ? LMAIL_SASL_MUTUAL : 0) |
                (strchr(letters, 'c') ? LMAIL_SASL_CREDENTIALS : 0) |
                (strchr(letters, 'd') ? LMAIL_SASL_NO_DICTIONARY : 0) |
                (strchr(letters, 'f') ? LMAIL_SASL_FORWARD_SECRECY : 0) |
                (strchr(letters, 'y') ? LMAIL_SASL_NO_ANONYMOUS : 0);
}

START_TEST(the_option_letters_choose_as_measured)
{
    static const char all[] = "SCRAM-SHA-256 SCRAM-SHA-1 DIGEST-MD5 CRAM-MD5 LOGIN PLAIN ANONYMOUS";
    char got[512];
    vectors v = vectors_rows("vectors/auth_options.tsv");
    ck_assert_uint_ge(v.count, 9);
    for (size_t i = 0; i < v.count; i++) {
        const char *const *fields = v.rows[i].field;
        lmail_auth_config cfg;
        lmail_auth_facts facts = LMAIL_AUTH_FACTS_INIT;
        lmail_auth_config_init(&cfg);
        apply_letters(fields[1], &cfg);
        offer(&cfg, all, &facts, got);
        ck_assert_msg(strcmp(got, fields[2]) == 0, "%s in clear: %s", fields[0], got);
        facts.secure = 1;
        offer(&cfg, all, &facts, got);
        ck_assert_msg(strcmp(got, fields[3]) == 0, "%s in TLS: %s", fields[0], got);
    }
    vectors_done(&v);
}
END_TEST

static lmail_auth *plain_auth(void)
{
    lmail_auth *auth;
    lmail_auth_config cfg;
    lmail_auth_config_init(&cfg);
    cfg.accounts = accounts;
    ck_assert_int_eq(lmail_auth_new(&auth, &cfg), LMAIL_OK);
    return auth;
}

START_TEST(a_password_is_checked_only_where_nobody_listens)
{
    lmail_auth *auth = plain_auth();
    lmail_auth_facts facts = LMAIL_AUTH_FACTS_INIT;
    lmail_auth_login login;
    facts.address = LMAIL_STR("192.0.2.1");
    lmail_auth_password(auth, &facts, LMAIL_STR("juan"), LMAIL_STR("password"), 0, &login);
    ck_assert_int_eq(login.result.answer.kind, LMAIL_AUTH_FAIL);
    ck_assert_int_eq(login.result.answer.failure, LMAIL_AUTH_ENCRYPTION);
    ck_assert_uint_eq(login.result.delay, 0);

    facts.secure = 1;
    lmail_auth_password(auth, &facts, LMAIL_STR("JUAN"), LMAIL_STR("password"), 0, &login);
    ck_assert_int_eq(login.result.answer.kind, LMAIL_AUTH_OK);
    ck_assert(lmail_str_equal(login.result.answer.identity, LMAIL_STR("juan")));

    static const char *const pairs[][2] = {
        {"juan", "wrong"}, {"nobody", "password"}, {"baja", "secreto"},  {"mrose", "tanstaaf"},
        {"juan", ""},      {"", "password"},       {"ju an", "password"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        lmail_auth_password(auth, &facts, lmail_str_from(pairs[i][0]), lmail_str_from(pairs[i][1]),
                            0, &login);
        ck_assert_int_eq(login.result.answer.kind, LMAIL_AUTH_FAIL);
        ck_assert_int_eq(login.result.answer.failure, LMAIL_AUTH_CREDENTIALS);
        ck_assert_uint_gt(login.result.delay, 0);
    }
    lmail_auth_free(auth);
}
END_TEST

/* allow_nets= and nologin, as Dovecot's passwd-file has them. */
static const struct {
    const char *name, *address;
    int in;
} places[] = {
    {"fuera", "192.0.2.1", 0},
    {"red", "192.0.2.1", 1},
    {"red", "192.0.3.1", 0},
    {"red", "2001:db8::1", 1},
    {"red", "2001:db8::2", 0},
    {"red", "::ffff:192.0.2.9", 1},
    {"red", "", 0},
    {"red", "not an address", 0},
    {"aqui", "", 1},
    {"aqui", "127.0.0.1", 0},
    {"juan", "", 1},
};

START_TEST(an_account_logs_in_from_where_it_may)
{
    lmail_auth *auth = plain_auth();
    lmail_auth_facts facts = LMAIL_AUTH_FACTS_INIT;
    lmail_auth_login login;
    const char *password = strcmp(places[_i].name, "juan") == 0 ? "password" : "secreto";
    facts.secure = 1;
    facts.address = lmail_str_from(places[_i].address);
    lmail_auth_password(auth, &facts, lmail_str_from(places[_i].name), lmail_str_from(password), 0,
                        &login);
    ck_assert_int_eq(login.result.answer.kind, places[_i].in ? LMAIL_AUTH_OK : LMAIL_AUTH_FAIL);
    if (!places[_i].in) {
        ck_assert_int_eq(login.result.answer.failure, LMAIL_AUTH_CREDENTIALS);
        ck_assert_uint_eq(login.result.delay, 2000);
    }
    if (strcmp(places[_i].name, "juan") == 0) {
        lmail_auth_free(auth);
        return; /* only a hash is kept: no APOP */
    }
    lmail_auth_apop(auth, &facts, lmail_str_from(places[_i].name), LMAIL_STR("<x>"),
                    LMAIL_STR("32320758a10bffaf9ed0faa693e52749"), 0,
                    &login); /* MD5 of <x>secreto */
    ck_assert_int_eq(login.result.answer.kind, places[_i].in ? LMAIL_AUTH_OK : LMAIL_AUTH_FAIL);
    lmail_auth_free(auth);
}
END_TEST

static double cpu_of(lmail_auth *auth, const char *name)
{
    lmail_auth_facts facts = LMAIL_AUTH_FACTS_INIT;
    lmail_auth_login login;
    struct timespec before, after;
    facts.secure = 1;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    for (int i = 0; i < 3; i++) {
        lmail_auth_password(auth, &facts, lmail_str_from(name), LMAIL_STR("wrong"), 0, &login);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    return (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
}

START_TEST(a_name_without_password_costs_as_much_as_a_wrong_one)
{
    static const char *const names[] = {"nobody", "ju an", "mrose"};
    lmail_auth *auth = plain_auth();
    double wrong = cpu_of(auth, "juan");
    double other = cpu_of(auth, names[_i]);
    ck_assert_msg(other > wrong / 2 && other < wrong * 2, "%f against %f s", other, wrong);
    lmail_auth_free(auth);
}
END_TEST

START_TEST(apop_is_the_example_of_its_rfc)
{
    static const struct {
        const char *name, *digest;
        int in;
    } rows[] = {
        {"mrose", "c4c9334bac560ecc979e58001b3e22fb", 1},
        {"MROSE", "c4c9334bac560ecc979e58001b3e22fb", 1},
        {"mrose", "c4c9334bac560ecc979e58001b3e22fc", 0},
        {"mrose", "C4C9334BAC560ECC979E58001B3E22FB", 0},
        {"mrose", "c4c9334bac560ecc979e58001b3e22f", 0},
        {"mrose", "", 0},
        {"nobody", "c4c9334bac560ecc979e58001b3e22fb", 0},
        {"juan", "c4c9334bac560ecc979e58001b3e22fb", 0},
    };
    lmail_auth *auth = plain_auth();
    lmail_auth_facts facts = LMAIL_AUTH_FACTS_INIT;
    lmail_auth_login login;
    lmail_auth_apop(auth, &facts, lmail_str_from(rows[_i].name),
                    LMAIL_STR("<1896.697170952@dbc.mtview.ca.us>"), lmail_str_from(rows[_i].digest),
                    0, &login);
    ck_assert_int_eq(login.result.answer.kind, rows[_i].in ? LMAIL_AUTH_OK : LMAIL_AUTH_FAIL);
    ck_assert_uint_eq(login.result.delay, rows[_i].in ? 0 : 2000);
    lmail_auth_free(auth);
}
END_TEST

START_TEST(failures_cost_more_each_time_and_are_forgotten)
{
    lmail_auth_delays *d;
    lmail_str one = LMAIL_STR("192.0.2.1");
    ck_assert_int_eq(lmail_auth_delays_new(&d, 2000, 16000, 0), LMAIL_OK);
    static const uint32_t delays[] = {2000, 4000, 8000, 16000, 16000, 16000};
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        ck_assert_uint_eq(lmail_auth_delays_failed(d, one, i * 1000), delays[i]);
    }
    ck_assert_uint_eq(lmail_auth_delays_failed(d, LMAIL_STR("192.0.2.2"), 9000), 2000);
    ck_assert_uint_eq(lmail_auth_delays_failed(d, LMAIL_STR("::ffff:192.0.2.2"), 9000), 4000);
    ck_assert_uint_eq(lmail_auth_delays_failed(d, LMAIL_STR("2001:db8:1:2::3"), 9000), 2000);
    ck_assert_uint_eq(lmail_auth_delays_failed(d, LMAIL_STR("2001:db8:1:2:ffff::4"), 9000), 4000);
    ck_assert_uint_eq(lmail_auth_delays_failed(d, LMAIL_STR("2001:db8:1:3::3"), 9000), 2000);
    ck_assert_uint_eq(lmail_auth_delays_failed(d, LMAIL_STR(""), 9000), 2000);
    ck_assert_uint_eq(lmail_auth_delays_failed(d, one, 5000 + 128000), 16000);
    ck_assert_uint_eq(lmail_auth_delays_failed(d, one, 133000 + 128001), 2000);
    lmail_auth_delays_passed(d, LMAIL_STR("192.0.2.2"));
    ck_assert_uint_eq(lmail_auth_delays_failed(d, LMAIL_STR("192.0.2.2"), 9000), 2000);
    lmail_auth_delays_free(d);
}
END_TEST

START_TEST(many_addresses_do_not_make_the_table_grow)
{
    lmail_auth_delays *d;
    char address[32];
    ck_assert_int_eq(lmail_auth_delays_new(&d, 1, 1000, 8), LMAIL_OK);
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(address, sizeof address, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        ck_assert_uint_ge(lmail_auth_delays_failed(d, lmail_str_from(address), i), 1);
    }
    ck_assert_uint_eq(lmail_auth_delays_failed(d, lmail_str_from(address), 20000), 2);
    lmail_auth_delays_free(d);
}
END_TEST

START_TEST(a_wrong_configuration_is_refused)
{
    lmail_auth *auth;
    lmail_auth_config cfg;
    lmail_auth_config_init(&cfg);
    ck_assert_int_eq(lmail_auth_new(&auth, &cfg), LMAIL_ERR_ARG);
    cfg.accounts = accounts;
    cfg.size = sizeof cfg + 8;
    ck_assert_int_eq(lmail_auth_new(&auth, &cfg), LMAIL_ERR_SIZE);
    ck_assert(lmail_auth_knows(LMAIL_STR("scram-sha-256")));
    ck_assert(!lmail_auth_knows(LMAIL_STR("GSSAPI")));
    for (int r = LMAIL_AUTH_REASON_NONE; r <= LMAIL_AUTH_REASON_TEMPORARY; r++) {
        ck_assert_str_ne(lmail_auth_reason_name((lmail_auth_reason)r), "?");
    }
}
END_TEST

Suite *auth_context_suite(void)
{
    Suite *s = suite_create("auth_context");
    TCase *t = tcase_create("context");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, only_what_can_be_completed_is_offered, 0,
                        (int)(sizeof offers / sizeof offers[0]));
    tcase_add_test(t, the_option_letters_choose_as_measured);
    tcase_add_test(t, a_password_is_checked_only_where_nobody_listens);
    tcase_add_loop_test(t, a_name_without_password_costs_as_much_as_a_wrong_one, 0, 3);
    tcase_add_loop_test(t, apop_is_the_example_of_its_rfc, 0, 8);
    tcase_add_loop_test(t, an_account_logs_in_from_where_it_may, 0,
                        (int)(sizeof places / sizeof places[0]));
    tcase_add_test(t, failures_cost_more_each_time_and_are_forgotten);
    tcase_add_test(t, many_addresses_do_not_make_the_table_grow);
    tcase_add_test(t, a_wrong_configuration_is_refused);
    suite_add_tcase(s, t);
    return s;
}
