/* service_core.c - the service: what exists once, and its life from new to free.
 *
 * Net, pools, store and change notice; signals; stop. */
#include "host/service/service_crowd.h"
#include "host/service/service_dns.h"
#include "host/service/service_internal.h"
#include "host/service/service_limits.h"
#include "host/service/service_lock.h"
#include "host/service/service_metrics.h"
#include "host/service/service_owner.h"
#include "host/service/service_pickup.h"
#include "host/service/service_runner.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define TIDY 5000u /* milliseconds */

void lmail_service_config_init(lmail_service_config *config)
{
    *config = (lmail_service_config)LMAIL_SERVICE_CONFIG_INIT;
}

/* ---- What exists once ------------------------------------------------------------------------ */

static lmail_status make_directory(const lmail_settings *v, lmail_str name, mode_t mode,
                                   char *error, size_t cap)
{
    char path[LMI_MAX_PATH + 1];
    if (name.len > LMI_MAX_PATH) {
        snprintf(error, cap, "directory %.40s...: longer than %u octets", name.ptr, LMI_MAX_PATH);
        return LMAIL_ERR_ARG;
    }
    snprintf(path, sizeof path, "%.*s", TEXT(name));
    if (mkdir(path, mode) == 0) {
        chmod(path, mode); /* whatever the umask: others have to pass run_directory */
        lmi_owner_give(v, path);
    } else if (errno != EEXIST) {
        snprintf(error, cap, "cannot make %s: %s", path, strerror(errno));
        return LMAIL_ERR_IO;
    }
    return LMAIL_OK;
}

static lmail_status make_directories(const lmail_service *s, char *error, size_t cap)
{
    const lmail_settings *v = lmail_config_settings(s->first_config);
    lmail_status st = make_directory(v, v->mail_directory, 0700, error, cap);
    if (!st)
        st = make_directory(v, v->run_directory, 0755, error, cap);
    if (!st && v->queue.directory.len && s->protocols & LMAIL_SERVICE_SMTP)
        st = make_directory(v, v->queue.directory, 0700, error, cap);
    return st;
}

/* Where mail lies and how daemons hear of each other. */
static lmail_status open_store(lmail_service *s, char *error, size_t cap)
{
    const lmail_settings *v = lmail_config_settings(s->first_config);
    char root[512], run[512], mail[600], spool[600], host[256] = "localhost";
    snprintf(root, sizeof root, "%.*s", TEXT(v->mail_directory));
    snprintf(run, sizeof run, "%.*s", TEXT(v->run_directory));
    lmail_status st = lmail_notice_open(s->store ? NULL : run, &s->notice);
    if (st)
        snprintf(error, cap, "run_directory %s: %s", run, lmail_status_text(st));
    if (st || s->store)
        return st;
    snprintf(mail, sizeof mail, "%s/mail", root);
    snprintf(spool, sizeof spool, "%s/spool", root);
    if ((mkdir(mail, 0700) && errno != EEXIST) || (mkdir(spool, 0700) && errno != EEXIST)) {
        snprintf(error, cap, "cannot make directories in %s: %s", root, strerror(errno));
        return LMAIL_ERR_IO;
    }
    if (v->hostname.len)
        snprintf(host, sizeof host, "%.*s", TEXT(v->hostname));
    lmail_store_maildir_config c = LMAIL_STORE_MAILDIR_CONFIG_INIT;
    c.env = &s->env;
    c.notice = s->notice;
    c.root = mail;
    c.spool_dir = spool;
    c.host_name = host;
    c.max_open = (unsigned)v->store.max_open_accounts;
    c.max_watches = v->store.max_watches ? (unsigned)v->store.max_watches : UINT_MAX;
    c.reserve = v->store.min_free ? v->store.min_free : UINT64_MAX;
    st = lmail_store_maildir_new(&c, &s->own_store);
    if (st)
        snprintf(error, cap, "mail_directory %s: %s", root, lmail_status_text(st));
    s->store = s->own_store;
    return st;
}

static lmail_status make_net(lmail_service *s, char *error, size_t cap)
{
    const lmail_settings *v = lmail_config_settings(s->first_config);
    lmail_net_config n = LMAIL_NET_CONFIG_INIT;
    n.loops = (unsigned)v->loops;
    n.max_connections = (unsigned)v->max_connections;
    n.max_per_address = (unsigned)v->max_connections_per_address;
    lmail_status st = lmail_net_new(&s->net, &n, error, cap);
    if (st)
        return st;
    lmail_pool_config p = LMAIL_POOL_CONFIG_INIT;
    p.name = "store";
    p.threads = (unsigned)v->store_workers;
    st = lmail_pool_new(&s->store_pool, s->net, &p);
    if (st)
        return st;
    lmail_pool_config_init(&p);
    p.name = "password";
    p.threads = (unsigned)v->password_workers;
    p.max_per_key = (unsigned)v->password_queue;
    st = lmail_pool_new(&s->password_pool, s->net, &p);
    return st ? st : lmi_watch_new(&s->watch, s->net, s->notice, s->own_store == NULL);
}

static void tidy(void *arg)
{
    lmail_service *s = arg;
    lmail_accounts_forget(s->rules->accounts, 0);
    lmail_timer_set(s->tidy, lmail_loop_now(lmail_net_loop(s->net, 0)) + TIDY);
}

