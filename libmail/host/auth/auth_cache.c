/* Password checks that were right a moment ago, so that a client that opens ten connections at once
 * pays for one.
 *
 * What is kept is no password but a MAC under a key that this process drew and nobody else has,
 * over all that the check depended on: the account's name, its password field and the password. A
 * record that was changed gives another MAC, so that a new password holds at once and an old one is
 * worth nothing. Only right passwords are kept; a wrong one costs what it always costs.
 *
 * A fixed table, four places a bucket, the oldest gives way. Called by the account file's source,
 * from any worker. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/md.h>

#include "auth_internal.h"

#define WAYS 4u
#define BUCKETS 512u

typedef struct place {
    unsigned char tag[LMI_TAG];
    lmail_msec until; /* 0: free */
} place;

struct lmi_auth_cache {
    pthread_mutex_t lock;
    unsigned char key[32];
    lmail_msec time; /* how long a check is remembered; 0: not at all */
    place places[BUCKETS][WAYS];
};

lmail_status lmi_auth_cache_new(lmi_auth_cache **out, lmail_msec time)
{
    *out = calloc(1, sizeof **out);
    if (!*out) {
        return LMAIL_ERR_NOMEM;
    }
    if (lmi_random((*out)->key, sizeof(*out)->key) != LMAIL_OK) {
        free(*out);
        *out = NULL;
        return LMAIL_ERR_IO;
    }
    pthread_mutex_init(&(*out)->lock, NULL);
    (*out)->time = time;
    return LMAIL_OK;
}

void lmi_auth_cache_free(lmi_auth_cache *c)
{
    if (c) {
        pthread_mutex_destroy(&c->lock);
        lmi_auth_wipe_free(c, sizeof *c);
    }
}

/* The length stands in front, so that no two lists of parts are the same octets. */
static int add(mbedtls_md_context_t *md, const void *octets, size_t n)
{
    return mbedtls_md_hmac_update(md, (const unsigned char *)&n, sizeof n) == 0 &&
           (n == 0 || mbedtls_md_hmac_update(md, octets, n) == 0);
}

int lmi_auth_cache_tag(const lmi_auth_cache *c, lmail_str name, const lmi_auth_hash *hash,
                       lmail_str password, unsigned char tag[LMI_TAG])
{
    mbedtls_md_context_t md;
    mbedtls_md_init(&md);
    int made = mbedtls_md_setup(&md, mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), 1) == 0 &&
               mbedtls_md_hmac_starts(&md, c->key, sizeof c->key) == 0 &&
               add(&md, name.ptr, name.len) && add(&md, &hash->scheme, sizeof hash->scheme) &&
               add(&md, &hash->encoding, sizeof hash->encoding) &&
               add(&md, hash->data.ptr, hash->data.len) && add(&md, password.ptr, password.len) &&
               mbedtls_md_hmac_finish(&md, tag) == 0;
    mbedtls_md_free(&md);
    return made;
}

static place *bucket_of(lmi_auth_cache *c, const unsigned char tag[LMI_TAG])
{
    return c->places[(tag[0] | (unsigned)tag[1] << 8) % BUCKETS];
}

static void wipe(lmi_auth_cache *c, lmail_msec now)
{
    place *p = &c->places[0][0];
    for (size_t i = 0; i < (size_t)BUCKETS * WAYS; i++) {
        if (p[i].until != 0 && p[i].until <= now) {
            explicit_bzero(&p[i], sizeof p[i]);
        }
    }
}

int lmi_auth_cache_has(lmi_auth_cache *c, const unsigned char tag[LMI_TAG], lmail_msec now)
{
    unsigned found = 0;
    pthread_mutex_lock(&c->lock);
    place *bucket = bucket_of(c, tag);
    for (size_t i = 0; i < WAYS; i++) {
        found |= (unsigned)lmi_auth_equal(bucket[i].tag, tag, LMI_TAG) & (bucket[i].until > now);
    }
    pthread_mutex_unlock(&c->lock);
    return found != 0;
}

void lmi_auth_cache_put(lmi_auth_cache *c, const unsigned char tag[LMI_TAG], lmail_msec now)
{
    pthread_mutex_lock(&c->lock);
    place *bucket = bucket_of(c, tag), *chosen = bucket;
    for (size_t i = 0; i < WAYS; i++) {
        if (lmi_auth_equal(bucket[i].tag, tag, LMI_TAG)) {
            chosen = &bucket[i]; /* two workers checked it at once */
            break;
        }
        if (bucket[i].until < chosen->until) {
            chosen = &bucket[i];
        }
    }
    if (c->time > 0) {
        memcpy(chosen->tag, tag, LMI_TAG);
        chosen->until = now + c->time;
    }
    pthread_mutex_unlock(&c->lock);
}

void lmi_auth_cache_tidy(lmi_auth_cache *c, lmail_msec now)
{
    pthread_mutex_lock(&c->lock);
    wipe(c, now);
    pthread_mutex_unlock(&c->lock);
}

void lmi_auth_cache_end(lmi_auth_cache *c)
{
    pthread_mutex_lock(&c->lock);
    c->time = 0;
    wipe(c, LMAIL_NEVER);
    pthread_mutex_unlock(&c->lock);
}
