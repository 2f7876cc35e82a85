/* queue_write.c - changes to the rows.
 *
 * A change waits in a list for the writing connection. Whoever gets the connection takes all that
 * waits into one transaction with one sync, and the others find theirs done: under load the disk is
 * waited for once for many messages, and no thread of the queue's own is needed. When a transaction
 * of several fails, each is tried in one of its own, so that none suffers for another. */
#include "host/queue/queue_internal.h"

#include <stdlib.h>

typedef enum op_kind {
    OP_ADD,
    OP_ADD_RECIPIENTS,
    OP_SETTLE,
    OP_REMOVE,
    OP_HOLD,
    OP_RELEASE
} op_kind;

typedef struct queue_op {
    struct queue_op *next;
    op_kind kind;
    uint64_t id;
    const lmail_queue_message *message;
    const lmail_queue_recipient *recipients;
    size_t count;
    lmail_str reason;
    lmail_status status;
    unsigned done;
} queue_op;

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

static lmail_status add_recipients(lmi_db *c, const queue_op *op, int64_t first)
{
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < op->count && !st; i++) {
        const lmail_queue_recipient *r = &op->recipients[i];
        st = lmi_db_run(c, QUEUE_ADD_RECIPIENT, "iitttiTiiiiiittt", (int64_t)op->id,
                        first + (int64_t)i, r->address, r->route, r->destination,
                        (int64_t)r->notify, or_null(r->has_orcpt, r->orcpt), (int64_t)r->state,
                        r->next, (int64_t)r->attempts, r->last, r->warned, (int64_t)r->code,
                        r->enhanced, r->reply, r->host);
    }
    /* Its message is new: no recipient of it can be there. */
    return st == LMAIL_ERR_EXISTS ? LMAIL_ERR_CORRUPT : st;
}

static lmail_status add(lmi_db *c, const queue_op *op)
{
    const lmail_queue_message *m = op->message;
    lmail_status st =
        lmi_db_run(c, QUEUE_ADD, "itiiiTTtttiiiiiti", (int64_t)m->id, m->sender, (int64_t)m->flags,
                   (int64_t)m->body, (int64_t)m->ret, or_null(m->has_envid, m->envid),
                   or_null(m->has_auth, m->auth), m->submitter, m->client, m->local_address,
                   (int64_t)m->octets, (int64_t)m->header, m->arrived, (int64_t)m->priority,
                   (int64_t)m->held, m->reason, (int64_t)m->pending);
    return st ? st : add_recipients(c, op, 0);
}

static lmail_status add_further(lmi_db *c, const queue_op *op)
{
    int64_t pending = 0, number;
    lmail_status st = lmi_db_int(c, QUEUE_PENDING, &pending, "i", (int64_t)op->id);
    if (!st && !pending)
        st = LMAIL_ERR_NOTFOUND;
    if (!st)
        st = lmi_db_int(c, QUEUE_LAST_RECIPIENT, &number, "i", (int64_t)op->id);
    return st ? st : add_recipients(c, op, number);
}

static lmail_status hold(lmi_db *c, const queue_op *op)
{
    int64_t held, wanted = op->kind == OP_HOLD ? LMAIL_QUEUE_HELD : LMAIL_QUEUE_FREE;
    lmail_status st = lmi_db_int(c, QUEUE_HELD, &held, "i", (int64_t)op->id);
    if (st)
        return st;
    if ((held == LMAIL_QUEUE_FREE) == (wanted == LMAIL_QUEUE_FREE))
        return LMAIL_ERR_STATE;
    st = lmi_db_run(c, QUEUE_SET_HELD, "iti", wanted, op->reason, (int64_t)op->id);
    if (!st && op->kind == OP_RELEASE)
        st = lmi_db_run(c, QUEUE_MAKE_DUE, "i", (int64_t)op->id);
    return st;
}

