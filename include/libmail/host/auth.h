/* libmail/host/auth.h - logging in: SASL mechanisms, password checks, the price of failing.
 *
 * One lmail_auth per service, made from the configuration and shared by all threads; one
 * lmail_auth_exchange per AUTH command, used by one thread at a time.
 *
 *     a client asks what there is    lmail_auth_offer                        on the loop, cheap
 *     AUTH MECHANISM [initial]       lmail_auth_exchange_new, then _step     on a worker: it blocks
 *     each further response          lmail_auth_exchange_step                on a worker
 *     "*", or the client left        lmail_auth_exchange_free
 *     USER/PASS, LOGIN, APOP         lmail_auth_password, lmail_auth_apop    on a worker
 *
 * A result carries the answer for the session (libmail/sasl.h). A failure also says how many
 * milliseconds after the question was asked the reply may go out; counted from there, the delay
 * hides how long the check took. A name that does not exist, a wrong password and an account
 * without the right kind of secret look the same: same number of steps, same data, same work, same
 * delay.
 *
 * Sources: RFC 4422 (SASL), RFC 4616 (PLAIN), RFC 5802 and 7677 (SCRAM), RFC 9266 (tls-exporter),
 * RFC 2195 (CRAM-MD5), RFC 2831 (DIGEST-MD5), RFC 4505 (ANONYMOUS), RFC 7628 (OAUTHBEARER).
 */
#ifndef LIBMAIL_HOST_AUTH_H
#define LIBMAIL_HOST_AUTH_H

#include <libmail/base.h>
#include <libmail/host/accounts.h>
#include <libmail/sasl.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_auth lmail_auth;
typedef struct lmail_auth_exchange lmail_auth_exchange;

/* ---- Connection facts ------------------------------------------------------------------------ */

/* What is known of the connection when a mechanism list or an exchange is asked for. */
typedef struct lmail_auth_facts {
    size_t size;
    unsigned secure;    /* not 0: nobody can listen in: TLS, or a path the administrator trusts */
    lmail_str exporter; /* tls-exporter octets of this TLS 1.3 connection, label
                         * "EXPORTER-Channel-Binding", 32 octets (RFC 9266 §4.2); empty
                         * otherwise: no -PLUS is offered */
    unsigned peer_verified; /* not 0: the client's certificate was verified */
    lmail_str peer_name;    /* the identity in it; EXTERNAL needs both */
    lmail_str address;      /* the client's address as text, for the delays; may be empty */
} lmail_auth_facts;

#define LMAIL_AUTH_FACTS_INIT                                                                      \
    {                                                                                              \
        sizeof(lmail_auth_facts), 0, {NULL, 0}, 0, {NULL, 0},                                      \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }

LMAIL_API void lmail_auth_facts_init(lmail_auth_facts *facts);

/* ---- Results --------------------------------------------------------------------------------- */

/* Why a login failed, for the log. The wire learns only what answer.failure says, which is
 * CREDENTIALS for most of them. */
typedef enum lmail_auth_reason {
    LMAIL_AUTH_REASON_NONE = 0,
    LMAIL_AUTH_REASON_CREDENTIALS, /* unknown name or wrong secret */
    LMAIL_AUTH_REASON_DISABLED,    /* the account may not log in */
    LMAIL_AUTH_REASON_NO_SECRET,   /* the account has nothing this mechanism could check */
    LMAIL_AUTH_REASON_AUTHZID,     /* it asked to act as someone else */
    LMAIL_AUTH_REASON_MALFORMED,   /* the message does not follow the mechanism's grammar */
    LMAIL_AUTH_REASON_BINDING,     /* channel binding differs: a downgrade or a man in the middle */
    LMAIL_AUTH_REASON_TOKEN,       /* OAuth: the token was refused */
    LMAIL_AUTH_REASON_CLEARTEXT,   /* passwords in clear are not allowed on this connection */
    LMAIL_AUTH_REASON_TEMPORARY    /* accounts could not be read, or no memory */
} lmail_auth_reason;

/* "credentials"; a static string for the log. */
LMAIL_API const char *lmail_auth_reason_name(lmail_auth_reason reason);

