/* smtp_client_body.c - the octets of a message, pulled from the host and sent by DATA or BDAT, and
 * the replies that decide.
 *
 * RFC 5321 §4.1.1.4, §4.5.2; RFC 3030 §2 (BDAT, LAST), §3; RFC 2033 §4.2, §4.3 (LMTP: a reply a
 * recipient). Octets go out from where the host has them; only short stretches are copied. A message
 * that cannot be read to its end never gets one: behind DATA the connection is cut, behind BDAT the
 * transaction is reset. */
#include "smtp/smtp_client_internal.h"

#define COPY_UNDER 2048u /* a copy of less is cheaper than a segment of its own */

static int lmtp(const lmail_smtp_client *s)
{
    return (s->flags & LMAIL_SMTP_CLIENT_LMTP) != 0;
}

int lmi_smtpc_all_written(const lmail_smtp_client *s)
{
    return s->state == LMI_SMTPC_END && !s->body.broken && !s->body.lone_dot;
}

static void message_over(lmail_smtp_client *s)
{
    if (s->first->end.accepted)
        s->first->end.octets = s->body.offset;
    lmi_smtpc_enter(s, LMI_SMTPC_READY);
    lmi_smtpc_mail_end(s);
}

/* RFC 2920 §3.1: DATA was accepted although no recipient was. */
static lmail_status lone_dot(lmail_smtp_client *s)
{
    if (lmtp(s)) /* no recipient, no reply: nothing would tell when it is over */
        return lmi_smtpc_violation(s, LMAIL_STR("354 without recipients"));
    s->body.lone_dot = 1;
    lmi_smtpc_enter(s, LMI_SMTPC_END);
    return LMI_SMTPC_SAY(s, LMAIL_STR("."));
}

lmail_status lmi_smtpc_body_begin(lmail_smtp_client *s, int chunked)
{
    s->body = (lmi_smtpc_body){0};
    s->body.chunked = chunked != 0;
    s->body.raw = s->first->body == LMAIL_SMTP_BODY_BINARYMIME;
    s->body.stuff.dots = !chunked;
    s->body.stuff.refuse = (s->flags & LMAIL_SMTP_CLIENT_REFUSE_BARE) != 0;
    if (!s->t.taken || s->t.mail_failed)
        return lone_dot(s);
    lmi_smtpc_enter(s, LMI_SMTPC_BODY);
    return LMAIL_OK;
}

/* ---- Sending --------------------------------------------------------------------------------- */

/* Where runs go: the last long one waits, so that the ticket can stand at the end. */
typedef struct sink {
    lmail_smtp_client *s;
    lmail_ticket ticket;
    lmail_str held;
    lmail_str in; /* what the host gave; other runs are static */
    int lent;
    uint64_t size; /* counting only */
} sink;

static lmail_status flush(sink *k)
{
    lmail_str held = k->held;
    if (!held.len)
        return LMAIL_OK;
    k->held.len = 0;
    k->lent = 1;
    return lmi_out_borrow(&k->s->base, held, k->ticket | LMI_SMTPC_NOT_LAST);
}

static lmail_status send_run(void *ctx, lmail_str run)
{
    sink *k = ctx;
    int ours = (uintptr_t)run.ptr - (uintptr_t)k->in.ptr >= k->in.len;
    int behind = k->held.len > 0;
    lmail_status st = flush(k);
    if (st)
        return st;
    if (run.len < COPY_UNDER && !(ours && behind)) /* a dot needs no room between lent octets */
        return lmi_out_str(&k->s->base, run);
    k->held = run;
    return LMAIL_OK;
}

static lmail_status count_run(void *ctx, lmail_str run)
{
    ((sink *)ctx)->size += run.len;
    return LMAIL_OK;
}

static lmail_status walk(lmail_smtp_client *s, lmi_smtpc_stuff *c, lmail_str in, int end,
                         lmi_smtpc_run_fn *run, sink *k)
{
    if (!s->body.raw)
        return lmi_smtpc_stuff_walk(c, in, end, run, k);
    return in.len ? run(k, in) : LMAIL_OK;
}

/* BDAT's line, when there is a chunk. ERR_SYNTAX: a bare CR or LF. */
static lmail_status chunk_line(lmail_smtp_client *s, lmail_str in, int end)
{
    sink k = {s, 0, {NULL, 0}, in, 0, 0};
    lmi_smtpc_stuff copy = s->body.stuff;
    char number[20];
    lmail_status st = walk(s, &copy, in, end, count_run, &k);
    if (st || (!k.size && !end))
        return st;
    if (!end)
        s->body.chunks++;
    return LMI_SMTPC_SAY(s, LMAIL_STR("BDAT "), (lmail_str){number, lmi_write_u64(number, k.size)},
                         end ? LMAIL_STR(" LAST") : LMAIL_STR(""));
}

