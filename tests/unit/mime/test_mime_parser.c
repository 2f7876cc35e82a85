/* Messages to parts, ENVELOPE, BODYSTRUCTURE and preview: whole, at every split, octet by octet,
 * with LF.
 *
 * The messages stand here with LF; they are parsed in their CRLF form. */
#include <libmail/mime.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "count_alloc.h"

Suite *mime_parser_suite(void);

#define NO_DATES "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"

/* RFC 2049 appendix A, shortened in its prose. */
static const char complex_mail[] = "MIME-Version: 1.0\n"
                                   "From: Nathaniel Borenstein <nsb@nsb.fv.com>\n"
                                   "To: Ned Freed <ned@innosoft.com>\n"
                                   "Date: Fri, 07 Oct 1994 16:15:05 -0700 (PDT)\n"
                                   "Subject: A multipart example\n"
                                   "Content-Type: multipart/mixed;\n"
                                   "              boundary=unique-boundary-1\n"
                                   "\n"
                                   "This is the preamble area of a multipart message.\n"
                                   "--unique-boundary-1\n"
                                   "\n"
                                   "  ... Some text appears here ...\n"
                                   "\n"
                                   "--unique-boundary-1\n"
                                   "Content-type: text/plain; charset=US-ASCII\n"
                                   "\n"
                                   "This could have been part of the previous part, but\n"
                                   "illustrates explicit versus implicit typing of body\n"
                                   "parts.\n"
                                   "\n"
                                   "--unique-boundary-1\n"
                                   "Content-Type: multipart/parallel; boundary=unique-boundary-2\n"
                                   "\n"
                                   "--unique-boundary-2\n"
                                   "Content-Type: audio/basic\n"
                                   "Content-Transfer-Encoding: base64\n"
                                   "\n"
                                   "  ... base64-encoded 8000 Hz single-channel\n"
                                   "      mu-law-format audio data goes here ...\n"
                                   "\n"
                                   "--unique-boundary-2\n"
                                   "Content-Type: image/jpeg\n"
                                   "Content-Transfer-Encoding: base64\n"
                                   "\n"
                                   "  ... base64-encoded image data goes here ...\n"
                                   "\n"
                                   "--unique-boundary-2--\n"
                                   "\n"
                                   "--unique-boundary-1\n"
                                   "Content-type: text/enriched\n"
                                   "\n"
                                   "This is <bold><italic>enriched.</italic></bold>\n"
                                   "\n"
                                   "--unique-boundary-1\n"
                                   "Content-Type: message/rfc822\n"
                                   "\n"
                                   "From: (mailbox in US-ASCII)\n"
                                   "To: (address in US-ASCII)\n"
                                   "Subject: (subject in US-ASCII)\n"
                                   "Content-Type: Text/plain; charset=ISO-8859-1\n"
                                   "Content-Transfer-Encoding: Quoted-printable\n"
                                   "\n"
                                   "  ... Additional text in ISO-8859-1 goes here ...\n"
                                   "\n"
                                   "--unique-boundary-1--\n";

