/* Header text: encoded words, parameters, fields and their filter, subjects, ids. */
#include <libmail/mime.h>

#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *mime_text_suite(void);

static void check_text(const char *out, size_t made, const char *expected)
{
    ck_assert_msg(made == strlen(expected) && memcmp(out, expected, made) == 0,
                  "got \"%.*s\", not \"%s\"", (int)made, out, expected);
}

static const struct {
    const char *value, *expected;
} words[] = {
    /* RFC 2047 §8 */
    {"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"},
    {"=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld J\xc3\xb8rn Simonsen"},
    {"=?ISO-8859-1?Q?Andr=E9?= Pirard", "Andr\xc3\xa9 Pirard"},
    {"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n"
     "    =?ISO-8859-1?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
     "If you can read this you understand the example."},
    {"(=?ISO-8859-1?Q?a?=)", "(a)"},
    {"(=?ISO-8859-1?Q?a?= b)", "(a b)"},
    {"(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"},
    {"(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"},
    {"(=?ISO-8859-1?Q?a?=\r\n   =?ISO-8859-1?Q?b?=)", "(ab)"},
    {"(=?ISO-8859-1?Q?a_b?=)", "(a b)"},
    {"(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?_b?=)", "(a b)"},
    /* RFC 2231 §5 */
    {"=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"},
    /* a character split between words, both encodings */
    {"=?utf-8?q?=C3?= =?UTF-8?q?=A9?=", "\xc3\xa9"},
    {"=?utf-8?b?4oI=?= =?utf-8?b?rA==?= x", "\xe2\x82\xac x"},
    {"=?utf-8?q?=C3?= x", "\xef\xbf\xbd x"},
    {"=?utf-8?q?=C3?= =?iso-8859-1?q?=E9?=", "\xef\xbf\xbd\xc3\xa9"},
    /* tolerated */
    {"a=?utf-8?q?b?=c", "abc"},
    {"=?utf-8?q?a b?=", "a b"},
    {"=?utf-8?q?=?=", "="},
    {"=?unknown?q?a=C3=A9?=", "a\xc3\xa9"},
    /* no encoded words */
    {"=?utf-8?x?a?=", "=?utf-8?x?a?="},
    {"=?utf-8?q?open", "=?utf-8?q?open"},
    {"=??q?a?=", "=??q?a?="},
    {"=?", "=?"},
    /* raw text */
    {"  folded\r\n\ttext \r\n", "folded\ttext"},
    {"caf\xc3\xa9", "caf\xc3\xa9"},
    {"caf\xe9", "caf\xef\xbf\xbd"},
    {"", ""},
};

START_TEST(encoded_words_become_utf8)
{
    lmail_str in = lmail_str_from(words[_i].value);
    char out[256], cut[256];
    size_t made, less;
    ck_assert_int_eq(lmail_mime_words_decode(NULL, in, out, sizeof out, &made), LMAIL_OK);
    const char *expected = words[_i].expected;
    char spaced[256];
    snprintf(spaced, sizeof spaced, "%s", expected);
    for (char *p = spaced; *p; p++)
        if (*p == '\t')
            *p = ' ';
    check_text(out, made, spaced);
    for (size_t cap = 0; cap < made; cap++) {
        ck_assert_int_eq(lmail_mime_words_decode(NULL, in, cut, cap, &less), LMAIL_ERR_LIMIT);
        ck_assert_uint_le(less, cap);
        ck_assert_int_eq(memcmp(cut, out, less), 0);
    }
}
END_TEST

