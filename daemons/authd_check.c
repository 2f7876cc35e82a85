/* authd_check.c - whose login a request means, and the check against our own accounts. */
#include "authd.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

lmail_str authd_default_domain(const authd_facts *f)
{
    const lmail_settings *s = f->settings;
    return s->auth.realm.len      ? s->auth.realm
           : s->domains.count > 0 ? s->domains.items[0]
           : s->hostname.len      ? s->hostname
                                  : lmail_str_from(f->hostname);
}

int authd_is_own_realm(const authd_facts *f, lmail_str realm)
{
    const lmail_settings *s = f->settings;
    if (realm.len == 0 || lmail_str_equal_nocase(realm, s->auth.realm) ||
        lmail_str_equal_nocase(realm, s->hostname) ||
        lmail_str_equal_nocase(realm, lmail_str_from(f->hostname)))
        return 1;
    for (size_t i = 0; i < s->domains.count; i++)
        if (lmail_str_equal_nocase(realm, s->domains.items[i]))
            return 1;
    return 0;
}

/* Some programs put the realm into the login (saslauthd -r wants it so). */
static lmail_saslauthd_request split(const lmail_saslauthd_request *request)
{
    lmail_saslauthd_request r = *request;
    const char *at = memchr(r.login.ptr, '@', r.login.len);
    if (at) {
        size_t local = (size_t)(at - r.login.ptr);
        r.realm = (lmail_str){at + 1, r.login.len - local - 1};
        r.login.len = local;
    }
    return r;
}

int authd_system_login(const authd_facts *f, const lmail_saslauthd_request *request, char *out,
                       size_t cap)
{
    lmail_saslauthd_request r = split(request);
    char folded[LMAIL_MAX_ACCOUNT_NAME];
    size_t len;
    /* What no account may be named no module gets to see: paths, blanks, control characters. */
    if (!authd_is_own_realm(f, r.realm) || r.login.len >= cap ||
        lmail_account_name_fold(r.login, folded, sizeof folded, &len) != LMAIL_OK)
        return 0;
    memcpy(out, r.login.ptr, r.login.len);
    out[r.login.len] = '\0';
    return 1;
}

int authd_may_log_in(const authd_facts *f, const char *login)
{
    const struct passwd *pw = getpwnam(login);
    return !pw || pw->pw_uid >= f->settings->auth.system_min_uid;
}

/* ---- Our accounts ---------------------------------------------------------------------------- */

/* The account's name: as it is with its realm, or without one that is ours. */
static lmail_status find(const authd_facts *f, const lmail_saslauthd_request *request,
                         char name[LMAIL_MAX_ACCOUNT_NAME + 1])
{
    lmail_saslauthd_request r = split(request);
    lmail_account account;
    lmail_status st = LMAIL_ERR_NOTFOUND;
    for (int with_realm = r.realm.len > 0; st == LMAIL_ERR_NOTFOUND && with_realm >= 0;
         with_realm--) {
        if (!with_realm && !authd_is_own_realm(f, r.realm))
            break;
        int n = with_realm ? snprintf(name, LMAIL_MAX_ACCOUNT_NAME + 1, "%.*s@%.*s",
                                      (int)r.login.len, r.login.ptr, (int)r.realm.len, r.realm.ptr)
                           : snprintf(name, LMAIL_MAX_ACCOUNT_NAME + 1, "%.*s", (int)r.login.len,
                                      r.login.ptr);
        if (n < 0 || n > (int)LMAIL_MAX_ACCOUNT_NAME)
            continue;
        st = lmail_accounts_find(f->accounts, lmail_str_from(name), &account);
        if (st == LMAIL_OK)
            lmail_accounts_release(f->accounts, &account);
    }
    return st;
}

/* In the server itself: a changed file is read once, not by each child again. */
void authd_accounts_prepare(void *user, const lmail_saslauthd_request *request)
{
    const authd_facts *f = user;
    char name[LMAIL_MAX_ACCOUNT_NAME + 1];
    (void)find(f, request, name);
}

lmail_status authd_accounts_check(void *user, const lmail_saslauthd_request *request)
{
    const authd_facts *f = user;
    char name[LMAIL_MAX_ACCOUNT_NAME + 1];
    lmail_account account;
    lmail_status st = find(f, request, name);
    if (st)
        return st;
    st = lmail_accounts_verify_for(f->accounts, request->service, lmail_str_from(name),
                                   request->password, &account);
    if (st)
        return st;
    /* Nobody tells us where the client is. */
    if (!lmail_account_allows(&account, (lmail_str){"", 0}))
        st = LMAIL_ERR_DENIED;
    lmail_accounts_release(f->accounts, &account);
    return st;
}
