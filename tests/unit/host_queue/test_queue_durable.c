/* What a queue does when things go wrong: stops at any moment, full disks, damage, several
 * processes and threads. */
#include "host/queue/queue_internal.h"

#include "host_queue.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static qkit kit;

static void setup(void)
{
    qkit_start(&kit);
}

static void teardown(void)
{
    qkit_stop(&kit);
}

static void add(uint64_t id)
{
    ck_assert_int_eq(qkit_add(&kit, id, "a@b", "x@far.test y@near.test"), LMAIL_OK);
}

static void sql(const char *text)
{
    ck_assert_int_eq(sqlite3_exec(kit.queue->write.db, text, NULL, NULL, NULL), SQLITE_OK);
}

static void unlink_data(const char *id)
{
    char tail[64];
    snprintf(tail, sizeof tail, "data/%s", id);
    ck_assert_int_eq(unlink(qkit_path(&kit, tail)), 0);
}

/* ---- Opening --------------------------------------------------------------------------------- */

START_TEST(test_what_cannot_be_opened)
{
    lmail_queue *q;
    lmail_queue_config c = LMAIL_QUEUE_CONFIG_INIT;
    char error[600], path[600];
    ck_assert_int_eq(lmail_queue_open(&q, &c, error, sizeof error), LMAIL_ERR_ARG);
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    c.directory = path;
    ck_assert_int_eq(lmail_queue_open(&q, &c, error, sizeof error), LMAIL_ERR_ARG);
    c.size++;
    ck_assert_int_eq(lmail_queue_open(&q, &c, NULL, 0), LMAIL_ERR_SIZE);
    /* No queue: who does not keep it makes none. */
    c.size--;
    snprintf(path, sizeof path, "%s/none", kit.dir);
    ck_assert_int_eq(lmail_queue_open(&q, &c, error, sizeof error), LMAIL_ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(error, "there is no queue"));
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(lmail_queue_open(&q, &c, NULL, 0), LMAIL_ERR_NOTFOUND);
    c.keeper = 1;
    ck_assert_int_eq(lmail_queue_open(&q, &c, NULL, 0), LMAIL_OK);
    lmail_queue_free(q);
    lmail_queue_free(NULL);
}
END_TEST

START_TEST(test_a_newer_version_is_left_alone)
{
    add(1);
    sql("PRAGMA user_version=3");
    qkit_close(&kit);
    ck_assert_int_eq(qkit_open(&kit), LMAIL_ERR_UNSUPPORTED);
    ck_assert_uint_eq(kit.damaged, 0);
    ck_assert(qkit_has_data(&kit, 1));
}
END_TEST

START_TEST(test_files_are_the_owners_alone)
{
    struct stat st;
    static const char *const names[] = {"queue.db", "queue.db-wal", "queue.db-shm", "lock", "data"};
    umask(0);
    qkit_stop(&kit);
    qkit_start(&kit);
    add(1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ck_assert_int_eq(stat(qkit_path(&kit, names[i]), &st), 0);
        ck_assert_msg((st.st_mode & 077) == 0, "%s", names[i]);
    }
}
END_TEST

/* ---- After a stop ---------------------------------------------------------------------------- */

START_TEST(test_rows_and_files_are_compared)
{
    for (uint64_t id = 1; id <= 6; id++)
        add(id);
    unlink_data("2"); /* its file never came to the disk */
    unlink_data("6");
    sql("UPDATE message SET pending=1 WHERE id IN(3,4)");
    qkit_data(&kit, 4, "hel"); /* cut short */
    qkit_data(&kit, 0x10, "no row");
    qkit_data(&kit, 1, "longer than the row says");
    FILE *f = fopen(qkit_path(&kit, "data/note.txt"), "w"); /* not ours */
    fclose(f);
    qkit_close(&kit);
    ck_assert_int_eq(qkit_open(&kit), LMAIL_OK);
    ck_assert_str_eq(qkit_ids(&kit, NULL), "1 3 5");
    ck_assert_uint_eq(kit.unanswered, 3);
    ck_assert(!qkit_has_data(&kit, 4));
    ck_assert_uint_eq(kit.debris, 0); /* it is young */
    ck_assert(qkit_has_data(&kit, 0x10));
    qkit_close(&kit);
    kit.config.debris_age = 1;
    usleep(1100000);
    ck_assert_int_eq(qkit_open(&kit), LMAIL_OK);
    ck_assert_uint_eq(kit.debris, 1);
    ck_assert_uint_eq(kit.unanswered, 0);
    ck_assert(!qkit_has_data(&kit, 0x10));
    ck_assert_int_eq(access(qkit_path(&kit, "data/note.txt"), F_OK), 0);
    ck_assert_str_eq(qkit_ids(&kit, NULL), "1 3 5");
}
END_TEST

