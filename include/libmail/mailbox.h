/* libmail/mailbox.h - the vocabulary of a mailbox: UIDs, flags, search criteria.
 *
 * Shared by the IMAP session, which speaks it to its host, and by every store, which keeps it. All
 * in terms of UIDs and modseqs; sequence numbers exist only inside an IMAP session.
 */
#ifndef LIBMAIL_MAILBOX_H
#define LIBMAIL_MAILBOX_H

#include <libmail/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- UIDs ------------------------------------------------------------------------------------ */

typedef uint32_t lmail_uid;    /* 1..UINT32_MAX; RFC 9051 §2.3.1.1 */
typedef uint64_t lmail_modseq; /* 1..2^63-1; RFC 7162 §3.1.1 */

/* first..last, both counted, first <= last. */
typedef struct lmail_uid_range {
    lmail_uid first, last;
} lmail_uid_range;

/* Sorted, disjoint, not adjacent. Borrowed. */
typedef struct lmail_uid_set {
    const lmail_uid_range *ranges;
    size_t count;
} lmail_uid_set;

/* Is the UID in the set? 1 or 0. O(log n). */
LMAIL_API int lmail_uid_set_has(lmail_uid_set set, lmail_uid uid);

/* How many UIDs the set names (not how many messages exist). */
LMAIL_API uint64_t lmail_uid_set_total(lmail_uid_set set);

/* A set that grows. Zero it, give it an allocator (zeroed: the C library's), and free it at the
 * end. Adding in rising order is O(1). */
typedef struct lmail_uid_list {
    lmail_alloc alloc;
    lmail_uid_range *ranges;
    size_t count, capacity;
} lmail_uid_list;

/* Add first..last; ranges that touch are joined.
 * Returns: OK, ERR_NOMEM, ERR_ARG (first is 0 or above last). */
LMAIL_API lmail_status lmail_uid_list_add(lmail_uid_list *list, lmail_uid first, lmail_uid last);
/* The list as a set: borrowed until the list changes. */
LMAIL_API lmail_uid_set lmail_uid_list_set(const lmail_uid_list *list);
/* Free the ranges and leave an empty list. */
LMAIL_API void lmail_uid_list_free(lmail_uid_list *list);

/* ---- Flags ----------------------------------------------------------------------------------- */

/* System flags are the low bits; keyword number k of the mailbox's table is bit
 * LMAIL_FLAG_KEYWORD_SHIFT + k. A mailbox has at most LMAIL_MAX_KEYWORDS keywords. */
typedef uint64_t lmail_flags;

#define LMAIL_FLAG_SEEN ((lmail_flags)1)
#define LMAIL_FLAG_ANSWERED ((lmail_flags)2)
#define LMAIL_FLAG_FLAGGED ((lmail_flags)4)
#define LMAIL_FLAG_DELETED ((lmail_flags)8)
#define LMAIL_FLAG_DRAFT ((lmail_flags)16)
#define LMAIL_FLAG_RECENT ((lmail_flags)32) /* a session's, never stored as a flag */
#define LMAIL_FLAGS_SYSTEM ((lmail_flags)31)
#define LMAIL_FLAG_KEYWORD_SHIFT 8
#define LMAIL_MAX_KEYWORDS 56

/* Names of keyword 0, 1, ...; a name once given keeps its number while the mailbox is open. */
typedef struct lmail_keywords {
    const lmail_str *names;
    size_t count;
} lmail_keywords;

/* ---- Searching ------------------------------------------------------------------------------- */

/* RFC 9051 §6.4.4. Sequence sets have become UID sets; "NEW", "OLD" and the like are combinations
 * of these. */
typedef enum lmail_search_op {
    LMAIL_SEARCH_ALL = 1,
    LMAIL_SEARCH_AND,     /* every child */
    LMAIL_SEARCH_OR,      /* any child */
    LMAIL_SEARCH_NOT,     /* the child does not match */
    LMAIL_SEARCH_UIDS,    /* set */
    LMAIL_SEARCH_FLAG,    /* all bits of `flags` (system flags and RECENT) are set */
    LMAIL_SEARCH_KEYWORD, /* keyword named `text`, without case */
    LMAIL_SEARCH_HEADER,  /* a field named `field` holds `text`; empty text: the field is there.
                           * FROM, TO, CC, BCC and SUBJECT are this with their name */
    LMAIL_SEARCH_BODY,    /* `text` in the decoded body text */
    LMAIL_SEARCH_TEXT,    /* `text` in the decoded header or body */
    LMAIL_SEARCH_LARGER,  /* RFC822.SIZE > number */
    LMAIL_SEARCH_SMALLER, /* RFC822.SIZE < number */
    LMAIL_SEARCH_BEFORE,  /* internal date, `day` disregarding time and zone: earlier */
    LMAIL_SEARCH_ON,
    LMAIL_SEARCH_SINCE,      /* on that day or later */
    LMAIL_SEARCH_SENTBEFORE, /* Date: field, the same way */
    LMAIL_SEARCH_SENTON,
    LMAIL_SEARCH_SENTSINCE,
    LMAIL_SEARCH_MODSEQ /* modseq >= number; RFC 7162 §3.1.5 */
} lmail_search_op;

/* A criterion. Children hang on `child`, linked by `next`. Text is UTF-8 as the client sent it (the
 * session converts other charsets); comparing folds both sides with lmail_env.fold. */
typedef struct lmail_search {
    lmail_search_op op;
    const struct lmail_search *child;
    const struct lmail_search *next;
    lmail_uid_set set;
    lmail_flags flags;
    lmail_str field;
    lmail_str text;
    uint64_t number;
    int32_t day; /* days since 1970-01-01 */
} lmail_search;

#ifdef __cplusplus
}
#endif

#endif
