/* imap_fetch.h - how FETCH is made, for its own files.
 *
 *   imap_cmd_fetch.c     the command: slices of rows, \Seen, the end
 *   imap_fetch_parse.c   items: the table of words, sections, partial ranges; what a plan needs of
 *                        rows
 *   imap_fetch_write.c   a row's plain items to the client
 *   imap_fetch_keep.c    rows that wait for octets
 *   imap_fetch_stream.c  literals out of a message's octets, pulled under the output mark
 *   imap_fetch_filter.c  header fields that pass, out of a header in any split
 *
 * A plan (the parsed items) is either plain - every row is written while the host's answer is at
 * hand - or streams: then rows of one slice are kept in f->slice and written one after another as
 * their octets come. An item of an extension is a row in the table of imap_fetch_parse.c and a
 * writer. */
#ifndef LMI_IMAP_FETCH_H
#define LMI_IMAP_FETCH_H

#include "imap/imap_internal.h"

#include <libmail/mime.h>

typedef struct lmi_fetch lmi_fetch;
typedef struct lmi_fetch_item lmi_fetch_item;

/* ---- Items ----------------------------------------------------------------------------------- */

enum {
    LMI_FETCH_SECTION = 1, /* "[section]" follows, and perhaps "<partial>" */
    LMI_FETCH_SEES = 2,    /* sets \Seen */
    LMI_FETCH_STREAM = 4   /* a literal of the message's octets */
};

typedef struct lmi_fetch_word {
    lmail_str name;
    lmail_str label; /* in the response; empty: the name */
    unsigned flags;  /* LMI_FETCH_* */
    unsigned needs;  /* LMAIL_IMAP_ITEM_* */
    lmail_mime_section what;
    void (*write)(lmi_fetch *f, const lmi_fetch_item *item, const lmail_imap_fetch_row *row);
} lmi_fetch_word;

typedef enum lmi_fetch_fields { LMI_FIELDS_ALL, LMI_FIELDS_ONLY, LMI_FIELDS_NOT } lmi_fetch_fields;

struct lmi_fetch_item {
    const lmi_fetch_word *word;
    lmail_str label; /* "BODY[1]<0>" */
    unsigned stream; /* its octets are asked for */
    unsigned stream_index;
    uint32_t *numbers;
    size_t number_count;
    lmail_mime_section what;
    lmi_fetch_fields fields;
    lmail_str *names; /* upper case */
    size_t name_count;
    unsigned partial;
    uint64_t begin, length;
};

/* What a FETCH asks for. In the command's memory. */
typedef struct lmi_fetch_plan {
    lmi_fetch_item *items;
    size_t count;
    size_t streams; /* items that stream */
    unsigned needs; /* LMAIL_IMAP_ITEM_* */
    unsigned sees;
    unsigned has_flags, has_uid;
    lmail_str *fields; /* with ITEM_FIELDS */
    size_t field_count;
} lmi_fetch_plan;

#define LMI_FETCH_MAX_ITEMS 128u
#define LMI_FETCH_MAX_FIELDS 256u  /* names in all HEADER.FIELDS lists */
#define LMI_FETCH_MAX_NUMBERS 100u /* levels in a section */

/* macro, item or "(item ...)"; the rest of the arguments is the caller's. OK, ERR_SYNTAX,
 * ERR_LIMIT, ERR_NOMEM. Source: RFC 3501 §6.4.5 and §9. */
lmail_status lmi_fetch_parse(lmi_imap_args *a, lmi_fetch_plan *plan);

/* ---- Header fields --------------------------------------------------------------------------- */

/* A header comes in any split, the octets of the fields that pass go out, clipped to begin..end,
 * then an empty line. Lines that are no field do not pass. */
typedef struct lmi_fetch_filter {
    const lmi_fetch_item *item;
    uint64_t begin, end; /* window of what passes */
    uint64_t total;      /* octets that passed, window or not */
    void (*emit)(void *to, lmail_str octets);
    void *to;
    unsigned state;
    unsigned keep; /* the field at hand passes */
    size_t held;   /* octets of a name that is not decided yet */
    char hold[128];
} lmi_fetch_filter;

void lmi_fetch_filter_init(lmi_fetch_filter *f, const lmi_fetch_item *item,
                           void (*emit)(void *to, lmail_str octets), void *to);
void lmi_fetch_filter_feed(lmi_fetch_filter *f, lmail_str in);
void lmi_fetch_filter_end(lmi_fetch_filter *f);
/* Octets within the window so far. */
uint64_t lmi_fetch_filter_size(const lmi_fetch_filter *f);

/* ---- Running --------------------------------------------------------------------------------- */

/* Where a literal's octets lie. */
typedef struct lmi_fetch_range {
    uint64_t begin, end;
    unsigned nil; /* there is no such section */
} lmi_fetch_range;

