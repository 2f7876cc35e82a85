/* mime_internal.h - what the files of this room share. */
#ifndef LMI_MIME_INTERNAL_H
#define LMI_MIME_INTERNAL_H

#include <libmail/codec.h>
#include <libmail/mime.h>

#include "base/base_internal.h"

/* ---- A growing or a fixed text (mime_out.c) -------------------------------------------------- */

/* With an allocator it grows up to its ceiling; without, it writes into what it was given and goes
 * on counting what does not fit. */
typedef struct lmi_mime_out {
    const lmail_alloc *alloc; /* NULL: fixed */
    char *ptr;
    size_t cap, len; /* len may pass cap when fixed */
    size_t ceiling;
    unsigned failed; /* no memory, or over the ceiling: text is missing */
    unsigned nomem;
} lmi_mime_out;

void lmi_mime_out_init(lmi_mime_out *o, const lmail_alloc *alloc, size_t ceiling);
void lmi_mime_out_fixed(lmi_mime_out *o, char *ptr, size_t cap);
void lmi_mime_out_done(lmi_mime_out *o);
void lmi_mime_put(lmi_mime_out *o, lmail_str text);
void lmi_mime_put_char(lmi_mime_out *o, char c);
void lmi_mime_put_u64(lmi_mime_out *o, uint64_t value);
/* Room for n more octets at ptr + len; NULL when there is none. Only with an allocator. */
char *lmi_mime_room(lmi_mime_out *o, size_t n);
/* An IMAP string: quoted where that is valid in every mode, else a literal. NUL is left out. */
void lmi_mime_put_string(lmi_mime_out *o, lmail_str text);

/* ---- Charsets (mime_charset.c) --------------------------------------------------------------- */

typedef struct lmi_charset {
    const lmail_env *env;
    void *converter; /* env's; NULL: built in */
    unsigned latin1;
    size_t carried;
    char carry[32]; /* a sequence that began in an earlier piece */
} lmi_charset;

/* Unknown charsets read as UTF-8. */
void lmi_charset_open(lmi_charset *c, const lmail_env *env, lmail_str name);
void lmi_charset_close(lmi_charset *c);
/* Takes *used octets, makes *made of UTF-8. OK: all taken (a part of a sequence is carried); MORE:
 * out is full. cap is at least 16. */
lmail_status lmi_charset_convert(lmi_charset *c, lmail_str in, int end, size_t *used, char *out,
                                 size_t cap, size_t *made);

/* Decoded header text: cut between code points, control characters as spaces (mime_words.c). */
typedef struct lmi_mime_sink {
    char *out;
    size_t cap, made;
    unsigned cut;
} lmi_mime_sink;

void lmi_mime_sink_put(lmi_mime_sink *s, lmail_str text);
void lmi_mime_sink_convert(lmi_mime_sink *s, lmi_charset *charset, lmail_str octets, int end);

/* ---- Decoding bodies ------------------------------------------------------------------------- */

/* The part of lmail_mime_decoder that needs no memory of its own. */
typedef struct lmi_decoder {
    lmail_mime_encoding encoding;
    unsigned octets_only;
    unsigned flushed; /* the transfer encoding has given its last octet */
    lmail_base64_decoder base64;
    lmail_qp_decoder qp;
    lmi_charset charset;
    size_t mid_at, mid_len;
    char mid[1024];
} lmi_decoder;

void lmi_decoder_init(lmi_decoder *d, const lmail_env *env, lmail_mime_encoding encoding,
                      lmail_str charset, unsigned flags);
void lmi_decoder_done(lmi_decoder *d);
lmail_status lmi_decoder_feed(lmi_decoder *d, lmail_str in, int end, size_t *used, char *out,
                              size_t cap, size_t *made);

/* ---- One header (mime_header.c) -------------------------------------------------------------- */

#define LMI_MIME_MAX_PARAMS 64
#define LMI_MIME_MAX_BOUNDARY 255

/* What a header says about its body. Slices live as long as the scratch they point into. */
typedef struct lmi_mime_header {
    lmail_mime_content type; /* defaults filled in */
    lmail_mime_param param[LMI_MIME_MAX_PARAMS];
    lmail_str boundary, charset;
    lmail_mime_encoding encoding;
    lmail_mime_kind kind;
    unsigned is_text, is_html, is_digest, is_attachment;
    /* Values as they stand in the header; ptr NULL: no such field. */
    lmail_str encoding_raw, disposition, id, description, md5, language, location;
} lmi_mime_header;

