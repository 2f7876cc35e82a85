/* Password fields: {SCHEME}data, checked against a password. One table row a scheme.
 *
 * crypt_r knows yescrypt, bcrypt, SHA-512 and their elders; the digest schemes exist because
 * account files of other programs hold them, and are never written. Called by the account file's
 * source, on a worker: a check costs what the hash was made to cost. */
#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/md.h>

#include <libmail/codec.h>

#include "auth_internal.h"

enum { AS_WRITTEN, BASE64, HEX };

typedef int check_fn(const lmi_auth_hash *hash, lmail_str password);

struct lmi_auth_scheme {
    lmail_str name;
    check_fn *check;
    const char *prefix;    /* crypt: what the setting must begin with; NULL: anything */
    mbedtls_md_type_t md;  /* digests */
    unsigned salted;       /* a salt follows the digest */
    Gsasl_hash scram_hash; /* SCRAM */
};

static check_fn check_crypt, check_plain, check_digest, check_scram;

static const lmi_auth_scheme schemes[] = {
    {LMAIL_STR("CRYPT"), check_crypt, NULL, MBEDTLS_MD_NONE, 0, 0},
    {LMAIL_STR("YESCRYPT"), check_crypt, "$y$", MBEDTLS_MD_NONE, 0, 0},
    {LMAIL_STR("SHA512-CRYPT"), check_crypt, "$6$", MBEDTLS_MD_NONE, 0, 0},
    {LMAIL_STR("SHA256-CRYPT"), check_crypt, "$5$", MBEDTLS_MD_NONE, 0, 0},
    {LMAIL_STR("BLF-CRYPT"), check_crypt, "$2", MBEDTLS_MD_NONE, 0, 0},
    {LMAIL_STR("MD5-CRYPT"), check_crypt, "$1$", MBEDTLS_MD_NONE, 0, 0},
    {LMAIL_STR("DES-CRYPT"), check_crypt, NULL, MBEDTLS_MD_NONE, 0, 0},
    {LMAIL_STR("PLAIN"), check_plain, NULL, MBEDTLS_MD_NONE, 0, 0},
    {LMAIL_STR("CLEARTEXT"), check_plain, NULL, MBEDTLS_MD_NONE, 0, 0},
    {LMAIL_STR("SCRAM-SHA-1"), check_scram, NULL, MBEDTLS_MD_NONE, 0, GSASL_HASH_SHA1},
    {LMAIL_STR("SCRAM-SHA-256"), check_scram, NULL, MBEDTLS_MD_NONE, 0, GSASL_HASH_SHA256},
    {LMAIL_STR("PLAIN-MD5"), check_digest, NULL, MBEDTLS_MD_MD5, 0, 0},
    {LMAIL_STR("SHA"), check_digest, NULL, MBEDTLS_MD_SHA1, 0, 0},
    {LMAIL_STR("SHA1"), check_digest, NULL, MBEDTLS_MD_SHA1, 0, 0},
    {LMAIL_STR("SSHA"), check_digest, NULL, MBEDTLS_MD_SHA1, 1, 0},
    {LMAIL_STR("SHA256"), check_digest, NULL, MBEDTLS_MD_SHA256, 0, 0},
    {LMAIL_STR("SSHA256"), check_digest, NULL, MBEDTLS_MD_SHA256, 1, 0},
    {LMAIL_STR("SHA512"), check_digest, NULL, MBEDTLS_MD_SHA512, 0, 0},
    {LMAIL_STR("SSHA512"), check_digest, NULL, MBEDTLS_MD_SHA512, 1, 0},
};

#define MAX_DIGEST_DATA 256u /* octets of digest and salt */

/* Digest and salt out of their encoding; octets made, 0 when they are none. */
static size_t decode_digest(const lmi_auth_hash *hash, unsigned char out[MAX_DIGEST_DATA])
{
    size_t made = 0;
    lmail_str in = hash->data;
    if (hash->encoding == HEX) {
        if (in.len % 2 != 0 || in.len / 2 > MAX_DIGEST_DATA) {
            return 0;
        }
        for (size_t i = 0; i < in.len; i++) {
            static const char digits[] = "0123456789abcdef";
            char c = in.ptr[i] >= 'A' && in.ptr[i] <= 'F' ? (char)(in.ptr[i] | 0x20) : in.ptr[i];
            const char *at = c ? strchr(digits, c) : NULL;
            if (!at) {
                return 0;
            }
            unsigned value = (unsigned)(at - digits);
            out[i / 2] = (unsigned char)(i % 2 ? out[i / 2] | value : value << 4);
        }
        return in.len / 2;
    }
    if (lmail_base64_decode(in, (char *)out, MAX_DIGEST_DATA, &made) != LMAIL_OK) {
        return 0;
    }
    return made;
}

