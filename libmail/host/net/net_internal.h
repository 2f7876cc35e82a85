/* net_internal.h - what the files of host/net share: loops, tasks, timers, buffers, connections.
 *
 * Threads: a loop's members belong to its thread, but for those under its lock and the atomics. A
 * connection belongs to its loop. A net's limits stand under its lock; its flow of stopping runs on
 * loop 0 alone. */
#ifndef LMI_NET_INTERNAL_H
#define LMI_NET_INTERNAL_H

#include "net_address.h"
#include "net_machine.h"
#include "net_tls.h"

#include <libmail/host/net.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <uv.h>

/* A text for people into the caller's buffer, if there is one. Returns st. */
lmail_status lmi_net_fail(lmail_status st, char *error, size_t cap, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* What holds a member: tasks and timers lie in what they are for. */
#define LMI_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* ---- Tasks: calls that cross threads, without an allocation ---------------------------------- */

typedef struct lmi_task lmi_task;
struct lmi_task {
    lmi_task *next;
    void (*fn)(lmi_task *task);
    atomic_int queued;
};

/* Queue it unless it is queued already. 0: the loop has ended, it will not run. Any thread. */
int lmi_loop_post_task(lmail_loop *loop, lmi_task *task);

/* ---- Timers: one heap and one uv_timer a loop ------------------------------------------------ */

typedef struct lmi_timer lmi_timer;
struct lmi_timer {
    lmail_msec when;
    size_t at; /* place in the heap, from 1; 0: not in it */
    void (*fn)(lmi_timer *timer);
};

typedef struct lmi_heap {
    lmi_timer **slots; /* from 1 */
    size_t n, cap;
    size_t promised; /* timers that may be in it at once */
} lmi_heap;

/* Promise room for one more timer, so that set cannot fail. OK or ERR_NOMEM. */
lmail_status lmi_heap_promise(lmi_heap *h);
void lmi_heap_unpromise(lmi_heap *h);
void lmi_heap_set(lmi_heap *h, lmi_timer *t, lmail_msec when); /* LMAIL_NEVER takes it out */
lmi_timer *lmi_heap_first(const lmi_heap *h);                  /* NULL: empty */
void lmi_heap_done(lmi_heap *h);

void lmi_loop_timer_set(lmail_loop *loop, lmi_timer *t, lmail_msec when);

/* ---- Buffers --------------------------------------------------------------------------------- */

#define LMI_READ_SMALL (16u * 1024) /* a connection in its command phase */
#define LMI_READ_LARGE (256u * 1024)
#define LMI_RECORD_ROOM (20u * 1024) /* plaintext of a TLS record begun in an earlier read */

/* Octets of a read. A small buffer is what a slow question may pin; a large one carries bodies. */
typedef struct lmi_buf lmi_buf;
struct lmi_buf {
    lmi_buf *next;
    size_t cap, from, to;
    int large;
    char data[];
};

typedef struct lmi_buf_pool {
    lmi_buf *free[2];
    unsigned count[2];
} lmi_buf_pool;

lmi_buf *lmi_buf_get(lmi_buf_pool *p, int large); /* NULL: out of memory */
void lmi_buf_put(lmi_buf_pool *p, lmi_buf *b);    /* NULL is allowed */
lmi_buf *lmi_buf_shrink(lmi_buf_pool *p, lmi_buf *b);
void lmi_buf_pool_done(lmi_buf_pool *p);

/* ---- Loops ----------------------------------------------------------------------------------- */

struct lmail_loop {
    lmail_net *net;
    unsigned index;
    uv_loop_t own;
    uv_loop_t *uv; /* &own, or the embedder's */
    uv_async_t async;
    uv_prepare_t prepare;
    uv_idle_t idle;
    uv_timer_t timer;
    unsigned handles; /* of those four, open */

    pthread_mutex_t lock;
    lmi_task *posted, **posted_end; /* under lock */
    int closed;                     /* under lock */

    lmi_heap timers;
    lmail_msec armed; /* when the uv_timer fires */
    lmail_conn *ready, **ready_end;
    lmail_conn *conns;
    size_t conns_n;
    atomic_uint load; /* connections, those on their way here too */
    lmi_buf_pool bufs;
    char *record;    /* gathers small slices for one TLS record */
    unsigned shakes; /* handshake steps in this turn */

    int stopping, empty_told;
    lmi_timer stop_timer;
    lmi_task stop_task, empty_task, close_task, closed_task;
    pthread_t thread;
    int has_thread;
};

lmail_status lmi_loop_init(lmail_loop *loop, lmail_net *net, unsigned index, uv_loop_t *uv);
void lmi_loop_close(lmail_loop *loop); /* on its thread: no more posts; handles close */
void lmi_loop_done(lmail_loop *loop);
void lmi_loop_run_posts(lmail_loop *loop);
void lmi_loop_check_empty(lmail_loop *loop); /* stopping: tell loop 0 when no connection is left */
void lmi_loop_ready(lmail_conn *c);          /* pump it before the loop next waits */

/* ---- Pools ----------------------------------------------------------------------------------- */

/* No more submits; its threads finish the queue, then the pool counts down net's pools on loop
 * 0. */
void lmi_pool_end(lmail_pool *pool);
void lmi_pool_free(lmail_pool *pool);
lmail_pool *lmi_pool_next(const lmail_pool *pool);

/* A job whose memory is the caller's: cannot fail but for ERR_BUSY and ERR_CLOSED. */
typedef struct lmi_job lmi_job;
struct lmi_job {
    lmi_task task; /* first: carries the job home */
    lmi_job *next;
    lmail_pool *pool;
    lmail_loop *loop;
    lmail_call_fn *work, *done;
    void *arg;
    uint64_t key;
    int owned; /* the pool made it and frees it */
};
lmail_status lmi_pool_submit_job(lmail_pool *pool, lmi_job *job);

/* ---- Limits by address ----------------------------------------------------------------------- */

/* How many connections each key has. Not thread-safe: under the net's lock. */
typedef struct lmi_counts {
    struct {
        uint64_t key;
        uint32_t n;
    } * slots;
    size_t cap, used;
    uint64_t seed;
} lmi_counts;

lmail_status lmi_counts_take(lmi_counts *t, uint64_t key,
                             uint32_t max); /* OK, ERR_BUSY, ERR_NOMEM */
void lmi_counts_give(lmi_counts *t, uint64_t key);
void lmi_counts_done(lmi_counts *t);

/* ---- The net --------------------------------------------------------------------------------- */

struct lmail_net {
    unsigned loops_n;
    lmail_loop *loops;
    int embedded, started, stopping;
    unsigned empty_n, closed_n, pools_n; /* countdowns of stopping, on loop 0 */
    lmail_call_fn *stopped;
    void *stopped_arg;
    lmail_listener *listeners;
    lmail_pool *pools; /* under lock */
    lmail_pool *handshakes;
    struct lmi_signal *signals;
    lmi_task stop_task, room_task;
    int reserve; /* a descriptor to be given up when there is none left */

    pthread_mutex_t lock;
    lmi_counts counts;         /* under lock */
    unsigned max, max_per_key; /* under lock */
    unsigned total;            /* under lock */
    int full;                  /* under lock */
    struct {
        unsigned max, total;
    } groups[LMAIL_NET_GROUPS + 1]; /* under lock; number 0 has no limit */
    lmail_msec grace;               /* under lock */
    atomic_uint_fast64_t last_id;
    atomic_uint_fast64_t accepted, refused_address, refused_files, times_full, proxy_errors,
        handshook, tls13, resumed, handshake_errors, handshakes_lent, outgoing;
};

/* net_limits.c: a place for one more connection: OK, or ERR_BUSY when there is none now. */
lmail_status lmi_net_take(lmail_listener *l);
void lmi_net_give(lmail_listener *l);
/* Was that the last place of the net, the group or the listener? */
int lmi_net_full(lmail_listener *l);
/* Must its clients be refused now? */
int lmi_net_refuses(lmail_listener *l);
/* A place among those of its address: OK, ERR_BUSY, ERR_NOMEM. */
lmail_status lmi_net_take_key(lmail_net *net, uint64_t key);
void lmi_net_give_key(lmail_net *net, uint64_t key);
/* room_task: a place is free again. On loop 0. */
void lmi_net_room_again(lmi_task *task);
void lmi_net_pool_ended(lmail_net *net);
void lmi_net_ended(lmail_net *net);

/* ---- Listeners ------------------------------------------------------------------------------- */

/* The rules that a connection was accepted under, or is made under: immutable, counted. */
typedef struct lmi_setup {
    atomic_uint refs;
    lmail_tls *tls;
    int implicit_tls, proxy;
    lmi_networks proxy_from;
    char *refusal;
    size_t refusal_len;
    lmail_msec proxy_timeout, handshake_timeout, write_timeout, linger_timeout, rest_after;
    unsigned max_connections, max_rate;
    size_t write_least; /* octets to be taken in write_timeout */
    lmail_open_fn *on_open;
    lmail_closed_fn *on_closed;
    lmail_call_fn *on_released;
    lmail_refused_fn *on_refused;
    void *user;
    char *tls_name; /* of the server that we speak to; NULL: none */
    int tls_verify;
} lmi_setup;

lmi_setup *lmi_setup_hold(lmi_setup *setup);
void lmi_setup_release(lmi_setup *setup); /* NULL is allowed */
/* What is the same for connections both ways; zero is the default. */
void lmi_setup_times(lmi_setup *setup, lmail_msec handshake, lmail_msec write, uint32_t min_rate,
                     lmail_msec linger, lmail_msec rest);
/* Count a connection that gets no session, and tell the host. On that loop. */
void lmi_setup_refused(const lmi_setup *setup, lmail_loop *loop, lmail_refused why);

struct lmail_listener {
    lmail_listener *next;
    lmail_net *net;
    int fd;
    int is_unix, open; /* open: it has a socket */
    unsigned backlog, port;
    char *unlink_path;
    uv_poll_t poll;
    int has_poll, listening, waiting; /* waiting: no descriptors, or over max_rate, until the
                                       * timer */
    lmi_timer timer;
    lmi_task apply_task;
    atomic_int paused, closed;
    lmi_setup *setup; /* under the net's lock; NULL: it has ended */
    unsigned group;
    unsigned total;    /* its connections; under the net's lock */
    lmail_msec second; /* when the second began that `accepted` counts in; loop 0's */
    unsigned accepted;
};

lmail_status lmi_listener_bind(lmail_listener *l, const lmail_listener_config *config, char *error,
                               size_t cap);
void lmi_listener_start(lmail_listener *l); /* on loop 0 */
void lmi_listener_apply(lmail_listener *l); /* on loop 0: bring the socket to its wanted state */
void lmi_listener_free(lmail_listener *l);
void lmi_listener_accept(uv_poll_t *poll, int status, int events);

/* ---- Connections ----------------------------------------------------------------------------- */

#define LMI_KEEPALIVE 300u /* seconds: finds peers that vanished while a client waits in IDLE */

typedef enum lmi_conn_state {
    LMI_CONN_CONNECTING = 1, /* ours; not made yet */
    LMI_CONN_PROXY,          /* the PROXY header is awaited */
    LMI_CONN_SHAKING,        /* TLS handshake */
    LMI_CONN_OPEN,           /* the session is pumped */
    LMI_CONN_LINGER,         /* last output sent; the peer's end is awaited */
    LMI_CONN_CLOSING,        /* the handle closes */
    LMI_CONN_GONE            /* closed; a worker still holds tickets or the TLS filter */
} lmi_conn_state;

struct lmail_conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    union {
        uv_write_t write;
        uv_connect_t connect; /* CONNECTING: nothing is written yet */
    };
    lmail_loop *loop;
    lmail_conn *prev, *next, *ready_next;
    lmail_listener *from; /* whose places it takes; NULL: we have made it */
    lmi_setup *setup;
    lmail_session *session;
    lmi_tls *tls;
    lmail_tls *own_tls; /* in place of the listener's; NULL: none */
    void *user;
    lmi_timer timer;
    lmail_msec phase_due;    /* PROXY, SHAKING, LINGER: until then */
    lmail_msec write_due;    /* while writing */
    lmail_msec active;       /* last octet in or out */
    size_t writing;          /* octets of the write that is under way; 0: none */
    size_t write_left;       /* octets that the peer had not taken when write_due was set */
    lmi_buf *cur, *extra;    /* plaintext not fed yet, in this order */
    struct lmi_shake *shake; /* the TLS filter's handshake on a worker */
    char *text;              /* the facts' strings */
    uint64_t octets_in, octets_out;
    uint64_t key;
    size_t lingered;
    lmail_conn_facts facts;
    uint8_t state;  /* lmi_conn_state; written in net_conn.c alone */
    uint8_t reason; /* lmail_close_reason; the first one stays */
    uint8_t reading, large, is_unix;
    uint8_t counted; /* the net counts it under its key */
    uint8_t lent;    /* the TLS filter is at a worker */
    uint8_t eof, eof_told;
    uint8_t pumping, in_ready, rested, secured, farewell;
    lmi_task task; /* brings the accepted socket to its loop */
    int fd;
    int error;         /* of libuv, why it ended; 0: none */
    const char *fault; /* in place of it; static */
};

