/* authd: tells local programs whether a password is right, in saslauthd's protocol.
 *
 * It keeps root, because PAM and shadow want it, and therefore does little: it reads counted
 * strings from a socket and starts a child a check (libmail/host/saslauthd.h). The mail daemons,
 * which have no privileges, ask it about the system's users; other programs about our accounts. */
#include "authd.h"
#include "common/daemon.h"
#include "common/diagnostic.h"

#include <errno.h>
#include <libmail/host/service.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define MAX_CHECKS 8u
#define MAX_SOCKETS 8u

/* What one reading of the configuration comes to. */
typedef struct reading {
    lmail_config *config;
    authd_facts facts;
    lmail_authd_check checks[MAX_CHECKS];
    size_t check_count;
    uint32_t uids[2];
    size_t uid_count;
} reading;

typedef struct body {
    lmail_authd *authd;
    lmail_log *log;
    const char *path; /* of the configuration file; or NULL */
    daemon_report *report;
    reading *now;
} body;

/* ---- A reading ------------------------------------------------------------------------------- */

static void reading_free(reading *r)
{
    if (r) {
        lmail_accounts_free(r->facts.accounts);
        lmail_config_free(r->config);
        free(r);
    }
}

static void account_fault(void *user, const lmail_accounts_fault *fault)
{
    lmail_log *log = user;
    lmail_log_line l;
    lmail_log_begin(&l, log, LMAIL_LOG_ERR, "account_file");
    lmail_log_text(&l, "file", fault->file);
    lmail_log_number(&l, "line", fault->line);
    lmail_log_text(&l, "reason", fault->what);
    lmail_log_end(&l);
}

static int open_accounts(reading *r, lmail_log *log, char *error, size_t cap)
{
    lmail_accounts_config c = LMAIL_ACCOUNTS_CONFIG_INIT;
    const lmail_settings *s = r->facts.settings;
    c.default_domain = authd_default_domain(&r->facts);
    c.on_fault = account_fault;
    c.user = log;
    /* No saslauthd behind it: it might be this very program. */
    lmail_status st = lmail_accounts_open(&r->facts.accounts, s->accounts, &c);
    if (st)
        snprintf(error, cap, "accounts %.*s: %s", TEXT(s->accounts), lmail_status_text(st));
    return st ? EX_CONFIG : 0;
}

static int choose_checks(reading *r, lmail_log *log, char *error, size_t cap)
{
    const lmail_str_list *list = &r->facts.settings->authd.check;
    if (list->count > MAX_CHECKS) {
        snprintf(error, cap, "authd.check: more than %u", MAX_CHECKS);
        return EX_CONFIG;
    }
    for (size_t i = 0; i < list->count; i++) {
        lmail_authd_check *c = &r->checks[r->check_count++];
        c->user = &r->facts;
        if (lmail_str_equal_nocase(list->items[i], LMAIL_STR("accounts"))) {
            c->name = "accounts";
            c->prepare = authd_accounts_prepare;
            c->check = authd_accounts_check;
            int code = r->facts.accounts ? 0 : open_accounts(r, log, error, cap);
            if (code)
                return code;
        } else if (lmail_str_equal_nocase(list->items[i], LMAIL_STR("shadow"))) {
            c->name = "shadow";
            c->check = authd_shadow_check;
        } else {
            c->name = "pam";
            c->check = authd_pam_check;
        }
    }
    return 0;
}

/* The mail daemons make failures wait themselves, by client address; so does root's own hand. */
static void trust_daemons(reading *r)
{
    lmail_owner owner;
    r->uids[r->uid_count++] = geteuid();
    if (!lmail_owner_find(&owner, r->facts.settings, NULL, 0))
        r->uids[r->uid_count++] = owner.uid;
}

