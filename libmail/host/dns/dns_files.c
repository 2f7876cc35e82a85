/* dns_files.c - the hosts file and resolv.conf.
 *
 * hosts(5), resolv.conf(5). libunbound's own reading of a hosts file makes the names in it
 * authoritative, so that their MX records vanish, and knows no way from an address to its name; so
 * the file is kept here as two sorted tables. Read when a resolver is made. */
#include "dns_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\n"
#define SERVERS_MAX 8

/* ---- hosts ----------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    const lmi_dns_host *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static int compare_address(const lmail_dns_address *a, const lmail_dns_address *b)
{
    if (a->version != b->version)
        return a->version < b->version ? -1 : 1;
    return memcmp(a->octets, b->octets, sizeof(a->octets));
}

static int compare_addresses(const void *a, const void *b)
{
    const lmi_dns_host *x = *(const lmi_dns_host *const *)a, *y = *(const lmi_dns_host *const *)b;
    int order = compare_address(&x->address, &y->address);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static lmail_status add_host(lmi_dns_hosts *h, size_t *cap, const lmi_dns_host *host,
                             const char *name)
{
    if (h->count == *cap) {
        size_t more = *cap ? *cap * 2 : 64;
        lmi_dns_host *grown = realloc(h->by_name, more * sizeof(*grown));
        if (!grown)
            return LMAIL_ERR_NOMEM;
        h->by_name = grown;
        *cap = more;
    }
    lmi_dns_host *added = &h->by_name[h->count];
    *added = *host;
    added->name = strdup(name);
    if (!added->name)
        return LMAIL_ERR_NOMEM;
    h->count++;
    h->primaries += host->primary;
    return LMAIL_OK;
}

/* "192.0.2.1 mail.example.org mail   # comment". A line that is none of this is passed over, as
 * other programs do. */
static lmail_status read_line(lmi_dns_hosts *h, size_t *cap, char *text, unsigned line)
{
    char *rest = NULL, name[LMI_DNS_NAME];
    lmi_dns_host host = {.line = line, .primary = 1};
    text[strcspn(text, "#")] = 0;
    const char *word = strtok_r(text, BLANKS, &rest);
    if (!word || lmi_dns_address(lmail_str_from(word), &host.address))
        return LMAIL_OK;
    while ((word = strtok_r(NULL, BLANKS, &rest))) {
        if (lmi_dns_name(lmail_str_from(word), name))
            continue;
        lmail_status status = add_host(h, cap, &host, name);
        if (status)
            return status;
        host.primary = 0;
    }
    return LMAIL_OK;
}

static lmail_status sort_hosts(lmi_dns_hosts *h)
{
    if (h->count == 0)
        return LMAIL_OK;
    qsort(h->by_name, h->count, sizeof(*h->by_name), compare_names);
    h->by_address = malloc(h->primaries * sizeof(*h->by_address));
    if (!h->by_address)
        return LMAIL_ERR_NOMEM;
    size_t n = 0;
    for (size_t i = 0; i < h->count; i++)
        if (h->by_name[i].primary)
            h->by_address[n++] = &h->by_name[i];
    qsort(h->by_address, n, sizeof(*h->by_address), compare_addresses);
    return LMAIL_OK;
}

lmail_status lmi_dns_hosts_read(lmi_dns_hosts *out, const char *file)
{
    *out = (lmi_dns_hosts){0};
    FILE *f = fopen(file, "re");
    if (!f)
        return errno == ENOENT ? LMAIL_OK : LMAIL_ERR_IO;
    char *text = NULL;
    size_t room = 0, cap = 0;
    unsigned line = 0;
    lmail_status status = LMAIL_OK;
    while (!status && getline(&text, &room, f) >= 0)
        status = read_line(out, &cap, text, ++line);
    if (!status && ferror(f))
        status = LMAIL_ERR_IO;
    free(text);
    fclose(f);
    if (!status)
        status = sort_hosts(out);
    if (status)
        lmi_dns_hosts_done(out);
    return status;
}

void lmi_dns_hosts_done(lmi_dns_hosts *hosts)
{
    for (size_t i = 0; i < hosts->count; i++)
        free(hosts->by_name[i].name);
    free(hosts->by_name);
    free(hosts->by_address);
    *hosts = (lmi_dns_hosts){0};
}

const char *lmi_dns_hosts_name(const lmi_dns_hosts *hosts, const lmail_dns_address *address)
{
    size_t low = 0, high = hosts->primaries;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_address(&hosts->by_address[middle]->address, address) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < hosts->primaries && lmi_dns_address_equal(&hosts->by_address[low]->address, address))
        return hosts->by_address[low]->name;
    return NULL;
}

size_t lmi_dns_hosts_addresses(const lmi_dns_hosts *hosts, const char *name, unsigned version,
                               lmail_dns_address *out, size_t cap)
{
    size_t low = 0, high = hosts->count, n = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(hosts->by_name[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < hosts->count && n < cap && !strcmp(hosts->by_name[low].name, name); low++)
        if (hosts->by_name[low].address.version == version)
            out[n++] = hosts->by_name[low].address;
    return n;
}

/* ---- resolv.conf ----------------------------------------------------------------------------- */

lmail_status lmi_dns_resolv_conf(const char *file, lmail_status (*add)(void *ctx, const char *text),
                                 void *ctx)
{
    FILE *f = fopen(file, "re");
    if (!f && errno != ENOENT)
        return LMAIL_ERR_IO;
    char *text = NULL;
    size_t room = 0;
    unsigned count = 0;
    lmail_status status = LMAIL_OK;
    while (f && !status && count < SERVERS_MAX && getline(&text, &room, f) >= 0) {
        char *rest = NULL;
        const char *word = strtok_r(text, BLANKS, &rest);
        if (!word || strcmp(word, "nameserver") || !(word = strtok_r(NULL, BLANKS, &rest)))
            continue;
        status = add(ctx, word);
        count++;
    }
    if (f && !status && ferror(f))
        status = LMAIL_ERR_IO;
    free(text);
    if (f)
        fclose(f);
    return !status && count == 0 ? add(ctx, "127.0.0.1") : status;
}
