/* Whole exchanges: GNU SASL's client on one side, lmail_auth_exchange on the other; and messages
 * that no client should send. The accounts' keys are those of the RFCs' own examples. */
#include <check.h>
#include <gsasl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmail/host/auth.h>

/* user: RFC 5802 §5 (SHA-1) and RFC 7677 §3 (SHA-256), password "pencil"; tim and kurt: RFC 4616
 * §4; chris: RFC 2831 §4; cram: RFC 2195 §2 (its password twice "tanstaaf"). */
static const char accounts_text[] =
    "user:!::::::scram_sha_1=4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,"
    "D+CSWLOshSulAsxiupA+qs2/fTE= "
    "scram_sha_256=4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n"
    "tim:{PLAIN}tanstaaftanstaaf::::::\n"
    "kurt:{PLAIN}xipj3plmq::::::\n"
    "ursel:{PLAIN}x::::::\n"
    "chris:{PLAIN}secret::::::\n"
    "cram:!::::::secret=dGFuc3RhYWZ0YW5zdGFhZg==\n"
    "shut:{PLAIN}secret::::::disabled=1\n"
    "near:{PLAIN}secret::::::allow_nets=2001:db8::/32,192.0.2.0/30\n"
    "far:{PLAIN}secret::::::allow_nets=192.0.2.4/30,local\n"
    "gone:{PLAIN}secret::::::nologin=n\n"
    "ana@other.example:{PLAIN}otra::::::\n"
    "hashed:{SSHA256}oBmrdHcA6OZEkkCLeXh71YAerbvhXz1qqwjrPsXmEtNzYWx0c2FsdA==::::::\n";

static const char exporter[] = "0123456789abcdef0123456789abcdef";

typedef struct fixture {
    lmail_accounts *accounts;
    lmail_auth *auth;
    Gsasl *client;
    const char *user, *password, *authzid, *realm; /* what the client answers */
    int bind;                                      /* the client has tls-exporter octets */
} fixture;

static fixture fx;

static lmail_status check_token(void *user, const lmail_auth_token_event *ev, char *name,
                                size_t cap, size_t *made)
{
    (void)user;
    (void)cap;
    if (lmail_str_equal(ev->token, LMAIL_STR("broken"))) {
        return LMAIL_ERR_IO;
    }
    if (!lmail_str_equal(ev->token, LMAIL_STR("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="))) {
        return LMAIL_ERR_DENIED;
    }
    memcpy(name, "tim", 3);
    *made = 3;
    return LMAIL_OK;
}

static int answer_client(Gsasl *gsasl, Gsasl_session *session, Gsasl_property property)
{
    (void)gsasl;
    switch (property) {
    case GSASL_AUTHID:
        return gsasl_property_set(session, property, fx.user);
    case GSASL_AUTHZID:
        return fx.authzid ? gsasl_property_set(session, property, fx.authzid) : GSASL_NO_AUTHZID;
    case GSASL_PASSWORD:
        return gsasl_property_set(session, property, fx.password);
    case GSASL_REALM:
        return fx.realm ? gsasl_property_set(session, property, fx.realm) : GSASL_NO_CALLBACK;
    case GSASL_SERVICE:
        return gsasl_property_set(session, property, "imap");
    case GSASL_HOSTNAME:
        return gsasl_property_set(session, property, "mx.example");
    case GSASL_ANONYMOUS_TOKEN:
        return gsasl_property_set(session, property, "sirhc");
    case GSASL_CB_TLS_EXPORTER: {
        char *text = NULL;
        if (!fx.bind || gsasl_base64_to(exporter, sizeof exporter - 1, &text, NULL) != GSASL_OK) {
            return GSASL_NO_CB_TLS_EXPORTER;
        }
        int rc = gsasl_property_set(session, property, text);
        gsasl_free(text);
        return rc;
    }
    default:
        return GSASL_NO_CALLBACK;
    }
}

