/* service_config.c - configuration files from disk, for lmail_config_load and for certificates; and
 * what this machine is called. */
#include "host/service/service_files.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <ifaddrs.h>
#include <libmail/host/service.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
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

/* ---- This machine ---------------------------------------------------------------------------- */

void lmi_machine_name(char *out, size_t cap)
{
    char name[256] = "localhost";
    if (gethostname(name, sizeof name - 1))
        strcpy(name, "localhost");
    if (!strchr(name, '.')) {
        struct addrinfo hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM}, *found;
        if (!getaddrinfo(name, NULL, &hints, &found)) {
            if (found->ai_canonname && strchr(found->ai_canonname, '.'))
                snprintf(name, sizeof name, "%s", found->ai_canonname);
            freeaddrinfo(found);
        }
    }
    snprintf(out, cap, "%s", name);
}

#define MAX_ADDRESSES 64u

/* What a reading needs of the machine. */
typedef struct reading {
    lmail_files files;
    lmail_diagnostic_fn *diagnostic;
    void *ctx;
    char *name; /* 256 octets, empty: not asked for yet */
    lmail_str addresses[MAX_ADDRESSES];
    char texts[MAX_ADDRESSES][INET6_ADDRSTRLEN];
} reading;

static size_t own_addresses(reading *r)
{
    struct ifaddrs *all;
    size_t n = 0;
    if (getifaddrs(&all))
        return 0;
    for (struct ifaddrs *i = all; i && n < MAX_ADDRESSES; i = i->ifa_next) {
        const void *octets = NULL;
        if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET)
            octets = &((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr;
        else if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET6)
            octets = &((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr;
        if (!octets || !inet_ntop(i->ifa_addr->sa_family, octets, r->texts[n], INET6_ADDRSTRLEN))
            continue;
        r->addresses[n] = lmail_str_from(r->texts[n]);
        n++;
    }
    freeifaddrs(all);
    return n;
}

static lmail_str name_of_machine(void *ctx)
{
    reading *r = ctx;
    if (!r->name[0])
        lmi_machine_name(r->name, 256);
    return lmail_str_from(r->name);
}

static void pass_on(void *ctx, const lmail_diagnostic *d)
{
    const reading *r = ctx;
    r->diagnostic(r->ctx, d);
}

/* ---- The disk's files ------------------------------------------------------------------------ */

static lmail_status open_disk(void *ctx, lmail_str name, lmail_str *octets)
{
    (void)ctx;
    char *path = strndup(name.ptr, name.len);
    if (!path)
        return LMAIL_ERR_NOMEM;
    lmail_status st = lmi_file_read(path, octets);
    free(path);
    return st;
}

static void close_disk(void *ctx, lmail_str octets)
{
    (void)ctx;
    lmi_file_free(octets);
}

static unsigned mode_on_disk(void *ctx, lmail_str name)
{
    struct stat st;
    char *path = strndup(name.ptr, name.len);
    (void)ctx;
    unsigned mode = path && stat(path, &st) == 0 ? st.st_mode & 07777u : 0;
    free(path);
    return mode;
}

static lmail_status list_disk(void *ctx, lmail_str pattern, int (*found)(void *to, lmail_str name),
                              void *to)
{
    glob_t names;
    char *text = strndup(pattern.ptr, pattern.len);
    (void)ctx;
    if (!text)
        return LMAIL_ERR_NOMEM;
    int failed = glob(text, GLOB_ERR, NULL, &names);
    free(text);
    if (failed)
        return failed == GLOB_NOSPACE   ? LMAIL_ERR_NOMEM
               : failed == GLOB_NOMATCH ? LMAIL_ERR_NOTFOUND
                                        : LMAIL_ERR_IO;
    for (size_t i = 0; i < names.gl_pathc; i++)
        if (found(to, lmail_str_from(names.gl_pathv[i])))
            break;
    globfree(&names);
    return LMAIL_OK;
}

void lmail_files_disk(lmail_files *files)
{
    *files = (lmail_files){sizeof *files, NULL, open_disk, close_disk, mode_on_disk, list_disk};
}

/* ---- Reading --------------------------------------------------------------------------------- */

static lmail_status open_named(void *ctx, lmail_str name, lmail_str *octets)
{
    const reading *r = ctx;
    return r->files.open(r->files.ctx, name, octets);
}

static void close_named(void *ctx, lmail_str octets)
{
    const reading *r = ctx;
    r->files.close(r->files.ctx, octets);
}

static int is_public(void *ctx, lmail_str name)
{
    const reading *r = ctx;
    return (r->files.mode(r->files.ctx, name) & S_IROTH) != 0;
}

static lmail_status list_named(void *ctx, lmail_str pattern, int (*found)(void *to, lmail_str name),
                               void *to)
{
    const reading *r = ctx;
    return r->files.list ? r->files.list(r->files.ctx, pattern, found, to) : LMAIL_ERR_NOTFOUND;
}

lmail_status lmi_config_load(lmail_config **out, const char *path, const lmail_files *files,
                             char name[256], lmail_diagnostic_fn *diagnostic, void *ctx)
{
    lmail_config_io io = LMAIL_CONFIG_IO_INIT;
    reading *r = calloc(1, sizeof *r);
    if (!r)
        return LMAIL_ERR_NOMEM;
    r->files = *files;
    r->diagnostic = diagnostic;
    r->ctx = ctx;
    r->name = name;
    io.ctx = r;
    io.open = open_named;
    io.close = close_named;
    io.diagnostic = diagnostic ? pass_on : NULL;
    io.is_public = is_public;
    io.list = list_named;
    io.machine_name = name_of_machine;
    io.machine_addresses = r->addresses;
    io.machine_address_count = own_addresses(r);
    lmail_status st = lmail_config_load(out, lmail_str_from(path), &io, NULL);
    free(r);
    return st;
}

lmail_status lmail_config_load_from(lmail_config **out, const char *path, const lmail_files *files,
                                    lmail_diagnostic_fn *diagnostic, void *ctx)
{
    char name[256] = "";
    return lmi_config_load(out, path, files, name, diagnostic, ctx);
}

lmail_status lmail_config_load_file(lmail_config **out, const char *path,
                                    lmail_diagnostic_fn *diagnostic, void *ctx)
{
    lmail_files disk;
    lmail_files_disk(&disk);
    return lmail_config_load_from(out, path, &disk, diagnostic, ctx);
}
