/* pop3_listing.c - LIST and UIDL, for one message or for all, written while there is room.
 *
 * RFC 1939 §5 (LIST), §7 (UIDL). Sizes are the session's own; unique-ids are asked for in slices
 * when their turn comes, so that nothing of them is kept. */
#include "pop3/pop3_internal.h"

#include <string.h>

#define LINES_AT_ONCE 512u
#define IDS_AT_ONCE 256u

static const lmail_str nothing = {NULL, 0};

static lmail_status finish(lmail_pop3_server *s)
{
    s->job = LMI_POP3_IDLE;
    return lmi_out_str(&s->base, LMAIL_STR(".\r\n"));
}

/* "number rest" and its CRLF; the caller has room for 100 octets. */
static size_t write_line(char *out, uint32_t number, lmail_str rest)
{
    size_t n = lmi_write_u64(out, number);
    out[n++] = ' ';
    memcpy(out + n, rest.ptr, rest.len);
    n += rest.len;
    out[n++] = '\r';
    out[n++] = '\n';
    return n;
}

/* ---- LIST ------------------------------------------------------------------------------------ */

lmail_status lmi_pop3_list(lmail_pop3_server *s, lmail_str args)
{
    uint32_t number;
    lmi_pop3_values v = {s->drop.count - s->drop.deleted, s->drop.octets - s->drop.deleted_octets};
    if (!args.ptr) {
        s->job = LMI_POP3_LIST;
        s->number = 1;
        return lmi_pop3_ok(s, LMAIL_POP3_TEXT_LIST, v);
    }
    lmail_status st = lmi_pop3_number(s, args, &number);
    if (st)
        return st;
    char text[48];
    size_t n = lmi_write_u64(text, number);
    text[n++] = ' ';
    n += lmi_write_u64(text + n, lmi_pop3_size(&s->drop, number));
    return lmi_pop3_status_line(s, 1, (lmail_str){text, n}, LMAIL_POP3_TEXT_COUNT, nothing, v);
}

lmail_status lmi_pop3_list_some(lmail_pop3_server *s)
{
    char text[32 * 48];
    size_t n = 0;
    lmail_status st = LMAIL_OK;
    for (unsigned i = 0; !st && i < LINES_AT_ONCE && s->number <= s->drop.count; s->number++, i++) {
        if (lmi_pop3_marked(&s->drop, LMI_POP3_DELETED, s->number))
            continue;
        char size[20];
        lmail_str rest = {size, lmi_write_u64(size, lmi_pop3_size(&s->drop, s->number))};
        n += write_line(text + n, s->number, rest);
        if (n > sizeof text - 48) {
            st = lmi_out_write(&s->base, text, n);
            n = 0;
        }
    }
    if (!st)
        st = lmi_out_write(&s->base, text, n);
    return st || s->number <= s->drop.count ? st : finish(s);
}

/* ---- UIDL ------------------------------------------------------------------------------------ */

lmail_status lmi_pop3_uidl(lmail_pop3_server *s, lmail_str args)
{
    if (!s->setup->on.on_uidl)
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_UNKNOWN);
    s->number = 1;
    if (args.ptr) {
        lmail_status st = lmi_pop3_number(s, args, &s->number);
        if (st)
            return st;
    }
    s->single = args.ptr != NULL;
    s->begun = 0;
    s->job = LMI_POP3_UIDL;
    return LMAIL_OK;
}

static uint32_t ids_wanted(const lmail_pop3_server *s)
{
    uint32_t left = s->drop.count - s->number + 1;
    if (s->single)
        return 1;
    return left < IDS_AT_ONCE ? left : IDS_AT_ONCE;
}

static int id_valid(lmail_str id)
{
    if (id.len > 70) /* RFC 1939 §7 */
        return 0;
    for (size_t i = 0; i < id.len; i++)
        if (id.ptr[i] < 0x21 || id.ptr[i] > 0x7e)
            return 0;
    return 1;
}

static int uidl_valid(const lmail_pop3_server *s, const lmail_pop3_uidl_answer *a)
{
    if (!lmi_pop3_failure_valid(a->failure, a->text))
        return 0;
    if (a->failure)
        return 1;
    if (a->count < 1 || a->count > ids_wanted(s) || !a->ids)
        return 0;
    for (uint32_t i = 0; i < a->count; i++)
        if (!id_valid(a->ids[i]))
            return 0;
    return 1;
}

