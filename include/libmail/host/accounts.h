/* libmail/host/accounts.h - who has an account here, and with what it proves itself.
 *
 * lmail_accounts is one source of accounts behind a table of functions. The source that comes with
 * libmail-host is a passwd-style file; an embedder with a database writes a table of its own.
 *
 * The file, one account a line (Dovecot's passwd-file reads the same lines):
 *
 *     user:{SCHEME}secret:uid:gid:gecos:home::extra
 *
 *   user     "name" (belongs to the default domain) or "name@domain"; lower case, NFC
 *   SCHEME   CRYPT (whatever crypt(3) knows: yescrypt, bcrypt, SHA-512 ...; also the default when
 *            nothing is in braces), SHA512-CRYPT, SHA256-CRYPT, MD5-CRYPT, DES-CRYPT, BLF-CRYPT,
 *            YESCRYPT, PLAIN, CLEARTEXT, SCRAM-SHA-1, SCRAM-SHA-256, SHA, SSHA, SHA256, SSHA256,
 *            SHA512, SSHA512, PLAIN-MD5. An empty field, "!" or "*" in front: no password fits.
 *   uid gid gecos home
 *            as in passwd; may be empty or missing. The seventh field is not used.
 *   extra    words NAME=VALUE with blanks between. Ours, each optional:
 *              scram_sha_1=ITERATIONS,SALT,STOREDKEY,SERVERKEY     base64, RFC 5802 §3
 *              scram_sha_256=ITERATIONS,SALT,STOREDKEY,SERVERKEY   RFC 7677
 *              secret=BASE64      the password itself, for CRAM-MD5, DIGEST-MD5 and APOP
 *              quota_storage=SIZE, quota_messages=NUMBER
 *                                 what it may hold; userdb_quota_rule= as Dovecot writes it
 *              disabled=1         the account exists, mail is taken, nobody logs in
 *              nologin            the same, as Dovecot writes it
 *              allow_nets=NETWORKS
 *                                 it logs in from these only: addresses and networks with commas
 *                                 between, "local" for a client without an address; as Dovecot's
 *            Other words are kept and ignored.
 *
 * Other sources are the system's users, whose passwords the socket of authd or saslauthd knows, and
 * any number of sources in order: lmail_accounts_system_source, lmail_accounts_chain.
 *
 * Empty lines and lines that begin with # are kept and ignored. A line that cannot be understood is
 * reported as FILE:LINE with what is wrong; the other lines hold.
 *
 * Names. Every function here takes a name as a peer typed it: it is folded to lower case and NFC,
 * then looked up as it is, then - when it has no domain - with the default domain added, or - when
 * its domain is the default one - without it.
 *
 * Threads. All functions on a lmail_accounts may be called from any thread; they may block on the
 * file system, and verify costs what the hash costs (yescrypt: 14 ms): call them from a worker.
 */
#ifndef LIBMAIL_HOST_ACCOUNTS_H
#define LIBMAIL_HOST_ACCOUNTS_H

#include <libmail/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LMAIL_NO_ID UINT32_MAX       /* the source names no uid or gid */
#define LMAIL_MAX_ACCOUNT_NAME 320u  /* octets; RFC 5321 §4.5.3.1: 64 + 1 + 255 */
#define LMAIL_MAX_PASSWORD 512u      /* octets; CRYPT_MAX_PASSPHRASE_SIZE */
#define LMAIL_SCRAM_ITERATIONS 4096u /* for new verifiers; RFC 7677 §4 */
#define LMAIL_MAX_SCRAM_ITERATIONS 1000000u

typedef struct lmail_accounts lmail_accounts;

