/* libmail/delivery.h - one attempt to bring a message to its recipients at one destination.
 *
 * The machine decides: which hosts stand for the destination, in which order they are tried, what a
 * reply means for whom, when to stop. It looks nothing up and opens nothing; it asks its host and is
 * told what came of it. Every recipient gets exactly one result, and an attempt always ends: the
 * number of questions is bounded by the limits below, whatever the answers are.
 *
 *     lmail_delivery_setup_new(&setup, &config, &handler);      once
 *
 *     lmail_delivery_new(&d, setup, &job, user, now);           one message, one destination
 *     lmail_delivery_start(d, now);
 *         on_reuse         is there an open connection to the destination?
 *         on_mx            the MX hosts of a name
 *         on_addresses     the addresses of a host
 *         on_connect       a connection, ready for MAIL: TCP, greeting, EHLO, STARTTLS, AUTH
 *         on_transaction   MAIL, RCPT for these recipients, the message
 *             lmail_delivery_told()      the reply to one RCPT; in LMTP also to the end of data
 *         on_release       the connection is done with
 *         on_result        what became of one recipient
 *         on_end           all have their results: free it
 *
 * Questions come one at a time. Each is answered in its callback (LMAIL_OK) or later through its
 * ticket (LMAIL_PENDING), as in every session of this library; an error return counts as a failure
 * of our own, and the recipients are tried again later.
 *
 * What a reply means:
 *
 *     2xx to the end of data           sent
 *     4xx                              to whom it concerns: the next host; when there is none, later
 *     5xx to RCPT, MAIL, DATA, its end final
 *     5xx to the greeting              the next host, then later; 521 is final when all have been
 *                                      tried (RFC 7504). As Postfix does it by default: that banner
 *                                      speaks of the host or of us, not of the mailbox
 *     5xx to EHLO and HELO             the next host, then final
 *     4xx, 5xx to AUTH                 the next host, then later: our password is ours to mend
 *     452, 552 to RCPT behind others   the rest goes in a further transaction (RFC 5321 §4.5.3.1.10)
 *     no connection, lost, timed out   the next host, then later
 *     lost behind the final dot        later, at no other host now: it may have arrived (RFC 1047)
 *     TLS fails where it may be absent the same address once more without it, if no credentials
 *                                      would go in clear
 *
 * Hosts: MX records by preference, equal ones in random order; without any the name's own addresses;
 * IPv6 and IPv4 in turn (RFC 5321 §5.1). This host among the MX: it and all not preferred to it are
 * left out; a destination that leaves none is a loop. "[host]" and no_mx: that host's addresses.
 *
 * Where the administrator named the hosts (job.named), what would be final in looking them up is a
 * fault of the configuration, and mail waits: bouncing it all would help nobody.
 *
 * One thread at a time. In a callback only functions that take a const machine may be called on it. */
#ifndef LIBMAIL_DELIVERY_H
#define LIBMAIL_DELIVERY_H

#include <libmail/base.h>
#include <libmail/policy.h>
#include <libmail/session.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_delivery lmail_delivery;
typedef struct lmail_delivery_setup lmail_delivery_setup;
struct lmail_delivery_status; /* libmail/delivery_schedule.h */

/* ---- Words ----------------------------------------------------------------------------------- */

typedef enum lmail_delivery_mailer {
    LMAIL_DELIVERY_ESMTP = 0,
    LMAIL_DELIVERY_SMTP,  /* HELO, no extensions */
    LMAIL_DELIVERY_RELAY, /* as ESMTP, to a host of ours */
    LMAIL_DELIVERY_LMTP   /* never by MX; RFC 2033 */
} lmail_delivery_mailer;

typedef enum lmail_delivery_tls {
    LMAIL_DELIVERY_TLS_MAY = 0, /* where the server offers it */
    LMAIL_DELIVERY_TLS_NEVER,
    LMAIL_DELIVERY_TLS_MUST,  /* any certificate */
    LMAIL_DELIVERY_TLS_VERIFY /* a valid one for the host's name */
} lmail_delivery_tls;

