/* Small things that deal with secrets: wiping, comparing, hashing, reading digits.
 *
 * Called by every file of the room. Nothing here knows what a secret is for. */
#include <stdlib.h>
#include <string.h>

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

uint64_t lmi_auth_mix(uint64_t h, const void *octets, size_t n)
{
    const unsigned char *at = octets;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ at[i]) * 1099511628211u;
        h ^= h >> 29;
    }
    return h;
}

int lmi_auth_hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
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
