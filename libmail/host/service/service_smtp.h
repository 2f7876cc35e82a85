/* service_smtp.h - what the files of the SMTP service share.
 *
 *     service_smtp.c          the protocol's row, transactions, the message's way
 *     service_smtp_policy.c   may this client connect, may it send as that sender
 *     service_smtp_rcpt.c     may it send to that recipient, and where does its mail go
 *     service_smtp_vrfy.c     VRFY and EXPN
 *     service_smtp_facts.c    what the DNS says about both
 *     service_smtp_limits.c   limits and throttles (service_smtp_limits.h)
 *     service_smtp_submit.c   who is logged in sends as himself
 *     service_smtp_words.c    the classic program's words
 *     service_smtp_xclient.c  peers that say for whom they speak
 *     service_milter_gate.c   what mail filters say to all of it */
#ifndef LMI_SERVICE_SMTP_H
#define LMI_SERVICE_SMTP_H

#include "host/service/service_internal.h"
#include "host/service/service_mail.h"
#include "host/service/service_smtp_facts.h"

#include <libmail/smtp.h>

struct smtp_peer {
    lmi_peer base;
    lmail_smtp_server *server;
    lmi_mail *mail;    /* the open transaction */
    lmi_mail *dropped; /* ended, and not yet freed */
    char text[64];     /* of a reply that is given at once */

    uint64_t key;          /* of the client, as it is counted (service_smtp_limits.c) */
    uint64_t recent, open; /* its connections when this one began, itself included */

    smtp_facts *facts;                  /* NULL: nothing had to be looked up */
    unsigned char name_state;           /* lmail_policy_name_state */
    unsigned char sender_domain;        /* lmail_policy_answer, of this MAIL */
    unsigned char recipient_mx;         /* the same, of this RCPT */
    unsigned char discard;              /* whatever comes is thrown away */
    unsigned features_on, features_off; /* LMAIL_POLICY_FEATURE_* */
    char *hold;                         /* whatever comes is held for this reason */
    uint64_t trusted;                   /* LMAIL_SMTP_XCLIENT, _XFORWARD: it may */
    struct lmi_xforward *xforward;      /* what XFORWARD said; NULL: nothing */
    struct lmi_filters *filters;        /* service_milter.h; NULL: it has none */
    struct lmi_wait *wait;              /* for the first attempts; NULL: it does not */
    lmail_ticket waiting;               /* the question; p->text: its answer */
    struct lmi_local
        *local; /* a message of this machine (service_pickup.h), held; NULL: from elsewhere */
};

/* Texts are borrowed until the reply is given. */
void lmi_reply_fill(lmail_smtp_reply *reply, unsigned code, const char *enhanced, const char *text);
/* stage: the command that was refused; to: empty, or whom it concerns. */
void lmi_reply_log(const smtp_peer *p, const char *stage, lmail_str to,
                   const lmail_smtp_reply *reply);
void lmi_reply_give(smtp_peer *p, lmail_ticket t, const lmail_smtp_reply *reply);

/* Give an answer that was decided late; an error as 451. */
void lmi_reply_late(smtp_peer *p, lmail_ticket t, lmail_status st, lmail_smtp_reply *reply);
/* "<address>... text", in scratch memory. */
void lmi_reply_about(const smtp_peer *p, lmail_smtp_reply *reply, unsigned code, lmail_str enhanced,
                     lmail_str address, lmail_str text);
void lmi_reply_verdict(const smtp_peer *p, lmail_smtp_reply *reply, const lmail_policy_verdict *v,
                       lmail_str address);
/* A refusal without an address in front. Like the others here it copies what the verdict says: that
 * goes before the session reads the reply. */
void lmi_reply_refusal(const smtp_peer *p, lmail_smtp_reply *reply, const lmail_policy_verdict *v);
const lmail_smtp_reply_text *lmi_smtp_words(size_t *count);

