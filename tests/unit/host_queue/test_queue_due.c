/* Who is due, claims, results, reports: what a runner does with a queue. */
#include "host/queue/queue_internal.h"

#include "host_queue.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static qkit kit;

static void setup(void)
{
    qkit_start(&kit);
    ck_assert_int_eq(lmail_queue_lead(kit.queue), LMAIL_OK);
}

static void teardown(void)
{
    qkit_stop(&kit);
}

/* A message with recipients at destinations: "a@x b@y"; the destination is the domain. */
static void add_at(uint64_t id, const char *to, int64_t next, int priority, unsigned pending)
{
    char octets[400], *save, *one;
    lmail_queue_recipient list[16];
    lmail_queue_message m = LMAIL_QUEUE_MESSAGE_INIT;
    memset(list, 0, sizeof list);
    snprintf(octets, sizeof octets, "%s", to);
    for (one = strtok_r(octets, " ", &save); one; one = strtok_r(NULL, " ", &save)) {
        lmail_queue_recipient *r = &list[m.recipient_count++];
        r->address = lmail_str_from(one);
        r->destination = lmail_str_from(strchr(one, '@') + 1);
        r->next = next;
    }
    qkit_data(&kit, id, "Return-Path: <>\r\n\r\nhello\r\n");
    m.id = id;
    m.sender = LMAIL_STR("s@here");
    m.octets = 26;
    m.arrived = next;
    m.priority = priority;
    m.pending = pending;
    m.recipients = list;
    ck_assert_int_eq(lmail_queue_add(kit.queue, &m), LMAIL_OK);
}

static char said[2000];

static int say(void *user, const lmail_queue_due *due)
{
    size_t n = strlen(said);
    (void)user;
    snprintf(said + n, sizeof said - n, "%s%.*s/%d/%lld", n ? " " : "", (int)due->destination.len,
             due->destination.ptr, due->priority, (long long)due->next);
    return 0;
}

/* All destinations due, three at a time. */
static const char *destinations(int64_t now)
{
    char after[LMAIL_QUEUE_DESTINATION] = "", next[LMAIL_QUEUE_DESTINATION];
    said[0] = '\0';
    do {
        ck_assert_int_eq(
            lmail_queue_destinations(kit.queue, now, lmail_str_from(after), 3, say, NULL, next),
            LMAIL_OK);
        strcpy(after, next);
    } while (after[0]);
    return said;
}

/* "1:0,1 2:0" of a batch. */
static const char *rows_of(const lmail_queue_batch *b)
{
    said[0] = '\0';
    for (size_t i = 0; b && i < b->count; i++) {
        size_t n = strlen(said);
        snprintf(said + n, sizeof said - n, "%s%llX:", n ? " " : "",
                 (unsigned long long)b->messages[i].id);
        for (size_t k = 0; k < b->messages[i].recipient_count; k++) {
            n = strlen(said);
            snprintf(said + n, sizeof said - n, "%s%u", k ? "," : "",
                     b->messages[i].recipients[k].number);
        }
    }
    return said;
}

static const lmail_queue_batch *claim(const char *destination, int64_t now, size_t max)
{
    const lmail_queue_batch *b;
    lmail_status st = lmail_queue_claim(kit.queue, lmail_str_from(destination), now, max, &b);
    ck_assert_int_eq(st, b ? LMAIL_OK : LMAIL_ERR_NOTFOUND);
    return b;
}

static lmail_queue_result result(uint64_t id, unsigned number, lmail_queue_state state)
{
    lmail_queue_result r = {.id = id, .number = number, .state = state, .next = 500, .last = 77};
    r.attempts = 1;
    r.code = state == LMAIL_QUEUE_WAITING ? 451 : 250;
    r.enhanced = LMAIL_STR("4.7.1");
    r.reply = LMAIL_STR("wait");
    r.host = LMAIL_STR("mx.far");
    return r;
}

/* ---- Looking --------------------------------------------------------------------------------- */

