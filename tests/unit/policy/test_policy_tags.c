/* Every tag of the access map, IPv6 spellings, warnings and errors of lines, explanation, memory. */
#include "support/count_alloc.h"

#include <libmail/policy.h>

#include <check.h>
#include <stdio.h>
#include <string.h>

static char said[4000];

static void remember(void *ctx, const lmail_diagnostic *d)
{
    (void)ctx;
    size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%zu:%c:%.*s\n", d->line,
             d->severity == LMAIL_ERROR ? 'E' : 'W', (int)d->text.len, d->text.ptr);
}

static lmail_policy_config config;

static lmail_status make(lmail_policy **p, const char *access)
{
    said[0] = '\0';
    config.access = (lmail_policy_file){LMAIL_STR("access"), lmail_str_from(access)};
    return lmail_policy_new(p, &config);
}

static lmail_policy *must(const char *access)
{
    lmail_policy *p;
    ck_assert_msg(make(&p, access) == LMAIL_OK, "%s%s", access, said);
    return p;
}

static void set_up(void)
{
    lmail_policy_config_init(&config);
    config.use_cw_file = config.blocklist_recipients = 1;
    config.host_name = LMAIL_STR("mx.example");
    config.diagnostic = remember;
}

static lmail_policy_peer peer_of(const char *address, const char *name)
{
    lmail_policy_peer p = LMAIL_POLICY_PEER_INIT;
    p.address = lmail_str_from(address);
    p.name = lmail_str_from(name);
    p.name_state = *name ? LMAIL_POLICY_NAME_VERIFIED : LMAIL_POLICY_NAME_NONE;
    return p;
}

static lmail_policy_question question_of(const lmail_policy_peer *p)
{
    lmail_policy_question q = LMAIL_POLICY_QUESTION_INIT;
    q.peer = p;
    q.sender = LMAIL_STR("a@sender.example");
    q.sender_domain = LMAIL_POLICY_YES;
    q.recipient = LMAIL_STR("u@elsewhere.example");
    return q;
}

static const char *shown(const lmail_policy_verdict *v)
{
    static char text[600];
    static const char *const kinds[] = {"accept",     "local", "relay", "discard",
                                        "quarantine", "deny",  "need"};
    if (v->kind == LMAIL_POLICY_DENY)
        snprintf(text, sizeof text, "%u %.*s %.*s", v->code, (int)v->enhanced.len, v->enhanced.ptr,
                 (int)v->text.len, v->text.ptr);
    else
        snprintf(text, sizeof text, "%s", kinds[v->kind]);
    return text;
}

/* ---- Addresses ------------------------------------------------------------------------------- */

static const struct {
    const char *key, *client;
    unsigned hit;
} address_rows[] = {
    {"Connect:IPv6:2001:db8:1", "2001:db8:1::7", 1},
    {"Connect:IPv6:2001:DB8:0001", "2001:db8:1::7", 1},
    {"Connect:IPv6:2001:db8:1", "2001:db8:10::7", 0},
    {"Connect:IPv6:2001:db8::5", "2001:0db8:0:0:0:0:0:5", 1},
    {"Connect:IPv6:2001:db8:0:0:0:0:0:5", "2001:db8::5", 1},
    {"Connect:IPv6:2001:db8::5", "IPv6:2001:db8::5", 1},
    {"Connect:IPv6:2001:db8::5", "2001:db8::6", 0},
    {"Connect:IPv6:fe80::1", "fe80::1%eth0", 1},
    {"Connect:[IPv6:2001:db8::5]", "2001:db8::5", 1},
    {"Connect:[IPv6:2001:db8]", "2001:db8::5", 1},
    {"Connect:[192.0.2]", "192.0.2.9", 1},
    {"Connect:192.0.2.9", "::ffff:192.0.2.9", 1},
    {"Connect:IPv6:::ffff:192.0.2.9", "::ffff:192.0.2.9", 0},
    {"Connect:192", "192.0.2.9", 1},
    {"Connect:19", "192.0.2.9", 0},
    {"Connect:192.0.2.", "192.0.2.9", 0},
    {"IPv6:2001:db8", "2001:db8::1", 1},
    {"Connect:IPv6:::1", "::1", 1},
};

START_TEST(addresses_compare_as_addresses)
{
    char text[100];
    lmail_policy_verdict v;
    snprintf(text, sizeof text, "%s REJECT\n", address_rows[_i].key);
    lmail_policy *p = must(text);
    lmail_policy_peer peer = peer_of(address_rows[_i].client, "");
    lmail_policy_question q = question_of(&peer);
    ck_assert_int_eq(lmail_policy_connect(p, &q, &v), LMAIL_OK);
    ck_assert_str_eq(shown(&v), address_rows[_i].hit ? "550 5.7.1 Access denied" : "accept");
    if (address_rows[_i].hit) {
        ck_assert_uint_eq(v.line, 1);
        ck_assert(lmail_str_equal(v.file, LMAIL_STR("access")));
    }
    lmail_policy_free(p);
}
END_TEST

