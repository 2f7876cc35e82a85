/* lmail_accounts: what stands between a name as it was typed and a source of accounts. Folds the
 * name, tries it with and without the default domain, and asks the source's table of functions.
 *
 * Called by services, exchanges and tools, from any thread. Knows no file and no hash. */
#include <stdlib.h>
#include <string.h>

#include "auth_internal.h"

struct lmail_accounts {
    lmail_accounts_source source;
    char *domain; /* folded; empty: none */
    size_t domain_len;
    unsigned drop_domain;
};

void lmail_accounts_config_init(lmail_accounts_config *cfg)
{
    memset(cfg, 0, sizeof *cfg);
    cfg->size = sizeof *cfg;
}

lmail_status lmi_accounts_config_copy(lmail_accounts_config *out, const lmail_accounts_config *cfg)
{
    lmail_accounts_config_init(out);
    if (cfg && cfg->size > sizeof *out) {
        return LMAIL_ERR_SIZE;
    }
    if (cfg) {
        memcpy(out, cfg, cfg->size);
    }
    return LMAIL_OK;
}

lmail_status lmi_source_verify(const lmail_accounts_source *source, lmail_str service,
                               lmail_str name, lmail_str password, lmail_account *out)
{
    return source->verify_for ? source->verify_for(source->ctx, service, name, password, out)
                              : source->verify(source->ctx, name, password, out);
}

lmail_status lmail_accounts_new(lmail_accounts **out, const lmail_accounts_source *source,
                                const lmail_accounts_config *given)
{
    *out = NULL;
    lmail_accounts_config cfg;
    lmail_accounts_source table = {0};
    lmail_status status = lmi_accounts_config_copy(&cfg, given);
    if (status != LMAIL_OK || source->size > sizeof table) {
        return LMAIL_ERR_SIZE;
    }
    memcpy(&table, source, source->size);
    if (!table.find || !table.verify) {
        return LMAIL_ERR_ARG;
    }
    lmail_accounts *a = calloc(1, sizeof *a);
    if (!a) {
        return LMAIL_ERR_NOMEM;
    }
    a->source = table;
    a->drop_domain = cfg.drop_domain;
    a->domain = calloc(1, LMAIL_MAX_ACCOUNT_NAME);
    /* A domain is folded as a name is: nobody can have an account under one that does not fold. */
    if (a->domain && cfg.default_domain.len > 0) {
        status = lmail_account_name_fold(cfg.default_domain, a->domain, LMAIL_MAX_ACCOUNT_NAME,
                                         &a->domain_len);
    }
    if (!a->domain || status != LMAIL_OK) {
        status = a->domain ? LMAIL_ERR_ARG : LMAIL_ERR_NOMEM;
        free(a->domain);
        free(a);
        return status;
    }
    *out = a;
    return LMAIL_OK;
}

void lmail_accounts_free(lmail_accounts *a)
{
    if (a) {
        if (a->source.close) {
            a->source.close(a->source.ctx);
        }
        free(a->domain);
        free(a);
    }
}

typedef struct spellings {
    char text[2 * LMAIL_MAX_ACCOUNT_NAME + 1];
    lmail_str forms[2];
    size_t count;
} spellings;

/* The folded name, and its other form when the default domain is concerned. */
static lmail_status spell(const lmail_accounts *a, lmail_str name, spellings *s)
{
    size_t len;
    lmail_status status = lmail_account_name_fold(name, s->text, LMAIL_MAX_ACCOUNT_NAME, &len);
    if (status != LMAIL_OK) {
        return status;
    }
    const char *at = memchr(s->text, '@', len);
    if (a->drop_domain && at) {
        len = (size_t)(at - s->text);
        at = NULL;
    }
    s->forms[0] = (lmail_str){s->text, len};
    s->count = 1;
    if (a->domain_len == 0 || a->drop_domain) {
        return LMAIL_OK;
    }
    if (!at) {
        s->text[len] = '@';
        memcpy(s->text + LMAIL_MAX_ACCOUNT_NAME, s->text, len + 1);
        if (len + 1 + a->domain_len <= LMAIL_MAX_ACCOUNT_NAME) {
            char *second = s->text + LMAIL_MAX_ACCOUNT_NAME;
            memcpy(second + len + 1, a->domain, a->domain_len);
            s->forms[s->count++] = (lmail_str){second, len + 1 + a->domain_len};
        }
        return LMAIL_OK;
    }
    size_t local = (size_t)(at - s->text);
    if (len - local - 1 == a->domain_len && memcmp(at + 1, a->domain, a->domain_len) == 0) {
        s->forms[s->count++] = (lmail_str){s->text, local};
    }
    return LMAIL_OK;
}

