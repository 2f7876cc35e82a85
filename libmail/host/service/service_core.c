/* service_core.c - the service: what exists once, and its life from new to free.
 *
 * Net, pools, store and change notice; one door for each listener; signals; stop; reload. Protocols
 * are rows of lmi_protocol and known here by their table alone. */
#include "host/service/service_internal.h"
#include "host/service/service_lock.h"
#include "host/service/service_owner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define REST_AFTER 250u /* milliseconds: a client that computes has answered by then */

void lmail_service_config_init(lmail_service_config *config)
{
    *config = (lmail_service_config)LMAIL_SERVICE_CONFIG_INIT;
}

/* ---- Doors and listeners --------------------------------------------------------------------- */

static const lmi_protocol *protocol_of(const lmail_listener_settings *l)
{
    switch (l->protocol) {
    case LMAIL_LISTENER_IMAP:
        return &lmi_imap_protocol;
    case LMAIL_LISTENER_POP3:
        return &lmi_pop3_protocol;
    default:
        return &lmi_smtp_protocol;
    }
}

void lmi_door_release(lmi_door *door)
{
    if (!door || atomic_fetch_sub_explicit(&door->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (door->setup)
        door->protocol->setup_free(door->setup);
    lmi_rules_release(door->rules);
    free(door);
}

static void door_released(void *arg)
{
    lmi_door_release(arg);
}

static lmail_status door_new(lmi_door **out, lmi_rules *rules, const lmail_listener_settings *l,
                             char *error, size_t cap)
{
    lmi_door *door = calloc(1, sizeof *door);
    if (!door)
        return LMAIL_ERR_NOMEM;
    atomic_init(&door->refs, 1);
    door->service = rules->service;
    door->rules = lmi_rules_hold(rules);
    door->settings = l;
    door->protocol = protocol_of(l);
    lmail_status st = door->protocol->setup_new(door, &door->setup);
    if (st) {
        snprintf(error, cap, "listener %.*s: %s", TEXT(l->name), lmail_status_text(st));
        lmi_door_release(door);
        return st;
    }
    *out = door;
    return LMAIL_OK;
}

/* The networks of l as one text, malloc'ed; NULL: no memory. */
static char *trusted_networks(const lmail_listener_settings *l)
{
    size_t len = 1, n = 0;
    for (size_t i = 0; i < l->proxy_trusted.count; i++)
        len += l->proxy_trusted.items[i].len + 1;
    char *text = calloc(1, len);
    for (size_t i = 0; text && i < l->proxy_trusted.count; i++)
        n += (size_t)snprintf(text + n, len - n, "%s%.*s", i ? " " : "",
                              TEXT(l->proxy_trusted.items[i]));
    return text;
}

/* *networks is what c->proxy_from points to, to be freed after c was used. */
static lmail_status fill_listener(lmail_listener_config *c, const lmi_door *door, char **networks)
{
    const lmail_listener_settings *l = door->settings;
    lmail_listener_config_init(c);
    *networks = l->proxy ? trusted_networks(l) : NULL;
    if (l->proxy && !*networks)
        return LMAIL_ERR_NOMEM;
    c->proxy_from = *networks;
    c->rest_after = REST_AFTER;
    if (l->tls != LMAIL_LISTENER_PLAIN)
        c->tls = door->rules->tls[door->protocol->auth];
    c->implicit_tls = l->tls == LMAIL_LISTENER_TLS;
    c->refusal = lmail_str_from(door->protocol->refusal);
    c->on_open = lmi_peer_open;
    c->on_closed = lmi_peer_closed;
    c->user = (void *)(size_t)door;
    c->on_released = door_released;
    return LMAIL_OK;
}

/* One socket of a listener. */
static lmail_status bind_one(lmail_service *s, const lmail_listener_settings *l, lmail_str address,
                             char *error, size_t cap)
{
    char where[512], why[256] = "", *networks;
    lmi_door *door;
    lmail_status st = door_new(&door, s->rules, l, error, cap);
    if (st)
        return st;
    lmail_listener_config c;
    st = fill_listener(&c, door, &networks);
    if (address.len > 5 && memcmp(address.ptr, "unix:", 5) == 0)
        snprintf(where, sizeof where, "%.*s", TEXT(address));
    else
        snprintf(where, sizeof where,
                 memchr(address.ptr, ':', address.len) ? "[%.*s]:%llu" : "%.*s:%llu", TEXT(address),
                 (unsigned long long)l->port);
    c.address = where;
    if (!st)
        st = lmail_listener_new(&s->listeners[s->listener_count], s->net, &c, why, sizeof why);
    free(networks);
    if (st) {
        snprintf(error, cap, "listener %.*s at %s: %s", TEXT(l->name), where,
                 why[0] ? why : lmail_status_text(st));
        lmi_door_release(door);
        return st;
    }
    s->listener_names[s->listener_count++] = l->name;
    return LMAIL_OK;
}

static lmail_status bind_all(lmail_service *s, char *error, size_t cap)
{
    const lmail_settings *v = s->rules->settings;
    size_t sockets = 0;
    for (size_t i = 0; i < v->listener_count; i++)
        sockets += v->listeners[i].address.count ? v->listeners[i].address.count : 1;
    s->listeners = calloc(sockets + 1, sizeof *s->listeners);
    s->listener_names = calloc(sockets + 1, sizeof *s->listener_names);
    if (!s->listeners || !s->listener_names)
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < v->listener_count; i++) {
        const lmail_listener_settings *l = &v->listeners[i];
        if (!(protocol_of(l)->service_bit & s->protocols))
            continue;
        lmail_status st = l->address.count ? LMAIL_OK : bind_one(s, l, LMAIL_STR("*"), error, cap);
        for (size_t a = 0; !st && a < l->address.count; a++)
            st = bind_one(s, l, l->address.items[a], error, cap);
        if (st)
            return st;
    }
    if (s->listener_count == 0) {
        snprintf(error, cap, "no listener is configured for this service");
        return LMAIL_ERR_ARG;
    }
    return LMAIL_OK;
}

unsigned lmail_service_port(const lmail_service *s, lmail_str listener)
{
    for (size_t i = 0; i < s->listener_count; i++)
        if (lmail_str_equal(s->listener_names[i], listener))
            return lmail_listener_port(s->listeners[i]);
    return 0;
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
        lmi_owner_give(v, path);
    } else if (errno != EEXIST) {
        snprintf(error, cap, "cannot make %s: %s", path, strerror(errno));
        return LMAIL_ERR_IO;
    }
    return LMAIL_OK;
}

