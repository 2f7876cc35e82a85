/* policy_tags.c - what the access map says beside yes and no: offers to a client, its limits, the
 * pause before its greeting, and our own credentials at a server. */
#include "policy/policy_internal.h"

#include <libmail/codec.h>

#include <string.h>

/* The entry's number, which was checked when the map was loaded; 0 without one. */
static uint64_t number_of(const lmi_map_entry *e)
{
    uint64_t n = 0;
    if (e && lmi_parse_u64(lmi_map_value(e), &n))
        n = 0;
    return n;
}

/* ---- Srv_Features ---------------------------------------------------------------------------- */

static const struct {
    char letter;
    unsigned feature;

} letters[] = {
    {'s', LMAIL_POLICY_FEATURE_STARTTLS},   {'a', LMAIL_POLICY_FEATURE_AUTH},
    {'p', LMAIL_POLICY_FEATURE_PIPELINING}, {'v', LMAIL_POLICY_FEATURE_CLIENT_CERTIFICATE},
    {'d', LMAIL_POLICY_FEATURE_DSN},        {'e', LMAIL_POLICY_FEATURE_ETRN},
    {'x', LMAIL_POLICY_FEATURE_EXPN},       {'b', LMAIL_POLICY_FEATURE_VERB},
    {'l', LMAIL_POLICY_FEATURE_NEED_AUTH},  {'c', LMAIL_POLICY_FEATURE_PLAIN_NEEDS_TLS},
};

lmail_status lmail_policy_server_features(const lmail_policy *policy,
                                          const lmail_policy_question *question,
                                          lmail_policy_features *out)
{
    lmi_case a;
    lmail_policy_verdict v;
    memset(out, 0, sizeof *out);
    lmail_status st = lmi_case_begin(&a, policy, question, &v);
    if (st)
        return st;
    const lmi_map_entry *e = lmi_search_peer(&a, LMI_TAG_SRV_FEATURES, 1, &out->need);
    if (!e)
        return LMAIL_OK;
    lmail_str value = lmi_map_value(e);
    for (size_t i = 0; i < value.len; i++)
        for (size_t j = 0; j < sizeof letters / sizeof *letters; j++) {
            char c = value.ptr[i], lower = letters[j].letter;
            if (lmi_ascii_lower(c) != lower)
                continue;
            int on = c == lower; /* an offer comes back, or a demand is made */
            out->on = on ? out->on | letters[j].feature : out->on & ~letters[j].feature;
            out->off = on ? out->off & ~letters[j].feature : out->off | letters[j].feature;
        }
    out->file = lmi_map_source_name(&policy->access, e);
    out->line = e->line;
    return LMAIL_OK;
}

/* ---- GreetPause ------------------------------------------------------------------------------ */

lmail_status lmail_policy_greet_pause(const lmail_policy *policy,
                                      const lmail_policy_question *question,
                                      lmail_policy_pause *out)
{
    lmi_case a;
    lmail_policy_verdict v;
    memset(out, 0, sizeof *out);
    lmail_status st = lmi_case_begin(&a, policy, question, &v);
    if (st || !policy->config.greet_pause || !a.network)
        return st;
    const lmi_map_entry *e = lmi_search_peer(&a, LMI_TAG_GREET_PAUSE, 1, &out->need);
    if (out->need)
        return LMAIL_OK;
    out->pause = e ? number_of(e) : policy->config.greet_pause_ms;
    if (e) {
        out->file = lmi_map_source_name(&policy->access, e);
        out->line = e->line;
    }
    return LMAIL_OK;
}

/* ---- ClientRate, ClientConn ------------------------------------------------------------------ */

static lmail_status limit(const lmail_policy *policy, const lmail_policy_question *question,
                          lmail_policy_verdict *verdict, lmi_tag tag, unsigned on,
                          unsigned terminate, const char *text)
{
    lmi_case a;
    lmail_status st = lmi_case_begin(&a, policy, question, verdict);
    if (st)
        return st;
    lmi_policy_accept(&a, LMAIL_POLICY_ACCEPT, on ? "no limit" : "no such control");
    if (!on)
        return LMAIL_OK;
    const lmi_map_entry *e = lmi_search_address(&a, tag, "client address");
    if (!e && a.network)
        e = lmi_search_exact(&a, tag, LMAIL_STR(""), "any client");
    uint64_t most = number_of(e);
    if (most == 0 || a.q->count <= most)
        return LMAIL_OK;
    LMI_DENY(&a, terminate ? 421 : 452, "4.3.2", lmail_str_from(text));
    lmi_blame(&a, &policy->access, e, NULL);
    return LMAIL_OK;
}

lmail_status lmail_policy_rate(const lmail_policy *policy, const lmail_policy_question *question,
                               lmail_policy_verdict *verdict)
{
    const lmail_policy_config *c = &policy->config;
    return limit(policy, question, verdict, LMI_TAG_CLIENT_RATE, c->rate_control,
                 c->rate_control_terminate, "Connection rate limit exceeded.");
}

lmail_status lmail_policy_connections(const lmail_policy *policy,
                                      const lmail_policy_question *question,
                                      lmail_policy_verdict *verdict)
{
    const lmail_policy_config *c = &policy->config;
    return limit(policy, question, verdict, LMI_TAG_CLIENT_CONN, c->conn_control,
                 c->conn_control_terminate, "Too many open connections.");
}

/* ---- AuthInfo -------------------------------------------------------------------------------- */

/* Text or base64 into the answer's room. */
static int put(lmail_policy_credentials *out, size_t *used, unsigned base64, lmail_str text,
               lmail_str *at)
{
    char *room = out->room + *used;
    size_t cap = sizeof out->room - *used, n = text.len;
    if (base64) {
        if (lmail_base64_decode(text, room, cap, &n))
            return 0;
    } else if (n > cap) {
        return 0;
    } else {
        memcpy(room, text.ptr, n);
    }
    *at = (lmail_str){room, n};
    *used += n;
    return 1;
}

lmail_status lmail_policy_auth_info(const lmail_policy *policy,
                                    const lmail_policy_question *question,
                                    lmail_policy_credentials *out)
{
    lmi_case a;
    lmail_policy_verdict v;
    char letter;
    unsigned base64;
    lmail_str text;
    size_t used = 0;
    memset(out, 0, sizeof *out);
    lmail_status st = lmi_case_begin(&a, policy, question, &v);
    if (st)
        return st;
    const lmi_map_entry *e = lmi_search_peer(&a, LMI_TAG_AUTHINFO, 1, &out->need);
    if (!e)
        return LMAIL_OK;
    lmail_str rest = lmi_map_value(e);
    while (lmi_authinfo_next(&rest, &letter, &base64, &text) == LMAIL_OK) {
        lmail_str *at = letter == 'U'   ? &out->authzid
                        : letter == 'I' ? &out->authid
                        : letter == 'P' ? &out->password
                        : letter == 'R' ? &out->realm
                                        : &out->mechanisms;
        if (!put(out, &used, base64, text, at))
            break;
    }
    out->found = 1;
    out->file = lmi_map_source_name(&policy->access, e);
    out->line = e->line;
    return LMAIL_OK;
}
