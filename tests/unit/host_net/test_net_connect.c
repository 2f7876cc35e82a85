/* Connections that we make, over loopback sockets, to the echo session and to peers that misbehave. */
#include "host_caller.h"
#include "host_tls_peer.h"

#include "host/net/net_mbedtls.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

Suite *net_connect_suite(void);

/* ---- Peers ----------------------------------------------------------------------------------- */

static int bound(unsigned *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

/* Its queue is full: the kernel drops what else comes. */
typedef struct hole {
    int fd, fillers[4];
    unsigned port;
} hole;

static void hole_open(hole *h)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    h->fd = bound(&h->port);
    ck_assert_int_eq(listen(h->fd, 0), 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)h->port);
    for (int i = 0; i < 4; i++) {
        h->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(h->fillers[i], (struct sockaddr *)&to, sizeof(to));
    }
    nap(50);
}

static void hole_close(hole *h)
{
    for (int i = 0; i < 4; i++)
        close(h->fillers[i]);
    close(h->fd);
}

static void expect_end(caller *c, lmail_close_reason reason, const char *fault)
{
    caller_await(c);
    ck_assert_int_eq(c->status, LMAIL_OK);
    ck_assert_str_eq(lmail_close_reason_name(c->reason), lmail_close_reason_name(reason));
    ck_assert_str_eq(c->fault, fault);
}

/* ---- In clear -------------------------------------------------------------------------------- */

START_TEST(test_speaks_and_parts)
{
    server sv = {0};
    static caller c;
    start_server(&sv);
    caller_init(&c, &sv, "127.0.0.1", sv.port);
    c.says[0] = "echo one";
    c.says[1] = "quit";
    c.says[2] = "!close";
    caller_call(&c);
    expect_end(&c, LMAIL_CLOSE_SESSION, "");
    ck_assert_str_eq(c.heard, "220 echo\none\nbye\n");
    ck_assert_str_eq(c.peer, "127.0.0.1");
    ck_assert_int_eq(c.peer_status, LMAIL_ERR_STATE);
    await(&sv.closed, 1);
    ck_assert_uint_eq(stats_of(&sv).outgoing, 0);
    ck_assert_uint_eq(stats_of(&sv).accepted, 1);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_comes_from_the_source_address)
{
    server sv = {0};
    static caller c;
    start_server(&sv);
    caller_init(&c, &sv, "127.0.0.1", sv.port);
    strcpy(c.source, "127.0.0.2");
    c.says[0] = "!close";
    caller_call(&c);
    expect_end(&c, LMAIL_CLOSE_SESSION, "");
    ck_assert_str_eq(c.local, "127.0.0.2");
    caller_init(&c, &sv, "127.0.0.1", sv.port);
    strcpy(c.source, "192.0.2.99");
    caller_call(&c);
    expect_end(&c, LMAIL_CLOSE_UNREACHABLE, "address not available");
    ck_assert_int_eq(c.had_session, 0);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_a_unix_socket)
{
    server sv = {0};
    static caller c;
    char dir[] = "/tmp/connectXXXXXX", path[64];
    lmail_net_config net = LMAIL_NET_CONFIG_INIT;
    lmail_listener_config listen = listener_config(&sv);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "unix:%s/s", dir);
    listen.address = path;
    start_with(&sv, &net, &listen);
    caller_init(&c, &sv, path, 0);
    c.says[0] = "echo here";
    c.says[1] = "!close";
    caller_call(&c);
    expect_end(&c, LMAIL_CLOSE_SESSION, "");
    ck_assert_str_eq(c.heard, "220 echo\nhere\n");
    snprintf(path, sizeof(path), "unix:%s/none", dir);
    caller_init(&c, &sv, path, 0);
    caller_call(&c);
    expect_end(&c, LMAIL_CLOSE_REFUSED, "no such file or directory");
    stop_server(&sv, LMAIL_NET_GRACE);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(test_refused)
{
    server sv = {0};
    static caller c;
    unsigned port;
    close(bound(&port));
    start_server(&sv);
    caller_init(&c, &sv, "127.0.0.1", port);
    caller_call(&c);
    expect_end(&c, LMAIL_CLOSE_REFUSED, "connection refused");
    ck_assert_int_eq(c.had_session, 0);
    ck_assert_uint_eq(c.connected, 0);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_nobody_answers)
{
    server sv = {0};
    static caller c;
    hole h;
    hole_open(&h);
    start_server(&sv);
    caller_init(&c, &sv, "127.0.0.1", h.port);
    c.config.connect_timeout = 150;
    caller_call(&c);
    expect_end(&c, LMAIL_CLOSE_NO_ANSWER, "no answer");
    ck_assert_int_eq(c.had_session, 0);
    stop_server(&sv, LMAIL_NET_GRACE);
    hole_close(&h);
}
END_TEST

