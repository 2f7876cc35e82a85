/* config_mc_auth.c - variables of a sendmail.mc that have a small language of their own:
 * authentication, privacy, certificates, the greeting. */
#include "config/config_mc.h"

#include <string.h>

/* ---- Authentication -------------------------------------------------------------------------- */

static int implemented(lmail_str name)
{
    static const char *const names[] = {
        "EXTERNAL",    "DIGEST-MD5",  "CRAM-MD5",           "LOGIN",
        "PLAIN",       "ANONYMOUS",   "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256",
        "SCRAM-SHA-1", "OAUTHBEARER", "SCRAM-SHA-1-PLUS",   "XOAUTH2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (lmail_str_equal_nocase(name, lmail_str_from(names[i])))
            return 1;
    return 0;
}

void lmi_mc_auth_mechanisms(lmi_mc *m, lmail_str value, lmi_origin at)
{
    lmi_mc_text out = {NULL, 0, 0};
    for (lmail_str w = lmi_mc_word(&value, ","); w.len; w = lmi_mc_word(&value, ",")) {
        if (implemented(w)) {
            lmi_mc_write(m, &out, LMAIL_STR(" "));
            lmi_mc_write(m, &out, w);
        } else {
            LMI_MC_SAY(m, LMAIL_NOTICE, at, LMAIL_STR("confAUTH_MECHANISMS: "), w,
                       LMAIL_STR(" is not implemented and not offered"));
        }
    }
    m->offers_nothing = !out.len;
    lmi_mc_set(m, "smtp.auth_mechanisms", (lmail_str){out.ptr, out.len}, at);
}

void lmi_mc_auth_options(lmi_mc *m, lmail_str value, lmi_origin at)
{
    static const struct option {
        char letter;
        const char *word;
    } options[] = {{'a', " no_active"},     {'m', " mutual"},          {'c', " credentials"},
                   {'d', " no_dictionary"}, {'f', " forward_secrecy"}, {'y', " no_anonymous"}};
    lmi_mc_text out = {NULL, 0, 0};
    int cleartext = 1;
    lmi_mc_write(m, &out, LMAIL_STR("scram"));
    for (size_t i = 0; i < value.len; i++) {
        char letter = value.ptr[i];
        size_t k = 0;
        while (k < sizeof options / sizeof *options && options[k].letter != letter)
            k++;
        if (letter == 'A')
            lmi_mc_set(m, "client.auth_parameter", LMAIL_STR("yes"), at);
        else if (letter == 'p')
            cleartext = 0;
        else if (k < sizeof options / sizeof *options)
            lmi_mc_write(m, &out, lmail_str_from(options[k].word));
        else if (letter != ',' && (unsigned char)letter > ' ')
            LMI_MC_SAY(m, LMAIL_WARNING, at, LMAIL_STR("confAUTH_OPTIONS: unknown letter \""),
                       lmi_str_sub(value, i, 1), LMAIL_STR("\""));
        if (letter == 'd' || letter == 'f')
            LMI_MC_SAY(m, LMAIL_WARNING, at,
                       LMAIL_STR("confAUTH_OPTIONS: no password mechanism "
                                 "satisfies \""),
                       lmi_str_sub(value, i, 1), LMAIL_STR("\"; AUTH is not offered"));
    }
    lmi_mc_set(m, "smtp.allow_cleartext", cleartext ? LMAIL_STR("yes") : LMAIL_STR("no"), at);
    lmi_mc_set(m, "smtp.auth_options", (lmail_str){out.ptr, out.len}, at);
}

/* Unset, the realm of sendmail is the host's name; one that libmail.conf gives to all protocols
 * counts. Every name of the host is known by now: libmail.conf was read first. */
static void realm_standard(lmi_mc *m)
{
    const lmail_config *c = m->r->config;
    const lmail_config_io *io = m->r->io;
    lmail_str name = c->values.hostname;
    if (lmi_config_origin(c, "auth.realm").rank == LMI_RANK_NATIVE)
        return;
    if (!name.len && io->machine_name)
        name = io->machine_name(io->ctx);
    lmi_config_assign(m->r, NULL, LMAIL_STR("smtp.realm"), name,
                      (lmi_origin){m->file, 0, LMI_RANK_STANDARD});
}

void lmi_mc_auth_standards(lmi_mc *m)
{
    realm_standard(m);
    lmi_mc_standard(m, "smtp.auth_mechanisms", "EXTERNAL, DIGEST-MD5, CRAM-MD5");
    lmi_mc_standard(m, "smtp.auth_options", "scram");
    lmi_mc_standard(m, "smtp.allow_cleartext", "yes");
    lmi_mc_standard(m, "policy.trusted_mechanisms", "");
    lmi_mc_standard(m, "smtp.privacy", "auth_warnings");
}

/* ---- Privacy --------------------------------------------------------------------------------- */

static const struct flag {
    const char *name;
    const char *words;
} flags[] = {{"public", ""},
             {"needmailhelo", "need_mail_helo"},
             {"needvrfyhelo", "need_vrfy_helo"},
             {"needexpnhelo", "need_expn_helo"},
             {"novrfy", "no_vrfy"},
             {"noexpn", "no_expn"},
             {"noetrn", "no_etrn"},
             {"noverb", "no_verb"},
             {"noreceipts", "no_receipts"},
             {"nobodyreturn", "no_body_return"},
             {"noactualrecipient", "no_actual_recipient"},
             {"restrictmailq", "restrict_mailq"},
             {"restrictqrun", "restrict_qrun"},
             {"restrictexpand", "restrict_expand"},
             {"authwarnings", "auth_warnings"},
             {"goaway", "need_mail_helo need_vrfy_helo need_expn_helo no_vrfy no_expn "
                        "no_verb no_actual_recipient auth_warnings"}};
#define FLAGS (sizeof flags / sizeof *flags)

static const char *flag_at(const void *ctx, size_t i)
{
    (void)ctx;
    return i < FLAGS ? flags[i].name : NULL;
}

void lmi_mc_privacy(lmi_mc *m, lmail_str value, lmi_origin at)
{
    lmi_mc_text out = {NULL, 0, 0};
    for (lmail_str w = lmi_mc_word(&value, ","); w.len; w = lmi_mc_word(&value, ",")) {
        size_t i = 0;
        while (i < FLAGS && !lmail_str_equal_nocase(w, lmail_str_from(flags[i].name)))
            i++;
        if (i < FLAGS) {
            lmi_mc_write(m, &out, LMAIL_STR(" "));
            lmi_mc_write(m, &out, lmail_str_from(flags[i].words));
            continue;
        }
        const char *near = lmi_suggest(w, flag_at, NULL);
        LMI_MC_SAY(m, LMAIL_ERROR, at, LMAIL_STR("confPRIVACY_FLAGS: unknown flag \""), w,
                   LMAIL_STR("\""), near ? LMAIL_STR("; did you mean ") : (lmail_str){NULL, 0},
                   lmail_str_from(near), near ? LMAIL_STR("?") : (lmail_str){NULL, 0});
        if (m->stopped)
            return;
    }
    lmi_mc_set(m, "smtp.privacy", (lmail_str){out.ptr, out.len}, at);
}

/* ---- TLS ------------------------------------------------------------------------------------- */

void lmi_mc_tls_options(lmi_mc *m, lmail_str value, lmi_origin at)
{
    for (size_t i = 0; i < value.len; i++) {
        char letter = value.ptr[i];
        if (letter == 'V' || letter == 'v')
            lmi_mc_set(m, "smtp.request_client_certificate",
                       letter == 'V' ? LMAIL_STR("no") : LMAIL_STR("yes"), at);
        else if (letter != ',' && (unsigned char)letter > ' ')
            LMI_MC_UNUSED(m, at, LMAIL_STR("confTLS_SRV_OPTIONS: \""), lmi_str_sub(value, i, 1),
                          LMAIL_STR("\""));
    }
}

/* A certificate and its key go together; one alone is as none. 1: both. */
static int pair(lmi_mc *m, const char *names[2], const char *keys[2], const char *effect)
{
    lmi_origin at[2];
    lmail_str path[2];
    for (size_t i = 0; i < 2; i++)
        path[i] = lmi_mc_value(m, names[i], &at[i]);
    if (path[0].len && path[1].len) {
        for (size_t i = 0; i < 2; i++)
            lmi_mc_set(m, keys[i], path[i], at[i]);
    } else if (path[0].len || path[1].len) {
        size_t given = path[1].len > 0;
        LMI_MC_SAY(m, LMAIL_WARNING, at[given], lmail_str_from(names[given]),
                   LMAIL_STR(" without "), lmail_str_from(names[!given]), LMAIL_STR(": "),
                   lmail_str_from(effect));
    }
    return path[0].len && path[1].len;
}

void lmi_mc_certificates(lmi_mc *m)
{
    const char *server[] = {"confSERVER_CERT", "confSERVER_KEY"};
    const char *server_keys[] = {"smtp.tls_certificate", "smtp.tls_key"};
    const char *client[] = {"confCLIENT_CERT", "confCLIENT_KEY"};
    const char *client_keys[] = {"client.certificate", "client.key"};
    m->has_tls = pair(m, server, server_keys, "STARTTLS is not offered") ||
                 lmi_config_origin(m->r->config, "smtp.tls_certificate").rank == LMI_RANK_NATIVE ||
                 lmi_config_origin(m->r->config, "tls.certificate").rank == LMI_RANK_NATIVE;
    pair(m, client, client_keys, "no certificate is shown to servers");
}

/* ---- The greeting ---------------------------------------------------------------------------- */

/* "$x", "${name}", "$&x": how much of the text it is. */
static size_t macro_length(lmail_str s)
{
    size_t n = s.len > 1 && s.ptr[1] == '&' ? 2 : 1;
    if (n < s.len && s.ptr[n] == '{')
        return lmi_str_find(s, '}') + 1;
    return n + 1;
}

void lmi_mc_login_message(lmi_mc *m, lmail_str value, lmi_origin at)
{
    lmi_mc_text out = {NULL, 0, 0};
    int dropped = 0;
    if (lmi_str_has_prefix_nocase(value, LMAIL_STR("$j")))
        value = lmi_mc_trim(lmi_str_skip(value, 2)); /* the host name always comes first */
    if (!lmi_str_has_prefix_nocase(value, LMAIL_STR("ESMTP")))
        lmi_mc_write(m, &out, LMAIL_STR("ESMTP "));
    while (value.len) {
        size_t n = lmi_str_find(value, '$');
        lmi_mc_write(m, &out, lmi_str_sub(value, 0, n));
        value = lmi_str_skip(value, n);
        if (value.len) {
            value = lmi_str_skip(value, macro_length(value));
            dropped = 1;
        }
    }
    if (dropped)
        LMI_MC_SAY(m, LMAIL_NOTICE, at,
                   LMAIL_STR("confSMTP_LOGIN_MSG: macros other than $j are left out"));
    lmi_mc_set(m, "smtp.greeting", lmi_mc_trim((lmail_str){out.ptr, out.len}), at);
}
