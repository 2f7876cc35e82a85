/* store_maildir_copy.c - COPY and MOVE: links, one sync, rows.
 *
 * The target's index is locked from before the first link until its rows are there, so that no scan
 * of another process takes the new files in first. Files are immutable, so a copy is a link; across
 * file systems, or with too many links, octets. Within one account a move is one transaction. */
#include "host/store/store_maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct copying {
    md_box *from, *to;
    lmail_copy_result *out;
    lmail_snapshot_edit *edit;
    lmail_modseq modseq;
    char (*made)[MD_NAME_OCTETS + 8]; /* "cur/..." of each link, to take back */
    size_t made_count;
    int in_new, in_cur, keywords;
} copying;

/* Flags as bits of the target; keywords go by their names. */
static lmail_status translate(copying *c, lmail_flags flags, lmail_flags *out)
{
    const lmail_keywords words = lmail_snapshot_facts(c->from->snapshot)->keywords;
    lmail_str names[LMAIL_MAX_KEYWORDS];
    size_t n = 0;
    int made;
    for (size_t k = 0; k < words.count; k++) {
        if (flags >> (LMAIL_FLAG_KEYWORD_SHIFT + k) & 1)
            names[n++] = words.names[k];
    }
    return lmi_md_bits(c->to, flags, names, n, 1, out, &made);
}

static lmail_status link_file(copying *c, const md_file_row *row, const char *name)
{
    char from[MD_PATH], to[MD_PATH], temporary[MD_PATH];
    lmail_status st =
        lmi_md_path(c->from->account, from, c->from->dir, NULL, lmi_str(row->name, row->name_len));
    if (!st)
        st = lmi_md_path(c->to->account, to, c->to->dir, NULL, lmail_str_from(name));
    if (!st)
        st = lmi_md_path(c->to->account, temporary, c->to->dir, "tmp", lmail_str_from(name + 4));
    if (st)
        return st;
    return lmi_md_link(c->to->account->store, from, -1, to, temporary);
}

static lmail_status text_other_account(copying *c, lmail_uid uid, int64_t key)
{
    sqlite3_stmt *q;
    md_account *a = c->from->account;
    lmail_status st = lmi_md_sql(a, MD_TEXT_ALL, &q, "i", lmi_md_key(c->from->id, uid));
    if (st)
        return st;
    int code = sqlite3_step(q);
    if (code == SQLITE_ROW) {
        md_summary s = {.envelope = lmi_db_text(q, 0),
                        .bodystructure = lmi_db_text(q, 1),
                        .parts = lmi_db_text(q, 2),
                        .preview = lmi_db_text(q, 3),
                        .fields = lmi_db_text(q, 4)};
        st = lmi_md_text_add(c->to->account, key, &s);
    }
    sqlite3_reset(q);
    return st ? st : lmi_md_db_status(a, code);
}

static lmail_status row_same_account(copying *c, lmail_uid uid, int64_t key, lmail_str base,
                                     int place, lmail_str suffix, lmail_flags seen,
                                     lmail_str email_id, int64_t now)
{
    lmail_status st = lmi_md_run(c->to->account, MD_MESSAGE_COPY, "iititiiti", key, c->to->id, base,
                                 (int64_t)place, suffix, (int64_t)seen, now, email_id,
                                 lmi_md_key(c->from->id, uid));
    return st ? st
              : lmi_md_run(c->to->account, MD_TEXT_COPY, "ii", key, lmi_md_key(c->from->id, uid));
}

