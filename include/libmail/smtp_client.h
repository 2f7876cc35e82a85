/* libmail/smtp_client.h - the client side of SMTP and LMTP: mail handed to a server.
 *
 * RFC 5321 (SMTP), 2033 (LMTP), 1870 (SIZE), 2034 (ENHANCEDSTATUSCODES), 2920 (PIPELINING), 3030
 * (CHUNKING, BINARYMIME), 3207 (STARTTLS), 3461 (DSN), 4954 (AUTH), 6152 (8BITMIME), 6531
 * (SMTPUTF8), 8689 (REQUIRETLS), 9422 (LIMITS).
 *
 * How it is used:
 *
 *     1. Fill a config and a handler, make a setup from them: immutable, shared by any number of
 *        sessions and threads.
 *     2. For each connection make a session with lmail_smtp_client_new and drive it with the pump
 *        of libmail/session.h.
 *     3. Hand it messages with lmail_smtp_client_submit_mail, at any time from new() on; several
 *        may wait, and they go out one after the other over the same connection.
 *     4. Give the octets that on_octets asks for, and read the results: exactly one on_recipient a
 *        recipient, then one on_mail_end a message, whatever the server does.
 *     5. lmail_smtp_client_stop says QUIT behind the running message. on_end comes once: no mail is
 *        taken from there on. Close when wants() shows CLOSE.
 *
 * The session greets, learns what the server can, starts TLS as its policy says, and asks on_auth
 * whether to log in. It sends only what the server announced; a message that needs more than that
 * is refused here, before MAIL. Where PIPELINING is announced an envelope is one write.
 */
#ifndef LIBMAIL_SMTP_CLIENT_H
#define LIBMAIL_SMTP_CLIENT_H

#include <libmail/smtp.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_smtp_client lmail_smtp_client;
typedef struct lmail_smtp_client_setup lmail_smtp_client_setup;

/* ---- Words ----------------------------------------------------------------------------------- */

/* Where in the conversation something happened. */
#define LMAIL_SMTP_PHASE_MAP(XX)                                                                   \
    XX(GREETING) /* connected, no greeting yet */                                                  \
    XX(HELO)     /* EHLO, HELO, LHLO */                                                            \
    XX(STARTTLS) /* the command */                                                                 \
    XX(TLS)      /* the handshake, and what it proved */                                           \
    XX(AUTH)                                                                                       \
    XX(IDLE) /* between messages */                                                                \
    XX(MAIL)                                                                                       \
    XX(RCPT)                                                                                       \
    XX(DATA) /* DATA and its 354 */                                                                \
    XX(BODY) /* octets of the message are on their way */                                          \
    XX(END)  /* all was written; the reply that takes the message over is due */                   \
    XX(RSET)                                                                                       \
    XX(QUIT)

typedef enum lmail_smtp_phase {
    LMAIL_SMTP_PHASE_NONE = 0,
#define XX(name) LMAIL_SMTP_PHASE_##name,
    LMAIL_SMTP_PHASE_MAP(XX)
#undef XX
        LMAIL_SMTP_PHASE_COUNT
} lmail_smtp_phase;

/* "GREETING"; NULL for what is not in the list. A static string. */
LMAIL_API const char *lmail_smtp_phase_name(lmail_smtp_phase phase);

/* What became of one recipient. */
typedef enum lmail_smtp_outcome {
    LMAIL_SMTP_ACCEPTED = 1, /* the server has taken responsibility (RFC 5321 §4.2.5) */
    LMAIL_SMTP_DEFERRED,     /* the server's reply is 4xx: try again later */
    LMAIL_SMTP_FAILED,       /* its reply is 5xx, or the message cannot go there (cause HERE) */
    LMAIL_SMTP_UNSENT,       /* nothing was decided: another host may be tried at once */
    LMAIL_SMTP_UNSURE        /* the connection ended behind the last octet of the message and before
                              * its reply: the server may have taken it (RFC 1047) */
} lmail_smtp_outcome;