/* What an account can prove itself with, a bit set. */
enum {
    LMAIL_ACCOUNT_PASSWORD = 1,      /* verify: PLAIN, LOGIN, USER/PASS */
    LMAIL_ACCOUNT_SCRAM_SHA_1 = 2,   /* a verifier, or made from the reversible secret */
    LMAIL_ACCOUNT_SCRAM_SHA_256 = 4, /* the same */
    LMAIL_ACCOUNT_SECRET = 8         /* reversible: CRAM-MD5, DIGEST-MD5, APOP */
};

/* What a server keeps for SCRAM instead of a password. Octets, not base64. Source: RFC 5802 §3. */
typedef struct lmail_scram_verifier {
    uint32_t iterations; /* 0: there is none */
    lmail_str salt;
    lmail_str stored_key;
    lmail_str server_key;
} lmail_scram_verifier;

/* One account, filled by a source. All slices are the source's and live until release. */
typedef struct lmail_account {
    size_t size;
    lmail_str name; /* as the source spells it: the name of this user from now on */
    uint32_t uid;   /* LMAIL_NO_ID when the source has none */
    uint32_t gid;
    lmail_str gecos;
    lmail_str home;
    lmail_str extra;
    lmail_str allow_nets; /* where it may log in from; empty: anywhere */
    unsigned disabled;    /* exists, but may not log in */
    unsigned has;         /* LMAIL_ACCOUNT_* */
    lmail_scram_verifier scram_sha_1;
    lmail_scram_verifier scram_sha_256;
    lmail_str secret; /* the reversible password; never log it */
    void *held;       /* the source's own */
} lmail_account;

/* A source of accounts, as a table. Names come folded (lower case, NFC) and never empty.
 *   find     OK and *out, or ERR_NOTFOUND, or ERR_IO, ERR_CORRUPT, ERR_NOMEM: ask again later
 *   release  end of *out from find or verify; may be NULL
 *   verify   OK and *out when the password is right and the account may log in; ERR_DENIED for a
 *            wrong password, an unknown name or a disabled account, after the same work in each
 *            case
 *   each     calls fn for every account until it returns not 0; NULL when they cannot be listed
 *   close    the last call; may be NULL
 *   verify_for as verify, and told which service asks ("smtp", "imap", "pop", or empty), for
 *            sources that pass the question on. NULL: verify is called
 *   find_now as find, from memory alone and without a wait: OK, ERR_NOTFOUND or PENDING (not known
 *            without a look at the disk). What it says may be a second old. NULL: always PENDING
 *   forget   verify may remember what was right a moment ago, as long as it still sees at once that
 *            a password was changed: wipe what is over, or with `all` everything, and remember
 *            nothing more. Does not wait. NULL: verify remembers nothing
 * All may be called from several threads at once, close only alone. */
typedef struct lmail_accounts_source {
    size_t size;
    void *ctx;
    lmail_status (*find)(void *ctx, lmail_str name, lmail_account *out);
    void (*release)(void *ctx, lmail_account *account);
    lmail_status (*verify)(void *ctx, lmail_str name, lmail_str password, lmail_account *out);
    lmail_status (*each)(void *ctx, int (*fn)(void *user, const lmail_account *account),
                         void *user);
    void (*close)(void *ctx);
    lmail_status (*find_now)(void *ctx, lmail_str name, lmail_account *out);
    void (*forget)(void *ctx, unsigned all);
    lmail_status (*verify_for)(void *ctx, lmail_str service, lmail_str name, lmail_str password,
                               lmail_account *out);
} lmail_accounts_source;

/* A line of an account file that could not be understood. Slices live for the call. */
typedef struct lmail_accounts_fault {
    lmail_str file;
    unsigned long line; /* from 1; 0 when the whole file is meant */
    lmail_str what;     /* English, without a full stop; holds no secret */
} lmail_accounts_fault;

typedef void lmail_accounts_fault_fn(void *user, const lmail_accounts_fault *fault);

