/* server_paths.c - the paths of the sandbox: the places of the settings, and what every process needs.
 *
 * /etc is read as a whole: resolv.conf, hosts, passwd, nsswitch.conf, localtime and certificates are
 * all replaced by rename(2), and what is secret there its mode guards. /usr and /lib hold what glibc
 * loads late: name services, character sets, time zones. Called by server.c. */
#include "server_paths.h"

#include <libmail/host/accounts.h>
#include <libmail/host/service.h>
#include <stdlib.h>
#include <string.h>

static int has(const server_paths *p, lmail_str path, int write)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->list[i].write == write && lmail_str_equal(lmail_str_from(p->list[i].path), path))
            return 1;
    return 0;
}

static void add(server_paths *p, lmail_str path, int write)
{
    if (!path.len || p->failed || has(p, path, write))
        return;
    if (p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 64;
        sandbox_path *list = realloc(p->list, room * sizeof *list);
        p->failed = !list;
        if (p->failed)
            return;
        p->list = list;
        p->room = room;
    }
    char *copy = strndup(path.ptr, path.len);
    p->failed = !copy;
    if (copy)
        p->list[p->count++] = (sandbox_path){copy, write};
}

/* Up to the last slash, and with it. */
static lmail_str directory_of(lmail_str path)
{
    while (path.len && path.ptr[path.len - 1] != '/')
        path.len--;
    return path;
}

/* A file that is replaced by rename(2) is reached through its directory. Of a file in / that would be
 * everything, so there it is the file. */
static void add_directory_of(server_paths *p, lmail_str file)
{
    lmail_str directory = directory_of(file);
    if (file.len && file.ptr[0] == '/')
        add(p, directory.len > 1 ? directory : file, 0);
}

/* And where it is a link, through the directory of what it leads to, since the sandbox looks at the
 * end of a path: /etc/resolv.conf leads to /run/systemd/resolve or /run/NetworkManager. */
static void add_file(server_paths *p, lmail_str file)
{
    char *name = file.len ? strndup(file.ptr, file.len) : NULL;
    char *target = name ? realpath(name, NULL) : NULL;
    add_directory_of(p, file);
    if (target && strcmp(target, name) != 0)
        add_directory_of(p, lmail_str_from(target));
    free(target);
    free(name);
}

/* ---- Mail ------------------------------------------------------------------------------------ */

lmail_str server_paths_fixed(lmail_str place)
{
    const char *percent = place.len ? memchr(place.ptr, '%', place.len) : NULL;
    if (!place.len || place.ptr[0] != '/')
        return (lmail_str){NULL, 0};
    if (percent)
        place.len = (size_t)(percent - place.ptr);
    return directory_of(place);
}

/* The directory that it is in: the home itself may still have to be made. */
static int add_home(void *user, const lmail_account *account)
{
    lmail_str home = account->home;
    while (home.len > 1 && home.ptr[home.len - 1] == '/')
        home.len--;
    add(user, directory_of(home), ((server_paths *)user)->homes_written);
    return ((server_paths *)user)->failed;
}

static void add_homes(server_paths *p, const lmail_settings *s, int write)
{
    lmail_accounts_config cfg = LMAIL_ACCOUNTS_CONFIG_INIT;
    lmail_accounts *accounts;
    if (lmail_accounts_open(&accounts, s->accounts, &cfg))
        return;
    p->homes_written = write;
    lmail_accounts_each(accounts, add_home, p);
    lmail_accounts_free(accounts);
}

/* Forward files are read there. */
static void add_forwards(server_paths *p, const lmail_settings *s)
{
    if (!s->routing.forward.count)
        return;
    if (s->store.home.len)
        add(p, server_paths_fixed(s->store.home), 0);
    else
        add_homes(p, s, 0);
    add(p, LMAIL_STR("/home"), 0);
}

static void add_mail(server_paths *p, const lmail_settings *s)
{
    add(p, s->mail_directory, 1);
    add(p, server_paths_fixed(s->store.location), 1);
    add_forwards(p, s);
    if (!lmail_config_names_home(s->store.location))
        return;
    if (s->store.home.len)
        add(p, server_paths_fixed(s->store.home), 1);
    else
        add_homes(p, s, 1);
}

/* ---- All ------------------------------------------------------------------------------------- */

void server_paths_of(server_paths *p, const lmail_settings *s)
{
    static const char *const readable[] = {"/etc",          "/usr",
                                           "/lib",          "/lib64",
                                           "/dev/urandom",  "/dev/random",
                                           "/proc/self",    "/proc/loadavg",
                                           "/proc/meminfo", "/proc/sys/kernel",
                                           "/proc/sys/net", "/sys/devices/system/cpu"};
    char drop[512];
    *p = (server_paths){NULL, 0, 0, 0, 0};
    add_mail(p, s);
    add(p, s->run_directory, 1);
    add(p, s->queue.directory, 1);
    if (lmail_service_drop_directory(s, drop, sizeof drop) == LMAIL_OK)
        add(p, lmail_str_from(drop), 1);
    add(p, s->smtp.load_file, 0);
    add(p, LMAIL_STR("/dev/null"), 1);
    for (size_t i = 0; i < sizeof readable / sizeof readable[0]; i++)
        add(p, lmail_str_from(readable[i]), 0);
    add_file(p, s->accounts);
    add_file(p, s->dns.hosts);
    add_file(p, s->dns.trust_anchor);
    add_file(p, LMAIL_STR("/etc/resolv.conf"));
}

void server_paths_free(server_paths *p)
{
    for (size_t i = 0; i < p->count; i++)
        free((char *)p->list[i].path);
    free(p->list);
    *p = (server_paths){NULL, 0, 0, 0, 0};
}
