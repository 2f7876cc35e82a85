/* What the files of the client's side share. */
#ifndef LMI_HOST_AUTH_CLIENT_INTERNAL_H
#define LMI_HOST_AUTH_CLIENT_INTERNAL_H

#include "auth_internal.h"

#include <libmail/host/auth_client.h>

struct lmail_auth_client {
    Gsasl *gsasl;
    Gsasl_session *session; /* of the exchange; NULL: nothing is chosen */
    lmi_mechanism_id id;
    char *user, *password, *token, *realm, *mechanisms; /* terminated; NULL: none */
    char *authzid;                                      /* NULL: acts as user */
    char *service, *hostname, *exporter;                /* exporter in base64 */
    unsigned port, secure, certificate, allow_cleartext;

    unsigned tried; /* a bit a mechanism */
    unsigned steps;
    unsigned done; /* the library has said all and, where it checks the server, believes it */
    unsigned over; /* it failed */
    char *output;
    size_t output_len;
};

int lmi_oauth_register_client(Gsasl *gsasl);

#endif
