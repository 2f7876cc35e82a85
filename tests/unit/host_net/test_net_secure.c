/* Connections over loopback sockets under TLS. */
#include "host_loopback.h"
#include "host_tls_peer.h"

#include <arpa/inet.h>
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const ALPN[] = {"imap"};

static lmail_tls *make_tls(void)
{
    static tls_identity id;
    lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
    lmail_tls *tls;
    char error[256] = "";
    if (!id.cert[0])
        ck_assert_int_eq(tls_identity_make(&id, "mx.test", "mx.test", NULL), 0);
    lmail_tls_cert cert = {lmail_str_from(id.cert), lmail_str_from(id.key)};
    config.certs = &cert;
    config.certs_n = 1;
    config.alpn = ALPN;
    config.alpn_n = 1;
    ck_assert_msg(!lmail_tls_new(&tls, &config, error, sizeof(error)), "%s", error);
    return tls;
}

static void start_secure(server *sv, int implicit, const char *proxy_from)
{
    lmail_net_config net = LMAIL_NET_CONFIG_INIT;
    lmail_listener_config listen = listener_config(sv);
    net.loops = 2;
    net.max_per_address = 5000;
    listen.tls = make_tls();
    listen.implicit_tls = (unsigned)implicit;
    listen.handshake_timeout = 2000;
    listen.proxy_from = proxy_from;
    start_with(sv, &net, &listen);
    lmail_tls_release(listen.tls); /* the listener has its own */
}

/* ---- A client -------------------------------------------------------------------------------- */

typedef struct client {
    int fd;
    tls_peer tls;
    char raw[20000], line[1024];
} client;

static void flush(client *c)
{
    size_t at = 0;
    while (at < c->tls.out_len) {
        ssize_t n = send(c->fd, c->tls.out + at, c->tls.out_len - at, MSG_NOSIGNAL);
        ck_assert_int_gt(n, 0);
        at += (size_t)n;
    }
    c->tls.out_len = 0;
}

/* 0: the stream has ended. */
static int receive(client *c)
{
    ssize_t n = recv(c->fd, c->raw, sizeof(c->raw), 0);
    c->tls.in = c->raw;
    c->tls.in_len = n > 0 ? (size_t)n : 0;
    return n > 0;
}

static int secure(client *c, int tls12)
{
    tls_peer_options o = {.server_name = "mx.test", .max_tls12 = tls12};
    ck_assert_int_eq(tls_peer_init(&c->tls, &o), 0);
    int rc;
    while ((rc = tls_peer_handshake(&c->tls)) == 1) {
        flush(c);
        if (!receive(c))
            return 0;
    }
    if (rc == 0)
        flush(c);
    return rc == 0;
}

static void part(client *c)
{
    tls_peer_done(&c->tls);
    close(c->fd);
}

static void tell(client *c, const char *text)
{
    ck_assert_int_eq(tls_peer_write(&c->tls, text, strlen(text)), 0);
    flush(c);
}

static int next_octets(client *c, char *out, size_t cap)
{
    int n;
    while ((n = tls_peer_read(&c->tls, out, cap)) == 0)
        if (!receive(c))
            return 0;
    return n;
}

static void expect_secure(client *c, const char *line)
{
    size_t n = 0;
    while (n < sizeof(c->line) - 1 && (n == 0 || c->line[n - 1] != '\n') &&
           next_octets(c, c->line + n, 1) == 1)
        n++;
    c->line[n] = 0;
    ck_assert_str_eq(c->line, line);
}

/* ---- Cases ----------------------------------------------------------------------------------- */

