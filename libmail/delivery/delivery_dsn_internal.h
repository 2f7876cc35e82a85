/* delivery_dsn_internal.h - a report between its first and last octet.
 *
 *     delivery_dsn_rules.c   who gets a report
 *     delivery_dsn.c         new, free: the report's facts are copied and made presentable
 *     delivery_dsn_read.c    the steps: two passes over its parts, the first to see what they need
 *     delivery_dsn_human.c   the part that people read
 *     delivery_dsn_status.c  the part that programs read */
#ifndef LMI_DELIVERY_DSN_INTERNAL_H
#define LMI_DELIVERY_DSN_INTERNAL_H

#include <libmail/dsn.h>
#include <libmail/mime_write.h>

#include "base/base_internal.h"
#include "mime/mime_write_internal.h"

#define LMI_DSN_VALUE 900u  /* octets kept of what others have said */
#define LMI_DSN_TEXT 1000u  /* of a text of the table */
#define LMI_DSN_WANT 16384u /* of the message, at a time */
#define LMI_DSN_BOUNDARY (LMAIL_MIME_BOUNDARY_PREFIX + 1)
#define LMI_DSN_TRIES 8u /* boundaries' prefixes */

typedef enum lmi_dsn_step {
    LMI_DSN_HEADER,
    LMI_DSN_HUMAN, /* begin; then one recipient a time, end */
    LMI_DSN_HUMAN_RECIPIENTS,
    LMI_DSN_HUMAN_END,
    LMI_DSN_STATUS,
    LMI_DSN_STATUS_RECIPIENTS,
    LMI_DSN_ORIGINAL,
    LMI_DSN_OCTETS, /* of the message */
    LMI_DSN_TAIL,
    LMI_DSN_DONE
} lmi_dsn_step;

struct lmail_dsn {
    lmail_alloc alloc;
    lmi_arena arena;
    lmail_dsn_config config; /* slices in the arena */
    lmail_dsn_report report;
    lmail_dsn_recipient *recipients;
    lmail_str text[LMAIL_DSN_TEXT_COUNT];
    lmail_str to_local, to_domain;
    unsigned to_utf8;                        /* the header holds octets beyond ASCII */
    unsigned global;                         /* message/global-delivery-status */
    unsigned counts[LMAIL_DSN_EXPANDED + 1]; /* recipients by action, 1: there are some */

    lmi_dsn_step step;
    unsigned scanning; /* the first pass */
    lmail_dsn_action group;
    size_t at; /* recipient */
    lmail_status st;

    char prefix[LMAIL_MIME_BOUNDARY_PREFIX];
    char boundary[LMI_DSN_BOUNDARY];
    unsigned tries;
    lmail_mime_scan human, status, whole, head;
    unsigned held_cr;           /* of the message: it may begin the empty line */
    lmail_mime_scan *scan;      /* of the part that is under way; NULL: none */
    lmail_mime_encoder encoder; /* second pass */
    lmail_mime_encoding human_encoding, original_encoding;

    unsigned full;     /* the whole message is returned; in the first pass: if it proves fit */
    uint64_t offset;   /* of the message: next octet */
    uint64_t head_end; /* the header, without its empty line; cut at max_header */
    uint64_t send_end; /* what is returned; 0: nothing */
    uint64_t seen;     /* octets there were in the first pass */
    unsigned want;     /* octets are asked for */

    lmi_mime_out chunk; /* made, not read yet */
    size_t chunk_at;
    lmail_mime_writer w; /* into the chunk, through scan or encoder */
    size_t column;       /* of the human part's line */
};

/* ---- Texts ----------------------------------------------------------------------------------- */

/* A text of the table with its placeholder, wrapped, indented, with a line end. */
void lmi_dsn_say(lmail_dsn *d, lmail_dsn_text_id id, lmail_str argument, unsigned indent);
void lmi_dsn_human_begin(lmail_dsn *d);
/* The heading of a group. */
void lmi_dsn_human_group(lmail_dsn *d, lmail_dsn_action action);
void lmi_dsn_human_recipient(lmail_dsn *d, const lmail_dsn_recipient *r);
void lmi_dsn_human_end(lmail_dsn *d);

/* ---- Status fields --------------------------------------------------------------------------- */

void lmi_dsn_status_begin(lmail_dsn *d);
void lmi_dsn_status_recipient(lmail_dsn *d, const lmail_dsn_recipient *r);
/* "5.1.1" of a recipient: its own, or one of the action's class. */
lmail_str lmi_dsn_enhanced(const lmail_dsn_recipient *r);
/* The one that came with the reply; empty: none of the reply's class did. */
lmail_str lmi_dsn_said(const lmail_dsn_recipient *r);

/* ---- Steps ----------------------------------------------------------------------------------- */

/* Ready for the first pass. OK or ERR_NOMEM. */
void lmi_dsn_start(lmail_dsn *d);
/* Octets of the part that is under way. */
void lmi_dsn_put(lmail_dsn *d, lmail_str octets);

#endif
