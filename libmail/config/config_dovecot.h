/* config_dovecot.h - the reader of dovecot.conf, in the dialects of Dovecot 1.x, 2.x and 2.4.
 *
 *     config_dovecot_read.c      the file as a whole: from the first octet to the settings
 *     config_dovecot_input.c     lines, quotes, sections, includes
 *     config_dovecot_keys.c      what each name means where it stands
 *     config_dovecot_names.c     every name that Dovecot has had
 *     config_dovecot_value.c     values: yes and no, times, networks, %variables
 *     config_dovecot_auth.c      passdb, userdb, mechanisms -> settings
 *     config_dovecot_mail.c      mail_location and whose the mail is -> settings
 *     config_dovecot_listener.c  protocols, listen, service { inet_listener } -> listeners
 *
 * The file is read to its end, then its meaning is made of what it said last: a value inside
 * protocol imap { } goes before one outside, wherever it stands. */
#ifndef LMI_CONFIG_DOVECOT_H
#define LMI_CONFIG_DOVECOT_H

#include "config/config_internal.h"

#define LMI_DV_MAX_DEPTH 16u /* sections */
#define LMI_DV_MAX_FILES 256u
#define LMI_DV_MAX_ERRORS 100u
#define LMI_DV_MAX_DBS 16u
#define LMI_DV_MAX_INETS 32u
#define LMI_DV_CEILING (16u << 20)

typedef enum lmi_dv_dialect { LMI_DV_1, LMI_DV_2, LMI_DV_24 } lmi_dv_dialect;

/* Whom a value is for. */
enum { LMI_DV_ALL, LMI_DV_IMAP, LMI_DV_POP3, LMI_DV_PROTOCOLS };

/* Settings that mean something here. */
typedef enum lmi_dv_key {
    LMI_DV_K_PROTOCOLS,
    LMI_DV_K_LISTEN,
    LMI_DV_K_SSL_LISTEN,
    LMI_DV_K_SSL, /* no, yes, required */
    LMI_DV_K_CERT,
    LMI_DV_K_KEY,
    LMI_DV_K_NO_PLAINTEXT, /* yes: not without TLS */
    LMI_DV_K_MECHANISMS,
    LMI_DV_K_LOCATION,
    LMI_DV_K_MAIL_DRIVER,
    LMI_DV_K_MAIL_PATH,
    LMI_DV_K_HOME,
    LMI_DV_K_GREETING,
    LMI_DV_K_USER_CONNECTIONS,
    LMI_DV_K_FAILURE_DELAY,
    LMI_DV_K_NETWORKS,
    LMI_DV_K_REALM,
    LMI_DV_K_USER_FORMAT,
    LMI_DV_K_UID,
    LMI_DV_K_GID,
    LMI_DV_K_LOG_PATH,
    LMI_DV_K_PROXY_NETWORKS,
    LMI_DV_K_SEPARATOR,
    LMI_DV_KEYS,
    /* of a passdb or userdb */
    LMI_DV_K_DB_DRIVER = 64,
    LMI_DV_K_DB_ARGS,
    LMI_DV_K_DB_PATH,
    LMI_DV_K_DB_FORMAT,
    LMI_DV_K_DB_SERVICE,
    LMI_DV_K_DB_UID,
    LMI_DV_K_DB_GID,
    LMI_DV_K_DB_HOME,
    LMI_DV_K_DB_SCHEME,
    LMI_DV_K_DB_REFUSED, /* yes would weaken what the file wants */
    LMI_DV_K_DB_LIMIT,   /* so would leaving it out, whatever it says */
    LMI_DV_K_DB_FIELDS,  /* so would leaving some words of it out */
    LMI_DV_K_DB_SUCCESS, /* so would leaving it out, but for its default */
    /* of an inet_listener */
    LMI_DV_K_INET_PORT = 96,
    LMI_DV_K_INET_ADDRESS,
    LMI_DV_K_INET_SSL,
    LMI_DV_K_INET_PROXY,
    LMI_DV_K_IGNORED = 120 /* nothing to do, and nothing is lost */
} lmi_dv_key;

