/* bundle.c - see the header. Called by parent.c and server.c. */
#include "bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct kept kept;

struct kept {
    kept *next;
    lmail_status status; /* what opening it came to */
    int is_public;
    size_t name_len, len;
    char *octets;
    char name[];
};

struct bundle {
    lmail_files disk;
    kept *first, **last;
};

/* In the memory file: this, name, octets, and room up to a multiple of eight. */
typedef struct entry {
    uint64_t name_len, len;
    int32_t status, is_public;
} entry;

static size_t padded(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

/* ---- Keeping --------------------------------------------------------------------------------- */

static kept *find(const bundle *b, lmail_str name)
{
    for (kept *k = b->first; k; k = k->next)
        if (lmail_str_equal((lmail_str){k->name, k->name_len}, name))
            return k;
    return NULL;
}

static kept *keep(bundle *b, lmail_str name)
{
    lmail_str octets = {NULL, 0};
    kept *k = find(b, name);
    if (k)
        return k;
    k = calloc(1, sizeof *k + name.len);
    if (!k)
        return NULL;
    memcpy(k->name, name.ptr, name.len);
    k->name_len = name.len;
    k->status = b->disk.open(b->disk.ctx, name, &octets);
    if (!k->status) {
        k->octets = malloc(octets.len + 1);
        if (k->octets && octets.len)
            memcpy(k->octets, octets.ptr, octets.len);
        k->len = octets.len;
        k->is_public = b->disk.is_public(b->disk.ctx, name);
        b->disk.close(b->disk.ctx, octets);
        if (!k->octets) {
            free(k);
            return NULL;
        }
    }
    *b->last = k;
    b->last = &k->next;
    return k;
}

static lmail_status open_kept(void *ctx, lmail_str name, lmail_str *octets)
{
    const kept *k = keep(ctx, name);
    if (!k)
        return LMAIL_ERR_NOMEM;
    *octets = (lmail_str){k->octets, k->len};
    return k->status;
}

static void close_kept(void *ctx, lmail_str octets)
{
    (void)ctx;
    (void)octets; /* they live as long as the bundle */
}

static int kept_is_public(void *ctx, lmail_str name)
{
    const kept *k = keep(ctx, name);
    return k && k->is_public;
}

bundle *bundle_new(lmail_files *files)
{
    bundle *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->disk = *files;
    b->last = &b->first;
    *files = (lmail_files){sizeof *files, b, open_kept, close_kept, kept_is_public};
    return b;
}

void bundle_free(bundle *b)
{
    for (kept *k = b ? b->first : NULL; k;) {
        kept *next = k->next;
        if (k->octets)
            explicit_bzero(k->octets, k->len);
        free(k->octets);
        free(k);
        k = next;
    }
    free(b);
}

lmail_status bundle_add(bundle *b, lmail_str name)
{
    const kept *k = keep(b, name);
    return k ? k->status : LMAIL_ERR_NOMEM;
}

/* ---- The memory file ------------------------------------------------------------------------- */

static int put(int fd, const void *octets, size_t len)
{
    const char *at = octets;
    for (ssize_t n; len > 0; at += n, len -= (size_t)n) {
        n = write(fd, at, len);
        if (n < 0)
            return -1;
    }
    return 0;
}

int bundle_seal(const bundle *b)
{
    static const char zeros[8] = {0};
    int fd = memfd_create("libmail-files", MFD_CLOEXEC | MFD_ALLOW_SEALING), failed = fd < 0;
    for (const kept *k = b->first; k && !failed; k = k->next) {
        entry e = {k->name_len, k->len, (int32_t)k->status, k->is_public};
        size_t len = k->name_len + k->len;
        failed = put(fd, &e, sizeof e) || put(fd, k->name, k->name_len) ||
                 put(fd, k->octets, k->len) || put(fd, zeros, padded(len) - len);
    }
    if (!failed &&
        !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
        return fd;
    int why = errno;
    if (fd >= 0)
        close(fd);
    errno = why;
    return -1;
}

/* ---- The other end --------------------------------------------------------------------------- */

static int map_file(int fd, const char **map, size_t *len)
{
    struct stat st;
    void *at = NULL;
    int failed = fstat(fd, &st);
    if (!failed && st.st_size > 0) {
        at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        failed = at == MAP_FAILED;
    }
    close(fd);
    if (failed)
        return -1;
    *map = at;
    *len = (size_t)st.st_size;
    return 0;
}

static void unmap(bundle_view *v)
{
    if (v->map)
        munmap((void *)(size_t)v->map, v->len);
    v->map = NULL;
    v->len = 0;
}

int bundle_view_init(bundle_view *v, int fd)
{
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->idle, NULL);
    v->uses = 0;
    v->map = NULL;
    v->len = 0;
    return map_file(fd, &v->map, &v->len);
}

int bundle_view_change(bundle_view *v, int fd)
{
    const char *map = NULL;
    size_t len = 0;
    if (map_file(fd, &map, &len))
        return -1;
    pthread_mutex_lock(&v->lock);
    while (v->uses)
        pthread_cond_wait(&v->idle, &v->lock);
    unmap(v);
    v->map = map;
    v->len = len;
    pthread_mutex_unlock(&v->lock);
    return 0;
}

void bundle_view_done(bundle_view *v)
{
    unmap(v);
    pthread_cond_destroy(&v->idle);
    pthread_mutex_destroy(&v->lock);
}

/* Under the lock. Our own parent wrote it, so it is whole. */
static int look_up(const bundle_view *v, lmail_str name, entry *out, lmail_str *octets)
{
    for (size_t at = 0; at + sizeof *out <= v->len;) {
        memcpy(out, v->map + at, sizeof *out);
        const char *text = v->map + at + sizeof *out;
        *octets = (lmail_str){text + out->name_len, (size_t)out->len};
        if (lmail_str_equal((lmail_str){text, (size_t)out->name_len}, name))
            return 1;
        at += sizeof *out + padded((size_t)(out->name_len + out->len));
    }
    return 0;
}

static lmail_status open_view(void *ctx, lmail_str name, lmail_str *octets)
{
    bundle_view *v = ctx;
    entry e;
    pthread_mutex_lock(&v->lock);
    lmail_status st = look_up(v, name, &e, octets) ? (lmail_status)e.status : LMAIL_ERR_NOTFOUND;
    v->uses += !st;
    pthread_mutex_unlock(&v->lock);
    return st;
}

static void close_view(void *ctx, lmail_str octets)
{
    bundle_view *v = ctx;
    (void)octets;
    pthread_mutex_lock(&v->lock);
    if (--v->uses == 0)
        pthread_cond_broadcast(&v->idle);
    pthread_mutex_unlock(&v->lock);
}

static int view_is_public(void *ctx, lmail_str name)
{
    bundle_view *v = ctx;
    lmail_str octets;
    entry e;
    pthread_mutex_lock(&v->lock);
    int open_to_all = look_up(v, name, &e, &octets) && e.is_public;
    pthread_mutex_unlock(&v->lock);
    return open_to_all;
}

void bundle_view_files(bundle_view *v, lmail_files *files)
{
    *files = (lmail_files){sizeof *files, v, open_view, close_view, view_is_public};
}
