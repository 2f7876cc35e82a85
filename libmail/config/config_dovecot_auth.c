/* config_dovecot_auth.c - who may log in, and how: mechanisms, user names, passdb.
 *
 * A passwd-file becomes our account file, drivers that ask the system become authd's business. What
 * would let others in than the file says is refused, never left out. */
#include "config/config_dovecot.h"

#include <string.h>

lmail_str lmi_dv_driver(const lmi_dv_db *db)
{
    return db->driver.set ? db->driver.text : db->name;
}

lmail_str lmi_dv_arg(lmail_str args, lmail_str name)
{
    for (lmail_str w = lmi_dv_word(&args); w.len; w = lmi_dv_word(&args))
        if (w.len > name.len && w.ptr[name.len] == '=' &&
            lmail_str_equal(lmi_str_sub(w, 0, name.len), name))
            return lmi_str_skip(w, name.len + 1);
    return (lmail_str){NULL, 0};
}

lmail_str lmi_dv_path_in(lmail_str args)
{
    for (lmail_str w = lmi_dv_word(&args); w.len; w = lmi_dv_word(&args))
        if (w.ptr[0] == '/' || lmi_str_find(w, '=') == w.len)
            return w;
    return (lmail_str){NULL, 0};
}

void lmi_dv_unknown_args(lmi_dv *d, const lmi_dv_db *db, const char *const *known, size_t count)
{
    lmail_str rest = db->args.text;
    for (lmail_str w = lmi_dv_word(&rest); w.len; w = lmi_dv_word(&rest)) {
        lmail_str name = lmi_str_sub(w, 0, lmi_str_find(w, '='));
        size_t i = 0;
        if (w.ptr[0] == '/' || (name.len == w.len && w.ptr[0] != '-'))
            continue;
        while (i < count && !lmail_str_equal(name, lmail_str_from(known[i])))
            i++;
        if (i == count)
            LMI_DV_SAY(d, LMAIL_WARNING, db->args.at,
                       db->user ? LMAIL_STR("userdb ") : LMAIL_STR("passdb "), lmi_dv_driver(db),
                       LMAIL_STR(": "), name, LMAIL_STR(" is not used by libmail"));
    }
}

static int is(lmail_str s, const char *word)
{
    return lmail_str_equal_nocase(s, lmail_str_from(word));
}

/* ---- Mechanisms ------------------------------------------------------------------------------ */

static void mechanisms(lmi_dv *d, unsigned protocol)
{
    static const char *const ours[] = {"PLAIN",         "LOGIN",       "CRAM-MD5", "DIGEST-MD5",
                                       "SCRAM-SHA-1",   "EXTERNAL",    "XOAUTH2",  "ANONYMOUS",
                                       "SCRAM-SHA-256", "OAUTHBEARER", "APOP"};
    const lmi_dv_value *v = lmi_dv_get(d, protocol, LMI_DV_K_MECHANISMS);
    /* What holds for all is complained of once. */
    int own = protocol == LMI_DV_IMAP || v != lmi_dv_get(d, LMI_DV_IMAP, LMI_DV_K_MECHANISMS);
    lmi_dv_standard(d, protocol, "auth_mechanisms", "PLAIN");
    if (!v)
        return;
    lmail_str out = {NULL, 0}, rest = v->text;
    for (lmail_str w = lmi_dv_word(&rest); w.len; w = lmi_dv_word(&rest)) {
        size_t i = 0;
        while (i < sizeof ours / sizeof *ours && !is(w, ours[i]))
            i++;
        if (i == sizeof ours / sizeof *ours) {
            if (own)
                LMI_DV_SAY(d, LMAIL_NOTICE, v->at, LMAIL_STR("auth_mechanisms: "), w,
                           LMAIL_STR(" is not implemented and not offered"));
        } else if (is(w, "APOP")) {
            if (protocol == LMI_DV_POP3)
                lmi_dv_assign(d, protocol, "apop", LMAIL_STR("yes"), v->at);
        } else {
            out = LMI_DV_JOIN(d, out, LMAIL_STR(" "), lmail_str_from(ours[i]));
        }
    }
    /* An empty list would mean the standard one. */
    if (out.len)
        lmi_dv_assign(d, protocol, "auth_mechanisms", out, v->at);
    else if (own)
        LMI_DV_SAY(d, LMAIL_ERROR, v->at,
                   LMAIL_STR("auth_mechanisms: none of these is implemented"));
}

