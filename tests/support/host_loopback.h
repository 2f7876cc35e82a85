/* host_loopback.h - a net with the echo session of host_echo.h in a thread of its own, and blocking
 * clients for it. Every failure is a failed check. */
#ifndef TESTS_HOST_LOOPBACK_H
#define TESTS_HOST_LOOPBACK_H

#include "host_echo.h"

#include <libmail/host/net.h>

#include <pthread.h>
#include <stdatomic.h>

typedef enum answering { NEVER, FROM_WORKER, LATER } answering;

typedef struct server {
    lmail_net *net;
    lmail_listener *listener;
    lmail_pool *pool;
    pthread_t thread;
    unsigned port;
    echo_host echo;
    answering answering; /* LATER: by answer_late */
    atomic_uint opened, closed, cancelled, asked, released, last_reason;
    atomic_uint refused[3]; /* by lmail_refused */
    pthread_mutex_t lock;
    struct late *late; /* under lock */
} server;

lmail_listener_config listener_config(server *sv); /* 127.0.0.1, any port */
void start_with(server *sv, const lmail_net_config *net, const lmail_listener_config *listen);
void start_server(server *sv); /* two loops, no limits */
void stop_server(server *sv, lmail_msec grace);
void answer_late(server *sv);
lmail_net_stats stats_of(server *sv);

void nap(unsigned ms);
/* Wait until *n is at least `least`; a machine under load is slow, never wrong. */
void await(atomic_uint *n, unsigned least);

int try_dial(unsigned port); /* -1: refused */
int dial(unsigned port);
void say(int fd, const char *text);
const char *hear(int fd); /* octets up to and with LF; "" at the end of the stream */
void expect(int fd, const char *line);
uint32_t checksum(const char *octets, size_t n); /* of "held" */

#endif
