/* config_mc_names.c - what may stand in front of a parenthesis in a sendmail.mc. */
#include "config/config_mc.h"

#include <string.h>

/* ---- Directives that only add words to a list ------------------------------------------------ */

static const struct list_name {
    const char *name;
    lmi_mc_list_id list;
    unsigned file;
} list_names[] = {{"LOCAL_DOMAIN", LMI_MC_LOCAL_DOMAINS, 0},
                  {"RELAY_DOMAIN", LMI_MC_RELAY_DOMAINS, 0},
                  {"RELAY_DOMAIN_FILE", LMI_MC_RELAY_DOMAIN_FILES, 1},
                  {"TRUST_AUTH_MECH", LMI_MC_TRUSTED_MECHANISMS, 0},
                  {"MASQUERADE_DOMAIN", LMI_MC_MASQUERADE_DOMAINS, 0},
                  {"MASQUERADE_DOMAIN_FILE", LMI_MC_MASQUERADE_DOMAIN_FILES, 1},
                  {"MASQUERADE_EXCEPTION", LMI_MC_MASQUERADE_EXCEPTIONS, 0},
                  {"MASQUERADE_EXCEPTION_FILE", LMI_MC_MASQUERADE_EXCEPTION_FILES, 1},
                  {"EXPOSED_USER", LMI_MC_EXPOSED_USERS, 0},
                  {"EXPOSED_USER_FILE", LMI_MC_EXPOSED_USER_FILES, 1},
                  {"VIRTUSER_DOMAIN", LMI_MC_VIRTUSER_DOMAINS, 0},
                  {"VIRTUSER_DOMAIN_FILE", LMI_MC_VIRTUSER_DOMAIN_FILES, 1},
                  {"GENERICS_DOMAIN", LMI_MC_GENERICS_DOMAINS, 0},
                  {"GENERICS_DOMAIN_FILE", LMI_MC_GENERICS_DOMAIN_FILES, 1}};

static void do_list(lmi_mc *m, const lmi_mc_call *call)
{
    const struct list_name *row = list_names;
    while (!lmail_str_equal(call->name, lmail_str_from(row->name)))
        row++;
    lmail_str words = lmi_mc_trim(call->arg[0]), path;
    if (!words.len && row->list != LMI_MC_TRUSTED_MECHANISMS) {
        LMI_MC_SAY(m, LMAIL_ERROR, call->at, call->name, LMAIL_STR(" needs an argument"));
        return;
    }
    if (call->count > 1)
        LMI_MC_SAY(m, LMAIL_WARNING, call->at, call->name,
                   LMAIL_STR(" reads its first argument only; put blanks between the words"));
    if (!row->file)
        lmi_mc_append(m, row->list, words, call->at);
    else if (lmi_mc_map(m, call->name, words, "", call->at, &path))
        lmi_mc_append(m, row->list, path, call->at);
}

/* ---- Directives of their own ----------------------------------------------------------------- */

static void do_masquerade_as(lmi_mc *m, const lmi_mc_call *call)
{
    lmail_str name = lmi_mc_trim(call->arg[0]);
    if (!name.len || lmi_str_find(name, ' ') < name.len || lmi_str_find(name, '$') < name.len)
        LMI_MC_SAY(m, LMAIL_ERROR, call->at, LMAIL_STR("MASQUERADE_AS needs one domain"));
    else
        lmi_mc_set(m, "masquerade.as", name, call->at);
}

static void do_unused(lmi_mc *m, const lmi_mc_call *call)
{
    LMI_MC_UNUSED(m, call->at, call->name);
}

/* Mailers deliver; here that is the store's and the queue's work. */
static void do_mailer(lmi_mc *m, const lmi_mc_call *call)
{
    static const char *const ours[] = {"smtp", "local"};
    static const char *const replaced[] = {"procmail", "cyrus",    "cyrusv2", "cyrusbb",
                                           "prog",     "maildrop", "dovecot"};
    static const char *const other[] = {"uucp",    "usenet", "fax",    "pop",
                                        "phquery", "qpage",  "mail11", "sshmailer"};
    lmail_str name = lmi_mc_trim(call->arg[0]);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (lmail_str_equal(name, lmail_str_from(ours[i])))
            return;
    for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++)
        if (lmail_str_equal(name, lmail_str_from(replaced[i]))) {
            LMI_MC_SAY(m, LMAIL_NOTICE, call->at, LMAIL_STR("MAILER("), name,
                       LMAIL_STR("): mail is delivered by libmail itself, no program is run"));
            return;
        }
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (lmail_str_equal(name, lmail_str_from(other[i]))) {
            LMI_MC_UNUSED(m, call->at, LMAIL_STR("MAILER("), name, LMAIL_STR(")"));
            return;
        }
    LMI_MC_SAY(m, LMAIL_ERROR, call->at, LMAIL_STR("unknown mailer \""), name, LMAIL_STR("\""));
}

