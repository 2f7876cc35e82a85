/* What the files of mailctl's service verbs share. */
#ifndef MAILCTL_SERVICE_H
#define MAILCTL_SERVICE_H

#include <sys/types.h>

#include "mailctl.h"

/* Exit codes of init scripts: of every verb but status, and of status. */
enum {
    SERVICE_OK = 0,
    SERVICE_FAILED = 1,
    SERVICE_USAGE = 2,
    SERVICE_NOT_CONFIGURED = 6,
    SERVICE_NOT_RUNNING = 7
};
enum {
    STATUS_RUNNING = 0,
    STATUS_DEAD_PID_FILE = 1,
    STATUS_DEAD_LOCK_FILE = 2,
    STATUS_STOPPED = 3,
    STATUS_UNKNOWN = 4
};

typedef struct service_call {
    const mailctl_call *call;
    const char *name;           /* of the service */
    const char *const *daemons; /* ends in NULL */
    int store;                  /* the service is the account file, no daemon */
    int quiet;                  /* as for mailctl_load_config_as */
    lmail_config *config;
    const lmail_settings *settings;
    int faulty; /* said; the settings are then those that say where things are, no more */
    int unsure; /* and not even those are sure to be all */
    int absent; /* the file that --config names */
} service_call;

/* mailctl_run.c: what is done to one daemon. Each returns 0, or 1 after having said why. */
int service_open(service_call *c); /* read the configuration; SERVICE_FAILED: no memory */
void service_close(service_call *c);
/* Where a running daemon said its pid file is, else where the settings have it. 0, or -1: too long. */
int service_pid_path(const service_call *c, const char *daemon, char *out, size_t cap);
int service_test_daemon(const service_call *c, const char *daemon);
int service_start_daemon(const service_call *c, const char *daemon);
int service_stop_daemon(const service_call *c, const char *daemon, pid_t pid);
int service_reload_daemon(const service_call *c, const char *daemon, pid_t pid);
void service_clear_files(const service_call *c, const char *daemon); /* of one that is dead */

/* mailctl_accounts.c: saslauthd. It is authd where something asks that: auth.sources names the
 * system's users, or authd.sockets other programs' sockets, or it runs. Else it is the account file,
 * and started means read without a fault. */
int service_uses_authd(const service_call *c);
int service_store_is_loaded(const service_call *c);
int service_store_check(const service_call *c); /* SERVICE_* */
int service_store_load(const service_call *c);
int service_store_unload(const service_call *c);
int service_store_status(const service_call *c); /* prints; STATUS_* */

#endif
