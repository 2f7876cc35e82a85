/* count_alloc.h - an allocator that counts, checks the sizes it is told, and fails on demand.
 *
 * Put table(&c) into a session's configuration; at the end c.live must be 0. It is separate from
 * the C library's allocator only in its bookkeeping, so sanitizers see every block. */
#ifndef SUPPORT_COUNT_ALLOC_H
#define SUPPORT_COUNT_ALLOC_H

#include <libmail/base.h>

typedef struct count_alloc {
    size_t live;     /* blocks */
    size_t octets;   /* in live blocks */
    size_t peak;     /* the most octets at one time */
    size_t requests; /* allocations and growths asked for */
    size_t fail_at;  /* this request (1 is the first) gets NULL; 0 never */
    size_t failed;   /* requests refused */
    size_t lies;     /* calls whose old_size was not the block's size */
} count_alloc;

/* Zero the struct first. It must outlive what it allocates. */
lmail_alloc count_alloc_table(count_alloc *c);

#endif
