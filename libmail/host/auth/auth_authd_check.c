/* The child that checks one password: forked, bounded, ended.
 *
 * Modules of PAM leak, hang, crash, start programs and are not made for threads; none of that
 * reaches the server when each check has a process of its own. A fork of the small server costs
 * less than the hash that is checked. The child says one word through a pipe; its end without one
 * is "not known". */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth_authd.h"

typedef struct word {
    int status;
    unsigned check;
} word;

/* The first check that knows the login decides. */
static word ask_all(const lmail_authd_check *checks, size_t count,
                    const lmail_saslauthd_request *request)
{
    for (size_t i = 0; i < count; i++) {
        lmail_status status = checks[i].check(checks[i].user, request);
        if (status != LMAIL_ERR_NOTFOUND) {
            return (word){status, (unsigned)i};
        }
    }
    return (word){LMAIL_ERR_NOTFOUND, 0};
}

static void be_child(int out, const lmail_authd_check *checks, size_t count,
                     const lmail_saslauthd_request *request)
{
    static const int usual[] = {SIGPIPE, SIGCHLD, SIGTERM, SIGINT, SIGHUP};
    const struct rlimit none = {0, 0};
    sigset_t empty;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &none);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        signal(usual[i], SIG_DFL);
    }
    sigemptyset(&empty);
    sigprocmask(SIG_SETMASK, &empty, NULL);
    /* Other peers' sockets are none of a module's business. */
    if (out != 3) {
        dup2(out, 3);
    }
    close_range(4, ~0u, 0);
    word w = ask_all(checks, count, request);
    ssize_t written = write(3, &w, sizeof w);
    _exit(written == sizeof w ? 0 : 1);
}

int lmi_child_start(lmi_child *child, const lmail_authd_check *checks, size_t count,
                    const lmail_saslauthd_request *request)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        be_child(ends[1], checks, count, request);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return -1;
    }
    *child = (lmi_child){pid, ends[0]};
    return 0;
}

lmi_verdict lmi_child_end(lmi_child *child)
{
    word w;
    ssize_t n;
    do {
        n = read(child->fd, &w, sizeof w);
    } while (n < 0 && errno == EINTR);
    close(child->fd);
    /* It has said all it had to say; what it may have left running is not waited for. */
    kill(child->pid, SIGKILL);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    *child = (lmi_child){0, -1};
    return n == (ssize_t)sizeof w ? (lmi_verdict){1, w.status, w.check} : (lmi_verdict){0, 0, 0};
}
