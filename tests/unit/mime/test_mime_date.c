/* Dates: RFC 5322 appendix A, obsolete forms, and what programs write. */
#include <libmail/mime.h>

#include <check.h>

Suite *mime_date_suite(void);

static const struct {
    const char *value;
    int64_t seconds;
    int32_t zone;
} dates[] = {
    {"Fri, 21 Nov 1997 09:55:06 -0600", 880127706, -360},
    {"Tue, 1 Jul 2003 10:52:37 +0200", 1057049557, 120},
    {"Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n"
     "               -0330 (Newfoundland Time)",
     -27723480, -210},
    {"21 Nov 97 09:55:06 GMT", 880106106, 0},
    {"Thu, 01 Jan 1970 00:00:00 +0000", 0, 0},
    {"1 Jan 70 00:00 UT", 0, 0},
    {"1 Jan 100 00:00:00 Z", 946684800, 0},
    {"Sat, 1 Jan 00 00:00:00 EST", 946702800, -300},
    {"Wed, 31 Dec 1969 16:00:00 PST", 0, -480},
    {"29 Feb 2024 12:00:00 A", 1709208000, 0}, /* military letters mean nothing: RFC 5322 §4.3 */
    {"Tue Jul  1 10:52:37 2003", 1057056757, 0},
    {"Tue Jul  1 10:52:37 CEST 2003", 1057049557, 120},
    {"2003-07-01T10:52:37+02:00", 1057049557, 120},
    {"2003-07-01T10:52:37.250Z", 1057056757, 0},
    {"2003-07-01 10:52:37", 1057056757, 0},
    {"Tuesday, 01-Jul-03 10:52:37 GMT", 1057056757, 0},
    {"1 Jul 2003", 1057017600, 0},
    {"Tue, 1 Jul 2003 99:99:99 +0200", 1057010400, 120},
    {"Tue, 1 Jul 2003 10:52:37 +9999", 1057056757, 0},
    {"Tue, 1 Jul 2003 1:52:37 PM", 1057067557, 0},
    {"Fri, 31 Dec 9999 23:59:60 +0000", INT64_C(253402300800), 0},
};

START_TEST(dates_read_as_expected)
{
    int64_t seconds = 1;
    int32_t day, zone;
    ck_assert_int_eq(lmail_mime_date_parse(lmail_str_from(dates[_i].value), &seconds, &day, &zone),
                     LMAIL_OK);
    ck_assert_int_eq(seconds, dates[_i].seconds);
    ck_assert_int_eq(zone, dates[_i].zone);
}
END_TEST

START_TEST(the_day_is_the_one_written)
{
    int64_t seconds;
    int32_t day, zone;
    /* UTC has the next day: SENTON goes by the header (RFC 9051 §6.4.4) */
    ck_assert_int_eq(
        lmail_mime_date_parse(LMAIL_STR("31 Dec 1999 23:00:00 -0500"), &seconds, &day, &zone),
        LMAIL_OK);
    ck_assert_int_eq(day, 10956);
    ck_assert_int_eq(seconds / 86400, 10957);
}
END_TEST

static const char *const none[] = {"",
                                   "yesterday",
                                   "Fri, 32 Nov 1997 09:55:06",
                                   "21 Nov",
                                   "Nov 1997",
                                   "21 Foo 1997 09:55:06",
                                   "0 Jan 2000",
                                   "1 Jan 99999999999999",
                                   "2003-13-01T00:00:00Z"};

START_TEST(what_is_no_date_is_refused)
{
    int64_t seconds;
    int32_t day, zone;
    ck_assert_int_eq(lmail_mime_date_parse(lmail_str_from(none[_i]), &seconds, &day, &zone),
                     LMAIL_ERR_SYNTAX);
}
END_TEST

Suite *mime_date_suite(void)
{
    Suite *suite = suite_create("mime_date");
    TCase *tc = tcase_create("dates");
    tcase_add_loop_test(tc, dates_read_as_expected, 0, sizeof dates / sizeof *dates);
    tcase_add_test(tc, the_day_is_the_one_written);
    tcase_add_loop_test(tc, what_is_no_date_is_refused, 0, sizeof none / sizeof *none);
    suite_add_tcase(suite, tc);
    return suite;
}
