/* store_maildir_read.c - octets of messages.
 *
 * Octets come from the file; a file with bare LF line ends is served as CRLF. The handle keeps the
 * last message open. Who reads one message after the other gets the names of the next ones with the
 * first of them: then opening needs no index, and what the kernel's caches hold is read without
 * waiting, which is what LMAIL_READ_NOWAIT asks for. A name that no longer fits (renamed meanwhile)
 * is looked up again, by a worker. */
#include "host/store/store_maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECE ((size_t)256 << 10)
#define AHEAD 256u       /* names of one look into the index */
#define NEIGHBOURS 1024u /* UIDs apart that still count as one after the other */

/* ---- Names of the messages to come ------------------------------------------------------------ */

typedef struct name_row {
    lmail_uid uid;
    uint32_t name; /* offset in text, terminated there */
    uint64_t size;
} name_row;

/* Rising UIDs; what has no size yet or is kept with LF is left out. */
struct md_names {
    int dir; /* of the mailbox, for openat */
    uint32_t count, at;
    size_t text_len;
    name_row rows[AHEAD];
    char text[AHEAD * 64];
};

static void forget_names(lmail_store_mailbox *h)
{
    if (!h->names)
        return;
    close(h->names->dir);
    free(h->names);
    h->names = NULL;
}

static void add_name(struct md_names *n, sqlite3_stmt *q)
{
    lmail_str base = lmi_db_text(q, 1), suffix = lmi_db_text(q, 3);
    size_t len = 4 + base.len + suffix.len + 1;
    if (sizeof n->text - n->text_len < len)
        return;
    char *to = n->text + n->text_len;
    memcpy(to, sqlite3_column_int(q, 2) ? "cur/" : "new/", 4);
    memcpy(to + 4, base.ptr, base.len);
    if (suffix.len)
        memcpy(to + 4 + base.len, suffix.ptr, suffix.len);
    to[len - 1] = '\0';
    n->rows[n->count++] = (name_row){(lmail_uid)sqlite3_column_int64(q, 0), (uint32_t)n->text_len,
                                     (uint64_t)sqlite3_column_int64(q, 4)};
    n->text_len += len;
}

/* Names from this UID on; without them everything works too, only slower. The account is entered. */
static void look_ahead(lmail_store_mailbox *h, lmail_uid uid)
{
    sqlite3_stmt *q;
    char path[MD_PATH];
    forget_names(h);
    if (lmi_md_path(h->account, path, h->box->dir, NULL, lmi_str(NULL, 0)) ||
        lmi_md_sql(h->account, MD_MESSAGE_NAMES, &q, "iii", lmi_md_key(h->box->id, uid),
                   lmi_md_key(h->box->id, UINT32_MAX), (int64_t)AHEAD))
        return;
    struct md_names *n = malloc(sizeof *n);
    if (n) {
        n->count = n->at = 0;
        n->text_len = 0;
        n->dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        while (n->count < AHEAD && sqlite3_step(q) == SQLITE_ROW)
            add_name(n, q);
        h->names = n;
        if (n->dir < 0 || n->count == 0)
            forget_names(h);
    }
    sqlite3_reset(q);
}

static const name_row *find_name(struct md_names *n, lmail_uid uid)
{
    if (n->at >= n->count || n->rows[n->at].uid > uid)
        n->at = 0;
    while (n->at < n->count && n->rows[n->at].uid < uid)
        n->at++;
    return n->at < n->count && n->rows[n->at].uid == uid ? &n->rows[n->at] : NULL;
}

/* ---- Opening ---------------------------------------------------------------------------------- */

static void forget_file(lmail_store_mailbox *h)
{
    if (h->fd >= 0)
        close(h->fd);
    h->fd = -1;
}

void lmi_md_read_rest(lmail_store_mailbox *h)
{
    forget_file(h);
    forget_names(h);
    h->uid = 0;
}

static void take_file(lmail_store_mailbox *h, int fd, lmail_uid uid, uint64_t size, unsigned lf)
{
    forget_file(h);
    h->fd = fd;
    h->uid = uid;
    h->lf = lf;
    h->size = size;
    h->lf_raw = h->lf_crlf = 0;
}

/* By a name known already. resolve RESOLVE_CACHED: only if no directory must be read from a disk. */
static int open_named(lmail_store_mailbox *h, lmail_uid uid, uint64_t resolve)
{
    const name_row *row = h->names ? find_name(h->names, uid) : NULL;
    if (!row)
        return 0;
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW, .resolve = resolve};
    long fd = syscall(SYS_openat2, h->names->dir, h->names->text + row->name, &how, sizeof how);
    if (fd < 0)
        return 0;
    take_file(h, (int)fd, uid, row->size, 0);
    return 1;
}

