/* libmail/host/dns.h - the resolver: what a mail server asks of the DNS.
 *
 * Who is this client, does this sender's domain exist, where does mail for it go, is this address
 * on that list. Every question is asynchronous: it is answered once, by its callback, on the loop
 * that the resolver is bound to, never from inside the call that asked; or it is cancelled, and
 * then its callback is not called. No question lasts longer than `timeout`: a server that is dead
 * delays an answer and turns it into LMAIL_DNS_TEMP.
 *
 *     lmail_dns_config config = LMAIL_DNS_CONFIG_INIT;
 *     config.loop = lmail_loop_uv(loop);
 *     lmail_dns_new(&dns, &config, error, sizeof(error));
 *     lmail_dns_ask_client(dns, LMAIL_STR("192.0.2.1"), on_client, connection, &ticket);
 *
 * Underneath is libunbound in a thread of its own: it validates (DNSSEC) where a trust anchor is
 * given, falls back to TCP, caches (an answer of the last minute comes without its thread) and asks
 * an equal question that is under way only once. One
 * resolver costs a thread and 1.6 MiB besides its cache; make one a loop and keep it.
 *
 * Threads: every function is for the thread of the loop. Make a resolver after the last fork().
 *
 * What a peer's DNS says is not believed: a name passes when each label is 1 to 63 letters, digits,
 * hyphens (not first or last) and underscores, the whole is at most 253 octets and the last label
 * is not a number; it is handed out in lower case without a final dot. A record with another name
 * counts as none. Names given to the questions obey the same rule: a domain that cannot stand in
 * the DNS is answered LMAIL_DNS_NONE without asking anybody; names in other scripts are the
 * caller's to convert (lmail_env's idna).
 *
 * Slices and arrays in an answer are borrowed for its callback. In a callback any function of the
 * resolver may be called. */
#ifndef LIBMAIL_HOST_DNS_H
#define LIBMAIL_HOST_DNS_H

#include <libmail/base.h>
#include <libmail/session.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s;

typedef struct lmail_dns lmail_dns;

/* ---- The resolver ---------------------------------------------------------------------------- */

typedef struct lmail_dns_config {
    size_t size;
    struct uv_loop_s *loop;
    const char *servers;      /* whom to ask: "192.0.2.53, ::1@5353", address and maybe @port,
                                * blanks or commas between; NULL or "": those of resolv_conf */
    const char *resolv_conf;  /* NULL: "/etc/resolv.conf". Without any nameserver line the server
                                * is 127.0.0.1. Source: resolv.conf(5) */
    const char *hosts;        /* addresses and names that go before the DNS; NULL: "/etc/hosts";
                                * "": none. Read once. Source: hosts(5) */
    const char *trust_anchor; /* file with DS or DNSKEY records; NULL or "": nothing is validated
                                * and `secure` is never set. Source: RFC 4035 §5 */
    lmail_msec timeout;       /* of a question; 0: 10 s */
    unsigned tries;           /* of a lookup at one server; 0: 2 */
    size_t cache_size;        /* octets of cached answers, about; 0: 4 MiB */
    unsigned max_lookups;     /* under way at once; above it answers are TEMP; 0: 2048 */
    /* A question is about to be answered: for counting. On the loop; asks and cancels nothing. May
     * be NULL. */
    void (*on_answered)(void *user, uint64_t microseconds);
    void *user;
} lmail_dns_config;

#define LMAIL_DNS_CONFIG_INIT                                                                      \
    {                                                                                              \
        sizeof(lmail_dns_config), NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, NULL             \
    }

LMAIL_API void lmail_dns_config_init(lmail_dns_config *config);

/* Read the files, start the resolver's thread (all signals blocked in it), watch it on the loop.
 *   error   filled with a terminated text for people when it fails (may be NULL, cap 0)
 * A resolver without questions does not keep uv_run from returning.
 * Returns: OK, ERR_SIZE, ERR_ARG (no loop, a server's address), ERR_NOTFOUND, ERR_SYNTAX (the
 * trust anchor), ERR_NOMEM, ERR_IO. */
LMAIL_API lmail_status lmail_dns_new(lmail_dns **out, const lmail_dns_config *config, char *error,
                                     size_t cap);

/* End it. Every question still open is answered LMAIL_DNS_TEMP within this call; what is left is
 * freed in a later turn of the loop, and then closed(arg) is called (closed may be NULL). NULL is
 * allowed; closed is then called at once. From a callback: yes. */
LMAIL_API void lmail_dns_free(lmail_dns *dns, void (*closed)(void *arg), void *arg);

/* The question is no longer wanted; its callback will not be called.
 * Returns: OK, ERR_STALE (it was answered or cancelled before). */
LMAIL_API lmail_status lmail_dns_cancel(lmail_dns *dns, lmail_ticket ticket);

typedef struct lmail_dns_stats {
    size_t size;
    uint64_t questions; /* asked */
    uint64_t found, none, forged, temp;
    uint64_t timeouts; /* of those TEMP: because `timeout` had passed */
    uint64_t lookups;  /* handed to libunbound, which may have the answer in its cache */
    uint64_t waiting;  /* questions open now */
    uint64_t open;     /* lookups under way now, those of cancelled questions too */
} lmail_dns_stats;

/* Fill *stats (its size set by the caller). Returns: OK, ERR_SIZE. */
LMAIL_API lmail_status lmail_dns_get_stats(const lmail_dns *dns, lmail_dns_stats *stats);

/* ---- Questions ------------------------------------------------------------------------------- */

