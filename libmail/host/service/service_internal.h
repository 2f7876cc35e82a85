/* service_internal.h - how sessions meet accounts, store and delivery.
 *
 *     service_core.c      the service: net, pools, store, signals, stop
 *     service_door.c      one listener under one set of rules; the sockets
 *     service_reload.c    a new reading of the configuration while it runs
 *     service_rules.c     one immutable reading of the configuration: certificates, auth, setups
 *     service_config.c    configuration files from disk
 *     service_queue.c     the queue's opening
 *     service_dns.c       the resolver of each loop
 *     service_peer.c      what a connection has whatever it speaks: account, jobs on workers
 *     service_auth.c      logging in, once for the three protocols
 *     service_secure.c    which connections need no TLS
 *     service_crowd.c     how many connections a user has from one address
 *     service_location.c  where an account's mail lies
 *     service_metrics.c   what is counted
 *     service_watch.c     who wants to hear of changes to which account
 *     service_keep.c      a message's octets that wait in memory
 *     service_lent.c      octets that a session was answered and has not released
 *     service_limits.c    load, space on the disk   service_rates.c    connections of each client
 *     service_runner*.c   sends what is in the queue
 *     service_milter*.c   asks mail filters      service_letter*.c   messages that they change
 *     service_pickup*.c   takes what programs of this machine left
 *     service_smtp*.c service_imap*.c service_pop3*.c     the handlers of one protocol each
 *
 * A protocol is a row of functions, lmi_protocol. Its state of a connection begins with a lmi_peer.
 * Questions that block become jobs: work() runs on a worker and touches the job and the store
 * handles alone; finish() runs on the loop and answers the session. A peer's jobs run one at a
 * time, in order, since its store handles bear one call at a time. */
#ifndef LMI_SERVICE_INTERNAL_H
#define LMI_SERVICE_INTERNAL_H

#include <libmail/host/dns.h>
#include <libmail/host/env.h>
#include <libmail/host/metrics.h>
#include <libmail/host/net.h>
#include <libmail/host/queue.h>
#include <libmail/host/service.h>
#include <libmail/session.h>
#include <pthread.h>
#include <stdatomic.h>

typedef struct lmi_rules lmi_rules;
typedef struct lmi_door lmi_door;
typedef struct lmi_peer lmi_peer;
typedef struct lmi_job lmi_job;
typedef struct lmi_watch lmi_watch;
typedef struct lmi_protocol lmi_protocol;

/* ---- Rules ----------------------------------------------------------------------------------- */

enum { LMI_AUTH_SMTP, LMI_AUTH_IMAP, LMI_AUTH_POP3, LMI_AUTH_COUNT };

/* A socket that a configuration wants. */
typedef struct lmi_socket {
    lmail_service_socket at;
    const lmail_listener_settings *listener;
} lmi_socket;

/* One reading of the configuration. Immutable, counted; doors hold it, and peers hold doors. */
struct lmi_rules {
    atomic_uint refs;
    lmail_service *service;
    lmail_config *config;
    const lmail_settings *settings;
    const lmail_policy *policy;
    const lmail_policy_tables *tables;    /* NULL: mail goes where its addresses lead */
    const lmail_policy_tables *rewriting; /* the same ones, for addresses as others see them */
    char hostname[256];
    lmail_accounts *accounts;
    unsigned owns_accounts;
    lmail_auth *auth[LMI_AUTH_COUNT];
    struct lmi_secure *secure;      /* service_secure.c */
    lmail_tls *tls[LMI_AUTH_COUNT]; /* one for each ALPN name */
    lmail_tls *tls_unasked;  /* as SMTP's, without a client certificate; NULL: none is asked for */
    lmail_str trusted_users; /* the file's octets; empty: none */
    struct lmi_milter
        *milters;        /* one for each of settings->milters; NULL: none (service_milter.h) */
    lmi_socket *sockets; /* of this service's protocols */
    size_t socket_count;
};

#define LMI_MAX_PATH 480u /* octets of a path in the configuration */

/* Returns OK, or fills error. Takes the configuration over when OK. Any thread; it changes nothing
 * of the service. */
lmail_status lmi_rules_new(lmi_rules **out, lmail_service *service, lmail_config *config,
                           char *error, size_t cap);
lmi_rules *lmi_rules_hold(lmi_rules *r);
void lmi_rules_release(lmi_rules *r);
/* How users of a protocol log in, its own settings before those of section auth. */
typedef struct lmi_login_settings {
    const lmail_str_list *mechanisms, *secure_networks;
    unsigned allow_cleartext, require_tls, local_is_secure;
    uint64_t max_user_connections;
} lmi_login_settings;
lmi_login_settings lmi_login_of(const lmail_settings *s, unsigned auth); /* LMI_AUTH_* */

