/* libmail/smtp.h - the server side of SMTP and LMTP.
 *
 * RFC 5321 (SMTP), 2033 (LMTP), 1870 (SIZE), 2920 (PIPELINING), 3030 (CHUNKING, BINARYMIME), 3207
 * (STARTTLS), 4954 (AUTH), 6152 (8BITMIME), 2034 (ENHANCEDSTATUSCODES), 3461 (DSN), 6531
 * (SMTPUTF8), 1985 (ETRN); XCLIENT and XFORWARD as Postfix documents them.
 *
 * How it is used:
 *
 *     1. Fill a config and a handler, both may live on the stack; make a setup from them. The
 *        setup is immutable, shared by any number of sessions and threads, and outlives its
 *        sessions.
 *     2. For each connection make a session with lmail_smtp_server_new and drive it with the pump
 *        of libmail/session.h. Every function of the pump exists here under the session type's
 *        name.
 *     3. Answer what the session asks through the handler, at once or later.
 *
 * A handler with only on_body and on_body_end set is a server that takes every message.
 *
 * One transaction, as the handler sees it:
 *
 *     on_mail  on_rcpt ...  on_body_start  on_body ...  on_body_end   (LMTP: one end a recipient)
 *
 * A transaction that on_mail accepted ends in exactly one of two ways: the last on_body_end was
 * answered, or on_abandon was called (RSET, EHLO, QUIT, a message that the session or on_body
 * refused, a peer that left, at the latest from free()).
 */
#ifndef LIBMAIL_SMTP_H
#define LIBMAIL_SMTP_H

#include <libmail/sasl.h>
#include <libmail/session.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_smtp_server lmail_smtp_server;
typedef struct lmail_smtp_server_setup lmail_smtp_server_setup;

/* ---- Replies --------------------------------------------------------------------------------- */

/* Every reply that the session writes by itself: name, code, enhanced code, text. The host may
 * replace each of them in its config, with the placeholders of libmail/session.h ("Words").
 * Source: RFC 5321 §4.2, RFC 3463, and the RFC of each extension. */