START_TEST(test_cancelled_and_stopped_while_connecting)
{
    server sv = {0};
    static caller c, d;
    hole h;
    hole_open(&h);
    start_server(&sv);
    caller_init(&c, &sv, "127.0.0.1", h.port);
    caller_call(&c);
    caller_close(&c);
    expect_end(&c, LMAIL_CLOSE_HOST, "");
    caller_init(&d, &sv, "127.0.0.1", h.port);
    caller_call(&d);
    nap(20);
    stop_server(&sv, LMAIL_NET_GRACE);
    expect_end(&d, LMAIL_CLOSE_STOP, "");
    ck_assert_int_eq(d.had_session, 0);
    hole_close(&h);
}
END_TEST

/* The session has its say; the peer then parts by itself. */
START_TEST(test_stop_tells_the_session)
{
    server sv = {0};
    static caller c;
    unsigned port;
    int listening = bound(&port);
    ck_assert_int_eq(listen(listening, 5), 0);
    start_server(&sv);
    caller_init(&c, &sv, "127.0.0.1", port);
    caller_call(&c);
    int fd = accept(listening, NULL, NULL);
    await(&c.connected, 1);
    lmail_net_stop(sv.net, LMAIL_NET_GRACE);
    expect(fd, "quit\r\n");
    expect(fd, "");
    close(fd);
    stop_server(&sv, LMAIL_NET_GRACE);
    expect_end(&c, LMAIL_CLOSE_SESSION, "");
    close(listening);
}
END_TEST

START_TEST(test_a_peer_that_never_reads_is_cut_off)
{
    server sv = {0};
    static caller c;
    unsigned port;
    int listening = bound(&port);
    ck_assert_int_eq(listen(listening, 5), 0);
    start_server(&sv);
    caller_init(&c, &sv, "127.0.0.1", port);
    c.config.write_timeout = 200;
    c.says[0] = "!flood";
    caller_call(&c);
    int fd = accept(listening, NULL, NULL);
    say(fd, "220 here\r\n");
    expect_end(&c, LMAIL_CLOSE_TIMEOUT, "");
    ck_assert_int_eq(c.had_session, 1);
    close(fd);
    close(listening);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_a_peer_that_leaves_or_resets)
{
    server sv = {0};
    static caller c;
    unsigned port;
    struct linger hard = {1, 0};
    int listening = bound(&port);
    ck_assert_int_eq(listen(listening, 5), 0);
    start_server(&sv);
    caller_init(&c, &sv, "127.0.0.1", port);
    caller_call(&c);
    int fd = accept(listening, NULL, NULL);
    await(&c.connected, 1);
    if (_i)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(fd);
    expect_end(&c, _i ? LMAIL_CLOSE_ERROR : LMAIL_CLOSE_PEER, _i ? "connection reset by peer" : "");
    close(listening);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_what_cannot_be_is_refused_at_once)
{
    static const struct {
        const char *address, *source;
        unsigned port;
    } rows[] = {{"mx.example", "", 25},   {"", "", 25},
                {"127.0.0.1", "", 0},     {"127.0.0.1", "", 65536},
                {"127.0.0.1", "::1", 25}, {"127.0.0.1", "host", 25},
                {"127.0.0.1:25", "", 25}, {"[::1]", "", 25},
                {"unix:", "", 25}};
    server sv = {0};
    static caller c;
    lmail_conn *conn;
    start_server(&sv);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        caller_init(&c, &sv, rows[i].address, rows[i].port);
        strcpy(c.source, rows[i].source);
        caller_call(&c);
        caller_await(&c);
        ck_assert_msg(c.status == LMAIL_ERR_ARG, "%s: %d", rows[i].address, c.status);
        ck_assert_str_ne(c.fault, "");
    }
    char too_long[128];
    memset(too_long, 'a', sizeof(too_long));
    memcpy(too_long, "unix:", 5);
    too_long[127] = 0;
    caller_init(&c, &sv, too_long, 0);
    caller_call(&c);
    caller_await(&c);
    ck_assert_int_eq(c.status, LMAIL_ERR_ARG);
    stop_server(&sv, LMAIL_NET_GRACE);

    lmail_net_config config = LMAIL_NET_CONFIG_INIT;
    lmail_net *net;
    ck_assert_int_eq(lmail_net_new(&net, &config, NULL, 0), LMAIL_OK);
    caller_init(&c, &sv, "127.0.0.1", 25);
    c.config.address = LMAIL_STR("127.0.0.1");
    ck_assert_int_eq(lmail_conn_connect(&conn, lmail_net_loop(net, 0), &c.config, NULL, 0),
                     LMAIL_ERR_STATE);
    lmail_net_free(net);
}
END_TEST