typedef struct lmail_accounts_config {
    size_t size;
    lmail_str default_domain;          /* of names without one; empty: none */
    lmail_accounts_fault_fn *on_fault; /* NULL: not told. Called in the thread that loads */
    void *user;
    lmail_msec remember;  /* how long the file's verify answers a right password again without the
                          * hash's work; 0: never. What is kept is a MAC under a key of this
                          * process; a changed record is seen at once. Call lmail_accounts_forget
                          * now and then */
    lmail_str saslauthd;  /* socket that passwords of {SASLAUTHD} lines are asked at; empty: none */
    unsigned drop_domain; /* not 0: names are looked up without their domain */
} lmail_accounts_config;

#define LMAIL_ACCOUNTS_CONFIG_INIT                                                                 \
    {                                                                                              \
        sizeof(lmail_accounts_config), {NULL, 0}, NULL, NULL, 0, {NULL, 0}, 0                      \
    }

LMAIL_API void lmail_accounts_config_init(lmail_accounts_config *cfg);

/* Accounts from a table of the host's own; the table is copied.
 * Returns: OK, ERR_ARG (find or verify is missing), ERR_SIZE, ERR_NOMEM. */
LMAIL_API lmail_status lmail_accounts_new(lmail_accounts **out, const lmail_accounts_source *source,
                                          const lmail_accounts_config *cfg);

/* Accounts from a passwd-style file. It is read now and again whenever it has changed (each call
 * looks at inode, size and times: one stat), so an edit holds at the next login. While it is
 * missing there are no accounts; while it cannot be read the last state that could be read holds.
 *   path   copied
 * Returns: OK (faults in lines included), ERR_IO (it exists and cannot be read), ERR_ARG, ERR_SIZE,
 * ERR_NOMEM. */
LMAIL_API lmail_status lmail_accounts_open(lmail_accounts **out, lmail_str path,
                                           const lmail_accounts_config *cfg);

/* The same from text in memory, for tests and embedders; copied. It never changes.
 * The faults name the file "-". Returns: OK (faults in lines included), ERR_SIZE, ERR_NOMEM. */
LMAIL_API lmail_status lmail_accounts_from_text(lmail_accounts **out, lmail_str text,
                                                const lmail_accounts_config *cfg);

/* ---- Sources to put together ---- */

/* What lmail_accounts_open reads, as a table; its close frees it.
 * Returns: as lmail_accounts_open. */
LMAIL_API lmail_status lmail_accounts_file_source(lmail_accounts_source *out, lmail_str path,
                                                  const lmail_accounts_config *cfg);

typedef struct lmail_accounts_system_config {
    size_t size;
    lmail_str socket; /* authd's or saslauthd's: it knows the passwords */
    uint32_t min_uid; /* users below exist, and do not log in */
    uint32_t timeout; /* of a question, in milliseconds; 0: 35,000 */
} lmail_accounts_system_config;

#define LMAIL_ACCOUNTS_SYSTEM_CONFIG_INIT                                                          \
    {                                                                                              \
        sizeof(lmail_accounts_system_config), {NULL, 0}, 1000, 0                                   \
    }
LMAIL_API void lmail_accounts_system_config_init(lmail_accounts_system_config *cfg);

/* The users of the system: who there is says getpwnam(3), whether a password is right the socket.
 * An answer that does not come is ERR_IO. Returns: OK, ERR_ARG (no socket), ERR_SIZE, ERR_NOMEM. */
LMAIL_API lmail_status lmail_accounts_system_source(lmail_accounts_source *out,
                                                    const lmail_accounts_system_config *cfg);

/* Sources in order: the first that knows a name has the account, its password is the only one. A
 * source that cannot tell now ends the search. Names that none knows are verified at the last.
 *   sources   taken over by a successful call (close is called), copied; 1 at least
 * Returns: OK, ERR_ARG, ERR_SIZE, ERR_NOMEM. */
LMAIL_API lmail_status lmail_accounts_chain(lmail_accounts_source *out,
                                            const lmail_accounts_source *sources, size_t count);