START_TEST(an_address_that_is_none_is_an_error)
{
    static const char *const bad[] = {"1.2.3",       "1.2.3.4.5",
                                      "1.2.3.256",   "::1::",
                                      "1:2:3:4:5:6", "1:2:3:4:5:6:7:8:9",
                                      ":1",          "x",
                                      "12345::",     "1:2:3:4:5:6:7:1.2.3.4"};
    lmail_policy *p = must("");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lmail_policy_verdict v;
        lmail_policy_peer peer = peer_of(bad[i], "");
        lmail_policy_question q = question_of(&peer);
        ck_assert_msg(lmail_policy_connect(p, &q, &v) == LMAIL_ERR_ARG, "%s", bad[i]);
    }
    lmail_policy_free(p);
}
END_TEST

/* ---- TLS ------------------------------------------------------------------------------------- */

#define OFF LMAIL_POLICY_CERTIFICATE_NO_TLS
#define GOOD LMAIL_POLICY_CERTIFICATE_VERIFIED
static const struct {
    const char *entry;
    lmail_policy_certificate state;
    unsigned bits;
    const char *client, *server;
} tls_rows[] = {
    {"TLS_%s:h.example VERIFY", GOOD, 128, "accept", "accept"},
    {"TLS_%s:h.example VERIFY", OFF, 0, "454 4.7.0 authentication required",
     "454 4.7.0 other side does not support STARTTLS"},
    {"TLS_%s:example VERIFY", LMAIL_POLICY_CERTIFICATE_FAILED, 128,
     "454 4.7.0 authentication failed", NULL},
    {"TLS_%s:192.0.2 VERIFY", LMAIL_POLICY_CERTIFICATE_MISSING, 128, "454 4.7.0 not authenticated",
     NULL},
    {"TLS_%s: VERIFY", LMAIL_POLICY_CERTIFICATE_UNASKED, 128,
     "454 4.7.0 no authentication requested", NULL},
    {"TLS_%s:h.example ENCR:112", OFF, 0, "454 4.7.0 encryption too weak 0 less than 112", NULL},
    {"TLS_%s:h.example ENCR:112", LMAIL_POLICY_CERTIFICATE_FAILED, 112, "accept", NULL},
    {"TLS_%s:h.example verify:256", GOOD, 128, "454 4.7.0 encryption too weak 128 less than 256",
     NULL},
    {"TLS_%s:h.example TEMP+VERIFY", OFF, 0, "403 4.7.0 authentication required",
     "403 4.7.0 other side does not support STARTTLS"},
    {"TLS_%s:h.example PERM+ENCR:56", OFF, 0, "503 5.7.0 encryption too weak 0 less than 56", NULL},
    {"TLS_%s:h.example VERIFY+CN:c.example", GOOD, 1, "accept", NULL},
    {"TLS_%s:h.example VERIFY+CN", GOOD, 1, "454 4.7.0 CN c.example does not match h.example",
     NULL},
    {"TLS_%s:h.example VERIFY:1+CI:/CN=ca++CS:/CN=x", GOOD, 1,
     "454 4.7.0 Cert Subject /CN=c.example does not match /CN=x", NULL},
    {"TLS_%s:h.example VERIFY:1+CI:/CN=other", GOOD, 1,
     "454 4.7.0 Cert Issuer /CN=ca does not match /CN=other", NULL},
    {"TLS_%s:other.example VERIFY", OFF, 0, "accept", "accept"},
};

START_TEST(tls_conditions)
{
    char text[200];
    lmail_policy_verdict v;
    lmail_policy_peer peer = peer_of("192.0.2.1", "h.example");
    peer.certificate = tls_rows[_i].state;
    peer.cipher_bits = tls_rows[_i].bits;
    peer.certificate_name = LMAIL_STR("c.example");
    peer.certificate_subject = LMAIL_STR("/CN=c.example");
    peer.certificate_issuer = LMAIL_STR("/CN=ca");
    lmail_policy_question q = question_of(&peer);
    snprintf(text, sizeof text, tls_rows[_i].entry, "Clt");
    lmail_policy *p = must(text);
    ck_assert_str_eq(said, "");
    ck_assert_int_eq(lmail_policy_tls_client(p, &q, &v), LMAIL_OK);
    ck_assert_str_eq(shown(&v), tls_rows[_i].client);
    ck_assert_int_eq(lmail_policy_mail(p, &q, &v), LMAIL_OK);
    ck_assert_str_eq(shown(&v), tls_rows[_i].client);
    q.sender = LMAIL_STR("");
    ck_assert_int_eq(lmail_policy_mail(p, &q, &v), LMAIL_OK);
    ck_assert_str_eq(shown(&v), tls_rows[_i].client);
    ck_assert_int_eq(lmail_policy_tls_server(p, &q, &v), LMAIL_OK);
    ck_assert_str_eq(shown(&v), "accept");
    lmail_policy_free(p);
    snprintf(text, sizeof text, tls_rows[_i].entry, "Srv");
    p = must(text);
    ck_assert_int_eq(lmail_policy_tls_server(p, &q, &v), LMAIL_OK);
    ck_assert_str_eq(shown(&v), tls_rows[_i].server ? tls_rows[_i].server : tls_rows[_i].client);
    lmail_policy_free(p);
}
END_TEST

