/* dns_internal.h - what the files of host/dns share: names, the hosts file, questions and lookups.
 *
 * A question (what the host asked) makes lookups (a name and a type each). A question is live until
 * it is answered or cancelled; its memory stays until its last lookup has come home, because
 * libunbound does not take one back from its thread. */
#ifndef LMI_DNS_INTERNAL_H
#define LMI_DNS_INTERNAL_H

#include <libmail/host/dns.h>

#include <unbound.h>
#include <uv.h>

#define LMI_DNS_NAME 254  /* 253 octets (RFC 1035 §2.3.4) and the NUL that libunbound wants */
#define LMI_DNS_LOOKUPS 9 /* of one question: PTR and eight names */
#define LMI_DNS_QUESTIONS 65536 /* open at once */

enum { LMI_DNS_A = 1, LMI_DNS_PTR = 12, LMI_DNS_MX = 15, LMI_DNS_TXT = 16, LMI_DNS_AAAA = 28 };

/* ---- Names and addresses (dns_name.c) -------------------------------------------------------- */

/* A name that may stand in the DNS, lower case and terminated. OK or ERR_SYNTAX. */
lmail_status lmi_dns_name(lmail_str in, char out[LMI_DNS_NAME]);
/* The same from rdata: one uncompressed name that fills it. *root: it is the root (out is ""). */
lmail_status lmi_dns_wire_name(lmail_str in, char out[LMI_DNS_NAME], int *root);
/* OK or ERR_SYNTAX; an IPv4-mapped address becomes IPv4. */
lmail_status lmi_dns_address(lmail_str in, lmail_dns_address *out);
int lmi_dns_address_equal(const lmail_dns_address *a, const lmail_dns_address *b);
/* The address's octets or nibbles in reverse, each with a dot, then the zone; NULL: in-addr.arpa or
 * ip6.arpa. OK or ERR_SYNTAX (too long, or not a name). */
lmail_status lmi_dns_reversed(const lmail_dns_address *a, const char *zone, char out[LMI_DNS_NAME]);

/* ---- Files (dns_files.c) --------------------------------------------------------------------- */

typedef struct lmi_dns_host {
    lmail_dns_address address;
    unsigned line;    /* its place in the file; of several entries the first holds */
    unsigned primary; /* the first name on its line */
    char *name;
} lmi_dns_host;

typedef struct lmi_dns_hosts {
    lmi_dns_host *by_name;           /* sorted by name, line */
    const lmi_dns_host **by_address; /* the primary ones, sorted by address, line */
    size_t count, primaries;
} lmi_dns_hosts;

/* A file that is not there is an empty one. OK, ERR_NOMEM, ERR_IO. */
lmail_status lmi_dns_hosts_read(lmi_dns_hosts *out, const char *file);
void lmi_dns_hosts_done(lmi_dns_hosts *hosts);
/* The name of an address, or NULL. */
const char *lmi_dns_hosts_name(const lmi_dns_hosts *hosts, const lmail_dns_address *address);
/* The addresses of a name in one family: up to cap of them into out; how many. */
size_t lmi_dns_hosts_addresses(const lmi_dns_hosts *hosts, const char *name, unsigned version,
                               lmail_dns_address *out, size_t cap);

/* Call add(ctx, address) for each nameserver line, at most 8; without any: 127.0.0.1.
 * OK, ERR_IO (the file is there but cannot be read), or what add returned. */
lmail_status lmi_dns_resolv_conf(const char *file, lmail_status (*add)(void *ctx, const char *text),
                                 void *ctx);

/* ---- Lookups --------------------------------------------------------------------------------- */

typedef struct lmi_dns_question lmi_dns_question;
typedef struct lmi_dns_lookup lmi_dns_lookup;

/* What a lookup found; borrowed from libunbound or from the hosts file. */
typedef struct lmi_dns_answer {
    lmail_dns_result result; /* FOUND: count is not 0 */
    unsigned no_name;        /* NONE because the name does not exist (NXDOMAIN) */
    unsigned secure;
    size_t count;
    const lmail_str *data;
} lmi_dns_answer;

/* ---- Kept answers (dns_cache.c) -------------------------------------------------------------- */

typedef struct lmi_dns_kept {
    lmi_dns_answer answer;
    lmail_msec expires;
    unsigned uses; /* the cache's and the lookups' that wait to land with it */
    int type;
    const char *name;
    lmail_str data[]; /* of the answer; octets and name behind */
} lmi_dns_kept;

