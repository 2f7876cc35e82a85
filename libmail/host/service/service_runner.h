/* service_runner.h - what sends the mail that waits in the queue.
 *
 *     service_runner.c         life, who is due, whose turn it is
 *     service_runner_ways.c    how mail goes out under one reading of the configuration
 *     service_runner_turn.c    one turn: rows of a destination, message by message
 *     service_runner_ask.c     what the delivery machine asks: names, addresses, connections
 *     service_runner_out.c     connections that we made
 *     service_runner_talk.c    the SMTP session on one
 *     service_runner_login.c   our login there
 *     service_runner_octets.c  octets of the message
 *     service_runner_name.c    the name of the address that we come from
 *     service_runner_copy.c    the message as one server gets it, where it is another
 *     service_runner_word.c    what was said there, in the delivery machine's words
 *     service_runner_local.c   mailboxes here
 *     service_runner_age.c     delays and returns, ends that are to be told
 *     service_runner_report.c  the reports themselves
 *     service_runner_wait.c    clients that wait for first attempts
 *
 * All of it runs on loop 0; what reads or writes the queue is a job of the runner's own pool. The
 * machines call back while they are at work, and may not be called then: what follows from such a
 * call is done a little later, from the loop (lmi_later). */
#ifndef LMI_SERVICE_RUNNER_H
#define LMI_SERVICE_RUNNER_H

#include "host/service/service_internal.h"

#include <libmail/delivery.h>
#include <libmail/delivery_schedule.h>
#include <libmail/dsn.h>
#include <libmail/host/auth_client.h>
#include <libmail/smtp_client.h>

#define LMI_IDLE 2000u /* milliseconds that a connection is kept for further mail */
#define LMI_WORD_TEXT 512u
#define LMI_WAIT_ROWS 251u

typedef struct lmi_runner lmi_runner;
typedef struct lmi_turn lmi_turn;
typedef struct lmi_sending lmi_sending;
typedef struct lmi_out lmi_out;
typedef struct lmi_copy lmi_copy;
typedef struct lmi_wait lmi_wait;

/* Something to do when the loop comes round; once, however often it is asked for. */
typedef struct lmi_later {
    struct lmi_later *next;
    void (*fn)(void *arg);
    void *arg;
    unsigned asked;
} lmi_later;
void lmi_runner_later(lmi_runner *r, lmi_later *l);
void lmi_runner_not_later(lmi_runner *r, lmi_later *l);

/* ---- How mail goes out ----------------------------------------------------------------------- */

/* One reading of the configuration; counted, on loop 0. */
typedef struct lmi_ways {
    unsigned refs;
    lmi_rules *rules;
    lmail_delivery_setup *delivery;
    lmail_smtp_client_setup *client;
    lmail_tls *tls, *old_tls; /* old: for a second attempt, TLS 1.2 alone; NULL: not allowed */
    lmail_schedule schedule;
} lmi_ways;

/* Reads files. Returns OK, or fills error. */
lmail_status lmi_ways_new(lmi_ways **out, lmi_rules *rules, char *error, size_t cap);
lmi_ways *lmi_ways_hold(lmi_ways *w);
void lmi_ways_release(lmi_ways *w);
lmail_delivery_tls lmi_ways_tls(const lmi_ways *w);

/* The handlers of the two machines: service_runner_ask.c, service_runner_talk.c. */
extern const lmail_delivery_handler lmi_delivery_handler;
extern const lmail_smtp_client_handler lmi_client_handler;

/* ---- The runner ------------------------------------------------------------------------------ */

/* What was heard of a destination with work. */
typedef struct lmi_offer {
    struct lmi_offer *next;
    int priority;
    char name[];
} lmi_offer;

