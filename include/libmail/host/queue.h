/* libmail/host/queue.h - mail that waits: the durable half of the outbound queue.
 *
 * A message is one data file and its rows in an SQLite database: one row for the message, one for
 * each recipient. Everything lies in one directory:
 *
 *     DIRECTORY/queue.db      the rows (WAL: queue.db-wal and queue.db-shm beside it)
 *     DIRECTORY/data/ID       the messages, as they go out, behind a Return-Path field
 *     DIRECTORY/lock          held by every process that takes mail
 *     DIRECTORY/runner        held by the one handle that sends it
 *
 * How a message comes in:
 *
 *     1. Its octets become the file that lmail_queue_path names: by a link, synced or to be synced
 *        before it is answered for; or lmail_queue_copy writes it.
 *     2. lmail_queue_add writes the rows. When it returns OK they are on the disk; all messages
 *        that wait at that moment go into one transaction with one sync.
 *     3. A message that was added `pending` is settled when all that belongs to it is safe: until
 *        then nobody may send it, and it may be taken back as if it had never been.
 *
 * Several processes may have a queue open; each sees what the others did. Functions are synchronous
 * and wait for the disk: a server calls them from a worker thread. Any thread may call any function
 * at any time on one handle.
 *
 * Who may look at the queue is the caller's affair; directory and files are its owner's alone.
 *
 * Errors that any function may return: ERR_NOMEM, ERR_IO, ERR_BUSY (another process writes for too
 * long; try again), ERR_FULL (no space left, or less than the reserve), ERR_CORRUPT (the database
 * is damaged; see lmail_queue_open). */
#ifndef LIBMAIL_HOST_QUEUE_H
#define LIBMAIL_HOST_QUEUE_H

#include <libmail/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_queue lmail_queue;

/* ---- Names ----------------------------------------------------------------------------------- */

/* A message's number; rises with the time it came in. Its text is hexadecimal, upper case. */
#define LMAIL_QUEUE_ID_TEXT 17

/* Write the text, terminated; its length. out has LMAIL_QUEUE_ID_TEXT. */
LMAIL_API size_t lmail_queue_id_write(uint64_t id, char *out);
/* Read it, in any case. OK or ERR_SYNTAX. */
LMAIL_API lmail_status lmail_queue_id_parse(lmail_str text, uint64_t *id);

/* ---- Messages -------------------------------------------------------------------------------- */

/* Why a message does not go out. */
typedef enum lmail_queue_held {
    LMAIL_QUEUE_FREE = 0,
    LMAIL_QUEUE_HELD,       /* by the administrator */
    LMAIL_QUEUE_QUARANTINED /* by a rule */
} lmail_queue_held;

/* lmail_queue_message.flags */
enum {
    LMAIL_QUEUE_SMTPUTF8 = 1,       /* RFC 6531 §3.4: needs a server that takes it */
    LMAIL_QUEUE_SAME_ADDRESS = 2,   /* leaves from local_address */
    LMAIL_QUEUE_INTERFACE_NAME = 4, /* EHLO says the name of that address */
    LMAIL_QUEUE_RUN_ONLY = 8,       /* not before the next queue run */
    LMAIL_QUEUE_OWN = 16,    /* of who may send through this host: its sender is masqueraded */
    LMAIL_QUEUE_REWRITE = 32 /* and so are its header's addresses still to be */
};

typedef enum lmail_queue_state {
    LMAIL_QUEUE_WAITING = 0,
    LMAIL_QUEUE_DELIVERED, /* these four as RFC 3464 §2.3.3 names them */
    LMAIL_QUEUE_RELAYED,
    LMAIL_QUEUE_EXPANDED,
    LMAIL_QUEUE_FAILED
} lmail_queue_state;

/* "waiting", "delivered", ...; "?" for a value not in the list. A static string. */
LMAIL_API const char *lmail_queue_state_name(lmail_queue_state state);

