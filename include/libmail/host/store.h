/* libmail/host/store.h - where mailboxes live.
 *
 * A store is a table of functions, lmail_store, with a context. Two come with libmail-host:
 *
 *     lmail_store_memory_new    everything in memory; the reference for what this interface means
 *     lmail_store_maildir_new   the default: Maildir++ on disk, a SQLite index beside each account
 *
 * and an embedder may fill a table of his own. All functions are synchronous: they may wait for the
 * disk, so a server calls them from a worker thread.
 *
 * Threads. An account handle and the mailbox handles opened through it bear one call at a time.
 * Different handles - also several on one account, in several threads or processes - are used in
 * parallel. A snapshot is immutable and may be read by any thread without a lock.
 *
 * Language. UIDs and modseqs, never sequence numbers. Mailbox names are UTF-8 in NFC, hierarchy
 * separator '/', no empty component, no control characters; "INBOX" is matched without case.
 * Sizes and offsets count octets of the message with CRLF line ends, whatever the disk holds.
 *
 * Results. Slices in a result or handed to a row function are borrowed for that call, unless the
 * comment says otherwise. A lmail_uid_list in a result is zeroed by the callee before use and is
 * freed by the caller with lmail_uid_list_free, also after an error.
 *
 * Errors that any function may return:
 *     ERR_NOMEM
 *     ERR_IO           the disk or the index failed
 *     ERR_BUSY         another process holds the index for too long; try again
 *     ERR_FULL         no space left, or less than the store's reserve
 *     ERR_NOTFOUND     no such mailbox or message
 *     ERR_STALE        the mailbox behind this handle was deleted or began anew with another
 *                      UIDVALIDITY: close it and open it again
 *     ERR_UNSUPPORTED  this store does not do that; also for a NULL member of the table
 */
#ifndef LIBMAIL_HOST_STORE_H
#define LIBMAIL_HOST_STORE_H

#include <libmail/mailbox.h>
#include <libmail/mime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Snapshot -------------------------------------------------------------------------------- */

/* One state of a mailbox: its UIDs with flags and modseq, and its facts. Immutable, shared,
 * counted: each function that hands one out gives the caller a reference. Rows lie in leaves of up
 * to LMAIL_SNAPSHOT_LEAF messages; a later version shares the leaves that did not change. */
typedef struct lmail_snapshot lmail_snapshot;

#define LMAIL_SNAPSHOT_LEAF 512

typedef struct lmail_mailbox_facts {
    uint32_t uidvalidity;
    lmail_uid uidnext;           /* above every UID ever given out here */
    lmail_modseq highest_modseq; /* of every change here, expunges too; RFC 7162 §3.1.2.1 */
    uint32_t messages;
    uint32_t unseen;             /* messages without \Seen */
    uint32_t deleted;            /* messages with \Deleted */
    lmail_uid first_unseen;      /* UID, 0 when there is none */
    uint32_t first_unseen_index; /* its place, 0-based */
    lmail_keywords keywords;     /* live as long as the snapshot */
    lmail_str mailbox_id; /* RFC 8474 MAILBOXID, without parentheses; as long as the snapshot */
} lmail_mailbox_facts;

/* Rows of one leaf, rising by UID. As long as the snapshot. */
typedef struct lmail_snapshot_rows {
    size_t first; /* place of its first row in the mailbox, 0-based */
    size_t count; /* 1..LMAIL_SNAPSHOT_LEAF */
    const lmail_uid *uids;
    const lmail_flags *flags; /* never with LMAIL_FLAG_RECENT */
    const lmail_modseq *modseqs;
} lmail_snapshot_rows;

/* Take or give back a reference. unref(NULL) is allowed. Any thread. */
LMAIL_API const lmail_snapshot *lmail_snapshot_ref(const lmail_snapshot *s);
LMAIL_API void lmail_snapshot_unref(const lmail_snapshot *s);

/* As long as the snapshot. */
LMAIL_API const lmail_mailbox_facts *lmail_snapshot_facts(const lmail_snapshot *s);

/* The UIDs as ranges, as long as the snapshot: a session's view may share them. */
LMAIL_API lmail_uid_set lmail_snapshot_uids(const lmail_snapshot *s);

