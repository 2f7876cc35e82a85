/* libmail/policy_tables.h - where mail goes, and how addresses look outside: the classic tables.
 *
 * Two ideas on the same files. Routing takes a recipient to its destinations by domaintable,
 * virtusertable, aliases, mailertable and the smart host. Rewriting gives the addresses of a message
 * that leaves the form they have outside: genericstable and masquerading. Nothing here does I/O.
 *
 *     lmail_policy_tables_new(&tables, &config);
 *
 *     question.local_part = verdict.local_part;         what lmail_policy_rcpt has made of it
 *     question.domain = verdict.domain;
 *     lmail_policy_tables_route(tables, &question, &routes);
 *     for (size_t i = 0; i < routes->count; i++)
 *         take(&routes->items[i]);
 *     lmail_policy_routes_free(routes);
 *
 * The object is immutable and shared by threads; a reload makes another.
 *
 * The tables: a key, blanks, a value; '#' in the first column begins a comment; keys in any case.
 *
 *     virtusertable   info@virt.example      juan            a name, an address, error:...
 *                     lista+*@virt.example   ana+%2          %1 local part, %2 detail, %3 +detail
 *                     @virt.example          %1@example.org
 *     mailertable     example.org            esmtp:[mx.example.org]      brackets: no MX lookup
 *                     .example.org           relay:hub.example.net       hosts below it; %1 is
 *                     .                      esmtp:[gate.example.net]    what stands in front
 *                     box.example            lmtp:store.example:2424     an LMTP server; its port
 *                     cyrus.example          lmtp:unix:/run/cyrus/lmtp   is 24 if none is said
 *     genericstable   juan                   juan.perez@example.org
 *     domaintable     old.example            example.org
 *
 * Errors: error:D.S.N:NNN text, error:nouser NNN text; also nohost, unavailable, tempfail, protocol,
 * config, usage, software. A value that cannot be understood is diagnosed and refuses its mail for
 * now (451 4.3.5), so that no wider entry takes it.
 *
 * aliases: `name: target, target`, a line that begins with a blank goes on. A target is a name, an
 * address, \name (that mailbox, not looked up again), :include:/file, and, where they are allowed,
 * /file and "|program arguments". owner-NAME is the envelope sender of what NAME sends on. The last
 * of two lines for a name counts. name+detail and name+* are looked up before name. */
#ifndef LIBMAIL_POLICY_TABLES_H
#define LIBMAIL_POLICY_TABLES_H

#include <libmail/base.h>
#include <libmail/policy.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_policy_tables lmail_policy_tables;

/* ---- What they are made of ------------------------------------------------------------------- */

/* A class: names given one by one, and those of a file, one a line. */
typedef struct lmail_policy_names {
    const lmail_str *items;
    size_t count;
    lmail_policy_file file;
} lmail_policy_names;

/* All slices are borrowed for the call that makes the tables. Members that are 0 or 1 are named for
 * the FEATURE they stand for. A file with an empty name is not there. */
typedef struct lmail_policy_tables_config {
    size_t size;
    lmail_alloc alloc;               /* zeroed: the C library's; its ctx outlives the tables */
    lmail_diagnostic_fn *diagnostic; /* may be NULL */
    void *diagnostic_ctx;

    const lmail_policy *policy; /* has the host name and class w; outlives the tables */

    lmail_policy_file virtusertable, mailertable, genericstable, domaintable;
    const lmail_policy_file *aliases; /* the first file that knows a name decides */
    size_t alias_count;

    /* Gives the octets of a file that an alias includes: borrowed until include_done (may be NULL).
     * Called while the tables are made: a changed file counts from the next reload. NULL: there are
     * none. OK; else the error is diagnosed and mail to the alias refused for now. */
    lmail_status (*include)(void *ctx, lmail_str name, lmail_str *octets);
    void (*include_done)(void *ctx, lmail_str octets);
    void *include_ctx;

    lmail_policy_names virtual_domains;  /* virtusertable counts for them too */
    lmail_policy_names generics_domains; /* genericstable counts for them */
    unsigned virtuser_entire_domain;     /* and for the hosts below them */
    unsigned generics_entire_domain;

    lmail_str smart_host; /* "host", "mailer:host", "[host]"; empty: none */
    unsigned redirect;    /* user@domain.REDIRECT is told as "User has moved" */

    /* What aliases may deliver to beside mailboxes; nothing unless it is named here. */
    const lmail_str *file_directories; /* a file in one of them, or below */
    size_t file_directory_count;
    const lmail_str *programs; /* absolute paths; an alias names one by its last part */
    size_t program_count;

    size_t max_depth;        /* aliases and virtual addresses in a row, 50 at most; 0: 10 */
    size_t max_destinations; /* of one recipient; 0: 10,000 */

    lmail_str masquerade_as; /* empty: no masquerading */
    lmail_policy_names masquerade_domains, masquerade_exceptions;
    lmail_policy_names exposed_users; /* local parts that keep their host */
    unsigned masquerade_envelope;
    unsigned masquerade_entire_domain; /* and the hosts below masquerade_domains */
    unsigned allmasquerade;            /* recipients of the header too */
    unsigned limited_masquerade;       /* masquerade_domains only, not class w */
    unsigned local_no_masquerade;
} lmail_policy_tables_config;

