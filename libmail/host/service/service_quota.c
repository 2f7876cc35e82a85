/* service_quota.c - how much an account may hold: the settings, or words of its extra field.
 *
 *     quota_storage=100M quota_messages=5000
 *     userdb_quota_rule=*:storage=102400:messages=5000      Dovecot's, storage in KiB
 *
 * A rule for another mailbox than "*" is not ours to keep and is passed over. */
#include "host/service/service_quota.h"

#include <string.h>

#include "host/service/service_location.h"
#include "host/store/store_internal.h"

/* "100M" as octets; unit: of a number without a letter. 0 is a value, too. 1: it was understood. */
static int read_size(lmail_str s, uint64_t unit, uint64_t *out)
{
    static const char letters[] = "bkmgt";
    uint64_t n = 0;
    size_t i = 0;
    for (; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++) {
        if (n > UINT64_MAX / 10 - 1)
            return 0;
        n = n * 10 + (uint64_t)(s.ptr[i] - '0');
    }
    if (!i || s.len - i > 1)
        return 0;
    if (i < s.len) {
        const char *letter = s.ptr[i] ? strchr(letters, s.ptr[i] | 0x20) : NULL;
        if (!letter)
            return 0;
        unit = 1ull << 10 * (letter - letters);
    }
    if (n > UINT64_MAX / unit)
        return 0;
    *out = n * unit;
    return 1;
}

static int named(lmail_str word, const char *name, lmail_str *value)
{
    size_t len = strlen(name);
    if (word.len <= len || memcmp(word.ptr, name, len) != 0)
        return 0;
    *value = (lmail_str){word.ptr + len, word.len - len};
    return 1;
}

/* The next piece up to `mark`. */
static lmail_str piece(lmail_str *rest, char mark)
{
    const char *at = rest->len ? memchr(rest->ptr, mark, rest->len) : NULL;
    lmail_str one = {rest->ptr, at ? (size_t)(at - rest->ptr) : rest->len};
    size_t used = one.len + (at ? 1 : 0);
    *rest = (lmail_str){rest->ptr + used, rest->len - used};
    return one;
}

static void read_rule(lmail_str rule, lmi_quota *q)
{
    lmail_str value, who = piece(&rule, ':');
    if (!lmail_str_equal(who, LMAIL_STR("*")))
        return;
    while (rule.len) {
        lmail_str one = piece(&rule, ':');
        if (named(one, "storage=", &value))
            (void)read_size(value, 1024, &q->octets);
        else if (named(one, "bytes=", &value))
            (void)read_size(value, 1, &q->octets);
        else if (named(one, "messages=", &value))
            (void)read_size(value, 1, &q->messages);
    }
}

static void read_extra(lmail_str extra, lmi_quota *q)
{
    lmail_str value;
    while (extra.len) {
        lmail_str word = piece(&extra, ' ');
        if (named(word, "quota_storage=", &value))
            (void)read_size(value, 1, &q->octets);
        else if (named(word, "quota_messages=", &value))
            (void)read_size(value, 1, &q->messages);
        else if (named(word, "userdb_quota_rule=", &value) || named(word, "quota_rule=", &value))
            read_rule(value, q);
    }
}

lmi_quota lmi_quota_of(const lmi_rules *rules,
                       lmail_status (*find)(lmail_accounts *, lmail_str, lmail_account *),
                       lmail_str account)
{
    lmi_quota q = {0, 0};
    lmail_account a;
    if (!rules)
        return q;
    q = (lmi_quota){rules->settings->store.quota, rules->settings->store.quota_messages};
    memset(&a, 0, sizeof a);
    a.size = sizeof a;
    if (!rules->accounts || find(rules->accounts, account, &a))
        return q;
    read_extra(a.extra, &q);
    lmail_accounts_release(rules->accounts, &a);
    return q;
}

lmail_status lmi_quota_check(const lmi_rules *rules, const lmail_store *store, lmail_str account,
                             uint64_t size)
{
    const lmi_quota q = lmi_quota_of(rules, lmail_accounts_find, account);
    lmail_store_account_args args = LMAIL_STORE_ACCOUNT_ARGS_INIT;
    lmail_store_account *a;
    lmail_store_usage u;
    char room[LMI_LOCATION_MAX];
    if ((!q.octets && !q.messages) || !store->usage)
        return LMAIL_OK;
    args.name = account;
    args.create = 0;
    if (lmi_location(rules, account, room, &args.location))
        return LMAIL_OK;
    lmail_status st = store->account_open(store->ctx, &args, &a);
    if (!st) {
        st = store->usage(a, &u);
        store->account_close(a);
    } else if (st == LMAIL_ERR_NOTFOUND) { /* nothing came for it yet */
        u = (lmail_store_usage){0, 0};
        st = LMAIL_OK;
    }
    if (st)
        return LMAIL_OK;
    /* A message of a size that nobody said has one octet at least. */
    return lmi_store_over(&u, size ? size : 1, q.octets, q.messages) ? LMAIL_ERR_QUOTA : LMAIL_OK;
}