/* ---- TLS ------------------------------------------------------------------------------------- */

static tls_identity mx, old, young, by_ip, wild, alice, user;

static void stamp(char out[16], int days)
{
    time_t at = time(NULL) + (time_t)days * 86400 - 60;
    struct tm tm;
    gmtime_r(&at, &tm);
    strftime(out, 16, "%Y%m%d%H%M%S", &tm);
}

static void make_identities(void)
{
    static const unsigned char loopback[] = {127, 0, 0, 1};
    char past[16], future[16];
    tls_identity_options o = {.name = "old", .host = "mx.test", .until = past};
    if (mx.cert[0])
        return;
    stamp(past, -3);
    stamp(future, 5);
    ck_assert_int_eq(tls_identity_make(&mx, "mx.test", "mx.test", NULL), 0);
    ck_assert_int_eq(tls_identity_make(&wild, "wild", "*.pool.test", NULL), 0);
    ck_assert_int_eq(tls_identity_make(&alice, "Alice", NULL, "alice@example.test"), 0);
    ck_assert_int_eq(tls_identity_make_with(&old, &o), 0);
    o = (tls_identity_options){.name = "young", .host = "mx.test", .since = future};
    ck_assert_int_eq(tls_identity_make_with(&young, &o), 0);
    o = (tls_identity_options){.name = "user", .host = "mx.test", .for_clients = 1};
    ck_assert_int_eq(tls_identity_make_with(&user, &o), 0);
    o = (tls_identity_options){.name = "by ip", .ip = loopback};
    ck_assert_int_eq(tls_identity_make_with(&by_ip, &o), 0);
}

static void start_secure(server *sv, const tls_identity *id, int implicit, const char *client_ca)
{
    lmail_net_config net = LMAIL_NET_CONFIG_INIT;
    lmail_listener_config listen = listener_config(sv);
    lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
    lmail_tls_cert cert = {lmail_str_from(id->cert), lmail_str_from(id->key)};
    config.certs = &cert;
    config.certs_n = 1;
    if (client_ca) {
        config.verify = LMAIL_TLS_VERIFY_REQUIRED;
        config.client_ca = lmail_str_from(client_ca);
    }
    ck_assert_int_eq(lmail_tls_new(&listen.tls, &config, NULL, 0), LMAIL_OK);
    listen.implicit_tls = (unsigned)implicit;
    net.loops = 2;
    start_with(sv, &net, &listen);
    lmail_tls_release(listen.tls);
}

static lmail_tls *client_tls(const char *ca, const tls_identity *own)
{
    lmail_tls_client_config config = LMAIL_TLS_CLIENT_CONFIG_INIT;
    lmail_tls_cert cert;
    lmail_tls *tls;
    char error[256] = "";
    if (own) {
        cert = (lmail_tls_cert){lmail_str_from(own->cert), lmail_str_from(own->key)};
        config.cert = &cert;
    }
    config.ca = lmail_str_from(ca);
    ck_assert_msg(!lmail_tls_new_client(&tls, &config, error, sizeof(error)), "%s", error);
    return tls;
}

static void call_secure(caller *c, server *sv, const char *ca, const tls_identity *own,
                        const char *name, int verify)
{
    caller_init(c, sv, "127.0.0.1", sv->port);
    c->config.tls = client_tls(ca, own);
    c->config.tls_name = lmail_str_from(name);
    c->config.tls_verify = (unsigned)verify;
    c->says[0] = "starttls";
    c->says[1] = "!tls";
    c->says[2] = "tls";
    c->says[3] = "quit";
    c->says[4] = "!close";
}