/* config becomes the reading's, if it succeeds. */
static int reading_new(reading **out, lmail_config *config, lmail_log *log, char *error, size_t cap)
{
    reading *r = calloc(1, sizeof *r);
    if (!r) {
        snprintf(error, cap, "out of memory");
        return EX_OSERR;
    }
    r->facts.settings = lmail_config_settings(config);
    if (gethostname(r->facts.hostname, sizeof r->facts.hostname - 1))
        r->facts.hostname[0] = '\0';
    int code = choose_checks(r, log, error, cap);
    if (code) {
        reading_free(r);
        return code;
    }
    trust_daemons(r);
    r->config = config;
    *out = r;
    return 0;
}

static void fill_config(const reading *r, lmail_log *log, lmail_authd_config *c)
{
    const lmail_settings *s = r->facts.settings;
    lmail_authd_config_init(c);
    c->checks = r->checks;
    c->check_count = r->check_count;
    c->uids = r->uids;
    c->uid_count = r->uid_count;
    c->workers = (unsigned)s->authd.workers;
    c->max_connections = (unsigned)s->authd.max_connections;
    c->read_timeout = (uint32_t)s->authd.read_timeout;
    c->check_timeout = (uint32_t)s->authd.check_timeout;
    c->failure_delay = (uint32_t)s->authd.failure_delay;
    c->user_failures = (uint32_t)s->authd.user_failures;
    c->peer_failures = (uint32_t)s->authd.peer_failures;
    c->log = log;
}

/* ---- Sockets --------------------------------------------------------------------------------- */

static unsigned octal(lmail_str text)
{
    unsigned value = 0;
    for (size_t i = 0; i < text.len; i++)
        value = value * 8 + (unsigned)(text.ptr[i] - '0');
    return value;
}

/* The group whose members may ask. Returns 0, or an exit code. */
static int socket_group(const lmail_settings *s, uint32_t *out, char *error, size_t cap)
{
    lmail_str group = s->authd.socket_group.len ? s->authd.socket_group : s->group;
    lmail_owner owner;
    *out = UINT32_MAX;
    if (geteuid() != 0 && !s->authd.socket_group.len)
        return 0; /* a test of somebody who is not root: it is theirs */
    if (group.len > 0) {
        if (!lmail_group_find(out, group))
            return 0;
        snprintf(error, cap, "authd.socket_group or group = %.*s: no such group", TEXT(group));
        return EX_CONFIG;
    }
    lmail_status st = lmail_owner_find(&owner, s, error, cap);
    if (!st)
        *out = owner.gid;
    return st == LMAIL_ERR_NOTFOUND ? EX_CONFIG : 0;
}

/* What the standard socket lies in, run_directory and one below; everybody may pass, the socket's mode
 * decides. */
static int make_directories(const char *socket, char *error, size_t cap)
{
    char path[4096];
    int failed = 0;
    mode_t before = umask(022);
    snprintf(path, sizeof path, "%s", socket);
    *strrchr(path, '/') = '\0';
    char *slash = strrchr(path, '/');
    if (slash && slash != path) {
        *slash = '\0';
        failed = mkdir(path, 0755) && errno != EEXIST;
        *slash = '/';
    }
    failed = failed || (mkdir(path, 0755) && errno != EEXIST);
    umask(before);
    if (failed)
        snprintf(error, cap, "cannot make %s: %s", path, strerror(errno));
    return failed ? EX_OSERR : 0;
}

/* Where the mail daemons look for it. */
static int standard_socket(const lmail_settings *s, char out[4096], char *error, size_t cap)
{
    if (!lmail_service_authd_socket(s, out, 4096))
        return make_directories(out, error, cap);
    snprintf(error, cap, "run_directory: too long");
    return EX_CONFIG;
}

