/* store_maildir_box.c - mailboxes of this process: their rows, how they are found and made.
 *
 * A box is one mailbox in this process, shared by its handles. What is on disk exists, whoever made
 * it: a directory without a row gets one. Snapshots and the open mailbox: store_maildir_open.c. */
#include "host/store/store_maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- Rows ------------------------------------------------------------------------------------ */

lmail_status lmi_md_words(md_row *r, lmail_str words)
{
    if (r->words && words.len == r->words_len &&
        (words.len == 0 || memcmp(words.ptr, r->words, words.len) == 0))
        return LMAIL_OK;
    size_t count = words.len != 0;
    for (size_t i = 0; i < words.len; i++)
        count += words.ptr[i] == ' ';
    lmail_str *names = malloc(count * sizeof *names + words.len + 1);
    if (!names)
        return LMAIL_ERR_NOMEM;
    char *p = (char *)(names + count);
    if (words.len)
        memcpy(p, words.ptr, words.len);
    free(r->keywords);
    r->keywords = names;
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

void lmi_md_text_copy(char *out, size_t cap, size_t *len, lmail_str s)
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
        lmi_md_text_copy(b->dir, sizeof b->dir, &len, lmi_db_text(q, 0));
        r->uidnext = (uint32_t)sqlite3_column_int64(q, 2);
        r->uid_ceiling = (uint32_t)sqlite3_column_int64(q, 3);
        r->modseq = (lmail_modseq)sqlite3_column_int64(q, 4);
        r->modseq_ceiling = (lmail_modseq)sqlite3_column_int64(q, 5);
        r->changed = (lmail_modseq)sqlite3_column_int64(q, 6);
        r->recent = (uint32_t)sqlite3_column_int64(q, 7);
        r->special = (lmail_special_use)sqlite3_column_int(q, 8);
        lmi_md_text_copy(r->objectid, sizeof r->objectid, &r->objectid_len, lmi_db_text(q, 9));
        st = lmi_md_words(r, lmi_db_text(q, 10));
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
        *id = sqlite3_last_insert_rowid(a->index.db);
    return st;
}

lmail_status lmi_md_drop_box(md_account *a, int64_t id)
{
    int64_t first = lmi_md_key(id, 0), last = lmi_md_key(id, UINT32_MAX);
    lmail_status st = lmi_md_run(a, MD_BOX_DROP_FLAGS, "ii", first, last);
    if (!st)
        st = lmi_md_run(a, MD_BOX_DROP_MESSAGES, "ii", first, last);
    if (!st)
        st = lmi_md_run(a, MD_BOX_DROP_TEXTS, "ii", first, last);
    if (!st)
        st = lmi_md_run(a, MD_BOX_DROP_GONE, "i", id);
    if (!st)
        st = lmi_md_run(a, MD_BOX_DROP_LATE, "i", id);
    if (!st)
        st = lmi_md_run(a, MD_BOX_DROP_VANISHED, "i", id);
    return st ? st : lmi_md_run(a, MD_BOX_DROP, "i", id);
}

md_box *lmi_md_box_loaded(md_account *a, const char *dir)
{
    md_box *b = a->boxes;
    while (b && (b->dead || b->generation != a->generation || strcmp(b->dir, dir) != 0))
        b = b->next;
    if (b)
        b->refs++;
    return b;
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
        free(b->row.keywords);
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
    free(b->row.keywords);
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
        lmail_str old = lmi_db_text(q, 1);
        char path[MD_NAME_OCTETS + 1];
        size_t len;
        lmi_md_text_copy(path, sizeof path, &len, old);
        if (lmail_str_equal(lmi_db_text(q, 3), lmi_str(f->objectid, f->objectid_len)) &&
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
        lmi_md_text_copy(dir, sizeof dir, &len, lmi_db_text(q, 1));
        if (lmail_str_equal(lmi_db_text(q, 3), lmi_str(f->objectid, f->objectid_len)) &&
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
