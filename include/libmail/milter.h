/* libmail/milter.h - the MTA's side of the milter protocol: a mail filter is asked about a message.
 *
 * The protocol has no RFC; it is what sendmail's libmilter speaks (versions 2 to 6 of it). A filter
 * is asked at each step of an SMTP session and says how to go on; at the end of a message it may
 * change it.
 *
 * How it is used:
 *
 *     1. Fill a config and a handler, make a setup from them: immutable, shared by any number of
 *        sessions and threads. One for each filter, or one for all.
 *     2. For each connection to the filter make a session with lmail_milter_client_new and drive it
 *        with the pump of libmail/session.h. It negotiates, and on_ready comes.
 *     3. Ask with lmail_milter_client_submit, one question at a time: CONNECT, HELO, then for each
 *        message MAIL, RCPT ..., DATA, HEADER ..., EOH, BODY ..., END. Each is answered by exactly
 *        one on_verdict, whatever the filter does, perhaps from inside submit.
 *     4. Behind END, and before its verdict, on_change tells what the filter changes.
 *     5. ABORT when a message ends without END (RSET, a refusal). lmail_milter_client_stop says QUIT.
 *
 * A filter that does what it may not - a change that was not negotiated, an answer that does not fit,
 * a length beyond the limit - has failed: the running question gets LMAIL_MILTER_SAYS_FAILED, on_end
 * comes, and the connection closes. What that means for the mail is the host's decision.
 */
#ifndef LIBMAIL_MILTER_H
#define LIBMAIL_MILTER_H

#include <libmail/session.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_milter_client lmail_milter_client;
typedef struct lmail_milter_client_setup lmail_milter_client_setup;

/* ---- Words ----------------------------------------------------------------------------------- */

/* What a filter can be asked or told. */
#define LMAIL_MILTER_ASK_MAP(XX)                                                                   \
    XX(CONNECT) /* a client has connected */                                                       \
    XX(HELO)                                                                                       \
    XX(MAIL)                                                                                       \
    XX(RCPT)                                                                                       \
    XX(DATA)                                                                                       \
    XX(UNKNOWN) /* a command that the server does not know */                                      \
    XX(HEADER)  /* one field */                                                                    \
    XX(EOH)     /* the header is over */                                                           \
    XX(BODY)    /* some octets of it */                                                            \
    XX(END)     /* of the message */                                                               \
    XX(ABORT)   /* the message is over without END; no answer comes */                             \
    XX(RENEW) /* the SMTP session is over, the next one is asked about over the same connection; no  \
                 * answer comes */

typedef enum lmail_milter_ask_kind {
    LMAIL_MILTER_ASK_NONE = 0,
#define XX(name) LMAIL_MILTER_ASK_##name,
    LMAIL_MILTER_ASK_MAP(XX)
#undef XX
        LMAIL_MILTER_ASK_COUNT
} lmail_milter_ask_kind;

/* What it says. */
#define LMAIL_MILTER_SAYS_MAP(XX)                                                                  \
    XX(CONTINUE)                                                                                   \
    XX(ACCEPT)   /* CONNECT, HELO: asks no more of this session; else of this message */           \
    XX(REJECT)   /* this recipient, this message, or this session */                               \
    XX(TEMPFAIL) /* the same, for now */                                                           \
    XX(REPLY)    /* the same, in the filter's words: code, enhanced, lines */                      \
    XX(DISCARD)  /* the message: taken and thrown away */                                          \
    XX(SHUTDOWN) /* 421, and the SMTP session is over */                                           \
    XX(FAILED)   /* no answer of it counts any more: cause and text say why */

typedef enum lmail_milter_says {
    LMAIL_MILTER_SAYS_NONE = 0,
#define XX(name) LMAIL_MILTER_SAYS_##name,
    LMAIL_MILTER_SAYS_MAP(XX)
#undef XX
        LMAIL_MILTER_SAYS_COUNT
} lmail_milter_says;

