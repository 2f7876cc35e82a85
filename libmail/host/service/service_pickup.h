/* service_pickup.h - mail of this machine: what sendmail left in the drop directory is handed to this
 * service's own SMTP server, so that it meets the same rules, tables, filters and queue as any other.
 *
 *     service_pickup.c        the directory: watching it, whose turn it is, life
 *     service_pickup_door.c   the door that nobody but ourselves comes through, and what it knows of a message
 *     service_pickup_send.c   one drop on a worker: a client session that speaks to that door
 *     service_pickup_ask.c    questions of programs here: the queue, addresses, queue runs
 *
 * A drop is sent in up to three passes. What is refused for some recipients is sent again with those
 * refusals known: the server then takes these recipients as rows of the queue that have failed, in
 * the one transaction of the message, and the runner tells the sender. What is refused as a whole is sent
 * again as a message to be returned. What is refused even so is put aside.
 *
 * The file goes in the job that commits the message, behind the commit: between the two a crash
 * makes a second copy, and nothing else does. */
#ifndef LMI_SERVICE_PICKUP_H
#define LMI_SERVICE_PICKUP_H

#include "host/service/service_internal.h"

#include <libmail/host/drop.h>
#include <libmail/smtp_client.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

typedef struct lmi_pickup lmi_pickup;

/* Why a recipient is not served. */
typedef struct lmi_refusal {
    unsigned known; /* 0: it is not refused */
    unsigned code;
    char enhanced[16];
    char text[400];
} lmi_refusal;

/* A message on its way from a drop; counted: the worker that sends it and the server's peer hold it. */
typedef struct lmi_local {
    struct lmi_local *next;
    atomic_uint refs;
    uint64_t number;
    lmi_pickup *pickup;
    char *name; /* of the file */
    lmail_drop_file *file;
    lmail_drop_facts facts;
    char user[64];         /* of the system; its number in digits where it has no name */
    unsigned returning;    /* its sender gets it back, with all[0] as the reason */
    lmi_refusal *refusals; /* one a recipient */
    lmi_refusal all;
    atomic_uint taken; /* it is safe in queue and mailboxes */
} lmi_local;

/* One name in the directory that is being sent, or waits. */
typedef struct lmi_item {
    struct lmi_item *next;
    lmi_pickup *pickup;
    unsigned running, attempts, over;
    lmail_msec due;
    char name[];
} lmi_item;

struct lmi_pickup {
    lmail_service *service;
    lmail_loop *loop;
    lmail_pool *pool;
    char directory[LMAIL_DROP_PATH];
    lmail_listener_settings settings; /* of the door */
    lmail_listener *listener;
    struct sockaddr_un at; /* where it listens: a name that no file has */
    socklen_t at_len;
    lmail_smtp_client_setup *client;
    lmail_timer *clock;
    uv_poll_t events;
    int events_fd; /* of inotify; -1: the clock alone tells */
    unsigned hears;
    unsigned looking, look_again;
    atomic_uint stopping;
    size_t running;

    pthread_mutex_t lock; /* of what follows */
    lmi_item *items;
    size_t item_count;
    lmi_local *locals;
    uint64_t last_number;

    struct lmi_asking *asking; /* service_pickup_ask.c */
};

/* Nothing of the service's when it has no queue or no such directory: OK. Before the loops run.
 * Returns OK, or fills error. */
lmail_status lmi_pickup_new(lmail_service *s, char *error, size_t cap);
void lmi_pickup_reload(lmail_service *s); /* new rules are in force; on loop 0 */
void lmi_pickup_stop(lmi_pickup *p);      /* on loop 0, before the net begins to stop */
/* In two steps, with the net freed between them. NULL is allowed. */
void lmi_pickup_end(lmi_pickup *p);
void lmi_pickup_free(lmi_pickup *p);

/* ---- The door */

/* Is it the door of ours that programs of this machine are served through? */
int lmi_door_is_local(const lmi_door *door);
/* Open it. Returns OK, or fills error. */
lmail_status lmi_pickup_open(lmi_pickup *p, char *error, size_t cap);
/* May this connection come through? Ourselves alone. */
int lmi_pickup_admits(const lmail_conn_facts *facts);
/* The message that an EHLO of ours names, held; NULL: there is none. */
lmi_local *lmi_local_find(lmi_pickup *p, lmail_str helo);
void lmi_local_release(lmi_local *l); /* NULL is allowed */
/* In the job that has committed it: the drop goes. */
void lmi_local_taken(lmi_local *l);
/* The refusal of a recipient of this address that has none in this transaction yet; NULL: it is served. */
const lmi_refusal *lmi_local_refusal(const lmi_local *l, lmail_str address);
/* "from USER (uid N)", for Received. */
size_t lmi_local_write(const lmi_local *l, char *out, size_t cap);
/* Did its user give a sender that he may not? */
int lmi_local_is_doubtful(const lmi_local *l, const lmi_rules *rules);
/* One name a line in the octets of policy.trusted_users. */
int lmi_submit_is_trusted(lmail_str list, lmail_str user);

/* ---- Sending */

/* Of the client sessions that speak to the door. */
extern const lmail_smtp_client_handler lmi_pickup_handler;
/* On a worker. OK: it is gone, taken or put aside; PENDING: later. */
lmail_status lmi_pickup_send(lmi_pickup *p, const char *name);

/* ---- Questions */

lmail_status lmi_asking_new(lmi_pickup *p);
void lmi_asking_stop(lmi_pickup *p);
void lmi_asking_free(lmi_pickup *p);

#endif
