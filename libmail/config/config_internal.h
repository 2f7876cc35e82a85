/* config_internal.h - the pieces of the configuration reader.
 *
 *     config_native.c    libmail.conf: lines, sections, includes -> assignments
 *     config_settings.c  the table of all settings; assigns values, fills defaults
 *     config_value.c     text <-> typed values
 *     config_show.c      settings -> a native file with origins
 *
 * Readers of other formats (classic files) make the same assignments: a name, a value, a place. */
#ifndef LMI_CONFIG_INTERNAL_H
#define LMI_CONFIG_INTERNAL_H

#include "base/base_internal.h"

#include <libmail/config.h>

typedef enum lmi_kind {
    LMI_KIND_TEXT,     /* lmail_str */
    LMI_KIND_LIST,     /* lmail_str_list */
    LMI_KIND_NUMBER,   /* uint64_t */
    LMI_KIND_SIZE,     /* uint64_t, octets */
    LMI_KIND_DURATION, /* lmail_msec */
    LMI_KIND_BOOL,     /* unsigned */
    LMI_KIND_CHOICE    /* unsigned: index into `choices` */
} lmi_kind;

typedef struct lmi_setting {
    const char *name;
    lmi_kind kind;
    size_t offset; /* in lmail_settings or lmail_listener_settings */
    const char *standard;
    const char *choices; /* CHOICE: "starttls|tls|none" */
    uint64_t min, max;
    const char *about;
} lmi_setting;

extern const lmi_setting lmi_settings[];          /* ends with a NULL name */
extern const lmi_setting lmi_listener_settings[]; /* likewise */

/* Where a value came from. line 0 is the default. */
typedef struct lmi_origin {
    lmail_str file;
    size_t line;
} lmi_origin;

#define LMI_MAX_SETTINGS 96u
#define LMI_MAX_LISTENER_SETTINGS 16u
#define LMI_MAX_LISTENERS 64u
#define LMI_MAX_INCLUDE_DEPTH 16u

typedef struct lmi_listener {
    lmail_listener_settings values;
    lmi_origin origin; /* of the section */
    lmi_origin origins[LMI_MAX_LISTENER_SETTINGS];
} lmi_listener;

struct lmail_config {
    lmail_alloc alloc;
    lmi_arena arena;
    lmail_settings values;
    lmi_origin origins[LMI_MAX_SETTINGS];
    lmail_listener_settings *listeners; /* what values.listeners shows */
    lmi_listener *sections[LMI_MAX_LISTENERS];
    size_t section_count;
};

/* One reading. */
typedef struct lmi_reader {
    lmail_config *config;
    const lmail_config_io *io;
    unsigned depth;
    unsigned errors;
    lmail_status failed; /* ERR_NOMEM ends everything */
} lmi_reader;

/* A complaint about a place, put together from slices (lmi_diagnose); errors are counted. */
void lmi_config_say(lmi_reader *r, lmail_severity severity, lmi_origin where,
                    const lmail_str *pieces, size_t count);
#define LMI_SAY(r, severity, where, ...) lmi_config_say(r, severity, where, LMI_PIECES(__VA_ARGS__))

/* Set a setting by name. section: NULL or the listener that it belongs to. Complains itself. */
void lmi_config_assign(lmi_reader *r, lmi_listener *section, lmail_str name, lmail_str value,
                       lmi_origin where);
/* The listener of that name, made if it is new. NULL: complained or out of memory. */
lmi_listener *lmi_config_listener(lmi_reader *r, lmail_str name, lmi_origin where);
/* Defaults into a fresh structure; OK or ERR_NOMEM. */
lmail_status lmi_config_defaults(lmail_config *c);
/* What only the whole shows: settings that need each other. Publishes the listeners. */
void lmi_config_finish(lmi_reader *r);

void lmi_config_read_file(lmi_reader *r, lmail_str name, lmi_origin from);

/* Text into the typed member at `at`. Returns NULL or a complaint (static text). */
const char *lmi_value_parse(const lmi_setting *row, lmail_str text, lmi_arena *arena, void *at,
                            lmail_status *st);
/* The typed member as text, in pieces through write. */
lmail_status lmi_value_show(const lmi_setting *row, const void *at,
                            lmail_status (*write)(void *ctx, lmail_str text), void *ctx);
/* Walk "a|b|c": choice number i, or the empty slice behind the last. */
lmail_str lmi_choice_at(const char *choices, size_t i);

#endif
