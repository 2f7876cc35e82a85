/* smtp_internal.h - the SMTP/LMTP server session, as its own files see it.
 *
 *   smtp_setup     config and handler made into the immutable setup
 *   smtp_reply     the reply table and the one writer of replies
 *   smtp_server    new, free, the pump's class, timers, answers coming home
 *   smtp_question  questions with a reply for an answer: asked, settled, applied
 *   smtp_machine   the table of states and commands; all writes to s->state
 *   smtp_address   paths and addresses          smtp_params   parameters of MAIL and RCPT
 *   smtp_hello     HELO, EHLO, LHLO             smtp_mail     MAIL, RCPT, RSET
 *   smtp_data      DATA, BDAT, the end of a message
 *   smtp_scan      the octets of a message: dots, line ends, limits
 *   smtp_slow      pauses: before the banner, before commands that wait
 *   smtp_misc      NOOP, HELP, QUIT, VRFY, EXPN, ETRN, unknown commands
 *   smtp_auth      AUTH, STARTTLS
 *   smtp_xclient   XCLIENT, XFORWARD */
#ifndef LMI_SMTP_INTERNAL_H
#define LMI_SMTP_INTERNAL_H

#include "base/base_internal.h"
#include "sasl/sasl_internal.h"

#include <libmail/smtp.h>

/* ---- Setup ----------------------------------------------------------------------------------- */

typedef struct lmi_smtp_text {
    uint16_t code;
    uint16_t text_len;
    uint8_t enhanced_len;
    const char *enhanced;
    const char *text;
} lmi_smtp_text;

struct lmail_smtp_server_setup {
    lmail_smtp_server_config config; /* defaults filled in */
    lmail_smtp_server_handler handler;
    uint64_t flags; /* LMAIL_SMTP_* of every session's begin */
    lmi_smtp_text texts[LMAIL_SMTP_SAY_COUNT];
    size_t size; /* of the block, with the copied texts behind this struct */
};

void lmi_smtp_default_texts(lmi_smtp_text *texts);

/* ---- Session --------------------------------------------------------------------------------- */

typedef enum lmi_smtp_state {
    LMI_SMTP_START,    /* on_connect is not answered */
    LMI_SMTP_GREETED,  /* no HELO yet */
    LMI_SMTP_READY,    /* no transaction */
    LMI_SMTP_MAIL,     /* MAIL accepted, no recipient yet */
    LMI_SMTP_RCPT,     /* at least one recipient accepted */
    LMI_SMTP_CHUNKS,   /* between two BDAT of one message */
    LMI_SMTP_REFUSING, /* CONNECT_REFUSE */
    LMI_SMTP_DATA,     /* receiving a message by DATA */
    LMI_SMTP_BDAT,     /* receiving the octets of one BDAT */
    LMI_SMTP_AUTH,     /* the next line is a SASL response */
    LMI_SMTP_OVER
} lmi_smtp_state;

typedef enum lmi_smtp_command {
    LMI_SMTP_UNKNOWN,
    LMI_SMTP_HELO,
    LMI_SMTP_EHLO,
    LMI_SMTP_LHLO,
    LMI_SMTP_CMD_MAIL,
    LMI_SMTP_CMD_RCPT,
    LMI_SMTP_CMD_DATA,
    LMI_SMTP_CMD_BDAT,
    LMI_SMTP_RSET,
    LMI_SMTP_NOOP,
    LMI_SMTP_QUIT,
    LMI_SMTP_VRFY,
    LMI_SMTP_EXPN,
    LMI_SMTP_HELP,
    LMI_SMTP_ETRN,
    LMI_SMTP_STARTTLS,
    LMI_SMTP_CMD_AUTH,
    LMI_SMTP_CMD_XCLIENT,
    LMI_SMTP_CMD_XFORWARD,
    LMI_SMTP_COMMANDS
} lmi_smtp_command;

