/* The resolver against a name server on loopback (support/host_nameserver.h): what each question answers, and what
 * faults, deadlines, cancelling and freeing do. */
#include "host_nameserver.h"

#include <libmail/host/dns.h>

#include <arpa/inet.h>
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

static const ns_record zone[] = {
    {"1.2.0.192.in-addr.arpa", "PTR", "Mail.Example.org"},
    {"mail.example.org", "A", "192.0.2.1"},
    {"mail.example.org", "A", "192.0.2.33"},
    {"mail.example.org", "AAAA", "2001:db8::1"},
    {"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "PTR",
     "mail.example.org"},
    {"2.2.0.192.in-addr.arpa", "PTR", "forged.example.org"},
    {"forged.example.org", "A", "192.0.2.99"},
    {"3.2.0.192.in-addr.arpa", "PTR", "nowhere.example.org"},
    {"4.2.0.192.in-addr.arpa", "SERVFAIL", ""},
    {"5.2.0.192.in-addr.arpa", "PTR", "sick.example.org"},
    {"sick.example.org", "SERVFAIL", ""},
    {"6.2.0.192.in-addr.arpa", "PTR", "bad\r\nname.example.org"},
    {"7.2.0.192.in-addr.arpa", "PTR", "192.0.2.7"},
    {"192.0.2.7", "A", "192.0.2.7"},
    {"8.2.0.192.in-addr.arpa", "PTR", "forged.example.org"},
    {"8.2.0.192.in-addr.arpa", "PTR", "second.example.org"},
    {"second.example.org", "A", "192.0.2.8"},
    {"9.2.0.192.in-addr.arpa", "CNAME", "9.sub.2.0.192.in-addr.arpa"}, /* RFC 2317 */
    {"9.sub.2.0.192.in-addr.arpa", "PTR", "alias.example.org"},
    {"alias.example.org", "CNAME", "real.example.org"},
    {"real.example.org", "A", "192.0.2.9"},
    {"10.2.0.192.in-addr.arpa", "TXT", "no pointer here"},
    {"11.2.0.192.in-addr.arpa", "PTR", "sick.example.org"},
    {"11.2.0.192.in-addr.arpa", "PTR", "eleven.example.org"},
    {"eleven.example.org", "A", "192.0.2.11"},
    {"1.0.168.192.in-addr.arpa", "PTR", "pc.intern.test"},
    {"pc.intern.test", "A", "192.168.0.1"},

    {"mx.example", "MX", "20 Second.example.org"},
    {"mx.example", "MX", "10 mail.example.org"},
    {"mx.example", "MX", "30 bad name.example.org"},
    {"mx.example", "MX", "10 mail2.example.org"},
    {"mxtoo.example", "CNAME", "mx.example"},
    {"null.example", "MX", "0 ."},
    {"notnull.example", "MX", "0 ."},
    {"notnull.example", "MX", "10 mail.example.org"},
    {"onlya.example", "A", "192.0.2.40"},
    {"onlyaaaa.example", "AAAA", "2001:db8::40"},
    {"onlytext.example", "TXT", "hello"},
    {"sick.example", "SERVFAIL", ""},
    {"badmx.example", "MX", "10 bad name.example.org"},

    {"1.2.0.192.bl.example", "A", "127.0.0.2"},
    {"1.2.0.192.bl.example", "A", "127.0.0.11"},
    {"1.2.0.192.bl.example", "TXT", "listed, see \x01 b\xfcro"},
    {"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example", "A",
     "127.0.0.4"},
    {"2.2.0.192.bl.example", "A", "198.51.100.1"}, /* a lapsed zone */
    {"3.2.0.192.bl.example", "SERVFAIL", ""},
    {NULL, NULL, NULL}};

/* One answer as text. */
typedef struct got {
    unsigned count;
    lmail_ticket ticket;
    char text[1024];
} got;

typedef struct bench {
    nameserver ns;
    uv_loop_t loop;
    lmail_dns *dns;
    char hosts[32];
    unsigned closed;
} bench;