static lmail_status row_other_account(copying *c, lmail_uid uid, int64_t key, lmail_str base,
                                      int place, lmail_str suffix, lmail_flags seen,
                                      lmail_str email_id, int64_t now)
{
    sqlite3_stmt *q;
    md_account *a = c->from->account;
    lmail_status st = lmi_md_sql(a, MD_MESSAGE_ALL, &q, "i", lmi_md_key(c->from->id, uid));
    if (st)
        return st;
    int code = sqlite3_step(q);
    if (code == SQLITE_ROW)
        st = lmi_md_run(c->to->account, MD_MESSAGE_ADD, "iititiiiiiiti", key, c->to->id, base,
                        (int64_t)place, suffix, (int64_t)seen, sqlite3_column_int64(q, 0),
                        sqlite3_column_int64(q, 1), sqlite3_column_int64(q, 2),
                        sqlite3_column_int64(q, 3), now, email_id, sqlite3_column_int64(q, 4));
    sqlite3_reset(q);
    if (!st)
        st = lmi_md_db_status(a, code);
    if (st || code != SQLITE_ROW)
        return st ? st : LMAIL_ERR_NOTFOUND;
    return text_other_account(c, uid, key);
}

static lmail_status copy_one(copying *c, lmail_uid uid, int64_t now)
{
    md_file_row row;
    md_store *s = c->to->account->store;
    char base[128], suffix[64] = "", email_id[34], *name = c->made[c->made_count];
    lmail_flags flags, bits;
    lmail_status st = lmi_md_file_row(c->from, uid, &row);
    if (!st)
        st = lmail_snapshot_get(c->from->snapshot, uid, &flags, NULL);
    if (!st)
        st = translate(c, flags, &bits);
    if (st)
        return st;
    struct stat info;
    char path[MD_PATH];
    int64_t size = row.size;
    if (!lmi_md_path(c->from->account, path, c->from->dir, NULL, lmi_str(row.name, row.name_len)) &&
        (row.lf || size < 0) && stat(path, &info) == 0)
        size = info.st_size;
    size_t base_len = lmi_md_base_new(s, size < 0 ? 0 : size, base), suffix_len = 0;
    size_t words = c->to->row.keyword_count < MD_LETTERS ? c->to->row.keyword_count : MD_LETTERS;
    lmail_flags seen = bits & MD_NAME_FLAGS;
    int place = seen != 0;
    if (place)
        suffix_len = lmi_md_suffix(seen, lmi_str("", 0), words, suffix);
    memcpy(name, place ? "cur/" : "new/", 4);
    memcpy(name + 4, base, base_len);
    memcpy(name + 4 + base_len, suffix, suffix_len);
    name[4 + base_len + suffix_len] = '\0';
    if ((st = link_file(c, &row, name)))
        return st;
    c->made_count++;
    c->in_cur |= place;
    c->in_new |= !place;
    email_id[0] = 'm';
    lmi_digest(lmi_str(row.name + 4, row.base_len), email_id + 1);
    lmail_str id = row.emailid_len ? lmi_str(row.emailid, row.emailid_len) : lmi_str(email_id, 33);
    lmail_uid target = c->to->row.uidnext++;
    int64_t key = lmi_md_key(c->to->id, target);
    st = (c->from->account == c->to->account ? row_same_account : row_other_account)(
        c, uid, key, lmi_str(base, base_len), place, lmi_str(suffix, suffix_len), seen, id, now);
    if (!st)
        st = lmi_md_run(c->to->account, MD_FLAG_ADD, "iii", key, (int64_t)c->modseq, (int64_t)bits);
    if (!st)
        st = lmail_snapshot_edit_put(c->edit, target, bits, c->modseq);
    if (!st)
        c->out->pairs[c->out->count++] = (lmail_uid_pair){uid, target};
    return st;
}

static lmail_status sync_target(copying *c)
{
    char path[MD_PATH];
    lmail_status st = LMAIL_OK;
    if (c->in_cur && !(st = lmi_md_path(c->to->account, path, c->to->dir, "cur", lmi_str("", 0))))
        st = lmi_md_sync_dir(c->to->account->store, path);
    if (!st && c->in_new &&
        !(st = lmi_md_path(c->to->account, path, c->to->dir, "new", lmi_str("", 0))))
        st = lmi_md_sync_dir(c->to->account->store, path);
    return st;
}

static void take_back(copying *c)
{
    char path[MD_PATH];
    for (size_t i = 0; i < c->made_count; i++) {
        if (!lmi_md_path(c->to->account, path, c->to->dir, NULL, lmail_str_from(c->made[i])))
            unlink(path);
    }
}

