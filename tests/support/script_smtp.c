/* script_smtp.c - the scripted host's adaptor for SMTP and LMTP server sessions.
 *
 * Questions:  connect [tls] | helo VERB NAME | mail ADDR [SIZE= BODY= SMTPUTF8 RET= ENVID= AUTH=]
 *             rcpt ADDR [NOTIFY= ORCPT=] | start DATA|BDAT RECIPIENTS | chunk | end [N] "TEXT"
 *             vrfy|expn|etrn TEXT | unknown VERB TEXT | reset | quit
 *             xclient|xforward NAME=VALUE ..., in the event's order; [U] and [T] for what is not known
 *             auth: support/auth_script.h
 * Notes:      abandon RESET|REFUSED|GONE, identity NAME (behind "auth end ok")
 * Answers:    CODE [ENHANCED] TEXT[ | further line]..., empty for the default.
 *             connect: accept | refuse REPLY | close REPLY | banner REPLY; refuse REPLY |
 *                      off NUMBER | pause MSEC [strict]
 * Settings:   host, flags (+name -name ...), null (callbacks to leave NULL), reply:NAME,
 *             mechs, mechs_tls, trace, and the numbers of the config by their names. */
#include "support/auth_script.h"

#include <libmail/smtp.h>

#include <stdlib.h>
#include <string.h>

enum { REPLY = 1, CONNECT, AUTH };

typedef struct host {
    lmail_smtp_server_setup *setup;
    lmail_smtp_server *s;
    lmail_str whole; /* of the message that is being ended */
    lmail_str lines[16];
    unsigned lmtp;
} host;

static host *of(script *h)
{
    return h->data;
}

/* ---- Answers out of texts -------------------------------------------------------------------- */

static lmail_smtp_reply read_reply(script *h, const char *text)
{
    lmail_smtp_reply r;
    lmail_smtp_reply_init(&r);
    if (!*text)
        return r;
    char *end;
    r.code = (unsigned)strtoul(text, &end, 10);
    text = *end == ' ' ? end + 1 : end;
    const char *blank = strchr(text, ' ');
    size_t word = blank ? (size_t)(blank - text) : strlen(text);
    if (word >= 5 && text[1] == '.' && text[0] >= '2' && text[0] <= '5') {
        r.enhanced = (lmail_str){text, word};
        text += word + (blank != NULL);
    }
    const char *bar = strstr(text, " | ");
    r.text = script_octets(h, bar ? strndupa(text, (size_t)(bar - text)) : text);
    r.lines = of(h)->lines;
    while (bar && r.line_count < 16) {
        text = bar + 3;
        bar = strstr(text, " | ");
        of(h)->lines[r.line_count++] = (lmail_str){text, bar ? (size_t)(bar - text) : strlen(text)};
    }
    return r;
}

static lmail_smtp_connect_answer read_connect(script *h, const char *text)
{
    lmail_smtp_connect_answer a;
    unsigned long long pause;
    char strict[10] = "";
    lmail_smtp_connect_answer_init(&a);
    if (strncmp(text, "banner ", 7) == 0) {
        const char *semicolon = strstr(text, "; ");
        a.banner = read_reply(
            h, semicolon ? script_keep(h, strndupa(text + 7, (size_t)(semicolon - text - 7)))
                         : text + 7);
        text = semicolon ? semicolon + 2 : "";
    }
    if (strncmp(text, "refuse", 6) == 0) {
        a.kind = LMAIL_SMTP_CONNECT_REFUSE;
        a.reply = read_reply(h, text[6] ? text + 7 : "");
    } else if (strncmp(text, "close", 5) == 0) {
        a.kind = LMAIL_SMTP_CONNECT_CLOSE;
        a.reply = read_reply(h, text[5] ? text + 6 : "");
    } else if (sscanf(text, "pause %llu%9s", &pause, strict) >= 1) {
        a.pause = pause;
        a.early_refused = strcmp(strict, "strict") == 0;
    } else if (strncmp(text, "off ", 4) == 0) {
        a.flags_off = (uint32_t)strtoul(text + 4, NULL, 0);
    }
    return a;
}

