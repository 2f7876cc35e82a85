/* What the harnesses of imported files share: a text that is read as one is refused, or can be shown
 * as a native file that means the same. It may include itself as "more";
 * tables are empty. */
#ifndef TESTS_FUZZ_IMPORTED_H
#define TESTS_FUZZ_IMPORTED_H

#include <libmail/config.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct text {
    char *octets;
    size_t len, cap;
} text;

typedef struct files {
    lmail_str main, name, imported;
} files;

static lmail_status open_file(void *ctx, lmail_str name, lmail_str *octets)
{
    const files *f = ctx;
    if (lmail_str_equal(name, LMAIL_STR("main")))
        *octets = f->main;
    else if (lmail_str_equal(name, f->name) || lmail_str_equal(name, LMAIL_STR("more")))
        *octets = f->imported;
    else if (name.len && name.ptr[0] == '/') /* tables and class files */
        *octets = LMAIL_STR("");
    else
        return LMAIL_ERR_NOTFOUND;
    return LMAIL_OK;
}

/* A pattern matches the file itself, twice. */
static lmail_status list_files(void *ctx, lmail_str pattern, int (*found)(void *to, lmail_str name),
                               void *to)
{
    (void)ctx;
    (void)pattern;
    if (!found(to, LMAIL_STR("more")))
        found(to, LMAIL_STR("more"));
    return LMAIL_OK;
}

static lmail_status gather(void *ctx, lmail_str piece)
{
    text *t = ctx;
    if (t->len + piece.len > t->cap) {
        t->cap = (t->len + piece.len) * 2;
        t->octets = realloc(t->octets, t->cap);
        if (!t->octets)
            abort();
    }
    memcpy(t->octets + t->len, piece.ptr, piece.len);
    t->len += piece.len;
    return LMAIL_OK;
}

/* Without what stands behind each '#': the origins differ. */
static size_t bare(text *t)
{
    size_t n = 0;
    int quoted = 0, comment = 0;
    for (size_t i = 0; i < t->len; i++) {
        char c = t->octets[i];
        if (c == '\n') {
            while (n && t->octets[n - 1] == ' ')
                n--;
            comment = quoted = 0;
        }
        if (quoted && c == '\\')
            i++;
        else if (c == '"' && !comment)
            quoted = !quoted;
        else if (c == '#' && !quoted)
            comment = 1;
        if (!comment)
            t->octets[n++] = t->octets[i];
    }
    return n;
}

static void show(lmail_config *c, text *out)
{
    if (lmail_config_show(c, gather, out))
        abort();
    lmail_config_free(c);
}

static void read_imported(const char *main, const char *name, const uint8_t *data, size_t size)
{
    files f = {lmail_str_from(main), lmail_str_from(name), {(const char *)data, size}};
    lmail_config_io io = LMAIL_CONFIG_IO_INIT;
    io.ctx = &f;
    io.open = open_file;
    io.list = list_files;
    lmail_config *c;
    if (lmail_config_load(&c, LMAIL_STR("main"), &io, NULL))
        return;
    text first = {NULL, 0, 0}, second = {NULL, 0, 0};
    show(c, &first);
    f.main = (lmail_str){first.octets, first.len};
    if (lmail_config_load(&c, LMAIL_STR("main"), &io, NULL))
        abort();
    show(c, &second);
    first.len = bare(&first);
    second.len = bare(&second);
    if (first.len != second.len || memcmp(first.octets, second.octets, first.len) != 0)
        abort();
    free(first.octets);
    free(second.octets);
}

#endif
