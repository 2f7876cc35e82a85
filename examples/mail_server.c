/* links: host
 * mail_server.c - a whole mail server inside a program: SMTP in, IMAP and POP3 out, mail in
 * memory. */
#include <libmail/host/service.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char text[] =
    "hostname = localhost\n"
    "domains = example.test\n"
    "mail_directory = mail_server.data\n" /* for the certificate */
    "run_directory = mail_server.data\n"
    "listener smtp {\n port = 25025\n address = 127.0.0.1\n}\n"
    "listener imap {\n protocol = imap\n port = 25143\n address = 127.0.0.1\n}\n";

static lmail_status open_text(void *ctx, lmail_str name, lmail_str *octets)
{
    (void)ctx, (void)name;
    *octets = lmail_str_from(text);
    return LMAIL_OK;
}

int main(int argc, char **argv)
{
    lmail_config_io io = LMAIL_CONFIG_IO_INIT;
    lmail_service_config c = LMAIL_SERVICE_CONFIG_INIT;
    lmail_accounts_config names = LMAIL_ACCOUNTS_CONFIG_INIT;
    lmail_store *store;
    lmail_service *service;
    char error[500];
    io.open = open_text;
    names.default_domain = LMAIL_STR("example.test"); /* alice is alice@example.test */
    if (lmail_store_memory_new(NULL, &store) ||
        lmail_config_load(&c.config, LMAIL_STR("text"), &io, NULL) ||
        lmail_accounts_from_text(&c.accounts, LMAIL_STR("alice:{PLAIN}secret\n"), &names))
        return 1;
    c.store = store;
    c.protocols = LMAIL_SERVICE_SMTP | LMAIL_SERVICE_IMAP;
    if (lmail_service_new(&service, &c, error, sizeof error)) {
        fprintf(stderr, "mail_server: %s\n", error);
        return 1;
    }
    lmail_service_signals(service, SIGALRM, 0, NULL);
    alarm(argc > 1 ? (unsigned)atoi(argv[1]) : 1); /* seconds to live; 0: for ever */
    lmail_service_run(service);
    lmail_service_free(service);
    lmail_accounts_free(c.accounts);
    store->close(store);
    return 0;
}