static lmail_status make_directories(const lmail_settings *v, char *error, size_t cap)
{
    lmail_status st = make_directory(v, v->mail_directory, 0700, error, cap);
    return st ? st : make_directory(v, v->run_directory, 0755, error, cap);
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

static lmail_status build(lmail_service *s, char *error, size_t cap)
{
    const lmail_settings *v = lmail_config_settings(s->first_config);
    lmail_status st = make_directories(v, error, cap);
    lmi_owner_enter(v);
    if (!st)
        st = open_store(s, error, cap);
    lmi_owner_leave(v);
    if (!st)
        st = make_net(s, error, cap);
    if (!st)
        st = lmi_loops_new(s);
    if (!st)
        st = lmi_rules_new(&s->rules, s, s->first_config, error, cap);
    if (!st) {
        /* Names of listeners lie in the first configuration: it stays as long as the service. */
        s->first_rules = lmi_rules_hold(s->rules);
        st = bind_all(s, error, cap);
    }
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
    if (!s->locks) {
        free(s);
        return LMAIL_ERR_NOMEM;
    }
    lmail_host_env(&s->env);
    s->protocols = config->protocols;
    s->log = config->log;
    s->store = config->store;
    s->given_accounts = config->accounts;
    s->on_token = config->on_token;
    s->user = config->user;
    s->first_config = config->config;
    lmail_status st = LMAIL_OK;
    if (!s->first_config)
        st = lmail_config_load_file(&s->first_config, NULL, NULL, NULL);
    if (!st)
        st = build(s, error, cap);
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

void lmail_service_free(lmail_service *s)
{
    if (!s)
        return;
    lmi_loops_free(s);
    lmi_watch_end(s->watch);
    lmail_net_free(s->net);
    lmi_watch_free(s->watch);
    lmi_rules_release(s->rules);
    lmi_rules_release(s->first_rules);
    if (s->own_store)
        s->own_store->close(s->own_store);
    lmail_notice_close(s->notice);
    lmi_locks_free(s->locks);
    free(s->listeners);
    free(s->listener_names);
    free(s->reload_path);
    free(s);
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
    lmail_net_stop(s->net, s->stopping++ ? 0 : s->first_rules->settings->stop_timeout);
}

void lmail_service_stop(lmail_service *s)
{
    lmail_loop_post(lmail_net_loop(s->net, 0), stop_here, s);
}

/* ---- Reload ---------------------------------------------------------------------------------- */

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
        if (!known && (protocol_of(&v->listeners[i])->service_bit & s->protocols))
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
        if (l && (protocol_of(l)->service_bit & s->protocols))
            st = door_new(&doors[i], rules, l, error, cap);
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
        lmail_status st = fill_listener(&c, doors[i], &networks);
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
    lmi_rules_release(s->rules);
    s->rules = rules;
    return LMAIL_OK;
}

static void log_diagnostic(void *ctx, const lmail_config_diagnostic *d)
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

static void on_reload(void *arg)
{
    lmail_service *s = arg;
    char error[512] = "";
    lmail_config *config;
    lmail_status st = lmail_config_load_file(&config, s->reload_path, log_diagnostic, s);
    if (!st) {
        st = lmail_service_reload(s, config, error, sizeof error);
        if (st)
            lmail_config_free(config);
    }
    if (st)
        log_event(s, LMAIL_LOG_ERR, "reload_failed", "reason",
                  lmail_str_from(error[0] ? error : lmail_status_text(st)));
    else
        log_event(s, LMAIL_LOG_INFO, "reloaded", "file",
                  lmail_str_from(s->reload_path ? s->reload_path : ""));
}

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
        st = lmail_net_signal(s->net, reload_signal, on_reload, s);
    return st;
}
