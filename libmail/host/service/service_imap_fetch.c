/* service_imap_fetch.c - rows and octets of messages.
 *
 * Flags and modseqs come from the snapshot, without a worker. What the page cache has of a message
 * is read on the loop too; everything else is a job. */
#include "host/service/service_imap.h"

#include <stdlib.h>
#include <string.h>

#define SNAPSHOT_ITEMS (LMAIL_IMAP_ITEM_FLAGS | LMAIL_IMAP_ITEM_MODSEQ)
#define SLICE_OCTETS (256u << 10) /* texts of one slice of rows */
#define HEADER_OCTETS (256u << 10)
#define FLAG_ROWS 256u
#define SLICE_ROWS 1000u

/* Rows being gathered, with their texts in one growing block addressed by offsets until the end. */
typedef struct gather {
    lmail_imap_fetch_row *rows;
    size_t count, max;
    char *text;
    size_t len, cap;
    lmail_status status;
    const lmi_imap_peer *peer;
    unsigned items;
    int full;
} gather;

typedef struct fetch_job {
    lmi_job base;
    const lmail_imap_fetch_event *ev; /* lives until the answer */
    gather g;
    lmail_uid next;
} fetch_job;

/* ---- Rows ------------------------------------------------------------------------------------ */

static int room_for(gather *g, size_t len)
{
    if (g->cap - g->len >= len)
        return 1;
    size_t cap = g->cap ? g->cap : 16384;
    while (cap - g->len < len)
        cap *= 2;
    char *text = realloc(g->text, cap);
    if (!text) {
        g->status = LMAIL_ERR_NOMEM;
        return 0;
    }
    g->text = text;
    g->cap = cap;
    return 1;
}

/* Offsets stand in ptr until settle(): the block moves while it grows. */
static void keep(gather *g, lmail_str text, lmail_str *out)
{
    if (!text.len || !room_for(g, text.len))
        return;
    memcpy(g->text + g->len, text.ptr, text.len);
    *out = (lmail_str){(const char *)(uintptr_t)g->len, text.len};
    g->len += text.len;
}

static void settle(gather *g)
{
    for (size_t i = 0; i < g->count; i++) {
        lmail_str *texts[] = {&g->rows[i].envelope, &g->rows[i].bodystructure, &g->rows[i].parts,
                              &g->rows[i].fields,   &g->rows[i].emailid,       &g->rows[i].threadid,
                              &g->rows[i].preview};
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            if (texts[k]->len)
                texts[k]->ptr = g->text + (uintptr_t)texts[k]->ptr;
    }
}

static int take_row(void *user, const lmail_mailbox_row *row)
{
    gather *g = user;
    lmail_imap_fetch_row *r = &g->rows[g->count];
    memset(r, 0, sizeof *r);
    /* A message that has come since the session was last told is none of its business yet. */
    if (lmail_snapshot_get(g->peer->box->shown, row->uid, &r->flags, &r->modseq))
        return 0;
    r->uid = row->uid;
    r->date = row->date;
    r->date_zone = row->date_zone;
    r->octets = row->size;
    r->savedate = row->save_date;
    keep(g, row->envelope, &r->envelope);
    keep(g, row->bodystructure, &r->bodystructure);
    keep(g, row->parts, &r->parts);
    keep(g, row->preview, &r->preview);
    keep(g, row->email_id, &r->emailid);
    keep(g, row->thread_id, &r->threadid);
    if (g->status)
        return 1;
    g->count++;
    g->full = g->count == g->max || g->len >= SLICE_OCTETS;
    return g->full;
}

static unsigned store_items(unsigned items)
{
    static const struct pair {
        unsigned imap, store;
    } pairs[] = {
        {LMAIL_IMAP_ITEM_INTERNALDATE, LMAIL_ROW_DATE},
        {LMAIL_IMAP_ITEM_SIZE, LMAIL_ROW_SIZE},
        {LMAIL_IMAP_ITEM_ENVELOPE, LMAIL_ROW_ENVELOPE},
        {LMAIL_IMAP_ITEM_BODYSTRUCTURE, LMAIL_ROW_BODYSTRUCTURE},
        {LMAIL_IMAP_ITEM_PARTS, LMAIL_ROW_PARTS},
        {LMAIL_IMAP_ITEM_FIELDS, LMAIL_ROW_PARTS},
        {LMAIL_IMAP_ITEM_EMAILID, LMAIL_ROW_EMAILID},
        {LMAIL_IMAP_ITEM_THREADID, LMAIL_ROW_THREADID},
        {LMAIL_IMAP_ITEM_SAVEDATE, LMAIL_ROW_SAVEDATE},
        {LMAIL_IMAP_ITEM_PREVIEW, LMAIL_ROW_PREVIEW},
    };
    unsigned out = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (items & pairs[i].imap)
            out |= pairs[i].store;
    return out;
}

/* Offset behind the header's blank line in what was read of a message, or 0. */
static size_t header_end(const char *text, size_t len)
{
    if (len >= 2 && memcmp(text, "\r\n", 2) == 0)
        return 2;
    const char *end = memmem(text, len, "\r\n\r\n", 4);
    return end ? (size_t)(end - text) + 4 : 0;
}

