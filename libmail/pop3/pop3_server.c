/* pop3_server.c - the POP3 server: life, states, the command table, input and time.
 *
 * RFC 1939 §3 (commands, states, autologout), RFC 2449 §3 and §4 (grammar, lengths). Only this file
 * writes s->state. What the commands do stands in the other files of the room. */
#include "pop3/pop3_internal.h"

#include <libmail/codec.h>

#include <string.h>

static lmail_pop3_server *of(lmail_session *base)
{
    return (lmail_pop3_server *)base;
}

/* ---- States ---------------------------------------------------------------------------------- */

static const char *const state_names[] = {"greeting",    "authorization", "opening",
                                          "transaction", "update",        "ended"};

void lmi_pop3_enter(lmail_pop3_server *s, lmail_pop3_state state)
{
    if (s->state == state)
        return;
    s->state = state;
    lmi_trace(&s->base, LMAIL_TRACE_STATE, 0, 0, lmail_str_from(state_names[state]));
}

lmail_status lmi_pop3_end(lmail_pop3_server *s)
{
    lmi_pop3_auth_gone(s);
    s->job = LMI_POP3_IDLE;
    lmi_pop3_enter(s, LMAIL_POP3_STATE_ENDED);
    lmi_close(&s->base);
    return LMAIL_OK;
}

lmail_status lmi_pop3_over(lmail_pop3_server *s)
{
    lmi_pop3_hear(s);
    if (!s->base.stopping || s->base.closing || s->base.holding || s->job)
        return LMAIL_OK;
    lmail_status st = LMAIL_OK;
    if (!s->base.tls_shaking) /* no plaintext into a handshake */
        st = lmi_pop3_err(s, "[SYS/TEMP]", LMAIL_POP3_TEXT_SHUTDOWN, (lmi_pop3_values){0, 0});
    return st < 0 ? st : lmi_pop3_end(s);
}

lmail_status lmi_pop3_error(lmail_pop3_server *s, lmail_pop3_text text)
{
    lmi_pop3_values none = {0, 0};
    if (++s->bad_commands < s->setup->cfg.max_bad_commands)
        return lmi_pop3_err(s, "", text, none);
    lmi_trace(&s->base, LMAIL_TRACE_LIMIT, 0, 0, LMAIL_STR("max_bad_commands"));
    lmail_status st = lmi_pop3_err(s, "", LMAIL_POP3_TEXT_TOO_MANY_ERRORS, none);
    return st < 0 ? st : lmi_pop3_end(s);
}

/* ---- Time ------------------------------------------------------------------------------------ */

void lmi_pop3_hear(lmail_pop3_server *s)
{
    if (s->base.closing)
        return;
    s->unsent_seen = s->base.out.size;
    s->base.due = lmi_later(s->base.now, s->setup->cfg.idle_timeout);
    if (s->state < LMAIL_POP3_STATE_TRANSACTION && s->login_until < s->base.due)
        s->base.due = s->login_until;
}

/* RFC 1939 §3: the connection is closed without entering UPDATE and without a response. */
static lmail_status timer(lmail_session *base)
{
    lmail_pop3_server *s = of(base);
    int login = s->state < LMAIL_POP3_STATE_TRANSACTION && s->login_until <= base->now;
    /* The host's time is not the client's; and a client that reads a long message is not idle. */
    if (base->holding || (base->out.size && base->out.size < s->unsent_seen && !login)) {
        s->unsent_seen = base->out.size;
        base->due = lmi_later(base->now, s->setup->cfg.idle_timeout);
        return LMAIL_OK;
    }
    lmi_trace(base, LMAIL_TRACE_LIMIT, 0, 0,
              login ? LMAIL_STR("login_timeout") : LMAIL_STR("idle_timeout"));
    size_t unsent = base->out.size;
    lmail_status st = lmi_pop3_end(s);
    /* A peer that reads nothing would keep the connection for ever. */
    return unsent ? LMAIL_ERR_CLOSED : st;
}

/* ---- Commands -------------------------------------------------------------------------------- */

enum { NO_ARGS, MAY_ARGS, MUST_ARGS };
#define IN_A (1u << LMAIL_POP3_STATE_AUTHORIZATION)
#define IN_T (1u << LMAIL_POP3_STATE_TRANSACTION)

typedef struct command {
    char keyword[5];
    uint8_t states;
    uint8_t args;
    uint8_t secret; /* its arguments are kept from the trace */
    uint8_t names;  /* its arguments may be UTF-8 when the configuration says so */
    uint32_t needs; /* the flag that it hangs on */
    lmi_pop3_handler *run;
} command;

