/* sendmail_rights.c - the group that sendmail is set to, and what a program with more rights than its caller
 * has to be careful of.
 *
 * The group is put down at once and taken for the moments in which a drop is made, named or removed,
 * or smtpd's socket is opened. It is never set to another user. */
#include "sendmail.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static gid_t own, given;
static char guarded[LMAIL_DROP_PATH + 64];
static volatile sig_atomic_t guarding;

static void leave(int signum)
{
    /* The system call itself: what libc makes of it is not for a signal's handler. */
    (void)signum;
    if (guarding) {
        (void)syscall(SYS_setresgid, (gid_t)-1, given, (gid_t)-1);
        (void)unlink(guarded);
    }
    _exit(EX_TEMPFAIL);
}

static void catch_signals(void)
{
    static const int ends[] = {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGALRM, SIGXCPU};
    struct sigaction old, act = {.sa_handler = leave};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(ends[i], &act, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write says so */
    signal(SIGTSTP, SIG_IGN); /* the group must not stand about */
}

/* A drop must not get the number of a descriptor that others take for the standard output. */
static int open_standard(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_WRONLY : O_RDONLY) != fd)
            return -1;
    return 0;
}

int sendmail_rights_begin(void)
{
    struct rlimit none = {0, 0};
    if (open_standard() < 0)
        return EX_OSERR;
    own = getgid();
    given = getegid();
    if (geteuid() != getuid()) {
        sendmail_say("set-user-ID is not how this program is installed: see sendmail(8)");
        return EX_NOPERM;
    }
    if (own != given) {
        clearenv();
        setrlimit(RLIMIT_CORE, &none);
    }
    umask(077);
    sendmail_rights_leave();
    catch_signals();
    return EX_OK;
}

void sendmail_rights_take(void)
{
    if (given != own && setegid(given) < 0)
        _exit(EX_OSERR);
}

void sendmail_rights_leave(void)
{
    if (given != own && setegid(own) < 0)
        _exit(EX_OSERR);
}

void sendmail_rights_drop(void)
{
    if (given != own && setresgid(own, own, own) < 0)
        _exit(EX_OSERR);
    given = own;
}

/* ---- Drops ----------------------------------------------------------------------------------- */

lmail_status sendmail_drop_begin(lmail_drop **out, const char *directory,
                                 const lmail_drop_message *message)
{
    *out = NULL;
    sendmail_rights_take();
    lmail_status st = lmail_drop_begin(out, directory, message);
    sendmail_rights_leave();
    if (st)
        return st;
    strncpy(guarded, lmail_drop_path(*out), sizeof guarded - 1);
    guarding = 1;
    return LMAIL_OK;
}

lmail_status sendmail_drop_end(lmail_drop *d)
{
    sendmail_rights_take();
    lmail_status st = lmail_drop_end(d);
    sendmail_rights_leave();
    guarding = 0;
    return st;
}

void sendmail_drop_cancel(lmail_drop *d)
{
    if (!d)
        return;
    sendmail_rights_take();
    lmail_drop_cancel(d);
    sendmail_rights_leave();
    guarding = 0;
}
