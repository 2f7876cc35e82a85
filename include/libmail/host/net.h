/* libmail/host/net.h - loops, worker pools, listeners and connections: what drives a session.
 *
 * A lmail_net is a set of event loops, one a thread, that share listeners, limits and worker pools.
 * A listener accepts connections and asks its host for a session each; the connection then pumps
 * octets between socket, TLS and session (libmail/session.h) until the session is over.
 *
 *     lmail_net_new(&net, &config, ...);
 *     lmail_listener_new(&listener, net, &where_and_what, ...);
 *     lmail_net_run(net);               until lmail_net_stop, from any thread or signal
 *     lmail_net_free(net);
 *
 * Threads: every connection, with its session, belongs to one loop, and all its callbacks run
 * there. A function marked "any thread" may be called from anywhere; every other function that
 * takes a connection, a loop or a timer is for the thread of that loop. Functions that take a net
 * or a listener are for the thread that calls lmail_net_run (before it runs, or in a callback of
 * loop 0), unless marked.
 *
 * A question that a session asked and a worker answers:
 *
 *     on_rcpt(s, ..., ticket)
 *         lmail_pool_submit(pool, lmail_conn_loop(conn), work, done, job, key), LMAIL_PENDING
 *     work(job)
 *         on a worker: never touches the session
 *     done(job)
 *         on the loop: lmail_smtp_server_answer(s, ticket, ...), then lmail_conn_wake(conn)
 *
 * Connection and session stay valid until the last ticket has come home, so a done callback may
 * always answer; it must answer also when the question was cancelled, and wake after every
 * answer. */
#ifndef LIBMAIL_HOST_NET_H
#define LIBMAIL_HOST_NET_H

#include <libmail/base.h>
#include <libmail/host/tls.h>
#include <libmail/session.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s;

typedef struct lmail_net lmail_net;
typedef struct lmail_loop lmail_loop;
typedef struct lmail_timer lmail_timer;
typedef struct lmail_pool lmail_pool;
typedef struct lmail_listener lmail_listener;
typedef struct lmail_conn lmail_conn;

typedef void lmail_call_fn(void *arg);

/* ---- The net --------------------------------------------------------------------------------- */

typedef struct lmail_net_config {
    size_t size;
    unsigned loops;             /* threads that drive connections; 0: one a core */
    struct uv_loop_s *uv;       /* the embedder's own uv_loop_t becomes loop 0. Then `loops` 0 means
                                 * 1, and lmail_net_start is used in place of lmail_net_run */
    unsigned max_connections;   /* of all listeners together; 0: 10000. When reached, listeners
                                 * close, so that clients see "connection refused" and try
                                 * elsewhere */
    unsigned max_per_address;   /* an IPv4 address or an IPv6 /64; 0: 100 */
    unsigned handshake_threads; /* workers that take TLS handshakes when many arrive; 0: one a
                                 * core */
} lmail_net_config;

#define LMAIL_NET_CONFIG_INIT                                                                      \
    {                                                                                              \
        sizeof(lmail_net_config), 0, NULL, 0, 0, 0                                                 \
    }

LMAIL_API void lmail_net_config_init(lmail_net_config *config);

/* Make the loops; threads start with run or start.
 *   error   filled with a terminated text for people when it fails (may be NULL, cap 0)
 * Returns: OK, ERR_SIZE, ERR_NOMEM, ERR_IO. */
LMAIL_API lmail_status lmail_net_new(lmail_net **out, const lmail_net_config *config, char *error,
                                     size_t cap);

/* Drive loop 0 in this thread and the others in theirs until the net has stopped.
 * Returns: OK, ERR_STATE (started before, or the loop is the embedder's), ERR_IO. */
LMAIL_API lmail_status lmail_net_run(lmail_net *net);

/* Start all loops but loop 0, which the embedder drives with uv_run. When the net has stopped,
 * stopped(arg) is called on loop 0 and nothing of ours is left active there.
 * Returns: OK, ERR_STATE, ERR_IO. */
LMAIL_API lmail_status lmail_net_start(lmail_net *net, lmail_call_fn *stopped, void *arg);

