/* service_secure.c - how users of a protocol log in, and which connections need no TLS for it;
 * which SMTP peers may say for whom they speak.
 *
 * Such are: a unix socket; where the settings say so, a client with the very address that it connects
 * to, and clients in named networks. Behind a proxy the first address is the proxy's business, so a
 * client is never local there. */
#include "host/service/service_secure.h"
#include "host/net/net_address.h"

#include <stdio.h>
#include <stdlib.h>

struct lmi_secure {
    lmi_networks networks[LMI_AUTH_COUNT];
    lmi_networks trusted[LMI_TRUSTED_COUNT];
};

static unsigned inherited(unsigned own, unsigned common)
{
    return own == LMAIL_INHERIT ? common : own == LMAIL_INHERIT_YES;
}

lmi_login_settings lmi_login_of(const lmail_settings *s, unsigned auth)
{
    static const lmail_str_list none = {NULL, 0};
    lmi_login_settings l = {&s->auth.mechanisms, &none, s->auth.allow_cleartext, 0, 0, 0};
    const lmail_str_list *own = &none;
    if (auth == LMI_AUTH_IMAP) {
        own = &s->imap.auth_mechanisms;
        l = (lmi_login_settings){
            l.mechanisms,        &s->imap.secure_networks, s->imap.allow_cleartext,
            s->imap.require_tls, s->imap.local_is_secure,  s->imap.max_user_connections};
    } else if (auth == LMI_AUTH_POP3) {
        own = &s->pop3.auth_mechanisms;
        l = (lmi_login_settings){
            l.mechanisms,        &s->pop3.secure_networks, s->pop3.allow_cleartext,
            s->pop3.require_tls, s->pop3.local_is_secure,  s->pop3.max_user_connections};
    }
    if (auth == LMI_AUTH_SMTP) {
        own = &s->smtp.auth_mechanisms;
        l.allow_cleartext = inherited(s->smtp.allow_cleartext, s->auth.allow_cleartext);
    } else {
        l.allow_cleartext = inherited(l.allow_cleartext, s->auth.allow_cleartext) && !l.require_tls;
    }
    if (own->count)
        l.mechanisms = own;
    return l;
}

static lmail_status read_networks(lmi_networks *out, const lmail_str_list *list, const char *name,
                                  char *error, size_t cap)
{
    char *text = lmi_list_text(list);
    lmail_status st = text ? lmi_networks_parse(out, text) : LMAIL_ERR_NOMEM;
    if (st == LMAIL_ERR_SYNTAX) {
        snprintf(error, cap, "%s: %s: not a list of networks", name, text);
        st = LMAIL_ERR_ARG;
    }
    free(text);
    return st;
}

lmail_status lmi_secure_new(lmi_secure **out, const lmail_settings *settings, char *error,
                            size_t cap)
{
    static const char *const names[LMI_AUTH_COUNT] = {
        "smtp.secure_networks", "imap.secure_networks", "pop3.secure_networks"};
    lmi_secure *s = calloc(1, sizeof *s);
    lmail_status st = s ? LMAIL_OK : LMAIL_ERR_NOMEM;
    for (unsigned i = 0; !st && i < LMI_AUTH_COUNT; i++)
        st = read_networks(&s->networks[i], lmi_login_of(settings, i).secure_networks, names[i],
                           error, cap);
    if (!st)
        st = read_networks(&s->trusted[LMI_TRUSTED_XCLIENT], &settings->smtp.xclient_trusted,
                           "smtp.xclient_trusted", error, cap);
    if (!st)
        st = read_networks(&s->trusted[LMI_TRUSTED_XFORWARD], &settings->smtp.xforward_trusted,
                           "smtp.xforward_trusted", error, cap);
    if (st)
        lmi_secure_free(s);
    else
        *out = s;
    return st;
}

void lmi_secure_free(lmi_secure *s)
{
    for (unsigned i = 0; s && i < LMI_AUTH_COUNT; i++)
        lmi_networks_done(&s->networks[i]);
    for (unsigned i = 0; s && i < LMI_TRUSTED_COUNT; i++)
        lmi_networks_done(&s->trusted[i]);
    free(s);
}

int lmi_secure_is(const lmi_secure *s, const lmail_settings *settings, unsigned auth,
                  const lmail_conn_facts *facts)
{
    if (facts->unix_socket)
        return 1;
    if (lmi_login_of(settings, auth).local_is_secure && facts->peer_address.len &&
        !facts->proxy_address.len && lmail_str_equal(facts->peer_address, facts->local_address))
        return 1;
    lmi_address a;
    if (lmi_address_parse(facts->peer_address, &a))
        return 0;
    lmi_address_unmap(&a);
    return lmi_networks_hold(&s->networks[auth], &a);
}

int lmi_secure_trusts(const lmi_secure *s, unsigned trusted, const lmail_conn_facts *facts)
{
    lmi_address a = {0};
    if (facts->unix_socket)
        a.family = AF_UNIX;
    else if (lmi_address_parse(facts->peer_address, &a))
        return 0;
    lmi_address_unmap(&a);
    return lmi_networks_hold(&s->trusted[trusted], &a);
}
