/* base_internal.h - what the rooms share and no embedder sees.
 *
 * Memory (allocator, arena), output (pinned segments), input (line reader), and the core of every
 * session: the pump of libmail/session.h, its questions and its timers are implemented once, in
 * base_session.c; a protocol supplies a lmi_class and embeds struct lmail_session as its first
 * member, named `base`. */
#ifndef LMI_BASE_INTERNAL_H
#define LMI_BASE_INTERNAL_H

#include <libmail/base.h>
#include <libmail/session.h>

/* ---- Memory ---------------------------------------------------------------------------------- */

/* The allocator to use: a zeroed table becomes the C library's. */
lmail_alloc lmi_alloc_resolve(const lmail_alloc *given);

/* NULL when there is no memory. lmi_zalloc zeroes. lmi_free takes the size that was asked for. */
void *lmi_malloc(const lmail_alloc *a, size_t size);
void *lmi_zalloc(const lmail_alloc *a, size_t size);
void *lmi_realloc(const lmail_alloc *a, void *ptr, size_t old_size, size_t new_size);
void lmi_free(const lmail_alloc *a, void *ptr, size_t size);

/* Overwrite secrets in a way that the compiler keeps. */
void lmi_wipe(void *ptr, size_t size);

/* An arena: many small pieces, one lifetime, one ceiling. Zeroed memory plus init is ready; nothing
 * is allocated before the first get. Pieces are aligned for any type. */
typedef struct lmi_arena_chunk lmi_arena_chunk;
typedef struct lmi_arena {
    const lmail_alloc *alloc;
    lmi_arena_chunk *chunks; /* newest first */
    size_t taken;            /* octets in all chunks */
    size_t ceiling;          /* get fails above it */
    size_t first;            /* octets of the first chunk; 0: 512 */
} lmi_arena;

void lmi_arena_init(lmi_arena *a, const lmail_alloc *alloc, size_t ceiling);
/* NULL: out of memory or over the ceiling (lmi_arena_full tells which). Not zeroed. */
void *lmi_arena_get(lmi_arena *a, size_t size);
void *lmi_arena_zget(lmi_arena *a, size_t size);
int lmi_arena_full(const lmi_arena *a, size_t size); /* would get(size) break the ceiling? */
/* Copies a slice; OK, ERR_NOMEM or ERR_LIMIT. The empty slice copies to a non-NULL pointer. */
lmail_status lmi_arena_copy(lmi_arena *a, lmail_str in, lmail_str *out);
void lmi_arena_wipe(lmi_arena *a);  /* overwrites what the pieces hold */
void lmi_arena_reset(lmi_arena *a); /* keeps the first chunk for the next use */
void lmi_arena_done(lmi_arena *a);  /* gives all back; the arena stays usable */

/* ---- What the host fills ----------------------------------------------------------------------- */

/* The host's struct, which starts with `size_t size`, into *known: what an older host's lacks
 * becomes zero, the rest is copied, size is known_size. OK, or ERR_SIZE: it is larger than this
 * library knows, or too small to hold its size. */
lmail_status lmi_struct_take(void *known, size_t known_size, const void *given);

/* lmail_X_init of a struct that the host fills: what its macro _INIT says, for bindings. */
#define LMI_STRUCT_INIT(type, INIT)                                                                \
    void type##_init(type *given)                                                                  \
    {                                                                                              \
        *given = (type)INIT;                                                                       \
    }                                                                                              \
    struct lmi_init_ends_with_a_semicolon

/* Zero means the default. */
#define LMI_DEFAULT(member, value)                                                                 \
    do {                                                                                           \
        if (!(member))                                                                             \
            (member) = (value);                                                                    \
    } while (0)

/* now + wait, LMAIL_NEVER when that is more. */
lmail_msec lmi_later(lmail_msec now, lmail_msec wait);

/* ---- Slices ---------------------------------------------------------------------------------- */

lmail_str lmi_str_sub(lmail_str s, size_t from, size_t len); /* clipped to s */
lmail_str lmi_str_skip(lmail_str s, size_t n);               /* s without its first n octets */
int lmi_str_has_prefix_nocase(lmail_str s, lmail_str prefix);
size_t lmi_str_find(lmail_str s, char c); /* offset, or s.len */
char lmi_ascii_lower(char c);
char lmi_ascii_upper(char c);
int lmi_str_printable(lmail_str s); /* no control octets: one line, whatever shows it */
/* Decimal digits only, no sign, whole slice. OK, ERR_SYNTAX, ERR_LIMIT (overflow). */
lmail_status lmi_parse_u64(lmail_str s, uint64_t *out);
lmail_status lmi_parse_u32(lmail_str s, uint32_t *out);
/* Writes decimal digits, at most 20; returns how many. No terminator. */
size_t lmi_write_u64(char *out, uint64_t value);

