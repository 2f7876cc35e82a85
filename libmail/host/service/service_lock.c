/* service_lock.c - which maildrops are open, and when they were opened last.
 *
 * One table a service, a chained hash under one mutex; looked at once a login. An entry stays after
 * its session only while it still tells something about the login delay. */
#include "host/service/service_lock.h"

#include <libmail/host/store.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024u

typedef struct entry {
    struct entry *next;
    unsigned locked;
    lmail_msec opened, until; /* kept until then */
    size_t len;
    char name[];
} entry;

struct lmi_locks {
    pthread_mutex_t mutex;
    entry *buckets[BUCKETS];
};

lmi_locks *lmi_locks_new(void)
{
    lmi_locks *l = calloc(1, sizeof *l);
    if (l)
        pthread_mutex_init(&l->mutex, NULL);
    return l;
}

void lmi_locks_free(lmi_locks *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (l->buckets[i]) {
            entry *e = l->buckets[i];
            l->buckets[i] = e->next;
            free(e);
        }
    pthread_mutex_destroy(&l->mutex);
    free(l);
}

/* The name's entry, or NULL; drops entries of its bucket that tell nothing any more. */
static entry *find(entry **at, lmail_str name, lmail_msec now)
{
    entry *found = NULL;
    while (*at) {
        entry *e = *at;
        if (e->len == name.len && memcmp(e->name, name.ptr, name.len) == 0) {
            found = e;
        } else if (!e->locked && e->until <= now) {
            *at = e->next;
            free(e);
            continue;
        }
        at = &e->next;
    }
    return found;
}

lmail_status lmi_locks_take(lmi_locks *l, lmail_str name, lmail_msec delay, lmail_msec now)
{
    entry **bucket = &l->buckets[lmail_notice_slot(name) % BUCKETS];
    lmail_status st = LMAIL_OK;
    pthread_mutex_lock(&l->mutex);
    entry *e = find(bucket, name, now);
    if (e && e->locked) {
        st = LMAIL_ERR_BUSY;
    } else if (e && delay && now < e->opened + delay) {
        st = LMAIL_ERR_LIMIT;
    } else if (!e) {
        e = malloc(sizeof *e + name.len);
        if (e) {
            *e = (entry){*bucket, 0, 0, 0, name.len};
            memcpy(e->name, name.ptr, name.len);
            *bucket = e;
        } else {
            st = LMAIL_ERR_NOMEM;
        }
    }
    if (!st) {
        e->locked = 1;
        e->opened = now;
        e->until = now + delay;
    }
    pthread_mutex_unlock(&l->mutex);
    return st;
}

void lmi_locks_give(lmi_locks *l, lmail_str name)
{
    entry **bucket = &l->buckets[lmail_notice_slot(name) % BUCKETS];
    pthread_mutex_lock(&l->mutex);
    entry *e = find(bucket, name, 0);
    if (e)
        e->locked = 0;
    pthread_mutex_unlock(&l->mutex);
}
