/* store_maildir.c - the Maildir store: configuration, accounts, the bound on open indexes.
 *
 * An account's index stays open until it is the longest unused one of more than max_open; handles
 * keep the account but not its index. What an account does lies in the store_maildir_*.c files. */
#include "host/store/store_maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define MAX_OPEN 256u
#define MAX_RESTING 16u /* open indexes whose accounts are left alone */
#define RESERVE ((uint64_t)32 << 20)
#define SCAN_SECONDS 600u
#define LOCK_FILE "libmail-maildrop.lock"

/* ---- Indexes that are open ------------------------------------------------------------------- */

static void account_free(md_account *a)
{
    lmi_md_boxes_free(a);
    lmi_md_db_close(a);
    pthread_mutex_destroy(&a->lock);
    pthread_mutex_destroy(&a->queue_lock);
    pthread_mutex_destroy(&a->link_lock);
    free(a->dir);
    free(a);
}

/* Where the account of a directory is, or would be. The store is locked. */
static md_account **bucket_of(const md_store *s, const char *dir)
{
    return &s->accounts[lmi_hash(lmail_str_from(dir)) & (s->bucket_count - 1)];
}

/* Twice the buckets; without memory for them lists grow longer, no more. */
static void spread(md_store *s)
{
    md_store wide = {.bucket_count = s->bucket_count * 2};
    if (!(wide.accounts = calloc(wide.bucket_count, sizeof *wide.accounts)))
        return;
    for (size_t i = 0; i < s->bucket_count; i++) {
        for (md_account *a = s->accounts[i], *next; a; a = next) {
            md_account **p = bucket_of(&wide, a->dir);
            next = a->next;
            a->next = *p;
            *p = a;
        }
    }
    free(s->accounts);
    s->accounts = wide.accounts;
    s->bucket_count = wide.bucket_count;
}

/* The store is locked. Takes an account that nobody has out of its bucket. */
static void forget(md_store *s, md_account *a)
{
    md_account **p = bucket_of(s, a->dir);
    while (*p != a)
        p = &(*p)->next;
    *p = a->next;
    s->account_count--;
    account_free(a);
}

/* The longest unused open index that nobody is in, and how many there are. The store is locked. */
static md_account *oldest_open(md_store *s, const md_account *keep, unsigned resting, size_t *count)
{
    md_account *oldest = NULL;
    *count = 0;
    for (md_account *a = s->open_first; a; a = a->open_next) {
        if (a == keep || pthread_mutex_trylock(&a->lock))
            continue;
        int fits = a->index.db != NULL && (a->resting || !resting);
        pthread_mutex_unlock(&a->lock);
        *count += (size_t)fits;
        if (fits && (!oldest || a->used < oldest->used))
            oldest = a;
    }
    return oldest;
}

/* Indexes that are open, in no order. The store is locked. */
static void list_open(md_store *s, md_account *a)
{
    a->open_next = s->open_first;
    s->open_first = a;
    s->open_count++;
}

static void unlist_open(md_store *s, md_account *a)
{
    md_account **p = &s->open_first;
    while (*p != a)
        p = &(*p)->open_next;
    *p = a->open_next;
    s->open_count--;
}

/* Close indexes, the longest unused first: too many are open, or rest open. */
static void evict(md_store *s, const md_account *keep, unsigned resting)
{
    size_t count;
    pthread_mutex_lock(&s->lock);
    while (resting || s->open_count > s->max_open) {
        md_account *oldest = oldest_open(s, keep, resting, &count);
        if ((resting && count <= MAX_RESTING) || !oldest || pthread_mutex_trylock(&oldest->lock))
            break;
        if (oldest->index.db) {
            lmi_md_db_close(oldest);
            unlist_open(s, oldest);
        }
        pthread_mutex_unlock(&oldest->lock);
        if (oldest->refs == 0)
            forget(s, oldest);
    }
    pthread_mutex_unlock(&s->lock);
}

/* The account is entered or about to be. */
static void close_index(md_account *a)
{
    lmi_md_db_close(a);
    pthread_mutex_lock(&a->store->lock);
    unlist_open(a->store, a);
    pthread_mutex_unlock(&a->store->lock);
}

lmail_status lmi_md_enter(md_account *a)
{
    pthread_mutex_lock(&a->lock);
    return lmi_md_enter_locked(a);
}