static bench b;

static void start_with(lmail_dns_config *config)
{
    char error[200];
    static const char hosts[] = "192.0.2.200 own.example.net own\n192.0.2.201 mx.example\n";
    if (!b.ns.port)
        nameserver_start(&b.ns, zone);
    strcpy(b.hosts, "/tmp/libmail-dns-XXXXXX");
    int fd = mkstemp(b.hosts);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, hosts, sizeof(hosts) - 1), sizeof(hosts) - 1);
    close(fd);
    uv_loop_init(&b.loop);
    config->loop = &b.loop;
    config->hosts = b.hosts;
    if (!config->servers)
        config->servers = b.ns.address;
    lmail_status status = lmail_dns_new(&b.dns, config, error, sizeof(error));
    ck_assert_msg(status == LMAIL_OK, "%s", error);
    unlink(b.hosts);
}

static void start(void)
{
    lmail_dns_config config = LMAIL_DNS_CONFIG_INIT;
    config.timeout = 5000;
    start_with(&config);
}

static void on_closed(void *arg)
{
    ++*(unsigned *)arg;
}

/* The resolver is being freed: run until that is done, and end the rest. */
static void await_end(void)
{
    uv_run(&b.loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(b.closed, 1);
    ck_assert_int_eq(uv_loop_close(&b.loop), 0);
    nameserver_stop(&b.ns);
    memset(&b, 0, sizeof(b));
}

static void stop(void)
{
    lmail_dns_free(b.dns, on_closed, &b.closed);
    await_end();
}

static lmail_dns_stats stats(void)
{
    lmail_dns_stats s = {.size = sizeof(s)};
    ck_assert_int_eq(lmail_dns_get_stats(b.dns, &s), LMAIL_OK);
    return s;
}

static void add(got *g, const char *format, ...)
{
    size_t n = strlen(g->text);
    va_list args;
    va_start(args, format);
    vsnprintf(g->text + n, sizeof(g->text) - n, format, args);
    va_end(args);
}

static got *begin(void *user, lmail_ticket ticket, lmail_dns_result result)
{
    got *g = user;
    ck_assert_uint_ne(g->ticket, 0); /* never from inside the call that asks */
    ck_assert_uint_eq(g->ticket, ticket);
    g->count++;
    g->text[0] = 0;
    add(g, "%s", lmail_dns_result_name(result));
    return g;
}

static void on_client(void *user, lmail_ticket ticket, const lmail_dns_client *a)
{
    got *g = begin(user, ticket, a->result);
    if (a->name.len)
        add(g, " %.*s", (int)a->name.len, a->name.ptr);
}

static void on_domain(void *user, lmail_ticket ticket, const lmail_dns_domain *a)
{
    add(begin(user, ticket, a->result), "%s%s", a->has_mx ? " mx" : "", a->null_mx ? " null" : "");
}

static void on_mx(void *user, lmail_ticket ticket, const lmail_dns_mx *a)
{
    got *g = begin(user, ticket, a->result);
    add(g, "%s%s", a->implicit ? " implicit" : "", a->null_mx ? " null" : "");
    for (size_t i = 0; i < a->count; i++)
        add(g, " %u %.*s", a->hosts[i].preference, (int)a->hosts[i].name.len, a->hosts[i].name.ptr);
}

static void add_addresses(got *g, const lmail_dns_address *list, size_t count)
{
    char text[64];
    for (size_t i = 0; i < count; i++)
        add(g, " %s",
            inet_ntop(list[i].version == 4 ? AF_INET : AF_INET6, list[i].octets, text,
                      sizeof(text)));
}

static void on_addresses(void *user, lmail_ticket ticket, const lmail_dns_addresses *a)
{
    add_addresses(begin(user, ticket, a->result), a->list, a->count);
}

static void on_listing(void *user, lmail_ticket ticket, const lmail_dns_listing *a)
{
    got *g = begin(user, ticket, a->result);
    add_addresses(g, a->answers, a->count);
    if (a->text.len)
        add(g, " \"%.*s\"", (int)a->text.len, a->text.ptr);
}

static lmail_status ask(got *g, const char *what, const char *subject)
{
    lmail_str s = lmail_str_from(subject);
    memset(g, 0, sizeof(*g));
    if (!strcmp(what, "client"))
        return lmail_dns_ask_client(b.dns, s, on_client, g, &g->ticket);
    if (!strcmp(what, "domain"))
        return lmail_dns_ask_domain(b.dns, s, on_domain, g, &g->ticket);
    if (!strcmp(what, "mx"))
        return lmail_dns_ask_mx(b.dns, s, on_mx, g, &g->ticket);
    if (!strcmp(what, "addresses"))
        return lmail_dns_ask_addresses(b.dns, s, on_addresses, g, &g->ticket);
    return lmail_dns_ask_listing(b.dns, s, LMAIL_STR("bl.example"), !strcmp(what, "listing+text"),
                                 on_listing, g, &g->ticket);
}

/* Ask and run until it is answered; how many milliseconds that took. */
static unsigned answer(got *g, const char *what, const char *subject)
{
    uv_update_time(&b.loop);
    uint64_t begun = uv_hrtime();
    ck_assert_int_eq(ask(g, what, subject), LMAIL_OK);
    while (!g->count)
        uv_run(&b.loop, UV_RUN_ONCE);
    return (unsigned)((uv_hrtime() - begun) / 1000000);
}

static const struct {
    const char *what, *subject, *expected;
} cases[] = {
    {"client", "192.0.2.1", "found mail.example.org"},
    {"client", "::ffff:192.0.2.1", "found mail.example.org"},
    {"client", "2001:db8::1", "found mail.example.org"},
    {"client", "192.0.2.2", "forged forged.example.org"},
    {"client", "192.0.2.3", "forged nowhere.example.org"},
    {"client", "192.0.2.4", "temp"},
    {"client", "192.0.2.5", "temp"},
    {"client", "192.0.2.6", "none"},
    {"client", "192.0.2.7", "none"},
    {"client", "192.0.2.8", "found second.example.org"},
    {"client", "192.0.2.9", "found alias.example.org"},
    {"client", "192.0.2.10", "none"},
    {"client", "192.0.2.11", "found eleven.example.org"},
    {"client", "192.0.2.12", "none"},
    {"client", "2001:db8::2", "none"},
    {"client", "192.0.2.200", "found own.example.net"},
    {"client", "192.168.0.1", "found pc.intern.test"}, /* a private network is asked for, too */

    {"domain", "mx.example", "found mx"},
    {"domain", "MX.Example.", "found mx"},
    {"domain", "mxtoo.example", "found mx"},
    {"domain", "null.example", "found null"},
    {"domain", "notnull.example", "found mx"},
    {"domain", "onlya.example", "found"},
    {"domain", "onlyaaaa.example", "found"},
    {"domain", "onlytext.example", "none"},
    {"domain", "nowhere.example", "none"},
    {"domain", "sick.example", "temp"},
    {"domain", "badmx.example", "found mx"},
    {"domain", "", "none"},
    {"domain", "bad name.example", "none"},
    {"domain", "[192.0.2.1]", "found"},
    {"domain", "[IPv6:2001:db8::1]", "found"},
    {"domain", "[192.0.2.4]", "temp"},
    {"domain", "[192.0.2.6]", "none"},
    {"domain", "[192.0.2.12]", "none"},
    {"domain", "[192.0.2.200]", "found"},
    {"domain", "[192.0.2]", "none"},

    {"mx", "mx.example", "found 10 mail.example.org 10 mail2.example.org 20 second.example.org"},
    {"mx", "notnull.example", "found 10 mail.example.org"},
    {"mx", "null.example", "none null"},
    {"mx", "onlya.example", "found implicit 0 onlya.example"},
    {"mx", "nowhere.example", "none"},
    {"mx", "sick.example", "temp"},
    {"mx", "badmx.example", "none"},
    {"mx", "bad name.example", "none"},

    {"addresses", "mail.example.org", "found 192.0.2.1 192.0.2.33 2001:db8::1"},
    {"addresses", "onlyaaaa.example", "found 2001:db8::40"},
    {"addresses", "alias.example.org", "found 192.0.2.9"},
    {"addresses", "own", "found 192.0.2.200"}, /* hosts file for IPv4, no such name for IPv6 */
    {"addresses", "nowhere.example", "none"},
    {"addresses", "sick.example", "temp"},

    {"listing", "192.0.2.1", "found 127.0.0.2 127.0.0.11"},
    {"listing+text", "192.0.2.1", "found 127.0.0.2 127.0.0.11 \"listed, see ? b?ro\""},
    {"listing", "2001:db8::1", "found 127.0.0.4"},
    {"listing+text", "2001:db8::1", "found 127.0.0.4"},
    {"listing", "192.0.2.2", "none"},
    {"listing+text", "192.0.2.9", "none"},
    {"listing", "192.0.2.3", "temp"},
};

START_TEST(test_answers)
{
    got g;
    start();
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        answer(&g, cases[i].what, cases[i].subject);
        ck_assert_msg(!strcmp(g.text, cases[i].expected), "%s %s: %s, not %s", cases[i].what,
                      cases[i].subject, g.text, cases[i].expected);
    }
    stop();
}
END_TEST

