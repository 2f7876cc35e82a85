/* The account file as a source: read whole, parsed into a table, read again when it has changed.
 *
 * Each call takes a reference to the present table (one stat, one mutex); an account that was
 * handed out keeps its table alive, so an edit never pulls octets away from under a login. Called
 * from any worker. auth_table.c knows the lines, this file the disk. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "auth_internal.h"

#define MAX_FILE (256u << 20)
/* A file that changed less than this before it was read may change again within the same time
 * stamp; it is read again until it is older. */
#define SETTLED_NS 50000000

typedef struct file_source {
    pthread_mutex_t lock;
    char *path;      /* NULL: text from memory, never read again */
    char *saslauthd; /* socket; empty: none */
    lmail_accounts_fault_fn *on_fault;
    void *user;
    lmi_auth_table *table; /* NULL: never read yet */
    struct stat seen;
    time_t looked;         /* monotonic: when the file was last looked at */
    lmi_auth_cache *cache; /* NULL: each check is made */
    unsigned settled;      /* `seen` says all about the table */
    int told;              /* errno that was reported last */
    unsigned told_mode;    /* that others may read it was reported */
} file_source;

static void tell(file_source *f, const char *what)
{
    if (f->on_fault) {
        lmail_accounts_fault fault = {lmail_str_from(f->path), 0, lmail_str_from(what)};
        f->on_fault(f->user, &fault);
    }
}

static void tell_errno(file_source *f, int error)
{
    if (f->told != error) {
        char text[128], what[160] = "cannot be read: ";
        strcat(what, strerror_r(error, text, sizeof text));
        f->told = error;
        tell(f, what);
    }
}

static int same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int is_settled(const struct stat *st)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age =
        (int64_t)(now.tv_sec - st->st_ctim.tv_sec) * 1000000000 + now.tv_nsec - st->st_ctim.tv_nsec;
    return age > SETTLED_NS;
}

/* The whole file into memory; NULL and errno. */
static char *read_whole(int fd, size_t size, size_t *len)
{
    char *text = malloc(size + 1);
    *len = 0;
    while (text && *len < size) {
        ssize_t n = read(fd, text + *len, size - *len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            int error = errno;
            lmi_auth_wipe_free(text, *len);
            errno = error;
            return NULL;
        }
        if (n == 0) {
            break;
        }
        *len += (size_t)n;
    }
    return text;
}

/* Read and parse. 0, or errno; the old table stays then. */
static int load(file_source *f)
{
    struct stat st;
    lmi_auth_table *table = NULL;
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && errno != ENOENT) {
        return errno;
    }
    memset(&st, 0, sizeof st);
    char *text = NULL;
    size_t len = 0;
    if (fd >= 0) {
        int error = fstat(fd, &st) != 0                                  ? errno
                    : !S_ISREG(st.st_mode)                               ? EINVAL
                    : st.st_size > (off_t)MAX_FILE                       ? EFBIG
                    : !(text = read_whole(fd, (size_t)st.st_size, &len)) ? errno
                                                                         : 0;
        close(fd);
        if (error) {
            return error;
        }
        if ((st.st_mode & 0007) != 0 && !f->told_mode) {
            tell(f, "others than its owner and group may use it: chmod 600");
        }
        f->told_mode = (st.st_mode & 0007) != 0;
    } else if (!(text = malloc(1))) {
        return ENOMEM;
    }
    table = lmi_auth_table_new(text, len, lmail_str_from(f->path), f->on_fault, f->user);
    if (!table) {
        return ENOMEM;
    }
    lmi_auth_table_unref(f->table);
    f->table = table;
    f->seen = st;
    f->settled = fd < 0 || is_settled(&st);
    f->told = 0;
    return 0;
}

static struct timespec steady(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now;
}

static lmail_msec steady_msec(void)
{
    struct timespec now = steady();
    return (lmail_msec)now.tv_sec * 1000 + (lmail_msec)now.tv_nsec / 1000000;
}

/* The present table with a reference, or NULL and the status to give. */
static lmi_auth_table *present(file_source *f, lmail_status *status)
{
    pthread_mutex_lock(&f->lock);
    int error = 0;
    if (f->path) {
        struct stat st;
        f->looked = steady().tv_sec;
        if (stat(f->path, &st) != 0) {
            error = errno == ENOENT ? 0 : errno;
            memset(&st, 0, sizeof st);
        }
        if (!error && (!f->table || !f->settled || !same_file(&st, &f->seen))) {
            error = load(f);
        }
        if (error) {
            tell_errno(f, error);
        }
    }
    lmi_auth_table *table = f->table ? lmi_auth_table_ref(f->table) : NULL;
    *status = table ? LMAIL_OK : error == ENOMEM ? LMAIL_ERR_NOMEM : LMAIL_ERR_IO;
    pthread_mutex_unlock(&f->lock);
    return table;
}

