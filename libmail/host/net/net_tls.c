/* net_tls.c - what is the same for every TLS engine: references, filters, their output. */
#include "net_tls.h"

#include <stdlib.h>
#include <string.h>

#define OUT_MIN 4096u

void lmail_tls_config_init(lmail_tls_config *config)
{
    *config = (lmail_tls_config)LMAIL_TLS_CONFIG_INIT;
}

/* One of the two configurations is NULL. */
static lmail_status make(lmail_tls **out, const lmail_tls_config *server,
                         const lmail_tls_client_config *client, char *error, size_t cap)
{
    if (error && cap)
        error[0] = 0;
    if (server ? server->size > sizeof(*server) : client->size > sizeof(*client))
        return LMAIL_ERR_SIZE;
    lmail_tls *tls = calloc(1, sizeof(*tls));
    if (!tls)
        return LMAIL_ERR_NOMEM;
    tls->refs = 1;
    tls->engine = &lmi_mbedtls;
    tls->client = client != NULL;
    lmail_status st = server ? tls->engine->context_new(&tls->context, server, error, cap)
                             : tls->engine->client_context_new(&tls->context, client, error, cap);
    if (st) {
        free(tls);
        return st;
    }
    *out = tls;
    return LMAIL_OK;
}

lmail_status lmail_tls_new(lmail_tls **out, const lmail_tls_config *config, char *error, size_t cap)
{
    return make(out, config, NULL, error, cap);
}

void lmail_tls_client_config_init(lmail_tls_client_config *config)
{
    *config = (lmail_tls_client_config)LMAIL_TLS_CLIENT_CONFIG_INIT;
}

void lmail_tls_peer_init(lmail_tls_peer *peer)
{
    *peer = (lmail_tls_peer)LMAIL_TLS_PEER_INIT;
}

lmail_status lmail_tls_new_client(lmail_tls **out, const lmail_tls_client_config *config,
                                  char *error, size_t cap)
{
    return make(out, NULL, config, error, cap);
}

lmail_tls *lmail_tls_hold(lmail_tls *tls)
{
    atomic_fetch_add(&tls->refs, 1);
    return tls;
}

void lmail_tls_release(lmail_tls *tls)
{
    if (!tls || atomic_fetch_sub(&tls->refs, 1) != 1)
        return;
    tls->engine->context_free(tls->context);
    free(tls);
}

/* ---- Filters --------------------------------------------------------------------------------- */

lmail_status lmi_tls_new(lmi_tls **out, lmail_tls *context)
{
    lmail_status st = context->engine->filter_new(out, context->context);
    if (!st)
        (*out)->context = lmail_tls_hold(context);
    return st;
}

lmail_status lmi_tls_new_client(lmi_tls **out, lmail_tls *context, const char *name, int verify)
{
    lmail_status st = context->engine->client_filter_new(out, context->context, name, verify);
    if (!st)
        (*out)->context = lmail_tls_hold(context);
    return st;
}

void lmi_tls_free(lmi_tls *f)
{
    if (!f)
        return;
    lmail_tls *context = f->context;
    free(f->out);
    free(f->fault);
    context->engine->filter_free(f);
    lmail_tls_release(context);
}

void lmi_tls_input(lmi_tls *f, const char *in, size_t len)
{
    f->in = in;
    f->in_len = len;
}

lmi_tls_result lmi_tls_handshake(lmi_tls *f)
{
    return f->context->engine->handshake(f);
}

lmi_tls_result lmi_tls_read(lmi_tls *f, char *out, size_t cap, size_t *made)
{
    *made = 0;
    while (*made < cap) {
        size_t n = 0;
        lmi_tls_result result = f->context->engine->read(f, out + *made, cap - *made, &n);
        *made += n;
        if (result != LMI_TLS_OK)
            return result;
    }
    return LMI_TLS_OK;
}

lmi_tls_result lmi_tls_write(lmi_tls *f, const char *in, size_t len, size_t *used)
{
    return f->context->engine->write(f, in, len < LMI_TLS_RECORD ? len : LMI_TLS_RECORD, used);
}

void lmi_tls_close_notify(lmi_tls *f)
{
    f->context->engine->close_notify(f);
}

void lmi_tls_facts(lmi_tls *f, lmail_tls_facts *facts)
{
    f->context->engine->facts(f, facts);
}

lmail_status lmi_tls_binding(lmi_tls *f, unsigned char out[32])
{
    return f->context->engine->binding(f, out);
}

void lmi_tls_peer(const lmi_tls *f, lmail_tls_peer *out)
{
    f->context->engine->peer(f, out);
}

/* ---- Output ---------------------------------------------------------------------------------- */

lmail_str lmi_tls_peek(const lmi_tls *f)
{
    return (lmail_str){f->out ? f->out + f->out_from : NULL, f->out_to - f->out_from};
}

void lmi_tls_sent(lmi_tls *f, size_t n)
{
    f->out_from += n;
    if (f->out_from == f->out_to)
        f->out_from = f->out_to = 0;
}

void lmi_tls_rest(lmi_tls *f)
{
    if (f->out_to)
        return;
    free(f->out);
    f->out = NULL;
    f->out_cap = 0;
}

lmail_status lmi_tls_emit(lmi_tls *f, const void *octets, size_t len)
{
    size_t need;
    if (lmail_size_add(f->out_to, len, &need))
        return LMAIL_ERR_NOMEM;
    if (need > f->out_cap) {
        if (f->pinned) /* only an alert can come now; the connection ends with or without it */
            return LMAIL_ERR_NOMEM;
        size_t cap = f->out_cap ? f->out_cap : OUT_MIN;
        while (cap < need)
            cap *= 2;
        char *out = realloc(f->out, cap);
        if (!out)
            return LMAIL_ERR_NOMEM;
        f->out = out;
        f->out_cap = cap;
    }
    memcpy(f->out + f->out_to, octets, len);
    f->out_to += len;
    return LMAIL_OK;
}