static const struct {
    const char *key, *recipient;
    unsigned hit;
} tls_rcpt_rows[] = {
    {"TLS_Rcpt:u@bank.example", "U@bank.example", 1},   {"TLS_Rcpt:u@", "u+x@any.example", 1},
    {"TLS_Rcpt:bank.example", "x@sub.bank.example", 1}, {"TLS_Rcpt:", "x@any.example", 1},
    {"TLS_Rcpt:u@bank.example", "v@bank.example", 0},
};

START_TEST(tls_of_a_recipient)
{
    char text[100];
    lmail_policy_verdict v;
    lmail_policy_peer peer = peer_of("192.0.2.1", "h.example");
    lmail_policy_question q = question_of(&peer);
    q.recipient = lmail_str_from(tls_rcpt_rows[_i].recipient);
    snprintf(text, sizeof text, "%s ENCR:128", tls_rcpt_rows[_i].key);
    lmail_policy *p = must(text);
    ck_assert_int_eq(lmail_policy_tls_rcpt(p, &q, &v), LMAIL_OK);
    ck_assert_str_eq(shown(&v), tls_rcpt_rows[_i].hit
                                    ? "454 4.7.0 encryption too weak 0 less than 128"
                                    : "accept");
    lmail_policy_free(p);
}
END_TEST

/* ---- The other tags -------------------------------------------------------------------------- */

START_TEST(try_tls)
{
    lmail_policy_verdict v;
    lmail_policy_peer bad = peer_of("192.0.2.1", "old.example"), good = peer_of("192.0.2.2", "");
    lmail_policy_question q = question_of(&bad);
    lmail_policy *p = must("Try_TLS:old.example NO\n");
    lmail_policy_try_tls(p, &q, &v);
    ck_assert_str_eq(shown(&v), "550 5.7.1 do not try TLS with old.example [192.0.2.1]");
    q.peer = &good;
    lmail_policy_try_tls(p, &q, &v);
    ck_assert_str_eq(shown(&v), "accept");
    lmail_policy_free(p);
}
END_TEST

START_TEST(server_features)
{
    lmail_policy_features f;
    lmail_policy_peer peer = peer_of("192.0.2.1", "h.example");
    lmail_policy_question q = question_of(&peer);
    lmail_policy *p = must("Srv_Features:192.0.2 S A l\nSrv_Features: Vs\n");
    ck_assert_str_eq(said, "");
    ck_assert_int_eq(lmail_policy_server_features(p, &q, &f), LMAIL_OK);
    ck_assert_uint_eq(f.off, LMAIL_POLICY_FEATURE_STARTTLS | LMAIL_POLICY_FEATURE_AUTH);
    ck_assert_uint_eq(f.on, LMAIL_POLICY_FEATURE_NEED_AUTH);
    ck_assert_uint_eq(f.line, 1);
    peer.address = LMAIL_STR("198.51.100.1");
    lmail_policy_server_features(p, &q, &f);
    ck_assert_uint_eq(f.off, LMAIL_POLICY_FEATURE_CLIENT_CERTIFICATE);
    ck_assert_uint_eq(f.on, LMAIL_POLICY_FEATURE_STARTTLS);
    peer.name_state = LMAIL_POLICY_NAME_UNKNOWN;
    lmail_policy_server_features(p, &q, &f);
    ck_assert_uint_eq(f.need, LMAIL_POLICY_NEED_NAME);
    ck_assert_uint_eq(f.on | f.off, 0);
    lmail_policy_free(p);
}
END_TEST

START_TEST(auth_info)
{
    lmail_policy_credentials c;
    lmail_policy_peer peer = peer_of("192.0.2.1", "smart.example");
    lmail_policy_question q = question_of(&peer);
    lmail_policy *p = must("AuthInfo:smart.example \"U:juan\" \"I:j\" \"P=c2VjcmV0bw==\" "
                           "\"R:realm # x\" \"M:CRAM-MD5 PLAIN\"\n");
    ck_assert_int_eq(lmail_policy_auth_info(p, &q, &c), LMAIL_OK);
    ck_assert_uint_eq(c.found, 1);
    ck_assert(lmail_str_equal(c.authzid, LMAIL_STR("juan")));
    ck_assert(lmail_str_equal(c.authid, LMAIL_STR("j")));
    ck_assert(lmail_str_equal(c.password, LMAIL_STR("secreto")));
    ck_assert(lmail_str_equal(c.realm, LMAIL_STR("realm # x")));
    ck_assert(lmail_str_equal(c.mechanisms, LMAIL_STR("CRAM-MD5 PLAIN")));
    peer.name = LMAIL_STR("other.example");
    lmail_policy_auth_info(p, &q, &c);
    ck_assert_uint_eq(c.found, 0);
    lmail_policy_free(p);
    config.access_is_public = 1;
    ck_assert_int_eq(make(&p, "AuthInfo: \"U:a\" \"P:b\"\n"), LMAIL_ERR_SYNTAX);
    ck_assert_str_eq(said, "1:E:the file holds a password and others can read it\n");
}
END_TEST

