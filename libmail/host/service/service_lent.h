/* service_lent.h - octets that a session was answered and has not released yet.
 *
 * A session writes from the slices it was given (libmail/session.h), so each stays until its
 * on_released. Used by the loop of the peer alone. */
#ifndef LMI_SERVICE_LENT_H
#define LMI_SERVICE_LENT_H

#include <libmail/session.h>

typedef struct lmi_lent {
    struct lmi_lent *next;
    lmail_ticket ticket;
    char data[];
} lmi_lent;

/* Room for so many octets, on no list yet: ended with free(). NULL: no memory. */
lmi_lent *lmi_lent_new(size_t octets);
void lmi_lent_add(lmi_lent **list, lmi_lent *o, lmail_ticket t);
/* on_released. A ticket that is not on the list does no harm. */
void lmi_lent_release(lmi_lent **list, lmail_ticket t);
/* The connection ends: all of them. */
void lmi_lent_free(lmi_lent **list);

#endif
