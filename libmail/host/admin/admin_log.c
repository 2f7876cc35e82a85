/* admin_log.c - the log sink: logfmt lines to standard error, syslog or a function of the host.
 *
 * Under journald (JOURNAL_STREAM) the time is left out and the level becomes its "<6>" prefix. A
 * line is one write(2), so that lines of several threads and processes do not mix (PIPE_BUF is
 * larger). */
#include <libmail/host/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

struct lmail_log {
    lmail_log_config config;
    int journal;
};

#define TAIL 16 /* room kept for " cut=yes\n" */

void lmail_log_config_init(lmail_log_config *config)
{
    *config = (lmail_log_config)LMAIL_LOG_CONFIG_INIT;
}

lmail_status lmail_log_open(lmail_log **out, const lmail_log_config *config)
{
    if (config->size > sizeof *config)
        return LMAIL_ERR_SIZE;
    lmail_log *log = calloc(1, sizeof *log);
    if (!log)
        return LMAIL_ERR_NOMEM;
    log->config = *config;
    if (!log->config.level)
        log->config.level = LMAIL_LOG_INFO;
    log->journal = getenv("JOURNAL_STREAM") != NULL;
    if (config->syslog && !config->write)
        openlog(config->program, LOG_PID | LOG_NDELAY, LOG_MAIL);
    *out = log;
    return LMAIL_OK;
}

void lmail_log_close(lmail_log *log)
{
    if (!log)
        return;
    if (log->config.syslog && !log->config.write)
        closelog();
    free(log);
}

/* ---- Putting a line together ----------------------------------------------------------------- */

static int append(lmail_log_line *l, const char *ptr, size_t len)
{
    if (len > sizeof l->text - TAIL - l->len) {
        l->cut = 1;
        return 0;
    }
    memcpy(l->text + l->len, ptr, len);
    l->len += len;
    return 1;
}

static const char *level_name(lmail_log_level level)
{
    switch (level) {
    case LMAIL_LOG_ERR:
        return "error";
    case LMAIL_LOG_WARN:
        return "warn";
    case LMAIL_LOG_DEBUG:
        return "debug";
    default:
        return "info";
    }
}

static void put_stamp(lmail_log_line *l)
{
    struct timespec now;
    struct tm tm;
    char stamp[96];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(stamp, sizeof stamp, "time=%Y-%m-%dT%H:%M:%S", &tm);
    int m = snprintf(stamp + n, sizeof stamp - n, ".%03ldZ level=%s ", now.tv_nsec / 1000000,
                     level_name(l->level));
    append(l, stamp, n + (size_t)m);
}

void lmail_log_begin(lmail_log_line *l, lmail_log *log, lmail_log_level level, const char *event)
{
    l->log = log && level <= log->config.level ? log : NULL;
    if (!l->log)
        return;
    l->level = level;
    l->len = 0;
    l->cut = 0;
    if (!log->config.write && !log->config.syslog) {
        if (log->journal) {
            char prefix[4] = {'<', (char)('0' + (int)level), '>', '\0'};
            append(l, prefix, 3);
        } else {
            put_stamp(l);
        }
    }
    append(l, "event=", 6);
    append(l, event, strlen(event));
}

static int is_plain(lmail_str v)
{
    for (size_t i = 0; i < v.len; i++) {
        unsigned char c = (unsigned char)v.ptr[i];
        if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c >= 0x7f)
            return 0;
    }
    return v.len != 0;
}

/* "\n", "\x1b", UTF-8 as it is. Returns the length, at most 4. */
static size_t escape(unsigned char c, char out[4])
{
    static const char hex[] = "0123456789abcdef";
    if (c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t') {
        out[0] = '\\';
        out[1] = (char)(c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : c);
        return 2;
    }
    if (c < ' ' || c == 0x7f) {
        memcpy(out, "\\x", 2);
        out[2] = hex[c >> 4];
        out[3] = hex[c & 15];
        return 4;
    }
    out[0] = (char)c;
    return 1;
}

void lmail_log_text(lmail_log_line *l, const char *key, lmail_str value)
{
    if (!l->log)
        return;
    size_t before = l->len;
    int ok = append(l, " ", 1) && append(l, key, strlen(key)) && append(l, "=", 1);
    if (ok && is_plain(value)) {
        ok = append(l, value.ptr, value.len);
    } else if (ok) {
        ok = append(l, "\"", 1);
        for (size_t i = 0; ok && i < value.len; i++) {
            char out[4];
            ok = append(l, out, escape((unsigned char)value.ptr[i], out));
        }
        ok = ok && append(l, "\"", 1);
    }
    if (!ok)
        l->len = before;
}

void lmail_log_number(lmail_log_line *l, const char *key, uint64_t value)
{
    if (!l->log)
        return;
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    lmail_log_text(l, key, (lmail_str){digits, (size_t)n});
}

void lmail_log_end(lmail_log_line *l)
{
    if (!l->log)
        return;
    const lmail_log_config *c = &l->log->config;
    if (l->cut) {
        memcpy(l->text + l->len, " cut=yes", 8);
        l->len += 8;
    }
    if (c->write) {
        c->write(c->ctx, l->level, (lmail_str){l->text, l->len});
    } else if (c->syslog) {
        syslog((int)l->level, "%.*s", (int)l->len, l->text);
    } else {
        l->text[l->len++] = '\n';
        ssize_t ignored = write(STDERR_FILENO, l->text, l->len);
        (void)ignored; /* there is nowhere left to complain */
    }
}
