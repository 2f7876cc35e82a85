/* store_maildir_delivery.c - messages that come in: spool file, links, one sync, rows.
 *
 * The order is the promise: octets into a spool file without a name; links into every Maildir; one
 * sync after the last link (on ext4 it covers data and links, elsewhere directories are synced too);
 * index rows; then the result. Rows that cannot be written never fail a delivery: the next scan makes
 * them. Threads that deliver to one account put their rows into one transaction. */
#include "host/store/store_maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BUFFER ((size_t)64 << 10)
#define EXT_MAGIC 0xEF53

typedef struct incoming {
    int fd;
    char temporary[MD_PATH / 8]; /* the spool file's name where it must have one */
    lmail_delivery_message args;
    uint64_t size;
    md_summary *summary;
    unsigned ended, linked;
} incoming;

/* One target's row, waiting in its account's queue. */
typedef struct md_job {
    struct md_job *next;
    md_box *box; /* a reference; NULL: no row can be made now */
    md_account *account;
    lmail_delivery_target *target;
    const incoming *message;
    char base[128], suffix[16], path[MD_PATH];
    size_t base_len, suffix_len;
    int place, linked, done;
    int64_t date;
    int zone;
    int64_t before[2], after[2];
} md_job;

struct lmail_delivery {
    md_store *store;
    md_account *hint;
    unsigned atomic, writing;
    incoming *messages;
    size_t count;
    lmi_intake intake;
    char *buffer;
    size_t buffered;
    md_job *jobs; /* of the last commit */
    size_t job_count;
};

static lmail_status errno_status(void)
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
        return LMAIL_ERR_EXISTS;
    default:
        return LMAIL_ERR_IO;
    }
}

lmail_status lmi_md_room(md_store *s, const char *path)
{
    struct statvfs v;
    if (s->reserve == 0 || statvfs(path, &v) < 0)
        return LMAIL_OK;
    return (uint64_t)v.f_bavail * v.f_frsize < s->reserve ? LMAIL_ERR_FULL : LMAIL_OK;
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
        return errno_status();
    lmi_md_base_new(d->store, 0, base);
    if ((size_t)snprintf(m->temporary, sizeof m->temporary, "%s/%s", dir, base) >=
        sizeof m->temporary)
        return LMAIL_ERR_LIMIT;
    m->fd =
        open(m->temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, d->store->file_mode);
    if (m->fd >= 0)
        return LMAIL_OK;
    m->temporary[0] = '\0';
    return errno_status();
}

static lmail_status write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return errno_status();
        p += done;
        n -= (size_t)done;
    }
    return LMAIL_OK;
}

static lmail_status flush(lmail_delivery *d)
{
    size_t n = d->buffered;
    d->buffered = 0;
    return write_all(d->messages[d->count - 1].fd, d->buffer, n);
}

static lmail_status sink(void *user, const char *octets, size_t n)
{
    lmail_delivery *d = user;
    lmail_status st = LMAIL_OK;
    if (d->buffered + n > BUFFER && (st = flush(d)))
        return st;
    if (n >= BUFFER / 2)
        return write_all(d->messages[d->count - 1].fd, octets, n);
    memcpy(d->buffer + d->buffered, octets, n);
    d->buffered += n;
    return LMAIL_OK;
}