/* Is mail for this domain delivered here? Address literals are not. */
int lmi_rules_local_domain(const lmi_rules *r, lmail_str domain);

/* A file of the administrator's, wherever such come from; given back with lmi_file_free. Returns OK,
 * or fills error. */
lmail_status lmi_rules_file(const lmi_rules *r, const char *what, lmail_str name, lmail_str *out,
                            char *error, size_t cap);
/* Read policy.trusted_users. Returns OK, or fills error. */
lmail_status lmi_submit_rules(lmi_rules *r, char *error, size_t cap);

/* ---- Doors: one listener under one set of rules ---------------------------------------------- */

/* Counted: by its listener and by every peer that came through it. */
struct lmi_door {
    atomic_uint refs;
    lmail_service *service;
    lmi_rules *rules;
    const lmail_listener_settings *settings;
    const lmi_protocol *protocol;
    void *setup; /* the session type's immutable setup */
};

/* l is one of the rules' own. Returns OK, or fills error. */
lmail_status lmi_door_new(lmi_door **out, lmi_rules *rules, const lmail_listener_settings *l,
                          char *error, size_t cap);
lmi_door *lmi_door_hold(lmi_door *door);
void lmi_door_release(lmi_door *door);
/* The net's view of a door. *networks is what c->proxy_from points to, to be freed after c was
 * used. OK or ERR_NOMEM. */
lmail_status lmi_door_listener(lmail_listener_config *c, const lmi_door *door, char **networks);
/* A list as one text, spaces between; malloc'ed. NULL: no memory. */
char *lmi_list_text(const lmail_str_list *list);
const lmi_protocol *lmi_protocol_of(const lmail_listener_settings *l);
/* Fill rules->sockets. Asks the resolver for names. Returns OK, or fills error. */
lmail_status lmi_sockets_list(lmi_rules *rules, char *error, size_t cap);
/* The socket that is wanted there, that of this listener if there are several (of port 0); or
 * NULL. */
const lmi_socket *lmi_socket_at(const lmi_rules *rules, const char *where, lmail_str listener);
/* Open every socket of the rules that is this service's and is not open yet; all or none. On the
 * thread that runs, or before it runs. */
lmail_status lmi_doors_open(lmail_service *s, lmi_rules *rules, char *error, size_t cap);
/* Close those that these rules do not want; their connections go on. The same thread. */
void lmi_doors_close_gone(lmail_service *s, const lmi_rules *rules);
void lmi_doors_forget(lmail_service *s); /* at the end */

struct lmi_protocol {
    const char *name;
    unsigned service_bit; /* LMAIL_SERVICE_* */
    unsigned auth;        /* LMI_AUTH_* */
    const char *refusal;  /* a whole line for whom the per-address limit turns away, or NULL */
    size_t peer_size;     /* of the struct that begins with lmi_peer */
    lmail_status (*setup_new)(const lmi_door *door, void **setup);
    void (*setup_free)(void *setup);
    /* Make the session; the peer is zeroed but for its lmi_peer. NULL: close the connection. */
    lmail_session *(*open)(lmi_peer *peer, lmail_msec now);
    /* The connection is over: let others have what needs no disk. NULL: nothing. */
    void (*closed)(lmi_peer *peer);
    /* Does the peer hold what the store lent, beside its account? NULL: never. */
    int (*holds)(const lmi_peer *peer);
    /* On a worker, when no job runs any more: close all that holds() asks for. NULL: nothing. */
    void (*shut)(lmi_peer *peer);
    /* The very end: free what the struct points to. NULL: nothing. */
    void (*destroy)(lmi_peer *peer);
    /* The account's counter moved (service_watch.c). NULL: never watches. */
    void (*changed)(lmi_peer *peer);
    lmail_status (*answer_auth)(lmi_peer *peer, lmail_ticket t, const lmail_auth_answer *a);
};

extern const lmi_protocol lmi_smtp_protocol, lmi_imap_protocol, lmi_pop3_protocol;

/* ---- Peers and jobs -------------------------------------------------------------------------- */

struct lmi_job {
    lmi_job *next;
    lmi_peer *peer;
    lmail_ticket ticket;
    /* What work came to; ERR_NOMEM until it has run: no worker was to be had. */
    lmail_status status;
    uint64_t began;               /* when it was submitted, lmi_clock */
    int (*now)(lmi_job *job);     /* NULL, or on the loop: 1 when that has done the work */
    void (*work)(lmi_job *job);   /* on a worker */
    void (*finish)(lmi_job *job); /* on the loop; answers, then frees what the job owns */
};

