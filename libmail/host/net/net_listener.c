/* net_listener.c - sockets that listen, and the rules that their connections are accepted under.
 *
 * One loop (the first) accepts for all listeners and hands each socket to the loop with the fewest
 * connections. SO_REUSEPORT would spare the hand-over, but it spreads by a hash, which leaves loops
 * idle when clients are few; it resets what waits in a queue when one of its sockets closes; and it
 * cannot serve inherited or unix sockets. One thread accepts about 100,000 connections a second,
 * more than any mail server shakes hands with.
 *
 * A listener that must not accept is closed with shutdown(SHUT_RD): clients see "connection
 * refused" and go elsewhere. The address stays bound, so listen() opens it again without
 * privileges. A unix socket cannot be reopened that way; there clients wait in the queue. */
#include "net_internal.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIN_RATE 64u /* octets a second; a line of 1,200 baud brings more */

static void apply_asked(lmi_task *task);
static void wait_over(lmi_timer *timer);

void lmail_listener_config_init(lmail_listener_config *config)
{
    *config = (lmail_listener_config)LMAIL_LISTENER_CONFIG_INIT;
}

/* ---- Setups ---------------------------------------------------------------------------------- */

static lmail_msec or_default(lmail_msec given, lmail_msec standard)
{
    return given ? given : standard;
}

/* Octets in that time at that rate; at least one. */
static size_t least_of(lmail_msec time, uint32_t rate)
{
    uint64_t least = time < UINT32_MAX ? time * rate / 1000 : (uint64_t)rate * (UINT32_MAX / 1000);
    return least ? (size_t)least : 1;
}

void lmi_setup_times(lmi_setup *s, lmail_msec handshake, lmail_msec write, uint32_t min_rate,
                     lmail_msec linger, lmail_msec rest)
{
    s->handshake_timeout = or_default(handshake, 30000);
    s->write_timeout = or_default(write, 120000);
    s->write_least = least_of(s->write_timeout, min_rate ? min_rate : MIN_RATE);
    s->linger_timeout = or_default(linger, 2000);
    s->rest_after = or_default(rest, 5000);
}

/* An older host's configuration is shorter. */
static lmail_status take_config(lmail_listener_config *out, const lmail_listener_config *given,
                                char *error, size_t cap)
{
    *out = (lmail_listener_config){0};
    if (given->size > sizeof(*out) || given->size < offsetof(lmail_listener_config, group))
        return lmi_net_fail(LMAIL_ERR_SIZE, error, cap, "configuration of another library");
    memcpy(out, given, given->size);
    return LMAIL_OK;
}

static lmail_status setup_new(lmi_setup **out, const lmail_listener_config *config, char *error,
                              size_t cap)
{
    if (!config->on_open || (config->implicit_tls && !config->tls))
        return lmi_net_fail(LMAIL_ERR_ARG, error, cap,
                            config->on_open ? "TLS without a certificate" : "no on_open");
    if (config->tls && config->tls->client)
        return lmi_net_fail(LMAIL_ERR_ARG, error, cap, "the TLS of a client");
    lmi_setup *s = calloc(1, sizeof(*s));
    if (!s)
        return lmi_net_fail(LMAIL_ERR_NOMEM, error, cap, "out of memory");
    s->refs = 1;
    s->implicit_tls = config->implicit_tls != 0;
    s->proxy_timeout = or_default(config->proxy_timeout, 5000);
    lmi_setup_times(s, config->handshake_timeout, config->write_timeout, config->min_rate,
                    config->linger_timeout, config->rest_after);
    s->max_connections = config->max_connections;
    s->max_rate = config->max_rate;
    s->on_open = config->on_open;
    s->on_closed = config->on_closed;
    s->on_refused = config->on_refused;
    s->user = config->user;
    lmail_status st = LMAIL_OK;
    if (config->proxy_from) {
        s->proxy = 1;
        st = lmi_networks_parse(&s->proxy_from, config->proxy_from);
    }
    if (!st && config->refusal.len) {
        s->refusal = malloc(config->refusal.len);
        s->refusal_len = config->refusal.len;
        if (s->refusal)
            memcpy(s->refusal, config->refusal.ptr, config->refusal.len);
        else
            st = LMAIL_ERR_NOMEM;
    }
    if (st) {
        lmi_setup_release(s);
        if (st == LMAIL_ERR_SYNTAX)
            return lmi_net_fail(LMAIL_ERR_ARG, error, cap, "\"%s\" is no list of networks",
                                config->proxy_from);
        return lmi_net_fail(st, error, cap, "%s", lmail_status_text(st));
    }
    if (config->tls)
        s->tls = lmail_tls_hold(config->tls);
    s->on_released = config->on_released; /* from here on it will be called */
    *out = s;
    return LMAIL_OK;
}

lmi_setup *lmi_setup_hold(lmi_setup *setup)
{
    atomic_fetch_add(&setup->refs, 1);
    return setup;
}

void lmi_setup_release(lmi_setup *setup)
{
    if (!setup || atomic_fetch_sub(&setup->refs, 1) != 1)
        return;
    if (setup->on_released)
        setup->on_released(setup->user);
    lmail_tls_release(setup->tls);
    lmi_networks_done(&setup->proxy_from);
    free(setup->refusal);
    free(setup->tls_name);
    free(setup);
}

void lmi_setup_refused(const lmi_setup *setup, lmail_loop *loop, lmail_refused why)
{
    lmail_net *net = loop->net;
    atomic_fetch_add(why == LMAIL_REFUSED_ADDRESS ? &net->refused_address
                     : why == LMAIL_REFUSED_FILES ? &net->refused_files
                                                  : &net->proxy_errors,
                     1);
    if (setup->on_refused)
        setup->on_refused(setup->user, loop, why);
}

