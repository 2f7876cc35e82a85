/* Any file is refused or read; what is read can be shown and read again. */
#include <libmail/config.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct text {
    char *octets;
    size_t len, cap;
} text;

static lmail_status open_file(void *ctx, lmail_str name, lmail_str *octets)
{
    if (!lmail_str_equal(name, LMAIL_STR("main")) && !lmail_str_equal(name, LMAIL_STR("more")))
        return LMAIL_ERR_NOTFOUND;
    *octets = *(const lmail_str *)ctx;
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

static lmail_status load(lmail_str octets, lmail_config **out)
{
    lmail_config_io io = LMAIL_CONFIG_IO_INIT;
    io.ctx = &octets;
    io.open = open_file;
    return lmail_config_load(out, LMAIL_STR("main"), &io, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lmail_config *c;
    if (load((lmail_str){(const char *)data, size}, &c))
        return 0;
    text shown = {NULL, 0, 0};
    if (lmail_config_show(c, gather, &shown))
        abort();
    lmail_config_free(c);
    if (load((lmail_str){shown.octets, shown.len}, &c))
        abort();
    lmail_config_free(c);
    free(shown.octets);
    return 0;
}
