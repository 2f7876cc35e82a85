/* policy_rewrite.c - one address as it is seen outside: domaintable, genericstable, masquerading.
 *
 * The classic installation's rulesets 96, 93 and 94: who is covered is decided by the role, the
 * delivery and the domain; an unqualified name that nothing covers gets the host name. Called for
 * envelope senders and, by policy_rewrite_value.c, for each address of a header field. Never
 * allocates. */
#include "policy/policy_tables_internal.h"

#include <string.h>

static const lmail_str none = {NULL, 0};

lmail_policy_role lmail_policy_header_role(lmail_str name)
{
    static const struct {
        const char *name;
        lmail_policy_role role;
    } fields[] = {
        {"From", LMAIL_POLICY_HEADER_SENDER},
        {"Sender", LMAIL_POLICY_HEADER_SENDER},
        {"Reply-To", LMAIL_POLICY_HEADER_SENDER},
        {"Errors-To", LMAIL_POLICY_HEADER_SENDER},
        {"Disposition-Notification-To", LMAIL_POLICY_HEADER_SENDER},
        {"Resent-From", LMAIL_POLICY_HEADER_SENDER},
        {"Resent-Sender", LMAIL_POLICY_HEADER_SENDER},
        {"Resent-Reply-To", LMAIL_POLICY_HEADER_SENDER},
        {"To", LMAIL_POLICY_HEADER_RECIPIENT},
        {"Cc", LMAIL_POLICY_HEADER_RECIPIENT},
        {"Apparently-To", LMAIL_POLICY_HEADER_RECIPIENT},
        {"Resent-To", LMAIL_POLICY_HEADER_RECIPIENT},
        {"Resent-Cc", LMAIL_POLICY_HEADER_RECIPIENT},
        {"Bcc", LMAIL_POLICY_ROLE_REMOVED},
        {"Resent-Bcc", LMAIL_POLICY_ROLE_REMOVED},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (lmail_str_equal_nocase(name, lmail_str_from(fields[i].name)))
            return fields[i].role;
    return LMAIL_POLICY_ROLE_NONE;
}

/* ---- genericstable --------------------------------------------------------------------------- */

/* The entry for an address, with %0 and %1. `domain`: folded; `qualified`: @domain counts too. */
static const lmi_map_entry *find_generic(const lmi_map *m, lmail_str local, lmail_str domain,
                                         int qualified, lmail_str args[2])
{
    char folded[LMAIL_POLICY_MAX_ADDRESS], sign[300] = "+*@";
    const lmi_map_entry *e;
    if (local.len > sizeof folded || domain.len > 256)
        return NULL;
    for (size_t i = 0; i < local.len; i++)
        folded[i] = lmi_ascii_lower(local.ptr[i]);
    if (domain.len)
        memcpy(sign + 3, domain.ptr, domain.len);
    size_t at = lmi_detail_at(local);
    int plus = at < local.len;
    lmail_str whole = {folded, local.len}, user = {folded, at};
    lmail_str any = {sign, domain.len + 3}, dom = lmi_str_skip(any, 2);
    const struct {
        int tried;
        lmail_str head, tail, arg;
    } order[] = {
        {1, whole, dom, none},    {plus, user, any, lmi_str_skip(local, at + 1)},
        {plus, user, dom, none},  {qualified, none, dom, local},
        {1, whole, none, none},   {plus, user, lmi_str_sub(any, 0, 2), lmi_str_skip(local, at + 1)},
        {plus, user, none, none},
    };
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (!order[i].tried)
            continue;
        e = lmi_map_find2(m, order[i].head, order[i].tail);
        if (e && !e->kind) {
            args[0] = lmi_map_key(e);
            args[1] = order[i].arg;
            return e;
        }
    }
    return NULL;
}

/* 1: an entry gave another address. */
static int by_genericstable(const lmail_policy_tables *t, lmi_rewrite *a, lmail_str folded)
{
    lmail_str args[2], local, domain, value;
    int qualified = a->domain.ptr != NULL, has_domain;
    if (!t->generics.count)
        return 0;
    if (qualified && !lmi_names_cover(&t->generics_domains, folded, t->generics_entire_domain))
        return 0;
    const lmi_map_entry *e =
        find_generic(&t->generics, lmi_local_plain(a->local), folded, qualified, args);
    if (!e)
        return 0;
    value = lmi_map_value(e);
    if (lmi_str_find(value, '%') < value.len) {
        size_t n = lmi_value_fill(value, args, 2, a->room, sizeof a->room);
        if (n > sizeof a->room)
            return 0;
        value = (lmail_str){a->room, n};
    }
    lmi_address_split(value, &local, &domain, &has_domain);
    if (!local.len)
        return 0;
    a->local = local;
    a->domain = has_domain ? domain : none;
    a->new_local = 1;
    return 1;
}

/* ---- Masquerading ---------------------------------------------------------------------------- */