static void call_and_release(caller *c)
{
    caller_call(c);
    caller_await(c);
    lmail_tls_release(c->config.tls);
}

START_TEST(test_starttls_and_who_it_is)
{
    static const struct {
        const tls_identity *server;
        const char *name;
        int trusted;
        const char *fault; /* "": verified */
    } rows[] = {
        {&mx, "mx.test", 1, ""},
        {&mx, "MX.Test.", 1, ""},
        {&wild, "a.pool.test", 1, ""},
        {&by_ip, "127.0.0.1", 1, ""},
        {&mx, "other.test", 1, "name other.test does not match: the certificate is for mx.test"},
        {&wild, "a.b.pool.test", 1,
         "name a.b.pool.test does not match: the certificate is for *.pool.test"},
        {&wild, "pool.test", 1,
         "name pool.test does not match: the certificate is for *.pool.test"},
        {&by_ip, "127.0.0.2", 1, "name 127.0.0.2 does not match: the certificate names no host"},
        {&alice, "alice", 1, "name alice does not match: the certificate names no host"},
        {&mx, "", 1, "no name was given to look for in the certificate"},
        {&mx, "mx.test", 0, "certificate is signed by itself"},
        {&old, "mx.test", 1, "certificate expired 3 days ago"},
        {&young, "mx.test", 1, "certificate is not valid for another 4 days"},
    };
    static caller c;
    make_identities();
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *ca = rows[i].trusted ? rows[i].server->cert : mx.cert;
        server sv = {0};
        if (!rows[i].trusted)
            ca = wild.cert;
        start_secure(&sv, rows[i].server, 0, NULL);
        call_secure(&c, &sv, ca, NULL, rows[i].name, _i);
        call_and_release(&c);
        int good = !rows[i].fault[0];
        ck_assert_int_eq(c.peer_status, LMAIL_OK);
        ck_assert_msg(c.tls.shown == 1, "%zu: %d %s", i, c.reason, c.fault);
        ck_assert_uint_eq(c.tls.trusted && c.tls.name_matches, (unsigned)good);
        if (_i && !good) {
            ck_assert_int_eq(c.reason, LMAIL_CLOSE_TLS);
            ck_assert_str_eq(c.fault, rows[i].fault);
            ck_assert_str_eq(c.heard, "220 echo\ngo\n");
        } else {
            ck_assert_str_eq(c.fault, "");
            ck_assert_int_eq(c.reason, LMAIL_CLOSE_SESSION);
            ck_assert_str_eq(c.version, "TLSv1.3");
            ck_assert_uint_eq(c.verified, (unsigned)good);
            ck_assert_uint_eq(c.rejected, (unsigned)!good);
            ck_assert_uint_eq(c.peer_name[0] != 0, (unsigned)good);
        }
        stop_server(&sv, LMAIL_NET_GRACE);
    }
}
END_TEST

/* mbedTLS as a server would not show it. */
START_TEST(test_a_certificate_for_clients_is_no_servers)
{
    static const struct {
        const tls_identity *server;
        int good;
    } rows[] = {{&mx, 1}, {&user, 0}};
    make_identities();
    for (size_t i = 0; i < 2; i++) {
        lmail_tls *tls = client_tls(rows[i].server->cert, NULL);
        lmi_tls *filter;
        uint32_t flags = 0;
        mbedtls_x509_crt crt;
        lmail_tls_peer peer = LMAIL_TLS_PEER_INIT;
        mbedtls_x509_crt_init(&crt);
        ck_assert_int_eq(lmi_mbed_parse_chain(&crt, lmail_str_from(rows[i].server->cert)), 0);
        ck_assert_int_eq(lmi_tls_new_client(&filter, tls, "mx.test", 1), LMAIL_OK);
        mbedtls_ssl_context *ssl = &((mbed_filter *)filter)->ssl;
        int rc = ssl->MBEDTLS_PRIVATE(f_vrfy)(ssl->MBEDTLS_PRIVATE(p_vrfy), &crt, 0, &flags);
        ck_assert_int_eq(rc == 0, rows[i].good);
        lmi_tls_peer(filter, &peer);
        ck_assert_uint_eq(peer.trusted, (unsigned)rows[i].good);
        ck_assert(lmail_str_equal(peer.fault,
                                  rows[i].good ? LMAIL_STR("")
                                               : LMAIL_STR("certificate is not one for servers")));
        lmi_tls_free(filter);
        lmail_tls_release(tls);
        mbedtls_x509_crt_free(&crt);
    }
}
END_TEST

