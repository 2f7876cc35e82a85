/* queue_due.c - whose rows are due, and who has claimed them.
 *
 * Looking costs one step of an index for each destination, or for each row that came due, never one
 * for each message. Claims are a sorted list in memory: rows that are being sent, some thousands at
 * most. Only the handle that leads claims, so no other process can have them too. */
#include "host/queue/queue_internal.h"

#include <stdlib.h>
#include <string.h>

#define SLICE 1000u

/* ---- Destinations ---------------------------------------------------------------------------- */

/* The most urgent class of a destination that has a row due. ERR_NOTFOUND: none has. */
static lmail_status first_due(lmail_queue *q, int64_t now, lmail_queue_due *due)
{
    sqlite3_stmt *row;
    int64_t below = INT64_MAX;
    for (;;) {
        lmail_status st =
            lmi_db_bind(&q->read, QUEUE_NEXT_CLASS, &row, "ti", due->destination, below);
        if (st)
            return st;
        int code = sqlite3_step(row);
        below = sqlite3_column_int64(row, 0);
        due->priority = (int)below;
        due->next = sqlite3_column_int64(row, 1);
        sqlite3_reset(row);
        if (code == SQLITE_DONE)
            return LMAIL_ERR_NOTFOUND;
        if (code != SQLITE_ROW || due->next <= now)
            return lmi_db_status(code);
    }
}

/* The first name above name[0..*len), into name. *len 0: there is none. */
static lmail_status next_destination(lmail_queue *q, char *name, size_t *len)
{
    sqlite3_stmt *row;
    char from[LMAIL_QUEUE_DESTINATION];
    lmail_str after = {from, *len};
    memcpy(from, name, *len);
    for (;;) {
        *len = 0;
        name[0] = '\0';
        lmail_status st = lmi_db_bind(&q->read, QUEUE_NEXT_DESTINATION, &row, "t", after);
        if (st)
            return st;
        int code = sqlite3_step(row);
        lmail_str found = code == SQLITE_ROW ? lmi_db_text(row, 0) : (lmail_str){NULL, 0};
        size_t n = found.len < LMAIL_QUEUE_DESTINATION ? found.len : LMAIL_QUEUE_DESTINATION - 1;
        if (n)
            memcpy(name, found.ptr, n);
        name[n] = '\0';
        sqlite3_reset(row);
        if (code != SQLITE_ROW)
            return lmi_db_status(code);
        if (n && n == found.len) {
            *len = n;
            return LMAIL_OK;
        }
        /* Empty, or too long: by the first octets to the name behind it. */
        memcpy(from, name, n);
        after.len = n;
        if (found.len > n) {
            from[n - 1] = (char)0xff;
        } else {
            from[0] = '\0';
            after.len = 1;
        }
    }
}

lmail_status lmail_queue_destinations(lmail_queue *q, int64_t now, lmail_str after, size_t max,
                                      lmail_queue_due_fn *fn, void *user, char *next)
{
    char name[LMAIL_QUEUE_DESTINATION];
    size_t len = after.len < sizeof name ? after.len : 0;
    if (len)
        memcpy(name, after.ptr, len);
    name[len] = '\0';
    next[0] = '\0';
    max = max ? max : SLICE;
    pthread_mutex_lock(&q->read_lock);
    lmail_status st = lmi_db_run(&q->read, QUEUE_BEGIN_READ, "");
    if (st) {
        pthread_mutex_unlock(&q->read_lock);
        return st;
    }
    for (size_t i = 0; !st && i < max; i++) {
        st = next_destination(q, name, &len);
        if (st || !len)
            break;
        lmail_queue_due due = {{name, len}, 0, 0};
        st = first_due(q, now, &due);
        if (st == LMAIL_ERR_NOTFOUND)
            st = LMAIL_OK;
        else if (!st && fn(user, &due))
            len = 0;
        if (!len)
            break;
    }
    if (!st && len)
        memcpy(next, name, len + 1);
    (void)lmi_db_run(&q->read, QUEUE_COMMIT, "");
    pthread_mutex_unlock(&q->read_lock);
    return st;
}

