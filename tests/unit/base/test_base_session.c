/* The pump, questions and output, driven by a small protocol of its own:
 *   "a" a line "A" goes out        "q" a question holds the loop     "l" one that lends its input
 *   "n" a question that does not hold   "t" TLS    "d" DEFLATE   "x" close   "e" an error
 *   "b" borrowed octets go out      "r" room is asked for */
#include "base/base_internal.h"
#include "support/count_alloc.h"

#include <check.h>
#include <string.h>

enum { KIND = 1, OTHER = 2 };

typedef struct toy {
    struct lmail_session base;
    int started, ended, timers, tls, filters, stops, cancelled, released, rooms, destroyed;
    lmail_ticket last;
    int free_in_cancel;
} toy;

static int destroyed;

static lmail_status toy_start(lmail_session *s)
{
    ((toy *)s)->started++;
    return lmi_out_str(s, LMAIL_STR("hello\n"));
}

static lmail_status ask(lmail_session *s, int holds, int lends)
{
    lmi_question *q;
    lmail_status st = lmi_ask(s, KIND, &q);
    if (st == LMAIL_ERR_LIMIT)
        return lmi_out_str(s, LMAIL_STR("LIMIT\n"));
    if (st)
        return st;
    ((toy *)s)->last = q->ticket;
    lmi_question_wait(s, q, holds, lends);
    return LMAIL_OK;
}

static lmail_status toy_input(lmail_session *s, lmail_str in, size_t *used)
{
    *used = 1;
    switch (in.ptr[0]) {
    case 'a':
        return lmi_out_str(s, LMAIL_STR("A\n"));
    case 'q':
        return ask(s, 1, 0);
    case 'l':
        return ask(s, 1, 1);
    case 'n':
        return ask(s, 0, 0);
    case 't':
        lmi_want_tls(s);
        return lmi_out_str(s, LMAIL_STR("go\n"));
    case 'd':
        lmi_want_deflate(s, 1);
        return LMAIL_OK;
    case 'x':
        lmi_close(s);
        return LMAIL_OK;
    case 'b':
        return lmi_out_borrow(s, LMAIL_STR("borrowed"), 77);
    case 'r':
        lmi_want_room(s);
        return LMAIL_OK;
    case 'e':
        return LMAIL_ERR_NOMEM;
    default:
        return LMAIL_OK;
    }
}

static lmail_status toy_eof(lmail_session *s)
{
    ((toy *)s)->ended++;
    return LMAIL_OK;
}

static lmail_status toy_timer(lmail_session *s)
{
    ((toy *)s)->timers++;
    return LMAIL_OK;
}

static lmail_status toy_room(lmail_session *s)
{
    if (++((toy *)s)->rooms < 3)
        lmi_want_room(s);
    return lmi_out_str(s, LMAIL_STR("R"));
}

static lmail_status toy_tls(lmail_session *s)
{
    ((toy *)s)->tls++;
    return LMAIL_OK;
}

static lmail_status toy_filter(lmail_session *s)
{
    ((toy *)s)->filters++;
    return LMAIL_OK;
}

static lmail_status toy_stop(lmail_session *s)
{
    ((toy *)s)->stops++;
    lmi_close(s);
    return LMAIL_OK;
}

static void toy_cancelled(lmail_session *s, const lmi_question *q)
{
    size_t used;
    (void)q;
    ((toy *)s)->cancelled++;
    lmi_callback_begin(s);
    ck_assert_int_eq(lmail_session_feed(s, LMAIL_STR("a"), &used, 0), LMAIL_ERR_REENTRANT);
    ck_assert_int_eq(lmail_session_tick(s, 0), LMAIL_ERR_REENTRANT);
    if (((toy *)s)->free_in_cancel)
        lmail_session_free(s);
    lmi_callback_end(s);
}

static void toy_released(lmail_session *s, lmail_ticket t)
{
    ck_assert(t == 77);
    ((toy *)s)->released++;
}

static void toy_destroy(lmail_session *s)
{
    lmi_session_done(s);
    lmail_alloc a = s->alloc;
    destroyed++;
    lmi_free(&a, s, sizeof(toy));
}

static const lmi_class toy_class = {.name = "toy",
                                    .start = toy_start,
                                    .input = toy_input,
                                    .eof = toy_eof,
                                    .timer = toy_timer,
                                    .room = toy_room,
                                    .tls_done = toy_tls,
                                    .filter_done = toy_filter,
                                    .stop = toy_stop,
                                    .cancelled = toy_cancelled,
                                    .released = toy_released,
                                    .destroy = toy_destroy};

