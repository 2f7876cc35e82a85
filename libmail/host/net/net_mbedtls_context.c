/* net_mbedtls_context.c - the mbedTLS engine's contexts: certificates, and the rules of RFC 9325.
 *
 * Suites are named one by one in net_mbedtls_suites.c: ECDHE with an AEAD, nothing else. Tickets rotate their keys by
 * themselves; with client certificates there are none, because a resumed TLS 1.3 session does not
 * carry the certificate. */
#include "net_machine.h"
#include "net_mbedtls.h"

#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICKET_LIFETIME 86400u

static const uint16_t GROUPS[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_X25519, MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, MBEDTLS_SSL_IANA_TLS_GROUP_NONE};

int lmi_mbed_random(void *unused, unsigned char *out, size_t len)
{
    (void)unused;
    return lmi_random(out, len) ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : 0;
}

lmail_status lmi_mbed_refuse(char *error, size_t cap, const char *what, size_t index, int rc)
{
    char why[128] = "";
    mbedtls_strerror(rc, why, sizeof(why));
    if (error && cap)
        snprintf(error, cap, "%s %zu: %s", what, index + 1, why);
    return rc == MBEDTLS_ERR_X509_ALLOC_FAILED || rc == MBEDTLS_ERR_PK_ALLOC_FAILED ||
                   rc == MBEDTLS_ERR_SSL_ALLOC_FAILED
               ? LMAIL_ERR_NOMEM
               : LMAIL_ERR_ARG;
}

/* ---- Certificates ---------------------------------------------------------------------------- */

/* mbedTLS takes PEM only with a terminator counted in; DER goes as it is. *copy is to be wiped. */
static int terminated(lmail_str in, unsigned char **copy, size_t *len)
{
    static const char mark[] = "-----BEGIN ";
    int pem = in.len >= sizeof(mark) && memmem(in.ptr, in.len, mark, sizeof(mark) - 1) != NULL;
    *len = in.len + (pem ? 1 : 0);
    *copy = calloc(1, in.len + 1);
    if (*copy && in.len)
        memcpy(*copy, in.ptr, in.len);
    return *copy != NULL;
}

int lmi_mbed_parse_chain(mbedtls_x509_crt *crt, lmail_str in)
{
    unsigned char *copy;
    size_t len;
    if (!terminated(in, &copy, &len))
        return MBEDTLS_ERR_X509_ALLOC_FAILED;
    int rc = mbedtls_x509_crt_parse(crt, copy, len);
    free(copy);
    return rc > 0 ? MBEDTLS_ERR_X509_INVALID_FORMAT : rc; /* above 0: some did not parse */
}

int lmi_mbed_parse_key(mbedtls_pk_context *key, lmail_str in)
{
    unsigned char *copy;
    size_t len;
    if (!terminated(in, &copy, &len))
        return MBEDTLS_ERR_PK_ALLOC_FAILED;
    int rc = mbedtls_pk_parse_key(key, copy, len, NULL, 0, lmi_mbed_random, NULL);
    explicit_bzero(copy, len);
    free(copy);
    return rc;
}

lmail_status lmi_mbed_load_certs(mbed_context *c, const lmail_tls_cert *certs, size_t n,
                                 char *error, size_t cap)
{
    c->certs = calloc(n, sizeof(*c->certs));
    if (!c->certs)
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        mbed_cert *cert = &c->certs[i];
        mbedtls_x509_crt_init(&cert->chain);
        mbedtls_pk_init(&cert->key);
        c->certs_n = i + 1;
        int rc = lmi_mbed_parse_chain(&cert->chain, certs[i].chain);
        if (rc)
            return lmi_mbed_refuse(error, cap, "certificate", i, rc);
        rc = lmi_mbed_parse_key(&cert->key, certs[i].key);
        if (rc)
            return lmi_mbed_refuse(error, cap, "key of certificate", i, rc);
        rc = mbedtls_pk_check_pair(&cert->chain.pk, &cert->key, lmi_mbed_random, NULL);
        if (rc)
            return lmi_mbed_refuse(error, cap, "the key does not fit certificate", i, rc);
    }
    return LMAIL_OK;
}

