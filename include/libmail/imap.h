/* libmail/imap.h - the IMAP server: a session that turns a client's commands into questions.
 *
 * IMAP4rev1 (RFC 3501) with LITERAL+, SASL-IR, IDLE, UIDPLUS, NAMESPACE, ID, UNSELECT, ENABLE,
 * MOVE, CHILDREN, SPECIAL-USE, MULTIAPPEND and STARTTLS. The pump is that of libmail/session.h.
 *
 * How a host uses it:
 *   1. fill a lmail_imap_server_config and a lmail_imap_server_handler and make one setup of them
 *      for any number of sessions (the two structs may live on the stack, the setup copies them);
 *   2. lmail_imap_server_new for each connection, and drive the pump;
 *   3. answer the questions. None has the host write IMAP syntax.
 *
 * Questions. A callback fills *answer and returns LMAIL_OK, or keeps the ticket, returns
 * LMAIL_PENDING and calls the matching lmail_imap_server_answer_*() once, cancelled or not. *answer
 * comes as its _INIT macro makes it, which means success with nothing to tell (but for
 * lmail_auth_answer, where it means that the client is not let in). The event and all
 * it points to live until the answer. What an answer points to is read before the callback or the
 * answer function returns, but for octets (on_octets), which stay the session's until on_released.
 * A negative return is told to the client as NO [SERVERBUG]. A NULL callback means the default that
 * its comment names.
 *
 * Commands run one at a time and in order (RFC 9051 §5.5), so a host that answers a command's
 * question later will not be asked about the next command meanwhile.
 *
 * Messages are named by UID only. Which sequence number a message has, and when the client may hear
 * that one is gone, is the session's business: the host gives the UIDs when a mailbox is opened and
 * tells every later change with lmail_imap_server_notify, or in an answer's `changes` when the
 * command at hand made it.
 *
 * Mailbox names are UTF-8 here (NFC where lmail_env has it), with config.separator between levels;
 * INBOX is written so whatever the client wrote. On the wire they are modified UTF-7 (RFC 3501
 * §5.1.3).
 */
#ifndef LIBMAIL_IMAP_H
#define LIBMAIL_IMAP_H

#include <libmail/base.h>
#include <libmail/mailbox.h>
#include <libmail/sasl.h>
#include <libmail/session.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_imap_server lmail_imap_server;
typedef struct lmail_imap_server_setup lmail_imap_server_setup;

/* ---- Results --------------------------------------------------------------------------------- */

/* Response codes that a host may want. One list makes the enum and the words on the wire. */
#define LMAIL_IMAP_CODE_MAP(XX)                                                                    \
    XX(NONE, 0, "")                                                                                \
    XX(ALERT, 1, "ALERT") /* RFC 9051 §7.1 */                                                     \
    XX(TRYCREATE, 2, "TRYCREATE")                                                                  \
    XX(READ_ONLY, 3, "READ-ONLY")                                                                  \
    XX(NONEXISTENT, 4, "NONEXISTENT") /* from here RFC 5530 §3 */                                 \
    XX(ALREADYEXISTS, 5, "ALREADYEXISTS")                                                          \
    XX(UNAVAILABLE, 6, "UNAVAILABLE")                                                              \
    XX(AUTHENTICATIONFAILED, 7, "AUTHENTICATIONFAILED")                                            \
    XX(AUTHORIZATIONFAILED, 8, "AUTHORIZATIONFAILED")                                              \
    XX(EXPIRED, 9, "EXPIRED")                                                                      \
    XX(PRIVACYREQUIRED, 10, "PRIVACYREQUIRED")                                                     \
    XX(CONTACTADMIN, 11, "CONTACTADMIN")                                                           \
    XX(NOPERM, 12, "NOPERM")                                                                       \
    XX(INUSE, 13, "INUSE")                                                                         \
    XX(EXPUNGEISSUED, 14, "EXPUNGEISSUED")                                                         \
    XX(CORRUPTION, 15, "CORRUPTION")                                                               \
    XX(SERVERBUG, 16, "SERVERBUG")                                                                 \
    XX(CLIENTBUG, 17, "CLIENTBUG")                                                                 \
    XX(CANNOT, 18, "CANNOT")                                                                       \
    XX(LIMIT, 19, "LIMIT")                                                                         \
    XX(OVERQUOTA, 20, "OVERQUOTA")                                                                 \
    XX(HASCHILDREN, 21, "HASCHILDREN")   /* RFC 9051 §7.1 */                                      \
    XX(USEATTR, 22, "USEATTR")           /* RFC 6154 §6 */                                        \
    XX(UNKNOWN_CTE, 23, "UNKNOWN-CTE")   /* RFC 3516 §4.3 */                                      \
    XX(TOOBIG, 24, "TOOBIG")             /* RFC 7889, RFC 4469 §4 */                              \
    XX(UIDNOTSTICKY, 25, "UIDNOTSTICKY") /* RFC 4315 §3 */

typedef enum lmail_imap_code {
#define XX(name, value, word) LMAIL_IMAP_CODE_##name = value,
    LMAIL_IMAP_CODE_MAP(XX)
#undef XX
} lmail_imap_code;

typedef struct lmail_imap_change lmail_imap_change;

/* How a question ended. Zeroed: success, in the session's own words.
 *   no       0 OK, 1 NO
 *   code     response code; NONE with `no` may become the command's usual one
 *   text     for people: ASCII or UTF-8 without CR, LF and NUL (otherwise the session's own text is
 *            used). Empty: the session's own
 *   changes  what the command did to the selected mailbox beyond its own answer, as if notified */
typedef struct lmail_imap_result {
    unsigned no;
    lmail_imap_code code;
    lmail_str text;
    const lmail_imap_change *changes;
    size_t change_count;
} lmail_imap_result;

#define LMAIL_IMAP_RESULT_INIT                                                                     \
    {                                                                                              \
        0, LMAIL_IMAP_CODE_NONE, {NULL, 0}, NULL, 0                                                \
    }

/* The answer of a question that has nothing else to say. */
typedef struct lmail_imap_answer {
    size_t size;
    lmail_imap_result result;
} lmail_imap_answer;

#define LMAIL_IMAP_ANSWER_INIT                                                                     \
    {                                                                                              \
        sizeof(lmail_imap_answer), LMAIL_IMAP_RESULT_INIT                                          \
    }
