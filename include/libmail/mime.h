/* libmail/mime.h - messages: structure, header fields, decoded text, and the texts IMAP sends.
 *
 * One pass over a message's octets, in any split, gives its structure (parts and their offsets)
 * and, when asked for, everything a store keeps about it: ready ENVELOPE and BODYSTRUCTURE texts, a
 * preview, decoded fields. Beside that stand small readers for one header field's value: addresses,
 * encoded words, parameters, dates.
 *
 * Mail is written by everybody, so nothing here refuses a message: what breaks the grammar gives
 * the best structure that can be seen. The only failures are memory and misuse.
 *
 * Offsets, sizes and line counts are always those of the CRLF form. A message stored with bare LF
 * is read with `lf_input`: each bare LF then counts as two octets.
 *
 * Source: RFC 5322, 2045-2047, 2183, 2231, 3501 §7.4.2, 9051 §6.4.5 and §7.5.2, 8970, 6532,
 * 6854. */
#ifndef LIBMAIL_MIME_H
#define LIBMAIL_MIME_H

#include <libmail/base.h>
#include <libmail/mailbox.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Parts ----------------------------------------------------------------------------------- */

#define LMAIL_MIME_NONE UINT32_MAX /* "no such part" in an index */

typedef enum lmail_mime_kind {
    LMAIL_MIME_LEAF = 0,      /* no parts inside, as far as we look */
    LMAIL_MIME_MULTIPART = 1, /* children are its parts; always at least one */
    LMAIL_MIME_MESSAGE = 2    /* message/rfc822 or message/global; one child: the message inside */
} lmail_mime_kind;

/* Content-Transfer-Encoding, RFC 2045 §6. */
typedef enum lmail_mime_encoding {
    LMAIL_MIME_7BIT = 0, /* also when the field is missing */
    LMAIL_MIME_8BIT = 1,
    LMAIL_MIME_BINARY = 2,
    LMAIL_MIME_QUOTED_PRINTABLE = 3,
    LMAIL_MIME_BASE64 = 4,
    LMAIL_MIME_ENCODING_UNKNOWN = 5 /* the octets mean nothing to us; RFC 2045 §6.4 */
} lmail_mime_encoding;

/* One entity: a header and a body. Part 0 is the message itself. Offsets count from the start of
 * the message. The header includes its blank line and ends where the body begins; the line end in
 * front of a boundary belongs to the boundary. A message inside (child of MESSAGE) has its header
 * where the outer part's body begins. */
typedef struct lmail_mime_part {
    uint32_t parent;       /* NONE for part 0 */
    uint32_t first_child;  /* NONE for a leaf */
    uint32_t next_sibling; /* NONE for the last */
    uint8_t kind;          /* lmail_mime_kind */
    uint8_t encoding;      /* lmail_mime_encoding */
    uint8_t is_text;       /* text/..., or no usable Content-Type: 1 or 0 */
    uint8_t depth;         /* 0 for part 0 */
    uint64_t header_begin;
    uint64_t body_begin;
    uint64_t body_end;
    uint64_t body_lines; /* line ends within the body */
} lmail_mime_part;

/* A message's parts, depth first. Borrowed. */
typedef struct lmail_mime_parts {
    const lmail_mime_part *part;
    size_t count;
} lmail_mime_parts;

typedef enum lmail_mime_section {
    LMAIL_MIME_WHOLE = 0, /* BODY[] and BODY[1.2] */
    LMAIL_MIME_HEADER,    /* BODY[HEADER], BODY[1.2.HEADER]: of the message, or of the one inside */
    LMAIL_MIME_TEXT,      /* BODY[TEXT], BODY[1.2.TEXT] */
    LMAIL_MIME_MIME       /* BODY[1.2.MIME] */
} lmail_mime_section;

/* Octets begin..end of the message, end not counted. */
typedef struct lmail_mime_range {
    uint64_t begin, end;
    uint32_t part; /* index of the entity the octets belong to */
} lmail_mime_range;