START_TEST(test_a_kill_in_the_middle_loses_no_answer)
{
    int answers[2];
    uint64_t answered = 0, id;
    ck_assert_int_eq(pipe(answers), 0);
    qkit_close(&kit);
    pid_t child = fork();
    if (child == 0) {
        if (qkit_open(&kit))
            _exit(1);
        for (id = 1;; id++)
            if (qkit_add(&kit, id, "a@b", "x@far.test") || write(answers[1], &id, sizeof id) < 0)
                _exit(1);
    }
    close(answers[1]);
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(read(answers[0], &answered, sizeof answered), sizeof answered);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    while (read(answers[0], &id, sizeof id) == sizeof id)
        answered = id;
    close(answers[0]);
    ck_assert_int_eq(qkit_open(&kit), LMAIL_OK);
    for (id = 1; id <= answered; id++) {
        ck_assert_str_eq(qkit_row(&kit, id), "a@b; x@far.test");
        ck_assert(qkit_has_data(&kit, id));
    }
    ck_assert_str_eq(qkit_row(&kit, answered + 2), "-");
}
END_TEST

/* ---- Damage ---------------------------------------------------------------------------------- */

static void damage(off_t from)
{
    char junk[64];
    struct stat st;
    sql("PRAGMA wal_checkpoint(TRUNCATE)");
    qkit_close(&kit);
    memset(junk, 0x5a, sizeof junk);
    int fd = open(qkit_path(&kit, "queue.db"), O_RDWR);
    ck_assert_int_eq(fstat(fd, &st), 0);
    for (off_t at = from; at < st.st_size; at += (off_t)sizeof junk)
        ck_assert_int_eq(pwrite(fd, junk, sizeof junk, at), sizeof junk);
    close(fd);
}

START_TEST(test_a_damaged_database_is_put_aside_with_its_files)
{
    static const off_t froms[] = {0, 4096, 8192};
    char name[LMAIL_QUEUE_PATH + 32];
    add(1);
    add(2);
    damage(froms[_i]);
    kit.config.keeper = 0;
    ck_assert_int_eq(qkit_open(&kit) == LMAIL_OK, _i > 0); /* it looks no further than it must */
    qkit_close(&kit);
    ck_assert_int_eq(access(qkit_path(&kit, "data/1"), F_OK), 0);
    kit.config.keeper = 1;
    ck_assert_int_eq(qkit_open(&kit), LMAIL_OK);
    ck_assert_uint_eq(kit.damaged, 1);
    ck_assert_str_eq(qkit_ids(&kit, NULL), "");
    snprintf(name, sizeof name, "%s/data/2", kit.aside);
    ck_assert_int_eq(access(name, F_OK), 0);
    snprintf(name, sizeof name, "%s/queue.db", kit.aside);
    ck_assert_int_eq(access(name, F_OK), 0);
    add(1); /* and it goes on */
    qkit_close(&kit);
    kit.config.debris_age = 1;
    usleep(1100000);
    ck_assert_int_eq(qkit_open(&kit), LMAIL_OK);
    ck_assert_uint_eq(kit.damaged + kit.debris, 0);
    ck_assert_str_eq(qkit_ids(&kit, NULL), "1");
    snprintf(name, sizeof name, "%s/data/2", kit.aside);
    ck_assert_int_eq(access(name, F_OK), 0);
}
END_TEST

