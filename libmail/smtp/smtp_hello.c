/* smtp_hello.c - HELO, EHLO and LHLO, and the list of what is on offer.
 *
 * RFC 5321 §4.1.1.1, RFC 2033 §4.1. A hello that is accepted also resets the transaction
 * (§4.1.4). */
#include "smtp/smtp_internal.h"

#include <string.h>

int lmi_smtp_helo_ok(const lmail_smtp_server *s, lmail_str name)
{
    if (name.len == 0 || name.len > 255)
        return 0;
    if (s->flags & LMAIL_SMTP_ALLOW_ANY_HELO)
        return 1;
    /* RFC 6531 §3.7.1: A-labels here, whatever is on offer. */
    return lmi_smtp_is_domain(name, s->flags & ~(uint64_t)LMAIL_SMTP_SMTPUTF8) ||
           lmi_smtp_is_literal(name);
}

LMI_SMTP_CALL(call_helo, on_helo, lmail_smtp_helo_event, LMI_SMTP_ASKED_HELO);

lmail_status lmi_smtp_do_hello(lmail_smtp_server *s, lmail_str verb, lmail_str args)
{
    lmi_question *q;
    if (!lmi_smtp_helo_ok(s, args))
        return lmi_smtp_refuse(s, LMAIL_SMTP_SAY_HELO_SYNTAX, args, args.ptr);
    char first = lmi_ascii_upper(verb.ptr[0]);
    const lmail_smtp_helo_event ev = {first == 'H'   ? LMAIL_SMTP_SAID_HELO
                                      : first == 'E' ? LMAIL_SMTP_SAID_EHLO
                                                     : LMAIL_SMTP_SAID_LHLO,
                                      args, args.ptr[0] == '['};
    lmail_status st = lmi_smtp_ask(s, &ev, sizeof ev, &q);
    if (st || !q)
        return st;
    lmail_smtp_helo_event *kept = q->data;
    if (lmi_arena_copy(&q->arena, args, &kept->name))
        return lmi_smtp_drop(s, q);
    if (!s->setup->handler.on_helo)
        return lmi_smtp_settle(s, q, LMI_SMTP_ASKED_HELO, LMAIL_OK, &lmi_smtp_default);
    return call_helo(s, q);
}

/* ---- The offer ------------------------------------------------------------------------------- */

#define XCLIENT_OFFER "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"

typedef struct offer {
    lmail_str lines[22];
    size_t count;
    char size[32];
    char auth[480];
} offer;

static void add(offer *o, lmail_str line)
{
    o->lines[o->count++] = line;
}

static void add_size(lmail_smtp_server *s, offer *o)
{
    size_t n = 4;
    memcpy(o->size, "SIZE", 4);
    if (s->setup->config.max_message <
        UINT64_MAX) { /* RFC 1870 §4: none is told without a number */
        o->size[n++] = ' ';
        n += lmi_write_u64(o->size + n, s->setup->config.max_message);
    }
    add(o, (lmail_str){o->size, n});
}

static void add_auth(lmail_smtp_server *s, offer *o)
{
    lmail_str mechanisms = lmi_smtp_mechanisms(s);
    if (!mechanisms.len || mechanisms.len > sizeof o->auth - 5 || !lmi_smtp_text_ok(mechanisms))
        return;
    memcpy(o->auth, "AUTH ", 5);
    memcpy(o->auth + 5, mechanisms.ptr, mechanisms.len);
    add(o, (lmail_str){o->auth, mechanisms.len + 5});
}

