/* smtp_data.c - DATA and BDAT: how a message begins, streams to the host, and ends.
 *
 * RFC 5321 §4.1.1.4, RFC 3030 §2, RFC 2033 §4.2. Octets go to the host where they lie in feed's
 * input. A message that breaks a rule is received to its real end and refused there; the octets of
 * a BDAT that is out of order are consumed before the refusal. */
#include "smtp/smtp_internal.h"

/* ---- Begin ----------------------------------------------------------------------------------- */

LMI_SMTP_CALL(call_start, on_body_start, lmail_smtp_body_start_event, LMI_SMTP_ASKED_START);

/* What is said at a message's begin or end when no ticket can be had. */
static lmail_smtp_reply no_memory(const lmail_smtp_server *s)
{
    lmail_smtp_reply r = LMAIL_SMTP_REPLY_INIT;
    r.code = s->setup->texts[LMAIL_SMTP_SAY_NO_MEMORY].code;
    return r;
}

static lmail_status ask_start(lmail_smtp_server *s, unsigned chunked)
{
    const lmail_smtp_body_start_event ev = {chunked, s->recipients};
    lmi_question *q;
    if (!s->setup->handler.on_body_start)
        return lmi_smtp_apply_start(s, NULL, &lmi_smtp_default);
    lmail_status st = lmi_smtp_question(s, &ev, sizeof ev, &q);
    if (st == LMAIL_ERR_LIMIT) {
        lmail_smtp_reply r = no_memory(s);
        return lmi_smtp_apply_start(s, NULL, &r);
    }
    return st ? st : call_start(s, q);
}

lmail_status lmi_smtp_do_data(lmail_smtp_server *s, lmail_str verb, lmail_str args)
{
    if (args.len)
        return lmi_smtp_refuse(s, LMAIL_SMTP_SAY_NO_ARGUMENT, verb, args.ptr);
    return ask_start(s, 0);
}

/* "BDAT" SP size [SP "LAST"]. */
static int parse_bdat(lmail_str args, uint64_t *size, uint8_t *last)
{
    lmail_str number = lmi_str_sub(args, 0, lmi_str_find(args, ' '));
    lmail_str word = lmi_smtp_trim(lmi_str_skip(args, number.len));
    *last = lmail_str_equal_nocase(word, LMAIL_STR("LAST")) != 0;
    return !lmi_parse_u64(number, size) && (*last || word.len == 0);
}

/* May this BDAT come now? Otherwise why not. */
static lmail_smtp_reply_id bdat_order(const lmail_smtp_server *s)
{
    if (!(s->flags & LMAIL_SMTP_CHUNKING))
        return LMAIL_SMTP_SAY_UNKNOWN_COMMAND;
    if (s->state == LMI_SMTP_RCPT || s->state == LMI_SMTP_CHUNKS)
        return LMAIL_SMTP_SAY_NONE;
    if (s->state == LMI_SMTP_MAIL)
        return s->rcpt_tried ? LMAIL_SMTP_SAY_NO_RECIPIENTS : LMAIL_SMTP_SAY_NEED_RCPT;
    return LMAIL_SMTP_SAY_NEED_MAIL;
}

static lmail_status chunk_end(lmail_smtp_server *s);

lmail_status lmi_smtp_do_bdat(lmail_smtp_server *s, lmail_str verb, lmail_str args)
{
    uint64_t size;
    (void)verb;
    if (!parse_bdat(args, &size, &s->last_chunk)) {
        /* Nobody knows how many octets follow: none of them may be taken for commands. */
        s->close_after = 1;
        return lmi_smtp_refuse(s, LMAIL_SMTP_SAY_BDAT_SYNTAX, args, args.ptr);
    }
    s->chunk_left = s->chunk_size = size;
    s->chunk_refuse = s->state == LMI_SMTP_REFUSING ? LMAIL_SMTP_SAY_REFUSED : bdat_order(s);
    int first = !s->chunk_refuse && s->state == LMI_SMTP_RCPT;
    lmi_smtp_enter(s, LMI_SMTP_BDAT);
    if (first)
        return ask_start(s, 1);
    return s->chunk_left ? LMAIL_OK : chunk_end(s);
}