#define LMAIL_SMTP_REPLY_MAP(XX)                                                                   \
    XX(GREETING, 220, "", "%H ESMTP")                                                              \
    XX(GREETING_LMTP, 220, "", "%H LMTP")                                                          \
    XX(HELO, 250, "", "%H")                                                                        \
    XX(EHLO, 250, "", "%H")                                                                        \
    XX(MAIL_OK, 250, "2.1.0", "OK")                                                                \
    XX(RCPT_OK, 250, "2.1.5", "OK")                                                                \
    XX(DATA_GO, 354, "", "End data with <CR><LF>.<CR><LF>")                                        \
    XX(BODY_OK, 250, "2.0.0", "OK")                                                                \
    XX(CHUNK_OK, 250, "2.0.0", "%O octets received")                                               \
    XX(RSET_OK, 250, "2.0.0", "OK")                                                                \
    XX(NOOP_OK, 250, "2.0.0", "OK")                                                                \
    XX(QUIT_OK, 221, "2.0.0", "%H closing connection")                                             \
    XX(HELP, 214, "2.0.0", "This is %H; the commands are those of RFC 5321")                       \
    XX(VRFY_UNSURE, 252, "2.0.0", "Cannot VRFY user, but will accept message and try delivery")    \
    XX(EXPN_OFF, 502, "5.5.1", "EXPN is not available")                                            \
    XX(ETRN_OFF, 502, "5.5.1", "ETRN is not available")                                            \
    XX(ETRN_OK, 250, "2.0.0", "Queuing started")                                                   \
    XX(UNKNOWN_COMMAND, 500, "5.5.1", "Command unrecognized")                                      \
    XX(LINE_TOO_LONG, 500, "5.5.2", "Line too long")                                               \
    XX(BARE_LINE_END, 500, "5.5.2", "Lines must end in CR LF")                                     \
    XX(BAD_OCTET, 500, "5.5.2", "Invalid octet in command")                                        \
    XX(NO_ARGUMENT, 501, "5.5.4", "No argument is allowed")                                        \
    XX(ARGUMENT_MISSING, 501, "5.5.4", "An argument is required")                                  \
    XX(HELO_SYNTAX, 501, "5.5.4", "A domain name or address literal is required")                  \
    XX(MAIL_SYNTAX, 501, "5.5.4", "Syntax: MAIL FROM:<address> [parameters]")                      \
    XX(RCPT_SYNTAX, 501, "5.5.4", "Syntax: RCPT TO:<address> [parameters]")                        \
    XX(BAD_SENDER, 501, "5.1.7", "Bad sender address syntax")                                      \
    XX(BAD_RECIPIENT, 501, "5.1.3", "Bad recipient address syntax")                                \
    XX(NO_LOCAL_PART, 501, "5.1.3", "User address required")                                       \
    XX(NO_DOMAIN, 501, "5.1.3", "Domain name required")                                            \
    XX(BAD_DOMAIN, 501, "5.1.2", "Invalid domain name")                                            \
    XX(ROUTE, 501, "5.1.3", "Bad address syntax: more than one @")                                 \
    XX(PATH_TOO_LONG, 501, "5.1.3", "Path too long")                                               \
    XX(PARAM_UNKNOWN, 555, "5.5.4", "Parameter %A is not recognized")                              \
    XX(PARAM_SYNTAX, 501, "5.5.4", "Parameter %A has a bad value")                                 \
    XX(PARAM_TWICE, 501, "5.5.4", "Parameter %A is given twice")                                   \
    XX(PARAM_TOO_MANY, 501, "5.5.4", "Too many parameters")                                        \
    XX(DSN_OFF, 555, "5.5.4", "Parameter %A is not recognized")                                    \
    XX(NEED_HELO, 503, "5.5.1", "Send HELO or EHLO first")                                         \
    XX(NEED_HELO_QUERY, 503, "5.5.1", "Send HELO or EHLO first")                                   \
    XX(NEED_MAIL, 503, "5.5.1", "Send MAIL first")                                                 \
    XX(NEED_RCPT, 503, "5.5.1", "Send RCPT first")                                                 \
    XX(NO_RECIPIENTS, 554, "5.5.1", "No valid recipients")                                         \
    XX(NESTED_MAIL, 503, "5.5.1", "Sender is already specified")                                   \
    XX(NEED_BDAT, 503, "5.5.1", "A BINARYMIME message needs BDAT")                                 \
    XX(BDAT_OPEN, 503, "5.5.1", "Only BDAT or RSET may follow BDAT")                               \
    XX(BDAT_SYNTAX, 501, "5.5.4", "Syntax: BDAT size [LAST]; closing connection")                  \
    XX(TOO_MANY_RCPTS, 452, "4.5.3", "Too many recipients")                                        \
    XX(SIZE_DECLARED, 552, "5.3.4", "Message size exceeds the fixed maximum (%O)")                 \
    XX(SIZE_REAL, 552, "5.3.4", "Message exceeds the fixed maximum size (%O)")                     \
    XX(HEADER_TOO_LARGE, 552, "5.3.4", "Headers too large (%O max)")                               \
    XX(BODY_BARE, 554, "5.6.0", "Message contains a bare CR or LF")                                \
    XX(BODY_NUL, 554, "5.6.0", "Message contains a NUL octet")                                     \
    XX(NEED_SMTPUTF8, 553, "5.6.7", "Address needs SMTPUTF8")                                      \
    XX(NEED_TLS, 530, "5.7.0", "Must issue a STARTTLS command first")                              \
    XX(NEED_AUTH, 530, "5.7.0", "Authentication required")                                         \
    XX(STARTTLS_GO, 220, "2.0.0", "Ready to start TLS")                                            \
    XX(STARTTLS_OFF, 502, "5.5.1", "STARTTLS is not available")                                    \
    XX(STARTTLS_TWICE, 503, "5.5.1", "TLS is already active")                                      \
    XX(STARTTLS_IN_MAIL, 503, "5.5.1", "STARTTLS not permitted during a mail transaction")         \
    XX(AUTH_OK, 235, "2.7.0", "Authentication successful")                                         \
    XX(AUTH_OFF, 502, "5.5.1", "Authentication is not available")                                  \
    XX(AUTH_TWICE, 503, "5.5.1", "Already authenticated")                                          \
    XX(AUTH_IN_MAIL, 503, "5.5.1", "AUTH not permitted during a mail transaction")                 \
    XX(AUTH_MECHANISM, 504, "5.5.4", "AUTH mechanism %A is not available")                         \
    XX(AUTH_ABORTED, 501, "5.7.0", "Authentication aborted")                                       \
    XX(AUTH_BASE64, 501, "5.5.2", "Cannot decode the response")                                    \
    XX(AUTH_LONG, 500, "5.5.6", "Authentication exchange line is too long")                        \
    XX(AUTH_CREDENTIALS, 535, "5.7.8", "Authentication credentials invalid")                       \
    XX(AUTH_TEMPORARY, 454, "4.7.0", "Temporary authentication failure")                           \
    XX(AUTH_PERMANENT, 535, "5.7.0", "Account cannot be used")                                     \
    XX(AUTH_AUTHORIZATION, 535, "5.7.8", "Not authorized to act as that user")                     \
    XX(AUTH_EXPIRED, 535, "5.7.8", "Password has expired")                                         \
    XX(AUTH_ENCRYPTION, 538, "5.7.11", "Encryption required for this mechanism")                   \
    XX(AUTH_WEAK, 534, "5.7.9", "Authentication mechanism is too weak")                            \
    XX(AUTH_TRANSITION, 432, "4.7.12", "A password transition is needed")                          \
    XX(AUTH_PROTOCOL, 501, "5.5.2", "Authentication protocol error")                               \
    XX(AUTH_TOO_MANY, 421, "4.7.0", "%H Too many authentication failures; closing connection")     \
    XX(HOST_ERROR, 451, "4.3.0", "Local error in processing")                                      \
    XX(NO_MEMORY, 452, "4.3.1", "Insufficient system resources")                                   \
    XX(REFUSED, 554, "5.7.1", "Access denied")                                                     \
    XX(EARLY_TALKER, 554, "", "%H ESMTP not accepting messages")                                   \
    XX(EARLY_COMMAND, 550, "5.0.0", "Command rejected")                                            \
    XX(TIMEOUT_COMMAND, 421, "4.4.2", "%H timeout waiting for a command; closing connection")      \
    XX(TIMEOUT_DATA, 421, "4.4.2", "%H timeout waiting for data; closing connection")              \
    XX(BAD_COMMANDS, 421, "4.7.0", "%H Too many bad commands; closing connection")                 \
    XX(STOPPING, 421, "4.3.2", "%H shutting down; closing connection")                             \
    XX(XFORWARD_OK, 250, "2.0.0", "OK")                                                            \
    XX(X_IN_MAIL, 503, "5.5.1", "%A not permitted during a mail transaction")                      \
    XX(X_OFF, 550, "5.7.0", "%A: insufficient authorization")                                      \
    XX(X_UNKNOWN, 501, "5.5.4", "Attribute %A is not recognized")                                  \
    XX(X_SYNTAX, 501, "5.5.4", "Syntax: %A attribute=value ...")                                   \
    XX(X_VALUE, 501, "5.5.4", "Attribute %A has a bad value")                                      \
    XX(X_TWICE, 501, "5.5.4", "Attribute %A is given twice")

