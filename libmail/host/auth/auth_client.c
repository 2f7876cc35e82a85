/* The client's side of an AUTH exchange: which mechanism, and its steps; GNU SASL does the work.
 *
 * Called by whoever delivers mail through a server that wants a login. The server is not trusted:
 * its challenges may ask for hours of work, and its word that we are in counts only with its own
 * proof where there is one. */
#include "auth_client_internal.h"

#include <libmail/codec.h>

#include <stdlib.h>
#include <string.h>

#define MAX_STEPS 8u
#define MAX_CHALLENGE 65536u

/* The strongest first. Channel binding beats all; DIGEST-MD5 and CRAM-MD5 show the password to
 * nobody; a token can be taken back, a password in clear cannot. */
static const lmi_mechanism_id by_strength[] = {LMI_SCRAM_SHA_256_PLUS,
                                               LMI_SCRAM_SHA_1_PLUS,
                                               LMI_SCRAM_SHA_256,
                                               LMI_SCRAM_SHA_1,
                                               LMI_DIGEST_MD5,
                                               LMI_CRAM_MD5,
                                               LMI_OAUTHBEARER,
                                               LMI_XOAUTH2,
                                               LMI_EXTERNAL,
                                               LMI_PLAIN,
                                               LMI_LOGIN};

void lmail_auth_credentials_init(lmail_auth_credentials *credentials)
{
    *credentials = (lmail_auth_credentials)LMAIL_AUTH_CREDENTIALS_INIT;
}

void lmail_auth_server_init(lmail_auth_server *server)
{
    *server = (lmail_auth_server)LMAIL_AUTH_SERVER_INIT;
}

/* ---- What the library asks ------------------------------------------------------------------- */

static int set(Gsasl_session *session, Gsasl_property property, const char *text, int otherwise)
{
    return text ? gsasl_property_set(session, property, text) : otherwise;
}

/* For -PLUS alone. Without it the library would have to say "y" (RFC 5802 §6), and 2.2 refuses its
 * own message then: it says "n". */
static int answer_exporter(const lmail_auth_client *c, Gsasl_session *session)
{
    int plus = c->id == LMI_SCRAM_SHA_256_PLUS || c->id == LMI_SCRAM_SHA_1_PLUS;
    return set(session, GSASL_CB_TLS_EXPORTER, plus ? c->exporter : NULL, GSASL_NO_CB_TLS_EXPORTER);
}

/* The library has put the first realm of the challenge into the session before it asks for the
 * name. */
static int answer_user(const lmail_auth_client *c, Gsasl_session *session)
{
    if (c->id == LMI_DIGEST_MD5 && c->realm) {
        int rc = gsasl_property_set(session, GSASL_REALM, c->realm);
        if (rc != GSASL_OK)
            return rc;
    }
    return set(session, GSASL_AUTHID, c->user, GSASL_NO_AUTHID);
}

static int answer(Gsasl *gsasl, Gsasl_session *session, Gsasl_property property)
{
    const lmail_auth_client *c = gsasl_session_hook_get(session);
    (void)gsasl;
    if (!c)
        return GSASL_NO_CALLBACK;
    switch (property) {
    case GSASL_AUTHID:
        return answer_user(c, session);
    case GSASL_AUTHZID:
        return set(session, property, c->authzid, GSASL_NO_AUTHZID);
    case GSASL_PASSWORD:
        return set(session, property, c->password, GSASL_NO_PASSWORD);
    case GSASL_REALM:
        return set(session, property, c->realm, GSASL_NO_CALLBACK);
    case GSASL_SERVICE:
        return set(session, property, c->service, GSASL_NO_SERVICE);
    case GSASL_HOSTNAME:
        return set(session, property, c->hostname, GSASL_NO_HOSTNAME);
    case GSASL_CB_TLS_EXPORTER:
        return answer_exporter(c, session);
    default:
        return GSASL_NO_CALLBACK;
    }
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void wipe(char *text)
{
    if (text)
        lmi_auth_wipe_free(text, strlen(text));
}

/* 0: no memory. Empty ones stay NULL. */
static int copy(char **out, lmail_str text)
{
    return !text.len || (*out = lmi_auth_copy(text)) != NULL;
}

static int copy_exporter(lmail_auth_client *c, lmail_str octets)
{
    size_t cap = octets.len * 2 + 8, made;
    if (!octets.len)
        return 1;
    c->exporter = calloc(1, cap);
    return c->exporter && lmail_base64_encode(octets, c->exporter, cap - 1, &made) == LMAIL_OK;
}

static int copy_all(lmail_auth_client *c, const lmail_auth_credentials *who,
                    const lmail_auth_server *server)
{
    lmail_str user = who->user.len ? who->user : who->authzid;
    c->port = server->port;
    c->secure = server->secure;
    c->certificate = server->certificate;
    c->allow_cleartext = server->allow_cleartext;
    return copy(&c->user, user) &&
           (lmail_str_equal(user, who->authzid) || copy(&c->authzid, who->authzid)) &&
           copy(&c->password, who->password) && copy(&c->token, who->token) &&
           copy(&c->realm, who->realm) && copy(&c->mechanisms, who->mechanisms) &&
           (c->service = lmi_auth_copy(server->service)) &&
           (c->hostname = lmi_auth_copy(server->hostname)) && copy_exporter(c, server->exporter);
}

static int holds_nul(const lmail_auth_credentials *who, const lmail_auth_server *server)
{
    const lmail_str all[] = {who->user,  who->authzid,    who->password,   who->token,
                             who->realm, who->mechanisms, server->service, server->hostname};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].len && memchr(all[i].ptr, 0, all[i].len))
            return 1;
    /* ^A ends a field of the OAuth messages */
    return (who->token.len && memchr(who->token.ptr, 1, who->token.len)) ||
           (who->token.len && who->user.len && memchr(who->user.ptr, 1, who->user.len)) ||
           (who->token.len && who->authzid.len && memchr(who->authzid.ptr, 1, who->authzid.len));
}