/* ---- Names ----------------------------------------------------------------------------------- */

static void user_format(lmi_dv *d, lmail_str name, const lmi_dv_value *v)
{
    if (!v->text.len)
        return;
    lmail_str form = lmi_dv_template(d, name, v);
    if (lmail_str_equal(form, LMAIL_STR("%u")) || lmail_str_equal(form, LMAIL_STR("%n@%d")))
        lmi_dv_assign(d, LMI_DV_ALL, "auth.user_format", LMAIL_STR("whole"), v->at);
    else if (lmail_str_equal(form, LMAIL_STR("%n")))
        lmi_dv_assign(d, LMI_DV_ALL, "auth.user_format", LMAIL_STR("local_part"), v->at);
    else if (form.len)
        LMI_DV_SAY(d, LMAIL_ERROR, v->at, name, LMAIL_STR(" = "), v->text,
                   LMAIL_STR(" cannot be imported; %Lu and %Ln can"));
}

/* ---- Where passwords are --------------------------------------------------------------------- */

typedef struct sources {
    lmail_str list, check; /* of auth.sources, of authd.check */
    lmail_str file;
    lmi_origin at;
} sources;

static void add(lmi_dv *d, lmail_str *list, const char *word)
{
    lmail_str rest = *list;
    for (lmail_str w = lmi_dv_word(&rest); w.len; w = lmi_dv_word(&rest))
        if (is(w, word))
            return;
    *list = LMI_DV_JOIN(d, *list, LMAIL_STR(" "), lmail_str_from(word));
}

static void passwd_file(lmi_dv *d, const lmi_dv_db *db, sources *s)
{
    static const char *const known[] = {"scheme", "username_format"};
    lmail_str path = db->path.set ? db->path.text : lmi_dv_path_in(db->args.text);
    lmail_str scheme =
        db->scheme.set ? db->scheme.text : lmi_dv_arg(db->args.text, LMAIL_STR("scheme"));
    lmi_dv_value format = db->format;
    lmi_dv_unknown_args(d, db, known, 2);
    if (!format.set) {
        format.text = lmi_dv_arg(db->args.text, LMAIL_STR("username_format"));
        format.at = db->args.at;
    }
    if (!path.len) {
        LMI_DV_SAY(d, LMAIL_ERROR, db->at,
                   LMAIL_STR("passdb passwd-file needs the path of a file"));
        return;
    }
    if (s->file.len && !lmail_str_equal(s->file, path)) {
        LMI_DV_SAY(d, LMAIL_ERROR, db->at,
                   LMAIL_STR("a second passwd-file; put all accounts into one"));
        return;
    }
    if (lmi_str_find(path, '%') < path.len)
        LMI_DV_SAY(d, LMAIL_ERROR, db->at,
                   LMAIL_STR("passdb passwd-file: a path with %variables cannot be imported; put "
                             "all accounts into one file"));
    if (scheme.len && !is(scheme, "CRYPT"))
        LMI_DV_SAY(d, LMAIL_ERROR, db->at, LMAIL_STR("passdb passwd-file: scheme "), scheme,
                   LMAIL_STR(" cannot be the default; write {"), scheme,
                   LMAIL_STR("} in front of the passwords"));
    s->file = path;
    add(d, &s->list, "file");
    add(d, &s->check, "accounts");
    lmi_dv_assign(d, LMI_DV_ALL, "accounts", path, db->at);
    user_format(d, LMAIL_STR("username_format"), &format);
}