/* No call may be under way and no account unreleased. NULL is allowed. */
LMAIL_API void lmail_accounts_free(lmail_accounts *a);

/* Does this account exist (for RCPT, for PLAIN's authorization identity, for deliveries)?
 * Returns: OK and *out, to be given back with lmail_accounts_release; ERR_NOTFOUND (no such
 * account, or a name that none can have); ERR_IO, ERR_CORRUPT, ERR_NOMEM (not known now: the peer
 * should try again). */
LMAIL_API lmail_status lmail_accounts_find(lmail_accounts *a, lmail_str name, lmail_account *out);

/* The same on a loop's thread: never waits. What it finds may have been changed a second ago.
 * Returns: OK and *out, to be given back; PENDING: ask lmail_accounts_find on a worker. */
LMAIL_API lmail_status lmail_accounts_find_now(lmail_accounts *a, lmail_str name,
                                               lmail_account *out);

/* Is this the account's password? Unknown names cost as much as wrong passwords.
 *   password   as typed; SASLprep (RFC 4013) is applied here. Empty never fits.
 * Returns: OK and *out, to be released; ERR_DENIED; ERR_IO, ERR_CORRUPT, ERR_NOMEM. */
LMAIL_API lmail_status lmail_accounts_verify(lmail_accounts *a, lmail_str name, lmail_str password,
                                             lmail_account *out);

/* May the account log in from this address (account->allow_nets)? lmail_auth asks this itself.
 *   address   as text; empty: the client has none
 * Returns: 1 or 0. */
LMAIL_API int lmail_account_allows(const lmail_account *account, lmail_str address);

/* Wipe what verify remembers and what is over; with `all` everything, for good: nothing is
 * remembered from then on. Cheap; on a loop too. */
LMAIL_API void lmail_accounts_forget(lmail_accounts *a, unsigned all);
/* The same, and the source is told which service asks; see lmail_accounts_source.verify_for. */
LMAIL_API lmail_status lmail_accounts_verify_for(lmail_accounts *a, lmail_str service,
                                                 lmail_str name, lmail_str password,
                                                 lmail_account *out);

/* Does the password fit a field as the account file or shadow(5) has it, "{SCHEME}data" or what
 * crypt(3) knows? Blocks for what the hash costs.
 * Returns: OK; ERR_DENIED (also when no password fits, or saslauthd would know); ERR_SYNTAX (the
 * field cannot be understood); ERR_NOMEM. */
LMAIL_API lmail_status lmail_password_check(lmail_str field, lmail_str password);

/* Give back what find or verify filled: its slices are gone. */
LMAIL_API void lmail_accounts_release(lmail_accounts *a, lmail_account *account);

/* Call fn for every account, in the order of the file, until it returns not 0. fn calls nothing
 * here. Returns: OK, ERR_UNSUPPORTED (the source cannot list), ERR_IO, ERR_NOMEM. */
LMAIL_API lmail_status lmail_accounts_each(lmail_accounts *a,
                                           int (*fn)(void *user, const lmail_account *account),
                                           void *user);

/* Fold a name as all functions here do: lower case, NFC, checked.
 *   out    cap octets, LMAIL_MAX_ACCOUNT_NAME are always enough
 *   made   out: its length
 * Returns: OK, ERR_SYNTAX (empty, not UTF-8, has blanks, control octets, any of : / or a leading
 * dot, dash or @, an empty domain, or two @), ERR_LIMIT (longer than LMAIL_MAX_ACCOUNT_NAME). */
LMAIL_API lmail_status lmail_account_name_fold(lmail_str name, char *out, size_t cap, size_t *made);

/* ---- Changing the file ----------------------------------------------------------------------- */

/* One change of an account file: begin takes the lock (FILE.lock; waits up to ten seconds for
 * another writer), the functions change the text in memory, commit writes it whole - a temporary
 * file of mode 0600 and the old owner, fsync, rename, fsync of the folder - and free unlocks. Lines
 * that are not touched keep every octet. Running daemons see the change at the next login. Not for
 * several threads. */
