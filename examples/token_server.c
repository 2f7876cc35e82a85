/* links: host
 * token_server.c - a mail server whose users log in with bearer tokens: OAUTHBEARER and XOAUTH2. */
#include <libmail/host/service.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Called on a worker, so it may block: a real one asks who issued the token, or checks its signature. */
static lmail_status on_token(void *user, const lmail_auth_token_event *ev, char *name, size_t cap,
                             size_t *made)
{
    static const struct {
        const char *token, *account;
    } known[] = {{"token-of-alice", "alice"}, {"token-of-bob", "bob"}};
    (void)user;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!lmail_str_equal(ev->token, lmail_str_from(known[i].token)))
            continue;
        *made = strlen(known[i].account);
        if (*made > cap)
            return LMAIL_ERR_DENIED;
        memcpy(name, known[i].account, *made);
        return LMAIL_OK;
    }
    return LMAIL_ERR_DENIED;
}

static void complain(void *ctx, const lmail_diagnostic *d)
{
    char line[1000];
    (void)ctx;
    lmail_diagnostic_write(d, line, sizeof line);
    fprintf(stderr, "%s\n", line);
}

int main(int argc, char **argv)
{
    lmail_service_config c = LMAIL_SERVICE_CONFIG_INIT;
    lmail_log_config lc = LMAIL_LOG_CONFIG_INIT;
    lmail_log *log;
    lmail_service *service;
    char error[500];
    if (argc != 2) {
        printf("usage: token_server FILE\nFILE is a libmail.conf with auth.mechanisms = "
               "OAUTHBEARER, XOAUTH2\n");
        return 0;
    }
    if (lmail_log_open(&log, &lc) || lmail_config_load_file(&c.config, argv[1], complain, NULL))
        return 1;
    c.protocols = LMAIL_SERVICE_SMTP | LMAIL_SERVICE_IMAP | LMAIL_SERVICE_POP3;
    c.log = log;
    c.on_token = on_token;
    if (lmail_service_new(&service, &c, error, sizeof error)) {
        fprintf(stderr, "token_server: %s\n", error);
        return 1;
    }
    lmail_service_signals(service, SIGTERM, 0, NULL);
    lmail_service_run(service);
    lmail_service_free(service);
    lmail_log_close(log);
    return 0;
}
