/* queue_sent.c - what became of rows, reports about them, queue runs; and who is told of new work. */
#include "host/queue/queue_internal.h"

#include <stdlib.h>

#define SLICE 5000 /* rows that one transaction makes due */

/* ---- Results --------------------------------------------------------------------------------- */

/* Rows and, when the change is on the disk, the data file of a message that has nothing left. */
static lmail_status remove_finished(lmail_queue *q, queue_op *op, uint64_t id)
{
    int64_t one;
    lmail_status st = lmi_db_int(&q->write, QUEUE_UNFINISHED, &one, "i", (int64_t)id);
    if (st != LMAIL_ERR_NOTFOUND)
        return st;
    st = lmi_db_run(&q->write, QUEUE_REMOVE_RECIPIENTS, "i", (int64_t)id);
    if (!st)
        st = lmi_db_run(&q->write, QUEUE_REMOVE, "i", (int64_t)id);
    return st ? st : lmi_queue_ids_add(&op->gone, id);
}

static lmail_status write_results(lmail_queue *q, queue_op *op)
{
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < op->count && !st; i++) {
        const lmail_queue_result *r = &op->results[i];
        st = lmi_db_run(&q->write, QUEUE_RESULT, "iiiiitttiii", (int64_t)r->state, r->next,
                        (int64_t)r->attempts, r->last, (int64_t)r->code, r->enhanced, r->reply,
                        r->host, (int64_t)(r->report && r->state != LMAIL_QUEUE_WAITING),
                        (int64_t)r->id, (int64_t)r->number);
        if (!st && (i + 1 == op->count || r[1].id != r->id))
            st = remove_finished(q, op, r->id);
    }
    return st;
}

lmail_status lmail_queue_results(lmail_queue *q, const lmail_queue_result *results, size_t count)
{
    queue_op op = {.perform = write_results, .results = results, .count = count};
    lmail_status st = count ? lmi_queue_change(q, &op) : LMAIL_OK;
    free(op.gone.items);
    return st;
}

/* ---- Reports --------------------------------------------------------------------------------- */

static lmail_status is_there(lmail_queue *q, uint64_t id)
{
    int64_t held;
    return lmi_db_int(&q->write, QUEUE_HELD, &held, "i", (int64_t)id);
}

static lmail_status write_reported(lmail_queue *q, queue_op *op)
{
    lmail_status st = is_there(q, op->id);
    if (!st && op->message)
        st = lmi_queue_op_add(q, op);
    if (!st)
        st = lmi_db_run(&q->write, QUEUE_REPORTED, "i", (int64_t)op->id);
    return st ? st : remove_finished(q, op, op->id);
}

static lmail_status write_warned(lmail_queue *q, queue_op *op)
{
    lmail_status st = is_there(q, op->id);
    if (!st && op->message)
        st = lmi_queue_op_add(q, op);
    if (!st)
        st = lmi_db_run(&q->write, QUEUE_WARNED_MESSAGE, "i", (int64_t)op->id);
    return st ? st : lmi_db_run(&q->write, QUEUE_WARNED, "ii", op->number, (int64_t)op->id);
}

static lmail_status change_with(lmail_queue *q, queue_op *op)
{
    const lmail_queue_message *m = op->message;
    lmail_status st = m ? lmi_queue_may_add(q, m) : LMAIL_OK;
    op->adds = m != NULL;
    if (!st)
        st = lmi_queue_change(q, op);
    if (st && m && st != LMAIL_ERR_EXISTS && st != LMAIL_ERR_SIZE)
        lmi_queue_unlink(q, m->id);
    if (!st && m)
        lmi_queue_tell_added(q, m);
    free(op->gone.items);
    return st;
}

lmail_status lmail_queue_reported(lmail_queue *q, uint64_t id, const lmail_queue_message *report)
{
    queue_op op = {.perform = write_reported, .id = id, .message = report};
    return change_with(q, &op);
}

lmail_status lmail_queue_warned(lmail_queue *q, uint64_t id, int64_t when,
                                const lmail_queue_message *report)
{
    queue_op op = {.perform = write_warned, .id = id, .message = report, .number = when};
    return change_with(q, &op);
}

lmail_status lmail_queue_unreported(lmail_queue *q, uint64_t after, uint64_t *ids, size_t max,
                                    size_t *count)
{
    sqlite3_stmt *row;
    int code = SQLITE_DONE;
    *count = 0;
    pthread_mutex_lock(&q->read_lock);
    lmail_status st =
        lmi_db_bind(&q->read, QUEUE_UNREPORTED, &row, "ii", (int64_t)after, (int64_t)max);
    while (!st && *count < max && (code = sqlite3_step(row)) == SQLITE_ROW)
        ids[(*count)++] = (uint64_t)sqlite3_column_int64(row, 0);
    if (!st) {
        sqlite3_reset(row);
        st = lmi_db_status(code);
    }
    pthread_mutex_unlock(&q->read_lock);
    return st;
}

/* ---- Queue runs ------------------------------------------------------------------------------ */

static lmail_status make_due_one(lmail_queue *q, queue_op *op)
{
    lmail_status st = is_there(q, op->id);
    if (!st)
        st = lmi_db_run(&q->write, QUEUE_MAKE_DUE, "i", (int64_t)op->id);
    op->number = st ? 0 : sqlite3_changes(q->write.db);
    return st;
}

