/* store_notice.c - telling other processes that an account changed (libmail/host/store.h).
 *
 * RUN/notice is a mapped file: counters, then the ids of the processes that listen, each with a
 * datagram socket RUN/notice.ID. The counter is the truth. A datagram only wakes, and Linux drops
 * it when eleven wait; that is no error. Called by stores after each commit; read by the
 * service. */
#include "host/store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTENERS 64u

typedef struct table {
    atomic_uint counters[LMAIL_NOTICE_SLOTS];
    atomic_uint last_id;
    atomic_uint listeners[LISTENERS]; /* ids, 0: free */
} table;

struct lmail_notice {
    table *table;
    int mapped; /* else from calloc */
    int fd;     /* datagram socket or -1 */
    unsigned id;
    char dir[sizeof((struct sockaddr_un *)0)->sun_path - 24];
};

static void address(const lmail_notice *n, unsigned id, struct sockaddr_un *out)
{
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    snprintf(out->sun_path, sizeof out->sun_path, "%s/notice.%u", n->dir, id);
}

/* Map RUN/notice, made at its full size when it is new. */
static lmail_status map_table(lmail_notice *n)
{
    char path[sizeof n->dir + 16];
    snprintf(path, sizeof path, "%s/notice", n->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
    if (fd < 0)
        return LMAIL_ERR_IO;
    struct stat st;
    void *p = MAP_FAILED;
    if (fstat(fd, &st) == 0 &&
        (st.st_size >= (off_t)sizeof(table) || ftruncate(fd, sizeof(table)) == 0))
        p = mmap(NULL, sizeof(table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED)
        return LMAIL_ERR_IO;
    n->table = p;
    n->mapped = 1;
    return LMAIL_OK;
}

/* A socket of our own and a place in the list. Without a place we are not woken; the counters still
 * tell. */
static lmail_status listen_for_wakes(lmail_notice *n)
{
    struct sockaddr_un a;
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (n->fd < 0)
        return LMAIL_ERR_IO;
    do {
        n->id = atomic_fetch_add(&n->table->last_id, 1) + 1;
    } while (n->id == 0);
    address(n, n->id, &a);
    unlink(a.sun_path);
    if (bind(n->fd, (struct sockaddr *)&a, sizeof a) < 0)
        return LMAIL_ERR_IO;
    for (unsigned i = 0; i < LISTENERS; i++) {
        unsigned none = 0;
        if (atomic_compare_exchange_strong(&n->table->listeners[i], &none, n->id))
            break;
    }
    return LMAIL_OK;
}

lmail_status lmail_notice_open(const char *run_dir, lmail_notice **out)
{
    lmail_notice *n = calloc(1, sizeof *n);
    if (!n)
        return LMAIL_ERR_NOMEM;
    n->fd = -1;
    lmail_status st = LMAIL_OK;
    if (!run_dir) {
        n->table = calloc(1, sizeof *n->table);
        st = n->table ? LMAIL_OK : LMAIL_ERR_NOMEM;
    } else if (strlen(run_dir) >= sizeof n->dir) {
        st = LMAIL_ERR_ARG;
    } else {
        strcpy(n->dir, run_dir);
        st = map_table(n);
        if (!st)
            st = listen_for_wakes(n);
    }
    if (st) {
        lmail_notice_close(n);
        return st;
    }
    *out = n;
    return LMAIL_OK;
}

void lmail_notice_close(lmail_notice *n)
{
    if (!n)
        return;
    if (n->fd >= 0) {
        struct sockaddr_un a;
        for (unsigned i = 0; n->id && i < LISTENERS; i++) {
            unsigned own = n->id;
            atomic_compare_exchange_strong(&n->table->listeners[i], &own, 0);
        }
        close(n->fd);
        address(n, n->id, &a);
        if (n->id)
            unlink(a.sun_path);
    }
    if (n->mapped)
        munmap(n->table, sizeof *n->table);
    else
        free(n->table);
    free(n);
}

unsigned lmail_notice_slot(lmail_str account)
{
    uint64_t h = lmi_hash(account);
    h ^= h >> 32;
    h ^= h >> 16;
    return (unsigned)(h & (LMAIL_NOTICE_SLOTS - 1));
}

uint32_t lmail_notice_value(const lmail_notice *n, unsigned slot)
{
    return atomic_load_explicit(&n->table->counters[slot % LMAIL_NOTICE_SLOTS],
                                memory_order_acquire);
}

void lmail_notice_raise(lmail_notice *n, unsigned slot)
{
    slot %= LMAIL_NOTICE_SLOTS;
    atomic_fetch_add_explicit(&n->table->counters[slot], 1, memory_order_acq_rel);
    if (n->fd < 0)
        return;
    for (unsigned i = 0; i < LISTENERS; i++) {
        unsigned id = atomic_load_explicit(&n->table->listeners[i], memory_order_relaxed);
        if (id == 0 || id == n->id)
            continue;
        struct sockaddr_un a;
        uint32_t word = slot;
        address(n, id, &a);
        if (sendto(n->fd, &word, sizeof word, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&a,
                   sizeof a) < 0 &&
            (errno == ECONNREFUSED || errno == ENOENT)) {
            /* its process ended without a word */
            if (atomic_compare_exchange_strong(&n->table->listeners[i], &id, 0))
                unlink(a.sun_path);
        }
    }
}

int lmail_notice_fd(const lmail_notice *n)
{
    return n->fd;
}

lmail_status lmail_notice_take(lmail_notice *n, unsigned *slot)
{
    uint32_t word;
    while (n->fd >= 0) {
        ssize_t got = recv(n->fd, &word, sizeof word, MSG_DONTWAIT);
        if (got < 0)
            break;
        if (got == sizeof word && word < LMAIL_NOTICE_SLOTS) {
            *slot = word;
            return LMAIL_OK;
        }
    }
    return LMAIL_END;
}