START_TEST(limits)
{
    lmail_policy_verdict v;
    lmail_policy_peer peer = peer_of("192.0.2.1", "");
    lmail_policy_question q = question_of(&peer);
    const char *text = "ClientRate:192.0.2 3\nClientRate: 10\nClientConn:192.0.2.1 0\n"
                       "ClientConn: 2\n";
    q.count = 4;
    lmail_policy *p = must(text);
    ck_assert_str_eq(said, "");
    lmail_policy_rate(p, &q, &v);
    ck_assert_str_eq(shown(&v), "accept"); /* the feature is off */
    lmail_policy_free(p);
    config.rate_control = config.conn_control = config.conn_control_terminate = 1;
    p = must(text);
    lmail_policy_rate(p, &q, &v);
    ck_assert_str_eq(shown(&v), "452 4.3.2 Connection rate limit exceeded.");
    ck_assert_uint_eq(v.line, 1);
    lmail_policy_connections(p, &q, &v);
    ck_assert_str_eq(shown(&v), "accept"); /* 0 is no limit */
    peer.address = LMAIL_STR("2001:db8::1");
    lmail_policy_rate(p, &q, &v);
    ck_assert_str_eq(shown(&v), "accept");
    lmail_policy_connections(p, &q, &v);
    ck_assert_str_eq(shown(&v), "421 4.3.2 Too many open connections.");
    lmail_policy_free(p);
}
END_TEST

START_TEST(greet_pause)
{
    lmail_policy_pause pause;
    lmail_policy_peer peer = peer_of("192.0.2.1", "h.example");
    lmail_policy_question q = question_of(&peer);
    config.greet_pause_ms = 5000;
    lmail_policy *p = must("GreetPause:example 100\n");
    lmail_policy_greet_pause(p, &q, &pause);
    ck_assert_uint_eq(pause.pause, 0);
    lmail_policy_free(p);
    config.greet_pause = 1;
    p = must("GreetPause:example 100\n");
    lmail_policy_greet_pause(p, &q, &pause);
    ck_assert_uint_eq(pause.pause, 100);
    peer.name_state = LMAIL_POLICY_NAME_NONE;
    lmail_policy_greet_pause(p, &q, &pause);
    ck_assert_uint_eq(pause.pause, 5000);
    lmail_policy_free(p);
}
END_TEST

/* ---- Senders and recipients ------------------------------------------------------------------ */

static const struct {
    const char *to, *verdict, *local, *domain;
} rcpt_rows[] = {
    {"u@mx.example", "local", "u", "mx.example"},
    {"U@MX.example.", "local", "U", "mx.example"},
    {"\"q u\"@mx.example", "local", "q u", "mx.example"},
    {"a%mx.example%mx.example@mx.example", "local", "a", "mx.example"},
    {"mx.example!mx.example!a@mx.example", "local", "a", "mx.example"},
    {"\"a@mx.example\"@mx.example", "local", "a", "mx.example"},
    {"a%b", "550 5.7.1 Relaying denied. IP name lookup failed [192.0.2.1]", "a", "b"},
    {"@x,@y:u@mx.example", "local", "u", "mx.example"},
    {"a%b@far.example", "550 5.7.1 Relaying denied. IP name lookup failed [192.0.2.1]", "a%b",
     "far.example"},
    {"", "553 5.1.3 User address required", "", ""},
    {"@mx.example", "553 5.1.3 User address required", "", ""},
    {"%b@mx.example", "553 5.1.3 User address required", "", ""},
    {"u@", "553 5.1.3 Hostname required", "", ""},
    {"u%@mx.example", "553 5.1.3 Hostname required", "", ""},
    {"u@a..b", "553 5.1.2 Invalid host name", "", ""},
    {"u@.b", "553 5.1.2 Invalid host name", "", ""},
    {"u@.", "553 5.1.2 Invalid host name", "", ""},
    {"u@a@b", "553 5.1.3 Invalid route address", "", ""},
    {"bad@mx.example", "550 5.2.1 Mailbox disabled for this recipient", "", ""},
    {"BAD+x@mx.example", "550 5.2.1 Mailbox disabled for this recipient", "", ""},
    {"\"bad\"@mx.example", "550 5.2.1 Mailbox disabled for this recipient", "", ""},
    {"plus+x@mx.example", "450 4.7.1 Busy", "", ""},
    {"plus@mx.example", "local", "plus", "mx.example"},
    {"hold@mx.example", "quarantine", "hold", "mx.example"},
    {"hold@far.example", "550 5.7.1 Relaying denied. IP name lookup failed [192.0.2.1]", "hold",
     "far.example"},
    {"from:x@mx.example", "local", "from:x", "mx.example"},
};

START_TEST(recipients)
{
    lmail_policy_verdict v;
    lmail_policy_peer peer = peer_of("192.0.2.1", "");
    lmail_policy_question q = question_of(&peer);
    lmail_policy *p = must("To:bad@mx.example REJECT\nTo:plus+*@ ERROR:4.7.1:450 Busy\n"
                           "To:hold@mx.example QUARANTINE:look\nTo:hold@far.example "
                           "QUARANTINE:look\nFrom:x@mx.example REJECT\nuntagged REJECT\n");
    q.recipient = lmail_str_from(rcpt_rows[_i].to);
    ck_assert_int_eq(lmail_policy_rcpt(p, &q, &v), LMAIL_OK);
    ck_assert_str_eq(shown(&v), rcpt_rows[_i].verdict);
    if (*rcpt_rows[_i].local) {
        ck_assert(lmail_str_equal(v.local_part, lmail_str_from(rcpt_rows[_i].local)));
        ck_assert(lmail_str_equal(v.domain, lmail_str_from(rcpt_rows[_i].domain)));
    }
    if (v.kind == LMAIL_POLICY_QUARANTINE)
        ck_assert(lmail_str_equal(v.reason, LMAIL_STR("look")));
    lmail_policy_free(p);
}
END_TEST

