/* libmail/session.h - the pump: the one way in which every session is driven.
 *
 * SMTP, POP3 and IMAP sessions, servers and clients, and the filters (TLS, DEFLATE) are all a
 * lmail_session underneath. A session turns octets and milliseconds into questions to its host, and
 * the host's answers into octets. It never blocks, reads a clock, or touches a socket.
 *
 *     octets from the peer ->  feed   ->  parser -> state machine -> callbacks -> host decides
 *     octets to the peer   <-  peek   <-  writer <------------------ answer    <- now or later
 *     the host's clock     ->  tick   ->  timers
 *
 * The loop of a host, for any session type:
 *
 *     octets came        feed them while wants() shows READ and some are left; keep the rest
 *     wants() & WRITE    peek(), write what the socket takes, sent() that many
 *     wants() & TLS      tls_begin() with the count of octets not yet fed, shake hands, tls_done()
 *     deadline() passed  tick()
 *     wants() & CLOSE    close the socket, free the session when no ticket is out any more
 *     after answer()     start again at the top: octets kept earlier may be wanted now
 *
 * Each session type has the same functions under its own name (lmail_smtp_server_feed ...), and
 * lmail_<type>_session() gives the handle for the functions here. They do the same thing.
 *
 * A session belongs to one thread at a time; different sessions share nothing that changes.
 * Inside a callback only functions that take a const session may be called on it; the others return
 * LMAIL_ERR_REENTRANT, and free waits for the callback's end.
 */
#ifndef LIBMAIL_SESSION_H
#define LIBMAIL_SESSION_H

#include <libmail/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_session lmail_session;

/* What the host owes an answer to. A number that never repeats within a session; 0 is none. */
typedef uint64_t lmail_ticket;

/* What a session wants at this instant (lmail_session_wants), a bit set. */
enum {
    LMAIL_WANT_READ = 1,         /* feed it octets */
    LMAIL_WANT_WRITE = 2,        /* peek has octets for the peer */
    LMAIL_WANT_TLS = 4,          /* all output is sent: call tls_begin and shake hands */
    LMAIL_WANT_DEFLATE_ON = 8,   /* put a DEFLATE filter in now, then filter_done */
    LMAIL_WANT_DEFLATE_OFF = 16, /* take it out now, then filter_done */
    LMAIL_WANT_HOLD = 32,        /* octets of the last feed are lent to a question: not to move */
    LMAIL_WANT_CLOSE = 64        /* all output is sent and the session is over */
};

/* Facts about a TLS connection, as the host learnt them. Borrowed; the session copies. */
typedef struct lmail_tls_facts {
    size_t size;
    lmail_str version;     /* "TLSv1.3" */
    lmail_str cipher;      /* "TLS1-3-AES-256-GCM-SHA384" */
    unsigned bits;         /* of the cipher's key */
    lmail_str server_name; /* SNI as the client sent it, or empty */
    lmail_str alpn;        /* protocol agreed on, or empty */
    lmail_str peer_name;   /* identity in a client certificate that was verified, or empty */
    unsigned peer_verified;
    unsigned peer_rejected; /* a client certificate was shown, and it is not valid */
    /* Of a verified one, as lmail_policy_peer has them; or empty. */
    lmail_str peer_common_name, peer_subject, peer_issuer;
} lmail_tls_facts;

