/* net_mbedtls.h - shared by the files of the mbedTLS engine; nobody else includes it. */
#ifndef LMI_NET_MBEDTLS_H
#define LMI_NET_MBEDTLS_H

#include "net_tls.h"

#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/x509_crt.h>

#if MBEDTLS_VERSION_NUMBER < 0x03060000
#error "mbedTLS 3.6 or later"
#endif

typedef struct mbed_cert {
    mbedtls_x509_crt chain;
    mbedtls_pk_context key;
} mbed_cert;

#define LMI_MBED_SUITES 10u /* all of TLS 1.2 and 1.3, and a 0 */

typedef struct mbed_context {
    mbedtls_ssl_config conf;
    mbedtls_ssl_ticket_context tickets;
    mbedtls_x509_crt ca; /* who may sign the other end's certificates */
    mbed_cert *certs;
    size_t certs_n;
    int suites[LMI_MBED_SUITES];
    char **alpn; /* terminated by NULL, as mbedTLS wants it */
} mbed_context;

typedef struct mbed_filter {
    lmi_tls base; /* first */
    mbedtls_ssl_context ssl;
    char *server_name;
    char *peer_name, *common_name, *subject, *issuer;
    unsigned named;           /* the four names of the peer were taken */
    int ready;                /* the handshake is done */
    struct mbed_check *check; /* of a client: what the server's certificate proved */
} mbed_filter;

lmail_status lmi_mbed_context_new(void **out, const lmail_tls_config *config, char *error,
                                  size_t cap);
mbed_context *lmi_mbed_context_make(void); /* empty; NULL: out of memory */
void lmi_mbed_context_free(void *context);
lmail_status lmi_mbed_client_context_new(void **out, const lmail_tls_client_config *config,
                                         char *error, size_t cap);
lmail_status lmi_mbed_filter_new(lmi_tls **out, void *context);
lmail_status lmi_mbed_client_filter_new(lmi_tls **out, void *context, const char *name, int verify);
void lmi_mbed_filter_free(lmi_tls *f);
lmi_tls_result lmi_mbed_handshake(lmi_tls *f);
lmi_tls_result lmi_mbed_read(lmi_tls *f, char *out, size_t cap, size_t *made);
lmi_tls_result lmi_mbed_write(lmi_tls *f, const char *in, size_t len, size_t *used);
void lmi_mbed_close_notify(lmi_tls *f);
void lmi_mbed_facts(lmi_tls *f, lmail_tls_facts *facts);
lmail_status lmi_mbed_binding(lmi_tls *f, unsigned char out[32]);
void lmi_mbed_peer(const lmi_tls *f, lmail_tls_peer *out);

#define LMI_MBED_NAME 1024u /* of a name's text, its end included */
/* net_mbedtls_name.c. Empty: it does not fit. */
void lmi_mbed_write_name(const mbedtls_x509_name *name, char *out, size_t cap);
void lmi_mbed_write_common_name(const mbedtls_x509_name *name, char *out, size_t cap);

void lmi_mbed_ticket_taken(void); /* the handshake that this thread runs is a resumption */
int lmi_mbed_random(void *unused, unsigned char *out, size_t len); /* for f_rng */
/* For contexts: a text for people and the status of an error. Certificates with their keys; ALPN; the
 * rules that hold at both ends (0, or an error of mbedTLS). */
lmail_status lmi_mbed_refuse(char *error, size_t cap, const char *what, size_t index, int rc);
lmail_status lmi_mbed_load_certs(mbed_context *c, const lmail_tls_cert *certs, size_t n,
                                 char *error, size_t cap);
int lmi_mbed_use_alpn(mbed_context *c, const char *const *names, size_t n);
int lmi_mbed_use_rules(mbed_context *c, int end, int tls13_only);
int64_t lmi_mbed_seconds(const mbedtls_x509_time *at); /* since 1970 */
/* net_mbedtls_check.c: look at the server's certificate in the handshake of this filter. OK,
 * ERR_NOMEM. */
lmail_status lmi_mbed_check_new(mbed_filter *f, const char *name, int verify);
void lmi_mbed_check_free(mbed_filter *f);
int lmi_mbed_check_good(const mbed_filter *f);
int lmi_mbed_check_allows(const mbed_filter *f);        /* the handshake is done: may it count? */
const char *lmi_mbed_check_fault(const mbed_filter *f); /* why it ends a handshake; "": not it */
/* PEM or DER; nothing of mbedTLS may be left out silently. Return 0 or an error of mbedTLS. */
int lmi_mbed_parse_chain(mbedtls_x509_crt *crt, lmail_str in);
int lmi_mbed_parse_key(mbedtls_pk_context *key, lmail_str in);
/* The suites that a list chooses (net_mbedtls_suites.c), ended by 0; empty: all. Returns how many of
 * them are of TLS 1.2. */
size_t lmi_mbed_suites(lmail_str list, int out[LMI_MBED_SUITES]);
/* Does a certificate's name ("*.example.org") cover a host? RFC 6125 §6.4: one label, leftmost. */
int lmi_mbed_name_covers(lmail_str pattern, lmail_str host);

#endif