/* The whole header stands for the fields asked for: the session picks. */
static lmail_status read_header(const fetch_job *job, gather *g, lmail_imap_fetch_row *row)
{
    lmi_imap_peer *p = (lmi_imap_peer *)job->base.peer;
    const lmail_store *store = lmi_peer_store(&p->base);
    size_t have = 0, want = 4096, end = 0;
    while (!end && have < HEADER_OCTETS) {
        size_t got;
        if (!room_for(g, want))
            return LMAIL_ERR_NOMEM;
        lmail_status st = store->read(p->box->mailbox, row->uid, have, g->text + g->len + have,
                                      want - have, 0, &got);
        if (st)
            return st;
        int last = got < want - have;
        have += got;
        end = header_end(g->text + g->len, have);
        if (last)
            break;
        want *= 2;
    }
    if (!end)
        end = have;
    row->fields = (lmail_str){(const char *)(uintptr_t)g->len, end};
    g->len += end;
    return LMAIL_OK;
}

static lmail_status read_headers(fetch_job *job)
{
    size_t kept = 0;
    gather *g = &job->g;
    for (size_t i = 0; i < g->count; i++) {
        lmail_status st = read_header(job, g, &g->rows[i]);
        if (st == LMAIL_ERR_NOTFOUND)
            continue; /* gone meanwhile: no row */
        if (st)
            return st;
        g->rows[kept++] = g->rows[i];
        if (g->len >= SLICE_OCTETS && i + 1 < g->count) {
            job->next = g->rows[i + 1].uid;
            break;
        }
    }
    g->count = kept;
    return LMAIL_OK;
}

/* Rows of these UIDs; *next as the store's fetch, or where the headers made the slice long. */
static lmail_status fetch_slice(fetch_job *job, lmail_uid_set uids)
{
    lmi_imap_peer *p = (lmi_imap_peer *)job->base.peer;
    lmail_fetch_args args = LMAIL_FETCH_ARGS_INIT;
    args.uids = uids;
    args.items = store_items(job->ev->items);
    args.max_rows = job->g.max;
    lmail_status st =
        lmi_peer_store(&p->base)->fetch(p->box->mailbox, &args, take_row, &job->g, &job->next);
    if (!st)
        st = job->g.status;
    return st || !(job->ev->items & LMAIL_IMAP_ITEM_FIELDS) ? st : read_headers(job);
}

/* What of the set lies at `from` or above it. OK or ERR_NOMEM. */
static lmail_status set_from(lmail_uid_set set, lmail_uid from, lmail_uid_list *out)
{
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < set.count && !st; i++) {
        lmail_uid_range r = set.ranges[i];
        if (r.last >= from)
            st = lmail_uid_list_add(out, r.first > from ? r.first : from, r.last);
    }
    return st;
}

/* A slice of which every message has gone meanwhile has no row to go on from, so the next one is
 * taken here. */
static void work_fetch(lmi_job *base)
{
    fetch_job *job = (fetch_job *)base;
    lmail_status st = fetch_slice(job, job->ev->uids);
    while (!st && job->g.count == 0 && job->next != 0) {
        lmail_uid_list rest = {0};
        job->g.len = 0;
        st = set_from(job->ev->uids, job->next, &rest);
        job->next = 0;
        if (!st && rest.count)
            st = fetch_slice(job, lmail_uid_list_set(&rest));
        lmail_uid_list_free(&rest);
    }
    job->base.status = st;
    settle(&job->g);
}

