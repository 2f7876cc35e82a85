/* lmail_env as libmail-host fills it. */
#include <libmail/host/env.h>

#include <check.h>
#include <string.h>
#include <time.h>

typedef lmail_status text_fn(void *ctx, lmail_str in, char *out, size_t cap, size_t *made);

static void expect_text(text_fn *fn, const char *in, lmail_status st, const char *out)
{
    char got[512];
    size_t made = 0;
    ck_assert_msg(fn(NULL, lmail_str_from(in), got, sizeof(got), &made) == st, "%s", in);
    if (!st)
        ck_assert_msg(made == strlen(out) && !memcmp(got, out, made), "%s: %.*s", in, (int)made,
                      got);
}

/* Convert in pieces of `step` octets into a buffer of `cap`. */
static lmail_status convert(const lmail_env *env, const char *charset, lmail_str in, size_t step,
                            size_t cap, char *out, size_t *len)
{
    void *c = env->charset_open(env->ctx, lmail_str_from(charset));
    size_t from = 0, to = 0;
    *len = 0;
    if (!c)
        return LMAIL_ERR_UNSUPPORTED;
    for (int guard = 0; guard < 10000; guard++) {
        size_t used, made;
        if (to < in.len)
            to = to + step < in.len ? to + step : in.len;
        int end = to == in.len;
        lmail_status st = env->charset_convert(env->ctx, c, (lmail_str){in.ptr + from, to - from},
                                               end, &used, out + *len, cap, &made);
        ck_assert_uint_le(made, cap);
        from += used;
        *len += made;
        if (end && st == LMAIL_OK && from == in.len)
            break;
    }
    env->charset_close(env->ctx, c);
    return LMAIL_OK;
}

START_TEST(test_charsets)
{
    static const struct {
        const char *charset, *in, *out; /* out NULL: unknown charset */
    } rows[] = {{"iso-8859-1", "caf\xe9", "café"},
                {"windows-1251", "\xcf\xf0\xe8", "При"},
                {"ISO-2022-JP", "\x1b$B$3$s\x1b(B!", "こん!"},
                {"shift_jis", "\x82\xb1\x82\xf1", "こん"},
                {"gb18030", "\xc4\xe3", "你"},
                {"utf-8",
                 "a\xff"
                 "b",
                 "a\xef\xbf\xbd"
                 "b"},
                {"utf-8", "a\xe3\x81", "a\xef\xbf\xbd"},
                {"UTF-7", "+AOk-", "é"},
                {"no-such-charset", "", NULL},
                {"../../etc/x", "", NULL},
                {"UTF-8//TRANSLIT", "", NULL},
                {"", "", NULL}};
    lmail_env env;
    lmail_host_env(&env);
    ck_assert_uint_eq(env.size, sizeof(env));
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        for (size_t step = 1; step < 20; step += 3)
            for (size_t cap = 8; cap < 64; cap += 20) {
                char got[4096];
                size_t len;
                lmail_status st = convert(&env, rows[i].charset, lmail_str_from(rows[i].in), step,
                                          cap, got, &len);
                ck_assert_msg(st == (rows[i].out ? LMAIL_OK : LMAIL_ERR_UNSUPPORTED), "%s",
                              rows[i].charset);
                if (!st)
                    ck_assert_msg(len == strlen(rows[i].out) && !memcmp(got, rows[i].out, len),
                                  "%s: %.*s", rows[i].charset, (int)len, got);
            }
}
END_TEST

