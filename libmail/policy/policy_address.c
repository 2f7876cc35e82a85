/* policy_address.c - senders and recipients taken apart, and the routes hidden in them.
 *
 *     @a,@b:u@c      u@c        a source route is dropped
 *     u%b@a          u@b        when mail for a is taken here; repeated
 *     b!u@a          u@b
 *     "u@b"@a        u@b
 *
 * A host that took such an address by its last domain alone would relay for anybody. */
#include "policy/policy_internal.h"

#include <libmail/policy_tables.h>

#include <string.h>

static const lmail_str none = {NULL, 0};

/* Where c stands outside quotes and brackets, or s.len. */
static size_t find_outside(lmail_str s, char c)
{
    unsigned quoted = 0, bracket = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\\' && quoted)
            i++;
        else if (s.ptr[i] == '"')
            quoted = !quoted;
        else if (!quoted && s.ptr[i] == c && !bracket)
            return i;
        else if (!quoted && s.ptr[i] == '[')
            bracket = 1;
        else if (!quoted && s.ptr[i] == ']')
            bracket = 0;
    }
    return s.len;
}

static int fault(lmi_case *a, const char *enhanced, const char *text)
{
    LMI_DENY(a, 553, enhanced, lmail_str_from(text));
    a->v->rule = LMAIL_STR("address syntax");
    return 0;
}

static int has_empty_label(lmail_str domain)
{
    if (*domain.ptr == '[')
        return 0;
    for (size_t i = 0; i < domain.len; i++)
        if (domain.ptr[i] == '.' && (i == 0 || i + 1 == domain.len || domain.ptr[i + 1] == '.'))
            return 1;
    return 0;
}

/* What domaintable calls it. */
static lmail_str replaced(const lmi_case *a, lmail_str domain)
{
    if (!a->q->tables)
        return domain;
    lmail_str now = lmail_policy_tables_domain(a->q->tables, domain);
    if (now.ptr != domain.ptr)
        lmi_step_fact(a, domain, 1, "domaintable");
    return now;
}

/* A domain as class w and keys spell it, in the verdict's room. */
static int take_domain(lmi_case *a, lmail_str domain, lmail_str *out)
{
    char spelt[LMI_MAX_KEY_TEXT];
    lmi_key_fault odd;
    if (domain.len == 0)
        return fault(a, "5.1.3", "Hostname required");
    if (domain.len > 1 && domain.ptr[domain.len - 1] == '.' && *domain.ptr != '[')
        domain.len--;
    if (has_empty_label(domain))
        return fault(a, "5.1.2", "Invalid host name");
    domain = *domain.ptr == '[' ? lmi_key_spell(domain, spelt, &odd) : replaced(a, domain);
    char *copy = lmi_room(a, domain.len);
    if (!copy)
        return fault(a, "5.1.3", "Address too long");
    memcpy(copy, domain.ptr, domain.len);
    lmi_map_fold(copy, domain.len);
    *out = (lmail_str){copy, domain.len};
    return 1;
}

/* A local part without quotes and backslashes, in the verdict's room. */
static int take_local(lmi_case *a, lmail_str local, lmail_str *out)
{
    char *copy = lmi_room(a, local.len);
    size_t n = 0;
    unsigned quoted = 0;
    if (!copy)
        return fault(a, "5.1.3", "Address too long");
    for (size_t i = 0; i < local.len; i++) {
        if (local.ptr[i] == '"') {
            quoted = !quoted;
            continue;
        }
        if (local.ptr[i] == '\\' && quoted && i + 1 < local.len)
            i++;
        copy[n++] = local.ptr[i];
    }
    *out = (lmail_str){copy, n};
    return n > 0 || fault(a, "5.1.3", "User address required");
}

