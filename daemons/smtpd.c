/* smtpd: receives mail for the accounts of this server. */
#include "common/daemon.h"

#include <libmail/host/service.h>

int main(int argc, char **argv)
{
    static const daemon_facts facts = {"smtpd", "receives mail for the accounts of this server",
                                       LMAIL_SERVICE_SMTP, NULL};
    return daemon_main(&facts, argc, argv);
}
