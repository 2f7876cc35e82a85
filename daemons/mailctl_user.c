/* mailctl user: the accounts. Two steps make a login, as the classic tools have it: `password` is
 * the one-way hash for PLAIN and LOGIN, `secret` the keys for SCRAM, CRAM-MD5 and DIGEST-MD5;
 * `passwd` does both. The options are those of saslpasswd2. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <libmail/host/accounts.h>

#include "mailctl.h"

typedef struct user_call {
    const mailctl_call *call;
    int create, erase, from_pipe, irreversible;
    const char *realm;
    char *file;
    char name[LMAIL_MAX_ACCOUNT_NAME + 1]; /* terminated; empty: none given */
    lmail_accounts_edit *edit;
} user_call;

enum { STEP_PASSWORD = 1, STEP_SECRET = 2 };

/* ---- Arguments ------------------------------------------------------------------------------- */

static int set_name(user_call *u, const char *user)
{
    char joined[2 * LMAIL_MAX_ACCOUNT_NAME];
    size_t len = 0;
    const char *own = strrchr(user, '@');
    if (u->realm && own && strcasecmp(own + 1, u->realm) != 0) {
        mailctl_say("%s: the name has another realm than %s", user, u->realm);
        return MAILCTL_REFUSED;
    }
    int n = u->realm && !strchr(user, '@')
                ? snprintf(joined, sizeof joined, "%s@%s", user, u->realm)
                : snprintf(joined, sizeof joined, "%s", user);
    lmail_status status = n < 0 || (size_t)n >= sizeof joined
                              ? LMAIL_ERR_LIMIT
                              : lmail_account_name_fold((lmail_str){joined, (size_t)n}, u->name,
                                                        LMAIL_MAX_ACCOUNT_NAME, &len);
    u->name[len] = '\0';
    if (status != LMAIL_OK) {
        mailctl_say("%s: not a name that an account can have", user);
        return MAILCTL_REFUSED;
    }
    return MAILCTL_DONE;
}

/* allowed: the options of this verb, as getopt has them. wants_user: 1 must, 0 may. */
static int parse_arguments(user_call *u, const mailctl_call *call, const char *allowed,
                           int wants_user)
{
    memset(u, 0, sizeof *u);
    u->call = call;
    opterr = 0;
    optind = 1;
    for (int c; (c = getopt(call->argc, call->argv, allowed)) != -1;) {
        switch (c) {
        case 'c':
            u->create = 1;
            break;
        case 'd':
            u->erase = 1;
            break;
        case 'p':
            u->from_pipe = 1;
            break;
        case 'n':
            u->irreversible = 1;
            break;
        case 'u':
            u->realm = optarg;
            break;
        case 'f':
            free(u->file);
            u->file = strdup(optarg);
            break;
        default:
            return mailctl_bad_usage(call);
        }
    }
    int given = call->argc - optind;
    if (given > 1) {
        mailctl_say("one user at a time; a password on the command line is refused, because others "
                    "can read it there");
        return mailctl_bad_usage(call);
    }
    if (given < wants_user || (u->erase && u->create)) {
        return mailctl_bad_usage(call);
    }
    int code = given == 1 ? set_name(u, call->argv[optind]) : MAILCTL_DONE;
    if (code == MAILCTL_DONE && !u->file) {
        u->file = mailctl_account_file(call);
        code = u->file ? MAILCTL_DONE : MAILCTL_REFUSED;
    }
    return code;
}

static int end(user_call *u, int code)
{
    lmail_accounts_edit_free(u->edit);
    free(u->file);
    return code;
}

/* ---- Changes --------------------------------------------------------------------------------- */

static int refuse(const user_call *u, lmail_status status)
{
    const char *why = lmail_status_text(status);
    if (status == LMAIL_ERR_EXISTS || status == LMAIL_ERR_NOTFOUND) {
        mailctl_say("%s: %s in %s", u->name,
                    status == LMAIL_ERR_EXISTS ? "exists already" : "no such account", u->file);
    } else if (status == LMAIL_ERR_BUSY) {
        mailctl_say("%s: another program is changing it", u->file);
    } else if (status == LMAIL_ERR_IO || status == LMAIL_ERR_FULL) {
        mailctl_say("%s: %s", u->file, errno ? strerror(errno) : why);
    } else if (status == LMAIL_ERR_ARG) {
        mailctl_say("%s: not a password that can be kept", u->name);
    } else {
        mailctl_say("%s: %s", u->name, why);
    }
    return MAILCTL_REFUSED;
}

