/* admin_metrics_text.c - the numbers as OpenMetrics text (OpenMetrics 1.0, section 6).
 *
 * Every family has its TYPE and HELP lines, also one that shows no number; the text ends in "# EOF".
 * All names and label values are constants of the table, so nothing here needs escaping. */
#include "host/admin/admin_metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MILLION 1000000u
#define LABELS_MAX 512

typedef struct page {
    lmail_status (*write)(void *ctx, lmail_str text);
    void *ctx;
    lmail_status status;
} page;

static void put(page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(page *p, const char *format, ...)
{
    char line[1536];
    va_list args;
    if (p->status)
        return;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof line)
        p->status = LMAIL_ERR_LIMIT;
    else
        p->status = p->write(p->ctx, (lmail_str){line, (size_t)n});
}

static void put_value(page *p, uint64_t v, int micro)
{
    if (micro)
        put(p, " %llu.%06llu\n", (unsigned long long)(v / MILLION),
            (unsigned long long)(v % MILLION));
    else
        put(p, " %llu\n", (unsigned long long)v);
}

static const char *type_name(lmail_metric_kind kind)
{
    switch (kind) {
    case LMAIL_METRIC_COUNTER:
        return "counter";
    case LMAIL_METRIC_GAUGE:
        return "gauge";
    case LMAIL_METRIC_INFO:
        return "info";
    default:
        return "histogram";
    }
}

static void put_head(page *p, const lmail_metric *f)
{
    static const char *const units[] = {"seconds", "bytes"};
    put(p, "# TYPE %s %s\n", f->name, type_name(f->kind));
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t len = strlen(f->name), tail = strlen(units[i]);
        if (len > tail && f->name[len - tail - 1] == '_' &&
            strcmp(f->name + len - tail, units[i]) == 0)
            put(p, "# UNIT %s %s\n", f->name, units[i]);
    }
    put(p, "# HELP %s %s\n", f->name, f->help);
}

/* `protocol="smtp",code="250"` of number `place`. */
static void fill_labels(const lmail_metric *f, unsigned place, char out[LABELS_MAX])
{
    unsigned at[LMAIL_METRIC_LABELS] = {0};
    size_t n = 0;
    for (unsigned k = LMAIL_METRIC_LABELS; k-- > 0;) {
        unsigned count = f->labels[k].name && f->labels[k].count ? f->labels[k].count : 1;
        at[k] = place % count;
        place /= count;
    }
    out[0] = '\0';
    for (unsigned k = 0; k < LMAIL_METRIC_LABELS && n < LABELS_MAX; k++) {
        const lmail_metric_label *l = &f->labels[k];
        int more = 0;
        if (!l->name || !l->count)
            continue;
        if (l->values)
            more = snprintf(out + n, LABELS_MAX - n, "%s%s=\"%s\"", n ? "," : "", l->name,
                            l->values[at[k]]);
        else
            more = snprintf(out + n, LABELS_MAX - n, "%s%s=\"%u\"", n ? "," : "", l->name,
                            l->first + at[k]);
        n += more > 0 ? (size_t)more : 0;
    }
}

/* As a float, without zeros at its end: "0.0025", "1024.0". */
static void put_bound(page *p, uint64_t bound, int micro)
{
    char text[48];
    int n = snprintf(text, sizeof text, "%llu.%06llu",
                     (unsigned long long)(micro ? bound / MILLION : bound),
                     (unsigned long long)(micro ? bound % MILLION : 0));
    while (n > 2 && text[n - 1] == '0' && text[n - 2] != '.')
        n--;
    put(p, "%.*s\"}", n, text);
}

static void put_histogram(page *p, const lmail_metrics *m, const lmail_metric *f, size_t slot,
                          const char *labels)
{
    const uint64_t *bounds = lmail_metric_bounds(f->kind);
    int micro = f->kind == LMAIL_METRIC_SECONDS;
    uint64_t total = 0;
    size_t i = 0;
    for (;; i++) {
        total += lmi_metrics_sum(m, slot + i);
        put(p, "%s_bucket{%s%sle=\"", f->name, labels, *labels ? "," : "");
        if (!bounds[i])
            break;
        put_bound(p, bounds[i], micro);
        put_value(p, total, 0);
    }
    put(p, "+Inf\"}");
    put_value(p, total, 0);
    const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    put(p, "%s_count%s%s%s", f->name, open, labels, close);
    put_value(p, total, 0);
    put(p, "%s_sum%s%s%s", f->name, open, labels, close);
    put_value(p, lmi_metrics_sum(m, slot + i + 1), micro);
}

static void put_number(page *p, const lmail_metric *f, uint64_t value, const char *labels)
{
    const char *suffix = f->kind == LMAIL_METRIC_COUNTER ? "_total"
                         : f->kind == LMAIL_METRIC_INFO  ? "_info"
                                                         : "";
    put(p, "%s%s%s%s%s", f->name, suffix, *labels ? "{" : "", labels, *labels ? "}" : "");
    put_value(p, f->kind == LMAIL_METRIC_INFO ? 1 : value, f->flags & LMAIL_METRIC_MICRO);
}

lmail_status lmail_metrics_write(const lmail_metrics *m,
                                 lmail_status (*write)(void *ctx, lmail_str text), void *ctx)
{
    page p = {write, ctx, LMAIL_OK};
    for (unsigned i = 0; i < m->count && !p.status; i++) {
        const lmail_metric *f = &m->table[i];
        const lmi_metric_place *at = &m->places[i];
        put_head(&p, f);
        for (unsigned k = 0; k < at->count && !p.status; k++) {
            char labels[LABELS_MAX];
            uint64_t value = lmail_metrics_get(m, i, k);
            if (f->flags & LMAIL_METRIC_SPARSE && !value)
                continue;
            fill_labels(f, k, labels);
            if (lmi_metric_is_histogram(f))
                put_histogram(&p, m, f, at->at + (size_t)k * at->width, labels);
            else
                put_number(&p, f, value, labels);
        }
    }
    put(&p, "# EOF\n");
    return p.status;
}
