/* activation.h - listening sockets that the service manager hands over (sd_listen_fds(3)).
 *
 * One belongs to a listener when it is bound where that one wants to be, or else when its name
 * (FileDescriptorName= of systemd.socket(5)) is the listener's: then it is served wherever it is
 * bound. */
#ifndef DAEMON_ACTIVATION_H
#define DAEMON_ACTIVATION_H

#include <libmail/host/log.h>
#include <libmail/host/service.h>

#define ACTIVATION_MAX 256

typedef struct activation {
    int first, count;
    char taken[ACTIVATION_MAX];
    char names[4096]; /* as LISTEN_FDNAMES: a colon between two; empty: none */
} activation;

/* Once, before any thread: it changes the environment. */
void activation_begin(activation *a);
/* The descriptor for a socket of the service's, the caller's from now on; -1: none is for it. */
int activation_take(activation *a, const char *where, lmail_str listener);
/* Close what nobody took. Returns how many those were. */
unsigned activation_end(activation *a);
/* The same, and a line of the log when there were some. */
void activation_end_logged(activation *a, lmail_log *log);

#endif