START_TEST(test_destinations_are_found_once_each)
{
    add_at(1, "a@x b@y", 100, 0, 0);
    add_at(2, "a@x", 50, 0, 0);
    add_at(3, "a@x", 200, 5, 0); /* urgent, and not yet */
    add_at(4, "a@z", 300, 0, 0);
    add_at(5, "a@a a@b a@c a@d", 10, -1, 0);
    ck_assert_str_eq(destinations(100), "a/-1/10 b/-1/10 c/-1/10 d/-1/10 x/0/50 y/0/100");
    ck_assert_str_eq(destinations(200), "a/-1/10 b/-1/10 c/-1/10 d/-1/10 x/5/200 y/0/100");
    ck_assert_str_eq(destinations(5), "");
}
END_TEST

START_TEST(test_what_is_pending_or_held_is_nobodys_turn)
{
    add_at(1, "a@x", 1, 0, 1);
    add_at(2, "a@y", 1, 0, 0);
    add_at(3, "a@z", 1, 0, 0);
    ck_assert_int_eq(lmail_queue_hold(kit.queue, 2, LMAIL_STR("why")), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_quarantine(kit.queue, 3, LMAIL_STR("why")), LMAIL_OK);
    ck_assert_str_eq(destinations(9), "");
    ck_assert_ptr_null(claim("x", 9, 5));
    ck_assert_int_eq(lmail_queue_settle(kit.queue, 1), LMAIL_OK);
    ck_assert_str_eq(destinations(9), "x/0/1");
    ck_assert_int_eq(lmail_queue_release(kit.queue, 2), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_release(kit.queue, 3), LMAIL_OK);
    ck_assert_str_eq(destinations(9), "x/0/1 y/0/0 z/0/0");
    lmail_queue_counts c;
    ck_assert_int_eq(lmail_queue_count(kit.queue, &c), LMAIL_OK);
    ck_assert_uint_eq(c.recipients, 3);
}
END_TEST

START_TEST(test_names_that_are_long_or_empty_are_passed)
{
    char to[1200];
    snprintf(to, sizeof to, "a@");
    memset(to + 2, 'm', 300);
    strcpy(to + 302, " a@z a@a a@");
    add_at(1, to, 1, 0, 0);
    destinations(9);
    ck_assert_int_eq(strncmp(said, "a/0/1 mmm", 9), 0);
    ck_assert_str_eq(said + strlen(said) - 5, "z/0/1");
}
END_TEST

START_TEST(test_the_cursor_tells_what_came_due)
{
    lmail_queue_cursor c = {0, 0, 0};
    int64_t when;
    add_at(1, "a@x b@x c@y", 100, 0, 0);
    add_at(2, "a@x", 100, 0, 0);
    add_at(3, "a@z", 200, 0, 0);
    said[0] = '\0';
    ck_assert_int_eq(lmail_queue_due_since(kit.queue, 99, &c, 0, say, NULL), LMAIL_END);
    ck_assert_str_eq(said, "");
    ck_assert_int_eq(lmail_queue_next(kit.queue, 0, &when), LMAIL_OK);
    ck_assert_int_eq(when, 100);
    ck_assert_int_eq(lmail_queue_due_since(kit.queue, 100, &c, 2, say, NULL), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_due_since(kit.queue, 100, &c, 2, say, NULL), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_due_since(kit.queue, 100, &c, 2, say, NULL), LMAIL_END);
    ck_assert_str_eq(said, "x/0/100 y/0/100 x/0/100");
    ck_assert_int_eq(lmail_queue_next(kit.queue, 100, &when), LMAIL_OK);
    ck_assert_int_eq(when, 200);
    ck_assert_int_eq(lmail_queue_next(kit.queue, 200, &when), LMAIL_ERR_NOTFOUND);
}
END_TEST

