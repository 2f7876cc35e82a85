/* imap_cmd_fetch.c - FETCH and UID FETCH (RFC 3501 §6.4.5, §6.4.8).
 *
 * Rows are pulled in slices. Of a plain plan they become responses while the host's answer is at
 * hand; of one with message octets they are kept, \Seen is set for those that need it, and
 * imap_fetch_stream.c writes them. How many rows a slice has follows from how long they are, and
 * rows beyond twice the output mark are asked for again, so that memory does not depend on what a
 * mailbox holds. A message that is gone is left out and the command ends NO [EXPUNGEISSUED] (RFC
 * 5530 §3). */
#include "imap/imap_fetch.h"

#include <string.h>

#define FIRST_ROWS 128u
#define MOST_ROWS 512u
#define STREAM_ROWS 32u
#define SLICE_MEMORY (8u << 20) /* of rows that wait for octets; only a monstrous row reaches it */

static lmail_status end(lmi_fetch *f)
{
    lmi_imap *s = f->s;
    lmi_fetch_stream_done(f);
    s->abort = NULL;
    if (f->failed == LMAIL_IMAP_CODE_EXPUNGEISSUED)
        s->cmd.told_gone = 1;
    else if (f->failed)
        return lmi_imap_finish(s, LMI_NO, f->failed, LMAIL_STR("Some messages could not be read"));
    return lmi_imap_finish_ok(s);
}

/* A literal is begun and cannot be completed. Whatever were written now would be read as its
 * octets; only the end of the connection is understood. */
static lmail_status cut_off(lmi_fetch *f)
{
    lmi_imap *s = f->s;
    lmi_trace(&s->base, LMAIL_TRACE_LIMIT, 0, 0, LMAIL_STR("a message broke off in a literal"));
    s->state = LMAIL_IMAP_STATE_LOGOUT; /* so that no BYE is written */
    return lmi_imap_bye(s, (lmail_str){NULL, 0});
}

