/* net_shake.c - TLS handshakes, and ciphertext into plaintext.
 *
 * A handshake costs about a millisecond. The first step of a turn is done on the loop; further ones
 * of the same turn go to workers, so that a crowd of new clients does not hold up those who are
 * served. While a worker has the filter (c->lent) the loop neither feeds nor frees it. */
#include "net_internal.h"

#include <stdlib.h>

typedef struct lmi_shake {
    lmi_job job;
    lmail_conn *conn;
    lmi_tls *tls;
    lmi_buf *input;
    lmi_tls_result result;
} lmi_shake;

static void stepped(lmail_conn *c, lmi_buf *b, lmi_tls_result result);

void lmi_conn_shake_begin(lmail_conn *c)
{
    lmail_tls *tls = c->own_tls ? c->own_tls : c->setup->tls;
    if (tls->client == (c->from != NULL)) {
        c->fault = "the TLS of the other end";
        lmi_conn_abort(c, LMAIL_CLOSE_TLS);
        return;
    }
    if (c->from ? lmi_tls_new(&c->tls, tls)
                : lmi_tls_new_client(&c->tls, tls, c->setup->tls_name, c->setup->tls_verify)) {
        lmi_conn_abort(c, LMAIL_CLOSE_MEMORY);
        return;
    }
    lmi_conn_state_set(c, LMI_CONN_SHAKING);
    c->phase_due = uv_now(c->loop->uv) + c->setup->handshake_timeout;
    lmi_conn_read(c, 1);
    lmi_conn_arm(c);
    if (!c->from) /* a client speaks first */
        stepped(c, NULL, lmi_tls_handshake(c->tls));
}

void lmi_conn_shake_failed(lmail_conn *c)
{
    if (c->from)
        atomic_fetch_add(&c->loop->net->handshake_errors, 1);
}

static void count_shaken(lmail_conn *c, const lmail_tls_facts *facts)
{
    lmail_net *net = c->loop->net;
    atomic_fetch_add(&net->handshook, 1);
    if (lmail_str_equal(facts->version, LMAIL_STR("TLSv1.3")))
        atomic_fetch_add(&net->tls13, 1);
    if (c->tls->resumed)
        atomic_fetch_add(&net->resumed, 1);
}

static void shaken(lmail_conn *c, lmi_buf *rest)
{
    lmail_tls_facts facts = LMAIL_TLS_FACTS_INIT;
    lmi_tls_facts(c->tls, &facts);
    if (c->from)
        count_shaken(c, &facts);
    free(c->shake);
    c->shake = NULL;
    c->secured = 1;
    c->phase_due = LMAIL_NEVER;
    lmi_conn_state_set(c, LMI_CONN_OPEN);
    lmail_session_tls_done(c->session, &facts, uv_now(c->loop->uv));
    if (c->tls->in_len)
        lmi_conn_decrypt(c, rest);
    else
        lmi_buf_put(&c->loop->bufs, rest);
    if (c->state == LMI_CONN_OPEN)
        lmi_conn_pump(c);
}

static void stepped(lmail_conn *c, lmi_buf *b, lmi_tls_result result)
{
    lmi_conn_flush_tls(c); /* our flight, or an alert */
    if (result == LMI_TLS_OK && c->state == LMI_CONN_SHAKING) {
        shaken(c, b);
        return;
    }
    lmi_buf_put(&c->loop->bufs, b);
    if (c->state != LMI_CONN_SHAKING)
        return;
    if (result == LMI_TLS_WANT) {
        lmi_conn_read(c, !c->writing);
        lmi_conn_arm(c);
        return;
    }
    lmi_conn_shake_failed(c);
    lmi_conn_abort(c, LMAIL_CLOSE_TLS);
}

/* ---- On a worker ----------------------------------------------------------------------------- */

static void work(void *arg)
{
    lmi_shake *s = arg;
    s->result = lmi_tls_handshake(s->tls);
}

static void done(void *arg)
{
    lmi_shake *s = arg;
    lmail_conn *c = s->conn;
    c->lent = 0;
    if (c->state == LMI_CONN_SHAKING) {
        stepped(c, s->input, s->result);
        return;
    }
    lmi_buf_put(&c->loop->bufs, s->input);
    lmi_conn_finish(c);
}

static int lend(lmail_conn *c, lmi_buf *b)
{
    lmail_net *net = c->loop->net;
    if (!c->shake)
        c->shake = calloc(1, sizeof(*c->shake));
    lmi_shake *s = c->shake;
    if (!s)
        return 0;
    s->job = (lmi_job){.loop = c->loop, .work = work, .done = done, .arg = s};
    s->conn = c;
    s->tls = c->tls;
    s->input = b;
    c->lent = 1;
    if (lmi_pool_submit_job(net->handshakes, &s->job)) {
        c->lent = 0;
        return 0;
    }
    atomic_fetch_add(&net->handshakes_lent, 1);
    lmi_conn_read(c, 0);
    return 1;
}

void lmi_conn_shake_input(lmail_conn *c, lmi_buf *b)
{
    lmi_tls_input(c->tls, b->data + b->from, b->to - b->from);
    if (c->loop->shakes++ > 0 && lend(c, b))
        return;
    stepped(c, b, lmi_tls_handshake(c->tls));
}

/* ---- Afterwards ------------------------------------------------------------------------------ */

void lmi_conn_decrypt(lmail_conn *c, lmi_buf *b)
{
    lmi_buf_pool *bufs = &c->loop->bufs;
    if (!c->tls->in_len) /* else the handshake has left octets of b */
        lmi_tls_input(c->tls, b->data + b->from, b->to - b->from);
    lmi_buf *plain = lmi_buf_get(bufs, b->large);
    if (!plain) {
        lmi_buf_put(bufs, b);
        lmi_conn_abort(c, LMAIL_CLOSE_MEMORY);
        return;
    }
    /* It fits: no more plaintext comes out than one read and the rest of one record. */
    lmi_tls_result result = lmi_tls_read(c->tls, plain->data, plain->cap, &plain->to);
    lmi_buf_put(bufs, b);
    if (plain->to)
        lmi_conn_take_plain(c, plain);
    else
        lmi_buf_put(bufs, plain);
    if (result == LMI_TLS_END) {
        c->eof = 1;
    } else if (result != LMI_TLS_WANT) {
        lmi_conn_flush_tls(c); /* an alert */
        lmi_conn_abort(c, LMAIL_CLOSE_TLS);
    }
}
