/* What the files of host/auth share. Nothing here is exported. */
#ifndef LMI_HOST_AUTH_INTERNAL_H
#define LMI_HOST_AUTH_INTERNAL_H

#include "host/auth/auth_mechanisms.h"

#include <stdatomic.h>

#include <gsasl.h>

#include <libmail/host/auth.h>

#include "host/net/net_machine.h"

/* ---- auth_scheme.c: password hashes ---- */

typedef struct lmi_auth_scheme lmi_auth_scheme;

/* A password field, taken apart: {SCHEME}data. scheme NULL: nothing fits. */
typedef struct lmi_auth_hash {
    const lmi_auth_scheme *scheme;
    lmail_str data;
    unsigned encoding; /* of the digest schemes */
    lmail_str user;    /* whose it is, as DIGEST-MD5 needs it; set by who keeps it */
} lmi_auth_hash;

/* NULL, or what is wrong with the field (a static text). */
const char *lmi_auth_hash_parse(lmail_str field, lmi_auth_hash *out);

/* The password itself when the scheme keeps it readable, else empty. */
lmail_str lmi_auth_hash_readable(const lmi_auth_hash *hash);

/* The field is a SCRAM verifier for this hash: 1 or 0. */
int lmi_auth_hash_is_scram(const lmi_auth_hash *hash, Gsasl_hash *which);

/* The password is kept elsewhere and saslauthd knows it: 1 or 0. */
int lmi_auth_hash_is_elsewhere(const lmi_auth_hash *hash);

/* 1 fits, 0 does not, -1 no memory. */
int lmi_auth_hash_check(const lmi_auth_hash *hash, lmail_str password);

/* {CRYPT} with crypt's preferred method; out has room for LMI_HASH_SIZE. */
#define LMI_HASH_SIZE 400u
lmail_status lmi_auth_hash_make(lmail_str password, char out[LMI_HASH_SIZE]);

/* SASLprep (RFC 4013). NULL when it is none that the profile allows; else to be given to
 * lmi_auth_wipe_free. */
char *lmi_auth_prepare(lmail_str password);

/* Work of a check that cannot succeed, so that it costs what others cost. */
void lmi_auth_burn(const lmi_auth_hash *like, lmail_str password);

/* ---- auth_cache.c: password checks that were right a moment ago ---- */

#define LMI_TAG 32u

typedef struct lmi_auth_cache lmi_auth_cache;

/* time: milliseconds that a check is remembered. OK, ERR_NOMEM, ERR_IO (no random octets). */
lmail_status lmi_auth_cache_new(lmi_auth_cache **out, lmail_msec time);
void lmi_auth_cache_free(lmi_auth_cache *c);
/* The tag of one check, from all that it depends on. 0: no memory, there is none. */
int lmi_auth_cache_tag(const lmi_auth_cache *c, lmail_str name, const lmi_auth_hash *hash,
                       lmail_str password, unsigned char tag[LMI_TAG]);
int lmi_auth_cache_has(lmi_auth_cache *c, const unsigned char tag[LMI_TAG], lmail_msec now);
void lmi_auth_cache_put(lmi_auth_cache *c, const unsigned char tag[LMI_TAG], lmail_msec now);
/* Wipe what is over. */
void lmi_auth_cache_tidy(lmi_auth_cache *c, lmail_msec now);
/* Wipe all, and keep nothing more. */
void lmi_auth_cache_end(lmi_auth_cache *c);

/* ---- auth_kept.c: what Dovecot keeps for other mechanisms ---- */

typedef enum lmi_kept {
    LMI_KEPT_NOTHING,
    LMI_KEPT_CRAM_MD5,  /* both states of HMAC-MD5 under the password */
    LMI_KEPT_DIGEST_MD5 /* MD5 of user:realm:password */
} lmi_kept;

#define LMI_KEPT_MAX 32u
size_t lmi_kept_size(lmi_kept kind); /* octets */
/* Make it from a password; false without memory. */
int lmi_kept_make(lmi_kept kind, lmail_str user, lmail_str password,
                  unsigned char out[LMI_KEPT_MAX]);
/* "$1$SALT$ROUNDS$HEX": 1 fits, 0 does not, -1 no memory, -2 it is none. An empty password fits
 * none and costs nothing. */
