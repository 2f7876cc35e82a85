/* The client's side of an exchange against the server's of the same room, and against servers that
 * lie. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmail/host/auth.h>
#include <libmail/host/auth_client.h>

Suite *auth_client_suite(void);

/* tim may be checked by every mechanism; user's SCRAM keys are those of RFC 5802 §5 and RFC 7677 §3. */
static const char accounts_text[] =
    "user:!::::::scram_sha_1=4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,"
    "D+CSWLOshSulAsxiupA+qs2/fTE= "
    "scram_sha_256=4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n"
    "tim:{PLAIN}tanstaaf::::::\n"
    "a=b,c:{PLAIN}tanstaaf::::::\n"
    "alice@example.test:!::::::\n";

static const char ALL[] = "SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 EXTERNAL "
                          "OAUTHBEARER XOAUTH2 PLAIN LOGIN DIGEST-MD5 CRAM-MD5";
#define EXPORTER LMAIL_STR("0123456789abcdef0123456789abcdef")

static lmail_accounts *accounts;
static lmail_auth *auth;

static lmail_status check_token(void *user, const lmail_auth_token_event *ev, char *name,
                                size_t cap, size_t *made)
{
    (void)user;
    if (!lmail_str_equal(ev->token, LMAIL_STR("good-token")))
        return LMAIL_ERR_DENIED;
    *made = (size_t)snprintf(name, cap, "%.*s", (int)ev->user.len, ev->user.ptr);
    return LMAIL_OK;
}

static void set_up(void)
{
    lmail_str names[16];
    size_t count = 0;
    lmail_auth_config cfg;
    lmail_auth_config_init(&cfg);
    for (const char *at = ALL; *at; at += names[count].len + (at[names[count].len] == ' '), count++)
        names[count] = (lmail_str){at, strcspn(at, " ")};
    ck_assert_int_eq(lmail_accounts_from_text(&accounts, lmail_str_from(accounts_text), NULL),
                     LMAIL_OK);
    cfg.accounts = accounts;
    cfg.mechanisms = names;
    cfg.mechanism_count = count;
    cfg.service = LMAIL_STR("smtp");
    cfg.hostname = LMAIL_STR("mx.example");
    cfg.realm = LMAIL_STR("example");
    cfg.on_token = check_token;
    ck_assert_int_eq(lmail_auth_new(&auth, &cfg), LMAIL_OK);
}

static void tear_down(void)
{
    lmail_auth_free(auth);
    lmail_accounts_free(accounts);
}

static lmail_auth_credentials tim(void)
{
    lmail_auth_credentials who = LMAIL_AUTH_CREDENTIALS_INIT;
    who.user = LMAIL_STR("tim");
    who.password = LMAIL_STR("tanstaaf");
    return who;
}

static lmail_auth_server over_tls(void)
{
    lmail_auth_server server = LMAIL_AUTH_SERVER_INIT;
    server.service = LMAIL_STR("smtp");
    server.hostname = LMAIL_STR("mx.example");
    server.port = 587;
    server.secure = 1;
    server.exporter = EXPORTER;
    return server;
}

static lmail_auth_client *make(const lmail_auth_credentials *who, const lmail_auth_server *server)
{
    lmail_auth_client *c;
    ck_assert_int_eq(lmail_auth_client_new(&c, who, server), LMAIL_OK);
    return c;
}

/* ---- Whole exchanges ------------------------------------------------------------------------- */

typedef enum verdict { IN, REFUSED, GAVE_UP, DISBELIEVED } verdict;

