/* libmail/host/env.h - what libmail needs of the world, from this machine's libraries.
 *
 * Charsets from iconv, folding and normalisation from utf8proc, domain names from libidn2, octets
 * nobody can guess from the kernel, the clock from the system. */
#ifndef LIBMAIL_HOST_ENV_H
#define LIBMAIL_HOST_ENV_H

#include <libmail/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Fill *env: every member, ready to be handed to any session or parser. The functions keep no state
 * and may be called from any thread at once. */
LMAIL_API void lmail_host_env(lmail_env *env);

#ifdef __cplusplus
}
#endif

#endif
