/* Complaints: what a file holds cannot command a terminal, and any room is enough. */
#include "base/base_internal.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

typedef struct heard {
    char line[800];
    lmail_severity severity;
    size_t count, text_len;
} heard;

static void hear(void *ctx, const lmail_diagnostic *d)
{
    heard *h = ctx;
    h->count++;
    h->severity = d->severity;
    h->text_len = d->text.len;
    lmail_diagnostic_write(d, h->line, sizeof h->line);
}

START_TEST(a_line_names_file_number_and_severity)
{
    heard h = {0};
    lmi_diagnose(hear, &h, LMAIL_WARNING, LMAIL_STR("a.conf"), 14,
                 LMI_PIECES(LMAIL_STR("unknown "), LMAIL_STR("thing")));
    ck_assert_str_eq(h.line, "a.conf:14: warning: unknown thing");
    ck_assert_int_eq(h.severity, LMAIL_WARNING);
    lmi_diagnose(hear, &h, LMAIL_ERROR, LMAIL_STR("a.conf"), 0, LMI_PIECES(LMAIL_STR("gone")));
    ck_assert_str_eq(h.line, "a.conf: error: gone");
    lmi_diagnose(hear, &h, LMAIL_NOTICE, LMAIL_STR("b"), 1, LMI_PIECES(LMAIL_STR("x")));
    ck_assert_str_eq(h.line, "b:1: notice: x");
    ck_assert_uint_eq(h.count, 3);
    lmi_diagnose(NULL, NULL, LMAIL_ERROR, LMAIL_STR("b"), 1, LMI_PIECES(LMAIL_STR("x")));
}
END_TEST

START_TEST(control_octets_are_replaced)
{
    heard h = {0};
    lmi_diagnose(hear, &h, LMAIL_ERROR, LMAIL_STR("a\033[2J"), 1,
                 LMI_PIECES(LMAIL_STR("\033]0;x\007"), LMAIL_STR("\r\n\0\x7f"), LMAIL_STR("é")));
    ck_assert_str_eq(h.line, "a?[2J:1: error: ?]0;x?????é");
}
END_TEST

START_TEST(long_pieces_and_texts_are_cut)
{
    char piece[1000];
    memset(piece, 'p', sizeof piece);
    lmail_str p = {piece, sizeof piece};
    heard h = {0};
    lmi_diagnose(hear, &h, LMAIL_ERROR, LMAIL_STR("f"), 1, LMI_PIECES(p));
    ck_assert_uint_eq(h.text_len, 120);
    lmi_diagnose(hear, &h, LMAIL_ERROR, LMAIL_STR("f"), 1, LMI_PIECES(p, p, p, p, p, p));
    ck_assert_uint_eq(h.text_len, 500);
}
END_TEST

START_TEST(every_room_gets_a_terminated_text)
{
    const lmail_diagnostic d = {LMAIL_ERROR, LMAIL_STR("a.conf"), 7, LMAIL_STR("bad")};
    static const char whole[] = "a.conf:7: error: bad";
    for (size_t cap = 0; cap < sizeof whole + 3; cap++) {
        char out[40];
        memset(out, '#', sizeof out);
        size_t n = lmail_diagnostic_write(&d, out, cap);
        size_t fits = cap == 0 ? 0 : cap - 1 < sizeof whole - 1 ? cap - 1 : sizeof whole - 1;
        ck_assert_uint_eq(n, fits);
        ck_assert_mem_eq(out, whole, fits);
        if (cap)
            ck_assert_int_eq(out[fits], '\0');
        ck_assert_int_eq(out[cap], '#');
    }
}
END_TEST

Suite *base_diagnostic_suite(void)
{
    Suite *s = suite_create("base_diagnostic");
    TCase *tc = tcase_create("base_diagnostic");
    tcase_add_test(tc, a_line_names_file_number_and_severity);
    tcase_add_test(tc, control_octets_are_replaced);
    tcase_add_test(tc, long_pieces_and_texts_are_cut);
    tcase_add_test(tc, every_room_gets_a_terminated_text);
    suite_add_tcase(s, tc);
    return s;
}
