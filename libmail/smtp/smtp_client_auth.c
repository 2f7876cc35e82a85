/* smtp_client_auth.c - AUTH: the host is asked for a mechanism and each response; the session frames
 * them.
 *
 * RFC 4954 §4 (the exchange, "=", "*", line lengths), RFC 4422 §5. Responses leave in blocks of
 * their own that are wiped when they are sent; neither they nor challenges reach the trace. A
 * refused exchange leads back to the first question, so that the host may try another mechanism. */
#include "smtp/smtp_client_internal.h"

#include <string.h>

#define COMMAND_LINE 512u /* RFC 5321 §4.5.3.1.4; AUTH with a first response keeps to it */

/* ---- Secrets --------------------------------------------------------------------------------- */

static lmi_smtpc_secret *secret_new(lmail_smtp_client *s, size_t room)
{
    lmi_smtpc_secret *x = lmi_zalloc(&s->base.alloc, sizeof *x + room);
    if (x)
        x->size = sizeof *x + room;
    return x;
}

static void secret_free(lmail_smtp_client *s, lmi_smtpc_secret *x)
{
    if (!x)
        return;
    size_t size = x->size;
    lmi_wipe(x, size);
    lmi_free(&s->base.alloc, x, size);
}

int lmi_smtpc_wipe_sent(lmail_smtp_client *s, lmail_ticket t)
{
    for (lmi_smtpc_secret **at = &s->secrets; *at; at = &(*at)->next)
        if ((*at)->ticket == t) {
            lmi_smtpc_secret *x = *at;
            *at = x->next;
            secret_free(s, x);
            return 1;
        }
    return 0;
}

void lmi_smtpc_auth_done(lmail_smtp_client *s)
{
    secret_free(s, s->held);
    s->held = NULL;
    while (s->secrets)
        lmi_smtpc_wipe_sent(s, s->secrets->ticket);
}

/* ---- Output ---------------------------------------------------------------------------------- */

static void trace_out(lmail_smtp_client *s, lmail_str before, lmail_str secret)
{
    char shown[64];
    if (s->flags & LMAIL_SMTP_CLIENT_TRACE_SECRETS || secret.len == 0) {
        lmi_trace(&s->base, LMAIL_TRACE_OUT, 0, 0, secret.len ? secret : before);
        return;
    }
    memcpy(shown, before.ptr, before.len);
    memcpy(shown + before.len, "<secret>", 8);
    lmi_trace(&s->base, LMAIL_TRACE_OUT, 0, 0, (lmail_str){shown, before.len + 8});
}

/* `before`, base64 of the response, CRLF, as one block. `empty` stands for no octets. */
static lmi_smtpc_secret *framed(lmail_smtp_client *s, lmail_str before, lmail_str response,
                                lmail_str empty, size_t *len)
{
    size_t size = lmail_base64_size(response.len), made = 0;
    lmi_smtpc_secret *x = secret_new(s, before.len + size + empty.len + 2);
    if (!x)
        return NULL;
    if (before.len)
        memcpy(x->data, before.ptr, before.len);
    if (response.len) {
        lmail_base64_encode(response, x->data + before.len, size, &made);
    } else {
        memcpy(x->data + before.len, empty.ptr, empty.len);
        made = empty.len;
    }
    memcpy(x->data + before.len + made, "\r\n", 2);
    *len = before.len + made + 2;
    return x;
}

static lmail_status send_secret(lmail_smtp_client *s, lmi_smtpc_secret *x, size_t len,
                                lmail_str shown)
{
    x->ticket = ++s->base.last_ticket;
    x->next = s->secrets;
    s->secrets = x;
    trace_out(s, shown, (lmail_str){x->data, len - 2});
    lmail_status st = lmi_out_borrow(&s->base, (lmail_str){x->data, len}, x->ticket);
    if (st)
        lmi_smtpc_wipe_sent(s, x->ticket);
    return st;
}

/* ---- The exchange ---------------------------------------------------------------------------- */

static void exchange_over(lmail_smtp_client *s, lmail_auth_end how, lmail_smtp_peer_reply reply)
{
    secret_free(s, s->held);
    s->held = NULL;
    s->cancelling = 0;
    if (!s->exchange)
        return;
    s->exchange = 0;
    if (s->setup->on.on_auth_end) {
        lmi_callback_begin(&s->base);
        s->setup->on.on_auth_end(s, s->base.user, how, &reply);
        lmi_callback_end(&s->base);
    }
}

void lmi_smtpc_auth_gone(lmail_smtp_client *s)
{
    lmail_smtp_peer_reply none = {0, {NULL, 0}, {NULL, 0}};
    exchange_over(s, LMAIL_AUTH_END_GONE, none);
}

static lmail_status cancel(lmail_smtp_client *s)
{
    s->cancelling = 1;
    lmi_smtpc_enter(s, LMI_SMTPC_AUTH);
    return LMI_SMTPC_SAY(s, LMAIL_STR("*"));
}

