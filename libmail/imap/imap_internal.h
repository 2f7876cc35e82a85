/* imap_internal.h - how the IMAP server is built, for those who add to it.
 *
 *   imap_input.c     octets -> commands: lines and literals, refused literals, raw lines (IDLE,
 *                    SASL)
 *   imap_table.c     the commands: name, states, flags, handler
 *   imap_run.c       running one command: steps, its end, the tagged line, limits on bad commands
 *   imap_question.c  asking the host and taking its answers, now or late
 *   imap_parse*.c    reading arguments
 *   imap_out.c       writing responses, through one quoting function
 *   imap_view.c      sequence numbers
 *   imap_update.c    what the client is told unasked, and when
 *   imap_cmd_*.c     one file a group of commands
 *   imap_setup.c     configuration and handler made into the setup
 *   imap_server.c    session, greeting, timers
 *
 * A command. When it has been read whole (its literals lie in the same buffer as its text), `run`
 * is called once. It parses with the lmi_imap_ functions below and then either calls
 * lmi_imap_finish*, or sets s->step. The core calls s->step again and again until the command is
 * finished; it rests while a question is out and while output is over its mark. So a step does one
 * thing - ask one question, write one slice - and never looks at the output mark or cares whether
 * an answer was late. What a command remembers between steps lives in s->cmd.data, in the command
 * arena (s->arena).
 *
 * A question. lmi_imap_ask_X(s, &event, then) copies the event, calls the host, and calls `then`
 * with the answer at once or later. `then` notes what it needs and may write; it asks nothing
 * itself. Events may point into the command's memory, which lives until the command ends.
 *
 * How extensions drop in:
 *   a command        a row in imap_table.c and a file imap_cmd_NAME.c
 *   a capability     a bit in imap.h and a line in the list of imap_cmd_any.c; if ENABLE turns it
 *                    on, a bit LMI_ENABLED_* and a line in imap_cmd_enable.c
 *   a SELECT or LIST option, a STATUS item
 *                    a row in the table of words of that command's file
 *   another kind of untagged news
 *                    a pending list in imap_view.h, a part in imap_update.c
 *   a command that streams literals
 *                    a `literal` hook as in imap_cmd_append.c
 *   a command in a state of its own (like IDLE)
 *                    a line hook (s->line_hook)
 *   IMAP4rev2        is s->enabled & LMI_ENABLED_REV2: the writers that differ ask it, nothing
 *                    else */
#ifndef LMI_IMAP_INTERNAL_H
#define LMI_IMAP_INTERNAL_H

#include "base/base_internal.h"
#include "imap/imap_view.h"
#include "sasl/sasl_internal.h"

#include <libmail/imap.h>

typedef struct lmail_imap_server lmi_imap;

struct lmail_imap_server_setup {
    lmail_imap_server_config config; /* defaults filled in, texts copied behind this struct */
    lmail_imap_server_handler handler;
    lmail_env env;  /* what config.env points to */
    uint64_t flags; /* LMAIL_IMAP_* of every session's begin */
    lmail_alloc alloc;
    size_t total; /* octets of this block */
};

/* ---- Commands -------------------------------------------------------------------------------- */

enum {
    LMI_ROW_UID = 1,      /* there is a UID form */
    LMI_ROW_UID_ONLY = 2, /* there is no form without UID */
    LMI_ROW_QUIET = 4,    /* without UID, no EXPUNGE may be told (RFC 3501 §7.4.1) */
    LMI_ROW_SECRET = 8,   /* arguments are kept out of the trace and wiped */
    LMI_ROW_WRITES = 16   /* needs a mailbox selected for writing */
};

/* How an announced literal is to be taken. */
typedef enum lmi_imap_take {
    LMI_TAKE_GATHER, /* into the command's buffer */
    LMI_TAKE_STREAM, /* the hook has taken over; s->stream_* are set */
    LMI_TAKE_REFUSED /* lmi_imap_refuse was called */
} lmi_imap_take;

/* A literal announced at the end of a line. */
typedef struct lmi_imap_literal {
    uint64_t octets;
    unsigned sync;   /* the client waits for "+" */
    unsigned binary; /* "~{n}" */
    size_t at;       /* where "{" or "~" stands in the text */
} lmi_imap_literal;

