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
 *
 * `sendmail_mc` and `dovecot_conf` name files of the classic installation. What they say is kept
 * under the names of this file; a setting that stands in libmail.conf wins over theirs. What they
 * do not say has the value that it has in that installation, but "no limit" means the one here.
 */
#ifndef LIBMAIL_CONFIG_H
#define LIBMAIL_CONFIG_H

#include <libmail/base.h>
#include <libmail/policy.h>
#include <libmail/policy_tables.h>
#include <libmail/sasl.h>

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

typedef enum lmail_family {
    LMAIL_FAMILY_ANY = 0,
    LMAIL_FAMILY_INET,
    LMAIL_FAMILY_INET6
} lmail_family;

/* What is asked of TLS with servers that mail goes to. */
typedef enum lmail_client_tls {
    LMAIL_CLIENT_TLS_NONE = 0,
    LMAIL_CLIENT_TLS_OPPORTUNISTIC,
    LMAIL_CLIENT_TLS_REQUIRED,
    LMAIL_CLIENT_TLS_VERIFIED
} lmail_client_tls;

/* When a message that was taken goes out. */
typedef enum lmail_delivery_mode {
    LMAIL_MODE_BACKGROUND = 0, /* at once, the client does not wait */
    LMAIL_MODE_INTERACTIVE,    /* at once, the client waits for the first attempt */
    LMAIL_MODE_QUEUE,          /* at the next queue run */
    LMAIL_MODE_DEFERRED        /* the same, and no DNS question before that */
} lmail_delivery_mode;

/* A load average is a number; with this bit it counts for each processor. 0: no limit. */
#define LMAIL_LOAD_PER_PROCESSOR (1ull << 32)

typedef struct lmail_listener_settings {
    lmail_str name;
    unsigned protocol;            /* lmail_listener_protocol */
    lmail_str_list address;       /* empty: every address of the machine */
    uint64_t port;                /* 0: the protocol's own */
    unsigned tls;                 /* lmail_listener_tls */
    unsigned proxy;               /* a PROXY protocol header comes first */
    lmail_str_list proxy_trusted; /* networks that may send it */
    unsigned family;              /* lmail_family */
    uint64_t backlog;             /* 0: as long as the system lets it be */
    unsigned optional;            /* goes on without it when it cannot be opened */
    uint64_t max_sessions;        /* of this listener; 0: no limit of its own */
    unsigned require_auth;        /* MAIL needs AUTH */
    unsigned offer_auth;
    unsigned sender_check;         /* the sender is the one who is logged in */
    unsigned etrn;                 /* ETRN is obeyed */
    unsigned qualified_senders;    /* a sender needs a domain whatever the policy says */
    unsigned qualified_recipients; /* the same for recipients */
    unsigned unqualified_senders;  /* a sender needs none */
    unsigned same_address;         /* mail that came here leaves from the same address */
    unsigned interface_name;       /* and says the name of that interface in EHLO */
    lmail_str_list milters;        /* names; empty: smtp.milters */
    uint64_t queue_load, refuse_load, delay_load; /* 0: those of section smtp */
    unsigned delivery; /* 0: queue.delivery; else 1 + lmail_delivery_mode */
} lmail_listener_settings;

typedef enum lmail_dnsbl_action {
    LMAIL_DNSBL_REJECT = 0,
    LMAIL_DNSBL_QUARANTINE,
    LMAIL_DNSBL_DISCARD
} lmail_dnsbl_action;

/* One list of client addresses in DNS. */
typedef struct lmail_dnsbl_settings {
    lmail_str name;
    lmail_str zone;        /* empty: the section's name */
    unsigned action;       /* lmail_dnsbl_action */
    lmail_str reply;       /* "NNN D.S.N text"; empty: 550 5.7.1 Rejected: ADDR listed at ZONE */
    unsigned defer;        /* a lookup that fails for now refuses for now */
    lmail_str_list values; /* answers that count; empty: every one */
} lmail_dnsbl_settings;

