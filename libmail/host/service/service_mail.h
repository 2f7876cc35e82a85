/* service_mail.h - one message on its way from an SMTP session into mailboxes. */
#ifndef LMI_SERVICE_MAIL_H
#define LMI_SERVICE_MAIL_H

#include "host/service/service_internal.h"
#include "host/service/service_keep.h"

/* Someone who gets the message. */
typedef struct lmi_recipient {
    char *account; /* name in the store */
    char *address; /* as the client said it */
    lmail_status status;
    lmail_uid uid;
    size_t target; /* its account's place among those of the message; duplicates share one */
} lmi_recipient;

typedef struct lmi_mail {
    struct lmi_mail *next; /* the holder's */
    const lmail_store *store;
    char id[24];     /* queue id: in Received, in the reply and in the log */
    char *from;      /* reverse-path without brackets */
    unsigned utf8;   /* SMTPUTF8 was asked for */
    unsigned exact;  /* every line ends with CRLF already */
    unsigned atomic; /* all recipients or none: there is one answer for all */
    lmi_recipient *recipients;
    size_t count, capacity;
    uint64_t octets; /* of the message as the client sent it */

    lmi_keep kept;            /* what no worker has taken yet */
    lmail_delivery *delivery; /* a worker's, once it has begun */

    /* Counting Received fields while the header goes by. */
    unsigned hops, in_header, column, matched, line_empty;
} lmi_mail;

/* A fresh transaction. NULL: no memory. Freed with lmi_mail_free, on a worker when it has a
 * delivery. */
lmi_mail *lmi_mail_new(lmail_service *service, lmail_str from);
void lmi_mail_free(lmi_mail *m);
/* OK or ERR_NOMEM. */
lmail_status lmi_mail_add_recipient(lmi_mail *m, lmail_str account, lmail_str address);
/* Begin the message with Return-Path and Received. */
typedef struct lmi_mail_trace {
    lmail_str helo, peer_address, host, protocol; /* protocol: "ESMTPSA" */
    const lmail_tls_facts *tls;
    int64_t seconds;
    int zone;
} lmi_mail_trace;
lmail_status lmi_mail_begin(lmi_mail *m, const lmi_mail_trace *trace);
/* Octets go by: count the hops. */
void lmi_mail_look(lmi_mail *m, lmail_str octets);
/* Keep octets in memory; OK, END when they do not fit there any more, ERR_NOMEM. */
lmail_status lmi_mail_keep(lmi_mail *m, lmail_str octets);

/* On a worker. Write what is kept and then `octets`. */
lmail_status lmi_mail_write(lmi_mail *m, lmail_str octets);
/* On a worker. Deliver to every recipient; each gets its status. OK when all have it. */
lmail_status lmi_mail_commit(lmi_mail *m);

/* Seconds and zone as RFC 5322 §3.3 writes them. Returns the length, less than 40. */
size_t lmi_write_date(char *out, size_t cap, int64_t seconds, int zone);

#endif