static void make_auth(const char *mechanisms)
{
    lmail_str names[16];
    size_t count = 0;
    lmail_auth_config cfg;
    lmail_auth_config_init(&cfg);
    while (*mechanisms) {
        size_t n = strcspn(mechanisms, " ");
        names[count++] = (lmail_str){mechanisms, n};
        mechanisms += n + (mechanisms[n] == ' ');
    }
    cfg.accounts = fx.accounts;
    cfg.mechanisms = names;
    cfg.mechanism_count = count;
    cfg.service = LMAIL_STR("imap");
    cfg.hostname = LMAIL_STR("mx.example");
    cfg.realm = LMAIL_STR("elwood.innosoft.com");
    cfg.salt_key = LMAIL_STR("a key of this test");
    cfg.on_token = check_token;
    ck_assert_int_eq(lmail_auth_new(&fx.auth, &cfg), LMAIL_OK);
}

static void set_up(void)
{
    memset(&fx, 0, sizeof fx);
    ck_assert_int_eq(lmail_accounts_from_text(&fx.accounts, lmail_str_from(accounts_text), NULL),
                     LMAIL_OK);
    make_auth("SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 EXTERNAL OAUTHBEARER "
              "XOAUTH2 PLAIN LOGIN DIGEST-MD5 CRAM-MD5 ANONYMOUS");
    ck_assert_int_eq(gsasl_init(&fx.client), GSASL_OK);
    gsasl_callback_set(fx.client, answer_client);
}

static void tear_down(void)
{
    gsasl_done(fx.client);
    lmail_auth_free(fx.auth);
    lmail_accounts_free(fx.accounts);
}

static lmail_auth_facts tls_facts(void)
{
    lmail_auth_facts facts = LMAIL_AUTH_FACTS_INIT;
    facts.secure = 1;
    facts.exporter = LMAIL_STR("0123456789abcdef0123456789abcdef");
    facts.address = LMAIL_STR("192.0.2.1");
    return facts;
}

/* What came of an exchange, copied out of it. */
typedef struct outcome {
    lmail_auth_kind kind;
    lmail_auth_failure failure;
    lmail_auth_reason reason;
    uint32_t delay;
    unsigned steps;
    char identity[64], tried[64], first[512];
} outcome;

static void keep(char *to, size_t cap, lmail_str from)
{
    snprintf(to, cap, "%.*s", (int)from.len, from.len ? from.ptr : "");
}

/* Run the client against the server to the end. send_initial: as IMAP with SASL-IR would. */
static outcome converse(const char *client_mechanism, const char *mechanism,
                        const lmail_auth_facts *facts, int send_initial)
{
    outcome o = {0};
    Gsasl_session *client;
    lmail_auth_exchange *x;
    lmail_auth_result result;
    ck_assert_int_eq(gsasl_client_start(fx.client, client_mechanism, &client), GSASL_OK);
    ck_assert_int_eq(lmail_auth_exchange_new(&x, fx.auth, lmail_str_from(mechanism), facts),
                     LMAIL_OK);
    char *message = NULL;
    size_t len = 0;
    int rc = send_initial ? gsasl_step(client, NULL, 0, &message, &len) : GSASL_NEEDS_MORE;
    lmail_str in = {message, len};
    ck_assert_int_eq(lmail_auth_exchange_step(x, send_initial ? &in : NULL, 0, &result), LMAIL_OK);
    keep(o.first, sizeof o.first, result.answer.data);
    while (result.answer.kind == LMAIL_AUTH_CONTINUE && ++o.steps < 10) {
        gsasl_free(message);
        message = NULL;
        len = 0;
        rc = gsasl_step(client, result.answer.data.ptr, result.answer.data.len, &message, &len);
        if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE) {
            break;
        }
        in = (lmail_str){message ? message : "", len};
        ck_assert_int_eq(lmail_auth_exchange_step(x, &in, 0, &result), LMAIL_OK);
    }
    if (result.answer.kind == LMAIL_AUTH_OK && result.answer.data.len > 0) {
        /* The last data convinces the client too: SCRAM's v=, DIGEST-MD5's rspauth. */
        gsasl_free(message);
        message = NULL;
        rc = gsasl_step(client, result.answer.data.ptr, result.answer.data.len, &message, &len);
        ck_assert_msg(rc == GSASL_OK, "client: %s", gsasl_strerror(rc));
    }
    o.kind = result.answer.kind;
    o.failure = result.answer.failure;
    o.reason = result.reason;
    o.delay = result.delay;
    keep(o.identity, sizeof o.identity, result.answer.identity);
    keep(o.tried, sizeof o.tried, result.tried);
    gsasl_free(message);
    gsasl_finish(client);
    if (result.answer.kind != LMAIL_AUTH_CONTINUE) {
        ck_assert_int_eq(lmail_auth_exchange_step(x, &in, 0, &result), LMAIL_ERR_STATE);
    }
    lmail_auth_exchange_free(x);
    return o;
}

