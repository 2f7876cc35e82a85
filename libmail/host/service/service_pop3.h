/* service_pop3.h - what the two files of the POP3 service share.
 *
 *     service_pop3.c         the protocol's row, logging in, locking and listing the maildrop
 *     service_pop3_read.c    rows and octets of messages, and what QUIT does */
#ifndef LMI_SERVICE_POP3_H
#define LMI_SERVICE_POP3_H

#include "host/service/service_internal.h"
#include "host/service/service_lent.h"

#include <libmail/pop3.h>

#define LMI_POP3_ROWS 1000u /* of one slice of the listing */

typedef struct pop3_peer {
    lmi_peer base;
    lmail_pop3_server *server;
    char *locked; /* the name whose maildrop is locked, or NULL; it may not be who logs in now */
    lmail_store_mailbox *mailbox;
    lmail_uid *uids; /* of message 1, 2, ... */
    uint32_t count;
    lmail_uid_list read; /* RETR sent them */
    lmi_lent *lent;
} pop3_peer;

typedef struct pop3_job {
    lmi_job base;
    uint32_t first, max;
    /* maildrop */
    uint64_t *sizes;
    uint32_t count;
    /* uidl */
    lmail_str *ids;
    /* octets */
    lmi_lent *octets;
    uint64_t offset;
    size_t want, got;
    /* update */
    lmail_uid_list deleted;
} pop3_job;

lmail_pop3_failure lmi_pop3_failure_of(lmail_status st);
/* On a worker: rows (LMAIL_ROW_*) of messages first .. first + count - 1 into sizes or ids. */
void lmi_pop3_rows(pop3_job *job, unsigned items);

/* On a worker, or where none can be had: nothing is left of a login. The next one may be another
 * user's. Other processes may have the maildrop from now on. */
void lmi_pop3_leave(pop3_peer *p);
/* On the loop: other sessions of this process may have it. */
void lmi_pop3_unlock(pop3_peer *p);

/* Fills its callbacks. */
void lmi_pop3_handle_read(lmail_pop3_server_handler *h);

#endif
