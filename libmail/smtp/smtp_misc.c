/* smtp_misc.c - NOOP, HELP, QUIT, and the commands that carry one argument to the host: VRFY, EXPN,
 * ETRN, and those that the session does not know.
 *
 * RFC 5321 §4.1.1.6 to §4.1.1.10, §3.5, RFC 1985, RFC 6531 §3.7.4 (SMTPUTF8 with VRFY and EXPN). */
#include "smtp/smtp_internal.h"

#include <string.h>

lmail_status lmi_smtp_do_noop(lmail_smtp_server *s, lmail_str verb, lmail_str args)
{
    (void)verb;
    (void)args; /* a string may stand there; it is ignored */
    return lmi_smtp_say(s, LMAIL_SMTP_SAY_NOOP_OK, 0);
}

lmail_status lmi_smtp_do_help(lmail_smtp_server *s, lmail_str verb, lmail_str args)
{
    (void)verb;
    s->argument = args;
    lmail_status st = lmi_smtp_say(s, LMAIL_SMTP_SAY_HELP, 0);
    s->argument = (lmail_str){NULL, 0};
    return st;
}

LMI_SMTP_CALL(call_quit, on_quit, lmail_smtp_state_event, LMI_SMTP_ASKED_QUIT);

lmail_status lmi_smtp_do_quit(lmail_smtp_server *s, lmail_str verb, lmail_str args)
{
    lmi_question *q;
    if (args.len)
        return lmi_smtp_refuse(s, LMAIL_SMTP_SAY_NO_ARGUMENT, verb, args.ptr);
    if (!s->setup->handler.on_quit)
        return lmi_smtp_apply_quit(s, NULL, &lmi_smtp_default);
    const lmail_smtp_state_event ev = {s->transaction};
    lmail_status st = lmi_smtp_ask(s, &ev, sizeof ev, &q);
    return st || !q ? st : call_quit(s, q);
}

lmail_status lmi_smtp_apply_quit(lmail_smtp_server *s, const lmi_question *q,
                                 const lmail_smtp_reply *r)
{
    (void)q;
    s->close_after = 1;
    return lmi_smtp_say_host(s, r, LMAIL_SMTP_SAY_QUIT_OK, 0);
}

/* ---- VRFY, EXPN, ETRN, unknown --------------------------------------------------------------- */

#define CALL(name, what)                                                                           \
    LMI_SMTP_CALL(call_##name, on_##name, lmail_smtp_argument_event, LMI_SMTP_ASKED_##what)
CALL(vrfy, VRFY);
CALL(expn, EXPN);
CALL(etrn, ETRN);
CALL(unknown, UNKNOWN);

typedef struct kind {
    lmail_status (*call)(lmail_smtp_server *s, lmi_question *q); /* NULL: the usual at once */
    lmail_smtp_reply_id usual;
    int refuses; /* the usual is a refusal */
    int needs_argument;
    int may_utf8;
} kind;

static kind kind_of(const lmail_smtp_server *s, lmi_smtp_command c)
{
    const lmail_smtp_server_handler *h = &s->setup->handler;
    switch (c) {
    case LMI_SMTP_VRFY:
        return (kind){h->on_vrfy ? call_vrfy : NULL, LMAIL_SMTP_SAY_VRFY_UNSURE, 0, 1, 1};
    case LMI_SMTP_EXPN:
        return (kind){h->on_expn ? call_expn : NULL, LMAIL_SMTP_SAY_EXPN_OFF, 1, 1, 1};
    case LMI_SMTP_ETRN:
        return (kind){h->on_etrn && s->flags & LMAIL_SMTP_ETRN ? call_etrn : NULL,
                      LMAIL_SMTP_SAY_ETRN_OFF, 1, 1, 0};
    default:
        return (kind){h->on_unknown ? call_unknown : NULL, LMAIL_SMTP_SAY_UNKNOWN_COMMAND, 1, 0, 0};
    }
}

static int has_high(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] > 127)
            return 1;
    return 0;
}

