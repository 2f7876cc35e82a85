/* queue_read.c - listing: rows are gathered in memory in one short read transaction, then handed
 * out. Nothing of the database is open while the caller's function runs. */
#include "host/queue/queue_internal.h"

#include <stdlib.h>
#include <string.h>

#define SLICE 100u

static lmail_status take_all_recipients(lmail_queue *q, queue_rows *g)
{
    sqlite3_stmt *row;
    lmail_status st = LMAIL_OK;
    size_t count = g->count;
    for (size_t i = 0; i < count && !st; i++) {
        g->firsts[i] = g->recipient_count;
        st = lmi_db_bind(&q->read, QUEUE_RECIPIENTS, &row, "i", (int64_t)g->messages[i].id);
        if (!st)
            st = lmi_queue_take_rows(g, row, lmi_queue_take_recipient);
    }
    if (count)
        g->firsts[count] = g->recipient_count;
    lmi_queue_rows_join(g);
    return st;
}

static lmail_status hand_out(const queue_rows *g, lmail_queue_fn *fn, void *user)
{
    for (size_t i = 0; i < g->count; i++)
        if (fn(user, &g->messages[i]))
            return LMAIL_END;
    return LMAIL_OK;
}

/* ---- Patterns -------------------------------------------------------------------------------- */

/* LIKE's pattern for ours: '*' any octets. NULL pointer: any. Free out->ptr. */
static lmail_status like(lmail_str pattern, lmail_str *out)
{
    *out = (lmail_str){NULL, 0};
    if (!pattern.len)
        return LMAIL_OK;
    char *p = malloc(2 * pattern.len);
    if (!p)
        return LMAIL_ERR_NOMEM;
    size_t n = 0;
    for (size_t i = 0; i < pattern.len; i++) {
        char c = pattern.ptr[i];
        if (c == '%' || c == '_' || c == '\\')
            p[n++] = '\\';
        p[n++] = c == '*' ? '%' : c;
    }
    *out = (lmail_str){p, n};
    return LMAIL_OK;
}

/* ---- The calls ------------------------------------------------------------------------------- */

static lmail_status gather(lmail_queue *q, queue_rows *g, const lmail_queue_filter *f,
                           uint64_t after, size_t max)
{
    lmail_str sender = {NULL, 0}, to = {NULL, 0}, destination = {NULL, 0};
    sqlite3_stmt *row;
    int null_sender = lmail_str_equal(f->sender, LMAIL_STR("<>"));
    lmail_status st = null_sender ? LMAIL_OK : like(f->sender, &sender);
    if (!st)
        st = like(f->recipient, &to);
    if (!st)
        st = like(f->destination, &destination);
    pthread_mutex_lock(&q->read_lock);
    if (!st)
        st = lmi_db_run(&q->read, QUEUE_BEGIN_READ, "");
    if (!st) {
        st = lmi_db_bind(&q->read, QUEUE_LIST, &row, "iTiiiTTi", (int64_t)after,
                         null_sender ? LMAIL_STR("") : sender, (int64_t)f->held, f->before,
                         f->since, to, destination, (int64_t)max);
        if (!st)
            st = lmi_queue_take_rows(g, row, lmi_queue_take_message);
        if (!st)
            st = take_all_recipients(q, g);
        (void)lmi_db_run(&q->read, QUEUE_COMMIT, "");
    }
    pthread_mutex_unlock(&q->read_lock);
    free((char *)sender.ptr);
    free((char *)to.ptr);
    free((char *)destination.ptr);
    return st;
}

lmail_status lmail_queue_list(lmail_queue *q, const lmail_queue_filter *filter, uint64_t after,
                              size_t max, lmail_queue_fn *fn, void *user, uint64_t *next)
{
    static const lmail_queue_filter none = LMAIL_QUEUE_FILTER_INIT;
    queue_rows g = {0};
    const lmail_queue_filter *f = filter ? filter : &none;
    *next = 0;
    if (f->size > sizeof *f)
        return LMAIL_ERR_SIZE;
    max = max && max < INT32_MAX ? max : SLICE;
    lmail_status st = gather(q, &g, f, after, max);
    if (!st && g.count == max)
        *next = g.messages[g.count - 1].id;
    if (!st && hand_out(&g, fn, user) == LMAIL_END)
        *next = 0;
    lmi_queue_rows_free(&g);
    return st;
}

lmail_status lmail_queue_get(lmail_queue *q, uint64_t id, lmail_queue_fn *fn, void *user)
{
    queue_rows g = {0};
    sqlite3_stmt *row;
    pthread_mutex_lock(&q->read_lock);
    lmail_status st = lmi_db_run(&q->read, QUEUE_BEGIN_READ, "");
    if (!st) {
        st = lmi_db_bind(&q->read, QUEUE_GET, &row, "i", (int64_t)id);
        if (!st)
            st = lmi_queue_take_rows(&g, row, lmi_queue_take_message);
        if (!st)
            st = take_all_recipients(q, &g);
        (void)lmi_db_run(&q->read, QUEUE_COMMIT, "");
    }
    pthread_mutex_unlock(&q->read_lock);
    if (!st && !g.count)
        st = LMAIL_ERR_NOTFOUND;
    if (!st)
        (void)hand_out(&g, fn, user);
    lmi_queue_rows_free(&g);
    return st;
}

lmail_status lmail_queue_count(lmail_queue *q, lmail_queue_counts *out)
{
    sqlite3_stmt *row;
    int64_t waiting = 0;
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&q->read_lock);
    lmail_status st = lmi_db_bind(&q->read, QUEUE_COUNT, &row, "");
    if (!st) {
        int code = sqlite3_step(row);
        st = lmi_db_status(code);
        if (code == SQLITE_ROW) {
            out->messages = (uint64_t)sqlite3_column_int64(row, 0);
            out->held = (uint64_t)sqlite3_column_int64(row, 1);
            out->quarantined = (uint64_t)sqlite3_column_int64(row, 2);
            out->octets = (uint64_t)sqlite3_column_int64(row, 3);
        }
        sqlite3_reset(row);
    }
    if (!st)
        st = lmi_db_int(&q->read, QUEUE_COUNT_RECIPIENTS, &waiting, "");
    out->recipients = (uint64_t)waiting;
    pthread_mutex_unlock(&q->read_lock);
    return st;
}
