/* store_common.c - small things that every store needs (libmail/host/store.h).
 *
 * Special-use names (RFC 6154 §2, RFC 8457), freeing of results, flag arithmetic, digests for
 * ids. */
#include "host/store/store_internal.h"

#include <stdlib.h>
#include <time.h>

static const char *const special_use_names[] = {
    "", "\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Important", "\\Junk", "\\Sent", "\\Trash",
};

const char *lmail_special_use_name(lmail_special_use use)
{
    return (unsigned)use <= LMAIL_USE_TRASH ? special_use_names[use] : "";
}

lmail_special_use lmail_special_use_parse(lmail_str name)
{
    for (unsigned i = LMAIL_USE_ALL; i <= LMAIL_USE_TRASH; i++) {
        if (lmail_str_equal_nocase(name, lmail_str_from(special_use_names[i])))
            return (lmail_special_use)i;
    }
    return LMAIL_USE_NONE;
}

void lmail_copy_result_free(lmail_copy_result *result)
{
    free(result->pairs);
    lmail_uid_list_free(&result->vanished);
    *result = (lmail_copy_result){0};
}

int64_t lmi_wall_clock(const lmail_env *env, int *zone)
{
    *zone = 0;
    if (env && env->wall_clock)
        return env->wall_clock(env->ctx, zone);
    return (int64_t)time(NULL);
}

uint64_t lmi_hash(lmail_str in)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < in.len; i++)
        h = (h ^ (unsigned char)in.ptr[i]) * 0x100000001b3u;
    return h;
}

/* FNV-1a with two offsets and a last mixing: ids that do not collide by accident. */
void lmi_digest(lmail_str in, char out[32])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t h[2] = {0xcbf29ce484222325u, 0x6c62272e07bb0142u};
    for (size_t i = 0; i < in.len; i++) {
        h[0] = (h[0] ^ (unsigned char)in.ptr[i]) * 0x100000001b3u;
        h[1] = (h[1] + (unsigned char)in.ptr[i] + 1) * 0x9e3779b97f4a7c15u;
        h[1] ^= h[1] >> 29;
    }
    for (unsigned k = 0; k < 2; k++) {
        uint64_t v = h[k];
        v = (v ^ (v >> 33)) * 0xff51afd7ed558ccdu;
        v ^= v >> 33;
        for (unsigned i = 0; i < 16; i++)
            out[k * 16 + i] = digits[v >> (60 - 4 * i) & 15];
    }
}

lmail_flags lmi_flags_apply(lmail_flags old, lmail_store_mode mode, lmail_flags bits)
{
    if (mode == LMAIL_STORE_ADD)
        return old | bits;
    return mode == LMAIL_STORE_REMOVE ? old & ~bits : bits;
}

lmail_status lmi_copy_sources(const lmail_copy_result *copied, lmail_uid_list *out)
{
    lmail_status st = LMAIL_OK;
    *out = (lmail_uid_list){0};
    for (size_t i = 0; i < copied->count && !st; i++)
        st = lmail_uid_list_add(out, copied->pairs[i].from, copied->pairs[i].from);
    return st;
}

int lmi_set_walk(lmail_uid_set set, size_t *cursor, lmail_uid uid)
{
    while (*cursor < set.count && set.ranges[*cursor].last < uid)
        (*cursor)++;
    return *cursor < set.count && set.ranges[*cursor].first <= uid;
}

int lmi_store_over(const lmail_store_usage *u, uint64_t size, uint64_t octets, uint64_t messages)
{
    if (messages && u->messages >= messages)
        return 1;
    return octets && (u->octets > octets || size > octets - u->octets);
}