static lmail_status answer(script *h, const script_question *q, const char *text, lmail_msec now)
{
    lmail_smtp_server *s = of(h)->s;
    if (q->kind == CONNECT) {
        lmail_smtp_connect_answer a = read_connect(h, text);
        return lmail_smtp_server_answer_connect(s, q->ticket, &a, now);
    }
    if (q->kind == AUTH) {
        lmail_auth_answer a;
        auth_script_read(h, text, &a);
        return lmail_smtp_server_answer_auth(s, q->ticket, &a, now);
    }
    lmail_smtp_reply r = read_reply(h, text);
    return lmail_smtp_server_answer(s, q->ticket, &r, now);
}

/* ---- Questions ------------------------------------------------------------------------------- */

static lmail_status ask(script *h, lmail_ticket t, lmail_smtp_reply *reply, const char *text)
{
    int st;
    const char *a = script_ask(h, t, REPLY, "", &st, "%s", text);
    if (st == LMAIL_OK)
        *reply = read_reply(h, a);
    return (lmail_status)st;
}

static lmail_status on_connect(lmail_smtp_server *s, void *user, lmail_ticket t,
                               const lmail_smtp_connect_event *ev, lmail_smtp_connect_answer *a)
{
    int st;
    (void)s;
    const char *text =
        script_ask(user, t, CONNECT, "accept", &st, "connect%s", ev->tls ? " tls" : "");
    if (st == LMAIL_OK)
        *a = read_connect(user, text);
    return (lmail_status)st;
}

static lmail_status on_helo(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_helo_event *ev, lmail_smtp_reply *reply)
{
    static const char *const verbs[] = {"", "HELO", "EHLO", "LHLO"};
    char text[600];
    /* From a callback every call that changes the session is refused. */
    size_t used;
    if (lmail_smtp_server_feed(s, (lmail_str){"NOOP\r\n", 6}, &used, 0) != LMAIL_ERR_REENTRANT)
        script_fail(user, "feed from a callback was not refused");
    snprintf(text, sizeof text, "helo %s %s%s", verbs[ev->verb], script_text(user, ev->name),
             ev->literal ? " literal" : "");
    return ask(user, t, reply, text);
}

static const char *address(script *h, const lmail_smtp_address *a)
{
    return a->flags & LMAIL_SMTP_ADDRESS_NULL ? "<>" : script_text(h, a->text);
}

static lmail_status on_mail(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_mail_event *ev, lmail_smtp_reply *reply)
{
    static const char *const bodies[] = {"", " BODY=7BIT", " BODY=8BITMIME", " BODY=BINARYMIME"};
    static const char *const rets[] = {"", " RET=FULL", " RET=HDRS"};
    char text[4096], size[40] = "";
    (void)s;
    if (ev->declared_size)
        snprintf(size, sizeof size, " SIZE=%llu", (unsigned long long)ev->declared_size);
    snprintf(text, sizeof text, "mail %s%s%s%s%s%s%s%s%s", address(user, &ev->from), size,
             bodies[ev->body], ev->smtputf8 ? " SMTPUTF8" : "", rets[ev->ret],
             ev->has_envid ? " ENVID=" : "", ev->has_envid ? script_text(user, ev->envid) : "",
             ev->has_auth ? " AUTH=" : "", ev->has_auth ? script_text(user, ev->auth) : "");
    return ask(user, t, reply, text);
}

static lmail_status on_rcpt(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_rcpt_event *ev, lmail_smtp_reply *reply)
{
    char text[4096], notify[64] = "";
    (void)s;
    if (ev->notify)
        snprintf(notify, sizeof notify, " NOTIFY%s%s%s%s",
                 ev->notify & LMAIL_SMTP_NOTIFY_NEVER ? "-NEVER" : "",
                 ev->notify & LMAIL_SMTP_NOTIFY_SUCCESS ? "-SUCCESS" : "",
                 ev->notify & LMAIL_SMTP_NOTIFY_FAILURE ? "-FAILURE" : "",
                 ev->notify & LMAIL_SMTP_NOTIFY_DELAY ? "-DELAY" : "");
    snprintf(text, sizeof text, "rcpt %s%s%s%s%s%s", address(user, &ev->to), notify,
             ev->has_orcpt ? " ORCPT=" : "", ev->has_orcpt ? script_text(user, ev->orcpt_type) : "",
             ev->has_orcpt ? ";" : "", ev->has_orcpt ? script_text(user, ev->orcpt) : "");
    return ask(user, t, reply, text);
}

