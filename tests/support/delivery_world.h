/* delivery_world.h - a world for the delivery machine, as a script of texts.
 *
 * Facts, one a line; "once" in front of a line: it counts one time.
 *
 *     mx example.org 10 mx1.example 20 mx2.example     or: none, null, temp
 *     addr mx1.example 192.0.2.1 2001:db8::1           or: none, temp
 *     conn 192.0.2.1 ok                                or: refused, unreachable, timeout, tls, ours,
 *                                                      greeting 554 text, ehlo 550 text, auth 535 text
 *     conn 192.0.2.1 ok name=NAME max=2 bits=256 verified
 *     mail 192.0.2.1 450 text                          the reply to MAIL; or: lost, timeout
 *     say 192.0.2.1 a@example.org 550 5.1.1 text       to RCPT
 *     end 192.0.2.1 451 text                           to the data; or: lost, timeout, "250 closed"
 *     fin 192.0.2.1 a@example.org 452 text             LMTP: its own reply to the data; or: lost, none
 *     reuse example.org 192.0.2.9                      an open connection
 *
 * What is asked and what comes out is written down, one a line. A fact that is not there: no MX (the
 * name itself), no address, a connection, 250. */
#ifndef TESTS_DELIVERY_WORLD_H
#define TESTS_DELIVERY_WORLD_H

#include <libmail/delivery.h>
#include <libmail/delivery_schedule.h>

#include "support/count_alloc.h"

typedef struct delivery_world {
    lmail_delivery_config config;
    lmail_delivery_job job;
    lmail_delivery_host host; /* job.hosts */
    char facts[4096];
    unsigned late;        /* answers come after the callback */
    unsigned stop_at;     /* stop when so many questions were asked; 0: never */
    lmail_msec now, cost; /* cost: of each question */

    char
        asked[16384]; /* "mx example.org\nconnect mx1.example 192.0.2.1 25\nsend 192.0.2.1 a b\n" */
    char results[8192]; /* "a@example.org sent 250 2.0.0 mx1.example [192.0.2.1] text\n" */
    unsigned result_count[64];
    unsigned ends, open_connections, kept;
    lmail_delivery_end_event end;
    lmail_status status; /* of new or start, or the first bad one of an answer */

    /* its own */
    lmail_delivery *d;
    char recipients[1024];
    lmail_str list[64];
    char address_room[256][256];
    uint64_t last_connection;
    unsigned open_kind;
    lmail_ticket open_ticket;
    char open_name[256];
    uint64_t open_connection;
    size_t batch[64], batch_count;
} delivery_world;

/* Zeroes it; config and job with their defaults, destination and host "example.org". */
void delivery_world_init(delivery_world *w, const char *facts);
/* Run an attempt for recipients, blanks between. */
void delivery_world_run(delivery_world *w, const char *recipients);

#endif
