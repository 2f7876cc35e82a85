/* policy_tls.c - is TLS with this peer good enough: TLS_Clt, TLS_Srv, TLS_Rcpt; is it tried at all:
 * Try_TLS. */
#include "policy/policy_internal.h"

#include <string.h>

typedef struct demand {
    unsigned code;
    const char *enhanced;
} demand;

/* "Cert Subject X does not match Y" */
static int matches(lmi_case *a, const demand *d, const char *what, lmail_str have, lmail_str want)
{
    if (lmail_str_equal_nocase(have, want))
        return 1;
    LMI_DENY(a, d->code, d->enhanced, lmail_str_from(what), LMAIL_STR(" "), have,
             LMAIL_STR(" does not match "), want);
    return 0;
}

/* "CN:name++CI:issuer"; CN alone wants the peer's own name. */
static int meets_needs(lmi_case *a, const demand *d, lmail_str needs)
{
    const lmail_policy_peer *p = a->peer;
    int good = 1;
    while (needs.len && good) {
        size_t end = 0;
        while (end < needs.len &&
               !(needs.ptr[end] == '+' && end + 1 < needs.len && needs.ptr[end + 1] == '+'))
            end++;
        lmail_str need = lmi_str_sub(needs, 0, end);
        needs = lmi_str_skip(needs, end + 2);
        lmail_str want = lmi_str_skip(need, 3);
        if (lmail_str_equal_nocase(need, LMAIL_STR("CN")))
            good = matches(a, d, "CN", p->certificate_name, a->name.len ? a->name : p->name);
        else if (lmi_str_has_prefix_nocase(need, LMAIL_STR("CN:")))
            good = matches(a, d, "CN", p->certificate_name, want);
        else if (lmi_str_has_prefix_nocase(need, LMAIL_STR("CS:")))
            good = matches(a, d, "Cert Subject", p->certificate_subject, want);
        else if (lmi_str_has_prefix_nocase(need, LMAIL_STR("CI:")))
            good = matches(a, d, "Cert Issuer", p->certificate_issuer, want);
    }
    return good;
}

static const char *unverified(lmail_policy_certificate state, lmi_tag tag)
{
    switch (state) {
    case LMAIL_POLICY_CERTIFICATE_FAILED:
        return "authentication failed";
    case LMAIL_POLICY_CERTIFICATE_MISSING:
        return "not authenticated";
    case LMAIL_POLICY_CERTIFICATE_UNASKED:
        return "no authentication requested";
    case LMAIL_POLICY_CERTIFICATE_NO_TLS:
    case LMAIL_POLICY_CERTIFICATE_VERIFIED:
        break;
    }
    return tag == LMI_TAG_TLS_CLT ? "authentication required"
                                  : "other side does not support STARTTLS";
}

static void judge(lmi_case *a, lmi_tag tag, const lmi_map_entry *e)
{
    lmi_tls_want want;
    char have[20], least[20];
    unsigned bits = a->peer->cipher_bits;
    if (lmi_tls_parse(lmi_map_value(e), &want))
        return;
    demand d = {want.code, want.code == 503 ? "5.7.0" : "4.7.0"};
    if (want.verify && a->peer->certificate != LMAIL_POLICY_CERTIFICATE_VERIFIED)
        LMI_DENY(a, d.code, d.enhanced, lmail_str_from(unverified(a->peer->certificate, tag)));
    else if (bits < want.bits)
        LMI_DENY(a, d.code, d.enhanced, LMAIL_STR("encryption too weak "),
                 (lmail_str){have, lmi_write_u64(have, bits)}, LMAIL_STR(" less than "),
                 (lmail_str){least, lmi_write_u64(least, want.bits)});
    else if (meets_needs(a, &d, want.needs))
        return;
    lmi_blame(a, &a->p->access, e, NULL);
}

void lmi_check_tls(lmi_case *a, lmi_tag tag)
{
    unsigned need;
    lmi_policy_accept(a, LMAIL_POLICY_ACCEPT, "no entry");
    const lmi_map_entry *e = lmi_search_peer(a, tag, 1, &need);
    if (need)
        lmi_need(a, need);
    else if (e)
        judge(a, tag, e);
}

static lmail_status ask_peer(const lmail_policy *policy, const lmail_policy_question *question,
                             lmail_policy_verdict *verdict, lmi_tag tag)
{
    lmi_case a;
    lmail_status st = lmi_case_begin(&a, policy, question, verdict);
    if (st == LMAIL_OK)
        lmi_check_tls(&a, tag);
    return st;
}

lmail_status lmail_policy_tls_client(const lmail_policy *policy,
                                     const lmail_policy_question *question,
                                     lmail_policy_verdict *verdict)
{
    return ask_peer(policy, question, verdict, LMI_TAG_TLS_CLT);
}

lmail_status lmail_policy_tls_server(const lmail_policy *policy,
                                     const lmail_policy_question *question,
                                     lmail_policy_verdict *verdict)
{
    return ask_peer(policy, question, verdict, LMI_TAG_TLS_SRV);
}

lmail_status lmail_policy_tls_rcpt(const lmail_policy *policy,
                                   const lmail_policy_question *question,
                                   lmail_policy_verdict *verdict)
{
    lmi_case a;
    lmi_mailbox to;
    lmail_status st = lmi_case_begin(&a, policy, question, verdict);
    if (st)
        return st;
    lmi_policy_accept(&a, LMAIL_POLICY_ACCEPT, "no entry");
    if (!lmi_search_possible(policy, LMI_TAG_TLS_RCPT) ||
        !lmi_mailbox_parse(&a, a.q->recipient, &to))
        return LMAIL_OK;
    const lmi_map_entry *e = lmi_search_mailbox(
        &a, LMI_TAG_TLS_RCPT, &to, LMI_SEARCH_F | LMI_SEARCH_U | LMI_SEARCH_D, "recipient");
    if (!e)
        e = lmi_search_exact(&a, LMI_TAG_TLS_RCPT, LMAIL_STR(""), "any recipient");
    if (e)
        judge(&a, LMI_TAG_TLS_RCPT, e);
    return LMAIL_OK;
}

lmail_status lmail_policy_try_tls(const lmail_policy *policy, const lmail_policy_question *question,
                                  lmail_policy_verdict *verdict)
{
    lmi_case a;
    unsigned need;
    lmail_status st = lmi_case_begin(&a, policy, question, verdict);
    if (st)
        return st;
    lmi_policy_accept(&a, LMAIL_POLICY_ACCEPT, "no entry");
    const lmi_map_entry *e = lmi_search_peer(&a, LMI_TAG_TRY_TLS, 1, &need);
    if (need) {
        lmi_need(&a, need);
    } else if (e && lmail_str_equal_nocase(lmi_map_value(e), LMAIL_STR("NO"))) {
        LMI_DENY(&a, 550, "5.7.1", LMAIL_STR("do not try TLS with "), a.peer->name, LMAIL_STR(" ["),
                 a.peer->address, LMAIL_STR("]"));
        lmi_blame(&a, &policy->access, e, NULL);
    }
    return LMAIL_OK;
}