typedef struct exchange_row {
    const char *mechanism, *user, *password;
    int initial;
    const char *identity; /* NULL: refused as wrong credentials */
    lmail_auth_reason reason;
} exchange_row;

static const exchange_row exchanges[] = {
    {"SCRAM-SHA-1", "user", "pencil", 1, "user", 0},
    {"SCRAM-SHA-1", "user", "pencil", 0, "user", 0},
    {"SCRAM-SHA-1", "USER", "pencil", 1, "user", 0},
    {"SCRAM-SHA-256", "user", "pencil", 1, "user", 0},
    {"SCRAM-SHA-256", "user", "pencil", 0, "user", 0},
    {"SCRAM-SHA-256", "tim", "tanstaaftanstaaf", 1, "tim", 0}, /* keys made from what is readable */
    {"SCRAM-SHA-1", "tim", "tanstaaftanstaaf", 1, "tim", 0},
    {"SCRAM-SHA-256", "user", "pencils", 1, NULL, LMAIL_AUTH_REASON_CREDENTIALS},
    {"SCRAM-SHA-256", "nobody", "pencil", 1, NULL, LMAIL_AUTH_REASON_CREDENTIALS},
    {"SCRAM-SHA-1", "tim", "wrong", 1, NULL, LMAIL_AUTH_REASON_CREDENTIALS},
    {"SCRAM-SHA-256", "shut", "secret", 1, NULL, LMAIL_AUTH_REASON_DISABLED},
    {"SCRAM-SHA-256", "hashed", "secret", 1, NULL, LMAIL_AUTH_REASON_NO_SECRET},
    {"PLAIN", "tim", "tanstaaftanstaaf", 1, "tim", 0},
    {"PLAIN", "Tim", "tanstaaftanstaaf", 0, "tim", 0},
    {"PLAIN", "tim", "tanstaaf", 1, NULL, LMAIL_AUTH_REASON_CREDENTIALS},
    {"PLAIN", "nobody", "tanstaaf", 1, NULL, LMAIL_AUTH_REASON_CREDENTIALS},
    {"PLAIN", "user", "pencil", 1, NULL, LMAIL_AUTH_REASON_CREDENTIALS},
    {"PLAIN", "shut", "secret", 1, NULL, LMAIL_AUTH_REASON_CREDENTIALS},
    {"PLAIN", "ana@other.example", "otra", 1, "ana@other.example", 0},
    {"LOGIN", "tim", "tanstaaftanstaaf", 0, "tim", 0},
    {"LOGIN", "tim", "wrong", 0, NULL, LMAIL_AUTH_REASON_CREDENTIALS},
    {"LOGIN", "nobody", "wrong", 0, NULL, LMAIL_AUTH_REASON_CREDENTIALS},
    {"CRAM-MD5", "cram", "tanstaaftanstaaf", 0, "cram", 0},
    {"CRAM-MD5", "tim", "tanstaaftanstaaf", 0, "tim", 0},
    {"CRAM-MD5", "cram", "wrong", 0, NULL, LMAIL_AUTH_REASON_CREDENTIALS},
    {"CRAM-MD5", "nobody", "wrong", 0, NULL, LMAIL_AUTH_REASON_CREDENTIALS},
    {"CRAM-MD5", "user", "pencil", 0, NULL, LMAIL_AUTH_REASON_NO_SECRET},
    {"CRAM-MD5", "shut", "secret", 0, NULL, LMAIL_AUTH_REASON_DISABLED},
    {"PLAIN", "near", "secret", 1, "near", 0},
    {"LOGIN", "near", "secret", 0, "near", 0},
    {"SCRAM-SHA-256", "near", "secret", 1, "near", 0},
    {"CRAM-MD5", "near", "secret", 0, "near", 0},
    {"PLAIN", "far", "secret", 1, NULL, LMAIL_AUTH_REASON_DISABLED},
    {"LOGIN", "far", "secret", 0, NULL, LMAIL_AUTH_REASON_DISABLED},
    {"SCRAM-SHA-256", "far", "secret", 1, NULL, LMAIL_AUTH_REASON_DISABLED},
    {"CRAM-MD5", "far", "secret", 0, NULL, LMAIL_AUTH_REASON_DISABLED},
    {"DIGEST-MD5", "far", "secret", 0, NULL, LMAIL_AUTH_REASON_DISABLED},
    {"PLAIN", "gone", "secret", 1, NULL, LMAIL_AUTH_REASON_CREDENTIALS},
    {"SCRAM-SHA-256", "gone", "secret", 1, NULL, LMAIL_AUTH_REASON_DISABLED},
    {"DIGEST-MD5", "chris", "secret", 0, "chris", 0},
    {"DIGEST-MD5", "chris", "wrong", 0, NULL, LMAIL_AUTH_REASON_CREDENTIALS},
    {"DIGEST-MD5", "nobody", "secret", 0, NULL, LMAIL_AUTH_REASON_CREDENTIALS},
    {"DIGEST-MD5", "user", "pencil", 0, NULL, LMAIL_AUTH_REASON_NO_SECRET},
};

