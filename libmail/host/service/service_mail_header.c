/* service_mail_header.c - the header of a message as it goes by, in any pieces: its Received fields
 * are counted, and the header of a user's message is rewritten on its way to the spool, so that one
 * file is written, whatever changes.
 *
 * Other people's mail is never touched: it is signed. RFC 5322 §3.6, RFC 6409 §8. */
#include "host/service/service_mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

/* ---- Hops ------------------------------------------------------------------------------------ */

static void look_at_header(lmi_mail_header *head, lmail_str octets)
{
    for (size_t i = 0; i < octets.len && head->in_header; i++) {
        char c = octets.ptr[i];
        if (c == '\r' || c == '\n') {
            if (head->column == 0 && !head->named) /* an empty line */
                head->in_header = 0;
            if (c == '\n')
                head->column = head->named = 0;
            continue;
        }
        if (head->named)
            continue;
        if (c == ':') {
            head->hops += head->column == 8 && !memcmp(head->name, "received", 8);
            head->named = 1;
            continue;
        }
        if (head->column == 0 && (c == ' ' || c == '\t')) {
            head->named = 1; /* the line before goes on */
            continue;
        }
        if (head->column < sizeof head->name)
            head->name[head->column] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        head->column++;
    }
}

static int is_8bit(lmail_str s)
{
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8) {
        uint64_t word;
        memcpy(&word, s.ptr + i, 8);
        if (word & UINT64_C(0x8080808080808080))
            return 1;
    }
    for (; i < s.len; i++)
        if (s.ptr[i] & 0x80)
            return 1;
    return 0;
}

void lmi_mail_look(lmi_mail *m, lmail_str octets)
{
    m->octets += octets.len;
    look_at_header(&m->head, octets);
    if (!m->has_8bit && is_8bit(octets))
        m->has_8bit = 1;
}

/* ---- Rewriting ------------------------------------------------------------------------------- */

static lmail_status add_to_front(void *ctx, lmail_str octets)
{
    lmi_mail *m = ctx;
    if (octets.len > m->front_cap - m->front_len) {
        size_t cap = m->front_cap ? m->front_cap : 1024;
        while (cap - m->front_len < octets.len)
            cap *= 2;
        char *p = realloc(m->front, cap);
        if (!p)
            return LMAIL_ERR_NOMEM;
        m->front = p;
        m->front_cap = cap;
    }
    memcpy(m->front + m->front_len, octets.ptr, octets.len);
    m->front_len += octets.len;
    return LMAIL_OK;
}

/* Mail that stays here and mail that leaves may show different addresses; then what stays is
 * written, and what leaves is changed on its way. */
static lmail_policy_delivery delivery_of(lmi_mail *m)
{
    if (m->remotes && m->remotes == m->count)
        return LMAIL_POLICY_DELIVERY_SMTP;
    if (m->remotes && m->rules && m->rules->settings->masquerade.not_local)
        m->flags |= LMAIL_QUEUE_REWRITE;
    return LMAIL_POLICY_DELIVERY_LOCAL;
}

lmail_status lmi_header_own(lmi_mail *m, const char *date, lmail_str host)
{
    char id[300];
    lmail_delivery_header_config c = LMAIL_DELIVERY_HEADER_CONFIG_INIT;
    snprintf(id, sizeof id, "<%s@%.*s>", m->id, TEXT(host));
    m->flags |= LMAIL_QUEUE_OWN;
    c.tables = m->rules ? m->rules->rewriting : NULL;
    c.delivery = delivery_of(m);
    c.remove = 1;
    c.date = lmail_str_from(date);
    c.from = lmail_str_from(m->from);
    c.message_id = lmail_str_from(id);
    c.sink = add_to_front;
    c.ctx = m;
    return lmail_delivery_header_new(&m->rewriter, &c);
}

static void rewriter_done(lmi_mail *m)
{
    lmail_delivery_header_free(m->rewriter);
    m->rewriter = NULL;
}

lmail_status lmi_mail_rewrite(lmi_mail *m, lmail_str *octets)
{
    size_t used;
    if (!m->rewriter)
        return LMAIL_OK;
    lmail_status st = lmail_delivery_header_feed(m->rewriter, *octets, &used);
    *octets = (lmail_str){octets->ptr + used, octets->len - used};
    if (st != LMAIL_END)
        return st;
    rewriter_done(m);
    return LMAIL_OK;
}

lmail_status lmi_header_end(lmi_mail *m)
{
    lmail_status st = m->rewriter ? lmail_delivery_header_end(m->rewriter) : LMAIL_OK;
    rewriter_done(m);
    return st;
}
