/* auth_mechanisms.h - the mechanisms there are, in the order of the default offer.
 *
 * Included by the room, and by host/service for their names, which its log and metrics show. */
#ifndef LMI_AUTH_MECHANISMS_H
#define LMI_AUTH_MECHANISMS_H

/* id behind LMI_, name on the wire, traits (auth_mechanism.c expands them), offered by default */
/* clang-format off */
#define LMI_AUTH_MECHANISMS(X) \
    X(SCRAM_SHA_256_PLUS, "SCRAM-SHA-256-PLUS", LMI_TRAIT_EXPORTER, 1) \
    X(SCRAM_SHA_1_PLUS, "SCRAM-SHA-1-PLUS", LMI_TRAIT_EXPORTER, 1) \
    X(SCRAM_SHA_256, "SCRAM-SHA-256", 0, 1) \
    X(SCRAM_SHA_1, "SCRAM-SHA-1", 0, 1) \
    X(EXTERNAL, "EXTERNAL", LMI_TRAIT_CERTIFICATE, 1) \
    X(OAUTHBEARER, "OAUTHBEARER", LMI_TRAIT_TOKEN, 1) \
    X(XOAUTH2, "XOAUTH2", LMI_TRAIT_TOKEN, 1) \
    X(PLAIN, "PLAIN", 0, 1) \
    X(LOGIN, "LOGIN", 0, 1) \
    X(DIGEST_MD5, "DIGEST-MD5", LMI_TRAIT_SERVER_FIRST, 0) \
    X(CRAM_MD5, "CRAM-MD5", LMI_TRAIT_SERVER_FIRST, 0) \
    X(ANONYMOUS, "ANONYMOUS", 0, 0)
/* clang-format on */

#endif
