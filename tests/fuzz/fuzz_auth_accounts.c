/* links: host
 *
 * The account file's parser: any octets are a table and faults; every account that is listed is
 * found under its own name, and its slices are sound. Then the same octets as the messages of a
 * login, for what precedes a hash. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <libmail/host/auth.h>

typedef struct tally {
    lmail_accounts *accounts;
    unsigned listed;
    unsigned char sum; /* so that every octet of a slice is read */
} tally;

static void read_all(tally *t, lmail_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        t->sum = (unsigned char)(t->sum + (unsigned char)s.ptr[i]);
    }
}

static void on_fault(void *user, const lmail_accounts_fault *fault)
{
    if (fault->what.len == 0 || fault->what.len > 200) {
        abort();
    }
    read_all(user, fault->what);
}

static int check_one(void *user, const lmail_account *account)
{
    tally *t = user;
    lmail_account found;
    char folded[LMAIL_MAX_ACCOUNT_NAME];
    size_t len;
    t->listed++;
    if (lmail_accounts_find(t->accounts, account->name, &found) != LMAIL_OK ||
        !lmail_str_equal(found.name, account->name)) {
        abort();
    }
    lmail_accounts_release(t->accounts, &found);
    if (lmail_account_name_fold(account->name, folded, sizeof folded, &len) != LMAIL_OK ||
        !lmail_str_equal((lmail_str){folded, len}, account->name)) {
        abort(); /* folding twice is folding once */
    }
    const lmail_str slices[] = {account->gecos,
                                account->home,
                                account->extra,
                                account->secret,
                                account->scram_sha_1.salt,
                                account->scram_sha_1.stored_key,
                                account->scram_sha_256.salt,
                                account->scram_sha_256.server_key};
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        read_all(t, slices[i]);
    }
    return 0;
}

static void log_in(lmail_accounts *accounts, lmail_str message)
{
    static const char *const mechanisms[] = {"SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "OAUTHBEARER",
                                             "EXTERNAL",    "CRAM-MD5",           "DIGEST-MD5"};
    lmail_str names[6];
    for (size_t i = 0; i < 6; i++) {
        names[i] = lmail_str_from(mechanisms[i]);
    }
    lmail_auth *auth;
    lmail_auth_config cfg;
    lmail_auth_config_init(&cfg);
    cfg.accounts = accounts;
    cfg.mechanisms = names;
    cfg.mechanism_count = 6;
    cfg.realm = LMAIL_STR("example.org");
    lmail_auth_facts facts = LMAIL_AUTH_FACTS_INIT;
    facts.secure = 1;
    facts.exporter = LMAIL_STR("0123456789abcdef0123456789abcdef");
    facts.peer_verified = 1;
    facts.peer_name = LMAIL_STR("juan");
    if (lmail_auth_new(&auth, &cfg) != LMAIL_OK) {
        return;
    }
    for (size_t i = 0; i < 6; i++) {
        lmail_auth_exchange *x;
        lmail_auth_result result;
        if (lmail_auth_exchange_new(&x, auth, names[i], &facts) != LMAIL_OK) {
            continue;
        }
        lmail_status status = lmail_auth_exchange_step(x, i >= 4 ? NULL : &message, 0, &result);
        if (status == LMAIL_OK && result.answer.kind == LMAIL_AUTH_CONTINUE) {
            (void)lmail_auth_exchange_step(x, &message, 0, &result);
        }
        lmail_auth_exchange_free(x);
    }
    lmail_auth_free(auth);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tally t = {NULL, 0, 0};
    lmail_accounts_config cfg = LMAIL_ACCOUNTS_CONFIG_INIT;
    cfg.default_domain = LMAIL_STR("example.org");
    cfg.on_fault = on_fault;
    cfg.user = &t;
    lmail_str text = {(const char *)data, size};
    if (lmail_accounts_from_text(&t.accounts, text, &cfg) != LMAIL_OK) {
        return 0;
    }
    if (lmail_accounts_each(t.accounts, check_one, &t) != LMAIL_OK) {
        abort();
    }
    log_in(t.accounts, text);
    lmail_accounts_free(t.accounts);
    return 0;
}
