/* Any sendmail.mc is refused or read; what is read can be shown as a native file, which means the
 * same. See imported.h. */
#include "imported.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_imported("sendmail_mc = x.mc\n", "x.mc", data, size);
    return 0;
}
