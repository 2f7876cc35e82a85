/* store_maildir_spool.c - messages that come in: octets into a spool file, links to it.
 *
 * The spool file has no name (O_TMPFILE) until it is linked; where the file system cannot do that
 * it lies in a tmp directory. Octets are parsed on their way. What is done with whole messages:
 * store_maildir_delivery.c. */
#include "host/store/store_maildir_delivery.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

lmail_status lmi_md_errno(void)
{
    lmail_status st = lmi_file_errno();
    return st == LMAIL_ERR_DENIED ? LMAIL_ERR_IO : st;
}

lmail_status lmi_md_room(md_store *s, const char *path)
{
    return lmi_file_room(path, -1, s->reserve);
}

/* ---- The spool file -------------------------------------------------------------------------- */

static lmail_status spool_dir(const lmail_delivery *d, char out[MD_PATH])
{
    const md_store *s = d->store;
    if (s->spool_dir) {
        if (strlen(s->spool_dir) >= MD_PATH)
            return LMAIL_ERR_LIMIT;
        strcpy(out, s->spool_dir);
        return LMAIL_OK;
    }
    return d->hint ? lmi_md_path(d->hint, out, NULL, "tmp", lmi_str(NULL, 0)) : LMAIL_ERR_ARG;
}

static lmail_status open_spool(lmail_delivery *d, incoming *m)
{
    char dir[MD_PATH], base[128];
    lmail_status st = spool_dir(d, dir);
    if (!st)
        st = lmi_md_room(d->store, dir);
    if (st)
        return st;
    m->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, d->store->file_mode);
    if (m->fd >= 0)
        return LMAIL_OK;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
        return lmi_md_errno();
    lmi_md_base_new(d->store, 0, base);
    if ((size_t)snprintf(m->temporary, sizeof m->temporary, "%s/%s", dir, base) >=
        sizeof m->temporary)
        return LMAIL_ERR_LIMIT;
    m->fd =
        open(m->temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, d->store->file_mode);
    if (m->fd >= 0)
        return LMAIL_OK;
    m->temporary[0] = '\0';
    return lmi_md_errno();
}

static lmail_status sink(void *user, const char *octets, size_t n)
{
    lmail_delivery *d = user;
    return lmi_file_put(d->messages[d->count - 1].fd, d->buffer, octets, n);
}

static lmail_status delivery_begin(void *ctx, const lmail_delivery_args *args, lmail_delivery **out)
{
    if (args->size > sizeof *args)
        return LMAIL_ERR_SIZE;
    lmail_delivery *d = calloc(1, sizeof *d);
    if (!d || !(d->buffer = malloc(sizeof *d->buffer))) {
        free(d);
        return LMAIL_ERR_NOMEM;
    }
    d->store = ctx;
    d->hint = args->account ? args->account->account : NULL;
    d->atomic = args->atomic;
    *out = d;
    return LMAIL_OK;
}

static lmail_status delivery_message(lmail_delivery *d, const lmail_delivery_message *args)
{
    lmail_status st;
    incoming *list = lmi_delivery_next(args, d->writing, d->messages, d->count, sizeof *list, &st);
    if (!list)
        return st;
    d->messages = list;
    incoming *m = &list[d->count];
    *m = (incoming){.fd = -1, .args = *args};
    st = open_spool(d, m);
    if (st)
        return st;
    d->count++;
    d->writing = 1;
    d->buffer->used = 0;
    d->intake = (lmi_intake){
        .exact = args->exact, .sink = sink, .user = d, .parser = lmi_md_parser(d->store, 0)};
    return LMAIL_OK;
}

static lmail_status delivery_write(lmail_delivery *d, lmail_str octets)
{
    return d->writing ? lmi_intake_write(&d->intake, octets) : LMAIL_ERR_STATE;
}

static lmail_status delivery_end(lmail_delivery *d, uint64_t *octets)
{
    if (!d->writing)
        return LMAIL_ERR_STATE;
    incoming *m = &d->messages[d->count - 1];
    d->writing = 0;
    lmail_status st = lmi_file_flush(m->fd, d->buffer);
    const lmail_mime_summary *summary = lmi_intake_end(&d->intake);
    m->size = d->intake.octets;
    if (!st &&
        m->size > LMI_FILE_BUFFER) /* what a small one takes was there when its file was made */
        st = lmi_file_room(NULL, m->fd, d->store->reserve);
    if (summary && summary->size == m->size)
        m->summary = lmi_md_summary_keep(summary);
    if (d->intake.broken)
        lmail_mime_parser_free(d->intake.parser);
    else
        lmi_md_parser_rest(d->store, d->intake.parser);
    d->intake.parser = NULL;
    if (!st && m->args.has_date) {
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)m->args.date}};
        (void)futimens(m->fd, times);
    }
    m->ended = !st;
    if (octets)
        *octets = m->size;
    return st;
}