START_TEST(test_fold)
{
    lmail_env env;
    lmail_host_env(&env);
    expect_text(env.fold, "Hello", LMAIL_OK, "HELLO");
    expect_text(env.fold, "straße", LMAIL_OK, "STRAẞE"); /* one to one, as RFC 5051 has it */
    expect_text(env.fold, "é", LMAIL_OK, "E\xcc\x81");
    expect_text(env.fold, "e\xcc\x81", LMAIL_OK, "E\xcc\x81");
    expect_text(env.fold, "ﬁ", LMAIL_OK, "fi");
    expect_text(env.fold, "я", LMAIL_OK, "Я");
    expect_text(env.fold, "a\xff", LMAIL_OK, "A\xef\xbf\xbd");
    expect_text(env.fold, "\xef\xb7\xba", LMAIL_OK, "\xef\xb7\xba"); /* too long to decompose */
    expect_text(env.fold, "", LMAIL_OK, "");
    /* Four times and 32 is enough for every code point, many times over. */
    for (unsigned c = 0x80; c < 0x110000; c += 7) {
        char in[4 * 8], out[4 * sizeof(in) + 32];
        size_t n = 0, made;
        for (int i = 0; i < 8; i++) {
            if (c < 0x800) {
                in[n++] = (char)(0xc0 | c >> 6);
            } else if (c < 0x10000) {
                in[n++] = (char)(0xe0 | c >> 12);
                in[n++] = (char)(0x80 | (c >> 6 & 63));
            } else {
                in[n++] = (char)(0xf0 | c >> 18);
                in[n++] = (char)(0x80 | (c >> 12 & 63));
                in[n++] = (char)(0x80 | (c >> 6 & 63));
            }
            in[n++] = (char)(0x80 | (c & 63));
        }
        ck_assert_int_eq(env.fold(NULL, (lmail_str){in, n}, out, 4 * n + 32, &made), LMAIL_OK);
    }
    char out[3];
    size_t made;
    ck_assert_int_eq(env.fold(NULL, LMAIL_STR("abcd"), out, 3, &made), LMAIL_ERR_LIMIT);
}
END_TEST

START_TEST(test_nfc)
{
    lmail_env env;
    lmail_host_env(&env);
    expect_text(env.nfc, "e\xcc\x81", LMAIL_OK, "é");
    expect_text(env.nfc, "Entwürfe", LMAIL_OK, "Entwürfe");
    expect_text(env.nfc, "ﬁ", LMAIL_OK, "ﬁ"); /* canonical only */
    expect_text(env.nfc, "", LMAIL_OK, "");
    expect_text(env.nfc, "a\xff", LMAIL_ERR_SYNTAX, NULL);
}
END_TEST

START_TEST(test_idna)
{
    lmail_env env;
    lmail_host_env(&env);
    expect_text(env.idna, "Example.ORG", LMAIL_OK, "example.org");
    expect_text(env.idna, "bücher.example", LMAIL_OK, "xn--bcher-kva.example");
    expect_text(env.idna, "BÜCHER.example", LMAIL_OK, "xn--bcher-kva.example");
    expect_text(env.idna, "faß.de", LMAIL_OK, "xn--fa-hia.de");
    expect_text(env.idna, "_dmarc.example.org", LMAIL_OK, "_dmarc.example.org");
    expect_text(env.idna, "", LMAIL_ERR_SYNTAX, NULL);
    expect_text(env.idna, "a\xff.org", LMAIL_ERR_SYNTAX, NULL);
    expect_text(env.idna,
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.org",
                LMAIL_ERR_SYNTAX, NULL);
}
END_TEST

START_TEST(test_random_and_clock)
{
    lmail_env env;
    unsigned char a[64] = {0}, b[64] = {0};
    int offset = 9999;
    lmail_host_env(&env);
    ck_assert_int_eq(env.random(NULL, a, sizeof(a)), LMAIL_OK);
    ck_assert_int_eq(env.random(NULL, b, sizeof(b)), LMAIL_OK);
    ck_assert_mem_ne(a, b, sizeof(a));
    int64_t now = env.wall_clock(NULL, &offset);
    ck_assert_int_ge(now, 1700000000);
    ck_assert_int_le(now - time(NULL), 1);
    ck_assert_int_le(offset, 14 * 60);
}
END_TEST

Suite *net_env_suite(void)
{
    Suite *s = suite_create("net_env");
    TCase *t = tcase_create("env");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_charsets);
    tcase_add_test(t, test_fold);
    tcase_add_test(t, test_nfc);
    tcase_add_test(t, test_idna);
    tcase_add_test(t, test_random_and_clock);
    suite_add_tcase(s, t);
    return s;
}
