/* queue_read.c - listing: rows are gathered in memory in one short read transaction, then handed
 * out. Nothing of the database is open while the caller's function runs. */
#include "host/queue/queue_internal.h"

#include <stdlib.h>
#include <string.h>

#define SLICE 100u

/* ---- Rows gathered --------------------------------------------------------------------------- */

/* Texts of the rows lie in blocks, so that slices stay valid while more come. */
typedef struct block {
    struct block *next;
    size_t used, cap;
    char octets[];
} block;

typedef struct gathered {
    block *blocks;
    lmail_queue_message *messages;
    size_t count, cap;
    lmail_queue_recipient *recipients; /* of all; a message knows its first by number meanwhile */
    size_t recipient_count, recipient_cap;
    size_t *firsts;
} gathered;

static void forget(gathered *g)
{
    while (g->blocks) {
        block *next = g->blocks->next;
        free(g->blocks);
        g->blocks = next;
    }
    free(g->messages);
    free(g->recipients);
    free(g->firsts);
}

static lmail_status keep(gathered *g, sqlite3_stmt *row, int column, lmail_str *out)
{
    lmail_str from = lmi_db_text(row, column);
    size_t n = from.len;
    *out = LMAIL_STR("");
    if (!n)
        return LMAIL_OK;
    if (!g->blocks || g->blocks->cap - g->blocks->used < n) {
        size_t cap = n > 16384 ? n : 16384;
        block *b = malloc(sizeof *b + cap);
        if (!b)
            return LMAIL_ERR_NOMEM;
        *b = (block){g->blocks, 0, cap};
        g->blocks = b;
    }
    char *to = g->blocks->octets + g->blocks->used;
    memcpy(to, from.ptr, n);
    g->blocks->used += n;
    *out = (lmail_str){to, n};
    return LMAIL_OK;
}

static unsigned has(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) != SQLITE_NULL;
}

static lmail_status take_message(gathered *g, sqlite3_stmt *row)
{
    if (g->count == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 16;
        lmail_queue_message *p = realloc(g->messages, cap * sizeof *p);
        if (p)
            g->messages = p;
        size_t *f = p ? realloc(g->firsts, (cap + 1) * sizeof *f) : NULL;
        if (!f)
            return LMAIL_ERR_NOMEM;
        g->firsts = f;
        g->cap = cap;
    }
    lmail_queue_message *m = &g->messages[g->count++];
    *m = (lmail_queue_message)LMAIL_QUEUE_MESSAGE_INIT;
    m->id = (uint64_t)sqlite3_column_int64(row, 0);
    lmail_status st = keep(g, row, 1, &m->sender);
    m->flags = (unsigned)sqlite3_column_int64(row, 2);
    m->body = (unsigned)sqlite3_column_int64(row, 3);
    m->ret = (unsigned)sqlite3_column_int64(row, 4);
    m->has_envid = has(row, 5);
    m->has_auth = has(row, 6);
    lmail_str *const slices[] = {&m->envid, &m->auth, &m->submitter, &m->client, &m->local_address};
    for (int i = 0; i < 5 && !st; i++)
        st = keep(g, row, 5 + i, slices[i]);
    m->octets = (uint64_t)sqlite3_column_int64(row, 10);
    m->header = (uint32_t)sqlite3_column_int64(row, 11);
    m->arrived = sqlite3_column_int64(row, 12);
    m->priority = sqlite3_column_int(row, 13);
    m->held = (lmail_queue_held)sqlite3_column_int(row, 14);
    m->pending = (unsigned)sqlite3_column_int(row, 16);
    return st ? st : keep(g, row, 15, &m->reason);
}

static lmail_status take_recipient(gathered *g, sqlite3_stmt *row)
{
    if (g->recipient_count == g->recipient_cap) {
        size_t cap = g->recipient_cap ? g->recipient_cap * 2 : 32;
        lmail_queue_recipient *p = realloc(g->recipients, cap * sizeof *p);
        if (!p)
            return LMAIL_ERR_NOMEM;
        g->recipients = p;
        g->recipient_cap = cap;
    }
    lmail_queue_recipient *r = &g->recipients[g->recipient_count++];
    memset(r, 0, sizeof *r);
    lmail_status st = keep(g, row, 0, &r->address);
    r->notify = (unsigned)sqlite3_column_int64(row, 3);
    r->has_orcpt = has(row, 4);
    r->state = (lmail_queue_state)sqlite3_column_int(row, 5);
    r->next = sqlite3_column_int64(row, 6);
    r->attempts = (unsigned)sqlite3_column_int64(row, 7);
    r->last = sqlite3_column_int64(row, 8);
    r->warned = sqlite3_column_int64(row, 9);
    r->code = (unsigned)sqlite3_column_int64(row, 10);
    static const int columns[] = {1, 2, 4, 11, 12, 13};
    lmail_str *const slices[] = {&r->route,    &r->destination, &r->orcpt,
                                 &r->enhanced, &r->reply,       &r->host};
    for (int i = 0; i < 6 && !st; i++)
        st = keep(g, row, columns[i], slices[i]);
    return st;
}

static lmail_status take_rows(gathered *g, sqlite3_stmt *row,
                              lmail_status (*take)(gathered *, sqlite3_stmt *))
{
    int code;
    lmail_status st = LMAIL_OK;
    while (!st && (code = sqlite3_step(row)) != SQLITE_DONE)
        st = code == SQLITE_ROW ? take(g, row) : lmi_db_status(code);
    sqlite3_reset(row);
    return st;
}

static lmail_status take_all_recipients(lmail_queue *q, gathered *g)
{
    sqlite3_stmt *row;
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < g->count && !st; i++) {
        g->firsts[i] = g->recipient_count;
        st = lmi_db_bind(&q->read, QUEUE_RECIPIENTS, &row, "i", (int64_t)g->messages[i].id);
        if (!st)
            st = take_rows(g, row, take_recipient);
        g->firsts[i + 1] = g->recipient_count;
    }
    return st;
}

static lmail_status hand_out(gathered *g, lmail_queue_fn *fn, void *user)
{
    for (size_t i = 0; i < g->count; i++) {
        lmail_queue_message *m = &g->messages[i];
        m->recipients = g->recipients + g->firsts[i];
        m->recipient_count = g->firsts[i + 1] - g->firsts[i];
        for (size_t n = 0; n < m->recipient_count; n++)
            m->waiting += m->recipients[n].state == LMAIL_QUEUE_WAITING;
        if (fn(user, m))
            return LMAIL_END;
    }
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

static lmail_status gather(lmail_queue *q, gathered *g, const lmail_queue_filter *f, uint64_t after,
                           size_t max)
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
            st = take_rows(g, row, take_message);
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
    gathered g = {0};
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
    forget(&g);
    return st;
}

lmail_status lmail_queue_get(lmail_queue *q, uint64_t id, lmail_queue_fn *fn, void *user)
{
    gathered g = {0};
    sqlite3_stmt *row;
    pthread_mutex_lock(&q->read_lock);
    lmail_status st = lmi_db_run(&q->read, QUEUE_BEGIN_READ, "");
    if (!st) {
        st = lmi_db_bind(&q->read, QUEUE_GET, &row, "i", (int64_t)id);
        if (!st)
            st = take_rows(&g, row, take_message);
        if (!st)
            st = take_all_recipients(q, &g);
        (void)lmi_db_run(&q->read, QUEUE_COMMIT, "");
    }
    pthread_mutex_unlock(&q->read_lock);
    if (!st && !g.count)
        st = LMAIL_ERR_NOTFOUND;
    if (!st)
        (void)hand_out(&g, fn, user);
    forget(&g);
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
