/* mailctl config: check, show and keys of libmail.conf. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmail/host/service.h>

#include "common/diagnostic.h"
#include "mailctl.h"

static lmail_status write_out(void *ctx, lmail_str text)
{
    return fwrite(text.ptr, 1, text.len, ctx) == text.len ? LMAIL_OK : LMAIL_ERR_IO;
}

static int config_check(const mailctl_call *call)
{
    int strict = call->argc == 2 && !strcmp(call->argv[1], "--strict");
    if (call->argc > 1 + strict)
        return mailctl_bad_usage(call);
    lmail_config *config = mailctl_load_config_as(call, strict, MAILCTL_NOTICES);
    if (!config)
        return MAILCTL_REFUSED;
    strictness how = {strict, 0, MAILCTL_NOTICES, NULL, 0, 0};
    lmail_status st = lmail_config_check_tls(config, NULL, print_diagnostic, &how);
    lmail_config_free(config);
    return st || how.turned ? MAILCTL_REFUSED : MAILCTL_DONE;
}

static int config_show(const mailctl_call *call)
{
    if (call->argc > 1)
        return mailctl_bad_usage(call);
    lmail_config *config = mailctl_load_config(call);
    if (!config)
        return MAILCTL_REFUSED;
    lmail_status st = lmail_config_show(config, write_out, stdout);
    lmail_config_free(config);
    return st || fflush(stdout) ? MAILCTL_REFUSED : MAILCTL_DONE;
}

static int config_keys(const mailctl_call *call)
{
    lmail_config_key key;
    if (call->argc > 1)
        return mailctl_bad_usage(call);
    for (size_t i = 0; lmail_config_key_at(i, &key) == LMAIL_OK; i++)
        printf("%.*s = %.*s\n    (%.*s) %.*s\n", (int)key.name.len, key.name.ptr,
               (int)key.standard.len, key.standard.ptr, (int)key.kind.len, key.kind.ptr,
               (int)key.about.len, key.about.ptr);
    return MAILCTL_DONE;
}

const mailctl_command mailctl_config_commands[] = {
    {"config", "check", "[--strict]", "read the configuration and name every mistake",
     config_check},
    {"config", "show", "", "print what is in force and where each value came from", config_show},
    {"config", "keys", "", "print every setting with its default and meaning", config_keys},
    {NULL, NULL, NULL, NULL, NULL},
};