static lmail_status delivery_begin(void *ctx, const lmail_delivery_args *args, lmail_delivery **out)
{
    if (args->size > sizeof *args)
        return LMAIL_ERR_SIZE;
    lmail_delivery *d = calloc(1, sizeof *d);
    if (!d || !(d->buffer = malloc(BUFFER))) {
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
    if (args->size > sizeof *args)
        return LMAIL_ERR_SIZE;
    if (d->writing)
        return LMAIL_ERR_STATE;
    incoming *list = realloc(d->messages, (d->count + 1) * sizeof *list);
    if (!list)
        return LMAIL_ERR_NOMEM;
    d->messages = list;
    incoming *m = &list[d->count];
    *m = (incoming){.fd = -1, .args = *args};
    lmail_status st = open_spool(d, m);
    if (st)
        return st;
    d->count++;
    d->writing = 1;
    d->buffered = 0;
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
    lmail_status st = flush(d);
    const lmail_mime_summary *summary = lmi_intake_end(&d->intake);
    m->size = d->intake.octets;
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

static incoming *ended(const lmail_delivery *d, size_t message)
{
    return message < d->count && d->messages[message].ended ? &d->messages[message] : NULL;
}

static lmail_status delivery_read(lmail_delivery *d, size_t message, uint64_t offset, char *buf,
                                  size_t cap, size_t *got)
{
    const incoming *m = ended(d, message);
    *got = 0;
    if (!m)
        return LMAIL_ERR_STATE;
    while (*got < cap) {
        ssize_t n = pread(m->fd, buf + *got, cap - *got, (off_t)(offset + *got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return LMAIL_ERR_IO;
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return LMAIL_OK;
}

/* ---- Links ----------------------------------------------------------------------------------- */

static lmail_status copy_octets(md_store *s, const char *from, int fd, const char *to,
                                const char *temporary)
{
    char piece[32768];
    int in = from ? open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : fd;
    if (in < 0)
        return errno_status();
    int out = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, s->file_mode);
    lmail_status st = out < 0 ? errno_status() : LMAIL_OK;
    ssize_t n = 1;
    for (off_t at = 0; !st && n > 0; at += n > 0 ? n : 0) {
        n = pread(in, piece, sizeof piece, at);
        if (n < 0)
            st = LMAIL_ERR_IO;
        else
            st = write_all(out, piece, (size_t)n);
    }
    struct stat info;
    if (!st && fstat(in, &info) == 0) {
        struct timespec times[2] = {info.st_atim, info.st_mtim};
        (void)futimens(out, times);
    }
    if (!st && rename(temporary, to) < 0)
        st = errno_status();
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
        return errno_status();
    return copy_octets(s, from, fd, to, temporary);
}

static lmail_status delivery_link(lmail_delivery *d, size_t message, const char *path, int sync)
{
    const incoming *m = ended(d, message);
    if (!m)
        return LMAIL_ERR_STATE;
    lmail_status st =
        lmi_md_link(d->store, m->temporary[0] ? m->temporary : NULL, m->fd, path, NULL);
    if (st)
        return st == LMAIL_ERR_IO ? LMAIL_ERR_UNSUPPORTED : st;
    return sync && !d->store->no_sync && fsync(m->fd) < 0 ? LMAIL_ERR_IO : LMAIL_OK;
}

/* ---- Commit: targets ------------------------------------------------------------------------- */

static lmail_status check_keywords(const md_box *b, const lmail_delivery_target *t)
{
    const lmail_keywords have = {b ? b->row.keywords : NULL, b ? b->row.keyword_count : 0};
    size_t missing = 0;
    for (size_t i = 0; i < t->keyword_count; i++) {
        if (!lmi_keyword_valid(t->keywords[i]))
            return LMAIL_ERR_ARG;
        missing += lmi_keyword_find(have, t->keywords[i]) == have.count;
    }
    return have.count + missing > LMAIL_MAX_KEYWORDS ? LMAIL_ERR_LIMIT : LMAIL_OK;
}

/* The directory of the target, and its box if the index can be had. */
static lmail_status find_box(md_job *j, lmail_str name, const char *dir)
{
    md_account *a = j->account;
    char path[MD_PATH];
    lmail_status st = lmi_md_enter(a);
    if (!st) {
        st = lmi_md_box_get(a, dir, &j->box);
        if (st == LMAIL_ERR_NOTFOUND && j->target->create) {
            st = lmi_md_create(a, name, LMAIL_USE_NONE);
            if (!st || st == LMAIL_ERR_EXISTS)
                st = lmi_md_box_get(a, dir, &j->box);
        }
        if (!st) {
            st = check_keywords(j->box, j->target);
            if (st) {
                lmi_md_box_unref(j->box);
                j->box = NULL;
            }
        }
        lmi_md_leave(a);
        if (!st || st == LMAIL_ERR_NOTFOUND || st == LMAIL_ERR_LIMIT || st == LMAIL_ERR_ARG)
            return st;
    }
    /* Without an index: is the Maildir there? A scan makes the row later. */
    if (lmi_md_path(a, path, dir, "cur", lmi_str(NULL, 0)) || access(path, F_OK) < 0)
        return st == LMAIL_ERR_NOTFOUND || errno == ENOENT ? LMAIL_ERR_NOTFOUND : st;
    return check_keywords(NULL, j->target);
}

static lmail_status link_target(lmail_delivery *d, md_job *j, const char *dir)
{
    char file[192], temporary[MD_PATH];
    md_account *a = j->account;
    incoming *m = &d->messages[j->target->message];
    lmail_flags flags = j->target->flags & LMAIL_FLAGS_SYSTEM;
    j->base_len = lmi_md_base_new(d->store, (int64_t)m->size, j->base);
    j->place = flags != 0;
    j->suffix_len = j->place ? lmi_md_suffix(flags, lmi_str("", 0), 0, j->suffix) : 0;
    int n = snprintf(file, sizeof file, "%.*s%.*s", (int)j->base_len, j->base, (int)j->suffix_len,
                     j->suffix);
    lmail_str name = lmi_str(file, (size_t)n);
    lmail_status st = lmi_md_path(a, j->path, dir, j->place ? "cur" : "new", name);
    if (!st)
        st = lmi_md_path(a, temporary, dir, "tmp", name);
    if (st)
        return st;
    pthread_mutex_lock(&a->link_lock);
    lmi_md_times(a, dir, j->before);
    st = lmi_md_link(d->store, m->temporary[0] ? m->temporary : NULL, m->fd, j->path, temporary);
    lmi_md_times(a, dir, j->after);
    pthread_mutex_unlock(&a->link_lock);
    if (!st)
        j->linked = 1, m->linked = 1;
    return st;
}

static lmail_status prepare(lmail_delivery *d, md_job *j)
{
    lmail_delivery_target *t = j->target;
    char name[LMI_NAME_MAX], dir[MD_NAME_OCTETS + 1];
    size_t len;
    const incoming *m = ended(d, t->message);
    if (!m)
        return LMAIL_ERR_STATE;
    j->account = t->account->account;
    j->message = m;
    j->date = lmi_wall_clock(d->store->env, &j->zone);
    if (m->args.has_date) {
        j->date = m->args.date;
        j->zone = m->args.date_zone;
    }
    lmail_status st = lmi_name_check(d->store->env, t->mailbox, name, &len);
    if (!st)
        st = lmi_md_dir_of(lmi_str(name, len), dir);
    if (!st)
        st = lmi_md_room(d->store, j->account->dir);
    if (!st)
        st = find_box(j, lmi_str(name, len), dir);
    return st ? st : link_target(d, j, dir);
}

/* ---- Commit: the sync ------------------------------------------------------------------------ */

static int sync_covers_links(int fd)
{
    struct statfs s;
    return fstatfs(fd, &s) == 0 && s.f_type == EXT_MAGIC;
}

static lmail_status sync_dirs(lmail_delivery *d, const incoming *m)
{
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < d->job_count && !st; i++) {
        char dir[MD_PATH];
        if (!d->jobs[i].linked || d->jobs[i].message != m)
            continue;
        strcpy(dir, d->jobs[i].path);
        *strrchr(dir, '/') = '\0';
        st = lmi_md_sync_dir(d->store, dir);
    }
    return st;
}

static lmail_status sync_messages(lmail_delivery *d)
{
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < d->count && !st && !d->store->no_sync; i++) {
        const incoming *m = &d->messages[i];
        if (!m->linked)
            continue;
        if (fsync(m->fd) < 0)
            st = errno_status();
        else if (!sync_covers_links(m->fd))
            st = sync_dirs(d, m);
    }
    return st;
}

/* ---- Commit: rows ---------------------------------------------------------------------------- */

static lmail_status add_row(md_job *j, lmail_uid uid, lmail_flags seen, int64_t now)
{
    const md_summary *s = j->message->summary;
    static const md_summary none = {0};
    int64_t size = s ? (int64_t)s->size : -1, done = s != NULL;
    if (!s)
        s = &none;
    return lmi_md_run(j->account, MD_MESSAGE_ADD, "iititiiiiiitibbbbb", lmi_md_key(j->box->id, uid),
                      j->box->id, lmi_str(j->base, j->base_len), (int64_t)j->place,
                      lmi_str(j->suffix, j->suffix_len), (int64_t)seen, size, (int64_t)0, j->date,
                      (int64_t)j->zone, now, lmi_str("", 0), done, s->envelope, s->bodystructure,
                      s->parts, s->preview, s->fields);
}

/* A scan came first and made the row: only the summary is missing. */
static lmail_status complete_row(md_job *j, int64_t key)
{
    const md_summary *s = j->message->summary;
    return !s ? LMAIL_OK
              : lmi_md_run(j->account, MD_MESSAGE_SUMMARY, "iiibbbbbi", (int64_t)s->size,
                           (int64_t)0, (int64_t)1, s->envelope, s->bodystructure, s->parts,
                           s->preview, s->fields, key);
}

static lmail_status insert_one(md_job *j, lmail_snapshot_edit *edit, lmail_modseq modseq,
                               int64_t now, int *changed)
{
    md_box *b = j->box;
    md_account *a = j->account;
    lmail_flags bits, seen = j->target->flags & LMAIL_FLAGS_SYSTEM;
    int64_t key;
    int made;
    lmail_status st = lmi_md_bits(b, j->target->flags, j->target->keywords,
                                  j->target->keyword_count, 1, &bits, &made);
    if (st)
        return st;
    st = lmi_md_int(a, MD_MESSAGE_BY_BASE, &key, "it", b->id, lmi_str(j->base, j->base_len));
    if (!st) {
        st = complete_row(j, key);
        *changed |= bits != seen;
    } else if (st == LMAIL_ERR_NOTFOUND) {
        key = lmi_md_key(b->id, b->row.uidnext++);
        st = add_row(j, (lmail_uid)key, seen, now);
        made = 1;
    }
    j->target->uid = (lmail_uid)key;
    if (!st && (made || bits != seen))
        st = lmi_md_run(a, MD_FLAG_ADD, "iii", key, (int64_t)modseq, (int64_t)bits);
    if (!st && bits != seen)
        st = lmi_md_run(a, MD_LATE_ADD, "iii", b->id, (int64_t)(lmail_uid)key,
                        (int64_t)(lmail_uid)key);
    if (!st && edit)
        st = lmail_snapshot_edit_put(edit, (lmail_uid)key, bits, modseq);
    lmi_md_step(&b->row, j->before, j->after);
    return st;
}

/* Rows of one mailbox, in one transaction. */
static lmail_status insert_rows(md_box *b, md_job *jobs, uint64_t count)
{
    lmail_snapshot_edit *edit = NULL;
    md_account *a = b->account;
    int zone, changed = 0;
    int64_t now = lmi_wall_clock(a->store->env, &zone);
    lmail_status st = lmi_md_begin(a, &b, &count, 1);
    if (st)
        return st;
    /* The snapshot goes along if somebody has it; else it is read when asked for. */
    if (b->snapshot && lmail_snapshot_facts(b->snapshot)->highest_modseq == b->row.modseq &&
        lmail_snapshot_facts(b->snapshot)->uidnext == b->row.uidnext)
        st = lmail_snapshot_edit_begin(b->snapshot, &edit);
    lmail_modseq modseq = b->row.modseq + 1;
    for (md_job *j = jobs; j && !st; j = j->next)
        st = insert_one(j, edit, modseq, now, &changed);
    b->row.modseq = modseq;
    if (changed)
        b->row.changed = modseq;
    if (!st)
        st = lmi_md_numbers(b);
    if (!st)
        st = lmi_md_commit(a);
    if (st) {
        lmi_md_rollback(a);
        lmail_snapshot_edit_abort(edit);
        (void)lmi_md_load(b);
        return st;
    }
    return edit ? lmi_md_publish(b, edit) : LMAIL_OK;
}

/* The account is entered: rows of all who wait, mailbox by mailbox. */
static void drain(md_account *a)
{
    pthread_mutex_lock(&a->queue_lock);
    md_job *list = a->jobs;
    a->jobs = NULL;
    a->jobs_end = &a->jobs;
    pthread_mutex_unlock(&a->queue_lock);
    while (list) {
        md_job *mine = NULL, **mine_end = &mine, *rest = NULL, **rest_end = &rest, *next;
        md_box *box = list->box;
        uint64_t count = 0;
        for (md_job *j = list; j; j = next) {
            next = j->next;
            j->next = NULL;
            if (j->box == box) {
                *mine_end = j;
                mine_end = &j->next;
                count++;
            } else {
                *rest_end = j;
                rest_end = &j->next;
            }
        }
        lmail_status st = insert_rows(box, mine, count);
        for (md_job *j = mine; j; j = next) {
            next = j->next;
            if (st)
                j->target->uid = 0;
            else
                j->target->uidvalidity = box->row.uidvalidity;
            j->done = 1;
        }
        list = rest;
    }
}

static void queue_job(md_job *j)
{
    md_account *a = j->account;
    j->next = NULL;
    pthread_mutex_lock(&a->queue_lock);
    *a->jobs_end = j;
    a->jobs_end = &j->next;
    pthread_mutex_unlock(&a->queue_lock);
}

/* A queue may hold other threads' jobs: whoever is in the account does them all. */
static void write_rows(lmail_delivery *d)
{
    for (size_t i = 0; i < d->job_count; i++) {
        if (d->jobs[i].linked && d->jobs[i].box)
            queue_job(&d->jobs[i]);
    }
    for (size_t i = 0; i < d->job_count; i++) {
        md_job *j = &d->jobs[i];
        md_account *a = j->account;
        if (!j->linked || !j->box)
            continue;
        int entered = !lmi_md_enter(a);
        if (!entered)
            pthread_mutex_lock(&a->lock);
        if (!j->done)
            drain(a);
        lmi_md_box_unref(j->box);
        j->box = NULL;
        if (entered)
            lmi_md_leave(a);
        else
            pthread_mutex_unlock(&a->lock);
    }
}

static void forget_jobs(lmail_delivery *d)
{
    for (size_t i = 0; i < d->job_count; i++) {
        md_job *j = &d->jobs[i];
        if (!j->box)
            continue;
        pthread_mutex_lock(&j->account->lock);
        lmi_md_box_unref(j->box);
        pthread_mutex_unlock(&j->account->lock);
    }
    free(d->jobs);
    d->jobs = NULL;
    d->job_count = 0;
}

static void unlink_all(lmail_delivery *d, lmail_status why)
{
    for (size_t i = 0; i < d->job_count; i++) {
        md_job *j = &d->jobs[i];
        if (!j->linked)
            continue;
        unlink(j->path);
        j->linked = 0;
        j->target->status = why;
    }
}

static lmail_status delivery_commit(lmail_delivery *d, lmail_delivery_target *targets, size_t count)
{
    lmail_status first = LMAIL_OK;
    if (d->writing)
        return LMAIL_ERR_STATE;
    forget_jobs(d);
    for (size_t i = 0; i < count; i++) {
        targets[i].status = LMAIL_ERR_STATE;
        targets[i].uid = targets[i].uidvalidity = 0;
    }
    d->jobs = calloc(count ? count : 1, sizeof *d->jobs);
    if (!d->jobs)
        return LMAIL_ERR_NOMEM;
    d->job_count = count;
    for (size_t i = 0; i < count; i++)
        d->jobs[i].target = &targets[i];
    for (size_t i = 0; i < count && !(first && d->atomic); i++) {
        targets[i].status = prepare(d, &d->jobs[i]);
        if (targets[i].status && !first)
            first = targets[i].status;
    }
    if (first && d->atomic) {
        unlink_all(d, LMAIL_ERR_STATE);
        return first;
    }
    lmail_status st = sync_messages(d);
    if (st) {
        unlink_all(d, st);
        return st;
    }
    write_rows(d);
    return first;
}

/* ---- Taking back ----------------------------------------------------------------------------- */

static lmail_status undo_one(md_job *j)
{
    md_account *a = j->account;
    md_box *b;
    int64_t key;
    lmail_uid_list vanished = {0};
    lmail_modseq modseq;
    lmail_status st = lmi_md_enter(a);
    if (!st) {
        st = lmi_md_box_by_name(a, j->target->mailbox, &b);
        if (!st) {
            st =
                lmi_md_int(a, MD_MESSAGE_BY_BASE, &key, "it", b->id, lmi_str(j->base, j->base_len));
            lmail_uid_range one = {(lmail_uid)key, (lmail_uid)key};
            if (!st)
                st = lmi_md_expunge(b, (lmail_uid_set){&one, 1}, LMAIL_EXPUNGE_ALL, &vanished,
                                    &modseq);
            lmi_md_box_unref(b);
        }
        lmi_md_leave(a);
    }
    lmail_uid_list_free(&vanished);
    if (unlink(j->path) < 0 && errno != ENOENT)
        return LMAIL_ERR_IO;
    return st == LMAIL_ERR_NOTFOUND ? LMAIL_OK : st;
}

static lmail_status delivery_undo(lmail_delivery *d, lmail_delivery_target *targets, size_t count)
{
    lmail_status first = LMAIL_OK;
    for (size_t i = 0; i < d->job_count; i++) {
        md_job *j = &d->jobs[i];
        if (!j->linked || j->target < targets || j->target >= targets + count || j->target->status)
            continue;
        lmail_status st = undo_one(j);
        if (st && !first)
            first = st;
        j->linked = 0;
        j->target->status = LMAIL_ERR_STATE;
        j->target->uid = 0;
    }
    return first;
}

static void delivery_free(lmail_delivery *d)
{
    if (!d)
        return;
    forget_jobs(d);
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
    table->delivery_commit = delivery_commit;
    table->delivery_undo = delivery_undo;
    table->delivery_free = delivery_free;
}
