/* sasl_internal.h - the framing of a SASL exchange, once for SMTP, POP3 and IMAP servers.
 *
 * RFC 4954 §4 (SMTP), RFC 5034 §4 (POP3), RFC 9051 §6.2.2 with RFC 4959 (IMAP). A session embeds
 * one lmi_sasl, zeroed. The order of calls:
 *
 *   the command       lmi_sasl_start    RESPONSE: ask;  otherwise refuse the command
 *   ask               lmi_ask, lmi_sasl_event, the host's on_auth
 *   answered          lmi_sasl_answer   CHALLENGE: written, read a line;  OK, FAILED: it is over
 *   a line came       lmi_sasl_line     RESPONSE: ask;  OK: it is over;  otherwise refuse
 *   it is over        write the reply, lmi_sasl_end (tells whether the host must hear of it)
 *
 * It never calls the host and writes no reply but the challenge. Line limits and the wiping of line
 * buffers are the session's, with LMI_SASL_LINE as the default limit. */
#ifndef LMI_SASL_INTERNAL_H
#define LMI_SASL_INTERNAL_H

#include "base/base_internal.h"

#include <libmail/sasl.h>

/* RFC 4954 §4 and RFC 5034 §4: a base64 line up to 12288 octets, CRLF included here. */
#define LMI_SASL_LINE 12290u
#define LMI_SASL_NAME_MAX 20u /* RFC 4422 §3.1 */

typedef struct lmi_sasl {
    char name[LMI_SASL_NAME_MAX]; /* of the mechanism, upper case */
    uint8_t name_len;
    uint8_t state;
    uint8_t told; /* the host has seen the exchange begin */
    uint8_t has_response;
    uint8_t ok; /* the exchange ended well */
    unsigned step;
    lmail_str response; /* base64, in the line being handled */
    char *identity;     /* from OK until lmi_sasl_done or the next exchange */
    size_t identity_len;
} lmi_sasl;

typedef enum lmi_sasl_next {
    LMI_SASL_RESPONSE,  /* a response: ask the host */
    LMI_SASL_CHALLENGE, /* a challenge was written: the next line is the client's response */
    LMI_SASL_OK,        /* authenticated; lmi_sasl_identity */
    LMI_SASL_FAILED,    /* the host said FAIL */
    LMI_SASL_CANCELLED, /* the client sent "*" */
    LMI_SASL_BAD,       /* not base64, or data after the outcome: the protocol's syntax error */
    LMI_SASL_UNKNOWN    /* the mechanism is malformed or not among those offered */
} lmi_sasl_next;

/* A command named a mechanism. `initial` as it stands in the command ("=" is the empty response,
 * RFC 4954 §4, RFC 5034 §4, RFC 4959 §3), NULL when there was none. `offered` is the host's
 * list. */
lmi_sasl_next lmi_sasl_start(lmi_sasl *x, lmail_str mechanism, const lmail_str *initial,
                             lmail_str offered);

/* A line (without CRLF) came while lmi_sasl_reading. */
lmi_sasl_next lmi_sasl_line(lmi_sasl *x, lmail_str line);

/* After RESPONSE, while the line still stands: decode it into the question, which is marked secret.
 * OK, ERR_NOMEM, ERR_LIMIT (the question's ceiling). */
lmail_status lmi_sasl_event(lmi_sasl *x, lmi_question *q, const lmail_auth_event **ev);

/* Is the answer well formed? OK, ERR_SIZE, ERR_ARG. Call it before the ticket is taken. */
lmail_status lmi_sasl_check(const lmail_auth_answer *a);

/* The host's answer, checked. A challenge is written as prefix, base64, CRLF.
 *   next   CHALLENGE, OK or FAILED
 * OK or ERR_NOMEM. */
lmail_status lmi_sasl_answer(lmi_sasl *x, lmail_session *s, const lmail_auth_answer *a,
                             lmail_str prefix, lmi_sasl_next *next);

/* Is the client's next line a response? */
int lmi_sasl_reading(const lmi_sasl *x);

/* The exchange is over. 1 when the host has to be told (on_auth_end), at most once an exchange. The
 * identity stays. Harmless without an exchange. */
int lmi_sasl_end(lmi_sasl *x);

/* As after an exchange of that mechanism that ended well. OK or ERR_NOMEM. */
lmail_status lmi_sasl_assume(lmi_sasl *x, const lmail_alloc *a, lmail_str mechanism,
                             lmail_str identity);

/* Empty before OK. */
lmail_str lmi_sasl_identity(const lmi_sasl *x);

/* Forget all, identity too: at STARTTLS and at the session's end. */
void lmi_sasl_done(lmi_sasl *x, const lmail_alloc *a);

/* Is `name` in the space-separated list? Without case. */
int lmi_sasl_offers(lmail_str offered, lmail_str name);

#endif
