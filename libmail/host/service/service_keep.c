/* service_keep.c - the octets of a message that wait in memory for one visit of a worker. Called for
 * messages that come by SMTP (service_mail.c) and by APPEND (service_imap_append.c). */
#include "host/service/service_keep.h"

#include <stdlib.h>
#include <string.h>

#define FIRST 2048u

lmail_status lmi_keep_add(lmi_keep *k, lmail_str octets)
{
    if (octets.len > LMI_KEEP_MAX || k->len > LMI_KEEP_MAX - octets.len)
        return LMAIL_END;
    if (octets.len > k->cap - k->len) {
        size_t cap = k->cap ? k->cap : FIRST;
        while (cap - k->len < octets.len)
            cap *= 2;
        char *p = realloc(k->ptr, cap);
        if (!p)
            return LMAIL_ERR_NOMEM;
        k->ptr = p;
        k->cap = cap;
    }
    if (octets.len)
        memcpy(k->ptr + k->len, octets.ptr, octets.len);
    k->len += octets.len;
    return LMAIL_OK;
}

lmail_str lmi_keep_all(const lmi_keep *k)
{
    return (lmail_str){k->ptr, k->len};
}

void lmi_keep_free(lmi_keep *k)
{
    free(k->ptr);
    *k = (lmi_keep){NULL, 0, 0};
}