struct lmi_peer {
    lmi_door *door;
    lmail_conn *conn;
    lmail_loop *loop;
    lmail_session *session;    /* NULL once it is being freed */
    unsigned over;             /* it is freed */
    lmi_job *jobs, *jobs_tail; /* the first one runs */
    unsigned refused;          /* the first one found no worker: it ends as it began */
    lmi_peer *later_next;      /* among those of lmi_loop_state.later */
    unsigned in_later;
    uint64_t id; /* of the connection, for the log */

    /* Counting (service_metrics.c). */
    lmail_metrics_set *counts;        /* the loop's */
    uint64_t asked;                   /* when the running command began; 0: none */
    uint64_t counted_in, counted_out; /* octets that are counted */

    /* Logging in (service_auth.c). */
    lmail_auth_exchange *exchange;
    unsigned stepping;      /* a worker has the exchange */
    unsigned answering;     /* the session is being told what it came to */
    unsigned exchange_over; /* the session dropped it meanwhile */
    unsigned auth_cancelled;
    lmail_timer *delayed; /* a failure waits for its time */
    unsigned secure;      /* TLS, or a path that is as good */

    /* After login. */
    char *identity;                  /* terminated, malloc'ed */
    struct lmi_crowd_entry *counted; /* among its user's connections from this address */
    lmail_store_account *account;

    /* Watching (service_watch.c). */
    lmi_peer *watch_next, **watch_at;
    unsigned slot;
    uint32_t seen; /* the slot's counter when the account was last read; the loop's */
};

/* Queue a job on the store pool; the peer's jobs run in order. The job is freed with free() after
 * finish. When there is no worker to be had, a job that answers a ticket is finished from the loop
 * with its work not done and its status telling so. A job without a ticket has something to give
 * back: it is then done on the loop. Returns PENDING, for the callback that asked. */
lmail_status lmi_peer_submit(lmi_peer *peer, lmi_job *job);
/* malloc a zeroed job; NULL when there is no memory. */
void *lmi_job_new(size_t size, lmi_peer *peer, lmail_ticket t, void (*work)(lmi_job *),
                  void (*finish)(lmi_job *));
lmail_msec lmi_peer_now(const lmi_peer *peer);
const lmail_store *lmi_peer_store(const lmi_peer *peer);
/* Open the store account of peer->identity; on a worker. OK or the store's error. */
lmail_status lmi_peer_open_account(lmi_peer *peer);
/* A log line with the connection's facts in front (conn=, peer=). */
void lmi_peer_log(const lmi_peer *peer, lmail_log_line *line, lmail_log_level level,
                  const char *event);

/* What stands ready on each loop. */
typedef struct lmi_loop_state {
    lmail_loop *loop;
    lmi_peer *later; /* peers to look after when the loop comes round */
    lmail_timer *timer;
    void *scratch;
    size_t scratch_size;
    lmail_dns *dns, *dns_before; /* service_dns.c */
    lmail_timer *dns_timer;
} lmi_loop_state;

lmi_loop_state *lmi_loop_of(const lmi_peer *peer);

lmail_status lmi_loops_new(lmail_service *service);
/* The loops run no more: end the peers that are left, and give back what was ready. Before the net
 * is freed. */
void lmi_loops_free(lmail_service *service);

/* Memory of the peer's loop for an answer that is read before a callback returns: never kept, never
 * given back, grown when needed. NULL: no memory. */
void *lmi_scratch(const lmi_peer *peer, size_t size);

/* The net's callbacks for every door. */
lmail_session *lmi_peer_open(void *door, lmail_conn *conn, const lmail_conn_facts *facts,
                             lmail_msec now);
void lmi_peer_closed(void *door, lmail_conn *conn, lmail_session *session,
                     lmail_close_reason reason);

/* ---- Logging in ------------------------------------------------------------------------------ */

/* The bodies of the session handlers' auth callbacks. tls: the session's facts or NULL. */
lmail_str lmi_auth_mechanisms(lmi_peer *peer, const lmail_tls_facts *tls);
lmail_status lmi_auth_step(lmi_peer *peer, lmail_ticket t, const lmail_auth_event *ev,
                           const lmail_tls_facts *tls, lmail_auth_answer *answer);
void lmi_auth_end(lmi_peer *peer, lmail_auth_end how);
/* Nobody waits for the answer any more: on_cancel of a login. */
void lmi_auth_cancel(lmi_peer *peer);
/* USER/PASS and LOGIN. Always answers later. */
lmail_status lmi_auth_password(lmi_peer *peer, lmail_ticket t, lmail_str user, lmail_str password,
                               const lmail_tls_facts *tls, lmail_auth_answer *answer);