/* One recipient. Times are milliseconds since 1970 UTC. */
typedef struct lmail_queue_recipient {
    lmail_str address; /* without brackets */
    lmail_str route; /* "mailer:host" of a table, "local:ACCOUNT" a mailbox of ours, "local:ACCOUNT
                        * DETAIL" that of ACCOUNT+DETAIL; empty: where
                        * the address leads */
    lmail_str destination; /* what attempts are counted against: a domain or host in lower case */
    unsigned notify;       /* LMAIL_SMTP_NOTIFY_*; 0: not said */
    unsigned has_orcpt;
    lmail_str orcpt; /* "rfc822;user@example.org", the address decoded (RFC 3461 §4.2) */

    /* How it fares. */
    lmail_queue_state state;
    int64_t next;       /* not tried before */
    unsigned attempts;  /* so far */
    int64_t last;       /* time of the last one, 0: never */
    int64_t warned;     /* when the sender was told of the delay, 0: never */
    unsigned code;      /* of the last reply, 0: there was none */
    lmail_str enhanced; /* "4.2.2" */
    lmail_str reply;    /* its text, or what went wrong */
    lmail_str host;     /* who said so */
    unsigned number;    /* out: its place in the message, from 0 */
    unsigned report;    /* out: it has ended, and its sender is to be told */
} lmail_queue_recipient;

/* A message with its recipients. The library hands out the same struct that a host fills. */
typedef struct lmail_queue_message {
    size_t size;
    uint64_t id;
    lmail_str sender; /* reverse-path without brackets; empty for <> */
    unsigned flags;   /* LMAIL_QUEUE_SMTPUTF8 ... */
    unsigned body;    /* lmail_smtp_body_type */
    unsigned ret;     /* lmail_smtp_ret */
    unsigned has_envid, has_auth;
    lmail_str envid;         /* decoded, RFC 3461 §4.4 */
    lmail_str auth;          /* AUTH=, decoded; empty for <> (RFC 4954 §5) */
    lmail_str submitter;     /* who had logged in; empty: nobody */
    lmail_str client;        /* address it came from; empty: this machine */
    lmail_str local_address; /* of the machine, where it came in */
    uint64_t octets;         /* of the data file */
    uint32_t header;         /* octets of the data file in front of what goes out: Return-Path */
    int64_t arrived;         /* milliseconds since 1970 UTC */
    int priority;            /* the higher goes first */
    lmail_queue_held held;
    lmail_str reason; /* why it is held */
    unsigned pending; /* 1: not answered for yet */
    unsigned waiting; /* out: recipients that wait; add does not read it */
    const lmail_queue_recipient *recipients;
    size_t recipient_count;
} lmail_queue_message;

#define LMAIL_QUEUE_MESSAGE_INIT                                                                   \
    {                                                                                              \
        sizeof(lmail_queue_message), 0, {NULL, 0}, 0, 0, 0, 0, 0, {NULL, 0}, {NULL, 0}, {NULL, 0}, \
            {NULL, 0}, {NULL, 0}, 0, 0, 0, 0, LMAIL_QUEUE_FREE, {NULL, 0}, 0, 0, NULL, 0           \
    }
LMAIL_API void lmail_queue_message_init(lmail_queue_message *message);

/* ---- Opening --------------------------------------------------------------------------------- */

/* What was found and mended when a queue was opened. Borrowed for the call. */
typedef struct lmail_queue_fault {
    enum lmail_queue_fault_kind {
        LMAIL_QUEUE_UNANSWERED = 1, /* rows without a whole data file: dropped, the message had not
                                     * been answered for */
        LMAIL_QUEUE_DEBRIS,         /* data files without rows, old: removed */
        LMAIL_QUEUE_DAMAGED /* the database: put aside with all data files; a new one began */
    } kind;
    uint64_t count; /* messages or files */
    lmail_str path; /* DAMAGED: the directory where it all is now */
} lmail_queue_fault;

typedef struct lmail_queue_config {
    size_t size;
    const char *directory; /* copied */
    unsigned keeper;       /* 1: this process takes mail: make what is missing, and mend what is
                            * broken when no other keeper is there. 0: ERR_NOTFOUND when there is no
                            * queue, and nothing is mended */
    uint64_t reserve;      /* octets that add leaves free; 0: none */
    lmail_msec debris_age; /* data files without a row are removed when older; 0: a day */
    unsigned no_sync;      /* for tests and benchmarks: never wait for the disk */
    void (*on_fault)(void *user, const lmail_queue_fault *fault); /* during open; may be NULL */
    void *user;
} lmail_queue_config;