typedef enum lmail_smtp_reply_id {
    LMAIL_SMTP_SAY_NONE = 0,
#define XX(name, code, enhanced, text) LMAIL_SMTP_SAY_##name,
    LMAIL_SMTP_REPLY_MAP(XX)
#undef XX
        LMAIL_SMTP_SAY_COUNT
} lmail_smtp_reply_id;

/* What the host says. The session passes it zeroed (with its size) to a callback: left so, it is
 * the default success of that question. Texts are copied before the call returns. A text with CR,
 * LF, NUL or another control octet is refused: answer() returns ERR_ARG and the ticket stays out;
 * from a callback it counts as an error return. A text longer than a reply line may be (RFC 5321
 * §4.5.3.1.5) goes out on several lines. */
typedef struct lmail_smtp_reply {
    size_t size;
    unsigned code;          /* 200..599; 0: the default. Only 2xx (or 354 at body start) means yes;
                             * 421 closes the session behind it */
    lmail_str enhanced;     /* "5.1.1", its first digit that of the code; empty: X.0.0 */
    lmail_str text;         /* empty: the default's text (code 0 or the default's own), or none */
    const lmail_str *lines; /* further lines behind text, for VRFY, EXPN, HELP-like answers */
    size_t line_count;
} lmail_smtp_reply;

#define LMAIL_SMTP_REPLY_INIT                                                                      \
    {                                                                                              \
        sizeof(lmail_smtp_reply), 0, {NULL, 0}, {NULL, 0}, NULL, 0                                 \
    }
LMAIL_API void lmail_smtp_reply_init(lmail_smtp_reply *reply);

/* One reply of the table in the host's words. */
typedef struct lmail_smtp_reply_text {
    lmail_smtp_reply_id id;
    unsigned code;      /* 200..599 */
    lmail_str enhanced; /* may be empty: none is written */
    lmail_str text;     /* with the placeholders of libmail/session.h */
} lmail_smtp_reply_text;

/* The table's name for a reply, "GREETING"; NULL for an id that is not in the list. A static
 * string. */
LMAIL_API const char *lmail_smtp_reply_name(lmail_smtp_reply_id id);

/* The table as the RFCs have it; slices are static. Returns: OK, ERR_ARG (not in the list). */
LMAIL_API lmail_status lmail_smtp_reply_default(lmail_smtp_reply_id id, lmail_smtp_reply_text *out);

/* ---- Configuration --------------------------------------------------------------------------- */

/* lmail_smtp_server_config.flags_on, .flags_off */
enum {
    /* What is spoken and offered. */
    LMAIL_SMTP_LMTP = 1 << 0,       /* LHLO in place of HELO and EHLO, one reply a recipient */
    LMAIL_SMTP_PIPELINING = 1 << 1, /* the offer; batches are always understood */
    LMAIL_SMTP_SIZE = 1 << 2,
    LMAIL_SMTP_8BITMIME = 1 << 3,
    LMAIL_SMTP_ENHANCED = 1 << 4, /* enhanced codes in replies, and the offer */
    LMAIL_SMTP_CHUNKING = 1 << 5,
    LMAIL_SMTP_BINARYMIME = 1 << 6, /* only with CHUNKING (RFC 3030 §3) */
    LMAIL_SMTP_SMTPUTF8 = 1 << 7,
    LMAIL_SMTP_DSN = 1 << 8,
    LMAIL_SMTP_STARTTLS = 1 << 9,
    LMAIL_SMTP_ETRN = 1 << 10, /* needs on_etrn */
    LMAIL_SMTP_EXPN = 1 << 11, /* needs on_expn; in the EHLO list (RFC 5321 §3.5.3) */
    LMAIL_SMTP_VRFY = 1 << 12, /* in the EHLO list; the command itself always answers */
    LMAIL_SMTP_HELP = 1 << 13, /* in the EHLO list */

    LMAIL_SMTP_VRFY_NEEDS_HELO = 1 << 14, /* before a HELO: NEED_HELO_QUERY */
    LMAIL_SMTP_EXPN_NEEDS_HELO = 1 << 15,

    /* What is demanded. */
    LMAIL_SMTP_NEED_HELO_FIRST = 1 << 16, /* MAIL before a HELO is refused */
    LMAIL_SMTP_NEED_AUTH_FIRST = 1 << 17, /* MAIL before AUTH is refused */
    LMAIL_SMTP_NEED_TLS_FIRST = 1 << 18,  /* all but EHLO, STARTTLS, NOOP, QUIT; RFC 3207 §4 */

