/* host_service.c - see host_service.h. */
#include "host_service.h"

#include "host_loopback.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static const char listeners[] = "listener smtp {\n address = 127.0.0.1\n port = 0\n}\n"
                                "listener lmtp {\n protocol = lmtp\n tls = none\n"
                                " address = 127.0.0.1\n port = 0\n}\n"
                                "listener imap {\n protocol = imap\n address = 127.0.0.1\n"
                                " port = 0\n}\n"
                                "listener pop3 {\n protocol = pop3\n address = 127.0.0.1\n"
                                " port = 0\n}\n";

void make_whole(whole *w, const char *text)
{
    lmail_service_config c = LMAIL_SERVICE_CONFIG_INIT;
    char error[512], all[4096];
    snprintf(all, sizeof all, "%s%s", text, listeners);
    c.config = config_from(all);
    ck_assert_ptr_nonnull(c.config);
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
    lmail_status st = lmail_service_new(&w->service, &c, error, sizeof error);
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
