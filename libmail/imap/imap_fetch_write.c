/* imap_fetch_write.c - rows of a FETCH as untagged responses (RFC 3501 §7.4.2).
 *
 * Short pieces are put together in f->line and go out at once, ready texts of the host (ENVELOPE,
 * BODYSTRUCTURE) straight from its answer: each octet is copied once. The text of flags is kept
 * while they stay the same, for most messages have the flags of their neighbour. Called by
 * imap_cmd_fetch.c and imap_fetch_stream.c; never asks anything. */
#include "imap/imap_fetch.h"

#include <string.h>

void lmi_fetch_flush(lmi_fetch *f)
{
    if (f->line_len)
        lmi_imap_put(f->s, (lmail_str){f->line, f->line_len});
    f->line_len = 0;
}

void lmi_fetch_put(lmi_fetch *f, lmail_str text)
{
    if (text.len > sizeof f->line - f->line_len) {
        lmi_fetch_flush(f);
        if (text.len > sizeof f->line) {
            lmi_imap_put(f->s, text);
            return;
        }
    }
    if (text.len)
        memcpy(f->line + f->line_len, text.ptr, text.len);
    f->line_len += text.len;
}

void lmi_fetch_put_u64(lmi_fetch *f, uint64_t n)
{
    if (sizeof f->line - f->line_len < 20)
        lmi_fetch_flush(f);
    f->line_len += lmi_write_u64(f->line + f->line_len, n);
}

void lmi_fetch_gap(lmi_fetch *f)
{
    if (!f->first)
        lmi_fetch_put(f, LMAIL_STR(" "));
    f->first = 0;
}

void lmi_fetch_label(lmi_fetch *f, const lmi_fetch_item *item)
{
    lmi_fetch_gap(f);
    lmi_fetch_put(f, item->label);
    lmi_fetch_put(f, LMAIL_STR(" "));
}

/* ---- A row ----------------------------------------------------------------------------------- */

void lmi_fetch_row_open(lmi_fetch *f, const lmail_imap_fetch_row *row)
{
    lmi_fetch_put(f, LMAIL_STR("* "));
    lmi_fetch_put_u64(f, lmi_imap_view_seq(&f->s->mbox.view, row->uid));
    lmi_fetch_put(f, LMAIL_STR(" FETCH ("));
    /* RFC 3501 §6.4.8: UID is in the response of a UID FETCH, asked for or not. */
    f->first = 1;
    if (f->s->cmd.uid && !f->plan.has_uid) {
        lmi_fetch_gap(f);
        lmi_fetch_put(f, LMAIL_STR("UID "));
        lmi_fetch_put_u64(f, row->uid);
    }
}

void lmi_fetch_row_close(lmi_fetch *f)
{
    lmi_fetch_put(f, LMAIL_STR(")\r\n"));
    lmi_fetch_flush(f);
}

void lmi_fetch_row_write(lmi_fetch *f, const lmail_imap_fetch_row *row)
{
    lmi_fetch_row_open(f, row);
    for (size_t i = 0; i < f->plan.count; i++) {
        const lmi_fetch_item *item = &f->plan.items[i];
        lmi_fetch_label(f, item);
        if (item->word->write)
            item->word->write(f, item, row);
        else
            lmi_fetch_write_fields(f, item, row);
    }
    lmi_fetch_row_close(f);
}

/* ---- Items ----------------------------------------------------------------------------------- */

void lmi_fetch_write_flags(lmi_fetch *f, const lmi_fetch_item *item,
                           const lmail_imap_fetch_row *row)
{
    (void)item;
    lmi_imap *s = f->s;
    lmail_flags flags = row->flags & ~LMAIL_FLAG_RECENT;
    if (s->mbox.recent.count && !(s->enabled & LMI_ENABLED_REV2) &&
        lmail_uid_set_has(lmail_uid_list_set(&s->mbox.recent), row->uid))
        flags |= LMAIL_FLAG_RECENT;
    if (f->flags_len && f->flags == flags) {
        lmi_fetch_put(f, (lmail_str){f->flags_text, f->flags_len});
        return;
    }
    f->flags = flags;
    f->flags_len = lmi_imap_flags_text(s, flags, f->flags_text, sizeof f->flags_text);
    if (f->flags_len <= sizeof f->flags_text) {
        lmi_fetch_put(f, (lmail_str){f->flags_text, f->flags_len});
        return;
    }
    f->flags_len = 0; /* too long to be kept */
    lmi_fetch_flush(f);
    lmi_imap_put_flags(s, flags);
}

void lmi_fetch_write_uid(lmi_fetch *f, const lmi_fetch_item *item, const lmail_imap_fetch_row *row)
{
    (void)item;
    lmi_fetch_put_u64(f, row->uid);
}

void lmi_fetch_write_date(lmi_fetch *f, const lmi_fetch_item *item, const lmail_imap_fetch_row *row)
{
    (void)item;
    lmi_fetch_flush(f);
    lmi_imap_put_date_time(f->s, row->date, row->date_zone);
}

void lmi_fetch_write_size(lmi_fetch *f, const lmi_fetch_item *item, const lmail_imap_fetch_row *row)
{
    (void)item;
    lmi_fetch_put_u64(f, row->octets);
}

/* A store that has no such text for a message still gives the client something of the right
 * shape. */
void lmi_fetch_write_envelope(lmi_fetch *f, const lmi_fetch_item *item,
                              const lmail_imap_fetch_row *row)
{
    (void)item;
    lmi_fetch_put(f, row->envelope.len ? row->envelope
                                       : LMAIL_STR("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"));
}

static const lmail_str no_structure = {
    "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0)", 57};

void lmi_fetch_write_structure(lmi_fetch *f, const lmi_fetch_item *item,
                               const lmail_imap_fetch_row *row)
{
    (void)item;
    lmi_fetch_put(f, row->bodystructure.len ? row->bodystructure : no_structure);
}

void lmi_fetch_write_body(lmi_fetch *f, const lmi_fetch_item *item, const lmail_imap_fetch_row *row)
{
    (void)item;
    char small[1024];
    size_t cap = row->bodystructure.len, made = 0;
    char *text = cap <= sizeof small ? small : lmi_malloc(&f->s->base.alloc, cap);
    if (!text) {
        f->s->failed = LMAIL_ERR_NOMEM;
        return;
    }
    lmail_status st = lmail_mime_body_from_bodystructure(row->bodystructure, text, cap, &made);
    lmi_fetch_put(f, st ? no_structure : (lmail_str){text, made});
    if (text != small)
        lmi_free(&f->s->base.alloc, text, cap);
}

static void count_only(void *to, lmail_str octets)
{
    (void)to;
    (void)octets;
}

static void put_octets(void *to, lmail_str octets)
{
    lmi_fetch_put(to, octets);
}

/* The fields came with the row: once for the length, once for the octets. */
void lmi_fetch_write_fields(lmi_fetch *f, const lmi_fetch_item *item,
                            const lmail_imap_fetch_row *row)
{
    lmi_fetch_filter filter;
    lmi_fetch_filter_init(&filter, item, count_only, NULL);
    lmi_fetch_filter_feed(&filter, row->fields);
    lmi_fetch_filter_end(&filter);
    lmi_fetch_put(f, LMAIL_STR("{"));
    lmi_fetch_put_u64(f, lmi_fetch_filter_size(&filter));
    lmi_fetch_put(f, LMAIL_STR("}\r\n"));
    lmi_fetch_filter_init(&filter, item, put_octets, f);
    lmi_fetch_filter_feed(&filter, row->fields);
    lmi_fetch_filter_end(&filter);
}
