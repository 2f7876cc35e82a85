/* imap_search_tree.c - the criteria of a search as a tree of lmail_search.
 *
 * Joins are flat and NOT is never doubled, so that long chains of OR, as clients make them, are one
 * node with many children and cost a host no depth. Nodes lie in the command's arena. Called by
 * imap_search_parse.c and imap_cmd_search.c. */
#include "imap/imap_search.h"

#include <string.h>

lmail_search *lmi_search_node(lmi_search_reader *r, lmail_search_op op, lmail_status *st)
{
    lmail_search *n = lmi_arena_zget(r->args->arena, sizeof *n);
    if (!n) {
        *st = lmi_arena_full(r->args->arena, sizeof *n) ? LMAIL_ERR_LIMIT : LMAIL_ERR_NOMEM;
        return NULL;
    }
    n->op = op;
    return n;
}

/* Nodes are made here and not shared yet, so what hangs on them may be changed. */
static lmail_search *own(const lmail_search *n)
{
    return (lmail_search *)(uintptr_t)n;
}

lmail_search *lmi_search_not(lmi_search_reader *r, lmail_search *key, lmail_status *st)
{
    if (key->op == LMAIL_SEARCH_NOT) {
        lmail_search *inner = own(key->child);
        inner->next = NULL;
        return inner;
    }
    lmail_search *n = lmi_search_node(r, LMAIL_SEARCH_NOT, st);
    if (n)
        n->child = key;
    return n;
}

lmail_search *lmi_search_join(lmi_search_reader *r, lmail_search_op op, lmail_search *first,
                              lmail_status *st)
{
    const lmail_search *head = NULL;
    const lmail_search **tail = &head;
    const lmail_search *last = NULL;
    for (lmail_search *n = first, *next; n; n = next) {
        next = own(n->next);
        n->next = NULL;
        if (n->op == LMAIL_SEARCH_ALL && op == LMAIL_SEARCH_AND)
            continue;
        if (n->op == op) { /* its children instead of itself */
            *tail = n->child;
            last = n->child;
            while (last->next)
                last = last->next;
        } else {
            *tail = n;
            last = n;
        }
        tail = &own(last)->next;
    }
    if (!head)
        return lmi_search_node(r, LMAIL_SEARCH_ALL, st);
    if (!head->next)
        return own(head);
    lmail_search *n = lmi_search_node(r, op, st);
    if (n)
        n->child = head;
    return n;
}

int lmi_search_bounds(const lmail_search *tree, lmail_uid_set *out)
{
    if (tree->op == LMAIL_SEARCH_AND)
        for (tree = tree->child; tree && tree->op != LMAIL_SEARCH_UIDS;)
            tree = tree->next;
    if (!tree || tree->op != LMAIL_SEARCH_UIDS)
        return 0;
    *out = tree->set;
    return 1;
}
