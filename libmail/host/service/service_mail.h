/* service_mail.h - one message on its way from an SMTP session into mailboxes and the queue.
 *
 *     service_mail.c          trace fields, octets, delivery into mailboxes
 *     service_mail_header.c   the header as it goes by: hops; a user's header is rewritten
 *     service_mail_folder.c   the mailbox that user+detail means
 *     service_mail_queue.c    recipients elsewhere, what is held, what is thrown away */
#ifndef LMI_SERVICE_MAIL_H
#define LMI_SERVICE_MAIL_H

#include "host/service/service_internal.h"
#include "host/service/service_keep.h"

#include <libmail/delivery_header.h>
#include <libmail/host/queue.h>
#include <libmail/smtp.h>

#define LMI_DETAIL_MAX 256u /* octets of a detail that is looked at */

/* Someone who gets the message. */
typedef struct lmi_recipient {
    char *account; /* name in the store; empty: its mailbox is elsewhere */
    char *address; /* as the client said it */
    char *detail;  /* of user+detail, where it may name a mailbox; NULL: INBOX */
    lmail_status status;
    lmail_uid uid;
    size_t target;   /* its account's place among those of the message; duplicates share one */
    size_t said;     /* of which RCPT that was accepted, from 0: an alias makes several of one */
    char *route;     /* as lmail_queue_recipient; empty for one of ours */
    unsigned queued; /* with status OK: the queue has it */
    unsigned notify; /* LMAIL_SMTP_NOTIFY_* */
    lmail_str orcpt; /* "rfc822;a@b.example"; NULL: none */
} lmi_recipient;

/* The header of a message that streams, as the client sent it. */
typedef struct lmi_mail_header {
    unsigned hops; /* Received fields */
    unsigned in_header;
    unsigned column; /* of the line; its first octets, in lower case: */
    char name[12];
    unsigned named; /* the line's field name is over, or it continues a field */
} lmi_mail_header;

typedef struct lmi_mail {
    struct lmi_mail *next; /* the holder's */
    const lmail_store *store;
    const struct lmi_rules *rules; /* where accounts lie; its holder's door keeps them. NULL: below
                                    * the store's root */
    lmail_queue *queue;            /* NULL: there is none */
    uint64_t number;
    char id[24];     /* its text, the queue id: in Received, in the reply and in the log */
    char *from;      /* reverse-path without brackets */
    unsigned utf8;   /* SMTPUTF8 was asked for */
    unsigned exact;  /* every line ends with CRLF already */
    unsigned atomic; /* all recipients or none: there is one answer for all */
    lmi_recipient *recipients;
    size_t count, capacity;
    size_t said;     /* RCPTs that were accepted */
    uint64_t octets; /* of the message as the client sent it */

    lmi_keep kept;            /* what no worker has taken yet */
    lmail_delivery *delivery; /* a worker's, once it has begun */
    unsigned ended;           /* all octets are in it: `size` */
    uint64_t size;            /* of the whole, trace fields too */

    /* What the queue needs of the envelope beside the recipients. */
    size_t remotes;            /* recipients with their mailbox elsewhere */
    size_t header;             /* octets of Return-Path, which does not go out */
    unsigned flags, body, ret; /* as lmail_queue_message */
    unsigned has_envid, has_auth;
    lmail_str envid, auth, submitter, client, local_address, reason;
    uint64_t declared;       /* SIZE= */
    unsigned waits;          /* all recipients become rows: an account is full */
    unsigned held;           /* quarantined, for `reason` */
    unsigned discard;        /* answered as if it were taken, and thrown away */
    struct lmi_local *local; /* it was left by a program here; its holder's. NULL: it was not */

    struct lmi_letter *letter; /* service_letter.h: others look at the whole of it; NULL */

    /* The header, while it goes by (service_mail_header.c). */
    lmi_mail_header head;
    unsigned has_8bit;               /* somewhere */
    lmail_delivery_header *rewriter; /* NULL: it is not ours, or is over */
    char *front;                     /* what the rewriter made, in front of the octets in hand */
    size_t front_len, front_cap;
} lmi_mail;

/* The message is of who may send through this host: Bcc goes, missing fields are added, addresses
 * become what they are for its recipients (RFC 6409 §8). With all recipients known, in front of the
 * octets. date: of the Date field. OK or ERR_NOMEM. */
lmail_status lmi_header_own(lmi_mail *m, const char *date, lmail_str host);
/* The message is over: what the rewriter still has joins m->front. OK or ERR_NOMEM. */
lmail_status lmi_header_end(lmi_mail *m);

/* The number of a new message. */
uint64_t lmi_mail_number(lmail_service *service);
/* A fresh transaction. NULL: no memory. Freed with lmi_mail_free, on a worker when it has a
 * delivery. */
lmi_mail *lmi_mail_new(lmail_service *service, lmail_str from);
void lmi_mail_free(lmi_mail *m);
/* Free what recipient number i holds; who calls takes it out of the list. */
void lmi_mail_forget_recipient(lmi_mail *m, size_t i);
/* OK or ERR_NOMEM. */
lmail_status lmi_mail_add_recipient(lmi_mail *m, lmail_str account, lmail_str address);