/* Where a line stands; bits, for the table of names. */
enum {
    LMI_DV_IN_TOP = 1,
    LMI_DV_IN_PROTOCOL = 2,
    LMI_DV_IN_SERVICE = 4,
    LMI_DV_IN_INET = 8,
    LMI_DV_IN_AUTH = 16, /* 1.x: auth default { } */
    LMI_DV_IN_DB = 32,
    LMI_DV_IN_FIELDS = 64, /* 2.4: userdb x { fields { } } */
    LMI_DV_IN_NAMESPACE = 128,
    LMI_DV_IN_LIST = 256, /* 2.4: protocols { imap = yes } */
    LMI_DV_IN_SKIPPED = 512
};

typedef struct lmi_dv_value {
    lmail_str text;
    lmi_origin at;
    unsigned set;
} lmi_dv_value;

/* A value as a line has it. */
typedef enum lmi_dv_form {
    LMI_DV_BARE,   /* "$name" in it is what that setting holds */
    LMI_DV_QUOTED, /* as it stands */
    LMI_DV_FILE    /* "<path": what that file holds */
} lmi_dv_form;

typedef struct lmi_dv_given {
    lmail_str text;
    lmi_dv_form form;
} lmi_dv_given;

/* A passdb or userdb. */
typedef struct lmi_dv_db {
    unsigned user; /* a userdb */
    lmail_str name;
    lmi_origin at;
    lmi_dv_value driver, args, path, format, service, uid, gid, home, scheme;
} lmi_dv_db;

/* service imap-login { inet_listener x { } } */
typedef struct lmi_dv_inet {
    unsigned protocol; /* LMI_DV_IMAP or LMI_DV_POP3 */
    lmail_str name;
    lmi_origin at;
    lmi_dv_value port, address, ssl, proxy;
} lmi_dv_inet;

typedef struct lmi_dv_frame {
    unsigned in;       /* one LMI_DV_IN_* */
    unsigned protocol; /* LMI_DV_ALL, or whom its settings are for */
    unsigned list;     /* LIST: the key */
    lmi_dv_db *db;
    lmi_dv_inet *inet;
    lmi_origin at;
} lmi_dv_frame;

typedef struct lmi_dv {
    lmi_reader *r;
    lmi_arena arena; /* of this reading */
    lmail_str file;
    lmi_dv_dialect dialect;
    unsigned stopped, errors, files, depth_of_files;
    unsigned spoken; /* a setting was read */
    lmi_dv_frame frames[LMI_DV_MAX_DEPTH];
    size_t depth; /* of the innermost frame */
    lmi_dv_value values[LMI_DV_PROTOCOLS][LMI_DV_KEYS];
    lmi_dv_db dbs[LMI_DV_MAX_DBS];
    size_t db_count;
    lmi_dv_inet inets[LMI_DV_MAX_INETS];
    size_t inet_count;
    unsigned has_tls[LMI_DV_PROTOCOLS];
} lmi_dv;

/* ---- input ---- */
/* Read a file and what it includes; must_exist 0: it may be missing. */
void lmi_dv_read_file(lmi_dv *d, lmail_str path, lmi_origin from, int must_exist);

/* A path as a file of the reading means it: beside that file. */
lmail_str lmi_dv_beside(lmi_dv *d, lmail_str path, lmi_origin at);
/* What the file of a "<path" holds, without its last line end. 0: complained. */
int lmi_dv_contents(lmi_dv *d, lmail_str name, lmail_str path, lmi_origin at, lmail_str *text);

/* ---- keys: what input calls ---- */
void lmi_dv_set(lmi_dv *d, lmail_str name, lmi_dv_given value, lmi_origin at);
void lmi_dv_open(lmi_dv *d, lmail_str name, lmail_str argument, lmi_origin at);
void lmi_dv_close(lmi_dv *d, lmi_origin at);

