/* One AUTH command: GNU SASL does the mechanism, this file the framing around it and the verdict.
 *
 * Called by services on a worker, one thread at a time. Facts that shape it: the library's LOGIN
 * takes no initial response, and its CRAM-MD5 and DIGEST-MD5 would take one for the answer to a
 * challenge that was never sent; an empty response keeps PLAIN and SCRAM waiting for ever. Success
 * of the library counts only when the account was found and may log in. */
#include <stdlib.h>
#include <string.h>

#include "auth_internal.h"

#define MAX_STEPS 8u
#define MAX_RESPONSE 65536u

static void copy_fact(char *to, size_t cap, size_t *len, lmail_str from)
{
    *len = from.len <= cap ? from.len : 0;
    if (*len > 0) {
        memcpy(to, from.ptr, *len);
    }
}

lmail_status lmail_auth_exchange_new(lmail_auth_exchange **out, lmail_auth *auth,
                                     lmail_str mechanism, const lmail_auth_facts *facts)
{
    *out = NULL;
    lmi_mechanism_id id = lmi_mechanism_find(mechanism);
    if (id == LMI_MECHANISMS || !lmi_auth_offered(auth, id, facts)) {
        return LMAIL_ERR_UNSUPPORTED;
    }
    lmail_auth_exchange *x = calloc(1, sizeof *x);
    if (!x) {
        return LMAIL_ERR_NOMEM;
    }
    x->auth = auth;
    x->id = id;
    copy_fact(x->address, sizeof x->address, &x->address_len, facts->address);
    copy_fact(x->exporter, sizeof x->exporter, &x->exporter_len, facts->exporter);
    copy_fact(x->peer_name, sizeof x->peer_name, &x->peer_name_len, facts->peer_name);
    x->plus_offered =
        (unsigned)((id == LMI_SCRAM_SHA_1 && lmi_auth_offered(auth, LMI_SCRAM_SHA_1_PLUS, facts)) ||
                   (id == LMI_SCRAM_SHA_256 &&
                    lmi_auth_offered(auth, LMI_SCRAM_SHA_256_PLUS, facts)));
    int rc = gsasl_server_start(auth->gsasl, lmi_mechanism_get(id)->name.ptr, &x->session);
    if (rc != GSASL_OK) {
        free(x);
        return rc == GSASL_MALLOC_ERROR ? LMAIL_ERR_NOMEM : LMAIL_ERR_UNSUPPORTED;
    }
    gsasl_session_hook_set(x->session, x);
    *out = x;
    return LMAIL_OK;
}

static void forget_output(lmail_auth_exchange *x)
{
    if (x->output) {
        explicit_bzero(x->output, x->output_len);
        gsasl_free(x->output);
    }
    x->output = NULL;
    x->output_len = 0;
}

void lmail_auth_exchange_free(lmail_auth_exchange *x)
{
    static const Gsasl_property secrets[] = {
        GSASL_PASSWORD,        GSASL_SCRAM_SALTED_PASSWORD, GSASL_SCRAM_STOREDKEY,
        GSASL_SCRAM_SERVERKEY, GSASL_CB_TLS_EXPORTER,       GSASL_DIGEST_MD5_HASHED_PASSWORD};
    if (!x) {
        return;
    }
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        const char *value = gsasl_property_fast(x->session, secrets[i]);
        if (value) {
            /* The session's own copy, which it would free as it is. */
            explicit_bzero((void *)(uintptr_t)value, strlen(value));
        }
    }
    gsasl_finish(x->session);
    forget_output(x);
    if (x->held) {
        lmail_accounts_release(x->auth->accounts, &x->account);
    }
    lmi_auth_wipe_free(x, sizeof *x);
}

/* ---- Steps ----------------------------------------------------------------------------------- */

/* What a mechanism's own grammar forbids and the library would take. */
static int out_of_order(const lmail_auth_exchange *x, const lmail_str *in)
{
    if (!in) {
        return x->steps > 0;
    }
    if (x->steps == 0 && (lmi_mechanism_get(x->id)->traits & LMI_TRAIT_SERVER_FIRST)) {
        return 1;
    }
    if (in->len > MAX_RESPONSE || x->steps >= MAX_STEPS) {
        return 1;
    }
    switch (x->id) {
    case LMI_EXTERNAL:
    case LMI_ANONYMOUS:
        return 0;
    case LMI_OAUTHBEARER:
    case LMI_XOAUTH2:
        return in->len == 0 && x->steps == 0;
    case LMI_PLAIN:
        return in->len == 0;
    default:
        return in->len == 0 || memchr(in->ptr, '\0', in->len) != NULL;
    }
}

