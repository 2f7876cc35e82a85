/* lmail_auth: the configuration of logins, what is on offer, and logins without SASL.
 *
 * Called by services: the offer on the loop, the checks on a worker. The exchange of a mechanism
 * lives in auth_exchange.c. */
#include <stdlib.h>
#include <string.h>

#include <mbedtls/md.h>

#include "auth_internal.h"

#define DEFAULT_DELAY 2000u
#define DEFAULT_DELAY_MAX 16000u

void lmail_auth_facts_init(lmail_auth_facts *facts)
{
    memset(facts, 0, sizeof *facts);
    facts->size = sizeof *facts;
}

void lmail_auth_config_init(lmail_auth_config *cfg)
{
    memset(cfg, 0, sizeof *cfg);
    cfg->size = sizeof *cfg;
}

const char *lmail_auth_reason_name(lmail_auth_reason reason)
{
    switch (reason) {
    case LMAIL_AUTH_REASON_NONE:
        return "none";
    case LMAIL_AUTH_REASON_CREDENTIALS:
        return "credentials";
    case LMAIL_AUTH_REASON_DISABLED:
        return "disabled";
    case LMAIL_AUTH_REASON_NO_SECRET:
        return "no_secret";
    case LMAIL_AUTH_REASON_AUTHZID:
        return "authzid";
    case LMAIL_AUTH_REASON_MALFORMED:
        return "malformed";
    case LMAIL_AUTH_REASON_BINDING:
        return "channel_binding";
    case LMAIL_AUTH_REASON_TOKEN:
        return "token";
    case LMAIL_AUTH_REASON_CLEARTEXT:
        return "cleartext";
    case LMAIL_AUTH_REASON_TEMPORARY:
        return "temporary";
    }
    return "?";
}

/* ---- Making one ------------------------------------------------------------------------------ */

static void enable(lmail_auth *auth, lmi_mechanism_id id)
{
    for (size_t i = 0; i < auth->enabled_count; i++) {
        if (auth->enabled[i] == id) {
            return;
        }
    }
    auth->enabled[auth->enabled_count++] = id;
}

static void choose_mechanisms(lmail_auth *auth, const lmail_auth_config *cfg)
{
    for (size_t i = 0; i < cfg->mechanism_count; i++) {
        lmi_mechanism_id id = lmi_mechanism_find(cfg->mechanisms[i]);
        if (id != LMI_MECHANISMS) {
            enable(auth, id);
        }
    }
    for (lmi_mechanism_id id = 0; cfg->mechanism_count == 0 && id < LMI_MECHANISMS; id++) {
        if (lmi_mechanism_get(id)->by_default) {
            enable(auth, id);
        }
    }
}

static lmail_status set_up(lmail_auth *auth, const lmail_auth_config *cfg)
{
    auth->service = lmi_auth_copy(cfg->service);
    auth->hostname = lmi_auth_copy(cfg->hostname);
    auth->realm = lmi_auth_copy(cfg->realm.len > 0 ? cfg->realm : cfg->hostname);
    auth->oauth_error =
        lmi_auth_copy(cfg->oauth_error.len > 0
                          ? cfg->oauth_error
                          : LMAIL_STR("{\"status\":\"invalid_token\",\"schemes\":\"bearer\"}"));
    if (!auth->service || !auth->hostname || !auth->realm || !auth->oauth_error) {
        return LMAIL_ERR_NOMEM;
    }
    if (cfg->salt_key.len > 0) {
        lmi_auth_mac(cfg->salt_key, "salt key", (lmail_str){NULL, 0}, auth->salt_key);
    } else if (lmi_random(auth->salt_key, sizeof auth->salt_key) != LMAIL_OK) {
        return LMAIL_ERR_IO;
    }
    uint32_t base = cfg->failure_delay > 0 ? cfg->failure_delay : DEFAULT_DELAY;
    uint32_t max = cfg->failure_delay_max > 0 ? cfg->failure_delay_max : DEFAULT_DELAY_MAX;
    lmail_status status = base == LMAIL_AUTH_NO_DELAY
                              ? lmail_auth_delays_new(&auth->delays, 0, 0, 0)
                              : lmail_auth_delays_new(&auth->delays, base, max, 0);
    if (status != LMAIL_OK) {
        return status;
    }
    if (gsasl_init(&auth->gsasl) != GSASL_OK || lmi_oauth_register(auth->gsasl) != GSASL_OK) {
        return LMAIL_ERR_NOMEM;
    }
    gsasl_callback_set(auth->gsasl, lmi_exchange_callback);
    return LMAIL_OK;
}