    /* Tolerances: not in the grammar, seen in the world. */
    LMAIL_SMTP_ALLOW_SPACE = 1 << 20,        /* MAIL FROM: <a@b> */
    LMAIL_SMTP_ALLOW_NO_BRACKETS = 1 << 21,  /* MAIL FROM:a@b */
    LMAIL_SMTP_ALLOW_UNQUALIFIED = 1 << 22,  /* <user> without a domain */
    LMAIL_SMTP_ALLOW_UNDERSCORE = 1 << 23,   /* in HELO names and domains */
    LMAIL_SMTP_ALLOW_ANY_HELO = 1 << 24,     /* any printable text as the HELO argument */
    LMAIL_SMTP_ALLOW_TRAILING_DOT = 1 << 25, /* <a@b.>; the dot is dropped */

    /* For peers that speak for others, so of single sessions, by the answer to on_connect. */
    LMAIL_SMTP_XCLIENT = 1 << 26,  /* needs on_xclient */
    LMAIL_SMTP_XFORWARD = 1 << 27, /* needs on_xforward */

    /* How limits count: a line end is one octet, for max_message and max_header. */
    LMAIL_SMTP_COUNT_LF = 1 << 28,

    LMAIL_SMTP_TRACE_SECRETS = 1 << 29 /* octets of AUTH exchanges are shown to on_trace */
};

#define LMAIL_SMTP_FLAGS_DEFAULT                                                                   \
    (LMAIL_SMTP_PIPELINING | LMAIL_SMTP_SIZE | LMAIL_SMTP_8BITMIME | LMAIL_SMTP_ENHANCED |         \
     LMAIL_SMTP_CHUNKING | LMAIL_SMTP_SMTPUTF8 | LMAIL_SMTP_DSN | LMAIL_SMTP_NEED_HELO_FIRST)

/* 0 or empty means the default in [brackets]. Flags that are set in both members hold. */
typedef struct lmail_smtp_server_config {
    size_t size;
    lmail_alloc alloc;   /* for the setup and its sessions; zeroed: the C library's */
    uint64_t flags_on;   /* LMAIL_SMTP_* that hold beside LMAIL_SMTP_FLAGS_DEFAULT */
    uint64_t flags_off;  /* and those of it that do not */
    lmail_str host_name; /* %H; required */

    const lmail_smtp_reply_text *replies; /* in the host's words; copied */
    size_t reply_count;

    /* Limits. The largest number of a count, of max_message and max_header, and LMAIL_NEVER of a
     * time: none. */
    size_t max_line;            /* octets of a command line, CRLF too; 512 to 1048576 [2048]. A line
                                 * of an AUTH exchange may have 12290 */
    size_t max_path;            /* octets of <path> with brackets; RFC 5321 §4.5.3.1.3 [256] */
    size_t max_local_part;      /* octets; RFC 5321 §4.5.3.1.1 [64] */
    uint32_t max_parameters;    /* of one MAIL or RCPT [16] */
    uint32_t max_recipients;    /* accepted in one transaction; more get TOO_MANY_RCPTS [1000] */
    uint64_t max_message;       /* octets; in SIZE, and while receiving [52428800] */
    uint64_t max_header;        /* octets up to and with the blank line [262144] */
    uint32_t max_bad_commands;  /* the next one gets BAD_COMMANDS [25] */
    uint32_t max_auth_failures; /* so many end the session with AUTH_TOO_MANY [6] */
    uint32_t max_pending;       /* tickets out, cancelled ones included [16] */
    size_t out_mark;            /* octets unsent at which input rests: bounds what a pipeline
                                 * costs [16384] */
    lmail_msec command_timeout; /* for a command; RFC 5321 §4.5.3.2.7: 5 minutes or more [300000] */
    lmail_msec data_timeout;    /* between two pieces of a message [300000] */
    uint32_t max_noop_commands; /* NOOP, HELP, VRFY, EXPN, ETRN of a session; each one more waits
                                 * slow_delay before it is obeyed [20] */
    uint32_t bad_recipients_throttle; /* refused recipients of a message, after which each further
                                       * RCPT waits slow_delay first [none] */
    lmail_msec slow_delay;            /* [1000] */
} lmail_smtp_server_config;

#define LMAIL_SMTP_SERVER_CONFIG_INIT                                                              \
    {                                                                                              \
        sizeof(lmail_smtp_server_config), {NULL, NULL}, 0, 0, {NULL, 0}, NULL, 0, 0, 0, 0, 0, 0,   \
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                                                        \
    }
LMAIL_API void lmail_smtp_server_config_init(lmail_smtp_server_config *config);

/* ---- Addresses ------------------------------------------------------------------------------- */

enum {
    LMAIL_SMTP_ADDRESS_NULL = 1,    /* <> */
    LMAIL_SMTP_ADDRESS_QUOTED = 2,  /* the local part is a quoted string */
    LMAIL_SMTP_ADDRESS_LITERAL = 4, /* the domain is an address literal */
    LMAIL_SMTP_ADDRESS_UTF8 = 8,    /* octets above 127 in it */
    LMAIL_SMTP_ADDRESS_ROUTED = 16  /* a source route stood before it and was dropped */
};

