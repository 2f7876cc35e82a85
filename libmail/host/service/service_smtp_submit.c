/* service_smtp_submit.c - mail submission: who is logged in sends as himself.
 * An address whose mail a table (aliases, virtusertable) takes to the account is its own as well.
 *
 * RFC 6409 §6.1. The sender is the account's own when its local part, without +detail, is the
 * account's name at a local domain, or when the whole address is the name; the empty sender is
 * everybody's. Users of policy.trusted_users may send as anybody. */
#include "host/service/service_pickup.h"
#include "host/service/service_smtp_limits.h"

#include <stdio.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

/* ---- Trusted users --------------------------------------------------------------------------- */

lmail_status lmi_submit_rules(lmi_rules *r, char *error, size_t cap)
{
    lmail_str file = r->settings->policy.trusted_users;
    int optional = file.len && file.ptr[0] == '-';
    file = (lmail_str){file.ptr + optional, file.len - (size_t)optional};
    if (!file.len)
        return LMAIL_OK;
    lmail_status st =
        lmi_rules_file(r, "policy.trusted_users", file, &r->trusted_users, error, cap);
    if (st != LMAIL_ERR_NOTFOUND || !optional)
        return st;
    error[0] = '\0';
    return LMAIL_OK;
}

/* "#" begins a comment. */
int lmi_submit_is_trusted(lmail_str list, lmail_str user)
{
    while (list.len) {
        const char *end = memchr(list.ptr, '\n', list.len);
        size_t len = end ? (size_t)(end - list.ptr) : list.len;
        lmail_str line = {list.ptr, len};
        list.ptr += len + (end != NULL);
        list.len -= len + (end != NULL);
        while (line.len && (unsigned char)line.ptr[line.len - 1] <= ' ')
            line.len--;
        while (line.len && (unsigned char)line.ptr[0] <= ' ')
            line = (lmail_str){line.ptr + 1, line.len - 1};
        if (line.len && line.ptr[0] != '#' && lmail_str_equal_nocase(line, user))
            return 1;
    }
    return 0;
}

/* ---- The sender ------------------------------------------------------------------------------ */

static int is_account(const lmi_rules *r, const char *name, lmail_str identity)
{
    lmail_account account;
    memset(&account, 0, sizeof account);
    account.size = sizeof account;
    if (lmail_accounts_find_now(r->accounts, lmail_str_from(name), &account))
        return 0;
    int same = lmail_str_equal_nocase(account.name, identity);
    lmail_accounts_release(r->accounts, &account);
    return same;
}

static int is_own(const lmi_rules *r, const lmail_smtp_address *from, lmail_str identity)
{
    char local[512], name[LMAIL_MAX_ACCOUNT_NAME + 2];
    if (from->local.len > sizeof local)
        return 0;
    lmail_str user = {local, lmail_smtp_local_unquote(from->local, local)};
    const char *plus = memchr(user.ptr, '+', user.len);
    for (int detail = 1; detail >= 0; detail--) {
        if (!detail && (!plus || plus == user.ptr))
            return 0;
        if (!detail)
            user.len = (size_t)(plus - user.ptr);
        if (lmail_str_equal_nocase(user, identity) &&
            (!from->domain.len || lmi_rules_local_domain(r, from->domain)))
            return 1;
        int n = snprintf(name, sizeof name, "%.*s@%.*s", TEXT(user), TEXT(from->domain));
        if (n > 0 && (size_t)n < sizeof name && !memchr(user.ptr, '\0', user.len) &&
            (lmail_str_equal_nocase(lmail_str_from(name), identity) ||
             is_account(r, name, identity)))
            return 1;
    }
    return 0;
}

/* Does its mail come to the account by the tables? */
static int is_alias(const lmi_rules *r, const lmail_smtp_address *from, lmail_str identity)
{
    char local[512];
    const lmail_policy_routes *routes = NULL;
    int own = 0;
    if (!r->tables || from->local.len > sizeof local || !lmi_rules_local_domain(r, from->domain))
        return 0;
    const lmail_str bare = {local, lmail_smtp_local_unquote(from->local, local)};
    if (lmi_find_routes(r, bare, from->domain, &routes))
        return 0;
    for (size_t i = 0; i < routes->count && !own; i++) {
        const lmail_policy_destination *d = &routes->items[i];
        char name[LMAIL_MAX_ACCOUNT_NAME + 2];
        int n = snprintf(name, sizeof name, "%.*s", TEXT(d->user));
        own = d->kind == LMAIL_POLICY_TO_USER && n > 0 && (size_t)n < sizeof name &&
              (lmail_str_equal_nocase(d->user, identity) || is_account(r, name, identity));
    }
    lmail_policy_routes_free(routes);
    return own;
}

int lmi_submit_mail(smtp_peer *p, const lmail_smtp_mail_event *ev, lmail_smtp_reply *reply)
{
    const lmi_rules *r = p->base.door->rules;
    lmail_str identity = lmail_smtp_server_identity(p->server);
    if (!p->base.door->settings->sender_check || !identity.len || !ev->from.text.len ||
        lmi_submit_is_trusted(r->trusted_users, identity) || is_own(r, &ev->from, identity) ||
        is_alias(r, &ev->from, identity))
        return 0;
    size_t cap = ev->from.text.len + 80;
    char *text = lmi_scratch(&p->base, cap);
    if (text)
        snprintf(text, cap, "<%.*s>... Sender address is not that of the user logged in",
                 TEXT(ev->from.text));
    for (char *c = text; c && *c; c++) /* a quoted local part may hold a tab */
        if ((unsigned char)*c < ' ')
            *c = '?';
    lmi_reply_fill(reply, 550, "5.7.1", text ? text : "Sender address rejected");
    lmi_reply_log(p, "mail", LMAIL_STR(""), reply);
    return 1;
}
