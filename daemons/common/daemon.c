/* daemon.c - the start-up of smtpd, imapd, pop3d and authd, in one place.
 *
 * Options and configuration; then the service, or what a daemon has in place of one, until a signal,
 * in this process or, started as root with a user set, in two (parent.h). Exit codes as sysexits.h:
 * 78 for a faulty configuration, 71 when the system refuses something. */
#include "daemon.h"
#include "activation.h"
#include "diagnostic.h"
#include "life.h"
#include "parent.h"

#include <getopt.h>
#include <libmail/host/service.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/libmail/libmail.conf"

typedef struct options {
    const char *config; /* NULL: the default, if it is there */
    int test, background;
    strictness strictness;
} options;

/* ---- Configuration --------------------------------------------------------------------------- */

/* The file that -c names must exist; the default one may be missing. */
static const char *config_path(const options *o)
{
    if (o->config)
        return o->config;
    return access(DEFAULT_CONFIG, F_OK) == 0 ? DEFAULT_CONFIG : NULL;
}

/* A mail service that root starts and that is to become nobody else: it works, and is worth a word. */
static int stays_root(const daemon_facts *f, const lmail_settings *s)
{
    return !f->body && geteuid() == 0 && s->user.len == 0;
}

static const char AS_ROOT[] = "user is not set: started by root, all of it runs as root";

/* ---- Life ------------------------------------------------------------------------------------ */

static lmail_status catch_signals(lmail_service *service, const char *path)
{
    lmail_status st = lmail_service_signals(service, SIGTERM, SIGHUP, path);
    return st ? st : lmail_service_signals(service, SIGINT, 0, NULL);
}

/* A mail service, or the body of a daemon that is none. */
typedef struct work {
    lmail_service *service;
    void *body;
} work;

/* What the service's callbacks get. */
typedef struct house {
    daemon_report *report;
    const daemon_facts *facts;
    const lmail_settings *settings; /* NULL once the service is made */
    activation given;
} house;

static int take_socket(void *host, const char *where)
{
    house *h = host;
    lmail_service_socket at;
    for (size_t i = 0; h->settings && lmail_service_socket_at(h->settings, h->facts->protocols, i,
                                                              &at) == LMAIL_OK;
         i++)
        if (strcmp(at.where, where) == 0)
            return activation_take(&h->given, where, at.listener);
    return -1;
}

static void service_reloaded(void *host, lmail_status st, const char *error)
{
    const house *h = host;
    daemon_reloaded(h->report, st != LMAIL_OK, error);
}

static void service_reload_begins(void *host)
{
    const house *h = host;
    daemon_reload_begins(h->report);
}

/* It is there. */
static int serve(const daemon_facts *f, const work *w, const lmail_settings *s, lmail_log *log,
                 const char *path, int ready, daemon_report *report)
{
    int code = report_begin(report, f, s);
    if (!code && !f->body && catch_signals(w->service, path))
        code = EX_OSERR;
    if (!code)
        code = report_write(report, f);
    report_ready(ready, (char)code);
    if (!code) {
        log_event(log, "start", f);
        tell_manager("READY=1");
        if (!f->body)
            release_signals();
        code = f->body ? f->body->run(w->body) : lmail_service_run(w->service) ? EX_SOFTWARE : 0;
        tell_manager("STOPPING=1");
        log_event(log, "stop", f);
    }
    report_end(report);
    return code;
}

static int make_service(const daemon_facts *f, lmail_service **out, lmail_config *config,
                        lmail_log *log, house *h, char *error, size_t cap)
{
    lmail_service_config sc = LMAIL_SERVICE_CONFIG_INIT;
    sc.config = config;
    sc.protocols = f->protocols;
    sc.log = log;
    sc.name = f->name;
    sc.on_reload = service_reloaded;
    sc.on_reload_begins = service_reload_begins;
    sc.on_socket = take_socket;
    sc.host = h;
    h->settings = lmail_config_settings(config);
    lmail_status st = lmail_service_new(out, &sc, error, cap);
    h->settings = NULL;
    activation_end_logged(&h->given, log);
    return !st ? 0 : st == LMAIL_ERR_ARG || st == LMAIL_ERR_NOTFOUND ? EX_CONFIG : EX_OSERR;
}

/* Log lines of a background daemon would go to whoever started it, and end with them: to a file they
 * may go. */
static unsigned wants_syslog(const options *o, const lmail_settings *s)
{
    struct stat st;
    return s->log == LMAIL_LOG_SYSLOG ||
           (o->background && !(fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode)));
}