LMAIL_API void lmail_imap_answer_init(lmail_imap_answer *answer);

/* ---- The connection -------------------------------------------------------------------------- */

typedef struct lmail_imap_connect_event {
    unsigned tls; /* 1: TLS from the first octet */
} lmail_imap_connect_event;

/*   result      no: "* BYE" with its code and text, and the session ends (RFC 3501 §7.1.5). Otherwise
 *               its text is that of the greeting; empty: config.greeting. Its code and changes are
 *               not looked at
 *   flags_on    LMAIL_IMAP_* that hold for this session beside the config's: CLEARTEXT, when the
 *               client is on this machine
 *   flags_off   and those that do not */
typedef struct lmail_imap_connect_answer {
    size_t size;
    lmail_imap_result result;
    uint64_t flags_on;
    uint64_t flags_off;
} lmail_imap_connect_answer;

#define LMAIL_IMAP_CONNECT_ANSWER_INIT                                                             \
    {                                                                                              \
        sizeof(lmail_imap_connect_answer), LMAIL_IMAP_RESULT_INIT, 0, 0                            \
    }
LMAIL_API void lmail_imap_connect_answer_init(lmail_imap_connect_answer *answer);

/* ---- Authentication -------------------------------------------------------------------------- */

/* LOGIN. Octets as sent: user names are usually UTF-8, passwords may be anything but NUL. The
 * slices are wiped after the answer. An answer of kind CONTINUE is ERR_ARG. */
typedef struct lmail_imap_login_event {
    lmail_str user;
    lmail_str password;
} lmail_imap_login_event;

/* AUTHENTICATE: libmail/sasl.h. */

/* ---- Mailboxes ------------------------------------------------------------------------------- */

/* Attributes of a listed mailbox (RFC 3501 §7.2.2, RFC 5258 §3, RFC 6154 §2). The session shows
 * those that the client's command and revision know. */
enum {
    LMAIL_IMAP_ATTR_NOSELECT = 1,
    LMAIL_IMAP_ATTR_NOINFERIORS = 2,
    LMAIL_IMAP_ATTR_MARKED = 4,
    LMAIL_IMAP_ATTR_UNMARKED = 8,
    LMAIL_IMAP_ATTR_NONEXISTENT = 16, /* only a level of hierarchy; implies NOSELECT */
    LMAIL_IMAP_ATTR_SUBSCRIBED = 32,
    LMAIL_IMAP_ATTR_REMOTE = 64,
    LMAIL_IMAP_ATTR_HASCHILDREN = 128,
    LMAIL_IMAP_ATTR_HASNOCHILDREN = 256,
    /* special use */
    LMAIL_IMAP_ATTR_ALL = 1 << 16,
    LMAIL_IMAP_ATTR_ARCHIVE = 1 << 17,
    LMAIL_IMAP_ATTR_DRAFTS = 1 << 18,
    LMAIL_IMAP_ATTR_FLAGGED = 1 << 19,
    LMAIL_IMAP_ATTR_JUNK = 1 << 20,
    LMAIL_IMAP_ATTR_SENT = 1 << 21,
    LMAIL_IMAP_ATTR_TRASH = 1 << 22,
    LMAIL_IMAP_ATTR_IMPORTANT = 1 << 23 /* RFC 8457 */
};
#define LMAIL_IMAP_ATTRS_SPECIAL 0xff0000u

typedef struct lmail_imap_namespace {
    lmail_str prefix;
    char separator; /* 0: flat */
} lmail_imap_namespace;

typedef struct lmail_imap_namespace_event {
    lmail_str identity; /* whose namespaces */
} lmail_imap_namespace_event;

/* RFC 2342. The three kinds in their order. */
typedef struct lmail_imap_namespace_answer {
    size_t size;
    lmail_imap_result result;
    const lmail_imap_namespace *personal, *other, *shared;
    size_t personal_count, other_count, shared_count;
} lmail_imap_namespace_answer;

#define LMAIL_IMAP_NAMESPACE_ANSWER_INIT                                                           \
    {                                                                                              \
        sizeof(lmail_imap_namespace_answer), LMAIL_IMAP_RESULT_INIT, NULL, NULL, NULL, 0, 0, 0     \
    }
LMAIL_API void lmail_imap_namespace_answer_init(lmail_imap_namespace_answer *answer);

/* What LIST chooses and returns (RFC 5258 §3, RFC 6154 §2). */
enum {
    LMAIL_IMAP_LIST_SUBSCRIBED = 1, /* choose: subscribed names, also of what is gone */
    LMAIL_IMAP_LIST_REMOTE = 2,
    LMAIL_IMAP_LIST_RECURSIVEMATCH = 4,
    LMAIL_IMAP_LIST_SPECIAL_USE = 8,
    LMAIL_IMAP_RETURN_SUBSCRIBED = 16, /* return: ATTR_SUBSCRIBED is known in each row */
    LMAIL_IMAP_RETURN_CHILDREN = 32,   /* HASCHILDREN or HASNOCHILDREN is known in each row */
    LMAIL_IMAP_RETURN_SPECIAL_USE = 64 /* the special use attributes are known in each row */
};

/* LIST and LSUB.
 *   patterns  with the reference in front, "*" and "%" as in RFC 3501 §6.3.8. A name is wanted
 *             when one of them matches it or a level above it (lmail_imap_list_match tells). The
 *             host may leave out the others or give all: the session matches again, and adds the
 *             levels that are no mailboxes
 *   options   LMAIL_IMAP_LIST_* and RETURN_*
 *   lsub      1: LSUB; LIST_SUBSCRIBED is then set as well
 *   max       rows that this slice may hold
 *   resume    0 in the first slice, then what the last answer said */
typedef struct lmail_imap_list_event {
    const lmail_str *patterns;
    size_t pattern_count;
    unsigned options;
    unsigned lsub;
    size_t max;
    uint64_t resume;
} lmail_imap_list_event;

typedef struct lmail_imap_list_row {
    lmail_str name;
    unsigned attributes;
} lmail_imap_list_row;

/*   rows     sorted by octets, with the separator counted as lower than any other octet, so that
 *            what is under a mailbox follows it directly
 *   resume   not 0: there are more rows, ask again with this number */
typedef struct lmail_imap_list_answer {
    size_t size;
    lmail_imap_result result;
    const lmail_imap_list_row *rows;
    size_t count;
    uint64_t resume;
} lmail_imap_list_answer;

