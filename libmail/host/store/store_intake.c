/* store_intake.c - octets on their way into a message.
 *
 * A bare LF becomes CRLF unless the message is to be kept octet for octet (literal8, RFC 9051
 * §4.3); the same octets go to the sink (file or memory) and through the parser, so that a message
 * is touched once. Used by deliveries of every backend. */
#include "host/store/store_internal.h"

#include <stdlib.h>
#include <string.h>

static lmail_status give(lmi_intake *in, const char *p, size_t n)
{
    if (n == 0)
        return LMAIL_OK;
    lmail_status st = in->sink(in->user, p, n);
    if (st)
        return st;
    in->octets += n;
    if (in->parser && !in->broken && lmail_mime_parser_feed(in->parser, lmi_str(p, n)))
        in->broken = 1;
    return LMAIL_OK;
}

lmail_status lmi_intake_write(lmi_intake *in, lmail_str s)
{
    if (s.len == 0)
        return LMAIL_OK;
    const char *p = s.ptr, *end = s.ptr + s.len, *done = p;
    lmail_status st;
    while (!in->exact && p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
        int cr = p == s.ptr ? in->was_cr != 0 : p[-1] == '\r';
        if (!cr) {
            if ((st = give(in, done, (size_t)(p - done))) || (st = give(in, "\r", 1)))
                return st;
            done = p;
        }
        p++;
    }
    in->was_cr = end[-1] == '\r';
    return give(in, done, (size_t)(end - done));
}

const lmail_mime_summary *lmi_intake_end(lmi_intake *in)
{
    if (!in->parser || in->broken || lmail_mime_parser_end(in->parser))
        return NULL;
    return lmail_mime_parser_summary(in->parser);
}

void *lmi_delivery_next(const lmail_delivery_message *args, unsigned writing, void *list,
                        size_t count, size_t size, lmail_status *why)
{
    *why = LMAIL_OK;
    if (args->size > sizeof *args)
        *why = LMAIL_ERR_SIZE;
    else if (writing)
        *why = LMAIL_ERR_STATE;
    void *more = *why ? NULL : realloc(list, (count + 1) * size);
    if (!more && !*why)
        *why = LMAIL_ERR_NOMEM;
    return more;
}