static int is_exposed(const lmail_policy_tables *t, lmail_str local)
{
    char folded[LMAIL_POLICY_MAX_ADDRESS];
    local = lmi_local_plain(local);
    if (!t->exposed_users.count || local.len > sizeof folded)
        return 0;
    for (size_t i = 0; i < local.len; i++)
        folded[i] = lmi_ascii_lower(local.ptr[i]);
    return lmi_map_find(&t->exposed_users, (lmail_str){folded, local.len}) != NULL;
}

static int is_covered(const lmail_policy_tables *t, const lmi_rewrite *a, lmail_str folded)
{
    if (!a->domain.ptr)
        return 1;
    /* An exception covers the hosts below it, as class N does. */
    if (lmi_names_cover(&t->masquerade_exceptions, folded, 1))
        return 0;
    return lmi_names_cover(&t->masquerade_domains, folded, t->masquerade_entire_domain) ||
           (!t->limited_masquerade && lmi_tables_local(t, folded) != NULL);
}

static int role_is_covered(const lmail_policy_tables *t, lmail_policy_role role,
                           lmail_policy_delivery delivery)
{
    if (delivery == LMAIL_POLICY_DELIVERY_LOCAL && t->local_no_masquerade)
        return 0;
    switch (role) {
    case LMAIL_POLICY_HEADER_SENDER:
        return 1;
    case LMAIL_POLICY_HEADER_RECIPIENT:
        return t->allmasquerade != 0;
    case LMAIL_POLICY_ENVELOPE_SENDER:
        return t->masquerade_envelope != 0;
    case LMAIL_POLICY_ENVELOPE_RECIPIENT:
    case LMAIL_POLICY_ROLE_NONE:
    case LMAIL_POLICY_ROLE_REMOVED:
        break;
    }
    return 0;
}

/* ---- The address ----------------------------------------------------------------------------- */

static lmail_str fold(lmi_rewrite *a, lmail_str domain)
{
    for (size_t i = 0; i < domain.len; i++)
        a->folded[i] = lmi_ascii_lower(domain.ptr[i]);
    return (lmail_str){a->folded, domain.len};
}

/* What the domain is called here: localhost and this host's own literals are the host, then
 * domaintable. */
static lmail_str canonical(const lmail_policy_tables *t, lmi_rewrite *a)
{
    lmail_str folded = fold(a, a->domain);
    if (lmail_str_equal(folded, LMAIL_STR("localhost")) ||
        (folded.ptr[0] == '[' && lmi_tables_local(t, folded))) {
        a->domain = lmi_tables_host_name(t);
        folded = fold(a, a->domain);
    }
    const lmi_map_entry *e = t->domains.count ? lmi_tables_domain(t, folded) : NULL;
    if (e) {
        a->domain = lmi_map_value(e);
        folded = fold(a, a->domain);
    }
    return folded;
}

void lmi_rewrite_address(const lmail_policy_tables *t, lmail_policy_role role,
                         lmail_policy_delivery delivery, lmi_rewrite *a)
{
    lmail_str host = lmi_tables_host_name(t), folded;
    a->new_local = 0;
    if (a->domain.ptr && (!a->domain.len || a->domain.len > 255))
        return;
    folded = a->domain.ptr ? canonical(t, a) : fold(a, host);
    if (role_is_covered(t, role, delivery)) {
        if (by_genericstable(t, a, folded) && a->domain.ptr) {
            if (a->domain.len && a->domain.len <= 255)
                canonical(t, a);
            return; /* the table's word is final */
        }
        if (t->masquerade_as.len && is_covered(t, a, folded) && !is_exposed(t, a->local))
            a->domain = t->masquerade_as;
    }
    if (!a->domain.ptr)
        a->domain = host;
}

lmail_status lmail_policy_tables_rewrite(const lmail_policy_tables *t, lmail_policy_role role,
                                         lmail_policy_delivery delivery, lmail_str address,
                                         char *out, size_t cap, size_t *made)
{
    lmi_rewrite a;
    int has_domain;
    lmi_address_split(address, &a.local, &a.domain, &has_domain);
    if (!has_domain)
        a.domain = none;
    if (a.local.len && role != LMAIL_POLICY_ROLE_NONE && role != LMAIL_POLICY_ROLE_REMOVED)
        lmi_rewrite_address(t, role, delivery, &a);
    else
        a = (lmi_rewrite){.local = address};
    *made = a.local.len + (a.domain.ptr ? 1 + a.domain.len : 0);
    if (*made > cap)
        return LMAIL_ERR_LIMIT;
    if (a.local.len)
        memcpy(out, a.local.ptr, a.local.len);
    if (a.domain.ptr) {
        out[a.local.len] = '@';
        memcpy(out + a.local.len + 1, a.domain.ptr, a.domain.len);
    }
    return LMAIL_OK;
}
