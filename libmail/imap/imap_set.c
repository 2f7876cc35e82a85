/* imap_set.c - arithmetic on sets of UIDs.
 *
 * Sorted, disjoint ranges as in libmail/mailbox.h. Used by the view, by updates and by commands
 * that take a sequence set. Every function is one pass; nothing here is quadratic in what a client
 * sent. */
#include "imap/imap_internal.h"

#include <string.h>

void lmi_set_clear(lmail_uid_list *l)
{
    l->count = 0;
}

lmail_status lmi_set_add(lmail_uid_list *l, lmail_uid_set set)
{
    for (size_t i = 0; i < set.count; i++) {
        lmail_status st = lmail_uid_list_add(l, set.ranges[i].first, set.ranges[i].last);
        if (st)
            return st;
    }
    return LMAIL_OK;
}

/* Index of the first range that ends at or after uid. */
static size_t seek(lmail_uid_set set, lmail_uid uid)
{
    size_t low = 0, high = set.count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (set.ranges[mid].last < uid)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

int lmi_set_both(lmail_uid_set a, lmail_uid_set b, lmail_uid from, lmail_uid_range *out)
{
    size_t i = seek(a, from), j = seek(b, from);
    while (i < a.count && j < b.count) {
        lmail_uid first =
            a.ranges[i].first > b.ranges[j].first ? a.ranges[i].first : b.ranges[j].first;
        lmail_uid last = a.ranges[i].last < b.ranges[j].last ? a.ranges[i].last : b.ranges[j].last;
        if (first < from)
            first = from;
        if (first <= last) {
            *out = (lmail_uid_range){first, last};
            return 1;
        }
        /* Nothing in common: jump the one that ends first to where the other begins. */
        if (a.ranges[i].last < b.ranges[j].first)
            i = seek(a, b.ranges[j].first);
        else
            j = seek(b, a.ranges[i].first);
    }
    return 0;
}

lmail_status lmi_set_remove(lmail_uid_list *l, lmail_uid_set gone)
{
    lmail_uid_set have = lmail_uid_list_set(l);
    lmail_uid_range hit;
    if (!have.count || !lmi_set_both(have, gone, 1, &hit))
        return LMAIL_OK;
    lmail_uid_list left = {.alloc = l->alloc};
    size_t g = 0;
    for (size_t i = 0; i < have.count; i++) {
        uint64_t at = have.ranges[i].first, end = have.ranges[i].last;
        while (at <= end) {
            while (g < gone.count && gone.ranges[g].last < at)
                g++;
            uint64_t stop =
                g < gone.count && gone.ranges[g].first <= end ? gone.ranges[g].first : end + 1;
            if (at < stop && lmail_uid_list_add(&left, (lmail_uid)at, (lmail_uid)(stop - 1))) {
                lmail_uid_list_free(&left);
                return LMAIL_ERR_NOMEM;
            }
            if (stop > end)
                break;
            at = (uint64_t)gone.ranges[g].last + 1;
        }
    }
    lmail_uid_list_free(l);
    *l = left;
    return LMAIL_OK;
}

size_t lmi_set_chunk(lmail_uid_set set, lmail_uid from, uint64_t max, lmail_uid_range *out,
                     size_t cap)
{
    size_t made = 0;
    for (size_t i = seek(set, from); i < set.count && made < cap && max; i++) {
        lmail_uid first = set.ranges[i].first > from ? set.ranges[i].first : from;
        lmail_uid last = set.ranges[i].last;
        uint64_t have = (uint64_t)last - first + 1;
        if (have > max) {
            last = (lmail_uid)(first + max - 1);
            have = max;
        }
        out[made++] = (lmail_uid_range){first, last};
        max -= have;
    }
    return made;
}

/* ---- Sequence sets --------------------------------------------------------------------------- */

static void sift(lmi_imap_seq *p, size_t root, size_t count)
{
    for (;;) {
        size_t child = root * 2 + 1;
        if (child >= count)
            return;
        if (child + 1 < count && p[child].first < p[child + 1].first)
            child++;
        if (p[root].first >= p[child].first)
            return;
        lmi_imap_seq swap = p[root];
        p[root] = p[child];
        p[child] = swap;
        root = child;
    }
}

/* Heap sort by `first`: no recursion, no memory, no bad case. */
static void sort(lmi_imap_seq *p, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift(p, i, count);
    for (size_t i = count; i-- > 1;) {
        lmi_imap_seq swap = p[0];
        p[0] = p[i];
        p[i] = swap;
        sift(p, 0, i);
    }
}

/* Fill in "*", and put the smaller number of each range first (RFC 9051 §9: seq-range). */
static void settle(lmi_imap_seq *p, size_t count, uint32_t star)
{
    int sorted = 1;
    for (size_t i = 0; i < count; i++) {
        uint32_t a = p[i].first ? p[i].first : star, b = p[i].last ? p[i].last : star;
        p[i] = a <= b ? (lmi_imap_seq){a, b} : (lmi_imap_seq){b, a};
        if (i && p[i].first < p[i - 1].first)
            sorted = 0;
    }
    if (!sorted)
        sort(p, count);
}

/* From numbers to the UIDs between those of the first and the last. Both are in the view. */
static lmail_status add_numbers(lmi_imap *s, const lmi_imap_seq *p)
{
    lmi_imap_view *v = &s->mbox.view;
    lmail_uid_range span = {lmi_imap_view_uid(v, p->first), lmi_imap_view_uid(v, p->last)};
    return lmi_imap_view_cut(v, (lmail_uid_set){&span, 1}, &s->mbox.arg);
}

lmail_status lmi_imap_set_resolve(lmi_imap *s, lmi_imap_set *set, int uid, lmail_uid_set *out)
{
    lmi_imap_view *v = &s->mbox.view;
    lmi_set_clear(&s->mbox.arg);
    *out = (lmail_uid_set){NULL, 0};
    uint32_t star = uid ? lmi_imap_view_last(v) : v->total;
    /* RFC 9051 §9: "*" in an empty mailbox is no message; UID 1 stands for it and is not there. */
    if (!star && !uid)
        return LMAIL_ERR_SYNTAX;
    settle(set->parts, set->count, star ? star : 1);
    uint32_t first = uid ? (v->count ? v->ranges[0].first : 1) : 1;
    if (star && set->count == 1 && set->parts[0].first <= first && set->parts[0].last >= star &&
        (uid || set->parts[0].last == star)) {
        *out = lmi_imap_view_set(v);
        return LMAIL_OK;
    }
    uint64_t done = 0; /* all up to here is in the result */
    for (size_t i = 0; i < set->count; i++) {
        lmi_imap_seq p = set->parts[i];
        if (!uid && p.last > v->total)
            return LMAIL_ERR_SYNTAX;
        if (p.last <= done)
            continue;
        if (p.first <= done)
            p.first = (uint32_t)(done + 1);
        done = p.last;
        lmail_uid_range span = {p.first, p.last};
        lmail_status st = uid ? lmi_imap_view_cut(v, (lmail_uid_set){&span, 1}, &s->mbox.arg)
                              : add_numbers(s, &p);
        if (st)
            return st;
    }
    *out = lmail_uid_list_set(&s->mbox.arg);
    return LMAIL_OK;
}
