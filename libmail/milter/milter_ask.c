/* milter_ask.c - questions to the filter: which of them it wants, how they are written, and the macros
 * that go before. Called by submit and when a session starts. */
#include "milter/milter_internal.h"

#include <string.h>

/* One row a question. */
typedef struct row {
    char letter;
    uint8_t version;         /* a filter of a lower one does not know it */
    int8_t stage;            /* whose macros go before; -1: none */
    uint8_t quiet;           /* it has no answer */
    uint32_t unwanted, mute; /* LMI_STEP_* */
} row;

/* clang-format off */
static const row rows[LMAIL_MILTER_ASK_COUNT] = {
    [LMAIL_MILTER_ASK_CONNECT] = {'C', 2, LMAIL_MILTER_STAGE_CONNECT, 0, LMI_STEP_NO_CONNECT, LMI_STEP_MUTE_CONNECT},
    [LMAIL_MILTER_ASK_HELO] = {'H', 2, LMAIL_MILTER_STAGE_HELO, 0, LMI_STEP_NO_HELO, LMI_STEP_MUTE_HELO},
    [LMAIL_MILTER_ASK_MAIL] = {'M', 2, LMAIL_MILTER_STAGE_MAIL, 0, LMI_STEP_NO_MAIL, LMI_STEP_MUTE_MAIL},
    [LMAIL_MILTER_ASK_RCPT] = {'R', 2, LMAIL_MILTER_STAGE_RCPT, 0, LMI_STEP_NO_RCPT, LMI_STEP_MUTE_RCPT},
    [LMAIL_MILTER_ASK_DATA] = {'T', 4, LMAIL_MILTER_STAGE_DATA, 0, LMI_STEP_NO_DATA, LMI_STEP_MUTE_DATA},
    [LMAIL_MILTER_ASK_UNKNOWN] = {'U', 3, -1, 0, LMI_STEP_NO_UNKNOWN, LMI_STEP_MUTE_UNKNOWN},
    [LMAIL_MILTER_ASK_HEADER] = {'L', 2, -1, 0, LMI_STEP_NO_HEADERS, LMI_STEP_MUTE_HEADER},
    [LMAIL_MILTER_ASK_EOH] = {'N', 2, LMAIL_MILTER_STAGE_EOH, 0, LMI_STEP_NO_EOH, LMI_STEP_MUTE_EOH},
    [LMAIL_MILTER_ASK_BODY] = {'B', 2, -1, 0, LMI_STEP_NO_BODY, LMI_STEP_MUTE_BODY},
    [LMAIL_MILTER_ASK_END] = {'E', 2, LMAIL_MILTER_STAGE_END, 0, 0, 0},
    [LMAIL_MILTER_ASK_ABORT] = {'A', 2, -1, 1, 0, 0},
    [LMAIL_MILTER_ASK_RENEW] = {'K', 6, -1, 1, 0, 0},
};
/* clang-format on */

#define KINDS_OF_A_MESSAGE                                                                         \
    (1u << LMAIL_MILTER_ASK_RCPT | 1u << LMAIL_MILTER_ASK_HEADER | 1u << LMAIL_MILTER_ASK_BODY)

int lmi_milter_is_mute(const lmail_milter_client *s, lmail_milter_ask_kind kind)
{
    return rows[kind].quiet || s->facts.steps & rows[kind].mute;
}

int lmail_milter_client_asks(const lmail_milter_client *s, lmail_milter_ask_kind kind)
{
    return (unsigned)kind < LMAIL_MILTER_ASK_COUNT && kind != LMAIL_MILTER_ASK_NONE && !s->ended &&
           s->facts.version >= rows[kind].version && !(s->facts.steps & rows[kind].unwanted) &&
           !(s->skipped & 1u << kind);
}

/* ---- Writing --------------------------------------------------------------------------------- */

void lmi_milter_put32(char out[4], uint32_t value)
{
    for (size_t i = 0; i < 4; i++)
        out[i] = (char)(value >> (24 - 8 * i) & 0xff);
}

lmail_status lmi_milter_write(lmail_milter_client *s, char letter, const lmail_str *pieces,
                              size_t count)
{
    char head[5];
    size_t len = 1;
    for (size_t i = 0; i < count; i++)
        if (lmail_size_add(len, pieces[i].len, &len))
            return LMAIL_ERR_ARG;
    if (len > UINT32_MAX)
        return LMAIL_ERR_ARG;
    lmi_milter_put32(head, (uint32_t)len);
    head[4] = letter;
    lmail_status st = lmi_out_write(&s->base, head, sizeof head);
    for (size_t i = 0; i < count && !st; i++)
        st = lmi_out_str(&s->base, pieces[i]);
    lmi_trace(&s->base, LMAIL_TRACE_OUT, 0, 0, (lmail_str){head + 4, 1});
    return st;
}

