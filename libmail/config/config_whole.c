/* config_whole.c - what only the whole configuration shows: which listeners there are, settings that
 * need each other. Publishes the named sections. Called once, when all files are read. */
#include "config/config_internal.h"

#include <libmail/milter.h>

#include <string.h>

typedef struct standard_listener {
    const char *name;
    lmail_listener_protocol protocol;
    lmail_listener_tls tls;
} standard_listener;

/* What listens when the file names no listener at all. */
static const standard_listener standard_listeners[] = {
    {"smtp", LMAIL_LISTENER_SMTP, LMAIL_LISTENER_STARTTLS},
    {"submission", LMAIL_LISTENER_SUBMISSION, LMAIL_LISTENER_STARTTLS},
    {"submissions", LMAIL_LISTENER_SUBMISSION, LMAIL_LISTENER_TLS},
    {"imap", LMAIL_LISTENER_IMAP, LMAIL_LISTENER_STARTTLS},
    {"imaps", LMAIL_LISTENER_IMAP, LMAIL_LISTENER_TLS},
    {"pop3", LMAIL_LISTENER_POP3, LMAIL_LISTENER_STARTTLS},
    {"pop3s", LMAIL_LISTENER_POP3, LMAIL_LISTENER_TLS}};

static uint64_t standard_port(const lmail_listener_settings *l)
{
    int tls = l->tls == LMAIL_LISTENER_TLS;
    switch (l->protocol) {
    case LMAIL_LISTENER_SUBMISSION:
        return tls ? 465 : 587;
    case LMAIL_LISTENER_LMTP:
        return 24;
    case LMAIL_LISTENER_IMAP:
        return tls ? 993 : 143;
    case LMAIL_LISTENER_POP3:
        return tls ? 995 : 110;
    default:
        return 25;
    }
}

/* Those of protocols that no imported file has spoken of. */
static void add_standard_listeners(lmi_reader *r)
{
    const lmi_origin none = {{NULL, 0}, 0, LMI_RANK_DEFAULT};
    for (size_t i = 0; i < sizeof standard_listeners / sizeof *standard_listeners; i++) {
        const standard_listener *s = &standard_listeners[i];
        if (r->claimed >> s->protocol & 1)
            continue;
        lmi_section *l = lmi_config_section(r, LMI_SECTION_LISTENER, lmail_str_from(s->name), none);
        if (!l)
            continue;
        l->values.listener.protocol = s->protocol;
        l->values.listener.tls = s->tls;
    }
}

/* libmail.conf names listeners: these are all. */
static void drop_imported_listeners(lmi_reader *r)
{
    lmi_sections *all = &r->config->sections[LMI_SECTION_LISTENER];
    size_t kept = 0;
    for (size_t i = 0; i < all->count; i++) {
        lmi_section *s = all->items[i];
        if (s->origin.rank == LMI_RANK_NATIVE)
            all->items[kept++] = s;
        else
            LMI_SAY(r, LMAIL_NOTICE, s->origin, LMAIL_STR("listener "), s->values.name,
                    LMAIL_STR(" is not opened: the main file names listeners of its own"));
    }
    all->count = kept;
}

static void choose_listeners(lmi_reader *r)
{
    const lmi_sections *all = &r->config->sections[LMI_SECTION_LISTENER];
    size_t native = 0;
    for (size_t i = 0; i < all->count; i++)
        native += all->items[i]->origin.rank == LMI_RANK_NATIVE;
    if (native)
        drop_imported_listeners(r);
    else
        add_standard_listeners(r);
}

const lmi_setting *lmi_config_setting(const char *name)
{
    const lmi_setting *row = lmi_settings;
    while (row->name && strcmp(row->name, name) != 0)
        row++;
    return row;
}

lmi_origin lmi_config_origin(const lmail_config *c, const char *name)
{
    return c->origins[lmi_config_setting(name) - lmi_settings];
}

/* Where one of a pair of settings stands without the other. */
static void check_pair(lmi_reader *r, const lmail_str *first, const char *first_name,
                       const lmail_str *second, const char *second_name)
{
    if ((first->len == 0) == (second->len == 0))
        return;
    LMI_SAY(r, LMAIL_ERROR, lmi_config_origin(r->config, first->len ? first_name : second_name),
            lmail_str_from(first_name), LMAIL_STR(" and "), lmail_str_from(second_name),
            LMAIL_STR(" are given together or not at all"));
}

/* "NNN text", refused for good or for now. */
static int is_reply(lmail_str s)
{
    uint32_t code;
    return s.len >= 3 && !lmi_parse_u32(lmi_str_sub(s, 0, 3), &code) && code >= 400 && code < 600 &&
           (s.len == 3 || s.ptr[3] == ' ');
}

static void check_reply(lmi_reader *r, lmail_str reply, const char *name, lmi_origin at)
{
    if (!is_reply(reply))
        LMI_SAY(r, LMAIL_ERROR, at, lmail_str_from(name),
                LMAIL_STR(" begins with a code from 400 to 599"));
}

