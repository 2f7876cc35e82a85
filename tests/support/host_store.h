/* host_store.h - a store to test: either backend behind the same few calls. */
#ifndef TEST_HOST_STORE_H
#define TEST_HOST_STORE_H

#include <libmail/host/store.h>

enum { KIT_MEMORY = 0, KIT_MAILDIR = 1, KIT_BACKENDS = 2 };

typedef struct kit {
    int backend;
    char dir[512]; /* of the test, removed at the end; accounts lie below mail/ */
    lmail_store_maildir_config maildir;
    lmail_store *store;
    lmail_store_account *account; /* "alice" */
} kit;

/* A fresh store with the account alice. */
void kit_start(kit *k, int backend);
/* Close and open again (the memory store starts empty). */
void kit_restart(kit *k);
void kit_stop(kit *k);

lmail_store_account *kit_account(kit *k, const char *name);
/* ROOT/alice/..., for meddling as another program. */
const char *kit_path(const kit *k, const char *tail);
const char *kit_read(const char *path); /* static buffer, "" when it is not there */
void kit_write(const char *path, const char *text);
int kit_count(const char *dir); /* files in it */

/* Deliver text (a bare LF becomes CRLF). Gives the status, the UID in *uid if not NULL. */
lmail_status kit_deliver(kit *k, const char *mailbox, const char *text, lmail_flags flags,
                         lmail_uid *uid);
/* n small messages, their subjects numbered from 1. */
void kit_fill(kit *k, const char *mailbox, unsigned n);

lmail_store_mailbox *kit_open(kit *k, const char *mailbox, unsigned flags);
/* A snapshot of the mailbox as it is now. */
const lmail_snapshot *kit_snapshot(kit *k, lmail_store_mailbox *m);
/* "1:3,7" of a set; static buffer. */
const char *kit_set(lmail_uid_set set);
const char *kit_uids(kit *k, lmail_store_mailbox *m);
/* Flags of one message: letters SAFDd and keyword names, separated by a space; "-" when gone. */
const char *kit_flags(kit *k, lmail_store_mailbox *m, lmail_uid uid);
lmail_status kit_store(kit *k, lmail_store_mailbox *m, lmail_uid first, lmail_uid last,
                       lmail_store_mode mode, lmail_flags flags, const char *keyword);
lmail_status kit_expunge(kit *k, lmail_store_mailbox *m, lmail_uid first, lmail_uid last);
/* The message's octets; static buffer. */
const char *kit_body(kit *k, lmail_store_mailbox *m, lmail_uid uid);
/* Names of the list, one a line with its marks: "name[ *no][ +children][ subscribed][ \\Use]". */
const char *kit_list(kit *k);
/* Result of a search as kit_set. */
const char *kit_search(kit *k, lmail_store_mailbox *m, const lmail_search *tree);

#endif
