/* Names, addresses and files of the resolver, without any question. */
#include "host/dns/dns_internal.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static const struct {
    const char *in, *out; /* out NULL: refused */
} names[] = {
    {"Mail.Example.ORG", "mail.example.org"},
    {"mail.example.org.", "mail.example.org"},
    {"org", "org"},
    {"_dmarc.example.org", "_dmarc.example.org"},
    {"xn--bcher-kva.example", "xn--bcher-kva.example"},
    {"4.example", "4.example"},
    {"a.4b", "a.4b"},
    {L63 ".example", L63 ".example"},
    {L63 "x.example", NULL},
    {L63 "." L63 "." L63 "." L63, NULL},
    {"", NULL},
    {".", NULL},
    {"..", NULL},
    {"a..", NULL},
    {"a..b", NULL},
    {".a", NULL},
    {"-a.example", NULL},
    {"a-.example", NULL},
    {"a b.example", NULL},
    {"a\nb.example", NULL},
    {"caf\xc3\xa9.example", NULL},
    {"a\\.b", NULL},
    {"*.example", NULL},
    {"192.0.2.1", NULL},
    {"1", NULL},
};

START_TEST(test_names)
{
    char out[LMI_DNS_NAME];
    lmail_status status = lmi_dns_name(lmail_str_from(names[_i].in), out);
    ck_assert_int_eq(status == LMAIL_OK, names[_i].out != NULL);
    if (names[_i].out)
        ck_assert_str_eq(out, names[_i].out);
}
END_TEST

START_TEST(test_longest_name)
{
    char in[256], out[LMI_DNS_NAME];
    snprintf(in, sizeof(in), "%s.%s.%s.%s", L63, L63, L63, L63);
    in[253] = 0;
    ck_assert_int_eq(lmi_dns_name((lmail_str){in, 253}, out), LMAIL_OK);
    ck_assert_str_eq(out, in);
    in[253] = 'x';
    ck_assert_int_eq(lmi_dns_name((lmail_str){in, 254}, out), LMAIL_ERR_SYNTAX);
    ck_assert_int_eq(lmi_dns_name((lmail_str){"a\0b.example", 11}, out), LMAIL_ERR_SYNTAX);
}
END_TEST

static const struct {
    lmail_str in;
    const char *out;
    int root;
} wire[] = {
    {LMAIL_STR("\4mail\7Example\0"), "mail.example", 0},
    {LMAIL_STR("\0"), "", 1},
    {LMAIL_STR("\4mail"), NULL, 0},
    {LMAIL_STR("\4mai"), NULL, 0},
    {LMAIL_STR("\4mail\0x"), NULL, 0},
    {LMAIL_STR("\4mail\300\014"), NULL, 0}, /* a pointer */
    {LMAIL_STR("\5a.b.c\0"), NULL, 0},      /* dots inside a label */
    {LMAIL_STR("\3a\0b\0"), NULL, 0},
    {LMAIL_STR(""), NULL, 0},
};

START_TEST(test_wire_names)
{
    /* Octets of the exact length, so that a sanitizer sees any step beyond. */
    char out[LMI_DNS_NAME], *copy = malloc(wire[_i].in.len + 1);
    int root;
    memcpy(copy, wire[_i].in.ptr, wire[_i].in.len);
    lmail_status status = lmi_dns_wire_name((lmail_str){copy, wire[_i].in.len}, out, &root);
    free(copy);
    ck_assert_int_eq(status == LMAIL_OK, wire[_i].out != NULL);
    ck_assert_int_eq(root, wire[_i].root);
    if (wire[_i].out)
        ck_assert_str_eq(out, wire[_i].out);
}
END_TEST

