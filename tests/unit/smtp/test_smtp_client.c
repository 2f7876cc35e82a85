/* The client session where a dialogue does not reach: arguments, memory, lent octets, one write,
 * secrets, slow servers. */
#include "support/count_alloc.h"

#include <libmail/smtp_client.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define BIG 1000000u

typedef struct host {
    lmail_smtp_client_setup *setup;
    lmail_smtp_client *s;
    char *message; /* BIG octets, or NULL: a short one */
    size_t least_want;
    unsigned asked, released, results, ended;
    lmail_smtp_outcome outcome;
    lmail_smtp_cause cause;
    unsigned code;
    lmail_status reentrant;
    count_alloc c;
} host;

static const char small[] = "Subject: x\r\n\r\nbody\r\n";

static lmail_status on_octets(lmail_smtp_client *s, void *user, lmail_ticket t,
                              const lmail_smtp_client_octets_event *ev,
                              lmail_smtp_client_octets_answer *a)
{
    host *h = user;
    (void)s, (void)t;
    size_t size = h->message ? BIG : sizeof small - 1, n = size - (size_t)ev->offset;
    if (ev->want < h->least_want || !h->least_want)
        h->least_want = ev->want;
    if (n > ev->want)
        n = ev->want;
    h->asked++;
    a->octets = (lmail_str){(h->message ? h->message : small) + ev->offset, n};
    a->end = ev->offset + n == size;
    return LMAIL_OK;
}

static void on_released(lmail_smtp_client *s, void *user, lmail_ticket t)
{
    (void)s, (void)t;
    ((host *)user)->released++;
}

static void on_recipient(lmail_smtp_client *s, void *user, const lmail_smtp_recipient_event *ev)
{
    host *h = user;
    lmail_smtp_client_mail m = LMAIL_SMTP_CLIENT_MAIL_INIT;
    lmail_ticket t;
    h->results++;
    h->outcome = ev->outcome;
    h->cause = ev->cause;
    h->code = ev->reply.code;
    h->reentrant = lmail_smtp_client_submit_mail(s, &m, &t, 0);
}

static void on_end(lmail_smtp_client *s, void *user, const lmail_smtp_client_end_event *ev)
{
    (void)s, (void)ev;
    ((host *)user)->ended++;
}

static lmail_status on_auth(lmail_smtp_client *s, void *user, lmail_ticket t,
                            const lmail_smtp_client_auth_event *ev,
                            lmail_smtp_client_auth_answer *a)
{
    (void)s, (void)user, (void)t;
    if (ev->finished)
        return LMAIL_OK;
    a->kind = LMAIL_SMTP_AUTH_SEND;
    a->mechanism = LMAIL_STR("PLAIN");
    a->has_response = 1;
    a->response = (lmail_str){"\0u\0hunter2hunter2", 17};
    return LMAIL_OK;
}

static void fill(host *h, lmail_smtp_client_config *c, lmail_smtp_client_handler *on)
{
    lmail_smtp_client_config_init(c);
    lmail_smtp_client_handler_init(on);
    c->helo_name = LMAIL_STR("c.example");
    c->alloc = count_alloc_table(&h->c);
    on->on_octets = on_octets;
    on->on_released = on_released;
    on->on_recipient = on_recipient;
    on->on_end = on_end;
}

static void start(host *h, const lmail_smtp_client_config *c, const lmail_smtp_client_handler *on)
{
    ck_assert_int_eq(lmail_smtp_client_setup_new(&h->setup, c, on), LMAIL_OK);
    ck_assert_int_eq(lmail_smtp_client_new(&h->s, h->setup, NULL, h, 0), LMAIL_OK);
}

static void finish(host *h)
{
    lmail_smtp_client_free(h->s);
    lmail_smtp_client_setup_free(h->setup);
    ck_assert_uint_eq(h->ended, 1);
    ck_assert_uint_eq(h->c.live, 0);
    ck_assert_uint_eq(h->c.lies, 0);
    free(h->message);
}