/* Why. */
typedef enum lmail_smtp_cause {
    LMAIL_SMTP_CAUSE_REPLY = 1, /* the server's reply says so */
    LMAIL_SMTP_CAUSE_LOST,      /* the server closed the connection, or the handshake failed */
    LMAIL_SMTP_CAUSE_TIMEOUT,   /* the phase's time was over */
    LMAIL_SMTP_CAUSE_PROTOCOL,  /* the server said what is no reply, or none that fits here */
    LMAIL_SMTP_CAUSE_HERE,      /* the message or address needs what the server lacks, or is
                                 * malformed: the enhanced code tells which */
    LMAIL_SMTP_CAUSE_LIMIT,     /* over a limit of LIMITS (RFC 9422): the rest of the message went
                                 * on; submit this recipient again, over another connection when
                                 * lmail_smtp_client_mails_left is 0 or the limit is the domains' */
    LMAIL_SMTP_CAUSE_POLICY,    /* the TLS that is demanded cannot be had */
    LMAIL_SMTP_CAUSE_HOST,      /* on_octets or on_auth gave up */
    LMAIL_SMTP_CAUSE_STOPPED,   /* stop() */
    LMAIL_SMTP_CAUSE_FREED      /* free(), or memory ran out */
} lmail_smtp_cause;

/* "REPLY"; NULL for what is not in the list. Static strings. */
LMAIL_API const char *lmail_smtp_outcome_name(lmail_smtp_outcome outcome);
LMAIL_API const char *lmail_smtp_cause_name(lmail_smtp_cause cause);

/* A server's reply as it came. Where there was none, code is 0 and the rest says in the session's
 * own words what happened, so that a report always has an enhanced code. */
typedef struct lmail_smtp_peer_reply {
    unsigned code; /* 200..599, or 0 */
    lmail_str
        enhanced;   /* "5.1.1" (RFC 3463), of the code's own class; empty: the server gave none */
    lmail_str text; /* lines with LF between them, without codes; control octets are '?'; cut at
                         * config.max_reply_text */
} lmail_smtp_peer_reply;

/* ---- Configuration --------------------------------------------------------------------------- */

typedef enum lmail_smtp_tls_policy {
    LMAIL_SMTP_TLS_UNSET = 0,     /* config: OPPORTUNISTIC; target: the config's */
    LMAIL_SMTP_TLS_NONE,          /* no STARTTLS */
    LMAIL_SMTP_TLS_OPPORTUNISTIC, /* STARTTLS where it is announced; in clear when it is refused. A
                                   * handshake that fails ends the session (RFC 3207 §4.1): the host
                                   * may connect again with NONE */
    LMAIL_SMTP_TLS_REQUIRED,      /* no mail without TLS */
    LMAIL_SMTP_TLS_VERIFIED       /* and none unless lmail_tls_facts.peer_verified is set */
} lmail_smtp_tls_policy;

/* lmail_smtp_client_config.flags */
enum {
    LMAIL_SMTP_CLIENT_LMTP = 1 << 0,        /* LHLO, and one reply a recipient behind the message */
    LMAIL_SMTP_CLIENT_NO_HELO = 1 << 1,     /* EHLO refused with 5xx ends the session; else HELO */
    LMAIL_SMTP_CLIENT_REFUSE_BARE = 1 << 2, /* a bare CR or LF in a message fails it (5.6.0); else
                                             * it is sent as CRLF */
    LMAIL_SMTP_CLIENT_AUTH_AFTER_LOGIN = 1 << 3, /* AUTH= of MAIL only when logged in */
    LMAIL_SMTP_CLIENT_TRACE_SECRETS = 1 << 4 /* octets of AUTH exchanges are shown to on_trace */
};