static void pam(lmi_dv *d, const lmi_dv_db *db, sources *s)
{
    lmail_str service = db->service.set ? db->service.text : (lmail_str){NULL, 0};
    lmail_str rest = db->args.text;
    lmi_dv_unknown_args(d, db, NULL, 0);
    for (lmail_str w = lmi_dv_word(&rest); w.len; w = lmi_dv_word(&rest))
        if (lmi_str_find(w, '=') == w.len && w.ptr[0] != '-')
            service = w;
    add(d, &s->list, "system");
    add(d, &s->check, "pam");
    if (is(service, "%s") || is(service, "%Ls") || is(service, "%{protocol}"))
        service = LMAIL_STR("*"); /* the name of the protocol */
    if (service.len)
        lmi_dv_assign(d, LMI_DV_ALL, "authd.pam_service", service, db->at);
    else
        lmi_dv_standard(d, LMI_DV_ALL, "authd.pam_service", "dovecot");
}

static void say_driver(lmi_dv *d, const lmi_dv_db *db)
{
    lmail_str word = db->user ? LMAIL_STR("userdb ") : LMAIL_STR("passdb ");
    lmail_str driver = lmi_dv_driver(db);
    if (!driver.len)
        LMI_DV_SAY(d, LMAIL_ERROR, db->at, word, LMAIL_STR("needs a driver"));
    else if (is(driver, "ldap") || is(driver, "sql"))
        LMI_DV_SAY(d, LMAIL_ERROR, db->at, word, driver,
                   LMAIL_STR(" is not supported; import accounts with the account tool, mailctl "
                             "user"));
    else
        LMI_DV_SAY(d, LMAIL_ERROR, db->at, word, driver,
                   LMAIL_STR(" is not supported; passwd-file, pam, passwd and shadow are"));
}

static void passdb(lmi_dv *d, const lmi_dv_db *db, sources *s)
{
    lmail_str driver = lmi_dv_driver(db);
    if (!s->list.len)
        s->at = db->at;
    if (is(driver, "passwd-file")) {
        passwd_file(d, db, s);
    } else if (is(driver, "pam")) {
        pam(d, db, s);
    } else if (is(driver, "passwd") || is(driver, "shadow")) {
        lmi_dv_unknown_args(d, db, NULL, 0);
        add(d, &s->list, "system");
        add(d, &s->check, "shadow");
    } else {
        say_driver(d, db);
    }
}

static void userdb(lmi_dv *d, const lmi_dv_db *db)
{
    lmail_str driver = lmi_dv_driver(db);
    if (!is(driver, "passwd-file") && !is(driver, "static") && !is(driver, "passwd") &&
        !is(driver, "nss") && !is(driver, "prefetch"))
        say_driver(d, db);
}

void lmi_dv_auth(lmi_dv *d)
{
    const lmi_dv_value *v =
        lmi_dv_shared(d, LMI_DV_K_FAILURE_DELAY, LMAIL_STR("auth_failure_delay"));
    sources s = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {{NULL, 0}, 0, LMI_RANK_DEFAULT}};
    mechanisms(d, LMI_DV_IMAP);
    mechanisms(d, LMI_DV_POP3);
    if (v) {
        lmail_str time = lmi_dv_time(d, LMAIL_STR("auth_failure_delay"), v);
        if (time.len)
            lmi_dv_assign(d, LMI_DV_ALL, "auth.failure_delay", time, v->at);
    }
    v = lmi_dv_shared(d, LMI_DV_K_REALM, LMAIL_STR("auth_default_realm"));
    if (v)
        lmi_dv_assign(d, LMI_DV_ALL, "auth.realm", v->text, v->at);
    for (size_t i = 0; i < d->db_count; i++)
        if (d->dbs[i].user)
            userdb(d, &d->dbs[i]);
        else
            passdb(d, &d->dbs[i], &s);
    v = lmi_dv_shared(d, LMI_DV_K_USER_FORMAT, LMAIL_STR("auth_username_format"));
    if (v)
        user_format(d, LMAIL_STR("auth_username_format"), v);
    if (s.list.len) {
        lmi_dv_assign(d, LMI_DV_ALL, "auth.sources", s.list, s.at);
        lmi_dv_assign(d, LMI_DV_ALL, "authd.check", s.check, s.at);
    }
}
