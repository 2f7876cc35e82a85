/* store_maildir_box.c - open mailboxes: rows, snapshots, refresh, recent.
 *
 * A box is one mailbox in this process, shared by its handles; its snapshot follows the index. What
 * another process wrote is read again only as far as needed: arrivals alone from the last UID on. */
#include "host/store/store_maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- Rows ------------------------------------------------------------------------------------ */

static lmail_status set_words(md_row *r, lmail_str words)
{
    if (r->words && words.len == r->words_len &&
        (words.len == 0 || memcmp(words.ptr, r->words, words.len) == 0))
        return LMAIL_OK;
    char *p = malloc(words.len + 1);
    if (!p)
        return LMAIL_ERR_NOMEM;
    if (words.len)
        memcpy(p, words.ptr, words.len);
    free(r->words);
    r->words = p;
    r->words_len = words.len;
    r->keyword_count = 0;
    for (size_t i = 0; i < words.len && r->keyword_count < LMAIL_MAX_KEYWORDS;) {
        const char *space = memchr(p + i, ' ', words.len - i);
        size_t n = space ? (size_t)(space - (p + i)) : words.len - i;
        r->keywords[r->keyword_count++] = lmi_str(p + i, n);
        i += n + 1;
    }
    return LMAIL_OK;
}

static void copy_text(char *out, size_t cap, size_t *len, lmail_str s)
{
    *len = s.len < cap ? s.len : cap - 1;
    if (*len)
        memcpy(out, s.ptr, *len);
    out[*len] = '\0';
}

lmail_status lmi_md_load(md_box *b)
{
    sqlite3_stmt *q;
    md_row *r = &b->row;
    if (b->dead || b->generation != b->account->generation)
        return LMAIL_ERR_STALE;
    lmail_status st = lmi_md_sql(b->account, MD_BOX_ROW, &q, "i", b->id);
    if (st)
        return st;
    int code = sqlite3_step(q);
    if (code == SQLITE_ROW) {
        size_t len;
        uint32_t validity = (uint32_t)sqlite3_column_int64(q, 1);
        copy_text(b->dir, sizeof b->dir, &len, lmi_md_text(q, 0));
        r->uidnext = (uint32_t)sqlite3_column_int64(q, 2);
        r->uid_ceiling = (uint32_t)sqlite3_column_int64(q, 3);
        r->modseq = (lmail_modseq)sqlite3_column_int64(q, 4);
        r->modseq_ceiling = (lmail_modseq)sqlite3_column_int64(q, 5);
        r->changed = (lmail_modseq)sqlite3_column_int64(q, 6);
        r->recent = (uint32_t)sqlite3_column_int64(q, 7);
        r->special = (lmail_special_use)sqlite3_column_int(q, 8);
        copy_text(r->objectid, sizeof r->objectid, &r->objectid_len, lmi_md_text(q, 9));
        st = set_words(r, lmi_md_text(q, 10));
        r->new_mtime = sqlite3_column_int64(q, 11);
        r->cur_mtime = sqlite3_column_int64(q, 12);
        r->scanned = sqlite3_column_int64(q, 13);
        r->suspicious = (unsigned)sqlite3_column_int(q, 14);
        if (r->uidvalidity && r->uidvalidity != validity)
            b->dead = 1;
        r->uidvalidity = validity;
    } else if (code == SQLITE_DONE) {
        b->dead = 1;
    }
    sqlite3_reset(q);
    if (!st)
        st = lmi_md_db_status(b->account, code);
    return st ? st : b->dead ? LMAIL_ERR_STALE : LMAIL_OK;
}

lmail_status lmi_md_numbers(md_box *b)
{
    const md_row *r = &b->row;
    return lmi_md_run(b->account, MD_BOX_NUMBERS, "iiiiii", (int64_t)r->uidnext, (int64_t)r->modseq,
                      (int64_t)r->changed, r->new_mtime, r->cur_mtime, b->id);
}

/* ---- Making and finding ---------------------------------------------------------------------- */