lmail_status lmi_md_enter_locked(md_account *a)
{
    md_store *s = a->store;
    a->used = atomic_fetch_add_explicit(&s->clock, 1, memory_order_relaxed);
    a->resting = 0;
    if (a->index.db && a->damaged) {
        lmi_md_db_discard(a);
        close_index(a);
    } else if (a->index.db && !lmi_md_db_current(a)) {
        close_index(a);
    }
    if (a->index.db)
        return LMAIL_OK;
    lmail_status st = lmi_md_db_open(a);
    if (st) {
        lmi_md_db_close(a);
        pthread_mutex_unlock(&a->lock);
        return st;
    }
    pthread_mutex_lock(&s->lock);
    list_open(s, a);
    pthread_mutex_unlock(&s->lock);
    evict(s, a, 0);
    return LMAIL_OK;
}

void lmi_md_account_rest(md_account *a)
{
    pthread_mutex_lock(&a->lock);
    a->resting = 1;
    pthread_mutex_unlock(&a->lock);
    evict(a->store, NULL, 1);
}

void lmi_md_leave(md_account *a)
{
    unsigned raise = a->raise;
    lmail_notice *notice = a->store->notice;
    unsigned slot = a->slot;
    if (a->in_transaction)
        lmi_md_rollback(a);
    a->raise = 0;
    pthread_mutex_unlock(&a->lock);
    if (raise && notice)
        lmail_notice_raise(notice, slot);
}

/* ---- Parsers at rest ------------------------------------------------------------------------- */

lmail_mime_parser *lmi_md_parser(md_store *s, unsigned lf)
{
    lmail_mime_parser *p = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->parser_count)
        p = s->parsers[--s->parser_count];
    pthread_mutex_unlock(&s->lock);
    if (p) {
        lmail_mime_parser_reset(p, lf);
        return p;
    }
    lmail_mime_config config = LMAIL_MIME_CONFIG_INIT;
    config.env = s->env;
    config.gather = LMAIL_MIME_GATHER_SUMMARY;
    config.lf_input = lf;
    return lmail_mime_parser_new(&p, &config) ? NULL : p;
}

void lmi_md_parser_rest(md_store *s, lmail_mime_parser *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&s->lock);
    if (s->parser_count < sizeof s->parsers / sizeof *s->parsers) {
        s->parsers[s->parser_count++] = p;
        p = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    lmail_mime_parser_free(p);
}

/* ---- Accounts -------------------------------------------------------------------------------- */

/* The directory of an account without a location. A name is no path: what could lead out is
 * refused. */
static lmail_status default_dir(const md_store *s, lmail_str name, char out[MD_PATH])
{
    size_t root = s->root ? strlen(s->root) : 0;
    if (!root || name.len == 0 || name.len > MD_NAME_OCTETS || name.ptr[0] == '.')
        return LMAIL_ERR_ARG;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c < 0x20 || c == 0x7f || c == '/')
            return LMAIL_ERR_ARG;
    }
    if (root + name.len + 2 > MD_PATH)
        return LMAIL_ERR_LIMIT;
    memcpy(out, s->root, root);
    out[root] = '/';
    memcpy(out + root + 1, name.ptr, name.len);
    out[root + 1 + name.len] = '\0';
    return LMAIL_OK;
}

static lmail_status place(const md_store *s, const lmail_store_account_args *args,
                          char out[MD_PATH])
{
    lmail_str l = args->location;
    if (l.len == 0)
        return default_dir(s, args->name, out);
    if (l.ptr[0] != '/' || memchr(l.ptr, '\0', l.len))
        return LMAIL_ERR_ARG;
    if (l.len >= MD_PATH)
        return LMAIL_ERR_LIMIT;
    memcpy(out, l.ptr, l.len);
    while (l.len > 1 && out[l.len - 1] == '/')
        l.len--;
    out[l.len] = '\0';
    return LMAIL_OK;
}