static const struct {
    const char *mail, *envelope, *structure, *preview;
} mails[] = {
    {complex_mail,
     "(\"Fri, 07 Oct 1994 16:15:05 -0700 (PDT)\" \"A multipart example\" "
     "((\"Nathaniel Borenstein\" NIL \"nsb\" \"nsb.fv.com\")) "
     "((\"Nathaniel Borenstein\" NIL \"nsb\" \"nsb.fv.com\")) "
     "((\"Nathaniel Borenstein\" NIL \"nsb\" \"nsb.fv.com\")) "
     "((\"Ned Freed\" NIL \"ned\" \"innosoft.com\")) NIL NIL NIL NIL)",
     "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 34 1 NIL NIL NIL NIL)"
     "(\"text\" \"plain\" (\"charset\" \"US-ASCII\") NIL NIL \"7bit\" 114 3 NIL NIL NIL NIL)"
     "((\"audio\" \"basic\" NIL NIL NIL \"base64\" 91 NIL NIL NIL NIL)"
     "(\"image\" \"jpeg\" NIL NIL NIL \"base64\" 47 NIL NIL NIL NIL) \"parallel\" "
     "(\"boundary\" \"unique-boundary-2\") NIL NIL NIL)"
     "(\"text\" \"enriched\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 49 1 NIL NIL NIL NIL)"
     "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 232 "
     "(NIL \"(subject in US-ASCII)\" NIL NIL NIL NIL NIL NIL NIL NIL) "
     "(\"Text\" \"plain\" (\"charset\" \"ISO-8859-1\") NIL NIL \"Quoted-printable\" 51 1 NIL NIL "
     "NIL NIL) 7 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"unique-boundary-1\") NIL NIL NIL)",
     "... Some text appears here ..."},
    /* all extension fields; RFC 9051 §7.5.2 */
    {"Content-Type: text/plain; charset=utf-8; name*=utf-8''%C3%A9.txt\n"
     "Content-ID: <960723163407.20117h@cac.washington.edu>\n"
     "Content-Description: Compiler \"diff\"\n"
     "Content-Transfer-Encoding: (c) base64\n"
     "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\n"
     "Content-Disposition: attachment; filename*0=\"cc\"; filename*1=.diff\n"
     "Content-Language: en, de (German)\n"
     "Content-Location: http://example.net/cc\n"
     "\n"
     "SGVsbG8=\n",
     NO_DATES,
     "(\"text\" \"plain\" (\"charset\" \"utf-8\" \"name*\" \"utf-8''%C3%A9.txt\") "
     "\"<960723163407.20117h@cac.washington.edu>\" \"Compiler \\\"diff\\\"\" \"base64\" 10 1 "
     "\"Q2hlY2sgSW50ZWdyaXR5IQ==\" (\"attachment\" (\"filename\" \"cc.diff\")) (\"en\" \"de\") "
     "\"http://example.net/cc\")",
     ""},
    /* envelope: lists joined, groups, defaults, literals for 8 bits */
    {"From: a@b\nFrom: c@d\nReply-To: ,\nTo: G: x@y;, root\nSubject: caf\xc3\xa9\n"
     "Message-ID:\n <1@2>\nIn-Reply-To:\n\n",
     "(NIL {5}\r\ncaf\xc3\xa9 ((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")) "
     "((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")) ((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")) "
     "((NIL NIL \"G\" NIL)(NIL NIL \"x\" \"y\")(NIL NIL NIL NIL)(NIL NIL \"root\" \"\")) NIL NIL "
     "\"\" \"<1@2>\")",
     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL)", ""},
    {"", NO_DATES,
     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL)", ""},
    /* one boundary begins the other, either way round */
    {"Content-Type: multipart/mixed; boundary=ab\n\n--ab\n"
     "Content-Type: multipart/mixed; boundary=abc\n\n--abc\n\none\n--abc--\n--ab\n\ntwo\n--ab--",
     NULL,
     "(((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 0 NIL NIL NIL NIL) "
     "\"mixed\" (\"boundary\" \"abc\") NIL NIL NIL)"
     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 0 NIL NIL NIL NIL) "
     "\"mixed\" (\"boundary\" \"ab\") NIL NIL NIL)",
     "one"},
    {"Content-Type: multipart/mixed; boundary=abc\n\n--abc\n"
     "Content-Type: multipart/mixed; boundary=ab\n\n--ab\n\none\n--ab--\n--abc\n\ntwo\n--abc--",
     NULL,
     "(((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 0 NIL NIL NIL NIL) "
     "\"mixed\" (\"boundary\" \"ab\") NIL NIL NIL)"
     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 0 NIL NIL NIL NIL) "
     "\"mixed\" (\"boundary\" \"abc\") NIL NIL NIL)",
     "one"},
    /* the inner multipart is never closed; RFC 2046 §5.1.2 */
    {"Content-Type: multipart/mixed; boundary=out\n\n--out\n"
     "Content-Type: multipart/mixed; boundary=in\n\n--in\n\none\n--out\n\ntwo\n",
     NULL,
     "(((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 0 NIL NIL NIL NIL) "
     "\"mixed\" (\"boundary\" \"in\") NIL NIL NIL)"
     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 5 1 NIL NIL NIL NIL) "
     "\"mixed\" (\"boundary\" \"out\") NIL NIL NIL)",
     "one"},
    /* no boundary parameter; a boundary that never comes: one text part */
    {"Content-Type: multipart/mixed\n\nwords\n", NULL,
     "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 7 1 NIL NIL NIL NIL) "
     "\"mixed\" NIL NIL NIL NIL)",
     "words"},
    {"Content-Type: multipart/mixed; boundary=x\n\nwords\n--y\n", NULL,
     "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 12 2 NIL NIL NIL NIL) "
     "\"mixed\" (\"boundary\" \"x\") NIL NIL NIL)",
     ""},
    /* RFC 2046 §5.1.5: parts of a digest are messages */
    {"Content-Type: multipart/digest; boundary=x\n\n--x\nContent-Description: d\n\nSubject: s\n\n"
     "t\n--x--\n",
     NULL,
     "((\"message\" \"rfc822\" NIL NIL \"d\" \"7bit\" 15 "
     "(NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL) "
     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL) 2 "
     "NIL NIL NIL NIL) \"digest\" (\"boundary\" \"x\") NIL NIL NIL)",
     "t"},
    /* a message within a message within a header that is cut off by a boundary */
    {"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: message/rfc822\n\n"
     "Content-Type: message/rfc822\n--x--\n",
     NULL,
     "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 28 " NO_DATES " "
     "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0 " NO_DATES " "
     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL) 0 "
     "NIL NIL NIL NIL) 0 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"x\") NIL NIL NIL)",
     ""},
    /* base64 is no header */
    {"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeA0K\n", NULL,
     "(\"message\" \"rfc822\" NIL NIL NIL \"base64\" 18 " NO_DATES " "
     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 18 1 NIL NIL NIL NIL) 1 "
     "NIL NIL NIL NIL)",
     "U3ViamVjdDogeA0K"},
    /* broken types: RFC 2045 §5.2 */
    {"Content-Type: ;;;\nContent-Transfer-Encoding: x-uuencode\n\nx\n", NULL,
     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"x-uuencode\" 3 1 NIL NIL NIL NIL)",
     ""},
    {"Content-Type: audio\n\nx\n", NULL,
     "(\"application\" \"octet-stream\" NIL NIL NIL \"7bit\" 3 NIL NIL NIL NIL)", ""},
    /* no colon, no blank line, a boundary in the first line of a body, dashes that are none */
    {"Content-Type: multipart/mixed; boundary=\"-\"\nno field\n\n---\n---\n\n--\n- -\n-----\n",
     NULL,
     "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL)"
     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 7 1 NIL NIL NIL NIL) "
     "\"mixed\" (\"boundary\" \"-\") NIL NIL NIL)",
     "-- - -"},
    /* the same boundary twice: the inner one has it first */
    {"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/mixed; boundary=x\n"
     "\n--x\n\none\n--x--\n--x\n\ntwo\n--x--\n",
     NULL,
     "(((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 0 NIL NIL NIL NIL) "
     "\"mixed\" (\"boundary\" \"x\") NIL NIL NIL)"
     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 0 NIL NIL NIL NIL) "
     "\"mixed\" (\"boundary\" \"x\") NIL NIL NIL)",
     "one"},
    /* previews: HTML, charset, encodings, the next part when the first is empty */
    {"Content-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n"
     "<html><head><title>no</title></head><style>p { x: \"<\" }</style><!-- <b>no</b> -->\n"
     "<p class=3D\"a>b\">Caf=E9 &amp; t&#233;a &lt;b&gt; 1 < 2</p><p>A<b>B</b> & C&nbsp;D "
     "&x;</p>\n",
     NULL, NULL,
     "Caf\xc3\xa9 & t\xc3\xa9"
     "a <b> 1 < 2 AB & C D &x"},
    {"Content-Type: multipart/mixed; boundary=x\n\n--x\n\n \n--x\n"
     "Content-Disposition: attachment\n\nno\n--x\nContent-Transfer-Encoding: base64\n\n"
     "w6kgYQ==\n--x--\n",
     NULL, NULL, "\xc3\xa9 a"},
};

