/* store_maildir_folder.c - the Maildir store: mailboxes by name.
 *
 * A folder is a directory of the account; what exists on disk exists, whoever made it. Rows follow.
 * Order of every change: directories first, then the index; the next look takes in what a crash
 * left in between (a directory whose libmail-mailbox names a known id was renamed). */
#include "host/store/store_maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TREE_DEPTH 8

/* ---- Directories ----------------------------------------------------------------------------- */

static int make_dir(const char *path, mode_t mode)
{
    return mkdir(path, mode) == 0 || errno == EEXIST;
}

static int make_parents(const char *path, mode_t mode)
{
    char part[MD_PATH];
    size_t n = strlen(path);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i < n; i++) {
        if (part[i] != '/')
            continue;
        part[i] = '\0';
        if (!make_dir(part, mode))
            return 0;
        part[i] = '/';
    }
    return make_dir(path, mode);
}

lmail_status lmi_md_make_dirs(md_account *a, const char *path, int folder)
{
    static const char *const subs[3] = {"tmp", "new", "cur"}; /* cur last: then it is a Maildir */
    const md_store *s = a->store;
    mode_t mode = s->dir_mode | 0700;
    char sub[MD_PATH];
    if (!make_parents(path, mode))
        return lmi_md_errno();
    if (folder) {
        if ((size_t)snprintf(sub, sizeof sub, "%s/maildirfolder", path) >= sizeof sub)
            return LMAIL_ERR_LIMIT;
        int fd = open(sub, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, s->file_mode);
        if (fd < 0)
            return lmi_md_errno();
        close(fd);
    }
    for (unsigned i = 0; i < 3; i++) {
        if ((size_t)snprintf(sub, sizeof sub, "%s/%s", path, subs[i]) >= sizeof sub)
            return LMAIL_ERR_LIMIT;
        if (!make_dir(sub, mode))
            return lmi_md_errno();
    }
    return LMAIL_OK;
}

static void remove_at(int at, const char *name, int depth)
{
    if (unlinkat(at, name, 0) == 0 || (errno != EISDIR && errno != EPERM) || depth == TREE_DEPTH)
        return;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *e;
    while (d && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            remove_at(fd, e->d_name, depth + 1);
    }
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    unlinkat(at, name, AT_REMOVEDIR);
}

void lmi_md_remove_tree(const char *path)
{
    remove_at(AT_FDCWD, path, 0);
}

/* A place in the account's tmp/ that nobody has. */
static lmail_status spare_path(md_account *a, const char *what, char out[MD_PATH])
{
    char base[128], name[160];
    lmi_md_base_new(a->store, 0, base);
    snprintf(name, sizeof name, "%s.%s", what, base);
    return lmi_md_path(a, out, NULL, "tmp", lmail_str_from(name));
}

lmail_status lmi_md_sync_dir(md_store *s, const char *path)
{
    return s->no_sync ? LMAIL_OK : lmi_file_sync_dir(path);
}

/* ---- create ---------------------------------------------------------------------------------- */

static lmail_status place_dirs(md_account *a, const char *dir)
{
    char spare[MD_PATH], path[MD_PATH];
    lmail_status st = lmi_md_path(a, path, dir, NULL, lmi_str(NULL, 0));
    if (!st && access(path, F_OK) == 0)
        return LMAIL_ERR_EXISTS;
    if (!st)
        st = spare_path(a, "make", spare);
    if (!st)
        st = lmi_md_make_dirs(a, spare, 1);
    if (!st && rename(spare, path) < 0)
        st = lmi_md_errno();
    if (st)
        lmi_md_remove_tree(spare);
    return st;
}

lmail_status lmi_md_create(md_account *a, lmail_str name, lmail_special_use use)
{
    char dir[MD_NAME_OCTETS + 1], path[MD_PATH];
    lmail_status st = lmi_md_dir_of(name, dir);
    if (!st && !dir[0])
        return LMAIL_ERR_EXISTS;
    if (!st)
        st = lmi_md_path(a, path, dir, NULL, lmi_str(NULL, 0));
    if (!st)
        st = lmi_md_begin_plain(a, 1);
    if (st)
        return st;
    md_facts facts = {.special = use};
    int64_t old;
    st = place_dirs(a, dir);
    if (st) {
        lmi_md_rollback(a);
        return st;
    }
    /* a row whose directory another program took away */
    if (!lmi_md_int(a, MD_BOX_BY_DIR, &old, "t", lmail_str_from(dir)))
        st = lmi_md_drop_box(a, old);
    if (!st)
        st = lmi_md_add_box(a, dir, &facts, NULL);
    if (!st)
        st = lmi_md_sync_dir(a->store, a->dir);
    if (!st)
        st = lmi_md_commit(a);
    if (st) {
        lmi_md_rollback(a);
        lmi_md_remove_tree(path);
    }
    return st;
}

