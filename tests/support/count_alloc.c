/* count_alloc.c - the counting allocator. Each block remembers its size in a header of its own. */
#include "support/count_alloc.h"

#include <stdalign.h>
#include <stdlib.h>

typedef struct head {
    alignas(max_align_t) size_t size;
} head;

static void *resize(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    count_alloc *c = ctx;
    head *h = ptr ? (head *)ptr - 1 : NULL;
    size_t had = h ? h->size : 0;
    if (had != old_size)
        c->lies++;
    if (new_size == 0) {
        if (h) {
            c->live--;
            c->octets -= had;
            free(h);
        }
        return NULL;
    }
    c->requests++;
    if (c->requests == c->fail_at) {
        c->failed++;
        return NULL;
    }
    head *fresh = realloc(h, sizeof *fresh + new_size);
    if (!fresh)
        abort();
    if (!h)
        c->live++;
    fresh->size = new_size;
    c->octets += new_size;
    c->octets -= had;
    if (c->octets > c->peak)
        c->peak = c->octets;
    return fresh + 1;
}

lmail_alloc count_alloc_table(count_alloc *c)
{
    return (lmail_alloc){c, resize};
}
