/* mailctl start, stop, restart, reload, condrestart, try-restart, force-reload, status: the services.
 *
 * A service is a list of daemons: `sendmail` is smtpd, `dovecot` imapd and pop3d, `saslauthd` the
 * accounts (mailctl_accounts.c). What runs is told by the lock on its pid file, what became of a
 * reload by its state file (common/run_files.h). Exit codes are those of init scripts: see
 * mailctl(8). Nothing is ended before the configuration has been read without an error. */
#include "mailctl_service.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/run_files.h"

typedef int verb_fn(service_call *c);

typedef struct service {
    const char *name;
    const char *daemons[3];
} service;

/* In the order of starting. */
static const service services[] = {
    {"saslauthd", {"authd", NULL, NULL}},  {"sendmail", {"smtpd", NULL, NULL}},
    {"dovecot", {"imapd", "pop3d", NULL}}, {"authd", {"authd", NULL, NULL}},
    {"smtpd", {"smtpd", NULL, NULL}},      {"imapd", {"imapd", NULL, NULL}},
    {"pop3d", {"pop3d", NULL, NULL}},
};
#define CLASSIC 3u /* of these, and they are `all` */

/* ---- What is there --------------------------------------------------------------------------- */

/* Is it to run? Without a listener a daemon has nothing to do. */
static int is_configured(const service_call *c, const char *daemon)
{
    const lmail_settings *s = c->settings;
    if (strcmp(daemon, "authd") == 0)
        return strcmp(c->name, "authd") == 0 || service_uses_authd(c);
    for (size_t i = 0; i < s->listener_count; i++) {
        unsigned p = s->listeners[i].protocol;
        const char *of = p == LMAIL_LISTENER_IMAP   ? "imapd"
                         : p == LMAIL_LISTENER_POP3 ? "pop3d"
                                                    : "smtpd";
        if (strcmp(of, daemon) == 0)
            return 1;
    }
    return 0;
}

static run_answer ask(const service_call *c, const char *daemon, pid_t *pid)
{
    char path[4096];
    *pid = 0;
    return service_pid_path(c, daemon, path, sizeof path) ? RUN_UNKNOWN : run_pid_ask(path, pid);
}

static int runs(const service_call *c, const char *daemon)
{
    pid_t pid;
    return ask(c, daemon, &pid) == RUN_YES;
}

static int any_runs(const service_call *c)
{
    if (c->store)
        return service_store_is_loaded(c);
    for (const char *const *d = c->daemons; *d; d++)
        if (runs(c, *d))
            return 1;
    return 0;
}

static int any_configured(const service_call *c)
{
    for (const char *const *d = c->daemons; *d; d++)
        if (is_configured(c, *d))
            return 1;
    return c->store;
}

/* ---- Verbs ----------------------------------------------------------------------------------- */

static int configured_and_good(service_call *c)
{
    if (c->faulty)
        return SERVICE_FAILED;
    if (!any_configured(c)) {
        mailctl_say("%s: no listener is configured for it", c->name);
        return SERVICE_NOT_CONFIGURED;
    }
    for (const char *const *d = c->daemons; !c->store && *d; d++)
        if (is_configured(c, *d) && service_test_daemon(c, *d))
            return SERVICE_FAILED;
    return c->store ? service_store_check(c) : SERVICE_OK;
}

static int start_all(service_call *c)
{
    int code = SERVICE_OK;
    if (c->store)
        return service_store_load(c);
    for (const char *const *d = c->daemons; *d; d++) {
        if (!is_configured(c, *d) || runs(c, *d))
            continue;
        if (service_start_daemon(c, *d))
            code = SERVICE_FAILED;
    }
    return code;
}

static int verb_start(service_call *c)
{
    if (any_runs(c) && !c->faulty && start_all(c) == SERVICE_OK)
        return SERVICE_OK;
    int code = c->absent ? SERVICE_NOT_CONFIGURED : configured_and_good(c);
    return code ? code : start_all(c);
}