static lmail_status create(lmail_store_account *h, lmail_str name, lmail_special_use use)
{
    md_account *a = h->account;
    char text[LMI_NAME_MAX];
    size_t len;
    lmail_status st = lmi_name_check(a->store->env, name, text, &len);
    if (!st)
        st = lmi_md_enter(a);
    if (st)
        return st;
    st = lmi_md_create(a, lmi_str(text, len), use);
    lmi_md_leave(a);
    return st;
}

/* ---- remove ---------------------------------------------------------------------------------- */

static lmail_status remove_in(md_account *a, md_box *b, char spare[MD_PATH])
{
    char path[MD_PATH];
    lmail_status st = lmi_md_begin_plain(a, 0);
    if (!st)
        st = lmi_md_load(b);
    if (!st)
        st = lmi_md_path(a, path, b->dir, NULL, lmi_str(NULL, 0));
    if (!st)
        st = spare_path(a, "removed", spare);
    if (!st && rename(path, spare) < 0)
        st = lmi_md_errno();
    if (st) {
        lmi_md_rollback(a);
        spare[0] = '\0';
        return st;
    }
    st = lmi_md_drop_box(a, b->id);
    if (!st)
        st = lmi_md_commit(a);
    if (st) {
        lmi_md_rollback(a);
        (void)rename(spare, path);
        spare[0] = '\0';
    } else {
        b->dead = 1;
    }
    return st;
}

static lmail_status remove_mailbox(lmail_store_account *h, lmail_str name)
{
    md_account *a = h->account;
    char spare[MD_PATH] = "";
    md_box *b;
    lmail_status st = lmi_md_enter(a);
    if (st)
        return st;
    st = lmi_md_box_by_name(a, name, &b);
    if (!st) {
        st = b->dir[0] ? remove_in(a, b, spare) : LMAIL_ERR_DENIED;
        lmi_md_box_unref(b);
    }
    lmi_md_leave(a);
    if (spare[0])
        lmi_md_remove_tree(spare);
    return st == LMAIL_ERR_STALE ? LMAIL_ERR_NOTFOUND : st;
}

/* ---- rename ---------------------------------------------------------------------------------- */

typedef struct renames {
    char (*from)[MD_NAME_OCTETS + 1];
    char (*to)[MD_NAME_OCTETS + 1];
    size_t count, capacity, done;
} renames;

static lmail_status add_rename(renames *r, const char *from, const char *to)
{
    if (r->count == r->capacity) {
        size_t capacity = r->capacity ? r->capacity * 2 : 16;
        void *f = realloc(r->from, capacity * sizeof *r->from);
        if (f)
            r->from = f;
        void *t = f ? realloc(r->to, capacity * sizeof *r->to) : NULL;
        if (!t)
            return LMAIL_ERR_NOMEM;
        r->to = t;
        r->capacity = capacity;
    }
    strcpy(r->from[r->count], from);
    strcpy(r->to[r->count++], to);
    return LMAIL_OK;
}

/* The folder and all below it: ".A", ".A.B" ... */
static lmail_status list_renames(md_account *a, const char *from, const char *to, renames *r)
{
    size_t n = strlen(from), m = strlen(to);
    DIR *d = opendir(a->dir);
    struct dirent *e;
    lmail_status st = d ? LMAIL_OK : LMAIL_ERR_IO;
    while (!st && (errno = 0, e = readdir(d))) {
        char name[2 * MD_NAME_OCTETS + 2], path[MD_PATH];
        const char *tail = e->d_name + n;
        if (strncmp(e->d_name, from, n) != 0 || (*tail != '\0' && *tail != '.') ||
            (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN))
            continue;
        if (m + strlen(tail) > MD_NAME_OCTETS) {
            st = LMAIL_ERR_LIMIT;
            break;
        }
        memcpy(name, to, m);
        strcpy(name + m, tail);
        st = lmi_md_path(a, path, name, NULL, lmi_str(NULL, 0));
        if (!st && access(path, F_OK) == 0)
            st = LMAIL_ERR_EXISTS;
        if (!st)
            st = add_rename(r, e->d_name, name);
    }
    if (!st && errno)
        st = LMAIL_ERR_IO;
    if (d)
        closedir(d);
    return st ? st : r->count ? LMAIL_OK : LMAIL_ERR_NOTFOUND;
}

