/* imap_cmd_auth.c - STARTTLS, AUTHENTICATE, LOGIN.
 *
 * RFC 3501 §6.2, RFC 4959 (initial response), RFC 5530 (codes). The framing of a SASL exchange is
 * that of sasl_internal.h; what the octets mean is the host's. Whatever held a secret is wiped: the
 * command's text and line buffers by LMI_ROW_SECRET, the event by the question. */
#include "imap/imap_internal.h"

#include <string.h>

int lmi_imap_cleartext_ok(const lmi_imap *s)
{
    return s->base.tls_active || lmi_imap_has(s, LMAIL_IMAP_CLEARTEXT);
}

static int is_cleartext(lmail_str name)
{
    return lmail_str_equal_nocase(name, LMAIL_STR("PLAIN")) ||
           lmail_str_equal_nocase(name, LMAIL_STR("LOGIN"));
}

lmail_str lmi_imap_mechanisms(const lmi_imap *s, char *out, size_t cap)
{
    const lmail_imap_server_handler *h = lmi_imap_handler(s);
    size_t made = 0;
    if (!h->auth_mechanisms || !h->on_auth)
        return (lmail_str){NULL, 0};
    lmail_str names = h->auth_mechanisms(s, s->base.user);
    while (names.len) {
        size_t n = lmi_str_find(names, ' ');
        lmail_str name = lmi_str_sub(names, 0, n);
        names = lmi_str_skip(names, n + 1);
        if (!n || (is_cleartext(name) && !lmi_imap_cleartext_ok(s)) || made + n + 1 > cap)
            continue;
        if (made)
            out[made++] = ' ';
        memcpy(out + made, name.ptr, n);
        made += n;
    }
    return (lmail_str){out, made};
}

/* ---- STARTTLS -------------------------------------------------------------------------------- */

lmail_status lmi_imap_cmd_starttls(lmi_imap *s)
{
    lmail_status st = lmi_imap_end(&s->cmd.args);
    if (st)
        return lmi_imap_finish_parse(s, st);
    if (s->base.tls_active)
        return lmi_imap_finish(s, LMI_BAD, LMAIL_IMAP_CODE_NONE, LMAIL_STR("TLS is active"));
    s->cmd.then_tls = 1;
    return lmi_imap_finish(s, LMI_OK, LMAIL_IMAP_CODE_NONE, LMAIL_STR("Begin TLS negotiation now"));
}

/* ---- Outcomes -------------------------------------------------------------------------------- */

static void exchange_end(lmi_imap *s, lmail_auth_end how)
{
    if (!lmi_sasl_end(&s->sasl) || !lmi_imap_handler(s)->on_auth_end)
        return;
    lmi_callback_begin(&s->base);
    lmi_imap_handler(s)->on_auth_end(s, s->base.user, &(lmail_auth_end_event){how});
    lmi_callback_end(&s->base);
}

static void gone(lmi_imap *s)
{
    exchange_end(s, LMAIL_AUTH_END_GONE);
}

static void put_capability_code(lmi_imap *s)
{
    lmi_imap_put(s, LMAIL_STR("[CAPABILITY "));
    lmi_imap_put_capabilities(s);
    lmi_imap_put(s, LMAIL_STR("] "));
}

static lmail_status logged_in(lmi_imap *s)
{
    exchange_end(s, LMAIL_AUTH_END_OK);
    s->state = LMAIL_IMAP_STATE_AUTHENTICATED;
    s->auth_deadline = LMAIL_NEVER;
    s->auth_failures = 0;
    s->cmd.put_code = put_capability_code;
    lmi_trace(&s->base, LMAIL_TRACE_STATE, 0, 0, LMAIL_STR("authenticated"));
    return lmi_imap_finish(s, LMI_OK, LMAIL_IMAP_CODE_NONE, LMAIL_STR("Logged in"));
}

static lmail_status failed(lmi_imap *s, lmail_auth_failure why, lmail_str text)
{
    static const struct {
        lmail_imap_code code;
        lmail_str text;
    } told[] = {
        [LMAIL_AUTH_CREDENTIALS] = {LMAIL_IMAP_CODE_AUTHENTICATIONFAILED,
                                    {"Authentication failed", 21}},
        [LMAIL_AUTH_TEMPORARY] = {LMAIL_IMAP_CODE_UNAVAILABLE, {"Temporary failure", 17}},
        [LMAIL_AUTH_PERMANENT] = {LMAIL_IMAP_CODE_CONTACTADMIN, {"Account is not available", 24}},
        [LMAIL_AUTH_AUTHORIZATION] = {LMAIL_IMAP_CODE_AUTHORIZATIONFAILED, {"Not authorized", 14}},
        [LMAIL_AUTH_EXPIRED] = {LMAIL_IMAP_CODE_EXPIRED, {"Password has expired", 20}},
        [LMAIL_AUTH_ENCRYPTION] = {LMAIL_IMAP_CODE_PRIVACYREQUIRED, {"TLS is required", 15}},
        [LMAIL_AUTH_WEAK] = {LMAIL_IMAP_CODE_AUTHENTICATIONFAILED, {"Mechanism is too weak", 21}},
        [LMAIL_AUTH_TRANSITION] = {LMAIL_IMAP_CODE_AUTHENTICATIONFAILED,
                                   {"Password transition needed", 26}},
        [LMAIL_AUTH_PROTOCOL] = {LMAIL_IMAP_CODE_AUTHENTICATIONFAILED,
                                 {"Response is not valid", 21}},
    };
    exchange_end(s, LMAIL_AUTH_END_FAILED);
    s->auth_failures++;
    lmail_str copy = told[why].text;
    if (lmi_imap_text_ok(text) && lmi_arena_copy(&s->arena, text, &copy))
        copy = told[why].text;
    return lmi_imap_finish(s, LMI_NO, told[why].code, copy);
}