/* APOP; timestamp with its brackets. */
lmail_status lmi_auth_apop(lmi_peer *peer, lmail_ticket t, lmail_str user, lmail_str timestamp,
                           const unsigned char digest[16], const lmail_tls_facts *tls,
                           lmail_auth_answer *answer);
/* May passwords cross this connection in clear? */
int lmi_auth_cleartext(lmi_peer *peer, const lmail_tls_facts *tls);

/* ---- Watching -------------------------------------------------------------------------------- */

/* raises: the store does not know the notice, as one of the host's own does not: lmi_watch_tell
 * raises for it. */
lmail_status lmi_watch_new(lmi_watch **out, lmail_net *net, lmail_notice *notice, int raises);
/* Before lmi_watch_start: look at the store's watched mailboxes for what other programs do there, on
 * the pool. Does nothing where none writes. */
lmail_status lmi_watch_foreign(lmi_watch *w, const lmail_store *store, lmail_pool *pool);
/* After the net was made, on loop 0, before it runs: hear other processes. */
lmail_status lmi_watch_start(lmi_watch *w);
void lmi_watch_stop(lmi_watch *w); /* on loop 0, when the net begins to stop */
/* In two steps, with the net freed between them: calls that it still makes find the table. */
void lmi_watch_end(lmi_watch *w);
void lmi_watch_free(lmi_watch *w);
/* The peer wants protocol->changed for its account. On its loop. Twice does no harm. */
void lmi_watch_add(lmi_watch *w, lmi_peer *peer);
void lmi_watch_remove(lmi_peer *peer);
/* An account was changed by this process: tell its peers. On any loop. */
void lmi_watch_tell(lmi_watch *w, unsigned slot);
uint32_t lmi_watch_value(const lmi_watch *w, unsigned slot);

/* ---- The service ----------------------------------------------------------------------------- */

/* A socket that listens. */
typedef struct lmi_open {
    lmail_listener *listener;
    char *name;        /* of the listener in the configuration; malloc'ed */
    char *where;       /* lmail_service_socket.where; malloc'ed */
    unsigned refusing; /* closed while the load is high (service_limits.c) */
} lmi_open;

struct lmail_service {
    lmail_net *net;
    lmail_pool *store_pool, *password_pool;
    lmail_notice *notice;
    const lmail_store *store;
    lmail_store *own_store;
    lmail_queue *queue;        /* of a service that speaks SMTP; else NULL */
    struct lmi_runner *runner; /* service_runner.h; NULL: this one sends nothing */
    struct lmi_pickup *pickup; /* service_pickup.h; NULL: nothing is picked up */
    lmail_env env;
    lmi_watch *watch;
    struct lmi_locks *locks;     /* service_lock.h */
    struct lmi_crowd *crowd;     /* service_crowd.h */
    struct lmi_limits *limits;   /* service_limits.h */
    struct lmi_metrics *metrics; /* service_metrics.h */
    lmail_log *log;
    lmail_accounts *given_accounts;
    lmail_auth_token_fn *on_token;
    void *user;
    void (*on_reload)(void *host, lmail_status status, const char *error);
    void (*on_reload_begins)(void *host);
    void *host;
    lmail_files files;
    int (*on_socket)(void *host, const char *where);
    unsigned protocols;
    lmi_rules *rules;       /* for new connections */
    lmi_rules *first_rules; /* what a restart alone would change */
    lmail_config *first_config;
    lmi_open *opened; /* the sockets that listen. Loop 0's */
    size_t opened_count;
    char *reload_path;
    struct lmi_reading *reading; /* a signal's, on its thread; NULL: none. Loop 0's */
    unsigned read_again;         /* one more is asked for. Loop 0's */
    unsigned stopping;
    pthread_mutex_t name_lock;
    char machine_name[256]; /* host name where none is configured; empty: not asked for yet;
                             * under name_lock */
    lmi_loop_state *loops;  /* one a loop */
    lmail_timer *tidy;      /* on loop 0: what accounts remember is wiped in time */
    atomic_uint_fast64_t last_queue_id;
};

/* A service that speaks SMTP has a queue. Returns OK, or fills error. */
lmail_status lmi_service_open_queue(lmail_service *s, char *error, size_t cap);

/* The machine's name, empty when nobody has asked for it yet; and what was found. Any thread. */
void lmi_name_known(lmail_service *s, char out[256]);
void lmi_name_learned(lmail_service *s, const char name[256]);

/* No loop runs any more: wait for a reading, not for one that hangs. Returns 1 when its thread has
 * become the service's owner and calls lmi_service_forget. */
int lmi_reload_end(lmail_service *s);
/* The last step of lmail_service_free. */
void lmi_service_forget(lmail_service *s);

/* A signal asks for it; on loop 0. arg: the service. */
void lmi_reload_asked(void *arg);

#endif
