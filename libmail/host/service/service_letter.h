/* service_letter.h - a whole message that others want changed: its header as a list of fields, its
 * body in the spool, its envelope. Mail filters look at it (service_milter_message.c). */
#ifndef LMI_SERVICE_LETTER_H
#define LMI_SERVICE_LETTER_H

#include "host/service/service_mail.h"

/* What fields, changes and addresses of one message may take in memory, beside its own header. */
#define LMI_LETTER_MEMORY (2u << 20)

typedef struct lmi_field {
    char *text; /* malloc'ed: the field without its last CRLF */
    size_t len;
    size_t name;   /* octets of its name */
    size_t value;  /* where it begins: behind the colon */
    unsigned ours; /* a trace field that this host has put in front */
} lmi_field;

/* What a RCPT became: these recipients of the message, by their place in it. */
typedef struct lmi_told {
    char *address;
    size_t first, count;
} lmi_told;

/* A body that takes the place of the first one. */
typedef struct lmi_new_body {
    lmail_delivery *delivery; /* NULL: there is none */
    uint64_t size;
    unsigned ended;
} lmi_new_body;

typedef struct lmi_letter {
    lmi_field *fields;
    size_t count, capacity;
    uint64_t body, end; /* where the body begins in the spool file, and where that ends */
    lmi_new_body replaced;
    unsigned changed; /* the spool file is not what goes out */
    char **added;     /* addresses */
    size_t added_count;
    char **deleted;
    size_t deleted_count;
    char *from; /* the new sender; NULL: as it was */
    lmi_told *told;
    size_t told_count;
    size_t memory; /* of what was added */
} lmi_letter;

/* On a worker. End the message's spool file and read its header into m->letter.
 *   ours   octets in front that are Return-Path and trace fields of this host
 * Returns: OK, ERR_LIMIT (a header beyond measure), ERR_NOMEM, or the store's. */
lmail_status lmi_letter_read(lmi_mail *m, uint64_t ours);
/* On a worker, when a body was replaced. NULL is allowed. */
void lmi_letter_free(const lmi_mail *m, lmi_letter *l);

/* Changes of the header; values are all that stands behind the colon. OK, ERR_LIMIT, ERR_NOMEM. */
lmail_status lmi_letter_insert(lmi_letter *l, size_t at, lmail_str name, lmail_str value);
/* Of the fields with this name that are not ours number `index`, from 1; where there is none, ours.
 * An empty value removes it; a value for one that is not there is added at the end. */
lmail_status lmi_letter_change(lmi_letter *l, size_t index, lmail_str name, lmail_str value);
lmail_status lmi_letter_add_rcpt(lmi_letter *l, lmail_str address);
lmail_status lmi_letter_delete_rcpt(lmi_letter *l, lmail_str address);
lmail_status lmi_letter_set_from(lmi_letter *l, lmail_str address);

/* On a worker. Octets of the body as it is now; *got less than cap: it ends there. */
lmail_status lmi_letter_read_body(const lmi_mail *m, uint64_t offset, char *buf, size_t cap,
                                  size_t *got);
/* On a worker. The next octets of a new body; of none they begin it. */
lmail_status lmi_letter_write_body(const lmi_mail *m, lmi_new_body *b, lmail_str octets);
/* On a worker. It takes the place of the body there was, and *b is none again. */
lmail_status lmi_letter_take_body(const lmi_mail *m, lmi_new_body *b);
void lmi_letter_drop_body(const lmi_mail *m, lmi_new_body *b);

/* service_letter_envelope.c: the first half of this: */
lmail_status lmi_letter_envelope(lmi_mail *m);
/* On a worker, before the commit: envelope and spool file become what the letter says.
 * Returns: OK, ERR_NOMEM, or the store's. */
lmail_status lmi_letter_apply(lmi_mail *m);

#endif
