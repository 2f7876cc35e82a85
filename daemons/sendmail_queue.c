/* sendmail_queue.c - mailq, -q, -bv, newaliases: what smtpd is asked for, through the socket in the drop
 * directory. Where smtpd does not run, who may open the queue itself sees it all the same.
 *
 * The questions and answers are told of where smtpd answers them, in libmail/host/service. */
#include "sendmail.h"

#include "common/diagnostic.h"
#include "common/run_files.h"

#include <errno.h>
#include <libmail/host/queue.h>
#include <libmail/host/service.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* ---- Asking ---------------------------------------------------------------------------------- */

/* The answer as a stream; NULL: nobody answers, errno says why. */
static FILE *ask(const sendmail_call *c, const char *verb, const char *kind, const char *text)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const struct timeval patience = {30, 0};
    char line[1024];
    int n = snprintf(at.sun_path, sizeof at.sun_path, "%s/control", c->directory);
    int len = snprintf(line, sizeof line, "%s%s%s%s%s\n", verb, kind ? " " : "", kind ? kind : "",
                       text ? " " : "", text ? text : "");
    errno = ENAMETOOLONG;
    if (!c->directory[0] || n < 0 || (size_t)n >= sizeof at.sun_path || len < 0 ||
        (size_t)len >= sizeof line || strcspn(line, "\n") != (size_t)len - 1)
        return NULL;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    sendmail_rights_take();
    int failed = connect(fd, (const struct sockaddr *)&at, sizeof at) < 0;
    int why = errno;
    sendmail_rights_leave();
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    failed = failed || send(fd, line, (size_t)len, MSG_NOSIGNAL) != len;
    FILE *f = failed ? NULL : fdopen(fd, "r");
    if (!f)
        close(fd);
    errno = why;
    return f;
}

static int nobody_answers(void)
{
    if (errno == EACCES || errno == EPERM) {
        sendmail_say("smtpd cannot be asked: not permitted");
        return EX_NOPERM;
    }
    sendmail_say("smtpd does not run");
    return EX_UNAVAILABLE;
}

/* The first line. "ok": EX_OK, and *rest is what follows that word. */
static int read_first(FILE *f, char *line, size_t cap, const char **rest)
{
    *rest = "";
    if (!fgets(line, (int)cap, f)) {
        sendmail_say("smtpd did not answer");
        return EX_TEMPFAIL;
    }
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "ok", 2) == 0) {
        *rest = line[2] == ' ' ? line + 3 : line + 2;
        return EX_OK;
    }
    if (strcmp(line, "denied") == 0) {
        sendmail_say("smtp.privacy keeps this to root and the queue's owner");
        return EX_NOPERM;
    }
    if (strncmp(line, "no ", 3) == 0) {
        sendmail_say("%s", line + 3);
        return EX_NOUSER;
    }
    sendmail_say("smtpd: %s", line);
    return strcmp(line, "bad") == 0 ? EX_USAGE : EX_TEMPFAIL;
}

/* ---- mailq ----------------------------------------------------------------------------------- */

static void print_title(const char *where, unsigned long long count)
{
    printf("\t\t%s (%llu request%s)\n", where, count, count == 1 ? "" : "s");
    printf("-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------\n");
}

static void print_message(const char *id, unsigned long long octets, time_t arrived, unsigned held,
                          const char *sender, const char *reason)
{
    char when[32] = "";
    struct tm tm;
    if (localtime_r(&arrived, &tm))
        strftime(when, sizeof when, "%a %b %e %H:%M", &tm);
    printf("%-14s%c%8llu %-16s <%s>\n", id, held ? '!' : ' ', octets, when, sender);
    if (held)
        printf("                 (%s%s%.200s)\n",
               held == LMAIL_QUEUE_QUARANTINED ? "quarantined" : "held", *reason ? ": " : "",
               reason);
}

static void print_recipient(const char *address, const char *reply)
{
    if (*reply)
        printf("                 (Deferred: %.200s)\n", reply);
    printf("\t\t\t\t\t <%s>\n", address);
}

/* Cut a line at its tabs. Returns how many fields there are. */
static size_t cut(char *line, char *fields[], size_t most)
{
    size_t n = 0;
    line[strcspn(line, "\n")] = '\0';
    while (n < most) {
        fields[n++] = line;
        line = strchr(line, '\t');
        if (!line)
            break;
        *line++ = '\0';
    }
    return n;
}