/* ---- AUTHENTICATE ---------------------------------------------------------------------------- */

static lmail_status auth_line(lmi_imap *s, lmail_str line);

static lmail_status answered(lmi_imap *s, const lmail_auth_answer *a)
{
    lmi_sasl_next next;
    lmail_status st = lmi_sasl_answer(&s->sasl, &s->base, a, LMAIL_STR("+ "), &next);
    if (st)
        return st;
    if (next == LMI_SASL_FAILED)
        return failed(s, a->failure, a->text);
    if (next == LMI_SASL_OK)
        return logged_in(s);
    s->line_hook = auth_line;
    s->step = NULL;
    return LMAIL_OK;
}

/* The callback of on_auth or on_login has returned. */
static lmail_status called(lmi_imap *s, lmi_question *q, lmail_status st, lmail_auth_answer *a,
                           int login)
{
    if (st == LMAIL_PENDING) {
        lmi_question_wait(&s->base, q, 1, 0);
        return LMAIL_OK;
    }
    if (st < 0 || lmi_sasl_check(a) || (login && a->kind == LMAIL_AUTH_CONTINUE)) {
        lmail_auth_answer_init(a);
        a->failure = LMAIL_AUTH_TEMPORARY;
    }
    st = answered(s, a);
    lmi_question_done(&s->base, q);
    return st;
}

static lmail_status ask_auth(lmi_imap *s)
{
    lmi_question *q;
    lmail_status st = lmi_ask(&s->base, LMI_Q_AUTH, &q);
    if (st)
        return st == LMAIL_ERR_LIMIT ? failed(s, LMAIL_AUTH_TEMPORARY, LMAIL_STR("")) : st;
    const lmail_auth_event *ev;
    st = lmi_sasl_event(&s->sasl, q, &ev);
    if (st) {
        lmi_question_done(&s->base, q);
        return st == LMAIL_ERR_NOMEM ? st : failed(s, LMAIL_AUTH_PROTOCOL, LMAIL_STR(""));
    }
    lmail_auth_answer a = LMAIL_AUTH_ANSWER_INIT;
    s->line_hook = NULL;
    lmi_callback_begin(&s->base);
    st = lmi_imap_handler(s)->on_auth(s, s->base.user, q->ticket, ev, &a);
    lmi_callback_end(&s->base);
    return called(s, q, st, &a, 0);
}

static lmail_status broken(lmi_imap *s, lmail_auth_end how, lmail_str text)
{
    exchange_end(s, how);
    s->line_hook = NULL;
    return lmi_imap_finish(s, LMI_BAD, LMAIL_IMAP_CODE_NONE, text);
}

static lmail_status go_on(lmi_imap *s, lmi_sasl_next next)
{
    switch (next) {
    case LMI_SASL_RESPONSE:
        return ask_auth(s);
    case LMI_SASL_OK:
        return logged_in(s);
    case LMI_SASL_CANCELLED:
        return broken(s, LMAIL_AUTH_END_CANCELLED, LMAIL_STR("AUTHENTICATE cancelled"));
    case LMI_SASL_UNKNOWN:
        return lmi_imap_finish(s, LMI_NO, LMAIL_IMAP_CODE_CANNOT,
                               LMAIL_STR("Mechanism is not offered"));
    case LMI_SASL_CHALLENGE:
    case LMI_SASL_FAILED:
    case LMI_SASL_BAD:
        break;
    }
    return broken(s, LMAIL_AUTH_END_BROKEN, LMAIL_STR("Response is not base64"));
}

static lmail_status auth_line(lmi_imap *s, lmail_str line)
{
    if (!line.ptr)
        return broken(s, LMAIL_AUTH_END_BROKEN, LMAIL_STR("Response line is not readable"));
    lmail_status st = go_on(s, lmi_sasl_line(&s->sasl, line));
    lmi_line_wipe(&s->line);
    return st;
}