/* Resolve an IMAP section.
 *   numbers   the part numbers; count 0 for the message as a whole
 * `1` of a message that is no multipart is its body. HEADER and TEXT below a number exist only for
 * a part that is a message. For HEADER.FIELDS resolve HEADER and filter (lmail_mime_fields_filter).
 * Returns: OK, ERR_NOTFOUND (there is no such section).
 * Source: RFC 9051 §6.4.5, RFC 3501 §6.4.5. */
LMAIL_API lmail_status lmail_mime_part_find(const lmail_mime_parts *parts, const uint32_t *numbers,
                                            size_t count, lmail_mime_section what,
                                            lmail_mime_range *out);

/* Parts as a compact blob, to be kept in a store's row: the blob is ours alone, its first octet is
 * a version.
 *   write   *made is the size of the blob. OK, or ERR_LIMIT when cap is too small (*made is still
 *           right)
 *   count   parts in the blob; 0 when it is damaged or of an unknown version
 *   read    fills part[0..cap). OK; ERR_LIMIT when cap is too small; ERR_CORRUPT when the blob is
 *           damaged: whatever octets it holds, indexes, order and nesting of offsets are checked */
LMAIL_API lmail_status lmail_mime_parts_write(const lmail_mime_parts *parts, char *out, size_t cap,
                                              size_t *made);
LMAIL_API size_t lmail_mime_parts_count(lmail_str blob);
LMAIL_API lmail_status lmail_mime_parts_read(lmail_str blob, lmail_mime_part *part, size_t cap,
                                             size_t *count);

/* ---- The parser ------------------------------------------------------------------------------ */

typedef struct lmail_mime_parser lmail_mime_parser;

#define LMAIL_MIME_GATHER_SUMMARY 1u /* make an lmail_mime_summary too */

typedef struct lmail_mime_config {
    size_t size;
    lmail_alloc alloc;
    const lmail_env *env; /* NULL: ASCII, Latin-1 and UTF-8 alone. Outlives the parser */
    unsigned gather;      /* LMAIL_MIME_GATHER_ bits; 0: structure alone */
    unsigned lf_input;    /* not 0: a bare LF counts as CRLF */
    uint32_t max_depth;   /* nesting; deeper entities stay leaves. 0: 100; at most 250 */
    uint32_t max_parts;   /* later parts are not told apart. 0: 10,000 */
    size_t max_header;    /* octets read of each header; later fields are not seen. 0: 256 KiB */
    size_t max_memory;    /* octets kept of all parts' headers together; above it, fields of later
                           * parts read as missing. 0: 4 MiB */
} lmail_mime_config;

#define LMAIL_MIME_CONFIG_INIT                                                                     \
    {                                                                                              \
        sizeof(lmail_mime_config), {NULL, NULL}, NULL, 0, 0, 0, 0, 0, 0                            \
    }
LMAIL_API void lmail_mime_config_init(lmail_mime_config *config);

/* What a store keeps of a message. Slices live until the parser is reset or freed. */
typedef struct lmail_mime_summary {
    uint64_t size;      /* octets, CRLF form: RFC822.SIZE */
    lmail_str envelope; /* "(...)", RFC 9051 §7.5.2; 8-bit strings are literals, so it is valid in
                         * every mode, and may hold CRLF after a literal's count */
    lmail_str bodystructure; /* "(...)", all extension fields; literals as in envelope */
    lmail_str parts;         /* lmail_mime_parts_write's blob */
    lmail_str preview;       /* UTF-8, at most 200 code points, white space folded; RFC 8970 */

    /* Decoded to UTF-8, unfolded; several fields of one name are joined by ", ". */
    lmail_str from, to, cc, bcc;
    lmail_str subject;      /* the first one */
    lmail_str base_subject; /* RFC 5256 §2.1, not yet folded */
    unsigned is_reply;      /* base_subject lost a "Re:", "Fwd:" or the like */

    /* SORT keys: the first address's local part, and for display (RFC 5957) its name, else
     * local@domain; decoded. */
    lmail_str sort_from, sort_to, sort_cc, display_from, display_to;

    /* Message ids without < and >; references are separated by one space each, oldest first; from
     * References, else the first id of In-Reply-To. RFC 5256 §3 */
    lmail_str message_id, in_reply_to, references;

    unsigned has_date;       /* Date: could be read */
    int64_t date;            /* seconds since 1970-01-01 00:00 UTC */
    int32_t date_day;        /* days since 1970-01-01 as written, disregarding time and zone */
    int32_t date_zone;       /* minutes east of UTC */
    uint32_t part_count;     /* parts without part 0 */
    unsigned has_attachment; /* some part has a disposition "attachment" */
} lmail_mime_summary;

