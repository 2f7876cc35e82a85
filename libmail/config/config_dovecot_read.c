/* config_dovecot_read.c - a dovecot.conf as a whole: reads it, then makes settings of what it said.
 *
 * Called by lmail_config_load. */
#include "config/config_dovecot.h"

#include <string.h>

/* ---- Saying ---------------------------------------------------------------------------------- */

void lmi_dv_say(lmi_dv *d, lmail_severity severity, lmi_origin where, const lmail_str *pieces,
                size_t count)
{
    if (d->errors > LMI_DV_MAX_ERRORS)
        return;
    lmi_config_say(d->r, severity, where, pieces, count);
    d->errors += severity == LMAIL_ERROR;
    if (d->errors > LMI_DV_MAX_ERRORS) {
        LMI_SAY(d->r, LMAIL_ERROR, where, LMAIL_STR("too many errors; reading ends here"));
        d->stopped = 1;
    }
}

void lmi_dv_unused(lmi_dv *d, lmail_str name, lmi_origin at)
{
    LMI_DV_SAY(d, LMAIL_WARNING, at, LMAIL_STR("setting "), name,
               LMAIL_STR(" is not used by libmail"));
}

/* ---- Setting --------------------------------------------------------------------------------- */

static void assign(lmi_dv *d, unsigned protocol, const char *key, lmail_str value, lmi_origin at)
{
    lmail_str prefix = protocol == LMI_DV_IMAP   ? LMAIL_STR("imap.")
                       : protocol == LMI_DV_POP3 ? LMAIL_STR("pop3.")
                                                 : (lmail_str){NULL, 0};
    lmail_str name = LMI_DV_JOIN(d, prefix, lmail_str_from(key));
    if (!d->r->failed)
        lmi_config_assign(d->r, NULL, name, value, at);
}

void lmi_dv_assign(lmi_dv *d, unsigned protocol, const char *key, lmail_str value, lmi_origin at)
{
    at.rank = LMI_RANK_IMPORTED;
    assign(d, protocol, key, value, at);
}

void lmi_dv_standard(lmi_dv *d, unsigned protocol, const char *key, const char *value)
{
    assign(d, protocol, key, lmail_str_from(value), (lmi_origin){d->file, 0, LMI_RANK_STANDARD});
}

const lmi_dv_value *lmi_dv_get(const lmi_dv *d, unsigned protocol, lmi_dv_key key)
{
    const lmi_dv_value *own = &d->values[protocol][key];
    if (!own->set)
        own = &d->values[LMI_DV_ALL][key];
    return own->set ? own : NULL;
}

int lmi_dv_serves(const lmi_dv *d, unsigned protocol)
{
    static const char *const words[][2] = {{"imap", "imaps"}, {"pop3", "pop3s"}};
    const lmi_dv_value *v = &d->values[LMI_DV_ALL][LMI_DV_K_PROTOCOLS];
    if (!v->set)
        return d->dialect != LMI_DV_1 || protocol == LMI_DV_IMAP;
    lmail_str rest = v->text;
    for (lmail_str w = lmi_dv_word(&rest); w.len; w = lmi_dv_word(&rest))
        for (size_t i = 0; i < 2; i++)
            if (lmail_str_equal_nocase(w, lmail_str_from(words[protocol - LMI_DV_IMAP][i])))
                return 1;
    return 0;
}

const lmi_dv_value *lmi_dv_shared(lmi_dv *d, lmi_dv_key key, lmail_str name)
{
    const lmi_dv_value *all = lmi_dv_get(d, LMI_DV_ALL, key), *agreed = NULL;
    int served = 0, differ = 0;
    for (unsigned p = LMI_DV_IMAP; p < LMI_DV_PROTOCOLS; p++) {
        if (!lmi_dv_serves(d, p))
            continue;
        const lmi_dv_value *v = lmi_dv_get(d, p, key);
        differ |= served && (!v != !agreed || (v && !lmail_str_equal(v->text, agreed->text)));
        agreed = v;
        served = 1;
    }
    if (served && !differ)
        return agreed;
    for (unsigned p = LMI_DV_IMAP; p < LMI_DV_PROTOCOLS; p++) {
        const lmi_dv_value *own = &d->values[p][key];
        if (own->set && lmi_dv_serves(d, p) && !(all && lmail_str_equal(all->text, own->text)))
            LMI_DV_SAY(
                d, LMAIL_WARNING, own->at, name,
                LMAIL_STR(" of one protocol alone has no effect here: it can only be the same "
                          "for all"));
    }
    return all;
}

