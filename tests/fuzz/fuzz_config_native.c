/* Any file is refused or read; what is read can be shown and read again. "main" may include itself
 * as "more", and import itself as a file of the classic installation. */
#include <libmail/config.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct text {
    char *octets;
    size_t len, cap;
} text;

typedef struct files {
    lmail_str main, more;
} files;

static lmail_status open_file(void *ctx, lmail_str name, lmail_str *octets)
{
    const files *f = ctx;
    if (lmail_str_equal(name, LMAIL_STR("main")))
        *octets = f->main;
    else if (lmail_str_equal(name, LMAIL_STR("more")))
        *octets = f->more;
    else
        return LMAIL_ERR_NOTFOUND;
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

static lmail_status load(lmail_str main_file, lmail_str original, lmail_config **out)
{
    files f = {main_file, original};
    lmail_config_io io = LMAIL_CONFIG_IO_INIT;
    io.ctx = &f;
    io.open = open_file;
    return lmail_config_load(out, LMAIL_STR("main"), &io, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lmail_config *c;
    const lmail_str original = {(const char *)data, size};
    if (load(original, original, &c))
        return 0;
    text shown = {NULL, 0, 0};
    if (lmail_config_show(c, gather, &shown))
        abort();
    lmail_config_free(c);
    if (load((lmail_str){shown.octets, shown.len}, original, &c))
        abort();
    lmail_config_free(c);
    free(shown.octets);
    return 0;
}
