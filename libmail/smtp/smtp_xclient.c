/* smtp_xclient.c - XCLIENT and XFORWARD: a trusted peer says for whom it speaks.
 *
 * Source: Postfix, XCLIENT_README and XFORWARD_README; xtext is RFC 3461 §4. The host says at
 * on_connect which peer may; to others the commands do not exist. A command is taken whole or not at
 * all. Nothing is changed here before the host has said yes. */
#include "smtp/smtp_internal.h"

#include <string.h>

#define MAX_VALUE 255u /* XFORWARD_README, note 1; XCLIENT_README, note 1 */
#define MAX_PROTO 64u

typedef int check_fn(const lmail_smtp_server *s, lmail_str value, int forward);
static check_fn name_ok, addr_ok, port_ok, proto_ok, helo_ok, login_ok, source_ok, word_ok;

enum { OF_XCLIENT = 1, OF_XFORWARD = 2, OF_BOTH = 3 };

typedef struct attribute {
    const char *keyword;
    size_t at; /* in the event */
    unsigned of;
    check_fn *check;
} attribute;

#define AT(member) offsetof(lmail_smtp_xclient_event, member)

static const attribute attributes[] = {{"NAME", AT(name), OF_BOTH, name_ok},
                                       {"ADDR", AT(addr), OF_BOTH, addr_ok},
                                       {"PORT", AT(port), OF_BOTH, port_ok},
                                       {"PROTO", AT(proto), OF_BOTH, proto_ok},
                                       {"HELO", AT(helo), OF_BOTH, helo_ok},
                                       {"LOGIN", AT(login), OF_XCLIENT, login_ok},
                                       {"DESTADDR", AT(destaddr), OF_XCLIENT, addr_ok},
                                       {"DESTPORT", AT(destport), OF_XCLIENT, port_ok},
                                       {"IDENT", AT(ident), OF_XFORWARD, word_ok},
                                       {"SOURCE", AT(source), OF_XFORWARD, source_ok}};

#define COUNT (sizeof attributes / sizeof *attributes)

/* The event while its line is read; values lie in room. */
typedef struct reading {
    lmail_smtp_xclient_event event;
    char room[COUNT * MAX_VALUE];
    size_t used;
} reading;