lmail_status lmail_auth_new(lmail_auth **out, const lmail_auth_config *given)
{
    *out = NULL;
    lmail_auth_config cfg;
    lmail_auth_config_init(&cfg);
    if (given->size > sizeof cfg) {
        return LMAIL_ERR_SIZE;
    }
    memcpy(&cfg, given, given->size);
    if (!cfg.accounts) {
        return LMAIL_ERR_ARG;
    }
    lmail_auth *auth = calloc(1, sizeof *auth);
    if (!auth) {
        return LMAIL_ERR_NOMEM;
    }
    auth->accounts = cfg.accounts;
    auth->allow_cleartext = cfg.allow_cleartext;
    auth->need = cfg.need | (cfg.allow_cleartext ? 0u : LMAIL_SASL_NO_CLEARTEXT);
    auth->on_token = cfg.on_token;
    auth->user = cfg.user;
    choose_mechanisms(auth, &cfg);
    lmail_status status = set_up(auth, &cfg);
    if (status != LMAIL_OK) {
        lmail_auth_free(auth);
        return status;
    }
    *out = auth;
    return LMAIL_OK;
}

void lmail_auth_free(lmail_auth *auth)
{
    if (auth) {
        if (auth->gsasl) {
            gsasl_done(auth->gsasl);
        }
        lmail_auth_delays_free(auth->delays);
        free(auth->service);
        free(auth->hostname);
        free(auth->realm);
        free(auth->oauth_error);
        lmi_auth_wipe_free(auth, sizeof *auth);
    }
}

/* ---- The offer ------------------------------------------------------------------------------- */

static lmail_sasl_channel channel_of(const lmail_auth *auth, const lmail_auth_facts *facts)
{
    if (facts->peer_verified && facts->peer_name.len > 0) {
        return LMAIL_SASL_TLS_VERIFIED;
    }
    return lmail_auth_cleartext(auth, facts) ? LMAIL_SASL_TLS : LMAIL_SASL_CLEAR;
}

/* What a mechanism needs beside a channel that is good enough for it. */
static int can_complete(const lmail_auth *auth, lmi_mechanism_id id, const lmail_auth_facts *facts)
{
    unsigned traits = lmi_mechanism_get(id)->traits;
    return (!(traits & LMI_TRAIT_EXPORTER) || facts->exporter.len > 0) &&
           (!(traits & LMI_TRAIT_TOKEN) || auth->on_token);
}

size_t lmail_auth_offer(const lmail_auth *auth, const lmail_auth_facts *facts, lmail_str *out,
                        size_t max)
{
    lmail_str names[LMI_MECHANISMS], offered[LMI_MECHANISMS + LMAIL_SASL_MORE];
    for (size_t i = 0; i < auth->enabled_count; i++) {
        names[i] = lmi_mechanism_get(auth->enabled[i])->name;
    }
    size_t n =
        lmail_sasl_offer(names, auth->enabled_count, auth->need, channel_of(auth, facts), offered);
    size_t count = 0;
    for (size_t i = 0; i < n && count < max; i++) {
        if (can_complete(auth, lmi_mechanism_find(offered[i]), facts)) {
            out[count++] = offered[i];
        }
    }
    return count;
}

int lmi_auth_offered(const lmail_auth *auth, lmi_mechanism_id id, const lmail_auth_facts *facts)
{
    lmail_str offered[LMI_MECHANISMS];
    size_t n = lmail_auth_offer(auth, facts, offered, LMI_MECHANISMS);
    for (size_t i = 0; i < n; i++) {
        if (lmi_mechanism_find(offered[i]) == id) {
            return 1;
        }
    }
    return 0;
}

int lmail_auth_cleartext(const lmail_auth *auth, const lmail_auth_facts *facts)
{
    return auth->allow_cleartext || facts->secure;
}

/* ---- Results --------------------------------------------------------------------------------- */

static lmail_auth_failure failure_of(lmail_auth_reason reason)
{
    switch (reason) {
    case LMAIL_AUTH_REASON_TEMPORARY:
        return LMAIL_AUTH_TEMPORARY;
    case LMAIL_AUTH_REASON_MALFORMED:
        return LMAIL_AUTH_PROTOCOL;
    case LMAIL_AUTH_REASON_CLEARTEXT:
        return LMAIL_AUTH_ENCRYPTION;
    case LMAIL_AUTH_REASON_AUTHZID: /* known only after the proof was right */
        return LMAIL_AUTH_AUTHORIZATION;
    default:
        return LMAIL_AUTH_CREDENTIALS;
    }
}

void lmi_auth_fail(lmail_auth *auth, lmail_str address, lmail_auth_reason reason, lmail_str tried,
                   lmail_msec now, lmail_auth_result *out)
{
    memset(out, 0, sizeof *out);
    lmail_auth_answer_init(&out->answer);
    out->answer.kind = LMAIL_AUTH_FAIL;
    out->answer.failure = failure_of(reason);
    out->reason = reason;
    out->tried = tried;
    if (reason != LMAIL_AUTH_REASON_CLEARTEXT && reason != LMAIL_AUTH_REASON_TEMPORARY) {
        out->delay = lmail_auth_delays_failed(auth->delays, address, now);
    }
}

void lmi_auth_pass(lmail_auth *auth, lmail_str address, lmail_str identity, lmail_auth_result *out)
{
    memset(out, 0, sizeof *out);
    lmail_auth_answer_init(&out->answer);
    out->answer.kind = LMAIL_AUTH_OK;
    out->answer.identity = identity;
    lmail_auth_delays_passed(auth->delays, address);
}

