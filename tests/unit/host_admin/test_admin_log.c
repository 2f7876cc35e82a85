/* Log lines: what a value may do to a line, and what happens to one that is too long. */
#include <check.h>
#include <libmail/host/log.h>
#include <string.h>

static char last[LMAIL_LOG_MAX + 1];

static void keep(void *ctx, lmail_log_level level, lmail_str line)
{
    (void)ctx;
    (void)level;
    memcpy(last, line.ptr, line.len);
    last[line.len] = '\0';
}

static lmail_log *open_log(void)
{
    lmail_log_config c = LMAIL_LOG_CONFIG_INIT;
    c.write = keep;
    lmail_log *log;
    ck_assert_int_eq(lmail_log_open(&log, &c), LMAIL_OK);
    last[0] = '\0';
    return log;
}

static const struct value {
    lmail_str text;
    const char *line;
} values[] = {
    {{"plain", 5}, "event=e k=plain"},
    {{"a b", 3}, "event=e k=\"a b\""},
    {{"", 0}, "event=e k=\"\""},
    {{"a\"b\\c", 5}, "event=e k=\"a\\\"b\\\\c\""},
    {{"x\nlevel=info", 12}, "event=e k=\"x\\nlevel=info\""},
    {{"\x1b[2J\0", 5}, "event=e k=\"\\x1b[2J\\x00\""},
    {{"caf\xC3\xA9", 5}, "event=e k=\"caf\xC3\xA9\""},
    {{"a=b", 3}, "event=e k=\"a=b\""},
};

START_TEST(a_value_cannot_forge_a_line)
{
    lmail_log *log = open_log();
    lmail_log_line l;
    lmail_log_begin(&l, log, LMAIL_LOG_INFO, "e");
    lmail_log_text(&l, "k", values[_i].text);
    lmail_log_end(&l);
    ck_assert_str_eq(last, values[_i].line);
    lmail_log_close(log);
}
END_TEST

START_TEST(a_field_that_does_not_fit_is_left_out_and_said)
{
    static char huge[LMAIL_LOG_MAX * 2];
    memset(huge, 'x', sizeof huge);
    lmail_log *log = open_log();
    lmail_log_line l;
    lmail_log_begin(&l, log, LMAIL_LOG_INFO, "e");
    lmail_log_text(&l, "huge", (lmail_str){huge, sizeof huge});
    lmail_log_number(&l, "n", UINT64_MAX);
    lmail_log_end(&l);
    ck_assert_str_eq(last, "event=e n=18446744073709551615 cut=yes");
    lmail_log_close(log);
}
END_TEST

START_TEST(less_important_lines_are_dropped)
{
    lmail_log *log = open_log();
    lmail_log_line l;
    lmail_log_begin(&l, log, LMAIL_LOG_DEBUG, "e");
    lmail_log_text(&l, "k", LMAIL_STR("v"));
    lmail_log_end(&l);
    lmail_log_begin(&l, NULL, LMAIL_LOG_ERR, "e");
    lmail_log_end(&l);
    ck_assert_str_eq(last, "");
    lmail_log_close(log);
}
END_TEST

Suite *admin_log_suite(void);

Suite *admin_log_suite(void)
{
    Suite *s = suite_create("admin_log");
    TCase *t = tcase_create("lines");
    tcase_add_loop_test(t, a_value_cannot_forge_a_line, 0, sizeof values / sizeof *values);
    tcase_add_test(t, a_field_that_does_not_fit_is_left_out_and_said);
    tcase_add_test(t, less_important_lines_are_dropped);
    suite_add_tcase(s, t);
    return s;
}
