/* base64: the strict and the tolerant decoder, and what the encoder writes. */
#include <libmail/codec.h>

#include <check.h>
#include <string.h>

Suite *codec_base64_suite(void);

static const struct {
    const char *plain, *text;
} vectors[] = {
    /* RFC 4648 §10 */
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/"},
};

START_TEST(both_ways_give_the_rfc_vectors)
{
    lmail_str plain = lmail_str_from(vectors[_i].plain);
    lmail_str text = lmail_str_from(vectors[_i].text);
    char out[32];
    size_t made;
    ck_assert_uint_eq(lmail_base64_size(plain.len), text.len);
    ck_assert_int_eq(lmail_base64_encode(plain, out, text.len, &made), LMAIL_OK);
    ck_assert_uint_eq(made, text.len);
    ck_assert_int_eq(memcmp(out, text.ptr, made), 0);
    if (text.len)
        ck_assert_int_eq(lmail_base64_encode(plain, out, text.len - 1, &made), LMAIL_ERR_LIMIT);

    ck_assert_int_eq(lmail_base64_decode(text, out, plain.len, &made), LMAIL_OK);
    ck_assert_uint_eq(made, plain.len);
    ck_assert_int_eq(memcmp(out, plain.ptr, made), 0);
    if (plain.len)
        ck_assert_int_eq(lmail_base64_decode(text, out, plain.len - 1, &made), LMAIL_ERR_LIMIT);

    ck_assert_int_eq(lmail_base64_decode(text, NULL, 0, &made), LMAIL_OK);
    ck_assert_uint_eq(made, plain.len);

    memcpy(out, text.ptr, text.len); /* in place */
    ck_assert_int_eq(lmail_base64_decode((lmail_str){out, text.len}, out, sizeof out, &made),
                     LMAIL_OK);
    ck_assert_uint_eq(made, plain.len);
    ck_assert_int_eq(memcmp(out, plain.ptr, made), 0);
}
END_TEST

static const struct {
    const char *text;
    size_t at;
} malformed[] = {
    {"Z", 1},                    /* stops too early */
    {"Zm9", 3},                  /* padding is missing: RFC 4648 §3.2 */
    {"Zm9vYg", 6},   {"Zg=", 2}, /* half a padding */
    {"=", 0},        {"====", 0},     {"Z===", 1},     {"Zg=v", 3},
    {"Zg==Zg==", 2},               /* padding in the middle */
    {"Zm8=Zm8=", 3}, {"Zh==", 1},  /* unused bits: RFC 4648 §3.5 */
    {"Zm9=", 2},     {"Zm 9v", 2}, /* foreign characters: RFC 4648 §3.3 */
    {"Zm9v\r\n", 4}, {"Zm9vZm9-", 7}, {"Zm9v*m9v", 4}, {"\xc3\xa4vv", 0},
};

START_TEST(the_strict_decoder_refuses_at_the_first_bad_octet)
{
    char out[32];
    size_t made;
    lmail_str text = lmail_str_from(malformed[_i].text);
    ck_assert_int_eq(lmail_base64_decode(text, out, sizeof out, &made), LMAIL_ERR_SYNTAX);
    ck_assert_uint_eq(made, malformed[_i].at);
    ck_assert_int_eq(lmail_base64_decode(text, NULL, 0, &made), LMAIL_ERR_SYNTAX);
}
END_TEST

START_TEST(size_reports_overflow)
{
    char c;
    size_t made;
    ck_assert_uint_eq(lmail_base64_size(SIZE_MAX), SIZE_MAX);
    ck_assert_int_eq(lmail_base64_encode((lmail_str){&c, SIZE_MAX}, &c, SIZE_MAX, &made),
                     LMAIL_ERR_LIMIT);
}
END_TEST

static const struct {
    const char *text, *plain;
    unsigned skipped;
} bodies[] = {
    {"Zm9v\r\nYmFy\r\n", "foobar", 0},
    {"Zm9vYg==\r\n", "foob", 0},
    {"Zm9vYg", "foob", 0},         /* truncated: the rest counts */
    {"Zm9vY", "foo", 0},           /* six bits are no octet */
    {"Zg==Zm8=Zm9v", "ffofoo", 0}, /* pieces that were encoded one by one */
    {"Z!m*9-v", "foo", 3},
    {"====", "", 0},
    {"Z=m9v", "\x9b\xdb", 0},
};

/* Decode with pieces of `step` octets in and `cap` octets out. */
static size_t decode(const char *text, size_t step, size_t cap, char *out, uint64_t *skipped)
{
    lmail_base64_decoder d = {0, 0, 0};
    size_t len = strlen(text);
    size_t at = 0;
    size_t total = 0;
    for (;;) {
        size_t n = len - at < step ? len - at : step;
        size_t used;
        size_t made;
        lmail_status st = lmail_base64_decode_some(&d, (lmail_str){text + at, n}, at + n == len,
                                                   &used, out + total, cap, &made);
        ck_assert_uint_le(made, cap);
        at += used;
        total += made;
        if (st == LMAIL_OK && at == len)
            break;
        ck_assert(st == LMAIL_OK || st == LMAIL_MORE);
    }
    *skipped = d.skipped;
    return total;
}

START_TEST(the_body_decoder_takes_what_comes_at_any_split)
{
    for (size_t step = 1; step < 16; step++) {
        for (size_t cap = 3; cap < 16; cap++) {
            char out[64];
            uint64_t skipped;
            size_t n = decode(bodies[_i].text, step, cap, out, &skipped);
            ck_assert_uint_eq(n, strlen(bodies[_i].plain));
            ck_assert_int_eq(memcmp(out, bodies[_i].plain, n), 0);
            ck_assert_uint_eq(skipped, bodies[_i].skipped);
        }
    }
}
END_TEST

Suite *codec_base64_suite(void)
{
    Suite *suite = suite_create("codec_base64");
    TCase *tc = tcase_create("strict");
    tcase_add_loop_test(tc, both_ways_give_the_rfc_vectors, 0, sizeof vectors / sizeof *vectors);
    tcase_add_loop_test(tc, the_strict_decoder_refuses_at_the_first_bad_octet, 0,
                        sizeof malformed / sizeof *malformed);
    tcase_add_test(tc, size_reports_overflow);
    suite_add_tcase(suite, tc);
    tc = tcase_create("tolerant");
    tcase_add_loop_test(tc, the_body_decoder_takes_what_comes_at_any_split, 0,
                        sizeof bodies / sizeof *bodies);
    suite_add_tcase(suite, tc);
    return suite;
}
