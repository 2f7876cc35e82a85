/* imap_fetch_stream.c - literals of a message's octets, pulled from the host under the output mark.
 *
 * RFC 3501 §6.4.5, §7.4.2. Rows of one slice are kept; they are written in order, each literal as
 * its octets come. A bounded number of asks runs ahead of what is written, across items and rows.
 * Octets go out as the host lent them, without a copy, but for a few and for filtered headers.
 *
 * A literal's length is promised when its first octets are there, so a message that has gone
 * meanwhile is left out, or a later section of it is NIL. What cannot be read after that ends the
 * session, for there is no other way to tell the client that the literal is not whole. */
#include "imap/imap_fetch.h"

#include <string.h>

#define PIECE (128u * 1024) /* octets of one ask */
#define COPIED 512u         /* so few are cheaper to copy than to lend */
#define AHEAD (256u * 1024) /* octets asked for and not written */
#define GATHER (16u * 1024) /* filtered octets kept between counting and writing */

/* ---- The asks -------------------------------------------------------------------------------- */

static void remove_ask(lmi_fetch *f, size_t i)
{
    f->ask_count--;
    memmove(&f->asks[i], &f->asks[i + 1], (f->ask_count - i) * sizeof *f->asks);
}

/* Nobody waits for the octets of a row, or of one of its items, any more. Asks behind the one that
 * is being written belong to it or come later. */
static void drop_asks(lmi_fetch *f, int all_items)
{
    for (size_t i = 0; i < f->ask_count;) {
        lmi_fetch_ask *a = &f->asks[i];
        if (a->row != f->row_at || (!all_items && a->item != f->item_at)) {
            i++;
        } else if (a->state == LMI_ASK_OUT) {
            a->dropped = 1;
            i++;
        } else {
            if (a->state == LMI_ASK_READY)
                lmi_imap_octets_release(f->s, a->ticket);
            remove_ask(f, i);
        }
    }
}

/* The ask whose octets are written next: NULL when there is none or it is not answered. */
static lmi_fetch_ask *first_answered(lmi_fetch *f)
{
    for (size_t i = 0; i < f->ask_count; i++)
        if (!f->asks[i].dropped)
            return f->asks[i].state >= LMI_ASK_READY ? &f->asks[i] : NULL;
    return NULL;
}

static const lmi_fetch_range *range_of(const lmi_fetch *f, size_t row, size_t item)
{
    const lmi_fetch_item *it = &f->plan.items[item];
    return it->stream ? &f->rows[row].ranges[it->stream_index] : NULL;
}

/* A piece comes after all asks that are out: its place is found from row_at, item_at, wrote or from
 * where the last ask stopped. */
static int next_piece(lmi_fetch *f, lmi_fetch_ask *out)
{
    for (; f->next_row < f->row_count; f->next_row++, f->next_item = 0) {
        for (; f->next_item < f->plan.count; f->next_item++, f->next_offset = 0) {
            const lmi_fetch_range *r = range_of(f, f->next_row, f->next_item);
            if (!r || r->nil || f->next_offset >= r->end - r->begin)
                continue;
            /* A filtered header may have to be read twice: nothing is asked ahead of or behind
             * it. */
            if (f->plan.items[f->next_item].fields != LMI_FIELDS_ALL && f->ask_count)
                return 0;
            uint64_t left = r->end - r->begin - f->next_offset;
            uint64_t length = left < PIECE ? left : PIECE;
            *out = (lmi_fetch_ask){.state = LMI_ASK_NEW,
                                   .row = f->next_row,
                                   .item = f->next_item,
                                   .offset = r->begin + f->next_offset,
                                   .length = length};
            f->next_offset += length;
            return 1;
        }
    }
    return 0;
}

