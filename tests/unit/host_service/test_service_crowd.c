/* A user's connections from one address are counted, and forgotten when they end. */
#include "host/service/service_crowd.h"

#include <check.h>

Suite *service_crowd_suite(void);

#define ALICE LMAIL_STR("alice")
#define HERE LMAIL_STR("192.0.2.1")

START_TEST(the_last_one_is_refused_until_another_ends)
{
    lmi_crowd *c = lmi_crowd_new();
    lmi_crowd_entry *a = NULL, *b = NULL, *none = NULL;
    ck_assert_ptr_nonnull(c);
    ck_assert_int_eq(lmi_crowd_take(c, 1, ALICE, HERE, 2, &a), LMAIL_OK);
    ck_assert_int_eq(lmi_crowd_take(c, 1, ALICE, HERE, 2, &b), LMAIL_OK);
    ck_assert_int_eq(lmi_crowd_take(c, 1, ALICE, HERE, 2, &none), LMAIL_ERR_LIMIT);
    ck_assert_ptr_null(none);
    lmi_crowd_give(c, a);
    ck_assert_int_eq(lmi_crowd_take(c, 1, ALICE, HERE, 2, &a), LMAIL_OK);
    lmi_crowd_give(c, a);
    lmi_crowd_give(c, b);
    lmi_crowd_give(c, NULL);
    lmi_crowd_free(c);
}
END_TEST

START_TEST(users_addresses_and_protocols_are_counted_apart)
{
    static const struct row {
        unsigned protocol;
        const char *user, *address;
    } rows[] = {{1, "alice", "192.0.2.1"}, {2, "alice", "192.0.2.1"}, {1, "bob", "192.0.2.1"},
                {1, "alice", "192.0.2.2"}, {1, "alic", "e192.0.2.1"}, {1, "alice", ""}};
    lmi_crowd *c = lmi_crowd_new();
    lmi_crowd_entry *e[sizeof rows / sizeof *rows];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_int_eq(lmi_crowd_take(c, rows[i].protocol, lmail_str_from(rows[i].user),
                                        lmail_str_from(rows[i].address), 1, &e[i]),
                         LMAIL_OK);
    lmi_crowd_give(c, e[0]);
    lmi_crowd_free(c); /* with the others still in it */
}
END_TEST

Suite *service_crowd_suite(void)
{
    Suite *suite = suite_create("service_crowd");
    TCase *t = tcase_create("counts");
    tcase_add_test(t, the_last_one_is_refused_until_another_ends);
    tcase_add_test(t, users_addresses_and_protocols_are_counted_apart);
    suite_add_tcase(suite, t);
    return suite;
}
