/* libmail/dsn.h - reports of what became of a message: who gets one, and its octets.
 *
 * RFC 3461 §4, §5.2, §6 (when), 3464 (message/delivery-status), 6522 (multipart/report), 6533 (addresses
 * and messages beyond ASCII), 3834 (automatic answers).
 *
 *     1. For each recipient that has a result: lmail_dsn_action_of, then lmail_dsn_due says whether a
 *        report is due, and to whom.
 *     2. All recipients of one message for which one is due to the same reader go into one report:
 *        lmail_dsn_new, lmail_dsn_read until END, lmail_dsn_facts_get, lmail_dsn_free.
 *     3. It leaves with an empty reverse-path, always (RFC 3461 §6.1), and with NOTIFY as
 *        lmail_dsn_facts says: that is what keeps a report from being reported on for ever.
 *
 * The message that is reported on is read in pieces, twice: once to see what it needs (8-bit octets,
 * lines that look like a boundary), once to send it on. It is never held. */
#ifndef LIBMAIL_DSN_H
#define LIBMAIL_DSN_H

#include <libmail/base.h>
#include <libmail/delivery.h>
#include <libmail/smtp.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Who gets a report ----------------------------------------------------------------------- */

/* RFC 3464 §2.3.3 */
typedef enum lmail_dsn_action {
    LMAIL_DSN_NOTHING = 0, /* there is nothing to report */
    LMAIL_DSN_FAILED,
    LMAIL_DSN_DELAYED,
    LMAIL_DSN_DELIVERED,
    LMAIL_DSN_RELAYED,
    LMAIL_DSN_EXPANDED
} lmail_dsn_action;

/* "failed", ...; "?" for a value not in the list. A static string. */
LMAIL_API const char *lmail_dsn_action_name(lmail_dsn_action action);

/* What a result is. final: the mailbox is here, or behind LMTP. A server that speaks DSN has taken the
 * duty over (RFC 3461 §5.2.1): NOTHING. DEFERRED is DELAYED: whether it is time to say so is the
 * schedule's matter (lmail_schedule_warn_at). */
LMAIL_API lmail_dsn_action lmail_dsn_action_of(const lmail_delivery_result *result, unsigned final);

typedef struct lmail_dsn_rules {
    size_t size;
    lmail_str postmaster; /* told of failures nobody else can be told of; empty: nobody */
    lmail_str copies_to;  /* gets a copy of each report of a failure; empty: nobody */
    unsigned no_receipts; /* no reports of success (privacy flag) */
} lmail_dsn_rules;

#define LMAIL_DSN_RULES_INIT                                                                       \
    {                                                                                              \
        sizeof(lmail_dsn_rules), {NULL, 0}, {NULL, 0}, 0                                           \
    }
LMAIL_API void lmail_dsn_rules_init(lmail_dsn_rules *rules);

enum {
    LMAIL_DSN_TO_SENDER = 1,
    LMAIL_DSN_TO_POSTMASTER = 2, /* instead: kind LMAIL_DSN_NOTICE */
    LMAIL_DSN_TO_COPIES = 4      /* as well: kind LMAIL_DSN_COPY */
};

/* Who is to hear of it: a bit set.
 *   notify     LMAIL_SMTP_NOTIFY_*; 0: not said, which means failure and delay
 *   sender     reverse-path; empty for <>: no report, the postmaster hears of a failure
 *   recipient  postmaster's own failures are told to nobody
 * With <> and NOTIFY=NEVER nobody is told anything: so the postmaster's notices end.
 * Returns 0 also when rules->size is unknown.
 * Source: RFC 3461 §4.1, §5.2; RFC 5321 §6.1. */
LMAIL_API unsigned lmail_dsn_due(const lmail_dsn_rules *rules, lmail_dsn_action action,
                                 unsigned notify, lmail_str sender, lmail_str recipient);

/* ---- Words ----------------------------------------------------------------------------------- */

/* What a report says to people. Each can be replaced, in UTF-8 and any language; "\n" begins a new
 * line. Placeholders of libmail/session.h: %H our host name, %A what the text is about. */
