/* file_octets.c - octets of files, room on a disk, what a sync covers (file_internal.h).
 *
 * Interrupted calls go on. Nothing here opens a file of mail or knows what one is called. */
#include "host/file/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#define EXT_MAGIC 0xEF53

lmail_status lmi_file_errno(void)
{
    switch (errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return LMAIL_ERR_FULL;
    case ENOENT:
    case ENOTDIR:
        return LMAIL_ERR_NOTFOUND;
    case EEXIST:
    case ENOTEMPTY:
        return LMAIL_ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return LMAIL_ERR_DENIED;
    case ENAMETOOLONG:
        return LMAIL_ERR_LIMIT;
    case ENOMEM:
        return LMAIL_ERR_NOMEM;
    case EXDEV:
    case EMLINK:
    case EOPNOTSUPP:
        return LMAIL_ERR_UNSUPPORTED;
    default:
        return LMAIL_ERR_IO;
    }
}

lmail_status lmi_file_write_all(int fd, const char *octets, size_t n)
{
    while (n) {
        ssize_t done = write(fd, octets, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return lmi_file_errno();
        octets += done;
        n -= (size_t)done;
    }
    return LMAIL_OK;
}

lmail_status lmi_file_flush(int fd, lmi_file_buffer *b)
{
    size_t n = b->used;
    b->used = 0;
    return lmi_file_write_all(fd, b->octets, n);
}

lmail_status lmi_file_put(int fd, lmi_file_buffer *b, const char *octets, size_t n)
{
    lmail_status st = n > LMI_FILE_BUFFER - b->used ? lmi_file_flush(fd, b) : LMAIL_OK;
    if (st)
        return st;
    /* Behind what waits nothing may overtake it. */
    if (!b->used && n >= LMI_FILE_BUFFER / 2)
        return lmi_file_write_all(fd, octets, n);
    if (n)
        memcpy(b->octets + b->used, octets, n);
    b->used += n;
    return LMAIL_OK;
}

lmail_status lmi_file_read_at(int fd, uint64_t offset, char *buf, size_t cap, size_t *got)
{
    *got = 0;
    while (*got < cap) {
        ssize_t n = pread(fd, buf + *got, cap - *got, (off_t)(offset + *got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return lmi_file_errno();
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return LMAIL_OK;
}

lmail_status lmi_file_room(const char *path, int fd, uint64_t reserve)
{
    struct statvfs v;
    if (reserve == 0 || (path ? statvfs(path, &v) : fstatvfs(fd, &v)) < 0)
        return LMAIL_OK;
    return (uint64_t)v.f_bavail * v.f_frsize < reserve ? LMAIL_ERR_FULL : LMAIL_OK;
}

int lmi_file_sync_covers_names(int fd)
{
    struct statfs s;
    return fstatfs(fd, &s) == 0 && s.f_type == EXT_MAGIC;
}

lmail_status lmi_file_sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return lmi_file_errno();
    lmail_status st = fsync(fd) < 0 ? lmi_file_errno() : LMAIL_OK;
    close(fd);
    return st;
}
