/* parent.c - the process that keeps root: see the header. What the server says is a fixed number of
 * octets, taken as text for the log and no more. */
#include "parent.h"

#include "diagnostic.h"
#include "life.h"
#include "server_paths.h"

#include <errno.h>
#include <libmail/host/drop.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define TEXT(s) (int)(s).len, (s).ptr

typedef struct parent {
    const parent_start *start;
    int link, signals;
    pid_t server;
    int ready;         /* to be reported to; -1: done */
    int serving;       /* the server has said so */
    int waiting;       /* for its word about a reload */
    int again;         /* another one is asked for */
    int deaf;          /* the server has closed its end */
    int ended;         /* we were asked to stop */
    link_order have;   /* the server's sockets */
    link_order wanted; /* those it will have when the reload is done */
    link_order order;  /* room for what is new */
    char error[1024];
} parent;

/* ---- Files, directories ---------------------------------------------------------------------- */

/* What the service itself reads beside the configuration. What cannot be read is its to tell. The list
 * of trusted users may be missing when "-" stands in front. */
static void add_files(bundle *b, const lmail_config *config)
{
    lmail_config_file f;
    lmail_str trusted = lmail_config_settings(config)->policy.trusted_users;
    size_t skip = trusted.len && trusted.ptr[0] == '-';
    if (trusted.len > skip)
        bundle_add(b, (lmail_str){trusted.ptr + skip, trusted.len - skip});
    for (size_t i = 0; lmail_config_file_at(config, i, &f) == LMAIL_OK; i++)
        if (f.directory)
            bundle_add_all(b, f.path);
        else
            bundle_add(b, f.path);
}

static int make_directory(const lmail_owner *id, lmail_str name, mode_t mode, char *error,
                          size_t cap)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%.*s", TEXT(name));
    if (n <= 0 || (size_t)n >= sizeof path)
        return n == 0 ? 0 : EX_CONFIG;
    mode_t before = umask(0);
    int made = mkdir(path, mode) == 0, why = errno;
    umask(before);
    if ((!made && why != EEXIST) || (made && lchown(path, id->uid, id->gid))) {
        snprintf(error, cap, "cannot make %.400s: %s", path, strerror(made ? errno : why));
        return EX_OSERR;
    }
    return 0;
}

/* What sendmail leaves is picked up from there; without it the rest of the mail is served all the same,
 * and the server tells why. */
static void make_drop_directory(const lmail_owner *id, const lmail_settings *s)
{
    char path[LMAIL_DROP_PATH];
    uint32_t gid = LMAIL_NO_ID;
    if (lmail_service_drop_directory(s, path, sizeof path))
        return;
    if (s->queue.drop_group.len)
        (void)lmail_group_find(&gid, s->queue.drop_group);
    (void)lmail_drop_prepare(path, id->uid, gid, NULL, 0);
}

/* The server cannot make these where only root may, and its sandbox knows only what is there. */
static int make_directories(const lmail_owner *id, const daemon_facts *f, const lmail_settings *s,
                            char *error, size_t cap)
{
    int code = make_directory(id, s->mail_directory, 0700, error, cap);
    if (!code)
        code = make_directory(id, s->run_directory, 0755, error, cap);
    if (!code)
        code = make_directory(id, server_paths_fixed(s->store.location), 0700, error, cap);
    if (!code)
        code = make_directory(id, server_paths_fixed(s->store.home), 0700, error, cap);
    if (!code && (f->protocols & LMAIL_SERVICE_SMTP))
        code = make_directory(id, s->queue.directory, 0700, error, cap);
    if (!code && (f->protocols & LMAIL_SERVICE_SMTP))
        make_drop_directory(id, s);
    return code;
}

/* ---- Reload ---------------------------------------------------------------------------------- */

/* The parent alone knows why: what the server finds it logs itself. */
static void reload_failed(const parent *p)
{
    lmail_log_line l;
    daemon_reloaded(p->start->report, 1, p->error);
    lmail_log_begin(&l, p->start->log, LMAIL_LOG_ERR, "reload_failed");
    lmail_log_text(&l, "reason", lmail_str_from(p->error));
    lmail_log_end(&l);
}

