/* What GNU SASL asks during a step, answered from the accounts.
 *
 * Runs inside gsasl_step, on the worker that steps. A name that is unknown, disabled or without the
 * right secret gets salts and keys all the same: made from the name and a key of the server, so
 * that they stay the same from try to try and nobody can tell them from real ones (RFC 5802 §9). */
#include <stdio.h>
#include <string.h>

#include <libmail/codec.h>

#include "auth_internal.h"

/* ---- The account ----------------------------------------------------------------------------- */

static void note_tried(lmail_auth_exchange *x, lmail_str name)
{
    if (lmail_account_name_fold(name, x->tried, sizeof x->tried, &x->tried_len) != LMAIL_OK) {
        x->tried_len = 0;
    }
}

int lmi_exchange_lookup(lmail_auth_exchange *x, lmail_str name, unsigned needs)
{
    if (x->looked_up) {
        return x->held && x->reason == LMAIL_AUTH_REASON_NONE;
    }
    x->looked_up = 1;
    note_tried(x, name);
    lmail_status status = lmail_accounts_find(x->auth->accounts, name, &x->account);
    if (status != LMAIL_OK) {
        x->reason = lmi_auth_reason_of(status);
        return 0;
    }
    x->held = 1;
    if (x->account.disabled ||
        !lmail_account_allows(&x->account, (lmail_str){x->address, x->address_len})) {
        x->reason = LMAIL_AUTH_REASON_DISABLED;
    } else if (needs != 0 && !(x->account.has & needs)) {
        x->reason = LMAIL_AUTH_REASON_NO_SECRET;
    }
    return x->reason == LMAIL_AUTH_REASON_NONE;
}

int lmi_exchange_authzid(lmail_auth_exchange *x, lmail_str authzid)
{
    if (authzid.len == 0) {
        return 1;
    }
    lmail_account other;
    lmail_status status = lmail_accounts_find(x->auth->accounts, authzid, &other);
    int same = status == LMAIL_OK && lmail_str_equal(other.name, x->account.name);
    if (status == LMAIL_OK) {
        lmail_accounts_release(x->auth->accounts, &other);
    }
    if (!same) {
        x->reason = status == LMAIL_OK || status == LMAIL_ERR_NOTFOUND
                        ? LMAIL_AUTH_REASON_AUTHZID
                        : LMAIL_AUTH_REASON_TEMPORARY;
    }
    return same;
}

/* DIGEST-MD5 gives name and realm apart; our own realm is no part of the name. */
static int lookup_authid(lmail_auth_exchange *x, Gsasl_session *session, unsigned needs)
{
    lmail_str name = lmail_str_from(gsasl_property_fast(session, GSASL_AUTHID));
    char joined[LMAIL_MAX_ACCOUNT_NAME + 1];
    if (x->id == LMI_DIGEST_MD5) {
        lmail_str realm = lmail_str_from(gsasl_property_fast(session, GSASL_REALM));
        int ours = realm.len == 0 ||
                   lmail_str_equal_nocase(realm, lmail_str_from(x->auth->realm)) ||
                   lmail_str_equal_nocase(realm, lmail_str_from(x->auth->hostname));
        if (!ours && name.len > 0 && !memchr(name.ptr, '@', name.len)) {
            int n = snprintf(joined, sizeof joined, "%s@%s", name.ptr, realm.ptr);
            name = (lmail_str){joined, n > 0 && (size_t)n < sizeof joined ? (size_t)n : 0};
        }
    }
    return lmi_exchange_lookup(x, name, needs);
}

/* ---- SCRAM ----------------------------------------------------------------------------------- */

static Gsasl_hash scram_hash(const lmail_auth_exchange *x)
{
    return x->id == LMI_SCRAM_SHA_1 || x->id == LMI_SCRAM_SHA_1_PLUS ? GSASL_HASH_SHA1
                                                                     : GSASL_HASH_SHA256;
}

static const lmail_scram_verifier *verifier(lmail_auth_exchange *x, Gsasl_session *session)
{
    int sha1 = scram_hash(x) == GSASL_HASH_SHA1;
    if (!lookup_authid(x, session,
                       sha1 ? LMAIL_ACCOUNT_SCRAM_SHA_1 : LMAIL_ACCOUNT_SCRAM_SHA_256)) {
        return NULL;
    }
    const lmail_scram_verifier *v = sha1 ? &x->account.scram_sha_1 : &x->account.scram_sha_256;
    return v->iterations > 0 ? v : NULL;
}