static void hear(host *h, const char *text)
{
    size_t used;
    ck_assert_int_eq(lmail_smtp_client_feed(h->s, lmail_str_from(text), &used, 0), LMAIL_OK);
    ck_assert_uint_eq(used, strlen(text));
}

static size_t drain(host *h)
{
    lmail_str out;
    size_t n = 0;
    while (lmail_smtp_client_peek(h->s, &out, 1)) {
        n += out.len;
        ck_assert_int_eq(lmail_smtp_client_sent(h->s, out.len, 0), LMAIL_OK);
    }
    return n;
}

static lmail_ticket submit(host *h)
{
    static const lmail_smtp_client_rcpt to[] = {{{"b@y.example", 11}, 0, {NULL, 0}, {NULL, 0}},
                                                {{"c@y.example", 11}, 0, {NULL, 0}, {NULL, 0}}};
    lmail_smtp_client_mail m = LMAIL_SMTP_CLIENT_MAIL_INIT;
    lmail_ticket t = 0;
    m.from = LMAIL_STR("a@x.example");
    m.recipients = to;
    m.recipient_count = 2;
    ck_assert_int_eq(lmail_smtp_client_submit_mail(h->s, &m, &t, 0), LMAIL_OK);
    ck_assert(t != 0);
    return t;
}

static void greet(host *h, const char *keywords)
{
    hear(h, "220 mx.example\r\n");
    drain(h);
    hear(h, keywords);
}

START_TEST(a_setup_refuses_what_it_cannot_work_with)
{
    host h = {0};
    lmail_smtp_client_config c;
    lmail_smtp_client_handler on;
    static const char *const bad_names[] = {"", "two words", "a\r\nb", "a..b", "[1.2.3", "<x>"};
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++) {
        fill(&h, &c, &on);
        c.helo_name = lmail_str_from(bad_names[i]);
        ck_assert_int_eq(lmail_smtp_client_setup_new(&h.setup, &c, &on), LMAIL_ERR_ARG);
    }
    fill(&h, &c, &on);
    on.on_octets = NULL;
    ck_assert_int_eq(lmail_smtp_client_setup_new(&h.setup, &c, &on), LMAIL_ERR_ARG);
    fill(&h, &c, &on);
    c.max_reply_line = 511;
    ck_assert_int_eq(lmail_smtp_client_setup_new(&h.setup, &c, &on), LMAIL_ERR_ARG);
    fill(&h, &c, &on);
    c.size = sizeof c + 1;
    ck_assert_int_eq(lmail_smtp_client_setup_new(&h.setup, &c, &on), LMAIL_ERR_SIZE);
    fill(&h, &c, &on);
    start(&h, &c, &on);
    lmail_smtp_client_target t;
    lmail_smtp_client *s;
    lmail_smtp_client_target_init(&t);
    t.helo_name = LMAIL_STR("a b");
    ck_assert_int_eq(lmail_smtp_client_new(&s, h.setup, &t, NULL, 0), LMAIL_ERR_ARG);
    finish(&h);
}
END_TEST