static const struct {
    const char *from, *address, *name;
    unsigned literal_ok;
    const char *verdict;
} sender_rows[] = {
    {"u@localhost", "192.0.2.1", "", 0, "553 5.5.4 Real domain name required for sender address"},
    {"u@[127.0.0.1]", "192.0.2.1", "h.example", 0,
     "553 5.5.4 Real domain name required for sender address"},
    {"u@[IPv6:::1]", "192.0.2.1", "", 0, "553 5.5.4 Real domain name required for sender address"},
    {"u@localhost", "127.0.0.1", "", 0, "accept"},
    {"u@localhost", "192.0.2.1", "mx.example", 0, "accept"},
    {"u@mx.example", "192.0.2.1", "", 0, "accept"},
    {"u@", "192.0.2.1", "", 0, "553 5.1.3 Hostname required"},
    {"u", "", "", 0, "accept"},
    {"u", "192.0.2.1", "", 1, "accept"},
};

START_TEST(senders)
{
    lmail_policy_verdict v;
    lmail_policy_peer peer = peer_of(sender_rows[_i].address, sender_rows[_i].name);
    lmail_policy_question q = question_of(&peer);
    lmail_policy *p = must("");
    q.sender = lmail_str_from(sender_rows[_i].from);
    q.sender_domain = LMAIL_POLICY_NO;
    q.unqualified_sender = sender_rows[_i].literal_ok;
    lmail_policy_mail(p, &q, &v);
    ck_assert_str_eq(shown(&v), sender_rows[_i].verdict);
    lmail_policy_free(p);
}
END_TEST

START_TEST(only_what_matters_is_asked_for)
{
    lmail_policy_verdict v;
    lmail_policy_peer peer = LMAIL_POLICY_PEER_INIT;
    peer.address = LMAIL_STR("192.0.2.1");
    lmail_policy_question q = question_of(&peer);
    q.sender_domain = LMAIL_POLICY_UNKNOWN;
    lmail_policy *p = must("To:open.example RELAY\n");
    lmail_policy_connect(p, &q, &v);
    ck_assert_str_eq(shown(&v), "accept"); /* no Connect: entry could match */
    lmail_policy_mail(p, &q, &v);
    ck_assert_uint_eq(v.need, LMAIL_POLICY_NEED_SENDER_DOMAIN);
    q.recipient = LMAIL_STR("u@open.example");
    lmail_policy_rcpt(p, &q, &v);
    ck_assert_str_eq(shown(&v), "relay");
    q.recipient = LMAIL_STR("u@closed.example");
    lmail_policy_rcpt(p, &q, &v);
    ck_assert_uint_eq(v.need, LMAIL_POLICY_NEED_NAME);
    lmail_policy_free(p);
    p = must("Connect:192.0.2.1 REJECT\n");
    lmail_policy_connect(p, &q, &v);
    ck_assert_uint_eq(v.need, LMAIL_POLICY_NEED_NAME); /* a name would come first */
    lmail_policy_free(p);
}
END_TEST

START_TEST(skip_ends_one_search_without_result)
{
    lmail_policy_verdict v;
    lmail_policy_peer peer = peer_of("192.0.2.1", "h.example");
    lmail_policy_question q = question_of(&peer);
    lmail_policy *p = must("Connect:h.example SKIP\nConnect:example OK\nConnect:192.0.2 REJECT\n"
                           "From:u@skip.example SKIP\nFrom:skip.example OK\n");
    lmail_policy_connect(p, &q, &v);
    ck_assert_str_eq(shown(&v), "550 5.7.1 Access denied"); /* by the address */
    q.sender = LMAIL_STR("u@skip.example");
    q.sender_domain = LMAIL_POLICY_NO;
    lmail_policy_mail(p, &q, &v);
    ck_assert_uint_eq(v.code, 553); /* nothing excuses it */
    q.sender = LMAIL_STR("v@skip.example");
    lmail_policy_mail(p, &q, &v);
    ck_assert_str_eq(shown(&v), "accept");
    lmail_policy_free(p);
}
END_TEST

START_TEST(the_longest_addresses_fit)
{
    static char from[LMAIL_POLICY_MAX_ADDRESS + 1], to[LMAIL_POLICY_MAX_ADDRESS + 1];
    lmail_policy_verdict v;
    lmail_policy_peer peer = peer_of("192.0.2.1", "h.example");
    lmail_policy_question q = question_of(&peer);
    memset(from, 'f', sizeof from);
    memcpy(from + sizeof from - 11, "far.example", 11);
    from[sizeof from - 12] = '@';
    for (size_t i = 0; i + 1 < sizeof to; i++)
        to[i] = "%mx.example"[(i + 5) % 11];
    memcpy(to + sizeof to - 12, "@mx.example", 11);
    config.delay_checks = LMAIL_POLICY_DELAY_ON;
    config.relay_local_from = 1;
    lmail_policy *p = must("");
    q.sender = (lmail_str){from, sizeof from - 1};
    q.recipient = (lmail_str){to, sizeof to - 1};
    q.sender_domain = LMAIL_POLICY_NO;
    lmail_policy_rcpt(p, &q, &v);
    ck_assert_uint_eq(v.code, 553);
    ck_assert(lmail_str_equal(v.enhanced, LMAIL_STR("5.1.8")));
    ck_assert_uint_eq(v.text.len, strlen("Domain of sender address  does not exist") + 512);
    q.sender.len++;
    config.delay_checks = LMAIL_POLICY_DELAY_OFF;
    lmail_policy_free(p);
    p = must("");
    lmail_policy_mail(p, &q, &v);
    ck_assert_str_eq(shown(&v), "553 5.1.3 Address too long");
    lmail_policy_free(p);
}
END_TEST