typedef struct lmi_imap_row {
    lmail_str name;
    unsigned states; /* LMAIL_IMAP_STATE_* */
    unsigned flags;  /* LMI_ROW_* */
    uint64_t cap;    /* switched off with this capability; 0: always there */
    lmail_status (*run)(lmi_imap *s);
    lmail_status (*literal)(lmi_imap *s, const lmi_imap_literal *l, lmi_imap_take *take);
} lmi_imap_row;

/* NULL when there is none. */
const lmi_imap_row *lmi_imap_row_find(lmail_str name);

/* Reads arguments out of text with literals in it: "{n}" CRLF and n octets. */
typedef struct lmi_imap_args {
    const char *ptr;
    size_t len, at;
    lmi_arena *arena;     /* for what cannot be a slice of the text */
    const char *expected; /* after ERR_SYNTAX: what should have stood at `at` */
    const lmail_imap_server_config *config;
} lmi_imap_args;

typedef enum lmi_imap_kind { LMI_OK, LMI_NO, LMI_BAD, LMI_BYE } lmi_imap_kind;

typedef struct lmi_imap_cmd {
    const lmi_imap_row *row;
    unsigned uid;     /* the UID form */
    unsigned running; /* from `run` (or a literal hook that takes over) to the tagged line */
    size_t tag_len;   /* the tag stands at the start of s->text; 0: there is none, "*" */
    size_t args_at;   /* behind the name in s->text */
    lmi_imap_args args;
    void *data;
    /* how it ends, once known */
    lmi_imap_kind kind;
    lmail_imap_code code;
    lmail_str text;                /* static, or in the arena */
    void (*put_code)(lmi_imap *s); /* writes a response code of its own, before `code` */
    uint32_t number;               /* its UIDVALIDITY; its sets are mbox.arg and arg2 */
    unsigned then_tls;             /* after the tagged line TLS starts */
    unsigned told_gone;            /* rows were missing: EXPUNGEISSUED */
    lmail_uid_range *slice;        /* of lmi_imap_tell_flags */
} lmi_imap_cmd;

/* ---- The session ----------------------------------------------------------------------------- */

typedef enum lmi_imap_mode {
    LMI_MODE_LINE,    /* a line of a command, or for s->line_hook */
    LMI_MODE_LITERAL, /* s->left octets into the command's buffer */
    LMI_MODE_STREAM,  /* s->left octets to s->stream_octets */
    LMI_MODE_SKIP,    /* s->left octets of a refused literal */
    LMI_MODE_DISCARD  /* the rest of a line that was refused */
} lmi_imap_mode;

enum { LMI_ENABLED_REV2 = 1, LMI_ENABLED_UTF8 = 2 };

struct lmail_imap_server {
    lmail_session base;
    const lmail_imap_server_setup *setup;
    lmail_imap_state state;
    uint64_t flags;      /* LMAIL_IMAP_*: the setup's, with on_connect's changes */
    unsigned enabled;    /* LMI_ENABLED_* */
    lmail_status failed; /* first error of a writer; ends the session */

    /* input */
    lmi_line line;
    lmi_imap_mode mode;
    unsigned refused; /* the command is only read to its end; cmd.kind and so on say why */
    uint64_t left;
    char tail[32]; /* last octets of a line that is being discarded */
    uint8_t tail_len;
    char *text; /* the command: tag, and what follows it, literals included */
    size_t text_len, text_cap;
    lmi_arena arena; /* of the command */
    lmi_imap_cmd cmd;
    lmail_status (*step)(lmi_imap *s);
    lmail_status (*line_hook)(lmi_imap *s, lmail_str line);
    lmail_status (*stream_octets)(lmi_imap *s, lmail_str octets);
    void (*abort)(lmi_imap *s); /* undo what the command began; until it ends with OK */

    /* who */
    lmi_sasl sasl;
    unsigned bad_commands, auth_failures;

    /* the selected mailbox */
    lmi_imap_mbox mbox;
    unsigned idling;
    lmail_uid told; /* updates: flags are told up to this UID */

    /* time */
    lmail_msec heard;         /* the last octet from the client */
    lmail_msec auth_deadline; /* LMAIL_NEVER after login */
    lmail_msec spoke;         /* the last octet for an idling client */
};

static inline const lmail_imap_server_config *lmi_imap_config(const lmi_imap *s)
{
    return &s->setup->config;
}

static inline int lmi_imap_has(const lmi_imap *s, uint64_t flag)
{
    return (s->flags & flag) != 0;
}

