/* dns_domain.c - does a domain exist, where does its mail go, which addresses has a host.
 *
 * RFC 5321 §5.1 (MX, implicit MX), RFC 7505 (null MX), RFC 5321 §4.1.3 (literals). The three
 * questions share one shape: lookups land in a list, the last decides. */
#include "dns_internal.h"

#include <string.h>

/* ---- Does a domain exist --------------------------------------------------------------------- */

typedef struct domain_question {
    lmi_dns_question base;
    lmail_dns_domain_fn *fn;
    void *user;
    unsigned waiting, temp;
    unsigned has_mx, null_mx;
    char name[LMI_DNS_NAME];
} domain_question;

/* RFC 7505 §3: exactly one record, preference 0, the root as its host. */
static int is_null_mx(const lmi_dns_answer *answer)
{
    return answer->count == 1 && answer->data[0].len == 3 &&
           !memcmp(answer->data[0].ptr, "\0\0", 3);
}

static void domain_deliver(lmi_dns_question *q, lmail_dns_result result)
{
    domain_question *d = (domain_question *)q;
    lmail_dns_domain answer = {result, d->has_mx, d->null_mx};
    d->fn(d->user, q->ticket, &answer);
}

/* A PTR record with an improper name counts as none. */
static int names_somebody(const lmi_dns_answer *answer)
{
    char name[LMI_DNS_NAME];
    int root;
    for (size_t i = 0; i < answer->count; i++)
        if (!lmi_dns_wire_name(answer->data[i], name, &root) && !root)
            return 1;
    return 0;
}

static void domain_landed(lmi_dns_question *q, const lmi_dns_lookup *lookup,
                          const lmi_dns_answer *answer)
{
    domain_question *d = (domain_question *)q;
    if (lookup->type == LMI_DNS_MX) {
        d->null_mx = answer->result == LMAIL_DNS_FOUND && is_null_mx(answer);
        d->has_mx = answer->result == LMAIL_DNS_FOUND && !d->null_mx;
        if (answer->result != LMAIL_DNS_NONE || answer->no_name) {
            lmi_dns_finish(q, answer->result);
            return;
        }
        d->waiting = 2;
        lmi_dns_look(q, LMI_DNS_A, d->name, 0);
        lmi_dns_look(q, LMI_DNS_AAAA, d->name, 0);
        return;
    }
    if (lookup->type == LMI_DNS_PTR) {
        lmi_dns_finish(q,
                       answer->count && !names_somebody(answer) ? LMAIL_DNS_NONE : answer->result);
        return;
    }
    d->waiting--;
    d->temp |= answer->result == LMAIL_DNS_TEMP;
    if (answer->result == LMAIL_DNS_FOUND)
        lmi_dns_finish(q, LMAIL_DNS_FOUND);
    else if (d->waiting == 0)
        lmi_dns_finish(q, d->temp ? LMAIL_DNS_TEMP : LMAIL_DNS_NONE);
}

static const lmi_dns_kind domain_kind = {sizeof(domain_question), domain_landed, domain_deliver};

/* "[192.0.2.1]", "[IPv6:2001:db8::1]". OK or ERR_SYNTAX. */
static lmail_status parse_literal(lmail_str domain, lmail_dns_address *out)
{
    const lmail_str tag = LMAIL_STR("IPv6:");
    if (domain.len < 3 || domain.ptr[0] != '[' || domain.ptr[domain.len - 1] != ']')
        return LMAIL_ERR_SYNTAX;
    lmail_str in = {domain.ptr + 1, domain.len - 2};
    if (in.len > tag.len && lmail_str_equal_nocase((lmail_str){in.ptr, tag.len}, tag))
        in = (lmail_str){in.ptr + tag.len, in.len - tag.len};
    return lmi_dns_address(in, out);
}

