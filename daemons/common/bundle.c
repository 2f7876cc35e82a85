/* bundle.c - see the header. Called by parent.c and server.c. */
#include "bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct kept kept;

struct kept {
    kept *next;
    lmail_status status; /* what opening it came to */
    unsigned mode;
    int list; /* a pattern: the octets are the names, each with its terminator */
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
    int32_t status;
    uint16_t mode, list;
} entry;

static size_t padded(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

/* ---- Keeping --------------------------------------------------------------------------------- */

static kept *find(const bundle *b, lmail_str name, int list)
{
    for (kept *k = b->first; k; k = k->next)
        if (k->list == list && lmail_str_equal((lmail_str){k->name, k->name_len}, name))
            return k;
    return NULL;
}

static kept *kept_new(lmail_str name, int list)
{
    kept *k = calloc(1, sizeof *k + name.len);
    if (!k)
        return NULL;
    memcpy(k->name, name.ptr, name.len);
    k->name_len = name.len;
    k->list = list;
    return k;
}

static kept *append(bundle *b, kept *k)
{
    *b->last = k;
    b->last = &k->next;
    return k;
}

static kept *keep(bundle *b, lmail_str name)
{
    lmail_str octets = {NULL, 0};
    kept *k = find(b, name, 0);
    if (k)
        return k;
    k = kept_new(name, 0);
    if (!k)
        return NULL;
    k->status = b->disk.open(b->disk.ctx, name, &octets);
    if (!k->status) {
        k->octets = malloc(octets.len + 1);
        if (k->octets && octets.len)
            memcpy(k->octets, octets.ptr, octets.len);
        k->len = octets.len;
        k->mode = b->disk.mode(b->disk.ctx, name);
        b->disk.close(b->disk.ctx, octets);
        if (!k->octets) {
            free(k);
            return NULL;
        }
    }
    return append(b, k);
}

static int keep_name(void *to, lmail_str name)
{
    kept *k = to;
    char *more = realloc(k->octets, k->len + name.len + 1);
    if (!more) {
        k->status = LMAIL_ERR_NOMEM;
        return 1;
    }
    memcpy(more + k->len, name.ptr, name.len);
    more[k->len + name.len] = '\0';
    k->octets = more;
    k->len += name.len + 1;
    return 0;
}

static kept *keep_list(bundle *b, lmail_str pattern)
{
    kept *k = find(b, pattern, 1);
    if (!k)
        k = kept_new(pattern, 1);
    else
        return k;
    if (!k)
        return NULL;
    lmail_status st = b->disk.list(b->disk.ctx, pattern, keep_name, k);
    k->status = k->status ? k->status : st;
    return append(b, k);
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

static unsigned kept_mode(void *ctx, lmail_str name)
{
    const kept *k = keep(ctx, name);
    return k ? k->mode : 0;
}

/* Names as keep_name put them. */
static void tell_names(const char *names, size_t len, int (*found)(void *to, lmail_str name),
                       void *to)
{
    for (const char *at = names; at < names + len; at += strlen(at) + 1)
        if (found(to, lmail_str_from(at)))
            return;
}

static lmail_status list_kept(void *ctx, lmail_str pattern, int (*found)(void *to, lmail_str name),
                              void *to)
{
    const kept *k = keep_list(ctx, pattern);
    if (!k)
        return LMAIL_ERR_NOMEM;
    if (!k->status)
        tell_names(k->octets, k->len, found, to);
    return k->status;
}

bundle *bundle_new(lmail_files *files)
{
    bundle *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->disk = *files;
    b->last = &b->first;
    *files = (lmail_files){sizeof *files, b, open_kept, close_kept, kept_mode, list_kept};
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

static int add_name(void *to, lmail_str name)
{
    return bundle_add(to, name) == LMAIL_ERR_NOMEM;
}

lmail_status bundle_add_all(bundle *b, lmail_str directory)
{
    char *pattern;
    int n = asprintf(&pattern, "%.*s/*", (int)directory.len, directory.ptr);
    if (n < 0)
        return LMAIL_ERR_NOMEM;
    lmail_status st = list_kept(b, (lmail_str){pattern, (size_t)n}, add_name, b);
    free(pattern);
    return st;
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
        entry e = {k->name_len, k->len, (int32_t)k->status, (uint16_t)k->mode, (uint16_t)k->list};
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
static int look_up(const bundle_view *v, lmail_str name, int list, entry *out, lmail_str *octets)
{
    for (size_t at = 0; at + sizeof *out <= v->len;) {
        memcpy(out, v->map + at, sizeof *out);
        const char *text = v->map + at + sizeof *out;
        *octets = (lmail_str){text + out->name_len, (size_t)out->len};
        if (out->list == list && lmail_str_equal((lmail_str){text, (size_t)out->name_len}, name))
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
    lmail_status st = look_up(v, name, 0, &e, octets) ? (lmail_status)e.status : LMAIL_ERR_NOTFOUND;
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

static unsigned view_mode(void *ctx, lmail_str name)
{
    bundle_view *v = ctx;
    lmail_str octets;
    entry e;
    pthread_mutex_lock(&v->lock);
    unsigned mode = look_up(v, name, 0, &e, &octets) ? e.mode : 0;
    pthread_mutex_unlock(&v->lock);
    return mode;
}

/* `found` may open what it is told, so the names are a use like an opened file. */
static lmail_status list_view(void *ctx, lmail_str pattern, int (*found)(void *to, lmail_str name),
                              void *to)
{
    bundle_view *v = ctx;
    lmail_str octets;
    entry e;
    pthread_mutex_lock(&v->lock);
    lmail_status st =
        look_up(v, pattern, 1, &e, &octets) ? (lmail_status)e.status : LMAIL_ERR_NOTFOUND;
    v->uses += !st;
    pthread_mutex_unlock(&v->lock);
    if (st)
        return st;
    tell_names(octets.ptr, octets.len, found, to);
    close_view(v, octets);
    return LMAIL_OK;
}

void bundle_view_files(bundle_view *v, lmail_files *files)
{
    *files = (lmail_files){sizeof *files, v, open_view, close_view, view_mode, list_view};
}
