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
    lmi_kept kept;         /* what other mechanisms keep in place of a password */
};

static check_fn check_crypt, check_plain, check_digest, check_scram, check_kept, check_pbkdf2,
    check_elsewhere;

#define CRYPT(name, prefix)                                                                        \
    {                                                                                              \
        LMAIL_STR(name), check_crypt, prefix, MBEDTLS_MD_NONE, 0, 0, 0                             \
    }
#define PLAIN(name)                                                                                \
    {                                                                                              \
        LMAIL_STR(name), check_plain, NULL, MBEDTLS_MD_NONE, 0, 0, 0                               \
    }
#define DIGEST(name, md, salted)                                                                   \
    {                                                                                              \
        LMAIL_STR(name), check_digest, NULL, md, salted, 0, 0                                      \
    }
#define SCRAM(name, hash)                                                                          \
    {                                                                                              \
        LMAIL_STR(name), check_scram, NULL, MBEDTLS_MD_NONE, 0, hash, 0                            \
    }
#define KEPT(name, kind)                                                                           \
    {                                                                                              \
        LMAIL_STR(name), check_kept, NULL, MBEDTLS_MD_NONE, 0, 0, kind                             \
    }

static const lmi_auth_scheme schemes[] = {
    CRYPT("CRYPT", NULL),
    CRYPT("YESCRYPT", "$y$"),
    CRYPT("SHA512-CRYPT", "$6$"),
    CRYPT("SHA256-CRYPT", "$5$"),
    CRYPT("BLF-CRYPT", "$2"),
    CRYPT("MD5-CRYPT", "$1$"),
    CRYPT("MD5", "$1$"), /* Dovecot's old name of it */
    CRYPT("DES-CRYPT", NULL),
    PLAIN("PLAIN"),
    PLAIN("CLEARTEXT"),
    PLAIN("CLEAR"),
    SCRAM("SCRAM-SHA-1", GSASL_HASH_SHA1),
    SCRAM("SCRAM-SHA-256", GSASL_HASH_SHA256),
    DIGEST("PLAIN-MD5", MBEDTLS_MD_MD5, 0),
    DIGEST("LDAP-MD5", MBEDTLS_MD_MD5, 0),
    DIGEST("SMD5", MBEDTLS_MD_MD5, 1),
    DIGEST("SHA", MBEDTLS_MD_SHA1, 0),
    DIGEST("SHA1", MBEDTLS_MD_SHA1, 0),
    DIGEST("SSHA", MBEDTLS_MD_SHA1, 1),
    DIGEST("SHA256", MBEDTLS_MD_SHA256, 0),
    DIGEST("SSHA256", MBEDTLS_MD_SHA256, 1),
    DIGEST("SHA512", MBEDTLS_MD_SHA512, 0),
    DIGEST("SSHA512", MBEDTLS_MD_SHA512, 1),
    KEPT("CRAM-MD5", LMI_KEPT_CRAM_MD5),
    KEPT("HMAC-MD5", LMI_KEPT_CRAM_MD5),
    KEPT("DIGEST-MD5", LMI_KEPT_DIGEST_MD5),
    {LMAIL_STR("PBKDF2"), check_pbkdf2, NULL, MBEDTLS_MD_NONE, 0, 0, 0},
    {LMAIL_STR("SASLAUTHD"), check_elsewhere, NULL, MBEDTLS_MD_NONE, 0, 0, 0},
};

/* Dovecot has these too; what we say of a line that holds one. */
#define UNSUPPORTED(name)                                                                          \
    {                                                                                              \
        LMAIL_STR(name), "passwords of scheme " name " cannot be checked: set a new one with "     \
                         "mailctl user passwd"                                                     \
    }
static const struct unsupported {
    lmail_str name;
    const char *fault;
} unsupported[] = {
    UNSUPPORTED("ARGON2I"), UNSUPPORTED("ARGON2ID"),      UNSUPPORTED("PLAIN-MD4"),
    UNSUPPORTED("LANMAN"),  UNSUPPORTED("NTLM"),          UNSUPPORTED("RPA"),
    UNSUPPORTED("OTP"),     UNSUPPORTED("SKEY"),          UNSUPPORTED("PLAIN-TRUNC"),
    UNSUPPORTED("CRYPT3"),  UNSUPPORTED("SCRAM-SHA-512"),
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
        for (size_t i = 0; i < in.len / 2; i++) {
            int high = lmi_auth_hex_digit(in.ptr[2 * i]);
            int low = lmi_auth_hex_digit(in.ptr[2 * i + 1]);
            if (high < 0 || low < 0) {
                return 0;
            }
            out[i] = (unsigned char)(high << 4 | low);
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
    if (s->check == check_pbkdf2) {
        return lmi_pbkdf2_check(hash->data, (lmail_str){NULL, 0}) == -2
                   ? "the password hash is not $1$SALT$ROUNDS$DIGEST"
                   : NULL;
    }
    if (s->check == check_digest || s->check == check_kept) {
        unsigned char octets[MAX_DIGEST_DATA];
        size_t size = s->check == check_kept
                          ? lmi_kept_size(s->kept)
                          : mbedtls_md_get_size(mbedtls_md_info_from_type(s->md));
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
        if (dot && schemes[i].check != check_digest && schemes[i].check != check_kept) {
            return "this scheme has no encodings";
        }
        if (schemes[i].check == check_elsewhere) {
            out->scheme = data.len == 0 ? &schemes[i] : NULL;
            return data.len == 0 ? NULL : "nothing may follow {SASLAUTHD}";
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
    for (size_t i = 0; i < sizeof unsupported / sizeof unsupported[0]; i++) {
        if (lmail_str_equal_nocase(name, unsupported[i].name)) {
            return unsupported[i].fault;
        }
    }
    return "the password scheme is unknown";
}

int lmi_auth_hash_is_elsewhere(const lmi_auth_hash *hash)
{
    return hash->scheme && hash->scheme->check == check_elsewhere;
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

static int check_kept(const lmi_auth_hash *hash, lmail_str password)
{
    unsigned char octets[MAX_DIGEST_DATA], made[LMI_KEPT_MAX];
    size_t size = lmi_kept_size(hash->scheme->kept);
    int fits = -1;
    if (decode_digest(hash, octets) == size &&
        lmi_kept_make(hash->scheme->kept, hash->user, password, made)) {
        fits = lmi_auth_equal(made, octets, size);
    }
    explicit_bzero(made, sizeof made);
    return fits;
}

static int check_pbkdf2(const lmi_auth_hash *hash, lmail_str password)
{
    return lmi_pbkdf2_check(hash->data, password);
}

/* The file's source asks; nobody else knows where. */
static int check_elsewhere(const lmi_auth_hash *hash, lmail_str password)
{
    (void)hash;
    (void)password;
    return 0;
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

lmail_status lmail_password_check(lmail_str field, lmail_str password)
{
    lmi_auth_hash hash;
    if (lmi_auth_hash_parse(field, &hash)) {
        return LMAIL_ERR_SYNTAX;
    }
    int fits = lmi_auth_hash_check(&hash, password);
    return fits == 1 ? LMAIL_OK : fits == 0 ? LMAIL_ERR_DENIED : LMAIL_ERR_NOMEM;
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
    if (lmi_random(entropy, sizeof entropy) != LMAIL_OK) {
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
    const lmi_auth_hash fallback = {
        &schemes[0], {example, sizeof example - 1}, AS_WRITTEN, {NULL, 0}};
    (void)lmi_auth_hash_check(like ? like : &fallback, password);
}