LMAIL_API void lmail_policy_tables_config_init(lmail_policy_tables_config *config);

/* Make the tables. Every complaint goes to config->diagnostic, in the order of the lines of each
 * file; a damaged line is a warning, and reading goes on behind it.
 * Returns: OK (there may have been warnings), ERR_SYNTAX (a reply without a code of 4xx or 5xx, a
 * smart host or a masquerade name that is none), ERR_ARG (no policy), ERR_SIZE, ERR_LIMIT (a file of 4 GiB), ERR_NOMEM. *out only with OK. */
LMAIL_API lmail_status lmail_policy_tables_new(lmail_policy_tables **out,
                                               const lmail_policy_tables_config *config);

/* NULL is allowed. */
LMAIL_API void lmail_policy_tables_free(lmail_policy_tables *tables);

/* ---- Routing --------------------------------------------------------------------------------- */

typedef enum lmail_policy_destination_kind {
    LMAIL_POLICY_TO_USER = 0, /* user, detail: a mailbox of this host; whether it exists is the
                               * host's to know */
    LMAIL_POLICY_TO_HOST,     /* address, by mailer, to hosts */
    LMAIL_POLICY_TO_FILE,     /* path */
    LMAIL_POLICY_TO_PROGRAM,  /* path and arguments */
    LMAIL_POLICY_TO_NOBODY    /* code, enhanced, text: why not */
} lmail_policy_destination_kind;

/* A host to try. */
typedef struct lmail_policy_host {
    lmail_str name; /* "hub.example"; an address literal with its brackets, "[192.0.2.7]"; with the
                     * mailer lmtp perhaps the path of a socket, "/run/lmtp" */
    unsigned no_mx; /* the name's addresses, not its MX hosts */
    unsigned port;  /* 0: the mailer's own */
} lmail_policy_host;

typedef struct lmail_policy_destination {
    lmail_policy_destination_kind kind;
    lmail_str user;                 /* lower case, without quotes */
    lmail_str detail;               /* of user+detail */
    unsigned has_detail;            /* there was a "+" */
    lmail_str address;              /* for RCPT */
    lmail_str mailer;               /* "esmtp", "smtp", "relay" ...: as the entry has it */
    const lmail_policy_host *hosts; /* in the order to try */
    size_t host_count;
    lmail_str path;
    lmail_str arguments; /* one blank-separated word each; no shell reads them */
    unsigned code;
    lmail_str enhanced;
    lmail_str text;
    lmail_str sender; /* the list's owner: envelope sender for this one; empty: it stays */
    lmail_str rule;   /* the entry that decided, for people: "virtusertable: info@virt.example" */
    lmail_str file;   /* where it stands; empty: no entry decided */
    size_t line;
    lmail_str domain; /* TO_USER: the local domain that the name stood at last; empty: none, a name
                       * alone was found */
} lmail_policy_destination;

typedef struct lmail_policy_route_question {
    size_t size;
    lmail_alloc alloc;    /* for the answer; zeroed: the C library's */
    lmail_str local_part; /* as on the wire, perhaps quoted; routes in it are not looked for */
    lmail_str domain;     /* empty: none. Any case, a literal in brackets */
    /* The explanation: called for each step, in order. NULL costs nothing. */
    void (*on_step)(void *ctx, const lmail_policy_step *step);
    void *step_ctx;
} lmail_policy_route_question;

LMAIL_API void lmail_policy_route_question_init(lmail_policy_route_question *question);

/* No destination twice. Slices lie in it or in the tables, which outlive it. */
typedef struct lmail_policy_routes {
    const lmail_policy_destination *items;
    size_t count; /* 1 or more */
} lmail_policy_routes;

