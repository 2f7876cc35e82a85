/* libmail/host/saslauthd.h - "is this password right?", asked and answered over a local socket.
 *
 * The protocol is the one that cyrus-sasl's saslauthd speaks on its socket "mux", so that either
 * end may be another program: a mail server whose passwords a running saslauthd knows, or a program
 * that asks saslauthd and finds our accounts behind it.
 *
 *     asking       lmail_saslauthd_ask                                   blocks; on a worker
 *     answering    lmail_authd_new, lmail_authd_run .. lmail_authd_stop  authd(8) is this
 *
 * The server. One thread and one process that waits in poll(2); each check runs in a child of its
 * own, which is ended when it takes too long. So a check may call what is not made for threads,
 * leaks, hangs or crashes (modules of PAM do), and nothing of it stays. It forks: run it in a
 * process that has no other threads.
 *
 * What a request can cost is bounded: its size, the time until it is whole, the connections of all
 * and of one user of the system, the checks at a time, the failed checks of one name and of one
 * peer in a minute. Octets of passwords are wiped when a request ends; no log line holds one.
 */
#ifndef LIBMAIL_HOST_SASLAUTHD_H
#define LIBMAIL_HOST_SASLAUTHD_H

#include <libmail/base.h>
#include <libmail/host/log.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LMAIL_SASLAUTHD_STRING 1024u /* octets of each string, at most */

/* A question. Slices hold no NUL. */
typedef struct lmail_saslauthd_request {
    size_t size;
    lmail_str login;
    lmail_str password;
    lmail_str service; /* "smtp", "imap": PAM's service name */
    lmail_str realm;   /* the domain of the login, or empty */
} lmail_saslauthd_request;

#define LMAIL_SASLAUTHD_REQUEST_INIT                                                               \
    {                                                                                              \
        sizeof(lmail_saslauthd_request), {NULL, 0}, {NULL, 0}, {NULL, 0},                          \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
LMAIL_API void lmail_saslauthd_request_init(lmail_saslauthd_request *request);

/* Ask the server at this socket. Blocks, for `timeout` milliseconds at most.
 * Returns: OK (the password is right); ERR_DENIED (it is not); ERR_ARG (a string is too long or
 * holds a NUL); ERR_SIZE; ERR_IO (nobody answers there, or not in time: ask again later). */
LMAIL_API lmail_status lmail_saslauthd_ask(lmail_str socket, const lmail_saslauthd_request *request,
                                           uint32_t timeout);

/* ---- Answering ------------------------------------------------------------------------------- */

/* One way to check a password.
 *   name      for the log: "pam"
 *   prepare   in the server's process, before each check: what shall be kept from one check to the
 *             next is read here. May be NULL; must not block for long
 *   check     in a child of the server: OK, ERR_DENIED, ERR_NOTFOUND (it does not know this login:
 *             the next check is asked), or any other error: not known now, the peer gets no answer.
 *             Must not use the log */
typedef struct lmail_authd_check {
    const char *name;
    void (*prepare)(void *user, const lmail_saslauthd_request *request);
    lmail_status (*check)(void *user, const lmail_saslauthd_request *request);
    void *user;
} lmail_authd_check;

typedef struct lmail_authd lmail_authd;

/* Durations in milliseconds; 0 takes the default in brackets. */
typedef struct lmail_authd_config {
    size_t size;
    const lmail_authd_check *checks; /* asked in this order; one at least */
    size_t check_count;
    const lmail_str *sockets; /* paths; their directories exist */
    size_t socket_count;
    unsigned mode;        /* of the sockets: who may write may ask [0600] */
    uint32_t group;       /* of the sockets; UINT32_MAX: the process's */
    const uint32_t *uids; /* peers who delay failures themselves, as mail servers do: they get */
    size_t uid_count;     /* a NO at once, and peer_failures does not count for them */
    unsigned workers;     /* checks at a time [5] */
    unsigned max_connections; /* [256]; half of them for one peer */
    uint32_t read_timeout;    /* until a request is whole, and until an answer is taken [5,000] */
    uint32_t check_timeout;   /* [30,000] */
    uint32_t failure_delay;   /* before a NO, counted from the request; none with 0 */
    uint32_t user_failures;   /* of one login by one peer in a minute; 0: any number */
    uint32_t peer_failures;   /* of one peer in a minute; 0: any number */
    lmail_log *log;           /* borrowed; may be NULL */
} lmail_authd_config;

#define LMAIL_AUTHD_CONFIG_INIT                                                                    \
    {                                                                                              \
        sizeof(lmail_authd_config), NULL, 0, NULL, 0, 0, UINT32_MAX, NULL, 0, 0, 0, 0, 0, 0, 0, 0, \
            NULL                                                                                   \
    }
LMAIL_API void lmail_authd_config_init(lmail_authd_config *config);

/* Bind the sockets; a stale one is replaced. Everything is copied but the log and what `user`
 * pointers point to.
 *   error   filled with a terminated text for people when it fails (may be NULL, cap 0)
 * Returns: OK, ERR_SIZE, ERR_ARG (no check, no socket, a path that is too long), ERR_BUSY (somebody
 * answers there already), ERR_IO, ERR_NOMEM. */
LMAIL_API lmail_status lmail_authd_new(lmail_authd **out, const lmail_authd_config *config,
                                       char *error, size_t cap);

/* Other checks and limits from the next request on; sockets, their mode and group, workers,
 * max_connections and log stay. From on_reload, or before run.
 * Returns: OK, ERR_SIZE, ERR_ARG, ERR_NOMEM (nothing has changed). */
LMAIL_API lmail_status lmail_authd_change(lmail_authd *a, const lmail_authd_config *config);

/* These signals (0: not) end run, or call on_reload in run's thread. Before run, in the thread that
 * will run. Returns: OK, ERR_IO. */
LMAIL_API lmail_status lmail_authd_signals(lmail_authd *a, int stop_signal, int reload_signal,
                                           void (*on_reload)(void *user), void *user);

/* Answer until stopped; requests under way end unanswered. Returns: OK, ERR_IO. */
LMAIL_API lmail_status lmail_authd_run(lmail_authd *a);

/* From any thread or signal handler. */
LMAIL_API void lmail_authd_stop(lmail_authd *a);

/* Remove the sockets. NULL is allowed. */
LMAIL_API void lmail_authd_free(lmail_authd *a);

#ifdef __cplusplus
}
#endif

#endif
