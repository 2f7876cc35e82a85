/* store_memory.c - the memory store: accounts and mailboxes by name.
 *
 * The reference for what libmail/host/store.h means; for tests, examples and embedders who keep
 * nothing. Accounts live as long as the store. Open mailboxes: store_memory_mailbox.c. */
#include "host/store/store_memory.h"
#include "host/store/store_list.h"

#include <stdlib.h>
#include <string.h>

/* An account handle is the account itself. */
static mem_account *account_of(lmail_store_account *a)
{
    return (mem_account *)a;
}

void lmi_mem_raise(mem_account *a)
{
    if (a->store->notice)
        lmail_notice_raise(a->store->notice, a->slot);
}

/* What names a mailbox begins so: the name in its one form, in text, and the account locked. */
static lmail_status enter_by_name(mem_account *a, lmail_str *name, char text[LMI_NAME_MAX])
{
    size_t len;
    lmail_status st = lmi_name_check(a->store->env, *name, text, &len);
    if (st)
        return st;
    *name = lmi_str(text, len);
    pthread_mutex_lock(&a->lock);
    return LMAIL_OK;
}

/* And ends so: others are told of what was done. */
static lmail_status leave(mem_account *a, lmail_status st)
{
    pthread_mutex_unlock(&a->lock);
    if (!st)
        lmi_mem_raise(a);
    return st;
}

static lmail_str name_of(const mem_mailbox *m)
{
    return lmi_str(m->name, m->name_len);
}

mem_mailbox *lmi_mem_find(mem_account *a, lmail_str name)
{
    mem_mailbox *m = a->mailboxes;
    while (m && !lmail_str_equal(name_of(m), name))
        m = m->next;
    return m;
}

lmail_status lmi_mem_find_checked(mem_account *a, lmail_str name, mem_mailbox **out)
{
    char text[LMI_NAME_MAX];
    size_t len;
    if (lmi_name_check(a->store->env, name, text, &len))
        return LMAIL_ERR_NOTFOUND;
    *out = lmi_mem_find(a, lmi_str(text, len));
    return *out ? LMAIL_OK : LMAIL_ERR_NOTFOUND;
}

void lmi_mem_mailbox_unref(mem_mailbox *m)
{
    if (--m->refs)
        return;
    lmi_mem_cut(m, 0, m->uidnext);
    for (size_t i = 0; i < m->keyword_count; i++)
        free((char *)m->keywords[i].ptr);
    lmail_snapshot_unref(m->snapshot);
    free(m->rows);
    free(m->gone);
    free(m->name);
    free(m);
}

static int set_name(mem_mailbox *m, lmail_str head, lmail_str tail)
{
    char *p = malloc(head.len + tail.len + 1);
    if (!p)
        return 0;
    memcpy(p, head.ptr, head.len);
    if (tail.len)
        memcpy(p + head.len, tail.ptr, tail.len);
    free(m->name);
    m->name = p;
    m->name_len = head.len + tail.len;
    return 1;
}

lmail_status lmi_mem_create(mem_account *a, lmail_str name, lmail_special_use use,
                            mem_mailbox **out)
{
    if (lmi_mem_find(a, name))
        return LMAIL_ERR_EXISTS;
    mem_mailbox *m = calloc(1, sizeof *m);
    lmail_snapshot_edit *edit;
    if (!m)
        return LMAIL_ERR_NOMEM;
    int zone;
    int64_t now = lmi_wall_clock(a->store->env, &zone);
    uint32_t least = now > 0 && now < UINT32_MAX ? (uint32_t)now : 1;
    m->refs = 1;
    m->account = a;
    m->use = use;
    m->uidvalidity = a->last_uidvalidity >= least ? a->last_uidvalidity + 1 : least;
    m->uidnext = 1;
    m->modseq = 1;
    char seed[32];
    unsigned long long serial = atomic_fetch_add(&a->store->serial, 1);
    memcpy(seed, &serial, sizeof serial);
    lmi_digest(lmi_str(seed, sizeof serial), m->id);
    m->id[0] = 'b';
    if (!set_name(m, name, lmi_str(NULL, 0)) || lmail_snapshot_edit_begin(NULL, &edit) ||
        lmi_mem_publish(m, edit, 1)) {
        lmi_mem_mailbox_unref(m);
        return LMAIL_ERR_NOMEM;
    }
    a->last_uidvalidity = m->uidvalidity;
    m->next = a->mailboxes;
    a->mailboxes = m;
    if (out)
        *out = m;
    return LMAIL_OK;
}

