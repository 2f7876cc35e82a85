/* imapd: serves this server's mailboxes by IMAP. */
#include "common/daemon.h"

#include <libmail/host/service.h>

int main(int argc, char **argv)
{
    static const daemon_facts facts = {"imapd", "serves this server's mailboxes by IMAP",
                                       LMAIL_SERVICE_IMAP, NULL};
    return daemon_main(&facts, argc, argv);
}
