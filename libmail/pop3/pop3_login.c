/* pop3_login.c - how a client gets in: USER and PASS, APOP, AUTH; and the opening of its maildrop.
 *
 * RFC 1939 §4 and §7, RFC 5034, RFC 3206 (response codes). Whatever the way, the host's answer runs
 * through take_auth, and OK leads to on_maildrop. */
#include "pop3/pop3_internal.h"

#include <string.h>

#define SLICE 4096u /* messages asked for at once */

static const lmi_pop3_values none = {0, 0};

/* ---- The maildrop ---------------------------------------------------------------------------- */

static int maildrop_valid(const lmail_pop3_server *s, const lmail_pop3_maildrop_answer *a)
{
    if (!lmi_pop3_failure_valid(a->failure, a->text))
        return 0;
    return a->failure || (a->count <= s->number && (a->count || !a->more) &&
                          (a->sizes || !a->count) && (unsigned)a->expire <= LMAIL_POP3_EXPIRE_DAYS);
}

/* Back to the login: the host holds no lock (RFC 1939 §4). */
static lmail_status maildrop_failed(lmail_pop3_server *s, lmail_pop3_failure failure,
                                    lmail_str text)
{
    lmi_pop3_maildrop_done(&s->drop, &s->base.alloc);
    s->known = 0;
    lmi_sasl_done(&s->sasl, &s->base.alloc);
    lmi_pop3_enter(s, LMAIL_POP3_STATE_AUTHORIZATION);
    return lmi_pop3_failed(s, failure, text, 0);
}

static lmail_status open_done(lmail_pop3_server *s, const lmail_pop3_maildrop_answer *a)
{
    lmail_status st = lmi_pop3_maildrop_seal(&s->drop, &s->base.alloc);
    if (st)
        return st;
    if (s->setup->cfg.login_delay_differs)
        s->login_delay = a->login_delay;
    if (s->setup->cfg.expire_differs) {
        s->expire = a->expire;
        s->expire_days = a->expire_days;
    }
    lmi_pop3_enter(s, LMAIL_POP3_STATE_TRANSACTION);
    return lmi_pop3_ok(s, LMAIL_POP3_TEXT_LOGGED_IN,
                       (lmi_pop3_values){s->drop.count, s->drop.octets});
}

/* OK: the login is settled, one way or the other. MORE: ask again. */
static lmail_status take_maildrop(lmail_pop3_server *s, const lmail_pop3_maildrop_answer *a)
{
    if (a->failure)
        return maildrop_failed(s, a->failure, a->text);
    for (uint32_t i = 0; i < a->count; i++) {
        lmail_status st = lmi_pop3_maildrop_add(&s->drop, &s->base.alloc, a->sizes[i]);
        if (st == LMAIL_ERR_LIMIT)
            return maildrop_failed(s, LMAIL_POP3_PERMANENT, (lmail_str){NULL, 0});
        if (st)
            return st;
    }
    if (a->more && s->drop.count < s->setup->cfg.max_messages)
        return LMAIL_MORE;
    if (a->more)
        lmi_trace(&s->base, LMAIL_TRACE_LIMIT, 0, 0, LMAIL_STR("max_messages"));
    return open_done(s, a);
}

static lmail_status ask_maildrop(lmail_pop3_server *s)
{
    lmail_status st;
    do {
        lmail_pop3_maildrop_answer a;
        memset(&a, 0, sizeof a);
        a.size = sizeof a;
        lmi_question *q;
        st = lmi_ask(&s->base, LMI_POP3_Q_MAILDROP, &q);
        if (st)
            return st;
        lmail_pop3_maildrop_event *ev = lmi_arena_zget(&q->arena, sizeof *ev);
        if (!ev || lmi_arena_copy(&q->arena, (lmail_str){s->name, s->name_len}, &ev->identity)) {
            lmi_question_done(&s->base, q);
            return LMAIL_ERR_NOMEM;
        }
        uint32_t left = s->setup->cfg.max_messages - s->drop.count;
        ev->first = s->drop.count + 1;
        ev->max = left < SLICE ? left : SLICE;
        s->number = ev->max;
        lmi_callback_begin(&s->base);
        st = s->setup->on.on_maildrop(s, s->base.user, q->ticket, ev, &a);
        lmi_callback_end(&s->base);
        if (st == LMAIL_PENDING) {
            lmi_question_wait(&s->base, q, 1, 0);
            return LMAIL_OK;
        }
        lmi_question_done(&s->base, q);
        if (st || !maildrop_valid(s, &a))
            return maildrop_failed(s, LMAIL_POP3_TEMPORARY, (lmail_str){NULL, 0});
        st = take_maildrop(s, &a);
    } while (st == LMAIL_MORE);
    return st;
}

