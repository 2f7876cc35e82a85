/* store_maildir_db.c - the index: one SQLite file beside each account (WAL).
 *
 * Opening, schema, prepared statements, transactions, the ceilings of UIDs and modseqs. Everything
 * is synchronous=NORMAL but the raising of a ceiling, which is FULL: a number is given out only
 * below a ceiling that is on the disk. An index that is lost or damaged is made anew from the
 * Maildir. Every writing transaction begins IMMEDIATE; no statement stays open when the account is
 * left. */
#include "host/store/store_maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SCHEMA_VERSION 1
#define BUSY_MS 10000

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

static const char *const texts[MD_SQL_COUNT] = {
#define XX(name, text) text,
    MD_SQL_MAP(XX)
#undef XX
};

lmail_status lmi_md_db_status(md_account *a, int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return LMAIL_OK;
    case SQLITE_NOMEM:
        return LMAIL_ERR_NOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return LMAIL_ERR_BUSY;
    case SQLITE_FULL:
        return LMAIL_ERR_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_SCHEMA:
    case SQLITE_MISMATCH:
    case SQLITE_ERROR:
        a->damaged = 1; /* the next enter puts it aside */
        return LMAIL_ERR_IO;
    default:
        return LMAIL_ERR_IO;
    }
}

/* ---- Statements ------------------------------------------------------------------------------ */

static int bind(sqlite3_stmt *st, const char *fmt, va_list args)
{
    int code = SQLITE_OK;
    for (int i = 1; *fmt && code == SQLITE_OK; fmt++, i++) {
        lmail_str s;
        switch (*fmt) {
        case 'i':
            code = sqlite3_bind_int64(st, i, va_arg(args, int64_t));
            break;
        case 't':
            s = va_arg(args, lmail_str);
            code =
                sqlite3_bind_text64(st, i, s.ptr ? s.ptr : "", s.len, SQLITE_STATIC, SQLITE_UTF8);
            break;
        case 'b':
            s = va_arg(args, lmail_str);
            code = sqlite3_bind_blob64(st, i, s.ptr ? s.ptr : "", s.len, SQLITE_STATIC);
            break;
        default:
            code = sqlite3_bind_null(st, i);
        }
    }
    return code;
}

static int prepare(md_account *a, md_sql which)
{
    if (a->sql[which])
        return sqlite3_reset(a->sql[which]), SQLITE_OK;
    return sqlite3_prepare_v3(a->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, &a->sql[which],
                              NULL);
}

lmail_status lmi_md_sql(md_account *a, md_sql which, sqlite3_stmt **out, const char *fmt, ...)
{
    int code = prepare(a, which);
    if (code == SQLITE_OK) {
        va_list args;
        va_start(args, fmt);
        code = bind(a->sql[which], fmt, args);
        va_end(args);
        *out = a->sql[which];
    }
    return lmi_md_db_status(a, code);
}

lmail_status lmi_md_run(md_account *a, md_sql which, const char *fmt, ...)
{
    int code = prepare(a, which);
    if (code == SQLITE_OK) {
        va_list args;
        va_start(args, fmt);
        code = bind(a->sql[which], fmt, args);
        va_end(args);
    }
    if (code == SQLITE_OK) {
        code = sqlite3_step(a->sql[which]);
        sqlite3_reset(a->sql[which]);
    }
    return lmi_md_db_status(a, code);
}

lmail_status lmi_md_int(md_account *a, md_sql which, int64_t *out, const char *fmt, ...)
{
    int code = prepare(a, which), row = 0;
    if (code == SQLITE_OK) {
        va_list args;
        va_start(args, fmt);
        code = bind(a->sql[which], fmt, args);
        va_end(args);
    }
    if (code == SQLITE_OK) {
        code = sqlite3_step(a->sql[which]);
        row = code == SQLITE_ROW;
        if (row)
            *out = sqlite3_column_int64(a->sql[which], 0);
        sqlite3_reset(a->sql[which]);
    }
    lmail_status st = lmi_md_db_status(a, code);
    return st ? st : row ? LMAIL_OK : LMAIL_ERR_NOTFOUND;
}

