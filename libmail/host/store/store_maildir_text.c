/* store_maildir_text.c - small text files beside the mail, from which an index can be made anew.
 *
 *   libmail-mailbox    one a mailbox: UIDVALIDITY, MAILBOXID, special use
 *   dovecot-keywords   one a mailbox: "number name" a line; letters a..z of file names mean these
 *   subscriptions      one an account, as Dovecot keeps it
 *
 * Files that other programs write too are replaced under Dovecot's dotlock. */
#include "host/store/store_maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)8 << 20)
#define LOCK_TRIES 40
#define LOCK_STALE 120 /* seconds, as Dovecot takes a dotlock over */

lmail_status lmi_md_text_read(const char *path, char **out, size_t *len)
{
    struct stat st;
    *out = NULL;
    *len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? LMAIL_ERR_NOTFOUND : LMAIL_ERR_IO;
    lmail_status status = LMAIL_ERR_IO;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= (off_t)TEXT_MAX) {
        size_t size = (size_t)st.st_size;
        *out = malloc(size + 1);
        status = *out ? lmi_file_read_at(fd, 0, *out, size, len) : LMAIL_ERR_NOMEM;
    }
    if (status) {
        free(*out);
        *out = NULL;
    }
    close(fd);
    return status;
}

int lmi_md_text_line(lmail_str *text, lmail_str *line)
{
    if (text->len == 0)
        return 0;
    const char *end = memchr(text->ptr, '\n', text->len);
    size_t n = end ? (size_t)(end - text->ptr) : text->len;
    *line = lmi_str(text->ptr, n);
    n += end != NULL;
    text->ptr += n;
    text->len -= n;
    return 1;
}

/* Waits for another program's lock; takes over one that was left behind. */
static int open_temporary(const char *path, int lock, mode_t mode)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        struct stat st;
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd >= 0 || errno != EEXIST)
            return fd;
        if (!lock || (stat(path, &st) == 0 && time(NULL) - st.st_mtime > LOCK_STALE)) {
            unlink(path);
            continue;
        }
        nanosleep(&(struct timespec){0, 25000000}, NULL);
    }
    return -1;
}

/* The directory of a file. */
static lmail_status sync_place(md_store *s, const char *path)
{
    char dir[MD_PATH];
    size_t n = (size_t)(strrchr(path, '/') - path);
    memcpy(dir, path, n);
    dir[n] = '\0';
    return lmi_md_sync_dir(s, dir);
}

lmail_status lmi_md_text_write(md_store *s, const char *path, lmail_str text, int lock, int sync)
{
    char temporary[MD_PATH + 40];
    if (lock)
        snprintf(temporary, sizeof temporary, "%s.lock", path);
    else
        snprintf(temporary, sizeof temporary, "%s.%d.%u", path, (int)getpid(),
                 atomic_fetch_add(&s->serial, 1));
    int fd = open_temporary(temporary, lock, s->file_mode);
    if (fd < 0)
        return lmi_md_errno();
    lmail_status st = lmi_file_write_all(fd, text.ptr, text.len);
    if (!st && sync && !s->no_sync && fdatasync(fd) < 0)
        st = lmi_md_errno();
    close(fd);
    if (!st && rename(temporary, path) < 0)
        st = lmi_md_errno();
    if (st) {
        unlink(temporary);
        return st;
    }
    return sync ? sync_place(s, path) : LMAIL_OK;
}

/* ---- libmail-mailbox ------------------------------------------------------------------------- */

static int value_of(lmail_str line, const char *name, lmail_str *value)
{
    size_t n = strlen(name);
    if (line.len <= n + 1 || memcmp(line.ptr, name, n) != 0 || line.ptr[n] != ' ')
        return 0;
    *value = lmi_str(line.ptr + n + 1, line.len - n - 1);
    return 1;
}

static uint32_t number(lmail_str s)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9' && v <= UINT32_MAX; i++)
        v = v * 10 + (uint64_t)(s.ptr[i] - '0');
    return v > UINT32_MAX ? 0 : (uint32_t)v;
}

void lmi_md_facts_read(md_account *a, const char *dir, md_facts *out)
{
    char path[MD_PATH], *text;
    size_t len;
    *out = (md_facts){0};
    if (lmi_md_path(a, path, dir, NULL, LMAIL_STR("libmail-mailbox")) ||
        lmi_md_text_read(path, &text, &len))
        return;
    lmail_str rest = lmi_str(text, len), line, value;
    while (lmi_md_text_line(&rest, &line)) {
        if (value_of(line, "uidvalidity", &value)) {
            out->uidvalidity = number(value);
        } else if (value_of(line, "special", &value)) {
            out->special = lmail_special_use_parse(value);
        } else if (value_of(line, "id", &value) && value.len < sizeof out->objectid) {
            memcpy(out->objectid, value.ptr, value.len);
            out->objectid_len = value.len;
        }
    }
    free(text);
}

lmail_status lmi_md_facts_write(md_account *a, const char *path, const md_facts *f)
{
    char text[256];
    int n = snprintf(text, sizeof text, "uidvalidity %u\nid %.*s\n", f->uidvalidity,
                     (int)f->objectid_len, f->objectid);
    if (f->special)
        n += snprintf(text + n, sizeof text - (size_t)n, "special %s\n",
                      lmail_special_use_name(f->special));
    return lmi_md_text_write(a->store, path, lmi_str(text, (size_t)n), 0, 1);
}

/* ---- dovecot-keywords ------------------------------------------------------------------------ */