/* ---- Time ------------------------------------------------------------------------------------ */

lmail_status lmail_queue_due_since(lmail_queue *q, int64_t now, lmail_queue_cursor *cursor,
                                   size_t max, lmail_queue_due_fn *fn, void *user)
{
    char last[LMAIL_QUEUE_DESTINATION] = "";
    size_t last_len = 0, seen = 0;
    int last_priority = 0, code = SQLITE_ROW, go_on = 1;
    sqlite3_stmt *row;
    max = max && max < INT32_MAX ? max : SLICE;
    pthread_mutex_lock(&q->read_lock);
    lmail_status st =
        lmi_db_bind(&q->read, QUEUE_DUE_SINCE, &row, "iiiii", cursor->next,
                    (int64_t)cursor->message, (int64_t)cursor->number, now, (int64_t)max);
    while (!st && go_on && (code = sqlite3_step(row)) == SQLITE_ROW) {
        lmail_queue_due due = {lmi_db_text(row, 0), sqlite3_column_int(row, 1),
                               sqlite3_column_int64(row, 2)};
        cursor->next = due.next;
        cursor->message = (uint64_t)sqlite3_column_int64(row, 3);
        cursor->number = (unsigned)sqlite3_column_int64(row, 4);
        seen++;
        if (!due.destination.len || due.destination.len >= sizeof last ||
            (due.priority == last_priority &&
             lmail_str_equal(due.destination, (lmail_str){last, last_len})))
            continue;
        memcpy(last, due.destination.ptr, due.destination.len);
        last_len = due.destination.len;
        last_priority = due.priority;
        go_on = fn(user, &due) == 0;
    }
    if (!st) {
        sqlite3_reset(row);
        st = lmi_db_status(code);
    }
    pthread_mutex_unlock(&q->read_lock);
    return st ? st : seen < max && go_on ? LMAIL_END : LMAIL_OK;
}

lmail_status lmail_queue_next(lmail_queue *q, int64_t now, int64_t *when)
{
    pthread_mutex_lock(&q->read_lock);
    lmail_status st = lmi_db_int(&q->read, QUEUE_NEXT_TIME, when, "i", now);
    pthread_mutex_unlock(&q->read_lock);
    return st;
}

lmail_status lmail_queue_aged(lmail_queue *q, int64_t before, unsigned warned,
                              lmail_queue_age *after, uint64_t *ids, size_t max, size_t *count)
{
    sqlite3_stmt *row;
    int code = SQLITE_DONE;
    *count = 0;
    pthread_mutex_lock(&q->read_lock);
    lmail_status st = lmi_db_bind(&q->read, QUEUE_AGED, &row, "iiiii", (int64_t)(warned != 0),
                                  before, after->arrived, (int64_t)after->id, (int64_t)max);
    while (!st && *count < max && (code = sqlite3_step(row)) == SQLITE_ROW) {
        after->arrived = sqlite3_column_int64(row, 0);
        after->id = (uint64_t)sqlite3_column_int64(row, 1);
        ids[(*count)++] = after->id;
    }
    if (!st) {
        sqlite3_reset(row);
        st = lmi_db_status(code);
    }
    pthread_mutex_unlock(&q->read_lock);
    return st;
}

/* ---- Claims ---------------------------------------------------------------------------------- */

typedef struct batch {
    lmail_queue_batch out; /* first: what the caller has */
    queue_rows rows;
    queue_claimed *claims;
    size_t claim_count, claim_cap;
} batch;

/* Where it is, or would be. */
static size_t place_of(const lmail_queue *q, queue_claimed c, int *there)
{
    size_t low = 0, high = q->claim_count;
    while (low < high) {
        size_t at = low + (high - low) / 2;
        const queue_claimed *have = &q->claims[at];
        if (have->message < c.message || (have->message == c.message && have->number < c.number))
            low = at + 1;
        else
            high = at;
    }
    *there = low < q->claim_count && q->claims[low].message == c.message &&
             q->claims[low].number == c.number;
    return low;
}

