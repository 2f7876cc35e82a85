/* What mailctl does to one daemon: start it and wait until it serves, end it and wait until it has
 * ended, have it read its configuration again and hear what became of that.
 *
 * The daemons stand beside mailctl. A process is known by a descriptor (pidfd_open(2)) taken while
 * it held the lock, so a signal never reaches another program. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/diagnostic.h"
#include "common/run_files.h"
#include "mailctl_service.h"

#define START_WAIT 60000 /* milliseconds */
#define RELOAD_WAIT 60000
#define STOP_MARGIN 3000 /* beyond stop_timeout */
#define STEP 10

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- The configuration ----------------------------------------------------------------------- */

/* Of a faulty file, the lines that say where pid files are: enough to tell what runs and to end it. ctx:
 * set when it includes others, in which they may stand too. */
static lmail_status open_paths(void *ctx, lmail_str name, lmail_str *octets)
{
    static const char *const keys[] = {"run_directory", "stop_timeout",  "smtp.pid_file",
                                       "imap.pid_file", "pop3.pid_file", "authd.pid_file"};
    char *path = strndup(name.ptr, name.len), *out = NULL, line[8192];
    size_t size = 0;
    FILE *in = path ? fopen(path, "re") : NULL, *text = open_memstream(&out, &size);
    while (in && text && fgets(line, sizeof line, in)) {
        *(int *)ctx |= strncmp(line + strspn(line, " \t"), "include", 7) == 0;
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
            const char *at = line + strspn(line, " \t");
            size_t len = strlen(keys[i]);
            if (strncmp(at, keys[i], len) == 0 && strchr(" \t=", at[len]))
                fputs(line, text);
        }
    }
    if (in)
        fclose(in);
    if (text)
        fclose(text);
    free(path);
    *octets = (lmail_str){out, size};
    return out ? LMAIL_OK : LMAIL_ERR_NOMEM;
}

static void close_paths(void *ctx, lmail_str octets)
{
    (void)ctx;
    free((void *)(size_t)octets.ptr);
}

int service_open(service_call *c)
{
    c->absent = c->call->config_given && access(c->call->config, F_OK) != 0;
    c->config = mailctl_load_config_as(c->call, 0, c->quiet);
    if (!c->config) {
        lmail_config_io io = LMAIL_CONFIG_IO_INIT;
        io.ctx = &c->unsure;
        io.open = open_paths;
        io.close = close_paths;
        c->faulty = 1;
        lmail_str path = c->absent ? (lmail_str){NULL, 0} : lmail_str_from(c->call->config);
        if (lmail_config_load(&c->config, path, &io, NULL) &&
            lmail_config_load(&c->config, (lmail_str){NULL, 0}, &io, NULL)) {
            mailctl_say("out of memory");
            return SERVICE_FAILED;
        }
    }
    c->settings = lmail_config_settings(c->config);
    return SERVICE_OK;
}

int service_pid_path(const service_call *c, const char *daemon, char *out, size_t cap)
{
    run_state state;
    if (!run_state_path(c->settings, daemon, out, cap) && run_state_read(out, &state) == 0 &&
        state.pid_file[0] && access(state.pid_file, F_OK) == 0)
        return snprintf(out, cap, "%s", state.pid_file) < 0;
    return run_pid_path(c->settings, daemon, out, cap);
}

void service_close(service_call *c)
{
    lmail_config_free(c->config);
}

/* ---- Starting -------------------------------------------------------------------------------- */

/* The daemon stands where this program stands. */
static int program_of(const char *daemon, char *out, size_t cap)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;
    if (!slash)
        return -1;
    *slash = '\0';
    int len = snprintf(out, cap, "%s/%s", self, daemon);
    return len > 0 && (size_t)len < cap ? 0 : -1;
}

static void run_child(const service_call *c, const char *program, const char *daemon,
                      const char *option, int error)
{
    /* Warnings are mailctl's to say, once. */
    const char *argv[7] = {daemon, option, "-qq"};
    size_t n = 3;
    if (c->call->config_given || access(c->call->config, F_OK) == 0) {
        argv[n++] = "-c";
        argv[n++] = c->call->config;
    }
    argv[n] = NULL;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(error, STDERR_FILENO);
    execv(program, (char *const *)(size_t)argv);
    dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
    _exit(127);
}

