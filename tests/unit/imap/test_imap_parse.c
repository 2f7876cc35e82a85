/* Reading arguments: every grammar rule with what it takes and what it refuses. */
#include "imap/imap_internal.h"

#include <check.h>
#include <string.h>

Suite *imap_parse_suite(void);

static lmail_alloc libc;
static lmail_imap_server_config config;
static lmi_arena arena;
static lmi_imap_args args;

static void begin(const char *text, size_t len)
{
    lmi_arena_reset(&arena);
    lmi_imap_args_init(&args, (lmail_str){text, len}, &arena, &config);
}

typedef lmail_status reader(lmi_imap_args *, lmail_str *);

static const struct {
    reader *read;
    const char *text, *value; /* value NULL: refused */
    size_t rest;              /* octets left, or where it was refused */
} strings[] = {
    /* RFC 9051 §9 */
    {lmi_imap_atom, "abc def", "abc", 4},
    {lmi_imap_atom, "a.b-c$", "a.b-c$", 0},
    {lmi_imap_atom, "a]", "a", 1},
    {lmi_imap_atom, "\"a\"", NULL, 0},
    {lmi_imap_atom, "", NULL, 0},
    {lmi_imap_atom, "\xc3\xa4", NULL, 0},
    {lmi_imap_astring, "a]b c", "a]b", 2},
    {lmi_imap_astring, "\"a b\"", "a b", 0},
    {lmi_imap_astring, "\"a\\\"b\\\\\"x", "a\"b\\", 1},
    {lmi_imap_astring, "\"a\\b\"", NULL, 2},
    {lmi_imap_astring, "\"a", NULL, 2},
    {lmi_imap_astring, "\"a\r\"", NULL, 2},
    {lmi_imap_astring, "\"\"", "", 0},
    {lmi_imap_astring, "\"\xc3\xa4\"", "\xc3\xa4", 0},
    {lmi_imap_astring, "\"\xc3\"", NULL, 1},
    {lmi_imap_astring, "\"\xed\xa0\x80\"", NULL, 1},
    {lmi_imap_astring, "{3}\r\na\r\nb", "a\r\n", 1},
    {lmi_imap_astring, "{3+}\r\nabc", "abc", 0},
    {lmi_imap_astring, "{0}\r\n", "", 0},
    {lmi_imap_astring, "{4}\r\nabc", NULL, 0},
    {lmi_imap_astring, "{3}abc", NULL, 0},
    {lmi_imap_astring, "{}\r\n", NULL, 0},
    {lmi_imap_astring, "{18446744073709551615}\r\nx", NULL, 0},
    {lmi_imap_astring, "~{3}\r\nabc", "~", 8},
    {lmi_imap_astring, "(a", NULL, 0},
    {lmi_imap_string, "abc", NULL, 0},
    {lmi_imap_nstring, "NIL", "", 0},
    {lmi_imap_nstring, "nil)", "", 1},
    {lmi_imap_nstring, "NILS", NULL, 0},
    {lmi_imap_nstring, "\"NIL\"", "NIL", 0},
    /* RFC 3501 §5.1 */
    {lmi_imap_mailbox, "inbox", "INBOX", 0},
    {lmi_imap_mailbox, "Inbox/Sub", "INBOX/Sub", 0},
    {lmi_imap_mailbox, "inboxes", "inboxes", 0},
    {lmi_imap_mailbox, "&ZeVnLIqe-", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 0},
    {lmi_imap_mailbox, "a&b", NULL, 0},
    {lmi_imap_mailbox, "\"\xc3\xa4\"", NULL, 0},
    {lmi_imap_mailbox, "a*", "a", 1},
    {lmi_imap_pattern, "a*%]", "a*%]", 0},
    {lmi_imap_pattern, "\"*\"", "*", 0},
    {lmi_imap_pattern, " ", NULL, 0},
};

