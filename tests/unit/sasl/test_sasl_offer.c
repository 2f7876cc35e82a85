/* Which mechanisms are offered: the measured table, and what it does not say. */
#include <check.h>
#include <libmail/sasl.h>
#include <stdio.h>
#include <string.h>

#include "vectors.h"

Suite *sasl_offer_suite(void);

static const lmail_str seven[] = {LMAIL_STR("SCRAM-SHA-256"), LMAIL_STR("SCRAM-SHA-1"),
                                  LMAIL_STR("DIGEST-MD5"),    LMAIL_STR("CRAM-MD5"),
                                  LMAIL_STR("LOGIN"),         LMAIL_STR("PLAIN"),
                                  LMAIL_STR("ANONYMOUS")};
#define SEVEN (sizeof seven / sizeof *seven)

static const char *offer(const lmail_str *list, size_t count, unsigned options,
                         lmail_sasl_channel channel)
{
    static char text[512];
    lmail_str out[16];
    size_t n = lmail_sasl_offer(list, count, options, channel, out), at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%.*s", i ? " " : "", (int)out[i].len,
                               out[i].ptr);
    return text;
}

static unsigned option(char letter)
{
    switch (letter) {
    case 'p':
        return LMAIL_SASL_NO_CLEARTEXT;
    case 'a':
        return LMAIL_SASL_NO_ACTIVE;
    case 'c':
        return LMAIL_SASL_CREDENTIALS;
    case 'm':
        return LMAIL_SASL_MUTUAL;
    case 'y':
        return LMAIL_SASL_NO_ANONYMOUS;
    default:
        return 0;
    }
}

START_TEST(each_measured_set_of_options_gives_its_mechanisms)
{
    vectors v = vectors_rows("vectors/auth_options.tsv");
    ck_assert_uint_gt(v.count, 5);
    for (size_t i = 0; i < v.count; i++) {
        const vectors_row *row = &v.rows[i];
        unsigned options = 0;
        for (const char *p = row->field[1]; *p; p++)
            options |= option(*p);
        const char *clear = offer(seven, SEVEN, options, LMAIL_SASL_CLEAR);
        ck_assert_msg(!strcmp(clear, row->field[2]), "%s clear: %s", row->field[0], clear);
        const char *tls = offer(seven, SEVEN, options, LMAIL_SASL_TLS);
        ck_assert_msg(!strcmp(tls, row->field[3]), "%s tls: %s", row->field[0], tls);
    }
    vectors_done(&v);
}
END_TEST

static const struct other {
    const char *list[4];
    unsigned options;
    lmail_sasl_channel channel;
    const char *offered;
} others[] = {
    {{"PLAIN", "LOGIN"}, LMAIL_SASL_NO_DICTIONARY, LMAIL_SASL_TLS, ""},
    {{"SCRAM-SHA-1"}, LMAIL_SASL_FORWARD_SECRECY, LMAIL_SASL_TLS, ""},
    {{"EXTERNAL", "PLAIN"}, 0, LMAIL_SASL_CLEAR, "PLAIN"},
    {{"EXTERNAL", "PLAIN"}, 0, LMAIL_SASL_TLS, "PLAIN"},
    {{"EXTERNAL", "PLAIN"}, 0, LMAIL_SASL_TLS_VERIFIED, "EXTERNAL PLAIN"},
    {{"CRAM-MD5"},
     LMAIL_SASL_NO_CLEARTEXT | LMAIL_SASL_SCRAM,
     LMAIL_SASL_CLEAR,
     "CRAM-MD5 SCRAM-SHA-256 SCRAM-SHA-1"},
    {{"CRAM-MD5"}, LMAIL_SASL_SCRAM, LMAIL_SASL_CLEAR, "CRAM-MD5"},
    {{"SCRAM-SHA-1"}, LMAIL_SASL_NO_CLEARTEXT | LMAIL_SASL_SCRAM, LMAIL_SASL_CLEAR, "SCRAM-SHA-1"},
    {{"PLAIN"},
     LMAIL_SASL_NO_CLEARTEXT | LMAIL_SASL_CREDENTIALS | LMAIL_SASL_SCRAM,
     LMAIL_SASL_TLS,
     "PLAIN"},
    {{"plain", "PLAIN"}, 0, LMAIL_SASL_TLS, "plain"},
    {{"XOAUTH2", "NEW"}, LMAIL_SASL_NO_CLEARTEXT, LMAIL_SASL_CLEAR, ""},
};

START_TEST(what_the_table_does_not_say)
{
    const struct other *o = &others[_i];
    lmail_str list[4];
    size_t n = 0;
    while (n < 4 && o->list[n]) {
        list[n] = lmail_str_from(o->list[n]);
        n++;
    }
    ck_assert_str_eq(offer(list, n, o->options, o->channel), o->offered);
}
END_TEST

Suite *sasl_offer_suite(void)
{
    Suite *s = suite_create("sasl_offer");
    TCase *t = tcase_create("offer");
    tcase_add_test(t, each_measured_set_of_options_gives_its_mechanisms);
    tcase_add_loop_test(t, what_the_table_does_not_say, 0, sizeof others / sizeof *others);
    suite_add_tcase(s, t);
    return s;
}
