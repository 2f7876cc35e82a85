/* service_tls_check.c - are the certificates, keys and authorities of a configuration fit for use?
 *
 * Called by a check of the configuration and before every start and reload: complaints name the
 * setting's place and the file. The pairs are those of the settings' names: what ends in "certificate"
 * has its key beside it under "key"; every other file holds authorities. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <libmail/host/service.h>
#include <libmail/host/tls.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define SOON (14 * 86400) /* a warning while there is time to act */

typedef struct check {
    const lmail_config *config;
    const lmail_files *files;
    lmail_diagnostic_fn *diagnostic;
    void *ctx;
    unsigned errors;
} check;

__attribute__((format(printf, 4, 5))) static void
say(check *c, lmail_severity severity, const lmail_config_file *of, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->errors += severity == LMAIL_ERROR;
    if (c->diagnostic) {
        const lmail_diagnostic d = {severity, of->file, of->line, lmail_str_from(text)};
        c->diagnostic(c->ctx, &d);
    }
}

/* 1: *octets are to be closed. */
static int open_file(check *c, const lmail_config_file *of, lmail_str *octets)
{
    lmail_status st = c->files->open(c->files->ctx, of->path, octets);
    if (st)
        say(c, LMAIL_ERROR, of, "%.*s: cannot read %.*s: %s", TEXT(of->setting), TEXT(of->path),
            lmail_status_text(st));
    return !st;
}

static int ends_in(lmail_str name, const char *word)
{
    size_t n = strlen(word);
    return name.len >= n && memcmp(name.ptr + name.len - n, word, n) == 0;
}

/* The other half of a pair: the setting with `to` in place of `from`, which ends in it. */
static int other_half(const check *c, lmail_str name, const char *from, const char *to,
                      lmail_config_file *out)
{
    size_t stem = name.len - strlen(from);
    for (size_t i = 0; lmail_config_file_at(c->config, i, out) == LMAIL_OK; i++)
        if (out->setting.len == stem + strlen(to) &&
            memcmp(out->setting.ptr, name.ptr, stem) == 0 && ends_in(out->setting, to))
            return 1;
    return 0;
}

static void say_times(check *c, const lmail_config_file *of, const lmail_tls_finding *f)
{
    int64_t now = (int64_t)time(NULL);
    char when[32];
    time_t at = (time_t)(f->not_before > now ? f->not_before : f->chain_after);
    struct tm tm;
    if (!gmtime_r(&at, &tm) || !strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &tm))
        return;
    if (f->not_before > now)
        say(c, LMAIL_WARNING, of, "%.*s: %.*s is not valid before %s", TEXT(of->setting),
            TEXT(of->path), when);
    else if (f->chain_after <= now)
        say(c, LMAIL_WARNING, of, "%.*s: %.*s %s expired on %s", TEXT(of->setting), TEXT(of->path),
            f->not_after <= now ? "has" : "holds a certificate that has", when);
    else if (f->chain_after < now + SOON)
        say(c, LMAIL_WARNING, of, "%.*s: %.*s expires on %s", TEXT(of->setting), TEXT(of->path),
            when);
}

/* Group and others: sendmail refuses such a key, so its key is held to that; another's is warned of. */
static void say_mode(check *c, const lmail_config_file *key)
{
    unsigned mode = c->files->mode ? c->files->mode(c->files->ctx, key->path) : 0;
    int classic = key->setting.len > 4 && memcmp(key->setting.ptr, "smtp", 4) == 0;
    if (mode & (classic ? S_IRWXG | S_IRWXO : S_IRWXO))
        say(c, classic ? LMAIL_ERROR : LMAIL_WARNING, key, "%.*s: others can read %.*s; chmod 0600",
            TEXT(key->setting), TEXT(key->path));
}

static void say_finding(check *c, lmail_status st, const lmail_tls_finding *f,
                        const lmail_config_file *chain, const lmail_config_file *key,
                        const char *why)
{
    if (!st)
        say_times(c, chain, f);
    else if (st == LMAIL_ERR_NOMEM)
        say(c, LMAIL_ERROR, chain, "out of memory");
    else if (strcmp(f->at_fault, "pair") == 0)
        say(c, LMAIL_ERROR, key, "%.*s: %.*s is not the key of the certificate in %.*s",
            TEXT(key->setting), TEXT(key->path), TEXT(chain->path));
    else if (strcmp(f->at_fault, "key") == 0)
        say(c, LMAIL_ERROR, key, "%.*s: %.*s holds no private key: %s", TEXT(key->setting),
            TEXT(key->path), why);
    else
        say(c, LMAIL_ERROR, chain, "%.*s: %.*s holds no certificate: %s", TEXT(chain->setting),
            TEXT(chain->path), why);
}

/* key: NULL for authorities. */
static void look(check *c, const lmail_config_file *chain, const lmail_config_file *key)
{
    lmail_tls_cert cert = {{NULL, 0}, {NULL, 0}};
    lmail_tls_finding found;
    char why[256] = "";
    int has_chain = open_file(c, chain, &cert.chain);
    int has_key = key && open_file(c, key, &cert.key);
    if (has_key && !cert.key.len)
        say(c, LMAIL_ERROR, key, "%.*s: %.*s is empty", TEXT(key->setting), TEXT(key->path));
    else if (has_chain) {
        lmail_status st = lmail_tls_examine(&cert, &found, why, sizeof why);
        say_finding(c, st, &found, chain, key, why);
    }
    if (has_key) {
        say_mode(c, key);
        c->files->close(c->files->ctx, cert.key);
    }
    if (has_chain)
        c->files->close(c->files->ctx, cert.chain);
}

static void check_one(check *c, const lmail_config_file *of)
{
    lmail_config_file other;
    if (of->directory)
        return; /* what is none of a certificate does no harm there */
    if (ends_in(of->setting, "certificate"))
        look(c, of, other_half(c, of->setting, "certificate", "key", &other) ? &other : NULL);
    else if (!ends_in(of->setting, "key")) /* with its certificate; one alone loading refuses */
        look(c, of, NULL);
}

lmail_status lmail_config_check_tls(const lmail_config *config, const lmail_files *files,
                                    lmail_diagnostic_fn *diagnostic, void *ctx)
{
    lmail_files disk;
    check c = {config, files ? files : &disk, diagnostic, ctx, 0};
    lmail_config_file of;
    lmail_files_disk(&disk);
    for (size_t i = 0; lmail_config_file_at(config, i, &of) == LMAIL_OK; i++)
        check_one(&c, &of);
    return c.errors ? LMAIL_ERR_SYNTAX : LMAIL_OK;
}