/* ---- names ---- */
int lmi_dv_is_name(lmail_str name);
const char *lmi_dv_near_name(lmail_str name); /* or NULL */

/* ---- saying and setting ---- */
/* Stops the reading after too many errors. */
void lmi_dv_say(lmi_dv *d, lmail_severity severity, lmi_origin where, const lmail_str *pieces,
                size_t count);
#define LMI_DV_SAY(d, severity, where, ...)                                                        \
    lmi_dv_say(d, severity, where, (const lmail_str[]){__VA_ARGS__},                               \
               sizeof((const lmail_str[]){__VA_ARGS__}) / sizeof(lmail_str))
void lmi_dv_unused(lmi_dv *d, lmail_str name, lmi_origin at);
/* A native setting; `protocol` LMI_DV_IMAP or LMI_DV_POP3: key is what follows "imap." or "pop3.". */
void lmi_dv_assign(lmi_dv *d, unsigned protocol, const char *key, lmail_str value, lmi_origin at);
void lmi_dv_standard(lmi_dv *d, unsigned protocol, const char *key, const char *value);
/* What holds for a protocol: its own value, else the one for all. Not set: NULL. */
const lmi_dv_value *lmi_dv_get(const lmi_dv *d, unsigned protocol, lmi_dv_key key);
/* Is that protocol to be served? */
int lmi_dv_serves(const lmi_dv *d, unsigned protocol);
/* For what can hold for all protocols only: the value on which all that are served agree; else the one
 * outside of them, with a warning for each that has its own. Not set: NULL. */
const lmi_dv_value *lmi_dv_shared(lmi_dv *d, lmi_dv_key key, lmail_str name);

/* ---- values ---- */
/* The pieces as one text in the reading's arena; empty: no memory, and the reading has failed. */
lmail_str lmi_dv_join(lmi_dv *d, const lmail_str *pieces, size_t count);
#define LMI_DV_JOIN(d, ...)                                                                        \
    lmi_dv_join(d, (const lmail_str[]){__VA_ARGS__},                                               \
                sizeof((const lmail_str[]){__VA_ARGS__}) / sizeof(lmail_str))
lmail_str lmi_dv_trim(lmail_str s);
/* The next word up to a blank or a comma; empty behind the last. */
lmail_str lmi_dv_word(lmail_str *rest);
int lmi_dv_is_yes(lmi_dv *d, lmail_str name, const lmi_dv_value *v); /* complains otherwise */
/* "2 secs" as "2000 ms"; empty: complained. */
lmail_str lmi_dv_time(lmi_dv *d, lmail_str name, const lmi_dv_value *v);
/* Dovecot's %variables as ours: %u %n %d %h; empty: complained. */
lmail_str lmi_dv_template(lmi_dv *d, lmail_str name, const lmi_dv_value *v);
/* Words for people without %variables. */
lmail_str lmi_dv_plain(lmi_dv *d, lmail_str name, const lmi_dv_value *v);

/* ---- settings, when all is read ---- */
void lmi_dv_auth(lmi_dv *d);
void lmi_dv_mail(lmi_dv *d);
void lmi_dv_tls(lmi_dv *d);
void lmi_dv_listeners(lmi_dv *d);

/* ---- what auth and mail share ---- */
/* The driver of a passdb or userdb: its setting, else its name. */
lmail_str lmi_dv_driver(const lmi_dv_db *db);
/* The word NAME=VALUE of args; empty: there is none. */
lmail_str lmi_dv_arg(lmail_str args, lmail_str name);
/* The path in the args of a passwd-file: the word that is no NAME=VALUE. */
lmail_str lmi_dv_path_in(lmail_str args);
/* A warning for each word NAME=VALUE of args whose NAME is none of `known`. */
void lmi_dv_unknown_args(lmi_dv *d, const lmi_dv_db *db, const char *const *known, size_t count);

#endif