#define LMAIL_IMAP_LIST_ANSWER_INIT                                                                \
    {                                                                                              \
        sizeof(lmail_imap_list_answer), LMAIL_IMAP_RESULT_INIT, NULL, 0, 0                         \
    }
LMAIL_API void lmail_imap_list_answer_init(lmail_imap_list_answer *answer);

/* What lmail_imap_list_match says, a bit set. */
enum {
    LMAIL_IMAP_MATCH_SELF = 1,  /* the pattern matches the name */
    LMAIL_IMAP_MATCH_ABOVE = 2, /* it matches a level above the name */
    LMAIL_IMAP_MATCH_BELOW = 4  /* it could match a name below */
};

/* Match a LIST pattern: "*" is any octets, "%" any but the separator (0: none). INBOX matches
 * without case. Time is at most proportional to pattern.len * name.len * levels, whatever the
 * pattern. Returns LMAIL_IMAP_MATCH_* bits. Source: RFC 3501 §6.3.8, RFC 5258 §3.5. */
LMAIL_API unsigned lmail_imap_list_match(lmail_str pattern, lmail_str name, char separator);

enum {
    LMAIL_IMAP_STATUS_MESSAGES = 1,
    LMAIL_IMAP_STATUS_RECENT = 2,
    LMAIL_IMAP_STATUS_UIDNEXT = 4,
    LMAIL_IMAP_STATUS_UIDVALIDITY = 8,
    LMAIL_IMAP_STATUS_UNSEEN = 16,
    LMAIL_IMAP_STATUS_DELETED = 32,
    LMAIL_IMAP_STATUS_SIZE = 64,
    LMAIL_IMAP_STATUS_HIGHESTMODSEQ = 128
};

typedef struct lmail_imap_status_event {
    lmail_str mailbox;
    unsigned items; /* LMAIL_IMAP_STATUS_*: what the client asked for */
} lmail_imap_status_event;

typedef struct lmail_imap_status_answer {
    size_t size;
    lmail_imap_result result;
    uint32_t messages, recent, uidvalidity, unseen, deleted;
    lmail_uid uidnext;
    uint64_t octets; /* sum of RFC822.SIZE */
    lmail_modseq highestmodseq;
} lmail_imap_status_answer;

#define LMAIL_IMAP_STATUS_ANSWER_INIT                                                              \
    {                                                                                              \
        sizeof(lmail_imap_status_answer), LMAIL_IMAP_RESULT_INIT, 0, 0, 0, 0, 0, 0, 0, 0           \
    }
LMAIL_API void lmail_imap_status_answer_init(lmail_imap_status_answer *answer);

typedef struct lmail_imap_create_event {
    lmail_str mailbox;    /* without a separator at its end */
    unsigned holder;      /* the client wrote one: it will create names below (RFC 3501 §6.3.3) */
    unsigned special_use; /* LMAIL_IMAP_ATTR_*, RFC 6154 §3 */
} lmail_imap_create_event;

typedef struct lmail_imap_delete_event {
    lmail_str mailbox;
} lmail_imap_delete_event;

/* RFC 3501 §6.3.5: what is below moves along; INBOX is emptied into the new name and stays. */
typedef struct lmail_imap_rename_event {
    lmail_str from;
    lmail_str to;
} lmail_imap_rename_event;

typedef struct lmail_imap_subscribe_event {
    lmail_str mailbox;
    unsigned on; /* 1 SUBSCRIBE, 0 UNSUBSCRIBE */
} lmail_imap_subscribe_event;

/* ---- The selected mailbox -------------------------------------------------------------------- */

typedef struct lmail_imap_select_event {
    lmail_str mailbox;
    unsigned read_only; /* EXAMINE */
} lmail_imap_select_event;

/*   mailbox          the host's own handle, handed back in every event about the selected mailbox
 *   uids             all messages; copied by the session
 *   recent           those this session is the first to be told of (RFC 3501 §2.3.2); copied
 *   first_unseen     lowest UID without \Seen, 0 when there is none or it is not known
 *   keywords         names of the keywords that flags of this mailbox are made of; copied
 *   permanent        flags that can be changed for good; keyword bits of `keywords` likewise
 *   new_keywords     1: clients may invent keywords ("\*")
 *   read_only        1: opened so although SELECT asked for more
 *   uid_not_sticky   1: UIDs are not kept (RFC 4315 §3) */
typedef struct lmail_imap_select_answer {
    size_t size;
    lmail_imap_result result;
    void *mailbox;
    lmail_uid_set uids;
    lmail_uid_set recent;
    uint32_t uidvalidity;
    lmail_uid uidnext;
    lmail_modseq highestmodseq; /* 0: no mod-sequences here */
    lmail_uid first_unseen;
    lmail_keywords keywords;
    lmail_flags permanent;
    unsigned new_keywords;
    unsigned read_only;
    unsigned uid_not_sticky;
} lmail_imap_select_answer;

#define LMAIL_IMAP_SELECT_ANSWER_INIT                                                              \
    {                                                                                              \
        sizeof(lmail_imap_select_answer), LMAIL_IMAP_RESULT_INIT, NULL, {NULL, 0}, {NULL, 0}, 0,   \
            0, 0, 0, {NULL, 0}, LMAIL_FLAGS_SYSTEM, 0, 0, 0                                        \
    }
LMAIL_API void lmail_imap_select_answer_init(lmail_imap_select_answer *answer);

/* CLOSE, UNSELECT, or SELECT of another mailbox: the handle will not be used again, whatever the
 * answer. A session that ends does not ask this.
 *   expunge   1: first expunge what is \Deleted, silently (CLOSE of one opened for writing) */
typedef struct lmail_imap_close_event {
    void *mailbox;
    unsigned expunge;
} lmail_imap_close_event;

/* Something happened in the selected mailbox. */
typedef enum lmail_imap_change_kind {
    LMAIL_IMAP_CHANGE_NEW = 1,  /* uids arrived (all above those known); recent: those of them that
                                 * this session is the first to be told of */
    LMAIL_IMAP_CHANGE_FLAGS,    /* flags of uids changed; the session asks on_fetch for them */
    LMAIL_IMAP_CHANGE_VANISHED, /* uids are gone */
    LMAIL_IMAP_CHANGE_KEYWORDS, /* keywords is the longer table that now holds */
    LMAIL_IMAP_CHANGE_GONE      /* it was deleted or has a new UIDVALIDITY: the session ends */
} lmail_imap_change_kind;

