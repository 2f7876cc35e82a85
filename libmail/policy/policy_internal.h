/* policy_internal.h - the pieces of the policy room.
 *
 *     policy_map.c      keys and values of a text file in a hash table
 *     policy_key.c      addresses in one spelling; keys as they are looked up
 *     policy_access.c   the access map's lines: tags, repairs, warnings
 *     policy_value.c    the access map's values
 *     policy_class.c    class w (local) and class R (relay)
 *     policy_load.c     the host's config made into one immutable policy
 *     policy_search.c   the searches D, A, F, U and their explanation
 *     policy_address.c  senders, recipients and the routes in them
 *     policy_verdict.c  verdicts: from an entry, from a text
 *     policy_connect.c policy_mail.c policy_rcpt.c policy_relay.c    the decisions
 *     policy_tls.c      TLS_Clt, TLS_Srv, TLS_Rcpt, Try_TLS
 *     policy_tags.c     Srv_Features, AuthInfo, ClientRate, ClientConn, GreetPause */
#ifndef LMI_POLICY_INTERNAL_H
#define LMI_POLICY_INTERNAL_H

#include "policy/policy_map.h"

#include <libmail/policy.h>

/* ---- Addresses and keys ---------------------------------------------------------------------- */

#define LMI_MAX_ADDRESS_TEXT 48u

/* An address as keys spell it: "192.0.2.1", "ipv6:2001:db8:0:0:0:0:0:1". */
typedef struct lmi_address {
    char text[LMI_MAX_ADDRESS_TEXT];
    size_t len;
    unsigned loopback;
} lmi_address;

/* "192.0.2.1", "2001:db8::1", "IPv6:2001:db8::1"; an IPv4 address inside an IPv6 one (::ffff:0:0/96)
 * becomes the former. OK or ERR_SYNTAX. */
lmail_status lmi_policy_address_parse(lmail_str text, lmi_address *out);

/* Such an address, len octets of s, without its last octet or group: the length left, or 0. */
size_t lmi_address_shorter(const char *s, size_t len);

/* What a key looks like, for a warning. */
typedef enum lmi_key_fault {
    LMI_KEY_FINE = 0,
    LMI_KEY_MASK,      /* 192.0.2.0/24 */
    LMI_KEY_LAST_DOT,  /* 192.0.2. */
    LMI_KEY_WILDCARD,  /* *.example.org */
    LMI_KEY_BARE_IPV6, /* 2001:db8::1 */
    LMI_KEY_BAD_IPV6   /* IPv6:xyz */
} lmi_key_fault;

/* A folded key, its tag cut off, in the spelling that is looked up. IPv6 keys, also inside brackets
 * and behind an '@', are written into `room` when they change; others stay as they are. */
#define LMI_MAX_KEY_TEXT (LMAIL_POLICY_MAX_ADDRESS + LMI_MAX_ADDRESS_TEXT)
lmail_str lmi_key_spell(lmail_str key, char room[LMI_MAX_KEY_TEXT], lmi_key_fault *fault);

/* ---- The access map -------------------------------------------------------------------------- */

typedef enum lmi_tag {
    LMI_TAG_NONE = 0,
    LMI_TAG_CONNECT,
    LMI_TAG_FROM,
    LMI_TAG_TO,
    LMI_TAG_SPAM,
    LMI_TAG_TLS_CLT,
    LMI_TAG_TLS_SRV,
    LMI_TAG_TLS_RCPT,
    LMI_TAG_TRY_TLS,
    LMI_TAG_SRV_FEATURES,
    LMI_TAG_AUTHINFO,
    LMI_TAG_CLIENT_RATE,
    LMI_TAG_CLIENT_CONN,
    LMI_TAG_GREET_PAUSE,
    LMI_TAG_QGRP,
    LMI_TAG_COMPAT,
    LMI_TAG_CERT_ISSUER,
    LMI_TAG_CERT_SUBJECT,
    LMI_TAG_COUNT
} lmi_tag;

typedef struct lmi_tag_row {
    const char *name;   /* "Connect:" */
    const char *folded; /* "connect:" */
    unsigned alone;     /* the tag without a key is an entry */
    unsigned unsupported;
} lmi_tag_row;
extern const lmi_tag_row lmi_tags[LMI_TAG_COUNT];
lmail_str lmi_tag_folded(lmi_tag tag);

/* lmi_map_entry.kind in the access map, with LMI_VALUE_TAGGED when its key has a tag */
typedef enum lmi_value_kind {
    LMI_VALUE_OK = 0,
    LMI_VALUE_RELAY,
    LMI_VALUE_REJECT,
    LMI_VALUE_DISCARD,
    LMI_VALUE_SKIP,
    LMI_VALUE_FRIEND,
    LMI_VALUE_HATER,
    LMI_VALUE_QUARANTINE, /* value: the reason */
    LMI_VALUE_REPLY,      /* value: what lmi_reply_parse takes */
    LMI_VALUE_OTHER       /* the tag's own grammar */
} lmi_value_kind;
#define LMI_VALUE_TAGGED 0x80u
lmi_value_kind lmi_entry_kind(const lmi_map_entry *e);

