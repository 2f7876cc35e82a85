/* service_rules.c - one reading of the configuration, made ready for use.
 *
 * Host name, local domains, certificates, accounts and mechanisms. Immutable and counted: a reload
 * makes new rules, sessions keep the ones they began under. Nothing is changed by a reading that
 * fails. */
#include "host/service/service_accounts.h"
#include "host/service/service_files.h"
#include "host/service/service_internal.h"
#include "host/service/service_location.h"
#include "host/service/service_milter.h"
#include "host/service/service_owner.h"
#include "host/service/service_secure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT(s) (int)(s).len, (s).ptr

/* ---- Host name and domains ------------------------------------------------------------------- */

/* The machine is asked once: the resolver may take seconds. */
static void name_host(lmi_rules *r)
{
    lmail_str name = r->settings->hostname;
    if (name.len) {
        snprintf(r->hostname, sizeof r->hostname, "%.*s", TEXT(name));
        return;
    }
    lmi_name_known(r->service, r->hostname);
    if (!r->hostname[0])
        lmi_machine_name(r->hostname, sizeof r->hostname);
    lmi_name_learned(r->service, r->hostname);
}

void lmi_name_known(lmail_service *s, char out[256])
{
    pthread_mutex_lock(&s->name_lock);
    memcpy(out, s->machine_name, sizeof s->machine_name);
    pthread_mutex_unlock(&s->name_lock);
}

void lmi_name_learned(lmail_service *s, const char name[256])
{
    pthread_mutex_lock(&s->name_lock);
    if (!s->machine_name[0])
        memcpy(s->machine_name, name, sizeof s->machine_name);
    pthread_mutex_unlock(&s->name_lock);
}

/* Do the tables change where mail goes? Without them a recipient is its one destination. */
static int routes(const lmail_settings *v)
{
    return v->routing.aliases.count || v->routing.mailertable.len || v->routing.virtusertable.len ||
           v->routing.domaintable.len || v->routing.smart_host.len || v->routing.redirect ||
           v->routing.forward.count;
}

int lmi_rules_local_domain(const lmi_rules *r, lmail_str domain)
{
    lmail_policy_verdict v;
    lmail_policy_peer peer;
    lmail_policy_question q;
    char address[300];
    int n = snprintf(address, sizeof address, "postmaster@%.*s", TEXT(domain));
    if (!domain.len || n != (int)(strlen("postmaster@") + domain.len) ||
        (size_t)n >= sizeof address)
        return 0;
    lmail_policy_peer_init(&peer);
    lmail_policy_question_init(&q);
    q.peer = &peer;
    q.recipient = (lmail_str){address, (size_t)n};
    q.tables = r->tables;
    return lmail_policy_rcpt(r->policy, &q, &v) == LMAIL_OK && v.local;
}

static lmail_str first_domain(const lmi_rules *r, int i)
{
    const lmail_settings *s = r->settings;
    if (i == LMI_AUTH_SMTP && s->smtp.realm.len)
        return s->smtp.realm;
    return s->auth.realm.len      ? s->auth.realm
           : s->domains.count > 0 ? s->domains.items[0]
                                  : lmail_str_from(r->hostname);
}

/* ---- Certificates ---------------------------------------------------------------------------- */

static lmail_status say(lmail_status st, char *error, size_t cap, const char *what,
                        const char *path)
{
    snprintf(error, cap, "%s %s: %s", what, path, lmail_status_text(st));
    return st;
}

/* Paths of a pair of our own, made when it is not there yet. */
static lmail_status own_pair(const lmi_rules *r, char *cert, char *key, size_t path_cap,
                             char *error, size_t cap)
{
    char dir[512];
    snprintf(dir, sizeof dir, "%.*s/tls", TEXT(r->settings->mail_directory));
    snprintf(cert, path_cap, "%s/certificate.pem", dir);
    snprintf(key, path_cap, "%s/key.pem", dir);
    lmi_owner_enter(r->settings);
    lmail_status st = LMAIL_OK;
    if (mkdir(dir, 0700) && errno != EEXIST) {
        snprintf(error, cap, "cannot make %s: %s", dir, strerror(errno));
        st = LMAIL_ERR_IO;
    }
    if (!st)
        st = lmail_tls_self_signed(cert, key, r->hostname, error, cap);
    lmi_owner_leave(r->settings);
    return st == LMAIL_ERR_EXISTS ? LMAIL_OK : st;
}