/* ---- Routes by FEATURE ----------------------------------------------------------------------- */

START_TEST(percent_and_bang_can_be_ordinary_or_refused)
{
    lmail_policy_verdict v;
    lmail_policy_peer peer = peer_of("192.0.2.1", "");
    lmail_policy_question q = question_of(&peer);
    config.nopercenthack = config.nouucp = LMAIL_POLICY_ROUTE_ORDINARY;
    lmail_policy *p = must("");
    q.recipient = LMAIL_STR("a%b!c@mx.example");
    lmail_policy_rcpt(p, &q, &v);
    ck_assert_str_eq(shown(&v), "local");
    ck_assert(lmail_str_equal(v.local_part, LMAIL_STR("a%b!c")));
    ck_assert_uint_eq(v.routed, 0);
    lmail_policy_free(p);
    config.nopercenthack = LMAIL_POLICY_ROUTE_REJECT;
    p = must("");
    lmail_policy_rcpt(p, &q, &v);
    ck_assert_str_eq(shown(&v), "550 5.7.1 Relaying denied. IP name lookup failed [192.0.2.1]");
    lmail_policy_free(p);
}
END_TEST

/* ---- Lines ----------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    lmail_status status;
    const char *said;
} line_rows[] = {
    {"Connect:1.2.3.0/24 REJECT", LMAIL_OK,
     "1:W:\"1.2.3.0/24\": masks are not understood, write the prefix alone, as 192.168.1\n"},
    {"Connect:2001:db8::1 REJECT", LMAIL_OK,
     "1:W:\"2001:db8::1\" never matches, an IPv6 address is written IPv6:2001:db8::1\n"},
    {"Connect:IPv6:xyz REJECT", LMAIL_OK,
     "1:W:\"ipv6:xyz\" never matches, it is no IPv6 address or network\n"},
    {"*.example.org REJECT", LMAIL_OK,
     "1:W:\"*.example.org\" never matches, a name covers all names below it\n"},
    {"a.example ERROR:250 fine", LMAIL_ERR_SYNTAX,
     "1:E:a refusal needs a reply code of 4xx or 5xx: \"250 fine\"\n"},
    {"a.example 299", LMAIL_ERR_SYNTAX,
     "1:E:a refusal needs a reply code of 4xx or 5xx: \"299\"\n"},
    {"a.example ERROR:4.7.1:550 x", LMAIL_OK,
     "1:W:the enhanced code 4.7.1 does not fit the reply code, its class is changed\n"},
    {"a.example ERROR:go away", LMAIL_OK, "1:W:no reply code behind ERROR:, 553 is sent\n"},
    {"a.example FRIEND", LMAIL_OK, "1:W:unknown value, used as reply text: \"FRIEND\"\n"},
    {"Spam:a@ REJECT", LMAIL_OK, "1:W:Spam: knows FRIEND and HATER only\n"},
    {"ClientRate:10.1 3x", LMAIL_ERR_SYNTAX, "1:E:a number is expected, not \"3x\"\n"},
    {"TLS_Clt:a ENCR:x", LMAIL_ERR_SYNTAX,
     "1:E:not a requirement for TLS: \"ENCR:x\"; it is VERIFY, VERIFY:bits or ENCR:bits\n"},
    {"TLS_Clt: h.example VERIFY", LMAIL_OK, "1:W:blank after tag, read as \"TLS_Clt:h.example\"\n"},
    {"ClientRate: 10.1 3", LMAIL_OK, "1:W:blank after tag, read as \"ClientRate:10.1\"\n"},
    {"ClientRate: 10 # note", LMAIL_OK,
     "1:W:text after value ignored, put comments on their own line\n"},
    {"QGRP:a b", LMAIL_OK, "1:W:QGRP: is not supported, the line has no effect\n"},
    {"Compat:a b", LMAIL_OK, "1:W:Compat: is not supported, the line has no effect\n"},
    {"Srv_Features:a Z", LMAIL_OK, "1:W:unknown letter in \"Z\"; known are S A P V D E X B l c\n"},
    {"AuthInfo:a U:x", LMAIL_ERR_SYNTAX,
     "1:E:AuthInfo: is written \"U:user\" \"I:user\" \"P:password\" \"R:realm\" "
     "\"M:mechanisms\"\n"},
    {"Try_TLS:a YES", LMAIL_OK, "1:W:\"YES\" has no effect, only NO has\n"},
    {"Unheard:a OK", LMAIL_OK, "1:W:unknown tag \"Unheard:\"\n"},
    {"a OK\r\nA ok # x", LMAIL_OK,
     "2:W:text after keyword ignored, put comments on their own line\n"},
    {"a OK\nA RELAY", LMAIL_OK, "2:W:line 1 has another value for this key and is kept\n"},
};

START_TEST(odd_lines_are_told)
{
    lmail_policy *p;
    ck_assert_int_eq(make(&p, line_rows[_i].text), line_rows[_i].status);
    ck_assert_str_eq(said, line_rows[_i].said);
    lmail_policy_free(p);
}
END_TEST

START_TEST(class_files)
{
    lmail_policy_verdict v;
    lmail_policy_peer peer = peer_of("192.0.2.1", "");
    lmail_policy_question q = question_of(&peer);
    config.local_domains_file = (lmail_policy_file){
        LMAIL_STR("lhn"), LMAIL_STR("# c\n One.example two.example\r\n[192.0.2.9]\n")};
    lmail_policy *p = must("");
    ck_assert_str_eq(said, "2:W:one entry a line, what follows the first word is ignored\n");
    q.recipient = LMAIL_STR("u@one.EXAMPLE");
    lmail_policy_rcpt(p, &q, &v);
    ck_assert_str_eq(shown(&v), "local");
    ck_assert_uint_eq(v.line, 2);
    ck_assert(lmail_str_equal(v.file, LMAIL_STR("lhn")));
    q.recipient = LMAIL_STR("u@[192.0.2.9]");
    lmail_policy_rcpt(p, &q, &v);
    ck_assert_str_eq(shown(&v), "local");
    q.recipient = LMAIL_STR("u@sub.one.example");
    lmail_policy_rcpt(p, &q, &v);
    ck_assert_int_eq(v.kind, LMAIL_POLICY_DENY);
    lmail_policy_free(p);
    config.use_cw_file = 0;
    p = must("");
    ck_assert_str_eq(said, "0:W:not read, FEATURE(use_cw_file) is missing\n");
    q.recipient = LMAIL_STR("u@one.example");
    lmail_policy_rcpt(p, &q, &v);
    ck_assert_int_eq(v.kind, LMAIL_POLICY_DENY);
    lmail_policy_free(p);
}
END_TEST

START_TEST(own_messages)
{
    lmail_policy_verdict v;
    lmail_policy_peer peer = peer_of("192.0.2.1", "h.example");
    lmail_policy_question q = question_of(&peer);
    lmail_policy *p;
    config.reject_message = LMAIL_STR("554 5.7.9 Vaya con Dios");
    config.relay_message = LMAIL_STR("551 No relay");
    p = must("Connect:10 REJECT\nConnect:11 450\n");
    lmail_policy_rcpt(p, &q, &v);
    ck_assert_str_eq(shown(&v), "551 5.7.1 No relay");
    peer.address = LMAIL_STR("10.0.0.1");
    lmail_policy_connect(p, &q, &v);
    ck_assert_str_eq(shown(&v), "554 5.7.9 Vaya con Dios");
    peer.address = LMAIL_STR("11.0.0.1");
    lmail_policy_connect(p, &q, &v);
    ck_assert_str_eq(shown(&v), "450 4.7.9 Vaya con Dios");
    lmail_policy_free(p);
    config.reject_message = LMAIL_STR("250 OK");
    ck_assert_int_eq(make(&p, ""), LMAIL_ERR_ARG);
}
END_TEST

/* ---- Explanation, memory, misuse ------------------------------------------------------------- */

