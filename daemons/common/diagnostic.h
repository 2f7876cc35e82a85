/* diagnostic.h - what every program here does with complaints about the administrator's files. */
#ifndef DAEMON_DIAGNOSTIC_H
#define DAEMON_DIAGNOSTIC_H

#include <libmail/base.h>

/* A lmail_diagnostic_fn: one line on the standard error. ctx is not used. */
void print_diagnostic(void *ctx, const lmail_diagnostic *d);

#endif
