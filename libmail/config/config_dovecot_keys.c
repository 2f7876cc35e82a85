/* config_dovecot_keys.c - what each name of a dovecot.conf means where it stands.
 *
 * Two tables: settings and sections. What is in neither but is a name of Dovecot's gets one warning,
 * anything else is an error. Called line by line; values are kept, not looked at. */
#include "config/config_dovecot.h"

#include <string.h>

typedef struct key_row {
    const char *name;
    unsigned in; /* LMI_DV_IN_* */
    lmi_dv_key key;
    unsigned protocol; /* LMI_DV_IMAP, LMI_DV_POP3: for that one alone */
    unsigned inverse;  /* yes means no */
} key_row;

#define SERVER (LMI_DV_IN_TOP | LMI_DV_IN_PROTOCOL)
#define TOP LMI_DV_IN_TOP
#define LOGIN (LMI_DV_IN_TOP | LMI_DV_IN_PROTOCOL | LMI_DV_IN_AUTH)
#define DB LMI_DV_IN_DB
#define FIELDS (LMI_DV_IN_DB | LMI_DV_IN_FIELDS)

/* clang-format off */
static const key_row keys[] = {
    {"dovecot_config_version", TOP, LMI_DV_K_IGNORED, 0, 0},
    {"dovecot_storage_version", TOP, LMI_DV_K_IGNORED, 0, 0},
    {"protocols", TOP, LMI_DV_K_PROTOCOLS, 0, 0},
    {"listen", SERVER, LMI_DV_K_LISTEN, 0, 0},
    {"ssl_listen", SERVER, LMI_DV_K_SSL_LISTEN, 0, 0},
    {"imap_listen", TOP, LMI_DV_K_LISTEN, LMI_DV_IMAP, 0},
    {"imaps_listen", TOP, LMI_DV_K_SSL_LISTEN, LMI_DV_IMAP, 0},
    {"pop3_listen", TOP, LMI_DV_K_LISTEN, LMI_DV_POP3, 0},
    {"pop3s_listen", TOP, LMI_DV_K_SSL_LISTEN, LMI_DV_POP3, 0},
    {"ssl", SERVER, LMI_DV_K_SSL, 0, 0},
    {"ssl_disable", SERVER, LMI_DV_K_SSL, 0, 1},
    {"ssl_cert_file", SERVER, LMI_DV_K_CERT, 0, 0},
    {"ssl_key_file", SERVER, LMI_DV_K_KEY, 0, 0},
    {"ssl_cert", SERVER, LMI_DV_K_CERT, 0, 0},
    {"ssl_key", SERVER, LMI_DV_K_KEY, 0, 0},
    {"ssl_server_cert_file", SERVER, LMI_DV_K_CERT, 0, 0},
    {"ssl_server_key_file", SERVER, LMI_DV_K_KEY, 0, 0},
    {"disable_plaintext_auth", SERVER, LMI_DV_K_NO_PLAINTEXT, 0, 0},
    {"auth_allow_cleartext", SERVER, LMI_DV_K_NO_PLAINTEXT, 0, 1},
    {"auth_mechanisms", LOGIN, LMI_DV_K_MECHANISMS, 0, 0},
    {"mechanisms", LMI_DV_IN_AUTH, LMI_DV_K_MECHANISMS, 0, 0},
    {"mail_location", SERVER, LMI_DV_K_LOCATION, 0, 0},
    {"default_mail_env", SERVER, LMI_DV_K_LOCATION, 0, 0},
    {"location", LMI_DV_IN_NAMESPACE, LMI_DV_K_LOCATION, 0, 0},
    {"mail_driver", SERVER | LMI_DV_IN_NAMESPACE, LMI_DV_K_MAIL_DRIVER, 0, 0},
    {"mail_path", SERVER | LMI_DV_IN_NAMESPACE, LMI_DV_K_MAIL_PATH, 0, 0},
    {"mail_home", SERVER, LMI_DV_K_HOME, 0, 0},
    {"login_greeting", SERVER, LMI_DV_K_GREETING, 0, 0},
    {"mail_max_userip_connections", SERVER, LMI_DV_K_USER_CONNECTIONS, 0, 0},
    {"auth_failure_delay", LOGIN, LMI_DV_K_FAILURE_DELAY, 0, 0},
    {"failure_delay", LMI_DV_IN_AUTH, LMI_DV_K_FAILURE_DELAY, 0, 0},
    {"login_trusted_networks", SERVER, LMI_DV_K_NETWORKS, 0, 0},
    {"auth_default_realm", LOGIN, LMI_DV_K_REALM, 0, 0},
    {"auth_default_domain", LOGIN, LMI_DV_K_REALM, 0, 0},
    {"default_realm", LMI_DV_IN_AUTH, LMI_DV_K_REALM, 0, 0},
    {"auth_username_format", LOGIN, LMI_DV_K_USER_FORMAT, 0, 0},
    {"username_format", LMI_DV_IN_AUTH, LMI_DV_K_USER_FORMAT, 0, 0},
    {"mail_uid", SERVER, LMI_DV_K_UID, 0, 0},
    {"mail_gid", SERVER, LMI_DV_K_GID, 0, 0},
    {"log_path", TOP, LMI_DV_K_LOG_PATH, 0, 0},
    {"haproxy_trusted_networks", TOP, LMI_DV_K_PROXY_NETWORKS, 0, 0},
    {"separator", LMI_DV_IN_NAMESPACE, LMI_DV_K_SEPARATOR, 0, 0},
    {"inbox", LMI_DV_IN_NAMESPACE, LMI_DV_K_IGNORED, 0, 0},
    {"driver", DB, LMI_DV_K_DB_DRIVER, 0, 0},
    {"passdb_driver", DB, LMI_DV_K_DB_DRIVER, 0, 0},
    {"userdb_driver", DB, LMI_DV_K_DB_DRIVER, 0, 0},
    {"args", DB, LMI_DV_K_DB_ARGS, 0, 0},
    {"passwd_file_path", DB, LMI_DV_K_DB_PATH, 0, 0},
    {"auth_username_format", DB, LMI_DV_K_DB_FORMAT, 0, 0},
    {"username_format", DB, LMI_DV_K_DB_FORMAT, 0, 0},
    {"service_name", DB, LMI_DV_K_DB_SERVICE, 0, 0},
    {"passdb_pam_service_name", DB, LMI_DV_K_DB_SERVICE, 0, 0},
    {"default_password_scheme", DB, LMI_DV_K_DB_SCHEME, 0, 0},
    {"passdb_default_password_scheme", DB, LMI_DV_K_DB_SCHEME, 0, 0},
    {"uid", FIELDS, LMI_DV_K_DB_UID, 0, 0},
    {"gid", FIELDS, LMI_DV_K_DB_GID, 0, 0},
    {"home", FIELDS, LMI_DV_K_DB_HOME, 0, 0},
    {"deny", DB, LMI_DV_K_DB_REFUSED, 0, 0},
    {"master", DB, LMI_DV_K_DB_REFUSED, 0, 0},
    {"pass", DB, LMI_DV_K_DB_REFUSED, 0, 0},
    {"passdb_deny", DB, LMI_DV_K_DB_REFUSED, 0, 0},
    {"passdb_master", DB, LMI_DV_K_DB_REFUSED, 0, 0},
    {"username_filter", DB, LMI_DV_K_DB_LIMIT, 0, 0},
    {"passdb_username_filter", DB, LMI_DV_K_DB_LIMIT, 0, 0},
    {"mechanisms", DB, LMI_DV_K_DB_LIMIT, 0, 0},
    {"mechanisms_filter", DB, LMI_DV_K_DB_LIMIT, 0, 0},
    {"passdb_mechanisms_filter", DB, LMI_DV_K_DB_LIMIT, 0, 0},
    {"allow_nets", LMI_DV_IN_FIELDS, LMI_DV_K_DB_LIMIT, 0, 0},
    {"nologin", LMI_DV_IN_FIELDS, LMI_DV_K_DB_LIMIT, 0, 0},
    {"default_fields", DB, LMI_DV_K_DB_FIELDS, 0, 0},
    {"override_fields", DB, LMI_DV_K_DB_FIELDS, 0, 0},
    {"result_success", DB, LMI_DV_K_DB_SUCCESS, 0, 0},
    {"passdb_result_success", DB, LMI_DV_K_DB_SUCCESS, 0, 0},
    {"port", LMI_DV_IN_INET, LMI_DV_K_INET_PORT, 0, 0},
    {"inet_listener_port", LMI_DV_IN_INET, LMI_DV_K_INET_PORT, 0, 0},
    {"address", LMI_DV_IN_INET, LMI_DV_K_INET_ADDRESS, 0, 0},
    {"listen", LMI_DV_IN_INET, LMI_DV_K_INET_ADDRESS, 0, 0},
    {"inet_listener_listen", LMI_DV_IN_INET, LMI_DV_K_INET_ADDRESS, 0, 0},
    {"ssl", LMI_DV_IN_INET, LMI_DV_K_INET_SSL, 0, 0},
    {"inet_listener_ssl", LMI_DV_IN_INET, LMI_DV_K_INET_SSL, 0, 0},
    {"haproxy", LMI_DV_IN_INET, LMI_DV_K_INET_PROXY, 0, 0},
    {"inet_listener_haproxy", LMI_DV_IN_INET, LMI_DV_K_INET_PROXY, 0, 0}};
