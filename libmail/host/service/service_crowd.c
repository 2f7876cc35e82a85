/* service_crowd.c - how many connections a user has from one address.
 *
 * One table a service, a chained hash under one mutex; looked at once a login and once at the end of a
 * connection. An entry lives as long as it counts somebody. */
#include "host/service/service_crowd.h"

#include <libmail/host/store.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024u

struct lmi_crowd_entry {
    lmi_crowd_entry *next;
    unsigned protocol, bucket;
    uint64_t count;
    size_t user_len, address_len;
    char text[]; /* user, then address */
};

struct lmi_crowd {
    pthread_mutex_t mutex;
    lmi_crowd_entry *buckets[BUCKETS];
};

lmi_crowd *lmi_crowd_new(void)
{
    lmi_crowd *c = calloc(1, sizeof *c);
    if (c)
        pthread_mutex_init(&c->mutex, NULL);
    return c;
}

void lmi_crowd_free(lmi_crowd *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (c->buckets[i]) {
            lmi_crowd_entry *e = c->buckets[i];
            c->buckets[i] = e->next;
            free(e);
        }
    pthread_mutex_destroy(&c->mutex);
    free(c);
}

static lmi_crowd_entry *find(lmi_crowd_entry *e, unsigned protocol, lmail_str user,
                             lmail_str address)
{
    while (e &&
           (e->protocol != protocol || !lmail_str_equal(user, (lmail_str){e->text, e->user_len}) ||
            !lmail_str_equal(address, (lmail_str){e->text + e->user_len, e->address_len})))
        e = e->next;
    return e;
}

static lmi_crowd_entry *add(lmi_crowd *c, unsigned bucket, unsigned protocol, lmail_str user,
                            lmail_str address)
{
    lmi_crowd_entry *e = malloc(sizeof *e + user.len + address.len);
    if (!e)
        return NULL;
    *e = (lmi_crowd_entry){c->buckets[bucket], protocol, bucket, 0, user.len, address.len};
    if (user.len)
        memcpy(e->text, user.ptr, user.len);
    if (address.len)
        memcpy(e->text + user.len, address.ptr, address.len);
    c->buckets[bucket] = e;
    return e;
}

lmail_status lmi_crowd_take(lmi_crowd *c, unsigned protocol, lmail_str user, lmail_str address,
                            uint64_t most, lmi_crowd_entry **out)
{
    unsigned bucket = lmail_notice_slot(user) % BUCKETS;
    lmail_status st = LMAIL_OK;
    pthread_mutex_lock(&c->mutex);
    lmi_crowd_entry *e = find(c->buckets[bucket], protocol, user, address);
    if (e && e->count >= most)
        st = LMAIL_ERR_LIMIT;
    else if (!e)
        e = add(c, bucket, protocol, user, address);
    if (!e)
        st = LMAIL_ERR_NOMEM;
    if (!st) {
        e->count++;
        *out = e;
    }
    pthread_mutex_unlock(&c->mutex);
    return st;
}

void lmi_crowd_give(lmi_crowd *c, lmi_crowd_entry *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&c->mutex);
    if (--e->count == 0) {
        lmi_crowd_entry **at = &c->buckets[e->bucket];
        while (*at != e)
            at = &(*at)->next;
        *at = e->next;
        free(e);
    }
    pthread_mutex_unlock(&c->mutex);
}
