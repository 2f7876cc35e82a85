/* Password fields and SCRAM verifiers against values made elsewhere: the RFCs' examples, crypt(3)'s
 * published ones, and digests computed with other programs. */
#include <check.h>
#include <mbedtls/md.h>
#include <string.h>

#include <libmail/codec.h>

#include "host/auth/auth_internal.h"

typedef struct hash_row {
    const char *field, *password;
    int fits;
} hash_row;

static const hash_row hashes[] = {
    {"{PLAIN}password", "password", 1},
    {"{plain}password", "password", 1},
    {"{CLEARTEXT}password", "password", 1},
    {"{PLAIN}password", "Password", 0},
    {"{PLAIN}password", "passwor", 0},
    {"{PLAIN}contrase\303\261a", "contrasen\314\203a", 1}, /* RFC 4013 §2.2: compared in form KC */
    {"{PLAIN}I\xc2\xadX", "IX", 0},
    {"{PLAIN}IX", "I\xc2\xadX", 1}, /* RFC 4013 §3: soft hyphen is mapped to nothing */
    {"{CRYPT}$y$j75$saltsaltsaltsalt$hI02SdBpr3mSssvBRd05Dwe0nTFc/hsy01KTxh646J.", "password", 1},
    {"$y$j75$saltsaltsaltsalt$hI02SdBpr3mSssvBRd05Dwe0nTFc/hsy01KTxh646J.", "password", 1},
    {"{YESCRYPT}$y$j75$saltsaltsaltsalt$hI02SdBpr3mSssvBRd05Dwe0nTFc/hsy01KTxh646J.", "passwore",
     0},
    {"{SHA512-CRYPT}$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/"
     "O817G3uBnIFNjnQJuesI68u4OTLiB"
     "FdcbYEdFCoEOfaS35inz1",
     "Hello world!", 1},
    {"{SHA256-CRYPT}$5$saltstring$OH4IDuTlsuTYPdED1gsuiRMyTAwNlRWyA6Xr3I4/dQ5", "password", 1},
    {"{SHA256-CRYPT}$5$saltstring$/ZqL08mI6WohII7sDgdVrEB55EQ1.znh2DoSPPpPSz9", "contrase\303\261a",
     1},
    {"{BLF-CRYPT}$2b$04$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm", "password", 1},
    {"{BLF-CRYPT}$2b$04$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm", "passwor", 0},
    {"{MD5-CRYPT}$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/", "password", 1},
    {"{DES-CRYPT}abJnggxhB/yWI", "password", 1},
    {"{CRYPT}$9$unknown$x", "password", 0},
    /* Made by Dovecot's "doveadm pw". */
    {"{CRAM-MD5}db40e4b75dfad50a1030c26e3e0d4f3a1ca467a007f0ec98fd058d6cc2c36f16",
     "contrase\303\261a", 1},
    {"{HMAC-MD5}db40e4b75dfad50a1030c26e3e0d4f3a1ca467a007f0ec98fd058d6cc2c36f16",
     "contrase\303\261a", 1},
    {"{CRAM-MD5}db40e4b75dfad50a1030c26e3e0d4f3a1ca467a007f0ec98fd058d6cc2c36f16", "contrasena", 0},
    {"{CRAM-MD5}ff6454343902c25cfaf14768b382dae3172680a33b4792a34267ff0628fbfe89",
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 1},
    {"{DIGEST-MD5}9333dbc0e186a657d6bf51c81a59b044", "contrase\303\261a", 1},
    {"{DIGEST-MD5}9333dbc0e186a657d6bf51c81a59b044", "contrase", 0},
    {"{PBKDF2}$1$DEqsWKOLla0/CY4/$5000$05a7f3eb666c718f0e2af4682aabd1824da0e1d3",
     "contrase\303\261a", 1},
    {"{PBKDF2}$1$DEqsWKOLla0/CY4/$5000$05a7f3eb666c718f0e2af4682aabd1824da0e1d3", "x", 0},
    {"{SMD5}Fv/ZY9wvP1x/Y5wncCh9zRRKs+M=", "contrase\303\261a", 1},
    {"{LDAP-MD5}TIgtyyS8sbwiU5GmAv7KfA==", "contrase\303\261a", 1},
    {"{SSHA256}cA7klSewFkDrolvZzVHrIkwm3duvrFKMG3PBMfaZtpjhPpTd", "contrase\303\261a", 1},
    {"{SCRAM-SHA-256}4096,+Uq/ca0EWxFG4zD8+4T0qQ==,FH92EkFQpA+gHDYrBLe/eoM2AoYfG78FtVF9mErzcFY=,"
     "nBF3ZeQ7vGFpTv4EjwRfTfhiF3tBk6c0x0fbhQ1u8vE=",
     "contrase\303\261a", 1},
    {"{MD5}$1$5e.Cy4DS$1z6lX8K5L67ydM4TNrBPB.", "contrase\303\261a", 1},
    {"{CRYPT}$2y$05$mEo01TeGRJgqJy.WTmhE3.ZrhOjLHxISsj.WhfuZwuCjCwUShSyP.", "contrase\303\261a", 1},
    {"{CLEAR}password", "password", 1},
    {"{SASLAUTHD}", "password", 0},
    {"{SASLAUTHD}", "", 0},
    {"{PLAIN-MD5}5f4dcc3b5aa765d61d8327deb882cf99", "password", 1},
    {"{PLAIN-MD5}X03MO1qnZdYdgyfeuILPmQ==", "password", 1},
    {"{PLAIN-MD5.HEX}5F4DCC3B5AA765D61D8327DEB882CF99", "password", 1},
    {"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "password", 1},
    {"{SHA.hex}5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8", "password", 1},
    {"{SHA}5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8", "password", 1},
    {"{SSHA}yI6cZwQadOA1e+/f+T+H3eCQQhRzYWx0", "password", 1},
    {"{SSHA}yI6cZwQadOA1e+/f+T+H3eCQQhRzYWx0", "passwords", 0},
    {"{SHA256}XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg=", "password", 1},
    {"{SSHA512.b64}9ZxHVj4YomwqqFiYKcIjExMLx2ZblYfXRGc4KMqbgvHq2+HOgwiTIi+eO/Uam/"
     "8D0beDAkGpvx14+UFlf"
     "BskLnNhbHRzYWx0",
     "password", 1},
    {"{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
     "pencil", 1},
    {"{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
     "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
     "pencil", 1},
    {"{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
     "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
     "pencils", 0},
    /* Locked, as in shadow(5) */
    {"", "", 0},
    {"", "password", 0},
    {"!", "!", 0},
    {"*", "*", 0},
    {"!{PLAIN}password", "password", 0},
    {"{PLAIN}!", "!", 0},
    {"{PLAIN}", "", 0},
};

START_TEST(a_password_fits_its_hash_alone)
{
    lmi_auth_hash hash;
    const char *fault = lmi_auth_hash_parse(lmail_str_from(hashes[_i].field), &hash);
    ck_assert_msg(!fault, "%s", fault);
    hash.user = LMAIL_STR("juan");
    ck_assert_int_eq(lmi_auth_hash_check(&hash, lmail_str_from(hashes[_i].password)),
                     hashes[_i].fits);
}
END_TEST

static const struct {
    const char *field, *fault;
} damaged[] = {
    {"{NOSUCH}x", "the password scheme is unknown"},
    {"{}x", "the password scheme is unknown"},
    {"{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$x$y",
     "passwords of scheme ARGON2ID cannot be checked: set a new one with mailctl user passwd"},
    {"{ntlm}4fb7d301186e0eb3",
     "passwords of scheme NTLM cannot be checked: set a new one with mailctl user passwd"},
    {"{CRAM-MD5}db40e4b75dfad50a1030c26e3e0d4f3a1ca467a007f0ec98fd058d6cc2c36f",
     "the password hash has the wrong length or encoding"},
    {"{DIGEST-MD5}x", "the password hash has the wrong length or encoding"},
    {"{PBKDF2}$1$salt$0$05a7f3eb666c718f0e2af4682aabd1824da0e1d3",
     "the password hash is not $1$SALT$ROUNDS$DIGEST"},
    {"{PBKDF2}$1$salt$99999999999$05a7f3eb666c718f0e2af4682aabd1824da0e1d3",
     "the password hash is not $1$SALT$ROUNDS$DIGEST"},
    {"{PBKDF2}$1$salt$5000$05a7", "the password hash is not $1$SALT$ROUNDS$DIGEST"},
    {"{SASLAUTHD}x", "nothing may follow {SASLAUTHD}"},
    {"{CRYPT$6$", "the scheme's closing brace is missing"},
    {"{SHA512-CRYPT}$5$saltstring$x", "the password hash is not of the scheme in braces"},
    {"{BLF-CRYPT}", NULL},
    {"{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "the password hash has the wrong length or encoding"},
    {"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9", "the password hash has the wrong length or encoding"},
    {"{SHA.hex}xyza61e4c9b93f3f0682250b6cf8331b7ee68fd8",
     "the password hash has the wrong length or encoding"},
    {"{SHA.oct}12", "the scheme's encoding is neither .b64 nor .hex"},
    {"{PLAIN.b64}eA==", "this scheme has no encodings"},
    {"{SCRAM-SHA-1}0,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
     "the SCRAM iteration count is not a number up to 1000000"},
    {"{SCRAM-SHA-1}99999999999,QSXCR+Q6sek8bf92,x,y",
     "the SCRAM iteration count is not a number up to 1000000"},
    {"{SCRAM-SHA-1}4096,,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
     "the SCRAM salt is empty"},
    {"{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=",
     "a SCRAM key has the wrong length"},
    {"{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,eA==,D+CSWLOshSulAsxiupA+qs2/fTE=",
     "a SCRAM key has the wrong length"},
    {"{SCRAM-SHA-1}4096,QSX,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
     "the SCRAM verifier is not base64"},
};

START_TEST(a_damaged_field_is_told_and_lets_nobody_in)
{
    lmi_auth_hash hash;
    const char *fault = lmi_auth_hash_parse(lmail_str_from(damaged[_i].field), &hash);
    ck_assert_pstr_eq(fault, damaged[_i].fault);
    ck_assert_ptr_null(hash.scheme);
    ck_assert_int_eq(lmi_auth_hash_check(&hash, LMAIL_STR("x")), 0);
}
END_TEST

START_TEST(what_is_made_can_be_checked)
{
    static const char *const passwords[] = {"secreto", "contrase\303\261a", "\xff\xfe not UTF-8",
                                            " blanks "};
    char made[LMI_HASH_SIZE], again[LMI_HASH_SIZE];
    lmail_str password = lmail_str_from(passwords[_i]);
    ck_assert_int_eq(lmi_auth_hash_make(password, made), LMAIL_OK);
    ck_assert_int_eq(lmi_auth_hash_make(password, again), LMAIL_OK);
    ck_assert_str_ne(made, again);
    lmi_auth_hash hash;
    ck_assert_ptr_null(lmi_auth_hash_parse(lmail_str_from(made), &hash));
    ck_assert_int_eq(lmi_auth_hash_check(&hash, password), 1);
    ck_assert_int_eq(lmi_auth_hash_check(&hash, LMAIL_STR("secretx")), 0);
}
END_TEST

static void hmac(Gsasl_hash hash, const char *key, const char *text, unsigned char *out)
{
    mbedtls_md_type_t type = hash == GSASL_HASH_SHA1 ? MBEDTLS_MD_SHA1 : MBEDTLS_MD_SHA256;
    ck_assert_int_eq(mbedtls_md_hmac(mbedtls_md_info_from_type(type), (const unsigned char *)key,
                                     gsasl_hash_length(hash), (const unsigned char *)text,
                                     strlen(text), out),
                     0);
}

static const struct {
    Gsasl_hash hash;
    const char *salt, *message, *proof, *signature;
} scram_examples[] = {
    /* RFC 5802 §5 */
    {GSASL_HASH_SHA1, "QSXCR+Q6sek8bf92",
     "n=user,r=fyko+d2lbbFgONRv9qkxdawL,"
     "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096,"
     "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
     "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ="},
    /* RFC 7677 §3 */
    {GSASL_HASH_SHA256, "W22ZaJ0SNY7soEsUEjb6gQ==",
     "n=user,r=rOprNGfwEbeRWgbNEkqO,"
     "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
     "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
     "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
     "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
};

START_TEST(our_keys_prove_the_exchanges_of_the_rfcs)
{
    char stored[GSASL_HASH_MAX_SIZE], server[GSASL_HASH_MAX_SIZE], salt[32], proof[64], text[64];
    unsigned char octets[64], digest[64];
    size_t salt_len, proof_len, text_len, size = gsasl_hash_length(scram_examples[_i].hash);
    ck_assert_int_eq(
        lmail_base64_decode(lmail_str_from(scram_examples[_i].salt), salt, sizeof salt, &salt_len),
        LMAIL_OK);
    ck_assert(lmi_scram_keys(scram_examples[_i].hash, LMAIL_STR("pencil"), 4096,
                             (lmail_str){salt, salt_len}, stored, server));

    hmac(scram_examples[_i].hash, server, scram_examples[_i].message, octets);
    ck_assert_int_eq(
        lmail_base64_encode((lmail_str){(char *)octets, size}, text, sizeof text, &text_len),
        LMAIL_OK);
    ck_assert(
        lmail_str_equal((lmail_str){text, text_len}, lmail_str_from(scram_examples[_i].signature)));

    /* H(proof XOR HMAC(StoredKey, message)) is StoredKey */
    hmac(scram_examples[_i].hash, stored, scram_examples[_i].message, octets);
    ck_assert_int_eq(lmail_base64_decode(lmail_str_from(scram_examples[_i].proof), proof,
                                         sizeof proof, &proof_len),
                     LMAIL_OK);
    ck_assert_uint_eq(proof_len, size);
    for (size_t i = 0; i < size; i++) {
        octets[i] ^= (unsigned char)proof[i];
    }
    mbedtls_md_type_t type =
        scram_examples[_i].hash == GSASL_HASH_SHA1 ? MBEDTLS_MD_SHA1 : MBEDTLS_MD_SHA256;
    ck_assert_int_eq(mbedtls_md(mbedtls_md_info_from_type(type), octets, size, digest), 0);
    ck_assert_mem_eq(digest, stored, size);
}
END_TEST

START_TEST(a_made_verifier_reads_back)
{
    char text[LMI_SCRAM_TEXT], space[LMI_SCRAM_TEXT];
    size_t used;
    lmail_scram_verifier v;
    Gsasl_hash hash = _i == 0 ? GSASL_HASH_SHA1 : GSASL_HASH_SHA256;
    ck_assert_int_eq(lmi_scram_make(hash, LMAIL_STR("pencil"), text), LMAIL_OK);
    ck_assert_ptr_null(lmi_scram_parse(lmail_str_from(text), hash, space, &used, &v));
    ck_assert_uint_eq(v.iterations, LMAIL_SCRAM_ITERATIONS);
    ck_assert_uint_eq(v.salt.len, LMI_SCRAM_SALT);
    char stored[GSASL_HASH_MAX_SIZE], server[GSASL_HASH_MAX_SIZE];
    ck_assert(lmi_scram_keys(hash, LMAIL_STR("pencil"), v.iterations, v.salt, stored, server));
    ck_assert_mem_eq(stored, v.stored_key.ptr, v.stored_key.len);
    ck_assert_mem_eq(server, v.server_key.ptr, v.server_key.len);
}
END_TEST

#define ROWS(table) (int)(sizeof table / sizeof table[0])

Suite *auth_scheme_suite(void)
{
    Suite *s = suite_create("auth_scheme");
    TCase *t = tcase_create("schemes");
    tcase_add_loop_test(t, a_password_fits_its_hash_alone, 0, ROWS(hashes));
    tcase_add_loop_test(t, a_damaged_field_is_told_and_lets_nobody_in, 0, ROWS(damaged));
    tcase_add_loop_test(t, what_is_made_can_be_checked, 0, 4);
    tcase_add_loop_test(t, our_keys_prove_the_exchanges_of_the_rfcs, 0, ROWS(scram_examples));
    tcase_add_loop_test(t, a_made_verifier_reads_back, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
