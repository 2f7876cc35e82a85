/* config_mc.h - the reader of sendmail.mc.
 *
 *     config_mc_read.c      the file as a whole: from the first octet to the settings
 *     config_mc_input.c     frames of text, tokens, quotes
 *     config_mc_macro.c     calls, arguments, define and its kin
 *     config_mc_text.c      text between calls, and what damage it shows
 *     config_mc_names.c     every name that the language knows
 *     config_mc_conf.c      define(`confXXX', ...) -> settings
 *     config_mc_auth.c      those with a language of their own: authentication, privacy, TLS
 *     config_mc_feature.c   FEATURE(...) -> settings
 *     config_mc_listener.c  DAEMON_OPTIONS, CLIENT_OPTIONS, INPUT_MAIL_FILTER
 *
 * The language is m4's, as far as such files use it. It is interpreted, with a bound on everything:
 * depth, expansions, names, memory, complaints. */
#ifndef LMI_CONFIG_MC_H
#define LMI_CONFIG_MC_H

#include "config/config_internal.h"

#define LMI_MC_MAX_FRAMES 64u
#define LMI_MC_MAX_NESTING 64u
#define LMI_MC_MAX_ARGS 64u
#define LMI_MC_MAX_FILES 64u
#define LMI_MC_MAX_EXPANSIONS 20000u
#define LMI_MC_MAX_MACROS 2048u
#define LMI_MC_MAX_ERRORS 100u
#define LMI_MC_MAX_UNUSED 256u
#define LMI_MC_CEILING (16u << 20)
#define LMI_MC_MAX_EXPANDED (1u << 20) /* octets that macros may become */

typedef struct lmi_mc lmi_mc;

/* A piece of text that is being read: a file, or what a macro became. */
typedef struct lmi_mc_frame {
    lmail_str text;
    size_t at;
    lmi_origin where;
    unsigned fixed; /* made by a call: all of it stands in that call's line */
} lmi_mc_frame;

typedef enum lmi_mc_kind {
    LMI_MC_END,
    LMI_MC_WORD,   /* [A-Za-z_][A-Za-z0-9_]* */
    LMI_MC_QUOTED, /* text is what stands between the quotes */
    LMI_MC_OPEN,
    LMI_MC_CLOSE,
    LMI_MC_COMMA,
    LMI_MC_BLANK,
    LMI_MC_LINE, /* a line end */
    LMI_MC_HASH,
    LMI_MC_OTHER
} lmi_mc_kind;

typedef struct lmi_mc_token {
    lmi_mc_kind kind;
    lmail_str text;
    lmi_origin at;
} lmi_mc_token;

typedef struct lmi_mc_call {
    lmail_str name;
    lmi_origin at;
    lmail_str arg[LMI_MC_MAX_ARGS]; /* empty behind the last */
    size_t count;
} lmi_mc_call;

typedef void lmi_mc_handler(lmi_mc *m, const lmi_mc_call *call);

/* What may stand in front of a parenthesis. */
typedef struct lmi_mc_name {
    const char *name;
    lmi_mc_handler *handle;
    unsigned raw; /* arguments: a first bare word is a name, and is not expanded */
} lmi_mc_name;

typedef struct lmi_mc_macro {
    lmail_str name, value;
    lmi_origin at;
    unsigned defined, used;
} lmi_mc_macro;

/* Lists that several directives fill. */
typedef enum lmi_mc_list_id {
    LMI_MC_LOCAL_DOMAINS,
    LMI_MC_RELAY_DOMAINS,
    LMI_MC_RELAY_DOMAIN_FILES,
    LMI_MC_TRUSTED_MECHANISMS,
    LMI_MC_MASQUERADE_DOMAINS,
    LMI_MC_MASQUERADE_DOMAIN_FILES,
    LMI_MC_MASQUERADE_EXCEPTIONS,
    LMI_MC_MASQUERADE_EXCEPTION_FILES,
    LMI_MC_EXPOSED_USERS,
    LMI_MC_EXPOSED_USER_FILES,
    LMI_MC_VIRTUSER_DOMAINS,
    LMI_MC_VIRTUSER_DOMAIN_FILES,
    LMI_MC_GENERICS_DOMAINS,
    LMI_MC_GENERICS_DOMAIN_FILES,
    LMI_MC_MILTERS,
    LMI_MC_CLIENT_ADDRESSES,
    LMI_MC_LISTS
} lmi_mc_list_id;

