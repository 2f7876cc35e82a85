/* service_smtp_facts.c - what the DNS says about a client and its transaction: its name, whether the
 * sender's domain exists, whether we are an MX of the recipient's, which block lists have it.
 *
 * Nothing is looked up before a decision needs it, and nothing twice: the name and the lists once a
 * connection, the domains once a command. A connection that needs none has no memory here. One
 * question of the session waits at a time, since the session asks one at a time. */
#include "host/service/service_dns.h"
#include "host/service/service_smtp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A question to the DNS: whom it was put to, and its ticket while it is out. */
typedef struct asked {
    lmail_dns *dns;
    lmail_ticket ticket;
} asked;

typedef enum list_state { LIST_OUT, LIST_NO, LIST_YES, LIST_FAILED } list_state;

typedef struct list {
    smtp_peer *p;
    asked asked;
    list_state state;
} list;

struct smtp_facts {
    char *name; /* terminated; one that does not lead back too */
    asked client, domain, mx;
    lmail_msec client_asked; /* when */
    unsigned missing;        /* what `waiting` waits for */
    unsigned given_up;       /* its answer is not wanted: it goes back from a post */
    lmi_waiting waiting;
    list *lists; /* one for each of settings.dnsbls, NULL: not asked yet */
    size_t lists_out;
};

static const lmi_rules *rules_of(const smtp_peer *p)
{
    return p->base.door->rules;
}

static lmail_str address_of(const smtp_peer *p)
{
    return lmail_conn_get_facts(p->base.conn)->peer_address;
}

static smtp_facts *facts_of(smtp_peer *p)
{
    if (!p->facts)
        p->facts = calloc(1, sizeof *p->facts);
    return p->facts;
}

/* ---- As the policy wants them ---------------------------------------------------------------- */

void lmi_facts_peer(const smtp_peer *p, lmail_policy_peer *out)
{
    lmail_policy_peer_init(out);
    out->address = address_of(p);
    out->name_state = (lmail_policy_name_state)p->name_state;
    if (p->facts && p->facts->name && p->name_state == LMAIL_POLICY_NAME_VERIFIED)
        out->name = lmail_str_from(p->facts->name);
    out->login = lmail_smtp_server_identity(p->server);
    out->mechanism = lmail_smtp_server_mechanism(p->server);
    const lmail_tls_facts *tls = lmail_smtp_server_tls(p->server);
    if (!tls)
        return;
    out->cipher_bits = tls->bits;
    if (!rules_of(p)->tls_unasked || p->features_off & LMAIL_POLICY_FEATURE_CLIENT_CERTIFICATE) {
        out->certificate = LMAIL_POLICY_CERTIFICATE_UNASKED;
        return;
    }
    out->certificate_name = tls->peer_common_name;
    out->certificate_subject = tls->peer_subject;
    out->certificate_issuer = tls->peer_issuer;
    out->certificate = tls->peer_verified   ? LMAIL_POLICY_CERTIFICATE_VERIFIED
                       : tls->peer_rejected ? LMAIL_POLICY_CERTIFICATE_FAILED
                                            : LMAIL_POLICY_CERTIFICATE_MISSING;
}

/* ---- A question of the session that waits ---------------------------------------------------- */

static void give_back(void *arg)
{
    smtp_peer *p = arg;
    lmi_waiting w = p->facts->waiting;
    p->facts->given_up = p->facts->missing = 0;
    if (w.connect)
        lmail_smtp_server_answer_connect(p->server, w.ticket, NULL, lmi_peer_now(&p->base));
    else
        lmail_smtp_server_answer(p->server, w.ticket, NULL, lmi_peer_now(&p->base));
    lmail_conn_wake(p->base.conn);
}

void lmi_facts_cancel(smtp_peer *p, lmail_ticket t)
{
    smtp_facts *f = p->facts;
    if (!f || !f->missing || f->given_up || f->waiting.ticket != t)
        return;
    /* Not from here, where a callback runs. Without memory it waits for the DNS. */
    f->given_up = lmail_loop_post(p->base.loop, give_back, p) == LMAIL_OK;
}

/* A fact has come. */
static void arrived(smtp_peer *p, unsigned what)
{
    smtp_facts *f = p->facts;
    if (!(f->missing & what))
        return;
    f->missing &= ~what;
    if (f->missing || f->given_up)
        return;
    lmi_waiting w = f->waiting;
    w.resume(p, w.ticket, w.event);
    lmail_conn_wake(p->base.conn);
}