struct lmi_runner {
    lmail_service *service;
    lmail_loop *loop;
    lmail_pool *pool;
    lmail_queue *queue;
    lmi_ways *ways;
    lmail_dispatch *dispatch;
    lmail_delivery_status *status;
    lmail_timer *clock, *later_timer;
    lmi_later *later, **later_end;
    lmi_turn *turns;
    lmi_out *outs;
    uint64_t last_out;
    size_t messages; /* claimed now */
    unsigned looking, look_again, look_all, stopping;
    unsigned paused;       /* a reload has set queue.max_deliveries to 0 */
    struct lmi_look *look; /* the one there is */

    pthread_mutex_t lock; /* of what other threads hand in */
    lmi_offer *heard;
    unsigned posted, heard_all;
    unsigned waits_on; /* this process sends: waiting makes sense */
    lmi_wait *waits[LMI_WAIT_ROWS];
};

/* Milliseconds since 1970. */
int64_t lmi_runner_clock(const lmi_runner *r);
uint32_t lmi_runner_random(const lmi_runner *r);
/* Whose turn is it? */
void lmi_runner_pump(lmi_runner *r);
/* A job of the pool: done is called in any case; at once, with the work done here, when there is no
 * worker to be had. */
void lmi_runner_job(lmi_runner *r, lmail_call_fn *work, lmail_call_fn *done, void *arg);

/* ---- Turns ----------------------------------------------------------------------------------- */

/* One message on its way to recipients that share a route. */
struct lmi_sending {
    lmi_turn *turn;
    const lmail_queue_message *message;
    size_t count; /* recipients */
    const lmail_queue_recipient **rows;
    lmail_queue_result *results;
    char **texts;            /* of the results; 3 each */
    lmail_delivery *machine; /* NULL: mailboxes here */
    lmail_status *here;      /* what became of those */
    lmail_delivery_health health;
    unsigned ended;
    unsigned lmtp;
    uint32_t random; /* recipients that wait together come back together */
    lmi_later later;

    /* The question that is out. */
    lmail_ticket ticket, dns_ticket;
    unsigned asks_addresses;
    lmi_out *out; /* the connection in use, or being made */
    unsigned port;
};

struct lmi_turn {
    lmi_runner *runner;
    lmi_turn *next, **at;
    lmi_ways *ways;
    uint64_t id;
    char destination[LMAIL_QUEUE_DESTINATION];
    size_t max;
    unsigned probe;
    const lmail_queue_batch *batch;
    size_t message, row;          /* the next to send */
    unsigned char *taken;         /* rows of that message that are on their way or sent */
    size_t writing;               /* results that are on their way to the disk */
    lmail_delivery_health health; /* the worst of it */
    size_t good, bad;             /* messages that found the destination well, and not */
    unsigned in_row;              /* failures since the last good one */
    lmi_sending *sending;
};

/* Begin a turn; the dispatcher is told of its end in any case. */
void lmi_turn_begin(lmi_runner *r, const lmail_dispatch_turn *turn);
/* The runner stops: end what can be ended. */
void lmi_turn_stop(lmi_turn *t);
/* The loop runs no more. */
void lmi_turn_free(lmi_turn *t);
/* Write down a result: state, code, texts. */
void lmi_sending_result(lmi_sending *s, size_t row, const lmail_delivery_result *result);
/* A line in the log and a number, for a recipient's attempt or end without one. */
void lmi_runner_log(const lmi_runner *r, const lmail_queue_message *m,
                    const lmail_queue_recipient *to, const lmail_queue_result *result,
                    lmail_str relay);

/* ---- Mailboxes here -------------------------------------------------------------------------- */

/* On a worker: deliver to the account of each row, "local:ACCOUNT"; each gets its status. */
void lmi_local_deliver(lmi_sending *s);

/* ---- Connections ----------------------------------------------------------------------------- */

