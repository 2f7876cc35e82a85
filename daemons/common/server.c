/* server.c - the process without root: the service, in a sandbox, with what the parent hands it.
 *
 * A reload: a thread takes the parent's order, puts the new files and sockets where the service will
 * look for them, and raises the signal that has it look; what came of it goes back. */
#include "life.h"
#include "parent.h"
#include "sandbox.h"
#include "server_paths.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define RELOAD_SIGNAL SIGUSR2 /* SIGHUP is the parent's, whoever sends it */

typedef struct server {
    const parent_start *start;
    int link;
    bundle_view files;
    pthread_mutex_t lock;
    link_order order; /* sockets not taken yet; -1: taken */
    int sockets[LINK_MAX_SOCKETS];
    lmail_service *service;
} server;

/* ---- What the service asks for --------------------------------------------------------------- */

static int take_socket(void *host, const char *where)
{
    server *s = host;
    int fd = -1;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->order.sockets && fd < 0; i++)
        if (s->sockets[i] >= 0 && strcmp(s->order.where[i], where) == 0) {
            fd = s->sockets[i];
            s->sockets[i] = -1;
        }
    pthread_mutex_unlock(&s->lock);
    return fd;
}

/* Nobody listens on a socket that was not wanted in the end. */
static void close_untaken(server *s)
{
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->order.sockets; i++)
        if (s->sockets[i] >= 0)
            close(s->sockets[i]);
    s->order.sockets = 0;
    pthread_mutex_unlock(&s->lock);
}

static void answer(server *s, int failed, const char *error)
{
    link_answer a = {failed, ""};
    snprintf(a.error, sizeof a.error, "%s", error);
    if (send(s->link, &a, sizeof a, MSG_NOSIGNAL) < 0)
        kill(getpid(), SIGTERM); /* the parent has gone */
}

static void reloaded(void *host, lmail_status st, const char *error)
{
    server *s = host;
    close_untaken(s);
    answer(s, st != LMAIL_OK, error);
}

/* ---- Orders ---------------------------------------------------------------------------------- */

/* Returns the descriptors that came with it, or -1 at the end of the parent. */
static int receive(int link, link_order *order, int *fds)
{
    union {
        char room[CMSG_SPACE(sizeof(int) * (LINK_MAX_SOCKETS + 1))];
        struct cmsghdr align;
    } control;
    struct iovec part = {order, sizeof *order};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.room,
                       .msg_controllen = sizeof control.room};
    ssize_t n;
    do
        n = recvmsg(link, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (!c || c->cmsg_type != SCM_RIGHTS)
        return -1;
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(c), count * sizeof(int));
    return (int)count;
}

static void *take_orders(void *arg)
{
    server *s = arg;
    link_order *order = malloc(sizeof *order);
    int fds[LINK_MAX_SOCKETS + 1], count = -1;
    while (order && (count = receive(s->link, order, fds)) > 0) {
        pthread_mutex_lock(&s->lock);
        s->order = *order;
        memcpy(s->sockets, fds + 1, order->sockets * sizeof(int));
        pthread_mutex_unlock(&s->lock);
        if (bundle_view_change(&s->files, fds[0])) {
            close_untaken(s);
            answer(s, 1, strerror(errno));
        } else {
            kill(getpid(), RELOAD_SIGNAL);
        }
    }
    free(order);
    kill(getpid(), SIGTERM);
    return NULL;
}

/* Signals are for the threads that libuv knows. */
static int start_orders(server *s)
{
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int failed = pthread_create(&thread, NULL, take_orders, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed)
        pthread_detach(thread);
    return failed ? EX_OSERR : 0;
}

/* ---- The sandbox ----------------------------------------------------------------------------- */

static int enter_sandbox(const parent_start *start, const lmail_settings *s)
{
    server_paths p;
    unsigned got;
    char spool[4096];
    /* SQLite's sorter spills to a file of its own. */
    snprintf(spool, sizeof spool, "%.*s/spool", TEXT(s->mail_directory));
    setenv("SQLITE_TMPDIR", spool, 1);
    server_paths_of(&p, s);
    errno = ENOMEM;
    int failed = p.failed || sandbox_enter(p.list, p.count, &got), why = errno;
    server_paths_free(&p);
    if (failed) {
        fprintf(stderr, "%s: sandbox: %s\n", start->facts->name, strerror(why));
        return EX_OSERR;
    }
    lmail_log_line l;
    lmail_log_begin(&l, start->log, LMAIL_LOG_INFO, "sandbox");
    lmail_log_text(&l, "landlock", lmail_str_from(got & SANDBOX_LANDLOCK ? "yes" : "no"));
    lmail_log_text(&l, "seccomp", lmail_str_from(got & SANDBOX_SECCOMP ? "yes" : "no"));
    lmail_log_end(&l);
    return 0;
}

/* ---- Life ------------------------------------------------------------------------------------ */

static int make_service(server *s)
{
    const parent_start *start = s->start;
    lmail_service_config c = LMAIL_SERVICE_CONFIG_INIT;
    lmail_files files;
    char error[1024] = "";
    bundle_view_files(&s->files, &files);
    c.config = start->config;
    c.name = start->facts->name;
    c.protocols = start->facts->protocols;
    c.log = start->log;
    c.on_reload = reloaded;
    c.on_socket = take_socket;
    c.host = s;
    c.files = &files;
    lmail_status st = lmail_service_new(&s->service, &c, error, sizeof error);
    if (st) {
        fprintf(stderr, "%s: %s\n", start->facts->name, error);
        return st == LMAIL_ERR_ARG || st == LMAIL_ERR_NOTFOUND ? EX_CONFIG : EX_OSERR;
    }
    close_untaken(s);
    st = lmail_service_signals(s->service, SIGTERM, RELOAD_SIGNAL, start->path);
    if (!st)
        st = lmail_service_signals(s->service, SIGINT, 0, NULL);
    if (!st)
        release_signals();
    return st ? EX_OSERR : 0;
}

static int become_user(const daemon_facts *f, const lmail_settings *s)
{
    lmail_owner id;
    int code = identity_find(&id, f, s);
    return code ? code : identity_become(&id, f);
}

void server_run(const parent_start *start, int link, int files, const link_order *order,
                const int *sockets)
{
    const lmail_settings *v = lmail_config_settings(start->config);
    server *s = calloc(1, sizeof *s);
    if (!s)
        _exit(EX_OSERR);
    if (start->ready >= 0)
        close(start->ready); /* the parent reports */
    s->start = start;
    s->link = link;
    pthread_mutex_init(&s->lock, NULL);
    s->order = *order;
    memcpy(s->sockets, sockets, order->sockets * sizeof *sockets);
    bundle_free(start->files); /* keys, among others: they are in `files` */
    int code = bundle_view_init(&s->files, files) ? EX_OSERR : become_user(start->facts, v);
    if (!code)
        code = enter_sandbox(start, v);
    if (!code)
        code = make_service(s);
    if (!code)
        code = start_orders(s);
    if (!code) {
        log_event(start->log, "start", start->facts);
        if (start->ready >= 0)
            leave_starter();
        answer(s, 0, "");
        code = lmail_service_run(s->service) ? EX_SOFTWARE : 0;
        log_event(start->log, "stop", start->facts);
    }
    lmail_service_free(s->service);
    exit(code);
}
