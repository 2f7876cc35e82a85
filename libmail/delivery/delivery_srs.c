/* delivery_srs.c - the Sender Rewriting Scheme, both ways.
 *
 * SRS0=HASH=TT=host=user and SRS1=HASH=host1=rest-of-SRS0: see libmail/srs.h. A hash covers what stands
 * behind it, in lower case, since local parts lose their case on the way. What comes back is a
 * stranger's text until its hash is right. */
#include <libmail/codec.h>
#include <libmail/srs.h>

#include <string.h>

#include "base/base_internal.h"

#define MAX_ADDRESS 512u
#define MAX_HASH 27u /* base64 of 20 octets without its padding */
#define DAYS 1024    /* what two characters of base32 count */
#define TODAY(seconds) ((unsigned)((seconds) / 86400 % DAYS))

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

void lmail_srs_config_init(lmail_srs_config *config)
{
    memset(config, 0, sizeof *config);
    config->size = sizeof *config;
}

/* ---- Hashes ---------------------------------------------------------------------------------- */

static lmail_status make_hash(const lmail_srs_config *c, lmail_str secret, const lmail_str *pieces,
                              size_t count, char out[MAX_HASH + 1])
{
    char data[2 * MAX_ADDRESS];
    unsigned char digest[20];
    size_t n = 0, made;
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].len > sizeof data - n)
            return LMAIL_ERR_LIMIT;
        for (size_t k = 0; k < pieces[i].len; k++)
            data[n++] = lmi_ascii_lower(pieces[i].ptr[k]);
    }
    lmail_status st = c->hmac_sha1(c->ctx, secret, (lmail_str){data, n}, digest);
    if (st)
        return st;
    return lmail_base64_encode((lmail_str){(const char *)digest, sizeof digest}, out, MAX_HASH + 1,
                               &made);
}

/* Every character is looked at, whatever the first ones are. */
static int same_hash(lmail_str said, const char *made)
{
    unsigned other = 0;
    for (size_t i = 0; i < said.len; i++)
        other |=
            (unsigned char)lmi_ascii_lower(said.ptr[i]) ^ (unsigned char)lmi_ascii_lower(made[i]);
    return !other;
}

static lmail_status check_hash(const lmail_srs_config *c, lmail_str said, const lmail_str *pieces,
                               size_t count)
{
    char made[MAX_HASH + 1];
    if (said.len < c->hash_length || said.len > MAX_HASH)
        return LMAIL_ERR_DENIED;
    for (size_t i = 0; i < c->secret_count; i++) {
        lmail_status st = make_hash(c, c->secrets[i], pieces, count, made);
        if (st)
            return st;
        if (same_hash(said, made))
            return LMAIL_OK;
    }
    return LMAIL_ERR_DENIED;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static lmail_status take_config(lmail_srs_config *c, const lmail_srs_config *given)
{
    if (lmi_struct_take(c, sizeof *c, given))
        return LMAIL_ERR_SIZE;
    if (!c->hmac_sha1 || !c->secret_count || !c->domain.len || c->max_age >= DAYS ||
        c->hash_length > MAX_HASH)
        return LMAIL_ERR_ARG;
    if (!c->max_age)
        c->max_age = 21;
    if (!c->hash_length)
        c->hash_length = 4;
    return LMAIL_OK;
}

/* At the last "@". */
static int split(lmail_str address, lmail_str *local, lmail_str *domain)
{
    size_t at = address.len;
    while (at && address.ptr[at - 1] != '@')
        at--;
    if (at < 2 || at == address.len)
        return 0;
    *local = lmi_str_sub(address, 0, at - 1);
    *domain = lmi_str_skip(address, at);
    return 1;
}

/* "SRS0=", "SRS1+", "srs0-": 1, and what stands behind the digit. */
static int is_tagged(lmail_str local, char digit, lmail_str *rest)
{
    if (local.len < 5 || !lmi_str_has_prefix_nocase(local, LMAIL_STR("SRS")) ||
        local.ptr[3] != digit || !memchr("=+-", local.ptr[4], 3))
        return 0;
    *rest = lmi_str_skip(local, 4);
    return 1;
}

/* Up to the next "=", which is taken off too. 0: there is none. */
static int next_field(lmail_str *rest, lmail_str *field)
{
    size_t at = lmi_str_find(*rest, '=');
    if (at == rest->len)
        return 0;
    *field = lmi_str_sub(*rest, 0, at);
    *rest = lmi_str_skip(*rest, at + 1);
    return 1;
}

static lmail_status put(const lmail_str *pieces, size_t count, char *out, size_t cap, size_t *made)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (n <= cap && pieces[i].len && pieces[i].len <= cap - n)
            memcpy(out + n, pieces[i].ptr, pieces[i].len);
        n += pieces[i].len;
    }
    *made = n;
    return n <= cap ? LMAIL_OK : LMAIL_ERR_LIMIT;
}

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* ---- Out ------------------------------------------------------------------------------------- */

