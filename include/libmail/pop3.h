/* libmail/pop3.h - a POP3 server session.
 *
 * RFC 1939 whole (USER, PASS, APOP, STAT, LIST, RETR, DELE, NOOP, RSET, TOP, UIDL, QUIT), CAPA with
 * RESP-CODES, LOGIN-DELAY, PIPELINING, EXPIRE and IMPLEMENTATION (RFC 2449), STLS (RFC 2595), AUTH
 * (RFC 5034), AUTH-RESP-CODE (RFC 3206), UTF8 and LANG (RFC 6856).
 *
 *     setup    made once from a configuration and a table of callbacks; shared, never changes
 *     session  one a connection; driven by the pump of libmail/session.h
 *
 * Messages are named by their number in the maildrop, 1..n; the host keeps what it needs to find
 * number k again. The session keeps the sizes, packed (two or three octets a message), and a bit a
 * message for DELE. It asks for unique-ids and octets only when they are wanted.
 *
 * The order of questions in a session: on_connect; on_login, on_apop or on_auth; on_maildrop until
 * it says that nothing more follows; on_uidl and on_octets as commands ask; on_update at QUIT.
 * There is at most one question at a time. Each may be answered at once (fill *answer, return
 * LMAIL_OK) or later (return LMAIL_PENDING, call the answer function once). A zeroed answer with
 * its size set means success, but for lmail_auth_answer, where it means that the client is not let
 * in. An error return means LMAIL_POP3_TEMPORARY.
 */
#ifndef LIBMAIL_POP3_H
#define LIBMAIL_POP3_H

#include <libmail/sasl.h>
#include <libmail/session.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_pop3_server lmail_pop3_server;
typedef struct lmail_pop3_server_setup lmail_pop3_server_setup;

/* ---- Words ----------------------------------------------------------------------------------- */

/* Every text of the machine, with its default. Status indicator, response code and whatever the
 * RFCs define behind them (numbers of STAT, LIST, UIDL, LANG) are written by the machine itself.
 * The placeholders are those of libmail/session.h ("Words"). */
#define LMAIL_POP3_TEXT_MAP(XX)                                                                    \
    XX(READY, "POP3 server ready")                                                                 \
    XX(SIGN_OFF, "%H POP3 server signing off")                                                     \
    XX(USER, "send PASS")                                                                          \
    XX(LOGGED_IN, "maildrop has %N messages (%O octets)")                                          \
    XX(CAPA, "capability list follows")                                                            \
    XX(AUTH_LIST, "mechanism list follows")                                                        \
    XX(STLS, "begin TLS negotiation")                                                              \
    XX(UTF8, "UTF-8 mode")                                                                         \
    XX(LANG_LIST, "language listing follows")                                                      \
    XX(LANG_SET, "language changed")                                                               \
    XX(LIST, "%N messages (%O octets)")                                                            \
    XX(UIDL, "unique-id listing follows")                                                          \
    XX(RETR, "%O octets")                                                                          \
    XX(TOP, "top of message follows")                                                              \
    XX(DELE, "message %N deleted")                                                                 \
    XX(RSET, "maildrop has %N messages (%O octets)")                                               \
    XX(NOOP, "nothing done")                                                                       \
    XX(NO_MESSAGE, "no such message, only %N messages in maildrop")                                \
    XX(IS_DELETED, "message %N already deleted")                                                   \
    XX(GONE, "message %N is no longer there")                                                      \
    XX(NEEDS_UTF8, "message %N needs UTF-8 mode")                                                  \
    XX(NOT_REMOVED, "some deleted messages not removed")                                           \
    XX(UNKNOWN, "unknown command")                                                                 \
    XX(SYNTAX, "arguments are not valid")                                                          \
    XX(WRONG_STATE, "command is not valid now")                                                    \
    XX(LINE_TOO_LONG, "line is too long")                                                          \
    XX(LINE_END, "lines must end with CRLF")                                                       \
    XX(NOT_UTF8, "argument is not valid UTF-8")                                                    \
    XX(USER_FIRST, "send USER first")                                                              \
    XX(TLS_FIRST, "cleartext login is not allowed, start TLS first")                               \
    XX(TLS_ACTIVE, "TLS is active already")                                                        \
    XX(NO_LANGUAGE, "invalid language")                                                            \
    XX(NO_MECHANISM, "mechanism is not available")                                                 \
    XX(NO_RESPONSE, "response is not valid")                                                       \
    XX(CANCELLED, "authentication cancelled")                                                      \
    XX(CREDENTIALS, "authentication failed")                                                       \
    XX(AUTHORIZATION, "not allowed to log in as that user")                                        \
    XX(EXPIRED, "password has expired")                                                            \
    XX(WEAK, "mechanism is too weak for this account")                                             \
    XX(TRANSITION, "log in with PLAIN once to use this mechanism")                                 \
    XX(IN_USE, "maildrop is in use by another session")                                            \
    XX(LOGIN_DELAY, "last login was too recent, try later")                                        \
    XX(TEMPORARY, "temporary failure, try later")                                                  \
    XX(PERMANENT, "failure, contact the administrator")                                            \
    XX(DENIED, "access denied")                                                                    \
    XX(TOO_MANY_ERRORS, "too many errors")                                                         \
    XX(TOO_MANY_LOGINS, "too many failed logins")                                                  \
    XX(SHUTDOWN, "server is shutting down")