/* Which question is out. */
typedef enum lmi_smtp_asked {
    LMI_SMTP_ASKED_CONNECT,
    LMI_SMTP_ASKED_HELO,
    LMI_SMTP_ASKED_MAIL,
    LMI_SMTP_ASKED_RCPT,
    LMI_SMTP_ASKED_START,
    LMI_SMTP_ASKED_BODY,
    LMI_SMTP_ASKED_END,
    LMI_SMTP_ASKED_VRFY,
    LMI_SMTP_ASKED_EXPN,
    LMI_SMTP_ASKED_ETRN,
    LMI_SMTP_ASKED_RESET,
    LMI_SMTP_ASKED_QUIT,
    LMI_SMTP_ASKED_UNKNOWN,
    LMI_SMTP_ASKED_XCLIENT,
    LMI_SMTP_ASKED_XFORWARD,
    LMI_SMTP_ASKED_AUTH,
    LMI_SMTP_ASKED_COUNT
} lmi_smtp_asked;

/* The kinds of ticket: one for each answer type. */
enum { LMI_SMTP_KIND_REPLY = 1, LMI_SMTP_KIND_CONNECT, LMI_SMTP_KIND_AUTH };

/* Where the scanner of a message stands (smtp_scan.c). */
typedef struct lmi_smtp_scan {
    uint8_t place; /* LMI_SMTP_AT_* */
    uint8_t dots;  /* DATA: a dot at a line's begin is stuffing or the end */
    uint8_t in_header;
    uint8_t bare, nul;
    uint8_t line_empty; /* nothing of this line came yet */
    uint64_t octets;    /* of the message so far, CRLF form */
    uint64_t lines;     /* line ends in them */
    uint64_t header;    /* octets of the header so far */
    uint64_t header_lines;
} lmi_smtp_scan;

enum {
    LMI_SMTP_AT_LINE, /* at the begin of a line */
    LMI_SMTP_IN_LINE,
    LMI_SMTP_AT_CR,    /* behind a CR */
    LMI_SMTP_AT_DOT,   /* behind a dot at a line's begin */
    LMI_SMTP_AT_DOT_CR /* behind that dot and a CR */
};

typedef struct lmi_smtp_refusal {
    lmail_smtp_reply_id id; /* of the table; NONE: the host's, below */
    uint8_t set;
    uint16_t code;
    uint16_t enhanced_len, text_len;
    char *text; /* enhanced, then text */
} lmi_smtp_refusal;

struct lmail_smtp_server {
    struct lmail_session base;
    const lmail_smtp_server_setup *setup;
    lmi_line line;
    lmi_smtp_state state;             /* written in smtp_machine.c alone */
    lmi_smtp_state next;              /* of the command being handled */
    uint64_t flags;                   /* the setup's, with on_connect's changes */
    uint8_t hello;                    /* lmail_smtp_hello */
    uint8_t transaction;              /* MAIL was accepted, on_abandon or the last end is due */
    uint8_t body_type;                /* lmail_smtp_body_type */
    uint8_t smtputf8;                 /* of the transaction */
    uint8_t started_body;             /* on_body_start was answered yes */
    uint8_t rcpt_tried;               /* some RCPT was refused */
    uint8_t last_chunk;               /* BDAT ... LAST */
    uint8_t close_after;              /* the reply of this command is the last */
    uint8_t body_bad;                 /* a limit or rule is broken: nothing more goes to the host */
    lmail_smtp_reply_id chunk_refuse; /* this BDAT is out of order: said when its octets are gone */
    uint8_t asked;                    /* lmi_smtp_asked, while base.holding */
    uint8_t anew;                     /* XCLIENT was accepted: on_connect is due again */
    uint8_t banner_waits;             /* on_connect was answered with a pause, which lasts */
    uint32_t recipients;              /* accepted */
    uint32_t recipients_bad;          /* refused, in this transaction */
    uint32_t noop_commands;           /* of the session, and the like of NOOP */
    uint32_t ends_done;               /* of ends_total */
    uint32_t ends_total;              /* replies due for the message that is whole; 0: none */
    uint64_t chunk_left;              /* octets of this BDAT */
    uint64_t chunk_size;
    lmi_smtp_scan scan;
    lmi_smtp_refusal body_refusal;    /* why the message will be refused */
    lmi_smtp_refusal connect_refusal; /* REFUSING: what most commands get */
    lmi_smtp_refusal banner;          /* while banner_waits */
    char *slow;                       /* a command line that waits, while base.pausing */
    size_t slow_len;
    lmi_sasl sasl;
    char *helo_name;
    size_t helo_len, helo_cap;
    lmail_smtp_counters counters;
    lmail_smtp_error error;
    lmail_str argument;  /* %A while a command is handled */
    const char *command; /* the line being handled, for offsets */
};