/* What a server announced. */
enum {
    LMAIL_SMTP_CAN_PIPELINING = 1 << 0,
    LMAIL_SMTP_CAN_SIZE = 1 << 1,
    LMAIL_SMTP_CAN_8BITMIME = 1 << 2,
    LMAIL_SMTP_CAN_ENHANCED = 1 << 3,
    LMAIL_SMTP_CAN_CHUNKING = 1 << 4,
    LMAIL_SMTP_CAN_BINARYMIME = 1 << 5, /* only with CHUNKING (RFC 3030 §3) */
    LMAIL_SMTP_CAN_SMTPUTF8 = 1 << 6,
    LMAIL_SMTP_CAN_DSN = 1 << 7,
    LMAIL_SMTP_CAN_STARTTLS = 1 << 8,
    LMAIL_SMTP_CAN_AUTH = 1 << 9,
    LMAIL_SMTP_CAN_REQUIRETLS = 1 << 10,
    LMAIL_SMTP_CAN_LIMITS = 1 << 11,
    LMAIL_SMTP_CAN_ETRN = 1 << 12
};

/* 0 or empty means the default in [brackets]. Times: LMAIL_NEVER is none. */
typedef struct lmail_smtp_client_config {
    size_t size;
    lmail_alloc alloc;         /* for the setup and its sessions; zeroed: the C library's */
    uint32_t flags;            /* LMAIL_SMTP_CLIENT_* */
    uint32_t ignore;           /* LMAIL_SMTP_CAN_* that are never used, though announced */
    lmail_str helo_name;       /* of this host in EHLO: a domain or an address literal; required */
    lmail_smtp_tls_policy tls; /* [OPPORTUNISTIC] */

    /* Waiting for a reply, counted from the last octet that the server took. RFC 5321 §4.5.3.2. */
    lmail_msec greeting_timeout;   /* [300000] */
    lmail_msec helo_timeout;       /* EHLO, HELO [300000] */
    lmail_msec lhlo_timeout;       /* [120000] */
    lmail_msec starttls_timeout;   /* the command, and then the handshake [120000] */
    lmail_msec auth_timeout;       /* each step [120000] */
    lmail_msec mail_timeout;       /* [300000] */
    lmail_msec rcpt_timeout;       /* [300000] */
    lmail_msec data_start_timeout; /* [120000] */
    lmail_msec data_block_timeout; /* until the server takes more of a message [180000] */
    lmail_msec data_end_timeout;   /* [600000] */
    lmail_msec rset_timeout;       /* [20000] */
    lmail_msec quit_timeout;       /* [10000] */

    size_t max_reply_line;    /* octets, CRLF too; 512 or more [4096]. A challenge of AUTH may have
                               * 12290 */
    uint32_t max_reply_lines; /* of one reply [256] */
    size_t max_reply_text;    /* octets kept of one reply [2048] */
    uint32_t max_queued;      /* messages submitted and not ended [64] */
    uint32_t max_logins;      /* exchanges that the server refuses before the session ends [3] */
    size_t out_mark;          /* octets unsent at which no more is written [65536] */
    size_t max_want;          /* largest want of on_octets [262144] */
} lmail_smtp_client_config;

#define LMAIL_SMTP_CLIENT_CONFIG_INIT                                                              \
    {                                                                                              \
        sizeof(lmail_smtp_client_config), {NULL, NULL}, 0, 0, {NULL, 0}, LMAIL_SMTP_TLS_UNSET, 0,  \
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                                   \
    }
LMAIL_API void lmail_smtp_client_config_init(lmail_smtp_client_config *config);

/* What differs from connection to connection. A zeroed one (with its size) is the config's. */
typedef struct lmail_smtp_client_target {
    size_t size;
    uint32_t flags_on;         /* LMAIL_SMTP_CLIENT_* that hold beside the config's */
    uint32_t flags_off;        /* and those that do not */
    uint32_t ignore;           /* LMAIL_SMTP_CAN_*, beside the config's */
    lmail_smtp_tls_policy tls; /* UNSET: the config's */
    lmail_str helo_name;       /* copied; empty: the config's */
} lmail_smtp_client_target;

