/* What the files of authd share: the ways to check a password, as libmail/host/saslauthd.h has
 * them. Each runs in a child of its own. */
#ifndef AUTHD_H
#define AUTHD_H

#include <libmail/config.h>
#include <libmail/host/accounts.h>
#include <libmail/host/saslauthd.h>

typedef struct authd_facts {
    const lmail_settings *settings;
    lmail_accounts *accounts; /* NULL when authd.check does not name them */
    char hostname[256];       /* the machine's */
} authd_facts;

/* authd_check.c. user of each is a authd_facts. */

/* The domain of names without one, as the mail daemons have it. */
lmail_str authd_default_domain(const authd_facts *f);
/* The realm of a request is one of this server's: then its login is a user of the system, too. */
int authd_is_own_realm(const authd_facts *f, lmail_str realm);
/* The login as a user of the system: a terminated copy in out. 0 when it cannot be one. */
int authd_system_login(const authd_facts *f, const lmail_saslauthd_request *request, char *out,
                       size_t cap);
/* Users of the system below auth.system_min_uid have no password for us. */
int authd_may_log_in(const authd_facts *f, const char *login);

void authd_accounts_prepare(void *user, const lmail_saslauthd_request *request);
lmail_status authd_accounts_check(void *user, const lmail_saslauthd_request *request);
/* authd_shadow.c, authd_pam.c */
lmail_status authd_shadow_check(void *user, const lmail_saslauthd_request *request);
lmail_status authd_pam_check(void *user, const lmail_saslauthd_request *request);

#endif
