/* policy_relay.c - may this client relay, whatever the recipient.
 *
 * By its address: loopback, class R, Connect: RELAY, one of this host's own. Then, where the
 * administrator opened that door, by the sender. Then by its verified name. */
#include "policy/policy_internal.h"

static int is_relay(const lmi_map_entry *e)
{
    return e && lmi_entry_kind(e) == LMI_VALUE_RELAY;
}

/* rule NULL: the entry's key. */
static int yes(lmi_case *a, const lmi_map *map, const lmi_map_entry *e, const char *rule)
{
    lmi_policy_accept(a, LMAIL_POLICY_RELAY, rule ? rule : "");
    if (e)
        lmi_blame(a, map, e, rule);
    return 1;
}

int lmi_is_trusted(const lmi_case *a)
{
    const lmail_policy_config *c = &a->p->config;
    if (a->peer->mechanism.len == 0)
        return 0;
    for (size_t i = 0; i < c->trusted_mechanism_count; i++)
        if (lmail_str_equal_nocase(a->peer->mechanism, c->trusted_mechanisms[i])) {
            lmi_step_fact(a, a->peer->mechanism, 1, "trusted mechanism");
            return 1;
        }
    lmi_step_fact(a, a->peer->mechanism, 0, "trusted mechanism");
    return 0;
}

const lmi_map_entry *lmi_relay_to(const lmi_case *a, const lmi_mailbox *m)
{
    const lmail_policy_config *c = &a->p->config;
    const lmi_map_entry *e = NULL;
    if (c->relay_to_full_address)
        e = lmi_search_full(a, LMI_TAG_TO, m, "recipient, relaying");
    if (!e && c->relay_hosts_only)
        e = lmi_search_exact(a, LMI_TAG_TO, m->domain, "recipient domain, relaying");
    else if (!e)
        e = lmi_search_domain(a, LMI_TAG_TO, m->domain, "recipient domain, relaying");
    return is_relay(e) ? e : NULL;
}

static int by_address(lmi_case *a)
{
    char literal[LMI_MAX_ADDRESS_TEXT + 2];
    const lmi_map_entry *e;
    lmi_step_fact(a, a->peer->address, a->address.loopback, "loopback address");
    if (a->address.loopback)
        return yes(a, NULL, NULL, "loopback");
    if ((e = lmi_address_in_r(a, "client address in class R")))
        return yes(a, &a->p->r, e, "class R");
    e = lmi_search_address(a, LMI_TAG_CONNECT, "client address, relaying");
    if (is_relay(e))
        return yes(a, &a->p->access, e, NULL);
    if ((e = lmi_in_w(a, lmi_peer_literal(a, literal), "client address in class w")))
        return yes(a, &a->p->w, e, "class w");
    return 0;
}

/* The sender can be forged by anybody. */
static int by_sender(lmi_case *a)
{
    const lmail_policy_config *c = &a->p->config;
    lmi_mailbox from;
    const lmi_map_entry *e;
    if ((!c->relay_local_from && !c->relay_mail_from) || a->q->sender.len == 0)
        return 0;
    if (!lmi_mailbox_parse(a, a->q->sender, &from))
        return 0;
    if (c->relay_local_from && from.domain.len &&
        (e = lmi_in_w(a, from.domain, "sender domain in class w")))
        return yes(a, &a->p->w, e, "relay_local_from");
    if (!c->relay_mail_from)
        return 0;
    /* Tagged entries alone: an untagged one was not written about senders. */
    lmi_case tagged = *a;
    tagged.tagged_only = 1;
    e = lmi_search_full(&tagged, LMI_TAG_FROM, &from, "sender, relaying");
    if (!e && c->relay_mail_from == LMAIL_POLICY_RELAY_FROM_DOMAIN) {
        if (c->relay_hosts_only)
            e = lmi_search_exact(&tagged, LMI_TAG_FROM, from.domain, "sender domain, relaying");
        else
            e = lmi_search_domain(&tagged, LMI_TAG_FROM, from.domain, "sender domain, relaying");
    }
    return is_relay(e) && yes(a, &a->p->access, e, NULL);
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]": as the host wrote it. */
static void deny_unverified(lmi_case *a)
{
    lmail_str address = a->peer->address, tag = {NULL, 0};
    if (lmi_str_find(address, ':') < address.len &&
        !lmi_str_has_prefix_nocase(address, LMAIL_STR("IPv6:")))
        tag = LMAIL_STR("IPv6:");
    if (a->peer->name_state == LMAIL_POLICY_NAME_TEMPORARY)
        LMI_DENY(a, 450, "4.4.0",
                 LMAIL_STR("Relaying temporarily denied. Cannot resolve PTR record for "), tag,
                 address);
    else if (a->peer->name_state == LMAIL_POLICY_NAME_FORGED)
        LMI_DENY(a, 550, "5.7.1", LMAIL_STR("Relaying denied. IP name possibly forged ["), tag,
                 address, LMAIL_STR("]"));
    else
        LMI_DENY(a, 550, "5.7.1", LMAIL_STR("Relaying denied. IP name lookup failed ["), tag,
                 address, LMAIL_STR("]"));
    a->v->rule = LMAIL_STR("client name");
}

static int by_name(lmi_case *a)
{
    const lmi_map_entry *e;
    if (lmi_in_host_domain(a, a->name, "client in the host's own domain"))
        return yes(a, NULL, NULL, "relay_entire_domain");
    if ((e = lmi_in_w(a, a->name, "client name in class w")))
        return yes(a, &a->p->w, e, "class w");
    if ((e = lmi_name_in_r(a, a->name, "client name in class R")))
        return yes(a, &a->p->r, e, "class R");
    if (a->p->config.relay_hosts_only)
        e = lmi_search_exact(a, LMI_TAG_CONNECT, a->name, "client name, relaying");
    else
        e = lmi_search_domain(a, LMI_TAG_CONNECT, a->name, "client name, relaying");
    return is_relay(e) && yes(a, &a->p->access, e, NULL);
}

int lmi_may_relay(lmi_case *a)
{
    if (!a->network)
        return yes(a, NULL, NULL, "no network client");
    if (by_address(a) || by_sender(a))
        return 1;
    if (a->peer->name_state == LMAIL_POLICY_NAME_UNKNOWN) {
        lmi_need(a, LMAIL_POLICY_NEED_NAME);
        return -1;
    }
    lmi_step_fact(a, a->peer->address, a->name.len > 0, "client name verified");
    if (a->name.len == 0) {
        deny_unverified(a);
        return 0;
    }
    if (by_name(a))
        return 1;
    lmi_deny_parts(a, &a->p->relay, &a->p->relay);
    a->v->rule = LMAIL_STR("relaying");
    return 0;
}
