/* Messages of 8 bits made ones of 7: what is encoded, what is named anew, what cannot be. */
#include <libmail/mime_downgrade.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "count_alloc.h"
#include "downgrade_check.h"

#define TEXT "Content-Type: text/plain; charset=utf-8\r\n"
#define EIGHT "Content-Transfer-Encoding: 8bit\r\n"
#define QP "Content-Transfer-Encoding: quoted-printable\r\n"
#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n"
#define V "MIME-Version: 1.0\r\n"
#define SIGNED "Content-Type: multipart/signed; boundary=s; protocol=\"a/b\"; micalg=c\r\n"

/* At every split the same. */
static void expect(const char *in, lmail_status status, const char *out)
{
    const lmail_str message = lmail_str_from(in);
    for (size_t piece = 0; piece <= message.len; piece++) {
        downgrade_result r = downgrade_run(message, piece);
        ck_assert_msg(r.status == status, "{%s}: %s", in, lmail_status_name(r.status));
        if (!status) {
            ck_assert_msg(strcmp(r.octets, out) == 0, "{%s} became {%s}", in, r.octets);
            const char *wrong = downgrade_wrong(message, (lmail_str){r.octets, r.len});
            ck_assert_msg(!wrong, "{%s}: %s", in, wrong);
        }
        free(r.octets);
        if (piece > 12 && piece < message.len - 2)
            piece = message.len - 2;
    }
}