static lmail_status begin(lmail_smtp_client *s, const lmail_smtp_client_auth_answer *a)
{
    char line[32] = "AUTH ";
    size_t n = 5, len;
    for (size_t i = 0; i < a->mechanism.len; i++)
        line[n++] = s->mechanism[i] = lmi_ascii_upper(a->mechanism.ptr[i]);
    s->mechanism_len = (uint8_t)a->mechanism.len;
    s->exchange = 1;
    lmi_smtpc_enter(s, LMI_SMTPC_AUTH);
    lmail_str bare = {line, n};
    if (!a->has_response)
        return LMI_SMTPC_SAY(s, bare);
    size_t whole = n + 1 + (a->response.len ? lmail_base64_size(a->response.len) : 1) + 2;
    if (whole > COMMAND_LINE) { /* RFC 4954 §4: it waits for the empty challenge */
        s->held = framed(s, (lmail_str){NULL, 0}, a->response, LMAIL_STR(""), &len);
        return s->held ? LMI_SMTPC_SAY(s, bare) : LMAIL_ERR_NOMEM;
    }
    line[n++] = ' ';
    lmi_smtpc_secret *x = framed(s, (lmail_str){line, n}, a->response, LMAIL_STR("="), &len);
    return x ? send_secret(s, x, len, (lmail_str){line, n}) : LMAIL_ERR_NOMEM;
}

static lmail_status respond(lmail_smtp_client *s, lmail_str response)
{
    size_t len;
    lmi_smtpc_enter(s, LMI_SMTPC_AUTH);
    lmi_smtpc_secret *x = framed(s, (lmail_str){NULL, 0}, response, LMAIL_STR(""), &len);
    return x ? send_secret(s, x, len, (lmail_str){"", 0}) : LMAIL_ERR_NOMEM;
}

/* The server says that we are in, and the host agrees. */
static lmail_status let_in(lmail_smtp_client *s)
{
    s->logged_in = 1;
    exchange_over(s, LMAIL_AUTH_END_OK, lmi_smtpc_reply(s));
    lmi_smtpc_ready(s);
    return LMAIL_OK;
}

static lmail_status apply(lmail_smtp_client *s, const lmail_smtp_client_auth_event *ev,
                          const lmail_smtp_client_auth_answer *a)
{
    if (a->kind == LMAIL_SMTP_AUTH_FAIL) {
        int mid = ev->step && !ev->finished;
        exchange_over(s, LMAIL_AUTH_END_FAILED, lmi_smtpc_reply(s));
        /* In the middle of an exchange the server would take QUIT for a response. */
        return mid ? lmi_smtpc_cut(s, LMAIL_SMTP_CAUSE_HOST)
                   : lmi_smtpc_quit(s, LMAIL_SMTP_CAUSE_HOST);
    }
    if (ev->finished)
        return let_in(s);
    if (ev->step)
        return a->kind == LMAIL_SMTP_AUTH_SEND ? respond(s, a->response) : cancel(s);
    if (a->kind == LMAIL_SMTP_AUTH_SEND)
        return begin(s, a);
    lmi_smtpc_ready(s);
    return LMAIL_OK;
}

/* ---- Questions ------------------------------------------------------------------------------- */

static int answer_ok(const lmail_smtp_client_auth_event *ev, const lmail_smtp_client_auth_answer *a)
{
    if ((unsigned)a->kind > LMAIL_SMTP_AUTH_FAIL)
        return 0;
    if (a->kind != LMAIL_SMTP_AUTH_SEND)
        return 1;
    return !ev->finished && a->response.len <= LMI_SMTPC_RESPONSE &&
           (ev->step > 0 || lmi_smtpc_mechanism_ok(a->mechanism));
}

static lmail_status ask(lmail_smtp_client *s, lmi_question *q)
{
    lmail_smtp_client_auth_answer a = LMAIL_SMTP_CLIENT_AUTH_ANSWER_INIT;
    const lmail_smtp_client_auth_event *ev = q->data;
    lmi_smtpc_enter(s, LMI_SMTPC_ASKING);
    lmi_callback_begin(&s->base);
    lmail_status st = s->setup->on.on_auth(s, s->base.user, q->ticket, ev, &a);
    lmi_callback_end(&s->base);
    if (st == LMAIL_PENDING) {
        lmi_question_wait(&s->base, q, 1, 0);
        return LMAIL_OK;
    }
    if (st || !answer_ok(ev, &a))
        a.kind = LMAIL_SMTP_AUTH_FAIL;
    st = apply(s, ev, &a);
    lmi_question_done(&s->base, q);
    return st;
}

static lmail_status question(lmail_smtp_client *s, lmi_question **q,
                             lmail_smtp_client_auth_event **ev)
{
    lmail_status st = lmi_ask(&s->base, LMI_SMTPC_LOGIN, q);
    if (st)
        return st;
    (*q)->secret = 1;
    *ev = (*q)->data = lmi_arena_zget(&(*q)->arena, sizeof **ev);
    if (!*ev)
        return lmi_smtpc_drop(s, *q);
    (*ev)->step = s->step++;
    return LMAIL_OK;
}

