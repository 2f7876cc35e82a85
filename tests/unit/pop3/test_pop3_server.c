/* The POP3 server as a C program meets it: setups, answers that break a rule, tickets, reentrancy,
 * lent octets. What is said on the wire stands in tests/wire/pop3. */
#include "support/count_alloc.h"

#include <libmail/pop3.h>

#include <check.h>
#include <string.h>

Suite *pop3_server_suite(void);

static count_alloc counter;
static lmail_pop3_server_config config;
static lmail_pop3_server_handler handler;
static lmail_pop3_server_setup *made;
static lmail_pop3_server *s;
static lmail_ticket ticket, released;
static int release_count, cancels, free_inside;
static lmail_status inner;
static lmail_pop3_octets_event asked;
static char secret_seen[16];
static const char *secret_at;

static const uint64_t sizes[3] = {5000, 20, 0};
static char text[5000];

static lmail_status on_connect(lmail_pop3_server *x, void *user, lmail_ticket t,
                               const lmail_pop3_connect_event *ev, lmail_pop3_connect_answer *a)
{
    (void)user;
    (void)ev;
    (void)a;
    ticket = t;
    /* From a callback nothing may be changed. */
    size_t used;
    inner = lmail_pop3_server_feed(x, LMAIL_STR("NOOP\r\n"), &used, 0);
    if (free_inside)
        lmail_pop3_server_free(x);
    return free_inside ? LMAIL_OK : LMAIL_PENDING;
}

static lmail_status on_login(lmail_pop3_server *x, void *user, lmail_ticket t,
                             const lmail_pop3_login_event *ev, lmail_auth_answer *a)
{
    (void)x;
    (void)user;
    (void)a;
    ticket = t;
    memcpy(secret_seen, ev->password.ptr, ev->password.len);
    secret_at = ev->password.ptr;
    return LMAIL_PENDING;
}

static lmail_status on_maildrop(lmail_pop3_server *x, void *user, lmail_ticket t,
                                const lmail_pop3_maildrop_event *ev, lmail_pop3_maildrop_answer *a)
{
    (void)x;
    (void)user;
    (void)ev;
    (void)a;
    ticket = t;
    return LMAIL_PENDING;
}

static lmail_status on_uidl(lmail_pop3_server *x, void *user, lmail_ticket t,
                            const lmail_pop3_uidl_event *ev, lmail_pop3_uidl_answer *a)
{
    (void)x;
    (void)user;
    (void)ev;
    (void)a;
    ticket = t;
    return LMAIL_PENDING;
}

static lmail_status on_octets(lmail_pop3_server *x, void *user, lmail_ticket t,
                              const lmail_pop3_octets_event *ev, lmail_pop3_octets_answer *a)
{
    (void)x;
    (void)user;
    (void)a;
    ticket = t;
    asked = *ev;
    return LMAIL_PENDING;
}

static void on_released(lmail_pop3_server *x, void *user, lmail_ticket t)
{
    (void)x;
    (void)user;
    released = t;
    release_count++;
}

static lmail_status on_update(lmail_pop3_server *x, void *user, lmail_ticket t,
                              const lmail_pop3_update_event *ev, lmail_pop3_update_answer *a)
{
    (void)x;
    (void)user;
    (void)ev;
    (void)a;
    ticket = t;
    return LMAIL_PENDING;
}

static void on_cancel(lmail_pop3_server *x, void *user, lmail_ticket t)
{
    (void)x;
    (void)user;
    (void)t;
    cancels++;
}

static void fill(void)
{
    counter = (count_alloc){0};
    lmail_pop3_server_config_init(&config);
    lmail_pop3_server_handler_init(&handler);
    config.alloc = count_alloc_table(&counter);
    config.flags_on = LMAIL_POP3_CLEARTEXT;
    handler.on_login = on_login;
    handler.on_maildrop = on_maildrop;
    handler.on_uidl = on_uidl;
    handler.on_octets = on_octets;
    handler.on_released = on_released;
    handler.on_update = on_update;
    handler.on_cancel = on_cancel;
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof text - 2, "\r\n", 2);
    release_count = cancels = free_inside = 0;
    released = ticket = 0;
}