#define LMAIL_QUEUE_CONFIG_INIT                                                                    \
    {                                                                                              \
        sizeof(lmail_queue_config), NULL, 0, 0, 0, 0, NULL, NULL                                   \
    }
LMAIL_API void lmail_queue_config_init(lmail_queue_config *config);

/* Open a queue. A keeper that is alone compares rows and data files: a row without its file, or
 * with a shorter one, was never answered for and is dropped; a file without a row is debris.
 * A damaged database is put aside by such a keeper, together with the data files, in a directory
 * "damaged-TIME" beside them: nothing in it is ever removed by us.
 *   error   filled with a terminated text for people when it fails (may be NULL, cap 0)
 * Returns: OK, ERR_SIZE, ERR_ARG (no directory, or its path is too long), ERR_NOTFOUND, ERR_DENIED,
 * ERR_CORRUPT, ERR_UNSUPPORTED (written by a newer version). */
LMAIL_API lmail_status lmail_queue_open(lmail_queue **out, const lmail_queue_config *config,
                                        char *error, size_t cap);
/* No call may be under way. NULL is allowed. */
LMAIL_API void lmail_queue_free(lmail_queue *q);

/* ---- Data files ------------------------------------------------------------------------------ */

#define LMAIL_QUEUE_PATH 512

/* Where the data file of a message has to be, terminated. out has LMAIL_QUEUE_PATH. */
LMAIL_API void lmail_queue_path(const lmail_queue *q, uint64_t id, char *out);

/* Write the data file, synced.
 *   read   gives octets offset.. into buf[0..cap), *got < cap only at the end. An error it returns
 *          ends the copy
 * Returns: OK, ERR_EXISTS, ERR_FULL, what read returned. Nothing is left after an error. */
LMAIL_API lmail_status lmail_queue_copy(lmail_queue *q, uint64_t id,
                                        lmail_status (*read)(void *ctx, uint64_t offset, char *buf,
                                                             size_t cap, size_t *got),
                                        void *ctx);

/* Wait until the data file is on the disk, octets and name. ERR_NOTFOUND. */
LMAIL_API lmail_status lmail_queue_sync(lmail_queue *q, uint64_t id);

/* Octets offset.. of the data file into buf[0..cap).
 *   got   out: how many; less than cap only at the end
 * Returns: OK, ERR_NOTFOUND. */
LMAIL_API lmail_status lmail_queue_read(lmail_queue *q, uint64_t id, uint64_t offset, char *buf,
                                        size_t cap, size_t *got);

/* ---- Drafts ---------------------------------------------------------------------------------- */

/* A message as it goes out to somebody, where that differs from the data file: a file without a name
 * in the same place, gone with the process. One thread at a time; once it has its end, any number may
 * read. */
typedef struct lmail_queue_draft lmail_queue_draft;

LMAIL_API lmail_status lmail_queue_draft_new(lmail_queue *q, lmail_queue_draft **out);
LMAIL_API lmail_status lmail_queue_draft_write(lmail_queue_draft *d, lmail_str octets);
/* All is written. octets: its size. */
LMAIL_API lmail_status lmail_queue_draft_end(lmail_queue_draft *d, uint64_t *octets);
/* As lmail_queue_read, behind its end. */
LMAIL_API lmail_status lmail_queue_draft_read(const lmail_queue_draft *d, uint64_t offset,
                                              char *buf, size_t cap, size_t *got);
/* NULL is allowed. */
LMAIL_API void lmail_queue_draft_free(lmail_queue_draft *d);

/* ---- Changes --------------------------------------------------------------------------------- */

/* Write the rows of a message; durable when it returns OK. After an error there are none, and the
 * data file is gone too.
 * Returns: OK, ERR_SIZE, ERR_ARG (no id, no recipients), ERR_EXISTS (the id). */