/* Leaf number `leaf`, 0-based. Returns OK, or END when there is no such leaf. */
LMAIL_API lmail_status lmail_snapshot_leaf(const lmail_snapshot *s, size_t leaf,
                                           lmail_snapshot_rows *out);

/* The first row with this UID or a higher one.
 *   leaf, row   out: the leaf's number and the row within it
 * Returns OK, or END when every UID is lower. O(log n). */
LMAIL_API lmail_status lmail_snapshot_seek(const lmail_snapshot *s, lmail_uid uid, size_t *leaf,
                                           size_t *row);

/* Flags and modseq of one message; either pointer may be NULL. OK or ERR_NOTFOUND. */
LMAIL_API lmail_status lmail_snapshot_get(const lmail_snapshot *s, lmail_uid uid,
                                          lmail_flags *flags, lmail_modseq *modseq);

/* What changed from `before` to `after`, two versions of one mailbox. Leaves that both share cost
 * nothing. */
typedef struct lmail_snapshot_changes {
    lmail_uid_list added;    /* in after, not in before */
    lmail_uid_list changed;  /* in both, with another modseq */
    lmail_uid_list vanished; /* in before, not in after */
} lmail_snapshot_changes;

/* Fills *out (zeroed here; free it with lmail_snapshot_changes_free, also after an error).
 * Returns OK, ERR_NOMEM, ERR_STATE (UIDVALIDITY differs). */
LMAIL_API lmail_status lmail_snapshot_diff(const lmail_snapshot *before,
                                           const lmail_snapshot *after,
                                           lmail_snapshot_changes *out);
LMAIL_API void lmail_snapshot_changes_free(lmail_snapshot_changes *changes);

/* UIDs whose modseq is above `since` (CHANGEDSINCE, RFC 7162 §3.1.4.1). Zeroes and fills *out.
 * Returns OK or ERR_NOMEM. */
LMAIL_API lmail_status lmail_snapshot_changed_since(const lmail_snapshot *s, lmail_modseq since,
                                                    lmail_uid_list *out);

/* For those who write a store: make the next version. begin(NULL) starts from an empty mailbox.
 * The calls must come in rising order of UID; each costs O(log n) and copies a leaf once.
 * end() consumes the edit and gives a snapshot with one reference; abort() throws it away. */
typedef struct lmail_snapshot_edit lmail_snapshot_edit;

LMAIL_API lmail_status lmail_snapshot_edit_begin(const lmail_snapshot *base,
                                                 lmail_snapshot_edit **out);
/* Add a message, or give one that is there these flags and modseq. */
LMAIL_API lmail_status lmail_snapshot_edit_put(lmail_snapshot_edit *e, lmail_uid uid,
                                               lmail_flags flags, lmail_modseq modseq);
/* Take a message out. One that is not there is no error. */
LMAIL_API lmail_status lmail_snapshot_edit_remove(lmail_snapshot_edit *e, lmail_uid uid);
/*   facts   uidvalidity, uidnext, highest_modseq, keywords and mailbox_id count and are copied; the
 *           others are computed from the rows.
 * Returns OK or ERR_NOMEM; the edit is gone either way. */
LMAIL_API lmail_status lmail_snapshot_edit_end(lmail_snapshot_edit *e,
                                               const lmail_mailbox_facts *facts,
                                               const lmail_snapshot **out);
LMAIL_API void lmail_snapshot_edit_abort(lmail_snapshot_edit *e);

/* ---- Handles, arguments, rows ---------------------------------------------------------------- */

/* Each store defines its own; to the caller they are names. */
typedef struct lmail_store_account lmail_store_account;
typedef struct lmail_store_mailbox lmail_store_mailbox;
typedef struct lmail_delivery lmail_delivery;

typedef struct lmail_store_account_args {
    size_t size;
    lmail_str name;     /* identity; one account is one name in all processes (change notice) */
    lmail_str location; /* the store's own: Maildir: its directory; empty: made from the name */
    unsigned create;    /* make the account when it is not there; else ERR_NOTFOUND */
} lmail_store_account_args;
#define LMAIL_STORE_ACCOUNT_ARGS_INIT                                                              \
    {                                                                                              \
        sizeof(lmail_store_account_args), {NULL, 0}, {NULL, 0}, 1                                  \
    }