lmail_status lmi_md_keywords_read(md_account *a, const char *dir, char **out, size_t *len)
{
    char path[MD_PATH], *text;
    size_t size, n = 0;
    *out = NULL;
    *len = 0;
    lmail_status st = lmi_md_path(a, path, dir, NULL, LMAIL_STR("dovecot-keywords"));
    if (!st)
        st = lmi_md_text_read(path, &text, &size);
    if (st)
        return st;
    lmail_str rest = lmi_str(text, size), line;
    uint32_t expected = 0;
    char *words = malloc(size + 1);
    while (words && lmi_md_text_line(&rest, &line)) {
        const char *space = memchr(line.ptr, ' ', line.len);
        lmail_str name =
            space ? lmi_str(space + 1, line.len - (size_t)(space + 1 - line.ptr)) : line;
        /* Numbers must rise by one, or letters would change their meaning. */
        if (!space || number(line) != expected || !lmi_keyword_valid(name) ||
            expected == LMAIL_MAX_KEYWORDS)
            break;
        if (n)
            words[n++] = ' ';
        memcpy(words + n, name.ptr, name.len);
        n += name.len;
        expected++;
    }
    free(text);
    *out = words;
    *len = n;
    return words ? LMAIL_OK : LMAIL_ERR_NOMEM;
}

lmail_status lmi_md_keywords_write(md_box *b)
{
    char path[MD_PATH];
    size_t cap = b->row.words_len + b->row.keyword_count * 8 + 1, n = 0;
    lmail_status st = lmi_md_path(b->account, path, b->dir, NULL, LMAIL_STR("dovecot-keywords"));
    char *text = st ? NULL : malloc(cap);
    if (!text)
        return st ? st : LMAIL_ERR_NOMEM;
    for (size_t k = 0; k < b->row.keyword_count; k++)
        n += (size_t)snprintf(text + n, cap - n, "%zu %.*s\n", k, (int)b->row.keywords[k].len,
                              b->row.keywords[k].ptr);
    st = lmi_md_text_write(b->account->store, path, lmi_str(text, n), 1, 0);
    free(text);
    return st;
}

/* ---- subscriptions --------------------------------------------------------------------------- */

/* A line is a directory name without its first dot; in version 2 components are split by tabs. */
static int line_name(lmail_str line, int tabs, char *out, size_t *len)
{
    char dir[MD_NAME_OCTETS + 1];
    if (line.len == 0 || line.len >= MD_NAME_OCTETS)
        return 0;
    if (lmail_str_equal_nocase(line, LMAIL_STR("INBOX")))
        return !lmi_md_name_of(lmi_str("", 0), out, len);
    dir[0] = '.';
    for (size_t i = 0; i < line.len; i++)
        dir[i + 1] = tabs && line.ptr[i] == '\t' ? '.' : line.ptr[i];
    return !lmi_md_name_of(lmi_str(dir, line.len + 1), out, len);
}

lmail_status lmi_md_subscriptions(md_account *a, int (*fn)(void *user, lmail_str name), void *user)
{
    char path[MD_PATH], name[LMI_NAME_MAX], *text;
    size_t size, len;
    lmail_status st = lmi_md_path(a, path, NULL, NULL, LMAIL_STR("subscriptions"));
    if (!st)
        st = lmi_md_text_read(path, &text, &size);
    if (st)
        return st == LMAIL_ERR_NOTFOUND ? LMAIL_OK : st;
    lmail_str rest = lmi_str(text, size), line;
    int tabs = 0, first = 1;
    while (!st && lmi_md_text_line(&rest, &line)) {
        if (first && line.len >= 2 && line.ptr[0] == 'V' && line.ptr[1] == '\t')
            tabs = 1;
        else if (line_name(line, tabs, name, &len) && fn(user, lmi_str(name, len)))
            st = LMAIL_ERR_NOMEM;
        first = 0;
    }
    free(text);
    return st;
}

typedef struct rewrite {
    char *text;
    size_t len, cap;
    lmail_str name; /* left out */
    int found;
} rewrite;

static int put_line(rewrite *w, lmail_str name)
{
    char dir[MD_NAME_OCTETS + 1];
    if (lmi_md_dir_of(name, dir))
        return 0;
    lmail_str line = dir[0] ? lmail_str_from(dir + 1) : LMAIL_STR("INBOX");
    if (w->len + line.len + 1 > w->cap) {
        size_t cap = (w->len + line.len + 1) * 2;
        char *p = realloc(w->text, cap);
        if (!p)
            return 1;
        w->text = p;
        w->cap = cap;
    }
    memcpy(w->text + w->len, line.ptr, line.len);
    w->text[w->len + line.len] = '\n';
    w->len += line.len + 1;
    return 0;
}

static int keep_line(void *user, lmail_str name)
{
    rewrite *w = user;
    if (lmail_str_equal(name, w->name)) {
        w->found = 1;
        return 0;
    }
    return put_line(w, name);
}

lmail_status lmi_md_subscribe(md_account *a, lmail_str name, int on)
{
    char path[MD_PATH];
    rewrite w = {.name = name};
    lmail_status st = lmi_md_path(a, path, NULL, NULL, LMAIL_STR("subscriptions"));
    if (!st)
        st = lmi_md_subscriptions(a, keep_line, &w);
    if (!st && w.found != (on != 0)) {
        if (on && put_line(&w, name))
            st = LMAIL_ERR_NOMEM;
        if (!st)
            st = lmi_md_text_write(a->store, path, lmi_str(w.text, w.len), 1, 1);
    }
    free(w.text);
    return st;
}
