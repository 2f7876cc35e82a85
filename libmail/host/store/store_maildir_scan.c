/* store_maildir_scan.c - taking in what other programs did to a Maildir.
 *
 * A scan reads new/ and cur/ and compares them with the rows. Beside a program that renames, one
 * reading of a directory misses files; so a message is gone only when a quiet reading agrees.
 * The directories' times tell when a scan is needed; steps of our own are followed
 * (store_maildir_step.c) so that they cause none. An index made anew is filled the same way. */
#include "host/store/store_maildir_scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TMP_AGE (36 * 3600)

/* ---- Rows against files ---------------------------------------------------------------------- */

static int exists(const md_box *b, int place, lmail_str base, lmail_str suffix)
{
    char path[MD_PATH], name[2 * MD_NAME_OCTETS];
    struct stat st;
    if (base.len + suffix.len >= sizeof name)
        return 0;
    memcpy(name, base.ptr, base.len);
    if (suffix.len)
        memcpy(name + base.len, suffix.ptr, suffix.len);
    return !lmi_md_path(b->account, path, b->dir, place ? "cur" : "new",
                        lmi_str(name, base.len + suffix.len)) &&
           lstat(path, &st) == 0;
}

/* What another program changed in the name goes into the flags; what we changed and have not
 * written to the name yet stays. */
static lmail_status compare(md_scan *s, sqlite3_stmt *q, md_found *f)
{
    md_box *b = s->box;
    md_account *a = b->account;
    int64_t key = sqlite3_column_int64(q, 0);
    lmail_str base = lmi_md_found_base(s, f), suffix = lmi_md_found_suffix(s, f),
              known = lmi_db_text(q, 3);
    int place = sqlite3_column_int(q, 2);
    if (place == f->place && lmail_str_equal(known, suffix))
        return LMAIL_OK;
    /* The listing may be older than the row: one of us renamed in between. */
    if (exists(b, place, base, known) || !exists(b, f->place, base, suffix))
        return LMAIL_OK;
    lmail_flags seen = (lmail_flags)sqlite3_column_int64(q, 4);
    lmail_flags flags = (lmail_flags)sqlite3_column_int64(q, 5);
    lmail_flags on_disk = lmi_md_flags_of(suffix, b->row.keyword_count);
    lmail_flags touched = on_disk ^ seen;
    lmail_flags merged = (flags & ~touched) | (on_disk & touched);
    lmail_status st =
        lmi_md_run(a, MD_MESSAGE_MOVED, "itii", (int64_t)f->place, suffix, (int64_t)on_disk, key);
    if (st || merged == flags)
        return st;
    s->changed = 1;
    st = lmi_md_run(a, MD_FLAG_SET, "iii", (int64_t)s->modseq, (int64_t)merged, key);
    return st ? st : lmail_snapshot_edit_put(s->edit, (lmail_uid)key, merged, s->modseq);
}

static lmail_status walk_rows(md_scan *s)
{
    md_box *b = s->box;
    sqlite3_stmt *q;
    int code = SQLITE_DONE;
    lmail_status st = lmi_md_sql(b->account, MD_SCAN, &q, "ii", lmi_md_key(b->id, 0),
                                 lmi_md_key(b->id, UINT32_MAX));
    while (!st && (code = sqlite3_step(q)) == SQLITE_ROW) {
        md_found *f = lmi_md_found(s, lmi_db_text(q, 1));
        lmail_uid uid = (lmail_uid)sqlite3_column_int64(q, 0);
        if (f) {
            f->known = 1;
            st = compare(s, q, f);
        } else {
            st = lmail_uid_list_add(&s->missing, uid, uid);
        }
    }
    sqlite3_reset(q);
    return st ? st : lmi_md_db_status(b->account, code);
}

/* What is missing in a quiet reading too is gone. While another program keeps renaming nothing is:
 * the next look decides. */
static lmail_status confirm_missing(md_scan *s)
{
    if (s->missing.count == 0)
        return LMAIL_OK;
    lmail_status st = lmi_md_found_read_quietly(s);
    s->unsure = st == LMAIL_ERR_BUSY;
    if (s->unsure)
        st = LMAIL_OK;
    for (size_t i = 0; i < s->missing.count && !st; i++) {
        for (uint64_t uid = s->missing.ranges[i].first; uid <= s->missing.ranges[i].last && !st;
             uid++) {
            md_file_row row;
            st = lmi_md_file_row(s->box, (lmail_uid)uid, &row);
            md_found *f = st ? NULL : lmi_md_found(s, lmi_str(row.name + 4, row.base_len));
            if (f)
                f->known = 1; /* missed at first; the next scan sees its name */
            else if (!st && !s->unsure)
                st = lmail_uid_list_add(&s->gone, (lmail_uid)uid, (lmail_uid)uid);
        }
    }
    if (st || s->gone.count == 0)
        return st;
    s->changed = 1;
    return lmi_md_drop_rows(s->box, lmail_uid_list_set(&s->gone), s->edit, s->modseq);
}

/* Files that wait to be unlinked are no messages. */
static lmail_status skip_gone(md_scan *s)
{
    sqlite3_stmt *q;
    int code = SQLITE_DONE;
    lmail_status st = lmi_md_sql(s->box->account, MD_GONE_ALL, &q, "i", s->box->id);
    if (st)
        return st;
    while ((code = sqlite3_step(q)) == SQLITE_ROW) {
        md_found *f = lmi_md_found(s, lmi_db_text(q, 0));
        if (f)
            f->known = 1;
    }
    sqlite3_reset(q);
    return lmi_md_db_status(s->box->account, code);
}