incoming *lmi_md_incoming(const lmail_delivery *d, size_t message)
{
    return message < d->count && d->messages[message].ended ? &d->messages[message] : NULL;
}

static lmail_status delivery_read(lmail_delivery *d, size_t message, uint64_t offset, char *buf,
                                  size_t cap, size_t *got)
{
    const incoming *m = lmi_md_incoming(d, message);
    *got = 0;
    return m ? lmi_file_read_at(m->fd, offset, buf, cap, got) : LMAIL_ERR_STATE;
}

/* ---- Links ----------------------------------------------------------------------------------- */

static lmail_status copy_octets(md_store *s, const char *from, int fd, const char *to,
                                const char *temporary)
{
    char piece[32768];
    int in = from ? open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : fd;
    if (in < 0)
        return lmi_md_errno();
    int out = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, s->file_mode);
    lmail_status st = out < 0 ? lmi_md_errno() : lmi_file_room(NULL, out, s->reserve);
    ssize_t n = 1;
    for (off_t at = 0; !st && n > 0; at += n > 0 ? n : 0) {
        n = pread(in, piece, sizeof piece, at);
        if (n < 0)
            st = LMAIL_ERR_IO;
        else
            st = lmi_file_write_all(out, piece, (size_t)n);
    }
    struct stat info;
    if (!st && fstat(in, &info) == 0) {
        struct timespec times[2] = {info.st_atim, info.st_mtim};
        (void)futimens(out, times);
    }
    if (!st && rename(temporary, to) < 0)
        st = lmi_md_errno();
    if (!st && !s->no_sync && fsync(out) < 0)
        st = LMAIL_ERR_IO;
    if (st && out >= 0)
        unlink(temporary);
    if (out >= 0)
        close(out);
    if (from)
        close(in);
    return st;
}

lmail_status lmi_md_link(md_store *s, const char *from, int fd, const char *to,
                         const char *temporary)
{
    char proc[40];
    int flags = 0;
    const char *source = from;
    if (!from) {
        snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
        source = proc;
        flags = AT_SYMLINK_FOLLOW;
    }
    if (linkat(AT_FDCWD, source, AT_FDCWD, to, flags) == 0)
        return LMAIL_OK;
    if (!from && errno == ENOENT) { /* no /proc, or all its links were taken back */
        if (linkat(fd, "", AT_FDCWD, to, AT_EMPTY_PATH) == 0)
            return LMAIL_OK;
        return temporary ? copy_octets(s, from, fd, to, temporary) : LMAIL_ERR_NOTFOUND;
    }
    if (!temporary || (errno != EXDEV && errno != EMLINK && errno != EPERM && errno != EOPNOTSUPP))
        return lmi_md_errno();
    return copy_octets(s, from, fd, to, temporary);
}

static lmail_status delivery_link(lmail_delivery *d, size_t message, const char *path, int sync)
{
    const incoming *m = lmi_md_incoming(d, message);
    if (!m)
        return LMAIL_ERR_STATE;
    lmail_status st =
        lmi_md_link(d->store, m->temporary[0] ? m->temporary : NULL, m->fd, path, NULL);
    if (st)
        return st == LMAIL_ERR_IO ? LMAIL_ERR_UNSUPPORTED : st; /* EPERM: fs.protected_hardlinks */
    return sync && !d->store->no_sync && fsync(m->fd) < 0 ? LMAIL_ERR_IO : LMAIL_OK;
}

static void delivery_free(lmail_delivery *d)
{
    if (!d)
        return;
    lmi_md_forget_jobs(d);
    for (size_t i = 0; i < d->count; i++) {
        incoming *m = &d->messages[i];
        if (m->fd >= 0)
            close(m->fd);
        if (m->temporary[0])
            unlink(m->temporary);
        free(m->summary);
    }
    lmail_mime_parser_free(d->intake.parser);
    free(d->messages);
    free(d->buffer);
    free(d);
}

void lmi_md_fill_delivery(lmail_store *table)
{
    table->delivery_begin = delivery_begin;
    table->delivery_message = delivery_message;
    table->delivery_write = delivery_write;
    table->delivery_end = delivery_end;
    table->delivery_read = delivery_read;
    table->delivery_link = delivery_link;
    table->delivery_commit = lmi_md_commit_delivery;
    table->delivery_undo = lmi_md_undo_delivery;
    table->delivery_free = delivery_free;
}
