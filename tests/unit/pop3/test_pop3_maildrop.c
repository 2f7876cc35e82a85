/* What a POP3 session remembers of its messages: packed sizes and marks. */
#include "pop3/pop3_internal.h"
#include "support/count_alloc.h"

#include <check.h>

Suite *pop3_maildrop_suite(void);

static count_alloc counter;
static lmail_alloc alloc;
static lmi_pop3_maildrop m;

static void setup(void)
{
    counter = (count_alloc){0};
    alloc = count_alloc_table(&counter);
    m = (lmi_pop3_maildrop){0};
}

static void teardown(void)
{
    lmi_pop3_maildrop_done(&m, &alloc);
    ck_assert_uint_eq(counter.live, 0);
    ck_assert_uint_eq(counter.lies, 0);
}

/* A spread of sizes, each block with another width. */
static uint64_t size_of(uint32_t number)
{
    unsigned block = (number - 1) / LMI_POP3_BLOCK;
    uint64_t top = block % 9 == 8 ? UINT64_MAX >> 20 : ((uint64_t)1 << 7 * (block % 9)) - 1;
    return top - number % 3 <= top ? top - number % 3 : top;
}

START_TEST(sizes_come_back_as_they_were_given)
{
    static const uint32_t counts[] = {0, 1, 255, 256, 257, 512, 2000};
    uint32_t count = counts[_i];
    uint64_t total = 0;
    for (uint32_t n = 1; n <= count; n++) {
        ck_assert_int_eq(lmi_pop3_maildrop_add(&m, &alloc, size_of(n)), LMAIL_OK);
        total += size_of(n);
    }
    ck_assert_int_eq(lmi_pop3_maildrop_seal(&m, &alloc), LMAIL_OK);
    ck_assert_uint_eq(m.count, count);
    ck_assert_uint_eq(m.octets, total);
    for (uint32_t n = 1; n <= count; n++)
        ck_assert_uint_eq(lmi_pop3_size(&m, n), size_of(n));
}
END_TEST

START_TEST(a_million_messages_cost_little)
{
    lmail_status st = LMAIL_OK;
    for (uint32_t n = 1; n <= 1000000 && !st; n++)
        st = lmi_pop3_maildrop_add(&m, &alloc, 1000 + n % 50000);
    ck_assert_int_eq(st, LMAIL_OK);
    ck_assert_int_eq(lmi_pop3_maildrop_seal(&m, &alloc), LMAIL_OK);
    ck_assert_uint_lt(counter.octets, 2100000); /* two octets each */
    ck_assert_int_eq(lmi_pop3_mark(&m, &alloc, LMI_POP3_DELETED, 1000000), LMAIL_OK);
    ck_assert_uint_lt(counter.octets, 2300000);
}
END_TEST

START_TEST(a_sum_that_overflows_is_refused)
{
    ck_assert_int_eq(lmi_pop3_maildrop_add(&m, &alloc, UINT64_MAX), LMAIL_OK);
    ck_assert_int_eq(lmi_pop3_maildrop_add(&m, &alloc, 1), LMAIL_ERR_LIMIT);
    ck_assert_int_eq(lmi_pop3_maildrop_add(&m, &alloc, 0), LMAIL_OK);
    ck_assert_int_eq(lmi_pop3_maildrop_seal(&m, &alloc), LMAIL_OK);
    ck_assert_uint_eq(lmi_pop3_size(&m, 1), UINT64_MAX);
    ck_assert_uint_eq(lmi_pop3_size(&m, 2), 0);
}
END_TEST

START_TEST(marks_are_counted_once_and_taken_back)
{
    for (uint32_t n = 1; n <= 20; n++)
        ck_assert_int_eq(lmi_pop3_maildrop_add(&m, &alloc, n), LMAIL_OK);
    ck_assert_int_eq(lmi_pop3_maildrop_seal(&m, &alloc), LMAIL_OK);
    ck_assert(!lmi_pop3_marked(&m, LMI_POP3_DELETED, 8));
    for (int twice = 0; twice < 2; twice++) {
        ck_assert_int_eq(lmi_pop3_mark(&m, &alloc, LMI_POP3_DELETED, 8), LMAIL_OK);
        ck_assert_int_eq(lmi_pop3_mark(&m, &alloc, LMI_POP3_DELETED, 20), LMAIL_OK);
        ck_assert_int_eq(lmi_pop3_mark(&m, &alloc, LMI_POP3_READ, 9), LMAIL_OK);
    }
    ck_assert_uint_eq(m.deleted, 2);
    ck_assert_uint_eq(m.deleted_octets, 28);
    ck_assert(lmi_pop3_marked(&m, LMI_POP3_DELETED, 8));
    ck_assert(!lmi_pop3_marked(&m, LMI_POP3_DELETED, 9));
    lmi_pop3_unmark_deleted(&m, &alloc);
    ck_assert_uint_eq(m.deleted, 0);
    ck_assert_uint_eq(m.deleted_octets, 0);
    ck_assert(!lmi_pop3_marked(&m, LMI_POP3_DELETED, 8));
    ck_assert(lmi_pop3_marked(&m, LMI_POP3_READ, 9));
}
END_TEST

START_TEST(a_failing_allocation_loses_nothing)
{
    for (size_t fail = 1; fail < 12; fail++) {
        counter.fail_at = counter.requests + fail;
        lmail_status st = LMAIL_OK;
        for (uint32_t n = 1; n <= 600 && !st; n++)
            st = lmi_pop3_maildrop_add(&m, &alloc, n);
        if (!st)
            st = lmi_pop3_maildrop_seal(&m, &alloc);
        ck_assert(st == LMAIL_OK || st == LMAIL_ERR_NOMEM);
        lmi_pop3_maildrop_done(&m, &alloc);
        ck_assert_uint_eq(counter.live, 0);
    }
}
END_TEST

Suite *pop3_maildrop_suite(void)
{
    Suite *suite = suite_create("pop3_maildrop");
    TCase *tc = tcase_create("sizes and marks");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, sizes_come_back_as_they_were_given, 0, 7);
    tcase_add_test(tc, a_million_messages_cost_little);
    tcase_add_test(tc, a_sum_that_overflows_is_refused);
    tcase_add_test(tc, marks_are_counted_once_and_taken_back);
    tcase_add_test(tc, a_failing_allocation_loses_nothing);
    suite_add_tcase(suite, tc);
    return suite;
}
