/* service_letter_envelope.c - the envelope of a message that others want changed: recipients that go,
 * recipients that come, another sender.
 *
 * Who is added is routed as who was named in RCPT: tables first, then mailboxes here; what nobody here
 * may refuse any more, such as an unknown user, is told in the log. Called by service_letter.c on a
 * worker. */
#include "host/service/service_letter.h"
#include "host/service/service_smtp.h"

#include <stdlib.h>
#include <string.h>

/* ---- What was asked for ---------------------------------------------------------------------- */

static lmail_status keep(lmi_letter *l, char ***list, size_t *count, lmail_str address)
{
    if (address.len + sizeof(char *) > LMI_LETTER_MEMORY - l->memory)
        return LMAIL_ERR_LIMIT;
    char **p = realloc(*list, (*count + 1) * sizeof *p);
    if (!p)
        return LMAIL_ERR_NOMEM;
    *list = p;
    p[*count] = strndup(address.len ? address.ptr : "", address.len);
    if (!p[*count])
        return LMAIL_ERR_NOMEM;
    ++*count;
    l->memory += address.len + sizeof(char *);
    return LMAIL_OK;
}

lmail_status lmi_letter_add_rcpt(lmi_letter *l, lmail_str address)
{
    return keep(l, &l->added, &l->added_count, address);
}

lmail_status lmi_letter_delete_rcpt(lmi_letter *l, lmail_str address)
{
    /* One that was added before goes without a trace. */
    for (size_t i = 0; i < l->added_count; i++)
        if (lmail_str_equal_nocase(lmail_str_from(l->added[i]), address)) {
            free(l->added[i]);
            l->added[i] = l->added[--l->added_count];
            i--;
        }
    return keep(l, &l->deleted, &l->deleted_count, address);
}

lmail_status lmi_letter_set_from(lmi_letter *l, lmail_str address)
{
    char *copy = strndup(address.len ? address.ptr : "", address.len);
    if (!copy)
        return LMAIL_ERR_NOMEM;
    free(l->from);
    l->from = copy;
    return LMAIL_OK;
}

/* ---- Recipients that go ---------------------------------------------------------------------- */

static int is_deleted(const lmi_letter *l, size_t place)
{
    for (size_t i = 0; i < l->told_count; i++) {
        const lmi_told *t = &l->told[i];
        if (place < t->first || place >= t->first + t->count)
            continue;
        for (size_t k = 0; k < l->deleted_count; k++)
            if (lmail_str_equal_nocase(lmail_str_from(t->address), lmail_str_from(l->deleted[k])))
                return 1;
    }
    return 0;
}

static void remove_deleted(lmi_mail *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->count; i++)
        if (is_deleted(m->letter, i))
            lmi_mail_forget_recipient(m, i);
        else
            m->recipients[n++] = m->recipients[i];
    m->count = n;
}

/* ---- Recipients that come -------------------------------------------------------------------- */

static void log_left_out(const lmi_mail *m, lmail_str address, lmail_str reason)
{
    lmail_log_line l;
    lmail_log_begin(&l, m->rules->service->log, LMAIL_LOG_WARN, "destination_left_out");
    lmail_log_text(&l, "queue", lmail_str_from(m->id));
    lmail_log_text(&l, "to", address);
    lmail_log_text(&l, "reason", reason);
    lmail_log_end(&l);
}

static lmail_status add_user(lmi_mail *m, lmail_str local, lmail_str domain, lmail_str address)
{
    char name[LMI_ACCOUNT_NAME];
    lmail_status st = lmi_find_user(m->rules, lmail_accounts_find, local, domain, name);
    if (!st)
        return lmi_mail_add_recipient(m, lmail_str_from(name), address);
    if (st == LMAIL_ERR_NOTFOUND) {
        log_left_out(m, address, LMAIL_STR("User unknown"));
        st = LMAIL_OK;
    }
    return st;
}

static lmail_status add_routes(lmi_mail *m, const lmail_smtp_address *a,
                               const lmail_policy_routes *routes)
{
    char route[1024];
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < routes->count && !st; i++) {
        const lmail_policy_destination *d = &routes->items[i];
        if (d->kind == LMAIL_POLICY_TO_USER) {
            st = add_user(m, d->user, a->domain, a->text);
        } else if (d->kind == LMAIL_POLICY_TO_HOST) {
            lmi_route_write(d, route, sizeof route);
            st = lmi_mail_add_remote(m, d->address, lmail_str_from(route));
        } else {
            log_left_out(m, a->text, d->text.len ? d->text : LMAIL_STR("not delivered to"));
        }
    }
    return st;
}

static lmail_status add(lmi_mail *m, lmail_str address)
{
    lmail_smtp_address a;
    const lmail_policy_routes *routes = NULL;
    if (lmail_smtp_address_parse(address, LMAIL_SMTP_SMTPUTF8 | LMAIL_SMTP_ALLOW_UNQUALIFIED, 0, &a,
                                 NULL) ||
        a.flags & LMAIL_SMTP_ADDRESS_NULL) {
        log_left_out(m, address, LMAIL_STR("bad address"));
        return LMAIL_OK;
    }
    lmail_status st = lmi_find_routes(m->rules, a.local, a.domain, &routes);
    if (st)
        return st;
    if (routes)
        st = add_routes(m, &a, routes);
    else if (!a.domain.len || lmi_rules_local_domain(m->rules, a.domain))
        st = add_user(m, a.local, a.domain, a.text);
    else
        st = lmi_mail_add_remote(m, a.text, (lmail_str){NULL, 0});
    lmail_policy_routes_free(routes);
    return st;
}

/* ---- All of it ------------------------------------------------------------------------------- */

lmail_status lmi_letter_envelope(lmi_mail *m)
{
    lmi_letter *l = m->letter;
    lmail_status st = LMAIL_OK;
    if (l->deleted_count)
        remove_deleted(m);
    for (size_t i = 0; i < l->added_count && !st; i++)
        st = add(m, lmail_str_from(l->added[i]));
    if (!st && l->from && strcmp(l->from, m->from) != 0) {
        free(m->from);
        m->from = l->from;
        l->from = NULL;
        l->changed = 1; /* Return-Path */
    }
    if (!st && !m->count)
        lmi_mail_discard(m); /* nobody is left */
    return st;
}