lmail_status lmail_auth_client_new(lmail_auth_client **out,
                                   const lmail_auth_credentials *credentials,
                                   const lmail_auth_server *server)
{
    *out = NULL;
    if (credentials->size > sizeof *credentials || server->size > sizeof *server)
        return LMAIL_ERR_SIZE;
    if (holds_nul(credentials, server) || (!credentials->user.len && !credentials->authzid.len &&
                                           (credentials->password.len || credentials->token.len)))
        return LMAIL_ERR_ARG;
    lmail_auth_client *c = calloc(1, sizeof *c);
    if (!c)
        return LMAIL_ERR_NOMEM;
    if (!copy_all(c, credentials, server) || gsasl_init(&c->gsasl) != GSASL_OK ||
        lmi_oauth_register_client(c->gsasl) != GSASL_OK) {
        lmail_auth_client_free(c);
        return LMAIL_ERR_NOMEM;
    }
    gsasl_callback_set(c->gsasl, answer);
    *out = c;
    return LMAIL_OK;
}

static void forget_output(lmail_auth_client *c)
{
    if (c->output) {
        explicit_bzero(c->output, c->output_len);
        gsasl_free(c->output);
    }
    c->output = NULL;
    c->output_len = 0;
}

static void end_exchange(lmail_auth_client *c)
{
    static const Gsasl_property secrets[] = {GSASL_PASSWORD, GSASL_SCRAM_SALTED_PASSWORD,
                                             GSASL_CB_TLS_EXPORTER,
                                             GSASL_DIGEST_MD5_HASHED_PASSWORD};
    forget_output(c);
    if (!c->session)
        return;
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        const char *value = gsasl_property_fast(c->session, secrets[i]);
        if (value) /* the session's own copy, which it would free as it is */
            explicit_bzero((void *)(uintptr_t)value, strlen(value));
    }
    gsasl_finish(c->session);
    c->session = NULL;
}

void lmail_auth_client_free(lmail_auth_client *c)
{
    if (!c)
        return;
    end_exchange(c);
    if (c->gsasl)
        gsasl_done(c->gsasl);
    wipe(c->user);
    wipe(c->authzid);
    wipe(c->password);
    wipe(c->token);
    wipe(c->realm);
    wipe(c->mechanisms);
    wipe(c->service);
    wipe(c->hostname);
    wipe(c->exporter);
    free(c);
}

/* ---- Which one ------------------------------------------------------------------------------- */

static int listed(lmail_str list, lmail_str name)
{
    while (list.len) {
        const char *blank = memchr(list.ptr, ' ', list.len);
        size_t n = blank ? (size_t)(blank - list.ptr) : list.len;
        if (lmail_str_equal_nocase((lmail_str){list.ptr, n}, name))
            return 1;
        n += blank != NULL;
        list = (lmail_str){list.ptr + n, list.len - n};
    }
    return 0;
}

static int can(const lmail_auth_client *c, lmi_mechanism_id id)
{
    unsigned traits = lmi_mechanism_get(id)->traits;
    lmail_str wanted = lmail_str_from(c->mechanisms);
    int named = listed(wanted, lmi_mechanism_get(id)->name);
    if ((wanted.len && !named) || (c->tried & (1u << id)))
        return 0;
    if (!(lmail_sasl_properties(lmi_mechanism_get(id)->name) & LMAIL_SASL_NO_CLEARTEXT) &&
        !c->secure && !c->allow_cleartext)
        return 0;
    if ((traits & LMI_TRAIT_EXPORTER) && !c->exporter)
        return 0;
    if (traits & LMI_TRAIT_CERTIFICATE)
        return c->certificate && (named || (!c->password && !c->token));
    return traits & LMI_TRAIT_TOKEN ? c->token != NULL : c->password != NULL;
}

