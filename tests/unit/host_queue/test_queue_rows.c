/* Rows of the queue: what is put in comes out, who may be found how, what changes. */
#include "host_queue.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static qkit kit;

static void setup(void)
{
    qkit_start(&kit);
}

static void teardown(void)
{
    qkit_stop(&kit);
}

/* ---- Ids ------------------------------------------------------------------------------------- */

START_TEST(test_ids_are_upper_case_hexadecimal)
{
    static const struct row {
        const char *text;
        uint64_t id;
        int good;
    } rows[] = {{"0", 0, 1},
                {"65A0F", 0x65a0f, 1},
                {"FFFFFFFFFFFFFFFF", UINT64_MAX, 1},
                {"65a0f", 0x65a0f, 1},
                {"", 0, 0},
                {"10000000000000000", 0, 0},
                {"G", 0, 0},
                {"1 ", 0, 0},
                {"-1", 0, 0},
                {"../1", 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[LMAIL_QUEUE_ID_TEXT];
        uint64_t id = 0;
        lmail_status st = lmail_queue_id_parse(lmail_str_from(rows[i].text), &id);
        ck_assert_int_eq(st, rows[i].good ? LMAIL_OK : LMAIL_ERR_SYNTAX);
        if (!rows[i].good)
            continue;
        ck_assert_uint_eq(id, rows[i].id);
        ck_assert_uint_eq(lmail_queue_id_write(id, out), strlen(rows[i].text));
        if (i != 3)
            ck_assert_str_eq(out, rows[i].text);
    }
}
END_TEST

START_TEST(test_names_of_states)
{
    ck_assert_str_eq(lmail_queue_state_name(LMAIL_QUEUE_WAITING), "waiting");
    ck_assert_str_eq(lmail_queue_state_name(LMAIL_QUEUE_FAILED), "failed");
    ck_assert_str_eq(lmail_queue_state_name((lmail_queue_state)99), "?");
}
END_TEST

/* ---- Everything comes back ------------------------------------------------------------------- */

static const lmail_queue_recipient full_recipients[] = {
    {.address = {"x@far.test", 10},
     .route = {"smtp:[hub.test]", 15},
     .destination = {"[hub.test]", 10},
     .notify = 6,
     .has_orcpt = 1,
     .orcpt = {"rfc822;o\0p", 10},
     .next = 5000000000000,
     .attempts = 3,
     .last = 4000000000000,
     .warned = 4100000000000,
     .code = 451,
     .enhanced = {"4.2.0", 5},
     .reply = {"later", 5},
     .host = {"hub.test", 8}},
    {.address = {"y@far.test", 10}, .state = LMAIL_QUEUE_RELAYED},
};

static const lmail_queue_message full_message = {
    .size = sizeof full_message,
    .id = 0x65A0F12345678,
    .sender = {"a@b.test", 8},
    .flags = LMAIL_QUEUE_SMTPUTF8 | LMAIL_QUEUE_RUN_ONLY,
    .body = 2,
    .ret = 1,
    .has_envid = 1,
    .envid = {"", 0},
    .has_auth = 1,
    .auth = {"q@b.test", 8},
    .submitter = {"ana", 3},
    .client = {"192.0.2.1", 9},
    .local_address = {"::1", 3},
    .octets = 1ull << 33,
    .header = 26,
    .arrived = 1700000000123,
    .priority = -2,
    .held = LMAIL_QUEUE_QUARANTINED,
    .reason = {"bad", 3},
    .recipients = full_recipients,
    .recipient_count = 2,
};

static int same(lmail_str a, lmail_str b)
{
    return lmail_str_equal(a, b);
}

static int compare_full(void *user, const lmail_queue_message *m)
{
    const lmail_queue_message *f = &full_message;
    ++*(int *)user;
    ck_assert(m->size == sizeof *m && m->id == f->id && same(m->sender, f->sender));
    ck_assert(m->flags == f->flags && m->body == f->body && m->ret == f->ret);
    ck_assert(m->has_envid && same(m->envid, f->envid) && m->has_auth && same(m->auth, f->auth));
    ck_assert(same(m->submitter, f->submitter) && same(m->client, f->client));
    ck_assert(same(m->local_address, f->local_address) && m->octets == f->octets);
    ck_assert(m->header == f->header && m->arrived == f->arrived && m->priority == f->priority);
    ck_assert(m->held == f->held && same(m->reason, f->reason) && !m->pending);
    ck_assert_uint_eq(m->waiting, 1);
    ck_assert_uint_eq(m->recipient_count, 2);
    for (int i = 0; i < 2; i++) {
        const lmail_queue_recipient *r = &m->recipients[i], *w = &full_recipients[i];
        ck_assert(same(r->address, w->address) && same(r->route, w->route));
        ck_assert(same(r->destination, w->destination) && r->notify == w->notify);
        ck_assert(r->has_orcpt == w->has_orcpt && same(r->orcpt, w->orcpt));
        ck_assert(r->state == w->state && r->next == w->next && r->attempts == w->attempts);
        ck_assert(r->last == w->last && r->warned == w->warned && r->code == w->code);
        ck_assert(same(r->enhanced, w->enhanced) && same(r->reply, w->reply));
        ck_assert(same(r->host, w->host));
    }
    return 0;
}

START_TEST(test_what_goes_in_comes_out)
{
    int seen = 0;
    uint64_t next;
    ck_assert_int_eq(lmail_queue_add(kit.queue, &full_message), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_get(kit.queue, full_message.id, compare_full, &seen), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_list(kit.queue, NULL, 0, 0, compare_full, &seen, &next), LMAIL_OK);
    ck_assert_int_eq(seen, 2);
    ck_assert_uint_eq(next, 0);
}
END_TEST

START_TEST(test_what_cannot_be_a_message)
{
    lmail_queue_message m = full_message;
    m.id = 0;
    ck_assert_int_eq(lmail_queue_add(kit.queue, &m), LMAIL_ERR_ARG);
    m.id = (uint64_t)INT64_MAX + 1;
    ck_assert_int_eq(lmail_queue_add(kit.queue, &m), LMAIL_ERR_ARG);
    m.id = 7;
    m.recipient_count = 0;
    qkit_data(&kit, 7, "x");
    ck_assert_int_eq(lmail_queue_add(kit.queue, &m), LMAIL_ERR_ARG);
    ck_assert(!qkit_has_data(&kit, 7));
    m.size++;
    ck_assert_int_eq(lmail_queue_add(kit.queue, &m), LMAIL_ERR_SIZE);
    /* A number that is taken stays its owner's, file and all. */
    ck_assert_int_eq(qkit_add(&kit, 8, "a@b", "x@c"), LMAIL_OK);
    m = full_message;
    m.id = 8;
    ck_assert_int_eq(lmail_queue_add(kit.queue, &m), LMAIL_ERR_EXISTS);
    ck_assert_str_eq(qkit_row(&kit, 8), "a@b; x@c");
    ck_assert(qkit_has_data(&kit, 8));
}
END_TEST

/* ---- Looking --------------------------------------------------------------------------------- */

static void fill(void)
{
    ck_assert_int_eq(qkit_add(&kit, 1, "a@one.test", "x@far.test y@near.test"), LMAIL_OK);
    ck_assert_int_eq(qkit_add(&kit, 2, "", "x@far.test"), LMAIL_OK);
    ck_assert_int_eq(qkit_add(&kit, 3, "A@One.test", "postmaster"), LMAIL_OK);
    ck_assert_int_eq(qkit_add(&kit, 4, "a_b@one.test", "z@sub.far.test"), LMAIL_OK);
    ck_assert_int_eq(qkit_add(&kit, 5, "axb@one.test", "100%@far.test"), LMAIL_OK);
    ck_assert_int_eq(qkit_add(&kit, 10, "a\\b@one.test", "x@near.test"), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_hold(kit.queue, 4, LMAIL_STR("asked")), LMAIL_OK);
}

START_TEST(test_filters)
{
    static const struct row {
        lmail_queue_filter filter;
        const char *ids;
    } rows[] = {
        {{0, {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, 0, 0}, "1 2 3 4 5 A"},
        {{0, {"a@one.test", 10}, {NULL, 0}, {NULL, 0}, 0, 0, 0}, "1 3"},
        {{0, {"<>", 2}, {NULL, 0}, {NULL, 0}, 0, 0, 0}, "2"},
        {{0, {"*@ONE.test", 10}, {NULL, 0}, {NULL, 0}, 0, 0, 0}, "1 3 4 5 A"},
        {{0, {"a_b*", 4}, {NULL, 0}, {NULL, 0}, 0, 0, 0}, "4"},
        {{0, {"a\\b*", 4}, {NULL, 0}, {NULL, 0}, 0, 0, 0}, "A"},
        {{0, {NULL, 0}, {"*%*", 3}, {NULL, 0}, 0, 0, 0}, "5"},
        {{0, {NULL, 0}, {"x@far.test", 10}, {NULL, 0}, 0, 0, 0}, "1 2"},
        {{0, {NULL, 0}, {NULL, 0}, {"far.test", 8}, 0, 0, 0}, "1 2 5"},
        {{0, {NULL, 0}, {NULL, 0}, {"*far.test", 9}, 0, 0, 0}, "1 2 4 5"},
        {{0, {NULL, 0}, {NULL, 0}, {"local", 5}, 0, 0, 0}, "3"},
        /* one recipient must fit both */
        {{0, {NULL, 0}, {"x*", 2}, {"near.test", 9}, 0, 0, 0}, "A"},
        {{0, {NULL, 0}, {NULL, 0}, {NULL, 0}, 1u << LMAIL_QUEUE_HELD, 0, 0}, "4"},
        {{0, {NULL, 0}, {NULL, 0}, {NULL, 0}, 1u << LMAIL_QUEUE_FREE, 0, 0}, "1 2 3 5 A"},
        {{0, {NULL, 0}, {NULL, 0}, {NULL, 0}, 1u << LMAIL_QUEUE_QUARANTINED, 0, 0}, ""},
        {{0, {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, 3000, 0}, "1 2"},
        {{0, {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, 0, 5000}, "5 A"},
        {{0, {"a*", 2}, {NULL, 0}, {"far.test", 8}, 1, 0, 2000}, "5"},
    };
    fill();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lmail_queue_filter f = rows[i].filter;
        f.size = sizeof f;
        ck_assert_msg(strcmp(qkit_ids(&kit, &f), rows[i].ids) == 0, "row %zu: %s", i,
                      qkit_ids(&kit, &f));
    }
    lmail_queue_filter wrong = LMAIL_QUEUE_FILTER_INIT;
    uint64_t next;
    wrong.size++;
    ck_assert_int_eq(lmail_queue_list(kit.queue, &wrong, 0, 0, NULL, NULL, &next), LMAIL_ERR_SIZE);
}
END_TEST

static int remove_it(void *user, const lmail_queue_message *m)
{
    ++*(int *)user;
    ck_assert_int_eq(lmail_queue_remove(kit.queue, m->id), LMAIL_OK);
    return *(int *)user == 3;
}

START_TEST(test_a_function_may_change_the_queue_and_end_early)
{
    int seen = 0;
    uint64_t next = 99;
    fill();
    ck_assert_int_eq(lmail_queue_list(kit.queue, NULL, 0, 4, remove_it, &seen, &next), LMAIL_OK);
    ck_assert_int_eq(seen, 3);
    ck_assert_uint_eq(next, 0);
    ck_assert_str_eq(qkit_ids(&kit, NULL), "4 5 A");
}
END_TEST

START_TEST(test_counts)
{
    lmail_queue_counts c;
    ck_assert_int_eq(lmail_queue_count(kit.queue, &c), LMAIL_OK);
    ck_assert_uint_eq(c.messages + c.held + c.quarantined + c.recipients + c.octets, 0);
    fill();
    lmail_queue_message m = full_message;
    ck_assert_int_eq(lmail_queue_add(kit.queue, &m), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_count(kit.queue, &c), LMAIL_OK);
    ck_assert_uint_eq(c.messages, 7);
    ck_assert_uint_eq(c.held, 1);
    ck_assert_uint_eq(c.quarantined, 1);
    ck_assert_uint_eq(c.recipients, 8); /* one is relayed */
    ck_assert_uint_eq(c.octets, 30 + (1ull << 33));
}
END_TEST

/* ---- Changing -------------------------------------------------------------------------------- */

static int due(void *user, const lmail_queue_message *m)
{
    for (size_t i = 0; i < m->recipient_count; i++)
        *(int *)user += m->recipients[i].state == LMAIL_QUEUE_WAITING && m->recipients[i].next == 0;
    return 0;
}

START_TEST(test_hold_and_release)
{
    int now = 0;
    fill();
    ck_assert_int_eq(lmail_queue_hold(kit.queue, 1, LMAIL_STR("look at it")), LMAIL_OK);
    ck_assert_str_eq(qkit_row(&kit, 1), "a@one.test held=1:look at it; x@far.test,y@near.test");
    ck_assert_int_eq(lmail_queue_hold(kit.queue, 1, LMAIL_STR("again")), LMAIL_ERR_STATE);
    ck_assert_int_eq(lmail_queue_release(kit.queue, 1), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_release(kit.queue, 1), LMAIL_ERR_STATE);
    ck_assert_str_eq(qkit_row(&kit, 1), "a@one.test; x@far.test,y@near.test");
    ck_assert_int_eq(lmail_queue_hold(kit.queue, 99, LMAIL_STR("")), LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(lmail_queue_release(kit.queue, 99), LMAIL_ERR_NOTFOUND);
    /* One in quarantine stays that; released, those that wait are due and the others stay. */
    ck_assert_int_eq(lmail_queue_add(kit.queue, &full_message), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_hold(kit.queue, full_message.id, LMAIL_STR("x")), LMAIL_ERR_STATE);
    ck_assert_int_eq(lmail_queue_release(kit.queue, full_message.id), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_get(kit.queue, full_message.id, due, &now), LMAIL_OK);
    ck_assert_int_eq(now, 1);
}
END_TEST

START_TEST(test_remove)
{
    fill();
    ck_assert_int_eq(lmail_queue_remove(kit.queue, 1), LMAIL_OK);
    ck_assert(!qkit_has_data(&kit, 1));
    ck_assert_int_eq(lmail_queue_remove(kit.queue, 1), LMAIL_ERR_NOTFOUND);
    ck_assert_str_eq(qkit_ids(&kit, NULL), "2 3 4 5 A");
    lmail_queue_counts c;
    ck_assert_int_eq(lmail_queue_count(kit.queue, &c), LMAIL_OK);
    ck_assert_uint_eq(c.recipients, 5);
}
END_TEST

/* ---- Pending --------------------------------------------------------------------------------- */

static void add_pending(uint64_t id)
{
    static const lmail_queue_recipient r = {.address = {"x@far.test", 10}};
    lmail_queue_message m = LMAIL_QUEUE_MESSAGE_INIT;
    m.id = id;
    m.sender = LMAIL_STR("a@b");
    m.octets = 5;
    m.pending = 1;
    m.recipients = &r;
    m.recipient_count = 1;
    qkit_data(&kit, id, "hello");
    ck_assert_int_eq(lmail_queue_add(kit.queue, &m), LMAIL_OK);
}

START_TEST(test_a_pending_message_is_nobodys_yet)
{
    static const lmail_queue_recipient more[] = {{.address = {"b@here", 6}},
                                                 {.address = {"c@here", 6}}};
    lmail_queue_counts c;
    add_pending(1);
    ck_assert_str_eq(qkit_ids(&kit, NULL), "");
    ck_assert_int_eq(lmail_queue_count(kit.queue, &c), LMAIL_OK);
    ck_assert_uint_eq(c.messages, 0);
    ck_assert_int_eq(lmail_queue_hold(kit.queue, 1, LMAIL_STR("")), LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(lmail_queue_add_recipients(kit.queue, 1, more, 2), LMAIL_OK);
    ck_assert_str_eq(qkit_row(&kit, 1), "a@b pending; x@far.test,b@here,c@here");
    ck_assert_int_eq(lmail_queue_settle(kit.queue, 1), LMAIL_OK);
    ck_assert_str_eq(qkit_row(&kit, 1), "a@b; x@far.test,b@here,c@here");
    ck_assert_int_eq(lmail_queue_add_recipients(kit.queue, 1, more, 2), LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(lmail_queue_add_recipients(kit.queue, 2, more, 2), LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(lmail_queue_settle(kit.queue, 2), LMAIL_ERR_NOTFOUND);
}
END_TEST

START_TEST(test_cancel_leaves_nothing)
{
    add_pending(1);
    ck_assert_int_eq(lmail_queue_cancel(kit.queue, 1), LMAIL_OK);
    ck_assert_str_eq(qkit_row(&kit, 1), "-");
    ck_assert(!qkit_has_data(&kit, 1));
    qkit_data(&kit, 2, "no rows yet");
    ck_assert_int_eq(lmail_queue_cancel(kit.queue, 2), LMAIL_OK);
    ck_assert(!qkit_has_data(&kit, 2));
}
END_TEST

Suite *queue_rows_suite(void)
{
    Suite *s = suite_create("queue_rows");
    TCase *c = tcase_create("rows");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_ids_are_upper_case_hexadecimal);
    tcase_add_test(c, test_names_of_states);
    tcase_add_test(c, test_what_goes_in_comes_out);
    tcase_add_test(c, test_what_cannot_be_a_message);
    tcase_add_test(c, test_filters);
    tcase_add_test(c, test_a_function_may_change_the_queue_and_end_early);
    tcase_add_test(c, test_counts);
    tcase_add_test(c, test_hold_and_release);
    tcase_add_test(c, test_remove);
    tcase_add_test(c, test_a_pending_message_is_nobodys_yet);
    tcase_add_test(c, test_cancel_leaves_nothing);
    suite_add_tcase(s, c);
    return s;
}