static lmail_status on_body_start(lmail_smtp_server *s, void *user, lmail_ticket t,
                                  const lmail_smtp_body_start_event *ev, lmail_smtp_reply *reply)
{
    char text[64];
    script *h = user;
    (void)s;
    (void)script_collected(h);
    snprintf(text, sizeof text, "start %s %u", ev->chunked ? "BDAT" : "DATA", ev->recipients);
    return ask(user, t, reply, text);
}

static lmail_status on_body(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_body_event *ev, lmail_smtp_reply *reply)
{
    script *h = user;
    (void)s;
    if (ev->offset != h->body.len)
        script_fail(h, "chunk at %llu, but %zu octets came", (unsigned long long)ev->offset,
                    h->body.len);
    script_collect(h, ev->octets);
    return ask(h, t, reply, "chunk");
}

static lmail_status on_body_end(lmail_smtp_server *s, void *user, lmail_ticket t,
                                const lmail_smtp_body_end_event *ev, lmail_smtp_reply *reply)
{
    script *h = user;
    char number[16] = "";
    int st;
    (void)s;
    if (ev->recipient == 0)
        of(h)->whole = script_collected(h);
    lmail_str w = of(h)->whole;
    if (ev->octets != w.len && !script_get(h, "null"))
        script_fail(h, "end says %llu octets, %zu came", (unsigned long long)ev->octets, w.len);
    if (ev->ends_in_crlf != (w.len >= 2 && memcmp(w.ptr + w.len - 2, "\r\n", 2) == 0) &&
        !script_get(h, "null"))
        script_fail(h, "ends_in_crlf is wrong");
    if (of(h)->lmtp)
        snprintf(number, sizeof number, "%u ", ev->recipient);
    const char *a = script_ask(h, t, REPLY, "", &st, "end %s\"%s\"", number, script_text(h, w));
    if (st == LMAIL_OK)
        *reply = read_reply(h, a);
    return (lmail_status)st;
}

static lmail_status ask_argument(const char *kind, script *h, lmail_ticket t,
                                 const lmail_smtp_argument_event *ev, lmail_smtp_reply *reply)
{
    char text[4096];
    int unknown = strcmp(kind, "unknown") == 0;
    snprintf(text, sizeof text, "%s%s%s%s%s%s", kind, unknown ? " " : "",
             unknown ? script_text(h, ev->verb) : "", ev->argument.len ? " " : "",
             script_text(h, ev->argument), ev->smtputf8 ? " (smtputf8)" : "");
    return ask(h, t, reply, text);
}

#define ARGUMENT(name)                                                                             \
    static lmail_status on_##name(lmail_smtp_server *s, void *user, lmail_ticket t,                \
                                  const lmail_smtp_argument_event *ev, lmail_smtp_reply *reply)    \
    {                                                                                              \
        (void)s;                                                                                   \
        return ask_argument(#name, user, t, ev, reply);                                            \
    }
ARGUMENT(vrfy)
ARGUMENT(expn)
ARGUMENT(etrn)
ARGUMENT(unknown)

static lmail_status ask_attributes(const char *kind, script *h, lmail_ticket t,
                                   const lmail_smtp_xclient_event *ev, lmail_smtp_reply *reply)
{
    const struct {
        const char *name;
        const lmail_smtp_attribute *a;
    } all[] = {{"NAME", &ev->name},         {"ADDR", &ev->addr},         {"PORT", &ev->port},
               {"PROTO", &ev->proto},       {"HELO", &ev->helo},         {"LOGIN", &ev->login},
               {"DESTADDR", &ev->destaddr}, {"DESTPORT", &ev->destport}, {"IDENT", &ev->ident},
               {"SOURCE", &ev->source}};
    static const char *const unknown[] = {"", "", "[U]", "[T]"};
    char text[4096];
    size_t n = (size_t)snprintf(text, sizeof text, "%s", kind);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const lmail_smtp_attribute *a = all[i].a;
        if (a->given)
            n += (size_t)snprintf(text + n, sizeof text - n, " %s=%s%s", all[i].name,
                                  unknown[a->given],
                                  a->given == LMAIL_SMTP_GIVEN ? script_text(h, a->value) : "");
    }
    return ask(h, t, reply, text);
}