START_TEST(test_all_at_once)
{
    enum { N = sizeof(cases) / sizeof(*cases) };
    static got g[N];
    start();
    for (size_t i = 0; i < N; i++)
        ck_assert_int_eq(ask(&g[i], cases[i].what, cases[i].subject), LMAIL_OK);
    ck_assert_uint_eq(stats().waiting, N);
    uv_run(&b.loop, UV_RUN_DEFAULT); /* ends when nothing is open */
    for (size_t i = 0; i < N; i++) {
        ck_assert_uint_eq(g[i].count, 1);
        ck_assert_msg(!strcmp(g[i].text, cases[i].expected), "%s %s: %s", cases[i].what,
                      cases[i].subject, g[i].text);
    }
    lmail_dns_stats s = stats();
    ck_assert_uint_eq(s.waiting, 0);
    ck_assert_uint_eq(s.questions, N);
    ck_assert_uint_eq(s.found + s.none + s.forged + s.temp, N);
    ck_assert_uint_eq(s.forged, 2);
    stop();
}
END_TEST

START_TEST(test_equal_questions_are_asked_once_and_kept)
{
    enum { N = 50 };
    static got g[N];
    start();
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(ask(&g[i], "listing", "192.0.2.1"), LMAIL_OK);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    for (int i = 0; i < N; i++)
        ck_assert_str_eq(g[i].text, "found 127.0.0.2 127.0.0.11");
    ck_assert_uint_eq(b.ns.questions, 1);
    answer(&g[0], "listing", "192.0.2.1");
    ck_assert_str_eq(g[0].text, "found 127.0.0.2 127.0.0.11");
    ck_assert_uint_eq(b.ns.questions, 1);
    ck_assert_uint_eq(stats().lookups, N); /* kept on our side, too */
    answer(&g[0], "listing", "192.0.2.9");
    answer(&g[0], "listing", "192.0.2.9");
    ck_assert_str_eq(g[0].text, "none");
    answer(&g[0], "listing", "192.0.2.3");
    answer(&g[0], "listing", "192.0.2.3"); /* a failure is not kept on our side */
    ck_assert_str_eq(g[0].text, "temp");
    stop();
}
END_TEST