/* Each of these statements steps through one index and sorts nothing. */
START_TEST(test_no_statement_looks_at_all_rows)
{
    static const int used[] = {QUEUE_NEXT_DESTINATION, QUEUE_NEXT_CLASS,    QUEUE_CLASS_ROWS,
                               QUEUE_DUE_SINCE,        QUEUE_NEXT_TIME,     QUEUE_AGED,
                               QUEUE_UNREPORTED,       QUEUE_ONE_RECIPIENT, QUEUE_UNFINISHED,
                               QUEUE_RESULT,           QUEUE_NEW_WORK,      QUEUE_MAKE_DUE_AT};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
        char sql[1000];
        sqlite3_stmt *row;
        snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", kit.queue->read.texts[used[i]]);
        ck_assert_int_eq(sqlite3_prepare_v2(kit.queue->read.db, sql, -1, &row, NULL), SQLITE_OK);
        while (sqlite3_step(row) == SQLITE_ROW) {
            const char *step = (const char *)sqlite3_column_text(row, 3);
            int good = strncmp(step, "SEARCH", 6) == 0 || strncmp(step, "LIST", 4) == 0 ||
                       strncmp(step, "CORRELATED", 10) == 0 ||
                       (used[i] == QUEUE_NEW_WORK && strstr(step, "GROUP BY"));
            ck_assert_msg(good, "%s: %s", sql, step);
        }
        sqlite3_finalize(row);
    }
}
END_TEST

/* ---- Claims ---------------------------------------------------------------------------------- */

START_TEST(test_a_claim_is_urgent_first_and_grouped)
{
    add_at(1, "a@x b@y c@x", 100, 0, 0);
    add_at(2, "a@x", 50, 0, 0);
    add_at(3, "a@x", 100, 7, 0);
    const lmail_queue_batch *one = claim("x", 100, 2);
    ck_assert_str_eq(rows_of(one), "2:0 3:0");
    ck_assert_uint_eq(one->more, 1);
    ck_assert_str_eq(one->messages[0].sender.ptr ? "s" : "", "s");
    const lmail_queue_batch *two = claim("x", 100, 9);
    ck_assert_str_eq(rows_of(two), "1:0,2");
    ck_assert_uint_eq(two->more, 0);
    ck_assert_uint_eq(two->rows, 2);
    ck_assert_ptr_null(claim("x", 100, 9));
    lmail_queue_batch_free(kit.queue, one);
    one = claim("x", 100, 9);
    ck_assert_str_eq(rows_of(one), "2:0 3:0");
    lmail_queue_batch_free(kit.queue, one);
    lmail_queue_batch_free(kit.queue, two);
    lmail_queue_batch_free(kit.queue, NULL);
}
END_TEST

START_TEST(test_only_one_handle_sends)
{
    lmail_queue *other, *reader;
    const lmail_queue_batch *b;
    lmail_queue_config c = kit.config;
    add_at(1, "a@x", 1, 0, 0);
    ck_assert_int_eq(lmail_queue_open(&other, &c, NULL, 0), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_lead(other), LMAIL_ERR_BUSY);
    ck_assert_int_eq(lmail_queue_claim(other, LMAIL_STR("x"), 9, 1, &b), LMAIL_ERR_STATE);
    ck_assert_int_eq(lmail_queue_claim_message(other, 1, &b), LMAIL_ERR_STATE);
    ck_assert_int_eq(lmail_queue_lead(kit.queue), LMAIL_OK);
    c.keeper = 0;
    ck_assert_int_eq(lmail_queue_open(&reader, &c, NULL, 0), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_lead(reader), LMAIL_ERR_DENIED);
    lmail_queue_free(reader);
    /* It goes, and the other one takes over. */
    qkit_close(&kit);
    ck_assert_int_eq(lmail_queue_lead(other), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_claim(other, LMAIL_STR("x"), 9, 1, &b), LMAIL_OK);
    lmail_queue_batch_free(other, b);
    lmail_queue_free(other);
    ck_assert_int_eq(qkit_open(&kit), LMAIL_OK);
}
END_TEST

