/* queue_open.c - a queue's directory, who is in it, and the life of a handle.
 *
 * A keeper holds a shared lock on DIRECTORY/lock. Who can have it alone for a moment is the first
 * keeper: it mends what an unclean stop has left (queue_mend.c). */
#include "host/queue/queue_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY 86400000u

void lmail_queue_config_init(lmail_queue_config *config)
{
    *config = (lmail_queue_config)LMAIL_QUEUE_CONFIG_INIT;
}

void lmail_queue_message_init(lmail_queue_message *message)
{
    *message = (lmail_queue_message)LMAIL_QUEUE_MESSAGE_INIT;
}

void lmail_queue_filter_init(lmail_queue_filter *filter)
{
    *filter = (lmail_queue_filter)LMAIL_QUEUE_FILTER_INIT;
}

/* ---- Names ----------------------------------------------------------------------------------- */

size_t lmail_queue_id_write(uint64_t id, char *out)
{
    return (size_t)snprintf(out, LMAIL_QUEUE_ID_TEXT, "%llX", (unsigned long long)id);
}

lmail_status lmail_queue_id_parse(lmail_str text, uint64_t *id)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > 16)
        return LMAIL_ERR_SYNTAX;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                                : 16;
        if (digit > 15)
            return LMAIL_ERR_SYNTAX;
        value = value << 4 | digit;
    }
    *id = value;
    return LMAIL_OK;
}

const char *lmail_queue_state_name(lmail_queue_state state)
{
    static const char *const names[] = {"waiting", "delivered", "relayed", "expanded", "failed"};
    return (unsigned)state < sizeof names / sizeof names[0] ? names[state] : "?";
}

/* ---- The directory --------------------------------------------------------------------------- */

/* The queue's own name, where the first commit's sync, which covers what lies in it, does not. Who may
 * not read the directory above cannot; then it is as safe as that directory's other names. */
static void sync_parent(const lmail_queue *q)
{
    char above[LMI_QUEUE_DIR + 1];
    strcpy(above, q->dir);
    char *slash = strrchr(above, '/');
    if (q->no_sync || !slash)
        return;
    slash[slash == above] = '\0';
    (void)lmi_file_sync_dir(above);
}