typedef struct lmi_mc_text {
    char *ptr;
    size_t len, cap;
} lmi_mc_text;

typedef struct lmi_mc_list {
    lmi_mc_text text; /* blank-separated */
    lmi_origin at;    /* where it was named first */
    unsigned set;
} lmi_mc_list;

struct lmi_mc {
    lmi_reader *r;
    lmi_arena arena; /* of this reading */
    lmail_str file;
    unsigned stopped; /* nothing further is read */
    unsigned errors;

    lmi_mc_frame frames[LMI_MC_MAX_FRAMES];
    size_t depth;
    lmail_str opened[LMI_MC_MAX_FILES];
    size_t files;
    unsigned nesting, expansions;
    size_t expanded; /* octets */

    lmi_mc_macro *macros[LMI_MC_MAX_MACROS * 2]; /* by hash */
    lmi_mc_macro *order[LMI_MC_MAX_MACROS];      /* as they came */
    size_t macro_count;

    unsigned diverted;     /* text is thrown away */
    unsigned local_config; /* text is lines of the .cf */
    unsigned raw_rules;    /* text belongs to something that was refused */
    size_t hash_line;      /* the rest of this line is a comment */
    size_t call_line;      /* a call ended in this line */
    size_t dnl_line;       /* text behind a dnl that follows a call was thrown away in this line */

    lmi_mc_list lists[LMI_MC_LISTS];
    unsigned listeners;      /* DAEMON_OPTIONS lines */
    unsigned offers_nothing; /* no mechanism is left to offer */
    unsigned no_default_msa; /* FEATURE(no_default_msa) */
    unsigned use_cw_file;
    lmi_origin use_cw_at, use_ct_at;
    lmi_origin entire_domain;            /* FEATURE(masquerade_entire_domain); line 0: no */
    lmail_str unused[LMI_MC_MAX_UNUSED]; /* what was said to have no effect */
    size_t unused_count;
    unsigned row_failed, has_tls, has_daemons;
};

/* ---- input ---- */
void lmi_mc_push(lmi_mc *m, lmail_str text, lmi_origin where, int fixed);
void lmi_mc_open(lmi_mc *m, lmail_str path, lmi_origin from, int must_exist);
void lmi_mc_include(lmi_mc *m, lmail_str name, lmi_origin from, int must_exist); /* beside from */
lmi_mc_token lmi_mc_next(lmi_mc *m);
int lmi_mc_is_word(char c);            /* may it stand in a word, behind its first octet? */
int lmi_mc_at(lmi_mc *m, char c);      /* is this the next octet? */
lmail_str lmi_mc_rest(lmi_mc *m);      /* of the line, without its end */
void lmi_mc_skip(lmi_mc *m, size_t n); /* octets of rest */
void lmi_mc_skip_line(lmi_mc *m);      /* through the line end */
int lmi_mc_strange_quote(lmail_str s); /* typographic quotes in it: 1; an acute accent: 2 */

/* ---- macro ---- */
/* Behind the name, at its "(" : read the arguments and do what the name means. */
void lmi_mc_do_call(lmi_mc *m, const lmi_mc_name *name, lmi_mc_macro *macro, lmi_mc_token word);
void lmi_mc_expand(lmi_mc *m, lmi_mc_macro *macro, const lmi_mc_call *call);
/* What a definition becomes where it is used. Only when the file itself is read to its end. */
lmail_str lmi_mc_evaluate(lmi_mc *m, lmail_str text, lmi_origin at);
lmi_mc_macro *lmi_mc_macro_get(lmi_mc *m, lmail_str name); /* defined ones; NULL */
void lmi_mc_define(lmi_mc *m, lmail_str name, lmail_str value, lmi_origin at);
lmi_mc_handler lmi_mc_do_define, lmi_mc_do_undefine, lmi_mc_do_ifdef, lmi_mc_do_ifelse,
    lmi_mc_do_divert, lmi_mc_do_include, lmi_mc_do_sinclude, lmi_mc_do_nothing;

/* ---- names ---- */
const lmi_mc_name *lmi_mc_find_name(lmail_str name);
const char *lmi_mc_near_name(lmail_str name);
/* The first known name with a "(" behind it; empty: none. *at is its offset. */
lmail_str lmi_mc_find_call(lmail_str line, size_t *at);