typedef enum lmail_milter_failure {
    LMAIL_MILTER_ACCEPT = 0,
    LMAIL_MILTER_REJECT,   /* 550 */
    LMAIL_MILTER_TEMPFAIL, /* 451 */
    LMAIL_MILTER_SHUTDOWN  /* 421 and close */
} lmail_milter_failure;

/* One mail filter. */
typedef struct lmail_milter_settings {
    lmail_str name;
    lmail_str socket;    /* "inet:PORT@HOST", "inet6:PORT@HOST", "unix:PATH" */
    unsigned on_failure; /* lmail_milter_failure */
    lmail_msec connect_timeout, send_timeout, read_timeout, end_timeout;
} lmail_milter_settings;

/* smtp.privacy */
enum {
    LMAIL_PRIVACY_NEED_MAIL_HELO = 1,
    LMAIL_PRIVACY_NEED_VRFY_HELO = 2,
    LMAIL_PRIVACY_NEED_EXPN_HELO = 4,
    LMAIL_PRIVACY_NO_VRFY = 8,
    LMAIL_PRIVACY_NO_EXPN = 16,
    LMAIL_PRIVACY_NO_ETRN = 32,
    LMAIL_PRIVACY_NO_RECEIPTS = 64,          /* no DSN */
    LMAIL_PRIVACY_NO_BODY_RETURN = 128,      /* bounces without the message's body */
    LMAIL_PRIVACY_NO_ACTUAL_RECIPIENT = 256, /* bounces without the expanded address */
    LMAIL_PRIVACY_RESTRICT_MAILQ = 512,      /* listing the queue: root and its owner */
    LMAIL_PRIVACY_RESTRICT_QRUN = 1024,
    LMAIL_PRIVACY_RESTRICT_EXPAND = 2048,
    LMAIL_PRIVACY_AUTH_WARNINGS = 4096, /* X-Authentication-Warning fields */
    LMAIL_PRIVACY_NO_VERB = 8192        /* VERB, which is never obeyed, is refused by name */
};

/* auth.user_format: what of a name is looked up */
typedef enum lmail_user_format {
    LMAIL_USER_WHOLE = 0,
    LMAIL_USER_LOCAL_PART /* the domain is dropped */
} lmail_user_format;

/* smtp.allow_cleartext, imap's, pop3's */
typedef enum lmail_inherit { LMAIL_INHERIT = 0, LMAIL_INHERIT_NO, LMAIL_INHERIT_YES } lmail_inherit;

/* policy.delay_checks */
typedef enum lmail_delay_checks {
    LMAIL_DELAY_CHECKS_NO = 0,
    LMAIL_DELAY_CHECKS_YES,
    LMAIL_DELAY_CHECKS_FRIEND,
    LMAIL_DELAY_CHECKS_HATER
} lmail_delay_checks;

/* policy.relay_mail_from */
typedef enum lmail_relay_mail_from {
    LMAIL_RELAY_MAIL_FROM_NO = 0,
    LMAIL_RELAY_MAIL_FROM_ADDRESS,
    LMAIL_RELAY_MAIL_FROM_DOMAIN
} lmail_relay_mail_from;

/* policy.rate_control, policy.connection_control */
enum { LMAIL_CONTROL_ON = 1, LMAIL_CONTROL_NODELAY = 2, LMAIL_CONTROL_TERMINATE = 4 };

/* policy.percent_hack, policy.bang_path */
typedef enum lmail_route_mark {
    LMAIL_ROUTE_MARK_ROUTE = 0, /* names the next host */
    LMAIL_ROUTE_MARK_PLAIN,     /* an ordinary letter of the local part */
    LMAIL_ROUTE_MARK_REJECT     /* refused */
} lmail_route_mark;

/* Where a daemon's log lines go. */
typedef enum lmail_log_target { LMAIL_LOG_STDERR = 0, LMAIL_LOG_SYSLOG } lmail_log_target;

