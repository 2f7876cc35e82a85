/* service_accounts.c - accounts as the settings want them: auth.sources, in its order.
 *
 * file is the account file; system and saslauthd are the system's users, whose passwords authd or a
 * running saslauthd checks. Called when rules are made. */
#include "host/service/service_accounts.h"

#include <libmail/host/service.h>
#include <stdio.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define MAX_SOURCES 8u

static lmail_status open_source(lmail_accounts_source *out, lmail_str word, const lmail_settings *s,
                                const lmail_accounts_config *cfg)
{
    char authd[512];
    if (lmail_str_equal_nocase(word, LMAIL_STR("file")))
        return lmail_accounts_file_source(out, s->accounts, cfg);
    lmail_accounts_system_config c = LMAIL_ACCOUNTS_SYSTEM_CONFIG_INIT;
    c.min_uid = (uint32_t)s->auth.system_min_uid;
    c.socket = s->auth.saslauthd_socket;
    if (!lmail_str_equal_nocase(word, LMAIL_STR("saslauthd"))) {
        lmail_status st = lmail_service_authd_socket(s, authd, sizeof authd);
        if (st)
            return st;
        c.socket = lmail_str_from(authd);
    }
    return lmail_accounts_system_source(out, &c);
}

lmail_status lmi_accounts_open(lmail_accounts **out, const lmail_settings *s,
                               const lmail_accounts_config *given, char *error, size_t cap)
{
    lmail_accounts_source sources[MAX_SOURCES], all;
    lmail_accounts_config cfg = *given;
    const lmail_str_list *list = &s->auth.sources;
    lmail_status st = list->count <= MAX_SOURCES ? LMAIL_OK : LMAIL_ERR_LIMIT;
    size_t made = 0;
    cfg.saslauthd = s->auth.saslauthd_socket;
    if (st)
        snprintf(error, cap, "auth.sources: more than %u", MAX_SOURCES);
    while (!st && made < list->count) {
        st = open_source(&sources[made], list->items[made], s, &cfg);
        if (st)
            snprintf(error, cap, "accounts %.*s (auth.sources: %.*s): %s", TEXT(s->accounts),
                     TEXT(list->items[made]), lmail_status_text(st));
        else
            made++;
    }
    if (!st)
        st = lmail_accounts_chain(&all, sources, made);
    if (st) {
        while (made-- > 0)
            sources[made].close(sources[made].ctx);
        return st;
    }
    st = lmail_accounts_new(out, &all, &cfg);
    if (st) {
        snprintf(error, cap, "accounts: %s", lmail_status_text(st));
        all.close(all.ctx);
    }
    return st;
}
