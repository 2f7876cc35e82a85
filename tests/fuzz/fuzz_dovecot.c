/* Any dovecot.conf is refused or read, as one of 1.x and as one of 2.x; what is read can be shown as a
 * native file, which means the same. */
#include "imported.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_imported("dovecot_conf = /etc/dovecot.conf\n", "/etc/dovecot.conf", data, size);
    read_imported("dovecot_conf = x.conf\n", "x.conf", data, size);
    return 0;
}
