/* store_maildir_flags.c - flags that change.
 *
 * The index is the truth: STORE is done when it has committed. Names on disk follow, by the ranges
 * of table late (store_maildir_tidy.c). */
#include "host/store/store_maildir.h"

static lmail_status change_row(md_box *b, lmail_uid uid, lmail_flags flags, lmail_modseq modseq,
                               lmail_snapshot_edit *edit, lmail_uid_list *changed)
{
    lmail_status st = lmi_md_run(b->account, MD_FLAG_SET, "iii", (int64_t)modseq, (int64_t)flags,
                                 lmi_md_key(b->id, uid));
    if (!st)
        st = lmail_snapshot_edit_put(edit, uid, flags, modseq);
    return st ? st : lmail_uid_list_add(changed, uid, uid);
}

/* Ranges of UIDs whose names are to follow. */
static lmail_status note_late(md_box *b, lmail_uid_set uids)
{
    lmail_status st = LMAIL_OK;
    /* Ranges with small gaps become one: rows that have nothing to follow cost a look. */
    for (size_t i = 0; i < uids.count && !st;) {
        lmail_uid first = uids.ranges[i].first, last = uids.ranges[i].last;
        for (i++; i < uids.count && uids.ranges[i].first - last < 64; i++)
            last = uids.ranges[i].last;
        st = lmi_md_run(b->account, MD_LATE_ADD, "iii", b->id, (int64_t)first, (int64_t)last);
    }
    return st;
}

static lmail_status change_rows(md_box *b, const lmail_set_flags_args *args, lmail_flags bits,
                                lmail_snapshot_edit *edit, lmail_set_flags_result *out)
{
    lmail_modseq modseq = b->row.modseq + 1;
    lmail_snapshot_rows rows;
    lmail_status st = LMAIL_OK;
    size_t cursor = 0, leaf = 0, row = 0;
    if (args->uids.count)
        (void)lmail_snapshot_seek(b->snapshot, args->uids.ranges[0].first, &leaf, &row);
    for (; !st && cursor < args->uids.count && !lmail_snapshot_leaf(b->snapshot, leaf, &rows);
         leaf++, row = 0) {
        for (size_t i = row; i < rows.count && !st; i++) {
            if (!lmi_set_walk(args->uids, &cursor, rows.uids[i]))
                continue;
            lmail_flags flags = lmi_flags_apply(rows.flags[i], args->mode, bits);
            if (rows.modseqs[i] > args->unchanged_since)
                st = lmail_uid_list_add(&out->failed, rows.uids[i], rows.uids[i]);
            else if (flags != rows.flags[i])
                st = change_row(b, rows.uids[i], flags, modseq, edit, &out->changed);
        }
    }
    return st;
}

static lmail_status set_flags_in(md_box *b, const lmail_set_flags_args *args,
                                 lmail_set_flags_result *out)
{
    lmail_snapshot_edit *edit = NULL;
    lmail_flags bits;
    int made;
    uint64_t none = 0;
    lmail_status st = lmi_md_begin(b->account, &b, &none, 1);
    if (!st)
        st = lmi_md_sync(b);
    if (!st)
        st = lmi_md_bits(b, args->flags, args->keywords, args->keyword_count,
                         args->mode != LMAIL_STORE_REMOVE, &bits, &made);
    if (!st)
        st = lmail_snapshot_edit_begin(b->snapshot, &edit);
    if (!st)
        st = change_rows(b, args, bits, edit, out);
    if (!st && out->changed.count) {
        b->row.modseq = b->row.changed = out->modseq = b->row.modseq + 1;
        st = note_late(b, lmail_uid_list_set(&out->changed));
        if (!st)
            st = lmi_md_numbers(b);
    }
    if (!st && (out->changed.count || made))
        st = lmi_md_commit(b->account);
    if (st) {
        lmi_md_rollback(b->account);
        lmail_snapshot_edit_abort(edit);
        (void)lmi_md_load(b);
        return st;
    }
    lmi_md_rollback(b->account);
    (void)lmi_md_publish(b, edit);
    return LMAIL_OK;
}

static lmail_status set_flags(lmail_store_mailbox *h, const lmail_set_flags_args *args,
                              lmail_set_flags_result *out)
{
    *out = (lmail_set_flags_result){0};
    if (args->size > sizeof *args)
        return LMAIL_ERR_SIZE;
    if (h->flags & LMAIL_OPEN_READ_ONLY)
        return LMAIL_ERR_DENIED;
    lmail_status st = lmi_md_enter(h->account);
    if (st)
        return st;
    st = set_flags_in(h->box, args, out);
    lmi_md_leave(h->account);
    if (st)
        out->modseq = 0;
    return st;
}

void lmi_md_fill_flags(lmail_store *table)
{
    table->set_flags = set_flags;
}
