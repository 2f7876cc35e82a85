/* store_snapshot_edit.c - the next version of a mailbox.
 *
 * An edit copies a leaf at its first change and shares the rest. Used by stores after a commit. */
#include "host/store/store_snapshot.h"

#include <stdlib.h>
#include <string.h>

/* ---- Editing --------------------------------------------------------------------------------- */

lmail_status lmail_snapshot_edit_begin(const lmail_snapshot *base, lmail_snapshot_edit **out)
{
    lmail_snapshot_edit *e = calloc(1, sizeof *e);
    if (!e)
        return LMAIL_ERR_NOMEM;
    e->capacity = (base ? base->leaf_count : 0) + 4;
    e->leaves = malloc(e->capacity * sizeof *e->leaves);
    if (!e->leaves) {
        free(e);
        return LMAIL_ERR_NOMEM;
    }
    if (base) {
        e->base = lmail_snapshot_ref(base);
        e->count = base->leaf_count;
        for (size_t i = 0; i < e->count; i++) {
            e->leaves[i] = base->leaves[i];
            atomic_fetch_add_explicit(&e->leaves[i]->refs, 1, memory_order_relaxed);
        }
    }
    *out = e;
    return LMAIL_OK;
}

void lmail_snapshot_edit_abort(lmail_snapshot_edit *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < e->count; i++)
        lmi_snapshot_leaf_unref(e->leaves[i]);
    lmail_snapshot_unref(e->base);
    free(e->leaves);
    free(e);
}

static leaf *make_leaf(uint32_t capacity)
{
    leaf *l =
        malloc(sizeof *l + capacity * (sizeof *l->flags + sizeof *l->modseqs + sizeof *l->uids));
    if (!l)
        return NULL;
    atomic_init(&l->refs, 1);
    l->capacity = capacity;
    l->count = l->runs = 0;
    l->flags = (lmail_flags *)(l + 1);
    l->modseqs = (lmail_modseq *)(l->flags + capacity);
    l->uids = (lmail_uid *)(l->modseqs + capacity);
    return l;
}

/* The leaf's rows in a block of this edit, with room for so many; NULL when there is no memory. */
static leaf *remake_leaf(lmail_snapshot_edit *e, size_t i, uint32_t capacity)
{
    leaf *l = e->leaves[i], *copy = make_leaf(capacity);
    if (!copy)
        return NULL;
    copy->count = l->count;
    memcpy(copy->uids, l->uids, l->count * sizeof *l->uids);
    memcpy(copy->flags, l->flags, l->count * sizeof *l->flags);
    memcpy(copy->modseqs, l->modseqs, l->count * sizeof *l->modseqs);
    lmi_snapshot_leaf_unref(l);
    e->leaves[i] = copy;
    return copy;
}

/* A leaf that only this edit has; NULL when there is no memory. */
static leaf *own_leaf(lmail_snapshot_edit *e, size_t i)
{
    leaf *l = e->leaves[i];
    if (l->capacity == LMAIL_SNAPSHOT_LEAF &&
        atomic_load_explicit(&l->refs, memory_order_acquire) == 1)
        return l;
    return remake_leaf(e, i, LMAIL_SNAPSHOT_LEAF);
}

/* Give back the room that a leaf of this edit does not need. */
static leaf *fit_leaf(lmail_snapshot_edit *e, size_t i)
{
    leaf *l = e->leaves[i];
    if (l->runs || l->capacity - l->count < LMAIL_SNAPSHOT_LEAF / 4)
        return l;
    leaf *fit = remake_leaf(e, i, l->count);
    return fit ? fit : l;
}

