/* What mailctl's groups need of libmail.conf. */
#include <errno.h>
#include <libmail/host/service.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/diagnostic.h"
#include "mailctl.h"

lmail_config *mailctl_load_config_as(const mailctl_call *call, int strict, int quiet)
{
    strictness how = {strict, 0, quiet, NULL, 0, 0};
    /* The default file may be missing; one that was named may not. */
    int none = !call->config_given && access(call->config, F_OK) != 0;
    lmail_config *config;
    lmail_status st =
        lmail_config_load_file(&config, none ? NULL : call->config, keep_diagnostic, &how);
    tell_diagnostics(&how);
    if (!st && how.turned) {
        lmail_config_free(config);
        return NULL;
    }
    if (st == LMAIL_OK)
        return config;
    if (st == LMAIL_ERR_NOMEM)
        mailctl_say("out of memory");
    return NULL;
}

lmail_config *mailctl_load_config(const mailctl_call *call)
{
    return mailctl_load_config_as(call, 0, MAILCTL_ERRORS);
}

char *mailctl_account_file(const mailctl_call *call)
{
    lmail_config *config = mailctl_load_config(call);
    if (!config)
        return NULL;
    const lmail_settings *settings = lmail_config_settings(config);
    char *path = strndup(settings->accounts.ptr, settings->accounts.len);
    lmail_config_free(config);
    if (!path)
        mailctl_say("out of memory");
    return path;
}

int mailctl_give_to_user(const mailctl_call *call, const char *path)
{
    lmail_config *config = geteuid() == 0 ? mailctl_load_config(call) : NULL;
    if (!config)
        return geteuid() == 0 ? MAILCTL_REFUSED : MAILCTL_DONE;
    lmail_owner owner;
    char error[1024];
    lmail_status st = lmail_owner_find(&owner, lmail_config_settings(config), error, sizeof error);
    int failed = st == LMAIL_ERR_NOTFOUND || (!st && lchown(path, owner.uid, owner.gid));
    if (failed)
        mailctl_say("%s: cannot give it to who must read it: %s", path,
                    st ? error : strerror(errno));
    lmail_config_free(config);
    return failed ? MAILCTL_REFUSED : MAILCTL_DONE;
}