static lmail_status list_sources(md_box *from, lmail_uid_set uids, lmail_uid **out, size_t *count)
{
    lmail_snapshot_rows rows;
    size_t cursor = 0;
    *count = 0;
    *out = malloc((lmail_snapshot_facts(from->snapshot)->messages + 1) * sizeof **out);
    if (!*out)
        return LMAIL_ERR_NOMEM;
    for (size_t leaf = 0; !lmail_snapshot_leaf(from->snapshot, leaf, &rows); leaf++) {
        for (size_t i = 0; i < rows.count; i++) {
            if (lmi_set_walk(uids, &cursor, rows.uids[i]))
                (*out)[(*count)++] = rows.uids[i];
        }
    }
    return LMAIL_OK;
}

/* Removes the copied from the source, in the transaction that runs. */
static lmail_status drop_sources(copying *c, lmail_snapshot_edit **edit)
{
    lmail_status st = lmi_copy_sources(c->out, &c->out->vanished);
    /* into itself: the new ones are in the edit that the target has already */
    if (!st && c->from != c->to)
        st = lmail_snapshot_edit_begin(c->from->snapshot, edit);
    lmail_modseq modseq = c->from->row.modseq + (c->from == c->to ? 0 : 1);
    if (!st)
        st = lmi_md_drop_rows(c->from, lmail_uid_list_set(&c->out->vanished),
                              c->from == c->to ? c->edit : *edit, modseq);
    c->from->row.modseq = c->from->row.changed = c->out->modseq = modseq;
    return st ? st : lmi_md_numbers(c->from);
}

/* The transaction is open, both boxes are loaded and in step. */
static lmail_status copy_all(copying *c, const lmail_uid *uids, size_t count)
{
    int64_t before[2], after[2];
    int zone;
    md_account *a = c->to->account;
    int64_t now = lmi_wall_clock(a->store->env, &zone);
    lmail_status st = lmail_snapshot_edit_begin(c->to->snapshot, &c->edit);
    if (st)
        return st;
    c->modseq = c->to->row.modseq + 1;
    pthread_mutex_lock(&a->link_lock);
    lmi_md_times(a, c->to->dir, before);
    for (size_t i = 0; i < count && !st; i++)
        st = copy_one(c, uids[i], now);
    lmi_md_times(a, c->to->dir, after);
    pthread_mutex_unlock(&a->link_lock);
    if (!st)
        st = sync_target(c);
    if (st)
        return st;
    lmi_md_step(&c->to->row, before, after);
    c->to->row.modseq = c->modseq;
    return lmi_md_numbers(c->to);
}

static lmail_status begin(copying *c, size_t count)
{
    md_box *boxes[2] = {c->to, c->from};
    uint64_t uids[2] = {count, 0};
    if (c->from == c->to || c->from->account != c->to->account)
        return lmi_md_begin(c->to->account, boxes, uids, 1);
    return lmi_md_begin(c->to->account, boxes, uids, 2);
}

static lmail_status try_copy(copying *c, lmail_uid_set uids, int move)
{
    lmail_uid *sources = NULL;
    size_t count = 0;
    lmail_snapshot_edit *left = NULL;
    int same = c->from->account == c->to->account;
    lmail_status st = lmi_md_load(c->from);
    if (!st)
        st = lmi_md_sync(c->from);
    if (!st)
        st = begin(c, lmail_snapshot_facts(c->from->snapshot)->messages);
    if (!st)
        st = lmi_md_sync(c->to);
    if (!st && same)
        st = lmi_md_sync(c->from);
    if (!st)
        st = list_sources(c->from, uids, &sources, &count);
    c->out->uidvalidity = c->to->row.uidvalidity;
    if (!st && count) {
        c->out->pairs = malloc(count * sizeof *c->out->pairs);
        c->made = malloc(count * sizeof *c->made);
        st = c->out->pairs && c->made ? copy_all(c, sources, count) : LMAIL_ERR_NOMEM;
        if (!st && move && same)
            st = drop_sources(c, &left);
        if (!st)
            st = lmi_md_commit(c->to->account);
        if (st)
            take_back(c);
    }
    lmi_md_rollback(c->to->account);
    if (!st && count) {
        lmail_snapshot_edit *edit = c->edit;
        c->edit = NULL;
        (void)lmi_md_publish(c->to, edit);
        if (left)
            (void)lmi_md_publish(c->from, left);
        left = NULL;
    }
    lmail_snapshot_edit_abort(c->edit);
    lmail_snapshot_edit_abort(left);
    free(sources);
    free(c->made);
    if (st) {
        (void)lmi_md_load(c->to);
        (void)lmi_md_load(c->from);
    }
    return st;
}