/* ---- Full disks ------------------------------------------------------------------------------ */

static int writes_left = INT32_MAX;

static ssize_t failing_pwrite(int fd, const void *buf, size_t n, off_t at)
{
    if (writes_left-- > 0)
        return pwrite(fd, buf, n, at);
    errno = ENOSPC;
    return -1;
}

static int rows_of_messages(void)
{
    sqlite3_stmt *row;
    ck_assert_int_eq(sqlite3_prepare_v2(kit.queue->read.db,
                                        "SELECT count(DISTINCT id) FROM (SELECT id FROM message"
                                        " UNION ALL SELECT message FROM recipient)",
                                        -1, &row, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(row), SQLITE_ROW);
    int n = sqlite3_column_int(row, 0);
    sqlite3_finalize(row);
    return n;
}

START_TEST(test_every_write_may_fail)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)failing_pwrite);
    vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)failing_pwrite);
    add(1);
    int failed = 0;
    for (int n = 0; n < 40; n++) {
        uint64_t id = (uint64_t)n + 2;
        writes_left = n;
        lmail_status st = qkit_add(&kit, id, "a@b", "x@far.test");
        writes_left = INT32_MAX;
        if (st) {
            failed++;
            ck_assert_int_eq(st, LMAIL_ERR_FULL);
            ck_assert_str_eq(qkit_row(&kit, id), "-");
            ck_assert(!qkit_has_data(&kit, id));
            ck_assert_int_eq(qkit_add(&kit, id, "a@b", "x@far.test"), LMAIL_OK);
        }
        ck_assert_str_eq(qkit_row(&kit, id), "a@b; x@far.test");
    }
    ck_assert_int_gt(failed, 2);
    /* What was refused does not come back from the log. */
    writes_left = 3;
    lmail_status last = qkit_add(&kit, 0x1000, "a@b", "x@far.test");
    writes_left = INT32_MAX;
    qkit_close(&kit);
    ck_assert_int_eq(qkit_open(&kit), LMAIL_OK);
    ck_assert_str_eq(qkit_row(&kit, 0x1000), last ? "-" : "a@b; x@far.test");
    ck_assert_str_eq(qkit_row(&kit, 41), "a@b; x@far.test");
    vfs->xSetSystemCall(vfs, NULL, NULL);
}
END_TEST

/* A message that is taken back while nothing can be written leaves rows that nobody sees; they go with
 * the next change that can. */
START_TEST(test_rows_of_a_full_disk_go_with_the_next_change)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    lmail_queue_message m = LMAIL_QUEUE_MESSAGE_INIT;
    lmail_queue_recipient r = {.address = LMAIL_STR("x@c"), .destination = LMAIL_STR("c")};
    m.id = 7;
    m.pending = 1;
    m.recipients = &r;
    m.recipient_count = 1;
    qkit_data(&kit, 7, "octets");
    ck_assert_int_eq(lmail_queue_add(kit.queue, &m), LMAIL_OK);
    add(8);
    vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)failing_pwrite);
    vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)failing_pwrite);
    writes_left = 0;
    ck_assert_int_eq(lmail_queue_settle(kit.queue, 7), LMAIL_ERR_FULL);
    ck_assert_int_eq(lmail_queue_cancel(kit.queue, 7), LMAIL_ERR_FULL);
    ck_assert_int_eq(lmail_queue_remove(kit.queue, 8), LMAIL_ERR_FULL);
    ck_assert(!qkit_has_data(&kit, 7));
    ck_assert(!qkit_has_data(&kit, 8));
    ck_assert_int_eq(rows_of_messages(), 2);
    writes_left = INT32_MAX;
    add(9);
    ck_assert_int_eq(rows_of_messages(), 1);
    ck_assert_str_eq(qkit_ids(&kit, NULL), "9");
    vfs->xSetSystemCall(vfs, NULL, NULL);
}
END_TEST

