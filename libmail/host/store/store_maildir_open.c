/* store_maildir_open.c - open mailboxes: snapshots, flags by name, files, refresh, recent.
 *
 * A box's snapshot follows the index. What another process wrote is read again only as far as
 * needed: arrivals alone from the last UID on. */
#include "host/store/store_maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Snapshots ------------------------------------------------------------------------------- */

lmail_status lmi_md_publish(md_box *b, lmail_snapshot_edit *edit)
{
    const md_row *r = &b->row;
    lmail_mailbox_facts facts = {.uidvalidity = r->uidvalidity,
                                 .uidnext = r->uidnext,
                                 .highest_modseq = r->modseq,
                                 .keywords = {r->keywords, r->keyword_count},
                                 .mailbox_id = {r->objectid, r->objectid_len}};
    const lmail_snapshot *s;
    lmail_status st = lmail_snapshot_edit_end(edit, &facts, &s);
    if (st) { /* what we had is old now: read again when asked */
        lmail_snapshot_unref(b->snapshot);
        b->snapshot = NULL;
        return st;
    }
    lmail_snapshot_unref(b->snapshot);
    b->snapshot = s;
    return LMAIL_OK;
}

/* Walks the old rows along: those that the index passes over are gone. */
typedef struct old_rows {
    const lmail_snapshot *s;
    size_t leaf, row;
    lmail_snapshot_rows rows;
} old_rows;

static lmail_uid old_peek(old_rows *o)
{
    while (o->s && !lmail_snapshot_leaf(o->s, o->leaf, &o->rows)) {
        if (o->row < o->rows.count)
            return o->rows.uids[o->row];
        o->leaf++;
        o->row = 0;
    }
    return 0;
}

static lmail_status drop_old(old_rows *o, lmail_snapshot_edit *edit, uint64_t below)
{
    lmail_uid uid;
    while ((uid = old_peek(o)) != 0 && uid < below) {
        if (lmail_snapshot_edit_remove(edit, uid))
            return LMAIL_ERR_NOMEM;
        o->row++;
    }
    if (uid == below)
        o->row++;
    return LMAIL_OK;
}

static lmail_status read_flags(md_box *b, lmail_snapshot_edit *edit, lmail_uid from, old_rows *old)
{
    sqlite3_stmt *q;
    int code = SQLITE_DONE;
    lmail_status st = lmi_md_sql(b->account, MD_FLAGS, &q, "ii", lmi_md_key(b->id, from),
                                 lmi_md_key(b->id, UINT32_MAX));
    while (!st && (code = sqlite3_step(q)) == SQLITE_ROW) {
        lmail_uid uid = (lmail_uid)sqlite3_column_int64(q, 0);
        st = drop_old(old, edit, uid);
        if (!st)
            st = lmail_snapshot_edit_put(edit, uid, (lmail_flags)sqlite3_column_int64(q, 2),
                                         (lmail_modseq)sqlite3_column_int64(q, 1));
    }
    if (!st) {
        sqlite3_reset(q);
        st = lmi_md_db_status(b->account, code);
    }
    return st ? st : drop_old(old, edit, (uint64_t)UINT32_MAX + 1);
}

lmail_status lmi_md_sync(md_box *b)
{
    lmail_snapshot_edit *edit;
    old_rows old = {0};
    lmail_uid from = 0;
    if (b->snapshot) {
        const lmail_mailbox_facts *f = lmail_snapshot_facts(b->snapshot);
        if (f->highest_modseq == b->row.modseq && f->uidnext == b->row.uidnext &&
            f->keywords.count == b->row.keyword_count)
            return LMAIL_OK;
        if (b->row.changed <= f->highest_modseq)
            from = f->uidnext;
        else
            old.s = b->snapshot;
    }
    lmail_status st = lmail_snapshot_edit_begin(b->snapshot, &edit);
    if (st)
        return st;
    st = read_flags(b, edit, from, &old);
    if (st) {
        lmail_snapshot_edit_abort(edit);
        return st;
    }
    return lmi_md_publish(b, edit);
}

/* Row and snapshot of one moment. */
static lmail_status read_state(md_box *b)
{
    lmail_status st = lmi_md_run(b->account, MD_READ, "");
    if (st)
        return st;
    st = lmi_md_load(b);
    if (!st)
        st = lmi_md_sync(b);
    lmail_status end = lmi_md_run(b->account, MD_COMMIT, "");
    return st ? st : end;
}

/* ---- Flags by name --------------------------------------------------------------------------- */

static lmail_status add_words(md_box *b, const lmail_str *names, size_t count)
{
    size_t n = b->row.words_len;
    for (size_t i = 0; i < count; i++)
        n += names[i].len + 1;
    char *words = malloc(n + 1);
    if (!words)
        return LMAIL_ERR_NOMEM;
    n = b->row.words_len;
    memcpy(words, b->row.words, n);
    for (size_t i = 0; i < count; i++) {
        if (n)
            words[n++] = ' ';
        memcpy(words + n, names[i].ptr, names[i].len);
        n += names[i].len;
    }
    lmail_status st = lmi_md_words(&b->row, lmi_str(words, n));
    if (!st)
        st = lmi_md_run(b->account, MD_BOX_KEYWORDS, "ti", lmi_str(words, n), b->id);
    free(words);
    return st ? st : lmi_md_keywords_write(b);
}