/* Stop gracefully: listeners close, every session is told (lmail_session_stop), and whoever has not
 * gone after `grace` milliseconds is cut off. When all connections are gone and all tickets have
 * come home the pools are drained, and run returns. A second call shortens the grace. Any
 * thread. */
LMAIL_API void lmail_net_stop(lmail_net *net, lmail_msec grace);
#define LMAIL_NET_GRACE 5000 /* a grace that suits most, milliseconds */

/* Free a net that never ran or has stopped, with its listeners, pools and loops. NULL is
 * allowed. */
LMAIL_API void lmail_net_free(lmail_net *net);

/* Other limits, for connections from now on; 0 keeps one as it is. Any thread. */
LMAIL_API void lmail_net_limits(lmail_net *net, unsigned max_connections, unsigned max_per_address);

/* At most `max` connections through all listeners of a group together (lmail_listener_config.group);
 * at that number they close until one ends. LMAIL_NET_GROUPS groups, from 1; max 0: no limit. For
 * connections from now on. Any thread. Returns: OK, ERR_ARG (no such group). */
#define LMAIL_NET_GROUPS 8
LMAIL_API lmail_status lmail_net_group_limit(lmail_net *net, unsigned group, unsigned max);

/* Call fn(arg) on loop 0 whenever the process gets a signal (SIGTERM, SIGHUP). One handler a
 * signal; it lasts until the net has stopped. Returns: OK, ERR_NOMEM, ERR_IO. */
LMAIL_API lmail_status lmail_net_signal(lmail_net *net, int signum, lmail_call_fn *fn, void *arg);

typedef struct lmail_net_stats {
    size_t size;
    uint64_t accepted;        /* connections since the start */
    uint64_t refused_address; /* closed at once: too many of one address */
    uint64_t refused_files;   /* closed at once: no descriptor was free */
    uint64_t times_full;      /* listeners were closed because max_connections was reached */
    uint64_t proxy_errors;    /* PROXY header missing, faulty, late or from an untrusted address */
    uint64_t handshakes;      /* TLS handshakes completed */
    uint64_t resumed;         /* of those, resumed from a ticket */
    uint64_t handshake_errors;
    uint64_t handshakes_lent; /* steps of handshakes that ran on a worker */
    uint64_t connections;     /* open now */
    uint64_t tls13;           /* of the handshakes, with TLS 1.3; the others with 1.2 */
    uint64_t outgoing;        /* connections that we make or have made, open now; the figures above
                               * are of those that listeners took */
} lmail_net_stats;

/* Fill *stats (its size set by the caller). Any thread. Returns: OK, ERR_SIZE. */
LMAIL_API lmail_status lmail_net_get_stats(lmail_net *net, lmail_net_stats *stats);

/* ---- Loops and timers ------------------------------------------------------------------------ */

/* How many loops there are, and loop number index, 0-based; NULL: no such loop. */
LMAIL_API unsigned lmail_net_loops(const lmail_net *net);
LMAIL_API lmail_loop *lmail_net_loop(lmail_net *net, unsigned index);

/* The steady clock as of this turn of the loop: the `now` of every session that it drives. */
LMAIL_API lmail_msec lmail_loop_now(const lmail_loop *loop);

/* The loop's uv_loop_t, for handles of the host's own. Close them before the net has stopped. */
LMAIL_API struct uv_loop_s *lmail_loop_uv(lmail_loop *loop);

/* Call fn(arg) on the loop's thread, soon, in the order of the posts of each thread. Any thread.
 * Returns: OK, ERR_NOMEM, ERR_CLOSED (the loop has ended; fn will not be called). */
LMAIL_API lmail_status lmail_loop_post(lmail_loop *loop, lmail_call_fn *fn, void *arg);

/* A timer calls fn(arg) once when its time has come. It holds no loop open.
 * Returns: OK, ERR_NOMEM. */
LMAIL_API lmail_status lmail_timer_new(lmail_timer **out, lmail_loop *loop, lmail_call_fn *fn,
                                       void *arg);
