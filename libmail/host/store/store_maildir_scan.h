/* store_maildir_scan.h - one scan of a mailbox: files read (store_maildir_found.c), compared with the
 * rows (store_maildir_scan.c), and new ones taken in (store_maildir_arrive.c). */
#ifndef LMI_STORE_MAILDIR_SCAN_H
#define LMI_STORE_MAILDIR_SCAN_H

#include "host/store/store_maildir.h"

/* A base name in new/ or cur/. */
typedef struct md_found {
    uint32_t name; /* offset in the names */
    uint16_t len, base_len;
    uint8_t place; /* 0 new, 1 cur */
    uint8_t known; /* a row has it, or it is no message */
    lmail_uid uid; /* from Dovecot's list, 0: none */
} md_found;

typedef struct md_scan {
    md_box *box;
    md_found *files;
    size_t count, capacity;
    uint32_t *slots; /* index + 1, open addressing */
    size_t slot_count;
    char *names;
    size_t names_len, names_cap;
    lmail_snapshot_edit *edit;
    lmail_uid_list missing, gone;
    lmail_modseq modseq; /* of this scan's changes */
    int64_t times[2];    /* of the directories before they were read */
    int fresh[2];        /* they had just changed then */
    int changed, arrived, unsure, growing;
} md_scan;

/* ---- store_maildir_found.c */

/* Room for the first files. ERR_NOMEM. */
lmail_status lmi_md_found_init(md_scan *s);
void lmi_md_found_done(md_scan *s);
/* Read new/ and cur/ into the list. again: what was found already is brought up to date. */
lmail_status lmi_md_found_read(md_scan *s, int again);
/* Read both again, until a reading had them to itself. ERR_BUSY: none did. */
lmail_status lmi_md_found_read_quietly(md_scan *s);
md_found *lmi_md_found(const md_scan *s, lmail_str base); /* or NULL */
lmail_str lmi_md_found_base(const md_scan *s, const md_found *f);
lmail_str lmi_md_found_suffix(const md_scan *s, const md_found *f);

/* ---- store_maildir_arrive.c */

/* In the transaction that runs: what no row knows becomes messages, in the order of arrival.
 * ERR_LIMIT: more of them than UIDs were reserved for. */
lmail_status lmi_md_arrive(md_scan *s);
/* UIDs as Dovecot gave them, for a mailbox that is new to us. */
void lmi_md_import_uids(md_scan *s);

#endif
