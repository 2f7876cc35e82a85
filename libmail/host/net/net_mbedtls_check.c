/* net_mbedtls_check.c - is a server's certificate good, is it for the name that we asked for, and
 * what is wrong with it in words for people.
 *
 * mbedTLS builds and checks the chain (RFC 5280 §6) and shows each certificate of it, the server's
 * own last. Names are looked for here, by RFC 9525 §6: subjectAltName alone, "*" for the leftmost
 * label alone, an address as iPAddress. Called in the handshake, perhaps on a worker. */
#include "net_mbedtls.h"

#include <arpa/inet.h>
#include <mbedtls/oid.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY 86400

typedef struct mbed_check {
    const char *host; /* the filter's; NULL: none was asked for */
    unsigned char ip[16];
    size_t ip_len; /* 0: host is a name */
    int verify;    /* the handshake fails unless it is good */
    int shown, named;
    uint32_t flags; /* MBEDTLS_X509_BADCERT_* of the whole chain */
    char fault[256];
    char common_name[256], subject[LMI_MBED_NAME], issuer[LMI_MBED_NAME];
} mbed_check;

static void say(mbed_check *k, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The first word stays: it is about the certificate that is nearest to the root. */
static void say(mbed_check *k, const char *format, ...)
{
    va_list args;
    if (k->fault[0])
        return;
    va_start(args, format);
    vsnprintf(k->fault, sizeof(k->fault), format, args);
    va_end(args);
}

/* ---- Names ----------------------------------------------------------------------------------- */

/* Printable and short: it goes into logs. */
static void write_printable(const unsigned char *text, size_t len, char *out, size_t cap)
{
    size_t n = len < cap - 1 ? len : cap - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(text[i] >= ' ' && text[i] < 127 ? text[i] : '?');
    out[n] = 0;
}

static void write_common_name(const mbedtls_x509_name *name, char *out, size_t cap)
{
    out[0] = 0;
    for (; name; name = name->next)
        if (name->oid.p && !MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &name->oid)) {
            write_printable(name->val.p, name->val.len, out, cap);
            return;
        }
}

static int covers(const mbed_check *k, const mbedtls_x509_buf *name)
{
    int kind = name->tag & MBEDTLS_ASN1_TAG_VALUE_MASK;
    if (k->ip_len)
        return kind == MBEDTLS_X509_SAN_IP_ADDRESS && name->len == k->ip_len &&
               !memcmp(name->p, k->ip, k->ip_len);
    return kind == MBEDTLS_X509_SAN_DNS_NAME &&
           lmi_mbed_name_covers((lmail_str){(const char *)name->p, name->len},
                                lmail_str_from(k->host));
}

static void look_at_names(mbed_check *k, const mbedtls_x509_crt *crt)
{
    char first[100] = "";
    int others = 0;
    for (const mbedtls_x509_sequence *at = &crt->subject_alt_names; at; at = at->next) {
        if (!at->buf.p)
            continue;
        if (covers(k, &at->buf)) {
            k->named = 1;
            return;
        }
        if ((at->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) != MBEDTLS_X509_SAN_DNS_NAME)
            continue;
        if (first[0])
            others = 1;
        else
            write_printable(at->buf.p, at->buf.len, first, sizeof(first));
    }
    if (first[0])
        say(k, "name %.100s does not match: the certificate is for %s%s", k->host, first,
            others ? " and others" : "");
    else
        say(k, "name %.100s does not match: the certificate names no host", k->host);
}

/* ---- Faults ---------------------------------------------------------------------------------- */

static void say_time(mbed_check *k, const char *whose, const char *how, int64_t seconds)
{
    int64_t n = seconds / DAY;
    const char *unit = "day";
    if (!n) {
        n = seconds / 3600;
        unit = "hour";
    }
    if (!n) {
        n = seconds / 60;
        unit = "minute";
    }
    say(k, "certificate%s %s %lld %s%s%s", whose, how, (long long)n, unit, n == 1 ? "" : "s",
        strcmp(how, "expired") ? "" : " ago");
}

static int is_self_issued(const mbedtls_x509_crt *crt)
{
    return crt->issuer_raw.len == crt->subject_raw.len &&
           !memcmp(crt->issuer_raw.p, crt->subject_raw.p, crt->subject_raw.len);
}

static void say_untrusted(mbed_check *k, const mbedtls_x509_crt *crt, int depth)
{
    char by[100];
    write_common_name(&crt->issuer, by, sizeof(by));
    if (depth == 0 && is_self_issued(crt))
        say(k, "certificate is signed by itself");
    else
        say(k, "certificate is signed by %s, whom we do not trust", by[0] ? by : "somebody");
}

