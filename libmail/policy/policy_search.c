/* policy_search.c - the four searches of the access map, and how they are explained.
 *
 *     D  a name, then without its first label ... (a literal drops octets inside its brackets)
 *     A  an address, then without its last octet or group ...
 *     F  u+d@dom, u+*@dom, u@dom        U  u+d@, u+*@, u@
 *
 * Each key is tried with its tag, then, for Connect, From and To, without. The first hit ends the
 * search. */
#include "policy/policy_internal.h"

#include <string.h>

/* ---- Explanation ----------------------------------------------------------------------------- */

void lmi_tell_step(const lmi_case *a, lmi_tag tag, lmail_str key, const lmi_map *map,
                   const lmi_map_entry *e, const char *meaning)
{
    char text[LMI_MAX_KEY_TEXT + 32];
    lmail_str name = lmail_str_from(lmi_tags[tag].name);
    key = lmi_str_sub(key, 0, sizeof text - name.len);
    memcpy(text, name.ptr, name.len);
    if (key.len)
        memcpy(text + name.len, key.ptr, key.len);
    lmail_policy_step step = {
        .key = {text, name.len + key.len}, .hit = e != NULL, .meaning = lmail_str_from(meaning)};
    if (e) {
        step.value = tag == LMI_TAG_AUTHINFO ? LMAIL_STR("(secret)") : lmi_map_value(e);
        step.file = lmi_map_source_name(map, e);
        step.line = e->line;
    }
    a->q->on_step(a->q->step_ctx, &step);
}

void lmi_tell_fact(const lmi_case *a, lmail_str fact, unsigned hit, const char *meaning)
{
    lmail_policy_step step = {.key = fact, .hit = hit, .meaning = lmail_str_from(meaning)};
    a->q->on_step(a->q->step_ctx, &step);
}

/* ---- One key --------------------------------------------------------------------------------- */

static int goes_untagged(lmi_tag tag)
{
    return tag == LMI_TAG_CONNECT || tag == LMI_TAG_FROM || tag == LMI_TAG_TO;
}

int lmi_search_possible(const lmail_policy *p, lmi_tag tag)
{
    return p->tag_count[tag] || (goes_untagged(tag) && p->tag_count[LMI_TAG_NONE]);
}

const lmi_map_entry *lmi_search_exact(const lmi_case *a, lmi_tag tag, lmail_str key,
                                      const char *meaning)
{
    const lmi_map *m = &a->p->access;
    const lmi_map_entry *e = NULL;
    if (a->p->tag_count[tag]) {
        e = lmi_map_find2(m, lmi_tag_folded(tag), key);
        lmi_step(a, tag, key, m, e, meaning);
    }
    if (!e && a->p->tag_count[LMI_TAG_NONE] && goes_untagged(tag) && !a->tagged_only) {
        e = lmi_map_find(m, key);
        if (e && e->kind & LMI_VALUE_TAGGED)
            e = NULL; /* a local part like "from:user" is no way to other tags' entries */
        lmi_step(a, LMI_TAG_NONE, key, m, e, meaning);
    }
    return e;
}

/* SKIP ends a search of names or addresses, but not those behind it. */
static const lmi_map_entry *found(const lmi_map_entry *e)
{
    return e && lmi_entry_kind(e) == LMI_VALUE_SKIP ? NULL : e;
}

/* ---- D and A --------------------------------------------------------------------------------- */

static const lmi_map_entry *search_literal(const lmi_case *a, lmi_tag tag, lmail_str name,
                                           const char *meaning)
{
    char key[LMI_MAX_ADDRESS_TEXT + 2];
    if (name.len < 3 || name.len > sizeof key)
        return lmi_search_exact(a, tag, name, meaning);
    memcpy(key, name.ptr, name.len);
    for (size_t len = name.len - 2; len; len = lmi_address_shorter(key + 1, len)) {
        key[len + 1] = ']';
        const lmi_map_entry *e = lmi_search_exact(a, tag, (lmail_str){key, len + 2}, meaning);
        if (e)
            return e;
    }
    return NULL;
}

