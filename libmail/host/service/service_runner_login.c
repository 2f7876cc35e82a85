/* service_runner_login.c - our login at a server: AuthInfo's credentials, one step of the mechanism on a
 * worker for each answer of the server. RFC 4954. */
#include "host/service/service_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

typedef struct lmi_auth_job {
    lmi_out *out;
    lmail_ticket ticket;
    lmail_str challenge, response;
    unsigned first, has_response;
    lmail_status status;
    char room[12288];
} auth_job;

static void step_auth(void *arg)
{
    auth_job *j = arg;
    j->status = lmail_auth_client_step(j->out->auth, j->first ? NULL : &j->challenge, &j->response,
                                       &j->has_response);
}

static void auth_stepped(void *arg)
{
    auth_job *j = arg;
    lmi_out *o = j->out;
    lmail_smtp_client_auth_answer a = LMAIL_SMTP_CLIENT_AUTH_ANSWER_INIT;
    a.kind = j->status ? LMAIL_SMTP_AUTH_CANCEL : LMAIL_SMTP_AUTH_SEND;
    a.mechanism = j->first ? j->response : (lmail_str){NULL, 0};
    a.response = j->response;
    if (j->first) {
        a.mechanism = lmail_str_from(j->room);
        a.has_response = j->has_response;
    }
    if (!o->closed) {
        if (lmail_smtp_client_answer_auth(o->client, j->ticket, &a, lmi_out_now(o)) ==
            LMAIL_ERR_ARG) {
            a = (lmail_smtp_client_auth_answer)LMAIL_SMTP_CLIENT_AUTH_ANSWER_INIT;
            a.kind = LMAIL_SMTP_AUTH_FAIL;
            (void)lmail_smtp_client_answer_auth(o->client, j->ticket, &a, lmi_out_now(o));
        }
        lmail_conn_wake(o->conn);
    }
    explicit_bzero(j->room, sizeof j->room);
    free(j);
    o->auth_job = NULL;
    if (o->closed)
        lmi_out_soon(o);
}

static lmail_status new_auth(lmi_out *o)
{
    const lmail_policy_credentials *c = o->credentials;
    const lmail_tls_facts *tls = lmail_smtp_client_tls(o->client);
    lmail_auth_credentials who = LMAIL_AUTH_CREDENTIALS_INIT;
    lmail_auth_server server = LMAIL_AUTH_SERVER_INIT;
    unsigned char binding[32];
    who.user = c->authid.len ? c->authid : c->authzid;
    who.authzid = c->authzid;
    who.password = c->password;
    who.realm = c->realm;
    who.mechanisms = c->mechanisms;
    server.service = LMAIL_STR("smtp");
    server.hostname = lmail_str_from(o->host);
    server.port = o->port;
    server.secure = tls != NULL || o->address[0] == '/';
    server.allow_cleartext = 1; /* AuthInfo says so: TLS is TLS_Srv's to demand */
    if (tls && !lmail_conn_channel_binding(o->conn, binding))
        server.exporter = (lmail_str){(const char *)binding, sizeof binding};
    return lmail_auth_client_new(&o->auth, &who, &server);
}

lmail_status lmi_out_auth(lmail_smtp_client *c, void *user, lmail_ticket t,
                          const lmail_smtp_client_auth_event *ev,
                          lmail_smtp_client_auth_answer *answer)
{
    lmi_out *o = user;
    lmail_str mechanism = {NULL, 0};
    (void)c;
    if (ev->finished) {
        answer->kind =
            lmail_auth_client_proven(o->auth) ? LMAIL_SMTP_AUTH_FAIL : LMAIL_SMTP_AUTH_GO_ON;
        return LMAIL_OK;
    }
    if (ev->step == 0) {
        if (!o->auth && (!o->credentials || !ev->mechanisms.len))
            return LMAIL_OK; /* GO_ON */
        lmail_status st = o->auth ? LMAIL_OK : new_auth(o);
        if (!st)
            st = lmail_auth_client_choose(o->auth, ev->mechanisms, &mechanism);
        if (st) { /* refused, the reply tells; or nothing that we can do */
            answer->kind = ev->refused ? LMAIL_SMTP_AUTH_FAIL : LMAIL_SMTP_AUTH_GO_ON;
            return LMAIL_OK;
        }
    }
    auth_job *j = calloc(1, sizeof *j);
    if (!j)
        return LMAIL_ERR_NOMEM;
    j->out = o;
    j->ticket = t;
    j->first = ev->step == 0;
    if (j->first) {
        snprintf(j->room, sizeof j->room, "%.*s", TEXT(mechanism));
    } else if (ev->challenge.len <= sizeof j->room) {
        memcpy(j->room, ev->challenge.ptr ? ev->challenge.ptr : "", ev->challenge.len);
        j->challenge = (lmail_str){j->room, ev->challenge.len};
    }
    o->auth_job = j;
    if (lmail_pool_submit(o->runner->pool, o->runner->loop, step_auth, auth_stepped, j, 0)) {
        o->auth_job = NULL;
        free(j);
        return LMAIL_ERR_BUSY;
    }
    return LMAIL_PENDING;
}
