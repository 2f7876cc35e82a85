/* The line reader: every split of an input gives the same lines and the same refusals. */
#include "base/base_internal.h"
#include "support/count_alloc.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

typedef struct line_case {
    const char *input;
    size_t max;
    const char *expected; /* lines as [text], L too long, B bare with its offset */
} line_case;

/* RFC 5321 §2.3.8, §4.5.3.1.4 */
static const line_case cases[] = {
    {"", 16, ""},
    {"abc\r\n", 16, "[abc]"},
    {"\r\n", 16, "[]"},
    {"a\r\nb\r\n\r\nc", 16, "[a][b][]"},
    {"a\nb\r\nc\r\n", 16, "B1[c]"},
    {"a\rb\r\nc\r\n", 16, "B1[c]"},
    {"a\r\r\nc\r\n", 16, "B1[c]"},
    {"\n\n\r\nc\r\n", 16, "B0[c]"},
    {"\r\r\r\r\nc\r\n", 16, "B0[c]"},
    {"abcdef\r\n", 8, "[abcdef]"},
    {"abcdefg\r\nx\r\n", 8, "L[x]"},
    {"abcdefghijklmnop\r\nx\r\n", 8, "L[x]"},
    {"abcdefghij\nk\r\nx\r\n", 8, "L[x]"},
    {"abcdefghij\rk\r\nx\r\n", 8, "L[x]"},
    {"abcdefg\nk\r\nx\r\n", 8, "B7[x]"},
    {"abcdefg\rk\r\nx\r\n", 8, "B7[x]"},
    {"abcdefgh\nk\r\nx\r\n", 8, "B8[x]"},
    {"abcdefgh\rk\r\nx\r\n", 8, "L[x]"},
    {"aaaaaaaaaaaaaa\r\nbbbbbbbbbbbbb\r\n", 8, "LL"},
};

static void read_all(const line_case *c, size_t split, char *got)
{
    count_alloc counter = {0};
    lmail_alloc a = count_alloc_table(&counter);
    lmi_line l = {0};
    size_t len = strlen(c->input), at = 0;
    *got = 0;
    while (at < len) {
        lmail_str line, in = {c->input + at, len - at < split ? len - at : split};
        size_t used;
        lmi_line_result r = lmi_line_read(&l, &a, in, c->max, &used, &line);
        ck_assert_msg(used > 0 && used <= in.len, "%s: takes nothing", c->input);
        at += used;
        if (r == LMI_LINE_READY)
            sprintf(got + strlen(got), "[%.*s]", (int)line.len, line.len ? line.ptr : "");
        else if (r == LMI_LINE_LONG)
            strcat(got, "L");
        else if (r == LMI_LINE_BARE)
            sprintf(got + strlen(got), "B%zu", line.len);
        else
            ck_assert_int_eq(r, LMI_LINE_MORE);
    }
    lmi_line_wipe(&l);
    lmi_line_done(&l, &a);
    ck_assert_uint_eq(counter.live, 0);
    ck_assert_uint_eq(counter.lies, 0);
}

START_TEST(every_split_gives_the_same_lines)
{
    const line_case *c = &cases[_i];
    for (size_t split = 1; split <= strlen(c->input) + 1; split++) {
        char got[256];
        read_all(c, split, got);
        ck_assert_msg(strcmp(got, c->expected) == 0, "case %d split %zu: %s, expected %s", _i,
                      split, got, c->expected);
    }
}
END_TEST

START_TEST(a_whole_line_is_not_copied)
{
    count_alloc counter = {0};
    lmail_alloc a = count_alloc_table(&counter);
    lmi_line l = {0};
    lmail_str line, in = LMAIL_STR("NOOP\r\nQUIT\r\n");
    size_t used;
    ck_assert_int_eq(lmi_line_read(&l, &a, in, 512, &used, &line), LMI_LINE_READY);
    ck_assert_ptr_eq(line.ptr, in.ptr);
    ck_assert_uint_eq(used, 6);
    ck_assert_uint_eq(counter.requests, 0);
}
END_TEST

START_TEST(the_buffer_never_grows_past_the_limit)
{
    count_alloc counter = {0};
    lmail_alloc a = count_alloc_table(&counter);
    lmi_line l = {0};
    lmail_str line;
    size_t used;
    for (int i = 0; i < 5000; i++)
        (void)lmi_line_read(&l, &a, LMAIL_STR("x"), 1000, &used, &line);
    ck_assert_uint_le(counter.peak, 1000);
    lmi_line_done(&l, &a);
}
END_TEST

START_TEST(no_memory_is_said)
{
    count_alloc counter = {.fail_at = 1};
    lmail_alloc a = count_alloc_table(&counter);
    lmi_line l = {0};
    lmail_str line;
    size_t used;
    ck_assert_int_eq(lmi_line_read(&l, &a, LMAIL_STR("x"), 100, &used, &line), LMI_LINE_NOMEM);
    lmi_line_done(&l, &a);
    ck_assert_uint_eq(counter.live, 0);
}
END_TEST

Suite *base_line_suite(void)
{
    Suite *s = suite_create("base_line");
    TCase *t = tcase_create("line");
    tcase_add_loop_test(t, every_split_gives_the_same_lines, 0, sizeof cases / sizeof *cases);
    tcase_add_test(t, a_whole_line_is_not_copied);
    tcase_add_test(t, the_buffer_never_grows_past_the_limit);
    tcase_add_test(t, no_memory_is_said);
    suite_add_tcase(s, t);
    return s;
}
