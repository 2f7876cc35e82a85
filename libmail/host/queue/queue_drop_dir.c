/* queue_drop_dir.c - the directory of drops: made as it should be, and its names in order.
 *
 * The format is in libmail/host/drop.h. Called by the service at its start, when it may still be root,
 * and by its pick-up. */
#include "host/file/file_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmail/host/drop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define OLD 86400 /* seconds until what is half-written is debris */
#define MODE 01730u

static lmail_status fail(lmail_status st, const char *directory, const char *why, char *error,
                         size_t cap)
{
    if (error && cap)
        snprintf(error, cap, "%s: %s", directory, why);
    return st;
}

static lmail_status fail_errno(const char *directory, char *error, size_t cap)
{
    return fail(lmi_file_errno(), directory, strerror(errno), error, cap);
}

/* Owner, group and mode of one that was just made. A group that we may not give it leaves it our
 * own. */
static int set_up(int fd, uint32_t uid, uint32_t gid)
{
    if (gid != UINT32_MAX && fchown(fd, uid, gid) < 0 && fchown(fd, (uid_t)-1, gid) < 0)
        gid = UINT32_MAX;
    if (gid == UINT32_MAX && geteuid() == 0 && fchown(fd, uid, (gid_t)-1) < 0)
        return -1;
    return fchmod(fd, gid == UINT32_MAX ? 0700 : MODE);
}

/* Made just now, or at a time when there was no group. */
static int is_bare(const struct stat *st, int made, uint32_t uid, uint32_t gid)
{
    return made || (geteuid() == 0 && st->st_uid == uid && gid != UINT32_MAX &&
                    (st->st_mode & 07777u) == 0700);
}

lmail_status lmail_drop_prepare(const char *directory, uint32_t uid, uint32_t gid, char *error,
                                size_t cap)
{
    struct stat st;
    int made = mkdir(directory, 0700) == 0;
    if (!made && errno != EEXIST)
        return fail_errno(directory, error, cap);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(directory, error, cap);
    lmail_status result = LMAIL_OK;
    if (fstat(fd, &st) < 0 || (is_bare(&st, made, uid, gid) && set_up(fd, uid, gid) < 0) ||
        fstat(fd, &st) < 0)
        result = fail_errno(directory, error, cap);
    else if (st.st_uid != uid)
        result = fail(LMAIL_ERR_DENIED, directory,
                      "it has to belong to the user that smtpd runs as", error, cap);
    else if (st.st_mode & S_IWOTH)
        result = fail(LMAIL_ERR_DENIED, directory, "others may write there", error, cap);
    close(fd);
    return result;
}

/* ---- Names ----------------------------------------------------------------------------------- */

typedef struct names {
    char **items;
    size_t count, cap;
} names;

static int ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), e = strlen(end);
    return n > e && memcmp(name + n - e, end, e) == 0;
}

static lmail_status keep(names *n, const char *name)
{
    if (n->count == n->cap) {
        size_t cap = n->cap ? 2 * n->cap : 64;
        char **more = realloc(n->items, cap * sizeof *more);
        if (!more)
            return LMAIL_ERR_NOMEM;
        n->items = more;
        n->cap = cap;
    }
    n->items[n->count] = strdup(name);
    return n->items[n->count++] ? LMAIL_OK : LMAIL_ERR_NOMEM;
}

static void remove_old(int dir, const char *name)
{
    struct stat st;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
        now.tv_sec - st.st_mtim.tv_sec > OLD)
        unlinkat(dir, name, 0);
}

static int compare(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    if (!*x || !*y)
        return (*x != NULL) - (*y != NULL);
    return strcmp(*x, *y);
}

lmail_status lmail_drop_list(const char *directory, size_t max, lmail_drop_fn *fn, void *user)
{
    names n = {NULL, 0, 0};
    lmail_status st = LMAIL_OK;
    DIR *dir = opendir(directory);
    if (!dir)
        return lmi_file_errno();
    for (const struct dirent *e; !st && (e = readdir(dir));) {
        if (ends_with(e->d_name, ".mail"))
            st = keep(&n, e->d_name);
        else if (ends_with(e->d_name, ".new"))
            remove_old(dirfd(dir), e->d_name);
    }
    closedir(dir);
    if (n.count)
        qsort(n.items, n.count, sizeof *n.items, compare);
    for (size_t i = 0; i < n.count && !st && i < max; i++)
        if (fn(user, n.items[i]))
            break;
    for (size_t i = 0; i < n.count; i++)
        free(n.items[i]);
    free(n.items);
    return st;
}