#define LMAIL_TLS_FACTS_INIT                                                                       \
    {                                                                                              \
        sizeof(lmail_tls_facts), {NULL, 0}, {NULL, 0}, 0, {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, 0,   \
            {NULL, 0}, {NULL, 0},                                                                  \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }

LMAIL_API void lmail_tls_facts_init(lmail_tls_facts *facts);

/* ---- Words ----------------------------------------------------------------------------------- */

/* Where a session writes texts of its own, the host may put them in its words: SMTP's replies,
 * POP3's texts, IMAP's greeting. In such a text stand for themselves all octets but
 *
 *   %H   the host name of the configuration
 *   %C   the client's name, as it gave it in HELO (SMTP; elsewhere empty)
 *   %A   what the client sent (SMTP: the argument that the text is about; elsewhere empty)
 *   %N   a number: of messages, or a message's own (POP3; elsewhere 0)
 *   %O   octets: a size, or a limit of one
 *   %%   a percent sign
 *
 * A "%" before anything else stands for itself. What a client sent is cut to 60 octets, and other
 * than printable ASCII becomes "?". Words in an answer (lmail_smtp_reply.text and the like) are
 * written as they are: they were made for this one client. */

/* ---- Trace ----------------------------------------------------------------------------------- */

typedef enum lmail_trace_kind {
    LMAIL_TRACE_IN = 1,    /* a line or literal from the peer; secrets are replaced */
    LMAIL_TRACE_OUT,       /* a line to the peer */
    LMAIL_TRACE_STATE,     /* the machine changed state: text is the new state's name */
    LMAIL_TRACE_LIMIT,     /* a limit was reached: text is its configuration name */
    LMAIL_TRACE_VIOLATION, /* the peer broke the protocol: text says how, offset where */
    LMAIL_TRACE_QUESTION,  /* a question was asked: ticket, and text is its name */
    LMAIL_TRACE_ANSWER,    /* it was answered */
    LMAIL_TRACE_COMMAND,   /* IMAP: a command begins: text is its name in capitals, as "FETCH", or
                            * "unknown"; never the peer's own octets */
    LMAIL_TRACE_DONE       /* IMAP: it has been answered: text is "OK", "NO", "BAD" or "BYE" */
} lmail_trace_kind;

typedef struct lmail_trace {
    lmail_trace_kind kind;
    lmail_ticket ticket;
    size_t offset; /* VIOLATION: in the line or literal */
    lmail_str text;
} lmail_trace;

typedef void lmail_trace_fn(void *user, const lmail_trace *ev);

/* ---- The pump -------------------------------------------------------------------------------- */

/* The name of the session's type, "smtp_server". A static string. */
LMAIL_API const char *lmail_session_name(const lmail_session *s);

/* Take octets from the peer.
 *   in     any split, may be empty; borrowed for this call (longer while wants() shows HOLD)
 *   used   out: octets taken, 0..in.len. Less than in.len when a decision is pending, output is
 *          over its mark, TLS must start, or the session is over: the rest stays the host's.
 *   now    milliseconds, steady clock, not below any earlier value
 * Callbacks: any. From a callback: no.
 * Returns: OK, ERR_NOMEM, ERR_REENTRANT, ERR_CLOSED.
 * Source: RFC 5321 §2.3.8, RFC 9051 §2.2. */
LMAIL_API lmail_status lmail_session_feed(lmail_session *s, lmail_str in, size_t *used,
                                          lmail_msec now);

/* The peer will send nothing more. Pending questions are cancelled and the session ends.
 * Returns: OK, ERR_NOMEM, ERR_REENTRANT, ERR_CLOSED. */
LMAIL_API lmail_status lmail_session_eof(lmail_session *s, lmail_msec now);

/* Fill up to max slices with octets for the peer, in order; returns how many slices.
 * Octets once shown neither move nor change until sent() has covered them, whatever is called in
 * between. May be called from a callback. */
LMAIL_API size_t lmail_session_peek(const lmail_session *s, lmail_str *out, size_t max);

/* Octets waiting to be sent. */
LMAIL_API size_t lmail_session_unsent(const lmail_session *s);

/* The first n octets that peek shows have been written. n may be anything up to their total.
 * Returns: OK, ERR_ARG (more than there is), ERR_NOMEM, ERR_REENTRANT, ERR_CLOSED. */
LMAIL_API lmail_status lmail_session_sent(lmail_session *s, size_t n, lmail_msec now);

/* LMAIL_WANT_* bits, true at this instant. */
LMAIL_API unsigned lmail_session_wants(const lmail_session *s);

/* When tick() is due, or LMAIL_NEVER. Changes with any call. */
LMAIL_API lmail_msec lmail_session_deadline(const lmail_session *s);

/* Let time pass. Before the deadline it does nothing.
 * Returns: OK, ERR_NOMEM, ERR_REENTRANT, ERR_CLOSED. */
LMAIL_API lmail_status lmail_session_tick(lmail_session *s, lmail_msec now);

/* wants() shows TLS, and the host is about to shake hands.
 *   unread   plaintext octets that the host has received and not fed. Not zero means that someone
 *            pipelined past STARTTLS: the session refuses and closes, whatever the split was.
 * Returns: OK (shake hands), ERR_CLOSED (do not; the session closes), ERR_STATE, ERR_REENTRANT.
 * Source: RFC 3207 §4, RFC 9051 §6.2.1. */
LMAIL_API lmail_status lmail_session_tls_begin(lmail_session *s, size_t unread, lmail_msec now);

/* The handshake is done; facts are copied. Before the first feed it means implicit TLS.
 * A handshake that failed is reported with eof().
 * Returns: OK, ERR_STATE, ERR_NOMEM, ERR_REENTRANT, ERR_CLOSED. */
LMAIL_API lmail_status lmail_session_tls_done(lmail_session *s, const lmail_tls_facts *facts,
                                              lmail_msec now);

/* The DEFLATE filter was put in or taken out as wants() asked.
 * Returns: OK, ERR_STATE, ERR_REENTRANT, ERR_CLOSED. */
LMAIL_API lmail_status lmail_session_filter_done(lmail_session *s, lmail_msec now);

/* End the session politely: a running command is finished, then the protocol's word of farewell
 * (421, "* BYE") is written and the session closes.
 * Returns: OK, ERR_NOMEM, ERR_REENTRANT, ERR_CLOSED. */
LMAIL_API lmail_status lmail_session_stop(lmail_session *s, lmail_msec now);

/* Give back buffers that an idle session does not need; they come again by themselves. It never
 * fails. */
LMAIL_API void lmail_session_rest(lmail_session *s);

/* Questions that the host has not handed back yet, cancelled ones included. A host with workers
 * frees the session only when this is 0. */
LMAIL_API size_t lmail_session_tickets(const lmail_session *s);

/* End all questions and free the session. From a callback: freed when the callback returns.
 * NULL is allowed. */
LMAIL_API void lmail_session_free(lmail_session *s);

#ifdef __cplusplus
}
#endif

#endif
