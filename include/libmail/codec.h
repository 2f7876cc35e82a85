/* libmail/codec.h - octets to text and back.
 *
 * Functions without state or with a small state that the caller owns; no allocation, no I/O. The
 * strict decoders are for protocols, where a second reading of a malformed text is a risk; the
 * streaming ones are for message bodies, where broken input gives the best result and never fails.
 */
#ifndef LIBMAIL_CODEC_H
#define LIBMAIL_CODEC_H

#include <libmail/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Base64 ---------------------------------------------------------------------------------- */

/* Octets that the base64 of n octets takes, padding included, no line ends. SIZE_MAX on overflow.
 */
LMAIL_API size_t lmail_base64_size(size_t n);

/* Encode all of `in` with padding and without line ends (RFC 4648 §4).
 *   out, cap  at least lmail_base64_size(in.len) octets; must not overlap `in`
 *   made      out: octets written
 * Returns: OK, ERR_LIMIT (cap is too small; nothing is written). */
LMAIL_API lmail_status lmail_base64_encode(lmail_str in, char *out, size_t cap, size_t *made);

/* Decode all of `in`, strictly: only the alphabet, length a multiple of four, right padding, unused
 * bits zero, so that each text has one reading and each octet string one text.
 *   out, cap  in.len / 4 * 3 octets are always enough; may be in.ptr itself. NULL with cap 0: only
 *             check, *made tells the decoded length
 *   made      out: octets written; after ERR_SYNTAX the offset in `in` of the first octet that does
 *             not fit (in.len: the text stops too early)
 * Returns: OK, ERR_SYNTAX, ERR_LIMIT (cap is too small).
 * Source: RFC 4648 §3.2 padding, §3.3 foreign characters, §3.5 canonical encoding. */
LMAIL_API lmail_status lmail_base64_decode(lmail_str in, char *out, size_t cap, size_t *made);

/* Decoding a message body in pieces, with MIME's tolerance: octets outside the alphabet are skipped
 * (RFC 2045 §6.8), padding closes a group and decoding goes on behind it, and what a truncated end
 * holds is delivered. Zero it to start; the members are the decoder's own, but `skipped` may be
 * read: octets passed over that are no white space. */
typedef struct lmail_base64_decoder {
    uint64_t skipped;
    uint32_t bits;
    unsigned count;
} lmail_base64_decoder;

/* Take octets of `in`, make octets in out[0..cap).
 *   used, made  out: octets taken and written
 * A group's octets are written when its last character is taken; with `end` not zero, what is left
 * of an unfinished group too. Returns: OK (all taken), MORE (out is full: call again with the rest;
 * cap must be at least 3). */
LMAIL_API lmail_status lmail_base64_decode_some(lmail_base64_decoder *d, lmail_str in, int end,
                                                size_t *used, char *out, size_t cap, size_t *made);

#ifdef __cplusplus
}
#endif

#endif