struct lmail_imap_change {
    size_t size;
    lmail_imap_change_kind kind;
    lmail_uid_set uids;
    lmail_uid_set recent;
    lmail_keywords keywords;
    lmail_flags permanent; /* with KEYWORDS: as in the answer to select */
    unsigned new_keywords;
};

#define LMAIL_IMAP_CHANGE_INIT                                                                     \
    {                                                                                              \
        sizeof(lmail_imap_change), LMAIL_IMAP_CHANGE_NEW, {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, 0    \
    }
LMAIL_API void lmail_imap_change_init(lmail_imap_change *change);

/* ---- Messages -------------------------------------------------------------------------------- */

/* What rows of a fetch are to hold. */
enum {
    LMAIL_IMAP_ITEM_FLAGS = 1,
    LMAIL_IMAP_ITEM_INTERNALDATE = 2,
    LMAIL_IMAP_ITEM_SIZE = 4,
    LMAIL_IMAP_ITEM_ENVELOPE = 8,
    LMAIL_IMAP_ITEM_BODYSTRUCTURE = 16,
    LMAIL_IMAP_ITEM_PARTS = 32,  /* where the parts lie */
    LMAIL_IMAP_ITEM_FIELDS = 64, /* header fields named in the event */
    LMAIL_IMAP_ITEM_MODSEQ = 128,
    LMAIL_IMAP_ITEM_EMAILID = 256, /* RFC 8474 */
    LMAIL_IMAP_ITEM_THREADID = 512,
    LMAIL_IMAP_ITEM_SAVEDATE = 1024, /* RFC 8514 */
    LMAIL_IMAP_ITEM_PREVIEW = 2048   /* RFC 8970 */
};

/* A slice of rows.
 *   uids      the messages wanted, rising, at most a few hundred; all were in the mailbox when the
 *             client last heard of it
 *   items     LMAIL_IMAP_ITEM_*: what each row must hold
 *   fields    with ITEM_FIELDS: names of header fields, upper case */
typedef struct lmail_imap_fetch_event {
    void *mailbox;
    lmail_uid_set uids;
    unsigned items;
    const lmail_str *fields;
    size_t field_count;
} lmail_imap_fetch_event;

/* A message. Members that were not asked for are not looked at. */
typedef struct lmail_imap_fetch_row {
    lmail_uid uid;
    lmail_flags flags; /* RECENT is added by the session */
    lmail_modseq modseq;
    int64_t date;            /* INTERNALDATE: seconds since 1970-01-01 00:00 UTC */
    int date_zone;           /* its offset in minutes east of UTC, -5999..5999 */
    uint64_t octets;         /* RFC822.SIZE */
    lmail_str envelope;      /* lmail_mime_summary.envelope */
    lmail_str bodystructure; /* lmail_mime_summary.bodystructure; BODY is made of it too */
    lmail_str parts;         /* lmail_mime_summary.parts */
    lmail_str fields;        /* octets of the fields asked for, in the order of the header, each
                              * with its CRLF; more fields do no harm */
    lmail_str emailid, threadid, preview;
    int64_t savedate; /* 0: unknown */
} lmail_imap_fetch_row;

/*   rows   in order of UID, a beginning of what was asked. A UID of the event that has no row
 *          although a later one has, or although `more` is 0, is gone: the command will end with
 *          NO [EXPUNGEISSUED]
 *   more   1: not all fitted; the session asks again for the UIDs above the last row (without a row
 *          this is taken as NO) */
typedef struct lmail_imap_fetch_answer {
    size_t size;
    lmail_imap_result result;
    const lmail_imap_fetch_row *rows;
    size_t count;
    unsigned more;
} lmail_imap_fetch_answer;

#define LMAIL_IMAP_FETCH_ANSWER_INIT                                                               \
    {                                                                                              \
        sizeof(lmail_imap_fetch_answer), LMAIL_IMAP_RESULT_INIT, NULL, 0, 0                        \
    }
LMAIL_API void lmail_imap_fetch_answer_init(lmail_imap_fetch_answer *answer);

/* Octets of a message in its CRLF form. */
typedef struct lmail_imap_octets_event {
    void *mailbox;
    lmail_uid uid;
    uint64_t offset;
    uint64_t want; /* at most so many, at least 1 */
} lmail_imap_octets_event;

/*   octets   1..want octets from offset on; they stay where they are until on_released(ticket).
 *            None with success: the message ends before offset. NO: the message cannot be read;
 *            when octets of it are promised to the client already, the session ends */
typedef struct lmail_imap_octets_answer {
    size_t size;
    lmail_imap_result result;
    lmail_str octets;
} lmail_imap_octets_answer;

#define LMAIL_IMAP_OCTETS_ANSWER_INIT                                                              \
    {                                                                                              \
        sizeof(lmail_imap_octets_answer), LMAIL_IMAP_RESULT_INIT,                                  \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
LMAIL_API void lmail_imap_octets_answer_init(lmail_imap_octets_answer *answer);

typedef enum lmail_imap_store_mode {
    LMAIL_IMAP_STORE_REPLACE = 1, /* FLAGS */
    LMAIL_IMAP_STORE_ADD,         /* +FLAGS */
    LMAIL_IMAP_STORE_REMOVE       /* -FLAGS */
} lmail_imap_store_mode;

/* Change flags.
 *   flags       system flags, and bits of keywords that the mailbox's table has already
 *   keywords    names that the table does not have yet
 *   unchanged   0, or: leave messages alone whose modseq is above this (RFC 7162 §3.1.3) */
typedef struct lmail_imap_store_event {
    void *mailbox;
    lmail_uid_set uids;
    lmail_imap_store_mode mode;
    lmail_flags flags;
    lmail_keywords keywords;
    lmail_modseq unchanged;
} lmail_imap_store_event;

/*   failed    messages left alone because of `unchanged`
 *   missing   messages that are gone
 * The session asks on_fetch for the flags that now hold, if the client is to be told. New keywords
 * come as a change of kind KEYWORDS in result.changes. */
typedef struct lmail_imap_store_answer {
    size_t size;
    lmail_imap_result result;
    lmail_uid_set failed;
    lmail_uid_set missing;
} lmail_imap_store_answer;

#define LMAIL_IMAP_STORE_ANSWER_INIT                                                               \
    {                                                                                              \
        sizeof(lmail_imap_store_answer), LMAIL_IMAP_RESULT_INIT, {NULL, 0},                        \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
LMAIL_API void lmail_imap_store_answer_init(lmail_imap_store_answer *answer);

/* Search among uids. The criteria (libmail/mailbox.h) hold no RECENT: the session has made UIDs of
 * it. */
typedef struct lmail_imap_search_event {
    void *mailbox;
    lmail_uid_set uids;
    const lmail_search *criteria;
} lmail_imap_search_event;

typedef struct lmail_imap_search_answer {
    size_t size;
    lmail_imap_result result;
    lmail_uid_set uids;         /* copied; what is not in the event's set is left out */
    lmail_modseq highestmodseq; /* of the messages found; only when the criteria hold MODSEQ */
} lmail_imap_search_answer;

#define LMAIL_IMAP_SEARCH_ANSWER_INIT                                                              \
    {                                                                                              \
        sizeof(lmail_imap_search_answer), LMAIL_IMAP_RESULT_INIT, {NULL, 0}, 0                     \
    }
LMAIL_API void lmail_imap_search_answer_init(lmail_imap_search_answer *answer);

/* ---- Appending: begin, (message, octets...)..., commit or abort ------------------------------ */

/* Before the client is told to send its first message. NO [TRYCREATE]: there is no such mailbox.
 *   octets   size of the first message as announced */
typedef struct lmail_imap_append_begin_event {
    lmail_str mailbox;
    uint64_t octets;
} lmail_imap_append_begin_event;

/* A message begins.
 *   keywords    names of keywords; `flags` has system flags only (the mailbox need not be selected)
 *   has_date    0: the time of arrival. Otherwise date and date_zone as in lmail_imap_fetch_row
 *   octets      its size on the wire
 *   binary      1: literal8, to be stored octet for octet (RFC 3516 §4.4) */
typedef struct lmail_imap_append_message_event {
    lmail_flags flags;
    lmail_keywords keywords;
    unsigned has_date;
    unsigned binary;
    int64_t date;
    int date_zone;
    uint64_t octets;
} lmail_imap_append_message_event;

/* Octets of the message. PENDING: taken, and they stay in feed()'s input until the answer. */
typedef struct lmail_imap_append_octets_event {
    lmail_str octets;
    unsigned last; /* 1: the message is complete with these */
} lmail_imap_append_octets_event;

/* All messages are there: keep them, all or none. The answer is given when they are safe. */
typedef struct lmail_imap_append_commit_event {
    lmail_str mailbox;
    size_t messages;
} lmail_imap_append_commit_event;

/* What was given since begin is dropped. Not told when begin or commit said NO. */
typedef struct lmail_imap_append_abort_event {
    size_t messages; /* begun so far */
} lmail_imap_append_abort_event;

/*   uids   the UIDs given, rising; empty: not told (RFC 4315 §3 allows it). If the mailbox is the
 *          selected one, its new messages come in result.changes */
typedef struct lmail_imap_append_answer {
    size_t size;
    lmail_imap_result result;
    uint32_t uidvalidity;
    lmail_uid_set uids;
} lmail_imap_append_answer;

#define LMAIL_IMAP_APPEND_ANSWER_INIT                                                              \
    {                                                                                              \
        sizeof(lmail_imap_append_answer), LMAIL_IMAP_RESULT_INIT, 0,                               \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
LMAIL_API void lmail_imap_append_answer_init(lmail_imap_append_answer *answer);

/* ---- Copying and removing -------------------------------------------------------------------- */

typedef struct lmail_imap_copy_event {
    void *mailbox;
    lmail_uid_set uids;
    lmail_str target;
    unsigned move; /* 1: and remove them here, as one step for each message (RFC 6851 §3.3) */
} lmail_imap_copy_event;

/*   source, target   which UIDs were copied, and the UIDs of the copies, in the same order. For a
 *                    move, source is also what is gone here; it need not be notified. Empty
 *                    target: UIDs are not told */
typedef struct lmail_imap_copy_answer {
    size_t size;
    lmail_imap_result result;
    uint32_t uidvalidity; /* of the target */
    lmail_uid_set source;
    lmail_uid_set target;
} lmail_imap_copy_answer;

#define LMAIL_IMAP_COPY_ANSWER_INIT                                                                \
    {                                                                                              \
        sizeof(lmail_imap_copy_answer), LMAIL_IMAP_RESULT_INIT, 0, {NULL, 0},                      \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
LMAIL_API void lmail_imap_copy_answer_init(lmail_imap_copy_answer *answer);

/* Remove what is \Deleted: among uids, or everywhere (`all`). */
typedef struct lmail_imap_expunge_event {
    void *mailbox;
    unsigned all;
    lmail_uid_set uids;
} lmail_imap_expunge_event;

typedef struct lmail_imap_expunge_answer {
    size_t size;
    lmail_imap_result result;
    lmail_uid_set vanished; /* what is gone by this; not notified again */
} lmail_imap_expunge_answer;

#define LMAIL_IMAP_EXPUNGE_ANSWER_INIT                                                             \
    {                                                                                              \
        sizeof(lmail_imap_expunge_answer), LMAIL_IMAP_RESULT_INIT,                                 \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
LMAIL_API void lmail_imap_expunge_answer_init(lmail_imap_expunge_answer *answer);

/* NOOP and CHECK with a mailbox selected: put what is new into result.changes. */
typedef struct lmail_imap_poll_event {
    void *mailbox;
    unsigned check; /* 1: CHECK (RFC 3501 §6.4.1) */
} lmail_imap_poll_event;

/* ---- Hints ----------------------------------------------------------------------------------- */

/* IDLE (RFC 2177). */
typedef struct lmail_imap_idle_event {
    unsigned on; /* 1: the client waits for news, 0: it goes on */
} lmail_imap_idle_event;

typedef struct lmail_imap_id_field {
    lmail_str name;
    lmail_str value; /* NULL pointer: NIL */
} lmail_imap_id_field;

/* ID: what the client said of itself, fields as sent (RFC 2971 §3.1). */
typedef struct lmail_imap_id_event {
    const lmail_imap_id_field *fields;
    size_t count; /* 0: NIL, or an empty list */
} lmail_imap_id_event;

/* LOGOUT was said, and the session is about to end. */
typedef struct lmail_imap_logout_event {
    void *mailbox; /* the selected one, NULL: none. on_close is not asked for it */
} lmail_imap_logout_event;

/* ---- The handler ----------------------------------------------------------------------------- */

typedef struct lmail_imap_server_handler {
    size_t size;

    /* Before the greeting. NULL: every connection is served. */
    lmail_status (*on_connect)(lmail_imap_server *s, void *user, lmail_ticket t,
                               const lmail_imap_connect_event *ev,
                               lmail_imap_connect_answer *answer);

    /* The three of libmail/sasl.h. Cleartext mechanisms (PLAIN, LOGIN) are left out by the session
     * without LMAIL_IMAP_CLEARTEXT and TLS. auth_mechanisms or on_auth NULL: no AUTHENTICATE. */
    lmail_str (*auth_mechanisms)(const lmail_imap_server *s, void *user);
    lmail_status (*on_auth)(lmail_imap_server *s, void *user, lmail_ticket t,
                            const lmail_auth_event *ev, lmail_auth_answer *answer);
    void (*on_auth_end)(lmail_imap_server *s, void *user, const lmail_auth_end_event *ev);
    /* LOGIN: OK with an identity, or FAIL. NULL: refused, and LOGINDISABLED is announced. */
    lmail_status (*on_login)(lmail_imap_server *s, void *user, lmail_ticket t,
                             const lmail_imap_login_event *ev, lmail_auth_answer *answer);

    /* NULL: one personal namespace "" with config.separator. */
    lmail_status (*on_namespace)(lmail_imap_server *s, void *user, lmail_ticket t,
                                 const lmail_imap_namespace_event *ev,
                                 lmail_imap_namespace_answer *answer);
    /* NULL: INBOX alone. */
    lmail_status (*on_list)(lmail_imap_server *s, void *user, lmail_ticket t,
                            const lmail_imap_list_event *ev, lmail_imap_list_answer *answer);
    /* NULL in the next seven: the command is refused, NO [CANNOT]. */
    lmail_status (*on_status)(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_status_event *ev, lmail_imap_status_answer *answer);
    lmail_status (*on_create)(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_create_event *ev, lmail_imap_answer *answer);
    lmail_status (*on_delete)(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_delete_event *ev, lmail_imap_answer *answer);
    lmail_status (*on_rename)(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_rename_event *ev, lmail_imap_answer *answer);
    lmail_status (*on_subscribe)(lmail_imap_server *s, void *user, lmail_ticket t,
                                 const lmail_imap_subscribe_event *ev, lmail_imap_answer *answer);
    lmail_status (*on_select)(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_select_event *ev, lmail_imap_select_answer *answer);
    /* NULL: nothing to do; CLOSE then expunges with on_expunge. */
    lmail_status (*on_close)(lmail_imap_server *s, void *user, lmail_ticket t,
                             const lmail_imap_close_event *ev, lmail_imap_answer *answer);

    /* NULL in the next four: NO [CANNOT]. */
    lmail_status (*on_fetch)(lmail_imap_server *s, void *user, lmail_ticket t,
                             const lmail_imap_fetch_event *ev, lmail_imap_fetch_answer *answer);
    lmail_status (*on_octets)(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_octets_event *ev, lmail_imap_octets_answer *answer);
    lmail_status (*on_store)(lmail_imap_server *s, void *user, lmail_ticket t,
                             const lmail_imap_store_event *ev, lmail_imap_store_answer *answer);
    lmail_status (*on_search)(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_search_event *ev, lmail_imap_search_answer *answer);

    /* on_append_begin or on_append_octets or on_append_commit NULL: APPEND is refused, NO [CANNOT].
     * on_append_message NULL: flags and date do not matter. */
    lmail_status (*on_append_begin)(lmail_imap_server *s, void *user, lmail_ticket t,
                                    const lmail_imap_append_begin_event *ev,
                                    lmail_imap_answer *answer);
    lmail_status (*on_append_message)(lmail_imap_server *s, void *user, lmail_ticket t,
                                      const lmail_imap_append_message_event *ev,
                                      lmail_imap_answer *answer);
    lmail_status (*on_append_octets)(lmail_imap_server *s, void *user, lmail_ticket t,
                                     const lmail_imap_append_octets_event *ev,
                                     lmail_imap_answer *answer);
    lmail_status (*on_append_commit)(lmail_imap_server *s, void *user, lmail_ticket t,
                                     const lmail_imap_append_commit_event *ev,
                                     lmail_imap_append_answer *answer);
    void (*on_append_abort)(lmail_imap_server *s, void *user,
                            const lmail_imap_append_abort_event *ev);

    /* NULL in the next two: NO [CANNOT]. MOVE is announced only with on_copy. */
    lmail_status (*on_copy)(lmail_imap_server *s, void *user, lmail_ticket t,
                            const lmail_imap_copy_event *ev, lmail_imap_copy_answer *answer);
    lmail_status (*on_expunge)(lmail_imap_server *s, void *user, lmail_ticket t,
                               const lmail_imap_expunge_event *ev,
                               lmail_imap_expunge_answer *answer);
    /* NULL: only what was notified is told. */
    lmail_status (*on_poll)(lmail_imap_server *s, void *user, lmail_ticket t,
                            const lmail_imap_poll_event *ev, lmail_imap_answer *answer);

    /* Hints, without an answer; NULL: not told. */
    void (*on_idle)(lmail_imap_server *s, void *user, const lmail_imap_idle_event *ev);
    void (*on_id)(lmail_imap_server *s, void *user, const lmail_imap_id_event *ev);
    void (*on_logout)(lmail_imap_server *s, void *user, const lmail_imap_logout_event *ev);

    /* Octets of an answer to on_octets are not needed any more. NULL: not told. */
    void (*on_released)(lmail_imap_server *s, void *user, lmail_ticket t);
    /* The result of a question is no longer wanted; its answer is still owed. NULL: not told. */
    void (*on_cancel)(lmail_imap_server *s, void *user, lmail_ticket t);
    lmail_trace_fn *on_trace;
} lmail_imap_server_handler;

#define LMAIL_IMAP_SERVER_HANDLER_INIT                                                             \
    {                                                                                              \
        sizeof(lmail_imap_server_handler), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,   \
            NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,    \
            NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL                                   \
    }
LMAIL_API void lmail_imap_server_handler_init(lmail_imap_server_handler *handler);

/* ---- Configuration --------------------------------------------------------------------------- */

/* lmail_imap_server_config.flags_on, .flags_off. Capabilities are announced when they are on, fit
 * the present state and have the callbacks they need. */
enum {
    LMAIL_IMAP_LITERAL_PLUS = 1,          /* RFC 7888 */
    LMAIL_IMAP_SASL_IR = 2,               /* RFC 4959 */
    LMAIL_IMAP_IDLE = 4,                  /* RFC 2177 */
    LMAIL_IMAP_UIDPLUS = 8,               /* RFC 4315 */
    LMAIL_IMAP_NAMESPACE = 16,            /* RFC 2342 */
    LMAIL_IMAP_ID = 32,                   /* RFC 2971 */
    LMAIL_IMAP_UNSELECT = 64,             /* RFC 3691 */
    LMAIL_IMAP_ENABLE = 128,              /* RFC 5161 */
    LMAIL_IMAP_MOVE = 256,                /* RFC 6851 */
    LMAIL_IMAP_CHILDREN = 512,            /* RFC 3348 */
    LMAIL_IMAP_SPECIAL_USE = 1024,        /* RFC 6154 */
    LMAIL_IMAP_STARTTLS = 2048,           /* the host can do TLS */
    LMAIL_IMAP_MULTIAPPEND = 8192,        /* RFC 3502 */
    LMAIL_IMAP_CREATE_SPECIAL_USE = 4096, /* RFC 6154: on_create honours special_use or says NO
                                           * [USEATTR] */
    LMAIL_IMAP_CLEARTEXT = 1 << 16,    /* LOGIN, and the mechanisms PLAIN and LOGIN, without TLS */
    LMAIL_IMAP_TRACE_SECRETS = 1 << 17 /* passwords are shown to on_trace */
};

#define LMAIL_IMAP_FLAGS_DEFAULT                                                                   \
    (LMAIL_IMAP_LITERAL_PLUS | LMAIL_IMAP_SASL_IR | LMAIL_IMAP_IDLE | LMAIL_IMAP_UIDPLUS |         \
     LMAIL_IMAP_NAMESPACE | LMAIL_IMAP_ID | LMAIL_IMAP_UNSELECT | LMAIL_IMAP_ENABLE |              \
     LMAIL_IMAP_MOVE | LMAIL_IMAP_CHILDREN | LMAIL_IMAP_SPECIAL_USE | LMAIL_IMAP_MULTIAPPEND)

/* 0 or empty means the default in [brackets]. Flags that are set in both members hold. */
typedef struct lmail_imap_server_config {
    size_t size;
    lmail_alloc alloc;    /* for the setup and its sessions; zeroed: the C library's */
    const lmail_env *env; /* nfc and the charset functions; copied [none] */
    uint64_t flags_on;    /* LMAIL_IMAP_* that hold beside LMAIL_IMAP_FLAGS_DEFAULT */
    uint64_t flags_off;   /* and those of it that do not */

    lmail_str host_name;           /* %H ["localhost"] */
    lmail_str greeting;            /* text of "* OK", with the placeholders of libmail/session.h
                                    * ["IMAP server ready"] */
    char separator;                /* between levels of hierarchy ['/'] */
    const lmail_imap_id_field *id; /* what ID answers; copied [NIL] */
    size_t id_count;

    /* Limits. UINT32_MAX of a count and LMAIL_NEVER of a time: none. */
    size_t max_line;            /* octets of a command without its literals [65536] */
    size_t max_literal;         /* octets of one literal that is not a message [65536] */
    uint64_t max_append;        /* octets of a message in APPEND [52428800] */
    size_t max_name;            /* octets of a mailbox name, on the wire and decoded [1000] */
    size_t command_memory;      /* octets of one command with its literals [262144] */
    size_t question_memory;     /* octets of one event [262144] */
    size_t view_memory;         /* octets for the UIDs of the selected mailbox [67108864] */
    uint32_t max_bad_commands;  /* so many BAD answers in a row end the session [20] */
    uint32_t max_auth_failures; /* so many failed LOGIN and AUTHENTICATE do [5] */
    uint32_t max_pending;       /* tickets out, cancelled ones included [16] */
    size_t out_mark;            /* octets unsent at which nothing more is asked or read [65536] */
    lmail_msec login_timeout;   /* from the greeting until the client is in [180000] */
    lmail_msec idle_timeout;    /* without a command, IDLE included; RFC 3501 §5.4: 30 minutes at
                                 * least [1800000] */
    lmail_msec keepalive;       /* in IDLE, "* OK Still here" after this long silence [120000] */
} lmail_imap_server_config;

#define LMAIL_IMAP_SERVER_CONFIG_INIT                                                              \
    {                                                                                              \
        sizeof(lmail_imap_server_config), {NULL, NULL}, NULL, 0, 0, {NULL, 0}, {NULL, 0}, 0, NULL, \
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                                            \
    }
LMAIL_API void lmail_imap_server_config_init(lmail_imap_server_config *config);

/* Make the immutable setup that any number of sessions share, also on different threads. It copies
 * all it needs of both structs and must outlive its sessions.
 * Returns: OK, ERR_NOMEM, ERR_SIZE (a size member is larger than this library knows), ERR_ARG (a
 * text with CR, LF or NUL, a separator that is not printable ASCII or one of "*%&\"\\"). */
LMAIL_API lmail_status lmail_imap_server_setup_new(lmail_imap_server_setup **out,
                                                   const lmail_imap_server_config *config,
                                                   const lmail_imap_server_handler *handler);

/* After the last session that uses it. NULL is allowed. */
LMAIL_API void lmail_imap_server_setup_free(lmail_imap_server_setup *setup);

/* ---- The session ----------------------------------------------------------------------------- */

/* A session for one connection. `user` is handed to every callback. The first feed, tick or
 * tls_done asks on_connect and writes the greeting. Returns: OK, ERR_NOMEM. */
LMAIL_API lmail_status lmail_imap_server_new(lmail_imap_server **out,
                                             const lmail_imap_server_setup *setup, void *user,
                                             lmail_msec now);
/* As lmail_session_free. */
LMAIL_API void lmail_imap_server_free(lmail_imap_server *s);

/* The handle for libmail/session.h, and its pump under this type's name. */
LMAIL_API lmail_session *lmail_imap_server_session(lmail_imap_server *s);
LMAIL_API lmail_status lmail_imap_server_feed(lmail_imap_server *s, lmail_str in, size_t *used,
                                              lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_eof(lmail_imap_server *s, lmail_msec now);
LMAIL_API size_t lmail_imap_server_peek(const lmail_imap_server *s, lmail_str *out, size_t max);
LMAIL_API lmail_status lmail_imap_server_sent(lmail_imap_server *s, size_t n, lmail_msec now);
LMAIL_API unsigned lmail_imap_server_wants(const lmail_imap_server *s);
LMAIL_API lmail_msec lmail_imap_server_deadline(const lmail_imap_server *s);
LMAIL_API lmail_status lmail_imap_server_tick(lmail_imap_server *s, lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_tls_begin(lmail_imap_server *s, size_t unread,
                                                   lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_tls_done(lmail_imap_server *s,
                                                  const lmail_tls_facts *facts, lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_filter_done(lmail_imap_server *s, lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_stop(lmail_imap_server *s, lmail_msec now);

/* Late answers: hand a ticket back, exactly once, cancelled or not. Slices in the answer are
 * borrowed for the call, but for lmail_imap_octets_answer.octets. From a callback: no.
 *   answer          on_create, on_delete, on_rename, on_subscribe, on_close, on_append_begin,
 *                   on_append_message, on_append_octets and on_poll
 *   answer_auth     on_login and on_auth
 *   answer_append   on_append_commit
 *   answer_X        on_X
 * Returns: OK, ERR_STALE (cancelled or answered before, or unknown: harmless, the event is
 * released), ERR_ARG (another kind of question, or an answer that breaks a rule above: the ticket
 * is still out), ERR_SIZE, ERR_NOMEM, ERR_REENTRANT. */
LMAIL_API lmail_status lmail_imap_server_answer(lmail_imap_server *s, lmail_ticket t,
                                                const lmail_imap_answer *answer, lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_answer_connect(lmail_imap_server *s, lmail_ticket t,
                                                        const lmail_imap_connect_answer *answer,
                                                        lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_answer_auth(lmail_imap_server *s, lmail_ticket t,
                                                     const lmail_auth_answer *answer,
                                                     lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_answer_namespace(lmail_imap_server *s, lmail_ticket t,
                                                          const lmail_imap_namespace_answer *answer,
                                                          lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_answer_list(lmail_imap_server *s, lmail_ticket t,
                                                     const lmail_imap_list_answer *answer,
                                                     lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_answer_status(lmail_imap_server *s, lmail_ticket t,
                                                       const lmail_imap_status_answer *answer,
                                                       lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_answer_select(lmail_imap_server *s, lmail_ticket t,
                                                       const lmail_imap_select_answer *answer,
                                                       lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_answer_fetch(lmail_imap_server *s, lmail_ticket t,
                                                      const lmail_imap_fetch_answer *answer,
                                                      lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_answer_octets(lmail_imap_server *s, lmail_ticket t,
                                                       const lmail_imap_octets_answer *answer,
                                                       lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_answer_store(lmail_imap_server *s, lmail_ticket t,
                                                      const lmail_imap_store_answer *answer,
                                                      lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_answer_search(lmail_imap_server *s, lmail_ticket t,
                                                       const lmail_imap_search_answer *answer,
                                                       lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_answer_append(lmail_imap_server *s, lmail_ticket t,
                                                       const lmail_imap_append_answer *answer,
                                                       lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_answer_copy(lmail_imap_server *s, lmail_ticket t,
                                                     const lmail_imap_copy_answer *answer,
                                                     lmail_msec now);
LMAIL_API lmail_status lmail_imap_server_answer_expunge(lmail_imap_server *s, lmail_ticket t,
                                                        const lmail_imap_expunge_answer *answer,
                                                        lmail_msec now);

/* Something happened to the selected mailbox. Call it in the order of events, at any time but from
 * a callback; the session tells the client when it may hear. Changes are merged, so that a client
 * that does not listen costs little. Slices are copied. UIDs that the session does not know
 * (vanished, flags) or knows already (new) are ignored, so telling twice does no harm.
 * Returns: OK, ERR_STATE (no mailbox is selected), ERR_SIZE, ERR_NOMEM, ERR_REENTRANT, ERR_CLOSED.
 * Source: RFC 9051 §5.2, §5.5, §7.5.1. */
LMAIL_API lmail_status lmail_imap_server_notify(lmail_imap_server *s,
                                                const lmail_imap_change *change, lmail_msec now);

/* ---- Looking at it (allowed in callbacks) ---------------------------------------------------- */

typedef enum lmail_imap_state {
    LMAIL_IMAP_STATE_NOT_AUTHENTICATED = 1, /* RFC 9051 §3 */
    LMAIL_IMAP_STATE_AUTHENTICATED = 2,
    LMAIL_IMAP_STATE_SELECTED = 4,
    LMAIL_IMAP_STATE_LOGOUT = 8
} lmail_imap_state;

LMAIL_API lmail_imap_state lmail_imap_server_state(const lmail_imap_server *s);
/* Who logged in; empty before. */
LMAIL_API lmail_str lmail_imap_server_identity(const lmail_imap_server *s);
/* The selected mailbox: its name (empty: none), the host's handle, how many messages the client
 * knows. */
LMAIL_API lmail_str lmail_imap_server_mailbox(const lmail_imap_server *s);
LMAIL_API void *lmail_imap_server_mailbox_handle(const lmail_imap_server *s);
LMAIL_API uint32_t lmail_imap_server_messages(const lmail_imap_server *s);
/* 1 while the client is in IDLE. */
LMAIL_API int lmail_imap_server_idling(const lmail_imap_server *s);
/* TLS facts, or NULL without TLS. */
LMAIL_API const lmail_tls_facts *lmail_imap_server_tls(const lmail_imap_server *s);
/* The `user` of lmail_imap_server_new. */
LMAIL_API void *lmail_imap_server_user(const lmail_imap_server *s);
/* The name of the running command as the table has it ("UID FETCH" is "FETCH"), or empty. */
LMAIL_API lmail_str lmail_imap_server_command(const lmail_imap_server *s);

#ifdef __cplusplus
}
#endif

#endif