/* ---- Words ----------------------------------------------------------------------------------- */

/* What the placeholders of libmail/session.h stand for. */
typedef struct lmi_words {
    lmail_str host;     /* %H */
    lmail_str client;   /* %C */
    lmail_str argument; /* %A */
    uint64_t number;    /* %N */
    uint64_t octets;    /* %O */
} lmi_words;

/* `text` with its placeholders filled in, into out[0..cap); what does not fit is cut. Returns the
 * octets written. */
size_t lmi_words_write(lmail_str text, const lmi_words *words, char *out, size_t cap);

/* ---- Complaints ------------------------------------------------------------------------------ */

/* Two arguments: an array of slices and their count. */
#define LMI_PIECES(...)                                                                            \
    (const lmail_str[]){__VA_ARGS__}, sizeof((const lmail_str[]){__VA_ARGS__}) / sizeof(lmail_str)

/* Put a complaint together and hand it to `tell` (may be NULL). Each piece is cut to a bearable
 * length, and what a file holds cannot command a terminal: control octets become '?'. */
void lmi_diagnose(lmail_diagnostic_fn *tell, void *ctx, lmail_severity severity, lmail_str file,
                  size_t line, const lmail_str *pieces, size_t count);

/* Nearest of the names to `name` when it is near enough to be meant, else NULL. */
typedef const char *lmi_name_at(const void *ctx, size_t i); /* NULL behind the last */
const char *lmi_suggest(lmail_str name, lmi_name_at *at, const void *ctx);

/* ---- Output ---------------------------------------------------------------------------------- */

/* A list of segments. What peek has shown stays where it is; writes only append. */
typedef struct lmi_seg lmi_seg;
typedef struct lmi_out {
    lmi_seg *head, *tail;
    lmi_seg *spare; /* one empty segment of the default size, so that a command allocates nothing */
    lmi_seg *lent;  /* a few without room, for borrowed octets */
    unsigned lents;
    size_t size; /* octets not sent yet */
} lmi_out;

/* ---- Input lines ----------------------------------------------------------------------------- */

/* Gathers one CRLF line out of any split. A line that lies whole in the input is not copied. */
typedef struct lmi_line {
    char *buf;
    size_t len, cap;
    unsigned discard; /* the rest of a refused line is being thrown away */
    unsigned was_cr;  /* discard: the last octet was CR */
} lmi_line;

typedef enum lmi_line_result {
    LMI_LINE_MORE,  /* all input taken, no line end yet */
    LMI_LINE_READY, /* *line is a line without its CRLF, valid until the input or the reader moves
                     */
    LMI_LINE_LONG,  /* longer than max; reported once, the rest is discarded up to its CRLF */
    LMI_LINE_BARE,  /* a CR or LF alone; reported once, the rest is discarded up to the next CRLF;
                     * line->len is the offset of the offender */
    LMI_LINE_NOMEM
} lmi_line_result;

/* max counts CRLF. RFC 5321 §2.3.8: only CRLF ends a line. */
lmi_line_result lmi_line_read(lmi_line *l, const lmail_alloc *a, lmail_str in, size_t max,
                              size_t *used, lmail_str *line);
void lmi_line_wipe(lmi_line *l);                       /* after a line that held a secret */
void lmi_line_done(lmi_line *l, const lmail_alloc *a); /* gives the buffer back if it is empty of
                                                          a partial line or the session ends */
int lmi_line_empty(const lmi_line *l);

/* ---- The core of a session ------------------------------------------------------------------- */

/* One question to the host. It lives until its ticket comes home. */
typedef struct lmi_question {
    struct lmi_question *next;
    lmail_ticket ticket;
    unsigned kind;  /* the session type's own enum */
    unsigned out;   /* at the host: it said PENDING and has not handed the ticket back */
    unsigned holds; /* the command loop waits for this one */
    unsigned cancelled;
    unsigned lends;  /* octets of feed's input are lent to it: wants shows HOLD */
    unsigned secret; /* the arena is wiped when the question is released */
    lmi_arena arena; /* the event and all it points to */
    void *data;      /* the session type's own */
} lmi_question;

