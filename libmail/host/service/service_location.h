/* Where an account's mail lies. */
#ifndef LMI_HOST_SERVICE_LOCATION_H
#define LMI_HOST_SERVICE_LOCATION_H

#include "host/service/service_internal.h"

#define LMI_LOCATION_MAX 1024u

/* The location of an account for lmail_store_account_args: store.location with its letters replaced;
 * empty where the settings name none. On a worker: the accounts may be asked for a home.
 * Returns: OK, ERR_NOTFOUND (no home), ERR_ARG (the name cannot be part of a path), ERR_LIMIT, or
 * what the accounts say. */
lmail_status lmi_location(const lmi_rules *rules, lmail_str identity, char out[LMI_LOCATION_MAX],
                          lmail_str *location);
/* The home of an account, terminated, and its uid (LMAIL_NO_ID: not known). On a worker.
 * Returns: OK, ERR_NOTFOUND (it has none), ERR_ARG, ERR_LIMIT, or what the accounts say. */
lmail_status lmi_home(const lmi_rules *rules, lmail_str identity, char out[LMI_LOCATION_MAX],
                      uint32_t *uid);
/* At load: homes of accounts that belong to many users cannot be served. OK, or ERR_ARG with error
 * filled. */
lmail_status lmi_location_check(const lmi_rules *rules, char *error, size_t cap);

/* At a reload: mail that is open lies where it lay, so a place that changed needs a restart. OK, or
 * ERR_ARG with error filled. */
lmail_status lmi_location_same(const lmail_settings *before, const lmail_settings *now, char *error,
                               size_t cap);

#endif
