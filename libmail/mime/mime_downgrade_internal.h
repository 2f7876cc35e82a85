/* mime_downgrade_internal.h - what the two passes of a downgrade share: mime_downgrade.c looks and
 * decides, mime_downgrade_write.c writes. */
#ifndef LMI_MIME_DOWNGRADE_INTERNAL_H
#define LMI_MIME_DOWNGRADE_INTERNAL_H

#include <libmail/mime_downgrade.h>

#include "mime_filter.h"

/* What is done to a part; bits of a plan. */
enum {
    LMI_DOWN_ENCODE = 1, /* its body is encoded, as quoted-printable or */
    LMI_DOWN_BASE64 = 2,
    LMI_DOWN_RELABEL = 4, /* its Content-Transfer-Encoding says 8bit or binary, and is 7bit then */
    LMI_DOWN_VERSION = 8, /* a message with an encoded body somewhere: it must have MIME-Version */
    LMI_DOWN_SIGNED = 16, /* multipart/signed, or inside one */
    LMI_DOWN_CANNOT = 32  /* may have no encoding */
};

typedef enum lmi_down_where { LMI_DOWN_GAP = 0, LMI_DOWN_HEADER, LMI_DOWN_BODY } lmi_down_where;

struct lmail_mime_downgrade {
    lmail_mime_downgrade_config config;
    lmail_mime_parser *parser;
    lmail_status st;
    unsigned looked; /* the first pass is over */

    uint8_t *plans; /* one a part */
    uint32_t plan_count, plan_cap;
    uint32_t leaf;        /* first pass: whose body comes */
    lmail_mime_scan body; /* of it */
    lmail_mime_scan all;

    /* The second pass. */
    lmail_mime_parts parts;
    uint64_t at;
    uint32_t part, next; /* the one we are in; the next to begin */
    lmi_down_where where;
    uint64_t signed_until;
    lmi_mime_filter filter;
    unsigned in_body; /* behind the header's end, as the filter sees it */
    unsigned has_version, has_type, added;
    size_t column;       /* of the line that is read, in headers and gaps */
    size_t out_column;   /* of the one that is written */
    unsigned after_body; /* an encoded body without a line end, and nothing since */
    unsigned last;       /* the octet that went out last */
    lmi_decoder decoder;
    lmail_mime_encoder encoder;
};

void lmi_down_write_begin(lmail_mime_downgrade *d);
void lmi_down_write(lmail_mime_downgrade *d, lmail_str in);
void lmi_down_write_end(lmail_mime_downgrade *d);

#endif