START_TEST(test_after_a_kill_nothing_is_claimed)
{
    add_at(1, "a@x b@x", 1, 0, 0);
    qkit_close(&kit);
    pid_t child = fork();
    if (child == 0) {
        lmail_queue_result r = result(1, 1, LMAIL_QUEUE_RELAYED);
        const lmail_queue_batch *b;
        if (qkit_open(&kit) || lmail_queue_lead(kit.queue) ||
            lmail_queue_claim(kit.queue, LMAIL_STR("x"), 9, 9, &b) ||
            lmail_queue_results(kit.queue, &r, 1))
            _exit(1);
        _exit(0);
    }
    int how;
    ck_assert_int_eq(waitpid(child, &how, 0), child);
    ck_assert_int_eq(how, 0);
    ck_assert_int_eq(qkit_open(&kit), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_lead(kit.queue), LMAIL_OK);
    const lmail_queue_batch *b = claim("x", 9, 9);
    ck_assert_str_eq(rows_of(b), "1:0");
    lmail_queue_batch_free(kit.queue, b);
}
END_TEST

/* Threads that claim, send and write results: each row is had once. */
static unsigned char had[64 * 8];

static void *send_all(void *arg)
{
    const lmail_queue_batch *b;
    (void)arg;
    while (lmail_queue_claim(kit.queue, LMAIL_STR("x"), 9, 3, &b) == LMAIL_OK) {
        lmail_queue_result r[3];
        size_t n = 0;
        for (size_t i = 0; i < b->count; i++)
            for (size_t k = 0; k < b->messages[i].recipient_count; k++) {
                unsigned number = b->messages[i].recipients[k].number;
                __atomic_add_fetch(&had[(b->messages[i].id - 1) * 8 + number], 1, __ATOMIC_RELAXED);
                r[n++] = result(b->messages[i].id, number, LMAIL_QUEUE_RELAYED);
            }
        if (lmail_queue_results(kit.queue, r, n))
            return arg;
        lmail_queue_batch_free(kit.queue, b);
    }
    return NULL;
}

START_TEST(test_threads_have_each_row_once)
{
    pthread_t threads[4];
    void *bad;
    for (uint64_t id = 1; id <= 64; id++)
        add_at(id, "a@x b@x c@x d@x e@x f@x g@x h@x", 1, (int)(id % 3), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, send_all, &kit), 0);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_join(threads[i], &bad), 0);
        ck_assert_ptr_null(bad);
    }
    for (size_t i = 0; i < sizeof had; i++)
        ck_assert_uint_eq(had[i], 1);
    ck_assert_str_eq(qkit_ids(&kit, NULL), "");
    ck_assert(!qkit_has_data(&kit, 7));
}
END_TEST

/* ---- Results --------------------------------------------------------------------------------- */

static int show_rows(void *user, const lmail_queue_message *m)
{
    (void)user;
    said[0] = '\0';
    for (size_t i = 0; i < m->recipient_count; i++) {
        const lmail_queue_recipient *r = &m->recipients[i];
        size_t n = strlen(said);
        snprintf(said + n, sizeof said - n, "%s%s %lld %u %u %.*s %.*s %.*s w%lld r%u",
                 n ? "; " : "", lmail_queue_state_name(r->state), (long long)r->next, r->attempts,
                 r->code, (int)r->enhanced.len, r->enhanced.ptr, (int)r->reply.len, r->reply.ptr,
                 (int)r->host.len, r->host.ptr, (long long)r->warned, r->report);
    }
    return 0;
}

static const char *rows(uint64_t id)
{
    return lmail_queue_get(kit.queue, id, show_rows, NULL) ? "-" : said;
}

