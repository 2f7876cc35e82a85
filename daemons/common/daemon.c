/* daemon.c - the start-up of smtpd, imapd, pop3d and authd, in one place.
 *
 * Options, configuration, listeners, pid file, privileges, then the service, or what a daemon has in
 * place of one, until a signal. Exit
 * codes as sysexits.h: 78 for a faulty configuration, 71 when the system refuses something. */
#include "daemon.h"
#include "diagnostic.h"
#include "run_files.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <libmail/host/service.h>
#include <pwd.h>
#include <signal.h>
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

#define DEFAULT_CONFIG "/etc/libmail/libmail.conf"

typedef struct options {
    const char *config; /* NULL: the default, if it is there */
    int test, background;
    strictness strictness;
} options;

/* ---- Configuration --------------------------------------------------------------------------- */

/* The file that -c names must exist; the default one may be missing. */
static const char *config_path(const options *o)
{
    if (o->config)
        return o->config;
    return access(DEFAULT_CONFIG, F_OK) == 0 ? DEFAULT_CONFIG : NULL;
}

/* ---- The process ----------------------------------------------------------------------------- */

/* Each connection is a descriptor: as many as we may have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static char *text_of(lmail_str s)
{
    return strndup(s.len ? s.ptr : "", s.len);
}

/* Returns 0, or an exit code after having said why. */
static int drop_privileges(const daemon_facts *f, const lmail_settings *s)
{
    if (s->user.len == 0 || geteuid() != 0)
        return 0;
    char *user = text_of(s->user), *group = text_of(s->group);
    struct passwd *pw = user ? getpwnam(user) : NULL;
    struct group *gr = group && *group ? getgrnam(group) : NULL;
    int code = EX_OSERR;
    if (!pw) {
        fprintf(stderr, "%s: user = %s: no such user\n", f->name, user ? user : "");
        code = EX_CONFIG;
    } else if (group && *group && !gr) {
        fprintf(stderr, "%s: group = %s: no such group\n", f->name, group);
        code = EX_CONFIG;
    } else {
        gid_t gid = gr ? gr->gr_gid : pw->pw_gid;
        if (initgroups(pw->pw_name, gid) || setgid(gid) || setuid(pw->pw_uid) || setuid(0) == 0)
            fprintf(stderr, "%s: cannot become user %s: %s\n", f->name, user, strerror(errno));
        else
            code = 0;
    }
    free(user);
    free(group);
    return code;
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

/* The parent stays until the child serves, so that who started us knows. */
static int go_background(const daemon_facts *f, int *ready)
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

/* sd_notify(3): the service manager waits for it with Type=notify. */
static void tell_manager(const char *state)
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

static void report_ready(int ready, char code)
{
    if (ready < 0)
        return;
    if (code == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        struct stat st;
        if (fstat(STDERR_FILENO, &st) == 0 && !S_ISREG(st.st_mode))
            dup2(null, STDERR_FILENO); /* who started us waits for its end */
        close(null);
    }
    ssize_t ignored = write(ready, &code, 1);
    (void)ignored;
    close(ready);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void log_event(lmail_log *log, const char *event, const daemon_facts *f)
{
    lmail_log_line l;
    lmail_log_begin(&l, log, LMAIL_LOG_INFO, event);
    lmail_log_text(&l, "daemon", lmail_str_from(f->name));
    lmail_log_text(&l, "version", lmail_str_from(lmail_version()));
    lmail_log_number(&l, "pid", (uint64_t)getpid());
    lmail_log_end(&l);
}

static lmail_status catch_signals(lmail_service *service, const char *path)
{
    lmail_status st = lmail_service_signals(service, SIGTERM, SIGHUP, path);
    return st ? st : lmail_service_signals(service, SIGINT, 0, NULL);
}

/* A mail service, or the body of a daemon that is none. */
typedef struct work {
    lmail_service *service;
    void *body;
} work;

/* ---- What mailctl is told --------------------------------------------------------------------- */

struct daemon_report {
    char pid_path[4096], path[4096];
    run_state state;
};

static int report_begin(daemon_report *r, const daemon_facts *f, const lmail_settings *s)
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
    r->state.readings = 1;
    return 0;
}

void daemon_reloaded(daemon_report *r, int failed, const char *error)
{
    r->state.readings++;
    r->state.failed = failed;
    snprintf(r->state.error, sizeof r->state.error, "%s", failed ? error : "");
    for (char *at = r->state.error; *at; at++)
        if (*at == '\n' || *at == '\r')
            *at = ' ';
    run_state_write(r->path, &r->state);
}

static void service_reloaded(void *host, lmail_status st, const char *error)
{
    daemon_reloaded(host, st != LMAIL_OK, error);
}

static void report_end(const daemon_report *r)
{
    if (!r->pid_path[0])
        return;
    unlink(r->path);
    unlink(r->pid_path);
}

/* It is there, privileges are not dropped yet. */
static int serve(const daemon_facts *f, const work *w, const lmail_settings *s, lmail_log *log,
                 const char *path, int ready, daemon_report *report)
{
    int code = report_begin(report, f, s);
    if (!code && !f->body)
        code = drop_privileges(f, s);
    if (!code && !f->body && catch_signals(w->service, path))
        code = EX_OSERR;
    if (!code && run_state_write(report->path, &report->state)) {
        fprintf(stderr, "%s: %s: %s\n", f->name, report->path, strerror(errno));
        code = EX_CANTCREAT;
    }
    report_ready(ready, (char)code);
    if (!code) {
        log_event(log, "start", f);
        tell_manager("READY=1");
        code = f->body ? f->body->run(w->body) : lmail_service_run(w->service) ? EX_SOFTWARE : 0;
        tell_manager("STOPPING=1");
        log_event(log, "stop", f);
    }
    report_end(report);
    return code;
}

static int make_service(const daemon_facts *f, lmail_service **out, lmail_config *config,
                        lmail_log *log, daemon_report *report, char *error, size_t cap)
{
    lmail_service_config sc = LMAIL_SERVICE_CONFIG_INIT;
    sc.config = config;
    sc.protocols = f->protocols;
    sc.log = log;
    sc.name = f->name;
    sc.on_reload = service_reloaded;
    sc.host = report;
    lmail_status st = lmail_service_new(out, &sc, error, cap);
    return !st ? 0 : st == LMAIL_ERR_ARG || st == LMAIL_ERR_NOTFOUND ? EX_CONFIG : EX_OSERR;
}

/* Log lines of a background daemon would go to whoever started it, and end with them: to a file they
 * may go. */
static unsigned wants_syslog(const options *o, const lmail_settings *s)
{
    struct stat st;
    return s->log == LMAIL_LOG_SYSLOG ||
           (o->background && !(fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode)));
}