/* What a protocol supplies. All run between enter and leave. A negative return ends the session. */
typedef struct lmi_class {
    const char *name;
    /* The first feed, tick or tls_done: ask about the connection, write the greeting. */
    lmail_status (*start)(lmail_session *s);
    /* Take input. Called again while it takes something and the session is ready (lmi_ready).
     * *used 0 means "not now". */
    lmail_status (*input)(lmail_session *s, lmail_str in, size_t *used);
    /* The peer ended its side. Questions are cancelled already. The core closes afterwards. */
    lmail_status (*eof)(lmail_session *s);
    /* s->due has passed (it is LMAIL_NEVER again before the call). */
    lmail_status (*timer)(lmail_session *s);
    /* Output fell under s->out_mark after lmi_want_room(s). */
    lmail_status (*room)(lmail_session *s);
    /* Some octets were sent. */
    void (*sent)(lmail_session *s);
    /* Octets came in clear behind the word that starts TLS. The core closes afterwards. */
    void (*injected)(lmail_session *s);
    /* TLS is on, facts are in s->tls. Forget what was learnt before (RFC 3207 §4.2). */
    lmail_status (*tls_done)(lmail_session *s);
    /* DEFLATE was put in or taken out. */
    lmail_status (*filter_done)(lmail_session *s);
    /* s->stopping is set: say farewell now or when the running command ends, then lmi_close. */
    lmail_status (*stop)(lmail_session *s);
    /* The question's result is no longer wanted: tell the host (on_cancel). */
    void (*cancelled)(lmail_session *s, const lmi_question *q);
    /* Borrowed octets of lmi_out_borrow(ticket) are sent or dropped: tell the host. */
    void (*released)(lmail_session *s, lmail_ticket t);
    /* Give back what an idle session does not need. */
    void (*rest)(lmail_session *s);
    /* Free everything that the type owns and at last the struct itself. */
    void (*destroy)(lmail_session *s);
} lmi_class;

struct lmail_session {
    const lmi_class *cls;
    lmail_alloc alloc;
    lmail_msec now;
    lmail_msec due; /* the type's timer; LMAIL_NEVER when off */
    lmi_out out;
    size_t out_mark; /* input rests while so much is unsent */
    lmi_question *asked;
    lmi_question *spare;
    lmail_ticket last_ticket;
    size_t question_ceiling; /* of each question's arena */
    uint32_t tickets;        /* out at the host, cancelled ones included */
    uint32_t max_tickets;    /* lmi_ask gives ERR_LIMIT at this many */
    uint32_t holding;        /* questions the command loop waits for */
    uint16_t lending;
    uint8_t in_callback;
    uint8_t started;
    uint8_t dead;    /* ended by an error: every call gives ERR_CLOSED */
    uint8_t closing; /* no more input; CLOSE when all is sent */
    uint8_t stopping;
    uint8_t free_asked;
    uint8_t want_room;
    uint8_t reads_full; /* a client reads its replies whatever waits to be sent: RFC 2920 §3.1 */
    uint8_t tls_wanted;
    uint8_t tls_shaking; /* between tls_begin and tls_done */
    uint8_t tls_active;
    uint8_t filter_wanted; /* LMAIL_WANT_DEFLATE_ON or _OFF */
    uint8_t resting;
    uint8_t pausing;     /* no input until the type's timer has come and cleared it */
    lmail_tls_facts tls; /* slices in tls_text */
    char *tls_text;
    size_t tls_text_size;
    lmail_trace_fn *trace;
    void *user; /* the host's, handed to every callback */
};

/* Fill the base of a zeroed session. */
void lmi_session_init(lmail_session *s, const lmi_class *cls, const lmail_alloc *alloc, void *user,
                      lmail_msec now);
/* Free what the base owns; the type's destroy calls it, then frees its struct. */
void lmi_session_done(lmail_session *s);

/* Every public function that changes a session stands between these two.
 * enter: OK, ERR_REENTRANT or ERR_CLOSED. leave: ends the session when st is an error, and frees it
 * when free was asked for meanwhile; returns st. Nothing may touch s after leave. */
lmail_status lmi_enter(lmail_session *s, lmail_msec now);
lmail_status lmi_leave(lmail_session *s, lmail_status st);

/* Around every callback into the host. */
void lmi_callback_begin(lmail_session *s);
void lmi_callback_end(lmail_session *s);

/* May input be taken now? Not while a question holds, the session pauses, output is over its mark
 * (unless it reads_full), TLS or a filter change is due, or the session is closing. */
int lmi_ready(const lmail_session *s);

/* Ask: a question with a fresh ticket, to be settled or left at the host.
 * OK, ERR_NOMEM, ERR_LIMIT (max_tickets). */
lmail_status lmi_ask(lmail_session *s, unsigned kind, lmi_question **out);
/* The callback said PENDING: the question stays out. holds: the command loop waits for it. */
void lmi_question_wait(lmail_session *s, lmi_question *q, int holds, int lends);
/* The answer was applied (now, or after lmi_take): release the question and its arena. */
void lmi_question_done(lmail_session *s, lmi_question *q);
/* A ticket comes home. OK and *out (still to be released with lmi_question_done; it no longer
 * holds); ERR_STALE (unknown, answered before, or cancelled: released here); ERR_ARG (another
 * kind). */