/* A path of which it is said that it may begin with "-": the file may be missing then.
 *
 * Every setting. The names in a file are those of the members, a nested struct being a section.
 * Sizes are octets, durations milliseconds; an `unsigned` that names no enum is 0 or 1. Defaults:
 * lmail_config_key_at, or libmail.conf(5). All of it lives as long as its lmail_config. */
/* What a sender hears of a mailbox that is full. */
typedef enum lmail_quota_refusal {
    LMAIL_QUOTA_DEFER = 0, /* 452 4.2.2: come again */
    LMAIL_QUOTA_REJECT     /* 552 5.2.2 */
} lmail_quota_refusal;

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
    lmail_msec write_timeout; /* a client's time to take min_rate of what waits for it */
    uint64_t min_rate;        /* octets a second */
    unsigned log;             /* lmail_log_target */
    lmail_msec stop_timeout;  /* sessions may finish for so long at a stop */
    uint64_t log_level;       /* 0 to 99; above 9 more than is usual */
    lmail_str sendmail_mc;    /* files of the classic installation; empty: none */
    lmail_str dovecot_conf;

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
        lmail_msec cache_time;  /* a right password is not checked again for so long; 0: it is */
        lmail_str_list sources; /* "file", "system", "saslauthd": the first that knows a name */
        lmail_str saslauthd_socket; /* of a running saslauthd */
        uint64_t system_min_uid;    /* system users below get mail and do not log in */
        unsigned user_format;       /* lmail_user_format */
    } auth;

    struct {
        lmail_str_list sockets; /* empty: run_directory/authd/mux */
        lmail_str socket_mode;  /* octal digits */
        lmail_str socket_group; /* empty: the group of the daemons' user */
        lmail_str_list check;   /* "accounts", "pam", "shadow": the first that knows a name */
        lmail_str pam_service;  /* empty: the request's */
        uint64_t workers, max_connections;
        lmail_msec read_timeout, check_timeout, failure_delay;
        uint64_t user_failures, peer_failures; /* a minute; 0: any */
        lmail_str pid_file;
    } authd;

    struct {
        uint64_t min_free;          /* space that deliveries leave for the rest */
        uint64_t max_open_accounts; /* a process */
        uint64_t max_watches;       /* mailboxes, a process */
        uint64_t max_mailbox_name;  /* octets */
        uint64_t max_mailboxes;     /* an account */
        lmail_str location; /* an account's Maildir: a path with %u %n %d %h in it, ~ being %h;
                             * empty: below mail_directory */
        lmail_str home;     /* %h: a path with %u %n %d in it; empty: what the account says */
        uint64_t quota, quota_messages; /* of an account that says nothing else; 0: any */
        unsigned quota_refusal;         /* lmail_quota_refusal */
    } store;

    struct {
        lmail_str greeting;
        uint64_t max_message_size, max_header_size, max_recipients, max_line, max_hops;
        uint64_t max_bad_commands;
        lmail_msec command_timeout, data_timeout;
        lmail_str pid_file;
        lmail_str metrics_listen; /* "ADDRESS:PORT", "unix:/PATH"; empty: none */
        lmail_msec starttls_timeout;
        uint64_t max_sessions;            /* all listeners; at it they are closed; 0: none */
        uint64_t connection_rate;         /* a second and listener; more wait; 0: none */
        uint64_t bad_recipients_throttle; /* refused ones before each costs 1 s; 0: never */
        uint64_t max_noop_commands;       /* NOOP, HELP and the like before they are slowed */
        uint64_t min_free;                /* octets on the disk, else 452 to MAIL */
        uint64_t queue_load, refuse_load, delay_load;
        lmail_str load_file;                /* begins with the load average */
        unsigned privacy;                   /* LMAIL_PRIVACY_* */
        lmail_str_list auth_mechanisms;     /* empty: auth.mechanisms */
        unsigned auth_options;              /* LMAIL_SASL_* */
        unsigned allow_cleartext;           /* lmail_inherit: auth.allow_cleartext */
        lmail_str realm;                    /* empty: auth.realm */
        lmail_str tls_certificate, tls_key; /* empty: those of section tls */
        lmail_str client_ca;                /* empty: tls.client_ca */
        lmail_str client_ca_directory;
        lmail_str ciphers;                   /* empty: the library's */
        unsigned request_client_certificate; /* where there is a client_ca */
        lmail_str_list milters;              /* names of milter sections, in order */
        lmail_str_list xclient_trusted;      /* networks that may say for whom they speak */
        lmail_str_list xforward_trusted;     /* and those that may for the log */
    } smtp;

    struct {
        lmail_str access;                  /* access map; "-" */
        lmail_str_list local_domains;      /* local besides `domains` */
        unsigned address_literals;         /* the machine's [addresses] are local */
        lmail_str local_host_names;        /* file of local domains; "-" */
        lmail_str_list relay_domains;      /* mail for and from them is relayed */
        lmail_str_list relay_domain_files; /* "-" */
        lmail_str trusted_users;           /* file: who may set another sender; "-" */
        lmail_str_list trusted_mechanisms; /* who logged in with one relays; "*": any */
        unsigned blocklist_recipients;
        unsigned accept_unresolvable_domains, accept_unqualified_senders;
        unsigned relay_entire_domain, relay_hosts_only, relay_based_on_mx, relay_local_from;
        unsigned relay_mail_from; /* lmail_relay_mail_from */
        unsigned promiscuous_relay, loose_relay_check;
        unsigned relay_to_full_address, lookup_dot_domain;
        unsigned delay_checks;               /* lmail_delay_checks */
        lmail_msec greet_pause;              /* silence before the greeting */
        unsigned greet_pause_access;         /* GreetPause: of the access map counts */
        unsigned rate_control;               /* LMAIL_CONTROL_* */
        unsigned connection_control;         /* LMAIL_CONTROL_* */
        lmail_msec rate_window;              /* that ClientRate: counts in */
        unsigned percent_hack, bang_path;    /* lmail_route_mark */
        lmail_str reject_reply, relay_reply; /* "NNN D.S.N text" */
    } policy;

    struct {
        lmail_str_list aliases;                                           /* files; "-" */
        lmail_str mailertable, virtusertable, genericstable, domaintable; /* "-" */
        lmail_str_list virtuser_domains, virtuser_domain_files;           /* "-" */
        unsigned virtuser_entire_domain;
        lmail_str_list generics_domains, generics_domain_files; /* "-" */
        unsigned generics_entire_domain;
        lmail_str smart_host;    /* "host", "[host]": no MX lookup, "mailer:host" */
        unsigned redirect;       /* u@domain.REDIRECT is answered 551 */
        lmail_str_list forward;  /* names of files in a user's home; empty: none is read */
        unsigned detail_folders; /* user+detail: into the mailbox `detail`, if there is one */
    } routing;

    struct {
        lmail_str as; /* empty: no masquerading */
        lmail_str_list domains, domain_files, exceptions, exception_files; /* files: "-" */
        lmail_str_list exposed_users, exposed_user_files;
        unsigned envelope, entire_domain, recipients, limited, not_local;
    } masquerade;

    struct {
        lmail_str directory;     /* empty: below mail_directory */
        uint64_t runners;        /* connections to one destination */
        uint64_t max_deliveries; /* at a time */
        uint64_t max_run_size;   /* messages a run takes up; 0: all */
        lmail_msec warn_after, return_after;
        lmail_msec retry_first, retry_most;
        unsigned delivery;          /* lmail_delivery_mode */
        lmail_str copies_to;        /* of reports of failures; empty: nobody */
        lmail_str double_bounce_to; /* of failures no sender can be told of; empty: nobody */
        lmail_str drop_directory;   /* where programs of this machine leave mail; empty: beside
                                   * mail_directory; "-": nowhere */
        lmail_str drop_group;       /* of that directory: what sendmail is set-group-ID to */
    } queue;

    struct {
        lmail_msec greeting_timeout;
        lmail_msec connect_timeout, first_connect_timeout, all_connect_timeout; /* 0: system's */
        lmail_msec helo_timeout, mail_timeout, rcpt_timeout, data_start_timeout;
        lmail_msec data_block_timeout, data_end_timeout, rset_timeout, quit_timeout;
        lmail_msec misc_timeout, lhlo_timeout, auth_timeout, starttls_timeout;
        lmail_msec host_status_timeout; /* a host that was down is not tried again for */
        lmail_msec file_open_timeout;
        unsigned starttls, auth;    /* used where the server offers it */
        unsigned auth_parameter;    /* AUTH= on MAIL only after authenticating */
        unsigned own_mx;            /* a domain whose best MX is us: to its address, no loop */
        lmail_str_list address;     /* to connect from; empty: the system chooses */
        unsigned family;            /* lmail_family */
        uint64_t port;              /* of the servers */
        lmail_str helo_name;        /* said in EHLO; empty: hostname */
        unsigned interface_name;    /* EHLO with the name of the address we come from */
        lmail_str certificate, key; /* empty: none is shown */
        lmail_str ca, ca_directory; /* verify servers; empty: smtp's */
        unsigned tls;               /* lmail_client_tls */
    } client;

    struct {
        lmail_str greeting;
        uint64_t max_line, max_literal, max_message_size, max_bad_commands;
        lmail_msec idle_timeout, login_timeout;
        lmail_str separator; /* between the levels of a mailbox name */
        lmail_str pid_file;
        lmail_str_list auth_mechanisms; /* empty: auth.mechanisms */
        unsigned allow_cleartext;       /* lmail_inherit: auth.allow_cleartext */
        unsigned require_tls;           /* nobody logs in without it */
        unsigned local_is_secure;       /* a client that has the address it connects to */
        lmail_str_list secure_networks; /* and clients in these */
        uint64_t max_user_connections;  /* of a user from one address; 0: any number */
        lmail_str metrics_listen;       /* "ADDRESS:PORT", "unix:/PATH"; empty: none */
    } imap;

    struct {
        lmail_str greeting;
        uint64_t max_bad_commands;
        lmail_msec idle_timeout;
        lmail_msec login_delay; /* least time between logins, told in CAPA; 0: none */
        unsigned apop;
        lmail_str pid_file;
        lmail_str_list auth_mechanisms; /* empty: auth.mechanisms */
        unsigned allow_cleartext;       /* lmail_inherit: auth.allow_cleartext */
        unsigned require_tls;           /* nobody logs in without it */
        unsigned local_is_secure;       /* a client that has the address it connects to */
        lmail_str_list secure_networks; /* and clients in these */
        uint64_t max_user_connections;  /* of a user from one address; 0: any number */
        lmail_str metrics_listen;       /* "ADDRESS:PORT", "unix:/PATH"; empty: none */
    } pop3;

    struct {
        unsigned sockets;      /* run_directory/NAME.metrics */
        unsigned allow_remote; /* metrics_listen may be an address that is not loopback */
    } metrics;

    struct {
        lmail_str_list servers; /* ADDRESS or ADDRESS@PORT; empty: those of /etc/resolv.conf */
        lmail_str hosts;        /* file that goes before the DNS; empty: none */
        lmail_str trust_anchor; /* file for DNSSEC; empty: nothing is validated */
        lmail_msec timeout;     /* until a question has failed for now */
        uint64_t tries;         /* of a lookup at one server */
        uint64_t cache_size;    /* of an event loop's answers */
        uint64_t max_lookups;   /* of an event loop, under way at once */
    } dns;

    const lmail_listener_settings *listeners;
    size_t listener_count;
    const lmail_dnsbl_settings *dnsbls;
    size_t dnsbl_count;
    const lmail_milter_settings *milters;
    size_t milter_count;
} lmail_settings;

