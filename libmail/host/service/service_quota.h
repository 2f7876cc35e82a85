/* How much an account may hold. */
#ifndef LMI_HOST_SERVICE_QUOTA_H
#define LMI_HOST_SERVICE_QUOTA_H

#include "host/service/service_internal.h"

/* 0: any number. */
typedef struct lmi_quota {
    uint64_t octets, messages;
} lmi_quota;

/* What the settings or the account say. find: lmail_accounts_find on a worker, or
 * lmail_accounts_find_now; where it finds nothing the settings count. */
lmi_quota lmi_quota_of(const lmi_rules *rules,
                       lmail_status (*find)(lmail_accounts *, lmail_str, lmail_account *),
                       lmail_str account);
/* On a worker. OK, or ERR_QUOTA: a message of this size has no room. An account that cannot be looked
 * into has room. */
lmail_status lmi_quota_check(const lmi_rules *rules, const lmail_store *store, lmail_str account,
                             uint64_t size);

#endif
