/* imap_view.c - sequence numbers, and the news a client has not been told (RFC 9051 §2.3.1.2,
 * §7.5.1).
 *
 * A message keeps its number until the client has been told that it, or one before it, is gone. So
 * the view changes only where imap_update.c has just written the EXPUNGE or EXISTS line; what
 * happens in between waits in sets of UIDs, which merge by themselves. A million messages without
 * holes are one range of 12 octets. Called by the commands, by imap_update.c and by notify; writes
 * nothing. */
#include "imap/imap_internal.h"

#include <string.h>

#define FIRST_CAPACITY 4u
#define RANGE_SIZE (sizeof(lmail_uid_range) + sizeof(uint32_t))
#define KEYWORD_MEMORY 65536u

void lmi_imap_view_init(lmi_imap_view *v, const lmail_alloc *alloc, size_t memory)
{
    *v = (lmi_imap_view){.alloc = *alloc, .max = memory / RANGE_SIZE};
}

void lmi_imap_view_done(lmi_imap_view *v)
{
    lmi_free(&v->alloc, v->ranges, v->capacity * sizeof *v->ranges);
    lmi_free(&v->alloc, v->before, v->capacity * sizeof *v->before);
    v->ranges = NULL;
    v->before = NULL;
    v->count = v->capacity = 0;
    v->total = 0;
}

lmail_uid_set lmi_imap_view_set(const lmi_imap_view *v)
{
    return (lmail_uid_set){v->ranges, v->count};
}

static lmail_status reserve(lmi_imap_view *v, size_t want)
{
    if (want <= v->capacity)
        return LMAIL_OK;
    if (want > v->max)
        return LMAIL_ERR_LIMIT;
    size_t capacity = v->capacity ? v->capacity + v->capacity / 2 : FIRST_CAPACITY;
    if (capacity < want)
        capacity = want;
    if (capacity > v->max)
        capacity = v->max;
    lmail_uid_range *ranges = lmi_malloc(&v->alloc, capacity * sizeof *ranges);
    uint32_t *before = lmi_malloc(&v->alloc, capacity * sizeof *before);
    if (!ranges || !before) {
        lmi_free(&v->alloc, ranges, capacity * sizeof *ranges);
        lmi_free(&v->alloc, before, capacity * sizeof *before);
        return LMAIL_ERR_NOMEM;
    }
    if (v->count) {
        memcpy(ranges, v->ranges, v->count * sizeof *ranges);
        memcpy(before, v->before, v->count * sizeof *before);
    }
    lmi_free(&v->alloc, v->ranges, v->capacity * sizeof *v->ranges);
    lmi_free(&v->alloc, v->before, v->capacity * sizeof *v->before);
    v->ranges = ranges;
    v->before = before;
    v->capacity = capacity;
    return LMAIL_OK;
}

lmail_status lmi_imap_view_add(lmi_imap_view *v, lmail_uid first, lmail_uid last)
{
    lmail_uid top = lmi_imap_view_last(v);
    if (first <= top || first > last || last - first >= UINT32_MAX - v->total)
        return LMAIL_ERR_ARG;
    if (v->count && first == top + 1) {
        v->ranges[v->count - 1].last = last;
    } else {
        lmail_status st = reserve(v, v->count + 1);
        if (st)
            return st;
        v->ranges[v->count] = (lmail_uid_range){first, last};
        v->before[v->count++] = v->total;
    }
    v->total += last - first + 1;
    return LMAIL_OK;
}

static void push(lmi_imap_view *to, uint64_t first, uint64_t last)
{
    to->ranges[to->count] = (lmail_uid_range){(lmail_uid)first, (lmail_uid)last};
    to->before[to->count++] = to->total;
    to->total += (uint32_t)(last - first + 1);
}