lmail_status lmi_smtp_apply_start(lmail_smtp_server *s, const lmi_question *q,
                                  const lmail_smtp_reply *r)
{
    lmail_status st = LMAIL_OK;
    int chunked = s->state == LMI_SMTP_BDAT;
    (void)q;
    if (!lmi_smtp_is_yes(r)) {
        if (!chunked)
            return lmi_smtp_say_host(s, r, LMAIL_SMTP_SAY_HOST_ERROR, 0);
        st = lmi_smtp_keep_reply(s, &s->body_refusal, r, LMAIL_SMTP_SAY_HOST_ERROR);
        if (st)
            return st;
    }
    lmi_smtp_scan_begin(&s->scan, !chunked);
    if (chunked)
        return s->chunk_left ? LMAIL_OK : chunk_end(s);
    lmi_smtp_advance(s);
    if (r->code == 354)
        return lmi_smtp_say_host(s, r, LMAIL_SMTP_SAY_DATA_GO, 0);
    return lmi_smtp_say(s, LMAIL_SMTP_SAY_DATA_GO, 0);
}

/* ---- Stream ---------------------------------------------------------------------------------- */

/* The first rule, in this order, that the message broke so far. */
static lmail_smtp_reply_id broken_rule(const lmail_smtp_server *s)
{
    const lmail_smtp_server_config *c = &s->setup->config;
    const lmi_smtp_scan *x = &s->scan;
    int once = (s->flags & LMAIL_SMTP_COUNT_LF) != 0;
    if (s->body_type != LMAIL_SMTP_BODY_BINARYMIME) {
        if (x->bare)
            return LMAIL_SMTP_SAY_BODY_BARE;
        if (x->nul)
            return LMAIL_SMTP_SAY_BODY_NUL;
    }
    if (x->header - (once ? x->header_lines : 0) > c->max_header)
        return LMAIL_SMTP_SAY_HEADER_TOO_LARGE;
    if (x->octets - (once ? x->lines : 0) > c->max_message)
        return LMAIL_SMTP_SAY_SIZE_REAL;
    return LMAIL_SMTP_SAY_NONE;
}

LMI_SMTP_CALL(call_body, on_body, lmail_smtp_body_event, LMI_SMTP_ASKED_BODY);

static lmail_status deliver(lmail_smtp_server *s, lmail_str octets)
{
    const lmail_smtp_body_event ev = {octets, s->scan.octets - octets.len};
    lmi_question *q;
    if (s->body_bad || s->body_refusal.set || !s->transaction)
        return LMAIL_OK;
    if (broken_rule(s)) {
        s->body_bad = 1;
        return LMAIL_OK;
    }
    if (!s->setup->handler.on_body)
        return LMAIL_OK;
    lmail_status st = lmi_smtp_question(s, &ev, sizeof ev, &q);
    if (st == LMAIL_ERR_LIMIT) {
        lmi_smtp_refuse_later(&s->body_refusal, LMAIL_SMTP_SAY_NO_MEMORY);
        return LMAIL_OK;
    }
    return st ? st : call_body(s, q);
}

lmail_status lmi_smtp_apply_body(lmail_smtp_server *s, const lmi_question *q,
                                 const lmail_smtp_reply *r)
{
    (void)q;
    if (!lmi_smtp_is_yes(r))
        return lmi_smtp_keep_reply(s, &s->body_refusal, r, LMAIL_SMTP_SAY_HOST_ERROR);
    return LMAIL_OK;
}

static lmail_status message_end(lmail_smtp_server *s);

/* A run of octets and the end of DATA never come out of one scan, so the end is seen only when the
 * run's question is answered; the end of a BDAT that was pending is lmi_smtp_go_on's. */
lmail_status lmi_smtp_take_body(lmail_smtp_server *s, lmail_str in, size_t *used)
{
    size_t from, len;
    if (s->state == LMI_SMTP_DATA) {
        int end = lmi_smtp_scan_octets(&s->scan, in, &from, &len, used);
        lmail_status st = len ? deliver(s, lmi_str_sub(in, from, len)) : LMAIL_OK;
        return !st && end ? message_end(s) : st;
    }
    in = lmi_str_sub(in, 0, s->chunk_left < in.len ? (size_t)s->chunk_left : in.len);
    lmail_status st = LMAIL_OK;
    *used = in.len;
    if (!s->chunk_refuse) {
        lmi_smtp_scan_octets(&s->scan, in, &from, &len, used);
        st = deliver(s, lmi_str_sub(in, from, len));
    }
    s->chunk_left -= *used;
    if (!st && s->chunk_left == 0 && !s->base.holding)
        st = chunk_end(s);
    return st;
}

/* ---- End ------------------------------------------------------------------------------------- */

/* Back to where the commands were. */
static void leave_body(lmail_smtp_server *s)
{
    s->base.due = LMAIL_NEVER; /* the clock of commands again */
    if (!s->transaction)
        lmi_smtp_enter_idle(s);
    else
        lmi_smtp_enter(s, s->started_body ? LMI_SMTP_CHUNKS
                          : s->recipients ? LMI_SMTP_RCPT
                                          : LMI_SMTP_MAIL);
}

