/* service_milter_macro.c - the macros that a mail filter is shown, under sendmail's names. What is not
 * known at a stage has no value and is not sent. */
#include "host/service/service_milter.h"

#include <stdio.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

static const lmail_str none = {NULL, 0};

/* In f->macro. */
static lmail_str say(lmi_filters *f, const char *format, lmail_str text)
{
    int n = snprintf(f->macro, sizeof f->macro, format, (int)text.len, text.len ? text.ptr : "");
    return (lmail_str){f->macro, n > 0 && (size_t)n < sizeof f->macro ? (size_t)n : 0};
}

static lmail_str number(lmi_filters *f, uint64_t value)
{
    int n = snprintf(f->macro, sizeof f->macro, "%llu", (unsigned long long)value);
    return (lmail_str){f->macro, (size_t)n};
}

static int is(lmail_str name, const char *other)
{
    return lmail_str_equal(name, lmail_str_from(other));
}

static lmail_str present(lmail_str text)
{
    return text.len ? text : none;
}

/* ---- The machine and the connection ---------------------------------------------------------- */

static lmail_str of_client(lmi_filters *f, lmail_str name)
{
    const smtp_peer *p = f->peer;
    const lmail_conn_facts *facts = lmail_conn_get_facts(p->base.conn);
    lmail_policy_peer peer;
    lmi_facts_peer(p, &peer);
    if (is(name, "client_addr"))
        return facts->peer_address.len ? facts->peer_address : LMAIL_STR("127.0.0.1");
    if (is(name, "client_port"))
        return number(f, facts->peer_port);
    if (is(name, "client_name") || is(name, "client_ptr"))
        return peer.name.len              ? peer.name
               : !facts->peer_address.len ? LMAIL_STR("localhost")
                                          : say(f, "[%.*s]", facts->peer_address);
    if (is(name, "client_resolve"))
        return p->name_state == LMAIL_POLICY_NAME_FORGED      ? LMAIL_STR("FORGED")
               : p->name_state == LMAIL_POLICY_NAME_NONE      ? LMAIL_STR("FAIL")
               : p->name_state == LMAIL_POLICY_NAME_TEMPORARY ? LMAIL_STR("TEMP")
                                                              : LMAIL_STR("OK");
    return none;
}

static lmail_str of_connection(lmi_filters *f, lmail_str name)
{
    const smtp_peer *p = f->peer;
    const lmail_conn_facts *facts = lmail_conn_get_facts(p->base.conn);
    if (is(name, "j") || is(name, "if_name"))
        return lmail_str_from(p->base.door->rules->hostname);
    if (is(name, "v"))
        return LMAIL_STR("libmail " LMAIL_VERSION);
    if (is(name, "_"))
        return (lmail_str){f->macro, lmi_facts_write(p, f->macro, sizeof f->macro)};
    if (is(name, "daemon_name"))
        return p->base.door->settings->name;
    if (is(name, "daemon_addr") || is(name, "if_addr"))
        return present(facts->local_address);
    if (is(name, "daemon_port"))
        return facts->local_port ? number(f, facts->local_port) : none;
    return name.len > 7 && memcmp(name.ptr, "client_", 7) == 0 ? of_client(f, name) : none;
}

static lmail_str of_tls(lmi_filters *f, lmail_str name)
{
    const lmail_tls_facts *tls = lmail_smtp_server_tls(f->peer->server);
    if (!tls)
        return none;
    if (is(name, "tls_version"))
        return tls->version;
    if (is(name, "cipher"))
        return tls->cipher;
    if (is(name, "cipher_bits"))
        return number(f, tls->bits);
    if (is(name, "cert_subject"))
        return present(tls->peer_subject);
    if (is(name, "cert_issuer"))
        return present(tls->peer_issuer);
    if (is(name, "cn_subject"))
        return present(tls->peer_common_name);
    return is(name, "verify") ? tls->peer_verified   ? LMAIL_STR("OK")
                                : tls->peer_rejected ? LMAIL_STR("FAIL")
                                                     : LMAIL_STR("NO")
                              : none;
}

/* ---- The message ----------------------------------------------------------------------------- */