/* Special use, RFC 6154 §2 and RFC 8457: at most one a mailbox. */
typedef enum lmail_special_use {
    LMAIL_USE_NONE = 0,
    LMAIL_USE_ALL,
    LMAIL_USE_ARCHIVE,
    LMAIL_USE_DRAFTS,
    LMAIL_USE_FLAGGED,
    LMAIL_USE_IMPORTANT,
    LMAIL_USE_JUNK,
    LMAIL_USE_SENT,
    LMAIL_USE_TRASH
} lmail_special_use;

/* "\Sent"; "" for NONE. A static string. */
LMAIL_API const char *lmail_special_use_name(lmail_special_use use);
/* Without case; NONE when it is unknown. */
LMAIL_API lmail_special_use lmail_special_use_parse(lmail_str name);

/* One name of the hierarchy. INBOX is always there. */
typedef struct lmail_list_row {
    lmail_str name;
    unsigned exists;       /* 0: only a parent of others, or subscribed without existing */
    unsigned has_children; /* existing ones */
    unsigned subscribed;
    lmail_special_use special_use;
    lmail_str mailbox_id; /* empty unless exists */
} lmail_list_row;

/* Return 0 to go on, anything else to end early (the call then returns OK). It must not call the
 * store. */
typedef int lmail_list_fn(void *user, const lmail_list_row *row);

typedef struct lmail_mailbox_status {
    uint32_t messages, recent, unseen, deleted;
    uint32_t uidvalidity;
    lmail_uid uidnext;
    lmail_modseq highest_modseq;
    uint64_t octets; /* sum of RFC822.SIZE; computed only when asked for */
    uint32_t mailbox_id_len;
    char mailbox_id[64];
} lmail_mailbox_status;

/* mailbox_open flags. */
#define LMAIL_OPEN_READ_ONLY 1u /* EXAMINE: \Recent is told, not claimed; changes are refused */
#define LMAIL_OPEN_NO_RECENT 2u /* \Recent is neither told nor claimed (IMAP4rev2) */

/* What refresh hands out. */
typedef struct lmail_mailbox_view {
    const lmail_snapshot *snapshot; /* a reference of the caller's own */
    /* \Recent, RFC 3501 §2.3.2: messages first..last have become this handle's since the last call
     * (0: none). */
    lmail_uid recent_first, recent_last;
} lmail_mailbox_view;

/* refresh flags.
 *   CACHED   only what this process knows already: no disk, no waiting; PENDING when another thread
 *            is at it
 *   SCAN     look for changes by other programs even if nothing suggests any */
#define LMAIL_REFRESH_CACHED 1u
#define LMAIL_REFRESH_SCAN 2u

typedef enum lmail_store_mode {
    LMAIL_STORE_ADD = 1,
    LMAIL_STORE_REMOVE,
    LMAIL_STORE_REPLACE /* system flags and keywords become exactly these */
} lmail_store_mode;

typedef struct lmail_set_flags_args {
    size_t size;
    lmail_uid_set uids;
    lmail_store_mode mode;
    lmail_flags flags;         /* system flags; others are ignored */
    const lmail_str *keywords; /* names, without the system flags */
    size_t keyword_count;
    lmail_modseq unchanged_since; /* RFC 7162 §3.1.3; UINT64_MAX: no condition */
} lmail_set_flags_args;
#define LMAIL_SET_FLAGS_ARGS_INIT                                                                  \
    {                                                                                              \
        sizeof(lmail_set_flags_args), {NULL, 0}, LMAIL_STORE_ADD, 0, NULL, 0, UINT64_MAX           \
    }

typedef struct lmail_set_flags_result {
    lmail_uid_list changed; /* messages whose flags are now others; refresh shows them */
    lmail_uid_list failed;  /* messages whose modseq was above unchanged_since */
    lmail_modseq modseq;    /* of the change; 0 when there was none */
} lmail_set_flags_result;