/* ---- Replies (smtp_reply.c) ------------------------------------------------------------------ */

/* A reply of the table. `octets` is %O; %A is s->argument. */
lmail_status lmi_smtp_say(lmail_smtp_server *s, lmail_smtp_reply_id id, uint64_t octets);
/* The same without the last line's mark: "250-". For EHLO. */
lmail_status lmi_smtp_say_more(lmail_smtp_server *s, lmail_smtp_reply_id id);
/* One line "250-text" or "250 text" without an enhanced code. */
lmail_status lmi_smtp_say_line(lmail_smtp_server *s, unsigned code, lmail_str text, int last);
/* The host's reply, checked before; code 0 says the table's `id`. */
lmail_status lmi_smtp_say_host(lmail_smtp_server *s, const lmail_smtp_reply *r,
                               lmail_smtp_reply_id id, uint64_t octets);
/* May it be written? OK, ERR_ARG or ERR_SIZE. */
lmail_status lmi_smtp_check_reply(const lmail_smtp_reply *r);
int lmi_smtp_text_ok(lmail_str text); /* no control octets */
int lmi_smtp_enhanced_ok(lmail_str enhanced, unsigned code);
/* Does this reply say yes? 2xx, 354, or the default. */
int lmi_smtp_is_yes(const lmail_smtp_reply *r);
/* Refusals that are kept to be said later. */
void lmi_smtp_refuse_later(lmi_smtp_refusal *f, lmail_smtp_reply_id id);
lmail_status lmi_smtp_keep_reply(lmail_smtp_server *s, lmi_smtp_refusal *f,
                                 const lmail_smtp_reply *r, lmail_smtp_reply_id id);
lmail_status lmi_smtp_say_refusal(lmail_smtp_server *s, const lmi_smtp_refusal *f);
void lmi_smtp_refusal_done(lmail_smtp_server *s, lmi_smtp_refusal *f);

/* ---- The machine (smtp_machine.c) ------------------------------------------------------------ */

void lmi_smtp_enter(lmail_smtp_server *s, lmi_smtp_state state);
/* To the state that the command's row names. */
void lmi_smtp_advance(lmail_smtp_server *s);
/* READY or GREETED (or REFUSING): where a session without a transaction is. */
void lmi_smtp_enter_idle(lmail_smtp_server *s);
const char *lmi_smtp_state_name(lmi_smtp_state state);
/* Run one command line. */
lmail_status lmi_smtp_command_line(lmail_smtp_server *s, lmail_str line);
/* Refuse this command with a reply of the table; counts as a bad command when it is the client's
 * fault. `at` lies in the line, or is NULL. */
lmail_status lmi_smtp_refuse(lmail_smtp_server *s, lmail_smtp_reply_id id, lmail_str argument,
                             const char *at);
/* The verb and what is behind it. */
lmi_smtp_command lmi_smtp_split(lmail_str line, lmail_str *verb, lmail_str *args);
lmail_str lmi_smtp_trim(lmail_str s);

/* ---- Session plumbing (smtp_server.c) -------------------------------------------------------- */

/* Say farewell with a table reply and close. */
lmail_status lmi_smtp_farewell(lmail_smtp_server *s, lmail_smtp_reply_id id);
void lmi_smtp_close(lmail_smtp_server *s, lmail_smtp_abandon why);
/* The transaction is over without a message, if there was one. */
void lmi_smtp_abandon(lmail_smtp_server *s, lmail_smtp_abandon why);
/* The transaction is over, the host knows it already. */
void lmi_smtp_end_transaction(lmail_smtp_server *s);

/* ---- Pauses (smtp_slow.c) -------------------------------------------------------------------- */

