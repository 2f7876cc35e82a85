/* file_db.c - an SQLite database: opening, statements by number, what its codes mean
 * (file_internal.h).
 *
 * Who opens one has a list of statements; a number in it stands for a statement, which is prepared
 * when first used and kept. Threads: one at a time, the room's own locks see to that. */
#include "host/file/file_internal.h"

#include <stdlib.h>
#include <string.h>

#define BUSY_MS 10000

lmail_status lmi_db_status(int code)
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

/* ---- Opening --------------------------------------------------------------------------------- */

lmail_status lmi_db_open(lmi_db *c, const char *path, int flags, const char *const *texts,
                         size_t count)
{
    *c = (lmi_db){.texts = texts, .count = count};
    c->sql = calloc(count, sizeof *c->sql);
    if (!c->sql)
        return LMAIL_ERR_NOMEM;
    int code = sqlite3_open_v2(
        path, &c->db, flags | SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
        NULL);
    lmail_status st = lmi_db_status(code);
    if (!st) {
        sqlite3_busy_timeout(c->db, BUSY_MS);
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        st = lmi_db_exec(c, "PRAGMA journal_mode=WAL;PRAGMA temp_store=MEMORY");
    }
    if (st)
        lmi_db_close(c);
    return st;
}

void lmi_db_close(lmi_db *c)
{
    for (size_t i = 0; i < c->count && c->sql; i++)
        sqlite3_finalize(c->sql[i]);
    sqlite3_close(c->db);
    free(c->sql);
    *c = (lmi_db){0};
}

lmail_status lmi_db_exec(lmi_db *c, const char *sql)
{
    return lmi_db_status(sqlite3_exec(c->db, sql, NULL, NULL, NULL));
}

lmail_status lmi_db_version(lmi_db *c, int *out)
{
    sqlite3_stmt *row;
    int code = sqlite3_prepare_v2(c->db, "PRAGMA user_version", -1, &row, NULL);
    if (code)
        return lmi_db_status(code);
    code = sqlite3_step(row);
    *out = code == SQLITE_ROW ? sqlite3_column_int(row, 0) : 0;
    sqlite3_finalize(row);
    return lmi_db_status(code);
}

/* ---- Statements ------------------------------------------------------------------------------ */

static int bind_text(sqlite3_stmt *row, int i, lmail_str s, char kind)
{
    if (!s.ptr && kind == 'T')
        return sqlite3_bind_null(row, i);
    const char *p = s.ptr ? s.ptr : "";
    return kind == 'b' ? sqlite3_bind_blob64(row, i, p, s.len, SQLITE_STATIC)
                       : sqlite3_bind_text64(row, i, p, s.len, SQLITE_STATIC, SQLITE_UTF8);
}

static int bind_all(sqlite3_stmt *row, const char *fmt, va_list args)
{
    int code = SQLITE_OK;
    for (int i = 1; *fmt && code == SQLITE_OK; fmt++, i++) {
        switch (*fmt) {
        case 'i':
            code = sqlite3_bind_int64(row, i, va_arg(args, int64_t));
            break;
        case 't':
        case 'T':
        case 'b':
            code = bind_text(row, i, va_arg(args, lmail_str), *fmt);
            break;
        default:
            code = sqlite3_bind_null(row, i);
        }
    }
    return code;
}

lmail_status lmi_db_vbind(lmi_db *c, size_t which, sqlite3_stmt **out, const char *fmt,
                          va_list args)
{
    int code = SQLITE_OK;
    *out = NULL;
    if (!c->db)
        return LMAIL_ERR_IO;
    if (c->sql[which])
        sqlite3_reset(c->sql[which]);
    else
        code = sqlite3_prepare_v3(c->db, c->texts[which], -1, SQLITE_PREPARE_PERSISTENT,
                                  &c->sql[which], NULL);
    if (!code)
        code = bind_all(c->sql[which], fmt, args);
    if (!code)
        *out = c->sql[which];
    return lmi_db_status(code);
}

lmail_status lmi_db_bind(lmi_db *c, size_t which, sqlite3_stmt **out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    lmail_status st = lmi_db_vbind(c, which, out, fmt, args);
    va_end(args);
    return st;
}

lmail_status lmi_db_vrun(lmi_db *c, size_t which, const char *fmt, va_list args)
{
    sqlite3_stmt *row;
    lmail_status st = lmi_db_vbind(c, which, &row, fmt, args);
    if (!st) {
        st = lmi_db_status(sqlite3_step(row));
        sqlite3_reset(row);
    }
    return st;
}

lmail_status lmi_db_run(lmi_db *c, size_t which, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    lmail_status st = lmi_db_vrun(c, which, fmt, args);
    va_end(args);
    return st;
}

lmail_status lmi_db_vint(lmi_db *c, size_t which, int64_t *out, const char *fmt, va_list args)
{
    sqlite3_stmt *row;
    lmail_status st = lmi_db_vbind(c, which, &row, fmt, args);
    if (st)
        return st;
    int code = sqlite3_step(row);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int64(row, 0);
    sqlite3_reset(row);
    return code == SQLITE_DONE ? LMAIL_ERR_NOTFOUND : lmi_db_status(code);
}

lmail_status lmi_db_int(lmi_db *c, size_t which, int64_t *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    lmail_status st = lmi_db_vint(c, which, out, fmt, args);
    va_end(args);
    return st;
}

lmail_str lmi_db_text(sqlite3_stmt *row, int column)
{
    const char *p = sqlite3_column_blob(row, column);
    return (lmail_str){p, p ? (size_t)sqlite3_column_bytes(row, column) : 0};
}
