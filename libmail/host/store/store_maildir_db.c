/* store_maildir_db.c - the index: one SQLite file beside each account (WAL).
 *
 * Opening, schema, prepared statements, transactions, the ceilings of UIDs and modseqs. Everything
 * is synchronous=NORMAL but the raising of a ceiling, which is FULL: a number is given out only
 * below a ceiling that is on the disk. An index that is lost or damaged is made anew from the
 * Maildir. Every writing transaction begins IMMEDIATE; no statement stays open when the account is
 * left. */
#include "host/store/store_maildir.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SCHEMA_VERSION 2

static const char schema[] =
    "CREATE TABLE meta(name TEXT PRIMARY KEY,value) WITHOUT ROWID;"
    "CREATE TABLE mailbox(id INTEGER PRIMARY KEY AUTOINCREMENT,dir TEXT NOT NULL UNIQUE,"
    "uidvalidity INTEGER,uidnext INTEGER,uid_ceiling INTEGER,modseq INTEGER,modseq_ceiling INTEGER,"
    "changed INTEGER,recent INTEGER,special INTEGER,objectid TEXT,keywords TEXT,new_mtime INTEGER,"
    "cur_mtime INTEGER,scanned INTEGER,suspicious INTEGER);"
    /* key: mailbox id << 32 | uid */
    "CREATE TABLE flag(key INTEGER PRIMARY KEY,modseq INTEGER,flags INTEGER);"
    "CREATE TABLE message(key INTEGER PRIMARY KEY,mailbox INTEGER,base TEXT,place INTEGER,"
    "suffix TEXT,seen INTEGER,size INTEGER,lf INTEGER,date INTEGER,zone INTEGER,saved INTEGER,"
    "emailid TEXT,summary INTEGER);"
    /* apart from message, so that what asks for names, sizes and dates reads few pages */
    "CREATE TABLE summary(key INTEGER PRIMARY KEY,envelope BLOB,bodystructure BLOB,parts BLOB,"
    "preview BLOB,fields BLOB);"
    "CREATE UNIQUE INDEX message_base ON message(mailbox,base);"
    /* files to unlink, names to follow their flags, UIDs that went */
    "CREATE TABLE gone(id INTEGER PRIMARY KEY,mailbox INTEGER,base TEXT,name TEXT);"
    "CREATE TABLE late(id INTEGER PRIMARY KEY,mailbox INTEGER,first INTEGER,last INTEGER);"
    "CREATE TABLE vanished(mailbox INTEGER,modseq INTEGER,first INTEGER,last INTEGER,"
    "PRIMARY KEY(mailbox,modseq,first)) WITHOUT ROWID;";

/* Version 2: what the account holds, kept by the transactions that change it. */
static const char usage_schema[] =
    "CREATE TABLE usage(id INTEGER PRIMARY KEY,octets INTEGER,messages INTEGER);"
    "INSERT INTO usage SELECT 1,coalesce(sum(size),0),count(*) FROM message;"
    "CREATE TRIGGER usage_in AFTER INSERT ON message BEGIN UPDATE usage SET"
    " octets=octets+coalesce(NEW.size,0),messages=messages+1; END;"
    "CREATE TRIGGER usage_out AFTER DELETE ON message BEGIN UPDATE usage SET"
    " octets=octets-coalesce(OLD.size,0),messages=messages-1; END;"
    "CREATE TRIGGER usage_size AFTER UPDATE OF size ON message BEGIN UPDATE usage SET"
    " octets=octets-coalesce(OLD.size,0)+coalesce(NEW.size,0); END;";

static const char *const texts[MD_SQL_COUNT] = {
#define XX(name, text) text,
    MD_SQL_MAP(XX)
#undef XX
};

/* What the index says of itself: damaged, the next enter puts it aside. A store's callers are told
 * no more than that it could not be read or written. */
static lmail_status noted(md_account *a, lmail_status st)
{
    if (st == LMAIL_ERR_CORRUPT)
        a->damaged = 1;
    return st == LMAIL_ERR_CORRUPT || st == LMAIL_ERR_DENIED || st == LMAIL_ERR_EXISTS
               ? LMAIL_ERR_IO
               : st;
}

lmail_status lmi_md_db_status(md_account *a, int code)
{
    return noted(a, lmi_db_status(code));
}

/* ---- Statements ------------------------------------------------------------------------------ */

lmail_status lmi_md_sql(md_account *a, md_sql which, sqlite3_stmt **out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    lmail_status st = lmi_db_vbind(&a->index, which, out, fmt, args);
    va_end(args);
    return noted(a, st);
}

