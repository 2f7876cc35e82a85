/* UTF-8: what is valid, what a broken sequence costs, and percent encoding beside it. */
#include <libmail/codec.h>

#include <check.h>
#include <string.h>

Suite *codec_utf8_suite(void);

static const struct {
    const char *text;
    int valid;
    size_t first; /* octets lmail_utf8_get takes */
    uint32_t point;
} forms[] = {
    {"a", 1, 1, 'a'},
    {"\xc3\xa9", 1, 2, 0xe9},
    {"\xe2\x82\xac", 1, 3, 0x20ac},
    {"\xf0\x9f\x98\x80", 1, 4, 0x1f600},
    {"\xf4\x8f\xbf\xbf", 1, 4, 0x10ffff},
    {"\xef\xbf\xbd", 1, 3, 0xfffd},
    {"ascii only, longer than eight octets", 1, 1, 'a'},
    /* RFC 3629 §3 and §4 */
    {"\xc0\x80", 0, 1, LMAIL_UTF8_BAD},         /* overlong NUL */
    {"\xe0\x80\x80", 0, 1, LMAIL_UTF8_BAD},     /* overlong */
    {"\xf0\x8f\xbf\xbf", 0, 1, LMAIL_UTF8_BAD}, /* overlong */
    {"\xed\xa0\x80", 0, 1, LMAIL_UTF8_BAD},     /* surrogate */
    {"\xf4\x90\x80\x80", 0, 1, LMAIL_UTF8_BAD}, /* above U+10FFFF */
    {"\x80", 0, 1, LMAIL_UTF8_BAD},
    {"\xff", 0, 1, LMAIL_UTF8_BAD},
    {"\xe2\x82x", 0, 2, LMAIL_UTF8_BAD},    /* the longest right start is one error */
    {"\xf0\x9f\x98", 0, 0, LMAIL_UTF8_BAD}, /* stops too early */
};

START_TEST(forms_read_as_rfc_3629_says)
{
    lmail_str text = lmail_str_from(forms[_i].text);
    uint32_t point;
    int good;
    ck_assert_int_eq(lmail_utf8_valid(text), forms[_i].valid);
    ck_assert_uint_eq(lmail_utf8_get(text, &point, &good), forms[_i].first);
    ck_assert_uint_eq(point, forms[_i].point);
    ck_assert_int_eq(good, forms[_i].valid);
}
END_TEST

START_TEST(every_code_point_comes_back)
{
    for (uint32_t point = 0; point <= 0x110000; point++) {
        char text[4];
        size_t len = lmail_utf8_write(point, text);
        uint32_t back;
        int good;
        int exists = point < 0x110000 && (point < 0xd800 || point > 0xdfff);
        if (lmail_utf8_get((lmail_str){text, len}, &back, &good) != len || !good ||
            back != (exists ? point : LMAIL_UTF8_BAD) || !lmail_utf8_valid((lmail_str){text, len}))
            ck_abort_msg("U+%04X", (unsigned)point);
    }
}
END_TEST

START_TEST(percent_and_hex_take_both_cases)
{
    char text[] = "%41%e2%82%AC%%4g%4";
    size_t n = lmail_percent_decode(lmail_str_from(text), text);
    ck_assert_uint_eq(n, 10);
    ck_assert_int_eq(memcmp(text, "A\xe2\x82\xac%%4g%4", n), 0);
    ck_assert_int_eq(lmail_hex_value('f'), 15);
    ck_assert_int_eq(lmail_hex_value('A'), 10);
    ck_assert_int_eq(lmail_hex_value('g'), -1);
}
END_TEST

Suite *codec_utf8_suite(void)
{
    Suite *suite = suite_create("codec_utf8");
    TCase *tc = tcase_create("UTF-8");
    tcase_add_loop_test(tc, forms_read_as_rfc_3629_says, 0, sizeof forms / sizeof *forms);
    tcase_add_test(tc, every_code_point_comes_back);
    tcase_add_test(tc, percent_and_hex_take_both_cases);
    suite_add_tcase(suite, tc);
    return suite;
}