/* ---- Helpers --------------------------------------------------------------------------------- */

static char *crlf_of(const char *mail, size_t *len)
{
    char *out = malloc(2 * strlen(mail) + 1);
    size_t n = 0;
    ck_assert_ptr_nonnull(out);
    for (; *mail; mail++) {
        if (*mail == '\n')
            out[n++] = '\r';
        out[n++] = *mail;
    }
    *len = n;
    return out;
}

static lmail_mime_parser *new_parser(void)
{
    lmail_mime_config config = LMAIL_MIME_CONFIG_INIT;
    lmail_mime_parser *p;
    config.gather = LMAIL_MIME_GATHER_SUMMARY;
    ck_assert_int_eq(lmail_mime_parser_new(&p, &config), LMAIL_OK);
    return p;
}

static void feed(lmail_mime_parser *p, lmail_str in, size_t cut, size_t piece)
{
    while (in.len) {
        size_t n = cut ? cut : piece;
        if (n > in.len)
            n = in.len;
        cut = 0;
        if (lmail_mime_parser_feed(p, (lmail_str){in.ptr, n}))
            ck_abort_msg("feed failed");
        in.ptr += n;
        in.len -= n;
    }
    if (lmail_mime_parser_end(p))
        ck_abort_msg("end failed");
}

