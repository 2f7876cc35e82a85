/* links: host
 *
 * Texts from outside that the auth room takes apart: dumps of a sasldb2, and a request and an answer
 * of saslauthd's protocol. A request that is whole is written back as it came. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <libmail/host/accounts.h>

#include "host/auth/auth_mux.h"

static int visit(void *user, const lmail_sasldb_record *r)
{
    unsigned *sum = user;
    const lmail_str parts[] = {r->user, r->realm, r->property, r->value};
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < parts[i].len; k++)
            *sum += (unsigned char)parts[i].ptr[k];
    if (r->user.len == 0 || r->line == 0)
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned sum = 0;
    lmail_str in = {(const char *)data, size};
    lmail_sasldb_read(in, visit, NULL, &sum);
    lmail_saslauthd_request r;
    char again[LMI_MUX_REQUEST];
    if (lmi_mux_parse_request(in, &r) == 1 &&
        (lmi_mux_write_request(&r, again) != size || memcmp(again, data, size) != 0))
        abort();
    if (lmi_mux_parse_answer(in) == 1 && size < 4)
        abort();
    return 0;
}
