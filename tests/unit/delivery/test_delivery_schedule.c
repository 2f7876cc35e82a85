/* When a recipient is tried again; hosts that are down. */
#include "support/count_alloc.h"

#include <check.h>
#include <libmail/delivery_schedule.h>
#include <string.h>

#define MINUTE 60000
#define HOUR (60 * MINUTE)
#define DAY (24 * (int64_t)HOUR)

START_TEST(waits_double_up_to_the_longest)
{
    static const struct {
        unsigned attempts;
        int64_t wait;
    } t[] = {{0, 5 * MINUTE},  {1, 5 * MINUTE},     {2, 10 * MINUTE},
             {3, 20 * MINUTE}, {6, 160 * MINUTE},   {7, 4 * HOUR},
             {8, 4 * HOUR},    {1000000, 4 * HOUR}, {UINT32_MAX, 4 * HOUR}};
    lmail_schedule s = {0};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        int64_t least = INT64_MAX, most = 0, arrived = 1000 * DAY;
        for (uint32_t r = 0; r < 5000; r++) {
            int64_t wait =
                lmail_schedule_next(&s, arrived, t[i].attempts, r * 2654435761u, arrived + HOUR) -
                arrived - HOUR;
            least = wait < least ? wait : least;
            most = wait > most ? wait : most;
        }
        ck_assert_int_ge(least, t[i].wait * 7 / 8);
        ck_assert_int_le(most, t[i].wait * 9 / 8);
        ck_assert_int_gt(most - least, t[i].wait / 5); /* they are spread */
    }
}
END_TEST

START_TEST(the_last_attempt_is_when_mail_goes_back)
{
    lmail_schedule s = {0};
    int64_t arrived = 1000 * DAY, end = arrived + 5 * DAY;
    ck_assert_int_eq(lmail_schedule_return_at(&s, arrived), end);
    ck_assert_int_eq(lmail_schedule_next(&s, arrived, 30, 7, end - HOUR), end);
    /* Behind it, still later than now. */
    ck_assert_int_eq(lmail_schedule_next(&s, arrived, 30, 7, end), end + 1000);
    s.return_after = HOUR;
    ck_assert_int_eq(lmail_schedule_next(&s, arrived, 9, 7, arrived + MINUTE), arrived + HOUR);
    s.retry_first = 8 * HOUR; /* above the longest: it is the longest */
    s.return_after = 0;
    int64_t next = lmail_schedule_next(&s, arrived, 1, 0, arrived);
    ck_assert_int_eq(next, arrived + 7 * HOUR);
    ck_assert_int_eq(lmail_schedule_next(&s, INT64_MAX, 1, 0, INT64_MAX - 5), INT64_MAX);
}
END_TEST

START_TEST(a_delay_is_told_once)
{
    lmail_schedule s = {0};
    ck_assert_int_eq(lmail_schedule_warn_at(&s, DAY, 0), INT64_MAX);
    s.warn_after = 4 * HOUR;
    ck_assert_int_eq(lmail_schedule_warn_at(&s, DAY, 0), DAY + 4 * HOUR);
    ck_assert_int_eq(lmail_schedule_warn_at(&s, DAY, DAY + 4 * HOUR), INT64_MAX);
}
END_TEST