/* ---- text ---- */
void lmi_mc_top(lmi_mc *m);
/* do_builtin: builtins of m4 that need no parentheses. */
lmi_mc_handler lmi_mc_do_local_config, lmi_mc_do_raw, lmi_mc_do_builtin;

/* ---- settings ---- */
/* Says a complaint; stops the reading after too many errors. */
void lmi_mc_say(lmi_mc *m, lmail_severity severity, lmi_origin where, const lmail_str *pieces,
                size_t count);
#define LMI_MC_SAY(m, severity, where, ...)                                                        \
    lmi_mc_say(m, severity, where, (const lmail_str[]){__VA_ARGS__},                               \
               sizeof((const lmail_str[]){__VA_ARGS__}) / sizeof(lmail_str))
/* As lmi_config_section; one too many ends the reading. */
lmi_section *lmi_mc_section(lmi_mc *m, lmi_section_id id, lmail_str name, lmi_origin at);
/* Says that something known, whose name the pieces make, does nothing here: once each. */
void lmi_mc_unused(lmi_mc *m, lmi_origin at, const lmail_str *pieces, size_t count);
#define LMI_MC_UNUSED(m, at, ...)                                                                  \
    lmi_mc_unused(m, at, (const lmail_str[]){__VA_ARGS__},                                         \
                  sizeof((const lmail_str[]){__VA_ARGS__}) / sizeof(lmail_str))
void lmi_mc_set(lmi_mc *m, const char *key, lmail_str value, lmi_origin at);
/* `unit` is "" or " ms". What is beyond the setting's bounds becomes the bound, with a warning. */
void lmi_mc_set_number(lmi_mc *m, lmail_str what, const char *key, uint64_t value, const char *unit,
                       lmi_origin at);
uint64_t lmi_mc_bounded(lmi_mc *m, lmail_str what, const lmi_setting *row, uint64_t value,
                        const char *unit, lmi_origin at);
/* "No limit": what libmail itself has for its own ceiling, which a notice names. */
void lmi_mc_set_unlimited(lmi_mc *m, lmail_str what, const char *key, lmi_origin at);
void lmi_mc_standard(lmi_mc *m, const char *key, const char *value);
void lmi_mc_append(lmi_mc *m, lmi_mc_list_id list, lmail_str words, lmi_origin at);
lmail_status lmi_mc_write(lmi_mc *m, lmi_mc_text *t, lmail_str piece);
lmail_str lmi_mc_trim(lmail_str s);
/* The next word of a list, up to a blank or one of `stops`; empty behind the last. */
lmail_str lmi_mc_word(lmail_str *rest, const char *stops);
/* Plain digits; complains otherwise. 1: *out is set. */
int lmi_mc_number(lmi_mc *m, lmail_str what, lmail_str value, lmi_origin at, uint64_t *out);
/* "1h30m" in milliseconds, without unit in `unit` seconds; complains otherwise. */
int lmi_mc_time(lmi_mc *m, lmail_str what, lmail_str value, uint64_t unit, lmi_origin at,
                uint64_t *out);
int lmi_mc_boolean(lmi_mc *m, lmail_str what, lmail_str value, lmi_origin at, unsigned *out);
/* A map's arguments "hash -o /etc/mail/x.db" as a path of ours, "-" in front if it may be missing.
 * 0: complained. */
int lmi_mc_map(lmi_mc *m, lmail_str what, lmail_str argument, const char *standard, lmi_origin at,
               lmail_str *path);

void lmi_mc_settings(lmi_mc *m);                                     /* when all is read */
lmail_str lmi_mc_value(lmi_mc *m, const char *name, lmi_origin *at); /* defined text; else empty */
int lmi_mc_known_variable(lmail_str name);

typedef void lmi_mc_value_handler(lmi_mc *m, lmail_str value, lmi_origin at);
lmi_mc_value_handler lmi_mc_forward_path, lmi_mc_auth_mechanisms, lmi_mc_auth_options,
    lmi_mc_privacy, lmi_mc_tls_options, lmi_mc_login_message;
void lmi_mc_certificates(lmi_mc *m);
void lmi_mc_auth_standards(lmi_mc *m);

lmi_mc_handler lmi_mc_do_feature, lmi_mc_do_daemon_options, lmi_mc_do_client_options,
    lmi_mc_do_input_filter, lmi_mc_do_filter;
lmi_mc_value_handler lmi_mc_input_filters;
void lmi_mc_listener_standards(lmi_mc *m);
void lmi_mc_feature_standards(lmi_mc *m);

#endif