static inline const lmail_imap_server_handler *lmi_imap_handler(const lmi_imap *s)
{
    return &s->setup->handler;
}

/* imap_server.c: set base.due after anything that moves a deadline. */
void lmi_imap_set_timer(lmi_imap *s);

/* imap_input.c */
lmail_status lmi_imap_input(lmail_session *base, lmail_str in, size_t *used);
/* The command is not to be run: read to its end, then finish so. `text` is static or in the
 * arena. */
void lmi_imap_refuse(lmi_imap *s, lmi_imap_kind kind, lmail_imap_code code, lmail_str text);
/* For a literal hook that took over: the announced literal is wanted, or not. want: "+" is written
 * for a synchronising one and its octets go to s->stream_octets, which says PENDING when it asked a
 * question that holds. refuse: as lmi_imap_refuse, and a synchronising literal ends the command. */
void lmi_imap_stream_want(lmi_imap *s, const lmi_imap_literal *l);
void lmi_imap_stream_refuse(lmi_imap *s, const lmi_imap_literal *l, lmi_imap_kind kind,
                            lmail_imap_code code, lmail_str text);
/* Forget the command and be ready for the next. */
void lmi_imap_command_reset(lmi_imap *s);

/* ---- Running (imap_run.c) -------------------------------------------------------------------- */

/* The command has been read: check state, call run, drive. */
lmail_status lmi_imap_run(lmi_imap *s);
/* Call s->step until the command rests or is finished. */
lmail_status lmi_imap_drive(lmi_imap *s);

/* End the command: news that may be told are told, then the tagged line is written. Returns OK. */
lmail_status lmi_imap_finish(lmi_imap *s, lmi_imap_kind kind, lmail_imap_code code, lmail_str text);
/* OK with "NAME completed". */
lmail_status lmi_imap_finish_ok(lmi_imap *s);
/* As the host's answer says; `usual` is the code of a NO that has none. OK gives "NAME
 * completed". */
lmail_status lmi_imap_finish_result(lmi_imap *s, const lmail_imap_result *r, lmail_imap_code usual);
/* BAD with what the reader expected, for ERR_SYNTAX; NO [LIMIT] for ERR_LIMIT; passes ERR_NOMEM on.
 * So `if (st) return lmi_imap_finish_parse(s, st);` */
lmail_status lmi_imap_finish_parse(lmi_imap *s, lmail_status st);
/* "* BYE [code] text" and the end of the session. */
lmail_status lmi_imap_bye_code(lmi_imap *s, lmail_imap_code code, lmail_str text);
/* The same without a code. */
lmail_status lmi_imap_bye(lmi_imap *s, lmail_str text);
/* Memory of the command. NULL: *st says ERR_LIMIT or ERR_NOMEM. Zeroed. */
void *lmi_imap_get(lmi_imap *s, size_t size, lmail_status *st);

/* ---- Questions (imap_question.c) ------------------------------------------------------------- */

/* `answer` is the question's answer struct, `r` its result with a text that may be written. */
typedef lmail_status lmi_imap_then(lmi_imap *s, const void *answer, const lmail_imap_result *r);

enum {
    LMI_Q_PLAIN = 1,
    LMI_Q_AUTH,
    LMI_Q_NAMESPACE,
    LMI_Q_LIST,
    LMI_Q_STATUS,
    LMI_Q_SELECT,
    LMI_Q_FETCH,
    LMI_Q_OCTETS,
    LMI_Q_STORE,
    LMI_Q_SEARCH,
    LMI_Q_APPEND,
    LMI_Q_COPY,
    LMI_Q_EXPUNGE,
    LMI_Q_CONNECT
};

/* Each returns OK (answered, `then` has run), PENDING, or an error of the session. A NULL callback
 * gives NO [CANNOT]. */
lmail_status lmi_imap_ask_connect(lmi_imap *s, const lmail_imap_connect_event *ev,
                                  lmi_imap_then *then);
lmail_status lmi_imap_ask_namespace(lmi_imap *s, const lmail_imap_namespace_event *ev,
                                    lmi_imap_then *then);
lmail_status lmi_imap_ask_list(lmi_imap *s, const lmail_imap_list_event *ev, lmi_imap_then *then);
lmail_status lmi_imap_ask_status(lmi_imap *s, const lmail_imap_status_event *ev,
                                 lmi_imap_then *then);
