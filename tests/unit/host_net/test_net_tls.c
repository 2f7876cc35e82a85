/* The TLS filter against a client in memory: no sockets, any split of the octets. */
#include "host_tls_peer.h"

#include "host/net/net_mbedtls.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static tls_identity mx, wild, alice, nobody;

static void make_identities(void)
{
    static int made;
    if (made++)
        return;
    ck_assert_int_eq(tls_identity_make(&mx, "mx.example.test", "mx.example.test", NULL), 0);
    ck_assert_int_eq(tls_identity_make(&wild, "other", "*.other.test", NULL), 0);
    ck_assert_int_eq(tls_identity_make(&alice, "Alice", NULL, "alice@example.test"), 0);
    ck_assert_int_eq(tls_identity_make(&nobody, "bob", NULL, NULL), 0);
}

static lmail_tls_cert cert_of(const tls_identity *i)
{
    return (lmail_tls_cert){lmail_str_from(i->cert), lmail_str_from(i->key)};
}

static lmail_tls *make_tls(lmail_tls_config *config)
{
    static lmail_tls_cert certs[2];
    lmail_tls *tls = NULL;
    char error[256] = "";
    make_identities();
    certs[0] = cert_of(&mx);
    certs[1] = cert_of(&wild);
    config->certs = certs;
    config->certs_n = 2;
    ck_assert_msg(lmail_tls_new(&tls, config, error, sizeof(error)) == LMAIL_OK, "%s", error);
    return tls;
}

/* ---- A pair of ends -------------------------------------------------------------------------- */

typedef struct pair {
    lmi_tls *server;
    tls_peer client;
    size_t step; /* octets handed over at once */
    int server_done, client_done;
    char got[400000]; /* plaintext that the server has read */
    size_t got_len;
    lmi_tls_result last;
} pair;

static void pair_init(pair *p, lmail_tls *tls, const tls_peer_options *options, size_t step)
{
    memset(p, 0, sizeof(*p));
    p->step = step;
    ck_assert_int_eq(lmi_tls_new(&p->server, tls), LMAIL_OK);
    ck_assert_int_eq(tls_peer_init(&p->client, options), 0);
}

static void pair_done(pair *p)
{
    lmi_tls_free(p->server);
    tls_peer_done(&p->client);
}

/* Give the server n octets from the client. 0: it has failed. */
static int to_server(pair *p, const char *in, size_t n)
{
    lmi_tls_input(p->server, in, n);
    if (!p->server_done) {
        p->last = lmi_tls_handshake(p->server);
        p->server_done = p->last == LMI_TLS_OK;
        if (!p->server_done)
            return p->last == LMI_TLS_WANT;
    }
    size_t made;
    p->last = lmi_tls_read(p->server, p->got + p->got_len, sizeof(p->got) - p->got_len, &made);
    p->got_len += made;
    ck_assert(p->last == LMI_TLS_FAIL || p->server->in_len == 0);
    return p->last == LMI_TLS_WANT;
}

static int move_up(pair *p)
{
    size_t at = 0, len = p->client.out_len;
    char *octets = p->client.out;
    int good = 1;
    p->client.out = NULL;
    p->client.out_len = p->client.out_cap = 0;
    while (good && at < len) {
        size_t n = len - at < p->step ? len - at : p->step;
        char *copy = malloc(n); /* so that a read past the piece is seen */
        memcpy(copy, octets + at, n);
        good = to_server(p, copy, n);
        free(copy);
        at += n;
    }
    free(octets);
    return good;
}

static void move_down(pair *p)
{
    lmail_str waits;
    while ((waits = lmi_tls_peek(p->server)).len) {
        size_t n = waits.len < p->step ? waits.len : p->step;
        p->client.in = waits.ptr;
        p->client.in_len = n;
        if (!p->client_done) {
            int rc = tls_peer_handshake(&p->client);
            p->client_done = rc == 0;
            if (rc < 0)
                p->client.in_len = 0;
        }
        if (p->client.in_len) {
            char text[16];
            tls_peer_read(&p->client, text, sizeof(text));
        }
        lmi_tls_sent(p->server, n);
    }
}

/* 1: both ends are through. */
static int shake(pair *p)
{
    tls_peer_handshake(&p->client);
    for (int i = 0; i < 20 && !(p->server_done && p->client_done); i++) {
        int good = move_up(p);
        move_down(p);
        if (!good)
            return 0;
    }
    return p->server_done && p->client_done;
}

