/* policy_map.h - one table of keys and values, read from an administrator's text file.
 *
 * Every table of this room is a lmi_map: the access map, classes w and R, virtusertable and its
 * like, aliases. A reader copies a file's octets once (lmi_map_copy), walks its lines
 * (lmi_map_line) and adds entries whose keys and values lie in that copy; nothing is allocated for
 * a single entry. After loading a map is only read, by any number of threads.
 *
 *     lmi_map_init(&map, alloc);
 *     st = lmi_map_source(&map, file.name, &source);
 *     st = lmi_map_copy(&map, file.octets, &lines);
 *     while (lmi_map_line(&lines, &line)) ... lmi_map_fold(line.key) ... lmi_map_add(&map, &entry, NULL);
 *     hit = lmi_map_find(&map, key);
 *     lmi_map_done(&map);
 */
#ifndef LMI_POLICY_MAP_H
#define LMI_POLICY_MAP_H

#include "base/base_internal.h"

#define LMI_MAP_MAX_SOURCES 255u
#define LMI_MAP_MAX_KEY 65535u

/* Key and value lie in the map's own memory (lmi_map_copy, lmi_map_keep) or are static. */
typedef struct lmi_map_entry {
    const char *key; /* as it is looked up: folded */
    const char *value;
    uint32_t hash; /* lmi_map_add fills it */
    uint32_t line; /* from 1; 0: not from a file */
    uint32_t value_len;
    uint16_t key_len;
    uint8_t source; /* number of its file, lmi_map_source */
    uint8_t kind;   /* the reader's own */
} lmi_map_entry;

typedef struct lmi_map_block lmi_map_block; /* a copied file */

typedef struct lmi_map {
    const lmail_alloc *alloc; /* outlives the map */
    lmi_map_entry *entries;
    uint32_t count, room;
    uint64_t *slots; /* hash << 32 | entry number + 1; 0: free. Behind them: the filter */
    size_t slot_count;
    lmi_map_block *blocks;
    lmi_arena more;     /* keys and values that are no part of a file; source names */
    lmail_str *sources; /* file names */
    unsigned source_count;
    unsigned secret; /* passwords are among the values: done wipes what it frees */
} lmi_map;

void lmi_map_init(lmi_map *m, const lmail_alloc *alloc);
void lmi_map_done(lmi_map *m);

/* A file's name, copied; entries name it by number. OK, ERR_NOMEM, ERR_LIMIT. */
lmail_status lmi_map_source(lmi_map *m, lmail_str name, uint8_t *number);
lmail_str lmi_map_source_name(const lmi_map *m, const lmi_map_entry *e);

/* Octets into memory of the map's. OK or ERR_NOMEM. */
lmail_status lmi_map_keep(lmi_map *m, lmail_str in, lmail_str *out);

/* Room for that many entries more, so that adding them allocates nothing. OK, ERR_NOMEM, ERR_LIMIT. */
lmail_status lmi_map_reserve(lmi_map *m, size_t more);

/* Add an entry. OK; ERR_EXISTS: the key is there already, *old (may be NULL) is its entry, which
 * stays; ERR_NOMEM; ERR_LIMIT (a key over LMI_MAP_MAX_KEY, too many entries). */
lmail_status lmi_map_add(lmi_map *m, const lmi_map_entry *e, const lmi_map_entry **old);

/* The entry of a key, octet by octet, or NULL. The second finds `head` and `tail` joined. */
const lmi_map_entry *lmi_map_find(const lmi_map *m, lmail_str key);
const lmi_map_entry *lmi_map_find2(const lmi_map *m, lmail_str head, lmail_str tail);
lmail_str lmi_map_key(const lmi_map_entry *e);
lmail_str lmi_map_value(const lmi_map_entry *e);

/* ---- Lines ----------------------------------------------------------------------------------- */

/* A walk over a text that may be changed in place. */
typedef struct lmi_map_lines {
    char *at, *end;
    uint32_t number; /* of the line last given */
} lmi_map_lines;

/* One line that is neither empty nor a comment ('#' in its first column), without CR, LF and blanks
 * at its ends. */
typedef struct lmi_map_text_line {
    char *ptr;
    size_t len;
    uint32_t number;
    unsigned indented; /* blanks stood before it */
} lmi_map_text_line;

/* Copies a text into the map, reserves an entry a line, and begins a walk over the copy. A UTF-8
 * byte order mark is skipped. OK, ERR_NOMEM, ERR_LIMIT (4 GiB and more). */
lmail_status lmi_map_copy(lmi_map *m, lmail_str octets, lmi_map_lines *lines);
int lmi_map_line(lmi_map_lines *lines, lmi_map_text_line *line);

/* ASCII letters to lower case, in place. */
void lmi_map_fold(char *ptr, size_t len);
/* Blank or tab. */
int lmi_is_blank(char c);

#endif
