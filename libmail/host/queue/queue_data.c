/* queue_data.c - the messages themselves: one file each, named after its id. */
#include "host/queue/queue_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

lmail_status lmi_queue_room(const lmail_queue *q)
{
    return lmi_file_room(NULL, q->data_fd, q->reserve);
}

void lmail_queue_path(const lmail_queue *q, uint64_t id, char *out)
{
    char name[LMAIL_QUEUE_ID_TEXT];
    lmail_queue_id_write(id, name);
    snprintf(out, LMAIL_QUEUE_PATH, "%s/data/%s", q->dir, name);
}

void lmi_queue_unlink(const lmail_queue *q, uint64_t id)
{
    char name[LMAIL_QUEUE_ID_TEXT];
    lmail_queue_id_write(id, name);
    unlinkat(q->data_fd, name, 0);
}

lmail_status lmi_queue_sync_names(const lmail_queue *q)
{
    return q->no_sync || !q->sync_names || fsync(q->data_fd) == 0 ? LMAIL_OK : lmi_file_errno();
}

/* ---- Writing --------------------------------------------------------------------------------- */

lmail_status lmail_queue_copy(lmail_queue *q, uint64_t id,
                              lmail_status (*read)(void *ctx, uint64_t offset, char *buf,
                                                   size_t cap, size_t *got),
                              void *ctx)
{
    char piece[32768], name[LMAIL_QUEUE_ID_TEXT];
    size_t got = sizeof piece;
    lmail_status st = lmi_queue_room(q);
    if (st)
        return st;
    lmail_queue_id_write(id, name);
    int fd = openat(q->data_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return lmi_file_errno();
    for (uint64_t at = 0; !st && got == sizeof piece; at += got) {
        st = read(ctx, at, piece, sizeof piece, &got);
        if (!st)
            st = lmi_file_write_all(fd, piece, got);
    }
    if (!st && !q->no_sync && fsync(fd) < 0)
        st = lmi_file_errno();
    if (close(fd) < 0 && !st)
        st = lmi_file_errno();
    if (!st)
        st = lmi_queue_sync_names(q);
    if (st)
        unlinkat(q->data_fd, name, 0);
    return st;
}

lmail_status lmail_queue_sync(lmail_queue *q, uint64_t id)
{
    char name[LMAIL_QUEUE_ID_TEXT];
    if (q->no_sync)
        return LMAIL_OK;
    lmail_queue_id_write(id, name);
    int fd = openat(q->data_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return lmi_file_errno();
    lmail_status st = fsync(fd) < 0 ? lmi_file_errno() : LMAIL_OK;
    close(fd);
    return st ? st : lmi_queue_sync_names(q);
}

/* ---- Reading --------------------------------------------------------------------------------- */

lmail_status lmail_queue_read(lmail_queue *q, uint64_t id, uint64_t offset, char *buf, size_t cap,
                              size_t *got)
{
    char name[LMAIL_QUEUE_ID_TEXT];
    *got = 0;
    lmail_queue_id_write(id, name);
    int fd = openat(q->data_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return lmi_file_errno();
    lmail_status st = lmi_file_read_at(fd, offset, buf, cap, got);
    close(fd);
    return st;
}
