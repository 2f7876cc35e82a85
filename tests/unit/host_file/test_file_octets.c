/* Octets of files, and what errno means. */
#include "host/file/file_internal.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    int error;
    lmail_status status;
} meanings[] = {
    {ENOSPC, LMAIL_ERR_FULL},
    {EDQUOT, LMAIL_ERR_FULL},
    {EFBIG, LMAIL_ERR_FULL},
    {ENOENT, LMAIL_ERR_NOTFOUND},
    {ENOTDIR, LMAIL_ERR_NOTFOUND},
    {EEXIST, LMAIL_ERR_EXISTS},
    {ENOTEMPTY, LMAIL_ERR_EXISTS},
    {EACCES, LMAIL_ERR_DENIED},
    {EPERM, LMAIL_ERR_DENIED},
    {EROFS, LMAIL_ERR_DENIED},
    {ENAMETOOLONG, LMAIL_ERR_LIMIT},
    {ENOMEM, LMAIL_ERR_NOMEM},
    {EXDEV, LMAIL_ERR_UNSUPPORTED},
    {EMLINK, LMAIL_ERR_UNSUPPORTED},
    {EOPNOTSUPP, LMAIL_ERR_UNSUPPORTED},
    {EIO, LMAIL_ERR_IO},
    {EBADF, LMAIL_ERR_IO},
};

START_TEST(test_meaning_of_errno)
{
    errno = meanings[_i].error;
    ck_assert_int_eq(lmi_file_errno(), meanings[_i].status);
}
END_TEST

static int temporary(void)
{
    char path[] = "/tmp/file_octets.XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    return fd;
}

START_TEST(test_what_is_written_is_read)
{
    char buf[16];
    size_t got;
    int fd = temporary();
    ck_assert_int_eq(lmi_file_write_all(fd, "abcdef", 6), LMAIL_OK);
    ck_assert_int_eq(lmi_file_write_all(fd, NULL, 0), LMAIL_OK);
    ck_assert_int_eq(lmi_file_read_at(fd, 2, buf, 3, &got), LMAIL_OK);
    ck_assert_uint_eq(got, 3);
    ck_assert_mem_eq(buf, "cde", 3);
    ck_assert_int_eq(lmi_file_read_at(fd, 4, buf, sizeof buf, &got), LMAIL_OK);
    ck_assert_uint_eq(got, 2);
    ck_assert_int_eq(lmi_file_read_at(fd, 6, buf, sizeof buf, &got), LMAIL_OK);
    ck_assert_uint_eq(got, 0);
    close(fd);
    ck_assert_int_eq(lmi_file_read_at(-1, 0, buf, sizeof buf, &got), LMAIL_ERR_IO);
    ck_assert_uint_eq(got, 0);
}
END_TEST

/* A pipe gives and takes in pieces. */
START_TEST(test_a_short_write_goes_on)
{
    static char octets[300000];
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t reader = fork();
    if (reader == 0) {
        char piece[1000];
        size_t sum = 0;
        close(ends[1]);
        for (ssize_t n; (n = read(ends[0], piece, sizeof piece)) > 0;)
            sum += (size_t)n;
        _exit(sum != sizeof octets);
    }
    close(ends[0]);
    ck_assert_int_eq(lmi_file_write_all(ends[1], octets, sizeof octets), LMAIL_OK);
    close(ends[1]);
    int status;
    ck_assert_int_eq(waitpid(reader, &status, 0), reader);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* A file may not grow past a limit: what a full disk does, without one. */
START_TEST(test_a_write_that_does_not_fit)
{
    char octets[100] = "";
    int fd = temporary();
    struct rlimit was, small;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &was);
    small = was;
    small.rlim_cur = 60;
    setrlimit(RLIMIT_FSIZE, &small);
    lmail_status st = lmi_file_write_all(fd, octets, sizeof octets);
    setrlimit(RLIMIT_FSIZE, &was);
    ck_assert_int_eq(st, LMAIL_ERR_FULL);
    close(fd);
}
END_TEST

START_TEST(test_room)
{
    int fd = temporary();
    ck_assert_int_eq(lmi_file_room("/tmp", -1, 1), LMAIL_OK);
    ck_assert_int_eq(lmi_file_room(NULL, fd, 1), LMAIL_OK);
    ck_assert_int_eq(lmi_file_room("/tmp", -1, UINT64_MAX), LMAIL_ERR_FULL);
    ck_assert_int_eq(lmi_file_room(NULL, fd, UINT64_MAX), LMAIL_ERR_FULL);
    ck_assert_int_eq(lmi_file_room("/none", -1, UINT64_MAX), LMAIL_OK); /* not known: not refused */
    ck_assert_int_eq(lmi_file_room("/tmp", -1, 0), LMAIL_OK);
    close(fd);
}
END_TEST

START_TEST(test_sync_of_a_directory)
{
    ck_assert_int_eq(lmi_file_sync_dir("/tmp"), LMAIL_OK);
    ck_assert_int_eq(lmi_file_sync_dir("/tmp/there-is-none"), LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(lmi_file_sync_covers_names(-1), 0);
}
END_TEST

Suite *file_octets_suite(void);
Suite *file_octets_suite(void)
{
    Suite *s = suite_create("file_octets");
    TCase *t = tcase_create("octets");
    tcase_add_loop_test(t, test_meaning_of_errno, 0, sizeof meanings / sizeof *meanings);
    tcase_add_test(t, test_what_is_written_is_read);
    tcase_add_test(t, test_a_short_write_goes_on);
    tcase_add_test(t, test_a_write_that_does_not_fit);
    tcase_add_test(t, test_room);
    tcase_add_test(t, test_sync_of_a_directory);
    suite_add_tcase(s, t);
    return s;
}
