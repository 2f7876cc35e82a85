/* libmail/host/service.h - a whole mail server: sessions, accounts, store and delivery in one.
 *
 * The daemons are thin programs on this header, and so is a mail server inside another program:
 *
 *     lmail_service_config c = LMAIL_SERVICE_CONFIG_INIT;
 *     c.config = config;                          read with lmail_config_load_file, or all defaults
 *     c.protocols = LMAIL_SERVICE_SMTP | LMAIL_SERVICE_IMAP;
 *     lmail_service_new(&service, &c, error, sizeof error);
 *     lmail_service_run(service);                 until lmail_service_stop, from any thread
 *     lmail_service_free(service);
 *
 * What it does: SMTP takes mail for the configured domains' accounts and refuses all other mail
 * with 550 5.7.1; submission takes mail from users who have logged in; LMTP is SMTP with one answer
 * a recipient; IMAP and POP3 serve the accounts' mailboxes. A message is answered 250 when it is
 * safe on disk in every recipient's mailbox.
 *
 * Threads: one service may be run by one thread (it starts more); stop may be called from any.
 * Several services may exist in a process. Limits, texts and the like follow lmail_settings; see
 * libmail/config.h for each.
 */
#ifndef LIBMAIL_HOST_SERVICE_H
#define LIBMAIL_HOST_SERVICE_H

#include <libmail/config.h>
#include <libmail/host/accounts.h>
#include <libmail/host/auth.h>
#include <libmail/host/log.h>
#include <libmail/host/metrics.h>
#include <libmail/host/store.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_service lmail_service;

/* Which of the configured listeners a service opens, a bit set. */
enum {
    LMAIL_SERVICE_SMTP = 1, /* listeners of protocol smtp, submission and lmtp */
    LMAIL_SERVICE_IMAP = 2,
    LMAIL_SERVICE_POP3 = 4
};

/* Where the administrator's files come from: the configuration with all that it names, certificates
 * and keys. The account file and what the service writes itself is always the disk's. A program
 * whose service may not read them hands them in. Any thread: a reload that a signal asked for calls
 * them on a thread of its own, beside the loops. */
typedef struct lmail_files {
    size_t size;
    void *ctx;
    /* A file's octets, borrowed until close. Returns: OK, ERR_NOTFOUND, ERR_DENIED, ERR_ARG (not a
     * regular file), ERR_LIMIT (above 64 MiB), ERR_IO, ERR_NOMEM. */
    lmail_status (*open)(void *ctx, lmail_str name, lmail_str *octets);
    void (*close)(void *ctx, lmail_str octets);
    unsigned (*mode)(void *ctx, lmail_str name); /* permission bits, as 0640; 0: not known */
    /* The names that match a pattern, as lmail_config_io.list. NULL: none ever does. */
    lmail_status (*list)(void *ctx, lmail_str pattern, int (*found)(void *to, lmail_str name),
                         void *to);
} lmail_files;

/* The files of the disk; close wipes the octets. */
LMAIL_API void lmail_files_disk(lmail_files *files);

typedef struct lmail_service_config {
    size_t size;
    lmail_config *config;          /* the service's from a successful new on; NULL: all defaults */
    unsigned protocols;            /* LMAIL_SERVICE_* */
    lmail_log *log;                /* borrowed; NULL: nothing is logged */
    const lmail_store *store;      /* borrowed; NULL: Maildir under settings.mail_directory */
    lmail_accounts *accounts;      /* borrowed; NULL: the file settings.accounts. Names without a
                                    * domain get mail when its default_domain is among domains */
    lmail_auth_token_fn *on_token; /* checks OAUTHBEARER and XOAUTH2 tokens; NULL: not offered */
    void *user;                    /* for on_token */
    /* A reload that a signal asked for has ended, on the thread that runs; error: a terminated text
     * for people, empty when status is OK. Not called once the service stops. NULL: the log alone
     * tells. */
    void (*on_reload)(void *host, lmail_status status, const char *error);
    void *host;               /* for on_reload and on_socket */
    const lmail_files *files; /* borrowed; NULL: the disk */
    /* A listening socket for that address ("192.0.2.1:25", as lmail_service_socket_at has it), the
     * service's from then on; -1: it binds one itself. On the thread that runs. NULL: -1. */
    int (*on_socket)(void *host, const char *where);
    const char *name; /* of the program: its numbers are shown on RUN_DIRECTORY/name.metrics too, as
                       * settings.metrics.sockets has it; NULL: not there */
    /* A reading that a signal asked for begins, on the thread that runs; on_reload tells its end. What
     * was in the files before this call is what it will find. NULL: nobody is told. */
    void (*on_reload_begins)(void *host);
} lmail_service_config;

#define LMAIL_SERVICE_CONFIG_INIT                                                                  \
    {                                                                                              \
        sizeof(lmail_service_config), NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,     \
            NULL, NULL, NULL                                                                       \
    }
LMAIL_API void lmail_service_config_init(lmail_service_config *config);

/* Read a configuration file from disk.
 *   path         NULL: no file, all defaults
 *   diagnostic   called with every complaint; may be NULL
 * Returns: as lmail_config_load. */
LMAIL_API lmail_status lmail_config_load_file(lmail_config **out, const char *path,
                                              lmail_diagnostic_fn *diagnostic, void *ctx);

/* The same from elsewhere. */
LMAIL_API lmail_status lmail_config_load_from(lmail_config **out, const char *path,
                                              const lmail_files *files,
                                              lmail_diagnostic_fn *diagnostic, void *ctx);

