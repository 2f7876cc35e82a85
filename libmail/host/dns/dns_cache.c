/* dns_cache.c - answers kept on the loop's own side.
 *
 * libunbound has the real cache, but an answer from there costs 50 us of CPU (a pipe and two thread
 * switches), more than all the rest of a small letter. So the last answers are kept here as well:
 * one a slot, whoever comes later takes the place. Not kept: failures, answers for less than a
 * second, large ones. */
#include "dns_internal.h"

#include <stdlib.h>
#include <string.h>

#define ENTRY_MAX 2048u     /* octets of one answer's data */
#define TTL_MAX 60          /* seconds: longer than a burst is not needed, libunbound has it */
#define OCTETS_A_SLOT 2048u /* of cache_size */
#define SLOTS_MAX 16384u

/* FNV-1a. Who aims at a slot only makes its answer be asked for again. */
static size_t slot_of(const lmi_dns_cache *cache, int type, const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)type;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ h >> 32) & (cache->count - 1);
}

lmail_status lmi_dns_cache_init(lmi_dns_cache *cache, size_t octets)
{
    size_t count = 64;
    while (count < SLOTS_MAX && count * 2 * OCTETS_A_SLOT <= octets)
        count *= 2;
    cache->slots = calloc(count, sizeof(*cache->slots));
    cache->count = cache->slots ? count : 0;
    return cache->slots ? LMAIL_OK : LMAIL_ERR_NOMEM;
}

void lmi_dns_cache_done(lmi_dns_cache *cache)
{
    for (size_t i = 0; i < cache->count; i++)
        lmi_dns_kept_release(cache->slots[i]);
    free(cache->slots);
}

void lmi_dns_kept_release(lmi_dns_kept *kept)
{
    if (kept && --kept->uses == 0)
        free(kept);
}

lmi_dns_kept *lmi_dns_cache_get(lmi_dns_cache *cache, int type, const char *name, lmail_msec now)
{
    lmi_dns_kept *kept = cache->slots[slot_of(cache, type, name)];
    if (!kept || kept->expires <= now || kept->type != type || strcmp(kept->name, name))
        return NULL;
    kept->uses++;
    return kept;
}

void lmi_dns_cache_put(lmi_dns_cache *cache, int type, const char *name,
                       const lmi_dns_answer *answer, int ttl, lmail_msec now)
{
    size_t octets = 0, name_len = strlen(name) + 1;
    for (size_t i = 0; i < answer->count; i++)
        octets += answer->data[i].len + sizeof(lmail_str);
    if (answer->result == LMAIL_DNS_TEMP || ttl < 1 || octets > ENTRY_MAX)
        return;
    lmi_dns_kept *kept = malloc(sizeof(*kept) + octets + name_len);
    if (!kept)
        return;
    lmail_str *data = kept->data;
    char *at = (char *)(data + answer->count);
    for (size_t i = 0; i < answer->count; i++) {
        data[i] = (lmail_str){at, answer->data[i].len};
        memcpy(at, answer->data[i].ptr, data[i].len);
        at += data[i].len;
    }
    memcpy(at, name, name_len);
    kept->name = at;
    kept->type = type;
    kept->uses = 1;
    kept->expires = now + (lmail_msec)(ttl < TTL_MAX ? ttl : TTL_MAX) * 1000;
    kept->answer = *answer;
    kept->answer.data = data;
    size_t slot = slot_of(cache, type, name);
    lmi_dns_kept_release(cache->slots[slot]);
    cache->slots[slot] = kept;
}
