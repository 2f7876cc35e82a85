/* What failed logins cost, by client address: a fixed table, four places a bucket, the oldest gives
 * way.
 *
 * Called from any thread at a login's end. It never grows, so that an attacker with many addresses
 * only makes it forget. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "auth_internal.h"

#define WAYS 4u
#define DEFAULT_SLOTS 4096u

typedef struct place {
    uint64_t key; /* 0: free */
    lmail_msec last;
    unsigned failures;
} place;

struct lmail_auth_delays {
    pthread_mutex_t lock;
    uint32_t base, max;
    uint64_t seed; /* so that nobody chooses addresses that meet in a bucket */
    size_t buckets;
    place *places;
};

lmail_status lmail_auth_delays_new(lmail_auth_delays **out, uint32_t base, uint32_t max,
                                   size_t slots)
{
    *out = NULL;
    lmail_auth_delays *d = calloc(1, sizeof *d);
    if (!d) {
        return LMAIL_ERR_NOMEM;
    }
    d->base = base;
    d->max = max > base ? max : base;
    d->buckets = ((slots > 0 ? slots : DEFAULT_SLOTS) + WAYS - 1) / WAYS;
    d->places = calloc(d->buckets, WAYS * sizeof *d->places);
    if (!d->places || lmi_random(&d->seed, sizeof d->seed) != LMAIL_OK) {
        lmail_status status = d->places ? LMAIL_ERR_IO : LMAIL_ERR_NOMEM;
        free(d->places);
        free(d);
        return status;
    }
    pthread_mutex_init(&d->lock, NULL);
    *out = d;
    return LMAIL_OK;
}

void lmail_auth_delays_free(lmail_auth_delays *d)
{
    if (d) {
        pthread_mutex_destroy(&d->lock);
        free(d->places);
        free(d);
    }
}

/* Who pays together: an IPv4 address, an IPv6 /64 (one customer's), else the text. */
static uint64_t key_of(const lmail_auth_delays *d, lmail_str address)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    char text[INET6_ADDRSTRLEN];
    unsigned char v4[4], v6[16];
    uint64_t h = d->seed | 1;
    if (address.len > 0 && address.len < sizeof text) {
        memcpy(text, address.ptr, address.len);
        text[address.len] = '\0';
        if (inet_pton(AF_INET, text, v4) == 1) {
            return lmi_auth_mix(h, v4, sizeof v4) | 1;
        }
        if (inet_pton(AF_INET6, text, v6) == 1) {
            return memcmp(v6, mapped, sizeof mapped) == 0 ? lmi_auth_mix(h, v6 + 12, 4) | 1
                                                          : lmi_auth_mix(h, v6, 8) | 1;
        }
    }
    return lmi_auth_mix(h, address.ptr, address.len) | 1;
}

static int forgotten(const lmail_auth_delays *d, const place *p, lmail_msec now)
{
    return p->key == 0 || (now > p->last && now - p->last > (lmail_msec)d->max * 8);
}

uint32_t lmail_auth_delays_failed(lmail_auth_delays *d, lmail_str address, lmail_msec now)
{
    uint64_t key = key_of(d, address);
    pthread_mutex_lock(&d->lock);
    place *bucket = d->places + (key >> 8) % d->buckets * WAYS;
    place *chosen = NULL, *oldest = bucket;
    for (size_t i = 0; i < WAYS && !chosen; i++) {
        place *p = &bucket[i];
        if (p->key == key) {
            chosen = p;
        } else if (oldest->key != 0 && (p->key == 0 || p->last < oldest->last)) {
            oldest = p;
        }
    }
    if (!chosen || forgotten(d, chosen, now)) {
        chosen = chosen ? chosen : oldest;
        *chosen = (place){key, now, 0};
    }
    uint32_t delay = d->base;
    for (unsigned i = 0; i < chosen->failures && delay < d->max; i++) {
        delay = delay > d->max / 2 ? d->max : delay * 2;
    }
    chosen->failures += chosen->failures < 32;
    chosen->last = now;
    pthread_mutex_unlock(&d->lock);
    return delay;
}

void lmail_auth_delays_passed(lmail_auth_delays *d, lmail_str address)
{
    uint64_t key = key_of(d, address);
    pthread_mutex_lock(&d->lock);
    place *bucket = d->places + (key >> 8) % d->buckets * WAYS;
    for (size_t i = 0; i < WAYS; i++) {
        if (bucket[i].key == key) {
            bucket[i] = (place){0, 0, 0};
        }
    }
    pthread_mutex_unlock(&d->lock);
}