static void explain(mbed_check *k, const mbedtls_x509_crt *crt, int depth, uint32_t flags)
{
    int64_t now = (int64_t)time(NULL);
    const char *whose = depth ? " of its issuer" : "";
    if (flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED)
        say_untrusted(k, crt, depth);
    if (flags & MBEDTLS_X509_BADCERT_EXPIRED)
        say_time(k, whose, "expired", now - lmi_mbed_seconds(&crt->valid_to));
    if (flags & MBEDTLS_X509_BADCERT_FUTURE)
        say_time(k, whose, "is not valid for another", lmi_mbed_seconds(&crt->valid_from) - now);
    if (flags &
        (MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY))
        say(k, "certificate%s has a weak key or signature", whose);
    if (flags & (MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE |
                 MBEDTLS_X509_BADCERT_NS_CERT_TYPE))
        say(k, "certificate%s is not one for servers", whose);
    if (flags)
        say(k, "certificate%s is not valid", whose);
}

/* RFC 5280 §4.2.1.3, §4.2.1.12: what it may be used for. mbedTLS looks at this too, but later. All
 * our suites have ECDHE, so the key signs. */
static uint32_t misuse(const mbedtls_x509_crt *crt)
{
    uint32_t flags = 0;
    if (mbedtls_x509_crt_check_key_usage(crt, MBEDTLS_X509_KU_DIGITAL_SIGNATURE))
        flags |= MBEDTLS_X509_BADCERT_KEY_USAGE;
    if (mbedtls_x509_crt_check_extended_key_usage(crt, MBEDTLS_OID_SERVER_AUTH,
                                                  MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)))
        flags |= MBEDTLS_X509_BADCERT_EXT_KEY_USAGE;
    return flags;
}

/* For mbedtls_ssl_set_verify: from the root down to the server's own, depth 0. */
static int look(void *arg, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    mbed_check *k = arg;
    if (depth == 0)
        *flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_CN_MISMATCH; /* names are looked at here */
    if (depth > 0) {
        explain(k, crt, depth, *flags);
        k->flags |= *flags;
        return 0;
    }
    *flags |= misuse(crt);
    k->shown = 1;
    lmi_mbed_write_common_name(&crt->subject, k->common_name, sizeof(k->common_name));
    lmi_mbed_write_name(&crt->subject, k->subject, sizeof(k->subject));
    lmi_mbed_write_name(&crt->issuer, k->issuer, sizeof(k->issuer));
    explain(k, crt, depth, *flags);
    k->flags |= *flags;
    if (k->host)
        look_at_names(k, crt);
    else
        say(k, "no name was given to look for in the certificate");
    return k->verify && (k->flags || !k->named) ? MBEDTLS_ERR_X509_FATAL_ERROR : 0;
}

/* ---- For the filters ------------------------------------------------------------------------- */

lmail_status lmi_mbed_check_new(mbed_filter *f, const char *name, int verify)
{
    mbed_check *k = calloc(1, sizeof(*k));
    if (!k)
        return LMAIL_ERR_NOMEM;
    k->host = name;
    k->verify = verify;
    if (name && inet_pton(AF_INET, name, k->ip) == 1)
        k->ip_len = 4;
    else if (name && inet_pton(AF_INET6, name, k->ip) == 1)
        k->ip_len = 16;
    f->check = k;
    mbedtls_ssl_set_verify(&f->ssl, look, k);
    return LMAIL_OK;
}

void lmi_mbed_check_free(mbed_filter *f)
{
    free(f->check);
}

int lmi_mbed_check_good(const mbed_filter *f)
{
    /* What mbedTLS finds after `look` (a curve that was not offered) stands in its own result. */
    return f->check->shown && !f->check->flags && f->check->named &&
           mbedtls_ssl_get_verify_result(&f->ssl) == 0;
}

int lmi_mbed_check_allows(const mbed_filter *f)
{
    if (!f->check || !f->check->verify || lmi_mbed_check_good(f))
        return 1;
    say(f->check, "certificate is not valid");
    return 0;
}

const char *lmi_mbed_check_fault(const mbed_filter *f)
{
    return f->check && f->check->verify ? f->check->fault : "";
}

void lmi_mbed_peer(const lmi_tls *base, lmail_tls_peer *out)
{
    const mbed_check *k = ((const mbed_filter *)base)->check;
    out->shown = k->shown != 0;
    out->trusted = k->shown && !k->flags;
    out->name_matches = k->named != 0;
    out->fault = lmail_str_from(k->fault);
    out->common_name = lmail_str_from(k->common_name);
    out->subject = lmail_str_from(k->subject);
    out->issuer = lmail_str_from(k->issuer);
}