lmail_status lmail_auth_client_choose(lmail_auth_client *c, lmail_str offer, lmail_str *mechanism)
{
    end_exchange(c);
    c->steps = c->done = c->over = 0;
    for (size_t i = 0; i < sizeof by_strength / sizeof *by_strength; i++) {
        lmi_mechanism_id id = by_strength[i];
        if (!can(c, id) || !listed(offer, lmi_mechanism_get(id)->name))
            continue;
        c->tried |= 1u << id;
        c->id = id;
        int rc = gsasl_client_start(c->gsasl, lmi_mechanism_get(id)->name.ptr, &c->session);
        if (rc == GSASL_MALLOC_ERROR)
            return LMAIL_ERR_NOMEM;
        if (rc != GSASL_OK) { /* the library was built without it */
            c->session = NULL;
            continue;
        }
        gsasl_session_hook_set(c->session, c);
        *mechanism = lmi_mechanism_get(id)->name;
        return LMAIL_OK;
    }
    return LMAIL_ERR_NOTFOUND;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static int is_scram(lmi_mechanism_id id)
{
    return id <= LMI_SCRAM_SHA_1;
}

static int begins_with_challenge(lmi_mechanism_id id)
{
    return id == LMI_LOGIN || (lmi_mechanism_get(id)->traits & LMI_TRAIT_SERVER_FIRST) != 0;
}

/* RFC 5802 §5.1, "i=": work that the server asks for. */
static int asks_too_much(const lmail_auth_client *c, lmail_str challenge)
{
    if (!is_scram(c->id) || c->steps != 1)
        return 0;
    for (size_t i = 0; i + 3 < challenge.len; i++) {
        if (memcmp(challenge.ptr + i, ",i=", 3) != 0)
            continue;
        uint64_t n = 0;
        for (size_t at = i + 3; at < challenge.len && challenge.ptr[at] >= '0' &&
                                challenge.ptr[at] <= '9' && n <= LMAIL_MAX_SCRAM_ITERATIONS;
             at++)
            n = n * 10 + (uint64_t)(challenge.ptr[at] - '0');
        if (n > LMAIL_MAX_SCRAM_ITERATIONS)
            return 1;
    }
    return 0;
}

/* GNU SASL's SCRAM reads one octet behind a message that lacks its terminators: it gets a
 * terminated copy. */
static int run(lmail_auth_client *c, const lmail_str *challenge)
{
    char *copied = challenge ? malloc(challenge->len + 1) : NULL;
    if (challenge && !copied)
        return GSASL_MALLOC_ERROR;
    if (challenge && challenge->len)
        memcpy(copied, challenge->ptr, challenge->len);
    if (challenge)
        copied[challenge->len] = 0;
    int rc =
        gsasl_step(c->session, copied, challenge ? challenge->len : 0, &c->output, &c->output_len);
    free(copied);
    return rc;
}

static lmail_status fail(lmail_auth_client *c, int rc)
{
    c->over = 1;
    forget_output(c);
    return rc == GSASL_MALLOC_ERROR ? LMAIL_ERR_NOMEM : LMAIL_ERR_DENIED;
}

lmail_status lmail_auth_client_step(lmail_auth_client *c, const lmail_str *challenge,
                                    lmail_str *response, unsigned *has_response)
{
    *response = (lmail_str){NULL, 0};
    *has_response = 0;
    if (!c->session || c->over || (challenge == NULL) != (c->steps == 0))
        return LMAIL_ERR_STATE;
    forget_output(c);
    if (!challenge && begins_with_challenge(c->id)) {
        c->steps = 1;
        return LMAIL_OK;
    }
    if (challenge &&
        (c->done || c->steps >= MAX_STEPS || challenge->len > MAX_CHALLENGE ||
         (is_scram(c->id) && challenge->len && memchr(challenge->ptr, 0, challenge->len)) ||
         asks_too_much(c, *challenge)))
        return fail(c, GSASL_AUTHENTICATION_ERROR);
    int rc = run(c, challenge);
    if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE)
        return fail(c, rc);
    c->steps++;
    c->done = rc == GSASL_OK;
    *response = (lmail_str){c->output, c->output_len};
    *has_response = 1;
    return LMAIL_OK;
}

lmail_status lmail_auth_client_proven(const lmail_auth_client *c)
{
    if (!c->session || c->over)
        return LMAIL_ERR_DENIED;
    if (lmi_mechanism_get(c->id)->traits & LMI_TRAIT_TOKEN) /* a second step was the refusal */
        return c->steps == 1 ? LMAIL_OK : LMAIL_ERR_DENIED;
    return c->done ? LMAIL_OK : LMAIL_ERR_DENIED;
}
