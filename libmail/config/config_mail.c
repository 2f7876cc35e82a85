/* config_mail.c - settings of the mailbox protocols that only the whole shows: where mail lies, what a
 * greeting may be. Called by lmi_config_finish. */
#include "config/config_internal.h"

/* A path with %letters in it: absolute, or below the home where `home` allows that. */
static void check_path(lmi_reader *r, lmail_str form, const char *name, const char *letters)
{
    int good = form.len && (form.ptr[0] == '/' || (letters[0] == 'h' && form.ptr[0] == '~'));
    if (form.len > 2 && form.ptr[0] == '%' && form.ptr[1] == 'h')
        good = letters[0] == 'h';
    if (good && form.ptr[0] == '~')
        good = form.len == 1 || form.ptr[1] == '/';
    for (size_t i = 0; i < form.len; i++) {
        if (form.ptr[i] != '%')
            continue;
        char letter = ++i < form.len ? form.ptr[i] : '\0';
        good &=
            letter && lmi_str_find(lmail_str_from(letters), letter) < lmail_str_from(letters).len;
    }
    if (form.len && !good)
        LMI_SAY(r, LMAIL_ERROR, lmi_config_origin(r->config, name), lmail_str_from(name),
                LMAIL_STR(" is a path from / on, with no % but of these letters: "),
                lmail_str_from(letters));
}

int lmail_config_names_home(lmail_str form)
{
    if (form.len && form.ptr[0] == '~')
        return 1;
    for (size_t i = 0; i + 1 < form.len; i++)
        if (form.ptr[i] == '%' && form.ptr[++i] == 'h')
            return 1;
    return 0;
}

static void check_owner(lmi_reader *r, const lmail_settings *v)
{
    for (size_t i = 0; i < v->auth.sources.count; i++)
        if (lmail_str_equal_nocase(v->auth.sources.items[i], LMAIL_STR("system")) &&
            lmail_config_names_home(v->store.location) && !v->store.home.len)
            LMI_SAY(r, LMAIL_ERROR, lmi_config_origin(r->config, "store.location"),
                    LMAIL_STR("homes of the system's users belong to many users, all mail belongs "
                              "to one. "),
                    LMAIL_STR("Import each user's with doveadm backup -u USER maildir:"),
                    v->mail_directory, LMAIL_STR("/mail/USER"));
}

void lmi_config_check_mail(lmi_reader *r)
{
    const lmail_settings *v = &r->config->values;
    check_path(r, v->store.location, "store.location", "hund%");
    check_path(r, v->store.home, "store.home", "und%");
    check_owner(r, v);
    if (v->imap.greeting.len && v->imap.greeting.ptr[0] == '[')
        LMI_SAY(r, LMAIL_ERROR, lmi_config_origin(r->config, "imap.greeting"),
                LMAIL_STR("imap.greeting cannot begin with [ (RFC 9051 section 7.1)"));
    if (lmi_str_find(v->pop3.greeting, '<') < v->pop3.greeting.len)
        LMI_SAY(r, LMAIL_ERROR, lmi_config_origin(r->config, "pop3.greeting"),
                LMAIL_STR("pop3.greeting cannot have a < in it (RFC 1939 section 7)"));
}