/* What it changes. */
#define LMAIL_MILTER_CHANGE_MAP(XX)                                                                     \
    XX(ADD_HEADER) /* name, value; behind the others */                                                 \
    XX(INSERT_HEADER) /* name, value, index: 0 is before all fields, also the server's own Received */  \
    XX(CHANGE_HEADER) /* name, value, index: of those with this name, from 1; an empty value deletes */ \
    XX(BODY)          /* value: octets of the new body; the first of them replaces the old one */       \
    XX(ADD_RCPT)      /* value: an address; args */                                                     \
    XX(DELETE_RCPT) /* value */                                                                         \
    XX(FROM)        /* value: the new sender; args */                                                   \
    XX(QUARANTINE)  /* value: the reason */

typedef enum lmail_milter_change_kind {
    LMAIL_MILTER_CHANGE_NONE = 0,
#define XX(name) LMAIL_MILTER_CHANGE_##name,
    LMAIL_MILTER_CHANGE_MAP(XX)
#undef XX
        LMAIL_MILTER_CHANGE_COUNT
} lmail_milter_change_kind;

/* Why a session ended. */
typedef enum lmail_milter_cause {
    LMAIL_MILTER_CAUSE_LOST = 1, /* the filter closed the connection */
    LMAIL_MILTER_CAUSE_TIMEOUT,
    LMAIL_MILTER_CAUSE_PROTOCOL, /* it said what it may not */
    LMAIL_MILTER_CAUSE_VERSION,  /* no version, or no set of rights, that both know */
    LMAIL_MILTER_CAUSE_HOST,     /* on_change gave up */
    LMAIL_MILTER_CAUSE_STOPPED,  /* stop() */
    LMAIL_MILTER_CAUSE_FREED     /* free(), or memory ran out */
} lmail_milter_cause;

/* "CONNECT", "CONTINUE", "ADD_HEADER", "LOST"; NULL for what is not in the list. Static strings. */
LMAIL_API const char *lmail_milter_ask_name(lmail_milter_ask_kind kind);
LMAIL_API const char *lmail_milter_says_name(lmail_milter_says says);
LMAIL_API const char *lmail_milter_change_name(lmail_milter_change_kind kind);
LMAIL_API const char *lmail_milter_cause_name(lmail_milter_cause cause);

/* Where macros are sent: with these questions. In the protocol's order. */
typedef enum lmail_milter_stage {
    LMAIL_MILTER_STAGE_CONNECT = 0,
    LMAIL_MILTER_STAGE_HELO,
    LMAIL_MILTER_STAGE_MAIL,
    LMAIL_MILTER_STAGE_RCPT,
    LMAIL_MILTER_STAGE_DATA,
    LMAIL_MILTER_STAGE_END,
    LMAIL_MILTER_STAGE_EOH,
    LMAIL_MILTER_STAGE_COUNT
} lmail_milter_stage;

/* What a filter may do at the end of a message. The protocol's own bits (SMFIF_*). */
enum {
    LMAIL_MILTER_MAY_ADD_HEADERS = 0x1, /* and insert them */
    LMAIL_MILTER_MAY_CHANGE_BODY = 0x2,
    LMAIL_MILTER_MAY_ADD_RCPT = 0x4,
    LMAIL_MILTER_MAY_DELETE_RCPT = 0x8,
    LMAIL_MILTER_MAY_CHANGE_HEADERS = 0x10,
    LMAIL_MILTER_MAY_QUARANTINE = 0x20,
    LMAIL_MILTER_MAY_CHANGE_FROM = 0x40,
    LMAIL_MILTER_MAY_ADD_RCPT_ARGS = 0x80,
    LMAIL_MILTER_MAY_NAME_MACROS = 0x100, /* say which it wants, in the negotiation */
    LMAIL_MILTER_MAY_ALL = 0x1ff
};

/* How a filter wants to be asked (SMFIP_*): lmail_milter_facts.steps. */
enum {
    LMAIL_MILTER_STEP_REJECTED_RCPT = 0x800, /* it also wants recipients that were refused */
    LMAIL_MILTER_STEP_LEADING_SPACE = 0x100000
};

/* ---- Where a filter listens ------------------------------------------------------------------ */

typedef struct lmail_milter_socket {
    lmail_str path; /* of a unix socket; empty: host and port */
    lmail_str host; /* a name or an address, without brackets; empty: this machine */
    unsigned port;  /* 1 to 65535 */
    unsigned inet6; /* only IPv6 addresses of the host count; else only IPv4 */
} lmail_milter_socket;