/* Slices of an exchange's result live until its next step or its end. */
typedef struct lmail_auth_result {
    lmail_auth_answer answer; /* for the session; identity is the account's name */
    lmail_auth_reason reason; /* FAIL: why */
    lmail_str tried;          /* FAIL: the name that was tried, folded, for the log; or empty */
    unsigned anonymous;       /* OK by ANONYMOUS: identity is "anonymous", there is no account */
    uint32_t delay;           /* FAIL: milliseconds from the question until the reply may go out */
} lmail_auth_result;

/* ---- The context ----------------------------------------------------------------------------- */

/* A bearer token as the client sent it. */
typedef struct lmail_auth_token_event {
    lmail_str mechanism; /* "OAUTHBEARER" or "XOAUTH2" */
    lmail_str user;      /* the user it names, or empty */
    lmail_str token;     /* without "Bearer "; never log it */
    lmail_str host;      /* OAUTHBEARER's host= and port=, or empty */
    lmail_str port;
    lmail_str address; /* of the client */
} lmail_auth_token_event;

/* Checks a token; may block (it runs in step). Fills name (cap octets, *made its length) with the
 * account that the token is for; it must exist, and be ev->user when that is not empty.
 * Returns: OK; ERR_DENIED (refused); any other error is a temporary failure. */
typedef lmail_status lmail_auth_token_fn(void *user, const lmail_auth_token_event *ev, char *name,
                                         size_t cap, size_t *made);

#define LMAIL_AUTH_NO_DELAY UINT32_MAX

typedef struct lmail_auth_config {
    size_t size;
    lmail_accounts *accounts; /* borrowed, outlives the lmail_auth */

    /* Enabled mechanisms, in the order of the offer. NULL and 0: the default list, which is
     * SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 EXTERNAL OAUTHBEARER XOAUTH2
     * PLAIN LOGIN, less what cannot work here. CRAM-MD5, DIGEST-MD5, ANONYMOUS only when named. */
    const lmail_str *mechanisms;
    size_t mechanism_count;

    unsigned allow_cleartext; /* not 0: passwords and tokens also where facts.secure is 0 */
    unsigned need;            /* LMAIL_SASL_* of libmail/sasl.h: what is offered has them all.
                               * FORWARD_SECRECY leaves nothing, NO_DICTIONARY only EXTERNAL */
    lmail_str service;        /* "smtp", "imap" or "pop" (RFC 4422 §3.1 names) */
    lmail_str hostname;       /* of this server, for DIGEST-MD5 and SCRAM */
    lmail_str realm;          /* DIGEST-MD5's; empty: the host name */

    uint32_t failure_delay;     /* milliseconds, of the first failure; 0: 2,000;
                                 * LMAIL_AUTH_NO_DELAY: no failure waits */
    uint32_t failure_delay_max; /* doubling with each failure of an address ends here; 0: 16,000 */

    lmail_auth_token_fn *on_token; /* NULL: OAUTHBEARER and XOAUTH2 are not offered */
    void *user;
    lmail_str salt_key;    /* what salts of names that do not exist are made from: octets that
                            * nobody else knows, the same in all daemons of a server and after a
                            * restart, because a salt that changes tells. Empty: random, for this
                            * context alone */
    lmail_str oauth_error; /* JSON for a refused token (RFC 7628 §3.2.2); empty:
                            * {"status":"invalid_token","schemes":"bearer"} */
} lmail_auth_config;

LMAIL_API void lmail_auth_config_init(lmail_auth_config *cfg);

/* Make a context; everything but accounts is copied. Names that libmail does not implement are left
 * out (lmail_auth_knows tells).
 * Returns: OK, ERR_ARG (no accounts), ERR_SIZE, ERR_NOMEM, ERR_IO (no random octets). */
LMAIL_API lmail_status lmail_auth_new(lmail_auth **out, const lmail_auth_config *cfg);

/* No exchange may be left. NULL is allowed. */
LMAIL_API void lmail_auth_free(lmail_auth *auth);

/* Is this a mechanism that libmail implements (case does not matter)? 1 or 0. */
LMAIL_API int lmail_auth_knows(lmail_str mechanism);