static int list_asked(FILE *f, const char *where, int count_only)
{
    char *line = NULL, first[256], *fields[8];
    const char *rest;
    size_t room = 0;
    int code = read_first(f, first, sizeof first, &rest);
    unsigned long long count = code ? 0 : strtoull(rest, NULL, 10);
    if (code)
        return code;
    if (count_only) {
        printf("%llu\n", count);
        return EX_OK;
    }
    if (!count)
        printf("%s is empty\n", where);
    else
        print_title(where, count);
    while (getline(&line, &room, f) > 0) {
        size_t n = cut(line, fields, 8);
        if (n >= 7 && strcmp(fields[0], "M") == 0)
            print_message(fields[1], strtoull(fields[2], NULL, 10),
                          (time_t)strtoll(fields[3], NULL, 10),
                          (unsigned)strtoul(fields[4], NULL, 10), fields[5], fields[6]);
        else if (n >= 3 && strcmp(fields[0], "R") == 0)
            print_recipient(fields[1], fields[2]);
    }
    free(line);
    printf("\t\tTotal requests: %llu\n", count);
    return EX_OK;
}

/* Terminated, control octets gone. */
static const char *text_of(lmail_str s, char out[1024])
{
    size_t n = s.len < 1023 ? s.len : 1023;
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 127 ? '?' : s.ptr[i];
    out[n] = '\0';
    return out;
}

static int print_own(void *user, const lmail_queue_message *m)
{
    char id[LMAIL_QUEUE_ID_TEXT], a[1024], b[1024];
    (void)user;
    lmail_queue_id_write(m->id, id);
    print_message(id, m->octets, (time_t)(m->arrived / 1000), m->held, text_of(m->sender, a),
                  text_of(m->reason, b));
    for (size_t i = 0; i < m->recipient_count; i++)
        if (m->recipients[i].state == LMAIL_QUEUE_WAITING)
            print_recipient(
                text_of(m->recipients[i].address, a),
                text_of(m->recipients[i].attempts ? m->recipients[i].reply : (lmail_str){NULL, 0},
                        b));
    return 0;
}

/* smtpd does not run. */
static int list_own(const sendmail_call *c, const char *where, int count_only)
{
    lmail_queue_config qc = LMAIL_QUEUE_CONFIG_INIT;
    lmail_queue_counts counts;
    lmail_queue *q;
    uint64_t next = 0;
    struct stat st;
    char error[600];
    if (geteuid() != 0 && stat(where, &st) == 0 && st.st_uid != geteuid() &&
        c->settings->smtp.privacy & LMAIL_PRIVACY_RESTRICT_MAILQ) {
        sendmail_say("smtp.privacy keeps this to root and the queue's owner");
        return EX_NOPERM;
    }
    qc.directory = where;
    lmail_status s = lmail_queue_open(&q, &qc, error, sizeof error);
    if (s == LMAIL_ERR_NOTFOUND) {
        printf(count_only ? "0\n" : "%s is empty\n\t\tTotal requests: 0\n", where);
        return EX_OK;
    }
    if (s) {
        sendmail_say("smtpd does not run, and the queue cannot be read: %s", lmail_status_text(s));
        return s == LMAIL_ERR_DENIED || s == LMAIL_ERR_IO ? EX_NOPERM : EX_UNAVAILABLE;
    }
    s = lmail_queue_count(q, &counts);
    unsigned long long count = s ? 0 : counts.messages;
    if (!s && count_only)
        printf("%llu\n", count);
    else if (!s && !count)
        printf("%s is empty\n", where);
    else if (!s)
        print_title(where, count);
    while (!s && !count_only && count &&
           (s = lmail_queue_list(q, NULL, next, 0, print_own, NULL, &next)) == LMAIL_OK && next)
        ;
    if (!s && !count_only)
        printf("\t\tTotal requests: %llu\n", count);
    lmail_queue_free(q);
    return s ? EX_TEMPFAIL : EX_OK;
}

static int mailq(const sendmail_call *c, int count_only)
{
    char where[512];
    if (lmail_service_queue_directory(c->settings, where, sizeof where))
        return EX_CONFIG;
    FILE *f = ask(c, "list", NULL, NULL);
    int code = f ? list_asked(f, where, count_only) : list_own(c, where, count_only);
    if (f)
        fclose(f);
    return fflush(stdout) || ferror(stdout) ? EX_IOERR : code;
}

/* ---- -q -------------------------------------------------------------------------------------- */

static int run_queue(const sendmail_call *c)
{
    const sendmail_options *o = &c->options;
    const char *kind = o->queue_sender      ? "sender"
                       : o->queue_recipient ? "recipient"
                       : o->queue_id        ? "id"
                                            : "all";
    const char *text = o->queue_sender      ? o->queue_sender
                       : o->queue_recipient ? o->queue_recipient
                       : o->queue_id        ? o->queue_id
                                            : "";
    char line[256];
    const char *rest;
    FILE *f = ask(c, "run", kind, text);
    if (!f)
        return nobody_answers();
    int code = read_first(f, line, sizeof line, &rest);
    if (!code && o->verbose)
        printf("%s recipients are due now\n", rest);
    fclose(f);
    return code;
}

/* ---- -bv ------------------------------------------------------------------------------------- */

