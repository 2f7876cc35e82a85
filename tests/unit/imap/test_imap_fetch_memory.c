/* What a client asks for is not what the session holds: long answers to a reader who takes a little
 * at a time. */
#include "support/count_alloc.h"

#include <libmail/imap.h>
#include <libmail/mime.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIG (100u * 1024 * 1024)
#define MANY 1000000u

static count_alloc counter;
static lmail_imap_server_setup *setup;
static lmail_imap_server *s;
static char block[1 << 18];
static lmail_imap_fetch_row rows[1024];
static uint64_t message_size;
static unsigned lent, lent_most;
static size_t rows_asked;

static lmail_status on_login(lmail_imap_server *session, void *user, lmail_ticket t,
                             const lmail_imap_login_event *ev, lmail_auth_answer *a)
{
    (void)session, (void)user, (void)t, (void)ev;
    a->kind = LMAIL_AUTH_OK;
    a->identity = LMAIL_STR("u");
    return LMAIL_OK;
}

static lmail_status on_select(lmail_imap_server *session, void *user, lmail_ticket t,
                              const lmail_imap_select_event *ev, lmail_imap_select_answer *a)
{
    static const lmail_uid_range all = {1, MANY};
    (void)session, (void)user, (void)t, (void)ev;
    a->uids = (lmail_uid_set){&all, 1};
    a->uidnext = MANY + 1;
    a->uidvalidity = 1;
    return LMAIL_OK;
}

static lmail_status on_fetch(lmail_imap_server *session, void *user, lmail_ticket t,
                             const lmail_imap_fetch_event *ev, lmail_imap_fetch_answer *a)
{
    (void)session, (void)user, (void)t;
    size_t n = 0;
    for (size_t i = 0; i < ev->uids.count; i++)
        for (lmail_uid u = ev->uids.ranges[i].first; u <= ev->uids.ranges[i].last && n < 1024; u++)
            rows[n++] = (lmail_imap_fetch_row){.uid = u,
                                               .flags = LMAIL_FLAG_SEEN,
                                               .octets = message_size,
                                               .envelope = {block, u % 100 ? 200 : sizeof block}};
    rows_asked += n;
    a->rows = rows;
    a->count = n;
    return LMAIL_OK;
}

static lmail_status on_octets(lmail_imap_server *session, void *user, lmail_ticket t,
                              const lmail_imap_octets_event *ev, lmail_imap_octets_answer *a)
{
    (void)session, (void)user, (void)t;
    a->octets.ptr = block;
    a->octets.len = ev->want < sizeof block ? (size_t)ev->want : sizeof block;
    if (++lent > lent_most)
        lent_most = lent;
    return LMAIL_OK;
}

static void on_released(lmail_imap_server *session, void *user, lmail_ticket t)
{
    (void)session, (void)user, (void)t;
    lent--;
}

static lmail_status on_search(lmail_imap_server *session, void *user, lmail_ticket t,
                              const lmail_imap_search_event *ev, lmail_imap_search_answer *a)
{
    (void)session, (void)user, (void)t;
    a->uids = ev->uids;
    return LMAIL_OK;
}

static void say(const char *text)
{
    lmail_str in = lmail_str_from(text);
    size_t used;
    ck_assert_int_eq(lmail_imap_server_feed(s, in, &used, 0), LMAIL_OK);
    ck_assert_uint_eq(used, in.len);
}

/* Takes all that comes, `step` octets at a time. Returns how much; *most is what waited at most. */
static uint64_t read_all(size_t step, size_t *most)
{
    uint64_t total = 0;
    lmail_session *base = lmail_imap_server_session(s);
    for (size_t n; (n = lmail_session_unsent(base)) > 0;) {
        if (n > *most)
            *most = n;
        if (n > step)
            n = step;
        ck_assert_int_eq(lmail_imap_server_sent(s, n, 0), LMAIL_OK);
        total += n;
    }
    return total;
}

