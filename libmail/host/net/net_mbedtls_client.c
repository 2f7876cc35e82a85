/* net_mbedtls_client.c - the mbedTLS engine's contexts and filters for connections that we make.
 *
 * The rules are those of net_mbedtls_context.c; whom we trust is read here, once. No session is
 * resumed: a full handshake looks at the certificate anew, and delivery keeps its connections. */
#include "net_internal.h"
#include "net_mbedtls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <psa/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where systems keep the authorities they trust, in one file. */
static const char *const SYSTEM_CA[] = {
    "/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch */
    "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, RHEL */
    "/etc/ssl/ca-bundle.pem",             /* openSUSE */
    "/etc/ssl/cert.pem"};

/* PKCS#1 before PSS: mbedTLS offers PSS, which TLS 1.3 needs, but does not know it in TLS 1.2, where
 * a server that may choose (RFC 8446 §4.2.3) then has one that works. */
static const uint16_t SIGNATURES[] = {
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256, MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512, MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384,       MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256,    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512,    MBEDTLS_TLS1_3_SIG_NONE};

/* Without PSS: a server that chooses by its own order takes it, in TLS 1.2 too. */
static const uint16_t SIGNATURES_12[] = {MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256,
                                         MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,
                                         MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512,
                                         MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256,
                                         MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384,
                                         MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512,
                                         MBEDTLS_TLS1_3_SIG_NONE};

/* A file of authorities may hold some that mbedTLS cannot read: those vouch for nobody. 0, or an
 * error of mbedTLS when none can be read. */
static int some(mbedtls_x509_crt *ca, int rc)
{
    return rc > 0 ? (ca->version ? 0 : MBEDTLS_ERR_X509_INVALID_FORMAT) : rc;
}

static int read_text(mbedtls_x509_crt *ca, lmail_str pem)
{
    unsigned char *copy = calloc(1, pem.len + 1);
    if (!copy)
        return MBEDTLS_ERR_X509_ALLOC_FAILED;
    memcpy(copy, pem.ptr, pem.len);
    int rc = some(ca, mbedtls_x509_crt_parse(ca, copy, pem.len + 1));
    free(copy);
    return rc;
}

static lmail_status read_system(mbedtls_x509_crt *ca, char *error, size_t cap)
{
    for (size_t i = 0; i < sizeof(SYSTEM_CA) / sizeof(*SYSTEM_CA); i++)
        if (!access(SYSTEM_CA[i], R_OK)) {
            int rc = some(ca, mbedtls_x509_crt_parse_file(ca, SYSTEM_CA[i]));
            return rc ? lmi_mbed_refuse(error, cap, "file of the system's authorities", i, rc)
                      : LMAIL_OK;
        }
    return lmi_net_fail(LMAIL_ERR_IO, error, cap, "no file of the system's authorities, %s",
                        SYSTEM_CA[0]);
}

static lmail_status load_authorities(mbed_context *c, const lmail_tls_client_config *config,
                                     char *error, size_t cap)
{
    if (config->ca.len) {
        int rc = read_text(&c->ca, config->ca);
        if (rc)
            return lmi_mbed_refuse(error, cap, "authority", 0, rc);
    }
    if (config->ca_directory) {
        errno = 0;
        if (access(config->ca_directory, R_OK | X_OK) ||
            mbedtls_x509_crt_parse_path(&c->ca, config->ca_directory) < 0)
            return lmi_net_fail(LMAIL_ERR_IO, error, cap, "cannot read the authorities in %s: %s",
                                config->ca_directory,
                                errno ? strerror(errno) : "no directory of certificates");
    }
    return config->system_ca ? read_system(&c->ca, error, cap) : LMAIL_OK;
}

static lmail_status fill(mbed_context *c, const lmail_tls_client_config *config, char *error,
                         size_t cap)
{
    if (!lmi_mbed_suites(config->ciphers, c->suites) && !config->tls13_only)
        return lmi_net_fail(LMAIL_ERR_ARG, error, cap,
                            "ciphers \"%.*s\": none of the suites that are spoken",
                            (int)config->ciphers.len, config->ciphers.ptr);
    if (config->tls12_only && config->tls13_only)
        return lmi_net_fail(LMAIL_ERR_ARG, error, cap, "no version of TLS is left");
    if (psa_crypto_init() != PSA_SUCCESS) /* once a process; TLS 1.3 works through it */
        return LMAIL_ERR_IO;
    lmail_status st = LMAIL_OK;
    if (config->cert)
        st = lmi_mbed_load_certs(c, config->cert, 1, error, cap);
    if (!st)
        st = load_authorities(c, config, error, cap);
    if (st)
        return st;
    int rc = lmi_mbed_use_rules(c, MBEDTLS_SSL_IS_CLIENT, config->tls13_only != 0);
    if (!rc) {
        /* net_mbedtls_check.c decides, and has the word for each connection */
        mbedtls_ssl_conf_authmode(&c->conf, MBEDTLS_SSL_VERIFY_OPTIONAL);
        mbedtls_ssl_conf_ca_chain(&c->conf, c->ca.version ? &c->ca : NULL, NULL);
        mbedtls_ssl_conf_sig_algs(&c->conf, config->tls12_only ? SIGNATURES_12 : SIGNATURES);
        if (config->tls12_only)
            mbedtls_ssl_conf_max_tls_version(&c->conf, MBEDTLS_SSL_VERSION_TLS1_2);
        mbedtls_ssl_conf_session_tickets(&c->conf, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
        if (c->certs_n)
            rc = mbedtls_ssl_conf_own_cert(&c->conf, &c->certs[0].chain, &c->certs[0].key);
    }
    if (!rc)
        rc = lmi_mbed_use_alpn(c, config->alpn, config->alpn_n);
    return rc ? lmi_mbed_refuse(error, cap, "TLS rules", 0, rc) : LMAIL_OK;
}

lmail_status lmi_mbed_client_context_new(void **out, const lmail_tls_client_config *config,
                                         char *error, size_t cap)
{
    mbed_context *c = lmi_mbed_context_make();
    if (!c)
        return LMAIL_ERR_NOMEM;
    lmail_status st = fill(c, config, error, cap);
    if (st)
        lmi_mbed_context_free(c);
    else
        *out = c;
    return st;
}

/* ---- Filters --------------------------------------------------------------------------------- */

/* RFC 6066 §3: a name without its last dot, and no address. */
static int announce(mbed_filter *f, const char *name)
{
    unsigned char ip[16];
    if (!name)
        return mbedtls_ssl_set_hostname(&f->ssl, NULL);
    size_t len = strlen(name);
    f->server_name = strndup(name, len && name[len - 1] == '.' ? len - 1 : len);
    if (!f->server_name)
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    int is_ip = inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1;
    return mbedtls_ssl_set_hostname(&f->ssl, is_ip ? NULL : f->server_name);
}

lmail_status lmi_mbed_client_filter_new(lmi_tls **out, void *context, const char *name, int verify)
{
    lmi_tls *base;
    lmail_status st = lmi_mbed_filter_new(&base, context);
    if (st)
        return st;
    mbed_filter *f = (mbed_filter *)base;
    if (announce(f, name))
        st = LMAIL_ERR_NOMEM;
    if (!st)
        st = lmi_mbed_check_new(f, f->server_name, verify);
    if (st)
        lmi_mbed_filter_free(base);
    else
        *out = base;
    return st;
}
