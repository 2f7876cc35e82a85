/* store_maildir_watch.c - mailboxes at which somebody waits, and what other programs do there.
 *
 * A watch is one mailbox in this process, shared by the handles on it. Up to a bound the system
 * reports changes of its new/ and cur/; past it the directories' times are compared when asked for
 * (LMAIL_LOOK_ALL). A report only says "look there": many of them make one look, on a worker, and the
 * look compares the directories' times with those that the index knows. So a step of our own, by
 * whichever process, ends there; another program's is taken in by one scan, whose commit raises the
 * account's counter for all processes.
 *
 * The lock of the watches guards lists and marks, never the disk. It may be taken with an account
 * entered; an account is never entered with it held. */
#include "host/store/store_inotify.h"
#include "host/store/store_maildir.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_WATCHES 8192u
#define BUCKETS 1024u /* of directories by number, a power of two */
#define LOOKS 64u     /* mailboxes of one call */
#define ROUNDS 5u     /* looks that wait for a directory to come to rest */

typedef struct watched_dir {
    struct watched_dir *next; /* in its bucket */
    struct md_watch *watch;
    int number; /* -1: not reported */
} watched_dir;

typedef struct md_watch {
    struct md_watch *next, **at; /* among all */
    struct md_watch *next_dirty;
    md_box *box;
    unsigned handles;
    unsigned reported; /* by the system */
    unsigned dirty;    /* in the queue: to be looked at */
    unsigned looking;  /* a worker has it */
    unsigned again;    /* found changing: it goes back into the queue */
    unsigned rounds;   /* looks that found it so */
    int64_t times[2];  /* when last looked at, of one that is not reported; the worker's */
    watched_dir dirs[2];
} md_watch;

typedef struct md_watches {
    pthread_mutex_t lock;
    pthread_cond_t looked;
    int fd;
    unsigned max, reported, unreported;
    md_watch *all;
    md_watch *dirty, **dirty_end;
    watched_dir *buckets[BUCKETS];
} md_watches;

/* ---- Marks; the watches are locked ----------------------------------------------------------- */

static void mark(md_watches *s, md_watch *w)
{
    if (w->dirty)
        return;
    w->dirty = 1;
    w->next_dirty = NULL;
    *s->dirty_end = w;
    s->dirty_end = &w->next_dirty;
}

static md_watch *take_dirty(md_watches *s)
{
    md_watch *w = s->dirty;
    if (!w)
        return NULL;
    s->dirty = w->next_dirty;
    if (!s->dirty)
        s->dirty_end = &s->dirty;
    w->dirty = 0;
    return w;
}

static void unmark(md_watches *s, md_watch *w)
{
    md_watch **p = &s->dirty;
    if (!w->dirty)
        return;
    while (*p != w)
        p = &(*p)->next_dirty;
    *p = w->next_dirty;
    if (!w->next_dirty)
        s->dirty_end = p;
}

static watched_dir **bucket_of(md_watches *s, int number)
{
    return &s->buckets[(unsigned)number & (BUCKETS - 1)];
}

static void reported(void *user, int number)
{
    md_watches *s = user;
    if (number < 0) { /* reports were lost */
        for (md_watch *w = s->all; w; w = w->next)
            mark(s, w);
        return;
    }
    /* Two mailboxes may be one directory, by a symbolic link. */
    for (watched_dir *d = *bucket_of(s, number); d; d = d->next)
        if (d->number == number)
            mark(s, d->watch);
}

/* ---- The system's reports; the watches are locked -------------------------------------------- */

static void unreport_dir(md_watches *s, watched_dir *d)
{
    if (d->number < 0)
        return;
    watched_dir **p = bucket_of(s, d->number);
    int shared = 0;
    while (*p != d) {
        shared |= (*p)->number == d->number;
        p = &(*p)->next;
    }
    *p = d->next;
    for (const watched_dir *o = d->next; o; o = o->next)
        shared |= o->number == d->number;
    if (!shared)
        lmi_inotify_remove(s->fd, d->number);
    d->number = -1;
}