/* ---- What is plain --------------------------------------------------------------------------- */

static void greeting(lmi_dv *d, unsigned protocol)
{
    const lmi_dv_value *v = lmi_dv_get(d, protocol, LMI_DV_K_GREETING);
    if (v)
        lmi_dv_assign(d, protocol, "greeting", lmi_dv_plain(d, LMAIL_STR("login_greeting"), v),
                      v->at);
}

static void of_protocol(lmi_dv *d, unsigned protocol)
{
    const lmi_dv_value *v = lmi_dv_get(d, protocol, LMI_DV_K_NO_PLAINTEXT);
    lmi_dv_standard(d, protocol, "allow_cleartext", "no");
    lmi_dv_standard(d, protocol, "local_is_secure", "yes");
    lmi_dv_standard(d, protocol, "max_user_connections", "10");
    if (v)
        lmi_dv_assign(d, protocol, "allow_cleartext",
                      lmi_dv_is_yes(d, LMAIL_STR("disable_plaintext_auth"), v) ? LMAIL_STR("no")
                                                                               : LMAIL_STR("yes"),
                      v->at);
    v = lmi_dv_get(d, protocol, LMI_DV_K_USER_CONNECTIONS);
    if (v)
        lmi_dv_assign(d, protocol, "max_user_connections", v->text, v->at);
    v = lmi_dv_get(d, protocol, LMI_DV_K_NETWORKS);
    if (v)
        lmi_dv_assign(d, protocol, "secure_networks", v->text, v->at);
    greeting(d, protocol);
}

static void log_path(lmi_dv *d)
{
    const lmi_dv_value *v = lmi_dv_get(d, LMI_DV_ALL, LMI_DV_K_LOG_PATH);
    if (!v || !v->text.len)
        return;
    if (lmail_str_equal(v->text, LMAIL_STR("syslog")))
        lmi_dv_assign(d, LMI_DV_ALL, "log", LMAIL_STR("syslog"), v->at);
    else if (lmail_str_equal(v->text, LMAIL_STR("/dev/stderr")))
        lmi_dv_assign(d, LMI_DV_ALL, "log", LMAIL_STR("stderr"), v->at);
    else
        LMI_DV_SAY(d, LMAIL_WARNING, v->at, LMAIL_STR("log_path = "), v->text,
                   LMAIL_STR(": no log file is written; log lines go to standard error, or with "
                             "log_path = syslog to the system's log"));
}

static void finish(lmi_dv *d)
{
    lmi_dv_tls(d);
    of_protocol(d, LMI_DV_IMAP);
    of_protocol(d, LMI_DV_POP3);
    log_path(d);
    lmi_dv_auth(d);
    lmi_dv_mail(d);
    lmi_dv_listeners(d);
    d->r->claimed |= LMI_CLAIM_IMAP | LMI_CLAIM_POP3;
}

/* ---- The file -------------------------------------------------------------------------------- */

/* /etc/dovecot.conf is where 1.x looked, /etc/dovecot/dovecot.conf came with 2.0. */
static lmi_dv_dialect dialect_of(lmail_str path)
{
    const lmail_str old = LMAIL_STR("/etc/dovecot.conf");
    return path.len >= old.len && lmail_str_equal(lmi_str_skip(path, path.len - old.len), old)
               ? LMI_DV_1
               : LMI_DV_2;
}

void lmi_config_read_dovecot(lmi_reader *r, lmail_str name, lmi_origin from)
{
    lmi_dv *d = lmi_zalloc(&r->config->alloc, sizeof *d);
    if (!d) {
        r->failed = LMAIL_ERR_NOMEM;
        return;
    }
    d->r = r;
    d->dialect = dialect_of(name);
    d->frames[0].in = LMI_DV_IN_TOP;
    lmi_arena_init(&d->arena, &r->config->alloc, LMI_DV_CEILING);
    if (lmi_arena_copy(&r->config->arena, name, &d->file))
        r->failed = LMAIL_ERR_NOMEM;
    else
        lmi_dv_read_file(d, d->file, from, 1);
    if (!r->failed && !d->stopped && d->files)
        finish(d);
    lmi_arena_done(&d->arena);
    lmi_free(&r->config->alloc, d, sizeof *d);
}
