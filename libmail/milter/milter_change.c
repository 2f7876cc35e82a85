/* milter_change.c - what a filter changes at the end of a message: each change is checked against what
 * was negotiated, put into the form that a message on the wire has, and told to the host. */
#include "milter/milter_internal.h"

enum { CHANGE_TICKET = 1 };

typedef struct row {
    char letter;
    lmail_milter_change_kind kind;
    uint32_t right; /* LMAIL_MILTER_MAY_* */
} row;

static const row rows[] = {
    {'h', LMAIL_MILTER_CHANGE_ADD_HEADER, LMAIL_MILTER_MAY_ADD_HEADERS},
    {'i', LMAIL_MILTER_CHANGE_INSERT_HEADER, LMAIL_MILTER_MAY_ADD_HEADERS},
    {'m', LMAIL_MILTER_CHANGE_CHANGE_HEADER, LMAIL_MILTER_MAY_CHANGE_HEADERS},
    {'b', LMAIL_MILTER_CHANGE_BODY, LMAIL_MILTER_MAY_CHANGE_BODY},
    {'+', LMAIL_MILTER_CHANGE_ADD_RCPT, LMAIL_MILTER_MAY_ADD_RCPT},
    {'2', LMAIL_MILTER_CHANGE_ADD_RCPT, LMAIL_MILTER_MAY_ADD_RCPT_ARGS},
    {'-', LMAIL_MILTER_CHANGE_DELETE_RCPT, LMAIL_MILTER_MAY_DELETE_RCPT},
    {'e', LMAIL_MILTER_CHANGE_FROM, LMAIL_MILTER_MAY_CHANGE_FROM},
    {'q', LMAIL_MILTER_CHANGE_QUARANTINE, LMAIL_MILTER_MAY_QUARANTINE},
};

static const row *row_of(char letter)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].letter == letter)
            return &rows[i];
    return NULL;
}

int lmi_milter_is_change(char letter)
{
    return row_of(letter) != NULL;
}

/* ---- Parsing --------------------------------------------------------------------------------- */

static int is_name(lmail_str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < '!' || name.ptr[i] > '~' || name.ptr[i] == ':')
            return 0;
    return name.len > 0 && name.len <= 255;
}

/* The value as it goes behind the colon: CRLF line ends, a blank at the begin of each line, none of
 * them empty. A filter writes LF, or CRLF, and an end without a blank behind it is no end of the
 * field. */
static lmail_status unfold(lmail_milter_client *s, lmail_str in, lmail_str *out)
{
    size_t size, n = 0;
    if (lmail_size_mul(in.len, 3, &size) || lmail_size_add(size, 1, &size))
        return LMAIL_ERR_LIMIT;
    if (size > s->value_cap) {
        char *p = lmi_realloc(&s->base.alloc, s->value, s->value_cap, size);
        if (!p)
            return LMAIL_ERR_NOMEM;
        s->value = p;
        s->value_cap = size;
    }
    if (in.len && !(s->facts.steps & LMAIL_MILTER_STEP_LEADING_SPACE))
        s->value[n++] = ' ';
    for (size_t i = 0, ended = 0; i < in.len; i++) {
        char c = in.ptr[i];
        if (c == '\r' || c == '\n') {
            ended = 1;
            continue;
        }
        if (ended) {
            s->value[n++] = '\r';
            s->value[n++] = '\n';
            if (c != ' ' && c != '\t')
                s->value[n++] = '\t';
        }
        ended = 0;
        s->value[n++] = c;
    }
    *out = (lmail_str){s->value, n};
    return LMAIL_OK;
}

static lmail_status read_header(lmail_milter_client *s, lmail_str data,
                                lmail_milter_change_event *ev)
{
    lmail_str value;
    if (ev->kind != LMAIL_MILTER_CHANGE_ADD_HEADER) {
        if (data.len < 4)
            return LMAIL_ERR_SYNTAX;
        ev->index = lmi_milter_get32(data.ptr);
        data = lmi_str_skip(data, 4);
    }
    if (lmi_milter_text(&data, &ev->name) || lmi_milter_text(&data, &value) || data.len ||
        !is_name(ev->name) || ev->index > INT32_MAX)
        return LMAIL_ERR_SYNTAX;
    return unfold(s, value, &ev->value);
}

