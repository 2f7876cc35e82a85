/* store_list.c - the hierarchy of names that list gives, out of mailboxes and subscriptions.
 *
 * Every backend adds what it has, in any order; run sorts, fills in parents that do not exist and
 * joins what belongs to one name (RFC 9051 §6.3.9: \NonExistent, \HasChildren, \Subscribed). */
#include "host/store/store_list.h"

#include <stdlib.h>
#include <string.h>

static char *keep(lmi_list *l, lmail_str s)
{
    if (s.len > l->left) {
        size_t size = s.len > 16384 ? s.len : 16384;
        lmi_list_block *b = malloc(sizeof *b + size);
        if (!b)
            return NULL;
        b->next = l->blocks;
        l->blocks = b;
        l->left = size;
        l->at = b->octets;
    }
    char *p = l->at;
    if (s.len)
        memcpy(p, s.ptr, s.len);
    l->at += s.len;
    l->left -= s.len;
    return p;
}

static lmail_status push(lmi_list *l, const lmail_list_row *row)
{
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? l->capacity * 2 : 64;
        lmail_list_row *p = realloc(l->rows, capacity * sizeof *p);
        if (!p)
            return LMAIL_ERR_NOMEM;
        l->rows = p;
        l->capacity = capacity;
    }
    l->rows[l->count++] = *row;
    return LMAIL_OK;
}

lmail_status lmi_list_add(lmi_list *l, const lmail_list_row *row)
{
    lmail_list_row r = *row;
    char *name = keep(l, row->name), *id = keep(l, row->mailbox_id);
    if (!name || !id)
        return LMAIL_ERR_NOMEM;
    r.name = lmi_str(name, row->name.len);
    r.mailbox_id = lmi_str(id, row->mailbox_id.len);
    lmail_status st = push(l, &r);
    for (size_t i = 0; r.exists && i < r.name.len && !st; i++) {
        lmail_list_row parent = {.name = {name, i}, .has_children = 1};
        if (name[i] == '/')
            st = push(l, &parent);
    }
    return st;
}

static int compare(const void *a, const void *b)
{
    return lmi_name_compare(((const lmail_list_row *)a)->name, ((const lmail_list_row *)b)->name);
}

static void join(lmail_list_row *into, const lmail_list_row *from)
{
    into->has_children |= from->has_children;
    into->subscribed |= from->subscribed;
    if (from->exists) {
        into->exists = 1;
        into->special_use = from->special_use;
        into->mailbox_id = from->mailbox_id;
    }
}

void lmi_list_run(lmi_list *l, lmail_list_fn *fn, void *user)
{
    if (l->count)
        qsort(l->rows, l->count, sizeof *l->rows, compare);
    for (size_t i = 0; i < l->count;) {
        lmail_list_row row = l->rows[i];
        for (i++; i < l->count && lmail_str_equal(l->rows[i].name, row.name); i++)
            join(&row, &l->rows[i]);
        if (fn(user, &row))
            return;
    }
}

void lmi_list_free(lmi_list *l)
{
    while (l->blocks) {
        lmi_list_block *b = l->blocks;
        l->blocks = b->next;
        free(b);
    }
    free(l->rows);
    *l = (lmi_list){0};
}
