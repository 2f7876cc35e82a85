/* bundle.h - files that one process reads and another is handed: the administrator's files on their
 * way from the parent, which is root, to the server, which is not.
 *
 * The parent reads through a table (lmail_files) that keeps every file it opens. All of them go into
 * one sealed memory file (memfd_create(2)), whose descriptor the server gets; it maps that and opens
 * the same names from there. Octets are wiped where they were. */
#ifndef DAEMON_BUNDLE_H
#define DAEMON_BUNDLE_H

#include <libmail/host/service.h>
#include <pthread.h>

typedef struct bundle bundle;

/* *files becomes the table that keeps what it opens of `disk` in the bundle, and reads each file
 * once. NULL: no memory, and *files is as it was. */
bundle *bundle_new(lmail_files *files);
void bundle_free(bundle *b); /* NULL is allowed */
/* Also keep this file, if it is not there yet: keys are not opened by who loads a configuration. */
lmail_status bundle_add(bundle *b, lmail_str name);
/* And all files of a directory, those aside whose names begin with a dot. */
lmail_status bundle_add_all(bundle *b, lmail_str directory);
/* Returns the descriptor of the sealed memory file, or -1 and errno. */
int bundle_seal(const bundle *b);

/* The other end. A name that is not there is ERR_NOTFOUND. */
typedef struct bundle_view {
    pthread_mutex_t lock;
    pthread_cond_t idle;
    unsigned uses; /* files that are open */
    const char *map;
    size_t len;
} bundle_view;

/* The descriptor is closed. Returns 0, or -1 and errno. */
int bundle_view_init(bundle_view *v, int fd);
/* Other files from now on; waits until no file is open. Returns as init; then nothing has changed. */
int bundle_view_change(bundle_view *v, int fd);
void bundle_view_done(bundle_view *v);
void bundle_view_files(bundle_view *v, lmail_files *files);

#endif
