/* diagnostic.c - complaints about the administrator's files, on the standard error. */
#include "diagnostic.h"

#include <stdio.h>

#define LONGEST_LINE 8192u /* a path of PATH_MAX octets and the text */

void print_diagnostic(void *ctx, const lmail_diagnostic *d)
{
    char line[LONGEST_LINE];
    (void)ctx;
    lmail_diagnostic_write(d, line, sizeof line);
    fprintf(stderr, "%s\n", line);
}
