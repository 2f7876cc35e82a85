/* Mailboxes and domains: what the grammar takes, where it stops. RFC 5321 §4.1.2, §4.1.3, RFC 6531
 * §3.3. */
#include "smtp/smtp_internal.h"

#include <check.h>
#include <string.h>

typedef struct address_case {
    const char *text;
    uint32_t flags;
    lmail_status status;
    const char *local, *domain;
    size_t offset; /* of the offender */
} address_case;

#define U LMAIL_SMTP_SMTPUTF8

static const address_case cases[] = {
    {"a@b.example", 0, LMAIL_OK, "a", "b.example", 0},
    {"\"a b\"@b.example", 0, LMAIL_OK, "\"a b\"", "b.example", 0},
    {"\"\"@b.example", 0, LMAIL_OK, "\"\"", "b.example", 0},
    {"\"a\\\\\\\"b\"@b.example", 0, LMAIL_OK, "\"a\\\\\\\"b\"", "b.example", 0},
    {"a.b.c@b.example", 0, LMAIL_OK, "a.b.c", "b.example", 0},
    {"a@[192.0.2.1]", 0, LMAIL_OK, "a", "[192.0.2.1]", 0},
    {"a@[IPv6:2001:db8::1]", 0, LMAIL_OK, "a", "[IPv6:2001:db8::1]", 0},
    {"a@[ipv6:1:2:3:4:5:6:192.0.2.1]", 0, LMAIL_OK, "a", "[ipv6:1:2:3:4:5:6:192.0.2.1]", 0},
    {"postmaster", 0, LMAIL_OK, "postmaster", "", 0},
    {"user", LMAIL_SMTP_ALLOW_UNQUALIFIED, LMAIL_OK, "user", "", 0},
    {"a@b.example.", LMAIL_SMTP_ALLOW_TRAILING_DOT, LMAIL_OK, "a", "b.example", 0},
    {"\xc3\xbc@\xc3\xbc.example", U, LMAIL_OK, "\xc3\xbc", "\xc3\xbc.example", 0},
    {"\"\xc3\xbc \"@x", U, LMAIL_OK, "\"\xc3\xbc \"", "x", 0},
    {"a@xn--a", 0, LMAIL_OK, "a", "xn--a", 0},
    {"user", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 4},
    {"", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 0},
    {"@b", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 0},
    {"a@", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 2},
    {"a b@c", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 1},
    {"a..b@c", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 2},
    {"a.@c", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 2},
    {"a@b..c", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 4},
    {"a@b-.c", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 3},
    {"a@b_c", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 3},
    {"a@b.example.", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 12},
    {"a@b.example>", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 11},
    {"\"a@b", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 4},
    {"\"a\\", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 2},
    {"\xc3\xbc@b", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 0},
    {"\xc0\xaf@b", U, LMAIL_ERR_SYNTAX, NULL, NULL, 0},
    {"\xed\xa0\x80@b", U, LMAIL_ERR_SYNTAX, NULL, NULL, 0},
    {"a@[192.0.2]", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 2},
    {"a@[IPv6:1:2:3:4:5:6:7:8:9]", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 2},
    {"a@[IPv6:1:2:3:4:5:6:7::]", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 2},
    {"a@[IPv6:1:2]", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 2},
    {"a@[IPv6:::1:]", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 2},
    {"a@[]", 0, LMAIL_ERR_SYNTAX, NULL, NULL, 2},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@b", 0, LMAIL_ERR_LIMIT,
     NULL, NULL, 65},
};

START_TEST(an_address_is_taken_or_refused_where_it_breaks)
{
    const address_case *c = &cases[_i];
    lmail_smtp_address a;
    size_t offset;
    lmail_status st = lmail_smtp_address_parse(lmail_str_from(c->text), c->flags, 0, &a, &offset);
    ck_assert_msg(st == c->status, "%s: %s", c->text, lmail_status_name(st));
    if (st) {
        ck_assert_msg(offset == c->offset, "%s: offset %zu", c->text, offset);
        return;
    }
    ck_assert(lmail_str_equal(a.local, lmail_str_from(c->local)));
    ck_assert(lmail_str_equal(a.domain, lmail_str_from(c->domain)));
}
END_TEST

START_TEST(unquoting_gives_the_meaning)
{
    static const struct {
        const char *local, *meaning;
    } table[] = {{"a", "a"}, {"\"a b\"", "a b"}, {"\"a\\\"b\\\\\"", "a\"b\\"}, {"\"\"", ""}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char out[32];
        size_t n = lmail_smtp_local_unquote(lmail_str_from(table[i].local), out);
        ck_assert_uint_eq(n, strlen(table[i].meaning));
        ck_assert_int_eq(memcmp(out, table[i].meaning, n), 0);
    }
}
END_TEST

START_TEST(labels_and_names_have_their_length)
{
    char name[300];
    memset(name, 'a', sizeof name);
    ck_assert(lmi_smtp_is_domain((lmail_str){name, 63}, 0));
    ck_assert(!lmi_smtp_is_domain((lmail_str){name, 64}, 0));
    for (size_t i = 63; i < sizeof name; i += 64)
        name[i] = '.';
    ck_assert(lmi_smtp_is_domain((lmail_str){name, 255}, 0));
    ck_assert(!lmi_smtp_is_domain((lmail_str){name, 257}, 0));
}
END_TEST

Suite *smtp_address_suite(void)
{
    Suite *s = suite_create("smtp_address");
    TCase *t = tcase_create("address");
    tcase_add_loop_test(t, an_address_is_taken_or_refused_where_it_breaks, 0,
                        sizeof cases / sizeof *cases);
    tcase_add_test(t, unquoting_gives_the_meaning);
    tcase_add_test(t, labels_and_names_have_their_length);
    suite_add_tcase(s, t);
    return s;
}