START_TEST(a_client_gets_in_with_the_right_secret_only)
{
    const exchange_row *row = &exchanges[_i];
    lmail_auth_facts facts = tls_facts();
    fx.user = row->user;
    fx.password = row->password;
    outcome o = converse(row->mechanism, row->mechanism, &facts, row->initial);
    if (row->identity) {
        ck_assert_int_eq(o.kind, LMAIL_AUTH_OK);
        ck_assert_str_eq(o.identity, row->identity);
    } else {
        ck_assert_int_eq(o.kind, LMAIL_AUTH_FAIL);
        ck_assert_int_eq(o.failure, LMAIL_AUTH_CREDENTIALS);
        ck_assert_int_eq(o.reason, row->reason);
        ck_assert_uint_eq(o.delay, 2000);
        ck_assert_str_eq(o.tried, row->user);
    }
}
END_TEST

START_TEST(channel_binding_ties_the_login_to_the_connection)
{
    static const char *const mechanisms[] = {"SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"};
    lmail_auth_facts facts = tls_facts();
    fx.user = "user";
    fx.password = "pencil";
    fx.bind = 1;
    ck_assert_int_eq(converse(mechanisms[_i], mechanisms[_i], &facts, 1).kind, LMAIL_AUTH_OK);

    /* Another connection's octets: somebody sits between. */
    facts.exporter = LMAIL_STR("ffffffffffffffffffffffffffffffff");
    outcome o = converse(mechanisms[_i], mechanisms[_i], &facts, 1);
    ck_assert_int_eq(o.kind, LMAIL_AUTH_FAIL);
    ck_assert_int_eq(o.failure, LMAIL_AUTH_CREDENTIALS);
}
END_TEST

typedef struct message_row {
    const char *mechanism;
    const char *message;
    size_t len;
    lmail_auth_failure failure;
    lmail_auth_reason reason;
} message_row;

#define M(text) text, sizeof text - 1