/* As an SMTP session carries it: last data of the server is one more challenge. */
static verdict converse(lmail_auth_client *c, lmail_str mechanism, const lmail_auth_facts *facts,
                        char *identity)
{
    lmail_auth_exchange *x;
    lmail_auth_result result;
    lmail_str response;
    unsigned has;
    verdict v = GAVE_UP;
    ck_assert_int_eq(lmail_auth_exchange_new(&x, auth, mechanism, facts), LMAIL_OK);
    ck_assert_int_eq(lmail_auth_client_step(c, NULL, &response, &has), LMAIL_OK);
    ck_assert_int_eq(lmail_auth_exchange_step(x, has ? &response : NULL, 0, &result), LMAIL_OK);
    for (int i = 0; i < 10; i++) {
        if (result.answer.kind == LMAIL_AUTH_FAIL) {
            v = REFUSED;
            break;
        }
        int last = result.answer.kind == LMAIL_AUTH_OK;
        lmail_str challenge = result.answer.data;
        if ((!last || challenge.len) &&
            lmail_auth_client_step(c, &challenge, &response, &has) != LMAIL_OK)
            break;
        if (last) {
            v = lmail_auth_client_proven(c) == LMAIL_OK ? IN : DISBELIEVED;
            snprintf(identity, 64, "%.*s", (int)result.answer.identity.len,
                     result.answer.identity.ptr);
            break;
        }
        ck_assert_uint_eq(has, 1);
        ck_assert_int_eq(lmail_auth_exchange_step(x, &response, 0, &result), LMAIL_OK);
    }
    lmail_auth_exchange_free(x);
    return v;
}

static lmail_auth_facts server_facts(const char *peer_name)
{
    lmail_auth_facts facts = LMAIL_AUTH_FACTS_INIT;
    facts.secure = 1;
    facts.exporter = EXPORTER;
    facts.peer_verified = peer_name != NULL;
    facts.peer_name = lmail_str_from(peer_name);
    return facts;
}