typedef struct lmail_uid_pair {
    lmail_uid from, to;
} lmail_uid_pair;

/* The UID mapping of COPY and MOVE, RFC 4315 §3. Zeroed by the callee, freed with
 * lmail_copy_result_free also after an error. */
typedef struct lmail_copy_result {
    uint32_t uidvalidity;  /* of the target */
    lmail_uid_pair *pairs; /* rising by from */
    size_t count;
    lmail_uid_list vanished; /* move: UIDs gone from the source */
    lmail_modseq modseq;     /* move: of their going */
} lmail_copy_result;
LMAIL_API void lmail_copy_result_free(lmail_copy_result *result);

/* Which of the messages named does expunge take? */
typedef enum lmail_expunge_mode {
    LMAIL_EXPUNGE_DELETED = 1, /* those with \Deleted (EXPUNGE, UID EXPUNGE) */
    LMAIL_EXPUNGE_ALL          /* all of them, whatever their flags (POP3, REPLACE) */
} lmail_expunge_mode;

/* Items of a row, a bit set. */
#define LMAIL_ROW_SIZE 1u
#define LMAIL_ROW_DATE 2u
#define LMAIL_ROW_ENVELOPE 4u
#define LMAIL_ROW_BODYSTRUCTURE 8u
#define LMAIL_ROW_PARTS 16u
#define LMAIL_ROW_PREVIEW 32u
#define LMAIL_ROW_EMAILID 64u
#define LMAIL_ROW_THREADID 128u
#define LMAIL_ROW_UIDL 256u
#define LMAIL_ROW_SAVEDATE 512u
#define LMAIL_ROW_FIELDS 1024u

/* What the store keeps of one message beside its octets. Only what was asked for is set. Flags come
 * from the snapshot. */
typedef struct lmail_mailbox_row {
    lmail_uid uid;
    uint64_t size;           /* RFC822.SIZE */
    int64_t date;            /* internal date, seconds since 1970 UTC */
    int date_zone;           /* minutes east of UTC */
    int64_t save_date;       /* RFC 8514, seconds since 1970 UTC */
    lmail_str envelope;      /* ready to send, parentheses included; as libmail/mime.h makes it */
    lmail_str bodystructure; /* ready to send, extension data included */
    lmail_str parts;         /* offsets of the parts, the blob of libmail/mime.h */
    lmail_str preview;       /* UTF-8, RFC 8970 */
    lmail_str email_id;      /* RFC 8474 */
    lmail_str thread_id;     /* RFC 8474; empty when the store has none */
    lmail_str uidl;          /* RFC 1939 §7: 1 to 70 octets of 0x21..0x7E, unique in the mailbox */
    lmail_str fields;        /* decoded header fields, a blob for lmail_fields_read */
} lmail_mailbox_row;

/* The decoded fields of a row: every member of the summary from `from` on; the texts are slices of
 * the blob. OK or ERR_CORRUPT (out is then zeroed). */
LMAIL_API lmail_status lmail_fields_read(lmail_str blob, lmail_mime_summary *out);

/* As lmail_list_fn. */
typedef int lmail_row_fn(void *user, const lmail_mailbox_row *row);

typedef struct lmail_fetch_args {
    size_t size;
    lmail_uid_set uids;
    unsigned items;  /* LMAIL_ROW_* */
    size_t max_rows; /* end the slice after so many; 0: no limit */
} lmail_fetch_args;
#define LMAIL_FETCH_ARGS_INIT                                                                      \
    {                                                                                              \
        sizeof(lmail_fetch_args), {NULL, 0}, 0, 0                                                  \
    }

/* read flags. */
#define LMAIL_READ_NOWAIT 1u /* only what needs no disk; else PENDING: ask again from a worker */

/* ---- Delivery -------------------------------------------------------------------------------- */

typedef struct lmail_delivery_args {
    size_t size;
    lmail_store_account *account; /* where the octets are likely to go, or NULL */
    unsigned atomic;              /* commit: all targets or none (RFC 3502); else each for itself */
} lmail_delivery_args;
#define LMAIL_DELIVERY_ARGS_INIT                                                                   \
    {                                                                                              \
        sizeof(lmail_delivery_args), NULL, 0                                                       \
    }