START_TEST(test_truncated_answers_come_over_tcp)
{
    got g;
    start();
    b.ns.fault = NS_TRUNCATES;
    answer(&g, "client", "192.0.2.1");
    ck_assert_str_eq(g.text, "found mail.example.org");
    ck_assert_uint_eq(b.ns.over_tcp, 2);
    stop();
}
END_TEST

static void count_answer(void *user, uint64_t microseconds)
{
    uint64_t *counted = user;
    counted[0]++;
    counted[1] = microseconds;
}

START_TEST(test_a_faulty_server_delays_no_longer_than_the_timeout)
{
    uint64_t counted[2] = {0, 0};
    static const int faults[] = {NS_SILENT, NS_SERVFAIL, NS_GARBAGE};
    lmail_dns_config config = LMAIL_DNS_CONFIG_INIT;
    got g;
    config.timeout = 400;
    config.on_answered = count_answer;
    config.user = counted;
    start_with(&config);
    b.ns.fault = faults[_i];
    unsigned took = answer(&g, "client", "192.0.2.1");
    ck_assert_str_eq(g.text, "temp");
    ck_assert_uint_eq(counted[0], 1);
    ck_assert_uint_le(counted[1] / 1000, took + 1);
    if (faults[_i] == NS_SILENT)
        ck_assert_uint_ge(counted[1], 390000);
    ck_assert_uint_lt(took, 5000); /* a loaded machine; 400 ms it is */
    lmail_dns_stats s = stats();
    ck_assert_uint_eq(s.temp, 1);
    ck_assert_uint_eq(s.waiting, 0);
    stop();
}
END_TEST