static void check_milter_names(lmi_reader *r, const lmail_str_list *names, lmi_origin at)
{
    const lmi_sections *all = &r->config->sections[LMI_SECTION_MILTER];
    for (size_t i = 0; i < names->count; i++) {
        size_t k = 0;
        while (k < all->count && !lmail_str_equal(all->items[k]->values.name, names->items[i]))
            k++;
        if (k == all->count)
            LMI_SAY(r, LMAIL_ERROR, at, LMAIL_STR("there is no milter \""), names->items[i],
                    LMAIL_STR("\""));
    }
}

/* Where a setting of a section was given. */
static lmi_origin setting_origin(const lmi_section *s, const char *name)
{
    size_t i = 0;
    while (!lmail_str_equal(lmi_section_setting(s->kind, &s->kind->rows[i]), lmail_str_from(name)))
        i++;
    return s->origins[i];
}

#define MAX_SOCKET_PATH 107u /* unix(7): sun_path, less its end */

static void check_path_length(lmi_reader *r, lmail_str path, lmail_str shown, lmail_str what,
                              lmi_origin at)
{
    if (path.len > MAX_SOCKET_PATH)
        LMI_SAY(r, LMAIL_ERROR, at, what, LMAIL_STR(": \""), lmi_str_sub(shown, 0, 40),
                LMAIL_STR("...\" is longer than 107 octets, the most that a socket's path has"));
}

/* "unix:PATH" in one of several addresses, or in the only one. */
static void check_socket_path(lmi_reader *r, lmail_str address, lmail_str what, lmi_origin at)
{
    lmail_str path = lmi_str_skip(address, 5);
    if (address.len < 5 || memcmp(address.ptr, "unix:", 5) != 0)
        return;
    if (!path.len)
        LMI_SAY(r, LMAIL_ERROR, at, what, LMAIL_STR(": unix: needs the path of a socket"));
    check_path_length(r, path, address, what, at);
}

static void check_sections(lmi_reader *r)
{
    const lmi_sections *all = r->config->sections;
    for (size_t i = 0; i < all[LMI_SECTION_DNSBL].count; i++) {
        const lmi_section *s = all[LMI_SECTION_DNSBL].items[i];
        if (s->values.dnsbl.reply.len)
            check_reply(r, s->values.dnsbl.reply, "reply", s->origin);
    }
    for (size_t i = 0; i < all[LMI_SECTION_MILTER].count; i++) {
        const lmi_section *s = all[LMI_SECTION_MILTER].items[i];
        lmail_milter_socket socket;
        if (!s->values.milter.socket.len)
            LMI_SAY(r, LMAIL_ERROR, s->origin, LMAIL_STR("milter "), s->values.name,
                    LMAIL_STR(" needs a socket"));
        else if (lmail_milter_socket_parse(s->values.milter.socket, &socket))
            LMI_SAY(r, LMAIL_ERROR, s->origin, LMAIL_STR("milter "), s->values.name,
                    LMAIL_STR(": socket is inet:PORT@HOST, inet6:PORT@HOST or unix:/PATH, not "),
                    s->values.milter.socket);
        check_socket_path(r, s->values.milter.socket, LMAIL_STR("socket"),
                          setting_origin(s, "socket"));
    }
    for (size_t i = 0; i < all[LMI_SECTION_LISTENER].count; i++) {
        const lmi_section *s = all[LMI_SECTION_LISTENER].items[i];
        check_milter_names(r, &s->values.listener.milters, s->origin);
        for (size_t k = 0; k < s->values.listener.address.count; k++)
            check_socket_path(r, s->values.listener.address.items[k], LMAIL_STR("address"),
                              setting_origin(s, "address"));
    }
}

static void check_mode(lmi_reader *r, lmail_str mode, const char *name)
{
    size_t octal = 0;
    while (octal < mode.len && mode.ptr[octal] >= '0' && mode.ptr[octal] <= '7')
        octal++;
    if (octal < mode.len || mode.len > 4 || (mode.len == 4 && mode.ptr[0] != '0'))
        LMI_SAY(r, LMAIL_ERROR, lmi_config_origin(r->config, name), lmail_str_from(name),
                LMAIL_STR(" is three octal digits, as 0660"));
}

static int is_loopback(lmail_str host)
{
    size_t dots = 0;
    if (lmail_str_equal(host, LMAIL_STR("[::1]")))
        return 1;
    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] != '.' && (host.ptr[i] < '0' || host.ptr[i] > '9'))
            return 0;
        dots += host.ptr[i] == '.';
    }
    return dots == 3 && host.len > 4 && memcmp(host.ptr, "127.", 4) == 0;
}