/* Where mail to a recipient goes. One without aliases has one destination. A list may hold NOBODY
 * beside others: its mail goes to those, and the errors are told to the list's owner; a recipient
 * that has nothing else is refused at RCPT.
 * Returns: OK, ERR_SIZE, ERR_ARG (no local part), ERR_LIMIT (over 512 octets), ERR_NOMEM. *out only
 * with OK. */
LMAIL_API lmail_status lmail_policy_tables_route(const lmail_policy_tables *tables,
                                                 const lmail_policy_route_question *question,
                                                 const lmail_policy_routes **out);

/* NULL is allowed. */
LMAIL_API void lmail_policy_routes_free(const lmail_policy_routes *routes);

/* What a user's forward file makes of his mail: `name, address` as in aliases, one line or several. */
typedef struct lmail_policy_forward_question {
    size_t size;
    lmail_alloc alloc; /* for the answer; zeroed: the C library's */
    lmail_str user;    /* whose file it is, without quotes or detail */
    lmail_str domain;  /* his; empty: every local one */
    lmail_str text;    /* of the file */
} lmail_policy_forward_question;

LMAIL_API void lmail_policy_forward_question_init(lmail_policy_forward_question *question);

/* The safe half of what aliases may say: files, programs and includes are refused even where aliases
 * may have them; each is a NOBODY with its line. The user's own name, \name or address is his mailbox,
 * which no alias leads away from. Other addresses take the whole way through the tables; whether
 * one of them is a user with such a file is the host's to ask again.
 * Returns: OK (count may be 0: nothing but comments), ERR_SIZE, ERR_ARG (no user), ERR_LIMIT (a text
 * above LMAIL_POLICY_MAX_FORWARD), ERR_NOMEM. *out only with OK. */
#define LMAIL_POLICY_MAX_FORWARD 16384u
LMAIL_API lmail_status lmail_policy_tables_forward(const lmail_policy_tables *tables,
                                                   const lmail_policy_forward_question *question,
                                                   const lmail_policy_routes **out);

/* domaintable alone: what the domain of an address is called here, before lmail_policy_rcpt is
 * asked. `domain` itself when it has no entry. */
LMAIL_API lmail_str lmail_policy_tables_domain(const lmail_policy_tables *tables, lmail_str domain);

/* ---- Rewriting ------------------------------------------------------------------------------- */

typedef enum lmail_policy_role {
    LMAIL_POLICY_ROLE_NONE = 0, /* not rewritten */
    LMAIL_POLICY_HEADER_SENDER,
    LMAIL_POLICY_HEADER_RECIPIENT,
    LMAIL_POLICY_ENVELOPE_SENDER,
    LMAIL_POLICY_ENVELOPE_RECIPIENT,
    LMAIL_POLICY_ROLE_REMOVED /* Bcc: the field does not leave; that is the deliverer's to see to */
} lmail_policy_role;

/* Where a message goes to. */
typedef enum lmail_policy_delivery {
    LMAIL_POLICY_DELIVERY_SMTP = 0,
    LMAIL_POLICY_DELIVERY_LOCAL
} lmail_policy_delivery;

/* The role of the addresses in a header field; name without ":", in any case. */
LMAIL_API lmail_policy_role lmail_policy_header_role(lmail_str name);

/* One address, "user@domain" or "user", as it is to be seen outside. Unqualified ones get the host
 * name. The empty sender stays empty.
 *   out   room for the address made; domain, local part and the masquerade name together
 *   made  octets of it, also when it does not fit
 * Returns: OK, ERR_LIMIT (cap is too small). */
LMAIL_API lmail_status lmail_policy_tables_rewrite(const lmail_policy_tables *tables,
                                                   lmail_policy_role role,
                                                   lmail_policy_delivery delivery,
                                                   lmail_str address, char *out, size_t cap,
                                                   size_t *made);

/* The value of a header field, folded or not: its addresses are rewritten, every other octet stays -
 * names, comments, groups, routes, folding. A value without addresses comes out as it went in, and
 * so does one of role NONE or REMOVED.
 *   made  octets of the new value, also when it does not fit
 * Returns: OK, ERR_LIMIT (cap is too small). Source: RFC 5322 §3.4, §4.4. */
LMAIL_API lmail_status lmail_policy_tables_rewrite_value(const lmail_policy_tables *tables,
                                                         lmail_policy_role role,
                                                         lmail_policy_delivery delivery,
                                                         lmail_str value, char *out, size_t cap,
                                                         size_t *made);

#ifdef __cplusplus
}
#endif

#endif
