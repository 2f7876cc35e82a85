/* service_limits.h - what limits all sessions together: the machine's load, the space on its disk,
 * and how often and how much each client comes.
 *
 *     service_limits.c       load and space; listeners that are closed while the load is high
 *     service_rates.c        connections of each client, open and in a while
 *     service_smtp_limits.c  what sessions are told of all that
 *
 * Any thread may ask. */
#ifndef LMI_SERVICE_LIMITS_H
#define LMI_SERVICE_LIMITS_H

#include "host/service/service_internal.h"

/* The listeners of SMTP share smtp.max_sessions. */
#define LMI_GROUP_SMTP 1u

typedef struct lmi_limits lmi_limits;
typedef struct lmi_rates lmi_rates;

/* OK, ERR_NOMEM. */
lmail_status lmi_limits_new(lmail_service *service);
/* On loop 0, when the listeners are there and after each reload. */
void lmi_limits_apply(lmail_service *service);
/* In two steps, with the net freed between them. NULL is allowed. */
void lmi_limits_end(lmi_limits *l);
void lmi_limits_free(lmi_limits *l);

/* Is the load average above a setting of this listener, or the one of section smtp that it stands
 * for? */
int lmi_limits_queues(const lmi_door *door); /* mail is only queued */
int lmi_limits_delays(const lmi_door *door); /* connections wait a second */
/* Octets free below mail_directory, looked up at most once a second. UINT64_MAX: not known. */
uint64_t lmi_limits_space(lmail_service *service, lmail_msec now);

/* ---- Clients --------------------------------------------------------------------------------- */

/* A connection of the client `key` (lmail_conn_key; 0 is not counted) begins or ends. began fills
 * the counts, this one included: of the last `window` milliseconds and of those that are open. */
void lmi_rates_began(lmail_service *service, uint64_t key, lmail_msec window, lmail_msec now,
                     uint64_t *recent, uint64_t *open);
void lmi_rates_ended(lmail_service *service, uint64_t key);

lmi_rates *lmi_rates_new(void);
void lmi_rates_free(lmi_rates *r);
lmi_rates *lmi_limits_rates(lmi_limits *l);

#endif