/* A row that waits for octets. Texts and ranges lie in f->slice. */
typedef struct lmi_fetch_row {
    lmail_imap_fetch_row row;
    lmi_fetch_range *ranges; /* one for each item that streams */
    unsigned seen_now;       /* \Seen was set by this command */
} lmi_fetch_row;

typedef enum lmi_fetch_ask_state {
    LMI_ASK_NEW,
    LMI_ASK_OUT,
    LMI_ASK_READY,
    LMI_ASK_FAILED
} lmi_fetch_ask_state;

/* A piece of a message's octets, asked for or to be asked. */
typedef struct lmi_fetch_ask {
    lmi_fetch_ask_state state;
    unsigned dropped; /* nobody waits for it any more */
    size_t row, item;
    uint64_t offset, length;
    lmail_ticket ticket;
    lmail_str octets;
} lmi_fetch_ask;

#define LMI_FETCH_ASKS 8u

struct lmi_fetch {
    lmi_imap *s;
    lmi_fetch_plan plan;

    /* messages still to come: those of `set` from UID `next` on */
    lmail_uid_set set;
    uint64_t next;
    lmail_uid_range *ranges; /* the last question's UIDs */
    size_t range_cap;
    lmail_uid_set asked;
    size_t max;             /* rows of the next slice */
    lmail_imap_code failed; /* not NONE: ends NO with this */

    /* text of flags, kept while they stay the same */
    lmail_flags flags;
    size_t flags_len;
    char flags_text[256];

    /* a row's line, before it goes out */
    size_t line_len;
    char line[512];
    unsigned first; /* no item of the row is written yet */

    /* streaming */
    lmi_arena slice;
    lmi_fetch_row *rows;
    size_t row_count, row_at;
    unsigned marks;    /* \Seen is to be set */
    unsigned marking;  /* rows wait for on_store */
    unsigned row_open; /* "* n FETCH (" is written */
    size_t item_at;
    uint64_t wrote; /* of the literal at hand */
    unsigned broken;
    lmi_fetch_ask asks[LMI_FETCH_ASKS]; /* in order of the wire */
    size_t ask_count, asking;
    size_t next_row, next_item; /* what is asked for next */
    uint64_t next_offset;
    lmi_fetch_filter filter;
    unsigned pass; /* of the filter: 0 none, 1 counts and gathers, 2 writes */
    char *gathered;
    size_t gathered_len;
    uint64_t passes; /* octets that pass 1 found */
};

/* imap_fetch_write.c */
void lmi_fetch_put(lmi_fetch *f, lmail_str text);
void lmi_fetch_put_u64(lmi_fetch *f, uint64_t n);
void lmi_fetch_flush(lmi_fetch *f); /* what was put goes to the session's output */
/* "* n FETCH (", with UID if the command has the UID form and did not ask for it. */
void lmi_fetch_row_open(lmi_fetch *f, const lmail_imap_fetch_row *row);
/* A blank between items. */
void lmi_fetch_gap(lmi_fetch *f);
/* That, the label, a blank. */
void lmi_fetch_label(lmi_fetch *f, const lmi_fetch_item *item);
/* A whole row of a plain plan. */
void lmi_fetch_row_write(lmi_fetch *f, const lmail_imap_fetch_row *row);
void lmi_fetch_row_close(lmi_fetch *f);

void lmi_fetch_write_flags(lmi_fetch *f, const lmi_fetch_item *i, const lmail_imap_fetch_row *r);
void lmi_fetch_write_date(lmi_fetch *f, const lmi_fetch_item *i, const lmail_imap_fetch_row *r);
void lmi_fetch_write_size(lmi_fetch *f, const lmi_fetch_item *i, const lmail_imap_fetch_row *r);
void lmi_fetch_write_envelope(lmi_fetch *f, const lmi_fetch_item *i, const lmail_imap_fetch_row *r);
void lmi_fetch_write_structure(lmi_fetch *f, const lmi_fetch_item *i,
                               const lmail_imap_fetch_row *r);
void lmi_fetch_write_body(lmi_fetch *f, const lmi_fetch_item *i, const lmail_imap_fetch_row *r);
void lmi_fetch_write_uid(lmi_fetch *f, const lmi_fetch_item *i, const lmail_imap_fetch_row *r);
void lmi_fetch_write_fields(lmi_fetch *f, const lmi_fetch_item *i, const lmail_imap_fetch_row *r);

/* imap_fetch_keep.c: copy a row into the slice. OK; ERR_LIMIT: the slice is full; ERR_NOMEM. */
lmail_status lmi_fetch_keep(lmi_fetch *f, const lmail_imap_fetch_row *row);
/* imap_fetch_stream.c: write what can be written, ask for what is missing. */
lmail_status lmi_fetch_stream_step(lmi_fetch *f);
/* Give back octets that nobody will write, and the slice. */
void lmi_fetch_stream_done(lmi_fetch *f);

#endif
