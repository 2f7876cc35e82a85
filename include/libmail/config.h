/* libmail/config.h - the configuration of a mail system, as one structure.
 *
 * Reads libmail.conf, the native file; every setting has a default, so that an empty file is a
 * working, safe server. Nothing here opens a file: names go through the `open` callback, complaints
 * through `diagnostic`. The result is immutable and may be shared by threads.
 *
 * The file:
 *
 *     # comment, from a '#' at the start of a line or behind a blank
 *     hostname = mx.example.org
 *     domains = example.org, example.net       lists: blanks or commas between
 *     smtp {
 *         max_recipients = 500                 the same as  smtp.max_recipients = 500
 *     }
 *     listener submission {                    a named section; any number of them
 *         port = 587
 *     }
 *     imap.greeting = "Hello # there"          quotes keep everything; \" and \\ inside
 *     include local.conf                       relative to this file
 *
 * Sizes take K, M, G (powers of 1024); durations take ms, s, m, h, d and are seconds without a
 * unit. A setting given twice is an error that names both lines.
 */
#ifndef LIBMAIL_CONFIG_H
#define LIBMAIL_CONFIG_H

#include <libmail/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_str_list {
    const lmail_str *items;
    size_t count;
} lmail_str_list;

/* What a listener speaks. */
typedef enum lmail_listener_protocol {
    LMAIL_LISTENER_SMTP = 0,   /* mail from other servers, port 25 */
    LMAIL_LISTENER_SUBMISSION, /* mail from users, who log in; RFC 6409 */
    LMAIL_LISTENER_LMTP,       /* mail from a server in front of us; RFC 2033 */
    LMAIL_LISTENER_IMAP,
    LMAIL_LISTENER_POP3
} lmail_listener_protocol;

typedef enum lmail_listener_tls {
    LMAIL_LISTENER_STARTTLS = 0, /* offered */
    LMAIL_LISTENER_TLS,          /* from the first octet */
    LMAIL_LISTENER_PLAIN         /* never */
} lmail_listener_tls;

typedef struct lmail_listener_settings {
    lmail_str name;
    unsigned protocol;            /* lmail_listener_protocol */
    lmail_str_list address;       /* empty: every address of the machine */
    uint64_t port;                /* 0: the protocol's own */
    unsigned tls;                 /* lmail_listener_tls */
    unsigned proxy;               /* a PROXY protocol header comes first */
    lmail_str_list proxy_trusted; /* networks that may send it */
} lmail_listener_settings;

/* Where a daemon's log lines go. */
typedef enum lmail_log_target { LMAIL_LOG_STDERR = 0, LMAIL_LOG_SYSLOG } lmail_log_target;

/* Every setting. The names in a file are those of the members, a nested struct being a section.
 * Sizes are octets, durations milliseconds; an `unsigned` that names no enum is 0 or 1. Defaults:
 * lmail_config_key_at, or libmail.conf(5). All of it lives as long as its lmail_config. */