static int begin(user_call *u)
{
    lmail_status status = lmail_accounts_edit_new(&u->edit, lmail_str_from(u->file));
    return status == LMAIL_OK ? MAILCTL_DONE : refuse(u, status);
}

static int commit(user_call *u, lmail_status status)
{
    if (status == LMAIL_OK) {
        int fresh = access(u->file, F_OK) != 0;
        status = lmail_accounts_edit_commit(u->edit);
        if (status == LMAIL_OK && fresh) {
            return mailctl_give_to_user(u->call, u->file);
        }
    }
    return status == LMAIL_OK ? MAILCTL_DONE : refuse(u, status);
}

static lmail_status set_steps(user_call *u, int steps, lmail_str password)
{
    lmail_str name = lmail_str_from(u->name);
    lmail_status status = LMAIL_OK;
    if (steps & STEP_PASSWORD) {
        status = lmail_accounts_edit_password(u->edit, name, password);
    }
    if (status == LMAIL_OK && (steps & STEP_SECRET)) {
        status = lmail_accounts_edit_secret(u->edit, name, password, !u->irreversible);
    }
    return status;
}

/* Say it before somebody types a password twice for nothing. */
static int exists_or_said(user_call *u)
{
    int code = begin(u);
    if (code == MAILCTL_DONE && !u->create &&
        !lmail_accounts_edit_has(u->edit, lmail_str_from(u->name))) {
        code = refuse(u, LMAIL_ERR_NOTFOUND);
    }
    /* Not held while a person types. */
    lmail_accounts_edit_free(u->edit);
    u->edit = NULL;
    return code;
}

static int change_secret(user_call *u, int steps)
{
    char password[LMAIL_MAX_PASSWORD];
    size_t len = 0;
    int code = exists_or_said(u);
    if (code == MAILCTL_DONE && !u->erase) {
        code = mailctl_read_password(u->name, u->from_pipe, 1, password, sizeof password, &len);
    }
    if (code == MAILCTL_DONE) {
        code = begin(u);
    }
    if (code == MAILCTL_DONE) {
        lmail_status status = LMAIL_OK;
        if (u->create && !lmail_accounts_edit_has(u->edit, lmail_str_from(u->name))) {
            status = lmail_accounts_edit_add(u->edit, lmail_str_from(u->name));
        }
        if (status == LMAIL_OK) {
            status = set_steps(u, steps, (lmail_str){password, len});
        }
        code = commit(u, status);
    }
    explicit_bzero(password, sizeof password);
    return code;
}

/* What the account cannot do yet: an administrator who stops after step one wonders why. */
static void say_what_lacks(const user_call *u)
{
    lmail_accounts *accounts;
    lmail_account account;
    if (lmail_accounts_open(&accounts, lmail_str_from(u->file), NULL) != LMAIL_OK) {
        return;
    }
    if (lmail_accounts_find(accounts, lmail_str_from(u->name), &account) == LMAIL_OK) {
        unsigned scram = LMAIL_ACCOUNT_SCRAM_SHA_1 | LMAIL_ACCOUNT_SCRAM_SHA_256;
        if (!(account.has & LMAIL_ACCOUNT_PASSWORD)) {
            mailctl_say("%s has no password yet: PLAIN, LOGIN and USER/PASS fail; mailctl user "
                        "password %s",
                        u->name, u->name);
        }
        if (!(account.has & scram)) {
            mailctl_say("%s has no secret yet: SCRAM, CRAM-MD5 and DIGEST-MD5 fail, and where "
                        "passwords in clear are barred it cannot log in without TLS; mailctl user "
                        "secret %s",
                        u->name, u->name);
        }
        if (account.disabled) {
            mailctl_say("%s is disabled", u->name);
        }
        lmail_accounts_release(accounts, &account);
    }
    lmail_accounts_free(accounts);
}

/* ---- The verbs ------------------------------------------------------------------------------- */