/* ---- Accounts -------------------------------------------------------------------------------- */

static void account_free(mem_account *a)
{
    while (a->mailboxes) {
        mem_mailbox *m = a->mailboxes;
        a->mailboxes = m->next;
        lmi_mem_mailbox_unref(m);
    }
    while (a->subscribed) {
        mem_name *n = a->subscribed;
        a->subscribed = n->next;
        free(n);
    }
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* With an INBOX. */
static mem_account *account_new(mem_store *s, lmail_str name)
{
    mem_account *a = calloc(1, sizeof *a + name.len + 1);
    if (!a)
        return NULL;
    a->store = s;
    a->name_len = name.len;
    if (name.len)
        memcpy(a->name, name.ptr, name.len);
    a->slot = lmail_notice_slot(name);
    pthread_mutex_init(&a->lock, NULL);
    if (lmi_mem_create(a, LMAIL_STR("INBOX"), LMAIL_USE_NONE, NULL)) {
        account_free(a);
        return NULL;
    }
    a->next = s->accounts;
    s->accounts = a;
    return a;
}

static lmail_status account_open(void *ctx, const lmail_store_account_args *args,
                                 lmail_store_account **out)
{
    mem_store *s = ctx;
    lmail_status st = LMAIL_OK;
    if (args->size > sizeof *args)
        return LMAIL_ERR_SIZE;
    pthread_mutex_lock(&s->lock);
    mem_account *a = s->accounts;
    while (a && !lmail_str_equal(lmi_str(a->name, a->name_len), args->name))
        a = a->next;
    if (!a && !args->create)
        st = LMAIL_ERR_NOTFOUND;
    else if (!a && !(a = account_new(s, args->name)))
        st = LMAIL_ERR_NOMEM;
    pthread_mutex_unlock(&s->lock);
    if (!st)
        *out = (lmail_store_account *)a;
    return st;
}

static void account_close(lmail_store_account *a)
{
    (void)a; /* the account stays */
}

static lmail_status tidy(lmail_store_account *a, size_t max)
{
    (void)a, (void)max;
    return LMAIL_OK;
}

/* ---- Listing --------------------------------------------------------------------------------- */

static mem_name **find_subscription(mem_account *a, lmail_str name)
{
    mem_name **p = &a->subscribed;
    while (*p && !lmail_str_equal(lmi_str((*p)->text, (*p)->len), name))
        p = &(*p)->next;
    return p;
}

static lmail_status list(lmail_store_account *handle, lmail_list_fn *fn, void *user)
{
    mem_account *a = account_of(handle);
    lmi_list l = {0};
    lmail_status st = LMAIL_OK;
    pthread_mutex_lock(&a->lock);
    for (mem_mailbox *m = a->mailboxes; m && !st; m = m->next) {
        lmail_list_row row = {name_of(m), 1, 0, 0, m->use, lmi_str(m->id, 32)};
        st = lmi_list_add(&l, &row);
    }
    for (mem_name *s = a->subscribed; s && !st; s = s->next) {
        lmail_list_row row = {.name = {s->text, s->len}, .subscribed = 1};
        st = lmi_list_add(&l, &row);
    }
    pthread_mutex_unlock(&a->lock);
    if (!st)
        lmi_list_run(&l, fn, user);
    lmi_list_free(&l);
    return st;
}

/* ---- Names ----------------------------------------------------------------------------------- */

static lmail_status create(lmail_store_account *handle, lmail_str name, lmail_special_use use)
{
    mem_account *a = account_of(handle);
    char text[LMI_NAME_MAX];
    lmail_status st = enter_by_name(a, &name, text);
    return st ? st : leave(a, lmi_mem_create(a, name, use, NULL));
}

/* Nobody finds it any more; handles keep it. */
static void unlist(mem_account *a, mem_mailbox *m)
{
    mem_mailbox **p = &a->mailboxes;
    while (*p != m)
        p = &(*p)->next;
    *p = m->next;
    m->removed = 1;
    lmi_mem_mailbox_unref(m);
}

static lmail_status remove_mailbox(lmail_store_account *handle, lmail_str name)
{
    mem_account *a = account_of(handle);
    mem_mailbox *m;
    pthread_mutex_lock(&a->lock);
    lmail_status st = lmi_mem_find_checked(a, name, &m);
    if (!st && lmi_name_is_inbox(name_of(m)))
        st = LMAIL_ERR_DENIED;
    if (!st)
        unlist(a, m);
    return leave(a, st);
}

/* RFC 9051 §6.3.6: INBOX stays, its messages go. */
static lmail_status rename_inbox(mem_account *a, lmail_str to)
{
    mem_mailbox *inbox = lmi_mem_find(a, LMAIL_STR("INBOX")), *m;
    lmail_status st = lmi_mem_create(a, to, LMAIL_USE_NONE, &m);
    if (st)
        return st;
    lmail_copy_result copied = {0};
    st = lmi_mem_copy_rows(inbox, lmail_snapshot_uids(inbox->snapshot), m, &copied);
    lmail_modseq modseq;
    if (!st)
        st = lmi_mem_remove(inbox, lmail_snapshot_uids(inbox->snapshot), LMAIL_EXPUNGE_ALL,
                            &copied.vanished, &modseq);
    lmail_copy_result_free(&copied);
    if (st)
        unlist(a, m);
    return st;
}

/* What stands behind `from` in m's name, when m is `from` or below it. */
static lmail_str tail_below(const mem_mailbox *m, lmail_str from, int *touched)
{
    lmail_str name = name_of(m);
    *touched = lmail_str_equal(name, from) || lmi_name_below(name, from);
    return *touched ? lmi_str(name.ptr + from.len, name.len - from.len) : name;
}

static lmail_status rename_locked(mem_account *a, lmail_str from, lmail_str to)
{
    char text[2 * LMI_NAME_MAX];
    int touched, any = 0;
    if (lmail_str_equal(from, to) || lmi_mem_find(a, to))
        return LMAIL_ERR_EXISTS;
    if (lmi_name_is_inbox(from))
        return rename_inbox(a, to);
    if (lmi_name_below(to, from))
        return LMAIL_ERR_ARG;
    for (mem_mailbox *m = a->mailboxes; m; m = m->next) {
        lmail_str tail = tail_below(m, from, &touched);
        if (!touched)
            continue;
        any = 1;
        if (to.len + tail.len > LMI_NAME_MAX)
            return LMAIL_ERR_LIMIT;
        memcpy(text, to.ptr, to.len);
        memcpy(text + to.len, tail.ptr, tail.len);
        if (lmi_mem_find(a, lmi_str(text, to.len + tail.len)))
            return LMAIL_ERR_EXISTS;
    }
    if (!any)
        return LMAIL_ERR_NOTFOUND;
    for (mem_mailbox *m = a->mailboxes; m; m = m->next) {
        lmail_str tail = tail_below(m, from, &touched);
        if (touched && !set_name(m, to, tail))
            return LMAIL_ERR_NOMEM;
    }
    return LMAIL_OK;
}

static lmail_status rename_mailbox(lmail_store_account *handle, lmail_str from, lmail_str to)
{
    mem_account *a = account_of(handle);
    char f[LMI_NAME_MAX], t[LMI_NAME_MAX];
    size_t flen, tlen;
    if (lmi_name_check(a->store->env, from, f, &flen))
        return LMAIL_ERR_NOTFOUND;
    lmail_status st = lmi_name_check(a->store->env, to, t, &tlen);
    if (st)
        return st;
    pthread_mutex_lock(&a->lock);
    return leave(a, rename_locked(a, lmi_str(f, flen), lmi_str(t, tlen)));
}

static lmail_status subscribe(lmail_store_account *handle, lmail_str name, int on)
{
    mem_account *a = account_of(handle);
    char text[LMI_NAME_MAX];
    lmail_status st = enter_by_name(a, &name, text);
    if (st)
        return st;
    mem_name **p = find_subscription(a, name), *old = *p;
    if (on && !old) {
        *p = malloc(sizeof **p + name.len);
        if (*p) {
            (*p)->next = NULL;
            (*p)->len = name.len;
            memcpy((*p)->text, name.ptr, name.len);
        } else {
            st = LMAIL_ERR_NOMEM;
        }
    } else if (!on && old) {
        *p = old->next;
        free(old);
    }
    return leave(a, st);
}

void lmi_mem_usage(const mem_account *a, lmail_store_usage *out)
{
    *out = (lmail_store_usage){0, 0};
    for (const mem_mailbox *m = a->mailboxes; m; m = m->next) {
        out->messages += m->count;
        for (size_t i = 0; i < m->count; i++)
            out->octets += m->rows[i].content->size;
    }
}

static lmail_status usage(lmail_store_account *handle, lmail_store_usage *out)
{
    mem_account *a = account_of(handle);
    pthread_mutex_lock(&a->lock);
    lmi_mem_usage(a, out);
    pthread_mutex_unlock(&a->lock);
    return LMAIL_OK;
}

static lmail_status status(lmail_store_account *handle, lmail_str name, int want_octets,
                           lmail_mailbox_status *out)
{
    mem_account *a = account_of(handle);
    mem_mailbox *m;
    *out = (lmail_mailbox_status){0};
    pthread_mutex_lock(&a->lock);
    lmail_status st = lmi_mem_find_checked(a, name, &m);
    if (!st) {
        const lmail_mailbox_facts *f = lmail_snapshot_facts(m->snapshot);
        out->messages = f->messages;
        out->unseen = f->unseen;
        out->deleted = f->deleted;
        out->uidvalidity = f->uidvalidity;
        out->uidnext = f->uidnext;
        out->highest_modseq = f->highest_modseq;
        out->mailbox_id_len = 32;
        memcpy(out->mailbox_id, m->id, 32);
        for (size_t i = 0; i < m->count; i++) {
            out->recent += m->rows[i].uid > m->recent;
            if (want_octets)
                out->octets += m->rows[i].content->size;
        }
    }
    pthread_mutex_unlock(&a->lock);
    return st;
}

/* ---- The store ------------------------------------------------------------------------------- */

static void close_store(lmail_store *table)
{
    mem_store *s = table->ctx;
    while (s->accounts) {
        mem_account *a = s->accounts;
        s->accounts = a->next;
        account_free(a);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

lmail_status lmail_store_memory_new(const lmail_store_memory_config *config, lmail_store **out)
{
    if (config && config->size > sizeof *config)
        return LMAIL_ERR_SIZE;
    mem_store *s = calloc(1, sizeof *s);
    if (!s)
        return LMAIL_ERR_NOMEM;
    s->env = config ? config->env : NULL;
    s->notice = config ? config->notice : NULL;
    pthread_mutex_init(&s->lock, NULL);
    atomic_init(&s->serial, 1);
    s->table.size = sizeof s->table;
    s->table.ctx = s;
    s->table.name = "memory";
    s->table.capabilities = LMAIL_STORE_KEEPS_FIELDS;
    s->table.account_open = account_open;
    s->table.account_close = account_close;
    s->table.tidy = tidy;
    s->table.list = list;
    s->table.create = create;
    s->table.remove = remove_mailbox;
    s->table.rename = rename_mailbox;
    s->table.subscribe = subscribe;
    s->table.status = status;
    s->table.usage = usage;
    s->table.close = close_store;
    lmi_mem_fill_mailbox(&s->table);
    lmi_mem_fill_change(&s->table);
    lmi_mem_fill_delivery(&s->table);
    *out = &s->table;
    return LMAIL_OK;
}