typedef struct lmail_settings {
    lmail_str hostname;       /* empty: the machine's own name */
    lmail_str_list domains;   /* mail for them is local; empty: the host name */
    lmail_str postmaster;     /* account for postmaster where none has that name */
    lmail_str mail_directory; /* accounts' mail and the spool, on one file system */
    lmail_str run_directory;  /* pid files, change notices */
    lmail_str accounts;       /* the account file */
    lmail_str user, group;    /* after binding; empty: stay who we are */
    uint64_t loops;           /* event loops a daemon; 0: one a core */
    uint64_t store_workers, password_workers;
    uint64_t password_queue;  /* waiting password checks of one client address */
    uint64_t max_connections; /* a daemon */
    uint64_t max_connections_per_address;
    unsigned log;            /* lmail_log_target */
    lmail_msec stop_timeout; /* sessions may finish for so long at a stop */

    struct {
        lmail_str certificate, key; /* PEM files; empty: one made by ourselves */
        lmail_str client_ca;        /* verifies client certificates; empty: none are asked for */
        uint64_t min_version;       /* 12 or 13 */
    } tls;

    struct {
        lmail_str_list mechanisms; /* offered, in this order */
        unsigned allow_cleartext;  /* passwords without TLS */
        lmail_str realm;           /* empty: the first domain */
        lmail_msec failure_delay;
    } auth;

    struct {
        uint64_t min_free;          /* space that deliveries leave for the rest */
        uint64_t max_open_accounts; /* a process */
        uint64_t max_mailbox_name;  /* octets */
        uint64_t max_mailboxes;     /* an account */
    } store;

    struct {
        lmail_str greeting;
        uint64_t max_message_size, max_header_size, max_recipients, max_line, max_hops;
        uint64_t max_bad_commands;
        lmail_msec command_timeout, data_timeout;
        lmail_str pid_file;
    } smtp;

    struct {
        lmail_str greeting;
        uint64_t max_line, max_literal, max_message_size, max_bad_commands;
        lmail_msec idle_timeout, login_timeout;
        lmail_str separator; /* between the levels of a mailbox name */
        lmail_str pid_file;
    } imap;

    struct {
        lmail_str greeting;
        uint64_t max_bad_commands;
        lmail_msec idle_timeout;
        lmail_msec login_delay; /* least time between logins, told in CAPA; 0: none */
        unsigned apop;
        lmail_str pid_file;
    } pop3;

    const lmail_listener_settings *listeners;
    size_t listener_count;
} lmail_settings;

/* What reading needs of the world. */
typedef struct lmail_config_io {
    size_t size;
    void *ctx;
    /* Give a file's octets: borrowed until close. OK, ERR_NOTFOUND, ERR_DENIED, ERR_IO. */
    lmail_status (*open)(void *ctx, lmail_str name, lmail_str *octets);
    void (*close)(void *ctx, lmail_str octets); /* may be NULL */
    lmail_diagnostic_fn *diagnostic;            /* may be NULL */
} lmail_config_io;

#define LMAIL_CONFIG_IO_INIT                                                                       \
    {                                                                                              \
        sizeof(lmail_config_io), NULL, NULL, NULL, NULL                                            \
    }
LMAIL_API void lmail_config_io_init(lmail_config_io *io);

typedef struct lmail_config lmail_config;

/* Read a file and what it includes. Every complaint goes to io->diagnostic; reading goes on after
 * each, so that one run shows them all.
 *   file    name for `open`; empty: no file, all defaults
 *   alloc   may be NULL
 * Returns: OK (there may have been warnings), ERR_SYNTAX (there was an error), ERR_NOTFOUND,
 * ERR_DENIED or ERR_IO (the file itself), ERR_NOMEM, ERR_SIZE. *out only with OK. */
LMAIL_API lmail_status lmail_config_load(lmail_config **out, lmail_str file,
                                         const lmail_config_io *io, const lmail_alloc *alloc);
LMAIL_API void lmail_config_free(lmail_config *config);

/* Valid until the configuration is freed. */
LMAIL_API const lmail_settings *lmail_config_settings(const lmail_config *config);

/* The whole configuration in force as a native file, each line with where its value came from
 * (`# default`, `# libmail.conf:14`). Reading the text again gives the same settings.
 *   write   called with pieces of the text; an error it returns ends the writing
 * Returns: OK or what write returned. */
LMAIL_API lmail_status lmail_config_show(const lmail_config *config,
                                         lmail_status (*write)(void *ctx, lmail_str text),
                                         void *ctx);

/* One setting as the documentation shows it. */
typedef struct lmail_config_key {
    lmail_str name; /* "smtp.max_recipients", "listener.port" */
    lmail_str kind; /* "number", "size", "duration", "yes or no", "text", "list", or its choices */
    lmail_str standard; /* its default, as a file would say it */
    lmail_str about;
} lmail_config_key;

/* The setting number i, from 0. OK or LMAIL_END. */
LMAIL_API lmail_status lmail_config_key_at(size_t i, lmail_config_key *out);

#ifdef __cplusplus
}
#endif

#endif