#define LMAIL_DSN_TEXT_MAP(XX)                                                                     \
    XX(FROM, "Mail Delivery System")                                                               \
    XX(SUBJECT_FAILED, "Your message could not be delivered")                                      \
    XX(SUBJECT_DELAYED, "Your message is delayed")                                                 \
    XX(SUBJECT_SUCCESS, "Your message has been delivered")                                         \
    XX(SUBJECT_NOTICE, "A message could be neither delivered nor returned")                        \
    XX(SUBJECT_COPY, "A message could not be delivered (copy of the report)")                      \
    XX(INTRO, "This is the mail system at %H.")                                                    \
    XX(INTRO_DATE, "This is the mail system at %H. It is about a message that came here on %A.")   \
    XX(NOTICE, "The message below has no sender to whom a report could go. This is for the "       \
               "postmaster's information; nobody else has been told.")                             \
    XX(COPY, "The sender, <%A>, has been sent a report of which this is a copy.")                  \
    XX(FAILED, "The message could NOT be delivered to the following address. No further attempt "  \
               "will be made.")                                                                    \
    XX(DELAYED, "The message has not been delivered to the following address yet. This is only a " \
                "warning: you need not send it again, attempts go on.")                            \
    XX(DELIVERED, "The message has been delivered to:")                                            \
    XX(RELAYED, "The message has been handed on for the following address, to a mail system that " \
                "does not report delivery. You will hear nothing further unless it fails.")        \
    XX(EXPANDED, "The message has been delivered to the following address, which hands it on to "  \
                 "several others:")                                                                \
    XX(SAID, "The mail system of %A answered:")                                                    \
    XX(REASON, "The reason:")                                                                      \
    XX(REASON_HOST, "The reason, when the mail system of %A was tried:")                           \
    XX(RETRY_UNTIL, "Attempts go on until %A.")                                                    \
    XX(TRY_ADDRESS, "Check the address for mistakes, and send the message again.")                 \
    XX(TRY_FULL, "The mailbox is full. Send the message again later, or ask the recipient by "     \
                 "other means to make room.")                                                      \
    XX(TRY_SMALLER, "The message is too large for this recipient. Send a smaller one.")            \
    XX(TRY_LATER, "The mail system of the recipient could not be reached. Check what stands "      \
                  "behind the @, or send the message again later.")                                \
    XX(TRY_POLICY, "The message was refused by a rule of a mail system. The answer above may say " \
                   "why; the postmaster there can help.")                                          \
    XX(HELP, "If you need help, forward this report to postmaster@%H.")                            \
    XX(ATTACHED, "The message is attached.")                                                       \
    XX(ATTACHED_HEADER, "The header of the message is attached.")

typedef enum lmail_dsn_text_id {
#define XX(name, text) LMAIL_DSN_TEXT_##name,
    LMAIL_DSN_TEXT_MAP(XX)
#undef XX
        LMAIL_DSN_TEXT_COUNT
} lmail_dsn_text_id;

/* One text in the host's words, at most 1,000 octets. */
typedef struct lmail_dsn_text {
    lmail_dsn_text_id id;
    lmail_str text;
} lmail_dsn_text;

/* ---- The report ------------------------------------------------------------------------------ */

typedef struct lmail_dsn_config {
    size_t size;
    lmail_alloc alloc;     /* zeroed: the C library's */
    const lmail_env *env;  /* random octets for the boundary; NULL: made of the report's id */
    lmail_str host;        /* our name: Reporting-MTA, %H */
    lmail_str from_local;  /* empty: MAILER-DAEMON */
    lmail_str from_domain; /* empty: host */
    const lmail_dsn_text *texts;
    size_t text_count;
    uint64_t max_body;            /* a larger message is returned as its header; 0: 64 KiB */
    size_t max_header;            /* of a header that is returned; 0: 64 KiB */
    unsigned no_body_return;      /* headers only (privacy flag) */
    unsigned no_actual_recipient; /* lmail_dsn_recipient.actual is not told (privacy flag) */
} lmail_dsn_config;

#define LMAIL_DSN_CONFIG_INIT                                                                      \
    {                                                                                              \
        sizeof(lmail_dsn_config), {NULL, NULL}, NULL, {NULL, 0}, {NULL, 0}, {NULL, 0}, NULL, 0, 0, \
            0, 0, 0                                                                                \
    }
LMAIL_API void lmail_dsn_config_init(lmail_dsn_config *config);

/* One recipient. What others have said - texts, names, addresses - is taken as it comes: control
 * octets become blanks, what is no UTF-8 "?", and what is over 900 octets is cut. Times are
 * milliseconds since 1970 UTC, 0: not known. */
typedef struct lmail_dsn_recipient {
    lmail_dsn_action action;
    lmail_str final;     /* the address as it was accepted */
    lmail_str actual;    /* what it was expanded to; empty: the same */
    lmail_str orcpt;     /* "rfc822;user@example.org", the address decoded; empty: none was given */
    unsigned code;       /* of the server's reply; 0: it is no server's */
    lmail_str enhanced;  /* "5.1.1"; empty or malformed: made of the action */
    lmail_str text;      /* of the reply, or what went wrong */
    lmail_str host;      /* who said so, or was tried; empty: nobody */
    int64_t last;        /* last attempt */
    int64_t retry_until; /* DELAYED */
    lmail_str log_id;    /* of the message with the one who took it; empty: not known */
} lmail_dsn_recipient;

