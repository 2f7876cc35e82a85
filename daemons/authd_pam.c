/* authd_pam.c - the system's users by PAM.
 *
 * Runs in a child that ends with the check, so modules may do to their process what they like. The
 * delay that modules ask for after a failure is not taken: the server makes failures wait itself,
 * without keeping a worker. */
#include "authd.h"

#include <security/pam_appl.h>
#include <stdlib.h>
#include <string.h>

typedef struct talk {
    const char *login, *password;
} talk;

/* Every hidden question is taken for the password's, every other for the name's. */
static int converse(int count, const struct pam_message **messages, struct pam_response **out,
                    void *arg)
{
    const talk *t = arg;
    if (count <= 0 || count > PAM_MAX_NUM_MSG)
        return PAM_CONV_ERR;
    struct pam_response *answers = calloc((size_t)count, sizeof *answers);
    if (!answers)
        return PAM_BUF_ERR;
    for (int i = 0; i < count; i++) {
        int style = messages[i]->msg_style;
        if (style == PAM_PROMPT_ECHO_OFF || style == PAM_PROMPT_ECHO_ON)
            answers[i].resp = strdup(style == PAM_PROMPT_ECHO_OFF ? t->password : t->login);
    }
    *out = answers; /* the modules free it */
    return PAM_SUCCESS;
}

static void no_delay(int status, unsigned microseconds, void *arg)
{
    (void)status;
    (void)microseconds;
    (void)arg;
}

/* A name of a file in /etc/pam.d, and nothing else: [A-Za-z0-9_-], dots inside. */
static int copy_service(lmail_str name, char out[65])
{
    if (name.len == 0 || name.len > 64 || name.ptr[0] == '.')
        return 0;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-' || c == '.'))
            return 0;
        out[i] = c;
    }
    out[name.len] = '\0';
    return 1;
}

static lmail_status status_of(int code)
{
    switch (code) {
    case PAM_SUCCESS:
        return LMAIL_OK;
    case PAM_USER_UNKNOWN:
        return LMAIL_ERR_NOTFOUND;
    case PAM_BUF_ERR:
        return LMAIL_ERR_NOMEM;
    case PAM_AUTHINFO_UNAVAIL:
    case PAM_SYSTEM_ERR:
    case PAM_SERVICE_ERR:
    case PAM_OPEN_ERR:
    case PAM_SYMBOL_ERR:
    case PAM_ABORT:
        return LMAIL_ERR_IO;
    default:
        return LMAIL_ERR_DENIED;
    }
}

static int ask_pam(const char *service, const char *login, const talk *t)
{
    const struct pam_conv conversation = {converse, (void *)t};
    pam_handle_t *pam = NULL;
    int code = pam_start(service, login, &conversation, &pam);
    if (code != PAM_SUCCESS)
        return code;
    /* PAM takes a function as an item: there is no other way to say it. */
    union {
        void (*fn)(int, unsigned, void *);
        const void *item;
    } delay = {no_delay};
    pam_set_item(pam, PAM_FAIL_DELAY, delay.item);
    code = pam_authenticate(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    if (code == PAM_SUCCESS)
        code = pam_acct_mgmt(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    pam_end(pam, code | PAM_DATA_SILENT);
    return code;
}

/* SASL calls POP3's service "pop" (RFC 1734), Dovecot and its files in /etc/pam.d "pop3". */
static lmail_str service_of(lmail_str setting, lmail_str asked)
{
    int as_dovecot = lmail_str_equal(setting, LMAIL_STR("*"));
    if (setting.len && !as_dovecot)
        return setting;
    if (as_dovecot && lmail_str_equal(asked, LMAIL_STR("pop")))
        return LMAIL_STR("pop3");
    return asked.len ? asked : LMAIL_STR("libmail");
}

lmail_status authd_pam_check(void *user, const lmail_saslauthd_request *request)
{
    const authd_facts *f = user;
    char login[LMAIL_MAX_ACCOUNT_NAME + 1], password[LMAIL_SASLAUTHD_STRING + 1], service[65];
    if (!authd_system_login(f, request, login, sizeof login))
        return LMAIL_ERR_NOTFOUND;
    if (!authd_may_log_in(f, login))
        return LMAIL_ERR_DENIED;
    if (!copy_service(service_of(f->settings->authd.pam_service, request->service), service))
        return LMAIL_ERR_DENIED;
    memcpy(password, request->password.ptr, request->password.len);
    password[request->password.len] = '\0';
    const talk t = {login, password};
    int code = ask_pam(service, login, &t);
    explicit_bzero(password, sizeof password);
    return status_of(code);
}
