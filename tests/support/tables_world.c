/* tables_world.c - routing tables made of texts. */
#include "tables_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void note(void *ctx, const lmail_diagnostic *d)
{
    tables_world *w = ctx;
    size_t n = strlen(w->said);
    if (n + 2 < sizeof w->said) {
        n += lmail_diagnostic_write(d, w->said + n, sizeof w->said - n - 1);
        memcpy(w->said + n, "\n", 2);
    }
}

static lmail_status include(void *ctx, lmail_str name, lmail_str *octets)
{
    const tables_world *w = ctx;
    for (size_t i = 0; i < TABLES_WORLD_FILES && w->files[i].name; i++)
        if (lmail_str_equal(name, lmail_str_from(w->files[i].name))) {
            *octets = lmail_str_from(w->files[i].text);
            return LMAIL_OK;
        }
    return LMAIL_ERR_NOTFOUND;
}

lmail_policy_file tables_world_file(const char *name, const char *text)
{
    return (lmail_policy_file){lmail_str_from(name), lmail_str_from(text)};
}

void tables_world_init(tables_world *w, const char *local)
{
    lmail_str names[16];
    size_t count = 0;
    memset(w, 0, sizeof *w);
    for (; *local && count < 16; count++) {
        names[count] = (lmail_str){local, strcspn(local, " ")};
        local += names[count].len;
        local += strspn(local, " ");
    }
    lmail_policy_config c;
    lmail_policy_config_init(&c);
    c.host_name = LMAIL_STR("correo.midominio.com.mx");
    c.local_domains = names;
    c.local_domain_count = count;
    if (lmail_policy_new(&w->policy, &c))
        abort();
    lmail_policy_tables_config_init(&w->config);
    w->config.policy = w->policy;
    w->config.diagnostic = note;
    w->config.diagnostic_ctx = w;
    w->config.include = include;
    w->config.include_ctx = w;
}

void tables_world_aliases(tables_world *w, const char *text)
{
    w->aliases = tables_world_file("aliases", text);
    w->config.aliases = &w->aliases;
    w->config.alias_count = 1;
}

void tables_world_load(tables_world *w)
{
    w->said[0] = 0;
    w->status = lmail_policy_tables_new(&w->tables, &w->config);
}

void tables_world_done(tables_world *w)
{
    lmail_policy_tables_free(w->tables);
    lmail_policy_free(w->policy);
    w->tables = NULL;
    w->policy = NULL;
}

static size_t put_hosts(const lmail_policy_destination *d, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < d->host_count; i++) {
        lmail_str name = d->hosts[i].name;
        int bare = d->hosts[i].no_mx && name.ptr[0] != '[';
        n += (size_t)snprintf(out + n, cap - n, "%s%s%.*s%s", i ? "," : "", bare ? "[" : "",
                              (int)name.len, name.ptr, bare ? "]" : "");
        if (d->hosts[i].port)
            n += (size_t)snprintf(out + n, cap - n, "@%u", d->hosts[i].port);
    }
    return n;
}

#define TEXT(s) (int)(s).len, (s).ptr

static void put_one(const lmail_policy_destination *d, char *out, size_t cap)
{
    char hosts[512];
    int mailer = !lmail_str_equal(d->mailer, LMAIL_STR("esmtp"));
    switch (d->kind) {
    case LMAIL_POLICY_TO_USER:
        snprintf(out, cap, "local %.*s%s%.*s", TEXT(d->user), d->has_detail ? "+" : "",
                 TEXT(d->detail));
        break;
    case LMAIL_POLICY_TO_HOST:
        put_hosts(d, hosts, sizeof hosts);
        snprintf(out, cap, "smtp %.*s via %s%s%.*s", TEXT(d->address), hosts, mailer ? " by " : "",
                 mailer ? (int)d->mailer.len : 0, d->mailer.ptr);
        break;
    case LMAIL_POLICY_TO_FILE:
        snprintf(out, cap, "file %.*s", TEXT(d->path));
        break;
    case LMAIL_POLICY_TO_PROGRAM:
        snprintf(out, cap, "program %.*s %.*s", TEXT(d->path), TEXT(d->arguments));
        break;
    case LMAIL_POLICY_TO_NOBODY:
        snprintf(out, cap, "error %u %.*s %.*s", d->code, TEXT(d->enhanced), TEXT(d->text));
        break;
    }
    size_t n = strlen(out);
    if (d->sender.len)
        snprintf(out + n, cap - n, " from %.*s", TEXT(d->sender));
}

static void put_all(lmail_status st, const lmail_policy_routes *routes, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = 0;
    if (st) {
        snprintf(out, cap, "%s", lmail_status_name(st));
        return;
    }
    for (size_t i = 0; i < routes->count && n + 4 < cap; i++) {
        n += (size_t)snprintf(out + n, cap - n, "%s", i ? "; " : "");
        put_one(&routes->items[i], out + n, cap - n);
        n += strlen(out + n);
    }
    lmail_policy_routes_free(routes);
}

void tables_world_route(const tables_world *w, const char *address, char *out, size_t cap)
{
    lmail_policy_route_question q;
    const lmail_policy_routes *routes;
    const char *at = strrchr(address, '@');
    lmail_policy_route_question_init(&q);
    q.local_part = (lmail_str){address, at ? (size_t)(at - address) : strlen(address)};
    q.domain = lmail_str_from(at ? at + 1 : NULL);
    lmail_status st = lmail_policy_tables_route(w->tables, &q, &routes);
    put_all(st, routes, out, cap);
}

void tables_world_forward(const tables_world *w, const char *user, lmail_str text, char *out,
                          size_t cap)
{
    lmail_policy_forward_question q;
    const lmail_policy_routes *routes;
    const char *at = strrchr(user, '@');
    lmail_policy_forward_question_init(&q);
    q.user = (lmail_str){user, at ? (size_t)(at - user) : strlen(user)};
    q.domain = lmail_str_from(at ? at + 1 : NULL);
    q.text = text;
    lmail_status st = lmail_policy_tables_forward(w->tables, &q, &routes);
    put_all(st, routes, out, cap);
}
