/* service_reload.c - a new reading of the configuration while the service runs.
 *
 * Everything is made before anything is changed. Sessions keep the rules they began under; sockets,
 * directories, user and workers stay as they are until a restart. */
#include "host/service/service_dns.h"
#include "host/service/service_files.h"
#include "host/service/service_internal.h"
#include "host/service/service_limits.h"
#include "host/service/service_metrics.h"

#include <stdio.h>
#include <stdlib.h>

/* The listener of that name in a new configuration, or NULL. */
static const lmail_listener_settings *find_listener(const lmail_settings *v, lmail_str name)
{
    for (size_t i = 0; i < v->listener_count; i++)
        if (lmail_str_equal(v->listeners[i].name, name))
            return &v->listeners[i];
    return NULL;
}

static void log_event(lmail_service *s, lmail_log_level level, const char *event, const char *key,
                      lmail_str text)
{
    lmail_log_line l;
    lmail_log_begin(&l, s->log, level, event);
    lmail_log_text(&l, key, text);
    lmail_log_end(&l);
}

/* Listeners of the new configuration that only a restart opens. */
static void tell_new_listeners(lmail_service *s, const lmail_settings *v)
{
    for (size_t i = 0; i < v->listener_count; i++) {
        int known = 0;
        for (size_t k = 0; k < s->listener_count && !known; k++)
            known = lmail_str_equal(s->listener_names[k], v->listeners[i].name);
        if (!known && (lmi_protocol_of(&v->listeners[i])->service_bit & s->protocols))
            log_event(s, LMAIL_LOG_WARN, "reload", "needs_restart", v->listeners[i].name);
    }
}

/* All doors first, so that a failure changes nothing. A listener that is no longer configured, or
 * for another protocol, keeps its old rules until the restart that closes it. */
static lmail_status new_doors(lmail_service *s, lmi_rules *rules, lmi_door **doors, char *error,
                              size_t cap)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        const lmail_listener_settings *l = find_listener(rules->settings, s->listener_names[i]);
        lmail_status st = LMAIL_OK;
        if (l && (lmi_protocol_of(l)->service_bit & s->protocols))
            st = lmi_door_new(&doors[i], rules, l, error, cap);
        else
            log_event(s, LMAIL_LOG_WARN, "reload", "needs_restart", s->listener_names[i]);
        if (st)
            return st;
    }
    return LMAIL_OK;
}

/* Put the new doors in. One that cannot be put in leaves the old one there. */
static void change_doors(lmail_service *s, lmi_door **doors)
{
    for (size_t i = 0; i < s->listener_count; i++) {
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
    lmi_door **doors = calloc(s->listener_count, sizeof *doors);
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
        st = lmi_dns_reload(s, rules, error, cap);
    if (!st)
        change_doors(s, doors);
    else if (rules)
        rules->config = NULL; /* the caller's still */
    for (size_t i = 0; i < s->listener_count; i++)
        lmi_door_release(doors[i]);
    free(doors);
    if (st) {
        lmi_rules_release(rules);
        if (!error[0])
            snprintf(error, cap, "%s", lmail_status_text(st));
        return st;
    }
    const lmail_settings *v = rules->settings;
    tell_new_listeners(s, v);
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