/* Look at the certificates, keys and authorities that a configuration names: can each be read, does it
 * parse, do certificate and key belong together, may others read the key (errors), does it hold at
 * this time (warnings)? A start and a reload look too.
 *   files        as of the loading; NULL: the disk
 *   diagnostic   called with every complaint: where the setting stands, and the file's name
 * Returns: OK (there may have been warnings), ERR_SYNTAX (there was an error), ERR_NOMEM. */
LMAIL_API lmail_status lmail_config_check_tls(const lmail_config *config, const lmail_files *files,
                                              lmail_diagnostic_fn *diagnostic, void *ctx);

/* Whom root becomes, and whose the mail is: settings.user and settings.group. */
typedef struct lmail_owner {
    uint32_t uid, gid;
    char name[256]; /* terminated, of the user; empty: the system knows none with this uid */
} lmail_owner;

/* Find out. Both settings are names, or else numbers as in passwd(5); a number that the system has no
 * user for needs the group too. The system's lists are asked, which may take time. Any thread.
 *   error   filled with a terminated text for people when it fails (may be NULL, cap 0)
 * Returns: OK, LMAIL_END (user is empty: nobody), ERR_NOTFOUND. */
LMAIL_API lmail_status lmail_owner_find(lmail_owner *out, const lmail_settings *settings,
                                        char *error, size_t cap);
/* A group by its name, or else by its number. Returns: OK, ERR_NOTFOUND. Any thread. */
LMAIL_API lmail_status lmail_group_find(uint32_t *gid, lmail_str group);

/* Where things are whose settings may be empty: queue.directory, queue.drop_directory, and the first
 * of authd.sockets.
 *   out   filled with the terminated path
 * Returns: OK, ERR_LIMIT (it does not fit), LMAIL_END (drops: there is no such place). */
LMAIL_API lmail_status lmail_service_queue_directory(const lmail_settings *settings, char *out,
                                                     size_t cap);
LMAIL_API lmail_status lmail_service_drop_directory(const lmail_settings *settings, char *out,
                                                    size_t cap);
LMAIL_API lmail_status lmail_service_authd_socket(const lmail_settings *settings, char *out,
                                                  size_t cap);

typedef struct lmail_service_socket {
    lmail_str listener; /* its name in the configuration */
    char where[512];    /* terminated: as lmail_listener_config.address */
    unsigned optional;  /* the service goes on without it */
} lmail_service_socket;

/* Socket number i, from 0, of those that a service of these protocols opens.
 * Returns: OK, LMAIL_END, ERR_LIMIT (the address is too long). */
LMAIL_API lmail_status lmail_service_socket_at(const lmail_settings *settings, unsigned protocols,
                                               size_t i, lmail_service_socket *out);

/* Open store and accounts, load or make the certificate, bind every listener. Connections are
 * served once it runs; privileges may be dropped in between.
 *   error   filled with a terminated text for people when it fails (may be NULL, cap 0)
 * Returns: OK, ERR_SIZE, ERR_ARG (a setting that only now proves wrong), ERR_BUSY (address in use),
 * ERR_DENIED, ERR_IO, ERR_NOMEM. After an error config.config is still the caller's. */
LMAIL_API lmail_status lmail_service_new(lmail_service **out, const lmail_service_config *config,
                                         char *error, size_t cap);

/* Serve until stopped. Returns: OK, ERR_STATE (ran before), ERR_IO. */
LMAIL_API lmail_status lmail_service_run(lmail_service *service);

/* Stop gracefully, within settings.stop_timeout: running commands are finished, then clients hear
 * the protocol's farewell. A second call stops at once. Any thread. */
LMAIL_API void lmail_service_stop(lmail_service *service);

/* On these signals (0: not) stop or reload. Before run. A reload reads its files on a thread of its
 * own; all signals that come meanwhile ask for one more.
 *   reload_path   the file to read again; NULL: all defaults
 * Returns: OK, ERR_NOMEM, ERR_IO. */
LMAIL_API lmail_status lmail_service_signals(lmail_service *service, int stop_signal,
                                             int reload_signal, const char *reload_path);

/* New rules for new connections and everything that is asked from now on; sessions keep theirs. A
 * signal's reading that is under way comes into force after it.
 * Sockets follow the configuration: new ones are opened, those no longer wanted closed. Directories,
 * user and workers stay as they are until a restart, and the log says which were changed. A changed
 * store.location or store.home is refused with ERR_ARG: mail would lie in two places.
 *   config   the service's from success on
 *   error    filled as by lmail_service_new; not NULL
 * Returns: OK, ERR_ARG, ERR_BUSY, ERR_DENIED, ERR_IO, ERR_NOMEM; after an error the old rules stay
 * in force. From the thread that runs, or before it runs. */
LMAIL_API lmail_status lmail_service_reload(lmail_service *service, lmail_config *config,
                                            char *error, size_t cap);

/* The port that a listener has bound, by its name in the configuration; 0: there is none. */
LMAIL_API unsigned lmail_service_port(const lmail_service *service, lmail_str listener);

/* What it has counted; docs/metrics.md names all of it. Numbers that the system and the queue keep
 * are brought up to date by this call, which may read the disk. Valid until the service is freed.
 * Any thread. */
LMAIL_API const lmail_metrics *lmail_service_metrics(lmail_service *service);

/* Free a service that never ran or has stopped. A reading of files that a signal asked for and that
 * does not end is waited for two seconds, then left to itself: files, log and accounts have to stay
 * then. NULL is allowed. */
LMAIL_API void lmail_service_free(lmail_service *service);

#ifdef __cplusplus
}
#endif

#endif
