/* imap_box.c - a mailbox in memory: rows, octets, flags, a plain search. */
#include "support/imap_box.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DAY 86400

static void *need(void *p)
{
    if (!p)
        abort();
    return p;
}

static lmail_str copy(lmail_str s)
{
    char *p = need(malloc(s.len + 1));
    if (s.len)
        memcpy(p, s.ptr, s.len);
    return (lmail_str){p, s.len};
}

static void drop(lmail_str s)
{
    free((void *)(uintptr_t)s.ptr);
}

void imap_box_done(imap_box *b)
{
    for (size_t i = 0; i < b->count; i++) {
        drop(b->messages[i].octets);
        drop(b->messages[i].envelope);
        drop(b->messages[i].bodystructure);
        drop(b->messages[i].parts);
    }
    free(b->messages);
    free(b->rows);
    lmail_uid_list_free(&b->uids);
    lmail_uid_list_free(&b->found);
    lmail_uid_list_free(&b->missing);
    lmail_mime_parser_free(b->parser);
    memset(b, 0, sizeof *b);
}

static size_t header_size(lmail_str octets)
{
    for (size_t i = 0; i + 1 < octets.len; i++)
        if (octets.ptr[i] == '\n' &&
            (octets.ptr[i + 1] == '\n' || (octets.ptr[i + 1] == '\r' && i + 2 < octets.len)))
            return octets.ptr[i + 1] == '\n' ? i + 2 : i + 3;
    return octets.len;
}

imap_box_message *imap_box_add(imap_box *b, lmail_uid uid, lmail_flags flags, lmail_str octets)
{
    if (b->count == b->capacity) {
        b->capacity = b->capacity ? b->capacity * 2 : 16;
        b->messages = need(realloc(b->messages, b->capacity * sizeof *b->messages));
    }
    imap_box_message *m = &b->messages[b->count++];
    memset(m, 0, sizeof *m);
    m->uid = uid;
    m->flags = flags;
    m->date = 837596665; /* 17-Jul-1996 02:44:25 -0700 */
    m->date_zone = -420;
    m->octets = copy(octets);
    m->header = (lmail_str){m->octets.ptr, header_size(m->octets)};
    if (lmail_uid_list_add(&b->uids, uid, uid))
        abort();
    return m;
}

imap_box_message *imap_box_find(imap_box *b, lmail_uid uid)
{
    size_t low = 0, high = b->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (b->messages[mid].uid < uid)
            low = mid + 1;
        else
            high = mid;
    }
    return low < b->count && b->messages[low].uid == uid ? &b->messages[low] : NULL;
}

lmail_uid_set imap_box_uids(imap_box *b)
{
    return lmail_uid_list_set(&b->uids);
}

static void make_texts(imap_box *b, imap_box_message *m)
{
    if (m->envelope.ptr)
        return;
    if (!b->parser) {
        lmail_mime_config config = LMAIL_MIME_CONFIG_INIT;
        config.gather = LMAIL_MIME_GATHER_SUMMARY;
        if (lmail_mime_parser_new(&b->parser, &config))
            abort();
    }
    lmail_mime_parser_reset(b->parser, 0);
    if (lmail_mime_parser_feed(b->parser, m->octets) || lmail_mime_parser_end(b->parser))
        abort();
    const lmail_mime_summary *s = lmail_mime_parser_summary(b->parser);
    m->envelope = copy(s->envelope);
    m->bodystructure = copy(s->bodystructure);
    m->parts = copy(s->parts);
}

static lmail_imap_fetch_row *next_row(imap_box *b, size_t at)
{
    if (at == b->row_capacity) {
        b->row_capacity = at ? at * 2 : 64;
        b->rows = need(realloc(b->rows, b->row_capacity * sizeof *b->rows));
    }
    return &b->rows[at];
}

void imap_box_fetch(imap_box *b, const lmail_imap_fetch_event *ev, size_t max,
                    lmail_imap_fetch_answer *a)
{
    const unsigned texts =
        LMAIL_IMAP_ITEM_ENVELOPE | LMAIL_IMAP_ITEM_BODYSTRUCTURE | LMAIL_IMAP_ITEM_PARTS;
    a->count = 0;
    a->more = 0;
    for (size_t i = 0; i < ev->uids.count; i++) {
        for (uint64_t uid = ev->uids.ranges[i].first; uid <= ev->uids.ranges[i].last; uid++) {
            imap_box_message *m = imap_box_find(b, (lmail_uid)uid);
            if (!m || m->gone)
                continue;
            if (max && a->count == max) {
                a->more = 1;
                a->rows = b->rows;
                return;
            }
            if (ev->items & texts)
                make_texts(b, m);
            *next_row(b, a->count++) = (lmail_imap_fetch_row){.uid = m->uid,
                                                              .flags = m->flags,
                                                              .date = m->date,
                                                              .date_zone = m->date_zone,
                                                              .octets = m->octets.len,
                                                              .envelope = m->envelope,
                                                              .bodystructure = m->bodystructure,
                                                              .parts = m->parts,
                                                              .fields = m->header};
        }
    }
    a->rows = b->rows;
}