static int run_step(const mailctl_call *call, const char *allowed, int steps)
{
    user_call u;
    int code = parse_arguments(&u, call, allowed, 1);
    if (code == MAILCTL_DONE) {
        code = change_secret(&u, steps);
    }
    if (code == MAILCTL_DONE && !u.erase) {
        say_what_lacks(&u);
    }
    return end(&u, code);
}

static int run_password(const mailctl_call *call)
{
    return run_step(call, "cdpu:f:", STEP_PASSWORD);
}

static int run_secret(const mailctl_call *call)
{
    return run_step(call, "cdpnu:f:", STEP_SECRET);
}

static int run_passwd(const mailctl_call *call)
{
    return run_step(call, "cdpnu:f:", STEP_PASSWORD | STEP_SECRET);
}

static int run_create(const mailctl_call *call)
{
    user_call u;
    char password[LMAIL_MAX_PASSWORD];
    size_t len = 0;
    int code = parse_arguments(&u, call, "cpnu:f:", 1);
    if (code == MAILCTL_DONE && u.from_pipe) {
        code = mailctl_read_password(u.name, 1, 0, password, sizeof password, &len);
    }
    if (code == MAILCTL_DONE) {
        code = begin(&u);
    }
    if (code == MAILCTL_DONE) {
        lmail_status status = lmail_accounts_edit_add(u.edit, lmail_str_from(u.name));
        if (status == LMAIL_OK && len > 0) {
            status = set_steps(&u, STEP_PASSWORD | STEP_SECRET, (lmail_str){password, len});
        }
        code = commit(&u, status);
    }
    explicit_bzero(password, sizeof password);
    if (code == MAILCTL_DONE && len == 0) {
        mailctl_say("%s has no password yet; mailctl user passwd %s", u.name, u.name);
    }
    return end(&u, code);
}

static int run_delete(const mailctl_call *call)
{
    user_call u;
    int code = parse_arguments(&u, call, "du:f:", 1);
    if (code == MAILCTL_DONE) {
        code = begin(&u);
    }
    if (code == MAILCTL_DONE) {
        code = commit(&u, lmail_accounts_edit_remove(u.edit, lmail_str_from(u.name)));
    }
    return end(&u, code);
}

typedef struct report {
    const user_call *call;
    unsigned long accounts, faults;
} report;

static void on_fault(void *user, const lmail_accounts_fault *fault)
{
    report *r = user;
    r->faults++;
    mailctl_complain(LMAIL_ERROR, fault->file, fault->line, fault->what);
}

static int in_realm(const user_call *u, lmail_str name)
{
    lmail_str realm = lmail_str_from(u->realm);
    return realm.len == 0 ||
           (name.len > realm.len && name.ptr[name.len - realm.len - 1] == '@' &&
            lmail_str_equal_nocase((lmail_str){name.ptr + name.len - realm.len, realm.len}, realm));
}

static int list_one(void *user, const lmail_account *account)
{
    report *r = user;
    if (!in_realm(r->call, account->name)) {
        return 0;
    }
    r->accounts++;
    printf("%.*s\t%s\t%s\t%s%s\n", (int)account->name.len, account->name.ptr,
           account->has & LMAIL_ACCOUNT_PASSWORD ? "password" : "-",
           account->has & (LMAIL_ACCOUNT_SCRAM_SHA_1 | LMAIL_ACCOUNT_SCRAM_SHA_256) ? "scram" : "-",
           account->has & LMAIL_ACCOUNT_SECRET ? "secret" : "-",
           account->disabled ? "\tdisabled" : "");
    return 0;
}

static int count_one(void *user, const lmail_account *account)
{
    report *r = user;
    r->accounts += (unsigned long)in_realm(r->call, account->name);
    return 0;
}

static int open_accounts(user_call *u, report *r, lmail_accounts **out)
{
    lmail_accounts_config cfg = LMAIL_ACCOUNTS_CONFIG_INIT;
    *r = (report){u, 0, 0};
    cfg.on_fault = on_fault;
    cfg.user = r;
    return lmail_accounts_open(out, lmail_str_from(u->file), &cfg) == LMAIL_OK ? MAILCTL_DONE
                                                                               : MAILCTL_REFUSED;
}

