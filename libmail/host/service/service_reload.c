/* service_reload.c - a new reading of the configuration while the service runs.
 *
 * Everything is made before anything is changed. Sessions keep the rules they began under; sockets
 * follow the configuration; directories, user and workers stay as they are until a restart. */
#include "host/service/service_dns.h"
#include "host/service/service_files.h"
#include "host/service/service_internal.h"
#include "host/service/service_limits.h"
#include "host/service/service_metrics.h"

#include <stdio.h>
#include <stdlib.h>

static void log_event(lmail_service *s, lmail_log_level level, const char *event, const char *key,
                      lmail_str text)
{
    lmail_log_line l;
    lmail_log_begin(&l, s->log, level, event);
    lmail_log_text(&l, key, text);
    lmail_log_end(&l);
}

/* All doors first, so that a failure changes nothing. A socket that is no longer configured gets
 * none. */
static lmail_status new_doors(lmail_service *s, lmi_rules *rules, lmi_door **doors, char *error,
                              size_t cap)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        const lmail_listener_settings *l = lmi_listener_at(
            rules->settings, s->protocols, s->listener_wheres[i], s->listener_names[i]);
        lmail_status st = l ? lmi_door_new(&doors[i], rules, l, error, cap) : LMAIL_OK;
        if (st)
            return st;
    }
    return LMAIL_OK;
}

/* Put the new doors in. One that cannot be put in leaves the old one there. */
static void change_doors(lmail_service *s, lmi_door **doors, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char why[256] = "", *networks;
        lmail_listener_config c;
        if (!doors[i])
            continue;
        lmail_status st = lmi_door_listener(&c, doors[i], &networks);
        if (!st)
            st = lmail_listener_update(s->listeners[i], &c, why, sizeof why);
        free(networks);
        if (!st) {
            doors[i] = NULL; /* the listener's now */
            continue;
        }
        log_event(s, LMAIL_LOG_ERR, "reload", "reason",
                  lmail_str_from(why[0] ? why : lmail_status_text(st)));
    }
}

lmail_status lmail_service_reload(lmail_service *s, lmail_config *config, char *error, size_t cap)
{
    char nowhere[1];
    lmi_rules *rules = NULL;
    size_t count = s->listener_count; /* opening sockets makes it more */
    lmi_door **doors = calloc(count, sizeof *doors);
    if (!doors)
        return LMAIL_ERR_NOMEM;
    if (!error || !cap) {
        error = nowhere;
        cap = sizeof nowhere;
    }
    error[0] = '\0';
    lmail_status st = lmi_rules_new(&rules, s, config, error, cap);
    if (!st)
        st = new_doors(s, rules, doors, error, cap);
    if (!st)
        st = lmi_doors_open(s, rules, error, cap);
    if (!st) {
        st = lmi_dns_reload(s, rules, error, cap);
        if (st)
            lmi_doors_close_gone(s, s->rules->settings);
    }
    if (!st)
        change_doors(s, doors, count);
    else if (rules)
        rules->config = NULL; /* the caller's still */
    for (size_t i = 0; i < count; i++)
        lmi_door_release(doors[i]);
    free(doors);
    if (st) {
        lmi_rules_release(rules);
        if (!error[0])
            snprintf(error, cap, "%s", lmail_status_text(st));
        return st;
    }
    const lmail_settings *v = rules->settings;
    lmi_doors_close_gone(s, v);
    lmail_net_limits(s->net, (unsigned)v->max_connections,
                     (unsigned)v->max_connections_per_address);
    if (s->rules->owns_accounts)
        lmail_accounts_forget(s->rules->accounts, 1); /* nobody tidies them from now on */
    lmi_rules_release(s->rules);
    s->rules = rules;
    lmi_limits_apply(s);
    return LMAIL_OK;
}

static void log_diagnostic(void *ctx, const lmail_diagnostic *d)
{
    lmail_service *s = ctx;
    lmail_log_line l;
    lmail_log_begin(&l, s->log, d->severity == LMAIL_ERROR ? LMAIL_LOG_ERR : LMAIL_LOG_WARN,
                    "config");
    lmail_log_text(&l, "file", d->file);
    lmail_log_number(&l, "line", d->line);
    lmail_log_text(&l, "text", d->text);
    lmail_log_end(&l);
}

void lmi_reload_asked(void *arg)
{
    lmail_service *s = arg;
    char error[512] = "";
    lmail_config *config;
    lmail_status st =
        lmi_config_load(&config, s->reload_path, &s->files, s->machine_name, log_diagnostic, s);
    if (!st) {
        st = lmail_service_reload(s, config, error, sizeof error);
        if (st)
            lmail_config_free(config);
    }
    if (st && !error[0])
        snprintf(error, sizeof error, "%s", lmail_status_text(st));
    if (s->on_reload)
        s->on_reload(s->host, st, error);
    lmi_count_reload(s, st == LMAIL_OK);
    if (st)
        log_event(s, LMAIL_LOG_ERR, "reload_failed", "reason", lmail_str_from(error));
    else
        log_event(s, LMAIL_LOG_INFO, "reloaded", "file",
                  lmail_str_from(s->reload_path ? s->reload_path : ""));
}
