/* libmail/policy.h - who may send what to whom: the classic access map, local and relay domains.
 *
 * Reads the text of `access`, `local-host-names` and `relay-domains`, and answers: may this client
 * connect, may it send as this sender, may it send to this recipient. Every answer names the reply
 * (code, enhanced code, text) and the line that decided. Nothing here does I/O or asks a name
 * server: what a decision needs of the world comes in as facts.
 *
 * How it is used:
 *
 *     1. Fill a lmail_policy_config, which may live on the stack, and make a lmail_policy of it. It
 *        is immutable and shared by threads.
 *     2. Fill a lmail_policy_peer for the client and a lmail_policy_question for the transaction
 *        with what is known; leave at zero what is not.
 *     3. Ask. A verdict LMAIL_POLICY_NEED names the facts that are missing; look them up, put them
 *        into the same structs, and ask again:
 *
 *            for (;;) {
 *                lmail_policy_rcpt(policy, &question, &verdict);
 *                if (verdict.kind != LMAIL_POLICY_NEED)
 *                    break;
 *                look_up(verdict.need, &peer, &question);
 *            }
 *
 *        Each answer asks only for what can change it, so that a lookup that costs is made only
 *        when it matters; a fact is asked for once, since a host fills it with an answer other than
 *        unknown. At most three lookups are asked for.
 *
 * Keys of the access map (SMTP's own words, as the classic installation has them): a tag and what
 * it is about, `Connect:192.0.2`, `From:user@example.org`, `To:example.org`; values OK, RELAY,
 * REJECT, DISCARD, SKIP, ERROR:D.S.N:NNN text, NNN text, QUARANTINE:text. IPv4 keys are prefixes on
 * octet borders, IPv6 keys (`IPv6:2001:db8:1`) prefixes on 16-bit groups, compared as addresses
 * whatever their spelling. A name covers all names below it.
 */
#ifndef LIBMAIL_POLICY_H
#define LIBMAIL_POLICY_H

#include <libmail/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lmail_policy lmail_policy;

/* ---- What it is made of ---------------------------------------------------------------------- */

/* One of the administrator's files. name is what diagnostics and verdicts call it; empty: there is
 * no such file. */
typedef struct lmail_policy_file {
    lmail_str name;
    lmail_str octets;
} lmail_policy_file;

/* How the two checks of the connection and the sender wait for the recipient. */
typedef enum lmail_policy_delay {
    LMAIL_POLICY_DELAY_OFF = 0,
    LMAIL_POLICY_DELAY_ON,     /* they are made at RCPT, for all recipients */
    LMAIL_POLICY_DELAY_FRIEND, /* but not for those with Spam: FRIEND */
    LMAIL_POLICY_DELAY_HATER   /* only for those with Spam: HATER */
} lmail_policy_delay;

/* What `%` and `!` in a local part are. */
typedef enum lmail_policy_route {
    LMAIL_POLICY_ROUTE_STRIP = 0, /* a route: user%host and host!user are user at host */
    LMAIL_POLICY_ROUTE_REJECT,    /* refused */
    LMAIL_POLICY_ROUTE_ORDINARY   /* letters like others */
} lmail_policy_route;

/* Relaying by the sender's address, which anybody can forge. Diagnosed as an open relay. */
typedef enum lmail_policy_relay_from {
    LMAIL_POLICY_RELAY_FROM_OFF = 0,
    LMAIL_POLICY_RELAY_FROM_ADDRESS, /* From:user@domain RELAY */
    LMAIL_POLICY_RELAY_FROM_DOMAIN   /* From:domain RELAY too */
} lmail_policy_relay_from;

/* All slices are borrowed for the call that makes the policy. Members that are 0 or 1 are named for
 * the FEATURE they stand for. */
