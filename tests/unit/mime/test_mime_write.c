/* Header fields, parts and boundaries as they are written; what is read back is what went in. */
#include <libmail/codec.h>
#include <libmail/mime_write.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

typedef struct text_case {
    const char *text, *written;
} text_case;

/* Encoded words: RFC 2047 §2, §5, §6.2; folding: RFC 5322 §2.2.3. */
static const text_case texts[] = {
    {"", "Subject: \r\n"},
    {"Saying Hello", "Subject: Saying Hello\r\n"},
    {"a  b\tc", "Subject: a  b\tc\r\n"},
    {"Gr\303\274\303\237e", "Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n"},
    {"Keld J\303\270rn Simonsen", "Subject: Keld =?UTF-8?Q?J=C3=B8rn?= Simonsen\r\n"},
    {"\303\251 and \303\251 end", "Subject: =?UTF-8?Q?=C3=A9_and_=C3=A9?= end\r\n"},
    {"a =?b", "Subject: a =?UTF-8?Q?=3D=3Fb?=\r\n"},
    {" padded ", "Subject: =?UTF-8?Q?_padded_?=\r\n"},
    {"0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789",
     "Subject: 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789\r\n"
     " 0123456789\r\n"},
    {"\345\277\203\345\277\203\345\277\203\345\277\203\345\277\203\345\277\203\345\277\203"
     "\345\277\203\345\277\203\345\277\203\345\277\203\345\277\203\345\277\203\345\277\203"
     "\345\277\203\345\277\203",
     "Subject: =?UTF-8?B?5b+D5b+D5b+D5b+D5b+D5b+D5b+D5b+D5b+D5b+D5b+D5b+D5b+D?=\r\n"
     " =?UTF-8?B?5b+D5b+D5b+D?=\r\n"},
};

START_TEST(text_is_folded_and_encoded)
{
    char out[1024], back[512], flat[1024];
    lmail_mime_writer w;
    lmail_mime_writer_init(&w, out, sizeof out);
    ck_assert_int_eq(
        lmail_mime_text_write(&w, LMAIL_STR("Subject"), lmail_str_from(texts[_i].text)), LMAIL_OK);
    out[w.made] = 0;
    ck_assert_str_eq(out, texts[_i].written);
    lmail_str block = {out, w.made};
    lmail_mime_field f;
    size_t made;
    ck_assert(lmail_mime_field_next(&block, &f));
    lmail_str value = {flat, lmail_mime_unfold(f.value, flat)};
    lmail_mime_words_decode(NULL, value, back, sizeof back, &made);
    for (size_t i = 0; i < made; i++)
        back[i] = back[i] == ' ' && texts[_i].text[i] == '\t' ? '\t' : back[i];
    back[made] = 0;
    ck_assert_str_eq(back, texts[_i].text);
}
END_TEST

/* A value with one of these never reaches a header (RFC 5322 §2.2). */
static const lmail_str bad[] = {
    {"a\r\nBcc: x", 9}, {"a\rb", 3},   {"a\nb", 3},   {"a\0b", 3},
    {"a\033b", 3},      {"a\177b", 3}, {"a\377b", 3},
};

START_TEST(what_would_break_a_header_leaves_no_trace)
{
    char out[256];
    lmail_mime_writer w;
    lmail_mime_writer_init(&w, out, sizeof out);
    lmail_str name = LMAIL_STR("X"), b = bad[_i], good = LMAIL_STR("a");
    lmail_mime_mailbox box[3] = {{b, good, good}, {good, b, good}, {good, good, b}};
    lmail_mime_write_param param[2] = {{b, good}, {good, b}};
    ck_assert_int_eq(lmail_mime_text_write(&w, name, b), LMAIL_ERR_ARG);
    ck_assert_int_eq(lmail_mime_text_write(&w, b, good), LMAIL_ERR_ARG);
    ck_assert_int_eq(lmail_mime_value_write(&w, name, b), LMAIL_ERR_ARG);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(lmail_mime_addresses_write(&w, name, &box[i], 1), LMAIL_ERR_ARG);
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(lmail_mime_content_write(&w, name, good, &param[i], 1), LMAIL_ERR_ARG);
    ck_assert_int_eq(lmail_mime_content_write(&w, name, b, NULL, 0), LMAIL_ERR_ARG);
    ck_assert_int_eq(lmail_mime_ids_write(&w, name, &b, 1), LMAIL_ERR_ARG);
    ck_assert_int_eq(lmail_mime_delimiter_write(&w, b, 0), LMAIL_ERR_ARG);
    ck_assert_uint_eq(w.made, 0);
}
END_TEST