static int verb_stop(service_call *c)
{
    int code = SERVICE_OK;
    if (c->store)
        return service_store_unload(c);
    for (const char *const *d = c->daemons; *d; d++) {
        pid_t pid;
        switch (ask(c, *d, &pid)) {
        case RUN_YES:
            if (service_stop_daemon(c, *d, pid))
                code = SERVICE_FAILED;
            break;
        case RUN_UNKNOWN:
            mailctl_say("%s: cannot tell whether it runs", *d);
            code = SERVICE_FAILED;
            break;
        default:
            service_clear_files(c, *d);
            if (c->unsure) {
                mailctl_say("%s: the configuration is faulty, so it may run unseen", *d);
                code = SERVICE_FAILED;
            }
        }
    }
    return code;
}

static int verb_restart(service_call *c)
{
    int code = c->absent ? SERVICE_NOT_CONFIGURED : configured_and_good(c);
    if (!code)
        code = verb_stop(c);
    return code ? code : start_all(c);
}

static int verb_condrestart(service_call *c)
{
    if (!any_runs(c))
        return SERVICE_OK;
    return verb_restart(c) ? SERVICE_FAILED : SERVICE_OK;
}

static int verb_reload(service_call *c)
{
    int code = SERVICE_OK;
    if (!any_runs(c)) {
        mailctl_say("%s: not running", c->name);
        return SERVICE_NOT_RUNNING;
    }
    if (c->absent || configured_and_good(c))
        return SERVICE_FAILED;
    if (c->store)
        return service_store_load(c);
    for (const char *const *d = c->daemons; *d; d++) {
        pid_t pid;
        if (ask(c, *d, &pid) == RUN_YES) {
            if (service_reload_daemon(c, *d, pid))
                code = SERVICE_FAILED;
        } else if (is_configured(c, *d)) {
            mailctl_say("%s: not running", *d);
            code = code ? code : SERVICE_NOT_RUNNING;
        }
    }
    return code;
}

static int verb_force_reload(service_call *c)
{
    return any_runs(c) && verb_reload(c) == SERVICE_OK ? SERVICE_OK : verb_restart(c);
}

/* ---- Status ---------------------------------------------------------------------------------- */

/* The state file is left without the pid file: what killed the daemon took that. */
static int has_state(const service_call *c, const char *daemon, run_state *state)
{
    char path[4096];
    return !run_state_path(c->settings, daemon, path, sizeof path) &&
           run_state_read(path, state) == 0;
}

