/* service_keep.h - the octets of a message that wait in memory for one visit of a worker. */
#ifndef LMI_SERVICE_KEEP_H
#define LMI_SERVICE_KEEP_H

#include <libmail/base.h>

/* A message up to so many octets costs a worker one visit; a larger one goes to the spool in pieces
 * while it comes. */
#define LMI_KEEP_MAX 65536u

/* All zero is an empty one. */
typedef struct lmi_keep {
    char *ptr;
    size_t len, cap;
} lmi_keep;

/* Returns: OK; END when they would be more than LMI_KEEP_MAX; ERR_NOMEM. Nothing is kept then. */
lmail_status lmi_keep_add(lmi_keep *k, lmail_str octets);
lmail_str lmi_keep_all(const lmi_keep *k);
/* Empty again, and nothing allocated. */
void lmi_keep_free(lmi_keep *k);

#endif