typedef enum lmail_pop3_text {
#define XX(name, text) LMAIL_POP3_TEXT_##name,
    LMAIL_POP3_TEXT_MAP(XX)
#undef XX
        LMAIL_POP3_TEXT_COUNT
} lmail_pop3_text;

/* A text's name, "NO_MESSAGE", and its default; NULL above the list. Static strings. */
LMAIL_API const char *lmail_pop3_text_name(lmail_pop3_text text);
LMAIL_API const char *lmail_pop3_text_default(lmail_pop3_text text);

/* A language of LANG (RFC 6856 §3). */
typedef struct lmail_pop3_language {
    lmail_str tag;  /* RFC 5646: "de" */
    lmail_str name; /* in the language itself: "Deutsch"; may be empty */
    /* By lmail_pop3_text; an empty one, or one beyond count, is the default. */
    const lmail_str *texts;
    size_t count;
} lmail_pop3_language;

/* ---- Configuration --------------------------------------------------------------------------- */

/* lmail_pop3_server_config.flags_on, .flags_off */
enum {
    LMAIL_POP3_TOP = 1,
    LMAIL_POP3_UIDL = 2, /* needs on_uidl */
    LMAIL_POP3_UTF8 = 4,
    LMAIL_POP3_LANG = 8,
    LMAIL_POP3_STLS = 16,      /* the host can do TLS */
    LMAIL_POP3_CLEARTEXT = 32, /* USER and PASS without TLS */
    LMAIL_POP3_UTF8_USER = 64, /* UTF-8 in names and passwords (RFC 6856 §2.2); the host prepares
                                * them (SASLprep) */
    LMAIL_POP3_DELETE_READ = 128,   /* what RETR sent whole counts as deleted at QUIT (RFC 2449
                                     * §6.7, EXPIRE 0) */
    LMAIL_POP3_AUTH_LIST = 256,     /* tolerance: AUTH without arguments lists the mechanisms, for
                                     * clients older than CAPA */
    LMAIL_POP3_TRACE_SECRETS = 512, /* passwords are shown to on_trace */
    LMAIL_POP3_FLAGS_DEFAULT = LMAIL_POP3_TOP | LMAIL_POP3_UIDL | LMAIL_POP3_UTF8 | LMAIL_POP3_LANG
};

