/* queue_drop_read.c - drops as smtpd sees them: files of strangers, in a directory of its own.
 *
 * The format is in libmail/host/drop.h. Nothing is believed: a name may be a link, a fifo, a device;
 * a file may be short, endless or still be written to. Octets are read behind each other from one
 * descriptor, up to the length that the first line promised. */
#include "host/file/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libmail/host/drop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST 38u /* octets of the first line */

struct lmail_drop_file {
    int fd;
    uint64_t from, octets; /* where the message lies */
    char *text;            /* the envelope */
    lmail_str *recipients;
};

/* ---- Names ----------------------------------------------------------------------------------- */

static lmail_status path_of(const char *directory, const char *name,
                            char out[LMAIL_DROP_PATH + 256])
{
    int n = snprintf(out, LMAIL_DROP_PATH + 256, "%s/%s", directory, name);
    return n > 0 && n < LMAIL_DROP_PATH + 256 && !strchr(name, '/') ? LMAIL_OK : LMAIL_ERR_ARG;
}

lmail_status lmail_drop_remove(const char *directory, const char *name)
{
    char path[LMAIL_DROP_PATH + 256];
    lmail_status st = path_of(directory, name, path);
    return st ? st : unlink(path) < 0 ? lmi_file_errno() : LMAIL_OK;
}

lmail_status lmail_drop_put_aside(const char *directory, const char *name)
{
    char path[LMAIL_DROP_PATH + 256], bad[LMAIL_DROP_PATH + 264];
    struct stat there;
    lmail_status st = path_of(directory, name, path);
    size_t len = strlen(name);
    if (st || len < 5)
        return st ? st : LMAIL_ERR_ARG;
    snprintf(bad, sizeof bad, "%s/%.*s.bad", directory, (int)(len - 5), name);
    if (lstat(bad, &there) == 0) /* one of that name is there: both stay */
        snprintf(bad, sizeof bad, "%s/%.*s.%lx.bad", directory, (int)(len - 5), name,
                 (unsigned long)there.st_ino);
    return rename(path, bad) < 0 ? lmi_file_errno() : LMAIL_OK;
}

/* ---- The envelope ---------------------------------------------------------------------------- */

static int is_clean(lmail_str value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.ptr[i] < ' ' || value.ptr[i] == 127)
            return 0;
    return value.len <= LMAIL_DROP_LINE;
}

static lmail_status number_of(lmail_str value, unsigned most, unsigned *out)
{
    unsigned n = 0;
    if (!value.len || value.len > 4)
        return LMAIL_ERR_CORRUPT;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return LMAIL_ERR_CORRUPT;
        n = n * 10 + (unsigned)(value.ptr[i] - '0');
    }
    *out = n;
    return n > most ? LMAIL_ERR_CORRUPT : LMAIL_OK;
}

static lmail_status take_recipient(lmail_drop_file *f, lmail_drop_message *m, lmail_str value)
{
    size_t n = m->recipient_count;
    if (!value.len || n >= LMAIL_DROP_RECIPIENTS)
        return LMAIL_ERR_CORRUPT;
    if ((n & (n - 1)) == 0) { /* room for twice as many at 1, 2, 4 ... */
        lmail_str *more = realloc(f->recipients, (n ? 2 * n : 1) * sizeof *more);
        if (!more)
            return LMAIL_ERR_NOMEM;
        f->recipients = more;
    }
    f->recipients[n] = value;
    m->recipients = f->recipients;
    m->recipient_count = n + 1;
    return LMAIL_OK;
}

static lmail_status take_line(lmail_drop_file *f, lmail_drop_message *m, lmail_str line, int first)
{
    lmail_str value = {line.ptr + 1, line.len - 1};
    if (!is_clean(value) || first != (line.ptr[0] == 'S'))
        return LMAIL_ERR_CORRUPT;
    switch (line.ptr[0]) {
    case 'S':
        m->sender = value;
        return LMAIL_OK;
    case 'F':
        m->sender_given = 1;
        return value.len ? LMAIL_ERR_CORRUPT : LMAIL_OK;
    case 'N':
        return number_of(value, 15, &m->notify);
    case 'T':
        return number_of(value, 2, &m->ret);
    case 'E':
        m->has_envid = 1;
        m->envid = value;
        return LMAIL_OK;
    case 'R':
        return take_recipient(f, m, value);
    default:
        return LMAIL_ERR_CORRUPT;
    }
}

static lmail_status parse(lmail_drop_file *f, lmail_str text, lmail_drop_message *m)
{
    lmail_status st = LMAIL_OK;
    for (int first = 1; !st && text.len; first = 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t n = (size_t)(end - text.ptr); /* the text ends with LF */
        st = n ? take_line(f, m, (lmail_str){text.ptr, n}, first) : LMAIL_ERR_CORRUPT;
        text.ptr += n + 1;
        text.len -= n + 1;
    }
    return st ? st : m->recipient_count ? LMAIL_OK : LMAIL_ERR_CORRUPT;
}