static void make_offer(lmail_smtp_server *s, offer *o)
{
    uint64_t f = s->flags;
    o->count = 0;
    if (f & LMAIL_SMTP_ENHANCED)
        add(o, LMAIL_STR("ENHANCEDSTATUSCODES"));
    if (s->connect_refusal.set) {
        /* A peer that carries several clients over one connection goes on with the next. */
        if (lmi_smtp_offers_x(s, LMI_SMTP_CMD_XCLIENT))
            add(o, LMAIL_STR(XCLIENT_OFFER));
        return;
    }
    if (f & LMAIL_SMTP_PIPELINING)
        add(o, LMAIL_STR("PIPELINING"));
    if ((f & LMAIL_SMTP_EXPN) && s->setup->handler.on_expn)
        add(o, LMAIL_STR("EXPN"));
    if (f & LMAIL_SMTP_VRFY)
        add(o, LMAIL_STR("VRFY"));
    if (f & LMAIL_SMTP_8BITMIME)
        add(o, LMAIL_STR("8BITMIME"));
    if (f & LMAIL_SMTP_SIZE)
        add_size(s, o);
    if (f & LMAIL_SMTP_DSN)
        add(o, LMAIL_STR("DSN"));
    if (f & LMAIL_SMTP_CHUNKING)
        add(o, LMAIL_STR("CHUNKING"));
    if ((f & LMAIL_SMTP_BINARYMIME) && (f & LMAIL_SMTP_CHUNKING))
        add(o, LMAIL_STR("BINARYMIME"));
    if (f & LMAIL_SMTP_SMTPUTF8)
        add(o, LMAIL_STR("SMTPUTF8"));
    if ((f & LMAIL_SMTP_ETRN) && s->setup->handler.on_etrn)
        add(o, LMAIL_STR("ETRN"));
    add_auth(s, o);
    if ((f & LMAIL_SMTP_STARTTLS) && !s->base.tls_active)
        add(o, LMAIL_STR("STARTTLS"));
    if (lmi_smtp_offers_x(s, LMI_SMTP_CMD_XCLIENT))
        add(o, LMAIL_STR(XCLIENT_OFFER));
    if (lmi_smtp_offers_x(s, LMI_SMTP_CMD_XFORWARD))
        add(o, LMAIL_STR("XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"));
    if (f & LMAIL_SMTP_HELP)
        add(o, LMAIL_STR("HELP"));
}

static lmail_status say_offer(lmail_smtp_server *s, const lmail_smtp_reply *r)
{
    offer o;
    make_offer(s, &o);
    if (o.count == 0)
        return lmi_smtp_say_host(s, r, LMAIL_SMTP_SAY_EHLO, 0);
    lmail_status st = r->text.len ? lmi_smtp_say_line(s, 250, r->text, 0)
                                  : lmi_smtp_say_more(s, LMAIL_SMTP_SAY_EHLO);
    for (size_t i = 0; !st && i < o.count; i++)
        st = lmi_smtp_say_line(s, 250, o.lines[i], i + 1 == o.count);
    return st;
}

/* ---- The answer ------------------------------------------------------------------------------ */

static lmail_status keep_name(lmail_smtp_server *s, lmail_str name)
{
    if (name.len > s->helo_cap) {
        char *p = lmi_realloc(&s->base.alloc, s->helo_name, s->helo_cap, name.len);
        if (!p)
            return LMAIL_ERR_NOMEM;
        s->helo_name = p;
        s->helo_cap = name.len;
    }
    memcpy(s->helo_name, name.ptr, name.len);
    s->helo_len = name.len;
    return LMAIL_OK;
}

lmail_status lmi_smtp_assume_hello(lmail_smtp_server *s, lmail_smtp_hello verb, lmail_str name)
{
    s->hello = (uint8_t)verb;
    return keep_name(s, name);
}

lmail_status lmi_smtp_apply_helo(lmail_smtp_server *s, const lmi_question *q,
                                 const lmail_smtp_reply *r)
{
    const lmail_smtp_helo_event *ev = q->data;
    if (!lmi_smtp_is_yes(r))
        return lmi_smtp_say_host(s, r, LMAIL_SMTP_SAY_HELO, 0);
    lmail_status st = keep_name(s, ev->name);
    if (st)
        return st;
    lmi_smtp_abandon(s, LMAIL_SMTP_ABANDON_RESET);
    s->hello = (uint8_t)ev->verb;
    lmi_smtp_advance(s);
    if (ev->verb != LMAIL_SMTP_SAID_HELO)
        return say_offer(s, r);
    uint64_t flags = s->flags; /* RFC 2034 §3: no enhanced code in a reply to HELO */
    s->flags &= ~(uint64_t)LMAIL_SMTP_ENHANCED;
    st = lmi_smtp_say_host(s, r, LMAIL_SMTP_SAY_HELO, 0);
    s->flags = flags;
    return st;
}
