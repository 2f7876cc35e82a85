/* milter_packet.c - what comes from the filter: packets out of any split, and which of them fits the
 * question that runs.
 *
 * A packet is bounded before its memory is asked for: what was agreed on as the largest piece of a
 * message is the largest that a filter may send. */
#include "milter/milter_internal.h"

#include <string.h>

uint32_t lmi_milter_get32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

lmail_status lmi_milter_text(lmail_str *in, lmail_str *out)
{
    size_t n = lmi_str_find(*in, '\0');
    if (n == in->len)
        return LMAIL_ERR_SYNTAX;
    *out = (lmail_str){in->ptr, n};
    *in = lmi_str_skip(*in, n + 1);
    return LMAIL_OK;
}

/* ---- Answers --------------------------------------------------------------------------------- */

enum {
    CONNECTION = 1u << LMAIL_MILTER_ASK_CONNECT | 1u << LMAIL_MILTER_ASK_HELO,
    MESSAGE = 1u << LMAIL_MILTER_ASK_MAIL | 1u << LMAIL_MILTER_ASK_RCPT |
              1u << LMAIL_MILTER_ASK_DATA | 1u << LMAIL_MILTER_ASK_HEADER |
              1u << LMAIL_MILTER_ASK_EOH | 1u << LMAIL_MILTER_ASK_BODY | 1u << LMAIL_MILTER_ASK_END,
    ANY = CONNECTION | MESSAGE | 1u << LMAIL_MILTER_ASK_UNKNOWN,
    MANY = 1u << LMAIL_MILTER_ASK_HEADER | 1u << LMAIL_MILTER_ASK_BODY
};

typedef struct row {
    char letter;
    lmail_milter_says says;
    uint32_t fits; /* bits of questions */
} row;

static const row rows[] = {
    {'c', LMAIL_MILTER_SAYS_CONTINUE, ANY},    {'a', LMAIL_MILTER_SAYS_ACCEPT, ANY},
    {'r', LMAIL_MILTER_SAYS_REJECT, ANY},      {'t', LMAIL_MILTER_SAYS_TEMPFAIL, ANY},
    {'d', LMAIL_MILTER_SAYS_DISCARD, MESSAGE}, {'4', LMAIL_MILTER_SAYS_SHUTDOWN, ANY},
    {'f', LMAIL_MILTER_SAYS_SHUTDOWN, ANY}, /* "cause a connection failure" */
    {'s', LMAIL_MILTER_SAYS_CONTINUE, MANY},
};

static lmail_status answer(lmail_milter_client *s, char letter, lmail_str data)
{
    lmail_milter_verdict_event ev = {.says = LMAIL_MILTER_SAYS_NONE};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].letter == letter && rows[i].fits & 1u << s->ask)
            ev.says = rows[i].says;
    if (!ev.says)
        return lmi_milter_violation(s, "an answer that does not fit the question");
    if (data.len)
        return lmi_milter_violation(s, "an answer with something behind it");
    if (letter == 's' && !(s->facts.steps & LMI_STEP_SKIP))
        return lmi_milter_violation(s, "SKIP was not negotiated");
    if (letter == 's')
        s->skipped |= 1u << s->ask;
    lmi_milter_verdict(s, &ev);
    return LMAIL_OK;
}

static lmail_status take(lmail_milter_client *s, char letter, lmail_str data)
{
    lmi_trace(&s->base, LMAIL_TRACE_IN, 0, 0, lmi_str_sub((lmail_str){s->packet, s->got}, 0, 80));
    if (s->state == LMI_MILTER_NEGOTIATING)
        return letter == 'O' ? lmi_milter_negotiated(s, data)
                             : lmi_milter_violation(s, "no answer to the negotiation");
    if (s->state != LMI_MILTER_WAITING)
        return lmi_milter_violation(s, "it spoke without being asked");
    if (s->ask == LMAIL_MILTER_ASK_END) {
        if (lmi_milter_is_change(letter))
            return lmi_milter_change(s, letter, data);
        if (letter == 'p' && !data.len) {
            s->end_due = lmi_later(s->base.now, s->setup->config.end_timeout);
            return LMAIL_OK;
        }
    }
    return letter == 'y' ? lmi_milter_reply(s, data) : answer(s, letter, data);
}

/* ---- Octets ---------------------------------------------------------------------------------- */

/* The length is there. */
static lmail_status begin(lmail_milter_client *s)
{
    size_t most = s->facts.max_data ? s->facts.max_data + 1 : LMI_MILTER_DATA + 1u;
    s->need = lmi_milter_get32((const char *)s->head);
    s->got = 0;
    if (s->need == 0)
        return lmi_milter_violation(s, "an empty packet");
    if (s->need > most)
        return lmi_milter_violation(s, "a packet that is too long");
    return LMAIL_OK;
}

/* Memory comes with the octets: a length alone costs nothing. */
static lmail_status make_room(lmail_milter_client *s, size_t more)
{
    size_t cap = s->packet_cap ? s->packet_cap : 256;
    while (cap < s->got + more)
        cap *= 2;
    if (cap == s->packet_cap)
        return LMAIL_OK;
    char *p = lmi_realloc(&s->base.alloc, s->packet, s->packet_cap, cap);
    if (!p)
        return LMAIL_ERR_NOMEM;
    s->packet = p;
    s->packet_cap = cap;
    return LMAIL_OK;
}

lmail_status lmi_milter_input(lmail_milter_client *s, lmail_str in, size_t *used)
{
    lmail_status st = LMAIL_OK;
    size_t at = 0;
    while (at < in.len && s->head_len < 4)
        s->head[s->head_len++] = (unsigned char)in.ptr[at++];
    *used = at;
    if (s->head_len < 4)
        return LMAIL_OK;
    if (!s->need)
        st = begin(s);
    if (st || s->ended)
        return st;
    size_t n = in.len - at < s->need - s->got ? in.len - at : s->need - s->got;
    if (n == 0)
        return LMAIL_OK;
    st = make_room(s, n);
    if (st)
        return st;
    memcpy(s->packet + s->got, in.ptr + at, n);
    s->got += n;
    *used = at + n;
    if (s->got < s->need)
        return LMAIL_OK;
    s->head_len = 0;
    s->need = 0;
    st = take(s, s->packet[0], (lmail_str){s->packet + 1, s->got - 1});
    if (!st)
        lmi_milter_wait(s);
    return st;
}
