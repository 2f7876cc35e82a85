/* queue_drop.c - leaving mail for smtpd: one file, whole or not there.
 *
 * The format is in libmail/host/drop.h. Called by sendmail, which has the rights to make a name in the
 * directory only while it calls begin, end and cancel: nothing else here needs a path. */
#include "host/file/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libmail/host/drop.h>
#include <libmail/smtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TRIES 100u

struct lmail_drop {
    int fd;
    uint64_t size, text; /* text: of the envelope */
    unsigned body, has_8bit;
    char directory[LMAIL_DROP_PATH], path[LMAIL_DROP_PATH + 64];
    lmi_file_buffer buffer;
};

void lmail_drop_message_init(lmail_drop_message *message)
{
    *message = (lmail_drop_message)LMAIL_DROP_MESSAGE_INIT;
}

const char *lmail_drop_path(const lmail_drop *d)
{
    return d->path;
}

/* ---- Octets ---------------------------------------------------------------------------------- */

lmail_status lmail_drop_write(lmail_drop *d, lmail_str octets)
{
    for (size_t i = 0; i < octets.len && d->text && !d->has_8bit; i++)
        d->has_8bit = (unsigned char)octets.ptr[i] > 127;
    d->size += octets.len;
    return lmi_file_put(d->fd, &d->buffer, octets.ptr, octets.len);
}

static lmail_status write_line(lmail_drop *d, char kind, lmail_str value)
{
    char line[LMAIL_DROP_LINE + 2];
    if (value.len > LMAIL_DROP_LINE)
        return LMAIL_ERR_ARG;
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.ptr[i] < ' ' || value.ptr[i] == 127)
            return LMAIL_ERR_ARG;
    line[0] = kind;
    if (value.len)
        memcpy(line + 1, value.ptr, value.len);
    line[value.len + 1] = '\n';
    return lmail_drop_write(d, (lmail_str){line, value.len + 2});
}

static lmail_status write_number(lmail_drop *d, char kind, unsigned value)
{
    char text[16];
    if (!value)
        return LMAIL_OK;
    snprintf(text, sizeof text, "%u", value);
    return write_line(d, kind, lmail_str_from(text));
}

static void write_first(const lmail_drop *d, uint64_t size, char out[48])
{
    unsigned body = d->body ? d->body : d->has_8bit ? LMAIL_SMTP_BODY_8BITMIME : 0u;
    snprintf(out, 48, "libmail-drop-1 %020llu %u\n", (unsigned long long)size, body % 10);
}

static lmail_status write_envelope(lmail_drop *d, const lmail_drop_message *m)
{
    char first[48];
    d->body = m->body;
    write_first(d, 0, first);
    lmail_status st = lmail_drop_write(d, lmail_str_from(first));
    if (!st)
        st = write_line(d, 'S', m->sender);
    if (!st && m->sender_given)
        st = write_line(d, 'F', (lmail_str){NULL, 0});
    if (!st)
        st = write_number(d, 'N', m->notify);
    if (!st)
        st = write_number(d, 'T', m->ret);
    if (!st && m->has_envid)
        st = write_line(d, 'E', m->envid);
    for (size_t i = 0; i < m->recipient_count && !st; i++)
        st = m->recipients[i].len ? write_line(d, 'R', m->recipients[i]) : LMAIL_ERR_ARG;
    if (!st && d->size > LMAIL_DROP_ENVELOPE)
        st = LMAIL_ERR_ARG;
    if (!st)
        st = lmail_drop_write(d, LMAIL_STR("\n"));
    d->text = d->size;
    return st;
}

/* ---- The file -------------------------------------------------------------------------------- */

/* Time, process and a counter: the order of names is about that of their mails. */
static lmail_status make_file(lmail_drop *d)
{
    for (unsigned i = 0; i < TRIES; i++) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        unsigned long long stamp =
            (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000 + i;
        int n = snprintf(d->path, sizeof d->path, "%s/%015llX-%ld.new", d->directory, stamp,
                         (long)getpid());
        if (n < 0 || (size_t)n >= sizeof d->path - 1)
            return LMAIL_ERR_ARG;
        d->fd = open(d->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (d->fd >= 0)
            return LMAIL_OK;
        if (errno != EEXIST)
            break;
    }
    return lmi_file_errno();
}

lmail_status lmail_drop_begin(lmail_drop **out, const char *directory,
                              const lmail_drop_message *message)
{
    if (message->size > sizeof *message)
        return LMAIL_ERR_SIZE;
    if (!message->recipient_count || message->recipient_count > LMAIL_DROP_RECIPIENTS ||
        strlen(directory) >= LMAIL_DROP_PATH - 64)
        return LMAIL_ERR_ARG;
    lmail_drop *d = calloc(1, sizeof *d);
    if (!d)
        return LMAIL_ERR_NOMEM;
    d->fd = -1;
    snprintf(d->directory, sizeof d->directory, "%s", directory);
    lmail_status st = make_file(d);
    if (st)
        d->path[0] = '\0';
    else
        st = write_envelope(d, message);
    if (st) {
        lmail_drop_cancel(d);
        return st;
    }
    *out = d;
    return LMAIL_OK;
}

void lmail_drop_cancel(lmail_drop *d)
{
    if (!d)
        return;
    if (d->path[0])
        unlink(d->path);
    if (d->fd >= 0)
        close(d->fd);
    free(d);
}

lmail_status lmail_drop_sync(lmail_drop *d)
{
    char first[48];
    lmail_status st = lmi_file_flush(d->fd, &d->buffer);
    if (st)
        return st;
    write_first(d, d->size, first);
    size_t n = strlen(first);
    if (pwrite(d->fd, first, n, 0) != (ssize_t)n || fsync(d->fd) < 0)
        return lmi_file_errno();
    return LMAIL_OK;
}

/* The name too. Who may make names there may as a rule not open the directory; a second sync of the
 * file has the name behind it on file systems whose log is one. */
static lmail_status sync_name(const lmail_drop *d)
{
    int dir = open(d->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fsync(dir >= 0 ? dir : d->fd) < 0;
    lmail_status st = failed ? lmi_file_errno() : LMAIL_OK;
    if (dir >= 0)
        close(dir);
    return st;
}

lmail_status lmail_drop_end(lmail_drop *d)
{
    char whole[sizeof d->path];
    size_t n = strlen(d->path) - 4; /* without ".new" */
    lmail_status st = lmail_drop_sync(d);
    if (!st && fchmod(d->fd, 0644) < 0) /* whatever the umask: smtpd reads it */
        st = lmi_file_errno();
    memcpy(whole, d->path, n);
    memcpy(whole + n, ".mail", 6);
    /* No other has that name: it comes from one that was made with O_EXCL. */
    if (!st && rename(d->path, whole) < 0)
        st = lmi_file_errno();
    else if (!st)
        memcpy(d->path, whole, n + 6);
    if (!st)
        st = sync_name(d);
    if (!st)
        d->path[0] = '\0';
    lmail_drop_cancel(d);
    return st;
}