/* Make a parser. Returns OK, ERR_NOMEM, ERR_SIZE (config->size unknown), ERR_ARG. */
LMAIL_API lmail_status lmail_mime_parser_new(lmail_mime_parser **out,
                                             const lmail_mime_config *config);
LMAIL_API void lmail_mime_parser_free(lmail_mime_parser *p);

/* Ready for another message, memory kept. lf_input as in the config. */
LMAIL_API void lmail_mime_parser_reset(lmail_mime_parser *p, unsigned lf_input);

/* Take all of `in`, any split. Returns OK, ERR_NOMEM (the parser is then of no use before a reset),
 * ERR_STATE after end. */
LMAIL_API lmail_status lmail_mime_parser_feed(lmail_mime_parser *p, lmail_str in);

/* The message is complete. Returns OK, ERR_NOMEM, ERR_STATE when called before. */
LMAIL_API lmail_status lmail_mime_parser_end(lmail_mime_parser *p);

/* After end; valid until reset or free. summary: NULL without LMAIL_MIME_GATHER_SUMMARY. */
LMAIL_API lmail_mime_parts lmail_mime_parser_parts(const lmail_mime_parser *p);
LMAIL_API const lmail_mime_summary *lmail_mime_parser_summary(const lmail_mime_parser *p);

/* The non-extensible BODY text out of a BODYSTRUCTURE text as the summary has it. cap of
 * bodystructure.len is always enough. Returns OK, ERR_LIMIT (cap too small), ERR_SYNTAX (not such a
 * text; *made is 0).
 * Source: RFC 9051 §7.5.2 "BODY". */
LMAIL_API lmail_status lmail_mime_body_from_bodystructure(lmail_str bodystructure, char *out,
                                                          size_t cap, size_t *made);

/* ENVELOPE of a header block alone, for a store without a cache. alloc: for work space; NULL: the C
 * library's. *made is the size needed. Returns OK, ERR_NOMEM, ERR_LIMIT when cap is too small. */
LMAIL_API lmail_status lmail_mime_envelope_write(const lmail_alloc *alloc, lmail_str header,
                                                 char *out, size_t cap, size_t *made);

/* ---- Header fields --------------------------------------------------------------------------- */

/* One field of a header block. Slices into the block. */
typedef struct lmail_mime_field {
    lmail_str name;  /* without the colon and white space in front of it */
    lmail_str value; /* behind the colon, folded as it stands, without the last line end */
    lmail_str whole; /* all octets, last line end included */
} lmail_mime_field;

/* Take the next field off *block. Lines that are no field are passed over; an empty line ends the
 * block. 1: *out is a field; 0: no more. */
LMAIL_API int lmail_mime_field_next(lmail_str *block, lmail_mime_field *out);

/* The first field of that name, without case. 1 or 0. */
LMAIL_API int lmail_mime_field_find(lmail_str block, lmail_str name, lmail_mime_field *out);

/* Unfold a value: line ends go, white space at both ends too. Makes at most in.len octets; returns
 * how many. `out` may be in.ptr. */
LMAIL_API size_t lmail_mime_unfold(lmail_str in, char *out);

/* What BODY[HEADER.FIELDS (names)] sends, or with `exclude` HEADER.FIELDS.NOT: the fields' own
 * octets in their order, then an empty line.
 *   cap    block.len + 4 octets are always enough
 *   made   out: the size needed
 * Returns: OK, ERR_LIMIT (cap is too small).
 * Source: RFC 9051 §6.4.5. */
LMAIL_API lmail_status lmail_mime_fields_filter(lmail_str block, const lmail_str *names,
                                                size_t count, int exclude, char *out, size_t cap,
                                                size_t *made);