START_TEST(names_that_no_field_has_are_refused)
{
    char out[64];
    lmail_mime_writer w;
    static const char *const names[] = {"", "a b", "a:", "\303\274"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lmail_mime_writer_init(&w, out, sizeof out);
        ck_assert_int_eq(lmail_mime_text_write(&w, lmail_str_from(names[i]), LMAIL_STR("x")),
                         LMAIL_ERR_ARG);
        ck_assert_uint_eq(w.made, 0);
    }
}
END_TEST

typedef struct address_case {
    const char *name, *local, *domain, *written;
    unsigned utf8;
} address_case;

static const address_case addresses[] = {
    {"", "john", "example.org", "To: john@example.org\r\n", 0},
    {"John Q. Public", "john", "x.test", "To: \"John Q. Public\" <john@x.test>\r\n", 0},
    {"Mary Smith", "mary", "x.test", "To: Mary Smith <mary@x.test>\r\n", 0},
    {"Giant; \"Big\" Box", "a", "b", "To: \"Giant; \\\"Big\\\" Box\" <a@b>\r\n", 0},
    {"back\\slash", "a", "b", "To: \"back\\\\slash\" <a@b>\r\n", 0},
    {"J\303\270rn", "a", "b", "To: =?UTF-8?Q?J=C3=B8rn?= <a@b>\r\n", 0},
    {"J\303\270rn", "a", "b", "To: J\303\270rn <a@b>\r\n", 1},
    {"=?x?=", "a", "b", "To: =?UTF-8?Q?=3D=3Fx=3F=3D?= <a@b>\r\n", 0},
    {"", "a b", "c", "To: \"a b\"@c\r\n", 0},
    {"", "a\"b", "c", "To: \"a\\\"b\"@c\r\n", 0},
    {"", ".a", "[192.0.2.1]", "To: \".a\"@[192.0.2.1]\r\n", 0},
    {"", "\303\274", "\303\274.test", "To: \303\274@\303\274.test\r\n", 1},
};

START_TEST(addresses_are_quoted_as_they_need)
{
    const address_case *c = &addresses[_i];
    char out[512], scratch[512], name[256];
    lmail_mime_writer w;
    lmail_mime_writer_init(&w, out, sizeof out);
    w.utf8 = c->utf8;
    lmail_mime_mailbox m = {lmail_str_from(c->name), lmail_str_from(c->local),
                            lmail_str_from(c->domain)};
    ck_assert_int_eq(lmail_mime_addresses_write(&w, LMAIL_STR("To"), &m, 1), LMAIL_OK);
    out[w.made] = 0;
    ck_assert_str_eq(out, c->written);
    lmail_mime_address_reader r;
    lmail_mime_address a;
    size_t made;
    lmail_mime_address_reader_init(&r, (lmail_str){out + 3, w.made - 5}, scratch, sizeof scratch);
    ck_assert(lmail_mime_address_next(&r, &a));
    ck_assert(lmail_str_equal(a.local, m.local) && lmail_str_equal(a.domain, m.domain));
    lmail_mime_words_decode(NULL, a.name, name, sizeof name, &made);
    ck_assert(lmail_str_equal((lmail_str){name, made}, m.name));
    ck_assert(!lmail_mime_address_next(&r, &a));
}
END_TEST