START_TEST(test_the_second_server_stands_in)
{
    char servers[80];
    lmail_dns_config config = LMAIL_DNS_CONFIG_INIT;
    got g;
    nameserver dead;
    nameserver_start(&dead, zone);
    dead.fault = NS_SILENT;
    nameserver_start(&b.ns, zone);
    snprintf(servers, sizeof(servers), "%s, %s", dead.address, b.ns.address);
    config.servers = servers;
    start_with(&config);
    for (int i = 0; i < 8; i++) {
        char name[40];
        snprintf(name, sizeof(name), "192.0.2.%d", 1);
        answer(&g, i % 2 ? "client" : "listing", name);
        ck_assert_msg(!strncmp(g.text, "found", 5), "%s", g.text);
    }
    stop();
    nameserver_stop(&dead);
}
END_TEST

START_TEST(test_a_server_that_comes_back_is_used)
{
    lmail_dns_config config = LMAIL_DNS_CONFIG_INIT;
    got g;
    char name[40];
    config.timeout = 1000;
    config.tries = 1;
    start_with(&config);
    b.ns.fault = NS_SILENT;
    answer(&g, "addresses", "first.example");
    ck_assert_str_eq(g.text, "temp");
    b.ns.fault = NS_HEALTHY;
    for (int i = 0; i < 60 && strcmp(g.text, "none"); i++) {
        snprintf(name, sizeof(name), "n%d.example", i);
        answer(&g, "addresses", name);
        usleep(100000);
    }
    ck_assert_str_eq(g.text, "none");
    stop();
}
END_TEST

START_TEST(test_cancelled_questions_are_not_answered)
{
    got a = {0}, c = {0};
    start();
    ask(&a, "client", "192.0.2.1");
    ask(&c, "client", "192.0.2.8");
    ck_assert_uint_ne(a.ticket, c.ticket);
    ck_assert_int_eq(lmail_dns_cancel(b.dns, a.ticket), LMAIL_OK);
    ck_assert_int_eq(lmail_dns_cancel(b.dns, a.ticket), LMAIL_ERR_STALE);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(a.count, 0);
    ck_assert_str_eq(c.text, "found second.example.org");
    ck_assert_int_eq(lmail_dns_cancel(b.dns, c.ticket), LMAIL_ERR_STALE);
    ck_assert_int_eq(lmail_dns_cancel(b.dns, 0), LMAIL_ERR_STALE);
    ck_assert_int_eq(lmail_dns_cancel(b.dns, UINT64_MAX), LMAIL_ERR_STALE);
    /* One answered from the hosts file, before it comes home. */
    ask(&a, "client", "192.0.2.200");
    ck_assert_int_eq(lmail_dns_cancel(b.dns, a.ticket), LMAIL_OK);
    /* One that lands with a kept answer. */
    ask(&a, "client", "192.0.2.8");
    ck_assert_int_eq(lmail_dns_cancel(b.dns, a.ticket), LMAIL_OK);
    answer(&c, "client", "192.0.2.1");
    ck_assert_uint_eq(a.count, 0);
    stop();
}
END_TEST

