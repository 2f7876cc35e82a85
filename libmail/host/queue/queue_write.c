/* queue_write.c - changes to the rows.
 *
 * A change waits in a list for the writing connection. Whoever gets the connection takes all that
 * waits into one transaction with one sync, and the others find theirs done: under load the disk is
 * waited for once for many messages, and no thread of the queue's own is needed. When a transaction
 * of several fails, each is tried in one of its own, so that none suffers for another. */
#include "host/queue/queue_internal.h"

#include <stdlib.h>

/* ---- Lists of messages ----------------------------------------------------------------------- */

lmail_status lmi_queue_ids_add(queue_ids *list, uint64_t id)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 256;
        uint64_t *p = realloc(list->items, cap * sizeof *p);
        if (!p)
            return LMAIL_ERR_NOMEM;
        list->items = p;
        list->cap = cap;
    }
    list->items[list->count++] = id;
    return LMAIL_OK;
}

/* ---- One change ------------------------------------------------------------------------------ */

static lmail_str or_null(unsigned has, lmail_str s)
{
    return !has ? (lmail_str){NULL, 0} : s.ptr ? s : LMAIL_STR("");
}

static lmail_status add_recipients(lmi_db *c, uint64_t id, const lmail_queue_recipient *list,
                                   size_t count, int64_t first, int64_t priority, int64_t blocked)
{
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < count && !st; i++) {
        const lmail_queue_recipient *r = &list[i];
        st = lmi_db_run(c, QUEUE_ADD_RECIPIENT, "iitttiTiiiiiitttii", (int64_t)id,
                        first + (int64_t)i, r->address, r->route, r->destination,
                        (int64_t)r->notify, or_null(r->has_orcpt, r->orcpt), (int64_t)r->state,
                        r->next, (int64_t)r->attempts, r->last, r->warned, (int64_t)r->code,
                        r->enhanced, r->reply, r->host, priority, blocked);
    }
    /* Its message is new: no recipient of it can be there. */
    return st == LMAIL_ERR_EXISTS ? LMAIL_ERR_CORRUPT : st;
}

lmail_status lmi_queue_op_add(lmail_queue *q, queue_op *op)
{
    lmi_db *c = &q->write;
    const lmail_queue_message *m = op->message;
    lmail_status st =
        lmi_db_run(c, QUEUE_ADD, "itiiiTTtttiiiiiti", (int64_t)m->id, m->sender, (int64_t)m->flags,
                   (int64_t)m->body, (int64_t)m->ret, or_null(m->has_envid, m->envid),
                   or_null(m->has_auth, m->auth), m->submitter, m->client, m->local_address,
                   (int64_t)m->octets, (int64_t)m->header, m->arrived, (int64_t)m->priority,
                   (int64_t)m->held, m->reason, (int64_t)m->pending);
    return st ? st
              : add_recipients(c, m->id, m->recipients, m->recipient_count, 0, m->priority,
                               m->pending || m->held);
}

static lmail_status add_further(lmail_queue *q, queue_op *op)
{
    lmi_db *c = &q->write;
    int64_t pending = 0, number = 0, priority = 0;
    lmail_status st = lmi_db_int(c, QUEUE_PENDING, &pending, "i", (int64_t)op->id);
    if (!st && !pending)
        st = LMAIL_ERR_NOTFOUND;
    if (!st)
        st = lmi_db_int(c, QUEUE_LAST_RECIPIENT, &number, "i", (int64_t)op->id);
    if (!st)
        st = lmi_db_int(c, QUEUE_PRIORITY, &priority, "i", (int64_t)op->id);
    return st ? st : add_recipients(c, op->id, op->recipients, op->count, number, priority, 1);
}

static lmail_status was_there(const lmail_queue *q)
{
    return sqlite3_changes(q->write.db) ? LMAIL_OK : LMAIL_ERR_NOTFOUND;
}

static lmail_status settle(lmail_queue *q, queue_op *op)
{
    lmail_status st = lmi_db_run(&q->write, QUEUE_SETTLE, "i", (int64_t)op->id);
    if (!st)
        st = was_there(q);
    return st ? st : lmi_db_run(&q->write, QUEUE_BLOCK, "i", (int64_t)op->id);
}

static lmail_status remove_rows(lmail_queue *q, queue_op *op)
{
    lmail_status st = lmi_db_run(&q->write, QUEUE_REMOVE_RECIPIENTS, "i", (int64_t)op->id);
    if (!st)
        st = lmi_db_run(&q->write, QUEUE_REMOVE, "i", (int64_t)op->id);
    return st ? st : was_there(q);
}