/* The account with the caller's reference to its table, or ERR_NOTFOUND without it. */
static lmail_status hand_out(lmi_auth_table *table, lmail_str name, lmail_account *out)
{
    const lmi_auth_hash *hash;
    const lmail_account *account = lmi_auth_table_find(table, name, &hash);
    if (!account) {
        lmi_auth_table_unref(table);
        return LMAIL_ERR_NOTFOUND;
    }
    *out = *account;
    out->held = table;
    return LMAIL_OK;
}

static lmail_status file_find(void *ctx, lmail_str name, lmail_account *out)
{
    lmail_status status;
    lmi_auth_table *table = present(ctx, &status);
    return table ? hand_out(table, name, out) : status;
}

/* The table as it was looked at in this second, if nobody holds the lock. */
static lmail_status file_find_now(void *ctx, lmail_str name, lmail_account *out)
{
    file_source *f = ctx;
    lmi_auth_table *table = NULL;
    if (pthread_mutex_trylock(&f->lock) != 0) {
        return LMAIL_PENDING;
    }
    if (f->table && (!f->path || (f->settled && f->looked == steady().tv_sec))) {
        table = lmi_auth_table_ref(f->table);
    }
    pthread_mutex_unlock(&f->lock);
    return table ? hand_out(table, name, out) : LMAIL_PENDING;
}

static void file_release(void *ctx, lmail_account *account)
{
    (void)ctx;
    lmi_auth_table_unref(account->held);
    memset(account, 0, sizeof *account);
}

/* The check itself, or what it came to a moment ago. A field that is readable is compared faster
 * than it is remembered. */
static int check(file_source *f, lmail_str name, const lmi_auth_hash *hash, lmail_str password)
{
    unsigned char tag[LMI_TAG];
    if (!f->cache || lmi_auth_hash_readable(hash).len > 0 ||
        !lmi_auth_cache_tag(f->cache, name, hash, password, tag)) {
        return lmi_auth_hash_check(hash, password);
    }
    int fits = lmi_auth_cache_has(f->cache, tag, steady_msec());
    if (!fits) {
        fits = lmi_auth_hash_check(hash, password);
        if (fits == 1) {
            lmi_auth_cache_put(f->cache, tag, steady_msec());
        }
    }
    explicit_bzero(tag, sizeof tag);
    return fits;
}

static void file_forget(void *ctx, unsigned all)
{
    file_source *f = ctx;
    if (f->cache && all) {
        lmi_auth_cache_end(f->cache);
    } else if (f->cache) {
        lmi_auth_cache_tidy(f->cache, steady_msec());
    }
}

/* A {SASLAUTHD} line: 1 fits, 0 does not; *status when it is not known. */
static int ask_elsewhere(const file_source *f, const lmail_account *account, lmail_str service,
                         lmail_str password, lmail_status *status)
{
    lmail_str socket = lmail_str_from(f->saslauthd);
    lmail_status said = account->disabled || socket.len == 0
                            ? LMAIL_ERR_DENIED
                            : lmi_auth_ask(socket, 0, service, account->name, password);
    if (said != LMAIL_OK && said != LMAIL_ERR_DENIED) {
        *status = said;
    }
    return said == LMAIL_OK;
}

static lmail_status file_verify_for(void *ctx, lmail_str service, lmail_str name,
                                    lmail_str password, lmail_account *out)
{
    lmail_status status;
    lmi_auth_table *table = present(ctx, &status);
    if (!table) {
        return status;
    }
    const lmi_auth_hash *hash = NULL;
    const lmail_account *account = lmi_auth_table_find(table, name, &hash);
    int fits = 0;
    if (account && lmi_auth_hash_is_elsewhere(hash)) {
        fits = ask_elsewhere(ctx, account, service, password, &status);
    } else if (account && hash->scheme) {
        fits = check(ctx, account->name, hash, password);
    } else {
        lmi_auth_burn(lmi_auth_table_usual(table), password);
    }
    if (fits == 1 && !account->disabled) {
        *out = *account;
        out->held = table;
        return LMAIL_OK;
    }
    lmi_auth_table_unref(table);
    return fits < 0 ? LMAIL_ERR_NOMEM : status != LMAIL_OK ? status : LMAIL_ERR_DENIED;
}