int lmi_mbed_name_covers(lmail_str pattern, lmail_str host)
{
    if (host.len && host.ptr[host.len - 1] == '.')
        host.len--;
    if (pattern.len > 2 && pattern.ptr[0] == '*' && pattern.ptr[1] == '.') {
        const char *dot = host.len ? memchr(host.ptr, '.', host.len) : NULL;
        if (!dot || dot == host.ptr)
            return 0;
        host = (lmail_str){dot, host.len - (size_t)(dot - host.ptr)};
        pattern = (lmail_str){pattern.ptr + 1, pattern.len - 1};
    }
    return pattern.len && lmail_str_equal_nocase(pattern, host);
}

static int serves(const mbedtls_x509_crt *crt, lmail_str host)
{
    int names = 0;
    for (const mbedtls_x509_sequence *at = &crt->subject_alt_names; at; at = at->next) {
        if (!at->buf.p || (at->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) != MBEDTLS_X509_SAN_DNS_NAME)
            continue;
        names = 1;
        if (lmi_mbed_name_covers((lmail_str){(const char *)at->buf.p, at->buf.len}, host))
            return 1;
    }
    for (const mbedtls_x509_name *at = &crt->subject; !names && at; at = at->next)
        if (at->oid.p && !MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &at->oid) &&
            lmi_mbed_name_covers((lmail_str){(const char *)at->val.p, at->val.len}, host))
            return 1;
    return 0;
}

