/* server_paths.h - what of the disk the server still reaches in its sandbox. */
#ifndef DAEMON_SERVER_PATHS_H
#define DAEMON_SERVER_PATHS_H

#include "sandbox.h"

#include <libmail/config.h>

typedef struct server_paths {
    sandbox_path *list; /* for sandbox_enter */
    size_t count, room;
    int failed;        /* no memory: the list is not whole */
    int homes_written; /* homes are written to, not only read */
} server_paths;

/* Where links lead, and where the accounts' homes are, is looked up now, as the caller. */
void server_paths_of(server_paths *p, const lmail_settings *s);
void server_paths_free(server_paths *p);

/* The part of a place of mail (store.location, store.home) that is the same for all accounts, up to a
 * slash; empty when there is none. */
lmail_str server_paths_fixed(lmail_str place);

#endif
