/* delivery_internal.h - what the files of the delivery room share.
 *
 *     delivery_machine.c    the steps of an attempt and the public calls on it
 *     delivery_answer.c     what an answer changes
 *     delivery_transaction.c  what a transaction comes to, recipient by recipient
 *     delivery_hosts.c      which hosts and addresses, in which order
 *     delivery_result.c     words kept for later, results
 *     delivery_word.c       texts and codes (RFC 3463) for what happens
 *     delivery_route.c      a route's text as hosts
 *     delivery_setup.c      setup, job
 *     delivery_schedule.c   when to try again
 *     delivery_dispatch.c   whose turn it is
 *     delivery_status.c     hosts that are down
 *     delivery_table.c      the hash table under the last two */
#ifndef LMI_DELIVERY_INTERNAL_H
#define LMI_DELIVERY_INTERNAL_H

#include "base/base_internal.h"

#include <libmail/delivery.h>
#include <libmail/delivery_schedule.h>

#define LMI_DELIVERY_TEXT 512        /* octets of a reply that are kept */
#define LMI_DELIVERY_MAX_LIST 64     /* MX hosts, addresses of an answer that are looked at */
#define LMI_DELIVERY_MAX_HOSTS 16    /* of a job */
#define LMI_DELIVERY_ADDRESS_TEXT 48 /* "2001:db8::192.0.2.1", terminated */
#define LMI_DELIVERY_CODE 12         /* "5.999.999", terminated */

struct lmail_delivery_setup {
    lmail_delivery_config config;
    lmail_delivery_handler handler;
    lmail_alloc alloc;
    lmi_arena arena;
};

/* A word that was kept for recipients that stay open. Shared and counted; host, address and text
 * lie behind it. */
typedef struct lmi_kept {
    size_t size, refs;
    lmail_delivery_word word;
    lmail_str host, address;
    lmail_msec when;
    unsigned hard; /* final, if all that is kept is */
    char enhanced[LMI_DELIVERY_CODE];
} lmi_kept;

/* What the transaction under way has said of a recipient. */
typedef enum lmi_heard { LMI_UNHEARD = 0, LMI_ACCEPTED, LMI_AGAIN, LMI_SETTLED } lmi_heard;

typedef struct lmi_recipient {
    lmail_str address;
    lmi_kept *kept;
    unsigned ended; /* it has its result */
    unsigned visit; /* the last server that had its say */
    unsigned in;    /* of the transaction under way */
    lmi_heard heard;
} lmi_recipient;

typedef struct lmi_mx {
    lmail_str name;
    uint32_t preference;
    uint32_t lot; /* random: orders equal preferences */
} lmi_mx;

typedef enum lmi_delivery_step {
    LMI_STEP_NEW = 0,
    LMI_STEP_REUSE,
    LMI_STEP_HOST, /* the next of the job's */
    LMI_STEP_MX,
    LMI_STEP_ADDRESSES,
    LMI_STEP_CONNECT, /* to addresses[address_at] */
    LMI_STEP_TRANSACTION,
    LMI_STEP_END
} lmi_delivery_step;

struct lmail_delivery {
    const lmail_delivery_setup *setup;
    void *user;
    lmail_delivery_job job; /* copied */
    lmi_arena arena;
    lmail_msec begun, now;
    lmi_delivery_step step;
    lmail_ticket ticket, last_ticket; /* ticket 0: no question is open */
    unsigned in_callback, in_call, free_asked;
    size_t questions;

    lmi_recipient *recipients;
    size_t *batch; /* the transaction's; room for all */
    size_t batch_count, open;
    lmail_delivery_end_event sum;

    size_t host_at;                  /* of job.hosts */
    const lmail_delivery_host *host; /* being tried */
    char name[256];                  /* its name, without brackets */
    lmi_arena mx_arena;              /* names of one answer */
    lmi_mx mx[LMI_DELIVERY_MAX_LIST];
    size_t mx_count, mx_at;
    unsigned implicit; /* the name itself stands in mx[0] */

    lmail_delivery_address addresses[LMI_DELIVERY_MAX_LIST];
    size_t address_count, address_at;
    lmail_delivery_endpoint tried[LMI_DELIVERY_MAX_LIST]; /* in this attempt */
    size_t tried_count;
    size_t looked, connects, sessions; /* against the limits */

    unsigned plain;      /* this address once more, without TLS */
    unsigned again;      /* this address once more: it closed between two transactions */
    unsigned visit;      /* number of the server */
    uint64_t connection; /* 0: none */
    unsigned reused;     /* it was open before, and has not yet been good for anything */
    size_t chunk;        /* recipients a transaction, as learnt */
    char address_text[LMI_DELIVERY_ADDRESS_TEXT];
    lmail_str address, server; /* who speaks: for results. server: a name in mx_arena or the job */
    char server_room[256];
    lmail_policy_peer peer; /* with slices in peer_room */
    lmi_arena peer_room;
    lmail_policy_credentials *credentials; /* while a connection is asked for */
    lmail_delivery_connect_event wanted;
    unsigned met, alive, busy, lookup_failed;
};

/* ---- delivery_word.c ------------------------------------------------------------------------- */

