/* queue_draft.c - octets on the queue's file system that belong to no message: a file without a name.
 *
 * Called by who sends a message otherwise than it lies there (service_runner_copy.c). Never synced:
 * nobody has been answered for it. */
#include "host/queue/queue_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lmail_queue_draft {
    int fd;
    uint64_t size;
    lmi_file_buffer buffer;
};

static lmail_status open_file(const lmail_queue *q, const void *unique, int *fd)
{
    char name[64];
    *fd = openat(q->data_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return *fd >= 0 ? LMAIL_OK : lmi_file_errno();
    snprintf(name, sizeof name, "draft.%ld.%p", (long)getpid(), unique);
    *fd = openat(q->data_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0)
        return lmi_file_errno();
    unlinkat(q->data_fd, name, 0);
    return LMAIL_OK;
}

lmail_status lmail_queue_draft_new(lmail_queue *q, lmail_queue_draft **out)
{
    lmail_status st = lmi_queue_room(q);
    *out = NULL;
    if (st)
        return st;
    lmail_queue_draft *d = malloc(sizeof *d);
    if (!d)
        return LMAIL_ERR_NOMEM;
    d->size = 0;
    d->buffer.used = 0;
    st = open_file(q, d, &d->fd);
    if (st) {
        free(d);
        return st;
    }
    *out = d;
    return LMAIL_OK;
}

void lmail_queue_draft_free(lmail_queue_draft *d)
{
    if (!d)
        return;
    close(d->fd);
    free(d);
}

lmail_status lmail_queue_draft_write(lmail_queue_draft *d, lmail_str octets)
{
    lmail_status st = lmi_file_put(d->fd, &d->buffer, octets.ptr, octets.len);
    if (!st)
        d->size += octets.len;
    return st;
}

lmail_status lmail_queue_draft_end(lmail_queue_draft *d, uint64_t *octets)
{
    *octets = d->size;
    return lmi_file_flush(d->fd, &d->buffer);
}

lmail_status lmail_queue_draft_read(const lmail_queue_draft *d, uint64_t offset, char *buf,
                                    size_t cap, size_t *got)
{
    return lmi_file_read_at(d->fd, offset, buf, cap, got);
}