static leaf *new_leaf(lmail_snapshot_edit *e, size_t at)
{
    if (e->count == e->capacity) {
        size_t capacity = e->capacity * 2;
        leaf **p = realloc(e->leaves, capacity * sizeof *p);
        if (!p)
            return NULL;
        e->leaves = p;
        e->capacity = capacity;
    }
    leaf *l = make_leaf(LMAIL_SNAPSHOT_LEAF);
    if (!l)
        return NULL;
    memmove(e->leaves + at + 1, e->leaves + at, (e->count - at) * sizeof *e->leaves);
    e->leaves[at] = l;
    e->count++;
    return l;
}

static void insert_row(leaf *l, uint32_t row, lmail_uid uid, lmail_flags flags, lmail_modseq modseq)
{
    uint32_t tail = l->count - row;
    memmove(l->uids + row + 1, l->uids + row, tail * sizeof *l->uids);
    memmove(l->flags + row + 1, l->flags + row, tail * sizeof *l->flags);
    memmove(l->modseqs + row + 1, l->modseqs + row, tail * sizeof *l->modseqs);
    l->uids[row] = uid;
    l->flags[row] = flags;
    l->modseqs[row] = modseq;
    l->count++;
    l->runs = 0;
}

/* Moves the upper half of a full leaf into a new one behind it. */
static lmail_status split(lmail_snapshot_edit *e, size_t at)
{
    leaf *low = own_leaf(e, at);
    leaf *high = low ? new_leaf(e, at + 1) : NULL;
    if (!high)
        return LMAIL_ERR_NOMEM;
    uint32_t keep = low->count / 2;
    high->count = low->count - keep;
    memcpy(high->uids, low->uids + keep, high->count * sizeof *high->uids);
    memcpy(high->flags, low->flags + keep, high->count * sizeof *high->flags);
    memcpy(high->modseqs, low->modseqs + keep, high->count * sizeof *high->modseqs);
    low->count = keep;
    low->runs = 0;
    return LMAIL_OK;
}

/* The leaf that holds uid or must take it, or count. Changes rise, so most need no search. */
static size_t seek_edit(lmail_snapshot_edit *e, lmail_uid uid)
{
    size_t at = e->at;
    if (at >= e->count || e->leaves[at]->uids[0] > uid)
        at = 0;
    if (at < e->count && e->leaves[at]->uids[e->leaves[at]->count - 1] < uid)
        at = lmi_snapshot_find_leaf(e->leaves, at + 1, e->count, uid);
    e->at = at;
    return at;
}

lmail_status lmail_snapshot_edit_put(lmail_snapshot_edit *e, lmail_uid uid, lmail_flags flags,
                                     lmail_modseq modseq)
{
    size_t at = seek_edit(e, uid);
    leaf *l;
    if (at == e->count) { /* above all others */
        if (at > 0 && e->leaves[at - 1]->count < LMAIL_SNAPSHOT_LEAF)
            l = own_leaf(e, --at);
        else
            l = new_leaf(e, at);
        if (!l)
            return LMAIL_ERR_NOMEM;
        insert_row(l, l->count, uid, flags, modseq);
        e->at = at;
        return LMAIL_OK;
    }
    uint32_t row = lmi_snapshot_find_row(e->leaves[at], uid);
    if (e->leaves[at]->uids[row] == uid) {
        if (e->leaves[at]->flags[row] == flags && e->leaves[at]->modseqs[row] == modseq)
            return LMAIL_OK;
        if (!(l = own_leaf(e, at)))
            return LMAIL_ERR_NOMEM;
        l->flags[row] = flags;
        l->modseqs[row] = modseq;
        l->runs = 0;
        return LMAIL_OK;
    }
    if (e->leaves[at]->count == LMAIL_SNAPSHOT_LEAF) {
        if (split(e, at))
            return LMAIL_ERR_NOMEM;
        return lmail_snapshot_edit_put(e, uid, flags, modseq);
    }
    if (!(l = own_leaf(e, at)))
        return LMAIL_ERR_NOMEM;
    insert_row(l, row, uid, flags, modseq);
    return LMAIL_OK;
}

