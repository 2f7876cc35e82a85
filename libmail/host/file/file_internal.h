/* file_internal.h - files and databases as every room wants them that keeps something on a disk.
 *
 *     file_octets.c     octets of a file, room on a disk, what is durable, what errno means
 *     file_db.c         an SQLite database: opening, statements by number, what its codes mean
 *
 * Called by host/store and host/queue. It knows neither of them: no names, no formats, no tables. */
#ifndef LMI_FILE_INTERNAL_H
#define LMI_FILE_INTERNAL_H

#include <libmail/base.h>
#include <sqlite3.h>
#include <stdarg.h>

/* ---- file_octets.c */

/* What errno means: ERR_FULL, ERR_NOTFOUND, ERR_EXISTS, ERR_DENIED, ERR_LIMIT (a name too long),
 * ERR_NOMEM, ERR_UNSUPPORTED (no link can be made here), ERR_IO. */
lmail_status lmi_file_errno(void);
/* All of it, or an error. */
lmail_status lmi_file_write_all(int fd, const char *octets, size_t n);
/* Octets on their way to a file, in order: small pieces wait until there are many, large ones go at once.
 * used 0: nothing waits. What a failed call had waiting is gone. */
#define LMI_FILE_BUFFER 65536u
typedef struct lmi_file_buffer {
    size_t used;
    char octets[LMI_FILE_BUFFER];
} lmi_file_buffer;
lmail_status lmi_file_put(int fd, lmi_file_buffer *b, const char *octets, size_t n);
lmail_status lmi_file_flush(int fd, lmi_file_buffer *b);
/* As many as there are, up to cap, from an offset; fewer than cap: the file ends there. */
lmail_status lmi_file_read_at(int fd, uint64_t offset, char *buf, size_t cap, size_t *got);
/* ERR_FULL when the file system of path (NULL: of fd) has less than `reserve` left for us. */
lmail_status lmi_file_room(const char *path, int fd, uint64_t reserve);
/* Does fsync of a file make its names durable too? On ext4, whose log is one, all that came before. */
int lmi_file_sync_covers_names(int fd);
/* Names made in a directory become durable. */
lmail_status lmi_file_sync_dir(const char *path);

/* ---- file_db.c */

/* One connection and its statements, which are made when first used. All zero: closed. */
typedef struct lmi_db {
    sqlite3 *db; /* NULL: closed */
    sqlite3_stmt **sql;
    const char *const *texts; /* of the statements; they outlive the connection */
    size_t count;
} lmi_db;

/* What SQLite's codes mean: OK (also SQLITE_ROW and _DONE), ERR_NOMEM, ERR_BUSY, ERR_FULL,
 * ERR_EXISTS (a constraint), ERR_DENIED, ERR_CORRUPT (damaged, or not the tables that are expected),
 * ERR_IO. */
lmail_status lmi_db_status(int code);
/* Open in WAL mode. flags: SQLITE_OPEN_*, of those that say whether it is made and how it is found.
 * On an error it is closed. */
lmail_status lmi_db_open(lmi_db *c, const char *path, int flags, const char *const *texts,
                         size_t count);
void lmi_db_close(lmi_db *c);
/* Statements without results. */
lmail_status lmi_db_exec(lmi_db *c, const char *sql);
/* PRAGMA user_version: 0 when nothing was made yet. */
lmail_status lmi_db_version(lmi_db *c, int *out);

/* A statement, reset and bound. fmt, one letter an argument: i int64_t, t lmail_str as text, b as
 * blob, T as text whose NULL pointer is NULL, n none: NULL. Text may hold any octets. */
lmail_status lmi_db_bind(lmi_db *c, size_t which, sqlite3_stmt **out, const char *fmt, ...);
lmail_status lmi_db_vbind(lmi_db *c, size_t which, sqlite3_stmt **out, const char *fmt,
                          va_list args);
/* Run to its end and reset. */
lmail_status lmi_db_run(lmi_db *c, size_t which, const char *fmt, ...);
lmail_status lmi_db_vrun(lmi_db *c, size_t which, const char *fmt, va_list args);
/* The first column of the first row, or ERR_NOTFOUND. */
lmail_status lmi_db_int(lmi_db *c, size_t which, int64_t *out, const char *fmt, ...);
lmail_status lmi_db_vint(lmi_db *c, size_t which, int64_t *out, const char *fmt, va_list args);
/* A column's octets, until the statement goes on; NULL pointer for NULL and for none. */
lmail_str lmi_db_text(sqlite3_stmt *row, int column);

#endif