static char steps[2000];

static void take_step(void *ctx, const lmail_policy_step *s)
{
    (void)ctx;
    size_t n = strlen(steps);
    snprintf(steps + n, sizeof steps - n, "%.*s=%u@%zu;", (int)s->key.len, s->key.ptr, s->hit,
             s->line);
}

START_TEST(steps_are_told_in_order)
{
    lmail_policy_verdict v;
    lmail_policy_peer peer = peer_of("192.0.2.1", "h.example");
    lmail_policy_question q = question_of(&peer);
    lmail_policy *p = must("Connect:192 REJECT\nx.example OK\n");
    q.on_step = take_step;
    steps[0] = '\0';
    lmail_policy_connect(p, &q, &v);
    ck_assert_str_eq(steps, "Connect:h.example=0@0;h.example=0@0;Connect:example=0@0;example=0@0;"
                            "Connect:192.0.2.1=0@0;192.0.2.1=0@0;Connect:192.0.2=0@0;192.0.2=0@0;"
                            "Connect:192.0=0@0;192.0=0@0;Connect:192=1@1;");
    ck_assert(lmail_str_equal(v.rule, LMAIL_STR("connect:192")));
    lmail_policy_free(p);
}
END_TEST

static const char everything[] =
    "Connect:IPv6:2001:db8::1 REJECT\nFrom:a@b OK\nTo: c REJECT # x\nAuthInfo:x \"P:y\"\n"
    "TLS_Clt: VERIFY\nx 550 no\n";

