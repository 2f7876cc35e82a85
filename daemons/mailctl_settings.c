/* What mailctl's groups need of libmail.conf. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libmail/config.h>

#include "mailctl.h"

#define MAX_CONFIG (16 << 20)

static lmail_status open_file(void *ctx, lmail_str name, lmail_str *octets)
{
    (void)ctx;
    char *path = strndup(name.ptr, name.len);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    int error = errno;
    free(path);
    if (fd < 0) {
        return error == ENOENT   ? LMAIL_ERR_NOTFOUND
               : error == EACCES ? LMAIL_ERR_DENIED
                                 : LMAIL_ERR_IO;
    }
    struct stat st;
    char *text =
        fstat(fd, &st) == 0 && st.st_size < MAX_CONFIG ? malloc((size_t)st.st_size + 1) : NULL;
    size_t len = 0;
    while (text && len < (size_t)st.st_size) {
        ssize_t n = read(fd, text + len, (size_t)st.st_size - len);
        if (n <= 0) {
            break;
        }
        len += (size_t)n;
    }
    close(fd);
    *octets = (lmail_str){text, len};
    return text ? LMAIL_OK : LMAIL_ERR_IO;
}

static void close_file(void *ctx, lmail_str octets)
{
    (void)ctx;
    free((void *)(uintptr_t)octets.ptr);
}

static void tell(void *ctx, const lmail_config_diagnostic *d)
{
    (void)ctx;
    if (d->severity == LMAIL_ERROR) {
        fprintf(stderr, "%.*s:%zu: %.*s\n", (int)d->file.len, d->file.ptr, d->line,
                (int)d->text.len, d->text.ptr);
    }
}

char *mailctl_account_file(const mailctl_call *call)
{
    lmail_config_io io = LMAIL_CONFIG_IO_INIT;
    io.open = open_file;
    io.close = close_file;
    io.diagnostic = tell;
    lmail_config *config = NULL;
    lmail_status status = lmail_config_load(&config, lmail_str_from(call->config), &io, NULL);
    if (status == LMAIL_ERR_NOTFOUND && !call->config_given) {
        status = lmail_config_load(&config, lmail_str_from(NULL), &io, NULL);
    }
    if (status != LMAIL_OK) {
        mailctl_say("%s: %s; use -f to name the account file", call->config,
                    status == LMAIL_ERR_SYNTAX ? "has errors" : lmail_status_text(status));
        return NULL;
    }
    const lmail_settings *settings = lmail_config_settings(config);
    char *path = strndup(settings->accounts.ptr, settings->accounts.len);
    lmail_config_free(config);
    if (!path) {
        mailctl_say("out of memory");
    }
    return path;
}