/* ---- The file -------------------------------------------------------------------------------- */

static lmail_status check_first(const char *line, uint64_t size, unsigned *body)
{
    static const char word[] = "libmail-drop-1 ";
    uint64_t n = 0;
    if (memcmp(line, word, sizeof word - 1) != 0 || line[FIRST - 1] != '\n')
        return LMAIL_ERR_CORRUPT;
    for (size_t i = sizeof word - 1; i < FIRST - 3; i++) {
        if (line[i] < '0' || line[i] > '9' || n > UINT64_MAX / 10 - 1)
            return LMAIL_ERR_CORRUPT;
        n = n * 10 + (uint64_t)(line[i] - '0');
    }
    *body = (unsigned)(line[FIRST - 2] - '0');
    /* Not BINARYMIME: lines are lines here. */
    return n == size && *body <= 2 && line[FIRST - 3] == ' ' ? LMAIL_OK : LMAIL_ERR_CORRUPT;
}

/* The envelope, from the first line to the empty one, into memory; *len without the empty line. */
static lmail_status read_envelope(lmail_drop_file *f, uint64_t size, size_t *len)
{
    size_t have = 0, seen = 0, cap = 4096;
    for (;;) {
        char *more = realloc(f->text, cap);
        size_t got;
        if (!more)
            return LMAIL_ERR_NOMEM;
        f->text = more;
        lmail_status st = lmi_file_read_at(f->fd, have, f->text + have, cap - have, &got);
        if (st)
            return st;
        have += got;
        const char *end = memmem(f->text + seen, have - seen, "\n\n", 2);
        if (end) {
            *len = (size_t)(end - f->text) + 1;
            return LMAIL_OK;
        }
        seen = have ? have - 1 : 0;
        if (have < cap || have >= size || cap >= 2 * LMAIL_DROP_ENVELOPE)
            return LMAIL_ERR_CORRUPT;
        cap *= 2;
    }
}

/* Whose it is is known when it is a plain file with one name: a second one could be a stranger's way
 * to have another's file sent. */
static lmail_status look(const lmail_drop_file *f, uint64_t max, struct stat *st)
{
    if (fstat(f->fd, st) < 0)
        return lmi_file_errno();
    if (!S_ISREG(st->st_mode) || st->st_nlink != 1)
        return LMAIL_ERR_DENIED;
    if (st->st_size < (off_t)FIRST)
        return LMAIL_ERR_CORRUPT;
    if (max && max < UINT64_MAX - 2 * LMAIL_DROP_ENVELOPE &&
        (uint64_t)st->st_size > max + 2 * LMAIL_DROP_ENVELOPE)
        return LMAIL_ERR_LIMIT;
    return LMAIL_OK;
}

lmail_status lmail_drop_open(lmail_drop_file **out, const char *directory, const char *name,
                             uint64_t max, lmail_drop_facts *facts)
{
    char path[LMAIL_DROP_PATH + 256];
    struct stat there;
    size_t len = 0;
    lmail_drop_file *f = calloc(1, sizeof *f);
    if (!f)
        return LMAIL_ERR_NOMEM;
    f->fd = -1;
    memset(facts, 0, sizeof *facts);
    lmail_drop_message_init(&facts->message);
    lmail_status st = path_of(directory, name, path);
    if (!st) {
        f->fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (f->fd < 0)
            st = errno == ELOOP || errno == ENXIO ? LMAIL_ERR_DENIED : lmi_file_errno();
    }
    if (!st)
        st = look(f, max, &there);
    if (!st)
        st = read_envelope(f, (uint64_t)there.st_size, &len);
    if (!st)
        st = len < FIRST ? LMAIL_ERR_CORRUPT
                         : check_first(f->text, (uint64_t)there.st_size, &facts->message.body);
    if (!st)
        st = parse(f, (lmail_str){f->text + FIRST, len - FIRST}, &facts->message);
    if (!st) {
        f->from = len + 1;
        f->octets = (uint64_t)there.st_size - f->from;
        st = max && f->octets > max ? LMAIL_ERR_LIMIT : LMAIL_OK;
    }
    if (st) {
        lmail_drop_close(f);
        return st;
    }
    facts->uid = there.st_uid;
    facts->octets = f->octets;
    facts->arrived = (int64_t)there.st_mtim.tv_sec * 1000 + there.st_mtim.tv_nsec / 1000000;
    *out = f;
    return LMAIL_OK;
}

lmail_status lmail_drop_read(lmail_drop_file *f, uint64_t offset, char *buf, size_t cap,
                             size_t *got)
{
    uint64_t left = offset < f->octets ? f->octets - offset : 0;
    size_t want = left < cap ? (size_t)left : cap;
    lmail_status st = lmi_file_read_at(f->fd, f->from + offset, buf, want, got);
    return !st && *got < want ? LMAIL_ERR_IO : st; /* somebody has cut it off meanwhile */
}

void lmail_drop_close(lmail_drop_file *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    free(f->text);
    free(f->recipients);
    free(f);
}
