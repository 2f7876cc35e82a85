/* queue_db.c - the database: opening, schema, prepared statements, what SQLite's codes mean.
 *
 * The tables hold all that a sender of the messages needs. A recipient's key is its message and its
 * place in it, so that those of one message lie together; who is due is found through an index of
 * the waiting ones by destination. Text may hold any octets. */
#include "host/queue/queue_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SCHEMA_VERSION 1
#define BUSY_MS 10000

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE message(id INTEGER PRIMARY KEY,sender TEXT NOT NULL,flags INTEGER NOT NULL,"
    "body INTEGER NOT NULL,ret INTEGER NOT NULL,envid TEXT,auth TEXT,submitter TEXT NOT NULL,"
    "client TEXT NOT NULL,local_address TEXT NOT NULL,octets INTEGER NOT NULL,"
    "header INTEGER NOT NULL,arrived INTEGER NOT NULL,priority INTEGER NOT NULL,"
    "held INTEGER NOT NULL,reason TEXT NOT NULL,pending INTEGER NOT NULL);"
    "CREATE TABLE recipient(message INTEGER NOT NULL,number INTEGER NOT NULL,address TEXT NOT NULL,"
    "route TEXT NOT NULL,destination TEXT NOT NULL,notify INTEGER NOT NULL,orcpt TEXT,"
    "state INTEGER NOT NULL,next INTEGER NOT NULL,attempts INTEGER NOT NULL,last INTEGER NOT NULL,"
    "warned INTEGER NOT NULL,code INTEGER NOT NULL,enhanced TEXT NOT NULL,reply TEXT NOT NULL,"
    "host TEXT NOT NULL,PRIMARY KEY(message,number)) WITHOUT ROWID;"
    "CREATE INDEX recipient_waiting ON recipient(destination,next) WHERE state=0;"
    "PRAGMA user_version=1;"
    "COMMIT";

static const char *const texts[QUEUE_SQL_COUNT] = {
#define XX(name, text) text,
    LMI_QUEUE_SQL_MAP(XX)
#undef XX
};

lmail_status lmi_queue_code(int code)
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
    case SQLITE_CONSTRAINT:
        return LMAIL_ERR_EXISTS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
        return LMAIL_ERR_DENIED;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_SCHEMA:
    case SQLITE_MISMATCH:
    case SQLITE_ERROR: /* a table or a column is not there */
        return LMAIL_ERR_CORRUPT;
    default:
        return LMAIL_ERR_IO;
    }
}

/* ---- Statements ------------------------------------------------------------------------------ */

static int bind_text(sqlite3_stmt *st, int i, lmail_str s, int may_be_null)
{
    if (!s.ptr && may_be_null)
        return sqlite3_bind_null(st, i);
    return sqlite3_bind_text64(st, i, s.ptr ? s.ptr : "", s.len, SQLITE_STATIC, SQLITE_UTF8);
}

static int bind_all(sqlite3_stmt *st, const char *fmt, va_list args)
{
    int code = SQLITE_OK;
    for (int i = 1; *fmt && code == SQLITE_OK; fmt++, i++) {
        switch (*fmt) {
        case 'i':
            code = sqlite3_bind_int64(st, i, va_arg(args, int64_t));
            break;
        case 't':
        case 'T':
            code = bind_text(st, i, va_arg(args, lmail_str), *fmt == 'T');
            break;
        default:
            code = sqlite3_bind_null(st, i);
        }
    }
    return code;
}

static lmail_status bind(queue_db *c, lmi_queue_sql which, const char *fmt, va_list args)
{
    int code = SQLITE_OK;
    if (c->sql[which])
        sqlite3_reset(c->sql[which]);
    else
        code = sqlite3_prepare_v3(c->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT,
                                  &c->sql[which], NULL);
    return lmi_queue_code(code ? code : bind_all(c->sql[which], fmt, args));
}

lmail_status lmi_queue_bind(queue_db *c, lmi_queue_sql which, sqlite3_stmt **out, const char *fmt,
                            ...)
{
    va_list args;
    va_start(args, fmt);
    lmail_status st = bind(c, which, fmt, args);
    va_end(args);
    *out = st ? NULL : c->sql[which];
    return st;
}

lmail_status lmi_queue_run(queue_db *c, lmi_queue_sql which, int *changes, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    lmail_status st = bind(c, which, fmt, args);
    va_end(args);
    if (!st) {
        st = lmi_queue_code(sqlite3_step(c->sql[which]));
        sqlite3_reset(c->sql[which]);
    }
    if (changes)
        *changes = st ? 0 : sqlite3_changes(c->db);
    return st;
}

lmail_status lmi_queue_int(queue_db *c, lmi_queue_sql which, int64_t *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    lmail_status st = bind(c, which, fmt, args);
    va_end(args);
    if (st)
        return st;
    int code = sqlite3_step(c->sql[which]);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int64(c->sql[which], 0);
    sqlite3_reset(c->sql[which]);
    return code == SQLITE_DONE ? LMAIL_ERR_NOTFOUND : lmi_queue_code(code);
}

/* ---- Opening --------------------------------------------------------------------------------- */

lmail_status lmi_queue_db_open(queue_db *c, const char *path, int make, int no_sync)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (make ? SQLITE_OPEN_CREATE : 0);
    int code = sqlite3_open_v2(path, &c->db, flags, NULL);
    if (!code) {
        sqlite3_extended_result_codes(c->db, 1);
        sqlite3_busy_timeout(c->db, BUSY_MS);
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        code = sqlite3_exec(c->db, "PRAGMA journal_mode=WAL;PRAGMA temp_store=MEMORY", NULL, NULL,
                            NULL);
    }
    if (!code)
        code = sqlite3_exec(c->db, no_sync ? "PRAGMA synchronous=OFF" : "PRAGMA synchronous=FULL",
                            NULL, NULL, NULL);
    lmail_status st = lmi_queue_code(code);
    if (st)
        lmi_queue_db_close(c);
    return st;
}

void lmi_queue_db_close(queue_db *c)
{
    for (size_t i = 0; i < QUEUE_SQL_COUNT; i++)
        sqlite3_finalize(c->sql[i]);
    sqlite3_close(c->db);
    memset(c, 0, sizeof *c);
}

static lmail_status version(queue_db *c, int *out)
{
    sqlite3_stmt *st;
    int code = sqlite3_prepare_v2(c->db, "PRAGMA user_version", -1, &st, NULL);
    if (code)
        return lmi_queue_code(code);
    code = sqlite3_step(st);
    *out = code == SQLITE_ROW ? sqlite3_column_int(st, 0) : 0;
    sqlite3_finalize(st);
    return lmi_queue_code(code);
}

lmail_status lmi_queue_schema(queue_db *c, int make)
{
    int have;
    lmail_status st = version(c, &have);
    if (st)
        return st;
    if (have > SCHEMA_VERSION)
        return LMAIL_ERR_UNSUPPORTED;
    if (have == SCHEMA_VERSION)
        return LMAIL_OK;
    if (!make)
        return LMAIL_ERR_NOTFOUND;
    int code = sqlite3_exec(c->db, schema, NULL, NULL, NULL);
    if (!code)
        return LMAIL_OK;
    sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    /* Another keeper was faster? */
    st = version(c, &have);
    return st ? st : have == SCHEMA_VERSION ? LMAIL_OK : lmi_queue_code(code);
}
