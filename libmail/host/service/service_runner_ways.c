/* service_runner_ways.c - how mail goes out under one reading of the configuration: the setups of the
 * two machines, certificates of our own and authorities for servers' ones, the schedule. */
#include "host/service/service_files.h"
#include "host/service/service_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

/* ---- TLS ------------------------------------------------------------------------------------- */

typedef struct gathering {
    const lmail_files *files;
    lmail_str *ca;
} gathering;

/* One file of a directory behind what there is. */
static int add_file(void *to, lmail_str name)
{
    gathering *g = to;
    lmail_str one;
    if (g->files->open(g->files->ctx, name, &one))
        return 0;
    char *both = realloc((char *)g->ca->ptr, g->ca->len + one.len + 2);
    if (both) {
        memcpy(both + g->ca->len, one.ptr, one.len);
        g->ca->ptr = both;
        g->ca->len += one.len;
        both[g->ca->len++] = '\n';
        both[g->ca->len] = '\0';
    }
    g->files->close(g->files->ctx, one);
    return 0;
}

static lmail_status authorities(const lmi_rules *r, lmail_str *ca, char *error, size_t cap)
{
    const lmail_settings *v = r->settings;
    const lmail_files *files = &r->service->files;
    lmail_str file = v->client.ca, dir = v->client.ca_directory;
    char pattern[LMI_MAX_PATH + 3];
    gathering g = {files, ca};
    if (!file.len && !dir.len) {
        file = v->smtp.client_ca;
        dir = v->smtp.client_ca_directory;
    }
    lmail_status st = file.len ? lmi_rules_file(r, "client.ca", file, ca, error, cap) : LMAIL_OK;
    if (!st && dir.len && dir.len <= LMI_MAX_PATH && files->list) {
        snprintf(pattern, sizeof pattern, "%.*s/*", TEXT(dir));
        st = files->list(files->ctx, lmail_str_from(pattern), add_file, &g);
        if (st)
            snprintf(error, cap, "client.ca_directory %.*s: %s", TEXT(dir), lmail_status_text(st));
    }
    return st;
}

static lmail_status make_tls(lmi_ways *w, char *error, size_t cap)
{
    const lmail_settings *v = w->rules->settings;
    lmail_tls_client_config c = LMAIL_TLS_CLIENT_CONFIG_INIT;
    lmail_tls_cert pair = {{NULL, 0}, {NULL, 0}};
    lmail_str ca = {NULL, 0};
    lmail_status st = authorities(w->rules, &ca, error, cap);
    if (!st && v->client.certificate.len) {
        st = lmi_rules_file(w->rules, "client.certificate", v->client.certificate, &pair.chain,
                            error, cap);
        if (!st)
            st = lmi_rules_file(w->rules, "client.key", v->client.key, &pair.key, error, cap);
        c.cert = &pair;
    }
    c.ca = ca;
    c.ciphers = v->smtp.ciphers;
    c.tls13_only = v->tls.min_version >= 13;
    if (!st)
        st = lmail_tls_new_client(&w->tls, &c, error, cap);
    c.tls12_only = 1;
    if (!st && !c.tls13_only)
        st = lmail_tls_new_client(&w->old_tls, &c, error, cap);
    lmi_file_free(pair.chain);
    lmi_file_free(pair.key);
    lmi_file_free(ca);
    return st;
}

/* client.starttls = no, M=S of CLIENT_OPTIONS, is not meant to weaken what is asked for by name. */
lmail_delivery_tls lmi_ways_tls(const lmi_ways *w)
{
    const lmail_settings *v = w->rules->settings;
    switch (v->client.tls) {
    case LMAIL_CLIENT_TLS_VERIFIED:
        return LMAIL_DELIVERY_TLS_VERIFY;
    case LMAIL_CLIENT_TLS_REQUIRED:
        return LMAIL_DELIVERY_TLS_MUST;
    case LMAIL_CLIENT_TLS_OPPORTUNISTIC:
        return v->client.starttls ? LMAIL_DELIVERY_TLS_MAY : LMAIL_DELIVERY_TLS_NEVER;
    default:
        return LMAIL_DELIVERY_TLS_NEVER;
    }
}