const lmi_map_entry *lmi_search_domain(const lmi_case *a, lmi_tag tag, lmail_str name,
                                       const char *meaning)
{
    if (name.len == 0 || !lmi_search_possible(a->p, tag))
        return NULL;
    if (*name.ptr == '[')
        return found(search_literal(a, tag, name, meaning));
    for (;;) {
        const lmi_map_entry *e = lmi_search_exact(a, tag, name, meaning);
        size_t dot = lmi_str_find(name, '.');
        if (!e && a->p->config.lookupdotdomain && dot + 1 < name.len)
            e = lmi_search_exact(a, tag, lmi_str_skip(name, dot), meaning);
        if (e)
            return found(e);
        if (dot + 1 >= name.len)
            return NULL;
        name = lmi_str_skip(name, dot + 1);
    }
}

const lmi_map_entry *lmi_search_address(const lmi_case *a, lmi_tag tag, const char *meaning)
{
    if (!a->network || !lmi_search_possible(a->p, tag))
        return NULL;
    for (size_t len = a->address.len; len; len = lmi_address_shorter(a->address.text, len)) {
        const lmi_map_entry *e =
            lmi_search_exact(a, tag, (lmail_str){a->address.text, len}, meaning);
        if (e)
            return found(e);
    }
    return NULL;
}

/* ---- F and U --------------------------------------------------------------------------------- */

static const lmi_map_entry *search_local(const lmi_case *a, lmi_tag tag, const lmi_mailbox *m,
                                         lmail_str domain, const char *meaning)
{
    char key[LMAIL_POLICY_MAX_ADDRESS + 4];
    if (!lmi_search_possible(a->p, tag) || m->local.len + domain.len + 3 > sizeof key)
        return NULL;
    size_t plus = lmi_str_find(m->local, '+');
    unsigned detailed = plus > 0 && plus < m->local.len;
    for (unsigned form = 0; form < (detailed ? 3u : 1u); form++) {
        size_t len = form == 0 ? m->local.len : plus;
        memcpy(key, m->local.ptr, len);
        if (form == 1) {
            key[len++] = '+';
            key[len++] = '*';
        }
        key[len++] = '@';
        if (domain.len)
            memcpy(key + len, domain.ptr, domain.len);
        const lmi_map_entry *e =
            lmi_search_exact(a, tag, (lmail_str){key, len + domain.len}, meaning);
        if (e)
            return e;
    }
    return NULL;
}

const lmi_map_entry *lmi_search_full(const lmi_case *a, lmi_tag tag, const lmi_mailbox *m,
                                     const char *meaning)
{
    return m->domain.len ? search_local(a, tag, m, m->domain, meaning) : NULL;
}

const lmi_map_entry *lmi_search_user(const lmi_case *a, lmi_tag tag, const lmi_mailbox *m,
                                     const char *meaning)
{
    return search_local(a, tag, m, (lmail_str){NULL, 0}, meaning);
}

const lmi_map_entry *lmi_search_mailbox(const lmi_case *a, lmi_tag tag, const lmi_mailbox *m,
                                        unsigned which, const char *meaning)
{
    const lmi_map_entry *e = NULL;
    if (which & LMI_SEARCH_F)
        e = lmi_search_full(a, tag, m, meaning);
    if (!e && which & LMI_SEARCH_U)
        e = lmi_search_user(a, tag, m, meaning);
    if (!e && which & LMI_SEARCH_D)
        e = lmi_search_domain(a, tag, m->domain, meaning);
    return found(e);
}

/* ---- A peer ---------------------------------------------------------------------------------- */

const lmi_map_entry *lmi_search_peer(lmi_case *a, lmi_tag tag, unsigned alone, unsigned *need)
{
    char literal[LMI_MAX_ADDRESS_TEXT + 2];
    const lmi_map_entry *e = NULL;
    *need = 0;
    if (!lmi_search_possible(a->p, tag))
        return NULL;
    if (a->network) {
        if (a->peer->name_state == LMAIL_POLICY_NAME_UNKNOWN) {
            *need = LMAIL_POLICY_NEED_NAME;
            return NULL;
        }
        lmail_str name = a->name.len ? a->name : lmi_peer_literal(a, literal);
        e = lmi_search_domain(a, tag, name, "name of the peer");
        if (!e)
            e = lmi_search_address(a, tag, "address of the peer");
    }
    if (!e && alone)
        e = found(lmi_search_exact(a, tag, LMAIL_STR(""), "any peer"));
    return e;
}