lmail_status lmi_milter_offer(lmail_milter_client *s)
{
    char data[12];
    lmi_milter_put32(data, s->setup->config.version);
    lmi_milter_put32(data + 4, s->setup->config.actions);
    lmi_milter_put32(data + 8, s->setup->steps);
    lmail_str piece = {data, sizeof data};
    return lmi_milter_write(s, 'O', &piece, 1);
}

/* Up to the first NUL: the protocol's texts end there. */
static lmail_str until_nul(lmail_str text)
{
    return (lmail_str){text.ptr, lmi_str_find(text, '\0')};
}

static const lmail_str nul = {"", 1};

/* ---- Macros ---------------------------------------------------------------------------------- */

/* The next name of a list of names, in braces or not; empty: there is none. */
static lmail_str next_name(lmail_str *list)
{
    size_t at = 0;
    while (at < list->len && (list->ptr[at] == ' ' || list->ptr[at] == ',' ||
                              list->ptr[at] == '{' || list->ptr[at] == '}'))
        at++;
    *list = lmi_str_skip(*list, at);
    at = 0;
    while (at < list->len && list->ptr[at] != ' ' && list->ptr[at] != ',' && list->ptr[at] != '}')
        at++;
    lmail_str name = {list->ptr, at};
    *list = lmi_str_skip(*list, at);
    return name;
}

static lmail_str value_of(lmail_milter_client *s, lmail_milter_stage stage, lmail_str name)
{
    lmi_callback_begin(&s->base);
    lmail_str value = s->setup->on.on_macro(s, s->base.user, stage, name);
    lmi_callback_end(&s->base);
    return value.ptr ? until_nul(value) : value;
}

/* The length of the packet goes before it, so the values are asked for twice: once to count. */
static lmail_status write_macros(lmail_milter_client *s, char letter, lmail_milter_stage stage)
{
    lmail_str list = s->macros[stage].ptr ? s->macros[stage] : s->setup->config.macros[stage], name;
    lmi_arena room;
    lmail_str *pieces;
    size_t count = 1, most = 1;
    if (!s->setup->on.on_macro)
        return LMAIL_OK;
    for (lmail_str l = list; (name = next_name(&l)).len;)
        most += 6;
    lmi_arena_init(&room, &s->base.alloc, SIZE_MAX);
    pieces = lmi_arena_get(&room, most * sizeof *pieces);
    lmail_status st = pieces ? LMAIL_OK : LMAIL_ERR_NOMEM;
    if (!st)
        pieces[0] = (lmail_str){&letter, 1};
    for (lmail_str l = list; !st && (name = next_name(&l)).len;) {
        lmail_str value = value_of(s, stage, name), kept;
        if (!value.ptr)
            continue;
        st = lmi_arena_copy(&room, value, &kept);
        if (st)
            break;
        int braces = name.len > 1;
        pieces[count++] = braces ? LMAIL_STR("{") : LMAIL_STR("");
        pieces[count++] = name;
        pieces[count++] = braces ? LMAIL_STR("}") : LMAIL_STR("");
        pieces[count++] = nul;
        pieces[count++] = kept;
        pieces[count++] = nul;
    }
    if (!st && count > 1)
        st = lmi_milter_write(s, 'D', pieces, count);
    lmi_arena_done(&room);
    return st;
}

/* ---- Questions ------------------------------------------------------------------------------- */

static lmail_status write_connect(lmail_milter_client *s, const lmail_milter_ask *a)
{
    static const char letters[] = {'U', 'L', '4', '6'};
    char where[3] = {letters[a->family], (char)(a->port >> 8 & 0xff), (char)(a->port & 0xff)};
    lmail_str pieces[] = {until_nul(a->text), nul, {where, 3}, until_nul(a->value), nul};
    if (a->family == LMAIL_MILTER_FAMILY_UNKNOWN) {
        pieces[2].len = 1;
        return lmi_milter_write(s, 'C', pieces, 3);
    }
    return lmi_milter_write(s, 'C', pieces, 5);
}

static lmail_status write_envelope(lmail_milter_client *s, const lmail_milter_ask *a)
{
    lmi_arena room;
    size_t size;
    if (lmail_size_add(a->arg_count, 1, &size) ||
        lmail_size_mul(size, 2 * sizeof(lmail_str), &size))
        return LMAIL_ERR_ARG;
    lmi_arena_init(&room, &s->base.alloc, SIZE_MAX);
    lmail_str *pieces = lmi_arena_get(&room, size);
    if (!pieces)
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i <= a->arg_count; i++) {
        pieces[2 * i] = until_nul(i ? a->args[i - 1] : a->text);
        pieces[2 * i + 1] = nul;
    }
    lmail_status st = lmi_milter_write(s, rows[a->kind].letter, pieces, 2 * (a->arg_count + 1));
    lmi_arena_done(&room);
    return st;
}