/* Must this command wait before it is obeyed? Counts it. */
int lmi_smtp_must_wait(lmail_smtp_server *s, lmail_str line);
/* Keep the line until the timer. OK or ERR_NOMEM. */
lmail_status lmi_smtp_wait(lmail_smtp_server *s, lmail_str line);
/* The pause is over: the line that waited, to be given to lmi_smtp_slow_done; 0: none. */
int lmi_smtp_slow_line(lmail_smtp_server *s, lmail_str *line);
void lmi_smtp_slow_done(lmail_smtp_server *s, lmail_str line);
/* The banner, now or behind a pause. */
lmail_status lmi_smtp_greet(lmail_smtp_server *s, const lmail_smtp_connect_answer *a);
/* The pause before it is over, or the client spoke in it. */
lmail_status lmi_smtp_greet_now(lmail_smtp_server *s, int early);

/* ---- Questions (smtp_question.c) ------------------------------------------------------------- */

/* A question whose answer is an lmail_smtp_reply, with a copy of the event at (*q)->data. What the
 * event points to is the caller's to copy into the arena. OK, ERR_LIMIT (max_pending),
 * ERR_NOMEM. */
lmail_status lmi_smtp_question(lmail_smtp_server *s, const void *event, size_t size,
                               lmi_question **q);
/* The same for a command: where no ticket can be had the peer is told so, and *q is NULL. */
lmail_status lmi_smtp_ask(lmail_smtp_server *s, const void *event, size_t size, lmi_question **q);
/* Defines function(s, q): show the event at q->data to a callback that is there, and settle. */
#define LMI_SMTP_CALL(function, callback, event, what)                                             \
    static lmail_status function(lmail_smtp_server *s, lmi_question *q)                            \
    {                                                                                              \
        lmail_smtp_reply r = lmi_smtp_default;                                                     \
        const event *ev = q->data;                                                                 \
        lmi_callback_begin(&s->base);                                                              \
        lmail_status st = s->setup->handler.callback(s, s->base.user, q->ticket, ev, &r);          \
        lmi_callback_end(&s->base);                                                                \
        return lmi_smtp_settle(s, q, what, st, &r);                                                \
    }                                                                                              \
    struct lmi_ends_with_a_semicolon

/* Memory for the event failed and the host has not seen the ticket: forget it. Returns
 * ERR_NOMEM. */
lmail_status lmi_smtp_drop(lmail_smtp_server *s, lmi_question *q);
/* What stands for no callback: the default success. */
extern const lmail_smtp_reply lmi_smtp_default;
/* What stands for a callback's error return: HOST_ERROR of the table. */
extern const lmail_smtp_reply lmi_smtp_host_error;
/* The callback returned st: apply its reply, or leave the question out. */
lmail_status lmi_smtp_settle(lmail_smtp_server *s, lmi_question *q, lmi_smtp_asked what,
                             lmail_status st, const lmail_smtp_reply *r);
/* Apply an answer, now or late. */
lmail_status lmi_smtp_apply(lmail_smtp_server *s, lmi_smtp_asked what, const lmi_question *q,
                            const lmail_smtp_reply *r);
/* A slice into `from` becomes one into its copy. */
void lmi_smtp_rebase(lmail_str *slice, lmail_str from, const char *copy);

/* ---- Commands -------------------------------------------------------------------------------- */

typedef lmail_status lmi_smtp_handler_fn(lmail_smtp_server *s, lmail_str verb, lmail_str args);
lmi_smtp_handler_fn lmi_smtp_do_hello, lmi_smtp_do_mail, lmi_smtp_do_rcpt, lmi_smtp_do_rset,
    lmi_smtp_do_data, lmi_smtp_do_bdat, lmi_smtp_do_noop, lmi_smtp_do_help, lmi_smtp_do_quit,
    lmi_smtp_do_argument, lmi_smtp_do_auth, lmi_smtp_do_starttls, lmi_smtp_do_xclient,
    lmi_smtp_do_xforward;

/* May this peer give CMD_XCLIENT or CMD_XFORWARD? */
int lmi_smtp_offers_x(const lmail_smtp_server *s, lmi_smtp_command c);

typedef lmail_status lmi_smtp_apply_fn(lmail_smtp_server *s, const lmi_question *q,
                                       const lmail_smtp_reply *r);
lmi_smtp_apply_fn lmi_smtp_apply_helo, lmi_smtp_apply_mail, lmi_smtp_apply_rcpt,
    lmi_smtp_apply_start, lmi_smtp_apply_body, lmi_smtp_apply_end, lmi_smtp_apply_vrfy,
    lmi_smtp_apply_expn, lmi_smtp_apply_etrn, lmi_smtp_apply_reset, lmi_smtp_apply_quit,
    lmi_smtp_apply_unknown, lmi_smtp_apply_xclient, lmi_smtp_apply_xforward;

