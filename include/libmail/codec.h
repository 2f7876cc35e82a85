/* libmail/codec.h - octets to text and back.
 *
 * Functions without state or with a small state that the caller owns; no allocation, no I/O. The
 * strict decoders are for protocols, where a second reading of a malformed text is a risk; the
 * streaming ones are for message bodies, where broken input gives the best result and never
 * fails. */
#ifndef LIBMAIL_CODEC_H
#define LIBMAIL_CODEC_H

#include <libmail/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Base64 ---------------------------------------------------------------------------------- */

/* Octets that the base64 of n octets takes, padding included, no line ends; SIZE_MAX when that is
 * more than a size_t holds. */
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
 *   cap         at least 3
 *   used, made  out: octets taken and written
 * A group's octets are written when its last character is taken; with `end` not zero, what is left
 * of an unfinished group too.
 * Returns: OK (all taken), MORE (out is full: call again with the rest). */
LMAIL_API lmail_status lmail_base64_decode_some(lmail_base64_decoder *d, lmail_str in, int end,
                                                size_t *used, char *out, size_t cap, size_t *made);

/* ---- Quoted-printable ------------------------------------------------------------------------ */

/* Decoding a body in pieces; broken input never fails: "=" without two hex digits stands for
 * itself, a bare LF ends a line too, white space in front of a line end goes (RFC 2045 §6.7 rule 3)
 * unless there is more of it than a line may be long. Zero it to start; the members are the
 * decoder's own. */
typedef struct lmail_qp_decoder {
    unsigned state;
    char first;         /* the hex digit behind "=" */
    unsigned char held; /* white space that may turn out to be at a line's end, and a CR */
    char hold[80];
} lmail_qp_decoder;

/* Take octets of `in`, make octets in out[0..cap); `end` not zero: `in` is the last.
 *   cap         at least 96
 *   used, made  out: octets taken and written
 * Returns: OK (all taken, and with `end` all made), MORE (out is full: go on with the rest). */
LMAIL_API lmail_status lmail_qp_decode_some(lmail_qp_decoder *d, lmail_str in, int end,
                                            size_t *used, char *out, size_t cap, size_t *made);

/* Encode all of `in` in lines of at most 76 octets.
 *   text   not 0: CRLF in `in` is a line end; 0: CR and LF are data too
 *   cap    4 * in.len + 4 octets are always enough
 *   made   out: the size needed
 * Returns: OK, ERR_LIMIT (cap is too small).
 * Source: RFC 2045 §6.7. */
LMAIL_API lmail_status lmail_qp_encode(lmail_str in, int text, char *out, size_t cap, size_t *made);

/* ---- UTF-8 ----------------------------------------------------------------------------------- */

#define LMAIL_UTF8_BAD 0xfffdu /* U+FFFD REPLACEMENT CHARACTER */

/* Valid by RFC 3629 (no surrogates, no overlong forms, nothing above U+10FFFF)? 1 or 0. */
LMAIL_API int lmail_utf8_valid(lmail_str in);

/* The code point at the start of `in` to *point. Returns the octets it takes and sets *good to 1.
 * Where the octets are no UTF-8: returns the octets to skip (the longest start of a sequence, at
 * least 1), *point is LMAIL_UTF8_BAD, *good 0. Returns 0 when `in` is empty, or stops inside a
 * sequence that is right so far. */
LMAIL_API size_t lmail_utf8_get(lmail_str in, uint32_t *point, int *good);

/* Write a code point to out[0..4); returns how many octets. What is no code point writes U+FFFD. */
LMAIL_API size_t lmail_utf8_write(uint32_t point, char *out);

/* ---- Modified UTF-7 -------------------------------------------------------------------------- */

/* Mailbox names of IMAP4rev1 and of Maildir++.
 *   decode   to UTF-8; ERR_SYNTAX for whatever encode would not have written, so that a name has
 *            one text. 3 * in.len + 4 octets are always enough
 *   encode   from UTF-8; ERR_SYNTAX when `in` is none. 8 * in.len + 4 octets are always enough
 * *made is what stands in out. Returns: OK, ERR_SYNTAX, ERR_LIMIT (cap is too small).
 * Source: RFC 3501 §5.1.3. */
LMAIL_API lmail_status lmail_mutf7_decode(lmail_str in, char *out, size_t cap, size_t *made);
LMAIL_API lmail_status lmail_mutf7_encode(lmail_str in, char *out, size_t cap, size_t *made);

/* ---- Hex and percent ------------------------------------------------------------------------- */

/* 0..15 of a hex digit in either case, or -1. */
LMAIL_API int lmail_hex_value(char c);

/* "%41" to "A" (RFC 3986 §2.1); a "%" without two digits stands for itself. Makes at most in.len
 * octets, returns how many; `out` may be in.ptr. */
LMAIL_API size_t lmail_percent_decode(lmail_str in, char *out);

#ifdef __cplusplus
}
#endif

#endif
