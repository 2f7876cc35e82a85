/* policy_connect.c - may this client connect: its verified name, then its address.
 *
 * A name that is not verified is never used; the client's address in brackets takes its place. */
#include "policy/policy_internal.h"

void lmi_check_connect(lmi_case *a)
{
    unsigned need;
    lmi_policy_accept(a, LMAIL_POLICY_ACCEPT, a->network ? "no entry" : "no network client");
    const lmi_map_entry *e = a->network ? lmi_search_peer(a, LMI_TAG_CONNECT, 0, &need) : NULL;
    if (a->network && need) {
        lmi_need(a, need);
        return;
    }
    if (!e || lmi_obey(a, e, &a->p->reject))
        return;
    lmi_blame(a, &a->p->access, e, NULL);
    a->v->listed = lmi_entry_kind(e) == LMI_VALUE_OK || lmi_entry_kind(e) == LMI_VALUE_RELAY;
}

lmail_status lmail_policy_connect_now(const lmail_policy *policy,
                                      const lmail_policy_question *question,
                                      lmail_policy_verdict *verdict)
{
    lmi_case a;
    lmail_status st = lmi_case_begin(&a, policy, question, verdict);
    if (st == LMAIL_OK)
        lmi_check_connect(&a);
    if (st == LMAIL_OK)
        lmi_case_end(&a, NULL, NULL);
    return st;
}

lmail_status lmail_policy_connect(const lmail_policy *policy, const lmail_policy_question *question,
                                  lmail_policy_verdict *verdict)
{
    lmi_case a;
    if (!policy->config.delay_checks)
        return lmail_policy_connect_now(policy, question, verdict);
    lmail_status st = lmi_case_begin(&a, policy, question, verdict);
    if (st == LMAIL_OK)
        lmi_policy_accept(&a, LMAIL_POLICY_ACCEPT, "delay_checks");
    return st;
}
