/* libmail/host/drop.h - mail that programs of this machine leave for smtpd to pick up.
 *
 * sendmail(1) runs as the user who sends, with the drop's group for the two moments in which it makes
 * a name there. smtpd, whose the directory is, picks up what is whole:
 *
 *     DIRECTORY            its owner's (smtpd's user) and its group's, mode 1730
 *     DIRECTORY/NAME.new   being written; removed when it has become old
 *     DIRECTORY/NAME.mail  whole; its owner is the user who sends
 *     DIRECTORY/NAME.bad   put aside: it never goes out, the administrator may look at it
 *     DIRECTORY/control    a socket, where smtpd answers questions about the queue
 *
 * A drop is one file: lines that end with LF, an empty line, the message with CRLF.
 *
 *     libmail-drop-1 00000000000000001234 2  octets of the whole file, 0 until it is whole; and
 *                                            lmail_smtp_body_type
 *     Ssender@example.org                    reverse-path without brackets; "S" alone is <>
 *     F                                      the user named the sender himself (-f)
 *     Ruser@example.net                      a recipient; at least one
 *     N6                                     LMAIL_SMTP_NOTIFY_* of all recipients
 *     T1                                     lmail_smtp_ret
 *     Eenvid                                 ENVID, decoded
 *
 * S comes first, the rest in any order, R in the order in which they are tried. Values have no
 * control octets. Nothing in a file says who sends: that is its owner, as the system tells it.
 *
 * Functions are synchronous and wait for the disk. Any thread; one drop belongs to one thread at a
 * time. */
#ifndef LIBMAIL_HOST_DROP_H
#define LIBMAIL_HOST_DROP_H

#include <libmail/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LMAIL_DROP_PATH 512  /* octets of a path below the directory, its end too */
#define LMAIL_DROP_LINE 2000 /* octets of a line's value */
#define LMAIL_DROP_RECIPIENTS 65536
#define LMAIL_DROP_ENVELOPE (16u * 1024 * 1024)

typedef struct lmail_drop_message {
    size_t size;
    lmail_str sender;
    unsigned sender_given;
    unsigned notify, ret;
    unsigned body; /* LMAIL_SMTP_BODY_NONE: 8BITMIME when an octet above 127 is written */
    unsigned has_envid;
    lmail_str envid;
    const lmail_str *recipients;
    size_t recipient_count;
} lmail_drop_message;

#define LMAIL_DROP_MESSAGE_INIT                                                                    \
    {                                                                                              \
        sizeof(lmail_drop_message), {NULL, 0}, 0, 0, 0, 0, 0, {NULL, 0}, NULL, 0                   \
    }
LMAIL_API void lmail_drop_message_init(lmail_drop_message *message);

/* ---- Leaving mail ---------------------------------------------------------------------------- */

typedef struct lmail_drop lmail_drop;

/* Begin a drop, which nobody picks up yet.
 *   message   borrowed for the call
 * Returns: OK, ERR_SIZE, ERR_ARG (no recipient, a control octet, a line too long, too many),
 * ERR_NOTFOUND (no such directory), ERR_DENIED, ERR_FULL, ERR_IO, ERR_NOMEM. */
LMAIL_API lmail_status lmail_drop_begin(lmail_drop **out, const char *directory,
                                        const lmail_drop_message *message);
/* Octets of the message, CRLF already. Returns: OK, ERR_FULL, ERR_IO. */
LMAIL_API lmail_status lmail_drop_write(lmail_drop *d, lmail_str octets);
/* All is written: wait for the disk. ERR_FULL, ERR_IO. */
LMAIL_API lmail_status lmail_drop_sync(lmail_drop *d);
/* Give it its name: when this returns OK it is durable and goes out, whatever happens. d is freed in
 * any case; after an error nothing is left. As lmail_drop_begin. */
LMAIL_API lmail_status lmail_drop_end(lmail_drop *d);
/* Nothing is left of it. NULL is allowed. */
LMAIL_API void lmail_drop_cancel(lmail_drop *d);
/* Its file while it is being written, terminated, for who has to end at once. */
LMAIL_API const char *lmail_drop_path(const lmail_drop *d);

/* ---- Picking it up --------------------------------------------------------------------------- */

/* Make the directory if it is missing, and see that it is as it should be.
 *   uid, gid   its owner and group; gid UINT32_MAX: there is no group, the owner is alone with it
 *   error      filled with a terminated text for people when it fails (may be NULL, cap 0)
 * Returns: OK, ERR_DENIED (somebody else's, or others may write there), ERR_IO, ERR_NOTFOUND. */
LMAIL_API lmail_status lmail_drop_prepare(const char *directory, uint32_t uid, uint32_t gid,
                                          char *error, size_t cap);

/* Names of whole drops, the oldest first, at most max; those that were left half-written a day ago
 * are removed. Return 0 to go on. Returns: OK, ERR_NOTFOUND, ERR_DENIED, ERR_IO, ERR_NOMEM. */
typedef int lmail_drop_fn(void *user, const char *name);
LMAIL_API lmail_status lmail_drop_list(const char *directory, size_t max, lmail_drop_fn *fn,
                                       void *user);

typedef struct lmail_drop_file lmail_drop_file;

typedef struct lmail_drop_facts {
    lmail_drop_message message; /* valid until close */
    uint32_t uid;               /* who sends */
    uint64_t octets;            /* of the message */
    int64_t arrived;            /* milliseconds since 1970 UTC */
} lmail_drop_facts;

/* Open a whole drop and read its envelope. Never waits for anything but the disk, whatever has that
 * name.
 *   max   octets of a message; 0: any
 * Returns: OK; ERR_CORRUPT (not such a file, or damaged), ERR_DENIED (no plain file, or one with
 * several names), ERR_LIMIT (longer than max): these three never become better; ERR_NOTFOUND,
 * ERR_IO, ERR_NOMEM. */
LMAIL_API lmail_status lmail_drop_open(lmail_drop_file **out, const char *directory,
                                       const char *name, uint64_t max, lmail_drop_facts *facts);
/* Octets offset.. of the message into buf[0..cap); *got is less than cap only at the end. ERR_IO. */
LMAIL_API lmail_status lmail_drop_read(lmail_drop_file *f, uint64_t offset, char *buf, size_t cap,
                                       size_t *got);
LMAIL_API void lmail_drop_close(lmail_drop_file *f); /* NULL is allowed */

/* Somebody else has it safe: the file goes. Or it is put aside. Returns: OK, ERR_NOTFOUND,
 * ERR_DENIED, ERR_IO. */
LMAIL_API lmail_status lmail_drop_remove(const char *directory, const char *name);
LMAIL_API lmail_status lmail_drop_put_aside(const char *directory, const char *name);

#ifdef __cplusplus
}
#endif

#endif
