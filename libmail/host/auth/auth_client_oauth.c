/* OAUTHBEARER (RFC 7628 §3.1) and XOAUTH2 from the client's side, added to GNU SASL: one message with
 * the token; a challenge then is the server's refusal, which is acknowledged (§3.2.3).
 *
 * Runs inside gsasl_step; user, token, host and port come from the session's properties and the
 * client's callback (auth_client.c). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth_client_internal.h"

#include <gsasl-mech.h> /* after gsasl.h, which it does not include */

static int start(Gsasl_session *session, void **data)
{
    (void)session;
    *data = calloc(1, sizeof(unsigned));
    return *data ? GSASL_OK : GSASL_MALLOC_ERROR;
}

static void finish(Gsasl_session *session, void *data)
{
    (void)session;
    free(data);
}

/* RFC 5801 §4: saslname. out has room for three times the name. */
static void write_saslname(char *out, const char *name)
{
    for (; *name; name++) {
        if (*name == ',' || *name == '=')
            out += sprintf(out, *name == ',' ? "=2C" : "=3D");
        else
            *out++ = *name;
    }
    *out = 0;
}

static int write_bearer(const lmail_auth_client *c, char *out, size_t cap)
{
    char *name = calloc(3, strlen(c->user) + 1), port[32] = "";
    if (!name)
        return -1;
    write_saslname(name, c->authzid ? c->authzid : c->user);
    if (c->port)
        snprintf(port, sizeof(port), "port=%u\001", c->port);
    int n = snprintf(out, cap, "n,a=%s,\001host=%s\001%sauth=Bearer %s\001\001", name, c->hostname,
                     port, c->token);
    free(name);
    return n;
}

static int step(Gsasl_session *session, void *data, const char *input, size_t input_len,
                char **output, size_t *output_len)
{
    unsigned *said = data;
    const lmail_auth_client *c = gsasl_session_hook_get(session);
    int bearer = c->id == LMI_OAUTHBEARER;
    (void)input;
    (void)input_len;
    if ((*said)++) { /* refused: the dummy response, so that the server ends the exchange */
        *output = strdup(bearer ? "\001" : "");
        *output_len = bearer ? 1 : 0;
        return *output ? GSASL_OK : GSASL_MALLOC_ERROR;
    }
    size_t cap = strlen(c->user) * 3 + (c->authzid ? strlen(c->authzid) * 3 : 0) +
                 strlen(c->hostname) + strlen(c->token) + 64;
    char *text = malloc(cap);
    if (!text)
        return GSASL_MALLOC_ERROR;
    int n = bearer ? write_bearer(c, text, cap)
                   : snprintf(text, cap, "user=%s\001auth=Bearer %s\001\001",
                              c->authzid ? c->authzid : c->user, c->token);
    if (n < 0 || (size_t)n >= cap) {
        free(text);
        return GSASL_MALLOC_ERROR;
    }
    *output = text;
    *output_len = (size_t)n;
    return GSASL_NEEDS_MORE; /* a refusal may come; success needs no more of it */
}

int lmi_oauth_register_client(Gsasl *gsasl)
{
    static const struct Gsasl_mechanism_functions client = {
        .start = start, .step = step, .finish = finish};
    const Gsasl_mechanism bearer = {.name = "OAUTHBEARER", .client = client};
    const Gsasl_mechanism xoauth2 = {.name = "XOAUTH2", .client = client};
    int rc = gsasl_register(gsasl, &bearer);
    return rc == GSASL_OK ? gsasl_register(gsasl, &xoauth2) : rc;
}
