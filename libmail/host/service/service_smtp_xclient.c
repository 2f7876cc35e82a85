/* service_smtp_xclient.c - peers that say for whom they speak: XCLIENT and XFORWARD.
 *
 * Source: Postfix, XCLIENT_README and XFORWARD_README. After XCLIENT everything is as if a PROXY header
 * had named that client: address, name, counts and limits, block lists, mail filters, and the access
 * map's word on the connection. XFORWARD is for the log: "overrides one or more client-related logging
 * attributes", and "must not mix information from the current SMTP session with forwarded information
 * from an up-stream session". So no decision asks it, and the Received field tells of this session, as
 * RFC 5321 §4.4 has it; the client's own is in the field of the server before us. */
#include "host/service/service_milter_gate.h"
#include "host/service/service_secure.h"
#include "host/service/service_smtp.h"
#include "host/service/service_smtp_limits.h"

#include <stdlib.h>
#include <string.h>

/* Known to nobody: it is local nowhere, and stands in nobody's network (RFC 1122 §3.2.1.3). */
#define NO_ADDRESS LMAIL_STR("0.0.0.0")

uint64_t lmi_xclient_trusted(const smtp_peer *p)
{
    const lmi_rules *r = p->base.door->rules;
    const lmail_conn_facts *facts = lmail_conn_get_facts(p->base.conn);
    return (lmi_secure_trusts(r->secure, LMI_TRUSTED_XCLIENT, facts) ? LMAIL_SMTP_XCLIENT : 0u) |
           (lmi_secure_trusts(r->secure, LMI_TRUSTED_XFORWARD, facts) ? LMAIL_SMTP_XFORWARD : 0u);
}

/* ---- XCLIENT --------------------------------------------------------------------------------- */

static lmail_str address_of(const lmail_smtp_attribute *a)
{
    return a->given == LMAIL_SMTP_UNAVAILABLE ? NO_ADDRESS : a->value;
}

static unsigned port_of(const lmail_smtp_attribute *a)
{
    unsigned n = 0;
    for (size_t i = 0; i < a->value.len; i++) /* five digits at most */
        n = n * 10 + (unsigned)(a->value.ptr[i] - '0');
    return n;
}

/* The facts of the connection, and what is counted by them. */
static lmail_status move_to(smtp_peer *p, const lmail_smtp_xclient_event *ev)
{
    const lmi_rules *r = p->base.door->rules;
    lmail_status st =
        lmail_conn_set_addresses(p->base.conn, address_of(&ev->addr), port_of(&ev->port),
                                 address_of(&ev->destaddr), port_of(&ev->destport));
    if (st)
        return st;
    p->base.secure = (unsigned)lmi_secure_is(r->secure, r->settings, LMI_AUTH_SMTP,
                                             lmail_conn_get_facts(p->base.conn));
    if (ev->addr.given) {
        lmi_limits_ended(p);
        lmi_limits_began(p, lmi_peer_now(&p->base));
    }
    return LMAIL_OK;
}

/* The name is as good as one that we looked up. That of another address is no longer one. */
static lmail_status name_it(smtp_peer *p, const lmail_smtp_xclient_event *ev)
{
    static const unsigned char states[] = {[LMAIL_SMTP_NOT_GIVEN] = LMAIL_POLICY_NAME_UNKNOWN,
                                           [LMAIL_SMTP_GIVEN] = LMAIL_POLICY_NAME_VERIFIED,
                                           [LMAIL_SMTP_UNAVAILABLE] = LMAIL_POLICY_NAME_NONE,
                                           [LMAIL_SMTP_TEMPUNAVAIL] = LMAIL_POLICY_NAME_TEMPORARY};
    if (!ev->addr.given && !ev->name.given)
        return LMAIL_OK;
    return lmi_facts_assume(p, (lmail_policy_name_state)states[ev->name.given], ev->name.value);
}

