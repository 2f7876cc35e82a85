/* parent.h - a daemon that was started as root with a user set is two processes of one program.
 *
 * The parent keeps root and takes no input from the network: it reads the configuration, the files
 * that it names and the keys, binds the sockets, answers signals and bears the pid file. The server
 * is that user, in a sandbox (sandbox.h), and gets all of it over a socket pair: at the start by
 * inheritance, at a reload as descriptors (SCM_RIGHTS). The parent starts the server once and ends
 * with it. */
#ifndef DAEMON_PARENT_H
#define DAEMON_PARENT_H

#include "activation.h"
#include "bundle.h"
#include "daemon.h"

typedef struct parent_start {
    const daemon_facts *facts;
    lmail_config *config; /* the parent's to free */
    const char *path;     /* of the configuration; or NULL */
    bundle *files;        /* what the configuration was read from; the parent's to free */
    lmail_log *log;
    daemon_report *report;
    int ready;         /* as report_ready takes it */
    activation *given; /* sockets of the service manager's */
} parent_start;

/* Until the end; the exit code. In the server it never returns. */
int parent_run(const parent_start *start);

/* ---- What goes over the socket pair: datagrams, in order ---- */

#define LINK_MAX_SOCKETS 200u /* below SCM_MAX_FD */
#define LINK_MAX_WHERE 512u

/* To the server: a reload. Descriptors: the files (bundle.h), then `sockets` that listen; the text is
 * where each of these is bound, terminated, one after the other. */
typedef struct link_order {
    uint32_t sockets;
    char where[LINK_MAX_SOCKETS][LINK_MAX_WHERE];
} link_order;

/* To the parent: the server serves (the first one), or a reload has ended. */
typedef struct link_answer {
    int32_t failed;
    char error[700];
} link_answer;

/* server.c: the life of the server, in the child. Does not return.
 *   files     of the configuration, sealed
 *   sockets   those of `order`, in its order */
_Noreturn void server_run(const parent_start *start, int link, int files, const link_order *order,
                          const int *sockets);

/* parent_sockets.c: the sockets that the configuration wants and that are not in `have` (NULL: none
 * is there): bound, or handed over by socket activation.
 *   sockets   LINK_MAX_SOCKETS of room
 *   given     by the service manager; NULL: nothing is left of that
 * Returns 0, or an exit code, error filled and nothing left open. */
int sockets_open(link_order *order, int *sockets, const lmail_settings *s, unsigned protocols,
                 const link_order *have, activation *given, char *error, size_t cap);
void sockets_close(const link_order *order, const int *sockets);
/* All that the configuration wants, for a later sockets_open. */
void sockets_list(link_order *order, const lmail_settings *s, unsigned protocols);
/* Remove the files of unix sockets of `gone` that are not in `stay` (NULL: none). */
void sockets_unlink(const link_order *gone, const link_order *stay);

#endif
