/* pop3_internal.h - what the files of the POP3 server share.
 *
 *   pop3_setup.c        configuration and callbacks, checked and copied once
 *   pop3_server.c       life, states, the command table, input, time
 *   pop3_greeting.c     on_connect, the banner
 *   pop3_reply.c        every status line
 *   pop3_login.c        USER, PASS, APOP, AUTH, and opening the maildrop
 *   pop3_commands.c     CAPA, STLS, UTF8, LANG, STAT, DELE, NOOP, RSET, QUIT
 *   pop3_listing.c      LIST and UIDL, written while there is room
 *   pop3_retrieve.c     RETR and TOP: pulling, dot-stuffing, cutting
 *   pop3_maildrop.c     packed sizes, marks
 */
#ifndef LMI_POP3_INTERNAL_H
#define LMI_POP3_INTERNAL_H

#include "base/base_internal.h"
#include "sasl/sasl_internal.h"

#include <libmail/pop3.h>

/* ---- Setup ----------------------------------------------------------------------------------- */

typedef struct lmi_pop3_language {
    lmail_str tag, name;
    lmail_str texts[LMAIL_POP3_TEXT_COUNT];
} lmi_pop3_language;

struct lmail_pop3_server_setup {
    lmail_alloc alloc;
    lmi_arena arena;
    lmail_pop3_server_config cfg; /* defaults filled in; slices in the arena */
    lmail_pop3_server_handler on;
    lmail_env env;                /* what cfg.env points to */
    uint64_t flags;               /* LMAIL_POP3_* of every session's begin */
    lmi_pop3_language *languages; /* one at least */
    size_t language_count;
};

int lmi_pop3_text_fits(lmail_str text); /* printable, one line, at most 400 octets */

/* ---- Maildrop -------------------------------------------------------------------------------- */

#define LMI_POP3_BLOCK 256u

/* The sizes of 256 messages, each in `width` octets. */
typedef struct lmi_pop3_block {
    unsigned char *octets;
    uint16_t count;
    uint8_t width;
} lmi_pop3_block;

enum { LMI_POP3_DELETED, LMI_POP3_READ, LMI_POP3_MARKS };

typedef struct lmi_pop3_maildrop {
    lmi_pop3_block *blocks;
    size_t block_cap;
    uint64_t *filling; /* sizes of the block that is not full yet, while the maildrop is opened */
    uint32_t count, deleted;
    uint64_t octets, deleted_octets;
    unsigned char *marks[LMI_POP3_MARKS]; /* bit sets, made when the first bit is set */
} lmi_pop3_maildrop;

lmail_status lmi_pop3_maildrop_add(lmi_pop3_maildrop *m, const lmail_alloc *a, uint64_t size);
lmail_status lmi_pop3_maildrop_seal(lmi_pop3_maildrop *m, const lmail_alloc *a); /* none follow */
void lmi_pop3_maildrop_done(lmi_pop3_maildrop *m, const lmail_alloc *a);
uint64_t lmi_pop3_size(const lmi_pop3_maildrop *m, uint32_t number); /* of a sealed maildrop */
int lmi_pop3_marked(const lmi_pop3_maildrop *m, unsigned which, uint32_t number);
lmail_status lmi_pop3_mark(lmi_pop3_maildrop *m, const lmail_alloc *a, unsigned which,
                           uint32_t number);
void lmi_pop3_unmark_deleted(lmi_pop3_maildrop *m, const lmail_alloc *a);

/* ---- Session --------------------------------------------------------------------------------- */

enum {
    LMI_POP3_Q_CONNECT = 1,
    LMI_POP3_Q_AUTH,
    LMI_POP3_Q_MAILDROP,
    LMI_POP3_Q_UIDL,
    LMI_POP3_Q_OCTETS,
    LMI_POP3_Q_UPDATE
};

/* What runs over several calls: listings and message bodies. */
typedef enum lmi_pop3_job {
    LMI_POP3_IDLE,
    LMI_POP3_LIST,
    LMI_POP3_UIDL,
    LMI_POP3_BODY
} lmi_pop3_job;

/* The message that is going out. */
typedef struct lmi_pop3_body {
    uint64_t offset; /* of the next octet to ask for */
    uint64_t size;
    uint64_t lines; /* TOP: body lines still to send */
    size_t want;    /* of the question out */
    uint8_t top;
    uint8_t line_start; /* the next octet begins a line */
    uint8_t last_cr;    /* the last octet was CR */
    uint8_t ends_crlf;  /* what went out ends with CRLF */
    uint8_t in_body;    /* TOP: the empty line was seen */
    uint8_t line_text;  /* TOP: this header line holds more than a CR */
} lmi_pop3_body;

