/* How many connections a user has from one address. Any thread may call. */
#ifndef LMI_HOST_SERVICE_CROWD_H
#define LMI_HOST_SERVICE_CROWD_H

#include <libmail/base.h>

typedef struct lmi_crowd lmi_crowd;
typedef struct lmi_crowd_entry lmi_crowd_entry;

lmi_crowd *lmi_crowd_new(void); /* NULL: no memory */
void lmi_crowd_free(lmi_crowd *c);
/* One more connection of `protocol` for that user from that address. OK and *out, to be given back;
 * ERR_LIMIT: there are `most` already; ERR_NOMEM. */
lmail_status lmi_crowd_take(lmi_crowd *c, unsigned protocol, lmail_str user, lmail_str address,
                            uint64_t most, lmi_crowd_entry **out);
void lmi_crowd_give(lmi_crowd *c, lmi_crowd_entry *e); /* NULL is allowed */

#endif