START_TEST(test_results_are_written_and_the_last_one_removes)
{
    lmail_queue_result r[3] = {result(1, 0, LMAIL_QUEUE_RELAYED), result(1, 1, LMAIL_QUEUE_WAITING),
                               result(2, 0, LMAIL_QUEUE_RELAYED)};
    add_at(1, "a@x b@x", 1, 0, 0);
    add_at(2, "a@x", 1, 0, 0);
    ck_assert_int_eq(lmail_queue_results(kit.queue, r, 3), LMAIL_OK);
    ck_assert_str_eq(rows(1), "relayed 500 1 250 4.7.1 wait mx.far w0 r0; "
                              "waiting 500 1 451 4.7.1 wait mx.far w0 r0");
    ck_assert_str_eq(rows(2), "-");
    ck_assert(!qkit_has_data(&kit, 2));
    ck_assert_str_eq(destinations(499), "");
    ck_assert_str_eq(destinations(500), "x/0/500");
    /* What has ended stays as it ended; what is gone is passed over. */
    r[0].state = LMAIL_QUEUE_FAILED;
    ck_assert_int_eq(lmail_queue_results(kit.queue, r, 3), LMAIL_OK);
    ck_assert_int_eq(strncmp(rows(1), "relayed", 7), 0);
    r[1].state = LMAIL_QUEUE_RELAYED;
    ck_assert_int_eq(lmail_queue_results(kit.queue, r, 2), LMAIL_OK);
    ck_assert_str_eq(rows(1), "-");
    ck_assert(!qkit_has_data(&kit, 1));
    ck_assert_int_eq(lmail_queue_results(kit.queue, NULL, 0), LMAIL_OK);
}
END_TEST