START_TEST(every_failing_allocation_is_told)
{
    static const lmail_str names[] = {{"one.example", 11}, {"two.example", 11}};
    config.local_domains = config.relay_domains = config.trusted_mechanisms = names;
    config.local_domain_count = config.relay_domain_count = config.trusted_mechanism_count = 2;
    config.local_domains_file = (lmail_policy_file){LMAIL_STR("w"), LMAIL_STR("three.example\n")};
    config.relay_domains_file = (lmail_policy_file){LMAIL_STR("r"), LMAIL_STR("IPv6:::5\n")};
    config.reject_message = LMAIL_STR("550 no");
    for (size_t n = 1;; n++) {
        count_alloc memory = {.fail_at = n};
        lmail_policy *p;
        config.alloc = count_alloc_table(&memory);
        lmail_status st = make(&p, everything);
        size_t failed = memory.failed;
        lmail_policy_free(p);
        ck_assert_uint_eq(memory.live, 0);
        ck_assert_uint_eq(memory.lies, 0);
        if (!failed) {
            ck_assert_int_eq(st, LMAIL_OK);
            ck_assert_uint_gt(n, 10);
            break;
        }
        ck_assert_int_eq(st, LMAIL_ERR_NOMEM);
        ck_assert_ptr_null(p);
    }
}
END_TEST

START_TEST(garbage_loads_or_is_refused)
{
    char text[4096];
    uint32_t state = 1;
    for (int round = 0; round < 200; round++) {
        lmail_policy_verdict v;
        lmail_policy *p;
        for (size_t i = 0; i < sizeof text; i++) {
            state = state * 1664525u + 1013904223u;
            text[i] = "\n \t:#@.\"[]+*ConetTSIPv6:REJCOKxyz0123456789\r\0\xff"[(state >> 16) % 47];
        }
        config.access = (lmail_policy_file){LMAIL_STR("access"), {text, sizeof text}};
        config.local_domains_file = config.relay_domains_file = config.access;
        said[0] = '\0';
        lmail_status st = lmail_policy_new(&p, &config);
        ck_assert(st == LMAIL_OK || st == LMAIL_ERR_SYNTAX);
        lmail_policy_peer peer = peer_of("192.0.2.1", "x.y");
        lmail_policy_question q = question_of(&peer);
        q.recipient = (lmail_str){text + round, 40};
        if (p)
            ck_assert_int_eq(lmail_policy_rcpt(p, &q, &v), LMAIL_OK);
        lmail_policy_free(p);
    }
}
END_TEST

START_TEST(misuse_is_refused)
{
    lmail_policy *p;
    lmail_policy_verdict v;
    lmail_policy_question q = LMAIL_POLICY_QUESTION_INIT;
    config.size++;
    ck_assert_int_eq(make(&p, ""), LMAIL_ERR_SIZE);
    config.size--;
    config.host_name = LMAIL_STR("");
    ck_assert_int_eq(make(&p, ""), LMAIL_ERR_ARG);
    config.host_name = LMAIL_STR("mx.example");
    p = must("");
    ck_assert_int_eq(lmail_policy_rcpt(p, &q, &v), LMAIL_ERR_ARG);
    q.size++;
    ck_assert_int_eq(lmail_policy_rcpt(p, &q, &v), LMAIL_ERR_SIZE);
    lmail_policy_peer peer = peer_of("192.0.2.1", "mx.example");
    q = question_of(&peer);
    q.size = offsetof(lmail_policy_question, on_step); /* an older host's */
    q.on_step = take_step;
    peer.size = offsetof(lmail_policy_peer, login);
    steps[0] = '\0';
    ck_assert_int_eq(lmail_policy_rcpt(p, &q, &v), LMAIL_OK);
    ck_assert_str_eq(shown(&v), "relay");
    ck_assert_str_eq(steps, "");
    lmail_policy_free(p);
    lmail_policy_free(NULL);
}
END_TEST

#define LOOP(c, test, rows) tcase_add_loop_test(c, test, 0, (int)(sizeof rows / sizeof *rows))

Suite *policy_tags_suite(void)
{
    Suite *s = suite_create("policy_tags");
    TCase *c = tcase_create("tags");
    tcase_add_checked_fixture(c, set_up, NULL);
    LOOP(c, addresses_compare_as_addresses, address_rows);
    tcase_add_test(c, an_address_that_is_none_is_an_error);
    LOOP(c, tls_conditions, tls_rows);
    LOOP(c, tls_of_a_recipient, tls_rcpt_rows);
    tcase_add_test(c, try_tls);
    tcase_add_test(c, server_features);
    tcase_add_test(c, auth_info);
    tcase_add_test(c, limits);
    tcase_add_test(c, greet_pause);
    LOOP(c, recipients, rcpt_rows);
    LOOP(c, senders, sender_rows);
    tcase_add_test(c, skip_ends_one_search_without_result);
    tcase_add_test(c, the_longest_addresses_fit);
    tcase_add_test(c, only_what_matters_is_asked_for);
    tcase_add_test(c, percent_and_bang_can_be_ordinary_or_refused);
    LOOP(c, odd_lines_are_told, line_rows);
    tcase_add_test(c, class_files);
    tcase_add_test(c, own_messages);
    tcase_add_test(c, steps_are_told_in_order);
    tcase_add_test(c, every_failing_allocation_is_told);
    tcase_add_test(c, garbage_loads_or_is_refused);
    tcase_add_test(c, misuse_is_refused);
    suite_add_tcase(s, c);
    return s;
}
