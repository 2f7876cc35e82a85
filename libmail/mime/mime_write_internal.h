/* mime_write_internal.h - what the files that write header fields share. */
#ifndef LMI_MIME_WRITE_INTERNAL_H
#define LMI_MIME_WRITE_INTERNAL_H

#include <libmail/mime_write.h>

#include "mime_internal.h"

/* RFC 5322 §2.1.1: 78 wanted, 998 the limit; RFC 2047 §2: 76 where an encoded word stands, so 76. */
#define LMI_MIME_LINE 76u
#define LMI_MIME_WORD 75u
#define LMI_MIME_LONGEST 900u /* of what cannot be folded */

/* ---- Tests of a value (mime_write.c) ---------------------------------------------------------- */

int lmi_mime_is_atext(unsigned char c); /* RFC 5322 §3.2.3 */
int lmi_mime_is_token(lmail_str s);     /* RFC 2045 §5.1, not empty */
/* No control octet but TAB; valid UTF-8; only ASCII unless utf8. */
int lmi_mime_is_line(lmail_str s, unsigned utf8);
int lmi_mime_is_field_name(lmail_str name);
int lmi_mime_is_ascii(lmail_str s);

/* ---- Putting (mime_write.c): all keep w->column ------------------------------------------------ */

void lmi_mime_w_put(lmail_mime_writer *w, lmail_str octets);
/* "Name:"; what follows begins with a blank. */
void lmi_mime_w_begin(lmail_mime_writer *w, lmail_str name);
/* A blank, or a fold where `len` more octets would pass the line's end. */
void lmi_mime_w_space(lmail_mime_writer *w, size_t len);
/* The field's line end, and what its function returns. */
lmail_status lmi_mime_w_end(lmail_mime_writer *w);

/* ---- Encoded words (mime_write_words.c) -------------------------------------------------------- */

/* Must the text be encoded to be read as it is? */
int lmi_mime_needs_words(lmail_str text, unsigned utf8);
/* Encoded words, each behind a blank or fold. The text is valid UTF-8. */
void lmi_mime_w_words(lmail_mime_writer *w, lmail_str text);

#endif