/* files: those of the configuration, when root read them to hand them on; else NULL. Freed. */
static int run(const daemon_facts *f, const options *o, lmail_config *config, const char *path,
               bundle *files)
{
    const lmail_settings *s = lmail_config_settings(config);
    lmail_log_config lc = LMAIL_LOG_CONFIG_INIT;
    lmail_log *log = NULL;
    daemon_report *report = calloc(1, sizeof *report);
    work w = {NULL, NULL};
    house h = {report, f, NULL, {0, 0, "", ""}};
    char error[1024] = "";
    int ready = -1, code = o->background ? go_background(f, &ready) : 0;
    hold_signals();
    if (!f->body)
        activation_begin(&h.given);
    lc.program = f->name;
    lc.syslog = wants_syslog(o, s);
    if (!code && (!report || lmail_log_open(&log, &lc)))
        code = EX_OSERR;
    if (!code && stays_root(f, s)) {
        lmail_log_line l;
        lmail_log_begin(&l, log, LMAIL_LOG_WARN, "root");
        lmail_log_text(&l, "reason", lmail_str_from(AS_ROOT));
        lmail_log_end(&l);
    }
    if (!code && files && s->user.len) {
        const parent_start start = {f, config, path, files, log, report, ready, &h.given};
        code = parent_run(&start);
        lmail_log_close(log);
        free(report);
        return code;
    }
    bundle_free(files);
    if (!code) {
        code = f->body ? f->body->make(&w.body, config, log, path, report, error, sizeof error)
                       : make_service(f, &w.service, config, log, &h, error, sizeof error);
        if (code) {
            fprintf(stderr, "%s: %s\n", f->name, error);
            lmail_config_free(config);
        }
    }
    if (code)
        report_ready(ready, (char)code);
    else
        code = serve(f, &w, s, log, path, ready, report);
    if (w.body)
        f->body->free(w.body);
    lmail_service_free(w.service);
    lmail_log_close(log);
    free(report);
    return code;
}

/* -t: the configuration was read without an error. */
static int test_body(const daemon_facts *f, const lmail_config *config, strictness *how)
{
    char error[1024] = "";
    const lmail_settings *s = lmail_config_settings(config);
    lmail_owner id;
    int code = f->body ? f->body->test(s, error, sizeof error) : 0;
    if (!f->body && geteuid() == 0 && s->user.len && !lmail_owner_find(&id, s, NULL, 0))
        code = identity_reaches(&id, s, error, sizeof error);
    if (code)
        fprintf(stderr, "%s: %s\n", f->name, error);
    if (!code && !f->body)
        code = lmail_config_check_tls(config, NULL, print_diagnostic, how) != LMAIL_OK;
    return code || how->turned;
}

static void print_help(const daemon_facts *f)
{
    printf("usage: %s [-c FILE] [-b] [-t] [-q] [--strict]\n%s\n\n"
           "  -c, --config FILE  read FILE; without it %s, if it exists\n"
           "  -b, --background   return when listening; logs then go to syslog\n"
           "  -t, --test         check the configuration and exit: 0 good, 1 faulty\n"
           "  -q, --quiet        do not print notices; twice: nor warnings\n"
           "      --strict       take a warning for an error\n"
           "  -h, --help         this text\n"
           "      --version\n\n"
           "SIGTERM and SIGINT stop it, SIGHUP reads the configuration again. See %s(8).\n",
           f->name, f->about, DEFAULT_CONFIG, f->name);
}

/* Returns -1 to go on, or an exit code. */
static int read_options(const daemon_facts *f, int argc, char **argv, options *o)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'}, {"background", no_argument, NULL, 'b'},
        {"test", no_argument, NULL, 't'},         {"quiet", no_argument, NULL, 'q'},
        {"strict", no_argument, NULL, 'S'},       {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},      {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "c:btqh", known, NULL)) != -1;) {
        switch (c) {
        case 'c':
            o->config = optarg;
            break;
        case 'b':
            o->background = 1;
            break;
        case 't':
            o->test = 1;
            break;
        case 'q':
            o->strictness.quiet++;
            break;
        case 'S':
            o->strictness.strict = 1;
            break;
        case 'h':
            print_help(f);
            return 0;
        case 'V':
            printf("%s %s\n", f->name, lmail_version());
            return 0;
        default:
            return EX_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s: unexpected argument: %s\n", f->name, argv[optind]);
        return EX_USAGE;
    }
    return -1;
}

int daemon_main(const daemon_facts *f, int argc, char **argv)
{
    options o = {NULL, 0, 0, {0, 0, 0, NULL, 0, 0}};
    lmail_config *config;
    int code = read_options(f, argc, argv, &o);
    if (code >= 0)
        return code;
    const char *path = config_path(&o);
    lmail_files disk;
    lmail_files_disk(&disk);
    bundle *files = !f->body && !o.test && geteuid() == 0 ? bundle_new(&disk) : NULL;
    lmail_status st = lmail_config_load_from(&config, path, &disk, keep_diagnostic, &o.strictness);
    tell_diagnostics(&o.strictness);
    if (!st && o.strictness.turned) {
        lmail_config_free(config);
        st = LMAIL_ERR_SYNTAX;
    }
    if (o.test) {
        if (!st && stays_root(f, lmail_config_settings(config))) {
            const lmail_diagnostic notice = {LMAIL_NOTICE,
                                             lmail_str_from(path ? path : DEFAULT_CONFIG), 0,
                                             lmail_str_from(AS_ROOT)};
            print_diagnostic(&o.strictness, &notice);
        }
        code = st ? 1 : test_body(f, config, &o.strictness);
        if (!st)
            lmail_config_free(config);
        return code;
    }
    if (st) {
        bundle_free(files);
        return EX_CONFIG;
    }
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    raise_descriptor_limit();
    return run(f, &o, config, path, files);
}
