/* Several sources of accounts, asked in order: the first that knows a name has the account.
 *
 * A name that a file and the system both know is the file's, and only the file's password opens it:
 * a second chance at another source would let either password in. Called through lmail_accounts,
 * from any thread. */
#include <stdlib.h>
#include <string.h>

#include "auth_internal.h"

typedef struct chain {
    size_t count;
    lmail_accounts_source sources[];
} chain;

/* Whose an account is, and what that source holds. */
typedef struct owner {
    const lmail_accounts_source *source;
    void *held;
} owner;

/* The account as the chain's; with no memory it is given back. */
static lmail_status adopt(const lmail_accounts_source *source, lmail_account *account)
{
    owner *o = malloc(sizeof *o);
    if (!o) {
        if (source->release) {
            source->release(source->ctx, account);
        }
        memset(account, 0, sizeof *account);
        return LMAIL_ERR_NOMEM;
    }
    *o = (owner){source, account->held};
    account->held = o;
    return LMAIL_OK;
}

static void chain_release(void *ctx, lmail_account *account)
{
    (void)ctx;
    owner *o = account->held;
    if (o) {
        const lmail_accounts_source *source = o->source;
        account->held = o->held;
        free(o);
        if (source->release) {
            source->release(source->ctx, account);
        }
    }
    memset(account, 0, sizeof *account);
}

static lmail_status chain_find(void *ctx, lmail_str name, lmail_account *out)
{
    const chain *c = ctx;
    for (size_t i = 0; i < c->count; i++) {
        lmail_status status = c->sources[i].find(c->sources[i].ctx, name, out);
        if (status != LMAIL_ERR_NOTFOUND) {
            return status == LMAIL_OK ? adopt(&c->sources[i], out) : status;
        }
    }
    return LMAIL_ERR_NOTFOUND;
}

static lmail_status chain_find_now(void *ctx, lmail_str name, lmail_account *out)
{
    const chain *c = ctx;
    for (size_t i = 0; i < c->count; i++) {
        const lmail_accounts_source *source = &c->sources[i];
        lmail_status status =
            source->find_now ? source->find_now(source->ctx, name, out) : LMAIL_PENDING;
        if (status != LMAIL_ERR_NOTFOUND) {
            return status == LMAIL_OK ? adopt(source, out) : status;
        }
    }
    return LMAIL_ERR_NOTFOUND;
}

static lmail_status chain_verify_for(void *ctx, lmail_str service, lmail_str name,
                                     lmail_str password, lmail_account *out)
{
    const chain *c = ctx;
    const lmail_accounts_source *source = NULL;
    for (size_t i = 0; i + 1 < c->count && !source; i++) {
        lmail_account found;
        memset(&found, 0, sizeof found);
        lmail_status known = c->sources[i].find(c->sources[i].ctx, name, &found);
        if (known == LMAIL_OK) {
            source = &c->sources[i];
            if (source->release) {
                source->release(source->ctx, &found);
            }
        } else if (known != LMAIL_ERR_NOTFOUND) {
            return known;
        }
    }
    if (!source) {
        source = &c->sources[c->count - 1];
    }
    lmail_status status = lmi_source_verify(source, service, name, password, out);
    return status == LMAIL_OK ? adopt(source, out) : status;
}

static lmail_status chain_verify(void *ctx, lmail_str name, lmail_str password, lmail_account *out)
{
    return chain_verify_for(ctx, (lmail_str){"", 0}, name, password, out);
}

typedef struct visit {
    int (*fn)(void *user, const lmail_account *account);
    void *user;
    int over;
} visit;

static int pass_on(void *user, const lmail_account *account)
{
    visit *v = user;
    v->over = v->fn(v->user, account);
    return v->over;
}

static lmail_status chain_each(void *ctx, int (*fn)(void *user, const lmail_account *account),
                               void *user)
{
    const chain *c = ctx;
    visit v = {fn, user, 0};
    lmail_status status = LMAIL_ERR_UNSUPPORTED;
    for (size_t i = 0; i < c->count && !v.over; i++) {
        if (!c->sources[i].each) {
            continue; /* it cannot be listed; those that can are */
        }
        status = c->sources[i].each(c->sources[i].ctx, pass_on, &v);
        if (status != LMAIL_OK) {
            break;
        }
    }
    return status;
}

static void chain_forget(void *ctx, unsigned all)
{
    const chain *c = ctx;
    for (size_t i = 0; i < c->count; i++) {
        if (c->sources[i].forget) {
            c->sources[i].forget(c->sources[i].ctx, all);
        }
    }
}

static void chain_close(void *ctx)
{
    chain *c = ctx;
    for (size_t i = 0; i < c->count; i++) {
        if (c->sources[i].close) {
            c->sources[i].close(c->sources[i].ctx);
        }
    }
    free(c);
}

lmail_status lmail_accounts_chain(lmail_accounts_source *out, const lmail_accounts_source *sources,
                                  size_t count)
{
    memset(out, 0, sizeof *out);
    if (count == 0) {
        return LMAIL_ERR_ARG;
    }
    chain *c = calloc(1, sizeof *c + count * sizeof c->sources[0]);
    if (!c) {
        return LMAIL_ERR_NOMEM;
    }
    c->count = count;
    lmail_status status = LMAIL_OK;
    for (size_t i = 0; i < count && status == LMAIL_OK; i++) {
        if (sources[i].size > sizeof sources[i]) {
            status = LMAIL_ERR_SIZE;
        } else {
            memcpy(&c->sources[i], &sources[i], sources[i].size);
            status = c->sources[i].find && c->sources[i].verify ? LMAIL_OK : LMAIL_ERR_ARG;
        }
    }
    if (status != LMAIL_OK) {
        free(c);
        return status;
    }
    *out = (lmail_accounts_source){
        sizeof *out, c,           chain_find,     chain_release, chain_verify,
        chain_each,  chain_close, chain_find_now, chain_forget,  chain_verify_for};
    return LMAIL_OK;
}