/* GNU SASL's SCRAM reads one octet behind a message that has none of the terminators it looks for: it
 * gets a terminated copy. NULL and empty differ for EXTERNAL and ANONYMOUS. */
static int run(lmail_auth_exchange *x, const lmail_str *in)
{
    char copy[MAX_RESPONSE + 1];
    forget_output(x);
    if (!in) {
        return gsasl_step(x->session, NULL, 0, &x->output, &x->output_len);
    }
    if (in->len) {
        memcpy(copy, in->ptr, in->len);
    }
    copy[in->len] = '\0';
    int rc = gsasl_step(x->session, copy, in->len, &x->output, &x->output_len);
    explicit_bzero(copy, in->len);
    return rc;
}

static int step(lmail_auth_exchange *x, const lmail_str *in)
{
    int rc;
    if (x->id == LMI_LOGIN && x->steps == 0 && in) {
        rc = run(x, NULL); /* the name came as initial response: skip the question for it */
        if (rc != GSASL_NEEDS_MORE) {
            return rc;
        }
        x->steps++;
    }
    rc = run(x, in);
    x->steps++;
    return rc;
}

static lmail_auth_reason reason_of(const lmail_auth_exchange *x, int rc)
{
    if (x->reason != LMAIL_AUTH_REASON_NONE) {
        return x->reason;
    }
    switch (rc) {
    case GSASL_MECHANISM_PARSE_ERROR:
    case GSASL_BASE64_ERROR:
    case GSASL_MECHANISM_CALLED_TOO_MANY_TIMES:
        return LMAIL_AUTH_REASON_MALFORMED;
    case GSASL_MALLOC_ERROR:
    case GSASL_CRYPTO_ERROR:
        return LMAIL_AUTH_REASON_TEMPORARY;
    default:
        return x->binding_asked && !x->looked_up ? LMAIL_AUTH_REASON_BINDING
                                                 : LMAIL_AUTH_REASON_CREDENTIALS;
    }
}

/* The library is content: is it an account that may log in, acting as itself? */
static int accepted(lmail_auth_exchange *x)
{
    if (x->anonymous) {
        return 1;
    }
    if (!x->held || (!x->proven && x->reason != LMAIL_AUTH_REASON_NONE)) {
        return 0;
    }
    const char *authzid = gsasl_property_fast(x->session, GSASL_AUTHZID);
    return x->proven || lmi_exchange_authzid(x, lmail_str_from(authzid));
}

static void challenge(lmail_auth_exchange *x, lmail_auth_result *out)
{
    memset(out, 0, sizeof *out);
    lmail_auth_answer_init(&out->answer);
    out->answer.kind = LMAIL_AUTH_CONTINUE;
    out->answer.data = (lmail_str){x->output, x->output_len};
    if (x->id == LMI_LOGIN) {
        /* What servers have always asked; a few clients look at the words. */
        out->answer.data = x->steps == 1 ? LMAIL_STR("Username:") : LMAIL_STR("Password:");
    }
}

lmail_status lmail_auth_exchange_step(lmail_auth_exchange *x, const lmail_str *in, lmail_msec now,
                                      lmail_auth_result *out)
{
    if (x->over) {
        return LMAIL_ERR_STATE;
    }
    int rc = out_of_order(x, in) ? GSASL_MECHANISM_PARSE_ERROR : step(x, in);
    lmail_str address = {x->address, x->address_len};
    if (x->reason == LMAIL_AUTH_REASON_TEMPORARY) {
        rc = GSASL_MALLOC_ERROR; /* accounts could not be read: no verdict, whatever came out */
    }
    if (rc == GSASL_NEEDS_MORE) {
        challenge(x, out);
        return LMAIL_OK;
    }
    x->over = 1;
    if (rc == GSASL_OK && accepted(x)) {
        lmi_auth_pass(x->auth, address, x->anonymous ? LMAIL_STR("anonymous") : x->account.name,
                      out);
        out->answer.data = (lmail_str){x->output, x->output_len};
        out->anonymous = x->anonymous;
        return LMAIL_OK;
    }
    lmi_auth_fail(x->auth, address, reason_of(x, rc), (lmail_str){x->tried, x->tried_len}, now,
                  out);
    return LMAIL_OK;
}
