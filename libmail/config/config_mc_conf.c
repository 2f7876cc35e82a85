/* config_mc_conf.c - what define() gave in a sendmail.mc, as settings.
 *
 * A row is all that a variable with a plain value needs. Numbers are plain digits, times have the
 * unit that the classic installation gives them; "no limit" leaves the native default in force. */
#include "config/config_mc.h"

#include <string.h>

typedef enum conf_kind {
    CONF_COUNT,   /* 0: no limit */
    CONF_ZERO,    /* a number, 0 included */
    CONF_BLOCKS,  /* of the file system */
    CONF_SECONDS, /* times, by the unit of a number without one */
    CONF_MINUTES,
    CONF_HOURS,
    CONF_DAYS,
    CONF_BOOL,
    CONF_TEXT,
    CONF_REPLY,
    CONF_IDENT,
    CONF_OWN,      /* handle */
    CONF_LATER,    /* looked at with others */
    CONF_REPLACED, /* names a delivery agent */
    CONF_QUIET
} conf_kind;

typedef struct conf_row {
    const char *name;
    conf_kind kind;
    const char *key;
    const char *standard; /* what its absence means; NULL: our own default */
    lmi_mc_value_handler *handle;
} conf_row;

#define BLOCK_SIZE 4096u
#define SHORT_HEADER 16384u

/* ---- Those with a language of their own ------------------------------------------------------ */

static void delivery_mode(lmi_mc *m, lmail_str value, lmi_origin at)
{
    static const char letters[] = "biqd";
    static const char *const modes[] = {"background", "interactive", "queue", "deferred"};
    const char *letter = value.len ? strchr(letters, lmi_ascii_lower(value.ptr[0])) : NULL;
    if (letter && *letter)
        lmi_mc_set(m, "queue.delivery", lmail_str_from(modes[letter - letters]), at);
    else
        LMI_MC_SAY(m, LMAIL_ERROR, at, LMAIL_STR("confDELIVERY_MODE: \""), value,
                   LMAIL_STR("\" is none of background, interactive, queue-only and deferred"));
}

static void probe_interfaces(lmi_mc *m, lmail_str value, lmi_origin at)
{
    unsigned not_probed = 0;
    if (!lmail_str_equal_nocase(value, LMAIL_STR("loopback")) &&
        !lmi_mc_boolean(m, LMAIL_STR("confDONT_PROBE_INTERFACES"), value, at, &not_probed))
        return;
    lmi_mc_set(m, "policy.address_literals", not_probed ? LMAIL_STR("no") : LMAIL_STR("yes"), at);
}

/* Alias files may always be missing; a class of map in front of the colon does not matter. */
static void alias_file(lmi_mc *m, lmail_str value, lmi_origin at)
{
    lmi_mc_text out = {NULL, 0, 0};
    for (lmail_str w = lmi_mc_word(&value, ","); w.len; w = lmi_mc_word(&value, ",")) {
        size_t slash = lmi_str_find(w, '/');
        if (w.ptr[0] == '-')
            continue;
        lmi_mc_write(m, &out, LMAIL_STR(" -"));
        lmi_mc_write(m, &out, slash < w.len ? lmi_str_skip(w, slash) : w);
    }
    lmi_mc_set(m, "routing.aliases", (lmail_str){out.ptr, out.len}, at);
}

/* ---- The table ------------------------------------------------------------------------------- */

