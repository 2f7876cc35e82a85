/* store_memory.h - the memory store's own structures.
 *
 * One mutex an account covers its mailboxes. Contents are immutable and counted, so that copies and
 * deliveries to many share them. */
#ifndef LMI_STORE_MEMORY_H
#define LMI_STORE_MEMORY_H

#include "host/store/store_internal.h"

#include <pthread.h>
#include <stdatomic.h>

/* A message's octets and what is known of them. Texts lie behind the struct. */
typedef struct mem_content {
    atomic_uint refs;
    char *octets;
    uint64_t size;
    lmail_str envelope, bodystructure, parts, preview, fields;
    char email_id[34];
} mem_content;

typedef struct mem_row {
    lmail_uid uid;
    mem_content *content;
    int64_t date, saved;
    int zone;
    char uidl[24];
} mem_row;

typedef struct mem_gone {
    lmail_modseq modseq;
    lmail_uid uid;
} mem_gone;

typedef struct mem_mailbox {
    struct mem_mailbox *next;
    struct mem_account *account;
    unsigned refs; /* handles, and the account while it is not removed */
    unsigned removed;
    char *name;
    size_t name_len;
    lmail_special_use use;
    char id[33];
    uint32_t uidvalidity;
    lmail_uid uidnext, recent; /* recent: the last UID that a session has claimed */
    lmail_modseq modseq;
    lmail_str keywords[LMAIL_MAX_KEYWORDS];
    size_t keyword_count;
    const lmail_snapshot *snapshot;
    mem_row *rows; /* rising by UID */
    size_t count, capacity;
    mem_gone *gone; /* rising by modseq */
    size_t gone_count, gone_capacity;
} mem_mailbox;

typedef struct mem_name {
    struct mem_name *next;
    size_t len;
    char text[];
} mem_name;

typedef struct mem_account {
    struct mem_account *next;
    struct mem_store *store;
    pthread_mutex_t lock;
    unsigned slot;
    mem_mailbox *mailboxes;
    mem_name *subscribed;
    uint32_t last_uidvalidity;
    size_t name_len;
    char name[];
} mem_account;

typedef struct mem_store {
    lmail_store table;
    const lmail_env *env;
    lmail_notice *notice;
    pthread_mutex_t lock; /* of the list */
    mem_account *accounts;
    atomic_ullong serial; /* of messages */
} mem_store;

struct lmail_store_mailbox {
    mem_account *account;
    mem_mailbox *box;
    unsigned flags;
    lmail_uid told; /* read-only: messages up to here were told as recent */
};

/* ---- store_memory.c; the account is locked */

mem_mailbox *lmi_mem_find(mem_account *a, lmail_str name);
/* Locked by the caller. */
void lmi_mem_usage(const mem_account *a, lmail_store_usage *out);
lmail_status lmi_mem_find_checked(mem_account *a, lmail_str name, mem_mailbox **out);
lmail_status lmi_mem_create(mem_account *a, lmail_str name, lmail_special_use use,
                            mem_mailbox **out);
void lmi_mem_mailbox_unref(mem_mailbox *m);
void lmi_mem_raise(mem_account *a);

/* ---- store_memory_mailbox.c */

/* System flags and keywords as bits of this mailbox; `make` adds missing keywords. */
lmail_status lmi_mem_bits(mem_mailbox *m, lmail_flags flags, const lmail_str *keywords,
                          size_t count, int make, lmail_flags *out);
/* Append a row; `edit` runs along. The row's uid is given here. */
lmail_status lmi_mem_append(mem_mailbox *m, lmail_snapshot_edit *edit, mem_row row,
                            lmail_flags flags, lmail_modseq modseq, lmail_uid *uid);
/* The edit becomes the mailbox's state. */
lmail_status lmi_mem_publish(mem_mailbox *m, lmail_snapshot_edit *edit, lmail_modseq modseq);
/* Forget rows from `count` on (an edit that failed). */
void lmi_mem_cut(mem_mailbox *m, size_t count, lmail_uid uidnext);
void lmi_mem_content_unref(mem_content *c);
/* Room for one more in a list of `size` octets each. 0: no memory. */
int lmi_mem_grow(void **list, size_t *capacity, size_t count, size_t size);
/* The mailbox behind a handle, locked. ERR_DENIED: it is read-only; ERR_STALE: it was removed. */
lmail_status lmi_mem_enter(lmail_store_mailbox *h, int writes);
void lmi_mem_leave(lmail_store_mailbox *h);
void lmi_mem_fill_mailbox(lmail_store *table);

/* ---- store_memory_change.c */

/* Remove these UIDs, those that exist. */
lmail_status lmi_mem_remove(mem_mailbox *m, lmail_uid_set uids, lmail_expunge_mode mode,
                            lmail_uid_list *vanished, lmail_modseq *modseq);
/* Everything of `from` to `to` as new messages; both accounts are locked. */
lmail_status lmi_mem_copy_rows(mem_mailbox *from, lmail_uid_set uids, mem_mailbox *to,
                               lmail_copy_result *out);
void lmi_mem_fill_change(lmail_store *table);

/* ---- store_memory_delivery.c */

void lmi_mem_fill_delivery(lmail_store *table);

#endif