lmail_status lmi_md_copy_rows(md_box *from, lmail_uid_set uids, md_box *to, int move,
                              lmail_copy_result *out)
{
    for (int again = 0;; again++) {
        copying c = {.from = from, .to = to, .out = out};
        *out = (lmail_copy_result){0};
        lmail_status st = try_copy(&c, uids, move);
        if (!st)
            return LMAIL_OK;
        lmail_copy_result_free(out);
        if (st != LMAIL_ERR_NOTFOUND || again)
            return st;
        /* a file is not where its row says: another program was there */
        st = lmi_md_load(from);
        if (!st)
            st = lmi_md_scan(from, 1);
        if (st)
            return st;
    }
}

/* ---- The table ------------------------------------------------------------------------------- */

/* Both accounts, by address. */
static lmail_status enter_both(md_account *a, md_account *b)
{
    md_account *first = a < b ? a : b, *second = a < b ? b : a;
    lmail_status st = lmi_md_enter(first);
    if (!st && second != first && (st = lmi_md_enter(second)))
        lmi_md_leave(first);
    return st;
}

static void leave_both(md_account *a, md_account *b)
{
    lmi_md_leave(a);
    if (b != a)
        lmi_md_leave(b);
}

static lmail_status move_between(lmail_store_mailbox *h, md_box *to, lmail_uid_set uids,
                                 lmail_copy_result *out)
{
    lmail_status st = lmi_md_copy_rows(h->box, uids, to, 0, out);
    lmail_uid_list taken = {0};
    if (!st)
        st = lmi_copy_sources(out, &taken);
    if (!st)
        st = lmi_md_expunge(h->box, lmail_uid_list_set(&taken), LMAIL_EXPUNGE_ALL, &out->vanished,
                            &out->modseq);
    lmail_uid_list_free(&taken);
    return st;
}

static lmail_status copy_or_move(lmail_store_mailbox *h, lmail_uid_set uids, md_account *to,
                                 lmail_str name, int move, lmail_copy_result *out)
{
    md_box *target;
    *out = (lmail_copy_result){0};
    if (move && (h->flags & LMAIL_OPEN_READ_ONLY))
        return LMAIL_ERR_DENIED;
    lmail_status st = enter_both(h->account, to);
    if (st)
        return st;
    st = h->box->dead ? LMAIL_ERR_STALE : lmi_md_room(to->store, to->dir);
    if (!st)
        st = lmi_md_box_by_name(to, name, &target);
    if (!st) {
        st = move && to != h->account ? move_between(h, target, uids, out)
                                      : lmi_md_copy_rows(h->box, uids, target, move, out);
        lmi_md_box_unref(target);
    }
    leave_both(h->account, to);
    return st;
}

static lmail_status copy(lmail_store_mailbox *h, lmail_uid_set uids, lmail_store_account *to,
                         lmail_str name, lmail_copy_result *out)
{
    return copy_or_move(h, uids, to->account, name, 0, out);
}

static lmail_status move(lmail_store_mailbox *h, lmail_uid_set uids, lmail_store_account *to,
                         lmail_str name, lmail_copy_result *out)
{
    return copy_or_move(h, uids, to->account, name, 1, out);
}

void lmi_md_fill_copy(lmail_store *table)
{
    table->copy = copy;
    table->move = move;
}
