/* imap_cmd_expunge.c - EXPUNGE and UID EXPUNGE.
 *
 * RFC 3501 §6.4.3, RFC 4315 §2.1. What the host removed joins the news; the lines are written as
 * the command ends (imap_update.c). */
#include "imap/imap_internal.h"

static lmail_status expunged(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    const lmail_imap_expunge_answer *a = answer;
    lmail_status st = lmi_imap_mbox_vanished(&s->mbox, a->vanished);
    return st ? st : lmi_imap_finish_result(s, r, LMAIL_IMAP_CODE_NONE);
}

lmail_status lmi_imap_cmd_expunge(lmi_imap *s)
{
    lmi_imap_args *a = &s->cmd.args;
    lmi_imap_set set;
    lmail_imap_expunge_event ev = {s->mbox.handle, !s->cmd.uid, {NULL, 0}};
    lmail_status st = LMAIL_OK;
    if (s->cmd.uid) {
        if (!lmi_imap_has(s, LMAIL_IMAP_UIDPLUS))
            return lmi_imap_finish(s, LMI_BAD, LMAIL_IMAP_CODE_NONE, LMAIL_STR("Unknown command"));
        st = lmi_imap_sp(a);
        if (!st)
            st = lmi_imap_sequence_set(a, &set);
    }
    if (!st)
        st = lmi_imap_end(a);
    if (!st && s->cmd.uid)
        st = lmi_imap_set_resolve(s, &set, 1, &ev.uids);
    if (st)
        return lmi_imap_finish_parse(s, st);
    if (s->cmd.uid && !ev.uids.count)
        return lmi_imap_finish_ok(s);
    return lmi_imap_ask_expunge(s, &ev, expunged);
}
