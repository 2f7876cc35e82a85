/* libmail/mime_write.h - messages written: header fields, parts, boundaries.
 *
 * The other direction of libmail/mime.h. Values go in as UTF-8 and come out as a header may carry
 * them: folded, quoted, as encoded words. A writer hands its octets to a function or fills a buffer
 * of the caller's; nothing is allocated.
 *
 *     char out[2048];
 *     lmail_mime_writer w;
 *     lmail_mime_writer_init(&w, out, sizeof out);
 *     lmail_mime_date_write(&w, LMAIL_STR("Date"), seconds, 60);
 *     lmail_mime_text_write(&w, LMAIL_STR("Subject"), LMAIL_STR("Gr\303\274\303\237e"));
 *     lmail_mime_blank_write(&w);
 *     send(out, w.made);
 *
 * What would break a header - CR, LF, NUL and other control octets, text that is no UTF-8, a name
 * that is no field's - is ERR_ARG, and then nothing of that field is written. Lines are folded at 76
 * octets where there is white space to fold at, and none is ever longer than 998.
 *
 * Every field function returns: OK; ERR_ARG; ERR_LIMIT (the buffer is too small: made goes on
 * counting, so that it tells the size needed; or one item is too long for any line); what the sink
 * returned, which ends the writer: later calls return the same.
 *
 * Source: RFC 5322 §2.1.1, §2.2.3, §3.3, §3.4, §3.6.4; 2045 §5.1; 2046 §5.1; 2047; 2231; 6532. */
#ifndef LIBMAIL_MIME_WRITE_H
#define LIBMAIL_MIME_WRITE_H

#include <libmail/base.h>
#include <libmail/codec_encode.h>
#include <libmail/mime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The writer ------------------------------------------------------------------------------ */

/* Takes octets; anything but OK ends the writer. */
typedef lmail_status lmail_mime_sink_fn(void *ctx, lmail_str octets);

/* `made` may be read; `utf8` may be set: headers of RFC 6532, where text and addresses beyond ASCII
 * stand as they are. The other members are the writer's own. */
typedef struct lmail_mime_writer {
    size_t made; /* octets written, or needed */
    unsigned utf8;
    lmail_mime_sink_fn *sink;
    void *ctx;
    char *out;
    size_t cap;
    size_t column;
    lmail_status status;
} lmail_mime_writer;

/* Into out[0..cap); NULL and 0 count only. */
LMAIL_API void lmail_mime_writer_init(lmail_mime_writer *w, char *out, size_t cap);
LMAIL_API void lmail_mime_writer_init_sink(lmail_mime_writer *w, lmail_mime_sink_fn *sink,
                                           void *ctx);

/* ---- Fields ---------------------------------------------------------------------------------- */

/* Unstructured text, as Subject. Words beyond ASCII, and such as would read as an encoded word, are
 * written as encoded words of at most 75 octets, each of whole characters; a reader gets the text
 * back as it was. */
LMAIL_API lmail_status lmail_mime_text_write(lmail_mime_writer *w, lmail_str name, lmail_str text);

/* A structured value that the caller has made: ASCII (with utf8: UTF-8), folded at its white space.
 * A word of more than 900 octets is ERR_LIMIT. */
LMAIL_API lmail_status lmail_mime_value_write(lmail_mime_writer *w, lmail_str name,
                                              lmail_str value);

/* One address. name: UTF-8, may be empty. local and domain as lmail_mime_address has them: without
 * quoting; an address literal keeps its brackets; beyond ASCII only with utf8. */
typedef struct lmail_mime_mailbox {
    lmail_str name, local, domain;
} lmail_mime_mailbox;

/* An address list: display names are quoted or encoded as they need, local parts too.
 * ERR_ARG also: no address, an empty local part or domain, a domain that is none. */
LMAIL_API lmail_status lmail_mime_addresses_write(lmail_mime_writer *w, lmail_str name,
                                                  const lmail_mime_mailbox *list, size_t count);

/* seconds since 1970 UTC; zone: minutes east of UTC. The years 1900 to 9999, else ERR_ARG. */
LMAIL_API lmail_status lmail_mime_date_write(lmail_mime_writer *w, lmail_str name, int64_t seconds,
                                             int32_t zone);

/* Message ids, without < and >: ERR_ARG where one holds white space, "<", ">" or no "@". */
LMAIL_API lmail_status lmail_mime_ids_write(lmail_mime_writer *w, lmail_str name,
                                            const lmail_str *ids, size_t count);

/* A parameter: value is UTF-8. */
typedef struct lmail_mime_write_param {
    lmail_str name, value;
} lmail_mime_write_param;

