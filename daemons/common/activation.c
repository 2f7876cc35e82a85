/* activation.c - see the header. Called by daemon.c (one process) and parent_sockets.c (two). */
#include "activation.h"

#include <arpa/inet.h>
#include <libmail/host/net.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void activation_begin(activation *a)
{
    const char *names = getenv("LISTEN_FDNAMES");
    memset(a, 0, sizeof *a);
    if (names && strlen(names) < sizeof a->names)
        strcpy(a->names, names);
    a->count = lmail_listen_fds(&a->first);
    if (a->count > ACTIVATION_MAX)
        a->count = ACTIVATION_MAX;
}

/* ---- Which is which -------------------------------------------------------------------------- */

/* Where a descriptor is bound, as lmail_service_socket has it; `any` is "*" where that is meant. */
static int describe(int fd, char *out, size_t cap, char *any, size_t any_cap)
{
    union {
        struct sockaddr all;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } a = {.un = {.sun_path = ""}};
    socklen_t len = sizeof a;
    char text[INET6_ADDRSTRLEN] = "";
    any[0] = '\0';
    if (getsockname(fd, &a.all, &len))
        return -1;
    if (a.all.sa_family == AF_INET && inet_ntop(AF_INET, &a.in.sin_addr, text, sizeof text)) {
        snprintf(out, cap, "%s:%u", text, ntohs(a.in.sin_port));
        if (a.in.sin_addr.s_addr == INADDR_ANY)
            snprintf(any, any_cap, "*:%u", ntohs(a.in.sin_port));
    } else if (a.all.sa_family == AF_INET6 &&
               inet_ntop(AF_INET6, &a.in6.sin6_addr, text, sizeof text)) {
        snprintf(out, cap, "[%s]:%u", text, ntohs(a.in6.sin6_port));
        if (IN6_IS_ADDR_UNSPECIFIED(&a.in6.sin6_addr))
            snprintf(any, any_cap, "*:%u", ntohs(a.in6.sin6_port));
    } else if (a.all.sa_family == AF_UNIX && a.un.sun_path[0]) {
        snprintf(out, cap, "unix:%.*s", (int)sizeof a.un.sun_path, a.un.sun_path);
    } else {
        return -1;
    }
    return 0;
}

static int listens(int fd)
{
    int on = 0, type = 0;
    socklen_t len = sizeof on;
    return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) && on &&
           !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_STREAM;
}

static int is_there(int fd, const char *where)
{
    char at[600], any[64];
    return !describe(fd, at, sizeof at, any, sizeof any) &&
           (strcmp(at, where) == 0 || strcmp(any, where) == 0);
}

static int has_name(const activation *a, int i, lmail_str name)
{
    const char *at = a->names;
    for (; i > 0 && *at; i--) {
        at += strcspn(at, ":");
        at += *at == ':';
    }
    return name.len && lmail_str_equal((lmail_str){at, strcspn(at, ":")}, name);
}

/* ---- Taking ---------------------------------------------------------------------------------- */

int activation_take(activation *a, const char *where, lmail_str listener)
{
    for (int by_name = 0; by_name < 2; by_name++)
        for (int i = 0; i < a->count; i++) {
            int fd = a->first + i;
            if (a->taken[i] || !listens(fd) ||
                !(by_name ? has_name(a, i, listener) : is_there(fd, where)))
                continue;
            a->taken[i] = 1;
            return fd;
        }
    return -1;
}

unsigned activation_end(activation *a)
{
    unsigned left = 0;
    for (int i = 0; i < a->count; i++)
        if (!a->taken[i]) {
            close(a->first + i);
            left++;
        }
    a->count = 0;
    return left;
}

void activation_end_logged(activation *a, lmail_log *log)
{
    unsigned left = activation_end(a);
    lmail_log_line l;
    if (!left)
        return;
    lmail_log_begin(&l, log, LMAIL_LOG_WARN, "activation");
    lmail_log_number(&l, "unused", left);
    lmail_log_text(&l, "reason",
                   LMAIL_STR("no listener is there or has the name of a socket that the service "
                             "manager handed over"));
    lmail_log_end(&l);
}
