/* auth_authd.h - the server of saslauthd's protocol, from inside. Nothing here is exported.
 *
 *     auth_authd.c        life: sockets, signals, the loop
 *     auth_authd_conn.c   a connection: request, turn, check, delay, answer
 *     auth_authd_check.c  the child that checks
 *     auth_authd_limit.c  who has failed too often */
#ifndef LMI_HOST_AUTH_AUTHD_H
#define LMI_HOST_AUTH_AUTHD_H

#include <sys/types.h>

#include "auth_mux.h"

#define LMI_AUTHD_SOCKETS 8u

/* ---- auth_authd_limit.c ---- */

typedef struct lmi_failures lmi_failures;

/* Returns NULL without memory or random octets. */
lmi_failures *lmi_failures_new(void);
void lmi_failures_free(lmi_failures *f);
/* Count a try of this peer at this login (empty: at any) beforehand. 1 when it may be made, 0 when
 * as many as `per_minute` have failed in the last minute; 0 per minute: any number may. */
int lmi_failures_begin(lmi_failures *f, uint32_t peer, lmail_str login, uint32_t per_minute,
                       lmail_msec now);
/* It did not fail: take the count back. */
void lmi_failures_undo(lmi_failures *f, uint32_t peer, lmail_str login, uint32_t per_minute);

/* ---- auth_authd_check.c ---- */

typedef struct lmi_child {
    pid_t pid;
    int fd; /* what it found comes here */
} lmi_child;

/* What a child said. */
typedef struct lmi_verdict {
    int answered; /* 0: it ended without a word */
    int status;   /* lmail_status */
    unsigned check;
} lmi_verdict;

/* Start checking. 0, or -1. */
int lmi_child_start(lmi_child *child, const lmail_authd_check *checks, size_t count,
                    const lmail_saslauthd_request *request);
/* Its pipe is readable, or its time is over: take what it said and end it. */
lmi_verdict lmi_child_end(lmi_child *child);

/* ---- auth_authd_conn.c ---- */

typedef enum lmi_authd_state {
    LMI_AUTHD_FREE,
    LMI_AUTHD_READING,
    LMI_AUTHD_WAITING,  /* for a worker */
    LMI_AUTHD_CHECKING, /* a child is at it */
    LMI_AUTHD_HOLDING,  /* a NO that may not go out yet */
    LMI_AUTHD_WRITING
} lmi_authd_state;

typedef struct lmi_authd_conn {
    lmi_authd_state state;
    int fd;
    uint32_t uid; /* of the peer */
    pid_t pid;
    uint64_t number; /* order of arrival */
    lmail_msec asked, deadline;
    unsigned counted; /* lmi_failures_begin said yes: LMI_COUNTED_* */
    lmi_child child;
    lmail_saslauthd_request request; /* points into `in` */
    size_t in_len;
    size_t out_len, out_at;
    char in[LMI_MUX_REQUEST + 1];
    char out[64];
} lmi_authd_conn;

enum { LMI_COUNTED_USER = 1, LMI_COUNTED_PEER = 2 };

struct lmail_authd {
    /* What lmail_authd_change may change. */
    lmail_authd_check *checks;
    size_t check_count;
    uint32_t *uids;
    size_t uid_count;
    uint32_t read_timeout, check_timeout, failure_delay, user_failures, peer_failures;

    unsigned workers, max_connections;
    lmail_log *log;
    lmi_failures *failures;
    char *paths[LMI_AUTHD_SOCKETS];
    int listeners[LMI_AUTHD_SOCKETS];
    size_t listener_count;
    int wake;    /* eventfd: stop */
    int signals; /* signalfd, or -1 */
    int stop_signal, reload_signal;
    void (*on_reload)(void *user);
    void *user;

    lmi_authd_conn **conns; /* max_connections places, NULL when free */
    unsigned conn_count, running;
    uint64_t arrivals;
};

/* A connection came; it is taken or closed. */
void lmi_authd_accept(lmail_authd *a, int fd, lmail_msec now);
/* What poll shall look at: the descriptor and its events; -1: nothing but the deadline. */
int lmi_authd_watch(const lmi_authd_conn *c, short *events);
/* It is ready, or its deadline has come. */
void lmi_authd_ready(lmail_authd *a, lmi_authd_conn *c, short events, lmail_msec now);
/* Give free workers to those who wait. */
void lmi_authd_next(lmail_authd *a, lmail_msec now);
void lmi_authd_close(lmail_authd *a, lmi_authd_conn *c);

#endif