static void release(lmail_smtp_client *s, lmail_ticket t)
{
    s->base.cls->released(&s->base, t);
}

/* The octets, from the host's memory; they are released with the last of them, or now. */
static lmail_status send_octets(lmail_smtp_client *s, lmail_str in, int end, lmail_ticket t)
{
    sink k = {s, t, {NULL, 0}, in, 0, 0};
    lmail_status st = walk(s, &s->body.stuff, in, end, send_run, &k);
    if (st)
        k.held.len = 0;
    /* What was lent before an error is still to be sent. */
    if (k.held.len || k.lent) {
        lmail_status last = lmi_out_borrow(&s->base, k.held, t);
        if (!last)
            return st;
        st = last;
    }
    if (in.len)
        release(s, t);
    return st;
}

/* ---- The message cannot be sent to its end ---------------------------------------------------- */

static lmail_status give_up(lmail_smtp_client *s, const lmi_smtpc_verdict *v,
                            lmail_smtp_cause cause)
{
    s->body.broken = 1;
    lmi_smtpc_give_rest(s, v);
    if (!s->body.chunked)
        return lmi_smtpc_cut(s, cause);
    lmi_smtpc_enter(s, LMI_SMTPC_END);
    if (!s->body.chunks)
        message_over(s); /* the transaction is open: RSET goes before the next */
    return LMAIL_OK;
}

static lmail_status malformed(lmail_smtp_client *s)
{
    lmi_smtpc_verdict v = lmi_smtpc_refuse(LMAIL_SMTP_PHASE_BODY, LMAIL_STR("5.6.0"),
                                           LMAIL_STR("a bare CR or LF in the message"));
    return give_up(s, &v, LMAIL_SMTP_CAUSE_HERE);
}

static lmail_status unreadable(lmail_smtp_client *s)
{
    lmi_smtpc_verdict v = lmi_smtpc_by_cause(LMAIL_SMTP_CAUSE_HOST, LMAIL_SMTP_PHASE_BODY);
    return give_up(s, &v, LMAIL_SMTP_CAUSE_HOST);
}

/* ---- Pulling --------------------------------------------------------------------------------- */

static lmail_status take_octets(lmail_smtp_client *s, lmail_ticket t,
                                const lmail_smtp_client_octets_answer *a)
{
    lmail_status st = LMAIL_OK;
    int end = a->end != 0;
    if (a->failed || (!a->octets.len && !end)) {
        if (a->octets.len)
            release(s, t);
        return unreadable(s);
    }
    s->body.offset += a->octets.len;
    if (s->body.chunked)
        st = chunk_line(s, a->octets, end);
    if (st) {
        if (a->octets.len)
            release(s, t);
        return st == LMAIL_ERR_SYNTAX ? malformed(s) : st;
    }
    if (end)
        s->body.ended = 1;
    st = send_octets(s, a->octets, end, t);
    if (st)
        return st == LMAIL_ERR_SYNTAX ? malformed(s) : st;
    if (!end)
        return LMAIL_OK;
    lmi_smtpc_enter(s, LMI_SMTPC_END);
    return s->body.chunked ? LMAIL_OK : LMI_SMTPC_SAY(s, LMAIL_STR("."));
}

static int answer_ok(const lmail_smtp_client *s, const lmail_smtp_client_octets_answer *a)
{
    return a->octets.len <= s->body.want && (a->octets.ptr || !a->octets.len);
}

static lmail_status ask(lmail_smtp_client *s)
{
    lmail_smtp_client_octets_answer a = LMAIL_SMTP_CLIENT_OCTETS_ANSWER_INIT;
    lmi_question *q;
    lmail_status st = lmi_ask(&s->base, LMI_SMTPC_OCTETS, &q);
    if (st)
        return st;
    lmail_smtp_client_octets_event *ev = lmi_arena_zget(&q->arena, sizeof *ev);
    if (!ev)
        return lmi_smtpc_drop(s, q);
    s->body.want = s->setup->config.max_want;
    *ev = (lmail_smtp_client_octets_event){s->first->end.mail, s->first->end.data, s->body.offset,
                                           s->body.want};
    lmail_ticket t = q->ticket;
    lmi_callback_begin(&s->base);
    st = s->setup->on.on_octets(s, s->base.user, t, ev, &a);
    lmi_callback_end(&s->base);
    if (st == LMAIL_PENDING) {
        lmi_question_wait(&s->base, q, 1, 0);
        return LMAIL_OK;
    }
    lmi_question_done(&s->base, q);
    if (st || !answer_ok(s, &a)) {
        if (!st && a.octets.len)
            release(s, t);
        return unreadable(s);
    }
    return take_octets(s, t, &a);
}

