/* service_queue.c - the queue of a service that takes mail: opened once, at its start. */
#include "host/service/service_internal.h"

#include <stdio.h>

static void found_fault(void *user, const lmail_queue_fault *fault)
{
    static const char *const events[] = {"", "queue_unanswered_dropped", "queue_debris_removed",
                                         "queue_damaged"};
    lmail_service *service = user;
    lmail_log_line l;
    lmail_log_begin(&l, service->log,
                    fault->kind == LMAIL_QUEUE_DAMAGED ? LMAIL_LOG_ERR : LMAIL_LOG_WARN,
                    events[fault->kind]);
    if (fault->kind == LMAIL_QUEUE_DAMAGED)
        lmail_log_text(&l, "put_aside", fault->path);
    else
        lmail_log_number(&l, "count", fault->count);
    lmail_log_end(&l);
}

lmail_status lmi_service_open_queue(lmail_service *s, char *error, size_t cap)
{
    const lmail_settings *v = lmail_config_settings(s->first_config);
    char path[LMI_MAX_PATH + 1], why[600];
    if (!(s->protocols & LMAIL_SERVICE_SMTP))
        return LMAIL_OK;
    if (lmail_service_queue_directory(v, path, sizeof path)) {
        snprintf(error, cap, "queue.directory: longer than %u octets", LMI_MAX_PATH);
        return LMAIL_ERR_ARG;
    }
    lmail_queue_config c = LMAIL_QUEUE_CONFIG_INIT;
    c.directory = path;
    c.keeper = 1;
    c.reserve = v->store.min_free;
    c.on_fault = found_fault;
    c.user = s;
    lmail_status st = lmail_queue_open(&s->queue, &c, why, sizeof why);
    if (st)
        snprintf(error, cap, "queue.directory %s", why);
    return st;
}