lmail_status lmail_dns_ask_domain(lmail_dns *dns, lmail_str domain, lmail_dns_domain_fn *fn,
                                  void *user, lmail_ticket *ticket)
{
    lmi_dns_question *q;
    lmail_dns_address literal;
    if (!fn)
        return LMAIL_ERR_ARG;
    lmail_status status = lmi_dns_question_new(dns, &domain_kind, &q);
    if (status)
        return status;
    domain_question *d = (domain_question *)q;
    d->fn = fn;
    d->user = user;
    if (ticket)
        *ticket = q->ticket;
    if (!parse_literal(domain, &literal) && !lmi_dns_reversed(&literal, NULL, d->name)) {
        if (lmi_dns_hosts_name(&dns->hosts, &literal))
            lmi_dns_settle(q, LMAIL_DNS_FOUND);
        else
            lmi_dns_look(q, LMI_DNS_PTR, d->name, 0);
    } else if (lmi_dns_name(domain, d->name)) {
        lmi_dns_settle(q, LMAIL_DNS_NONE);
    } else {
        lmi_dns_look(q, LMI_DNS_MX, d->name, 0);
    }
    return LMAIL_OK;
}

/* ---- Where does its mail go ------------------------------------------------------------------ */

#define MX_MAX 64

typedef struct mx_question {
    lmi_dns_question base;
    lmail_dns_mx_fn *fn;
    void *user;
    unsigned implicit, null_mx;
    size_t count;
    lmail_dns_mx_host hosts[MX_MAX];
    char names[MX_MAX][LMI_DNS_NAME];
} mx_question;

static void mx_deliver(lmi_dns_question *q, lmail_dns_result result)
{
    mx_question *m = (mx_question *)q;
    lmail_dns_mx answer = {.result = result, .implicit = m->implicit, .null_mx = m->null_mx};
    answer.secure = result != LMAIL_DNS_TEMP && q->secure;
    if (result == LMAIL_DNS_FOUND) {
        answer.hosts = m->hosts;
        answer.count = m->count;
    }
    m->fn(m->user, q->ticket, &answer);
}

/* Lowest preference first; equal ones as served. */
static void add_host(mx_question *m, unsigned preference, const char *name)
{
    char *kept = m->names[m->count];
    memcpy(kept, name, strlen(name) + 1);
    size_t i = m->count++;
    for (; i > 0 && m->hosts[i - 1].preference > preference; i--)
        m->hosts[i] = m->hosts[i - 1];
    m->hosts[i] = (lmail_dns_mx_host){lmail_str_from(kept), preference};
}

static void mx_landed(lmi_dns_question *q, const lmi_dns_lookup *lookup,
                      const lmi_dns_answer *answer)
{
    mx_question *m = (mx_question *)q;
    char name[LMI_DNS_NAME];
    int root;
    if (answer->result == LMAIL_DNS_NONE && !answer->no_name) {
        m->implicit =
            1; /* RFC 5321 §5.1: as if one MX of preference 0 pointed to the host itself */
        add_host(m, 0, lookup->name);
    }
    m->null_mx = answer->result == LMAIL_DNS_FOUND && is_null_mx(answer);
    for (size_t i = 0; i < answer->count && m->count < MX_MAX; i++) {
        const unsigned char *data = (const unsigned char *)answer->data[i].ptr;
        size_t len = answer->data[i].len;
        if (len > 2 &&
            !lmi_dns_wire_name((lmail_str){(const char *)data + 2, len - 2}, name, &root) && !root)
            add_host(m, (unsigned)data[0] << 8 | data[1], name);
    }
    lmi_dns_finish(q, m->count                           ? LMAIL_DNS_FOUND
                      : answer->result == LMAIL_DNS_TEMP ? LMAIL_DNS_TEMP
                                                         : LMAIL_DNS_NONE);
}

static const lmi_dns_kind mx_kind = {sizeof(mx_question), mx_landed, mx_deliver};

