/* net_mbedtls_examine.c - certificates looked at without a connection: for whoever checks a
 * configuration. Parses as the contexts do (net_mbedtls_context.c), so what passes here serves. */
#include "net_mbedtls.h"

#include <mbedtls/error.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <time.h>

static lmail_status refuse(lmail_tls_finding *out, const char *at_fault, int rc, char *error,
                           size_t cap)
{
    char why[128] = "they do not belong together";
    if (rc)
        mbedtls_strerror(rc, why, sizeof(why));
    out->at_fault = at_fault;
    if (error && cap)
        snprintf(error, cap, "%s", why);
    return rc == MBEDTLS_ERR_X509_ALLOC_FAILED || rc == MBEDTLS_ERR_PK_ALLOC_FAILED
               ? LMAIL_ERR_NOMEM
               : LMAIL_ERR_ARG;
}

int64_t lmi_mbed_seconds(const mbedtls_x509_time *at)
{
    struct tm tm = {.tm_year = at->year - 1900,
                    .tm_mon = at->mon - 1,
                    .tm_mday = at->day,
                    .tm_hour = at->hour,
                    .tm_min = at->min,
                    .tm_sec = at->sec};
    return timegm(&tm);
}

static void take_times(const mbedtls_x509_crt *chain, lmail_tls_finding *out)
{
    out->not_before = lmi_mbed_seconds(&chain->valid_from);
    out->not_after = lmi_mbed_seconds(&chain->valid_to);
    out->chain_after = out->not_after;
    for (const mbedtls_x509_crt *at = chain->next; at; at = at->next)
        if (at->raw.p && lmi_mbed_seconds(&at->valid_to) < out->chain_after)
            out->chain_after = lmi_mbed_seconds(&at->valid_to);
}

static lmail_status look_at_key(const mbedtls_x509_crt *chain, lmail_str text,
                                lmail_tls_finding *out, char *error, size_t cap)
{
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    lmail_status st = LMAIL_OK;
    int rc = lmi_mbed_parse_key(&key, text);
    if (rc)
        st = refuse(out, "key", rc, error, cap);
    else if (mbedtls_pk_check_pair(&chain->pk, &key, lmi_mbed_random, NULL))
        st = refuse(out, "pair", 0, error, cap);
    mbedtls_pk_free(&key);
    return st;
}

lmail_status lmail_tls_examine(const lmail_tls_cert *cert, lmail_tls_finding *out, char *error,
                               size_t cap)
{
    mbedtls_x509_crt chain;
    *out = (lmail_tls_finding){NULL, 0, 0, 0};
    if (psa_crypto_init() != PSA_SUCCESS) /* once a process; a pair is compared through it */
        return LMAIL_ERR_NOMEM;
    mbedtls_x509_crt_init(&chain);
    lmail_status st = LMAIL_OK;
    int rc = lmi_mbed_parse_chain(&chain, cert->chain);
    if (rc)
        st = refuse(out, "certificate", rc, error, cap);
    if (!st)
        take_times(&chain, out);
    if (!st && cert->key.len)
        st = look_at_key(&chain, cert->key, out, error, cap);
    mbedtls_x509_crt_free(&chain);
    return st;
}