/* "inet:PORT@HOST", "inet6:PORT@HOST", "inet:PORT", "unix:/PATH", "local:/PATH", "/PATH"; as filters
 * and sendmail's X lines have it. Slices lie in text. Returns: OK, ERR_SYNTAX. */
LMAIL_API lmail_status lmail_milter_socket_parse(lmail_str text, lmail_milter_socket *out);

/* ---- Configuration --------------------------------------------------------------------------- */

/* 0 means the default in [brackets]. Times: LMAIL_NEVER is none. */
typedef struct lmail_milter_client_config {
    size_t size;
    lmail_alloc alloc; /* for the setup and its sessions; zeroed: the C library's */
    unsigned version;  /* the highest that is offered: 2 to 6 [6] */
    uint32_t actions;  /* LMAIL_MILTER_MAY_* that are offered [all] */
    size_t
        max_data; /* octets of a piece of a message, the largest that is offered: 65535, 262143 or
                        * 1048575; the filter chooses. It bounds what a filter may send at once, too
                        * [65535] */
    uint32_t max_changes;    /* of one message [10000] */
    lmail_msec send_timeout; /* until the filter takes more [10000] */
    lmail_msec read_timeout; /* for an answer [10000] */
    lmail_msec end_timeout;  /* for the answer to END, from it or the filter's last sign of life
                              * (PROGRESS) [300000] */
    /* Names of the macros of a stage, blanks between, with or without braces. A filter's own list goes
     * before. ptr NULL: sendmail's list. Copied. */
    lmail_str macros[LMAIL_MILTER_STAGE_COUNT];
} lmail_milter_client_config;

#define LMAIL_MILTER_CLIENT_CONFIG_INIT                                                            \
    {                                                                                              \
        sizeof(lmail_milter_client_config), {NULL, NULL}, 0, 0, 0, 0, 0, 0, 0,                     \
        {                                                                                          \
            {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0},                      \
            {                                                                                      \
                NULL, 0                                                                            \
            }                                                                                      \
        }                                                                                          \
    }
LMAIL_API void lmail_milter_client_config_init(lmail_milter_client_config *config);

/* ---- Questions to the filter ----------------------------------------------------------------- */

typedef enum lmail_milter_family {
    LMAIL_MILTER_FAMILY_UNKNOWN = 0, /* no address */
    LMAIL_MILTER_FAMILY_UNIX,
    LMAIL_MILTER_FAMILY_INET,
    LMAIL_MILTER_FAMILY_INET6
} lmail_milter_family;

/* All is copied. A NUL in a text ends it there. */
typedef struct lmail_milter_ask {
    size_t size;
    lmail_milter_ask_kind kind;
    lmail_str text;  /* CONNECT: the client's name; HELO: its word; MAIL, RCPT: the address in
                                 * brackets; UNKNOWN: the line; HEADER: the field's name; BODY: octets,
                                 * at most lmail_milter_facts.max_data, CRLF line ends */
    lmail_str value; /* HEADER: all behind the colon, as it stands in the message, without the
                                 * last CRLF; CONNECT: the client's address, or the path of a socket */
    lmail_milter_family family; /* CONNECT */
    unsigned port;              /* CONNECT */
    const lmail_str *args;      /* MAIL, RCPT: the parameters, "SIZE=100" */
    size_t arg_count;
} lmail_milter_ask;

#define LMAIL_MILTER_ASK_INIT                                                                      \
    {                                                                                              \
        sizeof(lmail_milter_ask), LMAIL_MILTER_ASK_NONE, {NULL, 0}, {NULL, 0},                     \
            LMAIL_MILTER_FAMILY_UNKNOWN, 0, NULL, 0                                                \
    }
LMAIL_API void lmail_milter_ask_init(lmail_milter_ask *ask);

/* ---- Events ---------------------------------------------------------------------------------- */

/* What was agreed on. */
typedef struct lmail_milter_facts {
    unsigned version; /* 2 to 6 */
    uint32_t actions; /* LMAIL_MILTER_MAY_* that the filter has asked for */
    uint32_t steps;   /* the protocol's own bits; LMAIL_MILTER_STEP_* of them are named */
    size_t max_data;  /* of BODY */
} lmail_milter_facts;