START_TEST(addresses_beyond_ascii_need_a_header_that_may_hold_them)
{
    char out[64];
    lmail_mime_writer w;
    lmail_mime_writer_init(&w, out, sizeof out);
    lmail_mime_mailbox m = {{NULL, 0}, LMAIL_STR("\303\274"), LMAIL_STR("x.test")};
    ck_assert_int_eq(lmail_mime_addresses_write(&w, LMAIL_STR("To"), &m, 1), LMAIL_ERR_ARG);
    static const char *const domains[] = {"", "a b", "a,b", "a>", "a..b", ".a", "[", "[]", "[a]b]"};
    for (size_t i = 0; i < sizeof domains / sizeof *domains; i++) {
        m = (lmail_mime_mailbox){{NULL, 0}, LMAIL_STR("u"), lmail_str_from(domains[i])};
        ck_assert_int_eq(lmail_mime_addresses_write(&w, LMAIL_STR("To"), &m, 1), LMAIL_ERR_ARG);
    }
    ck_assert_int_eq(lmail_mime_addresses_write(&w, LMAIL_STR("To"), &m, 0), LMAIL_ERR_ARG);
    ck_assert_uint_eq(w.made, 0);
}
END_TEST

START_TEST(a_list_folds_between_addresses)
{
    char out[512];
    lmail_mime_writer w;
    lmail_mime_writer_init(&w, out, sizeof out);
    lmail_mime_mailbox m = {LMAIL_STR("Mary Smith"), LMAIL_STR("mary"), LMAIL_STR("example.org")};
    lmail_mime_mailbox list[3] = {m, m, m};
    ck_assert_int_eq(lmail_mime_addresses_write(&w, LMAIL_STR("To"), list, 3), LMAIL_OK);
    out[w.made] = 0;
    ck_assert_str_eq(out, "To: Mary Smith <mary@example.org>, Mary Smith <mary@example.org>,\r\n"
                          " Mary Smith <mary@example.org>\r\n");
}
END_TEST

typedef struct date_case {
    int64_t seconds;
    int32_t zone;
    const char *text;
} date_case;

static const date_case dates[] = {
    /* RFC 5322 appendix A */
    {880127706, -360, "Fri, 21 Nov 1997 09:55:06 -0600"},
    {1057049557, 120, "Tue, 1 Jul 2003 10:52:37 +0200"},
    {-27723426, -210, "Thu, 13 Feb 1969 23:32:54 -0330"},
    {0, 0, "Thu, 1 Jan 1970 00:00:00 +0000"},
    {951782399, 0, "Mon, 28 Feb 2000 23:59:59 +0000"},
    {951782400, 0, "Tue, 29 Feb 2000 00:00:00 +0000"},
    {-2208988800, 0, "Mon, 1 Jan 1900 00:00:00 +0000"},
};

START_TEST(dates_are_those_of_the_standard)
{
    char out[32];
    int64_t seconds;
    int32_t day, zone;
    size_t n = lmail_mime_date_text(dates[_i].seconds, dates[_i].zone, out);
    out[n] = 0;
    ck_assert_str_eq(out, dates[_i].text);
    ck_assert_int_eq(lmail_mime_date_parse((lmail_str){out, n}, &seconds, &day, &zone), LMAIL_OK);
    ck_assert_int_eq(seconds, dates[_i].seconds);
    ck_assert_int_eq(zone, dates[_i].zone);
}
END_TEST

START_TEST(times_out_of_range_are_no_dates)
{
    char out[32];
    ck_assert_uint_eq(lmail_mime_date_text(INT64_MAX, 0, out), 0);
    ck_assert_uint_eq(lmail_mime_date_text(INT64_MIN, 0, out), 0);
    ck_assert_uint_eq(lmail_mime_date_text(0, 1440, out), 0);
    ck_assert_uint_eq(lmail_mime_date_text(0, -1440, out), 0);
}
END_TEST

typedef struct param_case {
    const char *name, *value, *written;
} param_case;

/* RFC 2045 §5.1; RFC 2231 §3, §4 */
static const param_case params[] = {
    {"charset", "us-ascii", "Content-Type: a/b; charset=us-ascii\r\n"},
    {"name", "a b.txt", "Content-Type: a/b; name=\"a b.txt\"\r\n"},
    {"name", "", "Content-Type: a/b; name=\"\"\r\n"},
    {"name", "say \"\\\"", "Content-Type: a/b; name=\"say \\\"\\\\\\\"\"\r\n"},
    {"name", "\303\274 1", "Content-Type: a/b; name*=UTF-8''%C3%BC%201\r\n"},
    {"title",
     "This is even more fun than before because it does not end where a line of a header ends",
     "Content-Type: a/b;\r\n"
     " title*0*=UTF-8''This%20is%20even%20more%20fun%20than%20before%20becau;\r\n"
     " title*1*=se%20it%20does%20not%20end%20where%20a%20line%20of%20;\r\n"
     " title*2*=a%20header%20ends\r\n"},
};