static lmail_status build(lmail_service *s, const char *name, char *error, size_t cap)
{
    const lmail_settings *v = lmail_config_settings(s->first_config);
    lmail_status st = make_directories(s, error, cap);
    lmi_owner_enter(v);
    if (!st)
        st = open_store(s, error, cap);
    if (!st)
        st = lmi_service_open_queue(s, error, cap);
    lmi_owner_leave(v);
    if (!st)
        st = make_net(s, error, cap);
    if (!st)
        st = lmi_metrics_new(s);
    if (!st)
        st = lmi_loops_new(s);
    if (!st)
        st = lmi_dns_open(s, v, error, cap);
    if (!st)
        st = lmi_limits_new(s);
    if (!st)
        st = lmi_rules_new(&s->rules, s, s->first_config, error, cap);
    if (!st) {
        s->first_rules = lmi_rules_hold(s->rules);
        st = lmi_doors_open(s, s->rules, error, cap);
    }
    if (!st)
        st = lmi_runner_new(s, error, cap);
    if (!st)
        st = lmi_pickup_new(s, error, cap);
    if (!st) {
        lmi_owner_enter(v);
        st = lmi_metrics_open(s, name, error, cap);
        lmi_owner_leave(v);
    }
    if (!st)
        st = lmail_timer_new(&s->tidy, lmail_net_loop(s->net, 0), tidy, s);
    if (!st)
        tidy(s);
    if (!st)
        lmi_limits_apply(s);
    if (!st && (s->protocols & LMAIL_SERVICE_IMAP))
        st = lmi_watch_foreign(s->watch, s->store, s->store_pool);
    return st ? st : lmi_watch_start(s->watch);
}

lmail_status lmail_service_new(lmail_service **out, const lmail_service_config *config, char *error,
                               size_t cap)
{
    char nowhere[1];
    if (!error || !cap) {
        error = nowhere;
        cap = sizeof nowhere;
    }
    error[0] = '\0';
    if (config->size > sizeof *config)
        return LMAIL_ERR_SIZE;
    lmail_service *s = calloc(1, sizeof *s);
    if (!s)
        return LMAIL_ERR_NOMEM;
    s->locks = lmi_locks_new();
    s->crowd = lmi_crowd_new();
    if (!s->locks || !s->crowd) {
        lmi_locks_free(s->locks);
        lmi_crowd_free(s->crowd);
        free(s);
        return LMAIL_ERR_NOMEM;
    }
    pthread_mutex_init(&s->name_lock, NULL);
    lmail_host_env(&s->env);
    s->protocols = config->protocols;
    s->log = config->log;
    s->store = config->store;
    s->given_accounts = config->accounts;
    s->on_token = config->on_token;
    s->user = config->user;
    s->on_reload = config->on_reload;
    s->on_reload_begins = config->on_reload_begins;
    s->host = config->host;
    s->on_socket = config->on_socket;
    if (config->files)
        s->files = *config->files;
    else
        lmail_files_disk(&s->files);
    s->first_config = config->config;
    lmail_status st = LMAIL_OK;
    if (!s->first_config)
        st = lmail_config_load_file(&s->first_config, NULL, NULL, NULL);
    if (!st)
        st = build(s, config->name, error, cap);
    if (st) {
        if (!error[0])
            snprintf(error, cap, "%s", lmail_status_text(st));
        /* The caller's configuration stays the caller's. */
        if (config->config && s->rules)
            s->rules->config = NULL;
        else if (!config->config && !s->rules)
            lmail_config_free(s->first_config);
        lmail_service_free(s);
        return st;
    }
    *out = s;
    return LMAIL_OK;
}

void lmi_service_forget(lmail_service *s)
{
    free(s->reload_path);
    pthread_mutex_destroy(&s->name_lock);
    free(s);
}

void lmail_service_free(lmail_service *s)
{
    if (!s)
        return;
    int kept = lmi_reload_end(s);
    lmi_runner_end(s->runner);
    lmi_pickup_end(s->pickup);
    lmi_dns_end(s);
    lmi_loops_free(s);
    lmi_watch_end(s->watch);
    lmi_metrics_end(s->metrics);
    lmail_timer_free(s->tidy);
    lmi_limits_end(s->limits);
    lmail_net_free(s->net);
    lmi_runner_free(s->runner);
    lmi_pickup_free(s->pickup);
    lmi_limits_free(s->limits);
    lmi_watch_free(s->watch);
    lmi_metrics_free(s->metrics);
    lmi_rules_release(s->rules);
    lmi_rules_release(s->first_rules);
    lmail_queue_free(s->queue);
    if (s->own_store)
        s->own_store->close(s->own_store);
    lmail_notice_close(s->notice);
    lmi_locks_free(s->locks);
    lmi_crowd_free(s->crowd);
    lmi_doors_forget(s);
    if (!kept)
        lmi_service_forget(s);
}

/* ---- Running --------------------------------------------------------------------------------- */

lmail_status lmail_service_run(lmail_service *s)
{
    return lmail_net_run(s->net);
}

static void stop_here(void *arg)
{
    lmail_service *s = arg;
    lmi_watch_stop(s->watch);
    lmi_runner_stop(s->runner);
    lmi_pickup_stop(s->pickup);
    lmi_dns_stop(s);
    lmi_metrics_stop(s->metrics);
    lmail_net_stop(s->net, s->stopping++ ? 0 : s->first_rules->settings->stop_timeout);
}

void lmail_service_stop(lmail_service *s)
{
    lmail_loop_post(lmail_net_loop(s->net, 0), stop_here, s);
}

/* ---- Signals --------------------------------------------------------------------------------- */

lmail_status lmail_service_signals(lmail_service *s, int stop_signal, int reload_signal,
                                   const char *reload_path)
{
    if (reload_path) {
        s->reload_path = strdup(reload_path);
        if (!s->reload_path)
            return LMAIL_ERR_NOMEM;
    }
    lmail_status st = LMAIL_OK;
    if (stop_signal)
        st = lmail_net_signal(s->net, stop_signal, stop_here, s);
    if (!st && reload_signal)
        st = lmail_net_signal(s->net, reload_signal, lmi_reload_asked, s);
    return st;
}