static lmail_status file_verify(void *ctx, lmail_str name, lmail_str password, lmail_account *out)
{
    return file_verify_for(ctx, (lmail_str){"", 0}, name, password, out);
}

static lmail_status file_each(void *ctx, int (*fn)(void *user, const lmail_account *account),
                              void *user)
{
    lmail_status status;
    lmi_auth_table *table = present(ctx, &status);
    if (!table) {
        return status;
    }
    for (size_t i = 0; i < lmi_auth_table_count(table); i++) {
        const lmail_account *account = lmi_auth_table_at(table, i);
        if (account && fn(user, account) != 0) {
            break;
        }
    }
    lmi_auth_table_unref(table);
    return LMAIL_OK;
}

static void file_close(void *ctx)
{
    file_source *f = ctx;
    lmi_auth_table_unref(f->table);
    lmi_auth_cache_free(f->cache);
    pthread_mutex_destroy(&f->lock);
    free(f->path);
    free(f->saslauthd);
    free(f);
}

static void fill_source(lmail_accounts_source *out, file_source *f)
{
    *out = (lmail_accounts_source){
        sizeof *out, f,          file_find,     file_release, file_verify,
        file_each,   file_close, file_find_now, file_forget,  file_verify_for};
}

static lmail_status wrap(lmail_accounts **out, file_source *f, const lmail_accounts_config *cfg)
{
    lmail_accounts_source source;
    fill_source(&source, f);
    lmail_status status = lmail_accounts_new(out, &source, cfg);
    if (status != LMAIL_OK) {
        file_close(f);
    }
    return status;
}

static file_source *new_source(const lmail_accounts_config *cfg)
{
    file_source *f = calloc(1, sizeof *f);
    if (!f) {
        return NULL;
    }
    pthread_mutex_init(&f->lock, NULL);
    f->on_fault = cfg->on_fault;
    f->user = cfg->user;
    f->saslauthd = lmi_auth_copy(cfg->saslauthd);
    if (!f->saslauthd ||
        (cfg->remember > 0 && lmi_auth_cache_new(&f->cache, cfg->remember) != LMAIL_OK)) {
        file_close(f);
        return NULL;
    }
    return f;
}

static lmail_status open_file(file_source **out, lmail_str path, const lmail_accounts_config *given,
                              lmail_accounts_config *cfg)
{
    lmail_status status = lmi_accounts_config_copy(cfg, given);
    if (status != LMAIL_OK) {
        return status;
    }
    if (path.len == 0 || memchr(path.ptr, '\0', path.len)) {
        return LMAIL_ERR_ARG;
    }
    file_source *f = new_source(cfg);
    if (!f) {
        return LMAIL_ERR_NOMEM;
    }
    f->path = lmi_auth_copy(path);
    status = LMAIL_ERR_NOMEM;
    lmi_auth_table *table = f->path ? present(f, &status) : NULL;
    if (!table) {
        file_close(f);
        return status;
    }
    lmi_auth_table_unref(table);
    *out = f;
    return LMAIL_OK;
}

lmail_status lmail_accounts_open(lmail_accounts **out, lmail_str path,
                                 const lmail_accounts_config *given)
{
    file_source *f;
    lmail_accounts_config cfg;
    *out = NULL;
    lmail_status status = open_file(&f, path, given, &cfg);
    return status == LMAIL_OK ? wrap(out, f, &cfg) : status;
}

lmail_status lmail_accounts_file_source(lmail_accounts_source *out, lmail_str path,
                                        const lmail_accounts_config *given)
{
    file_source *f;
    lmail_accounts_config cfg;
    memset(out, 0, sizeof *out);
    lmail_status status = open_file(&f, path, given, &cfg);
    if (status == LMAIL_OK) {
        fill_source(out, f);
    }
    return status;
}

lmail_status lmail_accounts_from_text(lmail_accounts **out, lmail_str text,
                                      const lmail_accounts_config *given)
{
    lmail_accounts_config cfg;
    *out = NULL;
    lmail_status status = lmi_accounts_config_copy(&cfg, given);
    if (status != LMAIL_OK) {
        return status;
    }
    file_source *f = new_source(&cfg);
    if (!f) {
        return LMAIL_ERR_NOMEM;
    }
    char *copy = lmi_auth_copy(text);
    f->table =
        copy ? lmi_auth_table_new(copy, text.len, LMAIL_STR("-"), f->on_fault, f->user) : NULL;
    if (!f->table) {
        file_close(f);
        return LMAIL_ERR_NOMEM;
    }
    return wrap(out, f, &cfg);
}
