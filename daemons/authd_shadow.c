/* authd_shadow.c - the system's users by shadow(5), without PAM. */
#include "authd.h"

#include <shadow.h>
#include <time.h>

/* Neither the account nor its password has expired, and root demands no new one (shadow(5)). */
static int is_current(const struct spwd *sp)
{
    long today = (long)(time(NULL) / 86400);
    if (sp->sp_expire > 0 && today >= sp->sp_expire)
        return 0;
    if (sp->sp_lstchg == 0)
        return 0;
    return sp->sp_lstchg < 0 || sp->sp_max < 0 || sp->sp_inact < 0 ||
           today <= sp->sp_lstchg + sp->sp_max + sp->sp_inact;
}

lmail_status authd_shadow_check(void *user, const lmail_saslauthd_request *request)
{
    char login[LMAIL_MAX_ACCOUNT_NAME + 1];
    if (!authd_system_login(user, request, login, sizeof login))
        return LMAIL_ERR_NOTFOUND;
    const struct spwd *sp = getspnam(login);
    if (!sp)
        return LMAIL_ERR_NOTFOUND;
    lmail_status st = lmail_password_check(lmail_str_from(sp->sp_pwdp), request->password);
    if (st == LMAIL_ERR_SYNTAX || (st == LMAIL_OK && !is_current(sp)) ||
        !authd_may_log_in(user, login))
        st = LMAIL_ERR_DENIED;
    return st;
}
