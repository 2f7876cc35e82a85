/* delivery_table.c - the hash table under the dispatcher and the host status: entries that carry
 * their own node, chained in buckets, and a list by last use.
 *
 * Keys are domains and addresses that strangers choose, so the hash has a secret seed. */
#include "delivery/delivery_internal.h"

#include <string.h>

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

static uint64_t hash_of(const lmi_table *t, lmail_str key)
{
    uint64_t h = t->seed ^ key.len, word;
    size_t at = 0;
    for (; at + sizeof word <= key.len; at += sizeof word) {
        memcpy(&word, key.ptr + at, sizeof word);
        h = mix(h ^ word);
    }
    word = 0;
    if (at < key.len)
        memcpy(&word, key.ptr + at, key.len - at);
    return mix(h ^ word);
}

lmail_status lmi_table_init(lmi_table *t, const lmail_alloc *alloc, const lmail_env *env,
                            size_t max)
{
    uint64_t random[2] = {UINT64_C(0x9fb21c651e98df25), UINT64_C(0x853c49e6748fea9b)};
    memset(t, 0, sizeof *t);
    t->alloc = *alloc;
    if (env && env->random && env->random(env->ctx, random, sizeof random))
        random[0] ^= (uint64_t)(uintptr_t)t;
    t->seed = random[0];
    t->state = random[1];
    t->bucket_count = 16;
    while (t->bucket_count < max && t->bucket_count < (size_t)1 << 20)
        t->bucket_count *= 2;
    t->buckets = lmi_zalloc(&t->alloc, t->bucket_count * sizeof(lmi_node *));
    return t->buckets ? LMAIL_OK : LMAIL_ERR_NOMEM;
}

void lmi_table_done(lmi_table *t)
{
    if (t->buckets)
        lmi_free(&t->alloc, t->buckets, t->bucket_count * sizeof(lmi_node *));
    t->buckets = NULL;
}

lmi_node *lmi_table_find(const lmi_table *t, lmail_str key)
{
    uint64_t hash = hash_of(t, key);
    for (lmi_node *n = t->buckets[hash & (t->bucket_count - 1)]; n; n = n->next)
        if (n->hash == hash && lmail_str_equal((lmail_str){n->key, n->key_len}, key))
            return n;
    return NULL;
}

static void unlist(lmi_table *t, lmi_node *n)
{
    if (n->newer)
        n->newer->older = n->older;
    else
        t->newest = n->older;
    if (n->older)
        n->older->newer = n->newer;
    else
        t->oldest = n->newer;
}

static void list(lmi_table *t, lmi_node *n)
{
    n->newer = NULL;
    n->older = t->newest;
    if (t->newest)
        t->newest->newer = n;
    else
        t->oldest = n;
    t->newest = n;
}

void lmi_table_add(lmi_table *t, lmi_node *n, lmail_str key)
{
    n->hash = hash_of(t, key);
    n->key = key.ptr;
    n->key_len = key.len;
    lmi_node **bucket = &t->buckets[n->hash & (t->bucket_count - 1)];
    n->next = *bucket;
    *bucket = n;
    list(t, n);
    t->count++;
}

void lmi_table_remove(lmi_table *t, lmi_node *n)
{
    lmi_node **at = &t->buckets[n->hash & (t->bucket_count - 1)];
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    unlist(t, n);
    t->count--;
}

void lmi_table_touch(lmi_table *t, lmi_node *n)
{
    if (t->newest == n)
        return;
    unlist(t, n);
    list(t, n);
}

lmail_msec lmi_table_spread(lmi_table *t, lmail_msec wait)
{
    t->state = t->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    lmail_msec eighth = wait / 8;
    return eighth ? wait - (t->state >> 33) % eighth : wait;
}
