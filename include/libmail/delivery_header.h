/* libmail/delivery_header.h - a message's header as it leaves, or as a user's message comes in.
 *
 * Octets of a message in, octets out, field by field: addresses are rewritten by the tables of
 * libmail/policy_tables.h, Bcc goes, and what a message must have and has not is added. Fields that
 * nothing is done to, and the body, pass octet for octet.
 *
 *     lmail_delivery_header_new(&h, &config);
 *     while (read(&in)) {
 *         st = lmail_delivery_header_feed(h, in, &used);     the sink gets the header's octets
 *         if (st == LMAIL_END) { write(in behind used, and all that follows); break; }
 *     }
 *     lmail_delivery_header_end(h);                          the message ended within its header
 *
 * Only who may send through this host is to be rewritten: other people's mail is signed (RFC 6376).
 *
 * Source: RFC 5322 §2.2, §3.4, §3.6; RFC 6409 §8; RFC 5321 §7.2 (Bcc). */
#ifndef LIBMAIL_DELIVERY_HEADER_H
#define LIBMAIL_DELIVERY_HEADER_H

#include <libmail/base.h>
#include <libmail/mime_write.h>
#include <libmail/policy_tables.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_delivery_header lmail_delivery_header;

/* Slices are copied; tables outlive the header. */
typedef struct lmail_delivery_header_config {
    size_t size;
    lmail_alloc alloc;                 /* zeroed: the C library's */
    const lmail_policy_tables *tables; /* NULL: no address is rewritten */
    lmail_policy_delivery delivery;    /* where the message goes */
    unsigned remove;                   /* Bcc and Resent-Bcc go */
    /* Added when the field is missing; empty: not. date and message_id are values, from is an
     * address, which is rewritten like one that was there. At most 900 octets each. */
    lmail_str date, from, message_id;
    size_t max_field; /* longer address fields pass as they are; 0: 64 KiB */
    lmail_mime_sink_fn *sink;
    void *ctx;
} lmail_delivery_header_config;

#define LMAIL_DELIVERY_HEADER_CONFIG_INIT                                                          \
    {                                                                                              \
        sizeof(lmail_delivery_header_config), {NULL, NULL}, NULL, LMAIL_POLICY_DELIVERY_SMTP, 0,   \
            {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, NULL, NULL                                         \
    }
LMAIL_API void lmail_delivery_header_config_init(lmail_delivery_header_config *config);

/* Returns: OK, ERR_SIZE, ERR_NOMEM, ERR_ARG (no sink; a value that holds a line end or NUL, or is
 * too long). */
LMAIL_API lmail_status lmail_delivery_header_new(lmail_delivery_header **out,
                                                 const lmail_delivery_header_config *config);
/* NULL is allowed. */
LMAIL_API void lmail_delivery_header_free(lmail_delivery_header *h);

/* Take octets, any split; what goes out goes to the sink within the call or a later one. A message
 * whose first line is no field has no header. A later line that is none passes, and nothing is added
 * then. A field whose addresses became others is folded anew where its lines are over 78 octets.
 *   used  out: octets of `in` that belong to the header
 * Returns: OK (all are taken), END (the header is over: the rest of `in` is the body, and so is what
 * follows; again at each later call), ERR_NOMEM, what the sink returned. */
LMAIL_API lmail_status lmail_delivery_header_feed(lmail_delivery_header *h, lmail_str in,
                                                  size_t *used);

/* The message is over; does nothing behind END. Returns: OK, ERR_NOMEM, what the sink returned. */
LMAIL_API lmail_status lmail_delivery_header_end(lmail_delivery_header *h);

/* Does what went out differ from what came in: 1 or 0. */
LMAIL_API int lmail_delivery_header_changed(const lmail_delivery_header *h);

#ifdef __cplusplus
}
#endif

#endif
