/* policy_mail.c - may this client send as that sender.
 *
 * TLS_Clt first; the empty sender always passes (RFC 5321 §6.1: bounces have it); then the access
 * map, whose entry also excuses a domain that does not resolve; then the domain itself. */
#include "policy/policy_internal.h"

static int is_this_host(lmail_str domain)
{
    return lmail_str_equal(domain, LMAIL_STR("localhost")) ||
           lmail_str_equal(domain, LMAIL_STR("[127.0.0.1]")) ||
           lmail_str_equal(domain, LMAIL_STR("[ipv6:0:0:0:0:0:0:0:1]"));
}

/* Is the client this host itself: 1, 0, or -1 (v is NEED). */
static int client_is_local(lmi_case *a)
{
    char literal[LMI_MAX_ADDRESS_TEXT + 2];
    if (!a->network || a->address.loopback ||
        lmi_in_w(a, lmi_peer_literal(a, literal), "client address in class w"))
        return 1;
    if (a->peer->name_state == LMAIL_POLICY_NAME_UNKNOWN) {
        lmi_need(a, LMAIL_POLICY_NEED_NAME);
        return -1;
    }
    return a->name.len && lmi_in_w(a, a->name, "client name in class w");
}

/* No entry excuses the sender: its domain must be there. */
static void check_domain(lmi_case *a, const lmi_mailbox *from)
{
    const lmail_policy_config *c = &a->p->config;
    lmail_str text = a->q->sender;
    if (from->domain.len == 0) {
        if (a->network && !c->accept_unqualified_senders && !a->q->unqualified_sender) {
            LMI_DENY(a, 553, "5.5.4", LMAIL_STR("Domain name required for sender address "), text);
            a->v->rule = LMAIL_STR("unqualified sender");
        }
        return;
    }
    if (c->accept_unresolvable_domains || lmi_in_w(a, from->domain, "sender domain in class w"))
        return;
    lmi_step_fact(a, from->domain, a->q->sender_domain == LMAIL_POLICY_YES,
                  "sender domain in the DNS");
    switch (a->q->sender_domain) {
    case LMAIL_POLICY_UNKNOWN:
        lmi_need(a, LMAIL_POLICY_NEED_SENDER_DOMAIN);
        return;
    case LMAIL_POLICY_YES:
        return;
    case LMAIL_POLICY_TEMPORARY:
        LMI_DENY(a, 451, "4.1.8", LMAIL_STR("Domain of sender address "), text,
                 LMAIL_STR(" does not resolve"));
        break;
    case LMAIL_POLICY_NO:
        LMI_DENY(a, 553, "5.1.8", LMAIL_STR("Domain of sender address "), text,
                 LMAIL_STR(" does not exist"));
        break;
    }
    a->v->rule = LMAIL_STR("sender domain");
}

void lmi_check_mail(lmi_case *a)
{
    const lmail_policy_config *c = &a->p->config;
    lmi_mailbox from;
    lmi_check_tls(a, LMI_TAG_TLS_CLT);
    if (a->v->kind != LMAIL_POLICY_ACCEPT)
        return;
    lmi_policy_accept(a, LMAIL_POLICY_ACCEPT, a->q->sender.len ? "no entry" : "empty sender");
    if (a->q->sender.len == 0 || !lmi_mailbox_parse(a, a->q->sender, &from))
        return;
    if (is_this_host(from.domain) && !c->accept_unqualified_senders && !a->q->unqualified_sender) {
        int local = client_is_local(a);
        if (local < 0)
            return;
        if (!local) {
            LMI_DENY(a, 553, "5.5.4", LMAIL_STR("Real domain name required for sender address"));
            a->v->rule = LMAIL_STR("sender at this host");
            return;
        }
    }
    const lmi_map_entry *e = lmi_search_mailbox(
        a, LMI_TAG_FROM, &from, LMI_SEARCH_F | LMI_SEARCH_U | LMI_SEARCH_D, "sender");
    if (!e) {
        check_domain(a, &from);
        return;
    }
    if (lmi_obey(a, e, &a->p->reject))
        return;
    lmi_blame(a, &a->p->access, e, NULL);
    a->sender_ok = lmi_entry_kind(e) == LMI_VALUE_OK || lmi_entry_kind(e) == LMI_VALUE_RELAY;
}

lmail_status lmail_policy_mail(const lmail_policy *policy, const lmail_policy_question *question,
                               lmail_policy_verdict *verdict)
{
    lmi_case a;
    lmail_status st = lmi_case_begin(&a, policy, question, verdict);
    if (st)
        return st;
    if (policy->config.delay_checks)
        lmi_policy_accept(&a, LMAIL_POLICY_ACCEPT, "delay_checks");
    else
        lmi_check_mail(&a);
    lmi_case_end(&a, "2.1.0", "Sender ok");
    return LMAIL_OK;
}