LMAIL_API void lmail_timer_set(lmail_timer *timer, lmail_msec when); /* LMAIL_NEVER: off */
LMAIL_API void lmail_timer_free(lmail_timer *timer);                 /* NULL is allowed */

/* ---- Worker pools ---------------------------------------------------------------------------- */

typedef struct lmail_pool_config {
    size_t size;
    const char *name;     /* at most 11 octets are shown in thread names: "store", "commit" */
    unsigned threads;     /* 0: one a core */
    unsigned max_queue;   /* jobs that wait; 0: no limit */
    unsigned max_per_key; /* jobs of one key that wait or run; 0: no limit */
} lmail_pool_config;

#define LMAIL_POOL_CONFIG_INIT                                                                     \
    {                                                                                              \
        sizeof(lmail_pool_config), NULL, 0, 0, 0                                                   \
    }

LMAIL_API void lmail_pool_config_init(lmail_pool_config *config);

/* A pool of threads for calls that block. It belongs to the net, which drains and ends it when it
 * stops. Returns: OK, ERR_SIZE, ERR_ARG, ERR_NOMEM, ERR_IO. */
LMAIL_API lmail_status lmail_pool_new(lmail_pool **out, lmail_net *net,
                                      const lmail_pool_config *config);

/* Run work(arg) on a worker, then done(arg) on the loop's thread. Jobs start in order. Any thread.
 *   key   whom the job is for (lmail_conn_key), counted against max_per_key; 0: nobody
 *   done  NULL: nothing is called
 * Returns: OK (done will be called, also when the net stops), ERR_BUSY (a limit is reached),
 * ERR_NOMEM, ERR_CLOSED (the pool has ended). Otherwise than OK nothing is called. */
LMAIL_API lmail_status lmail_pool_submit(lmail_pool *pool, lmail_loop *loop, lmail_call_fn *work,
                                         lmail_call_fn *done, void *arg, uint64_t key);

/* Jobs that wait or run now. Any thread. */
LMAIL_API size_t lmail_pool_load(lmail_pool *pool);

/* ---- Listeners ------------------------------------------------------------------------------- */

/* What is known of a connection when its session is made. Slices live as long as the connection. */
typedef struct lmail_conn_facts {
    uint64_t id;            /* counts up from 1 in this process */
    lmail_str peer_address; /* "192.0.2.1", "2001:db8::1"; an IPv4-mapped address as IPv4; empty on
                             * a unix socket and for PROXY LOCAL or UNKNOWN over one */
    unsigned peer_port;
    lmail_str local_address;
    unsigned local_port;
    unsigned unix_socket;                  /* not 0: the peer is a process of this machine, and */
    unsigned peer_pid, peer_uid, peer_gid; /* this is who it is */
    lmail_str proxy_address;     /* who sent the PROXY header that gave the addresses above, or
                                  * empty */
    lmail_str proxy_server_name; /* PP2_TYPE_AUTHORITY: the host the client named to the proxy */
    unsigned proxy_tls;          /* not 0: the client speaks TLS with the proxy (PP2_TYPE_SSL) */
    unsigned tls;                /* not 0: implicit TLS: tls_done comes before the first feed */
} lmail_conn_facts;

typedef enum lmail_close_reason {
    LMAIL_CLOSE_SESSION = 1, /* the session was over */
    LMAIL_CLOSE_PEER,        /* the peer closed the connection */
    LMAIL_CLOSE_ERROR,       /* the socket failed: reset, unreachable */
    LMAIL_CLOSE_TLS,         /* handshake or record faulty, or handshake too slow */
    LMAIL_CLOSE_TIMEOUT,     /* the peer takes no output */
    LMAIL_CLOSE_STOP,        /* cut off while the net stops */
    LMAIL_CLOSE_HOST,        /* lmail_conn_close */
    LMAIL_CLOSE_MEMORY,
    LMAIL_CLOSE_REFUSED,     /* lmail_conn_connect: nobody listens there */
    LMAIL_CLOSE_UNREACHABLE, /* no way leads there, or the source address is not ours */
    LMAIL_CLOSE_NO_ANSWER    /* connect_timeout is over */
} lmail_close_reason;

/* "peer"; a static string for the log. */
LMAIL_API const char *lmail_close_reason_name(lmail_close_reason reason);

