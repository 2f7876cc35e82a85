/* dsn_compose.h - a report pulled whole, with a message held in memory. */
#ifndef SUPPORT_DSN_COMPOSE_H
#define SUPPORT_DSN_COMPOSE_H

#include <libmail/dsn.h>

typedef struct dsn_compose {
    lmail_str message;
    size_t room;          /* of each read; 0: 4096 */
    size_t piece;         /* octets given at a time; 0: what is wanted */
    uint64_t fails;       /* reading at or behind this offset gives ERR_IO; 0: never */
    unsigned fail_second; /* in the second pass only */
    /* out */
    char *out; /* free() it */
    size_t len;
    size_t questions;
    lmail_dsn_facts facts;
} dsn_compose;

/* OK, or what lmail_dsn_new or lmail_dsn_read said; out is then what came before. */
lmail_status dsn_compose_run(dsn_compose *c, const lmail_dsn_config *config,
                             const lmail_dsn_report *report);

#endif