lmail_status lmi_imap_ask_create(lmi_imap *s, const lmail_imap_create_event *ev,
                                 lmi_imap_then *then);
lmail_status lmi_imap_ask_delete(lmi_imap *s, const lmail_imap_delete_event *ev,
                                 lmi_imap_then *then);
lmail_status lmi_imap_ask_rename(lmi_imap *s, const lmail_imap_rename_event *ev,
                                 lmi_imap_then *then);
lmail_status lmi_imap_ask_subscribe(lmi_imap *s, const lmail_imap_subscribe_event *ev,
                                    lmi_imap_then *then);
lmail_status lmi_imap_ask_select(lmi_imap *s, const lmail_imap_select_event *ev,
                                 lmi_imap_then *then);
lmail_status lmi_imap_ask_close(lmi_imap *s, const lmail_imap_close_event *ev, lmi_imap_then *then);
lmail_status lmi_imap_ask_fetch(lmi_imap *s, const lmail_imap_fetch_event *ev, lmi_imap_then *then);
lmail_status lmi_imap_ask_store(lmi_imap *s, const lmail_imap_store_event *ev, lmi_imap_then *then);
lmail_status lmi_imap_ask_search(lmi_imap *s, const lmail_imap_search_event *ev,
                                 lmi_imap_then *then);
lmail_status lmi_imap_ask_append_begin(lmi_imap *s, const lmail_imap_append_begin_event *ev,
                                       lmi_imap_then *then);
lmail_status lmi_imap_ask_append_message(lmi_imap *s, const lmail_imap_append_message_event *ev,
                                         lmi_imap_then *then);
lmail_status lmi_imap_ask_append_octets(lmi_imap *s, const lmail_imap_append_octets_event *ev,
                                        lmi_imap_then *then);
lmail_status lmi_imap_ask_append_commit(lmi_imap *s, const lmail_imap_append_commit_event *ev,
                                        lmi_imap_then *then);
lmail_status lmi_imap_ask_copy(lmi_imap *s, const lmail_imap_copy_event *ev, lmi_imap_then *then);
lmail_status lmi_imap_ask_expunge(lmi_imap *s, const lmail_imap_expunge_event *ev,
                                  lmi_imap_then *then);
lmail_status lmi_imap_ask_poll(lmi_imap *s, const lmail_imap_poll_event *ev, lmi_imap_then *then);

/* on_octets: `then` gets the ticket, with which the octets are either written without a copy
 * (lmi_imap_put_octets) or, if they are only read, given back (lmi_imap_octets_release). */
typedef lmail_status lmi_imap_octets_then(lmi_imap *s, lmail_ticket ticket,
                                          const lmail_imap_octets_answer *answer);
lmail_status lmi_imap_ask_octets(lmi_imap *s, const lmail_imap_octets_event *ev,
                                 lmi_imap_octets_then *then);
void lmi_imap_put_octets(lmi_imap *s, lmail_str octets, lmail_ticket ticket);
void lmi_imap_octets_release(lmi_imap *s, lmail_ticket ticket);

/* on_login and on_auth are asked and answered in imap_cmd_auth.c. */

/* ---- Reading arguments (imap_parse.c, imap_parse_more.c) ------------------------------------- */

/* All return OK, ERR_SYNTAX (args->at and ->expected tell), ERR_LIMIT, ERR_NOMEM. Slices point into
 * the command's memory. */
void lmi_imap_args_init(lmi_imap_args *a, lmail_str text, lmi_arena *arena,
                        const lmail_imap_server_config *config);
lmail_status lmi_imap_expected(lmi_imap_args *a, const char *what); /* ERR_SYNTAX */
int lmi_imap_at_end(const lmi_imap_args *a);
int lmi_imap_peek(const lmi_imap_args *a);   /* the next octet, or -1 at the end */
int lmi_imap_skip(lmi_imap_args *a, char c); /* take c if it is next: 1 or 0 */
int lmi_imap_skip_word(lmi_imap_args *a,
                       lmail_str word); /* the same without case; the word ends there */
