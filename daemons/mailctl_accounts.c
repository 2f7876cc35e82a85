/* The service saslauthd of mailctl: the accounts, which the daemons read themselves.
 *
 * To start it is to read the account file without a fault; a state file in run_directory remembers
 * that. Where authd is used the service is that daemon: mailctl_service.c. */
#include <libmail/host/accounts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/run_files.h"
#include "mailctl_service.h"

#define TEXT(s) (int)(s).len, (s).ptr
#define NAME "saslauthd"

typedef struct count {
    unsigned long accounts, faults;
} count;

int service_uses_authd(const service_call *c)
{
    const lmail_settings *s = c->settings;
    for (size_t i = 0; i < s->auth.sources.count; i++)
        if (lmail_str_equal_nocase(s->auth.sources.items[i], LMAIL_STR("system")))
            return 1;
    return s->authd.sockets.count > 0;
}

static int state_path(const service_call *c, char *out, size_t cap)
{
    return run_state_path(c->settings, NAME, out, cap);
}

int service_store_is_loaded(const service_call *c)
{
    char path[4096];
    run_state state;
    return !state_path(c, path, sizeof path) && run_state_read(path, &state) == 0;
}

static void fault(void *user, const lmail_accounts_fault *f)
{
    count *n = user;
    n->faults++;
    mailctl_complain(LMAIL_ERROR, f->file, f->line, f->what);
}

static lmail_status one(void *user, const lmail_account *account)
{
    count *n = user;
    (void)account;
    n->accounts++;
    return LMAIL_OK;
}

static int names_file(const lmail_settings *s)
{
    for (size_t i = 0; i < s->auth.sources.count; i++)
        if (lmail_str_equal_nocase(s->auth.sources.items[i], LMAIL_STR("file")))
            return 1;
    return 0;
}

static int read_accounts(const service_call *c, count *n)
{
    const lmail_settings *s = c->settings;
    lmail_accounts_config cfg = LMAIL_ACCOUNTS_CONFIG_INIT;
    lmail_accounts *accounts = NULL;
    struct stat st;
    if (!names_file(s))
        return SERVICE_OK; /* a running saslauthd has them */
    char *path = strndup(s->accounts.ptr, s->accounts.len);
    int there = path && stat(path, &st) == 0;
    free(path);
    if (!there) {
        mailctl_say("there is no account file %.*s: make one with mailctl user create",
                    TEXT(s->accounts));
        return SERVICE_NOT_CONFIGURED;
    }
    cfg.on_fault = fault;
    cfg.user = n;
    lmail_status status = lmail_accounts_open(&accounts, s->accounts, &cfg);
    if (!status)
        status = lmail_accounts_each(accounts, one, n);
    if (status)
        mailctl_say("%.*s: %s", TEXT(s->accounts), lmail_status_text(status));
    lmail_accounts_free(accounts);
    return status || n->faults ? SERVICE_FAILED : SERVICE_OK;
}

int service_store_check(const service_call *c)
{
    count n = {0, 0};
    return read_accounts(c, &n);
}

int service_store_load(const service_call *c)
{
    char path[4096];
    count n = {0, 0};
    run_state state = {0};
    int code = read_accounts(c, &n);
    if (code || state_path(c, path, sizeof path))
        return code ? code : SERVICE_FAILED;
    if (run_state_read(path, &state))
        state.started = time(NULL);
    state.begun = ++state.readings;
    char *directory = strndup(c->settings->run_directory.ptr, c->settings->run_directory.len);
    if (directory && mkdir(directory, 0755) == 0) /* it is the daemons', who have not started yet */
        mailctl_give_to_user(c->call, directory);
    free(directory);
    if (run_state_write(path, &state) == 0)
        return SERVICE_OK;
    mailctl_say("cannot write %s", path);
    return SERVICE_FAILED;
}

int service_store_unload(const service_call *c)
{
    char path[4096];
    if (!state_path(c, path, sizeof path))
        unlink(path);
    return SERVICE_OK;
}

int service_store_status(const service_call *c)
{
    count n = {0, 0};
    if (!service_store_is_loaded(c)) {
        fputs(c->faulty ? "cannot tell" : "the accounts are not loaded", stdout);
        return c->faulty ? STATUS_UNKNOWN : STATUS_STOPPED;
    }
    int code = read_accounts(c, &n);
    if (code == SERVICE_OK)
        printf("the accounts are loaded: %lu in %.*s", n.accounts, TEXT(c->settings->accounts));
    else if (n.faults)
        printf("the accounts are loaded: %lu in %.*s, %lu faulty lines are left out", n.accounts,
               TEXT(c->settings->accounts), n.faults);
    else
        fputs("the accounts were loaded and cannot be read any more", stdout);
    return code == SERVICE_OK || n.faults ? STATUS_RUNNING : STATUS_DEAD_LOCK_FILE;
}