static count_alloc counter;
static toy *t;

static void make(void)
{
    memset(&counter, 0, sizeof counter);
    lmail_alloc a = count_alloc_table(&counter);
    t = lmi_zalloc(&a, sizeof *t);
    lmi_session_init(&t->base, &toy_class, &a, NULL, 100);
    destroyed = 0;
}

static void unmake(void)
{
    if (!destroyed)
        lmail_session_free(&t->base);
    ck_assert_int_eq(destroyed, 1);
    ck_assert_uint_eq(counter.live, 0);
    ck_assert_uint_eq(counter.lies, 0);
}

static size_t feed(const char *text)
{
    size_t used;
    lmail_status st = lmail_session_feed(&t->base, lmail_str_from(text), &used, 100);
    ck_assert(st == LMAIL_OK || st == LMAIL_ERR_NOMEM || st == LMAIL_ERR_CLOSED);
    return used;
}

static unsigned wants(void)
{
    return lmail_session_wants(&t->base);
}

static void send_all(void)
{
    ck_assert_int_eq(lmail_session_sent(&t->base, lmail_session_unsent(&t->base), 100), LMAIL_OK);
}

static lmail_status give(lmail_ticket ticket, unsigned kind)
{
    lmi_question *q;
    lmail_status st = lmi_answer_enter(&t->base, ticket, kind, 100, &q);
    if (st)
        return st;
    lmi_question_done(&t->base, q);
    return lmi_leave(&t->base, LMAIL_OK);
}

START_TEST(the_first_tick_starts)
{
    ck_assert(lmail_session_deadline(&t->base) == 100);
    ck_assert_int_eq(lmail_session_tick(&t->base, 100), LMAIL_OK);
    ck_assert_int_eq(t->started, 1);
    ck_assert(wants() == (LMAIL_WANT_READ | LMAIL_WANT_WRITE));
    ck_assert(lmail_session_deadline(&t->base) == LMAIL_NEVER);
    ck_assert_str_eq(lmail_session_name(&t->base), "toy");
}
END_TEST

START_TEST(timers_fire_once_and_not_early)
{
    feed("");
    t->base.due = 200;
    lmail_session_tick(&t->base, 199);
    ck_assert_int_eq(t->timers, 0);
    lmail_session_tick(&t->base, 200);
    lmail_session_tick(&t->base, 300);
    ck_assert_int_eq(t->timers, 1);
}
END_TEST

START_TEST(a_question_that_holds_stops_input)
{
    ck_assert_uint_eq(feed("aqaa"), 2);
    ck_assert(!(wants() & LMAIL_WANT_READ));
    ck_assert_uint_eq(lmail_session_tickets(&t->base), 1);
    ck_assert_int_eq(give(t->last, OTHER), LMAIL_ERR_ARG);
    ck_assert_int_eq(give(t->last + 1, KIND), LMAIL_ERR_STALE);
    ck_assert_int_eq(give(t->last, KIND), LMAIL_OK);
    ck_assert_int_eq(give(t->last, KIND), LMAIL_ERR_STALE);
    ck_assert(wants() & LMAIL_WANT_READ);
    ck_assert_uint_eq(feed("aa"), 2);
}
END_TEST

START_TEST(lent_octets_stay_lent_until_the_ticket_is_home)
{
    feed("l");
    ck_assert(wants() & LMAIL_WANT_HOLD);
    lmail_session_eof(&t->base, 100);
    ck_assert_int_eq(t->cancelled, 1);
    ck_assert(wants() & LMAIL_WANT_HOLD);
    ck_assert_int_eq(give(t->last, KIND), LMAIL_ERR_STALE);
    ck_assert(!(wants() & LMAIL_WANT_HOLD));
    ck_assert_uint_eq(lmail_session_tickets(&t->base), 0);
}
END_TEST

START_TEST(tickets_have_a_limit_and_never_repeat)
{
    t->base.max_tickets = 2;
    feed("n");
    lmail_ticket first = t->last;
    feed("n");
    ck_assert(t->last > first);
    send_all();
    feed("n");
    ck_assert_uint_eq(lmail_session_unsent(&t->base), 6); /* LIMIT */
    give(first, KIND);
    feed("n");
    ck_assert(t->last > first + 1);
}
END_TEST

