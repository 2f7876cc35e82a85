/* delivery_route.c - the text of a queue row's route as hosts to try.
 *
 * A row keeps in one text what the routing tables decided, "mailer:host:host"; without it the
 * address's own domain says where to. */
#include "delivery/delivery_internal.h"

#include <string.h>

static const struct {
    lmail_str name;
    lmail_delivery_mailer mailer;
} mailers[] = {
    {{"esmtp", 5}, LMAIL_DELIVERY_ESMTP}, {{"smtp", 4}, LMAIL_DELIVERY_SMTP},
    {{"smtp8", 5}, LMAIL_DELIVERY_ESMTP}, {{"dsmtp", 5}, LMAIL_DELIVERY_ESMTP},
    {{"relay", 5}, LMAIL_DELIVERY_RELAY}, {{"lmtp", 4}, LMAIL_DELIVERY_LMTP},
};

/* "host", "[host]@2525" */
static lmail_status read_host(lmail_str text, lmail_delivery_host *out)
{
    size_t at = lmi_str_find(text, '@');
    uint64_t port = 0;
    memset(out, 0, sizeof *out);
    if (at < text.len &&
        (lmi_parse_u64(lmi_str_skip(text, at + 1), &port) || !port || port > 65535))
        return LMAIL_ERR_SYNTAX;
    out->name = lmi_str_sub(text, 0, at);
    out->port = (unsigned)port;
    if (!out->name.len || out->name.len > 255)
        return LMAIL_ERR_SYNTAX;
    out->no_mx = out->name.ptr[0] == '[';
    return LMAIL_OK;
}

static lmail_status read_hosts(lmail_str rest, lmail_delivery_job *job, lmail_delivery_host *hosts,
                               size_t cap)
{
    while (rest.len) {
        size_t end = 0;
        int inside = 0;
        for (; end < rest.len && (inside || (rest.ptr[end] != ':' && rest.ptr[end] != ',')); end++)
            inside = rest.ptr[end] == '[' || (inside && rest.ptr[end] != ']');
        if (job->host_count == cap || job->host_count == LMI_DELIVERY_MAX_HOSTS)
            return LMAIL_ERR_LIMIT;
        lmail_status st = read_host(lmi_str_sub(rest, 0, end), &hosts[job->host_count]);
        if (st)
            return st;
        job->host_count++;
        rest = lmi_str_skip(rest, end + 1);
    }
    return job->host_count ? LMAIL_OK : LMAIL_ERR_SYNTAX;
}

lmail_status lmail_delivery_route(lmail_str route, lmail_str address, lmail_delivery_job *job,
                                  lmail_delivery_host *hosts, size_t cap)
{
    size_t colon = lmi_str_find(route, ':');
    job->hosts = hosts;
    job->host_count = 0;
    job->mailer = LMAIL_DELIVERY_ESMTP;
    job->named = route.len > 0;
    if (!route.len) {
        size_t at = address.len;
        while (at && address.ptr[at - 1] != '@')
            at--;
        lmail_str domain = lmi_str_skip(address, at);
        if (!at || !domain.len || domain.len > 255 || domain.ptr[0] == '/')
            return LMAIL_ERR_SYNTAX;
        if (!cap)
            return LMAIL_ERR_LIMIT;
        memset(hosts, 0, sizeof *hosts);
        hosts->name = domain;
        job->host_count = 1;
        return LMAIL_OK;
    }
    for (size_t i = 0; i < sizeof mailers / sizeof *mailers; i++) {
        if (!lmail_str_equal_nocase(lmi_str_sub(route, 0, colon), mailers[i].name))
            continue;
        job->mailer = mailers[i].mailer;
        lmail_str rest = lmi_str_skip(route, colon + 1);
        if (rest.len && rest.ptr[0] == '/' && job->mailer == LMAIL_DELIVERY_LMTP) {
            if (rest.len > 255 || !cap)
                return rest.len > 255 ? LMAIL_ERR_SYNTAX : LMAIL_ERR_LIMIT;
            memset(hosts, 0, sizeof *hosts);
            hosts->name = rest;
            job->host_count = 1;
            return LMAIL_OK;
        }
        return read_hosts(rest, job, hosts, cap);
    }
    return LMAIL_ERR_SYNTAX;
}