static void expect_fact(lmail_str fact, const char *text)
{
    ck_assert_msg(lmail_str_equal(fact, lmail_str_from(text)), "%.*s is not %s", (int)fact.len,
                  fact.ptr, text);
}

static lmail_tls_facts facts_of(pair *p)
{
    lmail_tls_facts facts = LMAIL_TLS_FACTS_INIT;
    lmi_tls_facts(p->server, &facts);
    return facts;
}

/* ---- Cases ----------------------------------------------------------------------------------- */

static const size_t STEPS[] = {1, 7, 1000, 1 << 20};

START_TEST(test_shakes_hands_at_any_split)
{
    static pair p;
    lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
    lmail_tls *tls = make_tls(&config);
    for (int tls12 = 0; tls12 < 2; tls12++) {
        tls_peer_options o = {.server_name = "mx.example.test", .ca = mx.cert, .max_tls12 = tls12};
        pair_init(&p, tls, &o, STEPS[_i]);
        ck_assert(shake(&p));
        lmail_tls_facts facts = facts_of(&p);
        expect_fact(facts.version, tls12 ? "TLSv1.2" : "TLSv1.3");
        /* Under TLS 1.3 mbedTLS takes the client's order of suites. */
        static const char *const prefix[] = {"TLS1-3-", "TLS-ECDHE-ECDSA-WITH-"};
        ck_assert(!strncmp(facts.cipher.ptr, prefix[tls12], strlen(prefix[tls12])));
        expect_fact(facts.server_name, "mx.example.test");
        ck_assert_uint_eq(facts.bits, 256);
        ck_assert_uint_eq(facts.peer_verified, 0);
        tls_peer_write(&p.client, "NOOP\r\n", 6);
        ck_assert(move_up(&p));
        ck_assert_uint_eq(p.got_len, 6);
        ck_assert_mem_eq(p.got, "NOOP\r\n", 6);
        pair_done(&p);
    }
    lmail_tls_release(tls);
}
END_TEST

START_TEST(test_carries_much_both_ways)
{
    enum { N = 300000 };
    static pair p;
    static char sent[N], heard[N];
    lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
    lmail_tls *tls = make_tls(&config);
    tls_peer_options o = {.server_name = "mx.example.test"};
    pair_init(&p, tls, &o, 16384);
    ck_assert(shake(&p));
    for (size_t i = 0; i < N; i++)
        sent[i] = (char)(i * 2654435761u >> 11);
    ck_assert_int_eq(tls_peer_write(&p.client, sent, N), 0);
    ck_assert(move_up(&p));
    ck_assert_uint_eq(p.got_len, N);
    ck_assert_mem_eq(p.got, sent, N);

    size_t at = 0, heard_len = 0, used;
    while (at < N) {
        ck_assert_int_eq(lmi_tls_write(p.server, sent + at, N - at, &used), LMI_TLS_OK);
        ck_assert_uint_le(used, LMI_TLS_RECORD);
        at += used;
    }
    lmail_str waits = lmi_tls_peek(p.server);
    p.client.in = waits.ptr;
    p.client.in_len = waits.len;
    for (int n; (n = tls_peer_read(&p.client, heard + heard_len, N - heard_len)) > 0;)
        heard_len += (size_t)n;
    ck_assert_uint_eq(heard_len, N);
    ck_assert_mem_eq(heard, sent, N);
    lmi_tls_sent(p.server, waits.len);
    lmi_tls_rest(p.server);
    ck_assert_ptr_null(p.server->out);
    pair_done(&p);
    lmail_tls_release(tls);
}
END_TEST

START_TEST(test_a_server_name_chooses_the_certificate)
{
    static const struct {
        const char *name;
        int wild;
        const char *reason;
    } rows[] = {{"mx.example.test", 0, "named"},
                {"a.other.test", 1, "wildcard"},
                {"A.OTHER.TEST", 1, "case"},
                {"other.test", 0, "a wildcard does not cover its parent"},
                {"a.b.other.test", 0, "nor two labels"},
                {"unknown.test", 0, "the first serves the rest"},
                {NULL, 0, "no name at all"}};
    static pair p;
    lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
    lmail_tls *tls = make_tls(&config);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        tls_peer_options o = {.server_name = rows[i].name, .max_tls12 = i % 2 == 0};
        pair_init(&p, tls, &o, 1 << 20);
        ck_assert(shake(&p));
        const mbedtls_x509_crt *crt = mbedtls_ssl_get_peer_cert(&p.client.ssl);
        ck_assert_ptr_nonnull(crt);
        char subject[64];
        mbedtls_x509_dn_gets(subject, sizeof(subject), &crt->subject);
        ck_assert_msg(!strcmp(subject, rows[i].wild ? "CN=other" : "CN=mx.example.test"), "%s: %s",
                      rows[i].reason, subject);
        pair_done(&p);
    }
    lmail_tls_release(tls);
}
END_TEST