static void begin(void)
{
    ck_assert_int_eq(lmail_pop3_server_setup_new(&made, &config, &handler), LMAIL_OK);
    ck_assert_int_eq(lmail_pop3_server_new(&s, made, NULL, 0), LMAIL_OK);
}

static void end(void)
{
    lmail_pop3_server_free(s);
    lmail_pop3_server_setup_free(made);
    ck_assert_uint_eq(counter.live, 0);
    ck_assert_uint_eq(counter.lies, 0);
}

static void feed(const char *line)
{
    size_t used;
    lmail_str in = lmail_str_from(line);
    ck_assert_int_eq(lmail_pop3_server_feed(s, in, &used, 0), LMAIL_OK);
    ck_assert_uint_eq(used, in.len);
}

static void drain(void)
{
    lmail_str part;
    while (lmail_pop3_server_peek(s, &part, 1))
        ck_assert_int_eq(lmail_pop3_server_sent(s, part.len, 0), LMAIL_OK);
}

static void log_in(void)
{
    lmail_auth_answer ok = LMAIL_AUTH_ANSWER_INIT;
    lmail_pop3_maildrop_answer drop = {.size = sizeof drop, .sizes = sizes, .count = 3};
    feed("USER alice\r\n");
    feed("PASS secret\r\n");
    ok.kind = LMAIL_AUTH_OK;
    ok.identity = LMAIL_STR("alice@example");
    ck_assert_int_eq(lmail_pop3_server_answer_auth(s, ticket, &ok, 0), LMAIL_OK);
    ck_assert_int_eq(lmail_pop3_server_state(s), LMAIL_POP3_STATE_OPENING);
    ck_assert_int_eq(lmail_pop3_server_answer_maildrop(s, ticket, &drop, 0), LMAIL_OK);
    ck_assert_int_eq(lmail_pop3_server_state(s), LMAIL_POP3_STATE_TRANSACTION);
    ck_assert(lmail_str_equal(lmail_pop3_server_identity(s), LMAIL_STR("alice@example")));
    drain();
}

START_TEST(a_faulty_setup_is_refused)
{
    lmail_str words[1] = {LMAIL_STR("hello <there>")};
    lmail_pop3_language language = {LMAIL_STR("en"), LMAIL_STR(""), words, 1};
    fill();
    switch (_i) {
    case 0:
        handler.on_maildrop = NULL;
        break;
    case 1:
        handler.on_octets = NULL;
        break;
    case 2:
        config.max_line = 254; /* RFC 2449 §4 */
        break;
    case 3:
        config.host_name = LMAIL_STR("two words");
        break;
    case 4:
        config.implementation = LMAIL_STR("line\r\nbreak");
        break;
    case 5: /* RFC 2449 §3: only a timestamp brings "<" */
        config.languages = &language;
        config.language_count = 1;
        break;
    case 6:
        words[0] = LMAIL_STR("gr\xc3\xbc\xc3\x9f"); /* before LANG all is ASCII */
        config.languages = &language;
        config.language_count = 1;
        break;
    case 7:
        language.tag = LMAIL_STR("");
        config.languages = &language;
        config.language_count = 1;
        break;
    default:
        handler.on_auth = (lmail_status(*)(lmail_pop3_server *, void *, lmail_ticket,
                                           const lmail_auth_event *, lmail_auth_answer *))1;
        break;
    }
    ck_assert_int_eq(lmail_pop3_server_setup_new(&made, &config, &handler), LMAIL_ERR_ARG);
    ck_assert_ptr_null(made);
    ck_assert_uint_eq(counter.live, 0);
}
END_TEST

START_TEST(a_struct_of_a_newer_library_is_refused)
{
    fill();
    config.size++;
    ck_assert_int_eq(lmail_pop3_server_setup_new(&made, &config, &handler), LMAIL_ERR_SIZE);
    config.size--;
    handler.size++;
    ck_assert_int_eq(lmail_pop3_server_setup_new(&made, &config, &handler), LMAIL_ERR_SIZE);
}
END_TEST