static lmail_status open_dirs(lmail_queue *q)
{
    if (q->keeper && mkdir(q->dir, 0700) < 0) {
        if (errno != EEXIST)
            return lmi_file_errno();
    } else if (q->keeper) {
        sync_parent(q);
    }
    q->dir_fd = open(q->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (q->dir_fd < 0)
        return lmi_file_errno();
    if (q->keeper && mkdirat(q->dir_fd, "data", 0700) < 0 && errno != EEXIST)
        return lmi_file_errno();
    q->data_fd = openat(q->dir_fd, "data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (q->data_fd < 0)
        return lmi_file_errno();
    q->sync_names = !lmi_file_sync_covers_names(q->data_fd);
    return LMAIL_OK;
}

/* *alone: no other keeper is there; it stays so until lock_shared. */
static lmail_status lock_first(lmail_queue *q, int *alone)
{
    *alone = 0;
    if (!q->keeper)
        return LMAIL_OK;
    q->lock_fd = openat(q->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (q->lock_fd < 0)
        return lmi_file_errno();
    *alone = flock(q->lock_fd, LOCK_EX | LOCK_NB) == 0;
    if (*alone)
        return LMAIL_OK;
    while (flock(q->lock_fd, LOCK_SH) < 0)
        if (errno != EINTR)
            return lmi_file_errno();
    return LMAIL_OK;
}

static lmail_status lock_shared(lmail_queue *q)
{
    while (flock(q->lock_fd, LOCK_SH) < 0)
        if (errno != EINTR)
            return lmi_file_errno();
    return LMAIL_OK;
}

lmail_status lmail_queue_lead(lmail_queue *q)
{
    if (q->lead_fd >= 0)
        return LMAIL_OK;
    if (!q->keeper)
        return LMAIL_ERR_DENIED;
    int fd = openat(q->dir_fd, "runner", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return lmi_file_errno();
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        lmail_status st = errno == EWOULDBLOCK ? LMAIL_ERR_BUSY : lmi_file_errno();
        close(fd);
        return st;
    }
    q->lead_fd = fd;
    return LMAIL_OK;
}

/* ---- The database ---------------------------------------------------------------------------- */

static lmail_status open_db(lmail_queue *q)
{
    char path[LMAIL_QUEUE_PATH];
    snprintf(path, sizeof path, "%s/queue.db", q->dir);
    /* Made here, since SQLite would let others read it; what it makes beside it is alike. A file
     * that is there is not opened: closing it would take SQLite's locks of this process away. */
    int fd =
        q->keeper ? openat(q->dir_fd, "queue.db", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (fd >= 0)
        close(fd);
    else if (q->keeper ? errno != EEXIST : access(path, R_OK | W_OK) < 0)
        return lmi_file_errno();
    lmail_status st = lmi_queue_db_open(&q->write, path, q->keeper != 0, q->no_sync != 0);
    if (!st)
        st = lmi_queue_schema(&q->write, q->keeper != 0);
    if (!st)
        st = lmi_queue_db_open(&q->read, path, 0, q->no_sync != 0);
    q->synchronous = 2;
    return st;
}

static void close_db(lmail_queue *q)
{
    lmi_db_close(&q->read);
    lmi_db_close(&q->write);
}

/* The first keeper: what is damaged is put aside, once. */
static lmail_status open_and_mend(lmail_queue *q)
{
    lmail_status st = open_db(q);
    if (!st)
        st = lmi_queue_mend(q);
    if (st != LMAIL_ERR_CORRUPT)
        return st;
    close_db(q);
    st = lmi_queue_put_aside(q);
    if (!st)
        st = open_db(q);
    return st;
}

/* ---- Life ------------------------------------------------------------------------------------ */

static lmail_status open_all(lmail_queue *q)
{
    int alone;
    lmail_status st = open_dirs(q);
    if (!st)
        st = lock_first(q, &alone);
    if (st)
        return st;
    if (!alone)
        return open_db(q);
    st = open_and_mend(q);
    return st ? st : lock_shared(q);
}

static const char *reason(lmail_status st, unsigned keeper)
{
    switch (st) {
    case LMAIL_ERR_NOTFOUND:
        return "there is no queue";
    case LMAIL_ERR_CORRUPT:
        return keeper ? "queue.db is damaged and another daemon is at work with it; stop them all, "
                        "and the next one that starts puts it aside"
                      : "queue.db is damaged; the next daemon that starts alone puts it aside";
    case LMAIL_ERR_UNSUPPORTED:
        return "queue.db was written by a newer version";
    default:
        return lmail_status_text(st);
    }
}

lmail_status lmail_queue_open(lmail_queue **out, const lmail_queue_config *config, char *error,
                              size_t cap)
{
    *out = NULL;
    if (error && cap)
        error[0] = '\0';
    if (config->size > sizeof *config)
        return LMAIL_ERR_SIZE;
    if (!config->directory || !config->directory[0] || strlen(config->directory) > LMI_QUEUE_DIR) {
        if (error && cap)
            snprintf(error, cap, "no directory for the queue, or a path above %u octets",
                     LMI_QUEUE_DIR);
        return LMAIL_ERR_ARG;
    }
    lmail_queue *q = calloc(1, sizeof *q);
    if (!q)
        return LMAIL_ERR_NOMEM;
    strcpy(q->dir, config->directory);
    q->dir_fd = q->data_fd = q->lock_fd = q->lead_fd = -1;
    q->keeper = config->keeper;
    q->no_sync = config->no_sync;
    q->reserve = config->reserve;
    q->debris_age = (int64_t)(config->debris_age ? config->debris_age : DAY);
    q->on_fault = config->on_fault;
    q->user = config->user;
    q->ops_end = &q->ops;
    pthread_mutex_init(&q->write_lock, NULL);
    pthread_mutex_init(&q->read_lock, NULL);
    pthread_mutex_init(&q->wait_lock, NULL);
    lmail_status st = open_all(q);
    if (st) {
        if (error && cap)
            snprintf(error, cap, "%s: %s", q->dir, reason(st, q->keeper));
        lmail_queue_free(q);
        return st;
    }
    *out = q;
    return LMAIL_OK;
}

void lmail_queue_free(lmail_queue *q)
{
    if (!q)
        return;
    close_db(q);
    free(q->late.items);
    free(q->claims);
    if (q->lead_fd >= 0)
        close(q->lead_fd);
    if (q->lock_fd >= 0)
        close(q->lock_fd);
    if (q->data_fd >= 0)
        close(q->data_fd);
    if (q->dir_fd >= 0)
        close(q->dir_fd);
    pthread_mutex_destroy(&q->write_lock);
    pthread_mutex_destroy(&q->read_lock);
    pthread_mutex_destroy(&q->wait_lock);
    free(q);
}
