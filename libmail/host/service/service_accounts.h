/* Accounts as the settings want them: which sources, in which order. */
#ifndef LMI_HOST_SERVICE_ACCOUNTS_H
#define LMI_HOST_SERVICE_ACCOUNTS_H

#include <libmail/config.h>
#include <libmail/host/accounts.h>

/* Open auth.sources. saslauthd in cfg is filled in here. error: as lmail_service_new. */
lmail_status lmi_accounts_open(lmail_accounts **out, const lmail_settings *settings,
                               const lmail_accounts_config *cfg, char *error, size_t cap);

#endif
