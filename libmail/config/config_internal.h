/* config_internal.h - the pieces of the configuration reader.
 *
 *     config_native.c    libmail.conf: lines, sections, includes -> assignments
 *     config_load.c      assigns values, fills defaults, looks at the whole
 *     config_settings.c  the table of all settings
 *     config_sections.c  the tables of the named sections
 *     config_value.c     text <-> typed values
 *     config_show.c      settings -> a native file with origins
 *     config_policy.c    settings and the files they name -> the policy
 *     config_tables.c    the same for routing and masquerading
 *     config_files.c     those files
 *
 * Readers of other formats (classic files) make the same assignments: a name, a value, a place. */
#ifndef LMI_CONFIG_INTERNAL_H
#define LMI_CONFIG_INTERNAL_H

#include "base/base_internal.h"

#include <libmail/config.h>
#include <libmail/policy.h>
#include <libmail/policy_tables.h>

typedef enum lmi_kind {
    LMI_KIND_TEXT, /* lmail_str */
    LMI_KIND_FILE, /* lmail_str: a file that the host reads whole, as lmail_config_file_at tells */
    LMI_KIND_DIRECTORY, /* lmail_str: the same of all files in it */
    LMI_KIND_LIST,      /* lmail_str_list */
    LMI_KIND_NUMBER,    /* uint64_t */
    LMI_KIND_SIZE,      /* uint64_t, octets */
    LMI_KIND_DURATION,  /* lmail_msec */
    LMI_KIND_LOAD,      /* uint64_t, perhaps with LMAIL_LOAD_PER_PROCESSOR */
    LMI_KIND_BOOL,      /* unsigned */
    LMI_KIND_CHOICE,    /* unsigned: index into `choices` */
    LMI_KIND_FLAGS      /* unsigned: bit i is word i of `choices` */
} lmi_kind;

typedef struct lmi_setting {
    const char *name;
    lmi_kind kind;
    size_t offset; /* in lmail_settings or lmail_listener_settings */
    const char *standard;
    const char *choices; /* CHOICE: "starttls|tls|none"; LIST: each item is one of them, or NULL */
    uint64_t min, max;
    const char *about;
} lmi_setting;

extern const lmi_setting lmi_settings[]; /* ends with a NULL name */

/* Who speaks. Of two that set the same, the higher rank wins; two of one rank are a mistake in
 * libmail.conf, elsewhere the later one wins and its reader says what it thinks of it. */
typedef enum lmi_rank {
    LMI_RANK_DEFAULT,  /* ours */
    LMI_RANK_STANDARD, /* what an imported file means when it says nothing */
    LMI_RANK_IMPORTED,
    LMI_RANK_NATIVE
} lmi_rank;

/* Where a value came from. Line 0: no line of it. */
typedef struct lmi_origin {
    lmail_str file;
    size_t line;
    lmi_rank rank;
} lmi_origin;

#define LMI_MAX_SETTINGS 256u
#define LMI_MAX_SECTION_SETTINGS 32u
#define LMI_MAX_SECTIONS 64u /* of a kind */
#define LMI_MAX_INCLUDE_DEPTH 16u
#define LMI_MAX_NATIVE_FILES 256u

typedef enum lmi_section_id {
    LMI_SECTION_LISTENER,
    LMI_SECTION_DNSBL,
    LMI_SECTION_MILTER,
    LMI_SECTION_KINDS
} lmi_section_id;

typedef struct lmi_section_kind {
    const char *word, *one, *this_one, *too_many;
    const lmi_setting *rows; /* names are "listener.port" */
} lmi_section_kind;

extern const lmi_section_kind lmi_section_kinds[LMI_SECTION_KINDS];
/* "port" of "listener.port". */
lmail_str lmi_section_setting(const lmi_section_kind *kind, const lmi_setting *row);

typedef struct lmi_section {
    union {
        lmail_str name; /* the first member of each */
        lmail_listener_settings listener;
        lmail_dnsbl_settings dnsbl;
        lmail_milter_settings milter;
    } values;
    const lmi_section_kind *kind;
    lmi_origin origin;
    lmi_origin origins[LMI_MAX_SECTION_SETTINGS];
} lmi_section;

