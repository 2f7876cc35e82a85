/* What is on the disk before what: every sync and every name that goes, in their order.
 *
 * The calls are caught on their way to the system, SQLite's too. A power cut between any two of them
 * must find what was answered (tests/daemons/power_cut_queue.py makes real ones). */
#include "host/queue/queue_internal.h"

#include "host_queue.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Seen by the libraries too. */
#define CATCH __attribute__((visibility("default")))

static qkit kit;
static char story[1024];
static int telling;

static void tell(const char *what, const char *name)
{
    size_t n = strlen(story);
    if (telling)
        snprintf(story + n, sizeof story - n, "%s%s %s", n ? ", " : "", what, name);
}

/* The last part of the path of a descriptor. */
static const char *name_of(int fd)
{
    static char path[256];
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

CATCH int fsync(int fd)
{
    tell("sync", name_of(fd));
    return (int)syscall(SYS_fsync, fd);
}

CATCH int fdatasync(int fd)
{
    tell("sync", name_of(fd));
    return (int)syscall(SYS_fdatasync, fd);
}

CATCH int unlinkat(int dir, const char *name, int flags)
{
    tell("unlink", name);
    return (int)syscall(SYS_unlinkat, dir, name, flags);
}

static void listen_from_here(void)
{
    story[0] = '\0';
    telling = 1;
}

static void setup(void)
{
    telling = 0;
    qkit_start(&kit);
    kit.queue->sync_names = 0;
    /* What only a first commit syncs lies behind us. */
    ck_assert_int_eq(qkit_add(&kit, 0xF, "a@b", "x@far.test"), LMAIL_OK);
}

static void teardown(void)
{
    telling = 0;
    qkit_stop(&kit);
}

static void add_rows(uint64_t id, unsigned pending)
{
    lmail_queue_message m = LMAIL_QUEUE_MESSAGE_INIT;
    lmail_queue_recipient r = {.address = LMAIL_STR("x@c"), .destination = LMAIL_STR("c")};
    m.id = id;
    m.pending = pending;
    m.recipients = &r;
    m.recipient_count = 1;
    ck_assert_int_eq(lmail_queue_add(kit.queue, &m), LMAIL_OK);
}

static lmail_status read_octet(void *ctx, uint64_t offset, char *buf, size_t cap, size_t *got)
{
    (void)ctx;
    (void)cap;
    *got = offset == 0;
    buf[0] = 'x';
    return LMAIL_OK;
}

START_TEST(test_a_copy_then_its_rows)
{
    listen_from_here();
    ck_assert_int_eq(lmail_queue_copy(kit.queue, 1, read_octet, NULL), LMAIL_OK);
    add_rows(1, 0);
    ck_assert_str_eq(story, "sync 1, sync queue.db-wal");
}
END_TEST

START_TEST(test_where_a_sync_does_not_cover_names)
{
    kit.queue->sync_names = 1;
    listen_from_here();
    ck_assert_int_eq(lmail_queue_copy(kit.queue, 1, read_octet, NULL), LMAIL_OK);
    add_rows(1, 0);
    ck_assert_str_eq(story, "sync 1, sync data, sync data, sync queue.db-wal");
    listen_from_here();
    ck_assert_int_eq(lmail_queue_sync(kit.queue, 1), LMAIL_OK);
    ck_assert_str_eq(story, "sync 1, sync data");
}
END_TEST

START_TEST(test_a_pending_message_is_on_the_disk_before_it_is_settled)
{
    qkit_data(&kit, 1, "octets");
    listen_from_here();
    add_rows(1, 1);
    ck_assert_str_eq(story, "sync queue.db-wal");
    ck_assert_int_eq(lmail_queue_sync(kit.queue, 1), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_settle(kit.queue, 1), LMAIL_OK);
    ck_assert_str_eq(story, "sync queue.db-wal, sync 1");
    /* The next one waits for the disk again. */
    listen_from_here();
    ck_assert_int_eq(lmail_queue_hold(kit.queue, 1, LMAIL_STR("why")), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_release(kit.queue, 1), LMAIL_OK);
    ck_assert_str_eq(story, "sync queue.db-wal, sync queue.db-wal");
}
END_TEST

START_TEST(test_further_recipients)
{
    lmail_queue_recipient r = {.address = LMAIL_STR("y@c"), .destination = LMAIL_STR("c")};
    qkit_data(&kit, 1, "octets");
    add_rows(1, 1);
    listen_from_here();
    ck_assert_int_eq(lmail_queue_add_recipients(kit.queue, 1, &r, 1), LMAIL_OK);
    ck_assert_str_eq(story, "sync queue.db-wal");
}
END_TEST

START_TEST(test_rows_go_before_the_file)
{
    ck_assert_int_eq(qkit_add(&kit, 1, "a@b", "x@far.test"), LMAIL_OK);
    ck_assert_int_eq(qkit_add(&kit, 2, "a@b", "x@far.test"), LMAIL_OK);
    listen_from_here();
    ck_assert_int_eq(lmail_queue_remove(kit.queue, 1), LMAIL_OK);
    ck_assert_str_eq(story, "sync queue.db-wal, unlink 1");
    listen_from_here();
    ck_assert_int_eq(lmail_queue_cancel(kit.queue, 2), LMAIL_OK);
    ck_assert_str_eq(story, "sync queue.db-wal, unlink 2");
}
END_TEST

START_TEST(test_what_is_found_pending_is_synced_before_it_is_settled)
{
    qkit_data(&kit, 1, "octets");
    add_rows(1, 1);
    qkit_close(&kit);
    listen_from_here();
    ck_assert_int_eq(qkit_open(&kit), LMAIL_OK);
    ck_assert_ptr_nonnull(strstr(story, "sync 1"));
    ck_assert_str_eq(qkit_ids(&kit, NULL), "1 F");
}
END_TEST

START_TEST(test_no_sync_means_none)
{
    qkit_close(&kit);
    kit.config.no_sync = 1;
    listen_from_here();
    ck_assert_int_eq(qkit_open(&kit), LMAIL_OK);
    ck_assert_int_eq(lmail_queue_copy(kit.queue, 1, read_octet, NULL), LMAIL_OK);
    add_rows(1, 0);
    ck_assert_str_eq(story, "");
}
END_TEST

Suite *queue_syncs_suite(void);
Suite *queue_syncs_suite(void)
{
    Suite *s = suite_create("queue_syncs");
    TCase *c = tcase_create("syncs");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_a_copy_then_its_rows);
    tcase_add_test(c, test_where_a_sync_does_not_cover_names);
    tcase_add_test(c, test_a_pending_message_is_on_the_disk_before_it_is_settled);
    tcase_add_test(c, test_further_recipients);
    tcase_add_test(c, test_rows_go_before_the_file);
    tcase_add_test(c, test_what_is_found_pending_is_synced_before_it_is_settled);
    tcase_add_test(c, test_no_sync_means_none);
    suite_add_tcase(s, c);
    return s;
}