lmail_status lmi_rules_file(const lmi_rules *r, const char *what, lmail_str name, lmail_str *out,
                            char *error, size_t cap)
{
    const lmail_files *files = &r->service->files;
    lmail_str octets;
    lmail_status st = files->open(files->ctx, name, &octets);
    if (!st) {
        char *copy = malloc(octets.len + 1);
        if (copy && octets.len)
            memcpy(copy, octets.ptr, octets.len);
        *out = (lmail_str){copy, copy ? octets.len : 0};
        st = copy ? LMAIL_OK : LMAIL_ERR_NOMEM;
        files->close(files->ctx, octets);
    }
    if (st)
        snprintf(error, cap, "%s %.*s: %s", what, TEXT(name), lmail_status_text(st));
    return st;
}

static lmail_status read_pair(const lmi_rules *r, lmail_tls_cert *out, char *error, size_t cap)
{
    const lmail_settings *s = r->settings;
    char cert[600], key[600];
    lmail_status st;
    if (s->tls.certificate.len) {
        st = lmi_rules_file(r, "tls.certificate", s->tls.certificate, &out->chain, error, cap);
        return st ? st : lmi_rules_file(r, "tls.key", s->tls.key, &out->key, error, cap);
    }
    st = own_pair(r, cert, key, sizeof cert, error, cap);
    if (st)
        return st;
    st = lmi_file_read(cert, &out->chain);
    if (st)
        return say(st, error, cap, "tls.certificate", cert);
    st = lmi_file_read(key, &out->key);
    return st ? say(st, error, cap, "tls.key", key) : LMAIL_OK;
}

/* Authorities, one file behind the other; names that are none of a PEM file do no harm. */
typedef struct ca_files {
    const lmail_files *files;
    lmail_str *ca;
    lmail_status status;
} ca_files;

static int read_ca(void *to, lmail_str name)
{
    ca_files *c = to;
    lmail_str one;
    if (c->files->open(c->files->ctx, name, &one))
        return 0;
    char *both = realloc((char *)c->ca->ptr, c->ca->len + one.len + 2);
    if (both) {
        if (one.len)
            memcpy(both + c->ca->len, one.ptr, one.len);
        c->ca->ptr = both;
        c->ca->len += one.len;
        both[c->ca->len++] = '\n';
        both[c->ca->len] = '\0';
    } else {
        c->status = LMAIL_ERR_NOMEM;
    }
    c->files->close(c->files->ctx, one);
    return !both;
}

/* Every file of a directory, behind what is in *ca. */
static lmail_status read_ca_directory(const lmail_files *files, lmail_str name, lmail_str *ca,
                                      char *error, size_t cap)
{
    ca_files c = {files, ca, LMAIL_OK};
    char pattern[LMI_MAX_PATH + 3];
    snprintf(pattern, sizeof pattern, "%.*s/*", name.len > LMI_MAX_PATH ? 0 : (int)name.len,
             name.ptr);
    lmail_status st = files->list ? files->list(files->ctx, lmail_str_from(pattern), read_ca, &c)
                                  : LMAIL_ERR_NOTFOUND;
    st = st ? st : c.status;
    if (st)
        snprintf(error, cap, "smtp.client_ca_directory %.*s: %s", TEXT(name),
                 lmail_status_text(st));
    return st;
}