static const command commands[] = {
    {"RETR", IN_T, MUST_ARGS, 0, 0, 0, lmi_pop3_retr},
    {"DELE", IN_T, MUST_ARGS, 0, 0, 0, lmi_pop3_dele},
    {"TOP", IN_T, MUST_ARGS, 0, 0, LMAIL_POP3_TOP, lmi_pop3_top},
    {"UIDL", IN_T, MAY_ARGS, 0, 0, LMAIL_POP3_UIDL, lmi_pop3_uidl},
    {"LIST", IN_T, MAY_ARGS, 0, 0, 0, lmi_pop3_list},
    {"STAT", IN_T, NO_ARGS, 0, 0, 0, lmi_pop3_stat},
    {"NOOP", IN_T, NO_ARGS, 0, 0, 0, lmi_pop3_noop},
    {"RSET", IN_T, NO_ARGS, 0, 0, 0, lmi_pop3_rset},
    {"USER", IN_A, MUST_ARGS, 0, 1, 0, lmi_pop3_user},
    {"PASS", IN_A, MUST_ARGS, 1, 1, 0, lmi_pop3_pass},
    {"APOP", IN_A, MUST_ARGS, 1, 1, 0, lmi_pop3_apop},
    {"AUTH", IN_A, MAY_ARGS, 1, 0, 0, lmi_pop3_auth},
    {"STLS", IN_A, NO_ARGS, 0, 0, 0, lmi_pop3_stls},
    {"UTF8", IN_A, NO_ARGS, 0, 0, LMAIL_POP3_UTF8, lmi_pop3_utf8},
    {"LANG", IN_A | IN_T, MAY_ARGS, 0, 0, LMAIL_POP3_LANG, lmi_pop3_lang},
    {"CAPA", IN_A | IN_T, NO_ARGS, 0, 0, 0, lmi_pop3_capa},
    {"QUIT", IN_A | IN_T, NO_ARGS, 0, 0, 0, lmi_pop3_quit},
};

static const command *find_command(const lmail_pop3_server *s, lmail_str keyword)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (lmail_str_equal_nocase(keyword, lmail_str_from(commands[i].keyword)))
            return commands[i].needs & ~s->flags ? NULL : &commands[i];
    return NULL;
}

static void trace_command(lmail_pop3_server *s, lmail_str line, const command *c)
{
    if (!s->base.trace)
        return;
    char hidden[16] = "";
    if (!(s->flags & LMAIL_POP3_TRACE_SECRETS) && (!c || c->secret)) {
        size_t n = c ? strlen(c->keyword) : 0;
        if (n)
            memcpy(hidden, c->keyword, n);
        memcpy(hidden + n, " ***", 4);
        line = n ? (lmail_str){hidden, n + 4} : LMAIL_STR("***");
    }
    lmi_trace(&s->base, LMAIL_TRACE_IN, 0, 0, line);
}

/* RFC 2449 §3: param = 1*VCHAR; RFC 6856 §2.2: names and passwords may be UTF-8. Offset of the
 * first octet that does not fit, or the length. */
static size_t bad_octet(lmail_str args, int utf8)
{
    for (size_t i = 0; i < args.len; i++) {
        unsigned char c = (unsigned char)args.ptr[i];
        if (c < 0x20 || c == 0x7f || (c > 0x7f && !utf8))
            return i;
    }
    return args.len;
}

static lmail_status check_args(lmail_pop3_server *s, const command *c, lmail_str args)
{
    int utf8 = c->names && s->flags & LMAIL_POP3_UTF8_USER;
    lmail_pop3_text fault = LMAIL_POP3_TEXT_SYNTAX;
    size_t bad = bad_octet(args, utf8);
    if (bad < args.len)
        lmi_trace(&s->base, LMAIL_TRACE_VIOLATION, 0, bad, LMAIL_STR("octet not allowed here"));
    else if (args.ptr ? c->args != NO_ARGS && args.len : c->args != MUST_ARGS) {
        if (!utf8 || lmail_utf8_valid(args))
            return LMAIL_OK;
        fault = LMAIL_POP3_TEXT_NOT_UTF8;
    }
    lmail_status st = lmi_pop3_error(s, fault);
    return st < 0 ? st : LMAIL_END;
}