/* ---- Addresses ------------------------------------------------------------------------------- */

typedef enum lmail_mime_address_kind {
    LMAIL_MIME_MAILBOX = 1,
    LMAIL_MIME_GROUP_BEGIN, /* name is the group's */
    LMAIL_MIME_GROUP_END
} lmail_mime_address_kind;

/* Quoting and comments are gone, encoded words stay raw. name: the display name, or the comment
 * behind a bare address (RFC 5322 §3.4 obsolete usage). Empty slices: not there. domain is empty
 * when the address has none.
 *
 * raw_local and raw_domain are a mailbox's parts as they stand in the value, for who rewrites it in
 * place: slices of the value, not of scratch, without white space and comments at their ends.
 * raw_domain.ptr is NULL when the address has no "@". */
typedef struct lmail_mime_address {
    lmail_mime_address_kind kind;
    lmail_str name, route, local, domain;
    unsigned has_name; /* name may be there and empty: "" <a@b> */
    lmail_str raw_local, raw_domain;
} lmail_mime_address;

/* Reads an address list. Members are private. */
typedef struct lmail_mime_address_reader {
    lmail_str rest;
    char *scratch;
    size_t cap;
    unsigned in_group;
} lmail_mime_address_reader;

/*   value     a field's value, folded or not; borrowed while it is read
 *   scratch   2 * value.len + 16 octets for the slices of the address last read; with less, long
 *             parts are cut */
LMAIL_API void lmail_mime_address_reader_init(lmail_mime_address_reader *r, lmail_str value,
                                              char *scratch, size_t cap);

/* 1: *out holds the next; its slices live until the next call. 0: no more. Garbage gives what can
 * be made of it, never an error. Each GROUP_BEGIN is followed by its GROUP_END. Source: RFC 5322
 * §3.4, §4.4; RFC 6854. */
LMAIL_API int lmail_mime_address_next(lmail_mime_address_reader *r, lmail_mime_address *out);

/* ---- Decoding header text -------------------------------------------------------------------- */

/* Unstructured text or a phrase to UTF-8: unfolds, decodes encoded words, joins adjacent ones;
 * octets that are no UTF-8 become U+FFFD, control characters a space. *made is at most cap, cut
 * between code points. Returns OK; ERR_LIMIT when the text was cut (3 * in.len + 16 is enough for
 * every charset that gives at most three octets for each of its own). Source: RFC 2047, RFC 2231
 * §5, RFC 6532. */
LMAIL_API lmail_status lmail_mime_words_decode(const lmail_env *env, lmail_str in, char *out,
                                               size_t cap, size_t *made);

/* One parameter of Content-Type or Content-Disposition. Continuations are joined. */
typedef struct lmail_mime_param {
    lmail_str name;
    lmail_str value;
    unsigned extended; /* value is charset'language'percent-encoded text (RFC 2231 §4) */
} lmail_mime_param;

/* A parsed "token[/token]; name=value; ...". */
typedef struct lmail_mime_content {
    lmail_str type, subtype; /* empty: none */
    size_t count;            /* parameters */
} lmail_mime_content;

/* Parse a structured value into out and param[0..max); later parameters are dropped. The first of
 * two parameters with one name counts.
 *   scratch   4 * value.len + 16 octets; all slices point into it
 * Source: RFC 2045 §5.1, RFC 2231 §3 and §4, RFC 2183. */
LMAIL_API void lmail_mime_content_parse(lmail_str value, lmail_mime_content *out,
                                        lmail_mime_param *param, size_t max, char *scratch,
                                        size_t cap);

/* A parameter's value to UTF-8; also when a plain value holds encoded words, as many programs write
 * them. As lmail_mime_words_decode. */
LMAIL_API lmail_status lmail_mime_param_decode(const lmail_env *env, const lmail_mime_param *param,
                                               char *out, size_t cap, size_t *made);