/* A mailbox as it stood on the wire, without brackets and source route (RFC 5321 §4.1.2). */
typedef struct lmail_smtp_address {
    lmail_str text;   /* "user@example.org"; empty for <> */
    lmail_str local;  /* "user"; a quoted string with its quotes */
    lmail_str domain; /* "example.org", "[192.0.2.1]"; empty for <>, <postmaster> */
    unsigned flags;   /* LMAIL_SMTP_ADDRESS_* */
} lmail_smtp_address;

/* Parse a mailbox without brackets, as an address in a file or an argument stands.
 *   flags   LMAIL_SMTP_SMTPUTF8 and LMAIL_SMTP_ALLOW_*; max_local_part 0 means 64
 * Returns: OK, ERR_SYNTAX (*offset is the first bad octet), ERR_LIMIT. offset may be NULL.
 * Source: RFC 5321 §4.1.2, RFC 6531 §3.3. */
LMAIL_API lmail_status lmail_smtp_address_parse(lmail_str text, uint64_t flags,
                                                size_t max_local_part, lmail_smtp_address *out,
                                                size_t *offset);

/* The octets that a local part means: quotes and backslashes removed. out holds local.len octets.
 * Returns how many it wrote. */
LMAIL_API size_t lmail_smtp_local_unquote(lmail_str local, char *out);

/* ---- Questions ------------------------------------------------------------------------------- */

/* Events and all they point to live until the question is answered. New members come at the end. */

typedef struct lmail_smtp_connect_event {
    unsigned tls; /* 1: TLS from the first octet */
} lmail_smtp_connect_event;

typedef enum lmail_smtp_connect_kind {
    LMAIL_SMTP_CONNECT_ACCEPT = 0,
    LMAIL_SMTP_CONNECT_REFUSE, /* banner; then only EHLO, HELO, LHLO, NOOP, RSET, HELP and QUIT
                                * work and the rest gets `reply` (RFC 5321 §3.1) */
    LMAIL_SMTP_CONNECT_CLOSE   /* `reply` is the banner, and the session closes */
} lmail_smtp_connect_kind;

typedef struct lmail_smtp_connect_answer {
    size_t size;
    lmail_smtp_connect_kind kind;
    lmail_smtp_reply banner; /* ACCEPT, REFUSE: code 0 means GREETING */
    lmail_smtp_reply reply;  /* REFUSE, CLOSE: code 0 means REFUSED. Further lines are not kept */
    uint64_t flags_on;       /* LMAIL_SMTP_* that hold for this session beside the config's */
    uint64_t flags_off;      /* and those that do not */
    lmail_msec pause;        /* ACCEPT, REFUSE: silence before the banner. Further lines of the
                              * banner are not kept */
    unsigned early_refused;  /* 1: who speaks in the pause gets EARLY_TALKER for a banner at once,
                              * and EARLY_COMMAND to what REFUSE refuses */
} lmail_smtp_connect_answer;

#define LMAIL_SMTP_CONNECT_ANSWER_INIT                                                             \
    {                                                                                              \
        sizeof(lmail_smtp_connect_answer), LMAIL_SMTP_CONNECT_ACCEPT, LMAIL_SMTP_REPLY_INIT,       \
            LMAIL_SMTP_REPLY_INIT, 0, 0, 0, 0                                                      \
    }
LMAIL_API void lmail_smtp_connect_answer_init(lmail_smtp_connect_answer *answer);

typedef enum lmail_smtp_hello {
    LMAIL_SMTP_NO_HELLO = 0,
    LMAIL_SMTP_SAID_HELO,
    LMAIL_SMTP_SAID_EHLO,
    LMAIL_SMTP_SAID_LHLO
} lmail_smtp_hello;

typedef struct lmail_smtp_helo_event {
    lmail_smtp_hello verb;
    lmail_str name;   /* as the client sent it */
    unsigned literal; /* 1: an address literal */
} lmail_smtp_helo_event;

typedef enum lmail_smtp_body_type {
    LMAIL_SMTP_BODY_NONE = 0, /* no BODY parameter */
    LMAIL_SMTP_BODY_7BIT,
    LMAIL_SMTP_BODY_8BITMIME,
    LMAIL_SMTP_BODY_BINARYMIME
} lmail_smtp_body_type;

typedef enum lmail_smtp_ret {
    LMAIL_SMTP_RET_NONE = 0,
    LMAIL_SMTP_RET_FULL,
    LMAIL_SMTP_RET_HDRS
} lmail_smtp_ret;

typedef struct lmail_smtp_mail_event {
    lmail_smtp_address from;
    uint64_t declared_size; /* SIZE=, 0 when it is missing */
    lmail_smtp_body_type body;
    unsigned smtputf8;
    lmail_smtp_ret ret;
    unsigned has_envid;
    lmail_str envid; /* decoded, RFC 3461 §4.4 */
    unsigned has_auth;
    lmail_str auth; /* decoded, empty for <>; RFC 4954 §5 */
} lmail_smtp_mail_event;

enum {
    LMAIL_SMTP_NOTIFY_NEVER = 1, /* alone */
    LMAIL_SMTP_NOTIFY_SUCCESS = 2,
    LMAIL_SMTP_NOTIFY_FAILURE = 4,
    LMAIL_SMTP_NOTIFY_DELAY = 8
};