/* Where in the conversation. In their order: what is said later says more. */
typedef enum lmail_delivery_phase {
    LMAIL_DELIVERY_AT_LOOKUP = 0,
    LMAIL_DELIVERY_AT_CONNECT,
    LMAIL_DELIVERY_AT_GREETING,
    LMAIL_DELIVERY_AT_EHLO,
    LMAIL_DELIVERY_AT_TLS, /* STARTTLS, the handshake, the certificate */
    LMAIL_DELIVERY_AT_AUTH,
    LMAIL_DELIVERY_AT_MAIL, /* RSET too */
    LMAIL_DELIVERY_AT_RCPT,
    LMAIL_DELIVERY_AT_DATA, /* DATA, BDAT, the message itself */
    LMAIL_DELIVERY_AT_END   /* behind the final dot or BDAT LAST */
} lmail_delivery_phase;

/* What went wrong. */
typedef enum lmail_delivery_fault {
    LMAIL_DELIVERY_FINE = 0,
    LMAIL_DELIVERY_REPLY,       /* the server said so: code, enhanced, text */
    LMAIL_DELIVERY_REFUSED,     /* connection refused */
    LMAIL_DELIVERY_UNREACHABLE, /* no route, no such socket */
    LMAIL_DELIVERY_TIMEOUT,
    LMAIL_DELIVERY_LOST,        /* the connection ended */
    LMAIL_DELIVERY_NO_TLS,      /* handshake or certificate */
    LMAIL_DELIVERY_UNSUPPORTED, /* the server lacks what the message or we need. code says whether
                                 * that is for ever (5xx) */
    LMAIL_DELIVERY_PROTOCOL,    /* it does not speak the protocol */
    LMAIL_DELIVERY_OURS         /* this machine: memory, files, a stop */
} lmail_delivery_fault;

/* One thing that was said or that happened. Borrowed for the call; the machine copies what it
 * keeps, text up to 512 octets, control octets as blanks. */
typedef struct lmail_delivery_word {
    lmail_delivery_fault fault;
    lmail_delivery_phase phase;
    unsigned code;      /* 200..599 with REPLY; else 0 or what to tell */
    lmail_str enhanced; /* "5.1.1". Empty, or of another class than the code: the machine makes one
                         * (RFC 3463) */
    lmail_str text;     /* without codes; several lines joined with blanks. Empty: the machine's */
} lmail_delivery_word;

/* ---- Setup ----------------------------------------------------------------------------------- */

typedef struct lmail_delivery_address {
    unsigned version; /* 4 or 6 */
    unsigned char octets[16];
} lmail_delivery_address;

/* An address at which this machine itself takes mail. */
typedef struct lmail_delivery_endpoint {
    lmail_delivery_address address;
    unsigned port; /* 0: any */
} lmail_delivery_endpoint;

typedef struct lmail_delivery_config {
    size_t size;
    lmail_alloc alloc;          /* zeroed: the C library's */
    const lmail_env *env;       /* random octets; NULL: equal MX hosts stay as they come. Outlives
                                 * the setup */
    const lmail_policy *policy; /* Try_TLS, TLS_Srv, TLS_Rcpt, AuthInfo; NULL: none. Outlives it */
    const lmail_str *own_names; /* of this host; copied */
    size_t own_name_count;
    const lmail_delivery_endpoint *own_addresses; /* copied */
    size_t own_address_count;
    unsigned own_mx;          /* a domain whose best MX is this host: to its address, no loop */
    unsigned family;          /* 0: both, 4, 6 */
    unsigned no_auth;         /* credentials are not looked for */
    unsigned port;            /* 0: 25; LMTP: 24 (RFC 2033 §5: never 25) */
    size_t max_hosts;         /* MX hosts looked up; 0: 10 */
    size_t max_addresses;     /* connections tried; 0: 8. RFC 5321 §5.1: two at least */
    size_t max_sessions;      /* servers that answered; 0: 3 */
    size_t max_recipients;    /* a transaction; 0: 100 (RFC 5321 §4.5.3.1.8) */
    lmail_msec connect_limit; /* for the whole attempt: none is begun later; 0: no limit */
} lmail_delivery_config;

