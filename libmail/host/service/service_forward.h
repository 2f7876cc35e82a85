/* What users' own files make of their mail. */
#ifndef LMI_HOST_SERVICE_FORWARD_H
#define LMI_HOST_SERVICE_FORWARD_H

#include "host/service/service_internal.h"

#define LMI_FORWARD_NOTES 8u

/* One who gets the mail: a mailbox here, or an address elsewhere. */
typedef struct lmi_forward_item {
    char *account; /* NULL: elsewhere */
    char *detail;  /* "": none */
    char *address, *route;
} lmi_forward_item;

typedef struct lmi_forward {
    lmi_forward_item *items;
    size_t count, room;
    struct {
        char user[128], reason[128];
        unsigned line; /* 0: the whole file */
    } notes[LMI_FORWARD_NOTES];
    size_t note_count;
} lmi_forward;

/* On a worker. What the file of an account says, and those of the users that it leads to. Whatever cannot
 * be done leaves the mail in the mailbox, with a note.
 *   domain   where its name stood in the recipient's address
 *   *out     NULL: there is no file. Freed with lmi_forward_free
 * Returns: OK, ERR_NOMEM, or what the accounts say: not now. */
lmail_status lmi_forward_look(const lmi_rules *rules, const char *account, lmail_str domain,
                              lmi_forward **out);
/* NULL is allowed. */
void lmi_forward_free(lmi_forward *f);

#endif
