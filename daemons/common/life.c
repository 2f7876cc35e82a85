/* life.c - see the header. */
#include "life.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* ---- The process ----------------------------------------------------------------------------- */

void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void mask_signals(int how)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    sigprocmask(how, &mask, NULL);
}

void hold_signals(void)
{
    mask_signals(SIG_BLOCK);
}

void release_signals(void)
{
    mask_signals(SIG_UNBLOCK);
}

int go_background(const daemon_facts *f, int *ready)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC)) {
        fprintf(stderr, "%s: %s\n", f->name, strerror(errno));
        return EX_OSERR;
    }
    pid_t pid = fork();
    if (pid < 0) {
        fprintf(stderr, "%s: %s\n", f->name, strerror(errno));
        return EX_OSERR;
    }
    if (pid == 0) {
        setsid();
        close(pipes[0]);
        *ready = pipes[1];
        return 0;
    }
    char code = EX_SOFTWARE;
    close(pipes[1]);
    if (read(pipes[0], &code, 1) != 1)
        code = EX_SOFTWARE;
    exit(code);
}

void tell_manager(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, strlen(path));
    if (to.sun_path[0] == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, len);
    close(fd);
}

void leave_starter(void)
{
    struct stat st;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (fstat(STDERR_FILENO, &st) == 0 && !S_ISREG(st.st_mode))
        dup2(null, STDERR_FILENO);
    close(null);
}

void report_ready(int ready, char code)
{
    if (ready < 0)
        return;
    if (code == 0)
        leave_starter();
    ssize_t ignored = write(ready, &code, 1);
    (void)ignored;
    close(ready);
}

void log_event(lmail_log *log, const char *event, const daemon_facts *f)
{
    lmail_log_line l;
    lmail_log_begin(&l, log, LMAIL_LOG_INFO, event);
    lmail_log_text(&l, "daemon", lmail_str_from(f->name));
    lmail_log_text(&l, "version", lmail_str_from(lmail_version()));
    lmail_log_number(&l, "pid", (uint64_t)getpid());
    lmail_log_end(&l);
}

/* ---- What mailctl is told -------------------------------------------------------------------- */

static char *text_of(lmail_str s)
{
    return strndup(s.len ? s.ptr : "", s.len);
}

/* RUN_DIRECTORY, when it is not there and nobody else has made it: for the pid file. */
static void make_run_directory(const lmail_settings *s)
{
    char *path = text_of(s->run_directory);
    mode_t before = umask(022);
    if (path && *path)
        mkdir(path, 0755); /* the pid file says what is wrong */
    umask(before);
    free(path);
}

int report_begin(daemon_report *r, const daemon_facts *f, const lmail_settings *s)
{
    char error[4608] = "run_directory: too long a path";
    int code = EX_CONFIG;
    if (!run_pid_path(s, f->name, r->pid_path, sizeof r->pid_path) &&
        !run_state_path(s, f->name, r->path, sizeof r->path)) {
        make_run_directory(s);
        code = run_pid_hold(r->pid_path, error, sizeof error);
    }
    if (code) {
        fprintf(stderr, "%s: %s\n", f->name, error);
        r->pid_path[0] = '\0';
        return code;
    }
    r->state.pid = getpid();
    r->state.started = time(NULL);
    r->state.begun = r->state.readings = 1;
    snprintf(r->state.pid_file, sizeof r->state.pid_file, "%s", r->pid_path);
    return 0;
}

void daemon_reload_begins(daemon_report *r)
{
    char state[64];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    r->state.begun++;
    run_state_write(r->path, &r->state);
    tell_manager(state);
}

void daemon_reloaded(daemon_report *r, int failed, const char *error)
{
    r->state.readings = r->state.begun;
    r->state.failed = failed;
    snprintf(r->state.error, sizeof r->state.error, "%s", failed ? error : "");
    for (char *at = r->state.error; *at; at++)
        if (*at == '\n' || *at == '\r')
            *at = ' ';
    run_state_write(r->path, &r->state);
    char state[sizeof r->state.error + 64];
    snprintf(state, sizeof state, "READY=1\nSTATUS=%s%s",
             failed ? "the old configuration stays in force: " : "", r->state.error);
    tell_manager(state);
}

int report_write(daemon_report *r, const daemon_facts *f)
{
    if (run_state_write(r->path, &r->state) == 0)
        return 0;
    fprintf(stderr, "%s: %s: %s\n", f->name, r->path, strerror(errno));
    return EX_CANTCREAT;
}

void report_end(const daemon_report *r)
{
    if (!r->pid_path[0])
        return;
    unlink(r->path);
    unlink(r->pid_path);
}

/* ---- Whom root becomes ----------------------------------------------------------------------- */

int identity_find(lmail_owner *out, const daemon_facts *f, const lmail_settings *s)
{
    char error[1024] = "";
    if (!lmail_owner_find(out, s, error, sizeof error))
        return 0;
    fprintf(stderr, "%s: %s\n", f->name, error);
    return EX_CONFIG;
}

#define MAX_GROUPS 256

/* Does the mode let him? what: 4 read, 2 write, 1 pass, added up. */
static int lets(const struct stat *st, const lmail_owner *id, mode_t what)
{
    gid_t groups[MAX_GROUPS] = {id->gid};
    int count = MAX_GROUPS;
    if (id->uid == 0)
        return 1;
    if (st->st_uid == id->uid)
        return (st->st_mode >> 6 & what) == what;
    if (!id->name[0] || getgrouplist(id->name, id->gid, groups, &count) < 0)
        count = 1;
    for (int i = 0; i < count; i++)
        if (groups[i] == st->st_gid)
            return (st->st_mode >> 3 & what) == what;
    return (st->st_mode & what) == what;
}

int identity_reaches(const lmail_owner *id, const lmail_settings *s, char *error, size_t cap)
{
    const struct {
        const char *setting;
        lmail_str path;
        mode_t what;
    } places[] = {{"mail_directory", s->mail_directory, 7},
                  {"run_directory", s->run_directory, 7},
                  {"queue.directory", s->queue.directory, 7},
                  {"accounts", s->accounts, 4}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char path[4096];
        struct stat st;
        int n = snprintf(path, sizeof path, "%.*s", (int)places[i].path.len, places[i].path.ptr);
        if (n <= 0 || (size_t)n >= sizeof path || stat(path, &st) || lets(&st, id, places[i].what))
            continue;
        snprintf(error, cap,
                 "%s: %.300s belongs to uid %lu and is closed to user %s: chown -R %lu:%lu %.300s",
                 places[i].setting, path, (unsigned long)st.st_uid, id->name,
                 (unsigned long)id->uid, (unsigned long)id->gid, path);
        return EX_CONFIG;
    }
    return 0;
}

int identity_become(const lmail_owner *id, const daemon_facts *f)
{
    gid_t gid = id->gid;
    /* A number that no list has belongs to no further groups. */
    int failed = id->name[0] ? initgroups(id->name, gid) : setgroups(1, &gid);
    if (!failed && !setgid(gid) && !setuid(id->uid) && (id->uid == 0 || setuid(0)))
        return 0;
    fprintf(stderr, "%s: cannot become user %s (%lu): %s\n", f->name, id->name,
            (unsigned long)id->uid, strerror(errno));
    return EX_OSERR;
}