static lmail_status one_id(lmail_pop3_server *s, lmail_str id)
{
    char text[100];
    s->job = LMI_POP3_IDLE;
    if (!id.len)
        return lmi_pop3_failed(s, LMAIL_POP3_GONE, nothing, s->number);
    size_t n = write_line(text, s->number, id) - 2;
    return lmi_pop3_status_line(s, 1, (lmail_str){text, n}, LMAIL_POP3_TEXT_COUNT, nothing,
                                (lmi_pop3_values){0, 0});
}

static lmail_status uidl_failed(lmail_pop3_server *s, lmail_pop3_failure failure, lmail_str text)
{
    if (s->begun) /* the +OK is out: all that is left is to break off */
        return lmi_pop3_end(s);
    s->job = LMI_POP3_IDLE;
    return lmi_pop3_failed(s, failure, text, s->number);
}

static lmail_status take_uidl(lmail_pop3_server *s, const lmail_pop3_uidl_answer *a)
{
    lmail_status st = LMAIL_OK;
    if (a->failure)
        return uidl_failed(s, a->failure, a->text);
    if (s->single)
        return one_id(s, a->ids[0]);
    if (!s->begun)
        st = lmi_pop3_ok(s, LMAIL_POP3_TEXT_UIDL, (lmi_pop3_values){0, 0});
    s->begun = 1;
    char text[16 * 100];
    size_t n = 0;
    for (uint32_t i = 0; !st && i < a->count; i++, s->number++) {
        if (!a->ids[i].len || lmi_pop3_marked(&s->drop, LMI_POP3_DELETED, s->number))
            continue;
        n += write_line(text + n, s->number, a->ids[i]);
        if (n > sizeof text - 100) {
            st = lmi_out_write(&s->base, text, n);
            n = 0;
        }
    }
    if (!st)
        st = lmi_out_write(&s->base, text, n);
    return st || s->number <= s->drop.count ? st : finish(s);
}

lmail_status lmi_pop3_uidl_some(lmail_pop3_server *s)
{
    if (s->drop.count == 0) {
        lmail_status st = lmi_pop3_ok(s, LMAIL_POP3_TEXT_UIDL, (lmi_pop3_values){0, 0});
        return st ? st : finish(s);
    }
    lmi_question *q;
    lmail_status st = lmi_ask(&s->base, LMI_POP3_Q_UIDL, &q);
    if (st)
        return st;
    lmail_pop3_uidl_event *ev = lmi_arena_zget(&q->arena, sizeof *ev);
    if (!ev) {
        lmi_question_done(&s->base, q);
        return LMAIL_ERR_NOMEM;
    }
    ev->first = s->number;
    ev->count = ids_wanted(s);
    lmail_pop3_uidl_answer a = {sizeof a, LMAIL_POP3_DONE, {NULL, 0}, NULL, 0};
    lmi_callback_begin(&s->base);
    st = s->setup->on.on_uidl(s, s->base.user, q->ticket, ev, &a);
    lmi_callback_end(&s->base);
    if (st == LMAIL_PENDING) {
        lmi_question_wait(&s->base, q, 1, 0);
        return LMAIL_OK;
    }
    lmi_question_done(&s->base, q);
    if (st || !uidl_valid(s, &a))
        return uidl_failed(s, LMAIL_POP3_TEMPORARY, nothing);
    return take_uidl(s, &a);
}

lmail_status lmail_pop3_server_answer_uidl(lmail_pop3_server *s, lmail_ticket t,
                                           const lmail_pop3_uidl_answer *answer, lmail_msec now)
{
    lmail_pop3_uidl_answer a;
    lmi_question *q;
    if (lmi_struct_take(&a, sizeof a, answer))
        return LMAIL_ERR_SIZE;
    if (s->job == LMI_POP3_UIDL && !uidl_valid(s, &a))
        return LMAIL_ERR_ARG;
    lmail_status st = lmi_answer_enter(&s->base, t, LMI_POP3_Q_UIDL, now, &q);
    if (st)
        return st;
    lmi_question_done(&s->base, q);
    st = take_uidl(s, &a);
    return lmi_leave(&s->base, st < 0 ? st : lmi_pop3_run(s));
}