START_TEST(a_string_is_read_or_refused)
{
    lmail_str value;
    begin(strings[_i].text, strlen(strings[_i].text));
    lmail_status st = strings[_i].read(&args, &value);
    if (!strings[_i].value) {
        ck_assert_int_eq(st, LMAIL_ERR_SYNTAX);
        ck_assert_ptr_nonnull(args.expected);
        ck_assert_uint_eq(args.at, strings[_i].rest);
        return;
    }
    ck_assert_int_eq(st, LMAIL_OK);
    ck_assert(lmail_str_equal(value, lmail_str_from(strings[_i].value)));
    ck_assert_uint_eq(args.len - args.at, strings[_i].rest);
}
END_TEST

START_TEST(nil_and_the_empty_string_differ)
{
    lmail_str value;
    begin("NIL \"\"", 6);
    ck_assert_int_eq(lmi_imap_nstring(&args, &value), LMAIL_OK);
    ck_assert_ptr_null(value.ptr);
    ck_assert_int_eq(lmi_imap_sp(&args), LMAIL_OK);
    ck_assert_int_eq(lmi_imap_nstring(&args, &value), LMAIL_OK);
    ck_assert_ptr_nonnull(value.ptr);
}
END_TEST

static const struct {
    const char *line;
    int yes;
    uint64_t octets;
    unsigned sync, binary;
    size_t at;
} literals[] = {{"a {3}", 1, 3, 1, 0, 2},  {"a {3+}", 1, 3, 0, 0, 2},
                {"a ~{0}", 1, 0, 1, 1, 2}, {"{12}", 1, 12, 1, 0, 0},
                {"{007+}", 1, 7, 0, 0, 0}, {"{99999999999999999999}", 1, UINT64_MAX, 1, 0, 0},
                {"a {}", 0, 0, 0, 0, 0},   {"a {+}", 0, 0, 0, 0, 0},
                {"a {3-}", 0, 0, 0, 0, 0}, {"a {3} ", 0, 0, 0, 0, 0},
                {"3}", 0, 0, 0, 0, 0},     {"}", 0, 0, 0, 0, 0},
                {"", 0, 0, 0, 0, 0}};

START_TEST(a_literal_is_announced_at_the_end_of_a_line)
{
    lmi_imap_literal l;
    ck_assert_int_eq(lmi_imap_literal_at_end(lmail_str_from(literals[_i].line), &l),
                     literals[_i].yes);
    if (!literals[_i].yes)
        return;
    ck_assert_uint_eq(l.octets, literals[_i].octets);
    ck_assert_uint_eq(l.sync, literals[_i].sync);
    ck_assert_uint_eq(l.binary, literals[_i].binary);
    ck_assert_uint_eq(l.at, literals[_i].at);
}
END_TEST

static const struct {
    const char *text;
    lmail_status st;
    uint32_t value;
} numbers[] = {{"0", LMAIL_OK, 0},
               {"4294967295)", LMAIL_OK, UINT32_MAX},
               {"4294967296", LMAIL_ERR_SYNTAX, 0},
               {"99999999999999999999", LMAIL_ERR_SYNTAX, 0},
               {"-1", LMAIL_ERR_SYNTAX, 0},
               {"", LMAIL_ERR_SYNTAX, 0}};

START_TEST(a_number_fits_or_is_refused)
{
    uint32_t value = 0;
    begin(numbers[_i].text, strlen(numbers[_i].text));
    ck_assert_int_eq(lmi_imap_number(&args, &value), numbers[_i].st);
    if (numbers[_i].st == LMAIL_OK)
        ck_assert_uint_eq(value, numbers[_i].value);
}
END_TEST