/* Make the session for a new connection, on its loop's thread. NULL closes the connection.
 * The connection owns the session and frees it with lmail_session_free.
 * With a PROXY header or implicit TLS it is called after that header, before the handshake. */
typedef lmail_session *lmail_open_fn(void *user, lmail_conn *conn, const lmail_conn_facts *facts,
                                     lmail_msec now);

/* The connection is gone, no ticket is out, and the session is about to be freed. Called once for
 * each session made; of lmail_conn_connect once for each connection, with session NULL when it
 * never came to one. */
typedef void lmail_closed_fn(void *user, lmail_conn *conn, lmail_session *session,
                             lmail_close_reason reason);

/* A connection was closed before its session would have been made, on the thread of that loop. */
typedef enum lmail_refused {
    LMAIL_REFUSED_ADDRESS, /* too many of its address */
    LMAIL_REFUSED_FILES,   /* no descriptor was free */
    LMAIL_REFUSED_PROXY    /* PROXY header missing, faulty, late or from an untrusted address */
} lmail_refused;
typedef void lmail_refused_fn(void *user, lmail_loop *loop, lmail_refused why);

typedef struct lmail_listener_config {
    size_t size;
    const char *address; /* "192.0.2.1:25", "[::1]:143", "*:25" (IPv6 and IPv4), "unix:/run/smtp" */
    unsigned inherited;  /* not 0: use descriptor `fd`, bound by someone else, and ignore address */
    int fd;              /* owned by the listener from the call on */
    unsigned backlog;    /* 0: 1024 */
    unsigned unix_mode;  /* permissions of a unix socket; 0: 0666 */
    lmail_tls *tls; /* for STARTTLS or implicit TLS; NULL: a session that wants TLS is closed */
    unsigned implicit_tls;  /* not 0: TLS from the first octet */
    const char *proxy_from; /* networks that must send a PROXY header, "10.0.0.0/8 ::1 unix"; NULL:
                             * no PROXY. Others may not connect then */
    lmail_str refusal;      /* sent to whom the per-address limit turns away, "421 ...\r\n"; copied.
                             * Not sent under implicit TLS */
    lmail_msec proxy_timeout;     /* 0: 5 s */
    lmail_msec handshake_timeout; /* 0: 30 s */
    lmail_msec write_timeout;     /* the peer's time to take min_rate of it; 0: 120 s */
    lmail_msec linger_timeout;    /* for the peer to take the last output and close; 0: 2 s */
    lmail_msec rest_after;        /* quiet time until buffers are given back; 0: 5 s */
    lmail_open_fn *on_open;
    lmail_closed_fn *on_closed; /* may be NULL */
    void *user;
    lmail_call_fn *on_released; /* on_released(user): no connection uses `user` any more, after
                                 * lmail_listener_update or the listener's end. May be NULL. Comes
                                 * on any loop */
    unsigned group;             /* 1 to LMAIL_NET_GROUPS: shares that limit with others; 0: none.
                               * Ignored by update */
    unsigned max_connections;   /* of this listener; at that number it closes until one ends. 0: no
                               * limit of its own */
    unsigned max_rate;          /* connections accepted in one second; those above it wait, and are
                               * never refused. 0: any number */
    uint32_t min_rate; /* octets a second: while output waits, a peer that acknowledges less than
                        * this, over write_timeout, is cut off. What the kernel has taken but the
                        * peer has not does not count. 0: 64 */
    lmail_refused_fn *on_refused; /* may be NULL */
} lmail_listener_config;

#define LMAIL_LISTENER_CONFIG_INIT                                                                 \
    {                                                                                              \
        sizeof(lmail_listener_config), NULL, 0, -1, 0, 0, NULL, 0, NULL, {NULL, 0}, 0, 0, 0, 0, 0, \
            NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL                                               \
    }

LMAIL_API void lmail_listener_config_init(lmail_listener_config *config);