static got other;

static void cancels_and_asks(void *user, lmail_ticket ticket, const lmail_dns_client *a)
{
    on_client(user, ticket, a);
    ck_assert_int_eq(lmail_dns_cancel(b.dns, ticket), LMAIL_ERR_STALE);
    ck_assert_int_eq(lmail_dns_cancel(b.dns, other.ticket), LMAIL_OK);
    ck_assert_int_eq(ask(&other, "domain", "mx.example"), LMAIL_OK);
}

START_TEST(test_callbacks_may_ask_and_cancel)
{
    got g = {0};
    start();
    ck_assert_int_eq(
        lmail_dns_ask_client(b.dns, LMAIL_STR("192.0.2.200"), cancels_and_asks, &g, &g.ticket),
        LMAIL_OK);
    ask(&other, "client", "192.0.2.200");
    uv_run(&b.loop, UV_RUN_DEFAULT);
    ck_assert_str_eq(g.text, "found own.example.net");
    ck_assert_str_eq(other.text, "found mx");
    stop();
}
END_TEST

START_TEST(test_freeing_answers_what_is_open)
{
    enum { N = 200 };
    static got g[N];
    got late = {0};
    start();
    answer(&late, "client", "192.0.2.1");
    b.ns.fault = _i ? NS_SILENT : NS_HEALTHY;
    ask(&late, "client", "192.0.2.1"); /* waits to land with a kept answer */
    for (int i = 0; i < N; i++)
        ask(&g[i], i % 3 ? "client" : "addresses", i % 3 ? "192.0.2.8" : "mail.example.org");
    lmail_dns_cancel(b.dns, g[7].ticket);
    lmail_dns_free(b.dns, on_closed, &b.closed);
    for (int i = 0; i < N; i++) {
        ck_assert_uint_eq(g[i].count, i != 7);
        if (i != 7)
            ck_assert_str_eq(g[i].text, "temp");
    }
    ck_assert_int_eq(ask(&late, "client", "192.0.2.1"), LMAIL_ERR_CLOSED);
    await_end();
}
END_TEST

static void frees(void *user, lmail_ticket ticket, const lmail_dns_client *a)
{
    on_client(user, ticket, a);
    lmail_dns_free(b.dns, on_closed, &b.closed);
}

START_TEST(test_a_callback_may_free)
{
    got g = {0}, h = {0}, k = {0};
    start();
    lmail_str who = _i ? LMAIL_STR("192.0.2.1") : LMAIL_STR("192.0.2.200");
    lmail_dns_ask_client(b.dns, who, frees, &g, &g.ticket);
    ask(&h, "client", "192.0.2.200");
    ask(&k, "client", "192.0.2.8");
    while (!g.count || !h.count || !k.count)
        uv_run(&b.loop, UV_RUN_ONCE);
    await_end();
    ck_assert_uint_eq(g.count, 1);
    ck_assert_uint_eq(h.count, 1);
    ck_assert_uint_eq(k.count, 1);
}
END_TEST

START_TEST(test_lookups_have_a_limit)
{
    enum { N = 20 };
    static got g[N];
    lmail_dns_config config = LMAIL_DNS_CONFIG_INIT;
    config.max_lookups = 10;
    config.timeout = 300;
    start_with(&config);
    b.ns.fault = NS_SILENT;
    for (int i = 0; i < N; i++) {
        char who[40];
        snprintf(who, sizeof(who), "192.0.2.%d", i + 1);
        ck_assert_int_eq(ask(&g[i], "client", who), LMAIL_OK);
    }
    ck_assert_uint_eq(stats().open, 10);
    uv_run(&b.loop, UV_RUN_NOWAIT);
    for (int i = 0; i < N; i++)
        ck_assert_uint_eq(g[i].count, i >= 10);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    for (int i = 0; i < N; i++)
        ck_assert_str_eq(g[i].text, "temp");
    stop();
}
END_TEST

