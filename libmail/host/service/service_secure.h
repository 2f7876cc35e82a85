/* Which connections need no TLS: nobody can listen there, or the administrator says so. Which SMTP
 * peers may say for whom they speak. */
#ifndef LMI_HOST_SERVICE_SECURE_H
#define LMI_HOST_SERVICE_SECURE_H

#include "host/service/service_internal.h"

typedef struct lmi_secure lmi_secure;

/* The networks of the settings. OK, ERR_NOMEM, or ERR_ARG with error filled. */
lmail_status lmi_secure_new(lmi_secure **out, const lmail_settings *settings, char *error,
                            size_t cap);
void lmi_secure_free(lmi_secure *s); /* NULL is allowed */
/* Is a connection with these facts as good as one with TLS? auth: LMI_AUTH_*. */
int lmi_secure_is(const lmi_secure *s, const lmail_settings *settings, unsigned auth,
                  const lmail_conn_facts *facts);

enum { LMI_TRUSTED_XCLIENT, LMI_TRUSTED_XFORWARD, LMI_TRUSTED_COUNT };
/* Is the peer in smtp.xclient_trusted, smtp.xforward_trusted? */
int lmi_secure_trusts(const lmi_secure *s, unsigned trusted, const lmail_conn_facts *facts);

#endif
