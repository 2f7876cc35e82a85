/* links: host
 * What host/dns costs, and how long a faulty server delays.
 *
 *     bench_dns [TIMEOUT_MS [TRIES]]        as the settings; 0: their defaults
 *
 * The name server is a thread of this process (support/host_nameserver.h). Prints figures, judges
 * none. */
#include "host_nameserver.h"

#include <libmail/host/dns.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

static const ns_record zone[] = {{"1.2.0.192.in-addr.arpa", "PTR", "mail.example.org"},
                                 {"mail.example.org", "A", "192.0.2.1"},
                                 {"1.2.0.192.bl.example", "A", "127.0.0.2"},
                                 {NULL, NULL, NULL}};

static nameserver ns;
static uv_loop_t loop;
static lmail_dns *dns;
static unsigned left, temp;
static lmail_msec timeout;
static unsigned tries;

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long private_kib(void)
{
    char line[200];
    long kib = 0, value;
    FILE *f = fopen("/proc/self/smaps_rollup", "re");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "Private_Dirty: %ld", &value) == 1)
            kib = value;
    if (f)
        fclose(f);
    return kib;
}

static void start(int fault, unsigned max_lookups)
{
    lmail_dns_config config = LMAIL_DNS_CONFIG_INIT;
    char error[200];
    nameserver_start(&ns, zone);
    ns.fault = fault;
    uv_loop_init(&loop);
    config.loop = &loop;
    config.servers = ns.address;
    config.hosts = "";
    config.timeout = timeout;
    config.tries = tries;
    config.max_lookups = max_lookups;
    if (lmail_dns_new(&dns, &config, error, sizeof(error))) {
        fprintf(stderr, "bench_dns: %s\n", error);
        exit(1);
    }
}

static void stop(void)
{
    double begun = seconds(CLOCK_MONOTONIC);
    lmail_dns_free(dns, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    printf("    freed in %.1f ms\n", (seconds(CLOCK_MONOTONIC) - begun) * 1e3);
    uv_loop_close(&loop);
    nameserver_stop(&ns);
}

static void on_client(void *user, lmail_ticket ticket, const lmail_dns_client *a)
{
    (void)user, (void)ticket;
    left--;
    temp += a->result == LMAIL_DNS_TEMP;
}

static void ask(unsigned i)
{
    char address[40];
    snprintf(address, sizeof(address), "192.%u.%u.%u", i >> 16 & 255, i >> 8 & 255, i & 255);
    left++;
    if (lmail_dns_ask_client(dns, lmail_str_from(address), on_client, NULL, NULL))
        left--;
}

static double answered(void)
{
    double begun = seconds(CLOCK_MONOTONIC);
    while (left)
        uv_run(&loop, UV_RUN_ONCE);
    return seconds(CLOCK_MONOTONIC) - begun;
}

static void cost(void)
{
    enum { N = 20000, UNDER_WAY = 64 };
    long before = private_kib();
    start(NS_HEALTHY, 0);
    ask(0x201);
    answered();
    printf("a resolver: %ld KiB of private memory and a thread\n", private_kib() - before);
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < N; i++) {
        ask(0x201);
        answered();
    }
    printf("client name from the cache (PTR and A), one at a time: %.1f us, CPU %.1f us\n",
           (seconds(CLOCK_MONOTONIC) - wall) / N * 1e6,
           (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / N * 1e6);
    wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < N; i += UNDER_WAY) {
        for (int k = 0; k < UNDER_WAY; k++)
            ask(0x201);
        answered();
    }
    printf("    %d at a time: %.1f us, CPU %.1f us\n", UNDER_WAY,
           (seconds(CLOCK_MONOTONIC) - wall) / N * 1e6,
           (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / N * 1e6);
    wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned i = 0; i < N; i += UNDER_WAY) {
        for (unsigned k = 0; k < UNDER_WAY; k++)
            ask(0x20000 + i + k);
        answered();
    }
    printf(
        "no PTR record, not cached, %d at a time, server's time included: %.1f us, CPU %.1f us\n",
        UNDER_WAY, (seconds(CLOCK_MONOTONIC) - wall) / N * 1e6,
        (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / N * 1e6);
    printf("    after %d names: %ld KiB\n", N, private_kib() - before);
    stop();
}

static void delays(const char *name, int fault)
{
    printf("%s: question by question:", name);
    start(fault, 0);
    for (unsigned i = 0; i < 8; i++) {
        temp = 0;
        ask(0x201 + i * (fault != NS_TRUNCATES));
        double took = answered();
        printf(" %.3f s%s", took, temp ? "" : " (answered)");
    }
    printf("\n");
    if (fault == NS_SILENT) {
        double begun = seconds(CLOCK_MONOTONIC), longest = 0, took;
        unsigned i = 0, asked = 0;
        for (; seconds(CLOCK_MONOTONIC) - begun < 30; asked++) {
            ask(0x50000 + asked);
            took = answered();
            longest = took > longest ? took : longest;
            usleep(50000);
        }
        printf("    30 s more: %u questions, the longest %.3f s\n", asked, longest);
        begun = seconds(CLOCK_MONOTONIC);
        ns.fault = NS_HEALTHY;
        do {
            temp = 0;
            ask(0x30000 + i++);
            answered();
            usleep(20000);
        } while (temp && seconds(CLOCK_MONOTONIC) - begun < 200);
        printf("    the server is back: first answer after %.1f s\n",
               seconds(CLOCK_MONOTONIC) - begun);
    }
    stop();
}

static void crowd(void)
{
    enum { N = 5000 };
    start(NS_SILENT, N);
    long before = private_kib();
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), begun = seconds(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < N; i++)
        ask(0x40000 + i);
    uv_run(&loop, UV_RUN_NOWAIT);
    usleep(300000);
    long held = private_kib() - before;
    answered();
    printf("%d questions at a silent server: all answered after %.2f s, CPU %.0f us each, %.1f KiB "
           "each while they wait\n",
           N, seconds(CLOCK_MONOTONIC) - begun, (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / N * 1e6,
           (double)held / N);
    stop();
}

int main(int argc, char **argv)
{
    timeout = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    tries = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    setvbuf(stdout, NULL, _IONBF, 0);
    cost();
    delays("SERVFAIL", NS_SERVFAIL);
    delays("garbage", NS_GARBAGE);
    delays("truncated, so TCP", NS_TRUNCATES);
    delays("silent", NS_SILENT);
    crowd();
    return 0;
}