lmail_status lmail_dns_ask_mx(lmail_dns *dns, lmail_str domain, lmail_dns_mx_fn *fn, void *user,
                              lmail_ticket *ticket)
{
    lmi_dns_question *q;
    char name[LMI_DNS_NAME];
    if (!fn)
        return LMAIL_ERR_ARG;
    lmail_status status = lmi_dns_question_new(dns, &mx_kind, &q);
    if (status)
        return status;
    mx_question *m = (mx_question *)q;
    m->fn = fn;
    m->user = user;
    if (ticket)
        *ticket = q->ticket;
    if (lmi_dns_name(domain, name))
        lmi_dns_settle(q, LMAIL_DNS_NONE);
    else
        lmi_dns_look(q, LMI_DNS_MX, name, 0);
    return LMAIL_OK;
}

/* ---- A host's addresses ---------------------------------------------------------------------- */

#define ADDRESSES_MAX 32 /* of a family */

typedef struct addresses_question {
    lmi_dns_question base;
    lmail_dns_addresses_fn *fn;
    void *user;
    unsigned waiting, temp;
    size_t count4, count6;
    lmail_dns_address list[2 * ADDRESSES_MAX]; /* IPv6 from ADDRESSES_MAX on until delivered */
} addresses_question;

static void addresses_deliver(lmi_dns_question *q, lmail_dns_result result)
{
    addresses_question *a = (addresses_question *)q;
    lmail_dns_addresses answer = {.result = result};
    answer.secure = result != LMAIL_DNS_TEMP && q->secure && !a->temp;
    if (result == LMAIL_DNS_FOUND) {
        memmove(a->list + a->count4, a->list + ADDRESSES_MAX, a->count6 * sizeof(*a->list));
        answer.list = a->list;
        answer.count = a->count4 + a->count6;
    }
    a->fn(a->user, q->ticket, &answer);
}

static void addresses_landed(lmi_dns_question *q, const lmi_dns_lookup *lookup,
                             const lmi_dns_answer *answer)
{
    addresses_question *a = (addresses_question *)q;
    int six = lookup->type == LMI_DNS_AAAA;
    size_t len = six ? 16 : 4, *count = six ? &a->count6 : &a->count4;
    lmail_dns_address *list = a->list + (six ? ADDRESSES_MAX : 0);
    for (size_t i = 0; i < answer->count && *count < ADDRESSES_MAX; i++) {
        if (answer->data[i].len != len)
            continue;
        list[*count].version = six ? 6 : 4;
        memcpy(list[*count].octets, answer->data[i].ptr, len);
        ++*count;
    }
    a->temp |= answer->result == LMAIL_DNS_TEMP;
    if (--a->waiting == 0)
        lmi_dns_finish(q, a->count4 + a->count6 ? LMAIL_DNS_FOUND
                          : a->temp             ? LMAIL_DNS_TEMP
                                                : LMAIL_DNS_NONE);
}

static const lmi_dns_kind addresses_kind = {sizeof(addresses_question), addresses_landed,
                                            addresses_deliver};

lmail_status lmail_dns_ask_addresses(lmail_dns *dns, lmail_str host, lmail_dns_addresses_fn *fn,
                                     void *user, lmail_ticket *ticket)
{
    lmi_dns_question *q;
    char name[LMI_DNS_NAME];
    if (!fn)
        return LMAIL_ERR_ARG;
    lmail_status status = lmi_dns_question_new(dns, &addresses_kind, &q);
    if (status)
        return status;
    addresses_question *a = (addresses_question *)q;
    a->fn = fn;
    a->user = user;
    a->waiting = 2;
    if (ticket)
        *ticket = q->ticket;
    if (lmi_dns_name(host, name)) {
        lmi_dns_settle(q, LMAIL_DNS_NONE);
        return LMAIL_OK;
    }
    lmi_dns_look(q, LMI_DNS_A, name, 0);
    lmi_dns_look(q, LMI_DNS_AAAA, name, 0);
    return LMAIL_OK;
}