START_TEST(test_every_mechanism_gets_in)
{
    static const struct {
        const char *offer, *user, *authzid, *password, *token, *realm, *mechanisms, *expected;
    } rows[] = {
        {"SCRAM-SHA-256-PLUS PLAIN", "tim", "", "tanstaaf", "", "", "", "SCRAM-SHA-256-PLUS"},
        {"SCRAM-SHA-1-PLUS PLAIN", "tim", "", "tanstaaf", "", "", "", "SCRAM-SHA-1-PLUS"},
        {"PLAIN SCRAM-SHA-256", "tim", "", "tanstaaf", "", "", "SCRAM-SHA-256", "SCRAM-SHA-256"},
        {ALL, "tim", "", "tanstaaf", "", "", "scram-sha-1 plain", "SCRAM-SHA-1"},
        {"SCRAM-SHA-256-PLUS", "user", "", "pencil", "", "", "", "SCRAM-SHA-256-PLUS"},
        {"SCRAM-SHA-256-PLUS", "a=b,c", "", "tanstaaf", "", "", "", "SCRAM-SHA-256-PLUS"},
        {"CRAM-MD5 PLAIN DIGEST-MD5", "tim", "", "tanstaaf", "", "", "", "DIGEST-MD5"},
        {"CRAM-MD5 PLAIN DIGEST-MD5", "tim", "", "tanstaaf", "", "example", "", "DIGEST-MD5"},
        {"CRAM-MD5 PLAIN", "tim", "", "tanstaaf", "", "", "", "CRAM-MD5"},
        {"LOGIN PLAIN", "tim", "", "tanstaaf", "", "", "", "PLAIN"},
        {"LOGIN PLAIN", "tim", "tim", "tanstaaf", "", "", "", "PLAIN"},
        {"LOGIN PLAIN", "", "tim", "tanstaaf", "", "", "", "PLAIN"},
        {"LOGIN", "tim", "", "tanstaaf", "", "", "", "LOGIN"},
        {"PLAIN OAUTHBEARER XOAUTH2", "tim", "", "", "good-token", "", "", "OAUTHBEARER"},
        {"OAUTHBEARER", "a=b,c", "", "", "good-token", "", "", "OAUTHBEARER"},
        {"PLAIN XOAUTH2", "tim", "", "", "good-token", "", "", "XOAUTH2"},
        {"EXTERNAL PLAIN", "", "", "", "", "", "", "EXTERNAL"},
        {"EXTERNAL PLAIN", "tim", "", "tanstaaf", "", "", "EXTERNAL", "EXTERNAL"},
        {"EXTERNAL", "", "alice@example.test", "", "", "", "", "EXTERNAL"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lmail_auth_credentials who = LMAIL_AUTH_CREDENTIALS_INIT;
        lmail_auth_server server = over_tls();
        lmail_auth_facts facts = server_facts("alice@example.test");
        lmail_str mechanism;
        char identity[64] = "";
        who.user = lmail_str_from(rows[i].user);
        who.authzid = lmail_str_from(rows[i].authzid);
        who.password = lmail_str_from(rows[i].password);
        who.token = lmail_str_from(rows[i].token);
        who.realm = lmail_str_from(rows[i].realm);
        who.mechanisms = lmail_str_from(rows[i].mechanisms);
        server.certificate = 1;
        lmail_auth_client *c = make(&who, &server);
        ck_assert_int_eq(lmail_auth_client_proven(c), LMAIL_ERR_DENIED);
        ck_assert_int_eq(lmail_auth_client_choose(c, lmail_str_from(rows[i].offer), &mechanism),
                         LMAIL_OK);
        ck_assert_msg(lmail_str_equal(mechanism, lmail_str_from(rows[i].expected)), "%zu: %.*s", i,
                      (int)mechanism.len, mechanism.ptr);
        verdict v = converse(c, mechanism, &facts, identity);
        ck_assert_msg(v == IN, "%zu, %s: %d", i, rows[i].expected, v);
        const char *expected = mechanism.ptr[0] == 'E' ? "alice@example.test"
                               : rows[i].user[0]       ? rows[i].user
                                                       : rows[i].authzid;
        ck_assert_str_eq(identity, expected);
        lmail_auth_client_free(c);
    }
}
END_TEST

START_TEST(test_wrong_secrets_are_refused_and_the_next_is_tried)
{
    lmail_auth_credentials who = tim();
    lmail_auth_server server = over_tls();
    lmail_auth_facts facts = server_facts(NULL);
    lmail_str mechanism;
    char identity[64];
    int chosen = 0;
    who.password = LMAIL_STR("wrong");
    who.token = LMAIL_STR("bad-token");
    lmail_auth_client *c = make(&who, &server);
    while (lmail_auth_client_choose(c, lmail_str_from(ALL), &mechanism) == LMAIL_OK) {
        verdict v = converse(c, mechanism, &facts, identity);
        ck_assert_msg(v == REFUSED, "%.*s: %d", (int)mechanism.len, mechanism.ptr, v);
        ck_assert_int_eq(lmail_auth_client_proven(c) == LMAIL_OK,
                         /* those that the server proves nothing with: its refusal is the answer */
                         lmail_str_equal(mechanism, LMAIL_STR("PLAIN")) ||
                             lmail_str_equal(mechanism, LMAIL_STR("LOGIN")) ||
                             lmail_str_equal(mechanism, LMAIL_STR("CRAM-MD5")));
        chosen++;
    }
    ck_assert_int_eq(chosen, 10); /* all but EXTERNAL */
    lmail_auth_client_free(c);
}
END_TEST

/* ---- What may be chosen ---------------------------------------------------------------------- */

START_TEST(test_nothing_in_clear_unless_allowed)
{
    static const struct {
        const char *offer;
        int secure, allowed, certificate, exporter;
        const char *expected; /* NULL: none */
    } rows[] = {{"PLAIN LOGIN", 0, 0, 0, 0, NULL},
                {"PLAIN LOGIN", 0, 1, 0, 0, "PLAIN"},
                {"PLAIN LOGIN", 1, 0, 0, 0, "PLAIN"},
                {"PLAIN CRAM-MD5", 0, 0, 0, 0, "CRAM-MD5"},
                {"SCRAM-SHA-256-PLUS SCRAM-SHA-1", 1, 0, 0, 0, "SCRAM-SHA-1"},
                {"SCRAM-SHA-256-PLUS SCRAM-SHA-1", 1, 0, 0, 1, "SCRAM-SHA-256-PLUS"},
                {"EXTERNAL", 1, 0, 1, 0, NULL}, /* there is a password, and it is not named */
                {"ANONYMOUS GSSAPI NTLM KERBEROS_V5", 1, 0, 1, 1, NULL},
                {"", 1, 0, 1, 1, NULL},
                {"  plain  ", 1, 0, 0, 0, "PLAIN"},
                {"PLAINTEXT", 1, 0, 0, 0, NULL},
                {"XOAUTH2 OAUTHBEARER", 1, 0, 0, 0, NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lmail_auth_credentials who = tim();
        lmail_auth_server server = over_tls();
        lmail_str mechanism;
        server.secure = (unsigned)rows[i].secure;
        server.allow_cleartext = (unsigned)rows[i].allowed;
        server.certificate = (unsigned)rows[i].certificate;
        if (!rows[i].exporter)
            server.exporter = (lmail_str){NULL, 0};
        lmail_auth_client *c = make(&who, &server);
        lmail_status st = lmail_auth_client_choose(c, lmail_str_from(rows[i].offer), &mechanism);
        ck_assert_msg(st == (rows[i].expected ? LMAIL_OK : LMAIL_ERR_NOTFOUND), "%zu", i);
        if (rows[i].expected)
            ck_assert(lmail_str_equal(mechanism, lmail_str_from(rows[i].expected)));
        lmail_auth_client_free(c);
    }
}
END_TEST

START_TEST(test_credentials_that_cannot_be)
{
    lmail_auth_credentials who = tim();
    lmail_auth_server server = over_tls();
    lmail_auth_client *c;
    who.password = (lmail_str){"a\0b", 3};
    ck_assert_int_eq(lmail_auth_client_new(&c, &who, &server), LMAIL_ERR_ARG);
    who = tim();
    who.user = (lmail_str){NULL, 0};
    ck_assert_int_eq(lmail_auth_client_new(&c, &who, &server), LMAIL_ERR_ARG);
    who = tim();
    who.token = LMAIL_STR("a\001auth=b");
    ck_assert_int_eq(lmail_auth_client_new(&c, &who, &server), LMAIL_ERR_ARG);
    who = tim();
    who.size = sizeof who + 1;
    ck_assert_int_eq(lmail_auth_client_new(&c, &who, &server), LMAIL_ERR_SIZE);
    ck_assert_ptr_null(c);
    lmail_auth_client_free(NULL);
}
END_TEST

/* ---- Servers that lie ------------------------------------------------------------------------ */

static void begin(lmail_auth_client *c, const char *offer, char *nonce, size_t cap)
{
    lmail_str mechanism, response;
    unsigned has;
    ck_assert_int_eq(lmail_auth_client_choose(c, lmail_str_from(offer), &mechanism), LMAIL_OK);
    ck_assert_int_eq(lmail_auth_client_step(c, NULL, &response, &has), LMAIL_OK);
    const char *r = has ? memmem(response.ptr, response.len, "r=", 2) : NULL;
    snprintf(nonce, cap, "%.*s", r ? (int)(response.len - (size_t)(r - response.ptr) - 2) : 0,
             r ? r + 2 : "");
}

START_TEST(test_a_server_that_does_not_know_the_password)
{
    lmail_auth_credentials who = tim();
    lmail_auth_server server = over_tls();
    char nonce[256], text[512];
    lmail_str response, challenge;
    unsigned has;
    lmail_auth_client *c = make(&who, &server);
    begin(c, "SCRAM-SHA-256", nonce, sizeof nonce);
    ck_assert_int_eq(lmail_auth_client_proven(c), LMAIL_ERR_DENIED); /* 235 at once */
    snprintf(text, sizeof text, "r=%sx,s=c2FsdHNhbHQ=,i=4096", nonce);
    challenge = lmail_str_from(text);
    ck_assert_int_eq(lmail_auth_client_step(c, &challenge, &response, &has), LMAIL_OK);
    ck_assert_int_eq(lmail_auth_client_proven(c), LMAIL_ERR_DENIED); /* without v= */
    challenge = LMAIL_STR("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    ck_assert_int_eq(lmail_auth_client_step(c, &challenge, &response, &has), LMAIL_ERR_DENIED);
    ck_assert_uint_eq(response.len, 0);
    ck_assert_int_eq(lmail_auth_client_proven(c), LMAIL_ERR_DENIED);
    ck_assert_int_eq(lmail_auth_client_step(c, &challenge, &response, &has), LMAIL_ERR_STATE);
    lmail_auth_client_free(c);
}
END_TEST

START_TEST(test_challenges_that_no_server_should_send)
{
    static const struct {
        const char *offer, *challenge; /* %s: the client's nonce */
        size_t len;                    /* 0: to its end */
    } rows[] = {{"SCRAM-SHA-1", "r=%sx,s=c2FsdA==,i=2000000000", 0},
                {"SCRAM-SHA-1", "r=%sx,s=c2FsdA==,i=99999999999999999999", 0},
                {"SCRAM-SHA-1", "r=%sx,s=c2FsdA==,i=0", 0},
                {"SCRAM-SHA-1", "r=another,s=c2FsdA==,i=4096", 0},
                {"SCRAM-SHA-1", "e=other-error", 0},
                {"SCRAM-SHA-1", "", 0},
                {"SCRAM-SHA-1", "r=\0x,s=c2FsdA==,i=4096", 22},
                {"DIGEST-MD5", "nonsense", 0},
                {"DIGEST-MD5", "realm=\"a\",nonce=\"b\",qop=\"auth-conf\",algorithm=md5-sess", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lmail_auth_credentials who = tim();
        lmail_auth_server server = over_tls();
        char nonce[256], text[512];
        lmail_str response;
        unsigned has;
        lmail_auth_client *c = make(&who, &server);
        begin(c, rows[i].offer, nonce, sizeof nonce);
        lmail_str challenge = {rows[i].challenge, rows[i].len};
        if (!rows[i].len) {
            const char *mark = strstr(rows[i].challenge, "%s");
            snprintf(text, sizeof text, "%.*s%s%s",
                     (int)(mark ? mark - rows[i].challenge : (long)strlen(rows[i].challenge)),
                     rows[i].challenge, mark ? nonce : "", mark ? mark + 2 : "");
            challenge = lmail_str_from(text);
        }
        char *exact = malloc(challenge.len + !challenge.len); /* a read past it is seen */
        memcpy(exact, challenge.ptr, challenge.len);
        challenge.ptr = exact;
        lmail_status st = lmail_auth_client_step(c, &challenge, &response, &has);
        ck_assert_msg(st == LMAIL_ERR_DENIED, "%zu: %d", i, st);
        free(exact);
        lmail_auth_client_free(c);
    }
}
END_TEST

START_TEST(test_steps_out_of_order)
{
    lmail_auth_credentials who = tim();
    lmail_auth_server server = over_tls();
    lmail_str response, mechanism, challenge = LMAIL_STR("");
    unsigned has;
    lmail_auth_client *c = make(&who, &server);
    ck_assert_int_eq(lmail_auth_client_step(c, NULL, &response, &has), LMAIL_ERR_STATE);
    ck_assert_int_eq(lmail_auth_client_choose(c, LMAIL_STR("PLAIN"), &mechanism), LMAIL_OK);
    ck_assert_int_eq(lmail_auth_client_step(c, &challenge, &response, &has), LMAIL_ERR_STATE);
    ck_assert_int_eq(lmail_auth_client_step(c, NULL, &response, &has), LMAIL_OK);
    ck_assert_uint_eq(response.len, 13);
    ck_assert_mem_eq(response.ptr, "\0tim\0tanstaaf", 13);
    ck_assert_int_eq(lmail_auth_client_step(c, NULL, &response, &has), LMAIL_ERR_STATE);
    ck_assert_int_eq(lmail_auth_client_step(c, &challenge, &response, &has), LMAIL_ERR_DENIED);
    lmail_auth_client_free(c);
}
END_TEST

Suite *auth_client_suite(void)
{
    Suite *s = suite_create("auth_client");
    TCase *t = tcase_create("client");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_every_mechanism_gets_in);
    tcase_add_test(t, test_wrong_secrets_are_refused_and_the_next_is_tried);
    tcase_add_test(t, test_nothing_in_clear_unless_allowed);
    tcase_add_test(t, test_credentials_that_cannot_be);
    tcase_add_test(t, test_a_server_that_does_not_know_the_password);
    tcase_add_test(t, test_challenges_that_no_server_should_send);
    tcase_add_test(t, test_steps_out_of_order);
    suite_add_tcase(s, t);
    return s;
}