/* op->number: what it is to be. */
static lmail_status set_held(lmail_queue *q, queue_op *op)
{
    lmi_db *c = &q->write;
    int64_t held = 0, wanted = op->number;
    lmail_status st = lmi_db_int(c, QUEUE_HELD, &held, "i", (int64_t)op->id);
    if (st)
        return st;
    if (wanted != LMAIL_QUEUE_QUARANTINED &&
        (held == LMAIL_QUEUE_FREE) == (wanted == LMAIL_QUEUE_FREE))
        return LMAIL_ERR_STATE;
    st = lmi_db_run(c, QUEUE_SET_HELD, "iti", wanted, op->text, (int64_t)op->id);
    if (!st)
        st = lmi_db_run(c, QUEUE_BLOCK, "i", (int64_t)op->id);
    if (!st && wanted == LMAIL_QUEUE_FREE)
        st = lmi_db_run(c, QUEUE_MAKE_DUE, "i", (int64_t)op->id);
    return st;
}

/* ---- Many in one transaction ----------------------------------------------------------------- */

/* Statuses that say what the change found, not that the transaction is in trouble: nothing was
 * written for it then. */
static int is_finding(lmail_status st)
{
    return st == LMAIL_ERR_NOTFOUND || st == LMAIL_ERR_STATE || st == LMAIL_ERR_EXISTS;
}

/* How long to wait for the disk: 2 until all is there, 1 not at all. */
static lmail_status set_synchronous(lmail_queue *q, int wanted)
{
    if (q->no_sync || wanted == q->synchronous)
        return LMAIL_OK;
    lmail_status st = lmi_db_exec(&q->write, wanted == 2 ? "PRAGMA synchronous=FULL"
                                                         : "PRAGMA synchronous=NORMAL");
    if (!st)
        q->synchronous = wanted;
    return st;
}

/* All from ops up to end, in one transaction. */
static lmail_status transact(lmail_queue *q, queue_op *ops, const queue_op *end)
{
    lmi_db *c = &q->write;
    int wanted = 1; /* a settled message that is found pending is settled again */
    for (const queue_op *op = ops; op != end; op = op->next)
        if (!op->lazy)
            wanted = 2;
    lmail_status st = set_synchronous(q, wanted);
    if (!st)
        st = lmi_db_run(c, QUEUE_BEGIN, "");
    if (st)
        return st;
    int names = 0;
    for (queue_op *op = ops; op != end && !st; op = op->next) {
        op->gone.count = 0;
        op->status = op->perform(q, op);
        names |= op->adds != 0;
        if (op->status && !is_finding(op->status))
            st = op->status;
    }
    /* Where a file's sync does not cover its name, one sync of the directory does for all. */
    if (!st && names)
        st = lmi_queue_sync_names(q);
    if (!st)
        st = lmi_db_run(c, QUEUE_COMMIT, "");
    if (st)
        (void)lmi_db_run(c, QUEUE_ROLLBACK, "");
    return st;
}

/* Rows whose removal failed, when a change has gone well again. Their files are gone, so what is not
 * on the disk at a stop is dropped by the next keeper. */
static void remove_late(lmail_queue *q)
{
    lmi_db *c = &q->write;
    lmail_status st = q->late.count ? set_synchronous(q, 1) : LMAIL_ERR_NOTFOUND;
    if (!st)
        st = lmi_db_run(c, QUEUE_BEGIN, "");
    if (st)
        return;
    for (size_t i = 0; i < q->late.count && !st; i++) {
        queue_op op = {.id = q->late.items[i]};
        st = remove_rows(q, &op);
        if (is_finding(st))
            st = LMAIL_OK;
    }
    if (!st)
        st = lmi_db_run(c, QUEUE_COMMIT, "");
    if (st)
        (void)lmi_db_run(c, QUEUE_ROLLBACK, "");
    else
        q->late.count = 0;
}

static void drain(lmail_queue *q)
{
    pthread_mutex_lock(&q->wait_lock);
    queue_op *list = q->ops;
    q->ops = NULL;
    q->ops_end = &q->ops;
    pthread_mutex_unlock(&q->wait_lock);
    if (!list)
        return;
    lmail_status st = transact(q, list, NULL);
    for (queue_op *op = list, *next; op; op = next) {
        next = op->next;
        if (st && list->next) {
            lmail_status own = transact(q, op, next);
            op->status = own ? own : op->status;
        } else if (st) {
            op->status = st;
        }
        op->done = 1;
    }
    if (!st)
        remove_late(q);
}