START_TEST(submit_refuses_malformed_envelopes)
{
    host h = {0};
    lmail_smtp_client_config c;
    lmail_smtp_client_handler on;
    lmail_ticket t;
    fill(&h, &c, &on);
    start(&h, &c, &on);
    lmail_smtp_client_rcpt to = {{"b@y.example", 11}, 0, {NULL, 0}, {NULL, 0}};
    lmail_smtp_client_mail m = LMAIL_SMTP_CLIENT_MAIL_INIT;
    ck_assert_int_eq(lmail_smtp_client_submit_mail(h.s, &m, &t, 0), LMAIL_ERR_ARG);
    m.recipients = &to;
    m.recipient_count = 1;
    m.body = (lmail_smtp_body_type)9;
    ck_assert_int_eq(lmail_smtp_client_submit_mail(h.s, &m, &t, 0), LMAIL_ERR_ARG);
    m.body = LMAIL_SMTP_BODY_NONE;
    to.notify = LMAIL_SMTP_NOTIFY_NEVER | LMAIL_SMTP_NOTIFY_DELAY;
    ck_assert_int_eq(lmail_smtp_client_submit_mail(h.s, &m, &t, 0), LMAIL_ERR_ARG);
    to.notify = 0;
    to.orcpt_type = LMAIL_STR("rfc822;x NOTIFY=NEVER");
    ck_assert_int_eq(lmail_smtp_client_submit_mail(h.s, &m, &t, 0), LMAIL_ERR_ARG);
    m.size = 3;
    ck_assert_int_eq(lmail_smtp_client_submit_mail(h.s, &m, &t, 0), LMAIL_ERR_SIZE);
    ck_assert_uint_eq(lmail_smtp_client_queued(h.s), 0);
    finish(&h);
}
END_TEST

START_TEST(an_envelope_is_one_write_and_messages_cost_no_allocation)
{
    host h = {0};
    lmail_smtp_client_config c;
    lmail_smtp_client_handler on;
    size_t requests = 0;
    fill(&h, &c, &on);
    start(&h, &c, &on);
    greet(&h, "250-mx\r\n250 PIPELINING\r\n");
    for (unsigned i = 0; i < 5; i++) {
        lmail_str out[4];
        if (i == 2)
            requests = h.c.requests;
        submit(&h);
        ck_assert_uint_eq(lmail_smtp_client_peek(h.s, out, 4), 1);
        ck_assert(memmem(out[0].ptr, out[0].len, "DATA\r\n", 6) != NULL);
        drain(&h);
        hear(&h, "250 a\r\n250 b\r\n250 c\r\n354 d\r\n");
        drain(&h);
        hear(&h, "250 done\r\n");
        ck_assert_uint_eq(h.results, 2 * (i + 1));
        ck_assert_int_eq(h.outcome, LMAIL_SMTP_ACCEPTED);
        ck_assert_int_eq(h.reentrant, LMAIL_ERR_REENTRANT);
    }
    ck_assert_uint_eq(h.c.requests, requests);
    finish(&h);
}
END_TEST

static char *big_message(void)
{
    char *m = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        m[i] = i % 80 == 79 ? '\n' : i % 80 == 78 ? '\r' : (char)('a' + i % 26);
    memcpy(m + BIG - 2, "\r\n", 2);
    return m;
}

/* Octets go out from the host's own memory, in pieces, whatever is done with the dots. */
static void send_big(const char *keywords, int dots)
{
    host h = {0};
    lmail_smtp_client_config c;
    lmail_smtp_client_handler on;
    size_t lent = 0, total = 0;
    fill(&h, &c, &on);
    start(&h, &c, &on);
    h.message = big_message();
    if (dots)
        for (size_t i = 8000; i < BIG; i += 8000)
            h.message[i] = '.';
    greet(&h, keywords);
    submit(&h);
    drain(&h);
    hear(&h, "250 a\r\n250 b\r\n250 c\r\n");
    if (!strstr(keywords, "CHUNKING"))
        hear(&h, "354 go\r\n");
    for (lmail_str out; lmail_smtp_client_peek(h.s, &out, 1);) {
        if (out.ptr >= h.message && out.ptr < h.message + BIG)
            lent += out.len;
        size_t n = out.len > 1000 ? 1000 : out.len; /* a server that takes little at a time */
        total += n;
        lent -= out.ptr >= h.message && out.ptr < h.message + BIG ? out.len - n : 0;
        ck_assert_int_eq(lmail_smtp_client_sent(h.s, n, 0), LMAIL_OK);
        ck_assert(h.c.peak < 40000);
    }
    ck_assert(total >= BIG && total < BIG + 1000);
    ck_assert(lent > BIG - 5000);
    ck_assert_uint_ge(h.least_want, 65536);
    ck_assert_uint_eq(h.asked, h.released);
    hear(&h, strstr(keywords, "CHUNKING") ? "250 1\r\n250 2\r\n250 3\r\n250 4\r\n" : "250 ok\r\n");
    ck_assert_int_eq(h.outcome, LMAIL_SMTP_ACCEPTED);
    finish(&h);
}

