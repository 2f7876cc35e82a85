/* config_dovecot_mail.c - where an account's mail lies and whose it is: mail_location, mail_home,
 * userdb, mail_uid. */
#include "config/config_dovecot.h"

#include <string.h>

static int is(lmail_str s, const char *word)
{
    return lmail_str_equal_nocase(s, lmail_str_from(word));
}

static void say_format(lmi_dv *d, lmail_str name, lmail_str format, lmi_origin at)
{
    LMI_DV_SAY(d, LMAIL_ERROR, at, name, LMAIL_STR(": "), format,
               LMAIL_STR(" is not served; convert the mail to Maildir with doveadm backup -u USER "
                         "maildir:PATH (dsync) and name that path"));
}

/* ":INDEX=/var/index:LAYOUT=fs" behind the path. 0: complained of what cannot be left out. */
static int options(lmi_dv *d, lmail_str name, lmail_str rest, lmi_origin at)
{
    static const char *const harmless[] = {"INDEX",         "CONTROL",     "INDEXPVT",
                                           "INDEXCACHE",    "VOLATILEDIR", "ITERINDEX",
                                           "SUBSCRIPTIONS", "NO-NOSELECT"};
    while (rest.len) {
        size_t end = lmi_str_find(rest, ':');
        lmail_str option = lmi_str_sub(rest, 0, end);
        lmail_str word = lmi_str_sub(option, 0, lmi_str_find(option, '='));
        rest = lmi_str_skip(rest, end + 1);
        if (!option.len || is(option, "LAYOUT=maildir++"))
            continue;
        size_t i = 0;
        while (i < sizeof harmless / sizeof *harmless && !is(word, harmless[i]))
            i++;
        if (i == sizeof harmless / sizeof *harmless) {
            LMI_DV_SAY(d, LMAIL_ERROR, at, name, LMAIL_STR(": "), option,
                       LMAIL_STR(" is not supported: mail would not be found"));
            return 0;
        }
        LMI_DV_SAY(d, LMAIL_WARNING, at, name, LMAIL_STR(": "), word,
                   LMAIL_STR(" is not used by libmail"));
    }
    return 1;
}

/* The template of the Maildir; empty: none is said, or complained. `of_user`: what a userdb says, which
 * goes before the settings. */
static lmail_str location(lmi_dv *d, const lmi_dv_value *of_user, lmi_origin *at)
{
    const lmail_str none = {NULL, 0};
    const lmi_dv_value *v = lmi_dv_shared(d, LMI_DV_K_LOCATION, LMAIL_STR("mail_location"));
    const lmi_dv_value *driver = lmi_dv_shared(d, LMI_DV_K_MAIL_DRIVER, LMAIL_STR("mail_driver"));
    const lmi_dv_value *path = lmi_dv_shared(d, LMI_DV_K_MAIL_PATH, LMAIL_STR("mail_path"));
    if (of_user->set)
        v = of_user;
    else if (driver || path) { /* 2.4 */
        if (driver && !is(driver->text, "maildir")) {
            say_format(d, LMAIL_STR("mail_driver"), driver->text, driver->at);
            return none;
        }
        *at = (path ? path : driver)->at;
        return path ? lmi_dv_template(d, LMAIL_STR("mail_path"), path) : LMAIL_STR("~/Maildir");
    }
    if (!v || !v->text.len)
        return none;
    *at = v->at;
    size_t colon = lmi_str_find(v->text, ':');
    lmail_str format = lmi_str_sub(v->text, 0, colon), rest = lmi_str_skip(v->text, colon + 1);
    if (colon == v->text.len) {
        LMI_DV_SAY(d, LMAIL_ERROR, v->at, LMAIL_STR("mail_location: say what it is, as maildir:"),
                   v->text);
        return none;
    }
    if (!is(format, "maildir")) {
        say_format(d, LMAIL_STR("mail_location"), format, v->at);
        return none;
    }
    size_t end = lmi_str_find(rest, ':');
    lmi_dv_value only = {lmi_str_sub(rest, 0, end), v->at, 1};
    if (!options(d, LMAIL_STR("mail_location"), lmi_str_skip(rest, end + 1), v->at))
        return none;
    return only.text.len ? lmi_dv_template(d, LMAIL_STR("mail_location"), &only)
                         : LMAIL_STR("~/Maildir");
}

/* ---- Users ----------------------------------------------------------------------------------- */

static void owner(lmi_dv *d, const char *key, const lmi_dv_value *v)
{
    if (v->text.len)
        lmi_dv_assign(d, LMI_DV_ALL, key, v->text, v->at);
}