START_TEST(test_the_reserve_is_kept)
{
    qkit_close(&kit);
    kit.config.reserve = UINT64_MAX / 2;
    ck_assert_int_eq(qkit_open(&kit), LMAIL_OK);
    ck_assert_int_eq(qkit_add(&kit, 1, "a@b", "x@c"), LMAIL_ERR_FULL);
    ck_assert(!qkit_has_data(&kit, 1));
    ck_assert_str_eq(qkit_row(&kit, 1), "-");
}
END_TEST

/* ---- Data files ------------------------------------------------------------------------------ */

typedef struct source {
    size_t octets, fail_at;
} source;

static lmail_status read_source(void *ctx, uint64_t offset, char *buf, size_t cap, size_t *got)
{
    const source *s = ctx;
    *got = 0;
    if (offset >= s->fail_at)
        return LMAIL_ERR_IO;
    for (; *got < cap && offset + *got < s->octets; ++*got)
        buf[*got] = (char)('a' + (offset + *got) % 26);
    return LMAIL_OK;
}

START_TEST(test_copy_and_read)
{
    static const size_t sizes[] = {0, 1, 32767, 32768, 32769, 100000};
    char buf[40000];
    size_t got;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        source s = {sizes[i], SIZE_MAX};
        uint64_t id = i + 1, whole = 0;
        ck_assert_int_eq(lmail_queue_copy(kit.queue, id, read_source, &s), LMAIL_OK);
        ck_assert_int_eq(lmail_queue_copy(kit.queue, id, read_source, &s), LMAIL_ERR_EXISTS);
        ck_assert_int_eq(lmail_queue_sync(kit.queue, id), LMAIL_OK);
        do {
            ck_assert_int_eq(lmail_queue_read(kit.queue, id, whole, buf, sizeof buf, &got),
                             LMAIL_OK);
            for (size_t n = 0; n < got; n++)
                ck_assert_int_eq(buf[n], (char)('a' + (whole + n) % 26));
            whole += got;
        } while (got == sizeof buf);
        ck_assert_uint_eq(whole, sizes[i]);
    }
    source bad = {100000, 40000};
    ck_assert_int_eq(lmail_queue_copy(kit.queue, 99, read_source, &bad), LMAIL_ERR_IO);
    ck_assert(!qkit_has_data(&kit, 99));
    ck_assert_int_eq(lmail_queue_sync(kit.queue, 99), LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(lmail_queue_read(kit.queue, 99, 0, buf, 1, &got), LMAIL_ERR_NOTFOUND);
}
END_TEST

/* ---- Several at once ------------------------------------------------------------------------- */

START_TEST(test_two_handles_see_each_other)
{
    qkit tool = kit;
    add(1);
    tool.config.keeper = 0;
    ck_assert_int_eq(qkit_open(&tool), LMAIL_OK);
    ck_assert_str_eq(qkit_ids(&tool, NULL), "1");
    add(2);
    ck_assert_str_eq(qkit_ids(&tool, NULL), "1 2");
    ck_assert_int_eq(lmail_queue_hold(tool.queue, 2, LMAIL_STR("why")), LMAIL_OK);
    ck_assert_str_eq(qkit_row(&kit, 2), "a@b held=1:why; x@far.test,y@near.test");
    ck_assert_int_eq(lmail_queue_remove(tool.queue, 1), LMAIL_OK);
    ck_assert_str_eq(qkit_ids(&kit, NULL), "2");
    qkit_close(&tool);
    /* A second keeper finds the first one's half-done message and leaves it alone. */
    sql("UPDATE message SET pending=1");
    unlink_data("2");
    qkit second = kit;
    second.config.user = &second;
    ck_assert_int_eq(qkit_open(&second), LMAIL_OK);
    ck_assert_uint_eq(second.unanswered, 0);
    ck_assert_str_eq(qkit_row(&second, 2), "a@b pending held=1:why; x@far.test,y@near.test");
    qkit_close(&second);
}
END_TEST

