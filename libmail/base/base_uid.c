/* base_uid.c - sets of UIDs as sorted ranges (libmail/mailbox.h).
 *
 * Used by the IMAP session and by stores. A set read from a client may be in any order and overlap;
 * adding keeps it sorted, disjoint and joined. */
#include "base/base_internal.h"

#include <libmail/mailbox.h>
#include <string.h>

#define FIRST_CAPACITY 8u

/* Index of the first range that ends at or after uid. */
static size_t seek(const lmail_uid_range *r, size_t count, lmail_uid uid)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (r[mid].last < uid)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

int lmail_uid_set_has(lmail_uid_set set, lmail_uid uid)
{
    size_t i = seek(set.ranges, set.count, uid);
    return i < set.count && set.ranges[i].first <= uid;
}

uint64_t lmail_uid_set_total(lmail_uid_set set)
{
    uint64_t total = 0;
    for (size_t i = 0; i < set.count; i++)
        total += (uint64_t)set.ranges[i].last - set.ranges[i].first + 1;
    return total;
}

static lmail_status grow(lmail_uid_list *l)
{
    lmail_alloc a = lmi_alloc_resolve(&l->alloc);
    size_t capacity = l->capacity ? l->capacity * 2 : FIRST_CAPACITY;
    size_t size;
    if (capacity < l->capacity || lmail_size_mul(capacity, sizeof *l->ranges, &size))
        return LMAIL_ERR_NOMEM;
    lmail_uid_range *p = lmi_realloc(&a, l->ranges, l->capacity * sizeof *p, size);
    if (!p)
        return LMAIL_ERR_NOMEM;
    l->ranges = p;
    l->capacity = capacity;
    return LMAIL_OK;
}

lmail_status lmail_uid_list_add(lmail_uid_list *l, lmail_uid first, lmail_uid last)
{
    if (first == 0 || first > last)
        return LMAIL_ERR_ARG;
    /* The ranges from..to-1 touch the new one and are swallowed by it. */
    size_t from = l->count;
    if (l->count && first <= l->ranges[l->count - 1].last)
        from = seek(l->ranges, l->count, first > 1 ? first - 1 : 1);
    else if (l->count && first - 1 == l->ranges[l->count - 1].last)
        from = l->count - 1;
    size_t to = from;
    while (to < l->count && (last == UINT32_MAX || l->ranges[to].first <= last + 1)) {
        if (l->ranges[to].first < first)
            first = l->ranges[to].first;
        if (l->ranges[to].last > last)
            last = l->ranges[to].last;
        to++;
    }
    if (from == to) {
        if (l->count == l->capacity && grow(l))
            return LMAIL_ERR_NOMEM;
        memmove(l->ranges + from + 1, l->ranges + from, (l->count - from) * sizeof *l->ranges);
        l->count++;
    } else {
        memmove(l->ranges + from + 1, l->ranges + to, (l->count - to) * sizeof *l->ranges);
        l->count -= to - from - 1;
    }
    l->ranges[from] = (lmail_uid_range){first, last};
    return LMAIL_OK;
}

lmail_uid_set lmail_uid_list_set(const lmail_uid_list *l)
{
    return (lmail_uid_set){l->ranges, l->count};
}

void lmail_uid_list_free(lmail_uid_list *l)
{
    lmail_alloc a = lmi_alloc_resolve(&l->alloc);
    lmi_free(&a, l->ranges, l->capacity * sizeof *l->ranges);
    l->ranges = NULL;
    l->count = l->capacity = 0;
}
