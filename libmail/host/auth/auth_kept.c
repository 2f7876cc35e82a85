/* Password fields that Dovecot writes for CRAM-MD5 and DIGEST-MD5, and its PBKDF2: enough to check
 * a password, so that accounts move over without a new one. Never written by us.
 *
 * {CRAM-MD5} is the state of MD5 behind the first block of HMAC's outer and of its inner hash
 * (RFC 2104), so that the password itself need not be kept; {DIGEST-MD5} is H(user:realm:password)
 * of RFC 2831 §2.1.2.1, the realm being what follows the name's @. Called by auth_scheme.c. */
#include <string.h>

#include <mbedtls/md.h>
#include <mbedtls/md5.h>
#include <mbedtls/pkcs5.h>

#include "auth_internal.h"

#define BLOCK 64u
#define MAX_ROUNDS 10000000u

size_t lmi_kept_size(lmi_kept kind)
{
    return kind == LMI_KEPT_CRAM_MD5 ? 32 : 16;
}

/* The four words of MD5's state after one block, low octet first. */
static int state_after(const unsigned char block[BLOCK], unsigned char out[16])
{
    mbedtls_md5_context md;
    mbedtls_md5_init(&md);
    int ok = mbedtls_md5_starts(&md) == 0 && mbedtls_internal_md5_process(&md, block) == 0;
    for (size_t i = 0; ok && i < 16; i++) {
        out[i] = (unsigned char)(md.MBEDTLS_PRIVATE(state)[i / 4] >> (8 * (i % 4)));
    }
    mbedtls_md5_free(&md);
    return ok;
}

static int make_cram_md5(lmail_str password, unsigned char out[32])
{
    unsigned char key[BLOCK] = {0}, outer[BLOCK], inner[BLOCK];
    int ok = 1;
    if (password.len > BLOCK) {
        ok = mbedtls_md5((const unsigned char *)password.ptr, password.len, key) == 0;
    } else {
        memcpy(key, password.ptr, password.len);
    }
    for (size_t i = 0; i < BLOCK; i++) {
        outer[i] = key[i] ^ 0x5c;
        inner[i] = key[i] ^ 0x36;
    }
    ok = ok && state_after(outer, out) && state_after(inner, out + 16);
    explicit_bzero(key, sizeof key);
    explicit_bzero(outer, sizeof outer);
    explicit_bzero(inner, sizeof inner);
    return ok;
}

static int add(mbedtls_md5_context *md, lmail_str text)
{
    return text.len == 0 || mbedtls_md5_update(md, (const unsigned char *)text.ptr, text.len) == 0;
}

static int make_digest_md5(lmail_str user, lmail_str password, unsigned char out[16])
{
    lmail_str realm = {NULL, 0};
    const char *at = user.len > 0 ? memchr(user.ptr, '@', user.len) : NULL;
    if (at) {
        size_t local = (size_t)(at - user.ptr);
        realm = (lmail_str){at + 1, user.len - local - 1};
        user.len = local;
    }
    mbedtls_md5_context md;
    mbedtls_md5_init(&md);
    int ok = mbedtls_md5_starts(&md) == 0 && add(&md, user) && add(&md, LMAIL_STR(":")) &&
             add(&md, realm) && add(&md, LMAIL_STR(":")) && add(&md, password) &&
             mbedtls_md5_finish(&md, out) == 0;
    mbedtls_md5_free(&md);
    return ok;
}

int lmi_kept_make(lmi_kept kind, lmail_str user, lmail_str password,
                  unsigned char out[LMI_KEPT_MAX])
{
    return kind == LMI_KEPT_CRAM_MD5 ? make_cram_md5(password, out)
                                     : make_digest_md5(user, password, out);
}

/* ---- PBKDF2 ---------------------------------------------------------------------------------- */

/* The next piece up to a dollar sign, which is taken too. */
static int next_piece(lmail_str *rest, lmail_str *out)
{
    const char *dollar = rest->len > 0 ? memchr(rest->ptr, '$', rest->len) : NULL;
    if (!dollar) {
        return 0;
    }
    *out = (lmail_str){rest->ptr, (size_t)(dollar - rest->ptr)};
    rest->len -= out->len + 1;
    rest->ptr += out->len + 1;
    return 1;
}

static int parse_pbkdf2(lmail_str data, lmail_str *salt, unsigned *rounds, unsigned char out[20])
{
    lmail_str nothing, kind, count;
    if (!next_piece(&data, &nothing) || nothing.len > 0 || !next_piece(&data, &kind) ||
        !lmail_str_equal(kind, LMAIL_STR("1")) || !next_piece(&data, salt) || salt->len == 0 ||
        !next_piece(&data, &count) || count.len == 0 || data.len != 40) {
        return 0;
    }
    *rounds = 0;
    for (size_t i = 0; i < count.len; i++) {
        if (count.ptr[i] < '0' || count.ptr[i] > '9' || *rounds > MAX_ROUNDS / 10) {
            return 0;
        }
        *rounds = *rounds * 10 + (unsigned)(count.ptr[i] - '0');
    }
    for (size_t i = 0; i < 20; i++) {
        int high = lmi_auth_hex_digit(data.ptr[2 * i]),
            low = lmi_auth_hex_digit(data.ptr[2 * i + 1]);
        if (high < 0 || low < 0) {
            return 0;
        }
        out[i] = (unsigned char)(high << 4 | low);
    }
    return *rounds > 0 && *rounds <= MAX_ROUNDS;
}

int lmi_pbkdf2_check(lmail_str data, lmail_str password)
{
    lmail_str salt;
    unsigned rounds;
    unsigned char kept[20], made[20];
    if (!parse_pbkdf2(data, &salt, &rounds, kept)) {
        return -2;
    }
    if (password.len == 0) {
        return 0;
    }
    int fits = -1;
    if (mbedtls_pkcs5_pbkdf2_hmac_ext(MBEDTLS_MD_SHA1, (const unsigned char *)password.ptr,
                                      password.len, (const unsigned char *)salt.ptr, salt.len,
                                      rounds, sizeof made, made) == 0) {
        fits = lmi_auth_equal(made, kept, sizeof kept);
    }
    explicit_bzero(made, sizeof made);
    return fits;
}
