/* host_tls_peer.h - the client's end of TLS, in memory, on mbedTLS itself: what a mail client would
 * have. Octets go in and out through two growing buffers. */
#ifndef TESTS_HOST_TLS_PEER_H
#define TESTS_HOST_TLS_PEER_H

#include <libmail/base.h>

#include <mbedtls/ssl.h>

typedef struct tls_peer_options {
    const char *server_name;
    const char *ca;          /* PEM; NULL: nothing is verified */
    const char *const *alpn; /* terminated by NULL */
    const char *cert, *key;  /* PEM of a client certificate */
    int max_tls12;
    mbedtls_ssl_session *resume;
} tls_peer_options;

typedef struct tls_peer {
    mbedtls_ssl_config conf;
    mbedtls_ssl_context ssl;
    mbedtls_x509_crt ca, crt;
    mbedtls_pk_context key;
    const char *in;
    size_t in_len;
    char *out;
    size_t out_len, out_cap;
    int ticket; /* a new session ticket has come */
} tls_peer;

int tls_peer_init(tls_peer *p, const tls_peer_options *options); /* 0: done */
void tls_peer_done(tls_peer *p);
/* 0: done, 1: wants input, below: failed. Takes from p->in. */
int tls_peer_handshake(tls_peer *p);
int tls_peer_read(tls_peer *p, char *out, size_t cap); /* octets; 0: none; below: end or failed */
int tls_peer_write(tls_peer *p, const char *in, size_t len);

/* A self-signed P-256 certificate and its key as PEM: for a host (dNSName) or a person (rfc822Name
 * when mail is not NULL; common name). */
typedef struct tls_identity {
    char cert[4096], key[1024];
} tls_identity;
int tls_identity_make(tls_identity *out, const char *name, const char *host, const char *mail);

typedef struct tls_identity_options {
    const char *name, *host, *mail;
    const unsigned char *ip;   /* 4 octets of an iPAddress, in place of host and mail */
    int for_clients;           /* extKeyUsage: clientAuth alone */
    const char *since, *until; /* "20200101000000"; NULL: from 2020, to 2049 */
} tls_identity_options;
int tls_identity_make_with(tls_identity *out, const tls_identity_options *options);

#endif
