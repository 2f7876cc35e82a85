/* run_files.c - pid files and state files; see the header. Files appear whole, by rename(2). */
#include "run_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define TEXT(s) (int)(s).len, (s).ptr

static lmail_str pid_setting(const lmail_settings *s, const char *daemon)
{
    return strcmp(daemon, "smtpd") == 0   ? s->smtp.pid_file
           : strcmp(daemon, "imapd") == 0 ? s->imap.pid_file
           : strcmp(daemon, "pop3d") == 0 ? s->pop3.pid_file
           : strcmp(daemon, "authd") == 0 ? s->authd.pid_file
                                          : (lmail_str){NULL, 0};
}

static int in_run_directory(const lmail_settings *s, const char *daemon, const char *kind,
                            char *out, size_t cap)
{
    int n = snprintf(out, cap, "%.*s/%s.%s", TEXT(s->run_directory), daemon, kind);
    return n > 0 && (size_t)n < cap ? 0 : -1;
}

int run_pid_path(const lmail_settings *s, const char *daemon, char *out, size_t cap)
{
    lmail_str set = pid_setting(s, daemon);
    if (set.len == 0)
        return in_run_directory(s, daemon, "pid", out, cap);
    int n = snprintf(out, cap, "%.*s", TEXT(set));
    return n > 0 && (size_t)n < cap ? 0 : -1;
}

int run_state_path(const lmail_settings *s, const char *daemon, char *out, size_t cap)
{
    return in_run_directory(s, daemon, "state", out, cap);
}

/* A new file beside path, that others may read. Returns the descriptor, or -1. */
static int open_beside(const char *path, char *temporary, size_t cap)
{
    int n = snprintf(temporary, cap, "%s.%ld", path, (long)getpid());
    if (n < 0 || (size_t)n >= cap) {
        errno = ENAMETOOLONG;
        return -1;
    }
    unlink(temporary); /* of a process that had this pid and died here */
    int fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd >= 0)
        fchmod(fd, 0644);
    return fd;
}

static int write_all(int fd, const char *text, size_t len)
{
    for (ssize_t n; len > 0; text += n, len -= (size_t)n) {
        n = write(fd, text, len);
        if (n < 0)
            return -1;
    }
    return 0;
}

/* ---- Pid files ------------------------------------------------------------------------------- */

int run_pid_hold(const char *path, char *error, size_t cap)
{
    char temporary[4200], text[32];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    pid_t other;
    if (run_pid_ask(path, &other) == RUN_YES) {
        snprintf(error, cap, "pid_file = %s: process %ld holds it", path, (long)other);
        return EX_CANTCREAT;
    }
    int fd = open_beside(path, temporary, sizeof temporary);
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    /* The descriptor stays open: to close it would give the lock back. */
    if (fd >= 0 && !write_all(fd, text, (size_t)n) && !fcntl(fd, F_SETLK, &lock) &&
        !rename(temporary, path))
        return 0;
    snprintf(error, cap, "pid_file = %s: %s", path, strerror(errno));
    if (fd >= 0) {
        unlink(temporary);
        close(fd);
    }
    return EX_CANTCREAT;
}

run_answer run_pid_ask(const char *path, pid_t *pid)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char text[32] = "";
    *pid = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? RUN_NONE : RUN_UNKNOWN;
    ssize_t n = read(fd, text, sizeof text - 1);
    int failed = n < 0 || fcntl(fd, F_GETLK, &lock);
    close(fd);
    if (failed)
        return RUN_UNKNOWN;
    if (lock.l_type == F_UNLCK) {
        *pid = (pid_t)strtol(text, NULL, 10);
        return RUN_DEAD;
    }
    *pid = lock.l_pid;
    return lock.l_pid > 0 ? RUN_YES : RUN_UNKNOWN;
}

/* ---- State ----------------------------------------------------------------------------------- */

#define STATE_ROOM 6144u

int run_state_write(const char *path, const run_state *s)
{
    char temporary[4200], text[STATE_ROOM];
    int n = snprintf(text, sizeof text,
                     "pid %ld\nstarted %lld\nbegun %lu\nreadings %lu\nfailed %d\nerror %s\n"
                     "pid_file %s\n",
                     s->pid, s->started, s->begun, s->readings, s->failed, s->error, s->pid_file);
    int fd = open_beside(path, temporary, sizeof temporary);
    if (fd < 0)
        return -1;
    int failed = n < 0 || (size_t)n >= sizeof text || write_all(fd, text, (size_t)n);
    if (close(fd) || failed || rename(temporary, path)) {
        unlink(temporary);
        return -1;
    }
    return 0;
}

/* The rest of the line that begins so. */
static void read_line(const char *text, const char *begin, char *out, size_t cap)
{
    const char *at = strstr(text, begin);
    if (!at)
        return;
    at += strlen(begin);
    snprintf(out, cap, "%.*s", (int)strcspn(at, "\n"), at);
}

int run_state_read(const char *path, run_state *s)
{
    char text[STATE_ROOM];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return -1;
    text[n] = '\0';
    *s = (run_state){0};
    if (sscanf(text, "pid %ld\nstarted %lld\nbegun %lu\nreadings %lu\nfailed %d\n", &s->pid,
               &s->started, &s->begun, &s->readings, &s->failed) != 5)
        return -1;
    read_line(text, "\nerror ", s->error, sizeof s->error);
    read_line(text, "\npid_file ", s->pid_file, sizeof s->pid_file);
    return 0;
}