static lmail_status run_command(lmail_pop3_server *s, lmail_str line)
{
    size_t end = lmi_str_find(line, ' ');
    lmail_str args = {NULL, 0};
    if (end < line.len)
        args = lmi_str_skip(line, end + 1);
    const command *c = find_command(s, lmi_str_sub(line, 0, end));
    trace_command(s, line, c);
    if (!c || c->run != lmi_pop3_pass)
        s->user_just = 0; /* RFC 1939 §7: PASS comes immediately after USER */
    if (!c)
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_UNKNOWN);
    if (!(c->states >> s->state & 1))
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_WRONG_STATE);
    lmail_status st = check_args(s, c, args);
    return st == LMAIL_OK ? c->run(s, args) : st;
}

lmail_status lmi_pop3_next_arg(lmail_str *rest, lmail_str *arg)
{
    if (rest->len == 0)
        return LMAIL_END;
    size_t end = lmi_str_find(*rest, ' ');
    *arg = lmi_str_sub(*rest, 0, end);
    int last = end == rest->len;
    *rest = lmi_str_skip(*rest, last ? end : end + 1);
    /* Two spaces, or one at the end. */
    return end == 0 || (!last && rest->len == 0) ? LMAIL_ERR_SYNTAX : LMAIL_OK;
}

/* ---- Input ----------------------------------------------------------------------------------- */

static lmail_status refuse_line(lmail_pop3_server *s, lmail_pop3_text text, size_t offset,
                                int response)
{
    if (text == LMAIL_POP3_TEXT_LINE_TOO_LONG)
        lmi_trace(&s->base, LMAIL_TRACE_LIMIT, 0, 0,
                  response ? LMAIL_STR("max_auth_line") : LMAIL_STR("max_line"));
    else
        lmi_trace(&s->base, LMAIL_TRACE_VIOLATION, 0, offset, LMAIL_STR("bare CR or LF"));
    s->user_just = 0;
    return response ? lmi_pop3_auth_broken(s) : lmi_pop3_error(s, text);
}

static lmail_status input(lmail_session *base, lmail_str in, size_t *used)
{
    lmail_pop3_server *s = of(base);
    const lmail_pop3_server_config *cfg = &s->setup->cfg;
    int response = lmi_sasl_reading(&s->sasl);
    lmail_str line;
    lmail_status st = LMAIL_OK;
    if (s->job)
        return LMAIL_OK;
    lmi_line_result r = lmi_line_read(&s->line, &base->alloc, in,
                                      response ? cfg->max_auth_line : cfg->max_line, used, &line);
    switch (r) {
    case LMI_LINE_MORE:
        return LMAIL_OK;
    case LMI_LINE_NOMEM:
        return LMAIL_ERR_NOMEM;
    case LMI_LINE_LONG:
        st = refuse_line(s, LMAIL_POP3_TEXT_LINE_TOO_LONG, 0, response);
        break;
    case LMI_LINE_BARE:
        st = refuse_line(s, LMAIL_POP3_TEXT_LINE_END, line.len, response);
        break;
    case LMI_LINE_READY:
        if (response) {
            trace_command(s, line, NULL);
            st = lmi_pop3_auth_line(s, line);
        } else {
            st = run_command(s, line);
        }
        break;
    }
    if (s->state != LMAIL_POP3_STATE_TRANSACTION)
        lmi_line_wipe(&s->line); /* it may have held a password */
    return st < 0 ? st : lmi_pop3_run(s);
}

lmail_status lmi_pop3_run(lmail_pop3_server *s)
{
    lmail_status st = LMAIL_OK;
    while (st >= 0 && s->job && !s->base.closing && !s->base.holding) {
        if (s->base.out.size >= s->base.out_mark) {
            lmi_want_room(&s->base);
            lmi_pop3_hear(s);
            return LMAIL_OK;
        }
        if (s->job == LMI_POP3_LIST)
            st = lmi_pop3_list_some(s);
        else if (s->job == LMI_POP3_UIDL)
            st = lmi_pop3_uidl_some(s);
        else
            st = lmi_pop3_body_some(s);
    }
    return st < 0 ? st : lmi_pop3_over(s);
}

static lmail_status room(lmail_session *base)
{
    return lmi_pop3_run(of(base));
}

/* ---- Life ------------------------------------------------------------------------------------ */

/* RFC 2595 §4: whatever the client said before TLS counts no more. */
static lmail_status tls_done(lmail_session *base)
{
    lmail_pop3_server *s = of(base);
    s->user_just = 0;
    lmi_line_wipe(&s->line);
    lmail_status st = lmi_pop3_keep_name(s, (lmail_str){NULL, 0});
    return st < 0 ? st : lmi_pop3_over(s);
}

