/* fuzz_imap_parse.c - the readers of arguments, and LIST patterns.
 *
 * The first octet chooses a reader, the rest is its text. Oracles: nothing outside the text is
 * read, a value lies in the text or in the arena, a refusal says what it expected, the same text
 * gives the same again; a pattern matches as the plain recursive definition says. */
#include "imap/imap_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "fuzz_imap_parse: %s\n", what);
        abort();
    }
}

static unsigned sum;

static void touch(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++)
        sum += (unsigned char)s.ptr[i];
}

static lmail_status read_one(unsigned which, lmi_imap_args *a)
{
    lmail_str text = {NULL, 0};
    uint32_t n;
    uint64_t big;
    int64_t seconds;
    int32_t day;
    int zone;
    lmi_imap_flags flags;
    lmi_imap_set set;
    lmail_status st;
    switch (which % 12) {
    case 0:
        st = lmi_imap_atom(a, &text);
        break;
    case 1:
        st = lmi_imap_astring(a, &text);
        break;
    case 2:
        st = lmi_imap_nstring(a, &text);
        break;
    case 3:
        st = lmi_imap_mailbox(a, &text);
        break;
    case 4:
        st = lmi_imap_pattern(a, &text);
        break;
    case 5:
        return lmi_imap_number(a, &n);
    case 6:
        return lmi_imap_number64(a, &big);
    case 7:
        return lmi_imap_date(a, &day);
    case 8:
        st = lmi_imap_date_time(a, &seconds, &zone);
        if (!st) {
            int year, month, d;
            lmi_imap_civil(seconds / 86400, &year, &month, &d);
            must(lmi_imap_days(year, month, d) == seconds / 86400, "dates do not come back");
        }
        return st;
    case 9:
    case 10:
        st = lmi_imap_flag_list(a, which % 12 == 10, &flags);
        for (size_t i = 0; !st && i < flags.count; i++)
            touch(flags.names[i]);
        return st;
    default:
        st = lmi_imap_sequence_set(a, &set);
        for (size_t i = 0; !st && i < set.count; i++)
            sum += set.parts[i].first;
        return st;
    }
    if (!st)
        touch(text);
    return st;
}

/* The definition itself, for short texts. */
static int matches(lmail_str p, lmail_str n, char separator)
{
    if (!p.len)
        return n.len == 0;
    lmail_str rest = lmi_str_skip(p, 1);
    if (p.ptr[0] == '*' || p.ptr[0] == '%') {
        for (size_t i = 0; i <= n.len; i++) {
            if (matches(rest, lmi_str_skip(n, i), separator))
                return 1;
            if (i < n.len && p.ptr[0] == '%' && n.ptr[i] == separator)
                return 0;
        }
        return 0;
    }
    return n.len && n.ptr[0] == p.ptr[0] && matches(rest, lmi_str_skip(n, 1), separator);
}

static void compare_match(const uint8_t *data, size_t size)
{
    size_t half = size / 2 < 8 ? size / 2 : 8;
    lmail_str p = {(const char *)data, half}, n = {(const char *)data + half, size - half};
    if (n.len > 12)
        n.len = 12;
    if (n.len >= 5 && lmail_str_equal_nocase(lmi_str_sub(n, 0, 5), LMAIL_STR("INBOX")))
        return;
    unsigned found = lmail_imap_list_match(p, n, '/');
    must(!(found & LMAIL_IMAP_MATCH_SELF) == !matches(p, n, '/'), "SELF differs");
    int above = 0;
    for (size_t i = 1; i < n.len; i++)
        if (n.ptr[i] == '/')
            above |= matches(p, lmi_str_sub(n, 0, i), '/');
    must(!(found & LMAIL_IMAP_MATCH_ABOVE) == !above, "ABOVE differs");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lmail_imap_server_config config;
    if (size < 1 || size > 4000)
        return 0;
    if (data[0] % 13 == 12) {
        compare_match(data + 1, size - 1);
        return 0;
    }
    lmail_imap_server_config_init(&config);
    config.separator = '/';
    config.max_name = 200;
    lmail_alloc alloc = lmi_alloc_resolve(&config.alloc);
    lmi_arena arena;
    size_t ends[2];
    lmail_status sts[2];
    for (int i = 0; i < 2; i++) {
        lmi_imap_args a;
        lmi_arena_init(&arena, &alloc, 4096);
        lmi_imap_args_init(&a, (lmail_str){(const char *)data + 1, size - 1}, &arena, &config);
        sts[i] = read_one(data[0] % 13, &a);
        ends[i] = a.at;
        must(a.at <= a.len, "read past the end");
        must(sts[i] != LMAIL_ERR_SYNTAX || a.expected, "a refusal without a reason");
        must(sts[i] == LMAIL_OK || sts[i] == LMAIL_ERR_SYNTAX || sts[i] == LMAIL_ERR_LIMIT,
             "a strange status");
        must(arena.taken <= 4096, "over the ceiling");
        lmi_arena_done(&arena);
    }
    must(sts[0] == sts[1] && ends[0] == ends[1], "not the same again");
    return 0;
}