#define LMAIL_SMTP_CLIENT_TARGET_INIT                                                              \
    {                                                                                              \
        sizeof(lmail_smtp_client_target), 0, 0, 0, LMAIL_SMTP_TLS_UNSET,                           \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
LMAIL_API void lmail_smtp_client_target_init(lmail_smtp_client_target *target);

/* ---- Messages -------------------------------------------------------------------------------- */

typedef struct lmail_smtp_client_rcpt {
    lmail_str to;    /* mailbox without brackets, as lmail_smtp_address_parse reads it */
    unsigned notify; /* LMAIL_SMTP_NOTIFY_*, 0: no NOTIFY */
    lmail_str orcpt_type, orcpt; /* "rfc822" and the decoded address; empty type: no ORCPT */
} lmail_smtp_client_rcpt;

/* One message and who shall get it. All is copied by submit. DSN parameters (ret, envid, notify,
 * orcpt) and auth are left out where the server does not announce them: look at
 * lmail_smtp_client_capabilities in on_recipient when that matters (RFC 3461 §5.2.2). */
typedef struct lmail_smtp_client_mail {
    size_t size;
    void *data;     /* the host's own, shown with each event */
    lmail_str from; /* mailbox without brackets; empty: <> */
    const lmail_smtp_client_rcpt *recipients;
    uint32_t recipient_count;  /* 1 or more */
    uint64_t octets;           /* of the message with CRLF line ends, for SIZE; 0: not known */
    lmail_smtp_body_type body; /* 8BITMIME and BINARYMIME need the server's word for it (5.6.3);
                                * BINARYMIME octets are sent as they are */
    unsigned smtputf8;    /* header or address needs SMTPUTF8 (5.6.9, 5.6.7); an address with octets
                           * above 127 does anyway */
    unsigned require_tls; /* REQUIRETLS: only over verified TLS to a server that announces it
                           * (5.7.10, 5.7.30); without a sender it is sent where it can be
                           * (RFC 8689 §5) */
    lmail_smtp_ret ret;
    unsigned has_envid;
    lmail_str envid;   /* decoded */
    unsigned has_auth; /* AUTH=, RFC 4954 §5 */
    lmail_str auth;    /* decoded; empty: <> */
} lmail_smtp_client_mail;

#define LMAIL_SMTP_CLIENT_MAIL_INIT                                                                \
    {                                                                                              \
        sizeof(lmail_smtp_client_mail), NULL, {NULL, 0}, NULL, 0, 0, LMAIL_SMTP_BODY_NONE, 0, 0,   \
            LMAIL_SMTP_RET_NONE, 0, {NULL, 0}, 0,                                                  \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
LMAIL_API void lmail_smtp_client_mail_init(lmail_smtp_client_mail *mail);

/* ---- Events and questions -------------------------------------------------------------------- */

/* What the server said last about itself. Slices live as long as the answer to EHLO holds. */
typedef struct lmail_smtp_capabilities {
    lmail_smtp_hello hello;   /* how we greeted; NO_HELLO: not yet, or anew after TLS */
    uint32_t can;             /* LMAIL_SMTP_CAN_*, without those that are ignored */
    uint64_t max_message;     /* of SIZE; 0: it names none */
    lmail_str mechanisms;     /* of AUTH, upper case, single blanks between; none twice */
    lmail_str name;           /* the server's, as its reply to EHLO or HELO begins */
    uint32_t mail_max;        /* MAILMAX: messages of a session; 0: no limit is announced */
    uint32_t rcpt_max;        /* RCPTMAX: recipients of a message */
    uint32_t rcpt_domain_max; /* RCPTDOMAINMAX: domains of recipients, of a session */
} lmail_smtp_capabilities;

typedef struct lmail_smtp_client_auth_event {
    unsigned step;        /* 0 begins: choose */
    lmail_str mechanisms; /* step 0: on offer; may be empty */
    unsigned refused;     /* step 0: exchanges of this session that failed; the last reply: */
    lmail_smtp_peer_reply reply;
    lmail_str challenge; /* steps above 0: decoded */
    unsigned finished;   /* 1: the server says that we are in. GO_ON believes it; a mechanism
                               * that has not seen the server's proof says FAIL */
} lmail_smtp_client_auth_event;

typedef enum lmail_smtp_client_auth_kind {
    LMAIL_SMTP_AUTH_GO_ON = 0, /* step 0: without login; finished: in. Otherwise as CANCEL */
    LMAIL_SMTP_AUTH_SEND,      /* step 0: mechanism, with a first response if there is one;
                                * above: response */
    LMAIL_SMTP_AUTH_CANCEL, /* above step 0: "*"; step 0 is asked again behind the server's reply */
    LMAIL_SMTP_AUTH_FAIL    /* end the session: no mail without login */
} lmail_smtp_client_auth_kind;

typedef struct lmail_smtp_client_auth_answer {
    size_t size;
    lmail_smtp_client_auth_kind kind;
    lmail_str mechanism;   /* step 0, SEND: 1 to 20 of A-Z 0-9 - _ */
    unsigned has_response; /* step 0, SEND: a first response, which may be empty. One that makes the
                            * line longer than 512 octets waits for the empty challenge */
    lmail_str response;    /* raw octets, at most 9000 */
} lmail_smtp_client_auth_answer;

#define LMAIL_SMTP_CLIENT_AUTH_ANSWER_INIT                                                         \
    {                                                                                              \
        sizeof(lmail_smtp_client_auth_answer), LMAIL_SMTP_AUTH_GO_ON, {NULL, 0}, 0,                \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
LMAIL_API void lmail_smtp_client_auth_answer_init(lmail_smtp_client_auth_answer *answer);

typedef struct lmail_smtp_client_octets_event {
    lmail_ticket mail; /* submit's */
    void *data;
    uint64_t offset; /* octets of the message answered so far */
    size_t want;     /* at most so many; 65536 or more unless config.max_want is less */
} lmail_smtp_client_octets_event;

typedef struct lmail_smtp_client_octets_answer {
    size_t size;
    unsigned failed;  /* not 0: the message cannot be read. Where the server waits for the rest the
                       * connection is cut; nobody gets a part of a message */
    lmail_str octets; /* 0..want of them, not copied: valid until on_released(t) */
    unsigned end;     /* not 0: nothing follows. No octets without it counts as failed */
} lmail_smtp_client_octets_answer;

#define LMAIL_SMTP_CLIENT_OCTETS_ANSWER_INIT                                                       \
    {                                                                                              \
        sizeof(lmail_smtp_client_octets_answer), 0, {NULL, 0}, 0                                   \
    }
LMAIL_API void lmail_smtp_client_octets_answer_init(lmail_smtp_client_octets_answer *answer);

typedef struct lmail_smtp_recipient_event {
    lmail_ticket mail;
    void *data;
    uint32_t recipient; /* its index in the mail that was submitted */
    lmail_smtp_outcome outcome;
    lmail_smtp_cause cause;
    lmail_smtp_phase phase;
    lmail_smtp_peer_reply reply;
} lmail_smtp_recipient_event;

typedef struct lmail_smtp_mail_end_event {
    lmail_ticket mail;
    void *data;
    uint32_t accepted, deferred, failed, unsent, unsure; /* recipients; all of them in sum */
    uint64_t octets;                                     /* of the message that were taken over */
} lmail_smtp_mail_end_event;

typedef struct lmail_smtp_client_end_event {
    lmail_smtp_phase phase;
    lmail_smtp_cause cause;
    lmail_smtp_peer_reply reply;
} lmail_smtp_client_end_event;

/* on_octets, on_released and on_recipient must be there. Slices in events live until the callback
 * returns; those of a question until its ticket is home. At most one question is out at a time, and
 * nothing is read from the server meanwhile. */
typedef struct lmail_smtp_client_handler {
    size_t size;

    /* Greeted, TLS and login are done: messages go out from here on. */
    void (*on_ready)(lmail_smtp_client *s, void *user, const lmail_smtp_capabilities *can);

    /* Shall we log in, and how; then each challenge; then the outcome. Answer now, or PENDING and
     * lmail_smtp_client_answer_auth once. An error return counts as FAIL. NULL: no login. */
    lmail_status (*on_auth)(lmail_smtp_client *s, void *user, lmail_ticket t,
                            const lmail_smtp_client_auth_event *ev,
                            lmail_smtp_client_auth_answer *answer);
    /* Once for each exchange that a mechanism was named for: the place to free what it kept. */
    void (*on_auth_end)(lmail_smtp_client *s, void *user, lmail_auth_end how,
                        const lmail_smtp_peer_reply *reply);

    /* More of the running message. Answer now, or PENDING and answer_octets once. An error return
     * counts as failed. */
    lmail_status (*on_octets)(lmail_smtp_client *s, void *user, lmail_ticket t,
                              const lmail_smtp_client_octets_event *ev,
                              lmail_smtp_client_octets_answer *answer);
    /* The octets answered to this ticket are no longer looked at. Once for each answer that had any
     * and was taken (OK), perhaps before the answering call returns, at the latest inside free. */
    void (*on_released)(lmail_smtp_client *s, void *user, lmail_ticket t);

    /* The fate of one recipient, as soon as it is known. */
    void (*on_recipient)(lmail_smtp_client *s, void *user, const lmail_smtp_recipient_event *ev);
    /* All recipients have theirs; the message's octets will not be asked for again. */
    void (*on_mail_end)(lmail_smtp_client *s, void *user, const lmail_smtp_mail_end_event *ev);
    /* Once: this session takes no more mail. Its messages have ended before. */
    void (*on_end)(lmail_smtp_client *s, void *user, const lmail_smtp_client_end_event *ev);

    /* A question's answer is not wanted any more; the ticket still has to be handed back. */
    void (*on_cancel)(lmail_smtp_client *s, void *user, lmail_ticket t);
    lmail_trace_fn *on_trace;
} lmail_smtp_client_handler;

#define LMAIL_SMTP_CLIENT_HANDLER_INIT                                                             \
    {                                                                                              \
        sizeof(lmail_smtp_client_handler), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,   \
            NULL                                                                                   \
    }
LMAIL_API void lmail_smtp_client_handler_init(lmail_smtp_client_handler *handler);

/* ---- Setup and session ----------------------------------------------------------------------- */

/* Make the immutable setup. It copies all it needs of both structs and must outlive its sessions.
 * Returns: OK, ERR_NOMEM, ERR_SIZE, ERR_ARG (no or no well-formed helo_name, a callback is missing,
 * a limit out of range). */
LMAIL_API lmail_status lmail_smtp_client_setup_new(lmail_smtp_client_setup **out,
                                                   const lmail_smtp_client_config *config,
                                                   const lmail_smtp_client_handler *handler);
/* After the last session that uses it. NULL is allowed. */
LMAIL_API void lmail_smtp_client_setup_free(lmail_smtp_client_setup *setup);

/* A session for one connection that is just made. `target` may be NULL. The first feed, tick or
 * tls_done starts the clock of the greeting; tls_done before the first feed is implicit TLS.
 * Returns: OK, ERR_NOMEM, ERR_SIZE, ERR_ARG (helo_name). */
LMAIL_API lmail_status lmail_smtp_client_new(lmail_smtp_client **out,
                                             const lmail_smtp_client_setup *setup,
                                             const lmail_smtp_client_target *target, void *user,
                                             lmail_msec now);
/* As lmail_session_free. Recipients without a result get theirs first, from inside this call. */
LMAIL_API void lmail_smtp_client_free(lmail_smtp_client *s);

/* Queue one message.
 *   mail    copied, addresses too
 *   ticket  out: names it in events; not one that has to be handed back
 * Callbacks: any. From a callback: no.
 * Returns: OK (its results will come), ERR_ARG (no recipients, values out of range), ERR_SIZE,
 * ERR_LIMIT (max_queued), ERR_NOMEM (the session lives on), ERR_REENTRANT, ERR_CLOSED (stopped, or
 * on_end came). */
LMAIL_API lmail_status lmail_smtp_client_submit_mail(lmail_smtp_client *s,
                                                     const lmail_smtp_client_mail *mail,
                                                     lmail_ticket *ticket, lmail_msec now);

/* The handle for libmail/session.h, and its pump under this type's name. */
LMAIL_API lmail_session *lmail_smtp_client_session(lmail_smtp_client *s);
LMAIL_API lmail_status lmail_smtp_client_feed(lmail_smtp_client *s, lmail_str in, size_t *used,
                                              lmail_msec now);
LMAIL_API lmail_status lmail_smtp_client_eof(lmail_smtp_client *s, lmail_msec now);
LMAIL_API size_t lmail_smtp_client_peek(const lmail_smtp_client *s, lmail_str *out, size_t max);
LMAIL_API lmail_status lmail_smtp_client_sent(lmail_smtp_client *s, size_t n, lmail_msec now);
LMAIL_API unsigned lmail_smtp_client_wants(const lmail_smtp_client *s);
LMAIL_API lmail_msec lmail_smtp_client_deadline(const lmail_smtp_client *s);
LMAIL_API lmail_status lmail_smtp_client_tick(lmail_smtp_client *s, lmail_msec now);
LMAIL_API lmail_status lmail_smtp_client_tls_begin(lmail_smtp_client *s, size_t unread,
                                                   lmail_msec now);
LMAIL_API lmail_status lmail_smtp_client_tls_done(lmail_smtp_client *s,
                                                  const lmail_tls_facts *facts, lmail_msec now);
LMAIL_API lmail_status lmail_smtp_client_filter_done(lmail_smtp_client *s, lmail_msec now);
/* Messages that have not begun end as UNSENT, the running one goes on, then QUIT. Before the first
 * message could go it closes at once. */
LMAIL_API lmail_status lmail_smtp_client_stop(lmail_smtp_client *s, lmail_msec now);

/* Late answers: hand a ticket back, exactly once, cancelled or not. A NULL answer is the zeroed
 * one. Slices are borrowed for the call, but for the octets.
 * Returns: OK, ERR_STALE (cancelled or answered before: octets were not taken, no on_released
 * follows), ERR_ARG (another kind of question, or a malformed answer: the ticket is still out),
 * ERR_SIZE, ERR_NOMEM, ERR_REENTRANT. */
LMAIL_API lmail_status
lmail_smtp_client_answer_octets(lmail_smtp_client *s, lmail_ticket t,
                                const lmail_smtp_client_octets_answer *answer, lmail_msec now);
LMAIL_API lmail_status lmail_smtp_client_answer_auth(lmail_smtp_client *s, lmail_ticket t,
                                                     const lmail_smtp_client_auth_answer *answer,
                                                     lmail_msec now);

/* ---- What a session knows -------------------------------------------------------------------- */

/* Allowed in callbacks. */

/* The `user` of lmail_smtp_client_new. */
LMAIL_API void *lmail_smtp_client_user(const lmail_smtp_client *s);
LMAIL_API void lmail_smtp_client_capabilities(const lmail_smtp_client *s,
                                              lmail_smtp_capabilities *out);
/* NULL without TLS. */
LMAIL_API const lmail_tls_facts *lmail_smtp_client_tls(const lmail_smtp_client *s);
/* The mechanism that we logged in with; empty before. */
LMAIL_API lmail_str lmail_smtp_client_mechanism(const lmail_smtp_client *s);
LMAIL_API lmail_smtp_phase lmail_smtp_client_phase(const lmail_smtp_client *s);
/* Messages submitted and not ended. */
LMAIL_API uint32_t lmail_smtp_client_queued(const lmail_smtp_client *s);
/* Messages that may still be begun on this connection, those that wait included: 0 behind on_end or
 * stop, UINT32_MAX without MAILMAX. */
LMAIL_API uint32_t lmail_smtp_client_mails_left(const lmail_smtp_client *s);

#ifdef __cplusplus
}
#endif

#endif
