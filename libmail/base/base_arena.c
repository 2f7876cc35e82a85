/* base_arena.c - arenas: many small pieces, one lifetime, one ceiling.
 *
 * Used for session, transaction, command and question memory (STYLE: lifetimes are arenas). Chunks
 * grow from 512 octets; reset keeps the oldest, so that a steady state allocates nothing. */
#include "base/base_internal.h"

#include <stdalign.h>
#include <string.h>

#define FIRST_CHUNK 512u
#define LARGEST_STEP 16384u

struct lmi_arena_chunk {
    lmi_arena_chunk *older;
    size_t size; /* with this header */
    size_t used;
    alignas(max_align_t) char data[];
};

void lmi_arena_init(lmi_arena *a, const lmail_alloc *alloc, size_t ceiling)
{
    *a = (lmi_arena){alloc, NULL, 0, ceiling, 0};
}

static size_t aligned(size_t size)
{
    const size_t unit = alignof(max_align_t);
    if (size > SIZE_MAX - unit)
        return SIZE_MAX;
    return (size + unit - 1) / unit * unit;
}

static size_t room_in(const lmi_arena_chunk *c)
{
    return c ? c->size - sizeof *c - c->used : 0;
}

/* The size of the chunk that a request needs, 0 when the ceiling forbids it. A chunk is as large as
 * all before it, within bounds; near the ceiling it is as large as is left. */
static size_t chunk_size(const lmi_arena *a, size_t need)
{
    size_t size = a->taken;
    size_t first = a->first ? a->first : FIRST_CHUNK;
    if (size < first)
        size = first;
    if (size > LARGEST_STEP)
        size = LARGEST_STEP;
    size_t least;
    if (lmail_size_add(need, sizeof(lmi_arena_chunk), &least))
        return 0;
    size_t left = a->ceiling > a->taken ? a->ceiling - a->taken : 0;
    if (least > left)
        return 0;
    if (size < least)
        size = least;
    return size < left ? size : left;
}

int lmi_arena_full(const lmi_arena *a, size_t size)
{
    size = aligned(size);
    return size > room_in(a->chunks) && chunk_size(a, size) == 0;
}

void *lmi_arena_get(lmi_arena *a, size_t size)
{
    size = aligned(size ? size : 1);
    if (size > room_in(a->chunks)) {
        size_t want = chunk_size(a, size);
        lmi_arena_chunk *c = want ? lmi_malloc(a->alloc, want) : NULL;
        if (!c)
            return NULL;
        c->older = a->chunks;
        c->size = want;
        c->used = 0;
        a->chunks = c;
        a->taken += want;
    }
    void *p = a->chunks->data + a->chunks->used;
    a->chunks->used += size;
    return p;
}

void *lmi_arena_zget(lmi_arena *a, size_t size)
{
    void *p = lmi_arena_get(a, size);
    if (p)
        memset(p, 0, size);
    return p;
}

lmail_status lmi_arena_copy(lmi_arena *a, lmail_str in, lmail_str *out)
{
    char *p = lmi_arena_get(a, in.len);
    if (!p)
        return lmi_arena_full(a, in.len) ? LMAIL_ERR_LIMIT : LMAIL_ERR_NOMEM;
    if (in.len)
        memcpy(p, in.ptr, in.len);
    *out = (lmail_str){p, in.len};
    return LMAIL_OK;
}

void lmi_arena_wipe(lmi_arena *a)
{
    for (lmi_arena_chunk *c = a->chunks; c; c = c->older)
        lmi_wipe(c->data, c->used);
}

void lmi_arena_reset(lmi_arena *a)
{
    while (a->chunks && a->chunks->older) {
        lmi_arena_chunk *older = a->chunks->older;
        a->taken -= a->chunks->size;
        lmi_free(a->alloc, a->chunks, a->chunks->size);
        a->chunks = older;
    }
    if (a->chunks &&
        a->chunks->size > 2 * FIRST_CHUNK) { /* one large request is not kept for ever */
        a->taken -= a->chunks->size;
        lmi_free(a->alloc, a->chunks, a->chunks->size);
        a->chunks = NULL;
    }
    if (a->chunks)
        a->chunks->used = 0;
}

void lmi_arena_done(lmi_arena *a)
{
    while (a->chunks) {
        lmi_arena_chunk *c = a->chunks;
        a->chunks = c->older;
        lmi_free(a->alloc, c, c->size);
    }
    a->taken = 0;
}
