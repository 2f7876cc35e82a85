/* libmail/codec_encode.h - bodies into quoted-printable and base64, in pieces.
 *
 * The other direction of libmail/codec.h's streaming decoders: any split of the input gives the same
 * octets. The state is the caller's; nothing is allocated, nothing can fail. */
#ifndef LIBMAIL_CODEC_ENCODE_H
#define LIBMAIL_CODEC_ENCODE_H

#include <libmail/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Lines of at most 76 octets. Zero it to start and set `text`; the other members are the encoder's
 * own. */
typedef struct lmail_qp_encoder {
    unsigned text; /* not 0: CRLF is a line end; 0: CR and LF are data too */
    unsigned column;
    unsigned has_held, cr;
    unsigned char held;
} lmail_qp_encoder;

/* Take octets of `in`, make octets in out[0..cap); `end` not zero: `in` is the last.
 *   cap         at least 16
 *   used, made  out: octets taken and written
 * Returns: OK (all taken, and with `end` all made), MORE (out is full: go on with the rest).
 * Source: RFC 2045 §6.7. */
LMAIL_API lmail_status lmail_qp_encode_some(lmail_qp_encoder *e, lmail_str in, int end,
                                            size_t *used, char *out, size_t cap, size_t *made);

/* Lines of 76 octets with CRLF between them, none behind the last. Zero it to start. */
typedef struct lmail_base64_encoder {
    unsigned column, count;
    char group[3];
} lmail_base64_encoder;

/* As lmail_qp_encode_some. Source: RFC 2045 §6.8. */
LMAIL_API lmail_status lmail_base64_encode_some(lmail_base64_encoder *e, lmail_str in, int end,
                                                size_t *used, char *out, size_t cap, size_t *made);

#ifdef __cplusplus
}
#endif

#endif
