/* service_mail_folder.c - the mailbox that user+detail means (RFC 5233 §1).
 *
 * A detail is a stranger's word. It is compared with the names of the mailboxes that there are, and
 * what is opened is the store's own name, so that no detail leads out of the account or makes
 * anything. Without case: local parts are folded before they get here. Called on a worker. */
#include "host/service/service_mail.h"

#include <stdlib.h>
#include <string.h>

typedef struct search {
    lmail_str detail;
    char *found;
    unsigned exact, no_memory;
} search;

static int look(void *user, const lmail_list_row *row)
{
    search *s = user;
    if (!row->exists || !lmail_str_equal_nocase(row->name, s->detail))
        return 0;
    s->exact = lmail_str_equal(row->name, s->detail) != 0;
    if (s->found && !s->exact)
        return 0; /* the first of several stands */
    free(s->found);
    s->found = strndup(row->name.ptr, row->name.len);
    s->no_memory = !s->found;
    return s->exact || s->no_memory;
}

lmail_status lmi_folder_find(const lmail_store *store, lmail_store_account *account,
                             lmail_str detail, char **out)
{
    search s = {detail, NULL, 0, 0};
    *out = NULL;
    lmail_status st = store->list(account, look, &s);
    if (s.no_memory)
        st = LMAIL_ERR_NOMEM;
    if (st) {
        free(s.found);
        return st;
    }
    *out = s.found;
    return s.found ? LMAIL_OK : LMAIL_ERR_NOTFOUND;
}

lmail_status lmi_mail_set_detail(lmi_mail *m, lmail_str detail)
{
    if (!m->count || !detail.len || detail.len >= LMI_DETAIL_MAX ||
        memchr(detail.ptr, '\0', detail.len))
        return LMAIL_OK;
    lmi_recipient *r = &m->recipients[m->count - 1];
    free(r->detail);
    r->detail = strndup(detail.ptr, detail.len);
    return r->detail ? LMAIL_OK : LMAIL_ERR_NOMEM;
}
