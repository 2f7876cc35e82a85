/* imap_cmd_select.c - SELECT, EXAMINE, CLOSE, UNSELECT.
 *
 * RFC 3501 §6.3.1, §6.3.2, §6.4.2; RFC 3691. The mailbox that was open is closed first, whatever
 * becomes of the new one. */
#include "imap/imap_internal.h"

typedef struct select_data {
    lmail_str name;
    unsigned read_only;
    unsigned closing;
    lmail_imap_result *why; /* of a mailbox that was opened and could not be kept */
} select_data;

static void leave(lmi_imap *s)
{
    lmi_imap_mbox_done(&s->mbox);
    s->state = LMAIL_IMAP_STATE_AUTHENTICATED;
    lmi_trace(&s->base, LMAIL_TRACE_STATE, 0, 0, LMAIL_STR("authenticated"));
}

/* ---- SELECT ---------------------------------------------------------------------------------- */

static lmail_status ask_select(lmi_imap *s);
static lmail_status ask_close(lmi_imap *s);

static void put_read_write(lmi_imap *s)
{
    lmi_imap_put(s, s->mbox.read_only ? LMAIL_STR("[READ-ONLY] ") : LMAIL_STR("[READ-WRITE] "));
}

static lmail_status keep(lmi_imap *s, const lmail_imap_select_answer *a)
{
    lmi_imap_mbox *m = &s->mbox;
    select_data *d = s->cmd.data;
    lmail_status st = lmi_arena_copy(&m->arena, d->name, &m->name);
    for (size_t i = 0; i < a->uids.count && !st; i++)
        st = lmi_imap_view_add(&m->view, a->uids.ranges[i].first, a->uids.ranges[i].last);
    if (!st)
        st = lmi_imap_view_cut(&m->view, a->recent, &m->recent);
    if (!st)
        st = lmi_imap_mbox_keywords(m, a->keywords);
    m->handle = a->mailbox;
    m->permanent = a->permanent;
    m->new_keywords = a->new_keywords != 0;
    m->highestmodseq = a->highestmodseq;
    m->read_only = d->read_only || a->read_only;
    m->open = 1;
    return st;
}

static void put_number_code(lmi_imap *s, lmail_str code, uint64_t n, lmail_str text)
{
    lmi_imap_put(s, LMAIL_STR("* OK ["));
    lmi_imap_put(s, code);
    lmi_imap_put_u64(s, n);
    lmi_imap_put(s, LMAIL_STR("] "));
    lmi_imap_put_line(s, text);
}

/* RFC 3501 §6.3.1, in the order of its example. */
static void describe(lmi_imap *s, const lmail_imap_select_answer *a)
{
    const lmi_imap_mbox *m = &s->mbox;
    lmi_imap_put(s, LMAIL_STR("* "));
    lmi_imap_put_u64(s, m->view.total);
    lmi_imap_put_line(s, LMAIL_STR(" EXISTS"));
    if (!(s->enabled & LMI_ENABLED_REV2)) {
        lmi_imap_put(s, LMAIL_STR("* "));
        lmi_imap_put_u64(s, lmi_imap_mbox_recent(m));
        lmi_imap_put_line(s, LMAIL_STR(" RECENT"));
        uint32_t unseen = a->first_unseen ? lmi_imap_view_seq(&m->view, a->first_unseen) : 0;
        if (unseen)
            put_number_code(s, LMAIL_STR("UNSEEN "), unseen, LMAIL_STR("First unseen message"));
    }
    put_number_code(s, LMAIL_STR("UIDVALIDITY "), a->uidvalidity, LMAIL_STR("UIDs valid"));
    if (a->uidnext)
        put_number_code(s, LMAIL_STR("UIDNEXT "), a->uidnext, LMAIL_STR("Predicted next UID"));
    if (a->uid_not_sticky)
        lmi_imap_put_line(s, LMAIL_STR("* NO [UIDNOTSTICKY] UIDs are not kept"));
    lmi_imap_put_flag_tables(s);
}

