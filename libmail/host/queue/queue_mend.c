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

typedef struct mending {
    queue_ids files, drop, settle, debris;
} mending;

typedef struct queue_row {
    uint64_t id, octets;
    int pending;
} queue_row;

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Names that are no ids are none of our files. */
static lmail_status read_names(const lmail_queue *q, queue_ids *files)
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
    for (const struct dirent *e; !st && (errno = 0, e = readdir(dir));) {
        uint64_t id;
        if (!lmail_queue_id_parse(lmail_str_from(e->d_name), &id))
            st = lmi_queue_ids_add(files, id);
    }
    if (!st && errno) /* a list that ends early would cost rows */
        st = lmi_file_errno();
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

/* What becomes of a row: `there` says that the list of files has its file. A row is dropped only
 * when its file is not there, or pending and shorter than it says; *st: it could not be known. */
static queue_ids *fate(const lmail_queue *q, const queue_row *row, int there, mending *m,
                       lmail_status *st)
{
    struct stat info;
    if (there && !row->pending)
        return NULL;
    if (stat_file(q, row->id, &info) < 0) {
        if (errno == ENOENT)
            return &m->drop;
        *st = lmi_file_errno();
        return NULL;
    }
    if (!row->pending)
        return NULL;
    return (uint64_t)info.st_size >= row->octets ? &m->settle : &m->drop;
}

static lmail_status compare(lmail_queue *q, mending *m)
{
    sqlite3_stmt *rows;
    size_t at = 0;
    int code;
    lmail_status st = lmi_db_bind(&q->write, QUEUE_IDS, &rows, "");
    if (st)
        return st;
    while (!st && (code = sqlite3_step(rows)) != SQLITE_DONE) {
        if (code != SQLITE_ROW) {
            st = lmi_db_status(code);
            break;
        }
        queue_row row = {(uint64_t)sqlite3_column_int64(rows, 0),
                         (uint64_t)sqlite3_column_int64(rows, 1), sqlite3_column_int(rows, 2)};
        for (; !st && at < m->files.count && m->files.items[at] < row.id; at++)
            st = lmi_queue_ids_add(&m->debris, m->files.items[at]);
        int there = at < m->files.count && m->files.items[at] == row.id;
        at += (size_t)there;
        queue_ids *list = st ? NULL : fate(q, &row, there, m, &st);
        if (list)
            st = lmi_queue_ids_add(list, row.id);
    }
    sqlite3_reset(rows);
    for (; !st && at < m->files.count; at++)
        st = lmi_queue_ids_add(&m->debris, m->files.items[at]);
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

static void remove_debris(lmail_queue *q, const queue_ids *debris)
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
    mending m = {0};
    lmail_status st = check_db(q);
    /* Files first: what a mailctl removes meanwhile is then missed in both. */
    if (!st)
        st = read_names(q, &m.files);
    if (!st)
        st = compare(q, &m);
    for (size_t i = 0; i < m.drop.count && !st; i++) {
        st = lmail_queue_remove(q, m.drop.items[i]);
        if (st == LMAIL_ERR_NOTFOUND)
            st = LMAIL_OK;
    }
    for (size_t i = 0; i < m.settle.count && !st; i++) {
        st = lmail_queue_sync(q, m.settle.items[i]);
        if (!st)
            st = lmail_queue_settle(q, m.settle.items[i]);
    }
    if (!st) {
        remove_debris(q, &m.debris);
        tell(q, LMAIL_QUEUE_UNANSWERED, m.drop.count, "");
    }
    free(m.files.items);
    free(m.drop.items);
    free(m.settle.items);
    free(m.debris.items);
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