START_TEST(test_implicit_tls)
{
    server sv = {0};
    static client c;
    start_secure(&sv, 1, NULL);
    c.fd = dial(sv.port);
    ck_assert(secure(&c, _i));
    expect_secure(&c, "220 echo\r\n");
    tell(&c, "tls\r\necho a\r\n");
    expect_secure(&c, _i ? "TLSv1.2//mx.test/\r\n" : "TLSv1.3//mx.test/\r\n");
    expect_secure(&c, "a\r\n");
    tell(&c, "quit\r\n");
    expect_secure(&c, "bye\r\n");
    char end;
    int last = next_octets(&c, &end, 1);
    ck_assert_int_eq(last, MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY); /* whole, not cut off */
    part(&c);
    ck_assert_uint_eq(stats_of(&sv).handshakes, 1);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_starttls)
{
    server sv = {0};
    static client c;
    start_secure(&sv, 0, NULL);
    c.fd = dial(sv.port);
    expect(c.fd, "220 echo\r\n");
    say(c.fd, "tls\r\nstarttls\r\n");
    expect(c.fd, "none\r\n");
    expect(c.fd, "go\r\n");
    ck_assert(secure(&c, _i));
    tell(&c, "tls\r\n");
    expect_secure(&c, _i ? "TLSv1.2//mx.test/\r\n" : "TLSv1.3//mx.test/\r\n");
    part(&c);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_plaintext_behind_starttls_ends_the_connection)
{
    server sv = {0};
    start_secure(&sv, 0, NULL);
    int fd = dial(sv.port);
    expect(fd, "220 echo\r\n");
    say(fd, "starttls\r\necho injected\r\n");
    expect(fd, "go\r\n");
    expect(fd, "");
    close(fd);
    await(&sv.closed, 1);
    ck_assert_uint_eq(stats_of(&sv).handshakes, 0);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_starttls_without_a_certificate_ends_the_connection)
{
    server sv = {0};
    start_server(&sv);
    int fd = dial(sv.port);
    expect(fd, "220 echo\r\n");
    say(fd, "starttls\r\n");
    expect(fd, "go\r\n");
    expect(fd, "");
    close(fd);
    await(&sv.closed, 1);
    ck_assert_uint_eq(sv.last_reason, LMAIL_CLOSE_TLS);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_much_goes_both_ways_under_tls)
{
    enum { N = 2000000 };
    server sv = {0};
    static client c;
    char text[64], *octets = malloc(N);
    start_secure(&sv, 1, NULL);
    sv.answering = FROM_WORKER;
    c.fd = dial(sv.port);
    ck_assert(secure(&c, 0));
    expect_secure(&c, "220 echo\r\n");
    snprintf(text, sizeof(text), "big %d\r\n", N);
    tell(&c, text);
    size_t n = 0;
    while (n < N + 2) {
        int got = next_octets(&c, octets, N < 16384 ? N : 16384);
        ck_assert_int_gt(got, 0);
        n += (size_t)got;
    }
    ck_assert_uint_eq(n, N + 2);
    for (size_t i = 0; i < N; i++)
        octets[i] = (char)(i * 2654435761u >> 13);
    snprintf(text, sizeof(text), "hold %d\r\n", N);
    tell(&c, text);
    for (size_t at = 0; at < N; at += 100000) {
        ck_assert_int_eq(tls_peer_write(&c.tls, octets + at, 100000), 0);
        flush(&c);
    }
    snprintf(text, sizeof(text), "held %u\r\n", checksum(octets, N));
    expect_secure(&c, text);
    part(&c);
    free(octets);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

static void *one_of_a_crowd(void *arg)
{
    server *sv = arg;
    client *c = calloc(1, sizeof(*c));
    for (int i = 0; i < 10; i++) {
        c->fd = dial(sv->port);
        ck_assert(secure(c, i % 2));
        expect_secure(c, "220 echo\r\n");
        tell(c, "echo me\r\n");
        expect_secure(c, "me\r\n");
        part(c);
    }
    free(c);
    return NULL;
}

START_TEST(test_a_crowd_shakes_hands)
{
    enum { N = 16 };
    server sv = {0};
    pthread_t threads[N];
    start_secure(&sv, 1, NULL);
    for (int i = 0; i < N; i++)
        pthread_create(&threads[i], NULL, one_of_a_crowd, &sv);
    for (int i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    await(&sv.closed, N * 10);
    ck_assert_uint_eq(stats_of(&sv).handshakes, N * 10);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

/* Many ClientHellos are there at once, and half of the clients are gone before the answer. */
START_TEST(test_peers_vanish_mid_handshake)
{
    enum { N = 60 };
    server sv = {0};
    int fds[N];
    static client c;
    tls_peer hello;
    tls_peer_options o = {.server_name = "mx.test"};
    start_secure(&sv, 1, NULL);
    ck_assert_int_eq(tls_peer_init(&hello, &o), 0);
    tls_peer_handshake(&hello);
    for (int i = 0; i < N; i++)
        fds[i] = dial(sv.port);
    for (int i = 0; i < N; i++) {
        size_t n = i % 3 ? hello.out_len : hello.out_len / 2;
        ck_assert_int_eq(send(fds[i], hello.out, n, MSG_NOSIGNAL), (ssize_t)n);
    }
    for (int i = 0; i < N; i += 2)
        close(fds[i]);
    c.fd = dial(sv.port);
    ck_assert(secure(&c, 0));
    expect_secure(&c, "220 echo\r\n");
    part(&c);
    await(&sv.closed, N + 1); /* those who stay silent are cut off in time */
    for (int i = 1; i < N; i += 2)
        close(fds[i]);
    tls_peer_done(&hello);
    ck_assert_uint_ge(stats_of(&sv).handshake_errors, N / 2);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_no_tls_on_a_tls_port)
{
    server sv = {0};
    start_secure(&sv, 1, NULL);
    int fd = dial(sv.port);
    say(fd, "EHLO client.test\r\n");
    char octets[64];
    ssize_t n = recv(fd, octets, sizeof(octets), 0);
    ck_assert(n <= 0 || octets[0] == 21); /* at most an alert; nothing of our protocol */
    close(fd);
    await(&sv.closed, 1);
    ck_assert_uint_eq(sv.last_reason, LMAIL_CLOSE_TLS);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_tls_behind_a_proxy_header)
{
    server sv = {0};
    static client c;
    tls_peer_options o = {.server_name = "mx.test"};
    start_secure(&sv, 1, "127.0.0.1");
    c.fd = dial(sv.port);
    /* Header and ClientHello in one segment. */
    static const char header[] = "PROXY TCP4 192.0.2.7 192.0.2.8 4000 993\r\n";
    char both[4096];
    ck_assert_int_eq(tls_peer_init(&c.tls, &o), 0);
    tls_peer_handshake(&c.tls);
    size_t n = sizeof(header) - 1;
    memcpy(both, header, n);
    memcpy(both + n, c.tls.out, c.tls.out_len);
    n += c.tls.out_len;
    c.tls.out_len = 0;
    ck_assert_int_eq(send(c.fd, both, n, MSG_NOSIGNAL), (ssize_t)n);
    int rc = 1;
    while (rc == 1 && receive(&c)) {
        rc = tls_peer_handshake(&c.tls);
        flush(&c);
    }
    ck_assert_int_eq(rc, 0);
    expect_secure(&c, "220 echo\r\n");
    part(&c);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_stop_during_a_handshake)
{
    server sv = {0};
    start_secure(&sv, 1, NULL);
    int silent = dial(sv.port);
    static client c;
    c.fd = dial(sv.port);
    ck_assert(secure(&c, 0));
    expect_secure(&c, "220 echo\r\n");
    lmail_net_stop(sv.net, LMAIL_NET_GRACE);
    expect_secure(&c, "421 stop\r\n");
    part(&c);
    stop_server(&sv, LMAIL_NET_GRACE);
    close(silent);
}
END_TEST

Suite *net_secure_suite(void)
{
    Suite *s = suite_create("net_secure");
    TCase *t = tcase_create("secure");
    tcase_set_timeout(t, 60);
    signal(SIGPIPE, SIG_IGN);
    tcase_add_loop_test(t, test_implicit_tls, 0, 2);
    tcase_add_loop_test(t, test_starttls, 0, 2);
    tcase_add_test(t, test_plaintext_behind_starttls_ends_the_connection);
    tcase_add_test(t, test_starttls_without_a_certificate_ends_the_connection);
    tcase_add_test(t, test_much_goes_both_ways_under_tls);
    tcase_add_test(t, test_a_crowd_shakes_hands);
    tcase_add_test(t, test_peers_vanish_mid_handshake);
    tcase_add_test(t, test_no_tls_on_a_tls_port);
    tcase_add_test(t, test_tls_behind_a_proxy_header);
    tcase_add_test(t, test_stop_during_a_handshake);
    suite_add_tcase(s, t);
    return s;
}