lmail_status lmi_imap_sp(lmi_imap_args *a);
lmail_status lmi_imap_char(lmi_imap_args *a, char c);
lmail_status lmi_imap_end(lmi_imap_args *a);
lmail_status lmi_imap_atom(lmi_imap_args *a, lmail_str *out);
lmail_status lmi_imap_astring(lmi_imap_args *a, lmail_str *out);
lmail_status lmi_imap_string(lmi_imap_args *a, lmail_str *out);  /* quoted or literal */
lmail_status lmi_imap_nstring(lmi_imap_args *a, lmail_str *out); /* NIL: ptr NULL */
lmail_status lmi_imap_number(lmi_imap_args *a, uint32_t *out);
lmail_status lmi_imap_number64(lmi_imap_args *a, uint64_t *out);
/* A mailbox name, decoded and checked. With `pattern`, wildcards may stand in it. */
lmail_status lmi_imap_mailbox(lmi_imap_args *a, lmail_str *out);
lmail_status lmi_imap_pattern(lmi_imap_args *a, lmail_str *out);
/* "(\Seen $word ...)" or without parentheses where `bare` allows it. Keywords in order,
 * once each. */
typedef struct lmi_imap_flags {
    lmail_flags system;
    lmail_str *names;
    size_t count;
} lmi_imap_flags;
lmail_status lmi_imap_flag_list(lmi_imap_args *a, int bare, lmi_imap_flags *out);
/* date-time: seconds since 1970 UTC and minutes east. */
lmail_status lmi_imap_date_time(lmi_imap_args *a, int64_t *seconds, int *zone);
/* date of SEARCH: days since 1970-01-01. */
lmail_status lmi_imap_date(lmi_imap_args *a, int32_t *day);
/* sequence-set; 0 stands for "*". */
typedef struct lmi_imap_seq {
    uint32_t first, last;
} lmi_imap_seq;
typedef struct lmi_imap_set {
    lmi_imap_seq *parts;
    size_t count;
} lmi_imap_set;
lmail_status lmi_imap_sequence_set(lmi_imap_args *a, lmi_imap_set *out);
/* SP sequence-set SP: so begin FETCH, STORE, COPY and MOVE. */
lmail_status lmi_imap_set_between(lmi_imap_args *a, lmi_imap_set *out);
/* The messages that a set names, as UIDs: in mbox.arg, or the view's own set when it is all of
 * them, so they stand until the command ends. uid: the numbers are UIDs, and unknown ones are
 * passed over; otherwise a number above the last message is ERR_SYNTAX. Sorts set->parts. */
lmail_status lmi_imap_set_resolve(lmi_imap *s, lmi_imap_set *set, int uid, lmail_uid_set *out);

/* What the text is made of (RFC 9051 §9). */
int lmi_imap_is_atom_char(char c);
int lmi_imap_is_astring_char(char c);
int lmi_imap_is_tag_char(char c);
/* A literal announced at the end of a line? 1 or 0. */
int lmi_imap_literal_at_end(lmail_str line, lmi_imap_literal *out);

/* Days since 1970-01-01 of a date of the Gregorian calendar, and back. */
int64_t lmi_imap_days(int year, int month, int day);
void lmi_imap_civil(int64_t days, int *year, int *month, int *day);

/* ---- Writing (imap_out.c) -------------------------------------------------------------------- */

/* Errors are kept in s->failed. */
void lmi_imap_put(lmi_imap *s, lmail_str text);
void lmi_imap_put_char(lmi_imap *s, char c);
void lmi_imap_put_u64(lmi_imap *s, uint64_t n);
void lmi_imap_put_crlf(lmi_imap *s);
/* Quoted where it may be, a literal otherwise; NUL octets are left out. NULL pointer: NIL
 * (nstring). */
void lmi_imap_put_string(lmi_imap *s, lmail_str text);
void lmi_imap_put_nstring(lmi_imap *s, lmail_str text);
void lmi_imap_put_astring(lmi_imap *s, lmail_str text);
void lmi_imap_put_mailbox(lmi_imap *s, lmail_str name);
void lmi_imap_put_prefix(lmi_imap *s, lmail_str name);                /* the same, always quoted */
void lmi_imap_put_flag_list(lmi_imap *s, lmail_flags flags, int any); /* any: and "\*" */
/* The text of put_flags into out[0..cap); returns its length, and if that is above cap there is
 * nothing of use in out. */
size_t lmi_imap_flags_text(const lmi_imap *s, lmail_flags flags, char *out, size_t cap);
void lmi_imap_put_flags(lmi_imap *s,
                        lmail_flags flags);            /* "(\Seen $x)", names of the open mailbox */