START_TEST(test_a_report_keeps_the_message_until_it_is_queued)
{
    uint64_t ids[4];
    size_t n;
    lmail_queue_result r = result(1, 0, LMAIL_QUEUE_FAILED);
    r.report = 1;
    add_at(1, "a@x", 1, 0, 0);
    ck_assert_int_eq(lmail_queue_results(kit.queue, &r, 1), LMAIL_OK);
    qkit_close(&kit);
    ck_assert_int_eq(qkit_open(&kit), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_lead(kit.queue), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_unreported(kit.queue, 0, ids, 4, &n), LMAIL_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(ids[0], 1);
    const lmail_queue_batch *b;
    ck_assert_int_eq(lmail_queue_claim_message(kit.queue, 1, &b), LMAIL_OK);
    ck_assert_uint_eq(b->rows, 0);
    ck_assert_uint_eq(b->messages[0].recipients[0].report, 1);
    lmail_queue_batch_free(kit.queue, b);
    lmail_queue_recipient to = {.address = LMAIL_STR("s@here"), .destination = LMAIL_STR("here")};
    lmail_queue_message m = LMAIL_QUEUE_MESSAGE_INIT;
    m.id = 9;
    m.octets = 3;
    m.recipients = &to;
    m.recipient_count = 1;
    qkit_data(&kit, 9, "dsn");
    ck_assert_int_eq(lmail_queue_reported(kit.queue, 1, &m), LMAIL_OK);
    ck_assert_str_eq(qkit_ids(&kit, NULL), "9");
    ck_assert(!qkit_has_data(&kit, 1));
    ck_assert_int_eq(lmail_queue_unreported(kit.queue, 0, ids, 4, &n), LMAIL_OK);
    ck_assert_uint_eq(n, 0);
    /* Nothing is added for a message that is gone. */
    m.id = 10;
    qkit_data(&kit, 10, "dsn");
    ck_assert_int_eq(lmail_queue_reported(kit.queue, 1, &m), LMAIL_ERR_NOTFOUND);
    ck_assert_str_eq(qkit_ids(&kit, NULL), "9");
    ck_assert(!qkit_has_data(&kit, 10));
}
END_TEST

START_TEST(test_age_is_found_whether_tried_or_not)
{
    uint64_t ids[2];
    size_t n;
    lmail_queue_age after = {0, 0};
    for (uint64_t id = 1; id <= 4; id++)
        add_at(id, "a@x", 100 + (int64_t)id, 0, 0);
    ck_assert_int_eq(lmail_queue_hold(kit.queue, 2, LMAIL_STR("")), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_aged(kit.queue, 104, 0, &after, ids, 2, &n), LMAIL_OK);
    ck_assert_uint_eq(n, 2);
    ck_assert_uint_eq(ids[0], 1);
    ck_assert_uint_eq(ids[1], 3);
    ck_assert_int_eq(lmail_queue_warned(kit.queue, 1, 4711, NULL), LMAIL_OK);
    ck_assert_str_eq(rows(1), "waiting 101 0 0    w4711 r0");
    ck_assert_int_eq(lmail_queue_aged(kit.queue, 104, 0, &after, ids, 2, &n), LMAIL_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(ids[0], 4);
    after = (lmail_queue_age){0, 0};
    ck_assert_int_eq(lmail_queue_aged(kit.queue, 104, 1, &after, ids, 2, &n), LMAIL_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(ids[0], 1);
    const lmail_queue_batch *b, *all;
    ck_assert_int_eq(lmail_queue_claim_message(kit.queue, 4, &all), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_claim_message(kit.queue, 4, &b), LMAIL_ERR_BUSY);
    lmail_queue_batch_free(kit.queue, all);
}
END_TEST

/* ---- Runs and watching ----------------------------------------------------------------------- */

static char told[400];

static void tell(void *user, lmail_str destination, int priority)
{
    size_t n = strlen(told);
    (void)user;
    snprintf(told + n, sizeof told - n, "[%.*s/%d]", (int)destination.len, destination.ptr,
             priority);
}

START_TEST(test_make_due_now)
{
    size_t n;
    told[0] = '\0';
    add_at(1, "a@x b@y", 100, 0, 0);
    add_at(2, "a@x", 100, 0, 0);
    add_at(3, "a@z", 100, 0, 0);
    ck_assert_int_eq(lmail_queue_hold(kit.queue, 3, LMAIL_STR("")), LMAIL_OK);
    lmail_queue_watch(kit.queue, tell, NULL);
    ck_assert_int_eq(lmail_queue_retry(kit.queue, 2, &n), LMAIL_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_str_eq(told, "[x/0]");
    ck_assert_str_eq(destinations(9), "x/0/0");
    ck_assert_int_eq(lmail_queue_retry(kit.queue, 99, NULL), LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(lmail_queue_retry_destination(kit.queue, LMAIL_STR("y"), &n), LMAIL_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(lmail_queue_retry_all(kit.queue, &n), LMAIL_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_str_eq(destinations(9), "x/0/0 y/0/0");
    ck_assert_str_eq(told, "[x/0][/0][/0]");
    said[0] = '\0';
    ck_assert_int_eq(lmail_queue_take_runs(kit.queue, say, NULL), LMAIL_OK);
    ck_assert_str_eq(said, "/0/0 y/0/0");
    said[0] = '\0';
    ck_assert_int_eq(lmail_queue_take_runs(kit.queue, say, NULL), LMAIL_OK);
    ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(test_many_are_made_due_in_several_steps)
{
    size_t n;
    for (uint64_t id = 1; id <= 700; id++)
        add_at(id, "a@x a@x a@x a@x a@x a@x a@x a@x a@x a@x", 100, 0, 0);
    ck_assert_int_eq(lmail_queue_retry_all(kit.queue, &n), LMAIL_OK);
    ck_assert_uint_eq(n, 7000);
    ck_assert_int_eq(lmail_queue_retry_destination(kit.queue, LMAIL_STR("x"), &n), LMAIL_OK);
    ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(test_who_watches_hears_of_new_work)
{
    lmail_queue *other;
    told[0] = '\0';
    lmail_queue_watch(kit.queue, tell, NULL);
    add_at(1, "a@x b@x c@y", 1, 3, 0);
    ck_assert_str_eq(told, "[x/3][y/3]");
    told[0] = '\0';
    add_at(2, "a@x b@x c@y", 1, 3, 1);
    ck_assert_str_eq(told, "");
    ck_assert_int_eq(lmail_queue_settle(kit.queue, 2), LMAIL_OK);
    ck_assert_str_eq(told, "[x/3][y/3]");
    ck_assert_int_eq(lmail_queue_hold(kit.queue, 2, LMAIL_STR("")), LMAIL_OK);
    told[0] = '\0';
    ck_assert_int_eq(lmail_queue_release(kit.queue, 2), LMAIL_OK);
    ck_assert_str_eq(told, "[x/3][y/3]");
    /* Another handle's changes are found by asking; our own are not. */
    lmail_queue_changed(kit.queue);
    add_at(3, "a@x", 1, 0, 0);
    ck_assert_int_eq(lmail_queue_changed(kit.queue), 0);
    ck_assert_int_eq(lmail_queue_open(&other, &kit.config, NULL, 0), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_retry_all(other, NULL), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_changed(kit.queue), 1);
    ck_assert_int_eq(lmail_queue_changed(kit.queue), 0);
    lmail_queue_free(other);
}
END_TEST

/* The tables of version 1 get what they lack. */
START_TEST(test_an_older_queue_grows)
{
    add_at(1, "a@x", 1, 4, 0);
    add_at(2, "a@y", 1, 0, 0);
    ck_assert_int_eq(lmail_queue_hold(kit.queue, 2, LMAIL_STR("")), LMAIL_OK);
    ck_assert_int_eq(
        sqlite3_exec(kit.queue->write.db,
                     "DROP INDEX recipient_turn;DROP INDEX recipient_next;DROP TABLE run;"
                     "DROP INDEX recipient_report;DROP INDEX message_age;"
                     "ALTER TABLE message DROP COLUMN warned;"
                     "ALTER TABLE recipient DROP COLUMN priority;"
                     "ALTER TABLE recipient DROP COLUMN blocked;"
                     "ALTER TABLE recipient DROP COLUMN report;"
                     "CREATE INDEX recipient_waiting ON recipient(destination,next) WHERE state=0;"
                     "PRAGMA user_version=1",
                     NULL, NULL, NULL),
        SQLITE_OK);
    qkit_close(&kit);
    ck_assert_int_eq(qkit_open(&kit), LMAIL_OK);
    ck_assert_str_eq(destinations(9), "x/4/1");
    ck_assert_int_eq(lmail_queue_release(kit.queue, 2), LMAIL_OK);
    ck_assert_str_eq(destinations(9), "x/4/1 y/0/0");
}
END_TEST

Suite *queue_due_suite(void);
Suite *queue_due_suite(void)
{
    Suite *s = suite_create("queue_due");
    TCase *c = tcase_create("due");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_destinations_are_found_once_each);
    tcase_add_test(c, test_what_is_pending_or_held_is_nobodys_turn);
    tcase_add_test(c, test_names_that_are_long_or_empty_are_passed);
    tcase_add_test(c, test_the_cursor_tells_what_came_due);
    tcase_add_test(c, test_no_statement_looks_at_all_rows);
    tcase_add_test(c, test_a_claim_is_urgent_first_and_grouped);
    tcase_add_test(c, test_only_one_handle_sends);
    tcase_add_test(c, test_after_a_kill_nothing_is_claimed);
    tcase_add_test(c, test_threads_have_each_row_once);
    tcase_add_test(c, test_results_are_written_and_the_last_one_removes);
    tcase_add_test(c, test_a_report_keeps_the_message_until_it_is_queued);
    tcase_add_test(c, test_age_is_found_whether_tried_or_not);
    tcase_add_test(c, test_make_due_now);
    tcase_add_test(c, test_many_are_made_due_in_several_steps);
    tcase_add_test(c, test_who_watches_hears_of_new_work);
    tcase_add_test(c, test_an_older_queue_grows);
    suite_add_tcase(s, c);
    return s;
}
