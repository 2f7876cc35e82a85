/* mailctl stats: the numbers as a summary for people, or as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mailctl_stats.h"

#define PARTS 32

/* ---- Numbers --------------------------------------------------------------------------------- */

static double number(const stats_sample *s)
{
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)(s->value.len < 63 ? s->value.len : 63), s->value.ptr);
    return strtod(text, NULL);
}

static int is_named(const stats_sample *s, const char *name)
{
    return lmail_str_equal(s->name, lmail_str_from(name));
}

static double total(const stats_page *p, const char *name)
{
    double sum = 0;
    for (size_t i = 0; i < p->count; i++)
        if (is_named(&p->samples[i], name))
            sum += number(&p->samples[i]);
    return sum;
}

/* ---- For people ------------------------------------------------------------------------------ */

static void print_octets(double n)
{
    static const char *const units[] = {"octets", "KiB", "MiB", "GiB", "TiB"};
    size_t u = 0;
    for (; n >= 1024 && u + 1 < sizeof units / sizeof *units; u++)
        n /= 1024;
    printf(u ? "%.1f %s" : "%.0f %s", n, units[u]);
}

static void print_duration(double seconds)
{
    if (seconds < 0.001)
        printf("%.0f us", seconds * 1e6);
    else if (seconds < 1)
        printf("%.3g ms", seconds * 1e3);
    else if (seconds < 120)
        printf("%.0f s", seconds);
    else if (seconds < 7200)
        printf("%.0f min", seconds / 60);
    else if (seconds < 172800)
        printf("%.0f h", seconds / 3600);
    else
        printf("%.0f days", seconds / 86400);
}

typedef struct part {
    lmail_str name;
    double n;
} part;

/* The sum for each value of a label, in the page's order. */
static size_t split(const stats_page *p, const char *family, const char *label, part parts[PARTS])
{
    size_t count = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (!is_named(&p->samples[i], family))
            continue;
        lmail_str value = stats_label(&p->samples[i], label);
        size_t k = 0;
        while (k < count && !lmail_str_equal(parts[k].name, value))
            k++;
        if (k == PARTS)
            continue;
        if (k == count)
            parts[count++] = (part){value, 0};
        parts[k].n += number(&p->samples[i]);
    }
    return count;
}

/* "  replies    120: 250 100, 550 20"; nothing when nothing was counted. */
static void print_split(const stats_page *p, const char *title, const char *family,
                        const char *label)
{
    part parts[PARTS];
    double sum = total(p, family);
    const char *between = ":";
    if (sum <= 0)
        return;
    printf("  %-18s %10.0f", title, sum);
    size_t count = label ? split(p, family, label, parts) : 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].n <= 0)
            continue;
        printf("%s %.*s %.0f", between, (int)parts[i].name.len, parts[i].name.ptr, parts[i].n);
        between = ",";
    }
    printf("\n");
}

/* The bound under which this share of all lies; below 0: above the last bound. */
static double below(const stats_page *p, const char *bucket, double share, double count)
{
    double best = -1;
    for (size_t i = 0; i < p->count; i++) {
        stats_sample bound = p->samples[i];
        double sum = 0;
        if (!is_named(&bound, bucket))
            continue;
        bound.value = stats_label(&bound, "le");
        if (!bound.value.len || bound.value.ptr[0] == '+')
            continue;
        for (size_t k = 0; k < p->count; k++)
            if (is_named(&p->samples[k], bucket) &&
                lmail_str_equal(stats_label(&p->samples[k], "le"), bound.value))
                sum += number(&p->samples[k]);
        if (sum >= share * count && (best < 0 || number(&bound) < best))
            best = number(&bound);
    }
    return best;
}

static void print_times(const stats_page *p, const char *title, const char *family)
{
    static const double shares[] = {0.5, 0.99};
    char name[128];
    snprintf(name, sizeof name, "%s_count", family);
    double count = total(p, name);
    snprintf(name, sizeof name, "%s_bucket", family);
    if (count <= 0)
        return;
    printf("  %-18s %10.0f:", title, count);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        double bound = below(p, name, shares[i], count);
        printf("%s %.0f %% ", i ? "," : "", shares[i] * 100);
        printf(bound < 0 ? "longer than " : "within ");
        print_duration(bound < 0 ? 30 : bound);
    }
    printf("\n");
}