typedef struct lmail_delivery_message {
    size_t size;
    uint64_t size_hint; /* octets that will come, 0: unknown */
    unsigned has_date;  /* 0: date is the time of commit */
    int64_t date;       /* internal date */
    int date_zone;      /* minutes east of UTC */
    unsigned exact;     /* 1: store octet for octet (literal8); 0: a bare LF is stored as CRLF */
} lmail_delivery_message;
#define LMAIL_DELIVERY_MESSAGE_INIT                                                                \
    {                                                                                              \
        sizeof(lmail_delivery_message), 0, 0, 0, 0, 0                                              \
    }

/* One mailbox that shall have one of the messages. The host fills the first half. */
typedef struct lmail_delivery_target {
    size_t message; /* number of the message in the delivery, 0-based */
    lmail_store_account *account;
    lmail_str mailbox;
    lmail_flags flags; /* system flags */
    const lmail_str *keywords;
    size_t keyword_count;
    unsigned create; /* make the mailbox if it is not there */
    uint64_t max_octets,
        max_messages; /* of its account, with this message: else ERR_QUOTA; 0: any */

    lmail_status status;  /* out: OK, or why not */
    uint32_t uidvalidity; /* out */
    lmail_uid uid;        /* out; 0: stored, but its UID is not known yet */
} lmail_delivery_target;

/* What an account holds, in all its mailboxes. Octets of a message that only a scan has seen count once it
 * has been looked at. */
typedef struct lmail_store_usage {
    uint64_t octets, messages;
} lmail_store_usage;

/* ---- Changes by other programs --------------------------------------------------------------- */

/* watch_look flags. */
#define LMAIL_LOOK_ALL 1u /* also at mailboxes whose changes nothing reports */

/* Told of an account in which a mailbox has changed; its counter (change notice) was raised. It must
 * not call the store. */
typedef void lmail_watch_fn(void *user, lmail_str account);

/* ---- The table ------------------------------------------------------------------------------- */

/* lmail_store.capabilities */
#define LMAIL_STORE_KEEPS_FIELDS 1u /* rows carry envelope, bodystructure, parts, fields */