struct lmail_pop3_server {
    lmail_session base;
    const lmail_pop3_server_setup *setup;
    const lmi_pop3_language *language;
    lmi_line line;
    lmi_sasl sasl;
    lmail_pop3_state state;
    uint64_t flags; /* the setup's, with on_connect's changes */
    uint8_t utf8;
    uint8_t by_sasl;   /* the question out is a SASL step, not a login */
    uint8_t user_just; /* USER was the command before */
    uint8_t known;     /* name is the account that the client acts as */
    uint8_t job;       /* lmi_pop3_job */
    uint8_t single;    /* the job is about one message */
    uint8_t begun;     /* the job's first line is written */
    uint32_t number;   /* the job's next message */
    uint32_t bad_commands, auth_failures;
    size_t unsent_seen; /* output at the timer's last look */
    lmail_msec login_until;
    char *name; /* of USER, then of the account */
    size_t name_len;
    char *timestamp; /* of APOP, with its brackets */
    size_t timestamp_len;
    uint32_t login_delay;
    lmail_pop3_expire expire;
    uint32_t expire_days;
    lmi_pop3_maildrop drop;
    lmi_pop3_body body;
    lmail_pop3_counters counters;
};

/* greeting */
lmail_status lmi_pop3_start(lmail_session *base);

/* server */
void lmi_pop3_enter(lmail_pop3_server *s, lmail_pop3_state state);
lmail_status lmi_pop3_error(lmail_pop3_server *s, lmail_pop3_text text); /* a refused command */
void lmi_pop3_hear(lmail_pop3_server *s);        /* something happened: the timer starts again */
lmail_status lmi_pop3_end(lmail_pop3_server *s); /* all is said: close */
/* A command was run or an answer taken: the timer starts again; when stop was called meanwhile and
 * nothing is open, farewell. */
lmail_status lmi_pop3_over(lmail_pop3_server *s);
/* Run the job while there is room. */
lmail_status lmi_pop3_run(lmail_pop3_server *s);
/* Split off one argument at the next single space: OK, END (nothing left), ERR_SYNTAX. */
lmail_status lmi_pop3_next_arg(lmail_str *rest, lmail_str *arg);
lmail_status lmi_pop3_keep_name(lmail_pop3_server *s, lmail_str name);

/* reply; the numbers that a text may name */
typedef struct lmi_pop3_values {
    uint64_t n, o;
} lmi_pop3_values;

/* A text of the table in the session's language, cut to cap. Returns its octets. */
size_t lmi_pop3_words(const lmail_pop3_server *s, lmail_pop3_text text, lmi_pop3_values v,
                      char *out, size_t cap);
/* +OK or -ERR, then `fixed`, then `given` or else the text; each may be empty. */
lmail_status lmi_pop3_status_line(lmail_pop3_server *s, int ok, lmail_str fixed,
                                  lmail_pop3_text text, lmail_str given, lmi_pop3_values v);
lmail_status lmi_pop3_ok(lmail_pop3_server *s, lmail_pop3_text text, lmi_pop3_values v);
lmail_status lmi_pop3_err(lmail_pop3_server *s, const char *code, lmail_pop3_text text,
                          lmi_pop3_values v);
lmail_status lmi_pop3_failed(lmail_pop3_server *s, lmail_pop3_failure failure, lmail_str given,
                             uint32_t number);
lmail_status lmi_pop3_auth_failed(lmail_pop3_server *s, lmail_auth_failure failure,
                                  lmail_str given);
int lmi_pop3_failure_valid(lmail_pop3_failure failure, lmail_str text);

/* commands: `args` is what follows the keyword and its space; ptr NULL when nothing does */
typedef lmail_status lmi_pop3_handler(lmail_pop3_server *s, lmail_str args);
lmi_pop3_handler lmi_pop3_user, lmi_pop3_pass, lmi_pop3_apop, lmi_pop3_auth, lmi_pop3_capa,
    lmi_pop3_stls, lmi_pop3_utf8, lmi_pop3_lang, lmi_pop3_stat, lmi_pop3_list, lmi_pop3_uidl,
    lmi_pop3_retr, lmi_pop3_top, lmi_pop3_dele, lmi_pop3_noop, lmi_pop3_rset, lmi_pop3_quit;

lmail_status lmi_pop3_auth_line(lmail_pop3_server *s, lmail_str line);
lmail_status lmi_pop3_auth_broken(lmail_pop3_server *s); /* a line that can be no response */
void lmi_pop3_auth_gone(lmail_pop3_server *s);
int lmi_pop3_user_allowed(const lmail_pop3_server *s);
lmail_str lmi_pop3_mechanisms(const lmail_pop3_server *s);
lmail_status lmi_pop3_list_some(lmail_pop3_server *s);
lmail_status lmi_pop3_uidl_some(lmail_pop3_server *s);
lmail_status lmi_pop3_body_some(lmail_pop3_server *s);
/* A message-number that may be used now: OK, or END after the refusal is written. */
lmail_status lmi_pop3_number(lmail_pop3_server *s, lmail_str arg, uint32_t *number);

#endif
