/* store_list.h - gathers names for the table's list function (store_list.c). Zero it to start. */
#ifndef LMI_STORE_LIST_H
#define LMI_STORE_LIST_H

#include "host/store/store_internal.h"

typedef struct lmi_list_block {
    struct lmi_list_block *next;
    char octets[];
} lmi_list_block;

typedef struct lmi_list {
    lmail_list_row *rows;
    size_t count, capacity;
    lmi_list_block *blocks;
    char *at;
    size_t left;
} lmi_list;

/* The row's slices are copied; parents of one that exists come by themselves. */
lmail_status lmi_list_add(lmi_list *l, const lmail_list_row *row);
/* Every name once, sorted. */
void lmi_list_run(lmi_list *l, lmail_list_fn *fn, void *user);
void lmi_list_free(lmi_list *l);

#endif
