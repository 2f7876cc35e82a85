/* store_memory_change.c - the memory store: flags, expunges, copies and moves.
 *
 * A change makes the next snapshot and replaces the old one under the account's lock: all of it or
 * nothing. */
#include "host/store/store_memory.h"

#include <stdlib.h>

/* ---- Flags ----------------------------------------------------------------------------------- */

static lmail_status change_flags(mem_mailbox *m, const lmail_set_flags_args *args, lmail_flags bits,
                                 lmail_snapshot_edit *edit, lmail_set_flags_result *out)
{
    lmail_modseq modseq = m->modseq + 1;
    size_t cursor = 0;
    lmail_snapshot_rows rows;
    for (size_t n = 0; !lmail_snapshot_leaf(m->snapshot, n, &rows); n++) {
        for (size_t i = 0; i < rows.count; i++) {
            if (!lmi_set_walk(args->uids, &cursor, rows.uids[i]))
                continue;
            lmail_status st;
            lmail_flags flags = lmi_flags_apply(rows.flags[i], args->mode, bits);
            if (rows.modseqs[i] > args->unchanged_since) {
                st = lmail_uid_list_add(&out->failed, rows.uids[i], rows.uids[i]);
            } else if (flags == rows.flags[i]) {
                st = LMAIL_OK;
            } else {
                st = lmail_snapshot_edit_put(edit, rows.uids[i], flags, modseq);
                if (!st)
                    st = lmail_uid_list_add(&out->changed, rows.uids[i], rows.uids[i]);
            }
            if (st)
                return st;
        }
    }
    return LMAIL_OK;
}

static lmail_status set_flags(lmail_store_mailbox *h, const lmail_set_flags_args *args,
                              lmail_set_flags_result *out)
{
    *out = (lmail_set_flags_result){0};
    lmail_flags bits;
    lmail_snapshot_edit *edit;
    lmail_status st = lmi_mem_enter(h, 1);
    if (st)
        return st;
    mem_mailbox *m = h->box;
    st = lmi_mem_bits(m, args->flags, args->keywords, args->keyword_count,
                      args->mode != LMAIL_STORE_REMOVE, &bits);
    if (!st)
        st = lmail_snapshot_edit_begin(m->snapshot, &edit);
    if (!st) {
        st = change_flags(m, args, bits, edit, out);
        if (st) {
            lmail_snapshot_edit_abort(edit);
        } else {
            out->modseq = out->changed.count ? m->modseq + 1 : 0;
            st = lmi_mem_publish(m, edit, out->changed.count ? m->modseq + 1 : m->modseq);
        }
    }
    lmi_mem_leave(h);
    if (!st && out->changed.count)
        lmi_mem_raise(h->account);
    return st;
}

/* ---- Expunge --------------------------------------------------------------------------------- */

static lmail_status note_gone(mem_mailbox *m, lmail_uid uid, lmail_modseq modseq)
{
    if (!lmi_mem_grow((void **)&m->gone, &m->gone_capacity, m->gone_count, sizeof *m->gone))
        return LMAIL_ERR_NOMEM;
    m->gone[m->gone_count++] = (mem_gone){modseq, uid};
    return LMAIL_OK;
}

static void drop_rows(mem_mailbox *m, lmail_uid_set vanished)
{
    size_t kept = 0, cursor = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (lmi_set_walk(vanished, &cursor, m->rows[i].uid))
            lmi_mem_content_unref(m->rows[i].content);
        else
            m->rows[kept++] = m->rows[i];
    }
    m->count = kept;
}

lmail_status lmi_mem_remove(mem_mailbox *m, lmail_uid_set uids, lmail_expunge_mode mode,
                            lmail_uid_list *vanished, lmail_modseq *modseq)
{
    size_t cursor = 0, gone_before = m->gone_count;
    lmail_snapshot_edit *edit;
    lmail_snapshot_rows rows;
    lmail_status st = lmail_snapshot_edit_begin(m->snapshot, &edit);
    *modseq = 0;
    if (st)
        return st;
    for (size_t n = 0; !st && !lmail_snapshot_leaf(m->snapshot, n, &rows); n++) {
        for (size_t i = 0; !st && i < rows.count; i++) {
            lmail_uid uid = rows.uids[i];
            if (!lmi_set_walk(uids, &cursor, uid) ||
                (mode == LMAIL_EXPUNGE_DELETED && !(rows.flags[i] & LMAIL_FLAG_DELETED)))
                continue;
            if (!(st = lmail_snapshot_edit_remove(edit, uid)) &&
                !(st = lmail_uid_list_add(vanished, uid, uid)))
                st = note_gone(m, uid, m->modseq + 1);
        }
    }
    if (st || vanished->count == 0) {
        lmail_snapshot_edit_abort(edit);
        m->gone_count = gone_before;
        return st;
    }
    st = lmi_mem_publish(m, edit, m->modseq + 1);
    if (st) {
        m->gone_count = gone_before;
        return st;
    }
    *modseq = m->modseq;
    drop_rows(m, lmail_uid_list_set(vanished));
    return LMAIL_OK;
}