/* ---- Listeners ------------------------------------------------------------------------------- */

lmail_status lmail_listener_new(lmail_listener **out, lmail_net *net,
                                const lmail_listener_config *given, char *error, size_t cap)
{
    lmail_listener_config config;
    lmi_setup *setup;
    if (net->stopping)
        return lmi_net_fail(LMAIL_ERR_STATE, error, cap, "the net stops");
    lmail_status st = take_config(&config, given, error, cap);
    if (!st && config.group > LMAIL_NET_GROUPS)
        st = lmi_net_fail(LMAIL_ERR_ARG, error, cap, "no such group");
    if (!st)
        st = setup_new(&setup, &config, error, cap);
    if (st)
        return st;
    lmail_listener *l = calloc(1, sizeof(*l));
    if (!l || lmi_heap_promise(&net->loops[0].timers)) {
        free(l);
        setup->on_released = NULL;
        lmi_setup_release(setup);
        return lmi_net_fail(LMAIL_ERR_NOMEM, error, cap, "out of memory");
    }
    l->net = net;
    l->fd = -1;
    l->backlog = config.backlog ? config.backlog : 1024;
    l->group = config.group;
    l->apply_task.fn = apply_asked;
    l->timer.fn = wait_over;
    l->setup = setup;
    st = lmi_listener_bind(l, &config, error, cap);
    if (st) {
        setup->on_released = NULL; /* the host learns of the failure here */
        lmi_listener_free(l);
        return st;
    }
    l->next = net->listeners;
    net->listeners = l;
    if (net->started)
        lmi_listener_start(l);
    if (out)
        *out = l;
    return LMAIL_OK;
}

/* Returns what was there; whoever calls releases it. */
static lmi_setup *exchange_setup(lmail_listener *l, lmi_setup *next)
{
    pthread_mutex_lock(&l->net->lock);
    lmi_setup *before = l->setup;
    l->setup = next;
    pthread_mutex_unlock(&l->net->lock);
    return before;
}

lmail_status lmail_listener_update(lmail_listener *l, const lmail_listener_config *given,
                                   char *error, size_t cap)
{
    lmail_listener_config config;
    lmi_setup *next;
    lmail_status st = take_config(&config, given, error, cap);
    if (!st)
        st = setup_new(&next, &config, error, cap);
    if (st)
        return st;
    lmi_setup_release(exchange_setup(l, next));
    lmi_loop_post_task(&l->net->loops[0], &l->apply_task); /* its limit may be another */
    return LMAIL_OK;
}

void lmi_listener_start(lmail_listener *l)
{
    uv_loop_t *uv = l->net->loops[0].uv;
    if (l->has_poll || uv_poll_init(uv, &l->poll, l->fd))
        return;
    l->poll.data = l;
    l->has_poll = 1;
    l->listening = 1;
    uv_poll_start(&l->poll, UV_READABLE, lmi_listener_accept);
    lmi_listener_apply(l);
}

static void poll_closed(uv_handle_t *handle)
{
    lmail_listener *l = handle->data;
    close(l->fd);
    l->fd = -1;
}

/* It takes nobody any more: what it was set up with goes with its last connection. */
static void end(lmail_listener *l)
{
    if (!l->open)
        return;
    l->open = 0;
    lmi_setup_release(exchange_setup(l, NULL));
    lmi_loop_timer_set(&l->net->loops[0], &l->timer, LMAIL_NEVER);
    if (l->unlink_path)
        unlink(l->unlink_path);
    if (l->has_poll) {
        uv_close((uv_handle_t *)&l->poll, poll_closed);
        return;
    }
    close(l->fd);
    l->fd = -1;
}

void lmi_listener_apply(lmail_listener *l)
{
    if (!l->open || !l->has_poll)
        return;
    if (l->net->stopping || atomic_load(&l->closed)) {
        end(l);
        return;
    }
    int refuse = lmi_net_refuses(l);
    int wanted = !refuse && !l->waiting;
    if (wanted == l->listening)
        return;
    l->listening = wanted;
    if (wanted) {
        listen(l->fd, (int)l->backlog);
        uv_poll_start(&l->poll, UV_READABLE, lmi_listener_accept);
    } else {
        uv_poll_stop(&l->poll);
        if (refuse && !l->is_unix)
            shutdown(l->fd, SHUT_RD);
    }
}

static void apply_asked(lmi_task *task)
{
    lmi_listener_apply(LMI_OF(task, lmail_listener, apply_task));
}

static void wait_over(lmi_timer *timer)
{
    lmail_listener *l = LMI_OF(timer, lmail_listener, timer);
    l->waiting = 0;
    lmi_listener_apply(l);
}

unsigned lmail_listener_port(const lmail_listener *listener)
{
    return listener->port;
}

void lmail_listener_pause(lmail_listener *listener)
{
    atomic_store(&listener->paused, 1);
    lmi_loop_post_task(&listener->net->loops[0], &listener->apply_task);
}

void lmail_listener_resume(lmail_listener *listener)
{
    atomic_store(&listener->paused, 0);
    lmi_loop_post_task(&listener->net->loops[0], &listener->apply_task);
}

void lmail_listener_close(lmail_listener *listener)
{
    atomic_store(&listener->closed, 1);
    lmi_loop_post_task(&listener->net->loops[0], &listener->apply_task);
}

void lmi_listener_free(lmail_listener *l)
{
    end(l);
    lmi_heap_unpromise(&l->net->loops[0].timers);
    lmi_setup_release(l->setup);
    free(l->unlink_path);
    free(l);
}
