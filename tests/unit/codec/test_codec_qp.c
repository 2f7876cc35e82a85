/* quoted-printable: the tolerant decoder at every split, and the encoder. */
#include <libmail/codec.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

Suite *codec_qp_suite(void);

static const struct {
    const char *text, *plain;
} decoded[] = {
    /* RFC 2045 §6.7 */
    {"Now's the time =\r\nfor all folk to come=\r\n to the aid of their country.",
     "Now's the time for all folk to come to the aid of their country."},
    {"=41=42=43=0D=0A", "ABC\r\n"},
    {"lower =e2=82=ac", "lower \xe2\x82\xac"},
    /* rule 3: white space in front of a line end was added on the way */
    {"a  \t\r\nb \nc", "a\r\nb\nc"},
    {"soft = \t\r\nbreak", "soft break"},
    {"soft=\nbreak", "softbreak"},
    /* broken, and still read */
    {"1+1=2, =4", "1+1=2, =4"},
    {"=ZZ=4Z==41", "=ZZ=4Z=A"},
    {"end=", "end"},
    {"end=\r", "end"},
    {"tail  ", "tail"},
    {"a\rb \r c\r\r\nd", "a\rb \r c\r\r\nd"},
    {"=\rx", "=\rx"},
    {"= \t x", "= \t x"},
    {"caf\xe9", "caf\xe9"},
    {"", ""},
};

START_TEST(decoding_gives_the_same_at_every_split)
{
    lmail_str text = lmail_str_from(decoded[_i].text);
    for (size_t cut = 0; cut <= text.len; cut++) {
        for (size_t cap = 96; cap <= 200; cap += 104) {
            lmail_qp_decoder d = {0};
            char out[512];
            size_t total = 0;
            lmail_str pieces[2] = {{text.ptr, cut}, {text.ptr + cut, text.len - cut}};
            for (int i = 0; i < 2; i++) {
                lmail_status st = LMAIL_MORE;
                while (st == LMAIL_MORE) {
                    size_t used, made;
                    st =
                        lmail_qp_decode_some(&d, pieces[i], i == 1, &used, out + total, cap, &made);
                    pieces[i].ptr += used;
                    pieces[i].len -= used;
                    total += made;
                }
                ck_assert_int_eq(st, LMAIL_OK);
                ck_assert_uint_eq(pieces[i].len, 0);
            }
            ck_assert_uint_eq(total, strlen(decoded[_i].plain));
            ck_assert_int_eq(memcmp(out, decoded[_i].plain, total), 0);
        }
    }
}
END_TEST

START_TEST(white_space_longer_than_a_line_is_kept)
{
    char text[1000];
    memset(text, ' ', sizeof text);
    text[999] = 'x';
    lmail_qp_decoder d = {0};
    char out[1100];
    size_t used, made;
    ck_assert_int_eq(
        lmail_qp_decode_some(&d, (lmail_str){text, 1000}, 1, &used, out, sizeof out, &made),
        LMAIL_OK);
    ck_assert_uint_eq(made, 1000);
    ck_assert_int_eq(memcmp(out, text, made), 0);
}
END_TEST

static const struct {
    const char *plain, *text;
    int is_text;
} encoded[] = {
    {"a=b", "a=3Db", 1},
    {"caf\xc3\xa9\r\n", "caf=C3=A9\r\n", 1},
    {"caf\xc3\xa9\r\n", "caf=C3=A9=0D=0A", 0},
    {"end \r\nlast\t", "end=20\r\nlast=09", 1},
    {"bare\rcr\n", "bare=0Dcr=0A", 1},
    {"", "", 1},
    {"1234567890123456789012345678901234567890123456789012345678901234567890123456",
     "1234567890123456789012345678901234567890123456789012345678901234567890123456", 1},
    {"12345678901234567890123456789012345678901234567890123456789012345678901234567",
     "123456789012345678901234567890123456789012345678901234567890123456789012345=\r\n67", 1},
};

START_TEST(encoding_follows_the_rules)
{
    lmail_str plain = lmail_str_from(encoded[_i].plain);
    size_t want = strlen(encoded[_i].text);
    char out[256];
    size_t made;
    ck_assert_int_eq(lmail_qp_encode(plain, encoded[_i].is_text, out, sizeof out, &made), LMAIL_OK);
    ck_assert_uint_eq(made, want);
    ck_assert_int_eq(memcmp(out, encoded[_i].text, want), 0);
    if (want) {
        ck_assert_int_eq(lmail_qp_encode(plain, encoded[_i].is_text, out, want - 1, &made),
                         LMAIL_ERR_LIMIT);
        ck_assert_uint_eq(made, want);
    }
}
END_TEST

START_TEST(every_octet_comes_back)
{
    char plain[1024];
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (char)(unsigned char)(i * 7 + i / 256);
    for (int text = 0; text < 2; text++) {
        char out[4 * sizeof plain + 4], back[sizeof plain + 128];
        size_t made, used, got;
        ck_assert_int_eq(
            lmail_qp_encode((lmail_str){plain, sizeof plain}, text, out, sizeof out, &made),
            LMAIL_OK);
        for (size_t at = 0, column = 0; at < made; at++) {
            column = out[at] == '\n' ? 0 : column + 1;
            ck_assert_uint_le(column, 77); /* 76 and the CR */
        }
        lmail_qp_decoder d = {0};
        ck_assert_int_eq(
            lmail_qp_decode_some(&d, (lmail_str){out, made}, 1, &used, back, sizeof back, &got),
            LMAIL_OK);
        ck_assert_uint_eq(got, sizeof plain);
        ck_assert_int_eq(memcmp(back, plain, got), 0);
    }
}
END_TEST

Suite *codec_qp_suite(void)
{
    Suite *suite = suite_create("codec_qp");
    TCase *tc = tcase_create("quoted-printable");
    tcase_add_loop_test(tc, decoding_gives_the_same_at_every_split, 0,
                        sizeof decoded / sizeof *decoded);
    tcase_add_test(tc, white_space_longer_than_a_line_is_kept);
    tcase_add_loop_test(tc, encoding_follows_the_rules, 0, sizeof encoded / sizeof *encoded);
    tcase_add_test(tc, every_octet_comes_back);
    suite_add_tcase(suite, tc);
    return suite;
}
