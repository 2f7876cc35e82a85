/* What smtpd, imapd, pop3d and authd share: they differ in what they do between start and stop. */
#ifndef DAEMON_H
#define DAEMON_H

#include <libmail/config.h>
#include <libmail/host/log.h>

typedef struct daemon_facts daemon_facts;
typedef struct daemon_report daemon_report;

/* What a daemon does that is no mail service. Functions that fail fill `error` and return an exit
 * code. */
typedef struct daemon_body {
    /* -t: what only this daemon can tell of its settings. */
    int (*test)(const lmail_settings *s, char *error, size_t cap);
    /* Open what must be open before the pid file is written; *out is for the others. config is the
     * body's, if this succeeds.
     *   path     of the configuration file, for a reload; or NULL
     *   report   for daemon_reloaded */
    int (*make)(void **out, lmail_config *config, lmail_log *log, const char *path,
                daemon_report *report, char *error, size_t cap);
    int (*run)(void *body); /* until SIGTERM or SIGINT, which are blocked; the exit code */
    void (*free)(void *body);
} daemon_body;

struct daemon_facts {
    const char *name;        /* "smtpd" */
    const char *about;       /* one line for --help */
    unsigned protocols;      /* LMAIL_SERVICE_* */
    const daemon_body *body; /* NULL: a mail service of these protocols, without root */
};

/* A reload begins, before anything is read: whoever asks from now on wants another one. */
void daemon_reload_begins(daemon_report *report);
/* A reload has ended: mailctl waits to hear of it.
 *   failed   the configuration before is in force; error says why, not NULL then */
void daemon_reloaded(daemon_report *report, int failed, const char *error);

/* The whole life of a daemon; returns its exit code. */
int daemon_main(const daemon_facts *facts, int argc, char **argv);

#endif
