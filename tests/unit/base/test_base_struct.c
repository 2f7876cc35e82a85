/* Structs that the host fills: an older host's is shorter, a newer one's is refused. */
#include "base/base_internal.h"

#include <check.h>
#include <string.h>

typedef struct known {
    size_t size;
    unsigned first;
    const char *later; /* the host of an older library has no such member */
} known;

START_TEST(an_older_struct_is_filled_up_with_zero)
{
    known given = {offsetof(known, later), 7, "not the library's to read"}, got;
    memset(&got, 0xff, sizeof got);
    ck_assert_int_eq(lmi_struct_take(&got, sizeof got, &given), LMAIL_OK);
    ck_assert_uint_eq(got.size, sizeof got);
    ck_assert_uint_eq(got.first, 7);
    ck_assert_ptr_null(got.later);
}
END_TEST

START_TEST(a_size_that_cannot_be_is_refused)
{
    known given = {sizeof given + 1, 7, NULL}, got;
    ck_assert_int_eq(lmi_struct_take(&got, sizeof got, &given), LMAIL_ERR_SIZE);
    given.size = sizeof(size_t) - 1;
    ck_assert_int_eq(lmi_struct_take(&got, sizeof got, &given), LMAIL_ERR_SIZE);
    given.size = 0;
    ck_assert_int_eq(lmi_struct_take(&got, sizeof got, &given), LMAIL_ERR_SIZE);
    given.size = sizeof given;
    ck_assert_int_eq(lmi_struct_take(&got, sizeof got, &given), LMAIL_OK);
}
END_TEST

START_TEST(a_wait_never_runs_over)
{
    ck_assert_uint_eq(lmi_later(5, 7), 12);
    ck_assert(lmi_later(5, LMAIL_NEVER) == LMAIL_NEVER);
    ck_assert(lmi_later(LMAIL_NEVER - 3, 4) == LMAIL_NEVER);
    ck_assert(lmi_later(LMAIL_NEVER - 3, 2) == LMAIL_NEVER - 1);
}
END_TEST

Suite *base_struct_suite(void)
{
    Suite *s = suite_create("base_struct");
    TCase *tc = tcase_create("base_struct");
    tcase_add_test(tc, an_older_struct_is_filled_up_with_zero);
    tcase_add_test(tc, a_size_that_cannot_be_is_refused);
    tcase_add_test(tc, a_wait_never_runs_over);
    suite_add_tcase(s, tc);
    return s;
}