#define LMAIL_DELIVERY_CONFIG_INIT                                                                 \
    {                                                                                              \
        sizeof(lmail_delivery_config), {NULL, NULL}, NULL, NULL, NULL, 0, NULL, 0, 0, 0, 0, 0, 0,  \
            0, 0, 0, 0                                                                             \
    }
LMAIL_API void lmail_delivery_config_init(lmail_delivery_config *config);

/* ---- The job --------------------------------------------------------------------------------- */

/* A host to try. */
typedef struct lmail_delivery_host {
    lmail_str name; /* "example.org", "[192.0.2.7]", "[IPv6:2001:db8::7]", "[mx.example.org]"; of a
                     * unix socket its absolute path */
    unsigned no_mx; /* the name's addresses, not its MX hosts; brackets say the same */
    unsigned port;  /* 0: the config's */
} lmail_delivery_host;

typedef struct lmail_delivery_job {
    size_t size;
    lmail_str destination; /* what the attempt is counted against; for on_reuse and texts */
    lmail_delivery_mailer mailer;
    const lmail_delivery_host *hosts; /* in the order to try, 1 to 16; copied */
    size_t host_count;
    unsigned named; /* the administrator named the hosts: mailertable, smart host */
    lmail_delivery_tls tls;
    unsigned reuse;              /* on_reuse is asked first */
    const lmail_str *recipients; /* addresses, 1 or more; copied. A number below is an index */
    size_t recipient_count;
    struct lmail_delivery_status *status; /* hosts known to be down; may be NULL, outlives it */
} lmail_delivery_job;

#define LMAIL_DELIVERY_JOB_INIT                                                                    \
    {                                                                                              \
        sizeof(lmail_delivery_job), {NULL, 0}, LMAIL_DELIVERY_ESMTP, NULL, 0, 0,                   \
            LMAIL_DELIVERY_TLS_MAY, 0, NULL, 0, NULL                                               \
    }
LMAIL_API void lmail_delivery_job_init(lmail_delivery_job *job);

/* A queue row's route as hosts: "mailer:host:host", each host perhaps in brackets and with "@PORT"
 * behind it, or "lmtp:/path"; the empty route is the address's own domain, esmtp.
 *   hosts   room for cap; slices lie in route or address
 * Fills job->mailer, hosts, host_count, named.
 * Returns: OK, ERR_SYNTAX (no host, a mailer that is none of ours, a port), ERR_LIMIT (cap). */
LMAIL_API lmail_status lmail_delivery_route(lmail_str route, lmail_str address,
                                            lmail_delivery_job *job, lmail_delivery_host *hosts,
                                            size_t cap);

/* ---- Questions and answers ------------------------------------------------------------------- */

typedef struct lmail_delivery_name_event {
    lmail_str name; /* on_reuse: the destination */
    lmail_delivery_tls tls;
} lmail_delivery_name_event;

typedef enum lmail_delivery_lookup {
    LMAIL_DELIVERY_FOUND = 0,
    LMAIL_DELIVERY_NONE, /* no such name, or nothing of the kind asked for */
    LMAIL_DELIVERY_TEMP  /* no answer for now */
} lmail_delivery_lookup;

typedef struct lmail_delivery_mx_host {
    lmail_str name;
    unsigned preference;
} lmail_delivery_mx_host;

/* Zeroed: the name has no MX records and is its own host. */
typedef struct lmail_delivery_mx {
    size_t size;
    lmail_delivery_lookup result;
    const lmail_delivery_mx_host *hosts; /* any order; 64 are looked at */
    size_t count;
    unsigned null_mx; /* with NONE: "0 .", it takes no mail (RFC 7505) */
} lmail_delivery_mx;

#define LMAIL_DELIVERY_MX_INIT                                                                     \
    {                                                                                              \
        sizeof(lmail_delivery_mx), LMAIL_DELIVERY_FOUND, NULL, 0, 0                                \
    }
