/* dsn_compose.c - the host's part of a report: reads it, gives the message in pieces. */
#include "dsn_compose.h"

#include <stdlib.h>
#include <string.h>

static lmail_status give(dsn_compose *c, lmail_dsn *d)
{
    uint64_t offset;
    size_t want;
    lmail_dsn_facts facts;
    if (!lmail_dsn_wants(d, &offset, &want))
        abort();
    c->questions++;
    int second = lmail_dsn_facts_get(d, &facts) == LMAIL_OK;
    if (c->fails && offset + want > c->fails && (second || !c->fail_second))
        return lmail_dsn_give(d, LMAIL_STR(""), LMAIL_ERR_IO);
    size_t left = offset < c->message.len ? c->message.len - (size_t)offset : 0;
    size_t n = left < want ? left : want;
    if (c->piece && c->piece < n)
        n = c->piece;
    /* A block of its own, so that a sanitizer sees who keeps it. */
    char *lent = malloc(n ? n : 1);
    if (n)
        memcpy(lent, c->message.ptr + offset, n);
    lmail_status st = lmail_dsn_give(d, (lmail_str){lent, n}, LMAIL_OK);
    free(lent);
    return st;
}

lmail_status dsn_compose_run(dsn_compose *c, const lmail_dsn_config *config,
                             const lmail_dsn_report *report)
{
    lmail_dsn *d;
    size_t room = c->room ? c->room : 4096, cap = 0;
    c->out = NULL;
    c->len = c->questions = 0;
    lmail_status st = lmail_dsn_new(&d, config, report);
    if (st)
        return st;
    while (st == LMAIL_OK) {
        size_t made;
        if (cap - c->len < room) {
            cap = 2 * cap + room;
            c->out = realloc(c->out, cap);
        }
        st = lmail_dsn_read(d, c->out + c->len, room, &made);
        c->len += made;
        if (st == LMAIL_PENDING)
            st = give(c, d);
    }
    lmail_dsn_facts_get(d, &c->facts);
    lmail_dsn_free(d);
    return st == LMAIL_END ? LMAIL_OK : st;
}