static const char *check_data(lmi_auth_hash *hash)
{
    const lmi_auth_scheme *s = hash->scheme;
    if (s->check == check_crypt) {
        if (s->prefix && (hash->data.len < strlen(s->prefix) ||
                          memcmp(hash->data.ptr, s->prefix, strlen(s->prefix)) != 0)) {
            return "the password hash is not of the scheme in braces";
        }
        return hash->data.len >= LMI_HASH_SIZE ? "the password hash is too long" : NULL;
    }
    if (s->check == check_scram) {
        char space[1024];
        size_t used;
        lmail_scram_verifier v;
        return hash->data.len > sizeof space
                   ? "the SCRAM verifier is too long"
                   : lmi_scram_parse(hash->data, s->scram_hash, space, &used, &v);
    }
    if (s->check == check_digest) {
        unsigned char octets[MAX_DIGEST_DATA];
        size_t size = mbedtls_md_get_size(mbedtls_md_info_from_type(s->md));
        if (hash->encoding == AS_WRITTEN) {
            hash->encoding = !s->salted && hash->data.len == 2 * size ? HEX : BASE64;
        }
        size_t made = decode_digest(hash, octets);
        if (s->salted ? made <= size : made != size) {
            return "the password hash has the wrong length or encoding";
        }
    }
    return NULL;
}

const char *lmi_auth_hash_parse(lmail_str field, lmi_auth_hash *out)
{
    memset(out, 0, sizeof *out);
    if (field.len == 0 || field.ptr[0] == '!' || field.ptr[0] == '*') {
        return NULL; /* locked, as in shadow(5) */
    }
    lmail_str name = LMAIL_STR("CRYPT");
    lmail_str data = field;
    if (field.ptr[0] == '{') {
        const char *end = memchr(field.ptr, '}', field.len);
        if (!end) {
            return "the scheme's closing brace is missing";
        }
        name = (lmail_str){field.ptr + 1, (size_t)(end - field.ptr) - 1};
        data = (lmail_str){end + 1, field.len - (size_t)(end + 1 - field.ptr)};
    }
    const char *dot = name.len > 0 ? memchr(name.ptr, '.', name.len) : NULL;
    if (dot) {
        lmail_str suffix = {dot + 1, name.len - (size_t)(dot + 1 - name.ptr)};
        name.len = (size_t)(dot - name.ptr);
        out->encoding = lmail_str_equal_nocase(suffix, LMAIL_STR("HEX"))   ? HEX
                        : lmail_str_equal_nocase(suffix, LMAIL_STR("B64")) ? BASE64
                                                                           : AS_WRITTEN;
        if (out->encoding == AS_WRITTEN) {
            return "the scheme's encoding is neither .b64 nor .hex";
        }
    }
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (!lmail_str_equal_nocase(name, schemes[i].name)) {
            continue;
        }
        if (dot && schemes[i].check != check_digest) {
            return "this scheme has no encodings";
        }
        if (data.len == 0 || data.ptr[0] == '!' || data.ptr[0] == '*') {
            return NULL;
        }
        out->data = data;
        out->scheme = &schemes[i];
        const char *fault = check_data(out);
        if (fault) {
            out->scheme = NULL;
        }
        return fault;
    }
    return "the password scheme is unknown";
}

lmail_str lmi_auth_hash_readable(const lmi_auth_hash *hash)
{
    return hash->scheme && hash->scheme->check == check_plain ? hash->data : (lmail_str){NULL, 0};
}

int lmi_auth_hash_is_scram(const lmi_auth_hash *hash, Gsasl_hash *which)
{
    if (!hash->scheme || hash->scheme->check != check_scram) {
        return 0;
    }
    *which = hash->scheme->scram_hash;
    return 1;
}

/* ---- Checks ---------------------------------------------------------------------------------- */

static int check_plain(const lmi_auth_hash *hash, lmail_str password)
{
    return hash->data.len == password.len &&
           lmi_auth_equal(hash->data.ptr, password.ptr, password.len);
}

static int check_crypt(const lmi_auth_hash *hash, lmail_str password)
{
    if (password.len >= CRYPT_MAX_PASSPHRASE_SIZE) {
        return 0;
    }
    char *setting = lmi_auth_copy(hash->data), *text = lmi_auth_copy(password);
    struct crypt_data *work = calloc(1, sizeof *work); /* 32 KiB: not for a worker's stack */
    int fits = -1;
    if (setting && text && work) {
        const char *made = crypt_r(text, setting, work);
        fits = made && made[0] != '*' && strlen(made) == hash->data.len &&
               lmi_auth_equal(made, setting, hash->data.len);
    }
    lmi_auth_wipe_free(work, sizeof *work);
    lmi_auth_wipe_free(text, password.len);
    lmi_auth_wipe_free(setting, hash->data.len);
    return fits;
}