/* Bind and listen at once, so that faults are told here and privileges may be dropped afterwards;
 * connections are accepted when the net runs.
 *   error   filled with a terminated text for people when it fails (may be NULL, cap 0)
 * Returns: OK, ERR_SIZE, ERR_ARG (address, networks, no on_open), ERR_BUSY (address in use),
 * ERR_DENIED, ERR_IO, ERR_NOMEM, ERR_STATE (the net stops). After an error on_released is not
 * called. */
LMAIL_API lmail_status lmail_listener_new(lmail_listener **out, lmail_net *net,
                                          const lmail_listener_config *config, char *error,
                                          size_t cap);

/* Other rules for connections from now on; address, inherited, fd, backlog, unix_mode are ignored.
 * Running connections keep theirs. Any thread. Returns: OK, ERR_SIZE, ERR_ARG, ERR_NOMEM. */
LMAIL_API lmail_status lmail_listener_update(lmail_listener *listener,
                                             const lmail_listener_config *config, char *error,
                                             size_t cap);

/* The port that is bound (of "127.0.0.1:0", say); 0 on a unix socket. */
LMAIL_API unsigned lmail_listener_port(const lmail_listener *listener);

/* Refuse new connections until resumed; what is open goes on. Any thread. */
LMAIL_API void lmail_listener_pause(lmail_listener *listener);
LMAIL_API void lmail_listener_resume(lmail_listener *listener);

/* Close the socket for good; connections go on. It is freed with the net. Any thread. */
LMAIL_API void lmail_listener_close(lmail_listener *listener);

/* A socket for lmail_listener_config.fd: bound to an address (as there) and listening, so that a
 * process with privileges can make it for one without. A unix socket's file is the caller's to
 * remove.
 *   unix_mode   as in lmail_listener_config
 *   error       as for lmail_listener_new
 * Returns: OK, ERR_ARG, ERR_BUSY, ERR_DENIED, ERR_IO. */
LMAIL_API lmail_status lmail_listener_bind(const char *address, unsigned unix_mode, int *fd,
                                           char *error, size_t cap);

/* Descriptors handed over by socket activation: *first is set and their count returned, 0 when
 * there are none. The variables LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES are removed from the
 * environment. Source: sd_listen_fds(3). */
LMAIL_API int lmail_listen_fds(int *first);

/* ---- Connections that we make ---------------------------------------------------------------- */

typedef struct lmail_connect_config {
    size_t size;
    lmail_str address;     /* "192.0.2.1", "2001:db8::1", "unix:/run/lmtp": no name is looked up */
    unsigned port;         /* 1 to 65535; of no meaning for a unix socket */
    lmail_str source;      /* an address of this machine, of the same family, to connect from;
                              * empty: the system chooses */
    lmail_tls *tls;        /* of lmail_tls_new_client; NULL: a session that wants TLS is closed */
    lmail_str tls_name;    /* the server's name: sent as SNI, and looked for in its certificate. An
                              * IP address is looked for, not sent. Empty: neither */
    unsigned tls_verify;   /* not 0: the handshake fails unless the certificate is trusted and
                              * bears tls_name. Else lmail_tls_facts.peer_verified tells whether */
    unsigned implicit_tls; /* not 0: TLS from the first octet */
    lmail_msec connect_timeout;   /* 0: 30 s */
    lmail_msec handshake_timeout; /* 0: 30 s */
    lmail_msec write_timeout;     /* these four as in lmail_listener_config */
    uint32_t min_rate;
    lmail_msec linger_timeout;
    lmail_msec rest_after;
    lmail_open_fn *on_open;     /* connected: make the session; before the TLS handshake */
    lmail_closed_fn *on_closed; /* may be NULL */
    void *user;
} lmail_connect_config;

#define LMAIL_CONNECT_CONFIG_INIT                                                                  \
    {                                                                                              \
        sizeof(lmail_connect_config), {NULL, 0}, 0, {NULL, 0}, NULL, {NULL, 0}, 0, 0, 0, 0, 0, 0,  \
            0, 0, NULL, NULL, NULL                                                                 \
    }

LMAIL_API void lmail_connect_config_init(lmail_connect_config *config);

