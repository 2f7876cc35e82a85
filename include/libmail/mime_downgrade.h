/* libmail/mime_downgrade.h - a message of 8-bit or binary octets, made one of 7 bits.
 *
 * For a server that has no 8BITMIME (RFC 6152 §3) or no BINARYMIME (RFC 3030 §3). Bodies that need it
 * are encoded as quoted-printable, or base64 where that is shorter, in their places: multiparts and
 * messages inside are walked through. Read twice, since an encoding is named in front of its body:
 *
 *     lmail_mime_downgrade_new(&d, &config);
 *     while (read(&in)) lmail_mime_downgrade_look(d, in);
 *     st = lmail_mime_downgrade_look_end(d);         END: it may go as it is
 *     if (!st) {
 *         while (read(&in)) lmail_mime_downgrade_feed(d, in);      the sink gets the new message
 *         lmail_mime_downgrade_end(d);
 *     }
 *
 * The new message has no octet above 127, no bare CR or LF in bodies that were encoded, and no line over
 * 998 octets; decoded, it is the same. What is no content - text before and behind the parts of a
 * multipart - gets "?" for what it may not have.
 *
 * ERR_UNSUPPORTED: it cannot be done. Octets above 127 in a header; anywhere in multipart/signed, whose
 * octets are never touched (RFC 1847 §2.1); in a body of an unknown encoding, or of a type that may have
 * none (RFC 2045 §6.4); a header line that cannot be folded.
 *
 * Source: RFC 6152 §3; RFC 2045 §6; RFC 2046 §5.1, §5.2.1; RFC 1428 (charset=unknown-8bit). */
#ifndef LIBMAIL_MIME_DOWNGRADE_H
#define LIBMAIL_MIME_DOWNGRADE_H

#include <libmail/base.h>
#include <libmail/mime_write.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_mime_downgrade lmail_mime_downgrade;

typedef struct lmail_mime_downgrade_config {
    size_t size;
    lmail_alloc alloc;        /* zeroed: the C library's */
    uint32_t max_parts;       /* as in lmail_mime_config; later parts are not told apart, and a body
                               * among them that needs it cannot be encoded */
    lmail_mime_sink_fn *sink; /* the new message's octets */
    void *ctx;
} lmail_mime_downgrade_config;

#define LMAIL_MIME_DOWNGRADE_CONFIG_INIT                                                           \
    {                                                                                              \
        sizeof(lmail_mime_downgrade_config), {NULL, NULL}, 0, NULL, NULL                           \
    }
LMAIL_API void lmail_mime_downgrade_config_init(lmail_mime_downgrade_config *config);

/* Returns: OK, ERR_SIZE, ERR_ARG (no sink), ERR_NOMEM. */
LMAIL_API lmail_status lmail_mime_downgrade_new(lmail_mime_downgrade **out,
                                                const lmail_mime_downgrade_config *config);
/* NULL is allowed. */
LMAIL_API void lmail_mime_downgrade_free(lmail_mime_downgrade *d);

/* The message for the first time, any split; CRLF line ends. OK, ERR_NOMEM, ERR_STATE. */
LMAIL_API lmail_status lmail_mime_downgrade_look(lmail_mime_downgrade *d, lmail_str in);
/* Returns: OK (feed it again), END (it has no octet above 127, no NUL, no bare CR or LF: it may go as
 * it is), ERR_UNSUPPORTED, ERR_NOMEM, ERR_STATE. */
LMAIL_API lmail_status lmail_mime_downgrade_look_end(lmail_mime_downgrade *d);

/* The same octets for the second time, any split.
 * Returns: OK; ERR_UNSUPPORTED: what the sink got is no message; ERR_CORRUPT (another message); what
 * the sink returned; ERR_STATE. */
LMAIL_API lmail_status lmail_mime_downgrade_feed(lmail_mime_downgrade *d, lmail_str in);
LMAIL_API lmail_status lmail_mime_downgrade_end(lmail_mime_downgrade *d);

#ifdef __cplusplus
}
#endif

#endif
