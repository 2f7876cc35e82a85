/* queue_mend.c - what the first keeper does: rows and data files are compared.
 *
 * A row without its file was never answered for: a message is answered when its file is on the
 * disk, and a file is removed after its row. A pending row is settled when its file is as long as
 * it says, since then the octets came to the disk, and dropped when not. A file without a row is a
 * message that was on its way when the machine stopped; it is kept for a while, in case somebody
 * puts an older database back. */
#include "host/queue/queue_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct ids {
    uint64_t *items;
    size_t count, cap;
} ids;

static lmail_status push(ids *list, uint64_t id)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 256;
        uint64_t *p = realloc(list->items, cap * sizeof *p);
        if (!p)
            return LMAIL_ERR_NOMEM;
        list->items = p;
        list->cap = cap;
    }
    list->items[list->count++] = id;
    return LMAIL_OK;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Names that are no ids are none of our files. */
static lmail_status read_names(const lmail_queue *q, ids *files)
{
    lmail_status st = LMAIL_OK;
    int fd = openat(q->dir_fd, "data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        st = lmi_file_errno();
        if (fd >= 0)
            close(fd);
        return st;
    }
    for (const struct dirent *e; !st && (e = readdir(dir));) {
        uint64_t id;
        if (!lmail_queue_id_parse(lmail_str_from(e->d_name), &id))
            st = push(files, id);
    }
    closedir(dir);
    if (files->count)
        qsort(files->items, files->count, sizeof *files->items, by_number);
    return st;
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static int stat_file(const lmail_queue *q, uint64_t id, struct stat *info)
{
    char name[LMAIL_QUEUE_ID_TEXT];
    lmail_queue_id_write(id, name);
    return fstatat(q->data_fd, name, info, AT_SYMLINK_NOFOLLOW);
}

/* A pending message that has all its octets. */
static int is_whole(const lmail_queue *q, uint64_t id, uint64_t octets)
{
    struct stat info;
    return stat_file(q, id, &info) == 0 && (uint64_t)info.st_size >= octets;
}

static lmail_status compare(lmail_queue *q, const ids *files, ids *drop, ids *settle, ids *debris)
{
    sqlite3_stmt *row;
    size_t at = 0;
    int code;
    lmail_status st = lmi_db_bind(&q->write, QUEUE_IDS, &row, "");
    if (st)
        return st;
    while (!st && (code = sqlite3_step(row)) != SQLITE_DONE) {
        if (code != SQLITE_ROW) {
            st = lmi_db_status(code);
            break;
        }
        uint64_t id = (uint64_t)sqlite3_column_int64(row, 0);
        for (; !st && at < files->count && files->items[at] < id; at++)
            st = push(debris, files->items[at]);
        int there = at < files->count && files->items[at] == id;
        at += (size_t)there;
        if (!st && sqlite3_column_int(row, 2)) {
            there = there && is_whole(q, id, (uint64_t)sqlite3_column_int64(row, 1));
            if (there)
                st = push(settle, id);
        }
        if (!st && !there)
            st = push(drop, id);
    }
    sqlite3_reset(row);
    for (; !st && at < files->count; at++)
        st = push(debris, files->items[at]);
    return st;
}

/* ---- Mending --------------------------------------------------------------------------------- */

static void tell(const lmail_queue *q, enum lmail_queue_fault_kind kind, uint64_t count,
                 const char *path)
{
    lmail_queue_fault fault = {kind, count, lmail_str_from(path)};
    if (q->on_fault && count)
        q->on_fault(q->user, &fault);
}

static void remove_debris(lmail_queue *q, const ids *debris)
{
    struct timespec now;
    uint64_t removed = 0;
    clock_gettime(CLOCK_REALTIME, &now);
    for (size_t i = 0; i < debris->count; i++) {
        struct stat info;
        if (stat_file(q, debris->items[i], &info) ||
            (now.tv_sec - info.st_ctim.tv_sec) * 1000 < q->debris_age)
            continue;
        lmi_queue_unlink(q, debris->items[i]);
        removed++;
    }
    tell(q, LMAIL_QUEUE_DEBRIS, removed, "");
}

/* Does the whole file hold together? */
static lmail_status check_db(lmail_queue *q)
{
    sqlite3_stmt *row;
    int code = sqlite3_prepare_v2(q->write.db, "PRAGMA quick_check(1)", -1, &row, NULL);
    if (code)
        return lmi_db_status(code);
    code = sqlite3_step(row);
    const char *said = code == SQLITE_ROW ? (const char *)sqlite3_column_text(row, 0) : NULL;
    lmail_status st = code != SQLITE_ROW            ? lmi_db_status(code)
                      : said && !strcmp(said, "ok") ? LMAIL_OK
                                                    : LMAIL_ERR_CORRUPT;
    sqlite3_finalize(row);
    return st;
}

lmail_status lmi_queue_mend(lmail_queue *q)
{
    ids files = {0}, drop = {0}, settle = {0}, debris = {0};
    lmail_status st = check_db(q);
    /* Files first: what a mailctl removes meanwhile is then missed in both. */
    if (!st)
        st = read_names(q, &files);
    if (!st)
        st = compare(q, &files, &drop, &settle, &debris);
    for (size_t i = 0; i < drop.count && !st; i++) {
        st = lmail_queue_remove(q, drop.items[i]);
        if (st == LMAIL_ERR_NOTFOUND)
            st = LMAIL_OK;
    }
    for (size_t i = 0; i < settle.count && !st; i++) {
        st = lmail_queue_sync(q, settle.items[i]);
        if (!st)
            st = lmail_queue_settle(q, settle.items[i]);
    }
    if (!st) {
        remove_debris(q, &debris);
        tell(q, LMAIL_QUEUE_UNANSWERED, drop.count, "");
    }
    free(files.items);
    free(drop.items);
    free(settle.items);
    free(debris.items);
    return st;
}

/* ---- A damaged database ---------------------------------------------------------------------- */

lmail_status lmi_queue_put_aside(lmail_queue *q)
{
    static const char *const names[] = {"queue.db", "queue.db-wal", "queue.db-shm", "data"};
    char name[48], path[LMAIL_QUEUE_PATH];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(name, sizeof name, "damaged-%Y%m%dT%H%M%S", &tm);
    snprintf(name + n, sizeof name - n, ".%06ld", now.tv_nsec / 1000);
    if (mkdirat(q->dir_fd, name, 0700) < 0)
        return lmi_file_errno();
    int to = openat(q->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to < 0)
        return lmi_file_errno();
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !st; i++)
        if (renameat(q->dir_fd, names[i], to, names[i]) < 0 && errno != ENOENT)
            st = lmi_file_errno();
    if (fsync(to) < 0 && !st)
        st = lmi_file_errno();
    close(to);
    close(q->data_fd);
    q->data_fd = -1;
    if (!st && mkdirat(q->dir_fd, "data", 0700) < 0)
        st = lmi_file_errno();
    if (!st && fsync(q->dir_fd) < 0)
        st = lmi_file_errno();
    if (st)
        return st;
    q->data_fd = openat(q->dir_fd, "data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (q->data_fd < 0)
        return lmi_file_errno();
    snprintf(path, sizeof path, "%s/%s", q->dir, name);
    tell(q, LMAIL_QUEUE_DAMAGED, 1, path);
    return LMAIL_OK;
}