START_TEST(big_messages_are_lent)
{
    send_big("250-mx\r\n250 PIPELINING\r\n", 0);
    send_big("250-mx\r\n250 PIPELINING\r\n", 1);
    send_big("250-mx\r\n250-CHUNKING\r\n250 PIPELINING\r\n", 1);
}
END_TEST

START_TEST(a_verdict_in_the_middle_of_a_message_stands)
{
    host h = {0};
    lmail_smtp_client_config c;
    lmail_smtp_client_handler on;
    fill(&h, &c, &on);
    start(&h, &c, &on);
    h.message = big_message();
    greet(&h, "250-mx\r\n250 PIPELINING\r\n");
    submit(&h);
    drain(&h);
    hear(&h, "250 a\r\n250 b\r\n250 c\r\n354 go\r\n");
    ck_assert(lmail_session_unsent(lmail_smtp_client_session(h.s)) > 65536);
    ck_assert(lmail_smtp_client_wants(h.s) & LMAIL_WANT_READ); /* RFC 2920 §3.1 */
    hear(&h, "552 5.3.4 enough\r\n");
    ck_assert_uint_eq(h.results, 2);
    ck_assert_int_eq(h.outcome, LMAIL_SMTP_FAILED);
    ck_assert_uint_eq(h.code, 552);
    drain(&h);
    ck_assert(lmail_smtp_client_wants(h.s) & LMAIL_WANT_CLOSE);
    finish(&h);
}
END_TEST

START_TEST(a_slow_server_is_given_time_while_it_takes_something)
{
    host h = {0};
    lmail_smtp_client_config c;
    lmail_smtp_client_handler on;
    fill(&h, &c, &on);
    start(&h, &c, &on);
    h.message = big_message();
    greet(&h, "250-mx\r\n250 PIPELINING\r\n");
    submit(&h);
    drain(&h);
    hear(&h, "250 a\r\n250 b\r\n250 c\r\n354 go\r\n");
    lmail_msec now = 0;
    for (unsigned i = 0; i < 10; i++) {
        now += 179999;
        ck_assert_int_eq(lmail_smtp_client_tick(h.s, now), LMAIL_OK);
        ck_assert_int_eq(lmail_smtp_client_sent(h.s, 1, now), LMAIL_OK);
        ck_assert_uint_eq(lmail_smtp_client_deadline(h.s), now + 180000);
    }
    ck_assert_int_eq(lmail_smtp_client_tick(h.s, now + 180000), LMAIL_OK);
    ck_assert_int_eq(h.outcome, LMAIL_SMTP_UNSENT);
    ck_assert_int_eq(h.cause, LMAIL_SMTP_CAUSE_TIMEOUT);
    finish(&h);
}
END_TEST

START_TEST(free_tells_what_is_left)
{
    host h = {0};
    lmail_smtp_client_config c;
    lmail_smtp_client_handler on;
    fill(&h, &c, &on);
    start(&h, &c, &on);
    submit(&h);
    submit(&h);
    greet(&h, "250 mx\r\n");
    finish(&h);
    ck_assert_uint_eq(h.results, 4);
    ck_assert_int_eq(h.outcome, LMAIL_SMTP_UNSENT);
    ck_assert_int_eq(h.cause, LMAIL_SMTP_CAUSE_FREED);
}
END_TEST

/* An allocator that looks at what it gets back. */
static unsigned leaks;