static lmail_status on_xclient(lmail_smtp_server *s, void *user, lmail_ticket t,
                               const lmail_smtp_xclient_event *ev, lmail_smtp_reply *reply)
{
    (void)s;
    return ask_attributes("xclient", user, t, ev, reply);
}

static lmail_status on_xforward(lmail_smtp_server *s, void *user, lmail_ticket t,
                                const lmail_smtp_xclient_event *ev, lmail_smtp_reply *reply)
{
    (void)s;
    return ask_attributes("xforward", user, t, ev, reply);
}

static lmail_status on_reset(lmail_smtp_server *s, void *user, lmail_ticket t,
                             const lmail_smtp_state_event *ev, lmail_smtp_reply *reply)
{
    (void)s;
    return ask(user, t, reply, ev->in_transaction ? "reset transaction" : "reset");
}

static lmail_status on_quit(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_state_event *ev, lmail_smtp_reply *reply)
{
    (void)s;
    return ask(user, t, reply, ev->in_transaction ? "quit transaction" : "quit");
}

static lmail_str auth_mechanisms(const lmail_smtp_server *s, void *user)
{
    return auth_script_mechanisms(user, lmail_smtp_server_tls(s) != NULL);
}

static lmail_status on_auth(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_auth_event *ev, lmail_auth_answer *a)
{
    (void)s;
    return auth_script_step(user, t, AUTH, ev, a);
}

static void on_auth_end(lmail_smtp_server *s, void *user, const lmail_auth_end_event *ev)
{
    lmail_str who = lmail_smtp_server_identity(s);
    auth_script_end(user, ev->how);
    if (who.len)
        script_note(user, "identity %s", script_text(user, who));
}

static void on_abandon(lmail_smtp_server *s, void *user, const lmail_smtp_abandon_event *ev)
{
    static const char *const names[] = {"", "RESET", "REFUSED", "GONE"};
    (void)s;
    (void)script_collected(user);
    script_note(user, "abandon %s", names[ev->why]);
}

static void on_cancel(lmail_smtp_server *s, void *user, lmail_ticket t)
{
    (void)s;
    script_cancelled(user, t);
}

/* ---- Settings -------------------------------------------------------------------------------- */

static const script_flag flag_names[] = {{"lmtp", LMAIL_SMTP_LMTP},
                                         {"pipelining", LMAIL_SMTP_PIPELINING},
                                         {"size", LMAIL_SMTP_SIZE},
                                         {"8bitmime", LMAIL_SMTP_8BITMIME},
                                         {"enhanced", LMAIL_SMTP_ENHANCED},
                                         {"chunking", LMAIL_SMTP_CHUNKING},
                                         {"binarymime", LMAIL_SMTP_BINARYMIME},
                                         {"smtputf8", LMAIL_SMTP_SMTPUTF8},
                                         {"dsn", LMAIL_SMTP_DSN},
                                         {"starttls", LMAIL_SMTP_STARTTLS},
                                         {"etrn", LMAIL_SMTP_ETRN},
                                         {"expn", LMAIL_SMTP_EXPN},
                                         {"vrfy", LMAIL_SMTP_VRFY},
                                         {"help", LMAIL_SMTP_HELP},
                                         {"vrfy_needs_helo", LMAIL_SMTP_VRFY_NEEDS_HELO},
                                         {"expn_needs_helo", LMAIL_SMTP_EXPN_NEEDS_HELO},
                                         {"need_helo", LMAIL_SMTP_NEED_HELO_FIRST},
                                         {"need_auth", LMAIL_SMTP_NEED_AUTH_FIRST},
                                         {"need_tls", LMAIL_SMTP_NEED_TLS_FIRST},
                                         {"allow_space", LMAIL_SMTP_ALLOW_SPACE},
                                         {"allow_no_brackets", LMAIL_SMTP_ALLOW_NO_BRACKETS},
                                         {"allow_unqualified", LMAIL_SMTP_ALLOW_UNQUALIFIED},
                                         {"allow_underscore", LMAIL_SMTP_ALLOW_UNDERSCORE},
                                         {"allow_any_helo", LMAIL_SMTP_ALLOW_ANY_HELO},
                                         {"allow_trailing_dot", LMAIL_SMTP_ALLOW_TRAILING_DOT},
                                         {"xclient", LMAIL_SMTP_XCLIENT},
                                         {"xforward", LMAIL_SMTP_XFORWARD},
                                         {"count_lf", LMAIL_SMTP_COUNT_LF},
                                         {"trace_secrets", LMAIL_SMTP_TRACE_SECRETS},
                                         {NULL, 0}};

