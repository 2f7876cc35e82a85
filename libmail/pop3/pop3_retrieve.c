/* pop3_retrieve.c - RETR and TOP: octets pulled from the host, dot-stuffed, cut, closed with ".".
 *
 * RFC 1939 §3 (byte-stuffing), §5 (RETR), §7 (TOP). The host's octets go out from where they lie;
 * only short stretches are copied. A message is asked for while output is under its mark, one piece
 * at a time, so a slow reader moves no memory. */
#include "pop3/pop3_internal.h"

#include <string.h>

#define COPY_UNDER 2048u /* a copy of less is cheaper than a segment of its own */
#define NOT_LAST ((lmail_ticket)1 << 63)

static const lmail_str nothing = {NULL, 0};

static lmail_status begin(lmail_pop3_server *s, uint32_t number, int top, uint64_t lines)
{
    s->body = (lmi_pop3_body){0};
    s->body.size = lmi_pop3_size(&s->drop, number);
    s->body.top = top != 0;
    s->body.lines = lines;
    s->body.line_start = 1;
    s->body.ends_crlf = 1;
    s->number = number;
    s->begun = 0;
    s->job = LMI_POP3_BODY;
    return LMAIL_OK;
}

lmail_status lmi_pop3_retr(lmail_pop3_server *s, lmail_str args)
{
    uint32_t number;
    lmail_status st = lmi_pop3_number(s, args, &number);
    return st ? st : begin(s, number, 0, 0);
}

lmail_status lmi_pop3_top(lmail_pop3_server *s, lmail_str args)
{
    lmail_str arg;
    uint32_t number;
    uint64_t lines = 0;
    lmail_status st = lmi_pop3_next_arg(&args, &arg);
    lmail_status lines_st = lmi_parse_u64(args, &lines);
    if (lines_st == LMAIL_ERR_LIMIT)
        lines = UINT64_MAX; /* more than any message has */
    if (st || lines_st == LMAIL_ERR_SYNTAX)
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_SYNTAX);
    st = lmi_pop3_number(s, arg, &number);
    return st ? st : begin(s, number, 1, lines);
}

/* TOP: how many of these octets belong to the header, the empty line and the body lines wanted. */
static size_t cut(lmi_pop3_body *b, lmail_str data, int *done)
{
    size_t at = 0;
    while (at < data.len && !(b->in_body && b->lines == 0)) {
        size_t lf = at + lmi_str_find(lmi_str_skip(data, at), '\n');
        int whole = lf < data.len;
        if (b->in_body) {
            b->lines -= (uint64_t)whole;
        } else {
            if (lf - at > 1 || (lf - at == 1 && data.ptr[at] != '\r'))
                b->line_text = 1;
            if (whole) {
                b->in_body = !b->line_text;
                b->line_text = 0;
            }
        }
        at = whole ? lf + 1 : data.len;
    }
    *done = b->in_body && b->lines == 0;
    return at;
}

static void release(lmail_pop3_server *s, lmail_ticket t)
{
    s->base.cls->released(&s->base, t);
}

/* A stretch between two stuffed dots. */
static lmail_status send_stretch(lmail_pop3_server *s, lmail_str octets, lmail_ticket t,
                                 int *borrowed)
{
    if (octets.len < COPY_UNDER)
        return lmi_out_str(&s->base, octets);
    *borrowed = 1;
    return lmi_out_borrow(&s->base, octets, t | NOT_LAST);
}

/* RFC 1939 §3: a line that begins with "." gets another one. A bare LF begins a line here too:
 * clients that split at LF would take "LF . CRLF" for the end of the message. */
static lmail_status stuff(lmail_pop3_server *s, lmail_str data, lmail_ticket t)
{
    size_t start = 0;
    int borrowed = 0;
    lmail_status st = LMAIL_OK;
    for (size_t at = 0; !st && at < data.len; at++) {
        at += lmi_str_find(lmi_str_skip(data, at), '.');
        if (at >= data.len || !(at ? data.ptr[at - 1] == '\n' : s->body.line_start))
            continue;
        st = send_stretch(s, lmi_str_sub(data, start, at - start), t, &borrowed);
        if (!st)
            st = lmi_out_str(&s->base, LMAIL_STR("."));
        start = at;
    }
    lmail_str last = lmi_str_skip(data, start);
    if (!st && (borrowed || last.len >= COPY_UNDER)) {
        st = lmi_out_borrow(&s->base, last, t);
        if (!st)
            return st;
    } else if (!st) {
        st = lmi_out_str(&s->base, last);
    }
    release(s, t);
    return st;
}