/* What is shown is nobody's business outside: only this machine gets at it, unless told so. */
static void check_metrics(lmi_reader *r, lmail_str where, const char *name)
{
    const lmi_origin at = lmi_config_origin(r->config, name);
    uint32_t port = 0;
    size_t colon = where.len;
    if (where.len > 6 && memcmp(where.ptr, "unix:/", 6) == 0)
        check_socket_path(r, where, lmail_str_from(name), at);
    if (!where.len || (where.len > 6 && memcmp(where.ptr, "unix:/", 6) == 0))
        return;
    while (colon > 0 && where.ptr[colon - 1] != ':')
        colon--;
    if (colon < 2 || lmi_parse_u32(lmi_str_skip(where, colon), &port) || port == 0 || port > 65535)
        LMI_SAY(r, LMAIL_ERROR, at, lmail_str_from(name),
                LMAIL_STR(" is ADDRESS:PORT, as 127.0.0.1:9025 or [::1]:9025, or unix:/PATH"));
    else if (!is_loopback(lmi_str_sub(where, 0, colon - 1)) &&
             !r->config->values.metrics.allow_remote)
        LMI_SAY(r, LMAIL_ERROR, at, lmail_str_from(name),
                LMAIL_STR(" is no address of 127.0.0.0/8 or [::1]: other machines could read it; "
                          "metrics.allow_remote = yes permits that"));
}

static void check_whole(lmi_reader *r)
{
    const lmail_config *c = r->config;
    const lmail_settings *v = &c->values;
    check_metrics(r, v->smtp.metrics_listen, "smtp.metrics_listen");
    check_metrics(r, v->imap.metrics_listen, "imap.metrics_listen");
    check_metrics(r, v->pop3.metrics_listen, "pop3.metrics_listen");
    check_pair(r, &v->tls.certificate, "tls.certificate", &v->tls.key, "tls.key");
    check_pair(r, &v->smtp.tls_certificate, "smtp.tls_certificate", &v->smtp.tls_key,
               "smtp.tls_key");
    check_pair(r, &v->client.certificate, "client.certificate", &v->client.key, "client.key");
    check_reply(r, v->policy.reject_reply, "policy.reject_reply",
                lmi_config_origin(c, "policy.reject_reply"));
    check_reply(r, v->policy.relay_reply, "policy.relay_reply",
                lmi_config_origin(c, "policy.relay_reply"));
    check_milter_names(r, &v->smtp.milters, lmi_config_origin(c, "smtp.milters"));
    check_sections(r);
    lmi_config_check_mail(r);
    check_mode(r, v->authd.socket_mode, "authd.socket_mode");
    for (size_t i = 0; i < v->authd.sockets.count; i++)
        check_path_length(r, v->authd.sockets.items[i], v->authd.sockets.items[i],
                          LMAIL_STR("authd.sockets"), lmi_config_origin(c, "authd.sockets"));
    if (v->imap.separator.len != 1 || (unsigned char)v->imap.separator.ptr[0] <= ' ' ||
        strchr("%*\"\\&~", v->imap.separator.ptr[0]) || (v->imap.separator.ptr[0] & 0x80))
        LMI_SAY(r, LMAIL_ERROR, lmi_config_origin(c, "imap.separator"),
                LMAIL_STR("imap.separator is one printable character, and none of % * \" \\ & ~"));
}

/* ---- Publishing ------------------------------------------------------------------------------ */

/* What follows from other settings of the same listener. */
static void complete_listener(lmi_section *s)
{
    lmail_listener_settings *l = &s->values.listener;
    for (size_t i = 0; s->kind->rows[i].name; i++) {
        size_t at = s->kind->rows[i].offset;
        if (s->origins[i].rank != LMI_RANK_DEFAULT)
            continue;
        if (at == offsetof(lmail_listener_settings, require_auth))
            l->require_auth = l->protocol == LMAIL_LISTENER_SUBMISSION;
        if (at == offsetof(lmail_listener_settings, sender_check))
            l->sender_check = l->protocol == LMAIL_LISTENER_SUBMISSION;
    }
    if (l->port == 0)
        l->port = standard_port(l);
}

/* The sections of a kind as an array of what they hold. */
static void *gather(lmi_reader *r, lmi_section_id id, size_t size, size_t *count)
{
    const lmi_sections *all = &r->config->sections[id];
    char *out = lmi_arena_get(&r->config->arena, (all->count + 1) * size);
    if (!out) {
        r->failed = LMAIL_ERR_NOMEM;
        return NULL;
    }
    for (size_t i = 0; i < all->count; i++)
        memcpy(out + i * size, &all->items[i]->values, size);
    *count = all->count;
    return out;
}

void lmi_config_finish(lmi_reader *r)
{
    lmail_config *c = r->config;
    lmail_settings *v = &c->values;
    choose_listeners(r);
    check_whole(r);
    for (size_t i = 0; i < c->sections[LMI_SECTION_LISTENER].count; i++)
        complete_listener(c->sections[LMI_SECTION_LISTENER].items[i]);
    for (size_t i = 0; i < c->sections[LMI_SECTION_DNSBL].count; i++) {
        lmail_dnsbl_settings *d = &c->sections[LMI_SECTION_DNSBL].items[i]->values.dnsbl;
        if (!d->zone.len)
            d->zone = d->name;
    }
    v->listeners =
        gather(r, LMI_SECTION_LISTENER, sizeof(lmail_listener_settings), &v->listener_count);
    v->dnsbls = gather(r, LMI_SECTION_DNSBL, sizeof(lmail_dnsbl_settings), &v->dnsbl_count);
    v->milters = gather(r, LMI_SECTION_MILTER, sizeof(lmail_milter_settings), &v->milter_count);
}