/* op->text: the destination; empty: all. */
static lmail_status make_due_some(lmail_queue *q, queue_op *op)
{
    lmail_status st = op->text.len
                          ? lmi_db_run(&q->write, QUEUE_MAKE_DUE_AT, "ti", op->text, (int64_t)SLICE)
                          : lmi_db_run(&q->write, QUEUE_MAKE_DUE_ALL, "i", (int64_t)SLICE);
    op->number = st ? 0 : sqlite3_changes(q->write.db);
    return st ? st : lmi_db_run(&q->write, QUEUE_ASK_RUN, "t", op->text);
}

static void tell(const lmail_queue *q, lmail_str destination, int priority)
{
    if (q->watch)
        q->watch(q->watch_user, destination, priority);
}

static lmail_status retry_some(lmail_queue *q, lmail_str destination, size_t *changed)
{
    lmail_status st;
    queue_op op;
    if (changed)
        *changed = 0;
    do {
        op = (queue_op){.perform = make_due_some, .text = destination};
        st = lmi_queue_change(q, &op);
        if (changed && !st)
            *changed += (size_t)op.number;
    } while (!st && op.number == SLICE);
    if (!st)
        tell(q, (lmail_str){NULL, 0}, 0);
    return st;
}

lmail_status lmail_queue_retry(lmail_queue *q, uint64_t id, size_t *changed)
{
    queue_op op = {.perform = make_due_one, .id = id};
    lmail_status st = lmi_queue_change(q, &op);
    if (changed)
        *changed = st ? 0 : (size_t)op.number;
    if (!st)
        lmi_queue_tell_new(q, id);
    return st;
}

lmail_status lmail_queue_retry_destination(lmail_queue *q, lmail_str destination, size_t *changed)
{
    return destination.len ? retry_some(q, destination, changed) : LMAIL_ERR_ARG;
}

lmail_status lmail_queue_retry_all(lmail_queue *q, size_t *changed)
{
    return retry_some(q, LMAIL_STR(""), changed);
}

static lmail_status forget_runs(lmail_queue *q, queue_op *op)
{
    (void)op;
    return lmi_db_run(&q->write, QUEUE_FORGET_RUNS, "");
}

/* Hand rows of destination, priority and time out. */
static lmail_status hand_out(lmail_queue *q, sqlite3_stmt *row, lmail_queue_due_fn *fn, void *user,
                             size_t *seen)
{
    int code, go_on = 1;
    (void)q;
    while ((code = sqlite3_step(row)) == SQLITE_ROW) {
        lmail_queue_due due = {lmi_db_text(row, 0), sqlite3_column_int(row, 1), 0};
        if (go_on)
            go_on = fn(user, &due) == 0;
        ++*seen;
    }
    sqlite3_reset(row);
    return lmi_db_status(code);
}

lmail_status lmail_queue_take_runs(lmail_queue *q, lmail_queue_due_fn *fn, void *user)
{
    sqlite3_stmt *row;
    size_t seen = 0;
    pthread_mutex_lock(&q->read_lock);
    lmail_status st = lmi_db_bind(&q->read, QUEUE_RUNS, &row, "");
    if (!st)
        st = hand_out(q, row, fn, user, &seen);
    pthread_mutex_unlock(&q->read_lock);
    queue_op op = {.perform = forget_runs, .lazy = 1};
    return st || !seen ? st : lmi_queue_change(q, &op);
}

/* ---- Who is told ----------------------------------------------------------------------------- */

void lmail_queue_watch(lmail_queue *q, void (*fn)(void *user, lmail_str destination, int priority),
                       void *user)
{
    q->watch = fn;
    q->watch_user = user;
}

void lmi_queue_tell_added(const lmail_queue *q, const lmail_queue_message *m)
{
    if (m->pending || m->held)
        return;
    for (size_t i = 0; i < m->recipient_count; i++)
        if (!i || !lmail_str_equal(m->recipients[i].destination, m->recipients[i - 1].destination))
            tell(q, m->recipients[i].destination, m->priority);
}

/* Names are gathered first: the watcher is called without a lock. */
typedef struct names {
    char *octets;
    size_t len;
    int priority;
} names;

static int keep_name(void *user, const lmail_queue_due *due)
{
    names *n = user;
    char *p = realloc(n->octets, n->len + due->destination.len + 1);
    if (!p)
        return 1;
    n->octets = p;
    for (size_t i = 0; i < due->destination.len; i++)
        p[n->len++] = due->destination.ptr[i];
    p[n->len++] = '\0';
    n->priority = due->priority;
    return 0;
}

void lmi_queue_tell_new(lmail_queue *q, uint64_t id)
{
    names n = {NULL, 0, 0};
    sqlite3_stmt *row;
    size_t seen = 0;
    if (!q->watch)
        return;
    pthread_mutex_lock(&q->read_lock);
    if (!lmi_db_bind(&q->read, QUEUE_NEW_WORK, &row, "i", (int64_t)id))
        (void)hand_out(q, row, keep_name, &n, &seen);
    pthread_mutex_unlock(&q->read_lock);
    for (size_t at = 0; at < n.len;) {
        lmail_str one = lmail_str_from(n.octets + at);
        tell(q, one, n.priority);
        at += one.len + 1;
    }
    free(n.octets);
}

int lmail_queue_changed(lmail_queue *q)
{
    int64_t version;
    int changed = 0;
    if (pthread_mutex_trylock(&q->write_lock))
        return 0;
    if (!lmi_db_int(&q->write, QUEUE_DATA_VERSION, &version, "")) {
        changed = version != q->data_version && q->data_version;
        q->data_version = version;
    }
    pthread_mutex_unlock(&q->write_lock);
    return changed;
}