START_TEST(test_alpn_agrees_or_refuses)
{
    static const char *const server[] = {"imap"};
    static const char *const both[] = {"smtp", "imap", NULL}, *const wrong[] = {"http/1.1", NULL};
    static pair p;
    lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
    config.alpn = server;
    config.alpn_n = 1;
    lmail_tls *tls = make_tls(&config);
    tls_peer_options o = {.server_name = "mx.example.test", .alpn = both};
    pair_init(&p, tls, &o, 1 << 20);
    ck_assert(shake(&p));
    expect_fact(facts_of(&p).alpn, "imap");
    pair_done(&p);
    o.alpn = wrong;
    pair_init(&p, tls, &o, 1 << 20);
    ck_assert(!shake(&p));
    pair_done(&p);
    o.alpn = NULL;
    pair_init(&p, tls, &o, 1 << 20);
    ck_assert(shake(&p));
    expect_fact(facts_of(&p).alpn, "");
    pair_done(&p);
    lmail_tls_release(tls);
}
END_TEST

START_TEST(test_tickets_resume)
{
    static pair p;
    lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
    config.no_tickets = _i > 1;
    lmail_tls *tls = make_tls(&config);
    mbedtls_ssl_session session;
    mbedtls_ssl_session_init(&session);
    tls_peer_options o = {.server_name = "mx.example.test", .max_tls12 = _i % 2};
    pair_init(&p, tls, &o, 1 << 20);
    ck_assert(shake(&p));
    ck_assert_int_eq(p.server->resumed, 0);
    tls_peer_write(&p.client, "x", 1); /* takes the ticket in */
    int kept = mbedtls_ssl_get_session(&p.client.ssl, &session) == 0;
    ck_assert(kept || config.no_tickets);
    pair_done(&p);
    if (kept) {
        o.resume = &session;
        pair_init(&p, tls, &o, 1 << 20);
        ck_assert(shake(&p));
        ck_assert_int_eq(p.server->resumed, !config.no_tickets);
        expect_fact(facts_of(&p).server_name, "mx.example.test");
        pair_done(&p);
    }
    mbedtls_ssl_session_free(&session);
    lmail_tls_release(tls);
}
END_TEST

START_TEST(test_client_certificates_tell_who_it_is)
{
    static const struct {
        const tls_identity *shown;
        const tls_identity *trusted;
        lmail_tls_verify verify;
        int shakes;
        const char *name;
    } rows[] = {{&alice, &alice, LMAIL_TLS_VERIFY_OPTIONAL, 1, "alice@example.test"},
                {&alice, &alice, LMAIL_TLS_VERIFY_REQUIRED, 1, "alice@example.test"},
                {&nobody, &nobody, LMAIL_TLS_VERIFY_OPTIONAL, 1, "bob"},
                {&alice, &nobody, LMAIL_TLS_VERIFY_OPTIONAL, 1, ""},
                {&alice, &nobody, LMAIL_TLS_VERIFY_REQUIRED, 0, ""},
                {NULL, &alice, LMAIL_TLS_VERIFY_OPTIONAL, 1, ""},
                {NULL, &alice, LMAIL_TLS_VERIFY_REQUIRED, 0, ""}};
    static pair p;
    make_identities();
    for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(*rows); i++) {
        size_t row = i / 2;
        lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
        config.verify = rows[row].verify;
        config.client_ca = lmail_str_from(rows[row].trusted->cert);
        lmail_tls *tls = make_tls(&config);
        tls_peer_options o = {.server_name = "mx.example.test", .max_tls12 = i % 2};
        if (rows[row].shown) {
            o.cert = rows[row].shown->cert;
            o.key = rows[row].shown->key;
        }
        pair_init(&p, tls, &o, 1 << 20);
        ck_assert_msg(shake(&p) == rows[row].shakes, "row %zu", row);
        if (rows[row].shakes) {
            expect_fact(facts_of(&p).peer_name, rows[row].name);
            ck_assert_uint_eq(facts_of(&p).peer_verified, rows[row].name[0] != 0);
        }
        pair_done(&p);
        lmail_tls_release(tls);
    }
}
END_TEST