typedef enum lmail_pop3_expire {
    LMAIL_POP3_EXPIRE_UNSAID = 0,
    LMAIL_POP3_EXPIRE_NEVER,
    LMAIL_POP3_EXPIRE_DAYS
} lmail_pop3_expire;

/* 0 or empty means the default in [brackets]. Flags that are set in both members hold. */
typedef struct lmail_pop3_server_config {
    size_t size;
    lmail_alloc alloc;        /* for the setup and its sessions; zeroed: the C library's */
    const lmail_env *env;     /* random and wall_clock for APOP's timestamp; copied [none] */
    uint64_t flags_on;        /* LMAIL_POP3_* that hold beside LMAIL_POP3_FLAGS_DEFAULT */
    uint64_t flags_off;       /* and those of it that do not */
    lmail_str host_name;      /* in APOP's timestamp and %H ["localhost"] */
    lmail_str implementation; /* IMPLEMENTATION in CAPA; one token or more [not announced] */
    /* The first is in force at first and for "LANG *"; its texts must be ASCII [English with the
     * default texts]. */
    const lmail_pop3_language *languages;
    size_t language_count;

    uint32_t login_delay;         /* seconds, announced as LOGIN-DELAY; the host enforces it
                                   * [not announced] */
    unsigned login_delay_differs; /* the value may differ once the user is known */
    lmail_pop3_expire expire;     /* announced as EXPIRE [not announced] */
    uint32_t expire_days;
    unsigned expire_differs;

    /* Limits. UINT32_MAX of a count and LMAIL_NEVER of a time: none. */
    size_t max_line;            /* octets in a command line, CRLF too; at least 255 [1024] */
    size_t max_auth_line;       /* octets in a SASL response line [12290] */
    uint32_t max_messages;      /* the rest of a larger maildrop is not shown [1000000] */
    uint32_t max_bad_commands;  /* so many refused commands end the session [25] */
    uint32_t max_auth_failures; /* so many failed logins do [3] */
    size_t out_mark;            /* octets unsent at which nothing more is written [65536] */
    size_t max_want;            /* largest want of on_octets [262144] */
    lmail_msec login_timeout;   /* from the greeting until the client is in [600000] */
    lmail_msec idle_timeout;    /* without a command or progress; RFC 1939 §3: 10 minutes at least
                                 * [600000] */
} lmail_pop3_server_config;

#define LMAIL_POP3_SERVER_CONFIG_INIT                                                              \
    {                                                                                              \
        sizeof(lmail_pop3_server_config), {NULL, NULL}, NULL, 0, 0, {NULL, 0}, {NULL, 0}, NULL, 0, \
            0, 0, LMAIL_POP3_EXPIRE_UNSAID, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                        \
    }
LMAIL_API void lmail_pop3_server_config_init(lmail_pop3_server_config *config);

/* ---- Questions and answers ------------------------------------------------------------------- */

/* Why the host cannot do it, and the response code that the client sees. */
typedef enum lmail_pop3_failure {
    LMAIL_POP3_DONE = 0,
    LMAIL_POP3_TEMPORARY,  /* [SYS/TEMP] RFC 3206 §4 */
    LMAIL_POP3_PERMANENT,  /* [SYS/PERM] */
    LMAIL_POP3_DENIED,     /* [AUTH] RFC 3206 §5 */
    LMAIL_POP3_IN_USE,     /* [IN-USE] RFC 2449 §8.1.2; on_maildrop */
    LMAIL_POP3_TOO_SOON,   /* [LOGIN-DELAY] RFC 2449 §8.1.1; on_maildrop */
    LMAIL_POP3_NEEDS_UTF8, /* [UTF8] RFC 6856 §5; on_octets */
    LMAIL_POP3_GONE        /* no code: the message is no longer there; on_octets, on_uidl */
} lmail_pop3_failure;

/* Texts in answers: words for the client, printable, one line, at most 400 octets; empty: the text
 * of the table above. */

typedef struct lmail_pop3_connect_event {
    unsigned tls; /* implicit TLS is on */
} lmail_pop3_connect_event;