/* clang-format off */
static const conf_row rows[] = {
    {"confMAX_RCPTS_PER_MESSAGE", CONF_COUNT, "smtp.max_recipients", NULL, NULL},
    {"confMAX_HEADERS_LENGTH", CONF_COUNT, "smtp.max_header_size", "32768", NULL},
    {"confMAX_MESSAGE_SIZE", CONF_COUNT, "smtp.max_message_size", NULL, NULL},
    {"confMAX_DAEMON_CHILDREN", CONF_COUNT, "smtp.max_sessions", NULL, NULL},
    {"confCONNECTION_RATE_THROTTLE", CONF_COUNT, "smtp.connection_rate", NULL, NULL},
    {"confBAD_RCPT_THROTTLE", CONF_COUNT, "smtp.bad_recipients_throttle", NULL, NULL},
    {"confMAX_NOOP_COMMANDS", CONF_COUNT, "smtp.max_noop_commands", "20", NULL},
    {"confMAX_HOP", CONF_COUNT, "smtp.max_hops", "25", NULL},
    {"confMIN_FREE_BLOCKS", CONF_BLOCKS, "smtp.min_free", "400K", NULL},
    {"confQUEUE_LA", CONF_COUNT, "smtp.queue_load", "8 per processor", NULL},
    {"confREFUSE_LA", CONF_COUNT, "smtp.refuse_load", "12 per processor", NULL},
    {"confDELAY_LA", CONF_COUNT, "smtp.delay_load", "0", NULL},
    {"confMAX_RUNNERS_PER_QUEUE", CONF_COUNT, "queue.runners", NULL, NULL},
    {"confMAX_QUEUE_CHILDREN", CONF_COUNT, "queue.max_deliveries", NULL, NULL},
    {"confMAX_QUEUE_RUN_SIZE", CONF_COUNT, "queue.max_run_size", NULL, NULL},
    {"confTO_COMMAND", CONF_MINUTES, "smtp.command_timeout", "1 h", NULL},
    {"confTO_DATABLOCK", CONF_MINUTES, "smtp.data_timeout", "1 h", NULL},
    {"confTO_DATABLOCK", CONF_MINUTES, "client.data_block_timeout", "1 h", NULL},
    {"confTO_STARTTLS", CONF_MINUTES, "smtp.starttls_timeout", "1 h", NULL},
    {"confTO_STARTTLS", CONF_MINUTES, "client.starttls_timeout", "1 h", NULL},
    {"confTO_AUTH", CONF_MINUTES, "client.auth_timeout", "10 m", NULL},
    {"confTO_IDENT", CONF_IDENT, NULL, NULL, NULL},
    {"confTO_INITIAL", CONF_MINUTES, "client.greeting_timeout", "5 m", NULL},
    {"confTO_CONNECT", CONF_MINUTES, "client.connect_timeout", "0", NULL},
    {"confTO_ICONNECT", CONF_MINUTES, "client.first_connect_timeout", "0", NULL},
    {"confTO_ACONNECT", CONF_MINUTES, "client.all_connect_timeout", "0", NULL},
    {"confTO_HELO", CONF_MINUTES, "client.helo_timeout", "5 m", NULL},
    {"confTO_MAIL", CONF_MINUTES, "client.mail_timeout", "10 m", NULL},
    {"confTO_RCPT", CONF_MINUTES, "client.rcpt_timeout", "1 h", NULL},
    {"confTO_DATAINIT", CONF_MINUTES, "client.data_start_timeout", "5 m", NULL},
    {"confTO_DATAFINAL", CONF_MINUTES, "client.data_end_timeout", "1 h", NULL},
    {"confTO_RSET", CONF_MINUTES, "client.rset_timeout", "5 m", NULL},
    {"confTO_QUIT", CONF_MINUTES, "client.quit_timeout", "2 m", NULL},
    {"confTO_MISC", CONF_MINUTES, "client.misc_timeout", "2 m", NULL},
    {"confTO_LHLO", CONF_MINUTES, "client.lhlo_timeout", "2 m", NULL},
    {"confTO_HOSTSTATUS", CONF_MINUTES, "client.host_status_timeout", "30 m", NULL},
    {"confTO_FILEOPEN", CONF_MINUTES, "client.file_open_timeout", "60 s", NULL},
    {"confTO_QUEUEWARN", CONF_HOURS, "queue.warn_after", "4 h", NULL},
    {"confTO_QUEUEWARN_NORMAL", CONF_HOURS, "queue.warn_after", NULL, NULL},
    {"confTO_QUEUERETURN", CONF_DAYS, "queue.return_after", "5 d", NULL},
    {"confTO_QUEUERETURN_NORMAL", CONF_DAYS, "queue.return_after", NULL, NULL},
    {"confMIN_QUEUE_AGE", CONF_MINUTES, "queue.retry_first", NULL, NULL},
    {"confMAX_QUEUE_AGE", CONF_MINUTES, "queue.retry_most", NULL, NULL},
    {"confAUTH_MECHANISMS", CONF_OWN, NULL, NULL, lmi_mc_auth_mechanisms},
    {"confAUTH_OPTIONS", CONF_OWN, NULL, NULL, lmi_mc_auth_options},
    {"confAUTH_REALM", CONF_TEXT, "smtp.realm", NULL, NULL},
    {"confFORWARD_PATH", CONF_OWN, NULL, NULL, lmi_mc_forward_path},
    {"confPRIVACY_FLAGS", CONF_OWN, NULL, NULL, lmi_mc_privacy},
    {"confTLS_SRV_OPTIONS", CONF_OWN, NULL, NULL, lmi_mc_tls_options},
    {"confSMTP_LOGIN_MSG", CONF_OWN, NULL, NULL, lmi_mc_login_message},
    {"confSERVER_CERT", CONF_LATER, NULL, NULL, NULL},
    {"confSERVER_KEY", CONF_LATER, NULL, NULL, NULL},
    {"confCLIENT_CERT", CONF_LATER, NULL, NULL, NULL},
    {"confCLIENT_KEY", CONF_LATER, NULL, NULL, NULL},
    {"confCACERT", CONF_TEXT, "smtp.client_ca", NULL, NULL},
    {"confCACERT", CONF_TEXT, "client.ca", NULL, NULL},
    {"confCACERT_PATH", CONF_TEXT, "smtp.client_ca_directory", NULL, NULL},
    {"confCACERT_PATH", CONF_TEXT, "client.ca_directory", NULL, NULL},
    {"confCIPHER_LIST", CONF_TEXT, "smtp.ciphers", NULL, NULL},
    {"confREJECT_MSG", CONF_REPLY, "policy.reject_reply", NULL, NULL},
    {"confRELAY_MSG", CONF_REPLY, "policy.relay_reply", NULL, NULL},
    {"confDOMAIN_NAME", CONF_TEXT, "hostname", NULL, NULL},
    {"confHELO_NAME", CONF_TEXT, "client.helo_name", NULL, NULL},
    {"confCW_FILE", CONF_LATER, NULL, NULL, NULL},
    {"confCT_FILE", CONF_LATER, NULL, NULL, NULL},
    {"confCR_FILE", CONF_LATER, NULL, NULL, NULL},
    {"confLOG_LEVEL", CONF_ZERO, "log_level", "9", NULL},
    {"confPID_FILE", CONF_TEXT, "smtp.pid_file", NULL, NULL},
    {"confDELIVERY_MODE", CONF_OWN, NULL, NULL, delivery_mode},
    {"confINPUT_MAIL_FILTERS", CONF_OWN, NULL, NULL, lmi_mc_input_filters},
    {"confTRY_NULL_MX_LIST", CONF_BOOL, "client.own_mx", "no", NULL},
    {"confDONT_PROBE_INTERFACES", CONF_OWN, NULL, NULL, probe_interfaces},
    {"confCONNECTION_RATE_WINDOW_SIZE", CONF_SECONDS, "policy.rate_window", "60 s", NULL},
    {"confCOPY_ERRORS_TO", CONF_TEXT, "queue.copies_to", NULL, NULL},
    {"confDOUBLE_BOUNCE_ADDRESS", CONF_TEXT, "queue.double_bounce_to", NULL, NULL},
    {"QUEUE_DIR", CONF_TEXT, "queue.directory", NULL, NULL},
    {"ALIAS_FILE", CONF_OWN, NULL, NULL, alias_file},
    {"SMART_HOST", CONF_TEXT, "routing.smart_host", NULL, NULL},
    {"confDEF_USER_ID", CONF_REPLACED, NULL, NULL, NULL},
    {"confDEF_GROUP_ID", CONF_REPLACED, NULL, NULL, NULL},
    {"confLOCAL_MAILER", CONF_REPLACED, NULL, NULL, NULL},
    {"PROCMAIL_PATH", CONF_REPLACED, NULL, NULL, NULL},
    {"LOCAL_SHELL_PATH", CONF_REPLACED, NULL, NULL, NULL},
    {"LOCAL_SHELL_ARGS", CONF_REPLACED, NULL, NULL, NULL},
    {"LOCAL_SHELL_FLAGS", CONF_REPLACED, NULL, NULL, NULL},
    {"LOCAL_SHELL_DIR", CONF_REPLACED, NULL, NULL, NULL},
    {"DATABASE_MAP_TYPE", CONF_QUIET, NULL, NULL, NULL},
    {"MAIL_SETTINGS_DIR", CONF_QUIET, NULL, NULL, NULL},
    {"TEMPFILE", CONF_QUIET, NULL, NULL, NULL},
    {"CF_LEVEL", CONF_QUIET, NULL, NULL, NULL}};

