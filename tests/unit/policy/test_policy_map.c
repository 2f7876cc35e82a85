/* The table under every table: lines, keys, growth, memory. */
#include "policy/policy_map.h"
#include "support/count_alloc.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static lmi_map map;
static count_alloc memory;
static lmail_alloc table;

static void set_up(void)
{
    memset(&memory, 0, sizeof memory);
    table = count_alloc_table(&memory);
    lmi_map_init(&map, &table);
}

static void tear_down(void)
{
    lmi_map_done(&map);
    ck_assert_uint_eq(memory.live, 0);
    ck_assert_uint_eq(memory.lies, 0);
}

static const struct {
    const char *text, *lines; /* number:text;  with a leading + when it was indented */
} line_rows[] = {
    {"", ""},
    {"\n\n\r\n", ""},
    {"a b", "1:a b;"},
    {"a b\n", "1:a b;"},
    {"a b \t\r\nc", "1:a b;2:c;"},
    {"# a\n#\n #b\n", "3+#b;"},
    {"  a\n\t\n\tb\n", "1+a;3+b;"},
    {"\xef\xbb\xbf"
     "a 1\nb 2",
     "1:a 1;2:b 2;"},
    {"a\rb\n", "1:a\rb;"},
};

START_TEST(lines_are_trimmed_and_numbered)
{
    char seen[200] = "";
    lmi_map_lines lines;
    lmi_map_text_line line;
    ck_assert_int_eq(lmi_map_copy(&map, lmail_str_from(line_rows[_i].text), &lines), LMAIL_OK);
    while (lmi_map_line(&lines, &line))
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%u%c%.*s;", line.number,
                 line.indented ? '+' : ':', (int)line.len, line.ptr);
    ck_assert_str_eq(seen, line_rows[_i].lines);
}
END_TEST

static lmail_status add(const char *key, const char *value, uint32_t line,
                        const lmi_map_entry **old)
{
    lmi_map_entry e = {
        .key = key,
        .value = value,
        .key_len = (uint16_t)strlen(key),
        .value_len = (uint32_t)strlen(value),
        .line = line,
    };
    return lmi_map_add(&map, &e, old);
}

START_TEST(first_of_two_equal_keys_stays)
{
    const lmi_map_entry *old = NULL;
    ck_assert_ptr_null(lmi_map_find(&map, LMAIL_STR("a")));
    ck_assert_int_eq(add("a", "1", 1, NULL), LMAIL_OK);
    ck_assert_int_eq(add("ab", "2", 2, NULL), LMAIL_OK);
    ck_assert_int_eq(add("a", "3", 3, &old), LMAIL_ERR_EXISTS);
    ck_assert_uint_eq(old->line, 1);
    ck_assert_str_eq(lmi_map_find(&map, LMAIL_STR("a"))->value, "1");
    ck_assert_ptr_null(lmi_map_find(&map, LMAIL_STR("b")));
    ck_assert_str_eq(lmi_map_find2(&map, LMAIL_STR("a"), LMAIL_STR("b"))->value, "2");
    ck_assert_str_eq(lmi_map_find2(&map, LMAIL_STR(""), LMAIL_STR("ab"))->value, "2");
}
END_TEST

START_TEST(many_keys_are_all_found)
{
    enum { MANY = 5000 };
    static char names[MANY][8];
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "k%u", i);
        ck_assert_int_eq(add(names[i], names[i], i, NULL), LMAIL_OK);
    }
    for (unsigned i = 0; i < MANY; i++) {
        const lmi_map_entry *e = lmi_map_find(&map, lmail_str_from(names[i]));
        ck_assert_ptr_nonnull(e);
        ck_assert_uint_eq(e->line, i);
    }
    ck_assert_ptr_null(lmi_map_find(&map, LMAIL_STR("k5000")));
}
END_TEST

START_TEST(a_file_costs_three_allocations)
{
    lmi_map_lines lines;
    lmi_map_text_line line;
    ck_assert_int_eq(lmi_map_copy(&map, LMAIL_STR("a\nb\nc\nd\n"), &lines), LMAIL_OK);
    while (lmi_map_line(&lines, &line)) {
        lmi_map_entry e = {.key = line.ptr, .key_len = (uint16_t)line.len, .line = line.number};
        ck_assert_int_eq(lmi_map_add(&map, &e, NULL), LMAIL_OK);
    }
    ck_assert_uint_eq(memory.requests, 3);
    ck_assert_uint_eq(lmi_map_find(&map, LMAIL_STR("c"))->line, 3);
}
END_TEST

START_TEST(every_failing_allocation_is_told)
{
    for (size_t n = 1;; n++) {
        lmi_map_lines lines;
        uint8_t source;
        lmail_str kept;
        lmi_map_done(&map);
        memory = (count_alloc){.fail_at = n};
        lmail_status st = lmi_map_source(&map, LMAIL_STR("access"), &source);
        if (st == LMAIL_OK)
            st = lmi_map_copy(&map, LMAIL_STR("a\nb\n"), &lines);
        if (st == LMAIL_OK)
            st = lmi_map_keep(&map, LMAIL_STR("x"), &kept);
        for (unsigned i = 0; st == LMAIL_OK && i < 40; i++) {
            static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
            lmi_map_entry e = {.key = letters + i, .key_len = 1};
            st = lmi_map_add(&map, &e, NULL);
        }
        if (memory.failed == 0) {
            ck_assert_int_eq(st, LMAIL_OK);
            ck_assert_uint_gt(n, 5);
            break;
        }
        ck_assert_int_eq(st, LMAIL_ERR_NOMEM);
    }
}
END_TEST

Suite *policy_map_suite(void)
{
    Suite *s = suite_create("policy_map");
    TCase *c = tcase_create("map");
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_loop_test(c, lines_are_trimmed_and_numbered, 0,
                        (int)(sizeof line_rows / sizeof *line_rows));
    tcase_add_test(c, first_of_two_equal_keys_stays);
    tcase_add_test(c, many_keys_are_all_found);
    tcase_add_test(c, a_file_costs_three_allocations);
    tcase_add_test(c, every_failing_allocation_is_told);
    suite_add_tcase(s, c);
    return s;
}
