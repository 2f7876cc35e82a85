/* host_service.c - see host_service.h. */
#include "host_service.h"

#include "host_loopback.h"

#include <check.h>
#include <ftw.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- Configuration --------------------------------------------------------------------------- */

static char path[64];

const char *folder(void)
{
    if (!path[0]) {
        strcpy(path, "/tmp/libmail-service-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(path));
    }
    return path;
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(name);
}

void remove_folder(void)
{
    if (path[0])
        nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    path[0] = '\0';
}

static lmail_status open_text(void *ctx, lmail_str name, lmail_str *octets)
{
    (void)name;
    *octets = lmail_str_from(ctx);
    return LMAIL_OK;
}

lmail_config *config_from(const char *text)
{
    lmail_config *config = NULL;
    lmail_config_io io = LMAIL_CONFIG_IO_INIT;
    size_t cap = strlen(text) + 1024;
    char *all = malloc(cap);
    ck_assert_ptr_nonnull(all);
    snprintf(all, cap,
             "%s%s%smail_directory = %s/mail\nrun_directory = %s/run\n"
             "accounts = %s/accounts\nauth.allow_cleartext = yes\nloops = 2\n"
             "policy.accept_unresolvable_domains = yes\n%s%s",
             strstr(text, "hostname =") ? "" : "hostname = mx.test\n",
             strstr(text, "domains =") ? "" : "domains = example.test\n",
             strstr(text, "failure_delay") ? "" : "auth.failure_delay = 20 ms\n", folder(),
             folder(), folder(), strstr(text, "stop_timeout") ? "" : "stop_timeout = 2 s\n", text);
    io.ctx = all;
    io.open = open_text;
    lmail_config_load(&config, LMAIL_STR("text"), &io, NULL);
    free(all);
    return config;
}

/* ---- A whole service ------------------------------------------------------------------------- */

#define ACCOUNTS "alice:{PLAIN}secret\nbob:{PLAIN}secret\ncarol:{PLAIN}secret\n"

#define LISTENER(name, more) "listener " name " {\n" more " address = 127.0.0.1\n port = %u\n}\n"

static const char listeners[] =
    "%s" LISTENER("smtp", "") LISTENER("lmtp", " protocol = lmtp\n tls = none\n")
        LISTENER("imap", " protocol = imap\n") LISTENER("pop3", " protocol = pop3\n");

/* Ports that nobody has at this moment: in a configuration 0 is the protocol's own. */
static void free_ports(unsigned ports[4])
{
    int fds[4];
    for (int i = 0; i < 4; i++) {
        struct sockaddr_in in = {.sin_family = AF_INET};
        socklen_t len = sizeof in;
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fds[i], 0);
        ck_assert_int_eq(bind(fds[i], (struct sockaddr *)&in, sizeof in), 0);
        ck_assert_int_eq(getsockname(fds[i], (struct sockaddr *)&in, &len), 0);
        ports[i] = ntohs(in.sin_port);
    }
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

void make_whole(whole *w, const char *text)
{
    lmail_service_config c = LMAIL_SERVICE_CONFIG_INIT;
    char error[512];
    if (!w->store) {
        ck_assert_int_eq(lmail_store_memory_new(NULL, &w->store), LMAIL_OK);
        w->table = *w->store;
    }
    lmail_accounts_config names = LMAIL_ACCOUNTS_CONFIG_INIT;
    names.default_domain = LMAIL_STR("example.test");
    if (!w->accounts)
        ck_assert_int_eq(lmail_accounts_from_text(&w->accounts, LMAIL_STR(ACCOUNTS), &names),
                         LMAIL_OK);
    c.store = &w->table;
    c.accounts = w->accounts;
    c.protocols = LMAIL_SERVICE_SMTP | LMAIL_SERVICE_IMAP | LMAIL_SERVICE_POP3;
    lmail_status st = LMAIL_ERR_BUSY;
    for (int tries = 0; st == LMAIL_ERR_BUSY && tries < 10; tries++) { /* another took a port */
        char all[4096];
        unsigned p[4];
        free_ports(p);
        snprintf(all, sizeof all, listeners, text, p[0], p[1], p[2], p[3]);
        c.config = config_from(all);
        ck_assert_ptr_nonnull(c.config);
        st = lmail_service_new(&w->service, &c, error, sizeof error);
        if (st)
            lmail_config_free(c.config);
    }
    ck_assert_msg(st == LMAIL_OK, "%s", error);
}

static void *run(void *arg)
{
    return lmail_service_run(arg) ? arg : NULL;
}

void run_whole(whole *w)
{
    ck_assert_int_eq(pthread_create(&w->thread, NULL, run, w->service), 0);
}

void start_whole(whole *w, const char *text)
{
    make_whole(w, text);
    run_whole(w);
}

void stop_whole(whole *w)
{
    void *failed = NULL;
    lmail_service_stop(w->service);
    pthread_join(w->thread, &failed);
    ck_assert_ptr_null(failed);
    lmail_service_free(w->service);
    lmail_accounts_free(w->accounts);
    w->store->close(w->store);
    remove_folder();
}

int dial_whole(const whole *w, const char *listener)
{
    unsigned port = lmail_service_port(w->service, lmail_str_from(listener));
    ck_assert_uint_ne(port, 0);
    int fd = dial(port);
    ck_assert_str_ne(hear(fd), "");
    return fd;
}

const char *ask(int fd, const char *command, const char *end)
{
    say(fd, command);
    for (;;) {
        const char *line = hear(fd);
        ck_assert_msg(line[0], "the stream ended before \"%s\"", end);
        if (strncmp(line, end, strlen(end)) == 0)
            return line;
    }
}
