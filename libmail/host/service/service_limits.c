/* service_limits.c - the machine's load and the space on its disk; listeners that are closed while
 * the load is high.
 *
 * The load is read on loop 0, every few seconds, and only when a setting asks for it; the file stays
 * open, so that a server that has given its rights away reads it all the same. proc_loadavg(5). */
#include "host/service/service_limits.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define LOOK 2000u      /* milliseconds between two looks at the load */
#define SPACE_FOR 1000u /* milliseconds that a look at the disk counts */

struct lmi_limits {
    lmail_service *service;
    lmail_timer *timer; /* on loop 0; NULL before the first apply */
    int fd;             /* smtp.load_file; -1: not there */
    unsigned processors;
    atomic_uint load; /* in hundredths */
    lmi_rates *rates;
    atomic_uint_fast64_t space, space_when;
};

/* ---- The load -------------------------------------------------------------------------------- */

static int above(const lmi_limits *l, uint64_t own, uint64_t common)
{
    uint64_t limit = own ? own : common, count = limit & (LMAIL_LOAD_PER_PROCESSOR - 1);
    if (!limit)
        return 0;
    if (limit & LMAIL_LOAD_PER_PROCESSOR)
        count *= l->processors;
    return atomic_load_explicit(&l->load, memory_order_relaxed) > count * 100;
}

int lmi_limits_queues(const lmi_door *door)
{
    return above(door->service->limits, door->settings->queue_load,
                 door->rules->settings->smtp.queue_load);
}

int lmi_limits_delays(const lmi_door *door)
{
    return above(door->service->limits, door->settings->delay_load,
                 door->rules->settings->smtp.delay_load);
}

/* The first number of the file; one that cannot be read is no load. */
static void read_load(lmi_limits *l)
{
    char text[64];
    ssize_t n = l->fd < 0 ? -1 : pread(l->fd, text, sizeof text - 1, 0);
    double load = 0;
    if (n > 0) {
        text[n] = '\0';
        load = strtod(text, NULL);
    }
    if (!(load > 0))
        load = 0;
    atomic_store_explicit(&l->load, load < 1e6 ? (unsigned)(load * 100) : 100000000u,
                          memory_order_relaxed);
}

static const lmail_listener_settings *settings_of(const lmail_service *s, const lmi_open *one)
{
    const lmail_settings *v = s->rules->settings;
    for (size_t k = 0; k < v->listener_count; k++)
        if (lmail_str_equal(v->listeners[k].name, lmail_str_from(one->name)) &&
            lmi_protocol_of(&v->listeners[k])->service_bit == LMAIL_SERVICE_SMTP)
            return &v->listeners[k];
    return NULL;
}

static void refuse(const lmi_limits *l, lmi_open *one, unsigned now)
{
    if (one->refusing == now)
        return;
    one->refusing = now;
    if (now)
        lmail_listener_pause(one->listener);
    else
        lmail_listener_resume(one->listener);
    lmail_log_line line;
    lmail_log_begin(&line, l->service->log, LMAIL_LOG_WARN, now ? "load_refuses" : "load_accepts");
    lmail_log_text(&line, "listener", lmail_str_from(one->name));
    lmail_log_number(&line, "load", atomic_load(&l->load) / 100);
    lmail_log_end(&line);
}

/* Does any setting ask for the load? */
static int is_wanted(const lmail_service *s)
{
    const lmail_settings *v = s->rules->settings;
    uint64_t any = v->smtp.queue_load | v->smtp.refuse_load | v->smtp.delay_load;
    for (size_t i = 0; i < v->listener_count; i++)
        any |=
            v->listeners[i].queue_load | v->listeners[i].refuse_load | v->listeners[i].delay_load;
    return any != 0;
}

static void look(void *arg)
{
    lmi_limits *l = arg;
    lmail_service *s = l->service;
    read_load(l);
    for (size_t i = 0; i < s->opened_count; i++) {
        lmi_open *one = &s->opened[i];
        const lmail_listener_settings *own = settings_of(s, one);
        refuse(l, one, own && above(l, own->refuse_load, s->rules->settings->smtp.refuse_load));
    }
    if (is_wanted(s))
        lmail_timer_set(l->timer, lmail_loop_now(lmail_net_loop(s->net, 0)) + LOOK);
}

void lmi_limits_apply(lmail_service *s)
{
    lmi_limits *l = s->limits;
    const lmail_settings *v = s->rules->settings;
    char path[LMI_MAX_PATH + 1];
    if (!(s->protocols & LMAIL_SERVICE_SMTP))
        return;
    lmail_net_group_limit(s->net, LMI_GROUP_SMTP, (unsigned)v->smtp.max_sessions);
    if (!l->timer && lmail_timer_new(&l->timer, lmail_net_loop(s->net, 0), look, l))
        return;
    int n = snprintf(path, sizeof path, "%.*s", TEXT(v->smtp.load_file));
    int fd =
        n > 0 && (size_t)n < sizeof path && is_wanted(s) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0 || !is_wanted(s)) {
        if (l->fd >= 0)
            close(l->fd);
        l->fd = fd;
    }
    look(l);
}

/* ---- The disk -------------------------------------------------------------------------------- */

uint64_t lmi_limits_space(lmail_service *s, lmail_msec now)
{
    lmi_limits *l = s->limits;
    struct statvfs disk;
    char path[LMI_MAX_PATH + 1];
    uint64_t when = atomic_load_explicit(&l->space_when, memory_order_relaxed);
    if (when && now - when < SPACE_FOR)
        return atomic_load_explicit(&l->space, memory_order_relaxed);
    snprintf(path, sizeof path, "%.*s", TEXT(s->first_rules->settings->mail_directory));
    uint64_t space = statvfs(path, &disk) ? UINT64_MAX : (uint64_t)disk.f_bavail * disk.f_frsize;
    atomic_store_explicit(&l->space, space, memory_order_relaxed);
    atomic_store_explicit(&l->space_when, now, memory_order_relaxed);
    return space;
}

/* ---- Life ------------------------------------------------------------------------------------ */

lmi_rates *lmi_limits_rates(lmi_limits *l)
{
    return l->rates;
}

lmail_status lmi_limits_new(lmail_service *service)
{
    lmi_limits *l = calloc(1, sizeof *l);
    if (!l)
        return LMAIL_ERR_NOMEM;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    l->service = service;
    l->fd = -1;
    l->processors = processors > 0 ? (unsigned)processors : 1;
    l->rates = lmi_rates_new();
    service->limits = l;
    return l->rates ? LMAIL_OK : LMAIL_ERR_NOMEM;
}

void lmi_limits_end(lmi_limits *l)
{
    if (l)
        lmail_timer_free(l->timer);
}

void lmi_limits_free(lmi_limits *l)
{
    if (!l)
        return;
    if (l->fd >= 0)
        close(l->fd);
    lmi_rates_free(l->rates);
    free(l);
}