LMAIL_API lmail_status lmail_queue_add(lmail_queue *q, const lmail_queue_message *message);

/* Further recipients of a message that is pending. Durable when it returns OK; ERR_NOTFOUND. */
LMAIL_API lmail_status lmail_queue_add_recipients(lmail_queue *q, uint64_t id,
                                                  const lmail_queue_recipient *recipients,
                                                  size_t count);

/* A pending message is safe in every place it has to be in, its data file synced: it may go. The
 * disk is not waited for: one that is found pending after a stop is settled then, if it is whole.
 * ERR_NOTFOUND. */
LMAIL_API lmail_status lmail_queue_settle(lmail_queue *q, uint64_t id);

/* A message that will not be answered for is taken back: the data file is gone in any case, and
 * rows that cannot be removed now, on a full disk, go behind the next change that succeeds on this
 * handle, or are dropped by the next keeper that is alone. Until then nobody sees them. */
LMAIL_API lmail_status lmail_queue_cancel(lmail_queue *q, uint64_t id);

/* Rows, then the data file; on a full disk the file first, to make room for the change. With
 * ERR_FULL the file is gone, and the rows go as those of lmail_queue_cancel. ERR_NOTFOUND. */
LMAIL_API lmail_status lmail_queue_remove(lmail_queue *q, uint64_t id);

/* Keep a message from going out, or let it go. Who holds one that is quarantined leaves it so.
 * Release makes its recipients due at once. ERR_NOTFOUND; ERR_STATE: it is so already. */
LMAIL_API lmail_status lmail_queue_hold(lmail_queue *q, uint64_t id, lmail_str reason);
LMAIL_API lmail_status lmail_queue_release(lmail_queue *q, uint64_t id);

/* ---- Going out ------------------------------------------------------------------------------- */

/* One handle sends what is in the queue, whatever number of processes have it open:
 *
 *     lmail_queue_lead(q);                              it is this one
 *     lmail_queue_destinations, lmail_queue_due         whose rows are due
 *     lmail_queue_claim(q, destination, now, 50, &b);   some of them, for us alone
 *     ... deliver ...
 *     lmail_queue_results(q, results, count);           what became of them
 *     lmail_queue_batch_free(q, b);                     the claim is given back
 *
 * A claim is memory's alone: after a stop nothing is claimed. Times are milliseconds since 1970. */

/* Become the one that sends; it lasts until free. Twice does no harm.
 * Returns: OK, ERR_BUSY (another handle is it), ERR_DENIED (not a keeper). */
LMAIL_API lmail_status lmail_queue_lead(lmail_queue *q);

/* A destination with rows that may go. */
typedef struct lmail_queue_due {
    lmail_str destination;
    int priority; /* of the most urgent row that is due */
    int64_t next; /* its time */
} lmail_queue_due;

/* Return 0 to go on, anything else to end early. Borrowed for the call, in which no function of the
 * queue may be called. */
typedef int lmail_queue_due_fn(void *user, const lmail_queue_due *due);

/* All destinations that have rows due at `now`, each once, in order of their names, from the first
 * above `after`; `max` (0: 1000) are looked at. One step of an index each, however many rows they
 * have.
 *   next   out: `after` for the next call, terminated; empty when there are no more. May not lie in
 *          `after`'s octets
 * A name above 512 octets is left out. */
#define LMAIL_QUEUE_DESTINATION 513
LMAIL_API lmail_status lmail_queue_destinations(lmail_queue *q, int64_t now, lmail_str after,
                                                size_t max, lmail_queue_due_fn *fn, void *user,
                                                char *next);

/* Up to where rows were looked at. All zero: nothing was. */
typedef struct lmail_queue_cursor {
    int64_t next;
    uint64_t message;
    unsigned number;
} lmail_queue_cursor;

/* Rows that came due since the cursor, in the order of their times; equal neighbours are told once.
 * A row whose time was set to one behind the cursor is not among them: see lmail_queue_watch.
 *   max   rows to look at, 0: 1000
 * Returns: OK (there may be more), END (that was all). */