static void set_flags(script *h, lmail_smtp_server_config *c)
{
    uint64_t on, off;
    script_flags(h, flag_names, &on, &off);
    c->flags_on = (uint32_t)on;
    c->flags_off = (uint32_t)off;
}

static size_t set_replies(script *h, lmail_smtp_reply_text *out)
{
    size_t n = 0;
    for (int id = 1; id < LMAIL_SMTP_SAY_COUNT; id++) {
        char key[64];
        snprintf(key, sizeof key, "reply:%s", lmail_smtp_reply_name((lmail_smtp_reply_id)id));
        const char *text = script_get(h, key);
        if (!text)
            continue;
        lmail_smtp_reply r = read_reply(h, text);
        out[n++] = (lmail_smtp_reply_text){(lmail_smtp_reply_id)id, r.code, r.enhanced, r.text};
    }
    return n;
}

static int is_null(script *h, const char *name)
{
    const char *text = script_get(h, "null");
    return text && strstr(text, name) != NULL;
}

static void set_handler(script *h, lmail_smtp_server_handler *x)
{
    lmail_smtp_server_handler_init(x);
#define SET(name)                                                                                  \
    if (!is_null(h, #name))                                                                        \
    x->name = name
    SET(on_connect);
    SET(on_helo);
    SET(on_mail);
    SET(on_rcpt);
    SET(on_body_start);
    if (!is_null(h, "on_body "))
        x->on_body = on_body;
    SET(on_body_end);
    SET(on_vrfy);
    SET(on_expn);
    SET(on_etrn);
    SET(on_reset);
    SET(on_quit);
    SET(on_unknown);
    SET(auth_mechanisms);
    SET(on_auth);
    SET(on_auth_end);
    SET(on_abandon);
    SET(on_cancel);
    SET(on_xclient);
    SET(on_xforward);
#undef SET
    x->on_trace = script_get_number(h, "trace", 0) ? script_trace : NULL;
}

static lmail_session *open_session(script *h, const lmail_alloc *alloc, lmail_msec now)
{
    lmail_smtp_reply_text replies[LMAIL_SMTP_SAY_COUNT];
    lmail_smtp_server_config c;
    lmail_smtp_server_handler x;
    const char *name = script_get(h, "host");
    host *own = calloc(1, sizeof *own);
    h->data = own;
    lmail_smtp_server_config_init(&c);
    c.host_name = lmail_str_from(name ? name : "mx.example");
    if (alloc)
        c.alloc = *alloc;
    set_flags(h, &c);
    own->lmtp = (c.flags_on & LMAIL_SMTP_LMTP) != 0;
#define NUMBER(field) c.field = (__typeof__(c.field))script_get_number(h, #field, c.field)
    NUMBER(max_line);
    NUMBER(max_path);
    NUMBER(max_local_part);
    NUMBER(max_parameters);
    NUMBER(max_recipients);
    NUMBER(max_message);
    NUMBER(max_header);
    NUMBER(max_bad_commands);
    NUMBER(max_auth_failures);
    NUMBER(max_pending);
    NUMBER(out_mark);
    NUMBER(command_timeout);
    NUMBER(data_timeout);
    NUMBER(max_noop_commands);
    NUMBER(bad_recipients_throttle);
    NUMBER(slow_delay);
#undef NUMBER
    c.replies = replies;
    c.reply_count = set_replies(h, replies);
    set_handler(h, &x);
    (void)auth_script_offered(h); /* settings that only a client's EHLO asks for */
    lmail_status st = lmail_smtp_server_setup_new(&own->setup, &c, &x);
    if (st == LMAIL_OK)
        st = lmail_smtp_server_new(&own->s, own->setup, h, now);
    if (st != LMAIL_OK)
        script_fail(h, "no session: %s", lmail_status_name(st));
    return st == LMAIL_OK ? lmail_smtp_server_session(own->s) : NULL;
}

static void close_session(script *h)
{
    if (!h->data)
        return;
    lmail_smtp_server_setup_free(of(h)->setup);
    free(h->data);
    h->data = NULL;
}

const script_adaptor script_smtp = {"smtp", open_session, close_session, answer, NULL};