lmail_status lmail_pop3_server_answer_maildrop(lmail_pop3_server *s, lmail_ticket t,
                                               const lmail_pop3_maildrop_answer *answer,
                                               lmail_msec now)
{
    lmail_pop3_maildrop_answer a;
    lmi_question *q;
    if (lmi_struct_take(&a, sizeof a, answer))
        return LMAIL_ERR_SIZE;
    if (s->state == LMAIL_POP3_STATE_OPENING && !maildrop_valid(s, &a))
        return LMAIL_ERR_ARG;
    lmail_status st = lmi_answer_enter(&s->base, t, LMI_POP3_Q_MAILDROP, now, &q);
    if (st)
        return st;
    lmi_question_done(&s->base, q);
    st = take_maildrop(s, &a);
    if (st == LMAIL_MORE)
        st = ask_maildrop(s);
    return lmi_leave(&s->base, st < 0 ? st : lmi_pop3_over(s));
}

/* ---- Any authentication ---------------------------------------------------------------------- */

static void tell_end(lmail_pop3_server *s, lmail_auth_end how)
{
    if (!lmi_sasl_end(&s->sasl) || !s->setup->on.on_auth_end)
        return;
    lmi_callback_begin(&s->base);
    s->setup->on.on_auth_end(s, s->base.user, &(lmail_auth_end_event){how});
    lmi_callback_end(&s->base);
}

void lmi_pop3_auth_gone(lmail_pop3_server *s)
{
    tell_end(s, LMAIL_AUTH_END_GONE);
}

static lmail_status let_in(lmail_pop3_server *s, lmail_str identity)
{
    lmail_status st = lmi_pop3_keep_name(s, identity);
    if (st)
        return st;
    s->known = 1;
    lmi_pop3_enter(s, LMAIL_POP3_STATE_OPENING);
    return ask_maildrop(s);
}

static lmail_status refuse(lmail_pop3_server *s, lmail_auth_failure failure, lmail_str text)
{
    int last =
        failure != LMAIL_AUTH_TEMPORARY && ++s->auth_failures >= s->setup->cfg.max_auth_failures;
    lmail_status st = lmi_pop3_auth_failed(s, failure, text);
    if (st < 0 || !last)
        return st;
    lmi_trace(&s->base, LMAIL_TRACE_LIMIT, 0, 0, LMAIL_STR("max_auth_failures"));
    return lmi_pop3_end(s);
}

/* A line in place of a response that is none. RFC 5034 §4. */
static lmail_status break_off(lmail_pop3_server *s, lmail_auth_end how, lmail_pop3_text text)
{
    tell_end(s, how);
    if (++s->auth_failures < s->setup->cfg.max_auth_failures)
        return lmi_pop3_err(s, "", text, none);
    lmi_trace(&s->base, LMAIL_TRACE_LIMIT, 0, 0, LMAIL_STR("max_auth_failures"));
    lmail_status st = lmi_pop3_err(s, "", LMAIL_POP3_TEXT_TOO_MANY_LOGINS, none);
    return st < 0 ? st : lmi_pop3_end(s);
}

lmail_status lmi_pop3_auth_broken(lmail_pop3_server *s)
{
    return break_off(s, LMAIL_AUTH_END_BROKEN, LMAIL_POP3_TEXT_NO_RESPONSE);
}

static lmail_status take_sasl(lmail_pop3_server *s, const lmail_auth_answer *a)
{
    lmi_sasl_next next = LMI_SASL_FAILED;
    lmail_status st = lmi_sasl_answer(&s->sasl, &s->base, a, LMAIL_STR("+ "), &next);
    if (st < 0 || next == LMI_SASL_CHALLENGE)
        return st;
    if (next == LMI_SASL_OK) {
        tell_end(s, LMAIL_AUTH_END_OK);
        return let_in(s, lmi_sasl_identity(&s->sasl));
    }
    tell_end(s, LMAIL_AUTH_END_FAILED);
    return refuse(s, a->failure, a->text);
}

static lmail_status take_auth(lmail_pop3_server *s, const lmail_auth_answer *a)
{
    if (s->by_sasl)
        return take_sasl(s, a);
    return a->kind == LMAIL_AUTH_OK ? let_in(s, a->identity) : refuse(s, a->failure, a->text);
}

