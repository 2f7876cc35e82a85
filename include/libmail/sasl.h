/* libmail/sasl.h - what SMTP, POP3 and IMAP servers ask their host when a client authenticates.
 *
 * The three protocols frame the same exchange (RFC 4422): the client names a mechanism, challenges
 * and responses follow in base64, and there is an outcome. The sessions do the framing; what the
 * octets mean is the host's: it runs the mechanism (libmail-host does so with GNU SASL). The types
 * here are shared, so that one handler serves the three session types.
 *
 * Each session's handler table has these members, with its own session type as `s`:
 *
 *   lmail_str (*auth_mechanisms)(const <session> *s, void *user);
 *
 *       The mechanisms on offer at this moment, separated by single spaces, best first; empty:
 *       none. Asked whenever capabilities are written and when a client names a mechanism, so it
 *       must be cheap, and it may change once TLS is on. Valid until the next call on the session.
 *       A mechanism that is not listed is refused without a question. NULL: none.
 *
 *   lmail_status (*on_auth)(<session> *s, void *user, lmail_ticket t, const lmail_auth_event *ev,
 *                           lmail_auth_answer *answer);
 *
 *       One step of an exchange. Answer now: fill *answer, return LMAIL_OK. Answer later: return
 *       LMAIL_PENDING and call lmail_<session>_answer_auth() once. ev and its octets live until
 *       then, and are wiped afterwards. An error return counts as LMAIL_AUTH_TEMPORARY.
 *
 *   void (*on_auth_end)(<session> *s, void *user, const lmail_auth_end_event *ev);
 *
 *       Called exactly once for each exchange that on_auth saw begin: the place to free what the
 *       mechanism kept. When the peer leaves during a step whose ticket is still out, on_cancel(t)
 *       and this come first, and the ticket still has to be handed back.
 */
#ifndef LIBMAIL_SASL_H
#define LIBMAIL_SASL_H

#include <libmail/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Which mechanisms may be offered --------------------------------------------------------- */

/* What a mechanism must be to be offered. Unknown mechanisms count as PLAIN does. */
enum {
    LMAIL_SASL_NO_ACTIVE = 1,     /* withstands an active attack */
    LMAIL_SASL_MUTUAL = 2,        /* the server proves itself too */
    LMAIL_SASL_CREDENTIALS = 4,   /* hands over the credentials */
    LMAIL_SASL_NO_DICTIONARY = 8, /* withstands a dictionary attack */
    LMAIL_SASL_FORWARD_SECRECY = 16,
    LMAIL_SASL_NO_ANONYMOUS = 32,
    LMAIL_SASL_SCRAM = 64,        /* a list without SCRAM gets it where NO_CLEARTEXT holds */
    LMAIL_SASL_NO_CLEARTEXT = 128 /* without TLS, withstands listening */
};

typedef enum lmail_sasl_channel {
    LMAIL_SASL_CLEAR = 0,
    LMAIL_SASL_TLS,
    LMAIL_SASL_TLS_VERIFIED /* and the client's certificate was verified: EXTERNAL is possible */
} lmail_sasl_channel;

#define LMAIL_SASL_MORE 2u /* mechanisms that LMAIL_SASL_SCRAM may add */

/* What a mechanism is, LMAIL_SASL_* without SCRAM; its name in any case. */
LMAIL_API unsigned lmail_sasl_properties(lmail_str mechanism);

/* The mechanisms of a list that may be offered, in its order.
 *   mechanisms  those that can complete; a name that stands twice is taken once
 *   options     LMAIL_SASL_*
 *   out         room for count + LMAIL_SASL_MORE; slices of the list, or static ones
 * Returns: how many there are.
 * Source: RFC 4422 §3.2, §6 (what a listener and an active attacker can do). */
LMAIL_API size_t lmail_sasl_offer(const lmail_str *mechanisms, size_t count, unsigned options,
                                  lmail_sasl_channel channel, lmail_str *out);

/* ---- The exchange ---------------------------------------------------------------------------- */

