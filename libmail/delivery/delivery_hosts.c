/* delivery_hosts.c - which hosts stand for a destination, and in which order their addresses are
 * tried (RFC 5321 §5.1, RFC 7505).
 *
 * MX hosts by preference, equal ones by lot; IPv6 and IPv4 of a host in turn. Where this machine
 * itself is among them, by name or by address, it and all that are not preferred to it are left
 * out: whoever is listed as a backup may only hand on to better ones. */
#include "delivery/delivery_internal.h"
#include "policy/policy_internal.h"

#include <stdio.h>
#include <string.h>

/* ---- Addresses ------------------------------------------------------------------------------- */

static unsigned hex(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

int lmi_address_read(lmail_str text, lmail_delivery_address *out)
{
    lmi_address plain; /* "192.0.2.7", "ipv6:2001:db8:0:0:0:0:0:7" */
    unsigned group = 0, at = 0;
    if (lmi_policy_address_parse(text, &plain))
        return 0;
    memset(out, 0, sizeof *out);
    int six = plain.len > 5 && memcmp(plain.text, "ipv6:", 5) == 0;
    out->version = six ? 6 : 4;
    for (size_t i = six ? 5 : 0; i <= plain.len; i++) {
        char c = i < plain.len ? plain.text[i] : '.';
        if (c == '.' || c == ':') {
            if (six)
                out->octets[at++] = (unsigned char)(group >> 8);
            out->octets[at++] = (unsigned char)group;
            group = 0;
        } else {
            group = six ? group << 4 | hex(c) : group * 10 + (unsigned)(c - '0');
        }
    }
    return 1;
}

/* The longest run of zero groups, two at least; the first of equals (RFC 5952 §4.2). */
static unsigned zero_run(const unsigned g[8], unsigned *begin)
{
    unsigned best = 1, run = 0;
    *begin = 8;
    for (unsigned i = 0; i < 8; i++) {
        run = g[i] ? 0 : run + 1;
        if (run > best) {
            best = run;
            *begin = i + 1 - run;
        }
    }
    return *begin < 8 ? best : 0;
}

size_t lmi_address_show(const lmail_delivery_address *a, char out[LMI_DELIVERY_ADDRESS_TEXT])
{
    const unsigned char *o = a->octets;
    unsigned g[8], begin, run;
    size_t n = 0;
    if (a->version != 6)
        return (size_t)snprintf(out, LMI_DELIVERY_ADDRESS_TEXT, "%u.%u.%u.%u", o[0], o[1], o[2],
                                o[3]);
    for (unsigned i = 0; i < 8; i++)
        g[i] = (unsigned)o[2 * i] << 8 | o[2 * i + 1];
    run = zero_run(g, &begin);
    for (unsigned i = 0; i < 8; i++) {
        if (i == begin) {
            out[n++] = ':';
            if (!i)
                out[n++] = ':';
            i += run - 1;
            continue;
        }
        n += (size_t)snprintf(out + n, LMI_DELIVERY_ADDRESS_TEXT - n, i < 7 ? "%x:" : "%x", g[i]);
    }
    out[n] = 0;
    return n;
}

static int same_address(const lmail_delivery_address *a, const lmail_delivery_address *b)
{
    return a->version == b->version && memcmp(a->octets, b->octets, a->version == 6 ? 16 : 4) == 0;
}

/* ---- This machine ---------------------------------------------------------------------------- */

int lmi_is_own_name(const lmail_delivery *d, lmail_str name)
{
    const lmail_delivery_config *c = &d->setup->config;
    if (name.len && name.ptr[name.len - 1] == '.')
        name.len--;
    for (size_t i = 0; i < c->own_name_count; i++)
        if (lmail_str_equal_nocase(c->own_names[i], name))
            return 1;
    return 0;
}

unsigned lmi_host_port(const lmail_delivery *d)
{
    if (d->host && d->host->port)
        return d->host->port;
    if (d->setup->config.port)
        return d->setup->config.port;
    return d->job.mailer == LMAIL_DELIVERY_LMTP ? 24 : 25;
}

/* An LMTP server may well be this machine's. */
static int is_own_address(const lmail_delivery *d, const lmail_delivery_address *a)
{
    const lmail_delivery_config *c = &d->setup->config;
    if (d->job.mailer == LMAIL_DELIVERY_LMTP)
        return 0;
    for (size_t i = 0; i < c->own_address_count; i++) {
        const lmail_delivery_endpoint *own = &c->own_addresses[i];
        if (same_address(&own->address, a) && (!own->port || own->port == lmi_host_port(d)))
            return 1;
    }
    return 0;
}

/* ---- A host of the job ----------------------------------------------------------------------- */

static void copy_name(lmail_delivery *d, lmail_str name)
{
    if (name.len && name.ptr[name.len - 1] == '.')
        name.len--;
    memcpy(d->name, name.ptr, name.len); /* 255 at most: lmail_delivery_new saw to it */
    d->name[name.len] = 0;
}

/* The name alone stands for itself. */
static void one_host(lmail_delivery *d)
{
    d->mx[0] = (lmi_mx){lmail_str_from(d->name), 0, 0};
    d->mx_count = 1;
    d->mx_at = 0;
    d->implicit = 1;
    d->step = LMI_STEP_ADDRESSES;
}

lmail_status lmi_host_begin(lmail_delivery *d)
{
    const lmail_delivery_host *h = d->host = &d->job.hosts[d->host_at++];
    lmail_str name = h->name;
    int brackets = name.len > 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']';
    d->address_count = d->address_at = 0;
    d->mx_count = d->mx_at = 0;
    d->server = d->address = (lmail_str){NULL, 0};
    d->plain = d->again = 0;
    if (brackets)
        name = lmi_str_sub(name, 1, name.len - 2);
    copy_name(d, name);
    if (d->name[0] == '/') { /* LMTP: lmail_delivery_new saw to it */
        d->addresses[0] = (lmail_delivery_address){0, {0}};
        d->address_count = d->mx_count = 1;
        d->mx[0] = (lmi_mx){lmail_str_from(d->name), 0, 0};
        d->step = LMI_STEP_CONNECT;
        return LMAIL_OK;
    }
    one_host(d);
    lmail_delivery_address literal;
    if (brackets && lmi_address_read(name, &literal)) {
        lmail_delivery_addresses a = LMAIL_DELIVERY_ADDRESSES_INIT;
        a.list = &literal;
        a.count = 1;
        return lmi_hosts_addresses(d, &a);
    }
    if (!brackets && !h->no_mx && d->job.mailer != LMAIL_DELIVERY_LMTP)
        d->step = LMI_STEP_MX;
    return LMAIL_OK;
}

/* ---- MX -------------------------------------------------------------------------------------- */

static lmail_status no_such_host(lmail_delivery *d, const lmail_delivery_mx *a)
{
    lmail_delivery_word w =
        lmi_word(LMAIL_DELIVERY_OURS, LMAIL_DELIVERY_AT_LOOKUP, 550, "5.1.2", "Host unknown");
    if (a->null_mx)
        w = lmi_word(LMAIL_DELIVERY_OURS, LMAIL_DELIVERY_AT_LOOKUP, 556, "5.1.10",
                     "The domain accepts no mail (null MX)");
    else if (d->job.named)
        w = lmi_word(LMAIL_DELIVERY_OURS, LMAIL_DELIVERY_AT_LOOKUP, 451, "4.4.4",
                     "The host that is configured for this mail is unknown");
    d->step = LMI_STEP_HOST;
    return lmi_delivery_keep_all(d, &w, 1);
}

static lmail_status not_for_now(lmail_delivery *d)
{
    const lmail_delivery_word w = lmi_word(LMAIL_DELIVERY_OURS, LMAIL_DELIVERY_AT_LOOKUP, 451,
                                           "4.4.3", "Temporary failure in the lookup of the host");
    d->lookup_failed = 1;
    return lmi_delivery_keep_all(d, &w, 0);
}

static lmail_status loops(lmail_delivery *d)
{
    const lmail_delivery_word w =
        lmi_word(LMAIL_DELIVERY_OURS, LMAIL_DELIVERY_AT_LOOKUP, d->job.named ? 451 : 554, "5.4.6",
                 "Mail for this destination loops back to this host");
    return lmi_delivery_keep_all(d, &w, 1);
}

/* By preference, then lot. Insertion: a list is short. */
static void sort(lmi_mx *list, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        lmi_mx one = list[i];
        size_t at = i;
        for (; at && (list[at - 1].preference > one.preference ||
                      (list[at - 1].preference == one.preference && list[at - 1].lot > one.lot));
             at--)
            list[at] = list[at - 1];
        list[at] = one;
    }
}