/* DISCARD, QUARANTINE or DENY, and what decided. */
void lmi_verdict_log(const smtp_peer *p, const char *stage, lmail_str to,
                     const lmail_policy_verdict *v);
/* What the block lists say: OK and *v (DENY, DISCARD, QUARANTINE), END: nothing, PENDING. */
lmail_status lmi_lists_verdict(const smtp_peer *p, lmail_policy_verdict *v);
/* With delay_checks: the same for a recipient that is accepted otherwise. A DENY takes the place of
 * *v, the rest is done to the message. OK, PENDING or ERR_NOMEM. */
lmail_status lmi_lists_recipient(const smtp_peer *p, lmail_policy_verdict *v);

#define LMI_ACCOUNT_NAME (LMAIL_MAX_ACCOUNT_NAME + 2u)
typedef lmail_status lmi_find_fn(lmail_accounts *, lmail_str, lmail_account *);
/* The account of a user of this host, user+detail too; domain empty: none was said. With
 * lmail_accounts_find on a worker; with lmail_accounts_find_now what is not OK is not known yet.
 * OK, ERR_NOTFOUND, or what find returned. */
lmail_status lmi_find_user(const lmi_rules *rules, lmi_find_fn *find, lmail_str local,
                           lmail_str domain, char name[LMI_ACCOUNT_NAME]);
/* Where the tables lead a local part at a domain. NULL in *routes: there are no tables. */
lmail_status lmi_find_routes(const lmi_rules *rules, lmail_str local, lmail_str domain,
                             const lmail_policy_routes **routes);
/* "mailer:host:host" of a destination that a table decided; empty: where the address leads, or
 * longer than cap. */
void lmi_route_write(const lmail_policy_destination *d, char *out, size_t cap);
/* Keep a reason, unless there is one. OK or ERR_NOMEM. */
lmail_status lmi_hold(char **hold, lmail_str reason);
/* lmail_delivery_mode of the listener. */
unsigned lmi_delivery_mode(const smtp_peer *p);
/* MAIL was accepted: the transaction begins. OK or ERR_NOMEM. */
lmail_status lmi_begin_mail(smtp_peer *p, const lmail_smtp_mail_event *ev);

/* What is left of on_body_start and of the first on_body_end when the mail filters have had their say. */
lmail_status lmi_body_start(smtp_peer *p, const lmail_smtp_body_start_event *ev);
lmail_status lmi_commit_mail(smtp_peer *p, lmail_ticket t);
/* The transaction is over. */
void lmi_drop_mail(smtp_peer *p);

/* The handler's on_connect, on_mail and on_rcpt. */
lmail_status lmi_connect_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                               const lmail_smtp_connect_event *ev, lmail_smtp_connect_answer *a);
lmail_status lmi_mail_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_mail_event *ev, lmail_smtp_reply *reply);
/* The handler's on_vrfy and on_expn. */
lmail_status lmi_vrfy_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_argument_event *ev, lmail_smtp_reply *reply);
lmail_status lmi_expn_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_argument_event *ev, lmail_smtp_reply *reply);
/* The handler's on_unknown, where VERB is refused by name (privacy flag no_verb). */
lmail_status lmi_unknown_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                               const lmail_smtp_argument_event *ev, lmail_smtp_reply *reply);
lmail_status lmi_rcpt_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_rcpt_event *ev, lmail_smtp_reply *reply);

/* What the peer may, decided once and by its own address: XCLIENT does not change it. */
uint64_t lmi_xclient_trusted(const smtp_peer *p);
/* The handler's on_xclient and on_xforward. */
lmail_status lmi_xclient_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                               const lmail_smtp_xclient_event *ev, lmail_smtp_reply *reply);
lmail_status lmi_xforward_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                                const lmail_smtp_xclient_event *ev, lmail_smtp_reply *reply);
/* What XFORWARD said, into a line about the transaction; and that the transaction is over. */
void lmi_xforward_log(const smtp_peer *p, lmail_log_line *l);
void lmi_xforward_done(smtp_peer *p);

#endif