lmail_auth_reason lmi_auth_reason_of(lmail_status status)
{
    return status == LMAIL_ERR_DENIED || status == LMAIL_ERR_NOTFOUND
               ? LMAIL_AUTH_REASON_CREDENTIALS
               : LMAIL_AUTH_REASON_TEMPORARY;
}

/* ---- Without SASL ---------------------------------------------------------------------------- */

static lmail_str keep_name(lmail_auth_login *out, lmail_str name)
{
    size_t len = name.len < sizeof out->name ? name.len : sizeof out->name;
    memcpy(out->name, name.ptr, len);
    return (lmail_str){out->name, len};
}

static lmail_str keep_tried(lmail_auth_login *out, lmail_str name)
{
    size_t len;
    if (lmail_account_name_fold(name, out->name, sizeof out->name, &len) != LMAIL_OK) {
        len = 0;
    }
    return (lmail_str){out->name, len};
}

void lmail_auth_password(lmail_auth *auth, const lmail_auth_facts *facts, lmail_str name,
                         lmail_str password, lmail_msec now, lmail_auth_login *out)
{
    memset(out, 0, sizeof *out);
    if (!lmail_auth_cleartext(auth, facts)) {
        lmi_auth_fail(auth, facts->address, LMAIL_AUTH_REASON_CLEARTEXT, keep_tried(out, name), now,
                      &out->result);
        return;
    }
    lmail_account account;
    lmail_status status = lmail_accounts_verify_for(auth->accounts, lmail_str_from(auth->service),
                                                    name, password, &account);
    if (status == LMAIL_OK && !lmail_account_allows(&account, facts->address)) {
        lmail_accounts_release(auth->accounts, &account);
        lmi_auth_fail(auth, facts->address, LMAIL_AUTH_REASON_DISABLED, keep_tried(out, name), now,
                      &out->result);
    } else if (status == LMAIL_OK) {
        lmi_auth_pass(auth, facts->address, keep_name(out, account.name), &out->result);
        lmail_accounts_release(auth->accounts, &account);
    } else {
        lmi_auth_fail(auth, facts->address, lmi_auth_reason_of(status), keep_tried(out, name), now,
                      &out->result);
    }
}

static int apop_digest(lmail_str timestamp, lmail_str secret, char hex[33])
{
    unsigned char digest[16];
    mbedtls_md_context_t md;
    mbedtls_md_init(&md);
    int ok = mbedtls_md_setup(&md, mbedtls_md_info_from_type(MBEDTLS_MD_MD5), 0) == 0 &&
             mbedtls_md_starts(&md) == 0 &&
             mbedtls_md_update(&md, (const unsigned char *)timestamp.ptr, timestamp.len) == 0 &&
             mbedtls_md_update(&md, (const unsigned char *)secret.ptr, secret.len) == 0 &&
             mbedtls_md_finish(&md, digest) == 0;
    mbedtls_md_free(&md);
    for (size_t i = 0; ok && i < sizeof digest; i++) {
        hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    explicit_bzero(digest, sizeof digest);
    return ok;
}

void lmail_auth_apop(lmail_auth *auth, const lmail_auth_facts *facts, lmail_str name,
                     lmail_str timestamp, lmail_str digest, lmail_msec now, lmail_auth_login *out)
{
    memset(out, 0, sizeof *out);
    lmail_account account;
    lmail_status status = lmail_accounts_find(auth->accounts, name, &account);
    lmail_auth_reason reason =
        status == LMAIL_OK ? LMAIL_AUTH_REASON_NONE : lmi_auth_reason_of(status);
    if (status == LMAIL_OK &&
        (account.disabled || !lmail_account_allows(&account, facts->address))) {
        reason = LMAIL_AUTH_REASON_DISABLED;
    } else if (status == LMAIL_OK && account.secret.len == 0) {
        reason = LMAIL_AUTH_REASON_NO_SECRET;
    }
    /* The same arithmetic for those who have no secret. */
    char hex[33];
    lmail_str secret = reason == LMAIL_AUTH_REASON_NONE
                           ? account.secret
                           : (lmail_str){(const char *)auth->salt_key, sizeof auth->salt_key};
    int ok = apop_digest(timestamp, secret, hex) && digest.len == 32 &&
             lmi_auth_equal(hex, digest.ptr, 32);
    explicit_bzero(hex, sizeof hex);
    if (reason == LMAIL_AUTH_REASON_NONE && !ok) {
        reason = LMAIL_AUTH_REASON_CREDENTIALS;
    }
    if (reason == LMAIL_AUTH_REASON_NONE) {
        lmi_auth_pass(auth, facts->address, keep_name(out, account.name), &out->result);
    } else {
        lmi_auth_fail(auth, facts->address, reason, keep_tried(out, name), now, &out->result);
    }
    if (status == LMAIL_OK) {
        lmail_accounts_release(auth->accounts, &account);
    }
}
