/* mime_filter.h - a header that streams by: fields pass, go, or become others (RFC 5322 §2.2).
 *
 * For who changes messages on their way: mime_downgrade.c and the delivery room. Octets of a field
 * that passes are never touched. */
#ifndef LMI_MIME_FILTER_H
#define LMI_MIME_FILTER_H

#include <libmail/mime_write.h>

#include "mime_internal.h"

typedef enum lmi_mime_filter_word {
    LMI_MIME_PASS = 0,
    LMI_MIME_DROP,
    LMI_MIME_GATHER /* the field is wanted whole */
} lmi_mime_filter_word;

typedef struct lmi_mime_filter lmi_mime_filter;

/* All are set by who uses it; ctx goes to the first three. Octets go out by lmi_mime_filter_put. */
typedef struct lmi_mime_filter_user {
    void *ctx;
    /* What becomes of a field of that name. */
    lmi_mime_filter_word (*name)(void *ctx, lmail_str name);
    /* A field that was gathered. 1: another one, or nothing, was put in its place; 0: it passes.
     * Not called for one above max_field: that passes. */
    int (*field)(void *ctx, lmi_mime_filter *f, const lmail_mime_field *field);
    /* The header is over: what is to stand behind its fields. Not called for a header that has a
     * line which is no field: nobody knows where it ends. */
    void (*end)(void *ctx, lmi_mime_filter *f);
    lmail_mime_sink_fn *sink;
    void *sink_ctx;
} lmi_mime_filter_user;

#define LMI_MIME_FILTER_NAME 128

struct lmi_mime_filter {
    lmi_mime_filter_user user;
    lmi_mime_out gathered;
    unsigned state;
    lmi_mime_filter_word word; /* of the field that is open */
    unsigned any, broken;      /* there was a field; a line that is none */
    unsigned cr;               /* of a line that may be the empty one */
    size_t held;
    char name[LMI_MIME_FILTER_NAME]; /* the line, while its name is not known */
    unsigned changed;                /* out: something differs */
    lmail_status st;
};

/* max_field: octets of a field that is gathered. Memory is taken when one is. */
void lmi_mime_filter_init(lmi_mime_filter *f, const lmi_mime_filter_user *user,
                          const lmail_alloc *alloc, size_t max_field);
void lmi_mime_filter_done(lmi_mime_filter *f); /* memory goes back */
/* Before another header. */
void lmi_mime_filter_reset(lmi_mime_filter *f);
void lmi_mime_filter_put(lmi_mime_filter *f, lmail_str octets);

/* Take octets, any split. END: the header is over, its empty line is out; in behind *used is the
 * body. A message whose first line is no field has no header: END at once.
 * Returns: OK (all taken), END, ERR_NOMEM, what the sink returned. */
lmail_status lmi_mime_filter_feed(lmi_mime_filter *f, lmail_str in, size_t *used);
/* The message ends within its header. OK, or an error as above. */
lmail_status lmi_mime_filter_end(lmi_mime_filter *f);

#endif
