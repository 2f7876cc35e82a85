/* pop3d: serves this server's mailboxes by POP3. */
#include "common/daemon.h"

#include <libmail/host/service.h>

int main(int argc, char **argv)
{
    static const daemon_facts facts = {"pop3d", "serves this server's mailboxes by POP3",
                                       LMAIL_SERVICE_POP3, NULL};
    return daemon_main(&facts, argc, argv);
}