lmail_status lmi_smtpc_drop(lmail_smtp_client *s, lmi_question *q)
{
    lmi_question_done(&s->base, q);
    return LMAIL_ERR_NOMEM;
}

static lmail_status copy_reply(lmi_arena *a, lmail_smtp_peer_reply *r)
{
    lmail_status st = lmi_arena_copy(a, r->enhanced, &r->enhanced);
    return st ? st : lmi_arena_copy(a, r->text, &r->text);
}

lmail_status lmi_smtpc_login(lmail_smtp_client *s)
{
    lmi_question *q;
    lmail_smtp_client_auth_event *ev;
    if (!s->setup->on.on_auth || s->logged_in) {
        lmi_smtpc_ready(s);
        return LMAIL_OK;
    }
    s->step = 0;
    lmail_status st = question(s, &q, &ev);
    if (st)
        return st;
    ev->refused = s->refused;
    if (s->refused)
        ev->reply = lmi_smtpc_reply(s);
    if (copy_reply(&q->arena, &ev->reply) ||
        lmi_arena_copy(&q->arena, s->can.mechanisms, &ev->mechanisms))
        return lmi_smtpc_drop(s, q);
    return ask(s, q);
}

lmail_status lmi_smtpc_on_challenge(lmail_smtp_client *s, lmail_str text)
{
    lmi_question *q;
    lmail_smtp_client_auth_event *ev;
    size_t made = 0;
    if (s->cancelling)
        return lmi_smtpc_violation(s, LMAIL_STR("a challenge behind *"));
    if (lmail_base64_decode(text, NULL, 0, &made) == LMAIL_ERR_SYNTAX) {
        lmi_trace(&s->base, LMAIL_TRACE_VIOLATION, 0, made, LMAIL_STR("a challenge not in base64"));
        return cancel(s);
    }
    if (s->held) {
        lmi_smtpc_secret *x = s->held;
        if (text.len) /* RFC 4422 §5: the client speaks first, and the server did */
            return cancel(s);
        s->held = NULL;
        return send_secret(s, x, x->size - sizeof *x, (lmail_str){"", 0});
    }
    lmail_status st = question(s, &q, &ev);
    if (st)
        return st;
    char *to = lmi_arena_get(&q->arena, text.len);
    if (!to || lmail_base64_decode(text, to, text.len, &made))
        return lmi_smtpc_drop(s, q);
    ev->challenge = (lmail_str){to, made};
    return ask(s, q);
}

lmail_status lmi_smtpc_on_auth(lmail_smtp_client *s)
{
    lmi_question *q;
    lmail_smtp_client_auth_event *ev;
    unsigned class = lmi_smtpc_class(s);
    if (class == 3 || (class == 2 && s->cancelling))
        return lmi_smtpc_violation(s, LMAIL_STR("a reply that does not fit"));
    if (class == 2) {
        lmail_status st = question(s, &q, &ev);
        if (st)
            return st;
        ev->finished = 1;
        ev->reply = lmi_smtpc_reply(s);
        return copy_reply(&q->arena, &ev->reply) ? lmi_smtpc_drop(s, q) : ask(s, q);
    }
    int ours = s->cancelling;
    exchange_over(s, ours ? LMAIL_AUTH_END_CANCELLED : LMAIL_AUTH_END_FAILED, lmi_smtpc_reply(s));
    if (++s->refused >= s->setup->config.max_logins) {
        lmi_trace(&s->base, LMAIL_TRACE_LIMIT, 0, 0, LMAIL_STR("max_logins"));
        return lmi_smtpc_quit(s, LMAIL_SMTP_CAUSE_REPLY);
    }
    return lmi_smtpc_login(s);
}

lmail_status lmail_smtp_client_answer_auth(lmail_smtp_client *s, lmail_ticket t,
                                           const lmail_smtp_client_auth_answer *answer,
                                           lmail_msec now)
{
    lmail_smtp_client_auth_answer a = LMAIL_SMTP_CLIENT_AUTH_ANSWER_INIT;
    lmi_question *q;
    if (answer && lmi_struct_take(&a, sizeof a, answer))
        return LMAIL_ERR_SIZE;
    for (q = s->base.asked; q && q->ticket != t; q = q->next)
        ;
    if (q && q->kind == LMI_SMTPC_LOGIN && !q->cancelled && !answer_ok(q->data, &a))
        return LMAIL_ERR_ARG;
    lmail_status st = lmi_answer_enter(&s->base, t, LMI_SMTPC_LOGIN, now, &q);
    if (st)
        return st;
    st = apply(s, q->data, &a);
    lmi_question_done(&s->base, q);
    return lmi_leave(&s->base, lmi_smtpc_go_on(s, st));
}