static void check_text(const char *what, lmail_str got, const char *expected)
{
    if (expected && (got.len != strlen(expected) || memcmp(got.ptr, expected, got.len) != 0))
        ck_abort_msg("%s:\n%.*s\nnot\n%s", what, (int)got.len, got.ptr, expected);
}

static void check_mail(const lmail_mime_parser *p, int i)
{
    const lmail_mime_summary *s = lmail_mime_parser_summary(p);
    check_text("envelope", s->envelope, mails[i].envelope);
    check_text("bodystructure", s->bodystructure, mails[i].structure);
    check_text("preview", s->preview, mails[i].preview);
}

START_TEST(texts_are_the_same_at_every_split)
{
    size_t len;
    char *crlf = crlf_of(mails[_i].mail, &len);
    lmail_str lf = lmail_str_from(mails[_i].mail);
    lmail_mime_parser *p = new_parser();
    char blob[1024];
    feed(p, (lmail_str){crlf, len}, 0, len + 1);
    check_mail(p, _i);
    const lmail_mime_summary *s = lmail_mime_parser_summary(p);
    size_t blob_len = s->parts.len;
    ck_assert_uint_le(blob_len, sizeof blob);
    memcpy(blob, s->parts.ptr, blob_len);
    for (size_t cut = 1; cut <= len; cut++) {
        lmail_mime_parser_reset(p, 0);
        feed(p, (lmail_str){crlf, len}, cut, cut % 2 ? len : cut % 7 + 1);
        check_mail(p, _i);
        if (s->parts.len != blob_len || memcmp(blob, s->parts.ptr, blob_len) != 0)
            ck_abort_msg("other parts when cut at %zu", cut);
    }
    for (size_t cut = 1; cut <= lf.len; cut++) {
        lmail_mime_parser_reset(p, 1);
        feed(p, lf, cut, cut % 2 ? lf.len : 1);
        check_mail(p, _i);
        if (s->size != len || s->parts.len != blob_len || memcmp(blob, s->parts.ptr, blob_len) != 0)
            ck_abort_msg("other parts with LF when cut at %zu", cut);
    }
    lmail_mime_parser_free(p);
    free(crlf);
}
END_TEST

/* ---- Sections -------------------------------------------------------------------------------- */