static lmail_status perform(lmi_db *c, const queue_op *op)
{
    lmail_status st;
    switch (op->kind) {
    case OP_ADD:
        return add(c, op);
    case OP_ADD_RECIPIENTS:
        return add_further(c, op);
    case OP_SETTLE:
        st = lmi_db_run(c, QUEUE_SETTLE, "i", (int64_t)op->id);
        break;
    case OP_REMOVE:
        st = lmi_db_run(c, QUEUE_REMOVE_RECIPIENTS, "i", (int64_t)op->id);
        if (!st)
            st = lmi_db_run(c, QUEUE_REMOVE, "i", (int64_t)op->id);
        break;
    default:
        return hold(c, op);
    }
    return st ? st : sqlite3_changes(c->db) ? LMAIL_OK : LMAIL_ERR_NOTFOUND;
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
        if (op->kind != OP_SETTLE)
            wanted = 2;
    lmail_status st = set_synchronous(q, wanted);
    if (!st)
        st = lmi_db_run(c, QUEUE_BEGIN, "");
    if (st)
        return st;
    int names = 0;
    for (queue_op *op = ops; op != end && !st; op = op->next) {
        op->status = perform(c, op);
        names |= op->kind == OP_ADD;
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
        queue_op op = {.kind = OP_REMOVE, .id = q->late.items[i]};
        st = perform(c, &op);
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

static lmail_status change(lmail_queue *q, queue_op *op)
{
    pthread_mutex_lock(&q->wait_lock);
    *q->ops_end = op;
    q->ops_end = &op->next;
    pthread_mutex_unlock(&q->wait_lock);
    pthread_mutex_lock(&q->write_lock);
    if (!op->done)
        drain(q);
    pthread_mutex_unlock(&q->write_lock);
    return op->status;
}

/* ---- The calls ------------------------------------------------------------------------------- */

lmail_status lmail_queue_add(lmail_queue *q, const lmail_queue_message *message)
{
    if (message->size > sizeof *message)
        return LMAIL_ERR_SIZE;
    if (!message->id || message->id > INT64_MAX)
        return LMAIL_ERR_ARG;
    queue_op op = {.kind = OP_ADD,
                   .id = message->id,
                   .message = message,
                   .recipients = message->recipients,
                   .count = message->recipient_count};
    lmail_status st = op.count ? lmi_queue_room(q) : LMAIL_ERR_ARG;
    if (!st)
        st = change(q, &op);
    if (st && st != LMAIL_ERR_EXISTS)
        lmi_queue_unlink(q, message->id);
    return st;
}

lmail_status lmail_queue_add_recipients(lmail_queue *q, uint64_t id,
                                        const lmail_queue_recipient *recipients, size_t count)
{
    queue_op op = {.kind = OP_ADD_RECIPIENTS, .id = id, .recipients = recipients, .count = count};
    return change(q, &op);
}

lmail_status lmail_queue_settle(lmail_queue *q, uint64_t id)
{
    queue_op op = {.kind = OP_SETTLE, .id = id};
    return change(q, &op);
}

/* Its file is gone, which may have made the room that the log of the change needs. Rows that stay all
 * the same go later. */
static lmail_status remove_again(lmail_queue *q, uint64_t id)
{
    queue_op op = {.kind = OP_REMOVE, .id = id};
    lmail_status st = change(q, &op);
    if (st && st != LMAIL_ERR_NOTFOUND) {
        pthread_mutex_lock(&q->write_lock);
        (void)lmi_queue_ids_add(&q->late, id);
        pthread_mutex_unlock(&q->write_lock);
    }
    return st;
}

lmail_status lmail_queue_remove(lmail_queue *q, uint64_t id)
{
    queue_op op = {.kind = OP_REMOVE, .id = id};
    lmail_status st = change(q, &op);
    if (!st || st == LMAIL_ERR_FULL)
        lmi_queue_unlink(q, id);
    return st == LMAIL_ERR_FULL ? remove_again(q, id) : st;
}

lmail_status lmail_queue_cancel(lmail_queue *q, uint64_t id)
{
    queue_op op = {.kind = OP_REMOVE, .id = id};
    lmail_status st = change(q, &op);
    lmi_queue_unlink(q, id);
    if (st && st != LMAIL_ERR_NOTFOUND)
        st = remove_again(q, id);
    return st == LMAIL_ERR_NOTFOUND ? LMAIL_OK : st;
}

lmail_status lmail_queue_hold(lmail_queue *q, uint64_t id, lmail_str reason)
{
    queue_op op = {.kind = OP_HOLD, .id = id, .reason = reason};
    return change(q, &op);
}

lmail_status lmail_queue_release(lmail_queue *q, uint64_t id)
{
    queue_op op = {.kind = OP_RELEASE, .id = id};
    return change(q, &op);
}