/* RFC 6066 §3: an unknown name gets the first certificate; the client judges. */
static int name_asked(void *arg, mbedtls_ssl_context *ssl, const unsigned char *name, size_t len)
{
    mbed_context *c = arg;
    mbed_filter *f = mbedtls_ssl_get_user_data_p(ssl);
    lmail_str host = {(const char *)name, len};
    if (len && len < 256 && !memchr(name, 0, len) && !f->server_name)
        f->server_name = strndup(host.ptr, len);
    for (size_t i = 0; i < c->certs_n; i++) { /* an ECDSA and an RSA one may serve the same name */
        mbed_cert *cert = &c->certs[i];
        if (serves(&cert->chain, host) &&
            mbedtls_ssl_set_hs_own_cert(ssl, &cert->chain, &cert->key))
            return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    return 0;
}

/* ---- Rules ----------------------------------------------------------------------------------- */

static int ticket_parse(void *arg, mbedtls_ssl_session *session, unsigned char *buf, size_t len)
{
    int rc = mbedtls_ssl_ticket_parse(arg, session, buf, len);
    if (rc == 0)
        lmi_mbed_ticket_taken();
    return rc;
}

static int use_tickets(mbed_context *c, const lmail_tls_config *config)
{
    if (config->no_tickets || config->verify != LMAIL_TLS_VERIFY_NONE) {
        mbedtls_ssl_conf_session_tickets(&c->conf, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
        return 0;
    }
    uint32_t lifetime = config->ticket_lifetime ? config->ticket_lifetime : TICKET_LIFETIME;
    int rc = mbedtls_ssl_ticket_setup(&c->tickets, lmi_mbed_random, NULL,
                                      MBEDTLS_CIPHER_AES_256_GCM, lifetime);
    mbedtls_ssl_conf_session_tickets_cb(&c->conf, mbedtls_ssl_ticket_write, ticket_parse,
                                        &c->tickets);
    mbedtls_ssl_conf_new_session_tickets(&c->conf, 1);
    return rc;
}

int lmi_mbed_use_alpn(mbed_context *c, const char *const *names, size_t n)
{
    if (!n)
        return 0;
    c->alpn = calloc(n + 1, sizeof(*c->alpn));
    for (size_t i = 0; c->alpn && i < n; i++)
        if (!(c->alpn[i] = strdup(names[i])))
            return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    return c->alpn ? mbedtls_ssl_conf_alpn_protocols(&c->conf, (const char **)c->alpn)
                   : MBEDTLS_ERR_SSL_ALLOC_FAILED;
}

int lmi_mbed_use_rules(mbed_context *c, int end, int tls13_only)
{
    mbedtls_ssl_config *conf = &c->conf;
    int rc = mbedtls_ssl_config_defaults(conf, end, MBEDTLS_SSL_TRANSPORT_STREAM,
                                         MBEDTLS_SSL_PRESET_DEFAULT);
    if (rc)
        return rc;
    mbedtls_ssl_conf_rng(conf, lmi_mbed_random, NULL);
    mbedtls_ssl_conf_min_tls_version(conf, tls13_only ? MBEDTLS_SSL_VERSION_TLS1_3
                                                      : MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_ciphersuites(conf, c->suites);
    mbedtls_ssl_conf_groups(conf, GROUPS);
    /* RFC 8446 §2.2: a resumption has its own key exchange, so that a stolen ticket key opens
     * nothing */
    mbedtls_ssl_conf_tls13_key_exchange_modes(
        conf, MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL |
                  MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_EPHEMERAL);
    mbedtls_ssl_conf_renegotiation(conf, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
    return 0;
}

static int use_server_rules(mbed_context *c, const lmail_tls_config *config)
{
    static const int verify[] = {MBEDTLS_SSL_VERIFY_NONE, MBEDTLS_SSL_VERIFY_OPTIONAL,
                                 MBEDTLS_SSL_VERIFY_REQUIRED};
    mbedtls_ssl_config *conf = &c->conf;
    int rc = lmi_mbed_use_rules(c, MBEDTLS_SSL_IS_SERVER, config->tls13_only != 0);
    if (rc)
        return rc;
    mbedtls_ssl_conf_authmode(conf, verify[config->verify]);
    mbedtls_ssl_conf_sni(conf, name_asked, c);
    rc = mbedtls_ssl_conf_own_cert(conf, &c->certs[0].chain, &c->certs[0].key);
    if (!rc)
        rc = lmi_mbed_use_alpn(c, config->alpn, config->alpn_n);
    return rc ? rc : use_tickets(c, config);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static lmail_status fill(mbed_context *c, const lmail_tls_config *config, char *error, size_t cap)
{
    if (!config->certs_n || config->verify > LMAIL_TLS_VERIFY_REQUIRED) {
        if (error && cap)
            snprintf(error, cap, "%s", config->certs_n ? "unknown verify mode" : "no certificate");
        return LMAIL_ERR_ARG;
    }
    if (!lmi_mbed_suites(config->ciphers, c->suites) && !config->tls13_only) {
        if (error && cap)
            snprintf(error, cap, "ciphers \"%.*s\": none of the suites that are spoken",
                     (int)config->ciphers.len, config->ciphers.ptr);
        return LMAIL_ERR_ARG;
    }
    if (psa_crypto_init() != PSA_SUCCESS) /* once a process; TLS 1.3 works through it */
        return LMAIL_ERR_IO;
    lmail_status st = lmi_mbed_load_certs(c, config->certs, config->certs_n, error, cap);
    if (st)
        return st;
    if (config->verify != LMAIL_TLS_VERIFY_NONE) {
        int rc = lmi_mbed_parse_chain(&c->ca, config->client_ca);
        if (rc)
            return lmi_mbed_refuse(error, cap, "client CA", 0, rc);
        mbedtls_ssl_conf_ca_chain(&c->conf, &c->ca, NULL);
    }
    int rc = use_server_rules(c, config);
    return rc ? lmi_mbed_refuse(error, cap, "TLS rules", 0, rc) : LMAIL_OK;
}

mbed_context *lmi_mbed_context_make(void)
{
    mbed_context *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    mbedtls_ssl_config_init(&c->conf);
    mbedtls_ssl_ticket_init(&c->tickets);
    mbedtls_x509_crt_init(&c->ca);
    return c;
}

lmail_status lmi_mbed_context_new(void **out, const lmail_tls_config *config, char *error,
                                  size_t cap)
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

void lmi_mbed_context_free(void *arg)
{
    mbed_context *c = arg;
    mbedtls_ssl_config_free(&c->conf);
    mbedtls_ssl_ticket_free(&c->tickets);
    mbedtls_x509_crt_free(&c->ca);
    for (size_t i = 0; i < c->certs_n; i++) {
        mbedtls_x509_crt_free(&c->certs[i].chain);
        mbedtls_pk_free(&c->certs[i].key);
    }
    for (size_t i = 0; c->alpn && c->alpn[i]; i++)
        free(c->alpn[i]);
    free(c->alpn);
    free(c->certs);
    free(c);
}