/* clang-format on */
#define KEYS (sizeof keys / sizeof *keys)

static const key_row *find_key(lmail_str name, unsigned in)
{
    for (size_t i = 0; i < KEYS; i++)
        if ((keys[i].in & in) && lmail_str_equal(name, lmail_str_from(keys[i].name)))
            return &keys[i];
    return NULL;
}

static int named(lmail_str name, const char *word)
{
    return lmail_str_equal(name, lmail_str_from(word));
}

static void say_unknown(lmi_dv *d, const char *what, lmail_str name, lmi_origin at)
{
    const char *near = lmi_dv_near_name(name);
    LMI_DV_SAY(d, LMAIL_ERROR, at, LMAIL_STR("unknown "), lmail_str_from(what), LMAIL_STR(" \""),
               name, LMAIL_STR("\""), near ? LMAIL_STR("; did you mean ") : (lmail_str){NULL, 0},
               lmail_str_from(near), near ? LMAIL_STR("?") : (lmail_str){NULL, 0});
}

/* ---- Settings -------------------------------------------------------------------------------- */

/* What "$name" is so far. 0: complained. */
static int variable(lmi_dv *d, lmail_str name, lmi_origin at, lmail_str *text)
{
    const key_row *row = find_key(name, LMI_DV_IN_TOP);
    if (!row || row->key >= LMI_DV_KEYS || row->inverse) {
        LMI_DV_SAY(d, LMAIL_ERROR, at, LMAIL_STR("$"), name,
                   LMAIL_STR(" cannot be filled in; a value in quotes keeps its $"));
        return 0;
    }
    *text = d->values[row->protocol ? row->protocol : LMI_DV_ALL][row->key].text;
    return 1;
}