static lmail_status selected(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    const lmail_imap_select_answer *a = answer;
    if (r->no)
        return lmi_imap_finish_result(s, r, LMAIL_IMAP_CODE_NONE);
    lmail_status st = keep(s, a);
    if (st == LMAIL_ERR_NOMEM)
        return st;
    if (st) {
        /* Sets out of order, or more than the view may hold. The host has it open: close it
         * again. */
        ((select_data *)s->cmd.data)->closing = 2;
        s->step = ask_close;
        return LMAIL_OK;
    }
    s->state = LMAIL_IMAP_STATE_SELECTED;
    lmi_trace(&s->base, LMAIL_TRACE_STATE, 0, 0, LMAIL_STR("selected"));
    describe(s, a);
    s->cmd.put_code = put_read_write;
    return lmi_imap_finish_ok(s);
}

static lmail_status closed(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    (void)answer;
    (void)r;
    select_data *d = s->cmd.data;
    leave(s);
    if (d->closing == 2)
        return lmi_imap_finish(s, LMI_NO, LMAIL_IMAP_CODE_LIMIT,
                               LMAIL_STR("The mailbox is too large for this session"));
    if (s->enabled & LMI_ENABLED_REV2)
        lmi_imap_put_line(s, LMAIL_STR("* OK [CLOSED] Previous mailbox is closed"));
    s->step = ask_select;
    return LMAIL_OK;
}

static lmail_status ask_close(lmi_imap *s)
{
    lmail_imap_close_event ev = {s->mbox.handle, 0};
    s->step = NULL;
    return lmi_imap_ask_close(s, &ev, closed);
}

static lmail_status ask_select(lmi_imap *s)
{
    select_data *d = s->cmd.data;
    lmail_imap_select_event ev = {d->name, d->read_only};
    s->step = NULL;
    return lmi_imap_ask_select(s, &ev, selected);
}

static lmail_status begin(lmi_imap *s, unsigned read_only)
{
    lmi_imap_args *a = &s->cmd.args;
    lmail_status st;
    select_data *d = lmi_imap_get(s, sizeof *d, &st);
    if (!st)
        st = lmi_imap_sp(a);
    if (!st)
        st = lmi_imap_mailbox(a, &d->name);
    if (!st)
        st = lmi_imap_end(a);
    if (st)
        return lmi_imap_finish_parse(s, st);
    d->read_only = read_only;
    s->cmd.data = d;
    s->step = s->mbox.open ? ask_close : ask_select;
    return LMAIL_OK;
}

lmail_status lmi_imap_cmd_select(lmi_imap *s)
{
    return begin(s, 0);
}

lmail_status lmi_imap_cmd_examine(lmi_imap *s)
{
    return begin(s, 1);
}

/* ---- CLOSE, UNSELECT ------------------------------------------------------------------------- */

static lmail_status left(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    (void)answer;
    leave(s);
    return lmi_imap_finish_result(s, r, LMAIL_IMAP_CODE_NONE);
}

static lmail_status end(lmi_imap *s, unsigned expunge)
{
    lmail_status st = lmi_imap_end(&s->cmd.args);
    if (st)
        return lmi_imap_finish_parse(s, st);
    if (lmi_imap_handler(s)->on_close) {
        lmail_imap_close_event ev = {s->mbox.handle, expunge};
        return lmi_imap_ask_close(s, &ev, left);
    }
    if (expunge && lmi_imap_handler(s)->on_expunge) {
        lmail_imap_expunge_event ev = {s->mbox.handle, 1, {NULL, 0}};
        return lmi_imap_ask_expunge(s, &ev, left);
    }
    leave(s);
    return lmi_imap_finish_ok(s);
}

lmail_status lmi_imap_cmd_close(lmi_imap *s)
{
    /* RFC 3501 §6.4.2: nothing is removed from a mailbox opened read-only, and that is no error. */
    return end(s, !s->mbox.read_only);
}

lmail_status lmi_imap_cmd_unselect(lmi_imap *s)
{
    return end(s, 0);
}
