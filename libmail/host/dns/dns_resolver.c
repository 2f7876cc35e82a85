/* dns_resolver.c - making and ending a resolver: libunbound's options, its thread, its descriptor.
 *
 * libunbound(3), unbound.conf(5). Its thread answers through a pipe that the loop watches; nothing
 * of it is seen outside this file and dns_question.c. */
#include "dns_internal.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT 10000u
#define TRIES 2u
#define CACHE_SIZE (4u << 20)
#define MAX_LOOKUPS 2048u

void lmail_dns_config_init(lmail_dns_config *config)
{
    *config = (lmail_dns_config)LMAIL_DNS_CONFIG_INIT;
}

const char *lmail_dns_result_name(lmail_dns_result result)
{
    static const char *const names[] = {"found", "none", "forged", "temp"};
    return (size_t)result < sizeof(names) / sizeof(*names) ? names[result] : "?";
}

lmail_status lmail_dns_get_stats(const lmail_dns *dns, lmail_dns_stats *stats)
{
    if (stats->size != sizeof(*stats))
        return LMAIL_ERR_SIZE;
    *stats = dns->stats;
    return LMAIL_OK;
}

/* ---- Options --------------------------------------------------------------------------------- */

typedef struct making {
    lmail_dns *dns;
    char *error;
    size_t cap;
} making;

static lmail_status fail(const making *m, lmail_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (m->cap)
        vsnprintf(m->error, m->cap, format, args);
    va_end(args);
    return status;
}

static lmail_status set(const making *m, const char *option, const char *value)
{
    int err = ub_ctx_set_option(m->dns->ub, option, value);
    return err ? fail(m, err == UB_NOMEM ? LMAIL_ERR_NOMEM : LMAIL_ERR_ARG, "libunbound: %s %s: %s",
                      option, value, ub_strerror(err))
               : LMAIL_OK;
}

static lmail_status set_number(const making *m, const char *option, size_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%zu", value);
    return set(m, option, text);
}

/* What holds whatever the configuration says. */
static lmail_status set_options(const making *m, const lmail_dns_config *config)
{
    static const char *const fixed[][2] = {
        /* The server may be on this machine. */
        {"do-not-query-localhost:", "no"},
        /* Private networks and .test have their records in the administrator's own server. */
        {"unblock-lan-zones:", "yes"},
        {"insecure-lan-zones:", "yes"},
        {"local-zone:", "127.in-addr.arpa. transparent"},
        {"local-zone:", "test. transparent"},
        {"local-zone:", "home.arpa. transparent"},
        {"rrset-roundrobin:", "no"},
        /* 16 in library use, so that a slow server would hold up all others. */
        {"outgoing-range:", "256"},
        {"outgoing-num-tcp:", "32"},
        {"num-queries-per-thread:", "2048"},
        /* A server that was dead is tried again soon, and by one question at a time meanwhile. */
        {"infra-keep-probing:", "yes"},
        {"infra-host-ttl:", "60"},
    };
    lmail_status status = LMAIL_OK;
    size_t cache = config->cache_size ? config->cache_size : CACHE_SIZE;
    for (size_t i = 0; !status && i < sizeof(fixed) / sizeof(*fixed); i++)
        status = set(m, fixed[i][0], fixed[i][1]);
    if (!status)
        status = set_number(m, "outbound-msg-retry:", config->tries ? config->tries : TRIES);
    if (!status)
        status = set_number(m, "msg-cache-size:", cache / 3);
    if (!status)
        status = set_number(m, "rrset-cache-size:", cache - cache / 3);
    if (!status && !(config->trust_anchor && *config->trust_anchor))
        status = set(m, "module-config:", "iterator"); /* no validator, nor its key cache */
    return status;
}

static lmail_status add_server(void *ctx, const char *text)
{
    const making *m = ctx;
    int err = ub_ctx_set_fwd(m->dns->ub, text);
    return err ? fail(m, err == UB_NOMEM ? LMAIL_ERR_NOMEM : LMAIL_ERR_ARG,
                      "not an address of a DNS server: %s", text)
               : LMAIL_OK;
}

static lmail_status add_servers(making *m, const lmail_dns_config *config)
{
    const char *file = config->resolv_conf ? config->resolv_conf : "/etc/resolv.conf";
    if (!config->servers || !*config->servers) {
        lmail_status status = lmi_dns_resolv_conf(file, add_server, m);
        return status == LMAIL_ERR_IO ? fail(m, status, "%s: cannot be read", file) : status;
    }
    char *copy = strdup(config->servers), *rest = NULL;
    if (!copy)
        return LMAIL_ERR_NOMEM;
    lmail_status status = LMAIL_OK;
    for (char *word = strtok_r(copy, " ,\t", &rest); word && !status;
         word = strtok_r(NULL, " ,\t", &rest))
        status = add_server(m, word);
    free(copy);
    return status;
}

static lmail_status read_files(making *m, const lmail_dns_config *config)
{
    const char *hosts = config->hosts ? config->hosts : "/etc/hosts";
    lmail_status status = *hosts ? lmi_dns_hosts_read(&m->dns->hosts, hosts) : LMAIL_OK;
    if (status)
        return fail(m, status, "%s: %s", hosts, lmail_status_text(status));
    if (!config->trust_anchor || !*config->trust_anchor)
        return LMAIL_OK;
    FILE *f = fopen(config->trust_anchor, "re");
    if (!f)
        return fail(m, LMAIL_ERR_NOTFOUND, "%s: cannot be read", config->trust_anchor);
    fclose(f);
    int err = ub_ctx_add_ta_file(m->dns->ub, config->trust_anchor);
    return err ? fail(m, LMAIL_ERR_SYNTAX, "%s: %s", config->trust_anchor, ub_strerror(err))
               : LMAIL_OK;
}

