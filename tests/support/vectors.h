/* vectors.h - the measured files of tests/vectors and tests/guide, for data-driven suites. */
#ifndef TESTS_VECTORS_H
#define TESTS_VECTORS_H

#include <stddef.h>

/* A file below tests/, with a NUL behind it, to be freed. A file that is not there ends the test
 * program with a message. */
char *vectors_read(const char *name, size_t *len);

#define VECTORS_MAX_FIELDS 16

typedef struct vectors_row {
    size_t line;
    const char *field[VECTORS_MAX_FIELDS]; /* never NULL: "" behind the last */
    size_t count;
} vectors_row;

typedef struct vectors {
    char *text;
    vectors_row *rows; /* without the line that names the columns */
    size_t count;
} vectors;

/* A file of rows, fields between tabs. */
vectors vectors_rows(const char *name);
void vectors_done(vectors *v);

#endif