START_TEST(inside_a_callback_the_session_cannot_be_changed)
{
    fill();
    handler.on_connect = on_connect;
    begin();
    ck_assert_int_eq(lmail_pop3_server_tick(s, 0), LMAIL_OK);
    ck_assert_int_eq(inner, LMAIL_ERR_REENTRANT);
    ck_assert_int_eq(lmail_pop3_server_state(s), LMAIL_POP3_STATE_GREETING);
    lmail_pop3_connect_answer a = {.size = sizeof a, .text = LMAIL_STR("hi <there>")};
    ck_assert_int_eq(lmail_pop3_server_answer_connect(s, ticket, &a, 0), LMAIL_ERR_ARG);
    a.text = LMAIL_STR("hi\r\nthere");
    ck_assert_int_eq(lmail_pop3_server_answer_connect(s, ticket, &a, 0), LMAIL_ERR_ARG);
    a.text = LMAIL_STR("hi");
    ck_assert_int_eq(lmail_pop3_server_answer_connect(s, ticket, &a, 0), LMAIL_OK);
    ck_assert_int_eq(lmail_pop3_server_answer_connect(s, ticket, &a, 0), LMAIL_ERR_STALE);
    end();
}
END_TEST

START_TEST(free_inside_a_callback_waits_for_its_end)
{
    fill();
    handler.on_connect = on_connect;
    begin();
    free_inside = 1;
    ck_assert_int_eq(lmail_pop3_server_tick(s, 0), LMAIL_OK);
    s = NULL;
    end();
}
END_TEST

START_TEST(answers_that_break_a_rule_leave_the_ticket_out)
{
    lmail_auth_answer auth = LMAIL_AUTH_ANSWER_INIT;
    fill();
    begin();
    feed("USER alice\r\n");
    feed("PASS secret\r\n");
    auth.kind = LMAIL_AUTH_CONTINUE; /* PASS knows no challenge */
    ck_assert_int_eq(lmail_pop3_server_answer_auth(s, ticket, &auth, 0), LMAIL_ERR_ARG);
    auth.kind = LMAIL_AUTH_OK; /* as nobody */
    ck_assert_int_eq(lmail_pop3_server_answer_auth(s, ticket, &auth, 0), LMAIL_ERR_ARG);
    auth.identity = LMAIL_STR("alice");
    lmail_pop3_maildrop_answer drop = {.size = sizeof drop, .sizes = sizes, .count = 3};
    ck_assert_int_eq(lmail_pop3_server_answer_maildrop(s, ticket, &drop, 0), LMAIL_ERR_ARG);
    ck_assert_int_eq(lmail_pop3_server_answer_auth(s, ticket + 1, &auth, 0), LMAIL_ERR_STALE);
    ck_assert_int_eq(lmail_pop3_server_answer_auth(s, ticket, &auth, 0), LMAIL_OK);
    drop.count = 4097; /* more than asked for */
    ck_assert_int_eq(lmail_pop3_server_answer_maildrop(s, ticket, &drop, 0), LMAIL_ERR_ARG);
    drop.count = 0;
    drop.more = 1; /* no progress */
    ck_assert_int_eq(lmail_pop3_server_answer_maildrop(s, ticket, &drop, 0), LMAIL_ERR_ARG);
    drop.count = 3;
    drop.more = 0;
    ck_assert_int_eq(lmail_pop3_server_answer_maildrop(s, ticket, &drop, 0), LMAIL_OK);

    feed("UIDL\r\n");
    lmail_str ids[4] = {LMAIL_STR("a b"), LMAIL_STR("b"), LMAIL_STR("c"), LMAIL_STR("d")};
    lmail_pop3_uidl_answer uidl = {.size = sizeof uidl, .ids = ids, .count = 3};
    ck_assert_int_eq(lmail_pop3_server_answer_uidl(s, ticket, &uidl, 0), LMAIL_ERR_ARG);
    char long_id[71];
    memset(long_id, 'x', sizeof long_id);
    ids[0] = (lmail_str){long_id, 71}; /* RFC 1939 §7 */
    ck_assert_int_eq(lmail_pop3_server_answer_uidl(s, ticket, &uidl, 0), LMAIL_ERR_ARG);
    ids[0].len = 70;
    uidl.count = 4;
    ck_assert_int_eq(lmail_pop3_server_answer_uidl(s, ticket, &uidl, 0), LMAIL_ERR_ARG);
    uidl.count = 3;
    ck_assert_int_eq(lmail_pop3_server_answer_uidl(s, ticket, &uidl, 0), LMAIL_OK);

    feed("RETR 2\r\n");
    lmail_pop3_octets_answer octets = {.size = sizeof octets, .octets = {text, 21}};
    ck_assert_uint_eq(asked.want, 20);
    ck_assert_int_eq(lmail_pop3_server_answer_octets(s, ticket, &octets, 0), LMAIL_ERR_ARG);
    octets.failure = LMAIL_POP3_GONE; /* a failure with data */
    ck_assert_int_eq(lmail_pop3_server_answer_octets(s, ticket, &octets, 0), LMAIL_ERR_ARG);
    ck_assert_int_eq(release_count, 0);
    octets.octets.len = 0;
    ck_assert_int_eq(lmail_pop3_server_answer_octets(s, ticket, &octets, 0), LMAIL_OK);
    ck_assert_int_eq(release_count, 0); /* there was nothing to release */
    end();
}
END_TEST