/* Known, and without effect here. */
static const char *const unused[] = {
    "BITNET_RELAY", "DECNET_RELAY", "FAX_RELAY", "HELP_FILE", "LOCAL_RELAY", "LUSER_RELAY",
    "MAIL_HUB", "MASQUERADE_NAME", "MSP_QUEUE_DIR", "STATUS_FILE", "UUCP_MAX_SIZE", "UUCP_RELAY",
    "confALIAS_WAIT", "confALLOW_BOGUS_HELO", "confAUTH_MAX_BITS", "confAUTO_REBUILD",
    "confBIND_OPTS", "confBLANK_SUB", "confCERT_FINGERPRINT_ALGORITHM", "confCF_VERSION",
    "confCHECKPOINT_INTERVAL", "confCHECK_ALIASES", "confCLIENT_SSL_OPTIONS",
    "confCOLON_OK_IN_ADDR", "confCONNECT_ONLY_TO", "confCONTROL_SOCKET_NAME", "confCON_EXPENSIVE",
    "confCRL", "confCRL_PATH", "confDANE", "confDEAD_LETTER_DROP",
    "confDEF_AUTH_INFO", "confDEF_CHAR_SET", "confDELIVER_BY_MIN", "confDEQUOTE_OPTS",
    "confDF_BUFFER_SIZE", "confDH_PARAMETERS", "confDIAL_DELAY", "confDIRECT_SUBMISSION_MODIFIERS",
    "confDONT_BLAME_SENDMAIL", "confDONT_EXPAND_CNAMES", "confDONT_INIT_GROUPS",
    "confDONT_PRUNE_ROUTES", "confEBINDIR", "confEIGHT_BIT_HANDLING",
    "confERROR_MESSAGE", "confERROR_MODE", "confFALLBACK_MX", "confFALLBACK_SMARTHOST",
    "confFAST_SPLIT", "confFROM_HEADER", "confFROM_LINE", "confHOSTS_FILE",
    "confHOST_STATUS_DIRECTORY", "confIGNORE_DOTS", "confLDAP_CLUSTER", "confLDAP_DEFAULT_SPEC",
    "confMAILBOX_DATABASE", "confMAILER_NAME", "confMATCH_GECOS", "confMAX_ALIAS_RECURSION",
    "confMAX_MIME_HEADER_LENGTH", "confMCI_CACHE_SIZE", "confMCI_CACHE_TIMEOUT",
    "confMESSAGEID_HEADER", "confMESSAGE_TIMEOUT", "confME_TOO", "confMILTER_LOG_LEVEL",
    "confMILTER_MACROS_CONNECT", "confMILTER_MACROS_DATA", "confMILTER_MACROS_ENVFROM",
    "confMILTER_MACROS_ENVRCPT", "confMILTER_MACROS_EOH", "confMILTER_MACROS_EOM",
    "confMILTER_MACROS_HELO", "confMIME_FORMAT_ERRORS", "confMUST_QUOTE_CHARS",
    "confNICE_QUEUE_RUN", "confNO_RCPT_ACTION", "confOLD_STYLE_HEADERS", "confOPERATORS",
    "confPROCESS_TITLE_PREFIX", "confQUEUE_FACTOR", "confQUEUE_FILE_MODE", "confQUEUE_SORT_ORDER",
    "confRAND_FILE", "confRCPTREJ_MSG", "confREAD_TIMEOUT", "confRECEIVED_HEADER",
    "confREJECT_LOG_INTERVAL", "confREJECT_NUL", "confRELAY_MAILER", "confREQUIRES_DIR_FSYNC",
    "confRRT_IMPLIES_DSN", "confRUN_AS_USER", "confSAFE_FILE_ENV", "confSAFE_QUEUE",
    "confSAVE_FROM_LINES", "confSEPARATE_PROC", "confSERVER_SSL_OPTIONS", "confSERVICE_SWITCH_FILE",
    "confSEVEN_BIT_INPUT", "confSHARED_MEMORY_KEY", "confSHARED_MEMORY_KEY_FILE",
    "confSINGLE_LINE_FROM_HEADER", "confSINGLE_THREAD_DELIVERY", "confSMTP_MAILER",
    "confSOFT_BOUNCE", "confSSL_ENGINE", "confSSL_ENGINE_PATH", "confTEMP_FILE_MODE",
    "confTIME_ZONE", "confTLS_FALLBACK_TO_CLEAR", "confTO_CONTROL", "confTO_QUEUERETURN_DSN",
    "confTO_QUEUERETURN_NONURGENT", "confTO_QUEUERETURN_URGENT", "confTO_QUEUEWARN_DSN",
    "confTO_QUEUEWARN_NONURGENT", "confTO_QUEUEWARN_URGENT", "confTO_RESOLVER_RETRANS",
    "confTO_RESOLVER_RETRANS_FIRST", "confTO_RESOLVER_RETRANS_NORMAL", "confTO_RESOLVER_RETRY",
    "confTO_RESOLVER_RETRY_FIRST", "confTO_RESOLVER_RETRY_NORMAL", "confTRUSTED_USER",
    "confTRUSTED_USERS", "confUNSAFE_GROUP_WRITES", "confUSERDB_SPEC",
    "confUSE_COMPRESSED_IPV6_ADDRESSES", "confUSE_ERRORS_TO", "confUSE_MSP", "confUUCP_MAILER",
    "confWORK_CLASS_FACTOR", "confWORK_RECIPIENT_FACTOR", "confWORK_TIME_FACTOR",
    "confXF_BUFFER_SIZE"};
