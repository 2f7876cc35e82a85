/* LIST patterns against mailbox names. */
#include <libmail/imap.h>

#include <check.h>
#include <string.h>
#include <time.h>

Suite *imap_match_suite(void);

#define SELF LMAIL_IMAP_MATCH_SELF
#define ABOVE LMAIL_IMAP_MATCH_ABOVE
#define BELOW LMAIL_IMAP_MATCH_BELOW

static const struct {
    const char *pattern, *name;
    char separator;
    unsigned found;
} cases[] = {
    /* RFC 3501 §6.3.8 */
    {"*", "INBOX", '/', SELF | BELOW},
    {"%", "INBOX", '/', SELF},
    {"*", "a/b/c", '/', SELF | ABOVE | BELOW},
    {"%", "a/b", '/', ABOVE},
    {"%/%", "a/b", '/', SELF},
    {"%/%", "a", '/', BELOW},
    {"%/%", "a/b/c", '/', ABOVE},
    {"foo", "foo", '/', SELF},
    {"foo", "Foo", '/', 0},
    {"foo", "foo/bar", '/', ABOVE},
    {"foo/bar", "foo", '/', BELOW},
    {"foo*", "foobar/baz", '/', SELF | ABOVE | BELOW},
    {"*bar", "foo/bar", '/', SELF | BELOW},
    {"*bar", "foo/baz", '/', BELOW},
    {"f%o", "fo", '/', SELF},
    {"f%o", "f/o", '/', 0},
    {"f%o", "fxxo", '/', SELF},
    {"a%b%c", "a1b2b3c", '/', SELF},
    {"%a*b%", "xaa/bb", '/', SELF | BELOW},
    {"", "", '/', SELF},
    {"", "x", '/', 0},
    {"*", "", '/', SELF | BELOW},
    {"comp.%", "comp.mail.mime", '.', ABOVE},
    {"%", "a.b", '.', ABOVE},
    {"%", "a/b", '.', SELF},
    {"%", "a/b", 0, SELF},
    {"*", "a/b", 0, SELF},
    {"%%", "ab", '/', SELF},
    {"**", "a/b", '/', SELF | ABOVE | BELOW},
    /* RFC 3501 §5.1: INBOX in any case */
    {"inbox", "INBOX", '/', SELF},
    {"InB%", "INBOX", '/', SELF},
    {"inbox/x", "INBOX/x", '/', SELF},
    {"inbox/X", "INBOX/x", '/', 0},
    {"inboxes", "INBOXES", '/', 0},
};

START_TEST(a_pattern_matches_as_the_rfc_says)
{
    lmail_str pattern = lmail_str_from(cases[_i].pattern), name = lmail_str_from(cases[_i].name);
    ck_assert_msg(lmail_imap_list_match(pattern, name, cases[_i].separator) == cases[_i].found,
                  "%s against %s: %x", cases[_i].pattern, cases[_i].name,
                  lmail_imap_list_match(pattern, name, cases[_i].separator));
}
END_TEST

START_TEST(a_hostile_pattern_takes_no_long_time)
{
    char pattern[1000], name[1000];
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = i % 2 ? 'a' : i % 4 ? '%' : '*';
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = 'b';
    clock_t before = clock();
    for (int i = 0; i < 10; i++)
        ck_assert_uint_eq(lmail_imap_list_match((lmail_str){pattern, sizeof pattern},
                                                (lmail_str){name, sizeof name}, '/'),
                          BELOW);
    ck_assert(clock() - before < 10 * CLOCKS_PER_SEC);
}
END_TEST

START_TEST(a_pattern_beyond_all_names_matches_nothing)
{
    static char pattern[5000];
    memset(pattern, '*', sizeof pattern);
    ck_assert_uint_eq(
        lmail_imap_list_match((lmail_str){pattern, sizeof pattern}, LMAIL_STR("x"), '/'), 0);
}
END_TEST

Suite *imap_match_suite(void)
{
    Suite *s = suite_create("imap_match");
    TCase *t = tcase_create("patterns");
    tcase_add_loop_test(t, a_pattern_matches_as_the_rfc_says, 0,
                        (int)(sizeof cases / sizeof *cases));
    tcase_add_test(t, a_hostile_pattern_takes_no_long_time);
    tcase_add_test(t, a_pattern_beyond_all_names_matches_nothing);
    suite_add_tcase(s, t);
    return s;
}