typedef struct lmail_milter_ready_event {
    lmail_milter_facts facts;
} lmail_milter_ready_event;

typedef struct lmail_milter_verdict_event {
    lmail_milter_ask_kind ask;
    lmail_milter_says says;
    unsigned code;          /* REPLY: 400 to 599. 421 ends the SMTP session */
    lmail_str enhanced;     /* REPLY: "5.7.1", of the code's own class; may be empty */
    const lmail_str *lines; /* REPLY: 1 or more, without codes; control octets are '?' */
    size_t line_count;
    lmail_milter_cause cause; /* FAILED */
    lmail_str text;           /* FAILED: in few words */
} lmail_milter_verdict_event;

typedef struct lmail_milter_change_event {
    lmail_milter_change_kind kind;
    lmail_str name;  /* *_HEADER: of a field; printable, no colon */
    lmail_str value; /* *_HEADER: all that goes behind the colon, its blank included, CRLF line ends
                       * with a blank behind each, no last CRLF; an address without brackets; a
                       * reason; octets of a body */
    uint32_t index;  /* INSERT_HEADER, CHANGE_HEADER */
    lmail_str args;  /* ADD_RCPT, FROM: ESMTP parameters, blanks between, or empty */
} lmail_milter_change_event;

typedef struct lmail_milter_change_answer {
    size_t size;
    unsigned failed; /* not 0: it could not be kept; the session ends */
} lmail_milter_change_answer;

#define LMAIL_MILTER_CHANGE_ANSWER_INIT                                                            \
    {                                                                                              \
        sizeof(lmail_milter_change_answer), 0                                                      \
    }
LMAIL_API void lmail_milter_change_answer_init(lmail_milter_change_answer *answer);

typedef struct lmail_milter_end_event {
    lmail_milter_cause cause;
    lmail_str text; /* in few words */
} lmail_milter_end_event;

/* on_verdict must be there. Slices in events live until the callback returns; those of a change until
 * its ticket is home. */
typedef struct lmail_milter_client_handler {
    size_t size;

    /* Negotiated: questions may be submitted. */
    void (*on_ready)(lmail_milter_client *s, void *user, const lmail_milter_ready_event *ev);
    /* The answer to what was submitted last. */
    void (*on_verdict)(lmail_milter_client *s, void *user, const lmail_milter_verdict_event *ev);
    /* Before the verdict to END. Answer now, or PENDING and lmail_milter_client_answer_change once:
     * nothing is read from the filter meanwhile, and its time stands still. An error return counts as
     * failed. NULL: nothing is offered (config.actions counts as 0). */
    lmail_status (*on_change)(lmail_milter_client *s, void *user, lmail_ticket t,
                              const lmail_milter_change_event *ev,
                              lmail_milter_change_answer *answer);
    /* The value of a macro, its name without braces: "daemon_name", "i". ptr NULL: it has none and is
     * not sent. Borrowed until the next call. NULL: no macros. */
    lmail_str (*on_macro)(const lmail_milter_client *s, void *user, lmail_milter_stage stage,
                          lmail_str name);
    /* Once: the session answers no more. */
    void (*on_end)(lmail_milter_client *s, void *user, const lmail_milter_end_event *ev);

    /* A change's answer is not wanted any more; the ticket still has to be handed back. */
    void (*on_cancel)(lmail_milter_client *s, void *user, lmail_ticket t);
    lmail_trace_fn *on_trace; /* IN, OUT: the packet's letter and its first octets */
} lmail_milter_client_handler;

#define LMAIL_MILTER_CLIENT_HANDLER_INIT                                                           \
    {                                                                                              \
        sizeof(lmail_milter_client_handler), NULL, NULL, NULL, NULL, NULL, NULL, NULL              \
    }
LMAIL_API void lmail_milter_client_handler_init(lmail_milter_client_handler *handler);

/* ---- Setup and session ----------------------------------------------------------------------- */

/* Make the immutable setup. It copies all it needs of both structs and must outlive its sessions.
 * Returns: OK, ERR_NOMEM, ERR_SIZE, ERR_ARG (no on_verdict; version, actions or max_data out of
 * range). */
