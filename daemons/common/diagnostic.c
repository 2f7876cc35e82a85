/* diagnostic.c - complaints about the administrator's files, on the standard error. */
#include "diagnostic.h"

#include <stdio.h>

#define LONGEST_LINE 8192u /* a path of PATH_MAX octets and the text */

void print_diagnostic(void *ctx, const lmail_diagnostic *d)
{
    char line[LONGEST_LINE];
    strictness *s = ctx;
    lmail_diagnostic told = *d;
    if (s && s->strict && d->severity == LMAIL_WARNING) {
        told.severity = LMAIL_ERROR;
        s->turned++;
    }
    if (s && (int)told.severity < s->quiet)
        return;
    lmail_diagnostic_write(&told, line, sizeof line);
    fprintf(stderr, "%s\n", line);
}