static const struct {
    const char *address, *zone, *out;
} reversed[] = {
    {"192.0.2.130", NULL, "130.2.0.192.in-addr.arpa"},
    {"::ffff:192.0.2.7", "bl.example", "7.2.0.192.bl.example"},
    {"2001:db8::567:89ab", NULL,
     "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
    {"2001:db8::1", "BL.example.",
     "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example"},
    {"192.0.2.1", "bad zone", NULL},
    {"2001:db8::1", L63 "." L63 "." L63, NULL},
};

START_TEST(test_reversed)
{
    lmail_dns_address a;
    char out[LMI_DNS_NAME];
    ck_assert_int_eq(lmi_dns_address(lmail_str_from(reversed[_i].address), &a), LMAIL_OK);
    lmail_status status = lmi_dns_reversed(&a, reversed[_i].zone, out);
    ck_assert_int_eq(status == LMAIL_OK, reversed[_i].out != NULL);
    if (reversed[_i].out)
        ck_assert_str_eq(out, reversed[_i].out);
}
END_TEST

START_TEST(test_what_is_no_address)
{
    static const char *const bad[] = {
        "", "192.0.2", "192.0.2.256", "mail.example", "2001:db8::g", "[192.0.2.1]", "192.0.2.1 "};
    lmail_dns_address a;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        ck_assert_int_eq(lmi_dns_address(lmail_str_from(bad[i]), &a), LMAIL_ERR_SYNTAX);
    ck_assert_int_eq(lmi_dns_address((lmail_str){"192.0.2.1\0x", 11}, &a), LMAIL_ERR_SYNTAX);
}
END_TEST

static char *write_file(const char *text, char path[32])
{
    strcpy(path, "/tmp/libmail-dns-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

START_TEST(test_hosts_file)
{
    char path[32];
    lmi_dns_hosts hosts;
    lmail_dns_address a, list[4];
    write_file("# comment\n127.0.0.1\tlocalhost\n192.0.2.1 Mail.example.org mail # own\n192.0.2.2 "
               "mail bad_$name two\n"
               "2001:db8::1 mail\nnonsense here\n192.0.2.1 other\n192.0.2.9\n\n192.0.2.8 last",
               path);
    ck_assert_int_eq(lmi_dns_hosts_read(&hosts, path), LMAIL_OK);
    unlink(path);
    lmi_dns_address(LMAIL_STR("192.0.2.1"), &a);
    ck_assert_str_eq(lmi_dns_hosts_name(&hosts, &a), "mail.example.org");
    lmi_dns_address(LMAIL_STR("192.0.2.8"), &a);
    ck_assert_str_eq(lmi_dns_hosts_name(&hosts, &a), "last");
    lmi_dns_address(LMAIL_STR("192.0.2.9"), &a);
    ck_assert_ptr_null(lmi_dns_hosts_name(&hosts, &a));
    ck_assert_uint_eq(lmi_dns_hosts_addresses(&hosts, "mail", 4, list, 4), 2);
    ck_assert_uint_eq(list[0].octets[3], 1);
    ck_assert_uint_eq(list[1].octets[3], 2);
    ck_assert_uint_eq(lmi_dns_hosts_addresses(&hosts, "mail", 6, list, 4), 1);
    ck_assert_uint_eq(lmi_dns_hosts_addresses(&hosts, "mail", 4, list, 1), 1);
    ck_assert_uint_eq(lmi_dns_hosts_addresses(&hosts, "two", 4, list, 4), 1);
    ck_assert_uint_eq(lmi_dns_hosts_addresses(&hosts, "nonsense", 4, list, 4), 0);
    lmi_dns_hosts_done(&hosts);
    ck_assert_int_eq(lmi_dns_hosts_read(&hosts, "/nonexistent/hosts"), LMAIL_OK);
    ck_assert_int_eq(lmi_dns_hosts_read(&hosts, "/"), LMAIL_ERR_IO);
}
END_TEST

static lmail_status gather(void *ctx, const char *text)
{
    strcat(strcat(ctx, text), " ");
    return LMAIL_OK;
}

START_TEST(test_resolv_conf)
{
    char path[32], all[400] = "";
    write_file("search example.org\n# nameserver 192.0.2.9\nnameserver "
               "192.0.2.1\nnameserver\t2001:db8::53 \noptions ndots:2\n"
               "nameserver\n",
               path);
    ck_assert_int_eq(lmi_dns_resolv_conf(path, gather, all), LMAIL_OK);
    ck_assert_str_eq(all, "192.0.2.1 2001:db8::53 ");
    unlink(path);
    all[0] = 0;
    ck_assert_int_eq(lmi_dns_resolv_conf("/nonexistent/resolv.conf", gather, all), LMAIL_OK);
    ck_assert_str_eq(all, "127.0.0.1 ");
}
END_TEST

Suite *dns_name_suite(void)
{
    Suite *s = suite_create("dns_name");
    TCase *t = tcase_create("names");
    tcase_add_loop_test(t, test_names, 0, sizeof(names) / sizeof(*names));
    tcase_add_test(t, test_longest_name);
    tcase_add_loop_test(t, test_wire_names, 0, sizeof(wire) / sizeof(*wire));
    tcase_add_loop_test(t, test_reversed, 0, sizeof(reversed) / sizeof(*reversed));
    tcase_add_test(t, test_what_is_no_address);
    tcase_add_test(t, test_hosts_file);
    tcase_add_test(t, test_resolv_conf);
    suite_add_tcase(s, t);
    return s;
}
