/* links: host. What counting costs: nanoseconds a count, alone and with every core counting; and the
 * page. */
#include <libmail/host/metrics.h>

#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define TURNS 20000000u
#define THREADS 16u

static const lmail_metric table[] = {
    {"b_counted", LMAIL_METRIC_COUNTER, 0, "Counted.", {{"code", NULL, 400, 200}}},
    {"b_time_seconds", LMAIL_METRIC_SECONDS, 0, "Time.", {{NULL, NULL, 0, 0}}},
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *count(void *set)
{
    for (unsigned i = 0; i < TURNS; i++)
        lmail_metrics_add(set, 0, i % 400, 1);
    return NULL;
}

static void *observe(void *set)
{
    for (unsigned i = 0; i < TURNS; i++)
        lmail_metrics_observe(set, 1, 0, i % 5000);
    return NULL;
}

static lmail_status drop(void *octets, lmail_str text)
{
    *(size_t *)octets += text.len;
    return LMAIL_OK;
}

static void run(lmail_metrics *m, const char *name, void *(*work)(void *), unsigned threads)
{
    pthread_t all[THREADS];
    double from = now();
    for (unsigned i = 0; i < threads; i++)
        pthread_create(&all[i], NULL, work, lmail_metrics_set_at(m, i));
    for (unsigned i = 0; i < threads; i++)
        pthread_join(all[i], NULL);
    printf("%s, %u threads: %.1f ns each\n", name, threads, (now() - from) / TURNS);
}

int main(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = cores > (long)THREADS ? THREADS : cores > 1 ? (unsigned)cores : 1;
    lmail_metrics *m;
    size_t octets = 0;
    if (lmail_metrics_new(&m, table, 2, threads))
        return 1;
    run(m, "add", count, 1);
    run(m, "add", count, threads);
    run(m, "observe", observe, 1);
    run(m, "observe", observe, threads);
    double from = now();
    for (unsigned i = 0; i < 1000; i++)
        now();
    printf("the clock: %.1f ns\n", (now() - from) / 1000);
    from = now();
    lmail_metrics_write(m, drop, &octets);
    printf("a page of %zu octets: %.0f us\n", octets, (now() - from) / 1000);
    lmail_metrics_free(m);
    return 0;
}
