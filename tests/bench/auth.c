/* links: host
 *
 * What logins cost: finding one account among many, loading their file, a password check, and whole
 * SCRAM exchanges (server's and client's work together). Prints figures, asserts nothing. */
#include <gsasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libmail/host/auth.h>

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static char *many_accounts(unsigned count, size_t *len)
{
    static const char line[] =
        "u%06u:{CRYPT}$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7::::"
        ":"
        ":scram_sha_1=4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/"
        "fTE="
        " scram_sha_256=4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n";
    char *text = malloc(count * (sizeof line + 8));
    *len = 0;
    for (unsigned i = 0; text && i < count; i++) {
        *len += (size_t)sprintf(text + *len, line, i);
    }
    return text;
}

static int answer_client(Gsasl *gsasl, Gsasl_session *session, Gsasl_property property)
{
    (void)gsasl;
    switch (property) {
    case GSASL_AUTHID:
        return gsasl_property_set(session, property, "u000001");
    case GSASL_PASSWORD:
        return gsasl_property_set(session, property, "pencil");
    default:
        return GSASL_NO_CALLBACK;
    }
}

/* 1 when the client got in. */
static int converse(lmail_auth *auth, Gsasl *gsasl, const char *mechanism)
{
    lmail_auth_facts facts = LMAIL_AUTH_FACTS_INIT;
    lmail_auth_exchange *x;
    lmail_auth_result r;
    Gsasl_session *client;
    facts.secure = 1;
    if (gsasl_client_start(gsasl, mechanism, &client) != GSASL_OK ||
        lmail_auth_exchange_new(&x, auth, lmail_str_from(mechanism), &facts) != LMAIL_OK) {
        return 0;
    }
    memset(&r, 0, sizeof r);
    do {
        char *out = NULL;
        size_t len = 0;
        int rc = gsasl_step(client, r.answer.data.ptr, r.answer.data.len, &out, &len);
        lmail_str in = {out, len};
        if ((rc != GSASL_OK && rc != GSASL_NEEDS_MORE) ||
            lmail_auth_exchange_step(x, &in, 0, &r) != LMAIL_OK) {
            break;
        }
        gsasl_free(out);
    } while (r.answer.kind == LMAIL_AUTH_CONTINUE);
    int in = r.answer.kind == LMAIL_AUTH_OK;
    gsasl_finish(client);
    lmail_auth_exchange_free(x);
    return in;
}

int main(void)
{
    enum { ACCOUNTS = 100000, FINDS = 1000000, CHECKS = 50, EXCHANGES = 200 };
    size_t len;
    lmail_accounts *accounts;
    lmail_account account;
    char *text = many_accounts(ACCOUNTS, &len);
    double start = seconds();
    if (!text || lmail_accounts_from_text(&accounts, (lmail_str){text, len}, NULL) != LMAIL_OK) {
        return EXIT_FAILURE;
    }
    printf("load %d accounts (%zu KiB): %.0f ms\n", ACCOUNTS, len >> 10, (seconds() - start) * 1e3);
    free(text);

    start = seconds();
    for (unsigned i = 0; i < FINDS; i++) {
        char name[16];
        snprintf(name, sizeof name, "U%06u", i * 7919u % ACCOUNTS);
        if (lmail_accounts_find(accounts, lmail_str_from(name), &account) != LMAIL_OK) {
            return EXIT_FAILURE;
        }
        lmail_accounts_release(accounts, &account);
    }
    printf("find: %.0f ns\n", (seconds() - start) / FINDS * 1e9);

    static const char *const names[] = {"u000001", "nobody"};
    for (size_t n = 0; n < 2; n++) {
        start = seconds();
        for (int i = 0; i < CHECKS; i++) {
            (void)lmail_accounts_verify(accounts, lmail_str_from(names[n]), LMAIL_STR("wrong"),
                                        &account);
        }
        printf("wrong password of %s: %.2f ms\n", names[n], (seconds() - start) / CHECKS * 1e3);
    }

    lmail_auth *auth;
    lmail_auth_config cfg;
    Gsasl *gsasl;
    lmail_auth_config_init(&cfg);
    cfg.accounts = accounts;
    if (lmail_auth_new(&auth, &cfg) != LMAIL_OK || gsasl_init(&gsasl) != GSASL_OK) {
        return EXIT_FAILURE;
    }
    gsasl_callback_set(gsasl, answer_client);
    static const char *const mechanisms[] = {"SCRAM-SHA-1", "SCRAM-SHA-256"};
    for (size_t m = 0; m < 2; m++) {
        int in = 0;
        start = seconds();
        for (int i = 0; i < EXCHANGES; i++) {
            in += converse(auth, gsasl, mechanisms[m]);
        }
        printf("%s, both sides: %.2f ms (%d of %d got in)\n", mechanisms[m],
               (seconds() - start) / EXCHANGES * 1e3, in, EXCHANGES);
    }
    gsasl_done(gsasl);
    lmail_auth_free(auth);
    lmail_accounts_free(accounts);
    return EXIT_SUCCESS;
}