START_TEST(test_names_of_a_certificate_are_lines_of_a_map)
{
    static const struct {
        const char *subject; /* behind "CN=" */
        const char *common_name, *line;
    } rows[] = {
        {"alice", "alice", "/CN=alice"},
        {"Darth Mail (Cert)", "Darth+20Mail+20+28Cert+29", "/CN=Darth+20Mail+20+28Cert+29"},
        {"a/O=b", "a/O=b", "/CN=a\\/O=b"},
        {"jos\xc3\xa9", "jos+C3+A9", "/CN=jos+C3+A9"},
        {"x,O=One\\+Two,C=MX", "x", "/CN=x/O=One+2BTwo/C=MX"},
        {"ann,emailAddress=ann@example.org", "ann", "/CN=ann/emailAddress=ann@example.org"}};
    static pair p;
    static tls_identity shown;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        ck_assert_int_eq(tls_identity_make(&shown, rows[i].subject, NULL, "m@example.org"), 0);
        lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
        config.verify = LMAIL_TLS_VERIFY_OPTIONAL;
        config.client_ca = lmail_str_from(shown.cert);
        lmail_tls *tls = make_tls(&config);
        tls_peer_options o = {
            .server_name = "mx.example.test", .cert = shown.cert, .key = shown.key};
        pair_init(&p, tls, &o, 1 << 20);
        ck_assert(shake(&p));
        expect_fact(facts_of(&p).peer_name, "m@example.org");
        expect_fact(facts_of(&p).peer_common_name, rows[i].common_name);
        expect_fact(facts_of(&p).peer_subject, rows[i].line);
        expect_fact(facts_of(&p).peer_issuer, rows[i].line);
        pair_done(&p);
        lmail_tls_release(tls);
    }
}
END_TEST

START_TEST(test_the_binding_is_the_same_at_both_ends)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    static pair p;
    unsigned char here[32], there[32];
    lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
    lmail_tls *tls = make_tls(&config);
    tls_peer_options o = {.server_name = "mx.example.test"};
    pair_init(&p, tls, &o, 1 << 20);
    ck_assert(shake(&p));
    ck_assert_int_eq(lmi_tls_binding(p.server, here), LMAIL_OK);
    ck_assert_int_eq(mbedtls_ssl_export_keying_material(&p.client.ssl, there, 32, label,
                                                        sizeof(label) - 1, NULL, 0, 0),
                     0);
    ck_assert_mem_eq(here, there, 32);
    pair_done(&p);
    o.max_tls12 = 1;
    pair_init(&p, tls, &o, 1 << 20);
    ck_assert(shake(&p));
    ck_assert_int_eq(lmi_tls_binding(p.server, here), LMAIL_ERR_UNSUPPORTED);
    pair_done(&p);
    lmail_tls_release(tls);
}
END_TEST

START_TEST(test_close_notify_is_the_end)
{
    static pair p;
    lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
    lmail_tls *tls = make_tls(&config);
    tls_peer_options o = {.server_name = "mx.example.test", .max_tls12 = _i};
    pair_init(&p, tls, &o, 1 << 20);
    ck_assert(shake(&p));
    tls_peer_write(&p.client, "last", 4);
    mbedtls_ssl_close_notify(&p.client.ssl);
    ck_assert(!move_up(&p));
    ck_assert_int_eq(p.last, LMI_TLS_END);
    ck_assert_uint_eq(p.got_len, 4);
    lmi_tls_close_notify(p.server);
    ck_assert_uint_gt(lmi_tls_peek(p.server).len, 0);
    pair_done(&p);
    lmail_tls_release(tls);
}
END_TEST