/* A last word "SMTPUTF8" is the parameter, when something stands before it. */
static unsigned take_smtputf8(const lmail_smtp_server *s, lmail_str *args)
{
    if (!(s->flags & LMAIL_SMTP_SMTPUTF8) || args->len < 10)
        return 0;
    lmail_str tail = lmi_str_skip(*args, args->len - 9);
    if (!lmail_str_equal_nocase(tail, LMAIL_STR(" SMTPUTF8")))
        return 0;
    *args = lmi_smtp_trim(lmi_str_sub(*args, 0, args->len - 9));
    return 1;
}

static lmail_status ask(lmail_smtp_server *s, const kind *k, const lmail_smtp_argument_event *ev)
{
    lmi_question *q;
    lmail_status st = lmi_smtp_ask(s, ev, sizeof *ev, &q);
    if (st || !q)
        return st;
    lmail_smtp_argument_event *kept = q->data;
    if (lmi_arena_copy(&q->arena, ev->verb, &kept->verb) ||
        lmi_arena_copy(&q->arena, ev->argument, &kept->argument))
        return lmi_smtp_drop(s, q);
    char *verb = (char *)kept->verb.ptr;
    for (size_t i = 0; i < kept->verb.len; i++)
        verb[i] = lmi_ascii_upper(verb[i]);
    return k->call(s, q);
}

lmail_status lmi_smtp_do_argument(lmail_smtp_server *s, lmail_str verb, lmail_str args)
{
    lmail_str rest;
    lmi_smtp_command c = lmi_smtp_split(verb, &verb, &rest);
    kind k = kind_of(s, c);
    if (!k.call && k.refuses)
        return lmi_smtp_refuse(s, k.usual, verb, verb.ptr);
    if (k.needs_argument && !args.len)
        return lmi_smtp_refuse(s, LMAIL_SMTP_SAY_ARGUMENT_MISSING, verb, NULL);
    lmail_smtp_argument_event ev = {verb, args, 0};
    if (k.may_utf8) {
        ev.smtputf8 = take_smtputf8(s, &ev.argument);
        if (!ev.smtputf8 && has_high(args))
            return lmi_smtp_refuse(s, LMAIL_SMTP_SAY_NEED_SMTPUTF8, args, args.ptr);
    }
    if (!k.call)
        return lmi_smtp_say(s, k.usual, 0);
    return ask(s, &k, &ev);
}

lmail_status lmi_smtp_apply_vrfy(lmail_smtp_server *s, const lmi_question *q,
                                 const lmail_smtp_reply *r)
{
    (void)q;
    return lmi_smtp_say_host(s, r, LMAIL_SMTP_SAY_VRFY_UNSURE, 0);
}

lmail_status lmi_smtp_apply_expn(lmail_smtp_server *s, const lmi_question *q,
                                 const lmail_smtp_reply *r)
{
    (void)q;
    return lmi_smtp_say_host(s, r, LMAIL_SMTP_SAY_EXPN_OFF, 0);
}

lmail_status lmi_smtp_apply_etrn(lmail_smtp_server *s, const lmi_question *q,
                                 const lmail_smtp_reply *r)
{
    (void)q;
    return lmi_smtp_say_host(s, r, LMAIL_SMTP_SAY_ETRN_OK, 0);
}

lmail_status lmi_smtp_apply_unknown(lmail_smtp_server *s, const lmi_question *q,
                                    const lmail_smtp_reply *r)
{
    lmail_str none = {NULL, 0};
    (void)q;
    if (!r->code)
        return lmi_smtp_refuse(s, LMAIL_SMTP_SAY_UNKNOWN_COMMAND, none, NULL);
    return lmi_smtp_say_host(s, r, LMAIL_SMTP_SAY_UNKNOWN_COMMAND, 0);
}
