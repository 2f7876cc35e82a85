/* policy_tables_internal.h - what the files behind libmail/policy_tables.h share.
 *
 *     policy_tables.c   the host's config made into one immutable object
 *     policy_table.c    two-column files and classes
 *     policy_alias.c    aliases and what they include
 *     policy_target.c   one target of an alias
 *     policy_triple.c   values: mailer:host, error:..., addresses, %1
 *     policy_route.c    a recipient's way through the tables
 *     policy_expand.c   aliases, and the destinations that are found
 *     policy_forward.c  what a user's own file makes of his mail
 *     policy_rewrite.c  one address as it looks outside
 *     policy_rewrite_value.c   a header field's value */
#ifndef LMI_POLICY_TABLES_INTERNAL_H
#define LMI_POLICY_TABLES_INTERNAL_H

#include <libmail/policy_tables.h>

#include "policy/policy_internal.h"

/* ---- Values ---------------------------------------------------------------------------------- */

/* Where a value sends to: "mailer:host", "local:user", "error:...", a host alone. */
typedef enum lmi_triple_kind {
    LMI_TRIPLE_BAD = 0,
    LMI_TRIPLE_HOSTS, /* mailer, hosts, perhaps user */
    LMI_TRIPLE_LOCAL, /* user; empty: the local part that was there */
    LMI_TRIPLE_ERROR  /* refusal */
} lmi_triple_kind;

typedef struct lmi_triple {
    lmi_triple_kind kind;
    lmail_str mailer, user, hosts;
    int lmtp; /* hosts may have ports and may be a path */
    lmi_reply_parts refusal;
} lmi_triple;

/* "error:..." behind its colon: 1, or 0 when it is none. */
int lmi_refusal_parse(lmail_str s, lmi_reply_parts *out);
/* bare_host: a host without a mailer is one too, for "relay". */
void lmi_triple_parse(lmail_str value, int bare_host, lmi_triple *out);
/* The first of a list of hosts, taken off it: 1, or 0 at its end. Colons and commas divide it.
 *   lmtp   a path is one host, and a number behind a host its port (above 65535: not allowed) */
int lmi_hosts_next(lmail_str *hosts, int lmtp, lmail_policy_host *out);
/* Mail that a damaged entry holds up. */
extern const lmi_reply_parts lmi_refusal_damaged;

/* An address at its last "@" outside quotes. A dot behind the domain is dropped. *has_domain: there
 * was an "@". */
void lmi_address_split(lmail_str address, lmail_str *local, lmail_str *domain, int *has_domain);
/* RFC 5322 §3.2.3, with the octets of RFC 6532. */
int lmi_is_dot_atom(lmail_str s);
/* A local part without quotes: into out[0..local.len). */
size_t lmi_local_unquote(lmail_str local, char *out);
/* "juan" of "\"juan\"": quotes that mean nothing are dropped; else the slice itself. */
lmail_str lmi_local_plain(lmail_str local);
/* Offset of the "+" that a detail follows; len: there is none. */
size_t lmi_detail_at(lmail_str local);
/* %0 .. %9 of a value become args[0..count); %% a percent sign. Octets needed, written below cap. */
size_t lmi_value_fill(lmail_str value, const lmail_str *args, size_t count, char *out, size_t cap);

/* ---- Aliases --------------------------------------------------------------------------------- */

typedef enum lmi_target_kind {
    LMI_TARGET_ADDRESS = 0, /* looked up again */
    LMI_TARGET_MAILBOX,     /* \\name */
    LMI_TARGET_INCLUDE,     /* text: the file */
    LMI_TARGET_FILE,        /* text: the path */
    LMI_TARGET_PROGRAM,     /* number: which of the programs; text: the arguments */
    LMI_TARGET_NO_FILE,     /* not allowed */
    LMI_TARGET_NO_PROGRAM,
    LMI_TARGET_BAD
} lmi_target_kind;