typedef struct lmi_sections {
    lmi_section *items[LMI_MAX_SECTIONS];
    size_t count;
} lmi_sections;

struct lmail_config {
    lmail_alloc alloc;
    lmi_arena arena;
    lmail_settings values;
    lmi_origin origins[LMI_MAX_SETTINGS];
    lmi_sections sections[LMI_SECTION_KINDS];
    lmail_policy *policy;
    lmail_policy_tables *tables;
};

/* Listeners of these protocols are an imported file's business, bit 1 << lmail_listener_protocol. */
#define LMI_CLAIM_SMTP (1u << LMAIL_LISTENER_SMTP | 1u << LMAIL_LISTENER_SUBMISSION)
#define LMI_CLAIM_IMAP (1u << LMAIL_LISTENER_IMAP)
#define LMI_CLAIM_POP3 (1u << LMAIL_LISTENER_POP3)

/* One reading. */
typedef struct lmi_reader {
    lmail_config *config;
    const lmail_config_io *io;
    lmail_str
        reading[LMI_MAX_INCLUDE_DEPTH]; /* files that are open, each included by the one before */
    unsigned depth;
    unsigned files; /* native ones that were opened */
    unsigned errors;
    unsigned claimed;    /* LMI_CLAIM_* of the files that were imported */
    lmail_status failed; /* ERR_NOMEM ends everything */
} lmi_reader;

/* A complaint about a place, put together from slices (lmi_diagnose); errors are counted. */
void lmi_config_say(lmi_reader *r, lmail_severity severity, lmi_origin where,
                    const lmail_str *pieces, size_t count);
#define LMI_SAY(r, severity, where, ...) lmi_config_say(r, severity, where, LMI_PIECES(__VA_ARGS__))

/* Set a setting by name, in the spelling of libmail.conf, unless a higher rank has set it. section:
 * NULL or the one that it belongs to. Complains itself. */
void lmi_config_assign(lmi_reader *r, lmi_section *section, lmail_str name, lmail_str value,
                       lmi_origin where);
/* The section of that kind and name, made if it is new. NULL: complained, out of memory, or an
 * imported file names one that libmail.conf has. */
lmi_section *lmi_config_section(lmi_reader *r, lmi_section_id kind, lmail_str name,
                                lmi_origin where);
/* The row of a setting that exists. */
const lmi_setting *lmi_config_setting(const char *name);
/* Where a setting was given; of an unknown name: nowhere. */
lmi_origin lmi_config_origin(const lmail_config *c, const char *name);
/* A name relative to the file that names it. OK or ERR_NOMEM. */
lmail_status lmi_config_beside(lmi_reader *r, lmail_str file, lmail_str name, lmail_str *out);
/* Defaults into a fresh structure; OK or ERR_NOMEM. */
lmail_status lmi_config_defaults(lmail_config *c);
/* What only the whole shows: settings that need each other. Publishes the listeners. */
void lmi_config_finish(lmi_reader *r);
/* Read the files that the settings name and make the policy. */
void lmi_config_make_policy(lmi_reader *r);

void lmi_config_read_file(lmi_reader *r, lmail_str name, lmi_origin from);
/* Files of the classic installation. from: the line of libmail.conf that names it. */
void lmi_config_read_mc(lmi_reader *r, lmail_str name, lmi_origin from);
void lmi_config_read_dovecot(lmi_reader *r, lmail_str name, lmi_origin from);

/* What only the whole shows of the mailbox protocols' settings. */
void lmi_config_check_mail(lmi_reader *r);

/* Text into the typed member at `at`. Returns NULL or a complaint (static text). */
const char *lmi_value_parse(const lmi_setting *row, lmail_str text, lmi_arena *arena, void *at,
                            lmail_status *st);
/* The typed member as text, in pieces through write. */
lmail_status lmi_value_show(const lmi_setting *row, const void *at,
                            lmail_status (*write)(void *ctx, lmail_str text), void *ctx);
/* Walk "a|b|c": choice number i, or the empty slice behind the last. */
lmail_str lmi_choice_at(const char *choices, size_t i);

#endif