/* An address, in brackets or not, and perhaps parameters. */
static lmail_status read_address(lmail_str data, int args, lmail_milter_change_event *ev)
{
    if (lmi_milter_text(&data, &ev->value))
        return LMAIL_ERR_SYNTAX;
    if (data.len && (!args || lmi_milter_text(&data, &ev->args) || data.len))
        return LMAIL_ERR_SYNTAX;
    lmail_str *a = &ev->value;
    if (a->len >= 2 && a->ptr[0] == '<' && a->ptr[a->len - 1] == '>')
        *a = lmi_str_sub(*a, 1, a->len - 2);
    return lmi_str_printable(*a) && lmi_str_printable(ev->args) ? LMAIL_OK : LMAIL_ERR_SYNTAX;
}

static lmail_status read(lmail_milter_client *s, char letter, lmail_str data,
                         lmail_milter_change_event *ev)
{
    switch (ev->kind) {
    case LMAIL_MILTER_CHANGE_BODY:
        ev->value = data;
        return LMAIL_OK;
    case LMAIL_MILTER_CHANGE_ADD_RCPT:
    case LMAIL_MILTER_CHANGE_DELETE_RCPT:
    case LMAIL_MILTER_CHANGE_FROM:
        return read_address(data, letter == '2' || letter == 'e', ev);
    case LMAIL_MILTER_CHANGE_QUARANTINE:
        if (lmi_milter_text(&data, &ev->value) || data.len || !lmi_str_printable(ev->value))
            return LMAIL_ERR_SYNTAX;
        return LMAIL_OK;
    default:
        return read_header(s, data, ev);
    }
}

/* ---- To the host ----------------------------------------------------------------------------- */

static lmail_status apply(lmail_milter_client *s, lmi_question *q, lmail_status st,
                          const lmail_milter_change_answer *a)
{
    lmi_question_done(&s->base, q);
    if (st || a->failed)
        return lmi_milter_fail(s, LMAIL_MILTER_CAUSE_HOST, "a change could not be kept");
    return LMAIL_OK;
}

static lmail_status tell(lmail_milter_client *s, const lmail_milter_change_event *ev)
{
    lmi_question *q;
    lmail_milter_change_answer a = LMAIL_MILTER_CHANGE_ANSWER_INIT;
    lmail_status st = lmi_ask(&s->base, CHANGE_TICKET, &q);
    if (st)
        return st;
    lmi_callback_begin(&s->base);
    st = s->setup->on.on_change(s, s->base.user, q->ticket, ev, &a);
    lmi_callback_end(&s->base);
    if (st == LMAIL_PENDING) {
        s->stood_still = s->base.now;
        lmi_question_wait(&s->base, q, 1, 0);
        return LMAIL_OK;
    }
    return apply(s, q, st, &a);
}

lmail_status lmi_milter_change(lmail_milter_client *s, char letter, lmail_str data)
{
    const row *r = row_of(letter);
    lmail_milter_change_event ev = {.kind = r->kind};
    if (!(s->facts.actions & r->right))
        return lmi_milter_violation(s, "a change that was not negotiated");
    if (++s->changes > s->setup->config.max_changes)
        return lmi_milter_violation(s, "too many changes");
    lmail_status st = read(s, letter, data, &ev);
    if (st == LMAIL_ERR_SYNTAX)
        return lmi_milter_violation(s, "a malformed change");
    return st ? st : tell(s, &ev);
}

lmail_status lmail_milter_client_answer_change(lmail_milter_client *s, lmail_ticket t,
                                               const lmail_milter_change_answer *answer,
                                               lmail_msec now)
{
    lmi_question *q;
    lmail_milter_change_answer a = LMAIL_MILTER_CHANGE_ANSWER_INIT;
    if (answer && lmi_struct_take(&a, sizeof a, answer))
        return LMAIL_ERR_SIZE;
    lmail_status st = lmi_answer_enter(&s->base, t, CHANGE_TICKET, now, &q);
    if (st)
        return st;
    if (s->end_due != LMAIL_NEVER && s->base.now > s->stood_still)
        s->end_due = lmi_later(s->end_due, s->base.now - s->stood_still);
    st = apply(s, q, LMAIL_OK, &a);
    lmi_milter_wait(s);
    return lmi_leave(&s->base, st);
}
