/* Addresses: RFC 5322 appendix A, groups, obsolete forms, and garbage. */
#include <libmail/mime.h>

#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *mime_address_suite(void);

/* Written as name|route|local|domain; "name:" opens a group, ";" closes it. */
static const struct {
    const char *value, *expected;
} lists[] = {
    /* RFC 5322 appendix A.1.1, A.1.2 */
    {"John Doe <jdoe@machine.example>", "John Doe||jdoe|machine.example"},
    {"\"Joe Q. Public\" <john.q.public@example.com>", "Joe Q. Public||john.q.public|example.com"},
    {"Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
     "Mary Smith||mary|x.test, ||jdoe|example.org, Who?||one|y.test"},
    {"<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
     "||boss|nil.test, Giant; \"Big\" Box||sysservices|example.net"},
    /* A.1.3, RFC 6854 */
    {"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
     "A Group:, Ed Jones||c|a.test, ||joe|where.test, John||jdoe|one.test, ;"},
    {"Undisclosed recipients:;", "Undisclosed recipients:, ;"},
    {"a:b@c", "a:, ||b|c, ;"},
    {"a:;, b@c", "a:, ;, ||b|c"},
    /* A.5, A.6.1, A.6.3 */
    {"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete||pete|silly.test"},
    {"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n"
     "         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)",
     "A Group:, Chris Jones||c|public.example, ||joe|example.org, John||jdoe|one.test, ;"},
    {"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", "Hidden recipients:, ;"},
    {"Joe Q. Public <john.q.public@example.com>", "Joe Q. Public||john.q.public|example.com"},
    {"Mary Smith <@node.test,@b.test:mary@example.net>, , jdoe@test  . example",
     "Mary Smith|@node.test,@b.test|mary|example.net, ||jdoe|test.example"},
    /* the name behind a bare address */
    {"jdoe@example.org (John (Jack) Doe)", "John (Jack) Doe||jdoe|example.org"},
    {"<jdoe@example.org> (John)", "John||jdoe|example.org"},
    {"\"\" <a@b>", "||a|b"},
    {"\"john doe\"@x", "||john doe|x"},
    {"john . doe @ x . y", "||john.doe|x.y"},
    {"a@[192.0.2.1]", "||a|[192.0.2.1]"},
    {"=?utf-8?q?a?= =?utf-8?q?b?= <a@b>", "=?utf-8?q?a?= =?utf-8?q?b?=||a|b"},
    {"J\xc3\xb6rg <j\xc3\xb6rg@b\xc3\xbc.example>", "J\xc3\xb6rg||j\xc3\xb6rg|b\xc3\xbc.example"},
    /* garbage, and what can be made of it */
    {"", ""},
    {" , ;, ", ""},
    {"root", "||root|"},
    {"foo@bar.example <foo@bar.example>", "foo@bar.example||foo|bar.example"},
    {"a@b, \"unclosed <c@d>, e@f", "||a|b, \"unclosed||c|d, ||e|f"},
    {"a@b, <c@d, e@f", "||a|b, ||c|d, ||e|f"},
    {"a@b (unclosed, c@d", "unclosed, c@d||a|b"},
    {"<>", "|||"},
    {"a@b@c", "||a@b|c"},
    {"a@b and more", "||a|b"},
    {"x <a@b> junk, c@d", "x||a|b, ||c|d"},
    {":a@b", ":, ||a|b, ;"},
    {"(only a comment)", ""},
    {"a\\", "||a\\|"},
};

