/* Bodies decoded in pieces, and searches in messages that stream by. */
#include <libmail/mime.h>

#include <check.h>
#include <string.h>

#include "count_alloc.h"

Suite *mime_match_suite(void);

static const struct {
    lmail_mime_encoding encoding;
    const char *charset, *body, *text;
} bodies[] = {
    {LMAIL_MIME_7BIT, "us-ascii", "plain\r\n", "plain\r\n"},
    {LMAIL_MIME_8BIT, "utf-8", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
     "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
    {LMAIL_MIME_8BIT, "ISO-8859-1", "caf\xe9", "caf\xc3\xa9"},
    {LMAIL_MIME_8BIT, "", "bad \xe2\x82 \xff", "bad \xef\xbf\xbd \xef\xbf\xbd"},
    {LMAIL_MIME_8BIT, "utf-8", "cut \xe2\x82", "cut \xef\xbf\xbd"},
    {LMAIL_MIME_QUOTED_PRINTABLE, "iso-8859-1", "caf=E9 =\r\n au lait  \r\n",
     "caf\xc3\xa9  au lait\r\n"},
    {LMAIL_MIME_BASE64, "utf-8", "Y2Fm\r\nw6k=\r\n", "caf\xc3\xa9"},
    {LMAIL_MIME_BASE64, "utf-8", "", ""},
};

START_TEST(bodies_decode_the_same_at_every_split)
{
    lmail_str body = lmail_str_from(bodies[_i].body);
    size_t want = strlen(bodies[_i].text);
    for (size_t cut = 0; cut <= body.len; cut++) {
        lmail_mime_decoder *d;
        char out[128];
        size_t total = 0;
        lmail_str pieces[2] = {{body.ptr, cut}, {body.ptr + cut, body.len - cut}};
        ck_assert_int_eq(lmail_mime_decoder_new(&d, NULL, NULL, bodies[_i].encoding,
                                                lmail_str_from(bodies[_i].charset), 0),
                         LMAIL_OK);
        for (int i = 0; i < 2; i++) {
            lmail_status st = LMAIL_MORE;
            while (st == LMAIL_MORE) {
                size_t used, made;
                st = lmail_mime_decoder_feed(d, pieces[i], i == 1, &used, out + total, 16, &made);
                pieces[i].ptr += used;
                pieces[i].len -= used;
                total += made;
            }
        }
        ck_assert_uint_eq(total, want);
        ck_assert_int_eq(memcmp(out, bodies[_i].text, want), 0);
        lmail_mime_decoder_free(d);
    }
}
END_TEST

START_TEST(an_unknown_encoding_is_refused)
{
    lmail_mime_decoder *d;
    ck_assert_int_eq(
        lmail_mime_decoder_new(&d, NULL, NULL, LMAIL_MIME_ENCODING_UNKNOWN, LMAIL_STR(""), 0),
        LMAIL_ERR_UNSUPPORTED);
    ck_assert_ptr_null(d);
    lmail_mime_decoder_free(NULL);
}
END_TEST

static const char mail[] = "From: =?iso-8859-1?q?J=F6rg?= <j@example.net>\r\n"
                           "Subject: A very\r\n long story\r\n"
                           "X-Empty:\r\n"
                           "Content-Type: multipart/mixed; boundary=b\r\n"
                           "\r\n"
                           "Preamble words\r\n"
                           "--b\r\n"
                           "Content-Type: text/plain; charset=iso-8859-1\r\n"
                           "Content-Transfer-Encoding: quoted-printable\r\n"
                           "Content-Description: outer part\r\n"
                           "\r\n"
                           "Sch=F6ne Gr=\r\n=FC=DFe aabaabaac\r\n"
                           "--b\r\n"
                           "Content-Type: message/rfc822\r\n"
                           "\r\n"
                           "Subject: inner subject\r\n"
                           "Content-Transfer-Encoding: base64\r\n"
                           "\r\n"
                           "aGlkZGVuIHRyZWFzdXJl\r\n"
                           "--b\r\n"
                           "Content-Type: application/octet-stream\r\n"
                           "\r\n"
                           "binary stuff\r\n"
                           "--b--\r\n";

static const struct {
    lmail_search_op op;
    const char *field, *text;
    int found;
} keys[] = {
    {LMAIL_SEARCH_HEADER, "from", "J\xc3\xb6RG", 1}, /* ASCII fold: only the ASCII letters */
    {LMAIL_SEARCH_HEADER, "FROM", "example.net", 1},
    {LMAIL_SEARCH_HEADER, "subject", "very long", 1},
    {LMAIL_SEARCH_HEADER, "subject", "inner", 0},
    {LMAIL_SEARCH_HEADER, "x-empty", "", 1},
    {LMAIL_SEARCH_HEADER, "x-none", "", 0},
    {LMAIL_SEARCH_HEADER, "x-empty", "x", 0},
    {LMAIL_SEARCH_BODY, "",
     "sch\xc3\xb6ne gr\xc3\xbc\xc3\x9f"
     "e",
     1},
    {LMAIL_SEARCH_BODY, "", "aabaac", 1},
    {LMAIL_SEARCH_BODY, "", "aabaabaabaac", 0},
    {LMAIL_SEARCH_BODY, "", "hidden TREASURE", 1},
    {LMAIL_SEARCH_BODY, "", "inner subject", 0},
    {LMAIL_SEARCH_BODY, "", "binary", 0},
    {LMAIL_SEARCH_BODY, "", "e\r\naabaabaachidden", 0}, /* no match over two parts */
    {LMAIL_SEARCH_BODY, "", "", 1},
    {LMAIL_SEARCH_TEXT, "", "subject: inner", 1},
    {LMAIL_SEARCH_TEXT, "", "outer part", 1},
    {LMAIL_SEARCH_TEXT, "", "long story", 1},
    {LMAIL_SEARCH_TEXT, "", "storyx-empty", 0},
    {LMAIL_SEARCH_TEXT, "", "treasure", 1},
    {LMAIL_SEARCH_TEXT, "", "nowhere", 0},
};
#define KEYS (sizeof keys / sizeof *keys)

/* One tree with all keys, half of them below a NOT. */
static const lmail_search *make_tree(lmail_search *nodes)
{
    memset(nodes, 0, (KEYS + 1) * sizeof *nodes);
    lmail_search *not_node = &nodes[KEYS];
    not_node->op = LMAIL_SEARCH_NOT;
    for (size_t i = 0; i < KEYS; i++) {
        nodes[i].op = keys[i].op;
        nodes[i].field = lmail_str_from(keys[i].field);
        nodes[i].text = lmail_str_from(keys[i].text);
        if (i + 1 < KEYS && i + 1 != KEYS / 2)
            nodes[i].next = &nodes[i + 1];
    }
    not_node->child = &nodes[KEYS / 2];
    nodes[KEYS / 2 - 1].next = not_node;
    return nodes;
}

static lmail_status run(lmail_mime_matcher *m, size_t cut, size_t piece)
{
    lmail_str in = lmail_str_from(mail);
    lmail_status st = LMAIL_OK;
    lmail_mime_matcher_reset(m);
    while (in.len && !st) {
        size_t n = cut ? cut : piece;
        if (n > in.len)
            n = in.len;
        cut = 0;
        st = lmail_mime_matcher_feed(m, (lmail_str){in.ptr, n});
        in.ptr += n;
        in.len -= n;
    }
    return st < 0 ? st : lmail_mime_matcher_end(m);
}

START_TEST(keys_match_at_every_split)
{
    lmail_search nodes[KEYS + 1];
    lmail_mime_config config = LMAIL_MIME_CONFIG_INIT;
    lmail_mime_matcher *m;
    ck_assert_int_eq(lmail_mime_matcher_new(&m, &config, make_tree(nodes)), LMAIL_OK);
    ck_assert_uint_eq(lmail_mime_matcher_needs(m), LMAIL_MIME_MATCH_ALL);
    for (size_t cut = 1; cut < sizeof mail; cut++) {
        ck_assert_int_eq(run(m, cut, cut % 2 ? sizeof mail : cut % 5 + 1), LMAIL_OK);
        for (size_t i = 0; i < KEYS; i++) {
            if (lmail_mime_matcher_result(m, &nodes[i]) != keys[i].found)
                ck_abort_msg("key %zu (%s), cut at %zu", i, keys[i].text, cut);
        }
        ck_assert_int_eq(lmail_mime_matcher_result(m, &nodes[KEYS]), 0);
    }
    lmail_mime_matcher_free(m);
}
END_TEST

START_TEST(reading_stops_when_nothing_can_change)
{
    lmail_search key = {0};
    lmail_mime_config config = LMAIL_MIME_CONFIG_INIT;
    lmail_mime_matcher *m;
    key.op = LMAIL_SEARCH_HEADER;
    key.field = LMAIL_STR("subject");
    key.text = LMAIL_STR("x");
    ck_assert_int_eq(lmail_mime_matcher_new(&m, &config, &key), LMAIL_OK);
    ck_assert_uint_eq(lmail_mime_matcher_needs(m), LMAIL_MIME_MATCH_HEADER);
    ck_assert_int_eq(lmail_mime_matcher_feed(m, LMAIL_STR("Subject: y\r\n")), LMAIL_OK);
    ck_assert_int_eq(lmail_mime_matcher_feed(m, LMAIL_STR("\r\n")), LMAIL_END);
    ck_assert_int_eq(lmail_mime_matcher_end(m), LMAIL_OK);
    ck_assert_int_eq(lmail_mime_matcher_result(m, &key), 0);
    lmail_mime_matcher_free(m);

    key.op = LMAIL_SEARCH_TEXT;
    ck_assert_int_eq(lmail_mime_matcher_new(&m, &config, &key), LMAIL_OK);
    ck_assert_int_eq(lmail_mime_matcher_feed(m, LMAIL_STR("\r\na b")), LMAIL_OK);
    ck_assert_int_eq(lmail_mime_matcher_feed(m, LMAIL_STR("x")), LMAIL_OK);
    ck_assert_int_eq(lmail_mime_matcher_end(m), LMAIL_OK);
    ck_assert_int_eq(lmail_mime_matcher_result(m, &key), 1);
    lmail_mime_matcher_free(m);

    key.op = LMAIL_SEARCH_ALL;
    ck_assert_int_eq(lmail_mime_matcher_new(&m, &config, &key), LMAIL_OK);
    ck_assert_uint_eq(lmail_mime_matcher_needs(m), LMAIL_MIME_MATCH_NOTHING);
    ck_assert_int_eq(lmail_mime_matcher_feed(m, LMAIL_STR("x")), LMAIL_END);
    lmail_mime_matcher_free(m);
}
END_TEST

START_TEST(a_long_text_is_found_across_pieces)
{
    /* longer than the matcher's own pieces, and without an ASCII octet to cut at */
    static char text[40000];
    lmail_search key = {0};
    lmail_mime_config config = LMAIL_MIME_CONFIG_INIT;
    lmail_mime_matcher *m;
    for (size_t i = 0; i + 3 <= sizeof text; i += 3)
        memcpy(text + i, i % 7 ? "\xe6\x97\xa5" : "\xe6\x9c\xac", 3);
    key.op = LMAIL_SEARCH_BODY;
    key.text = (lmail_str){text + 3000, 30000};
    ck_assert_int_eq(lmail_mime_matcher_new(&m, &config, &key), LMAIL_OK);
    ck_assert_int_ge(lmail_mime_matcher_feed(m, LMAIL_STR("\r\n")), 0);
    ck_assert_int_ge(lmail_mime_matcher_feed(m, (lmail_str){text, 39999}), 0);
    ck_assert_int_eq(lmail_mime_matcher_end(m), LMAIL_OK);
    ck_assert_int_eq(lmail_mime_matcher_result(m, &key), 1);
    lmail_mime_matcher_free(m);
}
END_TEST

/* Sharp s becomes "ss", capital umlauts small ones, ASCII small. */
static lmail_status toy_fold(void *ctx, lmail_str in, char *out, size_t cap, size_t *made)
{
    (void)ctx;
    size_t n = 0;
    for (size_t i = 0; i < in.len && n + 2 <= cap; i++) {
        char c = in.ptr[i];
        if (c == '\xc3' && i + 1 < in.len && in.ptr[i + 1] == '\x9f') {
            out[n++] = 's';
            c = 's';
            i++;
        } else if (c >= 'A' && c <= 'Z') {
            c = (char)(c + 32);
        } else if (i && in.ptr[i - 1] == '\xc3' && (c == '\x84' || c == '\x96' || c == '\x9c')) {
            c = (char)(c + 0x20);
        }
        out[n++] = c;
    }
    *made = n;
    return LMAIL_OK;
}

START_TEST(both_sides_are_folded_by_the_environment)
{
    lmail_search nodes[3];
    lmail_env env = LMAIL_ENV_INIT;
    lmail_mime_config config = LMAIL_MIME_CONFIG_INIT;
    lmail_mime_matcher *m;
    memset(nodes, 0, sizeof nodes);
    env.fold = toy_fold;
    config.env = &env;
    nodes[0].op = nodes[1].op = LMAIL_SEARCH_BODY;
    nodes[2].op = LMAIL_SEARCH_HEADER;
    nodes[2].field = LMAIL_STR("from");
    nodes[0].next = &nodes[1];
    nodes[1].next = &nodes[2];
    nodes[0].text = LMAIL_STR("GR\xc3\x9cSSE");
    nodes[1].text = LMAIL_STR("gruesse");
    nodes[2].text = LMAIL_STR("J\xc3\x96RG");
    ck_assert_int_eq(lmail_mime_matcher_new(&m, &config, nodes), LMAIL_OK);
    for (size_t piece = 1; piece < 40; piece++) {
        ck_assert_int_eq(run(m, 0, piece), LMAIL_OK);
        ck_assert_int_eq(lmail_mime_matcher_result(m, &nodes[0]), 1);
        ck_assert_int_eq(lmail_mime_matcher_result(m, &nodes[1]), 0);
        ck_assert_int_eq(lmail_mime_matcher_result(m, &nodes[2]), 1);
    }
    lmail_mime_matcher_free(m);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    lmail_search nodes[KEYS + 1];
    make_tree(nodes);
    for (size_t fail = 1;; fail++) {
        count_alloc heap = {0};
        lmail_mime_config config = LMAIL_MIME_CONFIG_INIT;
        lmail_mime_matcher *m = NULL;
        heap.fail_at = fail;
        config.alloc = count_alloc_table(&heap);
        lmail_status st = lmail_mime_matcher_new(&m, &config, nodes);
        if (!st)
            st = run(m, 0, 1000);
        if (st)
            ck_assert_int_eq(st, LMAIL_ERR_NOMEM);
        lmail_mime_matcher_free(m);
        ck_assert_uint_eq(heap.live, 0);
        ck_assert_uint_eq(heap.lies, 0);
        if (!heap.failed)
            break;
    }
}
END_TEST

Suite *mime_match_suite(void)
{
    Suite *suite = suite_create("mime_match");
    TCase *tc = tcase_create("bodies and searches");
    tcase_add_loop_test(tc, bodies_decode_the_same_at_every_split, 0,
                        sizeof bodies / sizeof *bodies);
    tcase_add_test(tc, an_unknown_encoding_is_refused);
    tcase_add_test(tc, keys_match_at_every_split);
    tcase_add_test(tc, reading_stops_when_nothing_can_change);
    tcase_add_test(tc, a_long_text_is_found_across_pieces);
    tcase_add_test(tc, both_sides_are_folded_by_the_environment);
    tcase_add_test(tc, every_allocation_may_fail);
    suite_add_tcase(suite, tc);
    return suite;
}
