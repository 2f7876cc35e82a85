/* host_tls_peer.c - see host_tls_peer.h. */
#include "host_tls_peer.h"

#include <mbedtls/ecp.h>
#include <mbedtls/oid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static int random_cb(void *unused, unsigned char *out, size_t len)
{
    (void)unused;
    return getrandom(out, len, 0) == (ssize_t)len ? 0 : -1;
}

static int send_cb(void *arg, const unsigned char *octets, size_t len)
{
    tls_peer *p = arg;
    if (p->out_len + len > p->out_cap) {
        p->out_cap = (p->out_len + len) * 2;
        p->out = realloc(p->out, p->out_cap);
    }
    memcpy(p->out + p->out_len, octets, len);
    p->out_len += len;
    return (int)len;
}

static int receive_cb(void *arg, unsigned char *octets, size_t cap)
{
    tls_peer *p = arg;
    size_t n = p->in_len < cap ? p->in_len : cap;
    if (!n)
        return MBEDTLS_ERR_SSL_WANT_READ;
    memcpy(octets, p->in, n);
    p->in += n;
    p->in_len -= n;
    return (int)n;
}

int tls_peer_init(tls_peer *p, const tls_peer_options *o)
{
    memset(p, 0, sizeof(*p));
    mbedtls_ssl_config_init(&p->conf);
    mbedtls_ssl_init(&p->ssl);
    mbedtls_x509_crt_init(&p->ca);
    mbedtls_x509_crt_init(&p->crt);
    mbedtls_pk_init(&p->key);
    int rc = mbedtls_ssl_config_defaults(&p->conf, MBEDTLS_SSL_IS_CLIENT,
                                         MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_rng(&p->conf, random_cb, NULL);
    mbedtls_ssl_conf_authmode(&p->conf,
                              o->ca ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        &p->conf, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
    if (!rc && o->ca) {
        rc = mbedtls_x509_crt_parse(&p->ca, (const unsigned char *)o->ca, strlen(o->ca) + 1);
        mbedtls_ssl_conf_ca_chain(&p->conf, &p->ca, NULL);
    }
    if (!rc && o->cert)
        rc = mbedtls_x509_crt_parse(&p->crt, (const unsigned char *)o->cert, strlen(o->cert) + 1);
    if (!rc && o->cert)
        rc = mbedtls_pk_parse_key(&p->key, (const unsigned char *)o->key, strlen(o->key) + 1, NULL,
                                  0, random_cb, NULL);
    if (!rc && o->cert)
        rc = mbedtls_ssl_conf_own_cert(&p->conf, &p->crt, &p->key);
    if (!rc && o->alpn)
        rc = mbedtls_ssl_conf_alpn_protocols(&p->conf, (const char **)o->alpn);
    if (o->max_tls12)
        mbedtls_ssl_conf_max_tls_version(&p->conf, MBEDTLS_SSL_VERSION_TLS1_2);
    if (!rc)
        rc = mbedtls_ssl_setup(&p->ssl, &p->conf);
    if (!rc)
        rc = mbedtls_ssl_set_hostname(&p->ssl, o->server_name);
    if (!rc && o->resume)
        rc = mbedtls_ssl_set_session(&p->ssl, o->resume);
    mbedtls_ssl_set_bio(&p->ssl, p, send_cb, receive_cb, NULL);
    return rc;
}

void tls_peer_done(tls_peer *p)
{
    mbedtls_ssl_free(&p->ssl);
    mbedtls_ssl_config_free(&p->conf);
    mbedtls_x509_crt_free(&p->ca);
    mbedtls_x509_crt_free(&p->crt);
    mbedtls_pk_free(&p->key);
    free(p->out);
}

int tls_peer_handshake(tls_peer *p)
{
    int rc = mbedtls_ssl_handshake(&p->ssl);
    return rc == MBEDTLS_ERR_SSL_WANT_READ ? 1 : rc;
}

int tls_peer_read(tls_peer *p, char *out, size_t cap)
{
    for (;;) {
        int rc = mbedtls_ssl_read(&p->ssl, (unsigned char *)out, cap);
        if (rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
            p->ticket = 1;
            continue;
        }
        if (rc == MBEDTLS_ERR_SSL_WANT_READ && p->in_len)
            continue; /* between two messages */
        return rc == MBEDTLS_ERR_SSL_WANT_READ ? 0 : rc == 0 ? -1 : rc;
    }
}

int tls_peer_write(tls_peer *p, const char *in, size_t len)
{
    while (len) {
        int rc = mbedtls_ssl_write(&p->ssl, (const unsigned char *)in, len);
        if (rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
            p->ticket = 1;
            continue;
        }
        if (rc <= 0)
            return -1;
        in += rc;
        len -= (size_t)rc;
    }
    return 0;
}

/* ---- Certificates ---------------------------------------------------------------------------- */

int tls_identity_make(tls_identity *out, const char *name, const char *host, const char *mail)
{
    tls_identity_options o = {.name = name, .host = host, .mail = mail};
    return tls_identity_make_with(out, &o);
}

int tls_identity_make_with(tls_identity *out, const tls_identity_options *o)
{
    static int serials;
    mbedtls_asn1_sequence client_auth = {
        .buf = {.tag = MBEDTLS_ASN1_OID,
                .len = MBEDTLS_OID_SIZE(MBEDTLS_OID_CLIENT_AUTH),
                .p = (unsigned char *)(uintptr_t)MBEDTLS_OID_CLIENT_AUTH}};
    mbedtls_x509write_cert crt;
    mbedtls_pk_context key;
    mbedtls_x509_san_list san = {0};
    char subject[128];
    unsigned char serial = (unsigned char)++serials;
    snprintf(subject, sizeof(subject), "CN=%s", o->name);
    san.node.type = o->ip     ? MBEDTLS_X509_SAN_IP_ADDRESS
                    : o->mail ? MBEDTLS_X509_SAN_RFC822_NAME
                              : MBEDTLS_X509_SAN_DNS_NAME;
    const char *alternative = o->ip ? (const char *)o->ip : o->mail ? o->mail : o->host;
    if (alternative) {
        san.node.san.unstructured_name.p = (unsigned char *)alternative;
        san.node.san.unstructured_name.len = o->ip ? 4 : strlen(alternative);
    }
    mbedtls_pk_init(&key);
    mbedtls_x509write_crt_init(&crt);
    int rc = mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    rc |= mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key), random_cb, NULL);
    rc |= mbedtls_pk_write_key_pem(&key, (unsigned char *)out->key, sizeof(out->key));
    mbedtls_x509write_crt_set_version(&crt, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&crt, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&crt, &key);
    mbedtls_x509write_crt_set_issuer_key(&crt, &key);
    rc |= mbedtls_x509write_crt_set_serial_raw(&crt, &serial, 1);
    rc |= mbedtls_x509write_crt_set_subject_name(&crt, subject);
    rc |= mbedtls_x509write_crt_set_issuer_name(&crt, subject);
    rc |= mbedtls_x509write_crt_set_validity(&crt, o->since ? o->since : "20200101000000",
                                             o->until ? o->until : "20491231235959");
    if (o->for_clients)
        rc |= mbedtls_x509write_crt_set_ext_key_usage(&crt, &client_auth);
    if (alternative)
        rc |= mbedtls_x509write_crt_set_subject_alternative_name(&crt, &san);
    rc |= mbedtls_x509write_crt_pem(&crt, (unsigned char *)out->cert, sizeof(out->cert), random_cb,
                                    NULL);
    mbedtls_x509write_crt_free(&crt);
    mbedtls_pk_free(&key);
    return rc;
}
