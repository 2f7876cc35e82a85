/* net_address.h - addresses, networks and the PROXY header, without any I/O. */
#ifndef LMI_NET_ADDRESS_H
#define LMI_NET_ADDRESS_H

#include <libmail/base.h>

#include <netinet/in.h>
#include <sys/socket.h>

/* An address of the kinds we meet. IPv4-mapped IPv6 is kept as IPv4. family 0: none. */
typedef struct lmi_address {
    int family; /* 0, AF_INET, AF_INET6, AF_UNIX */
    unsigned char octets[16];
    unsigned port;
} lmi_address;

#define LMI_ADDRESS_TEXT 48

void lmi_address_from(lmi_address *out, const struct sockaddr *sa);
void lmi_address_unmap(lmi_address *a); /* ::ffff:192.0.2.1 becomes 192.0.2.1 */
size_t lmi_address_write(const lmi_address *a, char out[LMI_ADDRESS_TEXT]); /* without the port */
/* Never 0; equal for all of an IPv4 address or an IPv6 /64 (what one customer has). 0: not IP. */
uint64_t lmi_address_key(const lmi_address *a);

/* "192.0.2.1" or "::1"; the port is 0. OK or ERR_SYNTAX. */
lmail_status lmi_address_parse(lmail_str text, lmi_address *out);
/* Up to five digits. OK or ERR_SYNTAX (also when it is above max). */
lmail_status lmi_number_parse(lmail_str text, unsigned max, unsigned *out);
/* "192.0.2.1:25", "[::1]:25", "*:25": OK or ERR_SYNTAX. any: it was "*". */
lmail_status lmi_net_address_parse(const char *text, lmi_address *out, int *any);

typedef struct lmi_network {
    lmi_address base;
    unsigned bits;
} lmi_network;

typedef struct lmi_networks {
    lmi_network *list;
    size_t n;
    int unix_too;
} lmi_networks;

/* "10.0.0.0/8 ::1 unix", separated by spaces or commas. OK, ERR_SYNTAX, ERR_NOMEM. */
lmail_status lmi_networks_parse(lmi_networks *out, const char *text);
int lmi_networks_hold(const lmi_networks *n, const lmi_address *a);
void lmi_networks_done(lmi_networks *n);

/* ---- The PROXY header ------------------------------------------------------------------------ */

#define LMI_PROXY_MAX 4096u /* of version 2; version 1 has 107 */

typedef struct lmi_proxy {
    int local; /* LOCAL, UNKNOWN or no family of IP: the connection's own addresses hold */
    lmi_address source, destination;
    int tls;               /* PP2_CLIENT_SSL */
    lmail_str server_name; /* PP2_TYPE_AUTHORITY, in the input */
} lmi_proxy;

/* Read a header at the start of `in`.
 *   used   out: its length, when OK
 * Returns: OK, MORE (a header begins, but is not whole), ERR_SYNTAX.
 * Source: The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt), §2. */
lmail_status lmi_proxy_parse(lmail_str in, lmi_proxy *out, size_t *used);

#endif