static int grow(queue_claimed **list, size_t count, size_t *cap)
{
    if (count < *cap)
        return 1;
    size_t more = *cap ? *cap * 2 : 64;
    queue_claimed *p = realloc(*list, more * sizeof *p);
    if (!p)
        return 0;
    *list = p;
    *cap = more;
    return 1;
}

/* ERR_EXISTS: somebody has it. */
static lmail_status claim(lmail_queue *q, batch *b, queue_claimed c)
{
    int there;
    size_t at = place_of(q, c, &there);
    if (there)
        return LMAIL_ERR_EXISTS;
    if (!grow(&q->claims, q->claim_count, &q->claim_cap) ||
        !grow(&b->claims, b->claim_count, &b->claim_cap))
        return LMAIL_ERR_NOMEM;
    memmove(q->claims + at + 1, q->claims + at, (q->claim_count - at) * sizeof *q->claims);
    q->claims[at] = c;
    q->claim_count++;
    b->claims[b->claim_count++] = c;
    return LMAIL_OK;
}

static void give_back(lmail_queue *q, const batch *b)
{
    for (size_t i = 0; i < b->claim_count; i++) {
        int there;
        size_t at = place_of(q, b->claims[i], &there);
        if (!there)
            continue;
        q->claim_count--;
        memmove(q->claims + at, q->claims + at + 1, (q->claim_count - at) * sizeof *q->claims);
    }
}

static void free_batch(batch *b)
{
    lmi_queue_rows_free(&b->rows);
    free(b->claims);
    free(b);
}

void lmail_queue_batch_free(lmail_queue *q, const lmail_queue_batch *given)
{
    if (!given)
        return;
    batch *b = (batch *)(uintptr_t)given;
    pthread_mutex_lock(&q->read_lock);
    give_back(q, b);
    pthread_mutex_unlock(&q->read_lock);
    free_batch(b);
}

/* The rows of one priority. */
static lmail_status claim_class(lmail_queue *q, batch *b, lmail_str destination, int64_t priority,
                                int64_t now, size_t max)
{
    sqlite3_stmt *row;
    int code = SQLITE_ROW;
    lmail_status st =
        lmi_db_bind(&q->read, QUEUE_CLASS_ROWS, &row, "tii", destination, priority, now);
    while (!st && (code = sqlite3_step(row)) == SQLITE_ROW) {
        if (b->claim_count == max) {
            b->out.more = 1;
            break;
        }
        st = claim(q, b,
                   (queue_claimed){(uint64_t)sqlite3_column_int64(row, 0),
                                   (unsigned)sqlite3_column_int64(row, 1)});
        if (st == LMAIL_ERR_EXISTS)
            st = LMAIL_OK;
    }
    if (!st)
        st = lmi_db_status(code);
    if (row)
        sqlite3_reset(row);
    return st;
}