static lmail_status send(lmail_pop3_server *s, lmail_str data, lmail_ticket t)
{
    lmi_pop3_body *b = &s->body;
    if (data.len == 0) {
        release(s, t);
        return LMAIL_OK;
    }
    /* Looked at first: stuff may release the octets. */
    char last = data.ptr[data.len - 1];
    int ends_crlf =
        last == '\n' && (data.len > 1 ? data.ptr[data.len - 2] == '\r' : b->last_cr != 0);
    lmail_status st = stuff(s, data, t);
    b->ends_crlf = ends_crlf != 0;
    b->last_cr = last == '\r';
    b->line_start = last == '\n';
    if (b->top)
        s->counters.topped_octets += data.len;
    else
        s->counters.retrieved_octets += data.len;
    return st;
}

static lmail_status finish(lmail_pop3_server *s)
{
    s->job = LMI_POP3_IDLE;
    if (s->body.top) {
        s->counters.topped++;
    } else {
        s->counters.retrieved++;
        if (s->flags & LMAIL_POP3_DELETE_READ &&
            lmi_pop3_mark(&s->drop, &s->base.alloc, LMI_POP3_READ, s->number))
            return LMAIL_ERR_NOMEM;
    }
    return lmi_out_str(&s->base, s->body.ends_crlf ? LMAIL_STR(".\r\n") : LMAIL_STR("\r\n.\r\n"));
}

static lmail_status body_failed(lmail_pop3_server *s, lmail_pop3_failure failure, lmail_str text)
{
    if (s->begun) /* no way to say so in the middle of a message: the client must see it cut */
        return lmi_pop3_end(s);
    s->job = LMI_POP3_IDLE;
    return lmi_pop3_failed(s, failure, text, s->number);
}

static lmail_status take_octets(lmail_pop3_server *s, const lmail_pop3_octets_answer *a,
                                lmail_ticket t)
{
    lmi_pop3_body *b = &s->body;
    lmail_status st = LMAIL_OK;
    int done = 0;
    if (a->failure)
        return body_failed(s, a->failure, a->text);
    if (!s->begun)
        st = lmi_pop3_ok(s, b->top ? LMAIL_POP3_TEXT_TOP : LMAIL_POP3_TEXT_RETR,
                         (lmi_pop3_values){s->number, b->size});
    s->begun = 1;
    b->offset += a->octets.len;
    if (a->octets.len) {
        lmail_str data = a->octets;
        if (b->top)
            data.len = cut(b, data, &done);
        if (st)
            release(s, t);
        else
            st = send(s, data, t);
    }
    if (st)
        return st;
    return done || a->end || !a->octets.len || b->offset >= b->size ? finish(s) : LMAIL_OK;
}

static int octets_valid(const lmail_pop3_server *s, const lmail_pop3_octets_answer *a)
{
    return lmi_pop3_failure_valid(a->failure, a->text) &&
           (a->failure ? a->octets.len == 0 : a->octets.len <= s->body.want);
}

lmail_status lmi_pop3_body_some(lmail_pop3_server *s)
{
    lmi_question *q;
    lmail_status st = lmi_ask(&s->base, LMI_POP3_Q_OCTETS, &q);
    if (st)
        return st;
    lmail_pop3_octets_event *ev = lmi_arena_zget(&q->arena, sizeof *ev);
    if (!ev) {
        lmi_question_done(&s->base, q);
        return LMAIL_ERR_NOMEM;
    }
    uint64_t left = s->body.size - s->body.offset;
    size_t want = s->setup->cfg.max_want;
    ev->number = s->number;
    ev->top = s->body.top;
    ev->utf8 = s->utf8;
    ev->offset = s->body.offset;
    ev->want = s->body.want = left < want ? (size_t)left : want;
    lmail_pop3_octets_answer a;
    memset(&a, 0, sizeof a);
    a.size = sizeof a;
    lmail_ticket t = q->ticket;
    lmi_callback_begin(&s->base);
    st = s->setup->on.on_octets(s, s->base.user, t, ev, &a);
    lmi_callback_end(&s->base);
    if (st == LMAIL_PENDING) {
        lmi_question_wait(&s->base, q, 1, 0);
        return LMAIL_OK;
    }
    lmi_question_done(&s->base, q);
    if (st || !octets_valid(s, &a)) {
        if (!st && a.octets.len)
            release(s, t);
        return body_failed(s, LMAIL_POP3_TEMPORARY, nothing);
    }
    return take_octets(s, &a, t);
}

lmail_status lmail_pop3_server_answer_octets(lmail_pop3_server *s, lmail_ticket t,
                                             const lmail_pop3_octets_answer *answer, lmail_msec now)
{
    lmail_pop3_octets_answer a;
    lmi_question *q;
    if (lmi_struct_take(&a, sizeof a, answer))
        return LMAIL_ERR_SIZE;
    if (s->job == LMI_POP3_BODY && !octets_valid(s, &a))
        return LMAIL_ERR_ARG;
    lmail_status st = lmi_answer_enter(&s->base, t, LMI_POP3_Q_OCTETS, now, &q);
    if (st)
        return st;
    lmi_question_done(&s->base, q);
    st = take_octets(s, &a, t);
    return lmi_leave(&s->base, st < 0 ? st : lmi_pop3_run(s));
}
