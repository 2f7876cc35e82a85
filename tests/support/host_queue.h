/* host_queue.h - a queue in a directory of its own. Every failure is a failed check. */
#ifndef TESTS_HOST_QUEUE_H
#define TESTS_HOST_QUEUE_H

#include <libmail/host/queue.h>

typedef struct qkit {
    char dir[64]; /* removed by qkit_stop */
    lmail_queue *queue;
    lmail_queue_config config; /* for the next open: keeper, on_fault counts into the members */
    uint64_t unanswered, debris, damaged;
    char aside[LMAIL_QUEUE_PATH]; /* where a damaged one is */
} qkit;

void qkit_start(qkit *k); /* an empty queue, open */
void qkit_stop(qkit *k);
void qkit_close(qkit *k);
lmail_status qkit_open(qkit *k); /* as config says; also the error's text is looked at */

/* DIRECTORY/tail; static buffer. */
const char *qkit_path(const qkit *k, const char *tail);
/* Write the data file. */
void qkit_data(const qkit *k, uint64_t id, const char *octets);
int qkit_has_data(const qkit *k, uint64_t id);
/* Data file and rows; `to` holds addresses with blanks between. */
lmail_status qkit_add(qkit *k, uint64_t id, const char *from, const char *to);

/* Ids that fit, as "1 2 A"; static buffer. filter may be NULL. */
const char *qkit_ids(qkit *k, const lmail_queue_filter *filter);
/* "FROM pending held=1:reason; TO,TO" of one; "-" when it is not there; static buffer. */
const char *qkit_row(qkit *k, uint64_t id);

#endif
