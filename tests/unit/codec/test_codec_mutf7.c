/* Modified UTF-7: RFC 3501's examples, and that no name has two texts. */
#include <libmail/codec.h>

#include <check.h>
#include <string.h>

Suite *codec_mutf7_suite(void);

static const struct {
    const char *utf8, *utf7;
} names[] = {
    /* RFC 3501 §5.1.3 */
    {"~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
     "~peter/mail/&U,BTFw-/&ZeVnLIqe-"},
    {"\xe2\x98\xba!", "&Jjo-!"},
    {"\xe5\x8f\xb0\xe5\x8c\x97\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", "&U,BTF2XlZyyKng-"},
    {"INBOX", "INBOX"},
    {"", ""},
    {"Tom & Jerry", "Tom &- Jerry"},
    {"&", "&-"},
    {"Entw\xc3\xbcrfe", "Entw&APw-rfe"},
    {"\xf0\x9f\x98\x80", "&2D3eAA-"},
    {"\xc3\xa9&", "&AOk-&-"},
    {"a\x01\x7f", "a&AAEAfw-"},
};

START_TEST(names_convert_both_ways)
{
    lmail_str utf8 = lmail_str_from(names[_i].utf8), utf7 = lmail_str_from(names[_i].utf7);
    char out[128];
    size_t made;
    ck_assert_int_eq(lmail_mutf7_encode(utf8, out, sizeof out, &made), LMAIL_OK);
    ck_assert_uint_eq(made, utf7.len);
    ck_assert_int_eq(memcmp(out, utf7.ptr, made), 0);
    ck_assert_int_eq(lmail_mutf7_decode(utf7, out, sizeof out, &made), LMAIL_OK);
    ck_assert_uint_eq(made, utf8.len);
    ck_assert_int_eq(memcmp(out, utf8.ptr, made), 0);
    if (utf8.len) {
        ck_assert_int_eq(lmail_mutf7_decode(utf7, out, utf8.len - 1, &made), LMAIL_ERR_LIMIT);
        ck_assert_int_eq(lmail_mutf7_encode(utf8, out, utf7.len - 1, &made), LMAIL_ERR_LIMIT);
    }
}
END_TEST

static const char *const refused[] = {
    "&",                  /* an open shift */
    "&Jjo",               /* the same */
    "&Jjo!",              /* RFC 3501: "&Jjo!" is not properly shifted */
    "&U,BTFw-&ZeVnLIqe-", /* superfluous shift */
    "&AGE-",              /* printable character in base64 */
    "&2D0-",              /* high surrogate alone */
    "&3gA-",              /* low surrogate alone */
    "&Jj-",               /* incomplete character */
    "&JjoA-",             /* six bits too many */
    "&Jjp-",              /* bits left over are not zero */
    "&U/BTFw-",           /* "/" is not in the alphabet */
    "caf\xc3\xa9",        /* 8-bit text */
    "tab\t",
};

START_TEST(what_encode_would_not_write_is_refused)
{
    char out[64];
    size_t made;
    ck_assert_int_eq(lmail_mutf7_decode(lmail_str_from(refused[_i]), out, sizeof out, &made),
                     LMAIL_ERR_SYNTAX);
}
END_TEST

START_TEST(text_that_is_no_utf8_has_no_utf7)
{
    char out[64];
    size_t made;
    ck_assert_int_eq(lmail_mutf7_encode(LMAIL_STR("caf\xe9"), out, sizeof out, &made),
                     LMAIL_ERR_SYNTAX);
    ck_assert_int_eq(lmail_mutf7_encode(LMAIL_STR("\xc3"), out, sizeof out, &made),
                     LMAIL_ERR_SYNTAX);
}
END_TEST

Suite *codec_mutf7_suite(void)
{
    Suite *suite = suite_create("codec_mutf7");
    TCase *tc = tcase_create("mailbox names");
    tcase_add_loop_test(tc, names_convert_both_ways, 0, sizeof names / sizeof *names);
    tcase_add_loop_test(tc, what_encode_would_not_write_is_refused, 0,
                        sizeof refused / sizeof *refused);
    tcase_add_test(tc, text_that_is_no_utf8_has_no_utf7);
    suite_add_tcase(suite, tc);
    return suite;
}