int lmi_pbkdf2_check(lmail_str data, lmail_str password);

/* ---- auth_scram.c: verifiers ---- */

#define LMI_SCRAM_SALT 16u
#define LMI_SCRAM_TEXT 256u /* ITERATIONS,SALT,STOREDKEY,SERVERKEY of a verifier made here */

/* Take "4096,c2FsdA==,...,..." apart into space (at least text.len octets); *used of it are taken.
 * NULL, or what is wrong. */
const char *lmi_scram_parse(lmail_str text, Gsasl_hash hash, char *space, size_t *used,
                            lmail_scram_verifier *out);

/* The keys that a password has; false on SASLprep or memory trouble. */
int lmi_scram_keys(Gsasl_hash hash, lmail_str password, uint32_t iterations, lmail_str salt,
                   char stored_key[GSASL_HASH_MAX_SIZE], char server_key[GSASL_HASH_MAX_SIZE]);

/* A verifier with a fresh salt as text. */
lmail_status lmi_scram_make(Gsasl_hash hash, lmail_str password, char out[LMI_SCRAM_TEXT]);

/* ---- auth_table.c: the parsed account file ---- */

typedef struct lmi_auth_table lmi_auth_table;

/* Takes the text over (malloc, len octets and room for one more). NULL: no memory, the text
 * is freed. */
lmi_auth_table *lmi_auth_table_new(char *text, size_t len, lmail_str file,
                                   lmail_accounts_fault_fn *on_fault, void *user);
lmi_auth_table *lmi_auth_table_ref(lmi_auth_table *t);
void lmi_auth_table_unref(lmi_auth_table *t);
size_t lmi_auth_table_count(const lmi_auth_table *t);
/* NULL when there is none; *hash is the way to check a password. */
const lmail_account *lmi_auth_table_find(const lmi_auth_table *t, lmail_str name,
                                         const lmi_auth_hash **hash);
const lmail_account *lmi_auth_table_at(const lmi_auth_table *t, size_t index);
/* What a password check usually costs here: the first entry's hash that is not readable. */
const lmi_auth_hash *lmi_auth_table_usual(const lmi_auth_table *t);

/* The seven fields and the rest of a line. Missing ones are empty. */
#define LMI_FIELDS 8u
size_t lmi_auth_split_line(lmail_str line, lmail_str fields[LMI_FIELDS]);
/* Next word of `extra`; 0 at the end. value is empty without "=". */
int lmi_auth_next_word(lmail_str *extra, lmail_str *word, lmail_str *key, lmail_str *value);

/* ---- auth_nets.c ---- */

/* An address, a network or "local", with commas between: 1 or 0. */
int lmi_auth_nets_valid(lmail_str nets);

/* ---- auth_accounts.c ---- */

/* A config of any size as one of ours; OK or ERR_SIZE. cfg NULL: all zero. */
lmail_status lmi_accounts_config_copy(lmail_accounts_config *out, const lmail_accounts_config *cfg);
/* verify_for, or verify where a source has none. */
lmail_status lmi_source_verify(const lmail_accounts_source *source, lmail_str service,
                               lmail_str name, lmail_str password, lmail_account *out);

/* ---- auth_system.c ---- */

/* Ask saslauthd about name@realm or name; timeout 0: the usual one. */
lmail_status lmi_auth_ask(lmail_str socket, uint32_t timeout, lmail_str service, lmail_str name,
                          lmail_str password);

/* ---- auth_name.c ---- */

/* Equal accounts names after folding: 1 or 0. */
int lmi_auth_names_equal(lmail_str a, lmail_str b);

/* ---- auth_util.c ---- */

void lmi_auth_wipe_free(void *p, size_t len);
int lmi_auth_equal(const void *a, const void *b, size_t n); /* in constant time */
char *lmi_auth_copy(lmail_str s);                           /* terminated; NULL: no memory */
/* Spread octets over a seed (or what came of others before them), for tables that an attacker must
 * not aim at. */
uint64_t lmi_auth_mix(uint64_t h, const void *octets, size_t n);
/* The value of a hexadecimal digit, or -1. */
int lmi_auth_hex_digit(char c);
/* HMAC-SHA-256 over label, NUL, text. */
void lmi_auth_mac(lmail_str key, const char *label, lmail_str text, unsigned char out[32]);

