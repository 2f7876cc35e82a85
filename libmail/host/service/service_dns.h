/* service_dns.h - the resolver of each loop. */
#ifndef LMI_SERVICE_DNS_H
#define LMI_SERVICE_DNS_H

#include "host/service/service_internal.h"

#include <libmail/host/dns.h>

/* A resolver on every loop, before the loops run. Nothing for a service that never asks. */
lmail_status lmi_dns_open(lmail_service *s, const lmail_settings *v, char *error, size_t cap);
/* Settings were read again: other resolvers, where section dns has changed. On loop 0. Returns OK, or
 * fills error and nothing has changed. */
lmail_status lmi_dns_reload(lmail_service *s, lmi_rules *rules, char *error, size_t cap);
/* End them; what is asked is answered TEMP. On loop 0, before the net begins to stop. */
void lmi_dns_stop(lmail_service *s);
/* The loops run no more. */
void lmi_dns_end(lmail_service *s);
/* The one of a peer's loop. NULL: the service stops. */
lmail_dns *lmi_dns_of(const lmi_peer *peer);

#endif
