/* store_maildir_tidy.c - the work that follows flags and expunges: names and files.
 *
 * Names on disk follow the flags (table late) and files are unlinked (table gone) when the service
 * is idle, and when a mailbox is closed. A crash in between loses nothing, the tables are in the
 * index. Nobody is told: nothing changes that shows. */
#include "host/store/store_maildir.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TIDY_ROWS 1000

/* ---- A batch, in one transaction ------------------------------------------------------------- */

typedef struct batch {
    md_account *account;
    md_steps steps;
    unsigned raise;
} batch;

static lmail_status batch_begin(batch *t, md_account *a)
{
    *t = (batch){.account = a, .raise = a->raise};
    return lmi_md_begin_plain(a, 0);
}

/* st: what ended it; END when nothing is left. Returns MORE when something is. */
static lmail_status batch_end(batch *t, lmail_status st)
{
    md_account *a = t->account;
    lmi_md_steps_end(&t->steps);
    lmail_status end = st && st != LMAIL_END && st != LMAIL_ERR_BUSY ? st : lmi_md_commit(a);
    lmi_md_rollback(a);
    a->raise = t->raise;
    return end ? end : st == LMAIL_END ? LMAIL_OK : LMAIL_MORE;
}

/* ---- Unlinking ------------------------------------------------------------------------------- */

typedef struct waiting {
    int64_t id, box;
    char base[MD_NAME_OCTETS + 1], name[2 * MD_NAME_OCTETS];
} waiting;

static lmail_status next_gone(md_account *a, int64_t after, waiting *w)
{
    sqlite3_stmt *q;
    lmail_status st = lmi_md_sql(a, MD_GONE_NEXT, &q, "i", after);
    if (st)
        return st;
    int code = sqlite3_step(q);
    if (code == SQLITE_ROW) {
        lmail_str base = lmi_db_text(q, 2), name = lmi_db_text(q, 3);
        w->id = sqlite3_column_int64(q, 0);
        w->box = sqlite3_column_int64(q, 1);
        snprintf(w->base, sizeof w->base, "%.*s", (int)base.len, base.ptr ? base.ptr : "");
        snprintf(w->name, sizeof w->name, "%.*s", (int)name.len, name.ptr ? name.ptr : "");
    }
    sqlite3_reset(q);
    st = lmi_md_db_status(a, code);
    return st ? st : code == SQLITE_ROW ? LMAIL_OK : LMAIL_END;
}

/* The name was another when it was noted: look for the base. */
static void unlink_base(md_box *b, const char *base)
{
    static const char *const subs[2] = {"new", "cur"};
    size_t n = strlen(base);
    for (unsigned i = 0; i < 2; i++) {
        char path[MD_PATH];
        if (lmi_md_path(b->account, path, b->dir, subs[i], lmi_str(NULL, 0)))
            return;
        DIR *d = opendir(path);
        struct dirent *e;
        while (d && (e = readdir(d))) {
            if (strncmp(e->d_name, base, n) == 0 && (e->d_name[n] == ':' || e->d_name[n] == '\0'))
                unlinkat(dirfd(d), e->d_name, 0);
        }
        if (d)
            closedir(d);
    }
}

/* Its file is gone: OK. ERR_BUSY: it is not, and is tried again another time. */
static lmail_status unlink_one(md_account *a, md_steps *s, const waiting *w)
{
    char path[MD_PATH];
    lmail_status st = lmi_md_steps_begin(s, a, w->box);
    if (!st)
        st = lmi_md_path(a, path, s->box->dir, NULL, lmail_str_from(w->name));
    if (st)
        return st == LMAIL_ERR_NOTFOUND || st == LMAIL_ERR_LIMIT ? LMAIL_OK : st;
    if (unlink(path) == 0)
        return LMAIL_OK;
    if (errno != ENOENT)
        return LMAIL_ERR_BUSY;
    unlink_base(s->box, w->base);
    return LMAIL_OK;
}

static lmail_status unlink_some(md_account *a, size_t *left)
{
    batch t;
    waiting w = {0};
    lmail_status st = next_gone(a, 0, &w);
    if (!st)
        st = batch_begin(&t, a);
    if (st)
        return st == LMAIL_END ? LMAIL_OK : st;
    for (w.id = 0; *left && !(st = next_gone(a, w.id, &w)); (*left)--) {
        st = unlink_one(a, &t.steps, &w);
        if (st == LMAIL_ERR_BUSY)
            continue;
        if (!st)
            st = lmi_md_run(a, MD_GONE_DROP, "i", w.id);
        if (st)
            break;
    }
    return batch_end(&t, st);
}

/* ---- Names that follow ----------------------------------------------------------------------- */

typedef struct rename_row {
    int64_t key;
    char from[2 * MD_NAME_OCTETS], base[MD_NAME_OCTETS + 1], suffix[64];
    size_t suffix_len;
    lmail_flags flags;
} rename_row;

