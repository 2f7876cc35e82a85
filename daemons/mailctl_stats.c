/* mailctl stats [smtpd|imapd|pop3d] [--json]: what the daemons count, from their sockets in
 * run_directory. See docs/metrics.md for what there is.
 *
 * The page is our own daemon's, yet read as anything from a socket: with a limit and a timeout, and
 * a line that is no sample is passed over. */
#include "mailctl_stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "mailctl.h"

#define PAGE_MAX (8u << 20)
#define PATIENCE 10 /* seconds */

static const char *const daemons[] = {"smtpd", "imapd", "pop3d"};
#define DAEMONS (sizeof daemons / sizeof *daemons)

/* ---- The page -------------------------------------------------------------------------------- */

/* Returns a socket, or -1 with errno. */
static int connect_to(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct timeval patience = {PATIENCE, 0};
    if (strlen(path) >= sizeof name.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(name.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&name, sizeof name) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

/* All that comes until the end, terminated; NULL with errno. */
static char *read_all(int fd)
{
    size_t have = 0, cap = 65536;
    char *text = malloc(cap);
    while (text) {
        if (have + 1 == cap) {
            char *more = cap < PAGE_MAX ? realloc(text, cap * 2) : NULL;
            if (!more) {
                errno = EMSGSIZE;
                break;
            }
            text = more;
            cap *= 2;
        }
        ssize_t n = read(fd, text + have, cap - 1 - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        if (n == 0) {
            text[have] = '\0';
            return text;
        }
        have += (size_t)n;
    }
    int why = errno;
    free(text);
    errno = why;
    return NULL;
}

lmail_str stats_label(const stats_sample *s, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i + len + 2 < s->labels.len; i++) {
        const char *at = s->labels.ptr + i;
        if ((i == 0 || at[-1] == ',') && memcmp(at, name, len) == 0 && at[len] == '=' &&
            at[len + 1] == '"') {
            const char *value = at + len + 2;
            const char *end = memchr(value, '"', s->labels.len - i - len - 2);
            return (lmail_str){value, end ? (size_t)(end - value) : 0};
        }
    }
    return (lmail_str){NULL, 0};
}

static int take_line(stats_sample *s, char *line, size_t len)
{
    char *space = len ? memchr(line, ' ', len) : NULL;
    if (!space || line[0] == '#')
        return 0;
    char *open = memchr(line, '{', (size_t)(space - line));
    char *close = open ? memchr(open, '}', (size_t)(space - open)) : NULL;
    if (open && !close)
        return 0;
    s->name = (lmail_str){line, (size_t)((open ? open : space) - line)};
    s->labels = open ? (lmail_str){open + 1, (size_t)(close - open - 1)} : (lmail_str){NULL, 0};
    s->value = (lmail_str){space + 1, len - (size_t)(space + 1 - line)};
    return 1;
}

/* Samples of the body; returns 0, or an errno. */
static int take_samples(stats_page *p)
{
    char *at = strstr(p->text, "\r\n\r\n");
    if (strncmp(p->text, "HTTP/1.1 200 ", 13) != 0 || !at || !strstr(at, "\n# EOF\n"))
        return EPROTO;
    size_t lines = 1;
    for (const char *c = at; *c; c++)
        lines += *c == '\n';
    p->samples = calloc(lines, sizeof *p->samples);
    if (!p->samples)
        return ENOMEM;
    for (at += 4; *at;) {
        size_t len = strcspn(at, "\n");
        p->count += (size_t)take_line(&p->samples[p->count], at, len);
        at += len + (at[len] == '\n');
    }
    return 0;
}

static void forget(stats_page *p)
{
    free(p->samples);
    free(p->text);
    *p = (stats_page){NULL, NULL, 0};
}

/* Returns 0, or an errno: ENOENT and ECONNREFUSED when the daemon does not run. */
static int fetch(stats_page *p, const char *path)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    int fd = connect_to(path);
    if (fd < 0)
        return errno;
    *p = (stats_page){NULL, NULL, 0};
    int why = send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0 ? errno : 0;
    if (!why) {
        p->text = read_all(fd);
        why = p->text ? take_samples(p) : errno;
    }
    close(fd);
    if (why)
        forget(p);
    return why;
}

/* ---- The command ----------------------------------------------------------------------------- */

typedef struct wish {
    unsigned which; /* bits of daemons */
    int json;
} wish;

static int read_arguments(const mailctl_call *call, wish *w)
{
    for (int i = 1; i < call->argc; i++) {
        size_t k = 0;
        while (k < DAEMONS && strcmp(call->argv[i], daemons[k]) != 0)
            k++;
        if (strcmp(call->argv[i], "--json") == 0)
            w->json = 1;
        else if (k < DAEMONS)
            w->which |= 1u << k;
        else
            return mailctl_bad_usage(call);
    }
    return MAILCTL_DONE;
}

/* One daemon's numbers. Returns 1 when they were shown. */
static int show(const char *run, size_t which, const wish *w, int *first)
{
    char path[4096];
    stats_page page;
    snprintf(path, sizeof path, "%s/%s.metrics", run, daemons[which]);
    int why = fetch(&page, path);
    int runs = why != ENOENT && why != ECONNREFUSED;
    if (w->json)
        printf("%s\"%s\": %s", *first ? "" : ",\n ", daemons[which], why ? "null" : "");
    if (why && (runs || w->which))
        mailctl_say("%s: %s: %s", daemons[which], path, runs ? strerror(why) : "it does not run");
    if (!why && w->json)
        stats_json(&page);
    else if (!why)
        stats_summary(daemons[which], &page);
    *first = 0;
    if (!why)
        forget(&page);
    return !why;
}

static int stats(const mailctl_call *call)
{
    wish w = {0, 0};
    size_t wanted = 0, shown = 0;
    int first = 1, code = read_arguments(call, &w);
    if (code)
        return code;
    lmail_config *config = mailctl_load_config(call);
    if (!config)
        return MAILCTL_REFUSED;
    lmail_str run = lmail_config_settings(config)->run_directory;
    char *path = strndup(run.ptr, run.len);
    lmail_config_free(config);
    if (!path) {
        mailctl_say("no memory");
        return MAILCTL_REFUSED;
    }
    if (w.json)
        printf("{");
    for (size_t i = 0; i < DAEMONS; i++) {
        if (w.which && !(w.which >> i & 1))
            continue;
        wanted++;
        shown += (size_t)show(path, i, &w, &first);
    }
    if (w.json)
        printf("}\n");
    if (!shown && !w.which)
        mailctl_say("no daemon shows metrics in %s", path);
    free(path);
    return shown == 0 || (w.which && shown < wanted) ? MAILCTL_REFUSED : MAILCTL_DONE;
}

const mailctl_command mailctl_stats_commands[] = {
    {"stats", NULL, "[smtpd|imapd|pop3d ...] [--json]", "what the daemons have counted", stats},
    {NULL, NULL, NULL, NULL, NULL},
};