/* Copy an answer's hosts that can be hosts. */
static lmail_status take_hosts(lmail_delivery *d, const lmail_delivery_mx *a)
{
    const lmail_env *env = d->setup->config.env;
    uint32_t lots[LMI_DELIVERY_MAX_LIST];
    if (!env || !env->random || env->random(env->ctx, lots, sizeof lots))
        for (size_t i = 0; i < LMI_DELIVERY_MAX_LIST; i++)
            lots[i] = (uint32_t)i;
    lmi_arena_reset(&d->mx_arena);
    d->mx_count = d->mx_at = 0;
    for (size_t i = 0; i < a->count && d->mx_count < LMI_DELIVERY_MAX_LIST; i++) {
        lmi_mx *mx = &d->mx[d->mx_count];
        lmail_str name = a->hosts[i].name;
        if (!name.len || name.len > 255 || lmail_str_equal(name, LMAIL_STR(".")))
            continue;
        if (lmi_arena_copy(&d->mx_arena, name, &mx->name))
            return LMAIL_ERR_NOMEM;
        mx->preference = a->hosts[i].preference;
        mx->lot = lots[d->mx_count++];
    }
    return LMAIL_OK;
}

lmail_status lmi_hosts_mx(lmail_delivery *d, const lmail_delivery_mx *a)
{
    if (a->result == LMAIL_DELIVERY_TEMP) {
        d->step = LMI_STEP_HOST;
        return not_for_now(d);
    }
    if (a->result != LMAIL_DELIVERY_FOUND)
        return no_such_host(d, a);
    if (!a->count) {
        one_host(d);
        return LMAIL_OK;
    }
    lmail_status st = take_hosts(d, a);
    if (st)
        return st;
    d->implicit = 0;
    d->step = LMI_STEP_ADDRESSES;
    if (!d->mx_count) { /* records, and none names a host */
        const lmail_delivery_word w = lmi_word(LMAIL_DELIVERY_OURS, LMAIL_DELIVERY_AT_LOOKUP, 550,
                                               "5.4.4", "No MX record of the domain names a host");
        d->step = LMI_STEP_HOST;
        return lmi_delivery_keep_all(d, &w, 1);
    }
    sort(d->mx, d->mx_count);
    for (size_t i = 0; i < d->mx_count; i++) {
        if (!lmi_is_own_name(d, d->mx[i].name))
            continue;
        d->mx_at = i;
        st = lmi_hosts_own(d);
        d->mx_at = 0;
        return st;
    }
    return LMAIL_OK;
}