lmail_status lmail_snapshot_edit_remove(lmail_snapshot_edit *e, lmail_uid uid)
{
    size_t at = seek_edit(e, uid);
    if (at == e->count)
        return LMAIL_OK;
    uint32_t row = lmi_snapshot_find_row(e->leaves[at], uid);
    if (e->leaves[at]->uids[row] != uid)
        return LMAIL_OK;
    if (e->leaves[at]->count == 1) {
        lmi_snapshot_leaf_unref(e->leaves[at]);
        memmove(e->leaves + at, e->leaves + at + 1, (e->count - at - 1) * sizeof *e->leaves);
        e->count--;
        return LMAIL_OK;
    }
    leaf *l = own_leaf(e, at);
    if (!l)
        return LMAIL_ERR_NOMEM;
    uint32_t tail = l->count - row - 1;
    memmove(l->uids + row, l->uids + row + 1, tail * sizeof *l->uids);
    memmove(l->flags + row, l->flags + row + 1, tail * sizeof *l->flags);
    memmove(l->modseqs + row, l->modseqs + row + 1, tail * sizeof *l->modseqs);
    l->count--;
    l->runs = 0;
    return LMAIL_OK;
}

/* Counts of a leaf that this edit made; runs 0 marks one that has none yet. */
static void count_leaf(leaf *l)
{
    if (l->runs)
        return;
    l->unseen = l->deleted = 0;
    l->newest = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        l->unseen += !(l->flags[i] & LMAIL_FLAG_SEEN);
        l->deleted += !!(l->flags[i] & LMAIL_FLAG_DELETED);
        if (l->modseqs[i] > l->newest)
            l->newest = l->modseqs[i];
        l->runs += i == 0 || l->uids[i] != l->uids[i - 1] + 1;
    }
}

/* After many expunges: fill leaves up again, or sharing would cost more than it saves. */
static lmail_status pack(lmail_snapshot_edit *e)
{
    size_t rows = 0;
    for (size_t i = 0; i < e->count; i++)
        rows += e->leaves[i]->count;
    if (e->count <= 2 * (rows / LMAIL_SNAPSHOT_LEAF) + 2)
        return LMAIL_OK;
    lmail_snapshot_edit *packed = NULL;
    lmail_status st = lmail_snapshot_edit_begin(NULL, &packed);
    for (size_t i = 0; !st && i < e->count; i++) {
        const leaf *l = e->leaves[i];
        for (uint32_t k = 0; !st && k < l->count; k++)
            st = lmail_snapshot_edit_put(packed, l->uids[k], l->flags[k], l->modseqs[k]);
    }
    if (st) {
        lmail_snapshot_edit_abort(packed);
        return st;
    }
    leaf **leaves = e->leaves;
    size_t count = e->count, capacity = e->capacity;
    e->leaves = packed->leaves;
    e->count = packed->count;
    e->capacity = packed->capacity;
    packed->leaves = leaves;
    packed->count = count;
    packed->capacity = capacity;
    lmail_snapshot_edit_abort(packed);
    return LMAIL_OK;
}

static int same_names(const names *n, const lmail_mailbox_facts *f)
{
    if (!n || n->keywords.count != f->keywords.count ||
        !lmail_str_equal(n->mailbox_id, f->mailbox_id))
        return 0;
    for (size_t i = 0; i < f->keywords.count; i++) {
        if (!lmail_str_equal(n->keywords.names[i], f->keywords.names[i]))
            return 0;
    }
    return 1;
}