typedef struct lmail_policy_config {
    size_t size;
    lmail_alloc alloc;               /* zeroed: the C library's; its ctx outlives the policy */
    lmail_diagnostic_fn *diagnostic; /* may be NULL */
    void *diagnostic_ctx;

    lmail_str host_name;             /* the name of this host, always local */
    const lmail_str *host_addresses; /* "192.0.2.1", "2001:db8::1": their literals are local */
    size_t host_address_count;

    /* Class w: mail for them is local. Exact names; the host name and localhost always belong. */
    const lmail_str *local_domains;
    size_t local_domain_count;
    lmail_policy_file local_domains_file; /* read only with use_cw_file */
    unsigned use_cw_file;

    /* Class R: mail to them, and from clients with these names and addresses, is relayed. */
    const lmail_str *relay_domains;
    size_t relay_domain_count;
    lmail_policy_file relay_domains_file;

    lmail_policy_file access;
    unsigned access_is_public; /* others can read the file: an error when it holds AuthInfo: */

    unsigned relay_entire_domain;  /* hosts under the host's own domain relay, and are relayed to */
    unsigned relay_hosts_only;     /* relaying: exact names, nothing below them */
    unsigned relay_based_on_mx;    /* to domains that list this host as MX */
    unsigned relay_local_from;     /* open by a sender in class w */
    unsigned relay_mail_from;      /* lmail_policy_relay_from */
    unsigned promiscuous_relay;    /* open to all */
    unsigned loose_relay_check;    /* routes behind a relay domain stay as they are */
    unsigned blocklist_recipients; /* To: may refuse recipients */
    unsigned relay_to_full_address; /* To:user@domain RELAY */
    unsigned lookupdotdomain;       /* keys with a leading dot */
    unsigned accept_unresolvable_domains;
    unsigned accept_unqualified_senders;
    unsigned delay_checks;  /* lmail_policy_delay */
    unsigned nopercenthack; /* lmail_policy_route */
    unsigned nouucp;        /* lmail_policy_route */

    /* Mechanisms whose users relay anywhere. NULL: there is no such list, and authentication alone
     * does not open relaying. */
    const lmail_str *trusted_mechanisms;
    size_t trusted_mechanism_count;

    unsigned rate_control;           /* ClientRate: is obeyed */
    unsigned rate_control_terminate; /* by closing the connection */
    unsigned conn_control;           /* ClientConn: */
    unsigned conn_control_terminate;
    unsigned greet_pause;    /* GreetPause: is obeyed */
    uint64_t greet_pause_ms; /* where it has no entry */

    /* Own words, "NNN text" or "NNN D.S.N text"; empty: the classic ones. */
    lmail_str reject_message;           /* 550 5.7.1 Access denied */
    lmail_str reject_recipient_message; /* 550 5.2.1 Mailbox disabled for this recipient */
    lmail_str relay_message;            /* 550 5.7.1 Relaying denied */
} lmail_policy_config;