static lmail_status open_message(lmail_store_mailbox *h, lmail_uid uid)
{
    md_file_row row;
    struct stat s;
    int fd = -1, follows = uid > h->uid && uid - h->uid <= NEIGHBOURS && h->uid != 0;
    lmail_status st = lmi_md_enter(h->account);
    if (st)
        return st;
    st = lmi_md_load(h->box);
    if (!st)
        st = lmi_md_open_file(h->box, uid, &row, &fd);
    if (!st && follows)
        look_ahead(h, uid + (uid != UINT32_MAX));
    lmi_md_leave(h->account);
    if (st)
        return st;
    unsigned lf = row.lf;
    if (!row.summary) {
        char head[4096];
        ssize_t n = pread(fd, head, sizeof head, 0);
        lf = n > 0 && lmi_md_is_lf(lmi_str(head, (size_t)n));
    }
    if (fstat(fd, &s) < 0) {
        close(fd);
        return LMAIL_ERR_IO;
    }
    take_file(h, fd, uid, (uint64_t)s.st_size, lf);
    return LMAIL_OK;
}

/* ---- Reading ---------------------------------------------------------------------------------- */

/* From bare LF to CRLF: goes on where the last read ended, or begins again. The place is kept only
 * between a raw octet and the next, never between an added CR and its LF. */
static lmail_status read_lf(lmail_store_mailbox *h, uint64_t offset, char *buf, size_t cap,
                            size_t *got)
{
    char raw[16384];
    if (h->lf_crlf > offset)
        h->lf_raw = h->lf_crlf = 0;
    uint64_t at = h->lf_raw, made = h->lf_crlf;
    char last = '\n';
    *got = 0;
    if (at > 0 && pread(h->fd, &last, 1, (off_t)at - 1) != 1)
        return LMAIL_ERR_IO;
    while (*got < cap) {
        size_t n;
        lmail_status st = lmi_file_read_at(h->fd, at, raw, sizeof raw, &n);
        if (st)
            return st;
        if (n == 0)
            break;
        for (size_t i = 0; i < n && *got < cap; i++) {
            if (raw[i] == '\n' && last != '\r') {
                if (made++ >= offset)
                    buf[(*got)++] = '\r';
                if (*got == cap) { /* its LF is the next read's: come back to this octet */
                    h->lf_raw = at + i;
                    h->lf_crlf = made - 1;
                    return LMAIL_OK;
                }
            }
            if (made++ >= offset)
                buf[(*got)++] = raw[i];
            last = raw[i];
            h->lf_raw = at + i + 1;
            h->lf_crlf = made;
        }
        at += n;
    }
    return LMAIL_OK;
}

static lmail_status read_now(lmail_store_mailbox *h, uint64_t offset, char *buf, size_t cap,
                             size_t *got)
{
    if (h->lf)
        return LMAIL_PENDING;
    struct iovec v = {buf, cap};
    ssize_t n = offset >= h->size ? 0 : preadv2(h->fd, &v, 1, (off_t)offset, RWF_NOWAIT);
    if (n < 0)
        return LMAIL_PENDING;
    *got = (size_t)n;
    return n == 0 && offset < h->size ? LMAIL_PENDING : LMAIL_OK;
}

static lmail_status read_message(lmail_store_mailbox *h, lmail_uid uid, uint64_t offset, char *buf,
                                 size_t cap, unsigned flags, size_t *got)
{
    *got = 0;
    if (uid == 0)
        return LMAIL_ERR_NOTFOUND;
    if (flags & LMAIL_READ_NOWAIT)
        return (h->fd >= 0 && h->uid == uid) || open_named(h, uid, RESOLVE_CACHED)
                   ? read_now(h, offset, buf, cap, got)
                   : LMAIL_PENDING;
    if (h->fd < 0 || h->uid != uid) {
        lmail_status st = open_named(h, uid, 0) ? LMAIL_OK : open_message(h, uid);
        if (st)
            return st;
        if (h->size > PIECE)
            (void)posix_fadvise(h->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    return h->lf ? read_lf(h, offset, buf, cap, got)
                 : lmi_file_read_at(h->fd, offset, buf, cap, got);
}

static void rest(lmail_store_mailbox *h)
{
    lmi_md_read_rest(h);
    lmi_md_account_rest(h->account);
}

void lmi_md_fill_read(lmail_store *table)
{
    table->read = read_message;
    table->rest = rest;
}