LMAIL_API void lmail_delivery_mx_init(lmail_delivery_mx *answer);

typedef struct lmail_delivery_addresses {
    size_t size;
    lmail_delivery_lookup result;
    const lmail_delivery_address *list; /* 64 are looked at */
    size_t count;
} lmail_delivery_addresses;

#define LMAIL_DELIVERY_ADDRESSES_INIT                                                              \
    {                                                                                              \
        sizeof(lmail_delivery_addresses), LMAIL_DELIVERY_FOUND, NULL, 0                            \
    }
LMAIL_API void lmail_delivery_addresses_init(lmail_delivery_addresses *answer);

/* A connection that is wanted. Borrowed until the ticket is handed back. */
typedef struct lmail_delivery_connect_event {
    lmail_str host;                 /* its name, for SNI and the certificate */
    lmail_delivery_address address; /* version 0: path */
    lmail_str address_text;         /* "192.0.2.7", "2001:db8::7", or the path */
    lmail_str path;                 /* of a unix socket */
    unsigned port;
    lmail_delivery_mailer mailer;
    lmail_delivery_tls tls;
    const lmail_policy_credentials *credentials; /* to log in with where AUTH is offered; NULL: do
                                                  * not. Wiped when the ticket is handed back */
    lmail_msec time_left;                        /* of config.connect_limit; LMAIL_NEVER */
} lmail_delivery_connect_event;

/* A connection, or why there is none. */
typedef struct lmail_delivery_connection {
    size_t size;
    lmail_delivery_word word; /* FINE: it is ready for MAIL */
    uint64_t id;              /* the host's number for it; on_reuse: 0 when there is none */
    lmail_str server_name; /* as EHLO's reply has it; one of our own means a loop. May be empty */
    lmail_str host;        /* on_reuse: whom it leads to */
    lmail_delivery_address address;
    unsigned port;
    lmail_policy_certificate certificate; /* what TLS_Srv and TLS_Rcpt judge */
    unsigned cipher_bits;
    lmail_str certificate_name, certificate_subject, certificate_issuer;
    size_t max_recipients; /* a transaction, as the server said (RFC 9422); 0: it did not */
} lmail_delivery_connection;

#define LMAIL_DELIVERY_CONNECTION_INIT                                                             \
    {                                                                                              \
        sizeof(lmail_delivery_connection),                                                         \
            {LMAIL_DELIVERY_FINE, LMAIL_DELIVERY_AT_LOOKUP, 0, {NULL, 0}, {NULL, 0}}, 0,           \
            {NULL, 0}, {NULL, 0}, {0, {0}}, 0, LMAIL_POLICY_CERTIFICATE_NO_TLS, 0, {NULL, 0},      \
            {NULL, 0}, {NULL, 0}, 0                                                                \
    }
LMAIL_API void lmail_delivery_connection_init(lmail_delivery_connection *answer);

typedef struct lmail_delivery_transaction_event {
    uint64_t connection;
    const size_t *recipients; /* their numbers, in the order of the job */
    size_t count;
} lmail_delivery_transaction_event;

/* How a transaction ended. */
typedef struct lmail_delivery_transaction {
    size_t size;
    lmail_delivery_word word; /* FINE: it ran to its end - with the reply to the data in code,
                               * enhanced, text - or there was nobody left to send it to. Else
                               * what ended it, and the phase */
    unsigned ready;           /* the connection can take another one */
    unsigned dsn;             /* the server speaks DSN, and sends the reports that were asked for */
} lmail_delivery_transaction;

#define LMAIL_DELIVERY_TRANSACTION_INIT                                                            \
    {                                                                                              \
        sizeof(lmail_delivery_transaction),                                                        \
            {LMAIL_DELIVERY_FINE, LMAIL_DELIVERY_AT_LOOKUP, 0, {NULL, 0}, {NULL, 0}}, 0, 0         \
    }
LMAIL_API void lmail_delivery_transaction_init(lmail_delivery_transaction *answer);