void imap_box_octets(imap_box *b, const lmail_imap_octets_event *ev, size_t piece,
                     lmail_imap_octets_answer *a)
{
    imap_box_message *m = imap_box_find(b, ev->uid);
    if (!m || m->gone) {
        a->result.no = 1;
        return;
    }
    if (ev->offset >= m->octets.len)
        return;
    uint64_t left = m->octets.len - ev->offset;
    uint64_t n = ev->want < left ? ev->want : left;
    a->octets = (lmail_str){m->octets.ptr + ev->offset, piece && piece < n ? piece : (size_t)n};
}

void imap_box_store(imap_box *b, const lmail_imap_store_event *ev, lmail_imap_store_answer *a)
{
    b->missing.count = 0;
    for (size_t i = 0; i < ev->uids.count; i++) {
        for (uint64_t uid = ev->uids.ranges[i].first; uid <= ev->uids.ranges[i].last; uid++) {
            imap_box_message *m = imap_box_find(b, (lmail_uid)uid);
            if (!m || m->gone) {
                if (lmail_uid_list_add(&b->missing, (lmail_uid)uid, (lmail_uid)uid))
                    abort();
            } else if (ev->mode == LMAIL_IMAP_STORE_ADD) {
                m->flags |= ev->flags;
            } else if (ev->mode == LMAIL_IMAP_STORE_REMOVE) {
                m->flags &= ~ev->flags;
            } else {
                m->flags = ev->flags;
            }
        }
    }
    a->missing = lmail_uid_list_set(&b->missing);
}

/* ---- Searching ------------------------------------------------------------------------------- */

static int holds(lmail_str in, lmail_str what)
{
    if (what.len == 0)
        return 1;
    for (size_t i = 0; i + what.len <= in.len; i++)
        if (strncasecmp(in.ptr + i, what.ptr, what.len) == 0)
            return 1;
    return 0;
}

static int header_holds(const imap_box_message *m, const lmail_search *k)
{
    lmail_str block = m->header;
    lmail_mime_field f;
    while (lmail_mime_field_next(&block, &f))
        if (lmail_str_equal_nocase(f.name, k->field) && holds(f.value, k->text))
            return 1;
    return 0;
}

static int sent_day(const imap_box_message *m, int32_t *day)
{
    lmail_mime_field f;
    int64_t seconds;
    int32_t zone;
    return lmail_mime_field_find(m->header, LMAIL_STR("Date"), &f) &&
           lmail_mime_date_parse(f.value, &seconds, day, &zone) == LMAIL_OK;
}

static int matches(const imap_box_message *m, const lmail_search *k)
{
    int32_t day = (int32_t)((m->date + (int64_t)m->date_zone * 60) / DAY);
    int has_day = 1;
    if (k->op >= LMAIL_SEARCH_SENTBEFORE && k->op <= LMAIL_SEARCH_SENTSINCE)
        has_day = sent_day(m, &day);
    switch (k->op) {
    case LMAIL_SEARCH_ALL:
        return 1;
    case LMAIL_SEARCH_AND:
        for (const lmail_search *c = k->child; c; c = c->next)
            if (!matches(m, c))
                return 0;
        return 1;
    case LMAIL_SEARCH_OR:
        for (const lmail_search *c = k->child; c; c = c->next)
            if (matches(m, c))
                return 1;
        return 0;
    case LMAIL_SEARCH_NOT:
        return !matches(m, k->child);
    case LMAIL_SEARCH_UIDS:
        return lmail_uid_set_has(k->set, m->uid);
    case LMAIL_SEARCH_FLAG:
        return (m->flags & k->flags) == k->flags;
    case LMAIL_SEARCH_HEADER:
        return header_holds(m, k);
    case LMAIL_SEARCH_BODY:
        return holds((lmail_str){m->octets.ptr + m->header.len, m->octets.len - m->header.len},
                     k->text);
    case LMAIL_SEARCH_TEXT:
        return holds(m->octets, k->text);
    case LMAIL_SEARCH_LARGER:
        return m->octets.len > k->number;
    case LMAIL_SEARCH_SMALLER:
        return m->octets.len < k->number;
    case LMAIL_SEARCH_BEFORE:
    case LMAIL_SEARCH_SENTBEFORE:
        return has_day && day < k->day;
    case LMAIL_SEARCH_ON:
    case LMAIL_SEARCH_SENTON:
        return has_day && day == k->day;
    case LMAIL_SEARCH_SINCE:
    case LMAIL_SEARCH_SENTSINCE:
        return has_day && day >= k->day;
    default:
        return 0;
    }
}

void imap_box_search(imap_box *b, const lmail_imap_search_event *ev, lmail_imap_search_answer *a)
{
    b->found.count = 0;
    for (size_t i = 0; i < b->count; i++) {
        const imap_box_message *m = &b->messages[i];
        if (!m->gone && lmail_uid_set_has(ev->uids, m->uid) && matches(m, ev->criteria) &&
            lmail_uid_list_add(&b->found, m->uid, m->uid))
            abort();
    }
    a->uids = lmail_uid_list_set(&b->found);
}
