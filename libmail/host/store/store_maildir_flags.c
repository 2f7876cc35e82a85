/* store_maildir_flags.c - flags, expunge, and the work that follows them.
 *
 * The index is the truth: STORE and EXPUNGE are done when it has committed. Names on disk follow
 * (table late), files are unlinked (table gone) by tidy: when the service is idle, and when a
 * mailbox is closed. A crash in between loses nothing, the tables are in the index. */
#include "host/store/store_maildir.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIDY_ROWS 1000

/* ---- set_flags ------------------------------------------------------------------------------- */

static lmail_status change_row(md_box *b, lmail_uid uid, lmail_flags flags, lmail_modseq modseq,
                               lmail_snapshot_edit *edit, lmail_uid_list *changed)
{
    lmail_status st = lmi_md_run(b->account, MD_FLAG_SET, "iii", (int64_t)modseq, (int64_t)flags,
                                 lmi_md_key(b->id, uid));
    if (!st)
        st = lmail_snapshot_edit_put(edit, uid, flags, modseq);
    return st ? st : lmail_uid_list_add(changed, uid, uid);
}

/* Ranges of UIDs whose names are to follow. */
static lmail_status note_late(md_box *b, lmail_uid_set uids)
{
    lmail_status st = LMAIL_OK;
    /* Ranges with small gaps become one: rows that have nothing to follow cost a look. */
    for (size_t i = 0; i < uids.count && !st;) {
        lmail_uid first = uids.ranges[i].first, last = uids.ranges[i].last;
        for (i++; i < uids.count && uids.ranges[i].first - last < 64; i++)
            last = uids.ranges[i].last;
        st = lmi_md_run(b->account, MD_LATE_ADD, "iii", b->id, (int64_t)first, (int64_t)last);
    }
    return st;
}

static lmail_status change_rows(md_box *b, const lmail_set_flags_args *args, lmail_flags bits,
                                lmail_snapshot_edit *edit, lmail_set_flags_result *out)
{
    lmail_modseq modseq = b->row.modseq + 1;
    lmail_snapshot_rows rows;
    lmail_status st = LMAIL_OK;
    size_t cursor = 0, leaf = 0, row = 0;
    if (args->uids.count)
        (void)lmail_snapshot_seek(b->snapshot, args->uids.ranges[0].first, &leaf, &row);
    for (; !st && cursor < args->uids.count && !lmail_snapshot_leaf(b->snapshot, leaf, &rows);
         leaf++, row = 0) {
        for (size_t i = row; i < rows.count && !st; i++) {
            if (!lmi_set_walk(args->uids, &cursor, rows.uids[i]))
                continue;
            lmail_flags flags = lmi_flags_apply(rows.flags[i], args->mode, bits);
            if (rows.modseqs[i] > args->unchanged_since)
                st = lmail_uid_list_add(&out->failed, rows.uids[i], rows.uids[i]);
            else if (flags != rows.flags[i])
                st = change_row(b, rows.uids[i], flags, modseq, edit, &out->changed);
        }
    }
    return st;
}

static lmail_status set_flags_in(md_box *b, const lmail_set_flags_args *args,
                                 lmail_set_flags_result *out)
{
    lmail_snapshot_edit *edit = NULL;
    lmail_flags bits;
    int made;
    uint64_t none = 0;
    lmail_status st = lmi_md_begin(b->account, &b, &none, 1);
    if (!st)
        st = lmi_md_sync(b);
    if (!st)
        st = lmi_md_bits(b, args->flags, args->keywords, args->keyword_count,
                         args->mode != LMAIL_STORE_REMOVE, &bits, &made);
    if (!st)
        st = lmail_snapshot_edit_begin(b->snapshot, &edit);
    if (!st)
        st = change_rows(b, args, bits, edit, out);
    if (!st && out->changed.count) {
        b->row.modseq = b->row.changed = out->modseq = b->row.modseq + 1;
        st = note_late(b, lmail_uid_list_set(&out->changed));
        if (!st)
            st = lmi_md_numbers(b);
    }
    if (!st && (out->changed.count || made))
        st = lmi_md_commit(b->account);
    if (st) {
        lmi_md_rollback(b->account);
        lmail_snapshot_edit_abort(edit);
        (void)lmi_md_load(b);
        return st;
    }
    lmi_md_rollback(b->account);
    return lmi_md_publish(b, edit);
}

