/* imap_fetch_keep.c - rows that wait for octets, and where the octets of each section lie.
 *
 * RFC 3501 §6.4.5: part numbers through the parts of the row, partial ranges clipped. Of a row only
 * the texts that will be written are copied; its parts become one range for each item. Called by
 * imap_cmd_fetch.c while the host's answer is at hand. */
#include "imap/imap_fetch.h"

#define SLICE_ENOUGH (64u * 1024) /* no further rows are kept above this */
#define PARTS_ON_STACK 16u

static void clip(lmi_fetch_range *r, const lmi_fetch_item *item)
{
    if (!item->partial)
        return;
    uint64_t size = r->end - r->begin;
    uint64_t skip = item->begin < size ? item->begin : size;
    r->begin += skip;
    if (r->end - r->begin > item->length)
        r->end = r->begin + item->length;
}

static lmi_fetch_range find(const lmi_fetch_item *item, const lmail_imap_fetch_row *row,
                            const lmail_mime_parts *parts)
{
    lmi_fetch_range r = {0, row->octets, 0};
    if (item->what != LMAIL_MIME_WHOLE || item->number_count) {
        lmail_mime_range found;
        if (parts->count == 0 ||
            lmail_mime_part_find(parts, item->numbers, item->number_count, item->what, &found))
            return (lmi_fetch_range){0, 0, 1};
        r = (lmi_fetch_range){found.begin, found.end > found.begin ? found.end : found.begin, 0};
    }
    if (item->fields == LMI_FIELDS_ALL) /* otherwise the filter clips */
        clip(&r, item);
    return r;
}

static lmail_status find_ranges(lmi_fetch *f, lmi_fetch_row *kept)
{
    lmail_mime_part small[PARTS_ON_STACK];
    lmail_mime_part *part = small;
    size_t cap = 0, count = 0;
    if (f->plan.needs & LMAIL_IMAP_ITEM_PARTS)
        cap = lmail_mime_parts_count(kept->row.parts);
    if (cap > PARTS_ON_STACK) {
        part = lmi_malloc(&f->s->base.alloc, cap * sizeof *part);
        if (!part)
            return LMAIL_ERR_NOMEM;
    }
    if (f->plan.needs & LMAIL_IMAP_ITEM_PARTS &&
        (cap == 0 || lmail_mime_parts_read(kept->row.parts, part, cap, &count))) {
        count = 0; /* damaged: sections of it cannot be found */
        f->failed = LMAIL_IMAP_CODE_CORRUPTION;
    }
    lmail_mime_parts parts = {part, count};
    for (size_t i = 0; i < f->plan.count; i++)
        if (f->plan.items[i].stream)
            kept->ranges[f->plan.items[i].stream_index] =
                find(&f->plan.items[i], &kept->row, &parts);
    if (part != small)
        lmi_free(&f->s->base.alloc, part, cap * sizeof *part);
    return LMAIL_OK;
}

static lmail_status keep_text(lmi_fetch *f, unsigned item, lmail_str *text)
{
    if (!(f->plan.needs & item) || text->len == 0) {
        *text = (lmail_str){NULL, 0};
        return LMAIL_OK;
    }
    return lmi_arena_copy(&f->slice, *text, text);
}

lmail_status lmi_fetch_keep(lmi_fetch *f, const lmail_imap_fetch_row *row)
{
    if (f->row_count && f->slice.taken >= SLICE_ENOUGH)
        return LMAIL_ERR_LIMIT;
    if (!f->rows) {
        f->rows = lmi_arena_get(&f->slice, f->max * sizeof *f->rows);
        if (!f->rows)
            return LMAIL_ERR_NOMEM;
    }
    lmi_fetch_row *kept = &f->rows[f->row_count];
    kept->row = *row;
    kept->seen_now = 0;
    kept->ranges = lmi_arena_get(&f->slice, f->plan.streams * sizeof *kept->ranges);
    if (!kept->ranges)
        return LMAIL_ERR_NOMEM;
    lmail_status st = find_ranges(f, kept);
    kept->row.parts = (lmail_str){NULL, 0};
    if (!st)
        st = keep_text(f, LMAIL_IMAP_ITEM_ENVELOPE, &kept->row.envelope);
    if (!st)
        st = keep_text(f, LMAIL_IMAP_ITEM_BODYSTRUCTURE, &kept->row.bodystructure);
    if (!st)
        st = keep_text(f, LMAIL_IMAP_ITEM_FIELDS, &kept->row.fields);
    if (!st)
        f->row_count++;
    return st;
}
