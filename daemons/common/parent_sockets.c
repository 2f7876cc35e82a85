/* parent_sockets.c - the sockets that the parent makes and hands to the server. */
#include "parent.h"

#include <arpa/inet.h>
#include <libmail/host/net.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

static int is_in(const link_order *list, const char *where)
{
    for (uint32_t i = 0; list && i < list->sockets; i++)
        if (strcmp(list->where[i], where) == 0)
            return 1;
    return 0;
}

/* ---- Socket activation ----------------------------------------------------------------------- */

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

/* A descriptor of the service manager's that is bound there, or -1. */
static int activated(int first, int count, const char *where)
{
    for (int fd = first; fd < first + count; fd++) {
        char at[LINK_MAX_WHERE], any[64];
        if (!describe(fd, at, sizeof at, any, sizeof any) &&
            (strcmp(at, where) == 0 || strcmp(any, where) == 0))
            return dup(fd);
    }
    return -1;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int open_one(const lmail_service_socket *at, int first, int count, int *fd, char *error,
                    size_t cap)
{
    char why[256] = "";
    *fd = activated(first, count, at->where);
    if (*fd >= 0)
        return 0;
    lmail_status st = lmail_listener_bind(at->where, 0, fd, why, sizeof why);
    if (!st)
        return 0;
    snprintf(error, cap, "listener %.*s at %s: %s", (int)at->listener.len, at->listener.ptr,
             at->where, why[0] ? why : lmail_status_text(st));
    return st == LMAIL_ERR_ARG ? EX_CONFIG : EX_OSERR;
}

int sockets_open(link_order *order, int *sockets, const lmail_settings *s, unsigned protocols,
                 const link_order *have, char *error, size_t cap)
{
    lmail_service_socket at;
    int first, count = lmail_listen_fds(&first), code = 0;
    order->sockets = 0;
    for (size_t i = 0; !code && lmail_service_socket_at(s, protocols, i, &at) == LMAIL_OK; i++) {
        if (is_in(have, at.where) || is_in(order, at.where))
            continue;
        if (order->sockets == LINK_MAX_SOCKETS) {
            snprintf(error, cap, "more than %u listening sockets", LINK_MAX_SOCKETS);
            code = EX_CONFIG;
            break;
        }
        code = open_one(&at, first, count, &sockets[order->sockets], error, cap);
        if (!code)
            strcpy(order->where[order->sockets++], at.where);
        else if (at.optional)
            code = 0; /* the server tries too, and logs that it goes on without it */
    }
    for (int fd = first; fd < first + count; fd++)
        close(fd);
    if (code)
        sockets_close(order, sockets);
    return code;
}

void sockets_close(const link_order *order, const int *sockets)
{
    for (uint32_t i = 0; i < order->sockets; i++)
        close(sockets[i]);
}

void sockets_list(link_order *order, const lmail_settings *s, unsigned protocols)
{
    lmail_service_socket at;
    order->sockets = 0;
    for (size_t i = 0; order->sockets < LINK_MAX_SOCKETS &&
                       lmail_service_socket_at(s, protocols, i, &at) == LMAIL_OK;
         i++)
        if (!is_in(order, at.where))
            strcpy(order->where[order->sockets++], at.where);
}

void sockets_unlink(const link_order *gone, const link_order *stay)
{
    for (uint32_t i = 0; i < gone->sockets; i++)
        if (strncmp(gone->where[i], "unix:", 5) == 0 && !is_in(stay, gone->where[i]))
            unlink(gone->where[i] + 5);
}