/* Decisions about the client of before. */
static void forget(smtp_peer *p)
{
    if (p->features_off & LMAIL_POLICY_FEATURE_CLIENT_CERTIFICATE &&
        !lmail_smtp_server_tls(p->server))
        lmail_conn_set_tls(p->base.conn, NULL);
    p->features_on = p->features_off = 0;
    p->discard = 0;
    free(p->hold);
    p->hold = NULL;
    free(p->base.identity);
    p->base.identity = NULL;
    lmi_xforward_done(p);
    lmi_gate_closed(p); /* filters hear of a connection anew */
}

/* Who said so stands in the connection's first line. */
static void log_it(const smtp_peer *p, const lmail_smtp_xclient_event *ev)
{
    const struct {
        const char *name;
        lmail_str value;
    } all[] = {{"name", ev->name.value}, {"helo", ev->helo.value}, {"user", ev->login.value}};
    lmail_log_line l;
    lmi_peer_log(&p->base, &l, LMAIL_LOG_INFO, "xclient");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].value.len)
            lmail_log_text(&l, all[i].name, all[i].value);
    lmail_log_end(&l);
}

lmail_status lmi_xclient_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                               const lmail_smtp_xclient_event *ev, lmail_smtp_reply *reply)
{
    smtp_peer *p = user;
    (void)s;
    (void)t;
    lmail_status st = move_to(p, ev);
    if (st == LMAIL_ERR_BUSY) {
        lmi_reply_fill(reply, 421, "4.7.0", "Too many connections from that address");
        return LMAIL_OK;
    }
    if (st == LMAIL_ERR_SYNTAX) {
        lmi_reply_fill(reply, 501, "5.5.4", "Attribute ADDR has a bad value");
        return LMAIL_OK;
    }
    if (!st)
        st = name_it(p, ev);
    forget(p);
    if (!st && ev->login.value.len) {
        p->base.identity = strndup(ev->login.value.ptr, ev->login.value.len);
        st = p->base.identity ? LMAIL_OK : LMAIL_ERR_NOMEM;
    }
    if (st) { /* half of one client and half of another is nobody to go on with */
        lmi_reply_fill(reply, 421, "4.3.0", "Local error in processing");
        return LMAIL_OK;
    }
    log_it(p, ev);
    return LMAIL_OK;
}

/* ---- XFORWARD -------------------------------------------------------------------------------- */

enum { NAME, ADDR, PORT, PROTO, HELO, IDENT, SOURCE, WORDS };

struct lmi_xforward {
    char words[WORDS][256]; /* empty: unavailable, as all are at first */
};

lmail_status lmi_xforward_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                                const lmail_smtp_xclient_event *ev, lmail_smtp_reply *reply)
{
    smtp_peer *p = user;
    const lmail_smtp_attribute *all[WORDS] = {&ev->name, &ev->addr,  &ev->port,  &ev->proto,
                                              &ev->helo, &ev->ident, &ev->source};
    (void)s;
    (void)t;
    (void)reply;
    if (!p->xforward && !(p->xforward = calloc(1, sizeof *p->xforward)))
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < WORDS; i++) {
        char *to = p->xforward->words[i];
        size_t len = all[i]->value.len;
        if (!all[i]->given || len >= sizeof p->xforward->words[i])
            continue;
        if (len)
            memcpy(to, all[i]->value.ptr, len);
        to[len] = '\0';
    }
    return LMAIL_OK;
}

void lmi_xforward_log(const smtp_peer *p, lmail_log_line *l)
{
    static const char *const names[WORDS] = {"orig_name", "orig_addr",  "orig_port",  "orig_proto",
                                             "orig_helo", "orig_queue", "orig_source"};
    for (size_t i = 0; p->xforward && i < WORDS; i++)
        if (p->xforward->words[i][0])
            lmail_log_text(l, names[i], lmail_str_from(p->xforward->words[i]));
}

void lmi_xforward_done(smtp_peer *p)
{
    free(p->xforward);
    p->xforward = NULL;
}