/* Names in one block: the struct, the slices, the octets. */
static names *make_names(const lmail_mailbox_facts *f)
{
    size_t octets = f->mailbox_id.len;
    for (size_t i = 0; i < f->keywords.count; i++)
        octets += f->keywords.names[i].len;
    names *n = malloc(sizeof *n + f->keywords.count * sizeof(lmail_str) + octets + 1);
    if (!n)
        return NULL;
    lmail_str *list = (lmail_str *)(n + 1);
    char *p = (char *)(list + f->keywords.count);
    atomic_init(&n->refs, 1);
    n->keywords = (lmail_keywords){list, f->keywords.count};
    for (size_t i = 0; i < f->keywords.count; i++) {
        lmail_str name = f->keywords.names[i];
        memcpy(p, name.ptr, name.len);
        list[i] = (lmail_str){p, name.len};
        p += name.len;
    }
    if (f->mailbox_id.len)
        memcpy(p, f->mailbox_id.ptr, f->mailbox_id.len);
    n->mailbox_id = (lmail_str){p, f->mailbox_id.len};
    return n;
}

static void add_range(lmail_snapshot *s, lmail_uid first, lmail_uid last)
{
    if (s->range_count && s->ranges[s->range_count - 1].last + 1 == first)
        s->ranges[s->range_count - 1].last = last;
    else
        s->ranges[s->range_count++] = (lmail_uid_range){first, last};
}

static void leaf_ranges(lmail_snapshot *s, const leaf *l)
{
    if (l->runs == 1) {
        add_range(s, l->uids[0], l->uids[l->count - 1]);
        return;
    }
    for (uint32_t i = 0; i < l->count;) {
        uint32_t k = i + 1;
        while (k < l->count && l->uids[k] == l->uids[k - 1] + 1)
            k++;
        add_range(s, l->uids[i], l->uids[k - 1]);
        i = k;
    }
}

/* The facts that the rows tell. */
static void compute(lmail_snapshot *s)
{
    lmail_mailbox_facts *f = &s->facts;
    size_t place = 0;
    f->unseen = f->deleted = f->first_unseen = f->first_unseen_index = 0;
    for (size_t i = 0; i < s->leaf_count; i++) {
        const leaf *l = s->leaves[i];
        if (l->unseen && !f->first_unseen) {
            uint32_t k = 0;
            while (l->flags[k] & LMAIL_FLAG_SEEN)
                k++;
            f->first_unseen = l->uids[k];
            f->first_unseen_index = (uint32_t)(place + k);
        }
        s->firsts[i] = place;
        place += l->count;
        f->unseen += l->unseen;
        f->deleted += l->deleted;
        leaf_ranges(s, l);
    }
    f->messages = (uint32_t)place;
}

lmail_status lmail_snapshot_edit_end(lmail_snapshot_edit *e, const lmail_mailbox_facts *facts,
                                     const lmail_snapshot **out)
{
    lmail_snapshot *s = NULL;
    size_t runs = 0;
    if (pack(e))
        goto fail;
    for (size_t i = 0; i < e->count; i++) {
        count_leaf(fit_leaf(e, i));
        runs += e->leaves[i]->runs;
    }
    s = calloc(1, sizeof *s + e->count * sizeof *s->leaves);
    if (!s)
        goto fail;
    atomic_init(&s->refs, 1);
    s->ranges = malloc((runs + 1) * sizeof *s->ranges);
    s->firsts = malloc((e->count + 1) * sizeof *s->firsts);
    if (e->base && same_names(e->base->names, facts)) {
        s->names = e->base->names;
        atomic_fetch_add_explicit(&s->names->refs, 1, memory_order_relaxed);
    } else {
        s->names = make_names(facts);
    }
    if (!s->ranges || !s->firsts || !s->names)
        goto fail;
    s->facts = *facts;
    s->facts.keywords = s->names->keywords;
    s->facts.mailbox_id = s->names->mailbox_id;
    s->leaf_count = e->count;
    if (e->count)
        memcpy(s->leaves, e->leaves, e->count * sizeof *s->leaves);
    compute(s);
    e->count = 0; /* the leaves are the snapshot's now */
    lmail_snapshot_edit_abort(e);
    *out = s;
    return LMAIL_OK;
fail:
    if (s) {
        s->leaf_count = 0;
        lmi_snapshot_free(s);
    }
    lmail_snapshot_edit_abort(e);
    return LMAIL_ERR_NOMEM;
}
