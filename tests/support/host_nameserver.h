/* host_nameserver.h - a name server on loopback for the resolver's suites: one thread, UDP and TCP on one port, records
 * from a table, and the faults of real servers. */
#ifndef HOST_NAMESERVER_H
#define HOST_NAMESERVER_H

#include <pthread.h>
#include <stddef.h>

typedef struct ns_record {
    const char *name; /* lower case; a name with any record exists */
    const char *
        type; /* "A", "AAAA", "PTR", "MX", "TXT", "CNAME", or "SERVFAIL": every question for it fails */
    const char
        *data; /* "192.0.2.1", "10 mx.example", "." is the root; octets of names as they are */
} ns_record;

typedef enum ns_fault {
    NS_HEALTHY = 0,
    NS_SILENT,
    NS_SERVFAIL,
    NS_GARBAGE,   /* octets that are no message */
    NS_TRUNCATES, /* over UDP: TC and no records; TCP answers */
} ns_fault;

typedef struct nameserver {
    const ns_record *records; /* ends with a NULL name */
    int udp, tcp, wake[2];
    unsigned port;
    char address[32]; /* "127.0.0.1@PORT" */
    _Atomic int fault;
    _Atomic unsigned questions, over_tcp;
    pthread_t thread;
} nameserver;

void nameserver_start(nameserver *ns, const ns_record *records);
void nameserver_stop(nameserver *ns);

#endif