typedef struct lmail_smtp_rcpt_event {
    lmail_smtp_address to;
    uint32_t index;  /* recipients accepted before it in this transaction */
    unsigned notify; /* LMAIL_SMTP_NOTIFY_*, 0 when the parameter is missing */
    unsigned has_orcpt;
    lmail_str orcpt_type; /* "rfc822" */
    lmail_str orcpt;      /* decoded, RFC 3461 §4.2 */
} lmail_smtp_rcpt_event;

typedef struct lmail_smtp_body_start_event {
    unsigned chunked; /* 1: BDAT, 0: DATA */
    uint32_t recipients;
} lmail_smtp_body_start_event;

typedef struct lmail_smtp_body_event {
    lmail_str octets; /* CRLF line ends, dots unstuffed; lies in the octets given to feed */
    uint64_t offset;  /* of the first of them in the message */
} lmail_smtp_body_event;

typedef struct lmail_smtp_body_end_event {
    uint64_t octets;       /* of the whole message */
    unsigned ends_in_crlf; /* always after DATA, unless the message is empty */
    uint32_t recipients;
    uint32_t recipient; /* LMTP: the index of the recipient whose reply this is; SMTP: 0 */
} lmail_smtp_body_end_event;

typedef struct lmail_smtp_argument_event {
    lmail_str verb;     /* in upper case: VRFY, EXPN, ETRN, or an unknown command */
    lmail_str argument; /* all behind the verb, blanks trimmed */
    unsigned smtputf8;  /* VRFY, EXPN: the parameter was there, and is not in argument
                         * (RFC 6531 §3.7.4) */
} lmail_smtp_argument_event;

typedef struct lmail_smtp_state_event {
    unsigned in_transaction; /* MAIL was accepted */
} lmail_smtp_state_event;

/* One attribute of XCLIENT or XFORWARD. */
typedef enum lmail_smtp_given {
    LMAIL_SMTP_NOT_GIVEN = 0,
    LMAIL_SMTP_GIVEN,
    LMAIL_SMTP_UNAVAILABLE, /* [UNAVAILABLE]: it is not to be known */
    LMAIL_SMTP_TEMPUNAVAIL  /* [TEMPUNAVAIL], NAME of XCLIENT alone: not for now */
} lmail_smtp_given;

typedef struct lmail_smtp_attribute {
    lmail_smtp_given given;
    lmail_str value; /* GIVEN: decoded, 1 to 255 octets of printable ASCII without blanks */
} lmail_smtp_attribute;

/* What a peer says of the client it speaks for. XCLIENT has checked names, addresses, numbers and
 * protocol; of XFORWARD only PORT and SOURCE are, and none holds an octet that is special in a
 * header field. Source: Postfix, XCLIENT_README and XFORWARD_README. */
typedef struct lmail_smtp_xclient_event {
    lmail_smtp_attribute name;               /* a host name */
    lmail_smtp_attribute addr;               /* "192.0.2.1", "2001:db8::1" */
    lmail_smtp_attribute port;               /* 1 to 65535, decimal */
    lmail_smtp_attribute proto;              /* XCLIENT: SMTP or ESMTP */
    lmail_smtp_attribute helo;               /* what it said there */
    lmail_smtp_attribute login;              /* XCLIENT: who it is logged in as */
    lmail_smtp_attribute destaddr, destport; /* XCLIENT: where it connected to */
    lmail_smtp_attribute ident;              /* XFORWARD: of the message, in the peer's log */
    lmail_smtp_attribute source;             /* XFORWARD: LOCAL or REMOTE */
} lmail_smtp_xclient_event;

/* Why a transaction ended without a message. */
typedef enum lmail_smtp_abandon {
    LMAIL_SMTP_ABANDON_RESET = 1, /* RSET, HELO, EHLO, LHLO, QUIT, STARTTLS */
    LMAIL_SMTP_ABANDON_REFUSED,   /* the message broke a limit or a rule, or on_body refused it */
    LMAIL_SMTP_ABANDON_GONE       /* the peer left, a timeout, stop, an error, free */
} lmail_smtp_abandon;

typedef struct lmail_smtp_abandon_event {
    lmail_smtp_abandon why;
} lmail_smtp_abandon_event;

/* Questions. A callback fills its answer, which comes zeroed with its size set, and returns
 * LMAIL_OK; or it keeps the ticket, returns LMAIL_PENDING, and the matching
 * lmail_smtp_server_answer*() is called once, cancelled or not. A zeroed answer means the success
 * that stands behind "yes", but for lmail_auth_answer, where it means that the client is not let
 * in. An error return is told to the client as HOST_ERROR (451). A NULL callback means the default
 * that its comment names. */