/* ---- Results --------------------------------------------------------------------------------- */

typedef enum lmail_delivery_state {
    LMAIL_DELIVERY_SENT = 1,
    LMAIL_DELIVERY_DEFERRED, /* to be tried again */
    LMAIL_DELIVERY_FAILED
} lmail_delivery_state;

/* "sent", "deferred", "failed"; "?" for a value not in the list. A static string. */
LMAIL_API const char *lmail_delivery_state_name(lmail_delivery_state state);

typedef struct lmail_delivery_result {
    size_t recipient;
    lmail_delivery_state state;
    lmail_delivery_fault fault; /* REPLY or FINE: code and text are the server's own words */
    lmail_delivery_phase phase;
    unsigned code;      /* 0: nobody gave one */
    lmail_str enhanced; /* never empty; of the class that `state` has: RFC 3464's Status */
    lmail_str text;
    lmail_str host;    /* who said so, or whom we tried; empty: it did not come so far */
    lmail_str address; /* as text */
    unsigned dsn;      /* SENT: the server sends the reports that were asked for */
    unsigned doubtful; /* DEFERRED: the message may have arrived all the same */
    lmail_msec when;
} lmail_delivery_result;

/* What is known now of the destination, for the one who plans. */
typedef enum lmail_delivery_health {
    LMAIL_DELIVERY_NOT_MET = 0, /* no host was asked for a connection */
    LMAIL_DELIVERY_ALIVE,       /* a server took a transaction, whatever it said */
    LMAIL_DELIVERY_BUSY, /* one is there and wants less: 4xx to the greeting or to EHLO, 421 */
    LMAIL_DELIVERY_DOWN  /* no host answered, or the name could not be looked up for now */
} lmail_delivery_health;

typedef struct lmail_delivery_end_event {
    lmail_delivery_health health;
    size_t sent, deferred, failed;
    size_t questions; /* asked in all */
} lmail_delivery_end_event;

/* Callbacks. A NULL one: on_reuse none is open; on_mx, on_addresses TEMP; on_connect, on_transaction
 * a fault of our own; the others nothing. `user` is that of lmail_delivery_new. */
typedef struct lmail_delivery_handler {
    size_t size;
    lmail_status (*on_reuse)(lmail_delivery *d, void *user, lmail_ticket t,
                             const lmail_delivery_name_event *ev,
                             lmail_delivery_connection *answer);
    lmail_status (*on_mx)(lmail_delivery *d, void *user, lmail_ticket t,
                          const lmail_delivery_name_event *ev, lmail_delivery_mx *answer);
    lmail_status (*on_addresses)(lmail_delivery *d, void *user, lmail_ticket t,
                                 const lmail_delivery_name_event *ev,
                                 lmail_delivery_addresses *answer);
    lmail_status (*on_connect)(lmail_delivery *d, void *user, lmail_ticket t,
                               const lmail_delivery_connect_event *ev,
                               lmail_delivery_connection *answer);
    lmail_status (*on_transaction)(lmail_delivery *d, void *user, lmail_ticket t,
                                   const lmail_delivery_transaction_event *ev,
                                   lmail_delivery_transaction *answer);
    /* The answer is no longer wanted; handing it back is ERR_STALE. */
    void (*on_cancel)(lmail_delivery *d, void *user, lmail_ticket t);
    /* The connection is not used any more; keep: it may serve another delivery. */
    void (*on_release)(lmail_delivery *d, void *user, uint64_t connection, unsigned keep);
    void (*on_result)(lmail_delivery *d, void *user, const lmail_delivery_result *result);
    void (*on_end)(lmail_delivery *d, void *user, const lmail_delivery_end_event *ev);
} lmail_delivery_handler;

#define LMAIL_DELIVERY_HANDLER_INIT                                                                \
    {                                                                                              \
        sizeof(lmail_delivery_handler), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL       \
    }
LMAIL_API void lmail_delivery_handler_init(lmail_delivery_handler *handler);

