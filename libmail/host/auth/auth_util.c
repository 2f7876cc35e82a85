/* Small things that deal with secrets: wiping, comparing, drawing, keyed hashing.
 *
 * Called by every file of the room. Nothing here knows what a secret is for. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <mbedtls/md.h>

#include "auth_internal.h"

void lmi_auth_wipe_free(void *p, size_t len)
{
    if (p) {
        explicit_bzero(p, len);
        free(p);
    }
}

int lmi_auth_equal(const void *a, const void *b, size_t n)
{
    const volatile unsigned char *x = a, *y = b;
    unsigned differs = 0;
    for (size_t i = 0; i < n; i++) {
        differs |= (unsigned)(x[i] ^ y[i]);
    }
    return differs == 0;
}

int lmi_auth_random(void *out, size_t n)
{
    unsigned char *at = out;
    while (n > 0) {
        ssize_t got = getrandom(at, n < 256 ? n : 256, 0);
        if (got <= 0) {
            return -1;
        }
        at += got;
        n -= (size_t)got;
    }
    return 0;
}

char *lmi_auth_copy(lmail_str s)
{
    char *copy = malloc(s.len + 1);
    if (copy) {
        if (s.len > 0) {
            memcpy(copy, s.ptr, s.len);
        }
        copy[s.len] = '\0';
    }
    return copy;
}

void lmi_auth_mac(lmail_str key, const char *label, lmail_str text, unsigned char out[32])
{
    /* Key and message are short here; a failure (no memory) leaves zeros, never stale octets. */
    memset(out, 0, 32);
    mbedtls_md_context_t md;
    mbedtls_md_init(&md);
    if (mbedtls_md_setup(&md, mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), 1) == 0 &&
        mbedtls_md_hmac_starts(&md, (const unsigned char *)key.ptr, key.len) == 0 &&
        mbedtls_md_hmac_update(&md, (const unsigned char *)label, strlen(label) + 1) == 0 &&
        mbedtls_md_hmac_update(&md, (const unsigned char *)text.ptr, text.len) == 0) {
        mbedtls_md_hmac_finish(&md, out);
    }
    mbedtls_md_free(&md);
}