START_TEST(a_password_is_gone_when_its_ticket_is_home)
{
    lmail_auth_answer no = LMAIL_AUTH_ANSWER_INIT;
    fill();
    begin();
    feed("USER alice\r\n");
    feed("PASS hunter2\r\n");
    ck_assert_str_eq(secret_seen, "hunter2");
    ck_assert_int_eq(memcmp(secret_at, "hunter2", 7), 0);
    ck_assert_int_eq(lmail_pop3_server_answer_auth(s, ticket, &no, 0), LMAIL_OK);
    /* The question is kept for the next, wiped. */
    for (int i = 0; i < 7; i++)
        ck_assert_int_eq(secret_at[i], 0);
    end();
}
END_TEST

START_TEST(octets_are_lent_until_they_are_sent)
{
    fill();
    begin();
    log_in();
    feed("RETR 1\r\n");
    ck_assert_uint_eq(asked.want, 5000);
    lmail_pop3_octets_answer octets = {.size = sizeof octets, .octets = {text, sizeof text}};
    lmail_ticket t = ticket;
    ck_assert_int_eq(lmail_pop3_server_answer_octets(s, t, &octets, 0), LMAIL_OK);
    lmail_str part[4];
    ck_assert_uint_eq(lmail_pop3_server_peek(s, part, 4), 3);
    ck_assert_ptr_eq(part[1].ptr, text); /* not copied */
    ck_assert_int_eq(lmail_pop3_server_sent(s, part[0].len + sizeof text - 1, 0), LMAIL_OK);
    ck_assert_int_eq(release_count, 0);
    ck_assert_int_eq(lmail_pop3_server_sent(s, 1, 0), LMAIL_OK);
    ck_assert_int_eq(release_count, 1);
    ck_assert_uint_eq(released, t);
    drain();
    lmail_pop3_counters totals;
    lmail_pop3_server_counters(s, &totals);
    ck_assert_uint_eq(totals.messages, 3);
    ck_assert_uint_eq(totals.octets, 5020);
    ck_assert_uint_eq(totals.retrieved, 1);
    ck_assert_uint_eq(totals.retrieved_octets, 5000);
    end();
    ck_assert_int_eq(release_count, 1);
}
END_TEST

START_TEST(lent_octets_come_back_when_the_session_is_freed)
{
    fill();
    begin();
    log_in();
    feed("RETR 1\r\n");
    memcpy(text + 2500, "\r\n.", 3); /* two stretches, one release */
    lmail_pop3_octets_answer octets = {.size = sizeof octets, .octets = {text, sizeof text}};
    ck_assert_int_eq(lmail_pop3_server_answer_octets(s, ticket, &octets, 0), LMAIL_OK);
    ck_assert_int_eq(lmail_pop3_server_eof(s, 0), LMAIL_OK);
    end();
    ck_assert_int_eq(release_count, 1);
}
END_TEST