START_TEST(test_implicit_tls_with_a_certificate_of_ours)
{
    static caller c;
    server sv = {0};
    make_identities();
    start_secure(&sv, &mx, 1, alice.cert);
    call_secure(&c, &sv, mx.cert, &alice, "mx.test", 1);
    c.config.implicit_tls = 1;
    c.says[0] = "tls";
    c.says[1] = "!close";
    call_and_release(&c);
    ck_assert_str_eq(c.fault, "");
    ck_assert_str_eq(c.heard, "220 echo\nTLSv1.3//mx.test/alice@example.test\n");
    ck_assert_str_eq(c.peer_name, "mx.test");
    ck_assert_str_eq(c.subject, "/CN=mx.test");
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_the_server_wants_a_certificate_of_ours)
{
    static caller c;
    server sv = {0};
    make_identities();
    start_secure(&sv, &mx, 0, alice.cert);
    call_secure(&c, &sv, mx.cert, NULL, "mx.test", 1);
    call_and_release(&c);
    /* its alert, or the reset that comes behind it */
    ck_assert(c.reason == LMAIL_CLOSE_TLS || c.reason == LMAIL_CLOSE_ERROR);
    ck_assert_str_ne(c.fault, ""); /* mbedTLS as a server sends its alert under the wrong key */
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_a_peer_that_speaks_no_tls)
{
    static const struct {
        const char *says;
        lmail_close_reason reason;
        const char *fault;
    } rows[] = {{"220 no handshake at all\r\n", LMAIL_CLOSE_TLS, NULL},
                {"", LMAIL_CLOSE_TLS, "connection closed during the TLS handshake"},
                {NULL, LMAIL_CLOSE_TLS, "TLS handshake not done in time"}};
    static caller c;
    unsigned port;
    server sv = {0};
    int listening = bound(&port);
    ck_assert_int_eq(listen(listening, 5), 0);
    make_identities();
    start_server(&sv);
    call_secure(&c, &sv, mx.cert, NULL, "mx.test", 0);
    c.config.port = port;
    c.config.handshake_timeout = 300;
    c.config.implicit_tls = 1;
    caller_call(&c);
    int fd = accept(listening, NULL, NULL);
    if (rows[_i].says)
        say(fd, rows[_i].says);
    if (rows[_i].says && !rows[_i].says[0])
        shutdown(fd, SHUT_WR);
    caller_await(&c);
    lmail_tls_release(c.config.tls);
    ck_assert_int_eq(c.reason, rows[_i].reason);
    if (rows[_i].fault)
        ck_assert_str_eq(c.fault, rows[_i].fault);
    else
        ck_assert_str_ne(c.fault, "");
    close(fd);
    close(listening);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

/* CVE-2011-0411, from the other side: what came in clear behind the go-ahead is no word of TLS. */
START_TEST(test_plaintext_behind_the_go_ahead_ends_the_connection)
{
    static caller c;
    unsigned port;
    server sv = {0};
    int listening = bound(&port);
    ck_assert_int_eq(listen(listening, 5), 0);
    make_identities();
    start_server(&sv);
    call_secure(&c, &sv, mx.cert, NULL, "mx.test", 0);
    c.config.port = port;
    caller_call(&c);
    int fd = accept(listening, NULL, NULL);
    say(fd, "220 here\r\n");
    expect(fd, "starttls\r\n");
    say(fd, "go\r\ninjected\r\n");
    caller_await(&c);
    lmail_tls_release(c.config.tls);
    ck_assert_str_eq(c.heard, "220 here\ngo\n");
    ck_assert_str_eq(c.version, "");
    close(fd);
    close(listening);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_no_tls_is_set_up)
{
    static caller c;
    server sv = {0};
    make_identities();
    start_secure(&sv, &mx, 0, NULL);
    call_secure(&c, &sv, mx.cert, NULL, "mx.test", 0);
    lmail_tls_release(c.config.tls);
    c.config.tls = NULL;
    caller_call(&c);
    expect_end(&c, LMAIL_CLOSE_TLS, "no TLS is set up for it");
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_each_end_has_its_own_kind_of_tls)
{
    static caller c;
    server sv = {0};
    lmail_listener_config listen = listener_config(&sv);
    lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
    lmail_listener *l;
    lmail_tls *of_server;
    make_identities();
    lmail_tls_cert cert = {lmail_str_from(mx.cert), lmail_str_from(mx.key)};
    config.certs = &cert;
    config.certs_n = 1;
    ck_assert_int_eq(lmail_tls_new(&of_server, &config, NULL, 0), LMAIL_OK);
    start_server(&sv);
    call_secure(&c, &sv, mx.cert, NULL, "mx.test", 0);
    listen.tls = c.config.tls;
    ck_assert_int_eq(lmail_listener_new(&l, sv.net, &listen, NULL, 0), LMAIL_ERR_ARG);
    lmail_tls_release(c.config.tls);
    c.config.tls = of_server;
    call_and_release(&c);
    ck_assert_int_eq(c.status, LMAIL_ERR_ARG);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_whom_we_trust_is_read_at_once)
{
    lmail_tls_client_config config = LMAIL_TLS_CLIENT_CONFIG_INIT;
    lmail_tls *tls;
    char error[256];
    make_identities();
    config.ca = LMAIL_STR("no certificate");
    ck_assert_int_eq(lmail_tls_new_client(&tls, &config, error, sizeof(error)), LMAIL_ERR_ARG);
    ck_assert_str_ne(error, "");
    config.ca = lmail_str_from(mx.cert);
    config.ca_directory = "/nonexistent";
    ck_assert_int_eq(lmail_tls_new_client(&tls, &config, error, sizeof(error)), LMAIL_ERR_IO);
    ck_assert_ptr_nonnull(strstr(error, "/nonexistent"));
    config.ca_directory = NULL;
    config.ciphers = LMAIL_STR("NULL-MD5");
    ck_assert_int_eq(lmail_tls_new_client(&tls, &config, error, sizeof(error)), LMAIL_ERR_ARG);
    config.ciphers = LMAIL_STR("");
    ck_assert_int_eq(lmail_tls_new_client(&tls, &config, error, sizeof(error)), LMAIL_OK);
    lmail_tls_release(tls);
    config.size = sizeof(config) + 8;
    ck_assert_int_eq(lmail_tls_new_client(&tls, &config, error, sizeof(error)), LMAIL_ERR_SIZE);
}
END_TEST

Suite *net_connect_suite(void)
{
    Suite *s = suite_create("net_connect");
    TCase *plain = tcase_create("in clear"), *tls = tcase_create("tls");
    tcase_set_timeout(plain, 60);
    tcase_add_test(plain, test_speaks_and_parts);
    tcase_add_test(plain, test_comes_from_the_source_address);
    tcase_add_test(plain, test_a_unix_socket);
    tcase_add_test(plain, test_refused);
    tcase_add_test(plain, test_nobody_answers);
    tcase_add_test(plain, test_cancelled_and_stopped_while_connecting);
    tcase_add_test(plain, test_stop_tells_the_session);
    tcase_add_test(plain, test_a_peer_that_never_reads_is_cut_off);
    tcase_add_loop_test(plain, test_a_peer_that_leaves_or_resets, 0, 2);
    tcase_add_test(plain, test_what_cannot_be_is_refused_at_once);
    suite_add_tcase(s, plain);
    tcase_set_timeout(tls, 60);
    tcase_add_loop_test(tls, test_starttls_and_who_it_is, 0, 2);
    tcase_add_test(tls, test_a_certificate_for_clients_is_no_servers);
    tcase_add_test(tls, test_implicit_tls_with_a_certificate_of_ours);
    tcase_add_test(tls, test_the_server_wants_a_certificate_of_ours);
    tcase_add_loop_test(tls, test_a_peer_that_speaks_no_tls, 0, 3);
    tcase_add_test(tls, test_plaintext_behind_the_go_ahead_ends_the_connection);
    tcase_add_test(tls, test_no_tls_is_set_up);
    tcase_add_test(tls, test_each_end_has_its_own_kind_of_tls);
    tcase_add_test(tls, test_whom_we_trust_is_read_at_once);
    suite_add_tcase(s, tls);
    return s;
}