static lmail_status set_flags(lmail_store_mailbox *h, const lmail_set_flags_args *args,
                              lmail_set_flags_result *out)
{
    *out = (lmail_set_flags_result){0};
    if (args->size > sizeof *args)
        return LMAIL_ERR_SIZE;
    if (h->flags & LMAIL_OPEN_READ_ONLY)
        return LMAIL_ERR_DENIED;
    lmail_status st = lmi_md_enter(h->account);
    if (st)
        return st;
    st = set_flags_in(h->box, args, out);
    lmi_md_leave(h->account);
    if (st)
        out->modseq = 0;
    return st;
}

/* ---- expunge --------------------------------------------------------------------------------- */

lmail_status lmi_md_drop_rows(md_box *b, lmail_uid_set uids, lmail_snapshot_edit *edit,
                              lmail_modseq modseq)
{
    md_account *a = b->account;
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < uids.count && !st; i++) {
        lmail_uid first = uids.ranges[i].first, last = uids.ranges[i].last;
        for (uint64_t uid = first; uid <= last && !st; uid++) {
            int64_t key = lmi_md_key(b->id, (lmail_uid)uid);
            st = lmi_md_run(a, MD_GONE_ADD, "i", key);
            if (!st)
                st = lmi_md_run(a, MD_MESSAGE_DROP, "i", key);
            if (!st)
                st = lmi_md_run(a, MD_TEXT_DROP, "i", key);
            if (!st)
                st = lmi_md_run(a, MD_FLAG_DROP, "i", key);
            if (!st)
                st = lmail_snapshot_edit_remove(edit, (lmail_uid)uid);
        }
        if (!st)
            st = lmi_md_run(a, MD_VANISHED_ADD, "iiii", b->id, (int64_t)modseq, (int64_t)first,
                            (int64_t)last);
    }
    return st;
}

static lmail_status choose(const md_box *b, lmail_uid_set uids, lmail_expunge_mode mode,
                           lmail_uid_list *out)
{
    lmail_snapshot_rows rows;
    lmail_status st = LMAIL_OK;
    size_t cursor = 0;
    for (size_t leaf = 0; !st && !lmail_snapshot_leaf(b->snapshot, leaf, &rows); leaf++) {
        for (size_t i = 0; i < rows.count && !st; i++) {
            if (lmi_set_walk(uids, &cursor, rows.uids[i]) &&
                (mode == LMAIL_EXPUNGE_ALL || (rows.flags[i] & LMAIL_FLAG_DELETED)))
                st = lmail_uid_list_add(out, rows.uids[i], rows.uids[i]);
        }
    }
    return st;
}

lmail_status lmi_md_expunge(md_box *b, lmail_uid_set uids, lmail_expunge_mode mode,
                            lmail_uid_list *vanished, lmail_modseq *modseq)
{
    lmail_snapshot_edit *edit = NULL;
    uint64_t none = 0;
    *modseq = 0;
    lmail_status st = lmi_md_begin(b->account, &b, &none, 1);
    if (!st)
        st = lmi_md_sync(b);
    if (!st)
        st = choose(b, uids, mode, vanished);
    if (st || vanished->count == 0) {
        lmi_md_rollback(b->account);
        return st;
    }
    lmail_modseq next = b->row.modseq + 1;
    st = lmail_snapshot_edit_begin(b->snapshot, &edit);
    if (!st)
        st = lmi_md_drop_rows(b, lmail_uid_list_set(vanished), edit, next);
    if (!st) {
        b->row.modseq = b->row.changed = next;
        st = lmi_md_numbers(b);
    }
    if (!st)
        st = lmi_md_commit(b->account);
    if (st) {
        lmi_md_rollback(b->account);
        lmail_snapshot_edit_abort(edit);
        lmail_uid_list_free(vanished);
        *vanished = (lmail_uid_list){0};
        (void)lmi_md_load(b);
        return st;
    }
    *modseq = next;
    return lmi_md_publish(b, edit);
}