lmail_status lmi_md_run(md_account *a, md_sql which, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    lmail_status st = lmi_db_vrun(&a->index, which, fmt, args);
    va_end(args);
    return noted(a, st);
}

lmail_status lmi_md_int(md_account *a, md_sql which, int64_t *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    lmail_status st = lmi_db_vint(&a->index, which, out, fmt, args);
    va_end(args);
    return noted(a, st);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static lmail_status index_path(const md_account *a, char path[MD_PATH])
{
    return lmi_md_path(a, path, NULL, NULL, LMAIL_STR("libmail.index"));
}

static lmail_status make_schema(md_account *a)
{
    lmi_db *c = &a->index;
    int v = 0;
    lmail_status st = lmi_db_version(c, &v);
    if (st || v == SCHEMA_VERSION)
        return st;
    if (v != 0 && v != 1)
        return LMAIL_ERR_CORRUPT; /* another program's, or a newer one's: made anew */
    st = lmi_db_exec(c, "BEGIN IMMEDIATE");
    if (!st)
        st = lmi_db_version(c, &v);
    char done[48];
    snprintf(done, sizeof done, "PRAGMA user_version=%d", SCHEMA_VERSION);
    if (!st && v == 0)
        st = lmi_db_exec(c, schema);
    if (!st && v < SCHEMA_VERSION)
        st = lmi_db_exec(c, usage_schema);
    if (!st && v < SCHEMA_VERSION)
        st = lmi_db_exec(c, done);
    if (!st)
        st = lmi_db_exec(c, "COMMIT");
    if (st)
        (void)lmi_db_exec(c, "ROLLBACK");
    return st;
}

/* After a stop of the machine transactions may be lost that were answered: numbers go on from their
 * ceilings, and directories are looked at with suspicion. */
static lmail_status check_boot(md_account *a)
{
    sqlite3_stmt *sql;
    lmail_str boot = lmail_str_from(a->store->boot);
    lmail_status st = lmi_md_sql(a, MD_META_GET, &sql, "t", LMAIL_STR("boot"));
    if (st)
        return st;
    int code = sqlite3_step(sql);
    int same = code == SQLITE_ROW && lmail_str_equal(lmi_db_text(sql, 0), boot);
    sqlite3_reset(sql);
    if ((st = lmi_md_db_status(a, code)) || same)
        return st;
    st = lmi_md_begin_plain(a, 1);
    if (!st)
        st = lmi_md_run(a, MD_AFTER_STOP, "");
    if (!st)
        st = lmi_md_run(a, MD_META_SET, "tt", LMAIL_STR("boot"), boot);
    if (!st)
        return lmi_md_commit(a);
    lmi_md_rollback(a);
    return st;
}

static lmail_status open_once(md_account *a)
{
    char path[MD_PATH];
    struct stat st;
    lmail_status status = index_path(a, path);
    if (status)
        return status;
    /* Made here for its mode; SQLite gives -wal and -shm the same. */
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, a->store->file_mode);
    if (fd < 0)
        return lmi_md_errno();
    int known = fstat(fd, &st) == 0;
    close(fd);
    if (!known)
        return LMAIL_ERR_IO;
    a->dev = st.st_dev;
    a->ino = st.st_ino;
    a->damaged = 0;
    status = lmi_db_open(&a->index, path, SQLITE_OPEN_NOFOLLOW, texts, MD_SQL_COUNT);
    if (!status)
        status = lmi_db_exec(&a->index, a->store->no_sync ? "PRAGMA synchronous=OFF"
                                                          : "PRAGMA synchronous=NORMAL");
    if (!status)
        status = make_schema(a);
    return status ? noted(a, status) : check_boot(a);
}

lmail_status lmi_md_db_open(md_account *a)
{
    dev_t dev = a->dev;
    ino_t ino = a->ino;
    lmail_status st = open_once(a);
    if (st && a->damaged) {
        lmi_md_db_discard(a);
        lmi_md_db_close(a);
        st = open_once(a);
    }
    if (dev != a->dev || ino != a->ino) {
        a->generation++;
        lmi_md_boxes_dead(a);
    }
    return st;
}

void lmi_md_db_close(md_account *a)
{
    for (unsigned i = 0; i < MD_FETCHES && a->fetches; i++)
        sqlite3_finalize(a->fetches[i].sql);
    free(a->fetches);
    a->fetches = NULL;
    lmi_db_close(&a->index);
    a->in_transaction = 0;
}

int lmi_md_db_current(const md_account *a)
{
    char path[MD_PATH];
    struct stat st;
    return !index_path(a, path) && stat(path, &st) == 0 && st.st_ino == a->ino &&
           st.st_dev == a->dev;
}