START_TEST(test_garbage_fails_and_nothing_else)
{
    static const char *const texts[] = {"EHLO client.example\r\n", "\x16\x03\x01\x00\x05hello",
                                        "\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10",
                                        "\x17\x03\x03\xff\xff"};
    static pair p;
    lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
    lmail_tls *tls = make_tls(&config);
    tls_peer_options o = {.server_name = "mx.example.test"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        pair_init(&p, tls, &o, 1);
        char text[64] = {0};
        size_t len = i == 2 ? 11 : i == 1 ? 10 : strlen(texts[i]);
        memcpy(text, texts[i], len);
        int good = 1;
        for (size_t at = 0; good && at < sizeof(text); at++)
            good = to_server(&p, text + at, 1);
        ck_assert(!good);
        ck_assert_int_eq(p.last, LMI_TLS_FAIL);
        ck_assert_int_eq(lmi_tls_handshake(p.server), LMI_TLS_FAIL);
        pair_done(&p);
    }
    lmail_tls_release(tls);
}
END_TEST

START_TEST(test_a_flipped_octet_never_passes)
{
    static pair p;
    lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
    lmail_tls *tls = make_tls(&config);
    tls_peer_options o = {.server_name = "mx.example.test", .max_tls12 = _i};
    /* In the ClientHello, in the client's last flight, and in a record. */
    for (int where = 0; where < 3; where++) {
        for (size_t at = 0; at < 400; at += 37) {
            pair_init(&p, tls, &o, 1 << 20);
            tls_peer_handshake(&p.client);
            for (int flight = 0; flight < where && !(p.server_done && p.client_done); flight++) {
                move_up(&p);
                move_down(&p);
            }
            if (where == 2) {
                shake(&p);
                tls_peer_write(&p.client, "secret", 6);
            }
            if (p.client.out_len > at)
                p.client.out[at] ^= 0x20;
            move_up(&p);
            if (where == 2 && at < 20)
                ck_assert_uint_eq(p.got_len, 0);
            pair_done(&p);
        }
    }
    lmail_tls_release(tls);
}
END_TEST

START_TEST(test_old_versions_are_refused)
{
    static pair p;
    lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
    config.tls13_only = 1;
    lmail_tls *tls = make_tls(&config);
    tls_peer_options o = {.server_name = "mx.example.test", .max_tls12 = 1};
    pair_init(&p, tls, &o, 1 << 20);
    ck_assert(!shake(&p));
    ck_assert_uint_eq(p.server_done, 0);
    pair_done(&p);
    lmail_tls_release(tls);
}
END_TEST