/* One complaint about a line. */
typedef struct lmi_policy_loader {
    const lmail_policy_config *config;
    lmail_str file;
    uint32_t line;
    unsigned errors;
} lmi_policy_loader;
void lmi_policy_say(lmi_policy_loader *l, lmail_severity severity, const lmail_str *pieces,
                    size_t count);
#define LMI_POLICY_SAY(l, severity, ...)                                                           \
    lmi_policy_say(l, severity, (const lmail_str[]){__VA_ARGS__},                                  \
                   sizeof((const lmail_str[]){__VA_ARGS__}) / sizeof(lmail_str))

/* A value of the access map: judged, its quotes and comment cut off, control octets replaced; what
 * is wrong with it was said. It lies in the map's own memory. */
lmi_value_kind lmi_value_read(lmi_policy_loader *l, lmi_tag tag, char *ptr, size_t *len,
                              char **begin);
/* Is it a value of that tag's own grammar: tells `TLS_Clt: VERIFY` from `TLS_Clt: host VERIFY`. */
int lmi_value_fits(lmi_tag tag, lmail_str value);

/* A reply in its parts: [D.S.N:][NNN[ D.S.N]][ text]. Missing parts are 0 and empty. */
typedef struct lmi_reply_parts {
    unsigned code;
    lmail_str enhanced;
    lmail_str text;
} lmi_reply_parts;
void lmi_reply_parse(lmail_str value, lmi_reply_parts *out);

/* TLS_*: [PERM+|TEMP+](VERIFY[:bits]|ENCR:bits)[+need[++need ...]] */
typedef struct lmi_tls_want {
    unsigned code; /* 454, or what TEMP and PERM say */
    unsigned verify;
    uint32_t bits;
    lmail_str needs; /* "CN:name++CI:issuer" */
} lmi_tls_want;
/* OK; ERR_SYNTAX: a requirement that is broken; LMAIL_END: none at all. */
lmail_status lmi_tls_parse(lmail_str value, lmi_tls_want *out);

/* AuthInfo: the next of its quoted parts: `"U:name"`. OK, LMAIL_END, ERR_SYNTAX. base64: "U=". */
lmail_status lmi_authinfo_next(lmail_str *rest, char *letter, unsigned *base64, lmail_str *text);

/* ---- The policy ------------------------------------------------------------------------------ */

struct lmail_policy {
    lmail_alloc alloc;
    lmail_policy_config config; /* the switches; its slices are copies or empty */
    lmi_arena arena;
    lmi_map access, w, r;
    size_t tag_count[LMI_TAG_COUNT]; /* entries of each tag */
    lmail_str host_domain;           /* the host name without its first label; class m */
    lmi_reply_parts reject, reject_recipient, relay;
};

lmail_status lmi_access_load(lmail_policy *p, lmi_policy_loader *l);
lmail_status lmi_classes_load(lmail_policy *p, lmi_policy_loader *l);

/* ---- Asking ---------------------------------------------------------------------------------- */

/* One question being answered. */
typedef struct lmi_case {
    const lmail_policy *p;
    const lmail_policy_question *q;
    const lmail_policy_peer *peer;
    lmail_policy_verdict *v;
    size_t used;      /* of v->room */
    unsigned network; /* the peer has an address */
    lmi_address address;
    char name_room[256];
    lmail_str name;                     /* verified, folded, without its last dot; or empty */
    unsigned sender_ok;                 /* From: said OK or RELAY */
    unsigned tagged_only;               /* no key is tried without its tag */
    lmail_policy_question own_question; /* of hosts that were built for an older library */
    lmail_policy_peer own_peer;
    const lmi_map_entry *held; /* the first QUARANTINE that was met */
} lmi_case;

/* An address in its parts, for lookups: unquoted and folded. */
typedef struct lmi_mailbox {
    lmail_str local, domain; /* domain empty: unqualified */
} lmi_mailbox;

/* Take a question: OK, ERR_SIZE, ERR_ARG. The verdict is ACCEPT then. */
lmail_status lmi_case_begin(lmi_case *a, const lmail_policy *p, const lmail_policy_question *q,
                            lmail_policy_verdict *v);

/* Explain; costs a test when nobody listens. entry may be NULL. */
void lmi_tell_step(const lmi_case *a, lmi_tag tag, lmail_str key, const lmi_map *map,
                   const lmi_map_entry *e, const char *meaning);
void lmi_tell_fact(const lmi_case *a, lmail_str fact, unsigned hit, const char *meaning);

static inline void lmi_step(const lmi_case *a, lmi_tag tag, lmail_str key, const lmi_map *map,
                            const lmi_map_entry *e, const char *meaning)
{
    if (a->q->on_step)
        lmi_tell_step(a, tag, key, map, e, meaning);
}