static void unreport(md_watches *s, md_watch *w)
{
    unreport_dir(s, &w->dirs[0]);
    unreport_dir(s, &w->dirs[1]);
    if (w->reported)
        s->reported--;
    else
        s->unreported--;
}

/* The account is locked too: its mailbox stays where it is. */
static int report(md_watches *s, md_watch *w)
{
    static const char *const subs[2] = {"new", "cur"};
    const md_account *a = w->box->account;
    char path[MD_PATH];
    if (s->fd < 0 || s->reported >= s->max)
        return 0;
    for (unsigned i = 0; i < 2; i++) {
        watched_dir *d = &w->dirs[i];
        if (!lmi_md_path(a, path, w->box->dir, subs[i], lmi_str(NULL, 0)))
            d->number = lmi_inotify_add(s->fd, path);
        if (d->number < 0) {
            unreport_dir(s, &w->dirs[0]);
            return 0;
        }
        watched_dir **head = bucket_of(s, d->number);
        d->next = *head;
        *head = d;
    }
    w->reported = 1;
    s->reported++;
    return 1;
}

/* ---- Beginning and end of a watch ------------------------------------------------------------ */

static md_watch *watch_new(md_watches *s, md_box *box)
{
    md_watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->box = box;
    for (unsigned i = 0; i < 2; i++)
        w->dirs[i] = (watched_dir){NULL, w, -1};
    if (!report(s, w)) {
        s->unreported++;
        mark(s, w); /* the first look notes the times */
    }
    w->next = s->all;
    w->at = &s->all;
    if (s->all)
        s->all->at = &w->next;
    s->all = w;
    box->watch = w;
    return w;
}

static lmail_status watch(lmail_store_mailbox *h)
{
    md_account *a = h->account;
    md_watches *s = a->store->watches;
    if (h->watch)
        return LMAIL_OK;
    pthread_mutex_lock(&a->lock);
    pthread_mutex_lock(&s->lock);
    md_watch *w = h->box->watch ? h->box->watch : watch_new(s, h->box);
    if (w)
        w->handles++;
    h->watch = w;
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_unlock(&a->lock);
    return w ? LMAIL_OK : LMAIL_ERR_NOMEM;
}

void lmi_md_unwatch(lmail_store_mailbox *h)
{
    md_watches *s = h->account->store->watches;
    md_watch *w = h->watch;
    if (!w)
        return;
    h->watch = NULL;
    pthread_mutex_lock(&s->lock);
    while (w->handles == 1 && w->looking)
        pthread_cond_wait(&s->looked, &s->lock);
    if (--w->handles == 0) {
        unreport(s, w);
        unmark(s, w);
        *w->at = w->next;
        if (w->next)
            w->next->at = w->at;
        w->box->watch = NULL;
        free(w);
    }
    pthread_mutex_unlock(&s->lock);
}

/* ---- Looking --------------------------------------------------------------------------------- */

/* Of a mailbox that is not reported: have its directories' times changed since the last look? */
static int moved(md_watches *s, md_watch *w)
{
    md_account *a = w->box->account;
    int64_t now[2];
    pthread_mutex_lock(&a->lock);
    lmi_md_times(a, w->box->dir, now);
    pthread_mutex_lock(&s->lock);
    if (!w->reported && report(s, w)) { /* there is room now */
        s->unreported--;
        w->times[0] = w->times[1] = 0;
    }
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_unlock(&a->lock);
    int same = now[0] == w->times[0] && now[1] == w->times[1];
    w->times[0] = lmi_md_fresh(now[0]) ? 0 : now[0];
    w->times[1] = lmi_md_fresh(now[1]) ? 0 : now[1];
    return !same;
}

/* Returns PENDING when it is better looked at a moment later: a time that is still young is no proof
 * of what was read, and the next look would have to read all again. */
