/* One attempt for one destination: which hosts are asked, what each reply means for whom. */
#include "support/delivery_world.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static const lmail_str own_name = {"mx.here.example", 15};
static const lmail_delivery_endpoint own_address = {{4, {198, 51, 100, 1}}, 25};

/* Facts, what is asked, what comes out. */
static const struct {
    const char *name, *facts, *recipients, *asked, *results;
} cases[] = {
    {"RFC 5321 5.1: by preference",
     "mx example.org 20 b.example 10 a.example\naddr a.example 192.0.2.1\naddr b.example "
     "192.0.2.2\n",
     "u@example.org",
     "mx example.org\naddr a.example\nconnect a.example 192.0.2.1 25\nsend 192.0.2.1 u\n",
     "u@example.org sent 250 2.0.0 a.example [192.0.2.1] queued\n"},
    {"RFC 5321 5.1: without MX the name itself", "addr example.org 192.0.2.1\n", "u@example.org",
     "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\nsend 192.0.2.1 u\n",
     "u@example.org sent 250 2.0.0 example.org [192.0.2.1] queued\n"},
    {"both families in turn, the next host when none answers",
     "mx example.org 10 a.example 20 b.example\naddr a.example 192.0.2.1 192.0.2.2 2001:db8::1\n"
     "addr b.example 192.0.2.3\nconn 192.0.2.1 refused\nconn 192.0.2.2 timeout\n"
     "conn 2001:db8::1 unreachable\n",
     "u@example.org",
     "mx example.org\naddr a.example\nconnect a.example 2001:db8::1 25\nconnect a.example "
     "192.0.2.1 25\n"
     "connect a.example 192.0.2.2 25\naddr b.example\nconnect b.example 192.0.2.3 25\nsend "
     "192.0.2.3 u\n",
     "u@example.org sent 250 2.0.0 b.example [192.0.2.3] queued\n"},
    {"RFC 7505: null MX", "mx example.org null\n", "u@example.org", "mx example.org\n",
     "u@example.org failed 556 5.1.10  [] The domain accepts no mail (null MX)\n"},
    {"no such domain", "mx example.org none\n", "u@example.org", "mx example.org\n",
     "u@example.org failed 550 5.1.2  [] Host unknown\n"},
    {"a domain without any address", "", "u@example.org", "mx example.org\naddr example.org\n",
     "u@example.org failed 550 5.1.2 example.org [] Host unknown\n"},
    {"the DNS fails for now", "mx example.org temp\n", "u@example.org", "mx example.org\n",
     "u@example.org deferred 451 4.4.3  [] Temporary failure in the lookup of the host\n"},
    {"one MX host without address, one not to be looked up: wait",
     "mx example.org 10 a.example 20 b.example\naddr b.example temp\n", "u@example.org",
     "mx example.org\naddr a.example\naddr b.example\n",
     "u@example.org deferred 451 4.4.3 b.example [] Temporary failure in the lookup of the host\n"},
    {"no MX host has an address", "mx example.org 10 a.example\n", "u@example.org",
     "mx example.org\naddr a.example\n",
     "u@example.org failed 550 5.4.4 a.example [] The MX host has no address\n"},
    {"RFC 5321 5.1: we are the second: only what is preferred",
     "mx example.org 10 a.example 20 MX.here.example 20 c.example 30 d.example\n"
     "addr a.example 192.0.2.1\nconn 192.0.2.1 refused\naddr c.example 192.0.2.3\n",
     "u@example.org", "mx example.org\naddr a.example\nconnect a.example 192.0.2.1 25\n",
     "u@example.org deferred 0 4.4.1 a.example [192.0.2.1] connection refused while connecting\n"},
    {"we are the best: a loop", "mx example.org 10 mx.here.example 20 b.example\n", "u@example.org",
     "mx example.org\n",
     "u@example.org failed 554 5.4.6  [] Mail for this destination loops back to this host\n"},
    {"our address under another name",
     "mx example.org 10 a.example 20 b.example\naddr a.example 198.51.100.1\n", "u@example.org",
     "mx example.org\naddr a.example\n",
     "u@example.org failed 554 5.4.6 a.example [] Mail for this destination loops back to this "
     "host\n"},
    {"a server that has our name is a loop",
     "addr example.org 192.0.2.1\nconn 192.0.2.1 ok name=mx.here.example\n", "u@example.org",
     "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\n",
     "u@example.org failed 554 5.4.6 example.org [192.0.2.1] Mail for this destination loops back "
     "to this host\n"},
    {"greylisting: the next host, and its word is kept above a dead one's",
     "mx example.org 10 a.example 20 b.example\naddr a.example 192.0.2.1\naddr b.example "
     "192.0.2.2\n"
     "say 192.0.2.1 u@example.org 451 4.7.1 greylisted\nconn 192.0.2.2 refused\n",
     "u@example.org",
     "mx example.org\naddr a.example\nconnect a.example 192.0.2.1 25\nsend 192.0.2.1 u\n"
     "addr b.example\nconnect b.example 192.0.2.2 25\n",
     "u@example.org deferred 451 4.7.1 a.example [192.0.2.1] greylisted\n"},
    {"each recipient fares by itself",
     "mx example.org 10 a.example 20 b.example\naddr a.example 192.0.2.1\naddr b.example "
     "192.0.2.2\n"
     "say 192.0.2.1 bad@example.org 550 no such user\nsay 192.0.2.1 later@example.org 450 busy\n",
     "good@example.org bad@example.org later@example.org",
     "mx example.org\naddr a.example\nconnect a.example 192.0.2.1 25\nsend 192.0.2.1 good bad "
     "later\n"
     "addr b.example\nconnect b.example 192.0.2.2 25\nsend 192.0.2.2 later\n",
     "bad@example.org failed 550 5.2.0 a.example [192.0.2.1] no such user\n"
     "good@example.org sent 250 2.0.0 a.example [192.0.2.1] queued\n"
     "later@example.org sent 250 2.0.0 b.example [192.0.2.2] queued\n"},
    {"5xx to MAIL is final for all",
     "addr example.org 192.0.2.1\nmail 192.0.2.1 550 5.7.1 go away\n",
     "u@example.org v@example.org",
     "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\nsend 192.0.2.1 u v\n",
     "u@example.org failed 550 5.7.1 example.org [192.0.2.1] go away\n"
     "v@example.org failed 550 5.7.1 example.org [192.0.2.1] go away\n"},
    {"4xx to MAIL: the next host",
     "addr example.org 192.0.2.1 192.0.2.2\nmail 192.0.2.1 451 not now\n", "u@example.org",
     "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\nsend 192.0.2.1 u\n"
     "connect example.org 192.0.2.2 25\nsend 192.0.2.2 u\n",
     "u@example.org sent 250 2.0.0 example.org [192.0.2.2] queued\n"},
    {"5xx to the greeting: the next host, then later",
     "addr example.org 192.0.2.1 192.0.2.2\nconn 192.0.2.1 greeting 554 5.7.1 blocked\n"
     "conn 192.0.2.2 greeting 554 blocked\n",
     "u@example.org",
     "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\nconnect example.org "
     "192.0.2.2 25\n",
     "u@example.org deferred 554 4.3.2 example.org [192.0.2.2] blocked\n"},
    {"RFC 7504: 521 is final when all have been tried",
     "addr example.org 192.0.2.1\nconn 192.0.2.1 greeting 521 no mail here\n", "u@example.org",
     "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\n",
     "u@example.org failed 521 5.3.2 example.org [192.0.2.1] no mail here\n"},
    {"... and not when another may come back",
     "addr example.org 192.0.2.1 192.0.2.2\nconn 192.0.2.1 greeting 521 no mail here\nconn "
     "192.0.2.2 refused\n",
     "u@example.org",
     "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\nconnect example.org "
     "192.0.2.2 25\n",
     "u@example.org deferred 0 4.4.1 example.org [192.0.2.2] connection refused while "
     "connecting\n"},
    {"5xx to EHLO: the next host, then final",
     "addr example.org 192.0.2.1 192.0.2.2\nconn 192.0.2.1 ehlo 550 who\nconn 192.0.2.2 ehlo 550 "
     "5.5.2 what\n",
     "u@example.org",
     "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\nconnect example.org "
     "192.0.2.2 25\n",
     "u@example.org failed 550 5.5.2 example.org [192.0.2.2] what\n"},
    {"a wrong password waits", "addr example.org 192.0.2.1\nconn 192.0.2.1 auth 535 5.7.8 wrong\n",
     "u@example.org", "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\n",
     "u@example.org deferred 535 4.7.8 example.org [192.0.2.1] wrong\n"},
    {"TLS that fails is left out", "addr example.org 192.0.2.1\nonce conn 192.0.2.1 tls\n",
     "u@example.org",
     "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\n"
     "connect example.org 192.0.2.1 25 clear\nsend 192.0.2.1 u\n",
     "u@example.org sent 250 2.0.0 example.org [192.0.2.1] queued\n"},
    {"lost before the message is whole: the next host",
     "addr example.org 192.0.2.1 192.0.2.2\nmail 192.0.2.1 lost\n", "u@example.org",
     "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\nsend 192.0.2.1 u\n"
     "connect example.org 192.0.2.2 25\nsend 192.0.2.2 u\n",
     "u@example.org sent 250 2.0.0 example.org [192.0.2.2] queued\n"},
    {"RFC 1047: lost behind the final dot: no other host now",
     "addr example.org 192.0.2.1 192.0.2.2\nend 192.0.2.1 lost\n", "u@example.org",
     "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\nsend 192.0.2.1 u\n",
     "u@example.org deferred 0 4.4.2 example.org [192.0.2.1] connection lost behind the end of the "
     "message +doubtful\n"},
    {"RFC 5321 4.5.3.1.10: too many recipients, the rest in a further transaction",
     "addr example.org 192.0.2.1\nonce say 192.0.2.1 c@example.org 452 4.5.3 too many\n"
     "once say 192.0.2.1 d@example.org 552 too many\nend 192.0.2.1 250 dsn\n",
     "a@example.org b@example.org c@example.org d@example.org",
     "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\nsend 192.0.2.1 a b c d\n"
     "send 192.0.2.1 c d\n",
     "a@example.org sent 250 2.0.0 example.org [192.0.2.1] dsn +dsn\n"
     "b@example.org sent 250 2.0.0 example.org [192.0.2.1] dsn +dsn\n"
     "c@example.org sent 250 2.0.0 example.org [192.0.2.1] dsn +dsn\n"
     "d@example.org sent 250 2.0.0 example.org [192.0.2.1] dsn +dsn\n"},
    {"a full mailbox is no such thing",
     "addr example.org 192.0.2.1\nsay 192.0.2.1 b@example.org 452 4.2.2 full\n",
     "a@example.org b@example.org",
     "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\nsend 192.0.2.1 a b\n",
     "a@example.org sent 250 2.0.0 example.org [192.0.2.1] queued\n"
     "b@example.org deferred 452 4.2.2 example.org [192.0.2.1] full\n"},
    {"RFC 9422: the server's limit, and a connection for each transaction",
     "addr example.org 192.0.2.1\nconn 192.0.2.1 ok max=2\nend 192.0.2.1 250 closed\n",
     "a@example.org b@example.org c@example.org",
     "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\nsend 192.0.2.1 a b\n"
     "connect example.org 192.0.2.1 25\nsend 192.0.2.1 c\n",
     "a@example.org sent 250 2.0.0 example.org [192.0.2.1] closed\n"
     "b@example.org sent 250 2.0.0 example.org [192.0.2.1] closed\n"
     "c@example.org sent 250 2.0.0 example.org [192.0.2.1] closed\n"},
    {"5xx and 4xx to the data",
     "addr example.org 192.0.2.1 192.0.2.2\nend 192.0.2.1 451 later\nend 192.0.2.2 554 5.6.0 "
     "spam\n",
     "u@example.org",
     "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\nsend 192.0.2.1 u\n"
     "connect example.org 192.0.2.2 25\nsend 192.0.2.2 u\n",
     "u@example.org failed 554 5.6.0 example.org [192.0.2.2] spam\n"},
    {"control octets of a reply are blanks, a class that does not fit is not believed",
     "addr example.org 192.0.2.1\nsay 192.0.2.1 u@example.org 550 4.7.1 a\033[2Jb\n",
     "u@example.org",
     "mx example.org\naddr example.org\nconnect example.org 192.0.2.1 25\nsend 192.0.2.1 u\n",
     "u@example.org failed 550 5.7.1 example.org [192.0.2.1] a [2Jb\n"},
};

