/* service_alter.h - a message that lies in the spool, written again with changes.
 *
 * Who looks at a whole message and wants another one in its place: its header fields, its body, all
 * of it. The new one is a second file, the first goes away, and what comes then - mailboxes, the
 * queue's data file, the sync - is as for any message. */
#ifndef LMI_SERVICE_ALTER_H
#define LMI_SERVICE_ALTER_H

#include "host/service/service_mail.h"

#include <libmail/mime_write.h>

/* Octets of the message come in order, in pieces; `put(to, octets)` writes what stands in their
 * place. Any error ends it, and the message stays as it was. Trace fields of ours are among the
 * octets, Return-Path is not. */
typedef struct lmi_alteration {
    void *ctx;
    lmail_status (*feed)(void *ctx, lmail_str octets, lmail_mime_sink_fn *put, void *to);
    lmail_status (*end)(void *ctx, lmail_mime_sink_fn *put, void *to); /* NULL: nothing follows */
} lmi_alteration;

/* On a worker, when all octets have come and before the commit. One that is thrown away is left
 * alone.
 * Returns: OK; what an alteration or the store returned. */
lmail_status lmi_mail_alter(lmi_mail *m, const lmi_alteration *a);

#endif
