/* service_config.c - configuration files from disk, for lmail_config_load and for certificates. */
#include "host/service/service_files.h"

#include <errno.h>
#include <fcntl.h>
#include <libmail/host/service.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static lmail_status status_of(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return LMAIL_ERR_NOTFOUND;
    case EACCES:
    case EPERM:
        return LMAIL_ERR_DENIED;
    case ENOMEM:
        return LMAIL_ERR_NOMEM;
    default:
        return LMAIL_ERR_IO;
    }
}

static lmail_status read_all(int fd, lmail_str *out)
{
    struct stat st;
    if (fstat(fd, &st))
        return status_of(errno);
    if (!S_ISREG(st.st_mode))
        return LMAIL_ERR_ARG;
    if (st.st_size > LMI_MAX_FILE)
        return LMAIL_ERR_LIMIT;
    size_t size = (size_t)st.st_size, have = 0;
    char *text = malloc(size + 1);
    if (!text)
        return LMAIL_ERR_NOMEM;
    while (have < size) {
        ssize_t n = read(fd, text + have, size - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            lmail_status failed = status_of(errno);
            free(text);
            return failed;
        }
        if (n == 0)
            break;
        have += (size_t)n;
    }
    text[have] = '\0';
    *out = (lmail_str){text, have};
    return LMAIL_OK;
}

lmail_status lmi_file_read(const char *path, lmail_str *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return status_of(errno);
    lmail_status st = read_all(fd, out);
    close(fd);
    return st;
}

void lmi_file_free(lmail_str text)
{
    if (text.ptr) {
        explicit_bzero((char *)text.ptr, text.len);
        free((char *)text.ptr);
    }
}

static lmail_status open_named(void *ctx, lmail_str name, lmail_str *octets)
{
    (void)ctx;
    char *path = strndup(name.ptr, name.len);
    if (!path)
        return LMAIL_ERR_NOMEM;
    lmail_status st = lmi_file_read(path, octets);
    free(path);
    return st;
}

static void close_named(void *ctx, lmail_str octets)
{
    (void)ctx;
    lmi_file_free(octets);
}

lmail_status lmail_config_load_file(lmail_config **out, const char *path,
                                    lmail_diagnostic_fn *diagnostic, void *ctx)
{
    lmail_config_io io = LMAIL_CONFIG_IO_INIT;
    io.ctx = ctx; /* open and close need none */
    io.open = open_named;
    io.close = close_named;
    io.diagnostic = diagnostic;
    return lmail_config_load(out, lmail_str_from(path), &io, NULL);
}
