/* store_fields.c - decoded header fields of a message as one blob (LMAIL_ROW_FIELDS).
 *
 * Written once when a message arrives, read by SEARCH, SORT and THREAD. Octet 0 is a version; then
 * the numbers, little-endian; then each text with its length in front. A damaged blob reads as
 * ERR_CORRUPT, never beyond its end. */
#include "host/store/store_internal.h"

#include <string.h>

#define VERSION 1u
#define FIXED 28u
#define TEXTS 14u

/* The texts in the order in which the blob has them. */
static void list_texts(const lmail_mime_summary *s, lmail_str t[TEXTS])
{
    const lmail_str all[TEXTS] = {s->from,        s->to,           s->cc,         s->bcc,
                                  s->subject,     s->base_subject, s->sort_from,  s->sort_to,
                                  s->sort_cc,     s->display_from, s->display_to, s->message_id,
                                  s->in_reply_to, s->references};
    memcpy(t, all, sizeof all);
}

static void put(char *out, uint64_t v, unsigned octets)
{
    for (unsigned i = 0; i < octets; i++)
        out[i] = (char)(v >> (8 * i));
}

static uint64_t get(const char *in, unsigned octets)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < octets; i++)
        v |= (uint64_t)(unsigned char)in[i] << (8 * i);
    return v;
}

size_t lmi_fields_size(const lmail_mime_summary *s)
{
    lmail_str t[TEXTS];
    size_t n = FIXED;
    list_texts(s, t);
    for (unsigned i = 0; i < TEXTS; i++)
        n += 4 + t[i].len;
    return n;
}

void lmi_fields_write(const lmail_mime_summary *s, char *out)
{
    lmail_str t[TEXTS];
    list_texts(s, t);
    out[0] = VERSION;
    out[1] = (char)(s->is_reply != 0);
    out[2] = (char)(s->has_date != 0);
    out[3] = (char)(s->has_attachment != 0);
    put(out + 4, (uint64_t)s->date, 8);
    put(out + 12, (uint32_t)s->date_day, 4);
    put(out + 16, (uint32_t)s->date_zone, 4);
    put(out + 20, s->part_count, 4);
    put(out + 24, TEXTS, 4);
    out += FIXED;
    for (unsigned i = 0; i < TEXTS; i++) {
        put(out, t[i].len, 4);
        if (t[i].len)
            memcpy(out + 4, t[i].ptr, t[i].len);
        out += 4 + t[i].len;
    }
}

lmail_status lmail_fields_read(lmail_str blob, lmail_mime_summary *s)
{
    *s = (lmail_mime_summary){0};
    if (blob.len < FIXED || blob.ptr[0] != VERSION || get(blob.ptr + 24, 4) != TEXTS)
        return LMAIL_ERR_CORRUPT;
    lmail_str t[TEXTS];
    size_t at = FIXED;
    for (unsigned i = 0; i < TEXTS; i++) {
        if (blob.len - at < 4)
            return LMAIL_ERR_CORRUPT;
        size_t n = (size_t)get(blob.ptr + at, 4);
        at += 4;
        if (blob.len - at < n)
            return LMAIL_ERR_CORRUPT;
        t[i] = lmi_str(blob.ptr + at, n);
        at += n;
    }
    s->is_reply = (unsigned char)blob.ptr[1];
    s->has_date = (unsigned char)blob.ptr[2];
    s->has_attachment = (unsigned char)blob.ptr[3];
    s->date = (int64_t)get(blob.ptr + 4, 8);
    s->date_day = (int32_t)get(blob.ptr + 12, 4);
    s->date_zone = (int32_t)get(blob.ptr + 16, 4);
    s->part_count = (uint32_t)get(blob.ptr + 20, 4);
    s->from = t[0];
    s->to = t[1];
    s->cc = t[2];
    s->bcc = t[3];
    s->subject = t[4];
    s->base_subject = t[5];
    s->sort_from = t[6];
    s->sort_to = t[7];
    s->sort_cc = t[8];
    s->display_from = t[9];
    s->display_to = t[10];
    s->message_id = t[11];
    s->in_reply_to = t[12];
    s->references = t[13];
    return LMAIL_OK;
}
