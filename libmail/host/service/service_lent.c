/* service_lent.c - octets that a session was answered and has not released yet: a short list, since
 * a session asks for few slices ahead. Called where POP3 and IMAP answer octets of messages. */
#include "host/service/service_lent.h"

#include <stdlib.h>

lmi_lent *lmi_lent_new(size_t octets)
{
    return malloc(sizeof(lmi_lent) + (octets ? octets : 1));
}

void lmi_lent_add(lmi_lent **list, lmi_lent *o, lmail_ticket t)
{
    o->ticket = t;
    o->next = *list;
    *list = o;
}

void lmi_lent_release(lmi_lent **list, lmail_ticket t)
{
    while (*list && (*list)->ticket != t)
        list = &(*list)->next;
    lmi_lent *o = *list;
    if (!o)
        return;
    *list = o->next;
    free(o);
}

void lmi_lent_free(lmi_lent **list)
{
    while (*list)
        lmi_lent_release(list, (*list)->ticket);
}
