/* policy_rcpt.c - may this client send to that recipient; may it send at all.
 *
 * Is the recipient good (To:, a trusted login, class w, class R, To: RELAY); if that does not settle
 * it, may the client relay. With delay_checks the checks of sender and connection follow. */
#include "policy/policy_internal.h"

#include <string.h>

/* The recipient's own entries. 1: decided. */
static int recipient_refused(lmi_case *a, const lmi_mailbox *to)
{
    if (!a->p->config.blocklist_recipients)
        return 0;
    unsigned which = LMI_SEARCH_F | LMI_SEARCH_D;
    if (a->v->local)
        which |= LMI_SEARCH_U;
    const lmi_map_entry *e = lmi_search_mailbox(a, LMI_TAG_TO, to, which, "recipient");
    return e && lmi_obey(a, e, &a->p->reject_recipient);
}

static void take(lmi_case *a, const char *rule)
{
    lmi_policy_accept(a, a->v->local ? LMAIL_POLICY_LOCAL : LMAIL_POLICY_RELAY, rule);
}

static void take_by(lmi_case *a, const lmi_map *map, const lmi_map_entry *e, const char *rule)
{
    take(a, rule);
    lmi_blame(a, map, e, rule);
}

/* 1: the recipient is good by itself. */
static int recipient_good(lmi_case *a, const lmi_mailbox *to, unsigned refused_route)
{
    const lmi_map_entry *e;
    if (a->p->config.promiscuous_relay) {
        take(a, "promiscuous_relay");
        return 1;
    }
    if (lmi_is_trusted(a)) {
        take(a, "trusted login");
        return 1;
    }
    if (refused_route)
        return 0;
    if (to->domain.len == 0) {
        take(a, "unqualified recipient");
        return 1;
    }
    if (a->v->local) {
        take_by(a, &a->p->w, lmi_map_find(&a->p->w, to->domain), "class w");
        return 1;
    }
    if (lmi_in_host_domain(a, to->domain, "recipient in the host's own domain")) {
        take(a, "relay_entire_domain");
        return 1;
    }
    if ((e = lmi_name_in_r(a, to->domain, "recipient domain in class R"))) {
        take_by(a, &a->p->r, e, "class R");
        return 1;
    }
    if ((e = lmi_relay_to(a, to))) {
        take_by(a, &a->p->access, e, NULL);
        return 1;
    }
    return 0;
}

/* Last, since it costs a lookup: does the recipient's domain name this host as MX? 1: decided. */
static int served_as_mx(lmi_case *a, const lmi_mailbox *to)
{
    if (!a->p->config.relay_based_on_mx || *to->domain.ptr == '[')
        return 0;
    lmi_step_fact(a, to->domain, a->q->recipient_mx == LMAIL_POLICY_YES,
                  "this host is an MX of the recipient");
    switch (a->q->recipient_mx) {
    case LMAIL_POLICY_UNKNOWN:
        lmi_need(a, LMAIL_POLICY_NEED_RECIPIENT_MX);
        return 1;
    case LMAIL_POLICY_YES:
        return 1;
    case LMAIL_POLICY_TEMPORARY:
        LMI_DENY(a, 450, "4.4.0", LMAIL_STR("Can not check MX records for recipient host "),
                 to->domain);
        a->v->rule = LMAIL_STR("relay_based_on_MX");
        return 1;
    case LMAIL_POLICY_NO:
        break;
    }
    return 0;
}

static void check(lmi_case *a)
{
    lmi_mailbox to;
    unsigned refused_route;
    lmi_policy_accept(a, LMAIL_POLICY_ACCEPT, "");
    if (!lmi_recipient_parse(a, a->q->recipient, &to, &refused_route))
        return;
    a->v->local = to.domain.len == 0 || lmi_in_w(a, to.domain, "recipient domain in class w");
    if (recipient_refused(a, &to) || recipient_good(a, &to, refused_route))
        return;
    int may = lmi_may_relay(a);
    if (may > 0)
        a->v->kind = a->v->local ? LMAIL_POLICY_LOCAL : LMAIL_POLICY_RELAY;
    else if (may == 0 && to.domain.len && served_as_mx(a, &to) &&
             a->q->recipient_mx == LMAIL_POLICY_YES)
        take(a, "relay_based_on_MX");
}

/* ---- delay_checks ---------------------------------------------------------------------------- */

/* Is this recipient spared the checks of sender and connection? */
static int spared(lmi_case *a)
{
    unsigned mode = a->p->config.delay_checks;
    lmi_mailbox to = {a->v->local_part, a->v->domain};
    if (!to.domain.len) /* of this host, by its name */
        to.domain = a->p->config.host_name;
    char folded[LMAIL_POLICY_MAX_ADDRESS];
    if (lmi_is_trusted(a))
        return 1;
    if (mode == LMAIL_POLICY_DELAY_ON || to.local.len > sizeof folded)
        return 0;
    memcpy(folded, to.local.ptr, to.local.len);
    lmi_map_fold(folded, to.local.len);
    to.local.ptr = folded;
    const unsigned which = LMI_SEARCH_F | LMI_SEARCH_U | LMI_SEARCH_D; /* at any domain */
    const lmi_map_entry *e = lmi_search_mailbox(a, LMI_TAG_SPAM, &to, which, "friend or hater");
    if (mode == LMAIL_POLICY_DELAY_FRIEND)
        return e && lmi_entry_kind(e) == LMI_VALUE_FRIEND;
    return !e || lmi_entry_kind(e) != LMI_VALUE_HATER;
}

static void check_delayed(lmi_case *a)
{
    lmail_policy_verdict *v = a->v;
    lmail_policy_verdict_kind kind = v->kind;
    lmail_str rule = v->rule, file = v->file;
    size_t line = v->line;
    if (kind >= LMAIL_POLICY_DISCARD)
        return;
    if (spared(a)) {
        lmi_check_tls(a, LMI_TAG_TLS_CLT);
    } else {
        lmi_check_mail(a);
        v->connection = v->kind == LMAIL_POLICY_ACCEPT && !a->sender_ok;
        if (v->connection)
            lmi_check_connect(a);
    }
    if (v->kind != LMAIL_POLICY_ACCEPT)
        return;
    lmi_policy_accept(a, kind, "");
    v->rule = rule;
    v->file = file;
    v->line = line;
}

lmail_status lmail_policy_rcpt(const lmail_policy *policy, const lmail_policy_question *question,
                               lmail_policy_verdict *verdict)
{
    lmi_case a;
    lmail_status st = lmi_case_begin(&a, policy, question, verdict);
    if (st)
        return st;
    check(&a);
    if (policy->config.delay_checks)
        check_delayed(&a);
    lmi_case_end(&a, "2.1.5", "Recipient ok");
    return LMAIL_OK;
}

lmail_status lmail_policy_client(const lmail_policy *policy, const lmail_policy_question *question,
                                 lmail_policy_verdict *verdict)
{
    lmi_case a;
    lmail_status st = lmi_case_begin(&a, policy, question, verdict);
    if (st)
        return st;
    lmi_policy_accept(&a, LMAIL_POLICY_ACCEPT, "trusted login");
    if (!lmi_is_trusted(&a) && lmi_may_relay(&a) > 0)
        a.v->kind = LMAIL_POLICY_ACCEPT;
    lmi_case_end(&a, "2.1.0", "Client ok");
    return LMAIL_OK;
}