/* ---- One scan -------------------------------------------------------------------------------- */

/* Keywords that another program named since. */
static void adopt_keywords(md_box *b)
{
    char *words;
    size_t len;
    if (lmi_md_keywords_read(b->account, b->dir, &words, &len))
        return;
    if (len > b->row.words_len && memcmp(words, b->row.words, b->row.words_len) == 0 &&
        !lmi_md_run(b->account, MD_BOX_KEYWORDS, "ti", lmi_str(words, len), b->id))
        (void)lmi_md_load(b);
    free(words);
}

/* Rows as the files say, in the transaction that runs. */
static lmail_status compare_all(md_scan *s)
{
    lmail_status st = walk_rows(s);
    if (!st)
        st = confirm_missing(s);
    if (!st)
        st = skip_gone(s);
    return st ? st : lmi_md_arrive(s);
}

/* What is known of the directories now: their times, unless the reading proves nothing for them. */
static lmail_status note_scan(md_scan *s)
{
    md_box *b = s->box;
    md_row *r = &b->row;
    int zone, again = s->unsure || s->growing;
    int64_t now = lmi_wall_clock(b->account->store->env, &zone);
    if (s->changed || s->arrived)
        r->modseq = s->modseq;
    if (s->changed)
        r->changed = s->modseq;
    r->new_mtime = again || s->fresh[0] ? 0 : s->times[0];
    r->cur_mtime = again || s->fresh[1] ? 0 : s->times[1];
    lmail_status st = lmi_md_numbers(b);
    if (!st)
        st = lmi_md_run(b->account, MD_BOX_SCANNED, "ii", now, b->id);
    r->scanned = now;
    r->suspicious = 0;
    return st;
}

static lmail_status apply(md_scan *s)
{
    md_box *b = s->box;
    lmail_status st = lmi_md_sync(b);
    size_t words = b->row.words_len;
    adopt_keywords(b);
    if (!st)
        st = lmail_snapshot_edit_begin(b->snapshot, &s->edit);
    if (st)
        return st;
    s->modseq = b->row.modseq + 1;
    if (lmail_snapshot_facts(b->snapshot)->messages == 0)
        lmi_md_import_uids(s);
    st = compare_all(s);
    if (!st)
        st = note_scan(s);
    if (st)
        return st;
    unsigned raise = b->account->raise;
    st = lmi_md_commit(b->account);
    if (!s->changed && !s->arrived && words == b->row.words_len)
        b->account->raise = raise;
    if (st)
        return st;
    lmail_snapshot_edit *edit = s->edit;
    s->edit = NULL;
    return lmi_md_publish(b, edit);
}

/* Before the rows are compared once more. */
static void start_over(md_scan *s)
{
    s->changed = s->arrived = 0;
    for (size_t i = 0; i < s->count; i++)
        s->files[i].known = 0;
    lmail_uid_list_free(&s->missing);
    lmail_uid_list_free(&s->gone);
    s->missing = s->gone = (lmail_uid_list){0};
}

/* UIDs are reserved for as many files as there are more than messages; should that be too few, for
 * as if all were new. */
static lmail_status apply_in_transaction(md_scan *s)
{
    md_box *b = s->box;
    uint64_t uids = s->count;
    lmail_status st;
    if (b->snapshot && lmail_snapshot_facts(b->snapshot)->messages <= uids)
        uids -= lmail_snapshot_facts(b->snapshot)->messages;
    for (;;) {
        st = lmi_md_begin(b->account, &b, &uids, 1);
        if (!st)
            st = apply(s);
        lmi_md_rollback(b->account);
        lmail_snapshot_edit_abort(s->edit);
        s->edit = NULL;
        if (st != LMAIL_ERR_LIMIT || uids == s->count)
            break;
        uids = s->count;
        start_over(s);
    }
    if (st)
        (void)lmi_md_load(b); /* the row again as the index has it */
    return st;
}

/* What deliveries of programs that died left in tmp/ (the format says 36 hours). */
static void sweep_tmp(md_box *b)
{
    char path[MD_PATH];
    if (lmi_md_path(b->account, path, b->dir, "tmp", lmi_str(NULL, 0)))
        return;
    DIR *d = opendir(path);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        struct stat st;
        if (e->d_name[0] != '.' && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && time(NULL) - st.st_mtime > TMP_AGE &&
            time(NULL) - st.st_ctime > TMP_AGE)
            unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        closedir(d);
}

lmail_status lmi_md_scan(md_box *b, int force)
{
    md_scan s = {.box = b};
    lmi_md_times(b->account, b->dir, s.times);
    if (!force && !b->row.suspicious && s.times[0] == b->row.new_mtime &&
        s.times[1] == b->row.cur_mtime)
        return LMAIL_OK;
    s.fresh[0] = lmi_md_fresh(s.times[0]);
    s.fresh[1] = lmi_md_fresh(s.times[1]);
    lmail_status st = lmi_md_found_init(&s);
    if (!st) {
        atomic_fetch_add_explicit(&b->account->store->scans, 1, memory_order_relaxed);
        st = lmi_md_found_read(&s, 0);
    }
    if (!st)
        st = apply_in_transaction(&s);
    if (!st && force)
        sweep_tmp(b);
    lmail_uid_list_free(&s.missing);
    lmail_uid_list_free(&s.gone);
    lmi_md_found_done(&s);
    return st == LMAIL_ERR_FULL ? LMAIL_OK : st; /* reading goes on without what cannot be noted */
}