lmail_status lmi_imap_view_remove(lmi_imap_view *v, lmail_uid_set gone)
{
    lmail_uid_range hit;
    lmail_uid_set have = lmi_imap_view_set(v);
    if (!lmi_set_both(have, gone, 1, &hit))
        return LMAIL_OK;
    /* Each range taken out splits at most one. What lies before the first hit is copied whole. */
    lmi_imap_view left = {.alloc = v->alloc, .max = SIZE_MAX / RANGE_SIZE};
    lmail_status st = reserve(&left, v->count + gone.count);
    if (st)
        return st;
    size_t g = 0;
    for (size_t i = 0; i < have.count; i++) {
        uint64_t at = have.ranges[i].first, end = have.ranges[i].last;
        while (at <= end) {
            while (g < gone.count && gone.ranges[g].last < at)
                g++;
            if (g == gone.count || gone.ranges[g].first > end) {
                push(&left, at, end);
                break;
            }
            if (gone.ranges[g].first > at)
                push(&left, at, (uint64_t)gone.ranges[g].first - 1);
            at = (uint64_t)gone.ranges[g].last + 1;
        }
    }
    if (left.count > v->max) {
        lmi_imap_view_done(&left);
        return LMAIL_ERR_LIMIT;
    }
    left.max = v->max;
    lmi_imap_view_done(v);
    *v = left;
    return LMAIL_OK;
}