/* A Date: value. seconds since 1970 UTC; day: days since 1970 as written; zone: minutes east.
 * Reads the obsolete forms, two-digit years, missing zones (then UTC) and seconds, and the asctime
 * and ISO 8601 forms seen in the wild. Returns OK or ERR_SYNTAX.
 * Source: RFC 5322 §3.3, §4.3. */
LMAIL_API lmail_status lmail_mime_date_parse(lmail_str value, int64_t *seconds, int32_t *day,
                                             int32_t *zone);

/* The next message id of a value such as References, without < and >; takes it off *value.
 * 1: *id is one; 0: no more. */
LMAIL_API int lmail_mime_msgid_next(lmail_str *value, lmail_str *id);

/* Base subject of a decoded subject: a slice of `subject`, white space runs not folded; *is_reply
 * when a reply or forward mark went. RFC 5256 §2.1. */
LMAIL_API lmail_str lmail_mime_base_subject(lmail_str subject, unsigned *is_reply);

/* ---- Decoding bodies ------------------------------------------------------------------------- */

typedef struct lmail_mime_decoder lmail_mime_decoder;

#define LMAIL_MIME_DECODE_OCTETS 1u /* undo the transfer encoding alone (BINARY) */

/* charset: as in Content-Type; empty or unknown reads as UTF-8. Returns OK, ERR_NOMEM, and
 * ERR_UNSUPPORTED for an encoding that is unknown (RFC 3516 UNKNOWN-CTE). */
LMAIL_API lmail_status lmail_mime_decoder_new(lmail_mime_decoder **out, const lmail_alloc *alloc,
                                              const lmail_env *env, lmail_mime_encoding encoding,
                                              lmail_str charset, unsigned flags);
LMAIL_API void lmail_mime_decoder_free(lmail_mime_decoder *d);

/* Take *used octets of the encoded body, make *made of text (valid UTF-8 unless DECODE_OCTETS; what
 * cannot be read becomes U+FFFD). `end` not 0: `in` is the last.
 *   cap   at least 16
 * Returns: OK (all taken, and with `end` all made), MORE (out is full: go on with the rest). */
LMAIL_API lmail_status lmail_mime_decoder_feed(lmail_mime_decoder *d, lmail_str in, int end,
                                               size_t *used, char *out, size_t cap, size_t *made);

/* ---- Matching -------------------------------------------------------------------------------- */

/* Evaluates the HEADER, BODY and TEXT keys of a search against messages that stream through it, all
 * in one pass. Both sides are decoded to UTF-8 and folded (env.fold; NULL: ASCII). */
typedef struct lmail_mime_matcher lmail_mime_matcher;

/*   search   the tree; it outlives the matcher. Other keys are passed over
 *   config   alloc, env and limits of the parser inside
 * Returns: OK, ERR_NOMEM, ERR_SIZE. */
LMAIL_API lmail_status lmail_mime_matcher_new(lmail_mime_matcher **out,
                                              const lmail_mime_config *config,
                                              const lmail_search *search);
LMAIL_API void lmail_mime_matcher_free(lmail_mime_matcher *m);

#define LMAIL_MIME_MATCH_NOTHING 0u /* the tree has none of these keys */
#define LMAIL_MIME_MATCH_HEADER 1u  /* octets up to the end of the message's header are enough */
#define LMAIL_MIME_MATCH_ALL 2u     /* the whole message must be fed */

/* What has to be read of each message. */
LMAIL_API unsigned lmail_mime_matcher_needs(const lmail_mime_matcher *m);

/* Before each message. */
LMAIL_API void lmail_mime_matcher_reset(lmail_mime_matcher *m);

/* OK: go on. END: every key has matched or nothing can change any more; the rest may be left
 * unread. ERR_NOMEM. */
LMAIL_API lmail_status lmail_mime_matcher_feed(lmail_mime_matcher *m, lmail_str in);
LMAIL_API lmail_status lmail_mime_matcher_end(lmail_mime_matcher *m);

/* Does that HEADER, BODY or TEXT node of the tree match the message just read? 1 or 0; 0 for
 * others. */
LMAIL_API int lmail_mime_matcher_result(const lmail_mime_matcher *m, const lmail_search *key);

#ifdef __cplusplus
}
#endif

#endif
