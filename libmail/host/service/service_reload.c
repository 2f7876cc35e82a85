/* service_reload.c - a new reading of the configuration while the service runs.
 *
 * Everything is made before anything is changed. Sessions keep the rules they began under; sockets
 * follow the configuration; directories, user and workers stay as they are until a restart. A
 * signal's reading runs on a thread of its own, one at a time; loop 0 puts in what it came to. No
 * worker of a pool does it: a net that stops waits for its pools, and a disk may never answer. */
#include "host/service/service_dns.h"
#include "host/service/service_files.h"
#include "host/service/service_internal.h"
#include "host/service/service_limits.h"
#include "host/service/service_location.h"
#include "host/service/service_metrics.h"
#include "host/service/service_pickup.h"
#include "host/service/service_runner.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WAIT_AT_END 2 /* seconds that a stopped service waits for a reading */

typedef struct lmi_reading reading;

/* Rules and doors that are ready to be put in. */
struct lmi_reading {
    lmail_service *service;
    lmail_config *config; /* the rules' once they are in force */
    lmi_rules *rules;
    lmi_door **doors; /* one for each socket of the rules */
    lmail_status status;
    char error[512];

    /* Of one that a signal asked for. */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    unsigned done;     /* under lock: the thread has nothing to do any more */
    unsigned unwanted; /* under lock: the service was freed, but for what the thread looks at */
};

static void log_event(lmail_service *s, lmail_log_level level, const char *event, const char *key,
                      lmail_str text)
{
    lmail_log_line l;
    lmail_log_begin(&l, s->log, level, event);
    lmail_log_text(&l, key, text);
    lmail_log_end(&l);
}

/* ---- Making ready: on any thread, changes nothing -------------------------------------------- */

/* All doors first, so that a failure changes nothing. */
static lmail_status new_doors(reading *r)
{
    size_t count = r->rules->socket_count;
    lmail_status st = LMAIL_OK;
    r->doors = calloc(count + 1, sizeof *r->doors);
    if (!r->doors)
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; !st && i < count; i++)
        st = lmi_door_new(&r->doors[i], r->rules, r->rules->sockets[i].listener, r->error,
                          sizeof r->error);
    return st;
}

static void make_ready(reading *r)
{
    r->status = lmi_location_same(r->service->first_rules->settings,
                                  lmail_config_settings(r->config), r->error, sizeof r->error);
    if (!r->status)
        r->status = lmi_rules_new(&r->rules, r->service, r->config, r->error, sizeof r->error);
    if (!r->status)
        r->status = new_doors(r);
}

/* Give back what was made; with rules goes their configuration. */
static void drop(reading *r)
{
    for (size_t i = 0; r->doors && i < r->rules->socket_count; i++)
        lmi_door_release(r->doors[i]);
    free(r->doors);
    lmi_rules_release(r->rules);
    r->doors = NULL;
    r->rules = NULL;
}

/* ---- Putting in: on loop 0 ------------------------------------------------------------------- */

/* Put the new doors in. One that cannot be put in leaves the old one there; a socket that is no
 * longer configured gets none. */
static void change_doors(lmail_service *s, const reading *r, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char why[256] = "", *networks;
        lmail_listener_config c;
        const lmi_socket *at =
            lmi_socket_at(r->rules, s->opened[i].where, lmail_str_from(s->opened[i].name));
        if (!at)
            continue;
        lmi_door *door = lmi_door_hold(r->doors[at - r->rules->sockets]);
        lmail_status st = lmi_door_listener(&c, door, &networks);
        if (!st)
            st = lmail_listener_update(s->opened[i].listener, &c, why, sizeof why);
        free(networks);
        if (!st)
            continue; /* the door is the listener's now */
        lmi_door_release(door);
        log_event(s, LMAIL_LOG_ERR, "reload", "reason",
                  lmail_str_from(why[0] ? why : lmail_status_text(st)));
    }
}

/* What needs a restart and is no danger meanwhile: it is told, and stays as it was. */
static void say_what_stays(lmail_service *s, const lmail_settings *now)
{
    const lmail_settings *first = s->first_rules->settings;
    const struct {
        const char *name;
        lmail_str before, now;
    } rows[] = {{"mail_directory", first->mail_directory, now->mail_directory},
                {"run_directory", first->run_directory, now->run_directory},
                {"queue.directory", first->queue.directory, now->queue.directory},
                {"queue.drop_directory", first->queue.drop_directory, now->queue.drop_directory},
                {"user", first->user, now->user},
                {"group", first->group, now->group}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[96];
        if (lmail_str_equal(rows[i].before, rows[i].now))
            continue;
        snprintf(text, sizeof text,
                 "%s: changed, which takes a restart: the old one stays until then", rows[i].name);
        log_event(s, LMAIL_LOG_WARN, "reload", "reason", lmail_str_from(text));
    }
}

/* Failed, it has changed nothing. */
static void put_in(reading *r)
{
    lmail_service *s = r->service;
    size_t count = s->opened_count; /* opening sockets makes it more */
    r->status = lmi_doors_open(s, r->rules, r->error, sizeof r->error);
    if (r->status)
        return;
    r->status = lmi_dns_reload(s, r->rules, r->error, sizeof r->error);
    if (r->status) {
        lmi_doors_close_gone(s, s->rules);
        return;
    }
    change_doors(s, r, count);
    lmi_doors_close_gone(s, r->rules);
    lmail_net_limits(s->net, (unsigned)r->rules->settings->max_connections,
                     (unsigned)r->rules->settings->max_connections_per_address);
    if (s->rules->owns_accounts)
        lmail_accounts_forget(s->rules->accounts, 1); /* nobody tidies them from now on */
    lmi_rules_release(s->rules);
    s->rules = lmi_rules_hold(r->rules);
    lmi_limits_apply(s);
    lmi_runner_reload(s);
    lmi_pickup_reload(s);
    say_what_stays(s, s->rules->settings);
}

