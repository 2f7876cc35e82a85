/* service_runner_name.c - the name of the address that a connection of ours comes from, for EHLO
 * (client.interface_name, M=h of a listener): what the DNS, forth and back, calls that address. */
#include "host/service/service_runner.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The address that the system would choose: a datagram socket tells without a word on the wire. */
static int chosen_address(const lmi_out *o, char out[64])
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } at;
    socklen_t len;
    memset(&at, 0, sizeof at);
    if (inet_pton(AF_INET, o->address, &at.four.sin_addr) == 1) {
        at.four.sin_family = AF_INET;
        at.four.sin_port = htons((uint16_t)o->port);
        len = sizeof at.four;
    } else if (inet_pton(AF_INET6, o->address, &at.six.sin6_addr) == 1) {
        at.six.sin6_family = AF_INET6;
        at.six.sin6_port = htons((uint16_t)o->port);
        len = sizeof at.six;
    } else {
        return 0;
    }
    int fd = socket(at.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), ok = 0;
    if (fd < 0)
        return 0;
    if (!connect(fd, &at.any, len) && !getsockname(fd, &at.any, &len))
        ok = at.any.sa_family == AF_INET ? inet_ntop(AF_INET, &at.four.sin_addr, out, 64) != NULL
                                         : inet_ntop(AF_INET6, &at.six.sin6_addr, out, 64) != NULL;
    close(fd);
    return ok;
}

static void named(void *user, lmail_ticket ticket, const lmail_dns_client *answer)
{
    lmi_out *o = user;
    (void)ticket;
    o->name_ticket = 0;
    if (answer->result == LMAIL_DNS_FOUND && answer->name.len < sizeof o->helo)
        snprintf(o->helo, sizeof o->helo, "%.*s", (int)answer->name.len, answer->name.ptr);
    o->redial = 1;
    lmi_out_soon(o);
}

lmail_status lmi_out_name(lmi_out *o)
{
    lmail_dns *dns = o->runner->service->loops[0].dns;
    char chosen[64];
    const char *from = o->source;
    if (!dns)
        return LMAIL_ERR_STATE;
    if (!*from) {
        if (!chosen_address(o, chosen))
            return LMAIL_ERR_NOTFOUND;
        from = chosen;
    }
    return lmail_dns_ask_client(dns, lmail_str_from(from), named, o, &o->name_ticket);
}

void lmi_out_forget_name(lmi_out *o)
{
    lmail_dns *dns = o->runner->service->loops[0].dns;
    if (o->name_ticket && dns)
        (void)lmail_dns_cancel(dns, o->name_ticket);
    o->redial = o->redial || o->name_ticket; /* it finds that nobody waits */
    o->name_ticket = 0;
}