START_TEST(parameters_take_the_plainest_form)
{
    char out[512], scratch[2048], back[512];
    lmail_mime_writer w;
    lmail_mime_writer_init(&w, out, sizeof out);
    lmail_mime_write_param p = {lmail_str_from(params[_i].name), lmail_str_from(params[_i].value)};
    ck_assert_int_eq(
        lmail_mime_content_write(&w, LMAIL_STR("Content-Type"), LMAIL_STR("a/b"), &p, 1), LMAIL_OK);
    out[w.made] = 0;
    lmail_mime_content c;
    lmail_mime_param read[2];
    size_t made;
    lmail_mime_content_parse((lmail_str){out + 13, w.made - 13}, &c, read, 2, scratch,
                             sizeof scratch);
    ck_assert_uint_eq(c.count, 1);
    ck_assert_int_eq(lmail_mime_param_decode(NULL, &read[0], back, sizeof back, &made), LMAIL_OK);
    ck_assert(lmail_str_equal((lmail_str){back, made}, p.value));
    ck_assert_str_eq(out, params[_i].written);
}
END_TEST

START_TEST(ids_and_their_list)
{
    char out[128], id[64];
    size_t made;
    lmail_mime_writer w;
    lmail_mime_writer_init(&w, out, sizeof out);
    ck_assert_int_eq(lmail_mime_id_write(880127706, LMAIL_STR("3fA"), LMAIL_STR("mx.example"), id,
                                         sizeof id, &made),
                     LMAIL_OK);
    lmail_str ids[2] = {{id, made}, LMAIL_STR("1@b")};
    ck_assert_int_eq(lmail_mime_ids_write(&w, LMAIL_STR("References"), ids, 2), LMAIL_OK);
    out[w.made] = 0;
    ck_assert_str_eq(out, "References: <19971121155506.3fA@mx.example> <1@b>\r\n");
    ck_assert_int_eq(lmail_mime_id_write(0, LMAIL_STR("a b"), LMAIL_STR("c"), id, 64, &made),
                     LMAIL_ERR_ARG);
    ck_assert_int_eq(lmail_mime_id_write(0, LMAIL_STR("a"), LMAIL_STR("c>"), id, 64, &made),
                     LMAIL_ERR_ARG);
    ck_assert_int_eq(lmail_mime_id_write(0, LMAIL_STR("a"), LMAIL_STR("c"), id, 17, &made),
                     LMAIL_ERR_LIMIT);
}
END_TEST

START_TEST(a_full_buffer_tells_the_size_needed)
{
    char out[64];
    lmail_mime_writer w;
    for (size_t cap = 0; cap < 24; cap++) {
        memset(out, '#', sizeof out);
        lmail_mime_writer_init(&w, out, cap);
        lmail_status st = lmail_mime_text_write(&w, LMAIL_STR("Subject"), LMAIL_STR("Hello you"));
        ck_assert_int_eq(st, cap < 20 ? LMAIL_ERR_LIMIT : LMAIL_OK);
        ck_assert_uint_eq(w.made, 20);
        ck_assert_int_eq(out[cap], '#');
    }
}
END_TEST

static lmail_status stop_at(void *ctx, lmail_str octets)
{
    size_t *left = ctx;
    if (octets.len > *left)
        return LMAIL_ERR_FULL;
    *left -= octets.len;
    return LMAIL_OK;
}

START_TEST(what_the_sink_says_ends_the_writer)
{
    size_t left = 15;
    lmail_mime_writer w;
    lmail_mime_writer_init_sink(&w, stop_at, &left);
    ck_assert_int_eq(lmail_mime_value_write(&w, LMAIL_STR("A"), LMAIL_STR("b")), LMAIL_OK);
    ck_assert_int_eq(lmail_mime_value_write(&w, LMAIL_STR("A"), LMAIL_STR("long enough")),
                     LMAIL_ERR_FULL);
    ck_assert_int_eq(lmail_mime_value_write(&w, LMAIL_STR("A"), LMAIL_STR("b")), LMAIL_ERR_FULL);
}
END_TEST