/* A word "$name" is what that setting holds so far. 0: complained. */
static int expand(lmi_dv *d, lmail_str *value, lmi_origin at)
{
    lmail_str out = {NULL, 0}, rest = *value;
    if (lmi_str_find(rest, '$') == rest.len)
        return 1;
    while (rest.len) {
        size_t end = lmi_str_find(rest, ' ');
        lmail_str word = lmi_str_sub(rest, 0, end);
        if (word.len > 1 && word.ptr[0] == '$' && !variable(d, lmi_str_skip(word, 1), at, &word))
            return 0;
        out = LMI_DV_JOIN(d, out, word, lmi_str_sub(rest, end, 1));
        rest = lmi_str_skip(rest, end + 1);
    }
    *value = lmi_dv_trim(out);
    return 1;
}

/* The value of a setting that is kept. 0: complained. */
static int text_of(lmi_dv *d, const key_row *row, lmail_str name, lmi_dv_given value, lmi_origin at,
                   lmail_str *text)
{
    *text = value.text;
    if (value.form == LMI_DV_BARE)
        return expand(d, text, at);
    if (value.form == LMI_DV_QUOTED)
        return 1;
    if (row->key != LMI_DV_K_CERT && row->key != LMI_DV_K_KEY)
        return lmi_dv_contents(d, name, value.text, at, text);
    *text = lmi_dv_beside(d, value.text, at); /* they stay paths */
    return 1;
}