/* Why authentication failed. What each protocol tells its client, when the host gives no text:
 *
 *                     SMTP (RFC 4954, 4468)  POP3 (RFC 3206)        IMAP (RFC 5530)
 *   CREDENTIALS       535 5.7.8              -ERR [AUTH]            NO [AUTHENTICATIONFAILED]
 *   TEMPORARY         454 4.7.0              -ERR [SYS/TEMP]        NO [UNAVAILABLE]
 *   PERMANENT         535 5.7.0              -ERR [SYS/PERM]        NO [CONTACTADMIN]
 *   AUTHORIZATION     535 5.7.8              -ERR [AUTH]            NO [AUTHORIZATIONFAILED]
 *   EXPIRED           535 5.7.8              -ERR [AUTH]            NO [EXPIRED]
 *   ENCRYPTION        538 5.7.11             -ERR [AUTH]            NO [PRIVACYREQUIRED]
 *   WEAK              534 5.7.9              -ERR [AUTH]            NO [AUTHENTICATIONFAILED]
 *   TRANSITION        432 4.7.12             -ERR [AUTH]            NO [AUTHENTICATIONFAILED]
 *   PROTOCOL          501 5.5.2              -ERR [AUTH]            NO [AUTHENTICATIONFAILED]
 *
 * Unknown users and wrong passwords are both CREDENTIALS, so that nobody learns which it was. */
typedef enum lmail_auth_failure {
    LMAIL_AUTH_CREDENTIALS = 0, /* user or proof is wrong */
    LMAIL_AUTH_TEMPORARY,       /* could not be checked now */
    LMAIL_AUTH_PERMANENT,       /* right, but the account cannot be served: the administrator's */
    LMAIL_AUTH_AUTHORIZATION,   /* proof is right; may not act as the identity asked for */
    LMAIL_AUTH_EXPIRED,         /* the password has expired */
    LMAIL_AUTH_ENCRYPTION,      /* this mechanism or account needs TLS first */
    LMAIL_AUTH_WEAK,            /* this mechanism is too weak for this account */
    LMAIL_AUTH_TRANSITION,      /* a login with PLAIN would set this mechanism up */
    LMAIL_AUTH_PROTOCOL         /* the client's message breaks the mechanism's rules */
} lmail_auth_failure;

typedef enum lmail_auth_kind {
    LMAIL_AUTH_FAIL = 0, /* so a zeroed answer lets nobody in */
    LMAIL_AUTH_CONTINUE, /* send data as a challenge */
    LMAIL_AUTH_OK        /* authenticated as identity */
} lmail_auth_kind;

/* The host's answer to one step. Slices are copied before the answering call returns. */
typedef struct lmail_auth_answer {
    size_t size;
    lmail_auth_kind kind;
    lmail_auth_failure failure; /* FAIL */
    lmail_str text;             /* FAIL: words for the client; empty: the protocol's own. One line
                                 * of printable text, else ERR_ARG */
    lmail_str data;             /* CONTINUE: the challenge, raw octets, may be empty. OK: additional
                                 * data with success; not empty, it is sent as one more challenge
                                 * and the client's empty response is awaited (RFC 4422 §3.6) */
    lmail_str identity;         /* OK: the account that the client acts as from now on */
} lmail_auth_answer;

#define LMAIL_AUTH_ANSWER_INIT                                                                     \
    {                                                                                              \
        sizeof(lmail_auth_answer), LMAIL_AUTH_FAIL, LMAIL_AUTH_CREDENTIALS, {NULL, 0}, {NULL, 0},  \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }

LMAIL_API void lmail_auth_answer_init(lmail_auth_answer *answer);

/* One step of an exchange. */
typedef struct lmail_auth_event {
    lmail_str mechanism;   /* in upper case, one of those on offer */
    unsigned step;         /* 0 begins an exchange */
    unsigned has_response; /* 0 only in step 0: no initial response came, which differs from an
                            * empty one (RFC 4422 §5, the "=" of RFC 4954 §4) */
    lmail_str response;    /* decoded octets */
} lmail_auth_event;

/* How an exchange ended. */
typedef enum lmail_auth_end {
    LMAIL_AUTH_END_OK = 1,    /* the client is in */
    LMAIL_AUTH_END_FAILED,    /* the host said FAIL */
    LMAIL_AUTH_END_CANCELLED, /* the client sent "*" */
    LMAIL_AUTH_END_BROKEN,    /* it sent what is no response: bad base64, too long, data after the
                               * outcome */
    LMAIL_AUTH_END_GONE       /* the peer left, the time was over, or the session ended */
} lmail_auth_end;

typedef struct lmail_auth_end_event {
    lmail_auth_end how;
} lmail_auth_end_event;

#ifdef __cplusplus
}
#endif

#endif