/* ---- The machine ----------------------------------------------------------------------------- */

/* Immutable; threads may share it, each machine is one thread's. The two structs are copied.
 * Returns: OK, ERR_SIZE, ERR_ARG (family), ERR_NOMEM. */
LMAIL_API lmail_status lmail_delivery_setup_new(lmail_delivery_setup **out,
                                                const lmail_delivery_config *config,
                                                const lmail_delivery_handler *handler);
/* Outlives its machines. NULL is allowed. */
LMAIL_API void lmail_delivery_setup_free(lmail_delivery_setup *setup);

/* Returns: OK, ERR_SIZE, ERR_ARG (no host, no recipient, more than 16 hosts, an empty name),
 * ERR_NOMEM. No callback is called yet. */
LMAIL_API lmail_status lmail_delivery_new(lmail_delivery **out, const lmail_delivery_setup *setup,
                                          const lmail_delivery_job *job, void *user,
                                          lmail_msec now);

/* Begin. All callbacks, on_end too, may come before it returns.
 * Returns: OK, ERR_STATE (begun before), ERR_REENTRANT, ERR_NOMEM (it has ended: the recipients are
 * deferred, and on_end was called). The functions below return these as well. */
LMAIL_API lmail_status lmail_delivery_start(lmail_delivery *d, lmail_msec now);

/* The answers. ERR_STALE: the ticket was answered or cancelled before; ERR_ARG: it is of another
 * kind of question, and stays open; ERR_SIZE. */
LMAIL_API lmail_status lmail_delivery_answer_reuse(lmail_delivery *d, lmail_ticket t,
                                                   const lmail_delivery_connection *answer,
                                                   lmail_msec now);
LMAIL_API lmail_status lmail_delivery_answer_mx(lmail_delivery *d, lmail_ticket t,
                                                const lmail_delivery_mx *answer, lmail_msec now);
LMAIL_API lmail_status lmail_delivery_answer_addresses(lmail_delivery *d, lmail_ticket t,
                                                       const lmail_delivery_addresses *answer,
                                                       lmail_msec now);
LMAIL_API lmail_status lmail_delivery_answer_connect(lmail_delivery *d, lmail_ticket t,
                                                     const lmail_delivery_connection *answer,
                                                     lmail_msec now);
LMAIL_API lmail_status lmail_delivery_answer_transaction(lmail_delivery *d, lmail_ticket t,
                                                         const lmail_delivery_transaction *answer,
                                                         lmail_msec now);

/* One recipient of the transaction that is under way: the reply to its RCPT (phase AT_RCPT), in LMTP
 * also its own reply to the data (AT_END). The ticket stays open. ERR_ARG: not one of this
 * transaction, or another phase. */
LMAIL_API lmail_status lmail_delivery_told(lmail_delivery *d, lmail_ticket t, size_t recipient,
                                           const lmail_delivery_word *word, lmail_msec now);

/* End it now: the open question is cancelled, recipients without a result are deferred with this
 * word (fault OURS and a text of our own if NULL). One whose message may be in transit is `doubtful`. */
LMAIL_API lmail_status lmail_delivery_stop(lmail_delivery *d, const lmail_delivery_word *word,
                                           lmail_msec now);

/* 1 when on_end has been called. */
LMAIL_API int lmail_delivery_ended(const lmail_delivery *d);
LMAIL_API void *lmail_delivery_user(const lmail_delivery *d);

/* Free it, ended or not; an open question is cancelled without results. In a callback: freed when
 * the callback has returned. NULL is allowed. */
LMAIL_API void lmail_delivery_free(lmail_delivery *d);

/* The code of RFC 3463 for what happened, as the class (2, 4 or 5) wants it: the server's own if it
 * is well-formed and of that class, else one made of fault, phase and code.
 *   out   terminated; at least 12 octets
 * Returns: its length. */
LMAIL_API size_t lmail_delivery_enhanced(const lmail_delivery_word *word, unsigned class_digit,
                                         char *out);

#ifdef __cplusplus
}
#endif

#endif