/* What reading needs of the world. */
typedef struct lmail_config_io {
    size_t size;
    void *ctx;
    /* Give a file's octets: borrowed until close. OK, ERR_NOTFOUND, ERR_DENIED, ERR_IO. */
    lmail_status (*open)(void *ctx, lmail_str name, lmail_str *octets);
    void (*close)(void *ctx, lmail_str octets); /* may be NULL */
    lmail_diagnostic_fn *diagnostic;            /* may be NULL */
    /* Can others read that file, which may hold passwords? NULL: no. */
    int (*is_public)(void *ctx, lmail_str name);
    /* This machine's name, asked for where no hostname is set; valid until the load returns. NULL:
     * "localhost". */
    lmail_str (*machine_name)(void *ctx);
    const lmail_str *machine_addresses; /* "192.0.2.1", "2001:db8::1": policy.address_literals */
    size_t machine_address_count;
    /* The names of files that match a pattern (* ? [...] in it), each handed to `found` in rising
     * order until that returns not 0. OK, ERR_NOTFOUND (none), ERR_IO, ERR_NOMEM. NULL: an imported
     * file that includes by pattern is refused. */
    lmail_status (*list)(void *ctx, lmail_str pattern, int (*found)(void *to, lmail_str name),
                         void *to);
} lmail_config_io;

