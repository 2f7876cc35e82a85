/* links: host. What the service counts for one message, by the very functions that smtpd calls: MAIL, RCPT, DATA, the
 * final dot and their replies, one recipient, one delivery. The budget is 0.15 ms of CPU a message. */
#include "host/service/service_metrics.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MESSAGES 1000000u
#define BUDGET_NS 150000.0

static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void trace(lmi_peer *peer, lmail_trace_kind kind, const char *text)
{
    lmail_trace ev;
    memset(&ev, 0, sizeof ev);
    ev.kind = kind;
    ev.text = lmail_str_from(text);
    lmi_count_trace(peer, &ev);
}

static void commands(lmi_peer *peer)
{
    trace(peer, LMAIL_TRACE_IN, "MAIL FROM:<a@example.org>");
    trace(peer, LMAIL_TRACE_OUT, "250 2.1.0 OK");
    trace(peer, LMAIL_TRACE_IN, "RCPT TO:<b@example.org>");
    trace(peer, LMAIL_TRACE_OUT, "250 2.1.5 OK");
    trace(peer, LMAIL_TRACE_IN, "DATA");
    trace(peer, LMAIL_TRACE_OUT, "354 go on");
    trace(peer, LMAIL_TRACE_OUT, "250 2.0.0 OK");
}

static void delivery(lmi_peer *peer, lmi_job *job)
{
    job->began = lmi_clock();
    lmi_count_job(job);
    job->began = lmi_clock();
    lmi_count_job(job);
    lmi_count_delivery(job);
    lmi_count_recipient(peer, LMI_VERDICT_DELIVERED);
    lmi_count_message(peer, LMI_VERDICT_DELIVERED, 1024);
}

static double show(const char *what, double from)
{
    double each = (cpu() - from) / MESSAGES;
    printf("%s: %.0f ns a message, %.2f %% of its budget\n", what, each, 100 * each / BUDGET_NS);
    return each;
}

int main(void)
{
    char error[256];
    lmail_net_config net = LMAIL_NET_CONFIG_INIT;
    lmail_listener_settings settings;
    lmail_service service;
    lmi_door door;
    lmi_peer peer;
    lmi_job job;
    memset(&settings, 0, sizeof settings);
    memset(&service, 0, sizeof service);
    memset(&door, 0, sizeof door);
    memset(&peer, 0, sizeof peer);
    memset(&job, 0, sizeof job);
    net.loops = 1;
    settings.protocol = LMAIL_LISTENER_SMTP;
    door.service = &service;
    door.settings = &settings;
    peer.door = &door;
    job.peer = &peer;
    if (lmail_net_new(&service.net, &net, error, sizeof error) || lmi_metrics_new(&service))
        return 1;
    peer.loop = lmail_net_loop(service.net, 0);
    lmi_count_opened(&peer);
    double from = cpu();
    for (unsigned i = 0; i < MESSAGES; i++)
        commands(&peer);
    double both = show("commands and replies", from);
    from = cpu();
    for (unsigned i = 0; i < MESSAGES; i++)
        delivery(&peer, &job);
    both += show("jobs, delivery, recipient and message", from);
    printf("together: %.0f ns a message, %.2f %% of its budget\n", both, 100 * both / BUDGET_NS);
    lmi_metrics_free(service.metrics);
    lmail_net_free(service.net);
    return 0;
}