static lmi_dv_value *db_value(lmi_dv_db *db, lmi_dv_key key)
{
    switch (key) {
    case LMI_DV_K_DB_DRIVER:
        return &db->driver;
    case LMI_DV_K_DB_ARGS:
        return &db->args;
    case LMI_DV_K_DB_PATH:
        return &db->path;
    case LMI_DV_K_DB_FORMAT:
        return &db->format;
    case LMI_DV_K_DB_SERVICE:
        return &db->service;
    case LMI_DV_K_DB_UID:
        return &db->uid;
    case LMI_DV_K_DB_GID:
        return &db->gid;
    case LMI_DV_K_DB_HOME:
        return &db->home;
    default:
        return &db->scheme;
    }
}

static lmi_dv_value *inet_value(lmi_dv_inet *inet, lmi_dv_key key)
{
    switch (key) {
    case LMI_DV_K_INET_PORT:
        return &inet->port;
    case LMI_DV_K_INET_ADDRESS:
        return &inet->address;
    case LMI_DV_K_INET_SSL:
        return &inet->ssl;
    default:
        return &inet->proxy;
    }
}

static lmi_dv_value *place_of(lmi_dv *d, const key_row *row)
{
    const lmi_dv_frame *f = &d->frames[d->depth];
    if (row->key >= LMI_DV_K_INET_PORT)
        return inet_value(f->inet, row->key);
    if (row->key >= LMI_DV_K_DB_DRIVER)
        return db_value(f->db, row->key);
    return &d->values[row->protocol ? row->protocol : f->protocol][row->key];
}

/* Would it let others in than the file says, if it were left out? */
static int limits_logins(lmi_dv *d, lmi_dv_key key, lmail_str name, const lmi_dv_value *v)
{
    if (key == LMI_DV_K_DB_REFUSED)
        return lmi_dv_is_yes(d, name, v);
    if (key == LMI_DV_K_DB_LIMIT)
        return v->text.len > 0;
    if (key == LMI_DV_K_DB_SUCCESS)
        return !named(v->text, "return-ok") && !named(v->text, "return");
    lmail_str rest = v->text;
    for (lmail_str w = lmi_dv_word(&rest); w.len; w = lmi_dv_word(&rest))
        if (lmi_str_has_prefix_nocase(w, LMAIL_STR("allow_nets")) ||
            lmi_str_has_prefix_nocase(w, LMAIL_STR("nologin")))
            return 1;
    return 0;
}

static void set_key(lmi_dv *d, const key_row *row, lmail_str name, lmi_dv_given value,
                    lmi_origin at)
{
    lmi_dv_value given = {{NULL, 0}, at, 1};
    if (row->key == LMI_DV_K_IGNORED || !text_of(d, row, name, value, at, &given.text))
        return;
    if (row->key >= LMI_DV_K_DB_REFUSED && row->key <= LMI_DV_K_DB_SUCCESS) {
        if (limits_logins(d, row->key, name, &given))
            LMI_DV_SAY(d, LMAIL_ERROR, at, name, LMAIL_STR(" = "), given.text,
                       LMAIL_STR(" is not supported, and must not be lost"));
        else if (row->key == LMI_DV_K_DB_FIELDS)
            lmi_dv_unused(d, name, at);
        return;
    }
    if (row->inverse)
        given.text = lmi_dv_is_yes(d, name, &given) ? LMAIL_STR("no") : LMAIL_STR("yes");
    lmi_dv_value *place = place_of(d, row);
    if (d->frames[d->depth].in == LMI_DV_IN_NAMESPACE && place->set &&
        !lmail_str_equal(place->text, given.text)) {
        /* One mailbox tree an account: the first place that is named is its own. */
        LMI_DV_SAY(d, LMAIL_WARNING, at, name,
                   LMAIL_STR(" of a further namespace has no effect here"));
        return;
    }
    *place = given;
}