/* ---- auth_mechanism.c: what mechanisms there are ---- */

enum {
    LMI_TRAIT_EXPORTER = 1,    /* needs tls-exporter octets */
    LMI_TRAIT_CERTIFICATE = 2, /* needs a verified client certificate */
    LMI_TRAIT_TOKEN = 4,       /* needs the host's token check */
    LMI_TRAIT_SERVER_FIRST = 8 /* an initial response is against its rules */
};

#define LMI_MECHANISM_ID(id, name, traits, by_default) LMI_##id,
typedef enum lmi_mechanism_id {
    LMI_AUTH_MECHANISMS(LMI_MECHANISM_ID) LMI_MECHANISMS
} lmi_mechanism_id;
#undef LMI_MECHANISM_ID

typedef struct lmi_mechanism {
    lmail_str name;
    unsigned traits;
    unsigned by_default;
} lmi_mechanism;

/* By id; the ids' order is that of the default offer. */
const lmi_mechanism *lmi_mechanism_get(lmi_mechanism_id id);
/* LMI_MECHANISMS when unknown. */
lmi_mechanism_id lmi_mechanism_find(lmail_str name);

/* ---- auth_context.c ---- */

struct lmail_auth {
    lmail_accounts *accounts;
    lmi_mechanism_id enabled[LMI_MECHANISMS];
    size_t enabled_count;
    unsigned allow_cleartext;
    unsigned need;
    char *service, *hostname, *realm, *oauth_error; /* terminated */
    unsigned char salt_key[32];
    lmail_auth_delays *delays;
    lmail_auth_token_fn *on_token;
    void *user;
    Gsasl *gsasl;
};

/* Can this mechanism be completed with these facts: 1 or 0. */
int lmi_auth_offered(const lmail_auth *auth, lmi_mechanism_id id, const lmail_auth_facts *facts);
/* Fill a FAIL; the delay counts the failure against the address. */
void lmi_auth_fail(lmail_auth *auth, lmail_str address, lmail_auth_reason reason, lmail_str tried,
                   lmail_msec now, lmail_auth_result *out);
/* Fill an OK and forget the address's failures. */
void lmi_auth_pass(lmail_auth *auth, lmail_str address, lmail_str identity, lmail_auth_result *out);
/* TEMPORARY, or CREDENTIALS for the status of find and verify. */
lmail_auth_reason lmi_auth_reason_of(lmail_status status);

/* ---- auth_exchange.c ---- */

struct lmail_auth_exchange {
    lmail_auth *auth;
    lmi_mechanism_id id;
    Gsasl_session *session;
    unsigned steps;
    unsigned over;
    unsigned binding_asked;

    char address[64];
    size_t address_len;
    char exporter[64];
    size_t exporter_len;
    unsigned plus_offered; /* a -PLUS of the same hash */
    char peer_name[LMAIL_MAX_ACCOUNT_NAME];
    size_t peer_name_len;

    lmail_auth_reason reason; /* why, when it fails */
    unsigned looked_up;
    unsigned anonymous;
    unsigned proven; /* the callback itself decided that the identity is right */
    unsigned held;   /* account is to be released */
    lmail_account account;
    char tried[LMAIL_MAX_ACCOUNT_NAME]; /* folded */
    size_t tried_len;

    char *output; /* of the last step, gsasl's */
    size_t output_len;
};

/* The account named, looked up once; 0 when it cannot log in with what `needs` names
 * (LMAIL_ACCOUNT_*; 0: anything). */
int lmi_exchange_lookup(lmail_auth_exchange *x, lmail_str name, unsigned needs);
/* The authorization identity is nobody or the account itself; 0, and the reason, otherwise. */
int lmi_exchange_authzid(lmail_auth_exchange *x, lmail_str authzid);
/* Answers the library's questions. */
int lmi_exchange_callback(Gsasl *gsasl, Gsasl_session *session, Gsasl_property property);

/* ---- auth_oauth.c ---- */

/* Add OAUTHBEARER and XOAUTH2 to a context; a gsasl code. */
int lmi_oauth_register(Gsasl *gsasl);

#endif