/* What SMTP has of its own takes the place of what all have. */
static lmail_status smtp_tls(const lmi_rules *r, lmail_tls_config *c, lmail_tls_cert *pair,
                             lmail_str *ca, char *error, size_t cap)
{
    const lmail_settings *s = r->settings;
    lmail_status st = LMAIL_OK;
    if (s->smtp.tls_certificate.len) {
        st = lmi_rules_file(r, "smtp.tls_certificate", s->smtp.tls_certificate, &pair->chain, error,
                            cap);
        if (!st)
            st = lmi_rules_file(r, "smtp.tls_key", s->smtp.tls_key, &pair->key, error, cap);
        c->certs = pair;
    }
    c->ciphers = s->smtp.ciphers;
    if (!st && s->smtp.client_ca.len)
        st = lmi_rules_file(r, "smtp.client_ca", s->smtp.client_ca, ca, error, cap);
    if (!st && s->smtp.client_ca_directory.len)
        st = read_ca_directory(&r->service->files, s->smtp.client_ca_directory, ca, error, cap);
    if (ca->len)
        c->client_ca = *ca;
    c->verify = c->client_ca.len && s->smtp.request_client_certificate ? LMAIL_TLS_VERIFY_OPTIONAL
                                                                       : LMAIL_TLS_VERIFY_NONE;
    return st;
}

typedef struct tls_complaints {
    lmail_log *log;
    char *error; /* the first error's text goes here */
    size_t cap;
    unsigned errors;
} tls_complaints;

static void complain_of_tls(void *ctx, const lmail_diagnostic *d)
{
    tls_complaints *c = ctx;
    lmail_log_line l;
    if (d->severity == LMAIL_ERROR && !c->errors++) {
        lmail_diagnostic_write(d, c->error, c->cap);
        return; /* whoever asked says it */
    }
    lmail_log_begin(&l, c->log, d->severity == LMAIL_ERROR ? LMAIL_LOG_ERR : LMAIL_LOG_WARN,
                    "config");
    lmail_log_text(&l, "file", d->file);
    lmail_log_number(&l, "line", d->line);
    lmail_log_text(&l, "text", d->text);
    lmail_log_end(&l);
}

/* With the names of files and settings, which an error of the TLS library has not. */
static lmail_status look_at_tls(lmi_rules *r, const lmail_config *config, char *error, size_t cap)
{
    tls_complaints c = {r->service->log, error, cap, 0};
    lmail_status st = lmail_config_check_tls(config, &r->service->files, complain_of_tls, &c);
    return st == LMAIL_ERR_SYNTAX ? LMAIL_ERR_ARG : st;
}

static lmail_status make_tls(lmi_rules *r, char *error, size_t cap)
{
    static const char *const imap[] = {"imap"}, *const pop3[] = {"pop3"};
    lmail_tls_cert pair = {{NULL, 0}, {NULL, 0}}, smtp_pair = {{NULL, 0}, {NULL, 0}};
    lmail_str ca = {NULL, 0}, smtp_ca = {NULL, 0};
    lmail_status st = read_pair(r, &pair, error, cap);
    if (!st && r->settings->tls.client_ca.len)
        st = lmi_rules_file(r, "tls.client_ca", r->settings->tls.client_ca, &ca, error, cap);
    for (int i = 0; !st && i < LMI_AUTH_COUNT; i++) {
        lmail_tls_config c = LMAIL_TLS_CONFIG_INIT;
        c.certs = &pair;
        c.certs_n = 1;
        c.tls13_only = r->settings->tls.min_version >= 13;
        c.verify = ca.len ? LMAIL_TLS_VERIFY_OPTIONAL : LMAIL_TLS_VERIFY_NONE;
        c.client_ca = ca;
        c.alpn = i == LMI_AUTH_IMAP ? imap : i == LMI_AUTH_POP3 ? pop3 : NULL;
        c.alpn_n = c.alpn ? 1 : 0; /* "smtp" is not registered (RFC 7301 §6) */
        if (i == LMI_AUTH_SMTP)
            st = smtp_tls(r, &c, &smtp_pair, &smtp_ca, error, cap);
        if (!st)
            st = lmail_tls_new(&r->tls[i], &c, error, cap);
        if (!st && i == LMI_AUTH_SMTP && c.verify) {
            c.verify = LMAIL_TLS_VERIFY_NONE; /* for clients that are not to be asked for one */
            st = lmail_tls_new(&r->tls_unasked, &c, error, cap);
        }
    }
    lmi_file_free(pair.chain);
    lmi_file_free(pair.key);
    lmi_file_free(smtp_pair.chain);
    lmi_file_free(smtp_pair.key);
    lmi_file_free(smtp_ca);
    lmi_file_free(ca);
    return st;
}