static const struct {
    const char *section; /* as in BODY[...] */
    const char *begins;  /* NULL: not there */
    const char *ends;
} sections[] = {
    {"", "MIME-Version", "boundary-1--\r\n"},
    {"HEADER", "MIME-Version", "boundary-1\r\n\r\n"},
    {"TEXT", "This is the preamble", "boundary-1--\r\n"},
    {"MIME", NULL, NULL},
    {"1", "  ... Some", "here ...\r\n"},
    {"1.MIME", "\r\n", "\r\n"},
    {"1.HEADER", NULL, NULL},
    {"1.1", NULL, NULL},
    {"2", "This could", "parts.\r\n"},
    {"2.MIME", "Content-type: text/plain", "US-ASCII\r\n\r\n"},
    {"3", "--unique-boundary-2", "boundary-2--\r\n"},
    {"3.1", "  ... base64-encoded 8000", "here ...\r\n"},
    {"3.2.MIME", "Content-Type: image", "base64\r\n\r\n"},
    {"3.3", NULL, NULL},
    {"5", "From: (mailbox", "here ...\r\n"},
    {"5.MIME", "Content-Type: message", "rfc822\r\n\r\n"},
    {"5.HEADER", "From: (mailbox", "printable\r\n\r\n"},
    {"5.TEXT", "  ... Additional", "here ...\r\n"},
    {"5.1", "  ... Additional", "here ...\r\n"},
    {"5.1.MIME", "From: (mailbox", "printable\r\n\r\n"},
    {"5.1.1", NULL, NULL},
    {"5.2", NULL, NULL},
    {"0", NULL, NULL},
    {"6", NULL, NULL},
};

static lmail_status find(const lmail_mime_parts *parts, const char *section, lmail_mime_range *r)
{
    uint32_t numbers[8];
    size_t count = 0;
    while (*section >= '0' && *section <= '9') {
        numbers[count++] = (uint32_t)strtoul(section, (char **)&section, 10);
        section += *section == '.';
    }
    lmail_mime_section what = !strcmp(section, "HEADER") ? LMAIL_MIME_HEADER
                              : !strcmp(section, "TEXT") ? LMAIL_MIME_TEXT
                              : !strcmp(section, "MIME") ? LMAIL_MIME_MIME
                                                         : LMAIL_MIME_WHOLE;
    return lmail_mime_part_find(parts, numbers, count, what, r);
}

START_TEST(sections_resolve_as_rfc_9051_says)
{
    size_t len;
    char *crlf = crlf_of(complex_mail, &len);
    lmail_mime_parser *p = new_parser();
    feed(p, (lmail_str){crlf, len}, 0, len);
    lmail_mime_parts parts = lmail_mime_parser_parts(p);
    lmail_mime_range r;
    lmail_status st = find(&parts, sections[_i].section, &r);
    if (!sections[_i].begins) {
        ck_assert_int_eq(st, LMAIL_ERR_NOTFOUND);
    } else {
        size_t b = strlen(sections[_i].begins), e = strlen(sections[_i].ends);
        ck_assert_int_eq(st, LMAIL_OK);
        ck_assert_uint_ge(r.end - r.begin, b);
        ck_assert_int_eq(memcmp(crlf + r.begin, sections[_i].begins, b), 0);
        ck_assert_int_eq(memcmp(crlf + r.end - e, sections[_i].ends, e), 0);
    }
    lmail_mime_parser_free(p);
    free(crlf);
}
END_TEST

