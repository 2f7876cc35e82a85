/* links: host
 * The PROXY header: what is OK is OK at every longer input, is never OK shorter, and names
 * addresses that can be written and read again. */
#include "host/net/net_address.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(int true_thing)
{
    if (!true_thing)
        abort();
}

static void check_address(const lmi_address *a)
{
    char text[LMI_ADDRESS_TEXT], whole[LMI_ADDRESS_TEXT + 16];
    lmi_address again;
    int any;
    need(lmi_address_write(a, text) > 0);
    snprintf(whole, sizeof(whole), a->family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, a->port);
    need(lmi_net_address_parse(whole, &again, &any) == LMAIL_OK && !any);
    need(lmi_address_key(&again) == lmi_address_key(a) && again.port == a->port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lmail_str in = {(const char *)data, size};
    lmi_proxy p;
    size_t used, part_used;
    lmail_status st = lmi_proxy_parse(in, &p, &used);
    need(st == LMAIL_OK || st == LMAIL_MORE || st == LMAIL_ERR_SYNTAX);
    if (st == LMAIL_OK) {
        need(used > 0 && used <= size && used <= LMI_PROXY_MAX);
        if (!p.local) {
            check_address(&p.source);
            check_address(&p.destination);
        }
    }
    for (size_t n = 0; n < size && n < 512; n++) {
        lmi_proxy part;
        lmail_status at_n = lmi_proxy_parse((lmail_str){in.ptr, n}, &part, &part_used);
        if (st == LMAIL_OK)
            need(n >= used ? at_n == LMAIL_OK : at_n == LMAIL_MORE);
        else if (st == LMAIL_MORE)
            need(at_n == LMAIL_MORE);
    }
    return 0;
}