START_TEST(test_bad_certificates_are_named)
{
    make_identities();
    const struct {
        const char *cert, *key;
        const char *says;
    } rows[] = {
        {mx.cert, alice.key, "does not fit"},
        {"", mx.key, "certificate 1"},
        {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", mx.key, "certificate 1"},
        {mx.cert, "no key", "key of certificate 1"},
        {mx.cert, "", "key of certificate 1"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
        lmail_tls_cert cert = {lmail_str_from(rows[i].cert), lmail_str_from(rows[i].key)};
        lmail_tls *tls;
        char error[256] = "";
        config.certs = &cert;
        config.certs_n = 1;
        ck_assert_int_eq(lmail_tls_new(&tls, &config, error, sizeof(error)), LMAIL_ERR_ARG);
        ck_assert_msg(strstr(error, rows[i].says) != NULL, "%s", error);
    }
    lmail_tls_config none = LMAIL_TLS_CONFIG_INIT;
    lmail_tls *tls;
    ck_assert_int_eq(lmail_tls_new(&tls, &none, NULL, 0), LMAIL_ERR_ARG);
    none.size = 4096;
    ck_assert_int_eq(lmail_tls_new(&tls, &none, NULL, 0), LMAIL_ERR_SIZE);
}
END_TEST

/* ---- The certificate of a first start -------------------------------------------------------- */

typedef struct first_start {
    char cert[128], key[128];
    lmail_status st;
} first_start;

static void *make_self_signed(void *arg)
{
    first_start *f = arg;
    f->st = lmail_tls_self_signed(f->cert, f->key, "mail.example.test", NULL, 0);
    return NULL;
}

static char *read_file(const char *path)
{
    char *text = calloc(1, 8192);
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_gt(fread(text, 1, 8191, f), 0);
    fclose(f);
    return text;
}

START_TEST(test_programs_that_start_together_make_one_certificate)
{
    enum { N = 6 };
    static first_start starts[N];
    pthread_t threads[N];
    char dir[] = "/tmp/lmail_tls_XXXXXX", error[256] = "";
    struct stat st;
    int made = 0;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    for (int i = 0; i < N; i++) {
        snprintf(starts[i].cert, sizeof(starts[i].cert), "%s/cert.pem", dir);
        snprintf(starts[i].key, sizeof(starts[i].key), "%s/key.pem", dir);
        pthread_create(&threads[i], NULL, make_self_signed, &starts[i]);
    }
    for (int i = 0; i < N; i++) {
        pthread_join(threads[i], NULL);
        ck_assert(starts[i].st == LMAIL_OK || starts[i].st == LMAIL_ERR_EXISTS);
        made += starts[i].st == LMAIL_OK;
    }
    ck_assert_int_eq(made, 1);
    ck_assert_int_eq(stat(starts[0].key, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);

    /* It serves, and a client that trusts it is content with the name. */
    static pair p;
    char *cert = read_file(starts[0].cert), *key = read_file(starts[0].key);
    lmail_tls_cert own = {lmail_str_from(cert), lmail_str_from(key)};
    lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
    config.certs = &own;
    config.certs_n = 1;
    lmail_tls *tls;
    ck_assert_msg(!lmail_tls_new(&tls, &config, error, sizeof(error)), "%s", error);
    tls_peer_options o = {.server_name = "mail.example.test", .ca = cert};
    pair_init(&p, tls, &o, 1 << 20);
    ck_assert(shake(&p));
    pair_done(&p);
    lmail_tls_release(tls);

    /* A key that stands alone gets its certificate; a certificate alone is a mistake. */
    unlink(starts[0].cert);
    make_self_signed(&starts[0]);
    ck_assert_int_eq(starts[0].st, LMAIL_OK);
    char *same_key = read_file(starts[0].key);
    ck_assert_str_eq(same_key, key);
    unlink(starts[0].key);
    ck_assert_int_eq(
        lmail_tls_self_signed(starts[0].cert, starts[0].key, "a.test", error, sizeof(error)),
        LMAIL_ERR_ARG);
    unlink(starts[0].cert);
    ck_assert_int_eq(
        lmail_tls_self_signed(starts[0].cert, starts[0].key, "a b", error, sizeof(error)),
        LMAIL_ERR_ARG);
    ck_assert_int_eq(
        lmail_tls_self_signed("/nowhere/at/all", "/nowhere/at/all", "a", error, sizeof(error)),
        LMAIL_ERR_IO);
    ck_assert_int_eq(rmdir(dir), 0);
    free(cert);
    free(key);
    free(same_key);
}
END_TEST

START_TEST(test_wildcards_cover_one_label)
{
    static const struct {
        const char *pattern, *host;
        int covers;
    } rows[] = {{"a.test", "a.test", 1},
                {"a.test", "A.TEST.", 1},
                {"*.a.test", "b.a.test", 1},
                {"*.a.test", "a.test", 0},
                {"*.a.test", ".a.test", 0},
                {"*.a.test", "c.b.a.test", 0},
                {"*", "a", 0},
                {"*.", "a.", 0},
                {"", "", 0},
                {"b*.a.test", "bc.a.test", 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        ck_assert_msg(lmi_mbed_name_covers(lmail_str_from(rows[i].pattern),
                                           lmail_str_from(rows[i].host)) == rows[i].covers,
                      "%s %s", rows[i].pattern, rows[i].host);
}
END_TEST

Suite *net_tls_suite(void)
{
    Suite *s = suite_create("net_tls");
    TCase *t = tcase_create("tls");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_shakes_hands_at_any_split, 0, 4);
    tcase_add_test(t, test_carries_much_both_ways);
    tcase_add_test(t, test_a_server_name_chooses_the_certificate);
    tcase_add_test(t, test_alpn_agrees_or_refuses);
    tcase_add_loop_test(t, test_tickets_resume, 0, 4);
    tcase_add_test(t, test_client_certificates_tell_who_it_is);
    tcase_add_test(t, test_names_of_a_certificate_are_lines_of_a_map);
    tcase_add_test(t, test_the_binding_is_the_same_at_both_ends);
    tcase_add_loop_test(t, test_close_notify_is_the_end, 0, 2);
    tcase_add_test(t, test_garbage_fails_and_nothing_else);
    tcase_add_loop_test(t, test_a_flipped_octet_never_passes, 0, 2);
    tcase_add_test(t, test_old_versions_are_refused);
    tcase_add_test(t, test_bad_certificates_are_named);
    tcase_add_test(t, test_programs_that_start_together_make_one_certificate);
    tcase_add_test(t, test_wildcards_cover_one_label);
    suite_add_tcase(s, t);
    return s;
}