static const struct {
    const char *text;
    size_t count; /* 0: refused */
    lmi_imap_seq first, last;
} sets[] = {{"1", 1, {1, 1}, {1, 1}},
            {"*", 1, {0, 0}, {0, 0}},
            {"2:4,7", 2, {2, 4}, {7, 7}},
            {"*:3,5:*,1 x", 3, {0, 3}, {1, 1}},
            {"4294967295", 1, {UINT32_MAX, UINT32_MAX}, {UINT32_MAX, UINT32_MAX}},
            {"0", 0, {0, 0}, {0, 0}},
            {"01", 0, {0, 0}, {0, 0}},
            {"1:", 0, {0, 0}, {0, 0}},
            {",1", 0, {0, 0}, {0, 0}},
            {"1,", 0, {0, 0}, {0, 0}},
            {"a", 0, {0, 0}, {0, 0}},
            {"", 0, {0, 0}, {0, 0}}};

START_TEST(a_sequence_set_is_read_or_refused)
{
    lmi_imap_set set;
    begin(sets[_i].text, strlen(sets[_i].text));
    lmail_status st = lmi_imap_sequence_set(&args, &set);
    ck_assert_int_eq(st, sets[_i].count ? LMAIL_OK : LMAIL_ERR_SYNTAX);
    if (st)
        return;
    ck_assert_uint_eq(set.count, sets[_i].count);
    ck_assert(memcmp(&set.parts[0], &sets[_i].first, sizeof *set.parts) == 0);
    ck_assert(memcmp(&set.parts[set.count - 1], &sets[_i].last, sizeof *set.parts) == 0);
}
END_TEST

static const struct {
    const char *text;
    int bare;
    lmail_status st;
    lmail_flags system;
    size_t count;
} flags[] = {{"()", 0, LMAIL_OK, 0, 0},
             {"(\\Seen)", 0, LMAIL_OK, LMAIL_FLAG_SEEN, 0},
             {"(\\sEEN \\Draft $x y)", 0, LMAIL_OK, LMAIL_FLAG_SEEN | LMAIL_FLAG_DRAFT, 2},
             {"(a A a b)", 0, LMAIL_OK, 0, 2},
             {"\\Deleted x", 1, LMAIL_OK, LMAIL_FLAG_DELETED, 1},
             {"\\Deleted", 0, LMAIL_ERR_SYNTAX, 0, 0},
             {"(\\Recent)", 0, LMAIL_ERR_SYNTAX, 0, 0},
             {"(\\*)", 0, LMAIL_ERR_SYNTAX, 0, 0},
             {"(a  b)", 0, LMAIL_ERR_SYNTAX, 0, 0},
             {"(a", 0, LMAIL_ERR_SYNTAX, 0, 0},
             {"", 1, LMAIL_ERR_SYNTAX, 0, 0}};

START_TEST(flags_are_read_or_refused)
{
    lmi_imap_flags f;
    begin(flags[_i].text, strlen(flags[_i].text));
    ck_assert_int_eq(lmi_imap_flag_list(&args, flags[_i].bare, &f), flags[_i].st);
    if (flags[_i].st)
        return;
    ck_assert_uint_eq(f.system, flags[_i].system);
    ck_assert_uint_eq(f.count, flags[_i].count);
}
END_TEST

static const struct {
    const char *text;
    int64_t seconds; /* -1: refused */
    int zone;
} times[] = {{"\" 1-Jan-1970 00:00:00 +0000\"", 0, 0},
             {"\"17-Jul-1996 02:44:25 -0700\"", 837596665, -420},
             {"\"29-feb-2000 23:59:60 +1400\"", 951818400, 840},
             {"\"01-Jan-9999 00:00:00 +0000\"", 253370764800, 0},
             {"\"29-Feb-1900 00:00:00 +0000\"", -1, 0},
             {"\"31-Apr-2000 00:00:00 +0000\"", -1, 0},
             {"\" 0-Apr-2000 00:00:00 +0000\"", -1, 0},
             {"\"1-Apr-2000 00:00:00 +0000\"", -1, 0},
             {"\"01-Foo-2000 00:00:00 +0000\"", -1, 0},
             {"\"01-Apr-2000 24:00:00 +0000\"", -1, 0},
             {"\"01-Apr-2000 00:60:00 +0000\"", -1, 0},
             {"\"01-Apr-2000 00:00:00 0000\"", -1, 0},
             {"\"01-Apr-2000 00:00:00 +0060\"", -1, 0},
             {"\"01-Apr-0000 00:00:00 +0000\"", -1, 0},
             {"\"01-Apr-2000 00:00:00 +00\"", -1, 0},
             {"", -1, 0}};