lmail_status lmail_service_reload(lmail_service *s, lmail_config *config, char *error, size_t cap)
{
    reading *r = calloc(1, sizeof *r);
    if (!r)
        return LMAIL_ERR_NOMEM;
    r->service = s;
    r->config = config;
    make_ready(r);
    if (!r->status)
        put_in(r);
    lmail_status st = r->status;
    if (error && cap)
        snprintf(error, cap, "%s", !st ? "" : r->error[0] ? r->error : lmail_status_text(st));
    if (st && r->rules)
        r->rules->config = NULL; /* the caller's still */
    drop(r);
    free(r);
    return st;
}

/* ---- A signal's: on its thread --------------------------------------------------------------- */

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

static int is_unwanted(reading *r)
{
    pthread_mutex_lock(&r->lock);
    int unwanted = r->unwanted != 0;
    pthread_mutex_unlock(&r->lock);
    return unwanted;
}

static void read_files(reading *r)
{
    lmail_service *s = r->service;
    char name[256];
    lmi_name_known(s, name);
    r->status = lmi_config_load(&r->config, s->reload_path, &s->files, name, log_diagnostic, s);
    if (name[0])
        lmi_name_learned(s, name);
    if (r->status)
        return;
    if (is_unwanted(r))
        r->status = LMAIL_ERR_CLOSED;
    else
        make_ready(r);
    if (!r->rules)
        lmail_config_free(r->config);
    if (r->status)
        drop(r);
}

/* What is left of it, put in or not, on whatever thread. */
static void end_reading(reading *r)
{
    drop(r);
    pthread_cond_destroy(&r->ended);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static void files_read(void *arg);

/* Returns 1 when somebody else looks after the reading now. */
static int go_home(reading *r)
{
    const struct timespec soon = {0, 100 * 1000 * 1000};
    for (;;) {
        pthread_mutex_lock(&r->lock);
        int wanted = !r->unwanted;
        lmail_status st = LMAIL_OK;
        if (wanted)
            st = lmail_loop_post(lmail_net_loop(r->service->net, 0), files_read, r);
        if (wanted && st != LMAIL_ERR_NOMEM) { /* a loop that has ended: lmi_reload_end has it */
            r->done = 1;
            pthread_cond_signal(&r->ended);
        }
        pthread_mutex_unlock(&r->lock);
        if (!wanted || st != LMAIL_ERR_NOMEM)
            return wanted;
        nanosleep(&soon, NULL);
    }
}

static void *run_reading(void *arg)
{
    reading *r = arg;
    lmail_service *s = r->service;
    read_files(r);
    if (go_home(r))
        return NULL;
    end_reading(r);
    lmi_service_forget(s);
    return NULL;
}

/* Signals are for the threads that wait for them. */
static lmail_status start_thread(reading *r)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&r->thread, NULL, run_reading, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return LMAIL_ERR_BUSY;
    pthread_setname_np(r->thread, "reload");
    return LMAIL_OK;
}

/* ---- A signal's: on loop 0 ------------------------------------------------------------------- */

static void tell(lmail_service *s, lmail_status st, const char *error)
{
    if (st && !error[0])
        error = lmail_status_text(st);
    if (s->on_reload)
        s->on_reload(s->host, st, st ? error : "");
    lmi_count_reload(s, st == LMAIL_OK);
    if (st)
        log_event(s, LMAIL_LOG_ERR, "reload_failed", "reason", lmail_str_from(error));
    else
        log_event(s, LMAIL_LOG_INFO, "reloaded", "file",
                  lmail_str_from(s->reload_path ? s->reload_path : ""));
}

static void files_read(void *arg)
{
    reading *r = arg;
    lmail_service *s = r->service;
    pthread_join(r->thread, NULL);
    s->reading = NULL;
    if (!s->stopping) {
        if (!r->status)
            put_in(r);
        tell(s, r->status, r->error);
    }
    end_reading(r);
    if (s->read_again) {
        s->read_again = 0;
        lmi_reload_asked(s);
    }
}

void lmi_reload_asked(void *arg)
{
    lmail_service *s = arg;
    if (s->stopping)
        return;
    if (s->reading) {
        s->read_again = 1; /* what changed behind the reader's back is read once more */
        return;
    }
    if (s->on_reload_begins)
        s->on_reload_begins(s->host);
    reading *r = calloc(1, sizeof *r);
    if (!r) {
        tell(s, LMAIL_ERR_NOMEM, "");
        return;
    }
    r->service = s;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->ended, NULL);
    lmail_status st = start_thread(r);
    if (st) {
        end_reading(r);
        tell(s, st, "");
        return;
    }
    s->reading = r;
}

int lmi_reload_end(lmail_service *s)
{
    reading *r = s->reading;
    struct timespec until;
    int failed = 0;
    if (!r)
        return 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_AT_END;
    pthread_mutex_lock(&r->lock);
    while (!r->done && !failed)
        failed = pthread_cond_timedwait(&r->ended, &r->lock, &until);
    int hangs = !r->done;
    if (hangs) {
        log_event(s, LMAIL_LOG_WARN, "reload", "reason", LMAIL_STR("it hangs, and is given up"));
        pthread_detach(r->thread);
        r->unwanted = 1;
    }
    pthread_mutex_unlock(&r->lock);
    s->reading = NULL;
    if (hangs)
        return 1;
    pthread_join(r->thread, NULL);
    end_reading(r);
    return 0;
}