/* ---- Accounts and mechanisms ----------------------------------------------------------------- */

static void account_fault(void *user, const lmail_accounts_fault *fault)
{
    lmail_service *service = user;
    lmail_log_line l;
    lmail_log_begin(&l, service->log, LMAIL_LOG_ERR, "account_file");
    lmail_log_text(&l, "file", fault->file);
    lmail_log_number(&l, "line", fault->line);
    lmail_log_text(&l, "reason", fault->what);
    lmail_log_end(&l);
}

static lmail_status make_accounts(lmi_rules *r, char *error, size_t cap)
{
    if (r->service->given_accounts) {
        r->accounts = r->service->given_accounts;
        return LMAIL_OK;
    }
    lmail_accounts_config c = LMAIL_ACCOUNTS_CONFIG_INIT;
    c.default_domain = first_domain(r, LMI_AUTH_IMAP);
    c.on_fault = account_fault;
    c.remember = r->settings->auth.cache_time;
    c.drop_domain = r->settings->auth.user_format == LMAIL_USER_LOCAL_PART;
    c.user = r->service;
    lmail_status st = lmi_accounts_open(&r->accounts, r->settings, &c, error, cap);
    r->owns_accounts = !st;
    return st ? st : lmi_location_check(r, error, cap);
}

/* Salts of names that do not exist come from the TLS key file's directory: one secret for all
 * daemons of this mail directory, made once. */
static lmail_status salt_key(const lmi_rules *r, unsigned char out[32], char *error, size_t cap)
{
    char path[600], temporary[640];
    lmail_str text;
    snprintf(path, sizeof path, "%.*s/salt.key", TEXT(r->settings->mail_directory));
    lmail_status st = lmi_file_read(path, &text);
    if (st == LMAIL_ERR_NOTFOUND) {
        st = r->service->env.random(r->service->env.ctx, out, 32);
        snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
        lmi_owner_enter(r->settings);
        int fd = st ? -1 : mkostemp(temporary, O_CLOEXEC);
        int failed = fd < 0 || write(fd, out, 32) != 32 || fsync(fd);
        if (fd >= 0)
            close(fd);
        /* link, not rename: who comes second takes what the first made. */
        if (!failed && link(temporary, path) && errno != EEXIST)
            failed = 1;
        if (fd >= 0)
            unlink(temporary);
        lmi_owner_leave(r->settings);
        st = failed ? LMAIL_ERR_IO : lmi_file_read(path, &text);
    }
    if (st)
        return say(st, error, cap, "cannot use", path);
    if (text.len != 32)
        st = LMAIL_ERR_CORRUPT;
    else
        memcpy(out, text.ptr, 32);
    lmi_file_free(text);
    return st ? say(st, error, cap, "cannot use", path) : LMAIL_OK;
}

static lmail_status check_mechanisms(const lmail_str_list *list, const char *name, char *error,
                                     size_t cap)
{
    for (size_t i = 0; i < list->count; i++)
        if (!lmail_auth_knows(list->items[i])) {
            snprintf(error, cap, "%s: unknown mechanism %.*s", name, TEXT(list->items[i]));
            return LMAIL_ERR_ARG;
        }
    return LMAIL_OK;
}