lmail_status lmi_md_bits(md_box *b, lmail_flags flags, const lmail_str *keywords, size_t count,
                         int make, lmail_flags *out, int *made)
{
    lmail_str missing[LMAIL_MAX_KEYWORDS];
    size_t n = 0;
    *out = flags & LMAIL_FLAGS_SYSTEM;
    *made = 0;
    for (size_t i = 0; i < count; i++) {
        if (!lmi_keyword_valid(keywords[i]))
            return LMAIL_ERR_ARG;
        lmail_keywords have = {b->row.keywords, b->row.keyword_count}, new = {missing, n};
        if (lmi_keyword_find(have, keywords[i]) < have.count ||
            lmi_keyword_find(new, keywords[i]) < n || !make)
            continue;
        if (have.count + n == LMAIL_MAX_KEYWORDS)
            return LMAIL_ERR_LIMIT;
        missing[n++] = keywords[i];
    }
    if (n) {
        lmail_status st = add_words(b, missing, n);
        if (st)
            return st;
        *made = 1;
    }
    for (size_t i = 0; i < count; i++) {
        size_t k =
            lmi_keyword_find((lmail_keywords){b->row.keywords, b->row.keyword_count}, keywords[i]);
        if (k < b->row.keyword_count)
            *out |= (lmail_flags)1 << (LMAIL_FLAG_KEYWORD_SHIFT + k);
    }
    return LMAIL_OK;
}

/* ---- Files ----------------------------------------------------------------------------------- */

lmail_status lmi_md_file_row(md_box *b, lmail_uid uid, md_file_row *out)
{
    sqlite3_stmt *q;
    lmail_status st = lmi_md_sql(b->account, MD_MESSAGE_NAME, &q, "i", lmi_md_key(b->id, uid));
    if (st)
        return st;
    int code = sqlite3_step(q);
    if (code == SQLITE_ROW) {
        lmail_str base = lmi_db_text(q, 0), suffix = lmi_db_text(q, 2);
        if (base.len + suffix.len > MD_NAME_OCTETS)
            st = LMAIL_ERR_IO;
        else {
            memcpy(out->name, sqlite3_column_int(q, 1) ? "cur/" : "new/", 4);
            memcpy(out->name + 4, base.ptr, base.len);
            if (suffix.len)
                memcpy(out->name + 4 + base.len, suffix.ptr, suffix.len);
            out->base_len = base.len;
            out->name_len = 4 + base.len + suffix.len;
            out->name[out->name_len] = '\0';
            out->size = sqlite3_column_int64(q, 3);
            out->lf = (unsigned)sqlite3_column_int(q, 4);
            out->summary = (unsigned)sqlite3_column_int(q, 5);
            lmi_md_text_copy(out->emailid, sizeof out->emailid, &out->emailid_len,
                             lmi_db_text(q, 6));
            out->seen = (lmail_flags)sqlite3_column_int64(q, 7);
        }
    }
    sqlite3_reset(q);
    if (st)
        return st;
    st = lmi_md_db_status(b->account, code);
    return st ? st : code == SQLITE_ROW ? LMAIL_OK : LMAIL_ERR_NOTFOUND;
}

lmail_status lmi_md_open_file(md_box *b, lmail_uid uid, md_file_row *row, int *fd)
{
    char path[MD_PATH];
    for (int again = 0;; again++) {
        lmail_status st = lmi_md_file_row(b, uid, row);
        if (!st)
            st = lmi_md_path(b->account, path, b->dir, NULL, lmi_str(row->name, row->name_len));
        if (st)
            return st;
        *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (*fd >= 0)
            return LMAIL_OK;
        if (errno != ENOENT)
            return LMAIL_ERR_IO;
        if (again)
            return LMAIL_ERR_NOTFOUND;
        /* Renamed by another program, or the whole mailbox was. */
        st = lmi_md_load(b);
        if (!st)
            st = lmi_md_scan(b, 1);
        if (st)
            return st;
    }
}

/* ---- The table ------------------------------------------------------------------------------- */

static lmail_status mailbox_open(lmail_store_account *account, lmail_str name, unsigned flags,
                                 lmail_store_mailbox **out)
{
    md_account *a = account->account;
    lmail_store_mailbox *h = calloc(1, sizeof *h);
    if (!h)
        return LMAIL_ERR_NOMEM;
    h->account = a;
    h->flags = flags;
    h->fd = -1;
    lmail_status st = lmi_md_enter(a);
    if (st) {
        free(h);
        return st;
    }
    st = lmi_md_box_by_name(a, name, &h->box);
    if (!st) {
        int zone;
        int64_t now = lmi_wall_clock(a->store->env, &zone);
        h->generation = a->generation;
        st = lmi_md_scan(h->box, now - h->box->row.scanned > a->store->scan_seconds);
        if (!st)
            st = read_state(h->box);
        if (st)
            lmi_md_box_unref(h->box);
    }
    lmi_md_leave(a);
    if (st)
        free(h);
    else
        *out = h;
    return st == LMAIL_ERR_STALE ? LMAIL_ERR_NOTFOUND : st;
}

