/* smtp_client_internal.h - the SMTP/LMTP client session, as its own files see it.
 *
 *   smtp_client           new, free, the pump's class, timers, what it knows
 *   smtp_client_setup     config and handler made into the immutable setup; names
 *   smtp_client_machine   the table of states; all writes to s->state; what comes next
 *   smtp_client_reply     octets from the server made into replies
 *   smtp_client_hello     greeting, EHLO and what it announces, STARTTLS
 *   smtp_client_auth      AUTH: questions, responses, secrets
 *   smtp_client_mail      submitted messages, local refusals, results
 *   smtp_client_envelope  RSET, MAIL, RCPT, DATA: written in a batch or one by one, and answered
 *   smtp_client_params    parameters of MAIL and RCPT
 *   smtp_client_body      octets pulled and sent, by DATA or BDAT, and the replies at the end
 *   smtp_client_stuff     line ends and leading dots of a message */
#ifndef LMI_SMTP_CLIENT_INTERNAL_H
#define LMI_SMTP_CLIENT_INTERNAL_H

#include "smtp/smtp_internal.h"

#include <libmail/codec.h>
#include <libmail/smtp_client.h>

struct lmail_smtp_client_setup {
    lmail_smtp_client_config config; /* defaults filled in */
    lmail_smtp_client_handler on;
    size_t size; /* of the block, with the name behind this struct */
};

typedef enum lmi_smtpc_state {
    LMI_SMTPC_START,
    LMI_SMTPC_GREETING,
    LMI_SMTPC_EHLO, /* LHLO too */
    LMI_SMTPC_HELO,
    LMI_SMTPC_STARTTLS,
    LMI_SMTPC_SHAKING,
    LMI_SMTPC_ASKING, /* on_auth's answer is due */
    LMI_SMTPC_AUTH,   /* the server's reply to AUTH or to a response is due */
    LMI_SMTPC_READY,
    LMI_SMTPC_ENVELOPE,
    LMI_SMTPC_BODY,
    LMI_SMTPC_END, /* all of the message is written */
    LMI_SMTPC_QUIT,
    LMI_SMTPC_OVER
} lmi_smtpc_state;

/* The kinds of ticket. */
enum { LMI_SMTPC_OCTETS = 1, LMI_SMTPC_LOGIN };

/* ---- Messages -------------------------------------------------------------------------------- */

typedef enum lmi_smtpc_fate {
    LMI_SMTPC_OPEN = 0, /* no reply yet */
    LMI_SMTPC_TAKEN,    /* RCPT was accepted; the end decides */
    LMI_SMTPC_TOLD      /* its result was told */
} lmi_smtpc_fate;

typedef struct lmi_smtpc_rcpt {
    lmail_str to, orcpt_type, orcpt;
    uint8_t notify;
    uint8_t fate;
    uint8_t sent; /* RCPT was written, and its reply counts */
} lmi_smtpc_rcpt;

typedef struct lmi_smtpc_job {
    struct lmi_smtpc_job *next;
    size_t size; /* of the block */
    lmail_smtp_mail_end_event end;
    lmail_str from, envid, auth;
    uint64_t octets;
    uint8_t body, ret;
    uint8_t smtputf8, require_tls, has_envid, has_auth;
    uint32_t count;
    lmi_smtpc_rcpt rcpt[];
} lmi_smtpc_job;

/* A result in the making. */
typedef struct lmi_smtpc_verdict {
    lmail_smtp_outcome outcome;
    lmail_smtp_cause cause;
    lmail_smtp_phase phase;
    lmail_smtp_peer_reply reply;
} lmi_smtpc_verdict;

/* Where the transaction stands. Replies come in the order of the commands: RSET, MAIL, each RCPT,
 * DATA; then those of the message. */
typedef struct lmi_smtpc_transaction {
    uint8_t rset_due, rset_wait;
    uint8_t mail_done; /* written */
    uint8_t mail_wait;
    uint8_t mail_failed;
    uint8_t data_done, data_wait;
    uint32_t written;  /* recipients before it are written or were told */
    uint32_t answered; /* recipients before it are answered or were never written */
    uint32_t waiting;  /* RCPT replies that are due */
    uint32_t taken;
} lmi_smtpc_transaction;

typedef struct lmi_smtpc_stuff {
    uint8_t in_line; /* octets of this line came */
    uint8_t cr;      /* a CR is held back: what follows decides */
    uint8_t dots;    /* leading dots are doubled */
    uint8_t refuse;  /* a bare CR or LF is refused */
} lmi_smtpc_stuff;

typedef struct lmi_smtpc_body {
    uint64_t offset;
    size_t want;
    lmi_smtpc_stuff stuff;
    uint8_t chunked;
    uint8_t raw;      /* BINARYMIME */
    uint8_t ended;    /* the last octets are written */
    uint8_t broken;   /* a chunk was refused, or the host gave up: only replies are due */
    uint8_t lone_dot; /* DATA was answered 354 without a recipient */
    uint32_t chunks;  /* replies of chunks before the last that are due */
} lmi_smtpc_body;