/* Index of the range that holds message number seq, 1..total. */
static size_t range_of_seq(const lmi_imap_view *v, uint32_t seq)
{
    size_t low = 0, high = v->count;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (v->before[mid] < seq)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* Index of the first range that ends at or after uid, or count. */
static size_t range_of_uid(const lmi_imap_view *v, lmail_uid uid)
{
    size_t low = 0, high = v->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (v->ranges[mid].last < uid)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

lmail_uid lmi_imap_view_uid(const lmi_imap_view *v, uint32_t seq)
{
    if (seq == 0 || seq > v->total)
        return 0;
    size_t i = range_of_seq(v, seq);
    return v->ranges[i].first + (seq - v->before[i] - 1);
}

uint32_t lmi_imap_view_seq(const lmi_imap_view *v, lmail_uid uid)
{
    size_t i = range_of_uid(v, uid);
    if (i == v->count || v->ranges[i].first > uid)
        return 0;
    return v->before[i] + (uid - v->ranges[i].first) + 1;
}

lmail_uid lmi_imap_view_last(const lmi_imap_view *v)
{
    return v->count ? v->ranges[v->count - 1].last : 0;
}

lmail_uid lmi_imap_view_next(const lmi_imap_view *v, lmail_uid uid)
{
    if (uid == UINT32_MAX)
        return 0;
    size_t i = range_of_uid(v, uid + 1);
    if (i == v->count)
        return 0;
    return v->ranges[i].first > uid ? v->ranges[i].first : uid + 1;
}

lmail_status lmi_imap_view_cut(const lmi_imap_view *v, lmail_uid_set set, lmail_uid_list *out)
{
    lmail_uid_range hit;
    lmail_uid from = 1;
    while (lmi_set_both(lmi_imap_view_set(v), set, from, &hit)) {
        lmail_status st = lmail_uid_list_add(out, hit.first, hit.last);
        if (st || hit.last == UINT32_MAX)
            return st;
        from = hit.last + 1;
    }
    return LMAIL_OK;
}

/* ---- The selected mailbox -------------------------------------------------------------------- */

void lmi_imap_mbox_init(lmi_imap_mbox *m, const lmail_alloc *alloc, size_t memory)
{
    *m = (lmi_imap_mbox){.handle = NULL};
    lmi_arena_init(&m->arena, alloc, KEYWORD_MEMORY);
    m->arena.first = 64; /* a name; few mailboxes have keywords */
    lmi_imap_view_init(&m->view, alloc, memory);
    m->recent.alloc = m->fresh.alloc = m->vanished.alloc = m->flagged.alloc = *alloc;
    m->reporting.alloc = m->telling.alloc = m->arg.alloc = m->arg2.alloc = *alloc;
}

void lmi_imap_mbox_done(lmi_imap_mbox *m)
{
    const lmail_alloc alloc = m->view.alloc;
    const lmail_alloc *shared = m->arena.alloc;
    size_t max = m->view.max;
    lmi_imap_view_done(&m->view);
    lmi_arena_done(&m->arena);
    lmail_uid_list *lists[] = {&m->recent,  &m->fresh,     &m->vanished, &m->flagged,
                               &m->telling, &m->reporting, &m->arg,      &m->arg2};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        lmail_uid_list_free(lists[i]);
    lmi_imap_mbox_init(m, &alloc, 0);
    m->arena.alloc = shared;
    m->view.max = max;
}

lmail_status lmi_imap_mbox_keywords(lmi_imap_mbox *m, lmail_keywords k)
{
    size_t count = k.count < LMAIL_MAX_KEYWORDS ? k.count : LMAIL_MAX_KEYWORDS;
    if (count <= m->keyword_count)
        return LMAIL_OK; /* a table only grows while the mailbox is open */
    lmail_str *names = m->keywords;
    if (!names)
        names = lmi_arena_get(&m->arena, LMAIL_MAX_KEYWORDS * sizeof *names);
    if (!names)
        return LMAIL_ERR_NOMEM;
    for (size_t i = m->keyword_count; i < count; i++) {
        /* A name that is no atom cannot be said; it keeps its number and stays silent. */
        lmail_str name = k.names[i];
        for (size_t c = 0; c < name.len; c++)
            if (!lmi_imap_is_atom_char(name.ptr[c]))
                name.len = 0;
        lmail_status st = lmi_arena_copy(&m->arena, name, &names[i]);
        if (st)
            return st;
        m->keyword_count = i + 1;
    }
    m->keywords = names;
    return LMAIL_OK;
}

int lmi_imap_mbox_keyword(const lmi_imap_mbox *m, lmail_str name)
{
    for (size_t i = 0; i < m->keyword_count; i++)
        if (lmail_str_equal_nocase(m->keywords[i], name))
            return (int)i;
    return -1;
}

uint32_t lmi_imap_mbox_recent(const lmi_imap_mbox *m)
{
    lmail_uid_set recent = lmail_uid_list_set(&m->recent);
    lmail_uid_range hit;
    lmail_uid from = 1;
    uint32_t n = 0;
    while (recent.count && lmi_set_both(lmi_imap_view_set(&m->view), recent, from, &hit)) {
        n += hit.last - hit.first + 1;
        if (hit.last == UINT32_MAX)
            break;
        from = hit.last + 1;
    }
    return n;
}

int lmi_imap_mbox_news(const lmi_imap_mbox *m)
{
    return m->open && (m->fresh.count || m->vanished.count || m->flagged.count ||
                       m->reporting.count || m->telling.count || m->keywords_changed || m->gone);
}

/* The part of a set above everything that is known already. */
static lmail_status add_above(lmail_uid_list *to, lmail_uid_set set, lmail_uid top)
{
    for (size_t i = 0; i < set.count; i++) {
        lmail_uid_range r = set.ranges[i];
        if (r.last <= top)
            continue;
        lmail_status st = lmail_uid_list_add(to, r.first > top ? r.first : top + 1, r.last);
        if (st)
            return st;
    }
    return LMAIL_OK;
}

lmail_status lmi_imap_mbox_new(lmi_imap_mbox *m, lmail_uid_set uids, lmail_uid_set recent)
{
    lmail_uid top = lmi_imap_view_last(&m->view);
    if (m->fresh.count)
        top = m->fresh.ranges[m->fresh.count - 1].last;
    lmail_status st = add_above(&m->fresh, uids, top);
    return st ? st : add_above(&m->recent, recent, top);
}

lmail_status lmi_imap_mbox_vanished(lmi_imap_mbox *m, lmail_uid_set uids)
{
    lmail_status st = lmi_set_remove(&m->fresh, uids);
    if (!st)
        st = lmi_set_remove(&m->flagged, uids);
    lmail_uid_range hit;
    lmail_uid from = 1;
    while (!st && lmi_set_both(lmi_imap_view_set(&m->view), uids, from, &hit)) {
        st = lmail_uid_list_add(&m->vanished, hit.first, hit.last);
        if (hit.last == UINT32_MAX)
            break;
        from = hit.last + 1;
    }
    /* EXPUNGE lines of some may be on their way already. */
    return st ? st : lmi_set_remove(&m->vanished, lmail_uid_list_set(&m->telling));
}

lmail_status lmi_imap_mbox_flagged(lmi_imap_mbox *m, lmail_uid_set uids)
{
    lmail_status st = lmi_imap_view_cut(&m->view, uids, &m->flagged);
    if (!st && m->vanished.count)
        st = lmi_set_remove(&m->flagged, lmail_uid_list_set(&m->vanished));
    return st;
}
