/* delivery_status.c - addresses that did not answer a while ago, so that not every message waits
 * for them (client.host_status_timeout).
 *
 * Only trouble is remembered: an address that answers has no entry. The longest unused is forgotten
 * when the table is full. */
#include "delivery/delivery_internal.h"

#include <string.h>

#define PROBE_LIMIT 600000u /* who was let through and never told */

typedef struct host {
    lmi_node node;
    unsigned failures;
    lmail_msec until; /* left alone, or being tried, until then */
    char key[19];     /* version, address, port */
} host;

struct lmail_delivery_status {
    lmi_table table;
    size_t max;
    lmail_msec first, most;
};

void lmail_delivery_status_config_init(lmail_delivery_status_config *config)
{
    *config = (lmail_delivery_status_config)LMAIL_DELIVERY_STATUS_CONFIG_INIT;
}

lmail_status lmail_delivery_status_new(lmail_delivery_status **out,
                                       const lmail_delivery_status_config *config)
{
    lmail_delivery_status_config c;
    lmail_status st = lmi_struct_take(&c, sizeof c, config);
    if (st)
        return st;
    lmail_alloc alloc = lmi_alloc_resolve(&c.alloc);
    lmail_delivery_status *t = lmi_zalloc(&alloc, sizeof *t);
    if (!t)
        return LMAIL_ERR_NOMEM;
    LMI_DEFAULT(c.max_hosts, 10000);
    LMI_DEFAULT(c.first, 60000);
    t->max = c.max_hosts;
    t->first = c.first;
    t->most = c.most;
    if (lmi_table_init(&t->table, &alloc, c.env, c.max_hosts)) {
        lmi_free(&alloc, t, sizeof *t);
        return LMAIL_ERR_NOMEM;
    }
    *out = t;
    return LMAIL_OK;
}

void lmail_delivery_status_change(lmail_delivery_status *t,
                                  const lmail_delivery_status_config *config)
{
    lmail_delivery_status_config c;
    if (lmi_struct_take(&c, sizeof c, config))
        return;
    LMI_DEFAULT(c.first, 60000);
    t->first = c.first;
    t->most = c.most;
}

static void drop(lmail_delivery_status *t, host *h)
{
    lmi_table_remove(&t->table, &h->node);
    lmi_free(&t->table.alloc, h, sizeof *h);
}

void lmail_delivery_status_forget(lmail_delivery_status *t)
{
    while (t->table.oldest)
        drop(t, (host *)t->table.oldest);
}

void lmail_delivery_status_free(lmail_delivery_status *t)
{
    if (!t)
        return;
    const lmail_alloc alloc = t->table.alloc;
    lmail_delivery_status_forget(t);
    lmi_table_done(&t->table);
    lmi_free(&alloc, t, sizeof *t);
}

static lmail_str key_of(char out[19], const lmail_delivery_address *a, unsigned port)
{
    memset(out, 0, 19);
    out[0] = (char)a->version;
    memcpy(out + 1, a->octets, a->version == 6 ? 16 : 4);
    out[17] = (char)(port >> 8);
    out[18] = (char)port;
    return (lmail_str){out, 19};
}

int lmail_delivery_status_ask(lmail_delivery_status *t, const lmail_delivery_address *address,
                              unsigned port, lmail_msec now)
{
    char room[19];
    host *h = (host *)lmi_table_find(&t->table, key_of(room, address, port));
    if (!h)
        return 1;
    if (now < h->until)
        return 0;
    h->until = lmi_later(now, PROBE_LIMIT);
    return 1;
}

void lmail_delivery_status_tell(lmail_delivery_status *t, const lmail_delivery_address *address,
                                unsigned port, unsigned up, lmail_msec now)
{
    char room[19];
    lmail_str key = key_of(room, address, port);
    host *h = (host *)lmi_table_find(&t->table, key);
    if (up) {
        if (h)
            drop(t, h);
        return;
    }
    if (!t->most)
        return;
    if (!h) {
        if (t->table.count >= t->max)
            drop(t, (host *)t->table.oldest);
        h = lmi_zalloc(&t->table.alloc, sizeof *h);
        if (!h)
            return;
        memcpy(h->key, room, sizeof h->key);
        lmi_table_add(&t->table, &h->node, (lmail_str){h->key, sizeof h->key});
    }
    lmi_table_touch(&t->table, &h->node);
    h->failures++;
    h->until = lmi_later(
        now, lmi_table_spread(&t->table, lmi_back_off(t->first < t->most ? t->first : t->most,
                                                      t->most, h->failures)));
}