/* "value; name=value ...": Content-Type, Content-Disposition. value is a token or two with "/"
 * between. Parameters are tokens, quoted strings, or, beyond ASCII and when long, those of RFC 2231
 * (charset UTF-8, continued). */
LMAIL_API lmail_status lmail_mime_content_write(lmail_mime_writer *w, lmail_str name,
                                                lmail_str value,
                                                const lmail_mime_write_param *params, size_t count);

/* Content-Transfer-Encoding; ERR_ARG for one that has no name. */
LMAIL_API lmail_status lmail_mime_encoding_write(lmail_mime_writer *w,
                                                 lmail_mime_encoding encoding);

/* The empty line behind a header. */
LMAIL_API lmail_status lmail_mime_blank_write(lmail_mime_writer *w);

/* ---- Values ---------------------------------------------------------------------------------- */

/* "Thu, 13 Feb 1969 23:32:54 -0330" to out[0..31). Returns its length; 0: out of range. */
LMAIL_API size_t lmail_mime_date_text(int64_t seconds, int32_t zone, char *out);

/* A message id without < and >: "20030701105237.UNIQUE@domain". unique: letters and digits that no
 * other message of that second has.
 * Returns: OK, ERR_ARG, ERR_LIMIT (cap is too small). */
LMAIL_API lmail_status lmail_mime_id_write(int64_t seconds, lmail_str unique, lmail_str domain,
                                           char *out, size_t cap, size_t *made);

/* ---- Multiparts ------------------------------------------------------------------------------ */

/* Looks through what a part is going to hold, in any split: which encoding it needs, and which
 * boundaries it rules out. Zero it to start and set `prefix` (may be empty); facts may be read, the
 * members behind them are its own. */
typedef struct lmail_mime_scan {
    lmail_str prefix; /* of the boundary to be: at most 64 octets; outlives the scan */
    uint64_t octets;
    uint64_t high;     /* octets above 127 */
    uint64_t control;  /* below 32 and 127, but TAB, CR and LF */
    uint64_t header;   /* octets up to and with the first empty line; 0: none yet */
    size_t longest;    /* line, without its end */
    unsigned has_nul;  /* or a bare CR or LF: only BINARYMIME carries it */
    uint64_t taken[1]; /* see lmail_mime_boundary_write */
    size_t column, matched;
    unsigned cr;
} lmail_mime_scan;

LMAIL_API void lmail_mime_scan_feed(lmail_mime_scan *s, lmail_str in);

/* The encoding that what was scanned needs as a text: 7BIT; where there are octets above 127 8BIT if
 * it is allowed; else QUOTED_PRINTABLE, or BASE64 where that is shorter. */
LMAIL_API lmail_mime_encoding lmail_mime_scan_encoding(const lmail_mime_scan *s,
                                                       unsigned allow_8bit);

#define LMAIL_MIME_BOUNDARY_PREFIX 26 /* octets */

/* A prefix for the boundaries of one message: "=_" and letters and digits made of `seed`, so that it
 * occurs in no encoded body. The same seed gives the same prefix. out[0..26) */
LMAIL_API void lmail_mime_boundary_prefix(lmail_str seed, char *out);

/* The boundary: prefix and one octet more, such that no line of what was scanned begins with it and
 * two hyphens.
 *   taken   all scans' taken[0], or-ed
 *   out     prefix.len + 1 octets
 * Returns: OK, ERR_EXISTS (all 64 are taken: scan again with another prefix). */
LMAIL_API lmail_status lmail_mime_boundary_write(lmail_str prefix, uint64_t taken, char *out);

/* CRLF, two hyphens, boundary, with `last` two hyphens more, CRLF. */
LMAIL_API lmail_status lmail_mime_delimiter_write(lmail_mime_writer *w, lmail_str boundary,
                                                  unsigned last);

/* ---- Bodies ---------------------------------------------------------------------------------- */

/* Undoes lmail_mime_decoder's work in pieces. Zero it to start, set encoding, and for text whose
 * line ends are CRLF `text`. */
typedef struct lmail_mime_encoder {
    lmail_mime_encoding encoding; /* 7BIT, 8BIT, BINARY: the octets as they are */
    unsigned text;
    lmail_qp_encoder qp;
    lmail_base64_encoder base64;
} lmail_mime_encoder;

/* As lmail_qp_encode_some. */
LMAIL_API lmail_status lmail_mime_encode_some(lmail_mime_encoder *e, lmail_str in, int end,
                                              size_t *used, char *out, size_t cap, size_t *made);

#ifdef __cplusplus
}
#endif

#endif
