/* host_caller.h - the other end of host_echo.h: a session that speaks by a script over a connection
 * that lmail_conn_connect makes, and keeps what it heard and how it ended. */
#ifndef TESTS_HOST_CALLER_H
#define TESTS_HOST_CALLER_H

#include "host_loopback.h"

/* For each line heard the next of `says` is said. Words of their own:
 *     !tls     TLS is wanted, and the next is said when it is done
 *     !flood   octets without end
 *     !close   the session is over
 *     !wait    nothing is said
 * After the last one nothing is said any more. stop() says "quit". */
typedef struct caller {
    const char *says[12];
    lmail_connect_config config;
    char address[128], source[64];
    lmail_net *net;
    lmail_conn *conn;
    unsigned at;

    atomic_uint connected, closed;
    lmail_status status; /* of lmail_conn_connect */
    lmail_close_reason reason;
    int had_session;
    char heard[2048], fault[256], local[64], peer[64], version[16], peer_name[128];
    unsigned verified, rejected;
    lmail_status peer_status;
    lmail_tls_peer tls; /* its slices are gone */
    char subject[256];
} caller;

/* A caller of sv over 127.0.0.1, or another address and port. It calls when told to. */
void caller_init(caller *c, server *sv, const char *address, unsigned port);
void caller_call(caller *c);  /* from a loop of the net */
void caller_close(caller *c); /* lmail_conn_close, from its loop */
void caller_await(caller *c); /* until it is closed */

#endif
