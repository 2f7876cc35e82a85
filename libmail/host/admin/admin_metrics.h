/* admin_metrics.h - how the numbers lie in memory, for those who count and those who write them. */
#ifndef LMI_ADMIN_METRICS_H
#define LMI_ADMIN_METRICS_H

#include <libmail/host/metrics.h>
#include <stdatomic.h>

typedef atomic_uint_least64_t lmi_slot;

typedef struct lmi_metric_place {
    uint32_t at;    /* the first slot */
    uint32_t width; /* slots of one number: 1, or of a histogram its buckets and the sum */
    uint32_t count; /* numbers: one for each choice of label values */
} lmi_metric_place;

struct lmail_metrics {
    const lmail_metric *table;
    lmi_metric_place *places;
    size_t count, slots;
    lmail_metrics_set **sets;
    size_t set_count;
};

struct lmail_metrics_set {
    const lmail_metrics *metrics;
    lmi_slot slots[];
};

int lmi_metric_is_histogram(const lmail_metric *f);
/* A slot over all sets. */
uint64_t lmi_metrics_sum(const lmail_metrics *m, size_t slot);

#endif