/* args, or in 2.4 fields: uid, gid, home. */
static lmi_dv_value field(const lmi_dv_db *db, const lmi_dv_value *given, lmail_str name)
{
    lmi_dv_value v = *given;
    if (!v.set) {
        v.text = lmi_dv_arg(db->args.text, name);
        v.at = db->args.at;
        v.set = v.text.len > 0;
    }
    return v;
}

/* Homes of a userdb; 1: each belongs to a user of the system. */
static int of_userdb(lmi_dv *d, const lmi_dv_db *db, lmi_dv_value *home, lmi_dv_value *mail)
{
    static const char *const known[] = {"uid", "gid", "home", "mail"};
    static const lmi_dv_value none;
    lmail_str driver = lmi_dv_driver(db);
    if (is(driver, "passwd") || is(driver, "nss")) {
        lmi_dv_unknown_args(d, db, NULL, 0);
        return 1;
    }
    if (!is(driver, "static"))
        return 0;
    lmi_dv_unknown_args(d, db, known, sizeof known / sizeof *known);
    *mail = field(db, &none, LMAIL_STR("mail"));
    lmi_dv_value uid = field(db, &db->uid, LMAIL_STR("uid"));
    lmi_dv_value gid = field(db, &db->gid, LMAIL_STR("gid"));
    lmi_dv_value place = field(db, &db->home, LMAIL_STR("home"));
    owner(d, "user", &uid);
    owner(d, "group", &gid);
    if (place.set)
        *home = place;
    return 0;
}

static lmail_str path_of(const lmi_dv_db *db)
{
    return db->path.set ? db->path.text : lmi_dv_path_in(db->args.text);
}

/* A userdb passwd-file that is the passdb's is the account file; another one is not read. `needed`:
 * homes stand in it, and mail in the homes. */
static void other_file(lmi_dv *d, const lmi_dv_db *db, int needed)
{
    static const char *const known[] = {"scheme", "username_format"};
    if (!is(lmi_dv_driver(db), "passwd-file"))
        return;
    lmi_dv_unknown_args(d, db, known, 2);
    for (size_t i = 0; i < d->db_count; i++)
        if (!d->dbs[i].user && is(lmi_dv_driver(&d->dbs[i]), "passwd-file") &&
            lmail_str_equal(path_of(db), path_of(&d->dbs[i])))
            return;
    LMI_DV_SAY(d, needed ? LMAIL_ERROR : LMAIL_WARNING, db->at, LMAIL_STR("userdb passwd-file "),
               path_of(db),
               LMAIL_STR(" is not read, since no passdb reads it; put passwords and homes into one "
                         "file"));
}

void lmi_dv_mail(lmi_dv *d)
{
    const lmi_dv_value *v;
    lmi_dv_value home = {{NULL, 0}, {{NULL, 0}, 0, LMI_RANK_DEFAULT}, 0}, mail = home;
    lmi_origin at = home.at;
    int of_system = 0;
    if ((v = lmi_dv_shared(d, LMI_DV_K_UID, LMAIL_STR("mail_uid"))))
        owner(d, "user", v);
    if ((v = lmi_dv_shared(d, LMI_DV_K_GID, LMAIL_STR("mail_gid"))))
        owner(d, "group", v);
    if ((v = lmi_dv_shared(d, LMI_DV_K_HOME, LMAIL_STR("mail_home"))))
        home = *v;
    for (size_t i = 0; i < d->db_count; i++)
        if (d->dbs[i].user)
            of_system |= of_userdb(d, &d->dbs[i], &home, &mail);
    lmail_str form = location(d, &mail, &at);
    for (size_t i = 0; i < d->db_count; i++)
        if (d->dbs[i].user)
            other_file(d, &d->dbs[i], lmail_config_names_home(form) && !home.text.len);
    if (lmail_config_names_home(form) && of_system && !home.set) {
        LMI_DV_SAY(d, LMAIL_ERROR, at,
                   LMAIL_STR("mail in home directories that belong to many users is not served: "
                             "all mail belongs to one user. "),
                   LMAIL_STR("Import each user's with doveadm backup -u USER maildir:"),
                   d->r->config->values.mail_directory,
                   LMAIL_STR("/mail/USER, then remove this line"));
        return;
    }
    if (form.len)
        lmi_dv_assign(d, LMI_DV_ALL, "store.location", form, at);
    if (home.set && home.text.len) {
        lmail_str place = lmi_dv_template(d, LMAIL_STR("home"), &home);
        if (place.len)
            lmi_dv_assign(d, LMI_DV_ALL, "store.home", place, home.at);
    }
    if ((v = lmi_dv_get(d, LMI_DV_ALL, LMI_DV_K_SEPARATOR)) && v->text.len)
        lmi_dv_assign(d, LMI_DV_IMAP, "separator", v->text, v->at);
}