/* ---- The thread and the loop ----------------------------------------------------------------- */

static void on_readable(uv_poll_t *poll, int status, int events)
{
    lmail_dns *dns = poll->data;
    (void)status;
    (void)events;
    ub_process(dns->ub);
}

static void on_started(void *arg, int err, struct ub_result *result)
{
    (void)arg;
    (void)err;
    ub_resolve_free(result);
}

/* The thread starts with the first lookup. It comes here, so that faults in the options are told
 * now and no signal of the process ever lands in it. */
static lmail_status start_thread(const making *m)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int err = ub_ctx_async(m->dns->ub, 1);
    if (!err)
        err = ub_resolve_async(m->dns->ub, "localhost", LMI_DNS_A, 1, NULL, on_started, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!err)
        return LMAIL_OK;
    lmail_status status = err == UB_NOMEM      ? LMAIL_ERR_NOMEM
                          : err == UB_INITFAIL ? LMAIL_ERR_SYNTAX
                                               : LMAIL_ERR_IO;
    return fail(m, status, "libunbound: %s", ub_strerror(err));
}

static lmail_status watch(const making *m, struct uv_loop_s *loop)
{
    lmail_dns *dns = m->dns;
    dns->loop = loop;
    int err = uv_poll_init(loop, &dns->poll, ub_fd(dns->ub));
    if (!err) {
        uv_timer_init(loop, &dns->timer); /* cannot fail */
        dns->timer.data = dns->poll.data = dns;
        dns->handles = 2;
        uv_unref((uv_handle_t *)&dns->poll); /* open questions keep the timer running */
        err = uv_poll_start(&dns->poll, UV_READABLE, on_readable);
    }
    return err ? fail(m, LMAIL_ERR_IO, "%s", uv_strerror(err)) : LMAIL_OK;
}

static void destroy(lmail_dns *dns)
{
    if (dns->ub)
        ub_ctx_delete(dns->ub); /* joins its thread */
    lmi_dns_questions_done(dns);
    lmi_dns_hosts_done(&dns->hosts);
    free(dns);
}

lmail_status lmail_dns_new(lmail_dns **out, const lmail_dns_config *config, char *error, size_t cap)
{
    making m = {NULL, error, error ? cap : 0};
    *out = NULL;
    if (m.cap)
        error[0] = 0;
    if (config->size != sizeof(*config))
        return fail(&m, LMAIL_ERR_SIZE, "%s", lmail_status_text(LMAIL_ERR_SIZE));
    if (!config->loop)
        return fail(&m, LMAIL_ERR_ARG, "no loop");
    lmail_dns *dns = m.dns = calloc(1, sizeof(*dns));
    if (!dns)
        return fail(&m, LMAIL_ERR_NOMEM, "%s", lmail_status_text(LMAIL_ERR_NOMEM));
    dns->stats.size = sizeof(dns->stats);
    dns->ready_end = &dns->ready;
    dns->timeout = config->timeout ? config->timeout : TIMEOUT;
    dns->max_lookups = config->max_lookups ? config->max_lookups : MAX_LOOKUPS;
    dns->on_answered = config->on_answered;
    dns->user = config->user;
    dns->ub = ub_ctx_create();
    lmail_status status =
        dns->ub ? LMAIL_OK : fail(&m, LMAIL_ERR_NOMEM, "%s", lmail_status_text(LMAIL_ERR_NOMEM));
    if (!status &&
        lmi_dns_cache_init(&dns->cache, config->cache_size ? config->cache_size : CACHE_SIZE))
        status = fail(&m, LMAIL_ERR_NOMEM, "%s", lmail_status_text(LMAIL_ERR_NOMEM));
    if (!status)
        ub_ctx_debugout(dns->ub, NULL); /* libraries do not write to standard error */
    if (!status)
        status = set_options(&m, config);
    if (!status)
        status = add_servers(&m, config);
    if (!status)
        status = read_files(&m, config);
    if (!status)
        status = start_thread(&m);
    if (!status)
        status = watch(&m, config->loop);
    if (!status)
        *out = dns;
    else if (dns->handles)
        lmail_dns_free(dns, NULL, NULL);
    else
        destroy(dns);
    return status;
}

static void on_closed(uv_handle_t *handle)
{
    lmail_dns *dns = handle->data;
    if (--dns->handles)
        return;
    void (*closed)(void *arg) = dns->closed;
    void *arg = dns->closed_arg;
    destroy(dns);
    if (closed)
        closed(arg);
}

void lmail_dns_free(lmail_dns *dns, void (*closed)(void *arg), void *arg)
{
    if (!dns) {
        if (closed)
            closed(arg);
        return;
    }
    if (dns->closing)
        return;
    dns->closing = 1;
    dns->closed = closed;
    dns->closed_arg = arg;
    lmi_dns_end_all(dns);
    uv_close((uv_handle_t *)&dns->poll, on_closed);
    uv_close((uv_handle_t *)&dns->timer, on_closed);
}