#define LMAIL_CONFIG_IO_INIT                                                                       \
    {                                                                                              \
        sizeof(lmail_config_io), NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL                 \
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

/* Who may send what to whom, made of the settings and of the files that they name. Valid until the
 * configuration is freed. */
LMAIL_API const lmail_policy *lmail_config_policy(const lmail_config *config);

/* Where mail goes and how addresses look outside; made and valid as the policy. */
LMAIL_API const lmail_policy_tables *lmail_config_tables(const lmail_config *config);

/* The whole configuration in force as a native file, each line with where its value came from
 * (`# default`, `# libmail.conf:14`). Reading the text again gives the same settings.
 *   write   called with pieces of the text; an error it returns ends the writing
 * Returns: OK or what write returned. */
LMAIL_API lmail_status lmail_config_show(const lmail_config *config,
                                         lmail_status (*write)(void *ctx, lmail_str text),
                                         void *ctx);

/* Does a place of mail (settings.store.location) depend on the user's home: `~` in front, or %h?
 * Returns 1 or 0. */
LMAIL_API int lmail_config_names_home(lmail_str location);

/* A file that the host reads beside those that loading opens: certificates, keys and authorities, every
 * setting of kind "file" or "directory" that is set. A host that reads for another process, or that checks without
 * serving, goes through these and misses none. */
typedef struct lmail_config_file {
    lmail_str setting; /* "tls.key" */
    lmail_str path;
    unsigned directory; /* not 0: all files in it whose names do not begin with a dot are meant */
    lmail_str file;     /* where it was set, with the line; empty and 0: nowhere */
    size_t line;
} lmail_config_file;

/* Number i, from 0. OK or LMAIL_END. Valid until the configuration is freed. */
LMAIL_API lmail_status lmail_config_file_at(const lmail_config *config, size_t i,
                                            lmail_config_file *out);

/* One setting as the documentation shows it. */
typedef struct lmail_config_key {
    lmail_str name;     /* "smtp.max_recipients", "listener.port" */
    lmail_str kind;     /* "number", "size", "duration", "load", "yes or no", "text", "file",
                     * "directory", "list", choices */
    lmail_str standard; /* its default, as a file would say it */
    lmail_str about;
} lmail_config_key;

/* The setting number i, from 0. OK or LMAIL_END. */
LMAIL_API lmail_status lmail_config_key_at(size_t i, lmail_config_key *out);

#ifdef __cplusplus
}
#endif

#endif
