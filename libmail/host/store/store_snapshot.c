/* store_snapshot.c - immutable versions of a mailbox (libmail/host/store.h, "Snapshot").
 *
 * A snapshot is an array of pointers to leaves; versions share leaves, and both carry atomic
 * reference counts, so that any thread may read and drop one. Made by store_snapshot_edit.c, read
 * by sessions; nothing here touches a disk or takes a lock. */
#include "host/store/store_snapshot.h"

#include <stdlib.h>
#include <string.h>

void lmi_snapshot_leaf_unref(leaf *l)
{
    if (atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) == 1)
        free(l);
}

void lmi_snapshot_names_unref(names *n)
{
    if (n && atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) == 1)
        free(n);
}

const lmail_snapshot *lmail_snapshot_ref(const lmail_snapshot *s)
{
    atomic_fetch_add_explicit(&((lmail_snapshot *)s)->refs, 1, memory_order_relaxed);
    return s;
}

void lmi_snapshot_free(lmail_snapshot *s)
{
    for (size_t i = 0; i < s->leaf_count; i++)
        lmi_snapshot_leaf_unref(s->leaves[i]);
    lmi_snapshot_names_unref(s->names);
    free(s->ranges);
    free(s->firsts);
    free(s);
}

void lmail_snapshot_unref(const lmail_snapshot *s)
{
    lmail_snapshot *own = (lmail_snapshot *)s;
    if (own && atomic_fetch_sub_explicit(&own->refs, 1, memory_order_acq_rel) == 1)
        lmi_snapshot_free(own);
}

const lmail_mailbox_facts *lmail_snapshot_facts(const lmail_snapshot *s)
{
    return &s->facts;
}

lmail_uid_set lmail_snapshot_uids(const lmail_snapshot *s)
{
    return (lmail_uid_set){s->ranges, s->range_count};
}

lmail_status lmail_snapshot_leaf(const lmail_snapshot *s, size_t number, lmail_snapshot_rows *out)
{
    if (number >= s->leaf_count)
        return LMAIL_END;
    const leaf *l = s->leaves[number];
    *out = (lmail_snapshot_rows){s->firsts[number], l->count, l->uids, l->flags, l->modseqs};
    return LMAIL_OK;
}

/* First leaf from `low` on that ends at or after uid, or count. */
size_t lmi_snapshot_find_leaf(leaf *const *leaves, size_t low, size_t count, lmail_uid uid)
{
    size_t high = count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (leaves[mid]->uids[leaves[mid]->count - 1] < uid)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* First row at or after uid, or count. */
uint32_t lmi_snapshot_find_row(const leaf *l, lmail_uid uid)
{
    uint32_t low = 0, high = l->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (l->uids[mid] < uid)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

lmail_status lmail_snapshot_seek(const lmail_snapshot *s, lmail_uid uid, size_t *number,
                                 size_t *row)
{
    *number = lmi_snapshot_find_leaf(s->leaves, 0, s->leaf_count, uid);
    *row = 0;
    if (*number == s->leaf_count)
        return LMAIL_END;
    *row = lmi_snapshot_find_row(s->leaves[*number], uid);
    return LMAIL_OK;
}

lmail_status lmail_snapshot_get(const lmail_snapshot *s, lmail_uid uid, lmail_flags *flags,
                                lmail_modseq *modseq)
{
    size_t number, row;
    if (lmail_snapshot_seek(s, uid, &number, &row) || s->leaves[number]->uids[row] != uid)
        return LMAIL_ERR_NOTFOUND;
    if (flags)
        *flags = s->leaves[number]->flags[row];
    if (modseq)
        *modseq = s->leaves[number]->modseqs[row];
    return LMAIL_OK;
}

lmail_status lmail_snapshot_changed_since(const lmail_snapshot *s, lmail_modseq since,
                                          lmail_uid_list *out)
{
    *out = (lmail_uid_list){0};
    for (size_t i = 0; i < s->leaf_count; i++) {
        const leaf *l = s->leaves[i];
        if (l->newest <= since)
            continue;
        for (uint32_t k = 0; k < l->count; k++) {
            if (l->modseqs[k] > since && lmail_uid_list_add(out, l->uids[k], l->uids[k]))
                return LMAIL_ERR_NOMEM;
        }
    }
    return LMAIL_OK;
}

/* ---- Difference ------------------------------------------------------------------------------ */

typedef struct cursor {
    const lmail_snapshot *s;
    size_t leaf;
    uint32_t row;
} cursor;

static int at_end(const cursor *c)
{
    return c->leaf >= c->s->leaf_count;
}

static void step(cursor *c)
{
    if (++c->row >= c->s->leaves[c->leaf]->count) {
        c->leaf++;
        c->row = 0;
    }
}

lmail_status lmail_snapshot_diff(const lmail_snapshot *before, const lmail_snapshot *after,
                                 lmail_snapshot_changes *out)
{
    *out = (lmail_snapshot_changes){0};
    if (before->facts.uidvalidity != after->facts.uidvalidity)
        return LMAIL_ERR_STATE;
    cursor a = {before, 0, 0}, b = {after, 0, 0};
    while (!at_end(&a) || !at_end(&b)) {
        if (!at_end(&a) && !at_end(&b) && a.row == 0 && b.row == 0 &&
            before->leaves[a.leaf] == after->leaves[b.leaf]) {
            a.leaf++;
            b.leaf++;
            continue;
        }
        lmail_uid x = at_end(&a) ? 0 : before->leaves[a.leaf]->uids[a.row];
        lmail_uid y = at_end(&b) ? 0 : after->leaves[b.leaf]->uids[b.row];
        lmail_status st = LMAIL_OK;
        if (y == 0 || (x != 0 && x < y)) {
            st = lmail_uid_list_add(&out->vanished, x, x);
            step(&a);
        } else if (x == 0 || y < x) {
            st = lmail_uid_list_add(&out->added, y, y);
            step(&b);
        } else {
            if (before->leaves[a.leaf]->modseqs[a.row] != after->leaves[b.leaf]->modseqs[b.row])
                st = lmail_uid_list_add(&out->changed, x, x);
            step(&a);
            step(&b);
        }
        if (st)
            return st;
    }
    return LMAIL_OK;
}

void lmail_snapshot_changes_free(lmail_snapshot_changes *changes)
{
    lmail_uid_list_free(&changes->added);
    lmail_uid_list_free(&changes->changed);
    lmail_uid_list_free(&changes->vanished);
}