LMAIL_API lmail_status lmail_queue_due_since(lmail_queue *q, int64_t now,
                                             lmail_queue_cursor *cursor, size_t max,
                                             lmail_queue_due_fn *fn, void *user);

/* When the next row comes due that is not due at `now`. ERR_NOTFOUND: none waits. */
LMAIL_API lmail_status lmail_queue_next(lmail_queue *q, int64_t now, int64_t *when);

/* Rows that were claimed, by message: each message has those of its recipients alone that are ours
 * now. */
typedef struct lmail_queue_batch {
    const lmail_queue_message *messages;
    size_t count;
    size_t rows;   /* in all */
    unsigned more; /* the destination has further rows that are due */
} lmail_queue_batch;

/* Claim at most `max` rows of a destination that are due, the most urgent first, then the oldest.
 * Returns: OK, ERR_NOTFOUND (none is due), ERR_STATE (lmail_queue_lead). */
LMAIL_API lmail_status lmail_queue_claim(lmail_queue *q, lmail_str destination, int64_t now,
                                         size_t max, const lmail_queue_batch **out);

/* Claim all rows of one message that wait, due or not: to return it, or to tell of its delay. One
 * that has none has an empty batch with its ended rows whose reports are due.
 * Returns: OK, ERR_NOTFOUND, ERR_BUSY (a row is claimed: later), ERR_STATE. */
LMAIL_API lmail_status lmail_queue_claim_message(lmail_queue *q, uint64_t id,
                                                 const lmail_queue_batch **out);

/* Give a claim back; rows without a result are due as before. NULL is allowed. */
LMAIL_API void lmail_queue_batch_free(lmail_queue *q, const lmail_queue_batch *batch);

/* What became of one recipient. */
typedef struct lmail_queue_result {
    uint64_t id;
    unsigned number;
    lmail_queue_state state; /* WAITING: to be tried again at `next` */
    unsigned report;         /* with an end: the sender is to be told, and until
                              * lmail_queue_reported the row stays */
    int64_t next, last;
    unsigned attempts;
    unsigned code;
    lmail_str enhanced, reply, host;
} lmail_queue_result;

/* Write them, in one transaction with whatever else waits. Those of one message stand together. A
 * message whose recipients have all ended, and none is to be reported, is removed. Rows that are
 * gone, or have ended, are passed over. Durable when it returns OK. */
LMAIL_API lmail_status lmail_queue_results(lmail_queue *q, const lmail_queue_result *results,
                                           size_t count);

/* The sender was told of the ends that were to be reported: their reports are not due any more, and
 * the message is removed when nobody waits.
 *   report   the message that tells it, added in the same transaction, as by lmail_queue_add; its
 *            data file is there. NULL: none
 * Returns: as lmail_queue_add; ERR_NOTFOUND (no such message: nothing was added). */
LMAIL_API lmail_status lmail_queue_reported(lmail_queue *q, uint64_t id,
                                            const lmail_queue_message *report);

/* The same of a delay: `when` becomes `warned` of all that wait. */
LMAIL_API lmail_status lmail_queue_warned(lmail_queue *q, uint64_t id, int64_t when,
                                          const lmail_queue_message *report);

/* Messages, not held, with an end that is to be reported, from the first above `after`. Returns the count. */
LMAIL_API lmail_status lmail_queue_unreported(lmail_queue *q, uint64_t after, uint64_t *ids,
                                              size_t max, size_t *count);

/* Messages that arrived at `before` or earlier, the oldest first, whether they were ever tried or
 * not; neither held nor pending ones.
 *   warned   1: those whose senders were told of a delay; 0: the others
 *   after    the arrival and id of the last one that was looked at; {0, 0} first. Out: the new one
 * Returns: OK, with *count below max at the end. */
typedef struct lmail_queue_age {
    int64_t arrived;
    uint64_t id;
} lmail_queue_age;
LMAIL_API lmail_status lmail_queue_aged(lmail_queue *q, int64_t before, unsigned warned,
                                        lmail_queue_age *after, uint64_t *ids, size_t max,
                                        size_t *count);