/* in_digest: the default type is message/rfc822 (RFC 2046 §5.1.5). scratch is emptied first; h's
 * slices point into it and into the block. OK or ERR_NOMEM. */
lmail_status lmi_mime_header_read(lmi_mime_header *h, lmail_str block, unsigned in_digest,
                                  lmi_mime_out *scratch);
int lmi_mime_is(lmail_str value, const char *lower); /* without case */

/* ---- Addresses, for who changes a value in place (mime_address.c) ----------------------------- */

/* Behind the token at `at` (below s.len): a comment, quoted string, domain literal, quoted pair or
 * one octet. */
size_t lmi_mime_skip_token(lmail_str s, size_t at);
/* What a raw_local or raw_domain says, without quotes, white space and comments; cut at cap. */
lmail_str lmi_mime_local_text(lmail_str raw, char *out, size_t cap);
lmail_str lmi_mime_domain_text(lmail_str raw, char *out, size_t cap);

/* ---- Texts for IMAP -------------------------------------------------------------------------- */

/* All of these use scratch as they need; what they cannot write for want of memory is left out, and
 * told by o->failed or scratch->failed. */

/* A field's value unfolded, as a string; ptr NULL: NIL. */
void lmi_mime_put_value(lmi_mime_out *o, lmail_str raw, lmi_mime_out *scratch);

/* "(...)" of a header block. */
void lmi_mime_envelope(lmi_mime_out *o, lmail_str block, lmi_mime_out *scratch);

/* A part's share of BODYSTRUCTURE that its header decides: `front` stands before the size, `back`
 * after size, lines and inner parts. For a multipart there is only `back`, from its subtype on. */
void lmi_mime_structure_front(lmi_mime_out *o, const lmi_mime_header *h, lmi_mime_out *scratch);
void lmi_mime_structure_back(lmi_mime_out *o, const lmi_mime_header *h, lmi_mime_out *scratch);

/* Where each part's texts stand. len 0: the default. */
typedef struct lmi_mime_texts {
    size_t front, front_len, back, back_len, envelope, envelope_len;
} lmi_mime_texts;

void lmi_mime_structure(lmi_mime_out *o, const lmail_mime_part *parts, size_t count,
                        const lmi_mime_texts *texts, const char *text);

/* ---- What happens while a message streams ---------------------------------------------------- */

/* Who listens to the parser. All may be NULL. */
typedef struct lmi_mime_listener {
    void *ctx;
    /* A header is complete. Returns 1 when the body's octets are wanted (leaves only). */
    int (*header)(void *ctx, uint32_t part, lmail_str block, const lmi_mime_header *h);
    /* Octets of that body, in order. May hold the line end in front of a boundary. Returns 1 when
     * more are wanted. */
    int (*body)(void *ctx, lmail_str octets);
    void (*body_end)(void *ctx);
} lmi_mime_listener;

void lmi_mime_parser_listen(lmail_mime_parser *p, const lmi_mime_listener *listener);

/* The preview of a message (mime_preview.c). */
#define LMI_MIME_PREVIEW_POINTS 200
typedef struct lmi_mime_preview {
    const lmail_env *env;
    unsigned active; /* a body is being read */
    unsigned html;
    unsigned state; /* of the HTML reader */
    unsigned space; /* white space waits */
    unsigned points;
    size_t seen; /* octets of text read, to bound the work on pages without text */
    size_t len, word_len;
    char text[4 * LMI_MIME_PREVIEW_POINTS];
    char word[16]; /* a tag's name, or an entity */
    char skip[16]; /* the element whose content is passed over */
    size_t skip_len;
    lmi_decoder decoder;
} lmi_mime_preview;

void lmi_mime_preview_init(lmi_mime_preview *v, const lmail_env *env);
int lmi_mime_preview_begin(lmi_mime_preview *v, const lmi_mime_header *h);
int lmi_mime_preview_body(lmi_mime_preview *v, lmail_str octets); /* 1: wants more */
void lmi_mime_preview_end(lmi_mime_preview *v);

