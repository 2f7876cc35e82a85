/* store_snapshot.h - a snapshot's inside, between its readers (store_snapshot.c) and its editor
 * (store_snapshot_edit.c). */
#ifndef LMI_STORE_SNAPSHOT_H
#define LMI_STORE_SNAPSHOT_H

#include <libmail/host/store.h>
#include <stdatomic.h>

/* One block; while it is edited there is room for LMAIL_SNAPSHOT_LEAF rows. */
typedef struct leaf {
    atomic_uint refs;
    uint32_t capacity;
    uint32_t count, unseen, deleted, runs; /* runs: ranges its UIDs make */
    lmail_modseq newest;                   /* highest modseq within */
    lmail_flags *flags;
    lmail_modseq *modseqs;
    lmail_uid *uids;
} leaf;

/* Keyword names and the mailbox id, shared by versions that have the same. */
typedef struct names {
    atomic_uint refs;
    lmail_keywords keywords;
    lmail_str mailbox_id;
} names;

struct lmail_snapshot {
    atomic_uint refs;
    lmail_mailbox_facts facts;
    names *names;
    lmail_uid_range *ranges;
    size_t range_count;
    size_t *firsts; /* place of each leaf's first row */
    size_t leaf_count;
    leaf *leaves[];
};

struct lmail_snapshot_edit {
    const lmail_snapshot *base;
    leaf **leaves;
    size_t count, capacity;
    size_t at; /* the leaf where the last change was */
};

void lmi_snapshot_leaf_unref(leaf *l);
void lmi_snapshot_names_unref(names *n);
void lmi_snapshot_free(lmail_snapshot *s);
/* First leaf from `low` on that ends at or after uid, or count. */
size_t lmi_snapshot_find_leaf(leaf *const *leaves, size_t low, size_t count, lmail_uid uid);
/* First row at or after uid, or count. */
uint32_t lmi_snapshot_find_row(const leaf *l, lmail_uid uid);

#endif