/* The next row from `key` on whose name does not tell its flags. END: none up to last. */
static lmail_status next_late(md_box *b, int64_t *key, int64_t last, size_t *looked,
                              rename_row *out)
{
    sqlite3_stmt *q;
    int code = SQLITE_DONE, hit = 0;
    size_t words = b->row.keyword_count < MD_LETTERS ? b->row.keyword_count : MD_LETTERS;
    lmail_status st =
        lmi_md_sql(b->account, MD_LATE_ROWS, &q, "iii", *key, last, (int64_t)TIDY_ROWS);
    while (!st && !hit && (code = sqlite3_step(q)) == SQLITE_ROW) {
        lmail_flags flags = (lmail_flags)sqlite3_column_int64(q, 5) & MD_NAME_FLAGS;
        lmail_str base = lmi_db_text(q, 1), old = lmi_db_text(q, 3);
        *key = sqlite3_column_int64(q, 0) + 1;
        (*looked)++;
        hit = flags != (lmail_flags)sqlite3_column_int64(q, 4) &&
              base.len + old.len <= MD_NAME_OCTETS;
        if (!hit)
            continue;
        out->key = *key - 1;
        out->flags = flags;
        out->suffix_len = lmi_md_suffix(flags, old, words, out->suffix);
        out->suffix[out->suffix_len] = '\0';
        snprintf(out->base, sizeof out->base, "%.*s", (int)base.len, base.ptr);
        snprintf(out->from, sizeof out->from, "%s/%.*s%.*s",
                 sqlite3_column_int(q, 2) ? "cur" : "new", (int)base.len, base.ptr, (int)old.len,
                 old.ptr ? old.ptr : "");
    }
    if (!st) {
        sqlite3_reset(q);
        st = lmi_md_db_status(b->account, code);
    }
    return st ? st : hit ? LMAIL_OK : LMAIL_END;
}

static lmail_status rename_one(md_box *b, const rename_row *r)
{
    char from[MD_PATH], to[MD_PATH], name[2 * MD_NAME_OCTETS];
    int n = snprintf(name, sizeof name, "cur/%s%s", r->base, r->suffix);
    if (n - 4 > (int)MD_NAME_OCTETS ||
        lmi_md_path(b->account, from, b->dir, NULL, lmail_str_from(r->from)) ||
        lmi_md_path(b->account, to, b->dir, NULL, lmail_str_from(name)))
        return LMAIL_OK;
    if (rename(from, to) < 0) {
        b->row.cur_mtime = b->row.new_mtime = 0; /* another program was there: look */
        return LMAIL_OK;
    }
    return lmi_md_run(b->account, MD_MESSAGE_MOVED, "itii", (int64_t)1,
                      lmi_str(r->suffix, r->suffix_len), (int64_t)r->flags, r->key);
}

/* Within a transaction: one range of table late, as far as *left allows. */
static lmail_status follow_range(md_account *a, md_box *b, int64_t id, lmail_uid first,
                                 lmail_uid last, size_t *left)
{
    int64_t key = lmi_md_key(b->id, first), end = lmi_md_key(b->id, last);
    while (*left) {
        rename_row r;
        size_t looked = 0;
        lmail_status st = next_late(b, &key, end, &looked, &r);
        if (st == LMAIL_END && looked < TIDY_ROWS)
            return lmi_md_run(a, MD_LATE_DROP, "i", id);
        if (!st) {
            st = rename_one(b, &r);
            (*left)--;
        }
        if (st && st != LMAIL_END)
            return st;
    }
    return lmi_md_run(a, MD_LATE_SET, "ii", (int64_t)(lmail_uid)key, id);
}

static lmail_status next_range(md_account *a, const md_box *only, int64_t out[4])
{
    sqlite3_stmt *q;
    lmail_status st =
        only ? lmi_md_sql(a, MD_LATE_BOX, &q, "i", only->id) : lmi_md_sql(a, MD_LATE_NEXT, &q, "");
    if (st)
        return st;
    int code = sqlite3_step(q);
    for (int i = 0; i < 4 && code == SQLITE_ROW; i++)
        out[i] = sqlite3_column_int64(q, i);
    sqlite3_reset(q);
    st = lmi_md_db_status(a, code);
    return st ? st : code == SQLITE_ROW ? LMAIL_OK : LMAIL_END;
}

static lmail_status follow_some(md_account *a, const md_box *only, size_t *left)
{
    batch t;
    int64_t range[4];
    lmail_status st = next_range(a, only, range);
    if (!st)
        st = batch_begin(&t, a);
    if (st)
        return st == LMAIL_END ? LMAIL_OK : st;
    while (*left && !(st = next_range(a, only, range))) {
        st = lmi_md_steps_begin(&t.steps, a, range[1]);
        if (st == LMAIL_ERR_NOTFOUND)
            st = lmi_md_run(a, MD_LATE_DROP, "i", range[0]);
        else if (!st)
            st = follow_range(a, t.steps.box, range[0], (lmail_uid)range[2], (lmail_uid)range[3],
                              left);
        if (st)
            break;
    }
    return batch_end(&t, st);
}

lmail_status lmi_md_tidy(md_account *a, md_box *only, size_t max)
{
    size_t left = max;
    lmail_status st = follow_some(a, only, &left);
    if (st && st != LMAIL_MORE)
        return st;
    lmail_status more = left ? unlink_some(a, &left) : LMAIL_MORE;
    return more ? more : st;
}
