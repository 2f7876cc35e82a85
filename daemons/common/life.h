/* life.h - what a daemon's process owes to others: who started it, the service manager, mailctl, the
 * log; and how it gives up root. */
#ifndef DAEMON_LIFE_H
#define DAEMON_LIFE_H

#include "daemon.h"
#include "run_files.h"

#include <libmail/config.h>
#include <libmail/host/log.h>
#include <libmail/host/service.h>
#include <sys/types.h>

/* As many descriptors as we may have. */
void raise_descriptor_limit(void);

/* The signals that stop a daemon or have it read anew wait from here until it can obey them: one that
 * comes between would end it as if it had crashed. */
void hold_signals(void);
void release_signals(void);

/* The child goes on, with *ready to report to; its parent waits for that and exits with the code.
 * Returns 0, or an exit code. */
int go_background(const daemon_facts *f, int *ready);
/* Let go of the starter's standard streams, but not of a file: who started us waits for their end. */
void leave_starter(void);
void report_ready(int ready, char code); /* ready < 0: nothing */

/* sd_notify(3): the service manager waits for "READY=1" with Type=notify. */
void tell_manager(const char *state);

void log_event(lmail_log *log, const char *event, const daemon_facts *f);

/* ---- What mailctl is told: run_files.h ---- */

struct daemon_report {
    char pid_path[4096], path[4096];
    run_state state;
};

/* Take the pid file; what ends is an exit code, said. */
int report_begin(daemon_report *r, const daemon_facts *f, const lmail_settings *s);
int report_write(daemon_report *r, const daemon_facts *f);
void report_end(const daemon_report *r);

/* ---- Whom root becomes ---- */

/* settings.user and settings.group, which is set. Returns 0, or an exit code after having said why. */
int identity_find(lmail_owner *out, const daemon_facts *f, const lmail_settings *s);
/* May that user write the directories and read the accounts that are there already? Those that a
 * daemon or mailctl made while no user was set are root's. Returns 0, or EX_CONFIG, error filled. */
int identity_reaches(const lmail_owner *id, const lmail_settings *s, char *error, size_t cap);
/* For good. Returns 0, or an exit code after having said why. */
int identity_become(const lmail_owner *id, const daemon_facts *f);

#endif