static void fresh_objectid(md_facts *f)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char octets[12];
    if (getrandom(octets, sizeof octets, 0) != sizeof octets) {
        char digest[32];
        lmi_digest(lmi_str((const char *)f, sizeof *f), digest);
        memcpy(octets, digest, sizeof octets);
    }
    f->objectid[0] = 'b';
    for (size_t i = 0; i < sizeof octets; i++) {
        f->objectid[1 + 2 * i] = hex[octets[i] >> 4];
        f->objectid[2 + 2 * i] = hex[octets[i] & 15];
    }
    f->objectid_len = 1 + 2 * sizeof octets;
}

/* UIDVALIDITY and UIDNEXT of Dovecot's list: "3 V123 N456 G...". 0: there is none. */
static void uidlist_head(md_account *a, const char *dir, uint32_t *validity, uint32_t *uidnext)
{
    char path[MD_PATH], *text;
    size_t len;
    lmail_str line, rest;
    *validity = *uidnext = 0;
    if (lmi_md_path(a, path, dir, NULL, LMAIL_STR("dovecot-uidlist")) ||
        lmi_md_text_read(path, &text, &len))
        return;
    rest = lmi_str(text, len);
    if (lmi_md_text_line(&rest, &line) && line.len > 2 && line.ptr[0] == '3') {
        for (size_t i = 1; i + 1 < line.len; i++) {
            uint32_t *out = line.ptr[i] == 'V' ? validity : line.ptr[i] == 'N' ? uidnext : NULL;
            uint64_t v = 0;
            if (line.ptr[i - 1] != ' ' || !out)
                continue;
            for (size_t k = i + 1; k < line.len && line.ptr[k] >= '0' && line.ptr[k] <= '9'; k++)
                v = v <= UINT32_MAX ? v * 10 + (uint64_t)(line.ptr[k] - '0') : v;
            *out = v <= UINT32_MAX - 1 ? (uint32_t)v : 0;
        }
    }
    if (!*validity || !*uidnext)
        *validity = *uidnext = 0;
    free(text);
}

/* Above every UIDVALIDITY that this account has used, as far as anyone knows. */
static lmail_status next_validity(md_account *a, uint32_t known, uint32_t *out)
{
    int64_t last = 0;
    int zone;
    int64_t now = lmi_wall_clock(a->store->env, &zone);
    lmail_status st = lmi_md_int(a, MD_META_GET, &last, "t", LMAIL_STR("uidvalidity"));
    if (st && st != LMAIL_ERR_NOTFOUND)
        return st;
    int64_t next = now > last ? now : last + 1;
    if (next <= known)
        next = (int64_t)known + 1;
    if (next < 1 || next > UINT32_MAX)
        next = (last > 0 ? last : known) + 1;
    *out = (uint32_t)next;
    return lmi_md_run(a, MD_META_SET, "ti", LMAIL_STR("uidvalidity"), next);
}

lmail_status lmi_md_add_box(md_account *a, const char *dir, const md_facts *known, int64_t *id)
{
    char path[MD_PATH], *words = NULL;
    size_t words_len = 0;
    md_facts f = *known;
    uint32_t uidnext = 0;
    lmail_status st = LMAIL_OK;
    if (f.uidvalidity == 0)
        uidlist_head(a, dir, &f.uidvalidity, &uidnext);
    if (!uidnext) {
        uidnext = 1;
        st = next_validity(a, f.uidvalidity, &f.uidvalidity);
    }
    if (f.objectid_len == 0)
        fresh_objectid(&f);
    (void)lmi_md_keywords_read(a, dir, &words, &words_len);
    if (!st)
        st = lmi_md_path(a, path, dir, NULL, LMAIL_STR("libmail-mailbox"));
    /* The file first: should the index be lost now, the number is not given out again. */
    if (!st)
        st = lmi_md_facts_write(a, path, &f);
    if (!st)
        st = lmi_md_run(a, MD_BOX_ADD, "tiiiiiitti", lmail_str_from(dir), (int64_t)f.uidvalidity,
                        (int64_t)uidnext, (int64_t)uidnext + MD_UID_STEP, (int64_t)MD_MODSEQ_STEP,
                        (int64_t)(uidnext - 1), (int64_t)f.special,
                        lmi_str(f.objectid, f.objectid_len), lmi_str(words, words_len), (int64_t)0);
    free(words);
    if (!st && id)
        *id = sqlite3_last_insert_rowid(a->db);
    return st;
}