lmail_status lmi_take(lmail_session *s, lmail_ticket t, unsigned kind, lmi_question **out);
/* answer_*() begin with this instead of lmi_enter: a dead session still takes its tickets home.
 * On OK the caller goes on, ends with lmi_question_done and lmi_leave. Otherwise it returns at
 * once. */
lmail_status lmi_answer_enter(lmail_session *s, lmail_ticket t, unsigned kind, lmail_msec now,
                              lmi_question **out);
/* Cancel one question or all that are out: on_cancel, and its late answer is stale. One whose
 * answer is being applied is left alone. */
void lmi_cancel(lmail_session *s, lmi_question *q);
void lmi_cancel_all(lmail_session *s);

/* Output. OK or ERR_NOMEM. */
lmail_status lmi_out_write(lmail_session *s, const char *ptr, size_t len);
lmail_status lmi_out_str(lmail_session *s, lmail_str text);
lmail_status lmi_out_u64(lmail_session *s, uint64_t value);
/* Octets of the host go out without a copy; cls->released(ticket) follows when they are sent. */
lmail_status lmi_out_borrow(lmail_session *s, lmail_str octets, lmail_ticket ticket);
/* Call cls->room once when output is under the mark (at once possible at the next sent or
 * answer). */
void lmi_want_room(lmail_session *s);

/* After the reply that announces it is written: no input is taken until it is done. */
void lmi_want_tls(lmail_session *s);
void lmi_want_deflate(lmail_session *s, int on);

/* No more input, questions cancelled, CLOSE once all is sent. */
void lmi_close(lmail_session *s);

void lmi_trace(lmail_session *s, lmail_trace_kind kind, lmail_ticket t, size_t offset,
               lmail_str text);

/* The pump under a session type's own name: lmail_smtp_server_feed and so on. The type's struct has
 * `struct lmail_session base` as its first member. */
#define LMI_PUMP(type)                                                                             \
    lmail_session *type##_session(type *s)                                                         \
    {                                                                                              \
        return &s->base;                                                                           \
    }                                                                                              \
    lmail_status type##_feed(type *s, lmail_str in, size_t *used, lmail_msec now)                  \
    {                                                                                              \
        return lmail_session_feed(&s->base, in, used, now);                                        \
    }                                                                                              \
    lmail_status type##_eof(type *s, lmail_msec now)                                               \
    {                                                                                              \
        return lmail_session_eof(&s->base, now);                                                   \
    }                                                                                              \
    size_t type##_peek(const type *s, lmail_str *out, size_t max)                                  \
    {                                                                                              \
        return lmail_session_peek(&s->base, out, max);                                             \
    }                                                                                              \
    lmail_status type##_sent(type *s, size_t n, lmail_msec now)                                    \
    {                                                                                              \
        return lmail_session_sent(&s->base, n, now);                                               \
    }                                                                                              \
    unsigned type##_wants(const type *s)                                                           \
    {                                                                                              \
        return lmail_session_wants(&s->base);                                                      \
    }                                                                                              \
    lmail_msec type##_deadline(const type *s)                                                      \
    {                                                                                              \
        return lmail_session_deadline(&s->base);                                                   \
    }                                                                                              \
    lmail_status type##_tick(type *s, lmail_msec now)                                              \
    {                                                                                              \
        return lmail_session_tick(&s->base, now);                                                  \
    }                                                                                              \
    lmail_status type##_tls_begin(type *s, size_t unread, lmail_msec now)                          \
    {                                                                                              \
        return lmail_session_tls_begin(&s->base, unread, now);                                     \
    }                                                                                              \
    lmail_status type##_tls_done(type *s, const lmail_tls_facts *facts, lmail_msec now)            \
    {                                                                                              \
        return lmail_session_tls_done(&s->base, facts, now);                                       \
    }                                                                                              \
    lmail_status type##_filter_done(type *s, lmail_msec now)                                       \
    {                                                                                              \
        return lmail_session_filter_done(&s->base, now);                                           \
    }                                                                                              \
    lmail_status type##_stop(type *s, lmail_msec now)                                              \
    {                                                                                              \
        return lmail_session_stop(&s->base, now);                                                  \
    }                                                                                              \
    void type##_free(type *s)                                                                      \
    {                                                                                              \
        if (s)                                                                                     \
            lmail_session_free(&s->base);                                                          \
    }                                                                                              \
    struct lmi_pump_ends_with_a_semicolon

#endif
