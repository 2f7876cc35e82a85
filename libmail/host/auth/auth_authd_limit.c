/* Who has failed too often: leaky buckets, one for each peer and one for each peer and login.
 *
 * A fixed table, so that an attacker with many names only makes it forget. A bucket drains in a
 * minute; each try fills it beforehand, so that tries at the same time count too. Called from the
 * server's one thread. */
#include <stdlib.h>
#include <string.h>

#include "auth_authd.h"
#include "auth_internal.h"

#define WAYS 4u
#define BUCKETS 1024u
#define MINUTE 60000u

typedef struct bucket {
    uint64_t key; /* 0: free */
    lmail_msec last;
    uint64_t level; /* in milliseconds of a minute, times per_minute */
} bucket;

struct lmi_failures {
    uint64_t seed;
    bucket places[BUCKETS][WAYS];
};

lmi_failures *lmi_failures_new(void)
{
    lmi_failures *f = calloc(1, sizeof *f);
    if (f && lmi_random(&f->seed, sizeof f->seed) != LMAIL_OK) {
        free(f);
        f = NULL;
    }
    return f;
}

void lmi_failures_free(lmi_failures *f)
{
    free(f);
}

static bucket *find(lmi_failures *f, uint32_t peer, lmail_str login, lmail_msec now)
{
    uint64_t key =
        lmi_auth_mix(lmi_auth_mix(f->seed | 1, &peer, sizeof peer), login.ptr, login.len) | 1;
    bucket *row = f->places[(key >> 8) % BUCKETS], *oldest = row;
    for (size_t i = 0; i < WAYS; i++) {
        if (row[i].key == key) {
            return &row[i];
        }
        if (row[i].key == 0 || (oldest->key != 0 && row[i].last < oldest->last)) {
            oldest = &row[i];
        }
    }
    *oldest = (bucket){key, now, 0};
    return oldest;
}

int lmi_failures_begin(lmi_failures *f, uint32_t peer, lmail_str login, uint32_t per_minute,
                       lmail_msec now)
{
    if (per_minute == 0) {
        return 1;
    }
    bucket *b = find(f, peer, login, now);
    uint64_t drained = (now - b->last) * per_minute;
    b->level = b->level > drained ? b->level - drained : 0;
    b->last = now;
    if (b->level > (uint64_t)MINUTE * (per_minute - 1)) {
        return 0;
    }
    b->level += MINUTE;
    return 1;
}

void lmi_failures_undo(lmi_failures *f, uint32_t peer, lmail_str login, uint32_t per_minute)
{
    if (per_minute > 0) {
        bucket *b = find(f, peer, login, 0);
        b->level = b->level > MINUTE ? b->level - MINUTE : 0;
    }
}