lmail_status lmi_md_drop_box(md_account *a, int64_t id)
{
    int64_t first = lmi_md_key(id, 0), last = lmi_md_key(id, UINT32_MAX);
    lmail_status st = lmi_md_run(a, MD_BOX_DROP_FLAGS, "ii", first, last);
    if (!st)
        st = lmi_md_run(a, MD_BOX_DROP_MESSAGES, "ii", first, last);
    if (!st)
        st = lmi_md_run(a, MD_BOX_DROP_GONE, "i", id);
    if (!st)
        st = lmi_md_run(a, MD_BOX_DROP_LATE, "i", id);
    if (!st)
        st = lmi_md_run(a, MD_BOX_DROP_VANISHED, "i", id);
    return st ? st : lmi_md_run(a, MD_BOX_DROP, "i", id);
}

lmail_status lmi_md_box_by_id(md_account *a, int64_t id, md_box **out)
{
    for (md_box *b = a->boxes; b; b = b->next) {
        if (b->id == id && !b->dead && b->generation == a->generation) {
            b->refs++;
            *out = b;
            return LMAIL_OK;
        }
    }
    md_box *b = calloc(1, sizeof *b);
    if (!b)
        return LMAIL_ERR_NOMEM;
    b->account = a;
    b->id = id;
    b->generation = a->generation;
    lmail_status st = lmi_md_load(b);
    if (st) {
        free(b->row.words);
        free(b);
        return st == LMAIL_ERR_STALE ? LMAIL_ERR_NOTFOUND : st;
    }
    b->refs = 1;
    b->next = a->boxes;
    a->boxes = b;
    *out = b;
    return LMAIL_OK;
}

static void box_free(md_box *b)
{
    lmail_snapshot_unref(b->snapshot);
    free(b->row.words);
    free(b);
}

/* Some boxes that nobody has stay loaded: sessions come back. */
static void trim(md_account *a)
{
    unsigned idle = 0;
    for (md_box **p = &a->boxes; *p;) {
        md_box *b = *p;
        if (b->refs == 0 && (b->dead || b->generation != a->generation || ++idle > MD_IDLE_BOXES)) {
            *p = b->next;
            box_free(b);
        } else {
            p = &b->next;
        }
    }
}

void lmi_md_box_unref(md_box *b)
{
    if (--b->refs == 0)
        trim(b->account);
}

void lmi_md_boxes_dead(md_account *a)
{
    for (md_box *b = a->boxes; b; b = b->next)
        b->dead = 1;
    trim(a);
}

void lmi_md_boxes_free(md_account *a)
{
    while (a->boxes) {
        md_box *b = a->boxes;
        a->boxes = b->next;
        box_free(b);
    }
}

static int dir_exists(const md_account *a, const char *dir)
{
    char path[MD_PATH];
    struct stat st;
    return !lmi_md_path(a, path, dir, "cur", lmi_str(NULL, 0)) && stat(path, &st) == 0 &&
           S_ISDIR(st.st_mode);
}

