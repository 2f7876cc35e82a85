/* service_location.c - where an account's mail lies: store.location and store.home with the account's
 * name in them.
 *
 * %u is the whole name, %n and %d its parts, %h and a leading ~ the home. A name is no path: what could
 * lead out of its place is refused. */
#include "host/service/service_location.h"

#include <stdio.h>
#include <string.h>

typedef struct parts {
    lmail_str user, local, domain, home;
} parts;

static int fits_in_path(lmail_str s)
{
    if (s.len && (s.ptr[0] == '.' || memchr(s.ptr, '/', s.len) || memchr(s.ptr, '\0', s.len)))
        return 0;
    return 1;
}

static int split(lmail_str identity, parts *p)
{
    const char *at = memchr(identity.ptr, '@', identity.len);
    size_t local = at ? (size_t)(at - identity.ptr) : identity.len;
    p->user = identity;
    p->local = (lmail_str){identity.ptr, local};
    p->domain = at ? (lmail_str){at + 1, identity.len - local - 1} : (lmail_str){"", 0};
    return local && fits_in_path(p->user) && fits_in_path(p->domain);
}

static lmail_status add(char out[LMI_LOCATION_MAX], size_t *n, lmail_str s)
{
    if (s.len >= LMI_LOCATION_MAX - *n)
        return LMAIL_ERR_LIMIT;
    if (s.len)
        memcpy(out + *n, s.ptr, s.len);
    *n += s.len;
    return LMAIL_OK;
}

static lmail_status expand(lmail_str form, const parts *p, char out[LMI_LOCATION_MAX], size_t *n)
{
    lmail_status st = LMAIL_OK;
    size_t i = 0;
    *n = 0;
    if (form.len && form.ptr[0] == '~') {
        st = add(out, n, p->home);
        i = 1;
    }
    for (; !st && i < form.len; i++) {
        char letter = form.ptr[i] == '%' && i + 1 < form.len ? form.ptr[++i] : '\0';
        st = add(out, n,
                 letter == 'u'   ? p->user
                 : letter == 'n' ? p->local
                 : letter == 'd' ? p->domain
                 : letter == 'h' ? p->home
                                 : (lmail_str){form.ptr + i, 1});
    }
    return st;
}

/* What the account itself says, or the settings. */
static lmail_status find_home(const lmi_rules *r, parts *p, char room[LMI_LOCATION_MAX],
                              uint32_t *uid)
{
    lmail_account account;
    size_t n = 0;
    lmail_status st;
    *uid = LMAIL_NO_ID;
    if (r->settings->store.home.len) {
        st = expand(r->settings->store.home, p, room, &n);
    } else {
        st = lmail_accounts_find(r->accounts, p->user, &account);
        if (st)
            return st;
        *uid = account.uid;
        st = account.home.len ? add(room, &n, account.home) : LMAIL_ERR_NOTFOUND;
        lmail_accounts_release(r->accounts, &account);
    }
    p->home = (lmail_str){room, n};
    return st;
}

lmail_status lmi_location(const lmi_rules *r, lmail_str identity, char out[LMI_LOCATION_MAX],
                          lmail_str *location)
{
    char room[LMI_LOCATION_MAX];
    uint32_t uid;
    size_t n = 0;
    parts p = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    *location = (lmail_str){NULL, 0};
    if (!r || !r->settings->store.location.len)
        return LMAIL_OK;
    if (!split(identity, &p))
        return LMAIL_ERR_ARG;
    lmail_status st = LMAIL_OK;
    if (lmail_config_names_home(r->settings->store.location))
        st = find_home(r, &p, room, &uid);
    if (!st)
        st = expand(r->settings->store.location, &p, out, &n);
    if (!st)
        *location = (lmail_str){out, n};
    return st;
}

lmail_status lmi_home(const lmi_rules *r, lmail_str identity, char out[LMI_LOCATION_MAX],
                      uint32_t *uid)
{
    parts p = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    if (!split(identity, &p))
        return LMAIL_ERR_ARG;
    lmail_status st = find_home(r, &p, out, uid);
    if (!st && p.home.len >= LMI_LOCATION_MAX)
        st = LMAIL_ERR_LIMIT;
    if (!st)
        out[p.home.len] = '\0';
    return st;
}

/* ---- Whose the homes are --------------------------------------------------------------------- */

static int another_owner(void *user, const lmail_account *account)
{
    uint32_t *first = user; /* [0] the owner so far, [1] another one */
    if (account->uid == LMAIL_NO_ID || !account->home.len)
        return 0;
    if (first[0] == LMAIL_NO_ID)
        first[0] = account->uid;
    first[1] = account->uid;
    return first[0] != first[1];
}

lmail_status lmi_location_check(const lmi_rules *r, char *error, size_t cap)
{
    uint32_t owners[2] = {LMAIL_NO_ID, LMAIL_NO_ID};
    const lmail_settings *s = r->settings;
    if (!lmail_config_names_home(s->store.location) || s->store.home.len)
        return LMAIL_OK;
    lmail_accounts_each(r->accounts, another_owner, owners);
    if (owners[0] == owners[1])
        return LMAIL_OK;
    snprintf(
        error, cap,
        "store.location: the accounts' homes belong to many users (%u, %u); all mail belongs to "
        "one. Import each user's with doveadm backup -u USER maildir:%.*s/mail/USER",
        (unsigned)owners[0], (unsigned)owners[1], (int)s->mail_directory.len,
        s->mail_directory.ptr);
    return LMAIL_ERR_ARG;
}

/* ---- Whether it moved ------------------------------------------------------------------------ */

lmail_status lmi_location_same(const lmail_settings *before, const lmail_settings *now, char *error,
                               size_t cap)
{
    const struct {
        const char *name;
        lmail_str before, now;
    } rows[] = {{"store.location", before->store.location, now->store.location},
                {"store.home", before->store.home, now->store.home}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (lmail_str_equal(rows[i].before, rows[i].now))
            continue;
        snprintf(error, cap,
                 "%s: changed from \"%.*s\" to \"%.*s\", which takes a restart: until then mail "
                 "lies where it lay",
                 rows[i].name, (int)rows[i].before.len, rows[i].before.ptr, (int)rows[i].now.len,
                 rows[i].now.ptr);
        return LMAIL_ERR_ARG;
    }
    return LMAIL_OK;
}