static lmail_status account_new(md_store *s, lmail_str name, const char *dir, md_account **out)
{
    md_account *a = calloc(1, sizeof *a + name.len + 1);
    char *copy = strdup(dir);
    if (!a || !copy) {
        free(a);
        free(copy);
        return LMAIL_ERR_NOMEM;
    }
    a->store = s;
    a->dir = copy;
    a->dir_len = strlen(copy);
    if (name.len)
        memcpy(a->name, name.ptr, name.len);
    a->slot = lmail_notice_slot(name);
    a->jobs_end = &a->jobs;
    pthread_mutex_init(&a->lock, NULL);
    pthread_mutex_init(&a->queue_lock, NULL);
    pthread_mutex_init(&a->link_lock, NULL);
    if (s->account_count == s->bucket_count)
        spread(s);
    md_account **bucket = bucket_of(s, a->dir);
    a->next = *bucket;
    *bucket = a;
    s->account_count++;
    *out = a;
    return LMAIL_OK;
}

static lmail_status have_dirs(md_account *a, int create)
{
    char path[MD_PATH];
    lmail_status st = lmi_md_path(a, path, "", "cur", lmi_str(NULL, 0));
    if (st || access(path, F_OK) == 0)
        return st;
    if (!create)
        return LMAIL_ERR_NOTFOUND;
    return lmi_md_make_dirs(a, a->dir, 0);
}

static lmail_status account_open(void *ctx, const lmail_store_account_args *args,
                                 lmail_store_account **out)
{
    md_store *s = ctx;
    char dir[MD_PATH];
    if (args->size > sizeof *args)
        return LMAIL_ERR_SIZE;
    lmail_status st = place(s, args, dir);
    lmail_store_account *h = st ? NULL : calloc(1, sizeof *h);
    if (!h)
        return st ? st : LMAIL_ERR_NOMEM;
    pthread_mutex_lock(&s->lock);
    md_account *a = *bucket_of(s, dir);
    while (a && strcmp(a->dir, dir) != 0)
        a = a->next;
    if (!a)
        st = account_new(s, args->name, dir, &a);
    if (!st)
        a->refs++;
    pthread_mutex_unlock(&s->lock);
    if (!st) {
        h->account = a;
        h->lock = -1;
        st = have_dirs(a, args->create != 0);
        if (st) {
            s->table.account_close(h);
            return st;
        }
        *out = h;
        return LMAIL_OK;
    }
    free(h);
    return st;
}

lmail_status lmi_md_usage(md_account *a, lmail_store_usage *out)
{
    int64_t octets = 0, messages = 0;
    *out = (lmail_store_usage){0, 0};
    lmail_status st = lmi_md_enter(a);
    if (st)
        return st;
    st = lmi_md_int(a, MD_USAGE_OCTETS, &octets, "");
    if (!st)
        st = lmi_md_int(a, MD_USAGE_MESSAGES, &messages, "");
    lmi_md_leave(a);
    out->octets = octets > 0 ? (uint64_t)octets : 0;
    out->messages = messages > 0 ? (uint64_t)messages : 0;
    return st;
}

static lmail_status usage(lmail_store_account *h, lmail_store_usage *out)
{
    return lmi_md_usage(h->account, out);
}

static void account_close(lmail_store_account *h)
{
    md_account *a = h->account;
    md_store *s = a->store;
    pthread_mutex_lock(&s->lock);
    /* With an index open it stays for the next session, until evict takes it. */
    if (--a->refs == 0 && !a->index.db)
        forget(s, a);
    pthread_mutex_unlock(&s->lock);
    if (h->lock >= 0)
        close(h->lock);
    free(h);
}

/* The lock is the descriptor's: it ends with the process, and a program that closes the file
 * elsewhere does not end it (fcntl(2), open file description locks). The file stays: who removed it
 * would let a third lock a new one beside a second that waits at the old. */
static lmail_status account_lock(lmail_store_account *h)
{
    md_account *a = h->account;
    char path[MD_PATH];
    if (h->lock >= 0)
        return LMAIL_OK;
    lmail_status st = lmi_md_path(a, path, "", LOCK_FILE, lmi_str(NULL, 0));
    if (st)
        return st;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, a->store->file_mode);
    if (fd < 0)
        return LMAIL_ERR_IO;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) < 0) {
        int why = errno;
        close(fd);
        return why == EAGAIN || why == EACCES ? LMAIL_ERR_BUSY : LMAIL_ERR_IO;
    }
    h->lock = fd;
    return LMAIL_OK;
}