START_TEST(a_date_and_time_is_read_or_refused)
{
    int64_t seconds = 0;
    int zone = 0;
    begin(times[_i].text, strlen(times[_i].text));
    lmail_status st = lmi_imap_date_time(&args, &seconds, &zone);
    ck_assert_int_eq(st, times[_i].seconds < 0 ? LMAIL_ERR_SYNTAX : LMAIL_OK);
    if (st)
        return;
    ck_assert_int_eq(seconds, times[_i].seconds);
    ck_assert_int_eq(zone, times[_i].zone);
}
END_TEST

static const struct {
    const char *text;
    int32_t day; /* -1: refused */
} dates[] = {{"1-Feb-1994", 8797}, {"\"01-Feb-1994\"", 8797}, {"1-Jan-1970 x", 0},
             {"001-Feb-1994", -1}, {"\"1-Feb-1994", -1},      {"30-Feb-1994", -1},
             {"1-2-1994", -1},     {"1-Feb-94", -1},          {"", -1}};

START_TEST(a_date_is_read_or_refused)
{
    int32_t day = 0;
    begin(dates[_i].text, strlen(dates[_i].text));
    lmail_status st = lmi_imap_date(&args, &day);
    ck_assert_int_eq(st, dates[_i].day < 0 ? LMAIL_ERR_SYNTAX : LMAIL_OK);
    if (!st)
        ck_assert_int_eq(day, dates[_i].day);
}
END_TEST

START_TEST(days_and_dates_are_each_others_reverse)
{
    int64_t expect = lmi_imap_days(1, 1, 1);
    for (int64_t d = expect; d < lmi_imap_days(9999, 12, 31); d += 13) {
        int year, month, day;
        lmi_imap_civil(d, &year, &month, &day);
        ck_assert_int_eq(lmi_imap_days(year, month, day), d);
    }
}
END_TEST

START_TEST(a_full_arena_is_a_limit)
{
    lmail_str value;
    lmi_imap_set set;
    arena.ceiling = 64;
    begin("\"\\\\aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", 73);
    ck_assert_int_eq(lmi_imap_astring(&args, &value), LMAIL_ERR_LIMIT);
    begin("1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8", 33);
    ck_assert_int_eq(lmi_imap_sequence_set(&args, &set), LMAIL_ERR_LIMIT);
}
END_TEST

static void set_up(void)
{
    libc = lmi_alloc_resolve(&(lmail_alloc){NULL, NULL});
    lmail_imap_server_config_init(&config);
    config.separator = '/';
    config.max_name = 100;
    lmi_arena_init(&arena, &libc, 1 << 16);
}

static void tear_down(void)
{
    lmi_arena_done(&arena);
}

#define LOOP(test, table) tcase_add_loop_test(t, test, 0, (int)(sizeof table / sizeof *table))

Suite *imap_parse_suite(void)
{
    Suite *s = suite_create("imap_parse");
    TCase *t = tcase_create("arguments");
    tcase_add_checked_fixture(t, set_up, tear_down);
    LOOP(a_string_is_read_or_refused, strings);
    tcase_add_test(t, nil_and_the_empty_string_differ);
    LOOP(a_literal_is_announced_at_the_end_of_a_line, literals);
    LOOP(a_number_fits_or_is_refused, numbers);
    LOOP(a_sequence_set_is_read_or_refused, sets);
    LOOP(flags_are_read_or_refused, flags);
    LOOP(a_date_and_time_is_read_or_refused, times);
    LOOP(a_date_is_read_or_refused, dates);
    tcase_add_test(t, days_and_dates_are_each_others_reverse);
    tcase_add_test(t, a_full_arena_is_a_limit);
    suite_add_tcase(s, t);
    return s;
}
