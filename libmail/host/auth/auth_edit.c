/* Changing the account file: lock, edit in memory, write whole, rename.
 *
 * Called by mailctl and by hosts that make accounts. Lines that are not touched keep every octet,
 * also damaged ones. A reader sees the old file or the new one, never a mixture; a power cut leaves
 * one of them. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <libmail/codec.h>

#include "auth_internal.h"

#define LOCK_WAIT_MS 10000

typedef struct line {
    char *text; /* without its LF; in the file's text, or of its own */
    size_t len;
    unsigned own, removed;
} line;

struct lmail_accounts_edit {
    char *path; /* symbolic links followed */
    int lock;
    char *text; /* as the file was */
    size_t len;
    line *lines;
    size_t count, cap;
    int open_end;    /* the last line has no LF */
    uint32_t *slots; /* by name, line index + 1, the first line of a name; 0 is empty */
    size_t slot_count, named;
    int existed;
    struct stat st; /* of the file, or of its folder when there is none yet */
};

static void wipe_line(line *l);
static lmail_status split_text(lmail_accounts_edit *e);
static lmail_status index_lines(lmail_accounts_edit *e);

/* ---- Begin and end --------------------------------------------------------------------------- */

static lmail_status take_lock(lmail_accounts_edit *e)
{
    char name[PATH_MAX];
    if ((size_t)snprintf(name, sizeof name, "%s.lock", e->path) >= sizeof name) {
        errno = ENAMETOOLONG;
        return LMAIL_ERR_IO;
    }
    /* The lock file stays: removing it would let two writers hold two different files. */
    e->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (e->lock < 0) {
        return LMAIL_ERR_IO;
    }
    for (int waited = 0; flock(e->lock, LOCK_EX | LOCK_NB) != 0; waited += 10) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return LMAIL_ERR_IO;
        }
        if (waited >= LOCK_WAIT_MS) {
            return LMAIL_ERR_BUSY;
        }
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    return LMAIL_OK;
}

static lmail_status stat_folder(const char *path, struct stat *st)
{
    char copy[PATH_MAX];
    if (strlen(path) >= sizeof copy) {
        errno = ENAMETOOLONG;
        return LMAIL_ERR_IO;
    }
    memcpy(copy, path, strlen(path) + 1);
    return stat(dirname(copy), st) == 0 ? LMAIL_OK : LMAIL_ERR_IO;
}

static lmail_status read_file(lmail_accounts_edit *e)
{
    int fd = open(e->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        e->text = malloc(1);
        return errno != ENOENT ? LMAIL_ERR_IO
               : !e->text      ? LMAIL_ERR_NOMEM
                               : stat_folder(e->path, &e->st);
    }
    e->existed = 1;
    lmail_status status = LMAIL_OK;
    if (fstat(fd, &e->st) != 0 || !S_ISREG(e->st.st_mode)) {
        errno = errno ? errno : EINVAL;
        status = LMAIL_ERR_IO;
    } else {
        e->text = malloc((size_t)e->st.st_size + 1);
        status = e->text ? LMAIL_OK : LMAIL_ERR_NOMEM;
    }
    while (status == LMAIL_OK && e->len < (size_t)e->st.st_size) {
        ssize_t n = read(fd, e->text + e->len, (size_t)e->st.st_size - e->len);
        if (n < 0 && errno != EINTR) {
            status = LMAIL_ERR_IO;
        } else if (n == 0) {
            break;
        } else if (n > 0) {
            e->len += (size_t)n;
        }
    }
    int error = errno;
    close(fd);
    errno = error;
    return status;
}

lmail_status lmail_accounts_edit_new(lmail_accounts_edit **out, lmail_str path)
{
    *out = NULL;
    lmail_accounts_edit *e = calloc(1, sizeof *e);
    if (!e) {
        return LMAIL_ERR_NOMEM;
    }
    e->lock = -1;
    char *given = lmi_auth_copy(path);
    e->path = given ? realpath(given, NULL) : NULL;
    if (e->path) {
        free(given);
    } else {
        e->path = given; /* it does not exist yet */
    }
    errno = 0;
    lmail_status status = e->path ? take_lock(e) : LMAIL_ERR_NOMEM;
    if (status == LMAIL_OK) {
        errno = 0;
        status = read_file(e);
    }
    if (status == LMAIL_OK) {
        status = split_text(e);
    }
    if (status == LMAIL_OK) {
        status = index_lines(e);
    }
    if (status == LMAIL_OK && geteuid() == 0 && fchown(e->lock, e->st.st_uid, e->st.st_gid) != 0) {
        status = LMAIL_ERR_IO; /* the file's owner must be able to lock it too */
    }
    if (status != LMAIL_OK) {
        int error = errno;
        lmail_accounts_edit_free(e);
        errno = error;
        return status;
    }
    *out = e;
    return LMAIL_OK;
}