#define LMAIL_POLICY_CONFIG_INIT                                                                   \
    {                                                                                              \
        sizeof(lmail_policy_config), {NULL, NULL}, NULL, NULL, {NULL, 0}, NULL, 0, NULL, 0,        \
            {{NULL, 0}, {NULL, 0}}, 0, NULL, 0, {{NULL, 0}, {NULL, 0}}, {{NULL, 0}, {NULL, 0}}, 0, \
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, 0, 0, 0, 0, 0, 0, {NULL, 0},     \
            {NULL, 0},                                                                             \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
LMAIL_API void lmail_policy_config_init(lmail_policy_config *config);

/* Make a policy. Every complaint about a line goes to config->diagnostic, in the order of the
 * lines; reading goes on after each. Classic repairs warn; a code that is none, a broken number and
 * a password file that others can read are errors. Returns: OK (there may have been warnings),
 * ERR_SYNTAX (there was an error), ERR_ARG (no host name, a message that is none), ERR_SIZE,
 * ERR_LIMIT (a file of 4 GiB), ERR_NOMEM. *out only with OK. */
LMAIL_API lmail_status lmail_policy_new(lmail_policy **out, const lmail_policy_config *config);

/* NULL is allowed. */
LMAIL_API void lmail_policy_free(lmail_policy *policy);

/* ---- Facts ----------------------------------------------------------------------------------- */

/* What the address of a peer says about its name. */
typedef enum lmail_policy_name_state {
    LMAIL_POLICY_NAME_UNKNOWN = 0, /* not looked up yet */
    LMAIL_POLICY_NAME_VERIFIED,    /* a PTR record whose name leads back to the address */
    LMAIL_POLICY_NAME_NONE,        /* no PTR record */
    LMAIL_POLICY_NAME_FORGED,      /* the name does not lead back */
    LMAIL_POLICY_NAME_TEMPORARY    /* the lookup failed for now */
} lmail_policy_name_state;

typedef enum lmail_policy_answer {
    LMAIL_POLICY_UNKNOWN = 0, /* not looked up yet */
    LMAIL_POLICY_YES,
    LMAIL_POLICY_NO,
    LMAIL_POLICY_TEMPORARY /* the lookup failed for now */
} lmail_policy_answer;

/* What became of the peer's certificate. */
typedef enum lmail_policy_certificate {
    LMAIL_POLICY_CERTIFICATE_NO_TLS = 0,
    LMAIL_POLICY_CERTIFICATE_VERIFIED,
    LMAIL_POLICY_CERTIFICATE_MISSING, /* asked for, and the peer has none */
    LMAIL_POLICY_CERTIFICATE_UNASKED,
    LMAIL_POLICY_CERTIFICATE_FAILED
} lmail_policy_certificate;

/* The other side of a connection: a client, or a server that we speak to. */
typedef struct lmail_policy_peer {
    size_t size;
    lmail_str address; /* "192.0.2.1", "2001:db8::1"; empty: no network client, it may relay */
    lmail_str name;    /* VERIFIED only; a trailing dot does not matter */
    lmail_policy_name_state name_state;

    lmail_policy_certificate certificate;
    unsigned cipher_bits;          /* of the connection; 0 without TLS */
    lmail_str certificate_name;    /* common name of its subject */
    lmail_str certificate_subject; /* as the classic installation writes them, "/C=MX/CN=mx+201":
                                    * what is not printable and " <>()\"+\" as +HH, a '/' of a value
                                    * behind a backslash */
    lmail_str certificate_issuer;

    lmail_str login;     /* the authenticated identity; empty: none */
    lmail_str mechanism; /* that it used, "CRAM-MD5" */
} lmail_policy_peer;

#define LMAIL_POLICY_PEER_INIT                                                                     \
    {                                                                                              \
        sizeof(lmail_policy_peer), {NULL, 0}, {NULL, 0}, LMAIL_POLICY_NAME_UNKNOWN,                \
            LMAIL_POLICY_CERTIFICATE_NO_TLS, 0, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0},        \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
LMAIL_API void lmail_policy_peer_init(lmail_policy_peer *peer);

/* One step of a decision, for people. Borrowed for the call. */
typedef struct lmail_policy_step {
    lmail_str key;   /* what was looked up, "Connect:192.0.2"; or the fact that was looked at */
    unsigned hit;    /* 1: found, or true */
    lmail_str value; /* what the map has for it, without secrets */
    lmail_str file;  /* where it stands; empty: nowhere */
    size_t line;
    lmail_str meaning; /* "client address", "class R" ... */
} lmail_policy_step;

/* What is asked about; each question reads the members it needs. */
struct lmail_policy_tables; /* <libmail/policy_tables.h> */

typedef struct lmail_policy_question {
    size_t size;
    const lmail_policy_peer *peer;
    lmail_str sender;                  /* "user@example.org" without brackets; empty: <> */
    lmail_policy_answer sender_domain; /* has it an MX, A or AAAA record; a literal: a PTR record */
    unsigned unqualified_sender;       /* 1: this listener takes senders without a domain */
    lmail_str recipient;               /* with its source route, if it has one */
    lmail_policy_answer recipient_mx;  /* is this host among the MX hosts of its domain */
    uint64_t count; /* rate, connections: how many there are, this one included */
    /* The explanation: called for each step, in order. NULL costs nothing. */
    void (*on_step)(void *ctx, const lmail_policy_step *step);
    void *step_ctx;
    /* Its domaintable replaces the domains of sender and recipient before anything else: of a sender
     * whose domain is to be looked up too (lmail_policy_tables_domain). NULL: there is none. */
    const struct lmail_policy_tables *tables;
} lmail_policy_question;

#define LMAIL_POLICY_QUESTION_INIT                                                                 \
    {                                                                                              \
        sizeof(lmail_policy_question), NULL, {NULL, 0}, LMAIL_POLICY_UNKNOWN, 0, {NULL, 0},        \
            LMAIL_POLICY_UNKNOWN, 0, NULL, NULL, NULL                                              \
    }
LMAIL_API void lmail_policy_question_init(lmail_policy_question *question);

/* ---- Verdicts -------------------------------------------------------------------------------- */

typedef enum lmail_policy_verdict_kind {
    LMAIL_POLICY_ACCEPT = 0, /* go on */
    LMAIL_POLICY_LOCAL,   /* the recipient is of this host; whether the user exists is the host's to
                             know (550 5.1.1 User unknown; postmaster always exists) */
    LMAIL_POLICY_RELAY,   /* the recipient is elsewhere, and the client may send to it */
    LMAIL_POLICY_DISCARD, /* answer yes to all, throw the whole message away at its end */
    LMAIL_POLICY_QUARANTINE, /* accept, and hold the whole message for `reason` */
    LMAIL_POLICY_DENY,       /* reply; code 421: as the banner or at once, and close */
    LMAIL_POLICY_NEED        /* look up `need`, fill it in, ask again */
} lmail_policy_verdict_kind;

/* lmail_policy_verdict.need: facts that are LMAIL_POLICY_UNKNOWN and decide. */
enum {
    LMAIL_POLICY_NEED_NAME = 1,          /* peer->name_state and name */
    LMAIL_POLICY_NEED_SENDER_DOMAIN = 2, /* question->sender_domain */
    LMAIL_POLICY_NEED_RECIPIENT_MX = 4   /* question->recipient_mx, for the verdict's domain */
};

#define LMAIL_POLICY_MAX_ADDRESS 512u /* longer senders and recipients are refused */

/* Slices lie in the policy, in the question, or in the verdict itself: it is not to be copied or
 * moved while they are used. */
typedef struct lmail_policy_verdict {
    lmail_policy_verdict_kind kind;
    unsigned need;
    unsigned code; /* of the reply; 0: the session's own (ACCEPT) or none (NEED) */
    lmail_str enhanced;
    lmail_str text;
    lmail_str reason;    /* QUARANTINE */
    unsigned local;      /* RCPT: 1 when the recipient is of this host, also with QUARANTINE */
    unsigned connection; /* RCPT: 1 when the check of the connection was made now (delay_checks) */
    unsigned listed;     /* connect: the access map says OK or RELAY; no block list is asked */
    lmail_str local_part, domain; /* RCPT: the recipient behind its routes, unquoted; the domain in
                                     lower case, empty for an unqualified one */
    unsigned routed; /* RCPT: routes were stripped; the address as written is not the one to use */
    lmail_str rule;  /* what decided, for people: "Connect:192.0.2", "class R" */
    lmail_str file;  /* where it stands; empty: no line decided */
    size_t line;
    char room[LMAIL_POLICY_MAX_ADDRESS * 7]; /* two addresses in all their forms, and a text */
} lmail_policy_verdict;

/* May the client connect. A DENY is not the end of the connection, unless its code is 421: the
 * greeting and EHLO go as ever, then MAIL, RCPT, DATA, VRFY, EXPN, ETRN, AUTH and STARTTLS all get
 * its reply. With delay_checks it accepts, and the check is made at RCPT; `vrfy`, `expn` and `etrn`
 * ask lmail_policy_connect_now. DISCARD and QUARANTINE hold for every message of the connection.
 * Returns: OK, ERR_SIZE, ERR_ARG (no peer, an address that is none). */
LMAIL_API lmail_status lmail_policy_connect(const lmail_policy *policy,
                                            const lmail_policy_question *question,
                                            lmail_policy_verdict *verdict);

/* The same, whatever delay_checks says. */
LMAIL_API lmail_status lmail_policy_connect_now(const lmail_policy *policy,
                                                const lmail_policy_question *question,
                                                lmail_policy_verdict *verdict);

/* May it send as question->sender (MAIL). Returns: as lmail_policy_connect. */
LMAIL_API lmail_status lmail_policy_mail(const lmail_policy *policy,
                                         const lmail_policy_question *question,
                                         lmail_policy_verdict *verdict);

/* May it send to question->recipient (RCPT); with delay_checks also all of the above. DISCARD and QUARANTINE
 * hold for the whole message, all its recipients. A route that nopercenthack or nouucp refuse is a
 * recipient elsewhere: only a client that may relay can send to it.
 * Returns: as lmail_policy_connect. */
LMAIL_API lmail_status lmail_policy_rcpt(const lmail_policy *policy,
                                         const lmail_policy_question *question,
                                         lmail_policy_verdict *verdict);

/* May the client send through this host, whoever the recipient is: it has no network address, has
 * logged in by a trusted mechanism, or may relay. Its mail is this host's own; a policy that relays
 * for all (promiscuous_relay) says nothing about that.
 * Returns: as lmail_policy_connect; the verdict is ACCEPT, DENY or NEED. */
LMAIL_API lmail_status lmail_policy_client(const lmail_policy *policy,
                                           const lmail_policy_question *question,
                                           lmail_policy_verdict *verdict);

/* ---- TLS ------------------------------------------------------------------------------------- */

/* Is TLS with this client good enough (TLS_Clt:). lmail_policy_mail asks it by itself.
 * Returns: as lmail_policy_connect; the verdict is ACCEPT, DENY or NEED. */
LMAIL_API lmail_status lmail_policy_tls_client(const lmail_policy *policy,
                                               const lmail_policy_question *question,
                                               lmail_policy_verdict *verdict);

/* The same for a server that we speak to (TLS_Srv:), and for one recipient there (TLS_Rcpt:,
 * question->recipient). DENY: no delivery over this connection; try again later. */
LMAIL_API lmail_status lmail_policy_tls_server(const lmail_policy *policy,
                                               const lmail_policy_question *question,
                                               lmail_policy_verdict *verdict);
LMAIL_API lmail_status lmail_policy_tls_rcpt(const lmail_policy *policy,
                                             const lmail_policy_question *question,
                                             lmail_policy_verdict *verdict);

/* Shall STARTTLS be tried with this server (Try_TLS:). DENY: no, speak without it. */
LMAIL_API lmail_status lmail_policy_try_tls(const lmail_policy *policy,
                                            const lmail_policy_question *question,
                                            lmail_policy_verdict *verdict);

/* ---- A client's own offers and limits -------------------------------------------------------- */

/* lmail_policy_features.on, off */
enum {
    LMAIL_POLICY_FEATURE_STARTTLS = 1, /* off: not offered */
    LMAIL_POLICY_FEATURE_AUTH = 2,
    LMAIL_POLICY_FEATURE_PIPELINING = 4,
    LMAIL_POLICY_FEATURE_DSN = 8,
    LMAIL_POLICY_FEATURE_ETRN = 16,
    LMAIL_POLICY_FEATURE_EXPN = 32,
    LMAIL_POLICY_FEATURE_VERB = 64,
    LMAIL_POLICY_FEATURE_CLIENT_CERTIFICATE = 128, /* off: none is asked for */
    LMAIL_POLICY_FEATURE_NEED_AUTH = 256,          /* on: MAIL needs AUTH */
    LMAIL_POLICY_FEATURE_PLAIN_NEEDS_TLS = 512     /* on: PLAIN and LOGIN only inside TLS */
};

typedef struct lmail_policy_features {
    unsigned need;    /* not 0: look it up and ask again */
    unsigned on, off; /* LMAIL_POLICY_FEATURE_*; in neither: as the server's own setting */
    lmail_str file;   /* empty: no entry */
    size_t line;
} lmail_policy_features;

/* What this client is offered (Srv_Features:). Returns: as lmail_policy_connect. */
LMAIL_API lmail_status lmail_policy_server_features(const lmail_policy *policy,
                                                    const lmail_policy_question *question,
                                                    lmail_policy_features *out);

typedef struct lmail_policy_pause {
    unsigned need;
    lmail_msec pause; /* 0: none */
    lmail_str file;   /* empty: no entry, the pause is greet_pause_ms */
    size_t line;
} lmail_policy_pause;

/* How long the banner waits (GreetPause:); nothing without config.greet_pause. A client that speaks
 * meanwhile is no mail server: 554 in place of the banner. Returns: as lmail_policy_connect. */
LMAIL_API lmail_status lmail_policy_greet_pause(const lmail_policy *policy,
                                                const lmail_policy_question *question,
                                                lmail_policy_pause *out);

/* Are question->count connections of this address in the last minute (ClientRate:), or open at once
 * (ClientConn:), too many. The host counts. ACCEPT without config.rate_control, conn_control.
 * Returns: as lmail_policy_connect; DENY is 452, or 421 where the connection shall end. */
LMAIL_API lmail_status lmail_policy_rate(const lmail_policy *policy,
                                         const lmail_policy_question *question,
                                         lmail_policy_verdict *verdict);
LMAIL_API lmail_status lmail_policy_connections(const lmail_policy *policy,
                                                const lmail_policy_question *question,
                                                lmail_policy_verdict *verdict);

/* ---- Our own credentials --------------------------------------------------------------------- */

/* Slices lie in room: secrets, for the caller to wipe. Missing parts are empty. */
typedef struct lmail_policy_credentials {
    unsigned need;
    unsigned found;
    lmail_str authzid, authid, password, realm;
    lmail_str mechanisms; /* blanks between */
    lmail_str file;
    size_t line;
    char room[LMAIL_POLICY_MAX_ADDRESS * 3];
} lmail_policy_credentials;

/* What we log in with at this server (AuthInfo:). Returns: as lmail_policy_connect. */
LMAIL_API lmail_status lmail_policy_auth_info(const lmail_policy *policy,
                                              const lmail_policy_question *question,
                                              lmail_policy_credentials *out);

#ifdef __cplusplus
}
#endif

#endif
