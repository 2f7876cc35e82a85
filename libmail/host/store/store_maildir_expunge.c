/* store_maildir_expunge.c - messages that go.
 *
 * The index is the truth: EXPUNGE is done when it has committed. Files are unlinked later, by table
 * gone (store_maildir_tidy.c); no scan takes one that is listed there for a message. */
#include "host/store/store_maildir.h"

lmail_status lmi_md_drop_rows(md_box *b, lmail_uid_set uids, lmail_snapshot_edit *edit,
                              lmail_modseq modseq)
{
    md_account *a = b->account;
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < uids.count && !st; i++) {
        lmail_uid first = uids.ranges[i].first, last = uids.ranges[i].last;
        for (uint64_t uid = first; uid <= last && !st; uid++) {
            int64_t key = lmi_md_key(b->id, (lmail_uid)uid);
            st = lmi_md_run(a, MD_GONE_ADD, "i", key);
            if (!st)
                st = lmi_md_run(a, MD_MESSAGE_DROP, "i", key);
            if (!st)
                st = lmi_md_run(a, MD_TEXT_DROP, "i", key);
            if (!st)
                st = lmi_md_run(a, MD_FLAG_DROP, "i", key);
            if (!st)
                st = lmail_snapshot_edit_remove(edit, (lmail_uid)uid);
        }
        if (!st)
            st = lmi_md_run(a, MD_VANISHED_ADD, "iiii", b->id, (int64_t)modseq, (int64_t)first,
                            (int64_t)last);
    }
    return st;
}

static lmail_status choose(const md_box *b, lmail_uid_set uids, lmail_expunge_mode mode,
                           lmail_uid_list *out)
{
    lmail_snapshot_rows rows;
    lmail_status st = LMAIL_OK;
    size_t cursor = 0;
    for (size_t leaf = 0; !st && !lmail_snapshot_leaf(b->snapshot, leaf, &rows); leaf++) {
        for (size_t i = 0; i < rows.count && !st; i++) {
            if (lmi_set_walk(uids, &cursor, rows.uids[i]) &&
                (mode == LMAIL_EXPUNGE_ALL || (rows.flags[i] & LMAIL_FLAG_DELETED)))
                st = lmail_uid_list_add(out, rows.uids[i], rows.uids[i]);
        }
    }
    return st;
}

lmail_status lmi_md_expunge(md_box *b, lmail_uid_set uids, lmail_expunge_mode mode,
                            lmail_uid_list *vanished, lmail_modseq *modseq)
{
    lmail_snapshot_edit *edit = NULL;
    uint64_t none = 0;
    *modseq = 0;
    lmail_status st = lmi_md_begin(b->account, &b, &none, 1);
    if (!st)
        st = lmi_md_sync(b);
    if (!st)
        st = choose(b, uids, mode, vanished);
    if (st || vanished->count == 0) {
        lmi_md_rollback(b->account);
        return st;
    }
    lmail_modseq next = b->row.modseq + 1;
    st = lmail_snapshot_edit_begin(b->snapshot, &edit);
    if (!st)
        st = lmi_md_drop_rows(b, lmail_uid_list_set(vanished), edit, next);
    if (!st) {
        b->row.modseq = b->row.changed = next;
        st = lmi_md_numbers(b);
    }
    if (!st)
        st = lmi_md_commit(b->account);
    if (st) {
        lmi_md_rollback(b->account);
        lmail_snapshot_edit_abort(edit);
        lmail_uid_list_free(vanished);
        *vanished = (lmail_uid_list){0};
        (void)lmi_md_load(b);
        return st;
    }
    *modseq = next;
    (void)lmi_md_publish(b, edit);
    return LMAIL_OK;
}

static lmail_status expunge(lmail_store_mailbox *h, const lmail_uid_set *uids,
                            lmail_expunge_mode mode, lmail_uid_list *vanished, lmail_modseq *modseq)
{
    static const lmail_uid_range everything = {1, UINT32_MAX};
    lmail_modseq at = 0;
    *vanished = (lmail_uid_list){0};
    if (modseq)
        *modseq = 0;
    if (h->flags & LMAIL_OPEN_READ_ONLY)
        return LMAIL_ERR_DENIED;
    lmail_status st = lmi_md_enter(h->account);
    if (st)
        return st;
    st =
        lmi_md_expunge(h->box, uids ? *uids : (lmail_uid_set){&everything, 1}, mode, vanished, &at);
    lmi_md_leave(h->account);
    if (modseq)
        *modseq = at;
    return st;
}

void lmi_md_fill_expunge(lmail_store *table)
{
    table->expunge = expunge;
}