void lmi_imap_put_set(lmi_imap *s, lmail_uid_set set); /* "1:3,7" */
void lmi_imap_put_date_time(lmi_imap *s, int64_t seconds, int zone);
/* "[CODE] " or nothing. */
void lmi_imap_put_code(lmi_imap *s, lmail_imap_code code);
/* "* OK text" and the like; text is ours. */
void lmi_imap_put_line(lmi_imap *s, lmail_str text);
int lmi_imap_text_ok(lmail_str text);        /* may it stand in a response? */
void lmi_imap_put_capabilities(lmi_imap *s); /* the words, without CRLF; imap_cmd_any.c */

/* ---- Updates (imap_update.c) ----------------------------------------------------------------- */

/* Write a slice of the news that may be told now. END: there is none left. OK or PENDING: go on
 * later. */
lmail_status lmi_imap_update_step(lmi_imap *s, int expunge);
/* Take in a change of the host's. */
lmail_status lmi_imap_change(lmi_imap *s, const lmail_imap_change *c);
/* "* FLAGS ..." and "* OK [PERMANENTFLAGS ...]". */
void lmi_imap_put_flag_tables(lmi_imap *s);
/* Ask for the flags of a slice of these messages (a set within the view) and tell them, with their
 * UID if the command has its UID form. A command sets s->told to 0 and calls it as its step until
 * END. */
lmail_status lmi_imap_tell_flags(lmi_imap *s, lmail_uid_set set);

/* ---- Commands -------------------------------------------------------------------------------- */

lmail_status lmi_imap_cmd_capability(lmi_imap *s);
lmail_status lmi_imap_cmd_noop(lmi_imap *s);
lmail_status lmi_imap_cmd_check(lmi_imap *s);
lmail_status lmi_imap_cmd_logout(lmi_imap *s);
lmail_status lmi_imap_cmd_id(lmi_imap *s);
lmail_status lmi_imap_cmd_starttls(lmi_imap *s);
lmail_status lmi_imap_cmd_authenticate(lmi_imap *s);
lmail_status lmi_imap_cmd_login(lmi_imap *s);
lmail_status lmi_imap_cmd_enable(lmi_imap *s);
lmail_status lmi_imap_cmd_select(lmi_imap *s);
lmail_status lmi_imap_cmd_examine(lmi_imap *s);
lmail_status lmi_imap_cmd_create(lmi_imap *s);
lmail_status lmi_imap_cmd_delete(lmi_imap *s);
lmail_status lmi_imap_cmd_rename(lmi_imap *s);
lmail_status lmi_imap_cmd_subscribe(lmi_imap *s);
lmail_status lmi_imap_cmd_unsubscribe(lmi_imap *s);
lmail_status lmi_imap_cmd_status(lmi_imap *s);
void lmi_imap_put_status(lmi_imap *s, lmail_str name, unsigned items,
                         const lmail_imap_status_answer *a);
lmail_status lmi_imap_cmd_close(lmi_imap *s);
lmail_status lmi_imap_cmd_unselect(lmi_imap *s);
lmail_status lmi_imap_cmd_list(lmi_imap *s);
lmail_status lmi_imap_cmd_lsub(lmi_imap *s);
lmail_status lmi_imap_cmd_namespace(lmi_imap *s);
lmail_status lmi_imap_cmd_append(lmi_imap *s);
lmail_status lmi_imap_append_literal(lmi_imap *s, const lmi_imap_literal *l, lmi_imap_take *take);
lmail_status lmi_imap_cmd_fetch(lmi_imap *s);
lmail_status lmi_imap_cmd_search(lmi_imap *s);
lmail_status lmi_imap_cmd_store(lmi_imap *s);
lmail_status lmi_imap_cmd_copy(lmi_imap *s);
lmail_status lmi_imap_cmd_move(lmi_imap *s);
lmail_status lmi_imap_cmd_expunge(lmi_imap *s);
lmail_status lmi_imap_cmd_idle(lmi_imap *s);

/* News came while the client idles (imap_cmd_idle.c). */
lmail_status lmi_imap_idle_news(lmi_imap *s);
/* May LOGIN and cleartext mechanisms be used now? */
int lmi_imap_cleartext_ok(const lmi_imap *s);
/* The host's mechanisms without those forbidden now, into out[0..cap); the rest is dropped. */
lmail_str lmi_imap_mechanisms(const lmi_imap *s, char *out, size_t cap);

#endif