/* Other processes have it open too: one of them puts it aside, the rest see another inode. */
void lmi_md_db_discard(md_account *a)
{
    char path[MD_PATH], other[MD_PATH];
    int lock = open(a->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0 || index_path(a, path) ||
        lmi_md_path(a, other, NULL, NULL, LMAIL_STR("libmail.index.damaged"))) {
        if (lock >= 0)
            close(lock);
        return;
    }
    if (flock(lock, LOCK_EX) == 0 && lmi_md_db_current(a) && rename(path, other) == 0) {
        if (!lmi_md_path(a, other, NULL, NULL, LMAIL_STR("libmail.index-wal")))
            unlink(other);
        if (!lmi_md_path(a, other, NULL, NULL, LMAIL_STR("libmail.index-shm")))
            unlink(other);
    }
    close(lock);
}

/* ---- Transactions ---------------------------------------------------------------------------- */

static lmail_status full_sync(md_account *a, int on)
{
    if (a->store->no_sync)
        return LMAIL_OK;
    return noted(
        a, lmi_db_exec(&a->index, on ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"));
}

lmail_status lmi_md_begin_plain(md_account *a, int full)
{
    lmail_status st = full ? full_sync(a, 1) : LMAIL_OK;
    if (!st)
        st = lmi_md_run(a, MD_BEGIN, "");
    if (!st)
        a->in_transaction = full ? 2 : 1;
    else if (full)
        (void)full_sync(a, 0);
    return st;
}

lmail_status lmi_md_commit(md_account *a)
{
    unsigned full = a->in_transaction == 2;
    lmail_status st = lmi_md_run(a, MD_COMMIT, "");
    if (st) {
        lmi_md_rollback(a);
        return st;
    }
    a->in_transaction = 0;
    a->raise = 1;
    if (full)
        (void)full_sync(a, 0); /* should it fail, the next commits wait for the disk too */
    return LMAIL_OK;
}

void lmi_md_rollback(md_account *a)
{
    if (!a->in_transaction)
        return;
    unsigned full = a->in_transaction == 2;
    a->in_transaction = 0;
    if (!sqlite3_get_autocommit(a->index.db))
        (void)lmi_md_run(a, MD_ROLLBACK, "");
    if (full)
        (void)full_sync(a, 0);
}

static int under_ceiling(const md_row *r, uint64_t uids)
{
    return r->uidnext + uids <= r->uid_ceiling && r->modseq + 1 < r->modseq_ceiling;
}

/* In a FULL transaction: ceilings with room for these numbers and a step more. */
static lmail_status raise_ceiling(md_box *b, uint64_t uids)
{
    md_row *r = &b->row;
    uint64_t uid = r->uidnext + uids + MD_UID_STEP;
    if (r->uidnext + uids >= UINT32_MAX)
        return LMAIL_ERR_LIMIT;
    if (uid > UINT32_MAX)
        uid = UINT32_MAX;
    if (uid < r->uid_ceiling)
        uid = r->uid_ceiling;
    uint64_t modseq = r->modseq + MD_MODSEQ_STEP;
    if (modseq < r->modseq_ceiling)
        modseq = r->modseq_ceiling;
    r->uid_ceiling = (uint32_t)uid;
    r->modseq_ceiling = modseq;
    return lmi_md_run(b->account, MD_BOX_CEILING, "iii", (int64_t)uid, (int64_t)modseq, b->id);
}

static lmail_status load_all(md_box *const *boxes, size_t count)
{
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < count && !st; i++)
        st = lmi_md_load(boxes[i]);
    return st;
}

lmail_status lmi_md_begin(md_account *a, md_box *const *boxes, const uint64_t *uids, size_t count)
{
    for (int full = 0;; full = !full) {
        lmail_status st = lmi_md_begin_plain(a, full);
        if (st)
            return st;
        st = load_all(boxes, count);
        int enough = 1;
        for (size_t i = 0; i < count && !st; i++) {
            if (under_ceiling(&boxes[i]->row, uids[i]))
                continue;
            enough = 0;
            if (full)
                st = raise_ceiling(boxes[i], uids[i]);
        }
        if (!st && !full && enough)
            return LMAIL_OK;
        if (!st && full) {
            unsigned raise = a->raise;
            st = lmi_md_commit(a);
            a->raise = raise; /* nobody is told: nothing changed that shows */
            if (!st)
                continue;
            return st;
        }
        lmi_md_rollback(a);
        if (st)
            return st;
    }
}