lmail_status lmi_hosts_own(lmail_delivery *d)
{
    size_t keep = d->mx_at;
    while (keep && d->mx[keep - 1].preference == d->mx[d->mx_at].preference)
        keep--;
    /* What is left may have been tried already, when an address told us. */
    d->mx_count = keep;
    d->address_count = d->address_at = 0;
    d->step = LMI_STEP_ADDRESSES;
    if (keep)
        return LMAIL_OK;
    if (d->setup->config.own_mx && !d->implicit) {
        one_host(d);
        return LMAIL_OK;
    }
    d->step = LMI_STEP_HOST;
    return loops(d);
}

/* ---- Addresses of a host --------------------------------------------------------------------- */

static int is_tried(const lmail_delivery *d, const lmail_delivery_address *a)
{
    for (size_t i = 0; i < d->tried_count; i++)
        if (d->tried[i].port == lmi_host_port(d) && same_address(&d->tried[i].address, a))
            return 1;
    return 0;
}

/* Of one version, to every second place. */
static size_t pick(const lmail_delivery *d, const lmail_delivery_addresses *a, unsigned version,
                   lmail_delivery_address *out)
{
    size_t n = 0, most = a->count < LMI_DELIVERY_MAX_LIST ? a->count : LMI_DELIVERY_MAX_LIST;
    unsigned family = d->setup->config.family;
    for (size_t i = 0; i < most; i++)
        if (a->list[i].version == version && (!family || family == version) &&
            !is_tried(d, &a->list[i]))
            out[n++] = a->list[i];
    return n;
}

lmail_status lmi_hosts_addresses(lmail_delivery *d, const lmail_delivery_addresses *a)
{
    lmail_delivery_address six[LMI_DELIVERY_MAX_LIST], four[LMI_DELIVERY_MAX_LIST];
    d->address_count = d->address_at = 0;
    if (a->result != LMAIL_DELIVERY_FOUND || !a->count) {
        lmail_delivery_word w = lmi_word(
            LMAIL_DELIVERY_OURS, LMAIL_DELIVERY_AT_LOOKUP, 550, d->implicit ? "5.1.2" : "5.4.4",
            d->implicit ? "Host unknown" : "The MX host has no address");
        d->mx_at++;
        d->step = LMI_STEP_ADDRESSES;
        return a->result == LMAIL_DELIVERY_TEMP ? not_for_now(d) : lmi_delivery_keep_all(d, &w, 1);
    }
    for (size_t i = 0; i < a->count && i < LMI_DELIVERY_MAX_LIST; i++)
        if (is_own_address(d, &a->list[i]))
            return lmi_hosts_own(d);
    size_t sixes = pick(d, a, 6, six), fours = pick(d, a, 4, four), i = 0, k = 0;
    while ((i < sixes || k < fours) && d->address_count + 1 < LMI_DELIVERY_MAX_LIST) {
        if (i < sixes)
            d->addresses[d->address_count++] = six[i++];
        if (k < fours)
            d->addresses[d->address_count++] = four[k++];
    }
    d->step = LMI_STEP_CONNECT;
    return LMAIL_OK;
}