START_TEST(a_message_without_parts_has_part_one)
{
    lmail_mime_parser *p = new_parser();
    feed(p, LMAIL_STR("Subject: x\r\n\r\nbody"), 0, 100);
    lmail_mime_parts parts = lmail_mime_parser_parts(p);
    lmail_mime_range r;
    ck_assert_int_eq(find(&parts, "1", &r), LMAIL_OK);
    ck_assert_uint_eq(r.begin, 14);
    ck_assert_int_eq(find(&parts, "1.MIME", &r), LMAIL_OK);
    ck_assert_uint_eq(r.end, 14);
    ck_assert_int_eq(find(&parts, "2", &r), LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(find(&parts, "1.1", &r), LMAIL_ERR_NOTFOUND);
    /* a message that is nothing but a message */
    lmail_mime_parser_reset(p, 0);
    feed(p, LMAIL_STR("Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody"), 0, 100);
    parts = lmail_mime_parser_parts(p);
    ck_assert_int_eq(find(&parts, "1", &r), LMAIL_OK);
    ck_assert_uint_eq(r.begin, 32);
    ck_assert_int_eq(find(&parts, "1.HEADER", &r), LMAIL_OK);
    ck_assert_uint_eq(r.end, 47);
    ck_assert_int_eq(find(&parts, "1.1", &r), LMAIL_OK);
    ck_assert_uint_eq(r.begin, 47);
    lmail_mime_parser_free(p);
}
END_TEST

/* ---- Blob ------------------------------------------------------------------------------------ */

START_TEST(damaged_blobs_are_refused_or_nest)
{
    lmail_mime_parser *p = new_parser();
    feed(p, lmail_str_from(complex_mail), 0, 10000);
    lmail_str blob = lmail_mime_parser_summary(p)->parts;
    lmail_mime_part part[16];
    size_t count;
    ck_assert_int_eq(lmail_mime_parts_read(blob, part, 8, &count), LMAIL_ERR_LIMIT);
    ck_assert_int_eq(lmail_mime_parts_read(blob, part, 16, &count), LMAIL_OK);
    ck_assert_uint_eq(count, 9);
    for (size_t n = 0; n < blob.len; n++)
        ck_assert_int_eq(lmail_mime_parts_read((lmail_str){blob.ptr, n}, part, 16, &count),
                         LMAIL_ERR_CORRUPT);
    char copy[256];
    for (size_t at = 0; at < blob.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(copy, blob.ptr, blob.len);
            copy[at] = (char)(copy[at] ^ 1 << bit);
            if (lmail_mime_parts_read((lmail_str){copy, blob.len}, part, 16, &count))
                continue;
            for (size_t i = 1; i < count; i++) {
                const lmail_mime_part *up = &part[part[i].parent];
                if (part[i].header_begin < up->body_begin || part[i].body_end > up->body_end)
                    ck_abort_msg("octet %zu bit %d: part %zu sticks out", at, bit, i);
            }
        }
    }
    lmail_mime_parser_free(p);
}
END_TEST

START_TEST(damaged_structures_give_no_body)
{
    static const char *const broken[] = {"",
                                         "(",
                                         "()",
                                         "NIL",
                                         "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 1",
                                         "(\"a\" \"b\" NIL NIL NIL \"7bit\" 1))",
                                         "(\"a)",
                                         "({9}\r\nabc)",
                                         "(((((((("};
    char out[128];
    size_t made;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        ck_assert_int_eq(
            lmail_mime_body_from_bodystructure(lmail_str_from(broken[i]), out, sizeof out, &made),
            LMAIL_ERR_SYNTAX);
    lmail_str whole = lmail_str_from(
        "((\"text\" \"plain\" (\"a\" {1}\r\n)) NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL)(\"message\" "
        "\"delivery-status\" NIL NIL NIL \"7bit\" 1 NIL NIL NIL NIL) \"mixed\" NIL NIL NIL NIL)");
    ck_assert_int_eq(lmail_mime_body_from_bodystructure(whole, out, sizeof out, &made), LMAIL_OK);
    check_text("body", (lmail_str){out, made},
               "((\"text\" \"plain\" (\"a\" {1}\r\n)) NIL NIL \"7bit\" 1 0)(\"message\" "
               "\"delivery-status\" NIL NIL NIL \"7bit\" 1) \"mixed\")");
    ck_assert_int_eq(lmail_mime_body_from_bodystructure(whole, out, 20, &made), LMAIL_ERR_LIMIT);
    ck_assert_uint_gt(made, 20);
}
END_TEST

/* ---- Summary, limits, memory ----------------------------------------------------------------- */