struct lmi_out {
    lmi_runner *runner;
    lmi_out *next, **at;
    lmi_ways *ways;
    uint64_t id;
    lmail_conn *conn;
    lmail_smtp_client *client;
    lmail_delivery_mailer mailer;
    lmail_delivery_tls tls;
    char destination[LMAIL_QUEUE_DESTINATION], source[64], host[256], name[256], address[256];
    unsigned port;
    lmail_delivery_connection facts; /* its slices lie here or in the connection */
    lmi_sending *sending;            /* who uses it; NULL: nobody */
    lmail_ticket ticket;             /* the machine's question that waits for it */
    lmail_ticket mail;
    unsigned submit, ready, ended, closed, quit, mail_ended, accepted_any;
    unsigned redial, is_old; /* TLS failed: once more, with what old servers speak */
    unsigned is_first;       /* of all attempts of the message */
    unsigned named, limited; /* EHLO with its address's name; a limit of LIMITS was reached */
    uint32_t domain_max;     /* RCPTDOMAINMAX */
    lmail_ticket name_ticket;
    char helo[256];     /* empty: as configured */
    lmail_msec give_up; /* no connection by then: it has failed */
    size_t *recipients;
    unsigned char *over; /* of each: beyond a limit of LIMITS */
    size_t count;
    lmail_msec idle_until; /* 0: it is in use */

    lmail_delivery_word word; /* of the end, or of the transaction */
    char word_text[LMI_WORD_TEXT], word_enhanced[16];

    lmail_auth_client *auth;
    const lmail_policy_credentials *credentials;
    struct lmi_auth_job *auth_job;
    struct lmi_piece *pieces; /* octets that the session has */

    /* Of the transaction (service_runner_copy.c). */
    uint64_t transactions;
    struct lmi_copying *copying; /* a worker writes; it has a reading of its own */
    lmi_ways *copying_ways;
    lmi_copy *copy;    /* what is sent; NULL: the data file */
    unsigned prepared; /* it is known what is sent: */
    unsigned seven;    /* 7 bits */
    unsigned no_copy;  /* nothing: there is no room for it */
    lmi_later later;
};

/* Once more, from the loop: o->redial. */
void lmi_out_redial(lmi_out *o);
/* Ask for the name of the address it will come from; then it is dialled. Not OK: it has none. */
lmail_status lmi_out_name(lmi_out *o);
void lmi_out_forget_name(lmi_out *o);
/* Make one for a sending's question. OK: it will be answered; an error: there is none. */
lmail_status lmi_out_connect(lmi_sending *s, lmail_ticket t, const lmail_delivery_connect_event *ev,
                             lmail_str source);
/* One that is open and idle; NULL. */
lmi_out *lmi_out_idle(const lmi_sending *s, lmail_delivery_tls tls, lmail_str source);
lmi_out *lmi_out_find(const lmi_runner *r, uint64_t id);
/* A transaction is to begin. PENDING, or the answer is filled. */
lmail_status lmi_out_submit(lmi_out *o, lmi_sending *s, lmail_ticket t,
                            const lmail_delivery_transaction_event *ev,
                            lmail_delivery_transaction *answer);
/* What the transaction sends, where that is not what lies in the queue. prepare: 1 when it is known,
 * 0: a later step will see. Counted, on loop 0; read on a worker. */
int lmi_out_prepare(lmi_out *o);
void lmi_out_unprepare(lmi_out *o); /* of another transaction */
lmi_copy *lmi_copy_hold(lmi_copy *c);
void lmi_copy_release(lmi_copy *c);
lmail_status lmi_copy_read(const lmi_copy *c, uint64_t offset, char *buf, size_t cap, size_t *got);
uint64_t lmi_copy_octets(const lmi_copy *c);
/* The reverse-path as it is seen outside, in room where it is another. */
lmail_str lmi_out_sender(const lmi_out *o, char *room, size_t cap);
/* Nobody waits for it any more. keep: it may serve again. */
void lmi_out_release(lmi_out *o, unsigned keep);
/* Let go what has been idle for too long; all: everything. */
void lmi_out_tidy(lmi_runner *r, unsigned all);
void lmi_out_free(lmi_out *o);
lmail_msec lmi_out_now(const lmi_out *o);

/* What follows from what was heard, from the loop. */
void lmi_out_soon(lmi_out *o);
void lmi_out_step(void *arg);

