/* service_lock.h - maildrop locks and the time between logins of POP3 (RFC 1939 §4, RFC 2449
 * §6.5). */
#ifndef LMI_SERVICE_LOCK_H
#define LMI_SERVICE_LOCK_H

#include <libmail/base.h>

typedef struct lmi_locks lmi_locks;

lmi_locks *lmi_locks_new(void); /* NULL: no memory */
void lmi_locks_free(lmi_locks *l);
/* Lock a name. delay: least milliseconds since it was last locked; 0: none. Any thread.
 * Returns: OK, ERR_BUSY (locked), ERR_LIMIT (too soon), ERR_NOMEM. */
lmail_status lmi_locks_take(lmi_locks *l, lmail_str name, lmail_msec delay, lmail_msec now);
void lmi_locks_give(lmi_locks *l, lmail_str name);

#endif
