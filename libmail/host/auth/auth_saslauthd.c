/* Asking a running saslauthd, or authd, whether a password is right.
 *
 * Called by the account sources, on a worker: it waits for the answer, but never longer than it was
 * told to. A connection carries one question. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "auth_internal.h"
#include "auth_mux.h"

void lmail_saslauthd_request_init(lmail_saslauthd_request *request)
{
    *request = (lmail_saslauthd_request)LMAIL_SASLAUTHD_REQUEST_INIT;
}

/* Wait until the descriptor is ready. 1, or 0 when the time is over. */
static int ready(int fd, short events, lmail_msec end)
{
    for (;;) {
        lmail_msec now = lmi_steady();
        struct pollfd p = {fd, events, 0};
        if (now >= end) {
            return 0;
        }
        int n = poll(&p, 1, (int)(end - now));
        if (n > 0) {
            return 1;
        }
        if (n < 0 && errno != EINTR) {
            return 0;
        }
    }
}

/* A descriptor, or -1. A queue that is full empties: it is tried again until the time is over. */
static int reach(lmail_str path, lmail_msec end)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path.len == 0 || path.len >= sizeof to.sun_path) {
        return -1;
    }
    memcpy(to.sun_path, path.ptr, path.len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    while (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        if ((errno != EAGAIN && errno != EINTR) || lmi_steady() >= end) {
            close(fd);
            return -1;
        }
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
    return fd;
}

static int send_all(int fd, const char *octets, size_t len, lmail_msec end)
{
    while (len > 0) {
        ssize_t n = send(fd, octets, len, MSG_NOSIGNAL);
        if (n > 0) {
            octets += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN ? !ready(fd, POLLOUT, end) : errno != EINTR) {
            return 0;
        }
    }
    return 1;
}

static lmail_status read_answer(int fd, lmail_msec end)
{
    char octets[LMI_MUX_ANSWER];
    size_t len = 0;
    int said = -1;
    while (said == -1 && len < sizeof octets && ready(fd, POLLIN, end)) {
        ssize_t n = recv(fd, octets + len, sizeof octets - len, 0);
        if (n <= 0 && !(n < 0 && (errno == EINTR || errno == EAGAIN))) {
            break;
        }
        len += n > 0 ? (size_t)n : 0;
        said = lmi_mux_parse_answer((lmail_str){octets, len});
    }
    return said == 1 ? LMAIL_OK : said == 0 ? LMAIL_ERR_DENIED : LMAIL_ERR_IO;
}

lmail_status lmail_saslauthd_ask(lmail_str path, const lmail_saslauthd_request *given,
                                 uint32_t timeout)
{
    char octets[LMI_MUX_REQUEST];
    lmail_saslauthd_request request = LMAIL_SASLAUTHD_REQUEST_INIT;
    if (given->size > sizeof request) {
        return LMAIL_ERR_SIZE;
    }
    memcpy(&request, given, given->size);
    size_t len = lmi_mux_write_request(&request, octets);
    if (len == 0) {
        return LMAIL_ERR_ARG;
    }
    lmail_msec end = lmi_steady() + timeout;
    lmail_status status = LMAIL_ERR_IO;
    int fd = reach(path, end);
    if (fd >= 0) {
        if (send_all(fd, octets, len, end)) {
            status = read_answer(fd, end);
        }
        close(fd);
    }
    explicit_bzero(octets, sizeof octets);
    return status;
}
