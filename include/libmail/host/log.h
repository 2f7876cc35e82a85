/* libmail/host/log.h - log lines: one event a line, in logfmt.
 *
 *     time=2026-01-31T12:00:00.123Z level=info event=accepted queue=6C0A from=a@example.net size=81
 *
 * A value with blanks, quotes or control characters is quoted and escaped, so that nothing a peer
 * sends can forge a line. A line is written at once, whole, and at most LMAIL_LOG_MAX octets
 * long. */
#ifndef LIBMAIL_HOST_LOG_H
#define LIBMAIL_HOST_LOG_H

#include <libmail/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_log lmail_log;

/* The numbers are those of syslog(3). */
typedef enum lmail_log_level {
    LMAIL_LOG_ERR = 3,
    LMAIL_LOG_WARN = 4,
    LMAIL_LOG_INFO = 6,
    LMAIL_LOG_DEBUG = 7
} lmail_log_level;

#define LMAIL_LOG_MAX 2048

typedef struct lmail_log_config {
    size_t size;
    const char *program;   /* name in syslog; borrowed while the log is open */
    unsigned syslog;       /* 1: syslog(3), facility mail; 0: standard error */
    lmail_log_level level; /* less important lines are dropped; 0: INFO */
    /* Not NULL: lines go here instead, without time and level. Any thread. */
    void (*write)(void *ctx, lmail_log_level level, lmail_str line);
    void *ctx;
} lmail_log_config;

#define LMAIL_LOG_CONFIG_INIT                                                                      \
    {                                                                                              \
        sizeof(lmail_log_config), NULL, 0, LMAIL_LOG_INFO, NULL, NULL                              \
    }
LMAIL_API void lmail_log_config_init(lmail_log_config *config);

/* Open a log. Returns: OK, ERR_SIZE, ERR_NOMEM. */
LMAIL_API lmail_status lmail_log_open(lmail_log **out, const lmail_log_config *config);
/* No line may be under way. NULL is allowed. */
LMAIL_API void lmail_log_close(lmail_log *log);

/* One line being put together; lives on the stack. A field that does not fit is left out and the
 * line ends in cut=yes. */
typedef struct lmail_log_line {
    lmail_log *log;
    lmail_log_level level;
    size_t len;
    unsigned cut;
    char text[LMAIL_LOG_MAX];
} lmail_log_line;

/* begin, any number of fields, end. With a NULL log they do nothing. Any thread.
 * Keys and events are literals of the caller: [a-z_]+. */
LMAIL_API void lmail_log_begin(lmail_log_line *line, lmail_log *log, lmail_log_level level,
                               const char *event);
LMAIL_API void lmail_log_text(lmail_log_line *line, const char *key, lmail_str value);
LMAIL_API void lmail_log_number(lmail_log_line *line, const char *key, uint64_t value);
LMAIL_API void lmail_log_end(lmail_log_line *line);

#ifdef __cplusplus
}
#endif

#endif
