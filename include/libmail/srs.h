/* libmail/srs.h - senders of mail that is forwarded: the Sender Rewriting Scheme.
 *
 * Who forwards mail sends it from a host that the sender's domain does not name, and SPF refuses it
 * (RFC 7208). So the envelope sender becomes an address of the forwarder's own domain, with the old one
 * in it, and reports to that come back:
 *
 *     lmail_srs_forward    ana@far.example  ->  SRS0=HHHH=TT=far.example=ana@ours.example
 *     lmail_srs_reverse    and back; HHHH is a keyed hash and TT the day, so that nobody makes such an
 *                          address for himself or uses one for long
 *
 * A sender that another forwarder has rewritten becomes SRS1=HHHH=other.example==...@ours.example: the
 * second and every later forwarder keeps the first one's address whole. The texts are those of libsrs2
 * and postsrsd; with the same secret either reverses the other's.
 *
 * No clock, no hash of its own: HMAC-SHA-1 is a function of the host's. Nothing is allocated. Any
 * thread.
 * Source: M. Wong, "The Sender Rewriting Scheme" (2004); RFC 2104. */
#ifndef LIBMAIL_SRS_H
#define LIBMAIL_SRS_H

#include <libmail/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* HMAC-SHA-1 of data under key. OK, or an error that the call then returns. */
typedef lmail_status lmail_hmac_sha1_fn(void *ctx, lmail_str key, lmail_str data,
                                        unsigned char out[20]);

typedef struct lmail_srs_config {
    size_t size;
    lmail_hmac_sha1_fn *hmac_sha1;
    void *ctx;
    const lmail_str *secrets; /* the first is used to write, any to read: so they can be changed */
    size_t secret_count;
    lmail_str domain;     /* of the addresses that are made */
    unsigned max_age;     /* days; 0: 21; at most 1,023 */
    unsigned hash_length; /* characters of base64; 0: 4; at most 27. A shorter hash is not taken */
} lmail_srs_config;

#define LMAIL_SRS_CONFIG_INIT                                                                      \
    {                                                                                              \
        sizeof(lmail_srs_config), NULL, NULL, NULL, 0, {NULL, 0}, 0, 0                             \
    }
LMAIL_API void lmail_srs_config_init(lmail_srs_config *config);

/* The sender of mail that is forwarded. One at config.domain stays as it is; whether others are to
 * stay, as those of domains of one's own, is the caller's to say.
 *   sender    reverse-path without brackets, not empty
 *   seconds   since 1970
 *   made      octets of the new address, also when it does not fit
 * Returns: OK, ERR_SIZE, ERR_ARG (a config without hash function, secret or domain; numbers above their
 * limits; a sender that is no address), ERR_UNSUPPORTED (a quoted local part: it cannot stand inside
 * another), ERR_LIMIT (cap is too small; a sender above 512 octets), or the hash function's error. */
LMAIL_API lmail_status lmail_srs_forward(const lmail_srs_config *config, lmail_str sender,
                                         int64_t seconds, char *out, size_t cap, size_t *made);

/* The sender that an address was made of. Its domain is not looked at: the recipient is the caller's.
 * Case of the address does not matter.
 * Returns: as above; ERR_NOTFOUND (it is no such address), ERR_SYNTAX (it looks like one and is none),
 * ERR_DENIED (the hash is wrong), ERR_STALE (it is too old, or its day is to come). */
LMAIL_API lmail_status lmail_srs_reverse(const lmail_srs_config *config, lmail_str address,
                                         int64_t seconds, char *out, size_t cap, size_t *made);

#ifdef __cplusplus
}
#endif

#endif