/* net_conn.c */
lmail_conn *lmi_conn_new(lmail_net *net, lmail_listener *from, lmi_setup *setup, int fd);
lmail_status lmi_conn_join(lmail_conn *c);               /* on its loop: OK, ERR_NOMEM */
void lmi_conn_send_off(lmail_conn *c, lmail_loop *loop); /* from loop 0 to the loop that owns it */
void lmi_conn_drop(lmail_conn *c);                       /* never sent off, or never joined */
void lmi_conn_state_set(lmail_conn *c, lmi_conn_state state);
void lmi_conn_abort(lmail_conn *c, lmail_close_reason reason);
void lmi_conn_finish(lmail_conn *c);      /* free it if nothing holds it any more */
void lmi_conn_linger(lmail_conn *c);      /* all is sent: half-close and await the peer's end */
void lmi_conn_stop(lmail_conn *c);        /* the net stops */
void lmi_conn_arm(lmail_conn *c);         /* the timer, by what is due */
void lmi_conn_watch_write(lmail_conn *c); /* a write waits for the peer from now on */
void lmi_conn_begin(lmail_conn *c);       /* its addresses are known: make the session */
/* net_facts.c */
lmail_status lmi_conn_addresses(lmail_conn *c);                       /* OK, ERR_NOMEM */
lmail_status lmi_conn_target(lmail_conn *c, const lmi_address *to);   /* OK, ERR_NOMEM */
lmail_status lmi_conn_proxied(lmail_conn *c, const lmi_proxy *proxy); /* OK, ERR_NOMEM */
void lmi_conn_proxy_input(lmail_conn *c, lmi_buf *b);
/* net_pump.c */
void lmi_conn_pump(lmail_conn *c);
void lmi_conn_read(lmail_conn *c, int on);
void lmi_conn_take_plain(lmail_conn *c, lmi_buf *b); /* queue it behind cur */
void lmi_conn_flush_tls(lmail_conn *c);              /* ciphertext that waits */
/* net_shake.c */
void lmi_conn_shake_begin(lmail_conn *c);
void lmi_conn_shake_failed(lmail_conn *c); /* count it */
void lmi_conn_shake_input(lmail_conn *c, lmi_buf *b);
void lmi_conn_decrypt(lmail_conn *c, lmi_buf *b); /* ciphertext in, plaintext queued */

lmail_msec lmi_min(lmail_msec a, lmail_msec b);

#endif