/* Line ends are LF here, and one space behind the colon is left out unless the filter wants it. */
static lmail_status write_header(lmail_milter_client *s, const lmail_milter_ask *a)
{
    lmail_str value = until_nul(a->value), line[64], name = until_nul(a->text);
    size_t total = name.len + 3, count = 0;
    if (!(s->facts.steps & LMAIL_MILTER_STEP_LEADING_SPACE) && value.len && value.ptr[0] == ' ')
        value = lmi_str_skip(value, 1);
    for (size_t i = 0; i < value.len; i++)
        total += value.ptr[i] != '\r';
    char head[5];
    lmi_milter_put32(head, (uint32_t)total);
    head[4] = 'L';
    lmail_status st = total > UINT32_MAX ? LMAIL_ERR_ARG : lmi_out_write(&s->base, head, 5);
    if (!st)
        st = lmi_out_str(&s->base, name);
    if (!st)
        st = lmi_out_str(&s->base, nul);
    for (size_t at = 0; at < value.len && !st;) {
        size_t n = lmi_str_find(lmi_str_skip(value, at), '\r');
        line[count++] = (lmail_str){value.ptr + at, n};
        at += n + 1;
        if (count < sizeof line / sizeof *line && at < value.len)
            continue;
        for (size_t i = 0; i < count && !st; i++)
            st = lmi_out_str(&s->base, line[i]);
        count = 0;
    }
    lmi_trace(&s->base, LMAIL_TRACE_OUT, 0, 0, (lmail_str){head + 4, 1});
    return st ? st : lmi_out_str(&s->base, nul);
}

static lmail_status write_ask(lmail_milter_client *s, const lmail_milter_ask *a)
{
    const row *r = &rows[a->kind];
    lmail_str pieces[] = {until_nul(a->text), nul};
    lmail_status st = LMAIL_OK;
    if (r->stage >= 0)
        st = write_macros(s, r->letter, (lmail_milter_stage)r->stage);
    if (st)
        return st;
    switch (a->kind) {
    case LMAIL_MILTER_ASK_CONNECT:
        return write_connect(s, a);
    case LMAIL_MILTER_ASK_MAIL:
    case LMAIL_MILTER_ASK_RCPT:
        return write_envelope(s, a);
    case LMAIL_MILTER_ASK_HEADER:
        return write_header(s, a);
    case LMAIL_MILTER_ASK_BODY:
        return lmi_milter_write(s, r->letter, &a->text, 1);
    case LMAIL_MILTER_ASK_HELO:
    case LMAIL_MILTER_ASK_UNKNOWN:
        return lmi_milter_write(s, r->letter, pieces, 2);
    default:
        return lmi_milter_write(s, r->letter, NULL, 0);
    }
}

static lmail_status check(const lmail_milter_client *s, const lmail_milter_ask *a)
{
    if ((unsigned)a->kind >= LMAIL_MILTER_ASK_COUNT || a->kind == LMAIL_MILTER_ASK_NONE ||
        (unsigned)a->family > LMAIL_MILTER_FAMILY_INET6 || a->port > 65535)
        return LMAIL_ERR_ARG;
    if (s->ended)
        return LMAIL_ERR_CLOSED;
    if (s->state != LMI_MILTER_IDLE)
        return LMAIL_ERR_STATE;
    if (a->kind == LMAIL_MILTER_ASK_BODY && a->text.len > s->facts.max_data)
        return LMAIL_ERR_ARG;
    return a->kind == LMAIL_MILTER_ASK_RENEW && s->facts.version < 6 ? LMAIL_ERR_UNSUPPORTED
                                                                     : LMAIL_OK;
}

static lmail_status submit(lmail_milter_client *s, const lmail_milter_ask *a)
{
    lmail_milter_verdict_event yes = {.says = LMAIL_MILTER_SAYS_CONTINUE};
    int quiet = rows[a->kind].quiet, asks = lmail_milter_client_asks(s, a->kind);
    if (a->kind == LMAIL_MILTER_ASK_MAIL || quiet) {
        s->skipped &= ~KINDS_OF_A_MESSAGE;
        s->changes = 0;
    }
    lmail_status st = asks ? write_ask(s, a) : LMAIL_OK;
    if (st || quiet) {
        lmi_milter_wait(s);
        return st;
    }
    s->ask = a->kind;
    if (!asks) {
        lmi_milter_verdict(s, &yes);
    } else if (lmi_milter_is_mute(s, a->kind)) {
        lmi_milter_enter(s, LMI_MILTER_WRITING);
        lmi_want_room(&s->base);
    } else {
        s->end_due = LMAIL_NEVER; /* until END is sent */
        lmi_milter_enter(s, LMI_MILTER_WAITING);
    }
    lmi_milter_wait(s);
    return LMAIL_OK;
}

lmail_status lmail_milter_client_submit(lmail_milter_client *s, const lmail_milter_ask *ask,
                                        lmail_msec now)
{
    lmail_milter_ask a;
    lmail_status st = lmi_enter(&s->base, now);
    if (st)
        return st;
    if (lmi_struct_take(&a, sizeof a, ask))
        return LMAIL_ERR_SIZE;
    st = check(s, &a);
    return st ? st : lmi_leave(&s->base, submit(s, &a));
}