static void compare(delivery_world *w, size_t i)
{
    ck_assert_msg(strcmp(w->asked, cases[i].asked) == 0, "%s: asked\n%s", cases[i].name, w->asked);
    ck_assert_msg(strcmp(w->results, cases[i].results) == 0, "%s: results\n%s", cases[i].name,
                  w->results);
    ck_assert_uint_eq(w->ends, 1);
    ck_assert_uint_eq(w->open_connections, 0);
    ck_assert_int_eq(w->status, LMAIL_OK);
}

static void prepare(delivery_world *w, size_t i)
{
    delivery_world_init(w, cases[i].facts);
    w->config.own_names = &own_name;
    w->config.own_name_count = 1;
    w->config.own_addresses = &own_address;
    w->config.own_address_count = 1;
}

START_TEST(an_answer_now_or_later_comes_to_the_same)
{
    static delivery_world w;
    for (unsigned late = 0; late < 2; late++) {
        prepare(&w, (size_t)_i);
        w.late = late;
        delivery_world_run(&w, cases[_i].recipients);
        compare(&w, (size_t)_i);
    }
}
END_TEST

START_TEST(each_allocation_may_fail)
{
    static delivery_world w;
    for (size_t at = 1;; at++) {
        count_alloc memory = {0};
        prepare(&w, (size_t)_i);
        w.config.alloc = count_alloc_table(&memory);
        memory.fail_at = at;
        delivery_world_run(&w, cases[_i].recipients);
        ck_assert_uint_eq(memory.live, 0);
        ck_assert_uint_eq(memory.lies, 0);
        ck_assert_uint_eq(w.open_connections, 0);
        if (!memory.failed) {
            compare(&w, (size_t)_i);
            break;
        }
        ck_assert_int_eq(w.status, LMAIL_ERR_NOMEM);
        /* Once it has begun, every recipient has its result. */
        for (size_t r = 0; w.ends && r < w.job.recipient_count; r++)
            ck_assert_uint_eq(w.result_count[r], 1);
    }
}
END_TEST