static void describe(lmail_str value, char *scratch, size_t cap, char *out, size_t room)
{
    lmail_mime_address_reader r;
    lmail_mime_address a;
    size_t n = 0;
    out[0] = 0;
    lmail_mime_address_reader_init(&r, value, scratch, cap);
    while (lmail_mime_address_next(&r, &a)) {
        n += (size_t)snprintf(out + n, room - n, "%s", n ? ", " : "");
        if (a.kind == LMAIL_MIME_GROUP_END)
            n += (size_t)snprintf(out + n, room - n, ";");
        else if (a.kind == LMAIL_MIME_GROUP_BEGIN)
            n += (size_t)snprintf(out + n, room - n, "%.*s:", (int)a.name.len, a.name.ptr);
        else
            n += (size_t)snprintf(out + n, room - n, "%.*s|%.*s|%.*s|%.*s", (int)a.name.len,
                                  a.name.ptr, (int)a.route.len, a.route.ptr, (int)a.local.len,
                                  a.local.ptr, (int)a.domain.len, a.domain.ptr);
    }
}

START_TEST(lists_read_as_expected)
{
    char scratch[1024], out[1024];
    describe(lmail_str_from(lists[_i].value), scratch, sizeof scratch, out, sizeof out);
    ck_assert_str_eq(out, lists[_i].expected);
}
END_TEST

START_TEST(an_empty_quoted_name_is_a_name)
{
    char scratch[64];
    lmail_mime_address_reader r;
    lmail_mime_address a;
    lmail_mime_address_reader_init(&r, LMAIL_STR("\"\" <a@b>, <c@d>"), scratch, sizeof scratch);
    ck_assert_int_eq(lmail_mime_address_next(&r, &a), 1);
    ck_assert_uint_eq(a.has_name, 1);
    ck_assert_int_eq(lmail_mime_address_next(&r, &a), 1);
    ck_assert_uint_eq(a.has_name, 0);
}
END_TEST

START_TEST(little_scratch_cuts_and_never_overruns)
{
    char scratch[8], out[256];
    describe(LMAIL_STR("A long display name <local@domain.example>, x@y"), scratch, sizeof scratch,
             out, sizeof out);
    ck_assert_str_eq(out, "A long d|||, ||x|y");
}
END_TEST

/* Written as local|domain as they stand in the value; "-" is a domain that is not there. */
static const struct {
    const char *value, *expected;
} raw[] = {
    {"Mary <@node.test:\"mary\"@example.net> (x)", "\"mary\"|example.net"},
    {"G: Pete <pete(his account)@silly.test(his host)>, ( c )joe ;", "pete|silly.test, joe|-"},
    {"john (x) . doe @ x .\r\n y (z)", "john (x) . doe|x .\r\n y"},
    {"a@b and more", "a|b"},
    {"a@b@c, x@, @y", "a@b|c, x|, |y"},
    {"<u@[IPv6:::1]>, <>", "u|[IPv6:::1], |-"},
};

START_TEST(the_parts_in_place_need_no_scratch)
{
    lmail_str value = lmail_str_from(raw[_i].value);
    char out[256] = "";
    size_t n = 0;
    lmail_mime_address_reader r;
    lmail_mime_address a;
    lmail_mime_address_reader_init(&r, value, NULL, 0);
    while (lmail_mime_address_next(&r, &a)) {
        if (a.kind != LMAIL_MIME_MAILBOX)
            continue;
        ck_assert(a.raw_local.ptr >= value.ptr &&
                  a.raw_local.ptr + a.raw_local.len <= value.ptr + value.len);
        lmail_str domain = a.raw_domain.ptr ? a.raw_domain : LMAIL_STR("-");
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%.*s|%.*s", n ? ", " : "",
                              (int)a.raw_local.len, a.raw_local.ptr, (int)domain.len, domain.ptr);
    }
    ck_assert_str_eq(out, raw[_i].expected);
}
END_TEST

Suite *mime_address_suite(void)
{
    Suite *suite = suite_create("mime_address");
    TCase *tc = tcase_create("addresses");
    tcase_add_loop_test(tc, lists_read_as_expected, 0, sizeof lists / sizeof *lists);
    tcase_add_test(tc, an_empty_quoted_name_is_a_name);
    tcase_add_test(tc, little_scratch_cuts_and_never_overruns);
    tcase_add_loop_test(tc, the_parts_in_place_need_no_scratch, 0, sizeof raw / sizeof *raw);
    suite_add_tcase(suite, tc);
    return suite;
}