lmail_status lmi_smtp_apply_connect(lmail_smtp_server *s, const lmail_smtp_connect_answer *a);

/* The octets of a message, in states DATA and BDAT. */
lmail_status lmi_smtp_take_body(lmail_smtp_server *s, lmail_str in, size_t *used);
/* After an answer: end the BDAT whose last octets were pending, ask the ends that are due (LMTP:
 * one a recipient), while none is out. */
lmail_status lmi_smtp_go_on(lmail_smtp_server *s);

/* A line in state AUTH; a line too long or malformed there; the exchange is over without
 * outcome. */
lmail_status lmi_smtp_auth_line(lmail_smtp_server *s, lmail_str line);
lmail_status lmi_smtp_auth_broken(lmail_smtp_server *s, lmail_smtp_reply_id id);
lmail_status lmi_smtp_apply_auth(lmail_smtp_server *s, const lmail_auth_answer *a);
void lmi_smtp_auth_gone(lmail_smtp_server *s);
lmail_str lmi_smtp_mechanisms(lmail_smtp_server *s);

/* ---- Parsers --------------------------------------------------------------------------------- */

typedef struct lmi_smtp_rules {
    uint64_t flags; /* LMAIL_SMTP_SMTPUTF8 (octets above 127 may come), LMAIL_SMTP_ALLOW_* */
    size_t max_path, max_local_part;
} lmi_smtp_rules;

/* A path at the begin of `in`: `<...>`, or without brackets if the rules allow. *used octets were
 * taken. SAY_NONE when it is good; otherwise a reply, with *used at the offender. `reverse`: <> is
 * allowed; otherwise <postmaster> is allowed without a domain (RFC 5321 §4.5.1). */
lmail_smtp_reply_id lmi_smtp_parse_path(lmail_str in, const lmi_smtp_rules *rules, int reverse,
                                        lmail_smtp_address *out, size_t *used);
/* A whole domain or address literal. 1 when it is one. */
int lmi_smtp_is_domain(lmail_str in, uint64_t flags);
int lmi_smtp_is_literal(lmail_str in);

/* Scans from in[0]. Octets in[from..from+len) belong to the message and are to be handed on; *used
 * were taken. Returns 1 at the end of DATA. One call finds at most one run. */
int lmi_smtp_scan_octets(lmi_smtp_scan *c, lmail_str in, size_t *from, size_t *len, size_t *used);
void lmi_smtp_scan_begin(lmi_smtp_scan *c, int dots);

/* Parameters behind a path. SAY_NONE, or a reply with *bad the keyword. Values stay as written;
 * decoding is lmi_smtp_xtext_decode's. */
lmail_smtp_reply_id lmi_smtp_mail_params(const lmail_smtp_server *s, lmail_str in,
                                         lmail_smtp_mail_event *ev, lmail_str *bad, int auth_known);
lmail_smtp_reply_id lmi_smtp_rcpt_params(const lmail_smtp_server *s, lmail_str in,
                                         lmail_smtp_rcpt_event *ev, lmail_str *bad);
/* A keyword with or without a value, behind a blank. Parses at the front of *in and moves it on. 1:
 * *p is one, 0: none is left, -1: syntax. */
typedef struct lmi_smtp_param {
    lmail_str keyword, value;
    int has_value;
} lmi_smtp_param;
int lmi_smtp_next_param(lmail_str *in, lmi_smtp_param *p);
int lmi_smtp_is_xtext(lmail_str s);
/* May this stand behind HELO and EHLO in this session? */
int lmi_smtp_helo_ok(const lmail_smtp_server *s, lmail_str name);
/* The client is as if it had said hello so. OK or ERR_NOMEM. */
lmail_status lmi_smtp_assume_hello(lmail_smtp_server *s, lmail_smtp_hello verb, lmail_str name);
/* In place: the result is never longer. RFC 3461 §4, RFC 6533 §3 for "utf-8" (unicode not 0). */
lmail_str lmi_smtp_xtext_decode(char *text, size_t len, int unicode);

#endif
