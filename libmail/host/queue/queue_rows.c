/* queue_rows.c - rows of the database as structs in memory, with their texts. */
#include "host/queue/queue_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct queue_block {
    struct queue_block *next;
    size_t used, cap;
    char octets[];
} queue_block;

void lmi_queue_rows_free(queue_rows *g)
{
    while (g->blocks) {
        queue_block *next = g->blocks->next;
        free(g->blocks);
        g->blocks = next;
    }
    free(g->messages);
    free(g->recipients);
    free(g->firsts);
}

static lmail_status keep(queue_rows *g, sqlite3_stmt *row, int column, lmail_str *out)
{
    lmail_str from = lmi_db_text(row, column);
    size_t n = from.len;
    *out = LMAIL_STR("");
    if (!n)
        return LMAIL_OK;
    if (!g->blocks || g->blocks->cap - g->blocks->used < n) {
        size_t cap = n > 16384 ? n : 16384;
        queue_block *b = malloc(sizeof *b + cap);
        if (!b)
            return LMAIL_ERR_NOMEM;
        *b = (queue_block){g->blocks, 0, cap};
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

lmail_status lmi_queue_take_message(queue_rows *g, sqlite3_stmt *row)
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
    lmail_queue_message *m = &g->messages[g->count];
    g->firsts[g->count++] = g->recipient_count;
    g->firsts[g->count] = g->recipient_count;
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

lmail_status lmi_queue_take_recipient(queue_rows *g, sqlite3_stmt *row)
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
    g->firsts[g->count] = g->recipient_count;
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
    r->number = (unsigned)sqlite3_column_int64(row, 14);
    r->report = (unsigned)sqlite3_column_int64(row, 15);
    static const int columns[] = {1, 2, 4, 11, 12, 13};
    lmail_str *const slices[] = {&r->route,    &r->destination, &r->orcpt,
                                 &r->enhanced, &r->reply,       &r->host};
    for (int i = 0; i < 6 && !st; i++)
        st = keep(g, row, columns[i], slices[i]);
    return st;
}

lmail_status lmi_queue_take_rows(queue_rows *g, sqlite3_stmt *row,
                                 lmail_status (*take)(queue_rows *, sqlite3_stmt *))
{
    int code;
    lmail_status st = LMAIL_OK;
    while (!st && (code = sqlite3_step(row)) != SQLITE_DONE)
        st = code == SQLITE_ROW ? take(g, row) : lmi_db_status(code);
    sqlite3_reset(row);
    return st;
}

void lmi_queue_rows_join(queue_rows *g)
{
    for (size_t i = 0; i < g->count; i++) {
        lmail_queue_message *m = &g->messages[i];
        m->recipients = g->recipients + g->firsts[i];
        m->recipient_count = g->firsts[i + 1] - g->firsts[i];
        m->waiting = 0;
        for (size_t n = 0; n < m->recipient_count; n++)
            m->waiting += m->recipients[n].state == LMAIL_QUEUE_WAITING;
    }
}