static lmail_status host_fault(lmi_fetch *f)
{
    return lmi_imap_finish(f->s, LMI_NO, LMAIL_IMAP_CODE_SERVERBUG,
                           LMAIL_STR("Internal error: rows that were not asked for"));
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* The next UID of the question that has no row yet. */
typedef struct expectation {
    size_t at;
    lmail_uid uid; /* 0: none */
} expectation;

/* A row has come. 0: it is not one of those asked for. */
static int came(lmi_fetch *f, expectation *e, lmail_uid uid)
{
    lmail_uid_set asked = f->asked;
    if (e->uid == 0 || uid < e->uid)
        return 0;
    if (uid != e->uid)
        f->s->cmd.told_gone = 1;
    while (e->at < asked.count && asked.ranges[e->at].last < uid)
        e->at++;
    if (e->at == asked.count || asked.ranges[e->at].first > uid)
        return 0;
    if (uid < asked.ranges[e->at].last)
        e->uid = uid + 1;
    else
        e->uid = ++e->at < asked.count ? asked.ranges[e->at].first : 0;
    return 1;
}

/* Slices about as long as twice the mark; growing gently, since the next rows may be longer. */
static void adapt(lmi_fetch *f, size_t rows, size_t octets)
{
    if (rows == 0 || f->plan.streams)
        return;
    size_t fit = 2 * f->s->base.out_mark / (octets / rows + 1);
    size_t most = f->max * 4 < MOST_ROWS ? f->max * 4 : MOST_ROWS;
    f->max = fit < 8 ? 8 : fit < most ? fit : most;
}

/* OK, END: the slice is full, or an error. */
static lmail_status take_row(lmi_fetch *f, const lmail_imap_fetch_row *row)
{
    if (f->plan.streams)
        return lmi_fetch_keep(f, row);
    if (f->s->base.out.size >= 2 * f->s->base.out_mark)
        return LMAIL_ERR_LIMIT;
    lmi_fetch_row_write(f, row);
    return f->s->failed;
}

static lmail_status got_rows(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    lmi_fetch *f = s->cmd.data;
    const lmail_imap_fetch_answer *a = answer;
    if (r->no)
        return lmi_imap_finish_result(s, r, LMAIL_IMAP_CODE_NONE);
    if (a->more && a->count == 0)
        return host_fault(f);
    size_t before = s->base.out.size, taken = 0;
    expectation e = {0, f->asked.ranges[0].first};
    lmail_status st = LMAIL_OK;
    for (; taken < a->count && !st; taken++) {
        expectation old = e;
        unsigned gone = s->cmd.told_gone;
        if (!came(f, &e, a->rows[taken].uid))
            return host_fault(f);
        st = take_row(f, &a->rows[taken]);
        if (st == LMAIL_ERR_LIMIT) { /* it will be asked for again */
            e = old;
            s->cmd.told_gone = gone;
            break;
        }
    }
    if (st && st != LMAIL_ERR_LIMIT)
        return st;
    if (st && taken == 0)
        return lmi_imap_finish(s, LMI_NO, LMAIL_IMAP_CODE_LIMIT,
                               LMAIL_STR("The data of a message is too long"));
    adapt(f, taken, s->base.out.size - before);
    if (st || a->more) {
        f->next = (uint64_t)a->rows[taken - 1].uid + 1;
        return LMAIL_OK;
    }
    if (e.uid)
        s->cmd.told_gone = 1;
    f->next = (uint64_t)f->asked.ranges[f->asked.count - 1].last + 1;
    return LMAIL_OK;
}

static lmail_status ask_rows(lmi_fetch *f)
{
    lmi_imap *s = f->s;
    size_t ranges = 0;
    if (f->next <= UINT32_MAX)
        ranges = lmi_set_chunk(f->set, (lmail_uid)f->next, f->max, f->ranges, f->range_cap);
    if (ranges == 0)
        return end(f);
    f->asked = (lmail_uid_set){f->ranges, ranges};
    lmail_imap_fetch_event ev = {s->mbox.handle, f->asked, f->plan.needs, f->plan.fields,
                                 f->plan.field_count};
    return lmi_imap_ask_fetch(s, &ev, got_rows);
}

/* ---- \Seen ----------------------------------------------------------------------------------- */

static lmail_status marked(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    lmi_fetch *f = s->cmd.data;
    const lmail_imap_store_answer *a = answer;
    f->marking = 0;
    if (r->no) /* not allowed to, perhaps (RFC 4314 §4, right "s"); the client gets its octets */
        return LMAIL_OK;
    for (size_t i = 0; i < f->row_count; i++) {
        lmi_fetch_row *row = &f->rows[i];
        if (row->row.flags & LMAIL_FLAG_SEEN || lmail_uid_set_has(a->missing, row->row.uid))
            continue;
        row->row.flags |= LMAIL_FLAG_SEEN;
        row->seen_now = 1;
    }
    return LMAIL_OK;
}

static lmail_status mark(lmi_fetch *f)
{
    lmi_imap *s = f->s;
    lmail_uid_list *unseen = &s->mbox.arg2;
    lmi_set_clear(unseen);
    for (size_t i = 0; i < f->row_count; i++) {
        const lmail_imap_fetch_row *row = &f->rows[i].row;
        if (row->flags & LMAIL_FLAG_SEEN)
            continue;
        lmail_status st = lmail_uid_list_add(unseen, row->uid, row->uid);
        if (st)
            return st;
    }
    if (unseen->count == 0) {
        f->marking = 0;
        return LMAIL_OK;
    }
    lmail_imap_store_event ev = {s->mbox.handle,
                                 lmail_uid_list_set(unseen),
                                 LMAIL_IMAP_STORE_ADD,
                                 LMAIL_FLAG_SEEN,
                                 {NULL, 0},
                                 0};
    return lmi_imap_ask_store(s, &ev, marked);
}

/* ---- The command ----------------------------------------------------------------------------- */

static lmail_status step(lmi_imap *s)
{
    lmi_fetch *f = s->cmd.data;
    if (f->broken)
        return cut_off(f);
    if (f->row_at < f->row_count)
        return f->marking ? mark(f) : lmi_fetch_stream_step(f);
    lmi_arena_reset(&f->slice);
    f->rows = NULL;
    f->gathered = NULL;
    f->row_count = f->row_at = 0;
    f->next_row = f->next_item = 0;
    f->next_offset = 0;
    f->marking = f->marks;
    return ask_rows(f);
}

static void abandon(lmi_imap *s)
{
    lmi_fetch_stream_done(s->cmd.data);
}

/* RFC 3501 §6.4.5: only where flags can be changed. */
static unsigned marks(const lmi_imap *s, const lmi_fetch_plan *plan)
{
    return plan->sees && !s->mbox.read_only && (s->mbox.permanent & LMAIL_FLAG_SEEN) != 0;
}

static lmail_status start(lmi_imap *s, const lmi_fetch_plan *plan, lmail_uid_set set)
{
    lmail_status st;
    lmi_fetch *f = lmi_imap_get(s, sizeof *f, &st);
    if (!f)
        return lmi_imap_finish_parse(s, st);
    f->s = s;
    f->plan = *plan;
    f->set = set;
    f->next = 1;
    f->max = plan->streams ? STREAM_ROWS : FIRST_ROWS;
    size_t most = plan->streams ? STREAM_ROWS : MOST_ROWS;
    f->range_cap = set.count < most ? set.count : most;
    f->ranges = lmi_imap_get(s, f->range_cap * sizeof *f->ranges, &st);
    if (!f->ranges)
        return lmi_imap_finish_parse(s, st);
    f->marks = marks(s, plan);
    if (f->marks)
        f->plan.needs |= LMAIL_IMAP_ITEM_FLAGS;
    lmi_arena_init(&f->slice, &s->base.alloc, SLICE_MEMORY);
    s->cmd.data = f;
    s->abort = abandon;
    s->step = step;
    return LMAIL_OK;
}

lmail_status lmi_imap_cmd_fetch(lmi_imap *s)
{
    lmi_imap_args *a = &s->cmd.args;
    lmi_imap_set numbers;
    lmi_fetch_plan plan;
    lmail_uid_set set;
    lmail_status st = lmi_imap_set_between(a, &numbers);
    if (!st)
        st = lmi_fetch_parse(a, &plan);
    if (!st)
        st = lmi_imap_end(a);
    if (!st) {
        st = lmi_imap_set_resolve(s, &numbers, (int)s->cmd.uid, &set);
        if (st == LMAIL_ERR_SYNTAX)
            lmi_imap_expected(a, "numbers of messages that are there");
    }
    return st ? lmi_imap_finish_parse(s, st) : start(s, &plan, set);
}