typedef struct lmail_pop3_connect_answer {
    size_t size;
    lmail_pop3_failure failure; /* not DONE: -ERR and the end */
    lmail_str text;             /* of the refusal, or of the greeting (then without "<") */
    uint64_t flags_on;          /* LMAIL_POP3_* that hold for this session beside the config's:
                                 * CLEARTEXT, when the client is on this machine */
    uint64_t flags_off;         /* and those that do not */
} lmail_pop3_connect_answer;

#define LMAIL_POP3_CONNECT_ANSWER_INIT                                                             \
    {                                                                                              \
        sizeof(lmail_pop3_connect_answer), LMAIL_POP3_DONE, {NULL, 0}, 0, 0                        \
    }
LMAIL_API void lmail_pop3_connect_answer_init(lmail_pop3_connect_answer *answer);

/* USER and PASS. Wiped when the ticket is home. */
typedef struct lmail_pop3_login_event {
    lmail_str user;
    lmail_str password;
} lmail_pop3_login_event;

/* APOP: right when digest is MD5(timestamp, shared secret). */
typedef struct lmail_pop3_apop_event {
    lmail_str user;
    lmail_str timestamp; /* of the greeting, with its angle brackets */
    unsigned char digest[16];
} lmail_pop3_apop_event;

/* The maildrop of the account that the client authenticated as. The first question opens it and
 * takes the lock (RFC 1939 §4); whoever ends the session releases the lock. */
typedef struct lmail_pop3_maildrop_event {
    lmail_str identity;
    uint32_t first; /* number of the first message asked for, from 1 */
    uint32_t max;   /* no more than so many */
} lmail_pop3_maildrop_event;

typedef struct lmail_pop3_maildrop_answer {
    size_t size;
    lmail_pop3_failure failure;
    lmail_str text;
    const uint64_t *sizes; /* octets of messages first, first + 1, ...; copied. Exactly what RETR
                            * will give, line ends as CRLF */
    uint32_t count;        /* 0..max */
    unsigned more;         /* not 0: ask again from first + count (count must not be 0) */
    /* Read from the last answer, when the configuration says that they differ by user. */
    uint32_t login_delay;
    lmail_pop3_expire expire;
    uint32_t expire_days;
} lmail_pop3_maildrop_answer;

#define LMAIL_POP3_MAILDROP_ANSWER_INIT                                                            \
    {                                                                                              \
        sizeof(lmail_pop3_maildrop_answer), LMAIL_POP3_DONE, {NULL, 0}, NULL, 0, 0, 0,             \
            LMAIL_POP3_EXPIRE_UNSAID, 0                                                            \
    }
LMAIL_API void lmail_pop3_maildrop_answer_init(lmail_pop3_maildrop_answer *answer);

typedef struct lmail_pop3_uidl_event {
    uint32_t first;
    uint32_t count; /* messages first .. first + count - 1 */
} lmail_pop3_uidl_event;

typedef struct lmail_pop3_uidl_answer {
    size_t size;
    lmail_pop3_failure failure;
    lmail_str text;
    const lmail_str *ids; /* copied; each 1..70 octets 0x21..0x7E (RFC 1939 §7), else ERR_ARG. An
                           * empty one leaves its message out of the list */
    uint32_t count;       /* 1..the count asked for; the session asks again for the rest */
} lmail_pop3_uidl_answer;

#define LMAIL_POP3_UIDL_ANSWER_INIT                                                                \
    {                                                                                              \
        sizeof(lmail_pop3_uidl_answer), LMAIL_POP3_DONE, {NULL, 0}, NULL, 0                        \
    }
LMAIL_API void lmail_pop3_uidl_answer_init(lmail_pop3_uidl_answer *answer);