START_TEST(output_over_its_mark_rests_input)
{
    t->base.out_mark = 10;
    ck_assert_uint_eq(feed("aaaaaaaa"), 2); /* hello and two lines */
    ck_assert(!(wants() & LMAIL_WANT_READ));
    ck_assert_int_eq(lmail_session_sent(&t->base, 3, 100), LMAIL_OK);
    ck_assert(wants() & LMAIL_WANT_READ);
    ck_assert_int_eq(lmail_session_sent(&t->base, 1000, 100), LMAIL_ERR_ARG);
}
END_TEST

START_TEST(room_is_given_when_output_falls)
{
    t->base.out_mark = 7;
    feed("r");
    ck_assert_int_eq(t->rooms, 1); /* 6 octets of hello: room at once, then 7 */
    send_all();
    ck_assert_int_eq(t->rooms, 3);
}
END_TEST

START_TEST(peeked_octets_do_not_move)
{
    lmail_str first[8], again[8];
    feed("a");
    size_t n = lmail_session_peek(&t->base, first, 8);
    for (int i = 0; i < 3000; i++)
        (void)lmi_out_str(&t->base, LMAIL_STR("0123456789"));
    ck_assert_uint_ge(lmail_session_peek(&t->base, again, 8), n);
    for (size_t i = 0; i < n; i++)
        ck_assert_ptr_eq(first[i].ptr, again[i].ptr);
    size_t total = lmail_session_unsent(&t->base);
    while (total) { /* by sevens, until all is gone */
        size_t take = total < 7 ? total : 7;
        lmail_session_sent(&t->base, take, 100);
        total -= take;
        if (lmail_session_unsent(&t->base) != total)
            ck_abort_msg("unsent is wrong");
    }
    ck_assert_uint_eq(lmail_session_peek(&t->base, again, 8), 0);
}
END_TEST

START_TEST(borrowed_octets_are_released_when_sent)
{
    lmail_str s[4];
    feed("aba");
    ck_assert_uint_eq(lmail_session_peek(&t->base, s, 4), 3);
    ck_assert(lmail_str_equal(s[1], LMAIL_STR("borrowed")));
    lmail_session_sent(&t->base, 8 + 7, 100);
    ck_assert_int_eq(t->released, 0);
    lmail_session_sent(&t->base, 1, 100);
    ck_assert_int_eq(t->released, 1);
    feed("b");
    lmail_session_free(&t->base); /* dropped octets come home too: no leak, no second free */
}
END_TEST

START_TEST(tls_waits_for_the_last_octet)
{
    lmail_tls_facts f = LMAIL_TLS_FACTS_INIT;
    f.version = LMAIL_STR("TLSv1.3");
    ck_assert_uint_eq(feed("ta"), 1);
    ck_assert(wants() == LMAIL_WANT_WRITE);
    ck_assert_int_eq(lmail_session_tls_begin(&t->base, 0, 100), LMAIL_ERR_STATE);
    send_all();
    ck_assert(wants() == LMAIL_WANT_TLS);
    ck_assert_int_eq(lmail_session_tls_done(&t->base, &f, 100), LMAIL_ERR_STATE);
    ck_assert_int_eq(lmail_session_tls_begin(&t->base, 0, 100), LMAIL_OK);
    ck_assert_uint_eq(feed("a"), 0);
    ck_assert_int_eq(lmail_session_tls_done(&t->base, &f, 100), LMAIL_OK);
    ck_assert(lmail_str_equal(t->base.tls.version, LMAIL_STR("TLSv1.3")));
    ck_assert_ptr_ne(t->base.tls.version.ptr, f.version.ptr);
    ck_assert_int_eq(t->tls, 1);
    ck_assert_uint_eq(feed("a"), 1);
    f.size = sizeof f + 1;
    ck_assert_int_eq(lmail_session_tls_done(&t->base, &f, 100), LMAIL_ERR_SIZE);
}
END_TEST

START_TEST(octets_behind_starttls_close)
{
    feed("t");
    send_all();
    ck_assert_int_eq(lmail_session_tls_begin(&t->base, 1, 100), LMAIL_ERR_CLOSED);
    ck_assert(wants() == LMAIL_WANT_CLOSE);
}
END_TEST