/* ---- The client's name ----------------------------------------------------------------------- */

static void log_name(const smtp_peer *p, lmail_str name, lmail_dns_result result)
{
    lmail_log_line l;
    lmi_peer_log(&p->base, &l, LMAIL_LOG_INFO, "client_name");
    if (name.len)
        lmail_log_text(&l, "name", name);
    lmail_log_text(&l, "result", lmail_str_from(lmail_dns_result_name(result)));
    lmail_log_number(&l, "ms", lmi_peer_now(&p->base) - p->facts->client_asked);
    lmail_log_end(&l);
}

static void on_client(void *user, lmail_ticket ticket, const lmail_dns_client *a)
{
    static const lmail_policy_name_state states[] = {[LMAIL_DNS_FOUND] = LMAIL_POLICY_NAME_VERIFIED,
                                                     [LMAIL_DNS_NONE] = LMAIL_POLICY_NAME_NONE,
                                                     [LMAIL_DNS_FORGED] = LMAIL_POLICY_NAME_FORGED,
                                                     [LMAIL_DNS_TEMP] =
                                                         LMAIL_POLICY_NAME_TEMPORARY};
    smtp_peer *p = user;
    smtp_facts *f = p->facts;
    (void)ticket;
    f->client.ticket = 0;
    p->name_state = (unsigned char)states[a->result];
    if (a->name.len) {
        f->name = strndup(a->name.ptr, a->name.len);
        if (!f->name)
            p->name_state = LMAIL_POLICY_NAME_TEMPORARY;
    }
    log_name(p, a->name, a->result);
    arrived(p, LMAIL_POLICY_NEED_NAME);
}

static void ask_name(smtp_peer *p)
{
    smtp_facts *f = p->facts;
    if (p->name_state != LMAIL_POLICY_NAME_UNKNOWN || f->client.ticket)
        return;
    f->client.dns = lmi_dns_of(&p->base);
    f->client_asked = lmi_peer_now(&p->base);
    if (!f->client.dns ||
        lmail_dns_ask_client(f->client.dns, address_of(p), on_client, p, &f->client.ticket)) {
        f->client.ticket = 0;
        p->name_state = LMAIL_POLICY_NAME_TEMPORARY;
    }
}

void lmi_facts_start_name(smtp_peer *p)
{
    lmail_str a = address_of(p);
    if (a.len && !lmail_str_equal(a, LMAIL_STR("::1")) &&
        !(a.len > 4 && memcmp(a.ptr, "127.", 4) == 0) && facts_of(p))
        ask_name(p);
}

size_t lmi_facts_write(const smtp_peer *p, char *out, size_t cap)
{
    lmail_str a = address_of(p), name = {NULL, 0};
    if (p->facts && p->facts->name)
        name = lmail_str_from(p->facts->name);
    const char *six = a.len && memchr(a.ptr, ':', a.len) ? "IPv6:" : "";
    const char *doubt =
        name.len && p->name_state != LMAIL_POLICY_NAME_VERIFIED ? " (may be forged)" : "";
    int n = a.len ? snprintf(out, cap, "%.*s%s[%s%.*s]%s", (int)name.len, name.ptr,
                             name.len ? " " : "", six, (int)a.len, a.ptr, doubt)
                  : snprintf(out, cap, "local");
    if (n < 0 || (size_t)n >= cap)
        n = snprintf(out, cap, "unknown");
    return (size_t)n;
}

/* ---- Domains --------------------------------------------------------------------------------- */

static lmail_policy_answer answer_of(lmail_dns_result result)
{
    return result == LMAIL_DNS_FOUND  ? LMAIL_POLICY_YES
           : result == LMAIL_DNS_TEMP ? LMAIL_POLICY_TEMPORARY
                                      : LMAIL_POLICY_NO;
}

static void on_domain(void *user, lmail_ticket ticket, const lmail_dns_domain *a)
{
    smtp_peer *p = user;
    (void)ticket;
    p->facts->domain.ticket = 0;
    p->sender_domain = (unsigned char)answer_of(a->result);
    arrived(p, LMAIL_POLICY_NEED_SENDER_DOMAIN);
}