typedef struct lmail_smtp_server_handler {
    size_t size;

    /* Before the greeting. NULL: accept. Answered with answer_connect(). */
    lmail_status (*on_connect)(lmail_smtp_server *s, void *user, lmail_ticket t,
                               const lmail_smtp_connect_event *ev,
                               lmail_smtp_connect_answer *answer);
    /* NULL: yes, HELO or EHLO of the table. */
    lmail_status (*on_helo)(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_helo_event *ev, lmail_smtp_reply *reply);
    /* NULL: yes, MAIL_OK. */
    lmail_status (*on_mail)(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_mail_event *ev, lmail_smtp_reply *reply);
    /* NULL: yes, RCPT_OK. */
    lmail_status (*on_rcpt)(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_rcpt_event *ev, lmail_smtp_reply *reply);
    /* DATA, or the first BDAT. A refusal of DATA leaves the transaction open; one of BDAT is told
     * after its octets were consumed. NULL: yes, DATA_GO or CHUNK_OK. */
    lmail_status (*on_body_start)(lmail_smtp_server *s, void *user, lmail_ticket t,
                                  const lmail_smtp_body_start_event *ev, lmail_smtp_reply *reply);
    /* Octets of the message. PENDING means: taken, but no more until I answer; `octets` stay where
     * they are until then (wants shows HOLD). A refusal (4xx, 5xx) is told at the end of the
     * message; what follows until there is thrown away. NULL: thrown away. */
    lmail_status (*on_body)(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_body_event *ev, lmail_smtp_reply *reply);
    /* The message is whole. Its 250 takes over responsibility for it (RFC 5321 §4.2.5).
     * NULL: yes, BODY_OK. */
    lmail_status (*on_body_end)(lmail_smtp_server *s, void *user, lmail_ticket t,
                                const lmail_smtp_body_end_event *ev, lmail_smtp_reply *reply);
    /* NULL: VRFY_UNSURE. Code 0 is VRFY_UNSURE too. */
    lmail_status (*on_vrfy)(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_argument_event *ev, lmail_smtp_reply *reply);
    /* NULL: EXPN_OFF. Code 0 is EXPN_OFF too. */
    lmail_status (*on_expn)(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_argument_event *ev, lmail_smtp_reply *reply);
    /* NULL, or not in flags: ETRN_OFF. */
    lmail_status (*on_etrn)(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_argument_event *ev, lmail_smtp_reply *reply);
    /* RSET; on_abandon comes first, if there was a transaction. NULL: RSET_OK. */
    lmail_status (*on_reset)(lmail_smtp_server *s, void *user, lmail_ticket t,
                             const lmail_smtp_state_event *ev, lmail_smtp_reply *reply);
    /* QUIT; the session closes behind the reply, whatever it is. NULL: QUIT_OK. */
    lmail_status (*on_quit)(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_state_event *ev, lmail_smtp_reply *reply);
    /* A command that the session does not know. NULL, or code 0: UNKNOWN_COMMAND. */
    lmail_status (*on_unknown)(lmail_smtp_server *s, void *user, lmail_ticket t,
                               const lmail_smtp_argument_event *ev, lmail_smtp_reply *reply);

    /* Authentication, as libmail/sasl.h says. Answered with answer_auth(). */
    lmail_str (*auth_mechanisms)(const lmail_smtp_server *s, void *user);
    lmail_status (*on_auth)(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_auth_event *ev, lmail_auth_answer *answer);
    void (*on_auth_end)(lmail_smtp_server *s, void *user, const lmail_auth_end_event *ev);

    /* No answers: the transaction is over without a message; a question's answer is not wanted any
     * more (the ticket still has to be handed back). */
    void (*on_abandon)(lmail_smtp_server *s, void *user, const lmail_smtp_abandon_event *ev);
    void (*on_cancel)(lmail_smtp_server *s, void *user, lmail_ticket t);
    lmail_trace_fn *on_trace;

    /* XCLIENT. On yes the session is as new: hello, login and on_connect's flags are forgotten (not
     * TLS), HELO, PROTO and LOGIN of this command hold, and on_connect is asked and the greeting
     * said again. LOGIN makes lmail_smtp_server_identity with the mechanism "XCLIENT". The text and
     * code of a yes are not used. NULL, or not in flags: X_OFF. */
    lmail_status (*on_xclient)(lmail_smtp_server *s, void *user, lmail_ticket t,
                               const lmail_smtp_xclient_event *ev, lmail_smtp_reply *reply);
    /* XFORWARD: for the host's log, until the next transaction is over. Later ones add to what was
     * said. NULL, or not in flags: X_OFF; yes is XFORWARD_OK. */
    lmail_status (*on_xforward)(lmail_smtp_server *s, void *user, lmail_ticket t,
                                const lmail_smtp_xclient_event *ev, lmail_smtp_reply *reply);
} lmail_smtp_server_handler;

#define LMAIL_SMTP_SERVER_HANDLER_INIT                                                             \
    {                                                                                              \
        sizeof(lmail_smtp_server_handler), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,   \
            NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL                 \
    }
LMAIL_API void lmail_smtp_server_handler_init(lmail_smtp_server_handler *handler);

/* ---- Setup and session ----------------------------------------------------------------------- */

/* Make the immutable setup that any number of sessions share, also on different threads. It copies
 * all it needs of both structs and must outlive its sessions.
 * Returns: OK, ERR_NOMEM, ERR_SIZE (a size member is larger than this library knows), ERR_ARG (no
 * host name, a limit out of range, a reply text with control octets or a code that is none). */
LMAIL_API lmail_status lmail_smtp_server_setup_new(lmail_smtp_server_setup **out,
                                                   const lmail_smtp_server_config *config,
                                                   const lmail_smtp_server_handler *handler);

/* After the last session that uses it. NULL is allowed. */
LMAIL_API void lmail_smtp_server_setup_free(lmail_smtp_server_setup *setup);

