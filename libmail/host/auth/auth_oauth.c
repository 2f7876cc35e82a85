/* OAUTHBEARER (RFC 7628) and XOAUTH2, added to GNU SASL: the messages are read here, the token is
 * checked by the host.
 *
 *     OAUTHBEARER   n,a=user@example.org,^A host=... ^A port=... ^A auth=Bearer TOKEN ^A ^A
 *     XOAUTH2       user=user@example.org ^A auth=Bearer TOKEN ^A ^A
 *
 * A refused token is answered with a challenge that says so in JSON; whatever the client sends
 * then, the exchange fails. Runs inside gsasl_step. */
#include <stdlib.h>
#include <string.h>

#include "auth_internal.h"

#include <gsasl-mech.h> /* after gsasl.h, which it does not include */

typedef struct oauth_message {
    lmail_str user; /* points into the input, or into decoded */
    lmail_str token, host, port;
    char decoded[LMAIL_MAX_ACCOUNT_NAME];
} oauth_message;

/* Up to the next ^A, which is taken. 0 when there is none. */
static int next_pair(lmail_str *rest, lmail_str *pair)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, '\001', rest->len) : NULL;
    if (!end) {
        return 0;
    }
    *pair = (lmail_str){rest->ptr, (size_t)(end - rest->ptr)};
    rest->ptr += pair->len + 1;
    rest->len -= pair->len + 1;
    return 1;
}

static int begins(lmail_str text, lmail_str with, lmail_str *rest)
{
    if (text.len < with.len || !lmail_str_equal_nocase((lmail_str){text.ptr, with.len}, with)) {
        return 0;
    }
    *rest = (lmail_str){text.ptr + with.len, text.len - with.len};
    return 1;
}

/* RFC 6750 §2.1: b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=" */
static int is_token(lmail_str t)
{
    size_t i = 0;
    for (; i < t.len; i++) {
        char c = t.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c && strchr("-._~+/", c)))) {
            break;
        }
    }
    size_t body = i;
    while (i < t.len && t.ptr[i] == '=') {
        i++;
    }
    return body > 0 && i == t.len;
}

/* RFC 5801 §4: saslname, "," and "=" written =2C and =3D. */
static int decode_saslname(lmail_str in, oauth_message *m)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++, n++) {
        if (n == sizeof m->decoded || in.ptr[i] == '\0' || in.ptr[i] == ',') {
            return 0;
        }
        if (in.ptr[i] != '=') {
            m->decoded[n] = in.ptr[i];
        } else if (in.len - i >= 3 && memcmp(in.ptr + i, "=2C", 3) == 0) {
            m->decoded[n] = ',';
            i += 2;
        } else if (in.len - i >= 3 && memcmp(in.ptr + i, "=3D", 3) == 0) {
            m->decoded[n] = '=';
            i += 2;
        } else {
            return 0;
        }
    }
    m->user = (lmail_str){m->decoded, n};
    return 1;
}

static int parse_gs2(lmail_str header, oauth_message *m)
{
    /* "n," or "y,", then nothing or a=saslname, then ",". There is no channel binding here. */
    if (header.len < 3 || (header.ptr[0] != 'n' && header.ptr[0] != 'y') || header.ptr[1] != ',' ||
        header.ptr[header.len - 1] != ',') {
        return 0;
    }
    lmail_str middle = {header.ptr + 2, header.len - 3}, name;
    if (middle.len == 0) {
        return 1;
    }
    return begins(middle, LMAIL_STR("a="), &name) && decode_saslname(name, m);
}

