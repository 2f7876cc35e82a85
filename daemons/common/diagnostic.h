/* diagnostic.h - what every program here does with complaints about the administrator's files. */
#ifndef DAEMON_DIAGNOSTIC_H
#define DAEMON_DIAGNOSTIC_H

#include <libmail/base.h>
#include <libmail/host/log.h>

typedef struct complaint complaint;

/* With --strict a warning is an error; with -q notices are not told, with -qq nor are warnings. */
typedef struct strictness {
    int strict;
    unsigned turned; /* warnings that became errors */
    int quiet;
    complaint *kept; /* by keep_diagnostic, until tell_diagnostics */
    size_t count, room;
} strictness;

/* A lmail_diagnostic_fn: one line on the standard error. ctx is a strictness, or NULL. */
void print_diagnostic(void *ctx, const lmail_diagnostic *d);

/* The same, and nothing is printed yet; ctx is a strictness. */
void keep_diagnostic(void *ctx, const lmail_diagnostic *d);
/* Print what was kept: files in the order in which they were complained about, each by lines. */
void tell_diagnostics(strictness *s);

/* Where complaints of a reload go: to the log, and the first error as one line for mailctl. */
typedef struct reload_faults {
    lmail_log *log;
    char *error; /* filled while it is empty */
    size_t cap;
} reload_faults;

/* A lmail_diagnostic_fn; ctx is a reload_faults. */
void log_diagnostic(void *ctx, const lmail_diagnostic *d);

#endif
