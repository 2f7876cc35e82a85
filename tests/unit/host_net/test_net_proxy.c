/* The PROXY header, addresses, networks and keys, as tables. */
#include "host/net/net_address.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static const char V2[] = "\r\n\r\n\0\r\nQUIT\n";

START_TEST(test_version_1)
{
    static const struct {
        const char *in;
        lmail_status st;
        const char *source; /* NULL: local */
        unsigned port;
    } rows[] = {
        {"PROXY TCP4 192.0.2.1 192.0.2.2 1 65535\r\n", LMAIL_OK, "192.0.2.1", 1},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 0 25\r\n", LMAIL_OK, "192.0.2.1", 0},
        {"PROXY TCP6 2001:db8::1 2001:db8::2 40000 25\r\n", LMAIL_OK, "2001:db8::1", 40000},
        {"PROXY TCP6 ::ffff:192.0.2.9 ::1 40000 25\r\n", LMAIL_OK, "192.0.2.9", 40000},
        {"PROXY UNKNOWN\r\n", LMAIL_OK, NULL, 0},
        {"PROXY UNKNOWN ffff::1 what ever 1 2\r\n", LMAIL_OK, NULL, 0},
        {"", LMAIL_MORE, NULL, 0},
        {"PRO", LMAIL_MORE, NULL, 0},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 1 65535", LMAIL_MORE, NULL, 0},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 1 65535\r", LMAIL_MORE, NULL, 0},
        {"PROXZ", LMAIL_ERR_SYNTAX, NULL, 0},
        {"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"EHLO x\r\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY \n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY \r\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4\r\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.1\r192.0.2.2 1 2\r\n", LMAIL_ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.1 \rx", LMAIL_ERR_SYNTAX, NULL, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        lmi_proxy p;
        size_t used;
        char in[256];
        int len = snprintf(in, sizeof(in), "%s%s", rows[i].in, rows[i].st ? "" : "EHLO behind\r\n");
        lmail_status st = lmi_proxy_parse((lmail_str){in, (size_t)len}, &p, &used);
        ck_assert_msg(st == rows[i].st, "%s: %s", rows[i].in, lmail_status_name(st));
        if (st)
            continue;
        ck_assert_uint_eq(used, strlen(rows[i].in));
        ck_assert_int_eq(p.local, rows[i].source == NULL);
        if (rows[i].source) {
            char text[LMI_ADDRESS_TEXT];
            lmi_address_write(&p.source, text);
            ck_assert_str_eq(text, rows[i].source);
            ck_assert_uint_eq(p.source.port, rows[i].port);
        }
    }
}
END_TEST

START_TEST(test_version_1_ends_at_107_octets)
{
    char in[200];
    lmi_proxy p;
    size_t used;
    memset(in, 'x', sizeof(in));
    memcpy(in, "PROXY UNKNOWN ", 14);
    ck_assert_int_eq(lmi_proxy_parse((lmail_str){in, 106}, &p, &used), LMAIL_MORE);
    ck_assert_int_eq(lmi_proxy_parse((lmail_str){in, 107}, &p, &used), LMAIL_ERR_SYNTAX);
    memcpy(in + 105, "\r\n", 2);
    ck_assert_int_eq(lmi_proxy_parse((lmail_str){in, 200}, &p, &used), LMAIL_OK);
    ck_assert_uint_eq(used, 107);
}
END_TEST

/* A version 2 header: command, family, addresses, then TLVs. */
static lmail_str v2(char out[512], int command, int family, const char *body, size_t len)
{
    memcpy(out, V2, 12);
    out[12] = (char)command;
    out[13] = (char)family;
    out[14] = (char)(len >> 8);
    out[15] = (char)len;
    memcpy(out + 16, body, len);
    return (lmail_str){out, 16 + len};
}

#define IP4 "\xc0\x00\x02\x07\xc0\x00\x02\x08\x0f\xa0\x00\x19"

