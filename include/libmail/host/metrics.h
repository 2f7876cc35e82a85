/* libmail/host/metrics.h - counters, gauges and histograms, and the page that shows them.
 *
 * A lmail_metrics is made of a table of families. It has sets of numbers, one for each thread that
 * counts, so that counting is a plain addition on a cache line of that thread's own; a reader adds
 * the sets up. What may be counted is fixed when the table is written: labels have lists of values,
 * so that no peer can make the page grow.
 *
 *     static const char *const results[] = {"ok", "failed"};
 *     static const lmail_metric table[] = {
 *         {"app_jobs", LMAIL_METRIC_COUNTER, 0, "Jobs that ended.", {{"result", results, 2, 0}}}};
 *     lmail_metrics_new(&m, table, 1, threads);
 *     lmail_metrics_add(lmail_metrics_set_at(m, thread), 0, 1, 1);        one more that failed
 *     lmail_metrics_write(m, ...);                            app_jobs_total{result="failed"} 1
 *
 * The page is OpenMetrics text, which Prometheus and others read. Names follow its rules: a
 * counter's name in the table lacks the "_total" of its samples; a name that ends in "_seconds" or
 * "_bytes" gets its unit told.
 * Source: RFC 9110 for the page's transport; the OpenMetrics specification 1.0 for its text. */
#ifndef LIBMAIL_HOST_METRICS_H
#define LIBMAIL_HOST_METRICS_H

#include <libmail/base.h>
#include <libmail/host/net.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_metrics lmail_metrics;
typedef struct lmail_metrics_set lmail_metrics_set;

typedef enum lmail_metric_kind {
    LMAIL_METRIC_COUNTER = 1, /* only grows */
    LMAIL_METRIC_GAUGE,
    LMAIL_METRIC_INFO,    /* always 1: its labels tell something */
    LMAIL_METRIC_SECONDS, /* histogram of durations, counted in microseconds */
    LMAIL_METRIC_OCTETS   /* histogram of sizes */
} lmail_metric_kind;

enum {
    LMAIL_METRIC_SPARSE = 1, /* label values that were never counted are not shown */
    LMAIL_METRIC_MICRO = 2   /* a counter or gauge in millionths: shown as 1.234567 */
};

#define LMAIL_METRIC_LABELS 3

/* name NULL: no such label. */
typedef struct lmail_metric_label {
    const char *name;
    const char *const *values; /* NULL: the numbers first .. first + count - 1 */
    unsigned count;
    unsigned first;
} lmail_metric_label;

/* One family. */
typedef struct lmail_metric {
    const char *name;
    lmail_metric_kind kind;
    unsigned flags;
    const char *help; /* a sentence; no line ends, quotes or backslashes */
    lmail_metric_label labels[LMAIL_METRIC_LABELS];
} lmail_metric;

/* Upper bounds of a histogram's buckets but the last, which has none. Ascending; 0 after the last
 * of them. SECONDS: microseconds. */
LMAIL_API const uint64_t *lmail_metric_bounds(lmail_metric_kind kind);

/* The table and its texts are borrowed until free. A family's number is its place in the table.
 *   sets   threads that count
 * Returns: OK, ERR_ARG (a family without a name, more than 65536 numbers), ERR_NOMEM. */
LMAIL_API lmail_status lmail_metrics_new(lmail_metrics **out, const lmail_metric *table,
                                         size_t count, size_t sets);
/* Nobody counts or reads any more. NULL is allowed. */
LMAIL_API void lmail_metrics_free(lmail_metrics *m);

/* Set number i, from 0; NULL: there is none. */
LMAIL_API lmail_metrics_set *lmail_metrics_set_at(lmail_metrics *m, size_t i);

/* Which of a family's numbers: a, b and c are the places of the values in the lists of the first,
 * second and third label; 0 for labels that it has not. Places out of range count as the last. */
LMAIL_API unsigned lmail_metrics_place(const lmail_metrics *m, unsigned family, unsigned a,
                                       unsigned b, unsigned c);

/* Count. For one thread a set, with a NULL set nothing is done.
 *   place   from lmail_metrics_place, or of a family with one label the place of its value
 * add: a counter or gauge; n may be negative for a gauge. put: the set's number is n from now on,
 * for what somebody else counts. observe: one more in a histogram. */
LMAIL_API void lmail_metrics_add(lmail_metrics_set *set, unsigned family, unsigned place,
                                 int64_t n);
LMAIL_API void lmail_metrics_put(lmail_metrics_set *set, unsigned family, unsigned place,
                                 uint64_t n);
LMAIL_API void lmail_metrics_observe(lmail_metrics_set *set, unsigned family, unsigned place,
                                     uint64_t value);

/* The sum over all sets: of a counter or gauge its number, of a histogram how many were observed.
 * Any thread. */
LMAIL_API uint64_t lmail_metrics_get(const lmail_metrics *m, unsigned family, unsigned place);

/* Write the page in pieces. Any thread. Returns: OK or what write returned. */
LMAIL_API lmail_status lmail_metrics_write(const lmail_metrics *m,
                                           lmail_status (*write)(void *ctx, lmail_str text),
                                           void *ctx);

/* ---- The page over HTTP ---------------------------------------------------------------------- */

/* GET and HEAD of /metrics, one request a connection; anything else is refused. Requests have at
 * most 8 KiB and 5 seconds, and 32 may be under way. */
typedef struct lmail_metrics_door lmail_metrics_door;

typedef struct lmail_metrics_door_config {
    size_t size;
    const char *address; /* "127.0.0.1:9025", "[::1]:9025", "unix:/run/smtpd.metrics" */
    unsigned unix_mode;  /* permissions of a unix socket; 0: 0660 */
    lmail_metrics *metrics;
    lmail_loop *loop;
    lmail_pool *pool; /* where the page is written */
    /* Called before each page, on a worker, one at a time for this door: put() what others count.
     * May be NULL. */
    lmail_call_fn *collect;
    void *user;
} lmail_metrics_door_config;

#define LMAIL_METRICS_DOOR_CONFIG_INIT                                                             \
    {                                                                                              \
        sizeof(lmail_metrics_door_config), NULL, 0, NULL, NULL, NULL, NULL, NULL                   \
    }
LMAIL_API void lmail_metrics_door_config_init(lmail_metrics_door_config *config);

/* Bind and listen at once; requests are answered when the loop runs. A unix socket that nobody
 * answers on is replaced.
 *   error   filled with a terminated text for people when it fails (may be NULL, cap 0)
 * Returns: OK, ERR_SIZE, ERR_ARG (the address), ERR_BUSY (it is in use), ERR_DENIED, ERR_IO,
 * ERR_NOMEM. Before the loop runs, or on its thread. */
LMAIL_API lmail_status lmail_metrics_door_new(lmail_metrics_door **out,
                                              const lmail_metrics_door_config *config, char *error,
                                              size_t cap);
/* The port that is bound; 0 on a unix socket. */
LMAIL_API unsigned lmail_metrics_door_port(const lmail_metrics_door *door);
/* Close the socket and all requests: on the loop's thread when its net begins to stop, or before the
 * net is freed. Twice does no harm. NULL is allowed. */
LMAIL_API void lmail_metrics_door_close(lmail_metrics_door *door);
/* After close, when the net has been freed. NULL is allowed. */
LMAIL_API void lmail_metrics_door_free(lmail_metrics_door *door);

#ifdef __cplusplus
}
#endif

#endif