static lmail_status look_at(md_watch *w, lmail_watch_fn *fn, void *user)
{
    md_box *b = w->box;
    md_account *a = b->account;
    int64_t times[2];
    pthread_mutex_lock(&a->lock);
    unsigned resting = a->resting || !a->index.db;
    pthread_mutex_unlock(&a->lock);
    lmail_status st = lmi_md_enter(a);
    if (st)
        return st;
    st = lmi_md_load(b);
    if (!st) {
        lmi_md_times(a, b->dir, times);
        if ((times[0] != b->row.new_mtime || times[1] != b->row.cur_mtime) &&
            (lmi_md_fresh(times[0]) || lmi_md_fresh(times[1])) && w->rounds < ROUNDS)
            st = LMAIL_PENDING;
        else
            st = lmi_md_scan(b, 0);
    }
    unsigned changed = a->raise;
    lmi_md_leave(a);
    if (resting) /* as it was: its sessions wait, and need no open index for that */
        lmi_md_account_rest(a);
    if (changed)
        fn(user, lmail_str_from(a->name));
    return st;
}

/* The watches are locked. */
static void mark_all_unreported(md_watches *s)
{
    for (md_watch *w = s->unreported ? s->all : NULL; w; w = w->next)
        if (!w->reported)
            mark(s, w);
}

static void mark_again(md_watches *s)
{
    for (md_watch *w = s->all; w; w = w->next)
        if (w->again) {
            w->again = 0;
            mark(s, w);
        }
}

static lmail_status look(void *ctx, unsigned flags, lmail_watch_fn *fn, void *user)
{
    md_watches *s = ((md_store *)ctx)->watches;
    md_watch *w;
    unsigned looks = 0, changing = 0;
    pthread_mutex_lock(&s->lock);
    if (s->fd >= 0)
        lmi_inotify_read(s->fd, reported, s);
    if (flags & LMAIL_LOOK_ALL)
        mark_all_unreported(s);
    while (looks++ < LOOKS && (w = take_dirty(s)) != NULL) {
        unsigned is_reported = w->reported;
        w->looking = 1;
        pthread_mutex_unlock(&s->lock);
        lmail_status st = is_reported || moved(s, w) ? look_at(w, fn, user) : LMAIL_OK;
        pthread_mutex_lock(&s->lock);
        w->again = (st == LMAIL_PENDING || st == LMAIL_ERR_BUSY) && w->rounds < ROUNDS;
        w->rounds = w->again ? w->rounds + 1 : 0;
        changing += w->again;
        w->looking = 0;
        pthread_cond_broadcast(&s->looked);
    }
    lmail_status st = s->dirty ? LMAIL_MORE : changing ? LMAIL_PENDING : LMAIL_OK;
    if (changing)
        mark_again(s);
    pthread_mutex_unlock(&s->lock);
    return st;
}

static int watch_fd(void *ctx)
{
    md_watches *s = ((md_store *)ctx)->watches;
    pthread_mutex_lock(&s->lock);
    if (s->fd < 0 && s->max)
        s->fd = lmi_inotify_open();
    int fd = s->fd;
    pthread_mutex_unlock(&s->lock);
    return fd;
}

/* ---- All of them ----------------------------------------------------------------------------- */

lmail_status lmi_md_watches_new(md_store *store, unsigned max)
{
    md_watches *s = calloc(1, sizeof *s);
    if (!s)
        return LMAIL_ERR_NOMEM;
    s->fd = -1;
    s->max = max == UINT_MAX ? 0 : max ? max : MAX_WATCHES;
    s->dirty_end = &s->dirty;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->looked, NULL);
    store->watches = s;
    return LMAIL_OK;
}

void lmi_md_watches_free(md_store *store)
{
    md_watches *s = store->watches;
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    pthread_cond_destroy(&s->looked);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void lmi_md_fill_watch(lmail_store *table)
{
    table->watch = watch;
    table->watch_fd = watch_fd;
    table->watch_look = look;
}