static int auth_valid(const lmail_pop3_server *s, const lmail_auth_answer *a)
{
    return !lmi_sasl_check(a) && lmi_pop3_text_fits(a->text) &&
           (s->by_sasl || a->kind != LMAIL_AUTH_CONTINUE);
}

/* The callback has returned: settle the question or leave it out. */
static lmail_status asked(lmail_pop3_server *s, lmi_question *q, lmail_status st,
                          lmail_auth_answer *a)
{
    if (st == LMAIL_PENDING) {
        lmi_question_wait(&s->base, q, 1, 0);
        return LMAIL_OK;
    }
    if (st || !auth_valid(s, a)) {
        lmail_auth_answer_init(a);
        a->failure = LMAIL_AUTH_TEMPORARY;
    }
    lmi_question_done(&s->base, q);
    return take_auth(s, a);
}

lmail_status lmail_pop3_server_answer_auth(lmail_pop3_server *s, lmail_ticket t,
                                           const lmail_auth_answer *answer, lmail_msec now)
{
    lmail_auth_answer a;
    lmi_question *q;
    if (lmi_struct_take(&a, sizeof a, answer))
        return LMAIL_ERR_SIZE;
    if (s->state == LMAIL_POP3_STATE_AUTHORIZATION && !auth_valid(s, &a))
        return LMAIL_ERR_ARG;
    lmail_status st = lmi_answer_enter(&s->base, t, LMI_POP3_Q_AUTH, now, &q);
    if (st)
        return st;
    lmi_question_done(&s->base, q);
    st = take_auth(s, &a);
    return lmi_leave(&s->base, st < 0 ? st : lmi_pop3_over(s));
}

/* ---- USER, PASS, APOP ------------------------------------------------------------------------ */

int lmi_pop3_user_allowed(const lmail_pop3_server *s)
{
    return s->setup->on.on_login && (s->base.tls_active || s->flags & LMAIL_POP3_CLEARTEXT);
}

static lmail_status not_allowed(lmail_pop3_server *s)
{
    if (!s->setup->on.on_login)
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_UNKNOWN);
    return lmi_pop3_err(s, "[AUTH]", LMAIL_POP3_TEXT_TLS_FIRST, none);
}

lmail_status lmi_pop3_user(lmail_pop3_server *s, lmail_str args)
{
    if (!lmi_pop3_user_allowed(s))
        return not_allowed(s);
    lmail_status st = lmi_pop3_keep_name(s, args);
    if (st)
        return st;
    s->user_just = 1;
    return lmi_pop3_ok(s, LMAIL_POP3_TEXT_USER, none);
}

lmail_status lmi_pop3_pass(lmail_pop3_server *s, lmail_str args)
{
    int just = s->user_just;
    s->user_just = 0;
    if (!lmi_pop3_user_allowed(s))
        return not_allowed(s);
    if (!just)
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_USER_FIRST);
    lmi_question *q;
    lmail_status st = lmi_ask(&s->base, LMI_POP3_Q_AUTH, &q);
    if (st)
        return st;
    q->secret = 1;
    s->by_sasl = 0;
    lmail_pop3_login_event *ev = lmi_arena_zget(&q->arena, sizeof *ev);
    if (!ev || lmi_arena_copy(&q->arena, (lmail_str){s->name, s->name_len}, &ev->user) ||
        lmi_arena_copy(&q->arena, args, &ev->password)) {
        lmi_question_done(&s->base, q);
        return LMAIL_ERR_NOMEM;
    }
    lmail_auth_answer a = LMAIL_AUTH_ANSWER_INIT;
    lmi_callback_begin(&s->base);
    st = s->setup->on.on_login(s, s->base.user, q->ticket, ev, &a);
    lmi_callback_end(&s->base);
    return asked(s, q, st, &a);
}

/* RFC 1939 §7: 16 octets in lower case hexadecimal. */
static int read_digest(lmail_str text, unsigned char out[16])
{
    if (text.len != 32)
        return 0;
    for (size_t i = 0; i < 32; i++) {
        char c = text.ptr[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0)
            return 0;
        out[i / 2] = (unsigned char)(i % 2 ? out[i / 2] | v : v << 4);
    }
    return 1;
}