typedef struct lmi_target {
    lmail_str text;
    uint32_t line;
    uint32_t number;
    lmi_target_kind kind;
} lmi_target;

/* A run of targets. */
typedef struct lmi_target_list {
    uint32_t first, count;
} lmi_target_list;

/* Names and included files; entry number i of a map has list number i. An include's kind is 1 when
 * it cannot be read; its source is itself. */
typedef struct lmi_aliases {
    lmi_map names, includes;
    lmi_target_list *name_lists, *include_lists;
    size_t name_room, include_room;
    lmi_target *targets;
    size_t target_count, target_room;
} lmi_aliases;

/* ---- The object ------------------------------------------------------------------------------ */

struct lmail_policy_tables {
    lmail_alloc alloc;
    const lmail_policy *policy;
    lmi_map virtusers, mailers, generics, domains;
    lmi_aliases aliases;
    lmi_map virtual_domains, generics_domains;
    lmi_map masquerade_domains, masquerade_exceptions, exposed_users;
    lmi_map words; /* keeps what follows */
    lmi_triple smart_host;
    lmail_str smart_host_text;
    lmail_str masquerade_as;
    lmail_str *programs, *file_directories;
    size_t program_count, file_directory_count;
    size_t max_depth, max_destinations;
    unsigned virtuser_entire_domain, generics_entire_domain, redirect;
    unsigned masquerade_envelope, masquerade_entire_domain, allmasquerade, limited_masquerade;
    unsigned local_no_masquerade;
};

/* Is the folded domain, or with `entire` one above it, in the class? */
int lmi_names_cover(const lmi_map *names, lmail_str domain, unsigned entire);
/* The entry of a folded domain in class w: mail for it is local. NULL: it is not. */
const lmi_map_entry *lmi_tables_local(const lmail_policy_tables *t, lmail_str domain);
lmail_str lmi_tables_host_name(const lmail_policy_tables *t);
/* domaintable, for a folded domain. */
const lmi_map_entry *lmi_tables_domain(const lmail_policy_tables *t, lmail_str folded);

/* ---- Reading --------------------------------------------------------------------------------- */

/* While the tables are made. */
typedef struct lmi_tables_reader {
    lmail_policy_tables *t;
    const lmail_policy_tables_config *config;
    lmail_str file; /* being read */
    unsigned errors;
} lmi_tables_reader;

void lmi_tables_say(lmi_tables_reader *r, lmail_severity severity, size_t line,
                    const lmail_str *pieces, size_t count);
#define LMI_TABLES_SAY(r, severity, line, ...)                                                     \
    lmi_tables_say(r, severity, line, LMI_PIECES(__VA_ARGS__))

/* What a value has to be. Says what is wrong with it (NULL: nothing) and the entry's kind: 1 when it
 * cannot be used. */
typedef const char *lmi_value_check(lmi_tables_reader *r, lmail_str key, lmail_str value,
                                    uint8_t *kind);
lmi_value_check lmi_check_virtuser, lmi_check_mailer, lmi_check_generic, lmi_check_domain;

/* OK, ERR_NOMEM or ERR_LIMIT. */
lmail_status lmi_table_read(lmi_tables_reader *r, lmi_map *map, const lmail_policy_file *file,
                            lmi_value_check *check);
lmail_status lmi_names_read(lmi_tables_reader *r, lmi_map *map, const lmail_policy_names *names);
lmail_status lmi_aliases_read(lmi_tables_reader *r);
void lmi_aliases_done(lmi_aliases *a, const lmail_alloc *alloc); /* all but its maps */

/* The next target of a list, taken off it, without blanks at its ends: 1; 0: no more. */
int lmi_target_next(lmail_str *list, lmail_str *target);
/* What it is; says what is wrong with it. The text may be changed in place and is not empty. */
void lmi_target_parse(lmi_tables_reader *r, char *ptr, size_t len, uint32_t line, lmi_target *out);