/* ---- The machines ---------------------------------------------------------------------------- */

/* The names that this host has: a server that bears one is ourselves. */
static lmail_status make_delivery(lmi_ways *w)
{
    const lmail_settings *v = w->rules->settings;
    lmail_delivery_config c = LMAIL_DELIVERY_CONFIG_INIT;
    const lmail_str names[] = {lmail_str_from(w->rules->hostname)};
    c.env = &w->rules->service->env;
    c.policy = w->rules->policy;
    c.own_names = names;
    c.own_name_count = names[0].len ? 1 : 0;
    c.own_mx = v->client.own_mx;
    c.family = v->client.family == LMAIL_FAMILY_INET    ? 4
               : v->client.family == LMAIL_FAMILY_INET6 ? 6
                                                        : 0;
    c.no_auth = !v->client.auth;
    c.port = (unsigned)v->client.port;
    c.connect_limit = v->client.all_connect_timeout;
    return lmail_delivery_setup_new(&w->delivery, &c, &lmi_delivery_handler);
}

static lmail_status make_client(lmi_ways *w, char *error, size_t cap)
{
    const lmail_settings *v = w->rules->settings;
    lmail_smtp_client_config c = LMAIL_SMTP_CLIENT_CONFIG_INIT;
    c.helo_name =
        v->client.helo_name.len ? v->client.helo_name : lmail_str_from(w->rules->hostname);
    if (!c.helo_name.len)
        c.helo_name = LMAIL_STR("localhost");
    c.flags = v->client.auth_parameter ? LMAIL_SMTP_CLIENT_AUTH_AFTER_LOGIN : 0u;
    c.ignore = lmi_ways_tls(w) == LMAIL_DELIVERY_TLS_NEVER ? LMAIL_SMTP_CAN_STARTTLS : 0u;
    c.greeting_timeout = v->client.greeting_timeout;
    c.helo_timeout = v->client.helo_timeout;
    c.lhlo_timeout = v->client.lhlo_timeout;
    c.starttls_timeout = v->client.starttls_timeout;
    c.auth_timeout = v->client.auth_timeout;
    c.mail_timeout = v->client.mail_timeout;
    c.rcpt_timeout = v->client.rcpt_timeout;
    c.data_start_timeout = v->client.data_start_timeout;
    c.data_block_timeout = v->client.data_block_timeout;
    c.data_end_timeout = v->client.data_end_timeout;
    c.rset_timeout = v->client.rset_timeout;
    c.quit_timeout = v->client.quit_timeout;
    lmail_status st = lmail_smtp_client_setup_new(&w->client, &c, &lmi_client_handler);
    if (st == LMAIL_ERR_ARG)
        snprintf(error, cap, "client.helo_name: not a name for EHLO");
    return st;
}

lmail_status lmi_ways_new(lmi_ways **out, lmi_rules *rules, char *error, size_t cap)
{
    const lmail_settings *v = rules->settings;
    lmi_ways *w = calloc(1, sizeof *w);
    if (!w)
        return LMAIL_ERR_NOMEM;
    w->refs = 1;
    w->rules = lmi_rules_hold(rules);
    w->schedule = (lmail_schedule){v->queue.retry_first, v->queue.retry_most, v->queue.warn_after,
                                   v->queue.return_after};
    lmail_status st = make_tls(w, error, cap);
    if (!st)
        st = make_delivery(w);
    if (!st)
        st = make_client(w, error, cap);
    if (st)
        lmi_ways_release(w);
    else
        *out = w;
    return st;
}

lmi_ways *lmi_ways_hold(lmi_ways *w)
{
    w->refs++;
    return w;
}

void lmi_ways_release(lmi_ways *w)
{
    if (!w || --w->refs)
        return;
    lmail_delivery_setup_free(w->delivery);
    lmail_smtp_client_setup_free(w->client);
    lmail_tls_release(w->tls);
    lmail_tls_release(w->old_tls);
    lmi_rules_release(w->rules);
    free(w);
}
