/* libmail/host/tls.h - certificates and the rules of TLS connections: of those that a listener takes
 * (lmail_tls_new), and of those that we make (lmail_tls_new_client).
 *
 * A lmail_tls is immutable once made and counted by reference: a listener takes a reference for its
 * new connections, each connection one for its life. To reload certificates make a new lmail_tls
 * and hand it to lmail_listener_update: running connections keep the old one.
 *
 * Fixed: TLS 1.2 and 1.3, cipher suites with ECDHE and an AEAD only, no renegotiation, no early
 * data.
 *
 * Sources: RFC 8446, RFC 5246, RFC 9325 (recommendations), RFC 6066 §3 (SNI), RFC 7301 (ALPN), RFC
 * 9525 (names in certificates).
 */
#ifndef LIBMAIL_HOST_TLS_H
#define LIBMAIL_HOST_TLS_H

#include <libmail/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_tls lmail_tls;

/* A certificate chain (leaf first) and its private key, each PEM text or DER octets. Borrowed for
 * the call. The names that it serves are those in its subjectAltName, else its common name. */
typedef struct lmail_tls_cert {
    lmail_str chain;
    lmail_str key;
} lmail_tls_cert;

typedef enum lmail_tls_verify {
    LMAIL_TLS_VERIFY_NONE = 0, /* no client certificate is asked for */
    LMAIL_TLS_VERIFY_OPTIONAL, /* asked for; one that is not valid is reported as absent */
    LMAIL_TLS_VERIFY_REQUIRED  /* without a valid one the handshake fails */
} lmail_tls_verify;

typedef struct lmail_tls_config {
    size_t size;
    const lmail_tls_cert *certs; /* the first serves clients that name none or an unknown host */
    size_t certs_n;
    /* Protocols that are spoken, best first ("imap"); NULL: ALPN is ignored. A client that offers
     * only others is refused (RFC 7301 §3.2). */
    const char *const *alpn;
    size_t alpn_n;
    lmail_tls_verify verify;
    lmail_str client_ca; /* PEM: who may sign client certificates. Needed unless verify is NONE */
    unsigned tls13_only; /* not 0: refuse TLS 1.2 */
    unsigned no_tickets; /* not 0: no session resumption. Implied when verify is not NONE */
    unsigned ticket_lifetime; /* seconds until ticket keys rotate; 0 means 86400 */
    /* Which of our TLS 1.2 suites are spoken, best first, in the notation of openssl-ciphers(1):
     * "ECDHE-RSA-AES256-GCM-SHA384:AESGCM:!aRSA". Words that mean none of ours choose nothing.
     * Empty: all. Those of TLS 1.3 are always spoken. */
    lmail_str ciphers;
} lmail_tls_config;

#define LMAIL_TLS_CONFIG_INIT                                                                      \
    {                                                                                              \
        sizeof(lmail_tls_config), NULL, 0, NULL, 0, LMAIL_TLS_VERIFY_NONE, {NULL, 0}, 0, 0, 0,     \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }

LMAIL_API void lmail_tls_config_init(lmail_tls_config *config);

/* Make one; *out has one reference.
 *   error   filled with a terminated text for people when it fails (may be NULL, cap 0)
 * Returns: OK, ERR_SIZE, ERR_ARG (no certificate, or one that does not parse or fit its key;
 * ciphers that choose none, unless tls13_only),
 * ERR_NOMEM. */
LMAIL_API lmail_status lmail_tls_new(lmail_tls **out, const lmail_tls_config *config, char *error,
                                     size_t cap);

/* ---- Connections that we make ---------------------------------------------------------------- */

/* Every server's certificate is checked; whether one that is not good ends the handshake says each
 * connection (lmail_connect_config.tls_verify). */
typedef struct lmail_tls_client_config {
    size_t size;
    const lmail_tls_cert *cert; /* shown to servers that ask for one; NULL: none */
    /* Who may sign servers' certificates, all of these together. None of them: nobody may, and no
     * server is ever verified. */
    lmail_str ca;             /* PEM; what of it cannot be read is left out, as long as one can */
    const char *ca_directory; /* PEM or DER files in it, read now; NULL: none */
    unsigned system_ca;       /* not 0: and those that the system's file of authorities names */
    const char *const *alpn;  /* protocols that are offered; NULL: none */
    size_t alpn_n;
    unsigned tls13_only; /* not 0: no TLS 1.2 */
    lmail_str ciphers;   /* as lmail_tls_config.ciphers */
    /* Not 0: no TLS 1.3. For a second attempt at a server that speaks 1.2 and signs with RSASSA-PSS
     * when that is offered, which TLS 1.3 cannot go without (RFC 8446 §4.2.3) and which this engine
     * does not know in 1.2. Not together with tls13_only. */
    unsigned tls12_only;
} lmail_tls_client_config;

