/* admin_metrics.c - the numbers: one row of slots a thread, added up by who reads.
 *
 * A slot is written by its set's thread alone, with a plain load and store (relaxed atomics, no
 * locked instruction), and a set shares no cache line with another. A histogram's slots are its
 * buckets, each with what fell into it alone, and the sum; the reader makes them cumulative. */
#include "host/admin/admin_metrics.h"

#include <stdlib.h>
#include <string.h>

#define LINE 64u
#define MAX_SLOTS 65536u

/* From a cached answer to a hung disk. */
static const uint64_t second_bounds[] = {100,     250,     500,     1000,     2500,     5000,
                                         10000,   25000,   50000,   100000,   250000,   500000,
                                         1000000, 2500000, 5000000, 10000000, 30000000, 0};
static const uint64_t octet_bounds[] = {1024,    4096,    16384,    65536,    262144,
                                        1048576, 4194304, 16777216, 67108864, 0};

const uint64_t *lmail_metric_bounds(lmail_metric_kind kind)
{
    return kind == LMAIL_METRIC_SECONDS ? second_bounds : octet_bounds;
}

static unsigned bound_count(lmail_metric_kind kind)
{
    return kind == LMAIL_METRIC_SECONDS ? sizeof second_bounds / sizeof *second_bounds - 1
                                        : sizeof octet_bounds / sizeof *octet_bounds - 1;
}

int lmi_metric_is_histogram(const lmail_metric *f)
{
    return f->kind == LMAIL_METRIC_SECONDS || f->kind == LMAIL_METRIC_OCTETS;
}

static unsigned label_count(const lmail_metric_label *l)
{
    return l->name && l->count ? l->count : 1;
}

static lmail_status lay_out(lmail_metrics *m)
{
    size_t at = 0;
    for (size_t i = 0; i < m->count; i++) {
        const lmail_metric *f = &m->table[i];
        lmi_metric_place *p = &m->places[i];
        if (!f->name)
            return LMAIL_ERR_ARG;
        p->at = (uint32_t)at;
        p->width = lmi_metric_is_histogram(f) ? bound_count(f->kind) + 2 : 1;
        p->count = 1;
        for (unsigned k = 0; k < LMAIL_METRIC_LABELS; k++) {
            if (label_count(&f->labels[k]) > MAX_SLOTS)
                return LMAIL_ERR_ARG;
            p->count *= label_count(&f->labels[k]);
            if (p->count > MAX_SLOTS)
                return LMAIL_ERR_ARG;
        }
        at += (size_t)p->count * p->width;
        if (at > MAX_SLOTS)
            return LMAIL_ERR_ARG;
    }
    m->slots = at;
    return LMAIL_OK;
}

static lmail_status make_sets(lmail_metrics *m, size_t sets)
{
    size_t size = sizeof(lmail_metrics_set) + m->slots * sizeof(lmi_slot);
    size = (size + LINE - 1) / LINE * LINE;
    m->sets = calloc(sets + 1, sizeof *m->sets);
    if (!m->sets)
        return LMAIL_ERR_NOMEM;
    for (; m->set_count < sets; m->set_count++) {
        lmail_metrics_set *set = aligned_alloc(LINE, size);
        if (!set)
            return LMAIL_ERR_NOMEM;
        memset(set, 0, size);
        set->metrics = m;
        m->sets[m->set_count] = set;
    }
    return LMAIL_OK;
}

lmail_status lmail_metrics_new(lmail_metrics **out, const lmail_metric *table, size_t count,
                               size_t sets)
{
    lmail_metrics *m = calloc(1, sizeof *m);
    if (!m)
        return LMAIL_ERR_NOMEM;
    m->table = table;
    m->count = count;
    m->places = calloc(count + 1, sizeof *m->places);
    lmail_status st = m->places ? lay_out(m) : LMAIL_ERR_NOMEM;
    if (!st)
        st = make_sets(m, sets);
    if (st) {
        lmail_metrics_free(m);
        return st;
    }
    *out = m;
    return LMAIL_OK;
}

void lmail_metrics_free(lmail_metrics *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->set_count; i++)
        free(m->sets[i]);
    free(m->sets);
    free(m->places);
    free(m);
}

lmail_metrics_set *lmail_metrics_set_at(lmail_metrics *m, size_t i)
{
    return i < m->set_count ? m->sets[i] : NULL;
}

unsigned lmail_metrics_place(const lmail_metrics *m, unsigned family, unsigned a, unsigned b,
                             unsigned c)
{
    const unsigned wanted[LMAIL_METRIC_LABELS] = {a, b, c};
    unsigned place = 0;
    if (family >= m->count)
        return 0;
    for (unsigned k = 0; k < LMAIL_METRIC_LABELS; k++) {
        unsigned n = label_count(&m->table[family].labels[k]);
        place = place * n + (wanted[k] < n ? wanted[k] : n - 1);
    }
    return place;
}

/* ---- Counting -------------------------------------------------------------------------------- */

/* The first slot of one of a family's numbers; NULL: there is none. */
static lmi_slot *slot_of(lmail_metrics_set *set, unsigned family, unsigned place)
{
    if (!set || family >= set->metrics->count)
        return NULL;
    const lmi_metric_place *p = &set->metrics->places[family];
    return place < p->count ? &set->slots[p->at + place * p->width] : NULL;
}

static void grow(lmi_slot *slot, uint64_t n)
{
    uint64_t had = atomic_load_explicit(slot, memory_order_relaxed);
    atomic_store_explicit(slot, had + n, memory_order_relaxed);
}

void lmail_metrics_add(lmail_metrics_set *set, unsigned family, unsigned place, int64_t n)
{
    lmi_slot *slot = slot_of(set, family, place);
    if (slot && !lmi_metric_is_histogram(&set->metrics->table[family]))
        grow(slot, (uint64_t)n);
}

void lmail_metrics_put(lmail_metrics_set *set, unsigned family, unsigned place, uint64_t n)
{
    lmi_slot *slot = slot_of(set, family, place);
    if (slot && !lmi_metric_is_histogram(&set->metrics->table[family]))
        atomic_store_explicit(slot, n, memory_order_relaxed);
}

void lmail_metrics_observe(lmail_metrics_set *set, unsigned family, unsigned place, uint64_t value)
{
    lmi_slot *slot = slot_of(set, family, place);
    if (!slot || !lmi_metric_is_histogram(&set->metrics->table[family]))
        return;
    lmail_metric_kind kind = set->metrics->table[family].kind;
    const uint64_t *bounds = lmail_metric_bounds(kind);
    unsigned i = 0, n = bound_count(kind);
    while (i < n && value > bounds[i])
        i++;
    grow(slot + i, 1);
    grow(slot + n + 1, value);
}

/* ---- Reading --------------------------------------------------------------------------------- */

uint64_t lmi_metrics_sum(const lmail_metrics *m, size_t slot)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < m->set_count; i++)
        sum += atomic_load_explicit(&m->sets[i]->slots[slot], memory_order_relaxed);
    return sum;
}

uint64_t lmail_metrics_get(const lmail_metrics *m, unsigned family, unsigned place)
{
    if (family >= m->count || place >= m->places[family].count)
        return 0;
    const lmi_metric_place *p = &m->places[family];
    uint64_t sum = 0;
    for (unsigned i = 0; i < (p->width > 1 ? p->width - 1 : 1); i++)
        sum += lmi_metrics_sum(m, p->at + (size_t)place * p->width + i);
    return sum;
}
