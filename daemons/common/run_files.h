/* run_files.h - what a daemon leaves in run_directory, and what mailctl learns from it.
 *
 * NAME.pid   its process id. The process holds a record lock on it (fcntl(2)), which ends with the
 *            process and says who holds it: a pid file that is left over, or a pid that another
 *            program has by now, deceives nobody.
 * NAME.state where that pid file is, and what became of the last reading of the configuration. Both go at a clean end. */
#ifndef DAEMON_RUN_FILES_H
#define DAEMON_RUN_FILES_H

#include <libmail/config.h>
#include <stddef.h>
#include <sys/types.h>

typedef enum run_answer {
    RUN_YES,     /* somebody holds the lock */
    RUN_DEAD,    /* the file is there, nobody holds it */
    RUN_NONE,    /* no such file */
    RUN_UNKNOWN, /* it cannot be read */
} run_answer;

/* Where the pid file and the state file of a daemon are. Returns 0, or -1: the path is too long. */
int run_pid_path(const lmail_settings *s, const char *daemon, char *out, size_t cap);
int run_state_path(const lmail_settings *s, const char *daemon, char *out, size_t cap);

/* Make a pid file that says this process's id, locked by it until it ends. fork(2) does not hand the
 * lock on. Returns 0, EX_CONFIG or EX_CANTCREAT, error filled. */
int run_pid_hold(const char *path, char *error, size_t cap);
/* Who holds it. *pid: of the holder; with RUN_DEAD what the file says, or 0. */
run_answer run_pid_ask(const char *path, pid_t *pid);

typedef struct run_state {
    long pid;
    long long started;      /* seconds since 1970 */
    unsigned long begun;    /* readings of the configuration, counting the one at the start */
    unsigned long readings; /* those of them that have ended: the number of the last one */
    int failed;             /* that one: the one before it is in force */
    char error[768];        /* why, one line */
    char pid_file[4096];    /* its path, whatever the configuration says by now; empty: none */
} run_state;

/* Whole or not at all. Returns 0, or -1 and errno. */
int run_state_write(const char *path, const run_state *state);
/* Returns 0, or -1: there is none, or it cannot be read. */
int run_state_read(const char *path, run_state *state);

#endif