enum { THREADS = 8, EACH = 30 };
static lmail_status statuses[THREADS];
static pthread_barrier_t together;

static void *add_many(void *arg)
{
    uint64_t n = (uint64_t)(uintptr_t)arg;
    static const lmail_queue_recipient r = {.address = {"x@far.test", 10}};
    lmail_queue_message m = LMAIL_QUEUE_MESSAGE_INIT;
    m.recipients = &r;
    m.recipient_count = 1;
    pthread_barrier_wait(&together);
    for (uint64_t i = 1; i <= EACH && !statuses[n]; i++) {
        m.id = n * 1000 + i;
        statuses[n] = lmail_queue_add(kit.queue, &m);
        if (!statuses[n] && i % 3 == 0)
            statuses[n] = lmail_queue_remove(kit.queue, m.id);
    }
    return NULL;
}

START_TEST(test_threads_write_at_once)
{
    pthread_t threads[THREADS];
    lmail_queue_counts c;
    pthread_barrier_init(&together, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, add_many, (void *)i);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(statuses[i], LMAIL_OK);
    }
    ck_assert_int_eq(lmail_queue_count(kit.queue, &c), LMAIL_OK);
    ck_assert_uint_eq(c.messages, THREADS * EACH * 2 / 3);
    ck_assert_uint_eq(c.recipients, THREADS * EACH * 2 / 3);
}
END_TEST

static void *add_one(void *arg)
{
    static char large[5000];
    uint64_t id = (uint64_t)(uintptr_t)arg;
    lmail_queue_recipient r = {.address = {"x@far.test", 10}};
    lmail_queue_message m = LMAIL_QUEUE_MESSAGE_INIT;
    memset(large, 'x', sizeof large);
    m.id = id;
    m.recipients = &r;
    m.recipient_count = 1;
    if (id == 2)
        r.reply = (lmail_str){large, sizeof large};
    statuses[id] = lmail_queue_add(kit.queue, &m);
    return NULL;
}

static size_t waiting(void)
{
    size_t n = 0;
    pthread_mutex_lock(&kit.queue->wait_lock);
    for (void **op = (void **)kit.queue->ops; op; op = *op) /* next comes first */
        n++;
    pthread_mutex_unlock(&kit.queue->wait_lock);
    return n;
}

START_TEST(test_none_suffers_for_another)
{
    pthread_t threads[4];
    sqlite3_limit(kit.queue->write.db, SQLITE_LIMIT_LENGTH, 2000);
    pthread_mutex_lock(&kit.queue->write_lock);
    for (uintptr_t i = 1; i < 4; i++)
        pthread_create(&threads[i], NULL, add_one, (void *)i);
    while (waiting() < 3)
        usleep(1000);
    pthread_mutex_unlock(&kit.queue->write_lock);
    for (int i = 1; i < 4; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(statuses[i] == LMAIL_OK, i != 2);
    }
    ck_assert_str_eq(qkit_ids(&kit, NULL), "1 3");
}
END_TEST

Suite *queue_durable_suite(void)
{
    Suite *s = suite_create("queue_durable");
    TCase *c = tcase_create("durable");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_what_cannot_be_opened);
    tcase_add_test(c, test_a_newer_version_is_left_alone);
    tcase_add_test(c, test_files_are_the_owners_alone);
    tcase_add_test(c, test_rows_and_files_are_compared);
    tcase_add_test(c, test_a_kill_in_the_middle_loses_no_answer);
    tcase_add_loop_test(c, test_a_damaged_database_is_put_aside_with_its_files, 0, 3);
    tcase_add_test(c, test_every_write_may_fail);
    tcase_add_test(c, test_rows_of_a_full_disk_go_with_the_next_change);
    tcase_add_test(c, test_the_reserve_is_kept);
    tcase_add_test(c, test_copy_and_read);
    tcase_add_test(c, test_two_handles_see_each_other);
    tcase_add_test(c, test_threads_write_at_once);
    tcase_add_test(c, test_none_suffers_for_another);
    suite_add_tcase(s, c);
    return s;
}