typedef struct lmi_dns_cache {
    lmi_dns_kept **slots;
    size_t count; /* a power of 2 */
} lmi_dns_cache;

/* Takes a part of cache_size. OK or ERR_NOMEM. */
lmail_status lmi_dns_cache_init(lmi_dns_cache *cache, size_t octets);
void lmi_dns_cache_done(lmi_dns_cache *cache);
/* What is kept of a name and type, to be released by the caller; NULL: nothing. */
lmi_dns_kept *lmi_dns_cache_get(lmi_dns_cache *cache, int type, const char *name, lmail_msec now);
void lmi_dns_kept_release(lmi_dns_kept *kept); /* NULL is allowed */
/* Keep an answer for ttl seconds, if it is worth it. */
void lmi_dns_cache_put(lmi_dns_cache *cache, int type, const char *name,
                       const lmi_dns_answer *answer, int ttl, lmail_msec now);

struct lmi_dns_lookup {
    lmi_dns_question *question;
    lmi_dns_lookup *next_ready; /* answered without libunbound: comes home in the next turn */
    int type;
    unsigned tag; /* the question's own */
    lmail_dns_result ready;
    unsigned from_hosts;
    lmi_dns_kept *kept; /* what it lands with */
    char name[LMI_DNS_NAME];
};

/* ---- Questions (dns_question.c) -------------------------------------------------------------- */

typedef struct lmi_dns_kind {
    size_t size;
    /* A lookup came home: take what is in it, then finish or wait for others. */
    void (*landed)(lmi_dns_question *q, const lmi_dns_lookup *lookup, const lmi_dns_answer *answer);
    /* Call the host back with the result and what was gathered. */
    void (*deliver)(lmi_dns_question *q, lmail_dns_result result);
} lmi_dns_kind;

/* The first member of every kind of question. */
struct lmi_dns_question {
    lmail_dns *dns;
    const lmi_dns_kind *kind;
    lmi_dns_question *prev, *next; /* among the live ones by deadline, or among the others */
    uint64_t asked;                /* uv_hrtime */
    lmail_msec deadline;
    lmail_ticket ticket; /* low 16 bits: its slot */
    unsigned live, lookup_count, open;
    unsigned secure; /* all lookups that landed FOUND or NONE were */
    lmi_dns_lookup lookups[LMI_DNS_LOOKUPS];
};

typedef struct lmi_dns_queue {
    lmi_dns_question *first, *last;
} lmi_dns_queue;

struct lmail_dns {
    struct ub_ctx *ub;
    uv_poll_t poll;
    uv_timer_t timer;
    uv_loop_t *loop;
    lmi_dns_hosts hosts;
    lmi_dns_cache cache;
    lmail_msec timeout;
    unsigned max_lookups;
    lmi_dns_queue live;  /* oldest first: all have the same timeout */
    lmi_dns_queue ended; /* answered or cancelled, lookups still out */
    lmi_dns_lookup *ready, **ready_end;
    lmi_dns_question **slots;
    size_t slot_count;
    uint32_t *free_slots;
    size_t free_count;
    uint64_t serial;
    lmail_dns_stats stats;
    unsigned handles; /* of libuv, open */
    unsigned closing;
    void (*closed)(void *arg);
    void *closed_arg;
    void (*on_answered)(void *user, uint64_t microseconds); /* may be NULL */
    void *user;
};

/* A new live question of a kind. Returns as the questions of the public header. */
lmail_status lmi_dns_question_new(lmail_dns *dns, const lmi_dns_kind *kind, lmi_dns_question **out);
/* Start a lookup of a proper name. */
void lmi_dns_look(lmi_dns_question *q, int type, const char *name, unsigned tag);
/* The question is answered without any lookup, in the next turn. */
void lmi_dns_settle(lmi_dns_question *q, lmail_dns_result result);
/* Answer the host; the question is then no longer live. */
void lmi_dns_finish(lmi_dns_question *q, lmail_dns_result result);

/* The timer has run out: bring home what is ready, end what is late. */
void lmi_dns_turn(lmail_dns *dns);
/* End all live questions; free everything of questions and slots. */
void lmi_dns_end_all(lmail_dns *dns);
void lmi_dns_questions_done(lmail_dns *dns);

#endif