static const message_row messages[] = {
    /* RFC 5802 §6: "y" although -PLUS was offered is a downgrade; "p" needs the -PLUS mechanism */
    {"SCRAM-SHA-1", M("y,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"), LMAIL_AUTH_CREDENTIALS,
     LMAIL_AUTH_REASON_BINDING},
    {"SCRAM-SHA-256-PLUS", M("n,,n=user,r=abc"), LMAIL_AUTH_CREDENTIALS,
     LMAIL_AUTH_REASON_CREDENTIALS},
    {"SCRAM-SHA-256-PLUS", M("p=tls-unique,,n=user,r=abc"), LMAIL_AUTH_CREDENTIALS,
     LMAIL_AUTH_REASON_CREDENTIALS},
    {"SCRAM-SHA-1", M("n,,n=user"), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    {"SCRAM-SHA-1", M("x"), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    {"SCRAM-SHA-1", M(""), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    {"SCRAM-SHA-1", M("n,,n=user,m=ext,r=abc"), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    {"SCRAM-SHA-1", M("n,,n=us\0er,r=abc"), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    /* RFC 4616 §2: two NULs, three parts, the last two not empty */
    {"PLAIN", M("tim"), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    {"PLAIN", M("\0tim"), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    {"PLAIN", M("\0tim\0tanstaaftanstaaf\0"), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    {"PLAIN", M(""), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    {"PLAIN", M("\0"), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    {"PLAIN", M("\0\0"), LMAIL_AUTH_CREDENTIALS, LMAIL_AUTH_REASON_CREDENTIALS},
    {"PLAIN", M("\0\0x"), LMAIL_AUTH_CREDENTIALS, LMAIL_AUTH_REASON_CREDENTIALS},
    {"PLAIN", M("\0tim\0\xff\xfe"), LMAIL_AUTH_CREDENTIALS, LMAIL_AUTH_REASON_CREDENTIALS},
    /* RFC 4616 §4: Kurt may not act as Ursel, nor as nobody we know */
    {"PLAIN", M("Ursel\0Kurt\0xipj3plmq"), LMAIL_AUTH_AUTHORIZATION, LMAIL_AUTH_REASON_AUTHZID},
    {"PLAIN", M("nobody\0kurt\0xipj3plmq"), LMAIL_AUTH_AUTHORIZATION, LMAIL_AUTH_REASON_AUTHZID},
    {"PLAIN", M("Ursel\0Kurt\0wrong"), LMAIL_AUTH_CREDENTIALS, LMAIL_AUTH_REASON_CREDENTIALS},
    /* RFC 4422 §5.1: the server speaks first here */
    {"CRAM-MD5", M("cram b913a602c7eda7a495b4e6e7334d3890"), LMAIL_AUTH_PROTOCOL,
     LMAIL_AUTH_REASON_MALFORMED},
    {"DIGEST-MD5", M("username=\"chris\""), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    {"LOGIN", M(""), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    {"LOGIN", M("t\0m"), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    /* RFC 4505 §2: a token is not empty */
    {"ANONYMOUS", M(""), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    /* RFC 7628 §3.1 */
    {"OAUTHBEARER", M("n,,\1auth=Bearer x"), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    {"OAUTHBEARER", M("p=x,,\1auth=Bearer x\1\1"), LMAIL_AUTH_PROTOCOL,
     LMAIL_AUTH_REASON_MALFORMED},
    {"OAUTHBEARER", M("n,a=t=im,\1auth=Bearer x\1\1"), LMAIL_AUTH_PROTOCOL,
     LMAIL_AUTH_REASON_MALFORMED},
    {"OAUTHBEARER", M("n,,\1auth=Basic x\1\1"), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    {"OAUTHBEARER", M("n,,\1auth=Bearer x\1\1y"), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    {"OAUTHBEARER", M("n,,\1auth=Bearer broken\1\1"), LMAIL_AUTH_TEMPORARY,
     LMAIL_AUTH_REASON_TEMPORARY},
    {"OAUTHBEARER", M(""), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
    {"XOAUTH2", M("user=tim\1auth=Bearer x\1"), LMAIL_AUTH_PROTOCOL, LMAIL_AUTH_REASON_MALFORMED},
};

START_TEST(a_message_against_the_rules_ends_the_exchange)
{
    const message_row *row = &messages[_i];
    lmail_auth_facts facts = tls_facts();
    lmail_auth_exchange *x;
    lmail_auth_result result;
    lmail_str in = {row->message, row->len};
    ck_assert_int_eq(lmail_auth_exchange_new(&x, fx.auth, lmail_str_from(row->mechanism), &facts),
                     LMAIL_OK);
    ck_assert_int_eq(lmail_auth_exchange_step(x, &in, 0, &result), LMAIL_OK);
    ck_assert_int_eq(result.answer.kind, LMAIL_AUTH_FAIL);
    ck_assert_int_eq(result.answer.failure, row->failure);
    ck_assert_int_eq(result.reason, row->reason);
    lmail_auth_exchange_free(x);
}
END_TEST

/* One step with this message; the exchange stays in *x. */
static lmail_auth_result first_step(lmail_auth_exchange **x, const char *mechanism,
                                    const lmail_auth_facts *facts, const char *message, size_t len)
{
    lmail_auth_result result;
    lmail_str in = {message, len};
    ck_assert_int_eq(lmail_auth_exchange_new(x, fx.auth, lmail_str_from(mechanism), facts),
                     LMAIL_OK);
    ck_assert_int_eq(lmail_auth_exchange_step(*x, message ? &in : NULL, 0, &result), LMAIL_OK);
    return result;
}

START_TEST(an_unknown_name_has_a_salt_of_its_own_that_stays)
{
    lmail_auth_facts facts = tls_facts();
    char salts[4][256];
    static const char *const names[] = {"n,,n=nobody,r=abc", "n,,n=nobody,r=abc",
                                        "n,,n=another,r=abc", "n,,n=hashed,r=abc"};
    for (size_t i = 0; i < 4; i++) {
        lmail_auth_exchange *x;
        lmail_auth_result r = first_step(&x, "SCRAM-SHA-256", &facts, names[i], strlen(names[i]));
        ck_assert_int_eq(r.answer.kind, LMAIL_AUTH_CONTINUE);
        char text[512];
        keep(text, sizeof text, r.answer.data);
        const char *salt = strstr(text, ",s=");
        ck_assert_ptr_nonnull(salt);
        snprintf(salts[i], sizeof salts[i], "%s", salt);
        ck_assert_ptr_nonnull(strstr(salt, ",i=4096"));
        ck_assert_uint_eq(strcspn(salt + 3, ","), 24); /* 16 octets, as real ones have */
        lmail_auth_exchange_free(x);
        if (i == 0) { /* a second daemon with the same key, or this one started again */
            lmail_auth_free(fx.auth);
            make_auth("SCRAM-SHA-256");
        }
    }
    ck_assert_str_eq(salts[0], salts[1]);
    ck_assert_str_ne(salts[0], salts[2]);
    ck_assert_str_ne(salts[2], salts[3]);
}
END_TEST

START_TEST(login_takes_the_name_as_initial_response)
{
    lmail_auth_facts facts = tls_facts();
    lmail_auth_exchange *x;
    lmail_auth_result r = first_step(&x, "LOGIN", &facts, NULL, 0);
    ck_assert(lmail_str_equal(r.answer.data, LMAIL_STR("Username:")));
    lmail_auth_exchange_free(x);
    r = first_step(&x, "login", &facts, "tim", 3);
    ck_assert_int_eq(r.answer.kind, LMAIL_AUTH_CONTINUE);
    ck_assert(lmail_str_equal(r.answer.data, LMAIL_STR("Password:")));
    lmail_str password = LMAIL_STR("tanstaaftanstaaf");
    ck_assert_int_eq(lmail_auth_exchange_step(x, &password, 0, &r), LMAIL_OK);
    ck_assert_int_eq(r.answer.kind, LMAIL_AUTH_OK);
    lmail_auth_exchange_free(x);
}
END_TEST

START_TEST(external_is_who_the_certificate_names)
{
    lmail_auth_facts facts = tls_facts();
    lmail_auth_exchange *x;
    ck_assert_int_eq(lmail_auth_exchange_new(&x, fx.auth, LMAIL_STR("EXTERNAL"), &facts),
                     LMAIL_ERR_UNSUPPORTED);
    facts.peer_verified = 1;
    facts.peer_name = LMAIL_STR("Tim");
    lmail_auth_result r = first_step(&x, "EXTERNAL", &facts, NULL, 0);
    ck_assert_int_eq(r.answer.kind, LMAIL_AUTH_CONTINUE);
    lmail_str empty = {NULL, 0};
    ck_assert_int_eq(lmail_auth_exchange_step(x, &empty, 0, &r), LMAIL_OK);
    ck_assert_int_eq(r.answer.kind, LMAIL_AUTH_OK);
    ck_assert(lmail_str_equal(r.answer.identity, LMAIL_STR("tim")));
    lmail_auth_exchange_free(x);

    r = first_step(&x, "EXTERNAL", &facts, "tim", 3);
    ck_assert_int_eq(r.answer.kind, LMAIL_AUTH_OK);
    lmail_auth_exchange_free(x);
    r = first_step(&x, "EXTERNAL", &facts, "kurt", 4);
    ck_assert_int_eq(r.reason, LMAIL_AUTH_REASON_AUTHZID);
    lmail_auth_exchange_free(x);
    facts.peer_name = LMAIL_STR("shut");
    r = first_step(&x, "EXTERNAL", &facts, "", 0);
    ck_assert_int_eq(r.reason, LMAIL_AUTH_REASON_DISABLED);
    lmail_auth_exchange_free(x);
}
END_TEST

START_TEST(anonymous_has_no_account)
{
    lmail_auth_facts facts = tls_facts();
    lmail_auth_exchange *x;
    lmail_auth_result r = first_step(&x, "ANONYMOUS", &facts, "sirhc", 5);
    ck_assert_int_eq(r.answer.kind, LMAIL_AUTH_OK);
    ck_assert_uint_eq(r.anonymous, 1);
    ck_assert(lmail_str_equal(r.answer.identity, LMAIL_STR("anonymous")));
    lmail_auth_exchange_free(x);
}
END_TEST

#define TOKEN "auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1"

START_TEST(a_good_token_is_enough)
{
    static const struct {
        const char *mechanism, *message;
    } rows[] = {
        {"OAUTHBEARER", "n,a=tim,\1host=server.example.com\1port=143\1" TOKEN}, /* RFC 7628 §4.1 */
        {"OAUTHBEARER", "n,,\1" TOKEN},
        {"OAUTHBEARER", "y,,\1" TOKEN},
        {"XOAUTH2", "user=Tim\1" TOKEN},
    };
    lmail_auth_facts facts = tls_facts();
    lmail_auth_exchange *x;
    lmail_auth_result r =
        first_step(&x, rows[_i].mechanism, &facts, rows[_i].message, strlen(rows[_i].message));
    ck_assert_int_eq(r.answer.kind, LMAIL_AUTH_OK);
    ck_assert(lmail_str_equal(r.answer.identity, LMAIL_STR("tim")));
    lmail_auth_exchange_free(x);
}
END_TEST

START_TEST(a_refused_token_gets_json_then_the_failure)
{
    static const struct {
        const char *mechanism, *message, *dummy;
    } rows[] = {
        {"OAUTHBEARER", "n,a=tim,\1auth=Bearer expired\1\1", "\1"}, /* RFC 7628 §3.2.3, §4.3 */
        {"OAUTHBEARER", "n,a=kurt,\1" TOKEN, "\1"},                 /* another's token */
        {"OAUTHBEARER", "n,a=tim,\1auth=\1\1", "\1"},
        {"OAUTHBEARER", "n,a=tim,\1auth=Bearer no token\1\1", "\1"},
        {"XOAUTH2", "user=tim\1auth=Bearer expired\1\1", ""},
    };
    lmail_auth_facts facts = tls_facts();
    lmail_auth_exchange *x;
    lmail_auth_result r =
        first_step(&x, rows[_i].mechanism, &facts, rows[_i].message, strlen(rows[_i].message));
    ck_assert_int_eq(r.answer.kind, LMAIL_AUTH_CONTINUE);
    ck_assert(lmail_str_equal(r.answer.data,
                              LMAIL_STR("{\"status\":\"invalid_token\",\"schemes\":\"bearer\"}")));
    lmail_str dummy = lmail_str_from(rows[_i].dummy);
    ck_assert_int_eq(lmail_auth_exchange_step(x, &dummy, 0, &r), LMAIL_OK);
    ck_assert_int_eq(r.answer.kind, LMAIL_AUTH_FAIL);
    ck_assert_int_eq(r.answer.failure, _i == 1 ? LMAIL_AUTH_AUTHORIZATION : LMAIL_AUTH_CREDENTIALS);
    lmail_auth_exchange_free(x);
}
END_TEST

static lmail_status broken_find(void *ctx, lmail_str name, lmail_account *out)
{
    (void)ctx;
    (void)name;
    (void)out;
    return LMAIL_ERR_IO;
}

static lmail_status broken_verify(void *ctx, lmail_str name, lmail_str password, lmail_account *out)
{
    (void)password;
    return broken_find(ctx, name, out);
}

START_TEST(accounts_that_cannot_be_read_give_no_verdict)
{
    static const struct {
        const char *mechanism, *message;
        size_t len;
    } rows[] = {
        {"PLAIN", M("\0tim\0tanstaaftanstaaf")}, {"SCRAM-SHA-256", M("n,,n=user,r=abc")},
        {"SCRAM-SHA-1", M("n,,n=user,r=abc")},   {"EXTERNAL", M("")},
        {"OAUTHBEARER", M("n,a=tim,\1" TOKEN)},
    };
    const lmail_accounts_source source = {sizeof source, NULL, broken_find, NULL, broken_verify,
                                          NULL,          NULL, NULL,        NULL, NULL};
    lmail_accounts *whole = fx.accounts;
    lmail_auth *working = fx.auth;
    ck_assert_int_eq(lmail_accounts_new(&fx.accounts, &source, NULL), LMAIL_OK);
    make_auth("PLAIN SCRAM-SHA-256 SCRAM-SHA-1 EXTERNAL OAUTHBEARER");
    lmail_auth_facts facts = tls_facts();
    facts.peer_verified = 1;
    facts.peer_name = LMAIL_STR("tim");
    lmail_auth_exchange *x;
    lmail_auth_result r =
        first_step(&x, rows[_i].mechanism, &facts, rows[_i].message, rows[_i].len);
    ck_assert_int_eq(r.answer.kind, LMAIL_AUTH_FAIL);
    ck_assert_int_eq(r.answer.failure, LMAIL_AUTH_TEMPORARY);
    ck_assert_uint_eq(r.delay, 0);
    lmail_auth_exchange_free(x);
    lmail_auth_free(fx.auth);
    lmail_accounts_free(fx.accounts);
    fx.accounts = whole;
    fx.auth = working;
}
END_TEST

static void *log_in_often(void *arg)
{
    static const char message[] = "\0tim\0tanstaaftanstaaf";
    lmail_auth *auth = arg;
    lmail_auth_facts facts = tls_facts();
    for (int i = 0; i < 100; i++) {
        lmail_auth_exchange *x;
        lmail_auth_result r;
        lmail_str in =
            i % 2 ? LMAIL_STR("n,,n=user,r=abc") : (lmail_str){message, sizeof message - 1};
        if (lmail_auth_exchange_new(&x, auth,
                                    i % 2 ? LMAIL_STR("SCRAM-SHA-256") : LMAIL_STR("PLAIN"),
                                    &facts) != LMAIL_OK) {
            return "new";
        }
        (void)lmail_auth_exchange_step(x, &in, 0, &r);
        lmail_auth_kind kind = r.answer.kind;
        lmail_auth_exchange_free(x);
        if (kind != (i % 2 ? LMAIL_AUTH_CONTINUE : LMAIL_AUTH_OK)) {
            return "outcome";
        }
    }
    return NULL;
}

START_TEST(one_context_serves_many_threads)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, log_in_often, fx.auth), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *fault;
        pthread_join(threads[i], &fault);
        ck_assert_pstr_eq(fault, NULL);
    }
}
END_TEST

Suite *auth_exchange_suite(void)
{
    Suite *s = suite_create("auth_exchange");
    TCase *t = tcase_create("exchanges");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, a_client_gets_in_with_the_right_secret_only, 0,
                        (int)(sizeof exchanges / sizeof exchanges[0]));
    tcase_add_loop_test(t, channel_binding_ties_the_login_to_the_connection, 0, 2);
    tcase_add_loop_test(t, a_message_against_the_rules_ends_the_exchange, 0,
                        (int)(sizeof messages / sizeof messages[0]));
    tcase_add_test(t, an_unknown_name_has_a_salt_of_its_own_that_stays);
    tcase_add_test(t, login_takes_the_name_as_initial_response);
    tcase_add_test(t, external_is_who_the_certificate_names);
    tcase_add_test(t, anonymous_has_no_account);
    tcase_add_loop_test(t, a_good_token_is_enough, 0, 4);
    tcase_add_loop_test(t, a_refused_token_gets_json_then_the_failure, 0, 5);
    tcase_add_loop_test(t, accounts_that_cannot_be_read_give_no_verdict, 0, 5);
    tcase_add_test(t, one_context_serves_many_threads);
    suite_add_tcase(s, t);
    return s;
}