static lmail_delivery_address address(unsigned n)
{
    lmail_delivery_address a = {
        4, {10, (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n}};
    return a;
}

START_TEST(one_at_a_time_asks_a_host_that_was_down)
{
    lmail_delivery_status_config c = LMAIL_DELIVERY_STATUS_CONFIG_INIT;
    lmail_delivery_status *t;
    lmail_delivery_address a = address(1), b = address(2);
    c.most = 30 * MINUTE;
    ck_assert_int_eq(lmail_delivery_status_new(&t, &c), LMAIL_OK);
    ck_assert_int_eq(lmail_delivery_status_ask(t, &a, 25, 0), 1);
    ck_assert_int_eq(lmail_delivery_status_ask(t, &a, 25, 0), 1); /* nothing is known yet */
    lmail_delivery_status_tell(t, &a, 25, 0, 1000);
    ck_assert_int_eq(lmail_delivery_status_ask(t, &a, 25, 2000), 0);
    ck_assert_int_eq(lmail_delivery_status_ask(t, &a, 26, 2000), 1);
    ck_assert_int_eq(lmail_delivery_status_ask(t, &b, 25, 2000), 1);
    ck_assert_int_eq(lmail_delivery_status_ask(t, &a, 25, 1000 + MINUTE), 1);
    ck_assert_int_eq(lmail_delivery_status_ask(t, &a, 25, 1001 + MINUTE), 0);
    lmail_delivery_status_tell(t, &a, 25, 0, 2 * MINUTE); /* it doubles, less an eighth */
    ck_assert_int_eq(lmail_delivery_status_ask(t, &a, 25, 3 * MINUTE), 0);
    ck_assert_int_eq(lmail_delivery_status_ask(t, &a, 25, 4 * MINUTE), 1);
    /* Whoever was let through has gone: ten minutes. */
    ck_assert_int_eq(lmail_delivery_status_ask(t, &a, 25, 13 * MINUTE), 0);
    ck_assert_int_eq(lmail_delivery_status_ask(t, &a, 25, 14 * MINUTE), 1);
    for (unsigned i = 0; i < 20; i++)
        lmail_delivery_status_tell(t, &a, 25, 0, 20 * MINUTE);
    ck_assert_int_eq(lmail_delivery_status_ask(t, &a, 25, 50 * MINUTE), 1);
    lmail_delivery_status_tell(t, &a, 25, 1, 50 * MINUTE);
    ck_assert_int_eq(lmail_delivery_status_ask(t, &a, 25, 50 * MINUTE), 1);
    lmail_delivery_status_tell(t, &a, 25, 0, 51 * MINUTE);
    lmail_delivery_status_forget(t);
    ck_assert_int_eq(lmail_delivery_status_ask(t, &a, 25, 51 * MINUTE), 1);
    lmail_delivery_status_free(t);
}
END_TEST

START_TEST(the_longest_unused_host_is_forgotten)
{
    lmail_delivery_status_config c = LMAIL_DELIVERY_STATUS_CONFIG_INIT;
    lmail_delivery_status *t;
    count_alloc memory = {0};
    c.alloc = count_alloc_table(&memory);
    c.most = 30 * MINUTE;
    c.max_hosts = 100;
    ck_assert_int_eq(lmail_delivery_status_new(&t, &c), LMAIL_OK);
    for (unsigned i = 0; i < 1000; i++) {
        lmail_delivery_address a = address(i);
        lmail_delivery_status_tell(t, &a, 25, 0, 1000);
    }
    ck_assert_uint_le(memory.live, 102);
    for (unsigned i = 0; i < 1000; i++) {
        lmail_delivery_address a = address(i);
        ck_assert_int_eq(lmail_delivery_status_ask(t, &a, 25, 2000), i < 900);
    }
    memory.fail_at = memory.requests + 1;
    lmail_delivery_address a = address(5000);
    lmail_delivery_status_tell(t, &a, 25, 0, 1000); /* without memory it is not remembered */
    ck_assert_int_eq(lmail_delivery_status_ask(t, &a, 25, 2000), 1);
    lmail_delivery_status_free(t);
    ck_assert_uint_eq(memory.live, 0);
    c.most = 0;
    ck_assert_int_eq(lmail_delivery_status_new(&t, &c), LMAIL_OK);
    lmail_delivery_status_tell(t, &a, 25, 0, 1000);
    ck_assert_int_eq(lmail_delivery_status_ask(t, &a, 25, 1000), 1);
    lmail_delivery_status_free(t);
}
END_TEST

Suite *delivery_schedule_suite(void)
{
    Suite *s = suite_create("delivery_schedule");
    TCase *tc = tcase_create("delivery_schedule");
    tcase_add_test(tc, waits_double_up_to_the_longest);
    tcase_add_test(tc, the_last_attempt_is_when_mail_goes_back);
    tcase_add_test(tc, a_delay_is_told_once);
    tcase_add_test(tc, one_at_a_time_asks_a_host_that_was_down);
    tcase_add_test(tc, the_longest_unused_host_is_forgotten);
    suite_add_tcase(s, tc);
    return s;
}
