/* store_maildir_arrive.c - files that no row knows become messages.
 *
 * Another program delivered them, or the index is made anew. They get UIDs in the order of their
 * arrival, those that Dovecot's list gives when the mailbox is new to us; what they hold is read when
 * somebody asks (store_maildir_message.c). The last part of a scan. */
#include "host/store/store_maildir_scan.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GROWING 60 /* seconds in which a file that is too short may still be written */

/* A file of ours is linked whole, so one that is shorter than its name says lost its end to a cut of
 * the machine or the disk before anyone was told of it, or another program is copying it. It is no
 * message until it is whole; only after an unclean stop nobody can be writing it any more. 1: leave
 * it out. */
static int torn(md_scan *s, lmail_str base, const char *path, const struct stat *st)
{
    if (lmi_md_promised(base) <= st->st_size)
        return 0;
    if (s->box->row.suspicious)
        unlink(path);
    else if ((uint64_t)(time(NULL) - st->st_mtime) < GROWING)
        s->growing = 1;
    return 1;
}

static lmail_status add_file(md_scan *s, md_found *f)
{
    md_box *b = s->box;
    md_account *a = b->account;
    char path[MD_PATH];
    struct stat st;
    lmail_str name = lmi_str(s->names + f->name, f->len), base = lmi_md_found_base(s, f);
    lmail_status status = lmi_md_path(a, path, b->dir, f->place ? "cur" : "new", name);
    if (status)
        return status;
    /* It may have been renamed or unlinked since: the next scan takes it, if it is there. */
    if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return LMAIL_OK;
    if (torn(s, base, path, &st))
        return LMAIL_OK;
    lmail_uid uid = f->uid && f->uid >= b->row.uidnext ? 0 : f->uid;
    if (!uid) {
        if (b->row.uidnext >= b->row.uid_ceiling)
            return LMAIL_ERR_LIMIT;
        uid = b->row.uidnext++;
    }
    lmail_flags flags = lmi_md_flags_of(lmi_md_found_suffix(s, f), b->row.keyword_count);
    int64_t key = lmi_md_key(b->id, uid);
    int zone;
    lmi_wall_clock(a->store->env, &zone);
    status = lmi_md_run(a, MD_MESSAGE_ADD, "iititiiiiiiti", key, b->id, base, (int64_t)f->place,
                        lmi_md_found_suffix(s, f), (int64_t)flags, (int64_t)-1, (int64_t)0,
                        (int64_t)st.st_mtime, (int64_t)zone, (int64_t)st.st_ctime, lmi_str("", 0),
                        (int64_t)0);
    if (!status)
        status = lmi_md_run(a, MD_FLAG_ADD, "iii", key, (int64_t)s->modseq, (int64_t)flags);
    if (!status)
        status = lmail_snapshot_edit_put(s->edit, uid, flags, s->modseq);
    s->arrived = 1;
    return status;
}

/* ---- In the order of arrival ------------------------------------------------------------------- */

static unsigned long long seconds_of(lmail_str base)
{
    unsigned long long v = 0;
    for (size_t i = 0; i < base.len && base.ptr[i] >= '0' && base.ptr[i] <= '9' && i < 18; i++)
        v = v * 10 + (unsigned)(base.ptr[i] - '0');
    return v;
}

/* By UID where Dovecot gave one, else by the time in the name, else by the name. */
static int by_arrival(const void *x, const void *y, void *user)
{
    const md_scan *s = user;
    const md_found *f = *(md_found *const *)x, *g = *(md_found *const *)y;
    if (f->uid != g->uid)
        return !f->uid ? 1 : !g->uid ? -1 : f->uid < g->uid ? -1 : 1;
    lmail_str a = lmi_md_found_base(s, f), b = lmi_md_found_base(s, g);
    unsigned long long p = seconds_of(a), q = seconds_of(b);
    if (p != q)
        return p < q ? -1 : 1;
    size_t n = a.len < b.len ? a.len : b.len;
    int c = memcmp(a.ptr, b.ptr, n);
    return c ? c : a.len < b.len ? -1 : a.len > b.len;
}

lmail_status lmi_md_arrive(md_scan *s)
{
    lmail_status st = LMAIL_OK;
    size_t n = 0;
    md_found **list = malloc((s->count + 1) * sizeof *list);
    if (!list)
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < s->count; i++)
        if (!s->files[i].known)
            list[n++] = &s->files[i];
    qsort_r(list, n, sizeof *list, by_arrival, s);
    for (size_t i = 0; i < n && !st; i++)
        st = add_file(s, list[i]);
    free(list);
    return st;
}

/* ---- UIDs of another program ----------------------------------------------------------------- */

/* Dovecot's dovecot-uidlist: "uid [fields] :file name". Only when the mailbox is new to us. */
void lmi_md_import_uids(md_scan *s)
{
    char path[MD_PATH], *text;
    size_t len;
    lmail_str rest, line;
    if (lmi_md_path(s->box->account, path, s->box->dir, NULL, LMAIL_STR("dovecot-uidlist")) ||
        lmi_md_text_read(path, &text, &len))
        return;
    rest = lmi_str(text, len);
    lmail_uid last = 0;
    if (!lmi_md_text_line(&rest, &line))
        rest.len = 0;
    while (lmi_md_text_line(&rest, &line)) {
        const char *colon = memchr(line.ptr, ':', line.len);
        unsigned long long uid = seconds_of(line);
        lmail_str base, suffix;
        if (!colon || uid <= last || uid >= s->box->row.uidnext)
            continue;
        lmi_md_split(lmi_str(colon + 1, line.len - (size_t)(colon + 1 - line.ptr)), &base, &suffix);
        md_found *f = base.len ? lmi_md_found(s, base) : NULL;
        if (f && !f->uid)
            f->uid = last = (lmail_uid)uid;
    }
    free(text);
}