static void print_running(const char *daemon, pid_t pid, const run_state *s)
{
    char since[64];
    struct tm local;
    time_t started = (time_t)s->started;
    printf("%s (pid %ld) is running", daemon, (long)pid);
    if (s->started && localtime_r(&started, &local) &&
        strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S", &local))
        printf(" since %s", since);
    if (s->failed)
        printf(", its last reload failed: %s", s->error);
}

static int print_daemon(const service_call *c, const char *daemon)
{
    run_state state = {0};
    pid_t pid;
    int has = has_state(c, daemon, &state);
    switch (ask(c, daemon, &pid)) {
    case RUN_YES:
        print_running(daemon, pid, &state);
        return STATUS_RUNNING;
    case RUN_DEAD:
        printf("%s is dead, and its pid file is left", daemon);
        return STATUS_DEAD_PID_FILE;
    case RUN_NONE:
        if (has) {
            printf("%s is dead, and its state file is left", daemon);
            return STATUS_DEAD_LOCK_FILE;
        }
        if (c->unsure)
            break;
        printf("%s is not running", daemon);
        return STATUS_STOPPED;
    default:
        break;
    }
    printf("%s: cannot tell", daemon);
    return STATUS_UNKNOWN;
}

/* Running only when all are; else the worst that can be told of one: dead before not running. */
static int worse(int a, int b)
{
    static const int rank[] = {[STATUS_RUNNING] = 0,
                               [STATUS_STOPPED] = 1,
                               [STATUS_UNKNOWN] = 2,
                               [STATUS_DEAD_LOCK_FILE] = 3,
                               [STATUS_DEAD_PID_FILE] = 4};
    return rank[a] >= rank[b] ? a : b;
}

static int verb_status(service_call *c)
{
    int code = STATUS_RUNNING, told = 0;
    printf("%s: ", c->name);
    if (c->store) {
        code = service_store_status(c);
    } else {
        for (const char *const *d = c->daemons; *d; d++) {
            pid_t pid;
            /* One that is not configured is told of only when something of it is left. */
            if (!is_configured(c, *d) && ask(c, *d, &pid) == RUN_NONE && !c->faulty)
                continue;
            fputs(told++ ? "; " : "", stdout);
            code = worse(code, print_daemon(c, *d));
        }
        if (!told) {
            fputs("not configured", stdout);
            code = STATUS_STOPPED;
        }
    }
    putchar('\n');
    return code;
}

/* ---- The command ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    verb_fn *run;
} verbs[] = {
    {"start", verb_start},
    {"stop", verb_stop},
    {"restart", verb_restart},
    {"reload", verb_reload},
    {"condrestart", verb_condrestart},
    {"try-restart", verb_condrestart},
    {"force-reload", verb_force_reload},
    {"status", verb_status},
};

/* Verbs after which the configuration that was read is in force: its warnings are worth reading. */
static int reads_anew(verb_fn *run)
{
    return run == verb_start || run == verb_restart || run == verb_reload ||
           run == verb_force_reload;
}

static int run_service(const mailctl_call *call, verb_fn *run, const service *s)
{
    service_call c = {.call = call, .name = s->name, .daemons = s->daemons};
    c.quiet = reads_anew(run) ? MAILCTL_WARNINGS : MAILCTL_ERRORS;
    if (service_open(&c))
        return run == verb_status ? STATUS_UNKNOWN : SERVICE_FAILED;
    pid_t pid;
    c.store = strcmp(s->name, "saslauthd") == 0 && !service_uses_authd(&c) &&
              ask(&c, "authd", &pid) == RUN_NONE;
    int code = run(&c);
    service_close(&c);
    return code;
}

/* `all` are those that are configured; the first failure is the answer. */
static int run_all(const mailctl_call *call, verb_fn *run)
{
    int code = 0;
    for (size_t i = 0; i < CLASSIC; i++) {
        const service *s = &services[run == verb_stop ? CLASSIC - 1 - i : i];
        service_call c = {.call = call, .name = s->name, .daemons = s->daemons};
        c.quiet = MAILCTL_NOTHING; /* run_service says it */
        if (service_open(&c))
            return run == verb_status ? STATUS_UNKNOWN : SERVICE_FAILED;
        c.store = i == 0 && run != verb_stop && !service_uses_authd(&c);
        int skip = !any_configured(&c) && !any_runs(&c) && !c.faulty;
        service_close(&c);
        int one = skip ? 0 : run_service(call, run, s);
        code = code ? code : one;
    }
    return code;
}

static int run_verb(const mailctl_call *call)
{
    verb_fn *run = NULL;
    const char *name = call->argc == 2 ? call->argv[1] : NULL;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, call->command->group) == 0)
            run = verbs[i].run;
    if (name && strcmp(name, "all") == 0)
        return run_all(call, run);
    for (size_t i = 0; name && i < sizeof services / sizeof services[0]; i++)
        if (strcmp(services[i].name, name) == 0)
            return run_service(call, run, &services[i]);
    if (name)
        mailctl_say("there is no service %s", name);
    mailctl_bad_usage(call);
    return SERVICE_USAGE;
}

#define SERVICES "sendmail|dovecot|saslauthd|smtpd|imapd|pop3d|authd|all"

const mailctl_command mailctl_service_commands[] = {
    {"start", NULL, SERVICES, "start what does not run yet", run_verb},
    {"stop", NULL, SERVICES, "end it, running commands are finished first", run_verb},
    {"restart", NULL, SERVICES, "stop and start", run_verb},
    {"reload", NULL, SERVICES, "read the configuration again; sessions go on", run_verb},
    {"condrestart", NULL, SERVICES, "restart what runs", run_verb},
    {"try-restart", NULL, SERVICES, "the same as condrestart", run_verb},
    {"force-reload", NULL, SERVICES, "reload, or else restart", run_verb},
    {"status", NULL, SERVICES, "say in one line whether it runs", run_verb},
    {NULL, NULL, NULL, NULL, NULL},
};