/* 2.4: protocols { imap = yes }: what is yes becomes the list. */
static void set_item(lmi_dv *d, lmail_str name, lmail_str value, lmi_origin at)
{
    const lmi_dv_frame *f = &d->frames[d->depth];
    lmi_dv_value *list = &d->values[f->protocol][f->list], given = {value, at, 1};
    if (!lmi_dv_is_yes(d, name, &given))
        return;
    list->text = list->text.len ? LMI_DV_JOIN(d, list->text, LMAIL_STR(" "), name) : name;
}

void lmi_dv_set(lmi_dv *d, lmail_str name, lmi_dv_given value, lmi_origin at)
{
    const lmi_dv_frame *f = &d->frames[d->depth];
    if (f->in == LMI_DV_IN_SKIPPED)
        return;
    if (!d->spoken && lmail_str_equal(name, LMAIL_STR("dovecot_config_version")))
        d->dialect = LMI_DV_24;
    d->spoken = 1;
    if (f->in == LMI_DV_IN_LIST) {
        set_item(d, name, value.text, at);
        return;
    }
    const key_row *row = find_key(name, f->in);
    if (row)
        set_key(d, row, name, value, at);
    else if (f->in == LMI_DV_IN_FIELDS || lmi_dv_is_name(name))
        lmi_dv_unused(d, name, at);
    else
        say_unknown(d, "setting", name, at);
}

/* ---- Sections -------------------------------------------------------------------------------- */

static void skip_section(lmi_dv *d, lmail_str name, lmail_str argument, lmi_origin at)
{
    lmi_dv_frame *f = &d->frames[d->depth];
    f->in = LMI_DV_IN_SKIPPED;
    LMI_DV_SAY(d, LMAIL_WARNING, at, LMAIL_STR("section "), name,
               argument.len ? LMAIL_STR(" ") : (lmail_str){NULL, 0}, argument,
               LMAIL_STR(" is not used by libmail"));
}

/* protocol imap { }, protocol !pop3 { }: 1 when it is one of ours alone. */
static int open_protocol(lmi_dv_frame *f, lmail_str argument)
{
    int inverse = argument.len && argument.ptr[0] == '!';
    lmail_str word = lmi_str_skip(argument, (size_t)inverse);
    unsigned protocol = named(word, "imap")   ? LMI_DV_IMAP
                        : named(word, "pop3") ? LMI_DV_POP3
                                              : LMI_DV_ALL;
    f->in = LMI_DV_IN_PROTOCOL;
    if (inverse) /* all but another one: both of ours */
        f->protocol = protocol == LMI_DV_ALL ? LMI_DV_ALL : LMI_DV_IMAP + LMI_DV_POP3 - protocol;
    else
        f->protocol = protocol;
    return inverse || protocol;
}

static int open_service(lmi_dv_frame *f, lmail_str argument)
{
    f->in = LMI_DV_IN_SERVICE;
    f->protocol = named(argument, "imap-login")   ? LMI_DV_IMAP
                  : named(argument, "pop3-login") ? LMI_DV_POP3
                                                  : LMI_DV_ALL;
    return f->protocol != LMI_DV_ALL;
}

static int open_inet(lmi_dv *d, lmi_dv_frame *f, lmail_str argument, lmi_origin at)
{
    size_t i = 0;
    while (i < d->inet_count &&
           (d->inets[i].protocol != f->protocol || !lmail_str_equal(d->inets[i].name, argument)))
        i++;
    if (i == LMI_DV_MAX_INETS) {
        LMI_DV_SAY(d, LMAIL_ERROR, at, LMAIL_STR("too many listeners"));
        return 0;
    }
    if (i == d->inet_count) {
        d->inets[i].protocol = f->protocol;
        d->inets[i].name = argument;
        d->inets[i].at = at;
        d->inet_count++;
    }
    f->in = LMI_DV_IN_INET;
    f->inet = &d->inets[i];
    return 1;
}

static int open_db(lmi_dv *d, lmi_dv_frame *f, int user, lmail_str argument, lmi_origin at)
{
    if (d->db_count == LMI_DV_MAX_DBS) {
        LMI_DV_SAY(d, LMAIL_ERROR, at, LMAIL_STR("too many passdb and userdb sections"));
        return 0;
    }
    lmi_dv_db *db = &d->dbs[d->db_count++];
    db->user = user != 0;
    db->name = argument;
    db->at = at;
    f->in = LMI_DV_IN_DB;
    f->db = db;
    return 1;
}