/* Which mechanisms can be completed on this connection, in the configured order.
 *   out   up to max static slices; 16 are always enough
 * Returns how many were filled in. Never blocks. */
LMAIL_API size_t lmail_auth_offer(const lmail_auth *auth, const lmail_auth_facts *facts,
                                  lmail_str *out, size_t max);

/* May a password cross this connection in clear (PLAIN, USER/PASS, LOGIN)? 1 or 0. IMAP shows
 * LOGINDISABLED and POP3 hides USER when it is 0. */
LMAIL_API int lmail_auth_cleartext(const lmail_auth *auth, const lmail_auth_facts *facts);

/* ---- An exchange ----------------------------------------------------------------------------- */

/* Begin; facts are copied. Cheap: no hash, no file.
 * Returns: OK; ERR_UNSUPPORTED: not on offer for this connection (504 5.5.4); ERR_NOMEM. */
LMAIL_API lmail_status lmail_auth_exchange_new(lmail_auth_exchange **out, lmail_auth *auth,
                                               lmail_str mechanism, const lmail_auth_facts *facts);

/* One step. Blocks; run it on a worker.
 *   in    the client's response, decoded; NULL only at the first step of a client that sent no
 *         initial response. An empty response is an empty slice, not NULL ("=" on the wire).
 *   now   milliseconds, steady clock: for the delays
 * After OK or FAIL only free may follow. Returns: OK, ERR_STATE (it is over). */
LMAIL_API lmail_status lmail_auth_exchange_step(lmail_auth_exchange *x, const lmail_str *in,
                                                lmail_msec now, lmail_auth_result *out);

/* End it and wipe what it knew. NULL is allowed. */
LMAIL_API void lmail_auth_exchange_free(lmail_auth_exchange *x);

/* ---- Without SASL ---------------------------------------------------------------------------- */

/* Result of the two functions below: the exchange's result with room for the name. */
typedef struct lmail_auth_login {
    lmail_auth_result result; /* CONTINUE never comes; its names lie in name */
    char name[LMAIL_MAX_ACCOUNT_NAME];
} lmail_auth_login;

/* Name and password: POP3 USER/PASS, IMAP LOGIN, saslauthd's protocol. Blocks. */
LMAIL_API void lmail_auth_password(lmail_auth *auth, const lmail_auth_facts *facts, lmail_str name,
                                   lmail_str password, lmail_msec now, lmail_auth_login *out);

/* POP3 APOP: MD5 over banner's timestamp and the reversible secret. Blocks.
 *   timestamp   with its angle brackets, as sent in the greeting
 *   digest      32 lower-case hexadecimal digits
 * Source: RFC 1939 §7. */
LMAIL_API void lmail_auth_apop(lmail_auth *auth, const lmail_auth_facts *facts, lmail_str name,
                               lmail_str timestamp, lmail_str digest, lmail_msec now,
                               lmail_auth_login *out);

/* ---- The price of failing -------------------------------------------------------------------- */

/* What failures cost, by client address: a fixed table without a clock. lmail_auth keeps one; a
 * host that checks elsewhere may use its own. Any thread may call. */
typedef struct lmail_auth_delays lmail_auth_delays;

/* base and max in milliseconds; about `slots` addresses are remembered (0: 4,096).
 * Returns: OK, ERR_NOMEM, ERR_IO (no random octets). */
LMAIL_API lmail_status lmail_auth_delays_new(lmail_auth_delays **out, uint32_t base, uint32_t max,
                                             size_t slots);
/* NULL is allowed. */
LMAIL_API void lmail_auth_delays_free(lmail_auth_delays *d);

/* A login from this address failed: the delay to apply, base for the first failure, doubled with
 * each further one up to max. An address is forgotten when it has not failed for 8 x max
 * milliseconds. An IPv6 address counts as its /64. */
LMAIL_API uint32_t lmail_auth_delays_failed(lmail_auth_delays *d, lmail_str address,
                                            lmail_msec now);

/* A login from this address succeeded: its failures are forgotten. */
LMAIL_API void lmail_auth_delays_passed(lmail_auth_delays *d, lmail_str address);

#ifdef __cplusplus
}
#endif

#endif