lmail_status lmi_smtpc_pull(lmail_smtp_client *s)
{
    int serial = s->body.chunked && !(s->can.can & LMAIL_SMTP_CAN_PIPELINING);
    lmail_status st = LMAIL_OK;
    while (!st && s->state == LMI_SMTPC_BODY && !s->base.holding &&
           !(serial && s->body.chunks)) { /* RFC 3030 §2: one BDAT at a time */
        if (s->base.out.size >= s->base.out_mark) {
            lmi_want_room(&s->base);
            break;
        }
        st = ask(s);
    }
    return st;
}

lmail_status lmail_smtp_client_answer_octets(lmail_smtp_client *s, lmail_ticket t,
                                             const lmail_smtp_client_octets_answer *answer,
                                             lmail_msec now)
{
    lmail_smtp_client_octets_answer a = LMAIL_SMTP_CLIENT_OCTETS_ANSWER_INIT;
    lmi_question *q;
    if (answer && lmi_struct_take(&a, sizeof a, answer))
        return LMAIL_ERR_SIZE;
    if (s->state == LMI_SMTPC_BODY && s->base.holding && !answer_ok(s, &a))
        return LMAIL_ERR_ARG;
    lmail_status st = lmi_answer_enter(&s->base, t, LMI_SMTPC_OCTETS, now, &q);
    if (st)
        return st;
    lmi_question_done(&s->base, q);
    return lmi_leave(&s->base, lmi_smtpc_go_on(s, take_octets(s, t, &a)));
}

/* ---- Replies --------------------------------------------------------------------------------- */

/* A chunk before the last was answered. RFC 3030 §2: after a refusal only RSET helps. */
static lmail_status chunk_answered(lmail_smtp_client *s)
{
    s->body.chunks--;
    if (lmi_smtpc_class(s) == 2 && !s->body.broken)
        return LMAIL_OK;
    if (lmi_smtpc_class(s) == 3)
        return lmi_smtpc_violation(s, LMAIL_STR("3xx to BDAT"));
    if (!s->body.broken) {
        lmi_smtpc_verdict v = lmi_smtpc_by_reply(s, LMAIL_SMTP_PHASE_BODY);
        s->body.broken = 1;
        lmi_smtpc_give_rest(s, &v);
        if (s->body.ended && lmtp(s)) /* how many replies come now is anyone's guess */
            return lmi_smtpc_cut(s, LMAIL_SMTP_CAUSE_REPLY);
        lmi_smtpc_enter(s, LMI_SMTPC_END);
    }
    if (!s->body.chunks && !s->body.ended)
        message_over(s);
    return LMAIL_OK;
}

/* LMTP: the next recipient that was accepted; the count when there is none. */
static uint32_t next_taken(const lmail_smtp_client *s, uint32_t i)
{
    while (i < s->first->count && s->first->rcpt[i].fate != LMI_SMTPC_TAKEN)
        i++;
    return i;
}

static lmail_status end_answered(lmail_smtp_client *s)
{
    lmi_smtpc_verdict v = lmi_smtpc_by_reply(s, LMAIL_SMTP_PHASE_END);
    if (lmi_smtpc_class(s) == 3)
        return lmi_smtpc_violation(s, LMAIL_STR("3xx to the end of a message"));
    if (!lmtp(s) || s->body.broken || s->body.lone_dot) {
        if (!s->body.broken && !s->body.lone_dot) {
            s->open = 0; /* RFC 5321 §4.1.1.4: whatever the reply, the buffers are clear */
            lmi_smtpc_give_rest(s, &v);
        } else {
            s->open = s->body.lone_dot ? 0 : 1;
        }
        message_over(s);
        return LMAIL_OK;
    }
    lmi_smtpc_give(s, s->first, next_taken(s, 0), &v);
    if (next_taken(s, 0) == s->first->count) {
        s->open = 0;
        message_over(s);
    }
    return LMAIL_OK;
}

lmail_status lmi_smtpc_on_body(lmail_smtp_client *s)
{
    if (s->body.chunks)
        return chunk_answered(s);
    if (s->state == LMI_SMTPC_END)
        return end_answered(s);
    if (lmi_smtpc_class(s) < 4 || s->body.chunked)
        return lmi_smtpc_violation(s, LMAIL_STR("a reply in the middle of a message"));
    /* It has had enough: the verdict stands, but the two sides no longer agree where they are. */
    lmi_smtpc_verdict v = lmi_smtpc_by_reply(s, LMAIL_SMTP_PHASE_BODY);
    lmi_smtpc_give_rest(s, &v);
    return lmi_smtpc_cut(s, LMAIL_SMTP_CAUSE_REPLY);
}