static int send_order(parent *p, const int *fds, size_t count)
{
    union {
        char room[CMSG_SPACE(sizeof(int) * (LINK_MAX_SOCKETS + 1))];
        struct cmsghdr align;
    } control;
    struct iovec part = {&p->order,
                         sizeof p->order.sockets + p->order.sockets * sizeof p->order.where[0]};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room};
    m.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    memset(&control, 0, sizeof control);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
    return sendmsg(p->link, &m, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* Returns 0 when the server has the order; else p->error says why not. */
static int read_and_send(parent *p)
{
    const parent_start *s = p->start;
    int fds[LINK_MAX_SOCKETS + 1];
    lmail_config *config;
    lmail_files files;
    lmail_files_disk(&files);
    bundle *b = bundle_new(&files);
    reload_faults of = {s->log, p->error, sizeof p->error};
    lmail_status st =
        b ? lmail_config_load_from(&config, s->path, &files, log_diagnostic, &of) : LMAIL_ERR_NOMEM;
    int failed = st != LMAIL_OK;
    if (failed && !p->error[0])
        snprintf(p->error, sizeof p->error, "%s: %s", s->path ? s->path : "",
                 lmail_status_text(st));
    if (!failed) {
        const lmail_settings *v = lmail_config_settings(config);
        add_files(b, config);
        sockets_list(&p->wanted, v, s->facts->protocols);
        failed = sockets_open(&p->order, fds + 1, v, s->facts->protocols, &p->have, NULL, p->error,
                              sizeof p->error);
        lmail_config_free(config);
    }
    if (!failed) {
        fds[0] = bundle_seal(b);
        failed = fds[0] < 0 || send_order(p, fds, p->order.sockets + 1u);
        if (failed)
            snprintf(p->error, sizeof p->error, "cannot hand it over: %s", strerror(errno));
        if (fds[0] >= 0)
            close(fds[0]);
        sockets_close(&p->order, fds + 1);
    }
    bundle_free(b);
    return failed;
}

static void reload(parent *p)
{
    if (!p->serving || p->waiting) {
        p->again = 1;
        return;
    }
    p->again = 0;
    p->error[0] = '\0';
    daemon_reload_begins(p->start->report);
    if (read_and_send(p))
        reload_failed(p);
    else
        p->waiting = 1;
}

/* ---- What comes ------------------------------------------------------------------------------ */

/* The server serves: now who waits may know. Returns 0, or an exit code. */
static int begin_service(parent *p)
{
    int code = report_write(p->start->report, p->start->facts);
    p->serving = 1;
    if (code)
        return code;
    report_ready(p->ready, 0);
    p->ready = -1;
    tell_manager("READY=1");
    return 0;
}

/* Returns 0, or an exit code. */
static int hear_server(parent *p)
{
    link_answer a;
    int code = 0;
    ssize_t n = recv(p->link, &a, sizeof a, MSG_DONTWAIT);
    p->deaf = n == 0;
    if (n != (ssize_t)sizeof a)
        return 0; /* its end is told by SIGCHLD */
    a.error[sizeof a.error - 1] = '\0';
    if (!p->serving) {
        code = begin_service(p);
    } else if (p->waiting) {
        p->waiting = 0;
        if (a.failed) {
            sockets_unlink(&p->order, NULL);
        } else {
            sockets_unlink(&p->have, &p->wanted);
            p->have = p->wanted;
        }
        daemon_reloaded(p->start->report, a.failed != 0, a.error);
    }
    if (!code && p->again)
        reload(p);
    return code;
}

static void hear_signals(parent *p)
{
    struct signalfd_siginfo info;
    while (read(p->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP)
            reload(p);
        else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
            if (!p->ended)
                tell_manager("STOPPING=1");
            p->ended = 1;
            kill(p->server, SIGTERM);
        }
    }
}

/* Until the server has ended; its exit code. */
static int stand_by(parent *p)
{
    struct pollfd of[2] = {{p->signals, POLLIN, 0}, {p->link, POLLIN, 0}};
    int status = 0, code = 0;
    for (;;) {
        if (waitpid(p->server, &status, WNOHANG) == p->server)
            break;
        if (poll(of, 2, -1) < 0 && errno != EINTR)
            break;
        int heard = of[1].revents & POLLIN ? hear_server(p) : 0;
        if (p->deaf || (of[1].revents && !(of[1].revents & POLLIN)))
            of[1].fd = -1;
        if (heard)
            kill(p->server, SIGTERM);
        code = code ? code : heard;
        hear_signals(p);
    }
    if (!p->ended)
        tell_manager("STOPPING=1");
    /* A server that did not serve yet has no farewell to say. */
    int obeyed = p->ended && !p->serving && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
    return code ? code : obeyed ? 0 : WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
}

/* ---- Start ----------------------------------------------------------------------------------- */

static int fork_server(parent *p, int files, const int *sockets)
{
    sigset_t mask, before;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return EX_OSERR;
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, &before);
    fflush(NULL);
    p->server = fork();
    if (p->server == 0) {
        close(pair[0]);
        setpgid(0, 0); /* signals of a terminal are for the parent alone */
        signal(SIGHUP, SIG_IGN);
        sigprocmask(SIG_SETMASK, &before, NULL);
        server_run(p->start, pair[1], files, &p->have, sockets);
    }
    close(pair[1]);
    p->link = pair[0];
    p->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (p->server < 0 || p->signals < 0) {
        if (p->server > 0)
            kill(p->server, SIGTERM);
        return EX_OSERR;
    }
    return 0;
}

static int prepare(parent *p, lmail_owner *id, int *files, int *sockets)
{
    const parent_start *s = p->start;
    const lmail_settings *v = lmail_config_settings(s->config);
    int code = identity_reaches(id, v, p->error, sizeof p->error);
    if (!code)
        code = make_directories(id, s->facts, v, p->error, sizeof p->error);
    if (!code)
        code = sockets_open(&p->have, sockets, v, s->facts->protocols, NULL, s->given, p->error,
                            sizeof p->error);
    activation_end_logged(s->given, s->log);
    if (code) {
        fprintf(stderr, "%s: %s\n", s->facts->name, p->error);
        return code;
    }
    add_files(s->files, s->config);
    *files = bundle_seal(s->files);
    if (*files >= 0)
        code = report_begin(s->report, s->facts, v);
    else
        code = EX_OSERR;
    if (code)
        sockets_close(&p->have, sockets);
    return code;
}

int parent_run(const parent_start *start)
{
    lmail_owner id;
    bundle *files_of = start->files;
    int files = -1, sockets[LINK_MAX_SOCKETS];
    parent *p = calloc(1, sizeof *p);
    if (!p)
        return EX_OSERR;
    p->start = start;
    p->ready = start->ready;
    int code = identity_find(&id, start->facts, lmail_config_settings(start->config));
    if (!code)
        code = prepare(p, &id, &files, sockets);
    if (!code) {
        code = fork_server(p, files, sockets);
        close(files);
        sockets_close(&p->have, sockets);
        bundle_free(files_of);
        files_of = NULL;
        if (!code)
            code = stand_by(p);
        sockets_unlink(&p->have, NULL);
        report_end(start->report);
    }
    report_ready(p->ready, (char)(code ? code : EX_SOFTWARE));
    lmail_config_free(start->config);
    bundle_free(files_of);
    free(p);
    return code;
}
