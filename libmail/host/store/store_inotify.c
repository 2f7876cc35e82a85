/* store_inotify.c - see store_inotify.h. Linux has inotify(7); elsewhere there is nothing yet.
 *
 * Watched is what changes a Maildir: a name that comes (rename, link, a file made in place), one that
 * goes, and a file closed after writing, since one that was made in place may have been seen half. */
#include "host/store/store_inotify.h"

#if defined(__linux__)

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/inotify.h>
#include <unistd.h>

#define EVENTS                                                                                     \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE_SELF |       \
     IN_MOVE_SELF | IN_ONLYDIR)

int lmi_inotify_open(void)
{
    return inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

int lmi_inotify_add(int fd, const char *path)
{
    return inotify_add_watch(fd, path, EVENTS);
}

void lmi_inotify_remove(int fd, int number)
{
    (void)inotify_rm_watch(fd, number);
}

void lmi_inotify_read(int fd, void (*fn)(void *user, int number), void *user)
{
    _Alignas(struct inotify_event) char buf[16384];
    for (;;) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        for (size_t at = 0; at < (size_t)n;) {
            const struct inotify_event *e = (const void *)(buf + at);
            if (e->mask & IN_Q_OVERFLOW)
                fn(user, -1);
            else if (!(e->mask & IN_IGNORED))
                fn(user, e->wd);
            at += sizeof *e + e->len;
        }
    }
}

#else

int lmi_inotify_open(void)
{
    return -1;
}

int lmi_inotify_add(int fd, const char *path)
{
    (void)fd;
    (void)path;
    return -1;
}

void lmi_inotify_remove(int fd, int number)
{
    (void)fd;
    (void)number;
}

void lmi_inotify_read(int fd, void (*fn)(void *user, int number), void *user)
{
    (void)fd;
    (void)fn;
    (void)user;
}

#endif