START_TEST(a_filter_change_waits_too)
{
    feed("d");
    ck_assert(!(wants() & (LMAIL_WANT_READ | LMAIL_WANT_DEFLATE_ON)));
    send_all();
    ck_assert(wants() == LMAIL_WANT_DEFLATE_ON);
    ck_assert_int_eq(lmail_session_filter_done(&t->base, 100), LMAIL_OK);
    ck_assert_int_eq(t->filters, 1);
    ck_assert_int_eq(lmail_session_filter_done(&t->base, 100), LMAIL_ERR_STATE);
}
END_TEST

START_TEST(an_error_ends_the_session)
{
    feed("n");
    size_t used;
    ck_assert_int_eq(lmail_session_feed(&t->base, LMAIL_STR("e"), &used, 100), LMAIL_ERR_NOMEM);
    ck_assert_int_eq(t->cancelled, 1);
    ck_assert_int_eq(lmail_session_tick(&t->base, 100), LMAIL_ERR_CLOSED);
    ck_assert_int_eq(lmail_session_eof(&t->base, 100), LMAIL_ERR_CLOSED);
    ck_assert(wants() == LMAIL_WANT_CLOSE);
    ck_assert_uint_eq(lmail_session_tickets(&t->base), 1);
    ck_assert_int_eq(give(t->last, KIND),
                     LMAIL_ERR_STALE); /* a dead session takes its tickets home */
    ck_assert_uint_eq(lmail_session_tickets(&t->base), 0);
}
END_TEST

START_TEST(stop_and_close)
{
    feed("");
    ck_assert_int_eq(lmail_session_stop(&t->base, 100), LMAIL_OK);
    ck_assert_int_eq(lmail_session_stop(&t->base, 100), LMAIL_OK);
    ck_assert_int_eq(t->stops, 1);
    ck_assert(wants() == LMAIL_WANT_WRITE);
    send_all();
    ck_assert(wants() == LMAIL_WANT_CLOSE);
    ck_assert_uint_eq(feed("a"), 0);
}
END_TEST

START_TEST(free_in_a_callback_waits_for_its_end)
{
    feed("q");
    t->free_in_cancel = 1;
    lmail_session_eof(&t->base, 100);
    ck_assert_int_eq(destroyed, 1);
}
END_TEST

START_TEST(asking_allocates_once)
{
    feed("q");
    give(t->last, KIND);
    send_all();
    size_t before = counter.requests;
    for (int i = 0; i < 100; i++) {
        feed("qa");
        give(t->last, KIND);
        feed("a");
        send_all();
    }
    ck_assert_uint_eq(counter.requests, before);
    size_t held = counter.live;
    lmail_session_rest(&t->base);
    ck_assert_uint_lt(counter.live, held);
    feed("qa");
    give(t->last, KIND);
}
END_TEST

START_TEST(an_answer_that_closes_cancels_nothing)
{
    lmi_question *q;
    feed("q");
    ck_assert_int_eq(lmi_answer_enter(&t->base, t->last, KIND, 100, &q), LMAIL_OK);
    lmi_close(&t->base);
    lmi_question_done(&t->base, q);
    lmi_leave(&t->base, LMAIL_OK);
    ck_assert_int_eq(t->cancelled, 0);
}
END_TEST

Suite *base_session_suite(void)
{
    Suite *s = suite_create("base_session");
    TCase *c = tcase_create("session");
    tcase_add_checked_fixture(c, make, unmake);
    tcase_add_test(c, the_first_tick_starts);
    tcase_add_test(c, timers_fire_once_and_not_early);
    tcase_add_test(c, a_question_that_holds_stops_input);
    tcase_add_test(c, lent_octets_stay_lent_until_the_ticket_is_home);
    tcase_add_test(c, tickets_have_a_limit_and_never_repeat);
    tcase_add_test(c, output_over_its_mark_rests_input);
    tcase_add_test(c, room_is_given_when_output_falls);
    tcase_add_test(c, peeked_octets_do_not_move);
    tcase_add_test(c, borrowed_octets_are_released_when_sent);
    tcase_add_test(c, tls_waits_for_the_last_octet);
    tcase_add_test(c, octets_behind_starttls_close);
    tcase_add_test(c, a_filter_change_waits_too);
    tcase_add_test(c, an_error_ends_the_session);
    tcase_add_test(c, stop_and_close);
    tcase_add_test(c, free_in_a_callback_waits_for_its_end);
    tcase_add_test(c, asking_allocates_once);
    tcase_add_test(c, an_answer_that_closes_cancels_nothing);
    suite_add_tcase(s, c);
    return s;
}