static void *looking(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    (void)ctx;
    if (ptr &&
        (memmem(ptr, old_size, "hunter2", 7) || memmem(ptr, old_size, "aHVudGVyMm", 10) ||
         memmem(ptr, old_size, "h1bnRlcjJod", 11) || memmem(ptr, old_size, "odW50ZXIya", 10)))
        leaks++;
    if (!new_size) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, new_size);
}

START_TEST(secrets_are_wiped_before_memory_is_given_back)
{
    host h = {0};
    lmail_smtp_client_config c;
    lmail_smtp_client_handler on;
    fill(&h, &c, &on);
    c.alloc = (lmail_alloc){NULL, looking};
    on.on_auth = on_auth;
    start(&h, &c, &on);
    greet(&h, "250-mx\r\n250 AUTH PLAIN\r\n");
    lmail_str out;
    ck_assert_uint_eq(lmail_smtp_client_peek(h.s, &out, 1), 1);
    ck_assert(memmem(out.ptr, out.len, "AHUAaHVudGVyMmh1bnRlcjI=", 24) != NULL);
    leaks = 0;
    char *copy = malloc(out.len);
    memcpy(copy, out.ptr, out.len);
    looking(NULL, copy, out.len, 0);
    ck_assert_uint_eq(leaks, 1); /* it would be seen */
    leaks = 0;
    drain(&h);
    hear(&h, "235 in\r\n");
    ck_assert(lmail_str_equal(lmail_smtp_client_mechanism(h.s), LMAIL_STR("PLAIN")));
    lmail_smtp_client_free(h.s);
    lmail_smtp_client_setup_free(h.setup);
    ck_assert_uint_eq(leaks, 0);
    /* And when it never was sent. */
    start(&h, &c, &on);
    greet(&h, "250-mx\r\n250 AUTH PLAIN\r\n");
    lmail_smtp_client_free(h.s);
    lmail_smtp_client_setup_free(h.setup);
    ck_assert_uint_eq(leaks, 0);
}
END_TEST

START_TEST(names_are_those_of_the_lists)
{
    ck_assert_str_eq(lmail_smtp_phase_name(LMAIL_SMTP_PHASE_GREETING), "GREETING");
    ck_assert_str_eq(lmail_smtp_phase_name(LMAIL_SMTP_PHASE_QUIT), "QUIT");
    ck_assert_ptr_null(lmail_smtp_phase_name(LMAIL_SMTP_PHASE_COUNT));
    ck_assert_str_eq(lmail_smtp_outcome_name(LMAIL_SMTP_UNSURE), "UNSURE");
    ck_assert_ptr_null(lmail_smtp_outcome_name((lmail_smtp_outcome)6));
    ck_assert_str_eq(lmail_smtp_cause_name(LMAIL_SMTP_CAUSE_FREED), "FREED");
    ck_assert_str_eq(lmail_smtp_cause_name(LMAIL_SMTP_CAUSE_POLICY), "POLICY");
    ck_assert_ptr_null(lmail_smtp_cause_name((lmail_smtp_cause)11));
}
END_TEST

Suite *smtp_client_suite(void)
{
    Suite *s = suite_create("smtp_client");
    TCase *t = tcase_create("session");
    tcase_add_test(t, a_setup_refuses_what_it_cannot_work_with);
    tcase_add_test(t, submit_refuses_malformed_envelopes);
    tcase_add_test(t, an_envelope_is_one_write_and_messages_cost_no_allocation);
    tcase_add_test(t, big_messages_are_lent);
    tcase_add_test(t, a_verdict_in_the_middle_of_a_message_stands);
    tcase_add_test(t, a_slow_server_is_given_time_while_it_takes_something);
    tcase_add_test(t, free_tells_what_is_left);
    tcase_add_test(t, secrets_are_wiped_before_memory_is_given_back);
    tcase_add_test(t, names_are_those_of_the_lists);
    suite_add_tcase(s, t);
    return s;
}