void lmail_accounts_edit_free(lmail_accounts_edit *e)
{
    if (e) {
        if (e->lock >= 0) {
            close(e->lock);
        }
        for (size_t i = 0; i < e->count; i++) {
            wipe_line(&e->lines[i]);
        }
        free(e->lines);
        free(e->slots);
        lmi_auth_wipe_free(e->text, e->len);
        free(e->path);
        free(e);
    }
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static void wipe_line(line *l)
{
    if (l->own) {
        lmi_auth_wipe_free(l->text, l->len);
    }
}

static lmail_status add_line(lmail_accounts_edit *e, char *text, size_t len, unsigned own)
{
    if (e->count == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 64;
        line *more = cap < UINT32_MAX ? realloc(e->lines, cap * sizeof *more) : NULL;
        if (!more) {
            return LMAIL_ERR_NOMEM;
        }
        e->lines = more;
        e->cap = cap;
    }
    e->lines[e->count++] = (line){text, len, own, 0};
    return LMAIL_OK;
}

static lmail_status split_text(lmail_accounts_edit *e)
{
    lmail_status status = LMAIL_OK;
    for (size_t at = 0; status == LMAIL_OK && at < e->len;) {
        const char *lf = memchr(e->text + at, '\n', e->len - at);
        size_t end = lf ? (size_t)(lf - e->text) : e->len;
        status = add_line(e, e->text + at, end - at, 0);
        e->open_end = !lf;
        at = end + 1;
    }
    return status;
}

/* The name that a line gives, folded; 0: it gives none. */
static int name_of(const line *l, char folded[LMAIL_MAX_ACCOUNT_NAME], size_t *len)
{
    lmail_str fields[LMI_FIELDS];
    lmail_str text = {l->text, l->len};
    return !l->removed && l->len > 0 && l->text[0] != '#' &&
           lmi_auth_split_line(text, fields) >= 2 &&
           lmail_account_name_fold(fields[0], folded, LMAIL_MAX_ACCOUNT_NAME, len) == LMAIL_OK;
}

/* The slot of a folded name, or the empty one where it belongs. */
static uint32_t *slot_of(const lmail_accounts_edit *e, lmail_str name)
{
    char other[LMAIL_MAX_ACCOUNT_NAME];
    size_t len, mask = e->slot_count - 1;
    uint64_t h = 14695981039346656037u; /* FNV-1a: the names are the administrator's own */
    for (size_t i = 0; i < name.len; i++) {
        h = (h ^ (unsigned char)name.ptr[i]) * 1099511628211u;
    }
    size_t i = (size_t)(h ^ (h >> 32)) & mask;
    while (e->slots[i] != 0 && !(name_of(&e->lines[e->slots[i] - 1], other, &len) &&
                                 lmail_str_equal((lmail_str){other, len}, name))) {
        i = (i + 1) & mask;
    }
    return &e->slots[i];
}

static void index_line(lmail_accounts_edit *e, size_t i)
{
    char folded[LMAIL_MAX_ACCOUNT_NAME];
    size_t len;
    if (name_of(&e->lines[i], folded, &len)) {
        uint32_t *slot = slot_of(e, (lmail_str){folded, len});
        e->named += *slot == 0;
        *slot = *slot ? *slot : (uint32_t)(i + 1);
    }
}

/* All lines by name, with room for as many again. */
static lmail_status index_lines(lmail_accounts_edit *e)
{
    size_t slot_count = 64;
    while (slot_count < e->count * 4) {
        slot_count *= 2;
    }
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (!slots) {
        return LMAIL_ERR_NOMEM;
    }
    free(e->slots);
    e->slots = slots;
    e->slot_count = slot_count;
    e->named = 0;
    for (size_t i = 0; i < e->count; i++) {
        index_line(e, i);
    }
    return LMAIL_OK;
}

/* NULL: no line has that name. */
static line *find_line(const lmail_accounts_edit *e, lmail_str name)
{
    char folded[LMAIL_MAX_ACCOUNT_NAME];
    size_t len;
    if (lmail_account_name_fold(name, folded, sizeof folded, &len) != LMAIL_OK) {
        return NULL;
    }
    uint32_t at = *slot_of(e, (lmail_str){folded, len});
    return at ? &e->lines[at - 1] : NULL;
}

static size_t append(char *out, size_t at, lmail_str text)
{
    if (text.len > 0) {
        memcpy(out + at, text.ptr, text.len);
    }
    return at + text.len;
}

static int is_secret_word(lmail_str key)
{
    return lmail_str_equal(key, LMAIL_STR("scram_sha_1")) ||
           lmail_str_equal(key, LMAIL_STR("scram_sha_256")) ||
           lmail_str_equal(key, LMAIL_STR("secret"));
}

/* The line again with another password field, or with `words` for those of step two. NULL: keep
 * it. */
static lmail_status set_fields(line *l, const lmail_str *password, const lmail_str *words)
{
    lmail_str fields[LMI_FIELDS];
    lmail_str text = {l->text, l->len};
    int cr = text.len > 0 && text.ptr[text.len - 1] == '\r';
    text.len -= (size_t)cr;
    lmi_auth_split_line(text, fields);
    size_t room =
        text.len + LMI_FIELDS + 3 + (password ? password->len : 0) + (words ? words->len : 0);
    char *made = malloc(room);
    if (!made) {
        return LMAIL_ERR_NOMEM;
    }
    size_t len = 0;
    for (size_t i = 0; i + 1 < LMI_FIELDS; i++) {
        len = append(made, len, i == 1 && password ? *password : fields[i]);
        made[len++] = ':';
    }
    lmail_str rest = fields[LMI_FIELDS - 1], word, key, value;
    size_t first = len;
    while (lmi_auth_next_word(&rest, &word, &key, &value)) {
        if (!words || !is_secret_word(key)) {
            len = append(made, len, len > first ? LMAIL_STR(" ") : LMAIL_STR(""));
            len = append(made, len, word);
        }
    }
    if (words && words->len > 0) {
        len = append(made, len, len > first ? LMAIL_STR(" ") : LMAIL_STR(""));
        len = append(made, len, *words);
    }
    len = append(made, len, cr ? LMAIL_STR("\r") : LMAIL_STR(""));
    wipe_line(l);
    *l = (line){made, len, 1, 0};
    return LMAIL_OK;
}

/* ---- The changes ----------------------------------------------------------------------------- */

int lmail_accounts_edit_has(const lmail_accounts_edit *e, lmail_str name)
{
    return find_line(e, name) != NULL;
}

lmail_status lmail_accounts_edit_add(lmail_accounts_edit *e, lmail_str name)
{
    static const char rest[] = ":!::::::";
    char folded[LMAIL_MAX_ACCOUNT_NAME];
    size_t len;
    lmail_status status = lmail_account_name_fold(name, folded, sizeof folded, &len);
    if (status != LMAIL_OK) {
        return status;
    }
    if (find_line(e, name)) {
        return LMAIL_ERR_EXISTS;
    }
    char *made = malloc(len + sizeof rest);
    if (!made) {
        return LMAIL_ERR_NOMEM;
    }
    memcpy(made, folded, len);
    memcpy(made + len, rest, sizeof rest - 1);
    status = add_line(e, made, len + sizeof rest - 1, 1);
    if (status != LMAIL_OK) {
        free(made);
        return status;
    }
    e->open_end = 0; /* a last line without its end gets one */
    index_line(e, e->count - 1);
    return e->named * 2 > e->slot_count ? index_lines(e) : LMAIL_OK;
}

static lmail_status locate(const lmail_accounts_edit *e, lmail_str name, line **out)
{
    char folded[LMAIL_MAX_ACCOUNT_NAME];
    size_t len;
    lmail_status status = lmail_account_name_fold(name, folded, sizeof folded, &len);
    if (status != LMAIL_OK) {
        return status;
    }
    *out = find_line(e, name);
    return *out ? LMAIL_OK : LMAIL_ERR_NOTFOUND;
}

lmail_status lmail_accounts_edit_remove(lmail_accounts_edit *e, lmail_str name)
{
    line *l;
    lmail_status status = locate(e, name, &l);
    if (status == LMAIL_OK) {
        l->removed = 1;
        e->open_end = e->open_end && l != &e->lines[e->count - 1];
        status = index_lines(e); /* another line of that name is found from now on */
    }
    return status;
}

static int is_password(lmail_str password)
{
    return password.len <= LMAIL_MAX_PASSWORD && !memchr(password.ptr, '\0', password.len) &&
           !memchr(password.ptr, '\n', password.len) && !memchr(password.ptr, '\r', password.len);
}

lmail_status lmail_accounts_edit_password(lmail_accounts_edit *e, lmail_str name,
                                          lmail_str password)
{
    line *l;
    char hash[LMI_HASH_SIZE] = "!";
    lmail_status status = locate(e, name, &l);
    if (status == LMAIL_OK && password.len > 0) {
        status = is_password(password) ? lmi_auth_hash_make(password, hash) : LMAIL_ERR_ARG;
    }
    if (status == LMAIL_OK) {
        lmail_str field = lmail_str_from(hash);
        status = set_fields(l, &field, NULL);
    }
    explicit_bzero(hash, sizeof hash);
    return status;
}

static lmail_status secret_words(lmail_str password, int reversible, char *out, size_t cap,
                                 size_t *len)
{
    char sha1[LMI_SCRAM_TEXT], sha256[LMI_SCRAM_TEXT];
    lmail_status status = lmi_scram_make(GSASL_HASH_SHA1, password, sha1);
    if (status == LMAIL_OK) {
        status = lmi_scram_make(GSASL_HASH_SHA256, password, sha256);
    }
    if (status != LMAIL_OK) {
        return status;
    }
    int n = snprintf(out, cap, "scram_sha_1=%s scram_sha_256=%s", sha1, sha256);
    *len = n > 0 ? (size_t)n : 0;
    explicit_bzero(sha1, sizeof sha1);
    explicit_bzero(sha256, sizeof sha256);
    if (reversible) {
        size_t made;
        *len = append(out, *len, LMAIL_STR(" secret="));
        status = lmail_base64_encode(password, out + *len, cap - *len, &made);
        *len += made;
    }
    return status;
}

lmail_status lmail_accounts_edit_secret(lmail_accounts_edit *e, lmail_str name, lmail_str password,
                                        int reversible)
{
    line *l;
    char words[2 * LMI_SCRAM_TEXT + 2 * LMAIL_MAX_PASSWORD + 64];
    size_t len = 0;
    lmail_status status = locate(e, name, &l);
    if (status == LMAIL_OK && password.len > 0) {
        status = is_password(password)
                     ? secret_words(password, reversible, words, sizeof words, &len)
                     : LMAIL_ERR_ARG;
    }
    if (status == LMAIL_OK) {
        lmail_str text = {words, len};
        status = set_fields(l, NULL, &text);
    }
    explicit_bzero(words, sizeof words);
    return status;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static lmail_status write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno == ENOSPC || errno == EDQUOT ? LMAIL_ERR_FULL : LMAIL_ERR_IO;
        }
        text += n;
        len -= (size_t)n;
    }
    return LMAIL_OK;
}