/* Octets of an AUTH exchange on their way out: wiped when they are sent. */
typedef struct lmi_smtpc_secret {
    struct lmi_smtpc_secret *next;
    lmail_ticket ticket;
    size_t size;
    char data[];
} lmi_smtpc_secret;

/* ---- Session --------------------------------------------------------------------------------- */

#define LMI_SMTPC_MECHANISMS 512u /* octets of a server's list */
#define LMI_SMTPC_NAME 255u
#define LMI_SMTPC_RESPONSE 9000u /* raw octets; 12000 in base64 */
#define LMI_SMTPC_NOT_LAST ((lmail_ticket)1 << 63)

struct lmail_smtp_client {
    struct lmail_session base;
    const lmail_smtp_client_setup *setup;
    size_t size;           /* of the block */
    lmi_smtpc_state state; /* written in smtp_client_machine.c alone */
    uint32_t flags, ignore;
    lmail_smtp_tls_policy tls;
    lmail_str helo_name;
    lmi_line line;

    /* The reply that is being read, or was read last. */
    char *text; /* config.max_reply_text octets */
    size_t text_len;
    uint32_t lines;   /* so far */
    uint32_t replies; /* read to their end */
    uint16_t code;
    uint8_t enhanced_len;
    char enhanced[12];

    lmail_smtp_capabilities can; /* slices below */
    char name[LMI_SMTPC_NAME];
    char mechanisms[LMI_SMTPC_MECHANISMS];

    lmi_smtpc_job *first, *last, *spare;
    uint32_t queued;
    uint8_t running; /* `first` has begun */
    uint8_t ready_told;
    uint8_t ended; /* on_end came */
    uint8_t open;  /* the server has a transaction open: RSET is needed before MAIL */
    uint32_t mails_begun;
    uint64_t *domains; /* hashes of the recipients' domains of this session, with RCPTDOMAINMAX */
    uint32_t domain_count, domain_cap;
    lmi_smtpc_transaction t;
    lmi_smtpc_body body;

    char mechanism[LMI_SASL_NAME_MAX];
    uint8_t mechanism_len;
    uint8_t logged_in;
    uint8_t exchange; /* a mechanism was named, on_auth_end is due */
    uint8_t cancelling;
    unsigned step;
    unsigned refused;
    lmi_smtpc_secret *held; /* the first response, when it is too long for AUTH's line */
    lmi_smtpc_secret *secrets;
};

/* A domain or an address literal that may stand in EHLO; or empty. */
int lmi_smtpc_helo_ok(lmail_str name);
int lmi_smtpc_mechanism_ok(lmail_str word);

/* ---- The machine (smtp_client_machine.c) ------------------------------------------------------ */

void lmi_smtpc_enter(lmail_smtp_client *s, lmi_smtpc_state state);
/* Where we are, and how long the server may take. */
lmail_smtp_phase lmi_smtpc_phase(const lmail_smtp_client *s);
lmail_msec lmi_smtpc_patience(const lmail_smtp_client *s);
/* A whole reply is read. */
lmail_status lmi_smtpc_take_reply(lmail_smtp_client *s);
/* Do what can be done: begin the next message, write commands, pull octets, stop. Then the clock.
 * Ends every entry into the session; `st` is handed through. */
lmail_status lmi_smtpc_go_on(lmail_smtp_client *s, lmail_status st);
/* The session takes no more mail: results, on_end, and QUIT or the end at once. */
lmail_status lmi_smtpc_quit(lmail_smtp_client *s, lmail_smtp_cause cause);
lmail_status lmi_smtpc_cut(lmail_smtp_client *s, lmail_smtp_cause cause);
/* The reply does not fit here: cut with PROTOCOL. */
lmail_status lmi_smtpc_violation(lmail_smtp_client *s, lmail_str what);

/* ---- Replies (smtp_client_reply.c) ------------------------------------------------------------ */

lmail_status lmi_smtpc_take_line(lmail_smtp_client *s, lmail_str in, size_t *used);
/* The last reply. */
lmail_smtp_peer_reply lmi_smtpc_reply(const lmail_smtp_client *s);
/* Class of the last reply: its first digit. */
unsigned lmi_smtpc_class(const lmail_smtp_client *s);

/* ---- Output ----------------------------------------------------------------------------------- */

/* One command line from its pieces, with CRLF, and its trace. OK or ERR_NOMEM. */
lmail_status lmi_smtpc_say(lmail_smtp_client *s, const lmail_str *pieces, size_t count);
#define LMI_SMTPC_SAY(s, ...) lmi_smtpc_say((s), LMI_PIECES(__VA_ARGS__))

/* ---- Greeting, EHLO, STARTTLS (smtp_client_hello.c) ------------------------------------------- */

