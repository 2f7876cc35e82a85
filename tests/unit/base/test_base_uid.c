/* UID lists against a plain array of marks. */
#include <check.h>
#include <libmail/mailbox.h>
#include <string.h>

#define SPAN 64u

static void same_as_marks(const lmail_uid_list *l, const unsigned char *marks)
{
    lmail_uid_set set = lmail_uid_list_set(l);
    uint64_t total = 0;
    for (lmail_uid u = 1; u < SPAN; u++) {
        ck_assert_int_eq(lmail_uid_set_has(set, u), marks[u]);
        total += marks[u];
    }
    ck_assert(lmail_uid_set_total(set) == total);
    for (size_t i = 0; i < set.count; i++) {
        ck_assert_uint_le(set.ranges[i].first, set.ranges[i].last);
        if (i) /* sorted, disjoint, not adjacent */
            ck_assert(set.ranges[i].first > set.ranges[i - 1].last + 1);
    }
}

START_TEST(any_order_joins_what_touches)
{
    unsigned seed = 7u + (unsigned)_i;
    unsigned char marks[SPAN] = {0};
    lmail_uid_list l = {0};
    for (int k = 0; k < 40; k++) {
        seed = seed * 1103515245u + 12345u;
        lmail_uid first = 1 + (seed >> 16) % (SPAN - 8);
        lmail_uid last = first + (seed >> 8) % 6;
        ck_assert_int_eq(lmail_uid_list_add(&l, first, last), LMAIL_OK);
        memset(marks + first, 1, last - first + 1);
        same_as_marks(&l, marks);
    }
    lmail_uid_list_free(&l);
}
END_TEST

START_TEST(the_ends_of_the_number_line)
{
    lmail_uid_list l = {0};
    ck_assert_int_eq(lmail_uid_list_add(&l, UINT32_MAX, UINT32_MAX), LMAIL_OK);
    ck_assert_int_eq(lmail_uid_list_add(&l, 1, 1), LMAIL_OK);
    ck_assert_int_eq(lmail_uid_list_add(&l, UINT32_MAX - 1, UINT32_MAX), LMAIL_OK);
    ck_assert_uint_eq(l.count, 2);
    ck_assert_int_eq(lmail_uid_list_add(&l, 1, UINT32_MAX), LMAIL_OK);
    ck_assert_uint_eq(l.count, 1);
    ck_assert(lmail_uid_set_total(lmail_uid_list_set(&l)) == UINT32_MAX);
    ck_assert_int_eq(lmail_uid_list_add(&l, 0, 1), LMAIL_ERR_ARG);
    ck_assert_int_eq(lmail_uid_list_add(&l, 2, 1), LMAIL_ERR_ARG);
    lmail_uid_list_free(&l);
}
END_TEST

Suite *base_uid_suite(void)
{
    Suite *s = suite_create("base_uid");
    TCase *t = tcase_create("uid");
    tcase_add_loop_test(t, any_order_joins_what_touches, 0, 50);
    tcase_add_test(t, the_ends_of_the_number_line);
    suite_add_tcase(s, t);
    return s;
}
