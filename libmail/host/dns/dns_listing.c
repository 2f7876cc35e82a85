/* dns_listing.c - is an address on a block or allow list.
 *
 * RFC 5782 §2.1 (IPv4, and that answers lie in 127.0.0.0/8), §2.3 (several answers), §2.4 (IPv6).
 * The TXT record is asked for together with the address records, and waited for only when the
 * address is listed. */
#include "dns_internal.h"

#include <string.h>

#define ANSWERS_MAX 16
#define TEXT_MAX 400u

typedef struct listing_question {
    lmi_dns_question base;
    lmail_dns_listing_fn *fn;
    void *user;
    unsigned listed, text_landed;
    size_t count, text_len;
    lmail_dns_address answers[ANSWERS_MAX];
    char text[TEXT_MAX];
} listing_question;

static void deliver(lmi_dns_question *q, lmail_dns_result result)
{
    listing_question *l = (listing_question *)q;
    lmail_dns_listing answer = {.result = result};
    if (result == LMAIL_DNS_FOUND) {
        answer.answers = l->answers;
        answer.count = l->count;
        answer.text = (lmail_str){l->text, l->text_len};
    }
    l->fn(l->user, q->ticket, &answer);
}

static void take_answers(listing_question *l, const lmi_dns_answer *answer)
{
    for (size_t i = 0; i < answer->count && l->count < ANSWERS_MAX; i++) {
        const lmail_str *data = &answer->data[i];
        if (data->len != 4 || data->ptr[0] != 127)
            continue;
        l->answers[l->count].version = 4;
        memcpy(l->answers[l->count++].octets, data->ptr, 4);
    }
    l->listed = l->count != 0;
}

/* The first TXT record: its strings one behind the other. RFC 1035 §3.3.14. */
static void take_text(listing_question *l, lmail_str in)
{
    while (in.len) {
        size_t n = (unsigned char)in.ptr[0];
        if (n >= in.len)
            n = in.len - 1;
        for (size_t i = 1; i <= n && l->text_len < TEXT_MAX; i++) {
            char c = in.ptr[i];
            l->text[l->text_len++] = (char)(c >= 0x20 && c < 0x7f ? c : '?');
        }
        in = (lmail_str){in.ptr + n + 1, in.len - n - 1};
    }
}

static void landed(lmi_dns_question *q, const lmi_dns_lookup *lookup, const lmi_dns_answer *answer)
{
    listing_question *l = (listing_question *)q;
    if (lookup->type == LMI_DNS_TXT) {
        l->text_landed = 1;
        if (answer->count)
            take_text(l, answer->data[0]);
        if (!l->listed)
            return;
    } else {
        take_answers(l, answer);
        if (!l->listed) {
            lmi_dns_finish(q, answer->result == LMAIL_DNS_TEMP ? LMAIL_DNS_TEMP : LMAIL_DNS_NONE);
            return;
        }
    }
    if (l->text_landed)
        lmi_dns_finish(q, LMAIL_DNS_FOUND);
}

static const lmi_dns_kind kind = {sizeof(listing_question), landed, deliver};

lmail_status lmail_dns_ask_listing(lmail_dns *dns, lmail_str address, lmail_str zone,
                                   unsigned want_text, lmail_dns_listing_fn *fn, void *user,
                                   lmail_ticket *ticket)
{
    lmail_dns_address parsed;
    lmi_dns_question *q;
    char name[LMI_DNS_NAME], under[LMI_DNS_NAME];
    if (!fn)
        return LMAIL_ERR_ARG;
    if (lmi_dns_address(address, &parsed))
        return LMAIL_ERR_SYNTAX;
    lmail_status status = lmi_dns_question_new(dns, &kind, &q);
    if (status)
        return status;
    listing_question *l = (listing_question *)q;
    l->fn = fn;
    l->user = user;
    l->text_landed = !want_text;
    if (ticket)
        *ticket = q->ticket;
    if (lmi_dns_name(zone, under) || lmi_dns_reversed(&parsed, under, name)) {
        lmi_dns_settle(q, LMAIL_DNS_NONE);
        return LMAIL_OK;
    }
    lmi_dns_look(q, LMI_DNS_A, name, 0);
    if (want_text)
        lmi_dns_look(q, LMI_DNS_TXT, name, 0);
    return LMAIL_OK;
}