/* Octets of a message for RETR or TOP, as stored, not dot-stuffed. */
typedef struct lmail_pop3_octets_event {
    uint32_t number;
    unsigned top;    /* TOP, not RETR */
    unsigned utf8;   /* the client asked for UTF-8 mode; otherwise a message that needs it may be
                      * refused with NEEDS_UTF8, or a surrogate of the same size served (RFC 6856
                      * §4) */
    uint64_t offset; /* 0 begins */
    size_t want;     /* at most so many; 0 for an empty message */
} lmail_pop3_octets_event;

typedef struct lmail_pop3_octets_answer {
    size_t size;
    lmail_pop3_failure failure; /* behind offset 0 the connection is closed: the client sees it
                                 * cut */
    lmail_str text;
    lmail_str octets; /* 0..want of them, not copied: valid until on_released(t) */
    unsigned end; /* not 0: nothing follows; implied when no octet came or the size is reached */
} lmail_pop3_octets_answer;

#define LMAIL_POP3_OCTETS_ANSWER_INIT                                                              \
    {                                                                                              \
        sizeof(lmail_pop3_octets_answer), LMAIL_POP3_DONE, {NULL, 0}, {NULL, 0}, 0                 \
    }
LMAIL_API void lmail_pop3_octets_answer_init(lmail_pop3_octets_answer *answer);

typedef struct lmail_pop3_range {
    uint32_t first, last;
} lmail_pop3_range;

/* QUIT: remove these and release the lock. Asked with no ranges too. */
typedef struct lmail_pop3_update_event {
    const lmail_pop3_range *deleted; /* sorted, disjoint */
    size_t range_count;
    uint32_t message_count;
} lmail_pop3_update_event;

typedef struct lmail_pop3_update_answer {
    size_t size;
    lmail_pop3_failure failure; /* not DONE: not all were removed */
    lmail_str text;
} lmail_pop3_update_answer;

