/* Connections over loopback sockets, driven by a real net, with the echo session of host_echo.h. */
#include "host_loopback.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- Cases ----------------------------------------------------------------------------------- */

START_TEST(test_speaks_and_parts)
{
    server sv = {0};
    start_server(&sv);
    int fd = dial(sv.port);
    expect(fd, "220 echo\r\n");
    say(fd, "echo one\r\necho two\r\nec");
    expect(fd, "one\r\n");
    expect(fd, "two\r\n");
    say(fd, "ho three\r\nquit\r\necho never\r\n");
    expect(fd, "three\r\n");
    expect(fd, "bye\r\n");
    expect(fd, "");
    close(fd);
    await(&sv.closed, 1);
    ck_assert_uint_eq(sv.last_reason, LMAIL_CLOSE_SESSION);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_half_close_is_served_to_the_end)
{
    server sv = {0};
    start_server(&sv);
    int fd = dial(sv.port);
    say(fd, "echo one\r\nbig 300000\r\necho two\r\n");
    shutdown(fd, SHUT_WR);
    expect(fd, "220 echo\r\n");
    expect(fd, "one\r\n");
    size_t n = 0;
    for (char c; n < 300002 && recv(fd, &c, 1, 0) == 1;)
        n++;
    ck_assert_uint_eq(n, 300002);
    expect(fd, "two\r\n");
    expect(fd, "");
    close(fd);
    await(&sv.closed, 1);
    ck_assert_uint_eq(sv.last_reason, LMAIL_CLOSE_PEER);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_a_thousand_connections)
{
    enum { N = 1000 };
    static int fds[N];
    server sv = {0};
    start_server(&sv);
    sv.answering = FROM_WORKER;
    for (int i = 0; i < N; i++)
        fds[i] = dial(sv.port);
    for (int i = 0; i < N; i++) {
        expect(fds[i], "220 echo\r\n");
        say(fds[i], "echo a\r\nask\r\necho b\r\n");
    }
    for (int i = 0; i < N; i++) {
        expect(fds[i], "a\r\n");
        expect(fds[i], "answer\r\n");
        expect(fds[i], "b\r\n");
    }
    ck_assert_uint_eq(stats_of(&sv).connections, N);
    for (int i = 0; i < N; i++)
        close(fds[i]);
    await(&sv.closed, N);
    ck_assert_uint_eq(stats_of(&sv).connections, 0);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_held_octets_do_not_move)
{
    enum { N = 3000000 };
    server sv = {0};
    start_server(&sv);
    sv.answering = FROM_WORKER;
    int fd = dial(sv.port);
    char *octets = malloc(N), text[64];
    for (size_t i = 0; i < N; i++)
        octets[i] = (char)(i * 2654435761u >> 13);
    expect(fd, "220 echo\r\n");
    snprintf(text, sizeof(text), "hold %d\r\n", N);
    say(fd, text);
    size_t at = 0;
    while (at < N) {
        ssize_t n = send(fd, octets + at, N - at, MSG_NOSIGNAL);
        ck_assert_int_gt(n, 0);
        at += (size_t)n;
    }
    snprintf(text, sizeof(text), "held %u\r\n", checksum(octets, N));
    expect(fd, text);
    say(fd, "quit\r\n");
    expect(fd, "bye\r\n");
    free(octets);
    close(fd);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_a_slow_reader_is_cut_off_and_hurts_nobody)
{
    server sv = {0};
    lmail_net_config net = LMAIL_NET_CONFIG_INIT;
    lmail_listener_config listen = listener_config(&sv);
    net.loops = 1;
    listen.write_timeout = 300;
    start_with(&sv, &net, &listen);
    int slow = dial(sv.port);
    say(slow, "big 500000000\r\n");
    int other = dial(sv.port);
    expect(other, "220 echo\r\n");
    for (int i = 0; i < 50; i++) {
        say(other, "echo here\r\n");
        expect(other, "here\r\n");
    }
    await(&sv.closed, 1);
    ck_assert_uint_eq(sv.last_reason, LMAIL_CLOSE_TIMEOUT);
    say(other, "echo still\r\n");
    expect(other, "still\r\n");
    close(slow);
    close(other);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

/* A client with a small receive buffer takes `piece` octets each 10 ms while the server has `ms`
 * milliseconds' patience. 1: it was served for 20 times that, 0: it was cut off. */
static int served(lmail_msec ms, uint32_t min_rate, size_t piece)
{
    server sv = {0};
    lmail_net_config net = LMAIL_NET_CONFIG_INIT;
    lmail_listener_config listen = listener_config(&sv);
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 32768;
    struct sockaddr_in to = {.sin_family = AF_INET};
    char octets[4096];
    net.loops = 1;
    listen.write_timeout = ms;
    listen.min_rate = min_rate;
    start_with(&sv, &net, &listen);
    to.sin_port = htons((uint16_t)sv.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    say(fd, "big 500000000\r\n");
    for (lmail_msec t = 0; t < 20 * ms && !atomic_load(&sv.closed); t += 10) {
        nap(10);
        if (recv(fd, octets, piece, MSG_DONTWAIT) == 0)
            break;
    }
    int cut = atomic_load(&sv.closed) != 0;
    if (cut)
        ck_assert_uint_eq(sv.last_reason, LMAIL_CLOSE_TIMEOUT);
    close(fd);
    stop_server(&sv, LMAIL_NET_GRACE);
    return !cut;
}

/* The kernel takes nothing new for longer than the time-out, since a third of its buffer is more
 * than such a client takes meanwhile. */
START_TEST(test_a_slow_reader_that_goes_on_is_served)
{
    ck_assert(served(300, 0, 4096));
}
END_TEST

START_TEST(test_who_takes_less_than_the_least_rate_is_cut_off)
{
    ck_assert(!served(300, 0, 1));
    ck_assert(!served(300, 10000000, 4096));
}
END_TEST

START_TEST(test_timers_end_idle_sessions)
{
    server sv = {0};
    sv.echo.idle = 100;
    start_server(&sv);
    int fd = dial(sv.port);
    expect(fd, "220 echo\r\n");
    expect(fd, "idle\r\n");
    expect(fd, "");
    close(fd);
    await(&sv.closed, 1);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_a_peer_that_ended_its_side_gets_its_answer)
{
    server sv = {0};
    start_server(&sv);
    sv.answering = LATER;
    int fd = dial(sv.port);
    expect(fd, "220 echo\r\n");
    say(fd, "ask\r\n");
    await(&sv.asked, 1);
    shutdown(fd, SHUT_WR);
    nap(50);
    ck_assert_uint_eq(sv.cancelled, 0);
    ck_assert_uint_eq(sv.closed, 0);
    answer_late(&sv);
    expect(fd, "answer\r\n");
    expect(fd, "");
    close(fd);
    await(&sv.closed, 1);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_a_reset_is_noticed_while_a_question_waits)
{
    server sv = {0};
    start_server(&sv);
    sv.answering = LATER;
    int fd = dial(sv.port);
    expect(fd, "220 echo\r\n");
    say(fd, "ask\r\necho unread\r\n");
    await(&sv.asked, 1);
    struct linger hard = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(fd);
    await(&sv.cancelled, 1);
    answer_late(&sv);
    await(&sv.closed, 1);
    ck_assert_uint_eq(sv.last_reason, LMAIL_CLOSE_ERROR);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_stop_says_farewell_and_awaits_tickets)
{
    server sv = {0};
    start_server(&sv);
    sv.answering = LATER;
    int idle = dial(sv.port), asking = dial(sv.port);
    expect(idle, "220 echo\r\n");
    expect(asking, "220 echo\r\n");
    say(asking, "ask\r\n");
    await(&sv.asked, 1);
    lmail_net_stop(sv.net, LMAIL_NET_GRACE);
    expect(idle, "421 stop\r\n");
    expect(idle, "");
    expect(asking, "421 stop\r\n");
    close(idle);
    close(asking);
    await(&sv.closed, 1);
    ck_assert_int_eq(try_dial(sv.port), -1);
    answer_late(&sv);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

/* Until the server can write no more: what waits here to be read has stopped growing. */
static void await_full(int fd)
{
    int waits = 0, before = -1;
    while (waits == 0 || waits != before) {
        before = waits;
        nap(100);
        ck_assert_int_eq(ioctl(fd, FIONREAD, &waits), 0);
    }
}

START_TEST(test_stop_cuts_off_after_the_grace)
{
    server sv = {0};
    start_server(&sv);
    int fd = dial(sv.port);
    say(fd, "big 500000000\r\n");
    expect(fd, "220 echo\r\n");
    await_full(fd); /* else all that is written yet fits the socket, and the farewell is said */
    stop_server(&sv, 100);
    ck_assert_uint_eq(sv.last_reason, LMAIL_CLOSE_STOP);
    close(fd);
}
END_TEST

START_TEST(test_a_full_server_refuses_and_reopens)
{
    server sv = {0};
    lmail_net_config net = LMAIL_NET_CONFIG_INIT;
    lmail_listener_config listen = listener_config(&sv);
    net.max_connections = 3;
    start_with(&sv, &net, &listen);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = dial(sv.port);
        expect(fds[i], "220 echo\r\n");
    }
    ck_assert_uint_eq(stats_of(&sv).times_full, 1);
    int refused = try_dial(sv.port);
    ck_assert_int_eq(refused, -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    close(fds[0]);
    await(&sv.closed, 1);
    int again = -1;
    for (int i = 0; i < 5000 && again < 0; i++) {
        nap(1);
        again = try_dial(sv.port);
    }
    ck_assert_int_ge(again, 0);
    expect(again, "220 echo\r\n");
    close(again);
    close(fds[1]);
    close(fds[2]);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_one_address_has_its_limit)
{
    server sv = {0};
    lmail_net_config net = LMAIL_NET_CONFIG_INIT;
    lmail_listener_config listen = listener_config(&sv);
    net.max_per_address = 2;
    listen.refusal = LMAIL_STR("421 too many\r\n");
    start_with(&sv, &net, &listen);
    int a = dial(sv.port), b = dial(sv.port);
    expect(a, "220 echo\r\n");
    expect(b, "220 echo\r\n");
    int c = dial(sv.port);
    expect(c, "421 too many\r\n");
    expect(c, "");
    close(c);
    ck_assert_uint_eq(stats_of(&sv).refused_address, 1);
    ck_assert_uint_eq(sv.refused[LMAIL_REFUSED_ADDRESS], 1);
    close(a);
    await(&sv.closed, 1);
    a = dial(sv.port);
    expect(a, "220 echo\r\n");
    close(a);
    close(b);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_pause_and_resume)
{
    server sv = {0};
    start_server(&sv);
    int kept = dial(sv.port);
    expect(kept, "220 echo\r\n");
    lmail_listener_pause(sv.listener);
    int fd = 0;
    for (int i = 0; i < 5000 && (fd = try_dial(sv.port)) >= 0; i++) {
        close(fd);
        nap(1);
    }
    ck_assert_int_eq(fd, -1);
    say(kept, "echo goes on\r\n");
    expect(kept, "goes on\r\n");
    lmail_listener_resume(sv.listener);
    for (int i = 0; i < 5000 && (fd = try_dial(sv.port)) < 0; i++)
        nap(1);
    expect(fd, "220 echo\r\n");
    close(fd);
    close(kept);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_update_is_for_new_connections)
{
    server first = {0}, second = {0};
    char error[128];
    start_server(&first);
    second.echo = first.echo;
    int before = dial(first.port);
    expect(before, "220 echo\r\n");
    lmail_listener_config next = listener_config(&second);
    ck_assert_int_eq(lmail_listener_update(first.listener, &next, error, sizeof(error)), LMAIL_OK);
    int after = dial(first.port);
    expect(after, "220 echo\r\n");
    ck_assert_uint_eq(first.opened, 1);
    ck_assert_uint_eq(second.opened, 1);
    ck_assert_uint_eq(first.released, 0);
    close(before);
    await(&first.released, 1);
    ck_assert_uint_eq(first.closed, 1);
    next.on_open = NULL;
    ck_assert_int_eq(lmail_listener_update(first.listener, &next, error, sizeof(error)),
                     LMAIL_ERR_ARG);
    close(after);
    stop_server(&first, LMAIL_NET_GRACE);
    ck_assert_uint_eq(second.closed, 1);
    ck_assert_uint_eq(second.released, 1);
}
END_TEST

START_TEST(test_without_descriptors_it_goes_on)
{
    server sv = {0};
    struct rlimit before, low;
    start_server(&sv);
    int fd = dial(sv.port);
    expect(fd, "220 echo\r\n");
    int waiting[4], spare[4];
    for (int i = 0; i < 4; i++)
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int top = open("/dev/null", O_RDONLY | O_CLOEXEC);
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    low.rlim_cur = (rlim_t)top + 1;
    setrlimit(RLIMIT_NOFILE, &low);
    for (int i = 0; i < 4; i++) /* fill the holes */
        spare[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)sv.port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(connect(waiting[i], (struct sockaddr *)&to, sizeof(to)), 0);
    expect(waiting[0], ""); /* told by the reserve descriptor */
    say(fd, "echo served\r\n");
    expect(fd, "served\r\n");
    setrlimit(RLIMIT_NOFILE, &before);
    const char *last = hear(waiting[3]);
    ck_assert(!strcmp(last, "220 echo\r\n") || !strcmp(last, ""));
    ck_assert_uint_gt(stats_of(&sv).refused_files, 0);
    ck_assert_uint_eq(sv.refused[LMAIL_REFUSED_FILES], stats_of(&sv).refused_files);
    int again = dial(sv.port);
    expect(again, "220 echo\r\n");
    for (int i = 0; i < 4; i++) {
        close(waiting[i]);
        if (spare[i] >= 0)
            close(spare[i]);
    }
    close(top);
    close(again);
    close(fd);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_quiet_connections_rest_and_wake)
{
    server sv = {0};
    lmail_net_config net = LMAIL_NET_CONFIG_INIT;
    lmail_listener_config listen = listener_config(&sv);
    listen.rest_after = 20;
    sv.answering = LATER;
    start_with(&sv, &net, &listen);
    int fd = dial(sv.port);
    expect(fd, "220 echo\r\n");
    say(fd, "echo o");
    nap(100);
    say(fd, "ne\r\nask\r\necho kept\r\n");
    expect(fd, "one\r\n");
    await(&sv.asked, 1);
    nap(100); /* the unfed octets move into a buffer of their size */
    answer_late(&sv);
    expect(fd, "answer\r\n");
    expect(fd, "kept\r\n");
    close(fd);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_unix_sockets_say_who_the_peer_is)
{
    server sv = {0};
    char dir[] = "/tmp/lmail_net_XXXXXX", path[64], address[80];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/sock", dir);
    snprintf(address, sizeof(address), "unix:%s", path);
    lmail_net_config net = LMAIL_NET_CONFIG_INIT;
    lmail_listener_config listen = listener_config(&sv);
    listen.address = address;
    start_with(&sv, &net, &listen);
    ck_assert_uint_eq(sv.port, 0);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    expect(fd, "220 echo\r\n");
    say(fd, "quit\r\n");
    expect(fd, "bye\r\n");
    close(fd);
    stop_server(&sv, LMAIL_NET_GRACE);
    ck_assert_int_ne(access(path, F_OK), 0); /* it takes its file along */
    rmdir(dir);
}
END_TEST

static void with_proxy(server *sv, const char *from)
{
    lmail_net_config net = LMAIL_NET_CONFIG_INIT;
    lmail_listener_config listen = listener_config(sv);
    listen.proxy_from = from;
    listen.proxy_timeout = 300;
    net.max_per_address = 1;
    listen.refusal = LMAIL_STR("421 too many\r\n");
    start_with(sv, &net, &listen);
}

START_TEST(test_a_proxy_header_names_the_client)
{
    server sv = {0};
    with_proxy(&sv, "10.0.0.0/8, 127.0.0.0/8");
    int fd = dial(sv.port);
    say(fd, "PROXY TCP4 192.0.2.7 198.51.100.1 4000 ");
    nap(20);
    say(fd, "25\r\necho behind\r\n");
    expect(fd, "220 echo\r\n");
    expect(fd, "behind\r\n");
    int same = dial(sv.port);
    say(same, "PROXY TCP4 192.0.2.7 198.51.100.1 4001 25\r\n");
    expect(same, "421 too many\r\n");
    int other = dial(sv.port);
    say(other, "PROXY TCP6 2001:db8::1 2001:db8::2 4001 25\r\n");
    expect(other, "220 echo\r\n");
    int health = dial(sv.port);
    say(health, "PROXY UNKNOWN\r\n");
    expect(health, "220 echo\r\n");
    int bad = dial(sv.port);
    say(bad, "EHLO no.proxy\r\n");
    expect(bad, "");
    int silent = dial(sv.port);
    expect(silent, "");
    ck_assert_uint_eq(stats_of(&sv).proxy_errors, 2);
    ck_assert_uint_eq(sv.refused[LMAIL_REFUSED_PROXY], 2);
    ck_assert_uint_eq(sv.refused[LMAIL_REFUSED_ADDRESS], 1);
    close(fd);
    close(same);
    close(other);
    close(health);
    close(bad);
    close(silent);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_only_trusted_networks_may_send_a_proxy_header)
{
    server sv = {0};
    with_proxy(&sv, "192.0.2.0/24");
    int fd = dial(sv.port);
    expect(fd, "");
    close(fd);
    ck_assert_uint_eq(stats_of(&sv).proxy_errors, 1);
    ck_assert_uint_eq(sv.refused[LMAIL_REFUSED_PROXY], 1);
    ck_assert_uint_eq(sv.opened, 0);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_addresses_that_are_none_are_refused)
{
    static const char *const bad[] = {"",
                                      "25",
                                      "localhost:25",
                                      "::1:25",
                                      "[::1]",
                                      "127.0.0.1:",
                                      "127.0.0.1:65536",
                                      "*:x",
                                      "[1.2.3.4]:1",
                                      "300.1.1.1:25",
                                      "127.0.0.1:-1"};
    lmail_net_config config = LMAIL_NET_CONFIG_INIT;
    lmail_net *net;
    char error[256];
    server sv = {0};
    ck_assert_int_eq(lmail_net_new(&net, &config, error, sizeof(error)), LMAIL_OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        lmail_listener_config listen = listener_config(&sv);
        listen.address = bad[i];
        ck_assert_int_eq(lmail_listener_new(NULL, net, &listen, error, sizeof(error)),
                         LMAIL_ERR_ARG);
        ck_assert_ptr_nonnull(strstr(error, bad[i]));
    }
    lmail_listener_config listen = listener_config(&sv);
    lmail_listener *first;
    ck_assert_int_eq(lmail_listener_new(&first, net, &listen, error, sizeof(error)), LMAIL_OK);
    char taken[32];
    snprintf(taken, sizeof(taken), "127.0.0.1:%u", lmail_listener_port(first));
    listen.address = taken;
    ck_assert_int_eq(lmail_listener_new(NULL, net, &listen, error, sizeof(error)), LMAIL_ERR_BUSY);
    ck_assert_uint_eq(sv.released, 0);
    lmail_net_free(net); /* it never ran */
    ck_assert_uint_eq(sv.released, 1);
}
END_TEST

Suite *net_loopback_suite(void)
{
    Suite *s = suite_create("net_loopback");
    TCase *t = tcase_create("connections");
    tcase_set_timeout(t, 60);
    signal(SIGPIPE, SIG_IGN);
    tcase_add_test(t, test_speaks_and_parts);
    tcase_add_test(t, test_half_close_is_served_to_the_end);
    tcase_add_test(t, test_a_thousand_connections);
    tcase_add_test(t, test_held_octets_do_not_move);
    tcase_add_test(t, test_a_slow_reader_is_cut_off_and_hurts_nobody);
    tcase_add_test(t, test_a_slow_reader_that_goes_on_is_served);
    tcase_add_test(t, test_who_takes_less_than_the_least_rate_is_cut_off);
    tcase_add_test(t, test_timers_end_idle_sessions);
    tcase_add_test(t, test_a_peer_that_ended_its_side_gets_its_answer);
    tcase_add_test(t, test_a_reset_is_noticed_while_a_question_waits);
    tcase_add_test(t, test_stop_says_farewell_and_awaits_tickets);
    tcase_add_test(t, test_stop_cuts_off_after_the_grace);
    tcase_add_test(t, test_a_full_server_refuses_and_reopens);
    tcase_add_test(t, test_one_address_has_its_limit);
    tcase_add_test(t, test_pause_and_resume);
    tcase_add_test(t, test_update_is_for_new_connections);
    tcase_add_test(t, test_without_descriptors_it_goes_on);
    tcase_add_test(t, test_quiet_connections_rest_and_wake);
    tcase_add_test(t, test_unix_sockets_say_who_the_peer_is);
    tcase_add_test(t, test_a_proxy_header_names_the_client);
    tcase_add_test(t, test_only_trusted_networks_may_send_a_proxy_header);
    tcase_add_test(t, test_addresses_that_are_none_are_refused);
    suite_add_tcase(s, t);
    return s;
}
