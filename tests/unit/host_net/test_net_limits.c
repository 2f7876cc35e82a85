/* The limits of listeners: their own, one that several share, and how many are accepted a second. */
#include "host_loopback.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GROUP 3

typedef struct second {
    server *sv;
    lmail_listener_config config;
    lmail_listener *listener;
    unsigned max;
    atomic_uint done;
} second;

static void open_second(void *arg)
{
    second *s = arg;
    char why[200] = "";
    ck_assert_int_eq(lmail_net_group_limit(s->sv->net, GROUP, s->max), LMAIL_OK);
    ck_assert_msg(!lmail_listener_new(&s->listener, s->sv->net, &s->config, why, sizeof why), "%s",
                  why);
    atomic_store(&s->done, 1);
}

/* Both listeners of sv and s in one group. */
static void start_two(server *sv, second *s, unsigned max)
{
    lmail_net_config net = LMAIL_NET_CONFIG_INIT;
    s->sv = sv;
    s->config = listener_config(sv);
    s->config.group = GROUP;
    s->max = max;
    start_with(sv, &net, &s->config);
    s->config.on_released = NULL; /* the server's count is that of its first listener */
    ck_assert_int_eq(lmail_loop_post(lmail_net_loop(sv->net, 0), open_second, s), LMAIL_OK);
    await(&s->done, 1);
}

static void expect_refused(unsigned port)
{
    ck_assert_int_eq(try_dial(port), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
}

static int dial_again(unsigned port)
{
    int fd = -1;
    for (int i = 0; i < 5000 && fd < 0; i++) {
        nap(1);
        fd = try_dial(port);
    }
    ck_assert_int_ge(fd, 0);
    expect(fd, "220 echo\r\n");
    return fd;
}

static int greeted(unsigned port)
{
    int fd = dial(port);
    expect(fd, "220 echo\r\n");
    return fd;
}

START_TEST(test_a_group_shares_its_places)
{
    server sv = {0};
    second s = {0};
    start_two(&sv, &s, 3);
    unsigned other = lmail_listener_port(s.listener);
    int a = greeted(sv.port), b = greeted(other), c = greeted(other);
    expect_refused(sv.port);
    expect_refused(other);
    say(a, "echo on\r\n");
    expect(a, "on\r\n");
    close(b);
    b = dial_again(sv.port);
    expect_refused(other);
    ck_assert_int_eq(lmail_net_group_limit(sv.net, GROUP, 0), LMAIL_OK);
    int d = dial_again(other);
    ck_assert_int_eq(lmail_net_group_limit(sv.net, 0, 1), LMAIL_ERR_ARG);
    ck_assert_int_eq(lmail_net_group_limit(sv.net, LMAIL_NET_GROUPS + 1, 1), LMAIL_ERR_ARG);
    close(a);
    close(b);
    close(c);
    close(d);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

START_TEST(test_a_listener_has_a_limit_of_its_own)
{
    server sv = {0};
    second s = {0};
    start_two(&sv, &s, 0);
    lmail_listener_config c = listener_config(&sv);
    c.on_released = NULL;
    c.max_connections = 1;
    ck_assert_int_eq(lmail_listener_update(sv.listener, &c, NULL, 0), LMAIL_OK);
    int a = greeted(sv.port);
    expect_refused(sv.port);
    int b = greeted(lmail_listener_port(s.listener));
    int d = greeted(lmail_listener_port(s.listener));
    close(a);
    a = dial_again(sv.port);
    expect_refused(sv.port);
    c.max_connections = 2;
    ck_assert_int_eq(lmail_listener_update(sv.listener, &c, NULL, 0), LMAIL_OK);
    int e = dial_again(sv.port);
    close(a);
    close(b);
    close(d);
    close(e);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

/* What it was set up with - certificates, in a server - goes when nobody needs it any more, not at the
 * end of the net. */
START_TEST(test_a_closed_listener_gives_its_setup_back)
{
    server sv = {0};
    lmail_net_config net = LMAIL_NET_CONFIG_INIT;
    lmail_listener_config listen = listener_config(&sv);
    start_with(&sv, &net, &listen);
    int a = greeted(sv.port);
    lmail_listener_close(sv.listener);
    for (int i = 0, fd; i < 5000 && (fd = try_dial(sv.port)) >= 0; i++) {
        close(fd);
        nap(1);
    }
    say(a, "echo on\r\n");
    expect(a, "on\r\n");
    ck_assert_uint_eq(atomic_load(&sv.released), 0);
    close(a);
    await(&sv.released, 1);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

START_TEST(test_the_excess_of_a_second_waits)
{
    enum { N = 7, RATE = 3 };
    server sv = {0};
    lmail_net_config net = LMAIL_NET_CONFIG_INIT;
    lmail_listener_config listen = listener_config(&sv);
    double at[N];
    int fds[N];
    listen.max_rate = RATE;
    start_with(&sv, &net, &listen);
    double start = seconds();
    for (int i = 0; i < N; i++)
        fds[i] = dial(sv.port); /* none is refused */
    for (int i = 0; i < N; i++) {
        expect(fds[i], "220 echo\r\n");
        at[i] = seconds() - start;
    }
    ck_assert_msg(at[RATE] >= 0.99, "%f", at[RATE]);
    ck_assert_msg(at[2 * RATE] >= 1.99, "%f", at[2 * RATE]);
    for (int i = 0; i < N; i++)
        close(fds[i]);
    stop_server(&sv, LMAIL_NET_GRACE);
}
END_TEST

Suite *net_limits_suite(void);
Suite *net_limits_suite(void)
{
    Suite *s = suite_create("net_limits");
    TCase *t = tcase_create("limits");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_a_group_shares_its_places);
    tcase_add_test(t, test_a_listener_has_a_limit_of_its_own);
    tcase_add_test(t, test_a_closed_listener_gives_its_setup_back);
    tcase_add_test(t, test_the_excess_of_a_second_waits);
    suite_add_tcase(s, t);
    return s;
}
