/* The table of maildrop locks: one session a name, and the time between two. */
#include "host/service/service_lock.h"

#include <check.h>
#include <stdio.h>

static lmi_locks *locks;

static void setup(void)
{
    locks = lmi_locks_new();
    ck_assert_ptr_nonnull(locks);
}

static void teardown(void)
{
    lmi_locks_free(locks);
}

START_TEST(test_one_session_a_name)
{
    ck_assert_int_eq(lmi_locks_take(locks, LMAIL_STR("ana"), 0, 10), LMAIL_OK);
    ck_assert_int_eq(lmi_locks_take(locks, LMAIL_STR("ana"), 0, 10), LMAIL_ERR_BUSY);
    ck_assert_int_eq(lmi_locks_take(locks, LMAIL_STR("an"), 0, 10), LMAIL_OK);
    ck_assert_int_eq(lmi_locks_take(locks, LMAIL_STR("anaa"), 0, 10), LMAIL_OK);
    lmi_locks_give(locks, LMAIL_STR("ana"));
    ck_assert_int_eq(lmi_locks_take(locks, LMAIL_STR("ana"), 0, 10), LMAIL_OK);
    ck_assert_int_eq(lmi_locks_take(locks, LMAIL_STR("an"), 0, 10), LMAIL_ERR_BUSY);
}
END_TEST

START_TEST(test_the_delay_counts_from_the_last_login)
{
    ck_assert_int_eq(lmi_locks_take(locks, LMAIL_STR("ana"), 1000, 10), LMAIL_OK);
    lmi_locks_give(locks, LMAIL_STR("ana"));
    ck_assert_int_eq(lmi_locks_take(locks, LMAIL_STR("ana"), 1000, 1009), LMAIL_ERR_LIMIT);
    ck_assert_int_eq(lmi_locks_take(locks, LMAIL_STR("ana"), 0, 1009), LMAIL_OK);
    lmi_locks_give(locks, LMAIL_STR("ana"));
    ck_assert_int_eq(lmi_locks_take(locks, LMAIL_STR("ana"), 1000, 2009), LMAIL_OK);
}
END_TEST

START_TEST(test_a_lock_outlives_its_delay)
{
    ck_assert_int_eq(lmi_locks_take(locks, LMAIL_STR("ana"), 1000, 10), LMAIL_OK);
    ck_assert_int_eq(lmi_locks_take(locks, LMAIL_STR("ana"), 1000, 999999), LMAIL_ERR_BUSY);
}
END_TEST

/* More names than buckets, so that chains are walked and swept. */
START_TEST(test_many_names_keep_apart)
{
    char name[16];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 5000; i++) {
            int n = snprintf(name, sizeof name, "user%d", i);
            lmail_str s = {name, (size_t)n};
            lmail_status want = round == 0 || i % 2 ? LMAIL_OK : LMAIL_ERR_BUSY;
            ck_assert_int_eq(lmi_locks_take(locks, s, 0, (lmail_msec)(10 + round)), want);
            if (i % 2)
                lmi_locks_give(locks, s);
        }
}
END_TEST

START_TEST(test_giving_what_is_not_locked)
{
    lmi_locks_give(locks, LMAIL_STR("ana"));
    ck_assert_int_eq(lmi_locks_take(locks, LMAIL_STR("ana"), 0, 10), LMAIL_OK);
}
END_TEST

Suite *service_lock_suite(void)
{
    Suite *s = suite_create("service_lock");
    TCase *c = tcase_create("locks");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_one_session_a_name);
    tcase_add_test(c, test_the_delay_counts_from_the_last_login);
    tcase_add_test(c, test_a_lock_outlives_its_delay);
    tcase_add_test(c, test_many_names_keep_apart);
    tcase_add_test(c, test_giving_what_is_not_locked);
    suite_add_tcase(s, c);
    return s;
}