START_TEST(a_summary_has_what_a_store_keeps)
{
    lmail_mime_parser *p = new_parser();
    feed(p,
         LMAIL_STR("From: =?utf-8?q?J=C3=B6rg?= <jd@example.com>\r\nTo: G: x@y;\r\nCc: a@b\r\n"
                   "Cc: c@d\r\nSubject: [l] Re: =?utf-8?q?caf=C3=A9?=\r\n"
                   "Date: Fri, 21 Nov 1997 23:55:06 -0600\r\nMessage-ID: <\"1\"@2>\r\n"
                   "In-Reply-To: <a@b> <c@d>\r\n\r\n"),
         0, 1000);
    const lmail_mime_summary *s = lmail_mime_parser_summary(p);
    check_text("from", s->from, "J\xc3\xb6rg <jd@example.com>");
    check_text("cc", s->cc, "a@b, c@d");
    check_text("bcc", s->bcc, "");
    check_text("subject", s->subject, "[l] Re: caf\xc3\xa9");
    check_text("base", s->base_subject, "caf\xc3\xa9");
    ck_assert_uint_eq(s->is_reply, 1);
    check_text("sort_from", s->sort_from, "jd");
    check_text("display_from", s->display_from, "J\xc3\xb6rg");
    check_text("sort_to", s->sort_to, "G");
    check_text("sort_cc", s->sort_cc, "a");
    check_text("message_id", s->message_id, "1@2");
    check_text("in_reply_to", s->in_reply_to, "a@b");
    check_text("references", s->references, "a@b");
    ck_assert_uint_eq(s->has_date, 1);
    ck_assert_int_eq(s->date, 880178106);
    ck_assert_int_eq(s->date_day, 10186);
    ck_assert_uint_eq(s->part_count, 0);
    lmail_mime_parser_free(p);
}
END_TEST

/* Feeds a message that nests or repeats without end; the parser keeps what its limits say. */
static void flood(lmail_mime_config *config, const char *text, size_t times, size_t parts)
{
    count_alloc heap = {0};
    lmail_mime_parser *p;
    config->alloc = count_alloc_table(&heap);
    config->gather = LMAIL_MIME_GATHER_SUMMARY;
    ck_assert_int_eq(lmail_mime_parser_new(&p, config), LMAIL_OK);
    if (lmail_mime_parser_feed(p, LMAIL_STR("Content-Type: multipart/mixed; boundary=x\r\n\r\n")))
        ck_abort();
    for (size_t i = 0; i < times; i++) {
        if (lmail_mime_parser_feed(p, lmail_str_from(text)))
            ck_abort();
    }
    ck_assert_int_eq(lmail_mime_parser_end(p), LMAIL_OK);
    ck_assert_uint_eq(lmail_mime_parser_parts(p).count, parts);
    ck_assert_uint_lt(heap.peak, 2 * 1024 * 1024);
    lmail_mime_parser_free(p);
    ck_assert_uint_eq(heap.live, 0);
    ck_assert_uint_eq(heap.lies, 0);
}

START_TEST(limits_hold_and_the_best_structure_stays)
{
    lmail_mime_config config = LMAIL_MIME_CONFIG_INIT;
    config.max_parts = 100;
    config.max_memory = 4096;
    flood(&config, "--x\r\nContent-Type: a/b; c=dddddddddddddddddddddddd\r\n\r\nbody\r\n", 20000,
          100);
    flood(&config, "--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n", 20000, 100);
    config.max_parts = 0;
    config.max_depth = 0;
    /* 100 levels of messages; the 101st stays a leaf */
    flood(&config,
          "--x\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n", 1,
          3 + 1);
    config.max_header = 1000;
    flood(&config, "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n --", 20000, 2);
}
END_TEST