/* A session for one connection. `user` is handed to every callback. The first feed, tick or
 * tls_done asks on_connect and writes the greeting. Returns: OK, ERR_NOMEM. */
LMAIL_API lmail_status lmail_smtp_server_new(lmail_smtp_server **out,
                                             const lmail_smtp_server_setup *setup, void *user,
                                             lmail_msec now);
/* As lmail_session_free. */
LMAIL_API void lmail_smtp_server_free(lmail_smtp_server *s);

/* The handle for libmail/session.h, and its pump under this type's name. */
LMAIL_API lmail_session *lmail_smtp_server_session(lmail_smtp_server *s);
LMAIL_API lmail_status lmail_smtp_server_feed(lmail_smtp_server *s, lmail_str in, size_t *used,
                                              lmail_msec now);
LMAIL_API lmail_status lmail_smtp_server_eof(lmail_smtp_server *s, lmail_msec now);
LMAIL_API size_t lmail_smtp_server_peek(const lmail_smtp_server *s, lmail_str *out, size_t max);
LMAIL_API lmail_status lmail_smtp_server_sent(lmail_smtp_server *s, size_t n, lmail_msec now);
LMAIL_API unsigned lmail_smtp_server_wants(const lmail_smtp_server *s);
LMAIL_API lmail_msec lmail_smtp_server_deadline(const lmail_smtp_server *s);
LMAIL_API lmail_status lmail_smtp_server_tick(lmail_smtp_server *s, lmail_msec now);
LMAIL_API lmail_status lmail_smtp_server_tls_begin(lmail_smtp_server *s, size_t unread,
                                                   lmail_msec now);
LMAIL_API lmail_status lmail_smtp_server_tls_done(lmail_smtp_server *s,
                                                  const lmail_tls_facts *facts, lmail_msec now);
LMAIL_API lmail_status lmail_smtp_server_filter_done(lmail_smtp_server *s, lmail_msec now);
LMAIL_API lmail_status lmail_smtp_server_stop(lmail_smtp_server *s, lmail_msec now);

/* Late answers: hand a ticket back, exactly once, cancelled or not. Slices in the answer are
 * borrowed for the call; a NULL answer is the default. From a callback: no.
 *   answer           every question with an lmail_smtp_reply
 *   answer_connect   on_connect
 *   answer_auth      on_auth
 * Returns: OK, ERR_STALE (cancelled or answered before, or unknown: harmless, the event is
 * released), ERR_ARG (another kind of question, or an answer that cannot be written: the ticket is
 * still out), ERR_SIZE, ERR_NOMEM, ERR_REENTRANT. */
LMAIL_API lmail_status lmail_smtp_server_answer(lmail_smtp_server *s, lmail_ticket t,
                                                const lmail_smtp_reply *reply, lmail_msec now);
LMAIL_API lmail_status lmail_smtp_server_answer_connect(lmail_smtp_server *s, lmail_ticket t,
                                                        const lmail_smtp_connect_answer *answer,
                                                        lmail_msec now);
LMAIL_API lmail_status lmail_smtp_server_answer_auth(lmail_smtp_server *s, lmail_ticket t,
                                                     const lmail_auth_answer *answer,
                                                     lmail_msec now);

/* ---- What a session knows -------------------------------------------------------------------- */

/* Allowed in callbacks. Slices are valid until the next call on the session that is not const. */

/* The `user` of lmail_smtp_server_new. */
LMAIL_API void *lmail_smtp_server_user(const lmail_smtp_server *s);
/* How the client greeted, and the name that it gave. */
LMAIL_API lmail_smtp_hello lmail_smtp_server_hello(const lmail_smtp_server *s);
LMAIL_API lmail_str lmail_smtp_server_helo_name(const lmail_smtp_server *s);
/* NULL without TLS. */
LMAIL_API const lmail_tls_facts *lmail_smtp_server_tls(const lmail_smtp_server *s);
/* Who logged in, and by which mechanism; empty before. */
LMAIL_API lmail_str lmail_smtp_server_identity(const lmail_smtp_server *s);
LMAIL_API lmail_str lmail_smtp_server_mechanism(const lmail_smtp_server *s);
/* 1 from an accepted MAIL to the transaction's end; recipients accepted in it so far. */
LMAIL_API int lmail_smtp_server_in_transaction(const lmail_smtp_server *s);
LMAIL_API uint32_t lmail_smtp_server_recipients(const lmail_smtp_server *s);

/* For a log line at the end. */
typedef struct lmail_smtp_counters {
    uint64_t commands;     /* lines taken as commands */
    uint64_t bad_commands; /* of them unknown, malformed or out of order */
    uint64_t messages;     /* whole, whatever the host said to them */
    uint64_t octets;       /* of messages */
    uint64_t auth_failures;
    uint64_t refused_recipients;
} lmail_smtp_counters;
LMAIL_API void lmail_smtp_server_counters(const lmail_smtp_server *s, lmail_smtp_counters *out);

/* Why the last command was refused by the session itself: NONE when it was not. */
typedef struct lmail_smtp_error {
    lmail_smtp_reply_id reply;
    size_t offset; /* in the command line, of the first octet that broke a rule */
} lmail_smtp_error;
LMAIL_API lmail_smtp_error lmail_smtp_server_error(const lmail_smtp_server *s);

#ifdef __cplusplus
}
#endif

#endif
