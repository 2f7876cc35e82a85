/* base_alloc.c - the one place where memory is taken from the C library.
 *
 * The default allocator, the small wrappers that the rooms use, and wiping. No other object of
 * libmail may refer to malloc, realloc or free (a test looks). */
#include "base/base_internal.h"

#include <stdlib.h>
#include <string.h>

static void *libc_resize(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    (void)ctx;
    (void)old_size;
    if (new_size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, new_size);
}

lmail_alloc lmi_alloc_resolve(const lmail_alloc *given)
{
    if (given && given->resize)
        return *given;
    return (lmail_alloc){NULL, libc_resize};
}

void *lmi_malloc(const lmail_alloc *a, size_t size)
{
    return a->resize(a->ctx, NULL, 0, size ? size : 1);
}

void *lmi_zalloc(const lmail_alloc *a, size_t size)
{
    void *p = lmi_malloc(a, size);
    if (p)
        memset(p, 0, size);
    return p;
}

void *lmi_realloc(const lmail_alloc *a, void *ptr, size_t old_size, size_t new_size)
{
    return a->resize(a->ctx, ptr, old_size, new_size ? new_size : 1);
}

void lmi_free(const lmail_alloc *a, void *ptr, size_t size)
{
    if (ptr)
        a->resize(a->ctx, ptr, size ? size : 1, 0);
}

void lmi_wipe(void *ptr, size_t size)
{
    /* A volatile pointer keeps the stores: C11's memset_s is optional and absent in glibc. */
    volatile unsigned char *p = ptr;
    while (size--)
        *p++ = 0;
}