START_TEST(a_stop_leaves_nobody_without_a_result)
{
    static delivery_world w;
    for (unsigned at = 1; at < 8; at++) {
        prepare(&w, (size_t)_i);
        w.late = 1;
        w.stop_at = at;
        delivery_world_run(&w, cases[_i].recipients);
        ck_assert_uint_eq(w.ends, 1);
        ck_assert_uint_eq(w.open_connections, 0);
        for (size_t r = 0; r < w.job.recipient_count; r++)
            ck_assert_uint_eq(w.result_count[r], 1);
    }
}
END_TEST

/* ---- Single facts ---------------------------------------------------------------------------- */

static lmail_status counting(void *ctx, void *out, size_t n)
{
    unsigned char *p = out;
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(++*(unsigned *)ctx * 151u >> 3);
    return LMAIL_OK;
}

START_TEST(equal_preferences_are_spread)
{
    unsigned state = 0, firsts[3] = {0};
    lmail_env env = LMAIL_ENV_INIT;
    env.ctx = &state;
    env.random = counting;
    for (int i = 0; i < 300; i++) {
        static delivery_world w;
        delivery_world_init(
            &w, "mx example.org 10 a.example 10 b.example 10 c.example\n"
                "addr a.example 192.0.2.1\naddr b.example 192.0.2.2\naddr c.example 192.0.2.3\n");
        w.config.env = &env;
        delivery_world_run(&w, "u@example.org");
        firsts[strstr(w.asked, "addr a") ? 0 : strstr(w.asked, "addr b") ? 1 : 2]++;
    }
    for (int i = 0; i < 3; i++)
        ck_assert_msg(firsts[i] > 50 && firsts[i] < 150, "%u %u %u", firsts[0], firsts[1],
                      firsts[2]);
}
END_TEST

