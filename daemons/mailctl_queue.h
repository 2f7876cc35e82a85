/* How mailctl's queue commands write a message. */
#ifndef MAILCTL_QUEUE_H
#define MAILCTL_QUEUE_H

#include <stdio.h>

#include <libmail/host/queue.h>

/* Fields of one line with a tab between: id, arrival, octets, state, sender, recipients that wait. */
void queue_print_line(FILE *to, const lmail_queue_message *m);
/* One JSON object on one line. */
void queue_print_json(FILE *to, const lmail_queue_message *m);
/* For people: a line a fact, then the recipients. */
void queue_print_long(FILE *to, const lmail_queue_message *m);
/* Text of a peer's: control characters and what is no UTF-8 are written \xNN. */
void queue_print_text(FILE *to, lmail_str text);

#endif