static int set_base64(Gsasl_session *session, Gsasl_property property, lmail_str octets)
{
    char text[512];
    size_t made;
    if (lmail_base64_encode(octets, text, sizeof text, &made) != LMAIL_OK) {
        return GSASL_NO_CALLBACK;
    }
    int rc = gsasl_property_set_raw(session, property, text, made);
    explicit_bzero(text, sizeof text);
    return rc;
}

/* Octets that belong to this name, hash and server, whoever asks and whenever. */
static void invent(const lmail_auth_exchange *x, const char *what, unsigned char out[32])
{
    char label[48];
    snprintf(label, sizeof label, "%s %d", what, (int)scram_hash(x));
    lmi_auth_mac((lmail_str){(const char *)x->auth->salt_key, sizeof x->auth->salt_key}, label,
                 (lmail_str){x->tried, x->tried_len}, out);
}

static int answer_salt(lmail_auth_exchange *x, Gsasl_session *session)
{
    const lmail_scram_verifier *v = verifier(x, session);
    unsigned char salt[32];
    invent(x, "salt", salt);
    return set_base64(session, GSASL_SCRAM_SALT,
                      v ? v->salt : (lmail_str){(const char *)salt, LMI_SCRAM_SALT});
}

static int answer_iterations(lmail_auth_exchange *x, Gsasl_session *session)
{
    const lmail_scram_verifier *v = verifier(x, session);
    char text[16];
    snprintf(text, sizeof text, "%u", (unsigned)(v ? v->iterations : LMAIL_SCRAM_ITERATIONS));
    return gsasl_property_set(session, GSASL_SCRAM_ITER, text);
}

/* Both keys at once: the library asks for one, then for the other. */
static int answer_keys(lmail_auth_exchange *x, Gsasl_session *session)
{
    const lmail_scram_verifier *v = verifier(x, session);
    size_t size = gsasl_hash_length(scram_hash(x));
    char stored[GSASL_HASH_MAX_SIZE], server[GSASL_HASH_MAX_SIZE];
    unsigned char salt[32];
    invent(x, "stored key", (unsigned char *)stored);
    invent(x, "server key", (unsigned char *)server);
    invent(x, "salt", salt);
    if (v) {
        memcpy(stored, v->stored_key.ptr, size);
        memcpy(server, v->server_key.ptr, size);
    } else if (x->held && x->reason == LMAIL_AUTH_REASON_NONE) {
        /* Only the password itself is kept: made now, with the salt that was sent. */
        if (!lmi_scram_keys(scram_hash(x), x->account.secret, LMAIL_SCRAM_ITERATIONS,
                            (lmail_str){(const char *)salt, LMI_SCRAM_SALT}, stored, server)) {
            x->reason = LMAIL_AUTH_REASON_NO_SECRET;
        }
    }
    int rc = set_base64(session, GSASL_SCRAM_STOREDKEY, (lmail_str){stored, size});
    if (rc == GSASL_OK) {
        rc = set_base64(session, GSASL_SCRAM_SERVERKEY, (lmail_str){server, size});
    }
    explicit_bzero(stored, sizeof stored);
    explicit_bzero(server, sizeof server);
    return rc;
}

/* A client that says "y" thinks that we have no channel binding; when a -PLUS of its hash was
 * offered, somebody took it out of the list (RFC 5802 §6). */
static int answer_exporter(lmail_auth_exchange *x, Gsasl_session *session)
{
    int plus = x->id == LMI_SCRAM_SHA_1_PLUS || x->id == LMI_SCRAM_SHA_256_PLUS;
    x->binding_asked = 1;
    if (!plus && !x->plus_offered) {
        return GSASL_NO_CB_TLS_EXPORTER;
    }
    return set_base64(session, GSASL_CB_TLS_EXPORTER, (lmail_str){x->exporter, x->exporter_len});
}

/* ---- The others ------------------------------------------------------------------------------ */