static int run_list(const mailctl_call *call)
{
    user_call u;
    report r;
    lmail_accounts *accounts = NULL;
    int code = parse_arguments(&u, call, "u:f:", 0);
    if (code == MAILCTL_DONE && u.name[0]) {
        code = mailctl_bad_usage(call);
    }
    if (code == MAILCTL_DONE) {
        code = open_accounts(&u, &r, &accounts);
    }
    if (code == MAILCTL_DONE && lmail_accounts_each(accounts, list_one, &r) != LMAIL_OK) {
        code = MAILCTL_REFUSED;
    }
    lmail_accounts_free(accounts);
    return end(&u, code);
}

/* Is what comes from the pipe this account's password? */
static int check_password(user_call *u, lmail_accounts *accounts)
{
    char password[LMAIL_MAX_PASSWORD];
    size_t len;
    lmail_account account;
    int code = mailctl_read_password(u->name, 1, 0, password, sizeof password, &len);
    if (code != MAILCTL_DONE) {
        return code;
    }
    lmail_status status = lmail_accounts_verify(accounts, lmail_str_from(u->name),
                                                (lmail_str){password, len}, &account);
    explicit_bzero(password, sizeof password);
    if (status == LMAIL_OK) {
        lmail_accounts_release(accounts, &account);
        return MAILCTL_DONE;
    }
    mailctl_say("%s: %s", u->name,
                status == LMAIL_ERR_DENIED ? "not the password, or it may not log in"
                                           : lmail_status_text(status));
    return MAILCTL_REFUSED;
}

static int check_user(user_call *u, lmail_accounts *accounts)
{
    lmail_account account;
    lmail_status status = lmail_accounts_find(accounts, lmail_str_from(u->name), &account);
    if (status != LMAIL_OK) {
        return refuse(u, status);
    }
    report r = {u, 0, 0};
    list_one(&r, &account);
    lmail_accounts_release(accounts, &account);
    say_what_lacks(u);
    return u->from_pipe ? check_password(u, accounts) : MAILCTL_DONE;
}

static int run_check(const mailctl_call *call)
{
    user_call u;
    report r;
    lmail_accounts *accounts = NULL;
    int code = parse_arguments(&u, call, "pu:f:", 0);
    if (code == MAILCTL_DONE && u.from_pipe && !u.name[0]) {
        code = mailctl_bad_usage(call);
    }
    if (code == MAILCTL_DONE) {
        code = open_accounts(&u, &r, &accounts);
    }
    if (code == MAILCTL_DONE && u.name[0]) {
        u.realm = NULL; /* it is in the name already */
        code = check_user(&u, accounts);
    } else if (code == MAILCTL_DONE) {
        code = lmail_accounts_each(accounts, count_one, &r) == LMAIL_OK && r.faults == 0
                   ? MAILCTL_DONE
                   : MAILCTL_REFUSED;
        printf("%s: %lu accounts, %lu faults\n", u.file, r.accounts, r.faults);
    }
    lmail_accounts_free(accounts);
    return end(&u, code);
}

const mailctl_command mailctl_user_commands[] = {
    {"user", "create", "[-pn] [-u REALM] [-f FILE] USER",
     "make an account; with -p also both secrets", run_create},
    {"user", "add", "[-pn] [-u REALM] [-f FILE] USER", "the same as create", run_create},
    {"user", "password", "[-cdp] [-u REALM] [-f FILE] USER",
     "set the hash for PLAIN, LOGIN and USER/PASS", run_password},
    {"user", "secret", "[-cdpn] [-u REALM] [-f FILE] USER",
     "set the keys for SCRAM, CRAM-MD5, DIGEST-MD5 and APOP", run_secret},
    {"user", "passwd", "[-cdpn] [-u REALM] [-f FILE] USER", "set both from one password",
     run_passwd},
    {"user", "delete", "[-u REALM] [-f FILE] USER", "remove an account; its mail stays",
     run_delete},
    {"user", "list", "[-u REALM] [-f FILE]", "list the accounts and what each can log in with",
     run_list},
    {"user", "check", "[-p] [-u REALM] [-f FILE] [USER]",
     "check the account file, one account, or with -p its password", run_check},
    {NULL, NULL, NULL, NULL, NULL},
};
