/* Fields out of a header, in every split of it. */
#include "base/base_internal.h"
#include "imap/imap_fetch.h"

#include <check.h>
#include <string.h>

#define HEADER                                                                                     \
    "From: a@b\r\nTo: c,\r\n d\r\n\te\r\nDate : x\r\nno field\r\n goes on\r\nfrom:2\r\nX-Long: "   \
    "1\r\n\r\n"

static const struct {
    const char *header, *names; /* separated by blanks */
    lmi_fetch_fields how;
    uint64_t begin, length; /* length 0: no partial range */
    const char *out;
} cases[] = {
    {HEADER, "FROM", LMI_FIELDS_ONLY, 0, 0, "From: a@b\r\nfrom:2\r\n\r\n"},
    {HEADER, "TO DATE", LMI_FIELDS_ONLY, 0, 0, "To: c,\r\n d\r\n\te\r\nDate : x\r\n\r\n"},
    {HEADER, "NONE", LMI_FIELDS_ONLY, 0, 0, "\r\n"},
    {HEADER, "FRO", LMI_FIELDS_ONLY, 0, 0, "\r\n"},
    {HEADER, "FROM TO X-LONG", LMI_FIELDS_NOT, 0, 0, "Date : x\r\n\r\n"},
    {HEADER, "FROM", LMI_FIELDS_ONLY, 6, 5, "a@b\r\n"},
    {HEADER, "FROM", LMI_FIELDS_ONLY, 19, 10, "\r\n"},
    {HEADER, "FROM", LMI_FIELDS_ONLY, 20, 10, "\n"},
    {HEADER, "FROM", LMI_FIELDS_ONLY, 21, 10, ""},
    {HEADER, "FROM", LMI_FIELDS_ONLY, 0, UINT64_MAX, "From: a@b\r\nfrom:2\r\n\r\n"},
    {"", "FROM", LMI_FIELDS_ONLY, 0, 0, "\r\n"},
    {"From: no end", "FROM", LMI_FIELDS_ONLY, 0, 0, "From: no end\r\n\r\n"},
    {"From", "FROM", LMI_FIELDS_NOT, 0, 0, "\r\n"},
    {"\r\nFrom: body", "FROM", LMI_FIELDS_ONLY, 0, 0, "\r\n"},
    {"A: 1\n\nFrom: body", "FROM", LMI_FIELDS_ONLY, 0, 0, "\r\n"},
    {"A: 1\nFrom: 2\n", "FROM", LMI_FIELDS_ONLY, 0, 0, "From: 2\n\r\n"},
    {" folded first\r\nFrom: 2\r\n\r\n", "FROM", LMI_FIELDS_ONLY, 0, 0, "From: 2\r\n\r\n"},
    {": empty\r\nFrom: 2\r\n\r\n", "FROM", LMI_FIELDS_NOT, 0, 0, "\r\n"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: 1\r\n 2\r\nFrom: 2\r\n\r\n",
     "FROM", LMI_FIELDS_NOT, 0, 0,
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: 1\r\n 2\r\n\r\n"},
};

static char got[4096];
static size_t got_len;

static void emit(void *to, lmail_str octets)
{
    (void)to;
    ck_assert_uint_le(got_len + octets.len, sizeof got - 1);
    memcpy(got + got_len, octets.ptr, octets.len);
    got_len += octets.len;
    got[got_len] = 0;
}

START_TEST(fields_pass_in_any_split)
{
    lmail_str names[8];
    lmi_fetch_item item;
    memset(&item, 0, sizeof item);
    item.names = names;
    item.fields = cases[_i].how;
    item.begin = cases[_i].begin;
    item.length = cases[_i].length;
    item.partial = item.length != 0;
    lmail_str rest = lmail_str_from(cases[_i].names);
    while (rest.len) {
        size_t n = lmi_str_find(rest, ' ');
        names[item.name_count++] = lmi_str_sub(rest, 0, n);
        rest = lmi_str_skip(rest, n < rest.len ? n + 1 : n);
    }
    lmail_str all = lmail_str_from(cases[_i].header);
    for (size_t step = 1; step <= all.len + 1; step++) {
        lmi_fetch_filter f;
        got_len = 0;
        got[0] = 0;
        lmi_fetch_filter_init(&f, &item, emit, NULL);
        for (size_t at = 0; at < all.len; at += step)
            lmi_fetch_filter_feed(&f, lmi_str_sub(all, at, step));
        lmi_fetch_filter_end(&f);
        ck_assert_str_eq(got, cases[_i].out);
        ck_assert_uint_eq(lmi_fetch_filter_size(&f), got_len);
    }
}
END_TEST

Suite *imap_fetch_filter_suite(void)
{
    Suite *s = suite_create("imap_fetch_filter");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, fields_pass_in_any_split, 0, (int)(sizeof cases / sizeof *cases));
    suite_add_tcase(s, t);
    return s;
}