static void mailbox_close(lmail_store_mailbox *h)
{
    md_account *a = h->account;
    lmi_md_unwatch(h);
    lmi_md_read_rest(h);
    if (!lmi_md_enter(a)) {
        if (!h->box->dead)
            (void)lmi_md_tidy(a, h->box, SIZE_MAX);
        lmi_md_box_unref(h->box);
        lmi_md_leave(a);
    } else {
        pthread_mutex_lock(&a->lock);
        lmi_md_box_unref(h->box);
        pthread_mutex_unlock(&a->lock);
    }
    free(h);
}

/* \Recent is the first session's to see it: claimed in a transaction, so that two processes never
 * both get it (RFC 3501 §2.3.2). */
static lmail_status claim(lmail_store_mailbox *h, lmail_mailbox_view *out)
{
    md_box *b = h->box;
    md_account *a = h->account;
    lmail_uid from = h->told > b->row.recent ? h->told : b->row.recent;
    if ((h->flags & LMAIL_OPEN_NO_RECENT) || from + 1 >= b->row.uidnext)
        return LMAIL_OK;
    if (!(h->flags & LMAIL_OPEN_READ_ONLY)) {
        unsigned raise = a->raise;
        lmail_uid last = b->row.uidnext - 1;
        lmail_status st = lmi_md_begin_plain(a, 0);
        if (!st)
            st = lmi_md_load(b);
        if (!st)
            st = lmi_md_run(a, MD_BOX_RECENT, "iii", (int64_t)last, b->id, (int64_t)last);
        if (!st)
            st = lmi_md_commit(a);
        lmi_md_rollback(a);
        a->raise = raise;
        if (st == LMAIL_ERR_FULL || st == LMAIL_ERR_BUSY)
            return LMAIL_OK; /* reading must go on; another session claims them */
        if (st)
            return st;
        from = h->told > b->row.recent ? h->told : b->row.recent;
        b->row.recent = last;
        if (from >= last)
            return LMAIL_OK;
        h->told = last;
        out->recent_first = from + 1;
        out->recent_last = last;
        return LMAIL_OK;
    }
    out->recent_first = from + 1;
    out->recent_last = h->told = b->row.uidnext - 1;
    return LMAIL_OK;
}

static lmail_status refresh(lmail_store_mailbox *h, unsigned flags, lmail_mailbox_view *out)
{
    md_account *a = h->account;
    *out = (lmail_mailbox_view){0};
    if (flags & LMAIL_REFRESH_CACHED) {
        if (pthread_mutex_trylock(&a->lock))
            return LMAIL_PENDING;
        lmail_status st = h->box->dead ? LMAIL_ERR_STALE : LMAIL_PENDING;
        if (!h->box->dead && h->box->snapshot) {
            out->snapshot = lmail_snapshot_ref(h->box->snapshot);
            st = LMAIL_OK;
        }
        pthread_mutex_unlock(&a->lock);
        return st;
    }
    lmail_status st = lmi_md_enter(a);
    if (st)
        return st;
    st = lmi_md_load(h->box);
    if (!st)
        st = lmi_md_scan(h->box, (flags & LMAIL_REFRESH_SCAN) != 0);
    if (!st)
        st = read_state(h->box);
    if (!st)
        st = claim(h, out);
    if (!st)
        out->snapshot = lmail_snapshot_ref(h->box->snapshot);
    lmi_md_leave(a);
    return st;
}

static lmail_status vanished_since(lmail_store_mailbox *h, lmail_modseq since, lmail_uid_list *out)
{
    sqlite3_stmt *q;
    *out = (lmail_uid_list){0};
    lmail_status st = lmi_md_enter(h->account);
    if (st)
        return st;
    st = lmi_md_load(h->box);
    if (!st)
        st = lmi_md_sql(h->account, MD_VANISHED, &q, "ii", h->box->id,
                        (int64_t)(since > INT64_MAX ? INT64_MAX : since));
    if (!st) {
        int code;
        while ((code = sqlite3_step(q)) == SQLITE_ROW && !st)
            st = lmail_uid_list_add(out, (lmail_uid)sqlite3_column_int64(q, 0),
                                    (lmail_uid)sqlite3_column_int64(q, 1));
        sqlite3_reset(q);
        if (!st)
            st = lmi_md_db_status(h->account, code);
    }
    lmi_md_leave(h->account);
    return st;
}

void lmi_md_fill_open(lmail_store *table)
{
    table->mailbox_open = mailbox_open;
    table->mailbox_close = mailbox_close;
    table->refresh = refresh;
    table->vanished_since = vanished_since;
}