START_TEST(what_the_administrator_named_is_never_final_in_the_lookup)
{
    static const struct {
        const char *host, *facts, *result;
    } t[] = {
        {"hub.example", "mx hub.example none\n",
         "u@example.org deferred 451 4.4.4  [] The host that is configured for this mail is "
         "unknown\n"},
        {"[hub.example]", "addr hub.example none\n",
         "u@example.org deferred 550 4.1.2 hub.example [] Host unknown\n"},
        {"[198.51.100.1]", "",
         "u@example.org deferred 451 4.4.6  [] Mail for this destination loops back to this "
         "host\n"},
        {"[192.0.2.7]", "", "u@example.org sent 250 2.0.0 192.0.2.7 [192.0.2.7] queued\n"},
        {"[IPv6:2001:DB8::7]", "",
         "u@example.org sent 250 2.0.0 IPv6:2001:DB8::7 [2001:db8::7] queued\n"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        static delivery_world w;
        delivery_world_init(&w, t[i].facts);
        w.config.own_addresses = &own_address;
        w.config.own_address_count = 1;
        w.host.name = lmail_str_from(t[i].host);
        w.job.named = 1;
        delivery_world_run(&w, "u@example.org");
        ck_assert_str_eq(w.results, t[i].result);
    }
}
END_TEST

START_TEST(own_mx_tries_the_name_itself)
{
    static delivery_world w;
    delivery_world_init(&w, "mx example.org 10 mx.here.example\naddr example.org 192.0.2.1\n");
    w.config.own_names = &own_name;
    w.config.own_name_count = 1;
    w.config.own_mx = 1;
    delivery_world_run(&w, "u@example.org");
    ck_assert_str_eq(w.results, "u@example.org sent 250 2.0.0 example.org [192.0.2.1] queued\n");
}
END_TEST

START_TEST(the_next_of_several_hosts_is_tried)
{
    static delivery_world w;
    lmail_delivery_host hosts[2] = {{LMAIL_STR("[a.example]"), 0, 2525},
                                    {LMAIL_STR("[b.example]"), 0, 0}};
    delivery_world_init(
        &w, "addr b.example 192.0.2.2\naddr a.example 192.0.2.1\nconn 192.0.2.1 refused\n");
    w.job.hosts = hosts;
    w.job.host_count = 2;
    w.job.named = 1;
    delivery_world_run(&w, "u@example.org");
    ck_assert_str_eq(w.asked, "addr a.example\nconnect a.example 192.0.2.1 2525\naddr b.example\n"
                              "connect b.example 192.0.2.2 25\nsend 192.0.2.2 u\n");
}
END_TEST

START_TEST(lmtp_answers_for_each_and_never_by_mx)
{
    static delivery_world w;
    delivery_world_init(
        &w,
        "fin /run/lmtp b@example.org 452 4.2.2 full\nfin /run/lmtp c@example.org 550 5.2.1 gone\n"
        "fin /run/lmtp d@example.org none\n");
    w.host.name = LMAIL_STR("/run/lmtp");
    w.job.mailer = LMAIL_DELIVERY_LMTP;
    w.job.named = 1;
    delivery_world_run(&w, "a@example.org b@example.org c@example.org d@example.org");
    ck_assert_str_eq(w.asked, "connect /run/lmtp /run/lmtp 0\nsend /run/lmtp a b c d\n");
    ck_assert_str_eq(w.results,
                     "a@example.org sent 250 2.0.0 /run/lmtp [/run/lmtp] stored\n"
                     "c@example.org failed 550 5.2.1 /run/lmtp [/run/lmtp] gone\n"
                     "d@example.org deferred 0 4.5.0 /run/lmtp [/run/lmtp] the server said nothing "
                     "about this recipient +doubtful\n"
                     "b@example.org deferred 452 4.2.2 /run/lmtp [/run/lmtp] full\n");
    delivery_world_init(&w, "addr lmtp.example 192.0.2.1\n");
    w.host.name = LMAIL_STR("lmtp.example");
    w.job.mailer = LMAIL_DELIVERY_LMTP;
    delivery_world_run(&w, "a@example.org");
    ck_assert_str_eq(w.asked,
                     "addr lmtp.example\nconnect lmtp.example 192.0.2.1 24\nsend 192.0.2.1 a\n");
    /* A domain of a stranger is never a path. */
    delivery_world_init(&w, "");
    w.host.name = LMAIL_STR("/run/lmtp");
    delivery_world_run(&w, "a@example.org");
    ck_assert_int_eq(w.status, LMAIL_ERR_ARG);
}
END_TEST

START_TEST(an_open_connection_spares_the_lookups)
{
    static delivery_world w;
    delivery_world_init(&w, "reuse example.org 192.0.2.9\n");
    w.job.reuse = 1;
    delivery_world_run(&w, "a@example.org");
    ck_assert_str_eq(w.asked, "reuse example.org\nsend 192.0.2.9 a\n");
    ck_assert_str_eq(w.results, "a@example.org sent 250 2.0.0 open.example [192.0.2.9] queued\n");
    ck_assert_uint_eq(w.kept, 1);
    /* The server has given it up meanwhile: no failure. */
    static const char *const gone[] = {"lost", "421 4.4.2 too many messages"};
    for (size_t i = 0; i < 2; i++) {
        char facts[256];
        snprintf(facts, sizeof facts,
                 "reuse example.org 192.0.2.9\nmail 192.0.2.9 %s\naddr example.org 192.0.2.1\n",
                 gone[i]);
        delivery_world_init(&w, facts);
        w.job.reuse = 1;
        delivery_world_run(&w, "a@example.org");
        ck_assert_str_eq(w.asked,
                         "reuse example.org\nsend 192.0.2.9 a\nmx example.org\naddr example.org\n"
                         "connect example.org 192.0.2.1 25\nsend 192.0.2.1 a\n");
        ck_assert_str_eq(w.results,
                         "a@example.org sent 250 2.0.0 example.org [192.0.2.1] queued\n");
        ck_assert_int_eq(w.end.health, LMAIL_DELIVERY_ALIVE);
    }
}
END_TEST

START_TEST(limits_hold)
{
    static delivery_world w;
    const char *many = "mx example.org 1 a.example 2 b.example 3 c.example 4 d.example\n"
                       "addr a.example 192.0.2.1 192.0.2.2 192.0.2.3\naddr b.example 192.0.2.4\n"
                       "addr c.example 192.0.2.5\naddr d.example 192.0.2.6\n";
    char facts[1024] = "";
    snprintf(facts, sizeof facts, "%s", many);
    for (int i = 1; i < 7; i++)
        snprintf(facts + strlen(facts), sizeof facts - strlen(facts), "conn 192.0.2.%d timeout\n",
                 i);
    delivery_world_init(&w, facts);
    w.config.max_addresses = 4;
    delivery_world_run(&w, "u@example.org");
    ck_assert_ptr_nonnull(strstr(w.asked, "192.0.2.4"));
    ck_assert_ptr_null(strstr(w.asked, "192.0.2.5"));
    ck_assert_int_eq(w.end.health, LMAIL_DELIVERY_DOWN);
    delivery_world_init(&w, facts);
    w.config.max_hosts = 1;
    delivery_world_run(&w, "u@example.org");
    ck_assert_ptr_null(strstr(w.asked, "addr b"));
    delivery_world_init(&w, facts);
    w.config.connect_limit = 60000;
    w.cost = 20000;
    w.late = 1; /* time passes between the calls */
    delivery_world_run(&w, "u@example.org");
    ck_assert_ptr_nonnull(strstr(w.asked, "192.0.2.1"));
    ck_assert_ptr_null(strstr(w.asked, "192.0.2.3"));
    for (int i = 1; i < 7; i++) /* servers that answer and put off */
        snprintf(facts, sizeof facts,
                 "%smail 192.0.2.1 450 x\nmail 192.0.2.2 450 x\nmail 192.0.2.3 450 x\n", many);
    delivery_world_init(&w, facts);
    w.config.max_sessions = 2;
    delivery_world_run(&w, "u@example.org");
    ck_assert_ptr_nonnull(strstr(w.asked, "192.0.2.2"));
    ck_assert_ptr_null(strstr(w.asked, "192.0.2.3"));
    ck_assert_int_eq(w.end.health, LMAIL_DELIVERY_ALIVE);
}
END_TEST

START_TEST(a_host_that_is_down_is_passed_over)
{
    lmail_delivery_status_config c = LMAIL_DELIVERY_STATUS_CONFIG_INIT;
    lmail_delivery_status *t;
    c.most = 1800000;
    ck_assert_int_eq(lmail_delivery_status_new(&t, &c), LMAIL_OK);
    for (int i = 0; i < 2; i++) {
        static delivery_world w;
        delivery_world_init(&w, "addr example.org 192.0.2.1 192.0.2.2\nconn 192.0.2.1 timeout\n");
        w.job.status = t;
        delivery_world_run(&w, "u@example.org");
        ck_assert_int_eq(strstr(w.asked, "connect example.org 192.0.2.1 25\n") != NULL, i == 0);
        ck_assert_str_eq(w.results,
                         "u@example.org sent 250 2.0.0 example.org [192.0.2.2] queued\n");
    }
    lmail_delivery_status_free(t);
}
END_TEST

/* ---- Policy ---------------------------------------------------------------------------------- */

static lmail_policy *policy_of(const char *text)
{
    lmail_policy_config c;
    lmail_policy *p = NULL;
    lmail_policy_config_init(&c);
    c.host_name = LMAIL_STR("mx.here.example");
    c.access = (lmail_policy_file){LMAIL_STR("access"), lmail_str_from(text)};
    ck_assert_int_eq(lmail_policy_new(&p, &c), LMAIL_OK);
    return p;
}

START_TEST(the_access_map_rules_tls)
{
    static const struct {
        const char *map, *conn, *asked, *results;
    } t[] = {
        {"Try_TLS:example.org NO\n", "ok",
         "connect example.org 192.0.2.1 25 clear\nsend 192.0.2.1 a b\n",
         "a@example.org sent 250 2.0.0 example.org [192.0.2.1] queued\n"
         "b@example.org sent 250 2.0.0 example.org [192.0.2.1] queued\n"},
        {"TLS_Srv:example.org ENCR:128\n", "ok", "connect example.org 192.0.2.1 25\n",
         "a@example.org deferred 454 4.7.0 example.org [192.0.2.1] encryption too weak 0 less than "
         "128\n"
         "b@example.org deferred 454 4.7.0 example.org [192.0.2.1] encryption too weak 0 less than "
         "128\n"},
        {"TLS_Srv:example.org ENCR:128\n", "ok bits=256",
         "connect example.org 192.0.2.1 25\nsend 192.0.2.1 a b\n",
         "a@example.org sent 250 2.0.0 example.org [192.0.2.1] queued\n"
         "b@example.org sent 250 2.0.0 example.org [192.0.2.1] queued\n"},
        {"TLS_Rcpt:b@example.org VERIFY\n", "ok bits=256",
         "connect example.org 192.0.2.1 25\nsend 192.0.2.1 a\n",
         "a@example.org sent 250 2.0.0 example.org [192.0.2.1] queued\n"
         "b@example.org deferred 454 4.7.0 example.org [192.0.2.1] other side does not support "
         "STARTTLS\n"},
        {"TLS_Rcpt:b@example.org VERIFY\n", "ok bits=256 verified",
         "connect example.org 192.0.2.1 25\nsend 192.0.2.1 a b\n",
         "a@example.org sent 250 2.0.0 example.org [192.0.2.1] queued\n"
         "b@example.org sent 250 2.0.0 example.org [192.0.2.1] queued\n"},
        {"AuthInfo:example.org \"U:me\" \"I:juan\" \"P:secret\"\n", "ok",
         "connect example.org 192.0.2.1 25 as juan\nsend 192.0.2.1 a b\n",
         "a@example.org sent 250 2.0.0 example.org [192.0.2.1] queued\n"
         "b@example.org sent 250 2.0.0 example.org [192.0.2.1] queued\n"},
        /* A password never goes in clear because TLS failed. */
        {"AuthInfo:example.org \"U:me\" \"I:juan\" \"P:secret\"\n", "tls",
         "connect example.org 192.0.2.1 25 as juan\n",
         "a@example.org deferred 0 4.7.5 example.org [192.0.2.1] TLS failed while starting TLS\n"
         "b@example.org deferred 0 4.7.5 example.org [192.0.2.1] TLS failed while starting TLS\n"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        static delivery_world w;
        char facts[256];
        const char *lookups = "mx example.org\naddr example.org\n";
        lmail_policy *p = policy_of(t[i].map);
        snprintf(facts, sizeof facts, "addr example.org 192.0.2.1\nconn 192.0.2.1 %s\n", t[i].conn);
        delivery_world_init(&w, facts);
        w.config.policy = p;
        delivery_world_run(&w, "a@example.org b@example.org");
        ck_assert_str_eq(w.asked + strlen(lookups), t[i].asked);
        ck_assert_str_eq(w.results, t[i].results);
        lmail_policy_free(p);
    }
}
END_TEST

START_TEST(tls_that_must_be_is_not_left_out)
{
    static delivery_world w;
    delivery_world_init(&w, "addr example.org 192.0.2.1\nonce conn 192.0.2.1 tls\n");
    w.job.tls = LMAIL_DELIVERY_TLS_VERIFY;
    delivery_world_run(&w, "u@example.org");
    ck_assert_str_eq(w.results, "u@example.org deferred 0 4.7.5 example.org [192.0.2.1] TLS failed "
                                "while starting TLS\n");
    ck_assert_ptr_nonnull(strstr(w.asked, "25 verify\n"));
}
END_TEST

/* ---- Routes ---------------------------------------------------------------------------------- */

START_TEST(a_route_is_read)
{
    static const struct {
        const char *route, *address, *expect;
    } t[] = {
        {"", "u@example.org", "0 0 example.org/0/0"},
        {"", "\"a@b\"@[192.0.2.7]", "0 0 [192.0.2.7]/0/0"},
        {"", "nobody", "-8"},
        {"", "u@/run/lmtp", "-8"},
        {"esmtp:hub.example", "u@x", "0 1 hub.example/0/0"},
        {"smtp:[hub.example]:b.example@2525", "u@x", "1 1 [hub.example]/1/0 b.example/0/2525"},
        {"relay:[IPv6:2001:db8::1]@26,c.example", "u@x",
         "2 1 [IPv6:2001:db8::1]/1/26 c.example/0/0"},
        {"lmtp:/run/lmtp", "u@x", "3 1 /run/lmtp/0/0"},
        {"lmtp:[127.0.0.1]@2400", "u@x", "3 1 [127.0.0.1]/1/2400"},
        {"esmtp:", "u@x", "-8"},
        {"esmtp:a@0", "u@x", "-8"},
        {"esmtp:a@65536", "u@x", "-8"},
        {"prog:a", "u@x", "-8"},
        {"esmtp:a:b:c:d", "u@x", "-9"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        lmail_delivery_job job = LMAIL_DELIVERY_JOB_INIT;
        lmail_delivery_host hosts[3];
        char out[256];
        lmail_status st = lmail_delivery_route(lmail_str_from(t[i].route),
                                               lmail_str_from(t[i].address), &job, hosts, 3);
        int n = st ? snprintf(out, sizeof out, "%d", st)
                   : snprintf(out, sizeof out, "%d %u", job.mailer, job.named);
        for (size_t k = 0; !st && k < job.host_count; k++)
            n += snprintf(out + n, sizeof out - (size_t)n, " %.*s/%u/%u", (int)hosts[k].name.len,
                          hosts[k].name.ptr, hosts[k].no_mx, hosts[k].port);
        ck_assert_msg(strcmp(out, t[i].expect) == 0, "%s: %s", t[i].route, out);
    }
}
END_TEST

START_TEST(codes_are_made_where_there_are_none)
{
    static const struct {
        unsigned code, class;
        lmail_delivery_phase phase;
        const char *given, *expect;
    } t[] = {
        {550, 5, LMAIL_DELIVERY_AT_RCPT, "5.1.1", "5.1.1"},
        {550, 5, LMAIL_DELIVERY_AT_RCPT, "", "5.2.0"},
        {550, 5, LMAIL_DELIVERY_AT_MAIL, "", "5.0.0"},
        {452, 4, LMAIL_DELIVERY_AT_RCPT, "", "4.5.3"},
        {452, 4, LMAIL_DELIVERY_AT_END, "", "4.3.1"},
        {250, 2, LMAIL_DELIVERY_AT_END, "", "2.0.0"},
        {250, 2, LMAIL_DELIVERY_AT_END, "2.6.0", "2.6.0"},
        {250, 2, LMAIL_DELIVERY_AT_END, "5.1.1", "2.0.0"},
        {535, 4, LMAIL_DELIVERY_AT_AUTH, "5.7.8", "4.7.8"},
        {550, 5, LMAIL_DELIVERY_AT_RCPT, "5.01.1", "5.2.0"},
        {550, 5, LMAIL_DELIVERY_AT_RCPT, "5.1", "5.2.0"},
        {550, 5, LMAIL_DELIVERY_AT_RCPT, "5.1.1000", "5.2.0"},
        {550, 5, LMAIL_DELIVERY_AT_RCPT, "3.1.1", "5.2.0"},
        {550, 5, LMAIL_DELIVERY_AT_RCPT, "5.999.999", "5.999.999"},
        {550, 5, LMAIL_DELIVERY_AT_RCPT, "5.1.1.", "5.2.0"},
        {554, 5, LMAIL_DELIVERY_AT_END, "2.0.0", "5.0.0"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char out[12];
        lmail_delivery_word w = {
            LMAIL_DELIVERY_REPLY, t[i].phase, t[i].code, lmail_str_from(t[i].given), {NULL, 0}};
        ck_assert_uint_eq(lmail_delivery_enhanced(&w, t[i].class, out), strlen(t[i].expect));
        ck_assert_str_eq(out, t[i].expect);
    }
}
END_TEST

Suite *delivery_machine_suite(void)
{
    Suite *s = suite_create("delivery_machine");
    TCase *tc = tcase_create("delivery_machine");
    int count = (int)(sizeof cases / sizeof *cases);
    tcase_add_loop_test(tc, an_answer_now_or_later_comes_to_the_same, 0, count);
    tcase_add_loop_test(tc, each_allocation_may_fail, 0, count);
    tcase_add_loop_test(tc, a_stop_leaves_nobody_without_a_result, 0, count);
    tcase_add_test(tc, equal_preferences_are_spread);
    tcase_add_test(tc, what_the_administrator_named_is_never_final_in_the_lookup);
    tcase_add_test(tc, own_mx_tries_the_name_itself);
    tcase_add_test(tc, the_next_of_several_hosts_is_tried);
    tcase_add_test(tc, lmtp_answers_for_each_and_never_by_mx);
    tcase_add_test(tc, an_open_connection_spares_the_lookups);
    tcase_add_test(tc, limits_hold);
    tcase_add_test(tc, a_host_that_is_down_is_passed_over);
    tcase_add_test(tc, the_access_map_rules_tls);
    tcase_add_test(tc, tls_that_must_be_is_not_left_out);
    tcase_add_test(tc, a_route_is_read);
    tcase_add_test(tc, codes_are_made_where_there_are_none);
    suite_add_tcase(s, tc);
    return s;
}