static void fetch_done(lmi_job *base)
{
    fetch_job *job = (fetch_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_imap_fetch_answer a = LMAIL_IMAP_FETCH_ANSWER_INIT;
    lmi_imap_fail(&a.result, job->base.status, LMAIL_IMAP_CODE_EXPUNGEISSUED);
    if (!job->base.status) {
        a.rows = job->g.rows;
        a.count = job->g.count;
        a.more = job->next != 0;
    }
    lmail_imap_server_answer_fetch(p->server, base->ticket, &a, lmi_peer_now(&p->base));
    free(job->g.rows);
    free(job->g.text);
}

/* Flags alone: from the snapshot, here and now. */
static lmail_status fetch_flags(lmi_imap_peer *p, const lmail_imap_fetch_event *ev,
                                lmail_imap_fetch_answer *a)
{
    size_t count = 0, max = FLAG_ROWS;
    lmail_imap_fetch_row *out = lmi_scratch(&p->base, max * sizeof *out);
    if (!out)
        return LMAIL_ERR_NOMEM;
    for (size_t r = 0; r < ev->uids.count && count < max; r++) {
        size_t leaf, i;
        lmail_snapshot_rows rows;
        if (lmail_snapshot_seek(p->box->shown, ev->uids.ranges[r].first, &leaf, &i))
            break;
        for (; lmail_snapshot_leaf(p->box->shown, leaf, &rows) == LMAIL_OK; leaf++, i = 0) {
            for (; i < rows.count && count < max && rows.uids[i] <= ev->uids.ranges[r].last; i++) {
                lmail_imap_fetch_row *row = &out[count++];
                memset(row, 0, sizeof *row);
                row->uid = rows.uids[i];
                row->flags = rows.flags[i];
                row->modseq = rows.modseqs[i];
            }
            if (i < rows.count)
                break;
        }
    }
    a->rows = out;
    a->count = count;
    lmail_uid last = count ? out[count - 1].uid : 0;
    a->more = count == max && last < ev->uids.ranges[ev->uids.count - 1].last;
    return LMAIL_OK;
}

static lmail_status on_fetch(lmail_imap_server *s, void *user, lmail_ticket t,
                             const lmail_imap_fetch_event *ev, lmail_imap_fetch_answer *a)
{
    lmi_imap_peer *p = user;
    (void)s;
    if (!(ev->items & ~(unsigned)SNAPSHOT_ITEMS) && !p->base.jobs && ev->uids.count)
        return fetch_flags(p, ev, a);
    fetch_job *job = lmi_job_new(sizeof *job, &p->base, t, work_fetch, fetch_done);
    if (!job)
        return LMAIL_ERR_NOMEM;
    job->ev = ev;
    uint64_t total = lmail_uid_set_total(ev->uids);
    job->g.max = total < SLICE_ROWS ? (size_t)total : SLICE_ROWS;
    job->g.peer = p;
    job->g.rows = malloc(job->g.max * sizeof *job->g.rows);
    if (!job->g.rows) {
        free(job);
        return LMAIL_ERR_NOMEM;
    }
    return lmi_peer_submit(&p->base, &job->base);
}

/* ---- Octets ---------------------------------------------------------------------------------- */

typedef struct octets_job {
    lmi_job base;
    lmi_lent *octets;
    lmail_uid uid;
    uint64_t offset;
    size_t want, got;
} octets_job;

static void on_released(lmail_imap_server *s, void *user, lmail_ticket t)
{
    (void)s;
    lmi_lent_release(&((lmi_imap_peer *)user)->lent, t);
}

static void work_octets(lmi_job *base)
{
    octets_job *job = (octets_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    job->base.status = lmi_peer_store(base->peer)
                           ->read(p->box->mailbox, job->uid, job->offset, job->octets->data,
                                  job->want, 0, &job->got);
}

/* Asks run ahead: behind one that needed the disk may stand many that do not. */
static int octets_now(lmi_job *base)
{
    octets_job *job = (octets_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_status st = lmi_peer_store(base->peer)
                          ->read(p->box->mailbox, job->uid, job->offset, job->octets->data,
                                 job->want, LMAIL_READ_NOWAIT, &job->got);
    if (st || !job->got)
        return 0;
    job->base.status = LMAIL_OK;
    return 1;
}

static void octets_done(lmi_job *base)
{
    octets_job *job = (octets_job *)base;
    lmi_imap_peer *p = (lmi_imap_peer *)base->peer;
    lmail_imap_octets_answer a = LMAIL_IMAP_OCTETS_ANSWER_INIT;
    lmail_ticket t = base->ticket;
    lmi_imap_fail(&a.result, job->base.status, LMAIL_IMAP_CODE_EXPUNGEISSUED);
    if (!job->base.status)
        a.octets = (lmail_str){job->octets->data, job->got};
    lmi_lent_add(&p->lent, job->octets, t);
    lmail_status st = lmail_imap_server_answer_octets(p->server, t, &a, lmi_peer_now(&p->base));
    if (st || !a.octets.len)
        lmi_lent_release(&p->lent, t);
}

static lmail_status on_octets(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_octets_event *ev, lmail_imap_octets_answer *a)
{
    lmi_imap_peer *p = user;
    size_t want = ev->want < SLICE_OCTETS ? (size_t)ev->want : SLICE_OCTETS, got = 0;
    (void)s;
    lmi_lent *o = lmi_lent_new(want);
    if (!o)
        return LMAIL_ERR_NOMEM;
    if (!p->base.jobs &&
        lmi_peer_store(&p->base)->read(p->box->mailbox, ev->uid, ev->offset, o->data, want,
                                       LMAIL_READ_NOWAIT, &got) == LMAIL_OK &&
        got) {
        a->octets = (lmail_str){o->data, got};
        lmi_lent_add(&p->lent, o, t);
        return LMAIL_OK;
    }
    octets_job *job = lmi_job_new(sizeof *job, &p->base, t, work_octets, octets_done);
    if (!job) {
        free(o);
        return LMAIL_ERR_NOMEM;
    }
    job->base.now = octets_now;
    job->octets = o;
    job->uid = ev->uid;
    job->offset = ev->offset;
    job->want = want;
    return lmi_peer_submit(&p->base, &job->base);
}

void lmi_imap_handle_fetch(lmail_imap_server_handler *h)
{
    h->on_fetch = on_fetch;
    h->on_octets = on_octets;
    h->on_released = on_released;
}