lmail_str lmi_md_text(sqlite3_stmt *st, int column)
{
    const char *p = sqlite3_column_blob(st, column);
    return lmi_str(p, p ? (size_t)sqlite3_column_bytes(st, column) : 0);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static lmail_status index_path(const md_account *a, char path[MD_PATH])
{
    return lmi_md_path(a, path, NULL, NULL, LMAIL_STR("libmail.index"));
}

static int exec(md_account *a, const char *sql)
{
    return sqlite3_exec(a->db, sql, NULL, NULL, NULL);
}

static int set_up(md_account *a)
{
    int code;
    sqlite3_busy_timeout(a->db, BUSY_MS);
    sqlite3_db_config(a->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(a->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(a->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if ((code = exec(a, "PRAGMA journal_mode=WAL")) || (code = exec(a, "PRAGMA temp_store=MEMORY")))
        return code;
    return exec(a, a->store->no_sync ? "PRAGMA synchronous=OFF" : "PRAGMA synchronous=NORMAL");
}

static int version(md_account *a, int *out)
{
    sqlite3_stmt *st;
    int code = sqlite3_prepare_v2(a->db, "PRAGMA user_version", -1, &st, NULL);
    if (code)
        return code;
    code = sqlite3_step(st);
    *out = code == SQLITE_ROW ? sqlite3_column_int(st, 0) : 0;
    sqlite3_finalize(st);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

static int make_schema(md_account *a)
{
    int v = 0, code = version(a, &v);
    if (code || v == SCHEMA_VERSION)
        return code;
    if (v != 0)
        return SQLITE_NOTADB; /* another program's, or a newer one's: made anew */
    if ((code = exec(a, "BEGIN IMMEDIATE")) || (code = version(a, &v)))
        return code;
    char done[48];
    snprintf(done, sizeof done, "PRAGMA user_version=%d", SCHEMA_VERSION);
    if (v == 0 && !(code = exec(a, schema)))
        code = exec(a, done);
    if (code) {
        exec(a, "ROLLBACK");
        return code;
    }
    return exec(a, "COMMIT");
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
    int same = code == SQLITE_ROW && lmail_str_equal(lmi_md_text(sql, 0), boot);
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
        return errno == ENOSPC   ? LMAIL_ERR_FULL
               : errno == ENOENT ? LMAIL_ERR_NOTFOUND
                                 : LMAIL_ERR_IO;
    int known = fstat(fd, &st) == 0;
    close(fd);
    if (!known)
        return LMAIL_ERR_IO;
    a->dev = st.st_dev;
    a->ino = st.st_ino;
    a->damaged = 0;
    int code = sqlite3_open_v2(path, &a->db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                                   SQLITE_OPEN_EXRESCODE,
                               NULL);
    if (code == SQLITE_OK)
        code = set_up(a);
    if (code == SQLITE_OK)
        code = make_schema(a);
    status = lmi_md_db_status(a, code);
    return status ? status : check_boot(a);
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
    for (unsigned i = 0; i < MD_SQL_COUNT; i++) {
        sqlite3_finalize(a->sql[i]);
        a->sql[i] = NULL;
    }
    for (unsigned i = 0; i < MD_FETCHES; i++) {
        sqlite3_finalize(a->fetches[i]);
        a->fetches[i] = NULL;
    }
    sqlite3_close(a->db);
    a->db = NULL;
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
    return lmi_md_db_status(a,
                            exec(a, on ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"));
}

lmail_status lmi_md_begin_plain(md_account *a, int full)
{
    lmail_status st = full ? full_sync(a, 1) : LMAIL_OK;
    if (!st)
        st = lmi_md_run(a, MD_BEGIN, "");
    if (!st)
        a->in_transaction = full ? 2 : 1;
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
    return full ? full_sync(a, 0) : LMAIL_OK;
}

void lmi_md_rollback(md_account *a)
{
    if (!a->in_transaction)
        return;
    unsigned full = a->in_transaction == 2;
    a->in_transaction = 0;
    if (!sqlite3_get_autocommit(a->db))
        lmi_md_run(a, MD_ROLLBACK, "");
    if (full)
        full_sync(a, 0);
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