/* What a summary takes from the message's header (mime_summary.c). Texts stand in `text`, which
 * moves while it grows: places are offsets until finish. */
typedef struct lmi_mime_gather {
    lmi_mime_out text;
    lmail_mime_summary summary;
    size_t at[16], len[16];
} lmi_mime_gather;

void lmi_mime_gather_init(lmi_mime_gather *g, const lmail_alloc *alloc);
void lmi_mime_gather_done(lmi_mime_gather *g);
void lmi_mime_gather_reset(lmi_mime_gather *g);
/* OK or ERR_NOMEM. */
lmail_status lmi_mime_gather_header(lmi_mime_gather *g, const lmail_env *env, lmail_str block,
                                    lmi_mime_out *scratch);
void lmi_mime_gather_finish(lmi_mime_gather *g);

/* ---- The parser ------------------------------------------------------------------------------ */

/* An entity between its first and last octet. */
typedef struct lmi_mime_open {
    uint32_t part;
    uint32_t last_child;
    uint32_t boundary_at;  /* in parser->boundaries */
    uint16_t boundary_len; /* 0: no delimiter is looked for */
    int16_t same_len;      /* the next outer entity with a boundary of this length; -1: none */
    uint64_t hash;         /* of the boundary */
    uint64_t lines_before; /* line ends in front of the body */
    unsigned digest;
} lmi_mime_open;

#define LMI_MIME_MAX_DEPTH 250
#define LMI_MIME_CANDIDATE (2 + LMI_MIME_MAX_BOUNDARY + 2) /* "--", boundary, "--" */

typedef enum lmi_mime_mode {
    LMI_MIME_IN_HEADER,
    LMI_MIME_IN_BODY,
    LMI_MIME_IN_DELIMITER, /* the rest of its line */
} lmi_mime_mode;

struct lmail_mime_parser {
    lmail_alloc alloc;
    const lmail_env *env;
    lmi_mime_listener listener;
    unsigned gather, lf_input;
    uint32_t max_depth, max_parts;
    size_t max_header;
    lmail_status st; /* OK, or why the parser is of no use */
    unsigned ended;

    lmail_mime_part *part;
    lmi_mime_texts *texts;
    uint32_t count, cap, texts_cap;

    lmi_mime_open open[LMI_MIME_MAX_DEPTH + 2];
    unsigned depth; /* entities open */
    lmi_mime_out boundaries;
    int16_t
        by_len[LMI_MIME_MAX_BOUNDARY + 1]; /* innermost open entity with a boundary so long; -1 */
    unsigned longest;                      /* boundary looked for; 0: none */

    lmi_mime_mode mode;
    unsigned new_part;   /* IN_DELIMITER: a part begins behind the line */
    unsigned line_start; /* the next octet is the first of its line */
    unsigned last_cr;
    unsigned prev_eol; /* octets of the line end in front of this line, CRLF form */
    size_t line_len;   /* IN_HEADER: octets of this line so far */
    uint64_t at;       /* offset of the next octet, CRLF form */
    uint64_t lines;
    unsigned listening;
    size_t candidate_len;
    char candidate[LMI_MIME_CANDIDATE];

    lmi_mime_out header;  /* the header that is being read */
    lmi_mime_out content; /* what `h` points into */
    lmi_mime_out scratch;
    lmi_mime_out text;      /* what `texts` point into */
    lmi_mime_out structure; /* the finished BODYSTRUCTURE */
    lmi_mime_out blob;
    lmi_mime_header h;
    lmi_mime_preview preview;
    lmi_mime_gather fields;
};

/* FNV-1a, so that a line is hashed once for boundaries of all lengths. */
#define LMI_MIME_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t lmi_mime_hash(uint64_t hash, char c);

/* Entities begin and end here (mime_entity.c); offsets and lines as the scanner (mime_parser.c) has
 * them. */
void lmi_mime_entity_begin(lmail_mime_parser *p);      /* a new one inside the innermost open */
void lmi_mime_entity_header_end(lmail_mime_parser *p); /* its header is complete at p->at */
/* Entities deeper than `depth` end at offset `end`, behind `lines` line ends. */
void lmi_mime_entity_close(lmail_mime_parser *p, unsigned depth, uint64_t end, uint64_t lines);
void lmi_mime_boundary_drop(lmail_mime_parser *p, unsigned depth);

#endif
