/* parent_sockets.c - the sockets that the parent makes and hands to the server. */
#include "parent.h"

#include <libmail/host/net.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static int is_in(const link_order *list, const char *where)
{
    for (uint32_t i = 0; list && i < list->sockets; i++)
        if (strcmp(list->where[i], where) == 0)
            return 1;
    return 0;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int open_one(const lmail_service_socket *at, activation *given, int *fd, char *error,
                    size_t cap)
{
    char why[256] = "";
    *fd = given ? activation_take(given, at->where, at->listener) : -1;
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
                 const link_order *have, activation *given, char *error, size_t cap)
{
    lmail_service_socket at;
    int code = 0;
    order->sockets = 0;
    for (size_t i = 0; !code && lmail_service_socket_at(s, protocols, i, &at) == LMAIL_OK; i++) {
        if (is_in(have, at.where) || is_in(order, at.where))
            continue;
        if (order->sockets == LINK_MAX_SOCKETS) {
            snprintf(error, cap, "more than %u listening sockets", LINK_MAX_SOCKETS);
            code = EX_CONFIG;
            break;
        }
        code = open_one(&at, given, &sockets[order->sockets], error, cap);
        if (!code)
            strcpy(order->where[order->sockets++], at.where);
        else if (at.optional)
            code = 0; /* the server tries too, and logs that it goes on without it */
    }
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