typedef struct lmail_store {
    size_t size;
    void *ctx;
    const char *name;      /* "maildir" */
    unsigned capabilities; /* LMAIL_STORE_KEEPS_*, a bit set */

    /* ---- accounts */

    lmail_status (*account_open)(void *ctx, const lmail_store_account_args *args,
                                 lmail_store_account **out);
    /* Its mailboxes must be closed before. */
    void (*account_close)(lmail_store_account *a);

    /* Do work that was put off (file names that follow flags, unlinking): about `max` files.
     * OK: nothing is left. MORE: call again when idle. */
    lmail_status (*tidy)(lmail_store_account *a, size_t max);

    /* ---- mailboxes by name */

    /* Every name: those that exist, parents that do not, subscriptions to none. INBOX first, then
     * rising by octets. */
    lmail_status (*list)(lmail_store_account *a, lmail_list_fn *fn, void *user);

    /* ERR_EXISTS; ERR_ARG name not allowed; ERR_LIMIT name too long. Parents are not made: list
     * shows them as not existing. */
    lmail_status (*create)(lmail_store_account *a, lmail_str name, lmail_special_use use);

    /* ERR_DENIED for INBOX; ERR_NOTFOUND. Children stay. The subscription stays (RFC 9051
     * §6.3.8). */
    lmail_status (*remove)(lmail_store_account *a, lmail_str name);

    /* With all children; to INBOX: ERR_EXISTS. From INBOX: its messages move into the new mailbox
     * and INBOX stays, empty; its children stay (RFC 9051 §6.3.6). A name is renamed also when only
     * its children exist. Subscriptions stay. UIDVALIDITY and UIDs stay with the messages, except
     * from INBOX. ERR_EXISTS `to` or one of its new children exists; ERR_ARG when `to` lies below
     * `from`. */
    lmail_status (*rename)(lmail_store_account *a, lmail_str from, lmail_str to);

    /* on 1 or 0. The mailbox need not exist. */
    lmail_status (*subscribe)(lmail_store_account *a, lmail_str name, int on);

    /*   want_octets   compute out->octets too; may read messages that were never looked at */
    lmail_status (*status)(lmail_store_account *a, lmail_str name, int want_octets,
                           lmail_mailbox_status *out);

    /* ---- an open mailbox */

    lmail_status (*mailbox_open)(lmail_store_account *a, lmail_str name, unsigned flags,
                                 lmail_store_mailbox **out);
    void (*mailbox_close)(lmail_store_mailbox *m);

    /* The newest state. The first call after open is cheap: open has read the mailbox already.
     * What changed since an earlier snapshot: lmail_snapshot_diff. On an error *out is zeroed. */
    lmail_status (*refresh)(lmail_store_mailbox *m, unsigned flags, lmail_mailbox_view *out);

    /* UIDs expunged after modseq `since` and below uidnext (QRESYNC, RFC 7162 §3.2.5.1). May name
     * UIDs expunged earlier. Zeroes and fills *out. */
    lmail_status (*vanished_since)(lmail_store_mailbox *m, lmail_modseq since, lmail_uid_list *out);

    /* UIDs that do not exist are passed over. Keywords are made when missing (not by REMOVE).
     * ERR_LIMIT: the mailbox has LMAIL_MAX_KEYWORDS; nothing was changed then. ERR_ARG: a keyword
     * is no atom. ERR_DENIED: opened read-only. */
    lmail_status (*set_flags)(lmail_store_mailbox *m, const lmail_set_flags_args *args,
                              lmail_set_flags_result *out);

    /* Every UID in `uids` that exists and that the mode takes; uids NULL: the whole mailbox.
     * ERR_DENIED: opened read-only.
     *   vanished   out: UIDs that are gone by this call
     *   modseq     out, may be NULL: of their going, 0 when there was none */
    lmail_status (*expunge)(lmail_store_mailbox *m, const lmail_uid_set *uids,
                            lmail_expunge_mode mode, lmail_uid_list *vanished,
                            lmail_modseq *modseq);

    /* To a mailbox of `to` (may be another account of the same store). All or nothing, flags,
     * keywords and internal date kept, durable when it returns. ERR_NOTFOUND: no such target
     * (TRYCREATE). move: additionally takes them out of the source; within one account both at
     * once, else the copy first. ERR_DENIED: move out of a read-only mailbox. */
    lmail_status (*copy)(lmail_store_mailbox *m, lmail_uid_set uids, lmail_store_account *to,
                         lmail_str name, lmail_copy_result *out);
    lmail_status (*move)(lmail_store_mailbox *m, lmail_uid_set uids, lmail_store_account *to,
                         lmail_str name, lmail_copy_result *out);

    /* ---- messages */

    /* Rows rising by UID, messages that are gone left out. Nothing is held when it returns: a
     * client that reads slowly holds up nobody.
     *   next   out: 0 when the set is done, else the UID to go on from: call again with the UIDs
     *          from there. A row function that ended early has had the row before it. */
    lmail_status (*fetch)(lmail_store_mailbox *m, const lmail_fetch_args *args, lmail_row_fn *fn,
                          void *user, lmail_uid *next);

    /* Octets offset.. of the message into buf[0..cap).
     *   got    out: how many; less than cap only at the end of the message, or with NOWAIT
     * Returns OK; ERR_NOTFOUND when the message is gone; PENDING with LMAIL_READ_NOWAIT. */
    lmail_status (*read)(lmail_store_mailbox *m, lmail_uid uid, uint64_t offset, char *buf,
                         size_t cap, unsigned flags, size_t *got);

    /* UIDs of the snapshot that match. Zeroes and fills *out.
     *   recent   what LMAIL_FLAG_RECENT means in the tree: the session's own set */
    lmail_status (*search)(lmail_store_mailbox *m, const lmail_snapshot *snapshot,
                           const lmail_search *tree, lmail_uid_set recent, lmail_uid_list *out);

    /* ---- delivery: octets come in once and go to any number of mailboxes
     *
     *     begin; for each message { message; write ...; end }; commit once; free
     *
     * Nothing is visible before commit. One call at a time per delivery; the account handles of the
     * targets are used only during commit. */

    lmail_status (*delivery_begin)(void *ctx, const lmail_delivery_args *args,
                                   lmail_delivery **out);

    /* Start the next message. ERR_STATE: the one before has no end yet. */
    lmail_status (*delivery_message)(lmail_delivery *d, const lmail_delivery_message *args);
    lmail_status (*delivery_write)(lmail_delivery *d, lmail_str octets);
    /*   octets   out, may be NULL: its size */
    lmail_status (*delivery_end)(lmail_delivery *d, uint64_t *octets);

    /* Read back a message that has ended (a filter, a relay). As read. */
    lmail_status (*delivery_read)(lmail_delivery *d, size_t message, uint64_t offset, char *buf,
                                  size_t cap, size_t *got);

    /* Give the spool file of a message that has ended a further name, outside the store (the
     * queue's data file). Not synced here: the sync of commit covers it when it comes after; sync 1
     * does it at once. ERR_EXISTS; ERR_UNSUPPORTED (no files, or another file system). */
    lmail_status (*delivery_link)(lmail_delivery *d, size_t message, const char *path, int sync);

    /* Link into every mailbox, sync once, write index rows. When it returns, each target with
     * status OK is durable. Each target has its own status; the call returns OK when all are OK,
     * else the first that is not. With args.atomic one failure takes all back. ERR_NOTFOUND no such
     * mailbox; ERR_FULL; ERR_LIMIT keywords; ERR_QUOTA. */
    lmail_status (*delivery_commit)(lmail_delivery *d, lmail_delivery_target *targets,
                                    size_t count);

    /* Take back what the last commit did for the targets with status OK (same array). */
    lmail_status (*delivery_undo)(lmail_delivery *d, lmail_delivery_target *targets, size_t count);

    /* Ends it, committed or not. NULL is allowed. */
    void (*delivery_free)(lmail_delivery *d);

    /* ---- end */

    /* Accounts must be closed before. Frees the table too when the store made it. */
    void (*close)(struct lmail_store *store);

    /* The handle is likely to be left alone for a while: give back what reading has kept (an open
     * file, names). NULL: nothing to give back. */
    void (*rest)(lmail_store_mailbox *m);

    /* ---- changes by other programs; all three NULL: none writes here */

    /* Somebody waits at this mailbox: look out for its changes until the handle is closed. Handles
     * on one mailbox share one watch; a further call does nothing. What changed before the call is
     * not reported: refresh after it. OK, or ERR_NOMEM: nothing is reported. */
    lmail_status (*watch)(lmail_store_mailbox *m);

    /* A descriptor that becomes readable when a watched mailbox may have changed: then call
     * watch_look. As long as the store; asked for by one thread. -1: there is none here. */
    int (*watch_fd)(void *ctx);

    /* Look at the watched mailboxes that may have changed and take in what did, once for all handles
     * and whoever else shares the index. One call at a time, on a worker. A step of the library's
     * own costs no reading of the mailbox. For a mailbox that no descriptor reports - past
     * max_watches, or where the system has no such thing - call it with LOOK_ALL every few seconds.
     * Returns OK: nothing is left; MORE: some mailboxes are, call again; PENDING: some are changing
     * at this moment, call again in a tenth of a second. */
    lmail_status (*watch_look)(void *ctx, unsigned flags, lmail_watch_fn *fn, void *user);

    /* One session alone has the account's maildrop, of all processes (RFC 1939 §4): held until the
     * handle is closed or the process ends, however it ends. Other handles are not hindered in
     * anything else. ERR_BUSY: another has it. NULL: no other process has this store. */
    lmail_status (*account_lock)(lmail_store_account *a);

    /* What the account holds; costs nothing that grows with it (RFC 9208 STORAGE and MESSAGE). */
    lmail_status (*usage)(lmail_store_account *a, lmail_store_usage *out);
} lmail_store;

