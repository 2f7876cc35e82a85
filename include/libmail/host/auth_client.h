/* libmail/host/auth_client.h - logging in at somebody else's server: SASL mechanisms from the
 * client's side.
 *
 * One lmail_auth_client a connection; it knows nothing of the protocol around it. Over SMTP:
 *
 *     on_auth, step 0             lmail_auth_client_choose, then _step without a challenge
 *     on_auth, a challenge        lmail_auth_client_step; an error: cancel
 *     on_auth, step 0 again       _choose goes on to the next mechanism
 *     on_auth, finished           lmail_auth_client_proven: an error: do not believe it
 *
 * A step may cost what the server asks for (SCRAM's iterations, up to a second): run it on a worker
 * where others wait on the loop. One thread at a time.
 *
 * Sources: RFC 4422 (SASL), RFC 4616 (PLAIN), RFC 5802 and 7677 (SCRAM), RFC 9266 (tls-exporter),
 * RFC 2195 (CRAM-MD5), RFC 2831 (DIGEST-MD5), RFC 7628 (OAUTHBEARER).
 */
#ifndef LIBMAIL_HOST_AUTH_CLIENT_H
#define LIBMAIL_HOST_AUTH_CLIENT_H

#include <libmail/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_auth_client lmail_auth_client;

/* Who we are there; none holds a NUL. AuthInfo: of the access map has them as U, I, P, R and M
 * (lmail_policy_auth_info). */
typedef struct lmail_auth_credentials {
    size_t size;
    lmail_str user;       /* whose password it is; empty: authzid */
    lmail_str authzid;    /* whom to act as; empty, or equal to user: as user */
    lmail_str password;   /* empty: no mechanism that needs one is chosen */
    lmail_str token;      /* for OAUTHBEARER and XOAUTH2; empty: they are not chosen */
    lmail_str realm;      /* DIGEST-MD5's; empty: the first that the server names */
    lmail_str mechanisms; /* that may be used, blanks between, case does not matter; empty: all.
                           * EXTERNAL beside a password or a token only when it is named here */
} lmail_auth_credentials;

#define LMAIL_AUTH_CREDENTIALS_INIT                                                                \
    {                                                                                              \
        sizeof(lmail_auth_credentials), {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0},     \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }

LMAIL_API void lmail_auth_credentials_init(lmail_auth_credentials *credentials);

/* What is known of the connection. */
typedef struct lmail_auth_server {
    size_t size;
    lmail_str service;        /* "smtp", "imap" or "pop" */
    lmail_str hostname;       /* the server's; DIGEST-MD5 and OAUTHBEARER say it */
    unsigned port;            /* OAUTHBEARER says it; 0: it does not */
    unsigned secure;          /* not 0: nobody can listen in: TLS, or a path that is trusted */
    lmail_str exporter;       /* as in lmail_auth_facts; empty: no -PLUS */
    unsigned certificate;     /* not 0: we have shown a certificate of ours: EXTERNAL may do */
    unsigned allow_cleartext; /* not 0: passwords and tokens also where secure is 0 */
} lmail_auth_server;

#define LMAIL_AUTH_SERVER_INIT                                                                     \
    {                                                                                              \
        sizeof(lmail_auth_server), {NULL, 0}, {NULL, 0}, 0, 0, {NULL, 0}, 0, 0                     \
    }

LMAIL_API void lmail_auth_server_init(lmail_auth_server *server);

/* All is copied, and wiped by free.
 * Returns: OK, ERR_SIZE, ERR_ARG (a NUL, or no user where a password or token is), ERR_NOMEM. */
LMAIL_API lmail_status lmail_auth_client_new(lmail_auth_client **out,
                                             const lmail_auth_credentials *credentials,
                                             const lmail_auth_server *server);

/* NULL is allowed. */
LMAIL_API void lmail_auth_client_free(lmail_auth_client *c);

/* The strongest mechanism of the server's offer (names with blanks between) that may be used here
 * and was not chosen before: SCRAM with channel binding, SCRAM (each with SHA-256, then SHA-1),
 * DIGEST-MD5, CRAM-MD5, OAUTHBEARER, XOAUTH2, EXTERNAL, PLAIN, LOGIN. What can be overheard only
 * where the connection is secure, or allow_cleartext. It begins a new exchange.
 *   mechanism   out: a static slice, in upper case
 * Returns: OK, ERR_NOTFOUND (none is left), ERR_NOMEM. */
LMAIL_API lmail_status lmail_auth_client_choose(lmail_auth_client *c, lmail_str offer,
                                                lmail_str *mechanism);

/* One step of the exchange.
 *   challenge      decoded; NULL at the first step alone
 *   response       out: raw octets, may be empty; secret; lives until the next call
 *   has_response   out, first step: 0: the mechanism begins with a challenge
 * Returns: OK; ERR_DENIED (the server's proof or challenge is wrong, or asks for too much: cancel);
 * ERR_STATE (nothing was chosen, or the exchange is over); ERR_NOMEM. */
LMAIL_API lmail_status lmail_auth_client_step(lmail_auth_client *c, const lmail_str *challenge,
                                              lmail_str *response, unsigned *has_response);

/* The server says that we are in. Returns: OK; ERR_DENIED (its own proof, which SCRAM and DIGEST-MD5
 * demand, has not come, or the exchange was not at its end: somebody who does not know the password
 * may stand there). */
LMAIL_API lmail_status lmail_auth_client_proven(const lmail_auth_client *c);

#ifdef __cplusplus
}
#endif

#endif