/* As the DNS has it. Returns an empty slice for what cannot stand there. */
static lmail_str ascii_domain(const smtp_peer *p, lmail_str domain, char out[256])
{
    const lmail_env *env = &p->base.door->service->env;
    size_t made, i = 0;
    while (i < domain.len && (unsigned char)domain.ptr[i] < 128)
        i++;
    if (i == domain.len)
        return domain;
    if (env->idna(env->ctx, domain, out, 256, &made) || made > 256)
        return (lmail_str){NULL, 0};
    return (lmail_str){out, made};
}

static void ask_domain(smtp_peer *p, lmail_str domain)
{
    smtp_facts *f = p->facts;
    char room[256];
    lmail_str name = ascii_domain(p, domain, room);
    f->domain.dns = lmi_dns_of(&p->base);
    if (!name.len) {
        p->sender_domain = LMAIL_POLICY_NO;
    } else if (!f->domain.dns ||
               lmail_dns_ask_domain(f->domain.dns, name, on_domain, p, &f->domain.ticket)) {
        f->domain.ticket = 0;
        p->sender_domain = LMAIL_POLICY_TEMPORARY;
    }
}

/* Is a host in class w: are we it? */
static int is_us(const smtp_peer *p, lmail_str host)
{
    return lmi_rules_local_domain(rules_of(p), host);
}

static void on_mx(void *user, lmail_ticket ticket, const lmail_dns_mx *a)
{
    smtp_peer *p = user;
    lmail_policy_answer answer = answer_of(a->result);
    (void)ticket;
    p->facts->mx.ticket = 0;
    if (a->result == LMAIL_DNS_FOUND) {
        answer = LMAIL_POLICY_NO;
        for (size_t i = 0; i < a->count && !a->implicit; i++)
            if (is_us(p, a->hosts[i].name))
                answer = LMAIL_POLICY_YES;
    }
    p->recipient_mx = (unsigned char)answer;
    arrived(p, LMAIL_POLICY_NEED_RECIPIENT_MX);
}

static void ask_mx(smtp_peer *p, lmail_str domain)
{
    smtp_facts *f = p->facts;
    char room[256];
    lmail_str name = ascii_domain(p, domain, room);
    f->mx.dns = lmi_dns_of(&p->base);
    if (!name.len) {
        p->recipient_mx = LMAIL_POLICY_NO;
    } else if (!f->mx.dns || lmail_dns_ask_mx(f->mx.dns, name, on_mx, p, &f->mx.ticket)) {
        f->mx.ticket = 0;
        p->recipient_mx = LMAIL_POLICY_TEMPORARY;
    }
}

/* ---- Block lists ----------------------------------------------------------------------------- */

/* Does one of the answers count? values empty: each does. */
static int counts(const lmail_dnsbl_settings *d, const lmail_dns_listing *a)
{
    for (size_t i = 0; i < a->count; i++) {
        const unsigned char *o = a->answers[i].octets;
        char text[16];
        size_t n = 0;
        for (int k = 0; k < 4; k++) {
            unsigned v = o[k];
            if (k)
                text[n++] = '.';
            if (v >= 100)
                text[n++] = (char)('0' + v / 100);
            if (v >= 10)
                text[n++] = (char)('0' + v / 10 % 10);
            text[n++] = (char)('0' + v % 10);
        }
        for (size_t k = 0; k < d->values.count; k++)
            if (lmail_str_equal(d->values.items[k], (lmail_str){text, n}))
                return 1;
    }
    return d->values.count == 0;
}

static void on_listing(void *user, lmail_ticket ticket, const lmail_dns_listing *a)
{
    list *l = user;
    smtp_peer *p = l->p;
    const lmail_dnsbl_settings *d = &rules_of(p)->settings->dnsbls[l - p->facts->lists];
    (void)ticket;
    l->asked.ticket = 0;
    l->state = a->result == LMAIL_DNS_TEMP                    ? LIST_FAILED
               : a->result == LMAIL_DNS_FOUND && counts(d, a) ? LIST_YES
                                                              : LIST_NO;
    if (--p->facts->lists_out == 0)
        arrived(p, LMI_NEED_LISTS);
}