static int open_list(lmi_dv *d, lmi_dv_frame *f, lmail_str name, unsigned in, lmi_origin at)
{
    static const lmi_dv_key lists[] = {LMI_DV_K_PROTOCOLS, LMI_DV_K_MECHANISMS, LMI_DV_K_LISTEN,
                                       LMI_DV_K_NETWORKS, LMI_DV_K_PROXY_NETWORKS};
    const key_row *row = find_key(name, in);
    size_t i = 0;
    while (row && i < sizeof lists / sizeof *lists && lists[i] != row->key)
        i++;
    if (!row || i == sizeof lists / sizeof *lists)
        return 0;
    f->in = LMI_DV_IN_LIST;
    f->list = row->key;
    d->values[f->protocol][row->key] = (lmi_dv_value){{NULL, 0}, at, 1};
    return 1;
}

/* Sections that mean something inside `in`; 0: this is none of them. */
static int open_known(lmi_dv *d, lmi_dv_frame *f, unsigned in, lmail_str name, lmail_str argument,
                      lmi_origin at)
{
    unsigned server = in & (LMI_DV_IN_TOP | LMI_DV_IN_PROTOCOL);
    if (in == LMI_DV_IN_TOP && named(name, "protocol"))
        return open_protocol(f, argument);
    if (in == LMI_DV_IN_TOP && named(name, "service"))
        return open_service(f, argument);
    if (in == LMI_DV_IN_SERVICE && named(name, "inet_listener"))
        return open_inet(d, f, argument, at);
    if (in == LMI_DV_IN_TOP && named(name, "auth")) {
        f->in = LMI_DV_IN_AUTH;
        return 1;
    }
    if (in == LMI_DV_IN_PROTOCOL && (named(name, "passdb") || named(name, "userdb"))) {
        LMI_DV_SAY(d, LMAIL_ERROR, at, name,
                   LMAIL_STR(" inside a protocol cannot be imported: it would hold for all"));
        f->in = LMI_DV_IN_SKIPPED;
        return 1;
    }
    if ((in & (LMI_DV_IN_TOP | LMI_DV_IN_AUTH)) && (named(name, "passdb") || named(name, "userdb")))
        return open_db(d, f, named(name, "userdb"), argument, at);
    if (in == LMI_DV_IN_DB && (named(name, "fields") || named(name, "userdb_fields"))) {
        f->in = LMI_DV_IN_FIELDS;
        return 1;
    }
    if (in == LMI_DV_IN_TOP && named(name, "namespace")) {
        f->in = LMI_DV_IN_NAMESPACE;
        return 1;
    }
    return server && open_list(d, f, name, in, at);
}

void lmi_dv_open(lmi_dv *d, lmail_str name, lmail_str argument, lmi_origin at)
{
    if (d->depth + 1 == LMI_DV_MAX_DEPTH) {
        LMI_DV_SAY(d, LMAIL_ERROR, at, LMAIL_STR("too many sections inside each other"));
        d->stopped = 1;
        return;
    }
    lmi_dv_frame f = d->frames[d->depth];
    unsigned in = f.in;
    f.at = at;
    d->spoken = 1;
    if (in == LMI_DV_IN_SKIPPED) {
        d->frames[++d->depth] = f;
        return;
    }
    if (open_known(d, &f, in, name, argument, at)) {
        d->frames[++d->depth] = f;
        return;
    }
    f.in = LMI_DV_IN_SKIPPED;
    d->frames[++d->depth] = f;
    if (in == LMI_DV_IN_FIELDS || lmi_dv_is_name(name))
        skip_section(d, name, argument, at);
    else
        say_unknown(d, "section", name, at);
}

void lmi_dv_close(lmi_dv *d, lmi_origin at)
{
    if (d->depth)
        d->depth--;
    else
        LMI_DV_SAY(d, LMAIL_ERROR, at, LMAIL_STR("\"}\" without a section"));
}
