/* net_tls.h - what a TLS library does for us: contexts with certificates, and filters that turn
 * ciphertext into plaintext and back in memory. No sockets here.
 *
 * One engine stands behind the table (net_mbedtls.c). A filter belongs to one thread at a time; its
 * context is immutable and shared. */
#ifndef LMI_NET_TLS_H
#define LMI_NET_TLS_H

#include <libmail/host/tls.h>
#include <libmail/session.h>

#include <stdatomic.h>

#define LMI_TLS_RECORD 16383u /* most octets of one write */

typedef enum lmi_tls_result {
    LMI_TLS_OK,
    LMI_TLS_WANT, /* all input is taken, more is needed */
    LMI_TLS_END,  /* the peer said close_notify */
    LMI_TLS_FAIL  /* the connection is no longer of use; an alert may wait in out */
} lmi_tls_result;

/* The part of a filter that is the same for every engine. */
typedef struct lmi_tls {
    lmail_tls *context; /* one reference */
    const char *in;     /* ciphertext that is not yet taken; borrowed until it is */
    size_t in_len;
    char *out; /* ciphertext for the peer: out[out_from..out_to) */
    size_t out_from, out_to, out_cap;
    int pinned; /* out is being written: what is in it may not move */
    int resumed;
    char *fault; /* why it failed, for people; NULL: it has not */
} lmi_tls;

typedef struct lmi_tls_engine {
    const char *name;
    lmail_status (*context_new)(void **out, const lmail_tls_config *config, char *error,
                                size_t cap);
    void (*context_free)(void *context);
    lmail_status (*client_context_new)(void **out, const lmail_tls_client_config *config,
                                       char *error, size_t cap);
    lmail_status (*filter_new)(lmi_tls **out, void *context);
    lmail_status (*client_filter_new)(lmi_tls **out, void *context, const char *name, int verify);
    void (*filter_free)(lmi_tls *f);
    lmi_tls_result (*handshake)(lmi_tls *f);
    lmi_tls_result (*read)(lmi_tls *f, char *out, size_t cap, size_t *made);
    lmi_tls_result (*write)(lmi_tls *f, const char *in, size_t len, size_t *used);
    void (*close_notify)(lmi_tls *f);
    void (*facts)(lmi_tls *f, lmail_tls_facts *facts); /* slices live as long as the filter */
    lmail_status (*binding)(lmi_tls *f, unsigned char out[32]); /* tls-exporter, RFC 9266 */
    void (*peer)(const lmi_tls *f, lmail_tls_peer *out);        /* of client filters */
} lmi_tls_engine;

extern const lmi_tls_engine lmi_mbedtls;

struct lmail_tls {
    atomic_uint refs;
    const lmi_tls_engine *engine;
    void *context;
    int client; /* for connections that we make */
};

lmail_status lmi_tls_new(lmi_tls **out, lmail_tls *context);
/* name: of the server, or NULL; verify: its certificate must be good. */
lmail_status lmi_tls_new_client(lmi_tls **out, lmail_tls *context, const char *name, int verify);
void lmi_tls_free(lmi_tls *f); /* NULL is allowed */

/* Hand over ciphertext; what is not taken by the next calls stays in f->in. */
void lmi_tls_input(lmi_tls *f, const char *in, size_t len);
lmi_tls_result lmi_tls_handshake(lmi_tls *f);
lmi_tls_result lmi_tls_read(lmi_tls *f, char *out, size_t cap, size_t *made); /* as much as fits */
lmi_tls_result lmi_tls_write(lmi_tls *f, const char *in, size_t len, size_t *used);
void lmi_tls_close_notify(lmi_tls *f);
void lmi_tls_facts(lmi_tls *f, lmail_tls_facts *facts);
lmail_status lmi_tls_binding(lmi_tls *f, unsigned char out[32]);
void lmi_tls_peer(const lmi_tls *f, lmail_tls_peer *out);

/* Ciphertext for the peer, and that n octets of it were sent. It does not move before that unless
 * handshake, write or close_notify is called. */
lmail_str lmi_tls_peek(const lmi_tls *f);
void lmi_tls_sent(lmi_tls *f, size_t n);
void lmi_tls_rest(lmi_tls *f); /* give the empty output buffer back */

/* For engines: append ciphertext to out. OK or ERR_NOMEM. */
lmail_status lmi_tls_emit(lmi_tls *f, const void *octets, size_t len);

#endif