/* ---- Change notice --------------------------------------------------------------------------- */

/* Tells all processes that an account changed. The truth is a table of 65,536 counters in the run
 * directory, mapped by every process; a datagram to the others only wakes them, and may be lost.
 * A reader keeps the counter's last value and compares one word. */
typedef struct lmail_notice lmail_notice;

#define LMAIL_NOTICE_SLOTS 65536u

/*   run_dir   a directory that the processes share; NULL: this process alone, no files
 * Returns OK, ERR_NOMEM, ERR_IO. */
LMAIL_API lmail_status lmail_notice_open(const char *run_dir, lmail_notice **out);
LMAIL_API void lmail_notice_close(lmail_notice *n);

/* The account's slot; two accounts may share one. */
LMAIL_API unsigned lmail_notice_slot(lmail_str account);
/* The slot's counter. Any thread. */
LMAIL_API uint32_t lmail_notice_value(const lmail_notice *n, unsigned slot);
/* Raise it and wake the others. Stores do this after each commit. Any thread. */
LMAIL_API void lmail_notice_raise(lmail_notice *n, unsigned slot);

/* A descriptor that becomes readable when another process raised a counter; -1 without run_dir.
 * It is never readable by this process's own raises. */
LMAIL_API int lmail_notice_fd(const lmail_notice *n);
/* Take one wake off it: the slot in *slot. OK, or END when there is none. Never waits. */
LMAIL_API lmail_status lmail_notice_take(lmail_notice *n, unsigned *slot);

