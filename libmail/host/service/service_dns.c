/* service_dns.c - the resolver of each loop: made at the start, changed by a reload, ended at a stop.
 *
 * Resolvers are touched by the thread of their loop alone. A reload that changes section dns makes
 * new ones; those before it stay until all they were asked is answered. Called by service_core.c and
 * service_reload.c. */
#include "host/service/service_dns.h"
#include "host/service/service_metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

/* ---- Making ---------------------------------------------------------------------------------- */

/* Everything of section dns as terminated texts. */
typedef struct texts {
    char servers[1024], hosts[LMI_MAX_PATH + 1], anchor[LMI_MAX_PATH + 1];
} texts;

static lmail_status fill(lmail_dns_config *c, texts *t, const lmail_settings *v, char *error,
                         size_t cap)
{
    size_t n = 0;
    lmail_dns_config_init(c);
    t->servers[0] = '\0';
    for (size_t i = 0; i < v->dns.servers.count && n < sizeof t->servers; i++)
        n += (size_t)snprintf(t->servers + n, sizeof t->servers - n, "%s%.*s", i ? " " : "",
                              TEXT(v->dns.servers.items[i]));
    if (n >= sizeof t->servers || v->dns.hosts.len > LMI_MAX_PATH ||
        v->dns.trust_anchor.len > LMI_MAX_PATH) {
        snprintf(error, cap, "section dns: a value is too long");
        return LMAIL_ERR_ARG;
    }
    snprintf(t->hosts, sizeof t->hosts, "%.*s", TEXT(v->dns.hosts));
    snprintf(t->anchor, sizeof t->anchor, "%.*s", TEXT(v->dns.trust_anchor));
    c->servers = t->servers;
    c->hosts = t->hosts;
    c->trust_anchor = t->anchor;
    c->timeout = v->dns.timeout;
    c->tries = (unsigned)v->dns.tries;
    c->cache_size = (size_t)v->dns.cache_size;
    c->max_lookups = (unsigned)v->dns.max_lookups;
    return LMAIL_OK;
}

static lmail_status make(lmail_dns **out, const lmail_service *s, lmail_loop *loop,
                         const lmail_settings *v, char *error, size_t cap)
{
    lmail_dns_config c;
    texts t;
    char why[256] = "";
    lmail_status st = fill(&c, &t, v, error, cap);
    if (st)
        return st;
    c.loop = lmail_loop_uv(loop);
    c.on_answered = lmi_count_lookup;
    c.user = lmi_metrics_set(s, loop);
    st = lmail_dns_new(out, &c, why, sizeof why);
    if (st)
        snprintf(error, cap, "dns: %s", why[0] ? why : lmail_status_text(st));
    return st;
}

static void forget(void *arg)
{
    lmi_loop_state *state = arg;
    lmail_dns_free(state->dns_before, NULL, NULL);
    state->dns_before = NULL;
}

lmail_status lmi_dns_open(lmail_service *s, const lmail_settings *v, char *error, size_t cap)
{
    lmail_status st = LMAIL_OK;
    if (!(s->protocols & LMAIL_SERVICE_SMTP))
        return st;
    for (unsigned i = 0; !st && i < lmail_net_loops(s->net); i++) {
        lmi_loop_state *state = &s->loops[i];
        st = lmail_timer_new(&state->dns_timer, state->loop, forget, state);
        if (!st)
            st = make(&state->dns, s, state->loop, v, error, cap);
    }
    return st;
}

lmail_dns *lmi_dns_of(const lmi_peer *peer)
{
    return lmi_loop_of(peer)->dns;
}

/* ---- Changing -------------------------------------------------------------------------------- */

static int same_section(const lmail_settings *a, const lmail_settings *b)
{
    if (a->dns.servers.count != b->dns.servers.count)
        return 0;
    for (size_t i = 0; i < a->dns.servers.count; i++)
        if (!lmail_str_equal(a->dns.servers.items[i], b->dns.servers.items[i]))
            return 0;
    return lmail_str_equal(a->dns.hosts, b->dns.hosts) &&
           lmail_str_equal(a->dns.trust_anchor, b->dns.trust_anchor) &&
           a->dns.timeout == b->dns.timeout && a->dns.tries == b->dns.tries &&
           a->dns.cache_size == b->dns.cache_size && a->dns.max_lookups == b->dns.max_lookups;
}

/* No question lasts longer than the old timeout: so long the old one stays. */
static void put_in(lmi_loop_state *state, lmail_dns *dns, lmail_msec timeout)
{
    if (state->dns_before)
        forget(state);
    state->dns_before = state->dns;
    state->dns = dns;
    lmail_timer_set(state->dns_timer, lmail_loop_now(state->loop) + timeout + 1000);
}

typedef struct change {
    lmi_loop_state *state;
    lmi_rules *rules;
    lmail_msec timeout; /* of the resolvers that go */
} change;

static void change_here(void *arg)
{
    change *c = arg;
    char error[300] = "";
    lmail_dns *dns;
    if (!c->state->dns) {
        ; /* the service stops */
    } else if (make(&dns, c->rules->service, c->state->loop, c->rules->settings, error,
                    sizeof error) == LMAIL_OK) {
        put_in(c->state, dns, c->timeout);
    } else {
        lmail_log_line l;
        lmail_log_begin(&l, c->rules->service->log, LMAIL_LOG_ERR, "reload");
        lmail_log_text(&l, "reason", lmail_str_from(error));
        lmail_log_end(&l);
    }
    lmi_rules_release(c->rules);
    free(c);
}

lmail_status lmi_dns_reload(lmail_service *s, lmi_rules *rules, char *error, size_t cap)
{
    const lmail_settings *before = s->rules->settings;
    lmi_loop_state *here = &s->loops[0];
    lmail_dns *dns;
    if (!here->dns || same_section(before, rules->settings))
        return LMAIL_OK;
    lmail_status st = make(&dns, s, here->loop, rules->settings, error, cap);
    if (st)
        return st;
    put_in(here, dns, before->dns.timeout);
    for (unsigned i = 1; i < lmail_net_loops(s->net); i++) {
        change *c = malloc(sizeof *c);
        if (!c)
            continue; /* that loop asks as before */
        *c = (change){&s->loops[i], lmi_rules_hold(rules), before->dns.timeout};
        if (lmail_loop_post(s->loops[i].loop, change_here, c)) {
            lmi_rules_release(rules);
            free(c);
        }
    }
    return LMAIL_OK;
}

/* ---- Ending ---------------------------------------------------------------------------------- */

static void end_here(void *arg)
{
    lmi_loop_state *state = arg;
    lmail_dns *dns = state->dns;
    state->dns = NULL; /* first: what is answered now may ask again */
    lmail_timer_free(state->dns_timer);
    state->dns_timer = NULL;
    forget(state);
    lmail_dns_free(dns, NULL, NULL);
}

void lmi_dns_stop(lmail_service *s)
{
    for (unsigned i = 0; i < lmail_net_loops(s->net); i++)
        lmail_loop_post(s->loops[i].loop, end_here, &s->loops[i]);
}

void lmi_dns_end(lmail_service *s)
{
    for (unsigned i = 0; s->loops && i < lmail_net_loops(s->net); i++)
        if (s->loops[i].loop)
            end_here(&s->loops[i]);
}
