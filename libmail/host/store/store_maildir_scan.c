/* store_maildir_scan.c - taking in what other programs did to a Maildir.
 *
 * A scan reads new/ and cur/ and compares them with the rows. Beside a program that renames, one
 * reading of a directory misses files; so a message is gone only when a quiet reading agrees.
 * The directories' times tell when a scan is needed; steps of our own are followed (lmi_md_step) so
 * that they cause none. An index made anew is filled the same way. */
#include "host/store/store_maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* A directory changed so shortly ago may change again within its clock's tick. */
#define FRESH_NS 30000000
#define TMP_AGE (36 * 3600)
#define QUIET_TRIES 4u
#define GROWING 60 /* seconds in which a file that is too short may still be written */

typedef struct found {
    uint32_t name; /* offset in the names */
    uint16_t len, base_len;
    uint8_t place; /* 0 new, 1 cur */
    uint8_t known; /* a row has it */
    uint8_t again; /* seen in the second reading */
    lmail_uid uid; /* from Dovecot's list, 0: none */
} found;

typedef struct scan {
    md_box *box;
    found *files;
    size_t count, capacity;
    uint32_t *slots; /* index + 1, open addressing */
    size_t slot_count;
    char *names;
    size_t names_len, names_cap;
    lmail_snapshot_edit *edit;
    lmail_uid_list missing, gone;
    lmail_modseq modseq; /* of this scan's changes */
    int fresh[2];        /* new/ and cur/ had just changed when the reading began */
    int changed, arrived, unsure, growing;
} scan;