static lmail_status expunge(lmail_store_mailbox *h, const lmail_uid_set *uids,
                            lmail_expunge_mode mode, lmail_uid_list *vanished, lmail_modseq *modseq)
{
    lmail_modseq at = 0;
    *vanished = (lmail_uid_list){0};
    lmail_status st = lmi_mem_enter(h, 1);
    if (!st) {
        const lmail_snapshot *all = lmail_snapshot_ref(h->box->snapshot);
        st = lmi_mem_remove(h->box, uids ? *uids : lmail_snapshot_uids(all), mode, vanished, &at);
        lmail_snapshot_unref(all);
        lmi_mem_leave(h);
    }
    if (modseq)
        *modseq = at;
    if (at)
        lmi_mem_raise(h->account);
    return st;
}

/* ---- Copy ------------------------------------------------------------------------------------ */

/* Flags of one mailbox as bits of another: keywords go by name. */
static lmail_status translate(mem_mailbox *from, mem_mailbox *to, lmail_flags flags,
                              lmail_flags *out)
{
    lmail_str names[LMAIL_MAX_KEYWORDS];
    size_t n = 0;
    for (size_t k = 0; k < from->keyword_count; k++) {
        if (flags >> (LMAIL_FLAG_KEYWORD_SHIFT + k) & 1)
            names[n++] = from->keywords[k];
    }
    return lmi_mem_bits(to, flags, names, n, 1, out);
}

static lmail_status copy_row(mem_mailbox *from, size_t at, mem_mailbox *to,
                             lmail_snapshot_edit *edit, lmail_copy_result *out)
{
    lmail_flags flags, bits;
    int zone;
    mem_row row = from->rows[at];
    row.saved = lmi_wall_clock(to->account->store->env, &zone);
    lmail_uid source = row.uid, uid;
    lmail_status st = lmail_snapshot_get(from->snapshot, source, &flags, NULL);
    if (!st)
        st = translate(from, to, flags, &bits);
    if (!st)
        st = lmi_mem_append(to, edit, row, bits, to->modseq + 1, &uid);
    if (!st)
        out->pairs[out->count++] = (lmail_uid_pair){source, uid};
    return st;
}

lmail_status lmi_mem_copy_rows(mem_mailbox *from, lmail_uid_set uids, mem_mailbox *to,
                               lmail_copy_result *out)
{
    size_t count = from->count, before = to->count, cursor = 0;
    lmail_uid uidnext = to->uidnext;
    lmail_snapshot_edit *edit;
    *out = (lmail_copy_result){.uidvalidity = to->uidvalidity};
    out->pairs = malloc((count + 1) * sizeof *out->pairs);
    lmail_status st = out->pairs ? lmail_snapshot_edit_begin(to->snapshot, &edit) : LMAIL_ERR_NOMEM;
    if (st)
        return st;
    for (size_t i = 0; !st && i < count; i++) {
        if (lmi_set_walk(uids, &cursor, from->rows[i].uid))
            st = copy_row(from, i, to, edit, out);
    }
    if (st)
        lmail_snapshot_edit_abort(edit);
    else
        st = lmi_mem_publish(to, edit, out->count ? to->modseq + 1 : to->modseq);
    if (st) {
        lmi_mem_cut(to, before, uidnext);
        out->count = 0;
    }
    return st;
}

/* Two accounts in the order of their addresses, so that two copies never wait for each other. */
static void lock_both(mem_account *a, mem_account *b)
{
    mem_account *first = a < b ? a : b, *second = a < b ? b : a;
    pthread_mutex_lock(&first->lock);
    if (second != first)
        pthread_mutex_lock(&second->lock);
}

static lmail_status copy_or_move(lmail_store_mailbox *h, lmail_uid_set uids, mem_account *to,
                                 lmail_str name, int move, lmail_copy_result *out)
{
    mem_mailbox *target = NULL;
    lmail_status st;
    *out = (lmail_copy_result){0};
    if (move && (h->flags & LMAIL_OPEN_READ_ONLY))
        return LMAIL_ERR_DENIED;
    lock_both(h->account, to);
    st = h->box->removed ? LMAIL_ERR_STALE : lmi_mem_find_checked(to, name, &target);
    if (!st)
        st = lmi_mem_copy_rows(h->box, uids, target, out);
    if (!st && move && out->count) {
        lmail_uid_list taken;
        st = lmi_copy_sources(out, &taken);
        if (!st)
            st = lmi_mem_remove(h->box, lmail_uid_list_set(&taken), LMAIL_EXPUNGE_ALL,
                                &out->vanished, &out->modseq);
        lmail_uid_list_free(&taken);
    }
    pthread_mutex_unlock(&h->account->lock);
    if (to != h->account)
        pthread_mutex_unlock(&to->lock);
    if (!st && out->count) {
        lmi_mem_raise(to);
        if (move && to != h->account)
            lmi_mem_raise(h->account);
    }
    return st;
}

static lmail_status copy(lmail_store_mailbox *h, lmail_uid_set uids, lmail_store_account *to,
                         lmail_str name, lmail_copy_result *out)
{
    return copy_or_move(h, uids, (mem_account *)to, name, 0, out);
}

static lmail_status move(lmail_store_mailbox *h, lmail_uid_set uids, lmail_store_account *to,
                         lmail_str name, lmail_copy_result *out)
{
    return copy_or_move(h, uids, (mem_account *)to, name, 1, out);
}

void lmi_mem_fill_change(lmail_store *table)
{
    table->set_flags = set_flags;
    table->expunge = expunge;
    table->copy = copy;
    table->move = move;
}