/* Connect, and drive the session that on_open makes. All of config is copied; tls is held. The
 * connection takes no listener's place and counts against no limit. When the net stops, a session
 * is told, and a connection that is not made yet is given up.
 *   out     the connection, for lmail_conn_close and lmail_conn_set_user; valid until on_closed has
 *           returned. May be NULL
 *   error   filled with a terminated text for people when it fails (may be NULL, cap 0)
 * On the thread of that loop, while the net runs. Callbacks: none; they come later.
 * Returns: OK (on_closed will be called: that the peer cannot be reached is told there), ERR_SIZE,
 * ERR_ARG, ERR_STATE (the net does not run, or stops), ERR_NOMEM, ERR_IO (no descriptor left). */
LMAIL_API lmail_status lmail_conn_connect(lmail_conn **out, lmail_loop *loop,
                                          const lmail_connect_config *config, char *error,
                                          size_t cap);

/* Why a connection ended, for people and in few words: "connection refused", "certificate expired 3
 * days ago"; "" where its lmail_close_reason says all. Valid as long as the connection; for on_closed. */
LMAIL_API const char *lmail_conn_fault(const lmail_conn *conn);

/* What the server's certificate proved, after the handshake, or after one that failed over it.
 * Returns: OK, ERR_SIZE, ERR_STATE (no TLS yet, or a connection that a listener took). */
LMAIL_API lmail_status lmail_conn_tls_peer(const lmail_conn *conn, lmail_tls_peer *peer);

/* ---- Connections ----------------------------------------------------------------------------- */

/* Call after answers to the session, on its loop's thread, from anywhere (a session's callback
 * too): the connection is pumped before the loop next waits, once for all wakes of a turn. */
LMAIL_API void lmail_conn_wake(lmail_conn *conn);

/* Cut the connection off: the session gets eof(), unsent output is lost. */
LMAIL_API void lmail_conn_close(lmail_conn *conn);

/* The loop it belongs to; its session, NULL while there is none; what was known when it came. */
LMAIL_API lmail_loop *lmail_conn_loop(lmail_conn *conn);
LMAIL_API lmail_session *lmail_conn_session(lmail_conn *conn);
LMAIL_API const lmail_conn_facts *lmail_conn_get_facts(const lmail_conn *conn);

/* Other addresses in the facts, as a PROXY header would have said them: that of the peer, and where
 * it connected to. The peer of before becomes proxy_address, unless there is one. The connection
 * counts among those of the new address.
 *   peer, local   "192.0.2.1", "2001:db8::1"; empty: as it is
 *   *_port        0: as it is, or unknown where the address is new
 * From a callback of its session: yes. Slices of the facts of before are gone.
 * Returns: OK; ERR_SYNTAX, ERR_NOMEM, ERR_BUSY (too many connections of that address): the facts are
 * those of before. */
LMAIL_API lmail_status lmail_conn_set_addresses(lmail_conn *conn, lmail_str peer,
                                                unsigned peer_port, lmail_str local,
                                                unsigned local_port);

/* Not 0; the same for all of an IPv4 address or an IPv6 /64. For max_per_key of a pool. */
LMAIL_API uint64_t lmail_conn_key(const lmail_conn *conn);

/* A pointer of the host's, NULL at first. */
LMAIL_API void lmail_conn_set_user(lmail_conn *conn, void *user);
LMAIL_API void *lmail_conn_user(const lmail_conn *conn);

/* Octets that went over the wire, TLS included. */
LMAIL_API void lmail_conn_traffic(const lmail_conn *conn, uint64_t *in, uint64_t *out);

/* Certificates and rules for this connection in place of its listener's; it takes a reference. To be
 * called before its handshake: from on_open, or a callback of its session before STARTTLS. NULL: the
 * listener's. */
LMAIL_API void lmail_conn_set_tls(lmail_conn *conn, lmail_tls *tls);

/* The tls-exporter channel binding, 32 octets. Returns: OK, ERR_UNSUPPORTED (no TLS, or TLS 1.2,
 * where it is not safe without the extended master secret). Source: RFC 9266. */
LMAIL_API lmail_status lmail_conn_channel_binding(lmail_conn *conn, unsigned char out[32]);

#ifdef __cplusplus
}
#endif

#endif