/* Where to go on asking after the row or item at hand was given up. */
static void ask_from(lmi_fetch *f, size_t row, size_t item)
{
    if (f->next_row > row || (f->next_row == row && f->next_item >= item))
        return;
    f->next_row = row;
    f->next_item = item;
    f->next_offset = 0;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void literal_head(lmi_fetch *f, const lmi_fetch_item *item, uint64_t octets)
{
    lmi_fetch_label(f, item);
    lmi_fetch_put(f, LMAIL_STR("{"));
    lmi_fetch_put_u64(f, octets);
    lmi_fetch_put(f, LMAIL_STR("}\r\n"));
}

static void put_nil(lmi_fetch *f, const lmi_fetch_item *item)
{
    lmi_fetch_label(f, item);
    lmi_fetch_put(f, LMAIL_STR("NIL"));
}

static void item_done(lmi_fetch *f)
{
    f->item_at++;
    f->wrote = 0;
    f->pass = 0;
}

/* The octets of the item at hand cannot be had. */
static void item_failed(lmi_fetch *f, int promised)
{
    if (promised) {
        f->broken = 1;
        return;
    }
    put_nil(f, &f->plan.items[f->item_at]);
    drop_asks(f, 0);
    ask_from(f, f->row_at, f->item_at + 1);
    item_done(f);
}

/* Octets as they are. 0: they are not there yet. */
static int write_octets(lmi_fetch *f, const lmi_fetch_range *r)
{
    uint64_t size = r->end - r->begin;
    lmi_fetch_ask *a = first_answered(f);
    if (!a)
        return 0;
    if (a->state == LMI_ASK_FAILED) {
        item_failed(f, f->wrote > 0);
        return !f->broken;
    }
    if (f->wrote == 0)
        literal_head(f, &f->plan.items[f->item_at], size);
    if (a->octets.len <= COPIED) {
        lmi_fetch_put(f, a->octets);
        lmi_imap_octets_release(f->s, a->ticket);
    } else {
        lmi_fetch_flush(f);
        lmi_imap_put_octets(f->s, a->octets, a->ticket);
    }
    f->wrote += a->octets.len;
    if (a->octets.len < a->length) { /* the host gave less: ask for the rest before all else */
        a->offset += a->octets.len;
        a->length -= a->octets.len;
        a->state = LMI_ASK_NEW;
    } else {
        remove_ask(f, (size_t)(a - f->asks));
    }
    if (f->wrote == size)
        item_done(f);
    return 1;
}

static void gather(void *to, lmail_str octets)
{
    lmi_fetch *f = to;
    if (f->gathered_len <= GATHER && octets.len <= GATHER - f->gathered_len) {
        memcpy(f->gathered + f->gathered_len, octets.ptr, octets.len);
        f->gathered_len += octets.len;
    } else {
        f->gathered_len = GATHER + 1u; /* too much: it will be read twice */
    }
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

static void filter_octets(lmi_fetch *f, lmail_str octets)
{
    lmi_fetch_filter_feed(&f->filter, octets);
    if (f->pass == 1 && f->gathered_len > GATHER)
        f->filter.emit = count_only;
}

static int begin_filter(lmi_fetch *f, const lmi_fetch_item *item)
{
    if (!f->gathered)
        f->gathered = lmi_arena_get(&f->slice, GATHER);
    if (!f->gathered) {
        f->s->failed = LMAIL_ERR_NOMEM;
        return 0;
    }
    f->pass = 1;
    f->gathered_len = 0;
    lmi_fetch_filter_init(&f->filter, item, gather, f);
    return 1;
}

/* All of the header has been read, for the first or the second time. */
static void filter_pass_done(lmi_fetch *f, const lmi_fetch_item *item)
{
    lmi_fetch_filter_end(&f->filter);
    if (f->pass == 2) {
        if (lmi_fetch_filter_size(&f->filter) != f->passes)
            f->broken = 1; /* not the same header as before */
        item_done(f);
        return;
    }
    f->passes = lmi_fetch_filter_size(&f->filter);
    literal_head(f, item, f->passes);
    if (f->gathered_len <= GATHER) {
        lmi_fetch_put(f, (lmail_str){f->gathered, f->gathered_len});
        item_done(f);
        return;
    }
    f->pass = 2;
    f->wrote = 0;
    lmi_fetch_filter_init(&f->filter, item, put_octets, f);
    f->next_row = f->row_at;
    f->next_item = f->item_at;
    f->next_offset = 0;
}

/* The fields that pass. 0: the header is not there yet. */
static int write_filtered(lmi_fetch *f, const lmi_fetch_item *item, const lmi_fetch_range *r)
{
    if (f->pass == 0 && !begin_filter(f, item))
        return 0;
    if (r->end > r->begin) {
        lmi_fetch_ask *a = first_answered(f);
        if (!a)
            return 0;
        if (a->state == LMI_ASK_FAILED) {
            item_failed(f, f->pass == 2);
            return !f->broken;
        }
        filter_octets(f, a->octets);
        f->wrote += a->octets.len;
        lmi_imap_octets_release(f->s, a->ticket);
        if (a->octets.len < a->length) {
            a->offset += a->octets.len;
            a->length -= a->octets.len;
            a->state = LMI_ASK_NEW;
            return 0;
        }
        remove_ask(f, (size_t)(a - f->asks));
    }
    if (f->wrote >= r->end - r->begin)
        filter_pass_done(f, item);
    return !f->broken;
}

/* One item of the row at hand. 0: it waits, or all is lost. */
static int write_item(lmi_fetch *f)
{
    const lmi_fetch_item *item = &f->plan.items[f->item_at];
    const lmail_imap_fetch_row *row = &f->rows[f->row_at].row;
    const lmi_fetch_range *r = range_of(f, f->row_at, f->item_at);
    if (!r) {
        lmi_fetch_label(f, item);
        if (item->word->write)
            item->word->write(f, item, row);
        else
            lmi_fetch_write_fields(f, item, row);
        item_done(f);
        return 1;
    }
    if (r->nil) {
        put_nil(f, item);
        item_done(f);
        return 1;
    }
    if (item->fields != LMI_FIELDS_ALL)
        return write_filtered(f, item, r);
    if (r->begin == r->end) {
        literal_head(f, item, 0);
        item_done(f);
        return 1;
    }
    return write_octets(f, r);
}

/* RFC 3501 §6.4.5: flags that the fetch has changed are part of the response. */
static void put_new_flags(lmi_fetch *f)
{
    const lmi_fetch_row *row = &f->rows[f->row_at];
    if (!row->seen_now || f->plan.has_flags)
        return;
    lmi_fetch_gap(f);
    lmi_fetch_put(f, LMAIL_STR("FLAGS "));
    lmi_fetch_write_flags(f, NULL, &row->row);
}

/* May the row at hand be begun? Not before the first octets it needs are there; if they cannot be
 * had, the message is left out. 0: wait. */
static int open_row(lmi_fetch *f)
{
    for (size_t i = 0; i < f->plan.count; i++) {
        const lmi_fetch_range *r = range_of(f, f->row_at, i);
        if (!r || r->nil || r->begin == r->end)
            continue;
        lmi_fetch_ask *a = first_answered(f);
        if (!a)
            return 0;
        if (a->state == LMI_ASK_READY)
            break;
        drop_asks(f, 1);
        f->row_at++;
        ask_from(f, f->row_at, 0);
        return 1;
    }
    lmi_fetch_row_open(f, &f->rows[f->row_at].row);
    f->row_open = 1;
    put_new_flags(f);
    return 1;
}

static void write_ready(lmi_fetch *f)
{
    while (f->row_at < f->row_count && !f->broken && !f->s->failed) {
        if (!f->row_open) {
            if (!open_row(f))
                break;
        } else if (f->item_at < f->plan.count) {
            if (!write_item(f))
                break;
        } else {
            lmi_fetch_row_close(f);
            f->row_open = 0;
            f->item_at = 0;
            f->row_at++;
        }
    }
    lmi_fetch_flush(f);
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static size_t find_ask(lmi_fetch *f, lmail_ticket t)
{
    for (size_t i = 0; i < f->ask_count; i++)
        if (f->asks[i].state == LMI_ASK_OUT && f->asks[i].ticket == t)
            return i;
    return f->asking; /* answered before its ticket was known */
}

static lmail_status got_octets(lmi_imap *s, lmail_ticket ticket,
                               const lmail_imap_octets_answer *answer)
{
    lmi_fetch *f = s->cmd.data;
    size_t i = find_ask(f, ticket);
    lmi_fetch_ask *a = &f->asks[i];
    int failed = answer->result.no || answer->octets.len == 0;
    if (a->dropped) {
        if (!failed)
            lmi_imap_octets_release(s, ticket);
        remove_ask(f, i);
        return LMAIL_OK;
    }
    a->ticket = ticket;
    a->octets = answer->octets;
    if (a->octets.len > a->length)
        a->octets.len = (size_t)a->length;
    a->state = failed ? LMI_ASK_FAILED : LMI_ASK_READY;
    if (failed) {
        f->failed = answer->result.no && answer->result.code ? answer->result.code
                                                             : LMAIL_IMAP_CODE_EXPUNGEISSUED;
    }
    write_ready(f);
    return s->failed;
}

static lmail_status ask(lmi_fetch *f, size_t i)
{
    lmi_fetch_ask *a = &f->asks[i];
    lmail_imap_octets_event ev = {f->s->mbox.handle, f->rows[a->row].row.uid, a->offset, a->length};
    f->asking = i;
    a->state = LMI_ASK_OUT;
    a->ticket = f->s->base.last_ticket + 1; /* what lmi_ask will give */
    lmail_status st = lmi_imap_ask_octets(f->s, &ev, got_octets);
    return st < 0 ? st : LMAIL_OK;
}

static uint64_t asked_octets(const lmi_fetch *f)
{
    uint64_t n = 0;
    for (size_t i = 0; i < f->ask_count; i++)
        n += f->asks[i].length;
    return n;
}

/* 1 and *i: an ask to be put now. */
static int next_ask(lmi_fetch *f, size_t *i)
{
    size_t max = f->s->base.max_tickets && f->s->base.max_tickets < LMI_FETCH_ASKS
                     ? f->s->base.max_tickets
                     : LMI_FETCH_ASKS;
    for (*i = 0; *i < f->ask_count; ++*i)
        if (f->asks[*i].state == LMI_ASK_NEW)
            return 1;
    if (f->ask_count >= max || asked_octets(f) >= AHEAD)
        return 0;
    lmi_fetch_ask a;
    if (!next_piece(f, &a))
        return 0;
    f->asks[f->ask_count++] = a;
    return 1;
}

lmail_status lmi_fetch_stream_step(lmi_fetch *f)
{
    size_t i;
    write_ready(f);
    while (!f->broken && !f->s->failed && f->s->base.out.size < f->s->base.out_mark &&
           f->row_at < f->row_count && next_ask(f, &i)) {
        lmail_status st = ask(f, i);
        if (st)
            return st;
    }
    return f->s->failed;
}

void lmi_fetch_stream_done(lmi_fetch *f)
{
    for (size_t i = 0; i < f->ask_count; i++)
        if (f->asks[i].state == LMI_ASK_READY)
            lmi_imap_octets_release(f->s, f->asks[i].ticket);
    f->ask_count = 0;
    lmi_arena_done(&f->slice);
}
