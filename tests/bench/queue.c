/* links: host - the queue alone: messages a second that are safe on the disk, and opening a long one.
 *
 *     bench_queue [DIRECTORY]      on the disk to measure; default: the working directory
 *
 * A message of 1 KiB comes as in smtpd: a spool file without a name is written, linked, synced, and
 * its rows are added. Prints figures; judges nothing. */
#include "disk.h"

#include <libmail/host/queue.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONG_QUEUE 200000u

static lmail_queue *queue;
static char dir[BENCH_DIR];
static char letter[1024];
static atomic_uint_fast64_t last_id;

static void open_queue(unsigned no_sync)
{
    lmail_queue_config c = LMAIL_QUEUE_CONFIG_INIT;
    c.directory = dir;
    c.keeper = 1;
    c.no_sync = no_sync;
    bench_check(lmail_queue_open(&queue, &c, NULL, 0), "open");
}

static void write_data(uint64_t id, int sync)
{
    char path[LMAIL_QUEUE_PATH], proc[40];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    lmail_queue_path(queue, id, path);
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, letter, sizeof letter) != sizeof letter ||
        linkat(AT_FDCWD, proc, AT_FDCWD, path, AT_SYMLINK_FOLLOW) || (sync && fsync(fd))) {
        perror("data file");
        exit(1);
    }
    close(fd);
}

static void add(int sync)
{
    lmail_queue_recipient r = {.address = LMAIL_STR("somebody@example.org"),
                               .destination = LMAIL_STR("example.org")};
    lmail_queue_message m = LMAIL_QUEUE_MESSAGE_INIT;
    m.id = atomic_fetch_add(&last_id, 1) + 0x65A0F12345678;
    m.sender = LMAIL_STR("author@example.net");
    m.client = LMAIL_STR("192.0.2.1");
    m.octets = sizeof letter;
    m.arrived = (int64_t)(m.id / 1000);
    m.recipients = &r;
    m.recipient_count = 1;
    write_data(m.id, sync);
    bench_check(lmail_queue_add(queue, &m), "add");
}

static void *work(void *arg)
{
    for (unsigned n = (unsigned)(uintptr_t)arg; n > 0; n--)
        add(1);
    return NULL;
}

static void clients(unsigned count, unsigned messages)
{
    pthread_t threads[64];
    double t = bench_seconds(), c = bench_cpu();
    for (unsigned i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)(messages / count));
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    t = bench_seconds() - t;
    printf("%2u clients  %7.0f messages/s   %.3f ms CPU a message\n", count, messages / t,
           (bench_cpu() - c) * 1e3 / messages);
}

static int nothing(void *user, const lmail_queue_message *m)
{
    (void)m;
    ++*(unsigned *)user;
    return 0;
}

static void long_queue(void)
{
    lmail_queue_counts counts;
    lmail_queue_filter f = LMAIL_QUEUE_FILTER_INIT;
    unsigned seen = 0;
    uint64_t next = 0;
    lmail_queue_free(queue);
    open_queue(1);
    while (atomic_load(&last_id) < LONG_QUEUE)
        add(0);
    lmail_queue_free(queue);
    double t = bench_seconds();
    open_queue(0);
    printf("open with %u messages: %.0f ms\n", LONG_QUEUE, (bench_seconds() - t) * 1e3);
    t = bench_seconds();
    bench_check(lmail_queue_count(queue, &counts), "count");
    printf("count: %.1f ms\n", (bench_seconds() - t) * 1e3);
    t = bench_seconds();
    do
        bench_check(lmail_queue_list(queue, NULL, next, 0, nothing, &seen, &next), "list");
    while (next);
    printf("list of %u: %.0f ms\n", seen, (bench_seconds() - t) * 1e3);
    f.recipient = LMAIL_STR("nobody@*");
    t = bench_seconds();
    bench_check(lmail_queue_list(queue, &f, 0, 0, nothing, &seen, &next), "list");
    printf("list of none by recipient: %.0f ms\n", (bench_seconds() - t) * 1e3);
    clients(10, 5000);
}

int main(int argc, char **argv)
{
    bench_directory(dir, "bench_queue", argc > 1 ? argv[1] : NULL);
    memset(letter, 'x', sizeof letter);
    open_queue(0);
    clients(1, 1000);
    clients(10, 10000);
    clients(50, 20000);
    long_queue();
    lmail_queue_free(queue);
    return bench_remove(dir);
}