typedef lmail_status lmi_smtpc_reply_fn(lmail_smtp_client *s);
lmi_smtpc_reply_fn lmi_smtpc_on_greeting, lmi_smtpc_on_ehlo, lmi_smtpc_on_helo,
    lmi_smtpc_on_starttls;
/* One line of the reply to EHLO, its first is number 1. */
void lmi_smtpc_ehlo_line(lmail_smtp_client *s, lmail_str text, uint32_t number);
void lmi_smtpc_forget(lmail_smtp_client *s); /* all that EHLO told */
lmail_status lmi_smtpc_ehlo(lmail_smtp_client *s);
/* TLS and login are settled. */
void lmi_smtpc_ready(lmail_smtp_client *s);

/* ---- AUTH (smtp_client_auth.c) ---------------------------------------------------------------- */

lmi_smtpc_reply_fn lmi_smtpc_on_auth;
lmail_status lmi_smtpc_on_challenge(lmail_smtp_client *s, lmail_str text); /* 334 */
lmail_status lmi_smtpc_login(lmail_smtp_client *s); /* ask step 0, or be ready */
void lmi_smtpc_auth_gone(lmail_smtp_client *s);     /* the session ends */
/* Were these octets a secret? They are wiped. */
int lmi_smtpc_wipe_sent(lmail_smtp_client *s, lmail_ticket t);
void lmi_smtpc_auth_done(lmail_smtp_client *s); /* free all */

/* Memory for the event failed: forget the question. ERR_NOMEM. */
lmail_status lmi_smtpc_drop(lmail_smtp_client *s, lmi_question *q);

/* ---- Messages (smtp_client_mail.c) ------------------------------------------------------------ */

/* Results. give_rest: to all of the running message that have none, TAKEN or not. */
void lmi_smtpc_give(lmail_smtp_client *s, lmi_smtpc_job *j, uint32_t i, const lmi_smtpc_verdict *v);
void lmi_smtpc_give_rest(lmail_smtp_client *s, const lmi_smtpc_verdict *v);
/* The last reply, 4xx or 5xx, as a verdict of this phase. */
lmi_smtpc_verdict lmi_smtpc_by_reply(const lmail_smtp_client *s, lmail_smtp_phase phase);
/* A verdict without a reply: words for the cause. */
lmi_smtpc_verdict lmi_smtpc_by_cause(lmail_smtp_cause cause, lmail_smtp_phase phase);
/* The message may not go: FAILED, HERE, with this enhanced code. */
lmi_smtpc_verdict lmi_smtpc_refuse(lmail_smtp_phase phase, lmail_str enhanced, lmail_str text);
/* Look at the message before MAIL: refused recipients get their results. Number of those left. OK,
 * ERR_NOMEM. */
lmail_status lmi_smtpc_check(lmail_smtp_client *s, uint32_t *left);
/* The running message is over. */
void lmi_smtpc_mail_end(lmail_smtp_client *s);
/* All messages that have not begun end with this. */
void lmi_smtpc_drop_waiting(lmail_smtp_client *s, const lmi_smtpc_verdict *v);
void lmi_smtpc_jobs_done(lmail_smtp_client *s);

/* ---- Envelope (smtp_client_envelope.c, smtp_client_params.c) ---------------------------------- */

lmail_status lmi_smtpc_begin(lmail_smtp_client *s); /* the first message that waits */
lmail_status lmi_smtpc_write_envelope(lmail_smtp_client *s);
lmi_smtpc_reply_fn lmi_smtpc_on_envelope;
lmail_smtp_phase lmi_smtpc_envelope_phase(const lmail_smtp_client *s);
lmail_status lmi_smtpc_say_mail(lmail_smtp_client *s, const lmi_smtpc_job *j);
lmail_status lmi_smtpc_say_rcpt(lmail_smtp_client *s, const lmi_smtpc_job *j,
                                const lmi_smtpc_rcpt *r);
int lmi_smtpc_is_utf8(const lmi_smtpc_job *j); /* SMTPUTF8 is needed */

/* ---- Body (smtp_client_body.c, smtp_client_stuff.c) ------------------------------------------- */

lmail_status lmi_smtpc_body_begin(lmail_smtp_client *s, int chunked);
lmail_status lmi_smtpc_pull(lmail_smtp_client *s);
lmi_smtpc_reply_fn lmi_smtpc_on_body;
/* The message may have been taken over by a server that says no more. */
int lmi_smtpc_all_written(const lmail_smtp_client *s);

/* Hand on `in` in runs that may be sent as they are: slices of `in`, or static. ERR_SYNTAX: a bare
 * CR or LF, refused. With `end` the last line gets its end. */
typedef lmail_status lmi_smtpc_run_fn(void *ctx, lmail_str run);
lmail_status lmi_smtpc_stuff_walk(lmi_smtpc_stuff *c, lmail_str in, int end, lmi_smtpc_run_fn *run,
                                  void *ctx);

#endif