lmail_status lmail_accounts_find(lmail_accounts *a, lmail_str name, lmail_account *out)
{
    spellings s;
    memset(out, 0, sizeof *out);
    lmail_status status = spell(a, name, &s);
    if (status != LMAIL_OK) {
        return status == LMAIL_ERR_NOMEM ? status : LMAIL_ERR_NOTFOUND;
    }
    status = LMAIL_ERR_NOTFOUND;
    for (size_t i = 0; i < s.count && status == LMAIL_ERR_NOTFOUND; i++) {
        status = a->source.find(a->source.ctx, s.forms[i], out);
    }
    return status;
}

lmail_status lmail_accounts_find_now(lmail_accounts *a, lmail_str name, lmail_account *out)
{
    spellings s;
    memset(out, 0, sizeof *out);
    if (!a->source.find_now || spell(a, name, &s) != LMAIL_OK) {
        return LMAIL_PENDING;
    }
    lmail_status status = LMAIL_ERR_NOTFOUND;
    for (size_t i = 0; i < s.count && status == LMAIL_ERR_NOTFOUND; i++) {
        status = a->source.find_now(a->source.ctx, s.forms[i], out);
    }
    /* Nobody is refused for what memory says: the account may have come just now. */
    return status == LMAIL_OK ? status : LMAIL_PENDING;
}

lmail_status lmail_accounts_verify(lmail_accounts *a, lmail_str name, lmail_str password,
                                   lmail_account *out)
{
    return lmail_accounts_verify_for(a, (lmail_str){"", 0}, name, password, out);
}

lmail_status lmail_accounts_verify_for(lmail_accounts *a, lmail_str service, lmail_str name,
                                       lmail_str password, lmail_account *out)
{
    spellings s;
    memset(out, 0, sizeof *out);
    lmail_status status = spell(a, name, &s);
    if (status == LMAIL_ERR_NOMEM) {
        return status;
    }
    if (status != LMAIL_OK) {
        /* Nobody can have this name; the source shall take its time over it all the same. */
        s.forms[0] = LMAIL_STR("?");
        s.count = 1;
    }
    lmail_str chosen = s.forms[0];
    for (size_t i = 1; i < s.count; i++) {
        /* One password check, whichever form exists: two would tell by their time. */
        lmail_account found;
        memset(&found, 0, sizeof found);
        status = a->source.find(a->source.ctx, s.forms[0], &found);
        if (status == LMAIL_OK) {
            lmail_accounts_release(a, &found);
            break;
        }
        if (status != LMAIL_ERR_NOTFOUND) {
            return status;
        }
        status = a->source.find(a->source.ctx, s.forms[i], &found);
        if (status == LMAIL_OK) {
            lmail_accounts_release(a, &found);
            chosen = s.forms[i];
        }
    }
    status = lmi_source_verify(&a->source, service, chosen, password, out);
    return status == LMAIL_ERR_NOTFOUND ? LMAIL_ERR_DENIED : status;
}

void lmail_accounts_release(lmail_accounts *a, lmail_account *account)
{
    if (a->source.release && account->size > 0) {
        a->source.release(a->source.ctx, account);
    }
    memset(account, 0, sizeof *account);
}

void lmail_accounts_forget(lmail_accounts *a, unsigned all)
{
    if (a->source.forget) {
        a->source.forget(a->source.ctx, all);
    }
}

lmail_status lmail_accounts_each(lmail_accounts *a,
                                 int (*fn)(void *user, const lmail_account *account), void *user)
{
    return a->source.each ? a->source.each(a->source.ctx, fn, user) : LMAIL_ERR_UNSUPPORTED;
}
