/* SCRAM verifiers as text: ITERATIONS,SALT,STOREDKEY,SERVERKEY (RFC 5802 §3, RFC 7677), the form
 * that Dovecot's {SCRAM-SHA-256} has too.
 *
 * Called by the account table, the editor and the exchange. The arithmetic is GNU SASL's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmail/codec.h>

#include "auth_internal.h"

static lmail_str until_comma(lmail_str *rest)
{
    const char *comma = rest->len > 0 ? memchr(rest->ptr, ',', rest->len) : NULL;
    lmail_str part = {rest->ptr, comma ? (size_t)(comma - rest->ptr) : rest->len};
    size_t skip = part.len + (comma ? 1 : 0);
    rest->ptr += skip;
    rest->len -= skip;
    return part;
}

static const char *decode_part(lmail_str part, size_t want, char *space, size_t *used,
                               lmail_str *out)
{
    size_t made;
    if (lmail_base64_decode(part, space + *used, part.len, &made) != LMAIL_OK) {
        return "the SCRAM verifier is not base64";
    }
    if (want > 0 ? made != want : made == 0) {
        return want > 0 ? "a SCRAM key has the wrong length" : "the SCRAM salt is empty";
    }
    *out = (lmail_str){space + *used, made};
    *used += made;
    return NULL;
}

const char *lmi_scram_parse(lmail_str text, Gsasl_hash hash, char *space, size_t *used,
                            lmail_scram_verifier *out)
{
    *used = 0;
    memset(out, 0, sizeof *out);
    lmail_str digits = until_comma(&text);
    uint32_t iterations = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9' || iterations > LMAIL_MAX_SCRAM_ITERATIONS) {
            return "the SCRAM iteration count is not a number up to 1000000";
        }
        iterations = iterations * 10 + (uint32_t)(digits.ptr[i] - '0');
    }
    if (iterations == 0 || iterations > LMAIL_MAX_SCRAM_ITERATIONS) {
        return "the SCRAM iteration count is not a number up to 1000000";
    }
    lmail_scram_verifier v = {iterations, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    const char *fault = decode_part(until_comma(&text), 0, space, used, &v.salt);
    if (!fault) {
        fault =
            decode_part(until_comma(&text), gsasl_hash_length(hash), space, used, &v.stored_key);
    }
    if (!fault) {
        fault = decode_part(text, gsasl_hash_length(hash), space, used, &v.server_key);
    }
    if (!fault) {
        *out = v;
    }
    return fault;
}

int lmi_scram_keys(Gsasl_hash hash, lmail_str password, uint32_t iterations, lmail_str salt,
                   char stored_key[GSASL_HASH_MAX_SIZE], char server_key[GSASL_HASH_MAX_SIZE])
{
    char salted[GSASL_HASH_MAX_SIZE], client_key[GSASL_HASH_MAX_SIZE];
    char *text = lmi_auth_copy(password);
    int ok = text && !memchr(text, '\0', password.len) &&
             gsasl_scram_secrets_from_password(hash, text, iterations, salt.ptr, salt.len, salted,
                                               client_key, server_key, stored_key) == GSASL_OK;
    explicit_bzero(salted, sizeof salted);
    explicit_bzero(client_key, sizeof client_key);
    lmi_auth_wipe_free(text, password.len);
    return ok;
}

lmail_status lmi_scram_make(Gsasl_hash hash, lmail_str password, char out[LMI_SCRAM_TEXT])
{
    char salt[LMI_SCRAM_SALT], stored[GSASL_HASH_MAX_SIZE], server[GSASL_HASH_MAX_SIZE];
    if (lmi_random(salt, sizeof salt) != LMAIL_OK) {
        return LMAIL_ERR_IO;
    }
    if (!lmi_scram_keys(hash, password, LMAIL_SCRAM_ITERATIONS, (lmail_str){salt, sizeof salt},
                        stored, server)) {
        return LMAIL_ERR_ARG;
    }
    size_t len = (size_t)snprintf(out, LMI_SCRAM_TEXT, "%u", LMAIL_SCRAM_ITERATIONS);
    const lmail_str parts[] = {
        {salt, sizeof salt}, {stored, gsasl_hash_length(hash)}, {server, gsasl_hash_length(hash)}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t made;
        out[len++] = ',';
        if (lmail_base64_encode(parts[i], out + len, LMI_SCRAM_TEXT - len - 1, &made) != LMAIL_OK) {
            return LMAIL_ERR_LIMIT;
        }
        len += made;
    }
    out[len] = '\0';
    explicit_bzero(stored, sizeof stored);
    explicit_bzero(server, sizeof server);
    return LMAIL_OK;
}

static lmail_status check_verifier(const lmail_scram_verifier *v, Gsasl_hash hash,
                                   lmail_str password)
{
    char stored[GSASL_HASH_MAX_SIZE], server[GSASL_HASH_MAX_SIZE];
    if (v->iterations == 0) {
        return LMAIL_ERR_NOTFOUND;
    }
    int same = lmi_scram_keys(hash, password, v->iterations, v->salt, stored, server) &&
               lmi_auth_equal(stored, v->stored_key.ptr, gsasl_hash_length(hash));
    explicit_bzero(stored, sizeof stored);
    explicit_bzero(server, sizeof server);
    return same ? LMAIL_OK : LMAIL_ERR_DENIED;
}

lmail_status lmail_account_secret_check(const lmail_account *account, lmail_str password)
{
    if (account->secret.len > 0) {
        return account->secret.len == password.len &&
                       lmi_auth_equal(account->secret.ptr, password.ptr, password.len)
                   ? LMAIL_OK
                   : LMAIL_ERR_DENIED;
    }
    lmail_status status = check_verifier(&account->scram_sha_256, GSASL_HASH_SHA256, password);
    return status != LMAIL_ERR_NOTFOUND
               ? status
               : check_verifier(&account->scram_sha_1, GSASL_HASH_SHA1, password);
}
