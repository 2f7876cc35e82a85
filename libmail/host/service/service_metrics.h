/* service_metrics.h - what a service counts. docs/metrics.md describes every family.
 *
 * Everything here is called on the loop of the peer that it is about, so that each loop counts in a
 * set of its own; what workers measure is counted when their job comes home. */
#ifndef LMI_SERVICE_METRICS_H
#define LMI_SERVICE_METRICS_H

#include "host/service/service_internal.h"

#include <libmail/host/metrics.h>

typedef struct lmi_metrics lmi_metrics;

/* Once the net has its loops. */
lmail_status lmi_metrics_new(lmail_service *s);
/* The sockets that show the numbers. name: of the program, for its socket in run_directory; or
 * NULL. Returns OK, or fills error. */
lmail_status lmi_metrics_open(lmail_service *s, const char *name, char *error, size_t cap);
void lmi_metrics_stop(lmi_metrics *m); /* on loop 0, when the net begins to stop */
void lmi_metrics_end(lmi_metrics *m);  /* before the net is freed */
void lmi_metrics_free(lmi_metrics *m); /* after it */

/* Microseconds of a steady clock. */
uint64_t lmi_clock(void);

/* Connections: one got no session; the peer has its session; the peer is about to lose it. */
void lmi_count_turned_away(const lmi_door *door, const lmail_loop *loop, lmail_refused why);
void lmi_count_opened(lmi_peer *peer);
void lmi_count_closed(lmi_peer *peer, lmail_close_reason reason);
/* Octets over the wire since this was last called. */
void lmi_count_traffic(lmi_peer *peer);

/* The session handlers' on_trace: commands and replies. user: the peer. */
void lmi_count_trace(void *user, const lmail_trace *ev);

/* A login was answered, or could not be tried. began: when it was asked for. */
void lmi_count_login(const lmi_peer *peer, const char *mechanism, const lmail_auth_result *r,
                     uint64_t began);
/* A worker checked a password, or took a step, from .. to. */
void lmi_count_check(const lmi_peer *peer, uint64_t from, uint64_t to);

/* A job came home: it waited and worked since job->began. */
void lmi_count_job(const lmi_job *job);
/* Something was written to a mailbox, or could not be. */
void lmi_count_commit(const lmi_peer *peer, lmail_status status);
/* The same of a delivery, with the time since job->began. */
void lmi_count_delivery(const lmi_job *job);

/* Whole messages that were answered for, with where they went. */
typedef enum lmi_verdict {
    LMI_VERDICT_DELIVERED,
    LMI_VERDICT_QUEUED,
    LMI_VERDICT_QUARANTINED,
    LMI_VERDICT_DISCARDED,
    LMI_VERDICT_FAILED, /* of a recipient alone */
    LMI_VERDICT_REFUSED
} lmi_verdict;
void lmi_count_message(const lmi_peer *peer, lmi_verdict verdict, uint64_t octets);
void lmi_count_recipient(const lmi_peer *peer, lmi_verdict verdict);
/* Something was refused at this stage (lmi_reply_log): "rcpt" is a recipient, "data" and "body" are
 * a message. */
void lmi_count_refused(const lmi_peer *peer, const char *stage);

/* POP3: messages sent whole, and messages removed at QUIT. */
void lmi_count_retrieved(const lmi_peer *peer, uint64_t messages);
void lmi_count_deleted(const lmi_peer *peer, uint64_t messages);

/* The set of a loop; what lmi_count_lookup wants for its user, on that loop. */
lmail_metrics_set *lmi_metrics_set(const lmail_service *s, const lmail_loop *loop);
void lmi_count_lookup(void *set, uint64_t microseconds);

/* An attempt for one recipient in the queue came to this lmail_queue_state. On loop 0. */
void lmi_count_sent(lmail_service *s, unsigned state);

/* A mail filter said this (lmail_milter_says). */
void lmi_count_filter(const lmi_peer *peer, unsigned says);

/* On loop 0. */
void lmi_count_reload(lmail_service *s, int good);

#endif
