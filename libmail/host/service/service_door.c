/* service_door.c - doors: a listener under one set of rules, and the sockets opened at start.
 *
 * A door is counted: its listener holds it, and so does every peer that came through it. Protocols
 * are rows of lmi_protocol and known here by their table alone. */
#include "host/service/service_internal.h"
#include "host/service/service_limits.h"
#include "host/service/service_metrics.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define REST_AFTER 250u /* milliseconds: a client that computes has answered by then */

const lmi_protocol *lmi_protocol_of(const lmail_listener_settings *l)
{
    switch (l->protocol) {
    case LMAIL_LISTENER_IMAP:
        return &lmi_imap_protocol;
    case LMAIL_LISTENER_POP3:
        return &lmi_pop3_protocol;
    default:
        return &lmi_smtp_protocol;
    }
}

lmi_door *lmi_door_hold(lmi_door *door)
{
    atomic_fetch_add_explicit(&door->refs, 1, memory_order_relaxed);
    return door;
}

void lmi_door_release(lmi_door *door)
{
    if (!door || atomic_fetch_sub_explicit(&door->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (door->setup)
        door->protocol->setup_free(door->setup);
    lmi_rules_release(door->rules);
    free(door);
}

static void door_refused(void *user, lmail_loop *loop, lmail_refused why)
{
    lmi_count_turned_away(user, loop, why);
}

static void door_released(void *arg)
{
    lmi_door_release(arg);
}

lmail_status lmi_door_new(lmi_door **out, lmi_rules *rules, const lmail_listener_settings *l,
                          char *error, size_t cap)
{
    lmi_door *door = calloc(1, sizeof *door);
    if (!door)
        return LMAIL_ERR_NOMEM;
    atomic_init(&door->refs, 1);
    door->service = rules->service;
    door->rules = lmi_rules_hold(rules);
    door->settings = l;
    door->protocol = lmi_protocol_of(l);
    lmail_status st = door->protocol->setup_new(door, &door->setup);
    if (st) {
        snprintf(error, cap, "listener %.*s: %s", TEXT(l->name), lmail_status_text(st));
        lmi_door_release(door);
        return st;
    }
    *out = door;
    return LMAIL_OK;
}

char *lmi_list_text(const lmail_str_list *list)
{
    size_t len = 1, n = 0;
    for (size_t i = 0; i < list->count; i++)
        len += list->items[i].len + 1;
    char *text = calloc(1, len);
    for (size_t i = 0; text && i < list->count; i++)
        n += (size_t)snprintf(text + n, len - n, "%s%.*s", i ? " " : "", TEXT(list->items[i]));
    return text;
}

lmail_status lmi_door_listener(lmail_listener_config *c, const lmi_door *door, char **networks)
{
    const lmail_listener_settings *l = door->settings;
    lmail_listener_config_init(c);
    *networks = l->proxy ? lmi_list_text(&l->proxy_trusted) : NULL;
    if (l->proxy && !*networks)
        return LMAIL_ERR_NOMEM;
    c->proxy_from = *networks;
    c->rest_after = REST_AFTER;
    c->write_timeout = door->rules->settings->write_timeout;
    c->min_rate = (uint32_t)door->rules->settings->min_rate;
    if (l->tls != LMAIL_LISTENER_PLAIN)
        c->tls = door->rules->tls[door->protocol->auth];
    c->implicit_tls = l->tls == LMAIL_LISTENER_TLS;
    c->backlog = (unsigned)l->backlog;
    c->max_connections = (unsigned)l->max_sessions;
    if (door->protocol->service_bit == LMAIL_SERVICE_SMTP) {
        const lmail_settings *v = door->rules->settings;
        c->group = LMI_GROUP_SMTP;
        c->max_rate = (unsigned)v->smtp.connection_rate;
        c->handshake_timeout = v->smtp.starttls_timeout;
    }
    c->refusal = lmail_str_from(door->protocol->refusal);
    c->on_open = lmi_peer_open;
    c->on_closed = lmi_peer_closed;
    c->on_refused = door_refused;
    c->user = (void *)(size_t)door;
    c->on_released = door_released;
    return LMAIL_OK;
}

/* ---- Sockets --------------------------------------------------------------------------------- */

/* Every address of a family: an IPv6 socket of its own takes no IPv4. */
static lmail_str every_address(const lmail_listener_settings *l)
{
    return l->family == LMAIL_FAMILY_INET    ? LMAIL_STR("0.0.0.0")
           : l->family == LMAIL_FAMILY_INET6 ? LMAIL_STR("::")
                                             : LMAIL_STR("*");
}

/* A host name becomes the first of its addresses that the listener's family has; what is an address
 * stays. */
static lmail_str resolve(const lmail_listener_settings *l, lmail_str name, char out[256])
{
    const struct addrinfo hints = {.ai_family = l->family == LMAIL_FAMILY_INET    ? AF_INET
                                                : l->family == LMAIL_FAMILY_INET6 ? AF_INET6
                                                                                  : AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    char text[256];
    unsigned char octets[16];
    int n = snprintf(text, sizeof text, "%.*s", TEXT(name));
    if (n < 0 || (size_t)n >= sizeof text || strcmp(text, "*") == 0 ||
        inet_pton(AF_INET, text, octets) == 1 || inet_pton(AF_INET6, text, octets) == 1 ||
        getaddrinfo(text, NULL, &hints, &found))
        return name;
    int failed = getnameinfo(found->ai_addr, found->ai_addrlen, out, 256, NULL, 0, NI_NUMERICHOST);
    freeaddrinfo(found);
    return failed ? name : lmail_str_from(out);
}

static lmail_status write_where(lmail_service_socket *out, const lmail_listener_settings *l,
                                lmail_str address)
{
    char numeric[256];
    int is_path = address.len > 5 && memcmp(address.ptr, "unix:", 5) == 0;
    if (!is_path)
        address = resolve(l, address, numeric);
    const char *form = is_path                                 ? "%.*s"
                       : memchr(address.ptr, ':', address.len) ? "[%.*s]:%llu"
                                                               : "%.*s:%llu";
    int n =
        snprintf(out->where, sizeof out->where, form, TEXT(address), (unsigned long long)l->port);
    out->listener = l->name;
    out->optional = l->optional;
    return n > 0 && (size_t)n < sizeof out->where ? LMAIL_OK : LMAIL_ERR_LIMIT;
}

/* Also tells the listener. */
static lmail_status socket_at(const lmail_settings *v, unsigned protocols, size_t i,
                              lmail_service_socket *out, const lmail_listener_settings **listener)
{
    for (size_t k = 0; k < v->listener_count; k++) {
        const lmail_listener_settings *l = &v->listeners[k];
        size_t sockets = l->address.count ? l->address.count : 1;
        if (!(lmi_protocol_of(l)->service_bit & protocols))
            continue;
        if (i < sockets) {
            *listener = l;
            return write_where(out, l, l->address.count ? l->address.items[i] : every_address(l));
        }
        i -= sockets;
    }
    return LMAIL_END;
}

lmail_status lmail_service_socket_at(const lmail_settings *settings, unsigned protocols, size_t i,
                                     lmail_service_socket *out)
{
    const lmail_listener_settings *listener;
    return socket_at(settings, protocols, i, out, &listener);
}

lmail_status lmi_sockets_list(lmi_rules *rules, char *error, size_t cap)
{
    lmi_socket one;
    for (size_t n = 0;; n++) {
        lmail_status st =
            socket_at(rules->settings, rules->service->protocols, n, &one.at, &one.listener);
        if (st == LMAIL_END)
            return LMAIL_OK;
        if (st) {
            snprintf(error, cap, "listener %.*s: address too long", TEXT(one.listener->name));
            return st;
        }
        lmi_socket *more = realloc(rules->sockets, (n + 1) * sizeof *more);
        if (!more)
            return LMAIL_ERR_NOMEM;
        more[n] = one;
        rules->sockets = more;
        rules->socket_count = n + 1;
    }
}

const lmi_socket *lmi_socket_at(const lmi_rules *rules, const char *where, lmail_str listener)
{
    const lmi_socket *found = NULL;
    for (size_t i = 0; i < rules->socket_count; i++) {
        const lmi_socket *one = &rules->sockets[i];
        if (strcmp(one->at.where, where) != 0)
            continue;
        if (lmail_str_equal(one->listener->name, listener))
            return one;
        found = found ? found : one;
    }
    return found;
}

static void forget(lmail_service *s, size_t i)
{
    free(s->opened[i].name);
    free(s->opened[i].where);
    size_t behind = --s->opened_count - i;
    memmove(&s->opened[i], &s->opened[i + 1], behind * sizeof s->opened[0]);
}

void lmi_doors_forget(lmail_service *s)
{
    while (s->opened_count)
        forget(s, s->opened_count - 1);
    free(s->opened);
}

/* One more, without its listener yet. NULL: no memory. */
static lmi_open *add_open(lmail_service *s, lmail_str name, const char *where)
{
    lmi_open *more = realloc(s->opened, (s->opened_count + 1) * sizeof *more);
    if (!more)
        return NULL;
    s->opened = more;
    lmi_open *one = &more[s->opened_count++];
    *one = (lmi_open){NULL, strndup(name.ptr, name.len), strdup(where), 0};
    if (one->name && one->where)
        return one;
    forget(s, s->opened_count - 1);
    return NULL;
}

static lmail_status listen_through(lmail_service *s, lmi_open *one, lmi_door *door, char *error,
                                   size_t cap)
{
    char why[256] = "", *networks;
    lmail_listener_config c;
    lmail_status st = lmi_door_listener(&c, door, &networks);
    c.address = one->where;
    c.fd = s->on_socket ? s->on_socket(s->host, one->where) : -1;
    c.inherited = c.fd >= 0;
    if (!st)
        st = lmail_listener_new(&one->listener, s->net, &c, why, sizeof why);
    free(networks);
    if (st)
        snprintf(error, cap, "listener %s at %s: %s", one->name, one->where,
                 why[0] ? why : lmail_status_text(st));
    return st;
}

/* One socket of a listener. l is one of the rules' own. */
static lmail_status bind_one(lmail_service *s, lmi_rules *rules, const lmail_listener_settings *l,
                             const char *where, char *error, size_t cap)
{
    lmi_open *one = add_open(s, l->name, where);
    lmi_door *door = NULL;
    lmail_status st = one ? lmi_door_new(&door, rules, l, error, cap) : LMAIL_ERR_NOMEM;
    if (!st)
        st = listen_through(s, one, door, error, cap);
    if (st) {
        lmi_door_release(door);
        if (one)
            forget(s, s->opened_count - 1);
    }
    return st;
}

/* One socket, which may be missing when the listener is optional. */
static lmail_status open_one(lmail_service *s, lmi_rules *rules, const lmail_listener_settings *l,
                             const char *where, char *error, size_t cap)
{
    lmail_status st = bind_one(s, rules, l, where, error, cap);
    if (!st || !l->optional || st == LMAIL_ERR_NOMEM)
        return st;
    lmail_log_line line;
    lmail_log_begin(&line, s->log, LMAIL_LOG_WARN, "listener_skipped");
    lmail_log_text(&line, "reason", lmail_str_from(error));
    lmail_log_end(&line);
    error[0] = '\0';
    return LMAIL_OK;
}

static int is_open(const lmail_service *s, const char *where)
{
    for (size_t i = 0; i < s->opened_count; i++)
        if (strcmp(s->opened[i].where, where) == 0)
            return 1;
    return 0;
}

lmail_status lmi_doors_open(lmail_service *s, lmi_rules *rules, char *error, size_t cap)
{
    size_t before = s->opened_count;
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; !st && i < rules->socket_count; i++) {
        const lmi_socket *one = &rules->sockets[i];
        if (!before || !is_open(s, one->at.where))
            st = open_one(s, rules, one->listener, one->at.where, error, cap);
    }
    if (!st && s->opened_count > 0)
        return LMAIL_OK;
    if (!st) {
        snprintf(error, cap, "no listener is configured for this service");
        st = LMAIL_ERR_ARG;
    }
    while (s->opened_count > before) {
        lmail_listener_close(s->opened[s->opened_count - 1].listener);
        forget(s, s->opened_count - 1);
    }
    return st;
}

void lmi_doors_close_gone(lmail_service *s, const lmi_rules *rules)
{
    for (size_t i = s->opened_count; i-- > 0;)
        if (!lmi_socket_at(rules, s->opened[i].where, lmail_str_from(s->opened[i].name))) {
            lmail_listener_close(s->opened[i].listener);
            forget(s, i);
        }
}

unsigned lmail_service_port(const lmail_service *s, lmail_str listener)
{
    for (size_t i = 0; i < s->opened_count; i++)
        if (lmail_str_equal(lmail_str_from(s->opened[i].name), listener))
            return lmail_listener_port(s->opened[i].listener);
    return 0;
}