typedef enum lmail_dns_result {
    LMAIL_DNS_FOUND = 0,
    LMAIL_DNS_NONE,   /* no such name, or nothing of the kind asked for */
    LMAIL_DNS_FORGED, /* client: the PTR record's name does not lead back to the address */
    LMAIL_DNS_TEMP    /* no answer in time, servers failing, or an answer that fails validation */
} lmail_dns_result;

/* "found", "none", "forged", "temp"; a static string for the log. */
LMAIL_API const char *lmail_dns_result_name(lmail_dns_result result);

/* All questions below:
 *   user    handed to the callback
 *   ticket  out, may be NULL; never 0
 * Return: OK (the callback will be called once, unless cancelled), ERR_SYNTAX (not an address),
 * ERR_ARG (no callback), ERR_LIMIT (too many questions at once), ERR_NOMEM, ERR_CLOSED (being
 * freed). Otherwise than OK no callback is called. */

/* Who is a client: PTR record, confirmed by the name's own A or AAAA records. The first 8 names
 * are looked at; one that leads back is enough.
 *   address   "192.0.2.1", "2001:db8::1", IPv4-mapped as IPv4
 * FOUND: name. FORGED: name is the first that was claimed. NONE: no PTR record. TEMP: PTR or the
 * confirmation failed for now. Source: RFC 1035 §3.5, RFC 3596 §2.5, RFC 8601 §2.7.3 (iprev). */
typedef struct lmail_dns_client {
    lmail_dns_result result;
    lmail_str name;
    unsigned secure; /* every record that decided was validated */
} lmail_dns_client;
typedef void lmail_dns_client_fn(void *user, lmail_ticket ticket, const lmail_dns_client *answer);
LMAIL_API lmail_status lmail_dns_ask_client(lmail_dns *dns, lmail_str address,
                                            lmail_dns_client_fn *fn, void *user,
                                            lmail_ticket *ticket);

/* Does a sender's domain exist: an MX, A or AAAA record; of a literal ("[192.0.2.1]",
 * "[IPv6:2001:db8::1]") a PTR record.
 * FOUND, NONE or TEMP. A domain that says it takes no mail is FOUND, with null_mx set: what to make
 * of such a sender is the caller's. Source: RFC 5321 §5.1, RFC 7505 §4.2. */
typedef struct lmail_dns_domain {
    lmail_dns_result result;
    unsigned has_mx;  /* existing by MX records */
    unsigned null_mx; /* its one MX record is "0 ." */
} lmail_dns_domain;
typedef void lmail_dns_domain_fn(void *user, lmail_ticket ticket, const lmail_dns_domain *answer);
LMAIL_API lmail_status lmail_dns_ask_domain(lmail_dns *dns, lmail_str domain,
                                            lmail_dns_domain_fn *fn, void *user,
                                            lmail_ticket *ticket);

/* Where does mail for a domain go: its MX hosts, lowest preference first, at most 64. A domain that
 * exists without MX records is its own host (implicit). To learn whether a domain lists this host
 * (relay_based_on_MX), compare each host with the names of one's own.
 * FOUND: hosts. NONE: no such domain, null_mx, or no MX record names a proper host. TEMP.
 * Source: RFC 5321 §5.1, RFC 7505 §3. */
typedef struct lmail_dns_mx_host {
    lmail_str name;
    unsigned preference;
} lmail_dns_mx_host;
typedef struct lmail_dns_mx {
    lmail_dns_result result;
    const lmail_dns_mx_host *hosts;
    size_t count;
    unsigned implicit;
    unsigned null_mx;
    unsigned secure; /* the MX records, or their absence, were validated */
} lmail_dns_mx;
typedef void lmail_dns_mx_fn(void *user, lmail_ticket ticket, const lmail_dns_mx *answer);
LMAIL_API lmail_status lmail_dns_ask_mx(lmail_dns *dns, lmail_str domain, lmail_dns_mx_fn *fn,
                                        void *user, lmail_ticket *ticket);

/* The addresses of a host, in the order served, at most 32 of each family, IPv6 behind IPv4.
 * FOUND when there is one of either family. */
typedef struct lmail_dns_address {
    unsigned version; /* 4 or 6 */
    unsigned char octets[16];
} lmail_dns_address;
typedef struct lmail_dns_addresses {
    lmail_dns_result result;
    const lmail_dns_address *list;
    size_t count;
    unsigned secure; /* all of them validated */
} lmail_dns_addresses;
typedef void lmail_dns_addresses_fn(void *user, lmail_ticket ticket,
                                    const lmail_dns_addresses *answer);
LMAIL_API lmail_status lmail_dns_ask_addresses(lmail_dns *dns, lmail_str host,
                                               lmail_dns_addresses_fn *fn, void *user,
                                               lmail_ticket *ticket);

/* Is an address on a block or allow list: its A records under the zone, at most 16. Ask several
 * lists at once by several questions.
 *   address     as for lmail_dns_ask_client
 *   want_text   not 0: a listed address's TXT record too
 * FOUND: at least one answer in 127.0.0.0/8; answers outside of it, which a lapsed zone gives for
 * every address, are left out. Source: RFC 5782 §2.1, §2.3, §2.4. */
typedef struct lmail_dns_listing {
    lmail_dns_result result;
    const lmail_dns_address *answers; /* 127.0.0.x */
    size_t count;
    lmail_str text; /* printable ASCII, other octets as '?'; may be empty */
} lmail_dns_listing;
typedef void lmail_dns_listing_fn(void *user, lmail_ticket ticket, const lmail_dns_listing *answer);
LMAIL_API lmail_status lmail_dns_ask_listing(lmail_dns *dns, lmail_str address, lmail_str zone,
                                             unsigned want_text, lmail_dns_listing_fn *fn,
                                             void *user, lmail_ticket *ticket);

#ifdef __cplusplus
}
#endif

#endif