static int answer_password(lmail_auth_exchange *x, Gsasl_session *session)
{
    if (x->id != LMI_CRAM_MD5 && x->id != LMI_DIGEST_MD5) {
        return GSASL_NO_PASSWORD; /* SCRAM has its keys, PLAIN and LOGIN are validated */
    }
    if (lookup_authid(x, session, LMAIL_ACCOUNT_SECRET)) {
        return gsasl_property_set_raw(session, GSASL_PASSWORD, x->account.secret.ptr,
                                      x->account.secret.len);
    }
    unsigned char octets[32];
    invent(x, "password", octets);
    return set_base64(session, GSASL_PASSWORD, (lmail_str){(const char *)octets, 12});
}

static int validate_simple(lmail_auth_exchange *x, Gsasl_session *session)
{
    lmail_str name = lmail_str_from(gsasl_property_fast(session, GSASL_AUTHID));
    lmail_str password = lmail_str_from(gsasl_property_fast(session, GSASL_PASSWORD));
    note_tried(x, name);
    x->looked_up = 1;
    lmail_status status = lmail_accounts_verify_for(
        x->auth->accounts, lmail_str_from(x->auth->service), name, password, &x->account);
    if (status != LMAIL_OK) {
        x->reason = lmi_auth_reason_of(status);
        return GSASL_AUTHENTICATION_ERROR;
    }
    x->held = 1;
    if (!lmail_account_allows(&x->account, (lmail_str){x->address, x->address_len})) {
        x->reason = LMAIL_AUTH_REASON_DISABLED;
        return GSASL_AUTHENTICATION_ERROR;
    }
    /* The library gives the name as authorization identity where PLAIN had none. */
    lmail_str authzid = lmail_str_from(gsasl_property_fast(session, GSASL_AUTHZID));
    if (!lmail_str_equal(authzid, name) && !lmi_exchange_authzid(x, authzid)) {
        return GSASL_AUTHENTICATION_ERROR;
    }
    x->proven = 1;
    return GSASL_OK;
}

/* RFC 4422 appendix A: who the certificate names, acting as that account. */
static int validate_external(lmail_auth_exchange *x, Gsasl_session *session)
{
    lmail_str authzid = lmail_str_from(gsasl_property_fast(session, GSASL_AUTHZID));
    if (!lmi_exchange_lookup(x, (lmail_str){x->peer_name, x->peer_name_len}, 0) ||
        !lmi_exchange_authzid(x, authzid)) {
        return GSASL_AUTHENTICATION_ERROR;
    }
    x->proven = 1;
    return GSASL_OK;
}

/* RFC 4505: the token is for the log of somebody else's server; it proves nothing. */
static int validate_anonymous(lmail_auth_exchange *x)
{
    x->anonymous = 1;
    return GSASL_OK;
}

int lmi_exchange_callback(Gsasl *gsasl, Gsasl_session *session, Gsasl_property property)
{
    (void)gsasl;
    lmail_auth_exchange *x = gsasl_session_hook_get(session);
    if (!x) {
        return GSASL_NO_CALLBACK;
    }
    switch (property) {
    case GSASL_SERVICE:
        return gsasl_property_set(session, GSASL_SERVICE, x->auth->service);
    case GSASL_HOSTNAME:
        return gsasl_property_set(session, GSASL_HOSTNAME, x->auth->hostname);
    case GSASL_REALM:
        return gsasl_property_set(session, GSASL_REALM, x->auth->realm);
    case GSASL_QOPS:
        return gsasl_property_set(session, GSASL_QOPS, "qop-auth");
    case GSASL_SCRAM_ITER:
        return answer_iterations(x, session);
    case GSASL_SCRAM_SALT:
        return answer_salt(x, session);
    case GSASL_SCRAM_STOREDKEY:
    case GSASL_SCRAM_SERVERKEY:
        return answer_keys(x, session);
    case GSASL_CB_TLS_EXPORTER:
        return answer_exporter(x, session);
    case GSASL_PASSWORD:
        return answer_password(x, session);
    case GSASL_VALIDATE_SIMPLE:
        return validate_simple(x, session);
    case GSASL_VALIDATE_EXTERNAL:
        return validate_external(x, session);
    case GSASL_VALIDATE_ANONYMOUS:
        return validate_anonymous(x);
    default:
        return GSASL_NO_CALLBACK;
    }
}
