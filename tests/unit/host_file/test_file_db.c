/* An SQLite database and its statements by number. */
#include "host/file/file_internal.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAKE, ADD, KEYS, TEXT, FAULTY, COUNT };

static const char *const texts[COUNT] = {
    [MAKE] = "CREATE TABLE t(id INTEGER PRIMARY KEY,a TEXT,b BLOB,c)",
    [ADD] = "INSERT INTO t VALUES(?,?,?,?)",
    [KEYS] = "SELECT id FROM t WHERE id>=?",
    [TEXT] = "SELECT a,b,c,typeof(a),typeof(b),typeof(c) FROM t WHERE id=?",
    [FAULTY] = "SELECT nothing FROM t",
};

static char dir[64], path[128];
static lmi_db db;

static void setup(void)
{
    strcpy(dir, "/tmp/file_db.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/db", dir);
    ck_assert_int_eq(lmi_db_open(&db, path, SQLITE_OPEN_CREATE, texts, COUNT), LMAIL_OK);
    ck_assert_int_eq(lmi_db_run(&db, MAKE, ""), LMAIL_OK);
}

static void teardown(void)
{
    char command[100];
    lmi_db_close(&db);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(test_arguments_by_letter)
{
    sqlite3_stmt *row;
    lmail_str none = {NULL, 0}, nul = {"a\0b", 3};
    ck_assert_int_eq(lmi_db_run(&db, ADD, "itbn", (int64_t)1, nul, nul), LMAIL_OK);
    ck_assert_int_eq(lmi_db_run(&db, ADD, "iTbT", (int64_t)2, none, none, LMAIL_STR("")), LMAIL_OK);
    ck_assert_int_eq(lmi_db_bind(&db, TEXT, &row, "i", (int64_t)1), LMAIL_OK);
    ck_assert_int_eq(sqlite3_step(row), SQLITE_ROW);
    ck_assert(lmail_str_equal(lmi_db_text(row, 0), nul));
    ck_assert(lmail_str_equal(lmi_db_text(row, 1), nul));
    ck_assert_ptr_null(lmi_db_text(row, 2).ptr);
    ck_assert(lmail_str_equal(lmi_db_text(row, 3), LMAIL_STR("text")));
    ck_assert(lmail_str_equal(lmi_db_text(row, 4), LMAIL_STR("blob")));
    ck_assert(lmail_str_equal(lmi_db_text(row, 5), LMAIL_STR("null")));
    ck_assert_int_eq(lmi_db_bind(&db, TEXT, &row, "i", (int64_t)2), LMAIL_OK);
    ck_assert_int_eq(sqlite3_step(row), SQLITE_ROW);
    ck_assert(lmail_str_equal(lmi_db_text(row, 3), LMAIL_STR("null")));
    ck_assert(lmail_str_equal(lmi_db_text(row, 4), LMAIL_STR("blob")));
    ck_assert(lmail_str_equal(lmi_db_text(row, 5), LMAIL_STR("text")));
    sqlite3_reset(row);
}
END_TEST

START_TEST(test_one_number)
{
    int64_t n = 7;
    ck_assert_int_eq(lmi_db_int(&db, KEYS, &n, "i", (int64_t)0), LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(n, 7);
    ck_assert_int_eq(lmi_db_run(&db, ADD, "innn", (int64_t)5), LMAIL_OK);
    ck_assert_int_eq(lmi_db_int(&db, KEYS, &n, "i", (int64_t)0), LMAIL_OK);
    ck_assert_int_eq(n, 5);
}
END_TEST

START_TEST(test_what_the_codes_mean)
{
    int64_t n;
    ck_assert_int_eq(lmi_db_run(&db, ADD, "innn", (int64_t)5), LMAIL_OK);
    ck_assert_int_eq(lmi_db_run(&db, ADD, "innn", (int64_t)5), LMAIL_ERR_EXISTS);
    ck_assert_int_eq(lmi_db_int(&db, FAULTY, &n, ""), LMAIL_ERR_CORRUPT);
    ck_assert_int_eq(lmi_db_status(SQLITE_IOERR_FSYNC), LMAIL_ERR_IO);
    ck_assert_int_eq(lmi_db_status(SQLITE_FULL), LMAIL_ERR_FULL);
    ck_assert_int_eq(lmi_db_status(SQLITE_BUSY_SNAPSHOT), LMAIL_ERR_BUSY);
    ck_assert_int_eq(lmi_db_status(SQLITE_READONLY_DIRECTORY), LMAIL_ERR_DENIED);
    ck_assert_int_eq(lmi_db_status(SQLITE_NOTADB), LMAIL_ERR_CORRUPT);
}
END_TEST

START_TEST(test_version)
{
    int v = -1;
    ck_assert_int_eq(lmi_db_version(&db, &v), LMAIL_OK);
    ck_assert_int_eq(v, 0);
    ck_assert_int_eq(lmi_db_exec(&db, "PRAGMA user_version=3"), LMAIL_OK);
    ck_assert_int_eq(lmi_db_version(&db, &v), LMAIL_OK);
    ck_assert_int_eq(v, 3);
}
END_TEST

START_TEST(test_a_closed_one_says_so)
{
    sqlite3_stmt *row;
    int64_t n;
    lmi_db closed = {0};
    lmi_db_close(&closed);
    ck_assert_int_eq(lmi_db_run(&closed, ADD, "innn", (int64_t)5), LMAIL_ERR_IO);
    ck_assert_int_eq(lmi_db_int(&closed, KEYS, &n, "i", (int64_t)0), LMAIL_ERR_IO);
    ck_assert_int_eq(lmi_db_bind(&closed, KEYS, &row, "i", (int64_t)0), LMAIL_ERR_IO);
    ck_assert_ptr_null(row);
}
END_TEST

START_TEST(test_what_cannot_be_opened)
{
    lmi_db other;
    char name[200];
    snprintf(name, sizeof name, "%s/none", dir);
    ck_assert_int_eq(lmi_db_open(&other, name, 0, texts, COUNT), LMAIL_ERR_DENIED);
    ck_assert_ptr_null(other.db);
    int fd = open(name, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_eq(write(fd, "this is no database, whatever one may say of it", 47), 47);
    close(fd);
    ck_assert_int_eq(lmi_db_open(&other, name, 0, texts, COUNT), LMAIL_ERR_CORRUPT);
    ck_assert_ptr_null(other.db);
}
END_TEST

Suite *file_db_suite(void);
Suite *file_db_suite(void)
{
    Suite *s = suite_create("file_db");
    TCase *t = tcase_create("db");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_arguments_by_letter);
    tcase_add_test(t, test_one_number);
    tcase_add_test(t, test_what_the_codes_mean);
    tcase_add_test(t, test_version);
    tcase_add_test(t, test_a_closed_one_says_so);
    tcase_add_test(t, test_what_cannot_be_opened);
    suite_add_tcase(s, t);
    return s;
}