static inline void lmi_step_fact(const lmi_case *a, lmail_str fact, unsigned hit,
                                 const char *meaning)
{
    if (a->q->on_step)
        lmi_tell_fact(a, fact, hit, meaning);
}

/* Searches. tag LMI_TAG_CONNECT, _FROM and _TO also try the key without it. D and A give NULL when
 * SKIP ended them; F and U give the SKIP entry, which ends the searches behind them too. */
const lmi_map_entry *lmi_search_exact(const lmi_case *a, lmi_tag tag, lmail_str key,
                                      const char *meaning);
const lmi_map_entry *lmi_search_domain(const lmi_case *a, lmi_tag tag, lmail_str name,
                                       const char *meaning);
const lmi_map_entry *lmi_search_address(const lmi_case *a, lmi_tag tag, const char *meaning);
const lmi_map_entry *lmi_search_full(const lmi_case *a, lmi_tag tag, const lmi_mailbox *m,
                                     const char *meaning);
const lmi_map_entry *lmi_search_user(const lmi_case *a, lmi_tag tag, const lmi_mailbox *m,
                                     const char *meaning);
/* F, U and D, those that are asked for; NULL also when SKIP ended it. */
enum { LMI_SEARCH_F = 1, LMI_SEARCH_U = 2, LMI_SEARCH_D = 4 };
const lmi_map_entry *lmi_search_mailbox(const lmi_case *a, lmi_tag tag, const lmi_mailbox *m,
                                        unsigned which, const char *meaning);
/* The peer: name (or its address in brackets), address, and the tag alone. *need: the name first. */
const lmi_map_entry *lmi_search_peer(lmi_case *a, lmi_tag tag, unsigned alone, unsigned *need);
/* Is there any entry that a search with this tag could find? */
int lmi_search_possible(const lmail_policy *p, lmi_tag tag);

/* Classes. */
const lmi_map_entry *lmi_in_w(const lmi_case *a, lmail_str name, const char *meaning);
const lmi_map_entry *lmi_name_in_r(const lmi_case *a, lmail_str name, const char *meaning);
const lmi_map_entry *lmi_address_in_r(const lmi_case *a, const char *meaning);
int lmi_in_host_domain(const lmi_case *a, lmail_str name, const char *meaning);
/* "[192.0.2.1]" of the peer, as class w and keys spell it. */
lmail_str lmi_peer_literal(const lmi_case *a, char room[LMI_MAX_ADDRESS_TEXT + 2]);

/* Verdicts. accept forgets what was said before, but for the recipient's parts. */
void lmi_policy_accept(lmi_case *a, lmail_policy_verdict_kind kind, const char *rule);
void lmi_need(lmi_case *a, unsigned need);
/* The entry that decided: file, line, and rule, which is its key when NULL. */
void lmi_blame(lmi_case *a, const lmi_map *map, const lmi_map_entry *e, const char *rule);
/* The end of a question: QUARANTINE if one was met, and the reply of a yes (text NULL: none). */
void lmi_case_end(lmi_case *a, const char *enhanced, const char *text);
void lmi_deny(lmi_case *a, unsigned code, const char *enhanced, const lmail_str *pieces,
              size_t count);
#define LMI_DENY(a, code, enhanced, ...)                                                           \
    lmi_deny(a, code, enhanced, (const lmail_str[]){__VA_ARGS__},                                  \
             sizeof((const lmail_str[]){__VA_ARGS__}) / sizeof(lmail_str))
void lmi_deny_parts(lmi_case *a, const lmi_reply_parts *parts, const lmi_reply_parts *standard);
/* What an entry's value means for the check; 1: it decided (DENY or DISCARD), 0: go on. */
int lmi_obey(lmi_case *a, const lmi_map_entry *e, const lmi_reply_parts *reject);

/* Room in the verdict: NULL when it is full. */
char *lmi_room(lmi_case *a, size_t size);

/* ---- Addresses of senders and recipients ----------------------------------------------------- */

/* Take an address apart, its source route dropped, into the verdict's room; a fault is a DENY, and
 * 0 is returned. */
int lmi_mailbox_parse(lmi_case *a, lmail_str text, lmi_mailbox *out);
/* The same for a recipient: fills v->local_part, domain and routed, with the routes stripped that
 * this host would follow. *refused_route: '%' or '!' stand in it and are not allowed. */
int lmi_recipient_parse(lmi_case *a, lmail_str text, lmi_mailbox *out, unsigned *refused_route);

/* ---- The checks ------------------------------------------------------------------------------ */

void lmi_check_connect(lmi_case *a);
void lmi_check_mail(lmi_case *a);
void lmi_check_tls(lmi_case *a, lmi_tag tag);
/* May the client relay: 1 (v is RELAY), 0 (v is the refusal), or -1 (v is NEED). */
int lmi_may_relay(lmi_case *a);
int lmi_is_trusted(const lmi_case *a); /* authenticated by a trusted mechanism */
/* Does the map open relaying to that domain? NULL: no. */
const lmi_map_entry *lmi_relay_to(const lmi_case *a, const lmi_mailbox *m);

#endif