lmail_status lmi_queue_change(lmail_queue *q, queue_op *op)
{
    pthread_mutex_lock(&q->wait_lock);
    *q->ops_end = op;
    q->ops_end = &op->next;
    pthread_mutex_unlock(&q->wait_lock);
    pthread_mutex_lock(&q->write_lock);
    if (!op->done)
        drain(q);
    pthread_mutex_unlock(&q->write_lock);
    for (size_t i = 0; i < op->gone.count && !op->status; i++)
        lmi_queue_unlink(q, op->gone.items[i]);
    return op->status;
}

/* ---- The calls ------------------------------------------------------------------------------- */

lmail_status lmi_queue_may_add(const lmail_queue *q, const lmail_queue_message *message)
{
    if (message->size > sizeof *message)
        return LMAIL_ERR_SIZE;
    if (!message->id || message->id > INT64_MAX || !message->recipient_count)
        return LMAIL_ERR_ARG;
    return lmi_queue_room(q);
}

lmail_status lmail_queue_add(lmail_queue *q, const lmail_queue_message *message)
{
    queue_op op = {.perform = lmi_queue_op_add, .message = message, .adds = 1};
    lmail_status st = lmi_queue_may_add(q, message);
    if (st == LMAIL_ERR_SIZE || !message->id || message->id > INT64_MAX)
        return st;
    if (!st)
        st = lmi_queue_change(q, &op);
    if (st && st != LMAIL_ERR_EXISTS)
        lmi_queue_unlink(q, message->id);
    if (!st)
        lmi_queue_tell_added(q, message);
    return st;
}

lmail_status lmail_queue_add_recipients(lmail_queue *q, uint64_t id,
                                        const lmail_queue_recipient *recipients, size_t count)
{
    queue_op op = {.perform = add_further, .id = id, .recipients = recipients, .count = count};
    return lmi_queue_change(q, &op);
}

lmail_status lmail_queue_settle(lmail_queue *q, uint64_t id)
{
    queue_op op = {.perform = settle, .id = id, .lazy = 1};
    lmail_status st = lmi_queue_change(q, &op);
    if (!st)
        lmi_queue_tell_new(q, id);
    return st;
}

/* Its file is gone, which may have made the room that the log of the change needs. Rows that stay all
 * the same go later. */
static lmail_status remove_again(lmail_queue *q, uint64_t id)
{
    queue_op op = {.perform = remove_rows, .id = id};
    lmail_status st = lmi_queue_change(q, &op);
    if (st && st != LMAIL_ERR_NOTFOUND) {
        pthread_mutex_lock(&q->write_lock);
        (void)lmi_queue_ids_add(&q->late, id);
        pthread_mutex_unlock(&q->write_lock);
    }
    return st;
}

lmail_status lmail_queue_remove(lmail_queue *q, uint64_t id)
{
    queue_op op = {.perform = remove_rows, .id = id};
    lmail_status st = lmi_queue_change(q, &op);
    if (!st || st == LMAIL_ERR_FULL)
        lmi_queue_unlink(q, id);
    return st == LMAIL_ERR_FULL ? remove_again(q, id) : st;
}

lmail_status lmail_queue_cancel(lmail_queue *q, uint64_t id)
{
    queue_op op = {.perform = remove_rows, .id = id};
    lmail_status st = lmi_queue_change(q, &op);
    lmi_queue_unlink(q, id);
    if (st && st != LMAIL_ERR_NOTFOUND)
        st = remove_again(q, id);
    return st == LMAIL_ERR_NOTFOUND ? LMAIL_OK : st;
}

lmail_status lmail_queue_hold(lmail_queue *q, uint64_t id, lmail_str reason)
{
    queue_op op = {.perform = set_held, .id = id, .text = reason, .number = LMAIL_QUEUE_HELD};
    return lmi_queue_change(q, &op);
}

lmail_status lmail_queue_quarantine(lmail_queue *q, uint64_t id, lmail_str reason)
{
    queue_op op = {
        .perform = set_held, .id = id, .text = reason, .number = LMAIL_QUEUE_QUARANTINED};
    return lmi_queue_change(q, &op);
}

lmail_status lmail_queue_release(lmail_queue *q, uint64_t id)
{
    queue_op op = {.perform = set_held, .id = id, .number = LMAIL_QUEUE_FREE};
    lmail_status st = lmi_queue_change(q, &op);
    if (!st)
        lmi_queue_tell_new(q, id);
    return st;
}