static void open_session(void)
{
    lmail_imap_server_config config = LMAIL_IMAP_SERVER_CONFIG_INIT;
    lmail_imap_server_handler handler = LMAIL_IMAP_SERVER_HANDLER_INIT;
    size_t most = 0;
    memset(&counter, 0, sizeof counter);
    lent = lent_most = 0;
    rows_asked = 0;
    memset(block, 'x', sizeof block);
    config.flags_on = LMAIL_IMAP_CLEARTEXT;
    config.alloc = count_alloc_table(&counter);
    handler.on_login = on_login;
    handler.on_select = on_select;
    handler.on_fetch = on_fetch;
    handler.on_octets = on_octets;
    handler.on_released = on_released;
    handler.on_search = on_search;
    ck_assert_int_eq(lmail_imap_server_setup_new(&setup, &config, &handler), LMAIL_OK);
    ck_assert_int_eq(lmail_imap_server_new(&s, setup, NULL, 0), LMAIL_OK);
    say("a LOGIN u p\r\n");
    say("b EXAMINE INBOX\r\n");
    read_all(SIZE_MAX, &most);
}

static void close_session(void)
{
    lmail_imap_server_free(s);
    lmail_imap_server_setup_free(setup);
    ck_assert_uint_eq(lent, 0);
    ck_assert_uint_eq(counter.live, 0);
}

START_TEST(a_long_body_passes_through)
{
    size_t most = 0;
    open_session();
    message_size = BIG;
    say("c FETCH 7 BODY[]\r\n");
    uint64_t total = read_all(50000, &most);
    ck_assert_uint_gt(total, BIG);
    ck_assert_uint_lt(total, BIG + 100);
    ck_assert_uint_le(most, 65536 + 2 * 131072);
    ck_assert_uint_le(lent_most, 4);
    ck_assert_uint_le(counter.peak, 49152);
    close_session();
}
END_TEST

START_TEST(many_bodies_pass_through)
{
    size_t most = 0;
    open_session();
    message_size = 1100;
    say("c FETCH 1:20000 (FLAGS BODY[])\r\n");
    uint64_t total = read_all(3000, &most);
    ck_assert_uint_gt(total, 20000 * 1140);
    ck_assert_uint_le(most, 65536 + 16384);
    ck_assert_uint_le(counter.peak, 65536 + 65536);
    close_session();
}
END_TEST

START_TEST(a_million_rows_pass_through)
{
    size_t most = 0;
    open_session();
    say("c FETCH 1:* FLAGS\r\n");
    uint64_t total = read_all(10000, &most);
    ck_assert_uint_gt(total, MANY * 25ull);
    ck_assert_uint_eq(rows_asked, MANY);
    ck_assert_uint_le(most, 3 * 65536);
    ck_assert_uint_le(counter.peak, 4 * 65536);
    close_session();
}
END_TEST

/* One row in a hundred is as long as all others together: slices shrink, and what a slice has too
 * much is asked for again. */
START_TEST(long_rows_between_short_ones_do_not_pile_up)
{
    size_t most = 0;
    open_session();
    say("c FETCH 1:2000 ENVELOPE\r\n");
    uint64_t total = read_all(10000, &most);
    ck_assert_uint_gt(total, 20ull * sizeof block + 1980 * 200);
    ck_assert_uint_le(most, 2 * 65536 + sizeof block + 1000);
    close_session();
}
END_TEST

START_TEST(a_million_numbers_pass_through)
{
    size_t most = 0;
    open_session();
    say("c SEARCH ALL\r\n");
    uint64_t total = read_all(5000, &most);
    ck_assert_uint_gt(total, 6888896);
    ck_assert_uint_le(most, 65536 + 8192);
    ck_assert_uint_le(counter.peak, 2 * 65536);
    close_session();
}
END_TEST

/* The session ends while octets are on their way: all are given back. */
START_TEST(octets_come_home_when_the_session_ends)
{
    open_session();
    message_size = BIG;
    say("c FETCH 7 BODY[]\r\n");
    ck_assert_uint_gt(lent, 0);
    ck_assert_int_eq(lmail_imap_server_eof(s, 0), LMAIL_OK);
    close_session();
}
END_TEST

Suite *imap_fetch_memory_suite(void)
{
    Suite *suite = suite_create("imap_fetch_memory");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_long_body_passes_through);
    tcase_add_test(t, many_bodies_pass_through);
    tcase_add_test(t, a_million_rows_pass_through);
    tcase_add_test(t, long_rows_between_short_ones_do_not_pile_up);
    tcase_add_test(t, a_million_numbers_pass_through);
    tcase_add_test(t, octets_come_home_when_the_session_ends);
    suite_add_tcase(suite, t);
    return suite;
}