static int run(const daemon_facts *f, const options *o, lmail_config *config, const char *path)
{
    const lmail_settings *s = lmail_config_settings(config);
    lmail_log_config lc = LMAIL_LOG_CONFIG_INIT;
    lmail_log *log = NULL;
    daemon_report *report = calloc(1, sizeof *report);
    work w = {NULL, NULL};
    char error[1024] = "";
    int ready = -1, code = o->background ? go_background(f, &ready) : 0;
    lc.program = f->name;
    lc.syslog = wants_syslog(o, s);
    if (!code && (!report || lmail_log_open(&log, &lc)))
        code = EX_OSERR;
    if (!code) {
        code = f->body ? f->body->make(&w.body, config, log, path, report, error, sizeof error)
                       : make_service(f, &w.service, config, log, report, error, sizeof error);
        if (code) {
            fprintf(stderr, "%s: %s\n", f->name, error);
            lmail_config_free(config);
        }
    }
    if (code)
        report_ready(ready, (char)code);
    else
        code = serve(f, &w, s, log, path, ready, report);
    if (w.body)
        f->body->free(w.body);
    lmail_service_free(w.service);
    lmail_log_close(log);
    free(report);
    return code;
}

/* -t: the configuration was read without an error. */
static int test_body(const daemon_facts *f, const lmail_config *config)
{
    char error[1024] = "";
    int code = f->body ? f->body->test(lmail_config_settings(config), error, sizeof error) : 0;
    if (code)
        fprintf(stderr, "%s: %s\n", f->name, error);
    return code ? 1 : 0;
}

static void print_help(const daemon_facts *f)
{
    printf("usage: %s [-c FILE] [-b] [-t] [-q] [--strict]\n%s\n\n"
           "  -c, --config FILE  read FILE; without it %s, if it exists\n"
           "  -b, --background   return when listening; logs then go to syslog\n"
           "  -t, --test         check the configuration and exit: 0 good, 1 faulty\n"
           "  -q, --quiet        do not print notices; twice: nor warnings\n"
           "      --strict       take a warning for an error\n"
           "  -h, --help         this text\n"
           "      --version\n\n"
           "SIGTERM and SIGINT stop it, SIGHUP reads the configuration again. See %s(8).\n",
           f->name, f->about, DEFAULT_CONFIG, f->name);
}

/* Returns -1 to go on, or an exit code. */
static int read_options(const daemon_facts *f, int argc, char **argv, options *o)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'}, {"background", no_argument, NULL, 'b'},
        {"test", no_argument, NULL, 't'},         {"quiet", no_argument, NULL, 'q'},
        {"strict", no_argument, NULL, 'S'},       {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},      {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "c:btqh", known, NULL)) != -1;) {
        switch (c) {
        case 'c':
            o->config = optarg;
            break;
        case 'b':
            o->background = 1;
            break;
        case 't':
            o->test = 1;
            break;
        case 'q':
            o->strictness.quiet++;
            break;
        case 'S':
            o->strictness.strict = 1;
            break;
        case 'h':
            print_help(f);
            return 0;
        case 'V':
            printf("%s %s\n", f->name, lmail_version());
            return 0;
        default:
            return EX_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s: unexpected argument: %s\n", f->name, argv[optind]);
        return EX_USAGE;
    }
    return -1;
}

int daemon_main(const daemon_facts *f, int argc, char **argv)
{
    options o = {NULL, 0, 0, {0, 0, 0}};
    lmail_config *config;
    int code = read_options(f, argc, argv, &o);
    if (code >= 0)
        return code;
    const char *path = config_path(&o);
    lmail_status st = lmail_config_load_file(&config, path, print_diagnostic, &o.strictness);
    if (!st && o.strictness.turned) {
        lmail_config_free(config);
        st = LMAIL_ERR_SYNTAX;
    }
    if (o.test) {
        code = st ? 1 : test_body(f, config);
        if (!st)
            lmail_config_free(config);
        return code;
    }
    if (st)
        return EX_CONFIG;
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    raise_descriptor_limit();
    return run(f, &o, config, path);
}
