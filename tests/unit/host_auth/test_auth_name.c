/* Which names an account can have, and what is the same name. */
#include <check.h>
#include <string.h>

#include <libmail/host/accounts.h>

#define LONG_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LONG_320 LONG_64 LONG_64 LONG_64 LONG_64 LONG_64

static const struct {
    const char *name, *folded;
    lmail_status status;
} names[] = {
    {"juan", "juan", LMAIL_OK},
    {"Juan", "juan", LMAIL_OK},
    {"JUAN@Example.ORG", "juan@example.org", LMAIL_OK},
    {"o'brien+list", "o'brien+list", LMAIL_OK},
    {"jos\xc3\x89", "jos\xc3\xa9", LMAIL_OK},  /* É */
    {"JOSE\xcc\x81", "jos\xc3\xa9", LMAIL_OK}, /* decomposed */
    {"\xd0\x98\xd0\x92\xd0\x90\xd0\x9d", "\xd0\xb8\xd0\xb2\xd0\xb0\xd0\xbd", LMAIL_OK},
    {LONG_320, LONG_320, LMAIL_OK},
    {LONG_320 "a", "", LMAIL_ERR_LIMIT},
    {"", "", LMAIL_ERR_SYNTAX},
    {"ju an", "", LMAIL_ERR_SYNTAX},
    {"ju\tan", "", LMAIL_ERR_SYNTAX},
    {"juan\n", "", LMAIL_ERR_SYNTAX},
    {"juan\x7f", "", LMAIL_ERR_SYNTAX},
    {"a:b", "", LMAIL_ERR_SYNTAX},
    {"a/b", "", LMAIL_ERR_SYNTAX},
    {"a\\b", "", LMAIL_ERR_SYNTAX},
    {"..", "", LMAIL_ERR_SYNTAX},
    {".juan", "", LMAIL_ERR_SYNTAX},
    {"-juan", "", LMAIL_ERR_SYNTAX},
    {"#juan", "", LMAIL_ERR_SYNTAX},
    {"@example.org", "", LMAIL_ERR_SYNTAX},
    {"juan@", "", LMAIL_ERR_SYNTAX},
    {"juan@a@b", "", LMAIL_ERR_SYNTAX},
    {"ju\xffn", "", LMAIL_ERR_SYNTAX},         /* not UTF-8 */
    {"ju\xc0\xafn", "", LMAIL_ERR_SYNTAX},     /* overlong / */
    {"ju\xed\xa0\x80n", "", LMAIL_ERR_SYNTAX}, /* surrogate */
    {"ju\xc2\xa0n", "", LMAIL_ERR_SYNTAX},     /* no-break space */
    {"ju\xe2\x80\xaen", "", LMAIL_ERR_SYNTAX}, /* right-to-left override */
    {"ju\xc2\x85n", "", LMAIL_ERR_SYNTAX},     /* C1 control */
    {"ju\xe2\x80\xa8n", "", LMAIL_ERR_SYNTAX}, /* line separator */
};

START_TEST(a_name_folds_or_is_refused)
{
    char out[LMAIL_MAX_ACCOUNT_NAME];
    size_t made;
    lmail_status status =
        lmail_account_name_fold(lmail_str_from(names[_i].name), out, sizeof out, &made);
    ck_assert_int_eq(status, names[_i].status);
    ck_assert(lmail_str_equal((lmail_str){out, made}, lmail_str_from(names[_i].folded)));
}
END_TEST

START_TEST(a_name_may_not_hide_a_nul)
{
    char out[LMAIL_MAX_ACCOUNT_NAME];
    size_t made;
    ck_assert_int_eq(lmail_account_name_fold(LMAIL_STR("ju\0an"), out, sizeof out, &made),
                     LMAIL_ERR_SYNTAX);
    ck_assert_int_eq(lmail_account_name_fold(LMAIL_STR("juan"), out, 3, &made), LMAIL_ERR_LIMIT);
    ck_assert_int_eq(lmail_account_name_fold(LMAIL_STR("jos\xc3\xa9"), out, 4, &made),
                     LMAIL_ERR_LIMIT);
}
END_TEST

Suite *auth_name_suite(void)
{
    Suite *s = suite_create("auth_name");
    TCase *t = tcase_create("names");
    tcase_add_loop_test(t, a_name_folds_or_is_refused, 0, (int)(sizeof names / sizeof names[0]));
    tcase_add_test(t, a_name_may_not_hide_a_nul);
    suite_add_tcase(s, t);
    return s;
}