/* Its text, or ours for the fault, cleaned, into room[LMI_DELIVERY_TEXT]. */
lmail_str lmi_word_text(const lmail_delivery_word *w, char *room);
/* A word of our own. code 0: none. */
lmail_delivery_word lmi_word(lmail_delivery_fault fault, lmail_delivery_phase phase, unsigned code,
                             const char *enhanced, const char *text);

/* ---- delivery_result.c ----------------------------------------------------------------------- */

void lmi_kept_drop(const lmail_delivery *d, lmi_kept *k);
/* Keep a word for one recipient, or for all that are open and not yet visited by this server.
 * hard: final unless something else gives hope. OK or ERR_NOMEM. */
lmail_status lmi_delivery_keep(lmail_delivery *d, lmi_recipient *r, const lmail_delivery_word *w,
                               unsigned hard);
lmail_status lmi_delivery_keep_all(lmail_delivery *d, const lmail_delivery_word *w, unsigned hard);
/* Its result, now. */
void lmi_settle(lmail_delivery *d, lmi_recipient *r, lmail_delivery_state state,
                const lmail_delivery_word *w, unsigned dsn, unsigned doubtful);
/* All that are open get what was kept for them; on_end. */
void lmi_finish(lmail_delivery *d);
/* The same with one word for those. */
void lmi_finish_with(lmail_delivery *d, const lmail_delivery_word *w);

/* ---- delivery_hosts.c ------------------------------------------------------------------------ */

/* "192.0.2.7", "2001:db8::7", with or without "IPv6:" in front, no brackets. 1: it is one. */
int lmi_address_read(lmail_str text, lmail_delivery_address *out);
/* RFC 5952. Terminated; its length. */
size_t lmi_address_show(const lmail_delivery_address *a, char out[LMI_DELIVERY_ADDRESS_TEXT]);
int lmi_is_own_name(const lmail_delivery *d, lmail_str name);
unsigned lmi_host_port(const lmail_delivery *d);
/* All set d->step. OK or ERR_NOMEM. The job's next host: its name, and what can be known of it
 * without a question; then what an answer means for the hosts. */
lmail_status lmi_host_begin(lmail_delivery *d);
lmail_status lmi_hosts_mx(lmail_delivery *d, const lmail_delivery_mx *a);
lmail_status lmi_hosts_addresses(lmail_delivery *d, const lmail_delivery_addresses *a);
/* mx[mx_at] is this machine: it and all behind it are left out. */
lmail_status lmi_hosts_own(lmail_delivery *d);

/* ---- delivery_answer.c, delivery_transaction.c ------------------------------------------------- */

lmail_status lmi_on_reuse_answer(lmail_delivery *d, const lmail_delivery_connection *a);
lmail_status lmi_on_connect_answer(lmail_delivery *d, const lmail_delivery_connection *a);
lmail_status lmi_on_told(lmail_delivery *d, lmi_recipient *r, const lmail_delivery_word *w);
lmail_status lmi_on_transaction_answer(lmail_delivery *d, const lmail_delivery_transaction *a);
/* Fill d->batch with whom this server has not had: OK, ERR_NOMEM. */
lmail_status lmi_batch_fill(lmail_delivery *d);
void lmi_release(lmail_delivery *d, unsigned keep);
/* This server has had its say. */
void lmi_next_server(lmail_delivery *d);
/* The word is about the server itself: code 421, or a refusal to talk now. */
int lmi_is_busy(const lmail_delivery_word *w);
void lmi_credentials_drop(lmail_delivery *d);
/* Questions to config.policy about d->peer. ask: 1 when it denies, *word filled from *v. */
typedef lmail_status lmi_policy_fn(const lmail_policy *, const lmail_policy_question *,
                                   lmail_policy_verdict *);
int lmi_denied(const lmail_delivery *d, lmi_policy_fn *ask, lmail_str recipient,
               lmail_policy_verdict *v, lmail_delivery_word *word);

/* ---- delivery_table.c ------------------------------------------------------------------------ */

/* A hash table of entries that carry a node, with a list by last use. The seed keeps peers, who
 * choose names, from choosing collisions. */
typedef struct lmi_node {
    struct lmi_node *next; /* in the bucket */
    struct lmi_node *newer, *older;
    uint64_t hash;
    const char *key;
    size_t key_len;
} lmi_node;

typedef struct lmi_table {
    lmail_alloc alloc;
    lmi_node **buckets;
    size_t bucket_count, count;
    lmi_node *newest, *oldest;
    uint64_t seed;
    uint64_t state; /* of the spread's generator */
} lmi_table;

lmail_status lmi_table_init(lmi_table *t, const lmail_alloc *alloc, const lmail_env *env,
                            size_t max);
void lmi_table_done(lmi_table *t); /* the buckets; entries are the caller's */
lmi_node *lmi_table_find(const lmi_table *t, lmail_str key);
void lmi_table_add(lmi_table *t, lmi_node *n, lmail_str key); /* key stays where it is */
void lmi_table_remove(lmi_table *t, lmi_node *n);
void lmi_table_touch(lmi_table *t, lmi_node *n);
/* Random enough to spread waits: `wait` less up to an eighth. */
lmail_msec lmi_table_spread(lmi_table *t, lmail_msec wait);

/* first doubled `failures` - 1 times, at most most. */
lmail_msec lmi_back_off(lmail_msec first, lmail_msec most, unsigned failures);

#endif