static lmail_status eof(lmail_session *base)
{
    return lmi_pop3_end(of(base));
}

static lmail_status stop(lmail_session *base)
{
    return lmi_pop3_over(of(base));
}

static void cancelled(lmail_session *base, const lmi_question *q)
{
    lmail_pop3_server *s = of(base);
    if (!s->setup->on.on_cancel)
        return;
    lmi_callback_begin(base);
    s->setup->on.on_cancel(s, base->user, q->ticket);
    lmi_callback_end(base);
}

static void released(lmail_session *base, lmail_ticket t)
{
    lmail_pop3_server *s = of(base);
    if (t >> 63 || !s->setup->on.on_released)
        return; /* not the last stretch of the answer */
    lmi_callback_begin(base);
    s->setup->on.on_released(s, base->user, t);
    lmi_callback_end(base);
}

static void rest(lmail_session *base)
{
    lmail_pop3_server *s = of(base);
    if (lmi_line_empty(&s->line))
        lmi_line_done(&s->line, &base->alloc);
}

lmail_status lmi_pop3_keep_name(lmail_pop3_server *s, lmail_str name)
{
    char *copy = NULL;
    if (name.len) {
        copy = lmi_malloc(&s->base.alloc, name.len);
        if (!copy)
            return LMAIL_ERR_NOMEM;
        memcpy(copy, name.ptr, name.len);
    }
    lmi_free(&s->base.alloc, s->name, s->name_len);
    s->name = copy;
    s->name_len = name.len;
    return LMAIL_OK;
}

static void destroy(lmail_session *base)
{
    lmail_pop3_server *s = of(base);
    lmail_alloc alloc = base->alloc;
    lmi_pop3_auth_gone(s);
    lmi_session_done(base);
    lmi_sasl_done(&s->sasl, &alloc);
    lmi_line_wipe(&s->line);
    lmi_line_done(&s->line, &alloc);
    lmi_pop3_maildrop_done(&s->drop, &alloc);
    lmi_free(&alloc, s->name, s->name_len);
    lmi_free(&alloc, s->timestamp, s->timestamp_len);
    lmi_free(&alloc, s, sizeof *s);
}

static const lmi_class pop3_server_class = {
    .name = "pop3_server",
    .start = lmi_pop3_start,
    .input = input,
    .eof = eof,
    .timer = timer,
    .room = room,
    .tls_done = tls_done,
    .stop = stop,
    .cancelled = cancelled,
    .released = released,
    .rest = rest,
    .destroy = destroy,
};

lmail_status lmail_pop3_server_new(lmail_pop3_server **out, const lmail_pop3_server_setup *setup,
                                   void *user, lmail_msec now)
{
    lmail_pop3_server *s = lmi_zalloc(&setup->alloc, sizeof *s);
    *out = s;
    if (!s)
        return LMAIL_ERR_NOMEM;
    lmi_session_init(&s->base, &pop3_server_class, &setup->alloc, user, now);
    s->base.out_mark = setup->cfg.out_mark;
    s->base.trace = setup->on.on_trace;
    s->setup = setup;
    s->flags = setup->flags;
    s->language = &setup->languages[0];
    s->login_delay = setup->cfg.login_delay;
    s->expire = setup->cfg.expire;
    s->expire_days = setup->cfg.expire_days;
    return LMAIL_OK;
}

LMI_PUMP(lmail_pop3_server);

/* ---- Looking at a session -------------------------------------------------------------------- */

lmail_pop3_state lmail_pop3_server_state(const lmail_pop3_server *s)
{
    return s->state;
}

void lmail_pop3_server_counters(const lmail_pop3_server *s, lmail_pop3_counters *out)
{
    *out = s->counters;
    out->messages = s->drop.count;
    out->octets = s->drop.octets;
    out->deleted = s->drop.deleted;
}

lmail_str lmail_pop3_server_identity(const lmail_pop3_server *s)
{
    return s->known ? (lmail_str){s->name, s->name_len} : (lmail_str){NULL, 0};
}

const lmail_tls_facts *lmail_pop3_server_tls(const lmail_pop3_server *s)
{
    return s->base.tls_active ? &s->base.tls : NULL;
}

void *lmail_pop3_server_user(const lmail_pop3_server *s)
{
    return s->base.user;
}