static lmail_str of_login(const lmi_filters *f, lmail_str name)
{
    const smtp_peer *p = f->peer;
    lmail_str who = lmail_smtp_server_identity(p->server);
    if (!who.len)
        return none;
    if (is(name, "auth_authen"))
        return who;
    if (is(name, "auth_type"))
        return lmail_smtp_server_mechanism(p->server);
    if (is(name, "auth_ssf"))
        return LMAIL_STR("0"); /* no layer of SASL's own; TLS has its macros */
    return is(name, "auth_author") && p->mail && p->mail->has_auth ? present(p->mail->auth) : none;
}

static lmail_str domain_of(lmail_str address)
{
    size_t at = address.len;
    while (at && address.ptr[at - 1] != '@')
        at--;
    return at ? (lmail_str){address.ptr + at, address.len - at} : none;
}

static lmail_str of_sender(const lmi_filters *f, lmail_str name)
{
    const lmi_mail *m = f->peer->mail;
    lmail_str from = lmail_str_from(m->from), domain = domain_of(from);
    int here = !domain.len || lmi_rules_local_domain(f->door->rules, domain);
    if (is(name, "mail_addr") || is(name, "f"))
        return from;
    if (is(name, "mail_mailer"))
        return here ? LMAIL_STR("local") : LMAIL_STR("esmtp");
    return is(name, "mail_host") ? here ? LMAIL_STR("") : domain : none;
}

/* Of the recipient that is asked about: the last one. */
static lmail_str of_rcpt(lmi_filters *f, lmail_str name)
{
    const lmi_mail *m = f->peer->mail;
    if (f->rejected)
        return is(name, "rcpt_mailer") ? LMAIL_STR("error")
               : is(name, "rcpt_host") ? lmail_str_from(f->kept.enhanced)
               : is(name, "rcpt_addr") ? lmail_str_from(f->kept.text)
                                       : none;
    const lmi_recipient *r = m->count ? &m->recipients[m->count - 1] : NULL;
    if (!r)
        return none;
    if (is(name, "rcpt_addr"))
        return lmail_str_from(r->account[0] ? r->account : r->address);
    const char *colon = strchr(r->route, ':');
    if (is(name, "rcpt_mailer"))
        return r->account[0] ? LMAIL_STR("local")
               : colon       ? (lmail_str){r->route, (size_t)(colon - r->route)}
                             : LMAIL_STR("esmtp");
    return !is(name, "rcpt_host") ? none
           : r->account[0]        ? LMAIL_STR("")
           : colon                ? lmail_str_from(colon + 1)
                                  : domain_of(lmail_str_from(r->address));
}

static lmail_str message_id(lmi_filters *f)
{
    const lmi_letter *l = f->peer->mail->letter;
    for (size_t i = 0; l && i < l->count; i++) {
        const lmi_field *x = &l->fields[i];
        if (!lmail_str_equal_nocase((lmail_str){x->text, x->name}, LMAIL_STR("Message-ID")))
            continue;
        lmail_str value = {x->text + x->value, x->len - x->value};
        while (value.len && (unsigned char)*value.ptr <= ' ')
            value = (lmail_str){value.ptr + 1, value.len - 1};
        return value;
    }
    return none;
}

lmail_str lmi_filter_macro(const lmail_milter_client *s, void *user, lmail_milter_stage stage,
                           lmail_str name)
{
    lmi_filter *x = user;
    lmi_filters *f = x->set;
    (void)s;
    if (!f->peer)
        return none;
    lmail_str value = of_connection(f, name);
    if (!value.ptr)
        value = of_tls(f, name);
    if (!value.ptr)
        value = of_login(f, name);
    if (value.ptr || !f->peer->mail || stage < LMAIL_MILTER_STAGE_MAIL)
        return value;
    if (is(name, "i"))
        return lmail_str_from(f->peer->mail->id);
    if (is(name, "msg_id"))
        return message_id(f);
    if (is(name, "nrcpts"))
        return number(f, f->peer->mail->count);
    value = of_sender(f, name);
    return value.ptr || stage != LMAIL_MILTER_STAGE_RCPT ? value : of_rcpt(f, name);
}