/* Written as type/subtype; name=value or name*=value ... */
static const struct {
    const char *value, *expected, *decoded; /* decoded: the last parameter */
} contents[] = {
    {"text/plain; charset=us-ascii (Plain text)", "text/plain; charset=us-ascii", "us-ascii"},
    {"text/plain; charset=\"us-ascii\"", "text/plain; charset=us-ascii", "us-ascii"},
    {"attachment; filename=genome.jpeg;\r\n modification-date=\"Wed, 12 Feb 1997 16:29:51 -0500\"",
     "attachment/; filename=genome.jpeg; modification-date=Wed, 12 Feb 1997 16:29:51 -0500",
     "Wed, 12 Feb 1997 16:29:51 -0500"},
    /* RFC 2231 §3, §4, §4.1 */
    {"message/external-body; access-type=URL;\r\n URL*0=\"ftp://\";\r\n"
     " URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"",
     "message/external-body; access-type=URL; "
     "URL=ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar",
     "ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar"},
    {"application/x-stuff;\r\n title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
     "application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
     "This is ***fun***"},
    {"application/x-stuff\r\n ;title*0*=us-ascii'en'This%20is%20even%20more%20\r\n"
     " ;title*1*=%2A%2A%2Afun%2A%2A%2A%20\r\n ;title*2=\"isn't it!\"",
     "application/x-stuff; "
     "title*=us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn't%20it!",
     "This is even more ***fun*** isn't it!"},
    {"a/b; x*1=2; x*0=1; x*3=4", "a/b; x=12", "12"},
    {"a/b; x*=iso-8859-1''caf%E9", "a/b; x*=iso-8859-1''caf%E9", "caf\xc3\xa9"},
    {"a/b; x*=caf%C3%A9", "a/b; x*=caf%C3%A9", "caf\xc3\xa9"},
    /* what programs write */
    {"a/b; name==?utf-8?q?caf=C3=A9?=", "a/b; name==?utf-8?q?caf=C3=A9?=", "caf\xc3\xa9"},
    {"a/b; name=my file.doc; x=1", "a/b; name=my file.doc; x=1", "1"},
    {"a/b; charset=utf-8 format=flowed", "a/b; charset=utf-8; format=flowed", "flowed"},
    {"a/b;; ;x=1;", "a/b; x=1", "1"},
    {"a/b; x=\"open", "a/b; x=open", "open"},
    {"a/b; x=1; X=2", "a/b; x=1", "1"},
    {"a/b; =c; d", "a/b", NULL},
    {"a / b ; c = d", "a/b; c=d", "d"},
    {"text", "text/", NULL},
    {"", "/", NULL},
    {"(comment) text/(x)plain", "text/plain", NULL},
};

START_TEST(contents_read_as_expected)
{
    lmail_str in = lmail_str_from(contents[_i].value);
    char scratch[1024], out[512];
    lmail_mime_content c;
    lmail_mime_param param[8];
    lmail_mime_content_parse(in, &c, param, 8, scratch, sizeof scratch);
    size_t n = (size_t)snprintf(out, sizeof out, "%.*s/%.*s", (int)c.type.len, c.type.ptr,
                                (int)c.subtype.len, c.subtype.ptr);
    for (size_t i = 0; i < c.count; i++)
        n += (size_t)snprintf(out + n, sizeof out - n, "; %.*s%s=%.*s", (int)param[i].name.len,
                              param[i].name.ptr, param[i].extended ? "*" : "",
                              (int)param[i].value.len, param[i].value.ptr);
    ck_assert_str_eq(out, contents[_i].expected);
    if (contents[_i].decoded) {
        lmail_mime_param_decode(NULL, &param[c.count - 1], out, sizeof out, &n);
        check_text(out, n, contents[_i].decoded);
    }
}
END_TEST

static const char block[] = "From nobody Mon Jan  1 00:00:00 2024\r\n"
                            "From: a@b\r\n"
                            "Subject : one\r\n two\r\n"
                            "not a field\r\n"
                            "X-Empty:\r\n"
                            "subject: again\r\n"
                            "\r\n"
                            "Body: no\r\n";

START_TEST(fields_come_one_by_one)
{
    static const char *const expected[][2] = {
        {"From", " a@b"}, {"Subject", " one\r\n two"}, {"X-Empty", ""}, {"subject", " again"}};
    lmail_str rest = lmail_str_from(block);
    lmail_mime_field f;
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(lmail_mime_field_next(&rest, &f), 1);
        check_text(f.name.ptr, f.name.len, expected[i][0]);
        check_text(f.value.ptr, f.value.len, expected[i][1]);
    }
    ck_assert_int_eq(lmail_mime_field_next(&rest, &f), 0);
    ck_assert_int_eq(lmail_mime_field_find(lmail_str_from(block), LMAIL_STR("SUBJECT"), &f), 1);
    char out[32];
    size_t made = lmail_mime_unfold(f.value, out);
    check_text(out, made, "one two");
    ck_assert_int_eq(lmail_mime_field_find(lmail_str_from(block), LMAIL_STR("body"), &f), 0);
}
END_TEST

