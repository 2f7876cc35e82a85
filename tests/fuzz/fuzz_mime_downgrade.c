/* Messages made ones of 7 bits: any split gives the same; what comes out has no octet above 127, no
 * line over 998, the same parts, and each decodes to the same octets. */
#include "support/downgrade_check.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const lmail_str message = {(const char *)data + 1, size - 1};
    downgrade_result whole = downgrade_run(message, 0),
                     split = downgrade_run(message, data[0] + 1u);
    if (whole.status != split.status || whole.len != split.len ||
        (whole.len && memcmp(whole.octets, split.octets, whole.len) != 0))
        abort();
    if (!whole.status) {
        const char *wrong = downgrade_wrong(message, (lmail_str){whole.octets, whole.len});
        if (wrong) {
            fprintf(stderr, "%s\n", wrong);
            abort();
        }
    }
    free(whole.octets);
    free(split.octets);
    return 0;
}
