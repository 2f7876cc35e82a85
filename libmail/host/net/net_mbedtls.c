/* net_mbedtls.c - the TLS engine on mbedTLS 3.6: filters. Contexts are in net_mbedtls_context.c.
 *
 * mbedTLS reads and writes through two callbacks; here both work on memory, so that a filter runs
 * byte by byte under test and on any thread. Whatever error it gives that is not plainly "more
 * input" or "close_notify" ends the connection: KeyUpdate, for one, which 3.6 does not know. */
#include "net_mbedtls.h"

#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/x509_crt.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local lmi_tls *in_step; /* whose handshake this thread runs: for ticket_taken */

static int send_cb(void *arg, const unsigned char *octets, size_t len)
{
    mbed_filter *f = arg;
    if (len > INT32_MAX || lmi_tls_emit(&f->base, octets, len))
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    return (int)len;
}

static int receive_cb(void *arg, unsigned char *octets, size_t cap)
{
    mbed_filter *f = arg;
    size_t n = f->base.in_len < cap ? f->base.in_len : cap;
    if (n == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    memcpy(octets, f->base.in, n);
    f->base.in += n;
    f->base.in_len -= n;
    return (int)n;
}

lmail_status lmi_mbed_filter_new(lmi_tls **out, void *arg)
{
    mbed_context *context = arg;
    mbed_filter *f = calloc(1, sizeof(*f));
    if (!f)
        return LMAIL_ERR_NOMEM;
    mbedtls_ssl_init(&f->ssl);
    if (mbedtls_ssl_setup(&f->ssl, &context->conf)) {
        mbedtls_ssl_free(&f->ssl);
        free(f);
        return LMAIL_ERR_NOMEM;
    }
    mbedtls_ssl_set_bio(&f->ssl, f, send_cb, receive_cb, NULL);
    mbedtls_ssl_set_user_data_p(&f->ssl, f);
    *out = &f->base;
    return LMAIL_OK;
}

void lmi_mbed_filter_free(lmi_tls *base)
{
    mbed_filter *f = (mbed_filter *)base;
    mbedtls_ssl_free(&f->ssl);
    free(f->server_name);
    free(f->peer_name);
    free(f->common_name);
    free(f->subject);
    free(f->issuer);
    lmi_mbed_check_free(f);
    free(f);
}

/* Why it ends, once: what the certificate lacks says more than the engine's word for it. */
static lmi_tls_result fails(mbed_filter *f, int rc)
{
    char why[128] = "";
    const char *text = f->ready ? "" : lmi_mbed_check_fault(f);
    if (f->base.fault)
        return LMI_TLS_FAIL;
    if (!*text && rc == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
        text = "the peer broke TLS off with an alert";
    if (!*text) {
        mbedtls_strerror(rc, why, sizeof(why));
        text = why;
    }
    f->base.fault = strdup(text);
    return LMI_TLS_FAIL;
}

static lmi_tls_result result_of(mbed_filter *f, int rc)
{
    switch (rc) {
    case MBEDTLS_ERR_SSL_WANT_READ:
        return LMI_TLS_WANT;
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
    case 0:
        return LMI_TLS_END;
    default:
        return fails(f, rc);
    }
}

/* mbedTLS may say "more input" between two messages of one read: as long as there is some and it
 * goes on, ask again. 1: again. */
static int goes_on(const mbed_filter *f, int rc, size_t before, int *idle)
{
    if (rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) /* between two records; not kept */
        return 1;
    if (rc != MBEDTLS_ERR_SSL_WANT_READ || !f->base.in_len)
        return 0;
    *idle = f->base.in_len < before ? 0 : *idle + 1;
    return *idle < 4;
}

void lmi_mbed_ticket_taken(void)
{
    if (in_step)
        in_step->resumed = 1;
}

lmi_tls_result lmi_mbed_handshake(lmi_tls *base)
{
    mbed_filter *f = (mbed_filter *)base;
    size_t before;
    int rc, idle = 0;
    in_step = base;
    do {
        before = base->in_len;
        rc = mbedtls_ssl_handshake(&f->ssl);
    } while (goes_on(f, rc, before, &idle));
    in_step = NULL;
    if (rc == 0 && !lmi_mbed_check_allows(f))
        return fails(f, MBEDTLS_ERR_X509_CERT_VERIFY_FAILED);
    f->ready = rc == 0;
    if (rc == 0)
        return LMI_TLS_OK;
    return rc == MBEDTLS_ERR_SSL_WANT_READ && !base->in_len ? LMI_TLS_WANT : fails(f, rc);
}

lmi_tls_result lmi_mbed_read(lmi_tls *base, char *out, size_t cap, size_t *made)
{
    mbed_filter *f = (mbed_filter *)base;
    size_t before;
    int rc, idle = 0;
    do {
        before = base->in_len;
        rc = mbedtls_ssl_read(&f->ssl, (unsigned char *)out, cap);
    } while (goes_on(f, rc, before, &idle));
    *made = rc > 0 ? (size_t)rc : 0;
    if (rc == MBEDTLS_ERR_SSL_WANT_READ && base->in_len)
        return fails(f, rc);
    return rc > 0 ? LMI_TLS_OK : result_of(f, rc);
}

lmi_tls_result lmi_mbed_write(lmi_tls *base, const char *in, size_t len, size_t *used)
{
    mbed_filter *f = (mbed_filter *)base;
    int rc = mbedtls_ssl_write(&f->ssl, (const unsigned char *)in, len);
    *used = rc > 0 ? (size_t)rc : 0;
    return rc > 0 ? LMI_TLS_OK : fails(f, rc);
}

void lmi_mbed_close_notify(lmi_tls *base)
{
    mbedtls_ssl_close_notify(&((mbed_filter *)base)->ssl);
}

/* ---- Facts ----------------------------------------------------------------------------------- */

static char *copy_name(const unsigned char *text, size_t len)
{
    if (len == 0 || len > 255 || memchr(text, 0, len))
        return NULL;
    char *out = malloc(len + 1);
    if (!out)
        return NULL;
    memcpy(out, text, len);
    out[len] = 0;
    return out;
}

/* Who the certificate is for: its first rfc822Name, else its common name (RFC 8314 §3.4 leaves the
 * mapping to the site; both are what mail clients' certificates carry). */
static char *identity(const mbedtls_x509_crt *crt)
{
    for (const mbedtls_x509_sequence *at = &crt->subject_alt_names; at; at = at->next) {
        mbedtls_x509_subject_alternative_name name;
        if (!at->buf.p || mbedtls_x509_parse_subject_alt_name(&at->buf, &name))
            continue;
        char *found = name.type == MBEDTLS_X509_SAN_RFC822_NAME
                          ? copy_name(name.san.unstructured_name.p, name.san.unstructured_name.len)
                          : NULL;
        mbedtls_x509_free_subject_alt_name(&name);
        if (found)
            return found;
    }
    for (const mbedtls_x509_name *at = &crt->subject; at; at = at->next)
        if (at->oid.p && !MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &at->oid))
            return copy_name(at->val.p, at->val.len);
    return NULL;
}

static void take_names(mbed_filter *f, const mbedtls_x509_crt *peer)
{
    char text[LMI_MBED_NAME];
    f->named = 1;
    f->peer_name = f->check ? strdup(f->server_name) : identity(peer);
    lmi_mbed_write_common_name(&peer->subject, text, sizeof text);
    f->common_name = strdup(text);
    lmi_mbed_write_name(&peer->subject, text, sizeof text);
    f->subject = strdup(text);
    lmi_mbed_write_name(&peer->issuer, text, sizeof text);
    f->issuer = strdup(text);
}

void lmi_mbed_facts(lmi_tls *base, lmail_tls_facts *facts)
{
    mbed_filter *f = (mbed_filter *)base;
    const mbedtls_x509_crt *peer = mbedtls_ssl_get_peer_cert(&f->ssl);
    const mbedtls_ssl_ciphersuite_t *suite =
        mbedtls_ssl_ciphersuite_from_id(mbedtls_ssl_get_ciphersuite_id_from_ssl(&f->ssl));
    facts->version = lmail_str_from(mbedtls_ssl_get_version(&f->ssl));
    facts->cipher = lmail_str_from(mbedtls_ssl_get_ciphersuite(&f->ssl));
    facts->bits = suite ? (unsigned)mbedtls_ssl_ciphersuite_get_cipher_key_bitlen(suite) : 0;
    facts->server_name = lmail_str_from(f->server_name);
    facts->alpn = lmail_str_from(mbedtls_ssl_get_alpn_protocol(&f->ssl));
    facts->peer_verified =
        peer && (f->check ? lmi_mbed_check_good(f) : mbedtls_ssl_get_verify_result(&f->ssl) == 0);
    facts->peer_rejected = peer && !facts->peer_verified;
    if (facts->peer_verified && !f->named)
        take_names(f, peer);
    facts->peer_name = lmail_str_from(f->peer_name);
    facts->peer_common_name = lmail_str_from(f->common_name);
    facts->peer_subject = lmail_str_from(f->subject);
    facts->peer_issuer = lmail_str_from(f->issuer);
}

/* RFC 9266 §2: for TLS 1.3 always; TLS 1.2 would need the extended master secret proven. */
lmail_status lmi_mbed_binding(lmi_tls *base, unsigned char out[32])
{
    static const char label[] = "EXPORTER-Channel-Binding";
    mbed_filter *f = (mbed_filter *)base;
    if (mbedtls_ssl_get_version_number(&f->ssl) != MBEDTLS_SSL_VERSION_TLS1_3)
        return LMAIL_ERR_UNSUPPORTED;
    int rc =
        mbedtls_ssl_export_keying_material(&f->ssl, out, 32, label, sizeof(label) - 1, NULL, 0, 1);
    return rc ? LMAIL_ERR_UNSUPPORTED : LMAIL_OK;
}

const lmi_tls_engine lmi_mbedtls = {
    .name = "mbedtls",
    .context_new = lmi_mbed_context_new,
    .context_free = lmi_mbed_context_free,
    .client_context_new = lmi_mbed_client_context_new,
    .filter_new = lmi_mbed_filter_new,
    .client_filter_new = lmi_mbed_client_filter_new,
    .filter_free = lmi_mbed_filter_free,
    .handshake = lmi_mbed_handshake,
    .read = lmi_mbed_read,
    .write = lmi_mbed_write,
    .close_notify = lmi_mbed_close_notify,
    .facts = lmi_mbed_facts,
    .binding = lmi_mbed_binding,
    .peer = lmi_mbed_peer,
};
