/* downgrade_check.h - a message made one of 7 bits, and what must be true of the two. */
#ifndef TESTS_DOWNGRADE_CHECK_H
#define TESTS_DOWNGRADE_CHECK_H

#include <libmail/mime_downgrade.h>

typedef struct downgrade_result {
    lmail_status status; /* OK; END: it may go as it is; ERR_UNSUPPORTED ... */
    char *octets;        /* with OK, malloc'ed */
    size_t len;
} downgrade_result;

/* In pieces of `piece` octets (0: whole). */
downgrade_result downgrade_run(lmail_str message, size_t piece);

/* With OK: no octet above 127, no NUL, no line over 998, the same parts, and each leaf decodes to the
 * same octets. NULL, or what is wrong. */
const char *downgrade_wrong(lmail_str before, lmail_str after);

#endif