/* ---- Routing --------------------------------------------------------------------------------- */

/* What is being expanded, up to the recipient itself (NULL). */
typedef struct lmi_route_node {
    const struct lmi_route_node *parent;
    const char *key; /* of the entry: one for each */
    lmail_str owner; /* the innermost list's that has one */
    size_t depth;
} lmi_route_node;

/* The entry that decided last. */
typedef struct lmi_route_rule {
    const char *table;
    lmail_str key, file;
    size_t line;
} lmi_route_rule;

/* What a question becomes; it begins with what the host sees. */
typedef struct lmi_routes {
    lmail_policy_routes seen_by_host;
    lmail_alloc alloc;
    lmi_arena arena;
    lmail_policy_destination *items; /* &one, or a block of its own */
    size_t room;
    lmail_policy_destination one;
} lmi_routes;

typedef struct lmi_route {
    const lmail_policy_tables *t;
    const lmail_policy_route_question *q;
    lmi_routes *a;
    size_t count;
    lmi_map seen; /* names expanded and destinations found, once there is an alias */
    unsigned uses_seen;
    lmail_str domain; /* of ours, that the name at hand stood at; empty: none */
    lmail_status st;  /* not OK ends everything */
} lmi_route;

/* An answer's memory, w->a; w->t and w->q are the caller's. OK or ERR_NOMEM. */
lmail_status lmi_routes_begin(lmi_route *w, const lmail_alloc *given);
/* The answer is complete: *out, or what w->st says. */
lmail_status lmi_routes_end(lmi_route *w, const lmail_policy_routes **out);
/* Route an address that stands in a table, or the recipient. `rule`: what led to it. */
void lmi_route_address(lmi_route *w, lmail_str local, lmail_str domain, int has_domain,
                       const lmi_route_node *from, lmi_route_rule rule);
/* A name of this host: aliases, then the mailbox. */
void lmi_route_name(lmi_route *w, lmail_str local, const lmi_route_node *from, lmi_route_rule rule);
/* A name without quotes, folded, in the answer's memory. */
lmail_str lmi_route_canonical(lmi_route *w, lmail_str local);
/* Its mailbox, whatever aliases say. */
void lmi_route_mailbox(lmi_route *w, lmail_str name, const lmi_route_node *from,
                       const lmi_route_rule *rule);
void lmi_route_refuse(lmi_route *w, const lmi_reply_parts *why, const lmi_route_node *from,
                      lmi_route_rule rule);
/* Add a destination; what is there already stays once. */
void lmi_route_put(lmi_route *w, lmail_policy_destination *d, const lmi_route_node *from,
                   const lmi_route_rule *rule);
/* An entry was looked for. */
void lmi_route_step(const lmi_route *w, lmail_str head, lmail_str tail, const lmi_map *map,
                    const lmi_map_entry *hit, const char *meaning);
lmi_route_rule lmi_route_rule_of(const char *table, const lmi_map *map, const lmi_map_entry *e);
/* Pieces joined in the answer's memory; NULL ptr: w->st is set. */
lmail_str lmi_route_join(lmi_route *w, const lmail_str *pieces, size_t count);
extern const lmi_reply_parts lmi_refusal_loop;

/* ---- Rewriting ------------------------------------------------------------------------------- */

/* An address in its parts, and what they become. */
typedef struct lmi_rewrite {
    lmail_str local,
        domain;         /* in: domain.ptr NULL: unqualified. out: slices of the input, the tables
                              * or room */
    unsigned new_local; /* out: local is another than it was */
    char folded[256];
    char room[2 * LMAIL_POLICY_MAX_ADDRESS];
} lmi_rewrite;

void lmi_rewrite_address(const lmail_policy_tables *t, lmail_policy_role role,
                         lmail_policy_delivery delivery, lmi_rewrite *a);

#endif
