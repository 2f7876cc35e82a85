/* Placeholders in the texts of sessions (libmail/session.h). */
#include "base/base_internal.h"

#include <check.h>
#include <string.h>

Suite *base_words_suite(void);

static const lmi_words words = {{"mx.example", 10}, {"c.example", 9}, {"a\r\n\x80z", 5}, 7, 1234};

static const struct {
    const char *text, *expected;
} cases[] = {
    {"", ""},
    {"plain", "plain"},
    {"%H", "mx.example"},
    {"%H hello %C", "mx.example hello c.example"},
    {"no such %A here", "no such a???z here"}, /* what the peer sent cannot end a line */
    {"%N messages (%O octets)", "7 messages (1234 octets)"},
    {"100%% sure", "100% sure"},
    {"%%H", "%H"},
    {"50% off, %x and %h", "50% off, %x and %h"}, /* no placeholders */
    {"at the end %", "at the end %"},
    {"%", "%"},
    {"%%%", "%%"},
};

START_TEST(placeholders_are_filled_in)
{
    char out[200];
    size_t n = lmi_words_write(lmail_str_from(cases[_i].text), &words, out, sizeof out);
    ck_assert_uint_eq(n, strlen(cases[_i].expected));
    ck_assert_mem_eq(out, cases[_i].expected, n);
}
END_TEST

START_TEST(what_does_not_fit_is_cut)
{
    char out[64];
    char whole[64];
    lmail_str text = LMAIL_STR("a%Hb%Cc%Ad%Ne%%f");
    size_t all = lmi_words_write(text, &words, whole, sizeof whole);
    for (size_t cap = 0; cap <= all; cap++) {
        memset(out, 0x7e, sizeof out);
        ck_assert_uint_eq(lmi_words_write(text, &words, out, cap), cap);
        ck_assert_mem_eq(out, whole, cap);
        ck_assert_int_eq(out[cap], 0x7e);
    }
}
END_TEST

START_TEST(what_a_peer_sent_is_cut_to_60_octets)
{
    char sent[1000], out[200];
    memset(sent, 'x', sizeof sent);
    lmi_words w = {.client = {sent, sizeof sent}, .argument = {sent, 61}};
    ck_assert_uint_eq(lmi_words_write(LMAIL_STR("%A"), &w, out, sizeof out), 60);
    ck_assert_uint_eq(lmi_words_write(LMAIL_STR("%C%A"), &w, out, sizeof out), 120);
}
END_TEST

Suite *base_words_suite(void)
{
    Suite *s = suite_create("base_words");
    TCase *tc = tcase_create("words");
    tcase_add_loop_test(tc, placeholders_are_filled_in, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tc, what_does_not_fit_is_cut);
    tcase_add_test(tc, what_a_peer_sent_is_cut_to_60_octets);
    suite_add_tcase(s, tc);
    return s;
}