/* The sender is another forwarder's: its host and what was behind SRS0 are kept. */
static lmail_status wrap(const lmail_srs_config *c, lmail_str host, lmail_str rest, char *out,
                         size_t cap, size_t *made)
{
    char hash[MAX_HASH + 1];
    const lmail_str hashed[] = {host, rest};
    lmail_status st = make_hash(c, c->secrets[0], hashed, COUNT(hashed), hash);
    if (st)
        return st;
    const lmail_str all[] = {LMAIL_STR("SRS1="), {hash, c->hash_length},
                             LMAIL_STR("="),     host,
                             LMAIL_STR("="),     rest,
                             LMAIL_STR("@"),     c->domain};
    return put(all, COUNT(all), out, cap, made);
}

static lmail_status sign(const lmail_srs_config *c, lmail_str local, lmail_str domain,
                         int64_t seconds, char *out, size_t cap, size_t *made)
{
    char hash[MAX_HASH + 1];
    unsigned day = TODAY(seconds);
    const char stamp[2] = {base32[day / 32], base32[day % 32]};
    const lmail_str hashed[] = {{stamp, 2}, domain, local};
    lmail_status st = make_hash(c, c->secrets[0], hashed, COUNT(hashed), hash);
    if (st)
        return st;
    const lmail_str all[] = {LMAIL_STR("SRS0="), {hash, c->hash_length},
                             LMAIL_STR("="),     {stamp, 2},
                             LMAIL_STR("="),     domain,
                             LMAIL_STR("="),     local,
                             LMAIL_STR("@"),     c->domain};
    return put(all, COUNT(all), out, cap, made);
}

lmail_status lmail_srs_forward(const lmail_srs_config *config, lmail_str sender, int64_t seconds,
                               char *out, size_t cap, size_t *made)
{
    lmail_srs_config c;
    lmail_str local, domain, rest, hash, host;
    *made = 0;
    lmail_status st = take_config(&c, config);
    if (st)
        return st;
    if (sender.len > MAX_ADDRESS)
        return LMAIL_ERR_LIMIT;
    if (seconds < 0 || !split(sender, &local, &domain))
        return LMAIL_ERR_ARG;
    if (lmail_str_equal_nocase(domain, c.domain))
        return put(&sender, 1, out, cap, made);
    if (local.ptr[0] == '"')
        return LMAIL_ERR_UNSUPPORTED;
    if (is_tagged(local, '0', &rest))
        return wrap(&c, domain, rest, out, cap, made);
    if (is_tagged(local, '1', &rest)) {
        rest = lmi_str_skip(rest, 1);
        if (next_field(&rest, &hash) && next_field(&rest, &host) && host.len && rest.len)
            return wrap(&c, host, rest, out, cap, made);
        rest = (lmail_str){NULL, 0}; /* it only looks like one */
    }
    return sign(&c, local, domain, seconds, out, cap, made);
}

/* ---- Back ------------------------------------------------------------------------------------ */

static int digit_of(char c)
{
    c = lmi_ascii_upper(c);
    const char *at = c ? strchr(base32, c) : NULL;
    return at ? (int)(at - base32) : -1;
}

static lmail_status check_day(const lmail_srs_config *c, lmail_str stamp, int64_t seconds)
{
    int high = stamp.len == 2 ? digit_of(stamp.ptr[0]) : -1;
    int low = stamp.len == 2 ? digit_of(stamp.ptr[1]) : -1;
    if (high < 0 || low < 0)
        return LMAIL_ERR_SYNTAX;
    unsigned then = (unsigned)(high * 32 + low);
    return (TODAY(seconds) + DAYS - then) % DAYS <= c->max_age ? LMAIL_OK : LMAIL_ERR_STALE;
}

lmail_status lmail_srs_reverse(const lmail_srs_config *config, lmail_str address, int64_t seconds,
                               char *out, size_t cap, size_t *made)
{
    lmail_srs_config c;
    lmail_str local, domain, rest, hash, stamp, host;
    *made = 0;
    lmail_status st = take_config(&c, config);
    if (st)
        return st;
    if (address.len > MAX_ADDRESS)
        return LMAIL_ERR_LIMIT;
    if (seconds < 0)
        return LMAIL_ERR_ARG;
    if (!split(address, &local, &domain))
        return LMAIL_ERR_NOTFOUND;
    if (is_tagged(local, '1', &rest)) {
        rest = lmi_str_skip(rest, 1);
        if (!next_field(&rest, &hash) || !next_field(&rest, &host) || !host.len || rest.len < 2 ||
            !memchr("=+-", rest.ptr[0], 3))
            return LMAIL_ERR_SYNTAX;
        const lmail_str hashed[] = {host, rest};
        st = check_hash(&c, hash, hashed, COUNT(hashed));
        const lmail_str all[] = {LMAIL_STR("SRS0"), rest, LMAIL_STR("@"), host};
        return st ? st : put(all, COUNT(all), out, cap, made);
    }
    if (!is_tagged(local, '0', &rest))
        return LMAIL_ERR_NOTFOUND;
    rest = lmi_str_skip(rest, 1);
    if (!next_field(&rest, &hash) || !next_field(&rest, &stamp) || !next_field(&rest, &host) ||
        !host.len || !rest.len || stamp.len != 2)
        return LMAIL_ERR_SYNTAX;
    const lmail_str hashed[] = {stamp, host, rest};
    st = check_hash(&c, hash, hashed, COUNT(hashed));
    if (!st)
        st = check_day(&c, stamp, seconds);
    const lmail_str all[] = {rest, LMAIL_STR("@"), host};
    return st ? st : put(all, COUNT(all), out, cap, made);
}