/* What the child says reaches our standard error; the daemon itself lets go of it when it serves. */
static void pass_on(int from)
{
    char text[4096];
    struct pollfd p = {from, POLLIN, 0};
    long end = now() + START_WAIT;
    for (long left; (left = end - now()) > 0 && poll(&p, 1, (int)left) > 0;) {
        ssize_t n = read(from, text, sizeof text);
        if (n <= 0)
            return;
        fwrite(text, 1, (size_t)n, stderr);
    }
}

/* Returns the exit code; 127 and said when it could not be run. */
static int run_daemon(const service_call *c, const char *daemon, const char *option)
{
    char program[PATH_MAX];
    int pipes[2], status;
    if (program_of(daemon, program, sizeof program) || pipe2(pipes, O_CLOEXEC)) {
        mailctl_say("cannot start %s: %s", daemon, strerror(errno));
        return 127;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        run_child(c, program, daemon, option, pipes[1]);
    close(pipes[1]);
    if (pid > 0)
        pass_on(pipes[0]);
    close(pipes[0]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        mailctl_say("cannot start %s: %s", daemon, strerror(errno));
        return 127;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}

int service_test_daemon(const service_call *c, const char *daemon)
{
    return run_daemon(c, daemon, "-t") != 0;
}

int service_start_daemon(const service_call *c, const char *daemon)
{
    int code = run_daemon(c, daemon, "-b");
    if (code)
        mailctl_say("%s did not start: exit code %d", daemon, code);
    return code != 0;
}

/* ---- Signals --------------------------------------------------------------------------------- */

/* A descriptor of the process that holds the pid file's lock, or -1: it has ended meanwhile, or the
 * system has none. */
static int hold_process(const service_call *c, const char *daemon, pid_t pid)
{
    char path[4096];
    pid_t holder;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd >= 0 && !service_pid_path(c, daemon, path, sizeof path) &&
        run_pid_ask(path, &holder) == RUN_YES && holder == pid)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static int send_signal(int fd, const char *daemon, int signum)
{
    if (syscall(SYS_pidfd_send_signal, fd, signum, NULL, 0) == 0 || errno == ESRCH)
        return 0;
    mailctl_say("%s: %s", daemon, strerror(errno));
    return -1;
}

/* Returns 0 when it has ended within that time. */
static int wait_end(int fd, long milliseconds)
{
    struct pollfd p = {fd, POLLIN, 0};
    long end = now() + milliseconds;
    for (long left; (left = end - now()) > 0;)
        if (poll(&p, 1, (int)left) > 0)
            return 0;
    return -1;
}

void service_clear_files(const service_call *c, const char *daemon)
{
    char path[4096];
    /* The state file says where the pid file is. */
    if (!service_pid_path(c, daemon, path, sizeof path))
        unlink(path);
    if (!run_state_path(c->settings, daemon, path, sizeof path))
        unlink(path);
}

int service_stop_daemon(const service_call *c, const char *daemon, pid_t pid)
{
    int fd = hold_process(c, daemon, pid);
    if (fd < 0)
        return 0;
    int failed = send_signal(fd, daemon, SIGTERM);
    if (!failed && wait_end(fd, (long)c->settings->stop_timeout + STOP_MARGIN)) {
        mailctl_say("%s does not end; it is killed", daemon);
        failed = send_signal(fd, daemon, SIGKILL) || wait_end(fd, STOP_MARGIN);
    }
    close(fd);
    if (!failed)
        service_clear_files(c, daemon);
    return failed != 0;
}

int service_reload_daemon(const service_call *c, const char *daemon, pid_t pid)
{
    char path[4096];
    run_state before, after;
    int fd = hold_process(c, daemon, pid);
    if (fd < 0 || run_state_path(c->settings, daemon, path, sizeof path) ||
        run_state_read(path, &before)) {
        mailctl_say("%s: no word of it in %s", daemon, path);
        close(fd);
        return 1;
    }
    int failed = send_signal(fd, daemon, SIGHUP);
    long end = now() + RELOAD_WAIT;
    after = before;
    /* One that is under way may have read what was there before. */
    while (!failed && after.readings <= before.begun) {
        if (now() > end || wait_end(fd, STEP) == 0) {
            mailctl_say("%s: no answer to the reload", daemon);
            failed = 1;
        } else if (run_state_read(path, &after)) {
            after = before;
        }
    }
    close(fd);
    if (!failed && after.failed)
        mailctl_say("%s: the old configuration stays in force: %s", daemon, after.error);
    return failed || after.failed;
}