/* Make due now what waits: one message; a destination's; all. What is held stays. Many rows go in
 * several transactions.
 *   changed   out: rows; may be NULL
 * Returns: OK; ERR_NOTFOUND (id: no such message). */
LMAIL_API lmail_status lmail_queue_retry(lmail_queue *q, uint64_t id, size_t *changed);
LMAIL_API lmail_status lmail_queue_retry_destination(lmail_queue *q, lmail_str destination,
                                                     size_t *changed);
LMAIL_API lmail_status lmail_queue_retry_all(lmail_queue *q, size_t *changed);

/* Keep a message for a rule's sake, with its data, until somebody looks: `held` becomes
 * LMAIL_QUEUE_QUARANTINED. ERR_NOTFOUND. */
LMAIL_API lmail_status lmail_queue_quarantine(lmail_queue *q, uint64_t id, lmail_str reason);

/* Be told of destinations that have new work through this handle: added, settled, released, made due.
 * An empty name: look at all. Called when it is on the disk, in the thread that made the change, which
 * holds no lock; before any other thread uses the handle is the time to set it.
 * What other processes do is for lmail_queue_changed to find. */
LMAIL_API void lmail_queue_watch(lmail_queue *q,
                                 void (*fn)(void *user, lmail_str destination, int priority),
                                 void *user);

/* Did another handle or process write since this was last asked: 1 or 0. It reads a word that is in
 * memory, and waits for nobody: 0 while a change is being written. */
LMAIL_API int lmail_queue_changed(lmail_queue *q);

/* Queue runs that were asked for through any handle: the destinations of retry_destination, an empty
 * name for retry_all, each once; they are forgotten. */
LMAIL_API lmail_status lmail_queue_take_runs(lmail_queue *q, lmail_queue_due_fn *fn, void *user);

/* ---- Looking --------------------------------------------------------------------------------- */

/* Which messages. All conditions must hold. A pattern is compared without regard to the case of
 * ASCII letters, '*' stands for any octets; empty: no condition. Pending messages are not shown. */
typedef struct lmail_queue_filter {
    size_t size;
    lmail_str sender;      /* pattern; "<>" is the empty reverse-path */
    lmail_str recipient;   /* pattern; one recipient's address fits */
    lmail_str destination; /* pattern; one recipient's destination fits */
    unsigned held;         /* bits 1 << lmail_queue_held; 0: any */
    int64_t before;        /* arrived before this time, 0: any */
    int64_t since;         /* arrived at this time or later */
} lmail_queue_filter;

#define LMAIL_QUEUE_FILTER_INIT                                                                    \
    {                                                                                              \
        sizeof(lmail_queue_filter), {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, 0, 0                       \
    }
LMAIL_API void lmail_queue_filter_init(lmail_queue_filter *filter);

/* Return 0 to go on, anything else to end early (the call then returns OK). Nothing is borrowed
 * beyond the call. Any function of the queue may be called. */
typedef int lmail_queue_fn(void *user, const lmail_queue_message *message);

/* Hand out messages in order of their ids, from the first above `after`, at most `max` (0: 100).
 * No read transaction is open while fn runs or between two calls.
 *   next   out: `after` for the next call; 0 when there are no more
 * Returns: OK, ERR_SIZE. filter may be NULL. */
LMAIL_API lmail_status lmail_queue_list(lmail_queue *q, const lmail_queue_filter *filter,
                                        uint64_t after, size_t max, lmail_queue_fn *fn, void *user,
                                        uint64_t *next);

/* One message, pending or not. OK, ERR_NOTFOUND. */
LMAIL_API lmail_status lmail_queue_get(lmail_queue *q, uint64_t id, lmail_queue_fn *fn, void *user);

typedef struct lmail_queue_counts {
    uint64_t messages;    /* all but the pending ones */
    uint64_t held;        /* of them, by the administrator */
    uint64_t quarantined; /* of them, by a rule */
    uint64_t recipients;  /* that wait */
    uint64_t octets;      /* of the data files */
} lmail_queue_counts;

LMAIL_API lmail_status lmail_queue_count(lmail_queue *q, lmail_queue_counts *out);

#ifdef __cplusplus
}
#endif

#endif