/* The recipient that was added last has a detail (RFC 5233 §1). OK or ERR_NOMEM. */
lmail_status lmi_mail_set_detail(lmi_mail *m, lmail_str detail);
/* On a worker. The mailbox of an account that a detail means: its name as the store has it.
 *   out   malloc'd, terminated; NULL with NOTFOUND
 * Returns: OK, ERR_NOTFOUND, ERR_NOMEM, or what the store says. */
lmail_status lmi_folder_find(const lmail_store *store, lmail_store_account *account,
                             lmail_str detail, char **out);

/* ---- Recipients elsewhere, and verdicts: service_mail_queue.c */

/* One whose mailbox is elsewhere: its row is in the queue before the message is answered.
 *   route   "mailer:host" of a mailertable or a smart host; empty: where the address leads
 * OK or ERR_NOMEM. */
lmail_status lmi_mail_add_remote(lmi_mail *m, lmail_str address, lmail_str route);
/* A route that is a verdict: "error:550 5.1.1 User unknown". The runner tells the sender. */
#define LMI_ROUTE_ERROR "error:"
#define LMI_ROUTE_ERROR_MAX 512u
/* NOTIFY and ORCPT of the recipient that was added last. OK or ERR_NOMEM. */
lmail_status lmi_mail_set_notify(lmi_mail *m, const lmail_smtp_rcpt_event *ev);
/* The parameters of MAIL; OK or ERR_NOMEM. */
lmail_status lmi_mail_set_envelope(lmi_mail *m, const lmail_smtp_mail_event *ev);
/* Where it comes from, behind the envelope: empty slices are nobody, this machine, any. AUTH= that names
 * another than the submitter becomes AUTH=<>. flags: LMAIL_QUEUE_*, added to
 * those that there are. OK or ERR_NOMEM. */
lmail_status lmi_mail_set_origin(lmi_mail *m, lmail_str submitter, lmail_str client,
                                 lmail_str local_address, unsigned flags);
/* QUARANTINE: taken, but for every recipient - also those with a mailbox here - it stays in the
 * queue and is held with this reason. The first reason stands. At any time before the end of the
 * message. OK or ERR_NOMEM. */
lmail_status lmi_mail_hold(lmi_mail *m, lmail_str reason);
/* DISCARD: the whole message is thrown away at its end, for all recipients, and they all get status
 * OK. Goes before a quarantine. At any time before the end of the message. */
void lmi_mail_discard(lmi_mail *m);
/* On a worker: the commit of a message that the queue has to do with. Each recipient gets its
 * status. All of it is taken or nothing (with m->atomic 0: each mailbox for itself). */
lmail_status lmi_mail_commit_queued(lmi_mail *m);
void lmi_mail_free_envelope(lmi_mail *m);

/* ---- Octets */

/* Begin the message with Return-Path and Received. */
typedef struct lmi_mail_trace {
    lmail_str helo, client, host, protocol; /* client: "name [192.0.2.1]"; protocol: "ESMTPSA" */
    const lmail_tls_facts *tls;
    int64_t seconds;
    int zone;
    unsigned own;     /* as lmi_header_own */
    unsigned warn;    /* X-Authentication-Warning: the client said no hello */
    lmail_str local;  /* "user (uid 1000)": who left it here, in place of helo and client */
    lmail_str set_by; /* X-Authentication-Warning: this user set the sender */
} lmi_mail_trace;
lmail_status lmi_mail_begin(lmi_mail *m, const lmi_mail_trace *trace);
/* Octets go by as the client sent them: hops are counted. */
void lmi_mail_look(lmi_mail *m, lmail_str octets);
/* Then: the header of a message of ours becomes m->front, which goes out with the octets that are
 * left. OK or ERR_NOMEM. */
lmail_status lmi_mail_rewrite(lmi_mail *m, lmail_str *octets);
/* Keep octets in memory, m->front before them; OK, END when they do not fit there any more,
 * ERR_NOMEM. */
lmail_status lmi_mail_keep(lmi_mail *m, lmail_str octets);

/* What the answer to RCPT number `said` of LMTP is: OK when all that it became have the message. */
lmail_status lmi_mail_said_status(const lmi_mail *m, size_t said);

/* On a worker. Write what is kept, m->front, and then `octets`. */
lmail_status lmi_mail_write(lmi_mail *m, lmail_str octets);
/* On a worker. Deliver to every recipient; each gets its status. OK when all have it. */
lmail_status lmi_mail_commit(lmi_mail *m);

/* ---- What the files share */

/* On a worker. A delivery of the store's that waits for the message's octets. */
lmail_status lmi_mail_new_delivery(const lmi_mail *m, lmail_delivery **out);
/* On a worker. All octets are written, the message has its end. */
lmail_status lmi_mail_end(lmi_mail *m);
/* The accounts of a message while it is delivered. */
typedef struct lmi_targets {
    struct lmi_destination *accounts;
    lmail_delivery_target *items; /* of those that could be opened */
    size_t accounts_count, count;
} lmi_targets;
/* Deliver to the mailboxes here: each of these recipients gets its status. OK when all have it.
 * The targets are to be freed also after an error. */
lmail_status lmi_mail_deliver(lmi_mail *m, lmi_targets *t);
void lmi_targets_free(lmi_mail *m, lmi_targets *t);

/* Seconds and zone as RFC 5322 §3.3 writes them. Returns the length, less than 40. */
size_t lmi_write_date(char *out, size_t cap, int64_t seconds, int zone);

#endif