START_TEST(no_line_passes_the_limit)
{
    char *word = malloc(4000), *out = malloc(65536);
    for (size_t n = 1; n < 4000; n += 37) {
        memset(word, 'x', n);
        if (n > 1500)
            memset(word + n / 3, ' ', n / 3);
        lmail_mime_writer w;
        lmail_mime_writer_init(&w, out, 65536);
        ck_assert_int_eq(lmail_mime_text_write(&w, LMAIL_STR("Subject"), (lmail_str){word, n}),
                         LMAIL_OK);
        size_t column = 0;
        for (size_t i = 0; i < w.made; i++) {
            column = out[i] == '\n' ? 0 : column + 1;
            ck_assert_uint_le(column, 999); /* CR counted */
        }
        lmail_status st = lmail_mime_value_write(&w, LMAIL_STR("X"), (lmail_str){word, n});
        ck_assert_int_eq(st, n > 900 ? LMAIL_ERR_LIMIT : LMAIL_OK);
    }
    free(word);
    free(out);
}
END_TEST

START_TEST(a_boundary_avoids_what_it_encloses)
{
    char prefix[LMAIL_MIME_BOUNDARY_PREFIX], boundary[LMAIL_MIME_BOUNDARY_PREFIX + 1];
    lmail_mime_boundary_prefix(LMAIL_STR("19971121155506.3fA@mx.example"), prefix);
    lmail_mime_scan s = {.prefix = {prefix, sizeof prefix}};
    char line[64];
    /* Not at a line's start: it takes nothing. */
    memcpy(line, "x--", 3);
    memcpy(line + 3, prefix, sizeof prefix);
    memcpy(line + 3 + sizeof prefix, "0\r\n", 3);
    lmail_mime_scan_feed(&s, (lmail_str){line, 6 + sizeof prefix});
    ck_assert_uint_eq(s.taken[0], 0);
    for (unsigned i = 0; i < 64; i++) {
        ck_assert_int_eq(lmail_mime_boundary_write(s.prefix, s.taken[0], boundary), LMAIL_OK);
        memcpy(line, "--", 2);
        memcpy(line + 2, boundary, sizeof boundary);
        memcpy(line + 2 + sizeof boundary, "\r\n", 2);
        for (size_t at = 0; at < 4 + sizeof boundary; at++)
            lmail_mime_scan_feed(&s, (lmail_str){line + at, 1});
        ck_assert_uint_eq(s.taken[0], i == 63 ? UINT64_MAX : (UINT64_C(1) << (i + 1)) - 1);
    }
    ck_assert_int_eq(lmail_mime_boundary_write(s.prefix, s.taken[0], boundary), LMAIL_ERR_EXISTS);
}
END_TEST

typedef struct scan_case {
    const char *text;
    size_t len;
    unsigned allow_8bit;
    lmail_mime_encoding encoding;
} scan_case;

#define SCAN(text, allow, encoding)                                                                \
    {                                                                                              \
        text, sizeof(text) - 1, allow, LMAIL_MIME_##encoding                                       \
    }
/* RFC 2045 §2.7 7bit data, §2.8 8bit data, §6.2. */
static const scan_case scans[] = {
    SCAN("", 0, 7BIT),
    SCAN("plain\r\ntext\r\n", 0, 7BIT),
    SCAN("Gr\303\274\303\237e aus der Stadt, in der alles steht", 1, 8BIT),
    SCAN("Gr\303\274\303\237e aus der Stadt, in der alles steht", 0, QUOTED_PRINTABLE),
    SCAN("\345\277\203\345\277\203", 0, BASE64),
    SCAN("bare\nline", 1, QUOTED_PRINTABLE),
    SCAN("bare\rline", 1, QUOTED_PRINTABLE),
    SCAN("the last is bare\r", 1, QUOTED_PRINTABLE),
    SCAN("one \0 in a text that is otherwise plain", 1, QUOTED_PRINTABLE),
};

START_TEST(content_decides_the_encoding)
{
    lmail_mime_scan s = {0};
    for (size_t at = 0; at < scans[_i].len; at++)
        lmail_mime_scan_feed(&s, (lmail_str){scans[_i].text + at, 1});
    ck_assert_int_eq(lmail_mime_scan_encoding(&s, scans[_i].allow_8bit), scans[_i].encoding);
}
END_TEST

