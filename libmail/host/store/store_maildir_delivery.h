/* store_maildir_delivery.h - a delivery between its spool files (store_maildir_spool.c) and its
 * commit (store_maildir_delivery.c). */
#ifndef LMI_STORE_MAILDIR_DELIVERY_H
#define LMI_STORE_MAILDIR_DELIVERY_H

#include "host/store/store_maildir.h"

typedef struct incoming {
    int fd;
    char temporary[MD_PATH / 8]; /* the spool file's name where it must have one */
    lmail_delivery_message args;
    uint64_t size;
    md_summary *summary;
    unsigned ended, linked;
} incoming;

/* One target's row, waiting in its account's queue. */
typedef struct md_job {
    struct md_job *next;
    md_account *account;
    lmail_delivery_target *target;
    const incoming *message;
    char base[128], suffix[16];
    char *path;      /* of the link; malloc'ed, NULL: none was tried */
    const char *dir; /* the mailbox's; behind path */
    size_t base_len, suffix_len;
    int place, linked, done;
    int64_t date;
    int zone;
    int64_t before[2], after[2];
} md_job;

struct lmail_delivery {
    md_store *store;
    md_account *hint;
    unsigned atomic, writing;
    incoming *messages;
    size_t count;
    lmi_intake intake;
    lmi_file_buffer *buffer;
    md_job *jobs; /* of the last commit */
    size_t job_count;
};

/* A message that has ended, or NULL. */
incoming *lmi_md_incoming(const lmail_delivery *d, size_t message);
void lmi_md_forget_jobs(lmail_delivery *d);
lmail_status lmi_md_commit_delivery(lmail_delivery *d, lmail_delivery_target *targets,
                                    size_t count);
lmail_status lmi_md_undo_delivery(lmail_delivery *d, lmail_delivery_target *targets, size_t count);

#endif
