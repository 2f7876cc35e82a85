/* imap_cmd_copy.c - COPY, MOVE and their UID forms.
 *
 * RFC 3501 §6.4.7, RFC 4315 §3 (COPYUID), RFC 6851 (MOVE: COPYUID comes first, in an untagged OK,
 * then the EXPUNGE lines, then the tagged line). */
#include "imap/imap_internal.h"

static void put_copyuid(lmi_imap *s)
{
    lmi_imap_put(s, LMAIL_STR("[COPYUID "));
    lmi_imap_put_u64(s, s->cmd.number);
    lmi_imap_put_char(s, ' ');
    lmi_imap_put_set(s, lmail_uid_list_set(&s->mbox.arg));
    lmi_imap_put_char(s, ' ');
    lmi_imap_put_set(s, lmail_uid_list_set(&s->mbox.arg2));
    lmi_imap_put(s, LMAIL_STR("] "));
}

static lmail_status copied(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    const lmail_imap_copy_answer *a = answer;
    const lmail_imap_copy_event *ev = s->cmd.data;
    lmi_imap_mbox *m = &s->mbox;
    lmail_imap_result told = *r;
    /* RFC 3501 §6.4.7: a target that is not there is told as TRYCREATE. */
    if (r->no && r->code == LMAIL_IMAP_CODE_NONEXISTENT)
        told.code = LMAIL_IMAP_CODE_TRYCREATE;
    /* A move that stopped half way has moved what it names. */
    if (ev->move && a->source.count) {
        lmail_status st = lmi_imap_mbox_vanished(m, a->source);
        if (st)
            return st;
    }
    int tell = a->source.count && lmi_imap_has(s, LMAIL_IMAP_UIDPLUS) &&
               lmail_uid_set_total(a->source) == lmail_uid_set_total(a->target);
    if (tell && (!r->no || ev->move)) {
        lmi_set_clear(&m->arg);
        lmi_set_clear(&m->arg2);
        lmail_status st = lmi_set_add(&m->arg, a->source);
        if (!st)
            st = lmi_set_add(&m->arg2, a->target);
        if (st == LMAIL_ERR_NOMEM)
            return st;
        s->cmd.number = a->uidvalidity;
        if (ev->move) {
            lmi_imap_put(s, LMAIL_STR("* OK "));
            put_copyuid(s);
            lmi_imap_put_line(s, LMAIL_STR("Moved"));
        } else {
            s->cmd.put_code = put_copyuid;
        }
    }
    return lmi_imap_finish_result(s, &told, LMAIL_IMAP_CODE_NONE);
}

static lmail_status begin(lmi_imap *s, unsigned move)
{
    lmi_imap_args *a = &s->cmd.args;
    lmi_imap_set set;
    lmail_status st;
    lmail_imap_copy_event *ev = lmi_imap_get(s, sizeof *ev, &st);
    if (!st)
        st = lmi_imap_set_between(a, &set);
    if (!st)
        st = lmi_imap_mailbox(a, &ev->target);
    if (!st)
        st = lmi_imap_end(a);
    if (!st)
        st = lmi_imap_set_resolve(s, &set, (int)s->cmd.uid, &ev->uids);
    if (st)
        return lmi_imap_finish_parse(s, st);
    s->cmd.data = ev;
    ev->mailbox = s->mbox.handle;
    ev->move = move;
    if (!ev->uids.count)
        return lmi_imap_finish_ok(s);
    return lmi_imap_ask_copy(s, ev, copied);
}

lmail_status lmi_imap_cmd_copy(lmi_imap *s)
{
    return begin(s, 0);
}

lmail_status lmi_imap_cmd_move(lmi_imap *s)
{
    return begin(s, 1);
}