static int parse(lmi_mechanism_id id, lmail_str in, oauth_message *m)
{
    lmail_str pair, value;
    memset(m, 0, sizeof *m);
    if (id == LMI_OAUTHBEARER && (!next_pair(&in, &pair) || !parse_gs2(pair, m))) {
        return 0;
    }
    while (next_pair(&in, &pair)) {
        if (pair.len == 0) { /* ^A ends the message */
            return in.len == 0;
        }
        if (id == LMI_XOAUTH2 && begins(pair, LMAIL_STR("user="), &value)) {
            m->user = value;
        } else if (begins(pair, LMAIL_STR("auth="), &value)) {
            if (value.len > 0 && !begins(value, LMAIL_STR("Bearer "), &m->token)) {
                return 0;
            }
        } else if (begins(pair, LMAIL_STR("host="), &value)) {
            m->host = value;
        } else if (begins(pair, LMAIL_STR("port="), &value)) {
            m->port = value;
        }
    }
    return 0;
}

/* ---- The mechanism --------------------------------------------------------------------------- */

static int oauth_start(Gsasl_session *session, void **data)
{
    (void)session;
    unsigned *refused = calloc(1, sizeof *refused);
    *data = refused;
    return refused ? GSASL_OK : GSASL_MALLOC_ERROR;
}

static void oauth_finish(Gsasl_session *session, void *data)
{
    (void)session;
    free(data);
}

/* 1: the token is good and for the account it names. */
static int token_holds(lmail_auth_exchange *x, const oauth_message *m)
{
    char name[LMAIL_MAX_ACCOUNT_NAME];
    size_t made = 0;
    const lmail_auth_token_event ev = {
        lmi_mechanism_get(x->id)->name, m->user, m->token, m->host, m->port,
        {x->address, x->address_len}};
    if (m->user.len > 0 &&
        lmail_account_name_fold(m->user, x->tried, sizeof x->tried, &x->tried_len) != LMAIL_OK) {
        x->tried_len = 0;
    }
    if (!is_token(m->token)) {
        return 0;
    }
    lmail_status status = x->auth->on_token(x->auth->user, &ev, name, sizeof name, &made);
    if (status != LMAIL_OK) {
        x->reason =
            status == LMAIL_ERR_DENIED ? LMAIL_AUTH_REASON_NONE : LMAIL_AUTH_REASON_TEMPORARY;
        return 0;
    }
    if (made > sizeof name || !lmi_exchange_lookup(x, (lmail_str){name, made}, 0)) {
        return 0;
    }
    x->proven = (unsigned)lmi_exchange_authzid(x, m->user);
    return (int)x->proven;
}

static int oauth_step(Gsasl_session *session, void *data, const char *input, size_t input_len,
                      char **output, size_t *output_len)
{
    unsigned *refused = data;
    lmail_auth_exchange *x = gsasl_session_hook_get(session);
    *output = NULL;
    *output_len = 0;
    if (!input) {
        return GSASL_NEEDS_MORE; /* no initial response: an empty challenge asks for it */
    }
    if (*refused) {
        return GSASL_AUTHENTICATION_ERROR; /* RFC 7628 §3.2.3: the dummy response */
    }
    oauth_message m;
    if (!parse(x->id, (lmail_str){input, input_len}, &m)) {
        return GSASL_MECHANISM_PARSE_ERROR;
    }
    if (token_holds(x, &m)) {
        return GSASL_OK;
    }
    if (x->reason == LMAIL_AUTH_REASON_NONE) {
        x->reason = LMAIL_AUTH_REASON_TOKEN;
    }
    *output = strdup(x->auth->oauth_error);
    if (!*output) {
        return GSASL_MALLOC_ERROR;
    }
    *output_len = strlen(*output);
    *refused = 1;
    return GSASL_NEEDS_MORE;
}

int lmi_oauth_register(Gsasl *gsasl)
{
    static const struct Gsasl_mechanism_functions server = {
        .start = oauth_start, .step = oauth_step, .finish = oauth_finish};
    const Gsasl_mechanism bearer = {.name = "OAUTHBEARER", .server = server};
    const Gsasl_mechanism xoauth2 = {.name = "XOAUTH2", .server = server};
    int rc = gsasl_register(gsasl, &bearer);
    return rc == GSASL_OK ? gsasl_register(gsasl, &xoauth2) : rc;
}