/* Callbacks of the session. */
lmail_status lmi_out_auth(lmail_smtp_client *c, void *user, lmail_ticket t,
                          const lmail_smtp_client_auth_event *ev,
                          lmail_smtp_client_auth_answer *answer);
lmail_status lmi_out_octets(lmail_smtp_client *c, void *user, lmail_ticket t,
                            const lmail_smtp_client_octets_event *ev,
                            lmail_smtp_client_octets_answer *answer);
void lmi_out_released(lmail_smtp_client *c, void *user, lmail_ticket t);

/* ---- Words ----------------------------------------------------------------------------------- */

/* What a client session said, kept in the connection. */
void lmi_out_word(lmi_out *o, lmail_smtp_cause cause, lmail_smtp_phase phase,
                  const lmail_smtp_peer_reply *reply);
/* Why there is no connection. */
void lmi_out_reason(lmi_out *o, lmail_close_reason reason, const char *fault);
lmail_delivery_phase lmi_phase_of(lmail_smtp_phase phase);

/* ---- Age ------------------------------------------------------------------------------------- */

/* On a worker: return what is too old, tell of delays. */
void lmi_age_look(lmi_runner *r, const lmi_ways *w);
/* On a worker: tell of the ends of a message that are to be told, unless a recipient of it is being
 * tried: then later. */
void lmi_age_report(lmi_runner *r, const lmi_ways *w, uint64_t id);

/* Who is to hear of it: as lmail_dsn_due. */
unsigned lmi_report_due(const lmi_rules *rules, lmail_dsn_action action,
                        const lmail_queue_message *m, const lmail_queue_recipient *r);
/* On a worker: queue a report of the ends that are to be told, or of the delay of those that wait, and
 * note that it was done. ERR_NOTFOUND: it can go to nobody. */
lmail_status lmi_report_write(lmi_runner *r, const lmi_ways *ways, const lmail_queue_message *m,
                              int delay);

/* ---- Clients that wait ----------------------------------------------------------------------- */

/* Before the rows of a message are there. NULL: nobody sends here now, or no memory: no waiting. */
lmi_wait *lmi_wait_new(lmail_service *s, uint64_t id);
/* They are there, so many, and this loop's client waits. PENDING: fn is called there when the first
 * attempt of each is over, and the waiter is gone then; OK: there is no need to wait, it is gone. */
lmail_status lmi_wait_begin(lmi_wait *w, size_t rows, lmail_loop *loop, lmail_call_fn *fn,
                            void *arg);
void lmi_wait_hurry(lmi_wait *w); /* on its loop: fn is called soon */
/* Nobody waits; fn is not called. On its loop, or where it has not begun. NULL is allowed. */
void lmi_wait_drop(lmi_wait *w);
/* On loop 0: the first attempt of so many rows is over, and what came of it is on the disk. */
void lmi_waits_attempted(lmi_runner *r, uint64_t id, size_t rows);
/* On loop 0. 0: nobody waits from now on, and those who do are answered. */
void lmi_waits_allow(lmi_runner *r, unsigned on);
void lmi_waits_free(lmi_runner *r); /* with the net freed */

/* ---- The service's side ---------------------------------------------------------------------- */

/* With rules and queue there, before the loops run. Nothing without a queue, or where
 * queue.max_deliveries is 0. Returns OK, or fills error. */
lmail_status lmi_runner_new(lmail_service *s, char *error, size_t cap);
/* New rules are in force: a queue run under them. On loop 0. */
void lmi_runner_reload(lmail_service *s);
void lmi_runner_stop(lmi_runner *r); /* on loop 0, before the net begins to stop */
/* In two steps, with the net freed between them. NULL is allowed. */
void lmi_runner_end(lmi_runner *r);
void lmi_runner_free(lmi_runner *r);

/* ETRN (RFC 1985). */
lmail_status lmi_etrn_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_argument_event *ev, lmail_smtp_reply *reply);

#endif
