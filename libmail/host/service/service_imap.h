/* service_imap.h - what the files of the IMAP service share.
 *
 *     service_imap.c          the protocol's row, logging in, news from other sessions
 *     service_imap_names.c    LIST, STATUS, CREATE, DELETE, RENAME, SUBSCRIBE
 *     service_imap_select.c   opening and closing a mailbox, catching up with it
 *     service_imap_fetch.c    rows and octets of messages
 *     service_imap_change.c   STORE, COPY, MOVE, EXPUNGE, SEARCH
 *     service_imap_append.c   APPEND */
#ifndef LMI_SERVICE_IMAP_H
#define LMI_SERVICE_IMAP_H

#include "host/service/service_internal.h"
#include "host/service/service_lent.h"

#include <libmail/imap.h>

/* The selected mailbox. The store handle and `shown` are used by the running job alone; the loop
 * reads `shown` only while no job runs. lmi_imap_peer.box itself is written by the loop, and only
 * when no job runs: where a job finishes. */
typedef struct lmi_box {
    lmail_store_mailbox *mailbox;
    const lmail_snapshot *shown; /* the state that the session has been told of */
    unsigned read_only;
} lmi_box;

typedef struct lmi_append lmi_append;

typedef struct lmi_imap_peer {
    lmi_peer base;
    lmail_imap_server *server;
    lmi_box *box;
    lmi_lent *lent;              /* answered, not yet released */
    lmi_append *append;          /* APPEND under way */
    struct lmi_listing *listing; /* LIST between two slices */
    unsigned catching_up;        /* a job that nobody asked for is on its way */
    unsigned untidy;             /* file names wait for their flags */
} lmi_imap_peer;

/* What has happened to a box since the session was last told, as a job found it. */
typedef struct lmi_news {
    lmail_snapshot_changes changes;
    lmail_keywords keywords; /* of the new snapshot, when there are more; else none */
    lmail_uid_range recent;
    unsigned gone;
    unsigned read; /* the mailbox was looked at, when the account's counter stood at `seen`: */
    uint32_t seen;
    lmail_imap_change list[4]; /* what lmi_news_tell made */
} lmi_news;

/* On a worker: bring box->shown up to date and note what changed. flags: LMAIL_REFRESH_*.
 * Returns OK (also for a mailbox that is gone) or the store's error. */
lmail_status lmi_box_catch_up(lmi_imap_peer *p, unsigned flags, lmi_news *news);
/* On the loop: the news as the changes of a result, valid while news and box live. */
void lmi_news_tell(lmi_imap_peer *p, lmi_news *news, lmail_imap_result *r);
/* Leave these UIDs out of the flag changes: the command answers for them itself. OK or
 * ERR_NOMEM. */
lmail_status lmi_news_known(lmi_news *news, lmail_uid_set uids);
void lmi_news_free(lmi_news *news);

/* Has another session changed the account since this one last looked? Cheap. */
int lmi_imap_stale(const lmi_imap_peer *p);

/* NO with the code that fits. `missing`: what NOTFOUND means here. Does nothing for OK. */
void lmi_imap_fail(lmail_imap_result *r, lmail_status st, lmail_imap_code missing);

/* The store's name of a mailbox: levels between '/'. Writes name.len octets; its inverse too. */
void lmi_imap_swap(const lmi_imap_peer *p, lmail_str name, char *out);
/* The same as a malloc'ed terminated copy; NULL: no memory. */
char *lmi_imap_name(const lmi_imap_peer *p, lmail_str name);

/* After a change: others hear of it, and names follow flags when nothing else is to do. */
void lmi_imap_changed(lmi_imap_peer *p);

void lmi_append_drop(lmi_imap_peer *p);
void lmi_listing_free(lmi_imap_peer *p);
void lmi_box_shut(lmi_imap_peer *p);    /* on a worker, when no job runs any more */
void lmi_append_shut(lmi_imap_peer *p); /* the same */

/* Each fills its callbacks. */
void lmi_imap_handle_names(lmail_imap_server_handler *h);
void lmi_imap_handle_select(lmail_imap_server_handler *h);
void lmi_imap_handle_fetch(lmail_imap_server_handler *h);
void lmi_imap_handle_change(lmail_imap_server_handler *h);
void lmi_imap_handle_append(lmail_imap_server_handler *h);

#endif