START_TEST(test_version_2)
{
    static const char ip6[36] = {
        0x20, 1, 0x0d, (char)0xb8, [15] = 1, [32] = 0x0f, (char)0xa0, 0, 25};
    static const struct {
        int command, family;
        const char *body;
        size_t len;
        lmail_status st;
        const char *source;
        int tls;
        const char *name;
    } rows[] = {
        {0x21, 0x11, IP4, 12, LMAIL_OK, "192.0.2.7", 0, ""},
        {0x21, 0x21, ip6, 36, LMAIL_OK, "2001:db8::1", 0, ""},
        {0x20, 0x00, "", 0, LMAIL_OK, NULL, 0, ""},
        {0x20, 0x11, IP4, 12, LMAIL_OK, NULL, 0, ""},
        {0x20, 0x11, "junk", 4, LMAIL_OK, NULL, 0, ""},
        {0x21, 0x00, "", 0, LMAIL_OK, NULL, 0, ""},
        {0x21, 0x11, IP4 "\x02\x00\x06mx.net", 12 + 9, LMAIL_OK, "192.0.2.7", 0, "mx.net"},
        {0x21, 0x11, IP4 "\x20\x00\x05\x01\0\0\0\0", 12 + 8, LMAIL_OK, "192.0.2.7", 1, ""},
        {0x21, 0x11, IP4 "\x20\x00\x05\x02\0\0\0\0", 12 + 8, LMAIL_OK, "192.0.2.7", 0, ""},
        {0x21, 0x11, IP4 "\x04\x00\x00", 12 + 3, LMAIL_OK, "192.0.2.7", 0, ""},
        {0x21, 0x11, IP4, 11, LMAIL_ERR_SYNTAX, NULL, 0, ""},
        {0x21, 0x21, IP4, 12, LMAIL_ERR_SYNTAX, NULL, 0, ""},
        {0x22, 0x11, IP4, 12, LMAIL_ERR_SYNTAX, NULL, 0, ""},
        {0x11, 0x11, IP4, 12, LMAIL_ERR_SYNTAX, NULL, 0, ""},
        {0x21, 0x41, IP4, 12, LMAIL_ERR_SYNTAX, NULL, 0, ""},
        {0x21, 0x13, IP4, 12, LMAIL_ERR_SYNTAX, NULL, 0, ""},
        {0x21, 0x12, IP4, 12, LMAIL_ERR_SYNTAX, NULL, 0, ""},
        {0x21, 0x11, IP4 "\x02", 13, LMAIL_ERR_SYNTAX, NULL, 0, ""},
        {0x21, 0x11, IP4 "\x02\x00\x07mx.net", 12 + 9, LMAIL_ERR_SYNTAX, NULL, 0, ""},
        {0x21, 0x11, IP4 "\x20\x00\x01\x01", 12 + 4, LMAIL_ERR_SYNTAX, NULL, 0, ""},
        {0x21, 0x11, IP4 "\x03\x00\x04\0\0\0\0", 12 + 7, LMAIL_ERR_SYNTAX, NULL, 0, ""},
        {0x21, 0x11, IP4 "\x03\x00\x00", 12 + 3, LMAIL_ERR_SYNTAX, NULL, 0, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char octets[512], text[LMI_ADDRESS_TEXT];
        lmail_str in = v2(octets, rows[i].command, rows[i].family, rows[i].body, rows[i].len);
        lmi_proxy p;
        size_t used;
        for (size_t n = 0; n < in.len; n++) { /* never OK before it is whole */
            lmail_status st = lmi_proxy_parse((lmail_str){in.ptr, n}, &p, &used);
            ck_assert_msg(st == LMAIL_MORE || (rows[i].st < 0 && st == rows[i].st), "row %zu: %zu",
                          i, n);
        }
        octets[in.len] = 'E';
        lmail_status st = lmi_proxy_parse((lmail_str){in.ptr, in.len + 1}, &p, &used);
        ck_assert_msg(st == rows[i].st, "row %zu: %s", i, lmail_status_name(st));
        if (st)
            continue;
        ck_assert_uint_eq(used, in.len);
        ck_assert_int_eq(p.local, rows[i].source == NULL);
        ck_assert_int_eq(p.tls, rows[i].tls);
        ck_assert(lmail_str_equal(p.server_name, lmail_str_from(rows[i].name)));
        if (rows[i].source) {
            lmi_address_write(&p.source, text);
            ck_assert_str_eq(text, rows[i].source);
            ck_assert_uint_eq(p.source.port, 4000);
            ck_assert_uint_eq(p.destination.port, 25);
        }
    }
}
END_TEST

START_TEST(test_version_2_checks_the_checksum)
{
    char octets[512];
    lmi_proxy p;
    size_t used;
    /* The CRC32c of this header, found with another implementation. */
    lmail_str in = v2(octets, 0x21, 0x11, IP4 "\x03\x00\x04\x70\x16\x34\x1d", 19);
    ck_assert_int_eq(lmi_proxy_parse(in, &p, &used), LMAIL_OK);
    octets[17] ^= 1;
    ck_assert_int_eq(lmi_proxy_parse(in, &p, &used), LMAIL_ERR_SYNTAX);
}
END_TEST

START_TEST(test_version_2_has_an_end)
{
    char octets[512];
    lmi_proxy p;
    size_t used;
    lmail_str in = v2(octets, 0x21, 0x11, IP4, 12);
    octets[14] = (char)0x0f; /* 16 + 4080 is the limit */
    octets[15] = (char)0xf0;
    ck_assert_int_eq(lmi_proxy_parse(in, &p, &used), LMAIL_MORE);
    octets[15] = (char)0xf1;
    ck_assert_int_eq(lmi_proxy_parse(in, &p, &used), LMAIL_ERR_SYNTAX);
}
END_TEST

START_TEST(test_networks)
{
    static const struct {
        const char *list, *address; /* NULL: the list is faulty */
        int held;
    } rows[] = {{"10.0.0.0/8", "10.255.0.1", 1},
                {"10.0.0.0/8", "11.0.0.1", 0},
                {"192.0.2.128/25", "192.0.2.127", 0},
                {"192.0.2.128/25", "192.0.2.255", 1},
                {"192.0.2.1", "192.0.2.1", 1},
                {"192.0.2.1", "192.0.2.2", 0},
                {"0.0.0.0/0", "203.0.113.5", 1},
                {"0.0.0.0/0", "::1", 0},
                {"2001:db8::/33", "2001:db8:7fff::1", 1},
                {"2001:db8::/33", "2001:db8:8000::1", 0},
                {"::1, 10.0.0.0/8", "10.1.1.1", 1},
                {" ", "10.1.1.1", 0},
                {"10.0.0.0/33", NULL, 0},
                {"::/129", NULL, 0},
                {"10.0.0.0/", NULL, 0},
                {"10.0.0/8", NULL, 0},
                {"localhost", NULL, 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        lmi_networks n;
        lmail_status st = lmi_networks_parse(&n, rows[i].list);
        ck_assert_msg(st == (rows[i].address ? LMAIL_OK : LMAIL_ERR_SYNTAX), "%s", rows[i].list);
        if (st)
            continue;
        char text[64];
        lmi_address a;
        int any;
        int six = strchr(rows[i].address, ':') != NULL;
        snprintf(text, sizeof(text), six ? "[%s]:1" : "%s:1", rows[i].address);
        ck_assert_int_eq(lmi_net_address_parse(text, &a, &any), LMAIL_OK);
        ck_assert_msg(lmi_networks_hold(&n, &a) == rows[i].held, "%s %s", rows[i].list,
                      rows[i].address);
        lmi_networks_done(&n);
    }
    lmi_networks n;
    ck_assert_int_eq(lmi_networks_parse(&n, "unix"), LMAIL_OK);
    ck_assert(lmi_networks_hold(&n, &(lmi_address){.family = AF_UNIX}));
    lmi_networks_done(&n);
}
END_TEST

START_TEST(test_keys_are_those_of_one_customer)
{
    static const struct {
        const char *a, *b;
        int same;
    } rows[] = {{"192.0.2.1:1", "192.0.2.1:2", 1},
                {"192.0.2.1:1", "192.0.2.2:1", 0},
                {"[2001:db8::1]:1", "[2001:db8::ffff:1]:1", 1},
                {"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", 0},
                {"[::1]:1", "[::2]:1", 1},
                {"[::1]:1", "0.0.0.0:1", 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        lmi_address a, b;
        int any;
        ck_assert_int_eq(lmi_net_address_parse(rows[i].a, &a, &any), LMAIL_OK);
        ck_assert_int_eq(lmi_net_address_parse(rows[i].b, &b, &any), LMAIL_OK);
        ck_assert(lmi_address_key(&a) != 0);
        ck_assert_int_eq(lmi_address_key(&a) == lmi_address_key(&b), rows[i].same);
    }
}
END_TEST

Suite *net_proxy_suite(void)
{
    Suite *s = suite_create("net_proxy");
    TCase *t = tcase_create("proxy");
    tcase_add_test(t, test_version_1);
    tcase_add_test(t, test_version_1_ends_at_107_octets);
    tcase_add_test(t, test_version_2);
    tcase_add_test(t, test_version_2_checks_the_checksum);
    tcase_add_test(t, test_version_2_has_an_end);
    tcase_add_test(t, test_networks);
    tcase_add_test(t, test_keys_are_those_of_one_customer);
    suite_add_tcase(s, t);
    return s;
}
