/* Cipher lists as openssl-ciphers(1) writes them: which of our suites a list chooses, in which order. */
#include "host/net/net_mbedtls.h"

#include <check.h>
#include <string.h>

Suite *net_suites_suite(void);

/* e: ECDSA, r: RSA; 2: AES-256, 1: AES-128, c: ChaCha20 */
static const struct {
    int id;
    const char *word;
} words[] = {{MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "e2"},
             {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "e1"},
             {MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ec"},
             {MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "r2"},
             {MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "r1"},
             {MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "rc"}};

static const struct {
    const char *list, *chosen;
} cases[] = {
    {"", "e2 e1 ec r2 r1 rc"},
    {"DEFAULT:!aNULL:!MD5:!RC4", "e2 e1 ec r2 r1 rc"},
    {"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305", "r2 ec"},
    {"ecdhe-rsa-aes128-gcm-sha256", "r1"},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "rc"},
    {"TLS-ECDHE-RSA-WITH-CHACHA20-POLY1305-SHA256", "rc"},
    {"AESGCM", "e2 e1 r2 r1"},
    {"aRSA+AESGCM:CHACHA20", "r2 r1 ec rc"},
    {"AES128:AES128", "e1 r1"},
    {"ALL:!aRSA:aRSA", "e2 e1 ec"},
    {"ALL:-aRSA:aRSA+CHACHA20", "e2 e1 ec rc"},
    {"ALL:+AES256", "e1 ec r1 rc e2 r2"},
    {"AES128:AES256:@STRENGTH", "e2 r2 e1 r1"},
    {"HIGH, AES128 ;!ECDSA", "r2 r1 rc"},
    {"EECDH+ECDSA+AESGCM:EECDH+aRSA+AESGCM:EECDH+ECDSA+SHA384:!RC4:!aNULL", "e2 e1 r2 r1"},
    {"AES128-SHA:DES-CBC3-SHA", ""},
    {"RC4", ""},
    {"!:-:+:+:@:::", ""},
    {"ALL+", ""},
    {"+ALL", ""},
};

START_TEST(a_list_chooses_suites)
{
    int out[LMI_MBED_SUITES];
    char got[64] = "";
    size_t count = lmi_mbed_suites(lmail_str_from(cases[_i].list), out), n = 0;
    for (size_t i = 0; out[i]; i++)
        for (size_t k = 0; k < sizeof words / sizeof *words; k++)
            if (out[i] == words[k].id) {
                strcat(strcat(got, n ? " " : ""), words[k].word);
                n++;
            }
    ck_assert_str_eq(got, cases[_i].chosen);
    ck_assert_uint_eq(count, n);
    ck_assert_int_eq(out[0], MBEDTLS_TLS1_3_AES_256_GCM_SHA384);
    ck_assert_int_eq(out[n + 3], 0);
}
END_TEST

Suite *net_suites_suite(void)
{
    Suite *s = suite_create("net_suites");
    TCase *t = tcase_create("lists");
    tcase_add_loop_test(t, a_list_chooses_suites, 0, sizeof cases / sizeof *cases);
    suite_add_tcase(s, t);
    return s;
}