START_TEST(a_cancelled_ticket_still_comes_home)
{
    fill();
    begin();
    log_in();
    feed("RETR 1\r\n");
    lmail_pop3_octets_answer octets = {.size = sizeof octets, .octets = {text, sizeof text}};
    ck_assert_int_eq(lmail_pop3_server_eof(s, 0), LMAIL_OK);
    ck_assert_int_eq(cancels, 1);
    ck_assert_uint_eq(lmail_session_tickets(lmail_pop3_server_session(s)), 1);
    ck_assert_int_eq(lmail_pop3_server_answer_octets(s, ticket, &octets, 0), LMAIL_ERR_STALE);
    ck_assert_uint_eq(lmail_session_tickets(lmail_pop3_server_session(s)), 0);
    ck_assert_int_eq(release_count, 0); /* not taken */
    end();
}
END_TEST

START_TEST(a_reader_that_stops_is_cut_off)
{
    fill();
    config.idle_timeout = 1000;
    begin();
    log_in();
    feed("RETR 1\r\n");
    lmail_pop3_octets_answer octets = {.size = sizeof octets, .octets = {text, sizeof text}};
    ck_assert_int_eq(lmail_pop3_server_answer_octets(s, ticket, &octets, 0), LMAIL_OK);
    ck_assert_int_eq(lmail_pop3_server_sent(s, 100, 500), LMAIL_OK);
    ck_assert_uint_le(lmail_pop3_server_deadline(s), 1000);
    lmail_pop3_server_tick(s, 1000); /* some was read: the time begins anew */
    ck_assert(!(lmail_pop3_server_wants(s) & LMAIL_WANT_CLOSE));
    ck_assert_uint_eq(lmail_pop3_server_deadline(s), 2000);
    ck_assert_int_eq(lmail_pop3_server_tick(s, 2000), LMAIL_ERR_CLOSED);
    ck_assert_uint_eq(lmail_pop3_server_wants(s), LMAIL_WANT_CLOSE);
    end();
    ck_assert_int_eq(release_count, 1);
}
END_TEST

START_TEST(every_text_has_a_name_and_a_default)
{
    for (unsigned i = 0; i < LMAIL_POP3_TEXT_COUNT; i++) {
        ck_assert_ptr_nonnull(lmail_pop3_text_name((lmail_pop3_text)i));
        ck_assert_uint_gt(strlen(lmail_pop3_text_default((lmail_pop3_text)i)), 0);
    }
    ck_assert_ptr_null(lmail_pop3_text_name(LMAIL_POP3_TEXT_COUNT));
    ck_assert_ptr_null(lmail_pop3_text_default(LMAIL_POP3_TEXT_COUNT));
}
END_TEST

Suite *pop3_server_suite(void)
{
    Suite *suite = suite_create("pop3_server");
    TCase *tc = tcase_create("setup");
    tcase_add_loop_test(tc, a_faulty_setup_is_refused, 0, 9);
    tcase_add_test(tc, a_struct_of_a_newer_library_is_refused);
    tcase_add_test(tc, every_text_has_a_name_and_a_default);
    suite_add_tcase(suite, tc);
    tc = tcase_create("tickets");
    tcase_add_test(tc, inside_a_callback_the_session_cannot_be_changed);
    tcase_add_test(tc, free_inside_a_callback_waits_for_its_end);
    tcase_add_test(tc, answers_that_break_a_rule_leave_the_ticket_out);
    tcase_add_test(tc, a_cancelled_ticket_still_comes_home);
    tcase_add_test(tc, a_password_is_gone_when_its_ticket_is_home);
    suite_add_tcase(suite, tc);
    tc = tcase_create("octets");
    tcase_add_test(tc, octets_are_lent_until_they_are_sent);
    tcase_add_test(tc, lent_octets_come_back_when_the_session_is_freed);
    tcase_add_test(tc, a_reader_that_stops_is_cut_off);
    suite_add_tcase(suite, tc);
    return suite;
}