/* Both parts; *routed: a source route stood before them. */
static int parse(lmi_case *a, lmail_str text, lmi_mailbox *out, unsigned *routed)
{
    *routed = 0;
    if (text.len > LMAIL_POLICY_MAX_ADDRESS)
        return fault(a, "5.1.3", "Address too long");
    if (text.len && *text.ptr == '@') {
        size_t colon = find_outside(text, ':');
        text = lmi_str_skip(text, colon + 1);
        *routed = 1;
    }
    size_t at = find_outside(text, '@');
    lmail_str domain = lmi_str_skip(text, at + 1);
    if (at == 0 || text.len == 0)
        return fault(a, "5.1.3", "User address required");
    if (find_outside(domain, '@') < domain.len)
        return fault(a, "5.1.3", "Invalid route address");
    out->domain = none;
    if (at < text.len && !take_domain(a, domain, &out->domain))
        return 0;
    return take_local(a, lmi_str_sub(text, 0, at), &out->local);
}

/* A folded copy of the local part, for lookups. */
static int fold_local(lmi_case *a, lmi_mailbox *m)
{
    char *copy = lmi_room(a, m->local.len);
    if (!copy)
        return fault(a, "5.1.3", "Address too long");
    memcpy(copy, m->local.ptr, m->local.len);
    lmi_map_fold(copy, m->local.len);
    m->local.ptr = copy;
    return 1;
}

int lmi_mailbox_parse(lmi_case *a, lmail_str text, lmi_mailbox *out)
{
    unsigned routed;
    if (!parse(a, text, out, &routed))
        return 0;
    lmi_map_fold((char *)out->local.ptr, out->local.len); /* the copy in the room */
    return 1;
}

/* ---- Routes ---------------------------------------------------------------------------------- */

/* Would this host take mail for that domain, so that what stands before it counts? */
static int follows(const lmi_case *a, const lmi_mailbox *m)
{
    if (m->domain.len == 0 || lmi_in_w(a, m->domain, "class w, route"))
        return 1;
    if (a->p->config.loose_relay_check)
        return 0;
    return lmi_in_host_domain(a, m->domain, "host's own domain, route") ||
           lmi_name_in_r(a, m->domain, "class R, route") || lmi_relay_to(a, m);
}

/* Cut one route off the local part: 1 when there was one. */
static int cut_route(const lmail_policy_config *c, lmail_str local, lmail_str *user,
                     lmail_str *host)
{
    for (size_t i = local.len; i-- > 0;)
        if (local.ptr[i] == '@' ||
            (local.ptr[i] == '%' && c->nopercenthack == LMAIL_POLICY_ROUTE_STRIP)) {
            *user = lmi_str_sub(local, 0, i);
            *host = lmi_str_skip(local, i + 1);
            return 1;
        }
    size_t bang = lmi_str_find(local, '!');
    if (bang == local.len || c->nouucp != LMAIL_POLICY_ROUTE_STRIP)
        return 0;
    *host = lmi_str_sub(local, 0, bang);
    *user = lmi_str_skip(local, bang + 1);
    return 1;
}

static int holds(lmail_str s, char c)
{
    return lmi_str_find(s, c) < s.len;
}

int lmi_recipient_parse(lmi_case *a, lmail_str text, lmi_mailbox *out, unsigned *refused_route)
{
    const lmail_policy_config *c = &a->p->config;
    lmail_str user, host;
    if (!parse(a, text, out, &a->v->routed))
        return 0;
    while (cut_route(c, out->local, &user, &host) && follows(a, out)) {
        a->v->routed = 1;
        lmi_step_fact(a, host, 1, "the address goes on to this host");
        if (user.len == 0)
            return fault(a, "5.1.3", "User address required");
        out->local = user;
        if (!take_domain(a, host, &out->domain))
            return 0;
    }
    *refused_route = (c->nopercenthack == LMAIL_POLICY_ROUTE_REJECT && holds(out->local, '%')) ||
                     (c->nouucp == LMAIL_POLICY_ROUTE_REJECT && holds(out->local, '!'));
    a->v->local_part = out->local;
    a->v->domain = out->domain;
    return fold_local(a, out);
}
