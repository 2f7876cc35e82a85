/* policy_rewrite_value.c - the addresses of a header field's value, rewritten in place.
 *
 * The mime room tells where each address stands (RFC 5322 §3.4, §4.4); every octet outside them
 * stays, and so does the comment of an address whose part is replaced. What is no plain address -
 * words without "@", bang paths - is left alone. Called for each field of a message that leaves.
 * Never allocates. */
#include "policy/policy_tables_internal.h"

#include <string.h>

#include "mime/mime_internal.h"

/* The new value; what does not fit is counted. */
typedef struct writer {
    char *ptr;
    size_t cap, len;
} writer;

static void put(writer *w, lmail_str s)
{
    if (s.len && w->len <= w->cap && s.len <= w->cap - w->len)
        memcpy(w->ptr + w->len, s.ptr, s.len);
    w->len += s.len;
}

/* `fresh` instead of `raw`, whose comments stay behind it. */
static void put_instead(writer *w, lmail_str fresh, lmail_str raw)
{
    put(w, fresh);
    for (size_t at = 0; at < raw.len;) {
        size_t next = lmi_mime_skip_token(raw, at);
        if (raw.ptr[at] == '(')
            put(w, lmi_str_sub(raw, at, next - at));
        at = next;
    }
}

static int may_be_qualified(lmail_str local)
{
    if (local.ptr[0] == '"') /* one that has its end */
        return local.len > 1 && local.ptr[local.len - 1] == '"';
    return lmi_is_dot_atom(local) && lmi_str_find(local, '!') == local.len &&
           lmi_str_find(local, '%') == local.len;
}

/* Rewrite one address; the value up to its end is written. */
static void rewrite_one(const lmail_policy_tables *t, lmail_policy_role role,
                        lmail_policy_delivery delivery, const lmail_mime_address *m,
                        lmail_str value, size_t *at, writer *w)
{
    char local[LMAIL_POLICY_MAX_ADDRESS], domain[256];
    lmi_rewrite a;
    if (!m->raw_local.len || (m->raw_domain.ptr && !m->raw_domain.len))
        return;
    lmail_str was = lmi_mime_local_text(m->raw_local, local, sizeof local);
    if (was.len == sizeof local)
        return;
    if (!lmi_is_dot_atom(was))
        was = m->raw_local;
    a.local = was;
    a.domain = (lmail_str){NULL, 0};
    if (m->raw_domain.ptr) {
        a.domain = lmi_mime_domain_text(m->raw_domain, domain, sizeof domain);
        if (a.domain.len == sizeof domain)
            return;
    } else if (!may_be_qualified(was)) {
        return;
    }
    lmail_str was_domain = a.domain;
    lmi_rewrite_address(t, role, delivery, &a);

    size_t local_at = (size_t)(m->raw_local.ptr - value.ptr);
    put(w, lmi_str_sub(value, *at, local_at - *at));
    if (a.new_local)
        put_instead(w, a.local, m->raw_local);
    else
        put(w, m->raw_local);
    *at = local_at + m->raw_local.len;
    if (!m->raw_domain.ptr) {
        put(w, LMAIL_STR("@"));
        put(w, a.domain);
    } else if (!lmail_str_equal(a.domain, was_domain)) {
        size_t domain_at = (size_t)(m->raw_domain.ptr - value.ptr);
        put(w, lmi_str_sub(value, *at, domain_at - *at));
        put_instead(w, a.domain, m->raw_domain);
        *at = domain_at + m->raw_domain.len;
    }
}

lmail_status lmail_policy_tables_rewrite_value(const lmail_policy_tables *tables,
                                               lmail_policy_role role,
                                               lmail_policy_delivery delivery, lmail_str value,
                                               char *out, size_t cap, size_t *made)
{
    lmail_mime_address_reader r;
    lmail_mime_address m;
    writer w = {out, cap, 0};
    size_t at = 0;
    lmail_mime_address_reader_init(&r, value, NULL, 0);
    if (role != LMAIL_POLICY_ROLE_NONE && role != LMAIL_POLICY_ROLE_REMOVED)
        while (lmail_mime_address_next(&r, &m))
            if (m.kind == LMAIL_MIME_MAILBOX)
                rewrite_one(tables, role, delivery, &m, value, &at, &w);
    put(&w, lmi_str_skip(value, at));
    *made = w.len;
    return w.len > cap ? LMAIL_ERR_LIMIT : LMAIL_OK;
}