static lmail_status expunge(lmail_store_mailbox *h, const lmail_uid_set *uids,
                            lmail_expunge_mode mode, lmail_uid_list *vanished, lmail_modseq *modseq)
{
    static const lmail_uid_range everything = {1, UINT32_MAX};
    lmail_modseq at = 0;
    *vanished = (lmail_uid_list){0};
    if (modseq)
        *modseq = 0;
    if (h->flags & LMAIL_OPEN_READ_ONLY)
        return LMAIL_ERR_DENIED;
    lmail_status st = lmi_md_enter(h->account);
    if (st)
        return st;
    st =
        lmi_md_expunge(h->box, uids ? *uids : (lmail_uid_set){&everything, 1}, mode, vanished, &at);
    lmi_md_leave(h->account);
    if (modseq)
        *modseq = at;
    return st;
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

/* Directory times around a batch of own steps in one box. */
typedef struct steps {
    md_box *box;
    int64_t before[2];
} steps;

static void steps_end(steps *s)
{
    int64_t after[2];
    if (!s->box)
        return;
    lmi_md_times(s->box->account, s->box->dir, after);
    lmi_md_step(&s->box->row, s->before, after);
    (void)lmi_md_numbers(s->box);
    lmi_md_box_unref(s->box);
    s->box = NULL;
}

static lmail_status steps_begin(steps *s, md_account *a, int64_t id)
{
    if (s->box && s->box->id == id)
        return LMAIL_OK;
    steps_end(s);
    lmail_status st = lmi_md_box_by_id(a, id, &s->box);
    if (!st)
        st = lmi_md_load(s->box);
    if (!st)
        lmi_md_times(a, s->box->dir, s->before);
    return st;
}

static lmail_status unlink_some(md_account *a, size_t *left)
{
    steps s = {0};
    waiting w = {0};
    lmail_status st = next_gone(a, 0, &w);
    if (st)
        return st == LMAIL_END ? LMAIL_OK : st;
    unsigned raise = a->raise;
    if ((st = lmi_md_begin_plain(a, 0)))
        return st;
    for (; *left && !(st = next_gone(a, w.id - 1, &w)); w.id++) {
        char path[MD_PATH];
        (*left)--;
        if (!steps_begin(&s, a, w.box) &&
            !lmi_md_path(a, path, s.box->dir, NULL, lmail_str_from(w.name)) && unlink(path) < 0) {
            if (errno != ENOENT)
                continue; /* it stays listed and is tried again */
            unlink_base(s.box, w.base);
        }
        if ((st = lmi_md_run(a, MD_GONE_DROP, "i", w.id)))
            break;
    }
    steps_end(&s);
    lmail_status end = st && st != LMAIL_END ? st : lmi_md_commit(a);
    lmi_md_rollback(a);
    a->raise = raise;
    return end ? end : st == LMAIL_END ? LMAIL_OK : LMAIL_MORE;
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
    steps s = {0};
    int64_t range[4];
    unsigned raise = a->raise;
    lmail_status st = next_range(a, only, range);
    if (st)
        return st == LMAIL_END ? LMAIL_OK : st;
    if ((st = lmi_md_begin_plain(a, 0)))
        return st;
    while (*left && !(st = next_range(a, only, range))) {
        st = steps_begin(&s, a, range[1]);
        if (st == LMAIL_ERR_NOTFOUND || st == LMAIL_ERR_STALE)
            st = lmi_md_run(a, MD_LATE_DROP, "i", range[0]);
        else if (!st)
            st = follow_range(a, s.box, range[0], (lmail_uid)range[2], (lmail_uid)range[3], left);
        if (st)
            break;
    }
    steps_end(&s);
    lmail_status end = st && st != LMAIL_END ? st : lmi_md_commit(a);
    lmi_md_rollback(a);
    a->raise = raise;
    return end ? end : st == LMAIL_END ? LMAIL_OK : LMAIL_MORE;
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

void lmi_md_fill_flags(lmail_store *table)
{
    table->set_flags = set_flags;
    table->expunge = expunge;
}