lmail_status lmi_imap_cmd_authenticate(lmi_imap *s)
{
    lmi_imap_args *a = &s->cmd.args;
    lmail_str mechanism, initial = {NULL, 0};
    lmail_status st = lmi_imap_sp(a);
    if (!st)
        st = lmi_imap_atom(a, &mechanism);
    int has_initial = !st && lmi_imap_skip(a, ' ');
    if (has_initial) {
        initial = (lmail_str){a->ptr + a->at, a->len - a->at};
        if (!lmi_imap_has(s, LMAIL_IMAP_SASL_IR))
            st = lmi_imap_expected(a, "the end of the command");
    } else if (!st) {
        st = lmi_imap_end(a);
    }
    if (st)
        return lmi_imap_finish_parse(s, st);
    char list[512];
    lmail_str offered = lmi_imap_mechanisms(s, list, sizeof list);
    if (is_cleartext(mechanism) && !lmi_imap_cleartext_ok(s))
        return lmi_imap_finish(s, LMI_NO, LMAIL_IMAP_CODE_PRIVACYREQUIRED,
                               LMAIL_STR("TLS is required for this mechanism"));
    s->abort = gone; /* without effect once the exchange has ended otherwise */
    return go_on(s, lmi_sasl_start(&s->sasl, mechanism, has_initial ? &initial : NULL, offered));
}

/* ---- LOGIN ----------------------------------------------------------------------------------- */

static lmail_status ask_login(lmi_imap *s, lmail_str user, lmail_str password)
{
    lmi_question *q;
    lmail_status st = lmi_ask(&s->base, LMI_Q_AUTH, &q);
    if (st)
        return st == LMAIL_ERR_LIMIT ? failed(s, LMAIL_AUTH_TEMPORARY, LMAIL_STR("")) : st;
    q->secret = 1;
    lmail_imap_login_event *ev = lmi_arena_zget(&q->arena, sizeof *ev);
    st = ev ? lmi_arena_copy(&q->arena, user, &ev->user) : LMAIL_ERR_NOMEM;
    if (!st)
        st = lmi_arena_copy(&q->arena, password, &ev->password);
    if (st) {
        lmi_question_done(&s->base, q);
        return st == LMAIL_ERR_NOMEM ? st : failed(s, LMAIL_AUTH_CREDENTIALS, LMAIL_STR(""));
    }
    lmail_auth_answer a = LMAIL_AUTH_ANSWER_INIT;
    lmi_callback_begin(&s->base);
    st = lmi_imap_handler(s)->on_login(s, s->base.user, q->ticket, ev, &a);
    lmi_callback_end(&s->base);
    a.data = (lmail_str){NULL, 0};
    return called(s, q, st, &a, 1);
}

lmail_status lmi_imap_cmd_login(lmi_imap *s)
{
    lmi_imap_args *a = &s->cmd.args;
    lmail_str user, password;
    lmail_status st = lmi_imap_sp(a);
    if (!st)
        st = lmi_imap_astring(a, &user);
    if (!st)
        st = lmi_imap_sp(a);
    if (!st)
        st = lmi_imap_astring(a, &password);
    if (!st)
        st = lmi_imap_end(a);
    if (st)
        return lmi_imap_finish_parse(s, st);
    if (!lmi_imap_cleartext_ok(s))
        return lmi_imap_finish(s, LMI_NO, LMAIL_IMAP_CODE_PRIVACYREQUIRED,
                               LMAIL_STR("LOGIN is disabled without TLS"));
    if (!lmi_imap_handler(s)->on_login)
        return lmi_imap_finish(s, LMI_NO, LMAIL_IMAP_CODE_CANNOT, LMAIL_STR("LOGIN is disabled"));
    return ask_login(s, user, password);
}

/* ---- Late answers ---------------------------------------------------------------------------- */

lmail_status lmail_imap_server_answer_auth(lmail_imap_server *s, lmail_ticket t,
                                           const lmail_auth_answer *given, lmail_msec now)
{
    lmail_auth_answer a;
    if (lmi_struct_take(&a, sizeof a, given))
        return LMAIL_ERR_SIZE;
    lmail_status st = lmi_sasl_check(&a);
    if (st)
        return st;
    int login = s->cmd.row && s->cmd.row->run == lmi_imap_cmd_login;
    if (login && a.kind == LMAIL_AUTH_CONTINUE)
        return LMAIL_ERR_ARG;
    if (login)
        a.data = (lmail_str){NULL, 0};
    lmi_question *q;
    st = lmi_answer_enter(&s->base, t, LMI_Q_AUTH, now, &q);
    if (st)
        return st;
    st = answered(s, &a);
    lmi_question_done(&s->base, q);
    if (st >= 0)
        st = lmi_imap_drive(s);
    lmi_imap_set_timer(s);
    return lmi_leave(&s->base, st);
}