static void print_process(const char *daemon, const stats_page *p)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double up = (double)now.tv_sec - total(p, "process_start_time_seconds");
    printf("%s: up ", daemon);
    print_duration(up < 1 ? 1 : up);
    printf(", ");
    print_octets(total(p, "process_resident_memory_bytes"));
    printf(" of memory, %.0f of %.0f descriptors, ", total(p, "process_open_fds"),
           total(p, "process_max_fds"));
    print_duration(total(p, "process_cpu_seconds_total"));
    printf(" of processor time\n");
}

static void print_traffic(const stats_page *p)
{
    printf("  %-18s ", "octets");
    print_octets(total(p, "libmail_received_bytes_total"));
    printf(" in, ");
    print_octets(total(p, "libmail_sent_bytes_total"));
    printf(" out\n");
}

void stats_summary(const char *daemon, const stats_page *p)
{
    static const struct {
        const char *title, *family, *label;
    } rows[] = {
        {"open now", "libmail_connections_open", "protocol"},
        {"connections", "libmail_connections_total", "protocol"},
        {"refused", "libmail_connections_refused_total", "reason"},
        {"listeners closed", "libmail_listeners_closed_total", NULL},
        {"TLS handshakes", "libmail_tls_handshakes_total", "result"},
        {"TLS versions", "libmail_tls_connections_total", "version"},
        {"logins", "libmail_logins_total", "result"},
        {"mechanisms", "libmail_logins_total", "mechanism"},
        {"messages", "libmail_smtp_messages_total", "verdict"},
        {"recipients", "libmail_smtp_recipients_total", "outcome"},
        {"replies", "libmail_smtp_replies_total", "code"},
        {"commands", "libmail_imap_commands_total", "command"},
        {"answers", "libmail_imap_replies_total", "result"},
        {"status lines", "libmail_pop3_replies_total", "result"},
        {"retrieved", "libmail_pop3_messages_retrieved_total", NULL},
        {"deleted", "libmail_pop3_messages_deleted_total", NULL},
        {"mailbox changes", "libmail_store_commits_total", "result"},
        {"in the queue", "libmail_queue_messages", "state"},
        {"reloads", "libmail_reloads_total", "result"},
    };
    static const char *const times[][2] = {
        {"commands took", "libmail_command_duration_seconds"},
        {"logins took", "libmail_login_duration_seconds"},
        {"passwords took", "libmail_password_check_duration_seconds"},
        {"deliveries took", "libmail_delivery_duration_seconds"},
        {"store jobs took", "libmail_store_job_duration_seconds"},
        {"DNS lookups took", "libmail_dns_lookup_duration_seconds"},
    };
    print_process(daemon, p);
    print_traffic(p);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        print_split(p, rows[i].title, rows[i].family, rows[i].label);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        print_times(p, times[i][0], times[i][1]);
}

/* ---- For programs ---------------------------------------------------------------------------- */

/* `a="b",c="d"` becomes `"a": "b", "c": "d"`: the page's names and values need no escaping. */
static void print_labels(lmail_str labels)
{
    int inside = 0, name = 1;
    for (size_t i = 0; i < labels.len; i++) {
        char c = labels.ptr[i];
        if (name && !inside) {
            putchar('"');
            name = 0;
        }
        if (c == '"')
            inside = !inside;
        if (c == '=' && !inside) {
            fputs("\": ", stdout);
        } else if (c == ',' && !inside) {
            fputs(", ", stdout);
            name = 1;
        } else {
            putchar(c);
        }
    }
}

void stats_json(const stats_page *p)
{
    printf("{");
    for (size_t i = 0; i < p->count; i++) {
        const stats_sample *s = &p->samples[i];
        int again = i > 0 && lmail_str_equal(s->name, s[-1].name);
        if (!again)
            printf("%s\n  \"%.*s\": [", i ? "]," : "", (int)s->name.len, s->name.ptr);
        printf("%s{\"labels\": {", again ? ", " : "");
        print_labels(s->labels);
        printf("}, \"value\": %.*s}", (int)s->value.len, s->value.ptr);
    }
    printf("%s}", p->count ? "]" : "");
}
