/* auth_nets.c - allow_nets= of an account: where its owner may log in from.
 *
 * Read when the account file is, looked at with every login. Called by the table, by exchanges and by
 * who checks passwords for others. */
#include <string.h>

#include "auth_internal.h"

#include "host/net/net_address.h"

#define NET_TEXT 64u /* an address in full, a slash, three digits */

/* The next word up to a comma; 0 at the end. */
static int next_net(lmail_str *rest, lmail_str *net)
{
    if (rest->len == 0) {
        return 0;
    }
    const char *comma = memchr(rest->ptr, ',', rest->len);
    *net = (lmail_str){rest->ptr, comma ? (size_t)(comma - rest->ptr) : rest->len};
    size_t used = net->len + (comma != NULL);
    *rest = (lmail_str){rest->ptr + used, rest->len - used};
    return 1;
}

/* One network; 0: it is none. */
static int read_net(lmail_str net, lmi_networks *out)
{
    char text[NET_TEXT];
    if (net.len == 0 || net.len >= sizeof text) {
        return 0;
    }
    memcpy(text, net.ptr, net.len);
    text[net.len] = '\0';
    return lmi_networks_parse(out, text) == LMAIL_OK && out->n == 1;
}

static int is_local(lmail_str net)
{
    return lmail_str_equal(net, LMAIL_STR("local"));
}

int lmi_auth_nets_valid(lmail_str nets)
{
    lmail_str net;
    int any = 0;
    while (next_net(&nets, &net)) {
        lmi_networks n = {0};
        int good = is_local(net) || read_net(net, &n);
        lmi_networks_done(&n);
        if (!good) {
            return 0;
        }
        any = 1;
    }
    return any;
}

int lmail_account_allows(const lmail_account *account, lmail_str address)
{
    lmail_str nets = account->allow_nets, net;
    lmi_address from;
    int allowed = nets.len == 0;
    int known = address.len > 0 && lmi_address_parse(address, &from) == LMAIL_OK;
    if (known) {
        lmi_address_unmap(&from);
    }
    while (!allowed && next_net(&nets, &net)) {
        lmi_networks n = {0};
        if (is_local(net)) {
            allowed = address.len == 0;
        } else if (known && read_net(net, &n)) {
            allowed = lmi_networks_hold(&n, &from);
        }
        lmi_networks_done(&n);
    }
    return allowed;
}
