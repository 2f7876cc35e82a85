/* imap_box.h - a mailbox in memory that answers an IMAP session's questions about messages.
 *
 * For dialogues, fuzz harnesses and benchmarks: messages are real octets, read by the mime room as
 * a store would read them. Answers point into the box and stay valid until the next call of the
 * same function. Memory is the C library's. */
#ifndef SUPPORT_IMAP_BOX_H
#define SUPPORT_IMAP_BOX_H

#include <libmail/imap.h>
#include <libmail/mime.h>

typedef struct imap_box_message {
    lmail_uid uid;
    lmail_flags flags;
    int64_t date;
    int date_zone;
    lmail_str octets;
    lmail_str header;
    lmail_str envelope, bodystructure, parts; /* NULL: not made yet */
    int gone;                                 /* rows and octets are not there any more */
} imap_box_message;

typedef struct imap_box {
    imap_box_message *messages; /* rising UIDs */
    size_t count, capacity;
    lmail_uid_list uids, found, missing;
    lmail_imap_fetch_row *rows;
    size_t row_capacity;
    lmail_mime_parser *parser;
} imap_box;

void imap_box_done(imap_box *b);
/* uid above all others. The octets are copied. */
imap_box_message *imap_box_add(imap_box *b, lmail_uid uid, lmail_flags flags, lmail_str octets);
imap_box_message *imap_box_find(imap_box *b, lmail_uid uid);
/* UIDs of all messages, gone or not. */
lmail_uid_set imap_box_uids(imap_box *b);

/* max: rows of one answer, 0: all. */
void imap_box_fetch(imap_box *b, const lmail_imap_fetch_event *ev, size_t max,
                    lmail_imap_fetch_answer *a);
/* piece: octets of one answer, 0: all that are asked for. */
void imap_box_octets(imap_box *b, const lmail_imap_octets_event *ev, size_t piece,
                     lmail_imap_octets_answer *a);
void imap_box_store(imap_box *b, const lmail_imap_store_event *ev, lmail_imap_store_answer *a);
/* Text is compared with the raw octets, ASCII letters without case. */
void imap_box_search(imap_box *b, const lmail_imap_search_event *ev, lmail_imap_search_answer *a);

#endif