static lmail_status write_lines(const lmail_accounts_edit *e, int fd)
{
    size_t room = 0, len = 0;
    for (size_t i = 0; i < e->count; i++) {
        room += e->lines[i].len + 1;
    }
    char *all = malloc(room + 1);
    if (!all) {
        return LMAIL_ERR_NOMEM;
    }
    for (size_t i = 0; i < e->count; i++) {
        if (!e->lines[i].removed) {
            len = append(all, len, (lmail_str){e->lines[i].text, e->lines[i].len});
            all[len++] = '\n';
        }
    }
    lmail_status status = write_all(fd, all, len - (len > 0 && e->open_end));
    lmi_auth_wipe_free(all, room);
    return status;
}

/* So that the rename outlives a power cut. */
static lmail_status sync_folder(const char *path)
{
    char copy[PATH_MAX];
    memcpy(copy, path, strlen(path) + 1); /* fits: take_lock has put more into as much */
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return LMAIL_ERR_IO;
    }
    int rc = fsync(fd);
    close(fd);
    return rc == 0 ? LMAIL_OK : LMAIL_ERR_IO;
}

lmail_status lmail_accounts_edit_commit(lmail_accounts_edit *e)
{
    char name[PATH_MAX];
    if ((size_t)snprintf(name, sizeof name, "%s.XXXXXX", e->path) >= sizeof name) {
        errno = ENAMETOOLONG;
        return LMAIL_ERR_IO;
    }
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOSPC || errno == EDQUOT ? LMAIL_ERR_FULL : LMAIL_ERR_IO;
    }
    /* Root writes for the user the daemons run as: the file stays that user's. */
    lmail_status status = write_lines(e, fd);
    if (status == LMAIL_OK &&
        (fchmod(fd, 0600) != 0 || (geteuid() == 0 && fchown(fd, e->st.st_uid, e->st.st_gid) != 0) ||
         fsync(fd) != 0)) {
        status = errno == ENOSPC || errno == EDQUOT ? LMAIL_ERR_FULL : LMAIL_ERR_IO;
    }
    int error = errno;
    if (close(fd) != 0 && status == LMAIL_OK) {
        error = errno;
        status = LMAIL_ERR_IO;
    }
    if (status == LMAIL_OK && rename(name, e->path) != 0) {
        error = errno;
        status = LMAIL_ERR_IO;
    }
    if (status != LMAIL_OK) {
        unlink(name);
        errno = error;
        return status;
    }
    return sync_folder(e->path);
}
