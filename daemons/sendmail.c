/* sendmail: hands mail of this machine's programs to smtpd; mailq, newaliases. See sendmail(8).
 *
 * It runs as the user who sends, set to the group of the drop directory. What it is told by libmail.conf
 * it reads with the user's own rights: what he may not read counts as empty, and nothing of a
 * file is ever shown. */
#include "sendmail.h"

#include <errno.h>
#include <libmail/host/service.h>
#include <netdb.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void sendmail_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("sendmail: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* ---- The configuration ----------------------------------------------------------------------- */

/* The disk's files, but one that the user may not read is as good as empty: who may send what to whom
 * is smtpd's to know. */
static lmail_status open_file(void *ctx, lmail_str name, lmail_str *octets)
{
    const lmail_files *disk = ctx;
    lmail_status st = disk->open(disk->ctx, name, octets);
    if (st == LMAIL_ERR_DENIED) {
        *octets = (lmail_str){NULL, 0};
        st = LMAIL_OK;
    }
    return st;
}

static void close_file(void *ctx, lmail_str octets)
{
    const lmail_files *disk = ctx;
    if (octets.ptr)
        disk->close(disk->ctx, octets);
}

static unsigned mode_of(void *ctx, lmail_str name)
{
    const lmail_files *disk = ctx;
    return disk->mode ? disk->mode(disk->ctx, name) : 0;
}

static lmail_status list_files(void *ctx, lmail_str pattern, int (*found)(void *to, lmail_str name),
                               void *to)
{
    const lmail_files *disk = ctx;
    return disk->list ? disk->list(disk->ctx, pattern, found, to) : LMAIL_OK;
}

static int load(sendmail_call *c)
{
    lmail_files disk;
    lmail_files_disk(&disk);
    lmail_files files = {sizeof files, &disk, open_file, close_file, mode_of, list_files};
    const char *path = c->options.config;
    if (!path && access(SENDMAIL_CONFIG, R_OK) == 0)
        path = SENDMAIL_CONFIG;
    c->path = path;
    if (c->options.config && access(path, R_OK) < 0) {
        sendmail_say("%s: %s", path, strerror(errno));
        return errno == EACCES ? EX_NOPERM : EX_CONFIG;
    }
    lmail_status st = lmail_config_load_from(&c->config, path, &files, NULL, NULL);
    if (st) {
        sendmail_say("%s has faults; `mailctl config check` names them", path ? path : "");
        return EX_CONFIG;
    }
    c->settings = lmail_config_settings(c->config);
    st = lmail_service_drop_directory(c->settings, c->directory, sizeof c->directory);
    if (st)
        c->directory[0] = '\0';
    return EX_OK;
}

/* ---- Who and where --------------------------------------------------------------------------- */

static void find_host(sendmail_call *c)
{
    const struct addrinfo hints = {.ai_flags = AI_CANONNAME};
    struct addrinfo *found;
    lmail_str name = c->settings->hostname;
    if (name.len && name.len < sizeof c->host) {
        snprintf(c->host, sizeof c->host, "%.*s", (int)name.len, name.ptr);
        return;
    }
    if (gethostname(c->host, sizeof c->host - 1) || !c->host[0])
        snprintf(c->host, sizeof c->host, "localhost");
    if (strchr(c->host, '.') || getaddrinfo(c->host, NULL, &hints, &found))
        return;
    if (found->ai_canonname && strchr(found->ai_canonname, '.'))
        snprintf(c->host, sizeof c->host, "%s", found->ai_canonname);
    freeaddrinfo(found);
}

/* passwd(5): the first part of gecos; '&' stands for the name. */
static void find_name(sendmail_call *c, const char *gecos)
{
    size_t n = 0;
    for (; *gecos && *gecos != ',' && n + 1 < sizeof c->full_name; gecos++) {
        if (*gecos != '&') {
            if ((unsigned char)*gecos >= ' ')
                c->full_name[n++] = *gecos;
            continue;
        }
        for (const char *u = c->user; *u && n + 1 < sizeof c->full_name; u++)
            c->full_name[n++] = u == c->user && *u >= 'a' && *u <= 'z' ? (char)(*u - 32) : *u;
    }
    c->full_name[n] = '\0';
}

static int find_sender(sendmail_call *c)
{
    const struct passwd *entry = getpwuid(getuid());
    const char *given = c->options.sender;
    if (entry)
        snprintf(c->user, sizeof c->user, "%s", entry->pw_name);
    else
        snprintf(c->user, sizeof c->user, "%u", (unsigned)getuid());
    if (entry && entry->pw_gecos)
        find_name(c, entry->pw_gecos);
    find_host(c);
    c->sender_given = given != NULL && strcmp(given, c->user) != 0;
    if (sendmail_address(given ? given : c->user, c->host, c->sender, sizeof c->sender) == 0)
        return EX_OK;
    sendmail_say("%s: no address", given ? given : c->user);
    return EX_USAGE;
}

/* ---- Modes ----------------------------------------------------------------------------------- */

static int run(sendmail_call *c)
{
    switch (c->options.mode) {
    case SENDMAIL_DAEMON:
        sendmail_say(
            "smtpd is the daemon: start it with `service sendmail start`, or smtpd itself");
        return EX_UNAVAILABLE;
    case SENDMAIL_TEST:
        sendmail_say("there are no rewriting rules to test; `mailctl policy` explains decisions");
        return EX_UNAVAILABLE;
    case SENDMAIL_HOSTS:
        sendmail_say("the state of hosts is not kept on disk");
        return EX_UNAVAILABLE;
    case SENDMAIL_MAIL:
    case SENDMAIL_SMTP:
        break;
    default:
        return sendmail_queue(c);
    }
    if (!c->directory[0]) {
        sendmail_say("queue.drop_directory is -: mail of programs here is not taken");
        return EX_UNAVAILABLE;
    }
    int code = find_sender(c);
    if (code)
        return code;
    return c->options.mode == SENDMAIL_SMTP ? sendmail_smtp(c) : sendmail_message(c);
}

int main(int argc, char **argv)
{
    sendmail_call *c = calloc(1, sizeof *c);
    int code = c ? sendmail_rights_begin() : EX_OSERR;
    if (!code && argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("sendmail %s\n", lmail_version());
        free(c);
        return EX_OK;
    }
    if (!code)
        code = sendmail_options_read(&c->options, argc, argv);
    if (!code && c->options.config)
        sendmail_rights_drop();
    if (!code)
        code = load(c);
    if (!code)
        code = run(c);
    if (c)
        lmail_config_free(c->config);
    free(c);
    return code;
}