static int64_t ns(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t lmi_md_time(const md_account *a, const char *dir, unsigned place)
{
    char path[MD_PATH];
    struct stat st;
    if (lmi_md_path(a, path, dir, place ? "cur" : "new", lmi_str(NULL, 0)) || stat(path, &st) < 0)
        return 0;
    return ns(st.st_mtim);
}

void lmi_md_times(const md_account *a, const char *dir, int64_t times[2])
{
    for (unsigned i = 0; i < 2; i++)
        times[i] = lmi_md_time(a, dir, i);
}

int lmi_md_fresh(int64_t time)
{
    struct timespec clock;
    clock_gettime(CLOCK_REALTIME, &clock);
    return ns(clock) - time < FRESH_NS;
}

void lmi_md_step(md_row *row, const int64_t before[2], const int64_t after[2])
{
    if (row->new_mtime == before[0])
        row->new_mtime = after[0];
    if (row->cur_mtime == before[1])
        row->cur_mtime = after[1];
}

/* ---- The files that are there ---------------------------------------------------------------- */

static uint64_t hash(lmail_str s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001b3u;
    return h ^ h >> 29;
}

static lmail_str base_of(const scan *s, const found *f)
{
    return lmi_str(s->names + f->name, f->base_len);
}

static lmail_str suffix_of(const scan *s, const found *f)
{
    return lmi_str(s->names + f->name + f->base_len, (size_t)f->len - f->base_len);
}

/* The slot of a base: its file's, or the empty one where it belongs. */
static uint32_t *slot_of(const scan *s, lmail_str base)
{
    size_t i = hash(base) & (s->slot_count - 1);
    while (s->slots[i] && !lmail_str_equal(base_of(s, &s->files[s->slots[i] - 1]), base))
        i = (i + 1) & (s->slot_count - 1);
    return &s->slots[i];
}

static found *find(const scan *s, lmail_str base)
{
    uint32_t *slot = s->slot_count ? slot_of(s, base) : NULL;
    return slot && *slot ? &s->files[*slot - 1] : NULL;
}

static int grow_table(scan *s)
{
    size_t count = s->slot_count ? s->slot_count * 2 : 1024;
    uint32_t *slots = calloc(count, sizeof *slots);
    found *files = realloc(s->files, count / 2 * sizeof *files);
    if (files) {
        s->files = files;
        s->capacity = count / 2;
    }
    if (!slots || !files) {
        free(slots);
        return 0;
    }
    free(s->slots);
    s->slots = slots;
    s->slot_count = count;
    for (size_t i = 0; i < s->count; i++)
        *slot_of(s, base_of(s, &s->files[i])) = (uint32_t)i + 1;
    return 1;
}

static int grow_names(scan *s, size_t n)
{
    if (s->names_len + n <= s->names_cap)
        return 1;
    size_t cap = (s->names_len + n) * 2 + 65536;
    char *p = cap < UINT32_MAX ? realloc(s->names, cap) : NULL;
    if (!p)
        return 0;
    s->names = p;
    s->names_cap = cap;
    return 1;
}

static lmail_status note(scan *s, lmail_str file, int place, int again)
{
    lmail_str base, suffix;
    lmi_md_split(file, &base, &suffix);
    if (base.len == 0 || file.len > MD_NAME_OCTETS)
        return LMAIL_OK;
    if (s->count == s->capacity && !grow_table(s))
        return LMAIL_ERR_NOMEM;
    if (!grow_names(s, file.len))
        return LMAIL_ERR_NOMEM;
    uint32_t *slot = slot_of(s, base);
    found *f = *slot ? &s->files[*slot - 1] : NULL;
    if (f && f->place == 1 && place == 0 && !again)
        return LMAIL_OK; /* in both: the one in cur/ is the later state */
    if (!f) {
        f = &s->files[s->count++];
        *slot = (uint32_t)s->count;
        *f = (found){0};
    }
    f->name = (uint32_t)s->names_len;
    f->len = (uint16_t)file.len;
    f->base_len = (uint16_t)base.len;
    f->place = (uint8_t)place;
    f->again |= (uint8_t)again;
    memcpy(s->names + s->names_len, file.ptr, file.len);
    s->names_len += file.len;
    return LMAIL_OK;
}

static lmail_status read_dir(scan *s, int place, int again)
{
    char path[MD_PATH];
    lmail_status st =
        lmi_md_path(s->box->account, path, s->box->dir, place ? "cur" : "new", lmi_str(NULL, 0));
    DIR *d = st ? NULL : opendir(path);
    if (!d)
        return st ? st : errno == ENOENT ? LMAIL_OK : LMAIL_ERR_IO;
    struct dirent *e;
    while (!st && (errno = 0, e = readdir(d))) {
        if (e->d_name[0] != '.' && e->d_type != DT_DIR)
            st = note(s, lmail_str_from(e->d_name), place, again);
    }
    if (!st && errno)
        st = LMAIL_ERR_IO;
    closedir(d);
    return st;
}

static lmail_status read_both(scan *s, int again)
{
    /* Files move from new/ to cur/: in this order none is missed for that. */
    lmail_status st = read_dir(s, 0, again);
    return st ? st : read_dir(s, 1, again);
}

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
static lmail_status compare(scan *s, sqlite3_stmt *q, found *f)
{
    md_box *b = s->box;
    md_account *a = b->account;
    int64_t key = sqlite3_column_int64(q, 0);
    lmail_str base = base_of(s, f), suffix = suffix_of(s, f), known = lmi_db_text(q, 3);
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

static lmail_status walk_rows(scan *s)
{
    md_box *b = s->box;
    sqlite3_stmt *q;
    int code = SQLITE_DONE;
    lmail_status st = lmi_md_sql(b->account, MD_SCAN, &q, "ii", lmi_md_key(b->id, 0),
                                 lmi_md_key(b->id, UINT32_MAX));
    while (!st && (code = sqlite3_step(q)) == SQLITE_ROW) {
        found *f = find(s, lmi_db_text(q, 1));
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

/* Read both directories again, until a reading had them to itself. Returns ERR_BUSY if none did. */
static lmail_status read_quietly(scan *s)
{
    const md_box *b = s->box;
    for (unsigned tries = 0; tries < QUIET_TRIES; tries++) {
        int64_t before[2], after[2];
        lmi_md_times(b->account, b->dir, before);
        lmail_status st = read_both(s, 1);
        if (st)
            return st;
        lmi_md_times(b->account, b->dir, after);
        if (before[0] == after[0] && before[1] == after[1])
            return LMAIL_OK;
    }
    return LMAIL_ERR_BUSY;
}

/* What is missing in a quiet reading too is gone. While another program keeps renaming nothing is:
 * the next look decides. */
static lmail_status confirm_missing(scan *s)
{
    if (s->missing.count == 0)
        return LMAIL_OK;
    lmail_status st = read_quietly(s);
    s->unsure = st == LMAIL_ERR_BUSY;
    if (s->unsure)
        st = LMAIL_OK;
    for (size_t i = 0; i < s->missing.count && !st; i++) {
        for (uint64_t uid = s->missing.ranges[i].first; uid <= s->missing.ranges[i].last && !st;
             uid++) {
            md_file_row row;
            st = lmi_md_file_row(s->box, (lmail_uid)uid, &row);
            found *f = st ? NULL : find(s, lmi_str(row.name + 4, row.base_len));
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
static lmail_status skip_gone(scan *s)
{
    sqlite3_stmt *q;
    int code = SQLITE_DONE;
    lmail_status st = lmi_md_sql(s->box->account, MD_GONE_ALL, &q, "i", s->box->id);
    if (st)
        return st;
    while ((code = sqlite3_step(q)) == SQLITE_ROW) {
        found *f = find(s, lmi_db_text(q, 0));
        if (f)
            f->known = 1;
    }
    sqlite3_reset(q);
    return lmi_md_db_status(s->box->account, code);
}

/* ---- New files ------------------------------------------------------------------------------- */

/* A file of ours is linked whole, so one that is shorter than its name says lost its end to a cut of
 * the machine or the disk before anyone was told of it, or another program is copying it. It is no
 * message until it is whole; only after an unclean stop nobody can be writing it any more. 1: leave
 * it out. */
static int torn(scan *s, lmail_str base, const char *path, const struct stat *st)
{
    if (lmi_md_promised(base) <= st->st_size)
        return 0;
    if (s->box->row.suspicious)
        unlink(path);
    else if ((uint64_t)(time(NULL) - st->st_mtime) < GROWING)
        s->growing = 1;
    return 1;
}

static lmail_status add_file(scan *s, found *f)
{
    md_box *b = s->box;
    md_account *a = b->account;
    char path[MD_PATH];
    struct stat st;
    lmail_str name = lmi_str(s->names + f->name, f->len), base = base_of(s, f);
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
    lmail_flags flags = lmi_md_flags_of(suffix_of(s, f), b->row.keyword_count);
    int64_t key = lmi_md_key(b->id, uid);
    int zone;
    lmi_wall_clock(a->store->env, &zone);
    status =
        lmi_md_run(a, MD_MESSAGE_ADD, "iititiiiiiiti", key, b->id, base, (int64_t)f->place,
                   suffix_of(s, f), (int64_t)flags, (int64_t)-1, (int64_t)0, (int64_t)st.st_mtime,
                   (int64_t)zone, (int64_t)st.st_ctime, lmi_str("", 0), (int64_t)0);
    if (!status)
        status = lmi_md_run(a, MD_FLAG_ADD, "iii", key, (int64_t)s->modseq, (int64_t)flags);
    if (!status)
        status = lmail_snapshot_edit_put(s->edit, uid, flags, s->modseq);
    s->arrived = 1;
    return status;
}

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
    const scan *s = user;
    const found *f = *(found *const *)x, *g = *(found *const *)y;
    if (f->uid != g->uid)
        return !f->uid ? 1 : !g->uid ? -1 : f->uid < g->uid ? -1 : 1;
    lmail_str a = base_of(s, f), b = base_of(s, g);
    unsigned long long p = seconds_of(a), q = seconds_of(b);
    if (p != q)
        return p < q ? -1 : 1;
    size_t n = a.len < b.len ? a.len : b.len;
    int c = memcmp(a.ptr, b.ptr, n);
    return c ? c : a.len < b.len ? -1 : a.len > b.len;
}

/* Dovecot's dovecot-uidlist: "uid [fields] :file name". Only when the mailbox is new to us. */
static void import_uids(scan *s)
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
        found *f = base.len ? find(s, base) : NULL;
        if (f && !f->uid)
            f->uid = last = (lmail_uid)uid;
    }
    free(text);
}

static lmail_status add_new(scan *s, found **list, size_t n)
{
    lmail_status st = LMAIL_OK;
    qsort_r(list, n, sizeof *list, by_arrival, s);
    for (size_t i = 0; i < n && !st; i++)
        st = add_file(s, list[i]);
    return st;
}

static size_t list_new(scan *s, found **list)
{
    size_t n = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (!s->files[i].known)
            list[n++] = &s->files[i];
    }
    return n;
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

static lmail_status apply(scan *s, const int64_t times[2], int full)
{
    md_box *b = s->box;
    md_row *r = &b->row;
    int zone;
    lmail_status st = lmi_md_sync(b);
    size_t before_words = r->words_len;
    adopt_keywords(b);
    if (!st)
        st = lmail_snapshot_edit_begin(b->snapshot, &s->edit);
    if (st)
        return st;
    s->modseq = r->modseq + 1;
    if (lmail_snapshot_facts(b->snapshot)->messages == 0)
        import_uids(s);
    st = walk_rows(s);
    if (!st)
        st = confirm_missing(s);
    if (!st)
        st = skip_gone(s);
    found **list = st ? NULL : malloc((s->count + 1) * sizeof(found *));
    if (!st)
        st = list ? add_new(s, list, list_new(s, list)) : LMAIL_ERR_NOMEM;
    free(list);
    if (st)
        return st;
    if (s->changed || s->arrived)
        r->modseq = s->modseq;
    if (s->changed)
        r->changed = s->modseq;
    int64_t now = lmi_wall_clock(b->account->store->env, &zone);
    int again = s->unsure || s->growing;
    r->new_mtime = again || s->fresh[0] ? 0 : times[0];
    r->cur_mtime = again || s->fresh[1] ? 0 : times[1];
    st = lmi_md_numbers(b);
    if (!st && full)
        st = lmi_md_run(b->account, MD_BOX_SCANNED, "ii", now, b->id);
    if (st)
        return st;
    r->scanned = now;
    r->suspicious = 0;
    unsigned raise = b->account->raise;
    st = lmi_md_commit(b->account);
    if (!s->changed && !s->arrived && before_words == r->words_len)
        b->account->raise = raise;
    if (st)
        return st;
    lmail_snapshot_edit *edit = s->edit;
    s->edit = NULL;
    return lmi_md_publish(b, edit);
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
    int64_t times[2];
    lmi_md_times(b->account, b->dir, times);
    if (!force && !b->row.suspicious && times[0] == b->row.new_mtime &&
        times[1] == b->row.cur_mtime)
        return LMAIL_OK;
    scan s = {.box = b, .fresh = {lmi_md_fresh(times[0]), lmi_md_fresh(times[1])}};
    if (!grow_table(&s))
        return LMAIL_ERR_NOMEM;
    atomic_fetch_add_explicit(&b->account->store->scans, 1, memory_order_relaxed);
    lmail_status st = read_both(&s, 0);
    if (!st) {
        uint64_t uids =
            s.count; /* as if all were new; a step is far more than that in most cases */
        if (b->snapshot && lmail_snapshot_facts(b->snapshot)->messages <= uids)
            uids -= lmail_snapshot_facts(b->snapshot)->messages;
        for (int tries = 0; tries < 2; tries++) {
            st = lmi_md_begin(b->account, &b, &uids, 1);
            if (!st)
                st = apply(&s, times, 1);
            lmi_md_rollback(b->account);
            lmail_snapshot_edit_abort(s.edit);
            s.edit = NULL;
            if (st != LMAIL_ERR_LIMIT || uids == s.count)
                break;
            uids = s.count;
            s.changed = s.arrived = 0;
            for (size_t i = 0; i < s.count; i++)
                s.files[i].known = s.files[i].again = 0;
            lmail_uid_list_free(&s.missing);
            lmail_uid_list_free(&s.gone);
            s.missing = s.gone = (lmail_uid_list){0};
        }
        if (st)
            (void)lmi_md_load(b); /* the row again as the index has it */
    }
    if (!st && force)
        sweep_tmp(b);
    lmail_uid_list_free(&s.missing);
    lmail_uid_list_free(&s.gone);
    free(s.slots);
    free(s.files);
    free(s.names);
    return st == LMAIL_ERR_FULL ? LMAIL_OK : st; /* reading goes on without what cannot be noted */
}