/* By message, those that came first keeping their place. */
static int by_message(const void *a, const void *b)
{
    const queue_claimed *x = a, *y = b;
    if (x->message != y->message)
        return x->message < y->message ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static lmail_status fetch(lmail_queue *q, batch *b)
{
    sqlite3_stmt *row;
    lmail_status st = LMAIL_OK;
    if (b->claim_count)
        qsort(b->claims, b->claim_count, sizeof *b->claims, by_message);
    for (size_t i = 0; i < b->claim_count && !st; i++) {
        const queue_claimed *c = &b->claims[i];
        if (!i || c[-1].message != c->message) {
            st = lmi_db_bind(&q->read, QUEUE_GET, &row, "i", (int64_t)c->message);
            if (!st)
                st = lmi_queue_take_rows(&b->rows, row, lmi_queue_take_message);
        }
        if (!st && (!b->rows.count || b->rows.messages[b->rows.count - 1].id != c->message))
            st = LMAIL_ERR_CORRUPT; /* a row without its message */
        if (!st)
            st = lmi_db_bind(&q->read, QUEUE_ONE_RECIPIENT, &row, "ii", (int64_t)c->message,
                             (int64_t)c->number);
        if (!st)
            st = lmi_queue_take_rows(&b->rows, row, lmi_queue_take_recipient);
    }
    lmi_queue_rows_join(&b->rows);
    b->out.messages = b->rows.messages;
    b->out.count = b->rows.count;
    b->out.rows = b->rows.recipient_count;
    return st;
}

static lmail_status claim_due(lmail_queue *q, batch *b, lmail_str destination, int64_t now,
                              size_t max)
{
    lmail_queue_due due = {destination, 0, 0};
    sqlite3_stmt *row;
    int64_t below = INT64_MAX;
    lmail_status st = LMAIL_OK;
    while (!st && !b->out.more) {
        st = lmi_db_bind(&q->read, QUEUE_NEXT_CLASS, &row, "ti", destination, below);
        if (st)
            break;
        int code = sqlite3_step(row);
        below = sqlite3_column_int64(row, 0);
        due.next = sqlite3_column_int64(row, 1);
        sqlite3_reset(row);
        if (code != SQLITE_ROW) {
            st = lmi_db_status(code);
            break;
        }
        if (due.next <= now)
            st = claim_class(q, b, destination, below, now, max);
    }
    if (!st)
        st = fetch(q, b);
    return st ? st : b->claim_count ? LMAIL_OK : LMAIL_ERR_NOTFOUND;
}

static lmail_status claim_all_of(lmail_queue *q, batch *b, uint64_t id)
{
    sqlite3_stmt *row;
    queue_rows *g = &b->rows;
    lmail_status st = lmi_db_bind(&q->read, QUEUE_GET, &row, "i", (int64_t)id);
    if (!st)
        st = lmi_queue_take_rows(g, row, lmi_queue_take_message);
    if (!st && !g->count)
        st = LMAIL_ERR_NOTFOUND;
    if (!st)
        st = lmi_db_bind(&q->read, QUEUE_RECIPIENTS, &row, "i", (int64_t)id);
    if (!st)
        st = lmi_queue_take_rows(g, row, lmi_queue_take_recipient);
    for (size_t i = 0; i < g->recipient_count && !st; i++)
        if (g->recipients[i].state == LMAIL_QUEUE_WAITING)
            st = claim(q, b, (queue_claimed){id, g->recipients[i].number});
    if (st)
        return st == LMAIL_ERR_EXISTS ? LMAIL_ERR_BUSY : st;
    lmi_queue_rows_join(g);
    b->out.messages = g->messages;
    b->out.count = g->count;
    b->out.rows = b->claim_count;
    return LMAIL_OK;
}

/* Begin and end what claims have in common; st is carried through. */
static lmail_status begin(lmail_queue *q, batch **out)
{
    if (q->lead_fd < 0)
        return LMAIL_ERR_STATE;
    *out = calloc(1, sizeof **out);
    if (!*out)
        return LMAIL_ERR_NOMEM;
    pthread_mutex_lock(&q->read_lock);
    lmail_status st = lmi_db_run(&q->read, QUEUE_BEGIN_READ, "");
    if (!st)
        return LMAIL_OK;
    pthread_mutex_unlock(&q->read_lock);
    free_batch(*out);
    return st;
}

static lmail_status end(lmail_queue *q, batch *b, lmail_status st, const lmail_queue_batch **out)
{
    (void)lmi_db_run(&q->read, QUEUE_COMMIT, "");
    if (st)
        give_back(q, b);
    pthread_mutex_unlock(&q->read_lock);
    if (st)
        free_batch(b);
    else
        *out = &b->out;
    return st;
}

lmail_status lmail_queue_claim(lmail_queue *q, lmail_str destination, int64_t now, size_t max,
                               const lmail_queue_batch **out)
{
    batch *b;
    *out = NULL;
    lmail_status st = begin(q, &b);
    return st ? st : end(q, b, claim_due(q, b, destination, now, max ? max : 1), out);
}

lmail_status lmail_queue_claim_message(lmail_queue *q, uint64_t id, const lmail_queue_batch **out)
{
    batch *b;
    *out = NULL;
    lmail_status st = begin(q, &b);
    return st ? st : end(q, b, claim_all_of(q, b, id), out);
}