#define LMAIL_TLS_CLIENT_CONFIG_INIT                                                               \
    {                                                                                              \
        sizeof(lmail_tls_client_config), NULL, {NULL, 0}, NULL, 0, NULL, 0, 0, {NULL, 0}, 0        \
    }

LMAIL_API void lmail_tls_client_config_init(lmail_tls_client_config *config);

/* Make one for lmail_conn_connect; *out has one reference. No listener takes it.
 *   error   as for lmail_tls_new
 * Returns: OK, ERR_SIZE, ERR_ARG (certificate or authorities do not parse, the key does not fit,
 * ciphers that choose none), ERR_IO (the directory, or the system's authorities, cannot be read),
 * ERR_NOMEM. */
LMAIL_API lmail_status lmail_tls_new_client(lmail_tls **out, const lmail_tls_client_config *config,
                                            char *error, size_t cap);

/* What a server's certificate says and proved. Slices live as long as the connection; distinguished
 * names as the classic installation writes them: "/C=AR/O=Example+20SA/CN=mx.example", in which
 * +HH is an octet, and a '/' of a value stands behind a backslash; empty when longer than 1023 octets. */
typedef struct lmail_tls_peer {
    size_t size;
    unsigned shown;        /* there is one */
    unsigned trusted;      /* an authority that we know vouches for it, and it holds today */
    unsigned name_matches; /* one of its names is the one that was asked for: a dNSName (RFC 9525
                            * §6.3: "*" for the leftmost label alone) or an iPAddress. The common
                            * name does not count (§2) */
    lmail_str fault;       /* why not, for people: "certificate expired 3 days ago"; else empty */
    lmail_str common_name; /* of its subject */
    lmail_str subject, issuer;
} lmail_tls_peer;

#define LMAIL_TLS_PEER_INIT                                                                        \
    {                                                                                              \
        sizeof(lmail_tls_peer), 0, 0, 0, {NULL, 0}, {NULL, 0}, {NULL, 0},                          \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }

LMAIL_API void lmail_tls_peer_init(lmail_tls_peer *peer);

/* ---- Both ------------------------------------------------------------------------------------ */

/* Take another reference; returns tls. Any thread. */
LMAIL_API lmail_tls *lmail_tls_hold(lmail_tls *tls);

/* Give a reference back; the last one frees and wipes the keys. NULL is allowed. Any thread. */
LMAIL_API void lmail_tls_release(lmail_tls *tls);

/* What a certificate is good for, before anybody serves with it. */
typedef struct lmail_tls_finding {
    const char *at_fault;          /* after ERR_ARG: "certificate", "key" or "pair" */
    int64_t not_before, not_after; /* of the leaf, seconds since 1970 */
    int64_t chain_after;           /* the first of the chain to expire */
} lmail_tls_finding;

/* Look at a chain and, unless cert->key is empty, at its key: does each parse, do they belong together,
 * when does it hold? What is expired is no error.
 *   error   as for lmail_tls_new: why, without the name of what
 * Returns: OK, ERR_ARG, ERR_NOMEM. */
LMAIL_API lmail_status lmail_tls_examine(const lmail_tls_cert *cert, lmail_tls_finding *out,
                                         char *error, size_t cap);

/* Make a self-signed P-256 certificate for `host` (and localhost), valid ten years, unless both
 * files exist already. Each file appears whole or not at all; the key has mode 0600.
 *   error   as for lmail_tls_new
 * Returns: OK (made), ERR_EXISTS (both are there, untouched), ERR_ARG, ERR_IO, ERR_NOMEM. */
LMAIL_API lmail_status lmail_tls_self_signed(const char *cert_path, const char *key_path,
                                             const char *host, char *error, size_t cap);

#ifdef __cplusplus
}
#endif

#endif