/* ---- The two stores -------------------------------------------------------------------------- */

typedef struct lmail_store_memory_config {
    size_t size;
    const lmail_env *env; /* fold, nfc, charsets, clock; NULL: ASCII alone. Outlives the store */
    lmail_notice *notice; /* or NULL */
} lmail_store_memory_config;
#define LMAIL_STORE_MEMORY_CONFIG_INIT                                                             \
    {                                                                                              \
        sizeof(lmail_store_memory_config), NULL, NULL                                              \
    }

/* An empty store. config may be NULL. Returns OK, ERR_NOMEM, ERR_SIZE. */
LMAIL_API lmail_status lmail_store_memory_new(const lmail_store_memory_config *config,
                                              lmail_store **out);

typedef struct lmail_store_maildir_config {
    size_t size;
    const lmail_env *env;  /* as above */
    lmail_notice *notice;  /* or NULL */
    const char *root;      /* accounts without a location lie in ROOT/NAME; NULL: location needed */
    const char *spool_dir; /* for messages that come in, on the mail's file system; NULL: the
                            * account's own tmp directory */
    const char *host_name; /* for file names; NULL: "localhost" */
    unsigned max_open;     /* accounts whose index is open at once; 0: 256 */
    uint64_t reserve;      /* octets that deliveries leave free; 0: 32 MiB; UINT64_MAX: none */
    unsigned file_mode;    /* of files, 0: 0600; directories get the x bits for each r */
    unsigned scan_seconds; /* full scan at open when the last is older; 0: 600 */
    const char *boot_id;   /* names this run of the machine; NULL: the kernel's boot id. When it is
                            * not the one an index was written under, the machine may have stopped
                            * uncleanly */
    unsigned no_sync;      /* for tests and benchmarks: never wait for the disk */
    unsigned max_watches;  /* mailboxes whose changes the system reports (inotify: two directories
                            * each); 0: 8192; UINT_MAX: none */
} lmail_store_maildir_config;
#define LMAIL_STORE_MAILDIR_CONFIG_INIT                                                            \
    {                                                                                              \
        sizeof(lmail_store_maildir_config), NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, 0   \
    }

/* Maildir++ with mailbox names as Dovecot and Courier write them, system flags in file names and
 * keywords as in Dovecot's dovecot-keywords; other Maildir programs may read and write beside it.
 * In each account's directory stand libmail.index (SQLite), in each mailbox libmail-mailbox (text).
 * Strings of the configuration are copied.
 * Returns OK, ERR_NOMEM, ERR_ARG, ERR_IO (root or spool_dir cannot be used). */
LMAIL_API lmail_status lmail_store_maildir_new(const lmail_store_maildir_config *config,
                                               lmail_store **out);

#ifdef __cplusplus
}
#endif

#endif
