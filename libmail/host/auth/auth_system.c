/* The system's users as a source of accounts: who there is, getpwnam_r says; whether a password is
 * right, authd or saslauthd says over a socket, because a server without privileges cannot check it
 * itself.
 *
 * Called from any worker. Nothing is kept between calls, so a new user or password holds at once. */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "auth_internal.h"

#include <libmail/host/saslauthd.h>

#define DEFAULT_TIMEOUT 35000u /* a little more than authd gives a check */
#define MAX_ENTRY (1u << 20)

typedef struct system_source {
    char *socket;
    uint32_t min_uid, timeout;
} system_source;

/* One user's entry and its name, in one piece. */
typedef struct entry {
    struct passwd pw;
    size_t size;
    char octets[];
} entry;

void lmail_accounts_system_config_init(lmail_accounts_system_config *cfg)
{
    *cfg = (lmail_accounts_system_config)LMAIL_ACCOUNTS_SYSTEM_CONFIG_INIT;
}

lmail_status lmi_auth_ask(lmail_str socket, uint32_t timeout, lmail_str service, lmail_str name,
                          lmail_str password)
{
    lmail_saslauthd_request request = LMAIL_SASLAUTHD_REQUEST_INIT;
    const char *at = memchr(name.ptr, '@', name.len);
    request.login = name;
    if (at) { /* as libsasl2 asks */
        request.login.len = (size_t)(at - name.ptr);
        request.realm = (lmail_str){at + 1, name.len - request.login.len - 1};
    }
    request.password = password;
    request.service = service.len > 0 ? service : LMAIL_STR("libmail");
    lmail_status said =
        lmail_saslauthd_ask(socket, &request, timeout > 0 ? timeout : DEFAULT_TIMEOUT);
    /* What cannot be asked (a NUL in it, too long) is nobody's password. */
    return said == LMAIL_ERR_ARG ? LMAIL_ERR_DENIED : said;
}

static lmail_status look_up(const char *name, entry **out)
{
    for (size_t size = 1024;; size *= 4) {
        struct passwd *found = NULL;
        entry *e = size <= MAX_ENTRY ? malloc(sizeof *e + size) : NULL;
        if (!e) {
            return LMAIL_ERR_NOMEM;
        }
        e->size = size;
        int error = getpwnam_r(name, &e->pw, e->octets, size, &found);
        if (found) {
            *out = e;
            return LMAIL_OK;
        }
        free(e);
        /* getpwnam(3): some systems say "not found" by one of these. */
        if (error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM) {
            return LMAIL_ERR_NOTFOUND;
        }
        if (error != ERANGE && error != EINTR) {
            return error == ENOMEM ? LMAIL_ERR_NOMEM : LMAIL_ERR_IO;
        }
    }
}

static lmail_status system_find(void *ctx, lmail_str name, lmail_account *out)
{
    const system_source *s = ctx;
    char text[LMAIL_MAX_ACCOUNT_NAME + 1];
    entry *e;
    if (name.len >= sizeof text) {
        return LMAIL_ERR_NOTFOUND;
    }
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    lmail_status status = look_up(text, &e);
    if (status != LMAIL_OK) {
        return status;
    }
    /* A directory may spell it its own way; the folded name is the account's. */
    char *kept = lmi_auth_copy(name);
    if (!kept) {
        free(e);
        return LMAIL_ERR_NOMEM;
    }
    e->pw.pw_name = kept;
    memset(out, 0, sizeof *out);
    out->size = sizeof *out;
    out->name = (lmail_str){kept, name.len};
    out->uid = e->pw.pw_uid;
    out->gid = e->pw.pw_gid;
    out->gecos = lmail_str_from(e->pw.pw_gecos ? e->pw.pw_gecos : "");
    out->home = lmail_str_from(e->pw.pw_dir ? e->pw.pw_dir : "");
    out->disabled = e->pw.pw_uid < s->min_uid;
    out->has = LMAIL_ACCOUNT_PASSWORD;
    out->held = e;
    return LMAIL_OK;
}

static void system_release(void *ctx, lmail_account *account)
{
    (void)ctx;
    entry *e = account->held;
    if (e) {
        free(e->pw.pw_name);
        free(e);
    }
    memset(account, 0, sizeof *account);
}

static lmail_status system_verify_for(void *ctx, lmail_str service, lmail_str name,
                                      lmail_str password, lmail_account *out)
{
    const system_source *s = ctx;
    lmail_str socket = lmail_str_from(s->socket);
    lmail_status status = system_find(ctx, name, out);
    if (status == LMAIL_OK && !out->disabled && password.len > 0) {
        status = lmi_auth_ask(socket, s->timeout, service, name, password);
    } else if (status == LMAIL_OK || status == LMAIL_ERR_NOTFOUND) {
        /* The socket is asked all the same, so that its silence looks alike for everybody; without
         * a password, so that no module of PAM counts a failure for a name that is none. */
        lmail_status said = lmi_auth_ask(socket, s->timeout, service, name, (lmail_str){"", 0});
        lmi_auth_burn(NULL, password);
        status = said == LMAIL_OK ? LMAIL_ERR_DENIED : said;
    }
    if (status != LMAIL_OK && out->held) {
        system_release(ctx, out);
    }
    return status;
}

static lmail_status system_verify(void *ctx, lmail_str name, lmail_str password, lmail_account *out)
{
    return system_verify_for(ctx, (lmail_str){"", 0}, name, password, out);
}

static void system_close(void *ctx)
{
    system_source *s = ctx;
    free(s->socket);
    free(s);
}

lmail_status lmail_accounts_system_source(lmail_accounts_source *out,
                                          const lmail_accounts_system_config *given)
{
    lmail_accounts_system_config cfg = LMAIL_ACCOUNTS_SYSTEM_CONFIG_INIT;
    memset(out, 0, sizeof *out);
    if (given->size > sizeof cfg) {
        return LMAIL_ERR_SIZE;
    }
    memcpy(&cfg, given, given->size);
    if (cfg.socket.len == 0 || memchr(cfg.socket.ptr, '\0', cfg.socket.len)) {
        return LMAIL_ERR_ARG;
    }
    system_source *s = calloc(1, sizeof *s);
    if (s) {
        s->socket = lmi_auth_copy(cfg.socket);
    }
    if (!s || !s->socket) {
        free(s);
        return LMAIL_ERR_NOMEM;
    }
    s->min_uid = cfg.min_uid;
    s->timeout = cfg.timeout;
    out->size = sizeof *out;
    out->ctx = s;
    out->find = system_find;
    out->release = system_release;
    out->verify = system_verify;
    out->close = system_close;
    out->verify_for = system_verify_for;
    return LMAIL_OK;
}