START_TEST(test_what_cannot_be_asked)
{
    got g = {0};
    start();
    ck_assert_int_eq(ask(&g, "client", "mail.example.org"), LMAIL_ERR_SYNTAX);
    ck_assert_int_eq(ask(&g, "listing", ""), LMAIL_ERR_SYNTAX);
    ck_assert_int_eq(lmail_dns_ask_client(b.dns, LMAIL_STR("192.0.2.1"), NULL, NULL, NULL),
                     LMAIL_ERR_ARG);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(g.count, 0);
    ck_assert_uint_eq(stats().questions, 0);
    stop();
}
END_TEST

static const struct {
    const char *servers, *hosts, *anchor;
    lmail_status status;
    const char *word;
} faulty[] = {
    {"127.0.0.1@5353, mail.example", "", NULL, LMAIL_ERR_ARG, "mail.example"},
    {"127.0.0.1@0x", "", NULL, LMAIL_ERR_ARG, "127.0.0.1@0x"},
    {"127.0.0.1", "/", NULL, LMAIL_ERR_IO, "/"},
    {"127.0.0.1", "", "/nonexistent/root.key", LMAIL_ERR_NOTFOUND, "/nonexistent/root.key"},
    {"127.0.0.1", "", "/etc/passwd", LMAIL_ERR_SYNTAX, ""},
};

START_TEST(test_faulty_configurations_are_told)
{
    lmail_dns_config config = LMAIL_DNS_CONFIG_INIT;
    lmail_dns *dns;
    uv_loop_t loop;
    char error[200];
    uv_loop_init(&loop);
    config.loop = &loop;
    config.servers = faulty[_i].servers;
    config.hosts = faulty[_i].hosts;
    config.trust_anchor = faulty[_i].anchor;
    ck_assert_int_eq(lmail_dns_new(&dns, &config, error, sizeof(error)), faulty[_i].status);
    ck_assert_msg(strstr(error, faulty[_i].word) && error[0], "%s", error);
    ck_assert_ptr_null(dns);
    config.size = 1;
    ck_assert_int_eq(lmail_dns_new(&dns, &config, NULL, 0), LMAIL_ERR_SIZE);
    lmail_dns_config_init(&config);
    ck_assert_int_eq(lmail_dns_new(&dns, &config, error, sizeof(error)), LMAIL_ERR_ARG);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    lmail_dns_free(NULL, NULL, NULL);
}
END_TEST

Suite *dns_resolver_suite(void)
{
    Suite *s = suite_create("dns_resolver");
    TCase *t = tcase_create("resolver");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_answers);
    tcase_add_test(t, test_all_at_once);
    tcase_add_test(t, test_equal_questions_are_asked_once_and_kept);
    tcase_add_test(t, test_truncated_answers_come_over_tcp);
    tcase_add_loop_test(t, test_a_faulty_server_delays_no_longer_than_the_timeout, 0, 3);
    tcase_add_test(t, test_the_second_server_stands_in);
    tcase_add_test(t, test_a_server_that_comes_back_is_used);
    tcase_add_test(t, test_cancelled_questions_are_not_answered);
    tcase_add_test(t, test_callbacks_may_ask_and_cancel);
    tcase_add_loop_test(t, test_freeing_answers_what_is_open, 0, 2);
    tcase_add_loop_test(t, test_a_callback_may_free, 0, 2);
    tcase_add_test(t, test_lookups_have_a_limit);
    tcase_add_test(t, test_what_cannot_be_asked);
    tcase_add_loop_test(t, test_faulty_configurations_are_told, 0,
                        sizeof(faulty) / sizeof(*faulty));
    suite_add_tcase(s, t);
    return s;
}