void lmi_facts_start_lists(smtp_peer *p)
{
    const lmail_settings *v = rules_of(p)->settings;
    if (!v->dnsbl_count || !address_of(p).len || !facts_of(p) || p->facts->lists)
        return;
    smtp_facts *f = p->facts;
    f->lists = calloc(v->dnsbl_count, sizeof *f->lists);
    for (size_t i = 0; f->lists && i < v->dnsbl_count; i++) {
        list *l = &f->lists[i];
        *l = (list){p, {lmi_dns_of(&p->base), 0}, LIST_OUT};
        if (l->asked.dns && lmail_dns_ask_listing(l->asked.dns, address_of(p), v->dnsbls[i].zone, 0,
                                                  on_listing, l, &l->asked.ticket) == LMAIL_OK) {
            f->lists_out++;
        } else {
            l->asked.ticket = 0;
            l->state = LIST_FAILED;
        }
    }
}

int lmi_facts_list_failed(const smtp_peer *p, size_t i)
{
    return p->facts->lists[i].state == LIST_FAILED;
}

int lmi_facts_listed(const smtp_peer *p, lmail_status *st)
{
    const lmail_settings *v = rules_of(p)->settings;
    *st = LMAIL_OK;
    if (!p->facts || !p->facts->lists)
        return -1;
    for (size_t i = 0; i < v->dnsbl_count; i++) {
        list_state state = p->facts->lists[i].state;
        if (state == LIST_OUT)
            *st = LMAIL_PENDING;
        if (state == LIST_OUT || state == LIST_YES || (state == LIST_FAILED && v->dnsbls[i].defer))
            return *st ? -1 : (int)i;
    }
    return -1;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

lmail_status lmi_facts_look_up(smtp_peer *p, unsigned need, lmail_str domain, const lmi_waiting *w)
{
    if (!facts_of(p))
        return LMAIL_ERR_NOMEM;
    smtp_facts *f = p->facts;
    unsigned missing = 0;
    if (need & LMAIL_POLICY_NEED_NAME) {
        ask_name(p);
        missing |= f->client.ticket ? LMAIL_POLICY_NEED_NAME : 0u;
    }
    if (need & LMAIL_POLICY_NEED_SENDER_DOMAIN) {
        if (rules_of(p)->tables)
            domain = lmail_policy_tables_domain(rules_of(p)->tables, domain);
        ask_domain(p, domain);
        missing |= f->domain.ticket ? LMAIL_POLICY_NEED_SENDER_DOMAIN : 0u;
    }
    if (need & LMAIL_POLICY_NEED_RECIPIENT_MX) {
        ask_mx(p, domain);
        missing |= f->mx.ticket ? LMAIL_POLICY_NEED_RECIPIENT_MX : 0u;
    }
    if (need & LMI_NEED_LISTS)
        missing |= f->lists_out ? LMI_NEED_LISTS : 0u;
    if (!missing)
        return LMAIL_OK;
    f->missing = missing;
    f->waiting = *w;
    return LMAIL_PENDING;
}

/* ---- Another client ---------------------------------------------------------------------------- */

lmail_status lmi_facts_assume(smtp_peer *p, lmail_policy_name_state state, lmail_str name)
{
    if (p->facts && p->facts->given_up)
        return LMAIL_ERR_BUSY; /* only while the session ends */
    lmi_facts_closed(p);
    lmi_facts_free(p);
    p->name_state = (unsigned char)state;
    p->sender_domain = p->recipient_mx = LMAIL_POLICY_UNKNOWN;
    if (!name.len)
        return LMAIL_OK;
    if (facts_of(p))
        p->facts->name = strndup(name.ptr, name.len);
    if (p->facts && p->facts->name)
        return LMAIL_OK;
    p->name_state = LMAIL_POLICY_NAME_TEMPORARY;
    return LMAIL_ERR_NOMEM;
}

/* ---- The end --------------------------------------------------------------------------------- */

static void drop(asked *a)
{
    if (a->ticket)
        lmail_dns_cancel(a->dns, a->ticket);
    a->ticket = 0;
}

void lmi_facts_closed(smtp_peer *p)
{
    smtp_facts *f = p->facts;
    if (!f)
        return;
    drop(&f->client);
    drop(&f->domain);
    drop(&f->mx);
    for (size_t i = 0; f->lists && i < rules_of(p)->settings->dnsbl_count; i++)
        drop(&f->lists[i].asked);
}

void lmi_facts_free(smtp_peer *p)
{
    if (!p->facts)
        return;
    free(p->facts->name);
    free(p->facts->lists);
    free(p->facts);
    p->facts = NULL;
}