/* RFC 2033 §4.2: after the final dot one reply for each accepted recipient. */
static lmail_status refuse_message(lmail_smtp_server *s)
{
    uint32_t n = s->flags & LMAIL_SMTP_LMTP ? s->recipients : 1;
    lmail_status st = LMAIL_OK;
    for (uint32_t i = 0; i < n && !st; i++)
        st = lmi_smtp_say_refusal(s, &s->body_refusal);
    lmi_smtp_abandon(s, LMAIL_SMTP_ABANDON_REFUSED);
    leave_body(s);
    return st;
}

static lmail_status ask_ends(lmail_smtp_server *s);

static lmail_status message_end(lmail_smtp_server *s)
{
    lmail_smtp_reply_id id = broken_rule(s);
    if (s->scan.place == LMI_SMTP_AT_CR && s->body_type != LMAIL_SMTP_BODY_BINARYMIME)
        id = LMAIL_SMTP_SAY_BODY_BARE; /* BDAT: the message's last octet is a CR */
    s->counters.messages++;
    s->counters.octets += s->scan.octets;
    if (id) {
        lmi_trace(&s->base, LMAIL_TRACE_VIOLATION, 0, 0, lmail_str_from(lmail_smtp_reply_name(id)));
        lmi_smtp_refusal_done(s, &s->body_refusal);
        lmi_smtp_refuse_later(&s->body_refusal, id);
    }
    if (s->body_refusal.set)
        return refuse_message(s);
    s->ends_total = s->flags & LMAIL_SMTP_LMTP ? s->recipients : 1;
    s->ends_done = 0;
    return ask_ends(s);
}

LMI_SMTP_CALL(call_end, on_body_end, lmail_smtp_body_end_event, LMI_SMTP_ASKED_END);

static lmail_status ask_end(lmail_smtp_server *s)
{
    lmail_smtp_body_end_event ev = {s->scan.octets, 0, s->recipients, s->ends_done};
    lmi_question *q;
    if (!s->setup->handler.on_body_end)
        return lmi_smtp_apply_end(s, NULL, &lmi_smtp_default);
    ev.ends_in_crlf = s->scan.octets &&
                      (s->scan.place == LMI_SMTP_AT_DOT_CR || s->scan.place == LMI_SMTP_AT_LINE);
    lmail_status st = lmi_smtp_question(s, &ev, sizeof ev, &q);
    if (st == LMAIL_ERR_LIMIT) {
        lmail_smtp_reply r = no_memory(s);
        return lmi_smtp_apply_end(s, NULL, &r);
    }
    return st ? st : call_end(s, q);
}

static lmail_status ask_ends(lmail_smtp_server *s)
{
    lmail_status st = LMAIL_OK;
    while (!st && s->ends_done < s->ends_total && !s->base.holding && !s->base.closing)
        st = ask_end(s);
    return st;
}

lmail_status lmi_smtp_apply_end(lmail_smtp_server *s, const lmi_question *q,
                                const lmail_smtp_reply *r)
{
    (void)q;
    if (++s->ends_done == s->ends_total) {
        lmi_smtp_end_transaction(s);
        leave_body(s);
    }
    return lmi_smtp_say_host(s, r, LMAIL_SMTP_SAY_BODY_OK, 0);
}

/* The octets of one BDAT are in. */
static lmail_status chunk_end(lmail_smtp_server *s)
{
    lmail_str none = {NULL, 0};
    lmail_smtp_reply_id out_of_order = s->chunk_refuse;
    s->chunk_refuse = LMAIL_SMTP_SAY_NONE;
    if (out_of_order) {
        leave_body(s);
        if (s->connect_refusal.set)
            return lmi_smtp_say_refusal(s, &s->connect_refusal);
        return lmi_smtp_refuse(s, out_of_order, none, NULL);
    }
    s->started_body = 1;
    if (s->last_chunk)
        return message_end(s);
    leave_body(s);
    lmail_smtp_reply_id id = broken_rule(s);
    if (id) {
        lmi_smtp_refusal_done(s, &s->body_refusal);
        lmi_smtp_refuse_later(&s->body_refusal, id);
    }
    if (s->body_refusal.set)
        return lmi_smtp_say_refusal(s, &s->body_refusal);
    return lmi_smtp_say(s, LMAIL_SMTP_SAY_CHUNK_OK, s->chunk_size);
}

lmail_status lmi_smtp_go_on(lmail_smtp_server *s)
{
    if (s->state == LMI_SMTP_BDAT && s->chunk_left == 0 && !s->ends_total && !s->base.holding) {
        lmail_status st = chunk_end(s);
        if (st)
            return st;
    }
    return ask_ends(s);
}