/* The same list and options as all, or SMTP's own. */
static void choose_mechanisms(const lmail_settings *s, int i, lmail_auth_config *c)
{
    const lmi_login_settings login = lmi_login_of(s, (unsigned)i);
    c->mechanisms = login.mechanisms->items;
    c->mechanism_count = login.mechanisms->count;
    c->allow_cleartext = login.allow_cleartext;
    c->need = i == LMI_AUTH_SMTP ? s->smtp.auth_options : 0;
}

static lmail_status make_auth(lmi_rules *r, char *error, size_t cap)
{
    static const char *const names[LMI_AUTH_COUNT] = {"smtp", "imap", "pop"};
    const lmail_settings *s = r->settings;
    unsigned char salt[32];
    lmail_status st = check_mechanisms(&s->auth.mechanisms, "auth.mechanisms", error, cap);
    if (!st)
        st = check_mechanisms(&s->imap.auth_mechanisms, "imap.auth_mechanisms", error, cap);
    if (!st)
        st = check_mechanisms(&s->pop3.auth_mechanisms, "pop3.auth_mechanisms", error, cap);
    if (!st)
        st = check_mechanisms(&s->smtp.auth_mechanisms, "smtp.auth_mechanisms", error, cap);
    if (!st)
        st = salt_key(r, salt, error, cap);
    for (int i = 0; !st && i < LMI_AUTH_COUNT; i++) {
        lmail_auth_config c;
        lmail_auth_config_init(&c);
        c.accounts = r->accounts;
        choose_mechanisms(s, i, &c);
        c.service = lmail_str_from(names[i]);
        c.hostname = lmail_str_from(r->hostname);
        c.realm = first_domain(r, i);
        c.failure_delay =
            s->auth.failure_delay ? (uint32_t)s->auth.failure_delay : LMAIL_AUTH_NO_DELAY;
        c.on_token = r->service->on_token;
        c.user = r->service->user;
        c.salt_key = (lmail_str){(const char *)salt, sizeof salt};
        st = lmail_auth_new(&r->auth[i], &c);
        if (st)
            snprintf(error, cap, "authentication: %s", lmail_status_text(st));
    }
    explicit_bzero(salt, sizeof salt);
    return st;
}

/* ---- Making and ending ----------------------------------------------------------------------- */

lmail_status lmi_rules_new(lmi_rules **out, lmail_service *service, lmail_config *config,
                           char *error, size_t cap)
{
    lmi_rules *r = calloc(1, sizeof *r);
    if (!r)
        return LMAIL_ERR_NOMEM;
    atomic_init(&r->refs, 1);
    r->service = service;
    r->settings = lmail_config_settings(config);
    r->policy = lmail_config_policy(config);
    r->rewriting = lmail_config_tables(config);
    r->tables = routes(r->settings) ? r->rewriting : NULL;
    name_host(r);
    lmail_status st = lmi_sockets_list(r, error, cap);
    if (!st)
        st = look_at_tls(r, config, error, cap);
    if (!st)
        st = make_tls(r, error, cap);
    if (!st)
        st = make_accounts(r, error, cap);
    if (!st)
        st = make_auth(r, error, cap);
    if (!st)
        st = lmi_secure_new(&r->secure, r->settings, error, cap);
    if (!st)
        st = lmi_submit_rules(r, error, cap);
    if (!st)
        st = lmi_milters_new(r, error, cap);
    if (st) {
        lmi_rules_release(r);
        return st;
    }
    r->config = config;
    *out = r;
    return LMAIL_OK;
}

lmi_rules *lmi_rules_hold(lmi_rules *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void lmi_rules_release(lmi_rules *r)
{
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (int i = 0; i < LMI_AUTH_COUNT; i++) {
        lmail_auth_free(r->auth[i]);
        lmail_tls_release(r->tls[i]);
    }
    lmail_tls_release(r->tls_unasked);
    lmi_secure_free(r->secure);
    if (r->owns_accounts)
        lmail_accounts_free(r->accounts);
    lmi_file_free(r->trusted_users);
    lmi_milters_free(r);
    free(r->sockets);
    lmail_config_free(r->config);
    free(r);
}