/* A directory without a row: was a known mailbox renamed, or is it new? */
static lmail_status adopt(md_account *a, const char *dir, const md_facts *f, int64_t *id)
{
    sqlite3_stmt *q;
    *id = 0;
    lmail_status st = lmi_md_sql(a, MD_BOX_ALL, &q, "");
    if (st)
        return st;
    int code = SQLITE_DONE;
    while (f->objectid_len && (code = sqlite3_step(q)) == SQLITE_ROW) {
        lmail_str old = lmi_md_text(q, 1);
        char path[MD_NAME_OCTETS + 1];
        size_t len;
        copy_text(path, sizeof path, &len, old);
        if (lmail_str_equal(lmi_md_text(q, 3), lmi_str(f->objectid, f->objectid_len)) &&
            !dir_exists(a, path)) {
            *id = sqlite3_column_int64(q, 0);
            break;
        }
    }
    sqlite3_reset(q);
    if (*id)
        return lmi_md_run(a, MD_BOX_DIR, "ti", lmail_str_from(dir), *id);
    st = lmi_md_db_status(a, code);
    return st ? st : lmi_md_add_box(a, dir, f, id);
}

/* A directory copied by hand brings another's id along; ids are one mailbox's alone. */
static void check_objectid(md_account *a, md_facts *f)
{
    sqlite3_stmt *q;
    if (!f->objectid_len || lmi_md_sql(a, MD_BOX_ALL, &q, ""))
        return;
    while (sqlite3_step(q) == SQLITE_ROW) {
        char dir[MD_NAME_OCTETS + 1];
        size_t len;
        copy_text(dir, sizeof dir, &len, lmi_md_text(q, 1));
        if (lmail_str_equal(lmi_md_text(q, 3), lmi_str(f->objectid, f->objectid_len)) &&
            dir_exists(a, dir)) {
            f->objectid_len = 0;
            break;
        }
    }
    sqlite3_reset(q);
}

static lmail_status take_in(md_account *a, const char *dir, int64_t *id)
{
    md_facts f;
    unsigned outer = a->in_transaction;
    lmail_status st = outer ? LMAIL_OK : lmi_md_begin_plain(a, 1);
    if (st)
        return st;
    st = lmi_md_int(a, MD_BOX_BY_DIR, id, "t", lmail_str_from(dir));
    if (st == LMAIL_ERR_NOTFOUND) {
        lmi_md_facts_read(a, dir, &f);
        check_objectid(a, &f);
        st = adopt(a, dir, &f, id);
    }
    if (outer)
        return st;
    if (!st)
        return lmi_md_commit(a);
    lmi_md_rollback(a);
    return st;
}

lmail_status lmi_md_box_get(md_account *a, const char *dir, md_box **out)
{
    int64_t id;
    lmail_status st = lmi_md_int(a, MD_BOX_BY_DIR, &id, "t", lmail_str_from(dir));
    int there = dir_exists(a, dir);
    if (!there) {
        if (!st && !a->in_transaction && !lmi_md_begin_plain(a, 0)) {
            if (!lmi_md_drop_box(a, id))
                lmi_md_commit(a);
            lmi_md_rollback(a);
        }
        return st && st != LMAIL_ERR_NOTFOUND ? st : LMAIL_ERR_NOTFOUND;
    }
    if (st == LMAIL_ERR_NOTFOUND)
        st = take_in(a, dir, &id);
    return st ? st : lmi_md_box_by_id(a, id, out);
}

lmail_status lmi_md_box_by_name(md_account *a, lmail_str name, md_box **out)
{
    char text[LMI_NAME_MAX], dir[MD_NAME_OCTETS + 1];
    size_t len;
    if (lmi_name_check(a->store->env, name, text, &len) || lmi_md_dir_of(lmi_str(text, len), dir))
        return LMAIL_ERR_NOTFOUND;
    return lmi_md_box_get(a, dir, out);
}

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
    lmail_status st = set_words(&b->row, lmi_str(words, n));
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
        lmail_str base = lmi_md_text(q, 0), suffix = lmi_md_text(q, 2);
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
            copy_text(out->emailid, sizeof out->emailid, &out->emailid_len, lmi_md_text(q, 6));
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
    if (h->fd >= 0)
        close(h->fd);
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

void lmi_md_fill_box(lmail_store *table)
{
    table->mailbox_open = mailbox_open;
    table->mailbox_close = mailbox_close;
    table->refresh = refresh;
    table->vanished_since = vanished_since;
}