/* clang-format on */
#define ROWS (sizeof rows / sizeof *rows)
#define UNUSED (sizeof unused / sizeof *unused)

static const char *name_at(const void *ctx, size_t i)
{
    (void)ctx;
    return i < ROWS ? rows[i].name : i < ROWS + UNUSED ? unused[i - ROWS] : NULL;
}

static int is_unused(lmail_str name)
{
    for (size_t i = 0; i < UNUSED; i++)
        if (lmail_str_equal(name, lmail_str_from(unused[i])))
            return 1;
    return 0;
}

static int ends_with(lmail_str s, lmail_str tail)
{
    return s.len >= tail.len && lmail_str_equal(lmi_str_skip(s, s.len - tail.len), tail);
}

/* PROCMAIL_MAILER_PATH and the like: delivery agents that libmail stands in for. */
static int is_agent(lmail_str name)
{
    static const char *const tails[] = {
        "_MAILER_PATH", "_MAILER_ARGS", "_MAILER_FLAGS",   "_MAILER_MAX",      "_MAILER_USER",
        "_MAILER_QGRP", "_MAILER_EOL",  "_MAILER_MAXMSGS", "_MAILER_MAXRCPTS", "_MAILER_CHARSET"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (ends_with(name, lmail_str_from(tails[i])))
            return 1;
    return 0;
}

int lmi_mc_known_variable(lmail_str name)
{
    for (size_t i = 0; name_at(NULL, i); i++)
        if (lmail_str_equal(name, lmail_str_from(name_at(NULL, i))))
            return 1;
    return 0;
}

/* ---- Values ---------------------------------------------------------------------------------- */

static void set_count(lmi_mc *m, const conf_row *row, lmail_str value, lmi_origin at)
{
    uint64_t n;
    if (!lmi_mc_number(m, lmail_str_from(row->name), value, at, &n))
        return;
    if (n == 0 && row->kind == CONF_COUNT) {
        lmi_mc_set_unlimited(m, lmail_str_from(row->name), row->key, at);
        return;
    }
    if (row->kind == CONF_BLOCKS)
        n = n > UINT64_MAX / BLOCK_SIZE ? UINT64_MAX : n * BLOCK_SIZE;
    if (!strcmp(row->name, "confMAX_HEADERS_LENGTH") && n < SHORT_HEADER)
        LMI_MC_SAY(m, LMAIL_WARNING, at, LMAIL_STR("confMAX_HEADERS_LENGTH: "), value,
                   LMAIL_STR(" octets are few; ordinary mail has headers up to 16384"));
    lmi_mc_set_number(m, lmail_str_from(row->name), row->key, n, "", at);
}

static void set_time(lmi_mc *m, const conf_row *row, lmail_str value, lmi_origin at)
{
    static const uint64_t units[] = {
        [CONF_SECONDS] = 1, [CONF_MINUTES] = 60, [CONF_HOURS] = 3600, [CONF_DAYS] = 86400};
    uint64_t msec = 0;
    int age = row->kind == CONF_DAYS; /* of mail: 0 and "now" are as soon as can be */
    if (!(age && lmail_str_equal_nocase(value, LMAIL_STR("now"))) &&
        !lmi_mc_time(m, lmail_str_from(row->name), value, units[row->kind], at, &msec))
        return;
    if (msec == 0 && !age && lmi_config_setting(row->key)->min > 0)
        lmi_mc_set_unlimited(m, lmail_str_from(row->name), row->key, at);
    else
        lmi_mc_set_number(m, lmail_str_from(row->name), row->key, msec, " ms", at);
}

/* "$j" and the like have no meaning outside the .cf. */
static int has_cf_macro(lmi_mc *m, const conf_row *row, lmail_str value, lmi_origin at)
{
    if (lmi_str_find(value, '$') == value.len)
        return 0;
    LMI_MC_SAY(m, LMAIL_ERROR, at, lmail_str_from(row->name), LMAIL_STR(": \""), value,
               LMAIL_STR("\" holds a macro of the .cf, which cannot be imported"));
    return 1;
}

static void set_text(lmi_mc *m, const conf_row *row, lmail_str value, lmi_origin at)
{
    if (!has_cf_macro(m, row, value, at))
        lmi_mc_set(m, row->key, value, at);
}

/* "550 Access denied", quotes around it do not count. */
static void set_reply(lmi_mc *m, const conf_row *row, lmail_str value, lmi_origin at)
{
    uint32_t code;
    if (has_cf_macro(m, row, value, at))
        return;
    if (value.len > 1 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        value = lmi_mc_trim(lmi_str_sub(value, 1, value.len - 2));
    if (value.len < 3 || lmi_parse_u32(lmi_str_sub(value, 0, 3), &code) || code < 400 ||
        code > 599 || (value.len > 3 && value.ptr[3] != ' '))
        LMI_MC_SAY(m, LMAIL_ERROR, at, lmail_str_from(row->name), LMAIL_STR(": \""), value,
                   LMAIL_STR("\" does not begin with a code from 400 to 599"));
    else
        lmi_mc_set(m, row->key, value, at);
}

static void set_bool(lmi_mc *m, const conf_row *row, lmail_str value, lmi_origin at)
{
    unsigned yes;
    if (lmi_mc_boolean(m, lmail_str_from(row->name), value, at, &yes))
        lmi_mc_set(m, row->key, yes ? LMAIL_STR("yes") : LMAIL_STR("no"), at);
}

static void ident(lmi_mc *m, const conf_row *row, lmail_str value, lmi_origin at)
{
    uint64_t msec;
    if (lmi_mc_time(m, lmail_str_from(row->name), value, 60, at, &msec) && msec)
        LMI_MC_SAY(m, LMAIL_NOTICE, at,
                   LMAIL_STR("confTO_IDENT: clients are never asked by ident"));
}

static void replaced(lmi_mc *m, lmail_str name, lmi_origin at)
{
    LMI_MC_SAY(m, LMAIL_NOTICE, at, name,
               LMAIL_STR(" names a delivery agent; mail is delivered by libmail itself"));
}

static void set(lmi_mc *m, const conf_row *row, lmail_str value, lmi_origin at)
{
    switch (row->kind) {
    case CONF_COUNT:
    case CONF_ZERO:
    case CONF_BLOCKS:
        set_count(m, row, value, at);
        break;
    case CONF_SECONDS:
    case CONF_MINUTES:
    case CONF_HOURS:
    case CONF_DAYS:
        set_time(m, row, value, at);
        break;
    case CONF_BOOL:
        set_bool(m, row, value, at);
        break;
    case CONF_TEXT:
        set_text(m, row, value, at);
        break;
    case CONF_REPLY:
        set_reply(m, row, value, at);
        break;
    case CONF_IDENT:
        ident(m, row, value, at);
        break;
    case CONF_OWN:
        row->handle(m, value, at);
        break;
    case CONF_REPLACED:
        replaced(m, lmail_str_from(row->name), at);
        break;
    case CONF_LATER:
    case CONF_QUIET:
        break;
    }
}

/* ---- All of them ----------------------------------------------------------------------------- */

static void say_unknown(lmi_mc *m, const lmi_mc_macro *macro)
{
    const char *near = lmi_suggest(macro->name, name_at, NULL);
    int conf = lmi_str_has_prefix_nocase(macro->name, LMAIL_STR("conf"));
    if (near)
        LMI_MC_SAY(m, LMAIL_WARNING, macro->at, LMAIL_STR("unknown name "), macro->name,
                   LMAIL_STR("; did you mean "), lmail_str_from(near), LMAIL_STR("?"));
    else if (conf)
        LMI_MC_SAY(m, LMAIL_WARNING, macro->at, LMAIL_STR("unknown name "), macro->name);
}

static void set_macro(lmi_mc *m, const lmi_mc_macro *macro)
{
    int known = lmi_mc_known_variable(macro->name) && !is_unused(macro->name);
    lmail_str value = {NULL, 0};
    if (known)
        value = lmi_mc_evaluate(m, macro->value, macro->at);
    for (size_t i = 0; i < ROWS; i++)
        if (lmail_str_equal(macro->name, lmail_str_from(rows[i].name))) {
            /* the second row of a name says nothing that the first has not said */
            if (!i || strcmp(rows[i - 1].name, rows[i].name) != 0 || !m->row_failed) {
                unsigned errors = m->errors;
                set(m, &rows[i], value, macro->at);
                m->row_failed = m->errors != errors;
            }
        }
    if (known)
        return;
    if (is_unused(macro->name))
        LMI_MC_UNUSED(m, macro->at, macro->name);
    else if (is_agent(macro->name))
        replaced(m, macro->name, macro->at);
    else if (!macro->used && macro->name.ptr[0] != '_')
        say_unknown(m, macro);
}

void lmi_mc_settings(lmi_mc *m)
{
    for (size_t i = 0; i < m->macro_count && !m->stopped; i++)
        if (m->order[i]->defined && m->order[i]->at.line)
            set_macro(m, m->order[i]);
    lmi_mc_certificates(m);
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].standard)
            lmi_mc_standard(m, rows[i].key, rows[i].standard);
    lmi_mc_standard(m, "routing.aliases", "-/etc/mail/aliases");
}