typedef enum lmail_dsn_kind {
    LMAIL_DSN_REPORT = 0, /* to the sender */
    LMAIL_DSN_NOTICE,     /* to the postmaster: there is no sender */
    LMAIL_DSN_COPY        /* to copies_to. Notices and copies hold no body */
} lmail_dsn_kind;

enum {
    LMAIL_DSN_SMTPUTF8 = 1, /* the message was one of RFC 6531 */
    LMAIL_DSN_7BIT = 2      /* the report must be: encoded, or the header alone */
};

typedef struct lmail_dsn_report {
    size_t size;
    lmail_dsn_kind kind;
    lmail_str to;     /* whose mail it is: the reverse-path, without brackets; or the postmaster's
                        * address */
    lmail_str sender; /* COPY: the reverse-path */
    lmail_str id;     /* letters and digits that no other report of this host has */
    int64_t now;      /* milliseconds since 1970 UTC */
    int32_t zone;     /* minutes east, for all dates in it */
    int64_t arrived;  /* when the message came; 0: not known */
    lmail_str envid;  /* decoded; empty: none was given */
    lmail_str client; /* HELO name of who gave it to us; empty: not known */
    lmail_str client_address; /* "192.0.2.1"; empty: not known */
    lmail_str message_id;     /* the message's own, without < and >; empty: not known */
    unsigned ret;             /* lmail_smtp_ret */
    unsigned flags;           /* LMAIL_DSN_SMTPUTF8 ... */
    uint64_t octets;          /* of the message; 0: it cannot be read, nothing is attached */
    const lmail_dsn_recipient *recipients;
    size_t recipient_count;
} lmail_dsn_report;

#define LMAIL_DSN_REPORT_INIT                                                                      \
    {                                                                                              \
        sizeof(lmail_dsn_report), LMAIL_DSN_REPORT, {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, 0, 0,      \
            {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, 0, 0, NULL, 0                           \
    }
LMAIL_API void lmail_dsn_report_init(lmail_dsn_report *report);

typedef struct lmail_dsn lmail_dsn;

/* Begin a report. Both structs and all they point to are copied, but for env.
 * Returns: OK; ERR_SIZE; ERR_NOMEM; ERR_ARG: no recipient, one without address or action, no host, no
 * id, `to` is no address (empty is none: reports never go to <>), a text over 1,000 octets or that is
 * no UTF-8. */
LMAIL_API lmail_status lmail_dsn_new(lmail_dsn **out, const lmail_dsn_config *config,
                                     const lmail_dsn_report *report);
/* NULL is allowed. */
LMAIL_API void lmail_dsn_free(lmail_dsn *d);

/* The next octets of the report, CRLF lines throughout.
 *   made  out: octets in out[0..cap)
 * Returns: OK (read on), END (there are no more), PENDING (octets of the message are wanted first:
 * lmail_dsn_wants, lmail_dsn_give), ERR_NOMEM, ERR_CORRUPT (the message was shorter the second time),
 * ERR_LIMIT (no boundary could be found; only a message written by who knows `id` makes that), what
 * lmail_dsn_give was told. After an error it returns the same. */
LMAIL_API lmail_status lmail_dsn_read(lmail_dsn *d, char *out, size_t cap, size_t *made);

/* Are octets of the message wanted: 1 or 0. At most *want, at most 16 KiB, from *offset on. */
LMAIL_API int lmail_dsn_wants(const lmail_dsn *d, uint64_t *offset, size_t *want);

/* Octets from the offset that was asked for; copied. None: the message ends there.
 *   st  OK; an error: it cannot be read. While it is looked through, that makes a report without it;
 *       later lmail_dsn_read returns the error
 * Returns: OK, ERR_STATE (none are wanted), ERR_ARG (more than were wanted), ERR_NOMEM. */
LMAIL_API lmail_status lmail_dsn_give(lmail_dsn *d, lmail_str octets, lmail_status st);

/* How it has to travel. */
typedef struct lmail_dsn_facts {
    unsigned has_8bit;       /* needs 8BITMIME */
    unsigned smtputf8;       /* needs SMTPUTF8 */
    unsigned notify;         /* for its recipient: 0, or NEVER for notices and copies */
    lmail_smtp_ret returned; /* FULL, HDRS; NONE: nothing is attached */
} lmail_dsn_facts;

/* OK, or ERR_STATE before lmail_dsn_read has made the first octet. */
LMAIL_API lmail_status lmail_dsn_facts_get(const lmail_dsn *d, lmail_dsn_facts *out);

#ifdef __cplusplus
}
#endif

#endif