static lmail_status tidy(lmail_store_account *h, size_t max)
{
    lmail_status st = lmi_md_enter(h->account);
    if (st)
        return st;
    st = lmi_md_tidy(h->account, NULL, max);
    lmi_md_leave(h->account);
    return st;
}

/* ---- The store ------------------------------------------------------------------------------- */

static void close_store(lmail_store *table)
{
    md_store *s = table->ctx;
    for (size_t i = 0; i < s->bucket_count; i++)
        while (s->accounts[i])
            forget(s, s->accounts[i]);
    while (s->parser_count)
        lmail_mime_parser_free(s->parsers[--s->parser_count]);
    lmi_md_watches_free(s);
    pthread_mutex_destroy(&s->lock);
    free(s->accounts);
    free(s->root);
    free(s->spool_dir);
    free(s);
}

/* The kernel's boot id tells whether the machine stopped since. */
static void read_boot(md_store *s, const char *given)
{
    if (given) {
        strncpy(s->boot, given, sizeof s->boot - 1);
        return;
    }
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, s->boot, sizeof s->boot - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        strcpy(s->boot, "unknown");
    else
        s->boot[strcspn(s->boot, "\n")] = '\0';
}

/* For file names: no '/', ':' or ','; short, so that a base name can be a UIDL. */
static void set_host_name(md_store *s, const char *name)
{
    size_t n = 0;
    for (const char *p = name && *name ? name : "localhost"; *p && n < 16; p++)
        s->host_name[n++] = (*p > 0x20 && *p < 0x7f && !strchr("/:,\\", *p)) ? *p : '_';
}

static int usable(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && access(path, W_OK | X_OK) == 0;
}

lmail_status lmail_store_maildir_new(const lmail_store_maildir_config *config, lmail_store **out)
{
    if (config->size > sizeof *config)
        return LMAIL_ERR_SIZE;
    if ((config->root && !usable(config->root)) ||
        (config->spool_dir && !usable(config->spool_dir)))
        return LMAIL_ERR_IO;
    md_store *s = calloc(1, sizeof *s);
    if (s)
        s->accounts = calloc(MD_BUCKETS, sizeof *s->accounts);
    if (!s || !s->accounts || lmi_md_watches_new(s, config->max_watches)) {
        free(s ? s->accounts : NULL);
        free(s);
        return LMAIL_ERR_NOMEM;
    }
    s->bucket_count = MD_BUCKETS;
    s->env = config->env;
    s->notice = config->notice;
    s->root = config->root ? strdup(config->root) : NULL;
    s->spool_dir = config->spool_dir ? strdup(config->spool_dir) : NULL;
    s->max_open = config->max_open ? config->max_open : MAX_OPEN;
    s->scan_seconds = config->scan_seconds ? config->scan_seconds : SCAN_SECONDS;
    s->reserve = config->reserve == UINT64_MAX ? 0 : config->reserve ? config->reserve : RESERVE;
    s->file_mode = config->file_mode ? (mode_t)config->file_mode & 0666 : 0600;
    s->dir_mode = s->file_mode | (s->file_mode & 0444) >> 2;
    s->no_sync = config->no_sync;
    set_host_name(s, config->host_name);
    read_boot(s, config->boot_id);
    if (getrandom(&s->random, sizeof s->random, 0) != sizeof s->random)
        s->random = (uint32_t)getpid();
    pthread_mutex_init(&s->lock, NULL);
    s->table.size = sizeof s->table;
    s->table.ctx = s;
    s->table.name = "maildir";
    s->table.capabilities = LMAIL_STORE_KEEPS_FIELDS;
    s->table.account_open = account_open;
    s->table.usage = usage;
    s->table.account_close = account_close;
    s->table.tidy = tidy;
    s->table.account_lock = account_lock;
    s->table.close = close_store;
    lmi_md_fill_folder(&s->table);
    lmi_md_fill_list(&s->table);
    lmi_md_fill_open(&s->table);
    lmi_md_fill_flags(&s->table);
    lmi_md_fill_expunge(&s->table);
    lmi_md_fill_copy(&s->table);
    lmi_md_fill_message(&s->table);
    lmi_md_fill_read(&s->table);
    lmi_md_fill_delivery(&s->table);
    lmi_md_fill_watch(&s->table);
    *out = &s->table;
    return LMAIL_OK;
}