START_TEST(a_filter_keeps_octets_and_ends_with_an_empty_line)
{
    lmail_str names[2] = {LMAIL_STR("SUBJECT"), LMAIL_STR("x-none")};
    char out[sizeof block + 4];
    size_t made, need;
    ck_assert_int_eq(
        lmail_mime_fields_filter(lmail_str_from(block), names, 2, 0, out, sizeof out, &made),
        LMAIL_OK);
    check_text(out, made, "Subject : one\r\n two\r\nsubject: again\r\n\r\n");
    ck_assert_int_eq(
        lmail_mime_fields_filter(lmail_str_from(block), names, 2, 1, out, sizeof out, &made),
        LMAIL_OK);
    check_text(out, made, "From: a@b\r\nX-Empty:\r\n\r\n");
    ck_assert_int_eq(
        lmail_mime_fields_filter(lmail_str_from(block), names, 2, 1, out, made - 1, &need),
        LMAIL_ERR_LIMIT);
    ck_assert_uint_eq(need, made);
    /* a header that was cut off */
    ck_assert_int_eq(
        lmail_mime_fields_filter(LMAIL_STR("Subject: x"), names, 2, 0, out, sizeof out, &made),
        LMAIL_OK);
    check_text(out, made, "Subject: x\r\n\r\n");
}
END_TEST

static const struct {
    const char *subject, *base;
    unsigned is_reply;
} subjects[] = {
    /* RFC 5256 §2.1 */
    {"Hello", "Hello", 0},
    {"Re: Hello", "Hello", 1},
    {"re : Fwd: FW[2]: Hello", "Hello", 1},
    {"[list] Hello", "Hello", 0},
    {"[list] Re: [other] Hello (fwd) ", "Hello", 1},
    {"[fwd: Re: Hello]", "Hello", 1},
    {"[only]", "[only]", 0},
    {"Re:", "", 1},
    {"Reply: x", "Reply: x", 0},
    {"", "", 0},
};

START_TEST(base_subjects_lose_their_marks)
{
    unsigned is_reply;
    lmail_str base = lmail_mime_base_subject(lmail_str_from(subjects[_i].subject), &is_reply);
    check_text(base.ptr, base.len, subjects[_i].base);
    ck_assert_uint_eq(is_reply, subjects[_i].is_reply);
}
END_TEST

static const struct {
    const char *value, *ids;
} references[] = {
    {"<a@b> <c@d>\r\n <e@f>", "a@b c@d e@f "},
    {"Your message of \"Tue\" from x@y <a@b>", "a@b "},
    {"<a <b@c>", "b@c "},
    {"a@b", "a@b "},
    {"no id", ""},
    {"<> <a@b", "a@b "},
    {"", ""},
};

START_TEST(message_ids_are_found)
{
    lmail_str rest = lmail_str_from(references[_i].value), id;
    char out[64];
    size_t n = 0;
    out[0] = 0;
    while (lmail_mime_msgid_next(&rest, &id))
        n += (size_t)snprintf(out + n, sizeof out - n, "%.*s ", (int)id.len, id.ptr);
    ck_assert_str_eq(out, references[_i].ids);
}
END_TEST

Suite *mime_text_suite(void)
{
    Suite *suite = suite_create("mime_text");
    TCase *tc = tcase_create("header text");
    tcase_add_loop_test(tc, encoded_words_become_utf8, 0, sizeof words / sizeof *words);
    tcase_add_loop_test(tc, contents_read_as_expected, 0, sizeof contents / sizeof *contents);
    tcase_add_test(tc, fields_come_one_by_one);
    tcase_add_test(tc, a_filter_keeps_octets_and_ends_with_an_empty_line);
    tcase_add_loop_test(tc, base_subjects_lose_their_marks, 0, sizeof subjects / sizeof *subjects);
    tcase_add_loop_test(tc, message_ids_are_found, 0, sizeof references / sizeof *references);
    suite_add_tcase(suite, tc);
    return suite;
}