START_TEST(nesting_stops_at_its_limit)
{
    lmail_mime_config config = LMAIL_MIME_CONFIG_INIT;
    lmail_mime_parser *p;
    config.max_depth = 3;
    config.gather = LMAIL_MIME_GATHER_SUMMARY;
    ck_assert_int_eq(lmail_mime_parser_new(&p, &config), LMAIL_OK);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(
            lmail_mime_parser_feed(p, LMAIL_STR("Content-Type: message/rfc822\r\n\r\n")), LMAIL_OK);
    ck_assert_int_eq(lmail_mime_parser_end(p), LMAIL_OK);
    ck_assert_uint_eq(lmail_mime_parser_parts(p).count, 4);
    lmail_str text = lmail_mime_parser_summary(p)->bodystructure;
    /* what is not looked into promises nothing */
    ck_assert_ptr_nonnull(memmem(text.ptr, text.len, "(\"application\" \"octet-stream\" NIL", 33));
    lmail_mime_parser_free(p);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    for (size_t fail = 1;; fail++) {
        count_alloc heap = {0};
        lmail_mime_config config = LMAIL_MIME_CONFIG_INIT;
        lmail_mime_parser *p = NULL;
        heap.fail_at = fail;
        config.alloc = count_alloc_table(&heap);
        config.gather = LMAIL_MIME_GATHER_SUMMARY;
        lmail_status st = lmail_mime_parser_new(&p, &config);
        if (!st)
            st = lmail_mime_parser_feed(p, lmail_str_from(complex_mail));
        if (!st)
            st = lmail_mime_parser_end(p);
        if (st)
            ck_assert_int_eq(st, LMAIL_ERR_NOMEM);
        lmail_mime_parser_free(p);
        ck_assert_uint_eq(heap.live, 0);
        ck_assert_uint_eq(heap.lies, 0);
        ck_assert_int_eq(st == LMAIL_OK, heap.failed == 0);
        if (!heap.failed)
            break;
    }
}
END_TEST

START_TEST(misuse_is_told)
{
    lmail_mime_config config;
    lmail_mime_parser *p;
    lmail_mime_config_init(&config);
    config.size = sizeof config + 1;
    ck_assert_int_eq(lmail_mime_parser_new(&p, &config), LMAIL_ERR_SIZE);
    lmail_mime_config_init(&config);
    ck_assert_int_eq(lmail_mime_parser_new(&p, &config), LMAIL_OK);
    ck_assert_uint_eq(lmail_mime_parser_parts(p).count, 0);
    ck_assert_int_eq(lmail_mime_parser_end(p), LMAIL_OK);
    ck_assert_ptr_null(lmail_mime_parser_summary(p));
    ck_assert_int_eq(lmail_mime_parser_end(p), LMAIL_ERR_STATE);
    ck_assert_int_eq(lmail_mime_parser_feed(p, LMAIL_STR("x")), LMAIL_ERR_STATE);
    lmail_mime_parser_free(p);
    lmail_mime_parser_free(NULL);
}
END_TEST

START_TEST(an_envelope_alone_is_the_same)
{
    char out[1024];
    size_t made, need, len;
    char *crlf = crlf_of(complex_mail, &len);
    ck_assert_int_eq(
        lmail_mime_envelope_write(NULL, (lmail_str){crlf, len}, out, sizeof out, &made), LMAIL_OK);
    check_text("envelope", (lmail_str){out, made}, mails[0].envelope);
    ck_assert_int_eq(lmail_mime_envelope_write(NULL, (lmail_str){crlf, len}, out, 10, &need),
                     LMAIL_ERR_LIMIT);
    ck_assert_uint_eq(need, made);
    free(crlf);
}
END_TEST

Suite *mime_parser_suite(void)
{
    Suite *suite = suite_create("mime_parser");
    TCase *tc = tcase_create("messages");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, texts_are_the_same_at_every_split, 0, sizeof mails / sizeof *mails);
    tcase_add_loop_test(tc, sections_resolve_as_rfc_9051_says, 0,
                        sizeof sections / sizeof *sections);
    tcase_add_test(tc, a_message_without_parts_has_part_one);
    tcase_add_test(tc, damaged_blobs_are_refused_or_nest);
    tcase_add_test(tc, damaged_structures_give_no_body);
    tcase_add_test(tc, a_summary_has_what_a_store_keeps);
    tcase_add_test(tc, limits_hold_and_the_best_structure_stays);
    tcase_add_test(tc, nesting_stops_at_its_limit);
    tcase_add_test(tc, every_allocation_may_fail);
    tcase_add_test(tc, misuse_is_told);
    tcase_add_test(tc, an_envelope_alone_is_the_same);
    suite_add_tcase(suite, tc);
    return suite;
}
