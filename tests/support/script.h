/* script.h - the scripted host: answers any session's questions as a script says, and pumps it.
 *
 * Protocol-neutral. A protocol brings one script_adaptor, in tests/support/script_<protocol>.c,
 * named script_<protocol> (the build finds it by that name). Dialogues (tests/wire), unit suites
 * and fuzz harnesses all drive sessions through it.
 *
 * What an adaptor does:
 *   open        makes the setup and the session from script_get() values, with the script as
 *               `user`
 *   on_xxx      describes the question as a text and asks the script what to say:
 *                   int st;
 *                   const char *a = script_ask(h, t, KIND, "250", &st, "rcpt %s", path);
 *                   if (st != LMAIL_OK)
 *                       return st;         PENDING, or an error that the script wants
 *                   return fill(reply, a); read the answer's text
 *   answer      reads the same text and hands it to lmail_xxx_answer*(session, q->ticket, ...)
 *   on_cancel   calls script_cancelled(h, t)
 *
 * Events without an answer are logged with script_note(). Stream octets, whose split is not part of
 * the outcome, go to script_collect(), and script_collected() gives them for a later description.
 * Texts from script_ask() and script_text() live as long as the script. */
#ifndef SUPPORT_SCRIPT_H
#define SUPPORT_SCRIPT_H

#include <libmail/session.h>

#include <stdio.h>

typedef struct script script;

typedef struct script_question {
    struct script_question *next; /* older */
    lmail_ticket ticket;
    unsigned kind;      /* the adaptor's own */
    char *text;         /* its description */
    const char *answer; /* what is said when it is answered by itself; NULL: the script waits */
    int cancelled;
    void *data; /* the adaptor's own; not freed */
} script_question;

typedef struct script_adaptor {
    const char *protocol;
    /* Make the session; NULL when memory ran out. */
    lmail_session *(*open)(script *h, const lmail_alloc *alloc, lmail_msec now);
    /* The session is free: free what open made besides. Called also after open gave NULL. */
    void (*close)(script *h);
    lmail_status (*answer)(script *h, const script_question *q, const char *text, lmail_msec now);
    /* "H: words" that the player does not know. 0 when it was done. May be NULL. */
    int (*action)(script *h, const char *words, lmail_msec now);
} script_adaptor;

typedef struct script_buffer {
    char *ptr;
    size_t len, cap;
} script_buffer;

struct script {
    const script_adaptor *adaptor;
    lmail_session *session;
    void *data; /* the adaptor's own */
    lmail_msec now;
    lmail_alloc alloc;

    /* How to play. */
    size_t split; /* octets a feed and a sent; 0: all there is */
    int late;     /* an answer "now" becomes PENDING and is given right after */
    /* The question of this number stays out; the peer leaves; then it is answered. */
    unsigned gone_at;
    int keep_quiet; /* no log */
    /* Overrides rules and defaults: the answer's text, or NULL for PENDING. */
    const char *(*decide)(script *h, const char *question, const char *usual);

    /* What happened. */
    script_buffer in;    /* from the peer */
    size_t fed;          /* of it */
    script_buffer out;   /* to the peer, all of it */
    script_buffer body;  /* script_collect */
    script_buffer log;   /* one line a question, note, cancellation or trace event */
    unsigned questions;  /* asked so far */
    unsigned gone;       /* 1: the peer must leave now, 2: it left */
    lmail_status status; /* the last error of a pump call */
    char fault[512];     /* what the script found wrong; empty: nothing */

    script_question *pending; /* newest first */
    struct script_rule *rules;
    struct script_setting *settings;
    struct script_piece *texts;
    char *lent; /* the piece that the session may still hold */
    size_t lent_size;
};

/* Zeroes the script. `alloc` may be NULL. */
void script_init(script *h, const script_adaptor *adaptor, const lmail_alloc *alloc);
/* Frees the session, if there is one, and all of the script. */
void script_done(script *h);

/* Settings for adaptor->open. get: NULL when not set. unused: a key nobody asked for, or NULL. */
void script_set(script *h, const char *key, const char *value);
const char *script_get(script *h, const char *key);
uint64_t script_get_number(script *h, const char *key, uint64_t otherwise);
const char *script_unused(const script *h);

/* Answers: `pattern` may hold *; `every`: it answers each such question, else the next one only.
 * An answer "pending" waits for script_answer; "error NAME" returns LMAIL_NAME from the
 * callback. */
void script_rule(script *h, const char *pattern, const char *answer, int every);
/* The pattern of a rule that no question used, or NULL. */
const char *script_idle_rule(const script *h);

const char *script_ask(script *h, lmail_ticket t, unsigned kind, const char *usual, int *st,
                       const char *format, ...) __attribute__((format(printf, 6, 7)));
void script_note(script *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
void script_cancelled(script *h, lmail_ticket t);
void script_trace(void *user,
                  const lmail_trace *ev); /* a lmail_trace_fn whose user is the script */
void script_collect(script *h, lmail_str octets);
lmail_str script_collected(script *h); /* and begins anew */

/* Readable: \r \n \t \0 \\ \" \xNN escaped. */
const char *script_text(script *h, lmail_str octets);
/* A copy of a string that lives as long as the script. */
const char *script_keep(script *h, const char *text);
/* The reverse, into a slice that lives as long as the script. \*N;c repeats c N times. */
lmail_str script_octets(script *h, const char *escaped);
/* * matches any run. */
int script_match(const char *pattern, const char *text);
void script_fail(script *h, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Open the session. 0, or -1 when there is none. */
int script_open(script *h);
/* Give the peer's octets; script_run feeds them. */
void script_input(script *h, const char *ptr, size_t len);
/* Pump until nothing moves: ticks, feeds, answers, drains. Sets fault when the session is stuck. */
void script_run(script *h);
/* Answer the oldest pending question whose text matches (NULL: any). ERR_NOTFOUND if there is
 * none. */
lmail_status script_answer(script *h, const char *pattern, const char *text);
void script_eof(script *h);
/* The host shakes hands, as wants() asked: tls_begin with what is not fed yet, then tls_done. */
lmail_status script_tls(script *h, const lmail_tls_facts *facts);
void script_buffer_add(script_buffer *b, const char *ptr, size_t len);

/* The setting "flags": names with + or - in front, blanks between. */
typedef struct script_flag {
    const char *name; /* NULL ends the table */
    uint64_t bit;
} script_flag;
void script_flags(script *h, const script_flag *table, uint64_t *on, uint64_t *off);

#endif