lmail_status lmi_pop3_apop(lmail_pop3_server *s, lmail_str args)
{
    if (!s->timestamp_len)
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_UNKNOWN);
    unsigned char digest[16];
    lmail_str name;
    lmail_status st = lmi_pop3_next_arg(&args, &name);
    if (st || !read_digest(args, digest))
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_SYNTAX);
    lmi_question *q;
    st = lmi_ask(&s->base, LMI_POP3_Q_AUTH, &q);
    if (st)
        return st;
    q->secret = 1;
    s->by_sasl = 0;
    lmail_pop3_apop_event *ev = lmi_arena_zget(&q->arena, sizeof *ev);
    if (!ev || lmi_arena_copy(&q->arena, name, &ev->user) ||
        lmi_arena_copy(&q->arena, (lmail_str){s->timestamp, s->timestamp_len}, &ev->timestamp)) {
        lmi_question_done(&s->base, q);
        return LMAIL_ERR_NOMEM;
    }
    memcpy(ev->digest, digest, sizeof digest);
    lmail_auth_answer a = LMAIL_AUTH_ANSWER_INIT;
    lmi_callback_begin(&s->base);
    st = s->setup->on.on_apop(s, s->base.user, q->ticket, ev, &a);
    lmi_callback_end(&s->base);
    return asked(s, q, st, &a);
}

/* ---- AUTH ------------------------------------------------------------------------------------ */

lmail_str lmi_pop3_mechanisms(const lmail_pop3_server *s)
{
    if (!s->setup->on.on_auth)
        return (lmail_str){NULL, 0};
    return s->setup->on.auth_mechanisms(s, s->base.user);
}

static lmail_status ask_step(lmail_pop3_server *s)
{
    lmi_question *q;
    lmail_status st = lmi_ask(&s->base, LMI_POP3_Q_AUTH, &q);
    if (st)
        return st;
    const lmail_auth_event *ev;
    st = lmi_sasl_event(&s->sasl, q, &ev);
    if (st) {
        lmi_question_done(&s->base, q);
        return st == LMAIL_ERR_NOMEM ? st : lmi_pop3_auth_broken(s);
    }
    s->by_sasl = 1;
    lmail_auth_answer a = LMAIL_AUTH_ANSWER_INIT;
    lmi_callback_begin(&s->base);
    st = s->setup->on.on_auth(s, s->base.user, q->ticket, ev, &a);
    lmi_callback_end(&s->base);
    return asked(s, q, st, &a);
}

static lmail_status list_mechanisms(lmail_pop3_server *s)
{
    lmail_str list = lmi_pop3_mechanisms(s);
    lmail_status st = lmi_pop3_ok(s, LMAIL_POP3_TEXT_AUTH_LIST, none);
    while (!st && list.len) {
        size_t end = lmi_str_find(list, ' ');
        st = lmi_out_str(&s->base, lmi_str_sub(list, 0, end));
        if (!st)
            st = lmi_out_str(&s->base, LMAIL_STR("\r\n"));
        list = lmi_str_skip(list, end + 1);
    }
    return st ? st : lmi_out_str(&s->base, LMAIL_STR(".\r\n"));
}

lmail_status lmi_pop3_auth(lmail_pop3_server *s, lmail_str args)
{
    if (!s->setup->on.on_auth)
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_UNKNOWN);
    if (!args.ptr && s->flags & LMAIL_POP3_AUTH_LIST)
        return list_mechanisms(s);
    lmail_str mechanism;
    lmail_status st = lmi_pop3_next_arg(&args, &mechanism);
    if (st || lmi_str_find(args, ' ') < args.len)
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_SYNTAX);
    switch (lmi_sasl_start(&s->sasl, mechanism, args.len ? &args : NULL, lmi_pop3_mechanisms(s))) {
    case LMI_SASL_RESPONSE:
        return ask_step(s);
    case LMI_SASL_UNKNOWN:
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_NO_MECHANISM);
    default:
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_NO_RESPONSE);
    }
}

lmail_status lmi_pop3_auth_line(lmail_pop3_server *s, lmail_str line)
{
    switch (lmi_sasl_line(&s->sasl, line)) {
    case LMI_SASL_RESPONSE:
        return ask_step(s);
    case LMI_SASL_OK:
        tell_end(s, LMAIL_AUTH_END_OK);
        return let_in(s, lmi_sasl_identity(&s->sasl));
    case LMI_SASL_CANCELLED:
        return break_off(s, LMAIL_AUTH_END_CANCELLED, LMAIL_POP3_TEXT_CANCELLED);
    default:
        return lmi_pop3_auth_broken(s);
    }
}