START_TEST(a_long_line_is_no_7bit)
{
    char line[999];
    lmail_mime_scan s = {0};
    memset(line, 'x', sizeof line);
    lmail_mime_scan_feed(&s, (lmail_str){line, 998});
    ck_assert_int_eq(lmail_mime_scan_encoding(&s, 1), LMAIL_MIME_7BIT);
    lmail_mime_scan_feed(&s, LMAIL_STR("x"));
    ck_assert_int_eq(lmail_mime_scan_encoding(&s, 1), LMAIL_MIME_QUOTED_PRINTABLE);
}
END_TEST

/* Each encoding, octet by octet into small room, is what the decoder gives back. */
START_TEST(bodies_come_back)
{
    static const lmail_mime_encoding kinds[] = {LMAIL_MIME_7BIT, LMAIL_MIME_QUOTED_PRINTABLE,
                                                LMAIL_MIME_BASE64};
    char body[700], coded[4096], back[1024];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = i % 31 == 29 ? '\r' : i % 31 == 30 ? '\n' : (char)(i * 7 + i / 64);
    for (unsigned text = 0; text < 2; text++) {
        lmail_mime_encoder e = {.encoding = kinds[_i], .text = text};
        size_t n = 0, used = 0, made = 0;
        for (size_t at = 0; at < sizeof body; at += used) {
            lmail_str one = {body + at, 1};
            lmail_mime_encode_some(&e, one, at + 1 == sizeof body, &used, coded + n, 16, &made);
            n += made;
        }
        ck_assert_int_eq(lmail_mime_encode_some(&e, LMAIL_STR(""), 1, &used, coded + n, 16, &made),
                         LMAIL_OK);
        n += made;
        lmail_mime_decoder *d;
        ck_assert_int_eq(lmail_mime_decoder_new(&d, NULL, NULL, kinds[_i], LMAIL_STR(""),
                                                LMAIL_MIME_DECODE_OCTETS),
                         LMAIL_OK);
        ck_assert_int_eq(
            lmail_mime_decoder_feed(d, (lmail_str){coded, n}, 1, &used, back, sizeof back, &made),
            LMAIL_OK);
        lmail_mime_decoder_free(d);
        ck_assert_uint_eq(made, sizeof body);
        ck_assert_mem_eq(back, body, sizeof body);
        size_t column = 0;
        for (size_t i = 0; _i && i < n; i++) {
            column = coded[i] == '\n' ? 0 : column + 1;
            ck_assert_uint_le(column, 77);
        }
    }
}
END_TEST

#define LOOP(test, table) tcase_add_loop_test(tc, test, 0, sizeof table / sizeof *table)

Suite *mime_write_suite(void)
{
    Suite *suite = suite_create("mime_write");
    TCase *tc = tcase_create("fields");
    LOOP(text_is_folded_and_encoded, texts);
    LOOP(what_would_break_a_header_leaves_no_trace, bad);
    tcase_add_test(tc, names_that_no_field_has_are_refused);
    LOOP(addresses_are_quoted_as_they_need, addresses);
    tcase_add_test(tc, addresses_beyond_ascii_need_a_header_that_may_hold_them);
    tcase_add_test(tc, a_list_folds_between_addresses);
    LOOP(dates_are_those_of_the_standard, dates);
    tcase_add_test(tc, times_out_of_range_are_no_dates);
    LOOP(parameters_take_the_plainest_form, params);
    tcase_add_test(tc, ids_and_their_list);
    tcase_add_test(tc, a_full_buffer_tells_the_size_needed);
    tcase_add_test(tc, what_the_sink_says_ends_the_writer);
    tcase_add_test(tc, no_line_passes_the_limit);
    suite_add_tcase(suite, tc);
    tc = tcase_create("parts");
    tcase_add_test(tc, a_boundary_avoids_what_it_encloses);
    LOOP(content_decides_the_encoding, scans);
    tcase_add_test(tc, a_long_line_is_no_7bit);
    tcase_add_loop_test(tc, bodies_come_back, 0, 3);
    suite_add_tcase(suite, tc);
    return suite;
}