/* ---- All ------------------------------------------------------------------------------------- */

static const lmi_mc_name names[] = {{"define", lmi_mc_do_define, 1},
                                    {"undefine", lmi_mc_do_undefine, 1},
                                    {"ifdef", lmi_mc_do_ifdef, 1},
                                    {"ifelse", lmi_mc_do_ifelse, 0},
                                    {"divert", lmi_mc_do_divert, 0},
                                    {"include", lmi_mc_do_include, 0},
                                    {"sinclude", lmi_mc_do_sinclude, 0},
                                    {"errprint", lmi_mc_do_nothing, 0},
                                    {"changecom", lmi_mc_do_builtin, 0},
                                    {"changequote", lmi_mc_do_builtin, 0},
                                    {"pushdef", lmi_mc_do_raw, 0},
                                    {"popdef", lmi_mc_do_raw, 0},
                                    {"undivert", lmi_mc_do_builtin, 0},
                                    {"defn", lmi_mc_do_raw, 0},
                                    {"builtin", lmi_mc_do_raw, 0},
                                    {"indir", lmi_mc_do_raw, 0},
                                    {"esyscmd", lmi_mc_do_raw, 0},
                                    {"syscmd", lmi_mc_do_raw, 0},
                                    {"sysval", lmi_mc_do_builtin, 0},
                                    {"eval", lmi_mc_do_raw, 0},
                                    {"incr", lmi_mc_do_raw, 0},
                                    {"decr", lmi_mc_do_raw, 0},
                                    {"index", lmi_mc_do_raw, 0},
                                    {"len", lmi_mc_do_raw, 0},
                                    {"substr", lmi_mc_do_raw, 0},
                                    {"translit", lmi_mc_do_raw, 0},
                                    {"patsubst", lmi_mc_do_raw, 0},
                                    {"regexp", lmi_mc_do_raw, 0},
                                    {"format", lmi_mc_do_raw, 0},
                                    {"shift", lmi_mc_do_raw, 0},
                                    {"maketemp", lmi_mc_do_raw, 0},
                                    {"mkstemp", lmi_mc_do_raw, 0},
                                    {"divnum", lmi_mc_do_builtin, 0},
                                    {"dumpdef", lmi_mc_do_builtin, 0},
                                    {"traceon", lmi_mc_do_builtin, 0},
                                    {"traceoff", lmi_mc_do_builtin, 0},
                                    {"debugmode", lmi_mc_do_builtin, 0},
                                    {"debugfile", lmi_mc_do_raw, 0},
                                    {"changeword", lmi_mc_do_raw, 0},
                                    {"m4exit", lmi_mc_do_builtin, 0},
                                    {"m4wrap", lmi_mc_do_raw, 0},
                                    {"FEATURE", lmi_mc_do_feature, 0},
                                    {"MAILER", do_mailer, 0},
                                    {"DAEMON_OPTIONS", lmi_mc_do_daemon_options, 0},
                                    {"CLIENT_OPTIONS", lmi_mc_do_client_options, 0},
                                    {"INPUT_MAIL_FILTER", lmi_mc_do_input_filter, 0},
                                    {"MAIL_FILTER", lmi_mc_do_filter, 0},
                                    {"MASQUERADE_AS", do_masquerade_as, 0},
                                    {"LOCAL_DOMAIN", do_list, 0},
                                    {"RELAY_DOMAIN", do_list, 0},
                                    {"RELAY_DOMAIN_FILE", do_list, 0},
                                    {"TRUST_AUTH_MECH", do_list, 0},
                                    {"MASQUERADE_DOMAIN", do_list, 0},
                                    {"MASQUERADE_DOMAIN_FILE", do_list, 0},
                                    {"MASQUERADE_EXCEPTION", do_list, 0},
                                    {"MASQUERADE_EXCEPTION_FILE", do_list, 0},
                                    {"EXPOSED_USER", do_list, 0},
                                    {"EXPOSED_USER_FILE", do_list, 0},
                                    {"VIRTUSER_DOMAIN", do_list, 0},
                                    {"VIRTUSER_DOMAIN_FILE", do_list, 0},
                                    {"GENERICS_DOMAIN", do_list, 0},
                                    {"GENERICS_DOMAIN_FILE", do_list, 0},
                                    {"VERSIONID", lmi_mc_do_nothing, 0},
                                    {"OSTYPE", lmi_mc_do_nothing, 0},
                                    {"DOMAIN", lmi_mc_do_nothing, 0},
                                    {"LOCAL_CONFIG", lmi_mc_do_local_config, 0},
                                    {"LOCAL_RULE_0", lmi_mc_do_raw, 0},
                                    {"LOCAL_RULE_1", lmi_mc_do_raw, 0},
                                    {"LOCAL_RULE_2", lmi_mc_do_raw, 0},
                                    {"LOCAL_RULE_3", lmi_mc_do_raw, 0},
                                    {"LOCAL_RULESETS", lmi_mc_do_raw, 0},
                                    {"LOCAL_NET_CONFIG", lmi_mc_do_raw, 0},
                                    {"LOCAL_TLS_CLIENT", lmi_mc_do_raw, 0},
                                    {"LOCAL_TLS_SERVER", lmi_mc_do_raw, 0},
                                    {"LOCAL_TLS_RCPT", lmi_mc_do_raw, 0},
                                    {"LOCAL_TRY_TLS", lmi_mc_do_raw, 0},
                                    {"LOCAL_SRV_FEATURES", lmi_mc_do_raw, 0},
                                    {"LOCAL_CLT_FEATURES", lmi_mc_do_raw, 0},
                                    {"LOCAL_DNSBL", lmi_mc_do_raw, 0},
                                    {"MAILER_DEFINITIONS", lmi_mc_do_raw, 0},
                                    {"HACK", lmi_mc_do_raw, 0},
                                    {"LDAPROUTE_DOMAIN", do_unused, 0},
                                    {"LDAPROUTE_DOMAIN_FILE", do_unused, 0},
                                    {"LDAPROUTE_EQUIVALENT", do_unused, 0},
                                    {"LDAPROUTE_EQUIVALENT_FILE", do_unused, 0},
                                    {"CANONIFY_DOMAIN", do_unused, 0},
                                    {"CANONIFY_DOMAIN_FILE", do_unused, 0},
                                    {"LOCAL_USER", do_unused, 0},
                                    {"LOCAL_USER_FILE", do_unused, 0},
                                    {"LOCAL_UUCP", do_unused, 0},
                                    {"MODIFY_MAILER_FLAGS", do_unused, 0},
                                    {"QUEUE_GROUP", do_unused, 0},
                                    {"SITE", do_unused, 0},
                                    {"SITECONFIG", do_unused, 0},
                                    {"UUCPSMTP", do_unused, 0}};
