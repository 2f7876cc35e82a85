/* Drops: what is put in comes out; nothing else does. */
#include "host_queue.h"

#include <check.h>
#include <fcntl.h>
#include <libmail/host/drop.h>
#include <libmail/smtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], found[16][80];
static size_t count;

static void setup(void)
{
    strcpy(dir, "/tmp/libmail-drop-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static int keep(void *user, const char *name)
{
    (void)user;
    snprintf(found[count++], sizeof found[0], "%s", name);
    return count == 16;
}

static size_t list(void)
{
    count = 0;
    ck_assert_int_eq(lmail_drop_list(dir, SIZE_MAX, keep, NULL), LMAIL_OK);
    return count;
}

static void leave(const lmail_drop_message *m, const char *text)
{
    lmail_drop *d;
    ck_assert_int_eq(lmail_drop_begin(&d, dir, m), LMAIL_OK);
    ck_assert_uint_eq(list(), 0); /* not whole yet */
    ck_assert_int_eq(lmail_drop_write(d, lmail_str_from(text)), LMAIL_OK);
    ck_assert_int_eq(lmail_drop_end(d), LMAIL_OK);
    ck_assert_uint_eq(list(), 1);
}

START_TEST(test_an_envelope_comes_out_as_it_went_in)
{
    const lmail_str to[] = {LMAIL_STR("a@b.test"), LMAIL_STR("\"x y\"@c.test"), LMAIL_STR("root")};
    lmail_drop_message m = LMAIL_DROP_MESSAGE_INIT;
    lmail_drop_file *f;
    lmail_drop_facts facts;
    char text[64], path[160];
    size_t got;
    m.sender = LMAIL_STR("me@b.test");
    m.sender_given = 1;
    m.notify = LMAIL_SMTP_NOTIFY_FAILURE | LMAIL_SMTP_NOTIFY_DELAY;
    m.ret = LMAIL_SMTP_RET_HDRS;
    m.has_envid = 1;
    m.envid = LMAIL_STR("id 1");
    m.recipients = to;
    m.recipient_count = 3;
    leave(&m, "Subject: x\r\n\r\ncaf\xc3\xa9\r\n");
    ck_assert_int_eq(lmail_drop_open(&f, dir, found[0], 0, &facts), LMAIL_OK);
    ck_assert(lmail_str_equal(facts.message.sender, m.sender));
    ck_assert_uint_eq(facts.message.sender_given, 1);
    ck_assert_uint_eq(facts.message.notify, m.notify);
    ck_assert_uint_eq(facts.message.ret, m.ret);
    ck_assert_uint_eq(facts.message.body, LMAIL_SMTP_BODY_8BITMIME);
    ck_assert(facts.message.has_envid && lmail_str_equal(facts.message.envid, m.envid));
    ck_assert_uint_eq(facts.message.recipient_count, 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert(lmail_str_equal(facts.message.recipients[i], to[i]));
    ck_assert_uint_eq(facts.uid, getuid());
    ck_assert_uint_eq(facts.octets, 21);
    ck_assert_int_eq(lmail_drop_read(f, 9, text, 4, &got), LMAIL_OK);
    ck_assert_uint_eq(got, 4);
    ck_assert_mem_eq(text, "x\r\n\r", 4);
    ck_assert_int_eq(lmail_drop_read(f, 14, text, sizeof text, &got), LMAIL_OK);
    ck_assert_uint_eq(got, 7);
    snprintf(path, sizeof path, "%s/%s", dir, found[0]);
    ck_assert_int_eq(truncate(path, 100), 0);
    ck_assert_int_eq(lmail_drop_read(f, 14, text, sizeof text, &got), LMAIL_ERR_IO);
    lmail_drop_close(f);
    ck_assert_int_eq(lmail_drop_remove(dir, found[0]), LMAIL_OK);
    ck_assert_uint_eq(list(), 0);
}
END_TEST

START_TEST(test_what_an_envelope_may_not_hold)
{
    static char longer[LMAIL_DROP_LINE + 2];
    memset(longer, 'a', sizeof longer - 1);
    const struct {
        lmail_str sender, to, envid;
    } rows[] = {{LMAIL_STR("a\nRb"), LMAIL_STR("x"), LMAIL_STR("")},
                {LMAIL_STR("a"), LMAIL_STR("x\r"), LMAIL_STR("")},
                {LMAIL_STR("a"), LMAIL_STR(""), LMAIL_STR("")},
                {LMAIL_STR("a"), {"x\0y", 3}, LMAIL_STR("")},
                {LMAIL_STR("a"), LMAIL_STR("x"), LMAIL_STR("\x7f")},
                {lmail_str_from(longer), LMAIL_STR("x"), LMAIL_STR("")}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lmail_drop_message m = LMAIL_DROP_MESSAGE_INIT;
        lmail_drop *d;
        m.sender = rows[i].sender;
        m.recipients = &rows[i].to;
        m.recipient_count = 1;
        m.has_envid = 1;
        m.envid = rows[i].envid;
        ck_assert_msg(lmail_drop_begin(&d, dir, &m) == LMAIL_ERR_ARG, "row %zu", i);
    }
    ck_assert_int_eq(rmdir(dir), 0); /* nothing was left */
    ck_assert_int_eq(mkdir(dir, 0700), 0);
}
END_TEST

START_TEST(test_files_that_are_no_drops)
{
    static const struct {
        const char *text;
        lmail_status status;
    } rows[] = {
        {"libmail-drop-1 00000000000000000049 0\nSa\nRb\n\nhi\r\n", LMAIL_OK},
        {"libmail-drop-1 00000000000000000044 0\nS\nRb\n\n", LMAIL_OK},
        {"", LMAIL_ERR_CORRUPT},
        {"libmail-drop-1 00000000000000000000 0\nSa\nRb\n\nhi\r\n", LMAIL_ERR_CORRUPT},
        {"libmail-drop-1 00000000000000000050 0\nSa\nRb\n\nhi\r\n", LMAIL_ERR_CORRUPT},
        {"libmail-drop-2 00000000000000000049 0\nSa\nRb\n\nhi\r\n", LMAIL_ERR_CORRUPT},
        {"libmail-drop-1 00000000000000000049 3\nSa\nRb\n\nhi\r\n", LMAIL_ERR_CORRUPT},
        {"libmail-drop-1 0000000000000000004x 0\nSa\nRb\n\nhi\r\n", LMAIL_ERR_CORRUPT},
        {"libmail-drop-1 99999999999999999999 0\nSa\nRb\n\nhi\r\n", LMAIL_ERR_CORRUPT},
        {"libmail-drop-1 00000000000000000049 0\nRb\nSa\n\nhi\r\n", LMAIL_ERR_CORRUPT},
        {"libmail-drop-1 00000000000000000049 0\nSa\nSb\n\nhi\r\n", LMAIL_ERR_CORRUPT},
        {"libmail-drop-1 00000000000000000049 0\nSa\nQb\n\nhi\r\n", LMAIL_ERR_CORRUPT},
        {"libmail-drop-1 00000000000000000046 0\nSa\n\nhi\r\n", LMAIL_ERR_CORRUPT},
        {"libmail-drop-1 00000000000000000048 0\nSa\nR\n\nhi\r\n", LMAIL_ERR_CORRUPT},
        {"libmail-drop-1 00000000000000000044 0\nSa\nRb\n", LMAIL_ERR_CORRUPT},
        {"libmail-drop-1 00000000000000000053 0\nSa\nN16\nRb\n\nhi\r\n", LMAIL_ERR_CORRUPT},
        {"libmail-drop-1 00000000000000000052 0\nSa\nFx\nRb\n\nhi\r\n", LMAIL_ERR_CORRUPT},
    };
    char path[128];
    snprintf(path, sizeof path, "%s/1.mail", dir);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lmail_drop_file *f = NULL;
        lmail_drop_facts facts;
        FILE *out = fopen(path, "w");
        ck_assert_ptr_nonnull(out);
        ck_assert_int_ge(fputs(rows[i].text, out), 0);
        ck_assert_int_eq(fclose(out), 0);
        lmail_status st = lmail_drop_open(&f, dir, "1.mail", 0, &facts);
        ck_assert_msg(st == rows[i].status, "row %zu: %s", i, lmail_status_name(st));
        lmail_drop_close(f);
    }
}
END_TEST

START_TEST(test_names_that_are_no_files)
{
    const lmail_str to = LMAIL_STR("b");
    lmail_drop_message m = LMAIL_DROP_MESSAGE_INIT;
    lmail_drop_file *f;
    lmail_drop_facts facts;
    char real[160], name[160];
    m.recipients = &to;
    m.recipient_count = 1;
    leave(&m, "x\r\n");
    snprintf(real, sizeof real, "%s/%s", dir, found[0]);
    ck_assert_int_eq(lmail_drop_open(&f, dir, found[0], 2, &facts), LMAIL_ERR_LIMIT);
    snprintf(name, sizeof name, "%s/link.mail", dir);
    ck_assert_int_eq(symlink(real, name), 0);
    ck_assert_int_eq(lmail_drop_open(&f, dir, "link.mail", 0, &facts), LMAIL_ERR_DENIED);
    snprintf(name, sizeof name, "%s/fifo.mail", dir);
    ck_assert_int_eq(mkfifo(name, 0600), 0);
    ck_assert_int_eq(lmail_drop_open(&f, dir, "fifo.mail", 0, &facts), LMAIL_ERR_DENIED);
    snprintf(name, sizeof name, "%s/folder.mail", dir);
    ck_assert_int_eq(mkdir(name, 0700), 0);
    ck_assert_int_eq(lmail_drop_open(&f, dir, "folder.mail", 0, &facts), LMAIL_ERR_DENIED);
    ck_assert_int_eq(lmail_drop_open(&f, dir, "../x.mail", 0, &facts), LMAIL_ERR_ARG);
    ck_assert_int_eq(lmail_drop_open(&f, dir, "none.mail", 0, &facts), LMAIL_ERR_NOTFOUND);
    snprintf(name, sizeof name, "%s/hard.mail", dir);
    ck_assert_int_eq(link(real, name), 0);
    ck_assert_int_eq(lmail_drop_open(&f, dir, "hard.mail", 0, &facts), LMAIL_ERR_DENIED);
    ck_assert_uint_eq(list(), 5);
    for (size_t i = 0; i < 5; i++)
        ck_assert_int_eq(lmail_drop_put_aside(dir, found[i]), LMAIL_OK);
    ck_assert_uint_eq(list(), 0);
    ck_assert_int_eq(lmail_drop_put_aside(dir, "none.mail"), LMAIL_ERR_NOTFOUND);
}
END_TEST

START_TEST(test_a_drop_that_is_given_up_leaves_nothing)
{
    const lmail_str to = LMAIL_STR("b");
    lmail_drop_message m = LMAIL_DROP_MESSAGE_INIT;
    lmail_drop *d;
    m.recipients = &to;
    m.recipient_count = 1;
    ck_assert_int_eq(lmail_drop_begin(&d, dir, &m), LMAIL_OK);
    ck_assert_int_eq(access(lmail_drop_path(d), F_OK), 0);
    lmail_drop_cancel(d);
    lmail_drop_cancel(NULL);
    ck_assert_int_eq(rmdir(dir), 0);
    ck_assert_int_eq(lmail_drop_begin(&d, dir, &m), LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(mkdir(dir, 0700), 0);
}
END_TEST

START_TEST(test_the_directory_is_its_owners_and_its_groups)
{
    char path[96], error[128] = "";
    struct stat st;
    snprintf(path, sizeof path, "%s/drop", dir);
    uint32_t uid = (uint32_t)geteuid(), gid = (uint32_t)getegid();
    ck_assert_int_eq(lmail_drop_prepare(path, uid, gid, error, sizeof error), LMAIL_OK);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 01730);
    ck_assert_int_eq(lmail_drop_prepare(path, uid, gid, error, sizeof error), LMAIL_OK);
    ck_assert_int_eq(chmod(path, 0777), 0);
    ck_assert_int_eq(lmail_drop_prepare(path, uid, gid, error, sizeof error), LMAIL_ERR_DENIED);
    ck_assert_ptr_nonnull(strstr(error, "others may write"));
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(lmail_drop_prepare(path, uid, UINT32_MAX, NULL, 0), LMAIL_OK);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0700);
    ck_assert_int_eq(lmail_drop_prepare(path, uid + 1, gid, NULL, 0), LMAIL_ERR_DENIED);
    snprintf(path, sizeof path, "%s/none/drop", dir);
    ck_assert_int_eq(lmail_drop_prepare(path, uid, gid, NULL, 0), LMAIL_ERR_NOTFOUND);
}
END_TEST

Suite *queue_drop_suite(void)
{
    Suite *s = suite_create("queue_drop");
    TCase *c = tcase_create("drops");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_an_envelope_comes_out_as_it_went_in);
    tcase_add_test(c, test_what_an_envelope_may_not_hold);
    tcase_add_test(c, test_files_that_are_no_drops);
    tcase_add_test(c, test_names_that_are_no_files);
    tcase_add_test(c, test_a_drop_that_is_given_up_leaves_nothing);
    tcase_add_test(c, test_the_directory_is_its_owners_and_its_groups);
    suite_add_tcase(s, c);
    return s;
}