typedef struct lmail_accounts_edit lmail_accounts_edit;

/* Returns: OK, ERR_BUSY (another writer holds the lock), ERR_IO (errno says why), ERR_NOMEM. A file
 * that does not exist is an empty one. */
LMAIL_API lmail_status lmail_accounts_edit_new(lmail_accounts_edit **out, lmail_str path);

/* Unlock, without writing what was not committed. NULL is allowed. */
LMAIL_API void lmail_accounts_edit_free(lmail_accounts_edit *e);

/* The account has this very name (folded; no default domain is added): 1 or 0. */
LMAIL_API int lmail_accounts_edit_has(const lmail_accounts_edit *e, lmail_str name);

/* A new account without password. Returns: OK, ERR_EXISTS, ERR_SYNTAX, ERR_LIMIT, ERR_NOMEM. */
LMAIL_API lmail_status lmail_accounts_edit_add(lmail_accounts_edit *e, lmail_str name);

/* Remove an account. Returns: OK, ERR_NOTFOUND, ERR_SYNTAX, ERR_LIMIT. */
LMAIL_API lmail_status lmail_accounts_edit_remove(lmail_accounts_edit *e, lmail_str name);

/* Step one: the one-way hash for PLAIN, LOGIN and USER/PASS (crypt(3)'s preferred method,
 * yescrypt). An empty password takes the hash away: no password fits any more.
 * Returns: OK, ERR_NOTFOUND, ERR_ARG (NUL, CR or LF in it, or longer than LMAIL_MAX_PASSWORD),
 * ERR_IO (no random octets), ERR_UNSUPPORTED (crypt has no such method), ERR_NOMEM. */
LMAIL_API lmail_status lmail_accounts_edit_password(lmail_accounts_edit *e, lmail_str name,
                                                    lmail_str password);

/* Step two: verifiers for SCRAM-SHA-1 and SCRAM-SHA-256 and, with `reversible` not 0, the password
 * itself for CRAM-MD5, DIGEST-MD5 and APOP. An empty password takes all of them away.
 * Returns: as above. */
LMAIL_API lmail_status lmail_accounts_edit_secret(lmail_accounts_edit *e, lmail_str name,
                                                  lmail_str password, int reversible);

/* Write. Returns: OK, ERR_FULL, ERR_IO (errno says why; the file is as it was), ERR_NOMEM. */
LMAIL_API lmail_status lmail_accounts_edit_commit(lmail_accounts_edit *e);

/* ---- Moving over ----------------------------------------------------------------------------- */

/* One record of Cyrus SASL's sasldb2. Slices live for the call. */
typedef struct lmail_sasldb_record {
    unsigned long line; /* of its key */
    lmail_str user;
    lmail_str realm;
    lmail_str property; /* "userPassword" is the password in clear */
    lmail_str value;    /* never log it */
} lmail_sasldb_record;

/* Read a sasldb2 out of the text that db_dump makes of it, with or without -p. The first database
 * of the text is read.
 *   fn         called for every record, until it returns not 0
 *   on_fault   called for every record that cannot be understood; the others are read. May be NULL
 * Returns: OK; ERR_SYNTAX (no dump of a database, or it breaks off); ERR_NOMEM. */
LMAIL_API lmail_status lmail_sasldb_read(lmail_str text,
                                         int (*fn)(void *user, const lmail_sasldb_record *record),
                                         lmail_accounts_fault_fn *on_fault, void *user);

/* Are the account's step-two secrets those of this password? LMAIL_OK: they are; ERR_DENIED: they
 * are another's; ERR_NOTFOUND: it has none; ERR_NOMEM. */
LMAIL_API lmail_status lmail_account_secret_check(const lmail_account *account, lmail_str password);

#ifdef __cplusplus
}
#endif

#endif