#define NAMES (sizeof names / sizeof *names)

const lmi_mc_name *lmi_mc_find_name(lmail_str name)
{
    static const lmi_mc_name internal = {"_", lmi_mc_do_nothing, 0};
    for (size_t i = 0; i < NAMES; i++)
        if (lmail_str_equal(name, lmail_str_from(names[i].name)))
            return &names[i];
    return name.len && name.ptr[0] == '_' ? &internal : NULL;
}

static const char *name_at(const void *ctx, size_t i)
{
    (void)ctx;
    return i < NAMES ? names[i].name : NULL;
}

const char *lmi_mc_near_name(lmail_str name)
{
    return lmi_suggest(name, name_at, NULL);
}

lmail_str lmi_mc_find_call(lmail_str line, size_t *at)
{
    for (size_t i = 0; i < line.len;) {
        size_t begin = i;
        while (i < line.len && lmi_mc_is_word(line.ptr[i]))
            i++;
        lmail_str word = lmi_str_sub(line, begin, i - begin);
        if (word.len && i < line.len && line.ptr[i] == '(' && word.ptr[0] != '_' &&
            lmi_mc_find_name(word)) {
            *at = begin;
            return word;
        }
        i += word.len == 0;
    }
    *at = line.len;
    return (lmail_str){NULL, 0};
}