static int open_sockets(body *b, char *error, size_t cap)
{
    const lmail_settings *s = b->now->facts.settings;
    char standard[4096] = "";
    lmail_str one;
    lmail_authd_config c;
    fill_config(b->now, b->log, &c);
    c.sockets = s->authd.sockets.items;
    c.socket_count = s->authd.sockets.count;
    c.mode = octal(s->authd.socket_mode);
    int code = socket_group(s, &c.group, error, cap);
    if (!code && c.socket_count == 0) {
        code = standard_socket(s, standard, error, cap);
        one = lmail_str_from(standard);
        c.sockets = &one;
        c.socket_count = 1;
    }
    if (code)
        return code;
    lmail_status st = lmail_authd_new(&b->authd, &c, error, cap);
    return !st ? 0 : st == LMAIL_ERR_ARG ? EX_CONFIG : EX_OSERR;
}

/* ---- The body of the daemon ------------------------------------------------------------------ */

/* As the mail daemons say it. */
static void log_reload(const body *b, const char *reason)
{
    lmail_log_line l;
    lmail_log_begin(&l, b->log, reason ? LMAIL_LOG_ERR : LMAIL_LOG_INFO,
                    reason ? "reload_failed" : "reloaded");
    lmail_log_text(&l, reason ? "reason" : "file",
                   lmail_str_from(reason    ? reason
                                  : b->path ? b->path
                                            : ""));
    lmail_log_end(&l);
}

static void reload(void *user)
{
    body *b = user;
    reading *next = NULL;
    lmail_config *config = NULL;
    lmail_authd_config c;
    char error[1024] = "";
    reload_faults of = {b->log, error, sizeof error};
    daemon_reload_begins(b->report);
    lmail_status st = lmail_config_load_file(&config, b->path, log_diagnostic, &of);
    int failed = st != LMAIL_OK;
    if (!failed && reading_new(&next, config, b->log, error, sizeof error)) {
        lmail_config_free(config);
        failed = 1;
    }
    if (!failed) {
        fill_config(next, b->log, &c);
        st = lmail_authd_change(b->authd, &c);
        failed = st != LMAIL_OK;
        reading *old = failed ? next : b->now;
        b->now = failed ? b->now : next;
        reading_free(old);
    }
    if (failed && !error[0])
        snprintf(error, sizeof error, "%s", lmail_status_text(st));
    daemon_reloaded(b->report, failed, error);
    log_reload(b, failed ? error : NULL);
}

static void body_free(void *user)
{
    body *b = user;
    lmail_authd_free(b->authd);
    reading_free(b->now);
    free(b);
}

static int body_make(void **out, lmail_config *config, lmail_log *log, const char *path,
                     daemon_report *report, char *error, size_t cap)
{
    const struct rlimit none = {0, 0};
    body *b = calloc(1, sizeof *b);
    if (!b)
        return EX_OSERR;
    b->log = log;
    b->path = path;
    b->report = report;
    /* Passwords pass through this memory: no core file, no debugger of another's. */
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
    int code = reading_new(&b->now, config, log, error, cap);
    if (!code)
        code = open_sockets(b, error, cap);
    if (!code && lmail_authd_signals(b->authd, SIGTERM, SIGHUP, reload, b)) {
        snprintf(error, cap, "signals: %s", strerror(errno));
        code = EX_OSERR;
    }
    if (code) {
        if (b->now)
            b->now->config = NULL; /* the caller's still */
        body_free(b);
        return code;
    }
    *out = b;
    return 0;
}

static int body_run(void *user)
{
    const body *b = user;
    return lmail_authd_run(b->authd) ? EX_SOFTWARE : 0;
}

static int body_test(const lmail_settings *s, char *error, size_t cap)
{
    uint32_t group;
    if (s->authd.sockets.count > MAX_SOCKETS) {
        snprintf(error, cap, "authd.sockets: more than %u", MAX_SOCKETS);
        return EX_CONFIG;
    }
    return socket_group(s, &group, error, cap);
}

int main(int argc, char **argv)
{
    static const daemon_body this_body = {body_test, body_make, body_run, body_free};
    static const daemon_facts facts = {"authd", "tells local programs whether a password is right",
                                       0, &this_body};
    return daemon_main(&facts, argc, argv);
}