#define LMAIL_POP3_UPDATE_ANSWER_INIT                                                              \
    {                                                                                              \
        sizeof(lmail_pop3_update_answer), LMAIL_POP3_DONE,                                         \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
LMAIL_API void lmail_pop3_update_answer_init(lmail_pop3_update_answer *answer);

/* The host's side. on_maildrop and on_octets must be there; at least one way to log in should be
 * too. */
typedef struct lmail_pop3_server_handler {
    size_t size;

    /* NULL: every connection is served. */
    lmail_status (*on_connect)(lmail_pop3_server *s, void *user, lmail_ticket t,
                               const lmail_pop3_connect_event *ev,
                               lmail_pop3_connect_answer *answer);

    /* SASL as libmail/sasl.h describes it. NULL: no AUTH. */
    lmail_str (*auth_mechanisms)(const lmail_pop3_server *s, void *user);
    lmail_status (*on_auth)(lmail_pop3_server *s, void *user, lmail_ticket t,
                            const lmail_auth_event *ev, lmail_auth_answer *answer);
    void (*on_auth_end)(lmail_pop3_server *s, void *user, const lmail_auth_end_event *ev);

    /* USER and PASS; APOP. Answered as an authentication: OK with the identity, or FAIL. NULL: not
     * offered. */
    lmail_status (*on_login)(lmail_pop3_server *s, void *user, lmail_ticket t,
                             const lmail_pop3_login_event *ev, lmail_auth_answer *answer);
    lmail_status (*on_apop)(lmail_pop3_server *s, void *user, lmail_ticket t,
                            const lmail_pop3_apop_event *ev, lmail_auth_answer *answer);

    lmail_status (*on_maildrop)(lmail_pop3_server *s, void *user, lmail_ticket t,
                                const lmail_pop3_maildrop_event *ev,
                                lmail_pop3_maildrop_answer *answer);
    /* NULL: no UIDL. */
    lmail_status (*on_uidl)(lmail_pop3_server *s, void *user, lmail_ticket t,
                            const lmail_pop3_uidl_event *ev, lmail_pop3_uidl_answer *answer);
    lmail_status (*on_octets)(lmail_pop3_server *s, void *user, lmail_ticket t,
                              const lmail_pop3_octets_event *ev, lmail_pop3_octets_answer *answer);
    /* The octets answered to this ticket are no longer looked at. Called once for each answer of OK
     * to on_octets that had any, perhaps before the answering call returns, at the latest inside
     * free. */
    void (*on_released)(lmail_pop3_server *s, void *user, lmail_ticket t);
    /* NULL: DELE is refused (WRONG_STATE). */
    lmail_status (*on_update)(lmail_pop3_server *s, void *user, lmail_ticket t,
                              const lmail_pop3_update_event *ev, lmail_pop3_update_answer *answer);

    /* The result for this ticket is no longer wanted; it still has to come home. */
    void (*on_cancel)(lmail_pop3_server *s, void *user, lmail_ticket t);
    lmail_trace_fn *on_trace;
} lmail_pop3_server_handler;

#define LMAIL_POP3_SERVER_HANDLER_INIT                                                             \
    {                                                                                              \
        sizeof(lmail_pop3_server_handler), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,   \
            NULL, NULL, NULL, NULL                                                                 \
    }
LMAIL_API void lmail_pop3_server_handler_init(lmail_pop3_server_handler *handler);

/* ---- Life ------------------------------------------------------------------------------------ */

/* Make the immutable setup that any number of sessions share, also on different threads. It copies
 * all it needs of both structs and must outlive its sessions.
 * Returns: OK, ERR_NOMEM, ERR_SIZE (a size member is larger than this library knows), ERR_ARG (a
 * callback is missing, a text is not one printable line of at most 400 octets, max_line is under
 * 255). */
LMAIL_API lmail_status lmail_pop3_server_setup_new(lmail_pop3_server_setup **out,
                                                   const lmail_pop3_server_config *config,
                                                   const lmail_pop3_server_handler *handler);

/* After the last session that uses it. NULL is allowed. */
LMAIL_API void lmail_pop3_server_setup_free(lmail_pop3_server_setup *setup);

/* A session for one connection. `user` is handed to every callback. The first feed, tick or
 * tls_done asks on_connect and writes the greeting. Returns: OK, ERR_NOMEM. */
LMAIL_API lmail_status lmail_pop3_server_new(lmail_pop3_server **out,
                                             const lmail_pop3_server_setup *setup, void *user,
                                             lmail_msec now);
/* As lmail_session_free. */
LMAIL_API void lmail_pop3_server_free(lmail_pop3_server *s);

/* The handle for libmail/session.h, and its pump under this type's name. */
LMAIL_API lmail_session *lmail_pop3_server_session(lmail_pop3_server *s);
LMAIL_API lmail_status lmail_pop3_server_feed(lmail_pop3_server *s, lmail_str in, size_t *used,
                                              lmail_msec now);
LMAIL_API lmail_status lmail_pop3_server_eof(lmail_pop3_server *s, lmail_msec now);
LMAIL_API size_t lmail_pop3_server_peek(const lmail_pop3_server *s, lmail_str *out, size_t max);
LMAIL_API lmail_status lmail_pop3_server_sent(lmail_pop3_server *s, size_t n, lmail_msec now);
LMAIL_API unsigned lmail_pop3_server_wants(const lmail_pop3_server *s);
LMAIL_API lmail_msec lmail_pop3_server_deadline(const lmail_pop3_server *s);
LMAIL_API lmail_status lmail_pop3_server_tick(lmail_pop3_server *s, lmail_msec now);
LMAIL_API lmail_status lmail_pop3_server_tls_begin(lmail_pop3_server *s, size_t unread,
                                                   lmail_msec now);
LMAIL_API lmail_status lmail_pop3_server_tls_done(lmail_pop3_server *s,
                                                  const lmail_tls_facts *facts, lmail_msec now);
LMAIL_API lmail_status lmail_pop3_server_filter_done(lmail_pop3_server *s, lmail_msec now);
LMAIL_API lmail_status lmail_pop3_server_stop(lmail_pop3_server *s, lmail_msec now);

/* ---- Answers --------------------------------------------------------------------------------- */

/* Late answers: hand a ticket back, exactly once, cancelled or not. Slices in the answer are
 * borrowed for the call, but for lmail_pop3_octets_answer.octets. From a callback: no.
 * Returns: OK, ERR_STALE (cancelled or answered before, or unknown: harmless, the event is
 * released; octets are not taken and on_released does not follow), ERR_ARG (another kind of question,
 * or an answer that breaks a rule above: the ticket is still out), ERR_SIZE, ERR_NOMEM (the session
 * is over), ERR_REENTRANT. */
LMAIL_API lmail_status lmail_pop3_server_answer_connect(lmail_pop3_server *s, lmail_ticket t,
                                                        const lmail_pop3_connect_answer *answer,
                                                        lmail_msec now);
/* For on_login, on_apop and on_auth. */
LMAIL_API lmail_status lmail_pop3_server_answer_auth(lmail_pop3_server *s, lmail_ticket t,
                                                     const lmail_auth_answer *answer,
                                                     lmail_msec now);
LMAIL_API lmail_status lmail_pop3_server_answer_maildrop(lmail_pop3_server *s, lmail_ticket t,
                                                         const lmail_pop3_maildrop_answer *answer,
                                                         lmail_msec now);
LMAIL_API lmail_status lmail_pop3_server_answer_uidl(lmail_pop3_server *s, lmail_ticket t,
                                                     const lmail_pop3_uidl_answer *answer,
                                                     lmail_msec now);
LMAIL_API lmail_status lmail_pop3_server_answer_octets(lmail_pop3_server *s, lmail_ticket t,
                                                       const lmail_pop3_octets_answer *answer,
                                                       lmail_msec now);
LMAIL_API lmail_status lmail_pop3_server_answer_update(lmail_pop3_server *s, lmail_ticket t,
                                                       const lmail_pop3_update_answer *answer,
                                                       lmail_msec now);

/* ---- Looking at a session -------------------------------------------------------------------- */

typedef enum lmail_pop3_state {
    LMAIL_POP3_STATE_GREETING = 0,  /* on_connect is out */
    LMAIL_POP3_STATE_AUTHORIZATION, /* RFC 1939 §4 */
    LMAIL_POP3_STATE_OPENING,       /* authenticated; the maildrop is being opened */
    LMAIL_POP3_STATE_TRANSACTION,   /* RFC 1939 §5 */
    LMAIL_POP3_STATE_UPDATE,        /* RFC 1939 §6 */
    LMAIL_POP3_STATE_ENDED
} lmail_pop3_state;

/* For a log line at the end. */
typedef struct lmail_pop3_counters {
    uint32_t messages; /* in the maildrop */
    uint64_t octets;
    uint32_t deleted;   /* marked, not necessarily removed */
    uint32_t retrieved; /* RETR answered whole */
    uint64_t retrieved_octets;
    uint32_t topped; /* TOP answered */
    uint64_t topped_octets;
} lmail_pop3_counters;

/* All of these are allowed in callbacks. */
LMAIL_API lmail_pop3_state lmail_pop3_server_state(const lmail_pop3_server *s);
LMAIL_API void lmail_pop3_server_counters(const lmail_pop3_server *s, lmail_pop3_counters *out);
/* Who logged in; empty before. Valid until free. */
LMAIL_API lmail_str lmail_pop3_server_identity(const lmail_pop3_server *s);
/* NULL without TLS. Valid until free. */
LMAIL_API const lmail_tls_facts *lmail_pop3_server_tls(const lmail_pop3_server *s);
/* The `user` of lmail_pop3_server_new. */
LMAIL_API void *lmail_pop3_server_user(const lmail_pop3_server *s);

#ifdef __cplusplus
}
#endif

#endif