LMAIL_API lmail_status lmail_milter_client_setup_new(lmail_milter_client_setup **out,
                                                     const lmail_milter_client_config *config,
                                                     const lmail_milter_client_handler *handler);
/* After the last session that uses it. NULL is allowed. */
LMAIL_API void lmail_milter_client_setup_free(lmail_milter_client_setup *setup);

/* A session for one connection to a filter that is just made. The first feed or tick negotiates.
 * Returns: OK, ERR_NOMEM. */
LMAIL_API lmail_status lmail_milter_client_new(lmail_milter_client **out,
                                               const lmail_milter_client_setup *setup, void *user,
                                               lmail_msec now);
/* As lmail_session_free. A question without its verdict gets it first, from inside this call. */
LMAIL_API void lmail_milter_client_free(lmail_milter_client *s);

/* Ask or tell the filter. When it does not want the question, or wants no answer to be waited for, the
 * verdict is CONTINUE: at once, or as soon as the output has room. ABORT and RENEW get no verdict.
 * Callbacks: on_macro, on_verdict. From a callback: no.
 * Returns: OK (a verdict will come or has come), ERR_STATE (not negotiated yet, or a verdict is still
 * due), ERR_ARG (no such kind, a BODY that is too long), ERR_UNSUPPORTED (RENEW: the filter's version
 * has no such thing), ERR_SIZE, ERR_NOMEM, ERR_REENTRANT, ERR_CLOSED (on_end came). */
LMAIL_API lmail_status lmail_milter_client_submit(lmail_milter_client *s,
                                                  const lmail_milter_ask *ask, lmail_msec now);

/* The handle for libmail/session.h, and its pump under this type's name. */
LMAIL_API lmail_session *lmail_milter_client_session(lmail_milter_client *s);
LMAIL_API lmail_status lmail_milter_client_feed(lmail_milter_client *s, lmail_str in, size_t *used,
                                                lmail_msec now);
LMAIL_API lmail_status lmail_milter_client_eof(lmail_milter_client *s, lmail_msec now);
LMAIL_API size_t lmail_milter_client_peek(const lmail_milter_client *s, lmail_str *out, size_t max);
LMAIL_API lmail_status lmail_milter_client_sent(lmail_milter_client *s, size_t n, lmail_msec now);
LMAIL_API unsigned lmail_milter_client_wants(const lmail_milter_client *s);
LMAIL_API lmail_msec lmail_milter_client_deadline(const lmail_milter_client *s);
LMAIL_API lmail_status lmail_milter_client_tick(lmail_milter_client *s, lmail_msec now);
LMAIL_API lmail_status lmail_milter_client_tls_begin(lmail_milter_client *s, size_t unread,
                                                     lmail_msec now);
LMAIL_API lmail_status lmail_milter_client_tls_done(lmail_milter_client *s,
                                                    const lmail_tls_facts *facts, lmail_msec now);
LMAIL_API lmail_status lmail_milter_client_filter_done(lmail_milter_client *s, lmail_msec now);
/* Between questions it says QUIT; a running one gets FAILED (STOPPED). Then it closes. */
LMAIL_API lmail_status lmail_milter_client_stop(lmail_milter_client *s, lmail_msec now);

/* A change was kept: hand its ticket back, exactly once, cancelled or not. A NULL answer is the zeroed
 * one. Returns: OK, ERR_STALE, ERR_ARG, ERR_SIZE, ERR_NOMEM, ERR_REENTRANT. */
LMAIL_API lmail_status lmail_milter_client_answer_change(lmail_milter_client *s, lmail_ticket t,
                                                         const lmail_milter_change_answer *answer,
                                                         lmail_msec now);

/* ---- What a session knows -------------------------------------------------------------------- */

/* Allowed in callbacks. */

LMAIL_API void *lmail_milter_client_user(const lmail_milter_client *s);
/* 1: the question would be sent. 0: the filter does not want it, has skipped what is left of its kind,
 * or is not there. */
LMAIL_API int lmail_milter_client_asks(const lmail_milter_client *s, lmail_milter_ask_kind kind);
/* All zero before on_ready. */
LMAIL_API void lmail_milter_client_get_facts(const lmail_milter_client *s, lmail_milter_facts *out);

#ifdef __cplusplus
}
#endif

#endif
