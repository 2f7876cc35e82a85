/* imap_view.h - which messages the client knows, and what it has not been told yet.
 *
 * The only place where sequence numbers live. Everything else speaks UIDs. */
#ifndef LMI_IMAP_VIEW_H
#define LMI_IMAP_VIEW_H

#include "base/base_internal.h"

#include <libmail/mailbox.h>

/* Messages 1..total in order of UID, as sorted ranges with the count of messages before each: both
 * directions are one binary search. An event may point at ranges: they do not change while a
 * command runs, but by lmi_imap_update_step. */
typedef struct lmi_imap_view {
    lmail_alloc alloc;
    lmail_uid_range *ranges;
    uint32_t *before;
    size_t count, capacity;
    uint32_t total;
    size_t max; /* ranges at most */
} lmi_imap_view;

void lmi_imap_view_init(lmi_imap_view *v, const lmail_alloc *alloc, size_t memory);
void lmi_imap_view_done(lmi_imap_view *v);
lmail_uid_set lmi_imap_view_set(const lmi_imap_view *v);
/* OK, ERR_NOMEM, ERR_LIMIT, ERR_ARG (not above the last UID, or more than 2^32-1 messages). */
lmail_status lmi_imap_view_add(lmi_imap_view *v, lmail_uid first, lmail_uid last);
/* Take out whatever of the set is there; one pass. OK, ERR_NOMEM, ERR_LIMIT. */
lmail_status lmi_imap_view_remove(lmi_imap_view *v, lmail_uid_set gone);
/* 0 when there is no such message. */
lmail_uid lmi_imap_view_uid(const lmi_imap_view *v, uint32_t seq);
uint32_t lmi_imap_view_seq(const lmi_imap_view *v, lmail_uid uid);
lmail_uid lmi_imap_view_last(const lmi_imap_view *v); /* 0 when empty */
/* The message after this UID, 0 at the end. */
lmail_uid lmi_imap_view_next(const lmi_imap_view *v, lmail_uid uid);
/* What of the set is in the view, added to out. OK, ERR_NOMEM. */
lmail_status lmi_imap_view_cut(const lmi_imap_view *v, lmail_uid_set set, lmail_uid_list *out);

/* The selected mailbox of a session. */
typedef struct lmi_imap_mbox {
    void *handle;
    lmi_arena arena; /* name, keywords */
    lmail_str name;
    lmi_imap_view view;
    lmail_uid_list recent;    /* those this session is the first to hear of */
    lmail_uid_list fresh;     /* arrived, not yet told */
    lmail_uid_list vanished;  /* gone, still in the view */
    lmail_uid_list flagged;   /* flags changed, not yet told */
    lmail_uid_list reporting; /* flags of these are being told */
    lmail_uid_list telling;   /* EXPUNGE lines of these are being written */
    size_t telling_at;        /* range of telling */
    lmail_uid telling_next;   /* UID in it; 0: its first */
    uint32_t telling_done;    /* lines written */
    lmail_uid_list arg;       /* a command's set, where it is not the whole view */
    lmail_uid_list arg2;      /* a second one */
    lmail_str *keywords;
    size_t keyword_count;
    lmail_flags permanent;
    lmail_modseq highestmodseq;
    uint8_t new_keywords;
    uint8_t read_only;
    uint8_t open;
    uint8_t keywords_changed; /* tell FLAGS again */
    uint8_t gone;             /* the mailbox itself */
} lmi_imap_mbox;

void lmi_imap_mbox_init(lmi_imap_mbox *m, const lmail_alloc *alloc, size_t memory);
void lmi_imap_mbox_done(lmi_imap_mbox *m); /* forgets the mailbox; ready to be used again */
/* Copies the table. OK, ERR_NOMEM, ERR_LIMIT. */
lmail_status lmi_imap_mbox_keywords(lmi_imap_mbox *m, lmail_keywords k);
/* Number of a keyword, without case, or -1. */
int lmi_imap_mbox_keyword(const lmi_imap_mbox *m, lmail_str name);
uint32_t lmi_imap_mbox_recent(const lmi_imap_mbox *m); /* messages of the view with \Recent */
int lmi_imap_mbox_news(const lmi_imap_mbox *m);        /* is there anything not told? */
/* Changes as notified. OK, ERR_NOMEM. */
lmail_status lmi_imap_mbox_new(lmi_imap_mbox *m, lmail_uid_set uids, lmail_uid_set recent);
lmail_status lmi_imap_mbox_vanished(lmi_imap_mbox *m, lmail_uid_set uids);
lmail_status lmi_imap_mbox_flagged(lmi_imap_mbox *m, lmail_uid_set uids);

/* Sets. */
lmail_status lmi_set_add(lmail_uid_list *l, lmail_uid_set set);
lmail_status lmi_set_remove(lmail_uid_list *l, lmail_uid_set gone); /* OK, ERR_NOMEM */
void lmi_set_clear(lmail_uid_list *l);                              /* keeps memory */
/* Next range of the intersection of two sets, from `from` on: 1 and *out, or 0. O(log n). */
int lmi_set_both(lmail_uid_set a, lmail_uid_set b, lmail_uid from, lmail_uid_range *out);
/* The first messages of a set from UID `from` on, at most max of them, into out[0..cap). Returns
 * how many ranges. The set holds only UIDs of messages. */
size_t lmi_set_chunk(lmail_uid_set set, lmail_uid from, uint64_t max, lmail_uid_range *out,
                     size_t cap);

#endif
