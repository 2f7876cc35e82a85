/* tables.c - what a route and a rewriting cost with large tables: nanoseconds and allocations.
 *
 * 200,000 entries each in virtusertable, mailertable, genericstable and aliases. CPU time. Prints
 * figures, asserts nothing. */
#include "support/count_alloc.h"
#include "support/tables_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ENTRIES = 200000, ROUNDS = 400000 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static char *table(const char *format)
{
    size_t cap = (size_t)ENTRIES * 80, n = 0;
    char *text = malloc(cap);
    if (!text)
        exit(1);
    for (int i = 0; i < ENTRIES; i++)
        n += (size_t)snprintf(text + n, cap - n, format, i, i);
    return text;
}

static void bench_route(const tables_world *w, const char *local, const char *domain)
{
    lmail_policy_route_question q;
    const lmail_policy_routes *routes;
    count_alloc memory = {0};
    size_t destinations = 0;
    lmail_policy_route_question_init(&q);
    q.local_part = lmail_str_from(local);
    q.domain = lmail_str_from(domain);
    double begin = now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        if (lmail_policy_tables_route(w->tables, &q, &routes))
            exit(1);
        destinations += routes->count;
        lmail_policy_routes_free(routes);
    }
    double spent = now_ns() - begin;
    q.alloc = count_alloc_table(&memory);
    if (!lmail_policy_tables_route(w->tables, &q, &routes))
        lmail_policy_routes_free(routes);
    printf("route    %7.1f ns  %zu allocations  %s@%s: %zu\n", spent / ROUNDS, memory.requests,
           local, domain, destinations / ROUNDS);
}

static void bench_rewrite(const tables_world *w, const char *text)
{
    char out[1024];
    size_t made = 0;
    lmail_str in = lmail_str_from(text);
    double begin = now_ns();
    for (int i = 0; i < ROUNDS; i++)
        if (lmail_policy_tables_rewrite_value(w->tables, LMAIL_POLICY_HEADER_SENDER,
                                              LMAIL_POLICY_DELIVERY_SMTP, in, out, sizeof out,
                                              &made))
            exit(1);
    double spent = now_ns() - begin;
    printf("rewrite  %7.1f ns  %s -> %.*s\n", spent / ROUNDS, text, (int)made, out);
}

int main(void)
{
    static const lmail_str generics[] = {LMAIL_STR("g.example")};
    tables_world w;
    char *texts[] = {table("user%d@virt.example  box%d@local.example\n"),
                     table("host%d.example\tesmtp:[mx%d.example]\n"),
                     table("user%d@g.example\tname%d@out.example\n"), table("box%d: mailbox%d\n")};
    tables_world_init(&w, "virt.example local.example");
    w.config.virtusertable = tables_world_file("virtusertable", texts[0]);
    w.config.mailertable = tables_world_file("mailertable", texts[1]);
    w.config.genericstable = tables_world_file("genericstable", texts[2]);
    tables_world_aliases(&w, texts[3]);
    w.config.generics_domains = (lmail_policy_names){generics, 1, {{NULL, 0}, {NULL, 0}}};
    w.config.masquerade_as = LMAIL_STR("out.example");
    double begin = now_ns();
    tables_world_load(&w);
    printf("load     %7.1f ms  %d entries  %s%s\n", (now_ns() - begin) / 1e6, 4 * ENTRIES,
           lmail_status_name(w.status), w.said);
    if (w.status)
        return 1;
    bench_route(&w, "nobody", "local.example");
    bench_route(&w, "user7+detail", "virt.example");
    bench_route(&w, "user777", "virt.example");
    bench_route(&w, "user", "a.b.c.d.elsewhere.example");
    bench_route(&w, "user", "host4711.example");
    bench_rewrite(&w, "user777@g.example");
    bench_rewrite(&w, "\"Somebody\" <user+x@local.example>");
    bench_rewrite(&w, "Somebody <user@elsewhere.example>, other@host1.example");
    tables_world_done(&w);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    return 0;
}