START_TEST(bodies_are_encoded_in_their_places)
{
    static const struct row {
        const char *in, *out;
    } rows[] = {
        /* a text */
        {V TEXT EIGHT "\r\nSe\xc3\xb1or = x\r\n", V TEXT QP "\r\nSe=C3=B1or =3D x\r\n"},
        {V "content-transfer-encoding : 8BIT (c)\r\n" TEXT
           "\r\n\xc3\xb1........................\r\n",
         V TEXT QP "\r\n=C3=B1........................\r\n"},
        /* base64 where that is shorter */
        {V TEXT EIGHT "\r\n\xd0\x90\xd0\x91\xd0\x92\r\n",
         V TEXT "Content-Transfer-Encoding: base64\r\n\r\n0JDQkdCSDQo=\r\n"},
        /* no MIME at all, RFC 1428 */
        {"Subject: x\r\n\r\nSe\xf1or has more to say\r\n",
         "Subject: x\r\n" V "Content-Type: text/plain; charset=unknown-8bit\r\n" QP
         "\r\nSe=F1or has more to say\r\n"},
        {"\r\nSe\xf1or has more to say\r\n", V
         "Content-Type: text/plain; charset=unknown-8bit\r\n" QP "\r\nSe=F1or has more to say\r\n"},
        /* labelled without MIME-Version */
        {TEXT EIGHT "\r\nSe\xc3\xb1or says this\r\n", TEXT V QP "\r\nSe=C3=B1or says this\r\n"},
        /* one part of a multipart; what is labelled 8bit and is not is named as it is */
        {V MIXED EIGHT "\r\npre\xc3\xb1\r\n--b\r\n" TEXT EIGHT
                       "\r\nSe\xc3\xb1or says this\r\n--b\r\n" TEXT EIGHT
                       "\r\nplain\r\n--b\r\n\r\nbare but \xf1 here\r\n--b\r\nContent-Type: a/b\r\n"
                       "Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\nepi\xf1\r\n",
         V MIXED "Content-Transfer-Encoding: 7bit\r\n\r\npre??\r\n--b\r\n" TEXT QP
                 "\r\nSe=C3=B1or says this\r\n--b\r\n" TEXT
                 "Content-Transfer-Encoding: 7bit\r\n\r\nplain\r\n--b\r\n"
                 "Content-Type: text/plain; charset=unknown-8bit\r\n" QP
                 "\r\nbare but =F1 here\r\n--b\r\nContent-Type: a/b\r\n"
                 "Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\nepi?\r\n"},
        /* a message inside, with one more inside */
        {V MIXED "\r\n--b\r\nContent-Type: message/rfc822\r\n" EIGHT
                 "\r\nSubject: in\r\n\r\nSe\xf1or has more to say\r\n"
                 "--b--\r\n",
         V MIXED
         "\r\n--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
         "Subject: in\r\n" V "Content-Type: text/plain; charset=unknown-8bit\r\n" QP
         "\r\nSe=F1or has more to say\r\n--b--\r\n"},
        /* what is encoded and broken is encoded anew */
        {V TEXT QP "\r\n=41\xc3\xb1 and some more text\r\n",
         V TEXT QP "\r\nA=C3=B1 and some more text\r\n"},
        /* signed parts pass when they are clean */
        {V MIXED "\r\n--b\r\n" SIGNED "\r\n--s\r\n" TEXT EIGHT
                 "\r\nclean\r\n--s\r\nContent-Type: a/b\r\n\r\nsig\r\n--s--\r\n"
                 "--b\r\n" TEXT EIGHT "\r\nSe\xc3\xb1or says this\r\n--b--\r\n",
         V MIXED "\r\n--b\r\n" SIGNED "\r\n--s\r\n" TEXT EIGHT
                 "\r\nclean\r\n--s\r\nContent-Type: a/b\r\n\r\nsig\r\n--s--\r\n"
                 "--b\r\n" TEXT QP "\r\nSe=C3=B1or says this\r\n--b--\r\n"},
        /* not even a line end */
        {V TEXT "\r\nSe\xc3\xb1or says this", V TEXT QP "\r\nSe=C3=B1or says this=\r\n"},
        {V MIXED "\r\n--b\r\n" TEXT "\r\nSe\xc3\xb1or says this",
         V MIXED "\r\n--b\r\n" TEXT QP "\r\nSe=C3=B1or says this=\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(rows[i].in, LMAIL_OK, rows[i].out);
}
END_TEST

START_TEST(what_has_seven_bits_stays)
{
    static const char *const rows[] = {
        "",
        "\r\n",
        "Subject: x\r\n\r\nplain\r\n",
        "no header\r\n",
        V TEXT EIGHT "\r\nlabelled\r\n",
        V SIGNED "\r\n--s\r\n" TEXT "\r\nx\r\n--s--\r\n",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(rows[i], LMAIL_END, NULL);
}
END_TEST

START_TEST(what_cannot_be_done_is_told)
{
    static const char *const rows[] = {
        "Subject: Se\xf1or\r\n\r\nplain\r\n",
        "Subject: Se\xf1or",
        "Se\xf1or wrote no header\r\n",
        "rubbish\r\n\r\nSe\xf1or\r\n",
        V MIXED "\r\n--b\r\nContent-Disposition: x; filename=\"\xf1\"\r\n\r\nx\r\n--b--\r\n",
        V SIGNED "\r\n--s\r\n" TEXT EIGHT
                 "\r\nSe\xc3\xb1or\r\n--s\r\nContent-Type: a/b\r\n\r\nx\r\n--s--\r\n",
        V SIGNED "\r\n--s\r\n" TEXT "\r\nx\r\n--s--\r\nepi\xf1\r\n",
        V "Content-Type: multipart/mixed\r\n\r\nno boundary \xf1\r\n",
        V MIXED "\r\nits boundary never comes \xf1\r\n",
        V "Content-Type: message/partial; id=x; number=1; total=2\r\n\r\n\xf1\r\n",
        V "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n\xf1\r\n",
        V "Content-Type: message/rfc822\r\n\r\nSubject: \xf1\r\n\r\nx\r\n",
        V TEXT "Content-Transfer-Encoding: x-uuencode\r\n\r\n\xf1\r\n",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(rows[i], LMAIL_ERR_UNSUPPORTED, NULL);
}
END_TEST

START_TEST(binary_parts_become_base64)
{
    static const char in[] =
        V "Content-Type: a/b\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\1\n\r\xff";
    downgrade_result r = downgrade_run((lmail_str){in, sizeof in - 1}, 0);
    ck_assert_int_eq(r.status, LMAIL_OK);
    ck_assert_str_eq(r.octets, V
                     "Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEKDf8=\r\n");
    free(r.octets);
}
END_TEST

START_TEST(long_lines_are_encoded_or_folded)
{
    static char in[8000];
    size_t n = (size_t)snprintf(in, sizeof in, V "References:");
    for (int i = 0; i < 120; i++)
        n += (size_t)snprintf(in + n, sizeof in - n, " <%d@x.example>", i);
    n += (size_t)snprintf(in + n, sizeof in - n, "\r\n" TEXT "\r\n\xc3\xb1");
    memset(in + n, 'x', 1200);
    memcpy(in + n + 1200, "\r\n", 3);
    n += 1202;
    downgrade_result r = downgrade_run((lmail_str){in, n}, 7);
    ck_assert_int_eq(r.status, LMAIL_OK);
    ck_assert_ptr_null(downgrade_wrong((lmail_str){in, n}, (lmail_str){r.octets, r.len}));
    ck_assert_ptr_nonnull(strstr(r.octets, "<119@x.example>\r\n"));
    free(r.octets);
    memset(strstr(in, "<0@"), 'x', 1500); /* nothing to fold at */
    ck_assert_int_eq(downgrade_run((lmail_str){in, n}, 0).status, LMAIL_ERR_UNSUPPORTED);
}
END_TEST

static lmail_status nowhere(void *ctx, lmail_str octets)
{
    (void)octets;
    return *(lmail_status *)ctx;
}

START_TEST(failures_are_told)
{
    const lmail_str in =
        LMAIL_STR(V MIXED "\r\n--b\r\n" TEXT EIGHT "\r\nSe\xc3\xb1or says this\r\n--b--\r\n");
    lmail_mime_downgrade_config c = LMAIL_MIME_DOWNGRADE_CONFIG_INIT;
    lmail_mime_downgrade *d;
    lmail_status said = LMAIL_ERR_FULL;
    ck_assert_int_eq(lmail_mime_downgrade_new(&d, &c), LMAIL_ERR_ARG);
    c.sink = nowhere;
    c.ctx = &said;
    ck_assert_int_eq(lmail_mime_downgrade_new(&d, &c), LMAIL_OK);
    ck_assert_int_eq(lmail_mime_downgrade_feed(d, in), LMAIL_ERR_STATE);
    ck_assert_int_eq(lmail_mime_downgrade_look(d, in), LMAIL_OK);
    ck_assert_int_eq(lmail_mime_downgrade_look_end(d), LMAIL_OK);
    ck_assert_int_eq(lmail_mime_downgrade_look(d, in), LMAIL_ERR_STATE);
    ck_assert_int_eq(lmail_mime_downgrade_feed(d, in), LMAIL_ERR_FULL);
    ck_assert_int_eq(lmail_mime_downgrade_end(d), LMAIL_ERR_FULL);
    lmail_mime_downgrade_free(d);
    said = LMAIL_OK;
    ck_assert_int_eq(lmail_mime_downgrade_new(&d, &c), LMAIL_OK);
    ck_assert_int_eq(lmail_mime_downgrade_look(d, in), LMAIL_OK);
    ck_assert_int_eq(lmail_mime_downgrade_look_end(d), LMAIL_OK);
    ck_assert_int_eq(lmail_mime_downgrade_feed(d, LMAIL_STR("Subject: another\r\n")), LMAIL_OK);
    ck_assert_int_eq(lmail_mime_downgrade_end(d), LMAIL_ERR_CORRUPT);
    lmail_mime_downgrade_free(d);
    for (size_t fail = 1;; fail++) {
        count_alloc counts = {.fail_at = fail};
        c.alloc = count_alloc_table(&counts);
        lmail_status st = lmail_mime_downgrade_new(&d, &c);
        if (!st)
            st = lmail_mime_downgrade_look(d, in);
        if (!st)
            st = lmail_mime_downgrade_look_end(d);
        if (!st)
            st = lmail_mime_downgrade_feed(d, in);
        if (!st)
            st = lmail_mime_downgrade_end(d);
        lmail_mime_downgrade_free(d);
        ck_assert_uint_eq(counts.live, 0);
        ck_assert_uint_eq(counts.lies, 0);
        if (!st)
            break;
        ck_assert_int_eq(st, LMAIL_ERR_NOMEM);
    }
}
END_TEST

Suite *mime_downgrade_suite(void)
{
    Suite *s = suite_create("mime_downgrade");
    TCase *t = tcase_create("downgrade");
    suite_add_tcase(s, t);
    tcase_add_test(t, bodies_are_encoded_in_their_places);
    tcase_add_test(t, what_has_seven_bits_stays);
    tcase_add_test(t, what_cannot_be_done_is_told);
    tcase_add_test(t, binary_parts_become_base64);
    tcase_add_test(t, long_lines_are_encoded_or_folded);
    tcase_add_test(t, failures_are_told);
    return s;
}