/* "kind\tfirst[\tsecond]" for people. Returns EX_OK, EX_NOUSER, EX_TEMPFAIL. */
static int print_place(const char *address, char *line)
{
    char *fields[3] = {"", "", ""};
    size_t n = cut(line, fields, 3);
    if (strcmp(fields[0], "mailbox") == 0) {
        printf("%s... deliverable: mailbox %s\n", address, fields[1]);
        return EX_OK;
    }
    if (strcmp(fields[0], "host") == 0) {
        printf("%s... deliverable: to %s%s%s\n", address, fields[1],
               n > 2 && *fields[2] ? " by " : "", n > 2 ? fields[2] : "");
        return EX_OK;
    }
    printf("%s... %s: %s\n", address,
           strcmp(fields[0], "failed") == 0 ? "accounts cannot be read" : "User unknown",
           fields[1]);
    return strcmp(fields[0], "failed") == 0 ? EX_TEMPFAIL : EX_NOUSER;
}

static int verify_one(const sendmail_call *c, const char *address)
{
    char first[1024], *line = NULL;
    const char *rest;
    size_t room = 0;
    FILE *f = ask(c, "expand", address, NULL);
    if (!f)
        return nobody_answers();
    int code = read_first(f, first, sizeof first, &rest), worst = EX_OK, good = 0;
    while (!code && getline(&line, &room, f) > 0) {
        int one = print_place(address, line);
        good |= one == EX_OK;
        worst = one ? one : worst;
    }
    free(line);
    fclose(f);
    return code ? code : good ? EX_OK : worst;
}

static int verify(const sendmail_call *c)
{
    int worst = EX_OK;
    char bad[512];
    sendmail_list l = {NULL, 0, 0};
    for (int i = 0; i < c->options.argument_count; i++)
        if (sendmail_list_add(&l, lmail_str_from(c->options.arguments[i]), bad, sizeof bad)) {
            sendmail_say("\"%s\" is no address", bad);
            worst = EX_USAGE;
        }
    if (!l.count && !worst) {
        sendmail_say("no addresses");
        worst = EX_USAGE;
    }
    for (size_t i = 0; i < l.count; i++) {
        int code = verify_one(c, l.items[i].ptr);
        worst = code ? code : worst;
    }
    sendmail_list_free(&l);
    return worst;
}

/* ---- newaliases ------------------------------------------------------------------------------ */

/* smtpd reads its files again, if it runs. */
static int tell_smtpd(const lmail_settings *s)
{
    char path[4096];
    run_state state;
    pid_t pid = 0;
    int found =
        run_state_path(s, "smtpd", path, sizeof path) == 0 && run_state_read(path, &state) == 0;
    if (found && state.pid_file[0])
        snprintf(path, sizeof path, "%s", state.pid_file);
    else if (run_pid_path(s, "smtpd", path, sizeof path) < 0)
        return EX_OK;
    if (run_pid_ask(path, &pid) != RUN_YES || pid <= 0)
        return EX_OK; /* it reads them when it starts */
    if (kill(pid, SIGHUP) == 0)
        return EX_OK;
    sendmail_say("smtpd was not told to read its files again: %s", strerror(errno));
    return EX_NOPERM;
}

typedef struct checking {
    const lmail_str_list *files;
    strictness how;
    int faults;
} checking;

/* What concerns aliases, and all errors. */
static void complain(void *ctx, const lmail_diagnostic *d)
{
    checking *k = ctx;
    int ours = 0;
    for (size_t i = 0; i < k->files->count; i++)
        ours |= lmail_str_equal(k->files->items[i], d->file);
    if (d->severity == LMAIL_ERROR || (ours && d->severity == LMAIL_WARNING)) {
        print_diagnostic(&k->how, d);
        k->faults++;
    }
}

static int newaliases(const sendmail_call *c)
{
    lmail_config *config;
    checking k = {&c->settings->routing.aliases, {0, 0, 0, NULL, 0, 0}, 0};
    /* Once more, and this time a file that cannot be read is a fault. */
    if (lmail_config_load_file(&config, c->path, complain, &k))
        return EX_CONFIG;
    lmail_config_free(config);
    for (size_t i = 0; i < k.files->count; i++)
        printf("%.*s: read as text, there is nothing to build\n", (int)k.files->items[i].len,
               k.files->items[i].ptr);
    int code = tell_smtpd(c->settings);
    return code ? code : k.faults ? EX_DATAERR : EX_OK;
}

int sendmail_queue(sendmail_call *c)
{
    switch (c->options.mode) {
    case SENDMAIL_QUEUE:
        return mailq(c, 0);
    case SENDMAIL_COUNT:
        return mailq(c, 1);
    case SENDMAIL_RUN:
        return run_queue(c);
    case SENDMAIL_VERIFY:
        return verify(c);
    default:
        return newaliases(c);
    }
}
