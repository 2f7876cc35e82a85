/* net_machine.c - see the header. */
#include "net_machine.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

lmail_status lmi_random(void *out, size_t n)
{
    char *at = out;
    while (n) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno != EINTR)
            return LMAIL_ERR_IO;
        if (got > 0) {
            at += got;
            n -= (size_t)got;
        }
    }
    return LMAIL_OK;
}

lmail_msec lmi_steady(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (lmail_msec)now.tv_sec * 1000 + (lmail_msec)now.tv_nsec / 1000000;
}

int lmi_socket_is_stale(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(path) >= sizeof(name.sun_path) || lstat(path, &st) || !S_ISSOCK(st.st_mode))
        return 0;
    strcpy(name.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int stale = fd >= 0 &&
                connect(fd, (const struct sockaddr *)(const void *)&name, sizeof(name)) &&
                errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return stale;
}