static lmail_status move_dir(md_account *a, const char *from, const char *to)
{
    char p[MD_PATH], q[MD_PATH];
    lmail_status st = lmi_md_path(a, p, from, NULL, lmi_str(NULL, 0));
    if (!st)
        st = lmi_md_path(a, q, to, NULL, lmi_str(NULL, 0));
    if (!st && renameat2(AT_FDCWD, p, AT_FDCWD, q, RENAME_NOREPLACE) < 0)
        st = lmi_md_errno();
    return st;
}

static lmail_status rename_rows(md_account *a, const renames *r)
{
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < r->count && !st; i++) {
        int64_t id, stale;
        if (!lmi_md_int(a, MD_BOX_BY_DIR, &stale, "t", lmail_str_from(r->to[i])))
            st = lmi_md_drop_box(a, stale);
        if (!st && !lmi_md_int(a, MD_BOX_BY_DIR, &id, "t", lmail_str_from(r->from[i])))
            st = lmi_md_run(a, MD_BOX_DIR, "ti", lmail_str_from(r->to[i]), id);
    }
    return st;
}

static lmail_status rename_dirs(md_account *a, const char *from, const char *to)
{
    renames r = {0};
    char path[MD_PATH];
    lmail_status st = lmi_md_path(a, path, to, NULL, lmi_str(NULL, 0));
    if (!st && access(path, F_OK) == 0)
        st = LMAIL_ERR_EXISTS;
    if (!st)
        st = lmi_md_begin_plain(a, 1);
    if (st)
        return st;
    st = list_renames(a, from, to, &r);
    for (; r.done < r.count && !st; r.done += !st)
        st = move_dir(a, r.from[r.done], r.to[r.done]);
    if (!st)
        st = rename_rows(a, &r);
    if (!st)
        st = lmi_md_sync_dir(a->store, a->dir);
    if (!st)
        st = lmi_md_commit(a);
    if (st) {
        lmi_md_rollback(a);
        while (r.done)
            r.done--, (void)move_dir(a, r.to[r.done], r.from[r.done]);
    }
    free(r.from);
    free(r.to);
    return st;
}

/* RFC 9051 §6.3.6: the messages go, INBOX stays. */
static lmail_status move_inbox(md_account *a, md_box *inbox, md_box *target)
{
    static const lmail_uid_range all = {1, UINT32_MAX};
    lmail_copy_result moved = {0};
    lmail_status st = lmi_md_scan(inbox, 0);
    if (!st)
        st = lmi_md_copy_rows(inbox, (lmail_uid_set){&all, 1}, target, 1, &moved);
    if (!st)
        (void)lmi_md_tidy(a, NULL, SIZE_MAX);
    lmail_copy_result_free(&moved);
    return st;
}

static lmail_status rename_inbox(md_account *a, lmail_str to)
{
    char spare[MD_PATH] = "";
    md_box *inbox, *target;
    lmail_status st = lmi_md_box_by_name(a, LMAIL_STR("INBOX"), &inbox);
    if (st)
        return st;
    st = lmi_md_create(a, to, LMAIL_USE_NONE);
    if (!st)
        st = lmi_md_box_by_name(a, to, &target);
    if (!st) {
        st = move_inbox(a, inbox, target);
        if (st && !remove_in(a, target, spare)) /* nothing came: it was never there */
            lmi_md_remove_tree(spare);
        lmi_md_box_unref(target);
    }
    lmi_md_box_unref(inbox);
    return st;
}

static lmail_status rename_mailbox(lmail_store_account *h, lmail_str from, lmail_str to)
{
    md_account *a = h->account;
    char f[LMI_NAME_MAX], t[LMI_NAME_MAX], fdir[MD_NAME_OCTETS + 1], tdir[MD_NAME_OCTETS + 1];
    size_t flen, tlen;
    if (lmi_name_check(a->store->env, from, f, &flen) || lmi_md_dir_of(lmi_str(f, flen), fdir))
        return LMAIL_ERR_NOTFOUND;
    lmail_status st = lmi_name_check(a->store->env, to, t, &tlen);
    if (!st)
        st = lmi_md_dir_of(lmi_str(t, tlen), tdir);
    if (!st && (!tdir[0] || strcmp(fdir, tdir) == 0))
        st = LMAIL_ERR_EXISTS;
    if (!st && fdir[0] && lmi_name_below(lmi_str(t, tlen), lmi_str(f, flen)))
        st = LMAIL_ERR_ARG;
    if (!st)
        st = lmi_md_enter(a);
    if (st)
        return st;
    st = fdir[0] ? rename_dirs(a, fdir, tdir) : rename_inbox(a, lmi_str(t, tlen));
    lmi_md_leave(a);
    return st;
}

void lmi_md_fill_folder(lmail_store *table)
{
    table->create = create;
    table->remove = remove_mailbox;
    table->rename = rename_mailbox;
}