static int check_digest(const lmi_auth_hash *hash, lmail_str password)
{
    const mbedtls_md_info_t *info = mbedtls_md_info_from_type(hash->scheme->md);
    size_t size = mbedtls_md_get_size(info);
    unsigned char octets[MAX_DIGEST_DATA], digest[MBEDTLS_MD_MAX_SIZE];
    size_t have = decode_digest(hash, octets);
    int fits = -1;
    mbedtls_md_context_t md;
    mbedtls_md_init(&md);
    if (have >= size && mbedtls_md_setup(&md, info, 0) == 0 && mbedtls_md_starts(&md) == 0 &&
        mbedtls_md_update(&md, (const unsigned char *)password.ptr, password.len) == 0 &&
        mbedtls_md_update(&md, octets + size, have - size) == 0 &&
        mbedtls_md_finish(&md, digest) == 0) {
        fits = lmi_auth_equal(digest, octets, size);
    }
    mbedtls_md_free(&md);
    explicit_bzero(digest, sizeof digest);
    return fits;
}

static int check_scram(const lmi_auth_hash *hash, lmail_str password)
{
    char space[1024], stored[GSASL_HASH_MAX_SIZE], server[GSASL_HASH_MAX_SIZE];
    size_t used;
    lmail_scram_verifier v;
    Gsasl_hash which = hash->scheme->scram_hash;
    if (hash->data.len > sizeof space || lmi_scram_parse(hash->data, which, space, &used, &v) ||
        !lmi_scram_keys(which, password, v.iterations, v.salt, stored, server)) {
        return 0;
    }
    int fits = lmi_auth_equal(stored, v.stored_key.ptr, gsasl_hash_length(which));
    explicit_bzero(stored, sizeof stored);
    explicit_bzero(server, sizeof server);
    return fits;
}

/* RFC 4616 §2: the prepared form is compared. Hashes made elsewhere may be of the octets as they
 * were typed, so those are tried too when they differ; what is tried depends on the password
 * alone. */
int lmi_auth_hash_check(const lmi_auth_hash *hash, lmail_str password)
{
    if (!hash->scheme || password.len == 0 || memchr(password.ptr, '\0', password.len)) {
        return 0;
    }
    int fits = hash->scheme->check(hash, password);
    char *prepared = lmi_auth_prepare(password);
    if (prepared) {
        size_t len = strlen(prepared);
        if (fits == 0 && len > 0 &&
            (len != password.len || memcmp(prepared, password.ptr, len) != 0)) {
            fits = hash->scheme->check(hash, (lmail_str){prepared, len});
        }
        lmi_auth_wipe_free(prepared, len);
    }
    return fits;
}

char *lmi_auth_prepare(lmail_str password)
{
    char *text = lmi_auth_copy(password), *prepared = NULL;
    if (text && gsasl_saslprep(text, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) != GSASL_OK) {
        prepared = NULL;
    }
    lmi_auth_wipe_free(text, password.len);
    return prepared;
}

lmail_status lmi_auth_hash_make(lmail_str password, char out[LMI_HASH_SIZE])
{
    static const char braces[] = "{CRYPT}";
    char entropy[32], setting[CRYPT_GENSALT_OUTPUT_SIZE];
    if (lmi_auth_random(entropy, sizeof entropy) != 0) {
        return LMAIL_ERR_IO;
    }
    if (!crypt_gensalt_rn(NULL, 0, entropy, sizeof entropy, setting, sizeof setting)) {
        return LMAIL_ERR_UNSUPPORTED;
    }
    char *text = lmi_auth_prepare(password);
    if (!text) { /* not a string SASLprep allows: then its octets are the password */
        text = lmi_auth_copy(password);
    }
    struct crypt_data *work = calloc(1, sizeof *work);
    lmail_status status = LMAIL_ERR_NOMEM;
    if (text && work) {
        const char *made = crypt_r(text, setting, work);
        size_t len = made ? strlen(made) : 0;
        status = made && made[0] != '*' && len + sizeof braces <= LMI_HASH_SIZE
                     ? LMAIL_OK
                     : LMAIL_ERR_UNSUPPORTED;
        if (status == LMAIL_OK) {
            memcpy(out, braces, sizeof braces - 1);
            memcpy(out + sizeof braces - 1, made, len + 1);
        }
    }
    lmi_auth_wipe_free(text, text ? strlen(text) : 0);
    lmi_auth_wipe_free(work, sizeof *work);
    return status;
}

void lmi_auth_burn(const lmi_auth_hash *like, lmail_str password)
{
    /* The example of crypt(5), for sources that have no hash to be like. */
    static const char example[] = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$"
                                  "X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7";
    const lmi_auth_hash fallback = {&schemes[0], {example, sizeof example - 1}, AS_WRITTEN};
    (void)lmi_auth_hash_check(like ? like : &fallback, password);
}