int lmi_smtp_offers_x(const lmail_smtp_server *s, lmi_smtp_command c)
{
    const lmail_smtp_server_handler *h = &s->setup->handler;
    return c == LMI_SMTP_CMD_XCLIENT ? s->flags & LMAIL_SMTP_XCLIENT && h->on_xclient
                                     : s->flags & LMAIL_SMTP_XFORWARD && h->on_xforward;
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* XFORWARD_README, note 1: nothing "special in message headers". */
static int word_ok(const lmail_smtp_server *s, lmail_str v, int forward)
{
    (void)s;
    (void)forward;
    for (size_t i = 0; i < v.len; i++)
        if (memchr("<>()\\\";@,", v.ptr[i], 9))
            return 0;
    return 1;
}

/* XFORWARD's may be no name of the DNS. */
static int name_ok(const lmail_smtp_server *s, lmail_str v, int forward)
{
    return forward ? word_ok(s, v, 1) : lmi_smtp_is_domain(v, LMAIL_SMTP_ALLOW_UNDERSCORE);
}

static int helo_ok(const lmail_smtp_server *s, lmail_str v, int forward)
{
    return forward ? word_ok(s, v, 1) : lmi_smtp_helo_ok(s, v);
}

/* As a literal has it, without brackets: "192.0.2.1", "IPV6:2001:db8::1". XFORWARD's may be of
 * another kind. */
static int addr_ok(const lmail_smtp_server *s, lmail_str v, int forward)
{
    char literal[64];
    if (forward)
        return word_ok(s, v, 1);
    if (v.len > sizeof literal - 2 ||
        (!lmi_str_has_prefix_nocase(v, LMAIL_STR("IPV6:")) && memchr(v.ptr, ':', v.len)))
        return 0;
    literal[0] = '[';
    memcpy(literal + 1, v.ptr, v.len);
    literal[v.len + 1] = ']';
    return lmi_smtp_is_literal((lmail_str){literal, v.len + 2});
}

static int port_ok(const lmail_smtp_server *s, lmail_str v, int forward)
{
    uint64_t n;
    (void)s;
    (void)forward;
    return v.len <= 5 && lmi_parse_u64(v, &n) == LMAIL_OK && n > 0 && n <= 65535;
}

static int proto_ok(const lmail_smtp_server *s, lmail_str v, int forward)
{
    if (forward)
        return v.len <= MAX_PROTO && word_ok(s, v, 1);
    return lmail_str_equal_nocase(v, LMAIL_STR("SMTP")) ||
           lmail_str_equal_nocase(v, LMAIL_STR("ESMTP"));
}

/* user@domain is a usual one. */
static int login_ok(const lmail_smtp_server *s, lmail_str v, int forward)
{
    (void)s;
    (void)forward;
    return v.len > 0;
}

static int source_ok(const lmail_smtp_server *s, lmail_str v, int forward)
{
    (void)s;
    (void)forward;
    return lmail_str_equal_nocase(v, LMAIL_STR("LOCAL")) ||
           lmail_str_equal_nocase(v, LMAIL_STR("REMOTE"));
}

/* Decode into room. 0: it is none, too long, or holds what no value may. */
static int decode(reading *r, lmail_str raw, lmail_str *out)
{
    char text[MAX_VALUE * 3];
    if (raw.len == 0 || raw.len > sizeof text || !lmi_smtp_is_xtext(raw))
        return 0;
    memcpy(text, raw.ptr, raw.len);
    *out = lmi_smtp_xtext_decode(text, raw.len, 0);
    if (out->len > MAX_VALUE)
        return 0;
    for (size_t i = 0; i < out->len; i++)
        if (out->ptr[i] <= ' ' || out->ptr[i] > '~') /* signed or not: nothing above ASCII */
            return 0;
    char *at = r->room + r->used;
    memcpy(at, out->ptr, out->len);
    out->ptr = at;
    r->used += out->len;
    return 1;
}

static lmail_smtp_attribute *slot_of(lmail_smtp_xclient_event *ev, const attribute *a)
{
    return (lmail_smtp_attribute *)(void *)((char *)ev + a->at);
}

static int take(const lmail_smtp_server *s, reading *r, const attribute *a, lmail_str raw,
                int forward)
{
    lmail_smtp_attribute *slot = slot_of(&r->event, a);
    int is_proto = a->check == proto_ok, is_name = a->check == name_ok;
    lmail_str v;
    if (!decode(r, raw, &v))
        return 0;
    if (lmail_str_equal_nocase(v, LMAIL_STR("[UNAVAILABLE]")) && (forward || !is_proto)) {
        slot->given = LMAIL_SMTP_UNAVAILABLE;
        return 1;
    }
    if (lmail_str_equal_nocase(v, LMAIL_STR("[TEMPUNAVAIL]")) && !forward && is_name) {
        slot->given = LMAIL_SMTP_TEMPUNAVAIL;
        return 1;
    }
    if (!a->check(s, v, forward))
        return 0;
    if (a->check == addr_ok && lmi_str_has_prefix_nocase(v, LMAIL_STR("IPV6:")))
        v = lmi_str_skip(v, 5);
    slot->given = LMAIL_SMTP_GIVEN;
    slot->value = v;
    return 1;
}

/* ---- The commands ---------------------------------------------------------------------------- */

static const attribute *find(lmail_str keyword, unsigned of)
{
    for (size_t i = 0; i < COUNT; i++)
        if (attributes[i].of & of &&
            lmail_str_equal_nocase(keyword, lmail_str_from(attributes[i].keyword)))
            return &attributes[i];
    return NULL;
}

/* args has no blank in front, which lmi_smtp_next_param wants: the octet before it is one. */
static lmail_smtp_reply_id read_all(const lmail_smtp_server *s, lmail_str args, unsigned of,
                                    reading *r, lmail_str *bad)
{
    lmi_smtp_param p;
    int more;
    if (!args.len)
        return LMAIL_SMTP_SAY_X_SYNTAX;
    args = (lmail_str){args.ptr - 1, args.len + 1};
    while ((more = lmi_smtp_next_param(&args, &p)) != 0) {
        if (more < 0)
            return LMAIL_SMTP_SAY_X_SYNTAX;
        const attribute *a = find(p.keyword, of);
        *bad = p.keyword;
        if (!a)
            return LMAIL_SMTP_SAY_X_UNKNOWN;
        if (slot_of(&r->event, a)->given)
            return LMAIL_SMTP_SAY_X_TWICE;
        if (!p.has_value || !take(s, r, a, p.value, of == OF_XFORWARD))
            return LMAIL_SMTP_SAY_X_VALUE;
    }
    return LMAIL_SMTP_SAY_NONE;
}

static lmail_status copy_values(lmi_question *q)
{
    for (size_t i = 0; i < COUNT; i++) {
        lmail_smtp_attribute *slot = slot_of(q->data, &attributes[i]);
        if (slot->given == LMAIL_SMTP_GIVEN && lmi_arena_copy(&q->arena, slot->value, &slot->value))
            return LMAIL_ERR_NOMEM;
    }
    return LMAIL_OK;
}

LMI_SMTP_CALL(call_xclient, on_xclient, lmail_smtp_xclient_event, LMI_SMTP_ASKED_XCLIENT);
LMI_SMTP_CALL(call_xforward, on_xforward, lmail_smtp_xclient_event, LMI_SMTP_ASKED_XFORWARD);

static lmail_status command(lmail_smtp_server *s, lmail_str verb, lmail_str args, unsigned of)
{
    reading r;
    lmi_question *q;
    lmail_str bad = verb;
    memset(&r.event, 0, sizeof r.event);
    r.used = 0;
    lmail_smtp_reply_id no = read_all(s, args, of, &r, &bad);
    if (no)
        return lmi_smtp_refuse(s, no, no == LMAIL_SMTP_SAY_X_SYNTAX ? verb : bad, bad.ptr);
    lmail_status st = lmi_smtp_ask(s, &r.event, sizeof r.event, &q);
    if (st || !q)
        return st;
    if (copy_values(q))
        return lmi_smtp_drop(s, q);
    return of == OF_XCLIENT ? call_xclient(s, q) : call_xforward(s, q);
}

lmail_status lmi_smtp_do_xclient(lmail_smtp_server *s, lmail_str verb, lmail_str args)
{
    return command(s, verb, args, OF_XCLIENT);
}

lmail_status lmi_smtp_do_xforward(lmail_smtp_server *s, lmail_str verb, lmail_str args)
{
    return command(s, verb, args, OF_XFORWARD);
}

/* ---- The answers ----------------------------------------------------------------------------- */

/* XCLIENT_README, server response: back to the greeting, but for TLS and for what this command
 * said. The greeting itself follows in after(), when this question is home. */
lmail_status lmi_smtp_apply_xclient(lmail_smtp_server *s, const lmi_question *q,
                                    const lmail_smtp_reply *r)
{
    const lmail_smtp_xclient_event *ev = q->data;
    lmail_status st = LMAIL_OK;
    if (!lmi_smtp_is_yes(r)) {
        s->argument = LMAIL_STR("XCLIENT");
        st = lmi_smtp_say_host(s, r, LMAIL_SMTP_SAY_X_OFF, 0);
        s->argument = (lmail_str){NULL, 0};
        return st;
    }
    s->hello = LMAIL_SMTP_NO_HELLO;
    s->helo_len = 0;
    s->flags = s->setup->flags;
    lmi_smtp_refusal_done(s, &s->connect_refusal);
    lmi_sasl_done(&s->sasl, &s->base.alloc);
    if (ev->helo.given == LMAIL_SMTP_GIVEN)
        st = lmi_smtp_assume_hello(s,
                                   lmail_str_equal_nocase(ev->proto.value, LMAIL_STR("ESMTP"))
                                       ? LMAIL_SMTP_SAID_EHLO
                                       : LMAIL_SMTP_SAID_HELO,
                                   ev->helo.value);
    if (!st && ev->login.given == LMAIL_SMTP_GIVEN)
        st = lmi_sasl_assume(&s->sasl, &s->base.alloc, LMAIL_STR("XCLIENT"), ev->login.value);
    if (st)
        return st;
    lmi_smtp_enter(s, LMI_SMTP_START);
    s->anew = 1;
    return LMAIL_OK;
}

lmail_status lmi_smtp_apply_xforward(lmail_smtp_server *s, const lmi_question *q,
                                     const lmail_smtp_reply *r)
{
    (void)q;
    return lmi_smtp_say_host(s, r, LMAIL_SMTP_SAY_XFORWARD_OK, 0);
}
